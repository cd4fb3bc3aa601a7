"""Tables of continuous fields: gates, trained drifts, and four methods at equal time."""

from typing import Any

from pages.words import result, shown, table, wrapped


def gates_table() -> str:
    """Return how far log Z of each sampler is from quadrature, in its errors."""
    head = ["sampler", "intervals", "ESS", "log Z, off", "in errors"]
    rows: list[list[str]] = []
    for row in result("phi4_gates")["rows"]:
        name = row["sampler"]
        if not row["exact"]:
            name = f"**{name}** (biased)"
        rows.append(
            [
                name,
                str(row["intervals"]),
                f"{row['ess']:.2f}",
                f"{row['defect']:+.4f} ± {row['error']:.4f}",
                f"{row['pull']:+.1f}",
            ]
        )
    return table(head, rows)


def drifts_table() -> str:
    """Return what trained drifts reach, with annealing of the same seconds below each."""
    head = [
        "lattice", "sampler", "intervals × leapfrogs", "ESS", "log Z₁/Z₀", "off, σ", "V⟨M²⟩",
        "seconds", "effective walkers/s",
    ]  # fmt: skip
    rows: list[list[str]] = []
    for row in result("phi4_training")["rows"]:
        if row["sampler"] == "AIS, to measure":
            continue
        pull = row.get("log_z_ratio_pull")
        rows.append(
            [
                f"{row['length']} × {row['length']}",
                row["sampler"],
                f"{row['intervals']} × {row['leapfrogs']}",
                f"{row['ess']:.3f}",
                f"{row['log_z_ratio']:.3f} ± {row['log_z_error']:.2g}",
                "" if pull is None else f"{pull:+.1f}",
                f"{row['magnetisation']:.3f} ± {row['magnetisation_error']:.2g}",
                shown(row["seconds"]),
                shown(row["effective_walkers_a_second"]),
            ]
        )
    return table(head, rows)


def trainings_list() -> str:
    """Return what the trainings of the drifts took, and what they left."""
    lines: list[str] = []
    for made in result("phi4_training")["trainings"]:
        size = f"{made['length']} × {made['length']}"
        text = (
            f"- {size}, {made['optimizer']}: {made['steps']} steps in {shown(made['seconds'])} s; "
            f"∫v dt on held-out samples {made['held_out_before']:.3g} before, "
            f"{made['held_out_after']:.3g} after."
        )
        lines.append(wrapped(text, "  "))
    return "\n".join(lines)


def methods_table() -> str:
    """Return four methods at equal seconds."""
    head = [
        "method", "as its pilot chose", "ESS", "V⟨M²⟩", "⟨φ ∂S/∂φ⟩, σ from 1",
        "effective walkers/s", "1/σ² of log Z a second",
    ]  # fmt: skip
    rows: list[list[str]] = []
    found: dict[str, Any] = result("phi4")["comparison"]
    for row in found["rows"]:
        value, error = row["susceptibility_full"]
        ess = ""
        if "ess" in row:
            ess = f"{row['ess']:.3f}"
        inverse = ""
        if "inverse_variance_of_log_z_per_second" in row:
            inverse = shown(row["inverse_variance_of_log_z_per_second"])
        rows.append(
            [
                row["method"],
                row["chosen"],
                ess,
                f"{value:.4f} ± {error:.2g}",
                f"{row['schwinger_dyson_pull']:+.1f}",
                shown(row["effective_walkers_per_second"]),
                inverse,
            ]
        )
    return table(head, rows)


def crossings_list() -> str:
    """Return where Binder cumulants cross, and the gates of the chains."""
    found = result("phi4")
    lines: list[str] = []
    for crossing in found["binder_crossings"]:
        small, large = crossing["lengths"]
        where = crossing["quartic"]
        text = f"- Binder cumulants of {small} × {small} and {large} × {large} "
        if where is None:
            lines.append(text + "do not cross within the scan.")
        else:
            lines.append(text + f"cross at λ = {where:.3f}.")
    for gate in found["gate"]:
        value, error = gate["susceptibility_full"]
        other, spread = gate["other_program"]
        lines.append(
            f"- V⟨M²⟩ at {gate['length']} × {gate['length']}, λ = {gate['quartic']}: {value:.3f} ± "
            f"{error:.2g}; another program {other:.3f} ± {spread:.2g}, "
            f"{gate['distance_in_errors']:+.1f} errors apart."
        )
    return "\n".join(wrapped(line, "  ") for line in lines)


def chains_list() -> str:
    """Return V⟨M²⟩ by chains on the lattices of the trained drifts."""
    found = result("phi4_training")
    lines: list[str] = []
    for row in found["chains"]:
        other = found["references"].get(str(row["length"]), {}).get("magnetisation")
        text = (
            f"- {row['length']} × {row['length']}, λ = {row['quartic']:g}: V⟨M²⟩ = "
            f"{row['magnetisation']:.3f} ± {row['magnetisation_error']:.2g}"
        )
        if other is not None:
            text += f"; another program {other[0]:g} ± {other[1]:g}"
        lines.append(wrapped(f"{text}.", "  "))
    return "\n".join(lines)


def moves_table() -> str:
    """Return what a step of each move costs, fused and in plain torch."""
    found = result("field_moves")
    lengths = list(dict.fromkeys(row["length"] for row in found["rows"]))
    cells: dict[str, list[str]] = {}
    for row in found["rows"]:
        fused = shown(row["milliseconds"]["numba"])
        plain = shown(row["twin_over_numba"])
        units = shown(row["in_trajectories"]["numba"])
        cells.setdefault(row["move"], []).append(f"{fused} ({plain}; {units})")
    head = ["", *(f"{length} × {length}" for length in lengths)]
    words = f"On {found['device']}, {found['config']['walkers']} walkers:"
    return f"{words}\n\n{table(head, ([name, *others] for name, others in cells.items()))}"
