"""Moves in checkpoints: every one returns, and those of earlier versions go on."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from checkpoint_cases import MODELS

import leaps_triton as lt
from leaps_triton.io import checkpoint, parts
from leaps_triton.io.packing import Contents

MOVES: dict[str, Any] = {
    "HeatBath": lt.HeatBath(2, backward=True),
    "Metropolis": lt.Metropolis(3),
    "Overrelaxation": lt.Overrelaxation(2),
    "SwendsenWang": lt.SwendsenWang(2),
    "Wolff": lt.Wolff(3),
    "KineticMonteCarlo": lt.KineticMonteCarlo(0.5, "square_root", max_events=5000),
    "KineticMonteCarlo by default": lt.KineticMonteCarlo(),
    "Compose": lt.Compose(lt.HeatBath(2), lt.Compose(lt.Wolff(), lt.Metropolis())),
}


@pytest.mark.parametrize("mcmc", MOVES.values(), ids=MOVES)
def test_every_move_returns(mcmc: Any, tmp_path: Path) -> None:
    path = lt.AnnealingPath(lt.Clock((2, 3), q=4, beta=0.5))
    sampler = lt.Sampler(path, None, lt.Jump(2), mcmc, device="cpu")
    lt.save(sampler, tmp_path / "s.safetensors")
    assert lt.load(tmp_path / "s.safetensors", device="cpu").mcmc == sampler.mcmc


def test_a_move_is_stored_as_before() -> None:
    """Files of heat baths say what they always said, so that training that they began can go on."""
    path = lt.AnnealingPath(MODELS["ising"])
    contents = checkpoint.describe(lt.Sampler(path, None, mcmc=lt.HeatBath(3), device="cpu"))
    assert contents.manifest["mcmc"] == {"class": "HeatBath", "sweeps": 3}


def test_the_rest_of_a_move_is_always_stored() -> None:
    """The default too, which may change; without it a file means 0, and says so when it is read."""
    metropolis = parts.describe_move(lt.Metropolis(packed=False))
    assert metropolis == {"class": "Metropolis", "sweeps": 1, "rest": 0.125}
    wolff = parts.describe_move(lt.Wolff(2, rest=0.0))
    assert wolff == {"class": "Wolff", "clusters": 2, "rest": 0.0}
    for move in (lt.Metropolis(), lt.Wolff()):
        assert f"rest={move.rest}" in repr(move)
        assert parts.rebuild_move(parts.describe_move(move)) == move


def test_a_move_without_its_rest_is_one_of_an_earlier_version() -> None:
    old: Any = {"class": "ParallelTempering", "fractions": [0.5, 1.0]}
    old["kernel"] = {"class": "Metropolis", "sweeps": 2, "backward": True}
    before = json.dumps(old)
    message = "a file of an earlier version has no rest of Metropolis, goes on as before, and may"
    with pytest.warns(lt.NotErgodicWarning, match=message) as said:
        move = parts.rebuild_move(old)
    assert len(said) == 1 and "take rest=0.125" in str(said[0].message)
    inner = lt.Metropolis(2, backward=True, rest=0.0, packed=False)
    assert move == lt.ParallelTempering([0.5, 1.0], inner)
    # As one description it is that of the move which goes on with it.
    model = {"class": "Ising"}
    for key in ("kernel", "mcmc"):
        whole = parts.completed(Contents({"model": model, key: old}, {}))
        assert whole.manifest == {"model": model, key: parts.describe_move(move)}
    assert json.dumps(old) == before


def test_training_of_an_earlier_version_goes_on_without_a_rest(tmp_path: Path) -> None:
    """And names the rest to whom it is not the same."""
    path, file = lt.AnnealingPath(MODELS["ising"]), tmp_path / "t.safetensors"

    def trainer(rest: float) -> lt.Trainer:
        network = lt.LocalRates(path.model)
        move = lt.Metropolis(2, rest=rest)
        sampler = lt.Sampler(path, network, lt.Jump(2), move, block=4, device="cpu")
        config = lt.TrainingConfig(steps=2, times=2, walkers=4, buffer=8, rollout=4)
        return lt.Trainer(sampler, config)

    trainer(0.0).save(file)
    contents = checkpoint.read(file)
    del contents.manifest["mcmc"]["rest"]
    checkpoint.write(file, contents)
    trainer(0.0).resume(file)
    with pytest.raises(ValueError, match=r"mcmc.rest 0.0 \(now 0.125\); use the same"):
        trainer(0.125).resume(file)


class _MyMove(lt.HeatBath):
    pass


def test_moves_that_are_not_registered_are_refused(tmp_path: Path) -> None:
    path = lt.AnnealingPath(MODELS["ising"])
    for kernel in (_MyMove(), lt.Compose(lt.HeatBath(), _MyMove())):
        with pytest.raises(
            ValueError, match=r"move must be one of .*HeatBath, .*got _MyMove; put @lt"
        ):
            lt.save(lt.Sampler(path, None, mcmc=kernel, device="cpu"), tmp_path / "s.safetensors")
    assert os.listdir(tmp_path) == []
