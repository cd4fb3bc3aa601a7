"""The twins of ``hollow_conv`` and of its gradient."""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

__all__ = [
    "Convolution", "Gradient", "Gradients", "gradient_of", "hollow_conv", "hollow_conv_gradient",
    "rounded", "tap_index",
]  # fmt: skip

Gradients: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]
"""With respect to activations, weight, bias, offset, time offset and source."""


class Convolution(NamedTuple):
    """Arguments of the op."""

    activations: Tensor
    weight: Tensor
    bias: Tensor
    offset: Tensor
    time_offset: Tensor
    source: Tensor
    kernel_size: int
    periodic: Sequence[bool]
    precision: str = "float32"

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All tensors, in the order of the gradients."""
        return self[:6]

    @property
    def shape(self) -> torch.Size:
        """Shape of the lattice."""
        return self.source.shape[2:]

    @property
    def sites(self) -> int:
        """Sites of the lattice."""
        return self.shape.numel()

    @property
    def channels(self) -> int:
        """Channels of the output."""
        return len(self.weight)

    @property
    def one_time(self) -> bool:
        """Whether all walkers share one time."""
        return len(self.time_offset) == 1

    @property
    def one_source(self) -> bool:
        """Whether all channels see the same source."""
        return self.source.shape[1] == 1


class Gradient(NamedTuple):
    """Arguments of the gradient."""

    to_output: Tensor
    given: Convolution
    to_source: bool


def gradient_of(
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
) -> Gradient:
    """Return the arguments of the registered op as records."""
    given = Convolution(
        activations, weight, bias, offset, time_offset, source, kernel_size, periodic, precision
    )
    return Gradient(to_output, given, to_source)


def tap_index(
    shape: Sequence[int],
    kernel_size: int,
    periodic: Sequence[bool],
    device: torch.device | None = None,
) -> Tensor:
    """Return the flat index of site ``p + δ_j``, ``N`` beyond an open edge.

    Args:
        shape: Shape of the lattice.
        kernel_size: Odd.
        periodic: One bool per direction.
        device: Where the table is made.

    Returns:
        Int64 ``(kernel_size ** ndim, N)``, taps in rows.
    """
    ndim = len(shape)
    radius = kernel_size // 2
    steps = torch.arange(-radius, radius + 1, device=device)
    # Axes of the taps first, then those of the sites.
    index = torch.zeros([1] * (2 * ndim), dtype=torch.int64, device=device)
    inside = torch.ones_like(index, dtype=torch.bool)
    for axis, (length, wraps) in enumerate(zip(shape, periodic, strict=True)):
        along_taps = [1] * (2 * ndim)
        along_taps[axis] = -1
        along_sites = [1] * (2 * ndim)
        along_sites[ndim + axis] = -1
        sites = torch.arange(length, device=device).view(along_sites)
        place = steps.view(along_taps) + sites
        # Row by row: the flat index of a site is built direction by direction.
        index = index * length + place % length
        inside = inside & (wraps | ((place >= 0) & (place < length)))
    count = torch.Size(shape).numel()
    return torch.where(inside, index, count).reshape(kernel_size**ndim, count)


def rounded(factor: Tensor, precision: str) -> Tensor:
    """Return a factor of a matrix product in its precision, of gradient 1.

    TF32, which only a GPU has, rounds nothing.
    """
    if precision != "bfloat16":
        return factor
    # The difference is a constant to autograd, so that rounding has the gradient 1.
    return factor + (factor.bfloat16().to(factor) - factor).detach()


def hollow_conv(given: Convolution) -> Tensor:
    """Return what :func:`leaps_triton.kernels.hollow_conv` defines.

    It holds all weights of all sites at once.
    """
    activations = rounded(given.activations, given.precision)
    weight = rounded(given.weight, given.precision)
    index = tap_index(given.shape, given.kernel_size, given.periodic, given.source.device)
    # The centre is the middle tap.
    hollow = torch.arange(len(index), device=given.source.device) != len(index) // 2
    pre = torch.einsum("cji,bip->bcjp", weight[:, hollow], activations.flatten(2))
    weights = torch.nn.functional.silu(pre + given.bias[:, hollow].unsqueeze(2))
    weights = weights + given.offset[:, hollow].unsqueeze(2)
    weights = weights + given.time_offset[:, None, hollow, None]
    # Site N, beyond an open edge, is 0.
    seen = torch.nn.functional.pad(given.source.flatten(2), (0, 1))[:, :, index[hollow]]
    return (weights * seen).sum(2).unflatten(2, given.shape)


@torch.enable_grad()
def hollow_conv_gradient(to_output: Tensor, given: Convolution, to_source: bool) -> Gradients:
    """Return the gradients with respect to the six tensors.

    The one of ``source`` is empty unless it is wanted.
    """
    leaves = [tensor.detach().requires_grad_() for tensor in given.tensors]
    activations, weight, bias, offset, time_offset, source = leaves
    output = hollow_conv(
        given._replace(
            activations=activations,
            weight=weight,
            bias=bias,
            offset=offset,
            time_offset=time_offset,
            source=source,
        )
    )
    a, b, c, d, e, x = torch.autograd.grad(
        output, leaves, to_output, allow_unused=True, materialize_grads=True
    )
    if not to_source:
        x = x[:0]
    return a, b, c, d, e, x
