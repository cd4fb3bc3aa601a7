"""The table and the figure of compare_networks.py."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from leaps_triton.files import replacing

NONE = "no network"
COMPARISONS = {
    "equal_steps": "equal parameters and steps",
    "equal_seconds": "equal parameters and seconds",
}
VARIANCE = "log_weight_variance_per_site"


def outcome(row: dict[str, Any]) -> str:
    """Return walkers, Var[A] per site and ESS in columns."""
    return f"{row['walkers']:8}{row[VARIANCE]:8.4f}{row['ess']:7.3f}"


def table(case: dict[str, Any]) -> Iterator[str]:
    """Yield a head, then one line per network."""
    yield (
        f"\n{case['model']}\n{'':14}{'parameters':>11}{'eval/s':>8}{'MiB':>7}{'MiB':>7}"
        + f"{'steps':>7}{'s':>7}{'walkers':>8}{'Var/N':>8}{'ESS':>7}" * 2
    )
    for row in case["rows"]:
        line = f"{row['network']:14}{row['parameters']:11}"
        if row["network"] == NONE:
            yield f"{line}{'':36}{outcome(row)}"
            continue
        line += f"{row['evaluations_a_second']:8.0f}{row['evaluation_MiB']:7.1f}"
        line += f"{row['training_step_MiB']:7.1f}"
        for comparison in COMPARISONS:
            found = row[comparison]
            line += f"{found['steps']:7}{found['training_seconds']:7.1f}{outcome(found)}"
        yield line


def draw_bars(
    axes: Axes, rows: list[dict[str, Any]], key: str, place: float, colour: str, label: str
) -> None:
    """Draw a bar per network, with error bars where the rows have errors."""
    places = [index + place for index in range(len(rows))]
    # Bars in the middle stand alone and may be wider.
    width = 0.38 if place else 0.6
    values = [row[key] for row in rows]
    error = [row.get(f"{key}_error", 0.0) for row in rows]
    bars = error if any(error) else None
    axes.bar(places, values, width, color=colour, label=label, yerr=bars)


def draw_case(panels: Any, case: dict[str, Any]) -> None:
    """Draw one model on one lattice: Var[A], ESS, evaluations a second, and memory."""
    rows = [row for row in case["rows"] if row["network"] != NONE]
    (plain,) = [row for row in case["rows"] if row["network"] == NONE]
    variance, ess, speed, memory = panels
    pairs = zip((-0.2, 0.2), ("tab:orange", "tab:blue"), COMPARISONS.items(), strict=True)
    for place, colour, (comparison, label) in pairs:
        found = [row[comparison] for row in rows]
        draw_bars(variance, found, VARIANCE, place, colour, label)
        draw_bars(ess, found, "ess", place, colour, label)
    dotted: Any = {"color": "black", "linestyle": ":"}
    variance.axhline(plain[VARIANCE], label="no network (AIS)", **dotted)
    ess.axhline(plain["ess"], **dotted)
    draw_bars(speed, rows, "evaluations_a_second", 0.0, "tab:green", "")
    draw_bars(memory, rows, "evaluation_MiB", -0.2, "tab:green", "evaluation")
    draw_bars(memory, rows, "training_step_MiB", 0.2, "tab:purple", "training step")
    names = [f"{row['network']}, {row['parameters']}" for row in rows]
    memory.set_xticks(range(len(rows)), names, rotation=90, fontsize=8)
    memory.set_xlabel("network, its parameters")
    variance.set_title(case["model"], fontsize=10)


def draw(result: dict[str, Any], file: Path) -> None:
    """Draw a column per model and lattice, with bars for each network."""
    cases = result["cases"]
    figure = Figure(figsize=(3.4 * len(cases) + 1.0, 11.5), layout="constrained")
    panels = figure.subplots(4, len(cases), sharex="col", sharey="row", squeeze=False)
    for column, case in enumerate(cases):
        draw_case(panels[:, column], case)
    labels = (
        "Var[A] a site",
        "ESS",
        f"evaluations of G a second,\n{result['device']}",
        "peak memory in MiB,\n64 walkers",
    )
    for axes, label in zip(panels[:, 0], labels, strict=True):
        axes.set_ylabel(label)
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
    for row, position in ((0, "outside upper center"), (3, "outside lower center")):
        handles, texts = panels[row, 0].get_legend_handles_labels()
        where: Any = {"loc": position}
        figure.legend(handles, texts, ncols=3, fontsize=9, **where)
    with replacing(file) as part:
        figure.savefig(part, dpi=90)
