"""Cautions of a table: each said once, with the observables that it is about."""

import re
from collections.abc import Mapping, Sequence

__all__ = ["merged"]

_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[-+]?\d+)?")


def merged(cautions: Mapping[str, Sequence[str]]) -> list[str]:
    """Return cautions that differ in nothing but numbers as one, with their subjects before it.

    Args:
        cautions: what a table calls an observable → what is to be said of it; the empty name for
            what is of all.

    Example:
        >>> merged({"energy": ["τ is 2"], "|m|": ["τ is 5"], "": ["few walkers"]})
        ['energy, |m|: τ is 2 to 5', 'few walkers']
    """
    groups: dict[str, dict[str, str]] = {}
    for subject, texts in cautions.items():
        for text in texts:
            alike = groups.setdefault(_NUMBER.sub("#", text), {})
            alike.setdefault(subject, text)
    found = []
    for alike in groups.values():
        subjects = ", ".join(subject for subject in alike if subject)
        text = _with_ranges(list(alike.values()))
        if subjects:
            text = f"{subjects}: {text}"
        found.append(text)
    return found


def _with_ranges(texts: Sequence[str]) -> str:
    """Return one text for several that differ in their numbers, with the range of each number."""
    columns = zip(*(_NUMBER.findall(text) for text in texts), strict=True)
    ranges = []
    for column in columns:
        low = min(column, key=float)
        high = max(column, key=float)
        if low == high:
            ranges.append(low)
        else:
            ranges.append(f"{low} to {high}")
    numbers = iter(ranges)
    return _NUMBER.sub(lambda _: next(numbers), texts[0])
