"""Observables: ``f(configurations, model)`` → ``(walkers,)`` or ``(walkers, k)``, float64.

An observable that is a function of means, such as a susceptibility, returns the moments and carries the function:
``observable.function(means)`` maps means ``(..., k)`` to ``(...)``. ``ensemble.estimate(observable)`` uses it.
Energies are without β, and all but log Z are per site: energies in units of the coupling J, susceptibilities in 1/J,
specific heats in k_B, lengths in lattice spacings, the rest without a unit. All raise a ValueError for configurations
that are not the model's (their values are looked at on a CPU alone). The magnetisation is the lattice mean of
``model.spins``: ±1 for q = 2, unit vectors otherwise. Those that look along a direction take it as ``direction=``, 0
unless told; :func:`along` makes an observable of another one. Overlaps compare two replicas: they take two sets of
configurations, and a chain measures them of its walkers two by two; :func:`replica_energies` it measures of parallel
tempering.
"""

import inspect
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .kernels.checks import as_integer, expect, is_real, shown
from .lattice import Lattice
from .models import Model, Observable
from .sharing import MARK, Measured

__all__ = [
    "OverlapHistogram",
    "abs_magnetization",
    "along",
    "binder",
    "correlation",
    "correlation_length",
    "energy",
    "link_overlap",
    "magnetization",
    "magnetization_squared",
    "of_means",
    "of_pairs",
    "overlap",
    "overlap_histogram",
    "potts_order",
    "replica_energies",
    "specific_heat",
    "structure_factor",
    "susceptibility",
    "susceptibility_full",
]


OBSERVABLES = ("energy", "abs_magnetization", "susceptibility", "specific_heat", "binder")
"""What runs measure unless told."""


def of_means(function: Callable[[Tensor], Tensor]) -> Callable[[Observable], Observable]:
    """Mark an observable whose value is ``function`` of its means.

    Example
        >>> @of_means(lambda means: means[..., 1] - means[..., 0] ** 2)
        ... def energy_variance(configurations, model):
        ...     e = energy(configurations, model)
        ...     return torch.stack([e, e**2], dim=1)
    """
    expect(callable(function), "function", "a function of means", function)

    def mark(observable: Observable) -> Observable:
        observable.function = function  # type: ignore[attr-defined]
        return observable

    return mark


def of_pairs(observable: Callable[[Tensor, Tensor, Any], Tensor]) -> Callable[[Tensor, Tensor, Any], Tensor]:
    """Mark an observable ``f(first, second, model)`` that compares two replicas, such as :func:`overlap`.

    A chain measures it of walkers 0 and 1, 2 and 3, and so on, which have one law and are independent at any one step.

    Example
        >>> @of_pairs
        ... def overlap_squared(first, second, model):
        ...     return overlap(first, second, model) ** 2
    """
    expect(callable(observable), "observable", "a function of two sets of configurations and model", observable)
    observable.pairs = True  # type: ignore[attr-defined]
    return observable


def _variance(means: Tensor) -> Tensor:
    return means[..., 1] - means[..., 0] ** 2


def _check(configurations: object, model: object) -> None:
    lattice = getattr(model, "lattice", None)
    expect(isinstance(lattice, Lattice), "model", "a model with lattice, q and energy", model)
    assert isinstance(lattice, Lattice)
    fits = isinstance(configurations, Tensor) and tuple(configurations.shape[1:]) == lattice.shape
    shape = ", ".join(map(str, lattice.shape))
    expect(fits, "configurations", f"a tensor of shape (walkers, {shape})", configurations)
    assert isinstance(configurations, Tensor)
    kind = getattr(model, "dtype", torch.int8)
    expect(configurations.dtype == kind, "configurations", f"a tensor of {kind}", configurations)
    # Values are read on a CPU alone: a GPU would have to wait.
    if configurations.device.type == "cpu" and configurations.numel() and not kind.is_floating_point:
        q, low, high = getattr(model, "q", 0), int(configurations.min()), int(configurations.max())
        expect(low >= 0 and high < q, "configurations", f"of values 0 to {q - 1}", (low, high))


def _measured(configurations: Tensor, model: Model) -> Measured:
    shared = getattr(model, MARK, None)
    if isinstance(shared, Measured) and shared.configurations is configurations:
        return shared
    _check(configurations, model)
    return Measured(configurations, model)


def energy(configurations: Tensor, model: Model) -> Tensor:
    """``H(x) / N``."""
    return _measured(configurations, model).energy / model.lattice.sites


def magnetization(configurations: Tensor, model: Model) -> Tensor:
    """``m = (1/N) Σ_i spins[x_i]``: ``(walkers,)`` for spins of one component, else ``(walkers, n)``."""
    vector = _measured(configurations, model).total_spin / model.lattice.sites
    return vector.squeeze(1) if vector.shape[1] == 1 else vector


def abs_magnetization(configurations: Tensor, model: Model) -> Tensor:
    """``|m|``."""
    return torch.sqrt(magnetization_squared(configurations, model))


def magnetization_squared(configurations: Tensor, model: Model) -> Tensor:
    """``m² = m·m``."""
    return magnetization(configurations, model).view(len(configurations), -1).square().sum(1)


@of_means(lambda means: means[..., 2] - means[..., 0] * means[..., 1])
def susceptibility(configurations: Tensor, model: Model) -> Tensor:
    """``χ = β N (⟨m²⟩ - ⟨|m|⟩²)``, the connected one; moments ``|m|``, ``βN |m|`` and ``βN m²``."""
    squared = magnetization_squared(configurations, model)
    scale = model.beta * model.lattice.sites
    return torch.stack([squared.sqrt(), scale * squared.sqrt(), scale * squared], dim=1)


def susceptibility_full(configurations: Tensor, model: Model) -> Tensor:
    """``βN m²``, whose mean is the susceptibility ``βN ⟨m²⟩`` of the symmetric phase, where ``⟨m⟩ = 0``."""
    squared = magnetization_squared(configurations, model)
    return model.beta * model.lattice.sites * squared


def potts_order(configurations: Tensor, model: Model) -> Tensor:
    """Potts order parameter ``(q max_a ρ_a - 1) / (q - 1)`` with ``ρ_a`` the share of sites in state ``a``."""
    counts = _measured(configurations, model).counts
    return (model.q * counts.amax(1).double() / model.lattice.sites - 1.0) / (model.q - 1)


@of_means(_variance)
def specific_heat(configurations: Tensor, model: Model) -> Tensor:
    """``c = β² (⟨H²⟩ - ⟨H⟩²) / N``; moments ``β H / √N`` and ``β² H² / N``."""
    energies = _measured(configurations, model).energy
    scaled = model.beta * energies / model.lattice.sites**0.5
    return torch.stack([scaled, scaled**2], dim=1)


@of_means(lambda means: 1.0 - means[..., 1] / (3.0 * means[..., 0] ** 2))
def binder(configurations: Tensor, model: Model) -> Tensor:
    """Binder cumulant ``U = 1 - ⟨m⁴⟩ / (3 ⟨m²⟩²)``; moments ``m²`` and ``m⁴``.

    From 2/3 in an ordered phase to ``2 (n - 1) / (3 n)`` in a disordered one, for spins of ``n`` components: 0 for
    Ising, 1/3 for two components.
    """
    squared = magnetization_squared(configurations, model)
    return torch.stack([squared, squared**2], dim=1)


def along(observable: Callable[..., Tensor], direction: int) -> Observable:
    """The observable in that direction, with its function of means.

    Arguments
        observable: :func:`correlation`, :func:`structure_factor`, :func:`correlation_length`, or one of your own that
            takes ``direction=``.
        direction: axis of the lattice.

    Example
        >>> from leaps_triton import Ising
        >>> model = Ising((4, 6), beta=0.3)
        >>> along(correlation, 1)(torch.ones(2, 4, 6, dtype=torch.int8), model).shape
        torch.Size([2, 4])
    """
    expect(callable(observable), "observable", "a function of configurations, model and direction", observable)
    direction = as_integer("direction", direction, 0)

    def directed(configurations: Tensor, model: Model) -> Tensor:
        return observable(configurations, model, direction=direction)

    directed.__name__ = f"{getattr(observable, '__name__', 'observable')}_{direction}"
    function = getattr(observable, "function", None)
    return directed if function is None else of_means(function)(directed)


def _length(model: Model, direction: int) -> int:
    return model.lattice.shape[as_integer("direction", direction, 0, model.lattice.ndim - 1)]


def _spin_field(configurations: Tensor, model: Model) -> Tensor:
    """``spins[x_i]``, float64 ``(walkers, *shape, n)``."""
    return _measured(configurations, model).spins[configurations.long()]


def correlation(configurations: Tensor, model: Model, direction: int = 0) -> Tensor:
    """``C(r) = mean over pairs of s(i) · s(i + r ê)``, not connected, for ``r = 0 … L/2``, or ``L - 1`` if open.

    By fast Fourier transform; ``s`` are the model's spins, ``ê`` the unit vector of the direction.

    Arguments
        direction: axis of the lattice.

    Returns
        float64 ``(walkers, L // 2 + 1)``, or ``(walkers, L)`` for an open direction.

    Example
        >>> from leaps_triton import Ising
        >>> x = torch.tensor([[0, 1, 0, 1]], dtype=torch.int8)
        >>> correlation(x, Ising((4,), beta=0.3)).round(decimals=12).abs()
        tensor([[1., 1., 1.]], dtype=torch.float64)
    """
    spins = _spin_field(configurations, model)
    length, wraps = _length(model, direction), model.lattice.periodic[direction]
    power = torch.fft.rfft(spins, length if wraps else 2 * length, dim=direction + 1).abs().square()
    sums = torch.fft.irfft(power.movedim(direction + 1, -1).flatten(1, -2).sum(1), length if wraps else 2 * length)
    if wraps:
        return sums[:, : length // 2 + 1] / model.lattice.sites
    pairs = model.lattice.sites // length * torch.arange(length, 0, -1, device=sums.device)
    return sums[:, :length] / pairs


def structure_factor(configurations: Tensor, model: Model, direction: int = 0) -> Tensor:
    """``S(k) = |Σ_j s(j) e^{-i k·r_j}|² / N`` along a periodic direction, ``k = 2πn/L``, ``n = 0 … L/2``.

    ``S(0) = N m²``.

    Arguments
        direction: axis of the lattice, periodic.

    Returns
        float64 ``(walkers, L // 2 + 1)``.
    """
    spins = _spin_field(configurations, model)
    _length(model, direction)
    if not model.lattice.periodic[direction]:
        raise ValueError(f"wave vectors need a periodic direction, and direction {direction} is open; use correlation")
    others = [axis + 1 for axis in range(model.lattice.ndim) if axis != direction]
    lines = spins.sum(others) if others else spins
    return torch.fft.rfft(lines, dim=1).abs().square().sum(2) / model.lattice.sites


@of_means(lambda means: torch.sqrt(means[..., 0] / means[..., 1]))
def correlation_length(configurations: Tensor, model: Model, direction: int = 0) -> Tensor:
    """Second-moment correlation length ``ξ = √(S(0)/S(k_min) - 1) / (2 sin(π/L))`` along a direction of length L.

    Moments ``S(0) - S(k_min)`` and ``4 sin²(π/L) S(k_min)``. Not meaningful in an ordered phase, where ``S(0)`` holds
    the square of the magnetisation; NaN where the means give a negative radicand.

    Arguments
        direction: axis of the lattice, periodic.
    """
    factor = structure_factor(configurations, model, direction)
    scale = 4.0 * math.sin(math.pi / _length(model, direction)) ** 2
    return torch.stack([factor[:, 0] - factor[:, 1], scale * factor[:, 1]], dim=1)


@of_pairs
def overlap(first: Tensor, second: Tensor, model: Model) -> Tensor:
    """Overlap of two replicas ``q = (1/N) Σ_i s(i) · s'(i)``, float64 ``(walkers,)``.

    Arguments
        first: configurations of independent walkers, ``(walkers, *shape)``.
        second: those of as many others.

    Example
        >>> from leaps_triton import EdwardsAnderson
        >>> x = torch.tensor([[0, 1, 1, 0]], dtype=torch.int8)
        >>> overlap(x, 1 - x, EdwardsAnderson((4,), beta=1.0)).item()
        -1.0
    """
    _check_pair(first, second)
    return (_spin_field(first, model) * _spin_field(second, model)).flatten(1).sum(1) / model.lattice.sites


@of_pairs
def link_overlap(first: Tensor, second: Tensor, model: Model) -> Tensor:
    """Link overlap ``(1/N_b) Σ_<ij> (s(i) · s(j)) (s'(i) · s'(j))`` over all ``N_b`` bonds, float64 ``(walkers,)``.

    A domain flipped as a whole lowers it by the share of its surface only.

    Arguments
        first, second: as of :func:`overlap`.
    """
    _check_pair(first, second)
    a, b = _spin_field(first, model), _spin_field(second, model)
    total, bonds = torch.zeros(len(a), dtype=torch.float64, device=a.device), 0
    for axis, (length, wraps) in enumerate(zip(model.lattice.shape, model.lattice.periodic, strict=True)):
        links = [(s * s.roll(-1, axis + 1)).sum(-1) for s in (a, b)]
        product = (links[0] * links[1]).narrow(axis + 1, 0, length if wraps else length - 1)
        total = total + product.flatten(1).sum(1)
        bonds += product[0].numel()
    return total / bonds


def _check_pair(first: Tensor, second: Tensor) -> None:
    if not isinstance(first, Tensor) or not isinstance(second, Tensor) or first.shape != second.shape:
        raise ValueError(
            f"two replicas must have the same shape, got {shown(first)} and {shown(second)}; pair as many "
            f"walkers with as many others"
        )


def replica_energies(replicas: Tensor, model: Model) -> Tensor:
    """``H`` of all replicas of parallel tempering, without β and not per site, float64 ``(walkers, K)``.

    From these :func:`~leaps_triton.estimators.stepping_stones` and :func:`~leaps_triton.estimators.mbar` find log Z,
    and :func:`~leaps_triton.estimators.exchange_rates` how often neighbours are exchanged.

    Arguments
        replicas: ``(walkers, K, *shape)``.
    """
    return model.energy(replicas.flatten(0, 1)).double().unflatten(0, replicas.shape[:2])


replica_energies.replicas = True  # type: ignore[attr-defined]


class OverlapHistogram(NamedTuple):
    """The law ``P(q)`` of overlaps."""

    centres: Tensor
    """Middle of every bin, float64 ``(bins,)``"""
    density: Tensor
    """``P(q)``, whose sum over the bins times their width is 1, float64 ``(bins,)``"""


def overlap_histogram(overlaps: Tensor, log_weights: Tensor | None = None, bins: int = 41) -> OverlapHistogram:
    """``P(q)`` on ``[-1, 1]`` from overlaps of pairs.

    Arguments
        overlaps: of any shape, values in [-1, 1].
        log_weights: of the pairs, of the same shape: the sum of both walkers' ``A``; None where all weigh alike.
        bins: of equal width. An odd number keeps the middle one symmetric.

    Raises
        ValueError: a shape that does not fit, an overlap outside [-1, 1], fewer than one bin.

    Example
        >>> overlap_histogram(torch.tensor([-1.0, 0.9, 1.0, 0.1]), bins=2).density
        tensor([0.2500, 0.7500], dtype=torch.float64)
    """
    bins = as_integer("bins", bins, 1)
    expect(is_real(overlaps), "overlaps", "a tensor of real numbers", overlaps)
    expect(log_weights is None or is_real(log_weights), "log_weights", "None or a tensor of real numbers", log_weights)
    q = overlaps.double().flatten().cpu()
    a = torch.zeros_like(q) if log_weights is None else log_weights.double().flatten().cpu()
    if a.shape != q.shape or len(q) == 0:
        raise ValueError(f"overlaps and log_weights must be of one length above 0, got {len(q)} and {len(a)}")
    some = bool((a < torch.inf).all()) and bool((a > -torch.inf).any())
    expect(some, "log_weights", "numbers below infinity, not all minus infinity", a.tolist())
    # Sums of products may pass 1 by rounding.
    if not bool((q.abs() <= 1.0 + 1e-9).all()):
        raise ValueError(f"overlaps must be in [-1, 1], got {float(q.min()):g} to {float(q.max()):g}")
    index = ((q + 1.0) * (bins / 2.0)).long().clamp(0, bins - 1)
    share = torch.zeros(bins, dtype=torch.float64).index_add_(0, index, torch.softmax(a, dim=0))
    centres = (torch.arange(bins, dtype=torch.float64) + 0.5) * (2.0 / bins) - 1.0
    return OverlapHistogram(centres, share * (bins / 2.0))


MEASURABLE = [
    name for name in __all__ if list(inspect.signature(globals()[name]).parameters)[:2] == ["configurations", "model"]
]
"""Names of the functions of configurations and model."""

OF_CHAINS = ["link_overlap", "overlap", "replica_energies"]
"""Names of the functions of pairs of walkers or of replicas, which chains alone measure."""
