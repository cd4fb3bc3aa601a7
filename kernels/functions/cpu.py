"""Real functions of the CPU kernels: those of :mod:`.reference`, bit for bit."""

import numpy as np

from ..native.bits import bits_of, float32_of, float64_of
from ..native.compiling import inlined
from . import reference
from .reference import ROOT_HALF, UPPER_LOG_TWO_64

__all__ = [
    "cosine", "exponential", "exponential64", "hyperbolic_tangent", "logarithm",
    "mean_exponential64", "sine", "uniform32", "uniform64",
]  # fmt: skip

# Constants in float32: a float64 among them would make the whole expression float64.
E0, E1, E2, E3, E4, E5 = (np.float32(number) for number in reference.EXPONENTIAL)
PER_LOG_TWO = np.float32(reference.PER_LOG_TWO)
UPPER_LOG_TWO = np.float32(reference.UPPER_LOG_TWO)
LOWER_LOG_TWO = np.float32(reference.LOWER_LOG_TWO)
LEAST = np.float32(reference.LEAST)
LARGEST = np.float32(reference.LARGEST)
ONE = np.float32(1.0)
HALF = np.float32(0.5)
BIAS = np.int32(127)
FRACTION = np.int32(23)
NINE = np.uint32(9)
TWENTY = np.uint64(20)
TWELVE = np.uint64(12)
STEP32 = np.float32(2.0**-23)
STEP64 = 2.0**-52

PER_LOG_TWO_64 = reference.PER_LOG_TWO
LEAST_64 = reference.LEAST_64
LARGEST_64 = reference.LARGEST_64
EXPONENTIAL_64 = reference.EXPONENTIAL_64
SERIES_64 = reference.SERIES_64

FARTHEST = np.float32(reference.FARTHEST)
T0, T1, T2, T3, T4, T5, T6 = (np.float32(number) for number in reference.TANGENT_ABOVE)
U0, U1, U2, U3 = (np.float32(number) for number in reference.TANGENT_BELOW)

L0, L1, L2, L3, L4, L5, L6 = reference.LOGARITHM
LOWER_LOG_TWO_64 = reference.LOWER_LOG_TWO_64

S0, S1, S2, S3, S4, S5 = reference.SINE
C0, C1, C2, C3, C4, C5 = reference.COSINE


@inlined
def exponential(x):
    """Return ``e^x`` of a float32."""
    # A comparison with NaN is false, so that NaN stays.
    if x < LEAST:
        x = LEAST
    if x > LARGEST:
        x = LARGEST
    n = np.floor(x * PER_LOG_TWO + HALF)
    r = x - n * UPPER_LOG_TWO
    r = r - n * LOWER_LOG_TWO
    power = r * E0 + E1
    power = power * r + E2
    power = power * r + E3
    power = power * r + E4
    power = power * r + E5
    power = power * (r * r) + r
    power = power + ONE
    exponent = np.int32(n)
    half = exponent >> np.int32(1)
    first = float32_of(np.int32((half + BIAS) << FRACTION))
    second = float32_of(np.int32((exponent - half + BIAS) << FRACTION))
    return power * first * second


@inlined
def series64(r):
    """Return Taylor's series of ``(e^r - 1 - r) / r²``."""
    series = EXPONENTIAL_64[0]
    for coefficient in EXPONENTIAL_64[1:]:
        series = series * r + coefficient
    return series


@inlined
def exponential64(x):
    """Return ``e^x`` of a float64."""
    if x < LEAST_64:
        x = LEAST_64
    if x > LARGEST_64:
        x = LARGEST_64
    n = np.floor(x * PER_LOG_TWO_64 + 0.5)
    r = x - n * UPPER_LOG_TWO_64
    r = r - n * LOWER_LOG_TWO_64
    power = series64(r) * (r * r) + r
    power = power + 1.0
    exponent = np.int64(n)
    half = exponent >> 1
    first = float64_of((half + 1023) << 52)
    second = float64_of((exponent - half + 1023) << 52)
    return power * first * second


@inlined
def mean_exponential64(z):
    """Return ``(e^z - 1) / z`` of a float64 that is not above 0."""
    if z < SERIES_64:
        return (exponential64(z) - 1.0) / z
    return series64(z) * z + 1.0


@inlined
def logarithm(x):
    """Return ``log x`` of a normal positive float64."""
    bits = bits_of(x)
    exponent = (bits - ROOT_HALF) >> 52
    f = float64_of(bits - (exponent << 52)) - 1.0
    s = f / (f + 2.0)
    z = s * s
    w = z * z
    odd = w * (L1 + w * (L3 + w * L5))
    even = z * (L0 + w * (L2 + w * (L4 + w * L6)))
    series = odd + even
    square = 0.5 * f * f
    e = float(exponent)
    return e * UPPER_LOG_TWO_64 - ((square - (s * (square + series) + e * LOWER_LOG_TWO_64)) - f)


@inlined
def hyperbolic_tangent(x):
    """Return ``tanh x`` of a float32."""
    if x < -FARTHEST:
        x = -FARTHEST
    if x > FARTHEST:
        x = FARTHEST
    square = x * x
    above = square * T0 + T1
    above = above * square + T2
    above = above * square + T3
    above = above * square + T4
    above = above * square + T5
    above = above * square + T6
    below = square * U0 + U1
    below = below * square + U2
    below = below * square + U3
    return x * above / below


@inlined
def uniform32(word):
    """Return what :func:`leaps_triton.kernels.uniform32` makes of a uint32, float32."""
    return (np.float32(np.int32(word >> NINE)) + HALF) * STEP32


@inlined
def uniform64(high, low):
    """Return what :func:`leaps_triton.kernels.uniform64` makes of two words in uint64."""
    bits = (high << TWENTY) | (low >> TWELVE)
    return (float(np.int64(bits)) + 0.5) * STEP64


@inlined
def sine(x):
    """Return ``sin x`` of a float64 that is not beyond π/4."""
    square = x * x
    series = square * S5 + S4
    series = series * square + S3
    series = series * square + S2
    series = series * square + S1
    series = series * square + S0
    return x + x * (square * series)


@inlined
def cosine(x):
    """Return ``cos x`` of a float64 that is not beyond π/4."""
    square = x * x
    series = square * C5 + C4
    series = series * square + C3
    series = series * square + C2
    series = series * square + C1
    series = series * square + C0
    return 1.0 - (0.5 * square - square * square * series)
