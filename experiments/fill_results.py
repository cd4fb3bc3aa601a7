"""Write what files of results say into docs/results.md and README.md, between their marks.

    python experiments/fill_results.py            # after the experiments have run
    python experiments/fill_results.py --check    # only say whether the pages are up to date

A mark is a pair of comments, ``<!-- NAME -->`` and ``<!-- end of NAME -->``; what stands between
them is replaced. No number there is written by hand.
"""

import json
import re
import sys
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from leaps_triton.files import write_text

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "experiments" / "results"
MCISING = "[mcising](https://github.com/bcivitcioglu/mcising)"


@dataclass(frozen=True)
class FillResults:
    """Write tables and verdicts of results into the pages."""

    check: bool = False
    """Write nothing; end with status 1 if a page is not up to date."""


def result(name: str) -> Any:
    """Return the result of an experiment."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def shown(value: float) -> str:
    """Return a number in three digits, without an exponent."""
    digits = float(f"{value:.3g}")
    if abs(digits) >= 100.0:
        return f"{digits:.0f}"
    return f"{digits:.3g}"


def span(values: Iterable[float]) -> str:
    """Return the least and the greatest of some numbers in words."""
    ordered = sorted(values)
    first = shown(ordered[0])
    last = shown(ordered[-1])
    if first == last:
        return first
    return f"{first} to {last}"


def wrapped(text: str, indent: str = "") -> str:
    """Return text in lines as long as those of the pages."""
    return textwrap.fill(
        text, 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    """Return a table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    # A rule is not padded, all else is.
    return "\n".join(
        "|" + "|".join(cells) + "|" if cells[0] == "---" else "| " + " | ".join(cells) + " |"
        for cells in lines
    )


def titled(name: str) -> str:
    """Return the name of a move as pages write it."""
    return name.replace("Swendsen-Wang", "Swendsen\N{EN DASH}Wang")


def updates_cell(row: dict[str, Any]) -> str:
    """Return updates a second, and independent samples."""
    cell = f"{shown(row['million_updates_per_second'])} "
    cell += f"({shown(row['independent_samples_per_second'])})"
    if row["one_walker"] is not None:
        cell += f", one walker {shown(row['one_walker'])}"
    return cell


def classical_table() -> str:
    """Return updates and independent samples of all packages."""
    rows = result("classical_updates")["rows"]
    lengths = sorted({row["length"] for row in rows})
    cells: dict[str, list[str]] = {}
    for row in rows:
        name = f"{row['package']}, {titled(row['algorithm'])}"
        cells.setdefault(name, []).append(updates_cell(row))
    head = ["million updates a second", *(f"{length} × {length}" for length in lengths)]
    return table(head, ([name, *others] for name, others in cells.items()))


def ratios_of(move: str, package: str, what: str) -> list[float]:
    """Return by how much a move is ahead of its like on all lattices."""
    found = []
    for each in result("classical_updates")["ratios"]:
        if each["move"] == move and each["package"] == package:
            found.append(each[what])
    return found


COMPARED = (
    ("Metropolis", "updates"),
    ("Metropolis", "samples"),
    ("heat bath", "updates"),
    ("Swendsen-Wang", "samples"),
    ("Wolff", "samples"),
)
"""What the verdict tells: a move, and what is counted."""

COUNTED = {"updates": "updates", "samples": "independent samples"}
"""What is counted, in words."""


def outcomes(package: str) -> tuple[list[str], list[str]]:
    """Return in what the library is ahead of a package, and in what behind."""
    ahead = []
    behind = []
    for move, what in COMPARED:
        found = ratios_of(move, package, what)
        if not found:
            continue
        words = f"{COUNTED[what]} by {titled(move)}"
        if min(found) >= 1.0:
            ahead.append(f"{words} ({span(found)} ×)")
        else:
            lost = [1.0 / ratio for ratio in found if ratio < 1.0]
            behind.append(f"{words} (the other has up to {shown(max(lost))} times as many)")
    return ahead, behind


def classical_verdict() -> str:
    """Return in words who is ahead of whom."""
    about = result("classical_updates")
    lines = [f"On {about['device']}, {about['ops']}; samples are independent ones of m², a second."]
    for package in ("mcising", "peapods"):
        ahead, behind = outcomes(package)
        said = []
        if ahead:
            said.append(f"the library is ahead in {', '.join(ahead)}")
        if behind:
            said.append(f"it is behind in {', '.join(behind)}")
        if said:
            lines.append(wrapped(f"- **Beside {package}** {'; '.join(said)}.", "  "))
    return "\n".join([lines[0], "", *lines[1:]])


def readme_verdict() -> str:
    """Return what somebody with an Ising model on a CPU should take."""
    ahead, behind = outcomes("mcising")
    device = result("classical_updates")["device"]
    text = (
        f"**For chains of the Ising model on a CPU**, beside {MCISING} ({device}), the library is"
    )
    if ahead:
        text += f" ahead in {', '.join(ahead)}."
    if ahead and behind:
        text += " It is"
    if behind:
        text += f" behind in {', '.join(behind)}: take mcising for these."
    return wrapped(text)


def states_table() -> str:
    """Return the speeds of all cases in every state."""
    found = result("cpu_states")
    bases = [name for name in ("twin", "before", "mcising") if known(found, name)]
    states = [name for name in ("numba", "AVX2", "two threads") if known(found, name)]
    head = ["a second", *states]
    rows = []
    for row in found["rows"]:
        cells = [titled(row["case"])]
        for state in states:
            cells.append(state_cell(row, state, bases))
        rows.append(cells)
    compared = ", ".join(TITLES[base] for base in bases)
    words = f"On {found['device']}; in brackets in units of {compared}:"
    return f"{words}\n\n{table(head, rows)}"


TITLES = {"twin": "plain torch", "before": "the version before", "mcising": "mcising"}
"""States as the page calls them."""


def known(found: dict[str, Any], state: str) -> bool:
    """Return whether any case was run in a state."""
    return any(state in row["rates"] for row in found["rows"])


def state_cell(row: dict[str, Any], state: str, bases: list[str]) -> str:
    """Return the speed of a case in one state, and in units of the others'."""
    if state not in row["rates"]:
        return ""
    ratios = []
    for base in bases:
        ratio = row["times"].get(f"{state} / {base}")
        if ratio is not None:
            ratios.append(shown(ratio))
    return f"{scaled(row['rates'][state])} ({', '.join(ratios)})"


def scaled(rate: float) -> str:
    """Return a rate with its unit of thousands or millions."""
    for size, unit in ((1e6, " M"), (1e3, " k")):
        if rate >= size:
            return f"{shown(rate / size)}{unit}"
    return shown(rate)


def default_table() -> str:
    """Return the slowest autocorrelation time of each move, and its regret."""
    found = result("default_moves")
    names = list(dict.fromkeys(row["move"] for row in found["rows"]))
    cells: dict[str, dict[str, str]] = {}
    for row in found["rows"]:
        times = [each for each in row["tau"].values() if each is not None]
        cell = f"{shown(max(times))} ({shown(row['regret'])})"
        # The default is in bold.
        if row["default"]:
            cell = f"**{cell}**"
        cells.setdefault(row["model"], {})[row["move"]] = cell
    rows = [[model, *(own.get(name, "") for name in names)] for model, own in cells.items()]
    return table(["", *map(titled, names)], rows)


def default_quench() -> str:
    """Return what a quench leaves, in words."""
    found = result("default_moves")["quench"]
    said = []
    for row in found:
        walls = f"{100.0 * row['walkers_with_walls']:.0f} %"
        above = row["energy_above"]
        said.append(f"- {titled(row['move'])}: {walls} of the walkers, energy {above:+.4f}")
    return "\n".join(said)


def honest_table() -> str:
    """Return independent samples of all methods on all models."""
    cases = result("honest_comparison")["cases"]
    head = [""]
    cells: dict[str, list[str]] = {}
    names = list(dict.fromkeys(row["method"] for case in cases for row in case["rows"]))
    for case in cases:
        of_case = {row["method"]: row for row in case["rows"]}
        for quantity in ("m²", "log Z"):
            head.append(f"{short(case['model'])}, {quantity}")
            for name in names:
                cells.setdefault(name, []).append(honest_cell(of_case.get(name), quantity))
    return table(head, ([titled(name), *others] for name, others in cells.items()))


def short(model: str) -> str:
    """Return the name of a model for the head of a column."""
    if model.startswith("Ising"):
        return model.partition(", β")[0]
    return model.replace("Edwards-Anderson ±1, ", "±J glass ")


def honest_cell(row: dict[str, Any] | None, quantity: str) -> str:
    """Return the rate of one method, with its training in brackets."""
    if row is None or quantity not in row["independent_samples_per_second"]:
        return ""
    cell = shown(row["independent_samples_per_second"][quantity])
    if "training_included" in row:
        cell += f" ({shown(row['training_included'][quantity])})"
    return cell


def honest_verdicts() -> str:
    """Return the verdicts on m² and log Z, one a line."""
    found = result("honest_comparison")
    lines = []
    for case in found["cases"]:
        for verdict in case["verdicts"]:
            if ", energy: " not in verdict:
                lines.append(f"- {titled(verdict)}")
    return "\n".join(lines)


CRITICAL = ("ising_8", "ising_16", "ising_32", "potts_16", "glass_8")
"""Results of learned/critical.py, in the order of the page."""


def critical_table() -> str:
    """Return quality and cost of every trained network, and of its classical rivals."""
    head = [
        "model", "sampler", "training, s", "intervals", "ESS", "reverse ESS", "Var[A] per site",
        "log Z, σ from exact", "1/σ² a second", "effective walkers a second",
    ]  # fmt: skip
    rows: list[list[str]] = []
    for name in CRITICAL:
        found = result(f"critical_{name}")
        model = critical_name(name)
        for network in found["networks"]:
            rows.append([model, *network_cells(network)])
        for rival in found["rivals"]:
            rows.append([model, *rival_cells(rival)])
    return table(head, rows)


def critical_name(name: str) -> str:
    """Return what a model is called in the table."""
    kind, _, length = name.partition("_")
    called = {"ising": "Ising", "potts": "Potts q = 3", "glass": "±J glass"}
    return f"{called[kind]} {length} × {length}"


def network_cells(network: dict[str, Any]) -> list[str]:
    """Return the cells of a trained network, at the variant that was chosen."""
    row = network["chosen"]
    called = {"symmetric": "SymmetricConv", "local": "LocalRates"}[network["kind"]]
    sweeps = f", {row['sweeps']} sweeps" if row["sweeps"] else ""
    return [
        f"{called}, seed {network['seed']}{sweeps}",
        shown(network["train_seconds"]),
        str(row["intervals"]),
        f"{row['ess']:.3f}",
        f"{network['reverse_ess']:.3f}",
        f"{row['log_weight_variance_per_site']:.2g}",
        pull_cell(row),
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
    for name in CRITICAL:
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
    network = result("conditioned")["networks"][0]
    lengths = list(dict.fromkeys(row["length"] for row in network["rows"]))
    betas = list(dict.fromkeys(row["beta"] for row in network["rows"]))
    found = {(row["length"], row["beta"]): row for row in network["rows"]}
    head = ["lattice", *(f"β = {beta:g}" for beta in betas)]
    rows: list[list[str]] = []
    for length in lengths:
        cells = [f"{length} × {length}"]
        for beta in betas:
            row = found[length, beta]
            cells.append(f"{row['ess']:.3f} ({row['log_z_pull']:+.1f}σ)")
        rows.append(cells)
    return table(head, rows)


PARTS: dict[str, Callable[[], str]] = {
    "table of classical_updates": classical_table,
    "verdict of classical_updates": classical_verdict,
    "table of cpu_states": states_table,
    "table of default_moves": default_table,
    "quench of default_moves": default_quench,
    "table of honest_comparison": honest_table,
    "verdicts of honest_comparison": honest_verdicts,
    "verdict for chains": readme_verdict,
    "table of critical": critical_table,
    "verdict of critical": critical_verdict,
    "table of conditioned": conditioned_table,
}
"""Mark → what makes its text."""


def filled(text: str) -> str:
    """Return a page with all that stands between its marks made anew."""
    for name, make in PARTS.items():
        begin = f"<!-- {name} -->"
        end = f"<!-- end of {name} -->"
        if begin in text:
            pattern = re.escape(begin) + ".*?" + re.escape(end)
            new = f"{begin}\n{make()}\n{end}"
            # Backslashes of the new text would mean something to the pattern.
            text = re.sub(pattern, new.replace("\\", r"\\"), text, flags=re.DOTALL)
    return text


def main(settings: FillResults) -> None:
    """Fill both pages."""
    stale = []
    for page in (ROOT / "docs" / "results.md", ROOT / "README.md"):
        text = page.read_text(encoding="utf-8")
        new = filled(text)
        if new == text:
            continue
        stale.append(page.name)
        if not settings.check:
            write_text(page, new)
    words = "not up to date" if settings.check else "filled"
    print(f"{words}: {', '.join(stale) or 'none'}")
    if settings.check and stale:
        sys.exit(1)


if __name__ == "__main__":
    main(tyro.cli(FillResults, description=__doc__))
