"""Models of the tests, each with its interaction written down a second time."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from leaps_triton.models import Clock, EdwardsAnderson, Ising, PairModel, Potts

Site = tuple[int, ...]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def random_configurations(model: PairModel, walkers: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (walkers, *model.lattice.shape)
    return torch.randint(model.q, shape, generator=generator, dtype=torch.int8)


def moved(configurations: Tensor, site: int, shift: int, q: int) -> Tensor:
    """``x^{(i,k)}`` of every walker, ``i`` the site's flat index."""
    flat = configurations.flatten(1).long()
    flat[:, site] = (flat[:, site] + shift) % q
    return flat.to(torch.int8).view_as(configurations)


class Case(NamedTuple):
    """A model, and its interaction written down a second time."""

    model: PairModel
    coupling: float | Tensor
    interaction: Callable[[int, int], float]
    field: Callable[[int, Site], float]


def ising(a: int, b: int) -> float:
    return (2 * a - 1) * (2 * b - 1)


def potts(a: int, b: int) -> float:
    return float(a == b)


def clock(q: int) -> Callable[[int, int], float]:
    return lambda a, b: (
        math.cos(2 * math.pi * a / q) * math.cos(2 * math.pi * b / q)
        + math.sin(2 * math.pi * a / q) * math.sin(2 * math.pi * b / q)
    )


def no_field(a: int, site: Site) -> float:
    return 0.0


def ising_field(h: float | Tensor) -> Callable[[int, Site], float]:
    return lambda a, site: (2 * a - 1) * float(h[site] if isinstance(h, Tensor) else h)


def table_field(h: Tensor) -> Callable[[int, Site], float]:
    return lambda a, site: float(h[(a, *site)] if h.ndim > 1 else h[a])


ONE_WAY = [[0.3, -1.1, 2.0], [0.7, 0.0, -0.4], [1.9, 0.6, -0.2]]
J_23, H_23 = normal(2, 2, 3), normal(2, 3, seed=1)
J_43, H_43 = normal(2, 4, 3, seed=2), normal(3, 4, 3, seed=3)
J_7, H_3, H_5 = normal(1, 7, seed=4), normal(3, seed=5), normal(5, seed=6)
PM1 = EdwardsAnderson(
    (2, 3, 2), 0.7, disorder="pm1", seed=3, field=0.2, periodic=(True, True, False)
)
GAUSSIAN = EdwardsAnderson(
    (3, 2, 2, 2), 0.7, disorder="gaussian", seed=4, periodic=(False, True, True, False)
)

CASES = {
    "chain": Case(Ising(5, 0.4, coupling=0.7, field=0.3), 0.7, ising, ising_field(0.3)),
    "double bonds": Case(
        Ising((2, 3), 0.4, coupling=J_23, field=H_23), J_23, ising, ising_field(H_23)
    ),
    "antiferromagnet": Case(
        Ising((3, 2), 0.4, coupling=-1, field=H_23.T, periodic=(True, False)),
        -1.0,
        ising,
        ising_field(H_23.T),
    ),
    "pm1": Case(PM1, PM1.coupling, ising, ising_field(0.2)),
    "gaussian": Case(GAUSSIAN, GAUSSIAN.coupling, ising, no_field),
    "potts": Case(Potts((4, 3), 3, 0.5, coupling=J_43, field=H_43), J_43, potts, table_field(H_43)),
    "open potts": Case(Potts((1, 4), 4, 0.5, periodic=(False, True)), 1.0, potts, no_field),
    "clock": Case(
        Clock((3, 5), 5, 0.5, field=H_5, periodic=False), 1.0, clock(5), table_field(H_5)
    ),
    "one way": Case(
        PairModel((7,), 0.5, ONE_WAY, site_table=H_3, coupling=J_7),
        J_7,
        lambda a, b: ONE_WAY[a][b],
        table_field(H_3),
    ),
    "one way, double bonds": Case(
        PairModel((2, 3), 0.5, torch.tensor(ONE_WAY), coupling=J_23, periodic=(True, False)),
        J_23,
        lambda a, b: float(torch.tensor(ONE_WAY)[a, b]),
        no_field,
    ),
}


class EnergyOnly:
    """The least a model must offer, with the energy of another."""

    def __init__(self, model: PairModel) -> None:
        self.lattice, self.q, self.beta = model.lattice, model.q, model.beta
        self._energy = model.energy

    def energy(self, configurations: Tensor) -> Tensor:
        return self._energy(configurations)
