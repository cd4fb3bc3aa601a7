"""The op cluster_labels: connected components, against a plain search."""

from typing import Any

import pytest
import torch
from torch import Tensor

from leaps_triton import Lattice, kernels
from leaps_triton.kernels import reference


def bonds(shape: tuple[int, ...], walkers: int, share: float, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(walkers, len(shape), *shape, generator=generator) < share


def searched(bonds: Tensor) -> list[int]:
    """Labels of one walker, by search from each site in turn."""
    shape = tuple(bonds.shape[1:])
    forward = Lattice(shape, tuple(n > 1 for n in shape)).neighbours()[::2]
    joined: dict[int, set[int]] = {site: set() for site in range(forward.shape[1])}
    for axis, site in bonds.flatten(1).nonzero().tolist():
        other = site
        if shape[axis] > 1:
            other = max(int(forward[axis, site]), 0)
        joined[site].add(other)
        joined[other].add(site)
    labels = [-1] * len(joined)
    for first in joined:
        pending = []
        if labels[first] < 0:
            pending.append(first)
        while pending:
            site = pending.pop()
            if labels[site] < 0:
                labels[site] = first
                pending.extend(joined[site])
    return labels


SHAPES = [(1,), (2,), (15,), (63,), (5, 3), (2, 2), (16, 9), (3, 2, 5), (2, 3, 1, 3), (4, 3, 3, 2)]


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_labels_are_those_of_a_search(shape: tuple[int, ...], share: float) -> None:
    given = bonds(shape, 5, share)
    labels = kernels.cluster_labels(given)
    assert labels.shape == (5, *shape) and labels.dtype == torch.int64
    assert labels.flatten(1).tolist() == [searched(one) for one in given]


def test_bonds_wrap_and_open_edges_are_the_callers() -> None:
    given = torch.zeros(1, 2, 3, 4, dtype=torch.bool)
    given[0, 1, 1, 3] = given[0, 0, 2, 1] = True
    assert kernels.cluster_labels(given).tolist() == [[[0, 1, 2, 3], [4, 5, 6, 4], [8, 1, 10, 11]]]


def test_a_winding_path_is_one_cluster() -> None:
    """One line through the whole lattice: labels must travel its length, not one site a round."""
    given = torch.zeros(1, 2, 64, 64, dtype=torch.bool)
    given[:, 1, :, :63] = True
    given[:, 0, 0:63:2, 63] = given[:, 0, 1:63:2, 0] = True
    assert (kernels.cluster_labels(given) == 0).all()


def test_labels_name_themselves_and_do_not_depend_on_the_other_walkers() -> None:
    given = bonds((9, 7), 30, 0.45, seed=3)
    labels = kernels.cluster_labels(given).flatten(1)
    assert torch.equal(labels.gather(1, labels), labels)
    assert len(labels.unique(dim=0)) == 30
    for row in range(30):
        assert torch.equal(
            kernels.cluster_labels(given[row : row + 1]).flatten(1), labels[row : row + 1]
        )


def test_few_rounds_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the order of the logarithm of the sites, near the percolation threshold too."""
    rounds = []
    equal = torch.equal

    def counted(*tensors: Tensor) -> bool:
        rounds.append(1)
        return equal(*tensors)

    monkeypatch.setattr(torch, "equal", counted)
    reference.cluster_labels(bonds((64, 64), 8, 0.5, seed=5))
    assert len(rounds) <= 12


def test_no_walkers() -> None:
    assert kernels.cluster_labels(torch.zeros(0, 2, 3, 3, dtype=torch.bool)).shape == (0, 3, 3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (torch.zeros(2, 2, 3, 3), "bonds must be bool, got torch.float32"),
        (torch.zeros(2, 3, 3, 3, dtype=torch.bool), r"got \(2, 3, 3, 3\)"),
        (torch.zeros(2, 3, dtype=torch.bool), r"1 to 4 lattice axes, got \(2, 3\)"),
    ],
)
def test_bonds_that_are_refused(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kernels.cluster_labels(given)
