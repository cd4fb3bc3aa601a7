"""The process keeps the memory that evaluations free: once, at the first of them."""

import os
import subprocess
import sys
from pathlib import Path

import torch

import leaps_triton as lt
from leaps_triton.bench.timing import read_rows
from leaps_triton.networks import base

ROOT = Path(__file__).parents[2]

SCRIPT = """
import leaps_triton as lt, torch
from leaps_triton.networks import base
calls = lambda: base.keep_freed_memory.cache_info()
assert calls().misses == 0
model = lt.Ising((4, 4), beta=0.4)
path = lt.AnnealingPath(model)
network = lt.HollowConv(model, kernel_size=3, channels=4, width=8)
x = path.start.sample(torch.arange(2), 0)
assert calls().misses == 0
network(x, path.conditions(0.5))
network(x, path.conditions(0.5))
assert calls().misses == 1 and calls().hits == 1
"""


def run(*command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_nothing_is_allocated_before_the_first_evaluation() -> None:
    found = run("-c", SCRIPT)
    assert found.returncode == 0, found.stderr


def test_a_follower_sees_to_it_too() -> None:
    model = lt.Ising((4, 4), beta=0.4)
    path = lt.AnnealingPath(model)
    network = lt.HollowConv(model, kernel_size=3, channels=4, width=8, incremental=True)
    follower = network.follow(2)
    assert follower is not None
    base.keep_freed_memory.cache_clear()
    follower(path.start.sample(torch.arange(2), 0), path.conditions(0.5))
    assert base.keep_freed_memory.cache_info().misses == 1


def test_its_benchmark_writes_both_times(tmp_path: Path) -> None:
    table = tmp_path / "times.csv"
    script = ROOT / "experiments" / "benchmarks" / "freed_memory.py"
    found = run(str(script), "--smoke", "--device", "cpu", "--output", str(table))
    assert found.returncode == 0, found.stderr
    rows = read_rows(table)
    assert [row.variant for row in rows] == ["memory freed", "memory kept"]
    assert all(row.value > 0.0 for row in rows)
