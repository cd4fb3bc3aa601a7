"""Compile every kernel variant without a GPU and write what it uses.

The table is experiments/results/kernel_resources.csv. It has the rows of every version of Triton
that it was written with. Of the version at hand all are written anew, or some and what is missing:
rows that are not there, or whose hash is another now. Those of other versions stay as long as their
variant does.

    python experiments/gpu/kernel_resources.py
    python experiments/gpu/kernel_resources.py --missing --processes 2
    python experiments/gpu/kernel_resources.py --only 'sweeps heat_bath' clusters

Spills are bytes per thread that went to memory; shared memory is bytes per program; instructions
are those of the machine code, fences those of them that wait for the memory of the whole device.
The source is a hash of all that the machine code follows from.
"""

import argparse
import csv
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

import triton

from leaps_triton.kernels.compiled import resources
from leaps_triton.kernels.compiled.compiling import fingerprint
from leaps_triton.kernels.compiled.prewarm import prewarm

FILE = Path(__file__).parents[1] / "results" / "kernel_resources.csv"
COLUMNS = ("kernel", "target", "warps", *resources.Resources._fields, "triton", "source")

Row: TypeAlias = dict[str, str]
Key: TypeAlias = tuple[str, str]
"""Names of a variant and of a target."""


def read(file: Path = FILE) -> list[Row]:
    """Return the rows of the table, none if it is not there."""
    if not file.exists():
        return []
    with file.open(newline="", encoding="utf-8") as table:
        return list(csv.DictReader(table))


def measured(keys: Iterable[Key], processes: int | None) -> list[Row]:
    """Compile variants and return their rows.

    Raises:
        RuntimeError: If one of them cannot be compiled.
    """
    chosen = list(keys)
    table = resources.variants()
    for target in (resources.TARGET, *resources.OTHER_TARGETS):
        wanted = {name: table[name] for name, other in chosen if other == target}
        found = prewarm(wanted, target, processes, progress=print)
        for name, result in found.items():
            if isinstance(result, str):
                raise RuntimeError(f"{name} cannot be compiled for {target}: {result}")
    rows = []
    for name, target in chosen:
        used = resources.measure(table[name], target)._asdict()
        values = {"kernel": name, "target": target, "warps": table[name].warps, **used}
        row = {column: str(value) for column, value in values.items()}
        source = fingerprint(table[name], target)
        rows.append({**row, "triton": triton.__version__, "source": source})
    return rows


def number(version: str) -> tuple[int, ...]:
    """Return a version as numbers, to put versions in order."""
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())


def holds(row: Row, anew: tuple[str, ...]) -> bool:
    """Return whether a row of the version at hand stays."""
    if row["kernel"].startswith(anew):
        return False
    variant = resources.variants()[row["kernel"]]
    return row["source"] == fingerprint(variant, row["target"])


def table(anew: tuple[str, ...], processes: int | None) -> list[Row]:
    """Return the rows of the table; those whose names begin as ``anew`` says are measured anew."""
    keys = resources.cases()
    here = triton.__version__
    # Rows of variants that are no more go, those of other columns are measured anew.
    known = [row for row in read() if (row["kernel"], row["target"]) in keys]
    known = [row for row in known if set(row) == set(COLUMNS)]
    known = [row for row in known if row["triton"] != here or holds(row, anew)]
    present = {(row["kernel"], row["target"]) for row in known if row["triton"] == here}
    known += measured((key for key in keys if key not in present), processes)
    place = {key: i for i, key in enumerate(keys)}
    return sorted(known, key=lambda r: (number(r["triton"]), place[r["kernel"], r["target"]]))


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description="Writes what every kernel variant uses.")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--missing", action="store_true", help="measure only what has no row that holds"
    )
    which.add_argument("--only", nargs="+", default=[""], help="and variants that begin so")
    parser.add_argument("--processes", type=int, default=None, help="that compile at a time")
    chosen = parser.parse_args()
    anew = tuple(chosen.only)
    if chosen.missing:
        anew = ()
    rows = table(anew, chosen.processes)
    with FILE.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
