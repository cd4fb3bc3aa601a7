"""The figure of density_goals.py."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from leaps_triton.files import replacing


def draw(result: dict[str, Any], walkers: dict[str, Any], file: Path) -> None:
    """Draw weighted walkers in forty modes above, and the masses of the modes below.

    Args:
        result: what the script has found.
        walkers: places of some walkers by each method.
        file: of the figure.
    """
    part = result["forty"]
    figure = Figure(figsize=(3.6 * len(walkers), 6.6), layout="constrained")
    above, below = figure.subplots(2, len(walkers), squeeze=False)
    rows = {row["method"]: row for row in part["rows"]}
    x, y = zip(*part["means"], strict=True)
    for axes, (name, places) in zip(above, walkers.items(), strict=True):
        axes.plot(places["x"], places["y"], ".", markersize=1.0, color="C0")
        axes.plot(x, y, "x", markersize=5, color="C3")
        axes.set(title=titled(name, rows), xlabel="x", ylabel="y", xlim=(-48, 48), ylim=(-48, 48))
        axes.set_aspect("equal")
    # Masses of one scale, so that methods can be compared by eye.
    for axes in below[1:]:
        axes.sharey(below[0])
    for axes, name in zip(below, walkers, strict=True):
        masses(axes, rows[name])
    figure.supxlabel(result["device"], fontsize=8)
    with replacing(file) as place:
        figure.savefig(place, dpi=120)


def titled(name: str, rows: dict[str, dict[str, Any]]) -> str:
    """Return the title of a method; SMC that never resampled has the walkers of AIS."""
    same = ("log_z", "ess", "masses")
    if name == "SMC" and all(rows[name][key] == rows["AIS"][key] for key in same):
        return "SMC, which never resampled"
    return name


def masses(axes: Axes, row: dict[str, Any]) -> None:
    """Draw the masses of all modes in units of 1/40, with weights and without."""
    count = len(row["masses"])
    scaled = [count * mass for mass in row["masses"]]
    errors = [count * error for error in row["mass_errors"]]
    plain = [count * mass for mass in row["unweighted_masses"]]
    axes.plot(range(count), plain, "x", color="C7", markersize=5, label="without weights")
    axes.errorbar(range(count), scaled, errors, fmt="o", markersize=3, color="C0", label="weighted")
    axes.axhspan(0.7, 1.3, color="C2", alpha=0.15)
    axes.axhline(1.0, color="grey", linestyle="--", linewidth=1.0)
    axes.set(xlabel="mode", ylabel="mass, in units of 1/40")
    axes.set_title(f"half the sum of |differences|: {row['total_variation']:.3f}", fontsize=9)
    axes.legend(fontsize=7)
