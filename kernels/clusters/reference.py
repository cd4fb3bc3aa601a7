"""The twins of ``swendsen_wang_sweeps`` and ``wolff_sweeps``.

Both embed Ising variables. An exchange ``R`` of two states with ``φ(Ra, Rb) = φ(a, b)`` is
drawn; a bond joins its sites with probability ``1 - exp(-[β J (φ(x_i, x_j) - φ(R x_i, x_j))]_+)``;
then the weights of ``x`` and of ``x`` with ``R`` applied to a whole cluster differ by the field in
that cluster alone, whatever the signs of the couplings (Wolff 1989; Wang, Swendsen, Kotecký 1989;
Niedermayer 1988).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from ..energies.reference import bonds_along
from ..functions.reference import exponential, logarithm
from ..labels.op import cluster_labels_op
from ..philox import Stream, Words, philox, site_words, uniform32

__all__ = [
    "ClusterSweeps", "Clusters", "Labelling", "changed", "mean_size", "recoloured", "recolours",
    "swendsen_wang", "swendsen_wang_sweeps", "wolff", "wolff_sweeps",
]  # fmt: skip


class ClusterSweeps(NamedTuple):
    """Holds what both ops return."""

    configurations: Tensor
    """The new configurations, int8 ``(walkers, *shape)``."""
    size: Tensor
    """Fraction of the lattice in the cluster of a random site, mean over the updates, float32
    ``(walkers,)``."""
    changed: Tensor
    """Fraction of sites whose value changed, float32 ``(walkers,)``."""


class Clusters(NamedTuple):
    """Arguments of both ops; Wolff's updates alone rest."""

    configurations: Tensor
    coupling: Tensor
    bond_table: Tensor
    site_table: Tensor
    beta: Tensor
    periodic: Sequence[bool]
    reflection: bool
    walkers: Tensor
    first_sweep: int
    sweeps: int
    seed: int
    rest: float = 0.0

    @property
    def q(self) -> int:
        """States of a site."""
        return self.bond_table.shape[0]

    @property
    def sites(self) -> int:
        """Sites of the lattice."""
        return self.configurations.shape[1:].numel()

    @property
    def has_field(self) -> bool:
        """Whether any site prefers a state."""
        return bool(self.site_table.any())

    def numbers(self) -> range:
        """Return the numbers of the sweeps."""
        return range(self.first_sweep, self.first_sweep + self.sweeps)

    def site_words(self, sweep: int, sites: int, draw: int) -> Tensor:
        """Return the random word of every site in a sweep, ``(walkers, sites)``."""
        return site_words(self.seed, Stream.CLUSTER, sweep, self.walkers, sites, draw)

    def choices(self, sweep: int) -> Words:
        """Return the words of a sweep: site, shift, first state, acceptance."""
        walkers = self.walkers
        return philox(self.seed, Stream.CLUSTER, 0, sweep, 2, walkers, walkers.device)


Labelling: TypeAlias = Callable[[Clusters, Tensor, Tensor | None, int], Tensor]
"""What draws the bonds of a sweep and returns the first site of every site's cluster; see
:func:`labels_of`."""


def changed(before: Tensor, after: Tensor) -> Tensor:
    """Return the fraction of sites whose value differs, float32 ``(walkers,)``."""
    # Sums of bytes into int32 are several times as fast as those of float32.
    differ = (before != after).view(torch.int8).flatten(1)
    return differ.sum(1, dtype=torch.int32).float() / differ.shape[1]


def _exchanged(given: Clusters, x: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Return ``R x``: two states of every walker exchanged, by a symmetry of the bond table."""
    per_walker = (-1, *[1] * (x.ndim - 1))
    first = first.view(per_walker)
    second = second.view(per_walker)
    if given.reflection:
        # The remainder is never negative, whatever the sign of the difference.
        return (first + second - x) % given.q
    others = torch.where(x == second, first, x)
    return torch.where(x == first, second, others)


def labels_of(given: Clusters, x: Tensor, other: Tensor | None, sweep: int) -> Tensor:
    """Return clusters of bonds that join with probability ``1 - e^{-[β J (φ(x_i, x_j) - φ')]_+}``.

    Args:
        given: Arguments of the op.
        x: States, int64 ``(walkers, *shape)``.
        other: ``R x``, so that ``φ'`` is ``φ(R x_i, x_j)``; None for ``φ`` off the diagonal of the
            bond table.
        sweep: Event counter of the random numbers.

    Returns:
        First site of the cluster of every site, ``(walkers, sites)``.
    """
    count, *shape = x.shape
    ndim = len(shape)
    # Uniform numbers of one word have 24 bits: float32 is enough to compare with them.
    coupling = given.coupling.float()
    table = given.bond_table.float().flatten()
    words = given.site_words(sweep, ndim * given.sites, draw=0)
    uniform = uniform32(words).view(count, ndim, *shape)
    scale = given.beta.float().view(-1, *[1] * ndim)
    bonds = torch.empty(count, ndim, *shape, dtype=torch.bool, device=x.device)
    for axis in range(ndim):
        neighbour = x.roll(-1, axis + 1)
        # φ(0, 1) stands for all: Potts tables have one value off the diagonal.
        without = table[1]
        if other is not None:
            without = table[other * given.q + neighbour]
        energy = table[x * given.q + neighbour] - without
        # Without a coupling, as off an open edge, the gain is 0.
        gain = scale * bonds_along(coupling, axis, x, given.periodic) * energy
        # Where the gain is ≤ 0 this is at least 1, above any uniform number: [·]_+ needs no clamp.
        bonds[:, axis] = uniform[:, axis] > exponential(-gain)
    return cluster_labels_op(bonds).flatten(1)


def _by_cluster(labels: Tensor, values: Tensor) -> Tensor:
    """Return sums over the clusters, at the first site of each; 0 at the other sites.

    Terms are added in the order of the sites.

    Args:
        labels: First site of the cluster of every site, ``(walkers, sites)``.
        values: ``(walkers, sites, …)``.
    """
    walkers, sites = labels.shape
    # One index for the sites of all walkers.
    rows = torch.arange(walkers, device=labels.device).unsqueeze(1) * sites
    index = (labels + rows).flatten()
    sums = torch.zeros_like(values).flatten(0, 1)
    return sums.index_add_(0, index, values.flatten(0, 1)).view_as(values)


def _field(given: Clusters, x: Tensor) -> Tensor:
    """Return ``β h_i(x_i)``, float64 ``(walkers, sites)``."""
    every = given.site_table.expand(len(x), given.q, *x.shape[1:]).flatten(2)
    states = x.flatten(1).unsqueeze(1)
    return given.beta.view(-1, 1) * every.gather(1, states).squeeze(1)


def recolours(given: Clusters) -> bool:
    """Return whether clusters are of one state each, so that any other may be given to them."""
    if given.reflection or given.q == 2:
        return False
    if not len(given.configurations):
        return True
    contrast = given.bond_table[0, 0] - given.bond_table[0, 1]
    # Only if equal neighbours are never the dearer ones does no bond join two different states.
    least, largest = (given.coupling * contrast).aminmax()
    low, high = given.beta.aminmax()
    # A product of two ranges is least at one of their ends.
    return bool((torch.outer(torch.stack([low, high]), torch.stack([least, largest])) >= 0).all())


def recoloured(given: Clusters, x: Tensor, labels: Tensor, sweep: int, has_field: bool) -> Tensor:
    """Return configurations whose clusters of equal states have states drawn by their fields."""
    words = given.site_words(sweep, given.sites, draw=1)
    if has_field:
        table = given.site_table.flatten(2).transpose(1, 2)
        fields = (given.beta.view(-1, 1, 1) * table).expand(*labels.shape, given.q)
        # Fields of large clusters are large too; softmax takes the largest off, so none overflows.
        shares = _by_cluster(labels, fields).softmax(2)
        # Without the last sum: if rounding left it below 1, a state q could be drawn.
        thresholds = shares.cumsum(2)[..., :-1]
        uniform = uniform32(words, torch.float64).unsqueeze(2)
        drawn = (thresholds <= uniform).sum(2)
    else:
        # A word is uniform in [0, 2³²): without a field all states are alike.
        drawn = words * given.q >> 32
    return drawn.gather(1, labels).to(x.dtype).view_as(x)


def _recolour(
    given: Clusters, x: Tensor, sweep: int, has_field: bool, labels_at: Labelling
) -> tuple[Tensor, Tensor]:
    """Return configurations after an update by :func:`recoloured`, and labels of the clusters."""
    labels = labels_at(given, x.long(), None, sweep)
    return recoloured(given, x, labels, sweep, has_field), labels


def _flip(
    given: Clusters, x: Tensor, sweep: int, has_field: bool, labels_at: Labelling
) -> tuple[Tensor, Tensor]:
    """Return configurations with two states exchanged, or not, in each cluster by its field.

    Returns:
        Configurations and labels of the clusters.
    """
    words = given.choices(sweep)
    # Two different states, uniform among all pairs.
    first = words[2] * given.q >> 32
    second = (first + 1 + (words[1] * (given.q - 1) >> 32)) % given.q
    old = x.long()
    new = _exchanged(given, old, first, second)
    labels = labels_at(given, old, new, sweep)
    uniform = uniform32(given.site_words(sweep, given.sites, draw=1), torch.float64)
    # Without a field both are alike.
    flips = uniform < 0.5
    if has_field:
        gain = _by_cluster(labels, _field(given, new) - _field(given, old))
        # The heat bath of two states: u < e^g / (1 + e^g), free of overflow.
        flips = logarithm(uniform) - logarithm(1.0 - uniform) < gain
    chosen = flips.gather(1, labels).view_as(x)
    return torch.where(chosen, new, old).to(x.dtype), labels


def mean_size(given: Clusters, squares: Tensor) -> Tensor:
    """Return the fraction of the lattice in the cluster of a random site, mean over the sweeps.

    Args:
        given: Arguments of the op.
        squares: Squared sizes of all clusters of all sweeps, summed, float64 ``(walkers,)``.
    """
    # A random site lies in a cluster in proportion to its size.
    return (squares / float(given.sites * given.sites) / given.sweeps).float()


def swendsen_wang_sweeps(given: Clusters) -> ClusterSweeps:
    """Give all clusters of joined sites new states at once, sweep after sweep."""
    return swendsen_wang(given, labels_of)


def swendsen_wang(given: Clusters, labels_at: Labelling) -> ClusterSweeps:
    """Give all clusters new states at once, whatever joins their sites."""
    update = _flip
    if recolours(given):
        update = _recolour
    has_field = given.has_field
    x = given.configurations
    squares = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    for sweep in given.numbers():
        x, labels = update(given, x, sweep, has_field, labels_at)
        counts = _by_cluster(labels, torch.ones_like(labels))
        # A sum of integers is exact in any order.
        squares += counts.square().sum(1).double()
    return ClusterSweeps(x, mean_size(given, squares), changed(given.configurations, x))


def _accepted(word: Tensor, rest: float, log_ratio: Tensor | None) -> Tensor:
    """Return whether ``u < (1 - ε) min(1, e^Δ)``; without a log-ratio ``Δ`` it is 0."""
    uniform = uniform32(word, torch.float64)
    # 1 - ε is exact.
    moves = uniform < 1.0 - rest
    if log_ratio is None:
        return moves
    return moves & (logarithm(uniform / (1.0 - rest)) < log_ratio)


def wolff_sweeps(given: Clusters) -> ClusterSweeps:
    """Exchange two states in the cluster of a random site, or not, sweep after sweep."""
    return wolff(given, labels_of)


def wolff(given: Clusters, labels_at: Labelling) -> ClusterSweeps:
    """Exchange two states in the cluster of a random site, whatever joins its sites."""
    has_field = given.has_field
    x = given.configurations
    size = torch.zeros(len(x), dtype=torch.float32, device=x.device)
    for sweep in given.numbers():
        words = given.choices(sweep)
        # The upper half of a word times N is uniform in 0 … N - 1; int64 holds it for N < 2³¹.
        site = (words[0] * given.sites >> 32).unsqueeze(1)
        old = x.long()
        first = old.flatten(1).gather(1, site).squeeze(1)
        # A shift by 1 … q - 1, so that the new state is never the old one.
        second = (first + 1 + (words[1] * (given.q - 1) >> 32)) % given.q
        new = _exchanged(given, old, first, second)
        labels = labels_at(given, old, new, sweep)
        label = labels.gather(1, site)
        members = labels == label
        log_ratio = None
        if has_field:
            gain = _by_cluster(labels, _field(given, new) - _field(given, old))
            # R is its own inverse and proposed as often from there: the fields alone decide.
            log_ratio = gain.gather(1, label).squeeze(1)
        moves = members & _accepted(words[3], given.rest, log_ratio).unsqueeze(1)
        x = torch.where(moves.view_as(x), new, old).to(x.dtype)
        size += members.sum(1).float() / given.sites
    return ClusterSweeps(x, size / given.sweeps, changed(given.configurations, x))
