"""Sweeps of single-site updates: heat bath, Metropolis, over-relaxation."""

from dataclasses import dataclass, replace
from typing import Self

from torch import Tensor

from ..kernels.checks import as_integer, expect
from ..models.base import Model, SweepPlan
from ..paths.annealing import AnnealingPath
from ..registry import register
from .base import SweepInfo, SweepState, changed, pair_model

__all__ = ["HeatBath", "Metropolis", "Overrelaxation"]


@dataclass(frozen=True)
class _Sweeps:
    """Single-site updates, reversible each, one colour class after another."""

    sweeps: int = 1
    backward: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "sweeps", as_integer("sweeps", self.sweeps, 1))
        expect(isinstance(self.backward, bool), "backward", "a bool", self.backward)

    def reversed(self) -> Self:
        """The kernel reversed in time, ``ρ(y) P(y → x) / ρ(x)``: classes are reversible, so their
        order is reversed.
        """
        return replace(self, backward=not self.backward)

    def init(self, configurations: Tensor, walkers: Tensor) -> SweepState:
        """Chains that start from ``configurations``."""
        return SweepState(configurations, walkers, 0)

    def step(
        self, state: SweepState, path: AnnealingPath, t: Tensor | float, seed: int
    ) -> tuple[SweepState, SweepInfo]:
        """``sweeps`` sweeps at time ``t`` of the path, a number or float64 ``(1 | walkers,)``."""
        x = state.configurations
        beta = path.beta(t).to(x.device)
        plan = SweepPlan(state.walkers, state.sweep, self.sweeps, seed, self.backward)
        y = self._sweep(path.model, x, beta, plan)
        return SweepState(y, state.walkers, state.sweep + self.sweeps), SweepInfo(changed(x, y))

    def _sweep(self, model: Model, x: Tensor, beta: Tensor, plan: SweepPlan) -> Tensor:
        raise NotImplementedError


@register("move")
@dataclass(frozen=True)
class HeatBath(_Sweeps):
    """Heat bath: every site redrawn from its law given its neighbours, one colour class after
    another.

    Args:
        sweeps: sweeps a step, at least 1.
        backward: take the colour classes in the opposite order.

    Raises:
        ValueError: fewer than one sweep.

    References:
        Creutz, *Monte Carlo study of quantized SU(2) gauge theory*, Phys. Rev. D 21, 2308 (1980).

    Example:
        >>> import torch, leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Ising((8, 8), beta=0.3))
        >>> kernel, walkers = lt.HeatBath(sweeps=2), torch.arange(3)
        >>> state = kernel.init(path.start.sample(walkers, seed=0), walkers)
        >>> state, info = kernel.step(state, path, t=1.0, seed=0)
        >>> state.sweep
        2
    """

    def _sweep(self, model: Model, x: Tensor, beta: Tensor, plan: SweepPlan) -> Tensor:
        return model.heat_bath(x, beta, plan)


@register("move")
@dataclass(frozen=True)
class Metropolis(_Sweeps):
    """Metropolis: to every site one other value is proposed, and accepted with probability ``min(1,
    e^Δ)``.

    At q = 2 and small β nearly every proposal is accepted, so that a sweep flips all spins and the
    next flips them
    back: the law is right, but walkers mix better by :class:`HeatBath`.

    Args:
        sweeps: sweeps a step, at least 1.
        backward: take the colour classes in the opposite order.

    Raises:
        ValueError: fewer than one sweep.

    References:
        Metropolis, Rosenbluth, Rosenbluth, Teller, Teller, *Equation of state calculations by fast
        computing machines*, J. Chem. Phys. 21, 1087 (1953).

    Example:
        >>> import torch, leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Ising((8, 8), beta=0.3))
        >>> kernel, walkers = lt.Metropolis(sweeps=2), torch.arange(3)
        >>> state = kernel.init(path.start.sample(walkers, seed=0), walkers)
        >>> state, info = kernel.step(state, path, t=1.0, seed=0)
        >>> state.sweep
        2
    """

    def _sweep(self, model: Model, x: Tensor, beta: Tensor, plan: SweepPlan) -> Tensor:
        return model.metropolis(x, beta, plan)


@register("move")
@dataclass(frozen=True)
class Overrelaxation(_Sweeps):
    """Over-relaxation of states on a circle: every site reflected about the direction of its local
    field.

    The reflected angle is in general no state. Reflected is about the axis ``π r/q`` nearest to the
    local field, that takes states to states, and the reflection is accepted with probability
    ``min(1, e^Δ)``: far moves at nearly the same energy. Alone not ergodic; take
    ``Compose(HeatBath(), Overrelaxation(4))``.

    For models whose bond energy depends on ``x_i - x_j mod q`` alone, evenly, with q > 2 (clock,
    Potts). At q = 2 the local field lies along the two states, and the reflection about it moves
    neither.

    Args:
        sweeps: sweeps a step, at least 1.
        backward: take the colour classes in the opposite order.

    Raises:
        ValueError: fewer than one sweep; at the first step, a model without such reflections.

    References:
        Creutz, *Overrelaxation and Monte Carlo simulation*, Phys. Rev. D 36, 515 (1987).
        Brown, Woch, *Overrelaxed heat-bath and Metropolis algorithms for accelerating pure gauge
        Monte Carlo calculations*, Phys. Rev. Lett. 58, 2394 (1987).

    Example:
        >>> import torch, leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Clock((8, 8), q=6, beta=1.0))
        >>> kernel, walkers = (
        ...     lt.Compose(lt.HeatBath(), lt.Overrelaxation(sweeps=3)),
        ...     torch.arange(3),
        ... )
        >>> state = kernel.init(path.start.sample(walkers, seed=0), walkers)
        >>> state, info = kernel.step(state, path, t=1.0, seed=0)
        >>> state.sweep
        4
    """

    def _sweep(self, model: Model, x: Tensor, beta: Tensor, plan: SweepPlan) -> Tensor:
        pairs = pair_model(model, self)
        if not pairs.symmetry or pairs.q == 2:
            raise ValueError(
                f"Overrelaxation reflects states on a circle, so the bond energy must depend on x_i - x_j mod q alone, "
                f"evenly, with q > 2 (Clock, Potts), got {pairs!r}; take HeatBath or Metropolis"
            )
        return pairs.overrelaxation(x, beta, plan)
