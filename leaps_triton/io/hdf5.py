"""What all files of runs share: datasets laid out in full at the start, filled part by part, each
with its SHA-256.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import observables as _observables
from ..kernels.checks import expect
from .packing import Contents, unpack

if TYPE_CHECKING:
    import h5py

__all__ = [
    "allocate",
    "check_observables",
    "contents",
    "digest",
    "finished",
    "opened",
    "write",
]


def check_observables(names: Sequence[str], chains: bool = False) -> None:
    """Raise a ValueError unless all are names in :mod:`leaps_triton.observables`, of what
    ``chains`` alone have too.
    """
    measurable = _observables.MEASURABLE + _observables.OF_CHAINS * chains
    is_list = isinstance(names, Sequence) and not isinstance(names, str)
    for name in names if is_list else [names]:
        known = is_list and isinstance(name, str) and name in measurable
        expect(known, "observables", "names in leaps_triton.observables such as ['energy']", name)


@contextmanager
def opened(file: Path) -> Iterator[h5py.File]:
    """The file to be read; whatever h5py stumbles over in it is a ValueError."""
    import h5py

    # Only h5py's own errors mean a bad file; that it is missing or forbidden is found here.
    file.open("rb").close()
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
        OverflowError,
        MemoryError,
    ) as error:
        raise ValueError(
            f"{file.name} is no HDF5 file of leaps_triton, or is damaged: {error}"
        ) from None


def allocate(
    file: h5py.File,
    name: str,
    shape: tuple[int, ...],
    kind: Any,
    chunks: tuple[int, ...] | None = None,
) -> None:
    """A dataset of final size and place, still empty, in one piece or in ``chunks``."""
    import h5py

    # Allocated now, so that filling it later changes nothing but its numbers.
    early = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    early.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    if chunks is not None:
        early.set_chunk(chunks)
    file.create_dataset(name, shape, kind, dcpl=early)


def contents(file: h5py.File, name: str) -> Contents:
    """Manifest and tensors of a run; ``name`` is what errors call the file."""
    found = unpack(file["checkpoint"][:].tobytes(), name)
    if not found.manifest.keys() & {"run", "chain"}:
        raise ValueError(f"{name} is no run of leaps_triton")
    return found


def finished(file: h5py.File) -> int:
    """Parts from the first on that are there as a whole."""
    written = file["digests"][:].any(axis=1)
    return int(written.argmin()) if not written.all() else len(written)


def digest(arrays: Iterable[np.ndarray[Any, Any]], start: bytes = b"") -> np.ndarray[Any, Any]:
    """SHA-256 of ``start`` and of arrays with their kinds and shapes, uint8 ``(32,)``."""
    found = hashlib.sha256(start)
    for values in arrays:
        found.update(f"{values.dtype.str} {values.shape}".encode() + values.tobytes())
    return np.frombuffer(found.digest(), dtype=np.uint8)


def write(
    file: Path, values: Mapping[str, tuple[Any, Any]], part: int, found: np.ndarray[Any, Any]
) -> None:
    """Fill a part, dataset → place and values; then its digest, so that it counts only once all of
    it is on disk.
    """
    import h5py

    with h5py.File(file, "r+") as out:
        for name, (place, data) in values.items():
            out[name][place] = data
        out.flush()
        os.fsync(out.id.get_vfd_handle())
        out["digests"][part] = found
