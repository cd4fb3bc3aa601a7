"""The free field, a start of paths of real fields that is sampled exactly."""

import math
from functools import cached_property
from typing import Any, NoReturn

import torch
from torch import Tensor

from .. import kernels
from ..kernels import Stream
from ..kernels.checks import as_number, is_positive
from ..lattices.hypercubic import Lattice
from ..lattices.waves import filtered, squared_momenta
from ..models.energy_only import as_given
from ..registry import register

__all__ = ["FreeField"]


@register("start")
class FreeField:
    """The Gaussian field of mass ``m₀``: the φ⁴ action with ``λ = 0``, ``ρ_0 ∝ e^{-U_0}``.

    ``U_0(φ) = Σ_x [-2 Σ_μ φ_x φ_{x+μ} + (2d + m₀²) φ_x²]``. Its modes are independent: in the
    orthonormal Fourier transform ``Var φ_k = 1 / (2 (k̂² + m₀²))`` with ``k̂² = Σ_μ 4 sin²(k_μ/2)``,
    and ``log Z_0 = ½ Σ_k log(π / (k̂² + m₀²))``.

    It has no lattice until :meth:`on` gives it that of a model, as a path does.

    Args:
        mass_squared: ``m₀²``, above 0.

    Attributes:
        mass_squared: ``m₀²``.
        lattice: that of the model; None before.
        dtype: type of configurations, that of the model.

    Raises:
        ValueError: ``mass_squared`` is not above 0.

    Example:
        >>> import leaps_triton as lt
        >>> start = FreeField(1.0).on(lt.PhiFour((8, 8), mass_squared=-4.0, quartic=6.0))
        >>> start.sample(torch.arange(3), seed=0).shape
        torch.Size([3, 8, 8])
    """

    def __init__(self, mass_squared: float = 1.0) -> None:
        self.mass_squared = as_number(
            "mass_squared of FreeField", mass_squared, "a positive number", is_positive
        )
        self.lattice: Lattice | None = None
        self.dtype: torch.dtype = torch.float32

    def __repr__(self) -> str:
        return f"{type(self).__name__}(mass_squared={self.mass_squared})"

    @property
    def settings(self) -> dict[str, Any]:
        """What makes the start again, as files keep it."""
        return {"mass_squared": self.mass_squared}

    def on(self, model: Any) -> "FreeField":
        """Return the same start on the lattice of a model.

        Args:
            model: its configurations are real fields on a periodic lattice.

        Raises:
            ValueError: they are not.
        """
        own = as_given(model)
        name = type(own).__name__
        # Without a lattice of its own a target is completed by an open one.
        if model.dtype.is_floating_point and not hasattr(own, "lattice"):
            raise ValueError(
                f"FreeField needs a periodic lattice, and {name} tells its shape alone; add "
                f"self.lattice = lt.Lattice({model.shape}) to it, or give another start="
            )
        if not model.dtype.is_floating_point or not all(model.lattice.periodic):
            raise ValueError(
                f"FreeField needs a model of real fields on a periodic lattice, got {name} of "
                f"{model.dtype}, periodic {model.lattice.periodic}"
            )
        found = type(self)(self.mass_squared)
        found.lattice = model.lattice
        found.dtype = model.dtype
        return found

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the lattice."""
        return self._bound().shape

    @cached_property
    def variances(self) -> Tensor:
        """``Var φ_k`` of every mode of the orthonormal transform, float64 ``(*shape)``."""
        return 0.5 / (squared_momenta(self.shape, torch.device("cpu")) + self.mass_squared)

    @cached_property
    def log_z(self) -> float:
        """``log Z_0``."""
        # log(π / (k̂² + m²)) = log(2π Var φ_k).
        return 0.5 * float(torch.log(2.0 * math.pi * self.variances).sum())

    def sample(self, walker_index: Tensor, seed: int) -> Tensor:
        """Return independent configurations ``(walkers, *shape)``, exactly distributed.

        Args:
            walker_index: global indices of the walkers, int64 ``(walkers,)``.
            seed: in [0, 2³²).
        """
        lattice = self._bound()
        white = kernels.normals(
            seed, Stream.START, 0, 0, walker_index, lattice.sites, torch.float64
        )
        white = white.view(len(walker_index), *lattice.shape)
        # White noise is white in every orthonormal basis; a real filter leaves the field real.
        field = filtered(white, self.variances.sqrt().to(white.device))
        return field.to(self.dtype).contiguous()

    def energy(self, configurations: Tensor) -> Tensor:
        """Return ``U_0(φ)``, float64 ``(walkers,)``; values are not checked."""
        return kernels.lattice_action(configurations, *self._told(configurations))

    def force(self, configurations: Tensor) -> Tensor:
        """Return ``-∂U_0/∂φ``, like the configurations, the values of which are not checked."""
        return kernels.action_and_force(configurations, *self._told(configurations)).force

    def _told(self, configurations: Tensor) -> tuple[Tensor, Tensor]:
        """Return the couplings as ops take them, float64 ``(1,)``."""
        mass = configurations.new_full((1,), self.mass_squared, dtype=torch.float64)
        return mass, torch.zeros_like(mass)

    def _bound(self) -> Lattice:
        if self.lattice is None:
            self._refuse()
        return self.lattice

    def _refuse(self) -> NoReturn:
        raise ValueError(
            f"{self!r} has no lattice yet; give it that of a model with .on(model), or give it to "
            f"AnnealingPath(model, start=…)"
        )
