"""Pseudo-likelihood against conditional probabilities, its minimum, and what it recovers."""

import math

import pytest
import torch

import leaps_triton as lt
from leaps_triton.learning.families import family_of

FLOAT64 = torch.float64


def models() -> dict[str, lt.PairModel]:
    """Return models of several interactions, with random tables."""
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(4, 4, generator=generator).tolist()
    coupling = torch.randn(2, 3, 3, generator=generator)
    field = torch.randn(3, 3, 3, generator=generator)
    ring = lt.Graph([(0, 1), (1, 2), (2, 0), (2, 3)])
    return {
        "Ising": lt.Ising((3, 4), 0.7, periodic=(True, False)),
        "Potts with random J and fields": lt.Potts((3, 3), 3, 1.3, coupling, field),
        "asymmetric": lt.PairModel((3, 2), 0.8, table),
        "graph": lt.Ising(ring, 0.5),
        "complete": lt.Ising(lt.Graph.complete(9), 0.2),
    }


@pytest.mark.parametrize("name", models())
@pytest.mark.parametrize(
    ("coupling", "field"),
    [("bond", "site"), ("class", None), ("uniform", "uniform"), (None, "site")],
)
def test_value_is_that_of_conditionals(name, coupling, field):
    model = models()[name]
    generator = torch.Generator().manual_seed(1)
    family = family_of(model, coupling, field)
    theta = 0.3 * torch.randn(family.parameters, generator=generator, dtype=FLOAT64)
    shape = (40, *model.shape)
    x = torch.randint(0, model.q, shape, generator=generator).to(torch.int8)
    at = family.at(theta)
    assert torch.allclose(family_of(at, coupling, field).theta, theta, atol=1e-14)
    # Energies of all configurations that differ at one site.
    beta = torch.tensor([at.beta], dtype=FLOAT64)
    ratios = at.local_energy(x, beta, FLOAT64).log_ratios.flatten(2)
    wanted = torch.log1p(ratios.exp().sum(1)).sum(1).mean()
    terms = family.conditionals(x)
    value, slope = terms.loss(theta)
    assert abs(value - float(wanted)) < 1e-12
    assert abs(terms.value(theta) - value) < 1e-12
    direction = torch.randn(family.parameters, generator=generator, dtype=FLOAT64)
    ahead = terms.value(theta + 1e-5 * direction)
    behind = terms.value(theta - 1e-5 * direction)
    assert abs((ahead - behind) / 2e-5 - float(slope @ direction)) < 1e-7
    # u is linear in θ, with the moments as its slope.
    weights = torch.randn(40, generator=generator, dtype=FLOAT64)
    change = family.u(x, theta) - family.u(x, torch.zeros_like(theta))
    assert abs(float(change @ weights + family.moments(x, theta, weights) @ theta)) < 1e-11


def test_minimum_with_a_penalty_is_one():
    truth = lt.Ising((3, 4), 0.3)
    x = lt.exact.sample(truth, 200, seed=1).flatten(1)
    graph = lt.Graph.complete(12)
    objective = lt.PseudoLikelihood(l1=0.05, tolerance=1e-9)
    learned = lt.Learner(lt.Ising(graph, 2.0), x, objective, field="site").run()
    assert learned.history.converged
    theta = learned.theta
    _, slope = learned.family.conditionals(x).loss(theta)
    held = learned.family.penalised
    zero = held & (theta == 0.0)
    assert 10 < int(zero.sum()) < 60
    # Of a convex loss with a kink: its subgradient holds 0.
    assert float(slope[zero].abs().max()) <= 0.05 + 1e-8
    kept = held & ~zero
    assert float((slope[kept] + 0.05 * theta[kept].sign()).abs().max()) < 1e-7
    assert float(slope[~held].abs().max()) < 1e-7
    # The new model has the β of the given one.
    assert learned.model.beta == 2.0
    assert torch.allclose(2.0 * learned.model.coupling.flatten(), theta[:66], atol=1e-15)


def test_refit_has_no_shrinkage_and_the_same_support():
    x = lt.exact.sample(lt.Ising((3, 4), 0.3), 300, seed=2).flatten(1)
    model = lt.Ising(lt.Graph.complete(12), 1.0)
    shrunk = lt.Learner(model, x, lt.PseudoLikelihood(l1=0.1)).run()
    refitted = lt.Learner(model, x, lt.PseudoLikelihood(l1=0.1, refit=True, tolerance=1e-9)).run()
    support = shrunk.support()
    assert torch.equal(refitted.support(), support)
    _, slope = refitted.family.conditionals(x).loss(refitted.theta)
    assert float(slope[support].abs().max()) < 1e-7


def score(theta: torch.Tensor, strength: float) -> float:
    """Return ``-log`` of the root mean square error over all 100² entries of ``J = K/2``."""
    squares = 2.0 * (0.5 * (theta - strength)).square().sum() / 100**2
    return -0.5 * math.log(float(squares))


@pytest.mark.parametrize(("sigma", "least"), [(0.1, 5.9), (0.2, 5.6)])
def test_known_bonds(sigma, least):
    strength = 2.0 * sigma
    x = lt.exact.sample(lt.Ising((10, 10), strength), 2000, seed=1)
    objective = lt.PseudoLikelihood(tolerance=1e-5)
    learned = lt.Learner(lt.Ising((10, 10), 1.0), x, objective).run()
    # Three sets of samples gave 5.98 to 6.04 and 5.66 to 5.76.
    assert score(learned.theta, strength) > least


def test_models_without_conditionals_are_refused():
    field = lt.PhiFour((4, 4), 1.0, 1.0)
    with pytest.raises(ValueError, match="pseudo-likelihood needs a model of pairs"):
        lt.Learner(field, torch.zeros(3, 4, 4), lt.PseudoLikelihood())
