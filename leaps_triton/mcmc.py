"""Markov chain Monte Carlo kernels that leave ``ρ_t`` invariant at fixed ``t``."""

from dataclasses import dataclass, replace
from typing import NamedTuple

from torch import Tensor

from .path import AnnealingPath

__all__ = ["HeatBath", "SweepInfo", "SweepState"]


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
class HeatBath:
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

    sweeps: int = 1
    backward: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.sweeps, int) or self.sweeps < 1:
            raise ValueError(f"sweeps must be an integer of at least 1, got {self.sweeps!r}")

    def reversed(self) -> "HeatBath":
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
        y = path.model.heat_bath(x, beta, state.walkers, state.sweep, self.sweeps, seed, self.backward)
        return SweepState(y, state.walkers, state.sweep + self.sweeps), SweepInfo((x != y).flatten(1).float().mean(1))
