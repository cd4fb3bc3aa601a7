"""Compile every kernel variant without a GPU and write what it uses.

The table is experiments/results/kernel_resources.csv.

    python experiments/gpu/kernel_resources.py

Spills are bytes per thread (NVIDIA) or registers per thread (AMD); shared memory is bytes per
program.
"""

import csv
from pathlib import Path

import triton

from leaps_triton.kernels.compiled import resources

FILE = Path(__file__).parents[1] / "results" / "kernel_resources.csv"
COLUMNS = ("kernel", "target", "warps", "registers", "spills", "shared", "triton")


def rows() -> list[tuple[object, ...]]:
    """One row a variant and target, in the order of the tables."""
    table: list[tuple[object, ...]] = []
    for name, variant in resources.variants().items():
        targets = (
            resources.TARGET,
            *(resources.OTHER_TARGETS if name in resources.others() else ()),
        )
        for target in targets:
            table.append(
                (
                    name,
                    target,
                    variant.warps,
                    *resources.measure(variant, target),
                    triton.__version__,
                )
            )
    return table


def main() -> None:
    """Write the table."""
    with FILE.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows())


if __name__ == "__main__":
    main()
