"""experiments/gpu.py, rehearsed without a GPU: its results, steps that fail, hang or do not fit, and its summary."""

import importlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from leaps_triton.bench import run as benchmark
from leaps_triton.bench.timing import Row, read_rows, write_rows

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "experiments" / "gpu.py"
sys.path.insert(0, str(SCRIPT.parent))


def load() -> ModuleType:
    specification = importlib.util.spec_from_file_location("gpu_script", SCRIPT)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["gpu_script"] = module
    specification.loader.exec_module(module)
    return module


gpu: Any = load()
gpu_steps: Any = importlib.import_module("gpu_steps")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *arguments]
    folders = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=folders)


def block(text: str, name: str = "step", **settings: Any) -> Any:
    return gpu.Step(name, "", [sys.executable, "-c", text], **{"needs": 0.0, "limit": 20.0, **settings})


def outcomes(steps: list[Any], folder: Path, minutes: float = 1.0) -> list[Any]:
    found: list[Any] = gpu.carry_out(steps, folder, minutes, lambda outcomes: None)
    return found


def test_a_rehearsal_leaves_its_results(tmp_path: Path) -> None:
    output = tmp_path / "results"
    result = run("--smoke", "--output", str(output), "--only", "bench-jump", "ops", "demo", "train")
    assert result.returncode == 0, result.stdout + result.stderr
    names = ["install", "demo", "bench-jump_step", "ops", "train-ising-4"]
    summary = json.loads((output / "summary.json").read_text())
    assert [(step["name"], step["status"]) for step in summary["steps"]] == [(name, "passed") for name in names]
    assert set(summary["provenance"]) == {"device", "leaps_triton", "torch", "triton", "python", "commit"}
    assert {row.kernel for row in read_rows(output / "kernels.csv")} == {"copy", "philox", "jump_step"}
    trained = json.loads((output / "train-ising-4.json").read_text())
    assert trained["steps"] == trained["evaluation_step"][-1] == 20
    assert abs(trained["log_z"] - trained["log_z_exact"]) < 6 * trained["log_z_error"]
    assert 0 < trained["ess"] <= 1
    demo = json.loads((output / "demo.json").read_text())
    assert (demo["same_configurations"], demo["log_weights_differ_by"]) == (1.0, 0.0)
    assert all(file.is_file() and file.stat().st_size < 50_000 for file in output.iterdir())
    written = "".join(file.read_text(errors="replace") for file in output.iterdir())
    for folder in (ROOT, tmp_path, sys.prefix, Path.home()):
        assert str(folder) not in written
    last = result.stdout[result.stdout.index("seconds") :]
    assert all(name in last for name in names)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_device_it_says_so_in_one_sentence() -> None:
    result = run()
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr == "gpu: there is no CUDA device here; --smoke rehearses every step on the CPU\n"


def test_a_step_that_fails_or_hangs_costs_no_other_its_result(tmp_path: Path) -> None:
    hang = "import time; print('first line', flush=True); time.sleep(60)"
    steps = [
        block("import sys; sys.exit('it broke')", "broken"),
        block(hang, "hanging", limit=1.5),
        gpu.Step("missing", "", ["/nowhere/at/all"], needs=0.0, limit=5.0),
        block("print('fine')", "good"),
    ]
    broken, hanging, missing, good = outcomes(steps, tmp_path)
    assert (broken.status, broken.reason) == ("failed", "exit status 1: it broke")
    assert (hanging.status, hanging.reason) == ("stopped", "after its 2 s; first line")
    assert hanging.seconds < 10
    assert missing.status == "failed"
    assert (good.status, good.reason) == ("passed", "fine")
    assert (tmp_path / "hanging.log").read_text() == "first line\n"
    assert [gpu.is_failure(outcome, steps) for outcome in (broken, hanging, missing, good)] == [True, True, True, False]
    # A benchmark or a training that ran out of time has left what it had.
    assert not gpu.is_failure(hanging, [block(hang, "hanging", partial=True)])


def test_a_step_that_does_not_fit_is_skipped_with_its_reason(tmp_path: Path) -> None:
    steps = [block("", "long", needs=1000.0), block("", "unavailable", skip="no such tool"), block("", "short")]
    long, unavailable, short = outcomes(steps, tmp_path)
    assert (long.status, short.status) == ("skipped", "passed")
    assert "it needs 1000 s" in long.reason
    assert (unavailable.status, unavailable.reason) == ("skipped", "no such tool")
    assert not gpu.is_failure(long, steps)


def test_outcomes_are_recorded_after_every_step(tmp_path: Path) -> None:
    recorded: list[list[str]] = []
    steps = [block("", name) for name in ("a", "b")]
    gpu.carry_out(steps, tmp_path, 1.0, lambda outcomes: recorded.append([outcome.name for outcome in outcomes]))
    assert recorded == [["a"], ["a", "b"]]


def test_a_step_knows_its_time_and_sees_this_tree(tmp_path: Path) -> None:
    text = "import os, sys; print(sys.argv[1], os.environ['PYTHONPATH'].split(os.pathsep)[0])"
    step = gpu.Step("step", "", [sys.executable, "-c", text, "{seconds}"], needs=0.0, limit=7.0)
    (outcome,) = outcomes([step], tmp_path)
    assert outcome.reason == "7 ."


def test_a_terminated_run_ends_its_step_and_keeps_what_it_has(tmp_path: Path) -> None:
    # The step outlives any patience, unless it is ended with the script.
    (tmp_path / "pytest.py").write_text("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)\n")
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), "--smoke", "--output", str(tmp_path / "results"), "--only", "tests"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)}, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    log = tmp_path / "results" / "tests.log"
    for _ in range(1200):
        if log.exists() and log.read_text():
            break
        time.sleep(0.1)
    child = int(log.read_text())
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=120) == 143
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
    assert json.loads((tmp_path / "results" / "summary.json").read_text())["steps"][0]["name"] == "install"


def test_the_plan_on_a_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu.shutil, "which", lambda name: None)
    monkeypatch.setattr(gpu.importlib.util, "find_spec", lambda name: None)
    steps = gpu.plan(False, tmp_path, "abc")
    kinds = [step.name.split("-")[0] for step in steps]
    assert [kinds.index(kind) for kind in ("tests", "bench", "memcheck", "train")] == sorted(
        kinds.index(kind) for kind in ("tests", "bench", "memcheck", "train")
    )
    tests = next(step for step in steps if step.name == "tests")
    # Neither xdist nor tyro.
    assert "-n" not in tests.command
    assert "--ignore=leaps_triton/cli.py" in tests.command
    for step in steps:
        assert (step.skip == "compute-sanitizer was not found") == (step.name in gpu.TOOLS)
        assert (step.skip == "no file was given by --published") == (step.name == "published")
        assert "tyro" not in " ".join(step.command)
    names = [step.name for step in steps]
    assert {f"train-{name}" for name in gpu.JOBS} <= set(names)
    assert len(set(names)) == len(names)
    assert [name for name in names if name.startswith("bench-")][: len(gpu.FIRST)] == [f"bench-{n}" for n in gpu.FIRST]


def test_every_op_has_a_benchmark_in_the_queue() -> None:
    steps = {step.name for step in gpu.plan(False, Path(), "")}
    for name in torch._C._dispatch_get_all_op_names():
        library, _, op = name.partition("::")
        if library == "leaps_triton":
            # The gradient of hollow_values is a part of its benchmark.
            own = f"bench-{op.removesuffix('_gradient') if op == 'hollow_values_gradient' else op}"
            assert own in steps, op


@pytest.mark.parametrize("smoke", [False, True])
def test_every_command_of_the_queue_is_understood(smoke: bool, tmp_path: Path) -> None:
    """By the parsers of its script; and everything it names is there."""
    for step in gpu.plan(smoke, tmp_path, "abc", tmp_path / "ising_final.ckpt"):
        command = [part.replace("{seconds}", "60") for part in step.command]
        command = command[command.index(sys.executable) + 1 :]
        if command[0] == "-m":
            assert all((ROOT / part.removeprefix("--ignore=")).exists() for part in command if "tests/" in part)
            continue
        script, *arguments = command
        assert Path(script).is_file()
        parser = gpu_steps.options() if script.endswith("gpu_steps.py") else benchmark.options("")
        chosen = parser.parse_args(arguments)
        assert (chosen.device, chosen.smoke, chosen.commit) == ("cpu" if smoke else "cuda", smoke, "abc")
        if step.name == "published":
            assert chosen.file == (tmp_path / "ising_final.ckpt").resolve()


def test_help_lists_the_queue_in_its_order() -> None:
    text = gpu.options().format_help()
    listed = [line.split()[0] for line in text[text.index("steps, in") :].splitlines()[1:]]
    names = [step.name for step in gpu.plan(False, Path(), "") if "compiled-" not in step.name]
    assert listed == [*names, "bench-compiled-..."]
    assert max(map(len, text.splitlines())) <= 120


def test_experiments_run_without_tyro() -> None:
    program = (
        "import sys, importlib.util as util\n"
        "found = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name == 'tyro' else found(name, *rest)\n"
        "import gpu_steps\n"
        "for name in ('ising_thermodynamics', 'kernel_gates', 'published_leaps'):\n"
        "    assert gpu_steps.experiment(name).main\n"
        "assert not hasattr(sys.modules['tyro'], 'cli')"
    )
    folders = os.pathsep.join([str(ROOT), str(SCRIPT.parent)])
    command = [sys.executable, "-c", program]
    run = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": folders}
    )
    assert run.returncode == 0, run.stderr


def test_the_summary_shows_each_kernel_at_its_largest(tmp_path: Path) -> None:
    rows = []
    for walkers, value in ((65536, 0.8), (1024, 0.3)):
        key = ("heat_bath_sweeps", "kernel", "potts3", "64x64", walkers)
        rows += [Row(*key, "seconds", 0.0123, "twin", 123.4), Row(*key, "GB_per_s", 2000.0, "copy", value)]
    write_rows(tmp_path / "kernels.csv", rows)
    text = gpu.summary([gpu.Outcome("tests", "failed", 1.0, "3 failed")], tmp_path)
    assert "tests                       failed        1.0  3 failed" in text
    (line,) = [line for line in text.splitlines() if line.startswith("heat_bath")]
    assert "65536" in line
    assert "80% of copy" in line
    assert len(line) <= 80
