"""Values along a ladder of replicas, checked: fractions, inverse temperatures, couplings."""

import itertools
import math
from typing import Any

from ...kernels.checks import as_number
from ...models.densities.base import DensityModel
from ...models.varied import couplings_of

__all__ = ["as_betas", "as_couplings", "as_fractions", "check_tempered"]


def as_fractions(fractions: Any) -> tuple[float, ...]:
    """Return fractions of the model's β as a tuple.

    Raises:
        ValueError: they do not increase from at least 0 to 1, or are fewer than two.
    """
    found = _increasing(fractions)
    if len(found) >= 2 and found[-1] == 1.0:
        return found
    mend = ""
    if fractions is None:
        mend = "; or give betas=, the inverse temperatures themselves"
    raise ValueError(
        f"fractions must increase from at least 0 to 1, two or more, got {fractions!r}{mend}"
    )


def as_betas(betas: Any) -> tuple[float, ...]:
    """Return inverse temperatures as a tuple.

    Raises:
        ValueError: they do not increase from at least 0, or are fewer than two.
    """
    found = _increasing(betas)
    if len(found) < 2:
        raise ValueError(
            f"betas must increase from at least 0 to the model's own, two or more, got {betas!r}"
        )
    return found


def as_couplings(name: str, values: Any) -> tuple[float, ...]:
    """Return values of a coupling as a tuple.

    Args:
        name: of the coupling.
        values: what the user gave.

    Raises:
        ValueError: they neither rise nor fall, or are fewer than two.
    """
    found = _monotone(values)
    if len(found) < 2:
        raise ValueError(
            f"{name} must rise or fall to the model's own, two values or more, got {values!r}"
        )
    return found


def check_tempered(model: Any, betas: Any) -> None:
    """Raise a ValueError for replicas at temperatures of a model that has none.

    Args:
        model: the target.
        betas: inverse temperatures; None where the replicas are told by fractions.
    """
    name = type(model).__name__
    # Fractions of β are times of the path too, which are no temperatures of a field.
    if couplings_of(model):
        names = ", ".join(couplings_of(model))
        raise ValueError(
            f"{name} has no temperature to be tempered in; give ParallelTempering values of one of "
            f"{names}, such as quartic=[…]"
        )
    # Along their path from a Gaussian replicas are not at powers of the density.
    if isinstance(model, DensityModel) and betas is not None:
        raise ValueError(
            f"{name} has no temperature, and betas of ParallelTempering are temperatures; give it "
            f"fractions=[0, …, 1], times of the path from a broad Gaussian to the density"
        )


def _monotone(numbers: Any) -> tuple[float, ...]:
    """Return numbers that rise, or that fall; none if they do neither, or are no numbers."""
    try:
        found = tuple(as_number("numbers", x, "numbers", math.isfinite) for x in numbers)
    except (TypeError, ValueError):
        return ()
    steps = [b - a for a, b in itertools.pairwise(found)]
    if all(step > 0.0 for step in steps) or all(step < 0.0 for step in steps):
        return found
    return ()


def _increasing(numbers: Any) -> tuple[float, ...]:
    """Return numbers that increase from at least 0; none if they do not, or are no numbers."""
    try:
        found = tuple(as_number("numbers", x, "numbers", math.isfinite) for x in numbers)
    except (TypeError, ValueError):
        return ()
    rising = all(a < b for a, b in itertools.pairwise(found))
    if not rising or any(x < 0.0 for x in found):
        return ()
    return found
