"""Numbers and tables as the pages write them."""

import json
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "experiments" / "results"


def result(name: str) -> Any:
    """Return the result of an experiment."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def shown(value: float) -> str:
    """Return a number in three digits, without an exponent."""
    digits = float(f"{value:.3g}")
    if abs(digits) >= 100.0:
        return f"{digits:.0f}"
    return f"{digits:.3g}"


def span(values: Iterable[float]) -> str:
    """Return the least and the greatest of some numbers in words."""
    ordered = sorted(values)
    first = shown(ordered[0])
    last = shown(ordered[-1])
    if first == last:
        return first
    return f"{first} to {last}"


def wrapped(text: str, indent: str = "") -> str:
    """Return text in lines as long as those of the pages."""
    return textwrap.fill(
        text, 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    """Return a table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    # A rule is not padded, all else is.
    return "\n".join(
        "|" + "|".join(cells) + "|" if cells[0] == "---" else "| " + " | ".join(cells) + " |"
        for cells in lines
    )
