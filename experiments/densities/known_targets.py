"""The targets of the experiments: what they are, where paths to them begin, what a pilot tries."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

import leaps_triton as lt


@dataclass(frozen=True)
class Known:
    """One target.

    Attributes:
        title: as tables and figures name it.
        make: returns the model.
        start: returns where paths begin.
        annealings: intervals of AIS and SMC among which a pilot chooses.
        leapfrogs: of a trajectory, likewise.
        width: of networks.
        modes: whether masses of modes are compared.
        dense: whether a dense drift is followed, or one of two halves.
        nodes: whether trainings are on nodes in a box, by Gauss and Newton.
        adam: steps of Adam.
        newton: steps of Gauss and Newton.
        noisy: intervals and ε of noisy steps along learned curves among which a pilot chooses.
    """

    title: str
    make: Callable[[], Any]
    start: Callable[[], Any]
    annealings: tuple[int, ...] = (25, 50, 100, 200)
    leapfrogs: tuple[int, ...] = (1, 3)
    width: int = 32
    modes: bool = False
    dense: bool = True
    nodes: bool = False
    adam: int = 300
    newton: int = 30
    noisy: tuple[tuple[int, float], ...] = ((40, 0.1), (80, 0.3))


def gaussian(scale: float) -> Callable[[], Any]:
    """Return what makes a Gaussian start of a scale."""

    def made() -> Any:
        return lt.Gaussian(scale)

    return made


def four_modes() -> Any:
    """Return four Gaussians in the plane, of unequal masses."""
    means = torch.tensor([[1.5, 1.5], [-1.5, 1.5], [1.5, -1.5], [-1.5, -1.5]])
    weights = torch.tensor([0.1, 0.2, 0.3, 0.4])
    return lt.GaussianMixture(means, 0.7, weights)


def laplace_pair() -> Any:
    """Return two peaks of Laplace densities, 8 apart."""
    return lt.LaplacePair(separation=8.0)


def laplace_start() -> Any:
    """Return the first of the two peaks."""
    return lt.Laplace()


TARGETS: dict[str, Known] = {
    "two": Known(
        "two modes, 1D",
        lt.GaussianMixture.two,
        gaussian(1.0),
        width=20,
        modes=True,
        nodes=True,
    ),
    "four": Known(
        "four modes, 2D", four_modes, gaussian(1.5), width=20, modes=True, nodes=True, newton=20
    ),
    "nine": Known("GMM-9, 2D", lt.GaussianMixture.nine, gaussian(4.0), modes=True, adam=600),
    "forty": Known(
        "GMM-40, 2D",
        lt.GaussianMixture.forty,
        gaussian(25.0),
        annealings=(100, 200, 400),
        width=64,
        adam=600,
        modes=True,
        noisy=((80, 0.3), (200, 0.3)),
    ),
    "wells": Known(
        "many-well, 5D, δ = 4", lt.ManyWell.squares, gaussian(2.0), leapfrogs=(3, 10), modes=True
    ),
    "pairs": Known(
        "many-well, 32D",
        lt.ManyWell.pairs,
        gaussian(1.5),
        annealings=(100, 200, 400),
        leapfrogs=(3, 10),
        dense=False,
    ),
    "funnel": Known("funnel, 10D, σ = 3", lt.Funnel, gaussian(1.0), leapfrogs=(3, 10)),
    "laplace": Known(
        "Laplace pair, 1D, m = 8",
        laplace_pair,
        laplace_start,
        annealings=(50, 100, 200, 400),
        modes=True,
        nodes=True,
    ),
}
"""Name on the command line → the target."""
