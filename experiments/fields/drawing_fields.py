"""The lines and the figure of phi4.py."""

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

COLOURS = {"NETS": "C3", "AIS": "C1", "SMC": "C8", "HMC": "C0"}
"""Method → its colour."""

MARKERS = "os^Dv"


def one_line(row: dict[str, Any]) -> str:
    """Return a row as it is printed on the way."""
    value, error = row["susceptibility_full"]
    text = f"{row['method']:<5} {row['chosen']:<28} V⟨M²⟩ {value:.4f} ± {error:.2g}"
    if "ess" in row:
        text += f"  ESS {row['ess']:.4f}  log Z/Z₀ {row['log_z_from_the_start']:.4f}"
        text += f" ± {row['log_z_error']:.2g}"
    text += f"  effective/s {row['effective_walkers_per_second']:.4g}"
    return f"{text}  check {row['schwinger_dyson_pull']:+.1f}σ"


def draw(result: dict[str, Any], file: Path) -> None:
    """Draw the scan above, and the comparison below."""
    figure = Figure(figsize=(10.0, 7.6), layout="constrained")
    above, below = figure.subplots(2, 2)
    labels = ("Binder cumulant  U", "susceptibility  V⟨M²⟩")
    for axes, name, label in zip(above, ("binder", "susceptibility_full"), labels, strict=True):
        curves(axes, result["scan"], name)
        axes.set_ylabel(label)
    above[1].set_yscale("log")
    for crossing in result["binder_crossings"]:
        if crossing["quartic"] is not None:
            above[0].axvline(crossing["quartic"], color="grey", linestyle=":", linewidth=1.0)
    above[0].set_title("HMC, clusters, tempering in λ; dotted: crossings of neighbours", fontsize=9)
    mass = result["config"]["mass_squared"]
    above[1].set_title(f"φ⁴ in two dimensions, m² = {mass:g}; bars: one σ", fontsize=9)
    comparison = result["comparison"]
    for axes, (key, label) in zip(below, RATES.items(), strict=True):
        bars(axes, comparison["rows"], key)
        axes.set_ylabel(label)
    below[0].set_title(comparison["model"], fontsize=9)
    below[1].set_title("hatched: training included", fontsize=9)
    figure.supxlabel(result["device"], fontsize=8)
    with replacing(file) as part:
        figure.savefig(part, dpi=120)


def curves(axes: Axes, rows: list[dict[str, Any]], name: str) -> None:
    """Draw an observable against λ, a line for every lattice."""
    for number, row in enumerate(rows):
        columns = row["columns"]
        axes.errorbar(
            columns["quartic"],
            columns[name],
            columns[f"{name}_error"],
            fmt=f"{MARKERS[number % len(MARKERS)]}-",
            markersize=4,
            linewidth=0.8,
            capsize=2,
            color=f"C{number}",
            label=f"L = {row['length']}",
        )
    axes.set_xlabel("quartic coupling  λ")
    axes.legend(fontsize=8)


def bars(axes: Axes, rows: list[dict[str, Any]], key: str) -> None:
    """Draw a rate of all methods that have it; what training leaves of it is hatched."""
    able = [row for row in rows if row.get(key) is not None]
    for place, row in enumerate(able):
        colour = COLOURS[row["method"]]
        axes.bar(place, row[key], color=colour, width=0.6)
        included = row.get("training_included", {}).get(key)
        if included is not None:
            axes.bar(place, included, color="none", edgecolor="black", hatch="//", width=0.6)
    axes.set_xticks(range(len(able)), [row["method"] for row in able])
    axes.set_yscale("log")
