"""What integrators ask of a transport, and answers for one that offers no more than its call."""

from .answers import AnyTransport, as_transport
from .offers import (
    FlowingDrift,
    LoneDrift,
    Memory,
    MidpointDrift,
    ParityDrift,
    PassingDrift,
    Tabulated,
    Transport,
    clock_of,
    gauge_of,
    kind_of,
    precision_of,
)

__all__ = [
    "AnyTransport",
    "FlowingDrift",
    "LoneDrift",
    "Memory",
    "MidpointDrift",
    "ParityDrift",
    "PassingDrift",
    "Tabulated",
    "Transport",
    "as_transport",
    "clock_of",
    "gauge_of",
    "kind_of",
    "precision_of",
]
