"""Tables of models learned from data, and of graphs."""

from typing import Any

from pages.words import result, shown, table


def digits_of(value: float, error: float) -> str:
    """Return a value with its error in brackets, in units of the third digit after the point."""
    return f"{value:.3f}({round(1000.0 * error)})"


def oscillators_table() -> str:
    """Return walkers of driven oscillators, with weights and without."""
    head = [
        "target", "network", "steps", "without weights", "weighted", "exact", "log Z", "exact",
        "σ off", "ESS",
    ]  # fmt: skip
    parts = result("oscillators")["parts"]
    pair = parts["pair"]
    rows: list[list[str]] = []
    for row in pair["rows"]:
        network = f"2 oscillators, seed {row['seed']}"
        rows.append(["mass at +", network, *oscillator_cells(row, pair["mass"], pair["log_z"])])
    field = parts["phi4"]
    exact = field["reference"]
    for row in field["rows"]:
        network = f"{row['bonds']}, {row['parameters']} parameters"
        cells = oscillator_cells(row, exact["squares"], exact["log_z"])
        rows.append(["V⟨M²⟩ of φ⁴", network, *cells])
    return table(head, rows)


def oscillator_cells(row: dict[str, Any], mean: float, log_z: float) -> list[str]:
    """Return the cells of one row."""
    return [
        str(row["steps"]),
        digits_of(row["unweighted"], row["unweighted_error"]),
        digits_of(row["weighted"], row["weighted_error"]),
        f"{mean:.3f}",
        digits_of(row["log_z"], row["log_z_error"]),
        f"{log_z:.3f}",
        f"{row['log_z_pull']:+.1f}",
        shown(row["ess"]),
    ]


def images_table() -> str:
    """Return how near images of driven oscillators are to those of the data."""
    head = [
        "bonds", "parameters", "pixels off", "pairs off", "correlation with the pairs of the data",
    ]  # fmt: skip
    rows: list[list[str]] = []
    for row in result("oscillators")["parts"]["digits"]["rows"]:
        rows.append(
            [
                row["bonds"],
                str(row.get("parameters", "")),
                f"{row['pixels_off']:.3f}",
                f"{row['pairs_off']:.3f}",
                f"{row['pairs_correlate']:.3f}",
            ]
        )
    return table(head, rows)


def scores_table() -> str:
    """Return couplings by score matching, and gradients by steps of walkers."""
    field = result("oscillators")["parts"]["phi4"]
    found = field["score_matching"]
    head = ["", "4 + m²", "λ", "bonds"]
    cells = []
    for value, error in zip(found["found"], found["errors"], strict=True):
        cells.append(digits_of(value, error))
    rows = [
        ["couplings, exact", *(f"{value:.3f}" for value in found["exact"])],
        ["by score matching", *cells],
    ]
    contrast = field["contrast"]
    gradient = [f"{value:.2f}" for value in contrast["score_matching"]]
    rows.append(["gradient of score matching elsewhere", *gradient])
    for row in contrast["rows"]:
        gradient = [f"{value:.2f}" for value in row["gradient"]]
        rows.append([f"by one step, h = {row['step']:g}", *gradient])
    return table(head, rows)
