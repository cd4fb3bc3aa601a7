"""The folders of the kernels: one family each, with cases that reach every op."""

import importlib
import pkgutil

import pytest
import torch

from leaps_triton import Lattice, kernels
from leaps_triton.kernels.class_jumps.cases import surroundings
from leaps_triton.kernels.configs import CONFIGS
from leaps_triton.kernels.inputs.families import small
from leaps_triton.kernels.site_sweeps.cases import colouring
from leaps_triton.networks.local_rates import Shells

MODULES = [found.name for found in pkgutil.walk_packages(kernels.__path__, f"{kernels.__name__}.")]
FAMILIES = [name.split(".")[-2] for name in MODULES if name.endswith(".op")]
TWINS = {"clusters", "graph_clusters"}
"""Families whose twins CUDA devices run."""


def registered() -> set[str]:
    names = torch._C._dispatch_get_all_op_names()
    return {name.partition("::")[2] for name in names if name.startswith("leaps_triton::")}


def test_no_module_has_the_name_of_an_op() -> None:
    """Or ``import leaps_triton.kernels.energy as m`` would give a function."""
    assert len(FAMILIES) >= 9
    assert registered() & {name.rpartition(".")[2] for name in MODULES} == set()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_has_its_op_twin_kernels_and_cases(family: str) -> None:
    folder = f"{kernels.__name__}.{family}"
    parts = {"op", "reference", "cases", "triton"}
    if family in TWINS:
        parts = {"op", "reference", "cases", "cpu"}
    assert {f"{folder}.{part}" for part in parts} <= set(MODULES)
    assert 2 <= sum(name.startswith(f"{folder}.") for name in MODULES) + 1 <= 10
    assert importlib.import_module(f"{folder}.cases").small()


def test_small_cases_reach_every_op() -> None:
    assert {op._qualname.partition("::")[2] for op, _ in small().values()} == registered()


def test_every_configuration_is_read_by_a_family() -> None:
    assert {key[0] for key in CONFIGS} == set(FAMILIES) - TWINS


@pytest.mark.parametrize(
    ("shape", "periodic"),
    [
        ((5,), (True,)),
        ((4, 6), (True, True)),
        ((5, 4), (False, True)),
        ((3, 2, 5), (True, True, False)),
    ],
)
def test_cases_colour_a_lattice_as_the_library_does(
    shape: tuple[int, ...], periodic: tuple[bool, ...]
) -> None:
    lattice = Lattice(shape, periodic)
    colours, number = colouring(shape, periodic)
    assert number == lattice.num_colours and torch.equal(colours, lattice.colours())


@pytest.mark.parametrize(
    ("shape", "count"), [((7,), 3), ((5, 6), 3), ((4, 5, 3), 2), ((3, 3, 3, 3), 1)]
)
def test_classes_are_those_of_the_network_that_has_them(shape: tuple[int, ...], count: int) -> None:
    shells = Shells.nearest(len(shape), count)
    around = surroundings(shape, count)
    assert torch.equal(around.neighbours, shells.neighbours(shape))
    expected = [shells.surroundings]
    for size, stride in zip(shells.sizes, shells.strides(), strict=True):
        expected += [stride] * size
    assert around.strides.tolist() == expected and around.classes == 2 * shells.surroundings
    assert around.distinct == shells.distinct(shape)
