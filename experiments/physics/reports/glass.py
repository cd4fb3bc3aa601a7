"""The table and the figure of spin_glass.py."""

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

import leaps_triton as lt
from leaps_triton.files import replacing

METHODS = ("parallel tempering", "with Houdayer")
NAMES = {"energy": "energy", "specific_heat": "specific heat", "log_z": "log Z"}
POINTS: Any = {"marker": "o", "markersize": 3.5, "capsize": 2.5, "linestyle": "none"}


def side_of(part: dict[str, Any]) -> str:
    """Return the shape of a lattice in words."""
    return " × ".join(map(str, part["shape"]))


def column(rows: list[dict[str, Any]], key: str) -> list[float]:
    """Return one value of every row."""
    return [row[key] for row in rows]


def draw_energies(axes: Axes, small: dict[str, Any], large: dict[str, Any]) -> None:
    """Draw the energies of both lattices, and the exact ones of the small one."""
    rows = small["rows"]
    side = side_of(small)
    exact = column(rows, "energy_exact")
    label = f"{side}, exact"
    axes.plot(column(rows, "beta"), exact, color="C0", linewidth=0.9, label=label)
    curves = [(f"{side}, with Houdayer", rows)]
    for name in METHODS:
        curves.append((f"{side_of(large)}, {name}", large["methods"][name]["rows"]))
    for n, (label, rows) in enumerate(curves):
        energy = column(rows, "energy")
        error = column(rows, "energy_error")
        x = column(rows, "beta")
        axes.errorbar(x, energy, error, label=label, color=f"C{n}", **POINTS)
    axes.set(xlabel="β (1/J)", ylabel="energy / site (J)", title="energy")


def draw_pulls(axes: Axes, small: dict[str, Any], large: dict[str, Any]) -> None:
    """Draw the distance from exact values, and that of the two methods, in their errors."""
    # Symbols of one temperature stand beside one another.
    shift = 0.008
    symbols = (("energy", "o", -shift), ("specific_heat", "s", 0.0), ("log_z", "^", shift))
    for name, marker, move in symbols:
        rows = [row for row in small["rows"] if f"{name}_pull" in row]
        fill = "C0" if name == "energy" else "white"
        axes.plot(
            [row["beta"] + move for row in rows],
            column(rows, f"{name}_pull"),
            marker,
            color="C0",
            markerfacecolor=fill,
            markersize=4.5,
            label=f"{NAMES[name]}, {side_of(small)}",
        )
    rows = large["differences"]
    for name, marker, label in (("energy", "x", "energies"), ("overlap_squared", "+", "q²")):
        axes.plot(
            column(rows, "beta"),
            column(rows, f"{name}_pull"),
            marker,
            color="C3",
            markersize=5,
            label=f"{label} of the two methods, {side_of(large)}",
        )
    title = "measured less exact, or less each other"
    axes.set(xlabel="β (1/J)", ylabel="difference / σ", title=title)
    mark_deviations(axes)


def mark_deviations(axes: Axes) -> None:
    """Shade one standard error, draw lines at three, and leave room for the legend."""
    axes.axhspan(-1, 1, color="grey", alpha=0.25, linewidth=0)
    for level in (-3, 3):
        axes.axhline(level, color="grey", linewidth=0.8)
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, -3.5), max(high, 3.5) + 3.0)


def draw_law(axes: Axes, label: str, law: dict[str, list[float]], colour: str) -> None:
    """Draw one law of the overlap."""
    axes.errorbar(
        law["overlap"],
        law["density"],
        law["error"],
        color=colour,
        drawstyle="steps-mid",
        linewidth=1.1,
        capsize=1.5,
        label=label,
    )


def draw_laws(pair: list[Axes], small: dict[str, Any], large: dict[str, Any]) -> None:
    """Draw the laws of the overlap on both lattices, each on axes of its own."""
    draw_law(pair[0], "with Houdayer", small["law"], "C0")
    draw_law(pair[0], "exact samples", small["law_exact"], "black")
    reached = []
    for n, name in enumerate(METHODS, 1):
        law = large["methods"][name]["law"]
        draw_law(pair[1], name, law, f"C{n}")
        for centre, density in zip(law["overlap"], law["density"], strict=True):
            if density > 0.0:
                reached.append(abs(centre))
    betas = (small["rows"][-1]["beta"], large["differences"][-1]["beta"])
    for axes, part, beta in zip(pair, (small, large), betas, strict=True):
        title = f"overlap, {side_of(part)}, β = {beta:g}/J"
        axes.set(xlabel="overlap q", ylabel="P(q)", title=title)
        axes.set_ylim(0.0, 1.3 * axes.get_ylim()[1])
    pair[1].set_xlim(-1.1 * max(reached), 1.1 * max(reached))


def draw_settling(axes: Axes, large: dict[str, Any], config: dict[str, Any]) -> None:
    """Draw how the energy of the coldest replicas settles after cooling."""
    cooling = config["large_burn_in"] // 2
    # The energies are means over tenths of the steps after cooling.
    tenth = (config["large_burn_in"] - cooling + config["large_steps"]) / 10.0
    for n, name in enumerate(METHODS, 1):
        settling = large["methods"][name]["settling"]
        times = [cooling + (k + 0.5) * tenth for k in range(len(settling))]
        axes.plot(times, settling, f"C{n}o-", markersize=3.5, linewidth=0.8, label=name)
    axes.axvline(config["large_burn_in"], color="grey", linewidth=0.8, label="end of burn-in")
    beta = large["differences"][-1]["beta"]
    title = f"energy in time, {side_of(large)}, β = {beta:g}/J"
    axes.set(xlabel="step", ylabel="energy / site (J)", title=title)


def draw_halves(axes: Axes, large: dict[str, Any]) -> None:
    """Draw the distance of the two halves of each run, in their errors."""
    for n, name in enumerate(METHODS, 1):
        rows = large["methods"][name]["rows"]
        x = column(rows, "beta")
        for key, fill, label in (("energy", f"C{n}", "energy"), ("overlap_squared", "white", "q²")):
            pulls = column(rows, f"{key}_halves_pull")
            style: Any = {"markerfacecolor": fill, "markersize": 4, "label": f"{label}, {name}"}
            axes.plot(x, pulls, f"C{n}o", **style)
    title = f"first half less second, {side_of(large)}"
    axes.set(xlabel="β (1/J)", ylabel="difference / σ", title=title)
    mark_deviations(axes)


def draw_exchanges(axes: Axes, large: dict[str, Any]) -> None:
    """Draw the accepted share of exchanges between neighbouring temperatures."""
    for n, name in enumerate(METHODS, 1):
        found = large["methods"][name]
        middles = [0.5 * (a + b) for a, b in pairwise(column(found["rows"], "beta"))]
        label = f"{name}: {found['arrivals']} arrivals"
        style: Any = {"markersize": 3.5, "linewidth": 0.8, "label": label}
        axes.plot(middles, found["acceptance"], f"C{n}o-", **style)
    axes.set(xlabel="β (1/J)", ylabel="accepted share of exchanges", ylim=(0.0, 1.0))
    axes.set_title(f"exchanges, {side_of(large)}")


def draw_times(axes: Axes, large: dict[str, Any]) -> None:
    """Draw the autocorrelation times of both methods."""
    for n, name in enumerate(METHODS, 1):
        rows = large["methods"][name]["rows"]
        x = column(rows, "beta")
        for key, line, label in (("overlap_squared_tau", "-", "q²"), ("energy_tau", ":", "energy")):
            style: Any = {"markersize": 3, "linewidth": 0.9, "label": f"{label}, {name}"}
            axes.plot(x, column(rows, key), f"C{n}o{line}", **style)
    axes.set(xlabel="β (1/J)", ylabel="τ_int (steps)", yscale="log")
    axes.set_title(f"autocorrelation, {side_of(large)}")


def draw(result: dict[str, Any], file: Path) -> None:
    """Draw energies, pulls and overlaps of both lattices.

    For the large one, how it settles, its exchanges and times are drawn too.
    """
    figure = Figure(figsize=(17, 7.6), layout="constrained")
    axes: list[Axes] = list(figure.subplots(2, 4).flat)
    small = result["small"]
    large = result["large"]
    draw_energies(axes[0], small, large)
    draw_pulls(axes[1], small, large)
    draw_laws(axes[2:4], small, large)
    draw_settling(axes[4], large, result["config"])
    draw_halves(axes[5], large)
    draw_exchanges(axes[6], large)
    draw_times(axes[7], large)
    for ax in axes:
        ax.legend(frameon=False, fontsize=8)
    figure.suptitle(
        "±J spin glass in two dimensions, one draw of the couplings each, by parallel tempering"
    )
    with replacing(file) as part:
        figure.savefig(part, dpi=100)


def estimate(row: dict[str, Any], name: str) -> lt.Estimate:
    """Return a value of a row with its error."""
    return lt.Estimate(row[name], row[f"{name}_error"])


def lines_of_small(small: dict[str, Any]) -> list[str]:
    """Return a line per temperature of the small lattice, and one of its overlaps."""
    lines = [
        f"{small['shape']}, {'β':>5}{'energy / site':>21}{'pull':>6}{'c pull':>8}"
        f"{'log Z':>20}{'pull':>6}{'τ(q²)':>8}"
    ]
    for row in small["rows"]:
        e = estimate(row, "energy")
        z = estimate(row, "log_z")
        pulls = [row.get(f"{name}_pull", math.nan) for name in ("energy", "specific_heat", "log_z")]
        lines.append(
            f"{row['beta']:15.3f}{e!s:>21}{pulls[0]:6.1f}{pulls[1]:8.1f}{z!s:>20}{pulls[2]:6.1f}"
            f"{row['overlap_squared_tau']:8.1f}"
        )
    squared = estimate(small, "overlap_squared_exact")
    last = estimate(small["rows"][-1], "overlap_squared")
    lines.append(
        f"q² {last}, of exact samples {squared}, {small['arrivals']} arrivals, {small['seconds']} s"
    )
    return lines


def lines_of_method(large: dict[str, Any], name: str) -> list[str]:
    """Return lines of one method on the large lattice, one for every fourth temperature."""
    found = large["methods"][name]
    acceptance = found["acceptance"]
    each = ", ".join(f"{e:.4f}" for e in found["energies_of_walkers"])
    lines = [
        f"{large['shape']}, {name}: {found['milliseconds_a_step']} ms a step, "
        f"{found['arrivals']} arrivals, "
        f"acceptance {min(acceptance):.2f} to {max(acceptance):.2f}",
        f"    energies of the walkers at the lowest temperature: {each}",
    ]
    for row in found["rows"][::4] + found["rows"][-1:]:
        e = estimate(row, "energy")
        q = estimate(row, "overlap_squared")
        lines.append(
            f"{row['beta']:15.3f}{e!s:>21}   q² {q!s:>20}   "
            f"τ(e) {row['energy_tau']:6.1f}   τ(q²) {row['overlap_squared_tau']:6.1f}   "
            f"halves {row['energy_halves_pull']:5.1f} {row['overlap_squared_halves_pull']:5.1f} σ"
        )
    return lines


def table(result: dict[str, Any]) -> str:
    """Return one line per temperature, and one per check."""
    small = result["small"]
    large = result["large"]
    lines = lines_of_small(small)
    for name in METHODS:
        lines += lines_of_method(large, name)
    for name, label in (("energy", "energies"), ("overlap_squared", "q²")):
        shown = ", ".join(f"{row[f'{name}_pull']:.1f}" for row in large["differences"])
        lines.append(f"{label} of the two methods differ by {shown} σ")
    for name, squares in large["mean_square_differences"].items():
        shown = ", ".join(f"{key} {value:.2f}" for key, value in squares.items())
        lines.append(f"mean squares of these differences {name}: {shown}")
    lines.append(
        f"mean square of the pulls of energies and specific heats: {small['mean_square_pull']:.2f}"
    )
    return "\n".join(lines)
