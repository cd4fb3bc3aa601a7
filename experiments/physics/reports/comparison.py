"""The verdicts, the table and the figure of honest_comparison.py."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from leaps_triton.files import replacing

KEY = "independent_samples_per_second"
LEARNED = ("LEAPS, SymmetricConv", "LEAPS, LocalRates")
METHODS = (*LEARNED, "AIS", "SMC", "Swendsen-Wang", "heat bath", "default", "tempering")
COLOURS = ("red", "pink", "orange", "olive", "blue", "cyan", "green", "purple")
"""Of the methods."""
QUANTITIES = ("energy", "m²", "log Z")


def verdicts(model: str, learned: dict[str, Any], others: list[dict[str, Any]]) -> list[str]:
    """Say against which classical methods a learned sampler loses, quantity by quantity."""
    said = []
    for quantity, rate in learned[KEY].items():
        lost, late, won = [], [], []
        for other in others:
            theirs = other[KEY].get(quantity)
            if theirs is None:
                continue
            after = learned["break_even_seconds"][other["method"]][quantity]
            if after is None:
                lost.append(f"{other['method']} ({theirs / rate:.3g} times as many)")
            elif learned["training_included"][quantity] < theirs:
                late.append(f"{other['method']} (ahead after {after:.0f} s)")
            else:
                won.append(other["method"])
        parts = []
        if lost:
            parts.append(f"loses to {', '.join(lost)}")
        if late:
            parts.append(f"loses with its training to {', '.join(late)}")
        if won:
            parts.append(f"beats {', '.join(won)} with its training charged")
        said.append(f"{model}, {quantity}: {learned['method']} {'; '.join(parts)}.")
    return said


def cells(rates: dict[str, float]) -> str:
    """Return the rates of all quantities in columns."""
    shown = []
    for quantity in QUANTITIES:
        if quantity in rates:
            shown.append(f"{rates[quantity]:12.4g}")
        else:
            shown.append(f"{'n/a':>12}")
    return "".join(shown)


def table(case: dict[str, Any]) -> str:
    """Return one line per method, then the verdicts."""
    lines = [f"\n{case['model']}"]
    for entry in case["rows"]:
        if entry["method"] in LEARNED:
            lines.append(
                f"{entry['method']}: trained {entry['training_seconds']} s, "
                f"{entry['training_steps']} steps"
            )
    heads = "".join(f"{quantity:>12}" for quantity in QUANTITIES)
    lines.append(f"{'independent samples / s':34}{heads}   pulls")
    for entry in case["rows"]:
        pulls = " ".join(f"{pull:+.1f}" for pull in entry["pulls"].values())
        lines.append(f"{entry['method']:34}{cells(entry[KEY])}   {pulls}")
        if "training_included" in entry:
            name = f"{entry['method']}, with training"
            lines.append(f"{name:34}{cells(entry['training_included'])}   ")
    return "\n".join([*lines, *case["verdicts"]])


def bars_of(case: dict[str, Any]) -> list[tuple[str, dict[str, float], str, str]]:
    """Return label, rates, hatching and colour of every bar of a group."""
    colours = dict(zip(METHODS, COLOURS, strict=True))
    bars = []
    for entry in case["rows"]:
        name = entry["method"]
        colour = f"tab:{colours[name]}"
        bars.append((name, entry[KEY], "", colour))
        if name in LEARNED:
            bars.append((f"{name}, training included", entry["training_included"], "///", colour))
    return bars


def draw_case(axes: Axes, case: dict[str, Any]) -> None:
    """Draw a group of bars for each quantity."""
    bars = bars_of(case)
    # The bars of a group leave a gap to the next group.
    width = 0.86 / len(bars)
    for index, (name, rates, hatch, colour) in enumerate(bars):
        shift = (index - (len(bars) - 1) / 2) * width
        face = "none" if hatch else colour
        bar: Any = {"color": face, "edgecolor": colour, "hatch": hatch}
        note: Any = {"rotation": 90, "ha": "center", "fontsize": 7}
        for group, quantity in enumerate(QUANTITIES):
            place = group + shift
            if quantity in rates:
                label = name if group == 0 else None
                axes.bar(place, rates[quantity], width, label=label, **bar)
            else:
                axes.text(place, 0.02, "n/a", transform=axes.get_xaxis_transform(), **note)
    axes.set_yscale("log")
    axes.set_xticks(range(len(QUANTITIES)), ["energy", "m²", "log Z: 1/error²"])
    learned = [entry for entry in case["rows"] if entry["method"] in LEARNED]
    spent = " and ".join(f"{entry['training_seconds']:.0f} s" for entry in learned)
    axes.set_title(f"{case['model']}\ntraining {spent}", fontsize=10)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)


def draw(result: dict[str, Any], file: Path) -> None:
    """Draw a panel per model, with a group of bars per quantity."""
    cases = result["cases"]
    figure = Figure(figsize=(4.6 * len(cases), 4.6), layout="constrained")
    panels = figure.subplots(1, len(cases), sharey=True, squeeze=False)
    for axes, case in zip(panels[0], cases, strict=True):
        draw_case(axes, case)
    panels[0][0].set_ylabel("independent samples, or 1/error², a second")
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    seconds = result["config"]["seconds"]
    figure.suptitle(
        f"Equal time, about {seconds:g} s each and training apart; {result['device']}", fontsize=10
    )
    with replacing(file) as part:
        figure.savefig(part, dpi=120)
