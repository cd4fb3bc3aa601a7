"""Device functions that make thresholds: whole numbers, the same as those of the twin.

Products and sums are rounded one by one, as in :mod:`..site_sweeps.reference` and
:mod:`..functions.reference`, so that every bit is theirs; kernels are compiled without fusion.
"""

import triton
import triton.language as tl

__all__ = ["fields_of", "numbers_below", "twin_exponential"]


@triton.jit
def twin_exponential(x):
    """Return ``e^x``, float32, of :func:`..functions.reference.exponential`, bit for bit."""
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
def fields_of(o_near, p_coupling, p_bond, p_site, s_axis, s_state, NDIM: tl.constexpr):
    """Return ``W_0`` and ``W_1`` of a site with these neighbours, float32 ``[numbers]``.

    Bit ``2 d`` of ``near`` is the state of the neighbour ahead in direction ``d``, bit ``2 d + 1``
    of that behind. Terms come in the order of :func:`..energies.reference.local_fields`. One
    coupling serves all sites of a direction, and one field all sites.
    """
    b00 = tl.load(p_bond).to(tl.float32)
    b01 = tl.load(p_bond + 1).to(tl.float32)
    b10 = tl.load(p_bond + 2).to(tl.float32)
    b11 = tl.load(p_bond + 3).to(tl.float32)
    down = tl.zeros_like(o_near).to(tl.float32) + tl.load(p_site).to(tl.float32)
    up = tl.zeros_like(o_near).to(tl.float32) + tl.load(p_site + s_state).to(tl.float32)
    for axis in tl.static_range(NDIM):
        coupling = tl.load(p_coupling + axis * s_axis).to(tl.float32)
        m_ahead = (o_near >> (2 * axis)) & 1 != 0
        m_behind = (o_near >> (2 * axis + 1)) & 1 != 0
        # The site comes first in the table forward and second backward.
        down += coupling * tl.where(m_ahead, b01, b00)
        up += coupling * tl.where(m_ahead, b11, b10)
        down += coupling * tl.where(m_behind, b10, b00)
        up += coupling * tl.where(m_behind, b11, b01)
    return down, up


@triton.jit
def numbers_below(down, up, own, beta, keep, OP: tl.constexpr):
    """Return how many of the 2²³ numbers ``m + 1/2`` lie below ``2²³ p``, int32 of the same shape.

    The heat bath, OP 0, draws state 0 below ``p``; Metropolis, OP 1, moves a site in state ``own``
    below it, and ``keep`` is the complement of the probability to rest.
    """
    if OP == 0:
        down = beta * down
        up = beta * up
        # The larger weight is 1, so that no exponential overflows.
        top = tl.maximum(down, up)
        weight = twin_exponential(down - top)
        # The quotient of Triton's own division is not always the nearest number.
        probability = tl.div_rn(weight, weight + twin_exponential(up - top))
        # What is no number draws state 0, as in the twin: all numbers lie below it.
        probability = tl.where(probability == probability, probability, 1.0)
    else:
        ratio = beta * tl.where(own != 0, down - up, up - down)
        # A ratio above 1 needs no exponential. NaN stays, and moves no site.
        probability = keep * twin_exponential(tl.where(ratio > 0.0, 0.0, ratio))
        probability = tl.where(probability == probability, probability, 0.0)
    # Exact in float32: below 2²³ its numbers are multiples of 1/2 or of less.
    return tl.ceil(probability * 8388608.0 - 0.5).to(tl.int32)
