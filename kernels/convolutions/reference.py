"""The twins of ``hollow_conv`` and of its gradient."""

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["hollow_conv", "hollow_conv_gradient", "rounded", "tap_index"]


def tap_index(
    shape: Sequence[int],
    kernel_size: int,
    periodic: Sequence[bool],
    device: torch.device | None = None,
) -> Tensor:
    """Flat index of site ``p + δ_j``, ``N`` beyond an open edge: int64 ``(kernel_size ** ndim, N)``, taps in rows."""
    ndim, radius = len(shape), kernel_size // 2
    steps = torch.arange(-radius, radius + 1, device=device)
    index = torch.zeros([1] * (2 * ndim), dtype=torch.int64, device=device)
    inside = torch.ones_like(index, dtype=torch.bool)
    for axis, (length, wraps) in enumerate(zip(shape, periodic, strict=True)):
        tap = steps.view([-1 if a == axis else 1 for a in range(2 * ndim)])
        place = tap + torch.arange(length, device=device).view(
            [-1 if a == ndim + axis else 1 for a in range(2 * ndim)]
        )
        index = index * length + place % length
        inside = inside & (wraps | ((place >= 0) & (place < length)))
    sites = torch.Size(shape).numel()
    return torch.where(inside, index, sites).reshape(kernel_size**ndim, sites)


def rounded(factor: Tensor, precision: str) -> Tensor:
    """A factor of a matrix product in its precision, of gradient 1; TF32, which only a GPU has, rounds nothing."""
    return (
        factor + (factor.bfloat16().to(factor) - factor).detach()
        if precision == "bfloat16"
        else factor
    )


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
    """See :func:`leaps_triton.kernels.hollow_conv`; holds all weights of all sites at once."""
    shape = source.shape[2:]
    activations, weight = rounded(activations, precision), rounded(weight, precision)
    index = tap_index(shape, kernel_size, periodic, source.device)
    hollow = torch.arange(len(index), device=source.device) != len(index) // 2
    pre = torch.einsum("cji,bip->bcjp", weight[:, hollow], activations.flatten(2))
    weights = torch.nn.functional.silu(pre + bias[:, hollow].unsqueeze(2)) + offset[
        :, hollow
    ].unsqueeze(2)
    weights = weights + time_offset[:, None, hollow, None]
    # Site N, beyond an open edge, is 0.
    seen = torch.nn.functional.pad(source.flatten(2), (0, 1))[:, :, index[hollow]]
    return (weights * seen).sum(2).unflatten(2, shape)


@torch.enable_grad()
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
    """Gradients of :func:`hollow_conv` with respect to its six tensors; that of ``source`` empty unless wanted."""
    tensors = (activations, weight, bias, offset, time_offset, source)
    leaves = [tensor.detach().requires_grad_() for tensor in tensors]
    output = hollow_conv(
        leaves[0],
        leaves[1],
        leaves[2],
        leaves[3],
        leaves[4],
        leaves[5],
        kernel_size,
        periodic,
        precision,
    )
    a, b, c, d, e, x = torch.autograd.grad(
        output, leaves, to_output, allow_unused=True, materialize_grads=True
    )
    return a, b, c, d, e, x if to_source else x[:0]
