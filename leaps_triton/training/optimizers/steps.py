"""One step of training: what is computed before it is taken, and what takes it."""

import math
from functools import partial

import torch
from torch import Tensor

from ...networks import exact_convolutions
from ...parallel import ALONE, Ranks, combined, gathered
from ...samplers.sampler import Sampler
from ..config import TrainingConfig
from ..data.family import Family
from ..data.trajectories import leap_of, leap_trajectories, segments
from ..history import Leg
from ..losses import (
    FreeEnergy,
    action_matching,
    log_variance,
    physics_informed,
    squared_residual,
)
from ..residuals import with_noise
from ..terms import Terms
from ..trained import Trained
from .gauss_newton import GaussNewtonStep
from .proposals import Proposal, Request, Step
from .residual_jacobian import ResidualJacobian
from .sample_gradients import PerSample, SampleGradients
from .spring import Spring, centred

__all__ = ["AdamStep", "SpringStep", "free_energy_of", "make_step", "planned_rate"]

_MOMENTUM = (0.9, 0.99)
"""β₁ and β₂ of Adam."""

_MOMENTS = {"step", "exp_avg", "exp_avg_sq"}
"""What Adam keeps per parameter."""


def make_step(
    sampler: Sampler,
    trained: Trained,
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
        return SpringStep(family, trained, config, ranks)
    adam = AdamStep(sampler, trained, free_energy, config, ranks, family)
    if config.optimizer == "gauss_newton":
        return GaussNewtonStep(trained, adam, config)
    return adam


def free_energy_of(sampler: Sampler, config: TrainingConfig) -> FreeEnergy | None:
    """Return what is learned beside a transport; None where the baseline is no learned one."""
    if config.baseline != "learned":
        return None
    sites = math.prod(sampler.path.model.shape)
    return FreeEnergy(sites, seed=config.seed).to(sampler.device)


def planned_rate(config: TrainingConfig, leg: Leg, step: int) -> float:
    """Return the learning rate of a step.

    With ``"gauss_newton"`` Adam's first steps have a rise and a fall of their own, and all others,
    which need none, a rate of 1.

    Args:
        config: the settings.
        leg: the one that the step is of.
        step: steps before this one.
    """
    if config.optimizer != "gauss_newton":
        return leg.rate(step, config.warmup)
    if step < config.adam_steps:
        return Leg(0, config.adam_steps, config.learning_rate).rate(step, config.warmup)
    return 1.0


class AdamStep:
    """Adam on a loss of :mod:`leaps_triton.training.losses`.

    Args:
        sampler: gives the integrator.
        trained: what is trained.
        free_energy: trained along, where the baseline is learned; else None.
        config: the settings.
        ranks: the processes that share the batch.
        family: the models.
    """

    def __init__(
        self,
        sampler: Sampler,
        trained: Trained,
        free_energy: FreeEnergy | None,
        config: TrainingConfig,
        ranks: Ranks,
        family: Family,
    ) -> None:
        self._ranks = ranks
        self._family = family
        self._sampler = sampler
        self._module = trained.module
        self._transport = trained.transport
        self._free_energy = free_energy
        self._config = config
        parameters = list(trained.module.parameters())
        if free_energy is not None:
            parameters += free_energy.parameters()
        self._parameters = parameters
        self._adam = torch.optim.Adam(parameters, lr=config.learning_rate, betas=_MOMENTUM)

    def propose(self, request: Request) -> Proposal:
        """Compute loss and gradient, clipped."""
        with exact_convolutions():
            self._adam.zero_grad(set_to_none=True)
            loss = self._differentiated(request)
        # Of the transport alone: a free energy that is trained along is not clipped.
        norm = torch.nn.utils.clip_grad_norm_(self._module.parameters(), self._config.clip)
        # Read on the host: the guard decides before the step is taken.
        return Proposal(loss.item(), float(norm))

    def _differentiated(self, request: Request) -> Tensor:
        """Return the loss, after its gradient has been given to all that is trained."""
        shares = self._config.shares

        def loss_of(part: int) -> Tensor:
            return self._loss(request.part(part, shares))

        return combined(loss_of, self._parameters, shares, self._ranks)

    def take(self, rate: float) -> None:
        """Make a step of Adam."""
        for group in self._adam.param_groups:
            group["lr"] = rate
        for parameter in self._parameters:
            # A constant of a potential is in no gradient: with one of 0 it has moments, as files
            # keep them, and stays where it is.
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        self._adam.step()

    def _loss(self, request: Request) -> Tensor:
        config = self._config
        x = request.batch.configurations
        t = request.batch.t
        if config.loss == "physics_informed":
            baseline = None
            if self._free_energy is not None:
                baseline = self._free_energy.rate(t)
            scales = (request.huber, request.weights)
            terms = (config.diffusion, config.hamilton_jacobi)
            path = self._family.along(request.batch)
            given = (path, self._transport, x, t, baseline, *scales, *terms)
            return physics_informed(*given, request.batch.physics)
        path = self._family.paths[0]
        if config.loss == "action_matching":
            return action_matching(path, self._transport, x, t)
        leap = leap_of(self._sampler.integrator)
        grid = segments(config, t)
        begun = (path, self._transport, x, grid, leap, request.draws, request.first)
        made = leap_trajectories(*begun)
        free_energy = None
        if self._free_energy is not None:
            free_energy = self._free_energy(grid)
        reversible = (leap.floor, leap.reversible)
        of_paths = (path, self._transport, made.configurations, grid, free_energy, request.huber)
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
        trained: what is trained.
        config: the settings.
        ranks: the processes that share the batch.
    """

    def __init__(
        self, family: Family, trained: Trained, config: TrainingConfig, ranks: Ranks = ALONE
    ) -> None:
        self._family = family
        self._shares = config.shares
        self._ranks = ranks
        self._transport = trained.transport
        self._diffusion = config.diffusion
        self._gradients = SampleGradients(trained.module)
        self._jacobian: ResidualJacobian | None = None
        if trained.curved:
            terms = Terms(trained.path, trained.transport, config, curved=True)
            self._jacobian = ResidualJacobian(trained.module, terms)
        self._spring = Spring(
            trained.module.parameters(),
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
            if self._jacobian is not None:
                made = self._jacobian(x, t, None)
                mine[part] = made.values
                return made.jacobian
            path = self._family.along(batch)
            given = (path, self._transport, x, t, self._diffusion)
            found = self._gradients(partial(with_noise, *given))
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
