"""The op ``hollow_conv`` and its gradient."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.library import custom_op

from ..checks import (
    as_integer,
    as_precision,
    check_axes,
    check_floating,
    check_periodic,
    check_shape,
    check_tensor,
)
from ..registration import Launchers, put_on_cuda
from . import cpu

__all__ = ["hollow_conv", "hollow_conv_gradient", "hollow_conv_op"]


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
    """Convolution of ``x`` by a kernel that each site makes from its own activations, without the centre.

    ``h[b,c,p] = Σ_{j≠centre} (silu(Σ_i A[c,j,i] a[b,i,p] + b1[c,j]) + b2[c,j] + e[b,j]) · x[b,c|0,p+δ_j]``. If ``a`` at
    ``p`` does not depend on the state of ``p``, neither does ``h``. Taps beyond an open edge see 0. The weights of all
    sites and taps, ``B C K^ndim N`` numbers, are never held, forward or backward: the gradient, with respect to all six
    tensors and of first order, makes them anew in blocks.

    Arguments
        activations: ``a``, ``(walkers, inputs, *shape)``.
        weight: ``A``, ``(channels, K ** ndim, inputs)``, taps in the order of rows, the centre among them unread.
        bias, offset: ``b1`` and ``b2``, ``(channels, K ** ndim)``.
        time_offset: ``e``, ``(1 | walkers, K ** ndim)``.
        source: ``x``, ``(walkers, 1 | channels, *shape)``, one to four axes.
        kernel_size: ``K``, odd; its radius must be smaller than every periodic length.
        periodic: one bool an axis.
        precision: of the factors of the product ``A a`` and of those of its gradient, whose sums are in float32:
            ``"float32"``, ``"tf32"`` (on a GPU; elsewhere as float32) or ``"bfloat16"``.

    Returns
        ``h``, ``(walkers, channels, *shape)``.

    Raises
        ValueError: a kernel that is even or reaches around back to the site, another precision, or a shape, dtype or
            device that does not fit.

    References
        Holderrieth, Albergo, Jaakkola, *LEAPS*, arXiv:2502.10843 (2025), hollow convolutions.

    Example
        >>> a, x = torch.ones(2, 3, 4, 5), torch.ones(2, 1, 4, 5)
        >>> weight, bias = torch.zeros(6, 9, 3), torch.zeros(6, 9)
        >>> hollow_conv(a, weight, bias, bias, torch.ones(1, 9), x, 3, (True, True))[0, 0, 0, 0]
        tensor(8.)
    """
    precision = as_precision("hollow_conv", precision)
    tensors = {
        "activations": activations, "weight": weight, "bias": bias, "offset": offset, "time_offset": time_offset,
        "source": source,
    }  # fmt: skip
    for name, tensor in tensors.items():
        check_tensor(name, tensor)
    kernel_size = as_integer("kernel_size", kernel_size, 1)
    check_periodic(periodic)
    check_axes("source", "walkers, 1 | channels", source, 2, periodic)
    shape = source.shape[2:]
    if kernel_size % 2 == 0:
        raise ValueError(f"kernel_size must be odd and positive, got {kernel_size}")
    for length, wraps in zip(shape, periodic, strict=True):
        if wraps and length <= kernel_size // 2:
            raise ValueError(
                f"kernel_size {kernel_size} reaches around a periodic direction of length {length} back to the site "
                f"itself; use kernel_size <= {2 * length - 1}"
            )
    walkers, taps = len(source), kernel_size ** len(shape)
    channels = len(weight) if weight.ndim else 0
    inputs = activations.shape[1] if activations.ndim > 1 else 0
    expected: dict[str, list[set[int]]] = {
        "activations": [{walkers}, {inputs}, *({n} for n in shape)],
        "weight": [{channels}, {taps}, {inputs}],
        "bias": [{channels}, {taps}],
        "offset": [{channels}, {taps}],
        "time_offset": [{1, walkers}, {taps}],
        "source": [{walkers}, {1, channels}, *({n} for n in shape)],
    }
    for name, sizes in expected.items():
        tensor = tensors[name]
        check_shape(name, tensor, sizes)
        check_floating(name, tensor.dtype)
        if tensor.dtype != source.dtype or tensor.device != source.device:
            raise ValueError(
                f"{name} is {tensor.dtype} on {tensor.device}, source {source.dtype} on {source.device}; convert one"
            )
    return hollow_conv_op(
        activations, weight, bias, offset, time_offset, source, kernel_size, periodic, precision
    )


@custom_op("leaps_triton::hollow_conv", mutates_args=())
def hollow_conv_op(
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
    return cpu.hollow_conv(
        activations, weight, bias, offset, time_offset, source, kernel_size, periodic, precision
    )


@hollow_conv_op.register_fake
def _(
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
    return source.new_empty(len(source), len(weight), *source.shape[2:])


@custom_op("leaps_triton::hollow_conv_gradient", mutates_args=())
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
    return cpu.hollow_conv_gradient(
        to_output,
        activations,
        weight,
        bias,
        offset,
        time_offset,
        source,
        kernel_size,
        periodic,
        to_source,
        precision,
    )


@hollow_conv_gradient.register_fake
def _(
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
    of_source = source.new_empty(len(source) if to_source else 0, *source.shape[1:])
    first, second, third, fourth, fifth = (
        tensor.new_empty(tensor.shape)
        for tensor in (activations, weight, bias, offset, time_offset)
    )
    return first, second, third, fourth, fifth, of_source


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.kernel_size, ctx.periodic, ctx.precision = inputs
    ctx.save_for_backward(*tensors)


def _differentiate(ctx: Any, to_output: Tensor) -> tuple[Tensor | None, ...]:
    wanted = ctx.needs_input_grad[5]
    *gradients, of_source = hollow_conv_gradient(
        to_output.contiguous(),
        *ctx.saved_tensors,
        ctx.kernel_size,
        ctx.periodic,
        wanted,
        ctx.precision,
    )
    return *gradients, of_source if wanted else None, None, None, None


hollow_conv_op.register_autograd(_differentiate, setup_context=_save)


def _launchers() -> Launchers:
    from . import triton, triton_gradient

    return [
        (hollow_conv_op, triton.hollow_conv),
        (hollow_conv_gradient, triton_gradient.hollow_conv_gradient),
    ]


put_on_cuda(_launchers)
