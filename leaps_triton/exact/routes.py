"""The cheapest exact value there is of log Z, energy and specific heat, and exact samples."""

from typing import NamedTuple, cast

import torch
from torch import Tensor

from ..kernels import Stream, philox, uniform64
from ..kernels.checks import as_integer, as_seed
from ..models.base import EnergyModel
from ..models.energy_only import complete
from ..models.pair import PairModel
from .closed_forms import ising_energy, ising_log_z, ising_specific_heat
from .enumeration import _FEW, _LIMIT, enumerate_model, expectation
from .transfer import (
    NOT_A_PAIR_MODEL,
    UPDATES,
    transfer_moments,
    transfer_obstacle,
    transfer_sample,
)

__all__ = ["energy", "log_z", "sample", "specific_heat"]


def log_z(model: EnergyModel, updates: int = UPDATES) -> float:
    """``log Σ_x exp(-βH(x))`` by the cheapest valid route.

    - Kaufman's formula for a two-state :class:`PairModel` on a two-dimensional torus, without
      field, with one coupling and ``φ = [[a, b], [b, a]] = (a + b)/2 + (a - b)/2 · s s'`` (Ising;
      Potts and clock at q = 2);
    - enumeration of at most 2**12 configurations;
    - the transfer matrix for any other :class:`PairModel`, whatever its couplings, fields and
      boundaries, with layers of at most 2**24 states and 2**34 ``updates`` of messages, ``N q^M``
      with ``M`` the sites of a layer, or ``N q^{2M}`` where no direction is open (an Ising or
      3-state Potts torus to 13 × 13 or 8 × 8);
    - enumeration of at most 2**20 configurations.

    Args:
        model: anything with ``lattice``, ``q``, ``beta`` and ``energy(configurations)``.
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
    route = _route(model, updates)
    if isinstance(route, _Kaufman):
        return route.constant + ising_log_z(route.shape, route.beta, route.coupling)
    return (
        enumerate_model(model).log_z
        if route == "enumeration"
        else transfer_moments(cast(PairModel, model)).log_z
    )


def energy(model: EnergyModel, updates: int = UPDATES) -> float:
    """Energy a site, ``⟨H⟩ / N``, by the route of :func:`log_z`; exact derivatives.

    Arguments, errors
        as :func:`log_z`.

    Example:
        >>> from leaps_triton import Ising
        >>> round(energy(Ising((8, 8), beta=0.4407, periodic=False)), 10)
        -1.0228881565
    """
    route, sites = _route(model, updates), model.lattice.sites
    if isinstance(route, _Kaufman):
        return route.energy + ising_energy(route.shape, route.beta, route.coupling)
    if route == "transfer":
        return transfer_moments(cast(PairModel, model), energies=True).energy / sites
    return float(expectation(model, lambda x, model: model.energy(x))) / sites


def specific_heat(model: EnergyModel, updates: int = UPDATES) -> float:
    """Specific heat a site, ``β² var(H) / N``, by the route of :func:`log_z`; exact derivatives.

    Arguments, errors
        as :func:`log_z`.

    Example:
        >>> from leaps_triton import Ising
        >>> round(specific_heat(Ising((8, 8), beta=0.4407, periodic=False)), 10)
        0.6849782806
    """
    route, sites = _route(model, updates), model.lattice.sites
    if isinstance(route, _Kaufman):
        return ising_specific_heat(route.shape, route.beta, route.coupling)
    if route == "transfer":
        return (
            model.beta**2 * transfer_moments(cast(PairModel, model), energies=True).variance / sites
        )
    mean = energy(model, updates) * sites
    return (
        model.beta**2
        * float(expectation(model, lambda x, model: (model.energy(x) - mean) ** 2))
        / sites
    )


def sample(model: EnergyModel, n: int, seed: int = 0) -> Tensor:
    """Independent exact samples: from the list of all configurations (up to 2**12), else by the
    transfer matrix.

    With the transfer matrix, the first layer is drawn from its law and then site after site given
    the messages of all that follow. A torus costs as much as :func:`log_z`, and as much again as a
    lattice with an open direction for each first layer that was drawn. Larger ferromagnets:
    :func:`coupling_from_the_past`.

    Args:
        model: as of :func:`log_z`, and the messages of one first layer must not take more than 1
            GiB.
        n: samples; the first ones do not depend on how many are asked for.
        seed: in [0, 2³²).

    Returns:
        int8 ``(n, *shape)``.

    Raises:
        ValueError: no route is valid, and why; a bad argument.

    Example:
        >>> from leaps_triton import EdwardsAnderson
        >>> sample(EdwardsAnderson((8, 6), beta=1.0), n=5, seed=1).shape
        torch.Size([5, 8, 6])
    """
    n, seed = as_integer("n", n, 1, 2**31), as_seed(seed)
    complete(model)
    configurations = model.q**model.lattice.sites
    obstacle = transfer_obstacle(model, keep=True)
    if configurations > _FEW and not obstacle:
        return transfer_sample(cast(PairModel, model), n, seed)
    if configurations > _LIMIT:
        raise ValueError(
            f"no exact route to samples: the transfer matrix is out, since {obstacle}; enumeration is out, since "
            f"{model.q}**{model.lattice.sites} configurations are more than 2**20; for a ferromagnet of two states use "
            f"coupling_from_the_past, else take a smaller lattice"
        )
    enumeration = enumerate_model(model)
    words = philox(seed, Stream.EXACT, 0, 0, 0, torch.arange(n))
    law = enumeration.log_probabilities.exp().cumsum(0)
    rows = torch.searchsorted(law / law[-1], uniform64(words[0], words[1])).clamp(max=len(law) - 1)
    return enumeration.configurations[rows]


class _Kaufman(NamedTuple):
    """An Ising torus to which a model comes down, with ``log Z`` and energy a site of what is left
    over.
    """

    shape: tuple[int, ...]
    beta: float
    coupling: float
    constant: float
    energy: float


def _route(model: EnergyModel, updates: int) -> _Kaufman | str:
    """The cheapest valid route to ``log Z``: Kaufman's formula, ``"enumeration"`` or
    ``"transfer"``.
    """
    complete(model)
    updates = as_integer("updates", updates, 0)
    obstacle = transfer_obstacle(model, updates=updates)
    if obstacle == NOT_A_PAIR_MODEL:
        kaufman = obstacle
    else:
        pair = cast(PairModel, model)
        (a, b), coupling = pair.bond_table[0, :2].tolist(), float(pair.coupling.flatten()[0])
        kaufman = _obstacle(pair, coupling * (a - b))
        if not kaufman:
            rest = coupling * (a + b)
            sites = pair.lattice.sites
            return _Kaufman(
                pair.lattice.shape,
                pair.beta,
                coupling * (a - b) / 2,
                pair.beta * sites * rest,
                -rest,
            )
    configurations = model.q**model.lattice.sites
    if configurations <= _FEW:
        return "enumeration"
    if not obstacle:
        return "transfer"
    if configurations <= _LIMIT:
        return "enumeration"
    raise ValueError(
        f"no exact route to log Z: Kaufman's formula is out, since {kaufman}; the transfer matrix is out, since "
        f"{obstacle}; enumeration is out, since {model.q}**{model.lattice.sites} configurations are more than 2**20; "
        f"take a smaller lattice"
    )


def _obstacle(model: PairModel, coupling: float) -> str:
    """Why Kaufman's formula with a coupling of this sign does not apply to ``model``; empty if it
    does.
    """
    lattice = model.lattice
    if lattice.ndim != 2 or not all(lattice.periodic):
        return f"the lattice is not a two-dimensional torus (shape {lattice.shape}, periodic {lattice.periodic})"
    if model.q != 2 or not torch.equal(model.bond_table, model.bond_table.flip(0, 1)):
        return f"the interaction is not Ising's (q = {model.q}; it needs a bond table [[a, b], [b, a]])"
    if model.site_table.any():
        return "there is a field"
    if (model.coupling != model.coupling.flatten()[0]).any():
        return "the coupling is not uniform"
    if model.beta * coupling < 0 and any(length % 2 for length in lattice.shape):
        return f"an odd length frustrates the antiferromagnet (shape {lattice.shape})"
    return ""
