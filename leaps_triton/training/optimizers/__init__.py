"""Optimisers of training, and the per-sample gradients that one of them needs."""

from .gauss_newton import GaussNewtonStep
from .sample_gradients import PerSample, SampleGradients, per_sample_gradients
from .spring import Spring, SpringInfo, centred, spring_direction

__all__ = [
    "GaussNewtonStep",
    "PerSample",
    "SampleGradients",
    "Spring",
    "SpringInfo",
    "centred",
    "per_sample_gradients",
    "spring_direction",
]
