"""The cheapest exact value there is of log Z, energy and specific heat, and exact samples."""

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from ..kernels import Stream, philox, uniform64
from ..kernels.checks import as_integer, as_seed
from ..models.base import EnergyModel, Target
from ..models.densities.base import DensityModel
from ..models.fields import is_phi_four
from ..models.pair import PairModel
from .closed_forms.models import closed_form, closed_obstacle, formula_of
from .enumeration import FEW, MOST, complete_discrete, enumerate_model, expectation
from .fields import check_free, free_field_log_z, known_log_z, known_of_field
from .graphs import class_moments, class_obstacle, class_sample
from .transfer import (
    UPDATES,
    transfer_moments,
    transfer_obstacle,
    transfer_sample,
)

__all__ = ["energy", "log_z", "sample", "specific_heat"]


def log_z(model: Target | EnergyModel, updates: int = UPDATES) -> float:
    """Return ``log Σ_x exp(-βH(x))`` by the cheapest valid route.

    - Kaufman's formula for a two-state :class:`PairModel` on a two-dimensional torus, without
      field, with one coupling and ``φ = [[a, b], [b, a]] = (a + b)/2 + (a - b)/2 · s s'`` (Ising;
      Potts and clock at q = 2); of such a model on a triangular, honeycomb or kagome torus, made by
      ``lt.Graph``, the closed form of :func:`triangular_log_z` and the like;
    - enumeration of at most 2**12 configurations;
    - the transfer matrix for any other :class:`PairModel`, whatever its couplings, fields and
      boundaries, with layers of at most 2**24 states and 2**34 ``updates`` of messages, ``N q^M``
      with ``M`` the sites of a layer, or ``N q^{2M}`` where no direction is open (an Ising or
      3-state Potts torus to 13 × 13 or 8 × 8);
    - on a :class:`~leaps_triton.Graph` all of whose bonds lead between two classes of sites (the
      layers of an :class:`~leaps_triton.RBM`), a sum over the states of the smaller class, of at
      most 2**24, with ``updates`` fields of the other;
    - enumeration of at most 2**20 configurations.

    Of a :class:`~leaps_triton.PhiFour` with ``quartic=0`` it is that of the free field, the
    integral over its fields. A density such as :class:`~leaps_triton.GaussianMixture` knows its own
    ``log_z``, the integral over its coordinates.

    Args:
        model: anything with ``lattice``, ``q``, ``beta`` and ``energy(configurations)``; or a
            PhiFour with ``quartic=0``, or a density of known ``log_z``.
        updates: the most entries of messages that the transfer matrix may update; 2**28 take about
            a second.

    Raises:
        ValueError: no route is valid, and why.

    Example:
        >>> import math
        >>> from leaps_triton import Ising, Potts
        >>> round(log_z(Ising((16, 16), beta=0.4407)) / 256, 12)
        0.932215505541
        >>> round(log_z(Potts((6, 6), q=3, beta=math.log1p(math.sqrt(3.0)))), 10)
        75.5719518002
    """
    if isinstance(model, DensityModel):
        return known_log_z(model)
    return _route(model, updates).log_z()


def energy(model: Target | EnergyModel, updates: int = UPDATES) -> float:
    """Return the energy per site, ``⟨H⟩ / N``, by the route of :func:`log_z`; exact derivatives.

    Arguments and errors are those of :func:`log_z`.

    Example:
        >>> from leaps_triton import Ising
        >>> round(energy(Ising((8, 8), beta=0.4407, periodic=False)), 10)
        -1.0228881565
    """
    return _route(model, updates).energy()


def specific_heat(model: Target | EnergyModel, updates: int = UPDATES) -> float:
    """Return the specific heat per site, ``β² var(H) / N``, by the route of :func:`log_z`.

    The derivatives are exact. Arguments and errors are those of :func:`log_z`.

    Example:
        >>> from leaps_triton import Ising
        >>> round(specific_heat(Ising((8, 8), beta=0.4407, periodic=False)), 10)
        0.6849782806
    """
    return _route(model, updates).specific_heat()


def sample(model: Target | EnergyModel, n: int, seed: int = 0) -> Tensor:
    """Return independent exact samples.

    They are drawn from the list of all configurations (up to 2**12), else by the transfer matrix:
    the first layer from its law, then site after site given the messages of all that follow. A
    torus costs as much as :func:`log_z`, and as much again as a lattice with an open direction for
    each first layer that was drawn. On a graph of two classes of sites the smaller is drawn first,
    then the other given it. For larger ferromagnets see :func:`coupling_from_the_past`.
    Densities such as :class:`~leaps_triton.GaussianMixture` draw their own.

    Args:
        model: one that :func:`log_z` takes; the messages of one first layer must not need more than
            1 GiB.
        n: number of samples; the first ones do not depend on how many are asked for.
        seed: in [0, 2³²).

    Returns:
        int8 ``(n, *shape)``, or of the type of a density.

    Raises:
        ValueError: no route is valid, and why; an argument is out of range.

    Example:
        >>> from leaps_triton import EdwardsAnderson
        >>> sample(EdwardsAnderson((8, 6), beta=1.0), n=5, seed=1).shape
        torch.Size([5, 8, 6])
    """
    n = as_integer("n", n, 1, 2**31)
    seed = as_seed(seed)
    if isinstance(model, DensityModel):
        return model.sample(n, seed)
    whole = complete_discrete(model)
    sites = whole.lattice.sites
    configurations = whole.q**sites
    obstacle = transfer_obstacle(whole, keep=True)
    if configurations > FEW and not obstacle:
        return transfer_sample(whole, n, seed)
    summed = class_obstacle(whole)
    if configurations > FEW and not summed:
        return class_sample(whole, n, seed)
    if configurations > MOST:
        raise ValueError(
            f"no exact route to samples: the transfer matrix is out, since {obstacle}; "
            f"{_said_of_classes(whole, summed)}"
            f"enumeration is out, since {whole.q}**{sites} configurations are more than 2**20; for "
            f"a ferromagnet of two states use coupling_from_the_past, else take a smaller lattice"
        )
    enumeration = enumerate_model(whole)
    words = philox(seed, Stream.EXACT, 0, 0, 0, torch.arange(n))
    uniform = uniform64(words[0], words[1])
    law = enumeration.log_probabilities.exp().cumsum(0)
    # The last entry of the law is 1 but for rounding.
    rows = torch.searchsorted(law / law[-1], uniform).clamp(max=len(law) - 1)
    return enumeration.configurations[rows]


def _said_of_classes(model: Any, obstacle: str) -> str:
    """Return what an error says of the sum over a class of sites, which is for graphs alone."""
    if model.lattice.hypercubic:
        return ""
    return f"a sum over one of two classes of sites is out, since {obstacle}; "


class _Route(Protocol):
    """A way to the exact values of one model."""

    def log_z(self) -> float:
        """Return ``log Z``."""
        ...

    def energy(self) -> float:
        """Return ``⟨H⟩ / N``."""
        ...

    def specific_heat(self) -> float:
        """Return ``β² var(H) / N``."""
        ...


class _Transfer(NamedTuple):
    """A model whose layers are few enough for the transfer matrix."""

    model: PairModel

    def log_z(self) -> float:
        return transfer_moments(self.model).log_z

    def energy(self) -> float:
        moments = transfer_moments(self.model, energies=True)
        return moments.energy / self.model.lattice.sites

    def specific_heat(self) -> float:
        moments = transfer_moments(self.model, energies=True)
        return self.model.beta**2 * moments.variance / self.model.lattice.sites


class _Summed(NamedTuple):
    """A model of two classes of sites, the smaller of which is summed over."""

    model: Any

    def log_z(self) -> float:
        return class_moments(self.model).log_z

    def energy(self) -> float:
        return class_moments(self.model, energies=True).energy / self.model.lattice.sites

    def specific_heat(self) -> float:
        moments = class_moments(self.model, energies=True)
        return self.model.beta**2 * moments.variance / self.model.lattice.sites


class _Free(NamedTuple):
    """A free field."""

    model: Any

    def log_z(self) -> float:
        return free_field_log_z(self.model)

    def energy(self) -> float:
        return known_of_field(self.model)["energy"]

    def specific_heat(self) -> float:
        return known_of_field(self.model)["specific_heat"]


class _Enumerated(NamedTuple):
    """A model whose configurations are few enough to be enumerated."""

    model: Any

    def log_z(self) -> float:
        return enumerate_model(self.model).log_z

    def energy(self) -> float:
        mean = expectation(self.model, lambda x, model: model.energy(x))
        return float(mean) / self.model.lattice.sites

    def specific_heat(self) -> float:
        sites = self.model.lattice.sites
        mean = self.energy() * sites
        # The mean is taken off first: in the difference of two squares digits would cancel.
        variance = expectation(self.model, lambda x, model: (model.energy(x) - mean) ** 2)
        return self.model.beta**2 * float(variance) / sites


def _route(model: Target | EnergyModel, updates: int) -> _Route:
    """Return the cheapest valid route.

    Raises:
        ValueError: none is valid, and why.
    """
    if is_phi_four(model):
        check_free(model)
        return _Free(model)
    if isinstance(model, DensityModel):
        raise ValueError(
            f"of the density {model!r} log_z and samples may be known, and no mean energy; "
            f"estimate it from lt.exact.sample(model, n)"
        )
    whole = complete_discrete(model)
    updates = as_integer("updates", updates, 0)
    closed = closed_obstacle(whole)
    if not closed:
        return closed_form(whole)
    sites = whole.lattice.sites
    configurations = whole.q**sites
    if configurations <= FEW:
        return _Enumerated(whole)
    transfer = transfer_obstacle(whole, updates=updates)
    if not transfer:
        return _Transfer(whole)
    summed = class_obstacle(whole, updates)
    if not summed:
        return _Summed(whole)
    if configurations <= MOST:
        return _Enumerated(whole)
    raise ValueError(
        f"no exact route to log Z: {formula_of(whole)} is out, since {closed}; the transfer matrix "
        f"is out, since {transfer}; {_said_of_classes(whole, summed)}enumeration is out, since "
        f"{whole.q}**{sites} configurations are more than 2**20; take a smaller lattice"
    )
