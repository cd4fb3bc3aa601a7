"""What several figures share: points with error bars, and estimates without their warnings."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from matplotlib.axes import Axes

from ..estimators.base import Function, Measurable, Result
from ..estimators.trust.cautions import CautionWarning

__all__ = ["FEW", "bars", "marker", "quiet", "quietly"]


# Fewer than for a table: a curve enumerates at each of its temperatures.
FEW = 2**12
"""Configurations that can be enumerated at many temperatures, in seconds."""

# Curves differ in more than colour, for prints in grey.
_MARKERS = "os^Dv<>P*X"


@contextmanager
def quiet() -> Iterator[None]:
    """Leave out warnings of doubtful numbers, which are said where the table is made."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CautionWarning)
        yield


def quietly(run: Result, observable: Measurable, function: Function | None = None) -> Any:
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
