"""What a scan has found: observables and log Z at each β, or value of a coupling."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ...estimators.base import Measurable, Result
from ...estimators.histograms import mbar, mbar_error
from ...estimators.jackknife import Estimate
from ...mcmc.base import as_move
from ...models.varied import BETA, value_of
from ...observables.fields import conjugate_of

__all__ = ["Scan"]


_MOST = 4096
"""Draws of every temperature that the multi-histogram equations are solved for."""


@dataclass(frozen=True, repr=False)
class Scan:
    """A model at several β, or values of a coupling: a result for each, and log Z.

    Attributes:
        result: what the scan was made by: chains with replicas at all temperatures, or weighted
            walkers that were measured along the path; in memory or from a file.

    Raises:
        ValueError: a result of a single temperature.
    """

    result: Result

    def __post_init__(self) -> None:
        if not self.result.by_beta:
            raise ValueError(
                "a scan takes a result of several temperatures, such as leaps_triton.scan makes, "
                "got one of a single temperature"
            )

    @property
    def method(self) -> str:
        """Return how the temperatures were sampled, one of ``METHODS``."""
        if self.result.weighted:
            return "annealing"
        chain: Any = self.result
        if as_move("move", chain.move).exchange:
            return "tempering"
        return "chains"

    @cached_property
    def runs(self) -> tuple[Result, ...]:
        """Return the result at each inverse temperature, or coupling, in rising order."""
        return self.result.by_beta

    @property
    def parameter(self) -> str:
        """Return what is another in each run: ``"beta"``, or the name of a coupling."""
        return self.result.parameter

    @property
    def places(self) -> tuple[float, ...]:
        """Return the value of the parameter in each run, in rising order."""
        return tuple(value_of(run.model, self.parameter) for run in self.runs)

    @property
    def betas(self) -> tuple[float, ...]:
        """Return the inverse temperatures, in rising order; of a field all are 1."""
        return tuple(float(run.model.beta) for run in self.runs)

    @property
    def names(self) -> list[str]:
        """Return the names of the observables that were measured."""
        return self.runs[0].names

    @property
    def absolute(self) -> bool:
        """Return whether ``log_z`` is absolute; else it counts from the smallest β or coupling."""
        discrete = not self.result.model.dtype.is_floating_point
        return self.result.weighted or (discrete and self.betas[0] == 0.0)

    @property
    def log_z(self) -> tuple[Estimate, ...]:
        """Return log Z at each inverse temperature.

        From weights it is absolute. From chains it is by the multi-histogram equations
        (:func:`~leaps_triton.estimators.mbar`) and counts from the smallest β, unless that is 0,
        where ``log Z = N log q``; of a coupling it counts from the smallest value. All values share
        their draws, so they are off together. They are NaN where energies of neighbouring
        temperatures do not overlap; see ``cautions``.
        """
        return self._log_z[0]

    @cached_property
    def _log_z(self) -> tuple[tuple[Estimate, ...], str]:
        """Return log Z, and why there is none."""
        if self.result.weighted:
            return tuple(_weighted_log_z(run) for run in self.runs), ""
        first = 0.0
        if self.absolute:
            model = self.result.model
            first = math.prod(model.shape) * math.log(model.q)
        chain: Any = self.result
        # What the parameter multiplies: all else in the action is the same in every run.
        conjugate = "energy"
        if self.parameter != BETA:
            conjugate = conjugate_of(self.result.model, self.parameter)
        energies = []
        for run in self.runs:
            energy = run.values[conjugate] * math.prod(run.model.shape)
            # Neighbouring draws say nearly the same, and the equations take every one's energy.
            stride = -(-energy.numel() // _MOST)
            energies.append(energy[:, ::stride])
        try:
            values = mbar(energies, self.places)
            errors = mbar_error(energies, self.places, together=chain.together)
        except (RuntimeError, ValueError) as error:
            unknown = Estimate(math.nan, math.nan)
            reason = str(error).replace("at beta = ", f"at {self.parameter} = ")
            return (unknown,) * len(self.runs), reason
        pairs = zip(values.tolist(), errors.tolist(), strict=True)
        return tuple(Estimate(first + value, error) for value, error in pairs), ""

    @property
    def cautions(self) -> tuple[str, ...]:
        """Return why error bars cannot be trusted, a sentence for each temperature that has one."""
        found = []
        # Those of weighted walkers are the last temperature's, which has a sentence below.
        if not self.result.weighted:
            found = [doubt.reason for doubt in self.result.doubts]
        for run in self.runs:
            if run.shortage:
                value = value_of(run.model, self.parameter)
                found.append(f"{self.parameter} = {value:.6g}: {run.shortage}")
        if self._log_z[1]:
            found.append(f"no log Z: {self._log_z[1]}")
        return tuple(found)

    @property
    def has_errors(self) -> bool:
        """Return whether there are enough walkers or draws for an error bar at all."""
        return all(run.has_errors for run in self.runs)

    def estimate(self, observable: Measurable | str) -> list[Any]:
        """Return an observable at each inverse temperature, or coupling, with its error.

        Args:
            observable: one that was measured, or its name.

        Warns:
            Warning: once for all temperatures, what the estimate of one has warned of.
        """
        found, said = self._quietly(observable)
        _say(said, self.parameter)
        return found

    def _quietly(self, observable: Measurable | str) -> tuple[list[Any], list[tuple[float, Any]]]:
        """Return an observable at each β, and of which β there were warnings."""
        found = []
        said = []
        for run in self.runs:
            with warnings.catch_warnings(record=True) as caught:
                # Python shows a warning once per place, and each temperature has its own.
                warnings.simplefilter("always")
                found.append(run.estimate(observable))
            value = value_of(run.model, self.parameter)
            said += [(value, warning) for warning in caught]
        return found, said

    def table(self) -> dict[str, list[float]]:
        """Return all that was found as columns of equal length.

        They are ``beta`` or the coupling, ``log_z``, ``log_z_error``, and ``<name>`` and
        ``<name>_error`` of every observable; of annealed walkers also ``ess``.

        Warns:
            Warning: the same as in :meth:`estimate`.
        """
        columns: dict[str, list[float]] = {self.parameter: list(self.places)}
        columns["log_z"] = [each.value for each in self.log_z]
        columns["log_z_error"] = [each.error for each in self.log_z]
        said = []
        for name in self.names:
            estimates, warned = self._quietly(name)
            said += warned
            columns[name] = [each.value for each in estimates]
            columns[f"{name}_error"] = [each.error for each in estimates]
        if self.result.weighted:
            columns["ess"] = [run.diagnostics["ess"] for run in self.runs]
        _say(said, self.parameter)
        return columns

    def __repr__(self) -> str:
        """Show the model, the temperatures or couplings, and the method."""
        ends = f"{self.places[0]:.6g} to {self.places[-1]:.6g}"
        kind = "betas"
        if self.parameter != BETA:
            kind = f"values of {self.parameter}"
        about = f"{self.method}, {len(self.places)} {kind} from {ends}"
        return f"Scan({self.result.model!r}, {about})"


def _say(said: Sequence[tuple[float, Any]], parameter: str) -> None:
    """Warn once of all that estimates have warned of: the first, and where there were others."""
    if not said:
        return
    places = ", ".join(f"{value:.6g}" for value in dict.fromkeys(value for value, _ in said))
    _, first = said[0]
    # At the line that called the scan.
    warnings.warn(f"at {parameter} = {places}: {first.message}", first.category, stacklevel=3)


def _weighted_log_z(run: Any) -> Estimate:
    """Return log Z of weighted walkers; at the start of the path it is known."""
    if not bool(run.log_weights.any()):
        return Estimate(run.log_z_start, 0.0)
    # Without the warning of few effective walkers, which is among the cautions of each run.
    known = run.diagnostics
    return Estimate(known["log_z"], known["log_z_error"])
