"""CPU kernels of packed sweeps: the configurations of the twins, bit for bit, and exact energies.

Statistical tests have fixed seeds and raise a false alarm with probability 1e-4 each.
"""

import itertools
from typing import Any

import pytest
import torch

pytest.importorskip("numba")

import leaps_triton as lt
from helpers import sigma_threshold
from leaps_triton import kernels
from leaps_triton.kernels import reference
from leaps_triton.kernels.packed_sweeps.cases import packed

FLOAT64 = torch.float64
SHAPES = [
    ((2, 2), False),
    ((6, 2), False),
    ((4, 6), False),
    ((18, 22), False),
    ((2, 64), True),
    ((6, 192), True),
    ((70, 128), True),
]


def compare(given: dict[str, Any], rest: float) -> None:
    before = given["configurations"].clone()
    found = kernels.packed_heat_bath_sweeps(**given)
    assert torch.equal(given["configurations"], before)
    assert torch.equal(found, reference.packed_heat_bath_sweeps(**given))
    found = kernels.packed_metropolis_sweeps(**given, rest=rest)
    assert torch.equal(found, reference.packed_metropolis_sweeps(**given, rest=rest))


@pytest.mark.parametrize(("shape", "rows"), SHAPES)
def test_kernels_equal_their_twins(shape: tuple[int, int], rows: bool) -> None:
    """With fields and signs or none, one β or many, either order, in incomplete groups."""
    walkers = 2 if rows else 40
    for tilt, signs, own in itertools.product((0.0, 0.3), (False, True), (False, True)):
        given = packed(shape, walkers, 2, tilt, signs, own, rows)
        compare(given | {"backward": signs != own}, rest=0.125 * own)


def test_one_sign_of_all_bonds() -> None:
    given = packed((4, 6), 5) | {"negative": torch.ones(1, 1, 1, dtype=torch.bool)}
    compare(given, rest=0.25)
    all_signs = given | {"negative": torch.ones(2, 4, 6, dtype=torch.bool)}
    found = kernels.packed_heat_bath_sweeps(**given)
    assert torch.equal(found, kernels.packed_heat_bath_sweeps(**all_signs))


@pytest.mark.parametrize("rows", [False, True])
def test_threads_do_not_matter(rows: bool) -> None:
    given = packed((64, 64), 200, 4, rows=rows)
    threads = torch.get_num_threads()
    found = []
    for number in (1, 3):
        torch.set_num_threads(number)
        found.append(kernels.packed_heat_bath_sweeps(**given))
    torch.set_num_threads(threads)
    assert torch.equal(*found)


def test_threads_share_a_large_lattice() -> None:
    """Where there are fewer walkers than threads."""
    given = packed((1024, 2048), 1, 2, 0.3, signs=True, rows=True)
    # The signs of that many bonds are not kept from call to call.
    assert given["negative"].numel() > 2**20
    threads = torch.get_num_threads()
    found = []
    for number in (1, 3):
        torch.set_num_threads(number)
        for op in (kernels.packed_heat_bath_sweeps, kernels.packed_metropolis_sweeps):
            found.append(op(**given))
    torch.set_num_threads(threads)
    assert torch.equal(found[0], found[2])
    assert torch.equal(found[1], found[3])
    # More than one part.
    assert 1024 * 2048 // 64 // 128 > 128


def test_memory_in_another_order() -> None:
    given = packed((6, 4), 40, signs=True)
    turned = given["configurations"].transpose(1, 2).contiguous().transpose(1, 2)
    strided = given | {"configurations": turned, "beta": given["beta"].repeat(2)[::2]}
    assert not strided["configurations"].is_contiguous()
    compare(strided, rest=0.0)


def chain(op: Any, model: Any, walkers: int, draws: int, thin: int, burn_in: int, **options: Any):
    """Energies per site, float64 ``(walkers, draws)``, from all spins up."""
    x = torch.ones(walkers, *model.shape, dtype=torch.int8)
    own = model.packed
    beta = torch.tensor([model.beta], dtype=FLOAT64)
    index = torch.arange(walkers)
    found = []
    done = 0
    for draw in range(draws):
        sweeps = thin + burn_in * (draw == 0)
        x = op(x, own.negative, own.strength, own.tilt, beta, index, done, sweeps, 7, **options)
        done += sweeps
        found.append(model.energy(x, check=False) / model.lattice.sites)
    return torch.stack(found, dim=1)


@pytest.mark.parametrize("temperature", [2.0, 2.269, 3.0])
@pytest.mark.parametrize("op", ["heat_bath", "metropolis"])
def test_energies_are_those_of_kaufman(op: str, temperature: float) -> None:
    """On 16 × 16, within 10⁻³ a site."""
    model = lt.Ising((16, 16), 1.0 / temperature)
    options = {"rest": 0.125} if op == "metropolis" else {}
    run = getattr(kernels, f"packed_{op}_sweeps")
    energies = chain(run, model, 1024, 40, 60, 600, **options)
    # Walkers are independent, the draws of one are not.
    means = energies.mean(1)
    error = float(means.std() / len(means) ** 0.5)
    assert error < 1e-3
    pull = (float(means.mean()) - lt.exact.ising_energy((16, 16), model.beta)) / error
    assert abs(pull) < sigma_threshold(1)
    # So are the neighbours in a word.
    off = means - means.mean()
    products = off[:-1] * off[1:]
    assert abs(float(products.sum())) / float(products.square().sum()) ** 0.5 < sigma_threshold(1)


def test_energies_of_rows() -> None:
    model = lt.Ising((64, 64), 0.4)
    means = chain(kernels.packed_heat_bath_sweeps, model, 64, 30, 20, 200, rows=True).mean(1)
    error = float(means.std() / 8.0)
    assert error < 1e-3
    pull = (float(means.mean()) - lt.exact.ising_energy((64, 64), 0.4)) / error
    assert abs(pull) < sigma_threshold(1)


def test_energies_of_the_twin() -> None:
    model = lt.Ising((16, 16), 1.0 / 3.0)
    means = chain(reference.packed_heat_bath_sweeps, model, 1024, 20, 4, 20).mean(1)
    error = float(means.std() / 32.0)
    assert error < 1e-3
    pull = (float(means.mean()) - lt.exact.ising_energy((16, 16), model.beta)) / error
    assert abs(pull) < sigma_threshold(1)
