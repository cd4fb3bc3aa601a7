"""Write what files of results say into docs/results.md and README.md, between their marks.

    python experiments/fill_results.py            # after the experiments have run
    python experiments/fill_results.py --check    # only say whether the pages are up to date

A mark is a pair of comments, ``<!-- NAME -->`` and ``<!-- end of NAME -->``; what stands between
them is replaced. No number there is written by hand.
"""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tyro
from pages.densities import (
    curves_table,
    digits_table,
    forty_table,
    newton_pilots,
    newton_table,
    newton_walkers,
    pairs_list,
    targets_table,
)
from pages.fields import (
    chains_list,
    crossings_list,
    drifts_table,
    gates_table,
    methods_table,
    moves_table,
    trainings_list,
)
from pages.learned import (
    conditioned_table,
    critical_table,
    critical_verdict,
    fields_table,
    instances_table,
    zoo_table,
)
from pages.learning import (
    cuts_table,
    images_table,
    inverse_table,
    machines_table,
    modes_table,
    oscillators_table,
    patterns_table,
    potts_table,
    scores_table,
    theories_list,
    tori_table,
    witnesses_list,
)
from pages.words import ROOT, result, shown, span, table, wrapped

from leaps_triton.files import write_text

MCISING = "[mcising](https://github.com/bcivitcioglu/mcising)"


@dataclass(frozen=True)
class FillResults:
    """Write tables and verdicts of results into the pages."""

    check: bool = False
    """Write nothing; end with status 1 if a page is not up to date."""


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
    "table of fields": fields_table,
    "table of instances": instances_table,
    "table of the zoo": zoo_table,
    "table of phi4_gates": gates_table,
    "table of phi4_training": drifts_table,
    "trainings of phi4_training": trainings_list,
    "chains of phi4_training": chains_list,
    "table of field_moves": moves_table,
    "table of phi4": methods_table,
    "crossings of phi4": crossings_list,
    "table of two_modes": curves_table,
    "table of forty": forty_table,
    "list of pairs": pairs_list,
    "table of digits": digits_table,
    "pilots of gauss_newton": newton_pilots,
    "table of gauss_newton": newton_table,
    "walkers of gauss_newton": newton_walkers,
    "table of densities": targets_table,
    "table of cuts": cuts_table,
    "table of tori": tori_table,
    "table of inverse_ising": inverse_table,
    "witnesses of inverse_ising": witnesses_list,
    "table of mode_weights": modes_table,
    "table of rbm_digits": machines_table,
    "theories of rbm_digits": theories_list,
    "table of bars_and_stripes": patterns_table,
    "table of potts_couplings": potts_table,
    "table of oscillators": oscillators_table,
    "table of scores": scores_table,
    "table of images": images_table,
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
