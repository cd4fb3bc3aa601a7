"""Reports for a person: the printed table here; figures in :mod:`.plotting` and
:mod:`.physics_plots`.
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
