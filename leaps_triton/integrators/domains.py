"""Domains: blocks of sites, so far apart that the jump process moves each by a clock of its own,
all at once.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .. import kernels
from ..kernels.checks import as_integer, expect
from ..lattices.hypercubic import Lattice
from ..paths.annealing import AnnealingPath
from .rates import Evaluation, Rates, Transport, rates_of

__all__ = ["DomainStep", "Domains", "advance", "as_domain", "count", "divide", "reach_of"]


class Domains(NamedTuple):
    """A lattice cut into blocks of equal shape, and the blocks into classes whose members are out
    of reach.
    """

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
    """Edge lengths as :class:`~leaps_triton.integrators.jump.Jump` keeps them.

    Raises:
        ValueError: lengths that are no positive integers.
    """
    if domain is None:
        return None
    try:
        lengths = tuple(
            as_integer("domain", n, 1)
            for n in (domain if isinstance(domain, list | tuple) else (domain,))
        )
    except ValueError:
        lengths = ()
    expect(lengths != (), "domain", "None, a positive integer, or one for each direction", domain)
    return lengths if isinstance(domain, list | tuple) else lengths[0]


def _edges(shape: Sequence[int], domain: int | tuple[int, ...]) -> tuple[int, ...]:
    edges = (domain,) * len(shape) if isinstance(domain, int) else domain
    if len(edges) != len(shape) or any(n % e for n, e in zip(shape, edges, strict=True)):
        raise ValueError(
            f"domain must be one length that divides each of the lattice's {tuple(shape)}, or one for each direction, "
            f"got {domain}"
        )
    return edges


def count(shape: Sequence[int], domain: int | tuple[int, ...] | None) -> int:
    """Number of domains; 0 for None.

    Raises:
        ValueError: lengths that do not divide those of the lattice.
    """
    if domain is None:
        return 0
    return math.prod(n // e for n, e in zip(shape, _edges(shape, domain), strict=True))


def _fold(index: Tensor, parts: Sequence[int], inner_first: bool) -> Tensor:
    """Every axis of ``index`` cut into an outer part and one of length ``parts``: both together, as
    a matrix.
    """
    cut = index.view([m for n, p in zip(index.shape, parts, strict=True) for m in (n // p, p)])
    outer, inner = list(range(0, cut.ndim, 2)), list(range(1, cut.ndim, 2))
    rows = math.prod(parts) if inner_first else index.numel() // math.prod(parts)
    return cut.permute(inner + outer if inner_first else outer + inner).reshape(rows, -1)


@functools.lru_cache(maxsize=16)
def divide(
    lattice: Lattice, domain: int | tuple[int, ...], reach: int, device: torch.device
) -> Domains:
    """Cut a lattice into domains; two sites in different domains of a class are more than ``reach``
    apart.

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
    grid = [n // e for n, e in zip(lattice.shape, edges, strict=True)]
    periods = [
        next(p for p in range(1, n + 1) if n % p == 0 and ((p - 1) * e >= reach or p == n))
        for n, e in zip(grid, edges, strict=True)
    ]
    sites = _fold(torch.arange(lattice.sites).view(lattice.shape), edges, inner_first=False)
    classes = _fold(torch.arange(len(sites)).view(grid), periods, inner_first=True)
    return Domains(sites.to(device), classes.to(device))


def reach_of(path: AnnealingPath, transport: Transport | None) -> int:
    """Largest distance, in any direction, of a site that ``G`` or ``Δ`` at a site reads.

    Raises:
        ValueError: a transport or a model that does not say, or reads the whole lattice.
    """
    model: Any = path.model
    parts: list[Any] = [model, *([] if transport is None else [transport])]
    farthest = 0
    for part in parts:
        reach = getattr(part, "reach", None)
        if not isinstance(reach, int) or reach < 0:
            name = type(getattr(part, "model", part)).__name__
            raise ValueError(
                f"Jump(domain=) moves domains that must not read one another, but {name}.reach is {reach!r}; it must "
                f"be the largest distance, in any direction, between a site and those read there, which a network with "
                f"features of the whole lattice does not have: build HollowConv(global_features=False) or LEC"
            )
        farthest = max(farthest, reach)
    return farthest


def _of(values: Tensor, sites: Tensor, domains: int) -> Tensor:
    """Values of all moves at some sites, ``(walkers · domains, q-1, sites of a domain)``."""
    found = values.flatten(2).gather(2, sites.unsqueeze(1).expand(-1, values.shape[1], -1))
    return found.unflatten(2, (domains, -1)).transpose(1, 2).flatten(0, 1)


def advance(
    domains: Domains,
    evaluation: Evaluation,
    configurations: Tensor,
    clocks: Tensor,
    walkers: Tensor,
    events: Tensor,
    seed: int,
    reversible: str | None = None,
    scale: float = 1.0,
    backward: bool = False,
) -> DomainStep:
    """In each walker's first class (backward: last) with time left, every domain goes one event on,
    or to its end.

    A domain is to :func:`~leaps_triton.kernels.jump_step` a walker of its own: its rates and ``κ``
    are those of its sites. The random numbers of its event are ``(walker, event · domains of a
    class + place in the class)``.

    Args:
        domains: of :func:`divide`.
        evaluation: of the network and the physics at the configurations.
        configurations: ``(walkers, *shape)``.
        clocks: time left to each domain, float64 ``(walkers, domains)``.
        walkers, events: int64 ``(walkers,)``, as of ``jump_step``.
    """
    classes, members = domains.classes.shape
    waiting = (clocks != 0)[:, domains.classes].any(2).int()
    stage = classes - 1 - waiting.flip(1).argmax(1) if backward else waiting.argmax(1)
    own = domains.classes[stage]
    sites = domains.sites[own].flatten(1)
    part = Evaluation(
        None if evaluation.output is None else _of(evaluation.output, sites, members),
        _of(evaluation.log_ratios, sites, members),
        evaluation.energy,
    )
    found = rates_of(part, reversible, scale, backward)
    flat = configurations.flatten(1)
    after = kernels.jump_step(
        flat.gather(1, sites).unflatten(1, (members, -1)).flatten(0, 1),
        torch.zeros_like(found.corrector),
        clocks.gather(1, own).flatten(),
        found.rates,
        found.corrector,
        walkers.repeat_interleave(members),
        (events.unsqueeze(1) * members + torch.arange(members, device=events.device)).flatten(),
        seed,
    )
    size = domains.sites.shape[1]
    place = sites.view(-1, size).gather(1, (after.move.clamp(min=0) % size).unsqueeze(1)).squeeze(1)
    move = torch.where(after.move < 0, -1, after.move.clamp(min=0) // size * flat.shape[1] + place)
    return DomainStep(
        flat.scatter(1, sites, after.configurations.view_as(sites)).view_as(configurations),
        after.log_weights.view_as(own).sum(1),
        clocks.scatter(1, own, after.remaining.view_as(own)),
        move.view_as(own),
        Rates(
            found.rates.unflatten(0, own.shape).transpose(1, 2).flatten(2),
            found.exit_rate.view_as(own).sum(1),
            found.corrector.view_as(own).sum(1),
            found.energy,
        ),
    )
