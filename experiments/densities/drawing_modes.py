"""The figure of two_modes.py."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from leaps_triton.files import replacing

COLOURS = {
    "linear": "C1",
    "linear, AIS": "C1",
    "drift": "C3",
    "Ornstein–Uhlenbeck": "C7",
    "free path": "C2",
    "Máté–Fleuret": "C4",
    "gradient flow": "C0",
}
"""Curve → its colour."""


def draw(result: dict[str, Any], shades: dict[str, list[list[float]]], file: Path) -> None:
    """Draw densities of all curves above; velocities, masses on the way and at the end below.

    Args:
        result: what the script has found.
        shades: densities of each curve from x = -4 to 4, a row for each time.
        file: of the figure.
    """
    figure = Figure(figsize=(12.0, 6.6), layout="constrained")
    # An array, whose type would also allow one part alone.
    parts: Any = figure.subfigures(2, 1)
    above, below = parts
    for axes, (name, rows) in zip(above.subplots(1, len(shades)), shades.items(), strict=True):
        axes.imshow(
            rows,
            origin="lower",
            extent=(-4.0, 4.0, 0.0, 1.0),
            aspect="auto",
            vmax=0.6,
            cmap="viridis",
        )
        axes.set_title(name, fontsize=10, color=COLOURS[name])
        axes.set_xlabel("x")
        axes.set_ylabel("t")
    velocities, masses, ends = below.subplots(1, 3)
    for name, numbers in result["curves"].items():
        colour = COLOURS[name]
        label = f"{name}  ∫ = {numbers['integral']:.2f}"
        # The exact curve lies below the learned one that finds it.
        style = "-"
        if name == "Ornstein–Uhlenbeck":
            style = "--"
        velocities.plot(numbers["times"], numbers["norms"], style, color=colour, label=label)
        masses.plot(numbers["times"], numbers["mass_right"], style, color=colour)
    # Its curve is the linear one: the colour is that of its walkers.
    velocities.plot([], [], color=COLOURS["drift"], label="drift, along the linear curve")
    clock = "t = e^{−s}, the time of each curve"
    velocities.set(xlabel=clock, ylabel="‖v_t‖² of the least velocity", yscale="log")
    velocities.legend(fontsize=8)
    masses.axhline(result["exact_masses"][1], color="grey", linestyle="--", linewidth=1.0)
    masses.set(xlabel=clock, ylabel="mass at x > 0")
    ending(ends, result)
    figure.supxlabel(result["device"], fontsize=8)
    with replacing(file) as part:
        figure.savefig(part, dpi=120)


def ending(axes: Axes, result: dict[str, Any]) -> None:
    """Draw the mass of the left mode as walkers tell it, with weights and without."""
    names: list[str] = []
    for row in result["rows"]:
        name = row["curve"]
        if name not in names:
            names.append(name)
        place = names.index(name)
        colour = COLOURS[name]
        error = 2.0 * row["mass_errors"][0]
        axes.errorbar(place, row["masses"][0], error, fmt="o", color=colour, capsize=3)
        axes.plot(place, row["unweighted_masses"][0], "x", color=colour, markersize=7)
    axes.axhline(result["exact_masses"][0], color="grey", linestyle="--", linewidth=1.0)
    axes.set_xticks(range(len(names)), [name.replace(" ", "\n") for name in names], fontsize=8)
    axes.set_ylabel("mass of the left mode")
    axes.set_title("●: weighted, 2σ;  ×: without weights", fontsize=9)
