"""Markov chain Monte Carlo kernels that leave ``ρ_t`` invariant at fixed ``t``."""

from dataclasses import dataclass, replace
from typing import NamedTuple, Self, TypeAlias

from torch import Tensor

from .kernels.checks import as_integer, expect
from .models import Model
from .path import AnnealingPath

__all__ = ["HeatBath", "Kernel", "Metropolis", "SweepInfo", "SweepState"]


class SweepState(NamedTuple):
    """Walkers of a Markov chain."""

    configurations: Tensor
    """``(walkers, *shape)``"""
    walkers: Tensor
    """Global indices, int64 ``(walkers,)``"""
    sweep: int
    """Sweeps so far: the Philox event counter"""


class SweepInfo(NamedTuple):
    """What one step did."""

    changed: Tensor
    """Fraction of sites whose value changed, float32 ``(walkers,)``"""


@dataclass(frozen=True)
class _Sweeps:
    """Single-site updates, reversible each, one colour class after another."""

    sweeps: int = 1
    backward: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "sweeps", as_integer("sweeps", self.sweeps, 1))
        expect(isinstance(self.backward, bool), "backward", "a bool", self.backward)

    def reversed(self) -> Self:
        """The kernel reversed in time, ``ρ(y) P(y → x) / ρ(x)``: classes are reversible, so their order is reversed."""
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
        y = self._sweep(path.model, x, beta, state.walkers, state.sweep, seed)
        return SweepState(y, state.walkers, state.sweep + self.sweeps), SweepInfo((x != y).flatten(1).float().mean(1))

    def _sweep(self, model: Model, x: Tensor, beta: Tensor, walkers: Tensor, first_sweep: int, seed: int) -> Tensor:
        raise NotImplementedError


@dataclass(frozen=True)
class HeatBath(_Sweeps):
    """Heat bath: every site redrawn from its law given its neighbours, one colour class after another.

    Arguments
        sweeps: sweeps a step, at least 1.
        backward: take the colour classes in the opposite order.

    Raises
        ValueError: fewer than one sweep.

    References
        Creutz, *Monte Carlo study of quantized SU(2) gauge theory*, Phys. Rev. D 21, 2308 (1980).

    Example
        >>> import torch, leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Ising((8, 8), beta=0.3))
        >>> kernel, walkers = lt.HeatBath(sweeps=2), torch.arange(3)
        >>> state = kernel.init(path.start.sample(walkers, seed=0), walkers)
        >>> state, info = kernel.step(state, path, t=1.0, seed=0)
        >>> state.sweep
        2
    """

    def _sweep(self, model: Model, x: Tensor, beta: Tensor, walkers: Tensor, first_sweep: int, seed: int) -> Tensor:
        return model.heat_bath(x, beta, walkers, first_sweep, self.sweeps, seed, self.backward)


@dataclass(frozen=True)
class Metropolis(_Sweeps):
    """Metropolis: to every site one other value is proposed, and accepted with probability ``min(1, e^Δ)``.

    At q = 2 and small β nearly every proposal is accepted, so that a sweep flips all spins and the next flips them
    back: the law is right, but walkers mix better by :class:`HeatBath`.

    Arguments
        sweeps: sweeps a step, at least 1.
        backward: take the colour classes in the opposite order.

    Raises
        ValueError: fewer than one sweep.

    References
        Metropolis, Rosenbluth, Rosenbluth, Teller, Teller, *Equation of state calculations by fast computing machines*,
        J. Chem. Phys. 21, 1087 (1953).

    Example
        >>> import torch, leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Ising((8, 8), beta=0.3))
        >>> kernel, walkers = lt.Metropolis(sweeps=2), torch.arange(3)
        >>> state = kernel.init(path.start.sample(walkers, seed=0), walkers)
        >>> state, info = kernel.step(state, path, t=1.0, seed=0)
        >>> state.sweep
        2
    """

    def _sweep(self, model: Model, x: Tensor, beta: Tensor, walkers: Tensor, first_sweep: int, seed: int) -> Tensor:
        return model.metropolis(x, beta, walkers, first_sweep, self.sweeps, seed, self.backward)


Kernel: TypeAlias = HeatBath | Metropolis
"""What :class:`~leaps_triton.sampler.Sampler` takes as ``mcmc``."""
