"""Configurations that are tried beside the committed one of a variant."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ..configs import FREE
from ..variants import Variant

__all__ = ["around", "family_of", "words_of"]

MOST_WARPS = 16
"""Of a program; twice as many is what a multiprocessor's registers allow at most."""
LEAST_SIZE = 16
"""Sites of a block, of which a matrix product takes no fewer."""
STAGES = (1, 2, 3)
"""Tried where a kernel has a loop whose loads run ahead: where its table names a number."""


def family_of(variant: Variant) -> str:
    """Return the folder that a variant's kernel is in."""
    module: str = variant.kernel.fn.__module__
    return module.split(".")[-2]


def words_of(variant: Variant) -> str:
    """Return a configuration in words, such as ``4 warps, BLOCK 256``."""
    words = [f"{variant.warps} warps"]
    if variant.stages is not None:
        words.append(f"{variant.stages} stages")
    words += [f"{name} {variant.constants[name]}" for name in _sizes(variant)]
    return ", ".join(words)


def _sizes(variant: Variant) -> list[str]:
    """Return the names of the sizes that may be chosen."""
    return [name for name in FREE.get(family_of(variant), ()) if name in variant.constants]


def _shapes(variant: Variant) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield warps, and sizes by name: half, once and twice those of the table."""
    warps = (variant.warps // 2, variant.warps, 2 * variant.warps)
    sizes: list[dict[str, Any]] = [{}]
    for name in _sizes(variant):
        size = variant.constants[name]
        sizes += [{name: value} for value in (size // 2, 2 * size) if value >= LEAST_SIZE]
    for chosen in sizes:
        for count in warps:
            if 1 <= count <= MOST_WARPS:
                yield count, chosen


def around(variant: Variant) -> list[Variant]:
    """Return configurations near the committed one, which is not among them.

    Warps times sizes, and the number of stages where the table names one. Which of them give the
    same results is found out by trying.
    """
    found = []
    for warps, sizes in _shapes(variant):
        constants = {**variant.constants, **sizes}
        if warps != variant.warps or sizes:
            found.append(replace(variant, warps=warps, constants=constants))
    if variant.stages is not None:
        found += [replace(variant, stages=n) for n in STAGES if n != variant.stages]
    return found
