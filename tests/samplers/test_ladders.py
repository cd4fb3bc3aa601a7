"""What was measured at several inverse temperatures at once, in unusual ways."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import leaps_triton as lt

MODEL = lt.Ising((3, 3), beta=0.4)
BETAS = [0.0, 0.2, 0.4]
QUIET = pytest.mark.filterwarnings("ignore::leaps_triton.ShortChainWarning")


@QUIET
def test_chains_of_several_temperatures_find_where_they_begin(tmp_path: Path) -> None:
    move = lt.ParallelTempering(betas=BETAS)
    names = ["energy", "specific_heat_at_betas"]
    options: dict[str, Any] = {"burn_in": "auto", "observables": names, "device": "cpu"}
    chain = lt.run_chain(MODEL, move, 4, 40, **options)
    assert chain.beginning is not None and chain.beginning.observable in (*names, "")
    file = lt.io.run_chain(MODEL, move, 4, 40, tmp_path / "c.h5", **options)
    again: Any = lt.io.read(tmp_path / "c.h5")
    assert file.beginning == again.beginning == chain.beginning
    assert len(again.by_beta) == 3
    scan = lt.scan(MODEL, BETAS, sweeps=100, walkers=4, burn_in="auto", device="cpu")
    assert scan.method == "chains" and len(scan.runs) == 3


def test_replicas_that_are_never_exchanged_lack_no_exchanges() -> None:
    scan = lt.scan(MODEL, BETAS, sweeps=400, walkers=8, device="cpu")
    assert not any("exchange" in doubt.reason for doubt in scan.result.doubts)


def test_a_broken_ladder_is_among_the_cautions_of_a_scan() -> None:
    glass = lt.EdwardsAnderson((6, 6), beta=3.0, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scan = lt.scan(glass, [0.0, 3.0], "tempering", sweeps=30, walkers=4, device="cpu")
        said = scan.cautions
    assert any("no replica came from beta 0 to the target" in caution for caution in said)


@QUIET
def test_inverse_temperatures_may_be_arrays() -> None:
    options: dict[str, Any] = {"sweeps": 20, "walkers": 2, "device": "cpu"}
    array: Any = np.array(BETAS[::-1])[::-1]
    assert lt.scan(MODEL, array, **options).betas == tuple(BETAS)
    path = lt.AnnealingPath(MODEL)
    times = lt.schedules.through(path, array[1:], 4)
    assert torch.equal(times, lt.schedules.through(path, BETAS[1:], 4))


def test_times_through_temperatures_of_a_falling_path_increase() -> None:
    class Cold:
        log_z = 0.0

        def sample(self, walker_index: Tensor, seed: int) -> Tensor:
            return torch.zeros(len(walker_index), 3, 3, dtype=torch.int8)

    path = lt.AnnealingPath(MODEL, Cold(), schedule=lambda t: 2.0 - t)
    times = lt.schedules.through(path, [0.4, 0.5, 0.6, 0.8], 5)
    assert bool((times.diff() > 0).all())
    frozen = path.beta(lt.Jump(times).frozen)
    for beta in (0.5, 0.6):
        assert float((frozen - beta).abs().min()) < 1e-12


@QUIET
def test_an_own_observable_may_be_called_as_one_at_all_temperatures() -> None:
    def first(configurations: Tensor, model: Any) -> Tensor:
        return configurations.flatten(1)[:, 0].double()

    chain = lt.run_chain(
        MODEL, lt.HeatBath(), 2, 10, observables={"mine_at_betas": first}, device="cpu"
    )
    assert chain.by_beta == ()
