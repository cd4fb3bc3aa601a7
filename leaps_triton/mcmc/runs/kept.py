"""Observables that were not measured on the way, of configurations that were kept."""

from collections.abc import Mapping

from torch import Tensor

from ...kernels.checks import nearest
from ...models.base import Model
from ...observables.base import check_function, is_of_pairs, is_of_replicas, title_of
from ...observables.measuring import Measurable, check_pairs, check_value, rows_of

__all__ = ["as_measurable", "measured_of"]


def as_measurable(
    observable: Measurable | str, measured: Mapping[str, Measurable], kept: Tensor | None
) -> Measurable:
    """Return the observable, if it can be measured of the configurations that were kept.

    Args:
        observable: or its name.
        measured: what was measured on the way, by name.
        kept: configurations of every draw; None if they were not kept.

    Raises:
        ValueError: it cannot.
    """
    if isinstance(observable, str):
        name = observable
    else:
        name = title_of(observable)
        if kept is not None and not is_of_replicas(observable):
            check_function(observable)
            return observable
    known = f"only {', '.join(measured) or 'nothing'}"
    if name in measured:
        known = "but another function of that name; ask for that by its name"
    others = [other for other in measured if other != name]
    raise ValueError(
        f"{name} was not measured, {known}; give it to run_chain as one of observables=, or "
        f"keep_configurations=True{nearest(name, others)}"
    )


def measured_of(kept: Tensor, model: Model, observable: Measurable) -> Tensor:
    """Return an observable of every draw, float64 ``(rows, draws)`` or ``(rows, draws, k)``.

    Args:
        kept: configurations, ``(walkers, draws, *shape)``.
        model: the target.
        observable: of walkers, or of pairs of them.
    """
    walkers = len(kept)
    draws = kept.shape[1]
    name = title_of(observable)
    if is_of_pairs(observable):
        check_pairs(name, walkers)
        # The pairs that a run measures on its way: walkers 2w and 2w + 1, at the same draw.
        first = kept[::2].flatten(0, 1)
        second = kept[1::2].flatten(0, 1)
        flat = observable(first, second, model)
    else:
        flat = observable(kept.flatten(0, 1), model)
    rows = rows_of(observable, walkers)
    check_value(name, flat, rows * draws)
    return flat.double().view(rows, draws, *flat.shape[1:])
