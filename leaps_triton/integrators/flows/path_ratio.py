"""Noisy steps along any drift, weighed by the ratio of the way back and the way forth."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ...kernels.checks import as_number, is_positive
from ...lattices.waves import squared_momenta
from ...models.fields import mean_field_mass
from ...paths.base import Path
from ...registry import register
from ..base import as_times
from ..states import returned, some
from ..transport import Transport
from .evaluation import log_density_of
from .gaussians import Metric
from .map_step import BIASED, WEIGHTS
from .states import DriftIntegrator, PathInfo, PathState, rows_of_steps
from .steps import Draws, Leg, continuous, overdamped, underdamped

__all__ = ["PRECONDITIONERS", "PathRatio"]

PRECONDITIONERS = ("fourier", None)
"""Names of the metrics in which noise is drawn."""

ABSURD = 100.0
"""Standard deviation of ``A``, per site, beyond which steps have blown up.

Weights of any use spread by a few units in all, unstable steps by many orders of magnitude.
"""

FAR = 1e6
"""Size of configurations from which on it is steps that have blown up, and no odd density."""


@register("integrator")
class PathRatio(DriftIntegrator):
    """Noisy steps along any drift, whose weights are exact for every step size.

    A step from ``x`` at ``t`` to ``y`` at ``t' = t + h`` has the Gaussian density ``F = N(x + h
    (b_t + ε K ∇ log ρ̃_t)(x), 2 ε h K)``, its way back ``B = N(y - h (b_{t'} - ε K ∇ log
    ρ̃_{t'})(y), 2 ε h K)``, and ``A += log ρ̃_{t'}(y) - log ρ̃_t(x) + log B - log F``. So
    ``E[e^A] = Z_1 / Z_0`` and the weighted law is ``ρ_1``, whatever drift, ``ε`` and number of
    steps; no divergence is asked for. ``ε`` may be changed after training, within narrow limits:
    steps of a quartic action blow up where ``ε h`` is large, which is refused with an error once
    the weights tell.

    With a friction ``γ`` (``momentum``) walkers have momenta ``p`` of unit variance: ``p' ~ N(η p +
    c b / √K, 1 - η²)``, ``η = e^{-γ h}``, ``c = √(h (1 - η²) / 2 ε)``, then one leapfrog step at
    ``t'`` of ``ρ̃_{t'}(x) e^{-p²/2}``, positions moving by ``δ √K p``, ``δ² = 2 ε h (1 - η) / (1 +
    η)``; its way back refreshes ``p ~ N(η p' - c b / √K, 1 - η²)`` with the same ``b`` at ``x`` and
    ``t``. A step carries walkers by ``h b`` on average and spreads them by ``2 ε h K``, as without
    momenta, which are its limit of large ``γ``.

    With ``weights="continuous"``, those of the paper, ``A += h ξ_t(x)``, ``ξ = ∂_t log ρ̃ + ∇·b +
    b·∇ log ρ̃``. They are **biased**, by ``O(h)``, and no effective sample size shows it.

    The frozen time of an interval is its beginning, where the weighted law is ``ρ_{t_n}``: moves
    act there.

    Args:
        intervals: their number, on a uniform grid, or the increasing times ``0, …, 1``.
        diffusion: ``ε``, finite and > 0.
        momentum: friction ``γ`` per unit of ``t``, > 0; None for no momenta.
        preconditioner: ``"fourier"`` for ``K = 1 / (k̂² + M²)``, so that long waves spread further,
            of a periodic lattice; None for ``K = 1``, which a sampler takes on an open lattice, as
            that of a :class:`~leaps_triton.Density`, whatever is asked for.
        weights: ``"exact"`` or ``"continuous"``, the latter without momenta.
        mass_squared: ``M²`` of the preconditioner, > 0; None for the mean-field mass of a φ⁴ target
            (1 for others), which the sampler keeps.

    Raises:
        ValueError: no interval, times that do not increase from 0 to 1, a number out of range,
            unknown weights or preconditioner.

    References:
        Albergo, Vanden-Eijnden, *NETS: a non-equilibrium transport sampler*, arXiv:2410.02711
        (2024), for drift and continuous weights. Nilmeier, Crooks, Minh, Chodera, *Nonequilibrium
        candidate Monte Carlo*, PNAS 108, E1009 (2011), for weights of discrete steps.

    Example:
        >>> PathRatio(intervals=4, diffusion=0.1).settings["diffusion"]
        0.1
    """

    takes_any_drift = True
    one_way = "continuous weights hold for no reversed path; take PathRatio(weights='exact')"

    def __init__(
        self,
        intervals: int | Sequence[float] | Tensor = 50,
        diffusion: float = 0.3,
        momentum: float | None = None,
        preconditioner: str | None = "fourier",
        weights: str = "exact",
        mass_squared: float | None = None,
    ) -> None:
        self.times = as_times(intervals, "intervals")
        if weights not in WEIGHTS:
            raise ValueError(f"weights must be one of {', '.join(WEIGHTS)}, got {weights!r}")
        if preconditioner not in PRECONDITIONERS:
            raise ValueError(f'preconditioner must be "fourier" or None, got {preconditioner!r}')
        self.weights = weights
        self.exact = weights == "exact"
        if not self.exact:
            self.bias = BIASED
        self.preconditioner = preconditioner
        self.diffusion = as_number("diffusion", diffusion, "finite and > 0", is_positive)
        self.momentum: float | None = None
        if momentum is not None:
            wanted = "None or a friction, finite and > 0"
            self.momentum = as_number("momentum", momentum, wanted, is_positive)
            if not self.exact:
                raise ValueError(
                    "momentum must be None with continuous weights, which are those of a path "
                    f"without momenta, got {momentum}"
                )
        self.mass_squared: float | None = None
        if mass_squared is not None:
            wanted = "None or finite and > 0"
            self.mass_squared = as_number("mass_squared", mass_squared, wanted, is_positive)

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments that, after the times, make this integrator again; plain JSON."""
        return {
            "diffusion": self.diffusion,
            "momentum": self.momentum,
            "preconditioner": self.preconditioner,
            "weights": self.weights,
            "mass_squared": self.mass_squared,
        }

    @property
    def moves_alone(self) -> bool:
        """Return that its noise moves walkers without a transport too."""
        return True

    def settled(
        self, path: Path, transport: Transport | None, before: object = None
    ) -> "PathRatio":
        """Return the same integrator with the mass of its preconditioner decided, if it has one."""
        if self.preconditioner is None:
            return self
        lattice = getattr(path.model, "lattice", None)
        if lattice is not None and not all(lattice.periodic):
            # There are no waves where the last site is no neighbour of the first.
            white = {"preconditioner": None, "mass_squared": None}
            return PathRatio(self.times, **self.settings | white)
        if self.mass_squared is not None:
            return self
        mass = _mass_of(path.model)
        if isinstance(before, PathRatio) and before.mass_squared is not None:
            mass = before.mass_squared
        return PathRatio(self.times, **self.settings | {"mass_squared": mass})

    def accept(self, path: Path, transport: Transport | None, device: torch.device) -> None:
        """Raise a ValueError for configurations that cannot be moved by a little."""
        dtype = path.model.dtype
        if not dtype.is_floating_point or not callable(getattr(path, "score", None)):
            raise ValueError(
                f"PathRatio needs floating-point configurations and a path with score(x, t), as "
                f"that of PhiFour, got {path.model!r} of {dtype}; take Jump or TauLeap"
            )

    def waits(self, path: Path, transport: Transport | None) -> bool:
        """Return that walkers go together: each step is one of all walkers."""
        return True

    def metric(self, shape: Sequence[int], device: torch.device) -> Metric:
        """Return the metric in which noise is drawn.

        Args:
            shape: lengths of a configuration.
            device: where it is wanted.
        """
        if self.preconditioner is None:
            return Metric(None)
        mass = 1.0 if self.mass_squared is None else self.mass_squared
        return Metric(1.0 / (squared_momenta(tuple(shape), device) + mass))

    def init(self, configurations: Tensor, walkers: Tensor, backward: bool = False) -> PathState:
        """Return walkers at ``t = 0`` with ``A = 0``, before the first step.

        Args:
            configurations: ``(walkers, *shape)``.
            walkers: their global indices, int64 ``(walkers,)``.
            backward: whether they begin at ``t = 1``, after the last step.

        Raises:
            ValueError: backward, with continuous weights.
        """
        zeros, counts, interval = self.begun(walkers, backward)
        nothing = zeros.new_zeros(len(walkers), 0)
        momenta = nothing
        if self.momentum is not None:
            # Drawn in the first step, of which the seed is known.
            momenta = torch.zeros_like(configurations, dtype=torch.float64)
        return PathState(
            configurations,
            log_weights=zeros,
            interval=interval,
            remaining=zeros,
            walkers=walkers,
            events=counts,
            momenta=momenta,
            evaluated=configurations,
            # No time of a path, so that the first step evaluates.
            evaluated_at=zeros - 1.0,
            drift=nothing,
            score=nothing,
        )

    def step(
        self,
        state: PathState,
        path: Path,
        transport: Transport | None,
        seed: int,
        backward: bool = False,
    ) -> tuple[PathState, PathInfo]:
        """Let every walker with time remaining make its step; leave others alone.

        The ``A`` of a walker whose step is not finite turns NaN; :meth:`check` reports it.
        """
        active = state.remaining != 0
        after = _ready(state)
        there = torch.zeros_like(state.log_weights)
        back = torch.zeros_like(state.log_weights)
        for interval, event, rows in rows_of_steps(state.interval, state.events, active):
            leg = self._leg(path, transport, interval, state.configurations, backward)
            draws = Draws(seed, event, state.walkers[rows])
            part, info = self._made(leg, some(after, rows), draws)
            after = returned(after, rows, part)
            there = there.index_copy(0, rows, info.there)
            back = back.index_copy(0, rows, info.back)
        after = after._replace(
            remaining=torch.zeros_like(state.remaining), events=state.events + active
        )
        return after, PathInfo(there, back)

    def _leg(
        self, path: Path, transport: Transport | None, interval: int, x: Tensor, backward: bool
    ) -> Leg:
        """Return the step of an interval."""
        begin, end = self.times[interval : interval + 2].to(x.device).split(1)
        friction = 0.0 if self.momentum is None else self.momentum
        return Leg(
            path,
            transport,
            self.metric(x.shape[1:], x.device),
            begin,
            end,
            float(end - begin),
            self.diffusion,
            friction,
            backward,
        )

    def _made(self, leg: Leg, state: PathState, draws: Draws) -> tuple[PathState, PathInfo]:
        """Return walkers after a step that all of them make."""
        if self.momentum is not None:
            return underdamped(leg, state, draws)
        if self.exact:
            return overdamped(leg, state, draws)
        return continuous(leg, state, draws)

    def check(self, state: PathState, info: PathInfo, path: Path | None = None) -> None:
        """Raise a RuntimeError naming ``ε`` and ``h`` if weights are not finite, or absurd."""
        interval = int(state.interval[0].clamp(0, self.intervals - 1))
        begin = float(self.times[interval])
        length = float(self.times[interval + 1]) - begin
        bad = self.broken(state, info)
        if bool(bad.any()):
            row = int(bad.nonzero()[0])
            self._check_density(path, state, row, begin + length)
            found = f"walker {int(state.walkers[row])} has log-weight "
            found += f"{float(state.log_weights[row])}"
        else:
            sites = state.configurations[0].numel()
            spread = 0.0
            if len(state.log_weights) > 1:
                spread = float(state.log_weights.std())
            if spread <= ABSURD * sites:
                return
            found = f"log-weights have a standard deviation of {spread:.3g}"
        raise RuntimeError(
            f"steps with diffusion = {self.diffusion:g} and h = {length:.3g} have blown up at t = "
            f"{begin:g}: {found}; explicit steps along the force of a quartic action are stable "
            f"for small diffusion * h alone: take a smaller diffusion, more intervals, or MapStep"
        )

    def _check_density(self, path: Path | None, state: PathState, row: int, t: float) -> None:
        """Raise a RuntimeError if it is the density of a walker that is not finite."""
        x = state.configurations[row : row + 1]
        if path is None or not bool(x.isfinite().all()) or float(x.abs().max()) > FAR:
            return
        density = log_density_of(path, x, t)
        if not math.isfinite(density):
            raise RuntimeError(
                f"log_density, or the energy, of {path.model!r} is not finite where walker "
                f"{int(state.walkers[row])} is at t = {t:g}, {density}; it must be finite "
                f"everywhere"
            )


def _ready(state: PathState) -> PathState:
    """Return walkers with room for an evaluation."""
    if state.drift.shape == state.configurations.shape:
        return state
    x = state.configurations
    return state._replace(drift=torch.zeros_like(x), score=torch.zeros_like(x))


def _mass_of(model: Any) -> float:
    """Return the mean-field mass of a φ⁴ model, and 1 for others."""
    couplings = getattr(model, "couplings", None)
    if not isinstance(couplings, dict) or set(couplings) != {"mass_squared", "quartic"}:
        return 1.0
    return mean_field_mass(model.shape, **couplings)
