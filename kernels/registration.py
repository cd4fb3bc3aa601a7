"""Registration of the ops as ``torch.ops.leaps_triton``: kernels on CUDA devices, twins elsewhere.

Each family's ``op.py`` registers its ops with torch and hands its launchers to :func:`put_on_cuda`.
"""

import functools
import importlib
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch.library import CustomOpDef

__all__ = ["MISSING", "Launchers", "backend", "put_on_cuda", "taking"]

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


def backend(device: torch.device) -> str:
    """Say in words what runs the ops on ``device``."""
    if device.type != "cuda":
        return f"plain torch on {device.type}"
    if MISSING is not None:
        return f"plain torch on {device.type}, since Triton cannot be imported: {MISSING}"
    return f"Triton kernels on {device.type}"


def taking(record: Callable[..., Any], function: Callable[[Any], Any]) -> Callable[..., Any]:
    """Return a function of an op's arguments that hands them on as one record."""

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        return function(record(*arguments, **named))

    return call


def put_on_cuda(launchers: Callable[[], Launchers]) -> None:
    """Put kernels behind ops on CUDA devices, where Triton can be imported.

    Args:
        launchers: Imports the kernels, so that nothing needs Triton where there is none.
    """
    if MISSING is not None:
        return
    for op, launcher in launchers():
        op.register_kernel("cuda", launcher)
