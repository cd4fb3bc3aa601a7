"""Enumeration of every configuration of small models."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..kernels.checks import as_integer, as_number, check_arguments, expect, shown
from ..lattices.hypercubic import Lattice
from ..models.base import EnergyModel, Observable, Target
from ..models.energy_only import as_given, complete

__all__ = [
    "FEW",
    "MOST",
    "Enumeration",
    "enumerate_configurations",
    "enumerate_model",
    "expectation",
]


FEW = 2**12
"""Configurations up to which no other route is cheaper."""


MOST = 2**20
"""Configurations that are enumerated at most, unless told."""


# Configurations whose energies are found together: the memory of temporaries is bounded.
_CHUNK = 2**16


class Enumeration(NamedTuple):
    """Every configuration of a model with its probability."""

    configurations: Tensor
    """int8 ``(q**N, *shape)``, in the order of :func:`enumerate_configurations`"""
    log_probabilities: Tensor
    """``-βH - log Z``, float64 ``(q**N,)``"""
    log_z: float
    """``log Σ_x exp(-βH(x))``"""

    def mean(self, observable: Observable, model: Target | EnergyModel) -> Tensor:
        """Return ``Σ_x ρ(x) f(x)``, float64 ``()`` or ``(k,)``.

        Args:
            observable: ``f(configurations, model)`` → ``(walkers,)`` or ``(walkers, k)``.
            model: passed on to it.

        Raises:
            ValueError: the observable does not return one row per walker.
        """
        wanted = "a function of configurations and model"
        expect(callable(observable), "observable", wanted, observable)
        check_arguments("an observable", observable, "configurations", "model")
        chunks = zip(
            self.configurations.split(_CHUNK),
            self.log_probabilities.split(_CHUNK),
            strict=True,
        )
        terms = []
        for x, log_p in chunks:
            values = observable(x, model)
            if not isinstance(values, Tensor) or values.shape[:1] != log_p.shape:
                raise ValueError(
                    f"an observable must return ({len(x)},) or ({len(x)}, k) for {len(x)} walkers, "
                    f"got {shown(values)}"
                )
            values = values.to(torch.float64)
            # A forbidden configuration counts nothing, also where its energy is infinite.
            forbidden = log_p.isneginf().view(-1, *[1] * (values.ndim - 1))
            values = values.masked_fill(forbidden, 0.0)
            term = torch.tensordot(log_p.exp(), values, dims=1)
            terms.append(term)
        return torch.stack(terms).sum(0)


def enumerate_configurations(shape: Sequence[int], q: int, limit: int = MOST) -> Tensor:
    """Return all ``q**N`` configurations, int8 ``(q**N, *shape)``.

    Row ``n`` holds the base-q digits of ``n`` in row-major order: the first site varies slowest,
    the last fastest.

    Args:
        shape: lattice lengths.
        q: states per site, 2 to 127.
        limit: the most configurations to allow.

    Raises:
        ValueError: there are more than ``limit`` configurations, or no such shape or q.

    Example:
        >>> enumerate_configurations((1, 2), q=2).tolist()
        [[[0, 0]], [[0, 1]], [[1, 0]], [[1, 1]]]
    """
    lattice = Lattice(shape, periodic=False)
    q = as_integer("the number of states q", q, 2, 127)
    limit = as_integer("limit", limit, 1)
    if q**lattice.sites > limit:
        raise ValueError(
            f"enumeration needs at most {limit} configurations, got {q}**{lattice.sites}; "
            "take a smaller lattice, or raise limit if memory allows"
        )
    states = torch.arange(q, dtype=torch.int8)
    rows = torch.cartesian_prod(*[states] * lattice.sites)
    return rows.reshape(-1, *lattice.shape)


def enumerate_model(
    model: Target | EnergyModel,
    beta: float | None = None,
    limit: int = MOST,
) -> Enumeration:
    """Return ``ρ(x) = exp(-βH(x))/Z`` of every configuration, by direct summation.

    Args:
        model: anything with ``lattice``, ``q``, ``beta`` and ``energy(configurations)``.
        beta: inverse temperature in place of the model's; observables that read ``model.beta`` do
            not see it.
        limit: the most configurations to allow; each takes N + 8 bytes.

    Raises:
        ValueError: there are more than ``limit`` configurations, or ``Z`` is not finite and
            positive.

    Example:
        >>> from leaps_triton import Ising
        >>> model = Ising((3, 3), beta=0.3, field=0.1)
        >>> enumeration = enumerate_model(model)
        >>> round(enumeration.mean(lambda x, model: model.energy(x), model).item(), 6)
        -9.097099
    """
    whole = complete_discrete(model)
    configurations = enumerate_configurations(whole.shape, whole.q, limit)
    if beta is None:
        beta = whole.beta
    beta = as_number("beta", beta, "a finite number", math.isfinite)
    energies = [whole.energy(x) for x in configurations.split(_CHUNK)]
    log_weights = torch.cat([-beta * energy for energy in energies])
    log_z = float(torch.logsumexp(log_weights, dim=0))
    if not math.isfinite(log_z):
        raise ValueError(
            f"log Z must be finite, got {log_z} at beta = {beta}; check beta and energy for NaN or "
            f"infinity"
        )
    # Less the largest first: where log Z is 1e6, at a large β, log_weights - log_z has ten digits.
    relative = log_weights - log_weights.max()
    return Enumeration(configurations, relative - torch.logsumexp(relative, dim=0), log_z)


def expectation(model: Target | EnergyModel, observable: Observable) -> Tensor:
    """Return the exact value of an observable by enumeration, float64.

    It is ``g(⟨f⟩)`` where the observable ``f`` has a ``function`` g, else ``⟨f⟩``.

    Args:
        model: one of at most 2**20 configurations.
        observable: ``f(configurations, model)`` → ``(walkers,)`` or ``(walkers, k)``; its attribute
            ``function``, if any, maps means ``(..., k)`` to values.

    Raises:
        ValueError: :func:`enumerate_model` refuses the model, or the observable does not return one
            row per walker.

    Example:
        >>> from leaps_triton import Ising
        >>> expectation(Ising((3, 3), beta=0.3), lambda x, model: x.double().mean((1, 2)))
        tensor(0.5000, dtype=torch.float64)
    """
    whole = complete_discrete(model)
    means = enumerate_model(whole).mean(observable, whole)
    function = getattr(observable, "function", None)
    if function is None:
        return means
    value: Tensor = function(means)
    return value


def complete_discrete(model: Target | EnergyModel) -> Any:
    """Return the model completed, if its configurations can be counted.

    Raises:
        ValueError: it is no model, or one of floating-point configurations.
    """
    whole = complete(model)
    if whole.dtype.is_floating_point:
        raise ValueError(
            f"exact values need a model with q states per site, and configurations of "
            f"{type(as_given(whole)).__name__} are {whole.dtype}"
        )
    return whole
