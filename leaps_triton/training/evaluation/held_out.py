"""What training is judged by: the spread of residuals on samples of ``ρ_t`` never trained on."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ...integrators.rates import Transport
from ...paths.annealing import AnnealingPath
from ...samplers.sampler import Sampler
from ..config import TrainingConfig
from ..data.buffer import Batch
from ..data.draws import Draws, Use
from ..data.equilibrated import annealing_path
from ..data.family import Family
from ..data.times import TimeDensity, held_out_times, middles
from ..equilibrium import equilibrate
from ..history import TrainingHistory
from ..residuals import residual_parts

__all__ = [
    "HeldOut",
    "Judgement",
    "averaged",
    "held_out_of",
    "row_weights",
    "scales",
    "time_density",
]

_LEAST = 1e-3
"""Variances below this share of the largest count as such a share of it."""


class Judgement(NamedTuple):
    """What held-out samples say of a transport, one entry per time."""

    t: list[float]
    variance: list[float]
    """``v(t) = Var[ξ_t]`` over ``ρ_t``"""
    corrector: list[float]
    """Mean of κ over ``ρ_t``, of a drift that of ``∇·b + b·∇ log ρ̃_t``, which vanishes for every
    transport if the samples are of ``ρ_t``"""
    corrector_error: list[float]
    """Standard error of that mean"""

    @property
    def integral(self) -> float:
        """Return ``∫ v dt`` by the trapezoidal rule."""
        t = torch.tensor(self.t, dtype=torch.float64)
        return float(torch.trapezoid(torch.tensor(self.variance, dtype=torch.float64), t))

    @property
    def pull(self) -> float:
        """Return the mean of κ in standard errors, where that is largest."""
        pulls = [0.0]
        for mean, error in zip(self.corrector, self.corrector_error, strict=True):
            # Without rates κ is 0 at every sample.
            if error > 0.0:
                pulls.append(abs(mean) / error)
        return max(pulls)


def averaged(judged: Sequence[Judgement]) -> Judgement:
    """Return the mean of what held-out samples of several models say, all at the same times."""
    if len(judged) == 1:
        return judged[0]
    count = len(judged)
    wide = torch.float64
    rows = torch.tensor([[each.variance, each.corrector] for each in judged], dtype=wide)
    errors = torch.tensor([each.corrector_error for each in judged], dtype=wide)
    variance, corrector = rows.mean(0).tolist()
    # Samples of different models are independent.
    error = errors.square().sum(0).sqrt() / count
    return Judgement(judged[0].t, variance, corrector, error.tolist())


class HeldOut:
    """Samples of ``ρ_t`` at several times, which nothing is trained on.

    They follow from the training's seed alone, and are made where they are first used: a file need
    not hold them.

    Args:
        path: the annealing path.
        config: the settings: samples at each time, and how they are made.
        device: where they are.
        number: of the model in a family: samples of each have random numbers of their own.
    """

    def __init__(
        self,
        path: AnnealingPath,
        config: TrainingConfig,
        device: torch.device,
        number: int = 0,
    ) -> None:
        self._path = path
        self._number = number
        self._config = config
        self._device = device
        self._made: Batch | None = None

    @torch.no_grad()
    def judge(self, transport: Transport) -> Judgement:
        """Return what the samples say of a transport."""
        samples = self._samples()
        times = samples.t.tolist()
        variances: list[float] = []
        means: list[float] = []
        errors: list[float] = []
        for t, x in zip(samples.t, samples.configurations, strict=True):
            here = t.expand(len(x))
            found = residual_parts(self._path, transport, x, here)
            variances.append(float(found.total.var()))
            means.append(float(found.corrector.mean()))
            errors.append(float(found.corrector.std()) / len(x) ** 0.5)
        return Judgement(times, variances, means, errors)

    def _samples(self) -> Batch:
        """Return the samples, made by a seed that no other part of training has."""
        if self._made is None:
            config = self._config
            seed = Draws(config.seed, 0).own_seed(Use.HELD_OUT_SEED, self._number)
            t = held_out_times(config.held_out_times)
            # At t = 0 the start itself is sampled.
            walkers = torch.arange(config.held_out)
            first = self._path.start.sample(walkers, seed).to(self._device)
            rest = self._equilibrium(t[1:], seed)
            configurations = torch.cat([first.unsqueeze(0), rest])
            self._made = Batch(configurations, t.to(self._device))
        return self._made

    def _equilibrium(self, t: Tensor, seed: int) -> Tensor:
        """Return samples at increasing times, ``(times, walkers, *shape)``."""
        config = self._config
        steps = t
        if config.refresh != "exact":
            # Chains that follow the path need small steps of t.
            steps = torch.cat([middles(config.bins), t]).unique()
        made = equilibrate(
            self._path, steps, config.held_out, config.refresh, seed, device=self._device
        )
        return made.configurations[torch.searchsorted(steps, t)]


def held_out_of(sampler: Sampler, config: TrainingConfig, family: Family) -> list[HeldOut]:
    """Return the held-out samples of every model, the sampler's first; none where none are wanted.

    Raises:
        ValueError: another path than an AnnealingPath.
    """
    if not config.held_out:
        return []
    found = [HeldOut(annealing_path(sampler.path), config, sampler.device)]
    for number, path in enumerate(family.others, 1):
        # A family has no other paths.
        assert isinstance(path, AnnealingPath)
        found.append(HeldOut(path, config, sampler.device, number))
    return found


def time_density(history: TrainingHistory, power: float) -> TimeDensity | None:
    """Return how densely a batch looks at times, by the last evaluation on held-out samples.

    Args:
        history: with such an evaluation.
        power: of ``v(t)``; at 0 nothing measured counts, and the result is None.
    """
    if not power:
        return None
    t = torch.tensor(history.held_out_t, dtype=torch.float64)
    variance = torch.tensor(history.held_out_variance[-1], dtype=torch.float64)
    return TimeDensity(t, variance**power)


def row_weights(t: Tensor, history: TrainingHistory, power: float) -> Tensor | None:
    """Return what residuals at times are multiplied by, by the last evaluation on held-out samples.

    Args:
        t: times, float64 ``(times,)``.
        history: with such an evaluation.
        power: of :func:`scales`; at 0 there are no weights, and the result is None.
    """
    if not power:
        return None
    return scales(t, history.held_out_t, history.held_out_variance[-1], power)


def scales(t: Tensor, times: list[float], variance: list[float], power: float) -> Tensor:
    """Return ``(v(t) / v(1))^(-power/2)``, float64 ``(times,)``.

    Args:
        t: times, float64 ``(times,)``.
        times: those at which v is known, increasing.
        variance: v there; between them its logarithm is interpolated.
        power: 0 for 1 everywhere.
    """
    knots = torch.tensor(times, dtype=torch.float64, device=t.device)
    values = torch.tensor(variance, dtype=torch.float64, device=t.device)
    # Where nothing is left to train a weight would be infinite.
    floor = float(values.max()) * _LEAST
    logs = values.clamp(min=max(floor, torch.finfo(torch.float64).tiny)).log()
    right = torch.searchsorted(knots, t).clamp(1, len(knots) - 1)
    left = right - 1
    share = ((t - knots[left]) / (knots[right] - knots[left])).clamp(0.0, 1.0)
    interpolated = logs[left] + share * (logs[right] - logs[left])
    return torch.exp(-0.5 * power * (interpolated - logs[-1]))
