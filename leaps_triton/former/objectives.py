"""Former name of :mod:`leaps_triton.training.losses`."""

import warnings

from leaps_triton.training.losses import *  # noqa: F403

warnings.warn(
    "leaps_triton.objectives has moved to leaps_triton.training.losses",
    DeprecationWarning,
    stacklevel=2,
)
