"""Whether chains still drift: their early part against their late one."""

import math

from torch import Tensor

__all__ = ["MOST_SIGMA", "drift"]


MOST_SIGMA = 3.5
"""Errors by which the two parts may differ; Gaussian ones do so once in two thousand."""

_LEAST_DRAWS = 20
"""Draws per walker from which a tenth of them is enough to be compared."""

_MANY = 10
"""Chains whose own scatter is known well enough to be an error."""


def drift(fluctuation: Tensor, error: float) -> float:
    """Return by how many errors the last half of chains lies above their first tenth.

    Chains that relax from a common start are most unlike at their very beginning, so that the first
    tenth holds most of what there is to see, and the last half the least (Geweke). The error is
    that of the Γ-method, or the scatter of the walkers' own differences where it is larger: walkers
    that do not mix have a longer autocorrelation time than it shows. Drift that makes the time
    itself long would hide there. So from ten chains on their scatter alone counts too, by Student's
    law, and the larger number of errors is returned.

    Args:
        fluctuation: about the mean of all, float64 ``(chains, draws)``.
        error: of that mean, by the Γ-method.

    Returns:
        The number of errors; NaN where there are fewer than 20 draws or nothing varies.

    References:
        J. Geweke, *Evaluating the accuracy of sampling-based approaches to the calculation of
        posterior moments*, Bayesian Statistics 4, 169 (1992).

    Example:
        >>> import torch
        >>> steady = torch.tensor([-1.0, 1.0]).double().repeat(2, 50)
        >>> drift(steady, error=0.1), drift(steady[:, :10], error=0.1)
        (0.0, nan)
    """
    chains, draws = fluctuation.shape
    # Not ≤, so that NaN ends here too.
    if draws < _LEAST_DRAWS or not error > 0.0:
        return math.nan
    early = draws // 10
    late = draws // 2
    differences = fluctuation[:, draws - late :].mean(1) - fluctuation[:, :early].mean(1)
    # The variance of a mean goes with the inverse of its draws. Four tenths of the draws lie
    # between the two parts, so that they are as good as independent.
    spread = error * math.sqrt(draws / early + draws / late)
    scatter = 0.0
    if chains > 1:
        scatter = float(differences.std()) / math.sqrt(chains)
    mean = float(differences.mean())
    found = mean / max(spread, scatter)
    if chains >= _MANY and scatter > 0.0:
        among = _normal(mean / scatter, chains - 1)
        found = max(found, among, key=abs)
    return found


def _normal(t: float, freedom: int) -> float:
    """Return the number of errors of a Gaussian that is as unlikely as Student's ``t``.

    Args:
        t: the ratio of a mean to its error.
        freedom: degrees of freedom.

    References:
        D. L. Wallace, *Bounds on normal approximations to Student's and the chi-square
        distributions*, Ann. Math. Stat. 30, 1121 (1959).
    """
    factor = (8 * freedom + 1) / (8 * freedom + 3)
    found = factor * math.sqrt(freedom * math.log1p(t * t / freedom))
    return math.copysign(found, t)
