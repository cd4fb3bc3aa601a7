"""What is tuned for: the inputs of all families' cases, at a size of one's choice."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..hollow_network.cases import network
from ..hollow_network.op import hollow_values_op
from ..inputs.case import Call
from ..inputs.families import FAMILIES, watched
from .plan import launcher_of
from .tuner import Run, Workload

__all__ = ["op_of", "run_of", "workloads"]


def op_of(call: Call) -> str:
    """Return the name of the op of a call."""
    return call[0]._qualname.partition("::")[2]


def _results(function: Any, given: dict[str, Any]) -> Sequence[Tensor]:
    """Return what a call gives as a sequence of tensors."""
    found = function(**given)
    if isinstance(found, Tensor):
        return (found,)
    return tuple(found)


def run_of(call: Call, device: torch.device) -> Run:
    """Return a call on a device, its inputs once and for all.

    On a CPU it is one of the launcher for CUDA devices, which the interpreter can follow.
    """
    op, given = call
    function: Any = op
    if device.type == "cpu":
        function = launcher_of(op) or op
    moved = dict(given)
    for name, value in given.items():
        if isinstance(value, Tensor):
            moved[name] = value.to(device)
    return partial(_results, function, moved)


class _Networks:
    """Networks of the default width, which those of the tests are too small for."""

    @staticmethod
    def watched(shape: tuple[int, ...], periodic: tuple[bool, ...], walkers: int) -> Iterator[Call]:
        """Yield calls in each precision of a device."""
        for q in (2, 3):
            given = network(shape, periodic, q, walkers, width=64, channels=32, tables="uniform")
            for precision in ("float32", "tf32x3", "tf32"):
                yield hollow_values_op, given | {"precision": precision}


def workloads(
    ops: Sequence[str], shape: tuple[int, ...], walkers: int, device: torch.device
) -> Iterator[Workload]:
    """Yield every kind of call of some ops, each with small calls of the same op to check.

    Inputs are drawn as for tests: couplings that are no whole numbers too, so that another order of
    a sum is seen.

    Args:
        ops: Names of ops; all if there are none.
        shape: Of the lattice.
        walkers: Their number.
        device: Where the calls run.
    """
    small = [call for call in watched() if not ops or op_of(call) in ops]
    periodic = (True,) * len(shape)
    families: list[Any] = [*FAMILIES, _Networks]
    for family in families:
        for call in family.watched(shape, periodic, walkers):
            name = op_of(call)
            if ops and name not in ops:
                continue
            checks = [run_of(other, device) for other in small if op_of(other) == name]
            yield Workload(name, run_of(call, device), checks)
