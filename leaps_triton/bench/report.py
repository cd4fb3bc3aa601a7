"""The report of a run: for a program, and for a reader at 80 columns."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import fill
from typing import Any, TypeAlias

from ..files import write_text
from .agreement import Disagreement
from .timing import Row

__all__ = ["Report", "present", "table"]


@dataclass
class Report:
    """What a run measured.

    Attributes:
        provenance: Device, versions and commit.
        rows: Rows of the table.
        notes: What was left out, and why.
        disagreements: One message for every case whose kernel differs from its twin.
    """

    provenance: dict[str, str]
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    disagreements: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as a dictionary that JSON can hold."""
        return {
            "provenance": self.provenance,
            "rows": [row._asdict() for row in self.rows],
            "notes": self.notes,
            "disagreements": self.disagreements,
        }

    def raise_for_disagreements(self) -> None:
        """Raise a Disagreement if a kernel differed from its twin."""
        if not self.disagreements:
            return
        first, *others = self.disagreements
        if others:
            raise Disagreement(f"{first} (and {len(others)} cases more)")
        raise Disagreement(first)


def _duration(seconds: float) -> str:
    """Return seconds in the largest unit of which there is at least one."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.4g} {unit}"
    return f"{seconds / 1e-9:.4g} ns"


def _short(value: float) -> str:
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"


_Key: TypeAlias = tuple[str, str, str, int, str]
"""Op, model, lattice, walkers and variant of a line."""


def _groups(rows: list[Row]) -> dict[_Key, dict[str, Row]]:
    """Return the rows of each line of the table, by what they measure."""
    groups: dict[_Key, dict[str, Row]] = {}
    for row in rows:
        key = (row.kernel, row.model, row.shape, row.walkers, row.variant)
        # Metrics of one variant stand in one line.
        groups.setdefault(key, {})[row.metric] = row
    return groups


def _ceiling(op: str, value: float) -> str:
    """Return the line on what the device can do at most."""
    if op == "copy":
        return f"the device copies {value:.4g} GB/s"
    return f"the device makes {value:.3g} random words a nanosecond"


def _line(key: _Key, rows: dict[str, Row]) -> str:
    """Return one line of the table: the times of a variant, and what they mean."""
    _, model, shape, walkers, variant = key
    cells = f"  {model:6} {shape:8} {walkers:7} {variant:8}"
    # A benchmark of more than an op gives the processor's seconds instead.
    times = rows.get("seconds") or rows.get("cpu_seconds")
    if times:
        ratio = ""
        if times.ratio:
            ratio = f"{_short(times.ratio)}x"
        cells += f" {_duration(times.value):>9} {ratio:>8}"
    if "GB_per_s" in rows:
        row = rows["GB_per_s"]
        cells += f" {_short(row.value):>7} {row.ratio or 0.0:4.0%}"
    for metric, unit in (("words_per_ns", "words"), ("flips_per_ns", "flips")):
        if metric in rows:
            cells += f" {_short(rows[metric].value):>7} {unit}"
    return cells.rstrip()


def table(report: Report) -> str:
    """Return the report for a reader, at 80 columns: one line per variant.

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
    versions = f"torch {about['torch']}, triton {about['triton']}, commit {about['commit']}"
    lines = [f"{about['device']}; {versions}"]
    previous = ""
    for key, rows in _groups(report.rows).items():
        op, *_, variant = key
        # Ceilings are of the device, and stand above all ops.
        if variant == "ceiling":
            (row,) = rows.values()
            lines.append(_ceiling(op, row.value))
            continue
        if op != previous:
            header = f"  {'model':6} {'lattice':8} {'walkers':>7} {'variant':8} {'time':>9}"
            header += f" {'vs twin':>8} {'GB/s':>7} {'copy':>4} {'per ns':>13}"
            lines += ["", op, header]
            previous = op
        lines.append(_line(key, rows))
    for note in (*report.notes, *report.disagreements):
        lines.append(fill(f"note: {note}", 80))
    return "\n".join(lines)


def present(report: Report, file: Path | None = None) -> None:
    """Print a report and save it as JSON.

    Args:
        report: What is presented.
        file: Where it is saved; None for nowhere.

    Raises:
        Disagreement: If a kernel differed from its twin.
    """
    print(table(report), flush=True)
    if file:
        write_text(file, json.dumps(report.as_dict(), indent=2) + "\n")
        print(f"results: {file}")
    report.raise_for_disagreements()
