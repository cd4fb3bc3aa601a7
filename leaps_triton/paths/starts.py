"""Starts of paths: distributions that can be sampled exactly."""

import functools
import logging
import math
from typing import Any

import torch
from torch import Tensor

from ..kernels import Stream
from ..kernels.checks import shown
from ..kernels.philox import site_words
from ..lattices.hypercubic import Lattice
from ..models.energy_only import as_given
from ..models.fields import PhiFour
from ..registry import register
from .base import Start
from .free_field import FreeField
from .gaussian import IndependentStart

__all__ = ["Uniform", "as_start", "check_drawn"]

logger = logging.getLogger("leaps_triton")


@register("start", name="uniform")
class Uniform:
    """The distribution in which every configuration is equally likely, ``log Z_0 = N log q``.

    A value is ``floor(q w / 2³²)`` of a 32-bit word ``w``: its probability is 1/q to 2⁻³².

    Args:
        lattice: the sites.
        q: states per site.
    """

    def __init__(self, lattice: Lattice, q: int) -> None:
        self.lattice = lattice
        self.q = q
        # Each of the qᴺ configurations has ρ̃_0 = 1.
        self.log_z = lattice.sites * math.log(q)

    def sample(self, walker_index: Tensor, seed: int) -> Tensor:
        """Return independent configurations, int8 ``(walkers, *shape)``.

        Args:
            walker_index: global indices of the walkers, int64 ``(walkers,)``.
            seed: in [0, 2³²).
        """
        sites = self.lattice.sites
        words = site_words(seed, Stream.START, 0, walker_index, sites)
        # A fraction w / 2³² of the q states.
        # Words are int64, so that the product cannot overflow.
        values = (words * self.q >> 32).to(torch.int8)
        return values.view(-1, *self.lattice.shape)


def as_start(start: Start | None, model: Any) -> Start:
    """Return the start on the model's lattice; for None the uniform one, or the free field.

    Raises:
        ValueError: this is no start, it draws other configurations than the model's, or the model
            has no uniform one.
    """
    if start is None and isinstance(model, PhiFour):
        _say_default()
        start = FreeField()
    if start is None:
        if model.dtype.is_floating_point:
            raise ValueError(
                f"configurations of {type(as_given(model)).__name__} are {model.dtype}, and have "
                f"no uniform start; "
                f"give start=lt.Gaussian(scale), or an object with sample(walkers, seed) and log_z"
            )
        return Uniform(model.lattice, model.q)
    if isinstance(start, FreeField | IndependentStart):
        return start.on(model)
    if not hasattr(start, "sample") or not hasattr(start, "log_z"):
        raise ValueError(
            f"start must be None or have sample(walkers, seed) and log_z, got {shown(start)}"
        )
    return start


def check_drawn(drawn: Any, start: Start, walkers: int, model: Any) -> None:
    """Raise a ValueError unless a start has drawn configurations of the model.

    Args:
        drawn: what it has drawn.
        start: of the path.
        walkers: how many were asked for.
        model: the target, completed.
    """
    got: object = shown(drawn)
    if isinstance(drawn, Tensor):
        got = f"{drawn.dtype} of shape {tuple(drawn.shape)}"
        if drawn.dtype == model.dtype and drawn.shape == (walkers, *model.shape):
            return
    name = type(as_given(model)).__name__
    raise ValueError(
        f"the start {shown(start)} must draw configurations of {name}, {model.dtype} of shape "
        f"{(walkers, *model.shape)} for {walkers} walkers, got {got}; take a start of that shape "
        f"and dtype, such as start=lt.Gaussian(1.0) for a density"
    )


@functools.cache
def _say_default() -> None:
    """Say once which start a path of fields has by itself."""
    logger.info("paths to PhiFour start from FreeField(mass_squared=1.0); start= is another")
