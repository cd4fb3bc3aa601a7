"""Several processes that share one work, as ``torchrun`` starts them.

:func:`together` gives a process its :class:`Ranks`: its number, how many there are, its device, and
the few ways in which they speak to one another. A process by itself is :data:`ALONE`, for which all
of these cost nothing. Nothing else in the library asks :mod:`torch.distributed`.
"""

from .group import Group, together, world_size
from .parts import combined, gathered
from .ranks import ALONE, LostRankError, Ranks

__all__ = [
    "ALONE",
    "Group",
    "LostRankError",
    "Ranks",
    "combined",
    "gathered",
    "together",
    "world_size",
]
