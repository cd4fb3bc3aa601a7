"""Figures of physics, from weighted runs and chains; none touches matplotlib's global state.

A run is a result of any simulation: a :class:`~leaps_triton.Chain`, a
:class:`~leaps_triton.WeightedEnsemble`, or what :func:`leaps_triton.io.read` returns. Temperatures
are ``T = 1/β`` in units of the energy of the model (``J / k_B`` at coupling 1).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from torch import Tensor

from .. import exact
from ..estimators.autocorrelation import chain_estimate
from ..estimators.base import Function, Result
from ..estimators.overlaps import overlap_distribution as _distribution
from ..files import replacing
from ..models.base import Observable
from ..models.densities.base import DensityModel
from ..models.varied import couplings_of
from ..observables.graphs import correlation_at, correlation_by_distance, distances
from ..observables.pairs import overlap
from ..observables.spins import correlation as _correlation
from .by_temperature import against_temperature, binder_crossing
from .pictures import Cells, Pictures, pictures_of
from .shared import FEW, bars, headline, quiet, quietly, shortened, wrapped
from .summary import label

if TYPE_CHECKING:
    from ..mcmc.chain import Chain

__all__ = [
    "against_temperature",
    "animation",
    "autocorrelation",
    "binder_crossing",
    "correlation",
    "correlation_of",
    "overlap_distribution",
]


_WIDER = 5.0
"""Width of the window in which autocorrelations are drawn, where that of estimates is 1.5."""

_SHORTEST = 40
"""Distances on a graph at most whose correlations are drawn."""

_BINS = 41
"""Bins of overlaps at most."""


def correlation(axes: Axes, runs: Mapping[str, Result]) -> None:
    """Draw ``C(r) = ⟨s(i) · s(i + r)⟩`` along the first direction, one colour per run.

    On graphs it is the mean over all pairs of sites at a distance, of the shortest distances.

    Args:
        axes: where; exact values of small lattices are drawn too.
        runs: label → run.
    """
    lows = []
    enumerated = False
    for colour, (name, run) in enumerate(runs.items()):
        apart = _distances(run.model)
        estimates = [_correlation_estimate(run, index) for index in range(len(apart))]
        values = [estimate.value for estimate in estimates]
        errors = [estimate.error for estimate in estimates]
        # Two errors below: less is hardly told from 0.
        lows += [value - 2.0 * error for value, error in zip(values, errors, strict=True)]
        bars(axes, apart, values, errors, colour, shortened(name), ":")
        if _is_small(run.model):
            observable = correlation_of(run.model)
            reference = exact.enumerate_model(run.model).mean(observable, run.model)
            reference = reference[: len(apart)]
            axes.plot(apart, reference.tolist(), "_", color="black", markersize=14, zorder=3)
            enumerated = True
    if enumerated:
        # An empty curve, so that the legend names the marks of all runs once.
        axes.plot([], [], "_", color="black", markersize=14, label="exact")
    low = min(lows, default=math.inf)
    # Where values fall towards 0 but stay above it by their errors, a decay is best seen by powers.
    if 0.0 < low < 0.2:
        axes.set_yscale("log")
        _plain_numbers(axes)
    elif low <= 0.0:
        axes.axhline(0.0, color="grey", linewidth=0.8)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("distance  r  [lattice spacings]")
    axes.set_ylabel("correlation  C(r) = ⟨s(0) s(r)⟩")
    axes.legend(fontsize=8)


def _is_small(model: Any) -> bool:
    """Return whether a model has so few configurations that exact values are drawn."""
    if model.dtype.is_floating_point:
        return False
    return bool(model.q ** math.prod(model.shape) <= FEW)


def _plain_numbers(axes: Axes) -> None:
    """Write 0.2 for 2 × 10⁻¹ along a logarithmic axis that spans less than a power of ten."""
    low, high = axes.get_ylim()
    if high > 10.0 * low:
        return
    plain = FuncFormatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_major_formatter(plain)
    axes.yaxis.set_minor_formatter(plain)


def correlation_of(model: Any) -> Observable:
    """Return the correlation that is drawn of a model: along a direction, or by distance.

    Args:
        model: on a lattice or a graph.
    """
    if model.lattice.hypercubic:
        return _correlation
    return correlation_by_distance


def _distances(model: Any) -> list[float]:
    """Return the distances that differ from one another: along the first direction, or of pairs."""
    lattice = model.lattice
    if not lattice.hypercubic:
        shortest: list[float] = distances(lattice)[:_SHORTEST].tolist()
        return shortest
    length = lattice.shape[0]
    if lattice.periodic[0]:
        # On a ring of length L, r and L − r are one distance.
        length = length // 2 + 1
    return [float(r) for r in range(length)]


def _correlation_estimate(run: Result, index: int) -> Any:
    """Return the estimate of C at one of the distances."""
    observable = correlation_of(run.model)
    # By distance it takes all pairs of sites: of kept configurations only those at this one.
    if observable is correlation_by_distance and observable.__name__ not in run.values:
        return quietly(run, correlation_at(index))
    return quietly(run, observable, _pick(index))


def _pick(index: int) -> Function:
    """Return the function that takes one of several means."""
    return lambda means: means[..., index]


def autocorrelation(
    axes: Axes, chain: Chain, names: Iterable[str] = ("energy", "abs_magnetization")
) -> None:
    """Draw normalised autocorrelation functions ``ρ(t)`` of a chain with error bands and windows.

    Args:
        axes: where.
        chain: what was measured.
        names: those of measured observables.

    References:
        Lüscher, *Schwarz-preconditioned HMC algorithm for two-flavour lattice QCD*,
        hep-lat/0409106, eq. (E.11).
    """
    for colour, name in enumerate(names):
        _draw_autocorrelation(axes, chain, name, f"C{colour}")
    axes.axhline(0.0, color="grey", linewidth=0.8)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    steps = "step" if chain.thin == 1 else "steps"
    axes.set_xlabel(f"separation  t  [draws of {chain.thin} {steps}]")
    axes.set_ylabel("autocorrelation  ρ(t)")
    headline(axes, "dashed: window W of the sum for τ")
    axes.legend(fontsize=8)


def _draw_autocorrelation(axes: Axes, chain: Chain, name: str, colour: str) -> None:
    """Draw the autocorrelation function of one observable."""
    own = chain.functions.get(name)
    together = chain.together_of(name)
    with quiet():
        estimate = chain.estimate(name)
        # The same function with a wider window, to see what lies beyond the chosen one.
        wider = chain_estimate(chain.values[name], own, _WIDER, together)
    rho = wider.autocorrelation
    t = torch.arange(len(rho))
    error = _autocorrelation_error(rho, estimate.window, estimate.draws)
    tau = f"τ = {estimate.tau:.3g} ± {estimate.tau_error:.1g}"
    field = bool(couplings_of(chain.model))
    density = isinstance(chain.model, DensityModel)
    text = f"{shortened(label(name, field, density))}: {tau}, W = {estimate.window}"
    axes.plot(t.numpy(), rho.numpy(), "o-", color=colour, markersize=3, linewidth=1.0, label=text)
    low = (rho - error).numpy()
    high = (rho + error).numpy()
    axes.fill_between(t.numpy(), low, high, color=colour, alpha=0.25, linewidth=0)
    axes.axvline(estimate.window, color=colour, linestyle="--", linewidth=1.0)


def _autocorrelation_error(rho: Tensor, window: int, draws: int) -> Tensor:
    """Return the error of ``ρ(t)``, with ρ = 0 where it was not computed.

    ``δρ(t)² = (1/N) Σ_{k=1}^{t+W} [ρ(k+t) + ρ(k-t) - 2 ρ(k) ρ(t)]²``.
    """
    squares = []
    for t in range(len(rho)):
        k = torch.arange(1, t + window + 1)
        later = _at(rho, k + t)
        earlier = _at(rho, k - t)
        terms = later + earlier - 2.0 * _at(rho, k) * rho[t]
        squares.append(float(terms.square().sum()) / draws)
    return torch.tensor(squares, dtype=torch.float64).sqrt()


def _at(rho: Tensor, t: Tensor) -> Tensor:
    """Return ``ρ(|t|)``, 0 beyond what was computed."""
    distance = t.abs()
    last = len(rho) - 1
    # Clamped, as an index beyond the end fails even where it is not chosen.
    return torch.where(distance <= last, rho[distance.clamp(max=last)], 0.0)


def overlap_distribution(axes: Axes, runs: Mapping[str, Any]) -> None:
    """Draw ``P(q)`` of the overlaps of pairs of walkers, with errors.

    Args:
        axes: where.
        runs: label → chain that measured ``"overlap"``; or run with configurations, of every draw
            for chains, and at least two walkers.

    Raises:
        ValueError: If a run has neither.
    """
    for colour, (name, run) in enumerate(runs.items()):
        overlaps, log_weights = _overlaps(run)
        # Overlaps of two-state models are multiples of 2/N: bins of as many of them each, or they
        # would be a comb.
        sites = math.prod(run.model.shape)
        size = -(-(sites + 1) // _BINS)
        # Half-way between values, so that none lies on an edge.
        edges = torch.tensor([*range(0, sites + 1, size), sites + 1], dtype=torch.float64) - 0.5
        with quiet():
            law = _distribution(overlaps, edges * (2.0 / sites) - 1.0, log_weights)
        density = law.density.tolist()
        shown = shortened(name)
        bars(axes, law.centres.tolist(), density, law.error.tolist(), colour, shown, "-")
    axes.set_xlim(-1.08, 1.08)
    # Densities have peaks anywhere, so the legend has room of its own above them.
    longest = max(len(shortened(name)) for name in runs)
    # A line of the legend has room for about 100 characters.
    columns = max(1, min(3, len(runs), 100 // longest))
    rows = -(-len(runs) // columns)
    axes.set_ylim(0.0, axes.get_ylim()[1] * (1.06 + 0.06 * rows))
    axes.set_xlabel("overlap  q = Σ s s′ / N")
    axes.set_ylabel("density  P(q)")
    axes.legend(fontsize=8, loc="upper center", ncols=columns)


def _overlaps(run: Any) -> tuple[Tensor, Tensor | None]:
    """Return overlaps, the first walker with the second and so on, and log-weights of the pairs.

    Overlaps of chains are ``(pairs, draws)`` and have no weights, others ``(pairs,)``.
    """
    if run.measured.get("overlap") is overlap:
        return run.values["overlap"], None
    x = run.drawn
    if x is None or len(x) < 2:
        raise ValueError(
            "P(q) needs the configurations of at least two walkers; use configurations=True"
        )
    pairs = len(x) // 2
    first = x[: 2 * pairs : 2]
    second = x[1 : 2 * pairs : 2]
    if run.weighted:
        a = run.log_weights.cpu()
        # The weight of a pair is the product of those of its walkers.
        return overlap(first, second, run.model), a[: 2 * pairs : 2] + a[1 : 2 * pairs : 2]
    # Walkers and draws become one axis, as overlaps compare row with row.
    flat = overlap(first.flatten(0, 1), second.flatten(0, 1), run.model)
    return flat.view(pairs, -1), None


def animation(
    frames: Tensor,
    titles: Sequence[str],
    file: str | Path,
    states: int | None,
    columns: int = 3,
    fps: float = 10.0,
    lattice: Any = None,
) -> None:
    """Write configurations on their way as a GIF.

    Args:
        frames: ``(frames, walkers, *shape)``.
        titles: above each frame.
        file: ``.gif``; replaced if it exists.
        states: ``q``, for the colours; None for a field, whose colours span its own values.
        columns: walkers side by side.
        fps: frames per second.
        lattice: of the walkers; a graph is drawn by its sites, None is one with a cell per site.

    Raises:
        ValueError: If there are no frames, or titles of another number.
    """
    if not len(frames) or len(titles) != len(frames):
        raise ValueError(
            f"give one title a frame and at least one, got {len(titles)} for {len(frames)}"
        )
    pictures: Pictures = Cells(frames[0], columns)
    if lattice is not None:
        pictures = pictures_of(lattice, frames[0], columns)
    width, height = pictures.size
    # In inches: wide enough for the title, small enough for a film.
    size = min(6.0, max(4.5, width / 16.0))
    figure = Figure(figsize=(size, size * height / width + 0.5), layout="constrained")
    axes = figure.subplots()
    # One scale for all frames, or a colour would change its meaning.
    low, high = _range_of(frames, states)
    colours: dict[str, Any] = {"cmap": "viridis", "vmin": low, "vmax": high}
    drawn = pictures.draw(axes, frames[0], **colours)
    axes.set_axis_off()
    lines = [wrapped(title, 0.95 * size, 9.0) for title in titles]
    # The layout is that of the first frame, so it must have the room that the longest title takes.
    most = max(line.count("\n") for line in lines)
    text = axes.set_title(lines[0] + "\n" * (most - lines[0].count("\n")), fontsize=9)

    def draw(index: int) -> list[Any]:
        drawn.set_array(pictures.values(frames[index]))
        text.set_text(lines[index])
        return [drawn, text]

    writer = PillowWriter(fps=round(fps))
    film = FuncAnimation(figure, draw, frames=len(frames))
    with replacing(Path(file)) as part:
        film.save(str(part), writer=writer, dpi=90)


def _range_of(frames: Tensor, states: int | None) -> tuple[float, float]:
    """Return the values that are darkest and brightest in a film."""
    if states is not None:
        return 0, states - 1
    return float(frames.min()), float(frames.max())
