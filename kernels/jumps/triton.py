"""Kernel of the op ``jump_step``."""

import itertools

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..configs import Config, configs
from ..device import kernel, philox, uniform64
from ..functions.triton import exponential64, mean_exponential64
from ..philox import Stream
from ..variants import Variant, block_size, launch

__all__ = ["VARIANTS", "growth", "jump_step"]


def _by_block(*key: str) -> dict[int, Config]:
    return {made.constants["BLOCK"]: made for made in configs(*key)}


CONFIGS = {False: _by_block("jumps"), True: _by_block("jumps", "running")}
"""Configurations by whether the density runs on, and by the moves that a program treats at once."""
BLOCKS = tuple(CONFIGS[False])


@triton.jit
def growth(exponent, change, elapsed):
    """Return ``∫_0^s exp(E + c u / s) du = s e^{max(E, E + c)} φ₁(-|c|)``, float64."""
    greatest = exponent + tl.where(change > 0.0, change, 0.0)
    return elapsed * exponential64(greatest) * mean_exponential64(-tl.abs(change))


@triton.jit
def hold_correction(
    p_in_rates, p_slopes, speed, offset, remaining, elapsed, moves, BLOCK: tl.constexpr
):
    """Return ``Σ_m w_m (I_m - s)`` of a hold of one walker, ``I_m`` by :func:`growth`."""
    # β - β* at the beginning of the hold, and its change until the end.
    begin = offset - speed * remaining
    change = speed * elapsed
    total = tl.full((), 0.0, tl.float64)
    for o_start in range(0, moves, BLOCK):
        o_move = o_start + tl.arange(0, BLOCK)
        m_move = o_move < moves
        b_weights = tl.load(p_in_rates + o_move, mask=m_move, other=0.0).to(tl.float64)
        b_slopes = tl.load(p_slopes + o_move, mask=m_move, other=0.0).to(tl.float64)
        b_excess = growth(begin * b_slopes, change * b_slopes, elapsed) - elapsed
        # A rate of 0 adds nothing, even where the rest overflows.
        total += tl.sum(tl.where(b_weights == 0.0, 0.0, b_weights * b_excess))
    return total


@kernel
def jump_step_kernel(
    p_x, p_log_weights, p_remaining, p_rates, p_corrector, p_walkers, p_events,
    p_in_rates, p_slopes, p_speed, p_offset,
    p_x_after, p_log_weights_after, p_remaining_after, p_move,
    sites: tl.int32, moves: tl.int32, seed: tl.int64,
    STREAM: tl.constexpr, RUNNING: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Draw ``T ~ Exp(R)``, ``s = min(T, remaining)``, ``A += s κ``, and a move if there is time.

    The move is drawn from ``rates / R``. One program per walker; it is one function beyond 50 lines
    since the search needs the sum of all rates, which the program alone has. If RUNNING, the
    density moves on within the hold, and :func:`hold_correction` is taken off ``A``. It adds rates
    block by block, finds the block in which ``u R`` falls, and the move in that block. Sums are
    float64, but in another order than those of the twin: the move differs from the twin's if ``u
    R`` is within rounding, ``1e-16 R``, of the edge between two moves. A move of rate 0 is never
    made.

    ``x`` int8 ``(walkers, sites)``; ``rates``, ``in_rates``, ``slopes`` ``(walkers, moves)``,
    ``moves = (q-1) sites``;
    ``walkers``, ``events`` and ``move`` int64, all others float64, ``(walkers,)``.
    """
    # 64 bits, since all walkers together may have more than 2³¹ moves.
    i_walker = tl.program_id(0).to(tl.int64)
    p_x += i_walker * sites
    p_x_after += i_walker * sites
    p_rates += i_walker * moves
    remaining = tl.load(p_remaining + i_walker)
    corrector = tl.load(p_corrector + i_walker)
    event = tl.load(p_events + i_walker)
    walker = tl.load(p_walkers + i_walker)
    # Site and draw of the counter are 0: a walker's event takes one counter.
    nought = tl.full((), 0, tl.uint32)
    word0, word1, word2, word3 = philox(seed, STREAM, nought, event, nought, walker)

    # In float64 whatever the rates are: a sum over all moves decides which of them is made.
    exit_rate = tl.full((), 0.0, tl.float64)
    for o_start in range(0, moves, BLOCK):
        o_move = o_start + tl.arange(0, BLOCK)
        exit_rate += tl.sum(
            tl.load(p_rates + o_move, mask=o_move < moves, other=0.0).to(tl.float64)
        )
    # False for NaN too, of which no comparison is true.
    finite = (tl.abs(exit_rate) < float("inf")) & (tl.abs(corrector) < float("inf"))
    # R = 0 gives T = inf: the walker holds to the boundary, and its κ counts.
    holding = -tl.log(uniform64(word0, word1)) / exit_rate
    jumps = (holding < remaining) & finite
    elapsed = tl.where(jumps, holding, remaining)
    gain = elapsed * corrector
    if RUNNING:
        p_in_rates += i_walker * moves
        p_slopes += i_walker * moves
        speed = tl.load(p_speed + i_walker)
        offset = tl.load(p_offset + i_walker)
        correction = hold_correction(
            p_in_rates, p_slopes, speed, offset, remaining, elapsed, moves, BLOCK
        )
        gain -= correction
        finite &= tl.abs(correction) < float("inf")
        jumps &= finite

    # The last block with a rate that begins at or below the threshold.
    threshold = uniform64(word2, word3) * exit_rate
    before = tl.full((), 0.0, tl.float64)
    offset = tl.full((), 0.0, tl.float64)
    chosen = tl.full((), 0, tl.int32)
    for o_start in range(0, moves, BLOCK):
        o_move = o_start + tl.arange(0, BLOCK)
        mass = tl.sum(tl.load(p_rates + o_move, mask=o_move < moves, other=0.0).to(tl.float64))
        # A block without any rate is never chosen, even where the threshold is on its edge.
        here = (before <= threshold) & (mass > 0.0)
        chosen = tl.where(here, o_start, chosen)
        offset = tl.where(here, before, offset)
        before += mass
    o_move = chosen + tl.arange(0, BLOCK)
    b_rates = tl.load(p_rates + o_move, mask=o_move < moves, other=0.0).to(tl.float64)
    m_after = (b_rates > 0.0) & (offset + tl.cumsum(b_rates, 0) > threshold)
    # Rounding may leave no sum above the threshold: then it is the last move with a rate.
    last = tl.max(tl.where(b_rates > 0.0, o_move, 0), 0)
    move = tl.minimum(tl.min(tl.where(m_after, o_move, moves), 0), last)

    # Moves are numbered shift by shift, from a shift of 1.
    site = move % sites
    states = moves // sites + 1
    # No site is number -1: a walker that does not jump is copied.
    changed = tl.where(jumps, site, -1)
    after = (tl.load(p_x + site).to(tl.int32) + move // sites + 1) % states
    for o_start in range(0, sites, BLOCK):
        o_site = o_start + tl.arange(0, BLOCK)
        m_site = o_site < sites
        b_x = tl.load(p_x + o_site, mask=m_site, other=0)
        b_x = tl.where(o_site == changed, after.to(tl.int8), b_x)
        tl.store(p_x_after + o_site, b_x, mask=m_site)
    # A walker without time left is left alone, whatever its rates.
    gain = tl.where(remaining == 0.0, 0.0, tl.where(finite, gain, float("nan")))
    tl.store(p_log_weights_after + i_walker, tl.load(p_log_weights + i_walker) + gain)
    tl.store(p_remaining_after + i_walker, tl.where(finite, remaining - elapsed, remaining))
    tl.store(p_move + i_walker, tl.where(jumps, move, -1).to(tl.int64))


def _variant(block: int, dtype: torch.dtype, running: bool) -> Variant:
    double = torch.float64
    integer = torch.int64
    inputs = (torch.int8, double, double, dtype, double, integer, integer)
    density = (dtype, dtype, double, double)
    chosen = CONFIGS[running][block]
    constants = {"STREAM": int(Stream.JUMP), "RUNNING": running, **chosen.constants}
    pointers = (*inputs, *density, torch.int8, double, double, integer)
    return Variant(
        jump_step_kernel, pointers, constants, warps=chosen.warps, registers=chosen.registers
    )


KEYS = tuple(itertools.product(BLOCKS, (torch.float32, torch.float64)))
VARIANTS: dict[tuple[object, ...], Variant] = {key: _variant(*key, running=False) for key in KEYS}
VARIANTS |= {(*key, "running"): _variant(*key, running=True) for key in KEYS}


def jump_step(
    configurations: Tensor,
    log_weights: Tensor,
    remaining: Tensor,
    rates: Tensor,
    corrector: Tensor,
    walkers: Tensor,
    events: Tensor,
    seed: int,
    in_rates: Tensor | None = None,
    slopes: Tensor | None = None,
    speed: Tensor | None = None,
    offset: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Launch the kernel of :func:`leaps_triton.kernels.jump_step`."""
    before = (configurations, log_weights, remaining, rates, corrector, walkers, events)
    given = [t.contiguous() for t in before]
    count = len(configurations)
    sites = configurations.shape[1:].numel()
    moves = rates.shape[1:].numel()
    key: tuple[object, ...] = (block_size(moves, BLOCKS), rates.dtype)
    # Pointers that a variant does not read must point somewhere.
    density = [given[3], given[3], given[1], given[1]]
    if in_rates is not None:
        assert slopes is not None and speed is not None and offset is not None
        density = [t.contiguous() for t in (in_rates, slopes, speed, offset)]
        key = (*key, "running")
    after = [torch.empty_like(t) for t in (given[0], given[1], given[2], given[5])]
    launch(VARIANTS[key], count, *given, *density, *after, sites, moves, seed)
    return after[0], after[1], after[2], after[3]
