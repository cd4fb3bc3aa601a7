"""Holds in a running density on a CPU: loops and twins give the same, to the last bit."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

pytest.importorskip("numba")

from leaps_triton import kernels
from leaps_triton.kernels import reference
from leaps_triton.kernels.class_jumps.cases import classes
from leaps_triton.kernels.class_jumps.cases import density as of_classes
from leaps_triton.kernels.functions import cpu
from leaps_triton.kernels.functions.reference import mean_exponential64
from leaps_triton.kernels.inputs.random import normal
from leaps_triton.kernels.jumps.cases import density, jump
from leaps_triton.kernels.native import compiling

FLOAT64 = torch.float64


def same(found: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> bool:
    """Whether all is equal, NaN to NaN."""
    pairs = zip(found, expected, strict=True)
    return all(torch.equal(a.nan_to_num(7.5), b.nan_to_num(7.5)) for a, b in pairs)


@compiling.inlined
def means(z, out):
    for i in range(len(z)):
        out[i] = cpu.mean_exponential64(z[i])


def test_means_of_exponentials_are_the_twins() -> None:
    edges = [0.0, -0.0, 5e-324, 0.375, 0.3750000001, 700.0, 750.0, 1e300, math.inf, math.nan]
    ordinary = torch.logspace(-20, 3, 20_003, dtype=FLOAT64)
    z = -torch.cat([torch.tensor(edges, dtype=FLOAT64), ordinary])
    found = np.empty(len(z))
    means(z.numpy(), found)
    assert same((torch.from_numpy(found),), (mean_exponential64(z),))


STEPS = [((2, 3), 3, 61), ((5,), 2, 1), ((33, 35), 2, 66), ((16, 16), 2, 64), ((4, 8), 2, 0)]


@pytest.mark.parametrize("dtype", [torch.float32, FLOAT64])
@pytest.mark.parametrize(("shape", "q", "walkers"), STEPS)
def test_one_event_is_that_of_the_twin(
    shape: tuple[int, ...], q: int, walkers: int, dtype: torch.dtype
) -> None:
    """Of few slopes and of as many as moves, small and large, and where numbers are not finite."""
    given = jump(shape, q, walkers)
    given["remaining"][::4] = 0.0
    given["rates"] = given["rates"].to(dtype)
    running = density(shape, q, walkers)
    running = running._replace(in_rates=running.in_rates.to(dtype))
    many = normal(*running.slopes.shape, seed=9)
    for slopes in (running.slopes, many, 3e3 * many, 1e-12 * many):
        chosen = running._replace(slopes=slopes.to(dtype))
        expected = reference.jump_step(**given, running=chosen)
        assert same(kernels.jump_step(**given, running=chosen), expected)
    for bad in (math.nan, math.inf):
        chosen.slopes.flatten(1)[1::7, ::2] = bad
        chosen.in_rates.flatten(1)[2::7, 0] = bad
        chosen.speed[3::7] = bad
        chosen.offset[5::7] = -bad
        expected = reference.jump_step(**given, running=chosen)
        assert same(kernels.jump_step(**given, running=chosen), expected)


MANY = [
    ((7,), 65, 9, 1.0),
    ((6, 7), 30, 50, 30.0),
    ((16, 16), 24, 40, 30.0),
    ((67, 64), 5, 20, 20.0),
    ((3, 3, 3, 3), 10, 30, 10.0),
    ((5, 6), 0, 5, 1.0),
]


@pytest.mark.parametrize(("shape", "walkers", "steps", "length"), MANY)
def test_events_of_classes_are_those_of_the_twin(
    shape: tuple[int, ...], walkers: int, steps: int, length: float
) -> None:
    given = classes(shape, walkers, steps, length)
    given["remaining"][::5] = 0.0
    running = of_classes(given["rates"])
    for scale in (1.0, 1e-9, 200.0):
        chosen = running._replace(levels=scale * running.levels)
        expected = reference.local_jump_steps(**given, running=chosen)
        assert same(kernels.local_jump_steps(**given, running=chosen), expected)


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e300])
def test_entries_that_are_not_finite(bad: float) -> None:
    """In one level, and in a few rates."""
    given = classes((5, 6), 40, 12, 3.0)
    running = of_classes(given["rates"])
    levels = running.levels.clone()
    levels[2] = bad
    in_rates = running.in_rates.clone()
    in_rates[10:14, ::5] = bad
    for chosen in (running._replace(levels=levels), running._replace(in_rates=in_rates)):
        expected = reference.local_jump_steps(**given, running=chosen)
        assert same(kernels.local_jump_steps(**given, running=chosen), expected)


def test_gradients_that_are_asked_for_elsewhere_change_nothing() -> None:
    given = jump((3, 5), 3, 20)
    running = density((3, 5), 3, 20)
    expected = kernels.jump_step(**given, running=running)
    wanted = running._replace(in_rates=running.in_rates.clone().requires_grad_())
    assert same(kernels.jump_step(**given, running=wanted), expected)
