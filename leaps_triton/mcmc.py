"""Markov chain Monte Carlo kernels that leave ``ρ_t`` invariant at fixed ``t``: the protocol, and sweeps of sites.

Cluster moves are in :mod:`.clusters`, kinetic Monte Carlo in :mod:`.kinetic`, parallel tempering in :mod:`.tempering`.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol, Self

from torch import Tensor

from .kernels.checks import as_integer, expect
from .models import Model, PairModel, is_pair_model
from .path import AnnealingPath

__all__ = [
    "Compose", "ComposeInfo", "HeatBath", "Kernel", "Metropolis", "Overrelaxation", "SweepInfo", "SweepState",
    "begin", "changed", "pair_model",
]  # fmt: skip


class Kernel(Protocol):
    """What leaves ``ρ_t`` invariant: ``init`` once, then ``step`` by step.

    The state has at least ``configurations``, ``walkers`` and ``sweep``, as :class:`SweepState`. Three attributes are
    optional: ``reversed()``, the kernel reversed in time, ``ρ(y) P(y → x) / ρ(x)``; ``unweighted``, why the kernel
    cannot move the weighted walkers of a :class:`~leaps_triton.sampler.Sampler`, empty if it can; and ``together``, how
    many consecutive walkers it correlates with one another, 1 if it moves each for itself.
    """

    def init(self, configurations: Tensor, walkers: Tensor) -> Any:
        """Chains that start from ``configurations``, of the global indices ``walkers``."""
        ...

    def step(self, state: Any, path: AnnealingPath, t: Tensor | float, seed: int) -> tuple[Any, Any]:
        """State after a step at time ``t`` of the path, a number or float64 ``(1 | walkers,)``, and what it did."""
        ...


class SweepState(NamedTuple):
    """Walkers of a Markov chain."""

    configurations: Tensor
    """``(walkers, *shape)``"""
    walkers: Tensor
    """Global indices, int64 ``(walkers,)``"""
    sweep: int
    """Sweeps, or cluster updates, so far: the Philox event counter"""


class SweepInfo(NamedTuple):
    """What one step did."""

    changed: Tensor
    """Fraction of sites whose value changed, float32 ``(walkers,)``"""


class ComposeInfo(NamedTuple):
    """What one step of :class:`Compose` did."""

    changed: Tensor
    """Fraction of sites whose value changed, float32 ``(walkers,)``"""
    parts: tuple[Any, ...]
    """The info of every kernel"""


def changed(before: Tensor, after: Tensor) -> Tensor:
    """Fraction of sites whose value differs, float32 ``(walkers,)``."""
    return (before != after).flatten(1).float().mean(1)


def pair_model(model: Model, kernel: object) -> PairModel:
    """``model``, if its energy is that of its bond and site tables; else a ValueError that names the kernel."""
    if not is_pair_model(model):
        name = type(getattr(model, "model", model)).__name__
        raise ValueError(
            f"{type(kernel).__name__} needs a PairModel, whose bonds it can tell apart, got {name}; take HeatBath"
        )
    return model


def expect_kernel(name: str, kernel: object) -> None:
    """Raise a ValueError unless ``kernel`` has the two methods of a :class:`Kernel`."""
    methods = callable(getattr(kernel, "init", None)) and callable(getattr(kernel, "step", None))
    # An integrator has both too, and enters intervals.
    accepted = methods and not isinstance(kernel, type) and not hasattr(kernel, "enter")
    expect(accepted, name, "a kernel such as HeatBath(sweeps=1)", kernel)


def begin(kernel: Kernel, configurations: Tensor, walkers: Tensor, user: object) -> SweepState:
    """The state of a kernel within another, ``user``; a ValueError if it has a state of its own kind."""
    state = kernel.init(configurations, walkers)
    if not isinstance(state, SweepState):
        raise ValueError(
            f"{type(user).__name__} takes kernels with a SweepState, and {type(kernel).__name__} has a state of its "
            f"own; put {type(user).__name__} into it"
        )
    return state


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
        return SweepState(y, state.walkers, state.sweep + self.sweeps), SweepInfo(changed(x, y))

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


@dataclass(frozen=True)
class Overrelaxation(_Sweeps):
    """Over-relaxation of states on a circle: every site reflected about the direction of its local field.

    The reflected angle is in general no state. Reflected is about the axis ``π r/q`` nearest to the local field, that
    takes states to states, and the reflection is accepted with probability ``min(1, e^Δ)``: far moves at nearly the
    same energy. Alone not ergodic; take ``Compose(HeatBath(), Overrelaxation(4))``.

    For models whose bond energy depends on ``x_i - x_j mod q`` alone, evenly, with q > 2 (clock, Potts). At q = 2 the
    local field lies along the two states, and the reflection about it moves neither.

    Arguments
        sweeps: sweeps a step, at least 1.
        backward: take the colour classes in the opposite order.

    Raises
        ValueError: fewer than one sweep; at the first step, a model without such reflections.

    References
        Creutz, *Overrelaxation and Monte Carlo simulation*, Phys. Rev. D 36, 515 (1987).
        Brown, Woch, *Overrelaxed heat-bath and Metropolis algorithms for accelerating pure gauge Monte Carlo
        calculations*, Phys. Rev. Lett. 58, 2394 (1987).

    Example
        >>> import torch, leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Clock((8, 8), q=6, beta=1.0))
        >>> kernel, walkers = lt.Compose(lt.HeatBath(), lt.Overrelaxation(sweeps=3)), torch.arange(3)
        >>> state = kernel.init(path.start.sample(walkers, seed=0), walkers)
        >>> state, info = kernel.step(state, path, t=1.0, seed=0)
        >>> state.sweep
        4
    """

    def _sweep(self, model: Model, x: Tensor, beta: Tensor, walkers: Tensor, first_sweep: int, seed: int) -> Tensor:
        pairs = pair_model(model, self)
        if not pairs.symmetry or pairs.q == 2:
            raise ValueError(
                f"Overrelaxation reflects states on a circle, so the bond energy must depend on x_i - x_j mod q alone, "
                f"evenly, with q > 2 (Clock, Potts), got {pairs!r}; take HeatBath or Metropolis"
            )
        return pairs.overrelaxation(x, beta, walkers, first_sweep, self.sweeps, seed, self.backward)


@dataclass(frozen=True, init=False)
class Compose:
    """Several kernels one after another, as one step.

    They share one count of sweeps, so that none repeats the random numbers of another.

    Arguments
        kernels: at least one, each with a :class:`SweepState` (all but parallel tempering, which takes a composition as
            its kernel).

    Raises
        ValueError: no kernel; at ``init``, a kernel with a state of its own kind.

    Example
        >>> import torch, leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Ising((8, 8), beta=0.4))
        >>> kernel, walkers = lt.Compose(lt.HeatBath(), lt.Wolff(clusters=5)), torch.arange(3)
        >>> state = kernel.init(path.start.sample(walkers, seed=0), walkers)
        >>> state, info = kernel.step(state, path, t=1.0, seed=0)
        >>> len(info.parts)
        2
    """

    kernels: tuple[Kernel, ...]

    def __init__(self, *kernels: Kernel) -> None:
        if not kernels:
            raise ValueError("Compose needs at least one kernel, got none")
        for kernel in kernels:
            expect_kernel("kernels", kernel)
        object.__setattr__(self, "kernels", kernels)

    @property
    def unweighted(self) -> str:
        """The reason of the first kernel that has one; empty if none has."""
        return next(filter(None, (getattr(kernel, "unweighted", "") for kernel in self.kernels)), "")

    @property
    def together(self) -> int:
        """How many consecutive walkers are correlated with one another: the least common multiple of the kernels'."""
        return math.lcm(*(getattr(kernel, "together", 1) for kernel in self.kernels))

    def reversed(self) -> "Compose":
        """The kernels reversed in time, in the opposite order."""
        parts: list[Any] = list(self.kernels)
        return Compose(*(kernel.reversed() for kernel in parts[::-1]))

    def init(self, configurations: Tensor, walkers: Tensor) -> SweepState:
        """Chains that start from ``configurations``."""
        states = [begin(kernel, configurations, walkers, self) for kernel in self.kernels]
        return states[0]

    def step(
        self, state: SweepState, path: AnnealingPath, t: Tensor | float, seed: int
    ) -> tuple[SweepState, ComposeInfo]:
        """One step of each at time ``t`` of the path, a number or float64 ``(1 | walkers,)``."""
        before, infos = state.configurations, []
        for kernel in self.kernels:
            state, info = kernel.step(state, path, t, seed)
            infos.append(info)
        return state, ComposeInfo(changed(before, state.configurations), tuple(infos))
