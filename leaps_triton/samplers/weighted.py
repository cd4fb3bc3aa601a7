"""What weighted walkers say, whether they are in memory or from a file."""

import math
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from ..estimators.base import Measurable, Result
from ..estimators.jackknife import ALL_THE_WEIGHT, Estimate, weighted_estimate
from ..estimators.reweighting import Reweighted
from ..estimators.trust.cautions import Doubt, caution
from ..estimators.trust.tails import (
    independent,
    pareto_k,
    pareto_threshold,
    weight_doubts,
    why_no_k,
)
from ..estimators.weights import effective_sample_size, log_mean_exp, log_mean_exp_error
from ..kernels.checks import expect, nearest
from ..observables.base import check_function, entered, function_of, is_of_pairs
from ..observables.reweighted import reweighted

__all__ = ["Weighted"]


class Weighted(Result):
    """The base of results of weighted walkers.

    Attributes:
        log_weights: ``A``, float64 ``(walkers,)``; ``log Z = log_z_start + log mean e^A``.
        log_z_start: ``log Z_0`` of the start of the path.
        correlated: how many consecutive walkers are correlated with one another.
        evaluations: evaluations of all rates per walker, on average.
    """

    weighted: ClassVar[bool] = True

    # Subclasses hold these as fields, for which a property here would leave no room.
    if TYPE_CHECKING:

        @property
        def log_weights(self) -> Tensor:
            """``A``."""

        @property
        def log_z_start(self) -> float:
            """``log Z_0``."""

        @property
        def correlated(self) -> int:
            """How many consecutive walkers are correlated."""

        @property
        def evaluations(self) -> float:
            """Evaluations per walker."""

    @property
    def values(self) -> Mapping[str, Tensor]:
        """Return what was measured when the walkers were drawn; nothing in memory."""
        return {}

    @property
    def measured(self) -> Mapping[str, Measurable]:
        """Return the observables that were measured, by name."""
        known = entered()
        return {name: known[name] for name in self.values}

    @property
    def names(self) -> list[str]:
        """Return the names of observables that were measured and that are one number each."""
        measured = self.measured
        found = []
        for name, values in self.values.items():
            if values.ndim == 1 or function_of(measured[name]) is not None:
                found.append(name)
        return found

    @property
    def drawn(self) -> Tensor | None:
        """Return the configurations, if there are any."""
        return self.configurations

    @property
    def log_z(self) -> float:
        """Return the estimate of ``log Z`` of the model, absolute."""
        return self.log_z_start + float(log_mean_exp(self.log_weights))

    @property
    def log_z_error(self) -> float:
        """Return the jackknife error of ``log_z`` over walkers, or over correlated blocks.

        It is NaN where there is one block.

        Warns:
            LowEssWarning: few walkers carry the weight; once per ensemble.
        """
        self.warn_once()
        return self._log_z_error

    @property
    def _log_z_error(self) -> float:
        """Return the error without a warning, for tables that give one of their own."""
        return float(log_mean_exp_error(self.log_weights, self.correlated))

    def warn_once(self) -> bool:
        """Give the warnings of :attr:`doubts`, once per ensemble; return whether there are any."""
        return self._warned

    @cached_property
    def _warned(self) -> bool:
        # A cached property is found once, and so warns once however many estimates there are.
        doubts = self.doubts
        caution(doubts)
        return len(doubts) > 0

    @property
    def doubts(self) -> list[Doubt]:
        """Return why error bars may be too small: few walkers carry the weight.

        Fewer than 20 walkers are effective though there are twice as many, or one carries more than
        a tenth of the weight and more than five times its even share. After a resampling blocks of
        walkers are counted in place of walkers, by the sum of their weights: within a block they
        are relatives.
        """
        if not self.has_errors:
            return []
        return weight_doubts(self.log_weights, self.correlated)

    @property
    def pareto_k(self) -> float:
        """Return the shape of the tail of the weights, to be below ``pareto_threshold``.

        It is that of a generalised Pareto law (:func:`~leaps_triton.estimators.pareto_k`), after a
        resampling of the sums of blocks, which alone are independent. NaN where there are fewer
        than 25 of them, or the largest weights are alike.
        """
        return pareto_k(independent(self.log_weights, self.correlated))

    @property
    def pareto_threshold(self) -> float:
        """Return the ``pareto_k`` up to which so many independent walkers, or blocks, do."""
        return pareto_threshold(len(independent(self.log_weights, self.correlated)))

    @property
    def ess(self) -> float:
        """Return the effective sample size as a fraction of the walkers, in (0, 1].

        After a resampling it is that of the weights since.
        """
        return float(effective_sample_size(self.log_weights))

    @property
    def log_weight_variance(self) -> float:
        """Return ``Var[A]``."""
        return float(self.log_weights.var())

    @property
    def has_errors(self) -> bool:
        """Return whether there are enough walkers for an error bar at all."""
        # The jackknife leaves out one block at a time, so there must be two.
        return len(self.log_weights) > self.correlated

    @property
    def shortage(self) -> str:
        """Return why error bars cannot be trusted; empty if they can."""
        if not self.has_errors:
            return "one walker, or one block of correlated ones, has no error bar; draw more"
        for doubt in self.doubts:
            return doubt.reason
        return ""

    @property
    def diagnostics(self) -> dict[str, float]:
        """Return log Z and what tells of the weights."""
        return {
            "ess": self.ess,
            "log_weight_variance": self.log_weight_variance,
            "pareto_k": self.pareto_k,
            "pareto_threshold": self.pareto_threshold,
            "log_z": self.log_z,
            "log_z_error": self._log_z_error,
            "evaluations": self.evaluations,
        }

    @property
    def notes(self) -> dict[str, str]:
        """Return what numbers of a table mean after a resampling, and why some are NaN."""
        found = {}
        if self.correlated > 1:
            found["ess"] = "of the weights since the last resampling"
        missing = why_no_k(self.log_weights, self.correlated)
        if missing:
            found["pareto_k"] = missing
        if self.bias:
            found["bias"] = f"all are {self.bias}"
        if not self.has_errors:
            found["log_z"] = self.shortage
        elif math.isinf(self._log_z_error):
            found["log_z"] = ALL_THE_WEIGHT
        return found

    def summary(self) -> dict[str, str]:
        """Return what a person wants to see first."""
        found = {"walkers": str(len(self.log_weights))}
        if len(self.log_weights) > 1:
            found["log_z"] = str(Estimate(self.log_z, self._log_z_error))
            found["ess"] = f"{self.ess:.3g}"
        if self.bias:
            # The first words name what it comes from.
            found["weights"] = self.bias.partition(",")[0]
        return found

    def estimate(
        self, observable: Measurable | str, function: Callable[[Tensor], Tensor] | None = None
    ) -> Estimate:
        """Return the mean of an observable, or a function of its means, with its jackknife error.

        Where walkers are correlated the jackknife is over blocks of them; the error is NaN for one
        block.

        Args:
            observable: one that was measured, or its name; any other function, or name of one in
                :mod:`leaps_triton.observables`, where there are configurations.
            function: of the means ``(..., k)``; None for the one the observable carries, or the
                plain mean.

        Raises:
            ValueError: If the observable was not measured and there are no configurations, if it is
                one of pairs of walkers, or as in
                :func:`~leaps_triton.estimators.weighted_estimate`.

        Warns:
            LowEssWarning: few walkers carry the weight; once per ensemble.
        """
        found, _ = self.examined(observable, function)
        self.warn_once()
        return found

    def examined(
        self, observable: Measurable | str, function: Callable[[Tensor], Tensor] | None = None
    ) -> tuple[Estimate, list[Doubt]]:
        """Return what :meth:`estimate` does, without a warning; :attr:`doubts` are of all alike.

        Args:
            observable: the same as in :meth:`estimate`.
            function: the same as in :meth:`estimate`.

        Raises:
            ValueError: the same as in :meth:`estimate`.
        """
        name = self.name_of(observable)
        if name is None:
            of_one = self._measurable(observable)
            values = of_one(self.configurations, self.model)
        else:
            of_one = self.measured[name]
            values = self.values[name]
        if function is None:
            function = function_of(of_one)
        return weighted_estimate(values, self.log_weights, function, self.correlated), []

    def reweight(
        self,
        observable: Measurable | str,
        function: Callable[[Tensor], Tensor] | None = None,
        **to: float,
    ) -> Reweighted:
        """Return an observable at another β, or value of a coupling, from these walkers.

        Args:
            observable: one that was measured, or its name; any other where there are
                configurations.
            function: of the means; None for the one the observable carries, or the plain mean.
            to: the one parameter that is another there, such as ``beta=0.42`` or ``quartic=5.2``.

        Raises:
            ValueError: not one parameter, one that the model has not, or not at this value; what is
                needed was not measured.

        Warns:
            LowEssWarning: few walkers are as likely there as they would have to be.
        """
        return reweighted(self, observable, function, self.correlated, **to)

    def _measurable(self, observable: Measurable | str) -> Measurable:
        """Return an observable that can be measured of the configurations."""
        known = ", ".join(self.values)
        if self.configurations is None:
            needed = ""
            if not isinstance(observable, str):
                needed = ", since no configurations are stored"
            raise ValueError(
                f"observable must be one of {known}{needed}, got {observable!r}"
                f"{nearest(observable, self.values)}"
            )
        if isinstance(observable, str):
            library = entered()
            if observable not in library:
                raise ValueError(
                    f"observable must be one of {', '.join(library)}, got {observable!r}"
                    f"{nearest(observable, library)}"
                )
            observable = library[observable]
        wanted = "of single walkers, since those of a pair have weights of their own"
        expect(not is_of_pairs(observable), "observable", wanted, observable)
        check_function(observable)
        return observable
