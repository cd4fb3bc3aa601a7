"""Checks of what models are made from."""

import math
from numbers import Real

import torch
from torch import Tensor

from ..kernels.checks import as_integer, as_number, shown

__all__ = []


def as_beta(beta: object) -> float:
    return as_number("beta", beta, "a finite number", math.isfinite)


def as_table(
    name: str, value: object, shape: tuple[int, ...], meaning: str, short: int | None = None
) -> Tensor:
    """``value`` as a finite float64 tensor of ``shape``, or of its first ``short`` axes alone."""
    try:
        if torch.as_tensor(value).is_complex():
            raise TypeError
        table = torch.as_tensor(value, dtype=torch.float64).detach().cpu().clone()
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise ValueError(
            f"{name} must be numbers of shape {shape} ({meaning}), got {shown(value)}"
        ) from None
    if table.ndim == short:
        shape = shape[:short]
    if table.shape != shape:
        raise ValueError(f"{name} must have shape {shape} ({meaning}), got {tuple(table.shape)}")
    if not table.isfinite().all():
        raise ValueError(
            f"{name} must be finite, got NaN or infinity at index {(~table.isfinite()).nonzero()[0].tolist()}"
        )
    return table


def is_number(value: object) -> bool:
    return isinstance(value, Real) or (isinstance(value, Tensor) and value.ndim == 0)


def as_numbers(name: str, value: object, shape: tuple[int, ...], meaning: str) -> Tensor:
    """One finite number as ``()``, or a table of ``shape``, in float64."""
    if is_number(value):
        return torch.tensor(
            as_number(name, value, f"finite: a number, or {meaning}", math.isfinite),
            dtype=torch.float64,
        )
    return as_table(name, value, shape, f"{meaning}, or one number")


def potts_spins(q: int) -> Tensor:
    if q == 2:
        return torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    return (torch.eye(q, dtype=torch.float64) - 1 / q) * math.sqrt(q / (q - 1))


def as_spins(spins: object, q: int) -> Tensor:
    if spins is None:
        return potts_spins(q)
    try:
        rows, *columns = torch.as_tensor(spins).shape
    except (TypeError, ValueError, RuntimeError):
        rows, columns = 0, []
    if rows != q or len(columns) != 1:
        raise ValueError(f"spins must have shape ({q}, n), one vector a state, got {shown(spins)}")
    return as_table("spins", spins, (q, *columns), "one vector a state")


def as_states(q: object) -> int:
    return as_integer("the number of states q", q, 2, 127)


def check_shape(configurations: object, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    """Raise a ValueError unless ``configurations`` is ``(walkers, *shape)`` of this dtype."""
    if not isinstance(configurations, Tensor):
        kind = type(configurations).__name__
    elif configurations.dtype != dtype:
        kind = str(configurations.dtype)
    else:
        kind = ""
    if kind:
        raise ValueError(
            f"configurations must be a tensor of {dtype}, got {kind}; convert with .to({dtype})"
        )
    assert isinstance(configurations, Tensor)
    if configurations.ndim != len(shape) + 1 or configurations.shape[1:] != shape:
        expected = ", ".join(("walkers", *map(str, shape)))
        got = tuple(configurations.shape)
        raise ValueError(f"configurations must have shape ({expected}), got {got}")


def check_states(
    configurations: Tensor,
    dtype: torch.dtype,
    shape: tuple[int, ...],
    q: int,
) -> None:
    """Raise a ValueError unless ``configurations`` has values ``0 … q-1`` too."""
    check_shape(configurations, dtype, shape)
    if configurations.numel() == 0:
        return
    low = int(configurations.min())
    high = int(configurations.max())
    if low < 0 or high >= q:
        raise ValueError(f"configurations must have values 0 to {q - 1}, got {low} to {high}")
