"""Memory that holds no results of earlier calls, so that a number left unwritten is seen."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["poisoned"]


@contextmanager
def poisoned() -> Iterator[None]:
    """Fill new memory with NaN or the largest integer, so that a result left unwritten is seen."""
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before, warn_only=warn_only)
