"""What a path offers, and what it starts from."""

from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from ..kernels import LocalEnergy
from ..models.base import Conditions, SweepPlan

__all__ = [
    "Path",
    "Start",
    "Swept",
    "change_of",
    "changes_fields",
    "learned_of",
    "swept_of",
    "velocity_of",
]


class Start(Protocol):
    """A distribution ``ρ_0`` on the path that can be sampled exactly.

    To a model of real fields it may also have ``energy(configurations)``, ``U_0`` with ``ρ_0 ∝
    exp(-U_0)``, float64 ``(walkers,)``, and ``force(configurations)``, ``-∂U_0/∂x``: the path then
    leaves ``U_0`` behind as it comes to the model.
    """

    @property
    def log_z(self) -> float:
        """``log Z_0``."""
        ...

    def sample(self, walker_index: Tensor, seed: int) -> Tensor:
        """Return independent configurations ``(walkers, *shape)``.

        Args:
            walker_index: global indices of the walkers, int64 ``(walkers,)``.
            seed: in [0, 2³²).
        """
        ...


@runtime_checkable
class Path(Protocol):
    """Unnormalised densities ``ρ̃_t`` from a start at ``t = 0`` to the target at ``t = 1``.

    Times are numbers or float64 ``(1 | walkers,)``. A path may also have
    ``change(configurations, t)``, ``∂_t log ρ̃_t(x)`` float64 ``(walkers,)``, which then need not be
    that of :meth:`excess`; ``learned`` is the module of which densities are made, and ``velocity``
    a drift along the path, for samplers that are given no other transport. Where
    ``changes_fields`` is true, ``model_at(t)`` is the model whose density at β = 1 is ``ρ_t``.
    """

    model: Any
    """The target, as :func:`~leaps_triton.models.complete` returns it"""
    start: Start

    def log_density(self, configurations: Tensor, t: Tensor | float) -> Tensor:
        """Return ``log ρ̃_t(x)``, float64 ``(walkers,)``."""
        ...

    def log_increment(
        self,
        configurations: Tensor,
        t_from: Tensor | float,
        t_to: Tensor | float,
    ) -> Tensor:
        """Return ``log ρ̃_{t_to}(x) - log ρ̃_{t_from}(x)``, float64 ``(walkers,)``."""
        ...

    def excess(self, configurations: Tensor) -> Tensor:
        """Return what :meth:`time_derivative` takes as energies, float64 ``(walkers,)``."""
        ...

    def time_derivative(self, energy: Tensor, t: Tensor | float) -> Tensor:
        """Return ``∂_t log ρ̃_t(x)`` from :meth:`excess`, float64 ``(walkers,)``."""
        ...

    def conditions(self, t: Tensor | float) -> Conditions:
        """Return what a network is told at time ``t``."""
        ...

    def beta(self, t: Tensor | float) -> Tensor:
        """Return the inverse temperature of moves at time ``t``, float64 ``(1 | walkers,)``."""
        ...

    def local_energy(
        self,
        configurations: Tensor,
        t: Tensor | float,
        dtype: torch.dtype = torch.float32,
    ) -> LocalEnergy:
        """Return ``H(x)`` and ``Δ = log ρ̃_t(x^m) - log ρ̃_t(x)`` of all moves ``m``."""
        ...

    def refresh(self, configurations: Tensor, t: Tensor | float, plan: SweepPlan) -> Tensor:
        """Return configurations after moves that leave ``ρ_t`` as it is."""
        ...


def change_of(path: Any, configurations: Tensor, t: Tensor | float) -> Tensor:
    """Return ``∂_t log ρ̃_t(x)``, float64 ``(walkers,)``.

    Args:
        path: any path; a user's own need not have ``change``.
        configurations: ``(walkers, *shape)``; values are not checked.
        t: a number, or ``(1 | walkers,)``.
    """
    change: Any = getattr(path, "change", None)
    if change is None:
        change = partial(_change_by_energy, path)
    found: Tensor = change(configurations, t)
    return found


def _change_by_energy(path: Any, configurations: Tensor, t: Tensor | float) -> Tensor:
    """Return ``∂_t log ρ̃_t(x)`` of densities that are linear in one energy."""
    found: Tensor = path.time_derivative(path.excess(configurations), t)
    return found


class Swept(NamedTuple):
    """A model and an inverse temperature that have the density of a path at one time."""

    model: Any
    beta: Tensor
    """float64 ``(1 | walkers,)``"""


def swept_of(path: Any, t: Tensor | float) -> Swept:
    """Return the model that sweeps at time ``t`` are made of, and its inverse temperature.

    Args:
        path: any path; a user's own has its model and ``β_t``.
        t: a number, or ``(1 | walkers,)``.
    """
    if not changes_fields(path):
        return Swept(path.model, path.beta(t))
    model = path.model_at(t)
    return Swept(model, torch.ones(1, dtype=torch.float64))


def changes_fields(path: Any) -> bool:
    """Return whether models on the way have other fields than the target; a user's have not."""
    return bool(getattr(path, "changes_fields", False))


def learned_of(path: Any) -> nn.Module | None:
    """Return what there is to train in a path; None for nothing."""
    found: nn.Module | None = getattr(path, "learned", None)
    return found


def velocity_of(path: Any) -> Any:
    """Return the drift that a path has of its own; None for none."""
    return getattr(path, "velocity", None)
