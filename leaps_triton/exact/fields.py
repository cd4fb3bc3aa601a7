"""What is exact of fields: all of the free field, and the Schwinger–Dyson identity of any."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..kernels.checks import as_number, expect, is_positive
from ..lattices.hypercubic import Lattice
from ..lattices.waves import squared_momenta
from ..models.densities.base import DensityModel
from ..models.varied import couplings_of

__all__ = [
    "check_free",
    "free_field_log_z",
    "free_field_two_point",
    "free_field_variances",
    "known_log_z",
    "known_of_density",
    "known_of_field",
]


def free_field_variances(shape: Sequence[int] | int, mass_squared: float) -> Tensor:
    """Return ``⟨|φ_k|²⟩ = 1 / (2 (k̂² + m²))`` of all modes of the free field.

    Modes are those of the orthonormal Fourier transform, ``k̂² = Σ_μ 4 sin²(k_μ / 2)``; the action
    is that of :class:`~leaps_triton.PhiFour` with ``quartic=0``.

    Args:
        shape: lattice lengths, all periodic.
        mass_squared: ``m²``, above 0.

    Returns:
        float64 ``(*shape)``.

    Raises:
        ValueError: lengths of no lattice, a mass that is not above 0.
    """
    lattice = Lattice(shape)
    wanted = "a number above 0"
    mass_squared = as_number("mass_squared", mass_squared, wanted, is_positive)
    return 0.5 / (squared_momenta(lattice.shape, torch.device("cpu")) + mass_squared)


def free_field_log_z(shape: Any, mass_squared: float | None = None) -> float:
    """Return ``log Z = ½ Σ_k log(π / (k̂² + m²))`` of the free field.

    Args:
        shape: lattice lengths, all periodic; or a model of the free field, that is one with
            ``quartic=0``, in the place of both.
        mass_squared: ``m²``, above 0; None with a model.

    Raises:
        ValueError: the same as in :func:`free_field_variances`.

    Example:
        >>> round(free_field_log_z((2, 2), mass_squared=1.0), 10)
        -0.4185904294
    """
    variances = free_field_variances(*_told(shape, mass_squared))
    return 0.5 * float((2.0 * math.pi * variances).log().sum())


def free_field_two_point(
    shape: Any, mass_squared: float | None = None, direction: int = 0
) -> Tensor:
    """Return the two-point function ``⟨φ_x φ_{x + r ê}⟩`` of the free field, ``r = 0 … L/2``.

    Args:
        shape: lattice lengths, all periodic, or a model, as in :func:`free_field_log_z`.
        mass_squared: ``m²``, above 0; None with a model.
        direction: axis of the lattice.

    Returns:
        float64 ``(L // 2 + 1,)``, as :func:`~leaps_triton.observables.correlation` estimates it.

    Raises:
        ValueError: the same as in :func:`free_field_variances`.
    """
    variances = free_field_variances(*_told(shape, mass_squared))
    length = variances.shape[direction]
    # Its transform is the mean square of every mode; the mean over the others is at their r = 0.
    along = torch.fft.ifftn(variances).real.movedim(direction, 0)
    return along.reshape(length, -1)[: length // 2 + 1, 0]


def known_of_field(model: Any) -> dict[str, float]:
    """Return exact values of a field by name: of any the check, of the free field all of a table.

    Args:
        model: a target; there is nothing where it has no couplings.
    """
    couplings = couplings_of(model)
    if not couplings:
        return {}
    found = {"schwinger_dyson": 1.0}
    if couplings.get("quartic") != 0.0:
        return found
    mass_squared = couplings["mass_squared"]
    square = float(free_field_variances(model.shape, mass_squared).mean())
    # M is a Gaussian number, the mode k = 0.
    full = 0.5 / mass_squared
    length = math.sqrt(2.0 * full / (math.pi * math.prod(model.shape)))
    found.update(
        log_z=free_field_log_z(model.shape, mass_squared),
        # Half a unit of action a mode, with a variance of one half.
        energy=0.5,
        specific_heat=0.5,
        abs_magnetization=length,
        susceptibility=full * (1.0 - 2.0 / math.pi),
        susceptibility_full=full,
        magnetization_squared=full / math.prod(model.shape),
        binder=0.0,
        field_squared=square,
        field_fourth=3.0 * square**2,
    )
    return found


def known_of_density(model: DensityModel) -> dict[str, float]:
    """Return exact values of a density by name: log Z where it is known.

    Args:
        model: the density.
    """
    found = {"schwinger_dyson": 1.0}
    if model.log_z is not None:
        found["log_z"] = model.log_z
    return found


def known_log_z(model: DensityModel) -> float:
    """Return the ``log_z`` that a density knows.

    Args:
        model: the density.

    Raises:
        ValueError: it knows none.
    """
    if model.log_z is None:
        raise ValueError(
            f"log Z of {model!r} is not known; give it as log_z= to lt.Density, or estimate it by "
            f"lt.Sampler"
        )
    return model.log_z


def check_free(model: Any) -> None:
    """Raise a ValueError unless a model with couplings is the free field, which alone is solved.

    Args:
        model: one with couplings.

    Raises:
        ValueError: its quartic term is not 0.
    """
    quartic = couplings_of(model)["quartic"]
    if quartic != 0.0:
        raise ValueError(
            f"exact values of a field are known at quartic=0 alone, got quartic={quartic:g}; the "
            f"check that holds at any is the observable schwinger_dyson, whose mean is 1"
        )


def _told(shape: Any, mass_squared: float | None) -> tuple[Any, Any]:
    """Return lengths and ``m²``, those of a model where one stands in the place of both."""
    couplings = couplings_of(shape)
    if not couplings:
        return shape, mass_squared
    expect(mass_squared is None, "mass_squared", "None beside a model", mass_squared)
    check_free(shape)
    return shape.shape, couplings["mass_squared"]
