"""Training losses, each a function of a batch, and a free energy that is learned beside them."""

from typing import Any

import torch
from torch import Tensor, nn

from .. import kernels
from ..integrators.rates import Transport, examine, rates_of
from ..integrators.transport import precision_of
from ..kernels.checks import as_integer, as_number, as_seed, expect, is_positive, is_real
from ..paths.base import Path, change_of
from .residuals import (
    Physics,
    hamilton_jacobi,
    residual,
    residual_parts,
    with_noise,
    with_physics,
)

__all__ = [
    "LOSSES",
    "FreeEnergy",
    "action_matching",
    "increments",
    "log_variance",
    "mean_square",
    "physics_informed",
    "residual",
    "residual_parts",
    "squared_residual",
]


LOSSES = ("physics_informed", "log_variance", "squared_residual", "action_matching")
"""Names of the losses that a :class:`~leaps_triton.Trainer` offers."""


# Median of |r| over the standard deviation, of a normal law.
_NORMAL_MEDIAN = 0.6744897501960817


class FreeEnergy(nn.Module):
    """A small network ``F_t`` of ``t`` alone that learns ``log Z_t / Z_0`` beside a transport.

    ``F_t = N t f(t)`` with ``f`` a two-layer network, in float64. Its derivative stands for ``c_t``
    in :func:`physics_informed`: it averages over steps and times, which a batch cannot. A sampler
    does not need it.

    Args:
        sites: ``N``.
        width: hidden width.
        seed: of the initial parameters.

    Raises:
        ValueError: a number or seed out of range.

    References:
        Holderrieth, Albergo, Jaakkola, *LEAPS*, arXiv:2502.10843 (2025).

    Example:
        >>> free_energy = FreeEnergy(sites=16)
        >>> free_energy.rate(torch.tensor([0.0, 1.0]))
        tensor([0., 0.], dtype=torch.float64, grad_fn=...)
    """

    def __init__(self, sites: int, width: int = 16, seed: int = 0) -> None:
        super().__init__()
        self.sites = as_integer("sites", sites, 1)
        width = as_integer("width", width, 1)
        generator = torch.Generator().manual_seed(as_seed(seed))
        # Hidden units that bend at points spread over [0, 1].
        centres = torch.rand(width, generator=generator, dtype=torch.float64)
        slopes = 4.0 * torch.rand(width, generator=generator, dtype=torch.float64) - 2.0
        self.slopes = nn.Parameter(slopes)
        self.offsets = nn.Parameter(-slopes * centres)
        # From 0 on: unlike a transport's, this point is not stationary.
        self.readout = nn.Parameter(torch.zeros(width + 1, dtype=torch.float64))

    def forward(self, t: Tensor) -> Tensor:
        """Return ``F_t``, float64, of the shape of ``t``."""
        t = t.double()
        hidden = torch.tanh(t.unsqueeze(-1) * self.slopes + self.offsets)
        # The factor t makes F_0 = 0; N is the scale of a free energy.
        return self.sites * t * (hidden @ self.readout[1:] + self.readout[0])

    def rate(self, t: Tensor) -> Tensor:
        """Return ``c_t = dF_t / dt``, float64, of the shape of ``t``; parameters have gradients."""
        # Each F_t depends on its own t alone: the gradient of the sum is every derivative.
        slope: Tensor = torch.func.grad(lambda s: self(s).sum())(t.double())
        return slope


def mean_square(deviations: Tensor, huber: float | None = None) -> Tensor:
    """Return the mean of ``r²``, or of Huber's loss.

    Huber's loss grows linearly where ``|r|`` exceeds ``δ`` standard deviations ``s``: ``r²`` up to
    ``δs``, then ``δs (2|r| - δs)``, so that the gradient of one walker is bounded. The standard
    deviation of a row is taken from the median of its ``|r|``, which outliers do not move, or where
    that is 0 from their mean square, and is a constant to the gradient.

    Args:
        deviations: ``r``, ``(rows, walkers)``.
        huber: ``δ``, > 0; None for the square.

    Raises:
        ValueError: a ``huber`` that is not positive, deviations of another shape.

    References:
        Huber, *Robust estimation of a location parameter*, Ann. Math. Statist. 35, 73 (1964).

    Example:
        >>> mean_square(torch.tensor([[1.0, -1.0, 1.0, 5.0]]), huber=2.0 * 0.6744897501960817)
        tensor(4.7500)
    """
    rows = is_real(deviations) and deviations.ndim == 2
    expect(rows, "deviations", "a tensor of (rows, walkers)", deviations)
    if huber is None:
        return deviations.square().mean()
    delta = as_number("huber", huber, "None or a positive number", is_positive)
    size = deviations.abs()
    constant = size.detach()
    scale = constant.median(dim=1, keepdim=True).values / _NORMAL_MEDIAN
    root_mean_square = constant.square().mean(1, keepdim=True).sqrt()
    scale = torch.where(scale > 0, scale, root_mean_square)
    bound = delta * scale
    linear = bound * (2.0 * size - bound)
    return torch.where(size <= bound, size.square(), linear).mean()


def physics_informed(
    path: Path,
    transport: Transport,
    configurations: Tensor,
    t: Tensor,
    baseline: Tensor | None = None,
    huber: float | None = None,
    weights: Tensor | None = None,
    diffusion: float = 0.0,
    optimal: float = 0.0,
    physics: Physics | None = None,
) -> Tensor:
    """Return ``E (ξ_t(x) - c_t)²``, the mean over times.

    Without ``c_t`` it is the variance over configurations. At the optimum, on data of ``ρ_t``,
    ``c_t = ∂_t log Z_t``; zero means weights without variance.

    Args:
        path: the annealing path.
        transport: a locally equivariant network.
        configurations: ``(times, walkers, *shape)``, at least two walkers per time.
        t: float64 ``(times,)``.
        baseline: ``c_t``, float64 ``(times,)``, as :meth:`FreeEnergy.rate` returns it; None for the
            batch mean at each time, with the factor ``walkers / (walkers - 1)`` that makes the
            variance unbiased.
        huber: see :func:`mean_square`.
        weights: what ``ξ_t`` and ``c_t`` are multiplied by at each time, ``(times,)``; None for 1.
        diffusion: ``σ`` of :func:`~leaps_triton.training.residuals.with_noise`, for drifts.
        optimal: weight of the variance of
            :func:`~leaps_triton.training.residuals.hamilton_jacobi`, which is added.
        physics: what ``ξ`` takes of the path, ``(times, walkers, …)``, noise included; None to
            compute it.

    References:
        Holderrieth, Albergo, Jaakkola, *LEAPS*, arXiv:2502.10843 (2025), for ``c_t`` from a learned
        free energy; Ou, Zhang, Li, *DNFS*, arXiv:2505.17741 (2025), for the batch mean as control
        variate.
    """
    times, walkers = configurations.shape[:2]
    per_walker = t.repeat_interleave(walkers)
    given = (path, transport, configurations.flatten(0, 1), per_walker)
    if physics is not None:
        known = Physics(physics.change.flatten(), physics.score.flatten(0, 1))
        xi = with_physics(*given, known)
    elif diffusion:
        xi = with_noise(*given, diffusion)
    else:
        xi = residual(*given)
    values = xi.view(times, walkers)
    if weights is not None:
        values = values * weights.unsqueeze(1)
        if baseline is not None:
            baseline = baseline * weights
    loss = _spread(values, baseline, huber)
    if not optimal:
        return loss
    second = hamilton_jacobi(*given, diffusion).view(times, walkers)
    return loss + optimal * _spread(second, None, huber)


def action_matching(path: Any, transport: Any, configurations: Tensor, t: Tensor) -> Tensor:
    """Return ``E[½ |∇ϕ_t|²] - Cov[ϕ_t, ∂_t log ρ̃_t]``, the mean over times.

    Up to a constant it is half the squared distance of ``∇ϕ`` from the one gradient that carries
    ``ρ_t`` along. By parts in ``t`` it is the action ``∫ E[½ |∇ϕ|² + ∂_t ϕ] dt + E_0[ϕ_0] -
    E_1[ϕ_1]``, but needs neither the two ends nor ``∂_t ϕ``. It may be negative, and does not tell
    how good the drift is; the residual does.

    Args:
        path: the annealing path.
        transport: a drift with ``potential(configurations, conditions)``, such as
            :class:`~leaps_triton.GradientDrift`.
        configurations: ``(times, walkers, *shape)``, at least two walkers per time.
        t: float64 ``(times,)``.

    Raises:
        ValueError: a transport without potential, or a single walker.

    References:
        Neklyudov, Brekelmans, Severo, Makhzani, *Action matching*, arXiv:2210.06662 (2022);
        Albergo, Vanden-Eijnden, *NETS*, arXiv:2410.02711 (2024), for its place beside the residual.
    """
    potential = getattr(transport, "potential", None)
    expect(callable(potential), "transport", "a drift with potential: a GradientDrift", transport)
    times, walkers = configurations.shape[:2]
    if walkers < 2:
        raise ValueError(f"a covariance needs at least two walkers per time, got {walkers}")
    x = configurations.flatten(0, 1)
    per_walker = t.repeat_interleave(walkers)
    conditions = path.conditions(per_walker.to(precision_of(transport)))
    drift, _ = transport(x, conditions)
    kinetic = 0.5 * drift.double().square().flatten(1).sum(1)
    # Without gradient: it is a number of the physics alone.
    change = change_of(path, x, per_walker).view(times, walkers)
    centred = change - change.mean(1, keepdim=True)
    values = transport.potential(x, conditions).view(times, walkers)
    covariance = (values * centred).sum(1) / (walkers - 1)
    return kinetic.mean() - covariance.mean()


def _spread(values: Tensor, baseline: Tensor | None, huber: float | None) -> Tensor:
    """Return the mean square about a value per row, or about each row's own mean."""
    if baseline is not None:
        return mean_square(values - baseline.unsqueeze(1), huber)
    walkers = values.shape[1]
    if walkers < 2:
        raise ValueError(
            f"the mean of a batch needs at least two walkers a row, got {walkers}; give more, or a "
            f"baseline"
        )
    centred = values - values.mean(1, keepdim=True)
    # The mean takes a degree of freedom: without this factor the variance would be too small.
    return mean_square(centred, huber) * (walkers / (walkers - 1))


def increments(
    path: Path,
    transport: Transport,
    trajectories: Tensor,
    t: Tensor,
    floor: float,
    reversible: str | None,
) -> Tensor:
    """Return what every step of tau-leaping adds to ``A`` along given paths.

    The result is float64 ``(times, steps, walkers)``, the same as that of
    :func:`~leaps_triton.integrators.leap_increment`, with one evaluation for the step that ends at
    a configuration and the one that begins there. Weights are exact at any step length, so nothing
    here is a limit of small steps.

    Args:
        path: the annealing path.
        transport: a locally equivariant network.
        trajectories: ``(times, steps + 1, walkers, *shape)``, whoever chose them.
        t: times of their points, increasing, float64 ``(times, steps + 1)``.
        floor: scale of the reversible rates, see :class:`~leaps_triton.TauLeap`.
        reversible: their kind.

    Raises:
        ValueError: times that do not increase, or of another shape; a floor that is not positive.
    """
    of_walkers = isinstance(trajectories, Tensor) and trajectories.ndim > 3
    expect(of_walkers, "trajectories", "of every walker", trajectories)
    times, points, walkers = trajectories.shape[:3]
    fits = is_real(t) and t.shape == (times, points) and points > 1
    rising = fits and bool((t.diff(dim=1) > 0).all())
    wanted = f"increasing times of shape ({times}, {points}), at least two of them"
    expect(rising, "t", wanted, t)
    floor = as_number("floor", floor, "a positive number", is_positive)
    # All walkers of a row are at the same times.
    when = t.unsqueeze(2).expand(times, points, walkers)
    found = examine(path, transport, trajectories.flatten(0, 2), when.flatten())
    # Every point but the last begins a step, every one but the first ends one.
    shape = (times, points, walkers)
    forward = rates_of(found, reversible, floor, False).rates.unflatten(0, shape)
    backward = rates_of(found, reversible, floor, True).rates.unflatten(0, shape)
    out_of_start = forward[:, :-1].flatten(0, 2)
    back_from_end = backward[:, 1:].flatten(0, 2)
    before = trajectories[:, :-1].flatten(0, 2)
    after = trajectories[:, 1:].flatten(0, 2)
    duration = when.diff(dim=1).flatten()
    there = kernels.tau_leap_log_probability(before, after, out_of_start, duration)
    back = kernels.tau_leap_log_probability(after, before, back_from_end, duration)
    log_density = (-path.beta(when.flatten()) * found.energy).view(shape)
    return log_density.diff(dim=1) + (back - there).view(times, points - 1, walkers)


def log_variance(
    path: Path,
    transport: Transport,
    trajectories: Tensor,
    t: Tensor,
    free_energy: Tensor | None = None,
    huber: float | None = None,
    floor: float = 0.3,
    reversible: str | None = "square_root",
) -> Tensor:
    """Return ``Var[A]`` of given paths per unit of time.

    The variance is over walkers, the mean over segments of the annealing path. Zero means weights
    without variance, whatever the law of the paths. A constant added to ``A`` changes nothing.

    Args:
        path: the annealing path.
        transport: a locally equivariant network.
        trajectories: ``(times, steps + 1, walkers, *shape)``, at least two walkers per segment;
            those of a segment need not begin in one configuration.
        t: times of their points, increasing, float64 ``(times, steps + 1)``.
        free_energy: ``F_t`` at these times, whose difference stands for the mean of ``A``; None for
            the batch mean.
        huber: see :func:`mean_square`.
        floor: scale of the reversible rates, see :class:`~leaps_triton.TauLeap`.
        reversible: their kind.

    References:
        Richter, Boustati, Nüsken, Ruiz, Akyildiz, *VarGrad*, arXiv:2010.10436 (2020), for the
        variance of log-weights as a loss.
    """
    gained = increments(path, transport, trajectories, t, floor, reversible).sum(1)
    # Var[A] per unit of time is the variance of A over the root of the time.
    root = (t[:, -1] - t[:, 0]).sqrt()
    expected = None
    if free_energy is not None:
        expected = (free_energy[:, -1] - free_energy[:, 0]) / root
    return _spread(gained / root.unsqueeze(1), expected, huber)


def squared_residual(
    path: Path,
    transport: Transport,
    trajectories: Tensor,
    t: Tensor,
    free_energy: Tensor | None = None,
    huber: float | None = None,
    floor: float = 0.3,
    reversible: str | None = "square_root",
) -> Tensor:
    """Return ``E (a/h - c)²`` with ``a`` what one step of length ``h`` adds to ``A``.

    This is :func:`physics_informed` of exact steps. ``c`` is ``(F_{t+h} - F_t)/h``, or the mean
    over the walkers of a step. Neighbours that move in one step leave an ``E (a/h - c)²`` of order
    one at any ``h`` (and a ``Var[A]`` of order ``h``): what leaping itself costs is in the loss,
    and so it lowers rates that jumps would not.

    Args:
        path: the annealing path.
        transport: a locally equivariant network.
        trajectories: ``(times, steps + 1, walkers, *shape)``, at least two walkers per time.
        t: times of their points, increasing, float64 ``(times, steps + 1)``.
        free_energy: ``F_t`` at these times; None for the batch mean.
        huber: see :func:`mean_square`.
        floor: scale of the reversible rates, see :class:`~leaps_triton.TauLeap`.
        reversible: their kind.
    """
    gained = increments(path, transport, trajectories, t, floor, reversible)
    steps = t.diff(dim=1)
    rate = gained / steps.unsqueeze(2)
    expected = None
    if free_energy is not None:
        expected = (free_energy.diff(dim=1) / steps).flatten()
    return _spread(rate.flatten(0, 1), expected, huber)
