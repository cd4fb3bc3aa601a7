"""Optimisers of training, and the per-sample gradients that one of them needs."""

from .sample_gradients import PerSample, SampleGradients, per_sample_gradients
from .spring import Spring, SpringInfo, centred, spring_direction

__all__ = [
    "PerSample",
    "SampleGradients",
    "Spring",
    "SpringInfo",
    "centred",
    "per_sample_gradients",
    "spring_direction",
]
