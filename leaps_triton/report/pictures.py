"""Pictures of walkers side by side: cells of a lattice, or a graph's sites at their places."""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import EllipseCollection, LineCollection
from torch import Tensor

__all__ = ["Cells", "Sites", "mosaic", "pictures_of"]

_FEW_SITES = 400
"""Sites of a graph at most around which edges are drawn."""

_FEW_EDGES = 6
"""Edges per site at most that are drawn: more would hide the sites."""

_LONGEST = 2.0
"""Edges that are longer than so many of the shortest go around the torus, and are not drawn."""

_LOOKED_AT = 1000
"""Sites at most whose nearest neighbours are looked for."""

_GAP = 2.0
"""Room between walkers, in distances between sites."""

_DOT = 0.95
"""Diameter of a site, in distances between sites."""

_DOT_ON_EDGES = 0.7
"""The same where edges are drawn, which shall be seen."""


class Pictures(Protocol):
    """Walkers side by side, whose values can be replaced."""

    size: tuple[float, float]
    """Width and height, in any unit."""

    def draw(self, axes: Axes, configurations: Tensor, **options: Any) -> ScalarMappable:
        """Return what has the colours of the walkers in axes.

        Args:
            axes: where.
            configurations: ``(walkers, *shape)``.
            options: of colours: ``cmap``, ``vmin``, ``vmax``.
        """
        ...

    def values(self, configurations: Tensor) -> Any:
        """Return what ``set_array`` of the drawn takes for other values of the walkers.

        Args:
            configurations: ``(walkers, *shape)``.
        """
        ...


class Cells:
    """Draws walkers on a lattice as squares, slices of two dimensions of more.

    Args:
        configurations: ``(walkers, *shape)``.
        columns: walkers side by side.

    Attributes:
        size: width and height in cells.
    """

    def __init__(self, configurations: Tensor, columns: int) -> None:
        self._columns = columns
        height, width = mosaic(configurations, columns).shape
        self.size = (float(width), float(height))

    def draw(self, axes: Axes, configurations: Tensor, **options: Any) -> ScalarMappable:
        """Return the image; see :class:`Pictures`."""
        return axes.imshow(self.values(configurations), interpolation="nearest", **options)

    def values(self, configurations: Tensor) -> Any:
        """Return the cells, float32 ``(rows, columns)``."""
        return mosaic(configurations, self._columns).numpy()


class Sites:
    """Draws walkers on a graph as dots where its sites stand, with its edges where they are few.

    Sites without positions stand on a circle.

    Args:
        graph: of the walkers.
        walkers: their number.
        columns: walkers side by side.

    Attributes:
        size: width and height in distances between neighbours.
    """

    def __init__(self, graph: Any, walkers: int, columns: int) -> None:
        self._graph = graph
        places = _flat(graph)
        apart = places[graph.edges[:, 0]] - places[graph.edges[:, 1]]
        self._lengths = apart.square().sum(1).sqrt()
        self._spacing = _spacing(places)
        span = places.amax(0) - places.amin(0) + _GAP * self._spacing
        corners = torch.stack([_corner(index, columns) for index in range(walkers)])
        # The second coordinate rises upward, and rows of walkers go down.
        shifts = corners * span * torch.tensor([1.0, -1.0], dtype=torch.float64)
        self._places = places + shifts.unsqueeze(1)
        rows = -(-walkers // columns)
        side_by_side = torch.tensor([min(walkers, columns), rows], dtype=torch.float64)
        width, height = (span * side_by_side / self._spacing).tolist()
        self.size = (width, height)

    def draw(self, axes: Axes, configurations: Tensor, **options: Any) -> ScalarMappable:
        """Return the dots; see :class:`Pictures`."""
        graph = self._graph
        share = _DOT
        if graph.sites <= _FEW_SITES and graph.bonds <= _FEW_EDGES * graph.sites:
            share = _DOT_ON_EDGES
            axes.add_collection(self._edges(), autolim=False)
        offsets = self._places.flatten(0, 1)
        # A size in units of the positions holds in any layout.
        diameter = [share * self._spacing]
        dots = EllipseCollection(
            diameter,
            diameter,
            [0.0],
            units="xy",
            offsets=offsets.numpy(),
            offset_transform=axes.transData,
            cmap=options["cmap"],
            linewidths=0.0,
            zorder=2,
        )
        dots.set_array(self.values(configurations))
        dots.set_clim(options["vmin"], options["vmax"])
        axes.add_collection(dots, autolim=False)
        low = offsets.amin(0) - 0.5 * _GAP * self._spacing
        high = offsets.amax(0) + 0.5 * _GAP * self._spacing
        axes.set_aspect("equal")
        axes.set_xlim(float(low[0]), float(high[0]))
        axes.set_ylim(float(low[1]), float(high[1]))
        return dots

    def values(self, configurations: Tensor) -> Any:
        """Return the values of all sites, float32 ``(walkers · sites,)``."""
        return configurations.cpu().float().flatten().numpy()

    def _edges(self) -> LineCollection:
        """Return lines along the edges that do not go around a torus."""
        graph = self._graph
        edges = graph.edges
        if graph.positions is not None:
            shortest = float(self._lengths.min())
            edges = edges[self._lengths <= _LONGEST * max(shortest, self._spacing)]
        lines = self._places[:, edges].flatten(0, 1)
        return LineCollection(list(lines.numpy()), colors="0.75", linewidths=0.6, zorder=1)


def pictures_of(lattice: Any, configurations: Tensor, columns: int) -> Pictures:
    """Return how walkers of a model are drawn.

    Args:
        lattice: a lattice or a graph.
        configurations: ``(walkers, *shape)``.
        columns: walkers side by side.
    """
    if lattice.hypercubic:
        return Cells(configurations, columns)
    return Sites(lattice, len(configurations), columns)


def mosaic(configurations: Tensor, columns: int) -> Tensor:
    """Return configurations side by side with gaps of NaN, float32 on the CPU.

    Where there are more than two dimensions, slices of two.

    Args:
        configurations: ``(walkers, *shape)``.
        columns: walkers side by side.

    Example:
        >>> mosaic(torch.ones(3, 4, 5), columns=2).shape
        torch.Size([9, 11])
    """
    x = configurations.cpu()
    while x.ndim > 3:
        x = x[:, 0]
    if x.ndim == 2:
        # A chain of sites is a picture of one row.
        x = x.unsqueeze(1)
    height, width = x.shape[1:]
    rows = -(-len(x) // columns)
    # One cell between configurations, and none at the edges.
    canvas = torch.full((rows * (height + 1) - 1, columns * (width + 1) - 1), torch.nan)
    for index, configuration in enumerate(x):
        row, column = divmod(index, columns)
        top = row * (height + 1)
        left = column * (width + 1)
        canvas[top : top + height, left : left + width] = configuration.float()
    return canvas


def _flat(graph: Any) -> Tensor:
    """Return where sites are drawn, float64 ``(sites, 2)``: a circle where they have no place."""
    places = graph.positions
    if places is None:
        angle = 2.0 * math.pi * torch.arange(graph.sites, dtype=torch.float64) / graph.sites
        # As many sites around it as a circle of this radius has room for.
        radius = graph.sites / (2.0 * math.pi)
        return radius * torch.stack([torch.cos(angle), torch.sin(angle)], dim=1)
    if places.shape[1] == 1:
        return torch.cat([places, torch.zeros_like(places)], dim=1)
    if places.shape[1] == 2:
        return _folded(places, graph.box)
    # A view from aside shows all sites of a body.
    depth = places[:, 2:].sum(1, keepdim=True)
    aside = torch.tensor([0.43, 0.31], dtype=torch.float64)
    return places[:, :2] + depth * aside


def _folded(places: Tensor, box: Tensor | None) -> Tensor:
    """Return positions on a torus moved by whole periods along x, so that the picture is square."""
    if box is None or float(box[0, 1]) != 0.0:
        return places
    # The first period lies along x: a rhombus becomes a rectangle of the same sites.
    period = float(box[0, 0])
    x = torch.remainder(places[:, 0] + 1e-9, period)
    return torch.stack([x, places[:, 1]], dim=1)


def _spacing(places: Tensor) -> float:
    """Return the typical distance from a site to the nearest one."""
    # Some sites tell it, so that the table stays small.
    apart = torch.cdist(places[:_LOOKED_AT], places)
    apart.fill_diagonal_(torch.inf)
    typical = float(apart.amin(1).median())
    if math.isfinite(typical) and typical > 0.0:
        return typical
    # A single site, or all of them at one place.
    return 1.0


def _corner(index: int, columns: int) -> Tensor:
    """Return column and row of a walker."""
    row, column = divmod(index, columns)
    return torch.tensor([column, row], dtype=torch.float64)
