"""What a move of a Markov chain is: it leaves ``ρ_t`` invariant at fixed ``t``."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

from ..estimators.trust.cautions import warn_at_call
from ..kernels.checks import as_integer, expect
from ..kernels.clusters.reference import changed
from ..models.base import Model
from ..models.energy_only import as_given
from ..models.pair import PairModel, is_pair_model
from ..models.varied import BETA, Varied
from ..paths.annealing import AnnealingPath
from .states import Lowest, SweepInfo, SweepState

__all__ = [
    "BaseMove",
    "Kernel",
    "Lowest",
    "Move",
    "NotErgodicWarning",
    "SweepInfo",
    "SweepState",
    "as_move",
    "begin",
    "changed",
    "pair_model",
    "since",
    "warn_confined",
]


class NotErgodicWarning(UserWarning):
    """Says that a chain may never reach some configurations, so that its means leave them out."""


class Move(Protocol):
    """What leaves ``ρ_t`` invariant: ``init`` once, then ``step`` by step.

    The state has at least ``configurations``, ``walkers`` and ``sweep``, the same as
    :class:`SweepState`. A move of a user's own needs these two methods; it may also have what
    :class:`BaseMove` answers: ``reversed()``, ``unweighted``, ``together``, ``ergodic`` and
    ``ladder()``.
    """

    def init(self, configurations: Tensor, walkers: Tensor) -> Any:
        """Return the state of chains that start from ``configurations``.

        Args:
            configurations: ``(walkers, *shape)``.
            walkers: their global indices, int64 ``(walkers,)``.
        """
        ...

    def step(
        self, state: Any, path: AnnealingPath, t: Tensor | float, seed: int
    ) -> tuple[Any, Any]:
        """Return the state after a step, and what it did.

        Args:
            state: of ``init``, or of the step before.
            path: the annealing path.
            t: time on the path, a number or float64 ``(1 | walkers,)``.
            seed: in [0, 2³²).
        """
        ...


Kernel = Move
"""The former name of :class:`Move`."""


class BaseMove(ABC):
    """The base of the library's moves: each walker for itself, reversible, with a SweepState."""

    @property
    def together(self) -> int:
        """Return how many consecutive walkers the move correlates with one another."""
        return 1

    @property
    def unweighted(self) -> str:
        """Return why weighted walkers cannot be moved by it; empty if they can."""
        return ""

    @property
    def confined(self) -> str:
        """Return why some configurations may never be reached, and the mend; empty if all are."""
        return ""

    @property
    def ergodic(self) -> bool:
        """Return whether the move claims to be ergodic, whatever couplings, fields and β ≥ 0 are.

        That is: every configuration is reached from every other, and each stays what it is in a
        step with some probability. So all are reached in every even number of steps too; and what
        is composed of such a move and any others that leave ``ρ`` invariant is ergodic as well. For
        let ``C`` be closed under the composition. The other moves take no set into one of less
        probability, so the ergodic one leads from ``C`` to nothing more than ``C`` (which it
        contains, as all may stay), and ``C`` is everything.
        """
        return not self.confined

    @property
    def rowwise(self) -> bool:
        """Return whether a walker's step is the same to the last bit, whoever is moved beside it.

        So it is where decisions are comparisons of random words with thresholds of the walker's
        own. Matrix products and the like may round otherwise in another batch.
        """
        return False

    @property
    def irreversible(self) -> str:
        """Return why there is no ``reversed()``; empty if there is."""
        return ""

    def obstacle(self, state: Any) -> str:
        """Return why chains in this state cannot have mixed; empty if there is no sign of it.

        Args:
            state: of the move after the last draw.
        """
        return ""

    @property
    def own(self) -> Any:
        """Return the move as the user gave it, which is the move itself."""
        return self

    @property
    def each(self) -> Any:
        """Return what moves each replica, as the user gave it: the move itself."""
        return self.own

    def check_model(self, model: Any) -> None:  # noqa: B027
        """Raise a ValueError if the move can move no configuration of a completed model."""

    def settled(self, model: Any, before: Any = None, walkers: int | None = None) -> Any:
        """Return the move with all that its user did not name, as the user gave it.

        Args:
            model: the target, from which a default follows.
            before: the move of a run that goes on, which keeps what it had; None for a new run.
            walkers: of a block, or of all chains; None where neither is known.
        """
        return self.own

    def left_open(self) -> Any:
        """Return the move with what follows from a model left open, for one of another model."""
        return self.own

    @property
    def follows_fields(self) -> bool:
        """Return whether it is right where fields change on a path; see ``path.model_at``."""
        return False

    @property
    def exchange(self) -> bool:
        """Return whether replicas at several temperatures are exchanged."""
        return False

    def ladder(self, beta: float) -> tuple[float, ...]:
        """Return the inverse temperatures of replicas of a model at ``beta``: that alone."""
        return (beta,)

    def varied(self, model: Any) -> Varied:
        """Return by what the replicas of a model differ: by their inverse temperatures.

        Args:
            model: the target.
        """
        return Varied(BETA, self.ladder(model.beta))

    def reversed(self) -> Any:
        """Return the move reversed in time, ``ρ(y) P(y → x) / ρ(x)``, which is the move itself."""
        return self

    def init(self, configurations: Tensor, walkers: Tensor) -> Any:
        """Return the state of chains that start from ``configurations``."""
        return SweepState(configurations, walkers, 0)

    def lowest(self, state: Any, info: Any) -> Lowest | None:
        """Return the lowest energies that a step came by; None if it looked at none.

        Args:
            state: after the step.
            info: what it did.
        """
        return None

    def advance(
        self, state: Any, path: AnnealingPath, t: Tensor | float, seed: int
    ) -> tuple[Any, Lowest | None]:
        """Return the state after a step, and the lowest energies that it came by.

        It is for those who do not ask what else the step did, which takes time to find.

        Args:
            state: of ``init``, or of the step before.
            path: the annealing path.
            t: time on the path, a number or float64 ``(1 | walkers,)``.
            seed: in [0, 2³²).
        """
        after, info = self.step(state, path, t, seed)
        return after, self.lowest(after, info)

    @property
    def tells_acceptance(self) -> bool:
        """Return whether its steps tell how probably what they propose is accepted."""
        return False

    def accepted(self, info: Any) -> Tensor:
        """Return how probably what a step proposed was accepted, ``(walkers,)``.

        Args:
            info: what the step did.

        Raises:
            NotImplementedError: the move does not tell.
        """
        raise NotImplementedError

    @abstractmethod
    def step(
        self, state: Any, path: AnnealingPath, t: Tensor | float, seed: int
    ) -> tuple[Any, Any]:
        """Return the state after a step at time ``t`` of the path, and what it did."""


@dataclass(frozen=True)
class UserMove(BaseMove):
    """A move of a user's own, with the answers that it may leave out.

    Attributes:
        given: what the user gave.
    """

    given: Any

    @property
    def together(self) -> int:
        """Return the move's own answer, else 1."""
        return as_integer("move.together", getattr(self.given, "together", 1), 1)

    @property
    def rowwise(self) -> bool:
        """Return the move's own answer, else False."""
        return bool(getattr(self.given, "rowwise", False))

    @property
    def follows_fields(self) -> bool:
        """Return the move's own answer, else False."""
        return bool(getattr(self.given, "follows_fields", False))

    @property
    def unweighted(self) -> str:
        """Return the move's own answer, else none."""
        return str(getattr(self.given, "unweighted", ""))

    @property
    def confined(self) -> str:
        """Return that the move's own answer is not to be ergodic; empty if it has none."""
        if getattr(self.given, "ergodic", True):
            return ""
        name = type(self.given).__name__
        return f"{name} says that it is not ergodic; take Compose(HeatBath(), {name}(...))"

    @property
    def irreversible(self) -> str:
        """Return why there is no ``reversed()``; empty if there is."""
        if hasattr(self.given, "reversed"):
            return ""
        return f"{type(self.given).__name__} has no reversed()"

    @property
    def own(self) -> Any:
        """Return the move as the user gave it."""
        return self.given

    def ladder(self, beta: float) -> tuple[float, ...]:
        """Return the move's own answer, else ``beta`` alone."""
        if not hasattr(self.given, "ladder"):
            return (beta,)
        return tuple(self.given.ladder(beta))

    def reversed(self) -> "UserMove":
        """Return the move reversed in time.

        Raises:
            ValueError: the move has no ``reversed()``.
        """
        if self.irreversible:
            raise ValueError(f"the move cannot be reversed in time: {self.irreversible}")
        return UserMove(self.given.reversed())

    def init(self, configurations: Tensor, walkers: Tensor) -> Any:
        """Return the state of chains that start from ``configurations``."""
        return self.given.init(configurations, walkers)

    def step(
        self, state: Any, path: AnnealingPath, t: Tensor | float, seed: int
    ) -> tuple[Any, Any]:
        """Return the state after a step at time ``t`` of the path, and what it did."""
        after, info = self.given.step(state, path, t, seed)
        return after, info


def as_move(name: str, move: object) -> BaseMove:
    """Return ``move`` with all answers of a :class:`BaseMove`, whoever wrote it.

    Args:
        name: what the argument is called in an error.
        move: one of the library, or an object with ``init`` and ``step``.

    Raises:
        ValueError: no move.
    """
    if isinstance(move, BaseMove):
        return move
    methods = callable(getattr(move, "init", None)) and callable(getattr(move, "step", None))
    # A class is no object yet, and an integrator has both methods too, but enters intervals.
    accepted = methods and not isinstance(move, type) and not hasattr(move, "enter")
    expect(accepted, name, "a move such as HeatBath(sweeps=1)", move)
    return UserMove(move)


def since(default: Any, before: Any, always: bool = True) -> Any:
    """Return a field that a move did not have in files of earlier versions.

    Files hold it, be it the default or not, so that the default may change.

    Args:
        default: of a new move.
        before: what a file without it means.
        always: whether files hold that value too; without, those of a move that does as before say
            what they always said.
    """
    return field(default=default, metadata={"before": before, "always": always})


def warn_confined(move: object, about: str = "the chain") -> None:
    """Give a NotErgodicWarning if a move does not claim to be ergodic, at the user's own line.

    Args:
        move: one of the library or of a user's own.
        about: what the message says it of.
    """
    reason = as_move("move", move).confined
    if not reason:
        return
    message = f"{about} may never reach some configurations: {reason}"
    warn_at_call(message, NotErgodicWarning)


def begin(move: Any, configurations: Tensor, walkers: Tensor, user: object) -> SweepState:
    """Return the state of a move within another, ``user``.

    Raises:
        ValueError: a state of the move's own kind.
    """
    state = move.init(configurations, walkers)
    if not isinstance(state, SweepState):
        within = type(user).__name__
        raise ValueError(
            f"{within} takes moves with a SweepState, and {type(move).__name__} has a state of "
            f"its own; put {within} into it"
        )
    return state


def pair_model(model: Model, move: object) -> PairModel:
    """Return ``model``, if its energy is that of its bond and site tables.

    Raises:
        ValueError: another model; the error names the move.
    """
    if not is_pair_model(model):
        # A user's own energy is wrapped, and known by the name of what is in the wrapper.
        name = type(as_given(model)).__name__
        other = "take HeatBath"
        if model.dtype.is_floating_point:
            other = "take lt.HMC or lt.Langevin"
        raise ValueError(
            f"{type(move).__name__} needs a PairModel, whose bonds it can tell apart, got {name}; "
            f"{other}"
        )
    return model
