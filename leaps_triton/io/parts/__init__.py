"""Parts of a sampler as plain data, and back: model, path, network, integrator, move.

A part is stored under the name it is entered under by :func:`leaps_triton.register`, with its
settings. To read one, its name is looked up in that registry alone: nothing is imported, and
nothing called, by a name in a file.
"""

from .models import describe_model, rebuild_model
from .moves import completed, describe_move, move_before, rebuild_move
from .networks import (
    describe_integrator,
    describe_transport,
    rebuild_integrator,
    rebuild_transport,
)
from .paths import describe_path, rebuild_path

__all__ = [
    "completed",
    "describe_integrator",
    "describe_model",
    "describe_move",
    "describe_path",
    "describe_transport",
    "move_before",
    "rebuild_integrator",
    "rebuild_model",
    "rebuild_move",
    "rebuild_path",
    "rebuild_transport",
]
