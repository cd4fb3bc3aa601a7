"""Calls of every op: small ones for torch's own checks, and those that a tool watches on a
device.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from hollow_cases import network
from kernel_cases import classes, convolution, model, normal, sweep
from leaps_triton.kernels import PRECISIONS, REVERSIBLE, hollow, ops, reference

__all__ = ["CALLS", "ENERGY", "MODEL", "ends", "jump", "leap", "outputs", "watched"]


def jump(shape: tuple[int, ...], q: int, count: int) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(3)
    return {
        "configurations": torch.randint(q, (count, *shape), generator=generator, dtype=torch.int8),
        "log_weights": normal(count, seed=1),
        "remaining": torch.full((count,), 0.1, dtype=torch.float64),
        "rates": torch.relu(normal(count, q - 1, *shape, seed=2)),
        "corrector": normal(count, seed=4),
        "walkers": torch.arange(count),
        "events": torch.arange(count) + 5,
        "seed": 11,
    }


def leap(shape: tuple[int, ...], q: int, count: int) -> dict[str, Any]:
    given = jump(shape, q, count)
    chosen = {
        name: given[name] for name in ("configurations", "rates", "walkers", "events", "seed")
    }
    return chosen | {"duration": given["remaining"]}


def ends(shape: tuple[int, ...], q: int, count: int) -> dict[str, Any]:
    given = leap(shape, q, count)
    after = reference.tau_leap_step(**given | {"duration": 5.0 * given["duration"]}).configurations
    return {name: given[name] for name in ("configurations", "rates", "duration")} | {
        "after": after
    }


def outputs(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    network = 2.0 * normal(4, 2, 3, 5, seed=1)
    network.view(-1)[::7] = 0.0
    return network.to(dtype), normal(4, 2, 3, 5, seed=2).to(dtype)


MODEL = model((3, 5), (True, False), 3, 4)
ENERGY = {name: value for name, value in MODEL.items() if name != "beta"}

CALLS: dict[str, tuple[Any, dict[str, Any]]] = {
    "energy": (ops.energy, ENERGY),
    "local_energy": (ops.local_energy, MODEL | {"dtype": torch.float32}),
    "jump_step": (ops.jump_step, jump((3, 5), 3, 4)),
    "local_jump_steps": (ops.local_jump_steps, classes((5, 6), 4)),
    "tau_leap_step": (ops.tau_leap_step, leap((3, 5), 3, 4)),
    "tau_leap_log_probability": (ops.tau_leap_log_probability, ends((3, 5), 3, 4)),
    "gradient of a leap": (
        ops.tau_leap_log_probability_gradient,
        ends((3, 5), 3, 4) | {"to_log_probability": normal(4, seed=4)},
    ),
    "heat_bath_sweeps": (ops.heat_bath_sweeps, sweep(MODEL, 2, seed=5)),
    "metropolis_sweeps": (ops.metropolis_sweeps, sweep(MODEL, 2, seed=5)),
    "overrelaxation_sweeps": (ops.overrelaxation_sweeps, sweep(MODEL, 2, seed=5)),
    "no sweep": (ops.heat_bath_sweeps, sweep(MODEL, 0, seed=5)),
    "cluster_labels": (ops.cluster_labels, {"bonds": normal(4, 2, 3, 5, seed=9) > 0.0}),
    "no bonds": (ops.cluster_labels, {"bonds": torch.zeros(4, 2, 3, 5, dtype=torch.bool)}),
    "hollow_conv": (ops.hollow_conv, convolution((3, 2), 3)),
    "hollow_conv_gradient": (
        ops.hollow_conv_gradient,
        {"to_output": normal(3, 4, 3, 2, seed=9), **convolution((3, 2), 3), "to_source": False},
    ),
    "reversible rates": (
        ops.proposal_rates,
        {"network_output": None, "log_ratios": outputs()[1], "reversible": "barker", "scale": 0.5},
    ),
    "gradient": (
        ops.proposal_rates_gradient,
        dict(
            zip(
                ("network_output", "log_ratios", "to_rates", "to_exit_rate", "to_corrector"),
                (*outputs(), normal(4, 2, 3, 5, seed=3), normal(4, seed=4), normal(4, seed=5)),
                strict=True,
            )
        ),
    ),
}

LATTICES = (((5, 6), (True, False)), ((16, 25), (True, True)), ((33, 35), (True, True)))
"""Lattices of less than a block of sites, of a block of several warps, and of several blocks and
three colours."""
KINDS = ((2, "uniform"), (2, "own"), (3, "own"))
WALKERS = 3

Call = tuple[Any, dict[str, Any]]


def watched() -> Iterator[Call]:
    """Every op on every lattice, with all kinds of models, dtypes and terms."""
    for shape, periodic in LATTICES:
        for q, tables in KINDS:
            yield from of_model(model(shape, periodic, q, WALKERS, tables), q)
        for dtype in (torch.float32, torch.float64):
            yield from of_rates(shape, dtype)
        yield ops.local_jump_steps, classes(shape, WALKERS)
        for threshold in (-1.0, 0.0):
            yield (
                ops.cluster_labels,
                {"bonds": normal(WALKERS, len(shape), *shape, seed=9) > threshold},
            )
        yield from of_networks(shape, periodic)


def of_model(given: dict[str, Any], q: int) -> Iterator[Call]:
    yield ops.energy, {name: value for name, value in given.items() if name != "beta"}
    for dtype in (torch.float32, torch.float64):
        yield ops.local_energy, given | {"dtype": dtype}
    for op in (
        ops.heat_bath_sweeps,
        ops.metropolis_sweeps,
        *([ops.overrelaxation_sweeps] if q > 2 else []),
    ):
        yield op, sweep(given, 2)


def of_rates(shape: tuple[int, ...], dtype: torch.dtype) -> Iterator[Call]:
    moves = (WALKERS, 2, *shape)
    output, log_ratios = normal(*moves, seed=1).to(dtype), normal(*moves, seed=2).to(dtype)
    for reversible in (None, *REVERSIBLE):
        for network_output in (output, None) if reversible else (output,):
            given = {
                "network_output": network_output,
                "log_ratios": log_ratios,
                "reversible": reversible,
            }
            yield ops.proposal_rates, given | {"scale": 0.5}
    to_sums = {"to_exit_rate": normal(WALKERS, seed=4), "to_corrector": normal(WALKERS, seed=5)}
    for to_rates in (output, None):
        yield (
            ops.proposal_rates_gradient,
            {"network_output": output, "log_ratios": log_ratios, "to_rates": to_rates, **to_sums},
        )
    calls: list[Call] = [
        (ops.jump_step, jump(shape, 3, WALKERS)),
        (ops.tau_leap_step, leap(shape, 3, WALKERS)),
        (ops.tau_leap_log_probability, ends(shape, 3, WALKERS)),
        (
            ops.tau_leap_log_probability_gradient,
            ends(shape, 3, WALKERS) | {"to_log_probability": normal(WALKERS, seed=4)},
        ),
    ]
    for op, arguments in calls:
        yield op, arguments | {"rates": arguments["rates"].to(dtype)}


def of_networks(shape: tuple[int, ...], periodic: tuple[bool, ...]) -> Iterator[Call]:
    for broadcast in (True, False):
        given = {
            name: as_float(value)
            for name, value in convolution(shape, 3, WALKERS, broadcast=broadcast).items()
        }
        to_output = normal(WALKERS, 4, *shape, seed=9).float()
        for precision in PRECISIONS["hollow_conv"]:
            yield ops.hollow_conv, given | {"precision": precision}
            gradient = {"to_output": to_output, **given, "to_source": True, "precision": precision}
            yield ops.hollow_conv_gradient, gradient
    for q, _ in KINDS[1:]:
        for precision in PRECISIONS["hollow_values"]:
            given = network(shape, periodic, q, WALKERS)
            to_values = normal(WALKERS, q, *shape, seed=7).float()
            yield hollow._hollow_values, {**given, "precision": precision}
            yield (
                hollow._hollow_values_gradient,
                {"to_values": to_values, **given, "precision": precision},
            )


def as_float(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) else value
