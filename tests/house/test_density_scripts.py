"""Scripts of densities and of curves between them, run small."""

from pathlib import Path
from typing import Any

import pytest

from running_scripts import figured, script, short_burn_ins, told

pytest.importorskip("tyro")


def smoke(
    name: str, kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch, **constants: Any
) -> Any:
    """Return the result of a script's smallest run.

    Args:
        name: of the script.
        kind: of its settings.
        folder: for what it writes.
        monkeypatch: undoes what is changed.
        constants: of the script, other than they are there.
    """
    module = script(f"densities/{name}", monkeypatch)
    short_burn_ins(monkeypatch)
    for constant, value in constants.items():
        monkeypatch.setattr(module, constant, value)
    file = folder / f"{name}.json"
    told(module.main, getattr(module, kind)(smoke=True, results=folder), file)
    return figured(file)


def test_two_modes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = smoke("two_modes", "TwoModes", tmp_path, monkeypatch, FRAMES=9, PANELS=200)
    curves = result["curves"]
    assert set(curves) == {
        *("linear", "Ornstein–Uhlenbeck"),
        *("free path", "Máté–Fleuret", "gradient flow"),
    }
    # Four times give the integrals to a percent.
    assert curves["linear"]["at_tenths"] == pytest.approx([4.122167, 5.809158, 51.572967], rel=1e-5)
    assert curves["Ornstein–Uhlenbeck"]["integral"] == pytest.approx(2.887, rel=0.02)
    for row in result["rows"]:
        # Five masses of few walkers, whose errors are rough: 5σ is beyond 1e-5.
        assert abs(row["masses"][0] - 0.2) < 5.0 * row["mass_errors"][0]


def test_densities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = smoke("densities", "Densities", tmp_path, monkeypatch)
    rows = result["cases"]["two"]["rows"]
    methods = ["AIS", "SMC", "drift", "free path", "Máté–Fleuret", "gradient flow"]
    assert [row["method"] for row in rows] == methods
    for row in rows:
        # Six values of log Z along curves that were hardly trained: errors are rough.
        assert abs(row["log_z_pull"]) < 5.0
        assert 0.0 < row["ess"] <= 1.0
        for key, rate in row.get("training_included", {}).items():
            assert 0.0 < rate < row[key]


def test_density_goals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = smoke("density_goals", "Goals", tmp_path, monkeypatch)
    assert result["pairs"]["log_z"] == pytest.approx(164.695675313, abs=1e-8)
    assert [row["method"] for row in result["forty"]["rows"]] == ["AIS", "SMC", "free path"]
    for row in result["four"]["rows"]:
        assert sum(row["masses"]) == pytest.approx(1.0, abs=1e-4)


def test_gauss_newton(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = smoke(
        "gauss_newton", "Comparison", tmp_path, monkeypatch, POINTS=3, EXACT_STEPS=(8, 16)
    )
    assert set(result["cases"]) == {"double well, 1D", "four modes, 2D"}
    for case in result["cases"].values():
        assert case["pilot"]["learning_rate"] == 0.01
        (row,) = case["rows"]
        # No choice was made on a seed that is reported.
        assert row["seed"] != case["pilot"]["seed"]
        for key in ("adam", "gauss_newton"):
            assert row[key]["trace"][-1][1] == row[key]["grid_residual"]
            for name, found in row[key]["drawn"].items():
                # Of 64 walkers, errors are rough; what is biased has the bias of its steps.
                if "exact" in name:
                    assert abs(found["log_z_off"]) < 5.0 * found["log_z_error"]
