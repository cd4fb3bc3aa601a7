"""How many chains run for how long."""

import math
from dataclasses import dataclass
from typing import Any, Literal

from ...kernels.checks import as_integer, as_seed

__all__ = ["ChainSettings"]


@dataclass(frozen=True)
class ChainSettings:
    """How many chains run for how long; checked when it is made.

    Attributes:
        walkers: number of chains.
        sweeps: steps of the move after the burn-in.
        thin: steps from one measurement to the next.
        seed: in [0, 2³²).
        burn_in: steps before, not measured; None for a tenth of ``sweeps``; ``"auto"`` for none,
            and a beginning that is found afterwards.
    """

    walkers: int
    sweeps: int
    thin: int = 1
    seed: int = 0
    burn_in: int | Literal["auto"] | None = None

    def __post_init__(self) -> None:
        sweeps = as_integer("sweeps", self.sweeps, 1)
        checked: dict[str, Any] = {
            "walkers": as_integer("walkers", self.walkers, 1),
            "sweeps": sweeps,
            "thin": as_integer("thin", self.thin, 1),
            "seed": as_seed(self.seed),
        }
        if sweeps < checked["thin"]:
            raise ValueError(
                f"sweeps must be at least thin, or nothing is measured, got {sweeps} and "
                f"{checked['thin']}"
            )
        # Rounded up, so that the shortest run has a step of burn-in too.
        checked["burn_in"] = math.ceil(sweeps / 10)
        if self.automatic:
            checked["burn_in"] = "auto"
        elif self.burn_in is not None:
            checked["burn_in"] = as_integer("burn_in", self.burn_in, 0)
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def automatic(self) -> bool:
        """Return whether the beginning is to be found from the draws."""
        return isinstance(self.burn_in, str) and self.burn_in == "auto"

    @property
    def draws(self) -> int:
        """Return the number of measurements per walker."""
        # Steps after the last whole multiple of thin would go unmeasured, and are not made.
        return self.sweeps // self.thin
