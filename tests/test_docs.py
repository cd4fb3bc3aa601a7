"""The Python of README and guide runs at small size, and the results page says what files hold."""

import contextlib
import io
import json
import re
import warnings
from pathlib import Path
from typing import Any

import pytest

import leaps_triton as lt
from leaps_triton.estimators import CautionWarning

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "guide").glob("*.md"))]
DOCUMENTS = [
    *PAGES,
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
LARGEST = {"steps": 20, "walkers": 512, "sweeps": 400}
"""Larger numbers of these arguments are lowered, so that a page takes seconds."""


def python_of(page: Path) -> list[str]:
    """The blocks of Python of a page, in their order."""
    text = page.read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def at_small_size(code: str) -> str:
    """The code with large numbers of steps, walkers and sweeps lowered."""

    def lower(match: re.Match[str]) -> str:
        name = match[1]
        return f"{name}={min(int(match[2]), LARGEST[name])}"

    return re.sub(rf"\b({'|'.join(LARGEST)})=(\d+)", lower, code)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_python_of_a_page_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "page"}
    for number, block in enumerate(python_of(page)):
        code = compile(at_small_size(block), f"{page.name}, block {number}", "exec")
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            # Runs of small size are shorter than their error bars ask for.
            warnings.filterwarnings("ignore", category=CautionWarning)
            exec(code, names)


@pytest.mark.parametrize("page", PAGES[1:], ids=lambda page: page.stem)
def test_every_page_of_the_guide_shows_python(page: Path) -> None:
    assert python_of(page)


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.stem)
def test_links_lead_to_files_and_to_no_package_index(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "pypi.org" not in text
    assert "/tmp/" not in text and "/work/" not in text
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith(("https://", "#")):
            continue
        if link.startswith("examples/"):
            # Made from the gallery when the documentation is built.
            assert link == "examples/index.rst" and (page.parent / "gallery").is_dir()
            continue
        file = page.parent / link.partition("#")[0]
        assert file.exists(), f"{page.name} links to {link}"


def test_the_readme_fits_one_page() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


RESULTS = ROOT / "experiments" / "results"


def result(name: str) -> Any:
    """The result of an experiment."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def section(title: str) -> str:
    """The part of the results page under a heading."""
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    return text.partition(f"## {title}\n")[2].partition("\n## ")[0]


def table_of(title: str) -> dict[str, list[str]]:
    """The rows of the section's table: what the first cell says → the other cells."""
    rows = [line for line in section(title).splitlines() if line.startswith("| ")]
    cells = [[cell.strip().strip("`") for cell in row.strip("|").split("|")] for row in rows]
    return {first: others for first, *others in cells}


def numbers(cell: str) -> list[float]:
    """The numbers of a cell."""
    found = re.findall(r"[+-]?\d+(?:\.\d+)?", cell.replace("\N{MINUS SIGN}", "-"))
    return [float(number) for number in found]


def test_the_page_tells_the_bias_of_the_published_network() -> None:
    table = table_of("What the exact weights are worth")
    for scheme in result("published_leaps")["schemes"]:
        steps = scheme["steps"]
        name = f"Euler weights, {steps} steps" if scheme["scheme"] == "euler" else f"Jump({steps})"
        evaluations, ess, deviation = table[name]
        assert numbers(evaluations) == [scheme["evaluations"]]
        assert numbers(ess) == [round(scheme["ess"], 3)]
        found = [round(scheme[key], 3) for key in ("log_z_deviation", "log_z_error")]
        assert numbers(deviation) == found


def test_the_page_tells_what_domains_cost() -> None:
    table = table_of("Domains")
    rows = {
        (row["shape"][0], row["intervals"], row["domain"]): row["evaluations"]
        for row in result("domain_jumps")["rows"]
    }
    for length in (16, 32):
        for intervals in (5, 20):
            cells = table[f"{length} × {length}, {intervals}"]
            for cell, domain in zip(cells, (None, 2), strict=True):
                assert numbers(cell) == [pytest.approx(rows[length, intervals, domain], abs=0.06)]


def test_the_page_compares_the_networks() -> None:
    table = table_of("Which network")
    for column, case in enumerate(result("compare_networks")["cases"]):
        for row in case["rows"]:
            if row["network"] == "no network":
                expected = [row["log_weight_variance_per_site"]]
            else:
                budgets = (row["equal_seconds"], row["equal_steps"])
                expected = [budget["log_weight_variance_per_site"] for budget in budgets]
            assert numbers(table[row["network"]][column]) == pytest.approx(expected, abs=6e-5)


def test_the_page_compares_samplers_at_equal_time() -> None:
    table = table_of("Samplers at equal time")
    for number, case in enumerate(result("honest_comparison")["cases"]):
        for row in case["rows"]:
            cells = table[row["method"].replace("-Wang", "\N{EN DASH}Wang")]
            for cell, quantity in zip(cells[2 * number :], ("m²", "log Z"), strict=False):
                rate = row["independent_samples_per_second"].get(quantity)
                expected = [] if rate is None else [rate]
                if row.get("training_included"):
                    expected.append(row["training_included"][quantity])
                assert numbers(cell) == pytest.approx(expected, rel=6e-3)


def test_the_page_compares_classical_updates() -> None:
    table = table_of("Classical updates beside compiled programs")
    for row in result("classical_updates")["rows"]:
        name = f"{row['package']}, {row['algorithm'].replace('-Wang', chr(0x2013) + 'Wang')}"
        (cells,) = [cells for key, cells in table.items() if f"{key}, ".startswith(f"{name}, ")]
        cell = cells[(64, 128, 256).index(row["length"])]
        expected = [row["million_updates_per_second"], row["independent_samples_per_second"]]
        if row["one_walker"] is not None:
            expected.append(row["one_walker"])
        assert numbers(cell) == pytest.approx(expected, rel=6e-3)


def test_the_page_tells_how_often_metropolis_rests() -> None:
    table = table_of("How often Metropolis rests")
    rests = [0.0, *(2.0**-power for power in (8, 4, 3, 2, 1))]
    found = result("metropolis_rest")
    for row in found["rows"]:
        if row["move"] == "Metropolis" and row["rest"] in rests:
            slowest = max(row[name] for name in ("energy", "abs_magnetization", "parity"))
            cell = table[f"{row['beta']:g}"][rests.index(row["rest"])]
            assert numbers(cell) == pytest.approx([slowest], rel=6e-3)
    # The defaults are the rests of the least cost.
    for move in (lt.Metropolis, lt.Wolff):
        costs = found["costs"][move.__name__]
        assert min(costs, key=costs.__getitem__) == str(move.rest)


def test_the_page_tells_the_thermodynamics() -> None:
    table = table_of("Ising thermodynamics")
    for row in result("ising_thermodynamics")["rows"]:
        if row["beta"] == 0.4407:
            energy, exact_energy, heat, exact_heat = table[str(row["length"])]
            assert numbers(energy) == pytest.approx([row["energy"], row["energy_error"]], abs=6e-6)
            assert numbers(exact_energy) == pytest.approx([row["energy_exact"]], abs=6e-6)
            expected = [row["specific_heat"], row["specific_heat_error"]]
            assert numbers(heat) == pytest.approx(expected, abs=6e-4)
            assert numbers(exact_heat) == pytest.approx([row["specific_heat_exact"]], abs=6e-6)
