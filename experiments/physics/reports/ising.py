"""The table and the figure of ising_thermodynamics.py."""

import math
from pathlib import Path
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import leaps_triton as lt
from leaps_triton.files import replacing

CRITICAL = 0.5 * math.log1p(math.sqrt(2.0))
UNIVERSAL = 0.610690
"""Binder cumulant of large critical square tori: Kamieniarz, Blöte, J. Phys. A 26, 201 (1993)."""
PANELS = {
    "energy": "energy / site (J)",
    "specific_heat": "specific heat / site (k_B)",
    "abs_magnetization": "⟨|m|⟩ / site",
    "susceptibility": "susceptibility / site (1/J)",
    "binder": "Binder cumulant",
}
EXACT = {"energy": lt.exact.ising_energy, "specific_heat": lt.exact.ising_specific_heat}


def column(rows: list[dict[str, Any]], key: str) -> list[float]:
    """Return one value of every row."""
    return [row[key] for row in rows]


def points(colour: int) -> dict[str, Any]:
    """Return the style of measured values."""
    style: dict[str, Any] = {"color": f"C{colour}", "marker": "o", "markersize": 3.5}
    return style | {"capsize": 2.5, "linestyle": "none"}


def draw_observables(
    axes: list[Axes], rows: list[dict[str, Any]], grid: list[float], colour: int
) -> None:
    """Draw the observables of one length but the Binder cumulant, with exact curves if known."""
    length = rows[0]["length"]
    for ax, name in zip(axes, PANELS, strict=False):
        if name == "binder":
            continue
        error = column(rows, f"{name}_error")
        x = column(rows, "beta")
        ax.errorbar(x, column(rows, name), error, label=f"L = {length}", **points(colour))
        if name in EXACT:
            exact = [EXACT[name]((length, length), beta) for beta in grid]
            ax.plot(grid, exact, color=f"C{colour}", linewidth=0.9)


def draw_binder(
    axes: Axes, curve: dict[str, list[float]], rows: list[dict[str, Any]], colour: int
) -> None:
    """Draw the reweighted Binder cumulant of one length, and the measured ones where it ends."""
    x = curve["beta"]
    both = list(zip(curve["value"], curve["error"], strict=True))
    low = [value - error for value, error in both]
    high = [value + error for value, error in both]
    axes.plot(x, curve["value"], color=f"C{colour}", linewidth=0.9)
    axes.fill_between(x, low, high, color=f"C{colour}", alpha=0.25, linewidth=0)
    inside = [row for row in rows if x[0] <= row["beta"] <= x[-1]]
    error = column(inside, "binder_error")
    axes.errorbar(column(inside, "beta"), column(inside, "binder"), error, **points(colour))


def draw_pulls(axes: Axes, rows: list[dict[str, Any]], colour: int) -> None:
    """Draw the distance from the exact values in standard errors."""
    # Symbols of one temperature stand beside one another.
    for name, symbol, marker, shift in (("energy", "e", "o", -1), ("specific_heat", "c", "s", 1)):
        x = [row["beta"] + shift * 0.0006 for row in rows]
        fill = f"C{colour}" if name == "energy" else "white"
        style: Any = {"color": f"C{colour}", "markerfacecolor": fill, "markersize": 4}
        label = f"{symbol}, L = {rows[0]['length']}"
        axes.plot(x, column(rows, f"{name}_pull"), marker, label=label, **style)


def label_axes(axes: list[Axes], grid: list[float]) -> None:
    """Draw what is known of the infinite lattice; set labels, scales and legends."""
    infinite: Any = {"color": "black", "linestyle": ":"}
    energies = [lt.exact.onsager_energy(beta) for beta in grid]
    axes[0].plot(grid, energies, label="L = ∞", **infinite)
    magnetizations = [lt.exact.yang_magnetization(beta) for beta in grid]
    axes[2].plot(grid, magnetizations, label="L = ∞", **infinite)
    axes[3].set_yscale("log")
    axes[4].axhline(UNIVERSAL, label="critical, L = ∞", **infinite)
    axes[4].locator_params(axis="x", nbins=5)
    axes[5].axhspan(-1, 1, color="grey", alpha=0.25, linewidth=0)
    for level in (-3, 3):
        axes[5].axhline(level, color="grey", linewidth=0.8)
    low, high = axes[5].get_ylim()
    axes[5].set_ylim(min(low, -3.5), max(high, 5.5))
    titles = [*PANELS.values(), "(measured − exact) / σ of e and c"]
    for ax, title in zip(axes, titles, strict=True):
        ax.axvline(CRITICAL, color="grey", linewidth=0.6, zorder=0)
        ax.set(xlabel="β (1/J)", ylabel=title)
    for ax in axes[:5]:
        ax.legend(frameon=False, fontsize=8)
    spacing: Any = {"handletextpad": 0.2, "columnspacing": 0.8}
    axes[5].legend(frameon=False, fontsize=7, ncols=3, loc="upper center", **spacing)


def draw(result: dict[str, Any], file: Path) -> None:
    """Draw five observables over β with exact curves, and the pulls."""
    figure = Figure(figsize=(13, 7.2), layout="constrained")
    axes: list[Axes] = list(figure.subplots(2, 3).flat)
    betas = sorted({row["beta"] for row in result["rows"]})
    grid = torch.linspace(betas[0], betas[-1], 121).tolist()
    for colour, length in enumerate(result["config"]["lengths"]):
        rows = [row for row in result["rows"] if row["length"] == length]
        rows.sort(key=lambda row: row["beta"])
        draw_observables(axes, rows, grid, colour)
        draw_binder(axes[4], result["binder_curves"][str(length)], rows, colour)
        draw_pulls(axes[5], rows, colour)
    label_axes(axes, grid)
    figure.suptitle(
        "Ising model on L × L tori: Swendsen–Wang chains (symbols), exact or reweighted (lines), "
        f"β_c = {CRITICAL:.5f} (grey line)"
    )
    with replacing(file) as part:
        figure.savefig(part, dpi=110)


def estimate(row: dict[str, Any], name: str) -> lt.Estimate:
    """Return a value of a row with its error."""
    return lt.Estimate(row[name], row[f"{name}_error"])


def table(result: dict[str, Any]) -> str:
    """Return one line per chain, and one per crossing."""
    lines = [
        f"{'L':>3}{'β':>8}{'energy / site':>20}{'pull':>6}{'specific heat':>18}{'pull':>6}"
        f"{'|m|':>20}{'Binder':>22}{'τ':>6}"
    ]
    for row in result["rows"]:
        energy = estimate(row, "energy")
        heat = estimate(row, "specific_heat")
        magnetization = estimate(row, "abs_magnetization")
        cumulant = estimate(row, "binder")
        lines.append(
            f"{row['length']:3}{row['beta']:8.4f}{energy!s:>20}{row['energy_pull']:6.1f}"
            f"{heat!s:>18}{row['specific_heat_pull']:6.1f}"
            f"{magnetization!s:>20}{cumulant!s:>22}{row['energy_tau']:6.1f}"
        )
    for row in result["binder_crossings"]:
        found = estimate(row, "beta")
        lines.append(
            f"Binder cumulants of {row['lengths']} cross at β = {found}, "
            f"less β_c {row['pull']:+.1f} σ"
        )
    lines.append(f"gate: {result['gate']}")
    return "\n".join(lines)
