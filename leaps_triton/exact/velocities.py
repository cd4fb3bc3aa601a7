"""How fast mass must move along a curve of densities on a line, exactly.

On a line one velocity alone carries ``ρ_t`` along: ``v_t = -∂_tF_t / ρ_t``, with ``F_t`` the
cumulative distribution. Its norm ``‖v_t‖² = ∫ (∂_tF_t)² / ρ_t dx`` says how hard a curve is to
follow.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor

from ..kernels.checks import as_integer, as_number, expect, is_positive, shown
from ..models.densities.mixtures import GaussianMixture

__all__ = [
    "Curve",
    "LineVelocity",
    "laplace_velocity_norm",
    "ornstein_uhlenbeck",
    "velocity_norm",
    "velocity_on_line",
]

Curve: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""Points ``(points, 1)`` and times ``(points,)`` → ``log ρ̃_t``, ``(points,)``, as a path has it."""

_NODES = 10
"""Of Gauss's rule in a panel."""

_LEAST = -600.0
"""Log-density relative to the largest below which nothing is counted: float64 ends near -745."""


class LineVelocity(NamedTuple):
    """Density and velocity at the points of a quadrature; all float64 ``(points,)``."""

    points: Tensor
    """``x``, rising"""
    weights: Tensor
    """Of the quadrature: ``∫ g dx`` is the sum of ``weights`` times ``g(points)``"""
    density: Tensor
    """``ρ_t``, normalised"""
    velocity: Tensor
    """``v_t``; 0 where the density is too small for float64"""


def velocity_norm(
    log_density: Curve,
    t: float,
    edges: Sequence[float] = (-40.0, 40.0),
    panels: int = 2000,
) -> float:
    """Return ``‖v_t‖² = ∫ (∂_tF_t)² / ρ_t dx`` of a curve of densities on a line.

    Args:
        log_density: ``log ρ̃_t`` as a function of points ``(points, 1)`` and times ``(points,)``,
            such as ``path.log_density``; torch differentiates it by the times.
        t: the time.
        edges: where to begin and to end, and between them, rising, where the density has kinks.
        panels: of Gauss's rule, in all.

    Raises:
        ValueError: an argument is not as above, or a log-density that is not finite.

    Example:
        >>> import leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.GaussianMixture.two(2.0), start=lt.Gaussian(1.0))
        >>> round(velocity_norm(path.log_density, 0.5), 6)
        5.809158
    """
    found = velocity_on_line(log_density, t, edges, panels)
    energy = found.density * found.velocity.square()
    return float((found.weights * energy).sum())


@torch.no_grad()
def velocity_on_line(
    log_density: Curve,
    t: float,
    edges: Sequence[float] = (-40.0, 40.0),
    panels: int = 2000,
) -> LineVelocity:
    """Return density and velocity of a curve of densities on a line.

    Arguments and errors are those of :func:`velocity_norm`.
    """
    t = as_number("t", t, "a finite number", math.isfinite)
    rule = _rule(edges, as_integer("panels", panels, 1))
    points = rule.points.flatten().unsqueeze(1)
    # Each point has a time of its own, so that one gradient holds all derivatives.
    times = torch.full((len(points),), t, dtype=torch.float64)

    def total(moments: Tensor) -> Tensor:
        return log_density(points, moments).sum()

    try:
        values = log_density(points, times)
    except ValueError as error:
        raise ValueError(
            f"velocities are those of densities on a line, and log_density is called with points "
            f"of shape {tuple(points.shape)}: {error}"
        ) from error
    fits = values.shape == (len(points),) and bool(values.isfinite().all())
    expect(fits, "log_density", "a function to finite numbers (points,)", values)
    relative = (values - values.max()).view_as(rule.points)
    density = relative.exp()
    mass = (rule.weights * density).sum()
    density = density / mass
    rates = torch.func.grad(total)(times).view_as(density)
    # ∂_tρ = ρ (∂_t log ρ̃ - d log Z/dt).
    mean = (rule.weights * density * rates).sum()
    change = density * (rates - mean)
    flow = _cumulative(change, rule)
    share = _from_the_left(density, rule)
    # Both are the same but for rounding; in a tail digits would cancel from the other end.
    flux = torch.where(share < 0.5, flow[0], -flow[1])
    counted = relative > _LEAST
    velocity = torch.where(counted, -flux / density.clamp(min=1e-300), 0.0)
    parts = (rule.points, rule.weights, density, velocity)
    return LineVelocity(*(part.flatten() for part in parts))


def laplace_velocity_norm(separation: float) -> float:
    """Return ``‖v_1‖²`` at the end of the linear path to a :class:`~leaps_triton.LaplacePair`.

    The path is that from ``Laplace(1.0)``. It grows as ``½ m² e^{m/2}``: the farther the peaks are,
    the later mass moves, and through the less.

    Args:
        separation: ``m``, above 0.

    Raises:
        ValueError: it is not above 0.

    Example:
        >>> round(laplace_velocity_norm(4.0), 8)
        33.34897986
    """
    m = as_number("separation", separation, "a positive number", is_positive)
    q = math.exp(-m / 2.0)
    norm = 4.0 - 2.0 * q
    # d log Z/dt at the end.
    rate = (m - 1.0 + q) / (2.0 - q)
    c = m - rate
    k = 2.0 * c - 2.0
    a = 2.0 - c
    middle = m / 2.0

    def g(y: float) -> float:
        side = a + 2.0 * y
        return -math.exp(-y) * (side**2 + 4.0 * side + 8.0)

    left = rate**2 * (4.0 / q - 2.0 - 2.0 * m - q)
    # On the way from the middle to the second peak, and beyond it.
    right = k**2 * (1.0 / q - 1.0) + 2.0 * k * (a * middle + middle**2) + g(middle) - g(0.0)
    return (left + right + c**2) / norm


def ornstein_uhlenbeck(model: GaussianMixture, scale: float = 1.0) -> Curve:
    """Return the curve on which noise of width ``s`` turns into a mixture, in closed form.

    It is an Ornstein–Uhlenbeck process run backwards from time τ, in the clock ``t = e^{-τ}``:
    means are ``t μ_k``, variances ``s² + (σ_k² - s²) t²``, and
    the modes keep their masses on the way.

    Args:
        model: the mixture at ``t = 1``, in any dimension.
        scale: ``s``, the width of the Gaussian at ``t = 0``.

    Returns:
        ``log ρ_t``, normalised, as a function of configurations ``(walkers, dim)`` and a time
        ``(1 | walkers,)``, float64 ``(walkers,)``.

    Raises:
        ValueError: a width that is not above 0.

    References:
        Song and others, *Score-based generative modeling through stochastic differential
        equations*, ICLR (2021).

    Example:
        >>> import leaps_triton as lt
        >>> curve = ornstein_uhlenbeck(lt.GaussianMixture.two(2.0), scale=1.0)
        >>> round(velocity_norm(curve, 0.5), 6)
        2.471055
    """
    square = as_number("scale", scale, "a positive number", is_positive) ** 2
    logs = model.mode_weights.log()

    def log_density(configurations: Tensor, t: Tensor) -> Tensor:
        x = configurations.double()
        device = x.device
        times = torch.as_tensor(t, dtype=torch.float64, device=device).reshape(-1, 1)
        variances = square + (model.scales.to(device).square() - square) * times.square()
        moved = times.unsqueeze(2) * model.means.to(device)
        away = (x.unsqueeze(1) - moved).square().sum(2) / variances
        units = model.dim * torch.log(2.0 * math.pi * variances)
        return (logs.to(device) - 0.5 * (away + units)).logsumexp(1)

    return log_density


class _Rule(NamedTuple):
    """Gauss's rule on panels, and integrals within each panel."""

    points: Tensor
    """``(panels, nodes)``"""
    weights: Tensor
    """``(panels, nodes)``"""
    within: Tensor
    """From the beginning of a panel of half-width 1 to each node, ``(nodes, nodes)``"""
    halves: Tensor
    """Half-widths, ``(panels, 1)``"""


def _rule(edges: Sequence[float], panels: int) -> _Rule:
    """Return the quadrature on panels between edges."""
    given = [float(edge) for edge in edges]
    rising = all(before < after for before, after in itertools.pairwise(given))
    if len(given) < 2 or not rising or not all(math.isfinite(edge) for edge in given):
        raise ValueError(f"edges must be two rising numbers or more, got {shown(edges)}")
    length = given[-1] - given[0]
    bounds = [torch.tensor(given[:1], dtype=torch.float64)]
    for before, after in itertools.pairwise(given):
        count = math.ceil(panels * (after - before) / length)
        bounds.append(torch.linspace(before, after, count + 1, dtype=torch.float64)[1:])
    ends = torch.cat(bounds)
    halves = (ends[1:] - ends[:-1]).unsqueeze(1) / 2.0
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    # Polynomials through the nodes, integrated: that of P_k is (P_{k+1} - P_{k-1}) / (2k + 1).
    values = np.polynomial.legendre.legvander(nodes, _NODES)
    integrals = np.empty((_NODES, _NODES))
    integrals[:, 0] = nodes + 1.0
    for k in range(1, _NODES):
        integrals[:, k] = (values[:, k + 1] - values[:, k - 1]) / (2.0 * k + 1.0)
    within = integrals @ np.linalg.inv(values[:, :_NODES])
    points = (ends[1:] + ends[:-1]).unsqueeze(1) / 2.0 + halves * torch.from_numpy(nodes)
    return _Rule(points, halves * torch.from_numpy(weights), torch.from_numpy(within), halves)


def _from_the_left(values: Tensor, rule: _Rule) -> Tensor:
    """Return the integral from the first edge to each point, ``(panels, nodes)``."""
    whole = (rule.weights * values).sum(1, keepdim=True)
    before = whole.cumsum(0) - whole
    return before + rule.halves * (values @ rule.within.T)


def _cumulative(values: Tensor, rule: _Rule) -> tuple[Tensor, Tensor]:
    """Return the integrals from the first edge to each point, and from there to the last."""
    # Nodes are symmetric, so that the integral to the end is that of the mirror image.
    mirrored = _Rule(rule.points, rule.weights.flip(0), rule.within, rule.halves.flip(0))
    right = _from_the_left(values.flip(0, 1), mirrored).flip(0, 1)
    return _from_the_left(values, rule), right
