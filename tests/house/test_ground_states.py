"""The experiment on ground states finds planted ones, alone and from max-cut files."""

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import leaps_triton as lt

pytest.importorskip("tyro")

SCRIPT = Path(__file__).parents[2] / "experiments" / "physics" / "ground_states.py"


@pytest.fixture(scope="module")
def experiment() -> Any:
    found = importlib.util.spec_from_file_location("ground_states", SCRIPT)
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    # A dataclass looks for its module there.
    sys.modules["ground_states"] = module
    found.loader.exec_module(module)
    return module


@pytest.mark.parametrize("shape", [(4, 4), (2, 6)])
def test_the_planted_energy_is_the_lowest(experiment: Any, shape: tuple[int, int]) -> None:
    coupling, energy = experiment.planted(shape, seed=3)
    model = lt.EdwardsAnderson(shape, 1.0, coupling=coupling)
    states = lt.exact.enumerate_configurations(shape, 2)
    assert float(model.energy(states).min()) == energy
    # Neither all alike nor a gauge transformed ferromagnet.
    assert energy > -float(coupling.abs().sum())
    assert float(model.energy(torch.ones(1, *shape, dtype=torch.int8))) > energy


def test_a_planted_file_is_solved_and_compared(
    experiment: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    coupling, energy = experiment.planted((6, 6), seed=1)
    forward = lt.Lattice((6, 6)).neighbours()[::2]
    lines = [
        f"{i + 1} {int(forward[d, i]) + 1} {-float(coupling[d].flatten()[i]):g}"
        for d in range(2)
        for i in range(36)
    ]
    file = tmp_path / "planted.txt"
    file.write_text("\n".join(["36 72", *lines]) + "\n")
    cut = (-float(coupling.sum()) - energy) / 2
    settings = experiment.GroundStates(
        file=file, shape=(6, 6), published=cut, walkers=4, temperatures=8, steps=40,
        results=tmp_path / "results",
    )  # fmt: skip
    found = experiment.search(settings, lt.read_couplings(file, (6, 6)))
    monkeypatch.setattr(experiment, "search", lambda settings, coupling: found)
    experiment.main(settings)
    result = json.loads((tmp_path / "results" / "ground_states.json").read_text())
    assert (result["energy"], result["cut"], result["passed"]) == (energy, cut, True)
    assert str(tmp_path) not in json.dumps(result)
    # Better than what was published is told, and is no failure.
    experiment.main(replace(settings, published=cut - 1))
    assert "LOWER than the known energy" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        experiment.main(replace(settings, published=cut + 1))
