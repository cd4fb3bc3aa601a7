"""Chains that find their own beginning, in memory and in files, and chains that began too early."""

import warnings
from pathlib import Path
from typing import Any

import h5py
import pytest
import torch

import leaps_triton as lt
from leaps_triton.estimators import find_beginning
from leaps_triton.io import results
from leaps_triton.report import summary

GLASS = lt.EdwardsAnderson((6, 6), beta=1.0, disorder="gaussian", seed=1)
NAMES = ["energy", "specific_heat", "correlation"]
OPTIONS: dict[str, Any] = {
    "walkers": 64,
    "sweeps": 100,
    "seed": 3,
    "observables": NAMES,
    "device": "cpu",
}


def auto(file: Path, **options: Any) -> lt.io.ChainRun:
    defaults = {**OPTIONS, "burn_in": "auto", "every": 16, "configurations": True}
    return lt.io.run_chain(GLASS, lt.HeatBath(), file=file, **{**defaults, **options})


def test_a_glass_that_still_relaxes_is_seen() -> None:
    """The mean energy is more than four errors off, and the chains agree with one another."""
    chain = lt.run_chain(GLASS, lt.HeatBath(), **OPTIONS)
    with pytest.warns(lt.ShortChainWarning), pytest.warns(lt.DriftWarning):
        energy = chain.estimate("energy")
    assert energy.pull(lt.exact.energy(GLASS)) > 4 and energy.replica_q > 0.05
    assert energy.drift < -3.5 and not chain.enough


def test_a_chain_finds_its_beginning_and_says_so() -> None:
    whole = lt.run_chain(GLASS, lt.HeatBath(), **OPTIONS, burn_in=0, keep_configurations=True)
    chain = lt.run_chain(GLASS, lt.HeatBath(), **OPTIONS, burn_in="auto", keep_configurations=True)
    found = find_beginning(whole.values, whole.functions)
    assert chain.beginning == found and found.draw > 0 and found.observable in NAMES
    first = found.draw
    assert (chain.burn_in, chain.draws, chain.recorded) == (first, 100 - first, 100)
    for name in NAMES:
        assert torch.equal(chain.early[name], whole.values[name][:, :first])
        assert torch.equal(chain.values[name], whole.values[name][:, first:])
    assert whole.kept is not None and chain.kept is not None
    assert torch.equal(chain.kept, whole.kept[:, first:])
    assert f"beginning=after {first} of 100 draws ({found.observable})" in repr(chain)
    assert whole.beginning is None and whole.early == {} and "beginning" not in repr(whole)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lt.estimators.CautionWarning)
        text = summary.render(summary.measure(chain, ["energy"]))
    assert f"the chain begins: after {first} of 100 draws" in text


def test_thinned_chains_count_steps() -> None:
    chain = lt.run_chain(GLASS, lt.HeatBath(), **OPTIONS, burn_in="auto", thin=3)
    assert chain.beginning is not None and chain.recorded == 33
    assert chain.burn_in == 3 * chain.beginning.draw
    assert chain.burn_in + chain.sweeps == 99


@pytest.mark.parametrize("wrong", ["later", -1, 2.5])
def test_other_words_are_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="burn_in must be an integer of at least 0"):
        lt.run_chain(GLASS, lt.HeatBath(), 4, 10, burn_in=wrong, device="cpu")


def test_a_file_begins_where_the_chain_in_memory_does(tmp_path: Path) -> None:
    memory = lt.run_chain(GLASS, lt.HeatBath(), **OPTIONS, burn_in="auto")
    run = auto(tmp_path / "c.h5")
    assert run.complete and run.beginning == memory.beginning and run.draws == memory.draws
    assert run.progress == "chain, 100 of 100 draws of 64 walkers"
    for name in NAMES:
        assert torch.equal(run.values[name], memory.values[name])
        assert torch.equal(run.early[name], memory.early[name])
    with h5py.File(tmp_path / "c.h5") as file:
        # All draws are there, for whoever wants to begin elsewhere.
        assert file["observables/energy"].shape == (64, 100)
        draw, index = file.attrs["beginning"]
    assert run.beginning is not None
    assert (draw, NAMES[index]) == (run.beginning.draw, run.beginning.observable)


def test_a_file_that_grows_begins_anew(tmp_path: Path) -> None:
    whole = auto(tmp_path / "whole.h5", sweeps=150)
    half = auto(tmp_path / "halves.h5", sweeps=70)
    # Without a word of the burn-in it stays what the file was begun with.
    found = auto(tmp_path / "halves.h5", sweeps=150, burn_in=None, resume=True)
    assert (tmp_path / "whole.h5").read_bytes() == (tmp_path / "halves.h5").read_bytes()
    assert found.beginning == whole.beginning != half.beginning
    again = auto(tmp_path / "halves.h5", sweeps=150, resume=True)
    assert again.beginning == whole.beginning
    assert (tmp_path / "whole.h5").read_bytes() == (tmp_path / "halves.h5").read_bytes()
    with pytest.raises(ValueError, match=r"burn_in is auto in the file|other settings"):
        auto(tmp_path / "halves.h5", sweeps=150, burn_in=20, resume=True)


def test_a_file_keeps_the_beginning_that_stands_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "c.h5"
    written = auto(file)
    with h5py.File(file, "r+") as out:
        out.attrs.modify("beginning", [7, 1])
    read = lt.io.read(file)
    assert isinstance(read, results.ChainRun)
    assert read.beginning == (7, "specific_heat") and read.draws == 93
    with h5py.File(file, "r+") as out:
        out.attrs.modify("beginning", [-1, -1])
    assert lt.io.read(file).beginning == written.beginning  # type: ignore[union-attr]


def test_replicas_that_never_come_from_the_hottest_are_said_in_the_table() -> None:
    cold = lt.EdwardsAnderson((6, 6), beta=3.0, seed=1)
    names = ["energy"]
    stuck = lt.run_chain(
        cold, lt.ParallelTempering([0.01, 1.0]), 4, 60, observables=names, device="cpu"
    )
    assert int(stuck.state.arrivals.sum()) == 0 and "no replica came from" in stuck.shortage
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lt.estimators.CautionWarning)
        text = summary.render(summary.measure(stuck, names))
    assert "caution: in 66 rounds of exchanges no replica came from fraction 0.01" in text
    fractions = [0.2, 0.4, 0.6, 0.8, 1.0]
    moved = lt.run_chain(
        GLASS, lt.ParallelTempering(fractions), 8, 60, observables=names, device="cpu"
    )
    assert moved.doubts == [] and int(moved.state.arrivals.sum()) > 0
