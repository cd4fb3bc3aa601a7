"""Benchmarks: a run and its report, times, the table of results, and the scripts beside them."""

import csv
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from leaps_triton.bench import cases as chosen
from leaps_triton.bench import measure, report, run
from leaps_triton.bench import timing as measurement
from leaps_triton.bench.agreement import Disagreement
from leaps_triton.bench.measure import Ceilings
from leaps_triton.bench.report import Report
from leaps_triton.bench.timing import Row, read_rows, write_rows
from leaps_triton.provenance import provenance

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
LIMITS = Ceilings(copy=10.0, philox=0.5)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "ceilings", lambda *_: LIMITS)


def test_the_module_runs_without_tyro_and_reports_a_bad_value() -> None:
    block = (
        "import sys, runpy; sys.modules['tyro'] = None; "
        "runpy.run_module('leaps_triton.bench', None, '__main__')"
    )
    command = [
        sys.executable,
        "-c",
        block,
        "--op",
        "energy",
        "--smoke",
        "--device",
        "cpu",
        "--seed",
        "-1",
    ]
    made = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert made.returncode == 1
    assert "seed must be an integer" in made.stderr
    assert "Traceback" not in made.stderr


def test_a_run_saves_every_case_with_its_provenance(quick: None, tmp_path: Path) -> None:
    file = tmp_path / "kernels.csv"
    made = run.run(["philox", "energy"], "cpu", smoke=True, output=file, commit="abc", budget=0.0)
    rows = read_rows(file)
    assert [row.key for row in rows] == [row.key for row in made.rows]
    assert {row.model for row in rows if row.kernel == "energy"} == set(chosen.MODELS)
    about = provenance(CPU)
    for row in rows:
        assert (row.device, row.torch, row.triton) == (
            about["device"],
            about["torch"],
            about["triton"],
        )
        assert row.commit == (about["commit"] if about["commit"] != "unknown" else "abc")
    assert made.as_dict()["rows"][0]["kernel"] == "copy"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ops": ["jump"]}, "there is no op 'jump'"),
        ({"seed": 2**32}, "seed must be an integer"),
        ({"output": Path(__file__) / "all.csv"}, "to save all.csv in cannot be made"),
    ],
)
def test_a_bad_argument_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run.run(device="cpu", smoke=True, **arguments)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_device_is_named() -> None:
    with pytest.raises(ValueError, match="device must be one that works here"):
        run.run(device="cuda")


def test_ceilings_of_this_machine() -> None:
    limits = measure.ceilings(CPU, compiled=False, budget=0.0)
    assert 0.1 < limits.copy < 1e5
    assert 1e-4 < limits.philox < 1e4


def test_the_printed_table_fits_80_columns() -> None:
    rows = LIMITS.rows()
    for variant in ("kernel", "compiled", "twin"):
        key = ("heat_bath_sweeps", variant, "potts3", "64x64", 1048576)
        rows += [
            Row(*key, "seconds", 1.2345678e-4, "twin", 1234.5),
            Row(*key, "GB_per_s", 12345.6, "copy", 0.987),
            Row(*key, "flips_per_ns", 1234.5, "philox", 0.5),
        ]
    about = {"device": "D", "torch": "2", "triton": "3", "commit": "c"}
    text = report.table(Report(about, rows, ["a note " * 30]))
    assert max(map(len, text.splitlines())) <= 80
    for word in (
        "kernel",
        "compiled",
        "twin",
        "123.5 µs",
        "99%",
        "10 GB/s",
        "0.5 random words",
        "note: a note",
    ):
        assert word in text


def test_timing_calls_twice_to_warm_up_and_then_as_often_as_it_says() -> None:
    calls: list[int] = []
    flush = torch.ones(3)
    times = measurement.timed(
        lambda: calls.append(int(flush.sum())), CPU, budget=0.0, least=7, flush=flush
    )
    assert times.repetitions == 7
    assert calls == [3, 3] + [0] * 7
    assert 0 <= times.p20 <= times.p50 <= times.p80
    calls.clear()
    assert (
        measurement.timed(lambda: calls.append(0), CPU, budget=10.0, most=11).repetitions
        == len(calls) - 2
        == 11
    )
    assert measurement.timed(lambda: None, CPU, budget=0.0, least=1).repetitions == 1


ROW = Row("energy", "twin", "ising", "8x8", 64, "seconds", 1.5, "twin", 0.5, "D", "2", "3", "c")


def test_the_table_has_the_stated_columns_and_survives_a_round_trip(tmp_path: Path) -> None:
    file = tmp_path / "kernels.csv"
    rows = [ROW, ROW._replace(variant="kernel", baseline="", ratio=None, device='a "b", c')]
    assert read_rows(file) == []
    write_rows(file, rows)
    assert read_rows(file) == rows
    with file.open(newline="") as lines:
        assert next(csv.reader(lines)) == [
            "kernel", "variant", "model", "shape", "walkers", "metric", "value", "baseline",
            "ratio", "device", "torch", "triton", "commit",
        ]  # fmt: skip


@pytest.mark.parametrize(
    "field", ["kernel", "variant", "model", "shape", "walkers", "metric", "device"]
)
def test_a_row_of_the_same_key_is_replaced_and_any_other_kept(field: str, tmp_path: Path) -> None:
    file = tmp_path / "kernels.csv"
    change: dict[str, Any] = {field: 7 if field == "walkers" else "other"}
    other = ROW._replace(**change)
    write_rows(file, [ROW, other])
    newer = ROW._replace(value=2.5, torch="3", commit="d")
    write_rows(file, [newer])
    assert read_rows(file) == [newer, other]


def test_a_table_is_replaced_as_a_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "kernels.csv"
    write_rows(file, [ROW])

    def fail(*_: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space"):
        write_rows(file, [ROW._replace(model="other")])
    assert read_rows(file) == [ROW]
    assert os.listdir(tmp_path) == ["kernels.csv"]


def test_a_table_with_other_columns_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "kernels.csv"
    file.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"kernels\.csv must have the columns kernel, variant"):
        write_rows(file, [ROW])
    assert file.read_text() == "a,b\n1,2\n"


def test_provenance_names_device_and_versions_but_no_machine_and_no_folder() -> None:
    about = provenance(CPU)
    assert set(about) == {"device", "leaps_triton", "torch", "triton", "python", "commit"}
    assert about["torch"] == torch.__version__
    text = " ".join(about.values())
    for name in (str(ROOT), str(Path.home()), platform.node(), sys.prefix):
        assert name not in text


def test_the_commit_is_unknown_outside_a_checkout_of_this_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leaps_triton.provenance._ROOT", tmp_path)
    assert provenance(CPU)["commit"] == "unknown"
    inner = tmp_path / "site-packages"
    inner.mkdir()
    if subprocess.run(["git", "init", "-q", str(tmp_path)], check=False).returncode == 0:
        monkeypatch.setattr("leaps_triton.provenance._ROOT", inner)
        assert provenance(CPU)["commit"] == "unknown"


INTERPRETED = """
import torch
from leaps_triton.kernels import reference, throughput
counters, sites = 3, torch.arange(2 * throughput.BLOCK)
found = throughput.philox_words(2, counters, 4294967295, torch.device("cpu")).long() & 0xFFFFFFFF
for event in range(counters):
    for word in reference.philox(4294967295, 0, sites, event, 0, 0):
        found ^= word
assert not found.any()
"""
COMPILED = """
from leaps_triton.kernels import throughput
from leaps_triton.kernels.compiled.machine_code import instructions
counts = instructions(throughput.VARIANT, "sm_90")
# Most products of 64 bits are one instruction.
assert counts["IMAD.WIDE.U32"] > counts["IMAD.HI.U32"]
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Triton is for Linux")
@pytest.mark.parametrize(
    ("block", "interpret"), [(INTERPRETED, "1"), (COMPILED, "0")], ids=["interpreted", "compiled"]
)
def test_the_ceiling_of_random_numbers_makes_the_words_of_philox(
    block: str, interpret: str
) -> None:
    environment = {**os.environ, "TRITON_INTERPRET": interpret, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "-c", block], capture_output=True, text=True, env=environment, check=False
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize(
    "name", ["hollow_values", "incremental", "lec", "local_rates", "measuring"]
)
def test_benchmarks_of_more_than_an_op_write_their_rows(name: str, tmp_path: Path) -> None:
    script = ROOT / "experiments" / "benchmarks" / f"bench_{name}.py"
    table = tmp_path / "kernels.csv"
    command = [
        sys.executable,
        str(script),
        "--smoke",
        "--device",
        "cpu",
        "--output",
        str(table),
        "--commit",
        "abc",
    ]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    found = {(row.kernel, row.variant, row.model, row.metric) for row in read_rows(table)}
    followed = [
        ("HollowConv", "ising"),
        ("HollowConv", "ising-local"),
        ("SymmetricConv", "symmetric"),
        ("SymmetricConv", "symmetric-window"),
    ]
    expected = {
        "hollow_values": {
            (kernel, variant, model, "cpu_seconds")
            for kernel, models in (
                ("hollow_values", tuple(chosen.MODELS)),
                ("sampling", ("ising", "ising-small")),
            )
            for variant in ("twin", "kernel", "bfloat16")
            for model in models
        }
        | {("hollow_values_gradient", "twin", model, "cpu_seconds") for model in chosen.MODELS},
        "incremental": {
            (network, variant, model, metric)
            for network, model in followed
            for variant in ("full", "incremental")
            for metric in ("cpu_seconds", "cpu_seconds_run")
        }
        | {(network, "full", model, "evaluations") for network, model in followed},
        "lec": {
            (layer, variant, "", "cpu_seconds")
            for layer in ("lec_layer", "lec_layer_gradient")
            for variant in ("eager", "blocked")
        },
        "local_rates": {
            ("LocalRates", "twin", "ising", metric) for metric in ("cpu_seconds_run", "evaluations")
        }
        | {("LocalRates", "kernel", "ising", "cpu_seconds_run")},
        "measuring": {
            (f"draw after {thin}", variant, model, metric)
            for thin in (1, 10)
            for variant in ("sweeps", "alone", "shared")
            for model in chosen.MODELS
            for metric in ("cpu_seconds", "measuring_share")
            if (variant, metric) != ("sweeps", "measuring_share")
        },
    }
    assert found == expected[name]


def test_a_benchmark_of_a_network_ends_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    def fails(device: torch.device, smoke: bool, seed: int) -> Any:
        raise Disagreement(f"{device} {smoke} {seed}: no times")

    with pytest.raises(SystemExit, match="cpu True 3: no times"):
        run.main_of("", fails, ["--smoke", "--device", "cpu", "--seed", "3"])
    with pytest.raises(SystemExit, match="seed must"):
        run.main_of("", fails, ["--device", "cpu", "--seed", "-1"])


def test_the_page_of_results_says_what_the_table_holds() -> None:
    """Its numbers on a CPU; and that of a GPU there are none, as long as there are none."""
    rows = {
        (row.kernel, row.variant, row.model, row.shape, row.metric): row
        for row in read_rows(ROOT / "experiments" / "results" / "kernels.csv")
        if row.device.endswith("1 thread")
    }
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    part, _, _ = text[text.index("## Speed\n") :].partition("\n## ")
    lines = {
        "twin: rates": ("proposal_rates", "compiled", "ising", "seconds"),
        "HollowConv(incremental=True)": ("HollowConv", "incremental", "ising", "cpu_seconds"),
        "global_features=False": ("HollowConv", "incremental", "ising-local", "cpu_seconds"),
    }
    for words, (kernel, variant, model, metric) in lines.items():
        (line,) = [line for line in part.splitlines() if words in line]
        for shape, cell in zip(("16x16", "64x64"), line.split("|")[2:4], strict=True):
            row = rows[kernel, variant, model, shape, metric]
            assert float(cell.split()[0]) == pytest.approx(row.ratio, rel=0.05), words
    measured = any(
        row.variant == "kernel"
        for row in read_rows(ROOT / "experiments" / "results" / "kernels.csv")
    )
    assert ("not yet measured" in part) == (not measured)
