"""Networks with the symmetries of their model: hollow inputs, layers, growth and transfer."""

from .conv import SymmetricConv

__all__ = ["SymmetricConv"]
