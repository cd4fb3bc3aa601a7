"""Models out of nothing but an energy of the user's own."""

from typing import Any

import torch
from torch import Tensor

from ..kernels import LocalEnergy
from ..kernels.checks import expect
from ..lattices.graph import Graph
from ..lattices.hypercubic import Lattice
from . import single_site
from .base import DiscreteModel, EnergyModel, SweepPlan, Target
from .inputs import as_beta, as_spins, as_states, check_shape, check_states
from .pair import PairModel

__all__ = ["CompletedModel", "CompletedTarget", "as_given", "complete"]


class CompletedTarget:
    """A user's target with what paths and samplers ask beyond its energy.

    What is not found here is the user's: an observable may read it.

    Attributes:
        model: the user's.
        lattice: the user's, or an open one of the user's shape.
        shape, dtype, beta: the user's.
        coupling, site_table: those of a model of which networks are told nothing.
        swept: whether sites have states for heat-bath and Metropolis sweeps to choose from.
    """

    swept = False

    def __init__(self, model: Any) -> None:
        self.model = model
        self.lattice: Lattice | Graph = _lattice_of(model)
        self.dtype: torch.dtype = _dtype_of(model)
        self.beta = as_beta(model.beta)
        uniform = (1,) * self.lattice.ndim
        # An energy alone says nothing of couplings and fields: networks are told 1 and 0.
        self.coupling = torch.ones(1, *uniform, dtype=torch.float64)
        self.site_table = torch.zeros(1, *uniform, dtype=torch.float64)

    def __getattr__(self, name: str) -> Any:
        # A copy is asked for its methods before it has a model: those are not the user's.
        if name.startswith("__") or name == "model":
            raise AttributeError(f"{type(self).__name__} has no attribute {name}")
        return getattr(self.model, name)

    def __repr__(self) -> str:
        return repr(self.model)

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of one configuration."""
        return self.lattice.shape

    def at(self, beta: float) -> Any:
        """Return the same target at another inverse temperature, by its own ``at`` if it has one.

        Args:
            beta: the inverse temperature.
        """
        if hasattr(self.model, "at"):
            return complete(self.model.at(beta))
        # Energies are without β, so that the user's model serves at any.
        found = type(self)(self.model)
        found.beta = as_beta(beta)
        return found

    def check(self, configurations: Tensor) -> None:
        """Raise a ValueError unless these are finite configurations of the target."""
        check_shape(configurations, self.dtype, self.shape)
        if not bool(configurations.isfinite().all()):
            raise ValueError("configurations must be finite, got NaN or infinity")

    def energy(self, configurations: Tensor, check: bool = True) -> Tensor:
        """Return ``H(x)`` without β, float64 ``(walkers,)``; values are the user's to check."""
        return single_site.energies(self.model, configurations)

    def heat_bath(self, configurations: Tensor, beta: Tensor, plan: SweepPlan) -> Tensor:
        """Raise a ValueError: there are no states to choose from."""
        raise self._without_states("heat bath")

    def metropolis(self, configurations: Tensor, beta: Tensor, plan: SweepPlan) -> Tensor:
        """Raise a ValueError: there are no states to propose."""
        raise self._without_states("Metropolis")

    def _without_states(self, sweep: str) -> ValueError:
        return ValueError(
            f"{sweep} sweeps need a model with q states per site, and configurations of "
            f"{type(self.model).__name__} are {self.dtype}; take lt.HMC or lt.Langevin, which "
            f"follow a force, or give a move of your own"
        )


class CompletedModel(CompletedTarget):
    """A user's model of ``q`` states per site, with moves that cost energies of configurations.

    Attributes:
        q, spins, reach: the user's; spins and reach may be missing.
    """

    swept = True

    def __init__(self, model: Any) -> None:
        names = ("lattice", "q", "beta", "energy")
        missing = [name for name in names if not hasattr(model, name)]
        if hasattr(model, "shape") and "lattice" in missing:
            missing.remove("lattice")
        if missing:
            raise ValueError(
                f"a model needs lattice, q, beta and energy(configurations); missing: "
                f"{', '.join(missing)}"
            )
        _check_energy(model)
        super().__init__(model)
        # It holds all states, since q is at most 127.
        self.dtype = torch.int8
        self.q = as_states(model.q)
        uniform = (1,) * self.lattice.ndim
        # No field either, but a row for every state, as networks read it.
        self.site_table = torch.zeros(self.q, *uniform, dtype=torch.float64)
        self.spins = as_spins(getattr(model, "spins", None), self.q)
        # An energy that does not say how far it reads may read the whole lattice.
        self.reach = getattr(model, "reach", None)

    def check(self, configurations: Tensor) -> None:
        """Raise a ValueError unless these are int8 with values ``0 … q-1``."""
        check_states(configurations, self.dtype, self.shape, self.q)

    def local_energy(
        self,
        configurations: Tensor,
        beta: Tensor,
        dtype: torch.dtype = torch.float32,
    ) -> LocalEnergy:
        """Return ``H(x)`` and the log-ratios of all moves, two energies each."""
        return single_site.log_ratios(self.energy, configurations, self.q, beta, dtype)

    def heat_bath(self, configurations: Tensor, beta: Tensor, plan: SweepPlan) -> Tensor:
        """Return configurations after heat-bath sweeps, site after site."""
        return single_site.heat_bath_sweeps(self.energy, configurations, self.q, beta, plan)

    def metropolis(self, configurations: Tensor, beta: Tensor, plan: SweepPlan) -> Tensor:
        """Return configurations after Metropolis sweeps, site after site."""
        return single_site.metropolis_sweeps(self.energy, configurations, self.q, beta, plan)


def complete(model: Target | EnergyModel) -> Any:
    """Return ``model`` itself if it offers all that samplers call, else a wrapper that does.

    - A :class:`DiscreteModel`, or a target with ``check`` of its own: itself.
    - ``lattice`` (or ``shape``), ``q``, ``beta`` and ``energy``: the moves are derived from
      energies, slowly.
    - ``shape``, floating-point ``dtype``, ``beta`` and ``energy``: it needs a move of the user's.

    A subclass of :class:`PairModel` with an energy of its own is another model, whatever its tables
    say: it is wrapped, unless it brings the rest too.

    Args:
        model: a model of the library or of the user's own.

    Returns:
        A model; ``.model`` of a wrapper is the user's.

    Raises:
        ValueError: ``model`` lacks something, or is a subclass that brings a part of the rest.
    """
    if isinstance(model, PairModel):
        if model.needs_completion():
            return CompletedModel(model)
        return model
    if isinstance(model, DiscreteModel | CompletedTarget):
        return model
    if not _dtype_of(model).is_floating_point:
        return CompletedModel(model)
    missing = [name for name in ("beta", "energy") if not hasattr(model, name)]
    if not hasattr(model, "shape") and not hasattr(model, "lattice"):
        missing.insert(0, "shape")
    if missing:
        raise ValueError(
            f"a model of floating-point configurations needs shape, beta and "
            f"energy(configurations); missing: {', '.join(missing)}"
        )
    _check_energy(model)
    if hasattr(model, "check"):
        return model
    return CompletedTarget(model)


def as_given(model: Any) -> Any:
    """Return the model that :func:`complete` was given for this one."""
    if isinstance(model, CompletedTarget):
        return model.model
    return model


def _check_energy(model: Any) -> None:
    wanted = "a function of configurations"
    expect(callable(model.energy), "energy of a model", wanted, model.energy)


def _lattice_of(model: Any) -> Lattice | Graph:
    """Return the lattice of a user's model; open where it tells its shape alone."""
    if not hasattr(model, "lattice"):
        # A shape does not say whether the ends of a direction meet.
        return Lattice(model.shape, periodic=False)
    lattice = model.lattice
    known = isinstance(lattice, Lattice | Graph)
    expect(known, "lattice of a model", "a Lattice or a Graph", lattice)
    return lattice


def _dtype_of(model: object) -> torch.dtype:
    """Return the type of a user's configurations; int8 where it is not told."""
    dtype = getattr(model, "dtype", torch.int8)
    expect(isinstance(dtype, torch.dtype), "dtype of a model", "a torch.dtype", dtype)
    return dtype
