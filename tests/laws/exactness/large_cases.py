"""Cases of large β and large couplings.

``β J`` is large by β, large by ``J``, or of order 1 with the factors far apart, where the law is
that of β = 1 and ``J = 1``.
"""

from typing import Any

import leaps_triton as lt

LARGE = [(1000.0, 1.0), (1.0, 1e5)]
FAR_APART = (1e-5, 1e5)
CASES = [*LARGE, FAR_APART]


def glass(shape: tuple[int, ...], beta: float, size: float, **options: Any) -> lt.PairModel:
    """A Gaussian glass with couplings of this size."""
    unit = lt.EdwardsAnderson(shape, beta=1.0, disorder="gaussian", seed=3, **options)
    return lt.EdwardsAnderson(shape, beta=beta, coupling=size * unit.coupling, **options)
