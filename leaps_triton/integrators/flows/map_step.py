"""Maps along a drift: walkers move at once and exactly, and the determinant weighs them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...kernels.checks import as_integer
from ...paths.base import Path
from ...registry import register
from ..base import as_times
from ..transport import AnyTransport, Transport, as_transport
from .evaluation import density_change, examine_drift, residual_of
from .maps import factors_of, pull, push, substeps_of
from .states import FlowInfo, FlowIntegrator, FlowState, rows_of_steps

__all__ = ["WEIGHTS", "MapStep"]

WEIGHTS = ("exact", "continuous")
"""Names of the weights of integrators that follow a drift."""

BIASED = (
    'biased by weights="continuous", by O(h), which no error bar shows; take more intervals until '
    "nothing changes, or exact weights"
)
"""What is said of results with continuous weights."""


@register("integrator")
class MapStep(FlowIntegrator):
    """Maps along a drift whose Jacobian determinants are known, so that weights are exact.

    A drift ``b_i = Σ_j K_t(i-j) φ_j + f(φ_i, h_i, t)``, whose ``h_i`` reads sites of the other
    sublattice alone, is followed from ``t`` to ``t'`` by a map ``Φ`` of five factors: ``e^{hK/2}``
    in Fourier space, then the even sites for ``h/2``, the odd ones for ``h``, the even ones for
    ``h/2`` by ``φ_i ← φ_i + η f(φ_i, h_i)``, then ``e^{hK/2}``; ``K`` and ``f`` are those of the
    middle of the interval. Then ``A += log ρ̃_{t'}(Φx) - log ρ̃_t(x) + h Σ_k K_k + Σ log(1 + η
    ∂f/∂φ_i)``, the last sum over the sites of all passes. ``E[e^A] = Z_1 / Z_0`` and the weighted
    law is ``ρ_1``, for every drift and any number of intervals; moves between the maps keep
    ``ρ_{t_n}`` and mend what the drift misses. What the splitting misses costs effective sample
    size, and is never a bias.

    That holds for maps that are one to one and onto alone. A pass is if ``η |∂f/∂φ| < 1``
    everywhere, which follows from the bound that the drift proves of its parameters, and from no
    number of configurations. Where a drift is steeper, the interval is made of several maps.

    A dense drift, such as :class:`~leaps_triton.DenseDrift`, has no halves to move in turn. Its map
    is the implicit midpoint: from ``x`` to ``y`` with ``m = x + (h/2) b(m)`` and ``y = m + (h/2)
    b(m)``, of second order and its own way back, found to the last digits of the drift: one that
    computes in float32, as that of a float32 model does, has exact weights to the digits of float32
    alone, of which many substeps take more. It is one to one and onto if ``(h/2) |J| < 1``
    everywhere, ``J`` the Jacobian of ``b``, which again follows from the drift's own bound; and
    ``log |det| = log det(1 + h J(m)/2) - log det(1 - h J(m)/2)``.

    Without a transport nothing moves within intervals: with moves it is annealed importance
    sampling, of any model.

    With ``weights="continuous"``, those of the paper: the same maps, and ``A += h ξ_t(x)``, ``ξ =
    ∂_t log ρ̃ + ∇·b + b·∇ log ρ̃`` where the interval begins. They are **biased**, by ``O(h)``, and
    no effective sample size shows it.

    The frozen time of an interval is its beginning, where the weighted law is ``ρ_{t_n}``: moves
    act there.

    Args:
        intervals: their number, on a uniform grid, or the increasing times ``0, …, 1``.
        weights: ``"exact"`` or ``"continuous"``.
        substeps: maps of an interval, at least 1; a drift that is too steep for them is refused.
            None for one, or as many as a steeper drift needs.

    Raises:
        ValueError: no interval, times that do not increase from 0 to 1, unknown weights, no
            substep.

    References:
        Albergo, Vanden-Eijnden, *NETS: a non-equilibrium transport sampler*, arXiv:2410.02711
        (2024), for the drift and the continuous weights. Jarzynski, *Targeted free energy
        perturbation*, Phys. Rev. E 65, 046122 (2002), for weights of maps. Hairer, Lubich, Wanner,
        *Geometric Numerical Integration*, II.1 (2006), for the implicit midpoint.

    Example:
        >>> import leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Ising((4, 4), beta=0.3))
        >>> sampler = lt.Sampler(path, None, MapStep(20), lt.HeatBath(), device="cpu")
        >>> ensemble = sampler.sample(walkers=1000, seed=0)
        >>> abs(ensemble.log_z - lt.exact.ising_log_z((4, 4), beta=0.3)) < 4 * ensemble.log_z_error
        True
    """

    one_way = "continuous weights hold for no reversed path; take MapStep(weights='exact')"

    def __init__(
        self,
        intervals: int | Sequence[float] | Tensor = 50,
        weights: str = "exact",
        substeps: int | None = None,
    ) -> None:
        self.times = as_times(intervals, "intervals")
        if weights not in WEIGHTS:
            raise ValueError(f"weights must be one of {', '.join(WEIGHTS)}, got {weights!r}")
        self.weights = weights
        self.exact = weights == "exact"
        if not self.exact:
            self.bias = BIASED
        self.substeps: int | None = None
        if substeps is not None:
            self.substeps = as_integer("substeps", substeps, 1)

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments that, after the times, make this integrator again; plain JSON."""
        return {"weights": self.weights, "substeps": self.substeps}

    def accept(self, path: Path, transport: Transport | None, device: torch.device) -> None:
        """Raise a ValueError for a drift that has no map with a known determinant."""
        answers = as_transport(transport)
        if transport is not None and answers.parity is None and answers.midpoint is None:
            raise ValueError(
                f"MapStep needs a drift with an exact map, such as HollowDrift, with modes, "
                f"active, sublattice and steepest, got {answers.name}{_why(answers)}; take "
                f"PathRatio, which follows any drift"
            )

    def step(
        self,
        state: FlowState,
        path: Path,
        transport: Transport | None,
        seed: int,
        backward: bool = False,
    ) -> tuple[FlowState, FlowInfo]:
        """Let every walker with time remaining make its map; leave others alone.

        The ``A`` of a walker whose map is not finite turns NaN; :meth:`check` reports it.
        """
        active = state.remaining != 0
        gains = torch.zeros_like(state.log_weights)
        determinants = torch.zeros_like(state.log_weights)
        made = torch.zeros_like(state.events)
        x = state.configurations
        answers = as_transport(transport)
        if transport is not None:
            for interval, _, rows in rows_of_steps(state.interval, state.events, active):
                moved = self._moved(x[rows], path, answers, interval, backward)
                x = x.index_copy(0, rows, moved.configurations)
                gains = gains.index_copy(0, rows, moved.gain)
                determinants = determinants.index_copy(0, rows, moved.log_determinant)
                made = made.index_fill(0, rows, moved.substeps)
        else:
            x = x.clone()
        after = state._replace(
            configurations=x,
            log_weights=state.log_weights + gains,
            remaining=torch.zeros_like(state.remaining),
            events=state.events + active,
        )
        return after, FlowInfo(determinants, made)

    def _moved(
        self, x: Tensor, path: Path, answers: AnyTransport, interval: int, backward: bool
    ) -> "_Moved":
        """Return walkers after the map of an interval, or before it."""
        begin, end = self.times[interval : interval + 2].tolist()
        count = substeps_of(answers, begin, end, self.substeps)
        factors = factors_of(answers, begin, end, count)
        if backward:
            before, determinant = pull(answers, x, factors)
            after = x
            moved = before
        else:
            after, determinant = push(answers, x, factors)
            before = x
            moved = after
        # Both densities at one time: what changes with time is added on entering.
        here = self.times[interval : interval + 1].to(x.device)
        if self.exact:
            change = density_change(path, before, after, here)
            return _Moved(moved, change + determinant, determinant, count)
        there = self.times[interval + 1 : interval + 2].to(x.device)
        found = examine_drift(path, answers.given, before, here)
        # The paper's increment, less the change of density that is added on entering.
        gain = (end - begin) * residual_of(path, found, before, here)
        gain = gain - path.log_increment(after, here, there)
        return _Moved(moved, gain, determinant, count)

    def check(self, state: FlowState, info: FlowInfo, path: Path | None = None) -> None:
        """Raise a RuntimeError naming walker and t if a log-weight is not finite."""
        bad = self.broken(state, info)
        if not bool(bad.any()):
            return
        row = int(bad.nonzero()[0])
        interval = int(state.interval[row].clamp(0, self.intervals - 1))
        determinant = float(info.log_determinant[row])
        raise RuntimeError(
            f"walker {int(state.walkers[row])} in the map from t = {float(self.times[interval]):g}"
            f": log-weight {float(state.log_weights[row])} and log-determinant {determinant:g} "
            f"must be finite; the drift may be no function of its arguments, break its own bound "
            f"on the slope, or carry walkers to where the action overflows"
        )


def _why(answers: AnyTransport) -> str:
    """Return why a drift has no map, if it says so."""
    if answers.unmapped:
        return f": {answers.unmapped}"
    return ""


class _Moved(NamedTuple):
    """Walkers after a map, or before it."""

    configurations: Tensor
    gain: Tensor
    """What ``A`` gains forward, float64 ``(walkers,)``"""
    log_determinant: Tensor
    substeps: int
