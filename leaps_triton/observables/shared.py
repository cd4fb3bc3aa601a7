"""What several observables of the same configurations have in common, found once for all."""

from functools import cached_property
from typing import Any

from torch import Tensor

from ..kernels import Sums
from ..kernels.energies.reference import state_counts
from ..models.base import Model
from ..models.pair import PairModel, is_pair_model

__all__ = ["Measured", "SharedModel", "share"]


class Measured:
    """Energy, counts of states and sum of the spins, each found when first asked for.

    Energy and counts come from one pass over the configurations if the model is a
    :class:`~leaps_triton.PairModel`.

    Args:
        configurations: ``(walkers, *shape)``.
        model: their model.
        check: have the model check the values of the configurations.
    """

    def __init__(self, configurations: Tensor, model: Any, check: bool = True) -> None:
        self.configurations = configurations
        # Of spins or of a field: what is asked of it depends on which it is.
        self.model: Any = model
        self.check = check

    @cached_property
    def _sums(self) -> Sums | None:
        if is_pair_model(self.model):
            return self.model.sums(self.configurations, self.check)
        return None

    @cached_property
    def energy(self) -> Tensor:
        """Return ``H(x)`` without β, float64 ``(walkers,)``."""
        if self._sums is not None:
            return self._sums.energy
        if self.check:
            return self.model.energy(self.configurations).double()
        return self.model.energy(self.configurations, check=False).double()

    @property
    def is_field(self) -> bool:
        """Return whether configurations are real numbers, and no states."""
        return self.configurations.is_floating_point()

    @cached_property
    def field(self) -> Tensor:
        """Return the field itself, float64 ``(walkers, sites)``.

        Raises:
            ValueError: configurations of states.
        """
        if not self.is_field:
            raise ValueError(
                "the observable is one of fields, of floating-point configurations, got "
                f"configurations of {self.configurations.dtype}; leave it out"
            )
        return self.configurations.double().flatten(1)

    @cached_property
    def force(self) -> Tensor:
        """Return ``-∂H/∂x``, float64 ``(walkers, sites)``.

        Raises:
            ValueError: a model without a force.
        """
        # A user's own model need not have one.
        if not callable(getattr(self.model, "force", None)):
            raise ValueError(
                "the observable needs a model with force(configurations), got "
                f"{type(self.model).__name__}; leave it out"
            )
        return self.model.force(self.configurations).double().flatten(1)

    @cached_property
    def counts(self) -> Tensor:
        """Return how many sites are in each state, int64 ``(walkers, q)``.

        Raises:
            ValueError: configurations of real numbers, which have no states.
        """
        if self.is_field:
            raise ValueError(
                "the observable counts states, and configurations of "
                f"{self.configurations.dtype} have none; leave it out"
            )
        if self._sums is not None:
            return self._sums.counts
        return state_counts(self.configurations, self.model.q)

    @property
    def spins(self) -> Tensor:
        """Return the model's spins, where the configurations are, float64 ``(q, n)``."""
        device = self.configurations.device
        if isinstance(self.model, PairModel):
            # These tables are kept on every device, so that nothing is copied at each draw.
            return self.model.tables(device).spins
        return self.model.spins.to(device)

    @cached_property
    def total_spin(self) -> Tensor:
        """Return ``Σ_i spins[x_i]``, or of a field ``Σ_i x_i``, float64 ``(walkers, n)``."""
        if self.is_field:
            return self.field.sum(1, keepdim=True)
        # Counts are exact, so that rounding enters once per state rather than once per site.
        return self.counts.double() @ self.spins


class SharedModel:
    """A model as observables see it while a run measures: its own, but for what is known already.

    Everything is asked of the model itself, but for the energy of the configurations at hand, which
    is found once. What an observable keeps on it, such as a count of its calls, stays here.

    Args:
        model: the target of the run.
    """

    # Names that no model of a user's has: all others are the model's.
    _leaps_triton_model: Model
    _leaps_triton_measured: Measured | None

    def __init__(self, model: Model) -> None:
        self._leaps_triton_model = model
        self._leaps_triton_measured = None

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """The class of the model, so that observables may ask which model they have."""
        return type(self._leaps_triton_model)

    def __getattr__(self, name: str) -> Any:
        """Return what the model has under this name."""
        # A copy in the making has no model yet.
        if name.startswith("_leaps_triton"):
            raise AttributeError(name)
        return getattr(self._leaps_triton_model, name)

    def energy(self, configurations: Tensor, check: bool = True) -> Tensor:
        """Return the energy of the configurations at hand, or of any others, unchecked."""
        measured = self._leaps_triton_measured
        if measured is not None and measured.configurations is configurations:
            # An observable may write into what it is given.
            return measured.energy.clone()
        return self._leaps_triton_model.energy(configurations, check=False)


def share(configurations: Tensor, model: Model, shared: Any = None) -> Any:
    """Return ``model`` for all observables of these configurations: nothing is found twice.

    The values of the configurations are trusted: to check them would make a GPU wait.

    Args:
        configurations: ``(walkers, *shape)``.
        model: their model.
        shared: what an earlier call returned for the model, to be used again with all that
            observables keep on it.

    Returns:
        A :class:`SharedModel`.
    """
    if shared is None:
        shared = SharedModel(model)
    shared._leaps_triton_measured = Measured(configurations, model, check=False)
    return shared


def found(configurations: Tensor, model: Any) -> tuple[Model, Measured | None]:
    """Return the model itself, and what is shared of these configurations, if anything is."""
    # The class of a shared model is that of its own model, so that its type alone tells.
    if type(model) is not SharedModel:
        return model, None
    measured = model._leaps_triton_measured
    if measured is None or measured.configurations is not configurations:
        measured = None
    return model._leaps_triton_model, measured
