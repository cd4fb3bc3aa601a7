"""The figure of inverse_ising.py."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from leaps_triton.files import replacing


def draw(result: dict[str, Any], file: Path) -> None:
    """Draw the scores of all methods, one axes for each coupling.

    Args:
        result: what the script has found.
        file: of the figure.
    """
    rows = result["summary"]
    sigmas = list(dict.fromkeys(row["sigma"] for row in rows))
    methods = list(dict.fromkeys(row["method"] for row in rows))
    figure = Figure(figsize=(3.0 + 3.2 * len(sigmas), 5.2), layout="constrained")
    # An array, whose type would also allow one axes alone.
    every: Any = figure.subplots(1, len(sigmas), sharey=True, squeeze=False)
    for axes, sigma in zip(every[0], sigmas, strict=True):
        for row in rows:
            if row["sigma"] != sigma:
                continue
            place = methods.index(row["method"])
            axes.plot(row["scores"], [place] * len(row["scores"]), "o", color="C0", markersize=4)
            if row["method"] == "J = 0":
                axes.axvline(row["mean"], color="C3", linestyle="--", linewidth=1.0)
        axes.set_title(f"σ = {sigma}", fontsize=10)
        axes.set_xlabel("−log RMSE of J")
        axes.grid(axis="y", linewidth=0.3)
    every[0][0].set_yticks(range(len(methods)), methods, fontsize=8)
    every[0][0].invert_yaxis()
    figure.supxlabel(f"{result['device']}; dashed: nothing learned", fontsize=8)
    with replacing(file) as part:
        figure.savefig(part, dpi=120)
