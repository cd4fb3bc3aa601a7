"""SymmetricConv: symmetries of models, of their couplings and of the lattice."""

import pytest
import torch
from symmetric_cases import CASES, network_of, start

import leaps_triton as lt


@pytest.mark.parametrize("name", ["ising 1d", "ising 2d odd", "ising tiny", "pm1 2d", "ising 4d"])
def test_a_sign_of_all_spins_and_fields_changes_nothing(name: str) -> None:
    """Flipping a spin up is then flipping it down."""
    model, kernel_size = CASES[name]
    network = network_of(model, kernel_size)
    conditions = lt.AnnealingPath(model).conditions(0.6)
    turned_over = conditions._replace(field=conditions.field.flip(1))
    x = start(model, 3)
    torch.testing.assert_close(network(1 - x, turned_over), network(x, conditions))


@pytest.mark.parametrize("name", ["pm1 2d", "gaussian 3d"])
def test_a_sign_of_each_spin_and_its_couplings_changes_signs_only(name: str) -> None:
    """s_i → ε_i s_i, J_ij → ε_i ε_j J_ij: the same glass under other names."""
    model, _ = CASES[name]
    network = network_of(model, 7)
    conditions = lt.AnnealingPath(model).conditions(0.6)
    shape = model.lattice.shape
    generator = torch.Generator().manual_seed(4)
    signs = 1 - 2 * torch.randint(0, 2, shape, generator=generator)
    coupling = conditions.coupling.clone()
    for axis in range(len(shape)):
        coupling[:, axis] *= signs * signs.roll(-1, axis)
    x = start(model, 3)
    renamed = torch.where(signs > 0, x, 1 - x)
    made = network.values(renamed, conditions._replace(coupling=coupling))
    values = network.values(x, conditions)
    expected = torch.where(signs > 0, values, values.flip(1))
    torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("permutation", [(1, 2, 0), (0, 2, 1)])
def test_a_permutation_of_states_and_fields_goes_along(permutation: tuple[int, ...]) -> None:
    model = lt.Potts((5, 6), q=3, beta=0.9, field=[0.1, 0.0, -0.4])
    network = network_of(model, 5)
    conditions = lt.AnnealingPath(model).conditions(0.6)
    place = torch.tensor(permutation)
    field = torch.empty_like(conditions.field)
    field[:, place] = conditions.field
    x = start(model, 3)
    renamed = place[x.long()].to(torch.int8)
    values = network.values(x, conditions)
    expected = torch.empty_like(values)
    expected[:, place] = values
    made = network.values(renamed, conditions._replace(field=field))
    torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("turn", [(1, 1), (0, -1), (3, -1)], ids=["rotation", "mirror", "both"])
def test_a_clock_model_may_be_rotated_and_mirrored(turn: tuple[int, int]) -> None:
    model = lt.Clock((4, 4), q=5, beta=0.9)
    network = network_of(model, 3)
    conditions = lt.AnnealingPath(model).conditions(0.6)
    begin, sign = turn
    place = (begin + sign * torch.arange(5)) % 5
    x = start(model, 3)
    values = network.values(x, conditions)
    expected = torch.empty_like(values)
    expected[:, place] = values
    made = network.values(place[x.long()].to(torch.int8), conditions)
    torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["ising 1d", "ising tiny", "potts 2d", "clock 2d", "ising 4d"])
def test_translation_equivariance(name: str) -> None:
    model, kernel_size = CASES[name]
    network = network_of(model, kernel_size)
    conditions = lt.AnnealingPath(model).conditions(0.3)
    x = start(model, 3)
    shifts = tuple(range(1, model.lattice.ndim + 1))
    axes = tuple(range(1, model.lattice.ndim + 1))
    moved = network(x.roll(shifts, axes), conditions)
    expected = network(x, conditions).roll(shifts, tuple(a + 1 for a in axes))
    torch.testing.assert_close(moved, expected, rtol=1e-4, atol=1e-4)


def test_orbits_of_directions_that_differ_are_told_apart() -> None:
    square = network_of(lt.Ising((4, 4), beta=0.4), 3)
    oblong = network_of(lt.Ising((4, 6), beta=0.4), 3)
    stretched = network_of(lt.Ising((4, 4), beta=0.4, coupling=[1.0, 0.5]), 3)
    # Displacements of 0 to 2 sites either way: pairs in order, and pairs, without the centre.
    assert len(square.skip.weight) == 1 + 5
    assert len(stretched.skip.weight) == 1 + 8
    assert len(oblong.skip.weight) == 1 + 3 * 4 - 1
