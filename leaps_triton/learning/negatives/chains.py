"""Walkers of equal weight: those that start from data at every step, and those that go on."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from ...kernels import Stream, philox
from ...kernels.checks import as_integer
from ...mcmc.base import Move, as_move
from .base import Family, Negative
from .seeds import Purpose, derived_seed
from .starts import as_learning_move
from .weighed import Handling, WeighedWalkers, moved

__all__ = ["FromData", "Persistent"]


class Chains(NamedTuple):
    """Walkers without weights."""

    walkers: WeighedWalkers
    """Where they are"""
    data: Tensor
    """What they start from anew, ``(samples, *shape)``; empty where they go on"""
    seed: int
    """Of their random numbers"""


@dataclass(frozen=True)
class FromData(Negative):
    """Takes walkers that start from data at every step and are moved a few times (CD-k).

    Contrastive divergence: cheap, of little noise, and biased, since walkers that start from data
    say nothing of modes where there are none.

    Args:
        sweeps: steps of the move, at least 1.
        walkers: rows of data drawn for each step, with replacement; None to start from each row.
        mcmc: move; None for a sweep of :class:`~leaps_triton.HeatBath`, or for real fields what
            :func:`~leaps_triton.default_move` has.

    Raises:
        ValueError: fewer than one sweep or walker; no move.

    References:
        Hinton, *Training products of experts by minimizing contrastive divergence*, Neural
        Computation 14, 1771 (2002).

    Example:
        >>> from leaps_triton.learning import FromData
        >>> FromData(sweeps=10)
        FromData(sweeps=10, walkers=None, mcmc=None)
    """

    sweeps: int = 1
    walkers: int | None = None
    mcmc: Move | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "sweeps", as_integer("sweeps", self.sweeps, 1))
        if self.walkers is not None:
            object.__setattr__(self, "walkers", as_integer("walkers", self.walkers, 1, 2**30))
        if self.mcmc is not None:
            as_move("mcmc", self.mcmc)

    def settled(self, family: Family, theta: Tensor) -> "FromData":
        """Return the same with its move."""
        return replace(self, mcmc=as_learning_move(self.mcmc, family.at(theta)).own)

    def begin(self, family: Family, theta: Tensor, data: Tensor, seed: int) -> Chains:
        """Return walkers that were moved from data at the first parameters."""
        count = self.walkers
        if count is None:
            count = len(data)
        none = torch.zeros(count, dtype=torch.float64)
        begun = WeighedWalkers.begin(data[:1].expand(count, *data.shape[1:]), none)
        chains = Chains(begun, data, derived_seed(seed, Purpose.WALKERS))
        return self._from_data(family, theta, chains)

    def step(self, family: Family, before: Tensor, after: Tensor, state: Chains) -> Chains:
        """Return walkers that were moved from data at the new parameters."""
        return self._from_data(family, after, state)

    def moments(self, family: Family, theta: Tensor, state: Chains) -> Tensor:
        """Return the means of the walkers, float64 ``(parameters,)``."""
        return family.moments(state.walkers.configurations, theta)

    def _from_data(self, family: Family, theta: Tensor, state: Chains) -> Chains:
        """Return walkers that start from data and were moved."""
        rows = state.data
        if self.walkers is not None:
            rows = rows_of(state.data, self.walkers, state.seed, state.walkers.sweep)
        walkers = state.walkers._replace(configurations=family.configurations(rows))
        handling = Handling(as_move("mcmc", self.mcmc), state.seed)
        for _ in range(self.sweeps):
            walkers = moved(family, walkers, theta, handling)
        return state._replace(walkers=walkers)


@dataclass(frozen=True)
class Persistent(Negative):
    """Takes walkers that go on from step to step, of equal weight (PCD).

    They follow the model as long as their move does: between modes that it does not join their
    numbers stay what they were, and the gradient drives the model to and fro.
    :class:`~leaps_triton.learning.Jarzynski` weighs them.

    Args:
        walkers: their number.
        mcmc: move made once per step; None for a sweep of :class:`~leaps_triton.HeatBath`, or for
            real fields what :func:`~leaps_triton.default_move` has.

    Raises:
        ValueError: fewer than one walker; no move.

    References:
        Tieleman, *Training restricted Boltzmann machines using approximations to the likelihood
        gradient*, ICML (2008).

    Example:
        >>> from leaps_triton.learning import Persistent
        >>> Persistent(walkers=500)
        Persistent(walkers=500, mcmc=None)
    """

    walkers: int = 1000
    mcmc: Move | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "walkers", as_integer("walkers", self.walkers, 1, 2**30))
        if self.mcmc is not None:
            as_move("mcmc", self.mcmc)

    def settled(self, family: Family, theta: Tensor) -> "Persistent":
        """Return the same with its move."""
        return replace(self, mcmc=as_learning_move(self.mcmc, family.at(theta)).own)

    def begin(self, family: Family, theta: Tensor, data: Tensor, seed: int) -> Chains:
        """Return walkers that start from rows of the data, moved once at the first parameters."""
        rows = rows_of(data, self.walkers, derived_seed(seed, Purpose.START), 0)
        none = torch.zeros(self.walkers, dtype=torch.float64)
        begun = WeighedWalkers.begin(family.configurations(rows), none)
        chains = Chains(begun, data[:0], derived_seed(seed, Purpose.WALKERS))
        return self.step(family, theta, theta, chains)

    def step(self, family: Family, before: Tensor, after: Tensor, state: Chains) -> Chains:
        """Return the walkers after a move at the new parameters."""
        handling = Handling(as_move("mcmc", self.mcmc), state.seed)
        return state._replace(walkers=moved(family, state.walkers, after, handling))

    def moments(self, family: Family, theta: Tensor, state: Chains) -> Tensor:
        """Return the means of the walkers, float64 ``(parameters,)``."""
        return family.moments(state.walkers.configurations, theta)


def rows_of(data: Tensor, count: int, seed: int, event: int) -> Tensor:
    """Return rows of the data, drawn independently.

    Args:
        data: ``(samples, *shape)``.
        count: how many.
        seed: in [0, 2³²).
        event: another one for each time that rows are drawn.
    """
    slots = torch.arange(count)
    words = philox(seed, Stream.TRAIN, slots, event, 0, 0)[0]
    rows = words * len(data) >> 32
    return data[rows.to(data.device)]
