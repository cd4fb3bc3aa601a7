"""Scripts of experiments/, run small: they end well, and leave a table and a figure that name no place."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


def smoke(name: str, folder: Path) -> Any:
    """The result of a script's smallest run."""
    script = ROOT / "experiments" / f"{name}.py"
    command = [sys.executable, str(script), "--smoke", "--results", "results"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    text = (folder / "results" / f"{name}.json").read_text()
    for place in (ROOT, folder, sys.prefix, Path.home()):
        assert str(place) not in text
    assert (folder / "results" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    result = json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} in the result"))
    assert set(result["versions"]) == {"device", "leaps_triton", "torch", "triton", "python", "commit"}
    return result


def test_ising_thermodynamics(tmp_path: Path) -> None:
    result = smoke("ising_thermodynamics", tmp_path)
    # Two quantities of two lattices at four β. Of the mean of 16 squares, 4 is beyond 1e-7.
    assert result["pulls"]["number"] == 16
    assert result["pulls"]["mean_square"] < 4.0
    assert 0.0 < result["gate"]["worst_energy_error"] < 0.05
    assert result["gate"]["worst_pull"] < 4.0
