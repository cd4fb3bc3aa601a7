"""Houdayer's cluster move on pairs of walkers."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .. import kernels
from ..kernels import Stream
from ..kernels.checks import as_integer
from ..models.pair import PairModel
from ..paths.annealing import AnnealingPath
from ..registry import register
from .base import BaseMove, SweepInfo, SweepState, changed, pair_model

__all__ = ["Houdayer"]


@register("move")
@dataclass(frozen=True)
class Houdayer(BaseMove):
    """Exchanges a cluster of sites where two walkers of one temperature differ (Houdayer's move).

    Walkers are paired in their order, the first with the second and so on. Of the sites where the
    states of a pair differ one is drawn, and the sites that it is joined to through differing
    neighbours (over bonds with ``J ≠ 0``) are exchanged. Across the boundary of the cluster the
    pair agrees, so that the sum of the two energies stays the same, fields and all: nothing is ever
    rejected, for any pair model. Useful in two dimensions, where the clusters do not percolate, as
    in Edwards–Anderson models at low temperature.

    Alone it is not ergodic; take ``Compose(HeatBath(), Houdayer())``, also as the move of parallel
    tempering, where walkers are paired at equal temperatures. A
    :class:`~leaps_triton.samplers.sampler.Sampler` refuses it: it leaves ``ρ ⊗ ρ`` of a pair
    invariant, not the weighted law of each.

    At any one step the walkers of a pair are independent, once they have settled; but what one has
    now the other may have later, so that over many steps they are correlated. A chain's estimates
    therefore count a pair as one chain (``together``), and so must your own:
    ``chain_estimate(values, together=2)``.

    Args:
        clusters: exchanges of each pair per step, at least 1; each counts as a sweep in
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
        >>> path, move, walkers = lt.AnnealingPath(model), lt.Houdayer(), torch.arange(6)
        >>> state = move.init(path.start.sample(walkers, seed=0), walkers)
        >>> after, info = move.step(state, path, t=1.0, seed=0)
        >>> sums = [model.energy(s.configurations).view(-1, 2).sum(1) for s in (state, after)]
        >>> torch.equal(*sums)
        True
    """

    clusters: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "clusters", as_integer("clusters", self.clusters, 1))

    @property
    def together(self) -> int:
        """Return 2: the walkers of a pair are correlated with one another."""
        return 2

    @property
    def unweighted(self) -> str:
        """Return why weighted walkers cannot be moved by it."""
        return (
            "it exchanges clusters between walkers, which then no longer have weights of their own"
        )

    @property
    def confined(self) -> str:
        """Return why it is not ergodic."""
        return (
            "Houdayer exchanges the states of a pair of walkers and makes no new ones; take "
            "Compose(HeatBath(), Houdayer())"
        )

    def step(
        self, state: SweepState, path: AnnealingPath, t: Tensor | float, seed: int
    ) -> tuple[SweepState, SweepInfo]:
        """Return the walkers after ``clusters`` exchanges, and the fraction of sites that changed.

        Args:
            state: walkers of the chain.
            path: the annealing path.
            t: time on the path, a number or float64 ``(1 | walkers,)``.
            seed: in [0, 2³²).

        Raises:
            ValueError: an odd number of walkers, a pair at two times, no pair model.
        """
        model = pair_model(path.model, self)
        times = torch.as_tensor(t)
        if len(state.walkers) % 2:
            raise ValueError(
                f"Houdayer pairs walkers, so their number must be even, got {len(state.walkers)}"
            )
        if times.numel() > 1 and not torch.equal(times[::2], times[1::2]):
            raise ValueError("Houdayer pairs walkers 2w and 2w + 1, so t must be the same for both")
        before = state.configurations
        # One draw for both walkers: the index of the first is the walker word of the counter.
        pairs = state.walkers[::2]
        x = before[::2]
        y = before[1::2]
        for sweep in range(state.sweep, state.sweep + self.clusters):
            members = self._cluster(model, x != y, pairs, sweep, seed)
            # The pair exchanges its states at the members.
            old = x
            x = torch.where(members, y, old)
            y = torch.where(members, old, y)
        moved = torch.stack([x, y], dim=1).view_as(before)
        after = SweepState(moved, state.walkers, state.sweep + self.clusters)
        return after, SweepInfo(changed(before, moved))

    def _cluster(
        self, model: PairModel, differ: Tensor, pairs: Tensor, sweep: int, seed: int
    ) -> Tensor:
        """Return which sites are joined to a random one of those where a pair differs.

        Args:
            model: the target.
            differ: where each pair differs, bool ``(pairs, *shape)``.
            pairs: global index of the first walker of each pair.
            sweep: event counter of the random numbers.
            seed: in [0, 2³²).

        Returns:
            bool ``(pairs, *shape)``.
        """
        # A bond with J = 0 has no energy to preserve, so that clusters may end there.
        labels = model.interactions.parts(differ, model.tables(differ.device))
        words = kernels.philox(seed, Stream.CLUSTER, 0, sweep, 2, pairs, differ.device)
        # Differing sites are numbered 1, 2, … in their order, so that one of them can be drawn.
        rank = differ.flatten(1).cumsum(1)
        # The first site of this rank; where nothing differs there is none, and the member is cut
        # off below.
        drawn = (words[0] * rank[:, -1] >> 32) + 1
        site = (rank < drawn.unsqueeze(1)).sum(1, keepdim=True).clamp(max=rank.shape[1] - 1)
        return (labels == labels.gather(1, site)).view_as(differ) & differ
