"""Sweeps of hybrid Monte Carlo at a time of a path: one op, or the path's own score."""

from typing import Any, NamedTuple

from torch import Tensor

from ... import kernels
from ...kernels import FieldSweeps
from ...kernels.trajectories.reference import Trajectories, follow
from ...paths.annealing import AnnealingPath
from ..sweeps import times_on
from .masses import scales_of

__all__ = ["Rule", "sweep_fields"]


class Rule(NamedTuple):
    """How walkers are moved."""

    leapfrogs: int
    """Of a trajectory"""
    step: float
    """Length of a leapfrog"""
    masses: tuple[float, ...] | None
    """One for each orbit of modes; None for 1"""
    sweeps: int = 1
    """Trajectories of a step"""


def sweep_fields(
    rule: Rule, state: Any, path: AnnealingPath, t: Tensor | float, seed: int
) -> FieldSweeps:
    """Return fields after sweeps that leave ``ρ_t`` invariant, and how these went.

    Args:
        rule: how they are moved.
        state: a :class:`~leaps_triton.mcmc.SweepState`.
        path: the annealing path.
        t: time on the path, a number or float64 ``(1 | walkers,)``.
        seed: in [0, 2³²).
    """
    x = state.configurations
    scales = scales_of(tuple(x.shape[1:]), rule.masses, rule.step, x.device)
    counted: Any = (rule.leapfrogs, state.walkers, state.sweep, rule.sweeps, seed)
    times = times_on(t, x.device)
    if path.has_couplings:
        mass_squared, quartic = path.couplings(times).unbind(1)
        couplings = (mass_squared.contiguous(), quartic.contiguous())
        return kernels.quartic_trajectories(x, *couplings, scales, *counted)

    def density(field: Tensor) -> tuple[Tensor, Tensor]:
        log_density, score = path.log_density_and_score(field, times)
        return -log_density, score

    # Couplings are those of the path, which the density knows.
    return follow(Trajectories(x, times, times, scales, *counted), density)
