"""Several moves one after another, as one."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from ..paths.annealing import AnnealingPath
from ..registry import register
from ..renamed import warn_renamed
from .base import BaseMove, Move, SweepState, as_move, begin, changed

__all__ = ["Compose", "ComposeInfo"]


class ComposeInfo(NamedTuple):
    """What one step of :class:`Compose` did."""

    changed: Tensor
    """Fraction of sites whose value changed, float32 ``(walkers,)``"""
    parts: tuple[Any, ...]
    """The info of every move"""


@register("move")
@dataclass(frozen=True, init=False)
class Compose(BaseMove):
    """Makes several moves one after another, as one step.

    They share one count of sweeps, so that none repeats the random numbers of another.

    Args:
        moves: at least one, each with a :class:`~leaps_triton.mcmc.SweepState` (all but parallel
            tempering, which takes a composition as its move).

    Raises:
        ValueError: no move; at ``init``, a move with a state of its own kind.

    Example:
        >>> import torch, leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Ising((8, 8), beta=0.4))
        >>> move, walkers = lt.Compose(lt.HeatBath(), lt.Wolff(clusters=5)), torch.arange(3)
        >>> state = move.init(path.start.sample(walkers, seed=0), walkers)
        >>> state, info = move.step(state, path, t=1.0, seed=0)
        >>> len(info.parts)
        2
    """

    moves: tuple[Move, ...]

    def __init__(self, *moves: Move) -> None:
        if not moves:
            raise ValueError("Compose needs at least one move, got none")
        for move in moves:
            as_move("moves", move)
        object.__setattr__(self, "moves", moves)

    @property
    def kernels(self) -> tuple[Move, ...]:
        """Return the moves, by their former name."""
        warn_renamed("Compose.kernels", "Compose.moves")
        return self.moves

    @property
    def _parts(self) -> list[BaseMove]:
        return [as_move("moves", move) for move in self.moves]

    @property
    def unweighted(self) -> str:
        """Return the reason of the first move that has one; empty if none has."""
        reasons = [part.unweighted for part in self._parts if part.unweighted]
        return "".join(reasons[:1])

    @property
    def confined(self) -> str:
        """Return the reason of the first move; empty if any of the moves is ergodic."""
        reasons = [part.confined for part in self._parts]
        if all(reasons):
            return reasons[0]
        return ""

    @property
    def irreversible(self) -> str:
        """Return the reason of the first move that has one; empty if none has."""
        reasons = [part.irreversible for part in self._parts if part.irreversible]
        return "".join(reasons[:1])

    @property
    def together(self) -> int:
        """Return the least common multiple of the moves' numbers of walkers."""
        # A group of the whole must hold whole groups of every move.
        return math.lcm(*(part.together for part in self._parts))

    def reversed(self) -> "Compose":
        """Return the moves reversed in time, in the opposite order."""
        # With respect to one invariant law, (P Q)* = Q* P*.
        backwards = [part.reversed() for part in self._parts[::-1]]
        return Compose(*backwards)

    def init(self, configurations: Tensor, walkers: Tensor) -> SweepState:
        """Return the state of chains that start from ``configurations``."""
        states = [begin(move, configurations, walkers, self) for move in self.moves]
        return states[0]

    def step(
        self, state: SweepState, path: AnnealingPath, t: Tensor | float, seed: int
    ) -> tuple[SweepState, ComposeInfo]:
        """Return the walkers after one step of each move, and what each did.

        Args:
            state: walkers of the chain.
            path: the annealing path.
            t: time on the path, a number or float64 ``(1 | walkers,)``.
            seed: in [0, 2³²).
        """
        before = state.configurations
        infos: list[Any] = []
        for move in self.moves:
            state, info = move.step(state, path, t, seed)
            infos.append(info)
        # From beginning to end: a site that one move changes and another restores does not count.
        return state, ComposeInfo(changed(before, state.configurations), tuple(infos))
