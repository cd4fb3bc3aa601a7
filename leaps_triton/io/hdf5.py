"""What all files of runs share: datasets laid out in full at the start, and filled part by part.

Each part has a SHA-256, written after it, so that a part counts only once all of it is on disk.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch

from .. import observables as _observables
from ..kernels.checks import nearest, shown
from .packing import Contents, differences, is_checkpoint, pack, unpack

if TYPE_CHECKING:
    import h5py

__all__ = [
    "Array",
    "Places",
    "allocate",
    "begin",
    "check_observables",
    "contents",
    "digest",
    "expect_same",
    "finished",
    "numpy_kind",
    "opened",
    "write",
]


Array: TypeAlias = "np.ndarray[Any, Any]"

Places: TypeAlias = Mapping[str, tuple[Any, Any]]
"""Dataset → where in it, and what to write there."""


def check_observables(names: Sequence[str], chains: bool = False) -> None:
    """Raise a ValueError unless all are names in :mod:`leaps_triton.observables`.

    Args:
        names: what to measure.
        chains: accept those of pairs of walkers and of replicas too, which chains alone have.
    """
    measurable = list(_observables.MEASURABLE)
    if chains:
        measurable += _observables.OF_CHAINS
    # A single string would be read as its letters.
    is_list = isinstance(names, Sequence) and not isinstance(names, str)
    for name in names if is_list else [names]:
        known = is_list and isinstance(name, str) and name in measurable
        if not known:
            raise ValueError(
                f"observables must be names in leaps_triton.observables such as ['energy'], got "
                f"{shown(name)}{nearest(name, measurable)}; there are {', '.join(measurable)}"
            )


def numpy_kind(dtype: torch.dtype) -> str:
    """Return NumPy's name of a type of configurations, such as ``i1`` for int8.

    Example:
        >>> numpy_kind(torch.int8), numpy_kind(torch.float32)
        ('i1', 'f4')
    """
    # Without the byte order, which is that of the machine.
    return torch.empty(0, dtype=dtype).numpy().dtype.str.lstrip("<>|=")


@contextmanager
def opened(file: Path) -> Iterator[h5py.File]:
    """Open a file to be read; whatever h5py stumbles over in it is a ValueError."""
    import h5py

    # Only h5py's own errors mean a bad file; that it is missing or forbidden is found here.
    file.open("rb").close()
    _refuse_checkpoint(file)
    try:
        with h5py.File(file, "r") as source:
            yield source
    except (
        OSError,
        KeyError,
        RuntimeError,
        TypeError,
        AttributeError,
        IndexError,
        # Damaged sizes overflow, or ask for more memory than there is.
        OverflowError,
        MemoryError,
    ) as error:
        raise ValueError(
            f"{file.name} is no HDF5 file of leaps_triton, or is damaged: {error}"
        ) from None


def _refuse_checkpoint(file: Path) -> None:
    """Raise a ValueError that says what reads a file, if it is a checkpoint and no run."""
    with file.open("rb") as stream:
        start = stream.read(16)
    if is_checkpoint(start):
        raise ValueError(
            f"{file.name} is a checkpoint (safetensors), so a sampler, and no run in HDF5; "
            f"lt.load and `leaps-triton info` read it, `leaps-triton sample` draws walkers with it"
        )


def begin(file: h5py.File, described: Contents) -> None:
    """Write into a new file what its run is one of."""
    # Once more as plain text, for readers without this library.
    file.attrs["manifest"] = json.dumps(described.manifest)
    # Strings of HDF5 do not keep every zero byte; arrays of numbers do.
    file["checkpoint"] = np.frombuffer(pack(described), dtype=np.uint8)


def allocate(
    file: h5py.File,
    name: str,
    shape: tuple[int, ...],
    kind: Any,
    chunks: tuple[int, ...] | None = None,
) -> None:
    """Make a dataset of final size and place, still empty, in one piece or in ``chunks``."""
    import h5py

    # Allocated now, so that filling it later changes nothing but its numbers.
    early = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    early.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    if chunks is not None:
        early.set_chunk(chunks)
    file.create_dataset(name, shape, kind, dcpl=early)


def contents(file: h5py.File, name: str) -> Contents:
    """Return manifest and tensors of a run; ``name`` is what errors call the file."""
    found = unpack(file["checkpoint"][:].tobytes(), name)
    if not found.manifest.keys() & {"run", "chain"}:
        raise ValueError(f"{name} is no run of leaps_triton")
    return found


def expect_same(old: Contents, new: Contents, name: str) -> None:
    """Raise a ValueError that tells how the settings of a run differ from those in its file."""
    found = differences(old, new)
    if found:
        raise ValueError(
            f"{name} was made with other settings: {'; '.join(found)}; use the same, or another"
        )


def finished(file: h5py.File) -> int:
    """Return the number of parts, from the first on, that are there as a whole."""
    # The digest of a part that is not there is nought.
    written = file["digests"][:].any(axis=1)
    if written.all():
        return len(written)
    # The least of bools is the first False.
    return int(written.argmin())


def digest(arrays: Iterable[Array], start: bytes = b"") -> Array:
    """Return the SHA-256 of ``start`` and of arrays with kinds and shapes, uint8 ``(32,)``."""
    found = hashlib.sha256(start)
    for values in arrays:
        # Kind and shape are covered too, or the same bytes could pass for other numbers.
        found.update(f"{values.dtype.str} {values.shape}".encode() + values.tobytes())
    return np.frombuffer(found.digest(), dtype=np.uint8)


def write(file: Path, values: Places, part: int, found: Array) -> None:
    """Fill a part; then its digest, so that it counts only once all of it is on disk."""
    import h5py

    with h5py.File(file, "r+") as out:
        for name, (place, data) in values.items():
            out[name][place] = data
        out.flush()
        # flush hands the data to the system; fsync waits until they are on disk.
        os.fsync(out.id.get_vfd_handle())
        out["digests"][part] = found
