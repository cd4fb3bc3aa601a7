"""Former name of :mod:`leaps_triton.io.export`."""

import warnings

from leaps_triton.io.export import *  # noqa: F403

warnings.warn(
    "leaps_triton.export has moved to leaps_triton.io.export",
    DeprecationWarning,
    stacklevel=2,
)
