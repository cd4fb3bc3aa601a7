"""What a file of a run holds, as a result of a simulation like those in memory."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from ..estimators.base import Measurable, Result
from ..estimators.jackknife import Estimate, weighted_estimate
from ..estimators.weights import effective_sample_size, log_mean_exp, log_mean_exp_error
from ..kernels.checks import expect
from ..mcmc.chain import Chain
from ..models.base import Model
from ..observables.base import entered, function_of, is_of_pairs
from ..samplers.sampler import Sampler

__all__ = ["ChainRun", "Moving", "Run", "walk"]


class Moving(NamedTuple):
    """Walkers on their way, to be drawn one after another."""

    captions: list[str]
    """Where they are, in a few words per frame"""
    frames: Tensor
    """Configurations, ``(frames, walkers, *shape)``"""


@dataclass(frozen=True, repr=False)
class Run(Result):
    """The finished blocks of a file.

    Attributes:
        manifest: sampler, settings of the run (``manifest["run"]``), versions and commit; plain
            JSON.
        sampler: what the walkers were made with.
        log_weights: ``A``, float64 ``(walkers,)``.
        observables: name → values ``(walkers,)`` or ``(walkers, k)``.
        configurations: ``(walkers, *shape)``, or None if they were not stored.
        evaluations: the same as in :class:`~leaps_triton.WeightedEnsemble`.
    """

    manifest: dict[str, Any]
    sampler: Sampler
    log_weights: Tensor
    observables: dict[str, Tensor]
    configurations: Tensor | None
    evaluations: float

    weighted: ClassVar[bool] = True

    @property
    def model(self) -> Model:
        """Return the target."""
        return self.sampler.path.model

    @property
    def complete(self) -> bool:
        """Return whether all walkers that were asked for are there."""
        return len(self.log_weights) == int(self.manifest["run"]["walkers"])

    @property
    def progress(self) -> str:
        """Return how much of what was asked for is there, in words."""
        return f"{len(self.log_weights)} of {self.manifest['run']['walkers']} walkers"

    @property
    def log_z_start(self) -> float:
        """Return ``log Z_0`` of the start of the path."""
        return float(self.sampler.path.start.log_z)

    @property
    def correlated(self) -> int:
        """Return how many consecutive walkers are correlated: 1, a file has independent ones."""
        return 1

    @property
    def log_z(self) -> float:
        """Return the estimate of ``log Z`` of the model, absolute."""
        return self.log_z_start + float(log_mean_exp(self.log_weights))

    @property
    def log_z_error(self) -> float:
        """Return the jackknife error of ``log_z`` over walkers."""
        return float(log_mean_exp_error(self.log_weights))

    @property
    def ess(self) -> float:
        """Return the effective sample size as a fraction of the walkers, in (0, 1]."""
        return float(effective_sample_size(self.log_weights))

    @property
    def log_weight_variance(self) -> float:
        """Return ``Var[A]``."""
        return float(self.log_weights.var())

    @property
    def values(self) -> dict[str, Tensor]:
        """Return what was measured, another name of ``observables``."""
        return self.observables

    @property
    def measured(self) -> dict[str, Measurable]:
        """Return the observables that were measured, by name."""
        known = entered()
        return {name: known[name] for name in self.observables}

    @property
    def names(self) -> list[str]:
        """Return the names of observables that were measured and that are one number each."""
        measured = self.measured
        found = []
        for name, values in self.observables.items():
            if values.ndim == 1 or function_of(measured[name]) is not None:
                found.append(name)
        return found

    @property
    def drawn(self) -> Tensor | None:
        """Return the configurations, if they were stored."""
        return self.configurations

    @property
    def has_errors(self) -> bool:
        """Return whether there are enough walkers for an error bar at all."""
        return len(self.log_weights) > 1

    @property
    def shortage(self) -> str:
        """Return why error bars cannot be trusted; empty if they can."""
        if not self.has_errors:
            return "fewer than two walkers"
        effective = self.ess * len(self.log_weights)
        if effective < 2.0:
            return f"one walker has nearly all the weight, {effective:.2g} effective ones"
        return ""

    @property
    def diagnostics(self) -> dict[str, float]:
        """Return log Z and what tells of the weights."""
        return {
            "ess": self.ess,
            "log_weight_variance": self.log_weight_variance,
            "log_z": self.log_z,
            "log_z_error": self.log_z_error,
            "evaluations": self.evaluations,
        }

    def summary(self) -> dict[str, str]:
        """Return what a person wants to see first."""
        found = {"walkers": self.progress}
        if self.has_errors:
            found["log_z"] = str(Estimate(self.log_z, self.log_z_error))
            found["ess"] = f"{self.ess:.3g}"
        return found

    def estimate(
        self, observable: Measurable | str, function: Callable[[Tensor], Tensor] | None = None
    ) -> Estimate:
        """Return the mean of an observable, or a function of its means, with its jackknife error.

        Args:
            observable: one that was stored, or its name; any other function where the
                configurations were stored.
            function: of the means ``(..., k)``; None for the one the observable carries, or the
                plain mean.

        Raises:
            ValueError: If the observable was not stored, or there is no number to estimate, as in
                :func:`~leaps_triton.estimators.weighted_estimate`.
        """
        name = self.name_of(observable)
        if name is not None:
            return self._estimate(self.measured[name], self.observables[name], function)
        stored = ", ".join(self.observables)
        if isinstance(observable, str):
            raise ValueError(f"observable must be one of {stored}, got {observable!r}")
        if self.configurations is None:
            raise ValueError(
                f"observable must be one of {stored}, since no configurations are stored, got "
                f"{observable!r}"
            )
        wanted = "of single walkers, since those of a pair have weights of their own"
        expect(not is_of_pairs(observable), "observable", wanted, observable)
        values = observable(self.configurations, self.model)
        return self._estimate(observable, values, function)

    def _estimate(
        self,
        observable: Measurable,
        values: Tensor,
        function: Callable[[Tensor], Tensor] | None,
    ) -> Estimate:
        """Return the estimate from values of an observable."""
        if function is None:
            function = function_of(observable)
        return weighted_estimate(values, self.log_weights, function)

    def on_the_way(self, walkers: int, frames: int) -> Moving | None:
        """Return the first walkers on their way along the path, drawn again from their seed.

        Args:
            walkers: their number.
            frames: at most so many.
        """
        sampler = self.sampler
        times, pictures = walk(sampler, self.manifest["run"]["seed"], walkers, frames)
        captions = [f"t = {t:.2f}, β = {float(sampler.path.beta(t)):.3f}" for t in times]
        return Moving(captions, pictures)


@dataclass(frozen=True, repr=False)
class ChainRun(Chain):
    """The finished draws of a file, as a :class:`~leaps_triton.Chain`.

    Attributes:
        manifest: model, move, settings of the run (``manifest["chain"]``), versions and commit;
            plain JSON.
    """

    manifest: dict[str, Any]

    @property
    def complete(self) -> bool:
        """Return whether all draws that were asked for are there."""
        return self.sweeps == int(self.manifest["chain"]["sweeps"])

    @property
    def progress(self) -> str:
        """Return how much of what was asked for is there, in words."""
        asked = self.manifest["chain"]["sweeps"] // self.thin
        return f"chain, {self.draws} of {asked} draws of {self.walkers} walkers"

    def on_the_way(self, walkers: int, frames: int) -> Moving | None:
        """Return the draws of the first walkers; None if their configurations were not stored.

        Args:
            walkers: their number.
            frames: at most so many.
        """
        if self.kept is None:
            return None
        stride = -(-self.draws // frames)
        beta = f"β = {self.model.beta:.4g}"
        captions = []
        for draw in range(0, self.draws, stride):
            step = self.burn_in + (draw + 1) * self.thin
            captions.append(f"{beta}, step {step}")
        return Moving(captions, self.kept[:walkers, ::stride].transpose(0, 1))


def walk(sampler: Sampler, seed: int, walkers: int, most: int) -> tuple[list[float], Tensor]:
    """Return walkers on entering every interval of a sampler and at the end.

    Args:
        sampler: what moves them.
        seed: theirs.
        walkers: their number.
        most: frames at most; some are left out where there are more intervals.

    Returns:
        Times, and configurations ``(frames, walkers, *shape)``.
    """
    indices = torch.arange(walkers)
    count = sampler.integrator.intervals + 1
    start = sampler.path.start.sample(indices, seed)
    frames = torch.zeros(count, *start.shape, dtype=start.dtype)

    def observe(state: Any, entered: Tensor) -> None:
        rows = entered.nonzero().squeeze(1)
        intervals = state.interval[rows].cpu()
        frames[intervals, rows.cpu()] = state.configurations[rows].cpu()

    with torch.no_grad():
        sampler.run_block(indices, seed, observe)
    frames[0] = start.cpu()
    stride = -(-count // most)
    chosen = list(range(0, count, stride))
    times = sampler.integrator.times.tolist()
    return [times[index] for index in chosen], frames[chosen]
