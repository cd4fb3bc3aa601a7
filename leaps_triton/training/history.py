"""What a training run leaves behind."""

import math
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

    def rate(self, step: int, warmup: int) -> float:
        """Return the learning rate of a step: a linear rise times a cosine that falls to 0.

        Args:
            step: steps before this one, of the whole training.
            warmup: steps of the rise.
        """
        done = step - self.first
        # From 1 on: at 0 the first step would move nothing.
        rise = min(1.0, (done + 1) / max(1, warmup))
        fall = 0.5 * (1.0 + math.cos(math.pi * done / self.steps))
        return self.learning_rate * rise * fall


@dataclass(repr=False)
class TrainingHistory:
    """Records what happened in training.

    Lists named ``evaluation_*`` have one entry per evaluation by fresh walkers, those named
    ``held_out_*`` one per evaluation on held-out samples, but for ``held_out_t``; ``legs``,
    ``log_z_exact``, ``trace_t`` and what is of nodes are what is said below, and the others have
    one entry per step.

    Attributes:
        log_z_exact: the exact log Z alone, since an evaluation found it; nothing where it is not
            known.
        evaluation_variance_trace: ``Var[A]`` on reaching each of ``trace_t``, per evaluation.
        trace_t: times at which walkers are weighed.
        held_out_variance: ``v(t) = Var[ξ_t]`` at each of ``held_out_t``, per evaluation.
        held_out_integral: ``∫ v dt``.
        held_out_corrector: mean of κ there, which vanishes on samples of ``ρ_t``.
        held_out_corrector_error: its standard error.
        held_out_members: ``∫ v dt`` of each model of a family, the sampler's first, per evaluation;
            nothing where one is trained alone. All else is then their mean.
        test_step: steps at which residuals of nodes were measured: before the first, at every
            evaluation, and at the end; nothing where no nodes are trained on.
        test_residual: root mean square of ``ξ_t - c_t`` over ``∫ dt ρ_t``, on fresh nodes that no
            step has seen, with all kinds of residuals that are trained.
        node_residual: the same on the nodes that are trained on; far below the other where they are
            too few.
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
    log_z_exact: list[float] = field(default_factory=list)
    evaluation_variance_trace: list[list[float]] = field(default_factory=list)
    trace_t: list[float] = field(default_factory=list)
    held_out_step: list[int] = field(default_factory=list)
    held_out_t: list[float] = field(default_factory=list)
    held_out_variance: list[list[float]] = field(default_factory=list)
    held_out_integral: list[float] = field(default_factory=list)
    held_out_corrector: list[list[float]] = field(default_factory=list)
    held_out_corrector_error: list[list[float]] = field(default_factory=list)
    held_out_members: list[list[float]] = field(default_factory=list)
    test_step: list[int] = field(default_factory=list)
    test_residual: list[float] = field(default_factory=list)
    node_residual: list[float] = field(default_factory=list)
    legs: list[Leg] = field(default_factory=list)

    @property
    def evaluation_log_z_pull(self) -> list[float]:
        """Return the error of log Z in standard errors, per evaluation; nothing if not known."""
        if not self.log_z_exact:
            return []
        pulls: list[float] = []
        pairs = zip(self.evaluation_log_z, self.evaluation_log_z_error, strict=True)
        for value, error in pairs:
            difference = value - self.log_z_exact[0]
            pull = math.nan
            # A single block that was resampled has no error.
            if error > 0.0:
                pull = difference / error
            pulls.append(pull)
        return pulls

    def __repr__(self) -> str:
        parts = [f"steps={len(self.loss)}"]
        last = {
            "loss": self.loss,
            "held_out_integral": self.held_out_integral,
            "evaluation_ess": self.evaluation_ess,
            "test_residual": self.test_residual,
        }
        for name, values in last.items():
            if values:
                parts.append(f"last {name}={values[-1]:.4g}")
        return f"TrainingHistory({', '.join(parts)})"

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
