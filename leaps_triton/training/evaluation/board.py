"""Curves of a training in TensorBoard, as it goes on."""

from pathlib import Path
from typing import Any

from ..history import TrainingHistory

__all__ = ["Board"]

_OF_STEPS = ("loss", "gradient_norm", "learning_rate")
"""Curves with a point per step."""

_OF_EVALUATIONS = (
    "evaluation_ess",
    "evaluation_log_weight_variance",
    "evaluation_log_z",
)
"""Curves with a point per evaluation."""


class Board:
    """Writes what a history gains into a folder that TensorBoard reads.

    Args:
        folder: where; it is made if there is none.
        history: what was before is not written again.

    Raises:
        ImportError: TensorBoard is not installed; it names the extra.
    """

    def __init__(self, folder: str | Path, history: TrainingHistory) -> None:
        # Here, not above: few need it.
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ImportError(
                "tensorboard= needs TensorBoard; install it by pip install "
                "'leaps_triton[tensorboard]'"
            ) from error
        self._writer: Any = SummaryWriter(str(folder))
        self._steps = len(history.loss)
        self._evaluations = len(history.evaluation_step)
        self._judged = len(history.held_out_step)

    def write(self, history: TrainingHistory) -> None:
        """Write all that has been added to a history since the last call."""
        for index in range(self._steps, len(history.loss)):
            for name in _OF_STEPS:
                self._writer.add_scalar(f"step/{name}", getattr(history, name)[index], index + 1)
        for index in range(self._evaluations, len(history.evaluation_step)):
            step = history.evaluation_step[index]
            for name in _OF_EVALUATIONS:
                short = name.removeprefix("evaluation_")
                value = getattr(history, name)[index]
                self._writer.add_scalar(f"evaluation/{short}", value, step)
            if history.log_z_exact:
                pull = history.evaluation_log_z_pull[index]
                self._writer.add_scalar("evaluation/pull of log_z", pull, step)
        for index in range(self._judged, len(history.held_out_step)):
            step = history.held_out_step[index]
            integral = history.held_out_integral[index]
            self._writer.add_scalar("held out/integral of v", integral, step)
            for t, v in zip(history.held_out_t, history.held_out_variance[index], strict=True):
                self._writer.add_scalar(f"held out/v at t = {t:.3f}", v, step)
        self._steps = len(history.loss)
        self._evaluations = len(history.evaluation_step)
        self._judged = len(history.held_out_step)

    def close(self) -> None:
        """Write what is left, and close the file."""
        self._writer.close()
