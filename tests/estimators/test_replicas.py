"""Laws of what replicas of parallel tempering say, against enumeration and against counts."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from helpers import states
from leaps_triton.estimators import (
    chain_estimate,
    exchange_rates,
    mbar,
    mbar_error,
    stepping_stones,
)

FLOAT64 = torch.float64
GLASS = lt.EdwardsAnderson((3, 3), beta=1.2, seed=3)
FRACTIONS = [0.0, 0.3, 0.6, 1.0]
BETAS = [f * GLASS.beta for f in FRACTIONS]
MOVES: dict[str, Any] = {
    "heat bath": lt.HeatBath(),
    "Houdayer": lt.Compose(lt.HeatBath(), lt.Houdayer()),
}


@pytest.fixture(scope="module", params=MOVES)
def chain(request: pytest.FixtureRequest) -> lt.Chain:
    kernel = lt.ParallelTempering(FRACTIONS, MOVES[request.param])
    return lt.run_chain(
        GLASS, kernel, 16, 1200, seed=1, observables=["energy", "replica_energies"], device="cpu"
    )


def energies_at(beta: float) -> tuple[Tensor, Tensor]:
    """All energies, and their probabilities."""
    return GLASS.energy(states(GLASS)), lt.exact.enumerate_model(
        GLASS, beta
    ).log_probabilities.exp()


def test_replicas_have_the_energies_of_their_temperatures(chain: lt.Chain) -> None:
    """Four means within 4.5 sigma."""
    assert torch.equal(chain.values["replica_energies"][..., -1], 9 * chain.values["energy"])
    for k, beta in enumerate(BETAS):
        energies, p = energies_at(beta)
        found = chain_estimate(chain.values["replica_energies"][..., k], together=chain.together)
        assert abs(found.pull(float(p @ energies))) < 4.5


def test_log_z_by_stepping_stones_and_by_all_energies(chain: lt.Chain) -> None:
    """Within 4.5 sigma."""
    energies = chain.values["replica_energies"]
    exact = torch.tensor(
        [lt.exact.enumerate_model(GLASS, beta).log_z for beta in BETAS], dtype=FLOAT64
    )
    exact = exact - 9 * math.log(2)
    found = stepping_stones(energies, BETAS, chain.together)
    assert abs(found.pull(float(exact[-1]))) < 4.5 and 0 < found.error < 0.1
    runs = energies[:, ::4].unbind(2)
    values, errors = mbar(runs, BETAS), mbar_error(runs, BETAS, together=chain.together)
    assert errors[0] == 0.0 and bool(((values - exact)[1:].abs() < 4.5 * errors[1:]).all())
    assert 0.3 < float(errors[-1]) / found.error < 3


def test_exchange_rates_are_how_often_replicas_exchange(chain: lt.Chain) -> None:
    """Against enumeration within 4.5 sigma; and against a count, roughly."""
    rates = exchange_rates(chain.values["replica_energies"], BETAS, chain.together)
    path, state, made = lt.AnnealingPath(GLASS), chain.state, torch.zeros(3)
    for _ in range(100):
        state, info = chain.move.step(state, path, 1.0, 9)
        made += info.accepted.float().mean(0) / 50
    for k, rate in enumerate(rates):
        (h, p), (_, q) = energies_at(BETAS[k]), energies_at(BETAS[k + 1])
        ratio = ((BETAS[k + 1] - BETAS[k]) * (h - h.unsqueeze(1))).exp().clamp(max=1.0)
        assert abs(rate.pull(float(q @ (ratio.T @ p)))) < 4.5
        assert rate.value == pytest.approx(float(made[k]), abs=0.1)
    assert chain.state.exchanges == 1320 and int(chain.state.arrivals.sum()) > 100


@pytest.mark.filterwarnings("ignore::leaps_triton.ShortChainWarning")
def test_stepping_stones_of_all_configurations_are_exact() -> None:
    """At two temperatures, of which the upper is infinite: every configuration is a draw."""
    energies = GLASS.energy(states(GLASS)).view(8, 64, 1).expand(8, 64, 2)
    value = stepping_stones(energies, [0.0, 0.1]).value
    assert value + 9 * math.log(2) == pytest.approx(
        lt.exact.enumerate_model(GLASS, 0.1).log_z, rel=1e-12
    )
    moved = stepping_stones(energies + 1e4, [0.0, 0.1]).value
    assert moved == pytest.approx(value - 1e3, rel=1e-12)


def test_the_error_of_mbar_leaves_out_the_same_draws_of_walkers_that_belong_together() -> None:
    energies = [
        torch.rand(4, 60, generator=torch.Generator().manual_seed(k), dtype=FLOAT64)
        for k in range(2)
    ]
    betas = [0.5, 1.5]
    left_out = []
    for group in (0, 2):
        for half in (0, 30):
            keep = torch.ones(4, 60, dtype=torch.bool)
            keep[group : group + 2, half : half + 30] = False
            left_out.append(float(mbar([e[keep] for e in energies], betas)[1]))
    expected = math.sqrt(3 * torch.tensor(left_out, dtype=FLOAT64).var(correction=0))
    assert float(mbar_error(energies, betas, blocks=4, together=2)[1]) == pytest.approx(
        expected, rel=1e-6
    )
    of_means = lt.estimators.multi_reweight(energies, energies, betas, 1.0, blocks=4, together=2)
    assert (
        of_means.error
        != lt.estimators.multi_reweight(energies, energies, betas, 1.0, blocks=4).error
    )


E = torch.zeros(2, 8, 3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"energies": E[0]}, r"energies must be finite, of shape \(walkers, draws, K\)"),
        ({"energies": E[..., :1]}, "at least two temperatures"),
        ({"energies": E * math.nan}, "energies must be finite"),
        ({"betas": [0.1, 0.2]}, "betas must be 3 increasing numbers, one a replica"),
        ({"betas": "abc"}, "betas must be finite numbers, got .a."),
        ({"betas": [0.1, 0.2, math.inf]}, "betas must be finite numbers"),
        ({"betas": [0.1, 0.3, 0.2]}, "betas must be 3 increasing numbers"),
        ({"together": 3}, "together must divide the number of walkers"),
    ],
)
@pytest.mark.parametrize("function", [stepping_stones, exchange_rates])
def test_input_that_is_refused(function: Any, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        function(**{"energies": E, "betas": [0.1, 0.2, 0.3], **given})


def test_walkers_that_do_not_fit_are_refused() -> None:
    for energies, together in (([E[0, :, 0]] * 2, 2), ([E[..., 0]] * 2, 3), ([E[..., 0]] * 2, 0)):
        with pytest.raises(ValueError, match="together must be"):
            mbar_error(energies, [0.1, 0.2], 2, together)
    with pytest.raises(ValueError, match="blocks, at most the draws of the shortest run"):
        mbar_error([E[..., 0]] * 2, [0.1, 0.2], 1)
