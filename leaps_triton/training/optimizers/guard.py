"""A watch over training: it stops before a bad step is taken."""

import math
from collections.abc import Sequence

from torch import Tensor, nn

from ..config import TrainingConfig
from ..history import TrainingDiverged, TrainingHistory

__all__ = ["Guard", "snapshot"]

_WINDOW = 20
"""Steps whose mean loss is watched."""

_EVERY = 50
"""Steps between two snapshots."""


def snapshot(network: nn.Module) -> dict[str, Tensor]:
    """Return a copy of all parameters and buffers."""
    # Cloned: a state dictionary shares its memory with the network.
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


class Guard:
    """Remembers good parameters, and the lowest mean loss.

    Attributes:
        good: the last parameters from before any sign of divergence.
        lowest: the lowest mean loss of 20 steps of a leg; infinite before there are so many.
    """

    def __init__(self, network: nn.Module, config: TrainingConfig) -> None:
        self._config = config
        self.good = snapshot(network)
        self.lowest = math.inf

    def check(self, network: nn.Module, loss: float, norm: float, history: TrainingHistory) -> None:
        """Let a step pass, or refuse it.

        Args:
            network: what is trained.
            loss: of the step that is about to be taken.
            norm: of its gradient.
            history: of all steps before, with the leg that the step is of.

        Raises:
            TrainingDiverged: the loss or its gradient is not finite, or the mean loss of 20 steps
                has grown beyond ``divergence`` times its lowest value, or times the first loss of
                the leg, or 1; with the loss ``"action_matching"``, whose sign may be any, beyond
                that value by ``divergence`` times its size, or 1.
        """
        step = len(history.loss)
        # Losses of an earlier leg were those of another learning rate.
        first = max(history.legs[-1].first, step - _WINDOW + 1)
        # The step to be taken is the last of the window.
        recent = [*history.loss[first:], loss]
        mean = sum(recent) / len(recent)
        # Asked for by itself: a comparison with NaN is false, and would let it pass.
        finite = math.isfinite(loss) and math.isfinite(norm)
        if not finite:
            self._refuse(f"loss {loss}, gradient {norm}", step, history)
        full = len(recent) == _WINDOW
        lowest = self.lowest
        if full:
            # A training that is lost at once has no low mean, but it had a first loss.
            lowest = min(lowest, max(history.loss[history.legs[-1].first], 1.0))
        signed = self._config.loss == "action_matching"
        limit = self._config.divergence * lowest
        if signed:
            # A loss that may be negative is measured from its lowest value, not from 0.
            limit = lowest + self._config.divergence * max(abs(lowest), 1.0)
        if mean > limit:
            grown = f"{mean / lowest:.3g} times its lowest"
            if signed:
                # Of signed numbers the quotient says nothing.
                grown = f"its lowest {lowest:.3g}, with a limit of {limit:.3g}"
            self._refuse(f"mean loss {mean:.3g}, {grown}", step, history)
        # The mean of fewer steps may be low by chance.
        if full:
            self.lowest = min(self.lowest, mean)
        # Not at every step: it copies all parameters.
        if step % _EVERY == 0:
            self.good = snapshot(network)

    def watch(
        self, modules: Sequence[nn.Module], loss: float, norm: float, history: TrainingHistory
    ) -> None:
        """Let a step pass as :meth:`check` does, or give modules their last good parameters.

        Args:
            modules: what is trained, and what follows it.
            loss: of the step that is about to be taken.
            norm: of its gradient.
            history: of all steps before.

        Raises:
            TrainingDiverged: the step is refused.
        """
        try:
            self.check(modules[0], loss, norm, history)
        except TrainingDiverged:
            for module in modules:
                module.load_state_dict(self.good)
            raise

    def _refuse(self, what: str, step: int, history: TrainingHistory) -> None:
        config = self._config
        # SPRING does not clip gradients, and may cap its steps.
        length = f"clip (now {config.clip:g})"
        if config.optimizer == "spring":
            length = f"norm_cap (now {config.norm_cap:g}, where 0 is none)"
        raise TrainingDiverged(
            f"training diverged at step {step} ({what}); lower learning_rate (now "
            f"{config.learning_rate:g}) or {length}, or raise warmup (now "
            f"{config.warmup}). The transport holds its last good parameters, and the exception's "
            f"history all steps before",
            history,
        )
