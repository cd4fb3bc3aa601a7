"""What the energies of parallel tempering's replicas say: log Z from temperature to temperature,
and exchange rates.
"""

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..kernels.checks import as_number, expect, is_real
from .autocorrelation import ChainEstimate, chain_estimate

__all__ = ["exchange_rates", "stepping_stones"]


def stepping_stones(
    energies: Tensor, betas: Sequence[float] | Tensor, together: int = 1
) -> ChainEstimate:
    """``log Z(β_K) - log Z(β_1) = Σ_k log ⟨exp(-(β_{k+1} - β_k) H)⟩_k`` of replicas at ``β_1, …,
    β_K``.

    The error is that of the Γ-method for the sum, and so knows what replicas that exchange have in
    common. Right if energies of neighbours overlap, as they must to be exchanged;
    :func:`~leaps_triton.estimators.mbar` uses the energies of all temperatures for each, with an
    error by :func:`~leaps_triton.estimators.mbar_error`.

    Args:
        energies: ``H`` without β and not per site, ``(walkers, draws, K)``:
            ``chain.values["replica_energies"]``.
        betas: inverse temperatures, at least two, increasing.
        together: as of :func:`~leaps_triton.estimators.chain_estimate`: ``chain.together``.

    Raises:
        ValueError: shapes that do not fit; as :func:`~leaps_triton.estimators.chain_estimate`.

    Warns:
        ShortChainWarning: as :func:`~leaps_triton.estimators.chain_estimate`.

    References:
        Xie, Lewis, Fan, Kuo, Chen, *Improving marginal likelihood estimation for Bayesian
        phylogenetic model selection*, Syst. Biol. 60, 150 (2011).

    Example:
        >>> import leaps_triton as lt
        >>> model, fractions = (
        ...     lt.EdwardsAnderson((4, 4), beta=1.0, seed=1),
        ...     [0.0, 0.25, 0.5, 0.75, 1.0],
        ... )
        >>> kernel = lt.ParallelTempering(fractions)
        >>> chain = lt.run_chain(
        ...     model, kernel, 16, 500, observables=["replica_energies"], device="cpu"
        ... )
        >>> betas = [f * model.beta for f in fractions]
        >>> found = lt.estimators.stepping_stones(
        ...     chain.values["replica_energies"], betas, chain.together
        ... )
        >>> abs(found.pull(lt.exact.log_z(model) - 16 * math.log(2))) < 3
        True
    """
    steps = _betas(energies, betas).diff()
    powers = -steps * energies[..., :-1].double().cpu()
    top = powers.amax((0, 1))
    shift = top.sum()
    return chain_estimate(
        (powers - top).exp(), lambda means: means.log().sum() + shift, together=together
    )


def exchange_rates(
    energies: Tensor, betas: Sequence[float] | Tensor, together: int = 1
) -> list[ChainEstimate]:
    """How often neighbours are exchanged where they are tried, ``⟨min(1, e^{(β_{k+1} - β_k)(H_{k+1}
    - H_k)})⟩``.

    Args:
        energies, betas, together: as of :func:`stepping_stones`.

    Returns:
        One for each of the K - 1 neighbours.

    Raises:
        ValueError, Warns: as of :func:`stepping_stones`.
    """
    steps = _betas(energies, betas).diff()
    accepted = (steps * energies.double().cpu().diff(dim=2)).clamp(max=0.0).exp()
    return [chain_estimate(column, together=together) for column in accepted.unbind(2)]


def _betas(energies: Tensor, betas: Sequence[float] | Tensor) -> Tensor:
    fits = (
        is_real(energies)
        and energies.ndim == 3
        and energies.shape[2] > 1
        and bool(energies.isfinite().all())
    )
    expect(
        fits,
        "energies",
        "finite, of shape (walkers, draws, K) with at least two temperatures",
        energies,
    )
    count, listed = (
        energies.shape[2],
        isinstance(betas, Sequence | Tensor) and getattr(betas, "ndim", 1) == 1,
    )
    numbers = (
        [as_number("betas", beta, "finite numbers", math.isfinite) for beta in betas]
        if listed
        else []
    )
    increasing = len(numbers) == count and all(a < b for a, b in itertools.pairwise(numbers))
    expect(increasing, "betas", f"{count} increasing numbers, one a replica", betas)
    return torch.tensor(numbers, dtype=torch.float64)
