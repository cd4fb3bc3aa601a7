"""Numbers and other plain arguments: what counts as one, and how an error shows what came."""

import difflib
import inspect
import math
import operator
from collections.abc import Callable, Iterable
from numbers import Real

import numpy as np
import torch
from torch import Tensor

__all__ = [
    "PRECISIONS", "as_bool", "as_device", "as_integer", "as_number", "as_periodic", "as_precision",
    "as_rest", "as_seed", "as_tensor", "check_arguments", "expect", "is_positive", "is_real",
    "is_single", "nearest", "shown", "states_hint",
]  # fmt: skip

PRECISIONS = {
    "hollow_conv": ("float32", "tf32", "bfloat16"),
    "hollow_values": ("float32", "tf32x3", "tf32", "bfloat16"),
}
"""Precisions of the factors of an op's matrix products, its default first; sums are in float32."""


def shown(value: object) -> str:
    """Return ``value`` as an error shows it, in one line.

    A tensor is shown by its type and shape, all else as Python writes it.
    """
    if isinstance(value, Tensor) and value.ndim > 0:
        return f"a tensor of {value.dtype} of shape {tuple(value.shape)}"
    return " ".join(repr(value).split())


def expect(accepted: bool, name: str, wanted: str, value: object) -> None:
    """Raise a ValueError that says what was expected and what came, unless ``accepted``."""
    if not accepted:
        raise ValueError(f"{name} must be {wanted}, got {shown(value)}")


def check_arguments(kind: str, function: Callable[..., object], *names: str) -> None:
    """Raise a ValueError unless ``function`` takes as many arguments as it will be called with.

    Args:
        kind: what the function is one of, with its article, for the error.
        function: a user's own.
        names: of the arguments.

    Example:
        >>> check_arguments("a schedule", math.sqrt, "t")
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        # Functions that are not written in Python need not tell.
        return
    try:
        signature.bind(*names)
    except TypeError:
        name = getattr(function, "__name__", type(function).__name__)
        # Their names alone: types would hide how many there are.
        takes = ", ".join(signature.parameters)
        raise ValueError(f"{kind} must take ({', '.join(names)}), got {name}({takes})") from None


def nearest(word: object, names: Iterable[str]) -> str:
    """Return a question after the name nearest to ``word``, for the end of an error.

    It is empty where no name is near.

    Example:
        >>> nearest("magnetisation", ["energy", "magnetization"])
        "; did you mean 'magnetization'?"
    """
    close = difflib.get_close_matches(str(word), list(names), n=1)
    if not close:
        return ""
    return f"; did you mean {close[0]!r}?"


def states_hint(values: object, q: int) -> str:
    """Return how values that are no states become states, for the end of an error.

    It is empty where they are neither spins ±1 nor states counted from 1.

    Args:
        values: the configurations that were refused.
        q: states per site.

    Example:
        >>> states_hint(torch.tensor([[-1, 1]]), 2)
        '; spins s = ±1 become states by (s + 1) / 2, and states x become spins by 2 * x - 1'
    """
    if not isinstance(values, Tensor) or not is_real(values) or not values.numel():
        return ""
    least, greatest = values.aminmax()
    low = float(least)
    high = float(greatest)
    if q == 2 and low == -1.0 and high <= 1.0:
        return "; spins s = ±1 become states by (s + 1) / 2, and states x become spins by 2 * x - 1"
    if low >= 1.0 and high == q:
        return "; states are counted from 0, so subtract 1"
    return ""


def is_single(value: object) -> bool:
    """Say whether ``value`` is one number: Python's, NumPy's, or an array or tensor without axes.

    Bools and complex numbers are none.
    """
    if isinstance(value, Tensor):
        return value.ndim == 0 and is_real(value)
    if isinstance(value, np.ndarray):
        # NumPy's letters of unsigned and signed integers and of floating point.
        return value.ndim == 0 and value.dtype.kind in "uif"
    return isinstance(value, Real) and not isinstance(value, bool)


def as_bool(name: str, value: object, wanted: str = "a bool") -> bool:
    """Return ``value`` as Python's bool; 0 and 1 are none.

    NumPy's bools are bools, and so are arrays and tensors of one bool without axes.

    Raises:
        ValueError: If it is none; it says what was ``wanted`` and what came.

    Example:
        >>> as_bool("periodic", np.array([True, False])[0])
        True
    """
    single = isinstance(value, bool | np.bool_)
    if isinstance(value, Tensor | np.ndarray):
        single = value.ndim == 0 and value.dtype in (torch.bool, np.dtype(bool))
    expect(single, name, wanted, value)
    return bool(value)


def as_periodic(periodic: object, wanted: str = "one bool an axis") -> tuple[bool, ...]:
    """Return boundaries as a tuple of Python's bools.

    Raises:
        ValueError: If they are no list, tuple, array or tensor of bools.
    """
    listed = isinstance(periodic, list | tuple)
    if isinstance(periodic, np.ndarray | Tensor):
        listed = periodic.ndim == 1
    expect(listed, "periodic", wanted, periodic)
    found = []
    for wraps in periodic:  # type: ignore[attr-defined]
        try:
            found.append(as_bool("periodic", wraps))
        except ValueError:
            # The error shows all boundaries, not one of them.
            expect(False, "periodic", wanted, periodic)
    return tuple(found)


def as_integer(name: str, value: object, low: int, high: int | None = None) -> int:
    """Return ``value`` as a Python integer from ``low`` to ``high``.

    Numpy's integers are integers, bools and floats are not.

    Raises:
        ValueError: If it is none; it says what was expected and what came.

    Example:
        >>> as_integer("walkers", torch.tensor(3), 1)
        3
    """
    number = None
    # To Python a bool is an integer, and so is a tensor of one bool.
    if not isinstance(value, bool) and getattr(value, "dtype", None) != torch.bool:
        try:
            number = operator.index(value)  # type: ignore[arg-type]
        except (TypeError, ValueError, RuntimeError):
            number = None
    wanted = f"of at least {low}"
    if high is not None:
        wanted = f"from {low} to {high}"
    accepted = number is not None and low <= number and (high is None or number <= high)
    expect(accepted, name, f"an integer {wanted}", value)
    assert number is not None
    return number


def as_number(name: str, value: object, wanted: str, accept: Callable[[float], bool]) -> float:
    """Return ``value`` as a float that ``accept`` accepts.

    NaN never is, and no bool or string is a number.

    Raises:
        ValueError: If it is none; it says what was ``wanted`` and what came.

    Example:
        >>> as_number("scale", 2, "a positive number", lambda scale: scale > 0)
        2.0
    """
    number = math.nan
    if is_single(value):
        try:
            # A whole number beyond the range of float64 overflows.
            number = float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError, RuntimeError, OverflowError):
            number = math.nan
    # NaN is what marks a value that is no number.
    expect(not math.isnan(number) and accept(number), name, wanted, value)
    return number


def is_positive(number: float) -> bool:
    """Return whether ``number`` is finite and above 0, as :func:`as_number` is often to accept it.

    Example:
        >>> is_positive(0.5), is_positive(0.0), is_positive(math.inf), is_positive(math.nan)
        (True, False, False, False)
    """
    return 0.0 < number < math.inf


def as_rest(name: str, value: object) -> float:
    """Return ``value`` as the probability that an update is left out: 0, 1/2, 1/4, … 2⁻²³.

    Its complement is exact in float32, and a number of 24 bits is below it as often as that.

    Raises:
        ValueError: If it is none; it says what was expected and what came.

    Example:
        >>> as_rest("rest", 0.25)
        0.25
    """
    return as_number(name, value, "0 or a power of two from 2⁻²³ to 1/2", _is_rest)


def _is_rest(number: float) -> bool:
    # frexp writes a power of two as 1/2 · 2ⁿ.
    mantissa, exponent = math.frexp(number)
    return number == 0.0 or (mantissa == 0.5 and -22 <= exponent <= 0)


def as_precision(op: str, precision: object) -> str:
    """Return ``precision`` if it is one that the op offers.

    Raises:
        ValueError: If the op has no such precision; it names those it has.

    Example:
        >>> as_precision("hollow_values", "tf32x3")
        'tf32x3'
    """
    known = isinstance(precision, str) and precision in PRECISIONS[op]
    expect(known, "precision", f"one of {', '.join(PRECISIONS[op])}", precision)
    assert isinstance(precision, str)
    return precision


def as_tensor(value: object, dtype: torch.dtype | None = None) -> Tensor:
    """Return real numbers as a tensor.

    NumPy's arrays are taken whatever their strides and byte order, read-only ones too.

    Args:
        value: A number, a tensor, an array, or a list of numbers or arrays.
        dtype: Type of the result; None for the type of what was given.

    Raises:
        ValueError: If these are no real numbers.

    Example:
        >>> as_tensor(np.arange(3)[::-1])
        tensor([2, 1, 0])
    """
    if isinstance(value, list | tuple) and any(isinstance(each, np.ndarray) for each in value):
        value = np.array(value)
    if isinstance(value, np.ndarray):
        # A copy in the order and with the bytes of the machine: torch knows no negative strides,
        # and warns of an array that must not be written to.
        native = value.dtype.newbyteorder("=")
        value = np.array(value, dtype=native, order="C")
    try:
        found = torch.as_tensor(value)
        # A complex number would lose its imaginary part with no more than a warning.
        if not found.is_complex():
            # From what was given: without a dtype a list would have been rounded to float32.
            return torch.as_tensor(value, dtype=dtype)
    except (TypeError, RuntimeError, OverflowError):
        found = None
    raise ValueError(f"numbers must be real, got {shown(value)}")


def is_real(value: object) -> bool:
    """Say whether ``value`` is a tensor of real numbers; bools are none."""
    return isinstance(value, Tensor) and value.dtype != torch.bool and not value.is_complex()


def as_device(device: torch.device | str | None) -> torch.device:
    """Return a device found to work; None for CUDA where there is a CUDA device, else the CPU.

    Raises:
        ValueError: If torch cannot make a tensor on it; it gives torch's reason.
    """
    if device is None and torch.cuda.is_available():
        return torch.device("cuda")
    if device is None:
        return torch.device("cpu")
    try:
        # An empty tensor is the cheapest proof that the device is there.
        torch.empty(0, device=device)
        return torch.device(device)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ValueError(
            f"device must be one that works here, such as cpu, got {shown(device)}: "
            f"{_reason(device, str(error))}"
        ) from None


def _reason(device: object, error: str) -> str:
    """Return why a device does not work, in words shorter than torch's, with the mend if known."""
    kind = str(device).lower().partition(":")[0]
    if kind in ("gpu", "nvidia", "triton"):
        return "say 'cuda' for a GPU"
    # Torch lists some twenty kinds of device, most of them of machines that few have.
    if error.startswith("Expected one of"):
        if kind in ("cpu", "cuda"):
            return f"say {kind!r}, in small letters"
        return "say 'cpu', or 'cuda' for a GPU"
    # Its first sentence alone: what follows is about torch.
    return error.partition("\n")[0].partition(". ")[0]


def as_seed(seed: object) -> int:
    """Return ``seed`` if it is an integer in [0, 2³²), else a ValueError."""
    try:
        return as_integer("seed", seed, 0, 2**32 - 1)
    except ValueError:
        raise ValueError(f"seed must be an integer in [0, 2**32), got {shown(seed)}") from None
