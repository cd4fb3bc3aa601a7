"""What all trajectories of real fields share: leapfrogs, acceptance, settling."""

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from ...kernels import FieldSweeps
from ...kernels.checks import as_bool, as_integer, as_number, is_positive
from ...models.energy_only import complete
from ...paths.annealing import AnnealingPath
from ..base import BaseMove, Lowest, SweepState, changed
from .masses import as_masses
from .settling import settle
from .sweeping import Rule, sweep_fields

__all__ = ["FieldMove", "TrajectoryInfo"]

logger = logging.getLogger("leaps_triton")


class TrajectoryInfo(NamedTuple):
    """What one step did."""

    changed: Tensor
    """Fraction of sites whose value changed, float32 ``(walkers,)``"""
    acceptance: Tensor
    """Probability to accept a trajectory, mean over the step's, float64 ``(walkers,)``"""
    energy_error: Tensor
    """``ΔH`` of the last trajectory, float64 ``(walkers,)``"""


class FieldMove(BaseMove):
    """The base of moves that follow leapfrogs and accept where they lead, or stay.

    Args:
        leapfrogs: of a trajectory.
        step: length of a leapfrog; None to find it.
        fourier: whether modes have masses of their own; None for where the lattice is periodic.
        sweeps: trajectories per step.
        acceptance: mean probability to accept a trajectory that the step is chosen for: a target,
            none that was measured.
        masses: one for each orbit of modes; None to find them.
    """

    def __init__(
        self,
        leapfrogs: int,
        step: float | None,
        fourier: bool | None,
        sweeps: int,
        acceptance: float,
        masses: Sequence[float] | None,
    ) -> None:
        self._leapfrogs = as_integer("leapfrogs", leapfrogs, 1)
        self._length = None
        if step is not None:
            self._length = as_number("step", step, "a positive number", is_positive)
        self._fourier = None
        if fourier is not None:
            self._fourier = as_bool("fourier", fourier, "None or a bool")
        self._sweeps = as_integer("sweeps", sweeps, 1)
        wanted = "a probability between 0 and 1"
        self._acceptance = as_number("acceptance", acceptance, wanted, _is_inside)
        self._masses = as_masses(masses)
        if self._masses is not None and self._fourier is False:
            raise ValueError("masses are those of modes: give fourier=True with masses=")
        if self._masses is not None:
            self._fourier = True

    @property
    def leapfrogs(self) -> int:
        """Return the number of leapfrogs of a trajectory."""
        return self._leapfrogs

    @property
    def step_length(self) -> float | None:
        """Return the length of a leapfrog; None until it is settled."""
        return self._length

    @property
    def fourier(self) -> bool | None:
        """Return whether modes have masses of their own; None until the lattice is known."""
        return self._fourier

    @property
    def sweeps(self) -> int:
        """Return the number of trajectories per step."""
        return self._sweeps

    @property
    def acceptance(self) -> float:
        """Return the mean probability to accept that the step is chosen for, where it is found.

        It is a target; what a chain has reached is its
        :attr:`~leaps_triton.mcmc.chain.Chain.acceptance`.
        """
        return self._acceptance

    @property
    def masses(self) -> tuple[float, ...] | None:
        """Return one for each orbit of modes; None until they are settled, or for masses of 1."""
        return self._masses

    @property
    def settings(self) -> dict[str, Any]:
        """Return what makes the move again, as files keep it."""
        found: dict[str, Any] = {
            "step": self._length,
            "fourier": self._fourier,
            "sweeps": self._sweeps,
            "acceptance": self._acceptance,
            "masses": None,
        }
        if self._masses is not None:
            found["masses"] = list(self._masses)
        return found

    def __repr__(self) -> str:
        parts = [f"{name}={value}" for name, value in self.settings.items() if name != "masses"]
        if self._masses is not None:
            parts.append(f"masses=<{len(self._masses)} of them>")
        return f"{type(self).__name__}({', '.join(parts)})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.settings == self.settings

    def __hash__(self) -> int:
        return hash((type(self), repr(self), self._masses))

    def _with(self, **changes: Any) -> Self:
        """Return the same move with other settings."""
        return type(self)(**{**self.settings, **changes})

    @property
    def complete(self) -> bool:
        """Return whether step and masses are known."""
        return self._length is not None and (self._masses is not None or self._fourier is False)

    def check_model(self, model: Any) -> None:
        """Raise a ValueError if the move cannot follow the force of a target.

        Args:
            model: the target, completed.
        """
        _check(model, self)

    def settled(self, model: Any, before: Any = None, walkers: int | None = None) -> Any:
        """Return the move with the step and the masses that its user did not name.

        They are found in a burn-in on the host, with a seed of its own, so that a move that is
        settled twice for one model is the same.

        Args:
            model: the target; None leaves open what the move before does not tell.
            before: the move of a run that goes on, which keeps what it had; None for a new run.
            walkers: of a block, or of all chains, on which nothing depends.

        Raises:
            ValueError: a target without a force, or modes asked for where there are none.
        """
        found = self._gone_on(before)
        if found.complete or model is None:
            return found
        target = complete(model)
        _check(target, self)
        if found._fourier is None:
            # Without a periodic lattice there are no modes to tell apart.
            found = found._with(fourier=all(target.lattice.periodic))
        if found.complete:
            return found
        name = type(self).__name__
        logger.info("finding the step of %s in a burn-in; lt.%s(step=…) names it", name, name)
        with torch.no_grad():
            step, masses = settle(
                target, found._leapfrogs, bool(found._fourier), found._acceptance, found._length,
                found._masses,
            )  # fmt: skip
        return found._with(step=step, masses=masses)

    @property
    def tells_acceptance(self) -> bool:
        """Return that it does."""
        return True

    def accepted(self, info: TrajectoryInfo) -> Tensor:
        """Return how probably trajectories of a step were accepted, float64 ``(walkers,)``."""
        return info.acceptance

    def _gone_on(self, before: Any) -> Self:
        """Return the move with what the move of an earlier run had, where they are alike."""
        if type(before) is not type(self):
            return self
        if self._fourier is not None and before._fourier != self._fourier:
            return self
        step = self._length
        masses = self._masses or before._masses
        # A step was found for a number of leapfrogs, an acceptance and masses.
        alike = before._leapfrogs == self._leapfrogs and before._acceptance == self._acceptance
        if step is None and alike and masses == before._masses:
            step = before._length
        return self._with(step=step, masses=masses, fourier=before._fourier)

    def step(
        self, state: SweepState, path: AnnealingPath, t: Tensor | float, seed: int
    ) -> tuple[SweepState, TrajectoryInfo]:
        """Return the walkers after ``sweeps`` trajectories, and how these went.

        Args:
            state: walkers of the chain.
            path: the annealing path.
            t: time on the path, a number or float64 ``(1 | walkers,)``.
            seed: in [0, 2³²).

        Raises:
            ValueError: step or masses are not settled; a model without a force.
        """
        made = self._swept(state, path, t, seed)
        before = state.configurations
        after = SweepState(made.configurations, state.walkers, state.sweep + self._sweeps)
        moved = changed(before, made.configurations)
        return after, TrajectoryInfo(moved, made.acceptance, made.energy_error)

    def advance(
        self, state: SweepState, path: AnnealingPath, t: Tensor | float, seed: int
    ) -> tuple[SweepState, Lowest | None]:
        """Return the walkers after ``sweeps`` trajectories, as :meth:`step` does, and None."""
        made = self._swept(state, path, t, seed)
        return SweepState(made.configurations, state.walkers, state.sweep + self._sweeps), None

    @torch.no_grad()
    def _swept(
        self, state: SweepState, path: AnnealingPath, t: Tensor | float, seed: int
    ) -> FieldSweeps:
        if self._length is None or not self.complete:
            name = type(self).__name__
            missing = "step"
            if self._length is not None:
                missing = "masses by Fourier mode, beside its step,"
            elif not self.complete:
                missing = "step or no masses"
            raise ValueError(
                f"{name} has no {missing} yet; chains and samplers find them, and a move "
                f"that is stepped by hand takes move = lt.{name}(...).settled(model)"
            )
        rule = Rule(self._leapfrogs, self._length, self._masses, self._sweeps)
        return sweep_fields(rule, state, path, t, seed)


def _check(model: Any, move: FieldMove) -> None:
    """Raise a ValueError unless a move can follow the force of a target."""
    name = type(move).__name__
    if not model.dtype.is_floating_point:
        raise ValueError(
            f"{name} moves real fields, and configurations of {model!r} are {model.dtype}; take "
            f"HeatBath"
        )
    if move.fourier and not all(model.lattice.periodic):
        raise ValueError(
            f"{name} gives masses to the modes of a periodic lattice, got {model!r}; take "
            f"{name}(fourier=False)"
        )


def _is_inside(number: float) -> bool:
    return 0.0 < number < 1.0
