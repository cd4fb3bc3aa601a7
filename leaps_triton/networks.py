"""Locally equivariant networks.

A network maps configurations ``(walkers, *shape)`` and :class:`~leaps_triton.path.Conditions` to
``G_k(i | x)``, ``(walkers, q-1, *shape)``, with *local equivariance* ``G_k(i | x) = -G_{q-k}(i | x^{(i,k)})``: then
``[G]_+`` are the rates out of ``x`` and ``[-G]_+`` the rates of the reverse moves into it. It holds for
``G_k(i | x) = f_{x_i + k}(i) - f_{x_i}(i)`` whenever the features ``f(i)`` do not read ``x_i`` ("hollow").
"""

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from . import kernels
from .incremental import Follower
from .kernels.hollow_reference import exact_convolutions
from .lattice import Lattice

__all__ = ["HollowConv", "exact_convolutions"]

_CHUNK_SITES = 16384
_TIME_CHANNELS = 16

# glibc hands freed blocks back to the system, and fetches them again page by page, until it has seen a block of up to
# 32 MiB freed. Seeing one here halves the time of a network evaluation on a CPU; no page of it is ever touched.
torch.empty(31 * 2**20, dtype=torch.uint8)


class _Model(Protocol):
    lattice: Lattice
    q: int


class _Conditions(Protocol):
    @property
    def t(self) -> Tensor: ...
    @property
    def beta(self) -> Tensor: ...
    @property
    def coupling(self) -> Tensor: ...
    @property
    def field(self) -> Tensor: ...


class _Piece(NamedTuple):
    t: Tensor
    beta: Tensor
    coupling: Tensor
    field: Tensor


class HollowConv(nn.Module):
    """Hollow convolution and global context, then a pointwise network with time embedding.

    Features of site ``i``, none of which reads ``x_i``: a ``K × … × K`` convolution whose centre tap is masked; the
    local field ``Σ_j J_ij [x_j = a]``; the leave-one-out magnetisation; the leave-one-out Fourier sums
    ``Σ_{j≠i} [x_j = a] cos, sin(k·(r_j - r_i))`` of the longest waves. A three-layer SiLU network, conditioned on ``t``
    and ``β_t``, maps them to one value ``f_a(i)`` a state, to which a multiple of the local field is added, and
    ``G_k(i) = f_{x_i+k}(i) - f_{x_i}(i)``. Sums over the lattice are sums of integers, so local equivariance holds bit
    for bit wherever the convolution sums directly (torch on a CPU and the kernels do; ``incremental`` does not).
    Translation equivariant on periodic lattices, up to the rounding of the Fourier tables (at most 2⁻¹⁰).

    Arguments
        model: gives ``q``, the number of dimensions and the boundaries; couplings, field and β come with each call.
        kernel_size: ``K``, odd; the radius ``(K-1)/2`` must be smaller than every periodic length.
        channels: output channels of the convolution.
        width: hidden width of the pointwise network.
        modes: number of wave vectors, 0 for none.
        seed: of the initial parameters.
        magnetization: whether the leave-one-out magnetisation is a feature. Without it and with ``modes=0`` a value
            depends on the sites within the radius alone.
        input_precision: of matrix products on CUDA devices, as of :func:`~leaps_triton.kernels.hollow_values`.
        incremental: whether samplers keep each walker's features between two events and bring them up to date after a
            move; see :class:`~leaps_triton.incremental.Follower`.

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
        model: _Model,
        kernel_size: int = 7,
        channels: int = 32,
        width: int = 64,
        modes: int = 4,
        seed: int = 0,
        magnetization: bool = True,
        input_precision: str = "ieee",
        incremental: bool = False,
    ) -> None:
        super().__init__()
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd and positive, got {kernel_size}")
        if min(channels, width) < 1 or modes < 0:
            raise ValueError(
                f"channels and width must be at least 1 and modes at least 0, got {channels}, {width}, {modes}"
            )
        kernels.check_input_precision(input_precision)
        self.settings = {
            "kernel_size": kernel_size, "channels": channels, "width": width, "modes": modes, "seed": seed,
            "magnetization": magnetization, "input_precision": input_precision, "incremental": incremental,
        }  # fmt: skip
        self.q, self.ndim, self.periodic = model.q, model.lattice.ndim, model.lattice.periodic
        self.kernel_size, self.modes, self.magnetization = kernel_size, modes, magnetization
        self.input_precision, self.incremental = input_precision, incremental
        self._check_shape(model.lattice.shape)
        # One channel of ±1 says all about q = 2; otherwise one channel a state.
        self.embedded = 1 if self.q == 2 else self.q
        taps = (kernel_size,) * self.ndim
        self.conv = nn.Parameter(torch.empty(channels, self.embedded, *taps))
        inputs = channels + self.embedded * (2 + magnetization + 2 * modes) + _TIME_CHANNELS
        self.first = nn.Linear(inputs, width, bias=False)
        self.hidden = nn.Linear(width, width)
        self.readout = nn.Linear(width, self.q)
        self.time = nn.Sequential(nn.Linear(2, width), nn.SiLU(), nn.Linear(width, _TIME_CHANNELS), nn.SiLU())
        self.skip = nn.Parameter(torch.tensor(0.2))
        self._initialise(seed)

    def _initialise(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        for parameter in self.parameters():
            if parameter.ndim > 1:
                bound = math.sqrt(3.0 / parameter[0].numel())
                nn.init.uniform_(parameter, -bound, bound, generator=generator)
            elif parameter.ndim == 1:
                nn.init.zeros_(parameter)
        # Small but not zero: G = 0 is a stationary point of the loss.
        with torch.no_grad():
            self.readout.weight.mul_(0.1)

    def _check_shape(self, shape: Sequence[int]) -> None:
        if len(shape) != self.ndim:
            raise ValueError(f"this network is for {self.ndim}-dimensional lattices, got shape {tuple(shape)}")
        radius = self.kernel_size // 2
        for length, wraps in zip(shape, self.periodic, strict=True):
            if wraps and length <= radius:
                raise ValueError(
                    f"kernel_size {self.kernel_size} has radius {radius}, which reaches around a periodic direction of "
                    f"length {length} back to the site itself; use kernel_size <= {2 * length - 1} "
                    f"(shape {tuple(shape)})"
                )

    def embed_time(self, conditions: _Conditions) -> Tensor:
        """Features of ``t`` and ``β_t``, ``(1 | walkers, times)``."""
        features: Tensor = self.time(torch.stack([conditions.t, conditions.beta], dim=1).to(self.conv.dtype))
        return features

    def follow(self, walkers: int) -> Follower | None:
        """What evaluates a block of walkers along its path, if ``incremental``; None for the network itself."""
        return Follower(self, walkers) if self.incremental else None

    def _values(self, configurations: Tensor, conditions: _Conditions) -> Tensor:
        """``f_a(i)``, ``(walkers, q, *shape)``."""
        dtype = self.conv.dtype
        return kernels.hollow_values(
            configurations,
            conditions.coupling.to(dtype),
            conditions.field.to(dtype),
            self.embed_time(conditions),
            self.conv,
            self.first.weight,
            self.hidden.weight,
            self.hidden.bias,
            self.readout.weight,
            self.readout.bias,
            self.skip,
            self.periodic,
            self.magnetization,
            self.modes,
            self.input_precision,
        )

    def _network(self, configurations: Tensor, conditions: _Conditions) -> Tensor:
        values = self._values(configurations, conditions)
        state = configurations.long().unsqueeze(1)
        shifts = torch.arange(1, self.q, device=state.device).view(1, -1, *[1] * self.ndim)
        return values.gather(1, (state + shifts) % self.q) - values.gather(1, state)

    def forward(self, configurations: Tensor, conditions: _Conditions) -> Tensor:
        """``G``, ``(walkers, q-1, *shape)``."""
        self._check_shape(configurations.shape[1:])
        if configurations.device.type != "cpu" or torch.is_grad_enabled():
            return self._network(configurations, conditions)
        # Pieces whose activations stay in a CPU's cache: four times faster than all at once.
        walkers = max(1, _CHUNK_SITES // configurations[0].numel())
        pieces = []
        for start in range(0, len(configurations), walkers):
            rows = slice(start, start + walkers)
            own = (conditions.t, conditions.beta, conditions.coupling, conditions.field)
            piece = _Piece(*(value[rows] if len(value) > 1 else value for value in own))
            pieces.append(self._network(configurations[rows], piece))
        return torch.cat(pieces)
