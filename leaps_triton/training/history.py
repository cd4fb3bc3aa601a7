"""What a training run leaves behind."""

from dataclasses import asdict, dataclass, field

__all__ = ["TrainingDiverged", "TrainingHistory"]


@dataclass
class TrainingHistory:
    """Records what happened in training.

    Lists named ``evaluation_*`` have one entry per evaluation, the others one per step.
    """

    loss: list[float] = field(default_factory=list)
    gradient_norm: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    evaluation_step: list[int] = field(default_factory=list)
    evaluation_ess: list[float] = field(default_factory=list)
    evaluation_log_weight_variance: list[float] = field(default_factory=list)
    evaluation_log_z: list[float] = field(default_factory=list)
    evaluation_log_z_error: list[float] = field(default_factory=list)

    def as_dict(self) -> dict[str, list[float]]:
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
