"""The figure of oscillators.py."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from leaps_triton.files import replacing


def draw(result: dict[str, Any], file: Path) -> None:
    """Draw walkers of the pair, the field with weights and without, and images.

    Args:
        result: what the script has found.
        file: of the figure.
    """
    parts = result["parts"]
    figure = Figure(figsize=(13.0, 4.4), layout="constrained")
    # An array, whose type would also allow one axes alone.
    axes: Any = figure.subplots(1, 3, width_ratios=(1.0, 1.2, 1.6))
    if "walkers" in parts.get("pair", {}):
        scatter(axes[0], parts["pair"])
    if "phi4" in parts:
        field(axes[1], parts["phi4"])
    if "shades" in parts.get("digits", {}):
        shades(axes[2], parts["digits"])
    else:
        axes[2].set_axis_off()
    figure.supxlabel(result["device"], fontsize=8)
    with replacing(file) as part:
        figure.savefig(part, dpi=120)


def scatter(axes: Axes, part: dict[str, Any]) -> None:
    """Draw two oscillators, as large as their weights are."""
    x = np.array(part["walkers"])
    chances = np.array(part["chances"])
    sizes = 12.0 * chances / chances.mean()
    axes.scatter(x[:, 0], x[:, 1], s=sizes, alpha=0.4, linewidths=0)
    axes.scatter(x[:, 0], x[:, 1], s=0.3, color="black")
    row = part["rows"][-1]
    axes.set_title(
        f"mass at +: {row['unweighted']:.3f}, weighted {row['weighted']:.3f}, exact {part['mass']}",
        fontsize=9,
    )
    axes.set(xlabel="$x_1$", ylabel="$x_2$", xlim=(-3.0, 3.0), ylim=(-3.0, 3.0))


def field(axes: Axes, part: dict[str, Any]) -> None:
    """Draw the collective mode with weights and without, beside annealed walkers."""
    names = []
    for place, row in enumerate(part["rows"]):
        names.append(f"{row['bonds']}\n{row['steps']} steps\nESS {row['ess']:.2f}")
        axes.errorbar(place, row["unweighted"], 2.0 * row["unweighted_error"], fmt="x", color="C1")
        axes.errorbar(
            place, row["weighted"], 2.0 * row["weighted_error"], fmt="o", color="C0", capsize=3
        )
    exact = part["reference"]
    axes.axhline(exact["squares"], color="grey", linestyle="--", linewidth=1.0)
    axes.set_xticks(range(len(names)), names, fontsize=8)
    axes.set_ylabel("$V ⟨M²⟩$ of φ⁴, 6 × 6")
    axes.set_title("●: weighted, 2σ;  ×: without weights;  dashed: annealed", fontsize=9)


def shades(axes: Axes, part: dict[str, Any]) -> None:
    """Draw images of the data and of each network, one row each."""
    rows = []
    for images in part["shades"]:
        tiles = np.array(images).reshape(-1, 8, 8)
        # A white line parts the images.
        framed = np.pad(tiles, ((0, 0), (1, 1), (1, 1)), constant_values=1.0)
        rows.append(np.concatenate(list(framed), 1))
    axes.imshow(np.concatenate(rows), cmap="gray_r", vmin=-1.0, vmax=1.0)
    names = [row["bonds"].replace("data, drawn again", "data") for row in part["rows"]]
    axes.set_yticks([4.5 + 10.0 * place for place in range(len(names))], names, fontsize=8)
    axes.set_xticks([])
    axes.set_title("8 × 8 images, walkers without weights", fontsize=9)
