"""What walkers say on their way along the path: log Z and observables at every β they pass.

Walkers that enter interval ``n`` are weighed for the density at its frozen time ``τ_n`` (just after
the increment of ``A``, before resampling and moves), or with running weights for that at ``t_n``,
and those at the end for that of ``t = 1``. So each of these times has its own exact weights, and
one run of the sampler tells of all of them.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..integrators.base import Integrator
from ..integrators.states import State
from ..kernels.checks import as_bool, as_integer, as_number, expect
from ..models.base import Model
from ..models.varied import couplings_of
from ..observables.replicas import model_at, of_single_walkers
from ..observables.shared import share
from ..paths.annealing import AnnealingPath
from .weighted import Weighted

__all__ = ["Along", "Recorded", "Recorder", "Stage", "Stops", "stages", "through"]


Along = bool | Sequence[float]
"""True for every β at which walkers are weighed, or the inverse temperatures that are wanted."""

_ROUNDING = 1e-9
"""By how much, relative to the model's β, a time may miss a wanted β."""


class Recorded(NamedTuple):
    """What was measured along the path."""

    betas: Tensor
    """Inverse temperatures in the order of the path, float64 ``(K,)``"""
    densities: Tensor
    """Place of each among the densities of the integrator, ``0, τ_0, …, τ_{N-1}, 1`` or ``0, t_0,
    …, t_{N-1}, 1``, int64 ``(K,)``"""
    log_weights: Tensor
    """``A`` of the walkers there, float64 ``(walkers, K)``"""
    values: Mapping[str, Tensor]
    """Name → observable there, float64 ``(walkers, K)`` or ``(walkers, K, k)``"""
    couplings: Tensor | None = None
    """Couplings there, float64 ``(K, n)``, of a path in couplings, whose ``betas`` are values of
    its schedule; None for a path in β"""

    def first(self, walkers: int) -> "Recorded":
        """Return what the first walkers said."""
        values = {name: value[:walkers] for name, value in self.values.items()}
        return self._replace(log_weights=self.log_weights[:walkers], values=values)

    @classmethod
    def join(cls, parts: Sequence["Recorded"]) -> "Recorded":
        """Return what the walkers of several blocks said as one."""
        values = {}
        for name in parts[0].values:
            values[name] = torch.cat([part.values[name] for part in parts])
        log_weights = torch.cat([part.log_weights for part in parts])
        return parts[0]._replace(log_weights=log_weights, values=values)


@dataclass(frozen=True)
class Stops:
    """Where on the path walkers are measured, and what is measured there.

    Attributes:
        betas: inverse temperatures in the order of the path.
        densities: place of each among the densities of the integrator.
        models: the target at each.
        measured: name → observable of configurations and model.
        couplings: those of each model, float64 ``(K, n)``, on a path in couplings; None on others.
    """

    betas: tuple[float, ...]
    densities: tuple[int, ...]
    models: tuple[Model, ...]
    measured: Mapping[str, Callable[..., Tensor]]
    couplings: Tensor | None = None

    @classmethod
    def on(
        cls, path: Any, integrator: Integrator, along: Along, observables: Sequence[str]
    ) -> "Stops":
        """Return the stops of a sampler.

        Args:
            path: an annealing path.
            integrator: whose boundary times, with the ends of the path, can be stops.
            along: True for all of these, or inverse temperatures among theirs; on a path in
                couplings values of its schedule, from 0 at the start to 1.
            observables: names in :mod:`leaps_triton.observables`.

        Raises:
            ValueError: another path, an unknown observable, a β at which walkers are not weighed.
        """
        known = isinstance(path, AnnealingPath)
        expect(known, "path", "an AnnealingPath, to measure along it", path)
        if not path.linear:
            raise ValueError(
                f"walkers pass temperatures on a path that is linear in one energy alone, and this "
                f"{type(path).__name__} is curved by {type(path.correction).__name__}; leave out "
                f"along="
            )
        # From a start of another kind, densities on the way are those of no model.
        if couplings_of(path.model) and not path.has_couplings:
            raise ValueError(
                "walkers of a field pass couplings and no temperatures, and from this start no "
                "models of its kind; leave out along=, or start from a FreeField"
            )
        if path.leaves_start and not path.has_couplings:
            raise ValueError(
                f"on the way from {path.start!r} to {path.model!r} walkers pass no models at other "
                f"temperatures; leave out along="
            )
        measured = _measured(observables)
        times = integrator.densities
        weighed = path.beta(times).tolist()
        if isinstance(along, bool):
            # Some integrators have the density of t = 0 twice.
            distinct = times.diff(prepend=times.new_tensor([-1.0])) > 0
            places = distinct.nonzero().flatten().tolist()
            betas = [weighed[place] for place in places]
        else:
            betas = _as_betas(along)
            places = [_nearest(beta, weighed, path.model.beta) for beta in betas]
        if path.has_couplings:
            couplings = path.couplings(times[places])
            models = tuple(_coupled(path.model, row) for row in couplings)
            return cls(tuple(betas), tuple(places), models, measured, couplings)
        models = tuple(model_at(path.model, beta) for beta in betas)
        return cls(tuple(betas), tuple(places), models, measured)


def _coupled(model: Any, couplings: Tensor) -> Any:
    """Return a model with other couplings, ``(n,)``, in the order of its own."""
    return model.with_couplings(**dict(zip(model.couplings, couplings.tolist(), strict=True)))


def _measured(observables: Sequence[str]) -> dict[str, Callable[..., Tensor]]:
    """Return the observables of these names, the energy among them."""
    known = of_single_walkers()
    listed = isinstance(observables, Sequence) and not isinstance(observables, str)
    wanted = f"names among {', '.join(known)}"
    expect(listed, "observables", wanted, observables)
    found = {}
    for name in observables:
        expect(isinstance(name, str) and name in known, "observables", wanted, name)
        found[name] = known[name]
    return found


def _as_betas(betas: object) -> list[float]:
    """Return inverse temperatures, rising, checked."""
    wanted = "inverse temperatures that increase, or True for all that the walkers pass"
    expect(isinstance(betas, Sequence | Tensor | np.ndarray), "along", wanted, betas)
    assert isinstance(betas, Sequence | Tensor | np.ndarray)
    found = [as_number("along", beta, "finite numbers", math.isfinite) for beta in betas]
    rising = all(a < b for a, b in itertools.pairwise(found))
    expect(bool(found) and rising, "along", wanted, betas)
    return found


def _nearest(beta: float, weighed: Sequence[float], target: float) -> int:
    """Return the place of a β among those at which walkers are weighed."""
    distances = [abs(beta - each) for each in weighed]
    place = distances.index(min(distances))
    if distances[place] > _ROUNDING * abs(target):
        raise ValueError(
            f"walkers are not weighed at beta = {beta:g}, the nearest is {weighed[place]:g}; give "
            f"the integrator times of leaps_triton.schedules.through(path, betas, intervals), with "
            f"edges=True for running weights and for TauLeap"
        )
    return place


class Recorder:
    """Measures the walkers of one block at their stops.

    Args:
        stops: where, and what.
        walkers: their number.
        device: where they are.
    """

    def __init__(self, stops: Stops, walkers: int, device: torch.device) -> None:
        self._stops = stops
        self._columns = {place: column for column, place in enumerate(stops.densities)}
        shape = (walkers, len(stops.betas))
        self._log_weights = torch.zeros(shape, dtype=torch.float64, device=device)
        self._values: dict[str, Tensor] = {}

    def see(self, state: State, density: int) -> None:
        """Measure walkers that are weighed for the density at this place.

        Args:
            state: all walkers of the block.
            density: its place among the densities of the integrator.
        """
        column = self._columns.get(density)
        if column is None:
            return
        self._log_weights[:, column] = state.log_weights
        x = state.configurations
        # What several observables need of the configurations is found once.
        model = share(x, self._stops.models[column])
        for name, observable in self._stops.measured.items():
            value = observable(x, model).double()
            # The first stop tells the shape of an observable.
            if name not in self._values:
                shape = (len(x), len(self._stops.betas), *value.shape[1:])
                self._values[name] = torch.empty(shape, dtype=torch.float64, device=value.device)
            self._values[name][:, column] = value

    @property
    def recorded(self) -> Recorded:
        """Return what was measured so far."""
        betas = torch.tensor(self._stops.betas, dtype=torch.float64)
        densities = torch.tensor(self._stops.densities)
        return Recorded(betas, densities, self._log_weights, self._values, self._stops.couplings)


@dataclass(frozen=True, repr=False)
class Stage(Weighted):
    """Weighted walkers on their way, at one of the inverse temperatures that they pass.

    Attributes:
        model: the target at that inverse temperature.
        log_weights: ``A`` there, float64 ``(walkers,)``.
        log_z_start: ``log Z_0`` of the start of the path.
        correlated: how many consecutive walkers are correlated: a block after a resampling.
        evaluations: of all rates per walker on the whole way, on average.
        observables: name → what was measured there.
        configurations: None, they have moved on.
        bias: how the weights are biased, in words; empty for exact ones.
    """

    model: Model
    log_weights: Tensor
    log_z_start: float
    correlated: int
    evaluations: float
    observables: Mapping[str, Tensor]
    configurations: Tensor | None = None
    bias: str = ""

    @property
    def values(self) -> Mapping[str, Tensor]:
        """Return what was measured, another name of ``observables``."""
        return self.observables


def stages(
    recorded: Recorded | None, run: Weighted, resamplings: Tensor | None = None, block: int = 1
) -> tuple[Stage, ...]:
    """Return the stages of a run, from the hottest to the coldest.

    Args:
        recorded: what was measured along the path; None for nothing.
        run: the walkers at the end of it.
        resamplings: number of blocks that were resampled at each density but that of ``t = 0``,
            int64 ``(N + 1,)``; None for none.
        block: walkers that are relatives after a resampling.
    """
    if recorded is None:
        return ()
    found = []
    for column, beta in enumerate(recorded.betas.tolist()):
        correlated = 1
        # Walkers are measured before they are resampled at the same place.
        before = max(int(recorded.densities[column]) - 1, 0)
        if resamplings is not None and bool(resamplings[:before].any()):
            correlated = block
        if recorded.couplings is not None:
            model = _coupled(run.model, recorded.couplings[column])
        else:
            model = model_at(run.model, beta)
        stage = Stage(
            model=model,
            log_weights=recorded.log_weights[:, column],
            log_z_start=run.log_z_start,
            correlated=correlated,
            evaluations=run.evaluations,
            observables={name: value[:, column] for name, value in recorded.values.items()},
            bias=run.bias,
        )
        found.append(stage)
    # Of a falling path the coldest comes first.
    return tuple(sorted(found, key=lambda stage: stage.model.beta))


def through(
    path: AnnealingPath, betas: Sequence[float], intervals: int, edges: bool = False
) -> Tensor:
    """Return times for an integrator with walkers weighed at given β.

    Each β is that of the middle of an interval, where frozen weights stand, or of an end of the
    path; the way between them is divided evenly. With ``edges`` it is that of a time between two
    intervals, where running weights stand, and those of :class:`~leaps_triton.TauLeap`.

    Args:
        path: the annealing path.
        betas: inverse temperatures that increase, from that of the start to the model's own.
        intervals: how many there would be without these β; there are a few more.
        edges: whether each β is to be between two intervals.

    Returns:
        float64 ``(n + 1,)``, from 0 to 1.

    Raises:
        ValueError: a β that is not on the path, no interval.

    Example:
        >>> import leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Ising((4, 4), beta=0.5))
        >>> jump = lt.Jump(through(path, [0.1, 0.4, 0.5], intervals=4))
        >>> path.beta(jump.frozen)
        tensor([0.0250, 0.1000, 0.2000, 0.3000, 0.4000, 0.4750], dtype=torch.float64)
    """
    expect(isinstance(path, AnnealingPath), "path", "an AnnealingPath", path)
    intervals = as_integer("intervals", intervals, 1)
    edges = as_bool("edges", edges)
    # Where β falls along the path, its times come in the order opposite to that of β.
    stops = path.time_of(_as_betas(betas)).sort().values
    # The ends of the path are weighed at in any case.
    inner = stops[(stops > _ROUNDING) & (stops < 1.0 - _ROUNDING)].tolist()
    step = 1.0 / intervals
    corners = [0.0, *inner, 1.0]
    times = [0.0]
    if edges:
        for corner in corners[1:]:
            times = _divided(times, corner, step)
        return torch.tensor(times, dtype=torch.float64)
    for before, middle, after in zip(corners, inner, corners[2:], strict=False):
        # Half an interval, so short that those of neighbours do not overlap. At the ends of the
        # path there is no neighbour, but some way must be left.
        half = min(step, middle - before, after - middle) / 2.0
        times = _divided(times, middle - half, step)
        times.append(middle + half)
    return torch.tensor(_divided(times, 1.0, step), dtype=torch.float64)


def _divided(times: list[float], end: float, step: float) -> list[float]:
    """Return times that go on to ``end``, in even steps of at most ``step``."""
    start = times[-1]
    gap = end - start
    # Intervals of neighbouring stops may meet, but for rounding.
    if gap < _ROUNDING * step:
        return times
    # A step is not divided for the rounding of the gap.
    count = math.ceil(gap / step - 1e-6)
    more = [start + gap * share / count for share in range(1, count)]
    return [*times, *more, end]
