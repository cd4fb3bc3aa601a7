"""Chains whose walkers are shared out among processes: what each draws, and all of it as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...mcmc.base import Lowest
from ...mcmc.march import March
from ..hdf5 import Array, Places, in_slot

__all__ = ["Drawn", "Stand", "draw", "fields_of", "joined", "places_of", "share_out"]


class Drawn(NamedTuple):
    """A part of a run, of some walkers."""

    draws: dict[str, Array]
    """Dataset → values ``(rows, draws, …)``"""
    state: dict[str, Array]
    """Fields of the state after it"""
    lowest: dict[str, Array]
    """Fields of the lowest energies so far; none where they are not looked for"""


def draw(march: March, settings: dict[str, Any], update: Callable[[], object]) -> Drawn:
    """Return the next part, of the walkers that a march has."""
    count = min(settings["every"], march.draws - march.drawn)
    values, kept = march.draw(count, settings["configurations"], update)
    draws = {f"observables/{name}": value.numpy() for name, value in values.items()}
    if kept is not None:
        draws["configurations"] = kept.numpy()
    lowest = {}
    if march.lowest is not None:
        lowest = fields_of(march.lowest)
    return Drawn(draws, fields_of(march.state), lowest)


def joined(parts: Sequence[Drawn]) -> Drawn:
    """Return a part of all walkers, whose rows come one process after another."""
    if len(parts) == 1:
        return parts[0]
    whole: list[dict[str, Array]] = []
    for fields in zip(*parts, strict=True):
        found = {}
        for name, value in fields[0].items():
            found[name] = value
            # Numbers, such as that of sweeps, are the same for all walkers.
            if value.ndim:
                found[name] = np.concatenate([each[name] for each in fields])
        whole.append(found)
    return Drawn(*whole)


def places_of(drawn: Drawn, settings: dict[str, Any], first: int, end: int) -> tuple[int, Places]:
    """Return the number of a part, and what is to be stored of it: dataset → place and values.

    Args:
        drawn: the part.
        settings: of the run.
        first: number of its first draw.
        end: that of the next part.
    """
    part = first // settings["every"]
    columns = np.s_[:, first:end]
    places: dict[str, tuple[Any, Any]] = {}
    for name, value in drawn.draws.items():
        places[name] = (columns, value)
    # The states after the last two parts take turns, so that one of them is always whole.
    slot = part % 2
    places |= in_slot("state", slot, drawn.state)
    if drawn.lowest:
        places |= in_slot("lowest", slot, drawn.lowest)
    return part, places


def fields_of(state: Any) -> dict[str, Array]:
    """Return the state of any move, a NamedTuple of tensors and numbers, as arrays."""
    return {
        name: torch.as_tensor(value).cpu().contiguous().numpy()
        for name, value in state._asdict().items()
    }


class Stand(NamedTuple):
    """Where a march stands, on the host."""

    drawn: int
    """Draws so far"""
    state: Any
    """Of the move, of all walkers"""
    lowest: Lowest | None
    """The lowest energies so far; None where they are not looked for"""

    @classmethod
    def of(cls, march: March) -> Stand:
        """Return where a march stands."""
        lowest = march.lowest
        if lowest is not None:
            lowest = _on(lowest, torch.device("cpu"))
        return cls(march.drawn, _on(march.state, torch.device("cpu")), lowest)


def share_out(march: March, stand: Stand | None, rows: range) -> None:
    """Bring a march to where the first process has it, with this one's walkers alone.

    Args:
        march: of all walkers.
        stand: where it stands; None at its beginning.
        rows: walkers of this process.
    """
    if stand is not None:
        march.drawn = stand.drawn
        march.state = _on(stand.state, march.device)
        march.lowest = stand.lowest
        if stand.lowest is not None:
            march.lowest = _on(stand.lowest, march.device)
    march.keep(rows)


def _on(state: Any, device: torch.device) -> Any:
    """Return a NamedTuple with its tensors on a device."""
    moved = []
    for value in state:
        if isinstance(value, Tensor):
            value = value.to(device)
        moved.append(value)
    return type(state)(*moved)
