"""Kernels of the op ``proposal_rates`` and of its gradient."""

import itertools

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..configs import config
from ..device import exponential, kernel
from ..variants import Variant, launch
from . import triton_heat_bath as heat_bath
from .triton_heat_bath import REVERSIBLE, reversible_rate

__all__ = ["VARIANTS", "proposal_rates", "proposal_rates_gradient"]

CONFIG = config("proposals")
CHUNK = CONFIG.launch["CHUNK"]
"""Moves of one program; of larger lattices the sums of several are added afterwards."""


@triton.jit
def wide_exponential(x):
    """Return ``e^x`` of a float32 in float64, to some units of a float32.

    It is ``(e^{x/8})^8``: ``e^{x/8}`` overflows float32 where ``e^x`` overflows float64, as their
    largest exponents of 2 are 128 and 1024. The exponential of float64 takes many registers.
    """
    root = exponential(0.125 * x).to(tl.float64)
    square = root * root
    fourth = square * square
    return fourth * fourth


@kernel
def proposal_rates_kernel(
    p_network, p_log_ratios, p_rates, p_in_rates, p_exit_rate, p_corrector,
    moves: tl.int32, chunk: tl.int32, chunks: tl.int32, scale: tl.float64,
    NETWORK: tl.constexpr, REVERSIBLE: tl.constexpr, INWARD: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Compute ``rates = [G]_+ + scale g(e^Δ)``, their sum and the corrector.

    ``R = Σ rates``, ``κ = Σ_m [G_m]_+ - [-G_m]_+ e^{Δ_m}``; if INWARD the rates of the reversed
    process as well, ``in_rates = [-G]_+ e^Δ + scale g(e^Δ)``.

    One program per walker and chunk of moves. Holderrieth, Albergo, Jaakkola, *LEAPS*,
    arXiv:2502.10843 (2025).

    ``network``, ``log_ratios``, ``rates``, ``in_rates`` ``(walkers, moves)``; ``exit_rate``,
    ``corrector`` float64 ``(walkers, chunks)``.
    """
    DTYPE: tl.constexpr = p_rates.dtype.element_ty
    # 64 bits, since all walkers together may have more than 2³¹ moves.
    i_walker = (tl.program_id(0) // chunks).to(tl.int64)
    i_chunk = tl.program_id(0) % chunks
    p_network += i_walker * moves
    p_log_ratios += i_walker * moves
    p_rates += i_walker * moves
    p_in_rates += i_walker * moves
    # One float64 sum per thread's move, added up at the end.
    exit_rate = tl.zeros([BLOCK], tl.float64)
    corrector = tl.zeros([BLOCK], tl.float64)
    for o_start in range(i_chunk * chunk, tl.minimum(moves, (i_chunk + 1) * chunk), BLOCK):
        o_move = o_start + tl.arange(0, BLOCK)
        m_move = o_move < moves
        b_log_ratios = tl.load(p_log_ratios + o_move, mask=m_move, other=0.0)
        b_rates = tl.zeros([BLOCK], DTYPE)
        if NETWORK:
            b_network = tl.load(p_network + o_move, mask=m_move, other=0.0)
            # Written so that NaN stays NaN; where G >= 0 the in-rate is 0 even if e^Δ overflows.
            b_rates = tl.where(b_network <= 0, 0.0, b_network)
            b_in_rates = tl.where(b_network < 0, -b_network * exponential(b_log_ratios), 0.0)
            b_terms = (b_rates - b_in_rates).to(tl.float64)
            if b_network.dtype == tl.float32:
                # What overflows float32 is computed again in float64.
                b_wide = b_network.to(tl.float64) * wide_exponential(b_log_ratios)
                b_terms = tl.where(b_in_rates == float("inf"), b_wide, b_terms)
                # Times a small output it may be a float32 again.
                b_in_rates = tl.where(b_in_rates == float("inf"), -b_wide.to(DTYPE), b_in_rates)
            corrector += b_terms
        if REVERSIBLE:
            b_reversible = reversible_rate(b_log_ratios, REVERSIBLE).to(tl.float64) * scale
            # Beyond the last move Δ = 0 would give a rate, which the mask takes away.
            b_added = tl.where(m_move, b_reversible, 0.0).to(DTYPE)
            b_rates += b_added
        exit_rate += b_rates.to(tl.float64)
        tl.store(p_rates + o_move, b_rates, mask=m_move)
        if INWARD:
            # NaN of the output, for which no comparison is true, is that of the rates.
            b_back = tl.where(b_network != b_network, b_network, b_in_rates)
            if REVERSIBLE:
                b_back += b_added
            tl.store(p_in_rates + o_move, b_back, mask=m_move)
    tl.store(p_exit_rate + tl.program_id(0), tl.sum(exit_rate))
    tl.store(p_corrector + tl.program_id(0), tl.sum(corrector))


@kernel
def proposal_rates_gradient_kernel(
    p_network, p_log_ratios, p_to_rates, p_to_in_rates, p_to_exit_rate, p_to_corrector, p_gradient,
    moves: tl.int32, chunk: tl.int32, chunks: tl.int32,
    RATES: tl.constexpr, INWARD: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Compute the gradient with respect to ``G``, given those of the four results.

    ``∂/∂G = [G > 0] (r + R' + κ') + [G < 0] e^Δ (κ' - b)``, with ``r`` the gradient of the rates,
    ``R'`` that of the exit rate, ``κ'`` that of the corrector and ``b`` that of the in-rates; 0 at
    ``G = 0``, as :func:`torch.relu`. One program per walker and chunk of moves.

    ``network``, ``log_ratios``, ``to_rates``, ``to_in_rates``, ``gradient`` ``(walkers, moves)``;
    ``to_exit_rate``, ``to_corrector`` float64 ``(walkers,)``.
    """
    DTYPE: tl.constexpr = p_gradient.dtype.element_ty
    # 64 bits, since all walkers together may have more than 2³¹ moves.
    i_walker = (tl.program_id(0) // chunks).to(tl.int64)
    i_chunk = tl.program_id(0) % chunks
    to_corrector = tl.load(p_to_corrector + i_walker)
    to_both = (tl.load(p_to_exit_rate + i_walker) + to_corrector).to(DTYPE)
    for o_start in range(i_chunk * chunk, tl.minimum(moves, (i_chunk + 1) * chunk), BLOCK):
        o_move = o_start + tl.arange(0, BLOCK)
        m_move = o_move < moves
        o_row = i_walker * moves + o_move
        b_out = tl.zeros([BLOCK], DTYPE) + to_both
        if RATES:
            b_out += tl.load(p_to_rates + o_row, mask=m_move, other=0.0)
        b_network = tl.load(p_network + o_row, mask=m_move, other=0.0)
        b_log_ratios = tl.load(p_log_ratios + o_row, mask=m_move, other=0.0)
        upstream = to_corrector
        if INWARD:
            b_to_in_rates = tl.load(p_to_in_rates + o_row, mask=m_move, other=0.0)
            upstream = to_corrector - b_to_in_rates.to(tl.float64)
        b_in = exponential(b_log_ratios) * upstream.to(DTYPE)
        if b_in.dtype == tl.float32:
            # A large e^Δ may meet a small gradient. False for NaN too: what is not finite.
            m_finite = tl.abs(b_in) < float("inf")
            b_wide = wide_exponential(b_log_ratios) * upstream
            b_in = tl.where(m_finite, b_in, b_wide.to(DTYPE))
        # Without a gradient it adds nothing, even where e^Δ overflows.
        b_in = tl.where(upstream == 0.0, 0.0, b_in)
        # It may be infinite where G >= 0; there it is not chosen.
        b_gradient = tl.where(b_network <= 0, 0.0, b_out) + tl.where(b_network < 0, b_in, 0.0)
        tl.store(p_gradient + o_row, b_gradient, mask=m_move)


def _forward(network: bool, reversible: str | None, dtype: torch.dtype, inward: bool) -> Variant:
    terms = {"NETWORK": network, "REVERSIBLE": REVERSIBLE[reversible], "INWARD": inward}
    pointers = (*(dtype,) * 4, *(torch.float64,) * 2)
    chosen = CONFIG
    if inward:
        # The way back keeps more at hand.
        chosen = config("proposals", "inward", str(dtype).removeprefix("torch."))
    constants = {**terms, **chosen.constants}
    return Variant(
        proposal_rates_kernel, pointers, constants, warps=chosen.warps, registers=chosen.registers
    )


def _gradient(rates: bool, dtype: torch.dtype, inward: bool) -> Variant:
    pointers = (*(dtype,) * 4, *(torch.float64,) * 2, dtype)
    constants = {"RATES": rates, "INWARD": inward, **CONFIG.constants}
    return Variant(proposal_rates_gradient_kernel, pointers, constants, warps=CONFIG.warps)


def _named(table: dict[tuple[object, ...], Variant]) -> dict[tuple[object, ...], Variant]:
    """Return a table in whose keys the last part is a word instead of a flag."""
    named = {}
    for (*key, inward), variant in table.items():
        if inward:
            key.append("inward")
        named[tuple(key)] = variant
    return named


_DTYPES = (torch.float32, torch.float64)
_FLAGS = (False, True)
# Without a network all rates are reversible, and the way back has the same.
FORWARD: dict[tuple[object, ...], Variant] = {
    key: _forward(*key)
    for key in itertools.product((True, False), REVERSIBLE, _DTYPES, _FLAGS)
    if key[0] or (key[1] is not None and not key[3])
} | heat_bath.forward()
"""By network or gauge, reversible rates, dtype, and whether the way back is wanted."""
GRADIENT: dict[tuple[object, ...], Variant] = {
    ("plain", *key): _gradient(*key) for key in itertools.product((True, False), _DTYPES, _FLAGS)
} | heat_bath.gradient()
"""By gauge, whether the rates have a gradient, dtype, and whether the way back has one."""
VARIANTS = {("forward", *key): v for key, v in _named(FORWARD).items()} | {
    ("gradient", *key): v for key, v in _named(GRADIENT).items()
}


def proposal_rates(
    network_output: Tensor | None,
    log_ratios: Tensor,
    reversible: str | None,
    scale: float,
    gauge: str = "plain",
    inward: bool = False,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Launch the kernel of :func:`leaps_triton.kernels.proposal_rates`."""
    log_ratios = log_ratios.contiguous()
    # A pointer that the variant does not read must point somewhere.
    network = log_ratios
    given = network_output is not None
    by_site = given and gauge == "heat_bath"
    kind: bool | str = given
    if network_output is not None:
        network = network_output.contiguous()
    if by_site:
        kind = _heat_bath_kind(log_ratios)
    walkers = len(log_ratios)
    sizes, chunks = _sizes(log_ratios, by_site)
    rates = torch.empty_like(log_ratios)
    back = rates
    both_ways = inward and network_output is not None
    if both_ways:
        back = torch.empty_like(rates)
    exit_rate = torch.empty(walkers, chunks, dtype=torch.float64, device=log_ratios.device)
    corrector = torch.empty_like(exit_rate)
    variant = FORWARD[kind, reversible, log_ratios.dtype, both_ways]
    launch(
        variant, walkers * chunks, network, log_ratios, rates, back, exit_rate, corrector,
        *sizes, float(scale),
    )  # fmt: skip
    if not inward:
        back = rates.new_empty(0)
    elif not both_ways:
        back = rates.clone()
    if chunks == 1:
        return rates, exit_rate.squeeze(1), corrector.squeeze(1), back
    return rates, exit_rate.sum(1), corrector.sum(1), back


def _heat_bath_kind(log_ratios: Tensor) -> str:
    if log_ratios.shape[1] == 1:
        return "heat_bath binary"
    return "heat_bath general"


def _sizes(log_ratios: Tensor, by_site: bool) -> tuple[tuple[int, ...], int]:
    """Return the sizes that a kernel is given, and how many programs a walker has.

    Args:
        log_ratios: ``(walkers, q-1, *shape)``.
        by_site: Whether a program has all moves of its sites, instead of any.
    """
    if by_site:
        sites = log_ratios.shape[2:].numel()
        chunks = triton.cdiv(sites, CHUNK)
        return (sites, log_ratios.shape[1], CHUNK, chunks), chunks
    moves = log_ratios.shape[1:].numel()
    chunks = triton.cdiv(moves, CHUNK)
    return (moves, CHUNK, chunks), chunks


def proposal_rates_gradient(
    network_output: Tensor,
    log_ratios: Tensor,
    to_rates: Tensor | None,
    to_exit_rate: Tensor,
    to_corrector: Tensor,
    gauge: str = "plain",
    to_in_rates: Tensor | None = None,
) -> Tensor:
    """Launch the kernel of the gradient of :func:`proposal_rates`."""
    network = network_output.contiguous()
    log_ratios = log_ratios.contiguous()
    gradient = torch.empty_like(network)
    kind = "plain"
    if gauge == "heat_bath":
        kind = _heat_bath_kind(log_ratios)
    sizes, chunks = _sizes(log_ratios, gauge == "heat_bath")
    variant = GRADIENT[kind, to_rates is not None, network.dtype, to_in_rates is not None]
    # A pointer that the variant does not read must point somewhere.
    upstream = network
    back = network
    if to_rates is not None:
        upstream = to_rates.contiguous()
    if to_in_rates is not None:
        back = to_in_rates.contiguous()
    launch(
        variant, len(network) * chunks, network, log_ratios, upstream, back,
        to_exit_rate.contiguous(), to_corrector.contiguous(), gradient, *sizes,
    )  # fmt: skip
    return gradient
