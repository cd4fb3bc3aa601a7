"""The experiments that compare samplers, each in its short form."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tyro")

ROOT = Path(__file__).parents[2]


def run(name: str, folder: Path, *options: str) -> dict[str, Any]:
    """Return the result of an experiment with ``--smoke``.

    It must name nothing of the machine and leave a figure.
    """
    script = ROOT / "experiments" / "physics" / f"{name}.py"
    command = [sys.executable, str(script), "--smoke", "--results", "results", *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    text = (folder / "results" / f"{name}.json").read_text(encoding="utf-8")
    assert str(folder) not in text
    assert (folder / "results" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    result: dict[str, Any] = json.loads(text)
    assert result["device"] and result["versions"]["commit"]
    return result


def test_samplers_at_equal_time(tmp_path: Path) -> None:
    result = run("honest_comparison", tmp_path)
    quantities = {"energy", "m²", "log Z"}
    for case in result["cases"]:
        rates = {row["method"]: row["independent_samples_per_second"] for row in case["rows"]}
        classical = ["AIS", "SMC", "Swendsen-Wang", "heat bath", "default", "tempering"]
        networks = ["LEAPS, SymmetricConv", "LEAPS, LocalRates"][
            : 2 if "Ising" in case["model"] else 1
        ]
        assert list(rates) == networks + classical
        for method, found in rates.items():
            assert set(found) == quantities - (
                {"log Z"} if method in ("Swendsen-Wang", "heat bath", "default") else set()
            )
            assert all(rate > 0.0 for rate in found.values())
        for learned in case["rows"][: len(networks)]:
            assert (
                learned["training_seconds"] > 0.0
                and list(learned["break_even_seconds"]) == classical
            )
            for quantity in quantities:
                rate = learned["independent_samples_per_second"][quantity]
                assert learned["training_included"][quantity] < rate
                for other in classical:
                    theirs = rates[other].get(quantity)
                    if theirs is not None:
                        assert (learned["break_even_seconds"][other][quantity] is None) == (
                            theirs >= rate
                        )
        assert len(case["verdicts"]) == 3 * len(networks)
    said = [verdict for case in result["cases"] for verdict in case["verdicts"]]
    assert result["where_the_learned_samplers_lose"] == [
        verdict for verdict in said if "loses" in verdict
    ]


def test_classical_updates_run_without_other_packages(tmp_path: Path) -> None:
    rows = run("classical_updates", tmp_path, "--packages", "no_such_package")["rows"]
    names = {"heat bath", "Metropolis", "Swendsen-Wang", "Wolff", "default"}
    assert {row["algorithm"] for row in rows} == names
    for row in rows:
        assert row["independent_samples_per_second"] > 0.0 and row["tau_in_sweeps"] >= 0.5
        slowest, fastest = row["slowest_and_fastest"]
        assert slowest <= row["million_updates_per_second"] <= fastest
        assert abs(row["energy_pull"]) < 5.0
