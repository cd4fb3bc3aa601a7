"""What all files of runs share: datasets laid out in full at the start, and filled part by part.

Each part has a SHA-256, written after it, so that a part counts only once all of it is on disk.
HDF5 reaches the disk through Python here, and takes no lock of its own: whoever reads a file does
not stop its writer, and is not stopped by it.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
import torch

from .. import observables as _observables
from ..files import BusyError, holder, named
from ..kernels.checks import nearest, shown
from .packing import Contents, differences, is_checkpoint, pack, unpack
from .parts import completed

if TYPE_CHECKING:
    import h5py

__all__ = [
    "Array",
    "Places",
    "allocate",
    "allocate_slots",
    "begin",
    "check_observables",
    "contents",
    "digest",
    "edited",
    "expect_same",
    "finished",
    "in_slot",
    "numpy_kind",
    "opened",
    "read_slot",
    "reading",
    "write",
]


Array: TypeAlias = "np.ndarray[Any, Any]"

Made = TypeVar("Made")

_PAUSES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4)
"""Seconds before each try to read a file while its writer is at it."""

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
        measurable += _observables.OF_CHAINS + _observables.AT_BETAS
        measurable += _observables.AT_COUPLINGS
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


class _Stream(FileIO):
    """A file as HDF5 reads and writes it through Python.

    HDF5 by itself locks files, and in one process opens none to be written that is open to be read.
    It also cannot close a file whose last writes have failed; so errors are kept here until
    :meth:`check` raises them, and HDF5 learns nothing of them.
    """

    def __init__(self, file: Path, mode: str) -> None:
        super().__init__(file, mode)
        self._file = file
        self._error: BaseException | None = None

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer from here on; beyond the end of the file there are noughts."""
        bytes_ = memoryview(buffer).cast("B")
        done = 0
        try:
            count = super().readinto(bytes_)
            # The system may give less than it was asked for.
            while count:
                done += count
                count = super().readinto(bytes_[done:])
        # An interrupt, too: HDF5 would be left half-way.
        except BaseException as error:
            self._error = error
        bytes_[done:] = bytes(len(bytes_) - done)
        return len(bytes_)

    def write(self, data: Any) -> int:
        """Write all of the data from here on."""
        bytes_ = memoryview(data).cast("B")
        done = 0
        try:
            while done < len(bytes_):
                done += super().write(bytes_[done:]) or 0
        except BaseException as error:
            self._error = error
        return len(bytes_)

    def truncate(self, size: int | None = None) -> int:
        """Give the file a length."""
        try:
            return super().truncate(size)
        except BaseException as error:
            self._error = error
        return size or 0

    def check(self) -> None:
        """Raise the last error of the disk, if there was one."""
        if self._error is not None:
            with named(self._file):
                raise self._error

    def sync(self) -> None:
        """Wait until all is on disk."""
        self.check()
        with named(self._file):
            os.fsync(self.fileno())


@contextmanager
def opened(file: Path) -> Iterator[h5py.File]:
    """Open a file to be read; whatever h5py stumbles over in it is a ValueError."""
    import h5py

    # Only h5py's own errors mean a bad file; that it is missing or forbidden is found here.
    _refuse_checkpoint(file)
    with _Stream(file, "rb") as stream:
        try:
            with h5py.File(stream, "r") as source:
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
        finally:
            # What a broken disk gave was wrong, whatever has been made of it.
            stream.check()


@contextmanager
def edited(file: Path, new: bool = False) -> Iterator[tuple[h5py.File, Callable[[], None]]]:
    """Open a file to be written.

    Args:
        file: where it is.
        new: make it, or empty the one that is there.

    Yields:
        The file, and a function that waits until all that was flushed is on disk.

    Raises:
        OSError: If the disk is full, or the file cannot be written; the error names the file.
    """
    import h5py

    mode = "r+"
    if new:
        mode = "w"
    # Also a new file is read, where HDF5 looks up what it has written.
    with _Stream(file, f"{mode[0]}b+") as stream:
        with h5py.File(stream, mode) as out:
            yield out, stream.sync
        stream.check()


def reading(file: Path, make: Callable[[h5py.File], Made]) -> Made:
    """Return what is made of a file, which another process may be writing at the same time.

    Args:
        file: where it is.
        make: called with the open file; a ValueError if that is damaged.

    Raises:
        BusyError: If its writer was faster, again and again.
        ValueError: If the file is damaged.
        OSError: If there is no such file, or it cannot be read.
    """
    writer = None
    for pause in _PAUSES:
        time.sleep(pause)
        before = holder(file)
        try:
            with opened(file) as source:
                return make(source)
        except ValueError:
            # Its writer may have come or gone meanwhile.
            writer = before or holder(file)
            if writer is None:
                raise
    raise BusyError(f"{file.name} is being written by {writer}; try again")


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


def allocate_slots(file: h5py.File, name: str, fields: Mapping[str, Array]) -> None:
    """Make two slots for each field of what is overwritten again and again, and for their digests.

    They are filled in turn: a write that stops half-way spoils only one.
    """
    for key, value in fields.items():
        allocate(file, f"{name}/{key}", (2, *value.shape), value.dtype)
    allocate(file, f"{name}_digests", (2, 32), "u1")


def in_slot(name: str, slot: int, fields: Mapping[str, Array]) -> dict[str, tuple[Any, Any]]:
    """Return what is to be written into a slot of :func:`allocate_slots`, and where."""
    places: dict[str, tuple[Any, Any]] = {}
    for key, value in fields.items():
        places[f"{name}/{key}"] = (slot, value)
    places[f"{name}_digests"] = (slot, digest(fields.values()))
    return places


def read_slot(
    file: h5py.File, name: str, slot: int, keys: Iterable[str], of: str
) -> dict[str, Array]:
    """Return the fields in a slot of :func:`allocate_slots`.

    Args:
        file: an open file.
        name: of the fields.
        slot: 0 or 1.
        keys: names of the fields.
        of: what errors call the file.

    Raises:
        ValueError: If they do not match their digest.
    """
    fields = {key: np.asarray(file[f"{name}/{key}"][slot]) for key in keys}
    if not np.array_equal(file[f"{name}_digests"][slot], digest(fields.values())):
        raise ValueError(
            f"{of} is damaged: the {name} of its walkers does not match its SHA-256; run it again"
        )
    return fields


def contents(file: h5py.File, name: str) -> Contents:
    """Return manifest and tensors of a run; ``name`` is what errors call the file."""
    found = unpack(file["checkpoint"][:].tobytes(), name)
    if not found.manifest.keys() & {"run", "chain"}:
        raise ValueError(f"{name} is no run of leaps_triton")
    return found


def expect_same(old: Contents, new: Contents, name: str) -> None:
    """Raise a ValueError that tells how the settings of a run differ from those in its file."""
    # What an earlier version did not know had a meaning all the same.
    found = differences(completed(old), new)
    if found:
        raise ValueError(
            f"{name} was made with other settings: {'; '.join(found)}; use the same, or another "
            f"file"
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
    with edited(file) as (out, sync):
        for name, (place, data) in values.items():
            out[name][place] = data
        # flush hands the data to the system; sync waits until they are on disk.
        out.flush()
        sync()
        out["digests"][part] = found
