"""Manifest and tensors as bytes.

The bytes are those of a safetensors file whose metadata hold one JSON manifest, with a SHA-256 of
the whole. Reading them runs nothing.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load as _load_tensors
from safetensors.torch import save as _save_tensors
from torch import Tensor

from ..kernels.checks import expect

__all__ = [
    "SCHEMA",
    "Contents",
    "as_file",
    "differences",
    "is_checkpoint",
    "is_hdf5",
    "pack",
    "unpack",
]


SCHEMA = 1
"""Version of the format; files of a newer one are refused."""

_KEY = "leaps_triton"

_NO_DIGEST = "0" * 64

_HDF5 = b"\x89HDF\r\n\x1a\n"
"""How a file of a run begins."""


class Contents(NamedTuple):
    """What a file says."""

    manifest: dict[str, Any]
    """Plain JSON"""
    tensors: dict[str, Tensor]
    """By name, ``model.coupling`` or ``network.first.weight``"""


def is_hdf5(start: bytes) -> bool:
    """Return whether these are the first bytes of an HDF5 file, as a run is one."""
    return start.startswith(_HDF5)


def is_checkpoint(start: bytes) -> bool:
    """Return whether these are the first bytes of a safetensors file, as a sampler is one."""
    # The length of the header in eight bytes, then the header, a dictionary in JSON.
    return start[8:9] == b"{" and int.from_bytes(start[:8], "little") < 2**40


def pack(contents: Contents) -> bytes:
    """Return contents as the bytes of a safetensors file."""
    # The first entry, so that the first such noughts in the file are the digest's own.
    manifest = json.dumps({"sha256": _NO_DIGEST, **contents.manifest})
    # A file holds numbers in the order of the axes, whatever their strides are here.
    tensors = {name: tensor.contiguous() for name, tensor in contents.tensors.items()}
    data = _save_tensors(tensors, {_KEY: manifest})
    # The digest is of the bytes with noughts in its place.
    digest = hashlib.sha256(data).hexdigest()
    return data.replace(_NO_DIGEST.encode(), digest.encode(), 1)


def unpack(data: bytes, name: str) -> Contents:
    """Return the contents that :func:`pack` made bytes of.

    Args:
        data: the bytes.
        name: what errors call the file.

    Raises:
        ValueError: not such bytes, damaged ones, or ones of a newer version.
    """
    # safetensors begins with the length of its header in eight bytes, lowest first.
    length = int.from_bytes(data[:8], "little")
    try:
        manifest = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][_KEY])
        schema = manifest["schema"]
        digest = manifest.pop("sha256")
        blank = data.replace(digest.encode(), _NO_DIGEST.encode(), 1)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError(
            f"{name} is no leaps_triton checkpoint, or its beginning is damaged"
        ) from None
    # Before the digest: a newer format may take it of other bytes.
    if isinstance(schema, int) and schema > SCHEMA:
        raise ValueError(
            f"{name} has schema {schema}, newer than {SCHEMA}, the newest that this version "
            f"reads; upgrade leaps_triton"
        )
    if len(digest) != 64 or hashlib.sha256(blank).hexdigest() != digest:
        raise ValueError(
            f"{name} is truncated or damaged: its SHA-256 does not match; restore it from a copy"
        )
    _rename(manifest)
    try:
        return Contents(manifest, _load_tensors(data))
    except SafetensorError as error:
        raise ValueError(f"{name} is no safetensors file: {error}") from None


def _rename(manifest: dict[str, Any]) -> None:
    """Give settings of older files the names they have now."""
    network = manifest.get("network")
    settings = network.get("settings") if isinstance(network, dict) else None
    if isinstance(settings, dict) and "input_precision" in settings:
        before = settings.pop("input_precision")
        # Older files call full float32 precision "ieee".
        settings["precision"] = "float32" if before == "ieee" else before


def differences(old: Contents, new: Contents) -> list[str]:
    """Return every entry in which two descriptions differ, as ``name old (now new)``.

    Versions and commits may differ, and are left out, as are words that only explain.
    """
    before = _flat("", {**old.manifest, "provenance": None})
    after = _flat("", {**new.manifest, "provenance": None})
    found = []
    # No set: entries are told in the order of the file.
    for name in dict.fromkeys([*before, *after]):
        # Words that follow from the graph, and were others in files of before.
        if name.endswith(".graph.neighbours"):
            continue
        if before.get(name) != after.get(name):
            now = f"now {after.get(name)}"
            if name == "integrator.weights":
                now += f"; give Jump(weights={before.get(name)!r})"
            found.append(f"{name} {before.get(name)} ({now})")
    for name in dict.fromkeys([*old.tensors, *new.tensors]):
        if not _equal(old.tensors.get(name), new.tensors.get(name)):
            found.append(f"{name} has other values")
    return found


def _flat(prefix: str, value: Any) -> dict[str, Any]:
    """Return nested dictionaries as one, with the keys of all floors joined by dots."""
    if not isinstance(value, dict):
        return {prefix: value}
    found = {}
    for key, inner in value.items():
        found.update(_flat(f"{prefix}.{key}".lstrip("."), inner))
    return found


def _equal(first: Tensor | None, second: Tensor | None) -> bool:
    """Return whether both tensors are there, of one kind and with equal values."""
    if first is None or second is None:
        return False
    # The type counts too: equal numbers of another precision go on differently.
    return first.dtype == second.dtype and torch.equal(first, second)


def as_file(file: object) -> Path:
    """Return ``file`` as a path; a ValueError unless it is a path or its name."""
    # A zero byte would fail only on opening, with an error that names no argument.
    named = isinstance(file, str | os.PathLike) and str(file) != "" and "\0" not in str(file)
    expect(named, "file", "the name of a file", file)
    return Path(file)  # type: ignore[arg-type]
