"""Figures of physics, from weighted runs and chains; none of them touches matplotlib's global
state.

A run is anything with a ``model`` and ``estimate(observable)``: what :func:`leaps_triton.io.read`
returns, a :class:`~leaps_triton.Chain` or a :class:`~leaps_triton.WeightedEnsemble`. Temperatures
are ``T = 1/β`` in units of the energy of the model (``J / k_B`` at coupling 1).
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from .. import exact
from .. import observables as _observables
from ..estimators.autocorrelation import ShortChainWarning, chain_estimate
from ..estimators.overlaps import overlap_distribution as _distribution
from .plotting import mosaic
from .summary import LABELS, known, label, title

if TYPE_CHECKING:
    from ..mcmc.chain import Chain

__all__ = [
    "against_temperature", "animation", "autocorrelation", "binder_crossing", "correlation", "overlap_distribution",
]  # fmt: skip


_AXES = {
    "energy": "energy / site  ⟨H⟩/N  [$J$]",
    "abs_magnetization": "magnetisation  ⟨|m|⟩",
    "susceptibility": "susceptibility / site  χ  [$1/J$]",
    "specific_heat": "specific heat / site  c  [$k_B$]",
    "binder": "Binder cumulant  U",
}

_TEMPERATURE = "temperature  T = 1/β  [$J/k_B$]"

_MARKERS = "os^Dv<>P*X"

_FEW = 2**12


def against_temperature(runs: Sequence[Any], names: Iterable[str] = tuple(LABELS)) -> Figure:
    """Observables against temperature with exact curves where they are known, and pulls below each.

    Args:
        runs: at temperatures of their own; one colour for each model and lattice.
        names: of observables that all runs can estimate.

    Raises:
        ValueError: no run, or one at β = 0.
    """
    names = list(names)
    if not runs or not names or any(run.model.beta == 0 for run in runs):
        raise ValueError(
            "give at least one run and one observable, and none at beta = 0, where T is infinite"
        )
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(4.4 * columns, 4.2 * rows), layout="constrained")
    # Cells of a value and its pulls; the left ones share the width of their labels.
    ratios = [3.0, 1.0] * rows
    grid = figure.subplots(2 * rows, columns, squeeze=False, height_ratios=ratios)
    for cell in range(len(names), rows * columns):
        for axes in grid[2 * (cell // columns) : 2 * (cell // columns) + 2, cell % columns]:
            axes.set_axis_off()
    pulled = False
    groups = _groups(runs)
    for colour, (group, members) in enumerate(groups.items()):
        temperatures, curves = _curves(members)
        references = [known(run.model) for run in members]
        for cell, name in enumerate(names):
            above, below = grid[2 * (cell // columns) : 2 * (cell // columns) + 2, cell % columns]
            estimates = [_quiet(run, getattr(_observables, name)) for run in members]
            t = [1.0 / run.model.beta for run in members]
            if name in curves:
                above.plot(temperatures, curves[name], color=f"C{colour}", linewidth=1.0, zorder=1)
            style = "none" if name in curves else ":"
            _bars(
                above,
                t,
                [e.value for e in estimates],
                [e.error for e in estimates],
                colour,
                group,
                style,
            )
            pairs = [
                (x, e.pull(reference[name]))
                for x, e, reference in zip(t, estimates, references, strict=True)
                if name in reference
            ]
            if pairs:
                pulled = True
                below.plot(
                    *zip(*pairs, strict=True), _marker(colour), color=f"C{colour}", markersize=4
                )
    for cell, name in enumerate(names):
        above, below = grid[2 * (cell // columns) : 2 * (cell // columns) + 2, cell % columns]
        above.set_ylabel(_AXES.get(name, label(name)))
        above.tick_params(labelbottom=False)
        below.set_xlabel(_TEMPERATURE)
        below.sharex(above)
        if not below.lines:
            below.text(
                0.5,
                0.5,
                "no exact value known",
                transform=below.transAxes,
                ha="center",
                va="center",
                fontsize=8,
            )
            below.set_yticks([])
            continue
        below.axhspan(-1.0, 1.0, color="grey", alpha=0.25, linewidth=0)
        below.axhline(0.0, color="grey", linewidth=0.8)
        most = max(
            3.0, *(1.15 * abs(float(y)) for line in below.lines[:-1] for y in line.get_ydata())
        )
        below.set_ylim(-most, most)
        below.set_ylabel("pull [σ]")
    # Exact curves reach further than runs: one scale of temperature for all.
    used = [grid[2 * (cell // columns), cell % columns] for cell in range(len(names))]
    low, high = (
        reach(axes.get_xlim()[end] for axes in used) for end, reach in ((0, min), (1, max))
    )
    for axes in used:
        axes.set_xlim(low, high)
    grid[0, 0].legend(fontsize=8)
    text = (
        "full lines: exact; dotted: to guide the eye; bars: one σ; pull = (value − exact) / σ"
        if pulled
        else "dotted: to guide the eye; bars: one σ"
    )
    figure.supxlabel(text, fontsize=8)
    return figure


def binder_crossing(axes: Axes, runs: Sequence[Any]) -> None:
    """Binder cumulants against temperature, one line a lattice: they cross near the critical
    temperature.

    Exact curves are drawn where they are known, and ``T_c = 2/ln(1 + √2)`` of the square Ising
    model without field.
    """
    groups = _groups(runs)
    for colour, (group, members) in enumerate(groups.items()):
        temperatures, curves = _curves(members)
        if "binder" in curves:
            axes.plot(temperatures, curves["binder"], color=f"C{colour}", linewidth=1.0)
        estimates = [_quiet(run, _observables.binder) for run in members]
        style = "none" if "binder" in curves else ":"
        t, values = [1.0 / run.model.beta for run in members], [e.value for e in estimates]
        _bars(axes, t, values, [e.error for e in estimates], colour, group, style)
    if all(_square_ising(run.model) for run in runs):
        critical = 2.0 / math.log1p(math.sqrt(2.0)) * float(runs[0].model.coupling.flatten()[0])
        axes.axvline(
            critical,
            color="grey",
            linestyle="--",
            linewidth=1.0,
            label="$T_c$ of the infinite lattice",
        )
    axes.set_title("lines without exact values guide the eye; bars: one σ", fontsize=9)
    axes.set_xlabel(_TEMPERATURE)
    axes.set_ylabel("Binder cumulant  U = 1 − ⟨m⁴⟩ / 3⟨m²⟩²")
    axes.legend(fontsize=8)


def correlation(axes: Axes, runs: Mapping[str, Any]) -> None:
    """``C(r) = ⟨s(i) · s(i + r)⟩`` along the first direction, with exact values of small lattices;
    one colour a run.
    """
    low, exact_drawn = math.inf, False
    for colour, (name, run) in enumerate(runs.items()):
        length = run.model.lattice.shape[0]
        distances = list(range(length // 2 + 1 if run.model.lattice.periodic[0] else length))
        estimates = [_quiet(run, _observables.correlation, _pick(r)) for r in distances]
        values, errors = [e.value for e in estimates], [e.error for e in estimates]
        low = min(low, *(value - 2.0 * error for value, error in zip(values, errors, strict=True)))
        _bars(axes, distances, values, errors, colour, name, ":")
        if run.model.q**run.model.lattice.sites <= _FEW:
            reference = exact.enumerate_model(run.model).mean(_observables.correlation, run.model)
            axes.plot(distances, reference.tolist(), "_", color="black", markersize=14, zorder=3)
            exact_drawn = True
    if exact_drawn:
        axes.plot([], [], "_", color="black", markersize=14, label="exact")
    if 0.0 < low < 0.2:
        axes.set_yscale("log")
    elif low <= 0.0:
        axes.axhline(0.0, color="grey", linewidth=0.8)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("distance  r  [lattice spacings]")
    axes.set_ylabel("correlation  C(r) = ⟨s(0) s(r)⟩")
    axes.legend(fontsize=8)


def autocorrelation(
    axes: Axes, chain: Chain, names: Iterable[str] = ("energy", "abs_magnetization")
) -> None:
    """Normalised autocorrelation functions ``ρ(t)`` of a chain with error bands, and the windows of
    their sums.

    References:
        Lüscher, *Schwarz-preconditioned HMC algorithm for two-flavour lattice QCD*,
        hep-lat/0409106, eq. (E.11).
    """
    for colour, name in enumerate(names):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ShortChainWarning)
            estimate = chain.estimate(name)
            # The same function with a wider window, to see what lies beyond the chosen one.
            wide = chain_estimate(
                chain.values[name], chain.functions.get(name), 5.0, chain.together_of(name)
            ).autocorrelation
        t = torch.arange(len(wide))
        error = _autocorrelation_error(wide, estimate.window, estimate.draws)
        text = f"{label(name)}: τ = {estimate.tau:.3g} ± {estimate.tau_error:.1g}, W = {estimate.window}"
        axes.plot(
            t.numpy(),
            wide.numpy(),
            "o-",
            color=f"C{colour}",
            markersize=3,
            linewidth=1.0,
            label=text,
        )
        axes.fill_between(
            t.numpy(),
            (wide - error).numpy(),
            (wide + error).numpy(),
            color=f"C{colour}",
            alpha=0.25,
            linewidth=0,
        )
        axes.axvline(estimate.window, color=f"C{colour}", linestyle="--", linewidth=1.0)
    axes.axhline(0.0, color="grey", linewidth=0.8)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel(f"separation  t  [draws of {chain.thin} step{'s' if chain.thin > 1 else ''}]")
    axes.set_ylabel("autocorrelation  ρ(t)")
    axes.set_title("dashed: window W of the sum for τ", fontsize=9)
    axes.legend(fontsize=8)


def overlap_distribution(axes: Axes, runs: Mapping[str, Any]) -> None:
    """``P(q)`` of the overlaps of pairs of walkers, the first with the second and so on, with
    errors.

    Args:
        runs: label → chain that measured ``"overlap"``; or run with configurations, of every draw
            for chains, and at least two walkers.

    Raises:
        ValueError: a run without them.
    """
    for colour, (name, run) in enumerate(runs.items()):
        q, weights = _overlaps(run)
        # Overlaps of two-state models are multiples of 2/N: bins of as many of them each, or they
        # would be a comb.
        sites = run.model.lattice.sites
        size = -(-(sites + 1) // 41)
        edges = torch.tensor([*range(0, sites + 1, size), sites + 1], dtype=torch.float64) - 0.5
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ShortChainWarning)
            law = _distribution(q, edges * (2.0 / sites) - 1.0, weights)
        _bars(
            axes, law.centres.tolist(), law.density.tolist(), law.error.tolist(), colour, name, "-"
        )
    axes.set_xlim(-1.08, 1.08)
    # Densities have peaks anywhere, so the legend has room of its own above them.
    columns = min(3, len(runs))
    axes.set_ylim(0.0, axes.get_ylim()[1] * (1.06 + 0.06 * -(-len(runs) // columns)))
    axes.set_xlabel("overlap  q = Σ s s′ / N")
    axes.set_ylabel("density  P(q)")
    axes.legend(fontsize=8, loc="upper center", ncols=columns)


def _overlaps(run: Any) -> tuple[Tensor, Tensor | None]:
    """Of pairs of walkers, ``(pairs, draws)`` for chains, else ``(pairs,)`` with their
    log-weights.
    """
    chain = hasattr(run, "kept")
    if chain and run.measured.get("overlap") is _observables.overlap:
        return run.values["overlap"], None
    x = run.kept if chain else run.configurations
    if x is None or len(x) < 2:
        raise ValueError(
            "P(q) needs the configurations of at least two walkers; use configurations=True"
        )
    pairs = len(x) // 2
    first, second = x[: 2 * pairs : 2], x[1 : 2 * pairs : 2]
    if chain:
        return _observables.overlap(first.flatten(0, 1), second.flatten(0, 1), run.model).view(
            pairs, -1
        ), None
    weights = run.log_weights.cpu()
    return _observables.overlap(first, second, run.model), weights[: 2 * pairs : 2] + weights[
        1 : 2 * pairs : 2
    ]


def animation(
    frames: Tensor,
    titles: Sequence[str],
    file: str | Path,
    states: int,
    columns: int = 3,
    fps: float = 10.0,
) -> None:
    """Write configurations on their way as a GIF.

    Args:
        frames: ``(frames, walkers, *shape)``.
        titles: above each frame.
        file: ``.gif``; replaced if it exists.
        states: ``q``, for the colours.
        columns: walkers side by side.
        fps: frames a second.

    Raises:
        ValueError: no frames, or titles of another number.
    """
    if not len(frames) or len(titles) != len(frames):
        raise ValueError(
            f"give one title a frame and at least one, got {len(titles)} for {len(frames)}"
        )
    pictures = [mosaic(frame, columns).numpy() for frame in frames]
    height, width = pictures[0].shape
    size = min(6.0, max(4.5, width / 16.0))
    figure = Figure(figsize=(size, size * height / width + 0.5), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(
        pictures[0], cmap="viridis", interpolation="nearest", vmin=0, vmax=states - 1
    )
    axes.set_axis_off()
    text = axes.set_title(titles[0], fontsize=9)

    def draw(index: int) -> list[Any]:
        image.set_data(pictures[index])
        text.set_text(titles[index])
        return [image, text]

    FuncAnimation(figure, draw, frames=len(pictures)).save(
        str(file), writer=PillowWriter(fps=round(fps)), dpi=90
    )


def _groups(runs: Sequence[Any]) -> dict[str, list[Any]]:
    """Runs of one model and lattice, small lattices first, by rising temperature."""
    ordered = sorted(runs, key=lambda run: (run.model.lattice.sites, -run.model.beta))
    names = dict.fromkeys(title(run.model) for run in ordered)
    return {name: [run for run in ordered if title(run.model) == name] for name in names}


def _curves(runs: Sequence[Any]) -> tuple[list[float], dict[str, list[float]]]:
    """Exact observables over the temperatures of runs of one model, and a little more on either
    side.
    """
    model, t = runs[0].model, [1.0 / run.model.beta for run in runs]
    cheap = model.q**model.lattice.sites <= _FEW or _square_ising(model)
    if not cheap or any(not _alike(run.model, model) for run in runs):
        return [], {}
    margin = 0.05 * (max(t) - min(t)) or 0.15 * t[0]
    temperatures = torch.linspace(
        min(t) - margin, max(t) + margin, 41, dtype=torch.float64
    ).tolist()
    rows = []
    for temperature in temperatures:
        other = copy.copy(model)
        other.beta = 1.0 / temperature
        rows.append(known(other))
    return temperatures, {name: [row[name] for row in rows] for name in rows[0]}


def _alike(first: Any, second: Any) -> bool:
    tables = ("coupling", "site_table", "bond_table")
    return all(torch.equal(getattr(first, name), getattr(second, name)) for name in tables)


def _square_ising(model: Any) -> bool:
    uniform = model.coupling.numel() == 1 and not model.site_table.any()
    return (
        type(model).__name__ == "Ising"
        and model.lattice.ndim == 2
        and all(model.lattice.periodic)
        and uniform
    )


def _quiet(run: Any, observable: Any, function: Any = None) -> Any:
    """An estimate; that a chain is short is said where the table is made."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ShortChainWarning)
        return run.estimate(observable, function)


def _pick(index: int) -> Any:
    return lambda means: means[..., index]


def _bars(
    axes: Axes, x: Sequence[float], y: Sequence[float], errors: Sequence[float], colour: int, name: str,
    style: str = "none",
) -> None:  # fmt: skip
    axes.errorbar(
        x, y, errors, fmt=_marker(colour), linestyle=style, linewidth=1.0, color=f"C{colour}", markersize=4, capsize=2,
        label=name,
    )  # fmt: skip


def _marker(colour: int) -> str:
    return _MARKERS[colour % len(_MARKERS)]


def _autocorrelation_error(rho: Tensor, window: int, draws: int) -> Tensor:
    """``δρ(t)² = (1/N) Σ_{k=1}^{t+W} [ρ(k+t) + ρ(k-t) - 2 ρ(k) ρ(t)]²``, with ρ = 0 where it was
    not computed.
    """
    squares = []
    for t in range(len(rho)):
        k = torch.arange(1, t + window + 1)
        at = [
            torch.where(i.abs() < len(rho), rho[i.abs().clamp(max=len(rho) - 1)], 0.0)
            for i in (k + t, k - t, k)
        ]
        squares.append(float((at[0] + at[1] - 2.0 * at[2] * rho[t]).square().sum()) / draws)
    return torch.tensor(squares, dtype=torch.float64).sqrt()
