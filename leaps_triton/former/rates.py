"""Former name of :mod:`leaps_triton.integrators.rates`."""

import warnings

from leaps_triton.integrators.rates import *  # noqa: F403

warnings.warn(
    "leaps_triton.rates has moved to leaps_triton.integrators.rates",
    DeprecationWarning,
    stacklevel=2,
)
