"""The twin of ``local_jump_steps``."""

from typing import NamedTuple

import torch
from torch import Tensor

from ..functions.reference import logarithm
from ..jumps.reference import growth
from ..philox import Stream, philox, uniform64

__all__ = [
    "MOST_CLASSES", "MOST_LANES", "MOST_LEVELS", "Events", "LocalJumpSteps", "RunningClasses",
    "local_jump_steps", "site_classes",
]  # fmt: skip

MOST_CLASSES = 256
"""Classes that the rates may have, all of which a program of the kernel treats at once."""
MOST_LANES = 32
"""Neighbours that a site may have, itself included."""
MOST_LEVELS = 64
"""Slopes that classes may have with a running density."""
FIRST_BATCH = 4
"""Events whose random numbers are made at first at once, since many walkers have few."""
BATCH = 16
"""Events whose random numbers are made at once afterwards."""


class RunningClasses(NamedTuple):
    """What a running density adds to the holds of :func:`local_jump_steps`.

    The density is ``ρ_β`` with ``β`` linear in time within an interval; rates are frozen at
    ``β*``.
    """

    in_rates: Tensor
    """``w``, rates of the reversed process of one site of each class, as the rates."""
    levels: Tensor
    """The few values of ``d = Δ`` per unit of ``β``, float64 ``(levels,)``."""
    level: Tensor
    """Which of them is that of a class, int64 ``(classes,)``."""
    speed: float
    """``β'``, change of ``β`` per unit of time."""
    offset: float
    """``β - β*`` at the end of the interval."""


class Events(NamedTuple):
    """Arguments of the op."""

    configurations: Tensor
    log_weights: Tensor
    remaining: Tensor
    walkers: Tensor
    events: Tensor
    rates: Tensor
    corrector: Tensor
    neighbours: Tensor
    strides: Tensor
    first_row: int
    seed: int
    steps: int
    running: RunningClasses | None = None


class LocalJumpSteps(NamedTuple):
    """Holds what :func:`local_jump_steps` returns."""

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
    """Return ``Σ_l strides_l x_{neighbours[i, l]}`` of every site, int64 ``(walkers, sites)``.

    ``configurations`` are ``(walkers, sites)`` too.
    """
    # Walkers last, so that a site's neighbours are whole rows.
    rows = configurations.T.contiguous()
    # At most 256 classes: int16 holds their numbers.
    total = torch.zeros(rows.shape, dtype=torch.int16, device=rows.device)
    if rows.device.type == "cpu":
        for lane, stride in enumerate(strides.tolist()):
            total.add_(rows.index_select(0, neighbours[:, lane]), alpha=stride)
    else:
        # A GPU keeps the strides: the host would have to wait for them.
        for lane, stride in enumerate(strides.to(torch.int16)):
            total.addcmul_(rows.index_select(0, neighbours[:, lane]).short(), stride)
    return total.T.to(torch.int64, memory_format=torch.contiguous_format)


def _add(where: Tensor, cells: Tensor, change: int) -> None:
    """Add a number to cells, once for each time that one is named."""
    changes = torch.full((cells.numel(),), change, dtype=where.dtype, device=where.device)
    where.scatter_add_(0, cells.flatten(), changes)


class _Members:
    """Holds how many sites every class has, per walker, and where: found by rank in O(√N).

    A lattice is cut into segments; ``parts`` counts a class's sites in each, ``counts`` in all.
    """

    def __init__(
        self, configurations: Tensor, neighbours: Tensor, strides: Tensor, classes: int
    ) -> None:
        walkers, sites = configurations.shape
        self.x = configurations
        self.neighbours = neighbours
        self.strides = strides
        self.num_classes = classes
        self.ones = configurations.sum(1, dtype=torch.int64)
        # About √N sites a segment.
        self.length = 1 << (sites.bit_length() // 2)
        # Rounded up: the last segment may be short.
        self.segments = -(-sites // self.length)
        made = site_classes(configurations, neighbours, strides)
        segment = torch.arange(sites, device=made.device) // self.length
        # Cells are numbered by walker, class and segment, in one flat table.
        walker = torch.arange(walkers, device=made.device).unsqueeze(1)
        cells = (made + walker * classes) * self.segments + segment
        count = walkers * classes * self.segments
        self.parts = torch.zeros(count, dtype=torch.int16, device=made.device)
        _add(self.parts, cells, 1)
        by_class = self.parts.view(walkers, classes, self.segments)
        self.counts = by_class.sum(2, dtype=torch.float64)
        # Sites beyond the last belong to no class.
        beyond = self.segments * self.length - sites
        self.classes = torch.nn.functional.pad(made.to(torch.int16), (0, beyond), value=-1)

    def counts_of(self, rows: Tensor) -> Tensor:
        """Return the sites of every class of these walkers, in increasing order."""
        if len(rows) < len(self.counts):
            return self.counts.index_select(0, rows)
        return self.counts

    def find(self, rows: Tensor, chosen: Tensor, rank: Tensor) -> Tensor:
        """Return each walker's site that is number ``rank``, from 0, of class ``chosen``."""
        rank = rank.unsqueeze(1)
        cells = rows * self.num_classes + chosen
        parts = self.parts.view(-1, self.segments).index_select(0, cells)
        ends = parts.cumsum(1)
        # First the segment, then the place in it.
        # The number of segments that end at or before the rank is that of the one that holds it.
        segment = (ends <= rank).sum(1, keepdim=True)
        rank = rank - (ends - parts).gather(1, segment)
        line = rows * self.segments + segment.squeeze(1)
        classes = self.classes.view(-1, self.length).index_select(0, line)
        place = ((classes == chosen.unsqueeze(1)).cumsum(1) <= rank).sum(1)
        return segment.squeeze(1) * self.length + place

    def flip(self, rows: Tensor, site: Tensor) -> None:
        """Flip one site of each of these walkers."""
        x = self.x.view(-1)
        classes = self.classes.view(-1)
        own = rows * self.x.shape[1] + site
        # From 0 to 1 the sign is 1, back it is -1.
        sign = 1 - 2 * x.index_select(0, own)
        x.scatter_add_(0, own, sign)
        sign = sign.long()
        self.ones.scatter_add_(0, rows, sign)
        # The site itself is one of its neighbours.
        affected = self.neighbours.index_select(0, site)
        places = (rows.unsqueeze(1) * self.classes.shape[1] + affected).flatten()
        before = classes.index_select(0, places).long().view(affected.shape)
        after = before + sign.unsqueeze(1) * self.strides
        classes.scatter_(0, places, after.to(classes.dtype).flatten())
        segment = affected // self.length
        for kind, change in ((before, -1), (after, 1)):
            cells = rows.unsqueeze(1) * self.num_classes + kind
            _add(self.counts.view(-1), cells, change)
            _add(self.parts, cells * self.segments + segment, change)


class _Running(NamedTuple):
    """Walkers that go on, and the random numbers of their next events."""

    rows: Tensor
    clock: Tensor
    """``-log u`` of the holding times, ``(walkers, events)``."""
    choice: Tensor
    """Uniform numbers that choose class and site, ``(walkers, events)``."""

    def of(self, go: Tensor) -> "_Running":
        return _Running(self.rows[go], self.clock[go], self.choice[go])


def _drawn(given: Events, events: Tensor, rows: Tensor, batch: int) -> _Running:
    event = events[rows].unsqueeze(1) + torch.arange(batch, device=rows.device)
    walker = given.walkers[rows].unsqueeze(1)
    words = philox(given.seed, Stream.JUMP, 0, event, 0, walker, rows.device)
    # -log u is a unit exponential; over R it becomes the holding time.
    clock = -logarithm(uniform64(words[0], words[1]))
    return _Running(rows, clock, uniform64(words[2], words[3]))


def _event(
    given: Events, members: _Members, after: LocalJumpSteps, running: _Running, step: int
) -> _Running:
    """Make one event of the walkers that run, and return those that have time left."""
    rows = running.rows
    row = members.ones.index_select(0, rows) - given.first_row
    counts = members.counts_of(rows)
    # A class without a site adds nothing, even where its entry overflows: 0 times infinity is NaN.
    empty = counts == 0.0
    corrector = given.corrector.index_select(0, row).masked_fill_(empty, 0.0)
    # Like the rates one class after the other: the order of CPU kernels too.
    kappa = corrector.mul_(counts).cumsum(1)[:, -1]
    weights = given.rates.index_select(0, row).masked_fill_(empty, 0.0).mul_(counts)
    cumulative = weights.cumsum(1)
    total = cumulative[:, -1]
    after.exit_rate[rows] = total
    after.corrector[rows] = kappa
    # A rate that is not finite stops its walker, whose weight turns NaN.
    finite = total.isfinite() & kappa.isfinite()
    left = after.remaining[rows]
    # R = 0 gives T = inf: the walker holds to the boundary, and its κ counts.
    holding = running.clock[:, step] / total
    jumps = (holding < left) & finite
    elapsed = torch.where(jumps, holding, left)
    gain = elapsed * kappa
    if given.running is not None:
        correction = _correction(given.running, row, counts, left, elapsed)
        gain = gain - correction
        finite = finite & correction.isfinite()
        jumps = jumps & finite
    gained = after.log_weights[rows] + gain
    after.log_weights[rows] = torch.where(finite, gained, torch.nan)
    after.remaining[rows] = torch.where(finite, left - elapsed, left)
    after.events[rows] += 1

    # The first class whose cumulative rate exceeds u R; rounding may leave none: then it is the
    # last class with a rate.
    threshold = (running.choice[:, step] * total).unsqueeze(1)
    last = torch.searchsorted(cumulative, cumulative[:, -1:].contiguous())
    chosen = torch.searchsorted(cumulative, threshold, right=True).minimum(last)
    # Sums that are not finite leave none either; their walkers do not jump.
    chosen = chosen.clamp(max=given.rates.shape[1] - 1)
    # What is left of the threshold within the class.
    passed = threshold - cumulative.gather(1, chosen) + weights.gather(1, chosen)
    go = jumps.nonzero().squeeze(1)
    running = running.of(go)
    row = row[go]
    chosen = chosen.squeeze(1)[go]
    passed = passed.squeeze(1)[go]
    # Rounding may put the quotient a hair outside of the class.
    rank = (passed / given.rates[row, chosen]).clamp(min=0.0)
    rank = rank.minimum(members.counts[running.rows, chosen] - 1.0).long()
    members.flip(running.rows, members.find(running.rows, chosen, rank))
    return running


def _correction(
    running: RunningClasses, row: Tensor, counts: Tensor, remaining: Tensor, elapsed: Tensor
) -> Tensor:
    """Return ``Σ_c n_c w_c (I_{level(c)} - s)`` of holds that begin with ``remaining`` left."""
    # β - β* at the beginning of the hold, and its change until the end.
    begin = (running.offset - running.speed * remaining).unsqueeze(1)
    change = (running.speed * elapsed).unsqueeze(1)
    duration = elapsed.unsqueeze(1)
    excess = growth(begin * running.levels, change * running.levels, duration) - duration
    weights = counts * running.in_rates.index_select(0, row)
    terms = weights * excess.index_select(1, running.level)
    # Nothing comes in by a class without a site, or without a rate, even where the rest overflows.
    nothing = (counts == 0.0) | (weights == 0.0)
    return terms.masked_fill_(nothing, 0.0).cumsum(1)[:, -1]


def local_jump_steps(given: Events) -> LocalJumpSteps:
    """Make events of every walker, at most ``steps``.

    ``R = Σ_c n_c P_c(K)``, ``κ = Σ_c n_c κ_c(K)``, a class by ``n_c P_c / R``, any of its sites.
    With a running density, a hold takes ``Σ_c n_c w_c (I_{level(c)} - s)`` off ``A`` as well.
    """
    x = given.configurations.flatten(1).clone(memory_format=torch.contiguous_format)
    members = _Members(x, given.neighbours, given.strides, given.rates.shape[1])
    after = LocalJumpSteps(
        configurations=x.view_as(given.configurations),
        log_weights=given.log_weights.clone(),
        remaining=given.remaining.clone(),
        events=given.events.clone(),
        exit_rate=torch.zeros_like(given.log_weights),
        corrector=torch.zeros_like(given.log_weights),
    )
    rows = ((after.remaining != 0) & ~after.log_weights.isnan()).nonzero().squeeze(1)
    taken = 0
    batch = FIRST_BATCH
    while taken < given.steps and len(rows):
        # Random numbers are those of each event, so how many are drawn at once changes nothing.
        batch = min(batch, given.steps - taken)
        running = _drawn(given, after.events, rows, batch)
        for step in range(batch):
            running = _event(given, members, after, running, step)
        rows = running.rows
        taken += batch
        batch = BATCH
    return after
