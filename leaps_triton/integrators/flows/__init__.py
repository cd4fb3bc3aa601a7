"""Integrators that follow a drift: maps with exact Jacobians, and ratios of Gaussian steps."""
