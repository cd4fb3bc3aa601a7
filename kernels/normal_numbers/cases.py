"""Inputs of ``normals``."""

from collections.abc import Iterator
from typing import Any

import torch

from ..inputs.case import PHILOX_OPERATIONS, Call, Case, Size
from ..philox import Stream
from .op import normals_op

__all__ = ["OPS", "arguments", "measured", "small", "watched"]

OPS = ("normals",)

_OPERATIONS = 40
"""Per number: half of a logarithm, a root, a sine and a cosine, which are some 20 each."""


def arguments(
    walkers: int, sites: int, dtype: torch.dtype = torch.float32, seed: int = 0
) -> dict[str, Any]:
    """Return arguments of ``normals``; walkers come in falling order."""
    return {
        "walker_index": torch.arange(walkers, 0, -1),
        "seed": seed,
        "stream": int(Stream.START),
        "event": 3,
        "draw": 1,
        "sites": sites,
        "dtype": dtype,
    }


def measured(op: str, size: Size) -> Case:
    """Return the case of one number per site, float32."""
    given = arguments(size.walkers, size.sites, seed=size.seed)
    given["walker_index"] = size.indices
    count = size.walkers * size.sites
    # A counter gives four words, and so four numbers.
    work = (PHILOX_OPERATIONS // 4 + _OPERATIONS) * count
    return Case(op, "", size, given, frozenset({"walker_index"}), work, words=count)


def small() -> dict[str, Call]:
    """Return small calls, for torch's own checks."""
    return {"normals": (normals_op, arguments(3, 7))}


def watched(shape: tuple[int, ...], periodic: tuple[bool, ...], walkers: int) -> Iterator[Call]:
    """Yield calls that reach every kernel of the family."""
    sites = torch.Size(shape).numel()
    for dtype in (torch.float32, torch.float64):
        yield normals_op, arguments(walkers, sites, dtype)
