"""What several figures share: points with error bars, and estimates without their warnings."""

import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from matplotlib.axes import Axes

from ..estimators.base import Function, Measurable, Result
from ..estimators.trust.cautions import CautionWarning

__all__ = [
    "FEW",
    "LEGEND",
    "bars",
    "headline",
    "marker",
    "quiet",
    "quietly",
    "shortened",
    "wrapped",
]


# Fewer than for a table: a curve enumerates at each of its temperatures.
FEW = 2**12
"""Configurations that can be enumerated at many temperatures, in seconds."""

LEGEND = 40
"""Characters of an entry of a legend at most."""

_TITLE = 9
"""Size of titles, in points."""

_ASPECT = 0.63
"""Width of a character over its height, on average."""

# Curves differ in more than colour, for prints in grey.
_MARKERS = "os^Dv<>P*X"


@contextmanager
def quiet() -> Iterator[None]:
    """Leave out warnings of doubtful numbers, which are said where the table is made."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CautionWarning)
        yield


def quietly(run: Result, observable: Measurable | str, function: Function | None = None) -> Any:
    """Return an estimate of a run without a warning that it may be wrong."""
    with quiet():
        return run.estimate(observable, function)


def marker(colour: int) -> str:
    """Return the marker of a curve, by the number of its colour."""
    return _MARKERS[colour % len(_MARKERS)]


def bars(
    axes: Axes,
    x: Sequence[float],
    y: Sequence[float],
    errors: Sequence[float],
    colour: int,
    name: str,
    style: str = "none",
) -> None:
    """Draw points with error bars.

    Args:
        axes: where.
        x: places of the points.
        y: values.
        errors: one σ of each.
        colour: number of the curve.
        name: what the legend calls it.
        style: of the line between the points.
    """
    axes.errorbar(
        x,
        y,
        errors,
        fmt=marker(colour),
        linestyle=style,
        linewidth=1.0,
        color=f"C{colour}",
        markersize=4,
        capsize=2,
        label=name,
    )


def shortened(text: str, most: int = LEGEND) -> str:
    """Return a text of so many characters at most, its middle left out where it is longer.

    Example:
        >>> shortened("a_file_with_a_long_name", 11)
        'a_fil…_name'
    """
    if len(text) <= most:
        return text
    end = (most - 1) // 2
    begin = most - 1 - end
    return f"{text[:begin]}…{text[-end:]}"


def wrapped(text: str, inches: float, points: float) -> str:
    """Return a text in lines that fit a width; words that are wider are broken.

    Args:
        text: one line.
        inches: the width.
        points: size of the letters.
    """
    # 72 points are an inch.
    characters = int(inches * 72.0 / (points * _ASPECT))
    return textwrap.fill(text, max(8, characters))


def headline(axes: Axes, text: str) -> None:
    """Give axes a title of as many lines as it takes to stay inside the figure.

    Args:
        axes: of any figure.
        text: one line.
    """
    figure = axes.figure
    columns = 1
    place = axes.get_subplotspec()
    if place is not None:
        columns = place.get_gridspec().ncols
    # From dots to inches.
    width = float(figure.bbox.width) / float(figure.dpi) / columns
    axes.set_title(wrapped(text, 0.95 * width, _TITLE), fontsize=_TITLE)
