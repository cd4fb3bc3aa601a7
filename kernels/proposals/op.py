"""The op ``proposal_rates`` and its gradient."""

from typing import Any

import torch
from torch import Tensor
from torch.library import custom_op

from ..checks import as_bool, as_number, check_floating, check_tensor, expect
from ..registration import Launchers, call, put_on_cuda
from . import reference
from .reference import ProposalRates

__all__ = [
    "GAUGES", "REVERSIBLE", "proposal_rates", "proposal_rates_gradient", "proposal_rates_op",
]  # fmt: skip

REVERSIBLE = ("barker", "square_root", "metropolis")
"""Names of the reversible rates of :func:`proposal_rates`."""
GAUGES = ("plain", "heat_bath")
"""What a network's output may be: ``G``, or ``D`` of the heat-bath gauge."""


def proposal_rates(
    network_output: Tensor | None,
    log_ratios: Tensor,
    reversible: str | None = None,
    scale: float = 1.0,
    gauge: str = "plain",
    inward: bool = False,
) -> ProposalRates:
    """Return the out-rates of all moves, the exit rate and the corrector of every walker.

    ``rates = [G]_+ + scale · g(e^Δ)``, ``R = Σ rates``,
    ``κ = Σ_m [G_m]_+ - Σ_m [-G_m]_+ e^{Δ_m}``, where ``g`` is one of Barker ``u / (1 + u)``, square
    root ``√u``, Metropolis ``min(1, u)``. All satisfy ``g(u) = u g(1/u)``, so they leave ``ρ_t``
    invariant and add nothing to ``κ``.

    In the heat-bath gauge the network's output is ``D``, the first part of the rates
    ``[D_k(i)]_+ p_k(i)`` with ``p_k(i) = e^{Δ_k(i)} / (1 + Σ_a e^{Δ_a(i)})``, the probability with
    which a heat bath of site ``i`` would make the move. Then ``κ = Σ_m p_m D_m``, linear in the
    output and finite whatever ``Δ``.

    Args:
        network_output: ``G``, ``(walkers, q-1, *shape)``, or None for reversible rates alone.
            All results can be differentiated with respect to it, once.
        log_ratios: ``Δ``, same shape. Different dtypes, and half precision, are brought to one of
            float32 and float64.
        reversible: None, ``"barker"``, ``"square_root"`` or ``"metropolis"``.
        scale: Rate of the reversible part, moves per unit of time, finite and ≥ 0.
        gauge: ``"plain"`` or ``"heat_bath"``: what the network's output is.
        inward: Whether the rates of the process reversed in ``ρ_t`` are wanted too: those of its
            moves out of the configuration, ``[-G_m]_+ e^{Δ_m}`` or ``[-D_m]_+ p_m``, and the
            reversible ones.

    Returns:
        ProposalRates(rates ``(walkers, q-1, *shape)``, exit_rate and corrector float64
        ``(walkers,)``, in_rates as rates, or ``(0,)`` if they are not wanted).

    Raises:
        ValueError: If there is neither a network output nor a reversible rate, a name or a gauge is
            unknown, or shapes differ.

    References:
        Holderrieth, Albergo, Jaakkola, *LEAPS*, arXiv:2502.10843 (2025).
    """
    _check_terms(network_output, reversible)
    scale = as_number("scale", scale, "finite and >= 0", lambda value: 0.0 <= value < float("inf"))
    if gauge not in GAUGES:
        raise ValueError(f"gauge must be one of {', '.join(GAUGES)}, got {gauge!r}")
    inward = as_bool("inward", inward)
    _check_tensors(network_output, log_ratios)
    # Half precision becomes float32, for which and for float64 there are kernels.
    dtype = torch.promote_types(torch.float32, log_ratios.dtype)
    if network_output is not None:
        dtype = torch.promote_types(dtype, network_output.dtype)
        network_output = network_output.to(dtype)
    check_floating("dtype of network_output and log_ratios", dtype)
    log_ratios = log_ratios.to(dtype)
    return ProposalRates(
        *call(proposal_rates_op, network_output, log_ratios, reversible, scale, gauge, inward)
    )


def _check_terms(network_output: Tensor | None, reversible: str | None) -> None:
    """Refuse rates without any term, or with a reversible one of an unknown name."""
    if network_output is None and reversible is None:
        raise ValueError(
            f"give a network_output, or reversible= one of {', '.join(REVERSIBLE)}; got neither"
        )
    if reversible is not None and reversible not in REVERSIBLE:
        raise ValueError(
            f"reversible must be None or one of {', '.join(REVERSIBLE)}, got {reversible!r}"
        )


def _check_tensors(network_output: Tensor | None, log_ratios: Tensor) -> None:
    """Refuse tensors that do not fit each other, or a gradient that there is not."""
    check_tensor("log_ratios", log_ratios)
    expect(log_ratios.ndim > 1, "log_ratios", "of shape (walkers, q-1, *shape)", log_ratios)
    if network_output is not None:
        check_tensor("network_output", network_output)
    if log_ratios.requires_grad:
        raise ValueError(
            "proposal_rates with respect to log_ratios has no gradient; give log_ratios.detach()"
        )
    if network_output is not None and network_output.shape != log_ratios.shape:
        raise ValueError(
            f"network_output must have the shape of log_ratios {tuple(log_ratios.shape)}, "
            f"got {tuple(network_output.shape)}"
        )


@custom_op("leaps_triton::proposal_rates", mutates_args=())
def proposal_rates_op(
    network_output: Tensor | None,
    log_ratios: Tensor,
    reversible: str | None,
    scale: float,
    gauge: str = "plain",
    inward: bool = False,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """See :func:`leaps_triton.kernels.proposal_rates`."""
    rates, exit_rate, corrector, back = reference.proposal_rates(
        network_output, log_ratios, reversible, scale, gauge, inward
    )
    return rates.contiguous(), exit_rate, corrector, back.contiguous()


@proposal_rates_op.register_fake
def _(
    network_output: Tensor | None,
    log_ratios: Tensor,
    reversible: str | None,
    scale: float,
    gauge: str = "plain",
    inward: bool = False,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    sums = log_ratios.new_empty(len(log_ratios), dtype=torch.float64)
    rates = log_ratios.new_empty(log_ratios.shape)
    back = log_ratios.new_empty(0)
    if inward:
        back = torch.empty_like(rates)
    return rates, sums, torch.empty_like(sums), back


@custom_op("leaps_triton::proposal_rates_gradient", mutates_args=())
def proposal_rates_gradient(
    network_output: Tensor,
    log_ratios: Tensor,
    to_rates: Tensor | None,
    to_exit_rate: Tensor,
    to_corrector: Tensor,
    gauge: str = "plain",
    to_in_rates: Tensor | None = None,
) -> Tensor:
    """Return the gradient of :func:`proposal_rates` with respect to the network's output."""
    return reference.proposal_rates_gradient(
        network_output, log_ratios, to_rates, to_exit_rate, to_corrector, gauge, to_in_rates
    )


@proposal_rates_gradient.register_fake
def _(
    network_output: Tensor,
    log_ratios: Tensor,
    to_rates: Tensor | None,
    to_exit_rate: Tensor,
    to_corrector: Tensor,
    gauge: str = "plain",
    to_in_rates: Tensor | None = None,
) -> Tensor:
    return network_output.new_empty(network_output.shape)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    network_output, log_ratios, _, _, ctx.gauge, ctx.inward = inputs
    ctx.save_for_backward(network_output, log_ratios)
    # The loss of a path reads one or two of the results: no gradients of zeros for the others.
    ctx.set_materialize_grads(False)


def _differentiate(
    ctx: Any,
    to_rates: Tensor | None,
    to_exit_rate: Tensor | None,
    to_corrector: Tensor | None,
    to_in_rates: Tensor | None,
) -> tuple[Tensor | None, None, None, None, None, None]:
    network_output, log_ratios = ctx.saved_tensors
    nought = log_ratios.new_zeros(len(log_ratios), dtype=torch.float64)
    if to_exit_rate is None:
        to_exit_rate = nought
    if to_corrector is None:
        to_corrector = nought
    # There is a gradient of in-rates that were not asked for where all results are added up.
    if not ctx.inward:
        to_in_rates = None
    gradient = proposal_rates_gradient(
        network_output, log_ratios, to_rates, to_exit_rate, to_corrector, ctx.gauge, to_in_rates
    )
    return gradient, None, None, None, None, None


proposal_rates_op.register_autograd(_differentiate, setup_context=_save)


def _launchers() -> Launchers:
    from . import triton

    return [
        (proposal_rates_op, triton.proposal_rates),
        (proposal_rates_gradient, triton.proposal_rates_gradient),
    ]


put_on_cuda(_launchers)
