"""Configurations that a tuner has found best on this machine's devices, in a file of the user's.

Launchers take them in place of the committed ones. A file is read once per process and device; one
that is broken, or of other kernels, costs a warning. Results are the same with it and without: the
tuner keeps nothing that changes a bit.
"""

import functools
import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
import triton

if TYPE_CHECKING:
    # Its launches ask this module.
    from ..variants import Variant

__all__ = ["Entry", "class_of", "file", "forced", "key_of", "read", "sources", "tuned", "write"]

logger = logging.getLogger("leaps_triton")

FOLDER = "LEAPS_TRITON_CACHE"
"""Environment variable that names the folder of what is kept from run to run."""
SWITCH = "LEAPS_TRITON_TUNING"
"""Environment variable that, set to ``off``, leaves the committed configurations."""
FORMAT = 1
FEW = 1024
"""Programs that do not fill a device; then other configurations may be best."""


class Entry(NamedTuple):
    """The best configuration of one variant."""

    device: str
    """Its name, as torch has it"""
    variant: str
    """As in :func:`key_of`"""
    programs: str
    """``few`` or ``many``, the class of shapes"""
    warps: int
    stages: int | None
    constants: dict[str, int]
    """Sizes that differ from the committed ones"""
    seconds: float
    """Of the call that was timed"""
    committed_seconds: float
    """The same with the committed configuration"""


def file() -> Path:
    """Return where configurations are kept: a folder of the environment, or the user's cache."""
    chosen = os.environ.get(FOLDER)
    if chosen:
        return Path(chosen) / "tuning.json"
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "leaps_triton" / "tuning.json"


@functools.cache
def sources() -> str:
    """Return a hash of the Triton kernels and of the version that compiles them."""
    digest = hashlib.sha256(triton.__version__.encode())
    folder = Path(__file__).parent.parent
    own = [folder / "device.py", *folder.glob("byte_sweeps/*.py")]
    for source in sorted({*folder.glob("*/triton*.py"), *own}):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def key_of(variant: "Variant") -> str:
    """Return what names a variant in the file: kernel, types, and all of its configuration."""
    kernel = variant.kernel.fn
    constants = ", ".join(f"{name}={value}" for name, value in sorted(variant.constants.items()))
    types = " ".join(str(dtype).removeprefix("torch.") for dtype in variant.pointers)
    family = kernel.__module__.split(".")[-2]
    return f"{family}.{kernel.__name__}({types}; {constants}; {variant.warps}, {variant.stages})"


def class_of(programs: int) -> str:
    """Return the class of shapes of a launch: whether it fills a device."""
    if programs <= FEW:
        return "few"
    return "many"


def read(place: Path) -> list[Entry]:
    """Return the entries of a file; none if there is none, or if it is of other kernels.

    Raises:
        ValueError: If the file is broken.
    """
    try:
        found = json.loads(place.read_text(encoding="utf-8"))
        if found["format"] != FORMAT or found["sources"] != sources():
            logger.warning(
                "%s was tuned for other kernels and is left aside; "
                "leaps-triton tune makes it again",
                place,
            )
            return []
        return [Entry(**entry) for entry in found["entries"]]
    except FileNotFoundError:
        return []
    except (KeyError, TypeError, OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def write(place: Path, entries: list[Entry]) -> None:
    """Replace a file as a whole by these entries."""
    whole = {
        "format": FORMAT,
        "sources": sources(),
        "entries": [entry._asdict() for entry in entries],
    }
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f"{place.name}.{os.getpid()}")
    part.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    os.replace(part, place)


_FORCED: list[Mapping[int, "Variant"]] = []


@contextmanager
def forced(*pairs: "tuple[Variant, Variant]") -> Iterator[None]:
    """Launch other configurations in place of some variants' own, and no others that are kept.

    Args:
        pairs: Variants, each with what is launched in its place; none for the committed ones.
    """
    _FORCED.append({id(variant): other for variant, other in pairs})
    try:
        yield
    finally:
        _FORCED.pop()


class _Table:
    """What is tuned on one device, and which variants were looked up in it."""

    def __init__(self, entries: Mapping[tuple[str, str], Entry]) -> None:
        self._entries = entries
        # Variants stay alive with their numbers, which no other object may then have.
        self._found: dict[tuple[int, str], tuple[Variant, Variant]] = {}

    def get(self, variant: "Variant", programs: int) -> "Variant":
        """Return the best configuration of a variant, or its own."""
        if not self._entries:
            return variant
        place = (id(variant), class_of(programs))
        pair = self._found.get(place)
        if pair is None:
            pair = (variant, self._made(variant, place[1]))
            self._found[place] = pair
        return pair[1]

    def _made(self, variant: "Variant", programs: str) -> "Variant":
        entry = self._entries.get((key_of(variant), programs))
        if entry is None:
            return variant
        constants = {**variant.constants, **entry.constants}
        return replace(variant, warps=entry.warps, stages=entry.stages, constants=constants)


_TABLES: dict[torch.device, _Table] = {}


def _table(device: torch.device) -> _Table:
    """Read the file for a device; whatever is wrong with it costs a warning."""
    entries: list[Entry] = []
    place = file()
    if os.environ.get(SWITCH) != "off":
        try:
            entries = read(place)
        except ValueError as error:
            logger.warning("%s cannot be read and is left aside: %s", place, error)
    name = torch.cuda.get_device_name(device)
    return _Table({(e.variant, e.programs): e for e in entries if e.device == name})


def tuned(variant: "Variant", programs: int, device: torch.device) -> "Variant":
    """Return the configuration of a variant that is best on a device, its own if none is known.

    Args:
        variant: One of a family's table.
        programs: Of the launch, with its own configuration.
        device: Where it is launched; only CUDA devices are tuned.
    """
    if _FORCED:
        return _FORCED[-1].get(id(variant), variant)
    if device.type != "cuda":
        return variant
    table = _TABLES.get(device)
    if table is None:
        table = _table(device)
        _TABLES[device] = table
    return table.get(variant, programs)
