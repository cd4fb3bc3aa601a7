"""From a network and the physics to the rates of the jump process."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from .. import kernels
from ..kernels.checks import as_number
from ..paths.base import Path
from .transport import Transport, precision_of

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
    """``G``, ``(walkers, q-1, *shape)``; None without a transport."""
    log_ratios: Tensor
    """``Δ``, ``(walkers, q-1, *shape)``."""
    energy: Tensor
    """``H(x)``, float64 ``(walkers,)``."""


class Rates(NamedTuple):
    """All that one evaluation at ``x`` yields."""

    rates: Tensor
    """Out-rates ``[G_m]_+``, with the reversible ``r_m`` if any, ``(walkers, q-1, *shape)``."""
    exit_rate: Tensor
    """``R``, their sum, float64 ``(walkers,)``."""
    corrector: Tensor
    """``κ = Σ_m [G_m]_+ - Σ_m [-G_m]_+ e^{Δ_m}``, float64 ``(walkers,)``."""
    energy: Tensor
    """``H(x)``, float64 ``(walkers,)``."""


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
    path: Path, transport: Transport | None, configurations: Tensor, t: Tensor
) -> Evaluation:
    """Evaluate the network once, and all ``Δ`` once; arguments as in :func:`evaluate`."""
    # Δ comes in the precision of the network, which is that of the rates.
    precision = precision_of(transport)
    output = None
    if transport is not None:
        output = transport(configurations, path.conditions(t.to(precision)))
    energy, log_ratios = path.local_energy(configurations, t, precision)
    return Evaluation(output, log_ratios, energy)


def in_float64(evaluation: Evaluation) -> Evaluation:
    """Return an evaluation in float64."""
    output, log_ratios, energy = evaluation
    if output is not None:
        output = output.double()
    return Evaluation(output, log_ratios.double(), energy)


def rates_of(
    evaluation: Evaluation,
    reversible: Reversible | str | None = None,
    scale: float = 1.0,
    backward: bool = False,
) -> Rates:
    """Return the rates of :func:`evaluate` from what :func:`examine` found."""
    added = as_reversible(reversible, scale)
    rates = _rates_of(evaluation, added, backward)
    # Only e^Δ and its root are unbounded. What overflows float32 may be a number in float64.
    unbounded = backward or (added is not None and added.kind == "square_root")
    if not unbounded or rates.rates.dtype == torch.float64:
        return rates
    over = rates.rates.isinf()
    # A look makes a GPU wait: there both are computed at all times.
    if over.device.type == "cpu" and not bool(over.any()):
        return rates
    wide = _rates_of(in_float64(evaluation), added, backward)
    # All other rates, and sums of them, keep their bits.
    return rates._replace(
        rates=torch.where(over, wide.rates, rates.rates.double()),
        exit_rate=torch.where(rates.exit_rate.isinf(), wide.exit_rate, rates.exit_rate),
    )


def _rates_of(evaluation: Evaluation, added: Reversible | None, backward: bool) -> Rates:
    """Return rates in the precision of the network, ``κ`` but for overflow as well."""
    output, log_ratios, energy = evaluation
    if added is None:
        made = kernels.proposal_rates(output, log_ratios)
    else:
        made = kernels.proposal_rates(output, log_ratios, added.kind, added.scale)
    rates = made.rates
    exit_rate = made.exit_rate
    if backward and output is not None:
        # Where G >= 0 the way back is closed, even if e^Δ overflows.
        bounded = torch.where(output < 0, log_ratios, 0.0)
        # The process reversed in ρ_t: ρ(x^m) Q(x^m → x) / ρ(x).
        rates = in_rates(output) * torch.exp(bounded)
        # Reversible rates are their own reversal in ρ_t.
        if added is not None:
            rates = rates + added.rates(log_ratios)
        # In float64 as forward: a sum over the lattice would lose digits in float32.
        exit_rate = rates.flatten(1).sum(1, dtype=torch.float64)
    return Rates(rates, exit_rate, made.corrector, energy)


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
    ``κ`` is the same.

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
