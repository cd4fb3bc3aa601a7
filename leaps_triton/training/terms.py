"""Residuals of drifts as rows: continuity or Fokker–Planck, and the equation of Hamilton–Jacobi."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..integrators.transport import kind_of
from .config import TrainingConfig
from .data.buffer import Batch
from .data.nodes import spread
from .residuals import Physics, hamilton_jacobi, physics_of, with_noise, with_physics

__all__ = ["Block", "Terms", "blocks_of", "variance"]

_ROWS = 1024
"""Nodes of a block: what belongs to them is to stay in a processor's cache."""


class Terms:
    """Computes the residuals that a training of a drift brings down, a row for each kind.

    Args:
        path: what the drift goes along.
        transport: the drift.
        config: gives ``diffusion`` and ``hamilton_jacobi``.
        curved: whether the path is learned, so that nothing of it is known beforehand.

    Raises:
        ValueError: a transport of rates.
    """

    def __init__(self, path: Any, transport: Any, config: TrainingConfig, curved: bool) -> None:
        if kind_of(transport) != "drift":
            raise ValueError(
                "nodes, and steps of Gauss-Newton on them, are for drifts of densities; rates are "
                "trained by optimizer='spring' or 'adam' on samples"
            )
        self._path = path
        self._transport = transport
        self._diffusion = config.diffusion
        self._weight = config.hamilton_jacobi
        self._curved = curved

    @property
    def kinds(self) -> int:
        """Number of rows."""
        return 2 if self._weight else 1

    def physics(self, configurations: Tensor, t: Tensor) -> Physics | None:
        """Return what does not depend on any parameter; None where the path is learned."""
        if self._curved:
            return None
        return physics_of(self._path, configurations, t, self._diffusion)

    def __call__(self, configurations: Tensor, t: Tensor, physics: Physics | None) -> Tensor:
        """Return the residuals, of which each row should be constant at any one time.

        Args:
            configurations: ``(walkers, *shape)``.
            t: float64 ``(walkers,)``.
            physics: of these; None to compute it.

        Returns:
            float64 ``(kinds, walkers)``: ``ξ``, and where it is wanted the residual of
            Hamilton–Jacobi times the root of its weight.
        """
        given = (self._path, self._transport, configurations, t)
        if physics is None:
            first = with_noise(*given, self._diffusion)
        else:
            first = with_physics(*given, physics)
        if not self._weight:
            return first.unsqueeze(0)
        second = hamilton_jacobi(*given, self._diffusion)
        return torch.stack([first, self._weight**0.5 * second])


class Block(NamedTuple):
    """Some times of weighted nodes."""

    configurations: Tensor
    """``(times · nodes, *shape)``"""
    t: Tensor
    """Of each node, float64 ``(times · nodes,)``"""
    weights: Tensor
    """``(times, nodes)``, rows of which sum to 1"""
    physics: Physics | None
    """What depends on no parameter"""
    total: int
    """Times of all blocks"""

    def centred(self, values: Tensor) -> Tensor:
        """Return values less their mean at each time, times the root of their share in the loss.

        Args:
            values: ``(kinds, times · nodes)``.

        Returns:
            Of the same shape; the sum of squares over all blocks is the loss.
        """
        by_time = values.unflatten(-1, tuple(self.weights.shape))
        return spread(by_time, self.weights, self.total).flatten(-2)


def blocks_of(batch: Batch, terms: Terms) -> list[Block]:
    """Return weighted nodes in parts of whole times.

    Args:
        batch: all of them, with weights.
        terms: tells what depends on no parameter, which is computed here.
    """
    weights = batch.weights
    # Nodes always have weights.
    assert weights is not None
    times, count = weights.shape
    size = max(1, _ROWS // count)
    found: list[Block] = []
    for first in range(0, times, size):
        chosen = slice(first, first + size)
        x = batch.configurations[chosen].flatten(0, 1)
        t = batch.t[chosen].repeat_interleave(count)
        found.append(Block(x, t, weights[chosen], terms.physics(x, t), times))
    return found


@torch.no_grad()
def variance(terms: Terms, blocks: list[Block]) -> float:
    """Return the mean over times of the weighted variance of the residuals, of all kinds together.

    Args:
        terms: the residuals.
        blocks: all nodes.
    """
    total = 0.0
    for block in blocks:
        values = terms(block.configurations, block.t, block.physics)
        total += float(block.centred(values).square().sum())
    return total
