"""The moving average of a network's parameters."""

import torch
from torch import nn

__all__ = ["follow"]


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, step: int, decay: float) -> None:
    """Let an average take its part of a step; buffers are copied.

    Args:
        average: a module of the same parameters.
        network: what is trained, after the step.
        step: steps before this one.
        decay: of the average per step, in [0, 1), reached from ``(1 + step) / (10 + step)``.
    """
    # Early on the average would otherwise be one of the initial parameters.
    decay = min(decay, (1.0 + step) / (10.0 + step))
    for parameter, new in zip(average.parameters(), network.parameters(), strict=True):
        parameter.lerp_(new, 1.0 - decay)
    for buffer, value in zip(average.buffers(), network.buffers(), strict=True):
        # Buffers may be counters or indices, which have no mean.
        buffer.copy_(value)
