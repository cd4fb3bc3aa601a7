"""Files of blocks of one run, made one file: the same as that of the whole run."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ...files import claimed, replacing
from ...kernels.checks import expect
from ...samplers.sampler import Sampler
from ..checkpoint import rebuild
from ..hdf5 import contents, edited, finished, opened
from ..packing import Contents, as_file, differences
from .layout import check_block, columns_of, lay_out, per_block, rows_of
from .portions import Portion, portion_of

if TYPE_CHECKING:
    import h5py

__all__ = ["joined"]


_VERSIONS = ("leaps_triton", "torch")
"""Versions on which numbers may depend."""


class _Part(NamedTuple):
    """A file of some blocks."""

    file: Path
    found: Contents
    portion: Portion
    done: int
    """Blocks that are there"""
    block: int
    """Walkers per block"""

    @property
    def settings(self) -> dict[str, Any]:
        """Return the settings of the run."""
        settings: dict[str, Any] = self.found.manifest["run"]
        return settings

    @property
    def end(self) -> int:
        """Return the first block that is not there any more."""
        return self.portion.first + self.done


def joined(parts: Sequence[str | Path], file: Path) -> None:
    """Write the blocks of several files into one; see :func:`leaps_triton.io.merge`."""
    listed = isinstance(parts, Sequence) and not isinstance(parts, str) and len(parts) > 0
    expect(listed, "parts", "the names of one or more files", parts)
    files = [as_file(part) for part in parts]
    if file.exists():
        raise ValueError(f"{file.name} exists; choose another file")
    found = sorted((_read(part) for part in files), key=lambda part: part.portion.first)
    for part in found[1:]:
        _check_same(found[0], part)
    _check_blocks(found)
    with claimed(file), replacing(file) as target:
        _write(found, target)


def _read(file: Path) -> _Part:
    """Return what a file says of its blocks."""
    with opened(file) as source:
        found = contents(source, file.name)
        if "run" not in found.manifest:
            raise ValueError(
                f"{file.name} holds a chain, no weighted walkers, and only these are merged"
            )
        block = int(found.manifest["block"])
        portion = portion_of(found.manifest["run"], block)
        done = finished(source)
    if not done:
        raise ValueError(f"{file.name} holds no finished block; leave it out, or go on with it")
    return _Part(file, found, portion, done, block)


def _check_same(first: _Part, other: _Part) -> None:
    """Raise a ValueError that names the settings in which two files differ, but for blocks."""
    pair = (_without_blocks(first.found), _without_blocks(other.found))
    found = differences(*pair)
    before = first.found.manifest["provenance"]
    after = other.found.manifest["provenance"]
    versions = list(_VERSIONS)
    if first.settings["device"] != "cpu":
        # A CPU runs none of Triton's kernels.
        versions.append("triton")
    for name in versions:
        if before.get(name) != after.get(name):
            found.append(f"version of {name} {before.get(name)} (now {after.get(name)})")
    if found:
        raise ValueError(
            f"{other.file.name} is of another run than {first.file.name}: {'; '.join(found)}; "
            f"merge files of one run"
        )


def _without_blocks(found: Contents) -> Contents:
    """Return what a file says of its run, but for the blocks that it holds."""
    run = {name: value for name, value in found.manifest["run"].items() if name != "blocks"}
    return found._replace(manifest={**found.manifest, "run": run})


def _check_blocks(parts: Sequence[_Part]) -> None:
    """Raise a ValueError for blocks that are there twice, or missing between others.

    Args:
        parts: in the order of their first blocks.
    """
    for before, after in itertools.pairwise(parts):
        if before.end <= after.portion.first < before.portion.end:
            raise _cut_short(before, after)
        if after.portion.first < before.portion.end:
            end = min(before.portion.end, after.portion.end)
            twice = f"{after.portion.first}:{end}"
            mend = "give one"
            # Where one file holds all of the other, nothing is lost without that other.
            inside = after.portion.end <= before.portion.end
            if after.portion.first > before.portion.first and not inside:
                mend = "draw the missing blocks alone and give these"
            raise ValueError(
                f"{before.file.name} and {after.file.name} both are of blocks {twice}; {mend}"
            )
        if before.done < before.portion.blocks:
            missing = f"{before.end}:{before.portion.end}"
            raise ValueError(
                f"{before.file.name} is not complete: blocks {missing} are missing; go on with "
                f"it by --resume"
            )
        if before.portion.end < after.portion.first:
            missing = f"{before.portion.end}:{after.portion.first}"
            raise ValueError(
                f"blocks {missing} are in none of the files; draw them by --blocks {missing}, or "
                f"merge the others apart"
            )


def _cut_short(before: _Part, after: _Part) -> ValueError:
    """Return the error of a file that was to hold the blocks of the next, but has none of them."""
    missing = f"{before.end}:{before.portion.end}"
    needed = f"{before.portion.first}:{after.portion.first}"
    return ValueError(
        f"{before.file.name} is not complete: blocks {missing} of it are missing, and "
        f"{after.file.name} begins among them; go on with it by --resume, or draw the others by "
        f"--blocks {needed}"
    )


def _write(parts: Sequence[_Part], target: Path) -> None:
    """Write the blocks of all files into a new one."""
    first = parts[0]
    settings = {name: value for name, value in first.settings.items() if name != "blocks"}
    begin = first.portion.first
    end = parts[-1].portion.end
    if (begin, end) != (0, first.portion.of):
        settings["blocks"] = [begin, end]
    described = first.found._replace(manifest={**first.found.manifest, "run": settings})
    sampler = rebuild(described, first.file.name, "cpu")
    with edited(target, new=True) as (out, _):
        lay_out(out, sampler, described)
    with edited(target) as (out, _):
        for part in parts:
            with opened(part.file) as source:
                _copy(source, out, part, sampler, part.portion.first - begin)


def _copy(source: h5py.File, out: h5py.File, part: _Part, sampler: Sampler, behind: int) -> None:
    """Copy the finished blocks of a file into the merged one, behind so many others."""
    offset = behind * part.block
    for block in range(part.done):
        check_block(source, sampler, part.settings, block, part.file.name)
        rows = rows_of(sampler, part.settings, block)
        place = slice(offset + rows.start, offset + rows.stop)
        for name in columns_of(part.settings):
            out[name][place] = source[name][rows]
        for name in (*per_block(sampler), "digests"):
            out[name][behind + block] = source[name][block]
