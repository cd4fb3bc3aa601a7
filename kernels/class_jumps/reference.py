"""The twin of ``local_jump_steps``."""

from typing import NamedTuple

import torch
from torch import Tensor

from ..philox import Stream, philox, uniform64

__all__ = ["MOST_CLASSES", "MOST_LANES", "LocalJumpSteps", "local_jump_steps", "site_classes"]

MOST_CLASSES = 256
"""Classes that the rates may have, all of which a program of the kernel treats at once."""
MOST_LANES = 32
"""Neighbours that a site may have, itself included."""


class LocalJumpSteps(NamedTuple):
    """What :func:`local_jump_steps` returns."""

    configurations: Tensor
    """After the events, ``(walkers, *shape)``."""
    log_weights: Tensor
    """``A`` after the events, float64 ``(walkers,)``."""
    remaining: Tensor
    """Time left in each walker's interval, float64 ``(walkers,)``; 0 at the boundary."""
    events: Tensor
    """Evaluations so far, int64 ``(walkers,)``."""
    exit_rate: Tensor
    """``R`` at the last evaluation, float64 ``(walkers,)``; 0 where there was none."""
    corrector: Tensor
    """``κ`` there, float64 ``(walkers,)``."""


def site_classes(configurations: Tensor, neighbours: Tensor, strides: Tensor) -> Tensor:
    """``Σ_l strides_l x_{neighbours[i, l]}`` of every site, int64 ``(walkers, sites)``; ``configurations`` alike."""
    # Walkers last, so that a site's neighbours are whole rows.
    rows = configurations.T.contiguous()
    total = torch.zeros(rows.shape, dtype=torch.int16, device=rows.device)
    for lane, stride in enumerate(strides.tolist()):
        total.add_(rows.index_select(0, neighbours[:, lane]), alpha=stride)
    return total.T.to(torch.int64, memory_format=torch.contiguous_format)


class _Members:
    """The sites of every class, of every walker: how many, and in site order where, to be found in O(√N).

    A lattice is cut into segments; ``parts`` counts a class's sites in each, ``counts`` in all of them.
    """

    def __init__(
        self, configurations: Tensor, neighbours: Tensor, strides: Tensor, classes: int
    ) -> None:
        walkers, sites = configurations.shape
        self.x, self.neighbours, self.strides, self.num_classes = (
            configurations,
            neighbours,
            strides,
            classes,
        )
        self.ones = configurations.sum(1, dtype=torch.int64)
        self.length = 1 << (sites.bit_length() // 2)
        self.segments = -(-sites // self.length)
        made = site_classes(configurations, neighbours, strides)
        segment = torch.arange(sites, device=made.device) // self.length
        cells = (
            made + torch.arange(walkers, device=made.device).unsqueeze(1) * classes
        ) * self.segments + segment
        self.parts = torch.zeros(
            walkers * classes * self.segments, dtype=torch.int16, device=made.device
        )
        self._add(self.parts, cells, 1)
        self.counts = self.parts.view(walkers, classes, self.segments).sum(2, dtype=torch.float64)
        beyond = self.segments * self.length - sites
        self.classes = torch.nn.functional.pad(made.to(torch.int16), (0, beyond), value=-1)

    @staticmethod
    def _add(where: Tensor, cells: Tensor, change: int) -> None:
        where.scatter_add_(
            0,
            cells.flatten(),
            torch.full((cells.numel(),), change, dtype=where.dtype, device=where.device),
        )

    def find(self, rows: Tensor, chosen: Tensor, rank: Tensor) -> Tensor:
        """The site of each of these walkers that is number ``rank``, from 0, in class ``chosen``."""
        rank = rank.unsqueeze(1)
        parts = self.parts.view(-1, self.segments).index_select(0, rows * self.num_classes + chosen)
        ends = parts.cumsum(1)
        segment = (ends <= rank).sum(1, keepdim=True)
        rank = rank - (ends - parts).gather(1, segment)
        classes = self.classes.view(-1, self.length).index_select(
            0, rows * self.segments + segment.squeeze(1)
        )
        place = ((classes == chosen.unsqueeze(1)).cumsum(1) <= rank).sum(1)
        return segment.squeeze(1) * self.length + place

    def flip(self, rows: Tensor, site: Tensor) -> None:
        """Flip one site of each of these walkers."""
        x, classes = self.x.view(-1), self.classes.view(-1)
        own = rows * self.x.shape[1] + site
        sign = 1 - 2 * x.index_select(0, own)
        x.scatter_add_(0, own, sign)
        sign = sign.long()
        self.ones.scatter_add_(0, rows, sign)
        affected = self.neighbours.index_select(0, site)
        places = (rows.unsqueeze(1) * self.classes.shape[1] + affected).flatten()
        before = classes.index_select(0, places).long().view(affected.shape)
        after = before + sign.unsqueeze(1) * self.strides
        classes.scatter_(0, places, after.to(classes.dtype).flatten())
        segment = affected // self.length
        for kind, change in ((before, -1), (after, 1)):
            cells = rows.unsqueeze(1) * self.num_classes + kind
            self._add(self.counts.view(-1), cells, change)
            self._add(self.parts, cells * self.segments + segment, change)


def local_jump_steps(
    configurations: Tensor,
    log_weights: Tensor,
    remaining: Tensor,
    walkers: Tensor,
    events: Tensor,
    rates: Tensor,
    corrector: Tensor,
    neighbours: Tensor,
    strides: Tensor,
    first_row: int,
    seed: int,
    steps: int,
) -> LocalJumpSteps:
    """``R = Σ_c n_c P_c(K)``, ``κ = Σ_c n_c κ_c(K)``; a class drawn by ``n_c P_c / R``, and any of its sites."""
    x = configurations.flatten(1).clone(memory_format=torch.contiguous_format)
    members = _Members(x, neighbours, strides, rates.shape[1])
    log_weights, remaining, events = log_weights.clone(), remaining.clone(), events.clone()
    exit_rate, correction = torch.zeros_like(log_weights), torch.zeros_like(log_weights)
    rows = ((remaining != 0) & ~log_weights.isnan()).nonzero().squeeze(1)
    taken, batch = 0, 4
    while taken < steps and len(rows):
        batch = min(batch, steps - taken)
        event = events[rows].unsqueeze(1) + torch.arange(batch, device=rows.device)
        words = philox(seed, Stream.JUMP, 0, event, 0, walkers[rows].unsqueeze(1), rows.device)
        clock, choice = -torch.log(uniform64(words[0], words[1])), uniform64(words[2], words[3])
        for step in range(batch):
            row = members.ones.index_select(0, rows) - first_row
            counts = members.counts
            if len(rows) < len(counts):
                counts = counts.index_select(0, rows)
            kappa = torch.linalg.vecdot(counts, corrector.index_select(0, row))
            weights = rates.index_select(0, row).mul_(counts)
            cumulative = weights.cumsum(1)
            total = cumulative[:, -1]
            exit_rate[rows], correction[rows] = total, kappa
            finite = total.isfinite() & kappa.isfinite()
            left = remaining[rows]
            # R = 0 gives T = inf: the walker holds to the boundary, and its κ counts.
            holding = clock[:, step] / total
            jumps = (holding < left) & finite
            elapsed = torch.where(jumps, holding, left)
            log_weights[rows] = torch.where(finite, log_weights[rows] + elapsed * kappa, torch.nan)
            remaining[rows] = torch.where(finite, left - elapsed, left)
            events[rows] += 1

            threshold = (choice[:, step] * total).unsqueeze(1)
            chosen = torch.searchsorted(cumulative, threshold, right=True).clamp(
                max=rates.shape[1] - 1
            )
            passed = threshold - cumulative.gather(1, chosen) + weights.gather(1, chosen)
            go = jumps.nonzero().squeeze(1)
            rows, clock, choice, row = rows[go], clock[go], choice[go], row[go]
            chosen, passed = chosen.squeeze(1)[go], passed.squeeze(1)[go]
            # Rounding may put the quotient a hair outside of the class.
            rank = (passed / rates[row, chosen]).long().clamp(min=0)
            rank = rank.minimum(members.counts[rows, chosen].long() - 1)
            members.flip(rows, members.find(rows, chosen, rank))
        taken, batch = taken + batch, 16
    return LocalJumpSteps(
        x.view_as(configurations), log_weights, remaining, events, exit_rate, correction
    )
