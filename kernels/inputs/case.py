"""Records of the cases: how large, of which model, with which arguments and how much work."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.library import CustomOpDef

__all__ = ["PHILOX_OPERATIONS", "Call", "Case", "Model", "Size"]

PHILOX_OPERATIONS = 100
"""Per counter: 10 rounds of 2 products (4 halves), 4 exclusive ors, 2 sums of the key."""

Call: TypeAlias = tuple[CustomOpDef, dict[str, Any]]
"""A registered op and its arguments."""


class Size(NamedTuple):
    """How large a case is, and how its inputs are drawn."""

    shape: tuple[int, ...]
    walkers: int
    seed: int
    device: torch.device

    @property
    def sites(self) -> int:
        """Sites of the lattice."""
        return torch.Size(self.shape).numel()

    @property
    def indices(self) -> Tensor:
        """Global index of each walker, int64 ``(walkers,)``."""
        return torch.arange(self.walkers, device=self.device)


class Model(NamedTuple):
    """A model as the ops take it."""

    name: str
    coupling: Tensor
    bond_table: Tensor
    site_table: Tensor
    beta: Tensor
    periodic: tuple[bool, ...]
    colours: Tensor
    num_colours: int

    @property
    def q(self) -> int:
        """States of a site."""
        return len(self.bond_table)

    @property
    def ndim(self) -> int:
        """Directions of the lattice."""
        return len(self.periodic)

    def tables(self) -> dict[str, Any]:
        """Arguments of every op of a model, by name."""
        return {
            "coupling": self.coupling,
            "bond_table": self.bond_table,
            "site_table": self.site_table,
            "periodic": self.periodic,
        }


def _tolerance() -> dict[torch.dtype, float]:
    return {torch.float32: 1e-5, torch.float64: 1e-10}


@dataclass(frozen=True)
class Case:
    """An op with inputs, and the work of one call.

    Attributes:
        op: Its name.
        model: Name of the model; empty where there is none.
        size: Shape, walkers, seed and device.
        arguments: Those of the op, by name.
        by_walker: Names of the arguments with a leading walkers axis.
        operations: Arithmetic operations of the formula; a look-up or an exponential counts as one.
        words: Random words drawn.
        flips: Sites redrawn.
        tolerance: Per floating-point type, relative to the largest magnitude, at least 1.
    """

    op: str
    model: str
    size: Size
    arguments: dict[str, Any] = field(repr=False)
    by_walker: frozenset[str] = field(repr=False)
    operations: int
    words: int = 0
    flips: int = 0
    tolerance: dict[torch.dtype, float] = field(default_factory=_tolerance, repr=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the lattice."""
        return self.size.shape

    @property
    def walkers(self) -> int:
        """Number of walkers."""
        return self.size.walkers

    @property
    def lattice(self) -> str:
        """Shape of the lattice in words, such as ``16x16``."""
        return "x".join(map(str, self.shape))

    @property
    def label(self) -> str:
        """Name for messages."""
        parts = (self.op, self.model, self.lattice, f"{self.walkers} walkers")
        return " ".join(filter(None, parts))

    def of(self, rows: slice) -> dict[str, Any]:
        """Return the arguments of some of the walkers."""
        chosen = dict(self.arguments)
        for name in self.by_walker:
            chosen[name] = chosen[name][rows]
        return chosen

    def run(self, function: Callable[..., Any], rows: slice = slice(None)) -> tuple[Tensor, ...]:
        """Return the results of ``function`` for some of the walkers."""
        result = function(**self.of(rows))
        if isinstance(result, Tensor):
            return (result,)
        return tuple(result)

    def bytes_moved(self, results: Iterable[Tensor]) -> int:
        """Return the bytes of all inputs, each read once, and all results, each written once."""
        # Every byte counts once, as from a cache that holds all it has read.
        inputs = [value for value in self.arguments.values() if isinstance(value, Tensor)]
        return sum(tensor.numel() * tensor.element_size() for tensor in (*inputs, *results))
