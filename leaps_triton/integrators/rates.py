"""From a network and the physics to the rates of the jump process."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from .. import kernels
from ..models.base import Conditions
from ..paths.annealing import AnnealingPath

__all__ = ["Evaluation", "Rates", "Transport", "evaluate", "examine", "in_rates", "rates_of"]


Transport: TypeAlias = Callable[[Tensor, Conditions], Tensor]

"""``G = transport(configurations, conditions)``, locally equivariant; usually an ``nn.Module``."""


class Evaluation(NamedTuple):
    """The network and the physics at ``(x, t)``, from which the rates of both directions of time
    follow.
    """

    output: Tensor | None
    """``G``, ``(walkers, q-1, *shape)``; None without a transport."""
    log_ratios: Tensor
    """``Δ``, ``(walkers, q-1, *shape)``."""
    energy: Tensor
    """``H(x)``, float64 ``(walkers,)``."""


class Rates(NamedTuple):
    """All that one evaluation at ``x`` yields."""

    rates: Tensor
    """Out-rates ``[G_m]_+``, with the reversible ones ``r_m`` if any, ``(walkers, q-1,
    *shape)``."""
    exit_rate: Tensor
    """``R``, their sum, float64 ``(walkers,)``."""
    corrector: Tensor
    """``κ = Σ_m [G_m]_+ - Σ_m [-G_m]_+ e^{Δ_m}``, float64 ``(walkers,)``."""
    energy: Tensor
    """``H(x)``, float64 ``(walkers,)``."""


def in_rates(network_output: Tensor) -> Tensor:
    """Rates of the inverse moves into ``x``, ``Q(x^m → x) = [-G_m(x)]_+``, from the evaluation at
    ``x``.
    """
    return torch.relu(-network_output)


def precision(transport: Transport | None) -> torch.dtype:
    """Floating-point type of the transport's parameters; float32 if it has none, float64 without a
    transport.
    """
    if transport is None:
        return torch.float64
    parameters = transport.parameters() if isinstance(transport, nn.Module) else iter(())
    return next((p.dtype for p in parameters), torch.float32)


def examine(
    path: AnnealingPath, transport: Transport | None, configurations: Tensor, t: Tensor
) -> Evaluation:
    """One evaluation of the network and one of all ``Δ``; arguments as of :func:`evaluate`."""
    dtype = precision(transport)
    output = None if transport is None else transport(configurations, path.conditions(t.to(dtype)))
    energy, log_ratios = path.local_energy(configurations, t, dtype)
    return Evaluation(output, log_ratios, energy)


def rates_of(
    evaluation: Evaluation,
    reversible: str | None = None,
    scale: float = 1.0,
    backward: bool = False,
) -> Rates:
    """The rates of :func:`evaluate` from what :func:`examine` found."""
    output, log_ratios, energy = evaluation
    rates, exit_rate, corrector = kernels.proposal_rates(output, log_ratios, reversible, scale)
    if backward and output is not None:
        rates = in_rates(output) * torch.exp(torch.where(output < 0, log_ratios, 0.0))
        if reversible is not None:
            rates = rates + kernels.proposal_rates(None, log_ratios, reversible, scale).rates
        exit_rate = rates.flatten(1).sum(1, dtype=torch.float64)
    return Rates(rates, exit_rate, corrector, energy)


def evaluate(
    path: AnnealingPath,
    transport: Transport | None,
    configurations: Tensor,
    t: Tensor,
    reversible: str | None = None,
    scale: float = 1.0,
    backward: bool = False,
) -> Rates:
    """Rates, corrector and energy at time ``t``, by one evaluation of the network and one of all
    ``Δ``.

    Backward, the rates are those of the process reversed with respect to ``ρ_t``, ``[-G_m]_+
    e^{Δ_m}`` and the same reversible ones; ``κ`` is the same.

    Args:
        transport: None for reversible rates alone.
        configurations: ``(walkers, *shape)``.
        t: float64 ``(1 | walkers,)``, on the device of the configurations.
        reversible, scale: as in :func:`~leaps_triton.kernels.proposal_rates`.

    Raises:
        ValueError: neither a transport nor reversible rates.
    """
    return rates_of(examine(path, transport, configurations, t), reversible, scale, backward)
