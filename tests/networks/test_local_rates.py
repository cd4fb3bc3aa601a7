"""LocalRates: local equivariance bit for bit, classes against sites, exact weights, refusals."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from helpers import compose, generator, random_local_rates, states
from leaps_triton import exact
from leaps_triton.networks.base import Equivariant
from leaps_triton.networks.local_rates import Shells

FLOAT64 = torch.float64
CASES: dict[str, Any] = {
    "ising 1d": lt.Ising((9,), beta=0.7, field=0.2),
    "ising 2d by class": lt.Ising((5, 7), beta=0.4, field=-0.3),
    "ising 2d field": lt.Ising((5, 6), beta=0.4, field=torch.linspace(-1, 1, 30).view(5, 6)),
    "ising 2d open": lt.Ising((6, 5), beta=0.4, periodic=(True, False)),
    "ising 2d small": lt.Ising((2, 4), beta=0.4, field=0.1),
    "pm1 2d": lt.EdwardsAnderson((6, 6), beta=0.8, seed=2),
    "gaussian 3d": lt.EdwardsAnderson((4, 3, 4), beta=0.8, disorder="gaussian", seed=2),
    "ising 3d by class": lt.Ising((3, 4, 3), beta=0.2),
    "potts 2d": lt.Potts((5, 6), q=3, beta=0.9, field=[0.1, 0.0, -0.4]),
    "clock 2d": lt.Clock((4, 3), q=5, beta=0.9),
    "ising 4d": lt.Ising((3, 3, 3, 3), beta=0.2),
}
BY_CLASS = ("ising 1d", "ising 2d by class", "ising 3d by class", "ising 4d")


def start(model: Any, walkers: int, seed: int = 0) -> Tensor:
    return lt.AnnealingPath(model).start.sample(torch.arange(walkers), seed)


def test_shells_are_the_nearest_sites_by_distance() -> None:
    plane = Shells.nearest(2, 3)
    assert plane.sizes == [4, 4, 4] and plane.surroundings == 125
    assert set(plane.offsets[0]) == {(0, 1), (0, -1), (1, 0), (-1, 0)}
    assert set(plane.offsets[1]) == {(1, 1), (1, -1), (-1, 1), (-1, -1)}
    assert set(plane.offsets[2]) == {(0, 2), (0, -2), (2, 0), (-2, 0)}
    assert Shells.nearest(1, 3).sizes == [2, 2, 2]
    assert Shells.nearest(3, 3).sizes == [6, 12, 8]
    assert Shells.nearest(4, 2).sizes == [8, 24]


@pytest.mark.parametrize(("ndim", "count", "least"), [(1, 3, 7), (2, 3, 5), (2, 1, 3), (3, 2, 3)])
def test_shells_are_distinct_on_lattices_large_enough(ndim: int, count: int, least: int) -> None:
    shells = Shells.nearest(ndim, count)
    assert shells.distinct((least,) * ndim)
    assert not shells.distinct((least,) * (ndim - 1) + (least - 1,))
    rows = shells.neighbours((least,) * ndim)
    assert all(
        len(set(row)) == len(row) and row[0] == site for site, row in enumerate(rows.tolist())
    )


@pytest.mark.parametrize("double", [False, True], ids=["float32", "float64"])
@pytest.mark.parametrize("name", list(CASES))
def test_local_equivariance_holds_bit_for_bit(name: str, double: bool) -> None:
    """G_k(i | x) = -G_{q-k}(i | x^{(i,k)}), for sites and shifts, each walker at its own time."""
    model = CASES[name]
    network = random_local_rates(model)
    network = network if double else network.float()
    t = torch.tensor([0.6, 0.2], dtype=FLOAT64 if double else torch.float32)
    conditions = lt.AnnealingPath(model).conditions(t)
    x = start(model, 2)
    sites = model.lattice.sites
    output = network(x, conditions).flatten(2).detach()
    assert output.dtype == t.dtype and float(output.abs().mean()) > 0.05
    for shift in range(1, model.q):
        for site in range(0, sites, max(1, sites // 12)):
            moved = x.flatten(1).clone()
            moved[:, site] = (moved[:, site] + shift) % model.q
            back = network(moved.view_as(x), conditions).flatten(2).detach()
            assert torch.equal(output[:, shift - 1, site], -back[:, model.q - shift - 1, site])


@torch.no_grad()
@pytest.mark.parametrize("name", BY_CLASS)
def test_what_is_computed_by_class_is_what_is_computed_by_site(name: str) -> None:
    model = CASES[name]
    network = random_local_rates(model)
    x = start(model, 5)
    x[0] = 0
    x[1] = 1
    assert network.by_class(model.lattice.shape, model.coupling, model.site_table)
    for t in (
        torch.tensor(0.3, dtype=FLOAT64),
        torch.tensor([0.1, 0.9, 0.1, 0.5, 0.5], dtype=FLOAT64),
    ):
        conditions = lt.AnnealingPath(model).conditions(t)
        by_site = Equivariant._network(network, x, conditions)
        torch.testing.assert_close(network(x, conditions), by_site, rtol=0, atol=1e-12)
        assert float(by_site.abs().mean()) > 0.05


@pytest.mark.parametrize("name", [name for name in CASES if name not in BY_CLASS])
def test_other_models_are_computed_by_site(name: str) -> None:
    model = CASES[name]
    assert not random_local_rates(model).by_class(
        model.lattice.shape, model.coupling, model.site_table
    )


@torch.no_grad()
@pytest.mark.parametrize("name", ["ising 2d by class", "ising 2d field", "potts 2d"])
def test_far_sites_count_through_the_magnetisation_alone(name: str) -> None:
    """Two unequal spins outside of a site's shells may change places."""
    model = CASES[name]
    network = random_local_rates(model)
    x = start(model, 1, seed=3)
    conditions = lt.AnnealingPath(model).conditions(torch.tensor(0.4, dtype=FLOAT64))
    near = set(network.shells.neighbours(model.lattice.shape)[0].tolist())
    far = [site for site in range(model.lattice.sites) if site not in near]
    first = far[0]
    second = next(site for site in far if x.flatten()[site] != x.flatten()[first])
    y = x.flatten(1).clone()
    y[:, [first, second]] = y[:, [second, first]]
    before, after = (network(v.view_as(x), conditions).flatten(2)[0, :, 0] for v in (x, y))
    torch.testing.assert_close(before, after, rtol=0, atol=1e-13)
    flipped = x.flatten(1).clone()
    flipped[:, first] = (flipped[:, first] + 1) % model.q
    assert not torch.allclose(network(flipped.view_as(x), conditions).flatten(2)[0, :, 0], before)


@torch.no_grad()
@pytest.mark.parametrize("name", ["ising 2d by class", "ising 3d by class", "potts 2d", "clock 2d"])
def test_translation_equivariance(name: str) -> None:
    model = CASES[name]
    network = random_local_rates(model)
    conditions = lt.AnnealingPath(model).conditions(torch.tensor(0.3, dtype=FLOAT64))
    x = start(model, 3)
    axes = tuple(range(1, model.lattice.ndim + 1))
    moved = network(x.roll(axes, axes), conditions)
    expected = network(x, conditions).roll(axes, tuple(a + 1 for a in axes))
    torch.testing.assert_close(moved, expected, rtol=0, atol=1e-12)


@torch.no_grad()
def test_one_network_serves_every_size() -> None:
    """A configuration repeated has the same G, but for the 1/N of the site left out."""
    network = random_local_rates(lt.Ising((8, 8), beta=0.4))
    x = start(lt.Ising((8, 8), beta=0.4), 1)
    small = network(x, lt.AnnealingPath(lt.Ising((8, 8), beta=0.4)).conditions(0.5))
    large = lt.AnnealingPath(lt.Ising((40, 40), beta=0.4)).conditions(0.5)
    repeated = network(x.repeat(1, 5, 5), large)
    assert repeated.shape == (1, 1, 40, 40)
    assert float((repeated[:, :, :8, :8] - small).abs().max()) < 0.1 * float(small.abs().max())


def test_every_parameter_learns_from_the_start() -> None:
    """G = 0 would be a stationary point of the loss."""
    model = lt.Ising((8, 8), beta=0.4, field=0.1)
    path = lt.AnnealingPath(model)
    network = lt.LocalRates(model)
    x = start(model, 64)
    loss = lt.objectives.physics_informed(
        path, network, x.unsqueeze(0), torch.tensor([0.5], dtype=FLOAT64)
    )
    loss.backward()
    assert 0.0 < float(network(x, path.conditions(0.5)).detach().abs().mean()) < 2.0
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and float(parameter.grad.abs().sum()) > 0.0, name


def test_gradients_by_class_are_those_by_site() -> None:
    model = CASES["ising 2d by class"]
    network = random_local_rates(model)
    x = start(model, 6)
    conditions = lt.AnnealingPath(model).conditions(
        torch.tensor([0.1, 0.5, 0.5, 0.9, 0.1, 0.3], dtype=FLOAT64)
    )
    weights = torch.linspace(-1, 1, x.numel(), dtype=FLOAT64).view(6, 1, 5, 7)
    parameters = list(network.parameters())
    by_class, by_site = (
        torch.autograd.grad((weights * output).sum(), parameters)
        for output in (network(x, conditions), Equivariant._network(network, x, conditions))
    )
    for one, two in zip(by_class, by_site, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-11)


@torch.no_grad()
@pytest.mark.parametrize(
    "model",
    [
        lt.Ising((2, 3), beta=0.5, field=torch.linspace(-0.5, 0.7, 6).view(2, 3)),
        lt.Ising((7,), beta=0.6, field=0.3),
        lt.Potts((2, 2), q=3, beta=0.8, field=[0.3, 0.0, -0.2]),
    ],
    ids=["sites", "classes", "potts"],
)
def test_weights_are_exact_for_an_untrained_network(model: Any) -> None:
    """E[e^A] = Z_1/Z_0 and the weighted law is ρ_1, by the operators of three intervals."""
    path = lt.AnnealingPath(model)
    jump = lt.Jump(3)
    network = random_local_rates(model)
    x = states(model)
    energy = model.energy(x)
    operators = [torch.exp(-(path.beta(jump.densities[1]) - path.beta(jump.densities[0])) * energy)]
    for n, tau in enumerate(jump.frozen.tolist()):
        matrix = generator(path, network, tau)
        assert 0.3 < float(-matrix.diag().mean()) < 30.0
        operators.append(torch.linalg.matrix_exp(matrix / 3))
        operators.append(torch.exp(-(path.beta(jump.densities[n + 2]) - path.beta(tau)) * energy))
    measure = compose(operators, torch.full((len(x),), 1.0 / len(x), dtype=FLOAT64))
    target = exact.enumerate_model(model)
    assert float(measure.sum()) == pytest.approx(
        math.exp(target.log_z - path.start.log_z), rel=1e-10
    )
    torch.testing.assert_close(
        measure / measure.sum(), target.log_probabilities.exp(), rtol=0, atol=1e-10
    )


def test_training_lowers_the_variance_of_the_weights() -> None:
    model = lt.Ising((8, 8), beta=0.4407)
    network = lt.LocalRates(model, width=16)
    sampler = lt.Sampler(
        lt.AnnealingPath(model),
        network,
        lt.Jump(10, tables=True),
        lt.HeatBath(),
        block=256,
        device="cpu",
    )
    before = sampler.sample(256, seed=1).log_weight_variance
    config = lt.TrainingConfig(steps=60, times=8, walkers=16, warmup=10, buffer=128, rollout=64)
    lt.Trainer(sampler, config).run()
    # It falls to 0.59 of what it was; that of 256 walkers is off by a tenth.
    assert sampler.sample(256, seed=1).log_weight_variance < 0.8 * before


def test_a_sampler_is_stored_and_loaded(tmp_path: Any) -> None:
    model = lt.Ising((5, 5), beta=0.4)
    network = lt.LocalRates(model, shells=2, width=8, seed=4)
    sampler = lt.Sampler(
        lt.AnnealingPath(model), network, lt.Jump(3, tables=True), block=64, device="cpu"
    )
    lt.save(sampler, tmp_path / "local.safetensors")
    again = lt.load(tmp_path / "local.safetensors", device="cpu")
    assert again.integrator.settings["tables"] is True
    one = sampler.sample(64, seed=2)
    two = again.sample(64, seed=2)
    assert torch.equal(one.log_weights, two.log_weights) and torch.equal(
        one.configurations, two.configurations
    )


def test_same_seed_same_parameters() -> None:
    model = lt.Ising((8, 8), beta=0.4)
    one, two, other = (lt.LocalRates(model, seed=seed).state_dict() for seed in (7, 7, 8))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["local.0.weight"], other["local.0.weight"])


@pytest.mark.parametrize("options", [{"shells": 0}, {"width": 0}])
def test_bad_settings_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be an integer of at least 1"):
        lt.LocalRates(lt.Ising((8, 8), beta=0.4), **options)


def test_another_dimension_is_refused() -> None:
    line = lt.Ising((64,), beta=0.4)
    with pytest.raises(ValueError, match="2-dimensional lattices, got shape"):
        lt.LocalRates(lt.Ising((8, 8), beta=0.4))(
            start(line, 1), lt.AnnealingPath(line).conditions(0.5)
        )
