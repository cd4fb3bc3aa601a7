"""Benchmarks: nothing wrong is timed, work is counted right, the table keeps one row a case."""

import csv
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from leaps_triton import kernels
from leaps_triton.bench import agreement, measure, report, run
from leaps_triton.bench import cases as chosen
from leaps_triton.bench import timing as measurement
from leaps_triton.bench.agreement import Disagreement
from leaps_triton.bench.measure import Ceilings
from leaps_triton.bench.report import Report
from leaps_triton.bench.timing import Row, read_rows, write_rows
from leaps_triton.kernels import reference
from leaps_triton.kernels.class_jumps.cases import EVENTS
from leaps_triton.kernels.inputs import random
from leaps_triton.kernels.inputs.case import Case
from leaps_triton.kernels.site_sweeps import reference as twins
from leaps_triton.kernels.site_sweeps.cases import SWEEPS
from leaps_triton.provenance import provenance

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
LIMITS = Ceilings(copy=10.0, philox=0.5)


def case(
    op: str, model: str = "potts3", shape: tuple[int, ...] = (4, 6), walkers: int = 5, seed: int = 0
) -> Case:
    return chosen.make_case(op, model, shape, walkers, seed, CPU)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "ceilings", lambda *_: LIMITS)


@pytest.fixture
def with_kernels(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Replaces public ops, as kernels on a GPU would."""

    def replace(**ops: Any) -> None:
        monkeypatch.setattr(kernels, "backend", lambda device: "kernels of a test")
        for name, op in ops.items():
            monkeypatch.setattr(kernels, name, op)

    return replace


def off(op: str, result: int, change: Callable[[torch.Tensor], object]) -> Callable[..., Any]:
    """The twin of ``op`` with one of its results changed."""

    def wrong(**arguments: Any) -> Any:
        value = getattr(reference, op)(**arguments)
        results = [r.clone() for r in ((value,) if isinstance(value, torch.Tensor) else value)]
        change(results[result])
        return results[0] if isinstance(value, torch.Tensor) else tuple(results)

    return wrong


def last(value: float) -> Callable[[torch.Tensor], object]:
    return lambda tensor: tensor.view(-1)[-1:].add_(value)


@pytest.mark.parametrize("op", chosen.OPS)
def test_the_public_op_agrees_with_its_twin_at_any_block_size(
    op: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = case(op)
    monkeypatch.setattr(random, "BLOCK", 2 * 24)
    blocked = case(op)
    for name, value in whole.arguments.items():
        assert (
            torch.equal(value, blocked.arguments[name]) if isinstance(value, torch.Tensor) else True
        )
    results = agreement.check(blocked, "kernel", getattr(kernels, op))
    twin = whole.run(getattr(reference, op))
    if op in chosen.BLOCKED:
        return torch.testing.assert_close(results, twin, rtol=1e-4, atol=1e-4)
    assert all(torch.equal(a, b) for a, b in zip(results, twin, strict=True))


@pytest.mark.parametrize("op", chosen.OPS)
def test_inputs_follow_the_seed(op: str) -> None:
    tensors = [
        [r.double() for r in case(op, seed=seed).run(getattr(reference, op))] for seed in (3, 3, 4)
    ]
    assert all(torch.equal(a, b) for a, b in zip(tensors[0], tensors[1], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(tensors[0], tensors[2], strict=True))


def test_about_half_of_the_walkers_jump() -> None:
    move = case("jump_step", walkers=400).run(reference.jump_step)[3]
    assert 0.3 < (move >= 0).double().mean() < 0.8


@pytest.mark.parametrize(
    ("op", "result", "change"),
    [
        ("philox", 2, last(1)),
        ("energy", 0, last(1e-6)),
        ("energy", 1, last(1)),
        ("local_energy", 0, last(1e-6)),
        ("local_energy", 1, last(1e-3)),
        ("local_energy", 1, last(float("nan"))),
        ("proposal_rates", 0, last(1e-3)),
        ("proposal_rates", 2, last(1e-2)),
        ("proposal_rates_gradient", 0, last(1e-3)),
        ("tau_leap_log_probability", 0, last(1e-6)),
        ("tau_leap_log_probability_gradient", 0, last(1e-3)),
        ("jump_step", 0, last(1)),
        ("jump_step", 1, last(1e-6)),
        ("jump_step", 3, last(1)),
        ("local_jump_steps", 0, last(1)),
        ("local_jump_steps", 1, last(1e-6)),
        ("local_jump_steps", 3, last(1)),
        ("tau_leap_step", 0, last(1)),
        ("tau_leap_step", 1, last(1e-6)),
        ("heat_bath_sweeps", 0, last(1)),
        ("metropolis_sweeps", 0, last(1)),
        ("overrelaxation_sweeps", 0, last(1)),
        ("cluster_labels", 0, last(1)),
        ("hollow_conv", 0, last(1e-1)),
    ],
)
def test_a_wrong_kernel_is_not_timed(
    op: str, result: int, change: Callable[[torch.Tensor], object], with_kernels: Callable[...,
    None], quick: None,
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    with_kernels(**{op: off(op, result, change)})
    with pytest.raises(
        Disagreement, match=rf"^{op}.*kernel and twin differ in 1 of \d+ numbers of result {result}"
    ):
        measure.measure(case(op), CPU, LIMITS, compiled=False, budget=0.0)
    if op != "energy":
        return
    table = tmp_path / "kernels.csv"
    with pytest.raises(SystemExit) as caught:
        run.main(["--op", op, "--smoke", "--device", "cpu", "--output", str(table)])
    assert isinstance(caught.value.code, str)
    assert "kernel and twin differ" in caught.value.code
    assert "and 2 cases more" in caught.value.code
    assert {row.variant for row in read_rows(table)} == {"ceiling"}
    assert "kernel and twin differ" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("op", "law"),
    [
        ("heat_bath_sweeps", "heat_bath_probabilities"),
        ("metropolis_sweeps", "metropolis_acceptance"),
    ],
)
def test_sweeps_may_round_their_thresholds_and_no_more(
    op: str, law: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's thresholds are off by 0.005, as a stand-in for a last bit.

    Rounding is then what lies below 0.01.
    """
    exact, twin = getattr(twins, law), getattr(twins, op)

    def rounded(**arguments: Any) -> torch.Tensor:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(twins, law, lambda *tables: exact(*tables) + 5e-3)
            made: torch.Tensor = twin(**arguments)
            return made

    def wrong(**arguments: Any) -> torch.Tensor:
        return torch.cat([rounded(**arguments)[:-1], arguments["configurations"][-1:]])

    def twice(**arguments: Any) -> torch.Tensor:
        return rounded(**arguments | {"sweeps": max(2, arguments["sweeps"])})

    given = case(op, walkers=40)
    with pytest.raises(Disagreement):
        agreement.check(given, "kernel", rounded)
    monkeypatch.setattr(agreement, "ROUNDING", 1e-2)
    monkeypatch.setattr(random, "BLOCK", 7 * 24)
    (found,) = agreement.check(given, "kernel", rounded)
    assert not torch.equal(found, given.run(twin)[0])
    for function in (wrong, twice):
        with pytest.raises(Disagreement):
            agreement.check(given, "kernel", function)


def test_a_result_of_another_shape_or_left_unwritten_is_not_timed() -> None:
    with pytest.raises(Disagreement, match="shapes"):
        agreement.check(
            case("energy"), "kernel", lambda **_: (torch.zeros(5, 1), torch.zeros(5, 3))
        )
    with pytest.raises(Disagreement, match="differ in 5 of 5 numbers of result 0, by inf"):
        agreement.check(
            case("energy"),
            "kernel",
            lambda **_: (torch.empty(5, dtype=torch.float64), torch.empty(5, 3, dtype=torch.int64)),
        )


def test_checking_leaves_the_settings_of_torch() -> None:
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    agreement.check(case("energy"), "kernel", kernels.energy)
    after = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    assert after == before


def test_a_right_kernel_is_compared_with_twin_and_copy(with_kernels: Callable[..., None]) -> None:
    with_kernels(heat_bath_sweeps=lambda **arguments: reference.heat_bath_sweeps(**arguments))
    rows, notes = measure.measure(case("heat_bath_sweeps"), CPU, LIMITS, compiled=False, budget=0.0)
    found = {(row.variant, row.metric): row for row in rows}
    assert {variant for variant, _ in found} == {"kernel", "twin"}
    assert notes == []
    seconds = {variant: found[variant, "seconds"].value for variant in ("kernel", "twin")}
    assert found["kernel", "seconds"][6:9] == (
        seconds["kernel"],
        "twin",
        seconds["twin"] / seconds["kernel"],
    )
    assert found["twin", "seconds"][7:9] == ("", None)
    assert (
        found["kernel", "seconds_p20"].value
        <= seconds["kernel"]
        <= found["kernel", "seconds_p80"].value
    )
    bandwidth = found["kernel", "GB_per_s"]
    flips = found["kernel", "flips_per_ns"]
    assert bandwidth.ratio == pytest.approx(bandwidth.value / 10.0)
    assert flips.value == pytest.approx(SWEEPS * 5 * 24 / seconds["kernel"] * 1e-9)
    assert flips.baseline == "philox"
    assert flips.ratio == pytest.approx(flips.value / 0.5)


def test_philox_is_counted_in_words() -> None:
    rows, _ = measure.measure(case("philox"), CPU, LIMITS, compiled=False, budget=0.0)
    found = {row.metric: row.value for row in rows}
    assert found["words_per_ns"] == pytest.approx(5 * 24 / found["seconds"] * 1e-9)
    assert found["ns_per_word"] == pytest.approx(1 / found["words_per_ns"])


def test_a_compiled_twin_that_differs_is_left_out_with_a_note(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(measure, "_compiled", lambda op: off(op, 0, last(1)))
    rows, notes = measure.measure(
        case("jump_step", "ising"), CPU, LIMITS, compiled=True, budget=0.0
    )
    assert {row.variant for row in rows} == {"twin"}
    assert len(notes) == 1
    assert "compiled and twin differ in 1 of" in notes[0]


@pytest.mark.skipif(not measure.has_compiler(), reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_compiled_twin_gives_the_same() -> None:
    rows, notes = measure.measure(case("energy", "ising"), CPU, LIMITS, compiled=True, budget=0.0)
    assert {row.variant for row in rows} == {"compiled", "twin"}
    assert notes == []


def test_most_walkers_make_all_events_and_some_sites_leap() -> None:
    given = case("local_jump_steps", shape=(6, 5), walkers=400)
    made = given.run(reference.local_jump_steps)[3] - given.arguments["events"]
    assert 0.8 < (made == EVENTS).double().mean() < 1.0
    given = case("tau_leap_step", walkers=400)
    moved = given.run(reference.tau_leap_step)[0] != given.arguments["configurations"]
    assert 0.1 < moved.double().mean() < 0.2


def test_a_twin_that_is_no_single_graph_is_not_compiled() -> None:
    rows, notes = measure.measure(
        case("cluster_labels", "ising"), CPU, LIMITS, compiled=True, budget=0.0
    )
    assert {row.variant for row in rows} == {"twin"} and notes == []


def test_bytes_are_those_of_inputs_and_results() -> None:
    """``w`` walkers, ``n`` sites, ``q`` states, ``c`` couplings."""
    w = 5
    n = 24
    q = 3
    c = 48
    tables = 8 * (q * q + q)
    expected = {
        "philox": 8 * (n // 4 + w) + 4 * 8 * w * n // 4,
        "energy": w * n + tables + 8 + 8 * w + 8 * w * q,
        "local_energy": w * n + tables + 8 + 8 + 8 * w + 4 * w * (q - 1) * n,
        "proposal_rates": 3 * 4 * w * (q - 1) * n + 2 * 8 * w,
        "proposal_rates_gradient": 4 * 4 * w * (q - 1) * n + 2 * 8 * w,
        "tau_leap_log_probability": 2 * w * n + 4 * w * (q - 1) * n + 2 * 8 * w,
        "tau_leap_log_probability_gradient": 2 * w * n + 2 * 4 * w * (q - 1) * n + 2 * 8 * w,
        "jump_step": 2 * w * n + 4 * w * (q - 1) * n + 8 * 8 * w,
        "tau_leap_step": 2 * w * n + 4 * w * (q - 1) * n + 4 * 8 * w,
        "heat_bath_sweeps": 2 * w * n + tables + 8 + 8 + n + 8 * w,
        "metropolis_sweeps": 2 * w * n + tables + 8 + 8 + n + 8 * w,
        "overrelaxation_sweeps": 2 * w * n + tables + 8 + 8 + n + 8 * w,
        "cluster_labels": 2 * w * n + 8 * w * n,
    }
    for op, count in expected.items():
        given = case(op)
        assert given.bytes_moved(given.run(getattr(reference, op))) == count, op
    glass = case("energy", "pm1")
    assert (
        glass.bytes_moved(glass.run(reference.energy))
        == w * n + 8 * (2 * 2 + 2) + 8 * c + 8 * w + 8 * w * 2
    )


def test_operations_words_and_flips_grow_with_the_work() -> None:
    for op in chosen.OPS:
        one = case(op, walkers=4)
        two = case(op, walkers=8)
        assert (two.operations, two.words, two.flips) == (
            2 * one.operations,
            2 * one.words,
            2 * one.flips,
        )
        assert one.operations > 0
    for op in ("heat_bath_sweeps", "overrelaxation_sweeps"):
        assert case(op).words == case(op).flips == SWEEPS * 5 * 24
    for model, words in (("ising", 1), ("potts3", 2)):
        sweeps = case("metropolis_sweeps", model)
        assert sweeps.words == words * sweeps.flips == words * SWEEPS * 5 * 24


def test_every_op_and_model_is_measured() -> None:
    for smoke in (True, False):
        found = chosen.cases(chosen.OPS, CPU, smoke)
        models = {
            op: {""} for op in ("philox", "local_jump_steps", "hollow_conv", "hollow_conv_gradient")
        }
        models["overrelaxation_sweeps"] = {"potts3"}
        assert {(op, model) for op, model, _, _ in found} == {
            (op, model) for op in chosen.OPS for model in models.get(op, chosen.MODELS)
        }
    assert {shape for _, _, shape, _ in found} == {(15, 15), (16, 16), (64, 64)}


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
        ({"output": Path("nowhere/at/all.csv")}, "there is no folder"),
    ],
)
def test_a_bad_argument_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run.run(device="cpu", smoke=True, **arguments)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_device_is_named() -> None:
    with pytest.raises(ValueError, match="no CUDA device"):
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
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from leaps_triton.kernels import throughput
for seed in ("i32", "i64"):
    types = {"p_out": "*i32", "seed": seed, "counters": "i32", "BLOCK": "constexpr"}
    source = ASTSource(throughput.philox_kernel, types, {"BLOCK": throughput.BLOCK})
    made = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": 4})
    assert made.asm["cubin"]
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
    expected = {
        "hollow_values": {
            (kernel, "twin", model, metric)
            for kernel in ("hollow_values", "hollow_values_gradient")
            for model in chosen.MODELS
            for metric in ("cpu_seconds", "Gop_per_s")
        },
        "incremental": {
            ("HollowConv", variant, model, metric)
            for variant in ("full", "incremental")
            for model in ("ising", "ising-local")
            for metric in ("cpu_seconds", "cpu_seconds_run")
        }
        | {("HollowConv", "full", model, "evaluations") for model in ("ising", "ising-local")},
        "lec": {
            (layer, variant, "", "cpu_seconds")
            for layer in ("lec_layer", "lec_layer_gradient")
            for variant in ("eager", "blocked")
        },
        "local_rates": {
            ("LocalRates", "twin", "ising", metric) for metric in ("cpu_seconds_run", "evaluations")
        },
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


def test_the_readme_says_what_the_table_holds() -> None:
    """Its numbers on a CPU; and that of a GPU there are none, as long as there are none."""
    rows = {
        (row.kernel, row.variant, row.model, row.shape, row.metric): row
        for row in read_rows(ROOT / "experiments" / "results" / "kernels.csv")
        if row.device.endswith("1 thread")
    }
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    part = text[text.index("## Speed") : text.index("## Conventions")]
    lines = {
        "heat bath, the twin": ("heat_bath_sweeps", "twin", "ising", "flips_per_ns"),
        "Metropolis, the twin": ("metropolis_sweeps", "twin", "ising", "flips_per_ns"),
        "twin: heat bath": ("heat_bath_sweeps", "compiled", "ising", "seconds"),
        "twin: rates": ("proposal_rates", "compiled", "ising", "seconds"),
        "HollowConv(incremental=True)": ("HollowConv", "incremental", "ising", "cpu_seconds"),
        "global_features=False": ("HollowConv", "incremental", "ising-local", "cpu_seconds"),
    }
    for words, (kernel, variant, model, metric) in lines.items():
        (line,) = [line for line in part.splitlines() if words in line]
        for shape, cell in zip(("16x16", "64x64"), line.split("|")[2:4], strict=True):
            row = rows[kernel, variant, model, shape, metric]
            if metric == "flips_per_ns":
                value = row.value * 1e3
            else:
                value = row.ratio
            assert float(cell.split()[0]) == pytest.approx(value, rel=0.05), words
    measured = any(
        row.variant == "kernel"
        for row in read_rows(ROOT / "experiments" / "results" / "kernels.csv")
    )
    assert ("not yet measured" in part) == (not measured)
