"""Tables of results: value ± error, exact value and pull of every observable of a run."""

import math
from collections.abc import Iterable
from typing import Any

from .. import exact
from ..estimators.base import Result
from ..estimators.jackknife import Estimate
from ..observables.base import entered, function_of

__all__ = ["LABELS", "UPDATES", "known", "label", "measure", "render", "title"]


LABELS = {
    "energy": "energy / site",
    "abs_magnetization": "|m|",
    "susceptibility": "susceptibility",
    "specific_heat": "specific heat",
    "binder": "Binder cumulant",
}
"""Observables of the tables, and what they are called there."""


_FEW = 2**16
"""Configurations that can be enumerated in seconds."""

UPDATES = 2**28
"""Updates of the transfer matrix that take seconds."""


def label(name: str) -> str:
    """Return what an observable is called in tables."""
    return LABELS.get(name, name.replace("_", " "))


def title(model: Any) -> str:
    """Return what a model is called in a legend, without its temperature.

    Example:
        >>> from leaps_triton import Potts
        >>> title(Potts((6, 8), q=3, beta=1.0))
        'Potts q = 3, 6 × 8'
    """
    name = type(model).__name__.replace("EdwardsAnderson", "Edwards–Anderson")
    states = ""
    if name in ("Potts", "Clock", "PairModel"):
        states = f" q = {model.q}"
    lengths = " × ".join(str(length) for length in model.shape)
    return f"{name}{states}, {lengths}"


def known(model: Any, updates: int = UPDATES) -> dict[str, float]:
    """Return exact values of ``log_z`` and of observables, where they are known and take seconds.

    All by enumeration of up to 2**16 configurations; else log Z, energy and specific heat, by the
    closed form of the Ising torus or by the transfer matrix with up to 2**28 updates.

    Args:
        model: any.
        updates: of the transfer matrix at most, fewer where there are many models.

    Example:
        >>> from leaps_triton import Ising
        >>> sorted(known(Ising((16, 16), beta=0.4)))
        ['energy', 'log_z', 'specific_heat']
    """
    # Continuous spins have no finite list of configurations.
    if model.dtype.is_floating_point:
        return {}
    if model.q ** math.prod(model.shape) <= _FEW:
        return _enumerated(model)
    functions = {"log_z": exact.log_z, "energy": exact.energy, "specific_heat": exact.specific_heat}
    try:
        return {name: function(model, updates=updates) for name, function in functions.items()}
    # The exact functions refuse what they cannot do, or not within so many updates.
    except ValueError:
        return {}


def _enumerated(model: Any) -> dict[str, float]:
    """Return the exact values of a model of few configurations."""
    law = exact.enumerate_model(model)
    found = {"log_z": law.log_z}
    for name in LABELS:
        observable = entered()[name]
        means = law.mean(observable, model)
        function = function_of(observable)
        if function is not None:
            means = function(means)
        found[name] = float(means)
    return found


def measure(run: Result, names: Iterable[str] = tuple(LABELS)) -> dict[str, Any]:
    """Return estimates of a run as plain numbers, with exact values and pulls where known.

    Args:
        run: a :class:`~leaps_triton.WeightedEnsemble`, a :class:`~leaps_triton.Chain`, or what
            :func:`leaps_triton.io.read` returns.
        names: those of observables.

    Returns:
        ``observables``: name → ``value``, ``error``, ``exact``, ``pull``, and of chains ``tau``,
        ``tau_error`` and ``window`` in draws. Of weighted walkers also ``ess``,
        ``log_weight_variance``, ``log_z``, ``log_z_error``, ``log_z_exact`` and ``evaluations``.

    Warns:
        ShortChainWarning: If a walker has fewer than 50 autocorrelation times.
    """
    references = known(run.model)
    rows = {}
    for name in names:
        estimate = run.estimate(entered().get(name, name))
        rows[name] = _row(estimate, references.get(name))
        if not run.weighted:
            row = {"tau": estimate.tau, "tau_error": estimate.tau_error, "window": estimate.window}
            rows[name].update(row)
    found: dict[str, Any] = dict(run.diagnostics)
    if "log_z" in found:
        found["log_z_exact"] = references.get("log_z")
    found["observables"] = rows
    return found


def _row(estimate: Estimate, reference: float | None) -> dict[str, Any]:
    """Return an estimate as plain numbers, with its exact value and pull where it is known."""
    pull = None
    if reference is not None:
        pull = estimate.pull(reference)
    return {"value": estimate.value, "error": estimate.error, "exact": reference, "pull": pull}


def render(result: dict[str, Any]) -> str:
    """Return the table of what :func:`measure` returns."""
    rows = [(label(name), row) for name, row in result["observables"].items()]
    if "log_z" in result:
        log_z = Estimate(result["log_z"], result["log_z_error"])
        rows.insert(0, ("log Z", _row(log_z, result["log_z_exact"])))
    chains = any("tau" in row for _, row in rows)
    width = max([17, *(len(name) + 1 for name, _ in rows)])
    head = f"{'':{width}}{'value ± error':>22}{'exact':>12}{'pull':>8}"
    if chains:
        head += f"{'τ / draws':>16}"
    lines = ["", head]
    for name, row in rows:
        lines.append(_line(name, row, width))
    # The demo has a table of its own for the weights of two samplers.
    if "ess" in result and "ais_ess" not in result:
        lines.append("")
        lines.append(f"{'ESS':{width}}{result['ess']:22.4f}")
        lines.append(f"{'Var[A]':{width}}{result['log_weight_variance']:22.4f}")
        lines.append(f"{'evaluations':{width}}{result['evaluations']:22.1f}")
    return "\n".join([*lines, ""])


def _line(name: str, row: dict[str, Any], width: int) -> str:
    """Return a line of the table."""
    value = Estimate(row["value"], row["error"])
    line = f"{name:{width}}{value!s:>22}"
    if row["exact"] is None:
        # As wide as the exact value and its pull.
        line += " " * 20
    else:
        line += f"{row['exact']:12.5f}{row['pull']:+7.1f}σ"
    if "tau" in row and not math.isnan(row["tau"]):
        tau = Estimate(row["tau"], row["tau_error"])
        line += f"{tau!s:>16}"
    return line.rstrip()
