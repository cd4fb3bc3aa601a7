"""Integrators take walkers through the intervals of a path, and weigh them."""

from .base import Integrator, as_times
from .class_tables import ClassRates, Tabulated, class_rates, obstacle, steps
from .domains import Domains, DomainStep, advance, as_domain, count, divide, reach_of
from .jump import Jump, JumpInfo, JumpState, State
from .rates import Evaluation, Rates, Transport, evaluate, examine, in_rates, rates_of
from .tau_leap import LeapInfo, LeapState, TauLeap, leap_increment

__all__ = [
    "ClassRates",
    "DomainStep",
    "Domains",
    "Evaluation",
    "Integrator",
    "Jump",
    "JumpInfo",
    "JumpState",
    "LeapInfo",
    "LeapState",
    "Rates",
    "State",
    "Tabulated",
    "TauLeap",
    "Transport",
    "advance",
    "as_domain",
    "as_times",
    "class_rates",
    "count",
    "divide",
    "evaluate",
    "examine",
    "in_rates",
    "leap_increment",
    "obstacle",
    "rates_of",
    "reach_of",
    "steps",
]
