"""Figures of runs at several ``T = 1/β`` or couplings, with exact curves where they are known."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..estimators.base import Result
from ..estimators.jackknife import Estimate
from ..exact.known import UPDATES, known
from ..models.pair import is_pair_model
from ..models.spins import Ising
from ..models.varied import BETA, couplings_of, value_of
from ..observables.base import entered
from .shared import FEW, bars, headline, marker, quietly, shortened, wrapped
from .summary import LABELS, label, title

__all__ = ["against_temperature", "binder_crossing", "varying"]

_AXES = {
    "energy": "energy / site  ⟨H⟩/N  [$J$]",
    "abs_magnetization": "magnetisation  ⟨|m|⟩",
    "susceptibility": "susceptibility / site  χ  [$1/J$]",
    "specific_heat": "specific heat / site  c  [$k_B$]",
    "binder": "Binder cumulant  U",
}
"""Labels of axes, with units."""

_FIELD_AXES = {
    "energy": "action / site  ⟨S⟩/V",
    "abs_magnetization": "magnetisation  ⟨|M|⟩",
    "susceptibility": "connected susceptibility\nV(⟨M²⟩ − ⟨|M|⟩²)",
    "specific_heat": "specific heat / site  Var(S)/V",
    "susceptibility_full": "susceptibility  V⟨M²⟩",
    "field_squared": "⟨φ²⟩",
    "field_fourth": "⟨φ⁴⟩",
    "schwinger_dyson": "check  ⟨φ ∂S/∂φ⟩",
}
"""Those of fields, which have no units."""

_ONE = "schwinger_dyson"
"""What is 1 at every coupling, where a line is drawn."""

_Cell: TypeAlias = tuple[Axes, Axes | None]
"""Values above, and pulls below them where anything exact is known"""

_PLACES = {
    "beta": "temperature  T = 1/β  [$J/k_B$]",
    "mass_squared": "mass squared  m²",
    "quartic": "quartic coupling  λ",
}
"""Labels of the axis along which runs differ, for each parameter."""

_POINTS = 41
"""Temperatures of an exact curve."""


def against_temperature(
    runs: Sequence[Result],
    names: Iterable[str] = tuple(LABELS),
    log_z: Mapping[float, Estimate] | None = None,
) -> Figure:
    """Draw observables against temperature with exact curves where known, and pulls below each.

    Fields, which have none, are drawn against the coupling that differs among them.

    Args:
        runs: at temperatures of their own; one colour for each model and lattice.
        names: observables that all runs can estimate.
        log_z: of one model at the β, or coupling, of every run, drawn per site in a cell of its
            own; relative to the smallest if it is 0 there. None for no such cell.

    Returns:
        The figure; save it with ``savefig``.

    Raises:
        ValueError: If there is no run or no observable, or if a run is at β = 0.
    """
    names = list(names)
    if not runs or not names or any(run.model.beta == 0 for run in runs):
        raise ValueError(
            "give at least one run and one observable, and none at beta = 0, where T is infinite"
        )
    parameter = varying([run.model for run in runs])
    updates = UPDATES
    count = len(names)
    if log_z is not None:
        # A scan has many temperatures, and all together shall take seconds.
        updates = UPDATES // len(runs)
        count += 1
    exact_of = {id(run): known(run.model, updates=updates) for run in runs}
    # Pulls have a place where anything exact is known.
    told = set().union(*exact_of.values())
    figure, cells = _grid([name in told for name in [*names, "log_z"][:count]])
    for colour, (group, members) in enumerate(_groups(runs, parameter).items()):
        temperatures, curves = _curves(members)
        references = [exact_of[id(run)] for run in members]
        for name, (above, below) in zip(names, cells, strict=False):
            if name in curves:
                curve = curves[name]
                above.plot(temperatures, curve, color=f"C{colour}", linewidth=1.0, zorder=1)
            if name == _ONE:
                above.axhline(1.0, color="grey", linewidth=1.0, zorder=1)
            drawn = name in curves
            estimates = _values(above, members, name, colour, group, drawn, parameter)
            exact = [reference.get(name) for reference in references]
            _pulls(below, members, estimates, exact, colour, parameter)
        if log_z is not None:
            exact = [reference.get("log_z") for reference in references]
            line = (temperatures, curves.get("log_z"))
            _log_z(cells[-1], members, log_z, exact, line, colour, group, parameter)
    axes = [_axis(name, parameter) for name in names]
    if log_z is not None:
        axes.append(_log_z_label(log_z, parameter))
    for text, cell in zip(axes, cells, strict=True):
        cell[0].set_ylabel(text)
        _finish(cell, _PLACES[parameter])
    _share_temperatures([above for above, _ in cells])
    # One legend is enough: colours mean the same in all cells.
    cells[0][0].legend(fontsize=8)
    text = "dotted: to guide the eye; bars: one σ"
    if any(below is not None for _, below in cells):
        text = f"full lines: exact; {text}; pull = (value − exact) / σ"
    figure.supxlabel(wrapped(text, 0.95 * figure.get_figwidth(), 8.0), fontsize=8)
    return figure


def _log_z(
    cell: _Cell,
    runs: Sequence[Result],
    log_z: Mapping[float, Estimate],
    references: Sequence[float | None],
    line: tuple[list[float], list[float] | None],
    colour: int,
    group: str,
    parameter: str,
) -> None:
    """Draw log Z per site of runs of one model, with its exact curve and pulls."""
    above, below = cell
    sites = math.prod(runs[0].model.shape)
    # Relative values count from the smallest β, the last of the runs, where they are 0; couplings
    # rise, and their smallest comes first.
    smallest = references[-1]
    if parameter != BETA:
        smallest = references[0]
    start = 0.0
    relative = log_z[min(log_z)].value == 0.0
    if relative and smallest is not None:
        start = smallest
    temperatures, curve = line
    if curve is not None:
        curve = [(value - start) / sites for value in curve]
        above.plot(temperatures, curve, color=f"C{colour}", linewidth=1.0, zorder=1)
    estimates = []
    exact: list[float | None] = []
    for run, reference in zip(runs, references, strict=True):
        found = log_z[value_of(run.model, parameter)]
        estimates.append(Estimate(found.value / sites, found.error / sites))
        # Where a relative value is 0 by definition, it has no error and no pull.
        if reference is None or not found.error > 0.0:
            exact.append(None)
        else:
            exact.append((reference - start) / sites)
    values = [estimate.value for estimate in estimates]
    errors = [estimate.error for estimate in estimates]
    style = ":" if curve is None else "none"
    bars(above, _temperatures(runs, parameter), values, errors, colour, group, style)
    _pulls(below, runs, estimates, exact, colour, parameter)


def _axis(name: str, parameter: str) -> str:
    """Return the label of the axis of an observable."""
    names = _AXES
    if parameter != BETA:
        names = {**_AXES, **_FIELD_AXES}
    return names.get(name, wrapped(label(name), 2.6, 10.0))


def _log_z_label(log_z: Mapping[float, Estimate], parameter: str) -> str:
    """Return the label of the axis of log Z per site."""
    first = min(log_z)
    symbol = {"beta": "β", "mass_squared": "m²", "quartic": "λ"}[parameter]
    if log_z[first].value == 0.0:
        return f"[log Z({symbol}) − log Z({first:.4g})] / site"
    return "log Z / site"


def _grid(pulled: Sequence[bool]) -> tuple[Figure, list[_Cell]]:
    """Return a figure with a cell for each entry, which tells whether it has pulls."""
    columns = min(3, len(pulled))
    rows = -(-len(pulled) // columns)
    figure = Figure(figsize=(4.4 * columns, 4.2 * rows), layout="constrained")
    engine: Any = figure.get_layout_engine()
    # In inches: labels of an axis stand clear of the next panel.
    engine.set(w_pad=0.1)
    # The cells of one column share the width of their labels.
    ratios = [3.0, 1.0] * rows
    grid = figure.add_gridspec(2 * rows, columns, height_ratios=ratios)
    cells: list[_Cell] = []
    for row in range(rows):
        several = pulled[columns * row : columns * (row + 1)]
        values = []
        for column, has_pulls in enumerate(several):
            # Without pulls, values take their place too.
            end = 2 * row + 1 if has_pulls else 2 * row + 2
            values.append(figure.add_subplot(grid[2 * row : end, column]))
        for column, above in enumerate(values):
            below = None
            if several[column]:
                below = figure.add_subplot(grid[2 * row + 1, column])
            cells.append((above, below))
    return figure, cells


def varying(models: Sequence[Any]) -> str:
    """Return the parameter by which models differ: β, of fields the first coupling that does.

    Args:
        models: at least one; their lattices may differ.
    """
    names = list(couplings_of(models[0]))
    if not names:
        return BETA
    for name in names:
        values = {couplings_of(model).get(name) for model in models}
        if len(values) > 1:
            return name
    return names[-1]


def _temperatures(runs: Sequence[Result], parameter: str = BETA) -> list[float]:
    """Return the temperature of every run, of fields the coupling that differs."""
    if parameter != BETA:
        return [value_of(run.model, parameter) for run in runs]
    return [1.0 / run.model.beta for run in runs]


def _values(
    axes: Axes,
    runs: Sequence[Result],
    name: str,
    colour: int,
    group: str,
    exact: bool,
    parameter: str,
) -> list[Any]:
    """Draw an observable of runs with error bars; return the estimates."""
    observable = entered()[name]
    estimates = [quietly(run, observable) for run in runs]
    values = [estimate.value for estimate in estimates]
    errors = [estimate.error for estimate in estimates]
    # A dotted line guides the eye where there is no exact curve.
    style = "none" if exact else ":"
    places = _temperatures(runs, parameter)
    bars(axes, places, values, errors, colour, shortened(group), style)
    return estimates


def _pulls(
    axes: Axes | None,
    runs: Sequence[Result],
    estimates: Sequence[Any],
    exact: Sequence[float | None],
    colour: int,
    parameter: str,
) -> None:
    """Draw how far estimates are from exact values, in units of their errors."""
    drawn = []
    pulls = []
    places = _temperatures(runs, parameter)
    for t, estimate, value in zip(places, estimates, exact, strict=True):
        if value is not None:
            drawn.append(t)
            pulls.append(estimate.pull(value))
    if axes is not None and drawn:
        axes.plot(drawn, pulls, marker(colour), color=f"C{colour}", markersize=4)


def _finish(cell: _Cell, place: str) -> None:
    """Name the axis along which runs differ, and give the pulls their own."""
    above, axes = cell
    if axes is None:
        above.set_xlabel(place)
        return
    above.tick_params(labelbottom=False)
    axes.sharex(above)
    axes.set_xlabel(place)
    # Never below ±3σ, or small pulls would look large.
    most = 3.0
    for line in axes.lines:
        largest = float(torch.as_tensor(line.get_ydata()).abs().max())
        # Points stand a little away from the edge.
        most = max(most, 1.15 * largest)
    # About 68 % of good pulls lie in this band.
    axes.axhspan(-1.0, 1.0, color="grey", alpha=0.25, linewidth=0)
    axes.axhline(0.0, color="grey", linewidth=0.8)
    axes.set_ylim(-most, most)
    axes.set_ylabel("pull [σ]")


def _share_temperatures(cells: Sequence[Axes]) -> None:
    """Give all cells one scale of temperature: exact curves reach further than runs."""
    limits = [axes.get_xlim() for axes in cells]
    low = min(first for first, _ in limits)
    high = max(last for _, last in limits)
    for axes in cells:
        axes.set_xlim(low, high)


def binder_crossing(axes: Axes, runs: Sequence[Result]) -> None:
    """Draw Binder cumulants against temperature, one line per lattice.

    They cross near the critical temperature. Exact curves are drawn where they are known, and
    ``T_c = 2/ln(1 + √2)`` of the square Ising model without field.

    Args:
        axes: where.
        runs: at several temperatures, on at least two lattices.
    """
    parameter = varying([run.model for run in runs])
    for colour, (group, members) in enumerate(_groups(runs, parameter).items()):
        temperatures, curves = _curves(members)
        if "binder" in curves:
            axes.plot(temperatures, curves["binder"], color=f"C{colour}", linewidth=1.0)
        drawn = "binder" in curves
        _values(axes, members, "binder", colour, group, drawn, parameter)
    if all(_square_ising(run.model) for run in runs):
        coupling = float(runs[0].model.coupling.flatten()[0])
        # Onsager: sinh(2 J / T) = 1.
        critical = 2.0 / math.log1p(math.sqrt(2.0)) * coupling
        name = "$T_c$ of the infinite lattice"
        axes.axvline(critical, color="grey", linestyle="--", linewidth=1.0, label=name)
    headline(axes, "full lines: exact; dotted: to guide the eye; bars: one σ")
    axes.set_xlabel(_PLACES[parameter])
    symbol = "m" if parameter == BETA else "M"
    axes.set_ylabel(f"Binder cumulant  U = 1 − ⟨{symbol}⁴⟩ / 3⟨{symbol}²⟩²")
    axes.legend(fontsize=8)


def _groups(runs: Sequence[Result], parameter: str) -> dict[str, list[Result]]:
    """Return runs by model and lattice, small lattices first, each by rising T or coupling."""
    # Falling β is rising temperature.
    sign = 1.0
    if parameter == BETA:
        sign = -1.0
    ordered = sorted(
        runs,
        key=lambda run: (math.prod(run.model.shape), sign * value_of(run.model, parameter)),
    )
    groups: dict[str, list[Result]] = {}
    for run in ordered:
        groups.setdefault(title(run.model), []).append(run)
    return groups


def _curves(runs: Sequence[Result]) -> tuple[list[float], dict[str, list[float]]]:
    """Return exact observables over the temperatures of runs, and a little beyond on either side.

    There are none where runs have different models, or exact values take long.
    """
    model = runs[0].model
    if not _is_cheap(model) or any(not _alike(run.model, model) for run in runs):
        return [], {}
    t = _temperatures(runs)
    # A single temperature has no range to take a fraction of.
    margin = 0.05 * (max(t) - min(t)) or 0.15 * t[0]
    reach = torch.linspace(min(t) - margin, max(t) + margin, _POINTS, dtype=torch.float64)
    temperatures: list[float] = reach.tolist()
    rows = []
    for temperature in temperatures:
        rows.append(known(model.at(1.0 / temperature)))
    return temperatures, {name: [row[name] for row in rows] for name in rows[0]}


def _is_cheap(model: Any) -> bool:
    """Return whether exact values at many temperatures take seconds."""
    if not is_pair_model(model):
        return False
    # The Ising torus has a closed form at any size.
    return model.q ** math.prod(model.shape) <= FEW or _square_ising(model)


def _alike(first: Any, second: Any) -> bool:
    """Return whether two pair models differ in nothing but β."""
    tables = ("coupling", "site_table", "bond_table")
    same = all(torch.equal(getattr(first, name), getattr(second, name)) for name in tables)
    return same and bool(first.lattice == second.lattice)


def _square_ising(model: Any) -> bool:
    """Return whether a model is Ising's on a torus, with one coupling and no field."""
    # A subclass may have another energy, and so another critical point.
    if type(model) is not Ising or len(model.shape) != 2:
        return False
    uniform = model.coupling.numel() == 1 and not model.site_table.any()
    return uniform and all(model.lattice.periodic)
