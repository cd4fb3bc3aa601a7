"""Mean-field theories: Plefka's expansion of log Z in couplings at fixed means."""

from .base import Equations
from .machines import MachineEquations
from .results import MachineTapResult, TapGradient, TapResult
from .spins import SpinEquations
from .tap import tap

__all__ = [
    "Equations",
    "MachineEquations",
    "MachineTapResult",
    "SpinEquations",
    "TapGradient",
    "TapResult",
    "tap",
]
