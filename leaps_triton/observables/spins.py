"""Observables of single configurations."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..kernels.checks import as_integer, expect
from ..lattices.hypercubic import require_hypercubic
from ..models.base import DiscreteModel, LatticeModel, Observable
from .base import function_of, measured_of, observable, of_means

__all__ = [
    "abs_magnetization",
    "along",
    "binder",
    "correlation",
    "correlation_length",
    "energy",
    "magnetization",
    "magnetization_squared",
    "potts_order",
    "specific_heat",
    "structure_factor",
    "susceptibility",
    "susceptibility_full",
]


def _variance(means: Tensor) -> Tensor:
    return means[..., 1] - means[..., 0] ** 2


@observable
def energy(configurations: Tensor, model: LatticeModel) -> Tensor:
    """Return the energy per site ``H(x) / N``."""
    return measured_of(configurations, model).energy / model.lattice.sites


@observable
def magnetization(configurations: Tensor, model: LatticeModel) -> Tensor:
    """Return the magnetisation ``m = (1/N) Σ_i spins[x_i]``.

    Returns:
        float64 ``(walkers,)`` for spins of one component, else ``(walkers, n)``.
    """
    vector = measured_of(configurations, model).total_spin / model.lattice.sites
    if vector.shape[1] == 1:
        return vector.squeeze(1)
    return vector


@observable
def abs_magnetization(configurations: Tensor, model: LatticeModel) -> Tensor:
    """Return the length ``|m|`` of the magnetisation."""
    return torch.sqrt(magnetization_squared(configurations, model))


@observable
def magnetization_squared(configurations: Tensor, model: LatticeModel) -> Tensor:
    """Return the square ``m² = m·m`` of the magnetisation."""
    vector = magnetization(configurations, model).view(len(configurations), -1)
    return vector.square().sum(1)


@observable
@of_means(lambda means: means[..., 2] - means[..., 0] * means[..., 1])
def susceptibility(configurations: Tensor, model: LatticeModel) -> Tensor:
    """Return the moments of the connected susceptibility ``χ = β N (⟨m²⟩ - ⟨|m|⟩²)``.

    They are ``|m|``, ``βN |m|`` and ``βN m²``.
    """
    squared = magnetization_squared(configurations, model)
    length = squared.sqrt()
    # A function of means does not know β N: the moments themselves carry that factor.
    scale = model.beta * model.lattice.sites
    return torch.stack([length, scale * length, scale * squared], dim=1)


@observable
def susceptibility_full(configurations: Tensor, model: LatticeModel) -> Tensor:
    """Return ``βN m²``, whose mean is the susceptibility of the symmetric phase, ``⟨m⟩ = 0``."""
    squared = magnetization_squared(configurations, model)
    return model.beta * model.lattice.sites * squared


@observable
def potts_order(configurations: Tensor, model: DiscreteModel) -> Tensor:
    """Return the Potts order parameter ``(q max_a ρ_a - 1) / (q - 1)``.

    ``ρ_a`` is the share of sites in state ``a``.
    """
    counts = measured_of(configurations, model).counts
    most = model.q * counts.amax(1).double() / model.lattice.sites
    return (most - 1.0) / (model.q - 1)


@observable
@of_means(_variance)
def specific_heat(configurations: Tensor, model: LatticeModel) -> Tensor:
    """Return the moments ``β H / √N`` and ``β² H² / N`` of ``c = β² (⟨H²⟩ - ⟨H⟩²) / N``."""
    energies = measured_of(configurations, model).energy
    # Scaled here, so that the variance of the first moment is c itself.
    scaled = model.beta * energies / model.lattice.sites**0.5
    return torch.stack([scaled, scaled**2], dim=1)


@observable
@of_means(lambda means: 1.0 - means[..., 1] / (3.0 * means[..., 0] ** 2))
def binder(configurations: Tensor, model: LatticeModel) -> Tensor:
    """Return the moments ``m²`` and ``m⁴`` of the Binder cumulant ``U = 1 - ⟨m⁴⟩ / (3 ⟨m²⟩²)``.

    It goes from 2/3 in an ordered phase to ``2 (n - 1) / (3 n)`` in a disordered one, for spins of
    ``n`` components: 0 for Ising, 1/3 for two components.
    """
    squared = magnetization_squared(configurations, model)
    return torch.stack([squared, squared**2], dim=1)


def along(observable: Callable[..., Tensor], direction: int) -> Observable:
    """Return the observable in that direction, with its function of means.

    Args:
        observable: :func:`correlation`, :func:`structure_factor`, :func:`correlation_length`, or
            one of your own that takes ``direction=``.
        direction: axis of the lattice.

    Example:
        >>> from leaps_triton import Ising
        >>> model = Ising((4, 6), beta=0.3)
        >>> along(correlation, 1)(torch.ones(2, 4, 6, dtype=torch.int8), model).shape
        torch.Size([2, 4])
    """
    wanted = "a function of configurations, model and direction"
    expect(callable(observable), "observable", wanted, observable)
    direction = as_integer("direction", direction, 0)

    def directed(configurations: Tensor, model: LatticeModel) -> Tensor:
        return observable(configurations, model, direction=direction)

    directed.__name__ = f"{getattr(observable, '__name__', 'observable')}_{direction}"
    function = function_of(observable)
    if function is None:
        return directed
    return of_means(function)(directed)


def _length(model: LatticeModel, direction: int) -> int:
    mend = "; correlation_by_distance and structure_factor_at serve graphs with positions"
    require_hypercubic(model.lattice, "An observable along a direction", mend)
    direction = as_integer("direction", direction, 0, model.lattice.ndim - 1)
    return model.lattice.shape[direction]


def spin_field(configurations: Tensor, model: LatticeModel) -> Tensor:
    """Return ``spins[x_i]``, float64 ``(walkers, *shape, n)``, of a field ``x_i`` with n = 1."""
    measured = measured_of(configurations, model)
    if measured.is_field:
        return measured.field.view(*configurations.shape, 1)
    return measured.spins[configurations.long()]


@observable
def correlation(configurations: Tensor, model: LatticeModel, direction: int = 0) -> Tensor:
    """Return the correlation ``C(r)``, the mean over pairs of ``s(i) · s(i + r ê)``.

    It is not connected, and found by fast Fourier transform for ``r = 0 … L/2``, or ``L - 1`` in
    an open direction; ``s`` are the model's spins, ``ê`` the unit vector of the direction.

    Args:
        configurations: ``(walkers, *shape)``.
        model: their model.
        direction: axis of the lattice.

    Returns:
        float64 ``(walkers, L // 2 + 1)``, or ``(walkers, L)`` for an open direction.

    Example:
        >>> from leaps_triton import Ising
        >>> x = torch.tensor([[0, 1, 0, 1]], dtype=torch.int8)
        >>> correlation(x, Ising((4,), beta=0.3)).round(decimals=12).abs()
        tensor([[1., 1., 1.]], dtype=torch.float64)
    """
    spins = spin_field(configurations, model)
    length = _length(model, direction)
    wraps = model.lattice.periodic[direction]
    # In an open direction as many zeros keep the ends from meeting.
    size = length
    if not wraps:
        size = 2 * length
    # The correlation of a line with itself is the transform of its power: Wiener and Khinchin.
    power = torch.fft.rfft(spins, size, dim=direction + 1).abs().square()
    summed = power.movedim(direction + 1, -1).flatten(1, -2).sum(1)
    # The size must be told: half a spectrum does not show whether it was odd or even.
    sums = torch.fft.irfft(summed, size)
    if wraps:
        # C(r) = C(L - r) around the lattice, so that half of it says all.
        return sums[:, : length // 2 + 1] / model.lattice.sites
    lines = model.lattice.sites // length
    # At distance r an open line has L - r pairs.
    pairs = lines * torch.arange(length, 0, -1, device=sums.device)
    return sums[:, :length] / pairs


@observable
def structure_factor(configurations: Tensor, model: LatticeModel, direction: int = 0) -> Tensor:
    """Return the structure factor ``S(k) = |Σ_j s(j) e^{-i k·r_j}|² / N`` along a direction.

    The wave numbers are ``k = 2πn/L``, ``n = 0 … L/2``; ``S(0) = N m²``.

    Args:
        configurations: ``(walkers, *shape)``.
        model: their model.
        direction: axis of the lattice, periodic.

    Returns:
        float64 ``(walkers, L // 2 + 1)``.

    Raises:
        ValueError: an open direction.
    """
    spins = spin_field(configurations, model)
    _length(model, direction)
    if not model.lattice.periodic[direction]:
        raise ValueError(
            f"wave vectors need a periodic direction, and direction {direction} is open; "
            f"use correlation"
        )
    # The phase is the same all across the other directions, so these are summed first.
    others = [axis + 1 for axis in range(model.lattice.ndim) if axis != direction]
    # A sum over no axes would be one over all.
    if others:
        spins = spins.sum(others)
    power = torch.fft.rfft(spins, dim=1).abs().square().sum(2)
    return power / model.lattice.sites


@observable
@of_means(lambda means: torch.sqrt(means[..., 0] / means[..., 1]))
def correlation_length(configurations: Tensor, model: LatticeModel, direction: int = 0) -> Tensor:
    """Return the moments of the second-moment correlation length along a direction of length L.

    They are ``S(0) - S(k_min)`` and ``4 sin²(π/L) S(k_min)`` of
    ``ξ = √(S(0)/S(k_min) - 1) / (2 sin(π/L))``. It has no meaning in an ordered phase, where
    ``S(0)`` holds the square of the magnetisation; it is NaN where the means give a negative
    radicand.

    Args:
        configurations: ``(walkers, *shape)``.
        model: their model.
        direction: axis of the lattice, periodic.
    """
    factor = structure_factor(configurations, model, direction)
    # 4 sin²(k/2) at k = 2π/L is k² as the lattice knows it, in its free propagator.
    scale = 4.0 * math.sin(math.pi / _length(model, direction)) ** 2
    zero = factor[:, 0]
    least = factor[:, 1]
    # Moments apart, not their ratio: S(k_min) of a single configuration may be 0.
    return torch.stack([zero - least, scale * least], dim=1)
