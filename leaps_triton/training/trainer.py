"""Training a transport in place."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from ..files import claimed
from ..io.checkpoint import as_file
from ..kernels.checks import as_integer, expect
from ..parallel import ALONE, Ranks
from ..progress import track
from ..samplers.ensemble import WeightedEnsemble
from ..samplers.sampler import Sampler
from . import state
from .config import TrainingConfig
from .data.buffer import Buffer
from .data.draws import Draws, Use
from .data.equilibrated import make_buffer
from .data.family import Family
from .data.times import latest_time
from .evaluation.board import Board
from .evaluation.held_out import held_out_of, row_weights, time_density
from .evaluation.records import enter_judgement, enter_walkers, exact_log_z, live
from .evaluation.test_nodes import TestNodes
from .history import Leg, TrainingHistory
from .optimizers.average import follow
from .optimizers.guard import Guard
from .optimizers.proposals import Request
from .optimizers.steps import free_energy_of, make_step, planned_rate
from .trained import Trained, check_noise, followed

__all__ = ["Trainer"]

_BOARD = 20
"""Steps between two writes to TensorBoard."""


class Trainer:
    """Trains ``sampler.transport`` in place on a loss of :mod:`leaps_triton.training.losses`.

    The data are configurations of a :class:`~leaps_triton.training.data.buffer.ReplayBuffer`, with
    one part for each interval of the sampler's integrator: rollouts of the sampler with sweeps at
    the boundaries fill it (the first with sweeps only), and sweeps at every use refresh it. With
    another ``refresh`` than ``"rollout"`` they are samples of ``ρ_t``, of an
    :class:`~leaps_triton.training.data.equilibrated.EquilibriumBuffer`. All randomness comes from
    the configuration's seed, so a run can be repeated.

    With ``ema`` a copy of the transport is trained, and the transport itself is the moving average
    of the copy's parameters, in evaluations and files too; a file holds both.

    Args:
        sampler: its transport must be an ``nn.Module``.
        config: the settings; None for those of ``TrainingConfig()``.
        ranks: the processes that share every batch, each with a trainer of its own; all end with
            the same network, and the first writes files.
        family: other models that the network is trained on beside the sampler's own, of its lattice
            and states: other fields, other couplings. Each has samples and held-out samples of its
            own; the times of a batch are dealt out among them all, residuals are less the mean of
            their time and model. Weights stay exact for these, and for any other model.

    Attributes:
        config: the settings; steps and learning rate are those of the last leg.
        family: the sampler's model and those beside it.
        network: what the optimiser moves: the sampler's transport, or with ``ema`` the copy of it.
        average: with ``ema`` the sampler's transport, the moving average; else None.
        free_energy: ``F_t``, with a learned baseline; else None.
        history: what happened in all steps so far.
        step: their number.

    Raises:
        ValueError: a transport that cannot be trained, shares that do not go round, a family of
            other lattices or states, settings of one model with a family, or another σ of noise.

    Example:
        >>> import leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Ising((4, 4), beta=0.3))
        >>> network = lt.HollowConv(path.model, kernel_size=3, channels=4, width=8, modes=0)
        >>> sampler = lt.Sampler(path, network, integrator=lt.Jump(5), device="cpu")
        >>> config = lt.TrainingConfig(steps=10, times=5, walkers=8, buffer=16, rollout=16)
        >>> len(lt.Trainer(sampler, config).run().loss)
        10
    """

    def __init__(
        self,
        sampler: Sampler,
        config: TrainingConfig | None = None,
        ranks: Ranks = ALONE,
        family: Sequence[Any] = (),
    ) -> None:
        expect(isinstance(sampler, Sampler), "sampler", "a Sampler", sampler)
        if config is None:
            config = TrainingConfig()
        expect(isinstance(config, TrainingConfig), "config", "None or a TrainingConfig", config)
        config = config.fitted(sampler.path.model)
        check_noise(sampler, config.diffusion)
        self.sampler = sampler
        self.config = config
        self.average: nn.Module | None = None
        self.trained = Trained.of(sampler)
        own = self.trained.module
        if config.ema:
            self.average = own
            self.trained = self.trained.copied()
        self.network: nn.Module = self.trained.module
        self._modules = [self.network, own]
        self.free_energy = free_energy_of(sampler, config)
        self.family = Family.of(sampler, family, config, self.trained.path)
        made = (sampler, self.trained, self.free_energy)
        self.optimizer = make_step(*made, config, ranks, self.family)
        self.ranks = ranks
        self.buffer: Buffer = make_buffer(sampler, config, self.family)
        self.held_out = held_out_of(sampler, config, self.family)
        self.test_nodes = TestNodes.of(sampler, config)
        self.guard = Guard(self.network, config)
        self.history = TrainingHistory(legs=[Leg(0, config.steps, config.learning_rate)])
        self.step = 0
        self._stopping = False
        self._own = state.OwnFile()

    def run(
        self,
        steps: int | None = None,
        progress: bool = False,
        checkpoint: str | Path | None = None,
        every: int = 100,
        tensorboard: str | Path | None = None,
    ) -> TrainingHistory:
        """Train up to ``steps`` in total; called again, it goes on from there.

        Args:
            steps: in total; None for all of the configuration's. For more than these, training is
                extended as by :meth:`extend`.
            progress: show a progress bar on a terminal, elsewhere a line every half minute, with
                the loss and what the last evaluation found.
            checkpoint: file for :meth:`save`, written at the beginning, at every multiple of
                ``every``, and at the end.
            every: steps between two checkpoints.
            tensorboard: folder for curves that TensorBoard shows as they grow; None for none.

        Raises:
            ImportError: ``tensorboard`` where TensorBoard is not installed.
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
        # The first of several processes writes for all.
        if checkpoint is not None and self.ranks.first:
            file = as_file(checkpoint)
        # All have read the file that the first one is about to write.
        self.ranks.meet()
        with claimed(file):
            self._begin(last, file)
            board = None
            if tensorboard is not None and self.ranks.first:
                board = Board(tensorboard, self.history)
            try:
                history = self._run(last, progress and self.ranks.first, file, every, board)
                # Who ends sooner must not end the others before the file is written.
                self.ranks.meet()
                return history
            finally:
                if board is not None:
                    board.write(self.history)
                    board.close()

    def _begin(self, last: int, checkpoint: Path | None) -> None:
        """Check that the checkpoint is this trainer's, and write it before any step."""
        if checkpoint is not None:
            self._own.check(checkpoint)
        if last > self.config.steps:
            self.extend(last)
        if checkpoint is not None:
            # Before any work: a file that cannot be written is found out now.
            self._save(checkpoint)

    def _run(
        self, last: int, progress: bool, checkpoint: Path | None, every: int, board: Board | None
    ) -> TrainingHistory:
        """Train up to step ``last``, while no other process writes the checkpoint."""
        with track(last, "training", "step", progress, self.step) as shown:
            stopping = self.ranks.largest(self._stopping)
            while self.step < last and not stopping:
                loss = self._advance()
                shown.note(loss=f"{loss:.3g}", **live(self.history))
                shown.update()
                if board is not None and self.step % _BOARD == 0:
                    board.write(self.history)
                # All stop after the same step.
                stopping = self.ranks.largest(self._stopping)
                pause = self.step % every == 0 or self.step == last or stopping
                if checkpoint is not None and pause:
                    self._save(checkpoint)
        return self.history

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

        :func:`leaps_triton.load` reads the sampler. A file of that name is replaced. The first of
        several processes writes it.

        Args:
            file: where to store them.

        Raises:
            ValueError: a part of the sampler that cannot be stored.
            BusyError: a file that another process is writing.
            OSError: a file that cannot be written; it is as it was.
        """
        if not self.ranks.first:
            return
        with claimed(as_file(file)):
            self._save(as_file(file))

    def _save(self, file: Path) -> None:
        """Store all in a file that is this trainer's to write."""
        state.save(self, file)
        self._own.note(file, state.mark(file))

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
        mark = state.mark(as_file(file))
        state.resume(self, file)
        self._own.note(as_file(file), mark)

    def _draws(self) -> Draws:
        return Draws(self.config.seed, self.step)

    def _advance(self) -> float:
        """One step with all that is due before and after it; returns its loss."""
        self.buffer.prepare(self.trained.transport, self._draws())
        if self.step == 0:
            # What there was before any step; the scale of rows needs it too.
            self._judge()
        loss = self._train()
        between = self.config.evaluate_every
        last = self.step == self.config.steps
        if between and (self.step % between == 0 or last):
            self._evaluate()
        elif last and self.test_nodes is not None:
            self._judge()
        return loss

    def _train(self) -> float:
        """One step of the optimiser; returns its loss."""
        leg = self.history.legs[-1]
        rate = planned_rate(self.config, leg, self.step)
        latest = latest_time(self.config, self.step, self.history.legs[0].steps)
        density = time_density(self.history, self.config.time_density)
        batch = self.buffer.batch(self._draws(), latest, density)
        huber = None
        if self.step - leg.first < self.config.huber_steps:
            huber = self.config.huber_delta
        weights = row_weights(batch.t, self.history, self.config.row_power)
        request = Request(batch, self._draws(), huber, weights)
        proposed = self.optimizer.propose(request)
        self.guard.watch(self._modules, proposed.loss, proposed.norm, self.history)
        self.optimizer.take(rate)
        if self.average is not None:
            follow(self.average, self.network, self.step, self.config.ema)
        self.history.loss.append(proposed.loss)
        self.history.gradient_norm.append(proposed.norm)
        self.history.learning_rate.append(rate)
        self.step += 1
        return proposed.loss

    def _judge(self) -> None:
        """Residuals of held-out samples or fresh nodes into the history, where there are any."""
        if self.test_nodes is not None:
            self.test_nodes.enter(self.history, self.step, self.buffer)
        if self.held_out:
            judged = [each.judge(followed(self.sampler)) for each in self.held_out]
            enter_judgement(self.history, self.step, judged)

    def _evaluate(self) -> None:
        """Exact weights of fresh walkers, and residuals of held-out samples, into the history."""
        self._judge()
        # Once: the exact value may take seconds.
        if not self.history.log_z_exact:
            self.history.log_z_exact = exact_log_z(self.sampler.path)
        seed = self._draws().own_seed(Use.EVALUATION_SEED)
        ensemble = self._weighed(self.config.evaluation_walkers, seed)
        enter_walkers(self.history, self.step, ensemble)

    def _weighed(self, walkers: int, seed: int) -> WeightedEnsemble:
        """Return walkers of the sampler as it is, in the blocks of evaluations."""
        sampler = self.sampler
        if self.config.evaluation_block:
            sampler = sampler.with_block(self.config.evaluation_block)
        return sampler.sample(walkers, seed=seed)
