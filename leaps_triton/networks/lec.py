"""The deep locally equivariant convolution of the LEAPS paper."""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import kernels
from ..kernels.checks import as_bool, as_integer, as_seed, expect
from ..kernels.hollow_network.reference import convolve, embed, exact_convolutions, pad
from ..models.base import Conditions, EnergyModel
from ..registry import register
from .base import StateReadout, check_kernel

__all__ = ["LEC"]


class _Layer(nn.Module):
    """One convolution whose weights each site makes from its own activations.

    Args:
        kernel_size: sites a side of the convolution.
        ndim: number of dimensions.
        channels: number of channels, in and out.
        width: hidden width of the network of ``t``.
    """

    def __init__(self, kernel_size: int, ndim: int, channels: int, width: int) -> None:
        super().__init__()
        taps = kernel_size**ndim
        self.kernel_size = kernel_size
        self.weight = nn.Parameter(torch.empty(channels, taps, channels))
        self.bias = nn.Parameter(torch.empty(channels, taps))
        self.offset = nn.Parameter(torch.empty(channels, taps))
        self.time = nn.Sequential(
            nn.Linear(1, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, taps),
        )

    def forward(
        self, hidden: Tensor, source: Tensor, t: Tensor, periodic: Sequence[bool], precision: str
    ) -> Tensor:
        """Return ``h_l`` from ``h_{l-1}``, both ``(walkers, channels, *shape)``.

        Args:
            hidden: ``h_{l-1}``.
            source: ``x`` as channels, which is convolved.
            t: times, ``(1 | walkers, 1)``.
            periodic: boundary of each direction.
            precision: precision of the matrix products.
        """
        return kernels.hollow_conv(
            F.silu(hidden),
            self.weight,
            self.bias,
            self.offset,
            self.time(t),
            source,
            self.kernel_size,
            periodic,
            precision,
        )


@register("network")
class LEC(StateReadout):
    """A hollow convolution of any depth: each layer convolves ``x``, weighted by the layer before.

    ``h_0 = W_0 ⋆ (1+t) x`` with weights of 0 at the centre, then
    ``h_l(p) = Σ_{j≠centre} w_l(p, j) x_{p+δ_j}`` with
    ``w_l(p, j, c) = silu(Σ_i A_l[c,j,i] silu(h_{l-1}(p))_i + b1_l[c,j]) + b2_l[c,j] + e_l(t)[j]``:
    site ``p`` reads ``h_{l-1}`` at ``p`` only, so no depth makes it read ``x_p``. Here
    ``x`` is one channel of ±1 for ``q = 2`` and a learned embedding of ``channels`` for more; for
    ``q = 2`` the readout is ``(1+t) ω``. Conditioned on ``t``, as published. Translation
    equivariant on periodic lattices, for every lattice larger than its radii; beyond an open edge
    ``x`` is 0. Local equivariance holds bit for bit where convolutions sum directly (torch on a CPU
    does).

    Args:
        model: gives ``q``, the number of dimensions and the boundaries.
        kernel_sizes: ``K`` of ``h_0, h_1, …``, odd; radii must be smaller than every periodic
            length.
        channels: number of channels of every layer.
        width: hidden width of the networks of ``t``.
        local_field: whether to add a learned multiple of ``Σ_j J_ij [x_j = a]``, which starts at
            0.2; False for the published form, which knows no couplings.
        zero_edges: whether ``W_0`` sees 0 beyond every edge, periodic or not, as in the published
            networks; then the network is not translation equivariant.
        precision: precision of the factors in the layers' matrix products, ``"float32"``,
            ``"tf32"`` or ``"bfloat16"``.
        seed: seed of the initial parameters.
        gauge: ``"heat_bath"`` for ``D`` in the place of ``G``, with rates ``[D_k]_+ p_k`` by the
            probabilities ``p`` of a heat bath, or ``"plain"``; see
            :func:`~leaps_triton.kernels.proposal_rates`.

    Call:
        ``network(configurations, conditions)`` → ``D`` (``G`` if plain) ``(walkers, q-1, *shape)``
        in the precision of the parameters.

    Raises:
        ValueError: If a size is below 1, a kernel size is even or too large, the precision is
            another one, or configurations have another dimension.

    References:
        Holderrieth, Albergo, Jaakkola, *LEAPS*, arXiv:2502.10843 (2025).

    Example:
        >>> import leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Potts((5, 5), q=3, beta=0.5))
        >>> network = lt.LEC(path.model, kernel_sizes=(3, 5), channels=4, width=8)
        >>> network(path.start.sample(torch.arange(2), seed=0), path.conditions(0.5)).shape
        torch.Size([2, 2, 5, 5])
    """

    def __init__(
        self,
        model: EnergyModel,
        kernel_sizes: Sequence[int] = (3, 5, 7),
        channels: int = 16,
        width: int = 64,
        local_field: bool = True,
        zero_edges: bool = False,
        precision: str = "float32",
        seed: int = 0,
        gauge: str = "heat_bath",
    ) -> None:
        several = isinstance(kernel_sizes, Sequence | np.ndarray)
        several = several and getattr(kernel_sizes, "ndim", 1) == 1 and len(kernel_sizes) > 0
        expect(several, "kernel_sizes", "odd and positive, at least one", kernel_sizes)
        sizes = [as_integer("kernel_sizes", size, 1) for size in kernel_sizes]
        odd = all(size % 2 for size in sizes)
        expect(odd, "kernel_sizes", "odd and positive, at least one", sizes)
        precision = kernels.as_precision("hollow_conv", precision)
        zero_edges = as_bool("zero_edges", zero_edges)
        channels = as_integer("channels", channels, 1)
        width = as_integer("width", width, 1)
        seed = as_seed(seed)
        super().__init__(
            model,
            channels,
            local_field,
            width=width,
            seed=seed,
            kernel_sizes=sizes,
            zero_edges=zero_edges,
            precision=precision,
            gauge=gauge,
        )
        self.precision = precision
        self.kernel_sizes = tuple(sizes)
        self.zero_edges = zero_edges
        self.check_shape(model.lattice.shape)
        self._make_layers(channels, width)
        self.initialise(seed)
        with torch.no_grad():
            # Every site has the same e(t): its taps add up to the order of one.
            for layer in self.layers:
                last = layer.get_submodule("time.4")
                assert isinstance(last, nn.Linear)
                last.weight.div_(math.sqrt(last.out_features))

    def _make_layers(self, channels: int, width: int) -> None:
        """Make all parameters, in the order in which files hold them and seeds draw them."""
        taps = (self.kernel_sizes[0],) * self.ndim
        # Two states are one channel of ±1; more are embedded.
        self.embedding: nn.Parameter | None = None
        inputs = 1
        if self.q > 2:
            self.embedding = nn.Parameter(torch.empty(self.q, channels))
            inputs = channels
        self.first = nn.Parameter(torch.empty(channels, inputs, *taps))
        self.layers = nn.ModuleList()
        for size in self.kernel_sizes[1:]:
            self.layers.append(_Layer(size, self.ndim, channels, width))
        # W_0 does not read the site itself.
        mask = torch.ones(taps)
        mask[(self.kernel_sizes[0] // 2,) * self.ndim] = 0.0
        self.mask: Tensor
        self.register_buffer("mask", mask, persistent=False)

    @property
    def reach(self) -> int | None:
        """The largest distance, in any direction, of a site that ``G`` reads; None for all.

        No depth adds to it.
        """
        if self.reads_all:
            return None
        return max(1, *(size // 2 for size in self.kernel_sizes))

    def check_shape(self, shape: Sequence[int]) -> None:
        """Refuse another dimension, and lattices that a kernel reaches around.

        Raises:
            ValueError: If the lattice is one of these.
        """
        super().check_shape(shape)
        for size in self.kernel_sizes:
            check_kernel(size, shape, self.periodic)

    def features(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        """Return ``h``, ``(walkers, sites, channels)``."""
        source = self._source(configurations)
        t = conditions.t.to(source.dtype).unsqueeze(1)
        # The factor of time in the published first layer.
        scale = (1.0 + t).view(-1, 1, *[1] * self.ndim)
        padded = scale * source
        radius = self.kernel_sizes[0] // 2
        for axis, wraps in enumerate(self.periodic):
            padded = pad(padded, axis + 2, radius, wraps and not self.zero_edges)
        # In full float32, so that the site's own state enters as exactly 0.
        with exact_convolutions():
            hidden = convolve(padded, self.first * self.mask)
        for layer in self.layers:
            hidden = layer(hidden, source, t, self.periodic, self.precision)
        if self.embedding is None:
            hidden = scale * hidden
        return hidden.flatten(2).transpose(1, 2)

    def _source(self, configurations: Tensor) -> Tensor:
        """Return ``x`` as channels, ``(walkers, 1 | channels, *shape)``."""
        if self.embedding is None:
            return embed(configurations, self.q, self.first.dtype)
        return self.embedding[configurations.long()].movedim(-1, 1).contiguous()
