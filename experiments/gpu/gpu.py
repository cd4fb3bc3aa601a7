"""All that needs a GPU, most valuable first: tests, sanitizer, benchmarks, training, physics.

It uses the running python, no network, and no package but torch, Triton, pytest and those that the
library imports. Each step is a process of its own with a time limit, so that one that fails or
hangs costs no other its result; the results are replaced after every step. Without a GPU,
``--smoke`` rehearses the steps on the CPU. ``--help`` lists them in their order.
"""

import argparse
import os
import signal
import sys
import tempfile
from pathlib import Path

from gpu_queue import MINUTES, parts
from gpu_run import (
    WRITTEN,
    Outcome,
    archive,
    carry_out,
    is_failure,
    publish,
    replace_file,
    summary,
)
from gpu_steps import ROOT, provenance

LONGEST = 9.0
"""Minutes for all parts together, if no other time is given."""


def options() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    lines = ["steps, in their order:"]
    for part, steps in parts(False, Path(), "").items():
        lines.append(f"{part}, {60.0 * MINUTES[part]:.0f} s:")
        lines += [f"  {step.name:16} {step.about}" for step in steps]
    parser = argparse.ArgumentParser(
        description="Tests, benchmarks, training and physics on a CUDA device, with the results"
        " after every step.",
        epilog="\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--part", nargs="+", choices=MINUTES, default=list(MINUTES), help="parts")
    parser.add_argument(
        "--minutes",
        type=float,
        help=f"time to spend, by default that of the parts and at most {LONGEST:g};"
        " steps that do not fit are skipped",
    )
    parser.add_argument("--output", type=Path, default=Path("gpu-results"), help="results' folder")
    parser.add_argument(
        "--only", nargs="+", metavar="STEP", help="steps whose names begin so, such as train"
    )
    parser.add_argument("--published", type=Path, metavar="FILE", help="a network of the paper")
    parser.add_argument("--commit", default="", help="to record where there is no git checkout")
    parser.add_argument("--smoke", action="store_true", help="rehearse on the CPU, small sizes")
    return parser


def run(chosen: argparse.Namespace, work: Path) -> int:
    """Run the chosen steps; return the exit status."""
    output = chosen.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    for name in WRITTEN:
        # Nothing of an earlier run may be taken for a result of this one.
        (output / name).unlink(missing_ok=True)
    about = provenance("cpu" if chosen.smoke else "cuda", chosen.commit)
    print(", ".join(f"{key} {value}" for key, value in about.items()), flush=True)
    queue = parts(chosen.smoke, work, chosen.commit, chosen.published)
    steps = [step for part in MINUTES if part in chosen.part for step in queue[part]]
    if chosen.only:
        steps = [step for step in steps if step.name.startswith(tuple(chosen.only))]
    if not steps:
        print("gpu: no step of these parts has a name that begins so; --help lists the steps")
        return 2
    minutes = chosen.minutes
    if minutes is None:
        minutes = min(LONGEST, sum(MINUTES[part] for part in chosen.part))

    def record(outcomes: list[Outcome]) -> None:
        publish(about, minutes, outcomes, work, output)

    record([])
    try:
        outcomes = carry_out(steps, work, minutes, record)
    finally:
        # If this was terminated, what the step at work has written is kept too.
        replace_file(output / "results.tar.gz", lambda file: archive(work, file))
    print("\n" + summary(outcomes, work), flush=True)
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
