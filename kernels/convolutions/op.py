"""The op ``hollow_conv`` and its gradient."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.library import custom_op

from ..checks import (
    as_integer,
    as_periodic,
    as_precision,
    check_axes,
    check_floating,
    check_shape,
    check_tensor,
)
from ..registration import Launchers, call, put_on_cuda, taking
from . import cpu
from .reference import Convolution, gradient_of

__all__ = ["hollow_conv", "hollow_conv_gradient", "hollow_conv_op"]

TENSORS = (
    "Tensor activations, Tensor weight, Tensor bias, Tensor offset, Tensor time_offset, "
    "Tensor source"
)
SCHEMA = f'({TENSORS}, SymInt kernel_size, bool[] periodic, str precision="float32") -> Tensor'
"""Arguments in the order of :class:`.reference.Convolution`."""
GRADIENT_SCHEMA = (
    f"(Tensor to_output, {TENSORS}, SymInt kernel_size, bool[] periodic, bool to_source, "
    'str precision="float32") -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)'
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
    """Convolve ``x`` by a kernel that each site makes from its own activations, without the centre.

    ``h[b,c,p] = Σ_{j≠centre} (silu(Σ_i A[c,j,i] a[b,i,p] + b1[c,j]) + b2[c,j] + e[b,j]) ·
    x[b,c|0,p+δ_j]``. If ``a`` at ``p`` does not depend on the state of ``p``, neither does ``h``.
    Taps beyond an open edge see 0. The weights of all sites and taps, ``B C K^ndim N`` numbers, are
    never held, forward or backward: the gradient, with respect to all six tensors and of first
    order, makes them anew in blocks.

    Args:
        activations: ``a``, ``(walkers, inputs, *shape)``.
        weight: ``A``, ``(channels, K ** ndim, inputs)``, taps in the order of rows, the centre
            among them unread.
        bias: ``b1``, ``(channels, K ** ndim)``.
        offset: ``b2``, ``(channels, K ** ndim)``.
        time_offset: ``e``, ``(1 | walkers, K ** ndim)``.
        source: ``x``, ``(walkers, 1 | channels, *shape)``, one to four axes.
        kernel_size: ``K``, odd; its radius must be smaller than every periodic length.
        periodic: One bool per axis.
        precision: Of the factors of the product ``A a`` and of those of its gradient, whose sums
            are in float32: ``"float32"``, ``"tf32"`` (on a GPU; elsewhere as float32) or
            ``"bfloat16"``.

    Returns:
        ``h``, ``(walkers, channels, *shape)``.

    Raises:
        ValueError: If a kernel is even or reaches around back to the site, there is no such
            precision, or a shape, dtype or device does not fit.

    References:
        Holderrieth, Albergo, Jaakkola, *LEAPS*, arXiv:2502.10843 (2025), hollow convolutions.

    Example:
        >>> import torch
        >>> a, x = torch.ones(2, 3, 4, 5), torch.ones(2, 1, 4, 5)
        >>> weight, bias = torch.zeros(6, 9, 3), torch.zeros(6, 9)
        >>> periodic = (True, True)
        >>> hollow_conv(a, weight, bias, bias, torch.ones(1, 9), x, 3, periodic)[0, 0, 0, 0]
        tensor(8.)
    """
    precision = as_precision("hollow_conv", precision)
    periodic = as_periodic(periodic)
    given = Convolution(
        activations, weight, bias, offset, time_offset, source, kernel_size, periodic, precision
    )
    _check(given)
    # Numbers of numpy are integers too.
    given = given._replace(kernel_size=as_integer("kernel_size", kernel_size, 1))
    output: Tensor = call(hollow_conv_op, *given)
    return output


def _check(given: Convolution) -> None:
    tensors = dict(zip(Convolution._fields, given.tensors, strict=False))
    for name, tensor in tensors.items():
        check_tensor(name, tensor)
    kernel_size = as_integer("kernel_size", given.kernel_size, 1)
    check_axes("source", "walkers, 1 | channels", given.source, 2, given.periodic)
    if kernel_size % 2 == 0:
        raise ValueError(f"kernel_size must be odd and positive, got {kernel_size}")
    for length, wraps in zip(given.shape, given.periodic, strict=True):
        if wraps and length <= kernel_size // 2:
            raise ValueError(
                f"kernel_size {kernel_size} reaches around a periodic direction of length {length} "
                f"back to the site itself; use kernel_size <= {2 * length - 1}"
            )
    for name, sizes in _sizes(given, kernel_size).items():
        tensor = tensors[name]
        source = given.source
        check_shape(name, tensor, sizes)
        check_floating(name, tensor.dtype)
        if tensor.dtype != source.dtype or tensor.device != source.device:
            raise ValueError(
                f"{name} is {tensor.dtype} on {tensor.device}, "
                f"source {source.dtype} on {source.device}; convert one"
            )


def _sizes(given: Convolution, kernel_size: int) -> dict[str, list[set[int]]]:
    """Return the sizes that the axes of each tensor may have."""
    walkers = len(given.source)
    taps = kernel_size ** len(given.shape)
    channels = 0
    if given.weight.ndim:
        channels = len(given.weight)
    inputs = 0
    if given.activations.ndim > 1:
        inputs = given.activations.shape[1]
    lengths = [{length} for length in given.shape]
    return {
        "activations": [{walkers}, {inputs}, *lengths],
        "weight": [{channels}, {taps}, {inputs}],
        "bias": [{channels}, {taps}],
        "offset": [{channels}, {taps}],
        "time_offset": [{1, walkers}, {taps}],
        "source": [{walkers}, {1, channels}, *lengths],
    }


def _run(*arguments: Any) -> Tensor:
    return cpu.hollow_conv(Convolution(*arguments))


def _fake(*arguments: Any) -> Tensor:
    given = Convolution(*arguments)
    return given.source.new_empty(len(given.source), given.channels, *given.shape)


hollow_conv_op = custom_op("leaps_triton::hollow_conv", _run, mutates_args=(), schema=SCHEMA)
hollow_conv_op.register_fake(_fake)


def _run_gradient(*arguments: Any) -> tuple[Tensor, ...]:
    return cpu.hollow_conv_gradient(*gradient_of(*arguments))


def _fake_gradient(*arguments: Any) -> tuple[Tensor, ...]:
    _, given, to_source = gradient_of(*arguments)
    *others, source = (tensor.new_empty(tensor.shape) for tensor in given.tensors)
    if not to_source:
        source = source.new_empty(0, *source.shape[1:])
    return *others, source


hollow_conv_gradient = custom_op(
    "leaps_triton::hollow_conv_gradient", _run_gradient, mutates_args=(), schema=GRADIENT_SCHEMA
)
"""Gradients of :func:`hollow_conv` with respect to its six tensors.

The one of ``source`` is empty unless it is wanted.
"""
hollow_conv_gradient.register_fake(_fake_gradient)


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
    if not wanted:
        of_source = None
    return *gradients, of_source, None, None, None


hollow_conv_op.register_autograd(_differentiate, setup_context=_save)


def _launchers() -> Launchers:
    from . import triton, triton_gradient

    def gradient(*arguments: Any, **named: Any) -> tuple[Tensor, ...]:
        return triton_gradient.hollow_conv_gradient(*gradient_of(*arguments, **named))

    return [
        (hollow_conv_op, taking(Convolution, triton.hollow_conv)),
        (hollow_conv_gradient, gradient),
    ]


put_on_cuda(_launchers)
