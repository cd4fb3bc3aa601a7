"""Scripts of continuous fields and of their moves, run small."""

import io
import json
import sys
from pathlib import Path

import pytest
import torch

from running_scripts import figured, script, short_burn_ins, told

pytest.importorskip("tyro")


def test_drifts_are_trained_from_one_lattice_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = script("fields/phi4_training", monkeypatch)
    short_burn_ins(monkeypatch)
    file = tmp_path / "phi4_training.json"
    settings = training.Settings(smoke=True, json=file, save=tmp_path / "drifts")
    found = told(training.main, settings, file)
    made = [(each["length"], each["optimizer"]) for each in found["trainings"]]
    assert made == [(4, "spring"), (4, "adam"), (6, "spring")]
    assert found["trainings"][0]["held_out_after"] < found["trainings"][0]["held_out_before"]
    assert "drift of the smaller lattice" in [row["sampler"] for row in found["rows"]]
    assert [each["length"] for each in found["chains"]] == [4, 6]
    names = sorted(each.name for each in (tmp_path / "drifts").iterdir())
    assert names == ["phi4-4.safetensors", "phi4-6.safetensors"]


def test_gates_hold_with_few_walkers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gates = script("fields/phi4_gates", monkeypatch)
    settings = gates.PhiFourGates(smoke=True, results=tmp_path)
    found = told(gates.main, settings, tmp_path / "phi4_gates.json")
    # With a fixed seed; of nine rows beyond 4σ is a false alarm in 2000.
    assert all(abs(row["pull"]) < 4.0 for row in found["rows"] if row["exact"])
    assert found["gate"]["free_field"]


def test_moves_of_fields_are_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    moves = script("benchmarks/bench_field_moves", monkeypatch)
    settings = moves.FieldMoves(lengths=(4,), walkers=4, seconds=1e-4)
    names = list(moves.cases(settings))
    assert names == ["HMC 4²", "Langevin 4²", "SignCluster 4²", "MapStep 4²"]
    # A process of its own would import everything anew.
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{name}\n" for name in names)))
    threads = torch.get_num_threads()
    moves.serve(settings)
    torch.set_num_threads(threads)
    steps = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(steps) == 4 and min(steps) > 0.0


def test_moves_are_told_in_trajectories(monkeypatch: pytest.MonkeyPatch) -> None:
    moves = script("benchmarks/bench_field_moves", monkeypatch)
    answers = {("twin", "HMC 4²"): 10.0, ("numba", "HMC 4²"): 50.0}
    monkeypatch.setattr(moves, "asked", lambda state, name: answers.get((state, name), 5.0))
    rows = moves.of_lattice(4, {"twin": "twin", "numba": "numba"}, moves.FieldMoves())
    assert rows[0]["milliseconds"] == {"twin": 100.0, "numba": 20.0}
    assert rows[0]["twin_over_numba"] == 5.0
    assert rows[3]["in_trajectories"] == {"twin": 2.0, "numba": 10.0}


def test_phi4(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    phi4 = script("fields/phi4", monkeypatch)
    short_burn_ins(monkeypatch)
    file = tmp_path / "phi4.json"
    told(phi4.main, phi4.PhiFour(smoke=True, results=tmp_path), file)
    result = figured(file)
    assert [row["length"] for row in result["scan"]] == [4, 6]
    for row in result["scan"]:
        # The identity holds at every coupling. Of six values 5σ is beyond 4e-6, and errors of short
        # chains are rough.
        columns = row["columns"]
        pairs = zip(columns["schwinger_dyson"], columns["schwinger_dyson_error"], strict=True)
        assert all(abs(value - 1.0) < 5.0 * error for value, error in pairs)
    comparison = result["comparison"]
    assert [row["method"] for row in comparison["rows"]] == ["NETS", "AIS", "SMC", "HMC"]
    for row in comparison["rows"]:
        assert abs(row["schwinger_dyson_pull"]) < 5.0
        assert row["effective_walkers_per_second"] > 0.0
    nets = comparison["rows"][0]
    assert comparison["training"]["steps"] == 4 and comparison["training"]["seconds"] > 0.0
    for key, rate in nets["training_included"].items():
        assert 0.0 < rate < nets[key]
