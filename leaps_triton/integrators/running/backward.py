"""One event of walkers whose density runs on during the holds, backward in time.

The process reversed in a running density leaves ``x`` at the rates ``w_m e^{(β_v - β*) d_m}``,
which change during a hold: every move has a clock of its own, and the first one wins.
"""

import torch
from torch import Tensor

from ... import kernels
from ...kernels import Stream
from ...kernels.functions.reference import logarithm
from ..rates import Evaluation, Rates, Reversible, rates_of
from ..states import JumpInfo, JumpState
from .forward import hold
from .pieces import Pieces

__all__ = ["clocks", "step_back"]


def step_back(
    state: JumpState,
    found: Evaluation,
    piece: Pieces,
    lengths: Tensor,
    added: Reversible | None,
    seed: int,
) -> tuple[JumpState, JumpInfo]:
    """Advance every walker with time remaining by one event or to the beginning of its interval.

    ``A`` grows by what the same hold adds forward. The random numbers of move ``m`` are those of
    ``(walker, event, m)``.

    Args:
        state: the walkers.
        found: the network and the physics at their configurations, ``Δ`` at ``β*``.
        piece: of the interval each is in.
        lengths: of these intervals, float64 ``(walkers,)``.
        added: reversible rates; None for none.
        seed: in [0, 2³²).
    """
    rates = rates_of(found, added, inward=True)
    running = hold(found, rates.in_rates, piece)
    slopes = running.slopes.flatten(1).double()
    # β - β* now: the speed counts from the end of the interval.
    ahead = piece.offset - piece.speed * (lengths - state.remaining)
    log_hazards = running.in_rates.flatten(1).double().log() + ahead.unsqueeze(1) * slopes
    # A rate of 0 stays 0, whatever the density.
    log_hazards = torch.where(running.in_rates.flatten(1) == 0, -torch.inf, log_hazards)
    exit_rate = log_hazards.exp().sum(1)
    finite = exit_rate.isfinite() & rates.corrector.isfinite()
    # Backward β falls as it rose.
    growths = -piece.speed.unsqueeze(1) * slopes
    times = clocks(_exponentials(state, slopes.shape[1], seed), log_hazards, growths)
    holding, first = times.min(1)
    jumps = (holding < state.remaining) & finite
    elapsed = torch.where(jumps, holding, state.remaining)
    # Forward, the same hold begins where this one ends.
    left = lengths - state.remaining + elapsed
    gain = elapsed * (rates.corrector - piece.speed * rates.energy)
    gain = gain - kernels.hold_correction(running, left, elapsed)
    finite = finite & gain.isfinite()
    move = torch.where(jumps & finite, first, -1)
    gain = torch.where(finite, gain, torch.nan).where(state.remaining != 0, 0.0)
    advanced = state._replace(
        configurations=_moved(state.configurations, move, found.log_ratios.shape[1] + 1),
        log_weights=state.log_weights + gain,
        remaining=torch.where(finite, state.remaining - elapsed, state.remaining),
        events=state.events + (state.remaining != 0),
    )
    told = Rates(rates.rates, exit_rate, rates.corrector, rates.energy)
    return advanced, JumpInfo(move, told)


def clocks(exponentials: Tensor, log_hazards: Tensor, growths: Tensor) -> Tensor:
    """Return when each move would be made, by hazards that grow exponentially; infinity for never.

    ``T`` solves ``∫_0^T a e^{c u} du = E``: it is ``log(1 + c E / a) / c``, infinite where the
    argument is not positive, and ``E / a`` at ``c = 0``.

    Args:
        exponentials: ``E``, of a unit exponential law, float64 ``(walkers, moves)``.
        log_hazards: ``log a``, the same; minus infinity for moves that are never made.
        growths: ``c``, per unit of time, the same.

    Example:
        >>> one = torch.ones(1, 1).double()
        >>> clocks(one, 0.0 * one, 0.0 * one), clocks(one, 0.0 * one, -2.0 * one)
        (tensor([[1.]], dtype=torch.float64), tensor([[inf]], dtype=torch.float64))
    """
    even = exponentials * torch.exp(-log_hazards)
    argument = growths * even
    # A hazard that dies out may never have come to E.
    grown = torch.where(argument > -1.0, torch.log1p(argument) / growths, torch.inf)
    return torch.where(growths == 0.0, even, grown)


def _exponentials(state: JumpState, moves: int, seed: int) -> Tensor:
    """Return a number of a unit exponential law for each walker and move."""
    device = state.walkers.device
    move = torch.arange(moves, device=device)
    event = state.events.unsqueeze(1)
    walker = state.walkers.unsqueeze(1)
    words = kernels.philox(seed, Stream.BACKWARD, move, event, 0, walker, device)
    return -logarithm(kernels.uniform64(words[0], words[1]))


def _moved(configurations: Tensor, move: Tensor, q: int) -> Tensor:
    """Return configurations after one move of each walker; -1 for none."""
    flat = configurations.flatten(1)
    # Any site stands in for none, and keeps its state.
    site = (move.clamp(min=0) % flat.shape[1]).unsqueeze(1)
    # Moves are numbered shift by shift, from a shift of 1.
    shift = torch.where(move < 0, 0, move // flat.shape[1] + 1).unsqueeze(1)
    state = (flat.gather(1, site) + shift) % q
    return flat.scatter(1, site, state.to(flat.dtype)).view_as(configurations)
