"""CPU kernels of energies and log-ratios: the twins' numbers, bit for bit."""

import pytest
import torch

pytest.importorskip("numba")

from leaps_triton.kernels.energies import cpu, reference
from leaps_triton.kernels.energies.cases import model, without_beta

SHAPES = [
    ((1,), (True,)),
    ((1,), (False,)),
    ((2,), (True,)),
    ((70,), (True,)),
    ((1, 3), (False, True)),
    ((3, 1), (True, False)),
    ((5, 7), (True, True)),
    ((16, 16), (True, True)),
    ((9, 8), (False, False)),
    ((2, 3, 4), (True, False, True)),
    ((3, 1, 2, 5), (True, True, False, True)),
]
TABLES = ("own", "shared", "uniform", "directions", "partial")


@pytest.mark.parametrize(("shape", "periodic"), SHAPES)
@pytest.mark.parametrize("q", [2, 3])
def test_energies_are_the_twins(shape: tuple[int, ...], periodic: tuple[bool, ...], q: int) -> None:
    for seed, tables in enumerate(TABLES):
        given = model(shape, periodic, q, 5, tables, seed=100 * seed)
        plain = without_beta(given)
        sums = cpu.energy(**plain)
        expected = reference.energy(**plain)
        assert torch.equal(sums.energy, expected.energy), tables
        assert torch.equal(sums.counts, expected.counts), tables
        for dtype in (torch.float32, torch.float64):
            found = cpu.local_energy(**given, dtype=dtype)
            twin = reference.local_energy(**given, dtype=dtype)
            assert torch.equal(found.energy, twin.energy), tables
            assert torch.equal(found.log_ratios, twin.log_ratios), (tables, dtype)


def test_many_states_no_walkers_and_strided_configurations() -> None:
    given = model((4, 5), (True, False), 127, 6)
    plain = without_beta(given)
    assert torch.equal(cpu.energy(**plain).energy, reference.energy(**plain).energy)
    found = cpu.local_energy(**given).log_ratios
    assert torch.equal(found, reference.local_energy(**given).log_ratios)
    shared = without_beta(model((4, 5), (True, False), 3, 6, "shared"))
    x = shared.pop("configurations")
    strided = x.permute(0, 2, 1).contiguous().permute(0, 2, 1)
    assert torch.equal(cpu.energy(strided, **shared).energy, reference.energy(x, **shared).energy)
    assert len(cpu.energy(x[:0], **shared).energy) == 0


def test_threads_change_nothing() -> None:
    given = model((64, 64), (True, True), 2, 40, "shared")
    one = cpu.local_energy(**given)
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        three = cpu.local_energy(**given)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(one.energy, three.energy)
    assert torch.equal(one.log_ratios, three.log_ratios)
