"""Locally equivariant networks.

A network maps configurations ``(walkers, *shape)`` and :class:`~leaps_triton.path.Conditions` to
``G_k(i | x)``, ``(walkers, q-1, *shape)``, with *local equivariance* ``G_k(i | x) = -G_{q-k}(i | x^{(i,k)})``: then
``[G]_+`` are the rates out of ``x`` and ``[-G]_+`` the rates of the reverse moves into it. It holds for
``G_k(i | x) = f_{x_i + k}(i) - f_{x_i}(i)`` whenever the features ``f(i)`` do not read ``x_i`` ("hollow").
"""

import itertools
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import LEA, LETransformer
from .equivariant import (
    Conditions,
    Equivariant,
    LatticeModel,
    as_channels,
    check_kernel,
    convolve,
    embed,
    exact_convolutions,
    field_input,
    initialise,
    local_field,
    pad,
    time_network,
)
from .kernels.checks import as_integer, as_seed, expect
from .lec import LEC
from .lem import LEM
from .local_rates import LocalRates

__all__ = [
    "LEA", "LEC", "LEM", "NETWORKS", "Equivariant", "HollowConv", "LETransformer", "LocalRates", "exact_convolutions",
]  # fmt: skip

_TIME_CHANNELS = 16


def _lowest_modes(shape: Sequence[int], count: int) -> Tensor:
    """The ``count`` shortest wave vectors ``2π n / L``, one of each pair ±n, as integers ``n``, ``(count, ndim)``."""
    reach = range(-count, count + 1)
    # One of each pair ±n: the first non-zero entry is positive.
    candidates = [n for n in itertools.product(reach, repeat=len(shape)) if n > (0,) * len(shape)]
    longest = max(shape)

    def rank(n: tuple[int, ...]) -> tuple[float, tuple[int, ...]]:
        return round(sum((a * longest / length) ** 2 for a, length in zip(n, shape, strict=True)), 9), n

    return torch.tensor(sorted(candidates, key=rank)[:count], dtype=torch.int64).view(count, len(shape))


class _FourierTables:
    """``cos`` and ``sin`` of ``k·r`` as integers, so that sums over the lattice are exact and so is hollowness."""

    def __init__(self, shape: Sequence[int], count: int, device: torch.device) -> None:
        sites = math.prod(shape)
        modes = _lowest_modes(shape, count)
        position = torch.stack(torch.meshgrid(*[torch.arange(n) for n in shape], indexing="ij")).flatten(1)
        phase = 2.0 * math.pi * (modes.double() / torch.tensor(shape, dtype=torch.float64)) @ position.double()
        # 2 N scale² < 2**52: every product and sum below is an integer that float64 holds exactly.
        self.scale = 2.0 ** ((51 - (2 * sites).bit_length()) // 2)
        self.cos = torch.round(self.scale * torch.cos(phase)).to(device)
        self.sin = torch.round(self.scale * torch.sin(phase)).to(device)
        self.norm = self.scale**2 * math.sqrt(sites)


class HollowConv(Equivariant):
    """Hollow convolution and global context, then a pointwise network with time embedding.

    Features of site ``i``, none of which reads ``x_i``: a ``K × … × K`` convolution whose centre tap is masked; the
    local field ``Σ_j J_ij [x_j = a]``; the leave-one-out magnetisation; the leave-one-out Fourier sums
    ``Σ_{j≠i} [x_j = a] cos, sin(k·(r_j - r_i))`` of the longest waves. A three-layer SiLU network, conditioned on ``t``
    and ``β_t``, maps them to one value ``f_a(i)`` a state, to which a multiple of the local field is added, and
    ``G_k(i) = f_{x_i+k}(i) - f_{x_i}(i)``. Sums over the lattice are sums of integers, so local equivariance holds bit
    for bit wherever the convolution sums directly (torch on a CPU does). Translation equivariant on periodic lattices,
    up to the rounding of the Fourier tables (at most 2⁻¹⁰).

    Arguments
        model: gives ``q``, the number of dimensions and the boundaries; couplings, field and β come with each call.
        kernel_size: ``K``, odd; the radius ``(K-1)/2`` must be smaller than every periodic length.
        channels: output channels of the convolution.
        width: hidden width of the pointwise network.
        modes: number of wave vectors, 0 for none.
        global_features: False for neither magnetisation nor waves: then ``G`` reads no site farther away than the
            radius, as :class:`~leaps_triton.ctmc.Jump` needs for domains.
        seed: of the initial parameters.

    Call
        ``network(configurations, conditions)`` → ``G`` ``(walkers, q-1, *shape)`` in the precision of the parameters,
        for any shape of the model's dimension that is larger than the radius.

    Raises
        ValueError: an even or too large kernel, or configurations of another dimension.

    References
        Holderrieth, Albergo, Jaakkola, *LEAPS*, arXiv:2502.10843 (2025), for local equivariance and hollow
        convolutions.

    Example
        >>> import leaps_triton as lt
        >>> model = lt.Ising((6, 6), beta=0.4)
        >>> path = lt.AnnealingPath(model)
        >>> network = lt.HollowConv(model, kernel_size=3, channels=4, width=8)
        >>> x = path.start.sample(torch.arange(2), seed=0)
        >>> network(x, path.conditions(0.5)).shape
        torch.Size([2, 1, 6, 6])
    """

    def __init__(
        self,
        model: LatticeModel,
        kernel_size: int = 7,
        channels: int = 32,
        width: int = 64,
        modes: int = 4,
        seed: int = 0,
        global_features: bool = True,
    ) -> None:
        kernel_size = as_integer("kernel_size", kernel_size, 0)
        expect(kernel_size % 2 == 1, "kernel_size", "odd and positive", kernel_size)
        channels, width = as_integer("channels", channels, 1), as_integer("width", width, 1)
        modes, seed = as_integer("modes", modes, 0), as_seed(seed)
        expect(isinstance(global_features, bool), "global_features", "a bool", global_features)
        super().__init__(
            model, kernel_size=kernel_size, channels=channels, width=width, modes=modes, seed=seed,
            global_features=global_features,
        )  # fmt: skip
        self.kernel_size, self.global_features = kernel_size, global_features
        self.modes = modes if global_features else 0
        self.check_shape(model.lattice.shape)
        self.embedded = as_channels(self.q)
        taps = (kernel_size,) * self.ndim
        self.conv = nn.Parameter(torch.empty(channels, self.embedded, *taps))
        inputs = channels + self.embedded * (2 + global_features + 2 * self.modes) + _TIME_CHANNELS
        self.first = nn.Linear(inputs, width, bias=False)
        self.hidden = nn.Linear(width, width)
        self.readout = nn.Linear(width, self.q)
        self.time = time_network(width, _TIME_CHANNELS).append(nn.SiLU())
        self.skip = nn.Parameter(torch.tensor(0.2))
        mask = torch.ones(taps)
        mask[(kernel_size // 2,) * self.ndim] = 0.0
        self.register_buffer("mask", mask, persistent=False)
        self.mask: Tensor
        self._fourier: dict[tuple[tuple[int, ...], torch.device], _FourierTables] = {}
        initialise(self, seed)
        # Small but not zero: G = 0 is a stationary point of the loss.
        with torch.no_grad():
            self.readout.weight.mul_(0.1)

    @property
    def reach(self) -> int | None:
        """Largest distance, in any direction, of a site that ``G`` reads; None if it reads them all."""
        return None if self.global_features else max(1, self.kernel_size // 2)

    def check_shape(self, shape: Sequence[int]) -> None:
        """Refuse another dimension, and lattices that the kernel reaches around."""
        super().check_shape(shape)
        check_kernel(self.kernel_size, shape, self.periodic)

    def _tables(self, shape: tuple[int, ...], device: torch.device) -> _FourierTables:
        key = (shape, device)
        if key not in self._fourier:
            self._fourier[key] = _FourierTables(shape, self.modes, device)
        return self._fourier[key]

    def _sums(self, configurations: Tensor, embedded: Tensor, conditions: Conditions) -> tuple[Tensor, list[Tensor]]:
        """The local field ``(walkers, q, sites)``, and it and the sums over the lattice as features, channels first."""
        shape = configurations.shape[1:]
        dtype, sites = embedded.dtype, math.prod(shape)
        counts = local_field(configurations, conditions, self.q, self.periodic, dtype)
        counts = counts.flatten(2)
        local = counts[:, 1:] - counts[:, :1] if self.q == 2 else counts
        flat = embedded.flatten(2)
        features = [local, (flat.sum(2, keepdim=True) - flat) / sites] if self.global_features else [local]
        if self.modes:
            tables = self._tables(tuple(shape), embedded.device)
            wide = flat.double().unsqueeze(2)
            cos, sin = (wide * tables.cos).sum(3, keepdim=True), (wide * tables.sin).sum(3, keepdim=True)
            own = wide * (tables.cos**2 + tables.sin**2)
            even = (cos * tables.cos + sin * tables.sin - own) / tables.norm
            odd = (sin * tables.cos - cos * tables.sin) / tables.norm
            features += [even.flatten(1, 2).to(dtype), odd.flatten(1, 2).to(dtype)]
        return counts, features

    def values(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        """``f_a(i)``, ``(walkers, q, *shape)``."""
        walkers, *shape = configurations.shape
        embedded = embed(configurations, self.q, self.conv.dtype)
        padded, radius = embedded, self.kernel_size // 2
        for axis, wraps in enumerate(self.periodic):
            padded = pad(padded, axis + 2, radius, wraps)
        counts, sums = self._sums(configurations, embedded, conditions)
        field = field_input(conditions, self.q, embedded.dtype).expand(walkers, -1, *shape)
        time = self.time(self.time_input(conditions, embedded.dtype))
        with exact_convolutions():
            convolved = convolve(padded, self.conv * self.mask).flatten(2).transpose(1, 2)
        features = torch.cat([*sums, field.flatten(2)], dim=1)
        # One linear layer of all features, without laying them side by side in memory.
        parts = (convolved.shape[2], features.shape[1], time.shape[1])
        of_conv, of_features, of_time = self.first.weight.T.split(parts)
        hidden = torch.baddbmm(
            (time @ of_time).unsqueeze(1), features.transpose(1, 2), of_features.expand(walkers, -1, -1)
        )
        hidden = torch.addmm(hidden.flatten(0, 1), convolved.flatten(0, 1), of_conv)
        reuse = not torch.is_grad_enabled()
        hidden = self.hidden(F.silu(hidden, inplace=reuse))
        values = (
            self.readout(F.silu(hidden, inplace=reuse)).view(walkers, -1, self.q).transpose(1, 2) + self.skip * counts
        )
        return values.view(walkers, self.q, *shape)


NETWORKS: dict[str, type[Equivariant]] = {
    network.__name__: network for network in (HollowConv, LEM, LEA, LEC, LETransformer, LocalRates)
}
"""All networks of the library, by name; each is made by a model and its ``settings``."""
