"""Cluster moves of Swendsen and Wang, and of Wolff.

Both embed Ising variables. An exchange ``R`` of two states with ``φ(Ra, Rb) = φ(a, b)`` is
drawn; a bond joins its sites with probability ``1 - exp(-[β J (φ(x_i, x_j) - φ(R x_i, x_j))]_+)``;
then the weights of ``x`` and of ``x`` with ``R`` applied to a whole cluster differ by the field in
that cluster alone, whatever the signs of the couplings (Wolff 1989; Wang, Swendsen, Kotecký 1989;
Niedermayer 1988). For Ising ``R`` is the flip, for Potts it exchanges two states, for clock models
it is a reflection.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from .. import kernels
from ..kernels import Stream
from ..kernels.checks import as_integer, as_rest
from ..kernels.philox import site_words
from ..models.base import Model
from ..models.pair import PairModel
from ..paths.annealing import AnnealingPath
from ..registry import register
from .base import BaseMove, SweepState, changed, pair_model, since

__all__ = ["ClusterInfo", "SwendsenWang", "Wolff"]

REST = 2.0**-5
"""Wolff's probability to leave a cluster as it is; experiments/benchmarks/metropolis_rest.py."""


class ClusterInfo(NamedTuple):
    """What one step did."""

    changed: Tensor
    """Fraction of sites whose value changed, float32 ``(walkers,)``"""
    size: Tensor
    """Fraction of the lattice in the cluster of a random site, mean over the step's updates,
    float32 ``(walkers,)``. For a ferromagnetic Ising model without field its mean is ``⟨m²⟩``."""


def _symmetric(model: Model, move: object) -> PairModel:
    """Return ``model``, if two of its states can be exchanged at all sites of a cluster.

    Raises:
        ValueError: another model; the error names the move.
    """
    pairs = pair_model(model, move)
    if not pairs.symmetry:
        raise ValueError(
            f"{type(move).__name__} exchanges two states at all sites of a cluster, so the bond "
            f"energy must allow it (Ising, Potts, Clock), got {pairs!r} with bond table "
            f"{pairs.bond_table.tolist()}; take HeatBath"
        )
    return pairs


def _exchange(model: PairModel, x: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Return ``R x``: two states of every walker exchanged, by a symmetry of the bond table."""
    per_walker = (-1, *[1] * model.lattice.ndim)
    first = first.view(per_walker)
    second = second.view(per_walker)
    if model.symmetry == "reflection":
        # The remainder is never negative, whatever the sign of the difference.
        return (first + second - x) % model.q
    others = torch.where(x == second, first, x)
    return torch.where(x == first, second, others)


def inside(model: PairModel, axis: int, device: torch.device) -> Tensor:
    """Return which sites have a bond in positive direction ``axis``, in a shape to broadcast."""
    length = model.lattice.shape[axis]
    has_bond = torch.ones(length, dtype=torch.bool, device=device)
    if not model.lattice.periodic[axis]:
        has_bond[-1] = False
    behind = model.lattice.ndim - axis - 1
    return has_bond.view(-1, *[1] * behind)


def _labels(
    model: PairModel,
    x: Tensor,
    other: Tensor | None,
    beta: Tensor,
    walkers: Tensor,
    sweep: int,
    seed: int,
) -> Tensor:
    """Return clusters of bonds that join with probability ``1 - e^{-[β J (φ(x_i, x_j) - φ')]_+}``.

    Args:
        model: the target.
        x: states, int64 ``(walkers, *shape)``.
        other: ``R x``, so that ``φ'`` is ``φ(R x_i, x_j)``; None for ``φ`` off the diagonal of the
            bond table.
        beta: inverse temperature, ``(1 | walkers,)``.
        walkers: global indices, int64 ``(walkers,)``.
        sweep: event counter of the random numbers.
        seed: in [0, 2³²).

    Returns:
        First site of the cluster of every site, ``(walkers, sites)``.
    """
    tables = model.tables(x.device)
    count, *shape = x.shape
    ndim = model.lattice.ndim
    # Uniform numbers of one word have 24 bits: float32 is enough to compare with them.
    coupling = tables.coupling.float()
    table = tables.bond_table.float().flatten()
    words = site_words(seed, Stream.CLUSTER, sweep, walkers, ndim * model.lattice.sites)
    uniform = kernels.uniform32(words).view(count, ndim, *shape)
    scale = beta.float().view(-1, *[1] * ndim)
    bonds = torch.empty(count, ndim, *shape, dtype=torch.bool, device=x.device)
    for axis in range(ndim):
        neighbour = x.roll(-1, axis + 1)
        # φ(0, 1) stands for all: Potts tables have one value off the diagonal.
        without = table[1]
        if other is not None:
            without = table[other * model.q + neighbour]
        energy = table[x * model.q + neighbour] - without
        # A uniform coupling has one axis for all directions.
        gain = scale * coupling[:, min(axis, coupling.shape[1] - 1)] * energy
        # Where the gain is ≤ 0 this is at least 1, above any uniform number: [·]_+ needs no clamp.
        joined = uniform[:, axis] > torch.exp(-gain)
        bonds[:, axis] = joined & inside(model, axis, x.device)
    return kernels.cluster_labels(bonds).flatten(1)


def _by_cluster(labels: Tensor, values: Tensor) -> Tensor:
    """Return sums over the clusters, at the first site of each; 0 at the other sites.

    Args:
        labels: first site of the cluster of every site, ``(walkers, sites)``.
        values: ``(walkers, sites, …)``.
    """
    walkers, sites = labels.shape
    # One index for the sites of all walkers.
    rows = torch.arange(walkers, device=labels.device).unsqueeze(1) * sites
    index = (labels + rows).flatten()
    sums = torch.zeros_like(values).flatten(0, 1)
    return sums.index_add_(0, index, values.flatten(0, 1)).view_as(values)


def _field(model: PairModel, x: Tensor, beta: Tensor) -> Tensor:
    """Return ``β h_i(x_i)``, float64 ``(walkers, sites)``."""
    table = model.tables(x.device).site_table
    every = table.expand(len(x), model.q, *x.shape[1:]).flatten(2)
    states = x.flatten(1).unsqueeze(1)
    return beta.view(-1, 1) * every.gather(1, states).squeeze(1)


@register("move")
@dataclass(frozen=True)
class SwendsenWang(BaseMove):
    """Gives all clusters of satisfied bonds new states at once.

    Potts models (q > 2) with ``β J ≥ 0``: neighbours in the same state are joined with probability
    ``1 - e^{-βJ}``, and each cluster takes state ``a`` with probability ``∝ exp(β Σ_i h_i(a))``
    over its sites. Otherwise two states are drawn and exchanged in each cluster, or not, in
    proportion to the two weights of the field (see the module): for Ising with couplings of any
    sign the two spins, for antiferromagnetic Potts any two states, for clock models a reflection.
    Exact for any couplings and field; useful where clusters do not percolate, so not for spin
    glasses in three dimensions.

    A model whose bond table has no such symmetry is refused.

    Args:
        sweeps: updates of all clusters per step, at least 1.

    Raises:
        ValueError: fewer than one sweep; at the first step, a model without the symmetry.

    References:
        Swendsen, Wang, *Nonuniversal critical dynamics in Monte Carlo simulations*, Phys. Rev.
        Lett. 58, 86 (1987). Wang, Swendsen, Kotecký, *Antiferromagnetic Potts models*, Phys. Rev.
        Lett. 63, 109 (1989).

    Example:
        >>> import torch, leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Potts((16, 16), q=3, beta=1.005))
        >>> move, walkers = lt.SwendsenWang(), torch.arange(20)
        >>> state = move.init(path.start.sample(walkers, seed=0), walkers)
        >>> state, info = move.step(state, path, t=1.0, seed=0)
        >>> bool((info.changed > 0.5).all())
        True
    """

    sweeps: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "sweeps", as_integer("sweeps", self.sweeps, 1))

    @property
    def rowwise(self) -> bool:
        """Return True: walkers share no number."""
        return True

    def step(
        self, state: SweepState, path: AnnealingPath, t: Tensor | float, seed: int
    ) -> tuple[SweepState, ClusterInfo]:
        """Return the walkers after ``sweeps`` updates, and how large the clusters were.

        Args:
            state: walkers of the chain.
            path: the annealing path.
            t: time on the path, a number or float64 ``(1 | walkers,)``.
            seed: in [0, 2³²).
        """
        model = _symmetric(path.model, self)
        before = state.configurations
        beta = path.beta(t).to(state.walkers.device)
        update = _flip
        if _can_recolour(model, beta):
            update = _recolour
        x = before
        # Up to N squares as small as 1/N² are added up, so float32 comes only at the end.
        size = torch.zeros(len(before), dtype=torch.float64, device=before.device)
        for sweep in range(state.sweep, state.sweep + self.sweeps):
            x, labels = update(model, x, beta, state.walkers, sweep, seed)
            counts = _by_cluster(labels, torch.ones_like(labels)).double()
            # A random site lies in a cluster in proportion to its size.
            size += (counts / labels.shape[1]).square().sum(1)
        after = SweepState(x, state.walkers, state.sweep + self.sweeps)
        return after, ClusterInfo(changed(before, x), (size / self.sweeps).float())


def _can_recolour(model: PairModel, beta: Tensor) -> bool:
    """Return whether clusters are of one state each, so that any other may be given to them."""
    if model.symmetry != "permutation" or model.q == 2:
        return False
    contrast = float(model.bond_table[0, 0] - model.bond_table[0, 1])
    # Only if equal neighbours are never the dearer ones does no bond join two different states.
    couplings = model.tables(beta.device).coupling.flatten() * contrast
    return bool((beta.unsqueeze(1) * couplings >= 0).all())


def _recolour(
    model: PairModel, x: Tensor, beta: Tensor, walkers: Tensor, sweep: int, seed: int
) -> tuple[Tensor, Tensor]:
    """Return configurations whose clusters of equal states have states drawn by their fields.

    Returns:
        Configurations and labels of the clusters.
    """
    labels = _labels(model, x.long(), None, beta, walkers, sweep, seed)
    words = site_words(seed, Stream.CLUSTER, sweep, walkers, labels.shape[1], draw=1)
    if model.site_table.any():
        table = model.tables(x.device).site_table.flatten(2).transpose(1, 2)
        fields = (beta.view(-1, 1, 1) * table).expand(*labels.shape, model.q)
        # Fields of large clusters are large too; softmax takes the largest off, so none overflows.
        shares = _by_cluster(labels, fields).softmax(2)
        # Without the last sum: if rounding left it below 1, a state q could be drawn.
        thresholds = shares.cumsum(2)[..., :-1]
        uniform = kernels.uniform32(words, torch.float64).unsqueeze(2)
        drawn = (thresholds <= uniform).sum(2)
    else:
        # A word is uniform in [0, 2³²): without a field all states are alike.
        drawn = words * model.q >> 32
    return drawn.gather(1, labels).to(x.dtype).view_as(x), labels


def _flip(
    model: PairModel, x: Tensor, beta: Tensor, walkers: Tensor, sweep: int, seed: int
) -> tuple[Tensor, Tensor]:
    """Return configurations with two states exchanged, or not, in each cluster by its field.

    Returns:
        Configurations and labels of the clusters.
    """
    # Words 1 and 2 of draw 2; its words 0 and 3 belong to moves of a single cluster.
    words = kernels.philox(seed, Stream.CLUSTER, 0, sweep, 2, walkers, x.device)
    # Two different states, uniform among all pairs.
    first = words[2] * model.q >> 32
    second = (first + 1 + (words[1] * (model.q - 1) >> 32)) % model.q
    old = x.long()
    new = _exchange(model, old, first, second)
    labels = _labels(model, old, new, beta, walkers, sweep, seed)
    site = site_words(seed, Stream.CLUSTER, sweep, walkers, labels.shape[1], draw=1)
    uniform = kernels.uniform32(site, torch.float64)
    # Without a field both are alike.
    threshold: Tensor | float = 0.5
    if model.site_table.any():
        gain = _field(model, new, beta) - _field(model, old, beta)
        # The heat bath of two states, e^g / (1 + e^g), in a form that does not overflow.
        threshold = torch.sigmoid(_by_cluster(labels, gain))
    flips = (uniform < threshold).gather(1, labels).view_as(x)
    return torch.where(flips, new, old).to(x.dtype), labels


@register("move")
@dataclass(frozen=True)
class Wolff(BaseMove):
    """Gives the cluster of one random site another state, again and again.

    A site and a new state for it are drawn; the exchange that takes it there (see the module) is
    made in the whole cluster of the site with probability ``(1 - ε) min(1, exp(β Σ_i [h_i(R x_i) -
    h_i(x_i)]))``. Couplings of any sign, Ising, Potts and clock models; a model whose bond table
    has no such symmetry is refused.

    ``ε`` is ``rest``. Without it, and where no bonds join (at β = 0, or J = 0), every update flips
    one spin, and the parity of spins up is fixed at every step.

    All bonds of the lattice are drawn, so that an update costs as much as one of
    :class:`SwendsenWang`, and changes less: take that one unless single clusters are wanted.

    Args:
        clusters: updates per step, at least 1; each counts as a sweep in ``state.sweep``.
        rest: ``ε``, the probability that an update leaves the cluster as it is, 0 or a power of two
            from 2⁻²³ to 1/2. Files always hold it; one of an earlier version, which has none, means
            0.

    Raises:
        ValueError: fewer than one cluster, a rest that is no such power; at the first step, a model
            without the symmetry.

    References:
        Wolff, *Collective Monte Carlo updating for spin systems*, Phys. Rev. Lett. 62, 361 (1989).

    Example:
        >>> import torch, leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Ising((16, 16), beta=0.6))
        >>> move, walkers = lt.Wolff(), torch.arange(20)
        >>> state = move.init(torch.ones(20, 16, 16, dtype=torch.int8), walkers)
        >>> state, info = move.step(state, path, t=1.0, seed=0)
        >>> bool((info.changed <= info.size).all())
        True
    """

    clusters: int = 1
    rest: float = since(REST, before=0.0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "clusters", as_integer("clusters", self.clusters, 1))
        object.__setattr__(self, "rest", as_rest("rest", self.rest))

    @property
    def rowwise(self) -> bool:
        """Return True: walkers share no number."""
        return True

    @property
    def confined(self) -> str:
        """Return why it is not ergodic without a rest; empty with one."""
        if self.rest:
            return ""
        return (
            "Wolff with rest=0 flips one spin a step where no bonds join, at β = 0 or J = 0, so "
            f"that their parity is fixed; take rest={REST}"
        )

    def step(
        self, state: SweepState, path: AnnealingPath, t: Tensor | float, seed: int
    ) -> tuple[SweepState, ClusterInfo]:
        """Return the walkers after ``clusters`` updates, and how large the clusters were.

        Args:
            state: walkers of the chain.
            path: the annealing path.
            t: time on the path, a number or float64 ``(1 | walkers,)``.
            seed: in [0, 2³²).
        """
        model = _symmetric(path.model, self)
        before = state.configurations
        beta = path.beta(t).to(state.walkers.device)
        x = before
        size = torch.zeros(len(before), dtype=torch.float32, device=before.device)
        for sweep in range(state.sweep, state.sweep + self.clusters):
            x, members = self._update(model, x, beta, state.walkers, sweep, seed)
            size += members.float().mean(1)
        after = SweepState(x, state.walkers, state.sweep + self.clusters)
        return after, ClusterInfo(changed(before, x), size / self.clusters)

    def _update(
        self, model: PairModel, x: Tensor, beta: Tensor, walkers: Tensor, sweep: int, seed: int
    ) -> tuple[Tensor, Tensor]:
        """Return configurations after one update, and which sites were in the cluster."""
        words = kernels.philox(seed, Stream.CLUSTER, 0, sweep, 2, walkers, x.device)
        # The upper half of a word times N is uniform in 0 … N - 1; int64 holds it for N < 2³¹.
        site = (words[0] * model.lattice.sites >> 32).unsqueeze(1)
        old = x.long()
        first = old.flatten(1).gather(1, site).squeeze(1)
        # A shift by 1 … q - 1, so that the new state is never the old one.
        second = (first + 1 + (words[1] * (model.q - 1) >> 32)) % model.q
        new = _exchange(model, old, first, second)
        labels = _labels(model, old, new, beta, walkers, sweep, seed)
        members = labels == labels.gather(1, site)
        # Without a field all but the rest is accepted, and 1 - ε is exact.
        acceptance = torch.full_like(beta, 1.0 - self.rest)
        if model.site_table.any():
            gain = _field(model, new, beta) - _field(model, old, beta)
            # R is its own inverse and proposed as often from there: the fields alone decide.
            log_ratio = (gain * members).sum(1)
            acceptance = acceptance * kernels.reference.metropolis_acceptance(log_ratio)
        accepted = kernels.uniform32(words[3], torch.float64) < acceptance
        moves = members & accepted.unsqueeze(1)
        return torch.where(moves.view_as(x), new, old).to(x.dtype), members
