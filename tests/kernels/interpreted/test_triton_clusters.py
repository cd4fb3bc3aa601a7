"""The kernel of cluster_labels against its twin: integers, so the same labels."""

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


@pytest.mark.parametrize("key", list(kernel.VARIANTS))
def test_every_variant(key: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ndim, block = key
    shape, _ = SHAPES[ndim]
    if block > 256:
        shape = (*shape[:-1], 2 + 256 // torch.Size(shape[:-1]).numel())
    with recorded(kernel, monkeypatch) as run:
        compare(bonds(shape, 2, 0.5))
    assert run == [kernel.VARIANTS[key]]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 1.0])
@pytest.mark.parametrize(
    "shape", [(1,), (2,), (3,), (63,), (15, 4), (2, 2), (3, 5, 3), (2, 3, 2, 3)]
)
def test_shapes(shape: tuple[int, ...], share: float) -> None:
    for walkers in (0, 1, 3):
        compare(bonds(shape, walkers, share, seed=walkers))


def test_a_lattice_of_several_tiles() -> None:
    compare(bonds((33, 35), 2, 0.5))


def test_a_winding_path_is_one_cluster() -> None:
    given = torch.zeros(1, 2, 32, 40, dtype=torch.bool)
    given[:, 1, :, :39] = True
    given[:, 0, 0:31:2, 39] = given[:, 0, 1:31:2, 0] = True
    assert (kernel.cluster_labels(given.to(DEVICE)) == 0).all()


def test_bonds_that_are_not_contiguous() -> None:
    compare(bonds((5, 4), 3, 0.5).transpose(2, 3))
