"""Kernel of the op ``local_jump_steps``."""

import torch
import triton.language as tl
from torch import Tensor

from .device import kernel, philox, uniform64
from .philox import Stream
from .reference import site_classes
from .variants import Variant, block_size, launch

__all__ = ["VARIANTS", "local_jump_steps"]

CLASSES = (256, 2048)
"""Classes that a program treats at once: all of them."""
LANES = 64
"""Most neighbours of a site, itself included."""
BLOCK = 1024
"""Sites that are searched at once."""


@kernel
def local_jump_steps_kernel(
    p_x, p_log_weights, p_remaining, p_walkers, p_events, p_rates, p_corrector, p_neighbours, p_strides,
    p_classes, p_counts, p_ones, p_exit_rate, p_kappa,
    sites: tl.int32, classes: tl.int32, lanes: tl.int32, first_row: tl.int32, steps: tl.int32, seed: tl.int64,
    STREAM: tl.constexpr, CLASSES: tl.constexpr, LANES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Up to ``steps`` events of a walker: ``R = Σ_c n_c P_c(K)``, ``A += s Σ_c n_c κ_c(K)``, a class, one of its sites.

    One program a walker, in place. A flip moves its site and neighbours to other classes, in ``classes`` and
    ``counts``, which lie in global memory between barriers. A site is found by its rank among those of its class. Sums
    are float64 in another order than the twin's: class and rank differ from the twin's if ``u R`` is within rounding,
    ``1e-16 R``, of an edge. Bortz, Kalos, Lebowitz, J. Comput. Phys. 17, 10 (1975).

    ``x`` int8, ``classes`` int16 ``(walkers, sites)``; ``rates``, ``corrector`` float64 ``(rows, classes)``;
    ``neighbours`` int64 ``(sites, lanes)``; ``strides`` int64 ``(lanes,)``; ``counts`` int32 ``(walkers, classes)``;
    ``ones`` int64, ``walkers``, ``events`` int64, all others float64, ``(walkers,)``.
    """
    i_walker = tl.program_id(0).to(tl.int64)
    p_x += i_walker * sites
    p_classes += i_walker * sites
    p_counts += i_walker * classes
    log_weight = tl.load(p_log_weights + i_walker)
    remaining = tl.load(p_remaining + i_walker)
    walker = tl.load(p_walkers + i_walker)
    event = tl.load(p_events + i_walker)
    ones = tl.load(p_ones + i_walker)
    o_class = tl.arange(0, CLASSES)
    m_class = o_class < classes
    o_lane = tl.arange(0, LANES)
    m_lane = o_lane < lanes
    b_strides = tl.load(p_strides + o_lane, mask=m_lane, other=0).to(tl.int32)
    nought = tl.full((), 0, tl.uint32)
    exit_rate = tl.full((), 0.0, tl.float64)
    kappa = tl.full((), 0.0, tl.float64)
    left = tl.where(remaining != 0.0, steps, 0)
    while left > 0:
        o_row = (ones - first_row) * classes + o_class
        b_counts = tl.load(p_counts + o_class, mask=m_class, other=0).to(tl.float64)
        b_rates = tl.load(p_rates + o_row, mask=m_class, other=0.0)
        b_weights = b_counts * b_rates
        exit_rate = tl.sum(b_weights)
        kappa = tl.sum(b_counts * tl.load(p_corrector + o_row, mask=m_class, other=0.0))
        word0, word1, word2, word3 = philox(seed, STREAM, nought, event, nought, walker)
        finite = (tl.abs(exit_rate) < float("inf")) & (tl.abs(kappa) < float("inf"))
        # R = 0 gives T = inf: the walker holds to the boundary, and its κ counts.
        holding = -tl.log(uniform64(word0, word1)) / exit_rate
        jumps = (holding < remaining) & finite
        elapsed = tl.where(jumps, holding, remaining)
        log_weight = tl.where(finite, log_weight + elapsed * kappa, float("nan"))
        remaining = tl.where(finite, remaining - elapsed, remaining)
        event += 1
        left = tl.where(jumps, left - 1, 0)
        if jumps:
            threshold = uniform64(word2, word3) * exit_rate
            b_ends = tl.cumsum(b_weights, 0)
            # Rounding may leave no sum above the threshold: then it is the last class with a rate.
            last = tl.max(tl.where(b_weights > 0.0, o_class, 0), 0)
            m_after = (b_weights > 0.0) & (b_ends > threshold)
            chosen = tl.minimum(tl.min(tl.where(m_after, o_class, CLASSES), 0), last)
            m_chosen = o_class == chosen
            before = tl.sum(tl.where(m_chosen, b_ends - b_weights, 0.0))
            rate = tl.sum(tl.where(m_chosen, b_rates, 0.0))
            members = tl.sum(tl.where(m_chosen, b_counts, 0.0)).to(tl.int32)
            rank = ((threshold - before) / rate).to(tl.int32)
            rank = tl.minimum(tl.maximum(rank, 0), members - 1)

            site = tl.full((), 0, tl.int32)
            passed = tl.full((), 0, tl.int32)
            o_start = tl.full((), 0, tl.int32)
            while (passed <= rank) & (o_start < sites):
                o_site = o_start + tl.arange(0, BLOCK)
                b_classes = tl.load(p_classes + o_site, mask=o_site < sites, other=-1).to(tl.int32)
                m_member = b_classes == chosen
                b_rank = passed + tl.cumsum(m_member.to(tl.int32), 0) - 1
                site += tl.sum(tl.where(m_member & (b_rank == rank), o_site, 0))
                passed += tl.sum(m_member.to(tl.int32))
                o_start += BLOCK

            sign = 1 - 2 * tl.load(p_x + site).to(tl.int32)
            o_affected = tl.load(p_neighbours + site.to(tl.int64) * lanes + o_lane, mask=m_lane, other=0)
            b_before = tl.load(p_classes + o_affected, mask=m_lane, other=0).to(tl.int32)
            b_after = b_before + sign * b_strides
            # All threads have read before any of them writes, and written before any reads again.
            tl.debug_barrier()
            tl.store(p_x + site, (((1 + sign) // 2)).to(tl.int8))
            tl.store(p_classes + o_affected, b_after.to(tl.int16), mask=m_lane)
            tl.atomic_add(p_counts + b_before, -1, mask=m_lane)
            tl.atomic_add(p_counts + b_after, 1, mask=m_lane)
            ones += sign
            tl.debug_barrier()
    tl.store(p_log_weights + i_walker, log_weight)
    tl.store(p_remaining + i_walker, remaining)
    tl.store(p_events + i_walker, event)
    tl.store(p_exit_rate + i_walker, exit_rate)
    tl.store(p_kappa + i_walker, kappa)


def _variant(classes: int) -> Variant:
    double, integer = torch.float64, torch.int64
    inputs = (torch.int8, double, double, integer, integer, double, double, integer, integer)
    working = (torch.int16, torch.int32, integer, double, double)
    constants = {"STREAM": int(Stream.JUMP), "CLASSES": classes, "LANES": LANES, "BLOCK": BLOCK}
    return Variant(local_jump_steps_kernel, (*inputs, *working), constants, warps=4 if classes == CLASSES[0] else 8)


VARIANTS = {classes: _variant(classes) for classes in CLASSES}


def local_jump_steps(
    configurations: Tensor,
    log_weights: Tensor,
    remaining: Tensor,
    walkers: Tensor,
    events: Tensor,
    rates: Tensor,
    corrector: Tensor,
    neighbours: Tensor,
    strides: Tensor,
    first_row: int,
    seed: int,
    steps: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Launcher of :func:`leaps_triton.kernels.local_jump_steps`."""
    count, sites, classes = len(configurations), configurations.shape[1:].numel(), rates.shape[1]
    after = [t.clone(memory_format=torch.contiguous_format) for t in (configurations, log_weights, remaining, events)]
    x, weights, left, made = after
    flat = x.flatten(1)
    of_site = site_classes(flat, neighbours, strides)
    cells = (of_site + torch.arange(count, device=x.device).unsqueeze(1) * classes).flatten()
    counts = torch.bincount(cells, minlength=count * classes).to(torch.int32)
    exit_rate, kappa = torch.zeros_like(weights), torch.zeros_like(weights)
    launch(
        VARIANTS[block_size(classes, CLASSES)], count, x, weights, left, walkers.contiguous(), made, rates.contiguous(),
        corrector.contiguous(), neighbours.contiguous(), strides.contiguous(), of_site.to(torch.int16), counts,
        flat.sum(1, dtype=torch.int64), exit_rate, kappa, sites, classes, strides.numel(), first_row, steps, seed,
    )  # fmt: skip
    return x, weights, left, made, exit_rate, kappa
