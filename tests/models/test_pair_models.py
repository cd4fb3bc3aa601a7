"""Laws of pair models: energies against a plain loop over bonds, and conventions."""

import itertools
from typing import Any

import pytest
import torch
from model_cases import CASES, ONE_WAY, Case, Site, moved, normal, random_configurations
from torch import Tensor

from leaps_triton.lattices.hypercubic import Lattice
from leaps_triton.models import Clock, EdwardsAnderson, Ising, PairModel, Potts

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
    """A lone J_ij = 1 gives -φ(x_i, x_j), i before j.

    It gives nothing where the bond would leave an open boundary.
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
