"""Numbers among arguments: what counts as one, said once for the ops and for the library."""

import math
import operator
from collections.abc import Callable
from numbers import Real

import torch
from torch import Tensor

__all__ = [
    "PRECISIONS", "as_device", "as_integer", "as_number", "as_precision", "as_seed", "expect", "is_real", "shown",
]  # fmt: skip

PRECISIONS = {"hollow_conv": ("float32", "tf32", "bfloat16"), "hollow_values": ("float32", "tf32x3", "tf32")}
"""Of the factors of an op's matrix products, those it offers, its default first; sums are in float32."""


def shown(value: object) -> str:
    """``value`` in an error: a tensor by its type and shape, all else as Python writes it, in one line."""
    if isinstance(value, Tensor) and value.ndim > 0:
        return f"a tensor of {value.dtype} of shape {tuple(value.shape)}"
    return " ".join(repr(value).split())


def expect(accepted: bool, name: str, wanted: str, value: object) -> None:
    """Raise a ValueError that says what was expected and what came, unless ``accepted``."""
    if not accepted:
        raise ValueError(f"{name} must be {wanted}, got {shown(value)}")


def _is_single(value: object) -> bool:
    return isinstance(value, Tensor) and value.ndim == 0 and value.dtype != torch.bool and not value.is_complex()


def as_integer(name: str, value: object, low: int, high: int | None = None) -> int:
    """``value`` as a Python integer from ``low`` to ``high``; numpy's integers are integers, bools and floats are not.

    Raises
        ValueError: what was expected, what came.

    Example
        >>> as_integer("walkers", torch.tensor(3), 1)
        3
    """
    number = None
    if not isinstance(value, bool) and getattr(value, "dtype", None) != torch.bool:
        try:
            number = operator.index(value)  # type: ignore[arg-type]
        except (TypeError, ValueError, RuntimeError):
            number = None
    wanted = f"of at least {low}" if high is None else f"from {low} to {high}"
    accepted = number is not None and low <= number and (high is None or number <= high)
    expect(accepted, name, f"an integer {wanted}", value)
    assert number is not None
    return number


def as_number(name: str, value: object, wanted: str, accept: Callable[[float], bool]) -> float:
    """``value`` as a float that ``accept`` accepts; NaN never is, and no bool or string is a number.

    Raises
        ValueError: ``wanted``, and what came.

    Example
        >>> as_number("scale", 2, "a positive number", lambda scale: scale > 0)
        2.0
    """
    number = math.nan
    if not isinstance(value, bool) and (isinstance(value, Real) or _is_single(value)):
        try:
            number = float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError, RuntimeError, OverflowError):
            number = math.nan
    expect(not math.isnan(number) and accept(number), name, wanted, value)
    return number


def as_precision(op: str, precision: object) -> str:
    """``precision`` if it is one that the op offers.

    Raises
        ValueError: the precisions of this op, and what came.

    Example
        >>> as_precision("hollow_values", "tf32x3")
        'tf32x3'
    """
    known = isinstance(precision, str) and precision in PRECISIONS[op]
    expect(known, "precision", f"one of {', '.join(PRECISIONS[op])}", precision)
    assert isinstance(precision, str)
    return precision


def is_real(value: object) -> bool:
    """Whether ``value`` is a tensor of real numbers; bools are none."""
    return isinstance(value, Tensor) and value.dtype != torch.bool and not value.is_complex()


def as_device(device: torch.device | str | None) -> torch.device:
    """A device found to work; None for CUDA where there is a CUDA device, else the CPU."""
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=device)
        return torch.device(device)
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"device must be one that works here, such as cpu, got {shown(device)}: {reason}") from None


def as_seed(seed: object) -> int:
    """``seed`` if it is an integer in [0, 2³²), else a ValueError."""
    try:
        return as_integer("seed", seed, 0, 2**32 - 1)
    except ValueError:
        raise ValueError(f"seed must be an integer in [0, 2**32), got {shown(seed)}") from None
