"""What is not finite, at a large ``β`` or coupling above all, and what an error says of it.

``e^Δ`` overflows float32 beyond ``Δ = 88`` and float64 beyond 709. What a float64 or a logarithm
can hold is computed so; of the rest an error says that ``β`` is the reason.
"""

import math
from typing import Any, NoReturn

import torch
import torch.nn.functional as F
from torch import Tensor

from ..paths.base import Path
from .flows.evaluation import log_density_of
from .rates import Evaluation, Rates, Reversible, in_float64
from .states import State
from .transport import Transport

__all__ = [
    "CLOSED", "NETWORK", "beta_is_the_reason", "log_way", "reason_of_events", "reason_of_rates",
    "refuse_events", "refuse_rates", "refuse_weight",
]  # fmt: skip


NETWORK = (
    "the network's output there is too large or not a number (train longer, or with a smaller "
    "learning_rate)"
)
"""Why a rate is not finite, where β is not the reason."""

CLOSED = (
    "its way back has probability 0 to rounding (raise TauLeap(floor=), or take a network in "
    "float64)"
)
"""Why a step has weight 0 though its rates are finite, where β is not the reason."""


_LARGEST = math.log(torch.finfo(torch.float64).max)
"""The largest exponent of a float64, about 709."""

_UNUSUAL = 10.0
"""An inverse temperature or a coupling from which on it is worth a word."""


def log_way(
    given: Tensor,
    found: Evaluation,
    added: Reversible | None,
    moved: tuple[Tensor, Tensor],
    duration: Tensor,
    backward: bool,
) -> Tensor:
    """Return the log-probability of a step, computed again from logarithms where it is not finite.

    A rate ``[-G]_+ e^Δ + floor g(e^Δ)`` may be too large or too small for a number while its
    logarithm is not.

    Args:
        given: ``log F`` from the rates themselves, float64 ``(walkers,)``.
        found: the evaluation where the step begins.
        added: rates of the floor; None for none.
        moved: configurations where the step begins, and where it ends.
        duration: ``h``, float64 ``(walkers,)``.
        backward: whether the rates are those of the reversed process.
    """
    finite = given.isfinite()
    # A look makes a GPU wait: there all walkers are computed again, and few are taken.
    if given.device.type != "cpu":
        return torch.where(finite, given, _again(found, added, moved, duration, backward))
    # Few walkers at most, so that all others keep their bits.
    rows = (~finite).nonzero().squeeze(1)
    if not len(rows):
        return given
    output = None
    if found.output is not None:
        output = found.output[rows]
    part = Evaluation(output, found.log_ratios[rows], found.energy[rows], found.gauge)
    ends = (moved[0][rows], moved[1][rows])
    return given.index_copy(0, rows, _again(part, added, ends, duration[rows], backward))


def _again(
    found: Evaluation,
    added: Reversible | None,
    moved: tuple[Tensor, Tensor],
    duration: Tensor,
    backward: bool,
) -> Tensor:
    """Return the log-probability of steps from logarithms; arguments as in :func:`log_way`."""
    log_rates = _log_rates(in_float64(found), added, backward).flatten(2)
    before = moved[0].flatten(1).long()
    after = moved[1].flatten(1).long()
    return _log_probability(log_rates, before, after, duration)


def _log_rates(found: Evaluation, added: Reversible | None, backward: bool) -> Tensor:
    """Return logarithms of the rates, float64 ``(walkers, q-1, *shape)``; -inf where there is none.

    Arguments are as in :func:`log_way`.
    """
    log_ratios = found.log_ratios
    total = torch.full_like(log_ratios, -torch.inf)
    if found.output is not None:
        if backward:
            total = torch.log(torch.relu(-found.output))
        else:
            total = torch.log(torch.relu(found.output))
        if found.gauge == "heat_bath":
            total = total + _log_heat_bath(log_ratios)
        elif backward:
            total = total + log_ratios
    if added is None:
        return total
    floors = {
        "barker": F.logsigmoid,
        "square_root": _half,
        "metropolis": _at_most_nought,
    }
    floor = math.log(added.scale) + floors[added.kind](log_ratios)
    return torch.logaddexp(total, floor)


def _log_heat_bath(log_ratios: Tensor) -> Tensor:
    """Return ``log p`` of each move, the probability of a heat bath of its site to make it."""
    stays = torch.zeros_like(log_ratios[:, :1])
    return torch.log_softmax(torch.cat([stays, log_ratios], dim=1), dim=1)[:, 1:]


def _half(log_ratios: Tensor) -> Tensor:
    return 0.5 * log_ratios


def _at_most_nought(log_ratios: Tensor) -> Tensor:
    return log_ratios.clamp(max=0.0)


def _log_probability(log_rates: Tensor, before: Tensor, after: Tensor, duration: Tensor) -> Tensor:
    """Return ``log F(y|x)`` of :func:`~leaps_triton.kernels.tau_leap_log_probability`.

    Args:
        log_rates: ``log λ``, float64 ``(walkers, q-1, sites)``.
        before: ``x``, int64 ``(walkers, sites)``.
        after: ``y``, int64 ``(walkers, sites)``.
        duration: ``h``, float64 ``(walkers,)``.
    """
    total = torch.logsumexp(log_rates, dim=1)
    log_hazard = torch.log(duration).unsqueeze(1) + total
    hazard = torch.exp(log_hazard)
    # log(1 - e^{-a}) is log a to first order, where a itself may be too small for a number.
    leaves = torch.where(log_hazard < -40.0, log_hazard, torch.log(-torch.expm1(-hazard)))
    shift = (after - before) % (log_rates.shape[1] + 1)
    # Shift k is row k - 1; where a site stays, any row, to no effect.
    rate = log_rates.gather(1, (shift.clamp(min=1) - 1).unsqueeze(1)).squeeze(1)
    # Without any rate the difference of two infinities would be NaN.
    log_move = torch.where(rate == -torch.inf, -torch.inf, leaves + rate - total)
    return torch.where(shift == 0, -hazard, log_move).sum(1)


def _greatest(path: Path, configuration: Tensor, t: float) -> float:
    """Return the largest ``Δ`` of all moves of one configuration ``(1, *shape)``."""
    time = torch.full((1,), t, dtype=torch.float64, device=configuration.device)
    log_ratios = path.local_energy(configuration, time, torch.float64).log_ratios
    return float(log_ratios.max())


def _strength(path: Path, t: float) -> str:
    """Return inverse temperature and largest coupling in words."""
    beta = float(path.beta(t))
    return f"beta_t = {beta:g} and couplings up to {_coupling(path.model):g}"


def _coupling(model: Any) -> float:
    """Return the largest coupling or field of a model, in size."""
    return max(float(model.coupling.abs().max()), float(model.site_table.abs().max()))


def beta_is_the_reason(
    path: Path | None, configuration: Tensor, t: float, values: tuple[float, ...]
) -> str:
    """Return what to do where β makes a rate or a weight infinite; empty where it does not.

    Args:
        path: the annealing path; None where it is not known, and nothing can be said.
        configuration: the walker, ``(1, *shape)``.
        t: time of the rates.
        values: rates and corrector. NaN is never the work of β.
    """
    if path is None or any(math.isnan(value) for value in values):
        return ""
    greatest = _greatest(path, configuration, t)
    # The network's own factor, and the number of moves, shift the limit by a little.
    if greatest < _LARGEST - 30.0:
        return ""
    return (
        f"the inverse temperature, or the coupling, is the reason: at {_strength(path, t)} a move "
        f"from there changes log rho by {greatest:.4g}, and e^{greatest:.4g} is beyond float64, "
        f"whose limit is e^{math.floor(_LARGEST)}; let moves act between more intervals "
        f"(mcmc=HeatBath(), intervals=), take reversible='metropolis', or a smaller beta"
    )


def reason_of_rates(
    path: Path | None, configuration: Tensor, t: float, values: tuple[float, ...]
) -> str:
    """Return why a rate is not finite: β, else the network.

    Arguments are as in :func:`beta_is_the_reason`.
    """
    return beta_is_the_reason(path, configuration, t, values) or NETWORK


def reason_of_events(path: Path | None, t: float) -> str:
    """Return what makes rates large, where inverse temperature or coupling do; else nothing."""
    if path is None:
        return ""
    largest = max(abs(float(path.beta(1.0))), _coupling(path.model))
    if largest < _UNUSUAL:
        return ""
    return (
        f"; they grow with what the network reads, {_strength(path, t)}: give couplings in units "
        f"of their size and beta in its inverse"
    )


def refuse_rates(
    where: str, rates: Rates, row: int, path: Path | None, configuration: Tensor, t: float
) -> NoReturn:
    """Raise the error of a walker whose rates are not finite.

    Args:
        where: the walker and its time, in words.
        rates: of all walkers.
        row: which walker it is.
        path: the annealing path; None where it is not known.
        configuration: the walker's, ``(1, *shape)``.
        t: time of the rates.

    Raises:
        RuntimeError: always.
    """
    rate = float(rates.exit_rate[row])
    kappa = float(rates.corrector[row])
    reason = reason_of_rates(path, configuration, t, (rate, kappa))
    raise RuntimeError(
        f"{where}: exit rate {rate:g} and corrector {kappa:g} must be finite; {reason}"
    )


def refuse_events(
    where: str, limit: int, rate: float, remedy: str, path: Path | None, t: float
) -> NoReturn:
    """Raise the error of a walker that has needed too many evaluations.

    Args:
        where: the walker and its time, in words.
        limit: how many it may need.
        rate: its exit rate.
        remedy: what helps beside training.
        path: the annealing path; None where it is not known.
        t: time of the rates.

    Raises:
        RuntimeError: always.
    """
    reason = reason_of_events(path, t)
    raise RuntimeError(
        f"{where} has needed more than max_events = {limit} evaluations, exit rate {rate:g}; its "
        f"rates are too large for this lattice (train longer), or {remedy}{reason}"
    )


def refuse_weight(
    state: State, row: int, t: float, path: Path, transport: Transport | None
) -> NoReturn:
    """Raise the error of a walker whose log-weight is not finite, though its rates were.

    Args:
        state: all walkers.
        row: which walker it is.
        t: time of the density that it is weighed for.
        path: the annealing path.
        transport: None for none.

    Raises:
        RuntimeError: always.
    """
    weight = float(state.log_weights[row])
    mend = "check the model's energy"
    if transport is not None:
        mend = f"{mend}, and that the transport is a function of its arguments"
    density = 0.0
    if math.isnan(weight):
        density = log_density_of(path, state.configurations[row : row + 1], t)
    # Of fields without a transport nothing else can be at fault, wherever the walker was.
    alone = transport is None and path.model.dtype.is_floating_point
    if alone or not math.isfinite(density):
        mend = (
            f"log_density, or the energy, of {path.model!r} is not finite where the "
            f"walker is or was; it must be finite everywhere"
        )
    if weight == -math.inf:
        mend = (
            "an infinite energy forbids the configuration where the walker starts, which "
            "weighted walkers must not; give a large finite energy, or a start that avoids it"
        )
    raise RuntimeError(
        f"walker {int(state.walkers[row])} at t = {t:g} has log-weight {weight}, though its "
        f"last rates were finite; {mend}"
    )
