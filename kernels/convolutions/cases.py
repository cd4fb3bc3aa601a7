"""Inputs of ``hollow_conv`` and of its gradient."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from ..checks import PRECISIONS
from ..inputs.case import Call, Case, Size
from ..inputs.random import noise, normal
from .op import hollow_conv_gradient, hollow_conv_op

__all__ = ["CHANNELS", "OPS", "convolution", "measured", "single", "small", "watched"]

OPS = ("hollow_conv", "hollow_conv_gradient")
CHANNELS = 20
"""Channels that are measured, with a kernel as long as the lattice: those of the paper."""


def convolution(
    shape: tuple[int, ...],
    kernel_size: int,
    walkers: int = 3,
    channels: int = 4,
    inputs: int = 3,
    broadcast: bool = True,
    one_time: bool = False,
    seed: int = 0,
) -> dict[str, Any]:
    """Return random arguments of ``hollow_conv``.

    The lattice is periodic where the kernel fits and open elsewhere.

    Args:
        shape: Shape of the lattice.
        kernel_size: Odd.
        walkers: Number of walkers.
        channels: Channels of the output.
        inputs: Channels of the activations.
        broadcast: One channel of the source for all of the output.
        one_time: One time for all walkers.
        seed: Of all of them.
    """
    taps = kernel_size ** len(shape)
    times = walkers
    if one_time:
        times = 1
    sources = channels
    if broadcast:
        sources = 1
    return {
        "activations": normal(walkers, inputs, *shape, seed=seed),
        "weight": normal(channels, taps, inputs, seed=seed + 1) / inputs**0.5,
        "bias": normal(channels, taps, seed=seed + 2),
        "offset": normal(channels, taps, seed=seed + 3),
        "time_offset": normal(times, taps, seed=seed + 4),
        "source": normal(walkers, sources, *shape, seed=seed + 5),
        "kernel_size": kernel_size,
        "periodic": tuple(length > kernel_size // 2 for length in shape),
    }


def single(given: dict[str, Any]) -> dict[str, Any]:
    """Return the same with all tensors in float32."""
    return {n: v.float() if isinstance(v, Tensor) else v for n, v in given.items()}


def measured(op: str, size: Size) -> Case:
    """Return the case of an op."""
    shortest = min(size.shape)
    # The longest odd kernel that does not reach around the lattice.
    kernel_size = min(15, shortest - 1 + shortest % 2)
    taps = kernel_size ** len(size.shape)
    arguments = {
        "activations": noise(size, 1, size.walkers, CHANNELS, *size.shape),
        "weight": noise(size, 2, CHANNELS, taps, CHANNELS) / CHANNELS**0.5,
        "bias": noise(size, 3, CHANNELS, taps),
        "offset": noise(size, 4, CHANNELS, taps),
        "time_offset": noise(size, 5, 1, taps),
        "source": noise(size, 0, size.walkers, 1, *size.shape).sign(),
        "kernel_size": kernel_size,
        "periodic": (True,) * len(size.shape),
    }
    # A product and a sum per input; an exponential, a division and eight more per tap.
    operations = size.walkers * CHANNELS * size.sites * (taps - 1) * (2 * CHANNELS + 10)
    if op == "hollow_conv":
        return Case(op, "", size, arguments, frozenset({"activations", "source"}), operations)
    to_output = noise(size, 6, size.walkers, CHANNELS, *size.shape)
    arguments = {"to_output": to_output, **arguments, "to_source": False}
    # Gradients of parameters are sums over all walkers, so the case is not cut.
    return Case(op, "", size, arguments, frozenset(), 3 * operations)


def small() -> dict[str, Call]:
    """Return small calls, for torch's own checks."""
    given = convolution((3, 2), 3)
    gradient = {"to_output": normal(3, 4, 3, 2, seed=9), **given, "to_source": False}
    return {
        "hollow_conv": (hollow_conv_op, given),
        "hollow_conv_gradient": (hollow_conv_gradient, gradient),
    }


def watched(shape: tuple[int, ...], periodic: tuple[bool, ...], walkers: int) -> Iterator[Call]:
    """Yield calls that reach every kernel of the family."""
    to_output = normal(walkers, 4, *shape, seed=9).float()
    for broadcast in (True, False):
        given = single(convolution(shape, 3, walkers, broadcast=broadcast))
        for precision in PRECISIONS["hollow_conv"]:
            chosen = given | {"precision": precision}
            yield hollow_conv_op, chosen
            yield hollow_conv_gradient, {"to_output": to_output, **chosen, "to_source": True}
