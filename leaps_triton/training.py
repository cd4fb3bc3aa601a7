"""Training a transport in place."""

import logging
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from .checkpoint import Contents, describe, differences, read, write
from .ctmc import State
from .kernels import Stream, philox, uniform64
from .mcmc import HeatBath
from .models import as_seed
from .networks import exact_convolutions
from .objectives import physics_informed
from .sampler import Sampler

__all__ = ["Trainer", "TrainingConfig", "TrainingDiverged", "TrainingHistory"]

_log = logging.getLogger("leaps_triton")

# Uses of the TRAIN stream: the "draw" word of the counter.
_TIMES, _ROWS, _ROLLOUT_SEED, _EVALUATION_SEED = range(4)


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of :class:`Trainer`.

    Attributes
        steps: optimiser steps in total.
        times: times a batch, stratified over [0, 1].
        walkers: configurations at each time.
        learning_rate: of Adam (β₁ = 0.9, β₂ = 0.99) at its peak; it rises over ``warmup`` steps and falls to 0 as a
            cosine.
        warmup: steps.
        clip: largest norm of the gradient.
        buffer: configurations kept for each interval of the sampler.
        rollout_every: steps between rollouts of the current sampler; each replaces ``rollout`` of the buffer.
        rollout: walkers a rollout.
        sweeps: heat-bath sweeps that refresh the configurations, at every boundary of a rollout and at every use.
        evaluate_every: steps between evaluations with exact weights on fresh seeds; 0 for none.
        evaluation_walkers: of each evaluation.
        divergence: training stops if the mean loss of 20 steps exceeds its lowest value by this factor.
        seed: of everything random in training.
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
    divergence: float = 100.0
    seed: int = 0

    def __post_init__(self) -> None:
        lowest = {"steps": 1, "times": 1, "walkers": 2, "warmup": 0, "buffer": 1, "rollout_every": 1, "rollout": 1}
        lowest |= {"sweeps": 1, "evaluate_every": 0, "evaluation_walkers": 2}
        for name, low in lowest.items():
            value = getattr(self, name)
            if not isinstance(value, int) or value < low:
                raise ValueError(f"{name} must be an integer of at least {low}, got {value!r}")
        for name in ("learning_rate", "clip", "divergence"):
            value = getattr(self, name)
            if not 0.0 < value < math.inf:
                raise ValueError(f"{name} must be a positive number, got {value!r}")
        if self.rollout > self.buffer:
            raise ValueError(f"rollout must be at most the buffer of {self.buffer}, got {self.rollout}")
        as_seed(self.seed)


@dataclass
class TrainingHistory:
    """What happened in training; ``evaluation_*`` have one entry an evaluation, the others one a step."""

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

    Attributes
        history: everything up to the failure.
    """

    def __init__(self, message: str, history: TrainingHistory) -> None:
        super().__init__(message)
        self.history = history


class Trainer:
    """Trains ``sampler.transport`` in place on :func:`~leaps_triton.objectives.physics_informed`.

    The data are configurations of a replay buffer with one part for each interval of the sampler's integrator, filled
    by rollouts with heat-bath sweeps at the boundaries (the first rollout has sweeps only) and refreshed by sweeps at
    every use. All randomness comes from the configuration's seed, so a run can be repeated.

    Arguments
        sampler: its transport must be an ``nn.Module``.
        config: settings.

    Raises
        ValueError: a transport that cannot be trained.

    Example
        >>> import leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Ising((4, 4), beta=0.3))
        >>> network = lt.HollowConv(path.model, kernel_size=3, channels=4, width=8, modes=0)
        >>> sampler = lt.Sampler(path, network, integrator=lt.Jump(5), device="cpu")
        >>> config = lt.TrainingConfig(steps=10, times=5, walkers=8, buffer=16, rollout=16)
        >>> len(lt.Trainer(sampler, config).run().loss)
        10
    """

    def __init__(self, sampler: Sampler, config: TrainingConfig | None = None) -> None:
        if not isinstance(sampler.transport, nn.Module) or not any(True for _ in sampler.transport.parameters()):
            raise ValueError("the sampler's transport must be an nn.Module with parameters to be trained")
        self.sampler, self.config, self.network = sampler, config or TrainingConfig(), sampler.transport
        self.history = TrainingHistory()
        self.step = 0
        self._optimizer = torch.optim.Adam(self.network.parameters(), lr=self.config.learning_rate, betas=(0.9, 0.99))
        intervals, shape = sampler.integrator.intervals, sampler.path.model.lattice.shape
        self._buffer = torch.zeros(
            intervals, self.config.buffer, *shape, dtype=sampler.path.model.dtype, device=sampler.device
        )
        self._lowest = math.inf
        self._good = self._snapshot()
        self._stopping = False

    def run(
        self, steps: int | None = None, progress: bool = False, checkpoint: str | Path | None = None, every: int = 100
    ) -> TrainingHistory:
        """Train up to ``steps`` in total (None: all of the configuration's); called again, it goes on from there.

        Arguments
            steps: in total.
            progress: show a progress bar on a terminal.
            checkpoint: file for :meth:`save`, written at the beginning, at every multiple of ``every``, and at the end.
            every: steps.

        Raises
            TrainingDiverged: it names the step and the setting to change; parameters are the last good ones.
        """
        if not isinstance(every, int) or every < 1:
            raise ValueError(f"every must be an integer of at least 1, got {every!r}")
        self._stopping = False
        if checkpoint is not None:
            # Before any work: a file that cannot be written is found out now.
            self.save(checkpoint)
        last = self.config.steps if steps is None else min(steps, self.config.steps)
        with tqdm(
            total=last, initial=self.step, desc="training", unit="step", disable=None if progress else True
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
                if checkpoint is not None and (self.step % every == 0 or self.step == last or self._stopping):
                    self.save(checkpoint)
        return self.history

    def stop(self) -> None:
        """Let :meth:`run` return after the step it is in, checkpoint written; for signal handlers and threads."""
        self._stopping = True

    def save(self, file: str | Path) -> None:
        """Store the sampler and all that :meth:`run` goes on from; :func:`leaps_triton.load` reads the sampler.

        Raises
            ValueError: a part of the sampler that cannot be stored.
        """
        manifest, tensors = describe(self.sampler)
        manifest["training"] = {"config": asdict(self.config), "step": self.step}
        state = {f"good.{name}": value for name, value in self._good.items()}
        for index, moments in self._optimizer.state_dict()["state"].items():
            state |= {f"optimizer.{index}.{name}": value for name, value in moments.items()}
        for name, values in self.history.as_dict().items():
            state[f"history.{name}"] = torch.tensor(values, dtype=torch.float64)
        state |= {"buffer": self._buffer, "lowest": torch.tensor(self._lowest, dtype=torch.float64)}
        write(file, Contents(manifest, tensors | {name: value.cpu() for name, value in state.items()}))

    def resume(self, file: str | Path) -> None:
        """Take up training where :meth:`save` left it; on a CPU, with the same versions, bit for bit.

        Arguments
            file: of a trainer with the same sampler, but for the network's parameters, and the same configuration.

        Raises
            ValueError: a file that :func:`leaps_triton.load` refuses, one without training, or one with other settings,
                each of which it names.

        Example
            >>> import tempfile, leaps_triton as lt
            >>> path = lt.AnnealingPath(lt.Ising((4, 4), beta=0.3))
            >>> network = lt.HollowConv(path.model, kernel_size=3, channels=4, width=8, modes=0)
            >>> sampler = lt.Sampler(path, network, integrator=lt.Jump(5), device="cpu")
            >>> trainer = lt.Trainer(sampler, lt.TrainingConfig(steps=10, walkers=8, buffer=16, rollout=16))
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     history = trainer.run(5, checkpoint=f"{folder}/ising.safetensors")
            ...     trainer.resume(f"{folder}/ising.safetensors")
            >>> trainer.step
            5
        """
        manifest, tensors = read(file)
        name, training = Path(file).name, manifest.get("training")
        if training is None:
            raise ValueError(f"{name} holds a sampler without the state of its training; give a file of Trainer.save")

        def settings(contents: Contents, config: object) -> Contents:
            fixed = {k: v for k, v in contents.tensors.items() if k.startswith(("model.", "integrator."))}
            return Contents({**contents.manifest, "training": config}, fixed)

        found = differences(
            settings(Contents(manifest, tensors), training["config"]),
            settings(describe(self.sampler), asdict(self.config)),
        )
        if found:
            raise ValueError(f"{name} was made with other settings: {'; '.join(found)}; use the same, or another file")

        def part(prefix: str) -> dict[str, Tensor]:
            return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

        device = self.sampler.device
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in part("optimizer.").items():
            index, _, what = key.partition(".")
            moments.setdefault(int(index), {})[what] = value
        self.network.load_state_dict(part("network."))
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": moments})
        self._good = {k: value.to(device) for k, value in part("good.").items()}
        self._buffer, self._lowest = tensors["buffer"].to(device), float(tensors["lowest"])
        history = {k: value.tolist() for k, value in part("history.").items()}
        history["evaluation_step"] = [int(step) for step in history["evaluation_step"]]
        self.history, self.step = TrainingHistory(**history), training["step"]

    def _words(self, use: int, count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return philox(self.config.seed, Stream.TRAIN, torch.arange(count), self.step, use, 0)

    def _seed(self, use: int) -> int:
        return int(self._words(use, 1)[0])

    def _snapshot(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.network.state_dict().items()}

    @torch.no_grad()
    def _roll_out(self) -> None:
        """Replace part of the buffer by walkers of the current sampler, or of sweeps alone before any training."""
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
        """Configurations ``(times, walkers, *shape)`` and their times, after sweeps that the buffer keeps."""
        config, device = self.config, self.sampler.device
        words = self._words(_TIMES, config.times)
        stratum = torch.arange(config.times, dtype=torch.float64)
        t = (stratum + uniform64(words[0], words[1])) / config.times
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
            loss = physics_informed(self.sampler.path, self.network, x, t)
            self._optimizer.zero_grad(set_to_none=True)
            loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip)
        value = loss.item()
        self._guard(value, float(norm))
        self._optimizer.step()
        self.history.loss.append(value)
        self.history.gradient_norm.append(float(norm))
        self.history.learning_rate.append(rate)
        self.step += 1
        return value

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
        self.network.load_state_dict(self._good)
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
        ensemble = self.sampler.sample(self.config.evaluation_walkers, seed=self._seed(_EVALUATION_SEED))
        self.history.evaluation_step.append(self.step)
        self.history.evaluation_ess.append(ensemble.ess)
        self.history.evaluation_log_weight_variance.append(ensemble.log_weight_variance)
        self.history.evaluation_log_z.append(ensemble.log_z)
        self.history.evaluation_log_z_error.append(ensemble.log_z_error)
        _log.info("step %d: ESS %.3f, log Z %.4f ± %.4f", self.step, ensemble.ess, ensemble.log_z, ensemble.log_z_error)
