"""Tables of scans: a line for each inverse temperature, and one more of pulls from exact values."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..estimators.jackknife import Estimate
from ..exact.known import UPDATES, known
from .summary import label

if TYPE_CHECKING:
    from ..samplers.scans import Scan

__all__ = ["brief", "measure", "render"]


_HEADS = {
    "log_z": "log Z",
    "energy": "energy/N",
    "specific_heat": "c/N",
    "susceptibility": "χ/N",
    "binder": "Binder U",
}
"""What columns are called."""

_FIELD_HEADS = {
    "energy": "action/V",
    "susceptibility": "χ",
    "susceptibility_full": "V⟨M²⟩",
    "schwinger_dyson": "check = 1",
}
"""Those of a field that are called otherwise."""

_PARAMETERS = {"beta": "β", "mass_squared": "m²", "quartic": "λ"}
"""What the first column is called, for each parameter."""


def measure(scan: Scan) -> dict[str, Any]:
    """Return all that a scan has found as plain numbers, with exact values and pulls where known.

    Args:
        scan: what :func:`leaps_triton.scan` returns.

    Returns:
        ``method``, ``parameter``, its values by its name, such as ``beta``, ``absolute`` (whether
        log Z is), ``cautions``, and ``columns``: name → ``value``, ``error``, ``exact`` and
        ``pull``, one entry per value. Of annealed walkers also ``ess``.
    """
    with warnings.catch_warnings():
        # What they would say is among the cautions, once per temperature.
        warnings.simplefilter("ignore", category=UserWarning)
        estimates = {"log_z": list(scan.log_z)}
        for name in scan.names:
            estimates[name] = scan.estimate(name)
        cautions = list(scan.cautions)
    # All temperatures together shall take seconds.
    updates = UPDATES // len(scan.runs)
    references = [known(run.model, updates=updates) for run in scan.runs]
    columns = {}
    for name, found in estimates.items():
        exact = [reference.get(name) for reference in references]
        if name == "log_z" and not scan.absolute:
            exact = _from_first(exact)
        columns[name] = _column(found, exact)
    result: dict[str, Any] = {
        "method": scan.method,
        "parameter": scan.parameter,
        scan.parameter: list(scan.places),
        "absolute": scan.absolute,
        "columns": columns,
        "cautions": cautions,
    }
    if scan.result.weighted:
        result["ess"] = [run.diagnostics["ess"] for run in scan.runs]
    return result


def _from_first(values: Sequence[float | None]) -> list[float | None]:
    """Return values as they count from the first."""
    first = values[0]
    if first is None:
        return [None] * len(values)
    return [None if value is None else value - first for value in values]


def _column(estimates: Sequence[Any], exact: Sequence[float | None]) -> dict[str, Any]:
    """Return estimates as plain numbers, with exact values and pulls."""
    pulls: list[float | None] = []
    for estimate, reference in zip(estimates, exact, strict=True):
        pull = math.nan
        if reference is not None:
            pull = estimate.pull(reference)
        # Without an error, or an exact value, there is no pull.
        pulls.append(None if math.isnan(pull) else pull)
    return {
        "value": [estimate.value for estimate in estimates],
        "error": [estimate.error for estimate in estimates],
        "exact": list(exact),
        "pull": pulls,
    }


def brief(value: float, error: float) -> str:
    """Return a value with its error in the last digits, in brackets.

    Example:
        >>> brief(-1.49167, 0.0021), brief(12.0, 1.3), brief(250.0, 17.0)
        ('-1.4917(21)', '12.0(13)', '250(17)')
    """
    if not 0.0 < error < math.inf:
        return f"{value:.6g}"
    text = str(Estimate(value, error))
    number, _, spread = text.partition(" ± ")
    digits = len(number.partition(".")[2])
    if float(spread) < 1.0:
        # The error in units of the last digit of the value.
        spread = str(round(float(spread) * 10**digits))
    else:
        spread = spread.replace(".", "")
    return f"{number}({spread})"


def render(table: dict[str, Any]) -> str:
    """Return the table of what :func:`measure` returns."""
    names = list(table["columns"])
    heads = [_head(name, table) for name in names]
    if not table["absolute"]:
        heads[0] = "Δ log Z"
    parameter = table["parameter"]
    first = _PARAMETERS[parameter]
    columns = [[f"{value:.6g}" for value in table[parameter]]]
    for name in names:
        column = table["columns"][name]
        pairs = zip(column["value"], column["error"], strict=True)
        columns.append([brief(value, error) for value, error in pairs])
    if "ess" in table:
        heads.append("ESS")
        columns.append([f"{ess:.3f}" for ess in table["ess"]])
    lines = ["", *_lines([first, *heads], columns), "", _about(table), *_pulls(table)]
    return "\n".join([*lines, ""])


def _head(name: str, table: dict[str, Any]) -> str:
    """Return what a column is called."""
    field = table["parameter"] != "beta"
    if field and name in _FIELD_HEADS:
        return _FIELD_HEADS[name]
    return _HEADS.get(name, label(name, field))


def _about(table: dict[str, Any]) -> str:
    """Return what the columns are."""
    text = "1.234(56) is 1.234 ± 0.056, one σ."
    if not table["absolute"]:
        parameter = table["parameter"]
        text += f" Δ log Z counts from {_PARAMETERS[parameter]} = {table[parameter][0]:.6g}."
    return text


def _pulls(table: dict[str, Any]) -> list[str]:
    """Return the lines of the pulls, none where no exact value is known."""
    heads = []
    columns = []
    for name, column in table["columns"].items():
        if all(pull is None for pull in column["pull"]):
            continue
        heads.append(_head(name, table))
        columns.append(["" if pull is None else f"{pull:+.1f}σ" for pull in column["pull"]])
    if not columns:
        return []
    parameter = table["parameter"]
    first = [f"{value:.6g}" for value in table[parameter]]
    lines = _lines([_PARAMETERS[parameter], *heads], [first, *columns])
    return ["", "pulls, (value − exact) / σ:", *lines]


def _lines(heads: Sequence[str], columns: Sequence[Sequence[str]]) -> list[str]:
    """Return columns side by side, each as wide as its widest entry."""
    rows = [heads, *zip(*columns, strict=True)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(heads))]
    lines = []
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join(cells).rstrip())
    return lines
