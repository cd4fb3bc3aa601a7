"""The op proposal_rates in the heat-bath gauge, and the rates of the process reversed in ρ_t."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from helpers import move_targets, random_network, small_models, states
from leaps_triton import exact, kernels
from leaps_triton.kernels.inputs.random import normal
from leaps_triton.kernels.proposals.reference import heat_bath

MODELS = small_models()
NAMES = [None, *kernels.REVERSIBLE]
TIME = torch.tensor([0.6], dtype=torch.float64)
FLOAT64 = torch.float64


def enumerated(model: Any) -> tuple[Tensor, Tensor, Tensor]:
    """The output of a network at all states, all log-ratios, and ``ρ_t``."""
    path = lt.AnnealingPath(model)
    x = states(model)
    output = random_network(model)(x, path.conditions(TIME))
    log_ratios = path.local_energy(x, TIME, FLOAT64).log_ratios
    law = exact.enumerate_model(model, beta=float(path.beta(TIME)))
    return output, log_ratios, law.log_probabilities.exp()


@pytest.mark.parametrize(("shape", "dtype"), [((3, 1, 5), FLOAT64), ((3, 3, 2, 4), torch.float32)])
def test_equals_a_plain_loop(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    output = normal(*shape, seed=1).to(dtype)
    log_ratios = (2.0 * normal(*shape, seed=2)).to(dtype)
    output.view(-1)[::4] = 0.0
    made = kernels.proposal_rates(output, log_ratios, "barker", 0.7, "heat_bath", True)
    assert made.rates.dtype == made.in_rates.dtype == dtype
    weights = log_ratios.double().exp()
    probability = weights / (1.0 + weights.sum(1, keepdim=True))
    terms = output.double() * probability
    added = 0.7 * weights / (1.0 + weights)
    eps = 8 * torch.finfo(dtype).eps
    expected = terms.clamp(min=0.0) + added
    torch.testing.assert_close(made.rates.double(), expected, rtol=eps, atol=eps)
    expected = (-terms).clamp(min=0.0) + added
    torch.testing.assert_close(made.in_rates.double(), expected, rtol=eps, atol=eps)
    torch.testing.assert_close(made.corrector, terms.flatten(1).sum(1), rtol=eps, atol=eps)
    assert torch.equal(made.exit_rate, made.rates.double().flatten(1).sum(1))


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@torch.no_grad()
def test_the_corrector_is_that_of_the_plain_process_with_the_same_rates(model: Any) -> None:
    """``G' = [D]_+ p_i(x_i + k) - [-D]_+ p_i(x_i)`` is locally equivariant and has these rates."""
    output, log_ratios, _ = enumerated(model)
    made = kernels.proposal_rates(output, log_ratios, gauge="heat_bath", inward=True)
    stays = 1.0 - heat_bath(log_ratios).sum(1, keepdim=True)
    equivalent = made.rates - torch.relu(-output) * stays
    plain = kernels.proposal_rates(equivalent, log_ratios, inward=True)
    assert torch.equal(plain.rates, made.rates)
    torch.testing.assert_close(plain.in_rates, made.in_rates, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(plain.corrector, made.corrector, rtol=1e-12, atol=1e-13)
    assert float(made.corrector.abs().max()) > 0.1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@torch.no_grad()
def test_the_corrector_balances_what_flows_in_and_out(model: Any, name: str | None) -> None:
    """``Σ_x ρ(x) Q(x→y) + ρ(y) [κ(y) - R(y)] = 0`` at every ``y``, and so ``E_ρ[κ] = 0``."""
    output, log_ratios, rho = enumerated(model)
    made = kernels.proposal_rates(output, log_ratios, name, 0.8, "heat_bath")
    flow_in = torch.zeros_like(rho).index_add_(
        0, move_targets(model).flatten(), (rho.unsqueeze(1) * made.rates.flatten(1)).flatten()
    )
    assert (flow_in + rho * (made.corrector - made.exit_rate)).abs().max() < 1e-14
    assert abs(float(rho @ made.corrector)) < 1e-12
    assert float(rho @ made.corrector.abs()) > 0.05


@pytest.mark.parametrize("gauge", kernels.GAUGES)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@torch.no_grad()
def test_in_rates_are_those_of_the_reversed_process(
    model: Any, name: str | None, gauge: str
) -> None:
    """``ρ(x) Q(x→y) = ρ(y) Q̃(y→x)`` for every state and move."""
    output, log_ratios, rho = enumerated(model)
    made = kernels.proposal_rates(output, log_ratios, name, 0.8, gauge, True)
    sites = model.lattice.sites
    targets = move_targets(model)
    moves = torch.arange(targets.shape[1])
    inverse = (model.q - 2 - moves // sites) * sites + moves % sites
    forward = rho.unsqueeze(1) * made.rates.flatten(1)
    back = rho[targets] * made.in_rates.flatten(1)[targets, inverse]
    torch.testing.assert_close(forward, back, rtol=1e-11, atol=1e-16)
    without = kernels.proposal_rates(output, log_ratios, name, 0.8, gauge)
    assert without.in_rates.shape == (0,)
    assert all(map(torch.equal, without[:3], made[:3]))


@pytest.mark.parametrize("name", kernels.REVERSIBLE)
def test_reversible_rates_are_their_own_reversal(name: str) -> None:
    log_ratios = normal(3, 2, 5, seed=4)
    for gauge in kernels.GAUGES:
        made = kernels.proposal_rates(None, log_ratios, name, 0.3, gauge, True)
        assert torch.equal(made.in_rates, made.rates)


@pytest.mark.parametrize("dtype", [torch.float32, FLOAT64])
def test_cold_models_stay_finite(dtype: torch.dtype) -> None:
    """``β = 50``: ``e^Δ`` overflows; probabilities do not, and ``|κ| ≤ Σ_i max_k |D_k(i)|``."""
    for q in (2, 4):
        output = normal(6, q - 1, 4, 4, seed=5).to(dtype).requires_grad_()
        log_ratios = (400.0 * normal(6, q - 1, 4, 4, seed=6)).to(dtype)
        made = kernels.proposal_rates(output, log_ratios, gauge="heat_bath", inward=True)
        assert all(bool(result.isfinite().all()) for result in made)
        assert bool((made.corrector.abs() <= output.abs().amax(1).double().sum((1, 2))).all())
        (gradient,) = torch.autograd.grad(made.corrector.sum(), output)
        torch.testing.assert_close(gradient, heat_bath(log_ratios))


@pytest.mark.parametrize("gauge", kernels.GAUGES)
@pytest.mark.parametrize("name", [None, "barker"])
@pytest.mark.parametrize("inward", [False, True])
def test_gradients(gauge: str, name: str | None, inward: bool) -> None:
    """Against differences, away from the kink at 0, for two states and more."""
    for q in (2, 3):
        output = normal(3, q - 1, 2, 2, seed=5)
        log_ratios = normal(3, q - 1, 2, 2, seed=6)
        output.add_(0.01 * output.sign()).requires_grad_()

        def op(g: Tensor, log_ratios: Tensor = log_ratios) -> tuple[Tensor, ...]:
            made = kernels.proposal_rates(g, log_ratios, name, 0.7, gauge, inward)
            return tuple(result for result in made if result.numel())

        assert torch.autograd.gradcheck(op, (output,))


def test_an_overflowing_in_rate_that_no_gradient_reaches_adds_none() -> None:
    output = torch.tensor([[[1.0, -1.0, -1.0]]], dtype=FLOAT64, requires_grad=True)
    log_ratios = torch.tensor([[[2000.0, 2000.0, 1.0]]], dtype=FLOAT64)
    made = kernels.proposal_rates(output, log_ratios, inward=True)
    assert made.in_rates.tolist() == [[[0.0, math.inf, math.e]]]
    (gradient,) = torch.autograd.grad(made.in_rates[0, 0, 2], output)
    assert gradient.tolist() == [[[0.0, 0.0, -math.e]]]


def test_a_gauge_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="gauge must be one of plain, heat_bath, got 'barker'"):
        kernels.proposal_rates(torch.zeros(1, 1, 3), torch.zeros(1, 1, 3), gauge="barker")
    with pytest.raises(ValueError, match="inward must be a bool, got 1"):
        kernels.proposal_rates(torch.zeros(1, 1, 3), torch.zeros(1, 1, 3), inward=1)  # type: ignore[arg-type]
