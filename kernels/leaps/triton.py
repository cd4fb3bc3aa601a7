"""Kernels of ``tau_leap_step``, of ``tau_leap_log_probability`` and of its gradient."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..configs import config
from ..device import kernel, philox, uniform64
from ..philox import Stream
from ..variants import Variant, launch

__all__ = [
    "VARIANTS",
    "tau_leap_log_probability",
    "tau_leap_log_probability_gradient",
    "tau_leap_step",
]

CONFIG = config("leaps")
CHUNK = CONFIG.launch["CHUNK"]
"""Sites of one program; of larger lattices the sums of several are added afterwards."""


@triton.jit
def departure(hazard):
    """Return ``1 - e^{-a}`` for ``a >= 0``, to a few units in the last place.

    ``(1 - u) a / -log u`` with ``u = e^{-a}`` rounded: the error of ``u`` cancels. Kahan; Higham,
    *Accuracy and stability of numerical algorithms* (2002), section 1.14.1.
    """
    stay = tl.exp(-hazard)
    # Where e^{-a} rounds to 1 the result is a to first order, and the logarithm would be 0.
    small = stay == 1.0
    # e^{-40} is below the rounding of 1: the result is 1, and the logarithm might be infinite.
    large = hazard > 40.0
    value = (1.0 - stay) * (hazard / -tl.log(tl.where(small | large, 0.5, stay)))
    return tl.where(small, hazard, tl.where(large, 1.0, value))


@triton.jit
def log_term(moved, leaves, hazard, rate, total):
    """Return a site's ``-hΛ`` if it stays, ``log(1 - e^{-hΛ}) + log λ_k/Λ`` if it moved.

    All float64 ``[sites]``; minus infinity for a move of rate 0.
    """
    # Without any rate the quotient would be NaN; it is then 0, and its logarithm minus infinity.
    log_move = tl.log(leaves) + tl.log(rate / tl.where(total == 0.0, 1.0, total))
    return tl.where(moved, log_move, -hazard)


@kernel
def tau_leap_step_kernel(
    p_x, p_rates, p_duration, p_walkers, p_events, p_after, p_log_probability,
    sites: tl.int32, shifts: tl.int32, chunk: tl.int32, chunks: tl.int32, seed: tl.int64,
    STREAM: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Move all sites ``x_i → x_i + k`` with probability ``(1 - e^{-hΛ_i}) λ_k/Λ_i``.

    Its logarithm is summed by the way, from the very numbers that the step was drawn with. One
    program per walker and chunk of sites; float64 from the rates on. Two uniform numbers per
    site, of one Philox call: whether it moves, and by which shift. The step differs from the twin's
    if such a number is within rounding, 1e-16, of the edge. A move of rate 0 is never made.

    ``x``, ``after`` int8 ``(walkers, sites)``; ``rates`` ``(walkers, shifts, sites)``; ``walkers``,
    ``events`` int64 and ``duration`` float64 ``(walkers,)``; ``log_probability`` float64
    ``(walkers, chunks)``.
    """
    # 64 bits, since all walkers together may have more than 2³¹ rates.
    i_walker = (tl.program_id(0) // chunks).to(tl.int64)
    i_chunk = tl.program_id(0) % chunks
    p_x += i_walker * sites
    p_after += i_walker * sites
    p_rates += i_walker * sites * shifts
    duration = tl.load(p_duration + i_walker)
    event = tl.load(p_events + i_walker)
    walker = tl.load(p_walkers + i_walker)
    nought = tl.full((), 0, tl.uint32)
    log_probability = tl.zeros([BLOCK], tl.float64)
    for o_start in range(i_chunk * chunk, tl.minimum(sites, (i_chunk + 1) * chunk), BLOCK):
        o_site = o_start + tl.arange(0, BLOCK)
        m_site = o_site < sites
        total = tl.zeros([BLOCK], tl.float64)
        for shift in range(0, shifts):
            total += tl.load(p_rates + shift * sites + o_site, mask=m_site, other=0.0).to(
                tl.float64
            )
        # One counter per site and event: two words say whether it moves, two by which shift.
        word0, word1, word2, word3 = philox(seed, STREAM, o_site, event, nought, walker)
        hazard = duration * total
        leaves = departure(hazard)
        # False for NaN too: such a site stays.
        finite = tl.abs(total) < float("inf")
        moved = (uniform64(word0, word1) < leaves) & finite
        threshold = uniform64(word2, word3) * total
        before = tl.zeros([BLOCK], tl.float64)
        # Two passes over the rates, since which one is chosen depends on their sum.
        rate = tl.full([BLOCK], 1.0, tl.float64)
        chosen = tl.full([BLOCK], 1, tl.int32)
        for shift in range(0, shifts):
            b_rate = tl.load(p_rates + shift * sites + o_site, mask=m_site, other=0.0).to(
                tl.float64
            )
            after = before + b_rate
            # The first sum above the threshold, so that a move of rate 0 is never chosen.
            rate = tl.where((before <= threshold) & (after > threshold), b_rate, rate)
            chosen += tl.where(after <= threshold, 1, 0)
            before = after
        b_x = tl.load(p_x + o_site, mask=m_site, other=0).to(tl.int32)
        b_x = tl.where(moved, (b_x + chosen) % (shifts + 1), b_x)
        tl.store(p_after + o_site, b_x.to(tl.int8), mask=m_site)
        term = log_term(moved, leaves, hazard, rate, total)
        # A site whose rates are not finite makes the walker's sum NaN, for the caller to report.
        log_probability += tl.where(finite, term, float("nan"))
    tl.store(p_log_probability + tl.program_id(0), tl.sum(log_probability))


@kernel
def tau_leap_log_probability_kernel(
    p_x, p_after, p_rates, p_duration, p_log_probability,
    sites: tl.int32, shifts: tl.int32, chunk: tl.int32, chunks: tl.int32, BLOCK: tl.constexpr,
):  # fmt: skip
    """Return ``Σ_i log {e^{-hΛ_i} if y_i = x_i; (1 - e^{-hΛ_i}) λ_k/Λ_i if y_i = x_i + k}``.

    One program per walker and chunk of sites, in float64 as :func:`tau_leap_step_kernel`.

    ``x``, ``after`` int8 ``(walkers, sites)``; ``rates`` ``(walkers, shifts, sites)``; ``duration``
    float64 ``(walkers,)``; ``log_probability`` float64 ``(walkers, chunks)``.
    """
    # 64 bits, since all walkers together may have more than 2³¹ rates.
    i_walker = (tl.program_id(0) // chunks).to(tl.int64)
    i_chunk = tl.program_id(0) % chunks
    p_x += i_walker * sites
    p_after += i_walker * sites
    p_rates += i_walker * sites * shifts
    duration = tl.load(p_duration + i_walker)
    log_probability = tl.zeros([BLOCK], tl.float64)
    for o_start in range(i_chunk * chunk, tl.minimum(sites, (i_chunk + 1) * chunk), BLOCK):
        o_site = o_start + tl.arange(0, BLOCK)
        m_site = o_site < sites
        b_x = tl.load(p_x + o_site, mask=m_site, other=0).to(tl.int32)
        b_after = tl.load(p_after + o_site, mask=m_site, other=0).to(tl.int32)
        # Shifts are counted modulo q = shifts + 1; the q in front keeps the remainder positive.
        made = (b_after - b_x + shifts + 1) % (shifts + 1)
        total = tl.zeros([BLOCK], tl.float64)
        rate = tl.zeros([BLOCK], tl.float64)
        for shift in range(0, shifts):
            b_rate = tl.load(p_rates + shift * sites + o_site, mask=m_site, other=0.0).to(
                tl.float64
            )
            total += b_rate
            rate = tl.where(made == shift + 1, b_rate, rate)
        hazard = duration * total
        log_probability += log_term(made > 0, departure(hazard), hazard, rate, total)
    tl.store(p_log_probability + tl.program_id(0), tl.sum(log_probability))


@kernel
def tau_leap_log_probability_gradient_kernel(
    p_x, p_after, p_rates, p_duration, p_to_log_probability, p_gradient,
    sites: tl.int32, shifts: tl.int32, chunk: tl.int32, chunks: tl.int32, BLOCK: tl.constexpr,
):  # fmt: skip
    """Compute the gradient of ``log F(y|x)`` with respect to ``λ_k(i)``, times the one given.

    It is ``-h`` if the site stays, ``h/(e^{hΛ} - 1) - 1/Λ + [k made]/λ_k`` if it moves.

    ``x``, ``after`` int8 ``(walkers, sites)``; ``rates``, ``gradient`` ``(walkers, shifts,
    sites)``; ``duration``, ``to_log_probability`` float64 ``(walkers,)``.
    """
    DTYPE: tl.constexpr = p_gradient.dtype.element_ty
    # 64 bits, since all walkers together may have more than 2³¹ rates.
    i_walker = (tl.program_id(0) // chunks).to(tl.int64)
    i_chunk = tl.program_id(0) % chunks
    p_x += i_walker * sites
    p_after += i_walker * sites
    p_rates += i_walker * sites * shifts
    p_gradient += i_walker * sites * shifts
    duration = tl.load(p_duration + i_walker)
    given = tl.load(p_to_log_probability + i_walker)
    for o_start in range(i_chunk * chunk, tl.minimum(sites, (i_chunk + 1) * chunk), BLOCK):
        o_site = o_start + tl.arange(0, BLOCK)
        m_site = o_site < sites
        b_x = tl.load(p_x + o_site, mask=m_site, other=0).to(tl.int32)
        b_after = tl.load(p_after + o_site, mask=m_site, other=0).to(tl.int32)
        made = (b_after - b_x + shifts + 1) % (shifts + 1)
        total = tl.zeros([BLOCK], tl.float64)
        for shift in range(0, shifts):
            total += tl.load(p_rates + shift * sites + o_site, mask=m_site, other=0.0).to(
                tl.float64
            )
        hazard = duration * total
        # h / (e^{hΛ} - 1) without overflow
        moves = duration * tl.exp(-hazard) / departure(hazard) - 1.0 / total
        # What all rates of a site share; that of the move made has one term more.
        common = tl.where(made > 0, moves, -duration)
        for shift in range(0, shifts):
            b_rate = tl.load(p_rates + shift * sites + o_site, mask=m_site, other=1.0).to(
                tl.float64
            )
            gradient = given * (common + tl.where(made == shift + 1, 1.0 / b_rate, 0.0))
            tl.store(p_gradient + shift * sites + o_site, gradient.to(DTYPE), mask=m_site)


_DOUBLE = torch.float64
_INTEGER = torch.int64
_STATE = torch.int8
_SIZES = dict(CONFIG.constants)


def _step(dtype: torch.dtype) -> Variant:
    pointers = (_STATE, dtype, _DOUBLE, _INTEGER, _INTEGER, _STATE, _DOUBLE)
    made = config("leaps", "step", str(dtype).removeprefix("torch."))
    constants = {"STREAM": int(Stream.LEAP), **made.constants}
    return Variant(
        tau_leap_step_kernel,
        pointers,
        constants,
        warps=made.warps,
        registers=made.registers,
    )


def _log_probability(dtype: torch.dtype) -> Variant:
    pointers = (_STATE, _STATE, dtype, _DOUBLE, _DOUBLE)
    return Variant(tau_leap_log_probability_kernel, pointers, _SIZES, warps=CONFIG.warps)


def _gradient(dtype: torch.dtype) -> Variant:
    pointers = (_STATE, _STATE, dtype, _DOUBLE, _DOUBLE, dtype)
    return Variant(tau_leap_log_probability_gradient_kernel, pointers, _SIZES, warps=CONFIG.warps)


_MAKERS = {"step": _step, "log_probability": _log_probability, "gradient": _gradient}
VARIANTS = {
    (name, dtype): maker(dtype)
    for name, maker in _MAKERS.items()
    for dtype in (torch.float32, torch.float64)
}


def _launch(name: str, rates: Tensor, *tensors: Tensor, seed: int | None = None) -> None:
    """Run a kernel on all walkers and chunks."""
    walkers = len(rates)
    sites = rates.shape[2:].numel()
    shifts = rates.shape[1]
    chunks = triton.cdiv(sites, CHUNK)
    # The step alone draws random numbers.
    scalars = [sites, shifts, CHUNK, chunks]
    if seed is not None:
        scalars.append(seed)
    launch(VARIANTS[name, rates.dtype], walkers * chunks, *tensors, *scalars)


def _sums(rates: Tensor) -> Tensor:
    chunks = triton.cdiv(rates.shape[2:].numel(), CHUNK)
    return torch.empty(len(rates), chunks, dtype=torch.float64, device=rates.device)


def tau_leap_step(
    configurations: Tensor,
    rates: Tensor,
    duration: Tensor,
    walkers: Tensor,
    events: Tensor,
    seed: int,
) -> tuple[Tensor, Tensor]:
    """Launch the kernel of :func:`leaps_triton.kernels.tau_leap_step`."""
    x, rates, *given = (t.contiguous() for t in (configurations, rates, duration, walkers, events))
    after = torch.empty_like(x)
    log_probability = _sums(rates)
    _launch("step", rates, x, rates, *given, after, log_probability, seed=seed)
    return after, log_probability.sum(1)


def tau_leap_log_probability(
    configurations: Tensor, after: Tensor, rates: Tensor, duration: Tensor
) -> Tensor:
    """Launch the kernel of :func:`leaps_triton.kernels.tau_leap_log_probability`."""
    given = [t.contiguous() for t in (configurations, after, rates, duration)]
    log_probability = _sums(rates)
    _launch("log_probability", rates, *given, log_probability)
    return log_probability.sum(1)


def tau_leap_log_probability_gradient(
    configurations: Tensor,
    after: Tensor,
    rates: Tensor,
    duration: Tensor,
    to_log_probability: Tensor,
) -> Tensor:
    """Launch the kernel of the gradient of :func:`tau_leap_log_probability`."""
    given = [t.contiguous() for t in (configurations, after, rates, duration, to_log_probability)]
    gradient = torch.empty_like(given[2])
    _launch("gradient", rates, *given, gradient)
    return gradient
