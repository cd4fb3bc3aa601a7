"""The verdicts, the table and the figure of classical_updates.py."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from leaps_triton.files import replacing

LIBRARY = "leaps_triton"
UPDATES = "million_updates_per_second"
SAMPLES = "independent_samples_per_second"
WORDS = {UPDATES: "updates", SAMPLES: "independent samples"}
LABELS = {
    UPDATES: "million updates a second",
    SAMPLES: "independent samples of m² a second",
}
COLOURS = {LIBRARY: "tab:red", "mcising": "tab:blue", "peapods": "tab:green"}


def name_of(row: dict[str, Any]) -> str:
    """Return package and algorithm."""
    return f"{row['package']} {row['algorithm']}"


def compared(mine: list[dict[str, Any]], others: list[dict[str, Any]], key: str) -> str:
    """Say whether the best of the library loses to the best of the others, and by what ratio."""
    best = max(mine, key=lambda row: row[key])
    other = max(others, key=lambda row: row[key])
    ratio = other[key] / best[key]
    if ratio > 1.0:
        outcome = f"loses to {name_of(other)} by {ratio:.3g}"
    else:
        outcome = f"beats {name_of(other)} by {1.0 / ratio:.3g}"
    return f"{WORDS[key]} a second: {name_of(best)} {outcome}"


def ratios(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return by how much each move of the library is ahead of its like in each other package.

    Local moves stand beside the fastest local one of a package, cluster moves beside those of the
    same name, the default beside all; below 1 the other is ahead.
    """
    found = []
    for mine in rows:
        if mine["package"] != LIBRARY:
            continue
        for package in sorted({row["package"] for row in rows} - {LIBRARY}):
            others = [row for row in rows if alike(mine, row) and row["package"] == package]
            if not others:
                continue
            made = {"length": mine["length"], "move": mine["algorithm"], "package": package}
            for key in (UPDATES, SAMPLES):
                best = max(row[key] for row in others)
                made[WORDS[key].split()[-1]] = float(f"{mine[key] / best:.3g}")
            found.append(made)
    return found


def alike(mine: dict[str, Any], other: dict[str, Any]) -> bool:
    """Return whether a move of another package is compared with one of the library."""
    if mine["length"] != other["length"]:
        return False
    if mine["algorithm"] == "default":
        return True
    if mine["clusters"] != other["clusters"]:
        return False
    return not mine["clusters"] or mine["algorithm"] in other["algorithm"]


def verdicts(rows: list[dict[str, Any]]) -> list[str]:
    """Say in words where the library is slower, and where faster, than the best of the others.

    Updates are compared with those of their kind, local or cluster.
    """
    said = []
    for length in sorted({row["length"] for row in rows}):
        size = f"{length} × {length}"
        here = [row for row in rows if row["length"] == length]
        for kind, cluster in (("local", False), ("cluster", True)):
            of_kind = [row for row in here if row["clusters"] == cluster]
            mine = [row for row in of_kind if row["package"] == LIBRARY]
            others = []
            for row in of_kind:
                if row["package"] == LIBRARY:
                    continue
                # Who misses the exact energy by four errors is in no verdict.
                if abs(row["energy_pull"]) > 4.0:
                    said.append(f"{size}: {name_of(row)} misses the exact energy")
                else:
                    others.append(row)
            if others:
                for key in WORDS:
                    # Updates of the default are of two kinds.
                    like = [row for row in mine if key == SAMPLES or row["algorithm"] != "default"]
                    said.append(f"{size}, {kind} updates, {compared(like, others, key)}")
    return said


def table(rows: list[dict[str, Any]]) -> str:
    """Return one line per implementation and lattice."""
    lines = [
        f"{'':7}{'':14}{'':26}{'M updates/s':>12}{'one walker':>12}"
        f"{'tau':>9}{'samples/s':>11}{'energy pull':>13}"
    ]
    for row in rows:
        one = f"{'':12}"
        if row["one_walker"] is not None:
            one = f"{row['one_walker']:12.1f}"
        lines.append(
            f"{row['length']:<7}{row['package']:14}{row['algorithm']:26}{row[UPDATES]:12.1f}{one}"
            f"{row['tau_in_sweeps']:9.4g}{row[SAMPLES]:11.4g}{row['energy_pull']:+13.1f}"
        )
    return "\n".join(lines)


def shown(value: float) -> str:
    """Return a number in at least three digits."""
    return f"{value:.0f}" if value > 99.5 else f"{value:.3g}"


def draw_bars(axes: Axes, rows: list[dict[str, Any]], key: str) -> None:
    """Draw one rate of every implementation on one lattice."""
    names = [f"{row['package']}: {row['algorithm']}" for row in rows]
    values = [row[key] for row in rows]
    colours = [COLOURS[row["package"]] for row in rows]
    bars = axes.barh(names, values, color=colours)
    axes.bar_label(bars, [shown(value) for value in values], padding=3, fontsize=8)
    length = rows[0]["length"]
    axes.set(xscale="log", xlabel=LABELS[key], title=f"{length} × {length}")
    axes.margins(x=0.2)


def draw(result: dict[str, Any], file: Path) -> None:
    """Draw a row of panels per lattice: updates, and independent samples, a second."""
    rows = result["rows"]
    lengths = sorted({row["length"] for row in rows})
    figure = Figure(figsize=(11, 3.2 * len(lengths)), layout="constrained")
    panels = figure.subplots(len(lengths), 2, squeeze=False)
    for line, length in zip(panels, lengths, strict=True):
        # From the bottom up.
        here = [row for row in rows if row["length"] == length][::-1]
        for axes, key in zip(line, LABELS, strict=True):
            draw_bars(axes, here, key)
        line[1].set_yticklabels([])
    figure.suptitle(f"Critical Ising model, {result['device']}", fontsize=10)
    with replacing(file) as part:
        figure.savefig(part, dpi=110)
