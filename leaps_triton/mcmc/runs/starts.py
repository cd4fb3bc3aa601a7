"""Where chains start: walkers, and a path to the model at whose end they stay."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...kernels.checks import states_hint
from ...models.base import EnergyModel, Target
from ...models.densities.base import DensityModel
from ...models.energy_only import as_given, complete
from ...models.fields import is_phi_four
from ...paths.annealing import AnnealingPath
from ...paths.gaussian import broad
from ..base import as_move

__all__ = ["check_together", "path_of", "picked", "start_of"]


def picked(state: Any, rows: slice) -> Any:
    """Return some walkers of a NamedTuple; what is no tensor is one for all."""
    kept = []
    for value in state:
        if isinstance(value, Tensor):
            # In memory of their own, where they begin as those of a chain alone do.
            value = value[rows].clone()
        kept.append(value)
    return type(state)(*kept)


def check_together(move: object, walkers: int) -> None:
    """Raise a ValueError unless a number of walkers is one that a move can take.

    Args:
        move: moves the walkers.
        walkers: their number.
    """
    together = as_move("move", move).together
    if walkers % together:
        raise ValueError(
            f"{type(move).__name__} moves {together} walkers together, so that their number must "
            f"be a multiple of it, got {walkers}"
        )


@dataclass
class Given:
    """Configurations that chains start from, as the start of a path; ``log Z_0`` is unknown."""

    configurations: Tensor
    log_z: float = math.nan

    def sample(self, walker_index: Tensor, seed: int) -> Tensor:
        """Return the configurations."""
        return self.configurations


def path_of(model: Target | EnergyModel, start: Tensor | None) -> AnnealingPath:
    """Return a path to the model; chains stay at its end, so that its start matters to none."""
    kind = getattr(model, "dtype", None)
    floating = isinstance(kind, torch.dtype) and kind.is_floating_point
    # Floating-point numbers have no uniform law that a path could start from by itself, but fields
    # have the free one, and with it the couplings that their moves ask for.
    if isinstance(model, DensityModel):
        # Whatever the walkers start from: replicas are at times of this path.
        return AnnealingPath(model, broad(model))
    if floating and not is_phi_four(model):
        if start is None:
            shape = ", ".join(str(length) for length in complete(model).shape)
            raise ValueError(
                f"chains of {type(as_given(model)).__name__} have no start of their own, since its "
                f"configurations are {kind}; give start= a tensor (walkers, {shape})"
            )
        return AnnealingPath(model, Given(start))
    return AnnealingPath(model)


def start_of(path: AnnealingPath, start: Tensor | None, walker_index: Tensor, seed: int) -> Tensor:
    """Return where the walkers start, on the device of their indices."""
    if start is None:
        return path.start.sample(walker_index, seed)
    model = path.model
    expected = (len(walker_index), *model.shape)
    if not isinstance(start, Tensor) or start.dtype != model.dtype or start.shape != expected:
        got: object = type(start).__name__
        if isinstance(start, Tensor):
            got = (start.dtype, tuple(start.shape))
        hint = ""
        if not model.dtype.is_floating_point:
            hint = states_hint(start, model.q)
        raise ValueError(f"start must be {model.dtype} of shape {expected}, got {got}{hint}")
    # A model checks the values of its configurations.
    model.energy(start)
    # Walkers that were expanded from one would share its memory.
    return start.to(walker_index.device).contiguous()
