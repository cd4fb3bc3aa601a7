"""How weighted walkers are laid out in a file: one row per walker, and some per block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ...observables.base import entered
from ...samplers.sampler import Sampler
from ..hdf5 import allocate, begin, digest, numpy_kind
from ..packing import Contents
from .portions import portion_of

if TYPE_CHECKING:
    import h5py

__all__ = ["check_block", "columns_of", "lay_out", "per_block", "rows_of"]


def rows_of(sampler: Sampler, settings: dict[str, Any], block: int) -> slice:
    """Return the rows of a block in its file, of which the last may be a short one.

    Args:
        sampler: that of the run.
        settings: of the run.
        block: its number among those of the file.
    """
    first = block * sampler.block
    walkers = portion_of(settings, sampler.block).walkers
    return slice(first, min(walkers, first + sampler.block))


def check_block(
    source: h5py.File, sampler: Sampler, settings: dict[str, Any], block: int, name: str
) -> None:
    """Raise a ValueError unless a block of an open file matches its digest.

    Args:
        source: the file.
        sampler: that of the run.
        settings: of the run.
        block: its number among those of the file.
        name: what the error calls the file.
    """
    rows = rows_of(sampler, settings, block)
    data = (source[column][rows] for column in columns_of(settings))
    start = b"".join(source[each][block].tobytes() for each in per_block(sampler))
    if not np.array_equal(source["digests"][block], digest(data, start)):
        raise ValueError(
            f"{name} is damaged: block {block} does not match its SHA-256; sample it again"
        )


def columns_of(settings: dict[str, Any]) -> list[str]:
    """Return the names of the datasets with one row per walker.

    Args:
        settings: of the run.
    """
    names = ["log_weights"]
    for name in settings["observables"]:
        names.append(f"observables/{name}")
    if settings["configurations"]:
        names.append("configurations")
    if "along" in settings:
        names.append("along/log_weights")
        for name in settings["observables"]:
            names.append(f"along/observables/{name}")
    return names


def per_block(sampler: Sampler) -> list[str]:
    """Return the names of the datasets with one row per block, but for the digests.

    Args:
        sampler: that of the run.
    """
    if sampler.resample_below > 0.0:
        return ["evaluations", "resampled"]
    # Files without resampling are as they always were.
    return ["evaluations"]


def lay_out(file: h5py.File, sampler: Sampler, described: Contents) -> None:
    """Write all datasets with their final sizes and places, still empty.

    Args:
        file: a new one.
        sampler: that of the run.
        described: sampler and settings of the run as data.
    """
    settings = described.manifest["run"]
    model = sampler.path.model
    portion = portion_of(settings, sampler.block)
    walkers = portion.walkers
    blocks = portion.blocks
    begin(file, described)
    # What an observable looks like, one walker tells.
    one = sampler.path.start.sample(torch.arange(1), seed=0)
    shapes = {"log_weights": (), "configurations": model.shape}
    kinds = {"configurations": numpy_kind(model.dtype)}
    for name in settings["observables"]:
        shapes[f"observables/{name}"] = tuple(entered()[name](one, model).shape[1:])
    for name in columns_of(settings):
        shape = shapes.get(name.removeprefix("along/"), ())
        # On the way there is one more axis, that of the inverse temperatures.
        if name.startswith("along/"):
            shape = (len(settings["along"]["betas"]), *shape)
        allocate(file, name, (walkers, *shape), kinds.get(name, "f8"))
        if name.startswith("along/"):
            file[name].attrs["betas"] = settings["along"]["betas"]
    allocate(file, "evaluations", (blocks,), "f8")
    if "resampled" in per_block(sampler):
        # Whether the block was resampled, at each density but that of t = 0.
        allocate(file, "resampled", (blocks, len(sampler.integrator.densities) - 1), "u1")
    allocate(file, "digests", (blocks, 32), "u1")
