"""Registration of the ops as ``torch.ops.leaps_triton``: kernels where there are, twins elsewhere.

Each family's ``op.py`` registers its ops with torch, gets what a CPU runs from :func:`on_cpu`, and
hands its launchers for CUDA devices to :func:`put_on_cuda`.
"""

import functools
import importlib
import importlib.util
import logging
import os
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, TypeAlias

import torch
from torch.library import CustomOpDef, custom_op

__all__ = [
    "MISSING", "Launchers", "backend", "call", "cluster_op", "on_cpu", "put_on_cuda", "readable",
    "runs_loops", "sweeps_op", "taking",
]  # fmt: skip

logger = logging.getLogger("leaps_triton")

CPU = "LEAPS_TRITON_CPU"
"""Environment variable that chooses what a CPU runs: ``numba`` (also if not set) or ``twin``."""

Launchers: TypeAlias = Sequence[tuple[CustomOpDef, Callable[..., Any]]]
"""Registered ops, each with what runs it on a CUDA device."""


def _why_missing() -> str | None:
    try:
        importlib.import_module("triton")
    except ImportError as error:
        return str(error)
    return None


MISSING = _why_missing()
"""Why there are no kernels; None if there are."""


@functools.cache
def _cpu_kernels() -> tuple[bool, str]:
    """Return whether a CPU runs kernels, and in words what it runs; read once."""
    chosen = os.environ.get(CPU, "") or "numba"
    if chosen not in ("numba", "twin"):
        raise ValueError(f"{CPU} must be numba or twin, got {chosen!r}")
    if chosen == "twin":
        return False, f"plain torch on cpu, since {CPU}=twin"
    # Looked for, not imported: that takes a while, and is done when an op first runs.
    if importlib.util.find_spec("numba") is None:
        return False, "plain torch on cpu, since numba cannot be found"
    return True, "numba kernels on cpu"


def backend(device: torch.device) -> str:
    """Say in words what runs the ops on ``device``.

    Raises:
        ValueError: If the environment variable ``LEAPS_TRITON_CPU`` is neither numba nor twin.
    """
    if device.type == "cpu":
        return _cpu_kernels()[1]
    if device.type != "cuda":
        return f"plain torch on {device.type}"
    if MISSING is not None:
        return f"plain torch on {device.type}, since Triton cannot be imported: {MISSING}"
    return f"Triton kernels on {device.type}"


def on_cpu(twin: Callable[..., Any], package: str) -> Callable[..., Any]:
    """Return what runs an op where no kernel is registered: a CPU its CPU kernel, others the twin.

    Args:
        twin: Its first argument, or the first entry of a record that is its only one, is a tensor
            of the device.
        package: That of the family, whose ``cpu.py`` has a function of the twin's name; it hands
            on to the twin what it has no loop for.
    """

    @functools.wraps(twin)
    def run(*arguments: Any) -> Any:
        tensor = arguments[0]
        if not isinstance(tensor, torch.Tensor):
            tensor = tensor[0]
        if tensor.device.type == "cpu" and _cpu_kernels()[0]:
            return getattr(_loops(package), twin.__name__)(*arguments)
        return twin(*arguments)

    return run


def readable(tensor: torch.Tensor) -> bool:
    """Return whether numbers of this tensor lie on a CPU, and nothing traces them."""
    return not torch.compiler.is_compiling() and type(tensor) is torch.Tensor and tensor.is_cpu


def runs_loops(tensor: torch.Tensor) -> bool:
    """Return whether numbers of this tensor are for CPU kernels, and nothing traces them."""
    return readable(tensor) and _cpu_kernels()[0] and _imports_numba()


@functools.cache
def _loops(package: str) -> ModuleType:
    """Return ``cpu.py`` of a family, else ``reference.py`` where numba cannot be imported."""
    if _imports_numba():
        return importlib.import_module(".cpu", package)
    return importlib.import_module(".reference", package)


@functools.cache
def _imports_numba() -> bool:
    """Import numba, and say why if it cannot be."""
    try:
        importlib.import_module("numba")
    except ImportError as error:
        logger.warning("CPUs run plain torch, since numba cannot be imported: %s", error)
        return False
    return True


def taking(record: Callable[..., Any], function: Callable[[Any], Any]) -> Callable[..., Any]:
    """Return a function of an op's arguments that hands them on as one record."""

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        return function(record(*arguments, **named))

    return call


def sweeps_op(
    twin: Callable[[Any], torch.Tensor], record: Callable[..., Any], schema: str, package: str
) -> CustomOpDef:
    """Register an op that returns configurations after sweeps, by the name of its twin.

    Args:
        twin: sweeps the configurations of a record in place, and returns them.
        record: made of the op's arguments, configurations first.
        schema: of the op.
        package: that of the family, as in :func:`on_cpu`.
    """
    sweep = on_cpu(twin, package)

    def run(*arguments: Any) -> torch.Tensor:
        given = record(*arguments)
        # The result of an op may not be its input, as it would be after no sweep at all.
        after = given.configurations.clone(memory_format=torch.contiguous_format)
        result: torch.Tensor = sweep(given._replace(configurations=after))
        return result

    def fake(configurations: torch.Tensor, *others: Any) -> torch.Tensor:
        return configurations.new_empty(configurations.shape)

    op = custom_op(f"leaps_triton::{twin.__name__}", run, mutates_args=(), schema=schema)
    op.register_fake(fake)
    return op


def cluster_op(
    twin: Callable[[Any], Any], record: Callable[..., Any], schema: str, package: str
) -> CustomOpDef:
    """Register an op of cluster updates, by the name of its twin.

    It returns configurations, sizes of clusters and shares of sites that changed. Arguments are
    those of :func:`sweeps_op`.
    """

    def fake(configurations: torch.Tensor, *others: Any) -> tuple[torch.Tensor, ...]:
        after = configurations.new_empty(configurations.shape)
        walkers = len(configurations)
        size = configurations.new_empty(walkers, dtype=torch.float32)
        return after, size, torch.empty_like(size)

    run = taking(record, on_cpu(twin, package))
    op = custom_op(f"leaps_triton::{twin.__name__}", run, mutates_args=(), schema=schema)
    op.register_fake(fake)
    return op


PLAIN = (torch.Tensor, torch.nn.Parameter)
"""Types of tensors that hold their numbers themselves."""


def call(op: CustomOpDef, *arguments: Any) -> Any:
    """Call an op; on a CPU, where nobody looks on, without torch's dispatcher.

    The dispatcher of an op that is written in Python takes 30 µs, as long as the work on a small
    lattice.
    """
    if _alone() and all(map(_is_plain, arguments)):
        return op._init_fn(*arguments)
    return op(*arguments)


def _alone() -> bool:
    """Return whether nothing traces, transforms or counts the ops that are called."""
    # This first: a compiler follows no further.
    if torch.compiler.is_compiling():
        return False
    if torch._C._len_torch_dispatch_stack():
        return False
    return torch._C._functorch.peek_interpreter_stack() is None


def _is_plain(argument: Any) -> bool:
    """Return whether an argument is no tensor, or one on a CPU that no gradient goes through."""
    if not isinstance(argument, torch.Tensor):
        return True
    if type(argument) not in PLAIN or not argument.is_cpu:
        return False
    return not (argument.requires_grad and torch.is_grad_enabled())


def put_on_cuda(launchers: Callable[[], Launchers]) -> None:
    """Put kernels behind ops on CUDA devices, where Triton can be imported.

    Args:
        launchers: Imports the kernels, so that nothing needs Triton where there is none.
    """
    if MISSING is not None:
        return
    for op, launcher in launchers():
        op.register_kernel("cuda", launcher)
