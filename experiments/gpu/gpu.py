"""All that needs a GPU, in three calls of stated lengths: A, B and C.

A (170 s) asks whether everything is right and what the device can do, B (240 s) how fast it is, C
(240 s) does once more what failed in A and B, then trains. It uses the running python, no network,
and no package but torch, Triton and those that the library imports. Each step is a process of its
own with a time limit, so that one that fails or hangs costs no other its result; the results are
replaced every few seconds, and a run that was stopped goes on where it was. Without a GPU,
``--smoke`` rehearses the steps on the CPU. ``--help`` lists them in their order.
"""

import argparse
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from gpu_queue import ABOUT, CALLS, SECONDS, parts
from gpu_results import Book
from gpu_run import Step, carry_out, is_failure
from steps.common import ROOT, driver, provenance, sources


def options() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    lines = ["steps, in their order:"]
    for part, steps in parts(False, Path(), "").items():
        lines.append(f"{part}, {SECONDS[part]:.0f} s: {ABOUT[part]}")
        lines += [f"  {step.name:16} {step.about}" for step in steps]
    parser = argparse.ArgumentParser(
        description="Checks, times and trains on a CUDA device, with the results after every step.",
        epilog="\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--part", nargs="+", choices=SECONDS, default=list(CALLS), help="by default A B C"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        help="time to spend, by default that of the parts; steps that do not fit are skipped",
    )
    parser.add_argument("--output", type=Path, default=Path("gpu-results"), help="results' folder")
    parser.add_argument(
        "--previous",
        nargs="+",
        type=Path,
        default=[],
        metavar="FOLDER",
        help="results of earlier runs, beside those in the output folder, to go on with",
    )
    parser.add_argument("--fresh", action="store_true", help="go on with no earlier results")
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="STEP",
        help="steps whose names begin so, also if they have passed",
    )
    parser.add_argument("--published", type=Path, metavar="FILE", help="a network of the paper")
    parser.add_argument("--commit", default="", help="to record where there is no git checkout")
    parser.add_argument("--smoke", action="store_true", help="rehearse on the CPU, small sizes")
    return parser


def about(chosen: argparse.Namespace) -> dict[str, Any]:
    """Return what the results are made with."""
    found = provenance("cpu" if chosen.smoke else "cuda", chosen.commit)
    found["sources"] = sources()
    if not chosen.smoke:
        found["driver"] = driver()
    return found


def missed(queue: dict[str, list[Step]], chosen: list[str], book: Book) -> list[Step]:
    """Return what earlier calls did not get done, whatever code they ran."""
    found = []
    for part in ("A", "B"):
        steps = {step.name: step for step in queue[part]}
        if part not in chosen:
            found += [steps[name] for name in book.unfinished(steps)]
    return found


def planned(chosen: argparse.Namespace, work: Path, book: Book) -> list[Step]:
    """Return the steps of this run in their order, but for those that have passed before."""
    queue = parts(chosen.smoke, work, chosen.commit, chosen.published)
    steps = []
    if "C" in chosen.part:
        steps += missed(queue, chosen.part, book)
    steps += [step for part in SECONDS if part in chosen.part for step in queue[part]]
    if chosen.only:
        return [step for step in steps if step.name.startswith(tuple(chosen.only))]
    left = [step for step in steps if not book.has(step.name)]
    for step in steps:
        if step not in left:
            print(f"{step.name} has passed before, with this code on this device", flush=True)
    return left


def run(chosen: argparse.Namespace, work: Path) -> int:
    """Run the chosen steps; return the exit status."""
    output = chosen.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    book = Book(about(chosen), work, output)
    print(", ".join(f"{key} {value}" for key, value in book.about.items()), flush=True)
    if not chosen.fresh:
        book.take([*(folder.resolve() for folder in chosen.previous), output])
    steps = planned(chosen, work, book)
    if not steps and chosen.only:
        print("gpu: no step of these parts has a name that begins so; --help lists the steps")
        return 2
    seconds = chosen.seconds
    if seconds is None:
        seconds = sum(SECONDS[part] for part in set(chosen.part))
        if chosen.smoke:
            # Another process may have the cores of a rehearsal.
            seconds = 1200.0
    book.start()
    try:
        outcomes = carry_out(steps, work, seconds, book.record, book.forget)
    finally:
        # If this was terminated, what the step at work has written is kept too.
        book.stop()
    print("\n" + book.table(), flush=True)
    return int(any(is_failure(outcome, steps) for outcome in outcomes))


def main() -> None:
    """Read the command line and run the steps."""
    sys.path.insert(0, str(ROOT))
    try:
        import torch
    except ImportError as error:
        sys.exit(f"gpu: torch cannot be imported: {error}")
    chosen = options().parse_args()
    if not chosen.smoke and not torch.cuda.is_available():
        sys.exit("gpu: there is no CUDA device here; --smoke rehearses every step on the CPU")
    if chosen.smoke:
        # Nothing of a rehearsal may touch a device.
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="leaps-triton-gpu-") as work:
        status = run(chosen, Path(work).resolve())
    sys.exit(status)


if __name__ == "__main__":
    main()
