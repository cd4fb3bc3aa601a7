"""Tables of trained networks and of their classical rivals."""

import json
from typing import Any

from pages.words import ROOT, result, shown, table, wrapped


def zoo_table() -> str:
    """Return what the index of the zoo says of its samplers."""
    file = ROOT / "leaps_triton" / "zoo" / "index.json"
    entries: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    head = [
        "name", "training, s", "parameters", "intervals", "walkers", "ESS", "Var[A] per site",
        "log Z, σ from exact",
    ]  # fmt: skip
    rows: list[list[str]] = []
    for name, entry in entries.items():
        fresh = entry["fresh_walkers"]
        rows.append(
            [
                name,
                shown(entry["train_seconds"]),
                str(entry["parameters"]),
                str(fresh["intervals"]),
                str(fresh["walkers"]),
                f"{fresh['ess']:.3f}",
                f"{fresh['log_weight_variance_per_site']:.2g}",
                pull_cell(fresh),
            ]
        )
    return table(head, rows)


CRITICAL = ("ising_8", "ising_16", "ising_32", "potts_16", "glass_8")
"""Results of learned/critical.py, in the order of the page."""


def critical_table() -> str:
    """Return quality and cost of every trained network, and of its classical rivals."""
    head = [
        "model", "sampler", "training, s", "intervals", "ESS", "reverse ESS", "Var[A] per site",
        "log Z, σ from exact", "1/σ² a second", "effective walkers a second",
    ]  # fmt: skip
    rows: list[list[str]] = []
    for name in measured():
        found = result(f"critical_{name}")
        model = critical_name(name)
        for network in found["networks"]:
            rows.append([model, *network_cells(network)])
        for rival in found["rivals"]:
            rows.append([model, *rival_cells(rival)])
    return table(head, rows)


def measured() -> list[str]:
    """Return those results that there are."""
    folder = ROOT / "experiments" / "results"
    return [name for name in CRITICAL if (folder / f"critical_{name}.json").exists()]


def critical_name(name: str) -> str:
    """Return what a model is called in the table."""
    kind, _, length = name.partition("_")
    called = {"ising": "Ising", "potts": "Potts q = 3", "glass": "±J glass"}
    return f"{called[kind]} {length} × {length}"


def network_cells(network: dict[str, Any]) -> list[str]:
    """Return the cells of a trained network, at the variant that was chosen."""
    row = network["chosen"]
    log_z = pull_cell(row)
    if "log_z_pull" not in row:
        # Nothing exact is known: runs from both ends bracket it.
        backwards = f"{network['reverse_log_z']:.3f} ± {network['reverse_log_z_error']:.2g}"
        log_z = f"{log_z}; backwards {backwards}"
    called = {"symmetric": "SymmetricConv", "local": "LocalRates"}[network["kind"]]
    moves = ""
    if row["sweeps"]:
        moves = f", {row['sweeps']} sweeps"
    elif "clusters" in row:
        moves = f", {row['clusters']} cluster updates"
    return [
        f"{called}, seed {network['seed']}{moves}",
        shown(network["train_seconds"]),
        str(row["intervals"]),
        f"{row['ess']:.3f}",
        f"{network['reverse_ess']:.3f}",
        f"{row['log_weight_variance_per_site']:.2g}",
        log_z,
        shown(row["inverse_variance_of_log_z_per_second"]),
        shown(row["effective_walkers_per_second"]),
    ]


def rival_cells(row: dict[str, Any]) -> list[str]:
    """Return the cells of a classical rival, at what its pilot chose."""
    ess = f"{row['ess']:.3f}" if "ess" in row else ""
    variance = ""
    if "log_weight_variance_per_site" in row:
        variance = f"{row['log_weight_variance_per_site']:.2g}"
    return [
        f"{row['method']}, {row['chosen'].partition(', ')[2]}",
        "",
        str(row["intervals"]),
        ess,
        "",
        variance,
        pull_cell(row),
        shown(row["inverse_variance_of_log_z_per_second"]),
        shown(row["effective_walkers_per_second"]),
    ]


def pull_cell(row: dict[str, Any]) -> str:
    """Return the distance of log Z from the exact value in errors, or the value with its error."""
    if "log_z_pull" in row:
        return f"{row['log_z_pull']:+.1f}"
    return f"{row['log_z']:.3f} ± {row['log_z_error']:.2g}"


def critical_verdict() -> str:
    """Return how each network stands to the better of its rivals."""
    lines: list[str] = []
    for name in measured():
        for network in result(f"critical_{name}")["networks"]:
            called = {"symmetric": "SymmetricConv", "local": "LocalRates"}[network["kind"]]
            parts: list[str] = []
            for rival, ratio in network["times_the_rivals"].items():
                after = network["break_even_seconds"][rival]
                part = f"{shown(ratio)} × {rival}"
                if after is not None:
                    part += f" (ahead with its training after {shown(after)} s)"
                parts.append(part)
            head = f"- {critical_name(name)}, {called}, seed {network['seed']}: "
            lines.append(wrapped(head + "; ".join(parts) + ".", "  "))
    return "\n".join(lines)


def conditioned_table() -> str:
    """Return ESS and log Z of one network at many temperatures and sizes."""
    rows = result("conditioned")["networks"][0]["rows"]
    betas = list(dict.fromkeys(row["beta"] for row in rows))
    lines: dict[tuple[int, str], dict[float, str]] = {}
    for row in rows:
        line = lines.setdefault((row["length"], row["sampler"]), {})
        line[row["beta"]] = f"{row['ess']:.3f} ({row['log_z_pull']:+.1f}σ)"
    head = ["lattice", "sampler", *(f"β = {beta:g}" for beta in betas)]
    return table(
        head,
        [
            [f"{length} × {length}", sampler, *(line[beta] for beta in betas)]
            for (length, sampler), line in lines.items()
        ],
    )


def fields_table() -> str:
    """Return ESS and log Z of one network in many fields."""
    network = result("conditioned_fields")["networks"][0]
    rows = network["rows"]
    head = ["field", *(f"{row['field']:g}{'' if row['trained'] else '*'}" for row in rows)]
    ess = ["ESS", *(f"{row['ess']:.3f}" for row in rows)]
    pulls = ["log Z, σ from exact", *(f"{row['log_z_pull']:+.1f}" for row in rows)]
    return table(head, [ess, pulls])


def instances_table() -> str:
    """Return what one network says of instances, and annealing beside it, each β apart."""
    network = result("conditioned_instances")["networks"][0]
    head = [
        "β", "sampler", "ESS, trained", "ESS, unseen", "Var[A], unseen", "effective walkers/s",
        "1/σ² of log Z a second", "log Z, largest σ from exact",
    ]  # fmt: skip
    cells: dict[tuple[float, str], list[dict[str, Any]]] = {}
    for row in network["rows"]:
        cells.setdefault((row["beta"], row["sampler"]), []).append(row)
    rows: list[list[str]] = []
    for (beta, sampler), every in cells.items():
        unseen = [row for row in every if not row["trained"]]
        trained = [row for row in every if row["trained"]]
        largest = max((row["log_z_pull"] for row in every), key=abs)
        rows.append(
            [
                f"{beta:g}",
                sampler,
                f"{_mean(trained, 'ess'):.3f}",
                f"{_mean(unseen, 'ess'):.3f}",
                f"{_mean(unseen, 'log_weight_variance'):.2g}",
                f"{_mean(unseen, 'effective_walkers_per_second'):.0f}",
                f"{_mean(unseen, 'inverse_variance_of_log_z_per_second'):.0f}",
                f"{largest:+.1f}",
            ]
        )
    return table(head, rows)


def _mean(rows: list[dict[str, Any]], name: str) -> float:
    """Return the mean of a number over instances."""
    return float(sum(row[name] for row in rows) / len(rows))
