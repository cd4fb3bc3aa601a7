"""Former name of :mod:`leaps_triton.report.physics_plots`."""

import warnings

from leaps_triton.report.physics_plots import *  # noqa: F403

warnings.warn(
    "leaps_triton.physics_plots has moved to leaps_triton.report.physics_plots",
    DeprecationWarning,
    stacklevel=2,
)
