"""What gpu.py runs, most valuable first, in three parts that fit a few minutes each."""

import importlib.util
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gpu_run import Step
from gpu_steps import JOBS, ROOT, SMOKE_JOBS

BENCHMARKS = ROOT / "experiments" / "benchmarks"
STEPS_SCRIPT = ROOT / "experiments" / "gpu" / "gpu_steps.py"
FIRST_OPS = (
    "heat_bath_sweeps",
    "jump_step",
    "local_jump_steps",
    "cluster_labels",
    "local_energy",
    "proposal_rates",
    "tau_leap_step",
)
"""Ops that are measured first; the others of the library follow."""
OPS_PER_PROCESS = 4
"""Starting a process takes seconds, and an illegal access costs all the ops after it."""
WHOLE = ("hollow_values", "local_rates", "lec", "incremental", "measuring")
"""Scripts that measure more than one op, most valuable first."""
TOOLS = {
    "memcheck": "addresses out of bounds",
    "racecheck": "races of threads in shared memory",
}
MINUTES = {"checks": 170 / 60, "speed": 4.0, "physics": 4.0}
"""Time for each part, if it is run alone."""


def python(*arguments: str) -> list[str]:
    """Return a command of the running python."""
    return [sys.executable, *arguments]


def op_names() -> list[str]:
    """Return every op that the library measures, most valuable first."""
    from leaps_triton.bench.cases import OPS

    first = [name for name in FIRST_OPS if name in OPS]
    return first + [name for name in OPS if name not in first]


def benchmark_command(ops: list[str], output: Path, options: list[str]) -> list[str]:
    """Return the command that measures ops by name into ``kernels.csv`` and a JSON file each."""
    return python(str(STEPS_SCRIPT), "bench", *options, "--output", str(output), "--ops", *ops)


class Queue:
    """Makes steps that share where they run and where they write."""

    def __init__(self, smoke: bool, output: Path, commit: str) -> None:
        self.smoke = smoke
        self.output = output
        self.options = ["--device", "cpu", "--smoke"] if smoke else ["--device", "cuda"]
        if commit:
            self.options += ["--commit", commit]

    def call(
        self, name: str, about: str, *arguments: str, limit: float = 90.0, **settings: Any
    ) -> Step:
        """Return a step of gpu_steps.py."""
        options = [*self.options, "--output", str(self.output), *arguments]
        command = python(str(STEPS_SCRIPT), name, *options)
        settings = {"needs": 5.0 if self.smoke else 15.0, **settings}
        return Step(name, about, command, limit=limit, **settings)

    def tests(self) -> dict[str, Step]:
        """Return the tests on real kernels, and all others."""
        command = python("-m", "pytest", "-q", "-p", "no:cacheprovider")
        if self.smoke:
            name = "tests/estimators/test_weights.py"
            return {"tests": Step("tests", "a few tests", [*command, name], 10.0, 60.0)}
        if importlib.util.find_spec("xdist"):
            command += ["-n", "auto", "--maxprocesses", "8", "--dist", "worksteal"]
        # Without TRITON_INTERPRET the tests of the interpreter run the real kernels.
        about = "real kernels against their twins"
        kernels = Step("tests-kernels", about, [*command, "tests/kernels/interpreted"], 20.0, 90.0)
        # What compiles or builds says nothing about the device; what rehearses this script would
        # rehearse it within itself.
        others = (
            "tests/kernels/interpreted",
            "tests/kernels/compiled",
            "tests/house/test_packaging.py",
        )
        left_out = [f"--ignore={name}" for name in (*others, "tests/house/test_gpu_script.py")]
        # Examples of modules that need a missing package are skipped, as its tests are.
        left_out.append("--doctest-ignore-import-errors")
        rest = Step("tests", "all other tests", [*command, *left_out], 20.0, 180.0)
        return {"tests-kernels": kernels, "tests": rest}

    def op_benchmarks(self) -> Iterator[Step]:
        """Yield steps of a few ops each, kernel and twin."""
        names = op_names()
        size = len(names) if self.smoke else OPS_PER_PROCESS
        for first in range(0, len(names), size):
            chosen = names[first : first + size]
            step = f"bench-ops-{1 + first // size}"
            command = benchmark_command(chosen, self.output, self.options)
            limit = 25.0 * len(chosen)
            yield Step(step, ", ".join(chosen), command, 10.0, limit, partial=True)

    def whole_benchmarks(self) -> Iterator[Step]:
        """Yield a step per script that measures more than one op."""
        for name in WHOLE:
            script = BENCHMARKS / f"bench_{name}.py"
            text = script.read_text(encoding="utf-8")
            about = text.partition("Benchmark of ")[2].partition(":")[0].replace("``", "")
            files = ["--output", str(self.output / "kernels.csv")]
            files += ["--json", str(self.output / f"bench-{name}.json"), "--no-compiled"]
            command = python(str(script), *self.options, *files)
            yield Step(f"bench-{name}", about, command, 10.0, 60.0, partial=True)

    def sanitizer(self) -> Iterator[Step]:
        """Yield every op under each tool of compute-sanitizer."""
        call = self.call("ops", "every op on small inputs", limit=60.0)
        if self.smoke:
            yield call
            return
        found = shutil.which("compute-sanitizer")
        skip = "" if found else "compute-sanitizer was not found"
        # One allocation per tensor: what is beyond the tensor is beyond an allocation too.
        environment = {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}
        for tool, finds in TOOLS.items():
            options = ["--tool", tool, "--error-exitcode", "9", "--print-limit", "10"]
            command = [found or "compute-sanitizer", *options, *call.command]
            about = f"{call.about}, watched for {finds}"
            yield Step(tool, about, command, 20.0, 90.0, environment=environment, skip=skip)

    def training(self) -> Iterator[Step]:
        """Yield a step per sampler."""
        jobs = SMOKE_JOBS if self.smoke else JOBS
        for name, job in jobs.items():
            size = f"{job.length} x {job.length} sites, {job.q} states"
            yield self.call(
                f"train-{name}",
                f"a sampler of {size}, trained and sampled",
                "--seconds",
                "{seconds}",
                limit=60.0 if self.smoke else 150.0,
                partial=True,
                needs=5.0 if self.smoke else 40.0,
            )


def parts(
    smoke: bool, output: Path, commit: str, published: Path | None = None
) -> dict[str, list[Step]]:
    """Return the steps of each part, most valuable first.

    Args:
        smoke: Whether to rehearse on the CPU, with small sizes.
        output: Folder that the steps write into.
        commit: What to record where the code is no git checkout; may be empty.
        published: Network of the LEAPS paper, if there is one.
    """
    queue = Queue(smoke, output, commit)
    tests = queue.tests()
    rest = tests.pop("tests")
    demo = queue.call("demo", "the demo on the device, equal to the CPU")
    file = ["--file", str(published.resolve())] if published else []
    skip = "" if published else "no file was given by --published"
    about = "bias of a published network's Euler weights"
    euler = queue.call("published", about, *file, limit=240.0, skip=skip)
    about = "every move of chains up to 64 x 64 against exact values"
    gates = queue.call("gates", about, limit=240.0)
    about = "Swendsen-Wang up to 64 x 64 against exact values"
    thermodynamics = queue.call("thermodynamics", about, limit=240.0)
    return {
        "checks": [*tests.values(), *queue.sanitizer(), demo, rest],
        "speed": [*queue.op_benchmarks(), *queue.whole_benchmarks()],
        "physics": [*queue.training(), gates, thermodynamics, euler],
    }
