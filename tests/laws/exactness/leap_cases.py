"""Models of tests of tau-leaping without noise, and their paths."""

from typing import Any

import torch

import leaps_triton as lt

MODELS: dict[str, Any] = {
    "ising 2x3 field": lt.Ising((2, 3), beta=0.5, field=torch.linspace(-0.5, 0.7, 6).view(2, 3)),
    "potts 4 q=3": lt.Potts(4, q=3, beta=0.8, field=[0.3, 0.0, -0.2]),
    "pm1 2x3 open": lt.EdwardsAnderson(
        (2, 3), beta=0.7, disorder="pm1", seed=3, periodic=False, field=0.2
    ),
}


def path_of(name: str) -> lt.AnnealingPath:
    return lt.AnnealingPath(MODELS[name], schedule=lambda t: t**1.5)
