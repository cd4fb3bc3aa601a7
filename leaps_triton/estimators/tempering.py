"""What the energies of parallel tempering's replicas say: log Z, and rates of exchange."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..kernels.checks import as_number, expect, is_real
from .autocorrelation import ChainEstimate, chain_estimate, examine
from .trust.cautions import Doubt, caution, joined
from .trust.tails import draw_doubts
from .weights import effective_sample_size

__all__ = ["exchange_rates", "stepping_stones"]


def stepping_stones(
    energies: Tensor, betas: Sequence[float] | Tensor, together: int = 1
) -> ChainEstimate:
    """Return ``log Z(β_K) - log Z(β_1)`` of replicas at ``β_1, …, β_K``.

    It is ``Σ_k log ⟨exp(-(β_{k+1} - β_k) H)⟩_k``. The error is that of the Γ-method for the sum,
    and so knows what replicas that exchange have in common. It is right if energies of neighbours
    overlap, as they must to be exchanged; :func:`~leaps_triton.estimators.mbar` uses the energies
    of all temperatures for each, with an error by :func:`~leaps_triton.estimators.mbar_error`.

    Args:
        energies: ``H`` without β and not per site, ``(walkers, draws, K)``:
            ``chain.values["replica_energies"]``.
        betas: inverse temperatures, at least two, increasing: ``chain.betas``.
        together: the same as in :func:`~leaps_triton.estimators.chain_estimate`:
            ``chain.together``.

    Raises:
        ValueError: shapes that do not fit; the same as in
            :func:`~leaps_triton.estimators.chain_estimate`.

    Warns:
        ShortChainWarning, DriftWarning: the same as in
            :func:`~leaps_triton.estimators.chain_estimate`.
        LowEssWarning: energies of two neighbours hardly overlap; of the worst two.

    References:
        Xie, Lewis, Fan, Kuo, Chen, *Improving marginal likelihood estimation for Bayesian
        phylogenetic model selection*, Syst. Biol. 60, 150 (2011).

    Example:
        >>> import leaps_triton as lt
        >>> model = lt.EdwardsAnderson((4, 4), beta=1.0, seed=1)
        >>> move = lt.ParallelTempering(betas=[0.0, 0.25, 0.5, 0.75, 1.0])
        >>> measured = ["replica_energies"]
        >>> chain = lt.run_chain(model, move, 16, 500, observables=measured, device="cpu")
        >>> energies = chain.values["replica_energies"]
        >>> found = lt.estimators.stepping_stones(energies, chain.betas, chain.together)
        >>> abs(found.pull(lt.exact.log_z(model) - 16 * math.log(2))) < 3
        True
    """
    steps = _betas(energies, betas).diff()
    powers = -steps * energies[..., :-1].double().cpu()
    # In units of the largest power of each step, so that no exponential overflows.
    top = powers.amax((0, 1))
    shift = top.sum()

    def log_ratio(means: Tensor) -> Tensor:
        return means.log().sum() + shift

    found = chain_estimate((powers - top).exp(), log_ratio, together=together)
    _check_steps(powers, betas, found.tau * together)
    return found


def _check_steps(powers: Tensor, betas: Sequence[float] | Tensor, tau: float) -> None:
    """Warn of the one step between neighbours that the fewest draws carry, if they are few.

    Args:
        powers: logarithms of the means' terms, float64 ``(walkers, draws, K - 1)``.
        betas: inverse temperatures.
        tau: autocorrelation time in draws.
    """
    columns = powers.flatten(0, 1)
    worst = int(effective_sample_size(columns.T).argmin())
    step = f"from beta = {float(betas[worst]):.4g} to {float(betas[worst + 1]):.4g}"
    for doubt in draw_doubts(columns[:, worst], tau, "set temperatures between them"):
        caution([doubt._replace(reason=f"{step}: {doubt.reason}")])


def exchange_rates(
    energies: Tensor, betas: Sequence[float] | Tensor, together: int = 1
) -> list[ChainEstimate]:
    """Return how often neighbours are exchanged where they are tried.

    It is ``⟨min(1, e^{(β_{k+1} - β_k)(H_{k+1} - H_k)})⟩``.

    Args:
        energies: the same as in :func:`stepping_stones`.
        betas: the same as in :func:`stepping_stones`.
        together: the same as in :func:`stepping_stones`.

    Returns:
        One for each of the K - 1 neighbours.

    Raises:
        ValueError: the same as in :func:`stepping_stones`.

    Warns:
        ShortChainWarning, DriftWarning: the same as in :func:`stepping_stones`; once for all.
    """
    steps = _betas(energies, betas).diff()
    gains = energies.double().cpu().diff(dim=2)
    # The clamp comes before the exponential: min(1, e^x) without overflow.
    accepted = (steps * gains).clamp(max=0.0).exp()
    rates = []
    doubts: list[tuple[str, Doubt]] = []
    for place, column in enumerate(accepted.unbind(2)):
        rate, found = examine(column, together=together)
        rates.append(rate)
        doubts.extend((f"exchange {place} with {place + 1}", doubt) for doubt in found)
    caution(joined(doubts))
    return rates


def _betas(energies: Tensor, betas: Sequence[float] | Tensor) -> Tensor:
    """Return the inverse temperatures of replicas, checked; float64 ``(K,)``."""
    real = is_real(energies) and energies.ndim == 3 and energies.shape[2] > 1
    fits = real and bool(energies.isfinite().all())
    wanted = "finite, of shape (walkers, draws, K) with at least two temperatures"
    expect(fits, "energies", wanted, energies)
    count = energies.shape[2]
    numbers: list[float] = []
    listed = isinstance(betas, Sequence | Tensor | np.ndarray)
    if listed and getattr(betas, "ndim", 1) == 1:
        for beta in betas:
            numbers.append(as_number("betas", beta, "finite numbers", math.isfinite))
    rising = all(a < b for a, b in itertools.pairwise(numbers))
    fits = len(numbers) == count and rising
    expect(fits, "betas", f"{count} increasing numbers, one a replica", betas)
    return torch.tensor(numbers, dtype=torch.float64)
