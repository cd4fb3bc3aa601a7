"""Exact values on graphs."""

from .two_classes import class_moments, class_obstacle, class_sample

__all__ = ["class_moments", "class_obstacle", "class_sample"]
