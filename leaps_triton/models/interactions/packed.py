"""Which models can be swept 32 spins to a word, and which are.

These are models of two states on square lattices whose bonds differ in sign alone: sites then have
the same few local fields, and one logical operation acts on many of them
(:func:`leaps_triton.kernels.packed_heat_bath_sweeps`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ... import kernels
from ..base import SweepPlan

__all__ = [
    "COLUMNS", "LAYOUTS", "Packed", "layout_of", "obstacle", "packed_heat_bath",
    "packed_metropolis",
]  # fmt: skip

LAYOUTS = ("walkers", "rows")
"""What a word may hold: one site of 32 walkers, or 32 columns of a row of one walker."""

LEAST = 64
"""Walkers from which on words hold walkers, unless the lattice is large."""
LARGE = 2**14
"""Sites from which on words hold columns of rows, whatever the number of walkers."""
COLUMNS = 64
"""Sites of a row that make whole words, 32 of either colour."""


@dataclass(frozen=True)
class Packed:
    """What packed sweeps need of a model, or why there are none.

    Attributes:
        obstacle: why there are none; empty if there are.
        strength: of a bond, ``W_1 - W_0 = a Σ_j σ_ij s_j + b`` with ``s = ±1``.
        tilt: ``b``.
        negative: where ``σ = -1``, bool ``(2, L, W)`` or ``(1, 1, 1)``.
    """

    obstacle: str = ""
    strength: float = 0.0
    tilt: float = 0.0
    negative: Tensor = field(default_factory=lambda: torch.zeros(1, 1, 1, dtype=torch.bool))
    _on_device: dict[torch.device, Tensor] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, model: Any) -> "Packed":
        """Return what packed sweeps need of a pair model."""
        found = _obstacle(model)
        if found:
            return cls(found)
        table = model.bond_table
        size = float(model.coupling.abs().flatten()[0])
        negative = model.coupling < 0.0
        if negative[0].numel() > 1:
            negative = negative.expand(2, *model.shape).contiguous()
        elif bool((negative == negative.flatten()[0]).all()):
            negative = negative.flatten()[:1].view(1, 1, 1)
        else:
            negative = negative.expand(2, *model.shape).contiguous()
        fields = model.site_table.flatten(1)[:, 0]
        return cls(
            strength=size * float(table[1, 1] - table[0, 1]),
            tilt=float(fields[1] - fields[0]),
            negative=negative,
        )

    def on(self, device: torch.device) -> Tensor:
        """Return ``negative`` on a device, copied there once."""
        if device not in self._on_device:
            self._on_device[device] = self.negative.to(device)
        return self._on_device[device]


def _obstacle(model: Any) -> str:
    """Return why a pair model cannot be swept in words; empty if it can."""
    if model.overrides & {"energy", "local_energy", "heat_bath", "metropolis"}:
        return f"{type(model).__name__} has an energy or sweeps of its own"
    if model.q != 2:
        return f"sites must have two states, got q={model.q}"
    shape = model.shape
    if not model.lattice.hypercubic:
        return f"sites must stand on a square lattice, got {model.lattice!r}"
    even = all(length % 2 == 0 for length in shape)
    if len(shape) != 2 or not even or not all(model.lattice.periodic):
        return (
            f"the lattice must be (L, W), periodic, with even lengths, got shape={shape} and "
            f"periodic={model.lattice.periodic}"
        )
    table = model.bond_table
    if table[0, 0] != table[1, 1] or table[0, 1] != table[1, 0]:
        return f"bonds must tell equal from opposite states alone, got {table.tolist()}"
    sizes = model.coupling.abs()
    if sizes.min() != sizes.max():
        return "couplings must differ in sign alone"
    fields = model.site_table.flatten(1)
    if bool((fields != fields[:, :1]).any()):
        return "the field must be the same at all sites"
    return ""


def obstacle(model: Any) -> str:
    """Return why a model cannot be swept in words of 32 spins; empty if it can.

    Args:
        model: any model.
    """
    found = getattr(model, "packed", None)
    if not isinstance(found, Packed):
        return f"{type(model).__name__} is no PairModel"
    return found.obstacle


def layout_of(model: Any, walkers: int | None, asked: bool = False) -> str:
    """Return what words hold in sweeps of a model: one of :data:`LAYOUTS`, or "" for bytes.

    It follows from the model, its shape and the walkers of a block alone, never from the device or
    from what one call holds: the random numbers differ.

    Args:
        model: any model.
        walkers: of a block of a sampler, or of a chain; None where there are no blocks.
        asked: whether words are wanted, though bytes may be faster.
    """
    if obstacle(model):
        return ""
    length, width = model.shape
    # On a CPU words are faster than bytes at any size: at 16², 64² and 256² for 64 walkers by 1.9,
    # 2.9 and 4 in calls of many sweeps, by 1.1, 1.8 and 2 to 3 in calls of one, all that is packed
    # and unpacked counted; for one walker at 64², 256² and 1024² by 1.7, 3.4 and 10
    # (experiments/benchmarks/packed_sweeps.py). On a GPU they are expected to pay from about 2²¹
    # spins on, and to cost little below. Fewer walkers than two words leave lanes idle, and one
    # program a group of walkers leaves a GPU idle where lattices are large, so blocks small: there
    # words hold columns, where rows have whole words of them. Shared bits, 128 words of them, then
    # are a quarter of the work at 128² and half at 64², where words of walkers are faster.
    few = walkers is not None and walkers < LEAST
    if width % COLUMNS == 0 and (few or length * width >= LARGE):
        return "rows"
    if not few or asked:
        return "walkers"
    return ""


def packed_heat_bath(model: Any, x: Tensor, beta: Tensor, plan: SweepPlan) -> Tensor:
    """Return configurations of a pair model after the heat-bath sweeps of ``plan``, in words."""
    return _swept(kernels.packed_heat_bath_sweeps, model, x, beta, plan)


def packed_metropolis(model: Any, x: Tensor, beta: Tensor, plan: SweepPlan) -> Tensor:
    """Return configurations of a pair model after the Metropolis sweeps of ``plan``, in words."""
    return _swept(kernels.packed_metropolis_sweeps, model, x, beta, plan, rest=plan.rest)


def _swept(
    op: Callable[..., Tensor],
    model: Any,
    x: Tensor,
    beta: Tensor,
    plan: SweepPlan,
    **options: float,
) -> Tensor:
    own: Packed = model.packed
    if own.obstacle:
        raise ValueError(
            f"sweeps of {type(model).__name__} cannot be packed: {own.obstacle}; take packed=False"
        )
    return op(
        x,
        own.on(x.device),
        own.strength,
        own.tilt,
        beta,
        plan.walker_index,
        plan.first,
        plan.count,
        plan.seed,
        backward=plan.backward,
        rows=plan.packed == "rows",
        **options,
    )
