"""Domains: blocks of sites that the jump process moves each by a clock of its own, all at once.

Blocks that move at once lie out of one another's reach.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .. import kernels
from ..kernels.checks import as_integer, expect
from ..lattices.hypercubic import Lattice, require_hypercubic
from ..models.energy_only import as_given
from ..paths.base import Path
from .rates import Evaluation, Rates, Reversible, rates_of
from .states import JumpInfo, JumpState, State
from .transport import Transport, as_transport

__all__ = [
    "DomainStep", "Domains", "advance", "as_domain", "count", "divide", "reach_of", "step_domains",
]  # fmt: skip


class Domains(NamedTuple):
    """A lattice cut into equal blocks, in classes whose members do not read one another."""

    sites: Tensor
    """Flat index of each domain's sites, int64 ``(domains, sites of a domain)``"""
    classes: Tensor
    """The domains of each class, int64 ``(classes, domains of a class)``"""


class DomainStep(NamedTuple):
    """What :func:`advance` did."""

    configurations: Tensor
    """``(walkers, *shape)``"""
    gain: Tensor
    """What was added to ``A``, float64 ``(walkers,)``; NaN where a rate was not finite"""
    clocks: Tensor
    """Time left to each domain, float64 ``(walkers, domains)``"""
    move: Tensor
    """Moves made, int64 ``(walkers, domains of a class)``, as in
    :class:`~leaps_triton.kernels.JumpStep`"""
    rates: Rates
    """Of the class that moved, ``(walkers, q-1, its sites)``, and their sums"""


def as_domain(domain: int | Sequence[int] | None) -> int | tuple[int, ...] | None:
    """Return edge lengths as :class:`~leaps_triton.integrators.jump.Jump` keeps them.

    Raises:
        ValueError: lengths that are no positive integers.
    """
    if domain is None:
        return None
    several = isinstance(domain, list | tuple | np.ndarray | Tensor)
    several = several and getattr(domain, "ndim", 1) == 1
    given: list[object] = [domain]
    if several:
        given = list(domain)  # type: ignore[arg-type]
    try:
        lengths = tuple(as_integer("domain", length, 1) for length in given)
    except ValueError:
        lengths = ()
    expect(lengths != (), "domain", "None, a positive integer, or one for each direction", domain)
    return lengths if several else lengths[0]


def _edges(shape: Sequence[int], domain: int | tuple[int, ...]) -> tuple[int, ...]:
    """Return one edge length per direction.

    Raises:
        ValueError: lengths that do not divide those of the lattice.
    """
    edges = (domain,) * len(shape) if isinstance(domain, int) else domain
    if len(edges) != len(shape) or any(n % e for n, e in zip(shape, edges, strict=True)):
        raise ValueError(
            f"domain must be one length that divides each of the lattice's {tuple(shape)}, "
            f"or one for each direction, got {domain}"
        )
    return edges


def count(shape: Sequence[int], domain: int | tuple[int, ...] | None) -> int:
    """Return the number of domains; 0 for None.

    Raises:
        ValueError: lengths that do not divide those of the lattice.
    """
    if domain is None:
        return 0
    edges = _edges(shape, domain)
    return math.prod(length // edge for length, edge in zip(shape, edges, strict=True))


def _fold(index: Tensor, parts: Sequence[int], inner_first: bool) -> Tensor:
    """Cut every axis into an outer part and one of length ``parts``; return both as a matrix."""
    lengths: list[int] = []
    for length, part in zip(index.shape, parts, strict=True):
        lengths += [length // part, part]
    # Every axis twice: which block along it, and where within the block.
    cut = index.view(lengths)
    outer = list(range(0, cut.ndim, 2))
    inner = list(range(1, cut.ndim, 2))
    inner_size = math.prod(parts)
    if inner_first:
        return cut.permute(inner + outer).reshape(inner_size, -1)
    return cut.permute(outer + inner).reshape(index.numel() // inner_size, -1)


def _period(domains: int, edge: int, reach: int) -> int:
    """Return the least divisor ``p`` of ``domains`` with ``(p - 1) · edge ≥ reach``, or all."""
    # Between neighbours of one class lie p - 1 domains; p divides, so that this also holds where a
    # periodic direction closes.
    for period in range(1, domains):
        if domains % period == 0 and (period - 1) * edge >= reach:
            return period
    # No divisor is large enough: along this direction one domain moves at a time.
    return domains


@functools.lru_cache(maxsize=16)
def divide(
    lattice: Lattice, domain: int | tuple[int, ...], reach: int, device: torch.device
) -> Domains:
    """Cut a lattice into domains; those of one class are more than ``reach`` apart.

    Apart means in some direction, around a periodic one too. The class of a domain is its place in
    the grid modulo ``p`` in every direction, ``p`` the least divisor of the number of domains there
    with ``(p - 1) · edge ≥ reach``, or that number itself.

    Raises:
        ValueError: lengths that do not divide those of the lattice.

    Example:
        >>> divide(Lattice((16, 16)), 4, reach=3, device=torch.device("cpu")).classes
        tensor([[ 0,  2,  8, 10],
                [ 1,  3,  9, 11],
                [ 4,  6, 12, 14],
                [ 5,  7, 13, 15]])
    """
    edges = _edges(lattice.shape, domain)
    grid: list[int] = []
    periods: list[int] = []
    for length, edge in zip(lattice.shape, edges, strict=True):
        grid.append(length // edge)
        periods.append(_period(length // edge, edge, reach))
    sites = _fold(torch.arange(lattice.sites).view(lattice.shape), edges, inner_first=False)
    classes = _fold(torch.arange(len(sites)).view(grid), periods, inner_first=True)
    return Domains(sites.to(device), classes.to(device))


def reach_of(path: Path, transport: Transport | None) -> int:
    """Return the largest distance, in any direction, of a site that ``G`` or ``Δ`` reads.

    Raises:
        ValueError: a transport or a model that does not say, or reads the whole lattice; a graph.
    """
    model: Any = path.model
    require_hypercubic(model.lattice, "Jump(domain=)")
    reach = _checked_reach(type(as_given(model)).__name__, model)
    if transport is None:
        return reach
    asked = as_transport(transport)
    return max(reach, _checked_reach(asked.name, asked))


def _checked_reach(name: str, part: object) -> int:
    """Return the reach that a model or transport of the user's says it has."""
    reach = getattr(part, "reach", None)
    if isinstance(reach, int) and reach >= 0:
        return reach
    raise ValueError(
        f"Jump(domain=) moves domains that must not read one another, but {name}.reach is "
        f"{reach!r}; it must be the largest distance, in any direction, between a site and those "
        f"read there, which a network with features of the whole lattice, or one that stands on a "
        f"response, does not have: build HollowConv(global_features=False) or LEC"
    )


def _stage(domains: Domains, clocks: Tensor, backward: bool) -> Tensor:
    """Return each walker's first class with time left, int64 ``(walkers,)``; backward its last."""
    waiting = (clocks != 0)[:, domains.classes].any(2).int()
    if not backward:
        return waiting.argmax(1)
    # argmax finds the first of equals, and backward the last is wanted.
    last = len(domains.classes) - 1
    return last - waiting.flip(1).argmax(1)


def _of(values: Tensor, sites: Tensor, domains: int) -> Tensor:
    """Return values of all moves at some sites, ``(walkers · domains, q-1, sites of a domain)``."""
    columns = sites.unsqueeze(1).expand(-1, values.shape[1], -1)
    found = values.flatten(2).gather(2, columns)
    return found.unflatten(2, (domains, -1)).transpose(1, 2).flatten(0, 1)


def _part(evaluation: Evaluation, sites: Tensor, domains: int) -> Evaluation:
    """Return an evaluation at some sites, a row per walker and domain."""
    output = None
    if evaluation.output is not None:
        output = _of(evaluation.output, sites, domains)
    log_ratios = _of(evaluation.log_ratios, sites, domains)
    return evaluation._replace(output=output, log_ratios=log_ratios)


def advance(
    domains: Domains,
    evaluation: Evaluation,
    state: State,
    clocks: Tensor,
    seed: int,
    reversible: Reversible | None = None,
    backward: bool = False,
) -> DomainStep:
    """Take every domain of a class one event on, or to its end.

    The class is each walker's first (backward: last) with time left. A domain is to
    :func:`~leaps_triton.kernels.jump_step` a walker of its own: its rates and ``κ`` are those of
    its sites. The random numbers of its event are ``(walker, event · domains of a class + place in
    the class)``.

    Args:
        domains: the lattice as :func:`divide` cuts it.
        evaluation: the network and the physics at the configurations.
        state: the walkers, with their configurations, indices and events.
        clocks: time left to each domain, float64 ``(walkers, domains)``.
        seed: in [0, 2³²).
        reversible: rates that are added; None for none.
        backward: whether the process is the reversed one.
    """
    members = domains.classes.shape[1]
    # The class that is up may differ from walker to walker, (walkers, domains of a class).
    own = domains.classes[_stage(domains, clocks, backward)]
    sites = domains.sites[own].flatten(1)
    # Rates and κ of these sites alone, since each domain has a clock of its own.
    found = rates_of(_part(evaluation, sites, members), reversible, backward=backward)
    flat = state.configurations.flatten(1)
    # Domains of a walker share its event, so each has a counter of its own within it.
    place = torch.arange(members, device=state.events.device)
    # From log-weights of 0: what comes back is a gain, and a walker's is the sum over its domains.
    after = kernels.jump_step(
        flat.gather(1, sites).unflatten(1, (members, -1)).flatten(0, 1),
        torch.zeros_like(found.corrector),
        clocks.gather(1, own).flatten(),
        found.rates,
        found.corrector,
        state.walkers.repeat_interleave(members),
        (state.events.unsqueeze(1) * members + place).flatten(),
        seed,
    )
    # Domains of a class do not overlap, so no site is written twice.
    configurations = flat.scatter(1, sites, after.configurations.view_as(sites))
    return DomainStep(
        configurations.view_as(state.configurations),
        after.log_weights.view_as(own).sum(1),
        clocks.scatter(1, own, after.remaining.view_as(own)),
        _moves(after.move, sites.view(-1, domains.sites.shape[1]), flat.shape[1]).view_as(own),
        Rates(
            found.rates.unflatten(0, own.shape).transpose(1, 2).flatten(2),
            found.exit_rate.view_as(own).sum(1),
            found.corrector.view_as(own).sum(1),
            found.energy,
        ),
    )


def step_domains(
    domains: Domains,
    evaluation: Evaluation,
    state: JumpState,
    seed: int,
    reversible: Reversible | None = None,
    backward: bool = False,
) -> tuple[JumpState, JumpInfo]:
    """Advance every domain of each walker's class, as :func:`advance` does, and their clocks.

    Arguments are as in :func:`advance`.
    """
    # At the beginning of an interval every clock is wound up.
    begins = (state.clocks == 0).all(1, keepdim=True)
    clocks = torch.where(begins, state.remaining.unsqueeze(1), state.clocks)
    after = advance(domains, evaluation, state, clocks, seed, reversible, backward)
    # The interval is over for a walker when all of its domains are through.
    through = (after.clocks == 0).all(1)
    advanced = state._replace(
        configurations=after.configurations,
        log_weights=state.log_weights + after.gain,
        remaining=torch.where(through, 0.0, state.remaining),
        events=state.events + (state.remaining != 0),
        clocks=after.clocks,
    )
    return advanced, JumpInfo(after.move, after.rates)


def _moves(move: Tensor, sites: Tensor, lattice_sites: int) -> Tensor:
    """Return moves within domains as moves of the lattice; -1, for none, stays.

    Args:
        move: ``(shift - 1) · sites of a domain + place``, int64 ``(rows,)``.
        sites: of each row's domain, int64 ``(rows, sites of a domain)``.
        lattice_sites: number of sites of the lattice.
    """
    size = sites.shape[1]
    # Any move in range stands in for none, to keep the indices valid; it is dropped below.
    made = move.clamp(min=0)
    site = sites.gather(1, (made % size).unsqueeze(1)).squeeze(1)
    return torch.where(move < 0, -1, made // size * lattice_sites + site)
