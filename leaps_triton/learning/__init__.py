"""Learning of models from data, and mean-field theories of them."""

from .tap import TapGradient, TapResult, tap

__all__ = ["TapGradient", "TapResult", "tap"]
