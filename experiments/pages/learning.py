"""Tables of models learned from data, and of graphs."""

from typing import Any

from pages.words import result, shown, table


def digits_of(value: float, error: float) -> str:
    """Return a value with its error in brackets, in units of the third digit behind the point."""
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


def tori_table() -> str:
    """Return energies and log Z on tori beside the exact ones."""
    head = [
        "torus", "J", "β", "energy per site", "exact", "σ off", "log Z per site", "exact", "σ off",
        "ESS",
    ]  # fmt: skip
    rows: list[list[str]] = []
    for row in result("graphs")["cases"]:
        cells = [f"{row['graph']}, {row['sites']} sites", f"{row['coupling']:+.0f}"]
        cells.append(f"{row['beta']:.4f}")
        for key in ("energy", "log_z"):
            error = round(1e5 * row[f"{key}_error"])
            cells.append(f"{row[key]:.5f}({error})")
            cells.append(f"{row[f'{key}_exact']:.5f}")
            cells.append(f"{row[f'{key}_pull']:+.1f}")
        cells.append(f"{row['ess']:.2f}")
        rows.append(cells)
    return table(head, rows)


def inverse_table() -> str:
    """Return the scores of all methods on the benchmark, sets in a cell."""
    found = result("inverse_ising")["summary"]
    sigmas = list(dict.fromkeys(row["sigma"] for row in found))
    methods = list(dict.fromkeys(row["method"] for row in found))
    cells = {(row["method"], row["sigma"]): row for row in found}
    head = ["−log RMSE, means over sets (all sets)", *(f"σ = {sigma}" for sigma in sigmas)]
    rows: list[list[str]] = []
    for method in methods:
        line = [method]
        for sigma in sigmas:
            own = cells.get((method, sigma))
            if own is None:
                line.append("")
                continue
            scores = ", ".join(f"{score:.2f}" for score in own["scores"])
            line.append(f"{own['mean']:.2f} ({scores})")
        rows.append(line)
    return table(head, rows)


def witnesses_list() -> str:
    """Return how far log Z of witnesses was from the transfer matrix."""
    lines = []
    for row in result("inverse_ising")["rows"]:
        if "log_z_off" in row:
            off = f"{row['log_z_off']:+.3f} ± {row['log_z_error']:.3f}"
            where = f"σ = {row['sigma']}, set {row['set']}"
            lines.append(f"- {where}: log Z − exact = {off}, ESS {row['witnesses_ess']:.3f}")
    return "\n".join(lines)


def modes_table() -> str:
    """Return the probability of being up as four negative phases learn it."""
    found = result("mode_weights")
    head = [
        "learned", "negative phase", "P(up)", "last half", "divergence of the truth",
        "log Z − exact", "s",
    ]  # fmt: skip
    rows: list[list[str]] = [["", "truth", f"{found['up']:.3f}", "", "0", "", ""]]
    for words, row in modes_rows(found):
        rows.append(
            [
                words,
                row["negative"],
                f"{row['up']:.3f}",
                f"{row['least']:.3f} to {row['most']:.3f}",
                f"{row['divergence']:.2g}",
                witnesses_cell(row),
                shown(row["seconds"]),
            ]
        )
    return table(head, rows)


def modes_rows(found: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the rows of all parts, each with what is learned there."""
    return [(words, row) for words, rows in found["parts"].items() for row in rows]


def witnesses_cell(row: dict[str, Any]) -> str:
    """Return what witnesses say of log Z; nothing without any."""
    if "log_z_off" not in row:
        return ""
    return f"{row['log_z_off']:+.3f} ± {row['log_z_error']:.3f}"


def machines_table() -> str:
    """Return exact log-likelihoods of machines of digits."""
    found = result("rbm_digits")
    head = ["negative phase", "test", "training", "RMS weight", "log Z − exact of witnesses", "s"]
    rows: list[list[str]] = [["independent pixels", f"{found['independent']:.2f}", "", "", "", ""]]
    for row in found["rows"]:
        rows.append(
            [
                row["negative"],
                f"{row['test']:.2f}",
                f"{row['train']:.2f}",
                f"{row['weights']:.2f}",
                witnesses_cell(row),
                shown(row["seconds"]),
            ]
        )
    return table(head, rows)


def theories_list() -> str:
    """Return log Z of the learned machine by mean field and by annealed walkers."""
    found = result("rbm_digits")["theories"]
    lines = []
    for order in (1, 2, 3):
        told = found[f"tap_{order}"]
        verdict = "not converged"
        if told["converged"]:
            verdict = "converged"
        lines.append(f"- mean field, order {order}: {told['off']:+.2f}, {verdict}")
    off = f"{found['annealed_off']:+.3f} ± {found['annealed_error']:.3f}"
    lines.append(f"- annealed from the means of the data: {off}")
    return "\n".join(lines)


def patterns_table() -> str:
    """Return log-likelihoods of bars and stripes, and the rarest and commonest pattern."""
    found = result("bars_and_stripes")
    head = [
        "negative phase", "median", "seeds", "rarest × 30", "commonest × 30", "on patterns", "s",
    ]  # fmt: skip
    rows: list[list[str]] = []
    for name, median in found["medians"].items():
        own = [row for row in found["rows"] if row["negative"] == name]
        rows.append(
            [
                name,
                f"{median:.2f}",
                ", ".join(f"{row['log_likelihood']:.2f}" for row in own),
                ", ".join(f"{row['rarest']:.2f}" for row in own),
                ", ".join(f"{row['commonest']:.2f}" for row in own),
                ", ".join(f"{row['mass']:.2f}" for row in own),
                shown(sum(row["seconds"] for row in own) / len(own)),
            ]
        )
    return table(head, rows)


def potts_table() -> str:
    """Return how far couplings and fields of a Potts model are from the true ones."""
    found = result("potts_couplings")
    head = ["objective", "couplings off (RMS)", "fields off (RMS)", "log Z − exact", "s"]
    rows: list[list[str]] = []
    for row in found["random"]["rows"]:
        rows.append(
            [
                row["method"],
                f"{row['couplings_off']:.4f}",
                f"{row['fields_off']:.4f}",
                witnesses_cell(row),
                shown(row["seconds"]),
            ]
        )
    return table(head, rows)


CUTS = (
    "max_cut",
    "max_cut_t2g10_5555",
    "max_cut_t2g10_6666",
    "max_cut_t3g5_5555",
    "max_cut_t3g5_6666",
    "max_cut_ising2.5-100_5555",
)
"""Files of cuts, planted ones first."""


def cuts_table() -> str:
    """Return the best cuts that were found beside the best known ones."""
    head = ["instance", "sites", "edges", "cut", "best known", "walkers there", "s"]
    rows = []
    for name in CUTS:
        found = result(name)
        there = f"{found['walkers_there']} of {found['config']['walkers']}"
        rows.append(
            [
                found["instance"],
                str(found["sites"]),
                str(found["edges"]),
                f"{found['cut']:.0f}",
                f"{found['best_known']:.0f}",
                there,
                shown(found["seconds"]),
            ]
        )
    return table(head, rows)
