"""Former name of :mod:`leaps_triton.integrators`."""

import warnings

from leaps_triton.integrators import *  # noqa: F403

warnings.warn(
    "leaps_triton.ctmc has moved to leaps_triton.integrators",
    DeprecationWarning,
    stacklevel=2,
)
