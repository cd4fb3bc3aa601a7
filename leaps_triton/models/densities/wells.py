"""Many double wells, each coordinate on its own, and Gaussian coordinates beside them."""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ... import kernels
from ...kernels import Stream, philox, uniform64
from ...kernels.checks import as_bool, as_integer, as_number, expect
from ...registry import register
from .base import DensityModel

__all__ = ["ManyWell"]

BINS = 4096
"""Of the line, in each of which the density is all but constant."""
NODES = 8
"""Of Gauss's rule in a bin."""
HEIGHT = 100.0
"""By how much the energy is higher at the ends of the line than at its minimum."""
WIDEST = 2.0
"""Largest width of a bin, in deviations of the density at its maximum."""
MOST = 20
"""Wells at most of which all combinations are listed as modes."""


class Line(NamedTuple):
    """What is known of one well, ``U(x) = x⁴ - b x² - c x + k``, on bins of one width."""

    edges: Tensor
    """Of the bins, float64 ``(BINS + 1,)``, with 0 in their middle"""
    lower: Tensor
    """A bound of ``U`` from below in each, float64 ``(BINS,)``"""
    law: Tensor
    """Cumulative shares of ``e^{-lower}``, float64 ``(BINS,)``"""
    log_z: float
    """``log ∫ e^{-U} dx``"""
    right: float
    """Share of the mass at ``x > 0``"""


@register("model")
class ManyWell(DensityModel):
    """Double wells ``U(y) = y⁴ - b y² - c y + k`` beside coordinates of ``½ z²``, all independent.

    ``H(x) = Σ_wells U(y_i) + Σ_others ½ z_j²``. The default is that of :meth:`pairs`; another
    convention is :meth:`squares`.

    Args:
        dim: number of coordinates.
        wells: how many of them are wells; None for half of them, of which ``dim`` must be twice.
        quadratic: ``b``.
        linear: ``c``.
        constant: ``k``.
        paired: whether well ``i`` is coordinate ``2 i``, each followed by its Gaussian partner;
            else the wells come first.
        dtype: type of configurations, ``torch.float64`` or ``torch.float32``, or its name.

    Attributes:
        wells: number of wells.
        quadratic: ``b``.
        linear: ``c``.
        constant: ``k``.
        paired: whether each well is followed by its partner.
        log_z: exact, by Gauss's rule: the sum of those of the coordinates.
        right: exact share of the mass of each well at ``y > 0``.

    Raises:
        ValueError: an argument is not as above.

    References:
        Midgley, Stimper, Simm, Schölkopf, Hernández-Lobato, *Flow annealed importance sampling
        bootstrap*, ICLR (2023), for pairs. Berner, Richter, Ullrich, *An optimal control
        perspective on diffusion-based generative modeling*, TMLR (2024), for squares.

    Example:
        >>> round(ManyWell(dim=32).log_z, 9)
        164.695675313
    """

    def __init__(
        self,
        dim: int = 32,
        wells: int | None = None,
        quadratic: float = 6.0,
        linear: float = 0.5,
        constant: float = 0.0,
        paired: bool = True,
        dtype: torch.dtype | str = torch.float64,
    ) -> None:
        dim = as_integer("dim", dim, 1)
        if wells is None:
            expect(dim % 2 == 0, "dim", "even, half of it wells; or give wells=", dim)
            wells = dim // 2
        self.paired = as_bool("paired", paired)
        most = dim
        if self.paired:
            most = (dim + 1) // 2
        self.wells = as_integer("wells", wells, 1, most)
        self.quadratic = as_number("quadratic", quadratic, "a finite number", math.isfinite)
        self.linear = as_number("linear", linear, "a finite number", math.isfinite)
        self.constant = as_number("constant", constant, "a finite number", math.isfinite)
        self._line = self._on_a_line()
        super().__init__(dim, float(self._line.edges[-1]), dtype)
        self.right = self._line.right
        rest = dim - self.wells
        self.log_z = self.wells * self._line.log_z + 0.5 * rest * math.log(2.0 * math.pi)

    @classmethod
    def pairs(cls, dim: int = 32, dtype: torch.dtype | str = torch.float64) -> "ManyWell":
        """Return pairs of ``y⁴ - 6 y² - y/2`` and ``½ z²``.

        Args:
            dim: number of coordinates, even.
            dtype: type of configurations.
        """
        return cls(dim, dtype=dtype)

    @classmethod
    def squares(
        cls,
        dim: int = 5,
        wells: int = 5,
        delta: float = 4.0,
        dtype: torch.dtype | str = torch.float64,
    ) -> "ManyWell":
        """Return ``(y² - δ)²`` for the first coordinates, and ``½ z²`` for those that follow.

        Args:
            dim: number of coordinates.
            wells: how many are wells.
            delta: ``δ``, the square of where the minima are.
            dtype: type of configurations.

        Example:
            >>> round(ManyWell.squares(dim=50, wells=5, delta=2.0).log_z, 9)
            42.817242677
        """
        delta = as_number("delta", delta, "a finite number", math.isfinite)
        return cls(dim, wells, 2.0 * delta, 0.0, delta**2, False, dtype)

    def __repr__(self) -> str:
        parts = [f"dim={self.dim}, wells={self.wells}, quadratic={self.quadratic:g}"]
        if self.linear != 0.0:
            parts.append(f"linear={self.linear:g}")
        return f"{type(self).__name__}({', '.join(parts)})"

    @property
    def settings(self) -> dict[str, Any]:
        """What makes the model again, as files keep it."""
        return {
            "dim": self.dim,
            "wells": self.wells,
            "quadratic": self.quadratic,
            "linear": self.linear,
            "constant": self.constant,
            "paired": self.paired,
            "dtype": str(self.dtype).removeprefix("torch."),
        }

    def log_density(self, configurations: Tensor) -> Tensor:
        """Return ``-H(x)``, float64 ``(walkers,)``; values are not checked."""
        x = configurations.double()
        wells = self._wells_on(x.device)
        energies = torch.where(wells, self._energy_of_well(x), 0.5 * x.square())
        return -energies.sum(1)

    def force(self, configurations: Tensor) -> Tensor:
        """Return ``-∇H(x)``, like the configurations, the values of which are not checked."""
        x = configurations
        wells = self._wells_on(x.device)
        inside = self.linear + x * (2.0 * self.quadratic - 4.0 * x.square())
        return torch.where(wells, inside, -x)

    def _wells_on(self, device: torch.device) -> Tensor:
        """Return which coordinates are wells, bool ``(dim,)``, written by the device itself."""
        site = torch.arange(self.dim, device=device)
        if self.paired:
            return (site % 2 == 0) & (site < 2 * self.wells)
        return site < self.wells

    def _energy_of_well(self, y: Tensor) -> Tensor:
        """Return ``U(y)``."""
        square = y.square()
        return square * (square - self.quadratic) - self.linear * y + self.constant

    def _on_a_line(self) -> Line:
        """Return bins of the line, with what is known of a well in each."""
        edges = torch.linspace(-1.0, 1.0, BINS + 1, dtype=torch.float64) * self._half_width()
        width = float(edges[1] - edges[0])
        at_edges = self._energy_of_well(edges)
        # Between two points a function is at most h²/8 max U'' below the lower, U'' = 12 y² - 2b.
        curvature = 12.0 * torch.maximum(edges[:-1].square(), edges[1:].square())
        curvature = (curvature - 2.0 * self.quadratic).clamp(min=0.0)
        lower = torch.minimum(at_edges[:-1], at_edges[1:]) - curvature * width**2 / 8.0
        lowest = lower.min()
        law = (lowest - lower).exp().cumsum(0)
        self._expect_wide(edges[at_edges.argmin()], width)
        nodes, weights = np.polynomial.legendre.leggauss(NODES)
        middle = (edges[:-1] + edges[1:]).unsqueeze(1) / 2.0
        points = middle + torch.from_numpy(nodes) * width / 2.0
        parts = (lowest - self._energy_of_well(points)).exp() @ torch.from_numpy(weights)
        parts = parts * width / 2.0
        total = parts.sum()
        right = float(parts[BINS // 2 :].sum() / total)
        log_z = float(total.log() - lowest)
        return Line(edges, lower, law / law[-1], log_z, right)

    def _expect_wide(self, minimum: Tensor, width: float) -> None:
        """Raise a ValueError for wells that are too narrow for bins of a width."""
        curvature = max(0.0, float(12.0 * minimum.square()) - 2.0 * self.quadratic)
        # Eight nodes on two deviations of a normal number leave twelve digits.
        if width * math.sqrt(curvature) > WIDEST:
            raise ValueError(
                f"quadratic={self.quadratic:g}, linear={self.linear:g} make wells of width "
                f"{curvature**-0.5:.2g}, too narrow for log Z and samples by {BINS} bins of "
                f"{width:.2g}; take smaller ones, up to about quadratic=1000"
            )

    def _half_width(self) -> float:
        """Return ``L``, beyond which there is about ``e^{-HEIGHT}`` of the mass."""
        # Beyond both minima, near the roots of y² = b/2 and of y³ = c/4.
        half = 1.0 + math.sqrt(max(0.0, self.quadratic)) + abs(self.linear) ** (1.0 / 3.0)
        inside = torch.linspace(-half, half, 2001, dtype=torch.float64)
        lowest = float(self._energy_of_well(inside).min())
        while True:
            ends = self._energy_of_well(torch.tensor([-half, half], dtype=torch.float64))
            if float(ends.min()) - lowest > HEIGHT:
                return half
            half += 0.25

    @property
    def mode_weights(self) -> Tensor:
        """Exact masses of :meth:`modes`, of sum 1, float64 ``(2^wells,)``.

        Raises:
            ValueError: more than 20 wells.
        """
        self._expect_few()
        index = torch.arange(2**self.wells)
        weights = torch.ones(2**self.wells, dtype=torch.float64)
        for well in range(self.wells):
            on_the_right = (index >> well & 1) == 1
            weights *= torch.where(on_the_right, self.right, 1.0 - self.right)
        return weights

    def modes(self, configurations: Tensor) -> Tensor:
        """Return a number of which bit ``i`` says whether well ``i`` is at ``y > 0``.

        Args:
            configurations: ``(walkers, dim)``.

        Returns:
            int64 ``(walkers,)``.

        Raises:
            ValueError: more than 20 wells.
        """
        self._expect_few()
        places = 2 ** torch.arange(self.wells, device=configurations.device)
        return (self.sides(configurations) * places).sum(1)

    def sides(self, configurations: Tensor) -> Tensor:
        """Return whether each well is at ``y > 0``, bool ``(walkers, wells)``.

        Args:
            configurations: ``(walkers, dim)``.
        """
        return configurations[:, self._wells_on(configurations.device)] > 0.0

    def _expect_few(self) -> None:
        if self.wells > MOST:
            raise ValueError(
                f"2**{self.wells} modes are too many to be listed; take sides(configurations), "
                f"the mass of which is right={self.right:.6g} for each well"
            )

    def _draws(self, walker_index: Tensor, seed: int) -> Tensor:
        """Return exact samples, float64 ``(walkers, dim)``."""
        index = walker_index
        normal = kernels.normals(seed, Stream.EXACT, 0, 2, index, self.dim, torch.float64)
        wells = self._wells_on(index.device)
        found = normal
        pending = wells.expand(len(index), -1)
        attempt = 0
        # Bins are narrow: some one of a thousand numbers is refused.
        while bool(pending.any()):
            proposed, accepted = self._proposed(index, seed, attempt)
            taken = pending & accepted
            found = torch.where(taken, proposed, found)
            pending = pending & ~accepted
            attempt += 1
        return found

    def _proposed(self, index: Tensor, seed: int, attempt: int) -> tuple[Tensor, Tensor]:
        """Return numbers from bounds of the density, and which of them are of the density."""
        site = torch.arange(self.dim, device=index.device)
        words = philox(seed, Stream.EXACT, site, attempt, 1, index.unsqueeze(1), index.device)
        edges, lower, law = (table.to(index.device) for table in self._line[:3])
        chosen = torch.searchsorted(law, uniform64(words[0], words[1])).clamp(max=BINS - 1)
        width = edges[1] - edges[0]
        proposed = edges[chosen] + width * ((words[2].double() + 0.5) * 2.0**-32)
        probability = (lower[chosen] - self._energy_of_well(proposed)).exp()
        return proposed, (words[3].double() + 0.5) * 2.0**-32 < probability
