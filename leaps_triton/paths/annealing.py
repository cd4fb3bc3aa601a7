"""Annealing paths from a start that can be sampled exactly to the target."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..kernels import LocalEnergy
from ..models.base import Conditions, EnergyModel, SweepPlan, Target
from ..models.energy_only import complete
from ..models.varied import Varied, model_with
from .base import Start, swept_of
from .bridges import FirstRung, bridge_between
from .corrections import Correction, Energy
from .scheduled import Scheduled, as_times, times_on
from .starts import as_start

__all__ = ["AnnealingPath", "between"]


class _Told(NamedTuple):
    """What networks are told of a model at all times, on one device."""

    own: tuple[Tensor, Tensor]
    """Of which coupling and site table of the model"""
    coupling: Tensor
    field: Tensor


class AnnealingPath(Scheduled):
    """``log ρ̃_t(x) = -β_t H(x)``, ``t`` from 0 to 1, unnormalised, with ``β_1`` the model's β.

    Times ``t`` are numbers or tensors ``(1 | walkers,)``. To a model of real fields the start may
    have an energy ``U_0`` of its own, as :class:`~leaps_triton.Independent` sites have to a model
    of pairs, and is left behind in proportion as the schedule ``f`` rises:
    ``log ρ̃_t(x) = -(1 - f(t)) U_0(x) - f(t) β H(x)``. From a :class:`~leaps_triton.FreeField` to a
    :class:`~leaps_triton.PhiFour` this is a path in the couplings.

    Args:
        model: the target; any :class:`~leaps_triton.models.Target` or
            :class:`~leaps_triton.models.EnergyModel`.
        start: None for the uniform distribution (then ``β_0`` must be 0), to a
            :class:`~leaps_triton.PhiFour` for ``FreeField(1.0)``; or an object with ``log_z`` and
            ``sample(walkers, seed)`` that draws exactly from ``exp(-β_0 H)``, or from
            ``exp(-U_0)`` if it has ``energy(configurations)``, which is ``U_0``.
        schedule: ``f`` with ``β_t = f(t) β``, a function of float64 tensors that autograd can
            differentiate, ``f(1) = 1``; None for ``f(t) = t``.
        correction: ``ψ(configurations, conditions)``, ``(walkers,)``, such as
            :class:`~leaps_triton.LearnedEnergy`, for floating-point configurations: ``log ρ̃_t``
            gains ``-t(1 - t) ψ(x, t)``, with ``t`` the time and not the schedule's value, so that
            both ends are exact whatever ``ψ`` is. None for a path that is linear in one energy.

    Attributes:
        model: the target, completed (:func:`~leaps_triton.models.complete`).
        start: the start, on the model's lattice.
        schedule: ``f``.

    Raises:
        ValueError: the schedule does not end at 1, or does not begin at the start; a target of
            floating-point configurations other than a PhiFour has no start; a start draws other
            configurations than the model's; a correction of other configurations.

    Example:
        >>> from leaps_triton import Ising
        >>> path = AnnealingPath(Ising((4, 4), beta=0.4), schedule=lambda t: t**2)
        >>> path.beta(0.5)
        tensor([0.1000], dtype=torch.float64)
    """

    def __init__(
        self,
        model: Target | EnergyModel,
        start: Start | None = None,
        schedule: Callable[[Tensor], Tensor] | None = None,
        correction: Energy | None = None,
    ) -> None:
        super().__init__(complete(model), schedule)
        # A start may have more than it must: energy, force, variances of its modes.
        self.start: Any = as_start(start, self.model)
        self._bridge = bridge_between(self.start, self.model)
        self._told: dict[tuple[torch.device, torch.dtype], _Told] = {}
        self._check_ends(start is None, self._bridge.leaves_start)
        self._correction: Correction | None = None
        if correction is not None:
            self._check_correction(correction)
            self._correction = Correction(correction, self.conditions)

    def _check_correction(self, correction: Energy) -> None:
        """Raise a ValueError unless a learned energy can be one of the configurations."""
        if not self.model.dtype.is_floating_point:
            raise ValueError(
                f"correction must be None for {self.model!r}, whose configurations are "
                f"{self.model.dtype}: a learned energy is one of floating-point configurations"
            )
        check: Any = getattr(correction, "check_model", None)
        if check is not None:
            check(self.model)

    @property
    def correction(self) -> Energy | None:
        """Return the energy ``ψ`` that bends the path; None for none."""
        if self._correction is None:
            return None
        return self._correction.energy

    @property
    def learned(self) -> nn.Module | None:
        """Return what there is to train in the path; None for nothing."""
        if self._correction is None:
            return None
        return self._correction.module

    @property
    def linear(self) -> bool:
        """Return whether ``log ρ̃_t(x)`` changes with time in proportion to :meth:`excess`."""
        return self._correction is None

    def _expect_linear(self, what: str) -> None:
        """Raise a ValueError if densities are not linear in one energy."""
        if self._correction is None:
            return
        name = type(self._correction.energy).__name__
        raise ValueError(
            f"{what} needs a path that is linear in one energy, and this {type(self).__name__} is "
            f"curved by {name}; take change(x, t), log_increment(x, t, t'), or a path without it"
        )

    def conditions(self, t: Tensor | float) -> Conditions:
        """Return what a network is told at time ``t``.

        Args:
            t: a number, or ``(1 | walkers,)``.

        Returns:
            Tensors of ``t``'s precision (float32 for a number), on its device. Where couplings
            change along the path, ``beta`` is 1 and ``coupling`` is :meth:`couplings`.
        """
        dtype = torch.float32
        if isinstance(t, Tensor) and t.is_floating_point():
            dtype = t.dtype
        # The time is rounded first: β is that of the time that the network is told.
        times = as_times(t).to(dtype)
        if self._bridge.has_couplings:
            return self._field_conditions(times)
        if self._bridge.changes_fields:
            raise ValueError(f"no network is told how fields change from {self.start!r}")
        beta = self.beta(times).to(times)
        told = self._tell(times.device, dtype)
        return Conditions(times, beta, told.coupling, told.field)

    def _field_conditions(self, times: Tensor) -> Conditions:
        """Return what a network is told where couplings change, and not β."""
        coupling = self._bridge.couplings(self._fraction(as_times(times))).to(times)
        return Conditions(times, torch.ones_like(times), coupling, times.new_zeros(1, 1))

    @property
    def has_couplings(self) -> bool:
        """Return whether all densities are those of one model with other :meth:`couplings`."""
        return self._bridge.has_couplings and self._correction is None

    def couplings(self, t: Tensor | float) -> Tensor:
        """Return the couplings at time ``t``, ``(m²_t, λ_t)`` of a :class:`~leaps_triton.PhiFour`.

        Args:
            t: a number, or ``(1 | walkers,)``.

        Returns:
            float64 ``(1 | walkers, 2)``, on the device of ``t``.

        Raises:
            ValueError: the path is none in couplings.
        """
        self._expect_linear("couplings(t)")
        return self._bridge.couplings(self._fraction(as_times(t)))

    def _tell(self, device: torch.device, dtype: torch.dtype) -> _Told:
        """Return couplings and field on a device, sent there once."""
        own = (self.model.coupling, self.model.site_table)
        told = self._told.get((device, dtype))
        if told is None or told.own[0] is not own[0] or told.own[1] is not own[1]:
            # Tensors made in inference mode would serve no training afterwards.
            with torch.inference_mode(False):
                sent = [table.unsqueeze(0).to(device, dtype) for table in own]
            # Made within a derivative of torch.func they would be wrapped for that one alone.
            told = _Told(own, *(torch.func.debug_unwrap(table) for table in sent))
            self._told[device, dtype] = told
        return told

    def log_increment(
        self,
        configurations: Tensor,
        t_from: Tensor | float,
        t_to: Tensor | float,
    ) -> Tensor:
        """Return ``log ρ̃_{t_to}(x) - log ρ̃_{t_from}(x)``; values are not checked.

        Args:
            configurations: ``(walkers, *shape)``.
            t_from: a number, or ``(1 | walkers,)``.
            t_to: likewise.

        Returns:
            float64 ``(walkers,)``.
        """
        if self._correction is None:
            return self.increment_of(self.excess(configurations), t_from, t_to)
        gained = self._increment(self._bridge.excess(configurations), t_from, t_to)
        after = self._correction.log_density(configurations, times_on(configurations, t_to))
        before = self._correction.log_density(configurations, times_on(configurations, t_from))
        return gained + (after - before)

    def change(self, configurations: Tensor, t: Tensor | float) -> Tensor:
        """Return ``∂_t log ρ̃_t(x)``, float64 ``(walkers,)``.

        Args:
            configurations: ``(walkers, *shape)``; values are not checked.
            t: a number, or ``(1 | walkers,)``.
        """
        if self._correction is None:
            return self.time_derivative(self.excess(configurations), t)
        energy = self._bridge.excess(configurations)
        change = -self.beta_rate(t).to(energy.device) * energy
        return change + self._correction.change(configurations, times_on(configurations, t))

    @property
    def leaves_start(self) -> bool:
        """Return whether the start has an energy, so that ``excess`` is not that of the model."""
        return self._bridge.leaves_start

    def excess(self, configurations: Tensor) -> Tensor:
        """Return what the change of ``log ρ̃`` is proportional to; values are not checked.

        Args:
            configurations: ``(walkers, *shape)``.

        Returns:
            ``H(x)``, or ``H(x) - U_0(x) / β`` where the start has an energy ``U_0``, float64
            ``(walkers,)``.

        Raises:
            ValueError: the path has a correction, so that there is no such energy.
        """
        self._expect_linear("excess(x)")
        return self._bridge.excess(configurations)

    def increment_of(self, energy: Tensor, t_from: Tensor | float, t_to: Tensor | float) -> Tensor:
        """Return ``log ρ̃_{t_to}(x) - log ρ̃_{t_from}(x)``, float64 ``(walkers,)``.

        Args:
            energy: :meth:`excess` of the configurations, which is ``H(x)`` unless the start has an
                energy of its own, ``(walkers,)``.
            t_from: a number, or ``(1 | walkers,)``.
            t_to: likewise.

        Raises:
            ValueError: the path has a correction, which no single energy tells.
        """
        self._expect_linear("increment_of(energy, t, t')")
        return self._increment(energy, t_from, t_to)

    def _increment(self, energy: Tensor, t_from: Tensor | float, t_to: Tensor | float) -> Tensor:
        """Return what the linear part of ``log ρ̃`` gains, float64 ``(walkers,)``."""
        # The difference of β first: that of two log-densities would lose digits.
        change = self.beta(t_to) - self.beta(t_from)
        return -change.to(energy.device) * energy

    def log_density(self, configurations: Tensor, t: Tensor | float) -> Tensor:
        """Return ``log ρ̃_t(x)``, float64 ``(walkers,)``."""
        if not self._bridge.leaves_start:
            energy = self.model.energy(configurations)
            density = -self.beta(t).to(energy.device) * energy
        else:
            self.model.check(configurations)
            fraction = self._fraction_on(configurations, t)
            density = self._bridge.log_density(configurations, fraction)
        if self._correction is None:
            return density
        times = times_on(configurations, t)
        return density + self._correction.log_density(configurations, times)

    def score(self, configurations: Tensor, t: Tensor | float) -> Tensor:
        """Return ``∇ log ρ̃_t(x)``, like the configurations, of a model that has a force.

        Args:
            configurations: ``(walkers, *shape)``; values are not checked.
            t: a number, or ``(1 | walkers,)``.

        Raises:
            ValueError: the model, or the start if it has an energy, has no ``force``.
        """
        score = self._bridge.score(configurations, self._fraction_on(configurations, t))
        if self._correction is None:
            return score
        return score + self._correction.score(configurations, times_on(configurations, t))

    def log_density_and_score(
        self, configurations: Tensor, t: Tensor | float
    ) -> tuple[Tensor, Tensor]:
        """Return ``log ρ̃_t(x)`` and its gradient, from one pass where the model allows.

        Args:
            configurations: ``(walkers, *shape)``; values are not checked.
            t: a number, or ``(1 | walkers,)``.

        Returns:
            float64 ``(walkers,)``, and ``(walkers, *shape)`` like the configurations.

        Raises:
            ValueError: the model, or the start if it has an energy, has no ``force``.
        """
        fraction = self._fraction_on(configurations, t)
        density, score = self._bridge.log_density_and_score(configurations, fraction)
        if self._correction is None:
            return density, score
        times = times_on(configurations, t)
        more, bent = self._correction.log_density_and_score(configurations, times)
        return density + more, score + bent

    def _fraction_on(self, configurations: Tensor, t: Tensor | float) -> Tensor:
        """Return ``f(t)`` on the device of the configurations."""
        return self._fraction(as_times(t)).to(configurations.device)

    def time_derivative(self, energy: Tensor, t: Tensor | float) -> Tensor:
        """Return ``∂_t log ρ̃_t(x) = -(dβ_t/dt) H(x)``, float64 ``(walkers,)``.

        Args:
            energy: :meth:`excess` of the configurations, which is ``H(x)`` unless the start has an
                energy of its own, ``(walkers,)``.
            t: a number, or ``(1 | walkers,)``.

        Raises:
            ValueError: the path has a correction; take :meth:`change`.
        """
        self._expect_linear("time_derivative(energy, t)")
        return -self.beta_rate(t).to(energy.device) * energy

    @property
    def changes_fields(self) -> bool:
        """Return whether each density is that of :meth:`model_at`, in other fields."""
        return self._bridge.changes_fields

    def model_at(self, t: Tensor | float) -> Any:
        """Return the model whose density at β = 1 is ``ρ_t``, where fields change on the way."""
        return self._bridge.model_at(self._fraction(as_times(t)))

    def local_energy(
        self,
        configurations: Tensor,
        t: Tensor | float,
        dtype: torch.dtype = torch.float32,
    ) -> LocalEnergy:
        """Return ``H(x)`` and ``Δ_m = log ρ̃_t(x^m) - log ρ̃_t(x)`` of all moves ``m``.

        ``H`` is that of :meth:`model_at` where fields change on the way.

        Args:
            configurations: ``(walkers, *shape)``; values are not checked.
            t: a number, or ``(1 | walkers,)``.
            dtype: type of ``Δ``.
        """
        model, beta = swept_of(self, t)
        local: LocalEnergy = model.local_energy(
            configurations, beta.to(configurations.device), dtype
        )
        return local

    def refresh(
        self,
        configurations: Tensor,
        t: Tensor | float,
        plan: SweepPlan,
    ) -> Tensor:
        """Return configurations after heat-bath sweeps for ``ρ_t``; values are not checked.

        Args:
            configurations: ``(walkers, *shape)``.
            t: a number, or ``(1 | walkers,)``.
            plan: the sweeps.
        """
        model, beta = swept_of(self, t)
        swept: Tensor = model.heat_bath(configurations, beta.to(configurations.device), plan)
        return swept


def between(varied: Varied, model: Any) -> AnnealingPath:
    """Return the path that leads evenly through the values of a coupling.

    An action is linear in its couplings, so that ``(1 - t) S_first + t S_last`` is that of the
    coupling between them.

    Args:
        varied: the coupling and its values, the last the model's own.
        model: the last of the models.
    """
    first = model_with(model, varied.name, varied.values[0])
    return AnnealingPath(model, start=FirstRung(first))
