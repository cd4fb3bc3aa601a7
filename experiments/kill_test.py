"""Kill training, sampling and chains at random moments, resume, and compare.

The comparison is with runs that nothing disturbed.

    python experiments/kill_test.py            # 50 kills of each
    python experiments/kill_test.py --smoke    # 2 of each

It runs the `leaps-triton` command itself. After every kill the file must be readable; after the
last resume of several it must equal the undisturbed one: training in every tensor and number,
sampling in every byte, Markov chains in every draw.
"""

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import tyro

import leaps_triton as lt
from leaps_triton.files import write_text
from leaps_triton.io import checkpoint
from leaps_triton.io.packing import differences
from leaps_triton.provenance import provenance


@dataclass(frozen=True)
class KillTest:
    """Kill training, sampling and chains at random moments, and compare."""

    kills: int = 50
    """Kills of each."""
    chain: int = 5
    """Kills between the start of a run and its end."""
    seed: int = 0
    """Seed of the moments."""
    smoke: bool = False
    """Two kills of each."""
    json: Path = Path("experiments/results/kill_test.json")
    """Where to save the result."""


TRAIN = [
    "--shape", "4", "4", "--beta", "0.4", "--intervals", "4", "--channels", "4", "--width", "8",
    "--modes", "1", "--steps", "300", "--every", "10", "--evaluate-every", "100", "--device", "cpu",
]  # fmt: skip
SAMPLE = ["--walkers", "30000", "--configurations", "--device", "cpu"]
CHAIN = [
    "--shape", "6", "6", "--kernel", "swendsen-wang", "--walkers", "32", "--sweeps", "3000",
    "--thin", "2", "--every", "20", "--configurations", "--device", "cpu",
]  # fmt: skip


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "leaps_triton", *map(str, arguments)]


def kill_chains(
    settings: KillTest,
    run: Callable[[Path], list[str]],
    seconds: float,
    check: Callable[[Path], Any],
    equal: Callable[[Path], bool],
) -> dict[str, Any]:
    """Make chains of kills until there are enough.

    Every chain begins without a file and ends with a finished one.

    Every other kill comes up to 0.4 s after a write of the file, where most of the work is, and
    those between at any moment of the ``seconds`` of an undisturbed run, so that its beginning is
    met too.
    """
    chance, kills, chains, unreadable, different = random.Random(settings.seed), 0, 0, 0, 0
    wanted = 2 if settings.smoke else settings.kills
    with tempfile.TemporaryDirectory() as folder:
        while kills < wanted:
            chains += 1
            file = Path(folder, f"{chains}.file")
            for kill in range(min(settings.chain, wanted - kills)):
                before = file.stat().st_mtime_ns if file.exists() else 0
                process = subprocess.Popen(
                    run(file), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                )
                if kill % 2:
                    time.sleep(chance.uniform(0.0, seconds))
                else:
                    while process.poll() is None and (
                        not file.exists() or file.stat().st_mtime_ns == before
                    ):
                        time.sleep(0.0005)
                    time.sleep(chance.uniform(0.0, 0.4))
                kills += process.poll() is None
                process.kill()
                process.wait()
                try:
                    if file.exists():
                        check(file)
                except ValueError:
                    unreadable += 1
            subprocess.run(
                run(file), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            different += not equal(file)
    return {
        "kills": kills,
        "runs": chains,
        "unreadable_files": unreadable,
        "different_results": different,
    }


def main(settings: KillTest) -> None:
    settings.json.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        trained, sampled, walked = (
            Path(folder, f"whole.{name}") for name in ("safetensors", "sample.h5", "chain.h5")
        )

        def train(file: Path) -> list[str]:
            return command("train", "--checkpoint", file, *TRAIN, "--resume")

        def sample(file: Path) -> list[str]:
            return command("sample", trained, "--output", file, *SAMPLE, "--resume")

        def chain(file: Path) -> list[str]:
            return command("chain", "--output", file, *CHAIN, "--resume")

        def draws(file: Path) -> dict[str, Any]:
            run = lt.io.read(file)
            assert isinstance(run, lt.io.ChainRun) and run.complete
            return {**run.values, "configurations": run.configurations}

        seconds = {}
        for name, run, file in (
            ("train", train, trained),
            ("sample", sample, sampled),
            ("chain", chain, walked),
        ):
            begin = time.perf_counter()
            subprocess.run(run(file), check=True, stdout=subprocess.DEVNULL)
            seconds[name] = round(time.perf_counter() - begin, 1)
        whole, walk = checkpoint.read(trained), draws(walked)
        result = {
            "training": kill_chains(
                settings,
                train,
                seconds["train"],
                checkpoint.read,
                lambda file: not differences(whole, checkpoint.read(file)),
            ),
            "sampling": kill_chains(
                settings,
                sample,
                seconds["sample"],
                lt.io.read,
                lambda file: file.read_bytes() == sampled.read_bytes(),
            ),
            "chains": kill_chains(
                settings,
                chain,
                seconds["chain"],
                lt.io.read,
                lambda file: all(map(torch.equal, draws(file).values(), walk.values())),
            ),
            "undisturbed_seconds": seconds,
            "config": {**asdict(settings), "json": settings.json.name},
            "versions": provenance(),
        }
    write_text(settings.json, json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    bad = sum(
        result[kind][count]
        for kind in ("training", "sampling", "chains")
        for count in ("unreadable_files", "different_results")
    )
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main(tyro.cli(KillTest, description=__doc__))
