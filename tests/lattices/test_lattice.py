"""Laws of lattices: neighbours against a plain loop, proper colourings, refused input."""

import copy
import dataclasses
import itertools
import math
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from leaps_triton.lattices.hypercubic import Lattice


def small_lattices() -> Iterator[Lattice]:
    """Yield every lattice of lengths up to 8, 5, 4 and 3 in one to four dimensions.

    Each comes with every choice of boundaries.
    """
    for ndim, longest in ((1, 8), (2, 5), (3, 4), (4, 3)):
        for shape in itertools.product(range(1, longest + 1), repeat=ndim):
            for periodic in itertools.product((False, True), repeat=ndim):
                if not any(
                    wraps and length == 1 for length, wraps in zip(shape, periodic, strict=True)
                ):
                    yield Lattice(shape, periodic)


LATTICES = [
    Lattice(7),
    Lattice((6,), periodic=False),
    Lattice((2, 2)),
    Lattice((5, 4), periodic=(True, False)),
    Lattice((4, 5), periodic=(True, False)),
    Lattice((1, 6), periodic=(False, True)),
    Lattice((1, 1), periodic=False),
    Lattice((3, 2, 5), periodic=(False, True, True)),
    Lattice((2, 3, 1, 4), periodic=(True, True, False, True)),
    Lattice((3, 3, 3, 3)),
]


@pytest.mark.parametrize("lattice", LATTICES, ids=repr)
def test_neighbours_equal_a_plain_loop(lattice: Lattice) -> None:
    sites = list(itertools.product(*map(range, lattice.shape)))
    expected: list[list[int]] = []
    for d, length in enumerate(lattice.shape):
        for step in (1, -1):
            row = []
            for site in sites:
                there = site[d] + step
                outside = not 0 <= there < length
                neighbour = (*site[:d], there % length, *site[d + 1 :])
                row.append(-1 if outside and not lattice.periodic[d] else sites.index(neighbour))
            expected.append(row)
    neighbours = lattice.neighbours()
    assert neighbours.dtype == torch.int64
    assert neighbours.tolist() == expected


def test_colouring_is_proper_on_every_small_lattice() -> None:
    count = 0
    for lattice in small_lattices():
        colours, neighbours = lattice.colours(), lattice.neighbours()
        odd_cycle = any(
            wraps and n % 2 for n, wraps in zip(lattice.shape, lattice.periodic, strict=True)
        )
        assert colours.dtype == torch.int8 and tuple(colours.shape) == lattice.shape, lattice
        assert lattice.num_colours == (3 if odd_cycle else 2), lattice
        assert int(colours.min()) == 0 and int(colours.max()) < lattice.num_colours, lattice
        flat = colours.flatten()
        assert not ((flat[neighbours] == flat) & (neighbours >= 0)).any(), lattice
        count += 1
    assert count == 15 + 9**2 + 7**3 + 5**4


def test_neighbours_are_mutual_on_every_small_lattice() -> None:
    for lattice in small_lattices():
        neighbours, index = lattice.neighbours(), torch.arange(lattice.sites)
        for d, (length, wraps) in enumerate(zip(lattice.shape, lattice.periodic, strict=True)):
            forward, backward = neighbours[2 * d], neighbours[2 * d + 1]
            inside = forward >= 0
            assert torch.equal(backward[forward[inside]], index[inside]), lattice
            bonds = lattice.sites if wraps else lattice.sites // length * (length - 1)
            assert int(inside.sum()) == bonds == int((backward >= 0).sum()), lattice


def test_both_ways_round_a_periodic_direction_of_length_two_lead_to_the_same_site() -> None:
    forward, backward, *_ = Lattice((2, 3)).neighbours()
    assert torch.equal(forward, backward)


@pytest.mark.parametrize("shape", [(6, 4), [6, 4], torch.Size([6, 4]), torch.tensor([6, 4])])
@pytest.mark.parametrize("periodic", [True, (True, True), [True, True]])
def test_ways_to_write_one_lattice(shape: Any, periodic: Any) -> None:
    lattice = Lattice(shape, periodic)
    assert lattice == Lattice((6, 4)) and hash(lattice) == hash(Lattice((6, 4)))
    assert lattice.shape == (6, 4) and lattice.periodic == (True, True)
    assert (lattice.ndim, lattice.sites) == (2, 24)
    assert all(type(n) is int for n in lattice.shape)


def test_one_length_is_a_chain() -> None:
    assert Lattice(5) == Lattice((5,)) and Lattice(5, False) == Lattice((5,), (False,))


def test_lattices_differ_by_shape_and_boundaries() -> None:
    lattices = [
        Lattice((6, 4)),
        Lattice((4, 6)),
        Lattice((6, 4), False),
        Lattice((6, 4), (True, False)),
        Lattice(24),
    ]
    assert len(set(lattices)) == len(lattices)
    assert copy.deepcopy(lattices) == lattices == pickle.loads(pickle.dumps(lattices))


@pytest.mark.parametrize("name", ["shape", "periodic", "anything"])
def test_lattices_are_frozen(name: str) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(Lattice((6, 4)), name, (3, 3))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((4.0, 4), r"tuple of integers such as \(16, 16\), got \(4.0, 4\)"),
        ("44", "tuple of integers .* got '44'"),
        (None, "tuple of integers .* got None"),
        (4.5, "tuple of integers .* got 4.5"),
        (((4, 4), 4), "tuple of integers"),
        ((), r"1 to 4 dimensions, got \(\)"),
        ((2, 2, 2, 2, 2), r"1 to 4 dimensions, got \(2, 2, 2, 2, 2\)"),
        ((4, 0), r"at least 1, got shape \(4, 0\)"),
        (-3, r"at least 1, got shape \(-3,\)"),
        (
            (4, 1),
            r"direction 1 is periodic with length 1.*its own neighbour.*periodic=False.*\(4, 1\)",
        ),
    ],
)
def test_shapes_that_are_refused(shape: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Lattice(shape)


@pytest.mark.parametrize(
    "periodic", [(True,), (True, False, True), (), "yes", "no", (1, 0), (True, None), None, 1]
)
def test_boundaries_that_are_refused(periodic: Any) -> None:
    with pytest.raises(
        ValueError, match=r"periodic must be a bool or 2 bools, one a direction, got "
    ):
        Lattice((4, 4), periodic)


@settings(max_examples=60)
@given(lengths=st.lists(st.integers(-2, 5), max_size=6), periodic=st.booleans())
def test_a_shape_is_taken_or_refused_by_the_documented_rule(
    lengths: list[int], periodic: bool
) -> None:
    shortest = 2 if periodic else 1
    if 1 <= len(lengths) <= 4 and min(lengths) >= shortest:
        assert Lattice(lengths, periodic).sites == math.prod(lengths)
    else:
        with pytest.raises(ValueError, match=r"got|shape"):
            Lattice(lengths, periodic)
