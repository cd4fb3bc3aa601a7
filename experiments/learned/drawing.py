"""The figure of a learned sampler: its training, its variance along the path, and its law."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from leaps_triton.files import replacing


def colour(number: int) -> str:
    """Return the colour of a training seed."""
    return f"C{number}"


def named(network: dict[str, Any]) -> str:
    """Return what a network is called in legends."""
    return f"{network['kind']}, seed {network['seed']}"


def draw_curve(axes: Axes, networks: list[dict[str, Any]]) -> None:
    """Draw the integral of v over t on held-out samples, by seconds of training."""
    for number, network in enumerate(networks):
        points = [point for point in network["curve"] if "integral" in point]
        x = [point["seconds"] for point in points]
        y = [point["integral"] for point in points]
        axes.plot(x, y, "o-", color=colour(number), markersize=3, label=named(network))
    axes.set_yscale("log")
    axes.set(xlabel="training, s on one core", ylabel="∫ v dt, held out", title="training")
    axes.legend(frameon=False)


def draw_residual(axes: Axes, networks: list[dict[str, Any]]) -> None:
    """Draw v(t) at the end of the training."""
    for number, network in enumerate(networks):
        # Of samplers of the zoo the curve is not kept.
        points = [point for point in network["curve"] if "variance" in point]
        if not points:
            continue
        point = points[-1]
        shown = [(t, v) for t, v in zip(point["t"], point["variance"], strict=True) if v > 1e-9]
        x = [t for t, _ in shown]
        axes.plot(x, [v for _, v in shown], "o-", color=colour(number), markersize=3)
    axes.set_yscale("log")
    axes.set(xlabel="t", ylabel="v(t) = Var[ξ]", title="residual on held-out samples")


def draw_trace(axes: Axes, networks: list[dict[str, Any]]) -> None:
    """Draw Var[A] as it grows along the path."""
    for number, network in enumerate(networks):
        t = network["trace_t"]
        trace = network["log_weight_variance_trace"]
        axes.plot(t, trace, "o-", color=colour(number), markersize=3)
    axes.set(xlabel="t", ylabel="Var[A]", title="log-weights on the way")


def draw_law(axes: Axes, result: dict[str, Any]) -> None:
    """Draw the law of the magnetisation by weighted walkers and by samples of others."""
    law = result["networks"][0]["law"]
    x = law["magnetisation"]
    # The source is long: its details are in the file of results.
    source = result["samples_of_others"].partition(",")[0]
    axes.step(x, law["samples"], where="mid", color="black", linewidth=0.9, label=source)
    axes.plot(x, law["weighted"], "o", color=colour(0), markersize=3, label="weighted walkers")
    axes.set(xlabel="magnetisation per site", ylabel="density", title="law of the magnetisation")
    axes.legend(frameon=False, fontsize=8)


def draw_rates(axes: Axes, result: dict[str, Any]) -> None:
    """Draw 1/σ² of log Z a second by ESS, of networks and rivals."""
    key = "inverse_variance_of_log_z_per_second"
    for number, network in enumerate(result["networks"]):
        rows = network["rows"]
        x = [row["ess"] for row in rows]
        axes.plot(x, [row[key] for row in rows], "o", color=colour(number))
        counts = [row["intervals"] for row in rows]
        for row in rows:
            # The fewest and the most tell the order; all of them would cover one another.
            if number == 0 and row["intervals"] in (min(counts), max(counts)):
                place = (row["ess"], row[key])
                axes.annotate(f"{row['intervals']}  ", place, ha="right", va="center", fontsize=8)
    for marker, rival in zip("sv", result["rivals"], strict=False):
        label = f"{rival['method']}, {rival['chosen']}"
        axes.plot(rival["ess"], rival[key], marker, color="black", label=label)
    axes.set_yscale("log")
    axes.set(xlabel="ESS", ylabel="1/σ² of log Z a second", title="sampling (numbers: intervals)")
    # Points are everywhere within the panel.
    axes.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.18))


def draw(result: dict[str, Any], file: Path) -> None:
    """Draw all panels."""
    figure = Figure(figsize=(18.0, 3.6), layout="constrained")
    panels = figure.subplots(1, 5)
    draw_curve(panels[0], result["networks"])
    draw_residual(panels[1], result["networks"])
    draw_trace(panels[2], result["networks"])
    draw_law(panels[3], result)
    draw_rates(panels[4], result)
    # Files of before say the number of threads twice.
    device = result["device"].removesuffix(", one thread")
    figure.suptitle(f"{result['model']}; {device}", fontsize=10)
    with replacing(file) as part:
        figure.savefig(part, dpi=110)
