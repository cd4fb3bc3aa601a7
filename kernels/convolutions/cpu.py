"""The hollow convolution of :mod:`.reference` and its gradient in blocks of walkers and taps, in plain torch.

One matrix product a block makes the pre-activations of its taps, and nothing of the size of all weights is ever held;
the gradient makes them anew. It is what a CPU runs, and any device without a kernel.
"""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .reference import rounded, tap_index

__all__ = ["hollow_conv", "hollow_conv_gradient"]

BLOCK = 2**18
"""Pre-activations of one block: with a few arrays of as many, they stay in a CPU's cache."""
TAPS = 16
"""Taps of a block, where the lattice is small enough."""


def _blocks(
    walkers: int, sites: int, channels: int, taps: Tensor
) -> Iterator[tuple[slice, Sequence[Tensor]]]:
    """Walkers, and blocks of the taps for these."""
    wide = max(1, min(TAPS, len(taps), BLOCK // (channels * sites)))
    rows = max(1, BLOCK // (channels * sites * wide))
    blocks = taps.split(wide) if len(taps) else ()
    for start in range(0, walkers, rows):
        yield slice(start, min(walkers, start + rows)), blocks


def _hollow_taps(kernel_size: int, ndim: int, device: torch.device) -> Tensor:
    taps = torch.arange(kernel_size**ndim, device=device)
    return taps[taps != len(taps) // 2]


def _columns(values: Tensor) -> Tensor:
    """``(walkers, n, sites)`` → ``(n, walkers · sites)``."""
    return values.transpose(0, 1).flatten(1)


def _seen(padded: Tensor, index: Tensor) -> Tensor:
    """``x[b, c, p + δ_j]`` of padded sources, as ``(taps, 1 | channels, walkers · sites)``."""
    seen = padded[:, :, index]
    return seen.permute(2, 1, 0, 3).flatten(2)


def hollow_conv(
    activations: Tensor,
    weight: Tensor,
    bias: Tensor,
    offset: Tensor,
    time_offset: Tensor,
    source: Tensor,
    kernel_size: int,
    periodic: Sequence[bool],
    precision: str = "float32",
) -> Tensor:
    """See :func:`leaps_triton.kernels.hollow_conv`."""
    activations, weight = rounded(activations, precision), rounded(weight, precision)
    shape, channels = source.shape[2:], len(weight)
    walkers, sites = len(source), shape.numel()
    index = tap_index(shape, kernel_size, periodic, source.device)
    # A channel of ones takes the bias into the product.
    mixing = torch.cat([weight, bias.unsqueeze(2)], 2).transpose(0, 1)
    output = source.new_empty(walkers, channels, sites)
    for rows, blocks in _blocks(
        walkers, sites, channels, _hollow_taps(kernel_size, len(shape), source.device)
    ):
        inputs = F.pad(_columns(activations[rows].flatten(2)), (0, 0, 0, 1), value=1.0)
        padded = F.pad(source[rows].flatten(2), (0, 1))
        time = time_offset[rows] if len(time_offset) > 1 else time_offset
        total = inputs.new_zeros(channels, inputs.shape[1])
        for taps in blocks:
            seen = _seen(padded, index[taps])
            weights = F.silu(
                (mixing[taps].flatten(0, 1) @ inputs).view(len(taps), channels, -1), inplace=True
            )
            shift = offset[:, taps].T.unsqueeze(2) + time[:, taps].T.unsqueeze(1)
            if shift.shape[2] > 1:
                shift = shift.repeat_interleave(sites, 2)
            total += weights.add_(shift).mul_(seen).sum(0)
        output[rows] = total.view(channels, -1, sites).transpose(0, 1)
    return output.unflatten(2, shape)


def hollow_conv_gradient(
    to_output: Tensor,
    activations: Tensor,
    weight: Tensor,
    bias: Tensor,
    offset: Tensor,
    time_offset: Tensor,
    source: Tensor,
    kernel_size: int,
    periodic: Sequence[bool],
    to_source: bool,
    precision: str = "float32",
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of :func:`hollow_conv` with respect to its six tensors; that of ``source`` empty unless wanted.

    With ``g`` the gradient of the output, ``z = A a + b1``, ``x_j`` the source at ``p + δ_j``: ``dz = g x_j silu'(z)``,
    ``da = Σ_j Aᵀ dz``, ``dA = Σ dz aᵀ``, ``db1 = Σ dz``, ``db2 = Σ g x_j``, ``de = Σ_c g x_j``, and ``dx`` gathers
    ``g (silu(z) + b2 + e)`` of the sites whose tap ``j`` it is.
    """
    activations, weight = rounded(activations, precision), rounded(weight, precision)
    shape, channels = source.shape[2:], len(weight)
    walkers, sites = len(source), shape.numel()
    index = tap_index(shape, kernel_size, periodic, source.device)
    mixing = torch.cat([weight, bias.unsqueeze(2)], 2).transpose(0, 1)
    to_activations = torch.zeros_like(activations.flatten(2))
    to_mixing, to_offset = torch.zeros_like(mixing), torch.zeros_like(offset)
    to_time = torch.zeros_like(time_offset)
    to_sources = source.new_zeros(source.shape if to_source else (0, *source.shape[1:])).flatten(2)
    for rows, blocks in _blocks(
        walkers, sites, channels, _hollow_taps(kernel_size, len(shape), source.device)
    ):
        inputs = F.pad(_columns(activations[rows].flatten(2)), (0, 0, 0, 1), value=1.0)
        padded = F.pad(source[rows].flatten(2), (0, 1))
        own = slice(None) if len(time_offset) == 1 else rows
        upstream = _columns(to_output[rows].flatten(2)).unsqueeze(0)
        for taps in blocks:
            seen = _seen(padded, index[taps])
            matrix = mixing[taps].flatten(0, 1)
            pre = (matrix @ inputs).view(len(taps), channels, -1)
            product = upstream * seen
            by_walker = product.unflatten(2, (-1, sites)).sum(3)
            to_offset[:, taps] += by_walker.sum(2).T
            to_each = by_walker.sum(1).T
            to_time[own, taps] += to_each.sum(0, keepdim=True) if len(time_offset) == 1 else to_each
            if to_source:
                weights = F.silu(pre) + offset[:, taps].T.unsqueeze(2)
                weights = (
                    weights.unflatten(2, (-1, sites)) + time_offset[own, taps].T[:, None, :, None]
                )
                weights = weights * upstream.unflatten(2, (-1, sites))
                if source.shape[1] == 1:
                    weights = weights.sum(1, keepdim=True)
                # The tap -δ_j of a site is the one with the mirrored number.
                back = (
                    index[len(index) - 1 - taps]
                    .view(-1, 1, 1, sites)
                    .expand(-1, *weights.shape[1:])
                )
                to_sources[rows] += F.pad(weights, (0, 1)).gather(3, back).sum(0).transpose(0, 1)
            to_pre = torch.ops.aten.silu_backward(product, pre).flatten(0, 1)
            to_mixing[taps] += (to_pre @ inputs.T).view(len(taps), channels, -1)
            to_inputs = matrix[:, :-1].T @ to_pre
            to_activations[rows] += to_inputs.view(-1, inputs.shape[1] // sites, sites).transpose(
                0, 1
            )
    to_mixing = to_mixing.transpose(0, 1)
    return (
        to_activations.view_as(activations),
        to_mixing[:, :, :-1].contiguous(),
        to_mixing[:, :, -1].contiguous(),
        to_offset,
        to_time,
        to_sources.unflatten(2, shape),
    )
