"""The twins of ``proposal_rates`` and of its gradient."""

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = [
    "REVERSIBLE_RATES", "ProposalRates", "in_rates", "proposal_rates", "proposal_rates_gradient",
]  # fmt: skip


class ProposalRates(NamedTuple):
    """Holds what :func:`proposal_rates` returns."""

    rates: Tensor
    """Out-rates of all moves, ``(walkers, q-1, *shape)``."""
    exit_rate: Tensor
    """``R``, the sum of the out-rates, float64 ``(walkers,)``."""
    corrector: Tensor
    """``κ``, float64 ``(walkers,)``."""


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


def proposal_rates(
    network_output: Tensor | None,
    log_ratios: Tensor,
    reversible: str | None = None,
    scale: float = 1.0,
) -> ProposalRates:
    """Return ``[G]_+ + scale g(e^Δ)``, its sum ``R``, and ``κ = Σ_m [G_m]_+ - [-G_m]_+ e^{Δ_m}``.

    The reversible part ``g(u) = u g(1/u)`` adds nothing to ``κ`` (detailed balance).
    """
    corrector = torch.zeros(len(log_ratios), dtype=torch.float64, device=log_ratios.device)
    if reversible is not None:
        rates = scale * REVERSIBLE_RATES[reversible](log_ratios)
    if network_output is not None:
        out = torch.relu(network_output)
        # Terms in the precision of the rates where they can be, their sum in float64.
        terms = out.double() - in_rates(network_output, log_ratios)
        corrector = terms.flatten(1).sum(1)
        if reversible is None:
            rates = out
        else:
            rates = out + rates
    return ProposalRates(rates, rates.flatten(1).sum(1, dtype=torch.float64), corrector)


def proposal_rates_gradient(
    network_output: Tensor,
    log_ratios: Tensor,
    to_rates: Tensor | None,
    to_exit_rate: Tensor,
    to_corrector: Tensor,
) -> Tensor:
    """Return the gradient with respect to ``G``, given those of the three results.

    ``∂/∂G = [G > 0] (r + R' + κ') + [G < 0] e^Δ κ'``, with ``r`` the gradient of the rates, ``R'``
    that of the exit rate and ``κ'`` that of the corrector.
    """
    per_move = (-1, *[1] * (network_output.ndim - 1))
    out = (to_exit_rate + to_corrector).to(network_output.dtype).view(per_move)
    if to_rates is not None:
        out = out + to_rates
    # The exponential of a number that is not used might overflow.
    power = torch.where(network_output < 0, log_ratios, 0.0)
    upstream = to_corrector.view(per_move)
    inward = torch.exp(power) * upstream.to(power.dtype)
    broken = ~inward.isfinite()
    if bool(broken.any()):
        # A large e^Δ may meet a small gradient; with none it adds nothing, even where it overflows.
        wide = torch.exp(power.double()) * upstream
        wide = torch.where(upstream == 0.0, 0.0, wide)
        inward = torch.where(broken, wide.to(inward.dtype), inward)
    inward = torch.where(network_output < 0, inward, 0.0)
    return torch.where(network_output <= 0, 0.0, out) + inward
