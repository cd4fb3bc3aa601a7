"""Kernel of the op ``enter_intervals``."""

import itertools
import math

import torch
import triton.language as tl
from torch import Tensor

from ..device import kernel
from ..variants import Variant, launch, padded, periodic_bits, site_stride
from .entering import Entering, entered
from .reference import Sums
from .triton import CHUNK, CONFIG, add_terms, energy

__all__ = ["VARIANTS", "enter_intervals"]


@kernel
def enter_intervals_kernel(
    p_x, p_log_weights, p_remaining, p_interval, p_betas, p_lengths, p_coupling, p_bond, p_site,
    p_log_weights_after, p_remaining_after, p_interval_after, p_entered,
    sites: tl.int32, q: tl.int32, intervals: tl.int32, backward: tl.int32,
    n0: tl.int32, n1: tl.int32, n2: tl.int32, n3: tl.int32, periodic: tl.int32,
    s_coupling_walker: tl.int32, s_coupling_axis: tl.int32, s_coupling_site: tl.int32,
    s_site_walker: tl.int32, s_site_state: tl.int32, s_site_site: tl.int32,
    NDIM: tl.constexpr, UNIFORM: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Let a walker without time left enter the next interval: ``A += (β_n - β_{n+1}) H(x)``.

    One program per walker. The energy is found where the walker enters, by the sums of
    :func:`.triton.local_energy_kernel` in the same order; the others cost no more than their
    numbers. It is one function beyond 50 lines since the loop over sites needs all of its tables.

    ``x`` int8 ``(walkers, sites)``; ``interval`` int64, ``log_weights`` and ``remaining`` float64
    ``(walkers,)``; ``betas`` float64 ``(intervals + 2,)``; ``lengths`` float64 ``(intervals +
    1,)``; the model as there; ``entered`` int8 ``(walkers,)``.
    """
    # 64 bits, since all walkers together may have more than 2³¹ sites.
    i_walker = tl.program_id(0).to(tl.int64)
    p_x += i_walker * sites
    p_coupling += i_walker * s_coupling_walker
    p_site += i_walker * s_site_walker
    log_weight = tl.load(p_log_weights + i_walker)
    remaining = tl.load(p_remaining + i_walker)
    interval = tl.load(p_interval + i_walker).to(tl.int32)
    if backward != 0:
        inside = interval >= 0
    else:
        inside = interval < intervals
    enters = (remaining == 0.0) & inside
    # Forward to the next interval, backward to the one before.
    step = tl.where(enters, 1 - 2 * backward, 0)
    after = interval + step
    earlier = tl.minimum(interval, after)
    later = tl.maximum(interval, after)
    # No site is summed over where the walker does not enter.
    last = tl.where(enters, sites, 0)
    total = tl.zeros([BLOCK], tl.float64)
    for o_start in range(0, last, BLOCK):
        o_site = o_start + tl.arange(0, BLOCK)
        m_site = o_site < sites
        b_x = tl.load(p_x + o_site, mask=m_site, other=0).to(tl.int32)
        total = add_terms(
            total, b_x, p_x, o_site, m_site, p_coupling, p_bond, p_site,
            s_coupling_axis, s_coupling_site, s_site_state, o_site * s_site_site,
            q, n0, n1, n2, n3, periodic, NDIM, UNIFORM,
        )  # fmt: skip
    energy = -tl.sum(total)
    # The difference of β first: that of two log-densities would lose digits.
    change = tl.load(p_betas + later + 1) - tl.load(p_betas + earlier + 1)
    # Before the first interval and after the last there is no time.
    length = tl.load(p_lengths + tl.maximum(after, 0))
    length = tl.where(after < 0, 0.0, length)
    weight = log_weight + -change * energy
    tl.store(p_log_weights_after + i_walker, tl.where(enters, weight, log_weight))
    tl.store(p_remaining_after + i_walker, tl.where(enters, length, remaining))
    tl.store(p_interval_after + i_walker, after.to(tl.int64))
    tl.store(p_entered + i_walker, enters.to(tl.int8))


def _variant(ndim: int, uniform: bool) -> Variant:
    double = torch.float64
    integer = torch.int64
    inputs = (torch.int8, double, double, integer, *(double,) * 5)
    constants = {"NDIM": ndim, "UNIFORM": uniform, **CONFIG.constants}
    pointers = (*inputs, double, double, integer, torch.int8)
    return Variant(enter_intervals_kernel, pointers, constants, warps=CONFIG.warps)


VARIANTS = {
    ("entering", *key): _variant(*key) for key in itertools.product((1, 2, 3, 4), (True, False))
}


def enter_intervals(given: Entering) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Launch the kernel of :func:`.entering.enter_intervals`.

    Large lattices have their energies found by several programs each, and the rest by torch.
    """
    walkers, *shape = given.configurations.shape
    sites = math.prod(shape)
    if sites > CHUNK:
        weights, after, left, enters = entered(given, _sums)
        return weights, after, left, enters
    coupling, coupling_strides = site_stride(given.coupling, shape)
    site_table, site_strides = site_stride(given.site_table, shape)
    inputs = [given.configurations, given.log_weights, given.remaining, given.interval]
    inputs += (given.betas, given.lengths, coupling, given.bond_table, site_table)
    weights = torch.empty_like(given.log_weights)
    left = torch.empty_like(given.remaining)
    after = torch.empty_like(given.interval)
    enters = torch.empty_like(given.remaining, dtype=torch.int8)
    launch(
        VARIANTS["entering", len(shape), coupling_strides[2] == 0], walkers,
        *(tensor.contiguous() for tensor in inputs), weights, left, after, enters,
        sites, len(given.bond_table), len(given.lengths) - 1, int(given.backward),
        *padded(shape), periodic_bits(given.periodic), *coupling_strides, *site_strides,
    )  # fmt: skip
    return weights, after, left, enters.view(torch.bool)


def _sums(*arguments: object) -> Sums:
    return Sums(*energy(*arguments))  # type: ignore[arg-type]
