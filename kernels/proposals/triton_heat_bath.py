"""Kernels of ``proposal_rates`` and of its gradient in the heat-bath gauge."""

import itertools
from typing import Any

import torch
import triton
import triton.language as tl

from ..configs import Config, config
from ..device import exponential, kernel
from ..variants import Variant

__all__ = ["REVERSIBLE", "forward", "gradient", "reversible_rate"]

CONFIGS = {
    dtype: config("proposals", "heat_bath", str(dtype).removeprefix("torch."))
    for dtype in (torch.float32, torch.float64)
}
REVERSIBLE = {None: 0, "barker": 1, "square_root": 2, "metropolis": 3}


@triton.jit
def reversible_rate(log_ratios, REVERSIBLE: tl.constexpr):
    """Return ``g(e^Δ)`` with ``g(u) = u g(1/u)``, without overflow where ``g`` is bounded."""
    if REVERSIBLE == 1:
        # e^{-|Δ|} does not overflow: 1/(1 + e^{-Δ}) for Δ > 0, e^Δ/(1 + e^Δ) otherwise.
        small = exponential(tl.where(log_ratios > 0, -log_ratios, log_ratios))
        value = tl.where(log_ratios > 0, 1.0, small) / (1.0 + small)
    elif REVERSIBLE == 2:
        value = exponential(0.5 * log_ratios)
    else:
        value = exponential(tl.where(log_ratios > 0, 0.0, log_ratios))
    return value


@triton.jit
def normalisation(p_log_ratios, o_site, m_site, sites, shifts):
    """Return ``max_k Δ_k`` and ``Σ_k e^{Δ_k - max}`` of a block of sites, ``Δ_0 = 0``."""
    DTYPE: tl.constexpr = p_log_ratios.dtype.element_ty
    greatest = tl.zeros(o_site.shape, DTYPE)
    for i_shift in range(0, shifts):
        b_log_ratios = tl.load(p_log_ratios + i_shift * sites + o_site, mask=m_site, other=0.0)
        greatest = tl.maximum(greatest, b_log_ratios)
    # Of the largest state the exponential is 1: the sum neither overflows nor vanishes.
    total = exponential(-greatest)
    for i_shift in range(0, shifts):
        b_log_ratios = tl.load(p_log_ratios + i_shift * sites + o_site, mask=m_site, other=0.0)
        total += exponential(b_log_ratios - greatest)
    return greatest, total


@kernel
def heat_bath_rates_kernel(
    p_network, p_log_ratios, p_rates, p_in_rates, p_exit_rate, p_corrector,
    sites: tl.int32, shifts: tl.int32, chunk: tl.int32, chunks: tl.int32, scale: tl.float64,
    BINARY: tl.constexpr, REVERSIBLE: tl.constexpr, INWARD: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Compute ``rates = [D]_+ p + scale g(e^Δ)``, their sum, the corrector and the way back.

    ``p_k(i) = e^{Δ_k(i)} / Σ_a e^{Δ_a(i)}``, ``Δ_0 = 0``; ``R = Σ rates``, ``κ = Σ_m p_m D_m``,
    ``in_rates = [-D]_+ p + scale g(e^Δ)``. One program per walker and chunk of sites.

    ``network``, ``log_ratios``, ``rates``, ``in_rates`` ``(walkers, shifts, sites)``;
    ``exit_rate``, ``corrector`` float64 ``(walkers, chunks)``.
    """
    DTYPE: tl.constexpr = p_rates.dtype.element_ty
    # 64 bits, since all walkers together may have more than 2³¹ moves.
    i_walker = (tl.program_id(0) // chunks).to(tl.int64)
    i_chunk = tl.program_id(0) % chunks
    o_walker = i_walker * shifts * sites
    p_network += o_walker
    p_log_ratios += o_walker
    p_rates += o_walker
    p_in_rates += o_walker
    # One float64 sum per thread's site, added up at the end.
    exit_rate = tl.zeros([BLOCK], tl.float64)
    corrector = tl.zeros([BLOCK], tl.float64)
    for o_start in range(i_chunk * chunk, tl.minimum(sites, (i_chunk + 1) * chunk), BLOCK):
        o_site = o_start + tl.arange(0, BLOCK)
        m_site = o_site < sites
        if not BINARY:
            b_greatest, b_total = normalisation(p_log_ratios, o_site, m_site, sites, shifts)
        for i_shift in range(0, shifts):
            o_move = i_shift * sites + o_site
            b_log_ratios = tl.load(p_log_ratios + o_move, mask=m_site, other=0.0)
            if BINARY:
                # Of two states a heat bath is Barker's rate.
                b_probability = reversible_rate(b_log_ratios, 1)
            else:
                b_probability = exponential(b_log_ratios - b_greatest) / b_total
            b_terms = tl.load(p_network + o_move, mask=m_site, other=0.0) * b_probability
            corrector += b_terms.to(tl.float64)
            # Written so that NaN stays NaN.
            b_rates = tl.where(b_terms <= 0, 0.0, b_terms)
            b_added = tl.zeros([BLOCK], DTYPE)
            if REVERSIBLE:
                b_reversible = reversible_rate(b_log_ratios, REVERSIBLE).to(tl.float64) * scale
                # Beyond the last site Δ = 0 would give a rate, which the mask takes away.
                b_added = tl.where(m_site, b_reversible, 0.0).to(DTYPE)
                b_rates += b_added
            exit_rate += b_rates.to(tl.float64)
            tl.store(p_rates + o_move, b_rates, mask=m_site)
            if INWARD:
                b_back = tl.where(b_terms >= 0, 0.0, -b_terms) + b_added
                tl.store(p_in_rates + o_move, b_back, mask=m_site)
    tl.store(p_exit_rate + tl.program_id(0), tl.sum(exit_rate))
    tl.store(p_corrector + tl.program_id(0), tl.sum(corrector))


@kernel
def heat_bath_gradient_kernel(
    p_network, p_log_ratios, p_to_rates, p_to_in_rates, p_to_exit_rate, p_to_corrector, p_gradient,
    sites: tl.int32, shifts: tl.int32, chunk: tl.int32, chunks: tl.int32,
    BINARY: tl.constexpr, RATES: tl.constexpr, INWARD: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Compute the gradient with respect to ``D``, given those of the four results.

    ``∂/∂D = p ([D > 0] (r + R') + κ' - [D < 0] b)``, with ``r`` the gradient of the rates, ``R'``
    that of the exit rate, ``κ'`` that of the corrector and ``b`` that of the in-rates. One program
    per walker and chunk of sites.

    ``network``, ``log_ratios``, ``to_rates``, ``to_in_rates``, ``gradient`` ``(walkers, shifts,
    sites)``; ``to_exit_rate``, ``to_corrector`` float64 ``(walkers,)``.
    """
    DTYPE: tl.constexpr = p_gradient.dtype.element_ty
    # 64 bits, since all walkers together may have more than 2³¹ moves.
    i_walker = (tl.program_id(0) // chunks).to(tl.int64)
    i_chunk = tl.program_id(0) % chunks
    o_walker = i_walker * shifts * sites
    p_log_ratios += o_walker
    to_exit_rate = tl.load(p_to_exit_rate + i_walker).to(DTYPE)
    to_corrector = tl.load(p_to_corrector + i_walker).to(DTYPE)
    for o_start in range(i_chunk * chunk, tl.minimum(sites, (i_chunk + 1) * chunk), BLOCK):
        o_site = o_start + tl.arange(0, BLOCK)
        m_site = o_site < sites
        if not BINARY:
            b_greatest, b_total = normalisation(p_log_ratios, o_site, m_site, sites, shifts)
        for i_shift in range(0, shifts):
            o_move = i_shift * sites + o_site
            o_row = o_walker + o_move
            b_log_ratios = tl.load(p_log_ratios + o_move, mask=m_site, other=0.0)
            if BINARY:
                b_probability = reversible_rate(b_log_ratios, 1)
            else:
                b_probability = exponential(b_log_ratios - b_greatest) / b_total
            b_out = tl.zeros([BLOCK], DTYPE) + to_exit_rate
            if RATES:
                b_out += tl.load(p_to_rates + o_row, mask=m_site, other=0.0)
            b_network = tl.load(p_network + o_row, mask=m_site, other=0.0)
            b_sum = tl.where(b_network <= 0, 0.0, b_out) + to_corrector
            if INWARD:
                b_back = tl.load(p_to_in_rates + o_row, mask=m_site, other=0.0)
                b_sum -= tl.where(b_network < 0, b_back, 0.0)
            tl.store(p_gradient + o_row, b_probability * b_sum, mask=m_site)


KINDS = ("binary", "general")
"""Two states, or any number of them."""


def _variant(
    function: Any, pointers: tuple[torch.dtype, ...], constants: dict[str, Any], chosen: Config
) -> Variant:
    return Variant(function, pointers, constants, warps=chosen.warps, registers=chosen.registers)


def forward() -> dict[tuple[object, ...], Variant]:
    """Return the variants of the rates, by kind, reversible rates, dtype and the way back."""
    made: dict[tuple[object, ...], Variant] = {}
    for kind, name, dtype, inward in itertools.product(KINDS, REVERSIBLE, CONFIGS, (False, True)):
        constants = {
            "BINARY": kind == "binary",
            "REVERSIBLE": REVERSIBLE[name],
            "INWARD": inward,
            **CONFIGS[dtype].constants,
        }
        pointers = (*(dtype,) * 4, *(torch.float64,) * 2)
        variant = _variant(heat_bath_rates_kernel, pointers, constants, CONFIGS[dtype])
        made[f"heat_bath {kind}", name, dtype, inward] = variant
    return made


def gradient() -> dict[tuple[object, ...], Variant]:
    """Return the variants of the gradient, by kind, gradients of both rates, and dtype."""
    made: dict[tuple[object, ...], Variant] = {}
    flags = (False, True)
    for kind, rates, dtype, inward in itertools.product(KINDS, flags, CONFIGS, flags):
        constants = {
            "BINARY": kind == "binary",
            "RATES": rates,
            "INWARD": inward,
            **CONFIGS[dtype].constants,
        }
        pointers = (*(dtype,) * 4, *(torch.float64,) * 2, dtype)
        variant = _variant(heat_bath_gradient_kernel, pointers, constants, CONFIGS[dtype])
        made[f"heat_bath {kind}", rates, dtype, inward] = variant
    return made
