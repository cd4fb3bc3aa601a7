"""What is to be reached on an H100 or H200, what was predicted, and what was measured.

    python experiments/gpu/gpu_goals.py [FOLDER]

prints the table of docs/kernels.md, from the ``kernels.csv`` of folders of results, or from the
committed ones, ``experiments/results/gpu*.csv``. Predictions were read off machine code and data
sheets, before anything had run on a GPU.
"""

import csv
import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

NOT_YET = "not yet measured"


@dataclass(frozen=True)
class Goal:
    """One number that the run measures.

    Attributes:
        name: In words.
        pick: Values of the columns of a row by name; a column left out may have any.
        unit: Of the number.
        prediction: In words, before it was measured; empty where there is none.
        least: The number must be at least this.
        most: Or at most this, in magnitude.
        ratio: Whether the number is the row's ratio to its baseline.
        scale: Factor from the row to the unit.
    """

    name: str
    pick: dict[str, str]
    unit: str
    prediction: str = ""
    least: float | None = None
    most: float | None = None
    ratio: bool = False
    scale: float = 1.0

    @property
    def target(self) -> str:
        """Return in words what the number must be."""
        if self.least is not None:
            return f"≥ {self.least:g}"
        if self.most is not None and self.most > 0:
            return f"≤ {self.most:g}"
        if self.most is not None:
            return "0"
        return "–"

    def verdict(self, value: float) -> str:
        """Return whether a number reaches the target; empty where there is none."""
        if self.least is None and self.most is None:
            return ""
        # Written so that NaN fails.
        if self.least is not None:
            passed = value >= self.least
        else:
            passed = abs(value) <= (self.most or 0.0)
        return "passed" if passed else "failed"


def _row(kernel: str, metric: str, **others: str) -> dict[str, str]:
    return {"kernel": kernel, "metric": metric, **others}


def _whole(length: int) -> dict[str, str]:
    """Return the row of packed sweeps of one lattice."""
    return _row(PACKED, "flips_per_ns", shape=f"{length}x{length}", walkers="1")


def _flips(kernel: str, spins: int) -> dict[str, str]:
    """Return the row of the sweeps of so many spins on 64 x 64 sites."""
    return _row(kernel, "flips_per_ns", shape="64x64", walkers=str(spins // 4096))


PACKED = "packed_heat_bath_sweeps"
LARGE = {"shape": "64x64", "walkers": "4096", "variant": "graph"}
UNCACHED = {**LARGE, "walkers": "32768"}
"""Inputs and results of ΔE that no cache of a device holds."""


def _energies() -> list[Goal]:
    found = []
    for length in (16, 32):
        for temperature in ("2", "2.269", "3"):
            shape = f"{length}x{length}"
            about = f"energy, {length} × {length}, T = {temperature}"
            pick = {"kernel": f"energy T={temperature}", "shape": shape}
            found.append(
                Goal(f"{about}: off by", pick | {"metric": "pull"}, "σ", "within 4", most=4.0)
            )
            found.append(
                Goal(f"{about}: σ", pick | {"metric": "error"}, "10⁻⁵", "1", most=1.0, scale=1e5)
            )
    return found


def _rollouts() -> list[Goal]:
    predicted = {
        "4096": "15–17",
        "1024": "15–17",
        "4096 without graphs": "2.7",
        "1024 one by one": "0.9 without graphs",
        "4096 in tf32x3": "",
    }
    found = []
    for block, words in predicted.items():
        pick = _row("rollout", "events_per_s", variant=f"block {block}")
        least = None
        if block == "4096":
            least = 10.0
        name = f"`Jump`, HollowConv 16 × 16, blocks of {block}"
        found.append(Goal(name, pick, "10⁶ events/s", words, least=least, scale=1e-6))
    return found


GOALS = (
    Goal("ops unlike their twin, or not 30 times the same", _row("ops", "failures"), "", "0",
         most=0),
    Goal("errors of memcheck", _row("memcheck", "errors"), "", "0", most=0),
    Goal("compilation of what A and B launch", _row("prewarm", "seconds"), "s", "20–40"),
    Goal("copy", _row("copy", "GB_per_s"), "GB/s", "H100 3000, H200 4300"),
    Goal("random words", _row("philox", "words_per_ns", variant="ceiling"), "1/ns", "1100–1700"),
    Goal("LOP3", _row("lop3", "per_ns"), "1/ns", "16700"),
    Goal("IMAD.WIDE", _row("imad_wide", "per_ns"), "1/ns", "8400–16700"),
    Goal("launch of a kernel", _row("launches", "launch_us"), "µs", "5"),
    Goal("the same in a CUDA graph", _row("launches", "graph_launch_us"), "µs", "1–2"),
    Goal("an op, launch included", _row("launches", "op_us"), "µs", "10–50"),
    Goal("copy of a CPU tensor to the device", _row("launches", "to_device_us"), "µs", "10–20"),
    Goal("packed heat bath, 2²⁰ spins", _flips(PACKED, 2**20), "flips/ns", ""),
    Goal("packed heat bath, 2²⁴ spins", _flips(PACKED, 2**24), "flips/ns", "2600–2700", least=2500),
    Goal("packed heat bath, 2²⁸ spins", _flips(PACKED, 2**28), "flips/ns", "3090", least=2500),
    Goal("packed heat bath, one lattice of 4096²", _whole(4096), "flips/ns", "2940"),
    Goal("packed heat bath, one lattice of 16384²", _whole(16384), "flips/ns", "2940"),
    Goal("byte heat bath, 2²⁰ spins", _flips("heat_bath_sweeps", 2**20), "flips/ns", ""),
    Goal("byte heat bath, 2²⁴ spins", _flips("heat_bath_sweeps", 2**24), "flips/ns", "600–850",
         least=400),
    Goal("byte heat bath, 2²⁸ spins", _flips("heat_bath_sweeps", 2**28), "flips/ns", "600–850",
         least=400),
    *_energies(),
    Goal("ΔE, 64 × 64, of copy", _row("local_energy", "GB_per_s", **UNCACHED), "", "", least=0.8,
         ratio=True),
    Goal("ΔE, 64 × 64", _row("local_energy", "sites_per_ns", **UNCACHED), "sites/ns",
         "120–150 before this version"),
    Goal("rates, 64 × 64, of copy", _row("proposal_rates", "GB_per_s", **LARGE), "", "",
         least=0.8, ratio=True),
    Goal("rates, 64 × 64", _row("proposal_rates", "sites_per_ns", **LARGE), "sites/ns", "250–300"),
    *_rollouts(),
    Goal("fused LEC, forward, times as fast as eager",
         _row("lec_layer", "seconds", variant="kernel", shape="15x15"), "", "10", least=10,
         ratio=True),
    Goal("fused LEC, backward, times as fast as eager",
         _row("lec_layer_gradient", "seconds", variant="kernel", shape="15x15"), "", "4–6",
         least=4, ratio=True),
)  # fmt: skip


def read(files: Iterable[Path]) -> list[dict[str, str]]:
    """Return the rows of tables, each with the file it comes from as ``step``."""
    rows = []
    for file in files:
        with file.open(newline="", encoding="utf-8") as lines:
            rows += [{**row, "step": file.stem} for row in csv.DictReader(lines)]
    return rows


def found(goal: Goal, rows: list[dict[str, str]]) -> dict[str, str] | None:
    """Return the last row that a goal picks, None if there is none."""
    fitting = [row for row in rows if goal.pick.items() <= row.items()]
    if not fitting:
        return None
    return fitting[-1]


def value(goal: Goal, row: dict[str, str]) -> float:
    """Return the number of a row in the unit of a goal."""
    text = row["ratio"] if goal.ratio else row["value"]
    return float(text or math.nan) * goal.scale


def lines(rows: list[dict[str, str]], clocks: dict[str, str]) -> list[str]:
    """Return the table for a terminal.

    Args:
        rows: Those of all steps.
        clocks: The device's clock during each step, by its name.
    """
    width = max(len(goal.name) for goal in GOALS)
    header = f"{'goal':{width}} {'target':>8} {'measured':>10} {'':19} {'MHz':>5}  predicted"
    table = [header]
    for goal in GOALS:
        row = found(goal, rows)
        shown = NOT_YET
        verdict = ""
        clock = ""
        if row is not None:
            number = value(goal, row)
            shown = f"{number:10.4g} {goal.unit:12}"
            verdict = goal.verdict(number)
            clock = clocks.get(row["step"], "")
        cells = f"{goal.name:{width}} {goal.target:>8} {shown:23} {verdict:6} {clock:>5}  "
        table.append((cells + goal.prediction).rstrip())
    return table


def markdown(rows: list[dict[str, str]]) -> str:
    """Return the table of the documentation."""
    table = ["| on an H100 or H200 | target | predicted | measured |", "|---|---|---|---|"]
    for goal in GOALS:
        row = found(goal, rows)
        shown = NOT_YET
        if row is not None:
            number = value(goal, row)
            device = row["device"].removeprefix("NVIDIA ")
            shown = f"{number:.4g} ({device})"
            if goal.verdict(number) == "failed":
                shown += ", short of the target"
        name = goal.name
        if goal.unit:
            name += f", {goal.unit}"
        table.append(f"| {name} | {goal.target} | {goal.prediction or '–'} | {shown} |")
    return "\n".join(table)


def committed() -> list[Path]:
    """Return the tables that are committed; none before anything has run on a GPU."""
    results = Path(__file__).resolve().parents[1] / "results"
    return sorted(results.glob("gpu*.csv"))


def main() -> None:
    """Print the table of the documentation."""
    files = [Path(folder) / "kernels.csv" for folder in sys.argv[1:]]
    print(markdown(read(files or committed())))


if __name__ == "__main__":
    main()
