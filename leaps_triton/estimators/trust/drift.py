"""Whether chains still drift: their early part against their late one."""

import math

from torch import Tensor

__all__ = ["LEAST_DRAWS", "MOST_SIGMA", "drift"]


MOST_SIGMA = 3.3
"""Errors by which the two parts may differ; Gaussian ones do so once in a thousand."""

LEAST_DRAWS = 20
"""Draws per walker from which a tenth of them is enough to be compared."""


def drift(fluctuation: Tensor, error: float) -> float:
    """Return by how many errors the first tenth of chains differs from their last half.

    Chains that relax from a common start are most unlike at their very beginning, so that the first
    tenth holds most of what there is to see, and the last half the least (Geweke). Drift makes the
    error itself larger, which costs some power and no false alarm. Where the means of the walkers'
    own differences spread more than the Γ-method has it, that spread counts.

    Args:
        fluctuation: about the mean of all, float64 ``(chains, draws)``.
        error: of that mean, by the Γ-method.

    Returns:
        The number of errors, with the sign of the late part minus the early one; NaN where there
        are fewer than 20 draws or nothing varies.

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
    if draws < LEAST_DRAWS or not error > 0.0:
        return math.nan
    early = draws // 10
    late = draws // 2
    differences = fluctuation[:, draws - late :].mean(1) - fluctuation[:, :early].mean(1)
    # The variance of a mean goes with the inverse of its draws. Four tenths of the draws lie
    # between the two parts, so that they are as good as independent.
    spread = error * math.sqrt(draws / early + draws / late)
    if chains > 1:
        # Walkers that do not mix have a longer autocorrelation time than it shows.
        among = float(differences.std()) / math.sqrt(chains)
        spread = max(spread, among)
    return float(differences.mean()) / spread
