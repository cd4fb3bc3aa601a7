"""The hollow convolution of :mod:`.reference` and its gradient, in blocks of walkers and taps.

One matrix product per block makes the pre-activations of its taps, and nothing of the size of all
weights is ever held; the gradient makes them anew. It is what a CPU runs, and any device without a
kernel.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .reference import Convolution, Gradients, rounded, tap_index

__all__ = ["hollow_conv", "hollow_conv_gradient"]

BLOCK = 2**18
"""Pre-activations of one block: with a few arrays of as many, they stay in a CPU's cache."""
TAPS = 16
"""Taps of a block, where the lattice is small enough."""


def _columns(values: Tensor) -> Tensor:
    """Return values ``(walkers, n, sites)`` as ``(n, walkers · sites)``."""
    return values.transpose(0, 1).flatten(1)


class _Prepared(NamedTuple):
    """What all blocks share."""

    given: Convolution
    activations: Tensor
    """In their precision, ``(walkers, inputs, sites)``."""
    mixing: Tensor
    """Weights and, as one input more, biases, ``(taps, channels, inputs + 1)``."""
    places: Tensor
    """Of :func:`.reference.tap_index`."""

    def blocks(self) -> Iterator[tuple[slice, Sequence[Tensor]]]:
        """Yield walkers, and blocks of the taps for these."""
        count = len(self.places)
        places = torch.arange(count, device=self.places.device)
        # The centre is left out: the result does not read the site's own state.
        taps = torch.cat([places[: count // 2], places[count // 2 + 1 :]])
        each = self.given.channels * self.given.sites
        # Few taps at a time, and as many walkers as a block then has room for.
        wide = max(1, min(TAPS, len(taps), BLOCK // each))
        step = max(1, BLOCK // (each * wide))
        blocks: Sequence[Tensor] = ()
        if len(taps):
            blocks = taps.split(wide)
        walkers = len(self.given.source)
        for start in range(0, walkers, step):
            yield slice(start, min(walkers, start + step)), blocks

    def inputs(self, rows: slice) -> Tensor:
        """Return the inputs of some walkers, ``(inputs + 1, walkers · sites)``."""
        # A channel of ones takes the bias into the product.
        return F.pad(_columns(self.activations[rows]), (0, 0, 0, 1), value=1.0)

    def padded(self, rows: slice) -> Tensor:
        """Return the sources of some walkers, and one site more that is 0."""
        return F.pad(self.given.source[rows].flatten(2), (0, 1))

    def times(self, rows: slice) -> Tensor:
        """Return the time offsets of some walkers."""
        if self.given.one_time:
            return self.given.time_offset
        return self.given.time_offset[rows]

    def seen(self, padded: Tensor, taps: Tensor) -> Tensor:
        """Return ``x[b, c, p + δ_j]``, ``(taps, 1 | channels, walkers · sites)``."""
        return padded[:, :, self.places[taps]].permute(2, 1, 0, 3).flatten(2)


def _prepare(given: Convolution) -> _Prepared:
    weight = rounded(given.weight, given.precision)
    mixing = torch.cat([weight, given.bias.unsqueeze(2)], 2).transpose(0, 1)
    activations = rounded(given.activations, given.precision).flatten(2)
    index = tap_index(given.shape, given.kernel_size, given.periodic, given.source.device)
    return _Prepared(given, activations, mixing, index)


def hollow_conv(given: Convolution) -> Tensor:
    """Return what :func:`leaps_triton.kernels.hollow_conv` defines."""
    made = _prepare(given)
    channels = given.channels
    sites = given.sites
    output = given.source.new_empty(len(given.source), channels, sites)
    for rows, blocks in made.blocks():
        inputs = made.inputs(rows)
        padded = made.padded(rows)
        times = made.times(rows)
        total = inputs.new_zeros(channels, inputs.shape[1])
        for taps in blocks:
            pre = (made.mixing[taps].flatten(0, 1) @ inputs).view(len(taps), channels, -1)
            weights = F.silu(pre, inplace=True)
            shift = given.offset[:, taps].T.unsqueeze(2) + times[:, taps].T.unsqueeze(1)
            if shift.shape[2] > 1:
                shift = shift.repeat_interleave(sites, 2)
            # In place: the block of pre-activations is all that is held.
            total += weights.add_(shift).mul_(made.seen(padded, taps)).sum(0)
        output[rows] = total.view(channels, -1, sites).transpose(0, 1)
    return output.unflatten(2, given.shape)


class _Sums(NamedTuple):
    """Gradients that blocks add to."""

    activations: Tensor
    mixing: Tensor
    offset: Tensor
    time: Tensor
    source: Tensor
    """Empty where it is not wanted."""


class _Rows(NamedTuple):
    """What the taps of some walkers share in the gradient."""

    rows: slice
    inputs: Tensor
    padded: Tensor
    upstream: Tensor
    """Gradient of the output, ``(1, channels, walkers · sites)``."""


def _to_sources(made: _Prepared, own: _Rows, taps: Tensor, pre: Tensor) -> Tensor:
    """Return ``Σ_j g (silu(z) + b2 + e)`` of the sites whose tap ``j`` a site is."""
    given = made.given
    sites = given.sites
    weights = F.silu(pre) + given.offset[:, taps].T.unsqueeze(2)
    shift = made.times(own.rows)[:, taps].T[:, None, :, None]
    weights = weights.unflatten(2, (-1, sites)) + shift
    weights = weights * own.upstream.unflatten(2, (-1, sites))
    if given.one_source:
        weights = weights.sum(1, keepdim=True)
    # The tap -δ_j of a site is the one with the mirrored number.
    mirrored = made.places[len(made.places) - 1 - taps]
    back = mirrored.view(-1, 1, 1, sites).expand(-1, *weights.shape[1:])
    return F.pad(weights, (0, 1)).gather(3, back).sum(0).transpose(0, 1)


def _add_taps(made: _Prepared, own: _Rows, taps: Tensor, sums: _Sums) -> None:
    """Add the gradients of a block of taps."""
    given = made.given
    sites = given.sites
    seen = made.seen(own.padded, taps)
    matrix = made.mixing[taps].flatten(0, 1)
    pre = (matrix @ own.inputs).view(len(taps), given.channels, -1)
    product = own.upstream * seen
    by_walker = product.unflatten(2, (-1, sites)).sum(3)
    sums.offset[:, taps] += by_walker.sum(2).T
    to_each = by_walker.sum(1).T
    if given.one_time:
        sums.time[:, taps] += to_each.sum(0, keepdim=True)
    else:
        sums.time[own.rows, taps] += to_each
    if len(sums.source):
        sums.source[own.rows] += _to_sources(made, own, taps, pre)
    to_pre = torch.ops.aten.silu_backward(product, pre).flatten(0, 1)
    sums.mixing[taps] += (to_pre @ own.inputs.T).view(len(taps), given.channels, -1)
    # Without the last input, the channel of ones.
    to_inputs = matrix[:, :-1].T @ to_pre
    by_site = to_inputs.view(-1, own.inputs.shape[1] // sites, sites)
    sums.activations[own.rows] += by_site.transpose(0, 1)


def hollow_conv_gradient(to_output: Tensor, given: Convolution, to_source: bool) -> Gradients:
    """Return the gradients with respect to the six tensors; that of ``source`` empty unless wanted.

    With ``g`` the gradient of the output, ``z = A a + b1``, ``x_j`` the source at ``p + δ_j``:
    ``dz = g x_j silu'(z)``, ``da = Σ_j Aᵀ dz``, ``dA = Σ dz aᵀ``, ``db1 = Σ dz``, ``db2 = Σ g
    x_j``, ``de = Σ_c g x_j``, and ``dx`` gathers ``g (silu(z) + b2 + e)`` of the sites whose tap
    ``j`` it is.
    """
    made = _prepare(given)
    source_shape = given.source.shape
    if not to_source:
        source_shape = torch.Size((0, *source_shape[1:]))
    sums = _Sums(
        activations=torch.zeros_like(made.activations),
        mixing=torch.zeros_like(made.mixing),
        offset=torch.zeros_like(given.offset),
        time=torch.zeros_like(given.time_offset),
        source=given.source.new_zeros(source_shape).flatten(2),
    )
    for rows, blocks in made.blocks():
        upstream = _columns(to_output[rows].flatten(2)).unsqueeze(0)
        own = _Rows(rows, made.inputs(rows), made.padded(rows), upstream)
        for taps in blocks:
            _add_taps(made, own, taps, sums)
    to_mixing = sums.mixing.transpose(0, 1)
    return (
        sums.activations.view_as(given.activations),
        to_mixing[:, :, :-1].contiguous(),
        to_mixing[:, :, -1].contiguous(),
        sums.offset,
        sums.time,
        sums.source.unflatten(2, given.shape),
    )
