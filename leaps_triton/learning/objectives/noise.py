"""Noise on single sites: heat kernels ``q_t = e^{tR}`` of three rates between states.

- uniform: ``R = 1/q - I``, so that ``q_t = e^{-t} I + (1 - e^{-t}) / q``;
- cyclic: hops of rate 1 to both neighbours on a ring of states, by its Fourier modes, of eigenvalue
  ``2 (cos 2πk/q - 1)``;
- ordinal: the same on a chain with ends, by its cosine modes (DCT-II), of ``2 (cos πk/q - 1)``.
"""

import math

import torch
from torch import Tensor

from ...kernels import Stream, philox, uniform64
from ...kernels.checks import expect

__all__ = ["KERNELS", "heat_kernel", "perturbed"]


KERNELS = ("uniform", "cyclic", "ordinal")
"""Kinds of noise on single sites."""


def heat_kernel(kind: str, q: int, time: float) -> Tensor:
    """Return ``q_t(b | a)``, symmetric, float64 ``(q, q)``.

    Args:
        kind: one of :data:`KERNELS`.
        q: states.
        time: ``t``.

    References:
        Schröder and others, *Energy-based modelling for discrete and mixed data via heat equations
        on structured spaces*, arXiv:2412.01019 (2024).

    Example:
        >>> heat_kernel("uniform", 2, 0.0)
        tensor([[1., 0.],
                [0., 1.]], dtype=torch.float64)
    """
    expect(kind in KERNELS, "kernel", "one of " + ", ".join(KERNELS), kind)
    states = torch.arange(q, dtype=torch.float64)
    if kind == "uniform":
        stay = math.exp(-time)
        same = torch.eye(q, dtype=torch.float64)
        return stay * same + (1.0 - stay) / q
    if kind == "cyclic":
        angles = 2.0 * math.pi * states / q
        decay = torch.exp(2.0 * time * (torch.cos(angles) - 1.0))
        # Of a ring the kernel depends on the difference alone, evenly.
        along = (torch.cos(angles.unsqueeze(1) * states) @ decay) / q
        difference = (states.unsqueeze(1) - states).remainder(q).long()
        return along[difference]
    decay = torch.exp(2.0 * time * (torch.cos(math.pi * states / q) - 1.0))
    modes = torch.cos(math.pi * (states.unsqueeze(1) + 0.5) * states / q) * math.sqrt(2.0 / q)
    modes[:, 0] = 1.0 / math.sqrt(q)
    return (modes * decay) @ modes.T


def perturbed(configurations: Tensor, kernel: Tensor, event: int, seed: int) -> Tensor:
    """Return configurations each site of which has moved by a kernel, independently.

    Args:
        configurations: int8 ``(walkers, *shape)``.
        kernel: ``q_t(b | a)``, float64 ``(q, q)``.
        event: another one for every call.
        seed: in [0, 2³²).
    """
    states = configurations.flatten(1).long()
    walkers, sites = states.shape
    slots = torch.arange(walkers).unsqueeze(1)
    words = philox(seed, Stream.TRAIN, slots, event, torch.arange(sites), 0)
    uniform = uniform64(words[0], words[1])
    # The last threshold is 1 but for rounding, and above every uniform number.
    thresholds = kernel.cumsum(1)[:, :-1]
    found = (thresholds[states] <= uniform.unsqueeze(2)).sum(2)
    return found.to(configurations.dtype).view_as(configurations)
