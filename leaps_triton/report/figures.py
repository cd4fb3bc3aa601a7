"""All figures that some results allow, by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..estimators.base import Result
from ..models.densities.base import DensityModel
from ..models.varied import couplings_of
from . import physics_plots, plotting
from .shared import headline, quietly
from .summary import FIELD_LABELS, LABELS, state_of, title

if TYPE_CHECKING:
    from ..samplers.scans import Scan
    from ..training import TrainingHistory

__all__ = ["NEEDS", "draw", "idle", "of_largest", "panels", "scan", "training"]


NEEDS = {
    "observables": "it takes observables that all files hold, and β above 0",
    "correlation": "it takes --observables correlation, or --configurations",
    "autocorrelation": "it takes a chain",
    "weights": "it takes a file of weighted walkers",
    "overlaps": (
        "it takes --configurations and at least four walkers, or a chain with --observables overlap"
    ),
    "binder": "it takes binder or --configurations, from at least two lattices",
    "snapshots": "it takes --configurations, or a chain",
}
"""Figure → what must be in the files for it."""

Runs = Mapping[str, Result]


def draw(name: str, runs: Runs) -> Figure | None:
    """Return a figure from the runs that have the data for it; None if there are none.

    Args:
        name: one of :data:`NEEDS`, or of :func:`panels`.
        runs: label → result.
    """
    if name.startswith("observables"):
        return _observables(runs, name.partition("-")[2])
    figure = Figure(figsize=(7.0, 4.8), layout="constrained")
    if _DRAWN[name](figure.subplots(), runs):
        return figure
    return None


def scan(found: Scan) -> Figure:
    """Return observables and log Z of a scan against temperature, with exact curves where known.

    Args:
        found: the scan; β = 0, where T is infinite, is left out.

    Raises:
        ValueError: a scan of too few walkers or draws for error bars.
    """
    if not found.has_errors:
        raise ValueError("the scan has too few walkers or draws for error bars; go on with it")
    runs = [run for run in found.runs if run.model.beta > 0.0]
    # In the order of the tables, then those that a user has added.
    names = [name for name in LABELS if name in found.names]
    names += [name for name in found.names if name not in LABELS]
    log_z = dict(zip(found.places, found.log_z, strict=True))
    if any(math.isnan(each.value) for each in log_z.values()):
        return physics_plots.against_temperature(runs, names)
    return physics_plots.against_temperature(runs, names, log_z)


def panels(name: str, runs: Runs) -> list[str]:
    """Return names under which :func:`draw` draws the panels of a figure, each as one of its own.

    Args:
        name: one of :data:`NEEDS`.
        runs: label → result.

    Returns:
        ``observables-energy`` and so on; the name itself for a figure of one panel.
    """
    if name != "observables":
        return [name]
    return [f"{name}-{each}" for each in _shared(runs)] or [name]


def idle(name: str, runs: Runs) -> str:
    """Return why a figure would show nothing, though there are data for it; empty if it shows some.

    Args:
        name: one of :data:`NEEDS`.
        runs: label → result.
    """
    found = list(runs.values())
    states = {state_of(run.model) for run in found}
    if name in ("observables", "binder") and len(states) == 1:
        kind = "temperature"
        if couplings_of(found[0].model):
            kind = "point"
        state = min(states)
        return f"all files are of one {kind}, {state}; leaps-triton measure has a table"
    if name == "weights":
        variances = [run.diagnostics["log_weight_variance"] for run in found if run.weighted]
        if variances and max(variances) == 0.0:
            return "all walkers have the same weight"
    if name == "correlation" and _on_lattices(runs) and not _along_directions(runs):
        return "it is along a direction of a lattice, which graphs have not"
    if name == "autocorrelation":
        return _still([run for run in found if not run.weighted and run.names])
    return ""


def _still(chains: list[Result]) -> str:
    """Return why the autocorrelations of the first chain show nothing; empty if they show some."""
    for chain in chains[:1]:
        # A quantity that does not vary has no autocorrelation time.
        times = [quietly(chain, chain.measured[name]).tau for name in _slow(chain)]
        if all(math.isnan(time) for time in times):
            return "nothing varies in the chain"
    return ""


def _able(runs: Runs, name: str) -> dict[str, Result]:
    """Return the runs that can estimate an observable."""
    found = {}
    for key, run in runs.items():
        # From configurations, any observable can be measured later.
        if run.drawn is not None or name in run.values:
            found[key] = run
    return found


def _on_lattices(runs: Runs) -> dict[str, Result]:
    """Return the runs of lattices: coordinates of a density are at no distance from each other."""
    return {key: run for key, run in runs.items() if not isinstance(run.model, DensityModel)}


def _along_directions(runs: Runs) -> dict[str, Result]:
    """Return the runs of lattices that have directions, which graphs have not."""
    lattices = _on_lattices(runs)
    return {key: run for key, run in lattices.items() if run.model.lattice.hypercubic}


def _shared(runs: Runs) -> list[str]:
    """Return names of the tables' observables that all runs can estimate."""
    shared = []
    names = list(LABELS)
    if all(couplings_of(run.model) for run in runs.values()):
        names = list(dict.fromkeys([*LABELS, *FIELD_LABELS]))
    for name in names:
        if all(run.drawn is not None or name in run.names for run in runs.values()):
            shared.append(name)
    return shared


def _observables(runs: Runs, one: str = "") -> Figure | None:
    """Draw observables against temperature, all that the runs share or one of them."""
    shared = _shared(runs)
    if one:
        shared = [name for name in shared if name == one]
    if not shared or any(run.model.beta == 0 for run in runs.values()):
        return None
    return physics_plots.against_temperature(list(runs.values()), shared)


def _correlation(axes: Axes, runs: Runs) -> bool:
    """Draw correlations on the largest lattice; return whether there were any."""
    able = _able(_along_directions(runs), "correlation")
    if able:
        drawn, models = of_largest(able)
        physics_plots.correlation(axes, drawn)
        headline(axes, f"{models}; bars: one σ")
    return bool(able)


def _autocorrelation(axes: Axes, runs: Runs) -> bool:
    """Draw autocorrelations of the first chain; return whether there is one."""
    for run in runs.values():
        if run.weighted or not run.names:
            continue
        chain: Any = run
        physics_plots.autocorrelation(axes, chain, _slow(run))
        about = f"{title(run.model)}, {state_of(run.model)}"
        headline(axes, f"{about}; dashed: window W of τ")
        return True
    return False


def _slow(run: Result) -> list[str]:
    """Return the observables of a chain whose autocorrelations are drawn."""
    slow = ["energy", "abs_magnetization"]
    names = [name for name in slow if name in run.names]
    return names or run.names[:1]


def _weights(axes: Axes, runs: Runs) -> bool:
    """Draw the weights of all weighted runs; return whether there are any."""
    able: dict[str, Any] = {key: run for key, run in runs.items() if run.weighted}
    if able:
        plotting.weight_histogram(axes, able)
    return bool(able)


def _overlaps(axes: Axes, runs: Runs) -> bool:
    """Draw overlaps on the largest lattice; return whether there were any."""
    able = {}
    for key, run in _on_lattices(runs).items():
        # Two pairs of walkers at least, or there is no error.
        pairs = run.drawn is not None and len(run.drawn) > 3
        if pairs or "overlap" in run.values:
            able[key] = run
    if able:
        drawn, models = of_largest(able)
        physics_plots.overlap_distribution(axes, drawn)
        headline(axes, f"{models}; pairs of walkers; bars: one σ")
    return bool(able)


def _binder(axes: Axes, runs: Runs) -> bool:
    """Draw Binder cumulants of several lattices; return whether there are several."""
    able = _able(runs, "binder")
    lattices = {run.model.shape for run in able.values()}
    # Curves of one lattice have nothing to cross.
    if len(lattices) < 2:
        return False
    physics_plots.binder_crossing(axes, list(able.values()))
    return True


def _snapshots(axes: Axes, runs: Runs) -> bool:
    """Draw walkers of the first run that has them; return whether there is one."""
    for run in _on_lattices(runs).values():
        if run.configurations is not None:
            plotting.snapshots(axes, run)
            return True
    return False


_DRAWN: dict[str, Callable[[Axes, Runs], bool]] = {
    "correlation": _correlation,
    "autocorrelation": _autocorrelation,
    "weights": _weights,
    "overlaps": _overlaps,
    "binder": _binder,
    "snapshots": _snapshots,
}


def of_largest(runs: Runs) -> tuple[dict[str, Result], str]:
    """Return the runs on the largest lattice, cold ones first, and what models they are of.

    Their labels get the temperature too.
    """
    largest = max(math.prod(run.model.shape) for run in runs.values())
    ordered = sorted(runs.items(), key=lambda item: -item[1].model.beta)
    found = {}
    for key, run in ordered:
        if math.prod(run.model.shape) == largest:
            found[f"{key}, {_temperature_of(run.model)}"] = run
    models = dict.fromkeys(title(run.model) for run in found.values())
    return found, "; ".join(models)


def _temperature_of(model: Any) -> str:
    """Return the temperature of a model, or of a field its couplings, for a legend."""
    if couplings_of(model):
        return state_of(model)
    # β = 0 is a valid model, at infinite temperature.
    if model.beta == 0.0:
        return f"T = {math.inf:.4g}"
    return f"T = {1.0 / model.beta:.4g}"


def training(histories: Mapping[str, TrainingHistory]) -> Figure | None:
    """Return the curves of trainings side by side; None if there are none.

    Below the loss stand what evaluations found, in as many rows as any of them has: the residual on
    fresh nodes, the spread of the residual on held-out samples, the variance of log-weights along
    the path, and the error of log Z.

    Args:
        histories: label → history, of at least one step.
    """
    if not histories:
        return None
    count = len(histories)
    rows: list[Callable[[Axes, TrainingHistory], None]] = [plotting.training_curve]
    for draw in _EVALUATED:
        if any(_has(draw, history) for history in histories.values()):
            rows.append(draw)
    size = (7.0 * count, 4.8 + 3.4 * (len(rows) - 1))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(rows), count, squeeze=False)
    for row, draw in zip(panels, rows, strict=True):
        for axes, history in zip(row, histories.values(), strict=True):
            if _has(draw, history):
                draw(axes, history)
            else:
                axes.set_axis_off()
    for axes, label in zip(panels[0], histories, strict=True):
        axes.set_title(label, fontsize=9)
    return figure


def _has(draw: Callable[..., None], history: TrainingHistory) -> bool:
    """Return whether a history has what a panel draws; the loss every one has."""
    return draw not in _EVALUATED or bool(getattr(history, _EVALUATED[draw]))


_EVALUATED: dict[Callable[..., None], str] = {
    plotting.node_residuals: "test_step",
    plotting.residual_spread: "held_out_step",
    plotting.variance_along_path: "evaluation_variance_trace",
    plotting.log_z_pulls: "evaluation_log_z_pull",
}
"""Panels of evaluations, and the list of a history that is not empty if it has what they draw."""
