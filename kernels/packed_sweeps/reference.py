"""The twins of ``packed_heat_bath_sweeps`` and ``packed_metropolis_sweeps``.

**The stream.** A site has one decision number ``U`` of 32 bits in each sweep, whose bits come from
random words of 32 spins. Words are numbered ``o = r · columns + column`` within a colour, with the
columns of a :class:`~.layouts.Layout`. In sweep ``s``, colour ``c``, streams PACKED and
PACKED_ROWS::

    bits of U    | site    | event   | draw          | walker          | word
    -------------|---------|---------|---------------|-----------------|-------------
    i = 16 … 31  | o       | 2 s + c | (i - 16) // 4 | group or walker | (i - 16) % 4
    i = 0 … 15   | o % 128 | 2 s     | 4 + i // 4    | group or walker | i % 4

The lower half is shared: by both colours, and by words whose numbers agree modulo
:data:`SHARED`. It decides one update in 2¹⁶, so that two updates which share it are correlated
only where both are as close; each alone has the law that is stated, to 2⁻³².

**The law.** With ``n`` the neighbours that favour state 1 (a neighbour in state 1, or in state 0
beyond a negative bond), ``W_1 - W_0 = a (2n - 4) + b`` for strength ``a`` and tilt ``b``, and
``T(p) = min(round(2³² p), 2³² - 1)``:

- heat bath, ``p_n = 1 / (1 + e^{-β (a (2n - 4) + b)})``: for ``n < 2`` state 1 if ``U < T(p_n)``,
  else state 0 if ``U < T(1 - p_n)``;
- Metropolis: a site in state ``x`` with ``k`` neighbours that favour it moves if
  ``U < T((1 - ε) min(1, e^Δ))``, ``Δ = -β (a (2k - 4) ± b)``, plus where ``x = 1``.

Without tilt ``T(p_n) = T(1 - p_{4-n})`` and ``T(p_2) = 2³¹``, so that two thresholds and the top
bit of ``U`` suffice to the heat bath, and three to Metropolis.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..functions.reference import exponential64
from ..philox import Stream, philox
from .layouts import Layout, Rows, of_walkers, split

__all__ = [
    "LOW", "SHARED", "STATES", "PackedSweeps", "heat_bath_thresholds", "metropolis_thresholds",
    "negative_bonds", "packed_heat_bath_sweeps", "packed_metropolis_sweeps",
]  # fmt: skip

SHARED = 128
"""Words that draw the lower half of their bits apart; it belongs to the stream."""
LOW = 16
"""Bits of the lower half."""
BITS = 32
WORD = 0xFFFFFFFF
STATES = 5
"""Values of the number of neighbours, 0 … 4."""


class PackedSweeps(NamedTuple):
    """Arguments of the two ops; Metropolis alone rests."""

    configurations: Tensor
    negative: Tensor
    strength: float
    tilt: float
    beta: Tensor
    walkers: Tensor
    first_sweep: int
    sweeps: int
    seed: int
    backward: bool = False
    rest: float = 0.0
    rows: bool = False

    @property
    def layout(self) -> Layout:
        """Where the spins lie."""
        if self.rows:
            return Rows(self.walkers)
        return of_walkers(self.walkers)

    @property
    def stream(self) -> Stream:
        """The stream of the random numbers."""
        if self.rows:
            return Stream.PACKED_ROWS
        return Stream.PACKED

    def numbers(self) -> range:
        """Return the numbers of the sweeps."""
        return range(self.first_sweep, self.first_sweep + self.sweeps)

    def fields(self, sign: int) -> list[float]:
        """Return ``a (2n - 4) ± b`` for ``n = 0 … 4``."""
        return [self.strength * (2 * n - 4) + sign * self.tilt for n in range(STATES)]


def _threshold(probability: Tensor) -> Tensor:
    """Return ``T(p)``, int64."""
    return (probability * 2.0**32).round().clamp(max=WORD).long()


def heat_bath_thresholds(given: PackedSweeps) -> Tensor:
    """Return ``T(p_0), T(p_1), T(1 - p_2), T(1 - p_3), T(1 - p_4)``, int64 ``(1 | walkers, 5)``."""
    found = []
    for n, field in enumerate(given.fields(1)):
        # 1 - p is p of the opposite field, of which no digit is lost.
        exponent = given.beta * -field if n < 2 else given.beta * field
        found.append(1.0 / (1.0 + exponential64(exponent)))
    return _threshold(torch.stack(found, dim=1))


def metropolis_thresholds(given: PackedSweeps) -> Tensor:
    """Return the thresholds of sites in state 0, then in state 1, int64 ``(1 | walkers, 10)``.

    For ``k = 0 … 4`` neighbours that favour the state.
    """
    # A site in state 0 has the field of state 1 against it.
    fields = given.fields(-1) + given.fields(1)
    exponents = torch.stack([given.beta * -field for field in fields], dim=1)
    # A factor of 1 - ε, which is exact, scales a power of two alone or little else.
    return _threshold((1.0 - given.rest) * exponential64(exponents.clamp(max=0.0)))


def packed_heat_bath_sweeps(given: PackedSweeps) -> Tensor:
    """Redraw each colour in turn, all its sites at once, from the law given their neighbours."""
    return _swept(given, heat_bath_thresholds(given), _redrawn)


def packed_metropolis_sweeps(given: PackedSweeps) -> Tensor:
    """Move each colour in turn, all its sites at once, if ``U < T((1 - ε) min(1, e^Δ))``."""
    return _swept(given, metropolis_thresholds(given), _moved)


Rule = Callable[[Tensor, Sequence[Tensor], Sequence[Tensor]], Tensor]
"""New states from the own ones, where ``n = 0 … 4``, and where ``U`` is below each threshold."""


def _swept(given: PackedSweeps, thresholds: Tensor, rule: Rule) -> Tensor:
    x = given.configurations
    layout = given.layout
    words = layout.pack(x)
    place = torch.arange(BITS, device=x.device)
    bits = thresholds.unsqueeze(-1) >> place & 1
    # Bit i of threshold t, for every spin of a word: (rows, thresholds, 32, 1).
    masks = layout.of_walkers(bits.expand(len(x), -1, -1)).unsqueeze(-1)
    negative = layout.of_sites(negative_bonds(given.negative.expand(2, *x.shape[1:])))
    # Words of a colour, by their numbers.
    site = torch.arange(words[0, 0].numel(), device=x.device)
    colours = (0, 1)
    if given.backward:
        colours = (1, 0)
    for sweep in given.numbers():
        low = _below(_drawn(given, layout, site[:SHARED], 2 * sweep, 4), masks[:, :, :LOW], None)
        shared = [each[:, site % SHARED] for each in low]
        for colour in colours:
            drawn = _drawn(given, layout, site, 2 * sweep + colour, 0)
            below = _below(drawn, masks[:, :, LOW:], shared)
            favouring = _favouring(layout, words[:, 1 - colour], colour, negative[:, colour])
            own = words[:, colour].flatten(1)
            counted = [each.flatten(1) for each in _counted(*favouring)]
            words[:, colour] = rule(own, counted, below).view_as(words[:, colour])
    return layout.unpack(words)


def _drawn(
    given: PackedSweeps, layout: Layout, site: Tensor, event: int, first: int
) -> list[Tensor]:
    """Return 16 random words for every site, ``(rows, sites)``: draws ``first … first + 3``."""
    walker = layout.walker.unsqueeze(1)
    words: list[Tensor] = []
    for draw in range(first, first + 4):
        words += philox(given.seed, given.stream, site, event, draw, walker, site.device)
    return words


def _below(drawn: Sequence[Tensor], masks: Tensor, lower: Sequence[Tensor] | None) -> list[Tensor]:
    """Return for each threshold where the drawn bits are below its own, ``(rows, sites)``.

    Args:
        drawn: Bits of ``U``, the least first.
        masks: Those of the thresholds, ``(rows, thresholds, bits, 1)``.
        lower: What the bits before have said; None for none.
    """
    found = []
    for threshold in range(masks.shape[1]):
        below = torch.zeros_like(drawn[0])
        if lower is not None:
            below = lower[threshold]
        for i, bit in enumerate(drawn):
            mask = masks[:, threshold, i]
            # The higher bit decides where the two differ.
            below = (bit ^ mask) & mask | (bit ^ mask ^ WORD) & below
        found.append(below)
    return found


def negative_bonds(negative: Tensor) -> Tensor:
    """Return which bonds of a site are negative: above, below, behind, ahead; by colour.

    Bool ``(4, 2, L, C)``.
    """
    down, ahead = negative
    # A bond belongs to its lower end.
    four = torch.stack([down.roll(1, 0), down, ahead.roll(1, 1), ahead])
    return split(four)


def _favouring(
    layout: Layout, others: Tensor, colour: int, negative: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return where each of the four neighbours favours state 1, ``(rows, L, columns)``.

    Args:
        layout: Where spins lie.
        others: Words of the other colour.
        colour: Whose neighbours.
        negative: Words of its bonds, ``(4, L, columns)``.
    """
    rows = torch.arange(others.shape[-2], device=others.device).unsqueeze(1)
    # Where the sites of a colour are the second ones of their pairs, the first one is behind.
    second = (rows + colour & 1).bool()
    behind = torch.where(second, others, layout.behind(others))
    ahead = torch.where(second, layout.ahead(others), others)
    above = others.roll(1, -2)
    below = others.roll(-1, -2)
    return above ^ negative[0], below ^ negative[1], behind ^ negative[2], ahead ^ negative[3]


def _counted(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> list[Tensor]:
    """Return where 0, 1, 2, 3 and 4 of four bits are set."""
    odd = a ^ b ^ c ^ d
    all_set = a & b & c & d
    any_set = a | b | c | d
    # Of an odd number set three are where two of the first, or of the last, are.
    three = odd & (a & b | c & d)
    return [any_set ^ WORD, odd ^ three, any_set ^ odd ^ all_set, three, all_set]


def _redrawn(own: Tensor, counted: Sequence[Tensor], below: Sequence[Tensor]) -> Tensor:
    """Return the states that the heat bath draws."""
    after = torch.zeros_like(own)
    for n, (here, decided) in enumerate(zip(counted, below, strict=True)):
        # Where more favour state 1 it is state 0 that has a threshold.
        up = decided if n < 2 else decided ^ WORD
        after = after | here & up
    return after


def _moved(own: Tensor, counted: Sequence[Tensor], below: Sequence[Tensor]) -> Tensor:
    """Return the states after the moves that Metropolis accepts."""
    moves = torch.zeros_like(own)
    for n, here in enumerate(counted):
        # Of a site in state 0 the neighbours that do not favour state 1 favour it.
        up = own & below[STATES + n]
        down = (own ^ WORD) & below[STATES - 1 - n]
        moves = moves | here & (up | down)
    return own ^ moves
