"""Annealing paths from a start that can be sampled exactly to the target."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..kernels import LocalEnergy
from ..kernels.checks import as_number, expect, shown
from ..models.base import Conditions, EnergyModel, SweepPlan, Target
from ..models.energy_only import complete
from ..registry import name_of, register
from .base import Start
from .starts import Uniform

__all__ = ["AnnealingPath"]


@register("schedule", name="linear")
def _linear(t: Tensor) -> Tensor:
    return t


class AnnealingPath:
    """``log ρ̃_t(x) = -β_t H(x)``, ``t`` from 0 to 1, unnormalised, with ``β_1`` the model's β.

    Args:
        model: the target; any :class:`~leaps_triton.models.EnergyModel`.
        start: None for the uniform distribution (then ``β_0`` must be 0), or an object with
            ``log_z`` and ``sample(walkers, seed)`` that draws exactly from ``exp(-β_0 H)``.
        schedule: ``f`` with ``β_t = f(t) β``, a function of float64 tensors that autograd can
            differentiate, ``f(1) = 1``; None for ``f(t) = t``.

    Raises:
        ValueError: a schedule that does not end at 1 or does not begin at the start.

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
        self.model = complete(model)
        self.schedule = _linear if schedule is None else schedule
        if start is None and self.model.dtype.is_floating_point:
            raise ValueError(
                f"configurations of {self.model!r} are {self.model.dtype}, which have no uniform "
                f"start; give start= an object with sample(walker_index, seed) and log_z"
            )
        self.start: Start = Uniform(self.model.lattice, self.model.q) if start is None else start
        if not hasattr(self.start, "sample") or not hasattr(self.start, "log_z"):
            raise ValueError(
                f"start must be None or have sample(walkers, seed) and log_z, got {shown(start)}"
            )
        expect(callable(self.schedule), "schedule", "None or a function of times", schedule)
        first, last = self._fraction(torch.tensor([0.0, 1.0], dtype=torch.float64)).tolist()
        if not math.isfinite(first) or not math.isclose(last, 1.0, abs_tol=1e-12):
            raise ValueError(
                f"schedule must be finite with schedule(1) = 1, got {first} at 0 and {last} at 1"
            )
        if start is None and first != 0.0:
            raise ValueError(
                f"the uniform start needs schedule(0) = 0, got {first}; change it, or give start="
            )
        # autograd gives 0 where it cannot follow; somewhere on the way the schedule must rise.
        if first != last and not bool(
            self._slope(torch.linspace(0.05, 0.95, 10, dtype=torch.float64)).any()
        ):
            raise ValueError(
                "schedule must be a function that autograd can differentiate, got a derivative of 0"
            )

    @property
    def schedule_name(self) -> str | None:
        """Name under which a file keeps the schedule; None for a function of the user's own."""
        return name_of("schedule", self.schedule)

    def _fraction(self, t: Tensor) -> Tensor:
        fraction = self.schedule(t)
        if not isinstance(fraction, Tensor) or fraction.shape != t.shape:
            raise ValueError(
                f"schedule must map a tensor to a tensor of its shape, got {shown(fraction)}"
            )
        return fraction.to(torch.float64)

    def _times(self, t: Tensor | float) -> Tensor:
        if not isinstance(t, Tensor):
            t = torch.tensor(
                as_number("t", t, "a finite number, or a tensor of times", math.isfinite),
                dtype=torch.float64,
            )
        expect(
            not t.is_complex() and t.dtype != torch.bool,
            "t",
            "a finite number, or a tensor of times",
            t,
        )
        times = t.to(torch.float64)
        return times.view(1) if times.ndim == 0 else times

    def _slope(self, t: Tensor) -> Tensor:
        if self.schedule is _linear:
            return torch.ones_like(t)
        slope: Tensor = torch.func.grad(lambda s: self._fraction(s).sum())(t.detach())
        return slope

    def beta(self, t: Tensor | float) -> Tensor:
        """``β_t``, float64 ``(1 | walkers,)``."""
        return self._fraction(self._times(t)) * self.model.beta

    def beta_rate(self, t: Tensor | float) -> Tensor:
        """``dβ_t/dt``, float64 ``(1 | walkers,)``."""
        return self._slope(self._times(t)) * self.model.beta

    def conditions(self, t: Tensor | float) -> Conditions:
        """What a network is told at time ``t``, in ``t``'s precision (float32 for a number) and on
        its device.

        Args:
            t: a number, or ``(1 | walkers,)``.
        """
        times = self._times(t)
        times = times.to(
            t.dtype if isinstance(t, Tensor) and t.is_floating_point() else torch.float32
        )
        return Conditions(
            times,
            self.beta(times).to(times),
            self.model.coupling.unsqueeze(0).to(times),
            self.model.site_table.unsqueeze(0).to(times),
        )

    def log_increment(
        self, configurations: Tensor, t_from: Tensor | float, t_to: Tensor | float
    ) -> Tensor:
        """``log ρ̃_{t_to}(x) - log ρ̃_{t_from}(x)``, float64 ``(walkers,)``; values are not
        checked.
        """
        change = (self.beta(t_to) - self.beta(t_from)).to(configurations.device)
        return -change * self.model.energy(configurations, check=False)

    def log_density(self, configurations: Tensor, t: Tensor | float) -> Tensor:
        """``log ρ̃_t(x)``, float64 ``(walkers,)``."""
        energy = self.model.energy(configurations)
        return -self.beta(t).to(energy.device) * energy

    def time_derivative(self, energy: Tensor, t: Tensor | float) -> Tensor:
        """``∂_t log ρ̃_t(x) = -(dβ_t/dt) H(x)`` from ``energy`` ``H(x)`` ``(walkers,)``, float64
        ``(walkers,)``.
        """
        return -self.beta_rate(t).to(energy.device) * energy

    def local_energy(
        self, configurations: Tensor, t: Tensor | float, dtype: torch.dtype = torch.float32
    ) -> LocalEnergy:
        """``H(x)`` and ``Δ_m = log ρ̃_t(x^m) - log ρ̃_t(x)`` of all moves; values are not
        checked.
        """
        return self.model.local_energy(
            configurations, self.beta(t).to(configurations.device), dtype
        )

    def refresh(self, configurations: Tensor, t: Tensor | float, plan: SweepPlan) -> Tensor:
        """Return configurations after heat-bath sweeps at ``β_t``; values are not checked.

        Args:
            configurations: ``(walkers, *shape)``.
            t: a number, or float64 ``(1 | walkers,)``.
            plan: the sweeps.
        """
        beta = self.beta(t).to(configurations.device)
        return self.model.heat_bath(configurations, beta, plan)
