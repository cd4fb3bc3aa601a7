"""Benchmarks of every op: kernel, twin and compiled twin, after checking that they agree.

No time is reported of a variant that disagrees with the twin: integers must be equal, but for the
rounding of heat-bath thresholds, and floating-point numbers within a tolerance. Times are set
against what the device can do at most, measured in the same run: bytes against a large copy, random
words against a loop of nothing but Philox.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from ..kernels.checks import as_seed
from ..provenance import provenance
from .agreement import Disagreement
from .cases import OPS, cases, make_case
from .measure import ceilings, has_compiler, measure
from .report import Report, present
from .timing import Row, write_rows

__all__ = ["main", "main_of", "options", "run"]


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
        ops: names of :data:`OPS`; empty for all.
        device: None for CUDA where there is a CUDA device, else the CPU.
        smoke: one small lattice and no compiled twins, in seconds.
        seed: of the inputs, in [0, 2³²).
        compiled: measure the compiled twins too; on a CPU they need a C++ compiler.
        output: CSV table to add the rows to, after every case; None for none.
        commit: to record where the code is no git checkout.
        budget: seconds to time each variant for; at most 0.05 with ``smoke``.
        progress: show a progress bar on a terminal.

    Raises:
        ValueError: an unknown op, a bad seed, no such device, or an output that cannot be written.
    """
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if place.type == "cuda" and not torch.cuda.is_available():
        raise ValueError("there is no CUDA device here; choose device cpu")
    if output is not None and not output.parent.is_dir():
        raise ValueError(
            f"there is no folder {output.parent} to save {output.name} in; "
            "make it, or choose another"
        )
    as_seed(seed)
    todo = cases(ops or OPS, place, smoke)
    report = Report(provenance(place))
    if commit and report.provenance["commit"] == "unknown":
        report.provenance["commit"] = commit
    if smoke:
        compiled, budget = False, min(budget, 0.05)
    if compiled and place.type == "cpu" and not has_compiler():
        compiled = False
        report.notes.append("no C++ compiler was found, so the compiled twins are left out")
    columns: dict[str, Any] = {
        name: report.provenance[name] for name in ("device", "torch", "triton", "commit")
    }

    def add(rows: Iterable[Row]) -> None:
        complete = [row._replace(**columns) for row in rows]
        report.rows += complete
        if output is not None:
            write_rows(output, complete)

    limits = ceilings(place, compiled, budget)
    add(limits.rows())
    with (
        tqdm(total=len(todo), unit="case", leave=False, disable=None if progress else True) as bar,
        torch.no_grad(),
    ):
        for op, model, shape, walkers in todo:
            bar.set_description(f"{op} {model}".strip())
            try:
                case = make_case(op, model, shape, walkers, seed, place)
                rows, notes = measure(case, place, limits, compiled, budget)
                add(rows)
                report.notes += notes
            except Disagreement as error:
                report.disagreements.append(str(error))
            except torch.OutOfMemoryError:
                report.notes.append(
                    f"{op} {model} {shape} {walkers} walkers: not enough memory for the inputs"
                )
            if place.type == "cuda":
                torch.cuda.empty_cache()
            bar.update()
    return report


def options(description: str) -> argparse.ArgumentParser:
    """Options of a benchmark, which need no package."""
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
    """A benchmark of something else than an op as a script, with the same options.

    Args:
        measured: of device, smoke and seed; rows and notes of each case, one case after the other.
    """
    parser = options(description)
    chosen = parser.parse_args(arguments)
    try:
        place = torch.device(chosen.device or ("cuda" if torch.cuda.is_available() else "cpu"))
        if place.type == "cuda" and not torch.cuda.is_available():
            raise ValueError("there is no CUDA device here; choose device cpu")
        report = Report(provenance(place))
        if chosen.commit and report.provenance["commit"] == "unknown":
            report.provenance["commit"] = chosen.commit
        columns: dict[str, Any] = {
            name: report.provenance[name] for name in ("device", "torch", "triton", "commit")
        }
        for rows, notes in measured(place, chosen.smoke, as_seed(chosen.seed)):
            complete = [row._replace(**columns) for row in rows]
            report.rows += complete
            report.notes += notes
            if chosen.output is not None:
                write_rows(chosen.output, complete)
        present(report, chosen.json)
    except (ValueError, RuntimeError, OSError) as error:
        sys.exit(f"{parser.prog}: {error}")
    except KeyboardInterrupt:
        sys.exit(f"{parser.prog}: interrupted")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark of ops as a script, with options that need no package.

    A bad value, or a kernel that differs from its twin, ends in one sentence and a non-zero status.
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
        sys.exit(f"{parser.prog}: interrupted")
