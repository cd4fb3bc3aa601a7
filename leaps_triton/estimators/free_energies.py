"""Free energy and entropy from weighted walkers."""

import math
from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from ..kernels.checks import expect
from .jackknife import ALL_THE_WEIGHT, Estimate, one_block
from .weights import block_sums, leave_one_out_sums, log_mean_exp, normalised

__all__ = [
    "entropy",
    "free_energy",
]


class WeightedWalkers(Protocol):
    """What is read of weighted walkers, in memory or from a file."""

    @property
    def model(self) -> Any:
        """The target."""

    @property
    def configurations(self) -> Tensor | None:
        """``(walkers, *shape)``; None if a file does not hold them."""

    @property
    def values(self) -> Mapping[str, Tensor]:
        """Name → what was measured, float64, one row per walker."""

    @property
    def log_weights(self) -> Tensor:
        """``A``, float64 ``(walkers,)``."""

    @property
    def log_z_start(self) -> float:
        """``log Z_0``."""

    @property
    def correlated(self) -> int:
        """How many consecutive walkers are correlated with one another."""

    def warn_once(self) -> bool:
        """Warn of weights that few walkers carry, if nothing did so before."""


def free_energy(ensemble: WeightedWalkers) -> Estimate:
    """Return the free energy per site, ``-log Z / (β N)``, with its jackknife error.

    Args:
        ensemble: a :class:`~leaps_triton.WeightedEnsemble`, or weighted walkers of a file.

    Raises:
        ValueError: β = 0, where it is infinite; use ``log_z``.

    Warns:
        LowEssWarning: few walkers carry the weight; once per ensemble.

    Example:
        >>> import leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Ising((4, 4), beta=0.4))
        >>> sampler = lt.Sampler(path, None, lt.Jump(20), lt.HeatBath(), device="cpu")
        >>> found = free_energy(sampler.sample(walkers=1000))
        >>> exact = -lt.exact.ising_log_z((4, 4), beta=0.4) / (0.4 * 16)
        >>> abs(found.pull(exact)) < 3
        True
    """
    beta = _beta(ensemble)
    if beta == 0.0:
        raise ValueError("the free energy is infinite at beta = 0; use the ensemble's log_z")
    return _of_log_z(ensemble, 0.0, -1.0 / beta)


def entropy(ensemble: WeightedWalkers) -> Estimate:
    """Return the entropy per site, ``(log Z + β ⟨H⟩) / N``, in units of k_B.

    Both means leave out the same walkers in the jackknife.

    Args:
        ensemble: a :class:`~leaps_triton.WeightedEnsemble`, or weighted walkers of a file with
            their configurations or their energy.

    Raises:
        ValueError: a file with neither.

    Warns:
        LowEssWarning: few walkers carry the weight; once per ensemble.

    Example:
        >>> import leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Ising((4, 4), beta=0.4))
        >>> sampler = lt.Sampler(path, None, lt.Jump(20), lt.HeatBath(), device="cpu")
        >>> found = entropy(sampler.sample(walkers=1000))
        >>> energy = lt.exact.ising_energy((4, 4), beta=0.4)
        >>> exact = lt.exact.ising_log_z((4, 4), beta=0.4) / 16 + 0.4 * energy
        >>> abs(found.pull(exact)) < 3
        True
    """
    return _of_log_z(ensemble, _beta(ensemble), 1.0)


def _beta(ensemble: WeightedWalkers) -> float:
    drawn = isinstance(getattr(ensemble, "log_weights", None), Tensor)
    expect(drawn, "ensemble", "a WeightedEnsemble, or weighted walkers of a file", ensemble)
    return float(ensemble.model.beta)


def _of_log_z(ensemble: WeightedWalkers, beta: float, factor: float) -> Estimate:
    """Return ``factor (log Z + β ⟨H⟩) / N``."""
    a = ensemble.log_weights
    block = ensemble.correlated
    share = normalised(a)
    energies = torch.zeros_like(share)
    if beta:
        energies = _energies(ensemble)
    # The weighted mean of H and log Z, from the same weights.
    value = ensemble.log_z_start + log_mean_exp(a) + beta * (share * energies).sum()
    sites = math.prod(ensemble.model.shape)
    blocks = len(block_sums(share, block))
    if blocks == 1:
        return Estimate(factor * float(value) / sites, float("nan"), one_block(len(a)))
    ensemble.warn_once()
    sums = block_sums(torch.stack([share, share * energies], dim=1), block)
    weight, weighted_energy = leave_one_out_sums(sums).T
    # The mean weight of the walkers that are left, of which there may be fewer in the last block.
    kept = leave_one_out_sums(block_sums(torch.ones_like(share), block)) / len(a)
    # Up to log Z_0 and the log of the mean weight, constants that the variance does not see.
    left_out = torch.log(weight / kept) + beta * weighted_energy / weight
    error = torch.sqrt((blocks - 1) * left_out.var(correction=0))
    scale = factor / sites
    reason = ""
    if not bool(error.isfinite()):
        reason = ALL_THE_WEIGHT
    return Estimate(scale * float(value), abs(scale) * float(error), reason)


def _energies(ensemble: WeightedWalkers) -> Tensor:
    """Return ``H``, float64 ``(walkers,)``."""
    if ensemble.configurations is not None:
        return torch.as_tensor(ensemble.model.energy(ensemble.configurations)).double()
    stored = ensemble.values
    if "energy" not in stored:
        raise ValueError(
            f"the entropy needs the energy of every walker, and the file holds "
            f"{', '.join(stored) or 'none'}; sample with observables=['energy'] or "
            f"configurations=True"
        )
    return stored["energy"] * math.prod(ensemble.model.shape)
