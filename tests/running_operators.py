"""What an interval of a running density does to a measure, without noise.

What a hold adds to ``A`` is asked of :meth:`Jump.step` itself. Between two events the measure of
walkers obeys a linear differential equation, which collocation solves to rounding.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

import leaps_triton as lt
from helpers import move_targets, states
from leaps_triton import kernels
from leaps_triton.kernels import JumpStep

FLOAT64 = torch.float64


@contextmanager
def no_jumps() -> Iterator[None]:
    """Walkers hold to the end of their interval, and gain what they gain."""
    right = kernels.jump_step

    def step(x: Tensor, a: Tensor, left: Tensor, rates: Tensor, *rest: Any) -> JumpStep:
        return right(x, a, left, torch.zeros_like(rates), *rest)

    kernels.jump_step = step  # type: ignore[assignment]
    try:
        yield
    finally:
        kernels.jump_step = right


@torch.no_grad()
def gains(path: Any, network: Any, jump: lt.Jump, interval: int, left: Tensor) -> tuple[Any, Any]:
    """Return what holds of every state to the end of the interval add, ``(times, states)``."""
    x = states(path.model)
    n = len(x)
    repeated = x.repeat(len(left), *[1] * (x.ndim - 1))
    state = lt.Jump.init(jump, repeated, torch.arange(len(repeated)))
    state = state._replace(
        interval=torch.full_like(state.interval, interval),
        remaining=left.repeat_interleave(n),
    )
    with no_jumps():
        after, info = lt.Jump.step(jump, state, path, network, seed=0)
    assert not after.remaining.any()
    return after.log_weights.view(len(left), n), info.rates.rates[:n]


def rates_matrix(model: Any, rates: Tensor) -> Tensor:
    """Return the generator of these rates, row = from."""
    matrix = torch.zeros(len(rates), len(rates), dtype=FLOAT64)
    matrix.scatter_add_(1, move_targets(model), rates.double().flatten(1))
    return matrix - torch.diag(matrix.sum(1))


def collocation(stages: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return nodes, weights and integrals of Gauss's method on [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(stages)
    c = torch.from_numpy(nodes + 1.0) / 2
    powers = torch.arange(stages)
    vandermonde = c.unsqueeze(1) ** powers
    integrals = c.unsqueeze(1) ** (powers + 1) / (powers + 1)
    return c, torch.from_numpy(weights) / 2, integrals @ torch.linalg.inv(vandermonde)


def through(
    path: Any,
    network: Any,
    jump: lt.Jump,
    interval: int,
    measure: Tensor,
    at_jumps: Callable[[Tensor, Tensor], Tensor] | None = None,
    parts: int = 2,
) -> Tensor:
    """Return a measure, with its weights, at the end of an interval.

    With ``Γ(x, r)`` what a hold with ``r`` left adds, ``n = m e^{-Γ}`` obeys ``n' = n (e^Γ)⁻¹ L
    e^Γ``: row vectors, ``L`` the generator of the rates.
    """
    begin = float(jump.times[interval])
    h = float(jump.times[interval + 1]) - begin
    c, weights, integrals = collocation(10)
    size = len(measure)
    start, rates = gains(path, network, jump, interval, torch.tensor([h], dtype=FLOAT64))
    flow = rates_matrix(path.model, rates)
    vector = measure * start[0].exp()
    for part in range(parts):
        times = (part + c) * h / parts
        ahead, _ = gains(path, network, jump, interval, h - times)
        made = (ahead.unsqueeze(1) - ahead.unsqueeze(2)).exp() * flow
        if at_jumps is not None:
            made = made * torch.stack([at_jumps(begin + time, flow) for time in times])
        # Stages K_i = (v + h Σ_j a_ij K_j) A_i, as one linear system.
        system = torch.eye(len(c) * size, dtype=FLOAT64).view(len(c), size, len(c), size)
        blocks = integrals.view(len(c), 1, len(c), 1) * made.transpose(1, 2).unsqueeze(2)
        system = system - h / parts * blocks
        right = (vector @ made).flatten()
        slopes = torch.linalg.solve(system.view(len(right), -1), right)
        vector = vector + h / parts * (weights @ slopes.view(len(c), size))
    return vector
