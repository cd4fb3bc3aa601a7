"""One event of walkers whose density runs on during the holds, forward."""

from torch import Tensor

from ... import kernels
from ..rates import Evaluation, Reversible, rates_of
from ..states import JumpInfo, JumpState
from .pieces import Pieces

__all__ = ["hold", "step"]


def step(
    state: JumpState, found: Evaluation, piece: Pieces, added: Reversible | None, seed: int
) -> tuple[JumpState, JumpInfo]:
    """Advance every walker with time remaining by one event or to the end of its interval.

    Rates are those at ``β*``. A hold of duration ``s`` at ``x`` adds ``s (R - β' H) - Σ_m w_m
    ∫ e^{(β_v - β*) d_m} dv``, with ``w`` the in-rates at ``β*`` and ``d_m = -δH_m``; a jump adds
    nothing, since ``A`` is that of one density on both sides of it.

    Args:
        state: the walkers.
        found: the network and the physics at their configurations, ``Δ`` at ``β*``.
        piece: of the interval each is in.
        added: reversible rates; None for none.
        seed: in [0, 2³²).
    """
    rates = rates_of(found, added, inward=True)
    after = kernels.jump_step(
        state.configurations,
        state.log_weights,
        state.remaining,
        rates.rates,
        # -H(x) (β_{u+s} - β_u) is linear in s, like κ.
        rates.corrector - piece.speed * rates.energy,
        state.walkers,
        state.events,
        seed,
        hold(found, rates.in_rates, piece),
    )
    advanced = state._replace(
        configurations=after.configurations,
        log_weights=after.log_weights,
        remaining=after.remaining,
        # Walkers with no time left use no random number: their counters stay.
        events=state.events + (state.remaining != 0),
    )
    return advanced, JumpInfo(after.move, rates)


def hold(found: Evaluation, in_rates: Tensor | None, piece: Pieces) -> kernels.Running:
    """Return what the op needs to integrate the in-rates over a hold."""
    assert in_rates is not None and found.slopes is not None
    return kernels.Running(in_rates, found.slopes.to(in_rates.dtype), piece.speed, piece.offset)
