"""The jump process where rates are a table: an interval in a few calls of one op.

It serves transports such as :class:`~leaps_triton.LocalRates`, whose ``G`` depends on a site's
class and on the number of sites in state 1 alone. Rates and corrector, and so the law of walkers
and weights, are those of the transport's evaluation; only the random numbers are used in another
way.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, cast

import torch
from torch import Tensor

from .. import kernels
from ..kernels import LocalJumpSteps
from ..models.base import Conditions
from ..paths.annealing import AnnealingPath
from .rates import Transport, precision

__all__ = ["ClassRates", "Tabulated", "class_rates", "obstacle", "steps"]


STEPS = 128

"""Events of one call. The magnetisations that they may reach are the rows of its table."""


class Tabulated(Protocol):
    """What a transport offers beyond its call."""

    shells: Any

    def by_class(self, shape: Sequence[int], coupling: Tensor, field: Tensor) -> bool:
        """Whether ``G`` of a call with such arguments depends on class and magnetisation alone."""
        ...

    def table(self, conditions: Conditions, sites: int, first: int, last: int) -> Tensor:
        """``G``, ``(last - first + 1, classes)``, with ``first … last`` of so many sites in state
        1.
        """
        ...

    def neighbours(self, shape: Sequence[int], device: torch.device) -> tuple[Tensor, Tensor]:
        """Neighbours and strides of :func:`~leaps_triton.kernels.local_jump_steps`."""
        ...


class ClassRates(NamedTuple):
    """Tables at one time; row 0 is that of ``first`` sites in state 1."""

    rates: Tensor
    """Out-rate of a site of each class, float64 ``(rows, classes)``"""
    corrector: Tensor
    """What such a site adds to ``κ``, float64 ``(rows, classes)``"""
    first: int


def obstacle(path: AnnealingPath, transport: Transport) -> str:
    """Why a transport cannot run on tables on the way to this model; empty if it can."""
    model: Any = path.model
    if not all(hasattr(transport, name) for name in ("by_class", "table", "neighbours")):
        return f"{type(transport).__name__} has no table of its rates"
    if not hasattr(model, "bond_table") or model.q != 2:
        return f"the model must be a PairModel of two states, got {type(model).__name__} with q = {model.q}"
    tabulated = cast(Tabulated, transport)
    if not tabulated.by_class(model.lattice.shape, model.coupling, model.site_table):
        return (
            f"coupling and field must be uniform, and the lattice periodic and longer than twice the radius of the "
            f"shells, got coupling {tuple(model.coupling.shape)}, field {tuple(model.site_table.shape)}, {model!r}"
        )
    classes, lanes = 2 * tabulated.shells.surroundings, 1 + sum(tabulated.shells.sizes)
    if classes > kernels.MOST_CLASSES or lanes > kernels.MOST_LANES:
        return f"its {classes} classes may be {kernels.MOST_CLASSES} at most; take fewer shells"
    if not torch.equal(model.bond_table, model.bond_table.T):
        return f"bond_table must be symmetric, got {model.bond_table.tolist()}"
    return ""


def class_log_ratios(path: AnnealingPath, transport: Tabulated, tau: float) -> Tensor:
    """``Δ`` of the flip of a site of each class, float64 ``(classes,)``."""
    model: Any = path.model
    ones, bond, field = (
        transport.shells.counts()[:, 0].double(),
        model.bond_table,
        model.site_table.flatten(),
    )
    up, down = bond[1, 1] - bond[0, 1], bond[1, 0] - bond[0, 0]
    change = (
        model.coupling.flatten() * (ones * up + (2 * model.lattice.ndim - ones) * down)
        + field[1]
        - field[0]
    )
    change = path.beta(tau) * change
    return torch.cat([change, -change])


def class_rates(
    path: AnnealingPath,
    transport: Tabulated,
    tau: float,
    first: int,
    last: int,
    device: torch.device,
    reversible: str | None = None,
    scale: float = 1.0,
    backward: bool = False,
) -> ClassRates:
    """Rates and corrector of every class at time ``tau``, as
    :func:`~leaps_triton.integrators.rates.evaluate` gives of every move.

    Args:
        transport: one without :func:`obstacle`.
        first, last: the numbers of sites in state 1.
        reversible, scale, backward: as of ``evaluate``.
    """
    dtype = precision(cast(Transport, transport))
    conditions = path.conditions(torch.full((1,), tau, dtype=dtype, device=device))
    output = transport.table(conditions, path.model.lattice.sites, first, last)
    log_ratios = class_log_ratios(path, transport, tau).to(device, dtype)
    out = torch.relu(output)
    # Where G >= 0 the in-rate is 0 even if e^Δ overflows.
    inward = torch.where(output < 0, -output * torch.exp(log_ratios), 0.0)
    rates = (inward if backward else out).double()
    if reversible is not None:
        rates = rates + kernels.proposal_rates(
            None, log_ratios.view(1, 1, -1), reversible, scale
        ).rates.view(-1)
    return ClassRates(rates, (out - inward).double(), first)


def steps(
    path: AnnealingPath,
    transport: Tabulated,
    tau: float,
    configurations: Tensor,
    log_weights: Tensor,
    remaining: Tensor,
    walkers: Tensor,
    events: Tensor,
    seed: int,
    reversible: str | None = None,
    scale: float = 1.0,
    backward: bool = False,
) -> LocalJumpSteps:
    """Up to ``STEPS`` events of every walker at time ``tau``.

    Arguments as of :func:`class_rates` and :func:`~leaps_triton.kernels.local_jump_steps`.
    """
    lattice, device = path.model.lattice, configurations.device
    ones = configurations.flatten(1).sum(1, dtype=torch.int64)
    first, last = max(0, int(ones.min()) - STEPS), min(lattice.sites, int(ones.max()) + STEPS)
    table = class_rates(path, transport, tau, first, last, device, reversible, scale, backward)
    return kernels.local_jump_steps(
        configurations,
        log_weights,
        remaining,
        walkers,
        events,
        table.rates,
        table.corrector,
        *transport.neighbours(lattice.shape, device),
        first,
        seed,
        STEPS,
    )
