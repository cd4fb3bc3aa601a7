"""Weighted walkers, and what they estimate."""

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from ..estimators.jackknife import Estimate, weighted_estimate
from ..estimators.weights import effective_sample_size, log_mean_exp, log_mean_exp_error
from ..kernels.checks import expect
from ..models.base import Model, Observable

__all__ = ["WeightedEnsemble"]


@dataclass(frozen=True)
class WeightedEnsemble:
    """Configurations and log-weights, such that weighted means are means under the model.

    Once a block has been resampled its walkers are relatives, and ``A`` holds the block's mean of
    all earlier stages: errors then come from a jackknife over blocks, and are NaN where there is
    one block only, since its walkers cannot tell how far another block would lie; ESS and
    ``Var[A]`` speak of the weights gathered since.

    Attributes:
        model: the target.
        configurations: ``(walkers, *shape)``.
        log_weights: ``A``, float64 ``(walkers,)``; ``log Z = log_z_start + log mean e^A``.
        log_z_start: ``log Z_0``.
        times: densities the walkers were weighed for on the way, ``τ_0, …, τ_{N-1}, 1``.
        ess_trace: ESS at each of them, before any resampling there, float64.
        resamplings: number of blocks that were resampled at each of them, int64.
        evaluations: all-move ``Δ`` evaluations a walker, on average, with one of the network each;
            a sweep counts as one.
        seed, block: what it was made with.
    """

    model: Model = field(repr=False)
    configurations: Tensor = field(repr=False)
    log_weights: Tensor = field(repr=False)
    log_z_start: float
    times: Tensor = field(repr=False)
    ess_trace: Tensor = field(repr=False)
    resamplings: Tensor = field(repr=False)
    evaluations: float
    seed: int
    block: int

    @property
    def correlated(self) -> int:
        """How many consecutive walkers are correlated with one another: 1, or the block after a
        resampling.
        """
        return self.block if bool(self.resamplings.any()) else 1

    @property
    def log_z(self) -> float:
        """Estimate of ``log Z`` of the model, absolute."""
        return self.log_z_start + float(log_mean_exp(self.log_weights))

    @property
    def log_z_error(self) -> float:
        """Its jackknife error over walkers, or over blocks after a resampling (NaN for one
        block).
        """
        return float(log_mean_exp_error(self.log_weights, self.correlated))

    @property
    def ess(self) -> float:
        """Effective sample size as a fraction of the walkers, in (0, 1]; of the weights since the
        last resampling.
        """
        return float(effective_sample_size(self.log_weights))

    @property
    def log_weight_variance(self) -> float:
        """``Var[A]``."""
        return float(self.log_weights.var())

    def estimate(
        self, observable: Observable, function: Callable[[Tensor], Tensor] | None = None
    ) -> Estimate:
        """Mean of an observable under the model, or a function of its means, with its jackknife
        error.

        After a resampling the jackknife is over blocks; the error is NaN for one block.

        Args:
            observable: ``f(configurations, model)`` → ``(walkers,)`` or ``(walkers, k)``.
            function: of the means ``(..., k)``; None for the one the observable carries, or the
                plain mean.
        """
        alone = callable(observable) and not getattr(observable, "pairs", False)
        expect(
            alone,
            "observable",
            "a function of configurations and model, and of single walkers",
            observable,
        )
        values = observable(self.configurations, self.model)
        function = getattr(observable, "function", None) if function is None else function
        return weighted_estimate(values, self.log_weights, function, self.correlated)
