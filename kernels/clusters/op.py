"""The ops ``swendsen_wang_sweeps`` and ``wolff_sweeps``."""

from collections.abc import Callable, Sequence

from torch import Tensor
from torch.library import CustomOpDef

from ..checks import as_bool, as_rest, check_model, check_sweeps, check_tensor
from ..registration import Launchers, call, cluster_op, put_on_cuda, taking
from . import reference
from .reference import Clusters, ClusterSweeps

__all__ = ["swendsen_wang_sweeps", "swendsen_wang_sweeps_op", "wolff_sweeps", "wolff_sweeps_op"]

SCHEMA = (
    "(Tensor configurations, Tensor coupling, Tensor bond_table, Tensor site_table, Tensor beta, "
    "bool[] periodic, bool reflection, Tensor walkers, SymInt first_sweep, SymInt sweeps, "
    "SymInt seed, float rest=0.0) -> (Tensor, Tensor, Tensor)"
)
"""Arguments of both, in the order of :class:`.reference.Clusters`; Wolff's updates alone rest."""


def swendsen_wang_sweeps(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    beta: Tensor,
    periodic: Sequence[bool],
    reflection: bool,
    walkers: Tensor,
    first_sweep: int,
    sweeps: int,
    seed: int,
) -> ClusterSweeps:
    """Give all clusters of joined sites new states at once, sweep after sweep.

    An exchange ``R`` of two states is drawn for each walker; bonds join their sites with
    probability ``1 - exp(-[β J (φ(x_i, x_j) - φ(R x_i, x_j))]_+)``; then ``R`` is applied to each
    cluster, or not, in proportion to the two weights of the field. Where ``q > 2``, ``R`` exchanges
    two states, and equal neighbours are nowhere the dearer ones, bonds join equal states with
    probability ``1 - exp(-β J [φ(0, 0) - φ(0, 1)])`` and each cluster takes state ``a`` with
    probability ``∝ exp(β Σ_i h_i(a))``. Leaves ``exp(-β H)`` invariant, for a β per walker too.
    Bonds are drawn with float32 probabilities.

    Args:
        configurations: See :mod:`leaps_triton.kernels`, as for all up to ``periodic``.
        coupling: ``J``.
        bond_table: ``φ``, which must allow the exchange: ``φ(Ra, Rb) = φ(a, b)``.
        site_table: ``h``.
        beta: ``β``.
        periodic: One bool per direction.
        reflection: Whether ``R`` is ``x → r - x mod q`` (clock models) rather than two states that
            take each other's place (Ising and Potts models).
        walkers: Global index of each walker, int64 ``(walkers,)``.
        first_sweep: The random numbers are those of the sweeps
            ``first_sweep … first_sweep + sweeps - 1``.
        sweeps: How many sweeps, at least 1.
        seed: In [0, 2³²).

    Returns:
        ClusterSweeps(configurations, the new ones, the given ones are left alone; size and changed,
        float32 ``(walkers,)``).

    Raises:
        ValueError: If a shape, dtype or device does not fit the configurations, or sweeps < 1.

    References:
        Swendsen, Wang, *Nonuniversal critical dynamics in Monte Carlo simulations*, Phys. Rev.
        Lett. 58, 86 (1987). Wang, Swendsen, Kotecký, *Antiferromagnetic Potts models*, Phys. Rev.
        Lett. 63, 109 (1989).
    """
    given = Clusters(
        configurations, coupling, bond_table, site_table, beta, periodic, reflection, walkers,
        first_sweep, sweeps, seed,
    )  # fmt: skip
    return _checked(swendsen_wang_sweeps_op, given)


def wolff_sweeps(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    beta: Tensor,
    periodic: Sequence[bool],
    reflection: bool,
    walkers: Tensor,
    first_sweep: int,
    sweeps: int,
    seed: int,
    rest: float = 0.0,
) -> ClusterSweeps:
    """Exchange two states in the cluster of a random site, or not, update after update.

    A site and a new state for it are drawn; the exchange ``R`` that takes it there is made in the
    whole cluster of the site with probability ``(1 - ε) min(1, exp(β Σ_i [h_i(R x_i) -
    h_i(x_i)]))``, ``ε`` being ``rest``. Bonds join as in :func:`swendsen_wang_sweeps`. Leaves
    ``exp(-β H)`` invariant, for a β per walker too.

    Args:
        configurations: Int8 ``(walkers, *shape)``; see :func:`swendsen_wang_sweeps`, as for all
            others.
        coupling: ``J``.
        bond_table: ``φ``.
        site_table: ``h``.
        beta: ``β``.
        periodic: One bool per direction.
        reflection: Whether ``R`` is a reflection.
        walkers: Global index of each walker.
        first_sweep: Number of the first update.
        sweeps: How many updates, at least 1.
        seed: In [0, 2³²).
        rest: ``ε``, the probability that an update leaves the cluster as it is, 0 or a power of two
            from 2⁻²³ to 1/2.

    Returns:
        ClusterSweeps(configurations, the new ones, the given ones are left alone; size and changed,
        float32 ``(walkers,)``).

    Raises:
        ValueError: If a shape, dtype or device does not fit the configurations, sweeps < 1, or
            rest is no such number.

    References:
        Wolff, *Collective Monte Carlo updating for spin systems*, Phys. Rev. Lett. 62, 361 (1989).
    """
    given = Clusters(
        configurations, coupling, bond_table, site_table, beta, periodic, reflection, walkers,
        first_sweep, sweeps, seed, as_rest("rest", rest),
    )  # fmt: skip
    return _checked(wolff_sweeps_op, given)


def _checked(op: CustomOpDef, given: Clusters) -> ClusterSweeps:
    x = given.configurations
    check_tensor("beta", given.beta)
    periodic = check_model(
        x, given.coupling, given.bond_table, given.site_table, given.beta, given.periodic
    )
    given = check_sweeps(given, least=1)._replace(
        periodic=periodic,
        reflection=as_bool("reflection", given.reflection),
    )
    return ClusterSweeps(*call(op, *given))


def _register(twin: Callable[[Clusters], ClusterSweeps]) -> CustomOpDef:
    return cluster_op(twin, Clusters, SCHEMA, __package__)


swendsen_wang_sweeps_op = _register(reference.swendsen_wang_sweeps)
wolff_sweeps_op = _register(reference.wolff_sweeps)


def _launchers() -> Launchers:
    # The twins, whose labels are found by a kernel.
    return [
        (swendsen_wang_sweeps_op, taking(Clusters, reference.swendsen_wang_sweeps)),
        (wolff_sweeps_op, taking(Clusters, reference.wolff_sweeps)),
    ]


put_on_cuda(_launchers)
