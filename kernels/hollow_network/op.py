"""The op ``hollow_values``, a hollow convolution with global context, and its gradient."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.library import custom_op

from ..checks import (
    as_bool,
    as_integer,
    as_periodic,
    as_precision,
    check_configurations,
    check_lattice,
    check_shape,
    expect,
)
from ..registration import Launchers, on_cpu, put_on_cuda, taking
from . import narrow, reference
from .reference import Values

__all__ = ["hollow_values", "hollow_values_gradient_op", "hollow_values_op"]


TENSORS = (
    "Tensor configurations, Tensor coupling, Tensor field, Tensor time, Tensor conv, "
    "Tensor first, Tensor hidden_weight, Tensor hidden_bias, Tensor readout_weight, "
    "Tensor readout_bias, Tensor skip"
)
SETTINGS = "bool[] periodic, bool magnetization, SymInt modes, str precision"
SCHEMA = f"({TENSORS}, {SETTINGS}) -> Tensor"
"""Arguments in the order of :class:`.reference.Values`."""
GRADIENT_SCHEMA = (
    f"(Tensor to_values, {TENSORS}, {SETTINGS}) -> "
    "(Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)"
)


_full = on_cpu(reference.hollow_values, __package__)
_narrow = on_cpu(narrow.narrow_values, __package__)


def _evaluated(given: Values) -> Tensor:
    """Return the values without a kernel for CUDA devices, and without gradients."""
    values: Tensor
    if given.precision == "bfloat16" and given.conv.dtype == torch.float32:
        values = _narrow(given)
    else:
        values = _full(given)
    return values


def _run(*arguments: Any) -> Tensor:
    return _evaluated(Values(*arguments)).contiguous()


def _fake(*arguments: Any) -> Tensor:
    given = Values(*arguments)
    walkers, *shape = given.configurations.shape
    return given.conv.new_empty(walkers, given.q, *shape)


hollow_values_op = custom_op("leaps_triton::hollow_values", _run, mutates_args=(), schema=SCHEMA)
hollow_values_op.register_fake(_fake)


def _run_gradient(to_values: Tensor, *arguments: Any) -> tuple[Tensor, ...]:
    return reference.hollow_values_gradient(to_values, Values(*arguments))


def _fake_gradient(to_values: Tensor, *arguments: Any) -> tuple[Tensor, ...]:
    return tuple(torch.empty_like(tensor) for tensor in Values(*arguments).parameters)


hollow_values_gradient_op = custom_op(
    "leaps_triton::hollow_values_gradient",
    _run_gradient,
    mutates_args=(),
    schema=GRADIENT_SCHEMA,
)
"""Gradients with respect to ``time``, ``conv``, …, ``skip``."""
hollow_values_gradient_op.register_fake(_fake_gradient)


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
    """Return one value per state and site, ``f_a(i)``, which does not read ``x_i``.

    The network of a hollow convolution: ``f = V silu(U silu(W φ) + u) + v + skip · W``, where
    ``φ(i)`` is side by side: the convolution of the embedded configuration (one channel of ±1 for
    q = 2, else one per state) without its centre tap; the local field ``W_a(i) = Σ_j J_ij [x_j =
    a]`` (for q = 2 ``W_1 - W_0``); with ``magnetization`` the leave-one-out mean of each channel;
    ``modes`` even, then odd leave-one-out sums ``Σ_{j≠i} x_j cos, sin(k·(r_j - r_i)) / √N`` of each
    channel over the longest waves; the external field; the time embedding. Sums over the lattice
    are sums of integers, so that ``f(i)`` is the same bit for bit whatever ``x_i``, wherever
    convolutions sum directly.

    All but the configurations are of one floating-point type. The kernel is for float32 and a width
    of at most 128; others take the twin, on every device. Gradients with respect to ``time`` and
    all parameters, once.

    Args:
        configurations: Int8 ``(walkers, *shape)``, one to four lattice axes.
        coupling: ``J``, ``(1 | walkers, 1 | axes, *shape)``, lattice axes of size 1 where uniform.
        field: ``h``, ``(1 | walkers, q, *shape)``, lattice axes of size 1 where uniform.
        time: ``(1 | walkers, times)``.
        conv: ``(channels, 1 or q, K, …, K)``, K odd, with a radius below every periodic length.
        first: ``W``, ``(width, inputs)``, its columns in the order above.
        hidden_weight: ``U``, ``(width, width)``.
        hidden_bias: ``u``, ``(width,)``.
        readout_weight: ``V``, ``(q, width)``.
        readout_bias: ``v``, ``(q,)``.
        skip: Of the local field, a tensor without axes.
        periodic: One bool per lattice axis.
        magnetization: Whether the means of the channels are features.
        modes: How many waves are.
        precision: Of matrix products of the kernel: ``"float32"``, ``"tf32x3"`` (tensor cores,
            three products in place of one, nearly float32) or ``"tf32"``, on a CPU the same as
            float32. ``"bfloat16"``, on a CPU and without gradients, rounds the inputs, the weights
            and what both hidden layers give to 8 binary digits; sums within a product, the readout
            and the local field stay in float32. Values then differ from those of float32 by 0.1 %
            of the largest in an untrained network, and by up to 1 % in random ones of order one.
            Antisymmetry holds bit for bit as ever, so that weights of walkers stay exact. It is for
            CPUs with instructions for it (AVX-512 BF16, AMX): on others torch does the same,
            several times as slowly. With gradients, and in float64, products are of full precision.

    Returns:
        Values ``(walkers, q, *shape)``.

    Raises:
        ValueError: If a shape, dtype or device does not fit, there is no such precision, or not on
            this device, or a gradient with respect to coupling or field is asked for.
    """
    precision = as_precision("hollow_values", precision)
    periodic = as_periodic(periodic)
    magnetization = as_bool("magnetization", magnetization)
    modes = as_integer("modes", modes, 0)
    given = Values(
        configurations, coupling, field, time, conv, first, hidden_weight, hidden_bias,
        readout_weight, readout_bias, skip, periodic, magnetization, modes, precision,
    )  # fmt: skip
    _check(given)
    if coupling.requires_grad or field.requires_grad:
        raise ValueError(
            "hollow_values has no gradient with respect to coupling and field; detach them"
        )
    if configurations.device.type != "cuda":
        # Autograd keeps the twin's activations; the gradient of the op would compute them again.
        if _differentiated(given):
            return reference.hollow_values(given)
        return _evaluated(given)
    if precision == "bfloat16":
        raise ValueError(
            "precision bfloat16 of hollow_values is for CPUs; on a GPU take float32, tf32x3 or tf32"
        )
    values: Tensor = hollow_values_op(*given)
    return values


def _differentiated(given: Values) -> bool:
    """Return whether autograd follows the call."""
    if not torch.is_grad_enabled():
        return False
    return any(tensor.requires_grad for tensor in given.parameters)


def _check(given: Values) -> None:
    tensors = dict(zip(Values._fields[:11], given[:11], strict=True))
    for name, tensor in tensors.items():
        expect(isinstance(tensor, Tensor), name, "a tensor", tensor)
    for name in ("time", "conv", "first", "readout_weight"):
        expect(tensors[name].ndim > 0, name, "a tensor with axes", tensors[name])
    x = given.configurations
    check_configurations(x)
    check_lattice(x, given.periodic)
    dtype = given.conv.dtype
    for name, sizes in _sizes(given).items():
        tensor = tensors[name]
        check_shape(name, tensor, sizes)
        if tensor.dtype != dtype or tensor.device != x.device:
            raise ValueError(
                f"{name} must be {dtype} on {x.device}, got {tensor.dtype} on {tensor.device}"
            )
    kernel_size = given.conv.shape[-1]
    for length, wraps in zip(x.shape[1:], given.periodic, strict=True):
        if kernel_size % 2 == 0 or (wraps and length <= kernel_size // 2):
            raise ValueError(
                f"a kernel of {kernel_size} sites must be odd with a radius below every periodic "
                f"length, got shape {tuple(x.shape[1:])}"
            )


def _sizes(given: Values) -> dict[str, list[set[int]]]:
    """Return the sizes that the axes of each tensor may have."""
    walkers, *shape = given.configurations.shape
    q = given.q
    embedded = q
    if q == 2:
        embedded = 1
    width = len(given.first)
    channels = len(given.conv)
    times = given.time.shape[-1]
    # Local field and external field, and two sums per wave.
    features = 2 + 2 * given.modes
    if given.magnetization:
        features += 1
    inputs = channels + embedded * features + times
    lengths = [{1, length} for length in shape]
    taps = [{given.conv.shape[-1]}] * len(shape)
    return {
        "coupling": [{1, walkers}, {1, len(shape)}, *lengths],
        "field": [{1, walkers}, {q}, *lengths],
        "time": [{1, walkers}, {times}],
        "conv": [{channels}, {embedded}, *taps],
        "first": [{width}, {inputs}],
        "hidden_weight": [{width}, {width}],
        "hidden_bias": [{width}],
        "readout_weight": [{q}, {width}],
        "readout_bias": [{q}],
        "skip": [],
    }


def _launchers() -> Launchers:
    from . import triton, triton_gradient

    def gradient(to_values: Tensor, *arguments: Any, **named: Any) -> tuple[Tensor, ...]:
        return triton_gradient.hollow_values_gradient(to_values, Values(*arguments, **named))

    return [
        (hollow_values_op, taking(Values, triton.hollow_values)),
        (hollow_values_gradient_op, gradient),
    ]


put_on_cuda(_launchers)
