"""How the draws of a chain are laid out in a file, copied to a longer one, and gone on with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ...mcmc.base import Lowest
from ...mcmc.march import March
from ...models.varied import BETA
from ...observables.base import is_of_replicas
from ..hdf5 import (
    Array,
    allocate,
    allocate_slots,
    begin,
    digest,
    edited,
    finished,
    numpy_kind,
    opened,
    read_slot,
)
from ..packing import Contents
from ..results import lay_out_beginning
from .marching import fields_of

if TYPE_CHECKING:
    import h5py

__all__ = ["check_parts", "columns_drawn", "copy_parts", "lay_out_chain", "restore"]


def check_parts(
    source: h5py.File, data: dict[str, Array], draws: int, every: int, name: str
) -> None:
    """Raise a ValueError unless all parts match their digests.

    Args:
        source: the file.
        data: its columns, by name.
        draws: that are finished.
        every: draws of a part.
        name: what the error calls the file.
    """
    for part, first in enumerate(range(0, draws, every)):
        of_part = (
            np.ascontiguousarray(column[:, first : first + every]) for column in data.values()
        )
        if not np.array_equal(source["digests"][part], digest(of_part)):
            raise ValueError(
                f"{name} is damaged: draw {first} and on do not match their SHA-256; run it again"
            )


def columns_drawn(settings: dict[str, Any]) -> list[str]:
    """Return the names of the datasets with one row per walker and one column per draw.

    Args:
        settings: those of the run.
    """
    names = [f"observables/{name}" for name in settings["observables"]]
    if settings["configurations"]:
        names.append("configurations")
    return names


def lay_out_chain(file: Path, march: March, found: Contents) -> None:
    """Write all datasets with their final sizes and places, still empty.

    Args:
        file: a new one.
        march: the chains.
        found: manifest and tensors of the run.
    """
    settings = found.manifest["chain"]
    draws = march.draws
    every = settings["every"]
    with edited(file, new=True) as (out, _):
        begin(out, found)
        lay_out_beginning(out, settings["burn_in"])
        for name in settings["observables"]:
            rows, *shape = march.measure(name).shape
            # A chunk is a part, so that a write touches no draws but its own.
            chunks = (rows, min(every, draws), *shape)
            allocate(out, f"observables/{name}", (rows, draws, *shape), "f8", chunks)
            # What the third axis is of, for readers without this library.
            if is_of_replicas(march.measured[name]):
                kind = "betas"
                if march.varied.name != BETA:
                    kind = march.varied.name
                out[f"observables/{name}"].attrs[kind] = march.varied.values
        if settings["configurations"]:
            sites = march.model.shape
            whole = (settings["walkers"], draws, *sites)
            kind = numpy_kind(march.model.dtype)
            # One draw in a chunk: a whole part could exceed the 4 GiB that HDF5 allows one.
            allocate(out, "configurations", whole, kind, (settings["walkers"], 1, *sites))
        allocate_slots(out, "state", fields_of(march.state))
        if march.lowest is not None:
            allocate_slots(out, "lowest", fields_of(march.lowest))
        # Rounded up: the last part may be a short one.
        allocate(out, "digests", (-(-draws // every), 32), "u1")


def copy_parts(old: Path, new: Path, settings: dict[str, Any], most: int) -> None:
    """Copy the first parts of a shorter file into a longer one.

    Args:
        old: the shorter file.
        new: the longer one.
        settings: those of the run.
        most: parts at most; one of fewer draws is drawn again.
    """
    every = settings["every"]
    with opened(old) as source, edited(new) as (out, _):
        whole = min(finished(source), most)
        for name in columns_drawn(settings):
            for part in range(whole):
                place = np.s_[:, part * every : (part + 1) * every]
                out[name][place] = source[name][place]
        # Both slots: where the last part is left out, the state before it is needed.
        for group in ("state", "lowest"):
            # A file of an earlier version has no lowest energies.
            if group in source:
                for name in (*(f"{group}/{key}" for key in source[group]), f"{group}_digests"):
                    out[name][:] = source[name][:]
        out["digests"][:whole] = source["digests"][:whole]


def restore(source: h5py.File, march: March, name: str, settings: dict[str, Any]) -> None:
    """Bring a march to the state after the last finished part, if there is one.

    Args:
        source: the file.
        march: the chains.
        name: what errors call the file.
        settings: those of the run.
    """
    parts = finished(source)
    # A file of an earlier version has no place for lowest energies, and they are left out.
    if "lowest" not in source:
        march.lowest = None
    if not parts:
        return
    slot = (parts - 1) % 2
    # The digest is nought where an earlier version wrote the parts so far.
    if march.lowest is not None and source["lowest_digests"][slot].any():
        lowest = read_slot(source, "lowest", slot, march.lowest._fields, name)
        march.lowest = Lowest(*(torch.from_numpy(v).to(march.device) for v in lowest.values()))
    fields = march.state._asdict()
    state = read_slot(source, "state", slot, fields, name)
    restored: dict[str, Any] = {}
    for key in fields:
        value = state[key]
        if isinstance(fields[key], Tensor):
            restored[key] = torch.from_numpy(value).to(march.device)
        else:
            # A number returns as what it was, an integer as an integer.
            restored[key] = type(fields[key])(value)
    # The last part may be a short one.
    march.drawn = min(march.draws, parts * settings["every"])
    march.state = march.state._replace(**restored)
