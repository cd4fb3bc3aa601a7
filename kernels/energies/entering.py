"""The op ``enter_intervals``: walkers at the end of an interval enter the next."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.library import custom_op

from ..checks import as_bool, check_model, check_tensor, check_walkers, expect
from ..registration import Launchers, call, put_on_cuda, taking
from .op import energy
from .reference import Sums

__all__ = ["Entered", "Entering", "enter_intervals", "enter_intervals_op", "entered"]

SCHEMA = (
    "(Tensor configurations, Tensor log_weights, Tensor interval, Tensor remaining, "
    "Tensor betas, Tensor lengths, Tensor coupling, Tensor bond_table, Tensor site_table, "
    "bool[] periodic, bool backward) -> (Tensor, Tensor, Tensor, Tensor)"
)
"""Arguments in the order of :class:`Entering`."""


class Entering(NamedTuple):
    """Arguments of the op."""

    configurations: Tensor
    log_weights: Tensor
    interval: Tensor
    remaining: Tensor
    betas: Tensor
    lengths: Tensor
    coupling: Tensor
    bond_table: Tensor
    site_table: Tensor
    periodic: Sequence[bool]
    backward: bool


class Entered(NamedTuple):
    """Holds what :func:`enter_intervals` returns."""

    log_weights: Tensor
    """``A``, float64 ``(walkers,)``."""
    interval: Tensor
    """Int64 ``(walkers,)``."""
    remaining: Tensor
    """Time left in it, float64 ``(walkers,)``."""
    entered: Tensor
    """Who has entered an interval, or finished, bool ``(walkers,)``."""


def enter_intervals(
    configurations: Tensor,
    log_weights: Tensor,
    interval: Tensor,
    remaining: Tensor,
    betas: Tensor,
    lengths: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    periodic: Sequence[bool],
    backward: bool = False,
) -> Entered:
    """Let every walker without time left enter its next interval, or finish.

    Interval ``n`` of ``N`` has the inverse temperature ``betas[n + 1]``; before the first it is
    ``betas[0]``, after the last ``betas[N + 1]``. From ``n`` to ``n + 1`` ``A += (betas[n + 1] -
    betas[n + 2]) H(x)``. Backward a walker goes from ``n`` to ``n - 1``, and ``A`` grows by what it
    gains on the way forward, ``(betas[n] - betas[n + 1]) H(x)``. Walkers with time left, or that
    have finished, are left alone.

    Args:
        configurations: Int8 ``(walkers, *shape)``; see :mod:`leaps_triton.kernels`, as for the
            model.
        log_weights: ``A``, float64 ``(walkers,)``.
        interval: -1 before the first, ``N`` after the last, int64 ``(walkers,)``.
        remaining: Time left, float64 ``(walkers,)``.
        betas: Float64 ``(N + 2,)``.
        lengths: Of the intervals, and 0, float64 ``(N + 1,)``.
        coupling: ``J``.
        bond_table: ``φ``.
        site_table: ``h``.
        periodic: One bool per direction.
        backward: Whether walkers go from the last interval to the first.

    Returns:
        Entered(log_weights, interval, remaining, entered).

    Raises:
        ValueError: If a shape, dtype or device does not fit the configurations.
    """
    x = configurations
    periodic = check_model(x, coupling, bond_table, site_table, None, periodic)
    floats = {"log_weights": log_weights, "remaining": remaining}
    check_walkers(len(x), x.device, torch.float64, **floats)
    check_walkers(len(x), x.device, torch.int64, interval=interval)
    check_tensor("lengths", lengths)
    expect(lengths.ndim == 1 and len(lengths) > 1, "lengths", "of shape (N + 1,)", lengths)
    check_walkers(len(lengths), x.device, torch.float64, lengths=lengths)
    check_walkers(len(lengths) + 1, x.device, torch.float64, betas=betas)
    backward = as_bool("backward", backward)
    made = call(
        enter_intervals_op, x, log_weights, interval, remaining, betas, lengths, coupling,
        bond_table, site_table, periodic, backward,
    )  # fmt: skip
    return Entered(*made)


def entered(given: Entering, sums: Callable[..., Sums]) -> Entered:
    """Return the twin of the op, with what finds energies."""
    intervals = len(given.lengths) - 1
    # 0 is exact here: the last event of an interval takes away all the time that was left.
    waiting = given.remaining == 0
    if given.backward:
        enters = waiting & (given.interval >= 0)
        after = given.interval - enters.long()
        earlier = after
        later = given.interval
    else:
        enters = waiting & (given.interval < intervals)
        after = given.interval + enters.long()
        earlier = given.interval
        later = after
    # The difference of β first: that of two log-densities would lose digits.
    change = given.betas[later + 1] - given.betas[earlier + 1]
    tables = (given.coupling, given.bond_table, given.site_table, given.periodic)
    energies = sums(given.configurations, *tables).energy
    weights = given.log_weights + -change * energies
    # Before the first interval, number -1, the last length is read, which is 0.
    lengths = given.lengths[after]
    return Entered(
        torch.where(enters, weights, given.log_weights),
        after,
        torch.where(enters, lengths, given.remaining),
        enters,
    )


def _run(*arguments: Any) -> tuple[Tensor, ...]:
    return tuple(entered(Entering(*arguments), energy))


def _fake(*arguments: Any) -> tuple[Tensor, ...]:
    given = Entering(*arguments)
    return (
        torch.empty_like(given.log_weights),
        torch.empty_like(given.interval),
        torch.empty_like(given.remaining),
        torch.empty_like(given.remaining, dtype=torch.bool),
    )


enter_intervals_op = custom_op(
    "leaps_triton::enter_intervals", _run, mutates_args=(), schema=SCHEMA
)
enter_intervals_op.register_fake(_fake)


def _launchers() -> Launchers:
    from . import triton_entering

    return [(enter_intervals_op, taking(Entering, triton_entering.enter_intervals))]


put_on_cuda(_launchers)
