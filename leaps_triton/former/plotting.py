"""Former name of :mod:`leaps_triton.report.plotting`."""

import warnings

from leaps_triton.report.plotting import *  # noqa: F403

warnings.warn(
    "leaps_triton.plotting has moved to leaps_triton.report.plotting",
    DeprecationWarning,
    stacklevel=2,
)
