"""The twins of ``heat_bath_sweeps``, ``metropolis_sweeps`` and ``overrelaxation_sweeps``."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from ..energies.reference import Tables, local_fields
from ..functions.reference import exponential
from ..philox import Stream, site_words, uniform32

__all__ = [
    "Sweeps", "Swept", "accepted", "drawn", "heat_bath_probabilities", "heat_bath_sweeps",
    "metropolis_acceptance", "metropolis_sweeps", "nearest", "overrelaxation_sweeps", "waves",
]  # fmt: skip

SAME_LENGTH = 1e-9
"""Axes whose lengths differ by less are equally near: rounding does not choose."""


class Sweeps(NamedTuple):
    """Arguments of the three ops; Metropolis alone rests."""

    configurations: Tensor
    coupling: Tensor
    bond_table: Tensor
    site_table: Tensor
    beta: Tensor
    periodic: Sequence[bool]
    colours: Tensor
    num_colours: int
    walkers: Tensor
    first_sweep: int
    sweeps: int
    seed: int
    rest: float = 0.0

    @property
    def tables(self) -> Tables:
        """The model's tables."""
        return Tables(self.coupling, self.bond_table, self.site_table, self.periodic)

    @property
    def q(self) -> int:
        """States of a site."""
        return self.bond_table.shape[0]

    @property
    def sites(self) -> int:
        """Sites of the lattice."""
        return self.configurations.shape[1:].numel()

    def numbers(self) -> Iterator[int]:
        """Return the numbers of the sweeps."""
        return iter(range(self.first_sweep, self.first_sweep + self.sweeps))

    def words(self, sweep: int, draw: int = 0) -> Tensor:
        """Return the random word of every site in a sweep, ``(walkers, *shape)``."""
        words = site_words(self.seed, Stream.SWEEP, sweep, self.walkers, self.sites, draw)
        return words.view(self.configurations.shape)

    def fields(self, configurations: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return the local fields ``W_a(i)``, ``(walkers, q, *shape)``."""
        return local_fields(configurations, self.tables, dtype)


class Swept(Protocol):
    """What sweeps need, on a lattice or on a graph."""

    @property
    def configurations(self) -> Tensor:
        """Int8 ``(walkers, *shape)``."""

    @property
    def beta(self) -> Tensor:
        """``β``, float64 ``(1 | walkers,)``."""

    @property
    def colours(self) -> Tensor:
        """Colour of every site, ``(*shape)``."""

    @property
    def num_colours(self) -> int:
        """Number of colours."""

    @property
    def rest(self) -> float:
        """Probability that a site is left as it is."""

    @property
    def q(self) -> int:
        """States of a site."""

    def numbers(self) -> Iterator[int]:
        """Return the numbers of the sweeps."""

    def words(self, sweep: int, draw: int = 0) -> Tensor:
        """Return the random word of every site in a sweep, ``(walkers, *shape)``."""

    def fields(self, configurations: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return the local fields ``W_a(i)``, ``(walkers, q, *shape)``."""


def heat_bath_probabilities(fields: Tensor, beta: Tensor) -> Tensor:
    """Return ``p_a ∝ exp(β W_a)``, ``(walkers, q, *shape)``.

    The law of one site given all others. States are summed in their order, one by one.
    """
    per_walker = beta.to(fields.dtype).view(-1, *[1] * (fields.ndim - 1))
    exponents = per_walker * fields
    # The largest exponent is taken off first, so that no exponential overflows.
    weights = _exponential(exponents - exponents.amax(1, keepdim=True))
    total = weights[:, 0]
    for state in range(1, weights.shape[1]):
        total = total + weights[:, state]
    return weights / total.unsqueeze(1)


def _exponential(x: Tensor) -> Tensor:
    """Return ``e^x``: of float32 the one that all devices share, of float64 that of torch."""
    if x.dtype == torch.float32:
        return exponential(x)
    return torch.exp(x)


def heat_bath_sweeps(given: Swept) -> Tensor:
    """Make each colour in turn, all its sites at once, ``x_i ~ exp(β W_a(i))``."""
    x = given.configurations
    for sweep in given.numbers():
        # One word per site and sweep: each site belongs to one colour.
        uniform = uniform32(given.words(sweep))
        for colour in range(given.num_colours):
            probabilities = heat_bath_probabilities(given.fields(x), given.beta)
            redrawn = drawn(probabilities, uniform).to(x.dtype)
            x = torch.where(given.colours == colour, redrawn, x)
    return x


def drawn(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """Return the number of thresholds ``Σ_{b ≤ a} p_b``, ``a < q-1``, at or below ``u``."""
    number = torch.zeros_like(uniform, dtype=torch.int32)
    threshold = torch.zeros_like(uniform)
    # The last state needs no threshold, so rounding cannot lead out of range.
    for state in range(probabilities.shape[1] - 1):
        threshold = threshold + probabilities[:, state]
        number = number + (threshold <= uniform).int()
    return number


def metropolis_acceptance(log_ratios: Tensor) -> Tensor:
    """Return ``min(1, e^Δ)``."""
    return _exponential(log_ratios.clamp(max=0.0))


def _moved(
    given: Swept, x: Tensor, fields: Tensor, proposed: Tensor, uniform: Tensor, colour: int
) -> Tensor:
    """Return the configurations after the sites of a colour that are accepted.

    They are those with ``u < (1 - ε) min(1, e^Δ)``, ``ε`` the probability to rest.
    """
    moves = (given.colours == colour) & accepted(given, x, fields, proposed, uniform)
    return torch.where(moves, proposed.to(x.dtype), x)


def accepted(given: Swept, x: Tensor, fields: Tensor, proposed: Tensor, uniform: Tensor) -> Tensor:
    """Return where a proposal is accepted, bool of the shape of ``x``."""
    there = fields.gather(1, proposed.unsqueeze(1))
    here = fields.gather(1, x.long().unsqueeze(1))
    beta = given.beta.to(fields.dtype).view(-1, *[1] * (x.ndim - 1))
    # Numbers of 24 bits are compared with float32, also where fields are float64.
    log_ratios = (beta * (there - here).squeeze(1)).float()
    acceptance = metropolis_acceptance(log_ratios)
    # 1 - ε is exact, and 1 where no site rests: that product changes no bit.
    return uniform < (1.0 - given.rest) * acceptance


def metropolis_sweeps(given: Swept) -> Tensor:
    """Move each colour in turn, all its sites at once.

    ``x_i → x_i + k`` if ``u < (1 - ε) min(1, e^{Δ_k(i)})``.
    """
    x = given.configurations
    for sweep in given.numbers():
        # The upper half of a product is uniform in 0 … q-2.
        shift = (given.words(sweep) * (given.q - 1) >> 32) + 1
        uniform = uniform32(given.words(sweep, draw=1))
        for colour in range(given.num_colours):
            proposed = (x.long() + shift) % given.q
            x = _moved(given, x, given.fields(x), proposed, uniform, colour)
    return x


def waves(q: int, device: torch.device) -> Tensor:
    """Return cosines and sines of states, then those of axes, float64 ``(4, q)``."""
    axes = torch.arange(q, dtype=torch.float64, device=device) * (math.pi / q)
    # States lie at twice the angles of the axes.
    states = 2 * axes
    return torch.stack([states.cos(), states.sin(), axes.cos(), axes.sin()])


def nearest(fields: Tensor, cosines_and_sines: Tensor) -> Tensor:
    """Return ``r_i`` of every site from its local fields, ``(walkers, *shape)``."""
    q = fields.shape[1]
    state_cosines, state_sines, axis_cosines, axis_sines = cosines_and_sines.tolist()
    along = fields[:, 0] * state_cosines[0]
    across = fields[:, 0] * state_sines[0]
    for state in range(1, q):
        along = along + fields[:, state] * state_cosines[state]
        across = across + fields[:, state] * state_sines[state]
    # Projections of the local field on the axes, whose ends are alike.
    lengths = [(along * axis_cosines[r] + across * axis_sines[r]).abs() for r in range(q)]
    least = torch.stack(lengths).amax(0) - SAME_LENGTH
    found = torch.zeros_like(along, dtype=torch.int64)
    # Downwards, so that the least of equally near axes is the last to be noted.
    for r in reversed(range(q)):
        found = torch.where(lengths[r] >= least, r, found)
    return found


def overrelaxation_sweeps(given: Swept) -> Tensor:
    """Move each colour in turn, all its sites at once, ``x_i → r_i - x_i`` if ``u < min(1, e^Δ)``.

    With ``F = Σ_a W_a(i) e^{2πi a/q}``, ``r_i`` is the least ``r < q`` whose ``|Re F e^{-πi r/q}|``
    is the largest, to :data:`SAME_LENGTH`: where ``F`` vanishes or lies between two axes, rounding
    does not choose.
    """
    x = given.configurations
    cosines_and_sines = waves(given.q, x.device)
    for sweep in given.numbers():
        uniform = uniform32(given.words(sweep, draw=1))
        for colour in range(given.num_colours):
            fields = given.fields(x, torch.float64)
            # A reflection is its own inverse, as the nearest axis does not depend on x_i.
            proposed = (nearest(fields, cosines_and_sines) - x.long()) % given.q
            x = _moved(given, x, fields, proposed, uniform, colour)
    return x
