"""The settings of a training run."""

from dataclasses import dataclass, replace
from typing import Any, Self

from ..kernels.checks import as_bool, as_integer, as_number, as_seed, expect
from .losses import LOSSES
from .settings import DRIFT, GAUSS_NEWTON, LEAST, NUMBERS, SPRING

__all__ = ["BASELINES", "OPTIMIZERS", "REFRESHES", "TrainingConfig"]


BASELINES = ("batch_mean", "learned")
"""Names of what a loss measures deviations from."""

OPTIMIZERS = ("adam", "spring", "gauss_newton")
"""Names of what moves the parameters."""

REFRESHES = ("rollout", "swendsen_wang", "heat_bath", "tempering", "exact", "hmc", "nodes")
"""Names of where the configurations to train on come from."""


@dataclass(frozen=True)
class TrainingConfig:
    """Holds the settings of a :class:`~leaps_triton.Trainer`, checked when it is made.

    Settings of another optimiser, or of another ``refresh``, have no effect.

    Attributes:
        steps: optimiser steps in total. A training that has been made, or begun, can be given other
            ones: :meth:`~leaps_triton.Trainer.extend` says what becomes of the learning rate.
        times: times per batch, stratified over [0, 1].
        walkers: configurations at each time.
        learning_rate: of Adam (β₁ = 0.9, β₂ = 0.99) or η of SPRING at its peak; in every leg of a
            training it rises over ``warmup`` steps and falls to 0 as a cosine.
        warmup: steps.
        clip: largest norm of the gradient; SPRING has ``norm_cap`` in its place.
        buffer: configurations kept for each interval of the sampler, or each bin of times.
        rollout_every: steps between rollouts of the current sampler; each replaces ``rollout`` of
            the buffer.
        rollout: walkers per rollout.
        sweeps: heat-bath sweeps, cluster updates or trajectories that refresh the configurations,
            at every boundary of a rollout and at every use.
        evaluate_every: steps between evaluations with exact weights on fresh seeds; 0 for none.
            What is trained does not depend on them.
        evaluation_walkers: of each evaluation.
        evaluation_block: walkers per block of an evaluation; 0 for the sampler's own blocks, of
            which a whole one is computed for few walkers too.
        loss: ``"physics_informed"``, at single times; or, on exact steps of tau-leaping from the
            buffer on, ``"squared_residual"`` of each step or ``"log_variance"`` of their sum. For
            drifts the first, or of a potential ``"action_matching"``. See
            :mod:`~leaps_triton.training.losses`.
        leaps: steps of tau-leaping from 0 to 1, for the two.
        segment: how many of them a walker of the batch makes; ``leaps`` for whole paths. Such a
            batch costs ``segment + 1`` evaluations per walker, and as many without gradient.
        baseline: what residuals are measured from: ``"batch_mean"``, their mean at each time, or
            ``"learned"``, the derivative of a :class:`~leaps_triton.training.losses.FreeEnergy`
            that is trained along.
        huber_steps: first steps of every leg that take Huber's loss in place of the square, so that
            single walkers with large residuals count less; 0 for none.
        huber_delta: standard deviations from which on it is linear.
        ema: decay per step of an exponential moving average of the parameters, in [0, 1), reached
            from ``(1 + step) / (10 + step)``; 0 for none. With it the sampler's transport holds the
            average.
        divergence: training stops if the mean loss of 20 steps exceeds its lowest value in this leg
            by this factor, or the leg's first loss, or 1.
        seed: of everything random in training.
        optimizer: ``"adam"``, or ``"spring"`` for Gauss-Newton steps in the space of the batch's
            samples, see :class:`~leaps_triton.training.optimizers.Spring`; with the
            physics-informed loss and the batch mean alone. Or ``"gauss_newton"`` for steps of
            Levenberg and Marquardt in the space of the parameters, on all nodes at once: see
            :class:`~leaps_triton.training.optimizers.GaussNewtonStep`.
        momentum: μ of SPRING, in [0, 1).
        damping: λ of SPRING, in units of the mean diagonal of ``J Jᵀ``; or the first μ of
            ``"gauss_newton"``, in units of the diagonal of ``Jᵀ J``.
        norm_cap: C of SPRING, the largest square of the length of a step; 0 for none.
        time_power: training times are ``t = first_time + (1 - first_time) u^time_power``, with
            ``u`` stratified over [0, 1]. Below 1 they are dense at late times, where most of the
            residual is near a critical point: 0.4 there.
        time_density: of the times, three quarters follow ``v(t)`` to this power, with v of the last
            held-out evaluation, and the rest ``time_power``; 0 for all of them. For models whose
            transition lies within the path, where no power of ``u`` is dense: 0.5 there.
        first_time: the earliest time trained; later than 0 where a gate holds the network at zero.
        row_power: residuals at ``t`` are scaled by ``v(t)^(-row_power/2)``, with v of the last
            held-out evaluation, so that late times do not rule all others; 0 for no scale.
        refresh: where configurations come from. ``"rollout"``: rollouts of the current sampler and
            heat-bath sweeps at every use. The others begin with samples of ``ρ_t`` in each of
            ``bins`` bins of time, made before the first step, and each use makes ``sweeps`` updates
            at the very time that was drawn: ``"swendsen_wang"`` of all clusters, for ferromagnets;
            ``"heat_bath"``; ``"tempering"``, heat-bath sweeps after an exchange with the same row
            of the next bin, for glasses; ``"exact"``, heat-bath sweeps of exact samples, of which
            ``rollout`` in each bin are drawn anew every ``rollout_every`` steps; ``"hmc"``, for
            real fields, trajectories of :class:`~leaps_triton.HMC`. For fields ``"rollout"`` means
            ``"hmc"``. Or ``"nodes"``, for densities of few dimensions: ``buffer`` fixed points at
            each of ``bins`` fixed times, which count by their weights ``ρ_t``; see
            :class:`~leaps_triton.training.data.nodes.NodeBuffer`.
        bins: of time, for all but rollouts.
        held_out: samples of ``ρ_t``, never trained on, at each of several times, on which
            ``v(t) = Var[ξ_t]`` and the mean of κ are measured before the first step and at every
            evaluation; 0 for none. Rollouts have none.
        held_out_times: these times after 0, at ``√(k / held_out_times)``.
        curriculum: share of the steps over which the largest time trained rises to 1; 0 for none.
        curriculum_start: where it rises from, in (0, 1].
        shares: parts of a batch, of as many times each, whose gradients are computed apart and
            summed in order. Processes take whole parts, so that results depend on this number, and
            not on that of processes, which divides it.
        adam_steps: first steps of ``"gauss_newton"``, which Adam makes on batches of nodes, with a
            fall of ``learning_rate`` of their own; from far away the others may lose their way.
        box: nodes lie in ``[-box, box]`` in every coordinate; 0 for the reach of the start and of
            what chains find, see :func:`~leaps_triton.training.data.nodes.reach`.
        end_times: whether the first and the last of the times of nodes are the ends of [0, 1]:
            steps of Gauss-Newton leave a drift beyond its nodes to chance. Of 32 times or more two
            can be spared. For gradient flows, whose energy counts for nothing at the ends, it
            brings nothing.
        diffusion: σ of noise ``σ dW`` along which the drift is trained: it is then the ``μ`` of
            ``dX = μ dt + σ dW``, whose law is ``ρ_t``, and the transport of the sampler a
            :class:`~leaps_triton.integrators.WithoutNoise` of it; 0 for a drift without noise.
        hamilton_jacobi: weight of the mean square of ``∂_tΦ + ½|∇Φ|² + ½σ²ΔΦ``, less its mean, for
            drifts ``∇Φ``: of all that carry ``ρ_t`` along a learned path it prefers optimal
            transport, or with σ the bridge; 0 to leave it out.
    """

    steps: int = 2000
    times: int = 16
    walkers: int = 16
    learning_rate: float = 1e-2
    warmup: int = 100
    clip: float = 1.0
    buffer: int = 1024
    rollout_every: int = 200
    rollout: int = 256
    sweeps: int = 1
    evaluate_every: int = 0
    evaluation_walkers: int = 1024
    evaluation_block: int = 0
    loss: str = "physics_informed"
    leaps: int = 50
    segment: int = 4
    baseline: str = "batch_mean"
    huber_steps: int = 0
    huber_delta: float = 2.0
    ema: float = 0.0
    divergence: float = 100.0
    seed: int = 0
    optimizer: str = "adam"
    momentum: float = 0.9
    damping: float = 1e-2
    norm_cap: float = 0.0
    time_power: float = 1.0
    time_density: float = 0.0
    first_time: float = 0.0
    row_power: float = 0.0
    refresh: str = "rollout"
    bins: int = 64
    held_out: int = 0
    held_out_times: int = 8
    curriculum: float = 0.0
    curriculum_start: float = 0.5
    shares: int = 1
    adam_steps: int = 0
    box: float = 0.0
    end_times: bool = False
    diffusion: float = 0.0
    hamilton_jacobi: float = 0.0

    @classmethod
    def spring(cls, **settings: Any) -> Self:
        """Return the settings that train best on samples of a ferromagnet, made by Swendsen–Wang.

        Give ``first_time`` where a gate opens, and ``evaluate_every``: neither is set.

        Args:
            settings: those that differ from the recipe.

        Example:
            >>> config = TrainingConfig.spring(steps=500)
            >>> config.optimizer, config.refresh, config.ema
            ('spring', 'swendsen_wang', 0.98)
        """
        return cls(**{**SPRING, **settings})

    @classmethod
    def drift(cls, **settings: Any) -> Self:
        """Return the settings that train drifts of fields best, on chains of hybrid Monte Carlo.

        Args:
            settings: those that differ from the recipe.

        Example:
            >>> config = TrainingConfig.drift(steps=1000)
            >>> config.optimizer, config.refresh, config.damping
            ('spring', 'hmc', 0.001)
        """
        return cls(**{**DRIFT, **settings})

    @classmethod
    def gauss_newton(cls, **settings: Any) -> Self:
        """Return the settings that train small networks best, in few dimensions, on nodes.

        Unless told, Adam makes the first three quarters of the steps; those after it take longer.

        Args:
            settings: those that differ from the recipe.

        Example:
            >>> config = TrainingConfig.gauss_newton(steps=200)
            >>> config.refresh, config.adam_steps, config.bins * config.buffer
            ('nodes', 150, 8192)
        """
        given = {**GAUSS_NEWTON, **settings}
        if "adam_steps" not in given:
            given["adam_steps"] = 3 * as_integer("steps", given["steps"], 1) // 4
        return cls(**given)

    def fitted(self, model: Any) -> Self:
        """Return the settings with what suits the model, where they leave it open.

        Args:
            model: what is trained for; fields have no rollouts, and are refreshed by ``"hmc"``.
        """
        if self.refresh == "rollout" and model.dtype.is_floating_point:
            return replace(self, refresh="hmc")
        return self

    def __post_init__(self) -> None:
        checked: dict[str, float] = {}
        for name, least in LEAST.items():
            checked[name] = as_integer(name, getattr(self, name), least)
        for name, (wanted, accept) in NUMBERS.items():
            checked[name] = as_number(name, getattr(self, name), wanted, accept)
        checked["seed"] = as_seed(self.seed)
        checked["end_times"] = as_bool("end_times", self.end_times)
        for name, value in checked.items():
            # Plain numbers, as a file keeps them.
            object.__setattr__(self, name, value)
        # Other buffers are renewed by chains alone.
        renewed = self.refresh in ("rollout", "exact")
        if renewed and self.rollout > self.buffer:
            raise ValueError(
                f"rollout must be at most the buffer of {self.buffer}, got {self.rollout}"
            )
        if self.segment > self.leaps:
            raise ValueError(
                f"segment must be at most the {self.leaps} leaps of a path, got {self.segment}"
            )
        if self.times % self.shares:
            fit = [str(each) for each in range(1, self.times + 1) if not self.times % each]
            raise ValueError(
                f"shares must divide the {self.times} times of a batch, so be one of "
                f"{', '.join(fit)}, got {self.shares}"
            )
        _check_name("loss", self.loss, LOSSES)
        _check_name("baseline", self.baseline, BASELINES)
        _check_name("refresh", self.refresh, REFRESHES)
        # With no time between the two, a batch has a gradient of 0.
        if self.curriculum and self.first_time >= self.curriculum_start:
            raise ValueError(
                f"first_time must be below curriculum_start, {self.curriculum_start:g}, from where "
                f"the largest time rises, got {self.first_time:g}"
            )
        self._check_optimizer()
        self._check_held_out()
        self._check_action()
        self._check_terms()

    def _check_optimizer(self) -> None:
        """Refuse an optimiser that there is not, or one that cannot have these settings."""
        _check_name("optimizer", self.optimizer, OPTIMIZERS)
        if self.optimizer == "adam":
            return
        needed = {"loss": "physics_informed", "baseline": "batch_mean", "huber_steps": 0}
        for name, value in needed.items():
            given = getattr(self, name)
            if given != value:
                raise ValueError(
                    f"optimizer {self.optimizer!r} takes residuals less their mean at each time, "
                    f"so {name} must be {value!r}, got {given!r}; or take optimizer='adam'"
                )
        if self.optimizer == "gauss_newton":
            self._check_gauss_newton()

    def _check_gauss_newton(self) -> None:
        """Refuse what steps on all nodes at once have no use for."""
        needed = {"refresh": "nodes", "shares": 1, "ema": 0.0, "row_power": 0.0}
        for name, value in needed.items():
            given = getattr(self, name)
            if given != value:
                raise ValueError(
                    f"optimizer 'gauss_newton' goes down on one fixed set of nodes, so {name} must "
                    f"be {value!r}, got {given!r}; or take optimizer='spring'"
                )

    def _check_action(self) -> None:
        """Refuse settings that action matching has no use for."""
        if self.loss != "action_matching":
            return
        for name, value in {"baseline": "batch_mean", "huber_steps": 0}.items():
            given = getattr(self, name)
            if given != value:
                raise ValueError(
                    f"loss 'action_matching' has a covariance with the batch mean, so {name} must "
                    f"be {value!r}, got {given!r}"
                )

    def _check_terms(self) -> None:
        """Refuse terms of a drift's residual that other losses and optimisers do not have."""
        for name in ("diffusion", "hamilton_jacobi"):
            given = getattr(self, name)
            if given and self.loss != "physics_informed":
                raise ValueError(
                    f"{name} is of the residual of loss 'physics_informed'; leave it out, or "
                    f"choose that loss, got {self.loss!r}"
                )
        if self.hamilton_jacobi and self.optimizer == "spring":
            raise ValueError(
                "hamilton_jacobi adds residuals that optimizer 'spring' does not take; choose "
                "'adam' or 'gauss_newton'"
            )

    def _check_held_out(self) -> None:
        """Refuse held-out samples that there cannot be, and scales that need them."""
        if self.held_out == 1:
            raise ValueError("held_out must be 0, or at least 2 for a variance, got 1")
        if self.held_out and self.refresh == "nodes":
            raise ValueError(
                "nodes have fresh ones of their own, which history.test_residual is measured on; "
                f"leave out held_out, got {self.held_out}"
            )
        if self.held_out and self.refresh == "rollout":
            raise ValueError(
                "held_out needs samples of equilibrium, and rollouts give none; choose refresh "
                "'swendsen_wang', 'heat_bath', 'tempering' or 'exact', for fields 'hmc', or "
                "held_out=0"
            )
        if self.row_power and self.loss != "physics_informed":
            raise ValueError(
                f"row_power scales the residuals of loss 'physics_informed' alone; leave it out, "
                f"or choose that loss, got {self.loss!r}"
            )
        if self.row_power and not self.held_out:
            raise ValueError(
                "row_power scales by the variance on held-out samples; give held_out, such as 256"
            )
        if self.time_density and not self.held_out:
            raise ValueError(
                "time_density follows the variance on held-out samples; give held_out, such as 256"
            )
        if self.time_density and self.loss != "physics_informed":
            raise ValueError(
                f"time_density is of single times, which loss 'physics_informed' alone looks at; "
                f"leave it out, or choose that loss, got {self.loss!r}"
            )


def _check_name(name: str, value: object, names: tuple[str, ...]) -> None:
    known = isinstance(value, str) and value in names
    expect(known, name, f"one of {', '.join(names)}", value)
