"""Numbers of gpu.py without a GPU: comparisons, tables of tools, goals and the documentation."""

import csv
import importlib
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from leaps_triton.bench.timing import Row, write_rows

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "experiments" / "gpu"))

gpu_run: Any = importlib.import_module("gpu_run")
gpu_results: Any = importlib.import_module("gpu_results")
gpu_goals: Any = importlib.import_module("gpu_goals")
checks: Any = importlib.import_module("steps.checks")
speed: Any = importlib.import_module("steps.speed")
tools: Any = importlib.import_module("steps.tools")


def test_what_is_compiled_ahead_is_what_small_calls_launch() -> None:
    pytest.importorskip("triton")
    wanted = checks.wanted()
    assert 100 < len(wanted) < 300
    expected = {"sweeps heat_bath 2 binary uniform 256", "local_jump", "jump 256 float32"}
    assert expected <= set(wanted)
    assert "hollow_values forward binary 64 tf32x3" in wanted


def wrong_op(**given: Any) -> torch.Tensor:
    """Return another number at each call on the device, the twin's elsewhere."""
    wrong_op.calls += 1  # type: ignore[attr-defined]
    return given["x"] + wrong_op.first[min(wrong_op.calls, 3)]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("first", "said"),
    [
        ((0, 0, 0, 0), ""),
        ((0, 0, 1, 0), "result 0: 3 of 3 numbers differ"),
        ((0, 0, 0, 1), "run 2 on the same inputs gives other bits than the first"),
    ],
)
def test_an_op_is_compared_with_its_twin_and_with_itself(first: tuple[int, ...], said: str) -> None:
    """The twin's call comes first, then the one to compare, then those that must be the same."""
    wrong_op.calls = 0  # type: ignore[attr-defined]
    wrong_op.first = first  # type: ignore[attr-defined]
    wrong_op._qualname = "leaps_triton::wrong"  # type: ignore[attr-defined]
    given = {"x": torch.arange(3)}
    assert checks.examined(wrong_op, given, torch.device("cpu"), 2) == said


def test_numbers_are_compared_in_their_precision() -> None:
    one = torch.tensor([1.0, 2.0])
    assert checks.difference({}, one, one + 1e-6) == ""
    assert "differs by" in checks.difference({}, one, one + 1e-3)
    assert checks.difference({"precision": "tf32"}, one, one + 1e-3) == ""
    assert "float64" in checks.difference({}, one.double(), one)
    assert "finite" in checks.difference({}, torch.full((2,), torch.nan), one)
    nought = torch.tensor([0.0])
    assert not checks.same_bits(nought, -nought) and checks.same_bits(nought / 0, nought / 0)


NCU = """==PROF== Connected to process 7
"ID","Kernel Name","Section Name","Metric Name","Metric Unit","Metric Value"
"0","sweep_kernel","GPU Speed Of Light Throughput","Duration","us","1,250.5"
"0","sweep_kernel","GPU Speed Of Light Throughput","Compute (SM) Throughput","%","83.25"
"1","packed_kernel(int)","Warp State Statistics","Warp Cycles Per Issued Instruction","cycle","4.1"
"1","packed_kernel(int)","Warp State Statistics","Something Else","cycle","4.1"
"""


def test_the_table_of_ncu_is_read() -> None:
    assert tools.read_table(NCU) == [
        ("sweep_kernel", "duration_ns", 1250500.0),
        ("sweep_kernel", "compute_percent", 83.25),
        ("packed_kernel", "warp_cycles_per_instruction", 4.1),
    ]
    assert tools.read_table("==ERROR== no permission") == []


def test_the_table_says_what_is_reached_and_what_is_not_yet_measured(tmp_path: Path) -> None:
    about = {"device": "NVIDIA H100"}
    rows = [
        Row("heat_bath_sweeps", "graph", "ising", "64x64", 4096, "flips_per_ns", 512.5),
        Row("local_energy", "graph", "ising", "64x64", 32768, "GB_per_s", 900.0, "copy", 0.3),
    ]
    write_rows(tmp_path / "sweeps.csv", [row._replace(device="NVIDIA H100") for row in rows])
    (tmp_path / "out").mkdir()
    book = gpu_results.Book(about, tmp_path, tmp_path / "out")
    book.record(gpu_run.Outcome("sweeps", "passed", 1.0, "fine"))
    book.outcomes["sweeps"].clocks = {"sm_mhz": 1980.0}
    lines = book.table().splitlines()
    (reached,) = [line for line in lines if line.startswith("byte heat bath, 2²⁴")]
    assert re.search(r"≥ 400 +512.5 flips/ns +passed +1980 +600", reached)
    (short,) = [line for line in lines if line.startswith("ΔE, 64 × 64, of copy")]
    assert re.search(r"≥ 0.8 +0.3 +failed", short)
    (missing,) = [line for line in lines if line.startswith("packed heat bath, 2²⁴")]
    assert gpu_goals.NOT_YET in missing and missing.endswith("2600–2700")
    shown = gpu_goals.markdown(book.rows())
    assert "| ≥ 400 | 600–850 | 512.5 (H100) |" in shown
    assert "| 0.3 (H100), short of the target |" in shown


def test_the_documentation_has_the_table_of_goals() -> None:
    """With the numbers of the results that are committed, which may be none."""
    table = gpu_goals.markdown(gpu_goals.read(gpu_goals.committed()))
    assert table in (ROOT / "docs" / "kernels.md").read_text(encoding="utf-8")


def test_every_goal_is_of_something_that_the_steps_measure() -> None:
    names = {*speed.op_names(), "rollout", "lec_layer", "lec_layer_gradient", "launches"}
    names |= {"ops", "memcheck", "prewarm", "copy", "philox", "lop3", "imad_wide"}
    for goal in gpu_goals.GOALS:
        kernel = goal.pick["kernel"]
        assert kernel in names or kernel.startswith(("energy T=", gpu_goals.PACKED)), goal.name


def test_a_table_that_cannot_be_read_costs_no_summary(tmp_path: Path) -> None:
    with (tmp_path / "sweeps.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["kernel", "metric", "value"], ["ops", "failures", "many"]])
    text = gpu_results.Book({}, tmp_path, tmp_path).table()
    assert "a table of numbers cannot be read" in text


def test_earlier_results_that_cannot_be_read_cost_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "summary.json").write_text('{"steps": [{"name": "a", "status": "passed"}]}')
    (tmp_path / "results.tar.gz").write_bytes(b"no archive")
    book = gpu_results.Book({}, tmp_path, tmp_path)
    book.take([tmp_path, tmp_path / "missing"])
    assert list(book.outcomes) == ["a"]
    assert "results.tar.gz cannot be read" in capsys.readouterr().out
    (tmp_path / "summary.json").write_text('{"steps": [{"na')
    book = gpu_results.Book({}, tmp_path, tmp_path)
    book.take([tmp_path])
    assert not book.outcomes and "summary.json cannot be read" in capsys.readouterr().out
