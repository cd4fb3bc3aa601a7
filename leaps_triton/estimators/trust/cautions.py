"""What is said of numbers that may be wrong: kinds of warnings, and where they are given."""

import sys
import warnings
from collections.abc import Iterable, Sequence
from types import FrameType
from typing import NamedTuple

__all__ = [
    "CautionWarning",
    "Doubt",
    "DriftWarning",
    "LowAcceptanceWarning",
    "LowEssWarning",
    "ShortChainWarning",
    "caution",
    "joined",
    "warn_at_call",
]


class CautionWarning(UserWarning):
    """Says that a value or its error bar may be wrong; the base of all such warnings.

    Example:
        >>> import warnings
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore", CautionWarning)
        ...     warnings.warn("a chain is short", ShortChainWarning)
    """


class ShortChainWarning(CautionWarning):
    """Says that chains are too short for their error bar, which may be too small.

    They are shorter than 50 autocorrelation times; or their means differ by more than the error
    allows, which of chains that are long enough one estimate in a thousand does by chance.
    """


class DriftWarning(CautionWarning):
    """Says that chains had not yet forgotten their start when they began to be measured.

    The mean of the first tenth of all chains differs from that of the last half by more than 3.5
    of its own errors. Of stationary chains of 50 autocorrelation times or more, at most one
    estimate in a thousand does so by chance.
    """


class LowAcceptanceWarning(CautionWarning):
    """Says that a chain stays where it is, as fewer than one in five proposals are accepted."""


class LowEssWarning(CautionWarning):
    """Says that few weighted walkers, or draws, carry an estimate, whose error bar flatters.

    Fewer than 20 are effective though there are twice as many; or one carries more than a tenth
    of all weight, and more than five times its even share.
    """


class Doubt(NamedTuple):
    """Why a number may be wrong."""

    kind: type[CautionWarning]
    """The warning it is given as"""
    reason: str
    """In words, with what mends it"""

    def __str__(self) -> str:
        return self.reason


def caution(doubts: Iterable[Doubt]) -> None:
    """Give warnings at the line that called the library.

    Args:
        doubts: what to warn of.
    """
    for doubt in doubts:
        warn_at_call(doubt.reason, doubt.kind)


def warn_at_call(message: str, kind: type[Warning]) -> None:
    """Give a warning at the line that called the library, however deep this is called.

    Args:
        message: what it says.
        kind: its class.
    """
    # What is found once per object is called through functools.
    inside = (__name__.partition(".")[0], "functools")
    frame = sys._getframe()
    level = 1
    while frame.f_back is not None and _package(frame) in inside:
        frame = frame.f_back
        level += 1
    warnings.warn(message, kind, stacklevel=level)


def _package(frame: FrameType) -> str:
    """Return the top package of the code that a frame runs."""
    return str(frame.f_globals.get("__name__")).partition(".")[0]


def joined(found: Sequence[tuple[str, Doubt]]) -> list[Doubt]:
    """Return one doubt of each kind, where several observables have alike ones.

    Args:
        found: observable and doubt, in the order of the table; of each kind the first one speaks.

    Example:
        >>> slow = Doubt(ShortChainWarning, "too few draws")
        >>> [str(doubt) for doubt in joined([("energy", slow), ("binder", slow)])]
        ['energy: too few draws (binder too)']
    """
    by_kind: dict[type[CautionWarning], list[tuple[str, Doubt]]] = {}
    for name, doubt in found:
        by_kind.setdefault(doubt.kind, []).append((name, doubt))
    said = []
    # Tables of many rows would say little by a list of all of them.
    most = 4
    for kind, several in by_kind.items():
        first, doubt = several[0]
        # An observable may have two doubts of one kind, and is named once.
        others = list(dict.fromkeys(name for name, _ in several if name != first))
        text = f"{first}: {doubt.reason}"
        listed = ", ".join(others[:most])
        if len(others) > most:
            listed = f"{listed} and {len(others) - most} more"
        if others:
            text = f"{text} ({listed} too)"
        said.append(Doubt(kind, text))
    return said
