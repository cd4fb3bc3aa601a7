"""A sampler run backwards from exact samples: a check that a lost mode cannot pass."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..estimators.weights import log_mean_exp, log_mean_exp_error
from ..kernels.checks import as_seed, expect
from .passage import WayBack
from .sampler import Sampler

__all__ = ["ReverseEnsemble", "reverse_ess"]


# Backward walkers have indices of their own, so that their random numbers are none of the forward
# ones.
_FIRST_WALKER = 2**31


@dataclass(frozen=True)
class ReverseEnsemble:
    """Log-weights of reversed paths that began in exact samples.

    Attributes:
        log_weights: ``A`` of the same path run forward, float64 ``(walkers,)``; ``E[e^{-A}] = Z_0 /
            Z_1``.
        log_z_start: ``log Z_0``.
        seed: what it was made with.
    """

    log_weights: Tensor = field(repr=False)
    log_z_start: float
    seed: int

    @property
    def log_z(self) -> float:
        """``log Z_1 = log Z_0 - log mean e^{-A}``, absolute.

        It is right whatever the sampler, if the samples are exact.
        """
        # E[e^{-A}] = Z_0 / Z_1 over reversed paths, hence both minus signs.
        return self.log_z_start - float(log_mean_exp(-self.log_weights))

    @property
    def log_z_error(self) -> float:
        """Jackknife error of ``log_z`` over walkers."""
        return float(log_mean_exp_error(-self.log_weights))

    @property
    def ess(self) -> float:
        """ESS of the forward sampler, ``(Z_1 / Z_0) / E[e^A]``, in (0, 1].

        It is estimated by ``1 / (mean e^{-A} · mean e^A)``.
        """
        upper = log_mean_exp(self.log_weights)
        lower = log_mean_exp(-self.log_weights)
        # The product of the two means is at least 1 (Jensen); only rounding may fall short of it.
        return min(1.0, float(torch.exp(-upper - lower)))


@torch.no_grad()
def reverse_ess(sampler: Sampler, samples: Tensor, seed: int = 0) -> ReverseEnsemble:
    """Return the ESS of a sampler from reversed paths: low where it misses what samples show.

    From exact samples of ``ρ_1`` the intervals run backwards with rates ``[-G_m]_+ e^{Δ_m}``, the
    reversible ones unchanged, the same ``κ``, and the moves reversed in time; ``A`` is that of the
    same path run forward. Since forward and reversed paths have the density ratio ``e^A Z_0
    / Z_1``, ``E_forward[e^{2A}] = (Z_1 / Z_0) E_reverse[e^A]``. The forward ESS is estimated from
    where the sampler goes: a sampler that lost a mode shows a high forward and a low reverse ESS.

    Args:
        sampler: with exact weights and without resampling.
        samples: exact and independent samples of the model, ``(walkers, *shape)``.
        seed: in [0, 2³²).

    Returns:
        ReverseEnsemble: ``ess``; ``log_z`` and ``log_z_error``, to be compared with an exact value.

    Raises:
        ValueError: a sampler that cannot be run backwards, and why; samples that are not of the
            model.

    References:
        Wu, Burda, Salakhutdinov, Grosse, *On the quantitative analysis of decoder-based generative
        models*, arXiv:1611.04273 (2016), for reverse annealed importance sampling from exact
        samples.

    Example:
        >>> import leaps_triton as lt
        >>> model = lt.Ising((4, 4), beta=0.2, coupling=0.0)
        >>> ais = lt.Sampler(
        ...     lt.AnnealingPath(model), None, lt.Jump(10), lt.HeatBath(), device="cpu"
        ... )
        >>> fair_coins = lt.AnnealingPath(model).start.sample(torch.arange(500), seed=1)
        >>> reverse_ess(ais, fair_coins, seed=0).ess
        1.0
    """
    expect(isinstance(sampler, Sampler), "sampler", "a Sampler", sampler)
    reason = _obstacle(sampler)
    if reason:
        raise ValueError(f"reverse_ess cannot run this sampler backwards: {reason}")
    seed = as_seed(seed)
    _check_samples(sampler.path.model, samples)
    walkers = torch.arange(_FIRST_WALKER, _FIRST_WALKER + len(samples))
    log_weights: list[Tensor] = []
    blocks = zip(samples.split(sampler.block), walkers.split(sampler.block), strict=True)
    for part, index in blocks:
        x = part.to(sampler.device)
        log_weights.append(_run_back(sampler, x, index.to(sampler.device), seed))
    return ReverseEnsemble(torch.cat(log_weights), sampler.path.start.log_z, seed)


def _check_samples(model: Any, samples: Tensor) -> None:
    """Raise a ValueError unless there are samples, and all are configurations of the model."""
    fits = isinstance(samples, Tensor) and samples.dtype == model.dtype
    fits = fits and samples.shape[1:] == model.shape and len(samples) > 0
    wanted = f"{model.dtype} of shape (walkers, {', '.join(map(str, model.shape))})"
    expect(fits, "samples", wanted, samples)
    try:
        model.check(samples)
    except ValueError as error:
        raise ValueError(f"samples must be exact samples of the model: {error}") from None


def _obstacle(sampler: Sampler) -> str:
    """Return why a sampler cannot be run backwards; empty if it can."""
    if not sampler.integrator.exact:
        return sampler.integrator.one_way
    if sampler.resample_below > 0.0:
        return (
            f"walkers that are resampled have no reversed paths of their own; build it with "
            f"resample_below=0, got {sampler.resample_below}"
        )
    if sampler.move is not None and sampler.move.irreversible:
        return f"its move {sampler.move.irreversible}"
    return ""


def _run_back(sampler: Sampler, configurations: Tensor, walkers: Tensor, seed: int) -> Tensor:
    """Return ``A`` of one block, from ``t = 1`` to ``t = 0``."""
    integrator = sampler.integrator
    state = integrator.init(configurations, walkers, backward=True)
    way = WayBack(sampler, state, seed)
    state = integrator.run(state, sampler.path, sampler.transport, seed, way, backward=True)
    sampler.check_weights(state, 0.0)
    log_weights: Tensor = state.log_weights
    return log_weights
