"""The ops as ``torch.ops.leaps_triton``: Triton kernels on CUDA devices, twins elsewhere and without Triton."""

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.library import custom_op

from . import blocked, ising, reference

__all__ = [
    "MISSING",
    "cluster_labels",
    "energy",
    "heat_bath_sweeps",
    "hollow_conv",
    "hollow_conv_gradient",
    "jump_step",
    "local_energy",
    "local_jump_steps",
    "metropolis_sweeps",
    "overrelaxation_sweeps",
    "proposal_rates",
    "proposal_rates_gradient",
    "tau_leap_log_probability",
    "tau_leap_log_probability_gradient",
    "tau_leap_step",
]


@custom_op("leaps_triton::energy", mutates_args=())
def energy(
    configurations: Tensor, coupling: Tensor, bond_table: Tensor, site_table: Tensor, periodic: Sequence[bool]
) -> tuple[Tensor, Tensor]:
    """See :func:`leaps_triton.kernels.energy`."""
    energies, counts = reference.energy(configurations, coupling, bond_table, site_table, periodic)
    return energies, counts


@energy.register_fake
def _(
    configurations: Tensor, coupling: Tensor, bond_table: Tensor, site_table: Tensor, periodic: Sequence[bool]
) -> tuple[Tensor, Tensor]:
    walkers, q = len(configurations), len(bond_table)
    energies = configurations.new_empty(walkers, dtype=torch.float64)
    return energies, configurations.new_empty(walkers, q, dtype=torch.int64)


@custom_op("leaps_triton::local_energy", mutates_args=())
def local_energy(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    beta: Tensor,
    periodic: Sequence[bool],
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """See :func:`leaps_triton.kernels.local_energy`."""
    energies, log_ratios = reference.local_energy(
        configurations, coupling, bond_table, site_table, beta, periodic, dtype
    )
    return energies, log_ratios.contiguous()


@local_energy.register_fake
def _(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    beta: Tensor,
    periodic: Sequence[bool],
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    walkers, *shape = configurations.shape
    log_ratios = configurations.new_empty(walkers, bond_table.shape[0] - 1, *shape, dtype=dtype)
    return configurations.new_empty(walkers, dtype=torch.float64), log_ratios


@custom_op("leaps_triton::proposal_rates", mutates_args=())
def proposal_rates(
    network_output: Tensor | None, log_ratios: Tensor, reversible: str | None, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """See :func:`leaps_triton.kernels.proposal_rates`."""
    rates, exit_rate, corrector = reference.proposal_rates(network_output, log_ratios, reversible, scale)
    return rates.contiguous(), exit_rate, corrector


@proposal_rates.register_fake
def _(
    network_output: Tensor | None, log_ratios: Tensor, reversible: str | None, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    sums = log_ratios.new_empty(len(log_ratios), dtype=torch.float64)
    return log_ratios.new_empty(log_ratios.shape), sums, torch.empty_like(sums)


@custom_op("leaps_triton::proposal_rates_gradient", mutates_args=())
def proposal_rates_gradient(
    network_output: Tensor, log_ratios: Tensor, to_rates: Tensor | None, to_exit_rate: Tensor, to_corrector: Tensor
) -> Tensor:
    """Gradient of :func:`proposal_rates` with respect to the network's output."""
    return reference.proposal_rates_gradient(network_output, log_ratios, to_rates, to_exit_rate, to_corrector)


@proposal_rates_gradient.register_fake
def _(
    network_output: Tensor, log_ratios: Tensor, to_rates: Tensor | None, to_exit_rate: Tensor, to_corrector: Tensor
) -> Tensor:
    return network_output.new_empty(network_output.shape)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    network_output, log_ratios, _, _ = inputs
    ctx.save_for_backward(network_output, log_ratios)
    # The loss of a path reads one or two of the results: no gradients of zeros for the others.
    ctx.set_materialize_grads(False)


def _differentiate(
    ctx: Any, to_rates: Tensor | None, to_exit_rate: Tensor | None, to_corrector: Tensor | None
) -> tuple[Tensor | None, None, None, None]:
    network_output, log_ratios = ctx.saved_tensors
    nought = log_ratios.new_zeros(len(log_ratios), dtype=torch.float64)
    to_exit_rate = nought if to_exit_rate is None else to_exit_rate
    to_corrector = nought if to_corrector is None else to_corrector
    gradient = proposal_rates_gradient(network_output, log_ratios, to_rates, to_exit_rate, to_corrector)
    return gradient, None, None, None


proposal_rates.register_autograd(_differentiate, setup_context=_save)


@custom_op("leaps_triton::jump_step", mutates_args=())
def jump_step(
    configurations: Tensor,
    log_weights: Tensor,
    remaining: Tensor,
    rates: Tensor,
    corrector: Tensor,
    walkers: Tensor,
    events: Tensor,
    seed: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """See :func:`leaps_triton.kernels.jump_step`."""
    after, weights, left, move = reference.jump_step(
        configurations, log_weights, remaining, rates, corrector, walkers, events, seed
    )
    return after, weights, left, move


@jump_step.register_fake
def _(
    configurations: Tensor,
    log_weights: Tensor,
    remaining: Tensor,
    rates: Tensor,
    corrector: Tensor,
    walkers: Tensor,
    events: Tensor,
    seed: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    after = configurations.new_empty(configurations.shape)
    return after, torch.empty_like(log_weights), torch.empty_like(remaining), torch.empty_like(walkers)


@custom_op("leaps_triton::local_jump_steps", mutates_args=())
def local_jump_steps(
    configurations: Tensor,
    log_weights: Tensor,
    remaining: Tensor,
    walkers: Tensor,
    events: Tensor,
    rates: Tensor,
    corrector: Tensor,
    neighbours: Tensor,
    strides: Tensor,
    first_row: int,
    seed: int,
    steps: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """See :func:`leaps_triton.kernels.local_jump_steps`."""
    after = reference.local_jump_steps(
        configurations,
        log_weights,
        remaining,
        walkers,
        events,
        rates,
        corrector,
        neighbours,
        strides,
        first_row,
        seed,
        steps,
    )
    x, weights, left, made, exit_rate, correction = after
    return x, weights, left, made, exit_rate, correction


@local_jump_steps.register_fake
def _(
    configurations: Tensor,
    log_weights: Tensor,
    remaining: Tensor,
    walkers: Tensor,
    events: Tensor,
    rates: Tensor,
    corrector: Tensor,
    neighbours: Tensor,
    strides: Tensor,
    first_row: int,
    seed: int,
    steps: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    after = configurations.new_empty(configurations.shape)
    floats = [torch.empty_like(log_weights) for _ in range(4)]
    return after, floats[0], floats[1], torch.empty_like(events), floats[2], floats[3]


@custom_op("leaps_triton::tau_leap_step", mutates_args=())
def tau_leap_step(
    configurations: Tensor, rates: Tensor, duration: Tensor, walkers: Tensor, events: Tensor, seed: int
) -> tuple[Tensor, Tensor]:
    """See :func:`leaps_triton.kernels.tau_leap_step`."""
    after, log_probability = reference.tau_leap_step(configurations, rates, duration, walkers, events, seed)
    return after, log_probability


@tau_leap_step.register_fake
def _(
    configurations: Tensor, rates: Tensor, duration: Tensor, walkers: Tensor, events: Tensor, seed: int
) -> tuple[Tensor, Tensor]:
    return configurations.new_empty(configurations.shape), torch.empty_like(duration)


@custom_op("leaps_triton::tau_leap_log_probability", mutates_args=())
def tau_leap_log_probability(configurations: Tensor, after: Tensor, rates: Tensor, duration: Tensor) -> Tensor:
    """See :func:`leaps_triton.kernels.tau_leap_log_probability`."""
    return reference.tau_leap_log_probability(configurations, after, rates, duration)


@tau_leap_log_probability.register_fake
def _(configurations: Tensor, after: Tensor, rates: Tensor, duration: Tensor) -> Tensor:
    return torch.empty_like(duration)


@custom_op("leaps_triton::tau_leap_log_probability_gradient", mutates_args=())
def tau_leap_log_probability_gradient(
    configurations: Tensor, after: Tensor, rates: Tensor, duration: Tensor, to_log_probability: Tensor
) -> Tensor:
    """Gradient of :func:`tau_leap_log_probability` with respect to the rates."""
    return reference.tau_leap_log_probability_gradient(configurations, after, rates, duration, to_log_probability)


@tau_leap_log_probability_gradient.register_fake
def _(configurations: Tensor, after: Tensor, rates: Tensor, duration: Tensor, to_log_probability: Tensor) -> Tensor:
    return rates.new_empty(rates.shape)


def _save_leap(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _differentiate_leap(ctx: Any, to_log_probability: Tensor) -> tuple[Tensor | None, ...]:
    gradient = tau_leap_log_probability_gradient(*ctx.saved_tensors, to_log_probability)
    return None, None, gradient, None


tau_leap_log_probability.register_autograd(_differentiate_leap, setup_context=_save_leap)


def _sweeps(name: str, twin: Callable[..., Tensor]) -> Any:
    @custom_op(f"leaps_triton::{name}", mutates_args=())
    def op(
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
        # The result of an op may not be its input, as it would be after no sweep at all.
        return twin(
            configurations.clone(),
            coupling,
            bond_table,
            site_table,
            beta,
            periodic,
            colours,
            num_colours,
            walkers,
            first_sweep,
            sweeps,
            seed,
        )

    op.register_fake(lambda configurations, *rest: configurations.new_empty(configurations.shape))
    return op


heat_bath_sweeps = _sweeps("heat_bath_sweeps", ising.heat_bath_sweeps)
"""See :func:`leaps_triton.kernels.heat_bath_sweeps`."""

metropolis_sweeps = _sweeps("metropolis_sweeps", reference.metropolis_sweeps)
"""See :func:`leaps_triton.kernels.metropolis_sweeps`."""

overrelaxation_sweeps = _sweeps("overrelaxation_sweeps", reference.overrelaxation_sweeps)
"""See :func:`leaps_triton.kernels.overrelaxation_sweeps`."""


@custom_op("leaps_triton::cluster_labels", mutates_args=())
def cluster_labels(bonds: Tensor) -> Tensor:
    """See :func:`leaps_triton.kernels.cluster_labels`."""
    return reference.cluster_labels(bonds)


@cluster_labels.register_fake
def _(bonds: Tensor) -> Tensor:
    walkers, _, *shape = bonds.shape
    return bonds.new_empty(walkers, *shape, dtype=torch.int64)


@custom_op("leaps_triton::hollow_conv", mutates_args=())
def hollow_conv(
    activations: Tensor,
    weight: Tensor,
    bias: Tensor,
    offset: Tensor,
    time_offset: Tensor,
    source: Tensor,
    kernel_size: int,
    periodic: Sequence[bool],
    precision: str = "float32",
) -> Tensor:
    """See :func:`leaps_triton.kernels.hollow_conv`."""
    return blocked.hollow_conv(activations, weight, bias, offset, time_offset, source, kernel_size, periodic, precision)


@hollow_conv.register_fake
def _(
    activations: Tensor,
    weight: Tensor,
    bias: Tensor,
    offset: Tensor,
    time_offset: Tensor,
    source: Tensor,
    kernel_size: int,
    periodic: Sequence[bool],
    precision: str = "float32",
) -> Tensor:
    return source.new_empty(len(source), len(weight), *source.shape[2:])


@custom_op("leaps_triton::hollow_conv_gradient", mutates_args=())
def hollow_conv_gradient(
    to_output: Tensor,
    activations: Tensor,
    weight: Tensor,
    bias: Tensor,
    offset: Tensor,
    time_offset: Tensor,
    source: Tensor,
    kernel_size: int,
    periodic: Sequence[bool],
    to_source: bool,
    precision: str = "float32",
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of :func:`hollow_conv` with respect to its six tensors; that of ``source`` empty unless wanted."""
    return blocked.hollow_conv_gradient(
        to_output, activations, weight, bias, offset, time_offset, source, kernel_size, periodic, to_source, precision
    )


@hollow_conv_gradient.register_fake
def _(
    to_output: Tensor,
    activations: Tensor,
    weight: Tensor,
    bias: Tensor,
    offset: Tensor,
    time_offset: Tensor,
    source: Tensor,
    kernel_size: int,
    periodic: Sequence[bool],
    to_source: bool,
    precision: str = "float32",
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    of_source = source.new_empty(len(source) if to_source else 0, *source.shape[1:])
    first, second, third, fourth, fifth = (
        tensor.new_empty(tensor.shape) for tensor in (activations, weight, bias, offset, time_offset)
    )
    return first, second, third, fourth, fifth, of_source


def _save_convolution(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.kernel_size, ctx.periodic, ctx.precision = inputs
    ctx.save_for_backward(*tensors)


def _differentiate_convolution(ctx: Any, to_output: Tensor) -> tuple[Tensor | None, ...]:
    wanted = ctx.needs_input_grad[5]
    *gradients, of_source = hollow_conv_gradient(
        to_output.contiguous(), *ctx.saved_tensors, ctx.kernel_size, ctx.periodic, wanted, ctx.precision
    )
    return *gradients, of_source if wanted else None, None, None, None


hollow_conv.register_autograd(_differentiate_convolution, setup_context=_save_convolution)


def _register() -> str | None:
    """Put the kernels behind the ops on CUDA devices; why not, if Triton cannot be imported."""
    try:
        importlib.import_module("triton")
    except ImportError as error:
        return str(error)
    from .clusters import cluster_labels as cluster_labels_kernel
    from .hollow_conv import hollow_conv as hollow_conv_kernel
    from .hollow_conv import hollow_conv_gradient as hollow_conv_gradient_kernel
    from .jump import jump_step as jump_step_kernel
    from .local_energy import energy as energy_kernel
    from .local_energy import local_energy as local_energy_kernel
    from .local_jump import local_jump_steps as local_jump_kernel
    from .rates import proposal_rates as rates_kernel
    from .rates import proposal_rates_gradient as gradient_kernel
    from .sweeps import heat_bath_sweeps as heat_bath_kernel
    from .sweeps import metropolis_sweeps as metropolis_kernel
    from .sweeps import overrelaxation_sweeps as overrelaxation_kernel
    from .tau_leap import tau_leap_log_probability as leap_probability_kernel
    from .tau_leap import tau_leap_log_probability_gradient as leap_gradient_kernel
    from .tau_leap import tau_leap_step as leap_kernel

    launchers: list[tuple[Any, Callable[..., Any]]] = [
        (energy, energy_kernel),
        (local_energy, local_energy_kernel),
        (proposal_rates, rates_kernel),
        (proposal_rates_gradient, gradient_kernel),
        (jump_step, jump_step_kernel),
        (local_jump_steps, local_jump_kernel),
        (heat_bath_sweeps, heat_bath_kernel),
        (hollow_conv, hollow_conv_kernel),
        (hollow_conv_gradient, hollow_conv_gradient_kernel),
        (tau_leap_step, leap_kernel),
        (tau_leap_log_probability, leap_probability_kernel),
        (tau_leap_log_probability_gradient, leap_gradient_kernel),
        (metropolis_sweeps, metropolis_kernel),
        (overrelaxation_sweeps, overrelaxation_kernel),
        (cluster_labels, cluster_labels_kernel),
    ]
    for op, launcher in launchers:
        op.register_kernel("cuda", launcher)
    return None


MISSING = _register()
"""Why there are no kernels; None if there are."""
