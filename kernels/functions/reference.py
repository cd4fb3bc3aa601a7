"""Exponentials, logarithm, sine and cosine of the twins.

Libraries differ in the last bit of these, and torch's own depend on where in a tensor a number
stands. These are polynomials of products and sums, each rounded once, so that every device and
every compiler that fuses none of them gives the same bits; :mod:`.cpu` is the form of the CPU
kernels.
"""

import math

import torch
from torch import Tensor

__all__ = [
    "cosine", "exponential", "exponential64", "hyperbolic_tangent", "logarithm",
    "mean_exponential64", "sine", "square_root",
]  # fmt: skip

# Cephes, expf: coefficients of (e^r - 1 - r) / r², the highest power first.
EXPONENTIAL = (
    1.9875691500e-4,
    1.3981999507e-3,
    8.3334519073e-3,
    4.1665795894e-2,
    1.6666665459e-1,
    5.0000001201e-1,
)
PER_LOG_TWO = 1.44269504088896341
# log 2 in two parts. The upper one has few bits, so that its product with an integer is exact.
UPPER_LOG_TWO = 0.693359375
LOWER_LOG_TWO = -2.12194440e-4
# Beyond these the result is 0 or infinite, and powers of two would leave the range of float32.
LEAST = -105.0
LARGEST = 89.0
# Beyond these a float64 is 0 or infinite.
LEAST_64 = -750.0
LARGEST_64 = 711.0
# Taylor's coefficients of (e^r - 1 - r) / r², the highest power first: 1/14! … 1/2!.
EXPONENTIAL_64 = tuple(1.0 / math.factorial(power) for power in range(14, 1, -1))
SERIES_64 = -0.375
"""From here to 0 the series above gives ``(e^z - 1) / z`` without a difference."""

# FreeBSD's msun, e_log.c: coefficients of the series in s², s = f / (2 + f).
LOGARITHM = (
    6.666666666666735130e-01,
    3.999999999940941908e-01,
    2.857142874366239149e-01,
    2.222219843214978396e-01,
    1.818357216161805012e-01,
    1.531383769920937332e-01,
    1.479819860511658591e-01,
)
# FreeBSD's msun, k_sin.c and k_cos.c: coefficients of x³, x⁵ … and of x⁴, x⁶ …
SINE = (
    -1.66666666666666324348e-01,
    8.33333333332248946124e-03,
    -1.98412698298579493134e-04,
    2.75573137070700676789e-06,
    -2.50507602534068634195e-08,
    1.58969099521155010221e-10,
)
COSINE = (
    4.16666666666666019037e-02,
    -1.38888888888741095749e-03,
    2.48015872894767294178e-05,
    -2.75573143513906633035e-07,
    2.08757232129817482790e-09,
    -1.13596475577881948265e-11,
)
UPPER_LOG_TWO_64 = 6.93147180369123816490e-01
LOWER_LOG_TWO_64 = 1.90821492927058770002e-10
SPLITTER = 2.0**27 + 1.0
"""Times this, and less the rest, a float64 keeps its upper 26 bits."""
# Eigen's generic_fast_tanh_float: coefficients of x¹³ … x and of x⁶ … 1.
TANGENT_ABOVE = (
    -2.76076847742355e-16,
    2.00018790482477e-13,
    -8.60467152213735e-11,
    5.12229709037114e-08,
    1.48572235717979e-05,
    6.37261928875436e-04,
    4.89352455891786e-03,
)
TANGENT_BELOW = (
    1.19825839466702e-06,
    1.18534705686654e-04,
    2.26843463243900e-03,
    4.89352518554385e-03,
)
FARTHEST = 7.90531110763549805
"""From here on the hyperbolic tangent is 1 in float32."""
ROOT_HALF = 0x3FE6A09E00000000
"""Bits of about √½, from where on a number counts as ``2^e m`` with ``m`` near 1."""


def exponential(x: Tensor) -> Tensor:
    """Return ``e^x``, float32, to two units in the last place; NaN stays NaN.

    ``x = n log 2 + r`` with ``|r|`` at most half of ``log 2``, and a polynomial of ``r``.

    References:
        Cody, Waite, *Software manual for the elementary functions* (1980); Moshier, Cephes, expf.
    """
    x = x.clamp(LEAST, LARGEST)
    n = torch.floor(x * PER_LOG_TWO + 0.5)
    r = x - n * UPPER_LOG_TWO
    r = r - n * LOWER_LOG_TWO
    power = r * EXPONENTIAL[0] + EXPONENTIAL[1]
    for coefficient in EXPONENTIAL[2:]:
        power = power * r + coefficient
    power = power * (r * r) + r
    power = power + 1.0
    # Two factors, since 2^n alone leaves the range of float32 before e^x does.
    exponent = n.to(torch.int32)
    half = exponent >> 1
    # A power of two from its bits: the exponent, biased by 127, above 23 bits of fraction.
    first = ((half + 127) << 23).view(torch.float32)
    second = ((exponent - half + 127) << 23).view(torch.float32)
    return power * first * second


def _series64(r: Tensor) -> Tensor:
    """Return Taylor's series of ``(e^r - 1 - r) / r²``."""
    series = r * EXPONENTIAL_64[0] + EXPONENTIAL_64[1]
    for coefficient in EXPONENTIAL_64[2:]:
        series = series * r + coefficient
    return series


def exponential64(x: Tensor) -> Tensor:
    """Return ``e^x``, float64, to two units in the last place; NaN stays NaN.

    ``x = n log 2 + r`` with ``|r|`` at most half of ``log 2``, and a series in ``r``, whose next
    term is below 2⁻⁵⁹.
    """
    x = x.clamp(LEAST_64, LARGEST_64)
    n = torch.floor(x * PER_LOG_TWO + 0.5)
    r = x - n * UPPER_LOG_TWO_64
    r = r - n * LOWER_LOG_TWO_64
    power = _series64(r) * (r * r) + r
    power = power + 1.0
    # Two factors, since 2^n alone leaves the range of float64 before e^x does.
    exponent = n.to(torch.int64)
    half = exponent >> 1
    # A power of two from its bits: the exponent, biased by 1023, above 52 bits of fraction.
    first = ((half + 1023) << 52).view(torch.float64)
    second = ((exponent - half + 1023) << 52).view(torch.float64)
    return power * first * second


def mean_exponential64(z: Tensor) -> Tensor:
    """Return ``φ₁(z) = (e^z - 1) / z``, the mean of ``e^{zu}`` over ``0 < u < 1``, for ``z ≤ 0``.

    It is float64, to four units in the last place, 1 at ``z = 0``; NaN stays NaN.
    """
    # Near 0 the difference would cancel: there it is the series of the exponential itself.
    small = z.clamp(min=SERIES_64)
    near = _series64(small) * small + 1.0
    return torch.where(z < SERIES_64, (exponential64(z) - 1.0) / z, near)


def logarithm(x: Tensor) -> Tensor:
    """Return ``log x``, float64, of normal positive numbers, to two units in the last place.

    ``x = 2^e (1 + f)`` with ``1 + f`` between ``√½`` and ``√2``, and a series in ``f / (2 + f)``.

    References:
        FreeBSD's msun, e_log.c.
    """
    bits = x.contiguous().view(torch.int64)
    exponent = (bits - ROOT_HALF) >> 52
    # The exponent taken out of the bits leaves 1 + f, and the difference is exact.
    f = (bits - (exponent << 52)).view(torch.float64) - 1.0
    s = f / (f + 2.0)
    z = s * s
    w = z * z
    c = LOGARITHM
    odd = w * (c[1] + w * (c[3] + w * c[5]))
    even = z * (c[0] + w * (c[2] + w * (c[4] + w * c[6])))
    series = odd + even
    square = 0.5 * f * f
    e = exponent.double()
    return e * UPPER_LOG_TWO_64 - ((square - (s * (square + series) + e * LOWER_LOG_TWO_64)) - f)


def sine(x: Tensor) -> Tensor:
    """Return ``sin x``, float64, for ``|x| ≤ π/4``, to two units in the last place.

    References:
        FreeBSD's msun, k_sin.c.
    """
    square = x * x
    series = square * SINE[5] + SINE[4]
    for coefficient in SINE[3::-1]:
        series = series * square + coefficient
    return x + x * (square * series)


def cosine(x: Tensor) -> Tensor:
    """Return ``cos x``, float64, for ``|x| ≤ π/4``, to two units in the last place.

    References:
        FreeBSD's msun, k_cos.c.
    """
    square = x * x
    series = square * COSINE[5] + COSINE[4]
    for coefficient in COSINE[3::-1]:
        series = series * square + coefficient
    return 1.0 - (0.5 * square - square * square * series)


def square_root(x: Tensor) -> Tensor:
    """Return ``√x``, float64, of normal positive numbers below 1e150, rounded to the nearest.

    Torch's own may be off by one unit in the last place, where hardware and IEEE are not. What is
    left, ``x - r²``, is found exactly, and one step of Newton's makes up for it.

    References:
        Dekker, *A floating-point technique for extending the available precision*, Numer. Math. 18,
        224 (1971).
    """
    root = torch.sqrt(x)
    # r² as a sum of two numbers, from products of halves of r, which are exact.
    above = root * SPLITTER
    upper = above - (above - root)
    lower = root - upper
    square = root * root
    missing = ((upper * upper - square) + 2.0 * upper * lower) + lower * lower
    return root + ((x - square) - missing) / (2.0 * root)


def hyperbolic_tangent(x: Tensor) -> Tensor:
    """Return ``tanh x``, float32, to seven units in the last place; odd bit for bit.

    A ratio of polynomials, so that loops have no branches; NaN stays NaN.

    References:
        Eigen, generic_fast_tanh_float.
    """
    x = x.clamp(-FARTHEST, FARTHEST)
    square = x * x
    above = square * TANGENT_ABOVE[0] + TANGENT_ABOVE[1]
    for coefficient in TANGENT_ABOVE[2:]:
        above = above * square + coefficient
    below = square * TANGENT_BELOW[0] + TANGENT_BELOW[1]
    for coefficient in TANGENT_BELOW[2:]:
        below = below * square + coefficient
    return x * above / below
