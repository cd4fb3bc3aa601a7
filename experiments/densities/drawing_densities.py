"""The lines and the figure of densities.py."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from leaps_triton.files import replacing

RATES = {
    "effective_walkers_per_second": "effective walkers / s",
    "inverse_variance_of_log_z_per_second": "1 / σ² of log Z, / s",
}
"""What methods are compared by, and its axis."""

COLOURS = {
    "AIS": "C1",
    "SMC": "C8",
    "drift": "C3",
    "free path": "C2",
    "Máté–Fleuret": "C4",
    "gradient flow": "C0",
}
"""Method → its colour."""


def one_line(row: dict[str, Any]) -> str:
    """Return a row as it is printed on the way."""
    if "refused" in row:
        return f"{row['method']:<14} {row['refused']}"
    text = f"{row['method']:<14} {row['chosen']:<28} ESS {row['ess']:.4f}"
    text += f"  log Z {row['log_z']:.4f} ± {row['log_z_error']:.2g}"
    if "log_z_pull" in row:
        text += f" ({row['log_z_pull']:+.1f}σ)"
    text += f"  effective/s {row['effective_walkers_per_second']:.4g}"
    if "total_variation" in row:
        text += f"  masses off {row['total_variation']:.4f}"
    return text


def draw(result: dict[str, Any], file: Path) -> None:
    """Draw both rates of all methods, a group for every target."""
    figure = Figure(figsize=(11.0, 7.2), layout="constrained")
    panels = figure.subplots(2, 1)
    for axes, (key, label) in zip(panels, RATES.items(), strict=True):
        groups(axes, result["cases"], key)
        axes.set_ylabel(label)
    panels[0].legend(fontsize=8, ncols=len(COLOURS), loc="lower center", bbox_to_anchor=(0.5, 1.0))
    panels[1].set_xlabel(f"black lines: training charged to this run · {result['device']}")
    with replacing(file) as part:
        figure.savefig(part, dpi=120)


def groups(axes: Axes, cases: dict[str, Any], key: str) -> None:
    """Draw a bar for each method of each target; a line is what training leaves of it."""
    width = 0.8 / len(COLOURS)
    for place, (method, colour) in enumerate(COLOURS.items()):
        offset = (place - 0.5 * (len(COLOURS) - 1)) * width
        label = method
        for number, case in enumerate(cases.values()):
            rate = rate_of(case["rows"], method, key)
            if rate is None:
                continue
            value, included = rate
            axes.bar(number + offset, value, width, color=colour, label=label)
            # One entry of the legend a method.
            label = ""
            if included is not None:
                left = number + offset - 0.5 * width
                axes.hlines(included, left, left + width, color="black", linewidth=1.4)
    axes.set_xticks(range(len(cases)), [case["title"] for case in cases.values()], fontsize=8)
    axes.set_yscale("log")


def rate_of(rows: list[dict[str, Any]], method: str, key: str) -> tuple[float, float | None] | None:
    """Return a rate, and what training leaves of it; None where there is no rate."""
    for row in rows:
        if row["method"] == method and row.get(key) is not None:
            return row[key], row.get("training_included", {}).get(key)
    return None
