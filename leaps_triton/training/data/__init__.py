"""Configurations to train on, and the random numbers of training."""

from .buffer import Batch

__all__ = ["Batch"]
