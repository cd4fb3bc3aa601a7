"""All that needs a GPU, most valuable first: tests, benchmarks, sanitizer, physics, training.

It uses the running python, no network and no tyro. Each step is a process of its own with a limit of time, so that one
that fails or hangs costs no other its result; what a step found is on disk before the next begins. Without a GPU,
``--smoke`` rehearses every step on the CPU. ``--help`` lists the steps in their order.
"""

import argparse
import importlib.util
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

from gpu_steps import JOBS, ROOT, SMOKE_JOBS, provenance, write_json

BENCHMARKS = ROOT / "experiments" / "benchmarks"
FIRST = (
    "local_energy", "proposal_rates", "heat_bath_sweeps", "lec", "hollow_values", "jump_step", "local_jump_steps",
    "tau_leap_step", "cluster_labels", "local_rates",
)  # fmt: skip
"""Benchmarks that come first; the others follow by name."""
OPS = (
    "cluster_labels", "energy", "heat_bath_sweeps", "hollow_conv", "hollow_conv_gradient", "jump_step", "local_energy",
    "local_jump_steps", "metropolis_sweeps", "overrelaxation_sweeps", "philox", "proposal_rates",
    "proposal_rates_gradient", "tau_leap_log_probability", "tau_leap_log_probability_gradient", "tau_leap_step",
)  # fmt: skip
"""Names of the ops that ``python -m leaps_triton.bench`` measures."""
TOOLS = {
    "memcheck": "addresses out of bounds",
    "racecheck": "races of threads in shared memory",
    "initcheck": "memory read before it is written",
}
LOG_BYTES = 500_000


@dataclass(frozen=True)
class Step:
    """A process to run: at least ``needs`` and at most ``limit`` seconds; ``{seconds}`` in its command is its limit."""

    name: str
    about: str
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
        yield Step("tests", "a few tests", [*pytest, "tests/test_weights.py"], needs=10, limit=60)
        return
    if importlib.util.find_spec("xdist"):
        pytest += ["-n", "auto", "--maxprocesses", "8", "--dist", "worksteal"]
    left_out = ["tests/kernels/interpreted", "tests/kernels/compiled"]
    if not importlib.util.find_spec("tyro"):
        left_out += ["tests/test_cli.py", "leaps_triton/cli.py", "leaps_triton/__main__.py"]
    # On a CUDA device, without TRITON_INTERPRET, the tests of the interpreter run the real kernels.
    parts = {
        "tests-kernels": ("real kernels against their twins", ["tests/kernels/interpreted"]),
        "tests": ("all other tests", [f"--ignore={name}" for name in left_out]),
        "tests-compiled": ("every variant compiled, without spills", ["tests/kernels/compiled"]),
    }
    for name, (about, arguments) in parts.items():
        if name == "tests" or (ROOT / arguments[0]).is_dir():
            yield Step(name, about, [*pytest, *arguments], needs=20, limit=180 if name == "tests" else 90)


class Queue:
    """Makes steps that share where they run and where they write."""

    def __init__(self, smoke: bool, output: Path, commit: str) -> None:
        self.smoke, self.output = smoke, output
        self.options = ["--device", "cpu" if smoke else "cuda", *(["--smoke"] if smoke else [])]
        self.options += ["--commit", commit] if commit else []

    def call(self, name: str, about: str, *arguments: str, limit: float = 90, **settings: Any) -> Step:
        """A step of gpu_steps.py."""
        options = [*self.options, "--output", str(self.output), *arguments]
        command = python(str(ROOT / "experiments" / "gpu_steps.py"), name, *options)
        return Step(name, about, command, **{"needs": 5 if self.smoke else 15, "limit": limit, **settings})

    def benchmarks(self, compiled: bool = False) -> Iterator[Step]:
        """Every op and every script of the folder; the ops once more with compiled twins."""
        scripts = {file.stem.removeprefix("bench_"): file for file in sorted(BENCHMARKS.glob("bench_*.py"))}
        names = sorted([*scripts, *OPS])
        for name in sorted(names, key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST)):
            is_op = name in OPS
            if compiled and not is_op:
                continue
            about, script = f"the op {name}", ["-m", "leaps_triton.bench", "--op", name]
            if not is_op:
                text = scripts[name].read_text(encoding="utf-8")
                about = text.partition("Benchmark of ")[2].partition(":")[0].replace("``", "")
                script = [str(scripts[name])]
            step = f"bench-compiled-{name}" if compiled else f"bench-{name}"
            options = [*self.options, "--output", str(self.output / "kernels.csv")]
            options += ["--json", str(self.output / f"{step}.json"), "--compiled" if compiled else "--no-compiled"]
            about += ", compiled twin and twin" if compiled else ", kernel and twin" if is_op else ""
            yield Step(step, about, python(*script, *options), needs=10, limit=90, partial=True)

    def sanitizer(self) -> Iterator[Step]:
        """Every kernel under every tool of compute-sanitizer."""
        call = self.call("ops", "every op on small inputs", limit=60)
        if self.smoke:
            yield call
            return
        found = shutil.which("compute-sanitizer")
        skip = "" if found else "compute-sanitizer was not found"
        for tool, finds in TOOLS.items():
            options = ["--tool", tool, "--error-exitcode", "9", "--print-limit", "10"]
            command = [found or "compute-sanitizer", *options, *call.command]
            # One allocation a tensor, so that an access beyond its end is one beyond an allocation.
            environment = {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}
            about = f"{call.about}, watched for {finds}"
            yield Step(tool, about, command, needs=20, limit=90, environment=environment, skip=skip)

    def training(self) -> Iterator[Step]:
        """One step a sampler."""
        for name, job in (SMOKE_JOBS if self.smoke else JOBS).items():
            limit = 60 if self.smoke else 150
            about = f"a sampler of {job.length} x {job.length} sites, {job.q} states, trained and sampled"
            yield self.call(
                f"train-{name}", about, "--seconds", "{seconds}", limit=limit, partial=True,
                needs=5 if self.smoke else 40,
            )  # fmt: skip


def plan(smoke: bool, output: Path, commit: str, published: Path | None = None) -> list[Step]:
    """All steps, most valuable first."""
    queue = Queue(smoke, output, commit)
    file = ["--file", str(published.resolve())] if published else []
    bias = "bias of a published network's Euler weights"
    skip = "" if published else "no file was given by --published"
    benchmarks = list(queue.benchmarks())
    steps = [
        *test_steps(smoke),
        queue.call("demo", "the demo on the device, equal to the CPU"),
        *benchmarks[: len(FIRST)],
        *queue.sanitizer(),
        queue.call("gates", "every kernel of chains up to 64 x 64 against exact values", limit=240),
        *queue.training(),
        *benchmarks[len(FIRST) :],
        queue.call("thermodynamics", "Swendsen-Wang up to 64 x 64 against exact values", limit=240),
        queue.call("published", bias, *file, limit=240, skip=skip),
    ]
    # Compiling takes long and says nothing about the kernels themselves.
    return steps if smoke else [*steps, *queue.benchmarks(compiled=True)]


def install(output: Path) -> Outcome:
    """Install this tree into the running python, offline, unless that can import the package already."""
    with tempfile.TemporaryDirectory() as elsewhere:
        found = subprocess.run(
            python("-c", "import leaps_triton"), cwd=elsewhere, capture_output=True, text=True, check=False
        )
    if found.returncode == 0:
        return Outcome("install", "passed", 0.0, "leaps_triton can be imported already")
    command = python("-m", "pip", "install", "--no-build-isolation", "--no-deps", "-e", ".")
    return run_step(Step("install", "", command, needs=0, limit=90), output, 90.0)


def fastest(file: Path) -> list[str]:
    """One line a kernel and model, of its largest case."""
    from leaps_triton.bench.timing import Row, read_rows

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
    width = max(28, *(len(outcome.name) + 1 for outcome in outcomes))
    lines = ["", f"{'step':{width}}{'status':9}{'seconds':>8}"]
    for outcome in outcomes:
        reason = "" if outcome.name.startswith("bench") and outcome.status == "passed" else outcome.reason
        lines.append(f"{outcome.name:{width}}{outcome.status:9}{outcome.seconds:8.1f}  {reason}"[:160].rstrip())
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
    steps = [step for step in plan(False, Path(), "") if not step.name.startswith("bench-compiled-")]
    width = max(len(step.name) for step in steps) + 1
    lines = [f"  {step.name:{width}} {step.about}" for step in steps]
    lines.append(f"  {'bench-compiled-...':{width}} the ops once more, compiled twin and twin")
    parser = argparse.ArgumentParser(
        description="Tests, benchmarks, sanitizer, physics and training on a CUDA device; results after every step.",
        epilog="\n".join(["steps, in their order:", *lines]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=9.0, help="time to spend; steps that do not fit are skipped")
    parser.add_argument("--output", type=Path, default=Path("gpu-results"), help="folder for the results")
    parser.add_argument("--only", nargs="+", metavar="STEP", help="steps whose names begin so, such as tests or train")
    parser.add_argument("--published", type=Path, metavar="FILE", help="network of the LEAPS paper, to be weighed")
    parser.add_argument("--commit", default="", help="to record where the code is no git checkout")
    parser.add_argument("--smoke", action="store_true", help="rehearse every step on the CPU, with small sizes")
    return parser


def main() -> None:
    chosen = options().parse_args()
    try:
        import torch
    except ImportError as error:
        sys.exit(f"gpu: torch cannot be imported: {error}")
    if not chosen.smoke and not torch.cuda.is_available():
        sys.exit("gpu: there is no CUDA device here; --smoke rehearses every step on the CPU")
    if chosen.smoke:
        # Nothing of a rehearsal may touch a device.
        os.environ["CUDA_VISIBLE_DEVICES"] = ""

    output = chosen.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    begin = time.monotonic()
    first = install(output)
    about = provenance("cpu" if chosen.smoke else "cuda", chosen.commit)
    print(f"install {first.status}: {first.reason}", flush=True)
    print(", ".join(f"{key} {value}" for key, value in about.items()), flush=True)

    def record(outcomes: list[Outcome]) -> None:
        steps = [asdict(outcome) for outcome in [first, *outcomes]]
        write_json(output / "summary.json", {"provenance": about, "minutes": chosen.minutes, "steps": steps})

    record([])
    steps = plan(chosen.smoke, output, chosen.commit, chosen.published)
    if chosen.only:
        steps = [step for step in steps if step.name.startswith(tuple(chosen.only))]
    left = chosen.minutes - (time.monotonic() - begin) / 60.0
    outcomes = [first, *carry_out(steps, output, left, record)]
    print(summary(outcomes, output), flush=True)
    sys.exit(any(is_failure(outcome, steps) for outcome in outcomes))


if __name__ == "__main__":
    main()
