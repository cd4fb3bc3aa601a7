"""Tables of densities: curves to two modes, goals, and six methods at equal time."""

from typing import Any

from pages.words import result, shown, table, wrapped


def curves_table() -> str:
    """Return velocities of curves to two modes, and masses that walkers find along them."""
    head = [
        "curve", "∫‖v‖² dt", "trainings", "residual, fresh points", "ESS", "left mode, weighted",
        "without weights",
    ]  # fmt: skip
    found = result("two_modes")
    rows: list[list[str]] = []
    for name, numbers in found["curves"].items():
        if name in ("linear", "Ornstein–Uhlenbeck"):
            rows.append([f"{name}, exactly", f"{numbers['integral']:.3f}", "", "", "", "", ""])
    names = list(dict.fromkeys(row["curve"] for row in found["rows"]))
    for name in names:
        own = [row for row in found["rows"] if row["curve"] == name]
        rows.append(curve_row(name, own))
    return table(head, rows)


def curve_row(name: str, own: list[dict[str, Any]]) -> list[str]:
    """Return the cells of one kind of curve, with those of all its trainings."""
    integrals = ", ".join(f"{row['along']['integral']:.3g}" for row in own if "along" in row)
    residuals = []
    for row in own:
        told = row.get("training", {})
        if "test_residual" in told:
            residuals.append(f"{told['test_residual'][-1]:.2g}")
    trainings = ""
    if "training" in own[0]:
        trainings = f"{len(own)}, {shown(own[0]['training']['seconds'])} s each"
    return [
        name,
        integrals,
        trainings,
        ", ".join(residuals),
        ", ".join(f"{row['ess']:.4f}" for row in own),
        ", ".join(f"{row['masses'][0]:.4f}({round(1e4 * row['mass_errors'][0])})" for row in own),
        ", ".join(f"{row['unweighted_masses'][0]:.4f}" for row in own),
    ]


def forty_table() -> str:
    """Return how far the masses of forty modes are from 1/40."""
    head = [
        "method", "as it was run", "walkers", "seconds", "ESS", "log Z", "total variation",
        "without weights", "worst mode, off by", "in errors",
    ]  # fmt: skip
    rows: list[list[str]] = []
    for row in result("density_goals")["forty"]["rows"]:
        rows.append(
            [
                row["method"],
                row["chosen"],
                str(row["walkers"]),
                shown(row["seconds"]),
                f"{row['ess']:.3f}",
                f"{row['log_z']:+.4f} ± {row['log_z_error']:.2g}",
                f"{row['total_variation']:.3f}",
                f"{row['unweighted_total_variation']:.3f}",
                f"{100.0 * row['worst_relative_mass']:.0f} %",
                f"{row['worst_mass_pull']:.1f}",
            ]
        )
    return table(head, rows)


def pairs_list() -> str:
    """Return log Z of the many-well of 32 coordinates."""
    lines: list[str] = []
    part = result("density_goals")["pairs"]
    for row in part["rows"]:
        text = (
            f"- {row['method']}, {row['chosen']}, {row['walkers']} walkers in "
            f"{shown(row['seconds'])} s: log Z {row['log_z']:.3f} ± {row['log_z_error']:.2g}, "
            f"{row['log_z_pull']:+.1f} σ from {part['log_z']:.6f}; ESS {row['ess']:.3f}."
        )
        lines.append(wrapped(text, "  "))
    return "\n".join(lines)


def digits_table() -> str:
    """Return what is missing of ESS and log Z along a drift that was learned to digits."""
    head = ["integrator", "1 − ESS", "log Z, off", "seconds"]
    part = result("density_goals")["four"]
    rows: list[list[str]] = []
    for row in part["rows"]:
        rows.append(
            [
                row["method"],
                f"{row['one_minus_ess']:.1e}",
                f"{row['log_z'] - part['log_z']:+.1e} ± {row['log_z_error']:.0e}",
                shown(row["seconds"]),
            ]
        )
    told = part["training"]
    words = (
        f"Training: {told['steps']} steps in {shown(told['seconds'])} s; residual "
        f"{told['residual'][-1]:.2g} on its nodes, {told['test_residual'][-1]:.2g} on fresh points."
    )
    return f"{words}\n\n{table(head, rows)}"


def newton_table() -> str:
    """Return residuals by Adam and by Gauss-Newton at equal seconds, a row for each seed."""
    head = [
        "target", "seed", "seconds each", "Adam", "Gauss–Newton", "ratio",
        "Gauss–Newton, fresh nodes", "its own nodes", "test / train",
    ]  # fmt: skip
    rows: list[list[str]] = []
    for name, case in result("gauss_newton")["cases"].items():
        for row in case["rows"]:
            newton = row["gauss_newton"]
            test = newton["test_residual"]
            own = newton["node_residual"]
            rows.append(
                [
                    name,
                    str(row["seed"]),
                    f"{shown(row['adam']['seconds'])}, {shown(newton['seconds'])}",
                    f"{row['adam']['grid_residual']:.2g}",
                    f"{newton['grid_residual']:.2g}",
                    f"{row['ratio']:.1f}",
                    f"{test:.2g}",
                    f"{own:.2g}",
                    shown(test / own),
                ]
            )
    return table(head, rows)


def newton_pilots() -> str:
    """Return what Adam reaches on the pilot's seed by each of its rates."""
    lines: list[str] = []
    for name, case in result("gauss_newton")["cases"].items():
        pilot = case["pilot"]
        tried = pilot["grid_residuals"].items()
        said = ", ".join(f"{residual:.2g} at rate {rate}" for rate, residual in tried)
        taken = f"{pilot['learning_rate']:g}"
        text = f"- {name}, Adam on the pilot's seed: {said}; {taken} is taken."
        lines.append(wrapped(text, "  "))
    return "\n".join(lines)


def newton_walkers() -> str:
    """Return ESS and log Z of walkers along the drifts of both, all seeds in a cell."""
    head = [
        "target", "integrator", "Adam, 1 − ESS", "Gauss–Newton, 1 − ESS", "log Z, off (its error)",
    ]  # fmt: skip
    rows: list[list[str]] = []
    for name, case in result("gauss_newton")["cases"].items():
        for rule in case["rows"][0]["adam"]["drawn"]:
            adam = [row["adam"]["drawn"][rule] for row in case["rows"]]
            newton = [row["gauss_newton"]["drawn"][rule] for row in case["rows"]]
            off = [f"{each['log_z_off']:+.0e} ({each['log_z_error']:.0e})" for each in newton]
            rows.append(
                [
                    name,
                    rule,
                    ", ".join(f"{each['one_minus_ess']:.1e}" for each in adam),
                    ", ".join(f"{each['one_minus_ess']:.1e}" for each in newton),
                    ", ".join(off),
                ]
            )
    return table(head, rows)


def targets_table() -> str:
    """Return all methods on all targets at equal seconds."""
    head = [
        "target", "method", "as its pilot chose", "ESS", "log Z, σ off", "masses off",
        "sliced W₂ (of exact draws)", "effective walkers/s", "with training",
    ]  # fmt: skip
    rows: list[list[str]] = []
    for case in result("densities")["cases"].values():
        for row in case["rows"]:
            rows.append([case["title"], row["method"], *method_cells(row)])
    return table(head, rows)


def method_cells(row: dict[str, Any]) -> list[str]:
    """Return the cells of one method on one target."""
    if "refused" in row:
        return [f"none: {row['refused']}", "", "", "", "", "", ""]
    masses = ""
    if "total_variation" in row:
        masses = f"{row['total_variation']:.3f}"
    key = "effective_walkers_per_second"
    included = row.get("training_included", {}).get(key)
    charged = ""
    if included is not None:
        charged = shown(included)
    return [
        row["chosen"],
        f"{row['ess']:.4f}",
        f"{row['log_z_pull']:+.1f}",
        masses,
        f"{row['sliced_wasserstein']:.3f} ({row['of_exact_draws']:.3f})",
        shown(row[key]),
        charged,
    ]
