"""Fixed points to train on in few dimensions: nodes in a box, each with its weight in ``ρ_t``."""

import logging
import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.quasirandom import SobolEngine

from ...integrators.transport import Transport
from ...kernels import uniform64
from ...paths.base import learned_of
from ..config import TrainingConfig
from ..residuals import Physics, physics_of
from .buffer import Batch
from .draws import Draws, Use
from .times import TimeDensity

__all__ = ["NodeBuffer", "NodePlaces", "fresh_places", "node_weights", "reach", "spread"]

_log = logging.getLogger("leaps_triton")

_BITS = 30
"""Bits of a coordinate of Sobol's sequence in torch."""

_SCALES = 4.0
"""Half a box's width in standard deviations of the start."""

_EXTENTS = 1.25
"""Half a box's width in extents of the target: its largest coordinate, and some room."""

_PROBES = 1024
"""Samples of the start that its width is measured on."""

_EFFECTIVE = 20.0
"""Nodes that count at a time, below which their means are doubted."""

_SHELL = 0.95
"""Nodes with a coordinate beyond this part of the box are near its border."""

_OUTSIDE = 0.01
"""Weight near the border from which on the box is too small."""

_MOST = 12
"""Dimensions above which hardly any node of a box has a weight."""


class NodePlaces(NamedTuple):
    """Where nodes are."""

    configurations: Tensor
    """``(times, nodes, *shape)``"""
    t: Tensor
    """Increasing, float64 ``(times,)``"""


def reach(path: Any, config: TrainingConfig) -> float:
    """Return half the width of the box that nodes lie in.

    That is ``config.box``, or the larger of 4 standard deviations of the start and 1.25 times the
    ``extent`` of the target, its largest coordinate.

    Args:
        path: from start to target.
        config: the settings.
    """
    if config.box:
        return config.box
    seed = Draws(config.seed, 0).own_seed(Use.REACH_SEED)
    drawn = path.start.sample(torch.arange(_PROBES), seed).double()
    width = _SCALES * float(drawn.square().mean().sqrt())
    # A model of the user's own may not say how far it reaches.
    extent = getattr(path.model, "extent", 0.0)
    return max(width, _EXTENTS * extent)


def fresh_places(path: Any, config: TrainingConfig, device: torch.device) -> NodePlaces:
    """Return as many nodes that no training sees, at other times that are even over [0, 1].

    Args:
        path: gives the shape of configurations, and the box.
        config: the settings.
        device: where they are to be.
    """
    draws = Draws(config.seed, 0)
    t = _strata(draws, Use.TEST_TIMES, config.bins)
    x = _points(path, config, draws, Use.TEST_NODES)
    return NodePlaces(x.to(device), t.to(device))


def _strata(draws: Draws, use: Use, count: int) -> Tensor:
    """Return a random number in each of so many equal parts of [0, 1], increasing."""
    words = draws.words(use, count)
    return (torch.arange(count, dtype=torch.float64) + uniform64(words[0], words[1])) / count


def _shares(draws: Draws, config: TrainingConfig) -> Tensor:
    """Return where nodes are between the first time and the last, increasing, in [0, 1].

    Args:
        draws: of the training.
        config: the settings: ``bins`` times, and whether the ends are two of them.
    """
    if not config.end_times:
        return _strata(draws, Use.NODE_TIMES, config.bins)
    inner = _strata(draws, Use.NODE_TIMES, max(0, config.bins - 2))
    ends = torch.tensor([0.0, 1.0], dtype=torch.float64)
    return torch.cat([ends[:1], inner, ends[1:]])[: config.bins]


def _points(path: Any, config: TrainingConfig, draws: Draws, use: Use) -> Tensor:
    """Return scrambled points of Sobol's sequence in the box, ``(bins, buffer, *shape)``."""
    model = path.model
    sites = math.prod(model.shape)
    # Plain: torch's own scrambling draws from torch's generator.
    engine = SobolEngine(sites)
    drawn = engine.draw(config.bins * config.buffer, dtype=torch.float64)
    whole = (drawn * 2.0**_BITS).long()
    # The same random bits for all points of a coordinate: a net stays a net.
    shift = draws.words(use, sites)[0] >> (32 - _BITS)
    # In the middle of each cell, so that no point is on the border.
    unit = ((whole ^ shift).double() + 0.5) / 2.0**_BITS
    box = reach(path, config)
    inside = (2.0 * unit - 1.0) * box
    return inside.to(model.dtype).view(config.bins, config.buffer, *model.shape)


@torch.no_grad()
def node_weights(path: Any, nodes: NodePlaces) -> Tensor:
    """Return the weight of each node at its time, float64 ``(times, nodes)``; rows sum to 1.

    Nodes are even over the box, so weights are proportional to ``ρ̃_t``.

    Args:
        path: gives the densities.
        nodes: the nodes.
    """
    times, count = nodes.configurations.shape[:2]
    when = nodes.t.repeat_interleave(count)
    log_density = path.log_density(nodes.configurations.flatten(0, 1), when)
    return torch.softmax(log_density.detach().view(times, count), dim=1)


def spread(values: Tensor, weights: Tensor, times: int) -> Tensor:
    """Return values less their weighted mean at each time, times the root of their weights.

    The sum of squares over all entries is the mean over times of the weighted variance.

    Args:
        values: at some of the times, ``(…, some, nodes)``.
        weights: ``(some, nodes)``, rows of which sum to 1.
        times: how many there are in all.
    """
    mean = (values * weights).sum(-1, keepdim=True)
    return (values - mean) * (weights / times).sqrt()


class NodeBuffer:
    """Keeps nodes at fixed places and times, each of which counts by its weight in ``ρ_t``.

    There are no chains, so that all that is trained goes down on one and the same sum. The nodes
    are points of Sobol's sequence, whose bits are flipped by random ones, in a box ``[-box,
    box]ᵈ``; each time lies in a part of [0, 1] of its own. They reach into the tails, which samples
    of ``ρ_t`` do not: there a drift that was trained on samples alone can be anything. Weights
    follow a path that is learned.

    Adam takes batches: times in turn from all over [0, 1], and nodes with a probability of their
    weights. Gauss-Newton takes all nodes with their weights.

    Args:
        path: the annealing path that is trained along.
        config: the settings: ``bins`` times with ``buffer`` nodes each.
        device: where the nodes are.

    Attributes:
        configurations: ``(bins, buffer, *shape)``; zeros before the first step.
        t: times of the nodes, float64 ``(bins,)``.

    Raises:
        ValueError: a target of states, or of too many dimensions for a box.
    """

    def __init__(self, path: Any, config: TrainingConfig, device: torch.device) -> None:
        model = path.model
        if not model.dtype.is_floating_point:
            raise ValueError(
                f"refresh 'nodes' needs real configurations, and {model!r} has {model.dtype}; "
                f"choose another refresh, such as 'heat_bath'"
            )
        sites = math.prod(model.shape)
        if sites > _MOST:
            raise ValueError(
                f"refresh 'nodes' fills a box in at most {_MOST} dimensions, got {sites}: hardly "
                f"a node would have a weight; choose refresh 'hmc'"
            )
        self._path = path
        self._config = config
        self._device = device
        self._curved = learned_of(path) is not None
        self._weights: Tensor | None = None
        self._all: Batch | None = None
        self._physics: Physics | None = None
        shape = (config.bins, config.buffer, *model.shape)
        self.configurations = torch.zeros(shape, dtype=model.dtype, device=device)
        draws = Draws(config.seed, 0)
        share = _shares(draws, config)
        first = config.first_time
        self.t = (first + (1.0 - first) * share**config.time_power).to(device)

    def prepare(self, transport: Transport, draws: Draws) -> None:
        """Place all nodes before the first step."""
        if draws.step == 0:
            made = _points(self._path, self._config, draws, Use.NODES)
            self.configurations = made.to(self._device)
            self._weights = None
            self._all = None
            self._physics = None
            self._doubt(self.weights())

    def weights(self, rows: Tensor | None = None) -> Tensor:
        """Return weights at some of the times, or at all, float64 ``(times, nodes)``."""
        if self._curved and rows is not None:
            # Of the times alone that are looked at: the path moves with every step.
            return node_weights(self._path, NodePlaces(self.configurations[rows], self.t[rows]))
        if self._curved or self._weights is None:
            self._weights = node_weights(self._path, NodePlaces(self.configurations, self.t))
        if rows is None:
            return self._weights
        return self._weights[rows]

    def batch(self, draws: Draws, latest: float = 1.0, density: TimeDensity | None = None) -> Batch:
        """Return nodes drawn by their weights; for steps of Gauss-Newton all with their weights."""
        config = self._config
        if config.optimizer == "gauss_newton" and draws.step >= config.adam_steps:
            return self.whole()
        words = draws.words(Use.TIMES, config.times)
        stratum = torch.arange(config.times, dtype=torch.float64)
        share = latest * (stratum + uniform64(words[0], words[1])) / config.times
        rows = (share * config.bins).long().clamp(max=config.bins - 1).to(self._device)
        columns = _drawn(self.weights(rows), config.walkers, draws)
        places = (rows.unsqueeze(1), columns)
        physics = self._known()
        if physics is not None:
            physics = Physics(physics.change[places], physics.score[places])
        return Batch(self.configurations[places], self.t[rows], physics=physics)

    def _known(self) -> Physics | None:
        """Return the physics of all nodes, ``(bins, buffer, …)``; None where a path is learned."""
        if self._curved:
            return None
        if self._physics is None:
            bins, count = self.configurations.shape[:2]
            when = self.t.repeat_interleave(count)
            x = self.configurations.flatten(0, 1)
            found = physics_of(self._path, x, when, self._config.diffusion)
            shape = (bins, count)
            # Once for all steps: nodes stay, and scores may cost more than the network.
            self._physics = Physics(*[each.unflatten(0, shape) for each in found])
        return self._physics

    def whole(self) -> Batch:
        """Return all nodes with their weights."""
        if self._all is None or self._curved:
            self._all = Batch(self.configurations, self.t, weights=self.weights())
        return self._all

    def _doubt(self, weights: Tensor) -> None:
        """Warn of a box that is too small for the densities, or much too large."""
        box = reach(self._path, self._config)
        outside = (self.configurations.abs() > _SHELL * box).flatten(2).any(2)
        share = float((weights * outside).sum(1).max())
        if share > _OUTSIDE:
            _log.warning(
                "%.1f %% of the weight is near the border of the box of nodes, of half width %.3g; "
                "raise box",
                100.0 * share,
                box,
            )
        effective = float((1.0 / weights.square().sum(1)).min())
        if effective < _EFFECTIVE:
            _log.warning(
                "at some times only %.1f of %d nodes count, in a box of half width %.3g; raise "
                "buffer, or lower box",
                effective,
                weights.shape[1],
                box,
            )


def _drawn(weights: Tensor, count: int, draws: Draws) -> Tensor:
    """Return numbers of nodes drawn by their weights, int64 ``(times, count)``."""
    times = len(weights)
    words = draws.words(Use.ROWS, times * count)
    uniform = uniform64(words[0], words[1]).view(times, count).to(weights.device)
    cumulative = weights.cumsum(1)
    # The last sum may miss 1 by rounding.
    wanted = uniform * cumulative[:, -1:]
    return torch.searchsorted(cumulative, wanted).clamp(max=weights.shape[1] - 1)
