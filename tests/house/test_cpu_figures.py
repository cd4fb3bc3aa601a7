"""Scripts that time a CPU and compare moves, in small, and the pages that tell what they found."""

import importlib.util
import io
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

import leaps_triton as lt
from leaps_triton.provenance import vectors

pytest.importorskip("tyro")

ROOT = Path(__file__).parents[2]


def script(name: str) -> ModuleType:
    """A script of experiments/ as a module."""
    file = ROOT / "experiments" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Scripts import what lies beside them.
    beside = str(ROOT / "experiments")
    if beside not in sys.path:
        sys.path.append(beside)
    # Dataclasses look for their module by its name.
    sys.modules[file.stem] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["README.md", "docs/results.md"])
def test_pages_say_what_the_files_of_results_hold(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert script("fill_results").filled(text) == text


def test_numbers_of_pages() -> None:
    page = script("fill_results")
    assert [page.shown(value) for value in (0.01234, 1.0, 12.34, 99.96, 1234.5)] == [
        "0.0123", "1", "12.3", "100", "1230",
    ]  # fmt: skip
    assert page.span([2.0, 1.5, 3.0]) == "1.5 to 3" and page.span([2.0, 2.001]) == "2"
    assert page.scaled(1.5e6) == "1.5 M" and page.scaled(2345.0) == "2.35 k"
    assert page.table(["a", "b"], [["1", "2"]]) == "| a | b |\n|---|---|\n| 1 | 2 |"


def test_a_process_answers_with_rates(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    states = script("benchmarks/cpu_states")
    settings = states.CpuStates(sites=2**9, seconds=1e-4, smoke=True)
    names = ["heat bath 16²", "Wolff 16²", "AIS 8²", "LocalRates 8²"]
    assert set(names) < set(states.cases(settings))
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{name}\n" for name in names)))
    threads = torch.get_num_threads()
    states.serve(settings)
    torch.set_num_threads(threads)
    rates = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rates) == len(names) and all(rate > 0.0 for rate in rates)


def test_rates_are_told_in_units_of_other_states() -> None:
    states = script("benchmarks/cpu_states")
    row = states.compared("case", {"twin": 2.0, "numba": 8.0, "mcising": 4.0})
    assert row["times"] == {"numba / twin": 4.0, "numba / mcising": 2.0}
    features = states.without_wide_vectors().split(",")
    assert not [name for name in features if name.startswith(("+avx512", "+avx10"))]


def test_vectors_are_those_that_numba_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.delenv("NUMBA_CPU_FEATURES", raising=False)
    assert vectors() == "AVX-512"
    monkeypatch.setenv("NUMBA_CPU_FEATURES", "+avx2,-avx512f")
    assert vectors() == "AVX2"
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    assert vectors() == "AVX2"


@pytest.mark.filterwarnings("ignore::leaps_triton.estimators.CautionWarning")
def test_moves_are_compared_with_the_default() -> None:
    moves = script("benchmarks/default_moves")
    settings = moves.DefaultMoves(
        walkers=4, sweeps=20, updates=20, burn_in=2, repeats=1, stretch=1e-4
    )
    rows = moves.rows_of("Ising", lt.Ising((4, 4), 0.4), settings)
    assert [row["move"] for row in rows if row["default"]] == ["4 sweeps + Swendsen-Wang"]
    assert min(row["regret"] for row in rows) == 1.0
    glass = moves.rows_of("glass", lt.EdwardsAnderson((4, 4), beta=0.5, seed=1), settings)
    assert [row["move"] for row in glass] == ["heat bath", "Metropolis"]
    assert "overlap" in glass[0]["tau"]


def test_the_page_says_how_fast_words_are() -> None:
    """Its table has the layouts that the rule chooses."""
    from leaps_triton.models.interactions.packed import layout_of

    file = ROOT / "experiments" / "results" / "packed_sweeps.json"
    rates = {
        (row["length"], row["walkers"], row["sweeps"]): row["spins_per_ns"]
        for row in json.loads(file.read_text(encoding="utf-8"))["rows"]
    }
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    _, _, after = text.partition("| lattice, walkers | words, 20 sweeps |")
    table, _, _ = after.partition("\n\n")
    lines = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    assert len(lines) == 7
    for name, *cells in lines:
        length, walkers = map(int, name.replace("²", "").split(", "))
        layout = layout_of(lt.Ising((length, length), beta=0.4), walkers)
        expected = []
        for sweeps in (20, 1):
            found = rates[length, walkers, sweeps]
            expected += [found[f"heat_bath {layout}"], found["heat_bath bytes"]]
        assert [float(cell) for cell in cells] == pytest.approx(expected, rel=0.005)
