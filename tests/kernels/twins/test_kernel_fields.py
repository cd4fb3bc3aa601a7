"""Laws of the ops of real fields and of normal numbers, whichever form runs."""

import math
from typing import Any

import pytest
import torch

from leaps_triton import kernels
from leaps_triton.kernels.lattice_fields.cases import fields, of_potential


def test_moments_of_normal_numbers() -> None:
    count = 2**20
    x = kernels.normals(7, kernels.Stream.TRAIN, 2, 0, torch.arange(2**10), 2**10, torch.float64)
    # Moments and their standard deviations: beyond 4.5 sigma once in 15000 seeds, of eight.
    expected = {1: (0.0, 1.0), 2: (1.0, 2.0), 3: (0.0, 15.0), 4: (3.0, 96.0)}
    for power, (mean, variance) in expected.items():
        pull = (float((x**power).mean()) - mean) / math.sqrt(variance / count)
        assert abs(pull) < 4.5
    # Neighbours of a pair, of a counter, and of two walkers.
    products = (x[:, ::2] * x[:, 1::2], x[:, ::4] * x[:, 2::4], x[::2] * x[1::2])
    for product in products:
        assert abs(float(product.mean())) < 4.5 / math.sqrt(product.numel())
    # The share beyond two sigma.
    share = math.erfc(math.sqrt(2.0))
    beyond = float((x.abs() > 2.0).double().mean())
    assert abs(beyond - share) < 4.5 * math.sqrt(share / count)
    # The squares of the two of a pair are independent too: Var = 4 of the product of two chi².
    squares = (x[:, ::2] ** 2 - 1.0) * (x[:, 1::2] ** 2 - 1.0)
    assert abs(float(squares.mean())) < 4.5 * 2.0 / math.sqrt(squares.numel())


def test_normal_numbers_of_a_walker_are_its_own() -> None:
    one = kernels.normals(3, 0, 4, 1, torch.tensor([5, 9]), 10)
    other = kernels.normals(3, 0, 4, 1, torch.tensor([9]), 7)
    assert torch.equal(one[1, :7], other[0])
    wide = kernels.normals(3, 0, 4, 1, torch.tensor([5, 9]), 10, torch.float64)
    assert torch.equal(one, wide.float())
    for changed in ((4, 0, 4, 1), (3, 1, 4, 1), (3, 0, 5, 1), (3, 0, 4, 2)):
        assert not torch.equal(kernels.normals(*changed, torch.tensor([5, 9]), 10), one)


def test_gradients_of_all_ops() -> None:
    given = fields((2, 3), 2, torch.float64, own=True)
    x = given.pop("configurations").requires_grad_()
    potential = of_potential({"configurations": x, **given})
    del potential["configurations"]
    assert torch.autograd.gradcheck(lambda y: kernels.lattice_action(y, **given), (x,))
    assert torch.autograd.gradcheck(lambda y: kernels.site_potential(y, **potential), (x,))
    assert torch.autograd.gradcheck(lambda y: tuple(kernels.action_and_force(y, **given)), (x,))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"configurations": torch.zeros(2, 3, dtype=torch.int8)}, "must be float32 or float64"),
        ({"configurations": torch.zeros(2)}, "1 to 4 lattice axes"),
        ({"mass_squared": torch.ones(3, dtype=torch.float64)}, r"mass_squared must have shape"),
        ({"quartic": torch.ones(1)}, "quartic must be float64"),
    ],
)
def test_fields_that_do_not_fit_are_refused(changes: dict[str, Any], words: str) -> None:
    given = fields((3,), 2) | changes
    for op in (kernels.lattice_action, kernels.action_and_force):
        with pytest.raises(ValueError, match=words):
            op(**given)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"walker_index": torch.arange(2).float()}, "walker_index must be torch.int64"),
        ({"sites": 0}, "sites must be an integer of at least 1"),
        ({"seed": -1}, "seed must be an integer"),
        ({"dtype": torch.float16}, "dtype must be float32 or float64"),
    ],
)
def test_normal_numbers_that_cannot_be_made(changes: dict[str, Any], words: str) -> None:
    given = {
        "seed": 0,
        "stream": 0,
        "event": 0,
        "draw": 0,
        "walker_index": torch.arange(2),
        "sites": 3,
        **changes,
    }
    with pytest.raises(ValueError, match=words):
        kernels.normals(**given)
