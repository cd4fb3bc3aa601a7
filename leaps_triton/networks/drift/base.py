"""What all drifts share: their lattice, and what integrators ask of them."""

import math
from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from ...kernels.checks import expect
from ...lattices.hypercubic import Lattice
from ...models.base import Conditions
from ..base import drifts_for
from .geometry import Modes

__all__ = ["Drift"]


class Drift(nn.Module):
    """A drift ``b_t(φ)`` of fields on a periodic lattice, or of vectors, with its divergence.

    ``b, divergence = drift(configurations, conditions)``. A subclass defines :meth:`forward`, and
    where ``maps`` is true what the maps of :class:`~leaps_triton.MapStep` are made of:
    ``b = K_t φ + f(φ, t)`` with :meth:`modes` for ``K_t`` and :meth:`active` for ``f``. Where
    ``midpoint`` is true it defines ``linearised(configurations, t)`` → ``b`` and its Jacobian, and
    :meth:`steepest` bounds the norm of that.

    Args:
        model: gives the shape, and the type of the configurations.
        settings: the other arguments of the drift, as plain data that a file can keep.

    Attributes:
        kind: ``"drift"``: what tells a drift from rates.
        maps: whether the sites of one sublattice can be moved at once by a map whose Jacobian is
            diagonal, as :class:`~leaps_triton.MapStep` does.
        midpoint: whether all sites can be moved at once by a map with an exact determinant, as
            :class:`~leaps_triton.MapStep` does too.
        linear: whether ``f`` is 0 everywhere.
        local: whether there is no ``K_t``, so that nothing is to be done in Fourier space.
        periodic: whether it is for periodic lattices alone.
        steady: whether a call looks at no number of a GPU, and does the same work whatever the
            numbers.
        settings: the other arguments.
        shape: lengths of the lattice.

    Raises:
        ValueError: If the model has no floating-point configurations, or no periodic lattice where
            the drift needs one.
    """

    kind: str = "drift"
    maps: bool = False
    midpoint: bool = False
    linear: bool = False
    local: bool = False
    periodic: bool = True
    steady: bool = True

    def __init__(self, model: Any, **settings: Any) -> None:
        super().__init__()
        if self.periodic:
            lattice = getattr(model, "lattice", None)
            wanted = "a model of fields with a lattice"
            expect(isinstance(lattice, Lattice), "model", wanted, model)
        if not model.dtype.is_floating_point:
            raise ValueError(
                f"{type(self).__name__} is for fields of floating-point numbers, and {model!r} has "
                f"configurations of {model.dtype}; for these take a network such as HollowConv"
            )
        if self.periodic and not all(model.lattice.periodic):
            raise ValueError(
                f"{type(self).__name__} is for periodic lattices, got periodic="
                f"{model.lattice.periodic}; for {model!r} take {drifts_for(model)}"
            )
        self.settings = settings
        self.shape: tuple[int, ...] = tuple(model.shape)
        if self.periodic:
            self.shape = tuple(model.lattice.shape)
            self._waves = Modes.of(self.shape)

    @property
    def sites(self) -> int:
        """Number of sites, or of coordinates."""
        return math.prod(self.shape)

    @property
    def ndim(self) -> int:
        """Number of directions."""
        return len(self.shape)

    def check_shape(self, shape: Sequence[int]) -> None:
        """Refuse another lattice.

        Raises:
            ValueError: If the lengths are others.
        """
        if tuple(shape) != self.shape:
            raise ValueError(
                f"this {type(self).__name__} is for shape {self.shape}, got {tuple(shape)}; move "
                f"it there with the same parameters by for_model(model)"
            )

    def check_model(self, model: Any) -> None:
        """Refuse a model that the drift is not for.

        Raises:
            ValueError: If its configurations are no floating-point numbers, or its lattice is
                another one.
        """
        if not model.dtype.is_floating_point:
            raise ValueError(
                f"{type(self).__name__} is a drift of fields, and {model!r} has configurations of "
                f"{model.dtype}"
            )
        self.check_shape(model.shape)

    def for_model(self, model: Any, **changes: Any) -> Self:
        """Return a drift with the same parameters for another model, such as a larger lattice.

        Args:
            model: of the same number of directions.
            changes: settings that change, by name.

        Raises:
            ValueError: If the drift cannot stand on that lattice, or the parameters do not fit.
        """
        moved = type(self)(model, **{**self.settings, **changes})
        if moved.ndim != self.ndim:
            raise ValueError(
                f"this {type(self).__name__} is for {self.ndim}-dimensional lattices, got shape "
                f"{moved.shape}"
            )
        own = [parameter.shape for parameter in self.parameters()]
        if own != [parameter.shape for parameter in moved.parameters()]:
            raise ValueError(
                f"the parameters of this {type(self).__name__} are for shape {self.shape} alone, "
                f"got shape {moved.shape}; make a new one"
            )
        for parameter in self.parameters():
            moved = moved.to(device=parameter.device, dtype=parameter.dtype)
            break
        moved.load_state_dict(self.state_dict())
        return moved

    def waves(self, device: torch.device) -> Modes:
        """Return the waves of the lattice on a device; they stay there."""
        if self._waves.index.device != device:
            self._waves = self._waves.to(device)
        return self._waves

    def forward(self, configurations: Tensor, conditions: Conditions) -> tuple[Tensor, Tensor]:
        """Return ``b`` and ``∇·b``.

        Args:
            configurations: ``(walkers, *shape)``.
            conditions: as a path gives them at a time; ``t`` is of ``(1 | walkers,)``.

        Returns:
            ``(walkers, *shape)`` in the type of the configurations, and float64 ``(walkers,)``.
        """
        raise NotImplementedError

    def modes(self, t: Tensor | float) -> Tensor:
        """Return ``K_t(k)`` of every wave of the orthonormal Fourier transform.

        Args:
            t: one time.

        Returns:
            Real and even, float64 ``(*shape)``.
        """
        raise self._no_map()

    def sublattice(self, parity: int) -> Tensor:
        """Return flat indices of the sites of one sublattice, increasing, int64 ``(sites / 2,)``.

        Args:
            parity: 0 for sites whose coordinates have an even sum, 1 for the others.
        """
        raise self._no_map()

    def active(
        self, configurations: Tensor, t: Tensor | float, parity: int
    ) -> tuple[Tensor, Tensor]:
        """Return ``f`` and ``∂f_i/∂φ_i`` on the sites of one sublattice, computed there alone.

        Args:
            configurations: ``(walkers, *shape)``.
            t: one time.
            parity: which sublattice.

        Returns:
            Two tensors ``(walkers, sites / 2)``, in the order of :meth:`sublattice`.
        """
        raise self._no_map()

    def steepest(self, t: Tensor | float) -> float:
        """Return a bound on ``|∂f_i/∂φ_i|`` that holds for every field, from the weights alone.

        Args:
            t: one time.
        """
        raise self._no_map()

    def _no_map(self) -> TypeError:
        """Return the error of a drift that has no such maps."""
        return TypeError(
            f"this {type(self).__name__} has no map of a sublattice with a diagonal Jacobian; "
            f"MapStep needs a HollowDrift with parity=True or a GaussianDrift, PathRatio takes all"
        )


def as_time(t: Tensor | float) -> Tensor:
    """Return one time as float64 ``(1,)``."""
    return torch.as_tensor(t, dtype=torch.float64).reshape(1)
