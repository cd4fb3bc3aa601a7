"""How a Markov chain measures observables: of walkers, of pairs of walkers, of replicas."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from torch import Tensor

from ..kernels.checks import expect, nearest, shown
from .base import check_function, entered, is_of_pairs, is_of_replicas, title_of
from .replicas import Ladder, at_betas

__all__ = ["Measurable", "check_pairs", "check_value", "measure", "named", "rows_of", "together_of"]


Measurable: TypeAlias = Callable[..., Tensor]
"""An observable of configurations, of pairs of walkers or of replicas."""


def named(
    observables: Sequence[Measurable | str] | Mapping[str, Measurable],
    ladder: Ladder | None = None,
) -> dict[str, Measurable]:
    """Return observables by name.

    Args:
        observables: functions and names of the library's, or a mapping from names to functions.
        ladder: the temperatures of a chain with replicas, where ``energy_at_betas`` and the like
            are names too.

    Raises:
        ValueError: something else, an unknown name, a function without a name, a name twice.
    """
    is_mapping = isinstance(observables, Mapping)
    listed = isinstance(observables, Sequence) and not isinstance(observables, str | bytes)
    wanted = "a list of functions and names, or a mapping from names to functions"
    expect(is_mapping or listed, "observables", wanted, observables)
    if isinstance(observables, Mapping):
        by_hand = all(isinstance(n, str) and callable(f) for n, f in observables.items())
        expect(by_hand, "observables", "a mapping from names to functions", observables)
        for function in observables.values():
            check_function(function)
        return dict(observables)
    found: dict[str, Measurable] = {}
    for given in observables:
        name = given if isinstance(given, str) else title_of(given)
        if name == "<lambda>":
            raise ValueError(
                "observables must have names, and a lambda has none; give {'name': lambda x, "
                "model: …}"
            )
        if name in found:
            raise ValueError(
                f"two observables are called {name}; give a mapping from names to observables"
            )
        found[name] = _known(given, ladder)
    return found


def _known(given: Measurable | str, ladder: Ladder | None) -> Measurable:
    """Return the function, or the library's observable of that name."""
    if ladder is not None:
        lifted = at_betas(given, ladder)
        if lifted is not None:
            return lifted
    library = entered()
    known = callable(given)
    if isinstance(given, str):
        known = given in library
    single = [n for n, f in library.items() if not is_of_pairs(f) and not is_of_replicas(f)]
    others = [n for n in library if n not in single]
    wanted = f"one of {', '.join(single + others)}, or a function"
    if not known:
        raise ValueError(
            f"observable must be {wanted}, got {shown(given)}{nearest(given, library)}"
        )
    if isinstance(given, str):
        return library[given]
    check_function(given)
    return given


def measure(observable: Measurable, state: Any, model: Any) -> Tensor:
    """Return the observable of the walkers of a chain as they are.

    Args:
        observable: of walkers, of pairs or of replicas.
        state: of the move.
        model: the target, or what is shared of it.
    """
    if is_of_pairs(observable):
        # With Houdayer's move these are its own pairs, so that rows stay independent.
        return observable(state.configurations[::2], state.configurations[1::2], model)
    if is_of_replicas(observable):
        return observable(state.replicas, model)
    return observable(state.configurations, model)


def rows_of(observable: Measurable, walkers: int) -> int:
    """Return how many rows of values there are: one per walker, or one per pair of them."""
    if is_of_pairs(observable):
        return walkers // 2
    return walkers


def together_of(observable: Measurable, together: int) -> int:
    """Return how many consecutive rows of values are correlated with one another.

    Args:
        observable: of walkers, of pairs or of replicas.
        together: how many consecutive walkers are correlated.
    """
    if is_of_pairs(observable):
        # Groups of walkers and pairs of them overlap in their least common multiple.
        return math.lcm(together, 2) // 2
    return together


def check_pairs(name: str, walkers: int) -> None:
    """Raise a ValueError unless walkers can be compared two by two.

    Raises:
        ValueError: an odd number of walkers.
    """
    if walkers % 2:
        raise ValueError(
            f"observable {name} compares walkers two by two, so their number must be even, "
            f"got {walkers}"
        )


def check_value(name: str, value: Tensor, rows: int, axes: int = 2) -> None:
    """Raise a ValueError unless an observable returned what it must.

    Args:
        name: of the observable.
        value: what it returned.
        rows: how many rows there must be.
        axes: how many axes there may be; one more at several temperatures.

    Raises:
        ValueError: no real numbers of shape ``(rows,)`` or ``(rows, k)``.
    """
    real = isinstance(value, Tensor) and not value.is_complex()
    if not real or value.ndim not in (1, 2, 3)[:axes] or len(value) != rows:
        raise ValueError(
            f"the observable {name} must return ({rows},) or ({rows}, k), got {shown(value)}"
        )
