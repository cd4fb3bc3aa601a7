"""Where chains begin, found from their draws, and what is left of them from there on."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ...estimators.trust.beginning import Beginning, find_beginning
from ...observables.base import function_of
from ...observables.measuring import Measurable
from ...observables.replicas import inner_of

__all__ = ["begun"]


def _found(values: Mapping[str, Tensor], measured: Mapping[str, Measurable]) -> Beginning:
    """Return where a chain may begin, by all that was measured, at each temperature apart."""
    series = {}
    functions = {}
    owners = {}
    for name, value in values.items():
        observable = measured[name]
        inner = inner_of(observable)
        parts = [value]
        if inner is not None:
            parts = list(value.unbind(2))
            observable = inner
        for place, part in enumerate(parts):
            key = f"{name} {place}"
            series[key] = part
            functions[key] = function_of(observable)
            owners[key] = name
    found = find_beginning(series, functions)
    return found._replace(observable=owners.get(found.observable, ""))


def begun(
    fields: Mapping[str, Any], measured: Mapping[str, Measurable], beginning: Beginning | None
) -> dict[str, Any]:
    """Return the fields of a chain that change where its first draws are left out.

    Args:
        fields: of a :class:`Chain` of all draws, by name.
        measured: name → observable.
        beginning: where the chain is known to begin; None to find it.
    """
    values = fields["values"]
    kept = fields["kept"]
    if beginning is None:
        beginning = _found(values, measured)
    first = beginning.draw
    if kept is not None:
        kept = kept[:, first:]
    steps = first * fields["thin"]
    return {
        "beginning": beginning,
        "early": {name: value[:, :first] for name, value in values.items()},
        "values": {name: value[:, first:] for name, value in values.items()},
        "kept": kept,
        "burn_in": fields["burn_in"] + steps,
        "sweeps": fields["sweeps"] - steps,
    }
