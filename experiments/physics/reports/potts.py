"""The table and the figure of potts_transition.py."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

import leaps_triton as lt
from leaps_triton.files import replacing

SYMBOLS = {"potts_order": "order ~ L", "energy": "e(L) - e(∞) ~ L"}


def column(rows: list[dict[str, Any]], key: str) -> list[float]:
    """Return one value of every row."""
    return [row[key] for row in rows]


def estimate(row: dict[str, Any], name: str) -> lt.Estimate:
    """Return a value of a row with its error."""
    return lt.Estimate(row[name], row[f"{name}_error"])


def draw_means(axes: list[Axes], result: dict[str, Any], colour: int, length: int) -> None:
    """Draw energy and order parameter of one length, measured and reweighted."""
    rows = rows_of(result, length)
    curve = result["curves"][str(length)]
    for ax, name in zip(axes, ("energy", "potts_order"), strict=False):
        y = column(rows, name)
        error = column(rows, f"{name}_error")
        label = f"L = {length}"
        ax.errorbar(column(rows, "beta"), y, error, label=label, **points(colour))
        ax.plot(curve["beta"], curve[name], color=f"C{colour}", linewidth=0.9)


def draw_halves(axes: Axes, result: dict[str, Any], colour: int, length: int) -> None:
    """Draw the energies of chains that started ordered and of those that started at random."""
    rows = rows_of(result, length)
    # The lengths stand beside one another.
    x = [beta + (colour - 0.5) * 0.004 for beta in column(rows, "beta")]
    for start, marker in (("order", "v"), ("random", "^")):
        style = points(colour) | {"marker": marker, "markerfacecolor": "white", "alpha": 0.6}
        y = column(rows, f"energy_from_{start}")
        error = column(rows, f"energy_from_{start}_error")
        note = f"from {start}" if colour == 0 else None
        axes.errorbar(x, y, error, label=note, **style)


def draw_law(axes: Axes, result: dict[str, Any], colour: int, length: int) -> None:
    """Draw the law of the energy, at equal weights of the phases where they coexist."""
    law = result["coexistence"].get(str(length), {}).get("law_at_equal")
    if not law:
        law = result["laws"][str(length)]
    style: Any = {"color": f"C{colour}", "linewidth": 1.2, "elinewidth": 0.6}
    axes.errorbar(law["energy"], law["density"], law["error"], label=f"L = {length}", **style)


def draw_times(axes: Axes, result: dict[str, Any], colour: int, length: int) -> None:
    """Draw the autocorrelation times of the energy."""
    rows = rows_of(result, length)
    tau = column(rows, "energy_tau")
    error = column(rows, "energy_tau_error")
    style = points(colour) | {"linestyle": "-", "linewidth": 0.7}
    axes.errorbar(column(rows, "beta"), tau, error, label=f"L = {length}", **style)


def rows_of(result: dict[str, Any], length: int) -> list[dict[str, Any]]:
    """Return the rows of one length in the order of β."""
    rows = [row for row in result["rows"] if row["length"] == length]
    return sorted(rows, key=lambda row: row["beta"])


def points(colour: int) -> dict[str, Any]:
    """Return the style of measured values."""
    style: dict[str, Any] = {"color": f"C{colour}", "marker": "o", "markersize": 3.5}
    return style | {"capsize": 2.5, "linestyle": "none"}


def checks(result: dict[str, Any]) -> str:
    """Return the checks of one q in words, for a corner of the figure."""
    small = result["small"]
    sides = "cylinder" if result["q"] > 4 else "torus"
    worst = max(map(abs, column(small["energies"], "energy_pull")))
    log_z = estimate(small, "log_z")
    text = (
        f"{small['shape'][0]} × {small['shape'][1]} {sides} against\nthe transfer matrix:\n"
        f"log Z {log_z} ({small['log_z_exact']:.4f})\nenergies within {worst:.1f} σ"
    )
    for name, found in result["finite_size"].items():
        value = lt.Estimate(found["dimension"], found["error"])
        law = f"{SYMBOLS[name]}^-x at β_c:\nx = {value} (exact {found['exact']:.4f})"
        text = f"{law}\n{text}"
    return text


def label_axes(axes: list[Axes], result: dict[str, Any]) -> None:
    """Set labels, titles, scales and the lines of exact values."""
    q = result["q"]
    beta_c = result["beta_critical"]
    at_beta = "at β of equal weights" if q > 4 else "at β_c"
    scale = "log" if q > 4 else "linear"
    axes[0].set(ylabel="energy / site (J)", title=f"q = {q}")
    axes[1].set(ylabel="order parameter", title=f"q = {q}", ylim=(0.0, 1.0))
    axes[2].set(xlabel="energy / site (J)", ylabel="density (1/J)")
    axes[2].set_title(f"q = {q}: energies {at_beta}")
    axes[3].set(ylabel="τ_int of the energy (updates)", title=f"q = {q}: autocorrelation")
    axes[3].set_yscale(scale)
    for energy in sorted(set(result["energies_infinite"])):
        axes[2].axvline(energy, color="black", linestyle=":", linewidth=0.8)
        axes[0].plot(beta_c, energy, marker="_", markersize=16, color="black", linestyle="none")
    place: Any = {"transform": axes[1].transAxes, "va": "bottom", "ha": "right"}
    axes[1].text(0.97, 0.04, checks(result), fontsize=7.5, **place)
    for ax in (axes[0], axes[1], axes[3]):
        ax.axvline(beta_c, color="grey", linewidth=0.6, zorder=0)
        ax.set_xlabel("β (1/J)")
    for ax in axes:
        ax.legend(frameon=False, fontsize=8)
    axes[1].legend(frameon=False, fontsize=8, loc="upper left")


def draw(results: list[dict[str, Any]], file: Path) -> None:
    """Draw for each q energy, order parameter, law of the energy, and autocorrelation times."""
    figure = Figure(figsize=(15, 3.7 * len(results)), layout="constrained")
    panels = figure.subplots(len(results), 4, squeeze=False)
    for row_of_axes, result in zip(panels, results, strict=True):
        axes: list[Axes] = list(row_of_axes)
        lengths = list(dict.fromkeys(row["length"] for row in result["rows"]))
        for colour, length in enumerate(lengths):
            draw_means(axes, result, colour, length)
            if result["q"] > 4:
                draw_halves(axes[0], result, colour, length)
            draw_law(axes[2], result, colour, length)
            draw_times(axes[3], result, colour, length)
        label_axes(axes, result)
    figure.suptitle(
        "Potts model on L × L tori by Swendsen–Wang: symbols measured, "
        "lines reweighted from β_c = ln(1 + √q) (grey); "
        "black: energies of the infinite lattice at β_c"
    )
    with replacing(file) as part:
        figure.savefig(part, dpi=110)


def lines_of_coexistence(result: dict[str, Any], length: str) -> list[str]:
    """Return what was found of the two kinds of phases on one lattice."""
    found = result["coexistence"][length]
    beta = estimate(found, "beta_q_to_one")
    lines = [
        f"q = {result['q']}, L = {length}: weights q to 1 at β = {beta}, "
        f"β_c = {result['beta_critical']:.6f}"
    ]
    for phase in ("ordered", "disordered"):
        energy = estimate(found, f"energy_{phase}")
        infinite = found[f"energy_{phase}_infinite"]
        lines.append(f"    {phase} phase: energy {energy}, infinite lattice {infinite:.4f}")
    lines.append(
        f"    {found['changes_of_phase']} changes of phase; "
        f"peak over valley {found['peak_over_valley']:.1f} at β = {found['beta_equal']:.5f}"
    )
    return lines


def line_of_check(result: dict[str, Any]) -> str:
    """Return how the small lattice of one q agrees with the transfer matrix."""
    check = result["small"]
    pulls = []
    for row in check["energies"]:
        for name in ("energy_pull", "specific_heat_pull"):
            # The specific heat is 0 at β = 0, and has no pull.
            if name in row:
                pulls.append(round(row[name], 1))
    log_z = estimate(check, "log_z")
    return (
        f"q = {result['q']}, {check['shape']}: log Z = {log_z}, "
        f"exact {check['log_z_exact']:.6f}; pulls of energies and specific heats {pulls}"
    )


def table(results: list[dict[str, Any]]) -> str:
    """Return one line per chain, and one per check."""
    lines = [
        f"{'q':>3}{'L':>4}{'β/β_c':>8}{'energy / site':>20}{'order':>20}{'τ':>9}{'halves / σ':>12}"
    ]
    for result in results:
        for row in result["rows"]:
            energy = estimate(row, "energy")
            order = estimate(row, "potts_order")
            ratio = row["beta"] / result["beta_critical"]
            lines.append(
                f"{result['q']:3}{row['length']:4}{ratio:8.3f}{energy!s:>20}{order!s:>20}"
                f"{row['energy_tau']:9.1f}{row['halves_pull']:12.1f}"
            )
        for name, found in result["finite_size"].items():
            value = lt.Estimate(found["dimension"], found["error"])
            lines.append(
                f"q = {result['q']}: dimension of {name} {value}, exact {found['exact']:.4f}"
            )
        for length in result["coexistence"]:
            lines += lines_of_coexistence(result, length)
        lines.append(line_of_check(result))
    return "\n".join(lines)
