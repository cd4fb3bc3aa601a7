"""Weights packed once while they do not change, instead of at every evaluation."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from torch import Tensor

__all__ = ["packed", "packed_once"]

T = TypeVar("T")

_KEPT: ContextVar[dict[Any, tuple[Sequence[Tensor], Any]] | None] = ContextVar(
    "leaps_triton packed weights", default=None
)
"""What was packed while the innermost context lasts, with the tensors that it was made of."""


@contextmanager
def packed_once() -> Iterator[None]:
    """Let :func:`packed` make each thing once while the context lasts, in which no weight changes.

    A context within another keeps its own: what a CUDA graph packs must be packed at each launch,
    in memory of the graph.
    """
    token = _KEPT.set({})
    try:
        yield
    finally:
        _KEPT.reset(token)


def packed(make: Callable[[], T], weights: Sequence[Tensor], *settings: Any) -> T:
    """Return what ``make`` makes of some weights, made once within :func:`packed_once`.

    Args:
        make: It must depend on nothing but the weights and the settings.
        weights: Told apart by where their numbers lie, and by torch's count of the writes there.
        settings: Whatever else decides what is made; hashable.
    """
    kept = _KEPT.get()
    # Torch counts no writes into what it makes in inference mode.
    if kept is None or any(weight.is_inference() for weight in weights):
        return make()
    key = (settings, tuple(_identity(weight) for weight in weights))
    if key not in kept:
        # The weights are kept too, so that no others come to lie where they are.
        kept[key] = (tuple(weights), make())
    made: T = kept[key][1]
    return made


def _identity(weight: Tensor) -> tuple[Any, ...]:
    place = (weight.data_ptr(), weight._version, weight.dtype, weight.device)
    return (*place, tuple(weight.shape), weight.stride())
