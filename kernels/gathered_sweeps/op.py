"""The ops of sweeps on graphs: heat bath, Metropolis and over-relaxation."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.library import CustomOpDef

from ..checks import as_integer, as_rest, check_colours, check_sweeps, check_tensor
from ..gathered.checks import check_around, check_tables, colour_type
from ..registration import Launchers, call, put_on_cuda, sweeps_op, taking
from . import reference
from .reference import GraphSweeps

__all__ = [
    "graph_heat_bath_sweeps", "graph_heat_bath_sweeps_op", "graph_metropolis_sweeps",
    "graph_metropolis_sweeps_op", "graph_overrelaxation_sweeps", "graph_overrelaxation_sweeps_op",
]  # fmt: skip

SCHEMA = (
    "(Tensor configurations, Tensor coupling, Tensor bond_table, Tensor site_table, Tensor beta, "
    "Tensor neighbours, Tensor bond, Tensor behind, Tensor colours, SymInt num_colours, "
    "Tensor walkers, SymInt first_sweep, SymInt sweeps, SymInt seed, float rest=0.0) -> Tensor"
)
"""Arguments of all three, in the order of :class:`.reference.GraphSweeps`; Metropolis alone rests.
"""


def graph_heat_bath_sweeps(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    beta: Tensor,
    neighbours: Tensor,
    bond: Tensor,
    behind: Tensor,
    colours: Tensor,
    num_colours: int,
    walkers: Tensor,
    first_sweep: int,
    sweeps: int,
    seed: int,
) -> Tensor:
    """Make heat-bath sweeps on a graph: redraw each site from its law given its neighbours.

    As :func:`leaps_triton.kernels.heat_bath_sweeps` does, with the same random words: with the
    neighbours of a lattice the configurations are the same. Where sites have more than 32
    neighbours, and colours eight sites or more in the mean, local fields are matrix products, whose
    last digits are those of the device.

    Args:
        configurations: Int8 ``(walkers, sites)``; see
            :func:`leaps_triton.kernels.graph_local_energy`, as for all up to ``behind``.
        coupling: ``J``.
        bond_table: ``φ``.
        site_table: ``h``.
        beta: ``β``.
        neighbours: Neighbours of every site.
        bond: Their edges.
        behind: Whether the site is the second end of the edge.
        colours: Integers ``(sites,)``, a proper colouring ``0 … num_colours - 1``: no two
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
        ValueError: If a shape, dtype or device does not fit the configurations, sweeps < 0, or, on
            a CPU, an index is out of range; see :func:`leaps_triton.kernels.graph_energy`.
    """
    given = GraphSweeps(
        configurations, coupling, bond_table, site_table, beta, neighbours, bond, behind,
        colours, num_colours, walkers, first_sweep, sweeps, seed,
    )  # fmt: skip
    return _checked(graph_heat_bath_sweeps_op, given)


def graph_metropolis_sweeps(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    beta: Tensor,
    neighbours: Tensor,
    bond: Tensor,
    behind: Tensor,
    colours: Tensor,
    num_colours: int,
    walkers: Tensor,
    first_sweep: int,
    sweeps: int,
    seed: int,
    rest: float = 0.0,
) -> Tensor:
    """Make Metropolis sweeps on a graph: propose another value to each site and accept it or not.

    As :func:`leaps_triton.kernels.metropolis_sweeps` does; see :func:`graph_heat_bath_sweeps`.

    Args:
        configurations: Int8 ``(walkers, sites)``; see :func:`graph_heat_bath_sweeps`, as for all
            others.
        coupling: ``J``.
        bond_table: ``φ``.
        site_table: ``h``.
        beta: ``β``.
        neighbours: Neighbours of every site.
        bond: Their edges.
        behind: Whether the site is the second end of the edge.
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
        ValueError: If a shape, dtype or device does not fit the configurations, sweeps < 0, rest is
            no such number, or, on a CPU, an index is out of range.
    """
    given = GraphSweeps(
        configurations, coupling, bond_table, site_table, beta, neighbours, bond, behind,
        colours, num_colours, walkers, first_sweep, sweeps, seed, as_rest("rest", rest),
    )  # fmt: skip
    return _checked(graph_metropolis_sweeps_op, given)


def graph_overrelaxation_sweeps(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    beta: Tensor,
    neighbours: Tensor,
    bond: Tensor,
    behind: Tensor,
    colours: Tensor,
    num_colours: int,
    walkers: Tensor,
    first_sweep: int,
    sweeps: int,
    seed: int,
) -> Tensor:
    """Make over-relaxation sweeps on a graph: reflect states on a circle about their local field.

    As :func:`leaps_triton.kernels.overrelaxation_sweeps` does; see :func:`graph_heat_bath_sweeps`.

    Args:
        configurations: Int8 ``(walkers, sites)``; see :func:`graph_heat_bath_sweeps`, as for all
            others.
        coupling: ``J``.
        bond_table: ``φ``.
        site_table: ``h``.
        beta: ``β``.
        neighbours: Neighbours of every site.
        bond: Their edges.
        behind: Whether the site is the second end of the edge.
        colours: A proper colouring.
        num_colours: Number of colours.
        walkers: Global index of each walker.
        first_sweep: Number of the first sweep.
        sweeps: How many sweeps.
        seed: In [0, 2³²).

    Returns:
        The new configurations; the given ones are left alone.

    Raises:
        ValueError: If a shape, dtype or device does not fit the configurations, sweeps < 0, or, on
            a CPU, an index is out of range; see :func:`leaps_triton.kernels.graph_energy`.
    """
    given = GraphSweeps(
        configurations, coupling, bond_table, site_table, beta, neighbours, bond, behind,
        colours, num_colours, walkers, first_sweep, sweeps, seed,
    )  # fmt: skip
    return _checked(graph_overrelaxation_sweeps_op, given)


def _checked(op: CustomOpDef, given: GraphSweeps) -> Tensor:
    x = given.configurations
    check_tensor("beta", given.beta)
    check_tables(x, given.coupling, given.bond_table, given.site_table, given.beta)
    bonds = given.coupling.shape[-1] - 1
    check_around(x, given.neighbours, given.bond, given.behind, bonds)
    given = check_sweeps(given, least=0)._replace(
        num_colours=as_integer("num_colours", given.num_colours, 1, 2**31 - 1),
    )
    check_colours(x, given.colours)
    if colour_type(given.num_colours) != torch.int8:
        # Bytes cannot be compared with a number that no byte holds.
        given = given._replace(colours=given.colours.to(torch.int64))
    after: Tensor = call(op, *given)
    return after


def _register(twin: Callable[[GraphSweeps], Tensor]) -> CustomOpDef:
    return sweeps_op(twin, GraphSweeps, SCHEMA, __package__)


graph_heat_bath_sweeps_op = _register(reference.graph_heat_bath_sweeps)
graph_metropolis_sweeps_op = _register(reference.graph_metropolis_sweeps)
graph_overrelaxation_sweeps_op = _register(reference.graph_overrelaxation_sweeps)


def _launchers() -> Launchers:
    from . import triton

    return [
        (graph_heat_bath_sweeps_op, taking(GraphSweeps, triton.graph_heat_bath_sweeps)),
        (graph_metropolis_sweeps_op, taking(GraphSweeps, triton.graph_metropolis_sweeps)),
        (graph_overrelaxation_sweeps_op, taking(GraphSweeps, triton.graph_overrelaxation_sweeps)),
    ]


put_on_cuda(_launchers)
