"""One step of training: what is computed before it is taken, and what takes it."""

import math
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from ...networks import exact_convolutions
from ...parallel import ALONE, Ranks, combined, gathered
from ...samplers.sampler import Sampler
from ..config import TrainingConfig
from ..data.buffer import Batch
from ..data.draws import Draws
from ..data.family import Family
from ..data.trajectories import leap_of, leap_trajectories, segments
from ..losses import (
    FreeEnergy,
    action_matching,
    log_variance,
    physics_informed,
    residual,
    squared_residual,
)
from .sample_gradients import PerSample, SampleGradients
from .spring import Spring, centred

__all__ = ["AdamStep", "Proposal", "Request", "SpringStep", "Step", "make_step"]

_MOMENTUM = (0.9, 0.99)
"""β₁ and β₂ of Adam."""

_MOMENTS = {"step", "exp_avg", "exp_avg_sq"}
"""What Adam keeps per parameter."""


class Proposal(NamedTuple):
    """What is known of a step before it is taken."""

    loss: float
    """The mean variance of residuals at equal times, or another loss of the configuration"""
    norm: float
    """Of the gradient before it is clipped; of SPRING's ``δ``"""


class Request(NamedTuple):
    """What a step is made from."""

    batch: Batch
    draws: Draws
    """Random numbers of the step"""
    huber: float | None
    """``δ`` of Huber's loss; None for the square"""
    weights: Tensor | None
    """What residuals at each time are multiplied by, ``(times,)``; None for 1"""
    first: int = 0
    """Number of the first walker, where the batch is a part of a larger one"""

    def part(self, number: int, count: int) -> "Request":
        """Return one of so many equal parts of the batch, each of some of its times."""
        batch = self.batch
        times, walkers = batch.configurations.shape[:2]
        rows = times // count
        chosen = slice(number * rows, (number + 1) * rows)
        weights = self.weights
        if weights is not None:
            weights = weights[chosen]
        members = batch.members
        if members is not None:
            members = members[chosen]
        some = Batch(batch.configurations[chosen], batch.t[chosen], members)
        first = self.first + chosen.start * walkers
        return self._replace(batch=some, weights=weights, first=first)


class Step(Protocol):
    """What moves the parameters: it proposes, and moves them if it is told to."""

    def propose(self, request: Request) -> Proposal:
        """Compute a step, without moving any parameter."""
        ...

    def take(self, rate: float) -> None:
        """Move the parameters as was proposed, at a learning rate."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Return what the next step depends on, by names for a file."""
        ...

    def damage(self, state: dict[str, Tensor]) -> str:
        """Return what of a file's state does not fit; empty if all does."""
        ...

    def load(self, state: dict[str, Tensor]) -> None:
        """Take up where :meth:`state` was read."""
        ...


def make_step(
    sampler: Sampler,
    network: nn.Module,
    free_energy: FreeEnergy | None,
    config: TrainingConfig,
    ranks: Ranks,
    family: Family,
) -> Step:
    """Return what moves the parameters by the configuration's optimiser.

    Raises:
        ValueError: a batch whose parts cannot be dealt out evenly among the processes.
    """
    if config.shares % ranks.world:
        raise ValueError(
            f"shares must be a multiple of the {ranks.world} processes, got {config.shares}; "
            f"results depend on it, not on the number of processes"
        )
    if config.optimizer == "spring":
        return SpringStep(family, network, config, ranks)
    return AdamStep(sampler, network, free_energy, config, ranks, family)


class AdamStep:
    """Adam on a loss of :mod:`leaps_triton.training.losses`.

    Args:
        sampler: gives path and integrator.
        network: what is trained.
        free_energy: trained along, where the baseline is learned; else None.
        config: the settings.
        ranks: the processes that share the batch.
        family: the models.
    """

    def __init__(
        self,
        sampler: Sampler,
        network: nn.Module,
        free_energy: FreeEnergy | None,
        config: TrainingConfig,
        ranks: Ranks,
        family: Family,
    ) -> None:
        self._ranks = ranks
        self._family = family
        self._sampler = sampler
        self._network = network
        self._free_energy = free_energy
        self._config = config
        trained = list(network.parameters())
        if free_energy is not None:
            trained += free_energy.parameters()
        self._trained = trained
        self._adam = torch.optim.Adam(trained, lr=config.learning_rate, betas=_MOMENTUM)

    def propose(self, request: Request) -> Proposal:
        """Compute loss and gradient, clipped."""
        with exact_convolutions():
            self._adam.zero_grad(set_to_none=True)
            loss = self._differentiated(request)
        # Of the transport alone: a free energy that is trained along is not clipped.
        norm = torch.nn.utils.clip_grad_norm_(self._network.parameters(), self._config.clip)
        # Read on the host: the guard decides before the step is taken.
        return Proposal(loss.item(), float(norm))

    def _differentiated(self, request: Request) -> Tensor:
        """Return the loss, after its gradient has been given to all that is trained."""
        shares = self._config.shares

        def loss_of(part: int) -> Tensor:
            return self._loss(request.part(part, shares))

        return combined(loss_of, self._trained, shares, self._ranks)

    def take(self, rate: float) -> None:
        """Make a step of Adam."""
        for group in self._adam.param_groups:
            group["lr"] = rate
        self._adam.step()

    def _loss(self, request: Request) -> Tensor:
        path = self._sampler.path
        config = self._config
        x = request.batch.configurations
        t = request.batch.t
        if config.loss == "physics_informed":
            baseline = None
            if self._free_energy is not None:
                baseline = self._free_energy.rate(t)
            weights = request.weights
            path = self._family.along(request.batch)
            return physics_informed(path, self._network, x, t, baseline, request.huber, weights)
        if config.loss == "action_matching":
            return action_matching(path, self._network, x, t)
        leap = leap_of(self._sampler.integrator)
        grid = segments(config, t)
        given = (path, self._network, x, grid, leap, request.draws, request.first)
        made = leap_trajectories(*given)
        free_energy = None
        if self._free_energy is not None:
            free_energy = self._free_energy(grid)
        reversible = (leap.floor, leap.reversible)
        of_paths = (path, self._network, made.configurations, grid, free_energy, request.huber)
        if config.loss == "log_variance":
            return log_variance(*of_paths, *reversible)
        return squared_residual(*of_paths, *reversible)

    def state(self) -> dict[str, Tensor]:
        """Return Adam's moments, by the number of the parameter."""
        found: dict[str, Tensor] = {}
        for index, moments in self._adam.state_dict()["state"].items():
            for name, value in moments.items():
                found[f"{index}.{name}"] = value
        return found

    def damage(self, state: dict[str, Tensor]) -> str:
        """Return which of Adam's moments do not fit the parameters; empty if all do."""
        moments = _moments(state)
        if not moments:
            # Before the first step there are none.
            return ""
        groups = self._adam.param_groups
        parameters = [parameter for group in groups for parameter in group["params"]]
        for index in sorted(moments.keys() | set(range(len(parameters)))):
            each = moments.get(index, {})
            shape = None
            if 0 <= index < len(parameters):
                shape = parameters[index].shape
            fits = each.keys() == _MOMENTS
            fits = fits and all(each[name].shape == shape for name in _MOMENTS - {"step"})
            if not fits:
                return f"optimizer.{index} is missing or has another shape"
        return ""

    def load(self, state: dict[str, Tensor]) -> None:
        """Take Adam's moments; its settings stay this trainer's."""
        self._adam.load_state_dict({**self._adam.state_dict(), "state": _moments(state)})


def _moments(state: dict[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    """Return Adam's state per parameter; what has no number comes under -1."""
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in state.items():
        index, _, what = key.partition(".")
        number = -1
        if index.isdecimal():
            number = int(index)
        moments.setdefault(number, {})[what] = value
    return moments


class SpringStep:
    """SPRING on the residuals of a batch, less their mean at each time.

    Args:
        family: the models.
        network: what is trained.
        config: the settings.
        ranks: the processes that share the batch.
    """

    def __init__(
        self, family: Family, network: nn.Module, config: TrainingConfig, ranks: Ranks = ALONE
    ) -> None:
        self._family = family
        self._shares = config.shares
        self._ranks = ranks
        self._network = network
        self._gradients = SampleGradients(network)
        self._spring = Spring(
            network.parameters(),
            config.learning_rate,
            config.momentum,
            config.damping,
            config.norm_cap,
        )

    def propose(self, request: Request) -> Proposal:
        """Compute ``δ`` from residuals and their per-sample gradients."""
        times, walkers = request.batch.configurations.shape[:2]
        with exact_convolutions():
            found = self._samples(request)
        r = centred(found.values, times)
        # The mean takes a degree of freedom, as in the loss of Adam.
        loss = float(r.square().mean()) * walkers / (walkers - 1)
        if not math.isfinite(loss):
            # Nothing can be solved for; the guard refuses the step.
            return Proposal(loss, math.nan)
        weights = None
        if request.weights is not None:
            weights = request.weights.repeat_interleave(walkers)
        norm = self._spring.direct(centred(found.jacobian, times), r, weights)
        return Proposal(loss, norm)

    def _samples(self, request: Request) -> PerSample:
        """Return residuals of the batch and their gradients, of which each process makes some."""
        mine: dict[int, Tensor] = {}

        def jacobian_of(part: int) -> Tensor:
            batch = request.part(part, self._shares).batch
            x = batch.configurations.flatten(0, 1)
            t = batch.t.repeat_interleave(batch.configurations.shape[1])
            path = self._family.along(batch)
            found = self._gradients(lambda: residual(path, self._network, x, t))
            mine[part] = found.values
            return found.jacobian

        jacobian = gathered(jacobian_of, self._shares, self._ranks)
        values = gathered(mine.__getitem__, self._shares, self._ranks)
        return PerSample(values, jacobian)

    def take(self, rate: float) -> None:
        """Move the parameters along ``δ``."""
        self._spring.move(rate)

    def state(self) -> dict[str, Tensor]:
        """Return the unscaled ``δ``."""
        return self._spring.state_dict()

    def damage(self, state: dict[str, Tensor]) -> str:
        """Return whether ``δ`` is missing or of other parameters; empty if it is not."""
        found = state.get("direction")
        mine = self._spring.state_dict()["direction"]
        fits = state.keys() == {"direction"} and found is not None
        if found is None or not fits or found.shape != mine.shape or found.dtype != mine.dtype:
            return "optimizer.direction is missing or has another shape"
        return ""

    def load(self, state: dict[str, Tensor]) -> None:
        """Take up ``δ`` of a file."""
        self._spring.load_state_dict(state)
