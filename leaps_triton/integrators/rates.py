"""From a network and the physics to the rates of the jump process."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from .. import kernels
from ..kernels.checks import as_number
from ..paths.base import Path
from .running.pieces import Pieces
from .transport import Transport, clock_of, gauge_of, precision_of

__all__ = [
    "Evaluation",
    "Rates",
    "Reversible",
    "Transport",
    "as_reversible",
    "evaluate",
    "examine",
    "in_float64",
    "in_rates",
    "per_time",
    "rates_of",
]


@dataclass(frozen=True)
class Reversible:
    """Rates ``r_m(x) = scale · g(e^{Δ_m})`` with ``g(u) = u g(1/u)``, reversible in ``ρ_t``.

    Attributes:
        kind: ``g``: ``"barker"`` ``u / (1 + u)``, ``"square_root"`` ``√u``, ``"metropolis"``
            ``min(1, u)``.
        scale: moves per unit of time where ``g = 1``, finite and >= 0.

    Raises:
        ValueError: an unknown kind, or a scale out of range.
    """

    kind: str
    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in kernels.REVERSIBLE:
            known = ", ".join(kernels.REVERSIBLE)
            raise ValueError(f"reversible must be None or one of {known}, got {self.kind!r}")
        as_number("scale", self.scale, "finite and >= 0", lambda x: 0.0 <= x < math.inf)

    def rates(self, log_ratios: Tensor) -> Tensor:
        """Return ``r_m``, of the shape of ``log_ratios`` ``Δ``, ``(walkers, q-1, *shape)``."""
        return kernels.proposal_rates(None, log_ratios, self.kind, self.scale).rates

    def wide(self, log_ratios: Tensor) -> Tensor:
        """Return :meth:`rates` in float64, what overflows float32 computed again."""
        narrow = self.rates(log_ratios).double()
        wide = self.rates(log_ratios.double())
        return torch.where(narrow.isinf(), wide, narrow)


class Evaluation(NamedTuple):
    """The network and the physics at ``(x, t)``: all that rates follow from, forward or back."""

    output: Tensor | None
    """``G`` or ``D``, per unit of ``t``, ``(walkers, q-1, *shape)``; None without a transport."""
    log_ratios: Tensor
    """``Δ``, ``(walkers, q-1, *shape)``."""
    energy: Tensor
    """``H(x)``, float64 ``(walkers,)``."""
    gauge: str = "plain"
    """What ``output`` is, as :attr:`~leaps_triton.integrators.AnyTransport.gauge` says."""
    slopes: Tensor | None = None
    """``Δ`` per unit of ``β``, as ``log_ratios``; None where the density is frozen too."""


class Rates(NamedTuple):
    """All that one evaluation at ``x`` yields."""

    rates: Tensor
    """Out-rates ``[G_m]_+`` (heat bath: ``[D_m]_+ p_m``), with the reversible ``r_m`` if any,
    ``(walkers, q-1, *shape)``."""
    exit_rate: Tensor
    """``R``, their sum, float64 ``(walkers,)``."""
    corrector: Tensor
    """``κ = Σ_m [G_m]_+ - Σ_m [-G_m]_+ e^{Δ_m}`` (heat bath: ``Σ_m p_m D_m``), float64
    ``(walkers,)``."""
    energy: Tensor
    """``H(x)``, float64 ``(walkers,)``."""
    in_rates: Tensor | None = None
    """Rates of the process reversed in ``ρ_t``, as ``rates``; None where they were not wanted."""


def as_reversible(given: Reversible | str | None, scale: float = 1.0) -> Reversible | None:
    """Return reversible rates from a name and a scale, or as they are; None for none.

    Args:
        given: the rates themselves, or the name of their ``g``.
        scale: of rates that are given by name.

    Raises:
        ValueError: an unknown name, or a scale out of range.
    """
    if given is None or isinstance(given, Reversible):
        return given
    return Reversible(given, scale)


def in_rates(network_output: Tensor) -> Tensor:
    """Return the rates of the inverse moves into ``x`` from the output of the network at ``x``.

    ``Q(x^m → x) = G_{-m}(x^m) = [-G_m(x)]_+`` by local equivariance.
    """
    return torch.relu(-network_output)


def examine(
    path: Path,
    transport: Transport | None,
    configurations: Tensor,
    t: Tensor,
    piece: Pieces | None = None,
) -> Evaluation:
    """Evaluate the network once, and all ``Δ`` once; arguments as in :func:`evaluate`.

    Args:
        path: the annealing path.
        transport: None for reversible rates alone.
        configurations: ``(walkers, *shape)``.
        t: what the network is told.
        piece: of the interval each walker is in, where the density runs: then ``Δ`` is at its
            ``β*``. None for ``Δ`` at ``t``.
    """
    # Δ comes in the precision of the network, which is that of the rates.
    precision = precision_of(transport)
    output = None
    if transport is not None:
        output = transport(configurations, path.conditions(t.to(precision)))
        output = per_time(output, path, transport, t, piece)
    gauge = gauge_of(transport)
    if piece is None:
        energy, log_ratios = path.local_energy(configurations, t, precision)
        return Evaluation(output, log_ratios, energy, gauge)
    # Δ is linear in β, so that its slope is Δ at β = 1.
    one = torch.ones(1, dtype=torch.float64, device=configurations.device)
    energy, slopes = path.model.local_energy(configurations, one, precision)
    log_ratios = _per_move(piece.beta, slopes) * slopes
    return Evaluation(output, log_ratios, energy, gauge, slopes)


def _per_move(values: Tensor, like: Tensor) -> Tensor:
    """Return a number per walker in the type of all moves, such that it multiplies them."""
    return values.to(like.dtype).view(-1, *[1] * (like.ndim - 1))


def per_time(
    output: Tensor, path: Path, transport: Transport, t: Tensor, piece: Pieces | None
) -> Tensor:
    """Return the output of a network per unit of ``t``; arguments as in :func:`examine`."""
    if piece is not None:
        return _per_move(piece.factor, output) * output
    if clock_of(transport) == "t":
        return output
    # The derivative of log ρ̃ is that of β times -H, so that an energy of -1 gives its rate.
    rate = path.time_derivative(-torch.ones_like(t, dtype=torch.float64), t)
    return _per_move(rate, output) * output


def in_float64(evaluation: Evaluation) -> Evaluation:
    """Return an evaluation in float64."""
    output = evaluation.output
    if output is not None:
        output = output.double()
    slopes = evaluation.slopes
    if slopes is not None:
        slopes = slopes.double()
    log_ratios = evaluation.log_ratios.double()
    return evaluation._replace(output=output, log_ratios=log_ratios, slopes=slopes)


def rates_of(
    evaluation: Evaluation,
    reversible: Reversible | str | None = None,
    scale: float = 1.0,
    backward: bool = False,
    inward: bool = False,
) -> Rates:
    """Return the rates of :func:`evaluate` from what :func:`examine` found.

    Args:
        evaluation: the network and the physics.
        reversible: rates that are added, or the name of their ``g``; None for none.
        scale: of reversible rates that are given by name.
        backward: whether the rates are to be those of the reversed process.
        inward: whether these are wanted beside the rates.
    """
    added = as_reversible(reversible, scale)
    rates = _rates_of(evaluation, added, backward, inward)
    # Only e^Δ and its root are unbounded. What overflows float32 may be a number in float64.
    unbounded = added is not None and added.kind == "square_root"
    if evaluation.output is not None and evaluation.gauge == "plain":
        unbounded = unbounded or backward or inward
    if not unbounded or rates.rates.dtype == torch.float64:
        return rates
    over = rates.rates.isinf()
    beyond = over
    if rates.in_rates is not None:
        beyond = over | rates.in_rates.isinf()
    # A look makes a GPU wait: there both are computed at all times.
    if over.device.type == "cpu" and not bool(beyond.any()):
        return rates
    wide = _rates_of(in_float64(evaluation), added, backward, inward)
    back = rates.in_rates
    if back is not None and wide.in_rates is not None:
        back = torch.where(back.isinf(), wide.in_rates, back.double())
    # All other rates, and sums of them, keep their bits.
    return rates._replace(
        rates=torch.where(over, wide.rates, rates.rates.double()),
        exit_rate=torch.where(rates.exit_rate.isinf(), wide.exit_rate, rates.exit_rate),
        in_rates=back,
    )


def _rates_of(
    evaluation: Evaluation, added: Reversible | None, backward: bool, inward: bool
) -> Rates:
    """Return rates in the precision of the network, ``κ`` but for overflow as well."""
    kind = None
    scale = 1.0
    if added is not None:
        kind = added.kind
        scale = added.scale
    made = kernels.proposal_rates(
        evaluation.output, evaluation.log_ratios, kind, scale, evaluation.gauge, backward or inward
    )
    back = None
    if inward:
        back = made.in_rates
    if not backward:
        return Rates(made.rates, made.exit_rate, made.corrector, evaluation.energy, back)
    # In float64 as forward: a sum over the lattice would lose digits in float32.
    exit_rate = made.in_rates.flatten(1).sum(1, dtype=torch.float64)
    return Rates(made.in_rates, exit_rate, made.corrector, evaluation.energy, back)


def evaluate(
    path: Path,
    transport: Transport | None,
    configurations: Tensor,
    t: Tensor,
    reversible: Reversible | str | None = None,
    scale: float = 1.0,
    backward: bool = False,
) -> Rates:
    """Return rates, corrector and energy at time ``t``.

    It takes one evaluation of the network and one of all ``Δ``. Backward, the rates are those of
    the process reversed with respect to ``ρ_t``, ``[-G_m]_+ e^{Δ_m}`` and the same reversible ones;
    ``κ`` is the same. A transport of the heat-bath gauge returns ``D``: its rates are ``[D_m]_+
    p_m`` and ``[-D_m]_+ p_m``, with ``p_m`` the probability of the move in a heat bath of its site,
    and ``κ = Σ_m p_m D_m``. One of clock ``"beta"`` is multiplied by ``dβ_t/dt``.

    Args:
        path: the annealing path.
        transport: None for reversible rates alone.
        configurations: ``(walkers, *shape)``.
        t: float64 ``(1 | walkers,)``, on the device of the configurations.
        reversible: rates that are added, or the name of their ``g``; None for none.
        scale: of reversible rates that are given by name.
        backward: whether time runs backwards.

    Raises:
        ValueError: neither a transport nor reversible rates.
    """
    found = examine(path, transport, configurations, t)
    return rates_of(found, reversible, scale, backward)
