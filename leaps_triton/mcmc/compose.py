"""Several moves one after another, as one; and the move of chains whose user names none."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from ..kernels.checks import expect
from ..models.energy_only import as_given, complete
from ..models.fields import is_phi_four
from ..models.pair import PairModel, is_pair_model
from ..paths.annealing import AnnealingPath
from ..registry import register
from ..renamed import warn_renamed
from .base import BaseMove, Lowest, Move, SweepState, as_move, begin, changed
from .clusters import SwendsenWang
from .fields import HMC, SignCluster
from .sweeps import HeatBath, Metropolis

__all__ = ["Compose", "ComposeInfo", "default_move", "settled"]


_SWEEPS = 4
"""Sweeps of Metropolis before each update of all clusters, which costs more than they do."""


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
        ValueError: no move, or a list of moves; at ``init``, a move with a state of its own kind.

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
        first: object = moves[0]
        # The types themselves: a move may be a NamedTuple.
        listed = type(first) in (list, tuple)
        expect(not listed, "moves", "given one by one, as in Compose(*moves)", first)
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
    def rowwise(self) -> bool:
        """Return whether all of the moves are."""
        return all(part.rowwise for part in self._parts)

    @property
    def follows_fields(self) -> bool:
        """Return whether all of the moves do."""
        return all(part.follows_fields for part in self._parts)

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

    def check_model(self, model: Any) -> None:
        """Raise a ValueError if one of the moves can move no configuration of a model.

        Args:
            model: the target, completed.
        """
        for part in self._parts:
            part.check_model(model)

    def settled(self, model: Any, before: Any = None, walkers: int | None = None) -> "Compose":
        """Return the same moves, each with all that its user did not name.

        Args:
            model: the target.
            before: the move of a run that goes on; None for a new run.
            walkers: of a block, or of all chains; None where neither is known.
        """
        earlier: tuple[Any, ...] = (None,) * len(self.moves)
        if isinstance(before, Compose) and len(before.moves) == len(self.moves):
            earlier = before.moves
        pairs = zip(self._parts, earlier, strict=True)
        return Compose(*(part.settled(model, old, walkers) for part, old in pairs))

    def left_open(self) -> "Compose":
        """Return the same moves, each with what follows from a model left open."""
        return Compose(*(part.left_open() for part in self._parts))

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

    @property
    def tells_acceptance(self) -> bool:
        """Return whether any of the moves does."""
        return any(part.tells_acceptance for part in self._parts)

    def accepted(self, info: ComposeInfo) -> Tensor:
        """Return the answer of the first move that tells.

        Args:
            info: what the step did.
        """
        pairs = zip(self._parts, info.parts, strict=True)
        told = [part.accepted(own) for part, own in pairs if part.tells_acceptance]
        return told[0]

    def advance(
        self, state: SweepState, path: AnnealingPath, t: Tensor | float, seed: int
    ) -> tuple[SweepState, Lowest | None]:
        """Return the walkers after one step of each move, as :meth:`step` does, and None."""
        for part in self._parts:
            state, _ = part.advance(state, path, t, seed)
        return state, None


def default_move(model: Any) -> BaseMove:
    """Return the move of chains whose user names none: it follows from the model alone.

    Sweeps are of :class:`Metropolis` at q = 2, which forgets up to twice as fast as
    :class:`HeatBath` at the same cost, and of :class:`HeatBath` for more states, where it is the
    other way round, or where a model brings sweeps of its own.

    Without field and frustration, that is for ferromagnets, and at q = 2 for antiferromagnets on
    two sublattices, four sweeps are followed by an update of :class:`SwendsenWang`. Its clusters
    are what orders, so that neither critical slowing down nor the walls between domains at low
    temperature hold it up; the sweeps forget what is small, and cost less than the clusters.

    Real fields of a :class:`~leaps_triton.PhiFour` take :class:`HMC` and an update of
    :class:`SignCluster`, which crosses between the two signs; those of another target with a
    ``force`` take :class:`HMC` with one mass for all sites.

    All are ergodic at every β. Figures: ``experiments/benchmarks/default_moves.py``. Chains record
    their move, and a file that is gone on with keeps its own, should the default change.

    Args:
        model: any :class:`~leaps_triton.models.EnergyModel`.

    Raises:
        ValueError: floating-point configurations without a force, which need a move of their own.

    Example:
        >>> import leaps_triton as lt
        >>> [type(move).__name__ for move in lt.default_move(lt.Ising((8, 8), 0.44)).moves]
        ['Metropolis', 'SwendsenWang']
        >>> lt.default_move(lt.EdwardsAnderson((8, 8), beta=1.0, seed=0))
        Metropolis(sweeps=1, backward=False, rest=0.125, packed=None)
    """
    found = complete(model)
    if is_phi_four(found):
        return Compose(HMC(), SignCluster())
    if found.dtype.is_floating_point:
        # A user's target may lack it.
        if callable(getattr(found, "force", None)):
            return HMC(fourier=False)
        raise ValueError(
            f"configurations of {type(as_given(found)).__name__} are {found.dtype}, which moves "
            f"of the library move by a force; add force(configurations) to it, or give a move of "
            f"your own"
        )
    if is_pair_model(found):
        if _orders(found):
            return Compose(_local(found.q, _SWEEPS), SwendsenWang())
        return _local(found.q)
    # Sweeps of a user's own need not rest as the library's Metropolis does.
    if as_given(found) is found:
        return HeatBath()
    return _local(found.q)


def _local(q: int, sweeps: int = 1) -> BaseMove:
    """Return the sweeps that forget fastest with ``q`` states per site."""
    if q == 2:
        return Metropolis(sweeps)
    return HeatBath(sweeps)


def settled(
    move: Move | None, model: Any, before: Move | None = None, walkers: int | None = None
) -> Any:
    """Return a move with all that its user did not name.

    Args:
        move: what the user named; None for nothing.
        model: the target, from which a default follows; it may be None beside ``before``.
        before: the move of a run that goes on, which keeps what it had; None for a new run.
        walkers: of a block, or of all chains; None where neither is known.
    """
    if move is not None:
        return as_move("move", move).settled(model, before, walkers)
    if before is not None:
        return before
    return default_move(model).settled(model, None, walkers)


def _orders(model: PairModel) -> bool:
    """Return whether clusters can be exchanged, no field acts, and all bonds agree with an order.

    The order is that of equal states; at q = 2 also that of opposite ones on two sublattices.
    """
    if not model.symmetry or bool(model.site_table.any()):
        return False
    # What an energy gains where neighbours are equal, whichever the other state is.
    contrast = model.bond_table[0, 0] - model.bond_table[0, 1:]
    gains = model.interactions.couplings().unsqueeze(1) * contrast
    if bool((gains >= 0.0).all()):
        return True
    return model.q == 2 and model.lattice.num_colours == 2 and bool((gains <= 0.0).all())
