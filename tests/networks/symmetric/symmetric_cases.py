"""What tests of SymmetricConv share: models with kernel sizes, networks, configurations."""

from typing import Any

import torch
from torch import Tensor

import leaps_triton as lt
from helpers import awake

TABLE = [[0.3, 0.7, -0.2], [-0.4, 0.1, 0.9], [0.25, 0.0, 0.33]]

CASES: dict[str, tuple[Any, int]] = {
    "ising 1d": (lt.Ising((9,), beta=0.7, field=0.2), 5),
    "ising 2d": (lt.Ising((6, 6), beta=0.4), 7),
    "ising 2d odd": (lt.Ising((5, 7), beta=0.4, field=torch.linspace(-1, 1, 35).view(5, 7)), 7),
    "ising 2d open": (lt.Ising((6, 5), beta=0.4, periodic=(True, False)), 5),
    "ising tiny": (lt.Ising((2, 3), beta=0.4), 7),
    "ising two couplings": (lt.Ising((4, 4), beta=0.4, coupling=[1.0, 0.37]), 3),
    "pm1 2d": (lt.EdwardsAnderson((6, 6), beta=0.8, seed=2), 3),
    "gaussian 3d": (lt.EdwardsAnderson((4, 3, 4), beta=0.8, disorder="gaussian", seed=2), 3),
    "potts 2d": (lt.Potts((5, 6), q=3, beta=0.9, field=[0.1, 0.0, -0.4]), 5),
    "potts tiny": (lt.Potts((2, 2), q=3, beta=0.9), 5),
    "clock 2d": (lt.Clock((4, 4), q=4, beta=0.9), 3),
    "clock open": (lt.Clock((4, 4), q=5, beta=0.9, periodic=False), 3),
    "no symmetry": (lt.PairModel((4, 3), 0.5, TABLE), 3),
    "ising 4d": (lt.Ising((3, 4, 3, 2), beta=0.2), 3),
}


def network_of(model: Any, kernel_size: int, **options: Any) -> lt.SymmetricConv:
    made: lt.SymmetricConv = awake("SymmetricConv", model, kernel_size=kernel_size, **options)
    return made


def start(model: Any, walkers: int, seed: int = 0) -> Tensor:
    return lt.AnnealingPath(model).start.sample(torch.arange(walkers), seed)


def turned(x: Tensor, site: int, shift: int, q: int) -> Tensor:
    moved = x.flatten(1).clone()
    moved[:, site] = (moved[:, site] + shift) % q
    return moved.view_as(x)
