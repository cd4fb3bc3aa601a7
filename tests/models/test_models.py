"""Laws of leaps_triton.models: energies against a plain loop over bonds, conventions, disorder,
refused input.
"""

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
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

Site = tuple[int, ...]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def random_configurations(model: PairModel, walkers: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (walkers, *model.lattice.shape)
    return torch.randint(model.q, shape, generator=generator, dtype=torch.int8)


def moved(configurations: Tensor, site: int, shift: int, q: int) -> Tensor:
    """``x^{(i,k)}`` of every walker, ``i`` the site's flat index."""
    flat = configurations.flatten(1).long()
    flat[:, site] = (flat[:, site] + shift) % q
    return flat.to(torch.int8).view_as(configurations)


class Case(NamedTuple):
    """A model, and its interaction written down a second time."""

    model: PairModel
    coupling: float | Tensor
    interaction: Callable[[int, int], float]
    field: Callable[[int, Site], float]


def ising(a: int, b: int) -> float:
    return (2 * a - 1) * (2 * b - 1)


def potts(a: int, b: int) -> float:
    return float(a == b)


def clock(q: int) -> Callable[[int, int], float]:
    return lambda a, b: (
        math.cos(2 * math.pi * a / q) * math.cos(2 * math.pi * b / q)
        + math.sin(2 * math.pi * a / q) * math.sin(2 * math.pi * b / q)
    )


def no_field(a: int, site: Site) -> float:
    return 0.0


def ising_field(h: float | Tensor) -> Callable[[int, Site], float]:
    return lambda a, site: (2 * a - 1) * float(h[site] if isinstance(h, Tensor) else h)


def table_field(h: Tensor) -> Callable[[int, Site], float]:
    return lambda a, site: float(h[(a, *site)] if h.ndim > 1 else h[a])


ONE_WAY = [[0.3, -1.1, 2.0], [0.7, 0.0, -0.4], [1.9, 0.6, -0.2]]
J_23, H_23 = normal(2, 2, 3), normal(2, 3, seed=1)
J_43, H_43 = normal(2, 4, 3, seed=2), normal(3, 4, 3, seed=3)
J_7, H_3, H_5 = normal(1, 7, seed=4), normal(3, seed=5), normal(5, seed=6)
PM1 = EdwardsAnderson(
    (2, 3, 2), 0.7, disorder="pm1", seed=3, field=0.2, periodic=(True, True, False)
)
GAUSSIAN = EdwardsAnderson(
    (3, 2, 2, 2), 0.7, disorder="gaussian", seed=4, periodic=(False, True, True, False)
)

CASES = {
    "chain": Case(Ising(5, 0.4, coupling=0.7, field=0.3), 0.7, ising, ising_field(0.3)),
    "double bonds": Case(
        Ising((2, 3), 0.4, coupling=J_23, field=H_23), J_23, ising, ising_field(H_23)
    ),
    "antiferromagnet": Case(
        Ising((3, 2), 0.4, coupling=-1, field=H_23.T, periodic=(True, False)),
        -1.0,
        ising,
        ising_field(H_23.T),
    ),
    "pm1": Case(PM1, PM1.coupling, ising, ising_field(0.2)),
    "gaussian": Case(GAUSSIAN, GAUSSIAN.coupling, ising, no_field),
    "potts": Case(Potts((4, 3), 3, 0.5, coupling=J_43, field=H_43), J_43, potts, table_field(H_43)),
    "open potts": Case(Potts((1, 4), 4, 0.5, periodic=(False, True)), 1.0, potts, no_field),
    "clock": Case(
        Clock((3, 5), 5, 0.5, field=H_5, periodic=False), 1.0, clock(5), table_field(H_5)
    ),
    "one way": Case(
        PairModel((7,), 0.5, ONE_WAY, site_table=H_3, coupling=J_7),
        J_7,
        lambda a, b: ONE_WAY[a][b],
        table_field(H_3),
    ),
    "one way, double bonds": Case(
        PairModel((2, 3), 0.5, torch.tensor(ONE_WAY), coupling=J_23, periodic=(True, False)),
        J_23,
        lambda a, b: float(torch.tensor(ONE_WAY)[a, b]),
        no_field,
    ),
}
INTEGER_MODELS = {
    "ising": Ising((3, 4), 0.4, field=2.0),
    "pm1": EdwardsAnderson((2, 3, 3), 0.7, seed=5, periodic=(True, True, False)),
    "potts": Potts((5, 3), 3, 0.5, field=[1.0, 0.0, -3.0]),
}


def loop_energy(case: Case, x: dict[Site, int]) -> float:
    """``H(x)``, bond by bond."""
    shape, periodic = case.model.lattice.shape, case.model.lattice.periodic
    energy = 0.0
    for site, state in x.items():
        energy -= case.field(state, site)
        for d, length in enumerate(shape):
            if site[d] + 1 == length and not periodic[d]:
                continue
            neighbour = (*site[:d], (site[d] + 1) % length, *site[d + 1 :])
            strength = (
                float(case.coupling[(d, *site)])
                if isinstance(case.coupling, Tensor)
                else case.coupling
            )
            energy -= strength * case.interaction(state, x[neighbour])
    return energy


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_energy_equals_a_plain_loop_over_bonds(case: Case) -> None:
    configurations = random_configurations(case.model, 5)
    sites = list(itertools.product(*map(range, case.model.lattice.shape)))
    expected = [loop_energy(case, {site: int(x[site]) for site in sites}) for x in configurations]
    energy = case.model.energy(configurations)
    assert energy.dtype == torch.float64
    assert energy.tolist() == pytest.approx(expected, abs=1e-12)


def differences(model: PairModel, configurations: Tensor) -> Tensor:
    """``H(y) - H(x)`` of every local move, by energies alone."""
    shape = model.lattice.shape
    energy = model.energy(configurations)
    rows = [
        model.energy(moved(configurations, site, k, model.q)) - energy
        for k in range(1, model.q)
        for site in range(model.lattice.sites)
    ]
    return torch.stack(rows, dim=1).view(len(configurations), model.q - 1, *shape)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_energy_change_is_the_difference_of_energies(case: Case) -> None:
    configurations = random_configurations(case.model, 6, seed=1)
    change = case.model.energy_change(configurations)
    assert change.dtype == torch.float64
    torch.testing.assert_close(change, differences(case.model, configurations), rtol=0, atol=1e-12)


@pytest.mark.parametrize("model", INTEGER_MODELS.values(), ids=INTEGER_MODELS)
def test_energy_change_of_integer_models_is_exact(model: PairModel) -> None:
    configurations = random_configurations(model, 6, seed=2)
    assert torch.equal(model.energy_change(configurations), differences(model, configurations))


def test_energy_change_with_as_many_states_as_int8_holds() -> None:
    model = Potts((2, 2), 127, 0.5, field=normal(127, seed=7))
    configurations = torch.tensor([[[126, 0], [63, 100]]], dtype=torch.int8)
    torch.testing.assert_close(
        model.energy_change(configurations), differences(model, configurations)
    )


@pytest.mark.parametrize(
    ("shape", "periodic"),
    [((4,), True), ((2, 3), (True, False)), ((2, 2), True), ((3, 1, 2), (True, False, False))],
)
def test_every_entry_of_the_coupling_is_one_bond(shape: Site, periodic: Any) -> None:
    """A lone J_ij = 1 gives -φ(x_i, x_j), i before j, and nothing where the bond would leave an
    open boundary.
    """
    lattice, table = Lattice(shape, periodic), torch.tensor(ONE_WAY, dtype=torch.float64)
    neighbours = lattice.neighbours()
    for d in range(lattice.ndim):
        for i in range(lattice.sites):
            coupling = torch.zeros(lattice.ndim, lattice.sites, dtype=torch.float64)
            coupling[d, i] = 1.0
            model = PairModel(
                shape, 0.5, table, coupling=coupling.view(lattice.ndim, *shape), periodic=periodic
            )
            configurations = random_configurations(model, 9, seed=i)
            state, j = configurations.flatten(1).long(), int(neighbours[2 * d, i])
            expected = (
                -table[state[:, i], state[:, j]] if j >= 0 else torch.zeros(9, dtype=torch.float64)
            )
            assert torch.equal(model.energy(configurations), expected)


@pytest.mark.parametrize(
    ("shape", "periodic", "bonds"),
    [
        ((4, 4), True, 32),
        ((2, 2), True, 8),
        ((2,), True, 2),
        ((2,), False, 1),
        ((3, 5), (True, False), 27),
        ((1, 6), (False, True), 6),
        ((3, 3, 3), True, 81),
        ((2, 3, 2, 3), False, 84),
    ],
)
def test_aligned_energy_counts_each_bond_once(shape: Site, periodic: Any, bonds: int) -> None:
    ising, potts = Ising(shape, 1.0, periodic=periodic), Potts(shape, 3, 1.0, periodic=periodic)
    clock = Clock(shape, 5, 1.0, periodic=periodic)
    for state in range(3):
        aligned = torch.full((1, *shape), state, dtype=torch.int8)
        assert potts.energy(aligned).item() == -bonds
        assert clock.energy(aligned).item() == pytest.approx(-bonds, abs=1e-12)
        if state < 2:
            assert ising.energy(aligned).item() == -bonds


def test_known_energies() -> None:
    checkerboard = (
        (torch.arange(4).view(4, 1) + torch.arange(6)).remainder(2).to(torch.int8).unsqueeze(0)
    )
    up = torch.ones(1, 4, 6, dtype=torch.int8)
    assert Ising((4, 6), 1.0).energy(checkerboard).item() == 48.0
    assert Ising((4, 6), 1.0, coupling=-2.0).energy(checkerboard).item() == -96.0
    assert Ising((4, 6), 1.0, coupling=0.0, field=0.5).energy(up).item() == -12.0
    assert Ising((4, 6), 1.0, coupling=0.0, field=0.5).energy(1 - up).item() == 12.0
    assert Potts((4, 6), 3, 1.0).energy(checkerboard).item() == 0.0
    assert Potts((4, 6), 3, 1.0, coupling=0.0, field=[0.0, 0.5, 3.0]).energy(up).item() == -12.0
    wave = torch.arange(6, dtype=torch.int8).expand(1, 4, 6)
    # Rows are aligned (24 bonds); along a row neighbours differ by a sixth of a turn.
    assert Clock((4, 6), 6, 1.0).energy(wave).item() == pytest.approx(-24 - 24 * 0.5, abs=1e-12)
    assert Clock((4, 6), 4, 1.0).energy(2 * checkerboard).item() == pytest.approx(48.0, abs=1e-12)


def test_two_state_potts_and_clock_are_ising() -> None:
    shape, coupling = (3, 4), normal(2, 3, 4, seed=8)
    ising = Ising(shape, 1.0, coupling)
    configurations = random_configurations(ising, 8)
    energy = ising.energy(configurations)
    torch.testing.assert_close(
        Clock(shape, 2, 1.0, coupling).energy(configurations), energy, rtol=0, atol=1e-12
    )
    half = (energy - coupling.sum()) / 2
    torch.testing.assert_close(
        Potts(shape, 2, 1.0, coupling).energy(configurations), half, rtol=0, atol=1e-12
    )


def test_three_state_clock_is_potts() -> None:
    potts, clock = Potts((3, 4), 3, 1.0), Clock((3, 4), 3, 1.0)
    configurations = random_configurations(potts, 8)
    expected = 1.5 * potts.energy(configurations) + 0.5 * 24
    torch.testing.assert_close(clock.energy(configurations), expected, rtol=0, atol=1e-12)


def test_energy_does_not_know_beta() -> None:
    configurations = random_configurations(Ising((3, 3), 0.0), 4)
    assert torch.equal(
        Ising((3, 3), 0.0).energy(configurations), Ising((3, 3), -2.5).energy(configurations)
    )


def test_a_model_keeps_its_own_copy_of_what_it_is_given() -> None:
    coupling, field = (
        torch.ones(2, 3, 3, dtype=torch.float64),
        torch.zeros(3, 3, dtype=torch.float64),
    )
    model = Ising((3, 3), 0.4, coupling, field)
    coupling.zero_()
    field.fill_(9.0)
    assert model.energy(torch.ones(1, 3, 3, dtype=torch.int8)).item() == -18.0


@pytest.mark.parametrize(
    "coupling", [2, 2.0, torch.tensor(2.0), torch.full((2, 3, 3), 2), torch.full((2, 3, 3), 2.0)]
)
def test_ways_to_write_one_coupling(coupling: Any) -> None:
    configurations = random_configurations(Ising((3, 3), 0.4), 4)
    expected = 2 * Ising((3, 3), 0.4).energy(configurations)
    assert torch.equal(Ising((3, 3), 0.4, coupling).energy(configurations), expected)


@pytest.mark.parametrize(
    "model", [Potts((3, 3), 3, 0.4), Potts((3, 3), 5, 0.4), Clock((3, 3), 6, 0.4)], ids=repr
)
def test_spins_are_unit_vectors_that_add_to_zero(model: PairModel) -> None:
    assert model.spins.square().sum(1).tolist() == pytest.approx([1.0] * model.q, abs=1e-14)
    assert model.spins.sum(0).abs().max().item() < 1e-14


@pytest.mark.parametrize("model", [Ising((3, 3), 0.4), Potts((3, 3), 2, 0.4)], ids=repr)
def test_two_states_have_spin_minus_and_plus_one(model: PairModel) -> None:
    assert model.spins.tolist() == [[-1.0], [1.0]]


# Disorder. Thresholds are 5 sigma, false alarms 6e-7 each, of a fixed seed.


def test_disorder_is_a_function_of_the_seed() -> None:
    for disorder in ("pm1", "gaussian"):
        first = EdwardsAnderson((6, 5), 0.4, disorder=disorder, seed=11)
        again = EdwardsAnderson((6, 5), 1.4, disorder=disorder, seed=11, periodic=False)
        other = EdwardsAnderson((6, 5), 0.4, disorder=disorder, seed=12)
        assert torch.equal(first.coupling, again.coupling)
        assert not torch.equal(first.coupling, other.coupling)
        assert not torch.equal(first.coupling[0], first.coupling[1])


def test_pm1_disorder_is_balanced_and_uncorrelated() -> None:
    coupling = EdwardsAnderson((240, 250), 0.4, seed=1).coupling
    n = coupling.numel()
    assert coupling.abs().eq(1.0).all()
    assert abs(coupling.mean().item()) < 5 / math.sqrt(n)
    assert abs((coupling[0] * coupling[1]).mean().item()) < 5 / math.sqrt(n / 2)
    for axis in (1, 2):
        assert abs((coupling * coupling.roll(1, axis)).mean().item()) < 5 / math.sqrt(n)


def test_gaussian_disorder_is_normal() -> None:
    coupling = EdwardsAnderson((240, 250), 0.4, disorder="gaussian", seed=2).coupling
    n = coupling.numel()
    # E g = 0, E g² = 1, E g³ = 0, E g⁴ = 3 with variances 1, 2, 15, 96.
    for power, (mean, variance) in enumerate([(0, 1), (1, 2), (0, 15), (3, 96)], start=1):
        assert abs(coupling.pow(power).mean().item() - mean) < 5 * math.sqrt(variance / n)
    for axis in (1, 2):
        assert abs((coupling * coupling.roll(1, axis)).mean().item()) < 5 / math.sqrt(n)
    # Kolmogorov–Smirnov: P(D √n > 2.7) < 2 exp(-2 · 2.7²) = 1e-6.
    cumulative = torch.special.ndtr(coupling.flatten().sort().values)
    distance = (cumulative - (torch.arange(n) + 0.5) / n).abs().max().item() + 0.5 / n
    assert distance * math.sqrt(n) < 2.7


def test_a_given_coupling_is_used_as_it_is() -> None:
    coupling = normal(2, 3, 4, seed=9)
    model = EdwardsAnderson((3, 4), 0.4, coupling=coupling)
    assert torch.equal(model.coupling, coupling)


# Models of a user's own.


class EnergyOnly:
    """The least a model must offer, with the energy of another."""

    def __init__(self, model: PairModel) -> None:
        self.lattice, self.q, self.beta = model.lattice, model.q, model.beta
        self._energy = model.energy

    def energy(self, configurations: Tensor) -> Tensor:
        return self._energy(configurations)


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
    """Here colours come in the order of sites, so both draw each site with the same number from the
    same law.
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
    """χ² of all states after 12 sweeps from one state against enumeration; false alarms 1e-6 each,
    of a fixed seed.
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


# Input that is refused: what was expected and what came.

NAN, INF = math.nan, math.inf
EYE = [[1.0, 0.0], [0.0, 1.0]]


@pytest.mark.parametrize(
    ("maker", "changes", "message"),
    [
        (Ising, {"shape": (4, 1)}, r"direction 1 is periodic with length 1.*\(4, 1\)"),
        (Ising, {"shape": (4.5, 4)}, r"tuple of integers.*got \(4.5, 4\)"),
        (Ising, {"shape": "44"}, "tuple of integers.*got '44'"),
        (Ising, {"shape": (3, 0)}, r"at least 1, got shape \(3, 0\)"),
        (Ising, {"shape": (2,) * 5}, "1 to 4 dimensions, got"),
        (Ising, {"periodic": (True,)}, r"periodic must be a bool or 2 bools.*got \(True,\)"),
        (Ising, {"periodic": 0}, r"periodic must be a bool or 2 bools.*got 0"),
        (Potts, {"q": 3, "periodic": (1, 1)}, r"periodic must be a bool or 2 bools.*got \(1, 1\)"),
        (Ising, {"beta": NAN}, "beta must be a finite number, got nan"),
        (Ising, {"beta": -INF}, "beta must be a finite number, got -inf"),
        (Ising, {"beta": "hot"}, "beta must be a finite number, got 'hot'"),
        (Clock, {"q": 3, "beta": None}, "beta must be a finite number, got None"),
        (Ising, {"beta": torch.ones(2)}, "beta must be a finite number, got a tensor"),
        (Ising, {"beta": 10**400}, "beta must be a finite number, got 1000"),
        (Potts, {"q": 1}, "q must be an integer from 2 to 127, got 1"),
        (Potts, {"q": 128}, "q must be an integer from 2 to 127, got 128"),
        (Potts, {"q": 3.0}, "q must be an integer from 2 to 127, got 3.0"),
        (Clock, {"q": "3"}, "q must be an integer from 2 to 127, got '3'"),
        (PairModel, {"bond_table": [[1.0]]}, "q must be 2 to 127, got a bond_table of 1 rows"),
        (
            PairModel,
            {"bond_table": torch.eye(128)},
            "q must be 2 to 127, got a bond_table of 128 rows",
        ),
        (PairModel, {"bond_table": 1.0}, r"bond_table must be a \(q, q\) table, got 1.0"),
        (
            PairModel,
            {"bond_table": [[1.0, 0.0]] * 3},
            r"bond_table must have shape \(3, 3\).*got \(3, 2\)",
        ),
        (
            PairModel,
            {"bond_table": [[1.0, 0.0], [0.0]]},
            r"bond_table must be numbers of shape \(2, 2\)",
        ),
        (
            PairModel,
            {"bond_table": [[1.0, 0.0], [INF, 0.0]]},
            r"bond_table must be finite.*index \[1, 0\]",
        ),
        (
            PairModel,
            {"bond_table": EYE, "site_table": [0.0] * 3},
            r"site_table must have shape \(2,\).*got \(3,\)",
        ),
        (
            PairModel,
            {"bond_table": EYE, "site_table": [0.0, NAN]},
            r"site_table must be finite.*index \[1\]",
        ),
        (
            PairModel,
            {"bond_table": EYE, "site_table": "up"},
            "site_table must be numbers.*got 'up'",
        ),
        (
            PairModel,
            {"bond_table": EYE, "site_table": torch.zeros(4, 3, 2)},
            r"site_table must have shape \(2, 4, 3\).*got \(4, 3, 2\)",
        ),
        (
            PairModel,
            {"bond_table": EYE, "spins": torch.ones(2)},
            r"spins must have shape \(2, n\).*\(2,\)",
        ),
        (
            PairModel,
            {"bond_table": EYE, "spins": torch.ones(3, 1)},
            r"spins must have shape \(2, n\).*\(3, 1\)",
        ),
        (PairModel, {"bond_table": EYE, "spins": [[NAN], [1.0]]}, "spins must be finite"),
        (
            Ising,
            {"coupling": torch.full((2, 4, 3), NAN)},
            r"coupling must be finite.*index \[0, 0, 0\]",
        ),
        (Ising, {"coupling": INF}, "coupling must be finite"),
        (
            Ising,
            {"coupling": torch.ones(4, 3)},
            r"coupling must have shape \(2, 4, 3\).*got \(4, 3\)",
        ),
        (
            Ising,
            {"coupling": torch.ones(2, 3, 4)},
            r"coupling must have shape \(2, 4, 3\).*got \(2, 3, 4\)",
        ),
        (
            Ising,
            {"coupling": "strong"},
            r"coupling must be numbers of shape \(2, 4, 3\).*got 'strong'",
        ),
        (
            Potts,
            {"q": 3, "coupling": [1.0, 1.0]},
            r"coupling must have shape \(2, 4, 3\).*got \(2,\)",
        ),
        (
            EdwardsAnderson,
            {"coupling": torch.ones(1, 4, 3)},
            r"coupling must have shape \(2, 4, 3\).*got \(1, 4, 3\)",
        ),
        (Ising, {"field": torch.ones(4)}, r"field must have shape \(4, 3\).*got \(4,\)"),
        (Ising, {"field": NAN}, "field must be finite"),
        (Ising, {"field": [[1.0], [NAN]]}, r"field must have shape \(4, 3\).*got \(2, 1\)"),
        (Potts, {"q": 3, "field": [0.0, 1.0]}, r"must have shape \(3,\).*got \(2,\)"),
        (
            EdwardsAnderson,
            {"disorder": "cauchy"},
            "disorder must be 'pm1' or 'gaussian', got 'cauchy'",
        ),
        (EdwardsAnderson, {"seed": -1}, r"seed must be an integer in \[0, 2\*\*32\), got -1"),
        (
            EdwardsAnderson,
            {"seed": 2**32},
            r"seed must be an integer in \[0, 2\*\*32\), got 4294967296",
        ),
        (EdwardsAnderson, {"seed": 1.0}, r"seed must be an integer in \[0, 2\*\*32\), got 1.0"),
        (EdwardsAnderson, {"seed": None}, r"seed must be an integer in \[0, 2\*\*32\), got None"),
    ],
)
def test_arguments_that_are_refused(maker: Any, changes: dict[str, Any], message: str) -> None:
    arguments = {"shape": (4, 3), "beta": 0.4} | changes
    with pytest.raises(ValueError, match=message):
        maker(**arguments)


@pytest.mark.parametrize("method", ["energy", "energy_change"])
@pytest.mark.parametrize(
    ("configurations", "message"),
    [
        (torch.zeros(2, 4, 3), "tensor of torch.int8, got torch.float32; convert with"),
        (
            torch.zeros(2, 4, 3, dtype=torch.int64),
            "tensor of torch.int8, got torch.int64; convert with",
        ),
        ([[0, 1]], "tensor of torch.int8, got list"),
        (torch.zeros(4, 3, dtype=torch.int8), r"shape \(walkers, 4, 3\), got \(4, 3\)"),
        (torch.zeros(2, 3, 4, dtype=torch.int8), r"shape \(walkers, 4, 3\), got \(2, 3, 4\)"),
        (torch.zeros(2, 1, 4, 3, dtype=torch.int8), r"shape \(walkers, 4, 3\), got \(2, 1, 4, 3\)"),
        (torch.full((2, 4, 3), 3, dtype=torch.int8), "values 0 to 2, got 3 to 3"),
        (torch.arange(-1, 11, dtype=torch.int8).view(1, 4, 3), "values 0 to 2, got -1 to 10"),
    ],
)
def test_configurations_that_are_refused(method: str, configurations: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        getattr(Potts((4, 3), 3, 0.4), method)(configurations)


def test_no_walkers_have_no_energies() -> None:
    model = Potts((4, 3), 3, 0.4)
    assert model.energy(torch.zeros(0, 4, 3, dtype=torch.int8)).shape == (0,)
    assert model.energy_change(torch.zeros(0, 4, 3, dtype=torch.int8)).shape == (0, 2, 4, 3)


@settings(max_examples=40)
@given(value=st.integers(-128, 127), site=st.integers(0, 11))
def test_a_state_is_taken_or_refused_by_its_range(value: int, site: int) -> None:
    configurations = torch.zeros(2, 12, dtype=torch.int8)
    configurations[1, site] = value
    model = Potts((4, 3), 3, 0.4)
    if 0 <= value < 3:
        model.check(configurations.view(2, 4, 3))
    else:
        with pytest.raises(ValueError, match="values 0 to 2, got"):
            model.check(configurations.view(2, 4, 3))


@settings(max_examples=40)
@given(shape=st.lists(st.integers(1, 3), max_size=4))
def test_a_coupling_is_taken_or_refused_by_its_shape(shape: list[int]) -> None:
    coupling = torch.ones(shape)
    if shape in ([], [2, 3, 2]):
        assert (
            Ising((3, 2), 0.4, coupling).energy(torch.ones(1, 3, 2, dtype=torch.int8)).item()
            == -12.0
        )
    else:
        with pytest.raises(ValueError, match=r"coupling must have shape \(2, 3, 2\)"):
            Ising((3, 2), 0.4, coupling)


class _Doubled(Ising):
    def energy(self, configurations: Tensor, check: bool = True) -> Tensor:
        return 2.0 * super().energy(configurations, check)


def test_a_subclass_with_an_energy_of_its_own_is_another_model() -> None:
    model = _Doubled((3, 3), 0.3)
    twice, x = Ising((3, 3), 0.3, coupling=2.0), lt.exact.enumerate_configurations((3, 3), 2)
    torch.testing.assert_close(model.energy_change(x), twice.energy_change(x))
    path = lt.AnnealingPath(model)
    assert path.model.reach is None  # type: ignore[attr-defined]
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


def test_repr_shows_what_is_not_the_default() -> None:
    assert repr(Ising((2, 3), 0.4)) == "Ising(shape=(2, 3), q=2, beta=0.4, periodic=(True, True))"
    assert repr(Ising((2, 3), 0.4, coupling=-1, field=0.1)).endswith("coupling=-1, field=0.1)")
    assert repr(Potts((2, 3), 3, 0.4, field=[0.3, 0.0, -0.2])).endswith(
        "(True, True), field=[0.3, 0, -0.2])"
    )
    assert repr(PairModel((2, 3), 0.4, [[1, 0], [0, 1]], [0.5, 0.0])).endswith(
        "site_table=[0.5, 0])"
    )
    glasses = [repr(EdwardsAnderson((3, 3), 1.0, seed=seed)) for seed in (0, 0, 1)]
    assert glasses[0] == glasses[1] != glasses[2]
    assert "coupling=<-1 to 1, " in glasses[0] and "field" not in glasses[0]
