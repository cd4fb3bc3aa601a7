"""Device functions that several kernels share: random numbers, exponential, local fields.

Lattice lengths come to a kernel as four numbers ``n0 … n3``, the first ``4 - NDIM`` of them 1, and
boundaries as bits: bit ``AXIS`` of ``periodic`` is set where direction ``AXIS`` wraps. ``NDIM`` is
a constant of the kernel, so that absent directions cost nothing.
"""

import functools
import inspect
from typing import Any

import triton
import triton.language as tl

__all__ = [
    "bond",
    "exponential",
    "kernel",
    "neighbours",
    "pair_field",
    "philox",
    "philox_rounds",
    "unaligned",
    "uniform32",
    "uniform64",
]


def kernel(function):
    """Return ``function`` under :func:`triton.jit`, specialised on no number's value.

    A kernel's variants are its constants and dtypes alone. Its tensors, which have no annotation,
    begin at a multiple of 16 bytes; :func:`unaligned` makes the form for others.
    """
    parameters = inspect.signature(function).parameters.items()
    absent = (inspect.Parameter.empty, tl.constexpr)
    numbers = [name for name, parameter in parameters if parameter.annotation not in absent]
    return triton.jit(function, do_not_specialize=numbers)


@functools.cache
def unaligned(made: Any) -> Any:
    """Return a kernel that takes tensors wherever they begin."""
    parameters = inspect.signature(made.fn).parameters.items()
    varying = [name for name, parameter in parameters if parameter.annotation is not tl.constexpr]
    return triton.jit(made.fn, do_not_specialize=varying)


@triton.jit
def philox(seed, STREAM: tl.constexpr, site, event, draw, walker):
    """Return the four words of :func:`leaps_triton.kernels.philox`, uint32.

    Philox4x32-10 of scalars or blocks: key ``(seed, STREAM)``, counter ``(site, event, draw,
    walker)``. Salmon et al., *Parallel random numbers: as easy as 1, 2, 3*, SC11 (2011).
    """
    # Each argument's lower 32 bits count. The sum brings the four to one shape.
    nought = (site * 0 + event * 0 + draw * 0 + walker * 0).to(tl.uint32)
    word0 = nought + site.to(tl.uint32)
    word1 = nought + event.to(tl.uint32)
    word2 = nought + draw.to(tl.uint32)
    word3 = nought + walker.to(tl.uint32)
    key1 = tl.full((), STREAM, tl.uint32)
    return philox_rounds(seed.to(tl.uint32), key1, word0, word1, word2, word3)


@triton.jit
def philox_rounds(key0, key1, word0, word1, word2, word3):
    """Return the words of Philox4x32-10 of two words of key and four of counter, uint32."""
    for _ in tl.static_range(10):
        # A product of 64 bits is one instruction, and its halves are two registers.
        first = word0.to(tl.uint64) * 0xD2511F53
        second = word2.to(tl.uint64) * 0xCD9E8D57
        word0 = (second >> 32).to(tl.uint32) ^ word1 ^ key0
        word1 = second.to(tl.uint32)
        word2 = (first >> 32).to(tl.uint32) ^ word3 ^ key1
        word3 = first.to(tl.uint32)
        # A Weyl sequence gives every round a key of its own.
        key0 += 0x9E3779B9
        key1 += 0xBB67AE85
    return word0, word1, word2, word3


@triton.jit
def uniform32(word):
    """Make one word an odd multiple of 2⁻²⁴ in (0, 1), float32."""
    # The upper 23 bits and a half are 24 bits, exact in float32: never rounded to 0 or 1.
    return ((word >> 9).to(tl.int32).to(tl.float32) + 0.5) * 1.1920928955078125e-07


@triton.jit
def uniform64(high, low):
    """Make two words an odd multiple of 2⁻⁵³ in (0, 1), float64."""
    # 32 bits of one word and 20 of the other: with the half 53 bits, exact in float64.
    bits = (high.to(tl.uint64) << 20) | (low >> 12).to(tl.uint64)
    return (bits.to(tl.int64).to(tl.float64) + 0.5) * 2.220446049250313e-16


@triton.jit
def exponential(x):
    """Return ``e^x`` to one unit in the last place; NaN stays NaN.

    The float32 exponential of Triton is the approximate one of the device, off by up to ``|x|``
    units. Here ``x = n log 2 + r`` with ``log 2`` in two parts (Cody and Waite), and a polynomial
    of ``r`` (Cephes, ``expf``).
    """
    if x.dtype == tl.float64:
        power = tl.exp(x)
    else:
        # Beyond these the result is 0 or infinite, and n would leave the range of the factors.
        # A comparison with NaN is false, so that NaN stays.
        x = tl.where(x < -105.0, -105.0, x)
        x = tl.where(x > 89.0, 89.0, x)
        # The nearest integer to x / log 2, so that |r| is at most half of log 2.
        n = tl.floor(x * 1.44269504088896341 + 0.5)
        # The upper part of log 2 has few bits, so that its product with n is exact.
        r = tl.fma(n, -0.693359375, x)
        r = tl.fma(n, 2.12194440e-4, r)
        # Horner's rule, the highest power first; then 1 + r + r² p.
        p = tl.fma(r, 1.9875691500e-4, 1.3981999507e-3)
        p = tl.fma(p, r, 8.3334519073e-3)
        p = tl.fma(p, r, 4.1665795894e-2)
        p = tl.fma(p, r, 1.6666665459e-1)
        p = tl.fma(p, r, 5.0000001201e-1)
        p = tl.fma(p, r * r, r) + 1.0
        # Two factors, since 2^n alone leaves the range of float32 before e^x does.
        exponent = n.to(tl.int32)
        half = exponent >> 1
        # A power of two from its bits: the exponent, biased by 127, above 23 bits of fraction.
        first = ((half + 127) << 23).to(tl.float32, bitcast=True)
        second = ((exponent - half + 127) << 23).to(tl.float32, bitcast=True)
        power = p * first * second
    return power


@triton.jit
def neighbours(o_site, AXIS: tl.constexpr, NDIM: tl.constexpr, n0, n1, n2, n3, periodic):
    """Return the flat index of each site's neighbours along ``AXIS``, and whether there is one.

    ``o_site`` int32 ``[sites]``; both indices int32 and both masks of the same shape, the positive
    direction first.
    """
    if AXIS == 3:
        stride = tl.full((), 1, tl.int32)
        length = n3
    elif AXIS == 2:
        stride = n3
        length = n2
    elif AXIS == 1:
        stride = n2 * n3
        length = n1
    else:
        stride = n1 * n2 * n3
        length = n0
    # The coordinate along the direction. The last one needs no division, the first no remainder.
    place = o_site.to(tl.uint32)
    if AXIS < 3:
        place = place // stride.to(tl.uint32)
    if AXIS > 4 - NDIM:
        place = place % length.to(tl.uint32)
    place = place.to(tl.int32)
    wraps = ((periodic >> AXIS) & 1) != 0
    # At the end of a line the neighbour is the site at its other end.
    o_forward = o_site + tl.where(place == length - 1, stride - stride * length, stride)
    o_backward = o_site - tl.where(place == 0, stride - stride * length, stride)
    # No coordinate is -1: where the direction wraps every site has a neighbour.
    m_forward = place != tl.where(wraps, -1, length - 1)
    m_backward = place != tl.where(wraps, -1, 0)
    return o_forward, o_backward, m_forward, m_backward


@triton.jit
def bond(
    p_coupling,
    s_axis,
    s_site,
    o_site,
    m_bond,
    AXIS: tl.constexpr,
    NDIM: tl.constexpr,
    UNIFORM: tl.constexpr,
):
    """Load ``J`` of the bonds in positive direction ``AXIS`` from ``o_site``, float64.

    It is one scalar, without mask, if UNIFORM.
    """
    # Directions are numbered in four, couplings in those that the lattice has.
    p_axis = p_coupling + (AXIS - (4 - NDIM)) * s_axis
    return tl.load(p_axis) if UNIFORM else tl.load(p_axis + o_site * s_site, mask=m_bond, other=0.0)


@triton.jit
def pair_field(
    p_x, o_site, m_site, p_coupling, s_axis, s_site, n0, n1, n2, n3, periodic,
    NDIM: tl.constexpr, UNIFORM: tl.constexpr, DTYPE: tl.constexpr,
):  # fmt: skip
    """Load what a local field needs: for every direction both neighbours and both bonds.

    A tuple of four blocks ``[sites]`` per direction: the state forward and backward, int32, ``J``
    forward and backward, of type DTYPE. States and bonds are 0 where there is no neighbour.
    """
    found = ()
    for axis in tl.static_range(4 - NDIM, 4):
        o_forward, o_backward, m_forward, m_backward = neighbours(
            o_site, axis, NDIM, n0, n1, n2, n3, periodic
        )
        m_forward &= m_site
        m_backward &= m_site
        forward = bond(p_coupling, s_axis, s_site, o_site, m_forward, axis, NDIM, UNIFORM).to(DTYPE)
        backward = bond(p_coupling, s_axis, s_site, o_backward, m_backward, axis, NDIM, UNIFORM).to(
            DTYPE
        )
        # Triton adds tuples and does not unpack them.
        found = found + (  # type: ignore[assignment]  # noqa: RUF005
            tl.load(p_x + o_forward, mask=m_forward, other=0).to(tl.int32),
            tl.load(p_x + o_backward, mask=m_backward, other=0).to(tl.int32),
            tl.where(m_forward, forward, 0.0).to(DTYPE),
            tl.where(m_backward, backward, 0.0).to(DTYPE),
        )
    return found


@triton.jit
def state_field(
    state,
    found,
    p_bond,
    p_site,
    s_state,
    o_field,
    m_site,
    q,
    NDIM: tl.constexpr,
    DTYPE: tl.constexpr,
):
    """Return ``W_a(i) = Σ_j J_ij φ(a, x_j) + h_i(a)`` of a block of states ``a``, ``[sites]``.

    ``found`` is what :func:`pair_field` loaded; sums are of type DTYPE.
    """
    field = tl.load(p_site + state * s_state + o_field, mask=m_site, other=0.0).to(DTYPE)
    # Four entries for each direction: both states, then both bonds. The site comes first in the
    # table forward and second backward, for a table that need not be symmetric.
    for axis in tl.static_range(NDIM):
        field += found[4 * axis + 2] * tl.load(p_bond + state * q + found[4 * axis]).to(DTYPE)
        field += found[4 * axis + 3] * tl.load(p_bond + found[4 * axis + 1] * q + state).to(DTYPE)
    return field


@triton.jit
def flip_field(
    found, p_bond, p_site, s_state, o_field, m_site,
    NDIM: tl.constexpr, UNIFORM: tl.constexpr, DTYPE: tl.constexpr,
):  # fmt: skip
    """Return ``W_1(i) - W_0(i)`` of a model with two states, ``[sites]``.

    Four differences of the table serve all sites, and nothing is looked up per site.
    """
    b00 = tl.load(p_bond)
    b01 = tl.load(p_bond + 1)
    b10 = tl.load(p_bond + 2)
    b11 = tl.load(p_bond + 3)
    if UNIFORM:
        # A difference of float64 numbers, rounded once.
        field = tl.zeros_like(found[2]) + (tl.load(p_site + s_state) - tl.load(p_site)).to(DTYPE)
    else:
        up = tl.load(p_site + s_state + o_field, mask=m_site, other=0.0)
        field = (up - tl.load(p_site + o_field, mask=m_site, other=0.0)).to(DTYPE)
    for axis in tl.static_range(NDIM):
        # The neighbour's state chooses between two differences.
        field += found[4 * axis + 2] * tl.where(
            found[4 * axis] != 0, (b11 - b01).to(DTYPE), (b10 - b00).to(DTYPE)
        )
        field += found[4 * axis + 3] * tl.where(
            found[4 * axis + 1] != 0, (b11 - b10).to(DTYPE), (b01 - b00).to(DTYPE)
        )
    return field
