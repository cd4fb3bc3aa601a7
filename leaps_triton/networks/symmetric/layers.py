"""Layers that even inputs and the time multiply."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .inputs import Inputs, Sight, count_inputs
from .taps import block_weights, blocks, raised_taps, taps_of

__all__ = ["Layer", "LayerInputs", "Stack", "pieces", "time_basis", "time_of"]


PIECE = 2**18
"""Values of the first layer that a CPU makes at once: they stay in a core's cache."""

_WIDTHS = (0.04, 0.12)
"""Of the rises and humps about a focus, narrow and wide, in units of ``u``.

A lattice of 16 sites across rounds the Ising transition over a twentieth of β_c or so.
"""


def time_basis(progress: Tensor, focus: float | None = None) -> Tensor:
    """Return functions of ``u = β_t / β_max``: Legendre polynomials 0 to 3, and two late rises.

    Args:
        progress: ``u``, ``(rows,)``.
        focus: where two rises and two humps are added; None for nowhere.

    Returns:
        ``(rows, 6)``, or ``(rows, 10)`` with a focus.
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
    if focus is not None:
        for width in _WIDTHS:
            away = (progress - focus) / width
            columns += [torch.tanh(away), torch.exp(-away * away)]
    return torch.stack(columns, 1)


class _Gate(torch.autograd.Function):
    """``tanh(r ∘ (e + t) + s)``, in pieces that stay in a core's cache forward and backward.

    Left to autograd, every product and sum would be one more pass over memory.
    """

    @staticmethod
    def forward(
        ctx: Any, raised: Tensor, even: Tensor, time: Tensor, shift: Tensor | None
    ) -> Tensor:
        made = torch.empty_like(raised)
        for rows in pieces(raised, raised.shape[2]):
            product = torch.add(even[rows], time_of(rows, time), out=made[rows])
            product.mul_(raised[rows])
            if shift is not None:
                product.add_(shift[rows])
            # tanh z = 2 σ(2 z) - 1, on a CPU several times as fast.
            product.mul_(2.0).sigmoid_().mul_(2.0).sub_(1.0)
        ctx.save_for_backward(raised, even, time, made)
        ctx.shifts = shift is not None
        return made

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        raised, even, time, made = ctx.saved_tensors
        to_product = torch.empty_like(made)
        to_raised = torch.empty_like(made)
        to_even = torch.empty_like(made)
        to_time = made.new_empty(len(made), 1, made.shape[2])
        for rows in pieces(made, made.shape[2]):
            # tanh' = 1 - tanh².
            slope = torch.mul(made[rows], made[rows], out=to_product[rows])
            slope.neg_().add_(1.0).mul_(gradients[0][rows])
            factor = torch.add(even[rows], time_of(rows, time), out=to_raised[rows])
            factor.mul_(slope)
            torch.mul(slope, raised[rows], out=to_even[rows])
            to_time[rows] = to_even[rows].sum(1, keepdim=True)
        if len(time) == 1:
            to_time = to_time.sum(0, keepdim=True)
        to_shift: Tensor | None = None
        if ctx.shifts:
            to_shift = to_product
        return to_raised, to_even, to_time, to_shift


class LayerInputs(NamedTuple):
    """What every layer reads beside the values of the one before."""

    even: Tensor
    """Even inputs, ``(walkers, places, even)``"""
    time: Tensor
    """Functions of the time, ``(1 | walkers, times)``"""
    mean: Tensor | None = None
    """Mean of the values of the layer before over states, ``(walkers, sites, inputs)``"""


class Layer(nn.Module):
    """A linear layer whose outputs even inputs and time multiply, before a hyperbolic tangent.

    Args:
        inputs: number of values that come in.
        even: number of even inputs.
        times: number of functions of the time.
        width: number of values that go out.
        mixes: whether there is a channel per state, so that even inputs are added as well.
        averages: whether the mean over states comes in too.
    """

    def __init__(
        self, inputs: int, even: int, times: int, width: int, mixes: bool, averages: bool
    ) -> None:
        super().__init__()
        self.odd = nn.Linear(inputs, width, bias=False)
        self.even = nn.Linear(even, width, bias=False)
        self.time = nn.Linear(times, width, bias=False)
        self.shift: nn.Linear | None = None
        if mixes:
            self.shift = nn.Linear(even, width, bias=False)
        self.average: nn.Linear | None = None
        if averages:
            self.average = nn.Linear(inputs, width, bias=False)

    def forward(self, raised: Tensor, inputs: LayerInputs) -> Tensor:
        """Return the values of the layer, ``(walkers, places, width)``.

        Without gradients ``raised`` is overwritten.

        Args:
            raised: ``W z``, ``(walkers, places, width)``.
            inputs: all else that the layer reads.
        """
        if self.average is not None:
            assert inputs.mean is not None
            channels = raised.shape[1] // inputs.mean.shape[1]
            of_mean = self.average(inputs.mean)
            raised = raised + of_mean.repeat(1, channels, 1)
        time = (1.0 + self.time(inputs.time)).unsqueeze(1)
        if torch.is_grad_enabled():
            shift: Tensor | None = None
            if self.shift is not None:
                shift = self.shift(inputs.even)
            made: Tensor = _Gate.apply(raised, self.even(inputs.even), time, shift)
            return made
        # tanh z = 2 σ(2 z) - 1, on a CPU several times as fast; 2 z comes of doubled factors.
        product = raised.mul_(_doubled(time, inputs.even, self.even))
        if self.shift is not None:
            product.baddbmm_(inputs.even, _for_each(self.shift, inputs.even), alpha=2.0)
        return product.sigmoid_().mul_(2.0).sub_(1.0)


def _for_each(layer: nn.Linear, values: Tensor) -> Tensor:
    """Return the weights of a layer for products by walker, ``(walkers, inputs, width)``."""
    return layer.weight.T.expand(len(values), -1, -1)


def _doubled(constant: Tensor, values: Tensor, layer: nn.Linear) -> Tensor:
    """Return twice a layer's values and what all places of a walker share, in one pass."""
    return torch.baddbmm(constant, values, _for_each(layer, values), beta=2.0, alpha=2.0)


class Stack(nn.Module):
    """All layers, and a readout whose weights are functions of the time.

    Args:
        sight: what is read.
        channels: 1 where a sign exchanges two states, else a channel per state.
        widths: values of each layer.
    """

    def __init__(self, sight: Sight, channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.sight = sight
        self.channels = channels
        inputs, even = count_inputs(sight)
        mixes = channels > 1
        layers: list[Layer] = []
        for number, width in enumerate(widths):
            averages = mixes and number > 0
            layers.append(Layer(inputs, even, sight.times, width, mixes, averages))
            inputs = width
        # A list of modules forgets what they are.
        self.layers: Any = nn.ModuleList(layers)
        self.readout = nn.Linear(sight.times, inputs, bias=False)
        self.width = widths[0]

    @torch.no_grad()
    def initialise(self, seed: int) -> None:
        """Draw parameters such that layers begin near the linear part of their tangent."""
        generator = torch.Generator().manual_seed(seed)

        def draw(layer: nn.Linear | None, scale: float) -> None:
            if layer is not None:
                weight = layer.weight
                deviation = scale / math.sqrt(weight.shape[1])
                weight.copy_(deviation * torch.randn(weight.shape, generator=generator))

        first = 0.75
        if self.channels > 1:
            # Charges are less than 1 there.
            first = 1.5
        for layer in self.layers:
            draw(layer.odd, first)
            draw(layer.even, 0.2)
            draw(layer.time, 0.12)
            draw(layer.shift, 0.3)
            draw(layer.average, 0.5)
            first = 1.0
        # Small rates to begin with, on top of what the network may stand on.
        inputs = self.readout.weight.shape[0]
        draw(self.readout, 0.12 / math.sqrt(inputs))

    def forward(self, inputs: Inputs, time: Tensor) -> Tensor:
        """Return what the layers make of the inputs, ``(walkers, places)``.

        Args:
            inputs: those of every place.
            time: functions of the time, ``(1 | walkers, times)``.
        """
        odd = inputs.others
        if self.sight.taps:
            odd = torch.cat([taps_of(inputs.charges, self.sight), odd], 2)
        raised = self.layers[0].odd(odd)
        return self._from_first(raised, LayerInputs(inputs.even, time))

    def _from_first(self, raised: Tensor, given: LayerInputs) -> Tensor:
        """Return the readout, ``(walkers, places)``, from the first layer's products."""
        hidden = self.layers[0](raised, given)
        for layer in self.layers[1:]:
            if self.channels > 1:
                mean = hidden.unflatten(1, (self.channels, -1)).mean(1)
                given = given._replace(mean=mean)
            hidden = layer(layer.odd(hidden), given)
        # One readout per walker: it depends on the time.
        weights = self.readout(given.time).unsqueeze(2)
        return torch.bmm(hidden, weights.expand(len(hidden), -1, -1)).squeeze(2)

    @property
    def taps(self) -> Tensor:
        """Weights of the taps, ``(width, taps)``, as evaluations without gradients have them.

        Those of charges ±1 lie on a grid so coarse that every sum of them is exact: what the taps
        make does then not depend on the order in which it was summed.
        """
        weights = self.layers[0].odd.weight[:, : self.sight.taps]
        if self.channels == 1:
            return _on_grid(weights)
        return weights

    def in_blocks(self, inputs: Inputs, time: Tensor) -> Tensor:
        """Return the same as :meth:`forward`, without gradients.

        On a CPU that is done by pieces that stay in a core's cache.
        """
        shape = inputs.charges.shape[2:]
        table = blocks(tuple(shape), inputs.charges.device)
        others = self._ordered(inputs.others, table.order)
        even = self._ordered(inputs.even, table.order)
        weights: Tensor | None = None
        if self.sight.taps:
            weights = block_weights(self.taps, table.sides, shape, self.sight)
        made: list[Tensor] = []
        for rows in pieces(others, self.width):
            raised: Tensor | None = None
            if weights is not None:
                raised = raised_taps(inputs.charges[rows], weights, table.sides, self.sight)
            made.append(self.from_taps(raised, others[rows], even[rows], time_of(rows, time)))
        return self._ordered(torch.cat(made).unsqueeze(2), table.back)

    def raised(self, charges: Tensor) -> Tensor:
        """Return what the taps make at every place, ``(walkers, places, width)``."""
        shape = charges.shape[2:]
        table = blocks(tuple(shape), charges.device)
        weights = block_weights(self.taps, table.sides, shape, self.sight)
        return self._ordered(raised_taps(charges, weights, table.sides, self.sight), table.back)

    def from_taps(
        self, raised: Tensor | None, others: Tensor, even: Tensor, time: Tensor
    ) -> Tensor:
        """Return what the layers make, ``(walkers, places)``, from what the taps have made.

        Args:
            raised: of the taps, ``(walkers, places, width)``; None without taps.
            others: all other inputs, ``(walkers, places, inputs)``.
            even: even inputs, likewise.
            time: functions of the time, ``(1 | walkers, times)``.
        """
        weights = self.layers[0].odd.weight[:, self.sight.taps :].T
        if raised is None:
            product = others @ weights
        else:
            product = torch.baddbmm(raised, others, weights.expand(len(others), -1, -1))
        return self._from_first(product, LayerInputs(even, time))

    def _ordered(self, values: Tensor, order: Tensor) -> Tensor:
        """Return values ``(walkers, places, n)`` with the sites of each channel in an order."""
        by_channel = values.unflatten(1, (self.channels, -1))
        return by_channel.index_select(2, order).flatten(1, 2)


def pieces(like: Tensor, width: int) -> Iterator[slice]:
    """Yield the walkers of ``(walkers, places, …)`` by pieces; all at once on a GPU.

    Args:
        like: on the device in question.
        width: values that are made at every place.
    """
    walkers = len(like)
    step = max(1, walkers)
    if like.device.type == "cpu":
        step = max(1, PIECE // (like.shape[1] * width))
    for start in range(0, walkers, step):
        yield slice(start, start + step)


def time_of(rows: slice | Tensor, time: Tensor) -> Tensor:
    """Return the rows of some walkers; what all walkers share has one row."""
    if len(time) > 1:
        return time[rows]
    return time


def _on_grid(weights: Tensor) -> Tensor:
    """Return weights rounded such that sums of them, with any signs, are exact."""
    # Two bits less than numbers have: one for the sign of rounding, one to spare.
    bits = 22
    if weights.dtype == torch.float64:
        bits = 51
    bound = weights.abs().sum(1, keepdim=True)
    exponent = torch.frexp(bound).exponent
    scale = torch.ldexp(torch.ones_like(bound), bits - exponent)
    return (weights * scale).round() / scale
