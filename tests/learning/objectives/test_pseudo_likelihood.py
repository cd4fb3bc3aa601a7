"""Pseudo-likelihood against conditional probabilities, its minimum, and what it recovers."""

import math

import pytest
import torch

import leaps_triton as lt
from leaps_triton.learning import NetworkEnergy
from leaps_triton.learning.families import conditionals, family_of
from leaps_triton.learning.families.bonds import bonds_of

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
    with pytest.raises(ValueError, match="refit=True is of pair models alone"):
        lt.Learner(Pairs.model(2), torch.zeros(3, 3, 4), lt.PseudoLikelihood(refit=True))


class Pairs(torch.nn.Module):
    """Return the energy of pair models of a 3 × 4 torus, whose couplings and fields it holds."""

    def __init__(self, like: lt.PairModel, theta: torch.Tensor) -> None:
        super().__init__()
        self.theta = torch.nn.Parameter(theta)
        self.bonds = bonds_of(like.lattice)

    @staticmethod
    def model(q: int) -> NetworkEnergy:
        """Return one of ``q`` states with random parameters, at β = 0.8."""
        like = lt.Potts((3, 4), q, 1.0)
        size = family_of(like, "bond", "site").parameters
        generator = torch.Generator().manual_seed(2)
        theta = 0.4 * torch.randn(size, generator=generator, dtype=FLOAT64)
        return NetworkEnergy(Pairs(like, theta), (3, 4), q, beta=0.8)

    def forward(self, configurations: torch.Tensor) -> torch.Tensor:
        bonds = self.bonds
        states = configurations.flatten(1).long()
        first, second = states[:, bonds.first], states[:, bonds.second]
        couplings = self.theta[: len(bonds)]
        fields = self.theta[len(bonds) :].view(-1, states.shape[1])
        if len(fields) == 1:
            # Of two states a field is half the difference.
            fields = torch.cat([-fields, fields])
        alone = fields.gather(0, states)
        return -((first == second) * couplings).sum(1) - alone.sum(1)


@pytest.mark.parametrize("evaluated", [1, 30, 2**12])
@pytest.mark.parametrize("q", [2, 3, 5])
def test_networks_have_the_loss_of_pair_models(q, evaluated, monkeypatch):
    """Energies, batches of any size and autograd beside the closed form."""
    monkeypatch.setattr(conditionals, "_EVALUATED", evaluated)
    model = Pairs.model(q)
    pairs = family_of(lt.Potts((3, 4), q, 1.0), "bond", "site")
    generator = torch.Generator().manual_seed(5)
    x = torch.randint(0, q, (8, 3, 4), generator=generator).to(torch.int8)
    # The network is told β and its energy, the pair model β times the couplings.
    wanted, slope = pairs.conditionals(x).loss(0.8 * model.theta)
    terms = family_of(model).conditionals(x)
    found, by_autograd = terms.loss(model.theta)
    assert abs(found - wanted) < 1e-12
    assert terms.value(model.theta) == pytest.approx(wanted, abs=1e-12)
    assert float((by_autograd - 0.8 * slope).abs().max()) < 1e-12


def test_networks_descend_and_go_on(tmp_path):
    """A field that a linear energy can tell, by Adam; to the last bit after a stop."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(9, 1), torch.nn.Flatten(0))
    data = lt.exact.sample(lt.Ising((3, 3), 1.0, coupling=0.0, field=0.4), 400, seed=1)

    def learner() -> lt.Learner:
        return lt.Learner(
            NetworkEnergy(network, (3, 3), q=2), data, lt.PseudoLikelihood(),
            steps=150, learning_rate=0.05, optimizer="adam", decay=True, held_out=0.25,
        )  # fmt: skip

    learned = learner().run()
    # Sites are independent: their means are those of the data.
    chance = torch.sigmoid(-learned.theta[:9])
    assert float((chance - data[:300].double().mean(0).flatten()).abs().max()) < 1e-3
    assert learned.history.held_out[-1] < learned.history.held_out[0]
    again = learner()
    again.run(until=60)
    assert torch.equal(again.run().thetas, learned.thetas)
    sparse = lt.Learner(
        NetworkEnergy(network, (3, 3), q=2), data, lt.PseudoLikelihood(l1=10.0),
        steps=60, learning_rate=0.05,
    ).run()  # fmt: skip
    assert not bool(sparse.theta.any())
    by_noise = lt.Learner(
        NetworkEnergy(network, (3, 3), q=2), data, lt.EnergyDiscrepancy("grid"), steps=1,
    ).run()  # fmt: skip
    whole = by_noise.family.conditionals(data).value(by_noise.thetas[0])
    assert by_noise.history.values["loss"][0] == pytest.approx(whole / 9, abs=1e-6)


def test_networks_of_another_shape_are_refused():
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(9, 1))
    data = torch.zeros(4, 3, 3, dtype=torch.int8)
    learner = lt.Learner(NetworkEnergy(network, (3, 3), 2), data, lt.PseudoLikelihood())
    with pytest.raises(ValueError, match=r"network must be one that returns .* of shape \(4,\)"):
        learner.run()
