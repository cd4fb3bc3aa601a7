"""Kernel that makes thresholds: whole numbers, the same as those of the twin.

Products and sums are rounded one by one, as in :mod:`..site_sweeps.reference` and
:mod:`..functions.reference`, so that every bit is theirs; kernels are compiled without fusion.
"""

import triton
import triton.language as tl

from ..device import kernel
from ..functions.triton import exponential

__all__ = ["threshold_kernel"]


@triton.jit
def fields_of(o_near, p_coupling, p_bond, p_site, s_axis, s_state, m_number, NDIM: tl.constexpr):
    """Return ``W_0`` and ``W_1`` of a site with these neighbours, float32 ``[numbers]``.

    Bit ``2 d`` of ``near`` is the state of the neighbour ahead in direction ``d``, bit ``2 d + 1``
    of that behind. ``coupling`` and ``site`` are blocks of pointers. Terms come in the order of
    :func:`..energies.reference.local_fields`.
    """
    b00 = tl.load(p_bond).to(tl.float32)
    b01 = tl.load(p_bond + 1).to(tl.float32)
    b10 = tl.load(p_bond + 2).to(tl.float32)
    b11 = tl.load(p_bond + 3).to(tl.float32)
    down = tl.load(p_site, mask=m_number, other=0.0).to(tl.float32)
    up = tl.load(p_site + s_state, mask=m_number, other=0.0).to(tl.float32)
    for axis in tl.static_range(NDIM):
        b_coupling = tl.load(p_coupling + axis * s_axis, mask=m_number, other=0.0).to(tl.float32)
        m_ahead = ((o_near >> (2 * axis)) & 1) != 0
        m_behind = ((o_near >> (2 * axis + 1)) & 1) != 0
        # The site comes first in the table forward and second backward.
        down += b_coupling * tl.where(m_ahead, b01, b00)
        up += b_coupling * tl.where(m_ahead, b11, b10)
        down += b_coupling * tl.where(m_behind, b10, b00)
        up += b_coupling * tl.where(m_behind, b11, b01)
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
        weight = exponential(down - top)
        # The quotient of Triton's own division is not always the nearest number.
        probability = tl.div_rn(weight, weight + exponential(up - top))
        # What is no number draws state 0, as in the twin: all numbers lie below it.
        probability = tl.where(probability == probability, probability, 1.0)
    else:
        ratio = beta * tl.where(own != 0, down - up, up - down)
        # A ratio above 1 needs no exponential. NaN stays, and moves no site.
        probability = keep * exponential(tl.where(ratio > 0.0, 0.0, ratio))
        probability = tl.where(probability == probability, probability, 0.0)
    # Exact in float32: below 2²³ its numbers are multiples of 1/2 or of less.
    return tl.ceil(probability * 8388608.0 - 0.5).to(tl.int32)


@kernel
def threshold_kernel(
    p_thresholds, p_coupling, p_bond, p_site, p_beta,
    count: tl.int32, s_coupling_walker: tl.int32, s_coupling_axis: tl.int32,
    s_site_walker: tl.int32, s_site_state: tl.int32, s_beta: tl.int32, rest: tl.float64,
    OP: tl.constexpr, NDIM: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Write minus the threshold of every number that the states around a site make.

    ``p = e^{β W_0} / (e^{β W_0} + e^{β W_1})`` of the heat bath (Creutz, Phys. Rev. D 21, 2308,
    1980), ``(1 - rest) min(1, e^Δ)`` of Metropolis (Metropolis et al., J. Chem. Phys. 21, 1087,
    1953), float32.

    ``thresholds`` int32 ``(tables, 2^(2 NDIM + OP))``, ``count`` in all, the site's own state the
    highest bit; ``coupling`` float64 ``(1 | tables, 1 | NDIM)``; ``bond`` float64 ``(2, 2)``;
    ``site`` float64 ``(1 | tables, 2)``; ``beta`` float64 ``(1 | tables,)``. One program per block
    of thresholds.
    """
    o_number = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    m_number = o_number < count
    i_table = (o_number >> (2 * NDIM + OP)).to(tl.int64)
    down, up = fields_of(
        o_number, p_coupling + i_table * s_coupling_walker, p_bond,
        p_site + i_table * s_site_walker, s_coupling_axis, s_site_state, m_number, NDIM,
    )  # fmt: skip
    beta = tl.load(p_beta + i_table * s_beta, mask=m_number, other=0.0).to(tl.float32)
    # Exact: the probability to rest is a power of two of at most 23 places.
    keep = tl.full((), 1.0 - rest, tl.float32)
    b_own = (o_number >> (2 * NDIM)) & 1
    b_below = numbers_below(down, up, b_own, beta, keep, OP)
    tl.store(p_thresholds + o_number, -b_below, mask=m_number)
