"""Free energy and entropy from weighted walkers."""

from typing import Any, Protocol

import torch
from torch import Tensor

from ..kernels.checks import expect
from .jackknife import Estimate
from .weights import block_sums, leave_one_out_sums, log_mean_exp, normalised

__all__ = [
    "entropy",
    "free_energy",
]


class _Ensemble(Protocol):
    """What is read of a :class:`~leaps_triton.WeightedEnsemble` or of what
    :func:`leaps_triton.io.read` returns.
    """

    @property
    def model(self) -> Any: ...
    @property
    def configurations(self) -> Tensor | None: ...
    @property
    def log_weights(self) -> Tensor: ...
    @property
    def log_z_start(self) -> float: ...
    @property
    def correlated(self) -> int: ...


def free_energy(ensemble: _Ensemble) -> Estimate:
    """Free energy a site, ``-log Z / (β N)``, with its jackknife error.

    Args:
        ensemble: a :class:`~leaps_triton.WeightedEnsemble`, or weighted walkers of a file.

    Raises:
        ValueError: β = 0, where it is infinite; use ``log_z``.

    Example:
        >>> import leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Ising((4, 4), beta=0.4))
        >>> ensemble = lt.Sampler(path, None, lt.Jump(20), lt.HeatBath(), device="cpu").sample(
        ...     walkers=1000
        ... )
        >>> abs(
        ...     free_energy(ensemble).pull(-lt.exact.ising_log_z((4, 4), beta=0.4) / (0.4 * 16))
        ... ) < 3
        True
    """
    beta = _beta(ensemble)
    if beta == 0.0:
        raise ValueError("the free energy is infinite at beta = 0; use the ensemble's log_z")
    return _of_log_z(ensemble, 0.0, -1.0 / beta)


def entropy(ensemble: _Ensemble) -> Estimate:
    """Entropy a site, ``(log Z + β ⟨H⟩) / N``, in units of k_B; both means leave out the same
    walkers in the jackknife.

    Args:
        ensemble: a :class:`~leaps_triton.WeightedEnsemble`, or weighted walkers of a file with
            their configurations or their energy.

    Raises:
        ValueError: a file with neither.

    Example:
        >>> import leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Ising((4, 4), beta=0.4))
        >>> ensemble = lt.Sampler(path, None, lt.Jump(20), lt.HeatBath(), device="cpu").sample(
        ...     walkers=1000
        ... )
        >>> exact = lt.exact.ising_log_z((4, 4), beta=0.4) / 16 + 0.4 * lt.exact.ising_energy(
        ...     (4, 4), beta=0.4
        ... )
        >>> abs(entropy(ensemble).pull(exact)) < 3
        True
    """
    return _of_log_z(ensemble, _beta(ensemble), 1.0)


def _beta(ensemble: _Ensemble) -> float:
    drawn = isinstance(getattr(ensemble, "log_weights", None), Tensor)
    expect(drawn, "ensemble", "a WeightedEnsemble, or weighted walkers of a file", ensemble)
    return float(ensemble.model.beta)


def _of_log_z(ensemble: _Ensemble, beta: float, factor: float) -> Estimate:
    """``factor (log Z + β ⟨H⟩) / N``."""
    a, block = ensemble.log_weights, ensemble.correlated
    share = normalised(a)
    energies = _energies(ensemble) if beta else torch.zeros_like(share)
    value = ensemble.log_z_start + log_mean_exp(a) + beta * (share * energies).sum()
    blocks = len(block_sums(share, block))
    if blocks == 1:
        return Estimate(factor * float(value) / ensemble.model.lattice.sites, float("nan"))
    others, walkers = (
        leave_one_out_sums(block_sums(torch.stack([share, share * energies], dim=1), block)),
        len(a),
    )
    kept = leave_one_out_sums(block_sums(torch.ones_like(share), block)) / walkers
    left_out = torch.log(others[:, 0] / kept) + beta * others[:, 1] / others[:, 0]
    error = torch.sqrt((blocks - 1) * left_out.var(correction=0))
    scale = factor / ensemble.model.lattice.sites
    return Estimate(scale * float(value), abs(scale) * float(error))


def _energies(ensemble: _Ensemble) -> Tensor:
    """``H``, float64 ``(walkers,)``."""
    if ensemble.configurations is not None:
        return torch.as_tensor(ensemble.model.energy(ensemble.configurations)).double()
    stored: dict[str, Tensor] = getattr(ensemble, "observables", {})
    if "energy" not in stored:
        raise ValueError(
            f"the entropy needs the energy of every walker, and the file holds {', '.join(stored) or 'none'}; sample "
            f"with observables=['energy'] or configurations=True"
        )
    return stored["energy"] * int(ensemble.model.lattice.sites)
