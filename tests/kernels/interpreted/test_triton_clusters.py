"""The kernel of cluster_labels against its twin: integers, so the same labels."""

import random
from collections.abc import Generator
from typing import Any

import pytest
import torch
from torch import Tensor

from kernel_tools import DEVICE, SHAPES, recorded, require_kernels, silent
from leaps_triton.kernels import reference

require_kernels()
from leaps_triton.kernels.labels import triton as kernel  # noqa: E402

pytestmark = silent


def bonds(shape: tuple[int, ...], walkers: int, share: float, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(walkers, len(shape), *shape, generator=generator) < share


def compare(given: Tensor) -> None:
    before = given.clone()
    found = kernel.cluster_labels(given.to(DEVICE)).cpu()
    assert torch.equal(given, before)
    assert found.dtype == torch.int64 and torch.equal(found, reference.cluster_labels(given))


@pytest.mark.parametrize("key", list(kernel.SINGLE))
def test_every_variant_of_one_program(key: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ndim, block = key
    shape, _ = SHAPES[ndim]
    if block > 256:
        shape = (*shape[:-1], 2 + 256 // torch.Size(shape[:-1]).numel())
    with recorded(kernel, monkeypatch) as run:
        compare(bonds(shape, 2, 0.5))
    assert run == [kernel.SINGLE[key]]


def large(ndim: int) -> tuple[int, ...]:
    """Odd lengths, with more sites than one program holds."""
    return {1: (1031,), 2: (33, 35), 3: (9, 11, 13), 4: (5, 7, 6, 5)}[ndim]


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
def test_every_variant_of_many_programs(ndim: int, monkeypatch: pytest.MonkeyPatch) -> None:
    share = {1: 0.99, 2: 0.5, 3: 0.25, 4: 0.16}[ndim]
    with recorded(kernel, monkeypatch) as run:
        compare(bonds(large(ndim), 1 + ndim % 2, share))
    assert run == [kernel.UNION["runs",], kernel.UNION["join", ndim], kernel.UNION["roots",]]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 1.0])
@pytest.mark.parametrize(
    "shape", [(1,), (2,), (3,), (63,), (15, 4), (2, 2), (3, 5, 3), (2, 3, 2, 3)]
)
def test_shapes(shape: tuple[int, ...], share: float) -> None:
    for walkers in (0, 1, 3):
        compare(bonds(shape, walkers, share, seed=walkers))


@pytest.mark.parametrize(
    ("shape", "share"),
    [((2, 1025), 0.5), ((1025, 2), 0.9), ((33, 32), 0.0), ((33, 32), 1.0), ((3, 2, 200), 0.5)],
)
def test_shapes_of_many_programs(shape: tuple[int, ...], share: float) -> None:
    compare(bonds(shape, 1, share, seed=5))


def test_open_edges() -> None:
    given = bonds((40, 33), 1, 0.8)
    given[:, 0, -1] = False
    given[:, 1, :, -1] = False
    compare(given)


def winding(rows: int, columns: int) -> Tensor:
    """Bonds of a path through all rows, forth and back."""
    given = torch.zeros(1, 2, rows, columns, dtype=torch.bool)
    given[:, 1, :, : columns - 1] = True
    given[:, 0, 0 : rows - 1 : 2, columns - 1] = True
    given[:, 0, 1 : rows - 1 : 2, 0] = True
    return given


@pytest.mark.parametrize("shape", [(32, 32), (41, 33)])
def test_a_winding_path_is_one_cluster(shape: tuple[int, int]) -> None:
    given = winding(*shape)
    assert (kernel.cluster_labels(given.to(DEVICE)) == 0).all()
    # Backwards too, so that links have the longest way to go.
    compare(given.flip(2).roll(-1, 2))
    assert (kernel.cluster_labels(given.transpose(2, 3).flip(1).to(DEVICE)) == 0).all()


def test_bonds_that_are_not_contiguous() -> None:
    compare(bonds((5, 4), 3, 0.5).transpose(2, 3))


class Links:
    """The links of :mod:`.triton_union` as programs see them: a read may give a former value."""

    def __init__(self, sites: int, seed: int) -> None:
        self.values = [[site] for site in range(sites)]
        self.random = random.Random(seed)

    def read(self, site: int) -> int:
        former = self.values[site]
        if self.random.random() < 0.3:
            return self.random.choice(former)
        return former[-1]

    def lower(self, site: int, link: int) -> int:
        """What an atomic minimum does and returns."""
        old = self.values[site][-1]
        if link < old:
            self.values[site].append(link)
        return old

    def follow(self, site: int) -> Generator[None, None, int]:
        """Make the steps of ``follow``; others may work after each of them. Returns the root."""
        up = self.read(site)
        while up != site:
            yield
            above = self.read(up)
            yield
            if above < up:
                self.lower(site, above)
            site = up
            up = above
        return site

    def join(self, one: int, other: int) -> Generator[None, None, None]:
        """Make the steps of ``join_kernel`` for one bond."""
        one = yield from self.follow(one)
        other = yield from self.follow(other)
        while one != other:
            yield
            high = max(one, other)
            low = min(one, other)
            old = self.lower(high, low)
            if old in (high, low):
                return
            one = old
            other = low


def test_joins_find_the_same_roots_in_any_order() -> None:
    """The interpreter runs programs one by one: here the steps of many are mixed."""
    for seed in range(300):
        links = Links(30, seed)
        choose = links.random.randrange
        given = [(choose(30), choose(30)) for _ in range(choose(45))]
        running = [links.join(*bond) for bond in given]
        while running:
            program = running[choose(len(running))]
            if next(program, "done") == "done":
                running.remove(program)
        expected = list(range(30))
        for _ in range(30):
            for one, other in given:
                expected[one] = expected[other] = min(expected[one], expected[other])
        roots = [links.values[site][-1] for site in range(30)]
        for _ in range(30):
            roots = [roots[root] for root in roots]
        assert roots == expected
