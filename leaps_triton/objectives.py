"""Training losses, each a function of a batch."""

import torch
from torch import Tensor

from .path import AnnealingPath
from .rates import Transport, evaluate

__all__ = ["physics_informed", "residual"]


def residual(path: AnnealingPath, transport: Transport, configurations: Tensor, t: Tensor) -> Tensor:
    """``ξ_t(x) = ∂_t log ρ̃_t(x) + κ_t(x)``, float64 ``(walkers,)``: constant over ``x`` exactly when the weights are.

    Arguments
        configurations: ``(walkers, *shape)``.
        t: float64 ``(1 | walkers,)``.
    """
    rates = evaluate(path, transport, configurations, t)
    return path.time_derivative(rates.energy, t) + rates.corrector


def physics_informed(path: AnnealingPath, transport: Transport, configurations: Tensor, t: Tensor) -> Tensor:
    """``E (ξ_t(x) - c_t)²`` with the batch mean as ``c_t``: its variance over configurations, mean over times.

    At the optimum, on data of ``ρ_t``, ``c_t = ∂_t log Z_t``; zero means weights without variance.

    Arguments
        configurations: ``(times, walkers, *shape)``, at least two walkers a time.
        t: float64 ``(times,)``.

    References
        Holderrieth, Albergo, Jaakkola, *LEAPS*, arXiv:2502.10843 (2025); Ou, Zhang, Li, *DNFS*, arXiv:2505.17741
        (2025), for the batch mean as control variate.
    """
    times, walkers = configurations.shape[:2]
    xi = residual(path, transport, configurations.flatten(0, 1), t.repeat_interleave(walkers))
    return torch.var(xi.view(times, walkers), dim=1).mean()
