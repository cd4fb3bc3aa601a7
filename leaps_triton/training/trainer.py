"""Training a transport in place."""

import copy
import logging
import math
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ..files import claimed
from ..io.checkpoint import as_file
from ..kernels.checks import as_integer, expect
from ..networks import exact_convolutions
from ..progress import track
from ..samplers.ensemble import WeightedEnsemble
from ..samplers.sampler import Sampler
from . import state
from .buffer import ReplayBuffer
from .config import TrainingConfig
from .draws import Draws, Use
from .guard import Guard
from .history import Leg, TrainingHistory
from .losses import FreeEnergy, log_variance, physics_informed, squared_residual
from .trajectories import leap_of, leap_trajectories, segments

__all__ = ["Trainer"]

_log = logging.getLogger("leaps_triton")

_MOMENTUM = (0.9, 0.99)
"""β₁ and β₂ of Adam."""


class Trainer:
    """Trains ``sampler.transport`` in place on a loss of :mod:`leaps_triton.training.losses`.

    The data are configurations of a :class:`~leaps_triton.training.buffer.ReplayBuffer`, with one
    part for each interval of the sampler's integrator: rollouts of the sampler with sweeps at the
    boundaries fill it (the first with sweeps only), and sweeps at every use refresh it. All
    randomness comes from the configuration's seed, so a run can be repeated.

    With ``ema`` a copy of the transport is trained, and the transport itself is the moving average
    of the copy's parameters: at every step, so in evaluations, in files, and whenever :meth:`run`
    has returned. A file holds both.

    Args:
        sampler: its transport must be an ``nn.Module``.
        config: the settings; None for those of ``TrainingConfig()``.

    Attributes:
        config: the settings; steps and learning rate are those of the last leg.
        network: what the optimiser moves: the sampler's transport, or with ``ema`` the copy of it.
        average: with ``ema`` the sampler's transport, the moving average; else None.
        free_energy: ``F_t``, with a learned baseline; else None.
        history: what happened in all steps so far.
        step: their number.

    Raises:
        ValueError: a transport that cannot be trained.

    Example:
        >>> import leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Ising((4, 4), beta=0.3))
        >>> network = lt.HollowConv(path.model, kernel_size=3, channels=4, width=8, modes=0)
        >>> sampler = lt.Sampler(path, network, integrator=lt.Jump(5), device="cpu")
        >>> config = lt.TrainingConfig(steps=10, times=5, walkers=8, buffer=16, rollout=16)
        >>> len(lt.Trainer(sampler, config).run().loss)
        10
    """

    def __init__(self, sampler: Sampler, config: TrainingConfig | None = None) -> None:
        expect(isinstance(sampler, Sampler), "sampler", "a Sampler", sampler)
        if config is None:
            config = TrainingConfig()
        expect(isinstance(config, TrainingConfig), "config", "None or a TrainingConfig", config)
        transport = sampler.transport
        if not isinstance(transport, nn.Module) or not list(transport.parameters()):
            raise ValueError(
                "the sampler's transport must be an nn.Module with parameters to be trained"
            )
        self.sampler = sampler
        self.config = config
        self.average: nn.Module | None = None
        self.network: nn.Module = transport
        if config.ema:
            self.average = transport
            self.network = copy.deepcopy(transport)
        trained = list(self.network.parameters())
        self.free_energy: FreeEnergy | None = None
        if config.baseline == "learned":
            sites = math.prod(sampler.path.model.shape)
            self.free_energy = FreeEnergy(sites, seed=config.seed).to(sampler.device)
            trained += self.free_energy.parameters()
        self.optimizer = torch.optim.Adam(trained, lr=config.learning_rate, betas=_MOMENTUM)
        self.buffer = ReplayBuffer(sampler, config)
        self.guard = Guard(self.network, config)
        self.history = TrainingHistory(legs=[Leg(0, config.steps, config.learning_rate)])
        self.step = 0
        self._stopping = False
        self._file: Path | None = None
        self._written: tuple[int, ...] = ()

    def run(
        self,
        steps: int | None = None,
        progress: bool = False,
        checkpoint: str | Path | None = None,
        every: int = 100,
    ) -> TrainingHistory:
        """Train up to ``steps`` in total; called again, it goes on from there.

        Args:
            steps: in total; None for all of the configuration's. For more than these, training is
                extended as by :meth:`extend`.
            progress: show a progress bar on a terminal, elsewhere a line every half minute.
            checkpoint: file for :meth:`save`, written at the beginning, at every multiple of
                ``every``, and at the end.
            every: steps between two checkpoints.

        Raises:
            ValueError: a checkpoint that exists and is not of this training.
            BusyError: a checkpoint that another process is writing; it names the process.
            OSError: a checkpoint that cannot be written; the one before is as it was.
            TrainingDiverged: the loss is not finite or has exploded; it names the step and the
                setting to change, and parameters are the last good ones.
        """
        every = as_integer("every", every, 1)
        last = self.config.steps
        if steps is not None:
            last = as_integer("steps", steps, 0)
        self._stopping = False
        file = None
        if checkpoint is not None:
            file = as_file(checkpoint)
        with claimed(file):
            return self._run(last, progress, file, every)

    def _run(
        self, last: int, progress: bool, checkpoint: Path | None, every: int
    ) -> TrainingHistory:
        """Train up to step ``last``, while no other process writes the checkpoint."""
        if checkpoint is not None:
            # A file that this trainer wrote or resumed is its own to replace.
            known = self._file == checkpoint.resolve()
            if checkpoint.exists() and not known:
                raise ValueError(f"{checkpoint} exists; resume it first, or choose another file")
            if checkpoint.exists() and _mark(checkpoint) != self._written:
                raise ValueError(
                    f"{checkpoint} was written by another trainer since this one had it; resume it "
                    f"again, or choose another file"
                )
        if last > self.config.steps:
            self.extend(last)
        if checkpoint is not None:
            # Before any work: a file that cannot be written is found out now.
            self._save(checkpoint)
        with track(last, "training", "step", progress, self.step) as shown:
            while self.step < last and not self._stopping:
                loss = self._advance()
                shown.note(loss=f"{loss:.3g}", **self._last_ess())
                shown.update()
                pause = self.step % every == 0 or self.step == last or self._stopping
                if checkpoint is not None and pause:
                    self._save(checkpoint)
        return self.history

    def _last_ess(self) -> dict[str, str]:
        """Return what the last evaluation found, ready to be shown; nothing before any."""
        if not self.history.evaluation_ess:
            return {}
        return {"ESS": f"{self.history.evaluation_ess[-1]:.3g}"}

    def extend(self, steps: int, learning_rate: float | None = None) -> None:
        """Plan another number of steps in total, for the next :meth:`run`.

        The learning rate came down to 0, or was on its way there, at the end that was planned
        before. So a new leg begins at the step where training stands, be it at that end or before:
        warm-up, fall, Huber's steps and the watch over divergence begin anew, with as many steps as
        are left. Parameters, moments, the moving average, the buffer and the count of all random
        numbers go on. The same number of steps and the same rate as before begin no leg, and a leg
        of which no step was made leaves no trace.

        Args:
            steps: in total.
            learning_rate: at the peak of the leg; None for that of the last one.

        Raises:
            ValueError: fewer steps than are done, or a bad learning rate.

        Example:
            >>> import leaps_triton as lt
            >>> path = lt.AnnealingPath(lt.Ising((4, 4), beta=0.3))
            >>> network = lt.HollowConv(path.model, kernel_size=3, channels=4, width=8, modes=0)
            >>> sampler = lt.Sampler(path, network, integrator=lt.Jump(5), device="cpu")
            >>> config = lt.TrainingConfig(steps=4, times=5, walkers=8, buffer=16, rollout=16)
            >>> trainer = lt.Trainer(sampler, config)
            >>> first = trainer.run()
            >>> trainer.extend(10, learning_rate=5e-3)
            >>> [leg.first for leg in trainer.run().legs]
            [0, 4]
        """
        legs = self.history.legs
        if learning_rate is None:
            learning_rate = legs[-1].learning_rate
        # Checked there: the number of steps and the learning rate.
        planned = replace(self.config, steps=steps, learning_rate=learning_rate)
        if planned.steps < self.step:
            raise ValueError(
                f"steps must be at least the {self.step} that are done, got {planned.steps}"
            )
        left = planned.steps - self.step
        if left == 0:
            # The leg stays as it was planned, for whoever takes it up again.
            self.config = replace(self.config, steps=planned.steps)
            return
        self.config = planned
        rate = planned.learning_rate
        if legs[-1].last == planned.steps and legs[-1].learning_rate == rate:
            return
        if legs[-1].first == self.step:
            legs.pop()
        legs.append(Leg(self.step, left, rate))
        self.guard = Guard(self.network, planned)

    def stop(self) -> None:
        """Let :meth:`run` return after the step it is in, with its checkpoint written.

        It may be called from signal handlers and threads.
        """
        # A flag, and no more: this may run within a signal handler.
        self._stopping = True

    def fresh_walkers(self, walkers: int) -> WeightedEnsemble:
        """Return weighted walkers of the sampler as it is now, for a report of how good it is.

        Their seed is of the training's own and its step, and no other random number of the training
        or of its evaluations is of it. The weights are exact.

        Args:
            walkers: their number.
        """
        return self._weighed(walkers, self._draws().own_seed(Use.REPORT_SEED))

    def save(self, file: str | Path) -> None:
        """Store the sampler and all that :meth:`run` goes on from.

        :func:`leaps_triton.load` reads the sampler. A file of that name is replaced.

        Args:
            file: where to store them.

        Raises:
            ValueError: a part of the sampler that cannot be stored.
            BusyError: a file that another process is writing.
            OSError: a file that cannot be written; it is as it was.
        """
        with claimed(as_file(file)):
            self._save(as_file(file))

    def _save(self, file: Path) -> None:
        """Store all in a file that is this trainer's to write."""
        state.save(self, file)
        self._file = file.resolve()
        self._written = _mark(file)

    def resume(self, file: str | Path) -> None:
        """Take up training where :meth:`save` left it.

        On a CPU, with the same versions, it goes on bit for bit. With other steps in the
        configuration than in the file, training is extended as by :meth:`extend`, at the learning
        rate of the configuration.

        Args:
            file: of a trainer with the same sampler, but for the network's parameters, and the same
                configuration, but for its steps and evaluations.

        Raises:
            ValueError: a file that :func:`leaps_triton.load` refuses, one without training, one
                with other settings, each of which it names, or one with more steps done than the
                configuration has.

        Example:
            >>> import tempfile, leaps_triton as lt
            >>> path = lt.AnnealingPath(lt.Ising((4, 4), beta=0.3))
            >>> network = lt.HollowConv(path.model, kernel_size=3, channels=4, width=8, modes=0)
            >>> sampler = lt.Sampler(path, network, integrator=lt.Jump(5), device="cpu")
            >>> config = lt.TrainingConfig(steps=10, walkers=8, buffer=16, rollout=16)
            >>> trainer = lt.Trainer(sampler, config)
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     history = trainer.run(5, checkpoint=f"{folder}/ising.safetensors")
            ...     trainer.resume(f"{folder}/ising.safetensors")
            >>> trainer.step
            5
        """
        # Before it is read: what is written meanwhile is not what was read.
        mark = _mark(as_file(file))
        state.resume(self, file)
        self._file = as_file(file).resolve()
        self._written = mark

    def _draws(self) -> Draws:
        return Draws(self.config.seed, self.step)

    def _advance(self) -> float:
        """One step with all that is due before and after it; returns its loss."""
        if self.step % self.config.rollout_every == 0:
            self.buffer.roll_out(self.network, self._draws())
        loss = self._train()
        between = self.config.evaluate_every
        if between and (self.step % between == 0 or self.step == self.config.steps):
            self._evaluate()
        return loss

    def _train(self) -> float:
        """One step of the optimiser; returns its loss."""
        batch = self.buffer.batch(self._draws())
        rate = self._learning_rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with exact_convolutions():
            loss = self._loss(batch.configurations, batch.t)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
        # Of the transport alone: a free energy that is trained along is not clipped.
        clipped = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip)
        # Read on the host: the guard decides before the step is taken.
        value = loss.item()
        norm = float(clipped)
        self._check(value, norm)
        self.optimizer.step()
        self._follow()
        self.history.loss.append(value)
        self.history.gradient_norm.append(norm)
        self.history.learning_rate.append(rate)
        self.step += 1
        return value

    def _learning_rate(self) -> float:
        """A linear rise over the warm-up times a cosine that falls to 0."""
        leg = self.history.legs[-1]
        done = self.step - leg.first
        # From 1 on: at 0 the first step would move nothing.
        rise = min(1.0, (done + 1) / max(1, self.config.warmup))
        fall = 0.5 * (1.0 + math.cos(math.pi * done / leg.steps))
        return leg.learning_rate * rise * fall

    def _loss(self, x: Tensor, t: Tensor) -> Tensor:
        path = self.sampler.path
        config = self.config
        huber = None
        if self.step - self.history.legs[-1].first < config.huber_steps:
            huber = config.huber_delta
        if config.loss == "physics_informed":
            baseline = None
            if self.free_energy is not None:
                baseline = self.free_energy.rate(t)
            return physics_informed(path, self.network, x, t, baseline, huber)
        leap = leap_of(self.sampler.integrator)
        grid = segments(config, t)
        made = leap_trajectories(path, self.network, x, grid, leap, self._draws())
        free_energy = None
        if self.free_energy is not None:
            free_energy = self.free_energy(grid)
        reversible = (leap.floor, leap.reversible)
        given = (path, self.network, made.configurations, grid, free_energy, huber, *reversible)
        if config.loss == "log_variance":
            return log_variance(*given)
        return squared_residual(*given)

    def _check(self, loss: float, norm: float) -> None:
        """Stop before a bad step is taken, with the last good parameters in place."""
        try:
            self.guard.check(self.network, loss, norm, self.history)
        except RuntimeError:
            self.network.load_state_dict(self.guard.good)
            if self.average is not None:
                self.average.load_state_dict(self.guard.good)
            raise

    @torch.no_grad()
    def _follow(self) -> None:
        """Let the average take its part of the step; the network's buffers are copied."""
        if self.average is None:
            return
        # Early on the average would otherwise be one of the initial parameters.
        decay = min(self.config.ema, (1.0 + self.step) / (10.0 + self.step))
        trained = self.network.parameters()
        for parameter, new in zip(self.average.parameters(), trained, strict=True):
            parameter.lerp_(new, 1.0 - decay)
        for buffer, value in zip(self.average.buffers(), self.network.buffers(), strict=True):
            # Buffers may be counters or indices, which have no mean.
            buffer.copy_(value)

    def _evaluate(self) -> None:
        """Exact weights of fresh walkers, into the history."""
        seed = self._draws().own_seed(Use.EVALUATION_SEED)
        ensemble = self._weighed(self.config.evaluation_walkers, seed)
        history = self.history
        history.evaluation_step.append(self.step)
        history.evaluation_ess.append(ensemble.ess)
        history.evaluation_log_weight_variance.append(ensemble.log_weight_variance)
        history.evaluation_log_z.append(ensemble.log_z)
        # Early in training few walkers count, which is no news: without a warning.
        log_z_error = ensemble.diagnostics["log_z_error"]
        history.evaluation_log_z_error.append(log_z_error)
        _log.info(
            "step %d: ESS %.3f, log Z %.4f ± %.4f",
            self.step,
            ensemble.ess,
            ensemble.log_z,
            log_z_error,
        )

    def _weighed(self, walkers: int, seed: int) -> WeightedEnsemble:
        """Return walkers of the sampler as it is, in the blocks of evaluations."""
        sampler = self.sampler
        if self.config.evaluation_block:
            sampler = sampler.with_block(self.config.evaluation_block)
        return sampler.sample(walkers, seed=seed)


def _mark(file: Path) -> tuple[int, ...]:
    """Return what tells whether a file has been written anew; empty if there is none."""
    if not file.exists():
        return ()
    status = file.stat()
    return (status.st_mtime_ns, status.st_size, status.st_ino)
