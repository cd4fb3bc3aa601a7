"""The ``leaps-triton`` command."""

from .main import main

__all__ = ["main"]
