"""Restricted Boltzmann machines: marginals, conditionals, exact values, sweeps, AIS, files."""

from typing import Any

import pytest
import torch

import leaps_triton as lt
from leaps_triton.models import PairModel, SweepPlan

DOUBLE = torch.float64


def machine(visible: int, hidden: int, size: float, beta: float = 1.0) -> lt.RBM:
    """Return a machine of random weights of this size, centred: symmetric but for its biases."""
    generator = torch.Generator().manual_seed(visible + hidden)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=DOUBLE)

    weights = size * drawn(visible, hidden)
    first = 0.5 * drawn(visible) - weights.sum(1) / 2.0
    second = 0.5 * drawn(hidden) - weights.sum(0) / 2.0
    return lt.RBM(weights, first, second, beta)


SMALL = machine(6, 4, 0.8, beta=0.7)


def all_units() -> tuple[torch.Tensor, lt.exact.Enumeration]:
    law = lt.exact.enumerate_model(SMALL)
    return law.configurations, law


def test_energy_is_that_of_the_formula() -> None:
    x, _ = all_units()
    v, h = SMALL.split(x)
    v = v.double()
    h = h.double()
    joined = ((v @ SMALL.weights) * h).sum(1)
    wanted = -(v @ SMALL.visible_bias + h @ SMALL.hidden_bias + joined)
    torch.testing.assert_close(SMALL.energy(x), wanted, atol=1e-12, rtol=0.0)
    assert torch.equal(SMALL.join(v, h), x)
    assert SMALL.lattice.num_colours == 2


def test_marginals_and_conditionals_are_those_of_enumeration() -> None:
    x, law = all_units()
    _, h = SMALL.split(x)
    patterns = lt.exact.enumerate_configurations((6,), 2)
    # The last sites vary fastest, so that the states of hidden units are the inner ones.
    joint = law.log_probabilities.view(2**6, 2**4)
    marginal = torch.logsumexp(joint, 1)
    told = SMALL.log_likelihood(patterns, law.log_z)
    torch.testing.assert_close(told, marginal, atol=1e-12, rtol=0.0)
    given = (joint - marginal.unsqueeze(1)).exp()
    means = given @ h[: 2**4].double()
    torch.testing.assert_close(SMALL.hidden_means(patterns), means, atol=1e-12, rtol=0.0)
    inner = (joint - torch.logsumexp(joint, 0)).exp()
    means = inner.T @ patterns.double()
    torch.testing.assert_close(SMALL.visible_means(h[: 2**4]), means, atol=1e-12, rtol=0.0)


def test_as_an_ising_model_it_is_the_same_but_for_a_constant() -> None:
    """``J = W/4``, ``h = a/2 + W1/4`` and ``b/2 + Wᵀ1/4``."""
    x, _ = all_units()
    weights = SMALL.weights
    first = SMALL.visible_bias / 2.0 + weights.sum(1) / 4.0
    second = SMALL.hidden_bias / 2.0 + weights.sum(0) / 4.0
    ising = lt.Ising(
        SMALL.lattice,
        SMALL.beta,
        coupling=weights.flatten() / 4.0,
        field=torch.cat([first, second]),
    )
    constant = (SMALL.visible_bias.sum() + SMALL.hidden_bias.sum()) / 2.0 + weights.sum() / 4.0
    shifted = ising.energy(x) - constant
    torch.testing.assert_close(SMALL.energy(x), shifted, atol=1e-12, rtol=0.0)


def test_layers_are_those_of_the_ops_on_graphs() -> None:
    """Of weights that are multiples of 1/8 all sums are exact, and decisions the same."""
    for visible, hidden in ((20, 6), (40, 12)):
        model = machine(visible, hidden, 0.5)
        table = (model.site_table * 8.0).round() / 8.0
        weights = (model.coupling * 8.0).round() / 8.0
        model = model.with_tables(0.5, table, weights)
        plain = PairModel.from_tables(
            model.lattice, 0.5, model.bond_table, table, weights.flatten(), True, model.spins
        )
        walkers = torch.arange(50)
        x = lt.AnnealingPath(model).start.sample(walkers, seed=3)
        assert torch.equal(model.energy(x), plain.energy(x))
        assert torch.equal(model.sums(x).counts, plain.sums(x).counts)
        beta = torch.tensor([0.5], dtype=DOUBLE)
        layers = model.local_energy(x, beta, DOUBLE)
        torch.testing.assert_close(layers, plain.local_energy(x, beta, DOUBLE))
        for backward in (False, True):
            plan = SweepPlan(walkers, 2, 3, 5, backward)
            swept = model.heat_bath(x, beta, plan)
            assert torch.equal(swept, plain.heat_bath(x, beta, plan))


def test_large_fields_keep_their_digits() -> None:
    rbm = lt.RBM([[25.0]], [0.0], [0.0])
    # log(1 + e^25), in which e^-25 is far above the rounding of float64 near 0.
    found = rbm.log_marginal(torch.tensor([[1]])).item() - 25.0
    assert found == pytest.approx(1.3887943864771144e-11, rel=1e-3)


def test_exact_values_sum_one_layer() -> None:
    rbm = machine(40, 8, 0.4)
    log_z = lt.exact.log_z(rbm)
    turned = lt.RBM(rbm.weights.T, rbm.hidden_bias, rbm.visible_bias)
    assert lt.exact.log_z(turned) == pytest.approx(log_z, abs=1e-10)
    # d log Z / dβ = -⟨H⟩, and the second derivative its variance.
    step = 1e-3
    above = lt.exact.log_z(rbm.at(1.0 + step))
    below = lt.exact.log_z(rbm.at(1.0 - step))
    assert lt.exact.energy(rbm) * 48 == pytest.approx((below - above) / (2 * step), rel=1e-5)
    curvature = (above - 2 * log_z + below) / step**2
    assert lt.exact.specific_heat(rbm) * 48 == pytest.approx(curvature, rel=1e-4)


def test_exact_samples_and_sweeps_have_the_same_means() -> None:
    """Means of 48 units and the energy, both within 4.5 sigma: once in 3000 seeds."""
    rbm = machine(40, 8, 0.4)
    x = lt.exact.sample(rbm, 8000, seed=1)
    assert torch.equal(lt.exact.sample(rbm, 10, seed=1), x[:10])
    energy = rbm.energy(x)
    error = float(energy.std()) / 8000**0.5
    assert abs(float(energy.mean()) - 48 * lt.exact.energy(rbm)) < 4.5 * error
    # A block of draws that starts exactly stays exact.
    path = lt.AnnealingPath(rbm)
    move = lt.HeatBath(sweeps=2)
    walkers = torch.arange(8000)
    state, _ = move.step(move.init(x, walkers), path, 1.0, 0)
    visible, _ = rbm.split(state.configurations)
    wanted = rbm.hidden_means(rbm.split(x)[0])
    found = rbm.hidden_means(visible)
    difference = found.mean(0) - wanted.mean(0)
    # Rows are correlated positively, so that the errors of independent ones are an upper bound.
    bound = torch.sqrt((found.var(0) + wanted.var(0)) / 8000)
    assert bool((difference.abs() < 4.5 * bound).all())


@pytest.mark.parametrize("size", [0.3, 0.8])
def test_ais_finds_the_exact_likelihood(size: float) -> None:
    """Within 3.5 sigma, four cases in all: once in 500 seeds."""
    rbm = machine(24, 6, size)
    exact = lt.exact.log_z(rbm)
    data = rbm.split(lt.exact.sample(rbm, 400, seed=2))[0]
    for start in (None, lt.Independent(rbm.data_means(data))):
        path = lt.AnnealingPath(rbm, start)
        ais = lt.Sampler(path, None, lt.Jump(intervals=40), lt.HeatBath(), device="cpu", block=512)
        found = ais.sample(512, seed=3)
        assert found.log_z_error < 0.1
        likelihood = rbm.log_likelihood(data, found.log_z).mean()
        wanted = rbm.log_likelihood(data, exact).mean()
        assert abs(float(likelihood - wanted)) < 3.5 * found.log_z_error


def test_what_a_machine_says_of_itself() -> None:
    rbm = lt.RBM(torch.full((3, 2), 0.5))
    assert repr(rbm) == "RBM(visible=3, hidden=2, beta=1.0)"
    # Weights that are all alike, and no bias, are held as one number each.
    assert torch.equal(rbm.weights, torch.full((3, 2), 0.5, dtype=DOUBLE))
    assert torch.equal(rbm.visible_bias, torch.zeros(3, dtype=DOUBLE))
    assert rbm.at(0.5).beta == 0.5
    means = rbm.data_means(torch.tensor([[1, 1, 0], [1, 0, 0], [1, 1, 0]]))
    torch.testing.assert_close(means[:3], torch.tensor([3.5, 2.5, 0.5], dtype=DOUBLE) / 4.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lt.RBM(torch.zeros(3)), r"weights must have shape \(visible, hidden\)"),
        (lambda: lt.RBM(torch.zeros(3, 0)), r"weights must have shape \(visible, hidden\)"),
        (lambda: lt.RBM("weights"), r"weights must have shape \(visible, hidden\)"),
        (lambda: lt.RBM([[float("nan")]]), "weights must be finite"),
        (lambda: lt.RBM(torch.zeros(3, 2), [0.0]), r"visible_bias must have shape \(3,\)"),
        (lambda: lt.RBM(torch.zeros(3, 2), None, [0.0]), r"hidden_bias must have shape \(2,\)"),
    ],
)  # fmt: skip
def test_bad_machines(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
