"""Several moves one after another, as one."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from ..paths.annealing import AnnealingPath
from ..registry import register
from .base import Kernel, SweepState, begin, changed, expect_kernel

__all__ = ["Compose", "ComposeInfo"]


class ComposeInfo(NamedTuple):
    """What one step of :class:`Compose` did."""

    changed: Tensor
    """Fraction of sites whose value changed, float32 ``(walkers,)``"""
    parts: tuple[Any, ...]
    """The info of every kernel"""


@register("move")
@dataclass(frozen=True, init=False)
class Compose:
    """Several kernels one after another, as one step.

    They share one count of sweeps, so that none repeats the random numbers of another.

    Args:
        kernels: at least one, each with a :class:`SweepState` (all but parallel tempering, which
            takes a composition as its kernel).

    Raises:
        ValueError: no kernel; at ``init``, a kernel with a state of its own kind.

    Example:
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
        return next(
            filter(None, (getattr(kernel, "unweighted", "") for kernel in self.kernels)), ""
        )

    @property
    def together(self) -> int:
        """How many consecutive walkers are correlated with one another: the least common multiple
        of the kernels'.
        """
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
