"""Checks of what models are made from, and of their configurations."""

import functools
import inspect
import math
import zlib
from collections.abc import Callable
from numbers import Integral
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from ..kernels.checks import (
    as_integer,
    as_number,
    as_tensor,
    is_single,
    shown,
    states_hint,
)
from ..lattices.graph import Graph

__all__ = [
    "as_beta",
    "as_bond_table",
    "as_coupling",
    "as_edge_coupling",
    "as_numbers",
    "as_spins",
    "as_states",
    "as_table",
    "check_shape",
    "check_states",
    "in_short",
    "named",
    "shape_of",
]

Constructor = TypeVar("Constructor", bound=Callable[..., None])


_NAMES = {
    "T": "beta={beta}, the inverse temperature 1/T",
    "temperature": "beta={beta}, the inverse temperature 1/T",
    "L": "shape={shape}, one length a direction",
    "length": "shape={shape}, one length a direction",
    "size": "shape={shape}, one length a direction",
    "lattice": "shape={shape}, one length a direction",
    "J": "coupling={value}",
    "h": "field={value}",
}
"""What other programs call the arguments of models → what they are called here."""


def named(constructor: Constructor) -> Constructor:
    """Explain names of arguments that a model does not have; a decorator of its constructor."""

    @functools.wraps(constructor)
    def construct(self: Any, *args: Any, **given: Any) -> None:
        takes = inspect.signature(constructor).parameters
        for name, value in given.items():
            if name not in _NAMES or name in takes:
                continue
            mend = _mend(name, value)
            if "field" not in takes:
                mend = mend.replace("field=", "site_table=")
            raise TypeError(f"{type(self).__name__} has no {name}=; give {mend}")
        constructor(self, *args, **given)

    # Its arguments are those of the constructor, for whoever checks types.
    return cast(Constructor, construct)


def _mend(name: str, value: Any) -> str:
    """Return the argument that is meant by a name and its value."""
    values = {"value": shown(value), "beta": "1/T", "shape": "(L, L)"}
    number = math.nan
    if is_single(value):
        number = float(value)
    if number > 0.0:
        values["beta"] = f"{1.0 / number:.6g}"
    # A single length is that of a square more often than that of a chain.
    if isinstance(value, Integral):
        values["shape"] = f"({value}, {value})"
    elif isinstance(value, tuple | list):
        values["shape"] = shown(tuple(value))
    return _NAMES[name].format(**values)


def as_beta(beta: object) -> float:
    """Return an inverse temperature as a finite float, else raise a ValueError."""
    return as_number("beta", beta, "a finite number", math.isfinite)


def as_states(q: object) -> int:
    """Return a number of states per site that int8 holds, else raise a ValueError."""
    # int8 ends at 127, and a single state leaves no move.
    return as_integer("the number of states q", q, 2, 127)


def as_table(
    name: str,
    value: object,
    shape: tuple[int, ...],
    meaning: str,
    short: int | None = None,
) -> Tensor:
    """Return finite numbers as a float64 tensor of its own on the CPU.

    Args:
        name: what errors call it.
        value: numbers of ``shape``.
        shape: the shape.
        meaning: of the shape, in words.
        short: a number of first axes that may stand alone.

    Raises:
        ValueError: ``value`` is not of numbers, not of this shape, or not finite.
    """
    try:
        table = as_tensor(value, torch.float64)
        # A copy, so that the tables stay when the tensor that was given changes; in the order of
        # its axes, as files store it.
        table = table.detach().cpu().clone(memory_format=torch.contiguous_format)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise ValueError(
            f"{name} must be numbers of shape {shape} ({meaning}), got {shown(value)}"
        ) from None
    if table.ndim == short:
        shape = shape[:short]
    if table.shape != shape:
        got = tuple(table.shape)
        raise ValueError(f"{name} must have shape {shape} ({meaning}), got {got}")
    finite = table.isfinite()
    if not bool(finite.all()):
        index = (~finite).nonzero()[0].tolist()
        raise ValueError(f"{name} must be finite, got NaN or infinity at index {index}")
    return table


def as_numbers(
    name: str,
    value: object,
    shape: tuple[int, ...],
    meaning: str,
) -> Tensor:
    """Return one finite number as ``()``, or a table of ``shape``, in float64.

    Args:
        name: what errors call it.
        value: a number, or numbers of ``shape``.
        shape: the shape of a table.
        meaning: of the shape, in words.

    Raises:
        ValueError: ``value`` is neither.
    """
    if not _is_number(value):
        return as_table(name, value, shape, f"{meaning}, or one number")
    wanted = f"finite: a number, or {meaning}"
    number = as_number(name, value, wanted, math.isfinite)
    return torch.tensor(number, dtype=torch.float64)


def as_coupling(value: object, lengths: tuple[int, ...]) -> Tensor:
    """Return couplings as float64 ``(1 | ndim, *lengths)``, lattice axes of size 1 where uniform.

    Args:
        value: a number, one number per direction, or one per direction and site.
        lengths: those of the lattice.

    Raises:
        ValueError: ``value`` is none of these, or not finite.
    """
    ndim = len(lengths)
    # Lattice axes of size 1 stand for what is the same at all sites.
    uniform = (1,) * ndim
    meaning = "directions by lattice, or one a direction"
    # One per direction is told by its shape: all else is to be a number or the whole table.
    if shape_of(value) == (ndim,):
        bonds = as_table("coupling", value, (ndim,), meaning)
    else:
        bonds = as_numbers("coupling", value, (ndim, *lengths), meaning)
    if bonds.ndim == ndim + 1:
        return bonds
    # One number for all directions, also where each is told the same.
    if bool((bonds == bonds.flatten()[0]).all()):
        return bonds.flatten()[:1].view(1, *uniform)
    return bonds.view(ndim, *uniform)


def as_edge_coupling(value: object, graph: Graph) -> Tensor:
    """Return couplings of a graph, float64 ``(1, bonds)``, or ``(1, 1)`` where all are alike.

    Args:
        value: a number, one number per class of edges, or one per edge.
        graph: the graph.

    Raises:
        ValueError: ``value`` is none of these, or not finite.
    """
    meaning = "one an edge in the order of graph.edges"
    if graph.num_classes > 1:
        meaning = f"{meaning}, or one for each of its {graph.num_classes} classes"
    # As many classes as edges would be ambiguous: then it is one per edge.
    if shape_of(value) == (graph.num_classes,) and graph.num_classes < graph.bonds:
        by_class = as_table("coupling", value, (graph.num_classes,), meaning)
        bonds = by_class[graph.classes]
    else:
        bonds = as_numbers("coupling", value, (graph.bonds,), meaning)
    if bool((bonds == bonds.flatten()[0]).all()):
        return bonds.flatten()[:1].view(1, 1)
    return bonds.view(1, graph.bonds)


def as_spins(spins: object, q: int) -> Tensor:
    """Return one vector per state, float64 ``(q, n)``.

    Args:
        spins: the vectors; None for ±1 (q = 2) or the unit vectors of a simplex.
        q: states per site.

    Raises:
        ValueError: ``spins`` is not ``(q, n)``, or not finite.
    """
    if spins is None:
        return _simplex(q)
    # The number of components is free, so the shape is read off what was given.
    shape = shape_of(spins)
    if len(shape) != 2 or shape[0] != q:
        raise ValueError(f"spins must have shape ({q}, n), one vector a state, got {shown(spins)}")
    return as_table("spins", spins, shape, "one vector a state")


def check_shape(
    configurations: object,
    dtype: torch.dtype,
    shape: tuple[int, ...],
) -> None:
    """Raise a ValueError unless ``configurations`` is ``(walkers, *shape)`` of ``dtype``."""
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
    got = tuple(configurations.shape)
    if got[1:] != shape or len(got) != len(shape) + 1:
        expected = ", ".join(("walkers", *map(str, shape)))
        raise ValueError(f"configurations must have shape ({expected}), got {got}")


def check_states(
    configurations: Tensor,
    dtype: torch.dtype,
    shape: tuple[int, ...],
    q: int,
) -> None:
    """Raise a ValueError unless ``configurations`` has values ``0 … q-1`` too."""
    try:
        check_shape(configurations, dtype, shape)
    except ValueError as error:
        # Spins ±1 come as numbers of any type: converted as they are, they would still be spins.
        raise ValueError(f"{error}{states_hint(configurations, q)}") from None
    # An empty tensor has neither a minimum nor a maximum.
    if configurations.numel() == 0:
        return
    low = int(configurations.min())
    high = int(configurations.max())
    if low < 0 or high >= q:
        raise ValueError(
            f"configurations must have values 0 to {q - 1}, got {low} to {high}"
            f"{states_hint(configurations, q)}"
        )


def shape_of(value: object) -> tuple[int, ...]:
    """Return the shape of what was given; that of a number where it is no numbers at all."""
    try:
        return tuple(as_tensor(value).shape)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return ()


def _is_number(value: object) -> bool:
    # A bool or complex number is none, but is told so as one.
    return is_single(value) or isinstance(value, bool | complex) or getattr(value, "ndim", 1) == 0


def _simplex(q: int) -> Tensor:
    """Return ±1 for two states, else the unit vectors to the corners of a simplex."""
    # Two corners lie on a line, so that one component holds them.
    if q == 2:
        return torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    # Less their mean, so that the spins of all states add up to 0.
    corners = torch.eye(q, dtype=torch.float64) - 1 / q
    # The corners e_i - 1/q have the squared length 1 - 1/q.
    return corners * math.sqrt(q / (q - 1))


def in_short(values: Tensor) -> str:
    """Return up to six numbers; of more the range, and a checksum that tells disorders apart."""
    flat = values.flatten().tolist()
    if len(flat) == 1:
        return f"{flat[0]:g}"
    if len(flat) <= 6:
        listed = ", ".join(f"{value:g}" for value in flat)
        return f"[{listed}]"
    checksum = zlib.crc32(values.numpy().tobytes())
    return f"<{min(flat):g} to {max(flat):g}, {checksum:08x}>"


def as_bond_table(bond_table: Any) -> Tensor:
    """Return ``φ`` as float64 ``(q, q)``; a ValueError if it is no such table."""
    try:
        q = len(bond_table)
    except TypeError:
        raise ValueError(f"bond_table must be a (q, q) table, got {shown(bond_table)}") from None
    # int8 ends at 127, and a single state leaves no move.
    if not 2 <= q <= 127:
        raise ValueError(f"the number of states q must be 2 to 127, got a bond_table of {q} rows")
    return as_table("bond_table", bond_table, (q, q), "states by states")
