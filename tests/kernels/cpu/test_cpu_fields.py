"""CPU kernels of real fields and normal numbers: the twins' numbers, bit for bit."""

import math

import numpy as np
import pytest
import torch

pytest.importorskip("numba")

from leaps_triton.kernels import reference as twins
from leaps_triton.kernels.functions import cpu as functions
from leaps_triton.kernels.functions import reference
from leaps_triton.kernels.lattice_fields import cpu as fields_cpu
from leaps_triton.kernels.lattice_fields.cases import fields, of_potential
from leaps_triton.kernels.native import compiling
from leaps_triton.kernels.normal_numbers import cpu as normals_cpu
from leaps_triton.kernels.normal_numbers.cases import arguments
from leaps_triton.kernels.normal_numbers.reference import Normals

SHAPES = [(1,), (2,), (70,), (2, 2), (5, 7), (16, 16), (2, 3, 4), (3, 1, 2, 5)]
TYPES = (torch.float32, torch.float64)


@compiling.inlined
def circle(x, sines, cosines):
    for i in range(len(x)):
        sines[i] = functions.sine(x[i])
        cosines[i] = functions.cosine(x[i])


@pytest.mark.parametrize("shape", SHAPES)
def test_actions_and_forces_are_the_twins(shape: tuple[int, ...]) -> None:
    for dtype in TYPES:
        for own in (False, True):
            given = fields(shape, 5, dtype, own)
            found = fields_cpu.action_and_force(**given)
            twin = twins.action_and_force(**given)
            assert torch.equal(found.action, twin.action)
            assert torch.equal(found.force, twin.force)
            assert torch.equal(fields_cpu.lattice_action(**given), twin.action)
            potential = of_potential(given)
            expected = twins.site_potential(**potential)
            assert torch.equal(fields_cpu.site_potential(**potential), expected)


def test_fields_of_no_walkers_and_strided_ones() -> None:
    given = fields((4, 5), 6)
    x = given["configurations"]
    twin = twins.action_and_force(**given)
    strided = {**given, "configurations": x.permute(0, 2, 1).contiguous().permute(0, 2, 1)}
    assert torch.equal(fields_cpu.action_and_force(**strided).force, twin.force)
    none = {**given, "configurations": x[:0]}
    assert fields_cpu.lattice_action(**none).shape == (0,)
    assert fields_cpu.action_and_force(**none).force.shape == (0, 4, 5)


def test_threads_change_nothing() -> None:
    given = fields((64, 64), 40)
    numbers = Normals(**arguments(40, 4096))
    one = fields_cpu.action_and_force(**given)
    drawn = normals_cpu.normals(numbers)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        two = fields_cpu.action_and_force(**given)
        again = normals_cpu.normals(numbers)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(one.action, two.action)
    assert torch.equal(one.force, two.force)
    assert torch.equal(drawn, again)


@pytest.mark.parametrize("dtype", TYPES)
def test_normal_numbers_are_the_twins(dtype: torch.dtype) -> None:
    for sites in (1, 2, 3, 4, 5, 130):
        given = arguments(7, sites, dtype) | {"walker_index": torch.tensor([2**33 + 5, 0, 7])}
        assert torch.equal(normals_cpu.normals(Normals(**given)), twins.normals(**given))
    # All quarter turns and both ends of the words.
    given = arguments(50, 1000, dtype)
    assert torch.equal(normals_cpu.normals(Normals(**given)), twins.normals(**given))


def test_sine_and_cosine_are_the_twins() -> None:
    inside = torch.linspace(-math.pi / 4, math.pi / 4, 100_003, dtype=torch.float64)
    x = torch.cat([inside, torch.tensor([0.0, 1e-300, 2.0**-40], dtype=torch.float64)])
    sines = np.empty(len(x))
    cosines = np.empty(len(x))
    circle(x.numpy(), sines, cosines)
    assert torch.equal(reference.sine(x), torch.from_numpy(sines))
    assert torch.equal(reference.cosine(x), torch.from_numpy(cosines))
    torch.testing.assert_close(reference.sine(x), x.sin(), rtol=2.0**-51, atol=0.0)
    torch.testing.assert_close(reference.cosine(x), x.cos(), rtol=2.0**-51, atol=0.0)


def test_roots_are_rounded_to_the_nearest() -> None:
    uniform = torch.rand(200_003, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    edges = torch.tensor([1.0, 4.0, 2.0, 1e-10, 2.0**-53, 46.0, 1e100], dtype=torch.float64)
    x = torch.cat([uniform * 46.0, edges])
    # NumPy's is that of the processor.
    assert torch.equal(reference.square_root(x), torch.from_numpy(np.sqrt(x.numpy())))
