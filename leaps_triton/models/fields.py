"""Real fields on lattices: the φ⁴ model, and the conventions in which it is written."""

import math
from collections.abc import Sequence
from typing import Any, TypeGuard

import torch
from torch import Tensor

from .. import kernels
from ..kernels import ActionForce
from ..kernels.checks import as_number, expect, is_positive, shown
from ..lattices.hypercubic import Lattice, require_hypercubic
from ..lattices.waves import squared_momenta
from ..registry import register
from .base import SweepPlan
from .inputs import check_shape, named

__all__ = [
    "CONVENTIONS",
    "PhiFour",
    "check_field",
    "fields_in",
    "hartree_masses",
    "is_phi_four",
    "log_z_in",
    "mean_field_mass",
]

CONVENTIONS = ("kappa", "lambda/4", "lambda/24")
"""Other ways to write the action, with fields in other units."""

_STEPS = 60
"""Newton's steps to the Hartree mass: the first double it at least, the last its correct digits."""

_TINY = torch.finfo(torch.float64).tiny

_COUPLINGS = ("mass_squared", "quartic")
_DTYPES = {"float32": torch.float32, "float64": torch.float64}


@register("model")
class PhiFour:
    """A real scalar field with a quartic term on a periodic lattice, ``ρ ∝ e^{-S}``.

    ``S(φ) = Σ_x [-2 Σ_μ φ_x φ_{x+μ} + (2d + m²) φ_x² + λ φ_x⁴]``, each bond once. There is no
    inverse temperature beside the couplings: β is 1.

    Args:
        shape: lattice lengths, one to four directions, all periodic.
        mass_squared: ``m²``; below 0 the field may order.
        quartic: ``λ``, above 0, or 0 with ``mass_squared`` above 0.
        dtype: type of configurations, ``torch.float32`` or ``torch.float64``, or its name.

    Attributes:
        lattice: the lattice.
        dtype: type of configurations.
        beta: 1.
        mass_squared: ``m²``.
        quartic: ``λ``.
        coupling: ``(m², λ)``, float64 ``(2,)``, as networks are told them.
        site_table: of a field that is not there: a zero, float64 ``(1,)``.

    Raises:
        ValueError: an argument is not as above; what was expected and what came.

    References:
        Albergo, Kanwar, Shanahan, *Flow-based generative models for MCMC in lattice field theory*,
        Phys. Rev. D 100, 034515 (2019).

    Example:
        >>> model = PhiFour((4, 4), mass_squared=-4.0, quartic=8.0)
        >>> model.energy(torch.ones(1, 4, 4)).item()
        64.0
    """

    beta = 1.0
    symmetry = "sign"
    """The action is the same for φ and -φ"""
    swept = False
    """Whether sites have states for heat-bath and Metropolis sweeps to choose from"""

    @named
    def __init__(
        self,
        shape: Sequence[int] | int,
        mass_squared: float,
        quartic: float,
        dtype: torch.dtype | str = torch.float32,
    ) -> None:
        require_hypercubic(shape, "PhiFour")
        self.lattice = Lattice(shape)
        self.mass_squared = as_number("mass_squared", mass_squared, "finite", math.isfinite)
        self.quartic = as_number("quartic", quartic, "finite, 0 or above", _is_bounding)
        if self.quartic == 0.0 and self.mass_squared <= 0.0:
            raise ValueError(
                f"without a quartic term mass_squared must be above 0, or e^-S has no integral, "
                f"got mass_squared={self.mass_squared:g}, quartic=0"
            )
        self.dtype = as_field_dtype(dtype)
        self.coupling = torch.tensor([self.mass_squared, self.quartic], dtype=torch.float64)
        self.site_table = torch.zeros(1, dtype=torch.float64)

    @classmethod
    def from_kappa_lambda(
        cls,
        shape: Sequence[int] | int,
        kappa: float,
        quartic: float,
        dtype: torch.dtype | str = torch.float32,
    ) -> "PhiFour":
        """Return the model of the hopping convention, the fields of which are ``φ / √κ``.

        ``S = Σ_x [-2κ Σ_μ φ_x φ_{x+μ} + (1 - 2λ) φ_x² + λ φ_x⁴]``.

        Args:
            shape: lattice lengths.
            kappa: ``κ``, above 0.
            quartic: ``λ`` of that convention.
            dtype: type of configurations.

        References:
            Nicoli and others, *Estimation of thermodynamic observables in lattice field theories
            with deep generative models*, Phys. Rev. Lett. 126, 032001 (2021).

        Example:
            >>> PhiFour.from_kappa_lambda((4, 4), kappa=0.25, quartic=0.0625)
            PhiFour(shape=(4, 4), mass_squared=-0.5, quartic=1.0)
        """
        kappa = as_number("kappa", kappa, "a positive number", is_positive)
        own = as_number("quartic", quartic, "finite, 0 or above", _is_bounding)
        ndim = Lattice(shape).ndim
        mass_squared = (1.0 - 2.0 * own) / kappa - 2.0 * ndim
        return cls(shape, mass_squared, own / kappa**2, dtype)

    @classmethod
    def from_continuum(
        cls,
        shape: Sequence[int] | int,
        mass_squared: float,
        quartic: float,
        convention: str = "lambda/4",
        dtype: torch.dtype | str = torch.float32,
    ) -> "PhiFour":
        """Return the model of a discretised continuum action, the fields of which are ``√2 φ``.

        ``S = Σ_x [½ Σ_μ (φ_{x+μ} - φ_x)² + ½ m² φ_x² + (λ/4) φ_x⁴]``, or with ``λ/4! = λ/24``.

        Args:
            shape: lattice lengths.
            mass_squared: ``m²``, the same as in this library.
            quartic: ``λ`` of the convention.
            convention: ``"lambda/4"`` or ``"lambda/24"``.
            dtype: type of configurations.

        Example:
            >>> PhiFour.from_continuum((4, 4), -1.0, 6.0, convention="lambda/24")
            PhiFour(shape=(4, 4), mass_squared=-1.0, quartic=1.0)
        """
        expect(convention in CONVENTIONS[1:], "convention", "'lambda/4' or 'lambda/24'", convention)
        own = as_number("quartic", quartic, "finite, 0 or above", _is_bounding)
        if convention == "lambda/24":
            # λ/24 of the one is λ/4 of the other.
            own = own / 6.0
        return cls(shape, mass_squared, own, dtype)

    def __repr__(self) -> str:
        parts = [f"shape={self.shape}"]
        parts += [f"{name}={value}" for name, value in self.couplings.items()]
        if self.dtype != torch.float32:
            parts.append(f"dtype={self.dtype}")
        return f"{type(self).__name__}({', '.join(parts)})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the lattice."""
        return self.lattice.shape

    @property
    def couplings(self) -> dict[str, float]:
        """Couplings by name."""
        return {name: getattr(self, name) for name in _COUPLINGS}

    @property
    def settings(self) -> dict[str, Any]:
        """What makes the model again, as files keep it."""
        dtype = str(self.dtype).removeprefix("torch.")
        return {"shape": list(self.shape), **self.couplings, "dtype": dtype}

    @property
    def kappa(self) -> float:
        """``κ`` of the hopping convention, in which the same action is ``φ² (1 - 2λ) + …``."""
        # The positive root of 2 λ κ² + (2d + m²) κ - 1 = 0, without a difference.
        linear = 2.0 * self.lattice.ndim + self.mass_squared
        root = math.sqrt(linear * linear + 8.0 * self.quartic)
        if linear > 0.0:
            return 2.0 / (linear + root)
        return (root - linear) / (4.0 * self.quartic)

    def with_couplings(self, **changes: float) -> "PhiFour":
        """Return the same model with other couplings.

        Args:
            **changes: new values by the names of :attr:`couplings`.

        Raises:
            ValueError: a name is none of these, or there is no such model.

        Example:
            >>> PhiFour((4, 4), -4.0, 8.0).with_couplings(quartic=7.0)
            PhiFour(shape=(4, 4), mass_squared=-4.0, quartic=7.0)
        """
        unknown = [name for name in changes if name not in _COUPLINGS]
        if unknown:
            known = ", ".join(_COUPLINGS)
            raise ValueError(f"couplings of {type(self).__name__} are {known}, got {unknown[0]}")
        return type(self)(**{**self.settings, **changes})

    def at(self, beta: float) -> "PhiFour":
        """Return the model itself, at ``beta = 1``, the only inverse temperature that it has.

        Raises:
            ValueError: another one.
        """
        wanted = "1, since the couplings hold it: change these, with model.with_couplings(…)"
        as_number("beta of PhiFour", beta, wanted, _is_one)
        return self

    def check(self, configurations: Tensor) -> None:
        """Raise a ValueError unless these are finite ``(walkers, *shape)`` of the model's type."""
        check_field(configurations, self.dtype, self.shape)

    def energy(self, configurations: Tensor, check: bool = True) -> Tensor:
        """Return the action ``S(φ)``, float64 ``(walkers,)``.

        Args:
            configurations: ``(walkers, *shape)``.
            check: whether to check their values.
        """
        if check:
            self.check(configurations)
        return kernels.lattice_action(configurations, *self._told(configurations))

    def force(self, configurations: Tensor) -> Tensor:
        """Return ``-∂S/∂φ``, like the configurations, the values of which are not checked."""
        return self.action_and_force(configurations).force

    def action_and_force(self, configurations: Tensor) -> ActionForce:
        """Return action and force from one pass; values are not checked."""
        return kernels.action_and_force(configurations, *self._told(configurations))

    def _told(self, configurations: Tensor) -> tuple[Tensor, Tensor]:
        """Return the couplings as ops take them, float64 ``(1,)``."""
        # Written by the device: a copy from the host would make a GPU wait.
        mass_squared = configurations.new_full((1,), self.mass_squared, dtype=torch.float64)
        quartic = configurations.new_full((1,), self.quartic, dtype=torch.float64)
        return mass_squared, quartic

    def heat_bath(self, configurations: Tensor, beta: Tensor, plan: SweepPlan) -> Tensor:
        """Raise a ValueError: there are no states to choose from."""
        raise self._without_states("heat bath")

    def metropolis(self, configurations: Tensor, beta: Tensor, plan: SweepPlan) -> Tensor:
        """Raise a ValueError: there are no states to propose."""
        raise self._without_states("Metropolis")

    def _without_states(self, sweep: str) -> ValueError:
        return ValueError(
            f"{sweep} sweeps need a model with q states per site, and configurations of "
            f"{type(self).__name__} are {self.dtype}; take lt.HMC or lt.Langevin"
        )


def is_phi_four(model: object) -> TypeGuard[PhiFour]:
    """Return whether the energy of ``model`` is the action of its couplings."""
    if not isinstance(model, PhiFour):
        return False
    # A subclass with an energy of its own is another model, whatever its couplings say.
    own = type(model)
    return own.energy is PhiFour.energy and own.force is PhiFour.force


def log_z_in(log_z: float, model: PhiFour, convention: str) -> float:
    """Return ``log Z`` in another convention: the integral over fields in its units.

    Args:
        log_z: ``log Z`` of the model, over the fields of this library.
        model: the model.
        convention: one of ``leaps_triton.models.fields.CONVENTIONS``, see
            :meth:`PhiFour.from_kappa_lambda` and :meth:`PhiFour.from_continuum`.

    Example:
        >>> log_z_in(1.0, PhiFour((4, 4), -1.0, 1.0), "lambda/4") - 1.0 - 8.0 * math.log(2.0)
        0.0
    """
    # A field in larger units has a smaller measure.
    return log_z + model.lattice.sites * math.log(_unit(model, convention))


def fields_in(configurations: Tensor, model: PhiFour, convention: str) -> Tensor:
    """Return configurations in the units of another convention.

    Args:
        configurations: of the model.
        model: the model.
        convention: one of ``leaps_triton.models.fields.CONVENTIONS``.
    """
    return configurations * _unit(model, convention)


def _unit(model: PhiFour, convention: str) -> float:
    """Return a field of 1 in the units of another convention."""
    expect(convention in CONVENTIONS, "convention", f"one of {CONVENTIONS}", convention)
    if convention == "kappa":
        return 1.0 / math.sqrt(model.kappa)
    return math.sqrt(2.0)


def hartree_masses(mass: Tensor, quartic: Tensor, squares: Tensor, counts: Tensor) -> Tensor:
    """Return the root ``M > 0`` of ``M = m² + 6 λ mean_k 1 / (2(k̂² + M))``, float64 ``(times,)``.

    It is the squared mass that a free field needs to fluctuate as φ⁴ does, to lowest order. The
    right side falls in ``M``, and without bound towards 0, so that there is one root.

    Args:
        mass: ``m²`` at several times, float64 ``(times,)``; positive where ``λ`` is 0.
        quartic: ``λ``, the same shape.
        squares: ``k̂²`` of the waves, that of ``k = 0`` first, float64 ``(values,)``.
        counts: how many waves have each, float64 ``(values,)``.
    """
    weights = counts / counts.sum()
    # Below the root: the wave k = 0 alone gives 3 λ p_0 / M.
    constant = 3.0 * quartic * weights[0]
    root = (mass.square() + 4.0 * constant).sqrt()
    # Of two forms of the same number, the one without a difference of almost equal terms.
    below = 2.0 * constant / (root + mass.abs()).clamp(min=_TINY)
    value = torch.where(mass > 0.0, 0.5 * (mass + root), below)
    for _ in range(_STEPS):
        spread = 1.0 / (squares + value.unsqueeze(1))
        square = 0.5 * spread @ weights
        fall = 0.5 * spread.square() @ weights
        # M - m² - 6λ⟨φ²⟩ is concave and rises: Newton's steps from below stay below the root.
        gap = mass + 6.0 * quartic * square - value
        step = gap / (1.0 + 6.0 * quartic * fall)
        value = value + step
    return value


def mean_field_mass(shape: Sequence[int], mass_squared: float, quartic: float) -> float:
    """Return the squared mass of :func:`hartree_masses` on a periodic lattice.

    Args:
        shape: lengths of the lattice.
        mass_squared: ``m²``.
        quartic: ``λ ≥ 0``.

    Example:
        >>> round(mean_field_mass((8, 8), -4.0, 6.008), 2)
        0.85
    """
    squares = squared_momenta(tuple(shape), torch.device("cpu")).flatten()
    mass = squares.new_full((1,), mass_squared)
    each = torch.ones_like(squares)
    return float(hartree_masses(mass, torch.full_like(mass, quartic), squares, each))


def check_field(configurations: Tensor, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    """Raise a ValueError unless these are finite numbers ``(walkers, *shape)`` of a type."""
    check_shape(configurations, dtype, shape)
    if not bool(configurations.isfinite().all()):
        raise ValueError("configurations must be finite, got NaN or infinity")


def as_field_dtype(dtype: object) -> torch.dtype:
    """Return a type of configurations from itself or its name, else raise a ValueError."""
    found = dtype
    if isinstance(dtype, str):
        found = _DTYPES.get(dtype)
    if found not in _DTYPES.values():
        raise ValueError(f"dtype must be torch.float32 or torch.float64, got {shown(dtype)}")
    assert isinstance(found, torch.dtype)
    return found


def _is_bounding(number: float) -> bool:
    return math.isfinite(number) and number >= 0.0


def _is_one(number: float) -> bool:
    return number == 1.0
