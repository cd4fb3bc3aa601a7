"""What tests of domain jumps share: models with domains, the cut, walkers in an interval."""

from typing import Any

import torch

import leaps_triton as lt
from leaps_triton.integrators.domains import Domains
from leaps_triton.integrators.jump import JumpState

FLOAT64 = torch.float64
CPU = torch.device("cpu")
FIELD = torch.linspace(-0.5, 0.7, 8)

CASES: dict[str, tuple[Any, int | tuple[int, ...]]] = {
    "ising 8, sites": (lt.Ising((8,), beta=0.5, field=FIELD), 1),
    "ising 8, pairs": (lt.Ising((8,), beta=0.5, field=FIELD), 2),
    "ising 2x4": (lt.Ising((2, 4), beta=0.4, field=FIELD.view(2, 4)), (2, 1)),
    "ising 6 open": (lt.Ising((6,), beta=0.7, field=FIELD[:6], periodic=False), 1),
    "potts 4 q=3": (lt.Potts((4,), q=3, beta=0.9, field=[0.3, 0.0, -0.2]), 1),
    "potts 6 q=3": (lt.Potts((6,), q=3, beta=0.8, field=[0.3, 0.0, -0.2]), 1),
}
"""Model and domain: in each, a class has two or more domains."""


def cut(path: lt.AnnealingPath, jump: lt.Jump, transport: Any) -> Domains:
    made = jump.domains(path, transport, CPU)
    assert made is not None
    return made


def start(jump: lt.Jump, path: lt.AnnealingPath, walkers: int, first: int = 0) -> JumpState:
    index = torch.arange(first, first + walkers)
    return jump.enter(jump.init(path.start.sample(index, 1), index), path)[0]
