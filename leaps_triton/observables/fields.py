"""Observables that fields alone have; all others have the names that they have for spins.

The field ``φ`` stands for the spins: ``magnetization`` is ``M = (1/V) Σ_x φ_x``,
``magnetization_squared`` its square, ``susceptibility_full`` is ``V ⟨M²⟩``, ``correlation`` the
two-point function, ``correlation_length`` the second-moment length ξ₂ and ``energy`` the action per
site.
"""

from typing import Any

from torch import Tensor

from ..models.densities.base import DensityModel
from ..models.varied import check_coupling, couplings_of
from .base import OBSERVABLES, entered, measured_of, observable

__all__ = ["FIELD_OBSERVABLES", "field_fourth", "field_squared", "schwinger_dyson"]


FIELD_OBSERVABLES = (
    "energy",
    "abs_magnetization",
    "susceptibility",
    "susceptibility_full",
    "binder",
    "field_squared",
    "field_fourth",
    "schwinger_dyson",
)
"""Names of what runs of a field measure unless told."""

TARGET_OBSERVABLES = ("energy",)
"""Names of what runs of other targets of real fields measure unless told."""

DENSITY_OBSERVABLES = ("energy", "schwinger_dyson")
"""Names of what runs of densities measure unless told."""

_CONJUGATE = {"mass_squared": "field_squared", "quartic": "field_fourth"}
"""Coupling → the observable whose sum over all sites it multiplies in the action."""

_READS = ("energy", "schwinger_dyson", "specific_heat")
"""Observables whose definition has the couplings in it."""


@observable
def field_squared(configurations: Tensor, model: Any) -> Tensor:
    """Return the mean square ``(1/V) Σ_x φ_x²`` of a field, ``∂S/∂m²`` per site.

    Raises:
        ValueError: configurations that are not the model's, or no field.
    """
    field = measured_of(configurations, model).field
    return field.square().mean(1)


@observable
def field_fourth(configurations: Tensor, model: Any) -> Tensor:
    """Return the mean fourth power ``(1/V) Σ_x φ_x⁴`` of a field, ``∂S/∂λ`` per site.

    Raises:
        ValueError: configurations that are not the model's, or no field.
    """
    field = measured_of(configurations, model).field
    return field.square().square().mean(1)


@observable
def schwinger_dyson(configurations: Tensor, model: Any) -> Tensor:
    """Return ``(1/V) Σ_x φ_x ∂S/∂φ_x``, whose mean is 1 exactly, at any coupling.

    By parts, ``∫ φ_x ∂/∂φ_x e^{-S} = -∫ e^{-S}`` at every site. A mean that is not 1 within its
    error says that the sampling is wrong, or that there is less of it than the error says.

    Raises:
        ValueError: configurations that are not the model's, or a model without a force.

    Example:
        >>> import torch, leaps_triton as lt
        >>> model = lt.PhiFour((4, 4), mass_squared=1.0, quartic=0.0)
        >>> x = lt.FreeField(1.0).on(model).sample(torch.arange(4000), seed=0)
        >>> abs(float(schwinger_dyson(x, model).mean()) - 1.0) < 0.02
        True
    """
    field = measured_of(configurations, model).field
    force = measured_of(configurations, model).force
    # The force is -∂S/∂φ. Sums in float64: the field itself may be float32.
    return -(field * force).mean(1)


def conjugate_of(model: Any, coupling: str) -> str:
    """Return the name of the observable whose sum over all sites a coupling multiplies.

    Args:
        model: one that has the coupling.
        coupling: its name.

    Raises:
        ValueError: the model has no such coupling.
    """
    check_coupling(model, coupling)
    return _CONJUGATE[coupling]


def reads_couplings(name: str) -> bool:
    """Return whether the definition of an observable of the library has the couplings in it."""
    return name in _READS or name not in entered()


def chosen_for(model: Any, observables: Any) -> Any:
    """Return what a run of a model measures.

    Args:
        model: the target.
        observables: what was asked for; the tuple ``OBSERVABLES``, which is the default everywhere,
            stands for ``FIELD_OBSERVABLES`` where the model has couplings, for energy and
            ``schwinger_dyson`` of a density, and for the energy alone of other real fields.
    """
    unless_told = isinstance(observables, tuple) and observables == OBSERVABLES
    if not unless_told:
        return observables
    if couplings_of(model):
        return FIELD_OBSERVABLES
    if isinstance(model, DensityModel):
        return DENSITY_OBSERVABLES
    if model.dtype.is_floating_point:
        # A target of a user's own promises no more.
        return TARGET_OBSERVABLES
    return observables
