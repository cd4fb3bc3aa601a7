"""Former name of :mod:`leaps_triton.estimators.weights`."""

import warnings

from leaps_triton.estimators.weights import *  # noqa: F403

warnings.warn(
    "leaps_triton.weights has moved to leaps_triton.estimators.weights",
    DeprecationWarning,
    stacklevel=2,
)
