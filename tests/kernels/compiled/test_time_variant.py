"""The script that times one variant: instructions without a GPU, and what a time needs."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("triton")

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "experiments" / "gpu" / "time_variant.py"


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.skipif(
    torch.cuda.is_available(), reason="there is a CUDA device, and times take theirs"
)
def test_one_variant_is_listed_and_its_instructions_counted() -> None:
    listed = run("--op", "jump_step")
    assert listed.returncode == 0, listed.stderr
    name = listed.stdout.splitlines()[0]
    made = run("--op", "jump_step", "--variant", name)
    assert made.returncode == 0, made.stderr
    lines = made.stdout.splitlines()
    assert lines[0] == f"{name} for sm_90, 1 warps"
    opcodes = lines[3 : lines.index("memory")]
    counts = {name: int(count) for name, count in map(str.split, opcodes)}
    assert sum(counts.values()) == int(lines[2].split()[0]) > 200
    # Rates are loaded, sums are in float64, and a state is stored as one byte.
    assert counts["LDG"] > 0 and counts["DADD"] > 0
    assert any(line.startswith("  STG.E.U8") for line in lines)
    assert "there is no CUDA device" in lines[-1]


def test_a_variant_that_is_not_there_is_refused() -> None:
    made = run("--op", "energy", "--variant", "sweeps")
    assert made.returncode == 2 and "energy has no variant 'sweeps'" in made.stderr
