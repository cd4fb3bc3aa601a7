"""Kernel of the op ``local_jump_steps``."""

import torch
import triton.language as tl
from torch import Tensor

from ..configs import config
from ..device import kernel, philox, uniform64
from ..jumps.triton import growth
from ..philox import Stream
from ..variants import Variant, check_places, launch
from .reference import MOST_CLASSES, MOST_LANES, Events, site_classes

__all__ = ["VARIANTS", "local_jump_steps"]

CONFIGS = {False: config("class_jumps"), True: config("class_jumps", "running")}
"""Configurations by whether the density runs on."""
EVENTS = CONFIGS[False].constants["EVENTS"]
"""Most events of one launch."""


@kernel
def local_jump_steps_kernel(
    p_x, p_floats, p_integers, p_rates, p_corrector, p_neighbours, p_strides,
    p_in_rates, p_levels, p_level, p_classes, p_counts,
    sites: tl.int32, classes: tl.int32, lanes: tl.int32, first_row: tl.int32, steps: tl.int32,
    seed: tl.int64, speed: tl.float64, offset: tl.float64,
    STREAM: tl.constexpr, RUNNING: tl.constexpr, CLASSES: tl.constexpr, LANES: tl.constexpr,
    BLOCK: tl.constexpr, EVENTS: tl.constexpr,
):  # fmt: skip
    """Make up to ``steps`` events per walker, each of a class of sites and one of its sites.

    ``R = Σ_c n_c P_c(K)``, ``T ~ Exp(R)``, ``s = min(T, time left)``, ``A += s Σ_c n_c κ_c(K)``; a
    class by ``n_c P_c / R``, each of its sites with the same probability. If RUNNING, the density
    moves on within a hold, and ``A`` loses ``Σ_c n_c w_c (I_{level(c)} - s)`` as well. It is one
    function beyond 50 lines since a walker's state stays in registers from event to event.

    One program per walker, in place. A flip moves its site and neighbours to other classes, in
    ``classes`` and ``counts``, which lie in global memory between barriers. A site is found by its
    rank among those of its class, by a scan of the walker's classes. Sums are float64 in another
    order than the twin's: class and rank differ from the twin's if ``u R`` is within rounding,
    ``1e-16 R``, of an edge. Bortz, Kalos, Lebowitz, J. Comput. Phys. 17, 10 (1975).

    ``x`` int8, ``classes`` int16 ``(walkers, sites)``; ``floats`` float64 ``(4, walkers)``: ``A``,
    time left, ``R``, ``κ``; ``integers`` int64 ``(3, walkers)``: walker, events, ``K``; ``rates``,
    ``corrector``, ``in_rates`` float64 ``(rows, classes)``; ``neighbours`` int64 ``(sites,
    lanes)``; ``strides`` int64 ``(lanes,)``; ``levels`` float64 ``(levels,)``; ``level`` int64
    ``(classes,)``; ``counts`` int32 ``(walkers, classes)``.
    """
    # 64 bits, since all walkers together may have more than 2³¹ sites.
    i_walker = tl.program_id(0).to(tl.int64)
    p_x += i_walker * sites
    p_classes += i_walker * sites
    p_counts += i_walker * classes
    p_floats += i_walker
    p_integers += i_walker
    count = tl.num_programs(0).to(tl.int64)
    log_weight = tl.load(p_floats)
    remaining = tl.load(p_floats + count)
    walker = tl.load(p_integers).to(tl.uint32)
    first_event = tl.load(p_integers + count)
    row = (tl.load(p_integers + 2 * count) - first_row).to(tl.int32)
    o_class = tl.arange(0, CLASSES)
    m_class = o_class < classes
    o_lane = tl.arange(0, LANES)
    m_lane = o_lane < lanes
    b_strides = tl.load(p_strides + o_lane, mask=m_lane, other=0).to(tl.int32)
    o_event = tl.arange(0, EVENTS)
    # Site and draw of the counter are 0: an event takes one counter.
    nought = tl.full((), 0, tl.uint32)
    # One event a thread, instead of every event in all threads.
    word0, word1, word2, word3 = philox(seed, STREAM, nought, first_event + o_event, nought, walker)
    b_clock = -tl.log(uniform64(word0, word1))
    b_choice = uniform64(word2, word3)
    if RUNNING:
        b_level = tl.load(p_level + o_class, mask=m_class, other=0)
        b_slopes = tl.load(p_levels + b_level, mask=m_class, other=0.0)
    exit_rate = tl.load(p_floats + 2 * count)
    kappa = tl.load(p_floats + 3 * count)
    taken = tl.full((), 0, tl.int32)
    # A weight of NaN, which is unequal to itself, marks a walker that was given up.
    goes = (remaining != 0.0) & (log_weight == log_weight)
    while goes:
        o_row = row * classes + o_class
        # Float64, in which numbers of sites are exact.
        b_counts = tl.load(p_counts + o_class, mask=m_class, other=0).to(tl.float64)
        # A class without a site adds nothing, even where its entry overflows: 0 times infinity is
        # NaN, so it is not read.
        m_member = m_class & (b_counts > 0.0)
        b_rates = tl.load(p_rates + o_row, mask=m_member, other=0.0)
        b_weights = b_counts * b_rates
        exit_rate = tl.sum(b_weights)
        kappa = tl.sum(b_counts * tl.load(p_corrector + o_row, mask=m_member, other=0.0))
        # A sum over one entry: how a number leaves the thread that holds it.
        m_event = o_event == taken
        finite = (tl.abs(exit_rate) < float("inf")) & (tl.abs(kappa) < float("inf"))
        # R = 0 gives T = inf: the walker holds to the boundary, and its κ counts.
        holding = tl.sum(tl.where(m_event, b_clock, 0.0)) / exit_rate
        jumps = (holding < remaining) & finite
        elapsed = tl.where(jumps, holding, remaining)
        gain = elapsed * kappa
        if RUNNING:
            b_back = b_counts * tl.load(p_in_rates + o_row, mask=m_member, other=0.0)
            # β - β* at the beginning of the hold, and its change until the end.
            begin = offset - speed * remaining
            change = speed * elapsed
            b_excess = growth(begin * b_slopes, change * b_slopes, elapsed) - elapsed
            # A rate of 0 adds nothing, even where the rest overflows.
            correction = tl.sum(tl.where(b_back == 0.0, 0.0, b_back * b_excess))
            gain -= correction
            finite &= tl.abs(correction) < float("inf")
            jumps &= finite
        log_weight = tl.where(finite, log_weight + gain, float("nan"))
        remaining = tl.where(finite, remaining - elapsed, remaining)
        taken += 1
        goes = jumps & (taken < steps)
        if jumps:
            threshold = tl.sum(tl.where(m_event, b_choice, 0.0)) * exit_rate
            b_ends = tl.cumsum(b_weights, 0)
            # Rounding may leave no sum above the threshold: then it is the last class with a rate.
            last = tl.max(tl.where(b_weights > 0.0, o_class, 0), 0)
            m_after = (b_weights > 0.0) & (b_ends > threshold)
            chosen = tl.minimum(tl.min(tl.where(m_after, o_class, CLASSES), 0), last)
            m_chosen = o_class == chosen
            # Sums over one entry again: what belongs to the class chosen.
            before = tl.sum(tl.where(m_chosen, b_ends - b_weights, 0.0))
            rate = tl.sum(tl.where(m_chosen, b_rates, 0.0))
            members = tl.sum(tl.where(m_chosen, b_counts, 0.0)).to(tl.int32)
            # All sites of a class have one rate: what is left of the threshold numbers one of them.
            # Rounding may put the quotient a hair outside of the class.
            rank = ((threshold - before) / rate).to(tl.int32)
            rank = tl.minimum(tl.maximum(rank, 0), members - 1)

            site = tl.full((), 0, tl.int32)
            passed = tl.full((), 0, tl.int32)
            o_start = tl.full((), 0, tl.int32)
            while (passed <= rank) & (o_start < sites):
                o_site = o_start + tl.arange(0, BLOCK)
                b_classes = tl.load(p_classes + o_site, mask=o_site < sites, other=-1).to(tl.int32)
                b_member = (b_classes == chosen).to(tl.int32)
                # The member that as many precede as its rank says: one site of all blocks.
                m_found = (b_member != 0) & (passed + tl.cumsum(b_member, 0) - 1 == rank)
                site += tl.sum(tl.where(m_found, o_site, 0))
                passed += tl.sum(b_member)
                o_start += BLOCK

            # A flip from 0 adds each lane's stride to the classes around, one from 1 takes it away.
            sign = 1 - 2 * tl.load(p_x + site).to(tl.int32)
            o_affected = tl.load(
                p_neighbours + site.to(tl.int64) * lanes + o_lane, mask=m_lane, other=0
            )
            b_before = tl.load(p_classes + o_affected, mask=m_lane, other=0).to(tl.int32)
            b_after = b_before + sign * b_strides
            # All threads have read before any of them writes, and written before any reads again.
            tl.debug_barrier()
            tl.store(p_x + site, ((1 + sign) // 2).to(tl.int8))
            tl.store(p_classes + o_affected, b_after.to(tl.int16), mask=m_lane)
            # Several neighbours may leave or enter one class, so counts are changed atomically.
            # They are this program's alone, and its barriers order them: no fence is needed.
            tl.atomic_add(p_counts + b_before, -1, mask=m_lane, sem="relaxed", scope="cta")
            tl.atomic_add(p_counts + b_after, 1, mask=m_lane, sem="relaxed", scope="cta")
            # The tables have one row for each number of sites in state 1.
            row += sign
            tl.debug_barrier()
    tl.store(p_floats, log_weight)
    tl.store(p_floats + count, remaining)
    tl.store(p_floats + 2 * count, exit_rate)
    tl.store(p_floats + 3 * count, kappa)
    tl.store(p_integers + count, first_event + taken)
    tl.store(p_integers + 2 * count, (row + first_row).to(tl.int64))


def _variant(running: bool) -> Variant:
    double = torch.float64
    integer = torch.int64
    pointers = (
        torch.int8,
        double,
        integer,
        double,
        double,
        integer,
        integer,
        double,
        double,
        integer,
        torch.int16,
        torch.int32,
    )
    chosen = CONFIGS[running]
    sizes = {"CLASSES": MOST_CLASSES, "LANES": MOST_LANES, **chosen.constants}
    constants = {"STREAM": int(Stream.JUMP), "RUNNING": running, **sizes}
    return Variant(
        local_jump_steps_kernel, pointers, constants, warps=chosen.warps, registers=chosen.registers
    )


VARIANTS: dict[tuple[str, ...], Variant] = {
    (): _variant(running=False),
    ("running",): _variant(running=True),
}


def local_jump_steps(given: Events) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Launch the kernel of :func:`leaps_triton.kernels.local_jump_steps`, piece by piece."""
    count = len(given.configurations)
    sites = given.configurations.shape[1:].numel()
    classes = given.rates.shape[1]
    check_places(entries_of_the_table_of_rates=given.rates.numel())
    x = given.configurations.flatten(1).clone(memory_format=torch.contiguous_format)
    noughts = torch.zeros_like(given.log_weights)
    floats = torch.stack([given.log_weights, given.remaining, noughts, noughts])
    integers = torch.stack([given.walkers, given.events, x.sum(1, dtype=torch.int64)])
    of_site = site_classes(x, given.neighbours, given.strides)
    # One number per walker and class, so that one count serves all.
    cells = of_site + torch.arange(count, device=x.device).unsqueeze(1) * classes
    # Not bincount, which makes the host wait for the largest cell.
    counts = torch.zeros(count * classes, dtype=torch.int32, device=x.device)
    ones = torch.ones((), dtype=torch.int32, device=x.device).expand(cells.numel())
    counts.scatter_add_(0, cells.flatten(), ones)
    key: tuple[str, ...] = ()
    # Pointers that a variant does not read must point somewhere.
    density: tuple[Tensor, ...] = (given.rates, given.rates, given.strides)
    numbers_of_density = (0.0, 0.0)
    if given.running is not None:
        key = ("running",)
        density = given.running[:3]
        numbers_of_density = given.running[3:]
    tables = (given.rates, given.corrector, given.neighbours, given.strides, *density)
    tensors = (x, floats, integers, *(table.contiguous() for table in tables))
    of_site = of_site.to(torch.int16)
    numbers = (sites, classes, given.strides.numel(), given.first_row)
    for first in range(0, given.steps, EVENTS):
        steps = min(EVENTS, given.steps - first)
        launch(
            VARIANTS[key], count, *tensors, of_site, counts, *numbers, steps, given.seed,
            *numbers_of_density,
        )  # fmt: skip
    weights, left, exit_rate, kappa = (part.clone() for part in floats)
    after = x.view_as(given.configurations)
    return after, weights, left, integers[1].clone(), exit_rate, kappa
