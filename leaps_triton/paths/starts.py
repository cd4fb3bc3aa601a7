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
from ..models.inputs import as_table, shape_of
from ..models.pair import is_pair_model
from ..registry import register
from .base import Start
from .free_field import FreeField
from .gaussian import IndependentStart

__all__ = ["Independent", "Uniform", "as_start", "check_drawn"]

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
        # A fraction w / 2³² of the q states; words are int64, so that the product cannot overflow.
        values = (words * self.q >> 32).to(torch.int8)
        return values.view(-1, *self.lattice.shape)


@register("start")
class Independent:
    """Independent sites of given probabilities, such as means of data: ``ρ_0(x) = Π_i p_i(x_i)``.

    It is normalised, ``U_0(x) = -Σ_i log p_i(x_i)`` and ``log Z_0 = 0``. A path from it to a
    :class:`~leaps_triton.PairModel` leads in proportion, ``log ρ̃_t = -(1 - f) U_0 - f β H``: each
    density is that of weaker bonds in other fields. Started near the model it takes fewer steps
    than from the uniform start.

    It has no model until :meth:`on` gives it one, as a path does.

    Args:
        probabilities: of state 1 at every site, ``(*shape)``, for two states; or of every state,
            ``(q, *shape)``, adding up to 1. All above 0 and below 1: what never occurs at the start
            could have no weight.

    Attributes:
        probabilities: as given, float64.
        log_z: 0.

    Raises:
        ValueError: ``probabilities`` are not as above.

    Example:
        >>> import leaps_triton as lt
        >>> model = lt.Ising((3, 3), beta=0.2, field=0.5)
        >>> path = lt.AnnealingPath(model, start=Independent(torch.full((3, 3), 0.6)))
        >>> path.log_density(torch.ones(1, 3, 3, dtype=torch.int8), 0.0)
        tensor([-4.5974], dtype=torch.float64)
    """

    log_z = 0.0

    def __init__(self, probabilities: Tensor | Any) -> None:
        shape = shape_of(probabilities)
        table = as_table("probabilities", probabilities, shape, "one per site, or states by sites")
        inside = (table > 0.0) & (table < 1.0)
        if len(shape) == 0 or not bool(inside.all()):
            raise ValueError(
                f"probabilities must be one per site, above 0 and below 1, got "
                f"{shown(probabilities)}; from data count half a row more of every state"
            )
        self.probabilities = table
        self._log_probabilities: Tensor | None = None

    def __repr__(self) -> str:
        return f"Independent(shape={tuple(self.probabilities.shape)})"

    @property
    def settings(self) -> dict[str, Any]:
        """What makes the start again, as files keep it."""
        return {"probabilities": self.probabilities.tolist()}

    def on(self, model: Any) -> "Independent":
        """Return the same start for the configurations of a model.

        Args:
            model: one of pairs.

        Raises:
            ValueError: it is none, or of other states or another shape.
        """
        name = type(as_given(model)).__name__
        if not is_pair_model(model):
            raise ValueError(f"Independent needs a PairModel, got {name}; leave start= out")
        table = self.probabilities
        shape = tuple(model.shape)
        if model.q == 2 and table.shape == shape:
            table = torch.stack([1.0 - table, table])
        total = table.sum(0)
        fits = table.shape == (model.q, *shape)
        if not fits or not torch.allclose(total, torch.ones_like(total), rtol=0.0, atol=1e-6):
            raise ValueError(
                f"probabilities of Independent must have shape {(model.q, *shape)} for {name} and "
                f"add up to 1 at every site, or shape {shape} for two states; got shape "
                f"{tuple(self.probabilities.shape)}"
            )
        found = Independent(self.probabilities)
        # Normalised to the last digit, since the weights rely on it.
        found._log_probabilities = torch.log(table / total)
        return found

    @property
    def log_probabilities(self) -> Tensor:
        """``log p_i(k)``, float64 ``(q, *shape)``."""
        if self._log_probabilities is None:
            raise ValueError(
                f"{self!r} has no model yet; give it one with .on(model), or give it to "
                f"AnnealingPath(model, start=…)"
            )
        return self._log_probabilities

    def sample(self, walker_index: Tensor, seed: int) -> Tensor:
        """Return independent configurations, int8 ``(walkers, *shape)``.

        Args:
            walker_index: global indices of the walkers, int64 ``(walkers,)``.
            seed: in [0, 2³²).
        """
        states, *shape = self.log_probabilities.shape
        law = self.log_probabilities.to(walker_index.device).view(states, -1).exp()
        # The last threshold is 1 but for rounding, and above every uniform number.
        thresholds = law.cumsum(0)[:-1].unsqueeze(1)
        words = site_words(seed, Stream.START, 0, walker_index, law.shape[1])
        # All 32 bits, so that a probability is met to 2⁻³².
        uniform = (words.double() + 0.5) * 2.0**-32
        # The state is the number of thresholds at or below u.
        values = (thresholds <= uniform).sum(0, dtype=torch.int8)
        return values.view(-1, *shape)

    def energy(self, configurations: Tensor) -> Tensor:
        """Return ``U_0(x)``, float64 ``(walkers,)``; values are not checked."""
        table = self.log_probabilities.to(configurations.device).flatten(1)
        states = configurations.flatten(1).T.long()
        return -table.T.gather(1, states).sum(0)


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
                f"no uniform start; give start=lt.Gaussian(scale), or an object with "
                f"sample(walkers, seed) and log_z"
            )
        return Uniform(model.lattice, model.q)
    if isinstance(start, FreeField | Independent | IndependentStart):
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
