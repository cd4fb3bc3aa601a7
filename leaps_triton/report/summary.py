"""Tables of results: value ± error, exact value and pull of every observable of a run."""

import math
from collections.abc import Iterable
from typing import Any

from ..estimators.base import Result
from ..estimators.jackknife import Estimate
from ..estimators.trust.cautions import Doubt, caution, joined
from ..exact.known import known
from ..models.densities.base import DensityModel
from ..models.energy_only import as_given
from ..models.varied import couplings_of
from ..observables.base import entered
from ..observables.fields import chosen_for

__all__ = ["FIELD_LABELS", "LABELS", "known", "label", "measure", "render", "state_of", "title"]


LABELS = {
    "energy": "energy / site",
    "abs_magnetization": "|m|",
    "susceptibility": "susceptibility",
    "specific_heat": "specific heat",
    "binder": "Binder cumulant",
}
"""Observables of the tables, and what they are called there."""

FIELD_LABELS = {
    "energy": "action / site",
    "abs_magnetization": "|M|",
    "susceptibility_full": "V ⟨M²⟩",
    "field_squared": "⟨φ²⟩",
    "field_fourth": "⟨φ⁴⟩",
    "schwinger_dyson": "check ⟨φ ∂S/∂φ⟩",
}
"""Those of a field that are called otherwise, or that spins have not; the last is 1 exactly."""

DENSITY_LABELS = {
    "energy": "energy / coordinate",
    "schwinger_dyson": "check ⟨x ∂H/∂x⟩",
}
"""Those of a density, which has no sites."""

_SYMBOLS = {"mass_squared": "m²", "quartic": "λ"}
"""What couplings are called in titles."""

_CHECK = "schwinger_dyson"
"""What tables of fields end with: it tells whether the sampling is right."""

_NOTED = {
    "bias": "weights",
    "ess": "ESS",
    "pareto_k": "Pareto k",
    "beginning": "the chain begins",
    "acceptance": "trajectories are accepted with probability",
}
"""What notes are about."""


def label(name: str, field: bool = False, density: bool = False) -> str:
    """Return what an observable is called in tables.

    Args:
        name: of the observable.
        field: whether it is one of a field.
        density: whether it is one of a density.
    """
    known = LABELS
    if field:
        known = {**LABELS, **FIELD_LABELS}
    if density:
        known = {**LABELS, **DENSITY_LABELS}
    return known.get(name, name.replace("_", " "))


def title(model: Any) -> str:
    """Return what a model is called in a legend, without its temperature.

    Example:
        >>> from leaps_triton import Graph, Ising, Potts
        >>> title(Potts((6, 8), q=3, beta=1.0))
        'Potts q = 3, 6 × 8'
        >>> title(Ising(Graph.triangular((6, 8)), beta=1.0))
        'Ising, triangular 6 × 8'
    """
    # Not the name of what completes a user's energy.
    kind = type(as_given(model)).__name__
    name = kind.replace("EdwardsAnderson", "Edwards–Anderson")
    name = name.replace("PhiFour", "φ⁴")
    states = ""
    if name in ("Potts", "Clock", "PairModel"):
        states = f" q = {model.q}"
    return f"{name}{states}, {model.lattice.title}"


def state_of(model: Any) -> str:
    """Return the temperature of a model, or of a field its couplings, for a title.

    Example:
        >>> from leaps_triton import Ising
        >>> state_of(Ising((4, 4), beta=0.44))
        'β = 0.44'
    """
    parts = []
    for name, value in couplings_of(model).items():
        parts.append(f"{_SYMBOLS.get(name, name)} = {value:.4g}")
    return ", ".join(parts) or f"β = {model.beta:.4g}"


def measure(run: Result, names: Iterable[str] = tuple(LABELS)) -> dict[str, Any]:
    """Return estimates of a run as plain numbers, with exact values and pulls where known.

    Args:
        run: a :class:`~leaps_triton.WeightedEnsemble`, a :class:`~leaps_triton.Chain`, or what
            :func:`leaps_triton.io.read` returns.
        names: those of observables; of a field the Schwinger–Dyson identity is among them, as a
            check of the sampling, wherever it was measured or can be.

    Returns:
        ``observables``: name → ``value``, ``error``, ``exact``, ``pull``, and of chains ``tau``,
        ``tau_error`` and ``window`` in draws. Of weighted walkers also ``ess``,
        ``log_weight_variance``, ``pareto_k`` and its threshold, ``log_z``, ``log_z_error``,
        ``log_z_exact`` and ``evaluations``. ``reason`` of an observable says why a number is NaN,
        ``notes`` the same of the others, and where a chain was found to begin; ``cautions`` lists
        what is warned of.

    Warns:
        ShortChainWarning: a walker has fewer than 50 autocorrelation times; once for all names.
        DriftWarning: the early and the late draws differ; once for all names.
        LowAcceptanceWarning: trajectories of a chain are hardly ever accepted.
        LowEssWarning: few walkers carry the weight.
    """
    references = known(run.model)
    field = bool(couplings_of(run.model))
    names = chosen_for(run.model, names)
    if field:
        names = _checked(run, names)
    rows = {}
    doubts: list[tuple[str, Doubt]] = []
    for name in names:
        estimate, found_here = run.examined(entered().get(name, name))
        doubts.extend((name, doubt) for doubt in found_here)
        rows[name] = _row(estimate, references.get(name))
        if not run.weighted:
            row = {"tau": estimate.tau, "tau_error": estimate.tau_error, "window": estimate.window}
            rows[name].update(row)
    found: dict[str, Any] = dict(run.diagnostics)
    if "log_z" in found:
        found["log_z_exact"] = references.get("log_z")
    found["notes"] = run.notes
    found["observables"] = rows
    if field:
        # Tables call some of them otherwise.
        found["field"] = True
    if isinstance(run.model, DensityModel):
        found["density"] = True
    said = [*run.doubts, *joined(doubts)]
    found["cautions"] = [doubt.reason for doubt in said]
    caution(said)
    return found


def _checked(run: Result, names: Iterable[str]) -> list[str]:
    """Return names with the check at the end, where the run has what it takes."""
    found = [name for name in names if name != _CHECK]
    if run.drawn is not None or _CHECK in run.values:
        found.append(_CHECK)
    return found


def _row(estimate: Estimate, reference: float | None) -> dict[str, Any]:
    """Return an estimate as plain numbers, with its exact value and pull where it is known."""
    pull = None
    if reference is not None:
        pull = estimate.pull(reference)
    row: dict[str, Any] = {
        "value": estimate.value,
        "error": estimate.error,
        "exact": reference,
        "pull": pull,
    }
    if estimate.reason:
        row["reason"] = estimate.reason
    return row


def render(result: dict[str, Any]) -> str:
    """Return the table of what :func:`measure` returns."""
    field = result.get("field", False)
    density = result.get("density", False)
    rows = [(label(name, field, density), row) for name, row in result["observables"].items()]
    if "log_z" in result:
        reason = result.get("notes", {}).get("log_z", "")
        log_z = Estimate(result["log_z"], result["log_z_error"], reason)
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
        lines.append(_tail(result, width))
    remarks = _remarks(result, rows)
    if remarks:
        lines.append("")
        lines.extend(remarks)
    return "\n".join([*lines, ""])


def _tail(result: dict[str, Any], width: int) -> str:
    """Return the line of the tail of the weights, with what it is to be below."""
    k = result["pareto_k"]
    if math.isnan(k):
        return f"{'Pareto k':{width}}{'unknown':>22}"
    line = f"{'Pareto k':{width}}{k:22.2f}"
    limit = result["pareto_threshold"]
    if k > limit:
        return f"{line}  above {limit:.2f}: the tail of the weights is too heavy for error bars"
    return f"{line}  (trusted up to {limit:.2f})"


def _remarks(result: dict[str, Any], rows: list[tuple[str, dict[str, Any]]]) -> list[str]:
    """Return the lines below a table: why numbers are NaN, and what else is to be known."""
    alike: dict[str, list[str]] = {}
    for name, row in rows:
        if "reason" in row:
            alike.setdefault(row["reason"], []).append(name)
    lines = [f"{', '.join(names)}: {reason}" for reason, names in alike.items()]
    for name, text in result.get("notes", {}).items():
        # That of log Z is the reason in its row.
        if name != "log_z":
            lines.append(f"{_NOTED.get(name, label(name))}: {text}")
    lines.extend(f"caution: {text}" for text in result.get("cautions", []))
    return lines


def _line(name: str, row: dict[str, Any], width: int) -> str:
    """Return a line of the table."""
    # The reason of a NaN stands below the table.
    value = Estimate(row["value"], row["error"])
    line = f"{name:{width}}{value!s:>22}"
    if row["exact"] is None:
        # As wide as the exact value and its pull.
        line += " " * 20
    else:
        pull = f"{row['pull']:+.1f}σ"
        if math.isnan(row["pull"]):
            # Without an error there is no distance in units of it.
            pull = ""
        line += f"{row['exact']:12.5f}{pull:>8}"
    if "tau" in row and not math.isnan(row["tau"]):
        tau = Estimate(row["tau"], row["tau_error"])
        line += f"{tau!s:>16}"
    return line.rstrip()
