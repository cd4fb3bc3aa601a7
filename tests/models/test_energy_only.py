"""Models of a user's own: an energy, completed; a subclass with another energy."""

from typing import Any

import pytest
import torch
from model_cases import CASES, Case, EnergyOnly, normal, random_configurations
from torch import Tensor

import leaps_triton as lt
from leaps_triton import exact
from leaps_triton.lattices.hypercubic import Lattice
from leaps_triton.models import (
    Clock,
    EdwardsAnderson,
    Ising,
    Model,
    PairModel,
    Potts,
    SweepPlan,
    complete,
)


def test_a_full_model_is_complete() -> None:
    model = Ising((3, 3), 0.4)
    assert complete(model) is model and isinstance(model, Model)


def test_an_energy_is_completed() -> None:
    model = complete(EnergyOnly(Potts((2, 3), 3, 0.6)))
    assert isinstance(model, Model)
    assert (model.lattice, model.q, model.beta, model.dtype) == (
        Lattice((2, 3)),
        3,
        0.6,
        torch.int8,
    )
    assert torch.equal(model.spins, Potts((2, 3), 3, 0.6).spins)
    assert complete(model) is model


def test_spins_of_a_users_model_are_kept() -> None:
    model = EnergyOnly(Potts((2, 3), 3, 0.6))
    model.spins = torch.tensor([[1.0], [0.0], [-1.0]])  # type: ignore[attr-defined]
    assert complete(model).spins.tolist() == [[1.0], [0.0], [-1.0]]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_completed_local_energy_equals_the_pair_models(case: Case) -> None:
    configurations = random_configurations(case.model, 3, seed=3)
    own = complete(EnergyOnly(case.model))
    for beta in (
        torch.tensor([0.8], dtype=torch.float64),
        torch.tensor([0.0, 0.4, -1.2], dtype=torch.float64),
    ):
        expected = case.model.local_energy(configurations, beta, torch.float64)
        energy, log_ratios = own.local_energy(configurations, beta, torch.float64)
        assert energy.dtype == log_ratios.dtype == torch.float64
        assert torch.equal(energy, expected.energy)
        torch.testing.assert_close(log_ratios, expected.log_ratios, rtol=0, atol=1e-12)
    assert own.local_energy(configurations, beta).log_ratios.dtype == torch.float32


def test_completed_local_energy_with_as_many_states_as_int8_holds() -> None:
    """State plus shift exceeds the range of int8 before it is taken modulo q."""
    model = Potts((2,), 127, 0.5, field=normal(127, seed=7))
    configurations = torch.tensor([[126, 100]], dtype=torch.int8)
    beta = torch.ones(1, dtype=torch.float64)
    expected = model.local_energy(configurations, beta, torch.float64).log_ratios
    own = complete(EnergyOnly(model)).local_energy(configurations, beta, torch.float64).log_ratios
    torch.testing.assert_close(own, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "model",
    [
        Ising((2,), 0.4, field=0.5),
        Potts((3,), 3, 0.8, coupling=normal(1, 3, seed=10), field=[0.4, -0.2, 0.1]),
        Clock((1, 3), 5, 0.8, field=normal(5, 1, 3, seed=11), periodic=(False, True)),
    ],
    ids=repr,
)
def test_completed_heat_bath_draws_the_same_states(model: PairModel) -> None:
    """Both draw each site with the same number from the same law.

    Here colours come in the order of sites.
    """
    walkers = torch.arange(1000)
    configurations = random_configurations(model, 1000, seed=4)
    beta = torch.linspace(0.0, 1.5, 1000, dtype=torch.float64)
    given = configurations.clone()
    plan = SweepPlan(walkers, first=2, count=3, seed=5)
    expected = model.heat_bath(configurations, beta, plan)
    result = complete(EnergyOnly(model)).heat_bath(configurations, beta, plan)
    assert torch.equal(configurations, given)
    assert result.dtype == torch.int8 and torch.equal(result, expected)
    assert not torch.equal(result, configurations)


@pytest.mark.parametrize("own", [False, True], ids=["pair model", "energy only"])
@pytest.mark.parametrize(
    "model",
    [
        Potts((2, 2), 3, 0.3, field=[0.3, 0.0, -0.4]),
        EdwardsAnderson(
            (2, 3), 0.4, disorder="gaussian", seed=7, field=0.3, periodic=(False, True)
        ),
    ],
    ids=repr,
)
def test_heat_bath_samples_the_model(model: PairModel, own: bool) -> None:
    """Compare all states after 12 sweeps from one state with enumeration, by χ².

    False alarms have a probability of 1e-6 each; the seed is fixed.
    """
    walkers = torch.arange(8000)
    enumeration = exact.enumerate_model(model)
    sampled: Model = complete(EnergyOnly(model)) if own else model
    x = torch.zeros(8000, *model.lattice.shape, dtype=torch.int8)
    beta = torch.tensor([model.beta], dtype=torch.float64)
    x = sampled.heat_bath(x, beta, SweepPlan(walkers, first=0, count=12, seed=6))
    place = model.q ** torch.arange(model.lattice.sites - 1, -1, -1)
    counts = torch.bincount((x.flatten(1) * place).sum(1), minlength=model.q**model.lattice.sites)
    expected = 8000 * enumeration.log_probabilities.exp()
    assert expected.min() > 5
    statistic = ((counts - expected) ** 2 / expected).sum()
    assert (
        torch.special.gammaincc(torch.tensor((len(counts) - 1) / 2).double(), statistic / 2) > 1e-6
    )


@pytest.mark.parametrize("dtype", [torch.int64, torch.float32])
def test_completed_energies_are_float64(dtype: torch.dtype) -> None:
    class Own(EnergyOnly):
        def energy(self, configurations: Tensor) -> Tensor:
            return super().energy(configurations).to(dtype)

    pair = Potts((3,), 3, 0.6)
    model, beta, configurations = (
        complete(Own(pair)),
        torch.ones(1, dtype=torch.float64),
        random_configurations(pair, 9),
    )
    assert (
        model.energy(configurations).dtype
        == model.local_energy(configurations, beta).energy.dtype
        == torch.float64
    )
    plan = SweepPlan(torch.arange(9), first=0, count=1, seed=0)
    swept = model.heat_bath(configurations, beta, plan)
    assert torch.equal(swept, pair.heat_bath(configurations, beta, plan))


@pytest.mark.parametrize("name", ["lattice", "q", "beta", "_energy"])
def test_what_a_users_model_lacks_is_named(name: str) -> None:
    class Lacking:
        def __init__(self) -> None:
            for attribute, value in (
                ("lattice", Lattice(3)),
                ("q", 2),
                ("beta", 0.4),
                ("_energy", len),
            ):
                if attribute != name:
                    setattr(self, attribute.strip("_"), value)

    with pytest.raises(
        ValueError, match=f"needs lattice, q, beta and energy.*missing: {name.strip('_')}$"
    ):
        complete(Lacking())  # type: ignore[arg-type]


class _Doubled(Ising):
    def energy(self, configurations: Tensor, check: bool = True) -> Tensor:
        return 2.0 * super().energy(configurations, check)


def test_a_subclass_with_an_energy_of_its_own_is_another_model() -> None:
    model = _Doubled((3, 3), 0.3)
    twice, x = Ising((3, 3), 0.3, coupling=2.0), lt.exact.enumerate_configurations((3, 3), 2)
    torch.testing.assert_close(model.energy_change(x), twice.energy_change(x))
    path = lt.AnnealingPath(model)
    assert path.model.reach is None
    network = lt.HollowConv(model, kernel_size=3, channels=4, width=8, modes=0, seed=1)
    for transport in (None, network):
        ensemble = lt.Sampler(path, transport, lt.Jump(8), lt.HeatBath(), device="cpu").sample(
            300, seed=1
        )
        pull = (ensemble.log_z - lt.exact.log_z(twice)) / ensemble.log_z_error
        assert (
            abs(pull)
            < 4.0
            < abs(ensemble.log_z - lt.exact.log_z(Ising((3, 3), 0.3))) / ensemble.log_z_error
        )
    with pytest.raises(ValueError, match="coupling from the past needs a PairModel"):
        lt.exact.coupling_from_the_past(model, 10)


def test_a_subclass_brings_all_of_its_energy_or_the_energy_alone() -> None:
    class Half(_Doubled):
        def local_energy(
            self, configurations: Tensor, beta: Tensor, dtype: torch.dtype = torch.float32
        ) -> Any:
            return super().local_energy(configurations, 2.0 * beta, dtype)

    with pytest.raises(
        ValueError, match="Half has its own energy, and heat_bath, metropolis of PairModel"
    ):
        lt.AnnealingPath(Half((3, 3), 0.3))
