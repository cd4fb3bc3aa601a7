"""The op ``hollow_values``, a hollow convolution with global context and a pointwise network, and its gradient."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.library import custom_op

from ..checks import (
    as_integer,
    as_precision,
    check_configurations,
    check_lattice,
    check_periodic,
    check_shape,
    expect,
)
from ..registration import Launchers, put_on_cuda
from . import reference

__all__ = ["hollow_values", "hollow_values_gradient_op", "hollow_values_op"]


@custom_op("leaps_triton::hollow_values", mutates_args=())
def hollow_values_op(
    configurations: Tensor,
    coupling: Tensor,
    field: Tensor,
    time: Tensor,
    conv: Tensor,
    first: Tensor,
    hidden_weight: Tensor,
    hidden_bias: Tensor,
    readout_weight: Tensor,
    readout_bias: Tensor,
    skip: Tensor,
    periodic: Sequence[bool],
    magnetization: bool,
    modes: int,
    precision: str,
) -> Tensor:
    """See :func:`leaps_triton.kernels.hollow_values`."""
    values = reference.hollow_values(
        configurations, coupling, field, time, conv, first, hidden_weight, hidden_bias, readout_weight, readout_bias,
        skip, periodic, magnetization, modes, precision,
    )  # fmt: skip
    return values.contiguous()


@hollow_values_op.register_fake
def _(
    configurations: Tensor, coupling: Tensor, field: Tensor, time: Tensor, conv: Tensor, *rest: Any
) -> Tensor:
    walkers, *shape = configurations.shape
    return conv.new_empty(walkers, len(rest[4]), *shape)


@custom_op("leaps_triton::hollow_values_gradient", mutates_args=())
def hollow_values_gradient_op(
    to_values: Tensor,
    configurations: Tensor,
    coupling: Tensor,
    field: Tensor,
    time: Tensor,
    conv: Tensor,
    first: Tensor,
    hidden_weight: Tensor,
    hidden_bias: Tensor,
    readout_weight: Tensor,
    readout_bias: Tensor,
    skip: Tensor,
    periodic: Sequence[bool],
    magnetization: bool,
    modes: int,
    precision: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients with respect to ``time``, ``conv``, …, ``skip``."""
    return reference.hollow_values_gradient(
        to_values, configurations, coupling, field, time, conv, first, hidden_weight, hidden_bias, readout_weight,
        readout_bias, skip, periodic, magnetization, modes, precision,
    )  # fmt: skip


@hollow_values_gradient_op.register_fake
def _(
    to_values: Tensor, configurations: Tensor, coupling: Tensor, field: Tensor, *rest: Any
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    time, conv, first, hidden_weight, hidden_bias, readout_weight, readout_bias, skip = map(
        torch.empty_like, rest[:8]
    )
    return time, conv, first, hidden_weight, hidden_bias, readout_weight, readout_bias, skip


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:11])
    ctx.settings = inputs[11:]


def _differentiate(ctx: Any, to_values: Tensor) -> tuple[Tensor | None, ...]:
    gradients = hollow_values_gradient_op(to_values.contiguous(), *ctx.saved_tensors, *ctx.settings)
    return (None, None, None, *gradients, None, None, None, None)


hollow_values_op.register_autograd(_differentiate, setup_context=_save)


def hollow_values(
    configurations: Tensor,
    coupling: Tensor,
    field: Tensor,
    time: Tensor,
    conv: Tensor,
    first: Tensor,
    hidden_weight: Tensor,
    hidden_bias: Tensor,
    readout_weight: Tensor,
    readout_bias: Tensor,
    skip: Tensor,
    periodic: Sequence[bool],
    magnetization: bool = True,
    modes: int = 0,
    precision: str = "float32",
) -> Tensor:
    """One value a state and site, ``f_a(i)``, which does not read ``x_i``: the network of a hollow convolution.

    ``f = V silu(U silu(W φ) + u) + v + skip · W``, where ``φ(i)`` is side by side: the convolution of the embedded
    configuration (one channel of ±1 for q = 2, else one a state) without its centre tap; the local field
    ``W_a(i) = Σ_j J_ij [x_j = a]`` (for q = 2 ``W_1 - W_0``); with ``magnetization`` the leave-one-out mean of each
    channel; ``modes`` even, then odd leave-one-out sums ``Σ_{j≠i} x_j cos, sin(k·(r_j - r_i)) / √N`` of each channel
    over the longest waves; the external field; the time embedding. Sums over the lattice are sums of integers, so that
    ``f(i)`` is the same bit for bit whatever ``x_i``, wherever convolutions sum directly.

    Arguments
        configurations: int8 ``(walkers, *shape)``, one to four lattice axes.
        coupling: ``J``, ``(1 | walkers, 1 | axes, *shape)``, lattice axes of size 1 where uniform.
        field: ``h``, ``(1 | walkers, q, *shape)``, likewise.
        time: ``(1 | walkers, times)``.
        conv: ``(channels, 1 or q, K, …, K)``, K odd, with a radius below every periodic length.
        first: ``W``, ``(width, inputs)``, its columns in the order above.
        hidden_weight, hidden_bias: ``U``, ``u``, ``(width, width)`` and ``(width,)``.
        readout_weight, readout_bias: ``V``, ``v``, ``(q, width)`` and ``(q,)``.
        skip: of the local field, a tensor without axes.
        periodic: one bool a lattice axis.
        magnetization, modes: which sums over the lattice are features.
        precision: of matrix products of the kernel: ``"float32"``, ``"tf32x3"`` (tensor cores, three
            products in place of one, nearly float32) or ``"tf32"``. The twin's are of full precision.

    All but the configurations are of one floating-point type. The kernel is for float32 and a width of at most 128;
    others take the twin, on every device. Gradients with respect to ``time`` and all parameters, once.

    Returns
        ``(walkers, q, *shape)``.

    Raises
        ValueError: a shape, dtype or device that does not fit, another precision, or a gradient with respect to
            coupling or field.
    """
    precision = as_precision("hollow_values", precision)
    check_periodic(periodic)
    expect(isinstance(magnetization, bool), "magnetization", "a bool", magnetization)
    modes = as_integer("modes", modes, 0)
    given = (
        configurations, coupling, field, time, conv, first, hidden_weight, hidden_bias, readout_weight, readout_bias,
        skip, tuple(periodic), magnetization, modes, precision,
    )  # fmt: skip
    _check(*given[:-1])
    if coupling.requires_grad or field.requires_grad:
        raise ValueError(
            "hollow_values has no gradient with respect to coupling and field; detach them"
        )
    if configurations.device.type != "cuda":
        # Autograd keeps the activations of the twin; the gradient of the op would compute them again.
        return reference.hollow_values(*given)
    values: Tensor = hollow_values_op(*given)
    return values


def _check(
    configurations: Tensor,
    coupling: Tensor,
    field: Tensor,
    time: Tensor,
    conv: Tensor,
    first: Tensor,
    hidden_weight: Tensor,
    hidden_bias: Tensor,
    readout_weight: Tensor,
    readout_bias: Tensor,
    skip: Tensor,
    periodic: Sequence[bool],
    magnetization: bool,
    modes: int,
) -> None:
    tensors = {
        "configurations": configurations, "coupling": coupling, "field": field, "time": time, "conv": conv,
        "first": first, "hidden_weight": hidden_weight, "hidden_bias": hidden_bias, "readout_weight": readout_weight,
        "readout_bias": readout_bias, "skip": skip,
    }  # fmt: skip
    for name, tensor in tensors.items():
        expect(isinstance(tensor, Tensor), name, "a tensor", tensor)
    for name in ("time", "conv", "first", "readout_weight"):
        expect(tensors[name].ndim > 0, name, "a tensor with axes", tensors[name])
    check_configurations(configurations)
    check_lattice(configurations, periodic)
    walkers, *shape = configurations.shape
    q, width, channels, kernel_size = len(readout_weight), len(first), len(conv), conv.shape[-1]
    embedded = 1 if q == 2 else q
    times = time.shape[-1]
    inputs = channels + embedded * (2 + int(magnetization) + 2 * modes) + times
    lengths = [{1, n} for n in shape]
    expected: dict[str, tuple[Tensor, list[set[int]]]] = {
        "coupling": (coupling, [{1, walkers}, {1, len(shape)}, *lengths]),
        "field": (field, [{1, walkers}, {q}, *lengths]),
        "time": (time, [{1, walkers}, {times}]),
        "conv": (conv, [{channels}, {embedded}, *[{kernel_size}] * len(shape)]),
        "first": (first, [{width}, {inputs}]),
        "hidden_weight": (hidden_weight, [{width}, {width}]),
        "hidden_bias": (hidden_bias, [{width}]),
        "readout_weight": (readout_weight, [{q}, {width}]),
        "readout_bias": (readout_bias, [{q}]),
        "skip": (skip, []),
    }
    for name, (tensor, sizes) in expected.items():
        check_shape(name, tensor, sizes)
        if tensor.dtype != conv.dtype or tensor.device != configurations.device:
            raise ValueError(
                f"{name} must be {conv.dtype} on {configurations.device}, got {tensor.dtype} on {tensor.device}"
            )
    for length, wraps in zip(shape, periodic, strict=True):
        if kernel_size % 2 == 0 or (wraps and length <= kernel_size // 2):
            raise ValueError(
                f"a kernel of {kernel_size} sites must be odd with a radius below every periodic length, "
                f"got shape {tuple(shape)}"
            )


def _launchers() -> Launchers:
    from . import triton, triton_gradient

    return [
        (hollow_values_op, triton.hollow_values),
        (hollow_values_gradient_op, triton_gradient.hollow_values_gradient),
    ]


put_on_cuda(_launchers)
