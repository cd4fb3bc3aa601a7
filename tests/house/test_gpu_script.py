"""The script gpu.py without a GPU: a rehearsal, what fails, hangs or is stopped, its plan."""

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

from leaps_triton.bench.cases import OPS
from leaps_triton.bench.timing import read_rows

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "experiments" / "gpu" / "gpu.py"
sys.path.insert(0, str(SCRIPT.parent))

gpu: Any = importlib.import_module("gpu")
gpu_queue: Any = importlib.import_module("gpu_queue")
gpu_run: Any = importlib.import_module("gpu_run")
gpu_results: Any = importlib.import_module("gpu_results")
gpu_steps: Any = importlib.import_module("gpu_steps")
speed: Any = importlib.import_module("steps.speed")

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


def outcomes(steps: list[Any], folder: Path, seconds: float = 60.0) -> list[Any]:
    found: list[Any] = gpu_run.carry_out(steps, folder, seconds, lambda outcome: None, str)
    return found


def plan(smoke: bool, folder: Path = Path(), **settings: Any) -> list[Any]:
    found = gpu_queue.parts(smoke, folder, "abc", **settings)
    return [step for steps in found.values() for step in steps]


SKIPPED = {
    "published": "no file was given by --published",
    "prewarm-b": "rehearsed by prewarm",
    "prewarm-c": "rehearsed by prewarm",
    "racecheck": "rehearsed by memcheck",
    "recordings": "CUDA graphs need a device",
    "thermodynamics": "rehearsed by the tests of experiments",
    "tune": "rehearsed by the tests of the tuner",
}
"""Steps that a rehearsal leaves out, and why."""


def test_a_rehearsal_where_packages_are_missing(tmp_path: Path, stripped: dict[str, str]) -> None:
    output = tmp_path / "results"
    command = (str(SCRIPT), "--smoke", "--output", str(output), "--part", *gpu_queue.SECONDS)
    result = run(*command, env=stripped)
    assert result.returncode == 0, result.stdout + result.stderr
    summary = json.loads((output / "summary.json").read_text())
    steps = {step["name"]: step for step in summary["steps"]}
    assert list(steps) == [step.name for step in plan(True)]
    for name, step in steps.items():
        if name in SKIPPED:
            assert (step["status"], step["reason"]) == ("skipped", SKIPPED[name])
        else:
            assert step["status"] == "passed", step
        assert name in (output / "summary.txt").read_text()
        assert step["made_with"] == summary["provenance"]
    # A test run, and not only its exit status.
    assert re.match(r"[1-9]\d* passed", steps["tests"]["reason"])
    keys = {"device", "leaps_triton", "torch", "triton", "python", "commit", "sources"}
    assert set(summary["provenance"]) == keys
    rows = read_rows(output / "kernels.csv")
    measured = {row.kernel for row in rows}
    assert {*speed.op_names(), "copy", "philox", "lec_layer", "rollout"} <= measured
    assert {row.device for row in rows} == {summary["provenance"]["device"]}
    # Few files, and none that names this machine.
    assert sorted(file.name for file in output.iterdir()) == sorted(gpu_results.WRITTEN)
    with tarfile.open(output / "results.tar.gz") as archive:
        archive.extractall(tmp_path / "archive", filter="data")
    files = [file for file in tmp_path.joinpath("archive").rglob("*") if file.is_file()]
    assert {f"{name}.log" for name in steps if name not in SKIPPED} <= {f.name for f in files}
    for file in [*files, *output.iterdir()]:
        text = file.read_text(errors="replace")
        for folder in (ROOT, tmp_path, sys.prefix, Path.home()):
            assert str(folder) not in text, file
    results = tmp_path / "archive" / "results"
    looked_at(results)


def looked_at(results: Path) -> None:
    """Check what the steps of a rehearsal have written."""
    trained = json.loads((results / "train-ising-4.json").read_text())
    assert trained["steps"] == trained["evaluation_step"][-1] == 20
    assert abs(trained["log_z"] - trained["log_z_exact"]) < 6 * trained["log_z_error"]
    assert 0 < trained["ess"] <= 1
    demo = json.loads((results / "demo.json").read_text())
    assert (demo["same_configurations"], demo["log_weights_differ_by"]) == (1.0, 0.0)
    ops = json.loads((results / "ops.json").read_text())["calls_and_failures"]
    assert set(OPS) - {"philox"} <= set(ops)
    assert all(calls > 0 and failures == 0 for calls, failures in ops.values())


def test_it_goes_on_with_what_has_not_passed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what has not passed in A or B too, if part C is asked for."""
    about = {"device": "H100", "torch": "2", "triton": "3", "sources": "abc"}
    first = gpu_results.Book(about, tmp_path, tmp_path)
    for name, status in (("prewarm", "passed"), ("ops", "failed"), ("ceilings", "passed")):
        (tmp_path / f"{name}.log").write_text(status)
        first.record(gpu_run.Outcome(name, status))
    work = tmp_path / "work"
    work.mkdir()

    def left(part: str, **changed: str) -> list[str]:
        book = gpu_results.Book(about | changed, work, tmp_path)
        book.take([tmp_path])
        chosen = gpu.options().parse_args(["--part", part])
        return [step.name for step in gpu.planned(chosen, tmp_path, book)]

    assert left("A") == ["ops", "recordings", "memcheck"]
    assert "ceilings has passed before" in capsys.readouterr().out
    assert (work / "ceilings.log").read_text() == "passed"
    # What another code, or another device, has passed is done again.
    everything = ["prewarm", "ops", "ceilings", "recordings", "memcheck"]
    assert left("A", sources="def") == everything
    assert left("A", device="H200") == everything
    # But not by C, which mends what failed; B has not begun.
    training = [step.name for step in gpu_queue.parts(False, tmp_path, "")["C"]]
    assert left("C", sources="def") == ["ops", "recordings", "memcheck", *training]
    assert left("B")[0] == "prewarm-b"


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
    work = tmp_path / "work"
    output = tmp_path / "output"
    work.mkdir()
    output.mkdir()
    book = gpu_results.Book({"device": "none"}, work, output)
    recorded: list[list[str]] = []

    def record(outcome: Any) -> None:
        book.record(outcome)
        with tarfile.open(output / "results.tar.gz") as archive:
            logs = sorted(archive.getnames())
        names = [
            step["name"] for step in json.loads((output / "summary.json").read_text())["steps"]
        ]
        assert logs == [f"results/{name}.log" for name in names]
        recorded.append(names)

    gpu_run.carry_out([block("", name) for name in ("a", "b")], work, 60.0, record, str)
    assert recorded == [["a"], ["a", "b"]]


def test_a_killed_run_leaves_what_its_step_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any chance to write at the end: results are replaced while a step runs."""
    monkeypatch.setattr(gpu_results, "EVERY", 0.05)
    work = tmp_path / "work"
    output = tmp_path / "output"
    work.mkdir()
    output.mkdir()
    book = gpu_results.Book({"device": "none"}, work, output)
    book.start()
    (work / "a.log").write_text("half a step")
    for _ in range(200):
        time.sleep(0.05)
        with tarfile.open(output / "results.tar.gz") as archive:
            if archive.getnames() == ["results/a.log"]:
                break
    else:
        pytest.fail("the results were not replaced")
    book.stop()


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
    command += ["--part", "more"]
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
    monkeypatch.setattr(gpu_queue.importlib.util, "find_spec", lambda name: None)
    parts = gpu_queue.parts(False, tmp_path, "abc")
    assert list(parts) == list(gpu_queue.SECONDS) == ["A", "B", "C", "more"]
    firsts = [steps[0].name for steps in parts.values()]
    assert firsts == ["prewarm", "prewarm-b", "prewarm-c", "tests-kernels"]
    steps = [step for part in parts.values() for step in part]
    for step in steps:
        # Neither xdist nor tyro.
        assert "-n" not in step.command
        assert "tyro" not in " ".join(step.command)
        assert "tests/kernels/compiled" not in step.command
        assert (step.skip == "no file was given by --published") == (step.name == "published")
    names = [step.name for step in steps]
    assert {f"train-{name}" for name in gpu_queue.JOBS} <= set(names)
    assert len(set(names)) == len(names)
    # One command takes ten minutes at most, and all three calls fit fifteen with two starts.
    assert sum(gpu_queue.SECONDS[part] for part in gpu_queue.CALLS) <= 660
    assert max(gpu_queue.SECONDS.values()) <= 570


def test_every_op_is_timed_and_checked() -> None:
    timed = {*speed.op_names(), *speed.LAYERS}
    for name in torch._C._dispatch_get_all_op_names():
        library, _, op = name.partition("::")
        # HollowConv's ops are timed as a network, what enters intervals in rollouts.
        if library == "leaps_triton" and not op.startswith(("hollow_values", "enter_intervals")):
            assert op in timed, op
    assert set(speed.FIRST_OPS) <= set(speed.op_names())


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
        chosen = gpu_steps.options().parse_args(arguments)
        assert chosen.step == step.name
        device = "cpu" if smoke else "cuda"
        assert (chosen.device, chosen.smoke, chosen.commit) == (device, smoke, "abc")
        assert chosen.seconds == 60.0
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
        "import sys\nfrom steps.common import experiment\n"
        "for name in ('ising_thermodynamics', 'kernel_gates', 'published_leaps'):\n"
        "    assert experiment(name).main\n"
        "assert not hasattr(sys.modules['tyro'], 'cli')"
    )
    folders = [stripped["PYTHONPATH"], str(ROOT), str(SCRIPT.parent)]
    result = run("-c", program, env={**stripped, "PYTHONPATH": os.pathsep.join(folders)})
    assert result.returncode == 0, result.stderr
