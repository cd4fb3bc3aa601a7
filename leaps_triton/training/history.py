"""What a training run leaves behind."""

from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

__all__ = ["Leg", "TrainingDiverged", "TrainingHistory"]


class Leg(NamedTuple):
    """A part of a training in which the learning rate rises and falls once."""

    first: int
    """Steps before it"""
    steps: int
    """Steps that it is planned to have; the next leg may begin sooner"""
    learning_rate: float
    """At its peak"""

    @property
    def last(self) -> int:
        """Return the number of steps in all at its planned end."""
        return self.first + self.steps


@dataclass
class TrainingHistory:
    """Records what happened in training.

    Lists named ``evaluation_*`` have one entry per evaluation, the others one per step, but for
    ``legs``.

    Attributes:
        legs: one per schedule of the learning rate, the first from step 0 on. Training that is
            extended begins another.
    """

    loss: list[float] = field(default_factory=list)
    gradient_norm: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    evaluation_step: list[int] = field(default_factory=list)
    evaluation_ess: list[float] = field(default_factory=list)
    evaluation_log_weight_variance: list[float] = field(default_factory=list)
    evaluation_log_z: list[float] = field(default_factory=list)
    evaluation_log_z_error: list[float] = field(default_factory=list)
    legs: list[Leg] = field(default_factory=list)

    def as_dict(self) -> dict[str, list[Any]]:
        """Return plain lists, ready for JSON."""
        return asdict(self)


class TrainingDiverged(RuntimeError):
    """Says that the loss is not finite or has exploded; the transport keeps good parameters.

    Attributes:
        history: everything up to the failure.
    """

    def __init__(self, message: str, history: TrainingHistory) -> None:
        super().__init__(message)
        self.history = history
