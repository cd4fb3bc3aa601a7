"""The op proposal_rates: its definition, gradients, reversible rates, and the corrector's law."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from helpers import move_targets, random_network, small_models, states
from leaps_triton import exact, kernels
from leaps_triton.integrators.rates import in_rates

MODELS = small_models()
NAMES = [None, *kernels.REVERSIBLE]
TIME = torch.tensor([0.6], dtype=torch.float64)


def normal(*shape: int, seed: int, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(
        shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


def reversible_rate(name: str, log_ratio: float) -> float:
    """``g(u)``, ``u = e^Δ``."""
    u = math.exp(log_ratio)
    return {"barker": u / (1.0 + u), "square_root": math.sqrt(u), "metropolis": min(1.0, u)}[name]


@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (3, 1, 5), (2, 2, 3, 4), (5, 3, 2, 1, 3), (2, 1, 2, 3, 2, 2)]
)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("with_network", [True, False])
def test_equals_a_plain_loop(shape: tuple[int, ...], name: str | None, with_network: bool) -> None:
    if name is None and not with_network:
        name = "barker"
    output = normal(*shape, seed=1)
    log_ratios = normal(*shape, seed=2, scale=2.0)
    made = kernels.proposal_rates(output if with_network else None, log_ratios, name, 0.7)
    assert made.rates.shape == shape and made.rates.dtype == torch.float64
    assert made.exit_rate.shape == made.corrector.shape == shape[:1]
    for walker in range(shape[0]):
        exit_rate = corrector = 0.0
        moves = zip(
            *(v[walker].flatten().tolist() for v in (made.rates, output, log_ratios)), strict=True
        )
        for rate, g, delta in moves:
            expected = 0.0
            if with_network:
                expected = max(g, 0.0)
                corrector += max(g, 0.0) - max(-g, 0.0) * math.exp(delta)
            if name is not None:
                expected += 0.7 * reversible_rate(name, delta)
            assert rate == pytest.approx(expected, rel=1e-13, abs=1e-300)
            exit_rate += expected
        assert made.exit_rate[walker].item() == pytest.approx(exit_rate, rel=1e-13)
        assert made.corrector[walker].item() == pytest.approx(corrector, rel=1e-12, abs=1e-12)


def test_float32_stays_within_its_rounding_of_float64() -> None:
    """Out-rates are exact; ``|κ_32 - κ_64| ≤ 4 u Σ [-G]_+ e^Δ``, ``u = 2⁻²⁴``.

    Each term is a product and an exponential to an ulp.
    """
    output = normal(400, 2, 5, 3, seed=3).float()
    log_ratios = normal(400, 2, 5, 3, seed=4, scale=3.0).float()
    single = kernels.proposal_rates(output, log_ratios)
    double = kernels.proposal_rates(output.double(), log_ratios.double())
    assert single.rates.dtype == torch.float32
    assert single.exit_rate.dtype == single.corrector.dtype == torch.float64
    assert torch.equal(single.rates.double(), double.rates)
    torch.testing.assert_close(single.exit_rate, double.exit_rate, rtol=1e-14, atol=0)
    bound = 4 * 2.0**-24 * (in_rates(output).double() * log_ratios.double().exp()).flatten(1).sum(1)
    error = (single.corrector - double.corrector).abs()
    assert (error <= bound).all()
    assert error.max() > 0


def test_sums_are_float64_whatever_the_rates() -> None:
    """One rate of 2²⁴ and 4096 rates of 1: in float32 every 1 would be lost."""
    output = torch.ones(1, 1, 4097)
    output[0, 0, 0] = 2.0**24
    made = kernels.proposal_rates(output, torch.zeros_like(output))
    assert made.exit_rate.item() == made.corrector.item() == 2.0**24 + 4096
    made = kernels.proposal_rates(-output, torch.zeros_like(output))
    assert made.exit_rate.item() == 0.0 and made.corrector.item() == -(2.0**24) - 4096


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_output_means_no_rate_and_no_gradient(dtype: torch.dtype) -> None:
    output = torch.tensor([[[0.0, -0.0, 0.0]]], dtype=dtype, requires_grad=True)
    log_ratios = torch.tensor([[[0.0, 1.0, 2000.0]]], dtype=dtype)
    made = kernels.proposal_rates(output, log_ratios)
    assert made.rates.tolist() == [[[0.0, 0.0, 0.0]]]
    assert made.exit_rate.item() == made.corrector.item() == 0.0
    for value in (made.rates.sum(), made.exit_rate.sum(), made.corrector.sum()):
        (gradient,) = torch.autograd.grad(value, output, retain_graph=True)
        assert not gradient.any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_overflowing_ratio_of_a_move_without_in_rate_is_not_seen(dtype: torch.dtype) -> None:
    output = torch.tensor([[[2.0, 0.0, -1.0]], [[0.5, 0.0, -3.0]]], dtype=dtype, requires_grad=True)
    log_ratios = torch.tensor([[[2000.0, 2000.0, 0.0]], [[math.inf, 1e30, 0.0]]], dtype=dtype)
    made = kernels.proposal_rates(output, log_ratios)
    assert made.exit_rate.tolist() == [2.0, 0.5]
    assert made.corrector.tolist() == [1.0, -2.5]
    (gradient,) = torch.autograd.grad(made.corrector.sum(), output)
    assert gradient.tolist() == [[[1.0, 0.0, 1.0]], [[1.0, 0.0, 1.0]]]


def test_an_overflowing_in_rate_is_not_finite_in_its_walker_alone() -> None:
    output = torch.tensor([[[1.0, -1.0]], [[1.0, -1.0]], [[math.nan, 1.0]]], dtype=torch.float64)
    log_ratios = torch.tensor([[[0.0, 2000.0]], [[0.0, 0.0]], [[0.0, 0.0]]], dtype=torch.float64)
    made = kernels.proposal_rates(output, log_ratios)
    assert made.corrector[0].item() == -math.inf and made.exit_rate[0].item() == 1.0
    assert made.corrector[1].item() == 0.0 and made.exit_rate[1].item() == 1.0
    assert made.corrector[2].isnan() and made.exit_rate[2].isnan()


@pytest.mark.parametrize("name", kernels.REVERSIBLE[::2])
def test_bounded_reversible_rates_do_not_overflow(name: str) -> None:
    log_ratios = torch.tensor([[[2000.0, -2000.0, math.inf, -math.inf]]])
    assert kernels.proposal_rates(None, log_ratios, name).rates.tolist() == [[[1.0, 0.0, 1.0, 0.0]]]


@pytest.mark.parametrize("name", NAMES)
def test_gradients(name: str | None) -> None:
    """Against differences, away from the kink at G = 0; the log-ratios have none, and say so."""
    output = normal(3, 2, 2, 2, seed=5)
    log_ratios = normal(3, 2, 2, 2, seed=6)
    assert (output > 0.01).any() and (output < -0.01).any()
    output.add_(0.01 * output.sign()).requires_grad_()

    def op(g: Tensor) -> tuple[Tensor, ...]:
        return tuple(kernels.proposal_rates(g, log_ratios, name, 0.7))

    assert torch.autograd.gradcheck(op, (output,))
    with pytest.raises(ValueError, match=r"log_ratios has no gradient; give log_ratios\.detach"):
        kernels.proposal_rates(output, log_ratios.requires_grad_(), name)


@pytest.mark.parametrize("name", kernels.REVERSIBLE)
def test_reversible_rates_add_nothing_to_the_corrector(name: str) -> None:
    output = normal(50, 2, 3, 3, seed=7)
    log_ratios = normal(50, 2, 3, 3, seed=8)
    alone = kernels.proposal_rates(None, log_ratios, name, 2.0)
    assert torch.equal(alone.corrector, torch.zeros(50, dtype=torch.float64))
    network = kernels.proposal_rates(output, log_ratios)
    both = kernels.proposal_rates(output, log_ratios, name, 2.0)
    assert torch.equal(both.corrector, network.corrector)
    torch.testing.assert_close(both.rates, network.rates + alone.rates, rtol=1e-15, atol=0)
    torch.testing.assert_close(
        both.exit_rate, network.exit_rate + alone.exit_rate, rtol=1e-14, atol=0
    )


@pytest.mark.parametrize("name", kernels.REVERSIBLE)
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_reversible_rates_are_in_detailed_balance(model: Any, name: str) -> None:
    """``r_m(x) = e^{Δ_m} r_{m⁻¹}(x^m)`` for every state and move."""
    path = lt.AnnealingPath(model)
    x = states(model)
    log_ratios = path.local_energy(x, TIME, torch.float64).log_ratios
    rates = kernels.proposal_rates(None, log_ratios, name, 1.7).rates.flatten(1)
    sites = model.lattice.sites
    targets = move_targets(model)
    moves = torch.arange(targets.shape[1])
    inverse = (model.q - 2 - moves // sites) * sites + moves % sites
    torch.testing.assert_close(
        rates, log_ratios.flatten(1).exp() * rates[targets, inverse], rtol=1e-12, atol=0
    )
    assert rates.min() > 0 and (rates <= 1.7).all() == (name != "square_root")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@torch.no_grad()
def test_the_corrector_balances_what_flows_in_and_out(
    model: Any, seed: int, name: str | None
) -> None:
    """``Σ_x ρ(x) Q(x→y) + ρ(y) [κ(y) - R(y)] = 0`` at every ``y``, and so ``E_ρ[κ] = 0``.

    It holds for equivariant networks.
    """
    path = lt.AnnealingPath(model)
    x = states(model)
    target = exact.enumerate_model(model, beta=float(path.beta(TIME)))
    output = random_network(model, seed=seed)(x, path.conditions(TIME))
    made = kernels.proposal_rates(
        output, path.local_energy(x, TIME, torch.float64).log_ratios, name, 0.8
    )
    rho = target.log_probabilities.exp()
    flow_in = torch.zeros_like(rho).index_add_(
        0, move_targets(model).flatten(), (rho.unsqueeze(1) * made.rates.flatten(1)).flatten()
    )
    assert (flow_in + rho * (made.corrector - made.exit_rate)).abs().max() < 1e-14
    assert abs(float(rho @ made.corrector)) < 1e-12
    assert float(rho @ made.corrector.abs()) > 0.1


def test_inputs_are_left_alone() -> None:
    output = normal(3, 2, 4, seed=9)
    log_ratios = normal(3, 2, 4, seed=10)
    copies = output.clone(), log_ratios.clone()
    kernels.proposal_rates(output, log_ratios, "metropolis")
    assert torch.equal(output, copies[0]) and torch.equal(log_ratios, copies[1])


@pytest.mark.parametrize("name", NAMES)
def test_walkers_do_not_see_each_other(name: str | None) -> None:
    """Results agree to rounding.

    Torch takes exponentials singly or in vectors, depending on their place in memory.
    """
    output = normal(7, 2, 5, 3, seed=11).float()
    log_ratios = normal(7, 2, 5, 3, seed=12).float()
    together = kernels.proposal_rates(output, log_ratios, name, inward=True)
    for row in range(7):
        own_row = slice(row, row + 1)
        alone = kernels.proposal_rates(output[own_row], log_ratios[own_row], name, inward=True)
        for own, all_of_them in zip(alone, together, strict=True):
            torch.testing.assert_close(own[0], all_of_them[row], rtol=4 * 2.0**-24, atol=0)


@pytest.mark.parametrize(
    ("output", "name", "scale", "message"),
    [
        (
            None,
            None,
            1.0,
            "give a network_output, or reversible= one of barker, square_root, metropolis",
        ),
        (
            torch.zeros(2, 1, 3),
            "heat_bath",
            1.0,
            "reversible must be None or one of barker.*got 'heat_bath'",
        ),
        (torch.zeros(2, 1, 3), "barker", -0.1, "scale must be finite and >= 0, got -0.1"),
        (torch.zeros(2, 1, 3), "barker", math.inf, "scale must be finite and >= 0, got inf"),
        (torch.zeros(2, 1, 3), "barker", math.nan, "scale must be finite and >= 0, got nan"),
        (torch.zeros(1, 1, 3), None, 1.0, r"shape of log_ratios \(2, 1, 3\), got \(1, 1, 3\)"),
        (torch.zeros(2, 3), None, 1.0, r"shape of log_ratios \(2, 1, 3\), got \(2, 3\)"),
    ],
)
def test_inputs_that_are_refused(
    output: Tensor | None, name: str | None, scale: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        kernels.proposal_rates(output, torch.zeros(2, 1, 3), name, scale)


def test_a_scale_of_zero_leaves_the_network_alone() -> None:
    output = normal(3, 1, 4, seed=13)
    log_ratios = normal(3, 1, 4, seed=14)
    both = kernels.proposal_rates(output, log_ratios, "barker", 0.0)
    alone = kernels.proposal_rates(output, log_ratios)
    assert all(torch.equal(b, a) for b, a in zip(both, alone, strict=True))


def large(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Two walkers of moves whose ``[-G]_+ e^Δ`` overflows float32, and of some that do not."""
    output = torch.tensor([[-0.5, 2.0, -1.0], [-3.0, -0.25, 0.0]], dtype=dtype).view(2, 1, 3)
    log_ratios = torch.tensor([[300.0, 900.0, 1.5], [-2.0, 88.9, 900.0]], dtype=dtype).view(2, 1, 3)
    return output, log_ratios


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_in_rates_beyond_float32_are_those_of_float64(dtype: torch.dtype) -> None:
    made = kernels.proposal_rates(*large(dtype))
    first = 2.0 - 0.5 * math.exp(300.0) - math.exp(1.5)
    delta = float(torch.tensor(88.9, dtype=dtype))
    second = -3.0 * math.exp(-2.0) - 0.25 * math.exp(delta)
    assert made.corrector.tolist() == pytest.approx([first, second], rel=1e-6)
    assert made.exit_rate.tolist() == [2.0, 0.0]


def test_in_rates_beyond_float64_are_infinite_and_those_of_other_walkers_are_not() -> None:
    output, log_ratios = large(torch.float32)
    log_ratios[0, 0, 0] = 800.0
    made = kernels.proposal_rates(output, log_ratios)
    assert made.corrector[0] == -math.inf
    assert math.isfinite(made.corrector[1])


def test_a_gradient_of_nothing_stays_nothing_where_the_exponential_overflows() -> None:
    """And a large one is that of float64 where it is a float32 again."""
    output, log_ratios = large(torch.float32)
    log_ratios[0, 0, 0] = 100.0
    nothing = torch.zeros(2, dtype=torch.float64)
    upstream = torch.tensor([1e-10, 0.0], dtype=torch.float64)
    found = kernels.proposal_rates_gradient(output, log_ratios, None, nothing, upstream)
    assert found[0, 0].tolist() == pytest.approx(
        [1e-10 * math.exp(100.0), 1e-10, 1e-10 * math.exp(1.5)], rel=1e-6
    )
    assert found[1].abs().max() == 0.0
