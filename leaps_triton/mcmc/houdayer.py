"""Houdayer's cluster move on pairs of walkers."""

from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from .. import kernels
from ..kernels import Stream
from ..kernels.checks import as_integer
from ..models.pair import PairModel
from ..paths.annealing import AnnealingPath
from ..registry import register
from .base import SweepInfo, SweepState, changed, pair_model
from .clusters import _inside

__all__ = ["Houdayer"]


@register("move")
@dataclass(frozen=True)
class Houdayer:
    """Houdayer's move: two walkers of the same temperature exchange a cluster of sites where they
    differ.

    Walkers are paired in their order, the first with the second and so on. Of the sites where the
    states of a pair differ one is drawn, and the sites that it is joined to through differing
    neighbours (over bonds with ``J ≠ 0``) are exchanged. Across the boundary of the cluster the
    pair agrees, so that the sum of the two energies stays the same, fields and all: nothing is ever
    rejected, for any pair model. Useful in two dimensions, where the clusters do not percolate, as
    in Edwards–Anderson models at low temperature.

    Alone not ergodic; take ``Compose(HeatBath(), Houdayer())``, also as the kernel of parallel
    tempering, where walkers are paired at equal temperatures. Refused in a
    :class:`~leaps_triton.samplers.sampler.Sampler`: it leaves ``ρ ⊗ ρ`` of a pair invariant, not
    the weighted law of each.

    At any one step the walkers of a pair are independent, once they have settled; but what one has
    now the other may have later, so that over many steps they are correlated. A chain's estimates
    therefore count a pair as one chain (``together``), and so must your own:
    ``chain_estimate(values, together=2)``.

    Args:
        clusters: exchanges of each pair a step, at least 1; each counts as a sweep in
            ``state.sweep``.

    Raises:
        ValueError: fewer than one cluster; at a step, an odd number of walkers, a pair at two
            times, a model that is no :class:`~leaps_triton.models.PairModel`.

    References:
        Houdayer, *A cluster Monte Carlo algorithm for 2-dimensional spin glasses*, Eur. Phys. J. B
        22, 479 (2001).

    Example:
        >>> import torch, leaps_triton as lt
        >>> model = lt.EdwardsAnderson((8, 8), beta=1.0, seed=1)
        >>> path, kernel, walkers = lt.AnnealingPath(model), lt.Houdayer(), torch.arange(6)
        >>> state = kernel.init(path.start.sample(walkers, seed=0), walkers)
        >>> after, info = kernel.step(state, path, t=1.0, seed=0)
        >>> sums = [model.energy(s.configurations).view(-1, 2).sum(1) for s in (state, after)]
        >>> torch.equal(*sums)
        True
    """

    clusters: int = 1

    together: ClassVar[int] = 2
    unweighted: ClassVar[str] = (
        "it exchanges clusters between walkers, which then no longer have weights of their own"
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "clusters", as_integer("clusters", self.clusters, 1))

    def reversed(self) -> Self:
        """The kernel reversed in time, which is the kernel itself."""
        return self

    def init(self, configurations: Tensor, walkers: Tensor) -> SweepState:
        """Chains that start from ``configurations``."""
        return SweepState(configurations, walkers, 0)

    def step(
        self, state: SweepState, path: AnnealingPath, t: Tensor | float, seed: int
    ) -> tuple[SweepState, SweepInfo]:
        """``clusters`` exchanges at time ``t`` of the path, a number or float64 ``(1 |
        walkers,)``.
        """
        model = pair_model(path.model, self)
        times = torch.as_tensor(t)
        if len(state.walkers) % 2:
            raise ValueError(
                f"Houdayer pairs walkers, so their number must be even, got {len(state.walkers)}"
            )
        if times.numel() > 1 and not torch.equal(times[::2], times[1::2]):
            raise ValueError("Houdayer pairs walkers 2w and 2w + 1, so t must be the same for both")
        before, pairs = state.configurations, state.walkers[::2]
        x, y = before[::2], before[1::2]
        for sweep in range(state.sweep, state.sweep + self.clusters):
            members = self._cluster(model, x != y, pairs, sweep, seed)
            x, y = torch.where(members, y, x), torch.where(members, x, y)
        after = torch.stack([x, y], dim=1).view_as(before)
        return SweepState(after, state.walkers, state.sweep + self.clusters), SweepInfo(
            changed(before, after)
        )

    def _cluster(
        self, model: PairModel, differ: Tensor, pairs: Tensor, sweep: int, seed: int
    ) -> Tensor:
        """Of the sites where each pair differs, those joined to a random one; bool ``(pairs,
        *shape)``.
        """
        coupling = model.tables(differ.device).coupling[0] != 0
        joined = [
            differ & differ.roll(-1, axis + 1) & coupling[axis if len(coupling) > 1 else 0]
            & _inside(model, axis, differ.device)
            for axis in range(model.lattice.ndim)
        ]  # fmt: skip
        labels = kernels.cluster_labels(torch.stack(joined, dim=1)).flatten(1)
        words = kernels.philox(seed, Stream.CLUSTER, 0, sweep, 2, pairs, differ.device)
        rank = differ.flatten(1).cumsum(1)
        # The first site of this rank; where nothing differs there is none, and the member is cut
        # off below.
        drawn = (words[0] * rank[:, -1] >> 32) + 1
        site = (rank < drawn.unsqueeze(1)).sum(1, keepdim=True).clamp(max=rank.shape[1] - 1)
        return (labels == labels.gather(1, site)).view_as(differ) & differ
