"""What an optimiser is asked for, what it answers, and what it must offer."""

from typing import NamedTuple, Protocol

from torch import Tensor

from ..data.buffer import Batch
from ..data.draws import Draws
from ..residuals import Physics

__all__ = ["Proposal", "Request", "Step"]


class Proposal(NamedTuple):
    """What is known of a step before it is taken."""

    loss: float
    """The mean variance of residuals at equal times, or another loss of the configuration"""
    norm: float
    """Of the gradient before it is clipped; of SPRING's ``δ``"""


class Request(NamedTuple):
    """What a step is made from."""

    batch: Batch
    draws: Draws
    """Random numbers of the step"""
    huber: float | None
    """``δ`` of Huber's loss; None for the square"""
    weights: Tensor | None
    """What residuals at each time are multiplied by, ``(times,)``; None for 1"""
    first: int = 0
    """Number of the first walker, where the batch is a part of a larger one"""

    def part(self, number: int, count: int) -> "Request":
        """Return one of so many equal parts of the batch, each of some of its times."""
        batch = self.batch
        times, walkers = batch.configurations.shape[:2]
        rows = times // count
        chosen = slice(number * rows, (number + 1) * rows)
        weights = self.weights
        if weights is not None:
            weights = weights[chosen]
        members = batch.members
        if members is not None:
            members = members[chosen]
        physics = batch.physics
        if physics is not None:
            physics = Physics(physics.change[chosen], physics.score[chosen])
        some = Batch(batch.configurations[chosen], batch.t[chosen], members, physics=physics)
        first = self.first + chosen.start * walkers
        return self._replace(batch=some, weights=weights, first=first)


class Step(Protocol):
    """What moves the parameters: it proposes, and moves them if it is told to."""

    def propose(self, request: Request) -> Proposal:
        """Compute a step, without moving any parameter."""
        ...

    def take(self, rate: float) -> None:
        """Move the parameters as was proposed, at a learning rate."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Return what the next step depends on, by names for a file."""
        ...

    def damage(self, state: dict[str, Tensor]) -> str:
        """Return what of a file's state does not fit; empty if all does."""
        ...

    def load(self, state: dict[str, Tensor]) -> None:
        """Take up where :meth:`state` was read."""
        ...
