"""Cluster moves: Swendsen–Wang, Wolff, and Houdayer's exchange between two walkers.

The first two embed Ising variables. An exchange ``R`` of two states with ``φ(Ra, Rb) = φ(a, b)`` is
drawn; a bond joins its sites with probability ``1 - exp(-[β J (φ(x_i, x_j) - φ(R x_i, x_j))]_+)``;
then the weights of ``x`` and of ``x`` with ``R`` applied to a whole cluster differ by the field in
that cluster alone, whatever the signs of the couplings (Wolff 1989; Wang, Swendsen, Kotecký 1989;
Niedermayer 1988). For Ising ``R`` is the flip, for Potts it exchanges two states, for clock models
it is a reflection.
"""

from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor

from .. import kernels
from ..kernels import Stream
from ..kernels.checks import as_integer
from ..kernels.philox import site_words
from ..models.pair import PairModel
from ..paths.annealing import AnnealingPath
from ..registry import register
from .base import SweepState, changed, pair_model

__all__ = ["ClusterInfo", "SwendsenWang", "Wolff"]


class ClusterInfo(NamedTuple):
    """What one step did."""

    changed: Tensor
    """Fraction of sites whose value changed, float32 ``(walkers,)``"""
    size: Tensor
    """Fraction of the lattice in the cluster of a random site, mean over the step's updates,
    float32 ``(walkers,)``. For a ferromagnetic Ising model without field its mean is ``⟨m²⟩``."""


def _symmetric(model: PairModel, kernel: object) -> PairModel:
    if not model.symmetry:
        raise ValueError(
            f"{type(kernel).__name__} exchanges two states at all sites of a cluster, so the bond energy must allow it "
            f"(Ising, Potts, Clock), got {model!r} with bond table {model.bond_table.tolist()}; take HeatBath"
        )
    return model


def _exchange(model: PairModel, x: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """``R x``: the states ``first`` and ``second`` of every walker exchanged, by a symmetry of the
    bond table.
    """
    walkers = (-1, *[1] * model.lattice.ndim)
    first, second = first.view(walkers), second.view(walkers)
    if model.symmetry == "reflection":
        return (first + second - x) % model.q
    return torch.where(x == first, second, torch.where(x == second, first, x))


def _inside(model: PairModel, axis: int, device: torch.device) -> Tensor:
    """Which sites have a bond in positive direction ``axis``, broadcastable to the lattice."""
    length, ndim = model.lattice.shape[axis], model.lattice.ndim
    last = length if model.lattice.periodic[axis] else length - 1
    return (torch.arange(length, device=device) < last).view(-1, *[1] * (ndim - axis - 1))


def _labels(
    model: PairModel,
    x: Tensor,
    other: Tensor | None,
    beta: Tensor,
    walkers: Tensor,
    sweep: int,
    seed: int,
) -> Tensor:
    """Clusters of bonds that join with probability ``1 - exp(-[β J (φ(x_i, x_j) - φ(other_i,
    x_j))]_+)``.

    Without ``other``, ``φ`` off the diagonal of the bond table stands for its second term.
    """
    tables, (count, *shape) = model.tables(x.device), x.shape
    coupling, table = tables.coupling.float(), tables.bond_table.float().flatten()
    ndim = model.lattice.ndim
    words = site_words(seed, Stream.CLUSTER, sweep, walkers, ndim * model.lattice.sites)
    uniform = kernels.uniform32(words).view(count, ndim, *shape)
    scale = beta.float().view(-1, *[1] * ndim)
    bonds = torch.empty(count, ndim, *shape, dtype=torch.bool, device=x.device)
    for axis in range(ndim):
        neighbour = x.roll(-1, axis + 1)
        without = table[1] if other is None else table[other * model.q + neighbour]
        gain = (
            scale
            * coupling[:, axis if coupling.shape[1] > 1 else 0]
            * (table[x * model.q + neighbour] - without)
        )
        bonds[:, axis] = (uniform[:, axis] > torch.exp(-gain)) & _inside(model, axis, x.device)
    return kernels.cluster_labels(bonds).flatten(1)


def _by_cluster(labels: Tensor, values: Tensor) -> Tensor:
    """Sums of ``values (walkers, sites, …)`` over the clusters, at the first site of each; 0 at the
    other sites.
    """
    rows = torch.arange(len(labels), device=labels.device).unsqueeze(1) * labels.shape[1]
    sums = torch.zeros_like(values).flatten(0, 1)
    return sums.index_add_(0, (labels + rows).flatten(), values.flatten(0, 1)).view_as(values)


def _field(model: PairModel, x: Tensor, beta: Tensor) -> Tensor:
    """``β h_i(x_i)``, float64 ``(walkers, sites)``."""
    table = model.tables(x.device).site_table.expand(len(x), model.q, *x.shape[1:]).flatten(2)
    return beta.view(-1, 1) * table.gather(1, x.flatten(1).unsqueeze(1)).squeeze(1)


@register("move")
@dataclass(frozen=True)
class SwendsenWang:
    """Swendsen–Wang: all clusters of satisfied bonds at once, each with a new state.

    Potts models (q > 2) with ``β J ≥ 0``: neighbours in the same state are joined with probability
    ``1 - e^{-βJ}``, and each cluster takes state ``a`` with probability ``∝ exp(β Σ_i h_i(a))``
    over its sites. Otherwise two states are drawn and exchanged in each cluster, or not, in
    proportion to the two weights of the field (see the module): for Ising with couplings of any
    sign the two spins, for antiferromagnetic Potts any two states, for clock models a reflection.
    Exact for any couplings and field; useful where clusters do not percolate, so not for spin
    glasses in three dimensions.

    A model whose bond table has no such symmetry is refused.

    Args:
        sweeps: updates of all clusters a step, at least 1.

    Raises:
        ValueError: fewer than one sweep; at the first step, a model without the symmetry.

    References:
        Swendsen, Wang, *Nonuniversal critical dynamics in Monte Carlo simulations*, Phys. Rev.
        Lett. 58, 86 (1987). Wang, Swendsen, Kotecký, *Antiferromagnetic Potts models*, Phys. Rev.
        Lett. 63, 109 (1989).

    Example:
        >>> import torch, leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Potts((16, 16), q=3, beta=1.005))
        >>> kernel, walkers = lt.SwendsenWang(), torch.arange(20)
        >>> state = kernel.init(path.start.sample(walkers, seed=0), walkers)
        >>> state, info = kernel.step(state, path, t=1.0, seed=0)
        >>> bool((info.changed > 0.5).all())
        True
    """

    sweeps: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "sweeps", as_integer("sweeps", self.sweeps, 1))

    def reversed(self) -> Self:
        """The kernel reversed in time, which is the kernel itself."""
        return self

    def init(self, configurations: Tensor, walkers: Tensor) -> SweepState:
        """Chains that start from ``configurations``."""
        return SweepState(configurations, walkers, 0)

    def step(
        self, state: SweepState, path: AnnealingPath, t: Tensor | float, seed: int
    ) -> tuple[SweepState, ClusterInfo]:
        """``sweeps`` updates at time ``t`` of the path, a number or float64 ``(1 | walkers,)``."""
        model = _symmetric(pair_model(path.model, self), self)
        before, beta = state.configurations, path.beta(t).to(state.walkers.device)
        strength = beta.unsqueeze(1) * (
            model.tables(beta.device).coupling.flatten() * _contrast(model)
        )
        recolour = model.symmetry == "permutation" and model.q > 2 and bool((strength >= 0).all())
        x, size = before, torch.zeros(len(before), dtype=torch.float64, device=before.device)
        for sweep in range(state.sweep, state.sweep + self.sweeps):
            x, labels = (_recolour if recolour else _flip)(
                model, x, beta, state.walkers, sweep, seed
            )
            counts = _by_cluster(labels, torch.ones_like(labels)).double()
            size += (counts / labels.shape[1]).square().sum(1)
        after = SweepState(x, state.walkers, state.sweep + self.sweeps)
        return after, ClusterInfo(changed(before, x), (size / self.sweeps).float())


def _contrast(model: PairModel) -> float:
    return float(model.bond_table[0, 0] - model.bond_table[0, 1])


def _recolour(
    model: PairModel, x: Tensor, beta: Tensor, walkers: Tensor, sweep: int, seed: int
) -> tuple[Tensor, Tensor]:
    """Every cluster of equal states takes a state drawn by its field; also the labels."""
    labels = _labels(model, x.long(), None, beta, walkers, sweep, seed)
    words = site_words(seed, Stream.CLUSTER, sweep, walkers, labels.shape[1], draw=1)
    if model.site_table.any():
        table = model.tables(x.device).site_table.flatten(2).transpose(1, 2)
        fields = (beta.view(-1, 1, 1) * table).expand(*labels.shape, model.q)
        thresholds = _by_cluster(labels, fields).softmax(2).cumsum(2)[..., :-1]
        drawn = (thresholds <= kernels.uniform32(words, torch.float64).unsqueeze(2)).sum(2)
    else:
        drawn = words * model.q >> 32
    return drawn.gather(1, labels).to(x.dtype).view_as(x), labels


def _flip(
    model: PairModel, x: Tensor, beta: Tensor, walkers: Tensor, sweep: int, seed: int
) -> tuple[Tensor, Tensor]:
    """In every cluster two random states are exchanged, or not, by its field; also the labels."""
    words = kernels.philox(seed, Stream.CLUSTER, 0, sweep, 2, walkers, x.device)
    first = words[2] * model.q >> 32
    second = (first + 1 + (words[1] * (model.q - 1) >> 32)) % model.q
    old = x.long()
    new = _exchange(model, old, first, second)
    labels = _labels(model, old, new, beta, walkers, sweep, seed)
    uniform = kernels.uniform32(
        site_words(seed, Stream.CLUSTER, sweep, walkers, labels.shape[1], draw=1), torch.float64
    )
    threshold: Tensor | float = 0.5
    if model.site_table.any():
        threshold = torch.sigmoid(
            _by_cluster(labels, _field(model, new, beta) - _field(model, old, beta))
        )
    flips = (uniform < threshold).gather(1, labels).view_as(x)
    return torch.where(flips, new, old).to(x.dtype), labels


@register("move")
@dataclass(frozen=True)
class Wolff:
    """Wolff: the cluster of one random site takes another state, again and again.

    A site and a new state for it are drawn; the exchange that takes it there (see the module) is
    made in the whole cluster of the site with probability ``min(1, exp(β Σ_i [h_i(R x_i) -
    h_i(x_i)]))``: always, without a field. Couplings of any sign, Ising, Potts and clock models; a
    model whose bond table has no such symmetry is refused.

    All bonds of the lattice are drawn, so that an update costs as much as one of
    :class:`SwendsenWang`, and changes
    less: take that one unless single clusters are wanted.

    Args:
        clusters: updates a step, at least 1; each counts as a sweep in ``state.sweep``.

    Raises:
        ValueError: fewer than one cluster; at the first step, a model without the symmetry.

    References:
        Wolff, *Collective Monte Carlo updating for spin systems*, Phys. Rev. Lett. 62, 361 (1989).

    Example:
        >>> import torch, leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Ising((16, 16), beta=0.6))
        >>> kernel, walkers = lt.Wolff(), torch.arange(20)
        >>> state = kernel.init(torch.ones(20, 16, 16, dtype=torch.int8), walkers)
        >>> state, info = kernel.step(state, path, t=1.0, seed=0)
        >>> torch.equal(info.changed, info.size)
        True
    """

    clusters: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "clusters", as_integer("clusters", self.clusters, 1))

    def reversed(self) -> Self:
        """The kernel reversed in time, which is the kernel itself."""
        return self

    def init(self, configurations: Tensor, walkers: Tensor) -> SweepState:
        """Chains that start from ``configurations``."""
        return SweepState(configurations, walkers, 0)

    def step(
        self, state: SweepState, path: AnnealingPath, t: Tensor | float, seed: int
    ) -> tuple[SweepState, ClusterInfo]:
        """``clusters`` updates at time ``t`` of the path, a number or float64 ``(1 |
        walkers,)``.
        """
        model = _symmetric(pair_model(path.model, self), self)
        before, beta = state.configurations, path.beta(t).to(state.walkers.device)
        x, size = before, torch.zeros(len(before), dtype=torch.float32, device=before.device)
        for sweep in range(state.sweep, state.sweep + self.clusters):
            x, members = self._update(model, x, beta, state.walkers, sweep, seed)
            size += members.float().mean(1)
        after = SweepState(x, state.walkers, state.sweep + self.clusters)
        return after, ClusterInfo(changed(before, x), size / self.clusters)

    def _update(
        self, model: PairModel, x: Tensor, beta: Tensor, walkers: Tensor, sweep: int, seed: int
    ) -> tuple[Tensor, Tensor]:
        words = kernels.philox(seed, Stream.CLUSTER, 0, sweep, 2, walkers, x.device)
        site = (words[0] * model.lattice.sites >> 32).unsqueeze(1)
        old = x.long()
        first = old.flatten(1).gather(1, site).squeeze(1)
        second = (first + 1 + (words[1] * (model.q - 1) >> 32)) % model.q
        new = _exchange(model, old, first, second)
        labels = _labels(model, old, new, beta, walkers, sweep, seed)
        members = labels == labels.gather(1, site)
        moves = members
        if model.site_table.any():
            log_ratio = ((_field(model, new, beta) - _field(model, old, beta)) * members).sum(1)
            accepted = kernels.uniform32(
                words[3], torch.float64
            ) < kernels.reference.metropolis_acceptance(log_ratio)
            moves = members & accepted.unsqueeze(1)
        return torch.where(moves.view_as(x), new, old).to(x.dtype), members
