"""The locally equivariant multilayer perceptron of the LEAPS paper: one dense hollow layer."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..kernels.checks import as_integer, as_seed
from ..kernels.hollow_network.reference import embed
from ..models.base import Conditions, EnergyModel
from ..registry import register
from .base import StateReadout, as_channels, time_network

__all__ = ["LEM"]


@register("network")
class LEM(StateReadout):
    """A dense hollow layer, ``h_i = silu(g(t) W x + b + e(t))_i``: ``W`` maps no site to itself.

    One layer, since two dense hollow layers would let ``x_i`` return to ``i`` through the others.
    ``W`` joins all pairs of sites, ``channels · N²`` weights (``q`` times as many for ``q > 2``),
    so the network is for one lattice shape and not translation equivariant; it is the baseline of
    the paper, for small lattices. Local equivariance holds bit for bit: the products with ``x_i``
    are exactly 0.

    Args:
        model: gives ``q``, the shape and the boundaries.
        channels: number of values of ``h_i``.
        width: hidden width of the network of ``t`` and ``β_t``.
        local_field: whether to add a learned multiple of ``Σ_j J_ij [x_j = a]``, which starts at
            0.2.
        seed: seed of the initial parameters.
        gauge: ``"heat_bath"`` for ``D`` in the place of ``G``, with rates ``[D_k]_+ p_k`` by the
            probabilities ``p`` of a heat bath, or ``"plain"``; see
            :func:`~leaps_triton.kernels.proposal_rates`.

    Call:
        ``network(configurations, conditions)`` → ``D`` (``G`` if plain) ``(walkers, q-1, *shape)``
        in the precision of the parameters.

    Raises:
        ValueError: If a size is below 1, or configurations have another shape.

    References:
        Holderrieth, Albergo, Jaakkola, *LEAPS*, arXiv:2502.10843 (2025).

    Example:
        >>> import leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Potts((3, 4), q=3, beta=0.5))
        >>> network = lt.LEM(path.model, channels=4, width=8)
        >>> network(path.start.sample(torch.arange(2), seed=0), path.conditions(0.5)).shape
        torch.Size([2, 2, 3, 4])
    """

    on_graphs = True

    def __init__(
        self,
        model: EnergyModel,
        channels: int = 16,
        width: int = 32,
        local_field: bool = True,
        seed: int = 0,
        gauge: str = "heat_bath",
    ) -> None:
        channels = as_integer("channels", channels, 1)
        width = as_integer("width", width, 1)
        seed = as_seed(seed)
        super().__init__(model, channels, local_field, width=width, seed=seed, gauge=gauge)
        self.shape = model.lattice.shape
        sites = model.lattice.sites
        embedded = as_channels(self.q)
        self.weight = nn.Parameter(torch.empty(channels * sites, embedded, sites))
        self.bias = nn.Parameter(torch.empty(channels * sites))
        self.time = time_network(width, 2 * channels)
        # 0 between a site and itself.
        mask = 1.0 - torch.eye(sites).repeat(channels, 1).unsqueeze(1)
        self.mask: Tensor
        self.register_buffer("mask", mask, persistent=False)
        self.initialise(seed)

    def check_shape(self, shape: Sequence[int]) -> None:
        """Refuse another shape than the model's.

        Raises:
            ValueError: If the shape is another one.
        """
        super().check_shape(shape)
        if tuple(shape) != self.shape:
            raise ValueError(
                f"a LEM has weights for one lattice, {self.shape}, got {tuple(shape)}; make one "
                f"for it, or take another network"
            )

    def features(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        """Return ``h``, ``(walkers, sites, channels)``."""
        x = embed(configurations, self.q, self.bias.dtype)
        sites = x[0, 0].numel()
        weight = (self.weight * self.mask).flatten(1)
        hidden = F.linear(x.flatten(1), weight).view(len(x), -1, sites)
        # Time scales and shifts what a site hears of the others.
        time = self.time(self.time_input(conditions, x.dtype))
        gain, shift = time.unsqueeze(2).chunk(2, dim=1)
        bias = self.bias.view(hidden.shape[1:])
        return F.silu((1.0 + gain) * hidden + bias + shift).transpose(1, 2)
