"""The ops ``heat_bath_sweeps``, ``metropolis_sweeps`` and ``overrelaxation_sweeps``."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.library import CustomOpDef, custom_op

from ..checks import as_integer, as_seed, check_model, check_tensor, check_walkers, expect
from ..registration import Launchers, put_on_cuda
from . import cpu, reference

__all__ = [
    "heat_bath_sweeps", "heat_bath_sweeps_op", "metropolis_sweeps", "metropolis_sweeps_op", "overrelaxation_sweeps",
    "overrelaxation_sweeps_op",
]  # fmt: skip


def _check_sweeps(
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
) -> None:
    check_tensor("beta", beta)
    check_model(configurations, coupling, bond_table, site_table, beta, periodic)
    check_walkers(len(configurations), configurations.device, torch.int64, walkers=walkers)
    as_integer("sweeps", sweeps, 0)
    as_integer("first_sweep", first_sweep, 0)
    as_seed(seed)
    check_tensor("colours", colours)
    if colours.shape != configurations.shape[1:]:
        raise ValueError(
            f"colours must have shape {tuple(configurations.shape[1:])}, got {tuple(colours.shape)}"
        )
    expect(
        colours.dtype in (torch.int8, torch.int32, torch.int64),
        "colours",
        "a tensor of integers",
        colours,
    )
    as_integer("num_colours", num_colours, 1, 127)


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
    """Heat-bath sweeps: each site redrawn from its law given its neighbours, one colour class after another.

    Leaves ``exp(-β H)`` invariant, for a per-walker β too. Probabilities are float32 and random numbers odd multiples
    of 2⁻²⁴, so that a state of a probability below that is drawn with the probability 0 or 2⁻²³.

    Arguments
        configurations … periodic: see the module.
        colours: integer ``(*shape)``, a proper colouring ``0 … num_colours - 1``: no two neighbours alike.
        walkers, first_sweep, sweeps, seed: random numbers of sweeps ``first_sweep … first_sweep + sweeps - 1``.

    Returns
        The new configurations; the given ones are left alone.

    Raises
        ValueError: a shape, dtype or device that does not fit the configurations, or sweeps < 0.
    """
    arguments = (
        configurations, coupling, bond_table, site_table, beta, periodic, colours, num_colours, walkers, first_sweep,
        sweeps, seed,
    )  # fmt: skip
    _check_sweeps(*arguments)
    return heat_bath_sweeps_op(*arguments)


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
) -> Tensor:
    """Metropolis sweeps: to each site one other value is proposed, every one with probability ``1 / (q - 1)``.

    It is accepted with probability ``min(1, e^Δ)``, ``Δ = -β [H(y) - H(x)]``; one colour class after another. Leaves
    ``exp(-β H)`` invariant, for a per-walker β too. Acceptances are float32 and random numbers odd multiples of 2⁻²⁴.

    Arguments
        configurations … periodic: see the module.
        colours: integer ``(*shape)``, a proper colouring ``0 … num_colours - 1``: no two neighbours alike.
        walkers, first_sweep, sweeps, seed: random numbers of sweeps ``first_sweep … first_sweep + sweeps - 1``.

    Returns
        The new configurations; the given ones are left alone.

    Raises
        ValueError: a shape, dtype or device that does not fit the configurations, or sweeps < 0.

    References
        Metropolis, Rosenbluth, Rosenbluth, Teller, Teller, *Equation of state calculations by fast computing machines*,
        J. Chem. Phys. 21, 1087 (1953).
    """
    arguments = (
        configurations, coupling, bond_table, site_table, beta, periodic, colours, num_colours, walkers, first_sweep,
        sweeps, seed,
    )  # fmt: skip
    _check_sweeps(*arguments)
    return metropolis_sweeps_op(*arguments)


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
    """Over-relaxation sweeps of states on a circle: each is reflected about the direction of its local field.

    With ``φ`` the angle of ``Σ_a W_a(i) e^{2πi a/q}``, which for the clock model is the direction of the local field,
    the reflection ``2φ - 2π x_i/q`` is in general no state; ``x_i → r - x_i mod q`` is, the reflection about the
    nearest axis ``π r/q``, of two equally near ones that of the least ``r < q``. Given the neighbours ``r`` is fixed,
    so the proposal is its own inverse, and accepted with probability ``min(1, e^Δ)`` it leaves ``exp(-β H)`` invariant;
    one colour class after another, in float64. Not ergodic.

    Arguments, returns, errors
        as :func:`metropolis_sweeps`.

    References
        Creutz, *Overrelaxation and Monte Carlo simulation*, Phys. Rev. D 36, 515 (1987).
        Brown, Woch, *Overrelaxed heat-bath and Metropolis algorithms for accelerating pure gauge Monte Carlo
        calculations*, Phys. Rev. Lett. 58, 2394 (1987).
    """
    arguments = (
        configurations, coupling, bond_table, site_table, beta, periodic, colours, num_colours, walkers, first_sweep,
        sweeps, seed,
    )  # fmt: skip
    _check_sweeps(*arguments)
    return overrelaxation_sweeps_op(*arguments)


SCHEMA = (
    "(Tensor configurations, Tensor coupling, Tensor bond_table, Tensor site_table, Tensor beta, bool[] periodic, "
    "Tensor colours, SymInt num_colours, Tensor walkers, SymInt first_sweep, SymInt sweeps, SymInt seed) -> Tensor"
)


def _register(name: str, twin: Callable[..., Tensor]) -> CustomOpDef:
    def run(configurations: Tensor, *rest: Any) -> Tensor:
        # The result of an op may not be its input, as it would be after no sweep at all.
        return twin(configurations.clone(), *rest)

    def fake(configurations: Tensor, *rest: Any) -> Tensor:
        return configurations.new_empty(configurations.shape)

    op = custom_op(f"leaps_triton::{name}", run, mutates_args=(), schema=SCHEMA)
    op.register_fake(fake)
    return op


heat_bath_sweeps_op = _register("heat_bath_sweeps", cpu.heat_bath_sweeps)
metropolis_sweeps_op = _register("metropolis_sweeps", reference.metropolis_sweeps)
overrelaxation_sweeps_op = _register("overrelaxation_sweeps", reference.overrelaxation_sweeps)


def _launchers() -> Launchers:
    from . import triton

    return [
        (heat_bath_sweeps_op, triton.heat_bath_sweeps),
        (metropolis_sweeps_op, triton.metropolis_sweeps),
        (overrelaxation_sweeps_op, triton.overrelaxation_sweeps),
    ]


put_on_cuda(_launchers)
