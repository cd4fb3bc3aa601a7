"""Enumeration of every configuration of small models."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..kernels.checks import as_integer, as_number, expect, shown
from ..lattices.hypercubic import Lattice
from ..models.base import EnergyModel, Observable
from ..models.energy_only import complete

__all__ = ["Enumeration", "enumerate_configurations", "enumerate_model", "expectation"]


_FEW = 2**12

_LIMIT = 2**20

_CHUNK = 2**16


class Enumeration(NamedTuple):
    """Every configuration of a model with its probability."""

    configurations: Tensor
    """int8 ``(q**N, *shape)``, ordered as :func:`enumerate_configurations`"""
    log_probabilities: Tensor
    """``-βH - log Z``, float64 ``(q**N,)``"""
    log_z: float
    """``log Σ_x exp(-βH(x))``"""

    def mean(self, observable: Observable, model: EnergyModel) -> Tensor:
        """``Σ_x ρ(x) f(x)``, float64 ``()`` or ``(k,)``.

        Args:
            observable: ``f(configurations, model)`` → ``(walkers,)`` or ``(walkers, k)``.
            model: passed on to it.

        Raises:
            ValueError: the observable does not return one row a walker.
        """
        expect(
            callable(observable), "observable", "a function of configurations and model", observable
        )
        terms = []
        for x, log_p in zip(
            self.configurations.split(_CHUNK), self.log_probabilities.split(_CHUNK), strict=True
        ):
            values = observable(x, model)
            if not isinstance(values, Tensor) or values.shape[:1] != log_p.shape:
                raise ValueError(
                    f"an observable must return ({len(x)},) or ({len(x)}, k) for {len(x)} walkers, got {shown(values)}"
                )
            terms.append(torch.tensordot(log_p.exp(), values.to(torch.float64), dims=1))
        return torch.stack(terms).sum(0)


def enumerate_configurations(shape: Sequence[int], q: int, limit: int = _LIMIT) -> Tensor:
    """All ``q**N`` configurations, int8 ``(q**N, *shape)``.

    Row ``n`` holds the base-q digits of ``n`` in row-major order: the first site varies slowest,
    the last fastest.

    Args:
        shape: lattice lengths.
        q: states a site, 2 to 127.
        limit: the most configurations to allow.

    Raises:
        ValueError: more than ``limit`` configurations, or no such shape or q.

    Example:
        >>> enumerate_configurations((1, 2), q=2).tolist()
        [[[0, 0]], [[0, 1]], [[1, 0]], [[1, 1]]]
    """
    lattice = Lattice(shape, periodic=False)
    q, limit = as_integer("the number of states q", q, 2, 127), as_integer("limit", limit, 1)
    if q**lattice.sites > limit:
        raise ValueError(
            f"enumeration needs at most {limit} configurations, got {q}**{lattice.sites}; "
            "take a smaller lattice, or raise limit if memory allows"
        )
    states = torch.arange(q, dtype=torch.int8)
    return torch.cartesian_prod(*[states] * lattice.sites).reshape(-1, *lattice.shape)


def enumerate_model(
    model: EnergyModel, beta: float | None = None, limit: int = _LIMIT
) -> Enumeration:
    """``ρ(x) = exp(-βH(x))/Z`` of every configuration, by direct summation.

    Args:
        model: anything with ``lattice``, ``q``, ``beta`` and ``energy(configurations)``.
        beta: inverse temperature in place of the model's; observables that read ``model.beta`` do
            not see it.
        limit: the most configurations to allow; each takes N + 8 bytes.

    Raises:
        ValueError: more than ``limit`` configurations, or a ``Z`` that is not finite and positive.

    Example:
        >>> from leaps_triton import Ising
        >>> model = Ising((3, 3), beta=0.3, field=0.1)
        >>> enumeration = enumerate_model(model)
        >>> round(enumeration.mean(lambda x, model: model.energy(x), model).item(), 6)
        -9.097099
    """
    complete(model)
    configurations = enumerate_configurations(model.lattice.shape, model.q, limit)
    beta = as_number("beta", model.beta if beta is None else beta, "a finite number", math.isfinite)
    log_weights = torch.cat(
        [-beta * model.energy(x).to(torch.float64) for x in configurations.split(_CHUNK)]
    )
    value = float(torch.logsumexp(log_weights, dim=0))
    if not math.isfinite(value):
        raise ValueError(
            f"log Z must be finite, got {value} at beta = {beta}; check beta and energy for NaN or infinity"
        )
    return Enumeration(configurations, log_weights - value, value)


def expectation(model: EnergyModel, observable: Observable) -> Tensor:
    """The exact value of an observable by enumeration, float64: ``g(⟨f⟩)`` where it has a
    ``function`` g, else ``⟨f⟩``.

    Args:
        model: of at most 2**20 configurations.
        observable: ``f(configurations, model)`` → ``(walkers,)`` or ``(walkers, k)``; its attribute
            ``function``, if any, maps means ``(..., k)`` to values.

    Raises:
        ValueError: as :func:`enumerate_model`.

    Example:
        >>> from leaps_triton import Ising
        >>> expectation(Ising((3, 3), beta=0.3), lambda x, model: x.double().mean((1, 2)))
        tensor(0.5000, dtype=torch.float64)
    """
    model = complete(model)
    means = enumerate_model(model).mean(observable, model)
    function = getattr(observable, "function", None)
    return means if function is None else function(means)
