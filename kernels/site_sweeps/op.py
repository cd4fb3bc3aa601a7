"""The ops ``heat_bath_sweeps``, ``metropolis_sweeps`` and ``overrelaxation_sweeps``."""

from collections.abc import Callable, Sequence

from torch import Tensor
from torch.library import CustomOpDef

from ..checks import as_integer, as_rest, check_colours, check_model, check_sweeps, check_tensor
from ..registration import Launchers, call, put_on_cuda, sweeps_op, taking
from . import reference
from .reference import Sweeps

__all__ = [
    "heat_bath_sweeps", "heat_bath_sweeps_op", "metropolis_sweeps", "metropolis_sweeps_op",
    "overrelaxation_sweeps", "overrelaxation_sweeps_op",
]  # fmt: skip

SCHEMA = (
    "(Tensor configurations, Tensor coupling, Tensor bond_table, Tensor site_table, Tensor beta, "
    "bool[] periodic, Tensor colours, SymInt num_colours, Tensor walkers, SymInt first_sweep, "
    "SymInt sweeps, SymInt seed, float rest=0.0) -> Tensor"
)
"""Arguments of all three, in the order of :class:`.reference.Sweeps`; Metropolis alone rests."""


def heat_bath_sweeps(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    beta: Tensor,
    periodic: Sequence[bool],
    colours: Tensor,
    num_colours: int,
    walkers: Tensor,
    first_sweep: int,
    sweeps: int,
    seed: int,
) -> Tensor:
    """Make heat-bath sweeps: redraw each site from its law given its neighbours.

    All sites of a colour are drawn at once, colour after colour. Leaves ``exp(-β H)`` invariant,
    for a β per walker too. Probabilities are float32 and random numbers odd multiples of 2⁻²⁴, so
    that a state of a probability below that is drawn with the probability 0 or 2⁻²³.

    Args:
        configurations: See :mod:`leaps_triton.kernels`, as for all up to ``periodic``.
        coupling: ``J``.
        bond_table: ``φ``.
        site_table: ``h``.
        beta: ``β``.
        periodic: One bool per direction.
        colours: Integers ``(*shape)``, a proper colouring ``0 … num_colours - 1``: no two
            neighbours alike.
        num_colours: Number of colours.
        walkers: Global index of each walker, int64 ``(walkers,)``.
        first_sweep: The random numbers are those of the sweeps
            ``first_sweep … first_sweep + sweeps - 1``.
        sweeps: How many sweeps.
        seed: In [0, 2³²).

    Returns:
        The new configurations; the given ones are left alone.

    Raises:
        ValueError: If a shape, dtype or device does not fit the configurations, or sweeps < 0.

    References:
        Creutz, *Monte Carlo study of quantized SU(2) gauge theory*, Phys. Rev. D 21, 2308 (1980).
    """
    given = Sweeps(
        configurations, coupling, bond_table, site_table, beta, periodic,
        colours, num_colours, walkers, first_sweep, sweeps, seed,
    )  # fmt: skip
    return _checked(heat_bath_sweeps_op, given)


def metropolis_sweeps(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    beta: Tensor,
    periodic: Sequence[bool],
    colours: Tensor,
    num_colours: int,
    walkers: Tensor,
    first_sweep: int,
    sweeps: int,
    seed: int,
    rest: float = 0.0,
) -> Tensor:
    """Make Metropolis sweeps: propose another value to each site and accept it or not.

    Each other value is proposed with probability ``1 / (q - 1)`` and accepted with probability
    ``(1 - ε) min(1, e^Δ)``, ``Δ = -β [H(y) - H(x)]``, ``ε`` being ``rest``; one colour class after
    another. Leaves ``exp(-β H)`` invariant, for a β per walker too. With ``ε = 0`` and two states
    some configurations may never be reached from others. Acceptances are float32 and random
    numbers odd multiples of 2⁻²⁴; acceptance and rest share one.

    Args:
        configurations: Int8 ``(walkers, *shape)``; see :func:`heat_bath_sweeps`, as for all others.
        coupling: ``J``.
        bond_table: ``φ``.
        site_table: ``h``.
        beta: ``β``.
        periodic: One bool per direction.
        colours: A proper colouring.
        num_colours: Number of colours.
        walkers: Global index of each walker.
        first_sweep: Number of the first sweep.
        sweeps: How many sweeps.
        seed: In [0, 2³²).
        rest: ``ε``, the probability that a site is left as it is, 0 or a power of two from 2⁻²³
            to 1/2.

    Returns:
        The new configurations; the given ones are left alone.

    Raises:
        ValueError: If a shape, dtype or device does not fit the configurations, sweeps < 0, or
            rest is no such number.

    References:
        Metropolis, Rosenbluth, Rosenbluth, Teller, Teller, *Equation of state calculations by fast
        computing machines*, J. Chem. Phys. 21, 1087 (1953).
    """
    given = Sweeps(
        configurations, coupling, bond_table, site_table, beta, periodic,
        colours, num_colours, walkers, first_sweep, sweeps, seed, as_rest("rest", rest),
    )  # fmt: skip
    return _checked(metropolis_sweeps_op, given)


def overrelaxation_sweeps(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    beta: Tensor,
    periodic: Sequence[bool],
    colours: Tensor,
    num_colours: int,
    walkers: Tensor,
    first_sweep: int,
    sweeps: int,
    seed: int,
) -> Tensor:
    """Make over-relaxation sweeps: reflect states on a circle about their local field.

    With ``φ`` the angle of ``Σ_a W_a(i) e^{2πi a/q}``, which for the clock model is the direction
    of the local field, the reflection ``2φ - 2π x_i/q`` is in general no state;
    ``x_i → r - x_i mod q`` is, the reflection about the nearest axis ``π r/q``, of two equally near
    ones that of the least ``r < q``. Given the neighbours ``r`` is fixed, so the proposal is its
    own inverse, and accepted with probability ``min(1, e^Δ)`` it leaves ``exp(-β H)`` invariant;
    one colour class after another, in float64. Not ergodic.

    Args:
        configurations: Int8 ``(walkers, *shape)``; see :func:`heat_bath_sweeps`, as for all others.
        coupling: ``J``.
        bond_table: ``φ``.
        site_table: ``h``.
        beta: ``β``.
        periodic: One bool per direction.
        colours: A proper colouring.
        num_colours: Number of colours.
        walkers: Global index of each walker.
        first_sweep: Number of the first sweep.
        sweeps: How many sweeps.
        seed: In [0, 2³²).

    Returns:
        The new configurations; the given ones are left alone.

    Raises:
        ValueError: If a shape, dtype or device does not fit the configurations, or sweeps < 0.

    References:
        Creutz, *Overrelaxation and Monte Carlo simulation*, Phys. Rev. D 36, 515 (1987).
        Brown, Woch, *Overrelaxed heat-bath and Metropolis algorithms for accelerating pure gauge
        Monte Carlo calculations*, Phys. Rev. Lett. 58, 2394 (1987).
    """
    given = Sweeps(
        configurations, coupling, bond_table, site_table, beta, periodic,
        colours, num_colours, walkers, first_sweep, sweeps, seed,
    )  # fmt: skip
    return _checked(overrelaxation_sweeps_op, given)


def _checked(op: CustomOpDef, given: Sweeps) -> Tensor:
    x = given.configurations
    check_tensor("beta", given.beta)
    periodic = check_model(
        x, given.coupling, given.bond_table, given.site_table, given.beta, given.periodic
    )
    given = check_sweeps(given, least=0)._replace(
        periodic=periodic,
        num_colours=as_integer("num_colours", given.num_colours, 1, 127),
    )
    check_colours(x, given.colours)
    after: Tensor = call(op, *given)
    return after


def _register(twin: Callable[[Sweeps], Tensor]) -> CustomOpDef:
    return sweeps_op(twin, Sweeps, SCHEMA, __package__)


heat_bath_sweeps_op = _register(reference.heat_bath_sweeps)
metropolis_sweeps_op = _register(reference.metropolis_sweeps)
overrelaxation_sweeps_op = _register(reference.overrelaxation_sweeps)


def _launchers() -> Launchers:
    from . import triton

    return [
        (heat_bath_sweeps_op, taking(Sweeps, triton.heat_bath_sweeps)),
        (metropolis_sweeps_op, taking(Sweeps, triton.metropolis_sweeps)),
        (overrelaxation_sweeps_op, taking(Sweeps, triton.overrelaxation_sweeps)),
    ]


put_on_cuda(_launchers)
