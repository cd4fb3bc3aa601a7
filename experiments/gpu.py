"""All that needs a GPU, most valuable first: tests, benchmarks, sanitizer, training.

It uses the running python, no network and no tyro. Each step is a process of its own with a limit of time, so that one
that fails or hangs costs no other its result; what a step found is on disk before the next begins. Without a GPU,
``--smoke`` rehearses every step on the CPU.
"""

import argparse
import importlib.util
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = Path(__file__).resolve()
OPS = (
    "local_energy", "proposal_rates", "heat_bath_sweeps", "jump_step", "cluster_labels", "philox", "energy",
    "metropolis_sweeps", "hollow_conv", "hollow_conv_gradient",
)  # fmt: skip
OTHERS = ("hollow_values", "incremental", "measuring")
"""Benchmarks of more than an op."""
TOOLS = ("memcheck", "racecheck", "initcheck")
LOG_BYTES = 500_000
CRITICAL = 0.44068679


@dataclass(frozen=True)
class Job:
    """A sampler to train: Ising for q = 2, Potts for more, on a periodic square lattice."""

    length: int
    q: int
    beta: float
    kernel_size: int
    intervals: int
    steps: int
    walkers: int = 16384


JOBS = {
    "ising-8": Job(length=8, q=2, beta=CRITICAL, kernel_size=7, intervals=40, steps=2000),
    "ising-16": Job(length=16, q=2, beta=CRITICAL, kernel_size=11, intervals=80, steps=4000),
    "potts3-16": Job(length=16, q=3, beta=1.005, kernel_size=11, intervals=80, steps=4000),
}
SMOKE_JOBS = {"ising-4": Job(length=4, q=2, beta=0.3, kernel_size=3, intervals=5, steps=20, walkers=256)}


@dataclass(frozen=True)
class Step:
    """A process to run: at least ``needs`` and at most ``limit`` seconds; ``{seconds}`` in its command is its limit."""

    name: str
    command: list[str]
    needs: float
    limit: float
    environment: dict[str, str] = field(default_factory=dict)
    partial: bool = False
    """What it has written is of use if it is stopped."""
    skip: str = ""
    """Why it is not run."""


@dataclass
class Outcome:
    """What became of a step."""

    name: str
    status: str
    seconds: float = 0.0
    reason: str = ""


def clean(text: str, output: Path) -> str:
    """Text without the folders of this machine."""
    names = {
        str(output): "<output>",
        str(ROOT): ".",
        sys.prefix: "<python>",
        sys.base_prefix: "<python>",
        str(Path.home()): "~",
        tempfile.gettempdir(): "<tmp>",
    }
    for folder in sorted(names, key=len, reverse=True):
        if folder != "/":
            text = text.replace(folder, names[folder])
    return text


def write_json(file: Path, value: Any) -> None:
    temporary = file.with_suffix(".tmp")
    temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, file)


def run_step(step: Step, output: Path, seconds: float) -> Outcome:
    """Run a step for at most ``seconds``; its output goes to ``<output>/<name>.log`` line by line."""
    command = [part.replace("{seconds}", f"{seconds:.0f}") for part in step.command]
    folders = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(folders), "PYTHONUNBUFFERED": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "MPLBACKEND": "Agg",
    } | step.environment  # fmt: skip
    environment.pop("TRITON_INTERPRET", None)
    begin = time.monotonic()
    stopped = threading.Event()
    last = ""
    try:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, text=True, errors="replace", start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
    except OSError as error:
        return Outcome(step.name, "failed", 0.0, clean(str(error), output))

    def stop() -> None:
        stopped.set()
        os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(seconds, stop)
    timer.start()
    with process, (output / f"{step.name}.log").open("w", encoding="utf-8") as log:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                line = clean(line, output)
                last = line.strip() or last
                if log.tell() < LOG_BYTES:
                    log.write(line)
                    log.flush()
            status = process.wait()
        finally:
            timer.cancel()
            if process.poll() is None:
                stop()
    spent = time.monotonic() - begin
    if stopped.is_set():
        return Outcome(step.name, "stopped", spent, f"after its {seconds:.0f} s; {last}")
    if status:
        return Outcome(step.name, "failed", spent, f"exit status {status}: {last}")
    return Outcome(step.name, "passed", spent, last)


def python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]


def test_steps(smoke: bool) -> Iterator[Step]:
    pytest = python("-m", "pytest", "-q")
    if smoke:
        yield Step("tests", [*pytest, "tests/test_weights.py"], needs=10, limit=60)
        return
    if importlib.util.find_spec("xdist"):
        pytest += ["-n", "auto", "--maxprocesses", "8", "--dist", "worksteal"]
    left_out = ["tests/interpreted", "tests/compiled"]
    if not importlib.util.find_spec("tyro"):
        left_out += ["tests/test_cli.py", "leaps_triton/cli.py", "leaps_triton/__main__.py"]
    # On a CUDA device, without TRITON_INTERPRET, the tests of the interpreter run the real kernels.
    parts = {
        "tests-kernels": ["tests/interpreted"],
        "tests": [f"--ignore={name}" for name in left_out],
        "tests-compiled": ["tests/compiled"],
    }
    for name, arguments in parts.items():
        if name == "tests" or (ROOT / arguments[0]).is_dir():
            yield Step(name, [*pytest, *arguments], needs=20, limit=180 if name == "tests" else 90)


def sanitizer_steps(smoke: bool) -> Iterator[Step]:
    ops = python(str(SCRIPT), "--call", "ops")
    if smoke:
        yield Step("ops", ops, needs=5, limit=60)
        return
    sanitizer = shutil.which("compute-sanitizer")
    for tool in TOOLS:
        command = [
            sanitizer or "compute-sanitizer",
            "--tool",
            tool,
            "--error-exitcode",
            "9",
            "--print-limit",
            "10",
            *ops,
        ]
        # One allocation a tensor, so that an access beyond its end is one beyond an allocation.
        environment = {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}
        skip = "" if sanitizer else "compute-sanitizer was not found"
        yield Step(tool, command, needs=20, limit=60, environment=environment, skip=skip)


def benchmark_steps(smoke: bool, compiled: bool, output: Path, commit: str) -> Iterator[Step]:
    options = ["--output", str(output / "kernels.csv"), *(["--commit", commit] if commit else [])]
    options += ["--smoke", "--device", "cpu"] if smoke else ["--device", "cuda"]
    for op in OPS if compiled else (*OPS, *OTHERS):
        name = f"bench-compiled-{op}" if compiled else f"bench-{op}"
        result = ["--json", str(output / f"{name}.json"), *([] if compiled else ["--no-compiled"])]
        command = python(str(ROOT / "experiments" / "benchmarks" / f"bench_{op}.py"), *options, *result)
        yield Step(name, command, needs=10, limit=90, partial=True)


def train_steps(smoke: bool, output: Path, commit: str) -> Iterator[Step]:
    for name in SMOKE_JOBS if smoke else JOBS:
        options = ["--seconds", "{seconds}", "--output", str(output), *(["--commit", commit] if commit else [])]
        command = python(str(SCRIPT), "--call", f"train-{name}", *options)
        yield Step(f"train-{name}", command, needs=5 if smoke else 40, limit=60 if smoke else 150, partial=True)


def plan(smoke: bool, output: Path, commit: str) -> list[Step]:
    """All steps, most valuable first."""
    steps = [*test_steps(smoke), *benchmark_steps(smoke, False, output, commit), *sanitizer_steps(smoke)]
    steps += train_steps(smoke, output, commit)
    # Compiling takes long and says nothing about the kernels themselves.
    return steps if smoke else [*steps, *benchmark_steps(smoke, True, output, commit)]


def install(output: Path) -> Outcome:
    """Install this tree into the running python, offline, unless that can import the package already."""
    with tempfile.TemporaryDirectory() as elsewhere:
        found = subprocess.run(
            python("-c", "import leaps_triton"), cwd=elsewhere, capture_output=True, text=True, check=False
        )
    if found.returncode == 0:
        return Outcome("install", "passed", 0.0, "leaps_triton can be imported already")
    command = python("-m", "pip", "install", "--no-build-isolation", "--no-deps", "-e", ".")
    return run_step(Step("install", command, needs=0, limit=90), output, 90.0)


def provenance(device: str, commit: str) -> dict[str, Any]:
    sys.path.insert(0, str(ROOT))
    try:
        import torch

        from leaps_triton.provenance import provenance as describe

        about = describe(torch.device(device))
    except Exception as error:  # recorded, so that one broken import does not cost all the results
        return {"error": f"{type(error).__name__}: {error}"}
    if commit and about["commit"] == "unknown":
        about["commit"] = commit
    return about


def call_ops(device: str) -> None:
    """Call every op once on small inputs of every model, for a tool that watches the kernels."""
    import torch

    from leaps_triton import benchmark, kernels

    place = torch.device(device)
    for op in benchmark.OPS:
        for model in benchmark.MODELS:
            for shape in ((4, 6), (15, 16)):
                case = benchmark.make_case(op, model, shape, 3, 0, place)
                case.run(getattr(kernels, op))
                if place.type == "cuda":
                    torch.cuda.synchronize()
    print(f"{len(benchmark.OPS)} ops called: {kernels.backend(place)}")


def train(name: str, job: Job, device: str, seconds: float, output: Path, commit: str) -> None:
    """Train for about ``seconds``, then sample with exact weights; ``train-<name>.json`` is kept up to date."""
    import leaps_triton as lt

    begin = time.monotonic()
    shape = (job.length, job.length)
    model = lt.Ising(shape, job.beta) if job.q == 2 else lt.Potts(shape, job.q, job.beta)

    def new_sampler() -> lt.Sampler:
        network = lt.HollowConv(model, kernel_size=job.kernel_size)
        return lt.Sampler(lt.AnnealingPath(model), network, lt.Jump(job.intervals), block=1024, device=device)

    try:
        exact = lt.exact.log_z(model)
    except ValueError:
        exact = None
    # How many steps fit, so that the learning rate comes down to its end; the first step is one for warming up.
    probe = lt.Trainer(new_sampler(), lt.TrainingConfig(steps=21, buffer=256))
    probe.run(1)
    start = time.monotonic()
    probe.run()
    step_seconds = (time.monotonic() - start) / 20
    steps = max(20, min(job.steps, int(0.5 * (seconds - (time.monotonic() - begin)) / step_seconds)))
    every = max(1, steps // 10)
    sampler = new_sampler()
    config = lt.TrainingConfig(
        steps=steps, learning_rate=2e-2, evaluate_every=every, evaluation_walkers=min(1024, job.walkers)
    )
    trainer = lt.Trainer(sampler, config)
    result: dict[str, Any] = {
        "job": asdict(job), "provenance": provenance(device, commit), "backend": lt.kernels.backend(sampler.device),
        "steps_wanted": steps, "step_seconds": step_seconds, "log_z_exact": exact,
    }  # fmt: skip

    def save() -> None:
        history = trainer.history.as_dict()
        evaluations = {key: values for key, values in history.items() if key.startswith("evaluation")}
        losses = [
            sum(part) / len(part)
            for part in (trainer.history.loss[i : i + every] for i in range(0, steps, every))
            if part
        ]
        result.update(steps=trainer.step, seconds=time.monotonic() - begin, mean_losses=losses, **evaluations)
        write_json(output / f"train-{name}.json", result)

    while trainer.step < steps and time.monotonic() - begin < 0.7 * seconds:
        trainer.run(trainer.step + every)
        save()
    start = time.monotonic()
    ensemble = sampler.sample(job.walkers, seed=1)
    result.update(
        ess=ensemble.ess,
        log_weight_variance=ensemble.log_weight_variance,
        log_z=ensemble.log_z,
        log_z_error=ensemble.log_z_error,
        walkers=job.walkers,
        evaluations=ensemble.evaluations,
        sample_seconds=time.monotonic() - start,
    )
    save()
    known = "" if exact is None else f", exact {exact:.4f}"
    print(f"ESS {ensemble.ess:.3f}, log Z {ensemble.log_z:.4f} ± {ensemble.log_z_error:.4f}{known}")


def fastest(file: Path) -> list[str]:
    """One line a kernel and model, of its largest case."""
    from leaps_triton.measurement import Row, read_rows

    def size(row: Row) -> int:
        return row.walkers * math.prod(map(int, row.shape.split("x")))

    rows = {(*row.key[:5], row.metric): row for row in read_rows(file) if row.variant == "kernel"}
    largest = {(row.kernel, row.model): row for row in sorted(rows.values(), key=size) if row.metric == "GB_per_s"}
    lines = []
    for row in largest.values():
        seconds = rows[(*row.key[:5], "seconds")]
        speedup = f"{seconds.ratio:.3g}x" if seconds.ratio else ""
        lines.append(
            f"{row.kernel:17}{row.model:7}{row.shape:>6} {row.walkers:8}{seconds.value * 1e3:9.4g} ms"
            f"{speedup:>7} of twin{row.ratio or 0.0:5.0%} of copy"
        )
    return lines


def summary(outcomes: list[Outcome], output: Path) -> str:
    lines = ["", f"{'step':28}{'status':9}{'seconds':>8}"]
    for outcome in outcomes:
        reason = "" if outcome.name.startswith("bench") and outcome.status == "passed" else outcome.reason
        lines.append(f"{outcome.name:28}{outcome.status:9}{outcome.seconds:8.1f}  {reason}"[:160].rstrip())
    try:
        lines += ["", *fastest(output / "kernels.csv")]
    except (ImportError, ValueError, KeyError) as error:
        lines.append(f"kernels.csv cannot be read: {error}")
    return "\n".join(lines)


def carry_out(
    steps: list[Step], output: Path, minutes: float, record: Callable[[list[Outcome]], None]
) -> list[Outcome]:
    """Run the steps in turn while there is time, and record every outcome at once."""
    deadline = time.monotonic() + 60.0 * minutes
    outcomes: list[Outcome] = []
    for step in steps:
        left = deadline - time.monotonic() - 5.0
        if step.skip or left < step.needs:
            reason = step.skip or f"{max(0.0, left):.0f} s are left and it needs {step.needs:.0f} s"
            outcomes.append(Outcome(step.name, "skipped", 0.0, reason))
        else:
            print(f"{step.name} ...", flush=True)
            outcomes.append(run_step(step, output, min(step.limit, left)))
        outcome = outcomes[-1]
        print(f"{outcome.name} {outcome.status} in {outcome.seconds:.1f} s: {outcome.reason}", flush=True)
        record(outcomes)
    return outcomes


def is_failure(outcome: Outcome, steps: list[Step]) -> bool:
    partial = {step.name for step in steps if step.partial}
    return outcome.status == "failed" or (outcome.status == "stopped" and outcome.name not in partial)


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Tests, benchmarks, sanitizer and training on a CUDA device.")
    parser.add_argument("--minutes", type=float, default=9.0, help="time to spend; steps that do not fit are skipped")
    parser.add_argument("--output", type=Path, default=Path("gpu-results"), help="folder for the results")
    parser.add_argument("--only", nargs="+", metavar="STEP", help="steps whose names begin so, such as tests or train")
    parser.add_argument("--commit", default="", help="to record where the code is no git checkout")
    parser.add_argument("--smoke", action="store_true", help="rehearse every step on the CPU, with small sizes")
    parser.add_argument("--call", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=60.0, help=argparse.SUPPRESS)
    return parser


def main() -> None:
    chosen = options().parse_args()
    try:
        import torch
    except ImportError as error:
        sys.exit(f"gpu: torch cannot be imported: {error}")
    cuda = torch.cuda.is_available()
    device = "cuda" if cuda else "cpu"
    if chosen.call == "ops":
        return call_ops(device)
    if chosen.call:
        name = chosen.call.removeprefix("train-")
        return train(name, (JOBS | SMOKE_JOBS)[name], device, chosen.seconds, chosen.output, chosen.commit)
    if not cuda and not chosen.smoke:
        sys.exit("gpu: there is no CUDA device here; --smoke rehearses every step on the CPU")
    if chosen.smoke:
        # Nothing of a rehearsal may touch a device.
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        device = "cpu"

    output = chosen.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    begin = time.monotonic()
    first = install(output)
    about = provenance(device, chosen.commit)
    print(f"install {first.status}: {first.reason}", flush=True)
    print(", ".join(f"{key} {value}" for key, value in about.items()), flush=True)

    def record(outcomes: list[Outcome]) -> None:
        steps = [asdict(outcome) for outcome in [first, *outcomes]]
        write_json(output / "summary.json", {"provenance": about, "minutes": chosen.minutes, "steps": steps})

    record([])
    steps = plan(chosen.smoke, output, chosen.commit)
    if chosen.only:
        steps = [step for step in steps if step.name.startswith(tuple(chosen.only))]
    left = chosen.minutes - (time.monotonic() - begin) / 60.0
    outcomes = [first, *carry_out(steps, output, left, record)]
    print(summary(outcomes, output), flush=True)
    sys.exit(any(is_failure(outcome, steps) for outcome in outcomes))


if __name__ == "__main__":
    main()
