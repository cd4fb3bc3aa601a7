"""What a simulation says at another β, or another value of a coupling."""

import math
from typing import Any

import torch
from torch import Tensor

from ..estimators.base import Function, Measurable, Result
from ..estimators.jackknife import weighted_estimate
from ..estimators.reweighting import Reweighted, reweight
from ..estimators.trust.cautions import caution
from ..estimators.trust.tails import draw_doubts
from ..estimators.weights import effective_sample_size
from ..kernels.checks import as_number
from ..models.varied import BETA, model_with, value_of
from .base import entered, function_of, title_of
from .fields import conjugate_of, reads_couplings

__all__ = ["reweighted"]


_READS_BETA = ("susceptibility", "susceptibility_full", "specific_heat")
"""Observables whose definition has β in it."""


def reweighted(
    run: Result,
    observable: Measurable | str,
    function: Function | None = None,
    together: int = 1,
    **to: float,
) -> Reweighted:
    """Return ``⟨f⟩`` where one parameter of the model is another.

    Draws are weighed by ``e^{-Δc Q}``, with ``Q`` what the parameter multiplies: ``H`` for β, the
    sum of ``φ²`` for ``mass_squared`` and of ``φ⁴`` for ``quartic``; weights of walkers by as much
    more. Results have it as a method, ``run.reweight("binder", quartic=5.2)``.

    Args:
        run: a chain or weighted walkers, in memory or from a file.
        observable: one that was measured, or its name; any other where there are configurations.
            One that has the parameter in its definition needs them too.
        function: of the means ``(..., k)``; None for the one the observable carries, or the plain
            mean.
        together: how many consecutive walkers are correlated with one another.
        to: the one parameter that is another, by its name: ``beta``, or a coupling of the model.

    Raises:
        ValueError: not one parameter, one that the model has not, or not at this value; what is
            needed was not measured.

    Warns:
        LowEssWarning: few draws are as likely there as they would have to be.

    Example:
        >>> import leaps_triton as lt
        >>> model = lt.Ising((4, 4), beta=0.3)
        >>> chain = lt.run_chain(model, walkers=16, sweeps=500, device="cpu")
        >>> found = chain.reweight("energy", beta=0.32)
        >>> abs(found.pull(lt.exact.ising_energy((4, 4), beta=0.32))) < 4
        True
    """
    name, value = _one(to)
    model = model_with(run.model, name, value)
    conjugate = "energy"
    if name != BETA:
        conjugate = conjugate_of(run.model, name)
    whole = _values(run, conjugate, run.model) * model.lattice.sites
    of_one = observable
    if isinstance(observable, str):
        of_one = entered().get(observable, observable)
    if function is None and callable(of_one):
        function = function_of(of_one)
    values = _values(run, observable, model, name)
    before = value_of(run.model, name)
    # Errors name β by its words.
    coupling = ""
    if name != BETA:
        coupling = name
    if not run.weighted:
        return reweight(whole, values, before, value, function, together, coupling)
    weighty: Any = run
    log_weights = weighty.log_weights.cpu() - (value - before) * whole
    found = weighted_estimate(values, log_weights, function, together)
    caution(draw_doubts(log_weights, 0.5 * together, f"simulate nearer to that value of {name}"))
    ess = float(effective_sample_size(log_weights))
    return Reweighted(found.value, found.error, ess, found.reason)


def _one(to: dict[str, float]) -> tuple[str, float]:
    """Return name and value of the one parameter that was given."""
    if len(to) != 1:
        given = ", ".join(to) or "none"
        raise ValueError(
            f"give one parameter to reweight to, such as beta=0.42 or quartic=5.2, got {given}"
        )
    name, value = next(iter(to.items()))
    return name, as_number(name, value, "a finite number", math.isfinite)


def _values(run: Result, observable: Measurable | str, model: Any, parameter: str = "") -> Tensor:
    """Return an observable of every draw, float64 on the CPU.

    Args:
        run: the simulation.
        observable: what is wanted.
        model: what it is measured with.
        parameter: by which this differs from the run's own; empty for nothing.
    """
    title = observable
    if not isinstance(observable, str):
        title = title_of(observable)
    name = run.name_of(observable)
    if name is not None and not _reads(name, parameter):
        return run.values[name].double().cpu()
    drawn = run.drawn
    if drawn is None:
        why = "was not measured"
        if name is not None:
            why = f"has {parameter} in its definition"
        raise ValueError(
            f"{title} {why}, and there are no configurations to measure it anew; keep them, by "
            f"configurations=True or keep_configurations=True"
        )
    of_one = observable
    if isinstance(observable, str):
        of_one = entered()[observable]
    assert callable(of_one)
    if run.weighted:
        return of_one(drawn, model).double().cpu()
    flat = of_one(drawn.flatten(0, 1), model).double().cpu()
    return torch.unflatten(flat, 0, drawn.shape[:2])


def _reads(name: str, parameter: str) -> bool:
    """Return whether the definition of a measured observable has the parameter in it."""
    if not parameter:
        return False
    if parameter == BETA:
        return name in _READS_BETA or name not in entered()
    return reads_couplings(name)
