"""Annealing paths from a start that can be sampled exactly to the target."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..kernels import LocalEnergy
from ..kernels.checks import as_number, check_arguments, expect, is_real, shown
from ..models.base import Conditions, EnergyModel, SweepPlan, Target
from ..models.energy_only import complete
from ..registry import name_of, register
from .base import Start
from .bridges import bridge_between
from .starts import as_start

__all__ = ["AnnealingPath"]


_ROUNDING = 1e-9
"""By how much, relative to the model's β, a β may miss the ends of the path."""


@register("schedule", name="linear")
def _linear(t: Tensor) -> Tensor:
    return t


class _Told(NamedTuple):
    """What networks are told of a model at all times, on one device."""

    own: tuple[Tensor, Tensor]
    """Of which coupling and site table of the model"""
    coupling: Tensor
    field: Tensor


class AnnealingPath:
    """``log ρ̃_t(x) = -β_t H(x)``, ``t`` from 0 to 1, unnormalised, with ``β_1`` the model's β.

    Times ``t`` are numbers or tensors ``(1 | walkers,)``. To a model of real fields the start may
    have an energy ``U_0`` of its own, and is left behind in proportion as the schedule ``f`` rises:
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

    Attributes:
        model: the target, completed (:func:`~leaps_triton.models.complete`).
        start: the start, on the model's lattice.
        schedule: ``f``.

    Raises:
        ValueError: the schedule does not end at 1, or does not begin at the start; a target of
            floating-point configurations other than a PhiFour has no start.

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
    ) -> None:
        self.model: Any = complete(model)
        # A start may have more than it must: energy, force, variances of its modes.
        self.start: Any = as_start(start, self.model)
        self._bridge = bridge_between(self.start, self.model)
        self._told: dict[tuple[torch.device, torch.dtype], _Told] = {}
        self.schedule: Callable[[Tensor], Tensor] = _linear
        if schedule is not None:
            wanted = "None or a function of times"
            expect(callable(schedule), "schedule", wanted, schedule)
            check_arguments("a schedule", schedule, "t")
            self.schedule = schedule
        self._check_ends(start)

    def _check_ends(self, start: Start | None) -> None:
        """Raise a ValueError unless the schedule leads from the start to the target."""
        # Both ends in one call: a schedule takes tensors of times.
        ends = torch.tensor([0.0, 1.0], dtype=torch.float64)
        first, last = self._fraction(ends).tolist()
        # schedule(1) may miss 1 by rounding.
        if not math.isfinite(first) or not math.isclose(last, 1.0, abs_tol=1e-12):
            raise ValueError(
                f"schedule must be finite with schedule(1) = 1, got {first} at 0 and {last} at 1"
            )
        # No rounding here: ρ_0 is uniform, and log Z_0 = N log q, at β_0 = 0 alone.
        if start is None and not self._bridge.leaves_start and first != 0.0:
            raise ValueError(
                f"the uniform start needs schedule(0) = 0, got {first}; change it, or give start="
            )
        if self._bridge.leaves_start and first != 0.0:
            raise ValueError(
                f"a start with an energy of its own needs schedule(0) = 0, got {first}; change it"
            )
        # autograd gives 0 where it cannot follow; somewhere on the way the schedule must rise.
        inside = torch.linspace(0.05, 0.95, 10, dtype=torch.float64)
        if first != last and not bool(self._slope(inside).any()):
            raise ValueError(
                "schedule must be a function that autograd can differentiate, got a derivative of 0"
            )

    @property
    def schedule_name(self) -> str | None:
        """Name under which a file keeps the schedule; None for one that is not registered."""
        return name_of("schedule", self.schedule)

    def _fraction(self, t: Tensor) -> Tensor:
        """Return ``f(t)``, float64, shaped like ``t``."""
        fraction = self.schedule(t)
        if not isinstance(fraction, Tensor) or fraction.shape != t.shape:
            raise ValueError(
                f"schedule must map a tensor to a tensor of its shape, got {shown(fraction)}"
            )
        # Whatever the schedule computes in, densities are float64.
        return fraction.to(torch.float64)

    def _slope(self, t: Tensor) -> Tensor:
        """Return ``df/dt``."""
        # The default needs no autograd.
        if self.schedule is _linear:
            return torch.ones_like(t)

        def total(times: Tensor) -> Tensor:
            return self._fraction(times).sum()

        # Each f(t) depends on its own t alone, so the gradient of the sum holds every slope.
        slope: Tensor = torch.func.grad(total)(t.detach())
        return slope

    def beta(self, t: Tensor | float) -> Tensor:
        """Return ``β_t``, float64 ``(1 | walkers,)``."""
        return self._fraction(_as_times(t)) * self.model.beta

    def beta_rate(self, t: Tensor | float) -> Tensor:
        """Return ``dβ_t/dt``, float64 ``(1 | walkers,)``."""
        return self._slope(_as_times(t)) * self.model.beta

    def time_of(self, beta: Sequence[float] | Tensor | float) -> Tensor:
        """Return times at which the path is at inverse temperatures, ``β_t = beta``.

        Args:
            beta: a number or several, from ``β_0`` to the model's own.

        Returns:
            float64 ``(n,)``, on the CPU.

        Raises:
            ValueError: a β that is not on the path, or a path that stays at β = 0.

        Example:
            >>> from leaps_triton import Ising
            >>> path = AnnealingPath(Ising((4, 4), beta=0.4), schedule=lambda t: t**2)
            >>> path.time_of([0.1, 0.4])
            tensor([0.5000, 1.0000], dtype=torch.float64)
        """
        wanted = torch.as_tensor(beta, dtype=torch.float64).reshape(-1).cpu()
        ends = torch.tensor([0.0, 1.0], dtype=torch.float64)
        first = float(self._fraction(ends)[0])
        # At a model of β = 0 all times are at the same temperature, and 0 / 0 is none of them.
        share = wanted / self.model.beta
        low = min(first, 1.0) - _ROUNDING
        high = max(first, 1.0) + _ROUNDING
        if not bool(((share >= low) & (share <= high)).all()):
            raise ValueError(
                f"the path leads from beta = {first * self.model.beta:g} to {self.model.beta:g}, "
                f"and passes no other; got {wanted.tolist()}"
            )
        # The default is its own inverse.
        if self.schedule is _linear:
            return share.clamp(0.0, 1.0)
        return self._invert(share, rises=first < 1.0)

    def _invert(self, share: Tensor, rises: bool) -> Tensor:
        """Return times at which the schedule has these values, by bisection."""
        before = torch.zeros_like(share)
        after = torch.ones_like(share)
        # Each halving gains a digit of the 53 that a float64 has.
        for _ in range(60):
            middle = (before + after) / 2
            early = (self._fraction(middle) < share) == rises
            before = torch.where(early, middle, before)
            after = torch.where(early, after, middle)
        return after

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
        times = _as_times(t).to(dtype)
        if self._bridge.has_couplings:
            return self._field_conditions(times)
        beta = self.beta(times).to(times)
        told = self._tell(times.device, dtype)
        return Conditions(times, beta, told.coupling, told.field)

    def _field_conditions(self, times: Tensor) -> Conditions:
        """Return what a network is told where couplings change, and not β."""
        coupling = self.couplings(times).to(times)
        return Conditions(times, torch.ones_like(times), coupling, times.new_zeros(1, 1))

    @property
    def has_couplings(self) -> bool:
        """Return whether all densities are those of one model with other :meth:`couplings`."""
        return self._bridge.has_couplings

    def couplings(self, t: Tensor | float) -> Tensor:
        """Return the couplings at time ``t``, ``(m²_t, λ_t)`` of a :class:`~leaps_triton.PhiFour`.

        Args:
            t: a number, or ``(1 | walkers,)``.

        Returns:
            float64 ``(1 | walkers, 2)``, on the device of ``t``.

        Raises:
            ValueError: the path is none in couplings.
        """
        return self._bridge.couplings(self._fraction(_as_times(t)))

    def _tell(self, device: torch.device, dtype: torch.dtype) -> "_Told":
        """Return couplings and field on a device, sent there once."""
        own = (self.model.coupling, self.model.site_table)
        told = self._told.get((device, dtype))
        if told is None or told.own[0] is not own[0] or told.own[1] is not own[1]:
            # Tensors made in inference mode would serve no training afterwards.
            with torch.inference_mode(False):
                sent = [table.unsqueeze(0).to(device, dtype) for table in own]
            told = _Told(own, *sent)
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
        return self.increment_of(self.excess(configurations), t_from, t_to)

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
        """
        return self._bridge.excess(configurations)

    def increment_of(self, energy: Tensor, t_from: Tensor | float, t_to: Tensor | float) -> Tensor:
        """Return ``log ρ̃_{t_to}(x) - log ρ̃_{t_from}(x)``, float64 ``(walkers,)``.

        Args:
            energy: :meth:`excess` of the configurations, which is ``H(x)`` unless the start has an
                energy of its own, ``(walkers,)``.
            t_from: a number, or ``(1 | walkers,)``.
            t_to: likewise.
        """
        # The difference of β first: that of two log-densities would lose digits.
        change = self.beta(t_to) - self.beta(t_from)
        return -change.to(energy.device) * energy

    def log_density(self, configurations: Tensor, t: Tensor | float) -> Tensor:
        """Return ``log ρ̃_t(x)``, float64 ``(walkers,)``."""
        if not self._bridge.leaves_start:
            energy = self.model.energy(configurations)
            return -self.beta(t).to(energy.device) * energy
        self.model.check(configurations)
        return self._bridge.log_density(configurations, self._fraction_on(configurations, t))

    def score(self, configurations: Tensor, t: Tensor | float) -> Tensor:
        """Return ``∇ log ρ̃_t(x)``, like the configurations, of a model that has a force.

        Args:
            configurations: ``(walkers, *shape)``; values are not checked.
            t: a number, or ``(1 | walkers,)``.

        Raises:
            ValueError: the model, or the start if it has an energy, has no ``force``.
        """
        return self._bridge.score(configurations, self._fraction_on(configurations, t))

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
        return self._bridge.log_density_and_score(configurations, fraction)

    def _fraction_on(self, configurations: Tensor, t: Tensor | float) -> Tensor:
        """Return ``f(t)`` on the device of the configurations."""
        return self._fraction(_as_times(t)).to(configurations.device)

    def time_derivative(self, energy: Tensor, t: Tensor | float) -> Tensor:
        """Return ``∂_t log ρ̃_t(x) = -(dβ_t/dt) H(x)``, float64 ``(walkers,)``.

        Args:
            energy: :meth:`excess` of the configurations, which is ``H(x)`` unless the start has an
                energy of its own, ``(walkers,)``.
            t: a number, or ``(1 | walkers,)``.
        """
        return -self.beta_rate(t).to(energy.device) * energy

    def local_energy(
        self,
        configurations: Tensor,
        t: Tensor | float,
        dtype: torch.dtype = torch.float32,
    ) -> LocalEnergy:
        """Return ``H(x)`` and ``Δ_m = log ρ̃_t(x^m) - log ρ̃_t(x)`` of all moves ``m``.

        Args:
            configurations: ``(walkers, *shape)``; values are not checked.
            t: a number, or ``(1 | walkers,)``.
            dtype: type of ``Δ``.
        """
        beta = self.beta(t).to(configurations.device)
        local: LocalEnergy = self.model.local_energy(configurations, beta, dtype)
        return local

    def refresh(
        self,
        configurations: Tensor,
        t: Tensor | float,
        plan: SweepPlan,
    ) -> Tensor:
        """Return configurations after heat-bath sweeps at ``β_t``; values are not checked.

        Args:
            configurations: ``(walkers, *shape)``.
            t: a number, or ``(1 | walkers,)``.
            plan: the sweeps.
        """
        beta = self.beta(t).to(configurations.device)
        swept: Tensor = self.model.heat_bath(configurations, beta, plan)
        return swept


def _as_times(t: Tensor | float) -> Tensor:
    """Return times as float64 ``(1 | walkers,)``."""
    wanted = "a finite number, or a tensor of times"
    if not isinstance(t, Tensor):
        number = as_number("t", t, wanted, math.isfinite)
        return torch.tensor([number], dtype=torch.float64)
    expect(is_real(t), "t", wanted, t)
    # Weights are sums of differences of β at near times, which float32 would round away.
    times = t.to(torch.float64)
    if times.ndim == 0:
        return times.view(1)
    return times
