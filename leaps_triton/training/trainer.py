"""Training a transport in place."""

import copy
import logging
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from ..integrators.jump import State
from ..integrators.rates import evaluate
from ..integrators.tau_leap import TauLeap
from ..io.checkpoint import Contents, as_file, describe, differences, read, write
from ..kernels import Stream, philox, tau_leap_step, uniform64
from ..kernels.checks import as_integer, expect
from ..kernels.hollow_network.reference import exact_convolutions
from ..mcmc.sweeps import HeatBath
from ..samplers.sampler import Sampler
from .config import TrainingConfig
from .losses import FreeEnergy, log_variance, physics_informed, squared_residual

__all__ = ["Trainer", "TrainingDiverged", "TrainingHistory"]


_log = logging.getLogger("leaps_triton")


# Uses of the TRAIN stream: the "draw" word of the counter.
_TIMES, _ROWS, _ROLLOUT_SEED, _EVALUATION_SEED = range(4)


@dataclass
class TrainingHistory:
    """What happened in training; ``evaluation_*`` have one entry an evaluation, the others one a
    step.
    """

    loss: list[float] = field(default_factory=list)
    gradient_norm: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    evaluation_step: list[int] = field(default_factory=list)
    evaluation_ess: list[float] = field(default_factory=list)
    evaluation_log_weight_variance: list[float] = field(default_factory=list)
    evaluation_log_z: list[float] = field(default_factory=list)
    evaluation_log_z_error: list[float] = field(default_factory=list)

    def as_dict(self) -> dict[str, list[float]]:
        """Plain lists, ready for JSON."""
        return asdict(self)


class TrainingDiverged(RuntimeError):
    """The loss is not finite or has exploded; the transport holds its last good parameters.

    Attributes:
        history: everything up to the failure.
    """

    def __init__(self, message: str, history: TrainingHistory) -> None:
        super().__init__(message)
        self.history = history


class Trainer:
    """Trains ``sampler.transport`` in place on a loss of :mod:`leaps_triton.objectives`.

    The data are configurations of a replay buffer with one part for each interval of the sampler's
    integrator, filled by rollouts with heat-bath sweeps at the boundaries (the first rollout has
    sweeps only) and refreshed by sweeps at every use. All randomness comes from the configuration's
    seed, so a run can be repeated.

    With ``ema`` a copy of the transport is trained, and the transport itself is the moving average
    of the copy's
    parameters: at every step, so in evaluations, in files, and whenever :meth:`run` has returned. A
        file holds both.

    Args:
        sampler: its transport must be an ``nn.Module``.
        config: settings.

    Attributes:
        network: what the optimiser moves: the sampler's transport, or with ``ema`` the copy of it.
        free_energy: ``F_t``, with a learned baseline; else None.
        history: of all steps so far.
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
        expect(
            config is None or isinstance(config, TrainingConfig),
            "config",
            "None or a TrainingConfig",
            config,
        )
        if not isinstance(sampler.transport, nn.Module) or not any(
            True for _ in sampler.transport.parameters()
        ):
            raise ValueError(
                "the sampler's transport must be an nn.Module with parameters to be trained"
            )
        self.sampler, self.config, transport = (
            sampler,
            config or TrainingConfig(),
            sampler.transport,
        )
        self._average = transport if self.config.ema else None
        self.network: nn.Module = copy.deepcopy(transport) if self.config.ema else transport
        self.free_energy: FreeEnergy | None = None
        trained = list(self.network.parameters())
        if self.config.baseline == "learned":
            self.free_energy = FreeEnergy(
                sampler.path.model.lattice.sites, seed=self.config.seed
            ).to(sampler.device)
            trained += self.free_energy.parameters()
        self.history = TrainingHistory()
        self.step = 0
        self._optimizer = torch.optim.Adam(trained, lr=self.config.learning_rate, betas=(0.9, 0.99))
        intervals, shape = sampler.integrator.intervals, sampler.path.model.lattice.shape
        self._buffer = torch.zeros(
            intervals,
            self.config.buffer,
            *shape,
            dtype=sampler.path.model.dtype,
            device=sampler.device,
        )
        self._lowest = math.inf
        self._good = self._snapshot()
        self._stopping = False
        self._file: Path | None = None

    def run(
        self,
        steps: int | None = None,
        progress: bool = False,
        checkpoint: str | Path | None = None,
        every: int = 100,
    ) -> TrainingHistory:
        """Train up to ``steps`` in total (None: all of the configuration's); called again, it goes
        on from there.

        Args:
            steps: in total.
            progress: show a progress bar on a terminal.
            checkpoint: file for :meth:`save`, written at the beginning, at every multiple of
                ``every``, and at the end.
            every: steps.

        Raises:
            ValueError: more steps than the configuration's; a checkpoint that exists and is not of
                this training.
            OSError: a checkpoint that cannot be written.
            TrainingDiverged: it names the step and the setting to change; parameters are the last
                good ones.
        """
        every = as_integer("every", every, 1)
        last = self.config.steps if steps is None else as_integer("steps", steps, 0)
        if last > self.config.steps:
            raise ValueError(
                f"steps must be at most the {self.config.steps} of the configuration, which set the decay of the "
                f"learning rate, got {last}; give TrainingConfig(steps=)"
            )
        self._stopping = False
        if checkpoint is not None:
            if as_file(checkpoint).exists() and self._file != as_file(checkpoint).resolve():
                raise ValueError(f"{checkpoint} exists; resume it first, or choose another file")
            # Before any work: a file that cannot be written is found out now.
            self.save(checkpoint)
        with tqdm(
            total=last,
            initial=self.step,
            desc="training",
            unit="step",
            disable=None if progress else True,
        ) as bar:
            while self.step < last and not self._stopping:
                if self.step % self.config.rollout_every == 0:
                    self._roll_out()
                loss = self._train()
                bar.update()
                bar.set_postfix(loss=f"{loss:.3g}", refresh=False)
                between = self.config.evaluate_every
                if between and (self.step % between == 0 or self.step == self.config.steps):
                    self._evaluate()
                if checkpoint is not None and (
                    self.step % every == 0 or self.step == last or self._stopping
                ):
                    self.save(checkpoint)
        return self.history

    def stop(self) -> None:
        """Let :meth:`run` return after the step it is in, checkpoint written; for signal handlers
        and threads.
        """
        self._stopping = True

    def save(self, file: str | Path) -> None:
        """Store the sampler and all that :meth:`run` goes on from; :func:`leaps_triton.load` reads
        the sampler.

        A file of that name is replaced.

        Raises:
            ValueError: a part of the sampler that cannot be stored.
            OSError: a file that cannot be written.
        """
        manifest, tensors = describe(self.sampler)
        manifest["training"] = {"config": asdict(self.config), "step": self.step}
        state = self._state()
        for index, moments in self._optimizer.state_dict()["state"].items():
            state |= {f"optimizer.{index}.{name}": value for name, value in moments.items()}
        for name, values in self.history.as_dict().items():
            state[f"history.{name}"] = torch.tensor(values, dtype=torch.float64)
        write(
            file,
            Contents(
                manifest, tensors | {name: value.detach().cpu() for name, value in state.items()}
            ),
        )
        self._file = as_file(file).resolve()

    def _state(self) -> dict[str, Tensor]:
        """What training goes on from, whose shapes do not change."""
        state = {f"good.{name}": value for name, value in self._good.items()}
        if self._average is not None:
            state |= {f"trained.{name}": value for name, value in self.network.state_dict().items()}
        if self.free_energy is not None:
            state |= {
                f"free_energy.{name}": value
                for name, value in self.free_energy.state_dict().items()
            }
        return state | {
            "buffer": self._buffer,
            "lowest": torch.tensor(self._lowest, dtype=torch.float64),
        }

    def resume(self, file: str | Path) -> None:
        """Take up training where :meth:`save` left it; on a CPU, with the same versions, bit for
        bit.

        Args:
            file: of a trainer with the same sampler, but for the network's parameters, and the same
                configuration.

        Raises:
            ValueError: a file that :func:`leaps_triton.load` refuses, one without training, or one
                with other settings, each of which it names.

        Example:
            >>> import tempfile, leaps_triton as lt
            >>> path = lt.AnnealingPath(lt.Ising((4, 4), beta=0.3))
            >>> network = lt.HollowConv(path.model, kernel_size=3, channels=4, width=8, modes=0)
            >>> sampler = lt.Sampler(path, network, integrator=lt.Jump(5), device="cpu")
            >>> trainer = lt.Trainer(
            ...     sampler, lt.TrainingConfig(steps=10, walkers=8, buffer=16, rollout=16)
            ... )
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     history = trainer.run(5, checkpoint=f"{folder}/ising.safetensors")
            ...     trainer.resume(f"{folder}/ising.safetensors")
            >>> trainer.step
            5
        """
        manifest, tensors = read(file)
        name, training = as_file(file).name, manifest.get("training")
        if training is None:
            raise ValueError(
                f"{name} holds a sampler without the state of its training; give a file of Trainer.save"
            )

        def settings(contents: Contents, config: object) -> Contents:
            fixed = {
                k: v for k, v in contents.tensors.items() if k.startswith(("model.", "integrator."))
            }
            return Contents({**contents.manifest, "training": config}, fixed)

        mine = describe(self.sampler)
        try:
            # Settings that a file does not know had their defaults.
            config, step = (
                {**asdict(TrainingConfig()), **training["config"]},
                as_integer("step", training["step"], 0),
            )
            found = differences(
                settings(Contents(manifest, tensors), config), settings(mine, asdict(self.config))
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(
                f"{name} does not describe a training ({type(error).__name__}: {error})"
            ) from None
        if found:
            raise ValueError(
                f"{name} was made with other settings: {'; '.join(found)}; use the same, or another file"
            )

        def part(prefix: str) -> dict[str, Tensor]:
            return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in part("optimizer.").items():
            index, _, what = key.partition(".")
            moments.setdefault(int(index) if index.isdecimal() else -1, {})[what] = value
        history = {k: value.tolist() for k, value in part("history.").items()}
        damage = self._damage(mine.tensors | self._state(), tensors, moments, history)
        if damage:
            raise ValueError(
                f"{name} does not describe the state of this training: {damage}; use another file"
            )
        self._file = as_file(file).resolve()

        device = self.sampler.device
        self.network.load_state_dict(part("network." if self._average is None else "trained."))
        if self._average is not None:
            self._average.load_state_dict(part("network."))
        if self.free_energy is not None:
            self.free_energy.load_state_dict(part("free_energy."))
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": moments})
        self._good = {k: value.to(device) for k, value in part("good.").items()}
        self._buffer, self._lowest = tensors["buffer"].to(device), float(tensors["lowest"])
        history["evaluation_step"] = [int(step) for step in history["evaluation_step"]]
        self.history, self.step = TrainingHistory(**history), step

    def _damage(
        self,
        mine: dict[str, Tensor],
        tensors: dict[str, Tensor],
        moments: dict[int, dict[str, Tensor]],
        history: dict[str, list[float]],
    ) -> str:
        """What of a file's state cannot be this trainer's; empty if all can."""
        for name, value in mine.items():
            other = tensors.get(name)
            if other is None or other.shape != value.shape or other.dtype != value.dtype:
                return f"{name} is missing or has another shape"
        parameters = [p for group in self._optimizer.param_groups for p in group["params"]]
        names = {"step", "exp_avg", "exp_avg_sq"}
        for index in moments.keys() | (set(range(len(parameters))) if moments else set()):
            each = moments.get(index, {})
            own = parameters[index].shape if 0 <= index < len(parameters) else None
            if each.keys() != names or any(each[k].shape != own for k in names - {"step"}):
                return f"optimizer.{index} is missing or has another shape"
        if history.keys() != TrainingHistory().as_dict().keys() or not all(
            isinstance(v, list) for v in history.values()
        ):
            return "its history is not one"
        x, q = tensors["buffer"], self.sampler.path.model.q
        if not x.is_floating_point() and not bool(((x >= 0) & (x < q)).all()):
            return f"buffer has values outside 0 to {q - 1}"
        return ""

    def _words(self, use: int, count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return philox(self.config.seed, Stream.TRAIN, torch.arange(count), self.step, use, 0)

    def _seed(self, use: int) -> int:
        return int(self._words(use, 1)[0])

    def _snapshot(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.network.state_dict().items()}

    @torch.no_grad()
    def _roll_out(self) -> None:
        """Replace part of the buffer by walkers of the current sampler, or of sweeps alone before
        any training.
        """
        first = self.step == 0
        count = self.config.buffer if first else self.config.rollout
        sampler = Sampler(
            self.sampler.path,
            None if first else self.network,
            integrator=self.sampler.integrator,
            mcmc=HeatBath(self.config.sweeps * (5 if first else 1)),
            device=self.sampler.device,
        )
        offset = (self.step // self.config.rollout_every) * self.config.rollout
        rows = (torch.arange(count, device=sampler.device) + offset) % self.config.buffer

        def keep(state: State, entered: Tensor) -> None:
            interval = int(state.interval[0])
            if interval < len(self._buffer):
                self._buffer[interval, rows] = state.configurations

        sampler.run_block(torch.arange(count), self._seed(_ROLLOUT_SEED), keep)

    def _batch(self) -> tuple[Tensor, Tensor]:
        """Configurations ``(times, walkers, *shape)`` and their times, after sweeps that the buffer
        keeps.
        """
        config, device = self.config, self.sampler.device
        words = self._words(_TIMES, config.times)
        stratum = torch.arange(config.times, dtype=torch.float64)
        # Segments end by 1; whole paths begin at 0, where sweeps draw from the start itself.
        last = 1.0 if config.loss == "physics_informed" else 1.0 - config.segment / config.leaps
        t = last * (stratum + uniform64(words[0], words[1])) / config.times
        interval = torch.bucketize(t, self.sampler.integrator.times[1:-1])
        word = self._words(_ROWS, config.times * config.walkers)[0]
        rows = (word * config.buffer >> 32).view(config.times, config.walkers)
        where = (interval.unsqueeze(1).to(device), rows.to(device))
        walkers = torch.arange(rows.numel(), device=device)
        x = self._buffer[where].flatten(0, 1)
        per_walker = t.repeat_interleave(config.walkers)
        kernel = HeatBath(config.sweeps)
        chain = kernel.init(x, walkers)._replace(sweep=self.step * config.sweeps)
        chain, _ = kernel.step(chain, self.sampler.path, per_walker, config.seed)
        x = chain.configurations.view(config.times, config.walkers, *x.shape[1:])
        self._buffer[where] = x
        return x, t.to(device)

    def _learning_rate(self) -> float:
        config = self.config
        rise = min(1.0, (self.step + 1) / max(1, config.warmup))
        fall = 0.5 * (1.0 + math.cos(math.pi * self.step / config.steps))
        return config.learning_rate * rise * fall

    def _train(self) -> float:
        x, t = self._batch()
        rate = self._learning_rate()
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        with exact_convolutions():
            loss = self._loss(x, t)
            self._optimizer.zero_grad(set_to_none=True)
            loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip)
        value = loss.item()
        self._guard(value, float(norm))
        self._optimizer.step()
        self._follow()
        self.history.loss.append(value)
        self.history.gradient_norm.append(float(norm))
        self.history.learning_rate.append(rate)
        self.step += 1
        return value

    def _loss(self, x: Tensor, t: Tensor) -> Tensor:
        path, config, integrator = self.sampler.path, self.config, self.sampler.integrator
        huber = config.huber_delta if self.step < config.huber_steps else None
        if config.loss == "physics_informed":
            baseline = None if self.free_energy is None else self.free_energy.rate(t)
            return physics_informed(path, self.network, x, t, baseline, huber)
        # The floor that the sampler itself leaps with, if it does.
        leap = integrator if isinstance(integrator, TauLeap) and integrator.exact else TauLeap()
        grid = t.unsqueeze(1) + torch.arange(config.segment + 1, device=t.device) / config.leaps
        trajectories = self._leap(x, grid, leap)
        free_energy = None if self.free_energy is None else self.free_energy(grid)
        loss = log_variance if config.loss == "log_variance" else squared_residual
        return loss(
            path, self.network, trajectories, grid, free_energy, huber, leap.floor, leap.reversible
        )

    @torch.no_grad()
    def _leap(self, x: Tensor, grid: Tensor, leap: TauLeap) -> Tensor:
        """``(times, steps + 1, walkers, *shape)``: walkers ``x`` and where the current rates take
        them.
        """
        times, walkers = x.shape[:2]
        index = torch.arange(times * walkers, device=x.device)
        points = [x.flatten(0, 1)]
        for count in range(self.config.segment):
            here, there = (grid[:, i].repeat_interleave(walkers) for i in (count, count + 1))
            rates = evaluate(
                self.sampler.path, self.network, points[-1], here, leap.reversible, leap.floor
            ).rates
            event = torch.full_like(index, self.step * self.config.segment + count)
            points.append(
                tau_leap_step(
                    points[-1], rates, there - here, index, event, self.config.seed
                ).configurations
            )
        return torch.stack([point.view_as(x) for point in points], dim=1)

    @torch.no_grad()
    def _follow(self) -> None:
        """The average takes its part of the step; what is no parameter of the network is copied."""
        if self._average is None:
            return
        # Early on the average would otherwise be one of the initial parameters.
        decay = min(self.config.ema, (1.0 + self.step) / (10.0 + self.step))
        for parameter, new in zip(
            self._average.parameters(), self.network.parameters(), strict=True
        ):
            parameter.lerp_(new, 1.0 - decay)
        for buffer, value in zip(self._average.buffers(), self.network.buffers(), strict=True):
            buffer.copy_(value)

    def _guard(self, loss: float, norm: float) -> None:
        """Stop before a bad step is taken, with the last good parameters."""
        recent = [*self.history.loss[-19:], loss]
        mean = sum(recent) / len(recent)
        finite = math.isfinite(loss) and math.isfinite(norm)
        if finite and mean <= self.config.divergence * self._lowest:
            if len(recent) == 20 and mean < self._lowest:
                self._lowest = mean
            if self.step % 50 == 0:
                self._good = self._snapshot()
            return
        for network in filter(None, (self.network, self._average)):
            network.load_state_dict(self._good)
        what = (
            f"mean loss {mean:.3g}, {mean / self._lowest:.3g} times its lowest"
            if finite
            else f"loss {loss}, gradient {norm}"
        )
        raise TrainingDiverged(
            f"training diverged at step {self.step} ({what}); lower learning_rate (now {self.config.learning_rate:g}) "
            f"or clip (now {self.config.clip:g}), or raise warmup (now {self.config.warmup}). The transport holds its "
            f"last good parameters, and the exception's history all steps before",
            self.history,
        )

    def _evaluate(self) -> None:
        ensemble = self.sampler.sample(
            self.config.evaluation_walkers, seed=self._seed(_EVALUATION_SEED)
        )
        self.history.evaluation_step.append(self.step)
        self.history.evaluation_ess.append(ensemble.ess)
        self.history.evaluation_log_weight_variance.append(ensemble.log_weight_variance)
        self.history.evaluation_log_z.append(ensemble.log_z)
        self.history.evaluation_log_z_error.append(ensemble.log_z_error)
        _log.info(
            "step %d: ESS %.3f, log Z %.4f ± %.4f",
            self.step,
            ensemble.ess,
            ensemble.log_z,
            ensemble.log_z_error,
        )
