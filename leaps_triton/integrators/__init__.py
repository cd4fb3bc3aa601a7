"""Integrators take walkers through the intervals of a path, and weigh them."""

from .base import Boundary, Integrator, as_times
from .class_tables import ClassRates, class_rates, obstacle, steps
from .domains import Domains, DomainStep, advance, as_domain, count, divide, reach_of
from .flows.evaluation import WithoutNoise
from .flows.map_step import MapStep
from .flows.path_ratio import PathRatio
from .flows.runge_kutta import RungeKutta
from .flows.states import FlowInfo, FlowState, PathInfo, PathState
from .jump import Jump, JumpInfo
from .rates import (
    Evaluation,
    Rates,
    Reversible,
    as_reversible,
    evaluate,
    examine,
    in_rates,
    rates_of,
)
from .states import JumpState, LeapState, State
from .tau_leap import LeapInfo, TauLeap, leap_increment
from .transport import (
    AnyTransport,
    FlowingDrift,
    Memory,
    MidpointDrift,
    ParityDrift,
    PassingDrift,
    Tabulated,
    Transport,
    as_transport,
    clock_of,
    gauge_of,
    kind_of,
)

__all__ = [
    "AnyTransport",
    "Boundary",
    "ClassRates",
    "DomainStep",
    "Domains",
    "Evaluation",
    "FlowInfo",
    "FlowState",
    "FlowingDrift",
    "Integrator",
    "Jump",
    "JumpInfo",
    "JumpState",
    "LeapInfo",
    "LeapState",
    "MapStep",
    "Memory",
    "MidpointDrift",
    "ParityDrift",
    "PassingDrift",
    "PathInfo",
    "PathRatio",
    "PathState",
    "Rates",
    "Reversible",
    "RungeKutta",
    "State",
    "Tabulated",
    "TauLeap",
    "Transport",
    "WithoutNoise",
    "advance",
    "as_domain",
    "as_reversible",
    "as_times",
    "as_transport",
    "class_rates",
    "clock_of",
    "count",
    "divide",
    "evaluate",
    "examine",
    "gauge_of",
    "in_rates",
    "kind_of",
    "leap_increment",
    "obstacle",
    "rates_of",
    "reach_of",
    "steps",
]
