"""Normal numbers of the CPU kernel: those of :mod:`..normal_numbers.reference`, bit for bit."""

import numpy as np

from ..functions import reference
from ..functions.cpu import logarithm
from ..native.compiling import inlined
from ..normal_numbers.reference import ANGLE, WORD

__all__ = ["pair"]

S0, S1, S2, S3, S4, S5 = reference.SINE
C0, C1, C2, C3, C4, C5 = reference.COSINE
EIGHTH = np.uint64(2**29)
QUARTER = np.uint64(2**30 - 1)
THIRTY = np.uint64(30)
THREE = np.uint64(3)


@inlined
def sine(x):
    """Return ``sin x`` for ``|x| ≤ π/4``."""
    z = x * x
    series = z * S5 + S4
    series = series * z + S3
    series = series * z + S2
    series = series * z + S1
    series = series * z + S0
    return x + x * (z * series)


@inlined
def cosine(x):
    """Return ``cos x`` for ``|x| ≤ π/4``."""
    z = x * x
    series = z * C5 + C4
    series = series * z + C3
    series = series * z + C2
    series = series * z + C1
    series = series * z + C0
    return 1.0 - (0.5 * z - z * z * series)


@inlined
def pair(radial, angular):
    """Return the two normal numbers of two words in uint64."""
    uniform = (float(np.int64(radial)) + 0.5) * WORD
    radius = np.sqrt(-2.0 * logarithm(uniform))
    # The nearest quarter turn, and what remains: between -1/8 and 1/8 of a turn.
    turned = angular + EIGHTH
    quarter = np.int64((turned >> THIRTY) & THREE)
    rest = np.int64(turned & QUARTER) - 2**29
    angle = (float(rest) + 0.5) * ANGLE
    along = cosine(angle)
    across = sine(angle)
    # Turns by one quarter: (c, s), (-s, c), (-c, -s), (s, -c).
    x = along
    y = across
    if quarter & 1 == 1:
        x = across
        y = along
    if quarter == 1 or quarter == 2:
        x = -x
    if quarter >= 2:
        y = -y
    return radius * x, radius * y
