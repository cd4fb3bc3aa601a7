"""The script gpu.py without a GPU: a rehearsal, steps that fail, hang or do not fit, its plan."""

import csv
import importlib
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch

from leaps_triton.bench import run as benchmark
from leaps_triton.bench.cases import OPS
from leaps_triton.bench.timing import Row, read_rows, write_rows

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "experiments" / "gpu" / "gpu.py"
sys.path.insert(0, str(SCRIPT.parent))

gpu: Any = importlib.import_module("gpu")
gpu_queue: Any = importlib.import_module("gpu_queue")
gpu_run: Any = importlib.import_module("gpu_run")
gpu_steps: Any = importlib.import_module("gpu_steps")

MISSING = ("tyro", "pyerrors", "arviz", "arviz_base", "xarray", "numba", "ruff", "mypy")
"""Packages that a machine with a GPU may lack; torch itself needs mpmath."""
HIDE = f"""
from importlib.machinery import PathFinder

find_spec = PathFinder.find_spec

@classmethod
def find_what_is_left(cls, name, path=None, target=None):
    if name.partition(".")[0] in {MISSING!r}:
        return None
    return find_spec(name, path, target)

PathFinder.find_spec = find_what_is_left
"""


@pytest.fixture
def stripped(tmp_path: Path) -> dict[str, str]:
    """Environment variables under which python finds none of the missing packages."""
    folder = tmp_path / "stripped"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(HIDE)
    return {**os.environ, "PYTHONPATH": str(folder)}


def run(*command: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run python in the root of this tree."""
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )


def block(text: str, name: str = "step", **settings: Any) -> Any:
    """Return a step that runs a few lines."""
    command = [sys.executable, "-c", text]
    return gpu_run.Step(name, "", command, **{"needs": 0.0, "limit": 20.0, **settings})


def outcomes(steps: list[Any], folder: Path, minutes: float = 1.0) -> list[Any]:
    found: list[Any] = gpu_run.carry_out(steps, folder, minutes, lambda outcomes: None)
    return found


def plan(smoke: bool, folder: Path = Path(), **settings: Any) -> list[Any]:
    found = gpu_queue.parts(smoke, folder, "abc", **settings)
    return [step for steps in found.values() for step in steps]


def test_a_rehearsal_where_packages_are_missing(tmp_path: Path, stripped: dict[str, str]) -> None:
    output = tmp_path / "results"
    result = run(str(SCRIPT), "--smoke", "--output", str(output), env=stripped)
    assert result.returncode == 0, result.stdout + result.stderr
    summary = json.loads((output / "summary.json").read_text())
    steps = {step["name"]: step for step in summary["steps"]}
    assert list(steps) == [step.name for step in plan(True)]
    for name, step in steps.items():
        if name == "published":
            assert step["reason"] == "no file was given by --published"
        else:
            assert step["status"] == "passed", step
        assert name in (output / "summary.txt").read_text()
    # A test run, and not only its exit status.
    assert re.match(r"[1-9]\d* passed", steps["tests"]["reason"])
    keys = {"device", "leaps_triton", "torch", "triton", "python", "commit"}
    assert set(summary["provenance"]) == keys
    measured = {row.kernel for row in read_rows(output / "kernels.csv")}
    assert {*OPS, "copy", "philox", "lec_layer", "hollow_values"} <= measured
    # Few files, and none that names this machine.
    assert sorted(file.name for file in output.iterdir()) == sorted(gpu_run.WRITTEN)
    with tarfile.open(output / "results.tar.gz") as archive:
        archive.extractall(tmp_path / "archive", filter="data")
    files = [file for file in tmp_path.joinpath("archive").rglob("*") if file.is_file()]
    assert {f"{name}.log" for name in steps if name != "published"} <= {f.name for f in files}
    for file in [*files, *output.iterdir()]:
        text = file.read_text(errors="replace")
        for folder in (ROOT, tmp_path, sys.prefix, Path.home()):
            assert str(folder) not in text, file
    results = tmp_path / "archive" / "results"
    trained = json.loads((results / "train-ising-4.json").read_text())
    assert trained["steps"] == trained["evaluation_step"][-1] == 20
    assert abs(trained["log_z"] - trained["log_z_exact"]) < 6 * trained["log_z_error"]
    assert 0 < trained["ess"] <= 1
    demo = json.loads((results / "demo.json").read_text())
    assert (demo["same_configurations"], demo["log_weights_differ_by"]) == (1.0, 0.0)


def test_all_tests_can_be_collected_where_packages_are_missing(stripped: dict[str, str]) -> None:
    (rest,) = [step for step in plan(False) if step.name == "tests"]
    options = [part for part in rest.command if part.startswith("--")]
    options.remove("--ignore=tests/house/test_gpu_script.py")
    options = [part for part in options if part not in ("--maxprocesses", "--dist")]
    collect = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--collect-only"]
    stripped["PYTHONPATH"] = os.pathsep.join([stripped["PYTHONPATH"], str(ROOT)])
    result = run(
        *collect,
        *options,
        "-o",
        "addopts=-ra --doctest-modules --ignore=leaps_triton/former",
        env=stripped,
    )
    assert result.returncode == 0, result.stdout[-3000:]
    number = re.search(r"^(\d+) tests collected", result.stdout, re.MULTILINE)
    assert number is not None and int(number[1]) > 4000
    skipped = re.findall(
        r"^SKIPPED \[\d+\] .*could not import '(\w+)'", result.stdout, re.MULTILINE
    )
    assert set(skipped) == {"tyro", "pyerrors", "arviz_base", "numba"}


def test_a_package_that_tests_do_without_is_one_that_make_test_installs() -> None:
    """Where all packages are, no test is skipped for one that is missing."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    listed = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    installed = {re.split(r"[^\w-]", line)[0].replace("-", "_") for line in listed}
    named = set()
    for file in (ROOT / "tests").rglob("*.py"):
        named |= set(re.findall(r'importorskip\("(\w+)"\)', file.read_text(encoding="utf-8")))
    assert {"tyro", "pyerrors", "arviz_base"} <= named <= installed


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_device_it_says_so_in_one_sentence() -> None:
    result = run(str(SCRIPT))
    assert result.returncode == 1
    assert result.stdout == ""
    sentence = "there is no CUDA device here; --smoke rehearses every step on the CPU"
    assert result.stderr == f"gpu: {sentence}\n"


def test_a_step_that_fails_or_hangs_costs_no_other_its_result(tmp_path: Path) -> None:
    hang = "import time; print('first line', flush=True); time.sleep(60)"
    steps = [
        block("import sys; sys.exit('it broke')", "broken"),
        block(hang, "hanging", limit=1.5),
        gpu_run.Step("missing", "", ["/nowhere/at/all"], needs=0.0, limit=5.0),
        block("print('fine')", "good"),
    ]
    broken, hanging, missing, good = outcomes(steps, tmp_path)
    assert (broken.status, broken.reason) == ("failed", "exit status 1: it broke")
    assert (hanging.status, hanging.reason) == ("stopped", "after its 2 s; first line")
    assert hanging.seconds < 10
    assert missing.status == "failed"
    assert (good.status, good.reason) == ("passed", "fine")
    assert (tmp_path / "hanging.log").read_text() == "first line\n"
    failures = [gpu_run.is_failure(one, steps) for one in (broken, hanging, missing, good)]
    assert failures == [True, True, True, False]
    # A benchmark or a training that ran out of time has left what it had.
    assert not gpu_run.is_failure(hanging, [block(hang, "hanging", partial=True)])


def test_a_step_that_does_not_fit_is_skipped_with_its_reason(tmp_path: Path) -> None:
    steps = [
        block("", "long", needs=1000.0),
        block("", "unavailable", skip="no such tool"),
        block("", "short"),
    ]
    long, unavailable, short = outcomes(steps, tmp_path)
    assert (long.status, short.status) == ("skipped", "passed")
    assert "it needs 1000 s" in long.reason
    assert (unavailable.status, unavailable.reason) == ("skipped", "no such tool")
    assert not gpu_run.is_failure(long, steps)


def test_results_are_whole_after_every_step(tmp_path: Path) -> None:
    work, output = tmp_path / "work", tmp_path / "output"
    work.mkdir()
    output.mkdir()
    recorded: list[list[str]] = []

    def record(found: list[Any]) -> None:
        gpu_run.publish({"device": "none"}, 1.0, found, work, output)
        with tarfile.open(output / "results.tar.gz") as archive:
            logs = sorted(archive.getnames())
        names = [
            step["name"] for step in json.loads((output / "summary.json").read_text())["steps"]
        ]
        assert logs == [f"results/{name}.log" for name in names]
        recorded.append(names)

    gpu_run.carry_out([block("", name) for name in ("a", "b")], work, 1.0, record)
    assert recorded == [["a"], ["a", "b"]]


def test_a_step_knows_its_time_and_sees_this_tree(tmp_path: Path) -> None:
    text = "import os, sys; print(sys.argv[1], os.environ['PYTHONPATH'].split(os.pathsep)[0])"
    command = [sys.executable, "-c", text, "{seconds}"]
    step = gpu_run.Step("step", "", command, needs=0.0, limit=7.0)
    (outcome,) = outcomes([step], tmp_path)
    assert outcome.reason == "7 ."


def test_a_terminated_run_ends_its_step_and_keeps_what_it_has(tmp_path: Path) -> None:
    # The step outlives any patience, unless it is ended with the script.
    mark, output = tmp_path / "process", tmp_path / "results"
    (tmp_path / "pytest.py").write_text(
        "import os, pathlib, time\n"
        "print('begun', flush=True)\n"
        "time.sleep(1)\n"
        f"pathlib.Path({str(mark)!r}).write_text(f'{{os.getpid()}} ')\n"
        "time.sleep(600)\n"
    )
    command = [sys.executable, str(SCRIPT), "--smoke", "--output", str(output), "--only", "tests"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    for _ in range(1200):
        if mark.exists() and mark.read_text():
            break
        time.sleep(0.1)
    child = int(mark.read_text())
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=120) == 143
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
    assert json.loads((output / "summary.json").read_text())["steps"] == []
    with tarfile.open(output / "results.tar.gz") as archive:
        log = archive.extractfile("results/tests.log")
        assert log is not None and log.read() == b"begun\n"


def test_the_plan_on_a_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_queue.shutil, "which", lambda name: None)
    monkeypatch.setattr(gpu_queue.importlib.util, "find_spec", lambda name: None)
    parts = gpu_queue.parts(False, tmp_path, "abc")
    assert list(parts) == list(gpu_queue.MINUTES) == ["checks", "speed", "physics"]
    firsts = [steps[0].name for steps in parts.values()]
    assert firsts == ["tests-kernels", "bench-ops-1", "train-ising-8"]
    steps = [step for part in parts.values() for step in part]
    for step in steps:
        # Neither xdist nor tyro.
        assert "-n" not in step.command
        assert "tyro" not in " ".join(step.command)
        assert "tests/kernels/compiled" not in step.command
        absent = step.skip == "compute-sanitizer was not found"
        assert absent == (step.name in gpu_queue.TOOLS)
        assert (step.skip == "no file was given by --published") == (step.name == "published")
    names = [step.name for step in steps]
    assert {f"train-{name}" for name in gpu_steps.JOBS} <= set(names)
    assert len(set(names)) == len(names)


def test_every_op_has_a_benchmark_in_the_queue() -> None:
    measured = {name for step in plan(False) for name in step.about.split(", ")}
    for name in torch._C._dispatch_get_all_op_names():
        library, _, op = name.partition("::")
        # HollowConv's ops have a script that measures the whole network.
        if library == "leaps_triton" and not op.startswith("hollow_values"):
            assert op in measured, op
    scripts = {file.stem.removeprefix("bench_") for file in gpu_queue.BENCHMARKS.glob("bench_*.py")}
    assert scripts <= {*OPS, *gpu_queue.WHOLE}


@pytest.mark.parametrize("smoke", [False, True])
def test_every_command_of_the_queue_is_understood(smoke: bool, tmp_path: Path) -> None:
    """By the parsers of its script; and everything it names is there."""
    for step in plan(smoke, tmp_path, published=tmp_path / "ising_final.ckpt"):
        command = [part.replace("{seconds}", "60") for part in step.command]
        command = command[command.index(sys.executable) + 1 :]
        if command[0] == "-m":
            named = [part for part in command if "tests/" in part]
            assert all((ROOT / part.removeprefix("--ignore=")).exists() for part in named)
            continue
        script, *arguments = command
        assert Path(script).is_file()
        parser = benchmark.options("")
        if script.endswith("gpu_steps.py"):
            parser = gpu_steps.options()
        chosen = parser.parse_args(arguments)
        device = "cpu" if smoke else "cuda"
        assert (chosen.device, chosen.smoke, chosen.commit) == (device, smoke, "abc")
        if step.name == "published":
            assert chosen.file == (tmp_path / "ising_final.ckpt").resolve()


def test_help_lists_the_queue_in_its_order() -> None:
    text = gpu.options().format_help()
    lines = text[text.index("steps, in") :].splitlines()
    listed = [line.split()[0] for line in lines if line.startswith("  ")]
    assert listed == [step.name for step in plan(False)]
    assert max(map(len, text.splitlines())) <= 120


def test_experiments_run_without_tyro(stripped: dict[str, str]) -> None:
    program = (
        "import sys, gpu_steps\n"
        "for name in ('ising_thermodynamics', 'kernel_gates', 'published_leaps'):\n"
        "    assert gpu_steps.experiment(name).main\n"
        "assert not hasattr(sys.modules['tyro'], 'cli')"
    )
    folders = [stripped["PYTHONPATH"], str(ROOT), str(SCRIPT.parent)]
    result = run("-c", program, env={**stripped, "PYTHONPATH": os.pathsep.join(folders)})
    assert result.returncode == 0, result.stderr


def test_the_summary_shows_each_kernel_at_its_largest(tmp_path: Path) -> None:
    rows = []
    for walkers, value in ((65536, 0.8), (1024, 0.3)):
        key = ("heat_bath_sweeps", "kernel", "potts3", "64x64", walkers)
        rows.append(Row(*key, "seconds", 0.0123, "twin", 123.4))
        rows.append(Row(*key, "GB_per_s", 2000.0, "copy", value))
    write_rows(tmp_path / "kernels.csv", rows)
    text = gpu_run.summary([gpu_run.Outcome("tests", "failed", 1.0, "3 failed")], tmp_path)
    assert "tests                       failed        1.0  3 failed" in text
    (line,) = [line for line in text.splitlines() if line.startswith("heat_bath")]
    assert "65536" in line
    assert "80% of copy" in line
    assert len(line) <= 80


def test_a_table_that_cannot_be_read_costs_no_summary(tmp_path: Path) -> None:
    with (tmp_path / "kernels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["variant"], ["kernel"]])
    text = gpu_run.summary([], tmp_path)
    assert "kernels.csv cannot be read" in text
