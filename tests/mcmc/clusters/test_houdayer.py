"""Exchanges of clusters by Houdayer: pairs of walkers by enumeration, and a spin glass.

The oracle knows the definition only. Statistical tests have fixed seeds and raise a false alarm
with probability 1e-4 each.
"""

import itertools
import math
from typing import Any

import pytest
import torch
from cluster_cases import LINE, bonds_of, components
from torch import Tensor

import leaps_triton as lt
from helpers import index_of, pulls, rho, sigma_threshold, small_models, states

FLOAT64 = torch.float64


def houdayer_matrix(model: Any) -> Tensor:
    """Of a pair of walkers, ``(q^{2N}, q^{2N})``."""
    x = states(model).flatten(1)
    n, sites = x.shape
    matrix = torch.zeros(n * n, n * n, dtype=FLOAT64)
    pairs = [bond[:2] for bond in bonds_of(model, lambda coupling: coupling != 0.0)]
    for first, second in itertools.product(range(n), repeat=2):
        differ = (x[first] != x[second]).tolist()
        row = first * n + second
        if not any(differ):
            matrix[row, row] = 1.0
            continue
        for cluster in components(sites, [(i, j) for i, j in pairs if differ[i] and differ[j]]):
            if differ[cluster[0]]:
                one, two = x[first].clone(), x[second].clone()
                one[cluster], two[cluster] = x[second][cluster], x[first][cluster]
                column = index_of(one.unsqueeze(0), model.q) * n + index_of(
                    two.unsqueeze(0), model.q
                )
                matrix[row, int(column)] += len(cluster) / sum(differ)
    return matrix


DILUTED = torch.tensor(
    [[[1.0, 0.0, -1.0], [0.5, 1.0, 1.0]], [[-1.0, 1.0, 0.0], [1.0, 0.0, 1.0]]], dtype=FLOAT64
)
PAIRED: dict[str, Any] = {
    "ring": lt.EdwardsAnderson(4, beta=1.0, seed=1, field=LINE[:4]),
    "2x2": lt.EdwardsAnderson((2, 2), beta=1.0, disorder="gaussian", seed=1, field=0.2),
    "5 open": lt.Ising(5, beta=1.0, field=0.3, periodic=False),
    "3 open q=3": lt.Potts(3, q=3, beta=1.0, field=[0.3, 0.0, -0.2], periodic=False),
}


@pytest.mark.parametrize("name", list(PAIRED))
def test_an_exchange_of_clusters_is_in_detailed_balance(name: str) -> None:
    """The sum of the two energies stays, so ``ρ ⊗ ρ`` is uniform where the oracle moves.

    The oracle is symmetric, and its draws are those of the move.
    """
    model, n = PAIRED[name], 20000
    matrix, x, law = houdayer_matrix(model), states(model), rho(model)
    both = torch.outer(law, law).flatten()
    assert torch.equal(matrix, matrix.T)
    flow = both.unsqueeze(1) * matrix
    assert (flow - flow.T).abs().max() < 1e-16
    row = int((matrix > 0).sum(1).argmax())
    rows = torch.tensor([row // len(x), row % len(x)]).repeat(n)
    kernel = lt.Houdayer()
    state, _ = kernel.step(
        kernel.init(x[rows], torch.arange(2 * n)), lt.AnnealingPath(model), 1.0, seed=3
    )
    ends = index_of(state.configurations, model.q).view(n, 2)
    drawn = ends[:, 0] * len(x) + ends[:, 1]
    possible = matrix[row] > 0
    assert bool(possible[drawn].all()) and int(possible.sum()) > 1
    counts = torch.bincount(drawn, minlength=len(both)).double()[possible]
    p = matrix[row][possible]
    sigma = (n * p * (1.0 - p)).sqrt()
    assert bool(((counts - n * p).abs() < sigma_threshold(len(p)) * sigma).all())


def test_exchanged_pairs_keep_the_sum_of_their_energies() -> None:
    """Fields, missing bonds and open edges too.

    And what the pair has together stays at every site.
    """
    model = lt.Ising(
        (2, 3), beta=1.0, coupling=DILUTED, field=LINE.view(2, 3), periodic=(True, False)
    )
    path, walkers, kernel = lt.AnnealingPath(model), torch.arange(400), lt.Houdayer(clusters=2)
    before = kernel.init(path.start.sample(walkers, seed=1), walkers)
    after, info = kernel.step(before, path, 1.0, seed=2)
    energies = [model.energy(s.configurations).view(-1, 2).sum(1) for s in (before, after)]
    torch.testing.assert_close(*energies, rtol=0, atol=1e-12)
    together = [s.configurations.view(-1, 2, 6).sum(1) for s in (before, after)]
    assert torch.equal(*together)
    assert 0.1 < float(info.changed.mean()) < 0.5 and after.sweep == 2


def test_pairs_of_equal_walkers_stay() -> None:
    path, walkers = lt.AnnealingPath(PAIRED["2x2"]), torch.arange(10)
    x = path.start.sample(walkers // 2, seed=1)
    after, info = lt.Houdayer().step(lt.Houdayer().init(x, walkers), path, 1.0, seed=2)
    assert torch.equal(after.configurations, x) and not info.changed.any()


def test_houdayer_with_heat_bath_equilibrates_a_spin_glass() -> None:
    """3 × 3 with ±J at low temperature from random starts: pairs are independent of one another."""
    model, n = small_models()["pm1 3x3"], 12000
    path, law = lt.AnnealingPath(model), rho(model)
    kernel, walkers = lt.Compose(lt.HeatBath(), lt.Houdayer()), torch.arange(n)
    state = kernel.init(path.start.sample(walkers, seed=1), walkers)
    for _ in range(60):
        state, _ = kernel.step(state, path, 1.0, seed=2)
    assert state.sweep == 120
    found = pulls(index_of(state.configurations[::2], 2), law)
    assert found.abs().max() < sigma_threshold(len(found))
    mean = float(model.energy(state.configurations).view(-1, 2).mean(1).mean())
    energy = model.energy(states(model))
    sigma = math.sqrt(float(law @ energy**2 - (law @ energy) ** 2) / n)
    assert abs(mean - float(law @ energy)) < sigma_threshold(1) * sigma


def test_walkers_that_cannot_be_paired_are_refused() -> None:
    path, kernel = lt.AnnealingPath(PAIRED["2x2"]), lt.Houdayer()
    for n, t, message in (
        (3, 1.0, "their number must be even, got 3"),
        (4, torch.tensor([0.5, 0.5, 0.5, 1.0]), "t must be the same for both"),
    ):
        walkers = torch.arange(n)
        with pytest.raises(ValueError, match=message):
            kernel.step(kernel.init(path.start.sample(walkers, seed=1), walkers), path, t, seed=0)
    with pytest.raises(
        ValueError, match="Houdayer cannot be the move of a sampler: it exchanges clusters"
    ):
        lt.Sampler(path, None, mcmc=kernel)
    with pytest.raises(
        ValueError, match="Compose cannot be the move of a sampler: it exchanges clusters"
    ):
        lt.Sampler(path, None, mcmc=lt.Compose(lt.HeatBath(), kernel))
