"""Equilibrium samples along a path, from chains that are run up it or drawn exactly."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ...exact.routes import sample as exact_sample
from ...kernels import Stream, philox
from ...kernels.checks import (
    as_bool,
    as_device,
    as_integer,
    as_number,
    as_seed,
    expect,
    is_positive,
    is_real,
    nearest,
)
from ...mcmc.base import Move
from ...mcmc.clusters import SwendsenWang
from ...mcmc.sweeps import HeatBath
from ...mcmc.tempering import ParallelTempering
from ...models.pair import is_pair_model
from ...paths.annealing import AnnealingPath
from ...progress import Progress, track
from ..data.buffer import Batch
from .trajectories import TRAJECTORIES, field_move

__all__ = ["EQUILIBRIA", "equilibrate"]

EQUILIBRIA = ("swendsen_wang", "heat_bath", "tempering", "exact", "hmc")
"""Ways to equilibrium samples."""

_UPDATES = ((0.8, 2), (1.0, 3), (1.25, 5), (1.5, 8), (math.inf, 15))
"""Cluster updates per 1/64 of the path, up to these strengths ``β Σ_j |J_ij| (φ_max - φ_min) / 2``.

Ising models order at 1.76 in two, 1.33 in three and 1.20 in four dimensions, 3-state Potts at 2.0
in two. One update near there left the energy of 16 × 16 Potts 4 to 6 standard errors off.
"""

_SWEEPS = 4
"""Heat-bath sweeps in the place of one cluster update."""

_STEPS = 300
"""Steps of tempering in all."""

_SWEEPS_OF_REPLICAS = 2
"""Heat-bath sweeps in a step of tempering."""

_SPACING = 1 / 32
"""The widest step between two temperatures of tempering, as a part of the path."""

_SEEDS = 100
"""The draw word of the seeds of exact samples; the numbers of a trainer have smaller ones."""


def equilibrate(
    path: AnnealingPath,
    t: Sequence[float] | Tensor,
    walkers: int | Tensor,
    refresh: str | None = None,
    seed: int = 0,
    progress: bool = False,
    effort: float = 1.0,
    device: torch.device | str | None = None,
) -> Batch:
    """Return equilibrium samples of ``ρ_t`` at increasing times.

    - ``"swendsen_wang"``: chains that begin at the path's start and are run up it, 2 to 15 updates
      of all clusters per 1/64 of the path, more where the model is strongly coupled. For
      ferromagnets, near their transition too; the model must have a symmetry
      (:class:`~leaps_triton.SwendsenWang`).
    - ``"heat_bath"``: the same with four sweeps in the place of each update. For any model, well
      away from transitions.
    - ``"tempering"``: replicas at all these temperatures, and at others in wide gaps, exchanged
      with :class:`~leaps_triton.ParallelTempering`, 300 steps. For glasses.
    - ``"exact"``: independent exact draws, with :func:`~leaps_triton.exact.sample`. For lattices up
      to about 12 wide, of any couplings.
    - ``"hmc"``: for real fields, chains as with ``"swendsen_wang"``, of
      :class:`~leaps_triton.HMC` with masses by mode; three trajectories per 1/64 of the path.

    All but the last are as good as their chains are long: compare the energies with those of twice
    the ``effort``. Walkers are independent of each other; one walker's configurations at successive
    times are not, but with ``"exact"``.

    Args:
        path: the annealing path.
        t: increasing times in ``[0, 1]``, ``(times,)``.
        walkers: their number, or their global indices, int64 ``(walkers,)``: a walker's samples do
            not depend on the others, so several processes may each make some.
        refresh: one of these names; None for ``"hmc"`` of real fields and ``"swendsen_wang"`` of
            spins.
        seed: in [0, 2³²).
        progress: show a progress bar on a terminal, elsewhere a line every half minute.
        effort: multiplies the updates.
        device: where the chains run and the samples are; None for CUDA where there is a CUDA
            device, else the CPU.

    Raises:
        ValueError: If an argument is not as above, or the model has no such samples.

    Example:
        >>> import leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Ising((4, 4), beta=0.4))
        >>> samples = lt.training.equilibrate(path, [0.5, 1.0], walkers=64, seed=0)
        >>> samples.configurations.shape
        torch.Size([2, 64, 4, 4])
    """
    expect(isinstance(path, AnnealingPath), "path", "an AnnealingPath", path)
    times = _as_times(t)
    place = as_device(device)
    index = _as_index(walkers).to(place)
    seed = as_seed(seed)
    effort = as_number("effort", effort, "a positive number", is_positive)
    fields = path.model.dtype.is_floating_point
    if refresh is None:
        refresh = "hmc" if fields else "swendsen_wang"
    hint = nearest(refresh, EQUILIBRIA)
    expect(refresh in EQUILIBRIA, "refresh", f"one of {', '.join(EQUILIBRIA)}{hint}", refresh)
    if fields and refresh != "hmc":
        raise ValueError(
            f"refresh={refresh!r} makes samples of spins, and {path.model!r} is a model of real "
            f"fields; take refresh='hmc', or None"
        )
    if refresh == "exact":
        total = len(times)
        unit = "time"
    elif refresh == "tempering":
        total = math.ceil(_STEPS * effort)
        unit = "step"
    else:
        total = sum(_updates(path, times, effort))
        unit = "update"
    shown = as_bool("progress", progress)
    with track(total, "equilibrating", unit, shown) as told:
        if refresh == "exact":
            found = _drawn(path, times, index, seed, told)
        elif refresh == "tempering":
            found = _tempered(path, times, index, seed, told)
        elif refresh == "swendsen_wang":
            found = _annealed(path, times, index, seed, SwendsenWang(), effort, told)
        elif refresh == "hmc":
            found = _annealed(path, times, index, seed, field_move(path.model), effort, told)
        else:
            found = _annealed(path, times, index, seed, HeatBath(_SWEEPS), effort, told)
    return Batch(found, times.to(place))


def _as_times(t: Any) -> Tensor:
    """Return increasing times, float64 ``(times,)``, else raise a ValueError."""
    times = t
    if not isinstance(t, Tensor):
        times = torch.tensor(t, dtype=torch.float64)
    fits = is_real(times) and times.ndim == 1 and len(times) > 0
    if fits:
        times = times.detach().double().cpu()
        inside = float(times[0]) >= 0.0 and float(times[-1]) <= 1.0
        fits = inside and bool((times.diff() > 0).all())
    expect(fits, "t", "increasing times in [0, 1]", t)
    return times


def _as_index(walkers: Any) -> Tensor:
    """Return global indices of walkers, int64 ``(walkers,)``, else raise a ValueError."""
    if isinstance(walkers, Tensor) and walkers.ndim == 1:
        integers = walkers.dtype == torch.int64 and len(walkers) > 0
        expect(integers, "walkers", "a number, or indices of type int64", walkers)
        return walkers
    return torch.arange(as_integer("walkers", walkers, 1))


def _updates(path: AnnealingPath, times: Tensor, effort: float) -> list[int]:
    """Return how many updates lead to each time."""
    strengths = torch.zeros_like(times)
    # The couplings of fields are no bonds: their chains forget at one pace.
    fields = path.model.dtype.is_floating_point
    if not fields:
        strengths = path.beta(times).abs() * _coupled(path.model)
    before = torch.cat([torch.zeros(1, dtype=torch.float64), times[:-1]])
    counts: list[int] = []
    for strength, gap in zip(strengths.tolist(), (times - before).tolist(), strict=True):
        per_step = TRAJECTORIES
        if not fields:
            per_step = next(count for limit, count in _UPDATES if strength <= limit)
        # A chain forgets within its own time, however long the step in β was.
        steps = min(4.0, max(0.25, 64 * gap))
        counts.append(max(1, math.ceil(per_step * steps * effort)))
    return counts


def _coupled(model: Any) -> float:
    """Return the greatest ``Σ_j |J_ij| (φ_max - φ_min) / 2`` of a site."""
    spread = 2.0
    if is_pair_model(model):
        spread = float(model.bond_table.max() - model.bond_table.min())
    lattice = model.lattice
    strengths = model.coupling.abs().expand(lattice.coupling_shape).flatten()
    # Sites with fewer neighbours than others have a bond of no strength, the last.
    padded = torch.cat([strengths, strengths.new_zeros(1)])
    total = padded[lattice.incidence().bond.long()].sum(0)
    return float(total.max()) * spread / 2


def _annealed(
    path: AnnealingPath,
    times: Tensor,
    index: Tensor,
    seed: int,
    move: Any,
    effort: float,
    told: Progress,
) -> Tensor:
    """Return chains that are run up the path, at every time, ``(times, walkers, *shape)``."""
    state = move.init(path.start.sample(index, seed), index)
    kept: list[Tensor] = []
    for time, count in zip(times.tolist(), _updates(path, times, effort), strict=True):
        for _ in range(count):
            state, _ = move.advance(state, path, time, seed)
            told.update()
        kept.append(state.configurations.clone())
    return torch.stack(kept)


def _tempered(
    path: AnnealingPath, times: Tensor, index: Tensor, seed: int, told: Progress
) -> Tensor:
    """Return replicas of walkers after all steps, ``(times, walkers, *shape)``."""
    last = float(times[-1])
    expect(last > 0, "t", "a time above 0 at the end, which tempering leads to", times)
    ladder: list[float] = []
    kept: list[int] = []
    below = 0.0
    for time in times.tolist():
        parts = max(1, math.ceil((time - below) / _SPACING))
        for part in range(parts):
            between = below + (time - below) * part / parts
            if not ladder or between > ladder[-1]:
                ladder.append(between)
        below = time
        if time > ladder[-1]:
            ladder.append(time)
        kept.append(len(ladder) - 1)
    fractions = [time / last for time in ladder[:-1]]
    move: Move = ParallelTempering([*fractions, 1.0], HeatBath(_SWEEPS_OF_REPLICAS))
    state = move.init(path.start.sample(index, seed), index)
    for _ in range(told.total):
        state, _ = move.step(state, path, last, seed)
        told.update()
    # The last replica is kept beside the others.
    replicas = torch.cat([state.replicas[:, :-1], state.configurations.unsqueeze(1)], 1)
    return replicas[:, kept].transpose(0, 1).contiguous()


def _drawn(path: AnnealingPath, times: Tensor, index: Tensor, seed: int, told: Progress) -> Tensor:
    """Return independent exact draws at every time, ``(times, walkers, *shape)``."""
    # Each time has a seed of its own, so that draws at different times share no number.
    seeds = philox(seed, Stream.TRAIN, torch.arange(len(times)), 0, _SEEDS, 0)[0]
    count = int(index.max()) + 1
    kept: list[Tensor] = []
    for beta, own in zip(path.beta(times).tolist(), seeds.tolist(), strict=True):
        # The first samples do not depend on how many there are.
        made = exact_sample(path.model.at(beta), count, own)
        kept.append(made.to(index.device)[index])
        told.update()
    return torch.stack(kept)
