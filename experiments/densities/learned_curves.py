"""Curves of densities that are learned, with the drifts that follow them."""

from dataclasses import dataclass
from typing import Any

from known_targets import Known

import leaps_triton as lt
from leaps_triton.bench.timing import Clock

LEARNED = ("drift", "free path", "Máté–Fleuret", "gradient flow")
"""Methods that are trained."""

INTERVALS = (10, 20, 40)
"""Of maps along a drift, among which a pilot chooses."""


@dataclass(frozen=True)
class Trained:
    """A training: samplers that share what it has made, and what it took."""

    samplers: dict[str, lt.Sampler]
    seconds: float
    told: dict[str, Any]
