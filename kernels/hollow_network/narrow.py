"""The network of :mod:`.reference` with products of bfloat16, on a CPU and without gradients.

The first layer is one product: the convolution, which the layer follows without a nonlinearity, and
all other features are its inputs. Factors, and what the two hidden layers give, are bfloat16; sums
within a product, the readout and the multiple of the local field are float32.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..convolutions.reference import tap_index
from .reference import Values, embed, features_of

__all__ = ["Narrow", "narrow", "narrow_values", "read_out"]


class Narrow(NamedTuple):
    """A network's weights in bfloat16, as products take them."""

    first: Tensor
    """Of taps of each channel without the centre, other features, time; ``(inputs, width)``"""
    hidden: Tensor
    """``(width, width)``"""
    bias: Tensor
    """``(width,)``"""
    time: Tensor
    """Features of the time, ``(1 | walkers, times)``"""


def narrow(given: Values) -> Narrow:
    """Return the weights."""
    channels, embedded = given.conv.shape[:2]
    of_conv = given.first[:, :channels]
    # In float64, so that a weight of the two linear maps in one is rounded once.
    both = of_conv.double() @ given.conv.flatten(1).double()
    taps = both.view(len(both), embedded, -1)
    centre = taps.shape[2] // 2
    hollow = torch.cat([taps[..., :centre], taps[..., centre + 1 :]], 2).flatten(1)
    first = torch.cat([hollow.to(given.first), given.first[:, channels:]], 1)
    return Narrow(
        first=first.bfloat16().T.contiguous(),
        hidden=given.hidden_weight.bfloat16().T.contiguous(),
        bias=given.hidden_bias.bfloat16(),
        time=given.time.bfloat16(),
    )


def read_out(given: Values, weights: Narrow, inputs: Tensor) -> Tensor:
    """Return the readout from the inputs of the first layer, bfloat16 ``(inputs, rows)``.

    Returns:
        float32 ``(rows, q)``.
    """
    layer = F.silu(inputs.T @ weights.first, inplace=True)
    hidden = torch.addmm(weights.bias, layer, weights.hidden).float()
    return F.linear(F.silu(hidden, inplace=True), given.readout_weight, given.readout_bias)


def _inputs(given: Values, weights: Narrow, features: Tensor) -> Tensor:
    """Return the inputs of the first layer, bfloat16 ``(inputs, walkers · sites)``."""
    walkers, *shape = given.configurations.shape
    states = embed(given.configurations, given.q, given.conv.dtype).flatten(2)
    index = tap_index(shape, given.conv.shape[2], given.periodic, states.device)
    centre = len(index) // 2
    hollow = torch.cat([index[:centre], index[centre + 1 :]])
    # One site more, which is beyond the edges.
    seen = F.pad(states, (0, 1))[:, :, hollow].flatten(1, 2)
    time = weights.time.unsqueeze(2).expand(walkers, -1, index.shape[1])
    inputs = torch.cat([seen.bfloat16(), features.bfloat16(), time], 1)
    return inputs.transpose(0, 1).flatten(1)


@torch.no_grad()
def narrow_values(given: Values) -> Tensor:
    """Return ``f_a(i)`` as :func:`.reference.hollow_values` does, with products of bfloat16."""
    walkers, *shape = given.configurations.shape
    weights = narrow(given)
    features, counts = features_of(given)
    read = read_out(given, weights, _inputs(given, weights, features))
    values = read.view(walkers, -1, given.q).transpose(1, 2) + given.skip * counts
    return values.reshape(walkers, given.q, *shape)
