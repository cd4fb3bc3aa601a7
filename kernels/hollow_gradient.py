"""Tmp."""

from .hollow_reference import hollow_values_gradient
