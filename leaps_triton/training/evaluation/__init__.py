"""What training is judged by: fresh weighted walkers, and residuals on held-out samples."""

from .held_out import HeldOut, Judgement, row_weights, scales, time_density

__all__ = ["HeldOut", "Judgement", "row_weights", "scales", "time_density"]
