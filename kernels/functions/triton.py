"""The functions of :mod:`.reference` for Triton kernels: the same operations, and so the same bits.

Kernels are compiled without fusion of products and sums. Where the bits of a twin are not asked
for, :func:`..device.exponential` fuses them and is quicker.
"""

import triton
import triton.language as tl

__all__ = [
    "cosine", "exponential", "exponential64", "hyperbolic_tangent", "logarithm",
    "mean_exponential64", "sine",
]  # fmt: skip


@triton.jit
def exponential(x):
    """Return ``e^x``, float32, of :func:`.reference.exponential`, bit for bit."""
    # Comparisons with NaN are false, so that NaN stays.
    x = tl.where(x < -105.0, -105.0, x)
    x = tl.where(x > 89.0, 89.0, x)
    # The nearest integer to x / log 2, whose multiple of log 2 is taken off in two parts.
    n = tl.floor(x * 1.44269504088896341 + 0.5)
    r = x - n * 0.693359375
    r = r - n * -2.12194440e-4
    # Horner's rule, the highest power first; then 1 + r + r² p.
    p = r * 1.9875691500e-4 + 1.3981999507e-3
    p = p * r + 8.3334519073e-3
    p = p * r + 4.1665795894e-2
    p = p * r + 1.6666665459e-1
    p = p * r + 5.0000001201e-1
    p = p * (r * r) + r
    p = p + 1.0
    # Two factors, since 2^n alone leaves the range of float32 before e^x does.
    exponent = n.to(tl.int32)
    half = exponent >> 1
    # A power of two from its bits: the exponent, biased by 127, above 23 bits of fraction.
    first = ((half + 127) << 23).to(tl.float32, bitcast=True)
    second = ((exponent - half + 127) << 23).to(tl.float32, bitcast=True)
    return p * first * second


@triton.jit
def series64(r):
    """Return Taylor's series of ``(e^r - 1 - r) / r²`` to ``r¹²``, float64."""
    # The highest power first: 1/14! to 1/2!.
    series = r * 1.1470745597729725e-11 + 1.6059043836821613e-10
    series = series * r + 2.08767569878681e-09
    series = series * r + 2.505210838544172e-08
    series = series * r + 2.755731922398589e-07
    series = series * r + 2.7557319223985893e-06
    series = series * r + 2.48015873015873e-05
    series = series * r + 0.0001984126984126984
    series = series * r + 0.001388888888888889
    series = series * r + 0.008333333333333333
    series = series * r + 0.041666666666666664
    series = series * r + 0.16666666666666666
    return series * r + 0.5


@triton.jit
def exponential64(x):
    """Return ``e^x``, float64, as :func:`.reference.exponential64` does."""
    # Beyond these the result is 0 or infinite, and powers of two would leave their range.
    x = tl.where(x < -750.0, -750.0, x)
    x = tl.where(x > 711.0, 711.0, x)
    # Cody and Waite: the upper part of log 2 has few bits, so that its product is exact.
    n = tl.floor(x * 1.44269504088896341 + 0.5)
    r = x - n * 6.93147180369123816490e-01
    r = r - n * 1.90821492927058770002e-10
    power = series64(r) * (r * r) + r
    power = power + 1.0
    # Two factors, since 2^n alone leaves the range of float64 before e^x does.
    exponent = n.to(tl.int64)
    half = exponent >> 1
    first = ((half + 1023) << 52).to(tl.float64, bitcast=True)
    second = ((exponent - half + 1023) << 52).to(tl.float64, bitcast=True)
    return power * first * second


@triton.jit
def mean_exponential64(z):
    """Return ``(e^z - 1) / z`` for ``z ≤ 0``, as :func:`.reference.mean_exponential64` does."""
    # Near 0 the difference would cancel: there it is the series of the exponential itself.
    near = series64(z) * z + 1.0
    return tl.where(z < -0.375, (exponential64(z) - 1.0) / z, near)


@triton.jit
def logarithm(x):
    """Return ``log x``, float64, of normal positive numbers, as :func:`.reference.logarithm`."""
    bits = x.to(tl.int64, bitcast=True)
    # From about √½ on a number counts as 2^e m with m near 1.
    exponent = (bits - 0x3FE6A09E00000000) >> 52
    # The exponent taken out of the bits leaves 1 + f, and the difference is exact.
    f = (bits - (exponent << 52)).to(tl.float64, bitcast=True) - 1.0
    s = f / (f + 2.0)
    z = s * s
    w = z * z
    odd = w * 1.531383769920937332e-01 + 2.222219843214978396e-01
    odd = w * (3.999999999940941908e-01 + w * odd)
    even = w * 1.479819860511658591e-01 + 1.818357216161805012e-01
    even = z * (6.666666666666735130e-01 + w * (2.857142874366239149e-01 + w * even))
    series = odd + even
    square = 0.5 * f * f
    e = exponent.to(tl.float64)
    lower = s * (square + series) + e * 1.90821492927058770002e-10
    return e * 6.93147180369123816490e-01 - ((square - lower) - f)


@triton.jit
def sine(x):
    """Return ``sin x``, float64, for ``|x| ≤ π/4``, as :func:`.reference.sine` does."""
    square = x * x
    series = square * 1.58969099521155010221e-10 + -2.50507602534068634195e-08
    series = series * square + 2.75573137070700676789e-06
    series = series * square + -1.98412698298579493134e-04
    series = series * square + 8.33333333332248946124e-03
    series = series * square + -1.66666666666666324348e-01
    return x + x * (square * series)


@triton.jit
def cosine(x):
    """Return ``cos x``, float64, for ``|x| ≤ π/4``, as :func:`.reference.cosine` does."""
    square = x * x
    series = square * -1.13596475577881948265e-11 + 2.08757232129817482790e-09
    series = series * square + -2.75573143513906633035e-07
    series = series * square + 2.48015872894767294178e-05
    series = series * square + -1.38888888888741095749e-03
    series = series * square + 4.16666666666666019037e-02
    return 1.0 - (0.5 * square - square * square * series)


@triton.jit
def hyperbolic_tangent(x):
    """Return ``tanh x``, float32, of :func:`.reference.hyperbolic_tangent`, bit for bit."""
    # Comparisons with NaN are false, so that NaN stays.
    x = tl.where(x < -7.90531110763549805, -7.90531110763549805, x)
    x = tl.where(x > 7.90531110763549805, 7.90531110763549805, x)
    square = x * x
    above = square * -2.76076847742355e-16 + 2.00018790482477e-13
    above = above * square + -8.60467152213735e-11
    above = above * square + 5.12229709037114e-08
    above = above * square + 1.48572235717979e-05
    above = above * square + 6.37261928875436e-04
    above = above * square + 4.89352455891786e-03
    below = square * 1.19825839466702e-06 + 1.18534705686654e-04
    below = below * square + 2.26843463243900e-03
    below = below * square + 4.89352518554385e-03
    return x * above / below
