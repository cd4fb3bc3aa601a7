"""Inputs of ``proposal_rates`` and its gradient."""

import itertools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ..inputs.case import Call, Case, Model, Size
from ..inputs.random import noise, normal
from .op import GAUGES, REVERSIBLE, proposal_rates_gradient, proposal_rates_op

__all__ = ["OPS", "measured", "outputs", "small", "watched"]

OPS = ("proposal_rates", "proposal_rates_gradient")
SMALL = (4, 2, 3, 5)


def outputs(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Return a small network output, some of it exactly 0, and log-ratios."""
    network_output = 2.0 * normal(*SMALL, seed=1)
    network_output.view(-1)[::7] = 0.0
    return network_output.to(dtype), normal(*SMALL, seed=2).to(dtype)


def measured(op: str, size: Size, model: Model) -> Case:
    """Return the case of an op on rates of order one."""
    moves = (size.walkers, model.q - 1, *size.shape)
    output = noise(size, 0, *moves)
    arguments: dict[str, Any] = {
        "network_output": output,
        "log_ratios": 4.0 * noise(size, 1, *moves),
    }
    if op == "proposal_rates":
        by_walker = frozenset(arguments)
        # Its float64 results are sums of float32 terms.
        tolerance = {torch.float32: 1e-5, torch.float64: 1e-5}
        work = 7 * output.numel()
        return Case(op, model.name, size, arguments, by_walker, work, tolerance=tolerance)
    to_sums = noise(size, 3, 2, size.walkers).double()
    arguments["to_rates"] = noise(size, 2, *moves)
    arguments["to_exit_rate"] = to_sums[0]
    arguments["to_corrector"] = to_sums[1]
    return Case(op, model.name, size, arguments, frozenset(arguments), 9 * output.numel())


def small() -> dict[str, Call]:
    """Return small calls, for torch's own checks."""
    network_output, log_ratios = outputs()
    forward = {
        "network_output": None,
        "log_ratios": log_ratios,
        "reversible": "barker",
        "scale": 0.5,
    }
    gradient = {
        "network_output": network_output,
        "log_ratios": log_ratios,
        "to_rates": normal(*SMALL, seed=3),
        "to_exit_rate": normal(SMALL[0], seed=4),
        "to_corrector": normal(SMALL[0], seed=5),
    }
    heat_bath = {"gauge": "heat_bath", "to_in_rates": normal(*SMALL, seed=6)}
    return {
        "reversible rates": (proposal_rates_op, forward),
        "rates both ways": (proposal_rates_op, forward | {"inward": True}),
        "gradient": (proposal_rates_gradient, gradient),
        "gradient of a heat bath": (proposal_rates_gradient, gradient | heat_bath),
    }


def watched(shape: tuple[int, ...], periodic: tuple[bool, ...], walkers: int) -> Iterator[Call]:
    """Yield calls that reach every kernel of the family."""
    for q, dtype in itertools.product((2, 3), (torch.float32, torch.float64)):
        output = normal(walkers, q - 1, *shape, seed=1).to(dtype)
        log_ratios = normal(walkers, q - 1, *shape, seed=2).to(dtype)
        both = {"network_output": output, "log_ratios": log_ratios}
        for reversible, gauge, inward in itertools.product(
            (None, *REVERSIBLE), GAUGES, (False, True)
        ):
            terms = {"reversible": reversible, "scale": 0.5, "gauge": gauge, "inward": inward}
            yield proposal_rates_op, both | terms
            if reversible is not None:
                yield proposal_rates_op, both | terms | {"network_output": None}
        to_sums = {
            "to_exit_rate": normal(walkers, seed=4),
            "to_corrector": normal(walkers, seed=5),
        }
        for to_rates, to_in_rates, gauge in itertools.product(
            (output, None), (output, None), GAUGES
        ):
            upstream = {"to_rates": to_rates, "to_in_rates": to_in_rates, "gauge": gauge}
            yield proposal_rates_gradient, both | upstream | to_sums
