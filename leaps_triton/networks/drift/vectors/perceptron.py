"""Layers of a dense drift, with derivatives by their inputs of first and second order.

All weights stand in layers that are called, tangents included, so that per-sample gradients are
cheap; there are no biases but those that time gives, so that a tangent needs no other call.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..gates import CHEBYSHEV

__all__ = ["Jet", "Perceptron", "basis"]


class Jet(NamedTuple):
    """Values of layers, and their derivatives by the inputs."""

    value: Tensor
    """``y``, ``(walkers, outputs)``"""
    first: Tensor
    """``∂y/∂z_j``, ``(walkers, inputs, outputs)``"""
    second: Tensor
    """``∂²y/∂z_j∂z_k``, ``(walkers, inputs, inputs | 1, outputs)``, the latter of ``j = k``"""


def basis(z: Tensor) -> Tensor:
    """Return the derivatives of inputs by themselves, ``(walkers, inputs, inputs)``."""
    count = z.shape[1]
    unit = torch.eye(count, dtype=z.dtype, device=z.device)
    return unit.expand(len(z), count, count)


class Perceptron(nn.Module):
    """Hidden layers ``y ← tanh(W y + B T(t))`` and a readout ``R y + C T(t)``.

    ``T`` are Chebyshev polynomials of time: they take the place of biases.

    Args:
        inputs: their number.
        width: of hidden layers.
        depth: number of hidden layers.
        outputs: their number.
    """

    def __init__(self, inputs: int, width: int, depth: int, outputs: int) -> None:
        super().__init__()
        counts = [inputs, *[width] * (depth - 1)]
        self.hidden = nn.ModuleList([_linear(count, width) for count in counts])
        self.hours = nn.ModuleList([_linear(CHEBYSHEV, width) for _ in counts])
        self.readout = _linear(width, outputs)
        self.shift = _linear(CHEBYSHEV, outputs)

    def forward(self, z: Tensor, time: Tensor) -> Tensor:
        """Return the outputs, ``(walkers, outputs)``.

        Args:
            z: inputs, ``(walkers, inputs)``.
            time: polynomials, ``(1 | walkers, 4)``.
        """
        y = z
        for layer, hour in zip(self.hidden, self.hours, strict=True):
            y = torch.tanh(layer(y) + hour(time))
        values: Tensor = self.readout(y) + self.shift(time)
        return values

    def tangents(self, z: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """Return :attr:`Jet.value` and :attr:`Jet.first`; arguments as in :meth:`forward`."""
        y = z
        first = basis(z)
        for layer, hour in zip(self.hidden, self.hours, strict=True):
            y = torch.tanh(layer(y) + hour(time))
            slope = 1.0 - y * y
            first = slope.unsqueeze(1) * layer(first)
        return self.readout(y) + self.shift(time), self.readout(first)

    def jet(self, z: Tensor, time: Tensor, mixed: bool) -> Jet:
        """Return values with derivatives of both orders; other arguments as in :meth:`forward`.

        Args:
            z: inputs, ``(walkers, inputs)``.
            time: polynomials, ``(1 | walkers, 4)``.
            mixed: whether those by two inputs are wanted, and not by one input twice alone.
        """
        y = z
        first = basis(z)
        second: Tensor | None = None
        for layer, hour in zip(self.hidden, self.hours, strict=True):
            y = torch.tanh(layer(y) + hour(time))
            slope = 1.0 - y * y
            first = layer(first)
            other = first.unsqueeze(2)
            if mixed:
                other = first.unsqueeze(1)
            # tanh'' = -2 tanh tanh'
            bend = (-2.0 * y * slope).unsqueeze(1).unsqueeze(1)
            bent = bend * (first.unsqueeze(2) * other)
            if second is not None:
                bent = bent + slope.unsqueeze(1).unsqueeze(1) * layer(second)
            second = bent
            first = slope.unsqueeze(1) * first
        assert second is not None
        value = self.readout(y) + self.shift(time)
        return Jet(value, self.readout(first), self.readout(second))

    @torch.no_grad()
    def soften(self) -> None:
        """Make initial parameters such that outputs are small, and layers bend a little."""
        for weight in self.hidden[0].parameters():
            # Each input, and not their sum, is about 1.
            weight.mul_(0.7 * weight.shape[1] ** 0.5)
        for weight in self.hours.parameters():
            weight.mul_(0.6)
        # Small but not zero: at zero the gradients of all other layers vanish.
        self.readout.weight.mul_(0.1)
        self.shift.weight.mul_(0.1)

    def matrices(self) -> list[Tensor]:
        """Return the weights of the hidden layers and of the readout, float64."""
        weights = [*self.hidden.parameters(), self.readout.weight]
        return [weight.detach().double() for weight in weights]


def _linear(inputs: int, outputs: int) -> nn.Linear:
    return nn.Linear(inputs, outputs, bias=False)
