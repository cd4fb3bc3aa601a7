"""Times for a sampler's intervals, chosen by pilot walkers.

Between them the ESS falls by equal factors, or the thermodynamic length grows by equal steps. Any
increasing times from 0 to 1 leave the weights exact; good ones make them even. These functions
return times for :class:`~leaps_triton.Jump` and :class:`~leaps_triton.TauLeap`, which AIS, SMC and
learned samplers take alike. Pilot walkers of one seed choose them; take another seed to sample, so
that the estimates stay independent of the choice. :func:`through` needs no pilot: with its times a
run is measured at given inverse temperatures on the way.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..estimators.weights import effective_sample_size, normalised
from ..integrators.states import State
from ..kernels.checks import as_integer, as_number, as_seed, expect, shown
from .along import through
from .passage import Moves
from .sampler import Sampler

__all__ = ["constant_ess", "equal_steps", "thermodynamic_length", "through"]


_BISECTIONS = 20
"""Halvings in the search of an interval's end."""

_GRID = 2**14
"""Points at which the length that has been gone is known."""


def equal_steps(times: Tensor, speed: Tensor, intervals: int) -> Tensor:
    """Return times between which ``∫ speed dt`` is the same.

    Args:
        times: increasing from 0 to 1, float64 ``(n,)``.
        speed: at these times, and linear between them; ≥ 0 and not all 0, float64 ``(n,)``.
        intervals: their number.

    Returns:
        float64 ``(intervals + 1,)``, from 0 to 1.

    Raises:
        ValueError: no interval, or a speed that is negative, not finite, or 0 at all times.

    Example:
        >>> equal_steps(torch.tensor([0.0, 1.0]), torch.tensor([0.0, 2.0]), 4)
        tensor([0.0000, 0.5000, 0.7071, 0.8660, 1.0000], dtype=torch.float64)
    """
    intervals = as_integer("intervals", intervals, 1)
    _check_times(times)
    _check_speed(times, speed)
    fine = torch.linspace(0.0, 1.0, _GRID + 1, dtype=torch.float64)
    # Points so close that the length, quadratic in t, may be taken as linear between them.
    fine_speed = _interpolate(fine, times.double(), speed.double())
    length = torch.cumulative_trapezoid(fine_speed, fine)
    length = torch.cat([torch.zeros(1, dtype=torch.float64), length])
    # Equal parts of the whole length, looked up backwards in the length as a function of time.
    shares = torch.linspace(0.0, 1.0, intervals + 1, dtype=torch.float64)
    made = _interpolate(shares * length[-1], length, fine)
    # Integrators ask for exact ends, which the interpolation may miss by rounding.
    made[0] = 0.0
    made[-1] = 1.0
    return made


def _check_times(times: Tensor) -> None:
    """Raise a ValueError unless these are times that increase from 0 to 1."""
    fits = isinstance(times, Tensor) and not times.is_complex()
    fits = fits and times.ndim == 1 and len(times) > 1
    if fits:
        ends = float(times[0]) == 0.0 and float(times[-1]) == 1.0
        fits = ends and bool((times.diff() > 0).all())
    expect(fits, "times", "a tensor of times that increase from 0 to 1", times)


def _check_speed(times: Tensor, speed: Tensor) -> None:
    """Raise a ValueError unless there is one speed per time, and a length to be gone."""
    fits = isinstance(speed, Tensor) and not speed.is_complex()
    fits = fits and speed.shape == times.shape and bool(speed.isfinite().all())
    if not fits or speed.min() < 0 or not bool(speed.any()):
        given = speed.tolist() if isinstance(speed, Tensor) else shown(speed)
        raise ValueError(
            f"speed must be finite, >= 0 and somewhere > 0, one value a time, got {given}"
        )


def _interpolate(at: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return the function through ``(x, y)``, linear between them; ``x`` does not decrease."""
    # The first point has no left neighbour, and rounding may lead beyond the last.
    # Torch warns of points of other strides.
    right = torch.searchsorted(x.contiguous(), at.contiguous()).clamp(1, len(x) - 1)
    width = x[right] - x[right - 1]
    # Where the speed is 0 the length stands still, and any time there will do.
    share = torch.where(width > 0, (at - x[right - 1]) / width, 0.0)
    return y[right - 1] + share * (y[right] - y[right - 1])


@torch.no_grad()
def thermodynamic_length(
    sampler: Sampler, intervals: int, walkers: int = 1024, seed: int = 0
) -> Tensor:
    """Return times with equal steps of the thermodynamic length of the path.

    The length is ``∫ √Var_{ρ_t}(H) |dβ_t/dt| dt``. For small steps, equal lengths make the
    variances of the density increments equal. ``Var(H)`` is measured at the sampler's own frozen
    times (grid times with running weights) and at both ends, from weighted pilot walkers, so its
    grid should be fine enough to follow it.

    Args:
        sampler: any; its walkers, one block, are the pilot.
        intervals: number of intervals wanted.
        walkers: pilot walkers.
        seed: of the pilot, in [0, 2³²).

    Returns:
        float64 ``(intervals + 1,)``, from 0 to 1.

    Raises:
        ValueError: a bad number or seed, or an energy that never varies.

    References:
        Crooks, *Measuring thermodynamic length*, arXiv:0706.0559 (2007).

    Example:
        >>> import leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Ising((4, 4), beta=1.0))
        >>> pilot = lt.Sampler(path, None, lt.Jump(20), lt.HeatBath(), device="cpu")
        >>> jump = lt.Jump(thermodynamic_length(pilot, intervals=10, walkers=256))
        >>> jump.intervals, bool(jump.times[1] < 0.1)
        (10, True)
    """
    intervals = as_integer("intervals", intervals, 1)
    index = _pilot(sampler, walkers, seed)
    path = sampler.path
    densities = sampler.integrator.densities
    shape = (len(index), len(densities))
    energies = torch.zeros(shape, dtype=torch.float64, device=sampler.device)
    log_weights = torch.zeros_like(energies)
    start = path.start.sample(index.to(sampler.device), seed)
    energies[:, 0] = path.excess(start)

    def observe(state: State, entered: Tensor) -> None:
        rows = entered.nonzero().squeeze(1)
        columns = state.interval[entered] + 1
        energies[rows, columns] = path.excess(state.configurations[rows])
        log_weights[rows, columns] = state.log_weights[rows]

    sampler.run_block(index, seed, observe)
    # Weighted mean and variance of H under each density, ρ_0 with even weights.
    share = normalised(log_weights.T).T
    mean = (share * energies).sum(0)
    variance = (share * (energies - mean) ** 2).sum(0).cpu()
    # The derivative of log ρ̃ is that of β times the energy, so an energy of 1 gives its rate.
    rate = path.time_derivative(torch.ones_like(densities), densities).abs()
    speed = variance.sqrt() * rate
    # Walkers that are weighed at the left end of an interval visit time 0 twice.
    distinct = densities.diff(prepend=densities.new_tensor([-1.0])) > 0
    return equal_steps(densities[distinct], speed[distinct], intervals)


class _Pilot(NamedTuple):
    """Pilot walkers of even weights at the beginning of an interval, or at its end."""

    state: Any
    """The walkers"""
    moves: Moves
    """The chains of the sampler's moves"""


@torch.no_grad()
def constant_ess(
    sampler: Sampler,
    ess: float = 0.9,
    walkers: int = 1024,
    seed: int = 0,
    rounds: int = 2,
    max_intervals: int = 10000,
) -> Tensor:
    """Return times at which weights lose the same from boundary to boundary.

    There are so many intervals that each has this ESS. First a ladder. Pilot walkers go through one
    interval at a time, with all that the sampler does there: the density increment to the frozen
    time, sweeps, jumps with ``κ``, the density increment to the end. The end at which even weights
    have come to ``ess`` is found by bisection, each trial with the same random numbers; then the
    walkers are resampled, whatever the sampler does, so that they are even again and stay on the
    path. The last rung is what is left.

    Then, in each round, a run on these times that resamples at every boundary measures the loss
    from one frozen time to the next, and the times move to equal steps of ``√(-log ESS)``; that
    evens out what lies between intervals, and the last rung. Both halves at the ends are left to
    their neighbours.

    Args:
        sampler: any; its own times are not used.
        ess: of one interval, a fraction in (0, 1); nearer to 1 for more intervals.
        walkers: pilot walkers; a measured loss has a relative error of about ``2/√walkers``.
        seed: of the pilot, in [0, 2³²).
        rounds: of refinement; 0 for the ladder alone.
        max_intervals: more than these raise an error.

    Returns:
        float64 ``(N + 1,)``, from 0 to 1.

    Raises:
        ValueError: a bad number or seed.
        RuntimeError: too many intervals.

    References:
        Zhou, Johansen, Aston, *Towards automatic model comparison: an adaptive sequential Monte
        Carlo approach*, arXiv:1303.3123 (2013).

    Example:
        >>> import leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Ising((4, 4), beta=0.4))
        >>> ais = lt.Sampler(path, None, mcmc=lt.HeatBath(), device="cpu")
        >>> len(constant_ess(ais, 0.9, walkers=256)) < len(constant_ess(ais, 0.98, walkers=256))
        True
    """
    ess = as_number("ess", ess, "between 0 and 1", lambda value: 0.0 < value < 1.0)
    rounds = as_integer("rounds", rounds, 0)
    max_intervals = as_integer("max_intervals", max_intervals, 1)
    index = _pilot(sampler, walkers, seed).to(sampler.device)
    times = _ladder(sampler, ess, index, seed, max_intervals)
    # Fewer intervals have no losses between boundaries to be levelled.
    if len(times) > 4:
        for _ in range(rounds):
            times = _levelled(sampler, times, index, seed)
    return times


def _ladder(sampler: Sampler, ess: float, index: Tensor, seed: int, max_intervals: int) -> Tensor:
    """Return times of intervals that have the ESS ``ess`` each; the last has no less."""
    start = sampler.path.start.sample(index, seed)
    state = sampler.integrator.init(start, index)
    pilot = _Pilot(state, Moves.begin(sampler.move, state))
    times = [0.0]
    while times[-1] < 1.0:
        end, after = _rung(sampler, pilot, times[-1], ess, seed)
        if end <= times[-1] or len(times) > max_intervals:
            needed = min(max_intervals, len(times))
            raise RuntimeError(
                f"an ESS of {ess:g} an interval needs more than {needed} intervals, at t = "
                f"{times[-1]:.6g}; lower ess or raise max_intervals (now {max_intervals})"
            )
        times.append(end)
        even = sampler.resample(after.state, len(times), seed)
        # Indices of their own in every interval: no random number is used twice, and counts of
        # events begin anew.
        index = index + len(index)
        state = sampler.integrator.init(even.configurations, index)
        pilot = _Pilot(state, after.moves.of(index))
    return torch.tensor(times, dtype=torch.float64)


def _rung(
    sampler: Sampler, pilot: _Pilot, start: float, ess: float, seed: int
) -> tuple[float, _Pilot]:
    """Return where an interval from ``start`` must end to have this ESS, and the walkers there."""
    after = _through(sampler, pilot, start, 1.0, seed)
    if _ess(after.state) >= ess:
        return 1.0, after
    # The ESS falls with the end, so it is bracketed; the walkers at the last good end are kept.
    low = start
    high = 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        trial = _through(sampler, pilot, start, middle, seed)
        if _ess(trial.state) < ess:
            high = middle
        else:
            low = middle
            after = trial
    return low, after


def _levelled(sampler: Sampler, times: Tensor, index: Tensor, seed: int) -> Tensor:
    """Return as many times at equal steps of the ``√(-log ESS)`` lost between boundaries.

    A run on the given times that resamples at every boundary measures the loss.
    """
    integrator = sampler.integrator.with_times(times)
    # Below 1 lies every ESS but that of even weights.
    resampling = Sampler(
        sampler.path,
        sampler.transport,
        integrator,
        sampler.mcmc,
        resample_below=1.0,
        block=sampler.block,
        device=sampler.device,
        resampling=sampler.resampling,
    )
    # Weights are even after each boundary, so the ESS at the next is what was lost in between.
    # That at the first one is not from one boundary to the next.
    ess = effective_sample_size(resampling.run_block(index, seed).trace.T).cpu()[1:]
    weighed = torch.cat([integrator.boundary_times, times[-1:]])
    if not integrator.running:
        # From the last frozen time to t = 1 no walker moves.
        ess = ess[:-1]
        weighed = weighed[:-1]
    # The clamp takes away what rounding may leave above an ESS of 1.
    speed = (-torch.log(ess)).clamp(min=0.0).sqrt() / weighed.diff()
    # A loss between two boundaries stands for the speed halfway.
    middles = (weighed[1:] + weighed[:-1]) / 2
    at = torch.cat([times[:1], middles, times[-1:]])
    # Both ends are left to their neighbours.
    speed = torch.cat([speed[:1], speed, speed[-1:]])
    return equal_steps(at, speed, len(times) - 1)


def _pilot(sampler: Sampler, walkers: int, seed: int) -> Tensor:
    expect(isinstance(sampler, Sampler), "sampler", "a Sampler", sampler)
    as_seed(seed)
    return torch.arange(as_integer("walkers", walkers, 2))


def _ess(state: State) -> float:
    return float(effective_sample_size(state.log_weights))


def _through(sampler: Sampler, pilot: _Pilot, start: float, end: float, seed: int) -> _Pilot:
    """Take walkers from ``start`` to ``end`` in one interval, with ``A`` counted from 0."""
    inner = [t for t in (start, end) if 0.0 < t < 1.0]
    integrator = sampler.integrator.with_times([0.0, *inner, 1.0])
    # The interval wanted is the first, or the second after one from 0 to its beginning.
    interval = 0 if start == 0.0 else 1
    tau = float(integrator.boundary_times[interval])
    # Pilot walkers are even at the start, so A begins with this increment, of 0 where weights run.
    state = pilot.state
    state = state._replace(
        log_weights=sampler.path.log_increment(state.configurations, start, tau),
        interval=torch.full_like(state.interval, interval),
        remaining=torch.full_like(state.remaining, end - start),
    )
    moves, state = pilot.moves.step(state, sampler.path, tau, seed)
    state = integrator.run_interval(state, sampler.path, sampler.transport, seed)
    # Running weights have come to the end by themselves.
    if not integrator.running:
        last = sampler.path.log_increment(state.configurations, tau, end)
        state = state._replace(log_weights=state.log_weights + last)
    sampler.check_weights(state, end)
    return _Pilot(state, moves)
