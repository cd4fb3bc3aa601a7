"""What tests of checkpoints share: models, samplers, and a schedule without a name."""

from typing import Any

import torch

import leaps_triton as lt

MODELS: dict[str, Any] = {
    "pair": lt.PairModel(
        (3, 4),
        0.3,
        [[0.5, -1.0], [-0.3, 1.0]],
        torch.linspace(0, 1, 24).view(2, 3, 4),
        0.7,
        (True, False),
    ),
    "ising": lt.Ising((3, 4), beta=0.1 + 0.2, field=0.3),
    "edwards-anderson": lt.EdwardsAnderson((2, 3, 3), beta=0.7, disorder="gaussian", seed=3),
    "potts": lt.Potts((3, 3), q=3, beta=0.8, field=[0.3, 0.0, -0.2]),
    "clock": lt.Clock(5, q=5, beta=1.0, periodic=False),
}


def sampler_of(model: Any, network: Any = None) -> lt.Sampler:
    mcmc = lt.HeatBath(sweeps=2) if network is None else None
    return lt.Sampler(
        lt.AnnealingPath(model), network, lt.Jump([0.0, 0.3, 1.0]), mcmc, block=70, device="cpu"
    )


def _square(t: torch.Tensor) -> torch.Tensor:
    return t**2
