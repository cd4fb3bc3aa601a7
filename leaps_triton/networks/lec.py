"""The deep locally equivariant convolution of the LEAPS paper."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import kernels
from ..kernels.checks import as_integer, as_seed, expect
from ..kernels.hollow_network.reference import convolve, embed, exact_convolutions, pad
from ..registry import register
from .base import Conditions, LatticeModel, StateReadout, check_kernel

__all__ = ["LEC"]


class _Layer(nn.Module):
    """Parameters of one convolution whose kernel each site makes from its own activations."""

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
        """``h_l`` of ``h_{l-1}``, ``(walkers, channels, *shape)``."""
        tensors = (F.silu(hidden), self.weight, self.bias, self.offset, self.time(t), source)
        return kernels.hollow_conv(*tensors, self.kernel_size, periodic, precision)


@register("network")
class LEC(StateReadout):
    """Hollow convolution of any depth: each layer convolves ``x`` itself, by a kernel made from the
    layer before.

    ``h_0 = W_0 ⋆ (1+t) x`` with a hollow kernel, then ``h_l(p) = Σ_{j≠centre} w_l(p, j) x_{p+δ_j}``
    with ``w_l(p, j, c) = silu(Σ_i A_l[c,j,i] silu(h_{l-1}(p))_i + b1_l[c,j]) + b2_l[c,j] +
    e_l(t)[j]``: site ``p`` reads ``h_{l-1}`` at ``p`` only, so no depth makes it read ``x_p``. Here
    ``x`` is one channel of ±1 for ``q = 2`` and a learned embedding of ``channels`` for more; for
    ``q = 2`` the readout is ``(1+t) ω``. Conditioned on ``t``, as published. Translation
    equivariant on periodic lattices, for every lattice larger than its radii; beyond an open edge
    ``x`` is 0. Local equivariance holds bit for bit where convolutions sum directly (torch on a CPU
    does).

    Args:
        model: gives ``q``, the number of dimensions and the boundaries.
        kernel_sizes: ``K`` of ``h_0, h_1, …``, odd; radii must be smaller than every periodic
            length.
        channels: of every layer.
        width: hidden width of the networks of ``t``.
        local_field: add a learned multiple of ``Σ_j J_ij [x_j = a]``, which starts at 0.2; False
            for the published form, which knows no couplings.
        zero_edges: let ``W_0`` see 0 beyond every edge, periodic or not, as the published networks
            do; then the network is not translation equivariant.
        precision: of the factors in the layers' matrix products: ``"float32"``, ``"tf32"`` or
            ``"bfloat16"``.
        seed: of the initial parameters.

    Call:
        ``network(configurations, conditions)`` → ``G`` ``(walkers, q-1, *shape)`` in the precision
        of the parameters.

    Raises:
        ValueError: a size below 1, an even or too large kernel, another precision, or
            configurations of another dimension.

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
        model: LatticeModel,
        kernel_sizes: Sequence[int] = (3, 5, 7),
        channels: int = 16,
        width: int = 64,
        local_field: bool = True,
        zero_edges: bool = False,
        precision: str = "float32",
        seed: int = 0,
    ) -> None:
        several = isinstance(kernel_sizes, Sequence) and len(kernel_sizes) > 0
        expect(several, "kernel_sizes", "odd and positive, at least one", kernel_sizes)
        kernel_sizes = [as_integer("kernel_sizes", size, 1) for size in kernel_sizes]
        expect(
            all(size % 2 for size in kernel_sizes),
            "kernel_sizes",
            "odd and positive, at least one",
            kernel_sizes,
        )
        precision = kernels.as_precision("hollow_conv", precision)
        expect(isinstance(zero_edges, bool), "zero_edges", "a bool", zero_edges)
        channels, width, seed = (
            as_integer("channels", channels, 1),
            as_integer("width", width, 1),
            as_seed(seed),
        )
        options = {
            "kernel_sizes": list(kernel_sizes),
            "zero_edges": zero_edges,
            "precision": precision,
        }
        super().__init__(model, channels, local_field, width=width, seed=seed, **options)
        self.precision = precision
        self.kernel_sizes, self.zero_edges = tuple(kernel_sizes), zero_edges
        self.check_shape(model.lattice.shape)
        taps = (kernel_sizes[0],) * self.ndim
        self.embedding = None if self.q == 2 else nn.Parameter(torch.empty(self.q, channels))
        self.first = nn.Parameter(torch.empty(channels, 1 if self.q == 2 else channels, *taps))
        self.layers = nn.ModuleList(
            [_Layer(size, self.ndim, channels, width) for size in kernel_sizes[1:]]
        )
        mask = torch.ones(taps)
        mask[(kernel_sizes[0] // 2,) * self.ndim] = 0.0
        self.register_buffer("mask", mask, persistent=False)
        self.mask: Tensor
        self.initialise(seed)
        with torch.no_grad():
            # Every site has the same e(t): its taps add up to the order of one.
            for layer in self.layers:
                last = layer.get_submodule("time.4")
                assert isinstance(last, nn.Linear)
                last.weight.div_(math.sqrt(last.out_features))

    @property
    def reach(self) -> int:
        """Distance, in any direction, of the farthest site that ``G`` at a site reads; no depth
        adds to it.
        """
        return max(1, *(size // 2 for size in self.kernel_sizes))

    def check_shape(self, shape: Sequence[int]) -> None:
        """Refuse another dimension, and lattices that a kernel reaches around."""
        super().check_shape(shape)
        for size in self.kernel_sizes:
            check_kernel(size, shape, self.periodic)

    def features(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        """``h``, ``(walkers, sites, channels)``."""
        dtype = self.first.dtype
        if self.embedding is None:
            source = embed(configurations, self.q, dtype)
        else:
            source = self.embedding[configurations.long()].movedim(-1, 1).contiguous()
        t = conditions.t.to(dtype).unsqueeze(1)
        scale = (1.0 + t).view(-1, 1, *[1] * self.ndim)
        padded, radius = scale * source, self.kernel_sizes[0] // 2
        for axis, wraps in enumerate(self.periodic):
            padded = pad(padded, axis + 2, radius, wraps and not self.zero_edges)
        with exact_convolutions():
            hidden = convolve(padded, self.first * self.mask)
        for layer in self.layers:
            hidden = layer(hidden, source, t, self.periodic, self.precision)
        if self.embedding is None:
            hidden = scale * hidden
        return hidden.flatten(2).transpose(1, 2)
