"""Cluster moves of Swendsen and Wang, and of Wolff.

Both embed Ising variables, by the ops of :mod:`leaps_triton.kernels.clusters` on lattices and of
:mod:`leaps_triton.kernels.graph_clusters` on graphs. An exchange ``R`` of
two states with ``φ(Ra, Rb) = φ(a, b)`` is drawn; a bond joins its sites with probability
``1 - exp(-[β J (φ(x_i, x_j) - φ(R x_i, x_j))]_+)``; then the weights of ``x`` and of ``x`` with
``R`` applied to a whole cluster differ by the field in that cluster alone, whatever the signs of
the couplings (Wolff 1989; Wang, Swendsen, Kotecký 1989; Niedermayer 1988). For Ising ``R`` is the
flip, for Potts it exchanges two states, for clock models it is a reflection.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from ..kernels.checks import as_integer, as_rest
from ..models.base import Model, SweepPlan
from ..models.pair import PairModel
from ..paths.annealing import AnnealingPath
from ..registry import register
from .base import BaseMove, SweepState, pair_model, since
from .sweeps import beta_at

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


def _step(
    kind: str, model: PairModel, state: SweepState, beta: Tensor, plan: SweepPlan
) -> tuple[SweepState, ClusterInfo]:
    """Return the walkers after updates of one kind, and what they did."""
    tables = model.tables(state.walkers.device)
    reflection = model.symmetry == "reflection"
    made = model.interactions.clusters(kind, state.configurations, tables, beta, reflection, plan)
    after = SweepState(made.configurations, state.walkers, state.sweep + plan.count)
    return after, ClusterInfo(made.changed, made.size)


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

    def check_model(self, model: Any) -> None:
        """Raise a ValueError if clusters of a model have no two states to exchange.

        Args:
            model: the target, completed.
        """
        _symmetric(model, self)

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
        beta = beta_at(path, t, state.walkers.device)
        plan = SweepPlan(state.walkers, state.sweep, self.sweeps, seed)
        return _step("swendsen_wang", model, state, beta, plan)


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

    On a CPU the bonds near the cluster alone are drawn. On a GPU all are, so that an update costs
    as much as one of :class:`SwendsenWang`, and changes less: take that one there, unless single
    clusters are wanted.

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

    def check_model(self, model: Any) -> None:
        """Raise a ValueError if clusters of a model have no two states to exchange.

        Args:
            model: the target, completed.
        """
        _symmetric(model, self)

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
        beta = beta_at(path, t, state.walkers.device)
        plan = SweepPlan(state.walkers, state.sweep, self.clusters, seed, rest=self.rest)
        return _step("wolff", model, state, beta, plan)
