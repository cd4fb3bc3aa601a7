"""What tests of observables share: models, and configurations of any of them."""

import torch
from torch import Tensor

from leaps_triton.models import Clock, EdwardsAnderson, Ising, PairModel, Potts

MODELS = {
    "ising": Ising((2, 3), 0.6, field=0.3),
    "odd ising": Ising((3, 3), 0.45, coupling=1.3, periodic=(True, False)),
    "glass": EdwardsAnderson(
        (2, 2, 2), 0.8, disorder="gaussian", seed=2, periodic=(False, True, True)
    ),
    "potts": Potts((2, 3), 3, 0.7, field=[0.4, 0.0, -0.3]),
    "clock": Clock((5,), 4, 0.9, field=[0.1, 0.5, 0.0, -0.2]),
    "own spins": PairModel(
        (4,), 0.5, [[1.0, -0.5], [0.3, 0.2]], spins=torch.tensor([[1.0, 2.0], [0.5, -1.0]])
    ),
}


def some(model: PairModel, walkers: int = 5) -> Tensor:
    index = torch.arange(walkers * model.lattice.sites)
    return (
        ((index * 7919 + index**2 * 31) % 101 % model.q)
        .to(torch.int8)
        .view(walkers, *model.lattice.shape)
    )
