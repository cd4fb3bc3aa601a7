"""The figure of graphs.py."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from leaps_triton.files import replacing


def draw(result: dict[str, Any], pictures: list[dict[str, Any]], file: Path) -> None:
    """Draw configurations above; energies, specific heats and the residual entropy below.

    Args:
        result: what the script has found.
        pictures: configurations with the positions of their sites.
        file: of the figure.
    """
    figure = Figure(figsize=(13.0, 7.0), layout="constrained")
    # An array, whose type would also allow one part alone.
    parts: Any = figure.subfigures(2, 1)
    for axes, picture in zip(parts[0].subplots(1, len(pictures)), pictures, strict=True):
        snapshot(axes, picture)
    energies, heats, entropies = parts[1].subplots(1, 3)
    for place, found in enumerate(result["scans"]):
        colour = f"C{place}"
        curve = np.array(found["curve"])
        unit = found["critical"]
        for axes, key, column in ((energies, "energy", 1), (heats, "specific_heat", 2)):
            axes.plot(curve[:, 0] / unit, curve[:, column], color=colour, linewidth=1.0)
            points = found["points"]
            axes.errorbar(
                [point["beta"] / unit for point in points],
                [point[key] for point in points],
                [2.0 * point[f"{key}_error"] for point in points],
                fmt="o",
                color=colour,
                markersize=4,
                label=found["graph"],
            )
    energies.set(xlabel="β / β_c", ylabel="energy per site")
    energies.legend(fontsize=8)
    heats.set(xlabel="β / β_c", ylabel="specific heat per site")
    heats.set_title("lines: exact;  ●: chains, 2σ", fontsize=9)
    entropy(entropies, result["residual"])
    figure.supxlabel(result["device"], fontsize=8)
    with replacing(file) as part:
        figure.savefig(part, dpi=120)


def snapshot(axes: Axes, picture: dict[str, Any]) -> None:
    """Draw spins at their positions, and the edges that do not go around the torus."""
    places = np.array(picture["positions"])
    ends = places[np.array(picture["edges"])]
    lengths = np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1)
    # An edge is one unit long, unless it goes around.
    lines = LineCollection(list(ends[lengths < 1.5]), colors="0.75", linewidths=0.7, zorder=0)
    axes.add_collection(lines)
    axes.scatter(
        places[:, 0], places[:, 1], c=picture["spins"], cmap="coolwarm", s=18, vmin=0, vmax=1
    )
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.set_title(picture["title"], fontsize=9)


def entropy(axes: Axes, residual: dict[str, Any]) -> None:
    """Draw the entropy of ground states over the size of the torus."""
    rows = residual["rows"]
    sizes = [1.0 / row["length"] ** 2 for row in rows]
    axes.plot(sizes, [row["exact"] for row in rows], "_", color="black", markersize=16)
    axes.errorbar(
        sizes,
        [row["entropy"] for row in rows],
        [2.0 * row["error"] for row in rows],
        fmt="o",
        color="C3",
        markersize=4,
        capsize=3,
    )
    axes.axhline(residual["infinite"], color="grey", linestyle="--", linewidth=1.0)
    axes.set(xlabel="1 / L²", ylabel="entropy per site", xlim=(0.0, None))
    axes.set_title("ground states of the triangular antiferromagnet", fontsize=9)
