"""What models must offer: targets of floating-point configurations, shapes, and plans of sweeps."""

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from leaps_triton import registry
from leaps_triton.models import (
    Clock,
    DiscreteModel,
    EdwardsAnderson,
    EnergyModel,
    Ising,
    Model,
    PairModel,
    Potts,
    SweepPlan,
    complete,
)


class Gaussian:
    """Independent normal numbers: the least a target offers, and a force."""

    shape = (2, 3)
    dtype = torch.float64
    beta = 0.5
    settings = ("plain", "data")

    def energy(self, configurations: Tensor) -> Tensor:
        return 0.5 * configurations.square().flatten(1).sum(1)

    def force(self, configurations: Tensor) -> Tensor:
        return -configurations


class Prior:
    """``exp(-H / 4)``, exactly."""

    log_z = 3.0 * math.log(8.0 * math.pi)

    def sample(self, walker_index: Tensor, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        shape = (len(walker_index), 2, 3)
        return 2.0 * torch.randn(shape, generator=generator, dtype=torch.float64)


class Shaped:
    """A model of three states that tells its shape, and no lattice."""

    shape = (2, 2)
    q = 3
    beta = 0.7

    def energy(self, configurations: Tensor) -> Tensor:
        return configurations.double().flatten(1).square().sum(1)


def path_to_gaussian() -> lt.AnnealingPath:
    return lt.AnnealingPath(Gaussian(), start=Prior(), schedule=lambda t: 0.5 + 0.5 * t)


def test_a_bare_target_is_completed() -> None:
    own = Gaussian()
    model = complete(own)
    x = torch.ones(4, 2, 3, dtype=torch.float64)
    assert model.model is own
    assert model.shape == (2, 3)
    assert (model.dtype, model.beta) == (torch.float64, 0.5)
    assert torch.equal(model.energy(x), torch.full((4,), 3.0, dtype=torch.float64))
    assert torch.equal(model.energy(x, check=False), model.energy(x))
    assert complete(model) is model


def test_what_a_target_offers_beyond_stays_within_reach() -> None:
    model = complete(Gaussian())
    x = torch.ones(4, 2, 3, dtype=torch.float64)
    assert torch.equal(model.force(x), -x)
    assert model.settings == ("plain", "data")
    assert copy.deepcopy(model).settings == model.settings
    with pytest.raises(AttributeError, match="has no attribute 'q'"):
        model.q  # noqa: B018


def test_a_target_that_checks_is_itself() -> None:
    class Checked(Gaussian):
        def check(self, configurations: Tensor) -> None: ...

        def energy(self, configurations: Tensor, check: bool = True) -> Tensor:
            return super().energy(configurations)

    model = Checked()
    assert complete(model) is model


@pytest.mark.parametrize(
    ("configurations", "message"),
    [
        (torch.ones(4, 2, 3), "must be a tensor of torch.float64, got torch.float32"),
        (torch.ones(4, 3, 2, dtype=torch.float64), r"shape \(walkers, 2, 3\), got \(4, 3, 2\)"),
        (torch.full((4, 2, 3), math.nan, dtype=torch.float64), "must be finite"),
    ],
)
def test_configurations_of_a_target_that_are_refused(configurations: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        complete(Gaussian()).check(configurations)


@pytest.mark.parametrize("name", ["shape", "beta", "energy"])
def test_what_a_target_lacks_is_named(name: str) -> None:
    offers = {"shape": (3,), "dtype": torch.float32, "beta": 1.0, "energy": len}
    del offers[name]
    lacking: Any = type("Lacking", (), offers)()
    with pytest.raises(ValueError, match=f"needs shape, beta and energy.*missing: {name}$"):
        complete(lacking)


def test_a_path_to_a_target_needs_a_start() -> None:
    with pytest.raises(ValueError, match="no uniform start; give start="):
        lt.AnnealingPath(Gaussian())
    path = path_to_gaussian()
    x = path.start.sample(torch.arange(5), seed=1)
    expected = -0.375 * path.model.energy(x)
    torch.testing.assert_close(path.log_density(x, 0.5), expected)
    torch.testing.assert_close(path.log_increment(x, 0.0, 0.5), expected / 3.0)


def test_sweeps_of_a_target_without_states_are_refused() -> None:
    path = path_to_gaussian()
    walker_index = torch.arange(5)
    x = path.start.sample(walker_index, seed=1)
    plan = SweepPlan(walker_index, first=0, count=1, seed=0)
    message = "sweeps need a model with q states per site.*Gaussian.*give a move of your own"
    for sweep in (path.model.heat_bath, path.model.metropolis):
        with pytest.raises(ValueError, match=message):
            sweep(x, path.beta(1.0), plan)
    with pytest.raises(ValueError, match="exact values need a model with q states"):
        lt.exact.log_z(Gaussian())


def test_the_density_of_a_target_is_annealed_with_exact_weights() -> None:
    """Jarzynski's equality without any move, hence from the start alone; within 5 sigma."""
    path = path_to_gaussian()
    x = path.start.sample(torch.arange(40000), seed=3)
    weights = path.log_increment(x, 0.0, 1.0).exp()
    error = float(weights.std()) / math.sqrt(len(weights))
    # Z_1/Z_0 = 2^{-3} of six numbers whose variance falls from 4 to 2.
    assert abs(float(weights.mean()) - 0.125) < 5 * error


def test_a_shape_is_enough_of_a_lattice() -> None:
    shaped: Any = Shaped()
    model = complete(shaped)
    assert isinstance(model, DiscreteModel)
    assert model.shape == (2, 2)
    assert model.lattice == lt.Lattice((2, 2), periodic=False)
    weights = [math.exp(-0.7 * state**2) for state in range(3)]
    assert lt.exact.log_z(shaped) == pytest.approx(4.0 * math.log(sum(weights)))
    sampler = lt.Sampler(lt.AnnealingPath(shaped), None, lt.Jump(8), lt.HeatBath(), device="cpu")
    ensemble = sampler.sample(500, seed=2)
    pull = (ensemble.log_z - lt.exact.log_z(shaped)) / ensemble.log_z_error
    assert abs(pull) < 4.0


def test_refreshing_is_a_heat_bath_at_the_time() -> None:
    model = Potts((3, 4), q=3, beta=0.8, field=[0.3, 0.0, -0.2])
    path = lt.AnnealingPath(model)
    walker_index = torch.arange(20)
    x = path.start.sample(walker_index, seed=1)
    t = torch.linspace(0.0, 1.0, 20, dtype=torch.float64)
    plan = SweepPlan(walker_index, first=6, count=2, seed=9)
    refreshed = path.refresh(x, t, plan)
    assert torch.equal(refreshed, model.heat_bath(x, path.beta(t), plan))
    move = lt.HeatBath(sweeps=2)
    state = move.init(x, walker_index)._replace(sweep=6)
    state, _ = move.step(state, path, t, seed=9)
    assert torch.equal(refreshed, state.configurations)


def test_a_plan_is_forward_unless_told() -> None:
    assert not SweepPlan(torch.arange(2), 0, 1, 0).backward
    assert Model is DiscreteModel
    assert EnergyModel is not DiscreteModel


FIELD = torch.linspace(-0.4, 0.9, 6, dtype=torch.float64).view(2, 3)
MODELS = [
    Ising((2, 3), 0.4, field=FIELD),
    EdwardsAnderson((2, 3), 0.7, disorder="gaussian", seed=3, periodic=False),
    Potts((2, 3), 3, 0.7, coupling=-0.5, field=[0.1, 0.0, 0.2]),
    Clock((2, 3), 5, 0.7, periodic=(True, False)),
    PairModel((2, 3), 0.7, [[0.0, 1.0], [0.5, -1.0]], [0.0, 0.2]),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_a_model_is_made_again_from_its_tables(model: PairModel) -> None:
    again = type(model).from_tables(
        model.shape,
        model.beta,
        model.bond_table,
        model.site_table.expand(model.q, *model.shape),
        model.coupling.expand(2, *model.shape),
        model.lattice.periodic,
        model.spins,
    )
    assert type(again) is type(model)
    x = lt.exact.enumerate_configurations(model.shape, model.q)
    torch.testing.assert_close(again.energy(x), model.energy(x), rtol=0, atol=1e-12)
    assert torch.equal(again.spins, model.spins)


def test_models_starts_and_schedules_have_names() -> None:
    for kind in (PairModel, Ising, EdwardsAnderson, Potts, Clock):
        assert registry.find("model", kind.__name__) is kind
    assert registry.find("start", "uniform") is type(lt.AnnealingPath(MODELS[0]).start)
    assert lt.AnnealingPath(MODELS[0]).schedule is registry.find("schedule", "linear")
    assert lt.AnnealingPath(MODELS[0]).schedule_name == "linear"
    assert lt.AnnealingPath(MODELS[0], schedule=lambda t: t**2).schedule_name is None


def test_what_a_subclass_overrides_is_known_to_it() -> None:
    class Louder(Ising):
        def energy(self, configurations: Tensor, check: bool = True) -> Tensor:
            return 2.0 * super().energy(configurations, check)

    class Louder2(Louder):
        reach = 1

    assert "energy" not in Ising.overrides
    assert "energy" in Louder2.overrides
    assert Ising.reach == 1
    assert Louder.reach is None
    assert complete(Louder((2, 2), 0.3)).reach is None
    assert complete(Louder2((2, 2), 0.3)).reach == 1
