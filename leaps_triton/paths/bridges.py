"""How a path leads from its start to its model: the densities between, and their gradients.

``f`` is the schedule at a time, float64 ``(1 | walkers,)``, 0 at the start and 1 at the model.
"""

import math
from typing import Any, Protocol

import torch
from torch import Tensor

from .. import kernels
from ..kernels.lattice_fields.reference import per_site
from ..models.base import DifferentiableModel
from ..models.energy_only import as_given
from ..models.fields import PhiFour, is_phi_four
from ..models.pair import PairModel
from .free_field import FreeField
from .starts import Independent

__all__ = ["Bridge", "FirstRung", "bridge_between"]


class Bridge(Protocol):
    """The family of densities between a start and a model; values are not checked."""

    leaves_start: bool
    """Whether the start's own energy fades as the model's grows, so that ``f(0)`` must be 0"""
    has_couplings: bool
    """Whether all densities are those of one model with other couplings"""
    changes_fields: bool
    """Whether they are those of models of pairs with other couplings and fields"""

    def excess(self, configurations: Tensor) -> Tensor:
        """Return ``-β⁻¹ ∂ log ρ̃ / ∂f``, float64 ``(walkers,)``."""
        ...

    def log_density(self, configurations: Tensor, fraction: Tensor) -> Tensor:
        """Return ``log ρ̃``, float64 ``(walkers,)``."""
        ...

    def score(self, configurations: Tensor, fraction: Tensor) -> Tensor:
        """Return ``∇ log ρ̃``, like the configurations."""
        ...

    def log_density_and_score(
        self, configurations: Tensor, fraction: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return both, from one pass where there is one."""
        ...

    def couplings(self, fraction: Tensor) -> Tensor:
        """Return the couplings of the model whose density this is, float64 ``(1 | walkers, n)``."""
        ...

    def model_at(self, fraction: Tensor) -> PairModel:
        """Return the model whose density at β = 1 this is, where fields change."""
        ...


class _OfOneModel:
    """The base of families whose models differ in temperature or couplings, if they are models."""

    changes_fields = False

    def model_at(self, fraction: Tensor) -> PairModel:
        """Raise a ValueError: no fields change."""
        raise ValueError("on this path no fields change: take path.model and path.beta(t) instead")


class InTemperature(_OfOneModel):
    """``log ρ̃ = -f β H``: the start is that at ``f(0)``, of whatever kind it is."""

    leaves_start = False
    has_couplings = False

    def __init__(self, model: Any) -> None:
        self._model = model

    def excess(self, configurations: Tensor) -> Tensor:
        """Return ``H(x)``."""
        energy: Tensor = self._model.energy(configurations, check=False)
        return energy

    def log_density(self, configurations: Tensor, fraction: Tensor) -> Tensor:
        """Return ``-f β H(x)``."""
        return -(fraction * self._model.beta) * self.excess(configurations)

    def score(self, configurations: Tensor, fraction: Tensor) -> Tensor:
        """Return ``f β`` times the force."""
        force = force_of(self._model, configurations)
        return _times(fraction * self._model.beta, force)

    def log_density_and_score(
        self, configurations: Tensor, fraction: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return both."""
        share = fraction * self._model.beta
        if is_phi_four(self._model):
            action, force = self._model.action_and_force(configurations)
            return -share * action, _times(share, force)
        density = -share * self.excess(configurations)
        return density, self.score(configurations, fraction)

    def couplings(self, fraction: Tensor) -> Tensor:
        """Raise a ValueError: only β changes."""
        raise _without_couplings(self._model)


class InProportion(_OfOneModel):
    """``log ρ̃ = -(1 - f) U_0 - f β H``, ``U_0`` the energy of the start."""

    leaves_start = True
    has_couplings = False

    def __init__(self, start: Any, model: Any) -> None:
        self._start = start
        self._model = model

    def excess(self, configurations: Tensor) -> Tensor:
        """Return ``H(x) - U_0(x) / β``."""
        # A model at β = 0 has no temperature to count the start's energy in.
        if self._model.beta == 0.0:
            raise ValueError(
                "a path from a start with an energy needs a model with beta other than 0, got 0"
            )
        start = self._start.energy(configurations)
        energy: Tensor = self._model.energy(configurations, check=False)
        return energy - start / self._model.beta

    def log_density(self, configurations: Tensor, fraction: Tensor) -> Tensor:
        """Return ``-(1 - f) U_0(x) - f β H(x)``."""
        start = self._start.energy(configurations)
        energy = self._model.energy(configurations, check=False)
        return -((1.0 - fraction) * start) - fraction * self._model.beta * energy

    def score(self, configurations: Tensor, fraction: Tensor) -> Tensor:
        """Return the forces of both in the same proportion."""
        start = force_of(self._start, configurations)
        force = force_of(self._model, configurations)
        share = fraction * self._model.beta
        return _times(1.0 - fraction, start) + _times(share, force)

    def log_density_and_score(
        self, configurations: Tensor, fraction: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return both."""
        density = self.log_density(configurations, fraction)
        return density, self.score(configurations, fraction)

    def couplings(self, fraction: Tensor) -> Tensor:
        """Raise a ValueError: densities between are those of no model."""
        raise _without_couplings(self._model)


class InTables(InProportion):
    """The same from independent sites: each density is that of a pair model.

    Its couplings are ``f β J`` and its fields ``f β h + (1 - f) log p``, at β = 1.

    Args:
        start: of independent sites.
        model: the model of pairs.
    """

    changes_fields = True

    def model_at(self, fraction: Tensor) -> PairModel:
        """Return the model whose density at β = 1 is that at ``f``.

        Raises:
            ValueError: several times, where there must be one.
        """
        if bool((fraction != fraction[0]).any()):
            raise ValueError(
                f"from {self._start!r} fields change on the way: all walkers must be at one time, "
                f"got {len(fraction)}"
            )
        there = float(fraction[0])
        model = self._model
        share = there * model.beta
        field = share * model.site_table + (1.0 - there) * self._start.log_probabilities
        between: PairModel = model.with_tables(1.0, field, share * model.coupling)
        return between


class InCouplings(_OfOneModel):
    """From couplings to others: each density is that of a φ⁴ model between the two.

    ``m² = (1 - f) m_0² + f m_1²`` and likewise ``λ``, which is 0 in the free field; one pass serves
    where two energies would take two.
    """

    leaves_start = True
    has_couplings = True

    def __init__(self, mass_squared: float, quartic: float, model: PhiFour) -> None:
        self._mass_squared = mass_squared
        self._quartic = quartic
        self._model = model

    def excess(self, configurations: Tensor) -> Tensor:
        """Return ``S(φ) - U_0(φ)``, in which the bonds are the same and drop out."""
        change = self._model.mass_squared - self._mass_squared
        grown = self._model.quartic - self._quartic
        # Written by the device: a copy from the host would make a GPU wait.
        quadratic = configurations.new_full((1,), change, dtype=torch.float64)
        quartic = torch.full_like(quadratic, grown)
        return kernels.site_potential(configurations, quadratic, quartic)

    def log_density(self, configurations: Tensor, fraction: Tensor) -> Tensor:
        """Return minus the action at the couplings of ``f``."""
        return -kernels.lattice_action(configurations, *self._told(configurations, fraction))

    def score(self, configurations: Tensor, fraction: Tensor) -> Tensor:
        """Return the force at the couplings of ``f``."""
        return self.log_density_and_score(configurations, fraction)[1]

    def log_density_and_score(
        self, configurations: Tensor, fraction: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return both from one pass."""
        told = self._told(configurations, fraction)
        action, force = kernels.action_and_force(configurations, *told)
        return -action, force

    def couplings(self, fraction: Tensor) -> Tensor:
        """Return ``(m², λ)`` at ``f``."""
        return torch.stack(self._at(fraction), dim=1)

    def _told(self, configurations: Tensor, fraction: Tensor) -> tuple[Tensor, Tensor]:
        """Return the couplings as ops take them, float64 ``(1 | walkers,)``."""
        return self._at(fraction.to(configurations.device))

    def _at(self, fraction: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``m²`` and ``λ`` at ``f``."""
        # In this form both ends are exact.
        left = 1.0 - fraction
        mass_squared = left * self._mass_squared + fraction * self._model.mass_squared
        quartic = left * self._quartic + fraction * self._model.quartic
        return mass_squared, quartic


class FirstRung:
    """A model at one end of a ladder, as the start of a path that nobody samples from.

    Attributes:
        model: the model.
        log_z: not known.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.log_z = math.nan

    def sample(self, walker_index: Tensor, seed: int) -> Tensor:
        """Raise a ValueError: the law is known but for its samples."""
        raise ValueError(f"there are no exact samples of {self.model!r}; start chains elsewhere")

    def energy(self, configurations: Tensor) -> Tensor:
        """Return the energy of the model, float64 ``(walkers,)``."""
        found: Tensor = self.model.energy(configurations, check=False)
        return found

    def force(self, configurations: Tensor) -> Tensor:
        """Return the force of the model, ``(walkers, *shape)``."""
        return force_of(self.model, configurations)


def bridge_between(start: Any, model: Any) -> Bridge:
    """Return the densities between a start and a model.

    A start of real fields may have ``energy``, and is then left behind in proportion.

    Args:
        start: of the path.
        model: its target, completed.
    """
    if isinstance(start, FreeField) and is_phi_four(model):
        return InCouplings(start.mass_squared, 0.0, model)
    if isinstance(start, FirstRung) and is_phi_four(start.model) and is_phi_four(model):
        return InCouplings(start.model.mass_squared, start.model.quartic, model)
    if isinstance(start, Independent):
        return InTables(start, model)
    if model.dtype.is_floating_point and hasattr(start, "energy"):
        return InProportion(start, model)
    return InTemperature(model)


def force_of(thing: DifferentiableModel, configurations: Tensor) -> Tensor:
    """Return the force of a model or start, which a user's may lack.

    Raises:
        ValueError: it has none.
    """
    if not hasattr(thing, "force"):
        raise ValueError(
            f"the gradient of the density needs force(configurations), -∂energy/∂x, of "
            f"{type(as_given(thing)).__name__}, which has none; add it"
        )
    return thing.force(configurations)


def _times(share: Tensor, force: Tensor) -> Tensor:
    """Return a number per walker times its force, in the force's type."""
    return per_site(share.to(force.device), force.ndim - 1).to(force.dtype) * force


def _without_couplings(model: Any) -> ValueError:
    return ValueError(
        f"couplings along the path are those of PhiFour from a FreeField, got a path to {model!r}"
    )
