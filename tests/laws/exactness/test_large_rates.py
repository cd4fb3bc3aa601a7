"""Rates, weights and samplers at large β and large couplings.

What a number can hold is right, and an error says that β is why. Statistical tests have fixed seeds
and raise a false alarm with probability 1e-4 each.
"""

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from large_cases import CASES
from torch import Tensor

import leaps_triton as lt
from helpers import local_network, random_local_rates, rho, states
from leaps_triton import exact
from leaps_triton.integrators import class_tables
from leaps_triton.integrators.rates import evaluate

FLOAT64 = torch.float64
NETWORKS: dict[str, Callable[[Any], Any]] = {
    "LocalRates": lambda model: lt.LocalRates(model, shells=1, width=8),
    "HollowConv": lambda model: lt.HollowConv(model, 3, channels=4, width=8, global_features=False),
    "LEC": lambda model: lt.LEC(model, (3,), channels=4),
    "SymmetricConv": lambda model: lt.SymmetricConv(model, 3, widths=(8, 4)),
    "LEM": lambda model: lt.LEM(model),
    "LEA": lambda model: lt.LEA(model),
    "LETransformer": lambda model: lt.LETransformer(model, channels=8, layers=1),
}
INTEGRATORS: dict[str, lt.Jump | lt.TauLeap] = {
    "Jump": lt.Jump(4),
    "Jump without tables": lt.Jump(4, tables=False),
    "Jump with roots": lt.Jump(4, reversible="square_root"),
    "TauLeap": lt.TauLeap(10),
    "TauLeap by Barker": lt.TauLeap(10, reversible="barker"),
    "Euler": lt.TauLeap(10, weights="euler"),
}


def combinations() -> list[tuple[str, str]]:
    """Every network with the first two ways to move, and two of them with all."""
    found = []
    for network, integrator in itertools.product(NETWORKS, INTEGRATORS):
        few = integrator in ("Jump", "TauLeap")
        if few or network in ("LocalRates", "HollowConv"):
            found.append((network, integrator))
    return [*found, ("HollowConv", "domains"), ("LEC", "domains")]


@pytest.mark.parametrize("beta", [50.0, 1000.0])
@pytest.mark.parametrize(("network", "integrator"), combinations())
def test_untrained_rates_at_large_beta(network: str, integrator: str, beta: float) -> None:
    """They come through, or the error says that β is the reason and names a walker asked for."""
    model = lt.Ising((4, 4), beta)
    chosen = INTEGRATORS.get(integrator, lt.Jump(4, domain=2))
    sampler = lt.Sampler(
        lt.AnnealingPath(model), NETWORKS[network](model), chosen, block=12, device="cpu"
    )
    try:
        ensemble = sampler.sample(4, seed=0)
    except RuntimeError as error:
        words = str(error)
        assert beta == 1000.0
        assert "the inverse temperature, or the coupling, is the reason: at beta_t = " in words
        assert "beyond float64" in words and "mcmc=HeatBath()" in words
        assert "train longer" not in words
        assert words.startswith(tuple(f"walker {walker} " for walker in range(4)))
    else:
        assert bool(ensemble.log_weights.isfinite().all())
        assert math.isfinite(ensemble.log_z)


@pytest.mark.parametrize(("beta", "size"), CASES)
def test_annealing_at_large_beta(beta: float, size: float) -> None:
    """Free spins: weights are finite, and log Z as near as the first density increment allows."""
    model = lt.Ising((3, 3), beta, coupling=0.0, field=size)
    expected = 9.0 * (beta * size + math.log1p(math.exp(-2.0 * beta * size)))
    path = lt.AnnealingPath(model)
    for integrator in (lt.Jump(20), lt.Jump(5, reversible="metropolis")):
        sampler = lt.Sampler(path, None, integrator, lt.HeatBath(), device="cpu", block=32)
        ensemble = sampler.sample(32, seed=1)
        assert bool(ensemble.log_weights.isfinite().all())
        # Walkers enter the first interval uniformly, and gain or lose up to β J τ_0 a site there.
        slack = 2.0 * 9.0 * beta * size * float(integrator.frozen[0])
        assert abs(ensemble.log_z - expected) < slack + 1.0
        back = lt.reverse_ess(sampler, exact.sample(model, 32, seed=1), seed=0)
        assert bool(back.log_weights.isfinite().all())
    resampled = lt.Sampler(
        path, None, lt.Jump(20), lt.HeatBath(), resample_below=0.5, device="cpu", block=32
    ).sample(64, seed=1)
    assert math.isfinite(resampled.log_z)


@pytest.mark.parametrize("beta", [40.0, 80.0])
@pytest.mark.parametrize("make", [random_local_rates, local_network])
def test_the_corrector_is_that_of_float64(make: Callable[..., Any], beta: float) -> None:
    """``κ`` of float32 against the same parameters in float64, where ``e^Δ`` is up to 1e277."""
    model = lt.Ising((4, 4), beta)
    # In the heat-bath gauge no e^Δ appears.
    network = make(model, gauge="plain")
    path = lt.AnnealingPath(model)
    x = path.start.sample(torch.arange(60), seed=0)
    t = torch.ones(1, dtype=FLOAT64)
    with torch.no_grad():
        expected = evaluate(path, network, x, t)
        expected_back = evaluate(path, network, x, t, backward=True)
        found = evaluate(path, network.float(), x, t)
        back = evaluate(path, network, x, t, backward=True)
    assert float(expected.corrector.abs().max()) > 1e38
    # Δ itself has the digits of float32, and a rate G those of a sum of some hundred terms.
    assert torch.allclose(found.corrector, expected.corrector, rtol=2e-3, atol=1e-3)
    assert torch.allclose(back.rates.double(), expected_back.rates, rtol=2e-3, atol=1e-3)
    assert torch.allclose(back.exit_rate, expected_back.exit_rate, rtol=2e-3, atol=1e-3)


def test_the_corrector_has_mean_zero_at_large_beta() -> None:
    """``E_ρ[κ] = 0``: overflow of single moves is where ``ρ`` is as small."""
    model = lt.Ising((2, 3), 14.0, field=0.3)
    network = local_network(model, gauge="plain")
    path = lt.AnnealingPath(model)
    with torch.no_grad():
        kappa = evaluate(path, network, states(model), torch.ones(1, dtype=FLOAT64)).corrector
    law = rho(model)
    assert float(kappa.abs().max()) > 1e38
    assert abs(float(law @ kappa)) < 1e-12 * float(law @ kappa.abs())


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("beta", [12.0, 60.0, 1000.0])
def test_tables_at_large_beta_are_the_rates_of_moves(beta: float, backward: bool) -> None:
    """Classes without a site add nothing, though their entries are infinite."""
    model = lt.Ising((5, 5), beta, field=0.1)
    network = lt.LocalRates(model, shells=1, width=8, gauge="plain")
    path = lt.AnnealingPath(model)
    x = path.start.sample(torch.arange(6), seed=0)
    # All but one walker are ordered, where no class with a large Δ has a site.
    x[1:] = 1
    state = lt.Jump(1).init(x, torch.arange(6))
    state = state._replace(remaining=torch.full((6,), 1e-9, dtype=FLOAT64))
    with torch.no_grad():
        expected = evaluate(path, network, x, torch.ones(1, dtype=FLOAT64), backward=backward)
        made = class_tables.steps(path, network, 1.0, state, 0, backward=backward)
    if beta == 1000.0:
        table = class_tables.class_rates(path, network, 1.0, (0, 25), x.device)
        assert bool(table.corrector.isinf().any())
    finite = expected.corrector.isfinite()
    assert bool(finite[1:].all())
    gained = made.log_weights[1:]
    assert torch.allclose(gained, 1e-9 * expected.corrector[1:], rtol=1e-5, atol=1e-20)


def test_the_way_back_is_right_beyond_every_number() -> None:
    """Four free spins at β = 2000, whose way back is ``e^{-2000}`` by Barker's floor; by hand."""
    beta = 2000.0
    model = lt.Ising((2, 2), beta, coupling=0.0, field=1.0)
    leap = lt.TauLeap([0.0, 1.0], floor=0.5, reversible="barker")
    path = lt.AnnealingPath(model)
    start = torch.zeros(4, 2, 2, dtype=torch.int8)
    state = leap.init(start, torch.arange(4))
    state, _ = leap.enter(state, path)
    after_step, info = leap.step(state, path, None, seed=3)
    leap.check(after_step, info, path)
    flipped = after_step.configurations.flatten(1).double().sum(1)
    # At t = 0 Barker's rate is a quarter; back from up e^{-2 β}/2, from down a half.
    forth = flipped * math.log(-math.expm1(-0.25)) - (4.0 - flipped) * 0.25
    back = flipped * (math.log(0.5) - 2.0 * beta) - (4.0 - flipped) * 0.5
    assert torch.allclose(after_step.log_weights, back - forth, rtol=1e-12)
    assert bool((flipped > 0).any())


class Uneasy:
    """A transport that moves nothing, and knows no rate where the first site is up."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __call__(self, configurations: Tensor, conditions: lt.Conditions) -> Tensor:
        output = torch.zeros(len(configurations), 1, *configurations.shape[1:])
        output[configurations[:, 0, 0] == 1] = self.value
        return output


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    "integrator", [lt.Jump(3), lt.TauLeap(3, weights="euler")], ids=["Jump", "TauLeap"]
)
def test_walkers_that_fill_a_block_are_neither_named_nor_missed(
    integrator: Any, value: float
) -> None:
    model = lt.Ising((3, 3), 0.4)
    path = lt.AnnealingPath(model)
    up = path.start.sample(torch.arange(40), seed=0)[:, 0, 0] == 1
    asked = int(up.nonzero()[0])
    assert asked > 0
    made = [
        lt.Sampler(path, Uneasy(each), integrator, block=40, device="cpu") for each in (value, 0.0)
    ]
    one, two = (sampler.sample(asked, seed=0) for sampler in made)
    assert torch.equal(one.configurations, two.configurations)
    assert torch.equal(one.log_weights, two.log_weights)
    assert one.log_z == two.log_z
    with pytest.raises(RuntimeError, match=f"walker {asked} "):
        made[0].sample(asked + 1, seed=0)


def test_large_couplings_are_named_where_rates_are_too_large() -> None:
    model = lt.Ising((4, 4), 1e-5, coupling=1e5)
    network = lt.LocalRates(model, shells=1, width=8)
    sampler = lt.Sampler(
        lt.AnnealingPath(model), network, lt.Jump(4, max_events=1), device="cpu", block=8
    )
    with pytest.raises(RuntimeError, match=r"beta_t = .* and couplings up to 100000: give coup"):
        sampler.sample(8, seed=0)
