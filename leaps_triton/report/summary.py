"""Tables of results: value ± error, exact value and pull of every observable of a run."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Protocol

from .. import exact
from .. import observables as _observables
from ..estimators.autocorrelation import ChainEstimate
from ..estimators.jackknife import Estimate

__all__ = ["LABELS", "known", "label", "measure", "names_of", "render", "title"]


LABELS = {
    "energy": "energy / site",
    "abs_magnetization": "|m|",
    "susceptibility": "susceptibility",
    "specific_heat": "specific heat",
    "binder": "Binder cumulant",
}

"""Observables of the tables, and what they are called there."""


_FEW = 2**16

_UPDATES = 2**28


class _Run(Protocol):
    """What is read of an ensemble, of a run of weighted walkers, or of a chain."""

    @property
    def model(self) -> Any: ...

    def estimate(self, observable: Any) -> Any: ...


def label(name: str) -> str:
    """What an observable is called in tables."""
    return LABELS.get(name, name.replace("_", " "))


def title(model: Any) -> str:
    """What a model is called in a legend, without its temperature.

    Example:
        >>> from leaps_triton import Potts
        >>> title(Potts((6, 8), q=3, beta=1.0))
        'Potts q = 3, 6 × 8'
    """
    name = type(model).__name__.replace("EdwardsAnderson", "Edwards–Anderson")
    states = f" q = {model.q}" if name in ("Potts", "Clock", "PairModel") else ""
    return f"{name}{states}, {' × '.join(map(str, model.lattice.shape))}"


def names_of(run: Any) -> list[str]:
    """Observables that a run has stored and that are one number each."""
    if hasattr(run, "values"):
        return [n for n, v in run.values.items() if v.ndim == 2 or n in run.functions]
    return [
        n
        for n, v in run.observables.items()
        if v.ndim == 1 or hasattr(getattr(_observables, n), "function")
    ]


def known(model: Any) -> dict[str, float]:
    """Exact values of ``log_z`` and of observables, where they are known and take seconds.

    All by enumeration of up to 2**16 configurations; else log Z, energy and specific heat, by the
    closed form of the Ising torus or by the transfer matrix with up to 2**28 updates.

    Example:
        >>> from leaps_triton import Ising
        >>> sorted(known(Ising((16, 16), beta=0.4)))
        ['energy', 'log_z', 'specific_heat']
    """
    if model.q**model.lattice.sites <= _FEW:
        law = exact.enumerate_model(model)
        found = {"log_z": law.log_z}
        for name in LABELS:
            observable = getattr(_observables, name)
            means = law.mean(observable, model)
            found[name] = float(getattr(observable, "function", lambda value: value)(means))
        return found
    functions = {"log_z": exact.log_z, "energy": exact.energy, "specific_heat": exact.specific_heat}
    try:
        return {name: function(model, updates=_UPDATES) for name, function in functions.items()}
    except ValueError:
        return {}


def measure(run: _Run, names: Iterable[str] = tuple(LABELS)) -> dict[str, Any]:
    """Estimates of a run as plain numbers, with exact values and pulls where they are known.

    Args:
        run: a :class:`~leaps_triton.WeightedEnsemble`, :class:`~leaps_triton.Chain`, or what
            :func:`leaps_triton.io.read` returns.
        names: of observables.

    Returns:
        ``observables``: name → ``value``, ``error``, ``exact``, ``pull``, and of chains ``tau``,
        ``tau_error`` and ``window`` in draws. Of weighted walkers also ``ess``,
        ``log_weight_variance``, ``log_z``, ``log_z_error``, ``log_z_exact`` and ``evaluations``.

    Warns:
        ShortChainWarning: fewer than 50 autocorrelation times a walker.
    """
    references, rows = known(run.model), {}
    for name in names:
        estimate = run.estimate(getattr(_observables, name, name))
        reference = references.get(name)
        pull = None if reference is None else estimate.pull(reference)
        row = {"value": estimate.value, "error": estimate.error, "exact": reference, "pull": pull}
        if isinstance(estimate, ChainEstimate):
            row |= {"tau": estimate.tau, "tau_error": estimate.tau_error, "window": estimate.window}
        rows[name] = row
    weighted: Any = run
    if not hasattr(run, "log_weights"):
        return {"observables": rows}
    return {
        "ess": weighted.ess,
        "log_weight_variance": weighted.log_weight_variance,
        "log_z": weighted.log_z,
        "log_z_error": weighted.log_z_error,
        "log_z_exact": references.get("log_z"),
        "evaluations": weighted.evaluations,
        "observables": rows,
    }


def render(result: dict[str, Any]) -> str:
    """The table of what :func:`measure` returns."""
    rows = [(label(name), row) for name, row in result["observables"].items()]
    if "log_z" in result:
        log_z, reference = Estimate(result["log_z"], result["log_z_error"]), result["log_z_exact"]
        pull = None if reference is None else log_z.pull(reference)
        rows.insert(
            0,
            (
                "log Z",
                {"value": log_z.value, "error": log_z.error, "exact": reference, "pull": pull},
            ),
        )
    chains = any("tau" in row for _, row in rows)
    width = max(17, *(len(name) + 1 for name, _ in rows)) if rows else 17
    head = f"{'':{width}}{'value ± error':>22}{'exact':>12}{'pull':>8}"
    lines = ["", f"{head}{'τ / draws':>16}" if chains else head]
    for name, row in rows:
        line = f"{name:{width}}{Estimate(row['value'], row['error'])!s:>22}"
        line += f"{'':20}" if row["exact"] is None else f"{row['exact']:12.5f}{row['pull']:+7.1f}σ"
        if chains:
            tau = "" if math.isnan(row["tau"]) else str(Estimate(row["tau"], row["tau_error"]))
            line += f"{tau:>16}"
        lines.append(line.rstrip())
    if "ess" in result and "ais_ess" not in result:
        lines += [
            "",
            f"{'ESS':{width}}{result['ess']:22.4f}",
            f"{'Var[A]':{width}}{result['log_weight_variance']:22.4f}",
        ]
        lines += [f"{'evaluations':{width}}{result['evaluations']:22.1f}"]
    return "\n".join([*lines, ""])
