"""Layers that even inputs and the time multiply."""

import torch
from torch import Tensor, nn

__all__ = ["TIMES", "Layer", "time_basis"]

TIMES = 6
"""Number of functions of the time."""


def time_basis(progress: Tensor) -> Tensor:
    """Return functions of ``u = β_t / β_max``: Legendre polynomials 0 to 3, and two late rises.

    Args:
        progress: ``u``, ``(rows,)``.

    Returns:
        ``(rows, 6)``.
    """
    x = 2.0 * progress - 1.0
    columns = [
        torch.ones_like(x),
        x,
        1.5 * x * x - 0.5,
        2.5 * x**3 - 1.5 * x,
        torch.exp(-8.0 * (1.0 - progress)),
        torch.exp(-20.0 * (1.0 - progress)),
    ]
    return torch.stack(columns, 1)


class Layer(nn.Module):
    """A linear layer whose outputs even inputs and time multiply, before a hyperbolic tangent.

    Args:
        inputs: number of values that come in.
        even: number of even inputs.
        width: number of values that go out.
        mixes: whether there is a channel per state, so that even inputs are added as well.
        averages: whether the mean over states comes in too.
    """

    def __init__(self, inputs: int, even: int, width: int, mixes: bool, averages: bool) -> None:
        super().__init__()
        self.odd = nn.Linear(inputs, width, bias=False)
        self.even = nn.Linear(even, width, bias=False)
        self.time = nn.Linear(TIMES, width, bias=False)
        self.shift: nn.Linear | None = None
        if mixes:
            self.shift = nn.Linear(even, width, bias=False)
        self.average: nn.Linear | None = None
        if averages:
            self.average = nn.Linear(inputs, width, bias=False)

    def forward(self, hidden: Tensor, even: Tensor, time: Tensor, channels: int) -> Tensor:
        """Return the values of the layer, ``(walkers, channels · sites, width)``.

        Args:
            hidden: what comes in, ``(walkers, channels · sites, inputs)``.
            even: even inputs, ``(walkers, channels · sites, even)``.
            time: functions of the time, ``(1 | walkers, 6)``.
            channels: their number.
        """
        raised = self.odd(hidden)
        if self.average is not None:
            mean = hidden.unflatten(1, (channels, -1)).mean(1)
            of_mean = self.average(mean)
            raised = raised + of_mean.repeat(1, channels, 1)
        factor = self.even(even) + (1.0 + self.time(time)).unsqueeze(1)
        if self.shift is None:
            return torch.tanh(raised * factor)
        return torch.tanh(torch.addcmul(self.shift(even), raised, factor))
