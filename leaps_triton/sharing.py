"""What several observables of the same configurations have in common, found once for all of them."""

from functools import cached_property
from typing import Any

from torch import Tensor

from .kernels import Sums
from .kernels.energies.reference import state_counts
from .models import Model, PairModel, is_pair_model

__all__ = ["MARK", "Measured", "share"]

MARK = "_leaps_triton_measured"
"""Attribute of a shared model that holds its :class:`Measured`."""


class Measured:
    """Energy, counts of states and sum of the spins, each found when first asked for.

    Energy and counts come from one pass over the configurations if the model is a :class:`~leaps_triton.PairModel`.

    Arguments
        configurations: ``(walkers, *shape)``.
        model: theirs.
        check: have the model check the values of the configurations.
    """

    def __init__(self, configurations: Tensor, model: Model, check: bool = True) -> None:
        self.configurations, self.model, self.check = configurations, model, check

    @cached_property
    def _sums(self) -> Sums | None:
        return self.model.sums(self.configurations, self.check) if is_pair_model(self.model) else None

    @cached_property
    def energy(self) -> Tensor:
        """``H(x)`` without β, float64 ``(walkers,)``."""
        if self._sums is not None:
            return self._sums.energy
        unchecked: dict[str, Any] = {} if self.check else {"check": False}
        return self.model.energy(self.configurations, **unchecked).double()

    @cached_property
    def counts(self) -> Tensor:
        """Sites in each state, int64 ``(walkers, q)``."""
        return state_counts(self.configurations, self.model.q) if self._sums is None else self._sums.counts

    @property
    def spins(self) -> Tensor:
        """Those of the model, where the configurations are, float64 ``(q, n)``."""
        device = self.configurations.device
        return self.model.tables(device).spins if isinstance(self.model, PairModel) else self.model.spins.to(device)

    @cached_property
    def total_spin(self) -> Tensor:
        """``Σ_i spins[x_i]``, float64 ``(walkers, n)``."""
        return self.counts.double() @ self.spins

    def energy_of(self, configurations: Tensor, check: bool = True) -> Tensor:
        """The energy of these configurations, or of any others, unchecked."""
        if configurations is self.configurations:
            return self.energy.clone()
        return self.model.energy(configurations, check=False)


def share(configurations: Tensor, model: Model, shared: Model | None = None) -> Model:
    """``model`` for all observables of these configurations, whose values are trusted: nothing is found twice.

    To check values would make a GPU wait.

    Arguments
        configurations, model: as of :class:`Measured`.
        shared: what an earlier call returned for the model, to be used again, with all that observables keep on it.
    """
    if not hasattr(model, "__dict__"):
        return model
    measured = Measured(configurations, model, check=False)
    if shared is None:
        shared = object.__new__(type(model))
        shared.__dict__.update(model.__dict__)
    shared.__dict__.update({MARK: measured, "energy": measured.energy_of})
    return shared
