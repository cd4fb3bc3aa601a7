"""Former name of :mod:`leaps_triton.samplers.schedules`."""

import warnings

from leaps_triton.samplers.schedules import *  # noqa: F403

warnings.warn(
    "leaps_triton.schedules has moved to leaps_triton.samplers.schedules",
    DeprecationWarning,
    stacklevel=2,
)
