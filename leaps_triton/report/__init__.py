"""Reports for a person: the printed table here, figures in :mod:`.figures`.

:mod:`.plotting` has figures of weights, walkers and training, :mod:`.physics_plots` those of
physics.
"""

from .summary import LABELS, known, label, measure, render, title

__all__ = [
    "LABELS",
    "known",
    "label",
    "measure",
    "render",
    "title",
]
