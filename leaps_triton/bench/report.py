"""The report of a run: for a program, and for a reader at 80 columns."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import fill
from typing import Any

from .agreement import Disagreement
from .timing import Row

__all__ = ["Report", "present", "table"]


@dataclass
class Report:
    """What a run measured.

    Attributes:
        provenance: device, versions and commit.
        rows: of the table.
        notes: on what was left out.
        disagreements: one message for every case whose kernel differs from its twin.
    """

    provenance: dict[str, str]
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    disagreements: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "provenance": self.provenance,
            "rows": [row._asdict() for row in self.rows],
            "notes": self.notes,
            "disagreements": self.disagreements,
        }

    def raise_for_disagreements(self) -> None:
        """Raise a Disagreement if a kernel differed from its twin."""
        if self.disagreements:
            others = len(self.disagreements) - 1
            raise Disagreement(
                self.disagreements[0] + (f" (and {others} cases more)" if others else "")
            )


def _duration(seconds: float) -> str:
    unit, scale = next(
        ((u, s) for u, s in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)) if seconds >= s), ("ns", 1e-9)
    )
    return f"{seconds / scale:.4g} {unit}"


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def table(report: Report) -> str:
    """The report for a reader, at 80 columns: one line a variant.

    Example:
        >>> row = Row("energy", "twin", "ising", "8x8", 64, "seconds", 2.5e-5)
        >>> print(table(Report({"device": "D", "torch": "2", "triton": "3", "commit": "c"}, [row])))
        D; torch 2, triton 3, commit c
        <BLANKLINE>
        energy
          model  lattice  walkers variant       time  vs twin    GB/s copy        per ns
          ising  8x8           64 twin         25 µs
    """
    about = report.provenance
    lines = [
        f"{about['device']}; torch {about['torch']}, triton {about['triton']}, "
        f"commit {about['commit']}"
    ]
    groups: dict[tuple[str, str, str, int, str], dict[str, Row]] = {}
    for row in report.rows:
        groups.setdefault((row.kernel, row.model, row.shape, row.walkers, row.variant), {})[
            row.metric
        ] = row
    previous = ""
    for (op, model, shape, walkers, variant), rows in groups.items():
        if variant == "ceiling":
            (row,) = rows.values()
            what = (
                "copies {:.4g} GB/s" if op == "copy" else "makes {:.3g} random words a nanosecond"
            )
            lines.append("the device " + what.format(row.value))
            continue
        if op != previous:
            header = f"  {'model':6} {'lattice':8} {'walkers':>7} {'variant':8} {'time':>9}"
            lines += ["", op, f"{header} {'vs twin':>8} {'GB/s':>7} {'copy':>4} {'per ns':>13}"]
            previous = op
        cells = f"  {model:6} {shape:8} {walkers:7} {variant:8}"
        times = rows.get("seconds") or rows.get("cpu_seconds")
        if times:
            ratio = times.ratio
            cells += f" {_duration(times.value):>9} {f'{_short(ratio)}x' if ratio else '':>8}"
        if "GB_per_s" in rows:
            row = rows["GB_per_s"]
            cells += f" {_short(row.value):>7} {row.ratio or 0.0:4.0%}"
        for metric, unit in (("words_per_ns", "words"), ("flips_per_ns", "flips")):
            if metric in rows:
                cells += f" {_short(rows[metric].value):>7} {unit}"
        lines.append(cells.rstrip())
    notes = [fill(f"note: {note}", 80) for note in (*report.notes, *report.disagreements)]
    return "\n".join([*lines, *notes])


def present(report: Report, file: Path | None = None) -> None:
    """Print a report and save it as JSON.

    Raises:
        Disagreement: a kernel differed from its twin.
    """
    print(table(report), flush=True)
    if file:
        file.write_text(json.dumps(report.as_dict(), indent=2) + "\n", encoding="utf-8")
        print(f"results: {file}")
    report.raise_for_disagreements()
