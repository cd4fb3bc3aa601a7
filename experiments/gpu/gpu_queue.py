"""What gpu.py runs: three calls of stated lengths, and what takes longer than these."""

import importlib.util
from pathlib import Path
from typing import Any

from gpu_run import Step, python
from steps.common import ROOT
from steps.training import JOBS, SMOKE_JOBS

STEPS_SCRIPT = ROOT / "experiments" / "gpu" / "gpu_steps.py"
SECONDS = {"A": 170.0, "B": 240.0, "C": 240.0, "more": 540.0}
"""How long each part takes at most, if it is run alone."""
TWIN = {"LEAPS_TRITON_CPU": "twin"}
"""Makes a CPU run the definition of each op, not its own kernel."""
PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider")
"""Runs tests, which leave nothing behind."""
CALLS = ("A", "B", "C")
"""Parts that are run if no other is asked for."""
ABOUT = {
    "A": "is it right, and what can the device do",
    "B": "how fast is it",
    "C": "what failed in A and B once more, then training",
    "more": "all tests, races, every move against exact values",
}


class Queue:
    """Makes steps that share where they run and where they write."""

    def __init__(self, smoke: bool, output: Path, commit: str) -> None:
        self.smoke = smoke
        self.output = output
        self.options = ["--device", "cpu", "--smoke"] if smoke else ["--device", "cuda"]
        if commit:
            self.options += ["--commit", commit]

    def call(self, name: str, about: str, limit: float, *arguments: str, **settings: Any) -> Step:
        """Return a step of gpu_steps.py."""
        options = [*self.options, "--output", str(self.output), "--seconds", "{seconds}"]
        command = python(str(STEPS_SCRIPT), name, *options, *arguments)
        if self.smoke:
            # Another process may have the cores of a rehearsal.
            limit = max(limit, 120.0)
        settings = {"needs": 5.0 if self.smoke else 12.0, "partial": True, **settings}
        return Step(name, about, command, limit=limit, **settings)

    def checks(self) -> list[Step]:
        """Return part A: whether it is right, and what the device can do."""
        about = "compile what the steps launch, in many processes"
        first = self.call("prewarm", about, 60.0, partial=False, environment=TWIN)
        about = "every op as its twin on the CPU, and 30 times the same bits"
        ops = self.call("ops", about, 60.0, environment=TWIN)
        ceilings = self.call("ceilings", "bytes, words, instructions, launches", 30.0)
        # It says nothing before its end.
        about = "our kernels, watched for bad addresses"
        memcheck = self.call("memcheck", about, 90.0, needs=5.0 if self.smoke else 45.0)
        return [first, ops, ceilings, self.recordings(), memcheck]

    def recordings(self) -> Step:
        """Return the tests of CUDA graphs and of blocks that ride together."""
        # What a package of the machine warns of is no fault of ours.
        command = python(*PYTEST, "-W", "default")
        command.append("tests/integrators/test_on_cuda.py")
        about = "CUDA graphs and riding blocks change no bit"
        skip = "CUDA graphs need a device" if self.smoke else ""
        return Step("recordings", about, command, 12.0, 60.0, skip=skip)

    def again(self, name: str) -> Step:
        """Return the compilation of what is missing, as on a machine that is new."""
        skip = "rehearsed by prewarm" if self.smoke else ""
        return self.call(name, "compile what is missing on this machine", 60.0, skip=skip)

    def speed(self) -> list[Step]:
        """Return part B: how fast it is."""
        # The profiler prints at its end.
        profiled = 5.0 if self.smoke else 35.0
        return [
            self.again("prewarm-b"),
            self.call("sweeps", "byte and packed sweeps of 2^20, 2^24, 2^28 spins", 45.0),
            self.call("graphs", "every op in a CUDA graph on three sizes", 70.0),
            self.call("rollouts", "Jump with HollowConv, blocks of 1024 and 4096", 60.0),
            self.call("lec", "fused convolution of LEC against the eager one", 35.0),
            self.call("energies", "16 x 16 and 32 x 32 against Kaufman", 90.0, needs=25.0),
            self.call("ncu", "what bounds sweeps, network and clusters", 60.0, needs=profiled),
        ]

    def training(self) -> list[Step]:
        """Return a step per sampler."""
        steps = []
        for name, job in (SMOKE_JOBS if self.smoke else JOBS).items():
            size = f"{job.length} x {job.length} sites, {job.q} states"
            about = f"a sampler of {size}, trained and sampled"
            needs = 5.0 if self.smoke else 40.0
            steps.append(self.call(f"train-{name}", about, 150.0, needs=needs))
        return steps

    def tests(self) -> list[Step]:
        """Return the tests on real kernels, and all others."""
        command = python(*PYTEST)
        if self.smoke:
            name = "tests/estimators/test_weights.py"
            return [Step("tests", "a few tests", [*command, name], 10.0, 120.0)]
        if importlib.util.find_spec("xdist"):
            command += ["-n", "auto", "--maxprocesses", "8", "--dist", "worksteal"]
        # Without TRITON_INTERPRET the tests of the interpreter run the real kernels.
        about = "real kernels against their twins"
        kernels = [*command, "tests/kernels/interpreted"]
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
        return [
            Step("tests-kernels", about, kernels, 20.0, 180.0),
            Step("tests", "all other tests", [*command, *left_out], 20.0, 240.0),
        ]

    def tuning(self) -> Step:
        """Return the choice of configurations, into the folder of results alone."""
        command = python("-m", "leaps_triton.bench.tuning", "--seconds", "{seconds}")
        command += ["--output", str(self.output / "tuning.json")]
        about = "configurations that are faster, with every bit the same"
        skip = "rehearsed by the tests of the tuner" if self.smoke else ""
        return Step("tune", about, command, 20.0, 240.0, partial=True, skip=skip)

    def more(self, published: Path | None) -> list[Step]:
        """Return what takes longer than a first look.

        Args:
            published: Network of the LEAPS paper, if there is one.
        """
        about = "our kernels, watched for races in shared memory"
        skip = "rehearsed by memcheck" if self.smoke else ""
        race = self.call("racecheck", about, 120.0, skip=skip)
        demo = self.call("demo", "the demo on the device, equal to the CPU", 90.0, partial=False)
        file = ["--file", str(published.resolve())] if published else []
        skip = "" if published else "no file was given by --published"
        about = "bias of a published network's Euler weights"
        euler = self.call("published", about, 240.0, *file, skip=skip)
        about = "every move of chains up to 64 x 64 against exact values"
        gates = self.call("gates", about, 240.0)
        about = "Swendsen-Wang up to 64 x 64 against exact values"
        skip = "rehearsed by the tests of experiments" if self.smoke else ""
        thermodynamics = self.call("thermodynamics", about, 240.0, skip=skip)
        kernels, *rest = self.tests()
        return [kernels, race, demo, self.tuning(), *rest, gates, thermodynamics, euler]


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
    return {
        "A": queue.checks(),
        "B": queue.speed(),
        "C": [queue.again("prewarm-c"), *queue.training()],
        "more": queue.more(published),
    }
