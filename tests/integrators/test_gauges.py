"""Gauge and clock of transports: who hands them on, and what rates they make."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from helpers import compose, generator, local_network, random_network, small_models, states
from leaps_triton import exact, rates
from leaps_triton.integrators.domains import reach_of
from leaps_triton.integrators.transport import as_transport, clock_of, gauge_of
from leaps_triton.networks import NETWORKS

FLOAT64 = torch.float64
MODEL = lt.Ising((4, 4), beta=0.5, field=0.2)
PATH = lt.AnnealingPath(MODEL)


class PerBeta(torch.nn.Module):
    """A network whose output is a rate per unit of β."""

    clock = "beta"

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        self.gauge = network.gauge

    def forward(self, configurations: Tensor, conditions: Any) -> Tensor:
        output: Tensor = self.network(configurations, conditions)
        return output


# A linear response is of the heat bath by its making.
@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "LinearResponse"])
def test_networks_are_in_the_heat_bath_gauge_unless_told(name: str) -> None:
    maker = NETWORKS[name]
    made = maker(MODEL)
    assert made.gauge == made.settings["gauge"] == "heat_bath"
    plain = maker(MODEL, gauge="plain")
    assert plain.gauge == plain.settings["gauge"] == "plain"
    # The initial parameters do not depend on it.
    for ours, theirs in zip(made.parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    with pytest.raises(ValueError, match="gauge must be one of plain, heat_bath, got 'barker'"):
        maker(MODEL, gauge="barker")


def test_a_transport_without_a_word_is_plain_and_per_unit_of_t() -> None:
    def silent(configurations: Tensor, conditions: Any) -> Tensor:
        return torch.zeros_like(configurations, dtype=torch.float32).unsqueeze(1)

    for given in (None, silent):
        answers = as_transport(given)
        assert (answers.gauge, answers.clock) == ("plain", "t")


def test_what_follows_or_rides_hands_gauge_and_clock_on() -> None:
    for gauge in ("plain", "heat_bath"):
        network = lt.HollowConv(MODEL, kernel_size=3, incremental=True, gauge=gauge)
        network.clock = "beta"
        answers = as_transport(network)
        for made in (answers, answers.follow(4), answers.ride(8, 4, follow=True)):
            assert (made.gauge, made.clock) == (gauge, "beta")
            for rows in (slice(None), torch.tensor([0, 3])):
                called = made.at(rows)
                assert (gauge_of(called), clock_of(called)) == (gauge, "beta")


@pytest.mark.parametrize("word", ["gauge", "clock"])
def test_unknown_words_are_refused(word: str) -> None:
    network = lt.LEM(MODEL)
    setattr(network, word, "metropolis")
    with pytest.raises(ValueError, match=f"the {word} of LEM must be .*, got 'metropolis'"):
        lt.Sampler(PATH, network, device="cpu")


def test_the_reach_is_the_larger_of_network_and_model() -> None:
    """Rates of the heat bath read what the model reads, though the network may read less."""
    far = lt.PairModel((6, 6), 0.3, [[1.0, -1.0], [-1.0, 1.0]])
    assert reach_of(lt.AnnealingPath(far), local_network(far, kernel_size=5)) == 2

    class Near(torch.nn.Module):
        reach = 0
        gauge = "heat_bath"

    assert reach_of(lt.AnnealingPath(far), Near()) == 1


@torch.no_grad()
@pytest.mark.parametrize("name", ["ising 2x3 field", "potts 2x3 q=3", "pm1 3x3"])
def test_the_corrector_is_linear_bounded_and_of_mean_zero_at_any_beta(name: str) -> None:
    """``κ = Σ p D``: finite, and right, where ``[-G]_+ e^Δ`` is far out of the range of float32."""
    small = small_models()[name]
    model = small.at(50.0)
    path = lt.AnnealingPath(model)
    network = random_network(model).float()
    x = states(model)
    t = torch.ones(1, dtype=FLOAT64)
    found = rates.examine(path, network, x, t)
    made = rates.rates_of(found, inward=True)
    assert found.output is not None and made.in_rates is not None
    assert made.corrector.isfinite().all()
    assert made.in_rates.isfinite().all()
    largest = found.output.abs().amax(1).flatten(1).sum(1).double()
    assert (made.corrector.abs() <= largest * (1.0 + 1e-6)).all()
    wide = rates.examine(path, network.double(), x, t)
    law = exact.enumerate_model(model).log_probabilities.exp()
    mean = float((law * rates.rates_of(wide).corrector).sum())
    assert abs(mean) < 1e-12
    # The same from the rates in and out, in float64.
    both = rates.rates_of(wide, inward=True)
    assert both.in_rates is not None
    total = (both.rates - both.in_rates).flatten(1).sum(1)
    torch.testing.assert_close(made.corrector, total, rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("gauge", ["plain", "heat_bath"])
def test_a_clock_of_beta_multiplies_by_its_rate(gauge: str) -> None:
    path = lt.AnnealingPath(MODEL, schedule=lambda t: t**3)
    network = random_network(MODEL, gauge=gauge)
    x = path.start.sample(torch.arange(5), seed=1)
    t = torch.linspace(0.1, 0.9, 5, dtype=FLOAT64)
    ours = rates.evaluate(path, PerBeta(network), x, t)
    theirs = rates.evaluate(path, network, x, t)
    factor = path.beta_rate(t)
    torch.testing.assert_close(ours.rates, theirs.rates * factor.view(-1, 1, 1, 1))
    torch.testing.assert_close(ours.corrector, theirs.corrector * factor)
    torch.testing.assert_close(factor, 1.5 * t**2)


@pytest.mark.parametrize("gauge", ["plain", "heat_bath"])
def test_frozen_weights_are_exact_with_a_clock_of_beta(gauge: str) -> None:
    model = small_models()["ising 2x2 field"]
    path = lt.AnnealingPath(model, schedule=lambda t: t**2 * (3.0 - 2.0 * t))
    network = PerBeta(random_network(model, gauge=gauge))
    jump = lt.Jump([0.0, 0.1, 0.5, 1.0], weights="frozen")
    x = states(model)
    made: list[Tensor] = []
    for interval, tau in enumerate(jump.frozen.tolist()):
        before, after = jump.densities[interval : interval + 2].tolist()
        made.append(path.log_increment(x, before, after).exp())
        h = float(jump.times.diff()[interval])
        made.append(torch.linalg.matrix_exp(h * generator(path, network, tau)))
    made.append(path.log_increment(x, float(jump.frozen[-1]), 1.0).exp())
    measure = compose(made, torch.full((len(x),), 1.0 / len(x), dtype=FLOAT64))
    target = exact.enumerate_model(model)
    expected = target.log_probabilities.exp() * math.exp(target.log_z - path.start.log_z)
    torch.testing.assert_close(measure, expected, rtol=1e-11, atol=0)


@torch.no_grad()
@pytest.mark.parametrize("backward", [False, True])
def test_steps_that_leave_the_range_of_numbers_have_logarithms(backward: bool) -> None:
    """Tau-leaping in the gauge, where a probability of the way is too small for a number."""
    from leaps_triton.integrators.overflow import _log_rates

    model = small_models()["potts 2x3 q=3"]
    path = lt.AnnealingPath(model)
    x = states(model)[::50]
    found = rates.examine(path, random_network(model), x, torch.ones(1, dtype=FLOAT64))
    added = rates.as_reversible("metropolis", 0.3)
    logs = _log_rates(found, added, backward)
    made = rates.rates_of(found, added, backward=backward).rates
    torch.testing.assert_close(logs.exp(), made, rtol=1e-12, atol=0)
