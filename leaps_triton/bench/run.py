"""Benchmarks of every op: kernel, twin and compiled twin, after checking that they agree.

No time is reported of a variant that disagrees with the twin: integers must be equal, but for the
rounding of heat-bath thresholds, and floating-point numbers within a tolerance. Times are set
against what the device can do at most, measured in the same run: bytes against a large copy, random
words against a loop of nothing but Philox.
"""

import argparse
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from ..files import claimed, make_folder
from ..kernels.checks import as_device, as_seed
from ..progress import track
from ..provenance import provenance
from .agreement import Disagreement
from .cases import OPS, cases, make_case
from .measure import ceilings, has_compiler, measure
from .report import Report, present
from .timing import Row, write_rows

__all__ = ["main", "main_of", "options", "run"]


def _begin(place: torch.device, commit: str | None) -> Report:
    """Return a report without rows; ``commit`` counts where the code is no git checkout."""
    report = Report(provenance(place))
    if commit and report.provenance["commit"] == "unknown":
        report.provenance["commit"] = commit
    return report


def _add(report: Report, rows: Iterable[Row], output: Path | None) -> None:
    """Add rows to the report and to the table, with what they were measured on."""
    names = ("device", "torch", "triton", "commit")
    columns: dict[str, Any] = {name: report.provenance[name] for name in names}
    complete = [row._replace(**columns) for row in rows]
    report.rows += complete
    if output is not None:
        write_rows(output, complete)


def run(
    ops: Sequence[str] = (),
    device: torch.device | str | None = None,
    smoke: bool = False,
    seed: int = 0,
    compiled: bool = True,
    output: Path | None = None,
    commit: str | None = None,
    budget: float = 0.3,
    progress: bool = False,
) -> Report:
    """Measure ops over models, lattices and walkers.

    Args:
        ops: Names of :data:`OPS`; empty for all.
        device: None for CUDA where there is a CUDA device, else the CPU.
        smoke: Whether to take one small lattice and no compiled twins, in seconds.
        seed: Seed of the inputs, in [0, 2³²).
        compiled: Whether to measure the compiled twins too; on a CPU they need a C++ compiler.
        output: CSV table to add the rows to, after every case; None for none.
        commit: What to record where the code is no git checkout.
        budget: Seconds to time each variant for; at most 0.05 with ``smoke``.
        progress: Whether to show a progress bar on a terminal, elsewhere a line every half minute.

    Raises:
        ValueError: If an op is unknown, the seed bad, the device missing, or the output's folder
            cannot be made.
        BusyError: If another process adds rows to the output.
    """
    place = as_device(device)
    if output is not None:
        make_folder(output.parent, f"save {output.name}")
    as_seed(seed)
    # Found before anything is measured, so that a wrong name costs no time.
    todo = cases(ops or OPS, place, smoke)
    report = _begin(place, commit)
    if smoke:
        compiled = False
        budget = min(budget, 0.05)
    if compiled and place.type == "cpu" and not has_compiler():
        compiled = False
        report.notes.append("no C++ compiler was found, so the compiled twins are left out")
    limits = ceilings(place, compiled, budget)
    shown = track(len(todo), "measuring", "case", progress, leave=False)
    # Rows are added to what the table holds, which no other process may change meanwhile.
    with shown, torch.no_grad(), claimed(output):
        _add(report, limits.rows(), output)
        for chosen in todo:
            shown.describe(f"{chosen.op} {chosen.model}".strip())
            try:
                case = make_case(*chosen, seed, place)
                rows, notes = measure(case, place, limits, compiled, budget)
                # After every case, so that a run that is cut off leaves what it has measured.
                _add(report, rows, output)
                report.notes += notes
            except Disagreement as error:
                report.disagreements.append(str(error))
            except torch.OutOfMemoryError:
                about = " ".join(map(str, chosen))
                report.notes.append(f"{about} walkers: not enough memory for the inputs")
            # The next case may need what this one has left.
            if place.type == "cuda":
                torch.cuda.empty_cache()
            shown.update()
    return report


def options(description: str) -> argparse.ArgumentParser:
    """Return the options of a benchmark, which need no package."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--smoke", action="store_true", help="one small lattice and no compiled twins, in seconds"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the inputs, 0 to 4294967295")
    parser.add_argument(
        "--device", help="cpu or cuda; CUDA by default where there is a CUDA device"
    )
    parser.add_argument(
        "--compiled",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="measure the compiled twins too",
    )
    parser.add_argument("--output", type=Path, help="CSV table to add the rows to")
    parser.add_argument("--json", type=Path, help="where to save the results as JSON")
    parser.add_argument("--commit", help="to record where the code is no git checkout")
    return parser


def main_of(
    description: str,
    measured: Callable[[torch.device, bool, int], Iterator[tuple[list[Row], list[str]]]],
    arguments: Sequence[str] | None = None,
) -> None:
    """Run a benchmark of something else than an op as a script, with the same options.

    Args:
        description: What the script does, for its help.
        measured: Given device, smoke and seed, yields rows and notes of one case after the other.
        arguments: Of the script; None for those it was started with.
    """
    parser = options(description)
    chosen = parser.parse_args(arguments)
    try:
        place = as_device(chosen.device)
        report = _begin(place, chosen.commit)
        with claimed(chosen.output, chosen.json):
            for rows, notes in measured(place, chosen.smoke, as_seed(chosen.seed)):
                report.notes += notes
                _add(report, rows, chosen.output)
            present(report, chosen.json)
    except (ValueError, RuntimeError, OSError) as error:
        sys.exit(f"{parser.prog}: {error}")
    except KeyboardInterrupt:
        print(f"{parser.prog}: stopped by Ctrl-C", file=sys.stderr)
        # What shells report for a process that SIGINT has ended.
        sys.exit(128 + signal.SIGINT)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark of ops as a script, with options that need no package.

    A bad value, or a kernel that differs from its twin, ends in one sentence and a non-zero status.

    Args:
        arguments: Of the script; None for those it was started with.
    """
    parser = options("Measures ops: kernel, compiled twin, twin.")
    parser.add_argument(
        "--op", action="append", help="name of an op, as often as there are; all by default"
    )
    chosen = parser.parse_args(arguments)
    try:
        report = run(
            chosen.op or (),
            device=chosen.device,
            smoke=chosen.smoke,
            seed=chosen.seed,
            compiled=chosen.compiled,
            output=chosen.output,
            commit=chosen.commit,
            progress=True,
        )
        present(report, chosen.json)
    except (ValueError, RuntimeError, OSError) as error:
        sys.exit(f"{parser.prog}: {error}")
    except KeyboardInterrupt:
        print(f"{parser.prog}: stopped by Ctrl-C", file=sys.stderr)
        # What shells report for a process that SIGINT has ended.
        sys.exit(128 + signal.SIGINT)
