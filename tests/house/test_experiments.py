"""Scripts of experiments/, run small, end well and leave a table and a figure without places."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from running_scripts import figured, rehearse
from running_scripts import result as written

ROOT = Path(__file__).parents[2]


def smoke(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, where: str = "physics") -> Any:
    """Return the result of a script's smallest run."""
    rehearse(f"{where}/{name}", monkeypatch, "--results", str(folder))
    return figured(folder / f"{name}.json")


def test_ising_thermodynamics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = smoke("ising_thermodynamics", tmp_path, monkeypatch)
    # Two quantities of two lattices at four β. Of the mean of 16 squares, 4 is beyond 1e-7.
    assert result["pulls"]["number"] == 16
    assert result["pulls"]["mean_square"] < 4.0
    assert 0.0 < result["gate"]["worst_energy_error"] < 0.05
    assert result["gate"]["worst_pull"] < 4.0


def test_potts_transition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = smoke("potts_transition", tmp_path, monkeypatch)
    continuous, first_order = result["models"]
    assert (continuous["q"], continuous["small"]["periodic"]) == (3, [True, True])
    assert (first_order["q"], first_order["small"]["periodic"]) == (10, [False, True])
    assert result["gate"]["passed"]
    # Baxter's latent heat of q = 10 is 0.69605.
    ordered, disordered = first_order["energies_infinite"]
    assert disordered - ordered == pytest.approx(0.69605, abs=1e-5)
    assert continuous["energies_infinite"][0] == continuous["energies_infinite"][1]
    assert first_order["coexistence"]["6"]["peak_over_valley"] > 1.0
    law = continuous["laws"]["6"]
    width = law["energy"][1] - law["energy"][0]
    assert sum(law["density"]) * width == pytest.approx(1.0)


def test_compare_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = smoke("compare_networks", tmp_path, monkeypatch)
    names = ["no network", "LEM", "LEA", "LEC", "LETransformer", "HollowConv", "LocalRates"]
    assert len(result["cases"]) == 2
    for case in result["cases"]:
        assert [row["network"] for row in case["rows"]] == names
        for row in case["rows"][1:]:
            # A LEM of three states joins all pairs of sites with more.
            assert row["network"] == "LEM" or abs(row["parameters"] / 2000 - 1.0) < 0.25
            assert (
                row["evaluation_MiB"] > 0
                and row["training_step_MiB"] > 0
                and row["evaluations_a_second"] > 0
            )
            assert row["equal_steps"]["steps"] == 5
            for found in (row["equal_steps"], row["equal_seconds"]):
                assert not found["diverged"]
                assert 1 / found["walkers"] <= found["ess"] <= 1.0
                assert found["log_weight_variance_per_site"] > 0


def test_spin_glass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = smoke("spin_glass", tmp_path, monkeypatch)
    assert result["gate"]["passed"]
    small, large = result["small"], result["large"]
    assert small["mean_square_pull"] < 6.0
    assert abs(small["overlap_squared_pull"]) < 4.0
    for law in (small["law"], small["law_exact"]):
        assert sum(law["density"]) * 2.0 / len(law["density"]) == pytest.approx(1.0, abs=1e-4)
    assert set(large["methods"]) == {"parallel tempering", "with Houdayer"}
    assert all(found["arrivals"] > 0 for found in large["methods"].values())


def test_kernel_gates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "gates.json"
    rehearse("gpu/kernel_gates", monkeypatch, "--json", str(file))
    rows = json.loads(file.read_text())["rows"]
    assert len(rows) == 7 and not any(row["passed"] for row in rows)
    # Fourteen pulls of few walkers, whose errors are rough: normal ones are beyond 5 with
    # probability 1e-5.
    assert all(
        abs(row[f"{name}_pull"]) < 5.0 for row in rows for name in ("energy", "specific_heat")
    )


@pytest.mark.parametrize(
    "words",
    [
        "critical",
        "conditioned",
        "conditioned --what fields",
        "conditioned --what instances",
    ],
)
def test_learned_samplers(words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, *options = words.split()
    places = ("--results", str(tmp_path / "results"), "--save", str(tmp_path / "trained"))
    rehearse(f"learned/{name}", monkeypatch, *options, *places)
    files = list((tmp_path / "results").glob("*.json"))
    assert len(files) == 1 and files[0].with_suffix(".png").exists()
    for network in written(files[0])["networks"]:
        # One stage or two, four points each.
        assert len(network["curve"]) in (4, 8)
        for row in network["rows"]:
            assert 0.0 < row["ess"] <= 1.0
            # Of networks that were hardly trained, about twenty in all: errors are rough.
            assert abs(row["log_z_pull"]) < 6.0
    assert list((tmp_path / "trained").glob("*.safetensors"))


def test_oscillators(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = smoke("oscillators", tmp_path, monkeypatch, "learning")
    pair = result["parts"]["pair"]["rows"]
    field = result["parts"]["phi4"]["rows"]
    assert [len(pair), len(field)] == [3, 4]
    for row in (*pair, *field):
        # Seven values of log Z of few walkers with heavy tails, whose errors are rough.
        assert abs(row["log_z_pull"]) < 5.0
        assert row["update_left"] < 1e-8
    score = result["parts"]["phi4"]["score_matching"]
    assert score["exact"] == [0.0, 6.975, 2.0]


def test_graphs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = smoke("graphs", tmp_path, monkeypatch, "learning")
    assert len(result["cases"]) == 5
    # Eleven values of short chains and few walkers: errors are rough.
    assert result["gate"]["number"] == 11
    assert result["gate"]["worst_pull"] < 5.0


def test_mode_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = smoke("mode_weights", tmp_path, monkeypatch, "learning")
    # The sum over all configurations with M > 0, and half of those with M = 0.
    assert 0.71 < result["up"] < 0.73
    assert list(result["parts"]) == ["h", "K and h"]
    for rows in result["parts"].values():
        assert [row["negative"] for row in rows] == ["exact", "Jarzynski", "PCD", "CD-1"]
        # Two values of 50 witnesses, whose errors are rough.
        assert abs(rows[1]["log_z_off"]) < 5.0 * rows[1]["log_z_error"]
    # The first steps go from 0.2 towards 0.7.
    assert 0.25 < result["parts"]["K and h"][0]["coupling"] < 0.7


def test_inverse_ising(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = smoke("inverse_ising", tmp_path, monkeypatch, "learning")
    scores = {row["method"]: row["score"] for row in result["rows"]}
    # Four of the sixteen entries of a row are σ = 0.1.
    assert scores["J = 0"] == pytest.approx(-0.5 * math.log(0.1**2 * 4 / 16), abs=1e-4)
    assert scores["known bonds, PL"] > scores["J = 0"] + 0.5
    # A few steps on all pairs, from J = 0.
    for method in ("ED", "ED, L1 0.006", "PCD, L1 0.03", "Jarzynski, L1 0.03"):
        assert scores[method] > scores["J = 0"]


def test_potts_couplings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = smoke("potts_couplings", tmp_path, monkeypatch, "learning")
    for row in result["random"]["rows"]:
        # Couplings are drawn with a spread of 0.4.
        assert row["couplings_off"] < 0.4


def test_bars_and_stripes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = smoke("bars_and_stripes", tmp_path, monkeypatch, "learning")
    assert result["best"] == pytest.approx(-3.4012, abs=1e-4)
    assert all(row["log_likelihood"] <= result["best"] for row in result["rows"])


def test_rbm_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is an extra: pip install scikit-learn")
    result = smoke("rbm_digits", tmp_path, monkeypatch, "learning")
    assert len(result["rows"]) == 6


# As a command, as users run them all.
def test_max_cut(tmp_path: Path) -> None:
    script = ROOT / "experiments" / "learning" / "max_cut.py"
    command = [sys.executable, str(script), "--smoke", "--results", "results"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    result = json.loads((tmp_path / "results" / "max_cut.json").read_text())
    assert result["verdict"] == "the best known cut"
