"""Evaluation after one move equals full evaluation, over many moves, and serves every sampler."""

from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from helpers import sigma_threshold, small_models
from leaps_triton import exact
from leaps_triton.networks.incremental import Follower

WALKERS = 6

MODELS: dict[str, tuple[Any, int]] = {
    "ising 1d": (lt.Ising((9,), beta=0.7, field=0.2), 5),
    "ising 2d": (lt.Ising((5, 7), beta=0.4, field=torch.linspace(-1, 1, 35).view(5, 7)), 7),
    "ising 2d, kernel larger than the lattice": (lt.Ising((4, 5), beta=0.4), 7),
    "ising 2d, no taps": (lt.Ising((4, 5), beta=0.4), 1),
    "ising 2d open": (lt.Ising((3, 6), beta=0.4, periodic=False), 5),
    "ising 2d half open": (lt.Ising((6, 5), beta=0.4, periodic=(True, False)), 5),
    "gaussian 3d": (lt.EdwardsAnderson((4, 3, 4), beta=0.8, disorder="gaussian", seed=2), 3),
    "potts 2d": (lt.Potts((5, 6), q=3, beta=0.9, field=[0.1, 0.0, -0.4]), 5),
    "potts 2d, two bonds to one site": (lt.Potts((2, 5), q=3, beta=0.9), 3),
    "clock 1d open": (lt.Clock(8, q=5, beta=0.9, periodic=False), 3),
    "ising 4d": (lt.Ising((3, 2, 3, 2), beta=0.2), 3),
}
FEATURES: dict[str, dict[str, Any]] = {
    "all": {"modes": 2},
    "magnetization": {"modes": 0},
    "local": {"global_features": False},
}


def awake(model: Any, kernel_size: int, **options: Any) -> lt.HollowConv:
    """A network whose parameters are all far from zero."""
    network = lt.HollowConv(
        model, kernel_size=kernel_size, channels=6, width=16, seed=3, incremental=True, **options
    )
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
        network.readout.weight.mul_(5.0)
    return network


def follow(network: lt.HollowConv, walkers: int = WALKERS) -> Follower:
    follower = network.follow(walkers)
    assert follower is not None
    return follower


def start(model: Any, walkers: int = WALKERS) -> Tensor:
    return lt.AnnealingPath(model).start.sample(torch.arange(walkers), 0)


def move(x: Tensor, q: int, rows: list[int], generator: torch.Generator) -> Tensor:
    """One site of each of these walkers in another state."""
    y = x.flatten(1).clone()
    for row in rows:
        site = int(torch.randint(y.shape[1], (), generator=generator))
        y[row, site] = (y[row, site] + 1 + int(torch.randint(q - 1, (), generator=generator))) % q
    return y.view_as(x)


@torch.no_grad()
@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("name", MODELS)
def test_a_long_sequence_of_moves_agrees_with_full_evaluation(name: str, features: str) -> None:
    """To 1e-5 of the largest value.

    Some walkers are evaluated at a time; some of these stay, and the time of some changes.
    """
    model, kernel_size = MODELS[name]
    network = awake(model, kernel_size, **FEATURES[features])
    path = lt.AnnealingPath(model)
    x = start(model)
    follower = follow(network)
    generator = torch.Generator().manual_seed(1)
    t = torch.rand(WALKERS, generator=generator)
    moved = 0
    for step in range(150):
        chosen = torch.rand(WALKERS, generator=generator) < 0.7
        rows = chosen.nonzero().squeeze(1)
        leaving = [row for row in rows.tolist() if torch.rand((), generator=generator) < 0.8]
        x = move(x, model.q, leaving, generator)
        moved += len(leaving)
        if step % 50 == 49:
            t[step % WALKERS] = torch.rand((), generator=generator)
        conditions = path.conditions(t[rows])
        found = follower.at(rows)(x[rows], conditions)
        expected = network(x[rows], conditions)
        assert found.shape == expected.shape and found.dtype == expected.dtype
        if len(rows):
            assert float((found - expected).abs().max()) <= 1e-5 * float(expected.abs().max())
    assert moved > 400


@torch.no_grad()
def test_in_float64_it_agrees_to_rounding() -> None:
    model, kernel_size = MODELS["potts 2d"]
    network = awake(model, kernel_size).double()
    x = start(model)
    follower = follow(network)
    generator = torch.Generator().manual_seed(1)
    conditions = lt.AnnealingPath(model).conditions(torch.tensor(0.4, dtype=torch.float64))
    for _ in range(50):
        x = move(x, 3, list(range(WALKERS)), generator)
        torch.testing.assert_close(
            follower(x, conditions), network(x, conditions), rtol=1e-12, atol=1e-12
        )


@torch.no_grad()
def test_what_is_more_than_one_move_is_computed_in_full() -> None:
    model, kernel_size = MODELS["ising 2d"]
    network = awake(model, kernel_size)
    x = start(model)
    path = lt.AnnealingPath(model)
    follower = follow(network)
    follower(x, path.conditions(0.3))
    for other, t in ((1 - x, 0.3), (1 - x, 0.7), (x, 0.7)):
        expected = network(other, path.conditions(t))
        torch.testing.assert_close(
            follower(other, path.conditions(t)), expected, rtol=1e-5, atol=1e-5
        )


@torch.no_grad()
@pytest.mark.parametrize("features", ["magnetization", "local"])
def test_without_sums_over_the_lattice_only_sites_around_a_move_are_computed(features: str) -> None:
    model = lt.Ising((8, 8), beta=0.4)
    network = awake(model, 3, **FEATURES[features])
    x = start(model)
    follower = follow(network)
    conditions = lt.AnnealingPath(model).conditions(0.3)
    sites: list[int] = []
    network.hidden.register_forward_hook(
        lambda _, inputs, __: sites.append(inputs[0].shape[:-1].numel())
    )
    follower(x, conditions)
    follower(x, conditions)
    follower(move(x, 2, [0, 2], torch.Generator().manual_seed(0)), conditions)
    assert sites == ([64 * WALKERS, 2 * 9] if features == "local" else [64 * WALKERS] * 3)


@torch.no_grad()
def test_couplings_of_each_walker_are_computed_in_full() -> None:
    model, kernel_size = MODELS["gaussian 3d"]
    network = awake(model, kernel_size)
    x = start(model, 2)
    conditions = lt.AnnealingPath(model).conditions(0.3)
    each = conditions._replace(coupling=torch.cat([conditions.coupling, -conditions.coupling]))
    assert torch.equal(follow(network, 2)(x, each), network(x, each))


@pytest.mark.parametrize("mcmc", [None, lt.HeatBath()], ids=["apart", "together"])
@pytest.mark.parametrize("name", ["ising 2x3 field", "potts 2x3 q=3"])
def test_a_sampler_takes_the_same_paths(name: str, mcmc: Any) -> None:
    """Events are equal up to rounding, and so are the walkers, forward and backward.

    By default nothing is followed.
    """
    model = small_models()[name]
    path = lt.AnnealingPath(model)
    plain, network = (
        lt.HollowConv(model, 3, 4, 8, modes=1, seed=2, incremental=flag) for flag in (False, True)
    )
    assert plain.follow(4) is None and lt.HollowConv(model, 3).incremental is False
    with torch.no_grad():
        for either in (plain, network):
            either.readout.weight.mul_(30.0)
    calls = 0

    def count(*_: Any) -> None:
        nonlocal calls
        calls += 1

    network.register_forward_hook(count)
    samplers = [
        lt.Sampler(path, either, lt.Jump(6), mcmc, block=64, device="cpu")
        for either in (plain, network)
    ]
    one, other = (sampler.sample(128, seed=3) for sampler in samplers)
    assert calls == 0
    assert torch.equal(one.configurations, other.configurations)
    torch.testing.assert_close(one.log_weights, other.log_weights, rtol=0, atol=1e-4)
    samples = one.configurations[:64]
    back, again = (lt.reverse_ess(sampler, samples, seed=5) for sampler in samplers)
    torch.testing.assert_close(back.log_weights, again.log_weights, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "integrator", [lt.Jump(3, domain=2), lt.TauLeap(3)], ids=["domains", "leaps"]
)
def test_where_many_sites_move_at_once_nothing_is_followed(integrator: Any) -> None:
    path = lt.AnnealingPath(lt.Ising((4, 6), beta=0.4))
    plain, network = (
        lt.HollowConv(path.model, 3, global_features=False, incremental=flag)
        for flag in (False, True)
    )
    one, other = (
        lt.Sampler(path, either, integrator, block=64, device="cpu").sample(64, seed=3)
        for either in (plain, network)
    )
    assert torch.equal(one.log_weights, other.log_weights)


@pytest.mark.parametrize("name", ["ising 3x3 field", "potts 2x3 q=3"])
def test_its_weights_agree_with_enumeration(name: str) -> None:
    """The |pull| of log Z is below a threshold: two pulls give a false alarm once in 10⁴ runs."""
    model = small_models()[name]
    network = lt.HollowConv(model, 3, 4, 8, modes=1, seed=2, incremental=True)
    with torch.no_grad():
        network.readout.weight.mul_(10.0)
    ensemble = lt.Sampler(
        lt.AnnealingPath(model), network, lt.Jump(8), block=2048, device="cpu"
    ).sample(2048, seed=11)
    assert ensemble.ess > 0.02
    assert abs(ensemble.log_z - exact.log_z(model)) < sigma_threshold(2) * ensemble.log_z_error
