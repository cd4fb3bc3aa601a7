"""Resampling of weighted walkers by blocks, and where they start."""

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from helpers import index_of, pulls, sigma_threshold
from leaps_triton.learning.negatives import starts
from leaps_triton.learning.negatives.jarzynski import ensemble_of
from leaps_triton.learning.negatives.weighed import Handling, WeighedWalkers, carried, resampled

FLOAT64 = torch.float64


def travelling(log_weights: Tensor) -> WeighedWalkers:
    """Return walkers whose configuration is their number."""
    names = torch.arange(len(log_weights), dtype=torch.int8).unsqueeze(1)
    return WeighedWalkers.begin(names, log_weights)


def test_each_block_of_low_ess_is_drawn_anew_among_itself() -> None:
    # Walkers of the first and the last block, which is short, are of unequal weight.
    log_weights = torch.tensor([0.0, 9.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, -3.0, 5.0], dtype=FLOAT64)
    walkers = travelling(log_weights)
    found = resampled(walkers, Handling(lt.HeatBath(), seed=3, resample_below=0.7, block=4))
    assert found.resampled.tolist() == [2]
    names = found.configurations.flatten().tolist()
    assert set(names[:4]) <= {0, 1, 2, 3} and names.count(1) >= 3
    assert names[4:8] == [4, 5, 6, 7]
    assert names[8:] == [9, 9]
    for begin, end in ((0, 4), (4, 8), (8, 10)):
        before = log_weights[begin:end]
        after = found.log_weights[begin:end]
        torch.testing.assert_close(after.logsumexp(0), before.logsumexp(0), rtol=0.0, atol=1e-12)
    assert torch.equal(found.log_weights[4:8], log_weights[4:8])


def test_walkers_stay_where_all_are_alike() -> None:
    walkers = travelling(torch.zeros(6, dtype=FLOAT64))
    found = resampled(walkers, Handling(lt.HeatBath(), seed=3, resample_below=1.0, block=4))
    assert found.configurations is walkers.configurations
    assert found.resampled.tolist() == [0]


class Cooling:
    """Ising models of one lattice, of which ``θ`` is the coupling."""

    def at(self, theta: Tensor) -> lt.Ising:
        return lt.Ising((3, 3), 1.0, coupling=float(theta[0]), field=0.1)

    def u(self, configurations: Tensor, theta: Tensor) -> Tensor:
        return self.at(theta).energy(configurations)

    def refreshed(self, configurations: Tensor, *of_hidden_units: Any) -> Tensor:
        return configurations


def cooled(seed: int, walkers: int = 480, block: int = 16) -> lt.samplers.WeightedEnsemble:
    """Return walkers after four fast updates, in which blocks are resampled."""
    family = Cooling()
    thetas = torch.linspace(0.0, 0.3, 5, dtype=FLOAT64).unsqueeze(1)
    begun = starts.started(family.at(thetas[0]), walkers, lt.HeatBath(), seed)
    found = WeighedWalkers.begin(begun.configurations, begun.log_weights)
    handling = Handling(lt.HeatBath(), seed, resample_below=0.7, block=block)
    for before, after in itertools.pairwise(thetas):
        found = carried(family, found, before, after, handling)
    return ensemble_of(family.at(thetas[-1]), found, begun.log_z_start, seed, block)


def test_errors_after_a_resampling_are_those_of_blocks() -> None:
    runs = [cooled(seed) for seed in range(24)]
    assert all(run.resamplings.sum() > 3 and run.correlated == 16 for run in runs)
    exact = lt.exact.log_z(runs[0].model)
    off = torch.tensor([run.log_z - exact for run in runs], dtype=FLOAT64)
    errors = torch.tensor([run.log_z_error for run in runs], dtype=FLOAT64)
    # Normal numbers of variance 1: the mean square of 24 is within 0.3 and 2.4 but for 1e-4.
    assert 0.3 < float(((off / errors) ** 2).mean()) < 2.4
    mean = off.exp().mean()
    assert abs(float(mean) - 1.0) < 4.0 * float(off.exp().std()) / math.sqrt(24)


INDEPENDENT = {
    "ising": lt.Ising((2, 2), 0.7, coupling=0.0, field=torch.tensor([[0.3, -0.8], [0.0, 1.1]])),
    "potts": lt.Potts((2, 2), 3, 0.7, coupling=0.0, field=[0.4, 0.0, -0.9]),
}


@pytest.mark.parametrize("name", INDEPENDENT)
def test_independent_sites_are_drawn_from_their_law(name: str) -> None:
    model: Any = INDEPENDENT[name]
    begun = starts.started(model, 20000, lt.HeatBath(), seed=5)
    assert not begun.log_weights.any()
    target = lt.exact.enumerate_model(model)
    assert abs(begun.log_z_start - target.log_z) < 1e-12
    found = pulls(index_of(begun.configurations, model.q), target.log_probabilities.exp())
    assert found.abs().max() < sigma_threshold(len(found))
    few = starts.started(model, 10, lt.HeatBath(), seed=5)
    assert torch.equal(few.configurations, begun.configurations[:10])


def test_models_with_an_exact_route_are_drawn_by_it() -> None:
    model = lt.Ising((4, 4), 0.5, field=0.1)
    begun = starts.started(model, 50, lt.HeatBath(), seed=2)
    assert torch.equal(begun.configurations, lt.exact.sample(model, 50, seed=2))
    assert not begun.log_weights.any()
    assert begun.log_z_start == lt.exact.log_z(model)


def test_others_are_annealed_and_keep_their_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    model = lt.Ising((3, 3), 0.4, field=0.1)
    truth = lt.exact.log_z(model)

    def refuse(*arguments: Any) -> Any:
        raise ValueError("no route")

    monkeypatch.setattr(lt.exact, "log_z", refuse)
    begun = starts.started(model, 400, lt.HeatBath(), seed=2)
    assert bool(begun.log_weights.any())
    weights = begun.log_weights.exp()
    error = float(weights.std() / weights.mean()) / math.sqrt(400)
    found = begun.log_z_start + float(weights.mean().log())
    # A false alarm in 15 000, but the seed is fixed.
    assert abs(found - truth) < 4.0 * error
