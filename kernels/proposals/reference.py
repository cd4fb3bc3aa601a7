"""The twins of ``proposal_rates`` and of its gradient."""

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = [
    "REVERSIBLE_RATES", "ProposalRates", "heat_bath", "in_rates", "proposal_rates",
    "proposal_rates_gradient",
]  # fmt: skip


class ProposalRates(NamedTuple):
    """Holds what :func:`proposal_rates` returns."""

    rates: Tensor
    """Out-rates of all moves, ``(walkers, q-1, *shape)``."""
    exit_rate: Tensor
    """``R``, the sum of the out-rates, float64 ``(walkers,)``."""
    corrector: Tensor
    """``κ``, float64 ``(walkers,)``."""
    in_rates: Tensor
    """Out-rates of the process reversed in ``ρ_t``, as ``rates``; ``(0,)`` if not asked for."""


REVERSIBLE_RATES = {
    # g(e^Δ) with g(u) = u g(1/u), written so that no exponential overflows
    "barker": torch.sigmoid,
    "square_root": lambda log_ratios: torch.exp(0.5 * log_ratios),
    "metropolis": lambda log_ratios: torch.exp(log_ratios.clamp(max=0.0)),
}


def in_rates(network_output: Tensor, log_ratios: Tensor) -> Tensor:
    """Return ``[-G]_+ e^Δ`` in the precision of ``G``, and where that overflows in float64.

    The result is float64, and 0 where ``G >= 0``, even if ``e^Δ`` overflows.
    """
    # The exponential of a number that is not used might overflow.
    power = torch.where(network_output < 0, log_ratios, 0.0)
    strength = torch.relu(-network_output)
    all_narrow = strength * torch.exp(power)
    over = all_narrow.detach().isinf()
    # A look makes a GPU wait: there both are computed at all times.
    if over.device.type == "cpu" and not bool(over.any()):
        return all_narrow.double()
    # Each part sees no number that overflows it, so that no gradient is 0 times infinity.
    narrow = strength * torch.exp(torch.where(over, 0.0, power))
    wide = strength.double() * torch.exp(torch.where(over, power, 0.0).double())
    return torch.where(over, wide, narrow.double())


def heat_bath(log_ratios: Tensor) -> Tensor:
    """Return ``p_k(i) = e^{Δ_k(i)} / Σ_a e^{Δ_a(i)}``, ``Δ_0 = 0``: that a heat bath moves so."""
    if log_ratios.shape[1] == 1:
        return torch.sigmoid(log_ratios)
    stays = torch.zeros_like(log_ratios[:, :1])
    return torch.softmax(torch.cat([stays, log_ratios], 1), 1)[:, 1:]


def proposal_rates(
    network_output: Tensor | None,
    log_ratios: Tensor,
    reversible: str | None = None,
    scale: float = 1.0,
    gauge: str = "plain",
    inward: bool = False,
) -> ProposalRates:
    """Return ``[G]_+ + scale g(e^Δ)``, its sum ``R``, and ``κ = Σ_m [G_m]_+ - [-G_m]_+ e^{Δ_m}``.

    In the heat-bath gauge the output is ``D``, the first part ``[D]_+ p`` with ``p`` of
    :func:`heat_bath`, and ``κ = Σ_m p_m D_m``. The reversible part ``g(u) = u g(1/u)`` adds nothing
    to ``κ`` (detailed balance). Rates of the reversed process are ``[-G]_+ e^Δ`` or ``[-D]_+ p``,
    and the reversible ones.
    """
    corrector = torch.zeros(len(log_ratios), dtype=torch.float64, device=log_ratios.device)
    rates = None
    back = None
    added = None
    if reversible is not None:
        added = scale * REVERSIBLE_RATES[reversible](log_ratios)
    if network_output is not None:
        # Terms in the precision of the rates where they can be, their sum in float64.
        if gauge == "heat_bath":
            terms = network_output * heat_bath(log_ratios)
            rates = torch.relu(terms)
            back = torch.relu(-terms)
            corrector = terms.flatten(1).sum(1, dtype=torch.float64)
        else:
            rates = torch.relu(network_output)
            back = in_rates(network_output, log_ratios)
            corrector = (rates.double() - back).flatten(1).sum(1)
    rates = _sum(rates, added)
    exit_rate = rates.flatten(1).sum(1, dtype=torch.float64)
    if not inward:
        return ProposalRates(rates, exit_rate, corrector, rates.new_empty(0))
    if back is not None:
        back = back.to(log_ratios.dtype)
    # In detailed balance: reversed, the reversible rates are what they were.
    return ProposalRates(rates, exit_rate, corrector, _sum(back, added))


def _sum(first: Tensor | None, second: Tensor | None) -> Tensor:
    """Return the sum of rates of which one kind may be missing."""
    if first is None:
        assert second is not None
        return second.clone()
    if second is None:
        return first
    return first + second


def proposal_rates_gradient(
    network_output: Tensor,
    log_ratios: Tensor,
    to_rates: Tensor | None,
    to_exit_rate: Tensor,
    to_corrector: Tensor,
    gauge: str = "plain",
    to_in_rates: Tensor | None = None,
) -> Tensor:
    """Return the gradient with respect to ``G``, given those of the four results.

    ``∂/∂G = [G > 0] (r + R' + κ') + [G < 0] e^Δ (κ' - b)``, with ``r`` the gradient of the rates,
    ``R'`` that of the exit rate, ``κ'`` that of the corrector and ``b`` that of the in-rates; in
    the heat-bath gauge ``∂/∂D = p ([D > 0] (r + R') + κ' - [D < 0] b)``.
    """
    if gauge == "heat_bath":
        return _heat_bath_gradient(
            network_output, log_ratios, to_rates, to_exit_rate, to_corrector, to_in_rates
        )
    per_move = (-1, *[1] * (network_output.ndim - 1))
    out = (to_exit_rate + to_corrector).to(network_output.dtype).view(per_move)
    if to_rates is not None:
        out = out + to_rates
    # The exponential of a number that is not used might overflow.
    power = torch.where(network_output < 0, log_ratios, 0.0)
    upstream = to_corrector.view(per_move)
    if to_in_rates is not None:
        upstream = upstream - to_in_rates
    inward = torch.exp(power) * upstream.to(power.dtype)
    broken = ~inward.isfinite()
    if bool(broken.any()):
        # A large e^Δ may meet a small gradient; with none it adds nothing, even where it overflows.
        wide = torch.exp(power.double()) * upstream
        wide = torch.where(upstream == 0.0, 0.0, wide)
        inward = torch.where(broken, wide.to(inward.dtype), inward)
    inward = torch.where(network_output < 0, inward, 0.0)
    return torch.where(network_output <= 0, 0.0, out) + inward


def _heat_bath_gradient(
    network_output: Tensor,
    log_ratios: Tensor,
    to_rates: Tensor | None,
    to_exit_rate: Tensor,
    to_corrector: Tensor,
    to_in_rates: Tensor | None,
) -> Tensor:
    """Return ``∂/∂D = p ([D > 0] (r + R') + κ' - [D < 0] b)``."""
    dtype = network_output.dtype
    per_move = (-1, *[1] * (network_output.ndim - 1))
    out = to_exit_rate.to(dtype).view(per_move)
    if to_rates is not None:
        out = out + to_rates
    upstream = to_corrector.to(dtype).view(per_move)
    total = torch.where(network_output <= 0, 0.0, out) + upstream
    if to_in_rates is not None:
        total = total - torch.where(network_output < 0, to_in_rates, 0.0)
    return heat_bath(log_ratios) * total
