"""A watch over what makes a device other than a CPU wait for the host, or the host for it.

Tensors on torch's device ``meta`` have shapes and types, and no numbers: code for GPUs runs on them
without one, and whatever needs a number fails there.
"""

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

META = torch.device("meta")
"""Stands for a GPU."""

WAITS = (
    "_local_scalar_dense", "nonzero", "bincount", "masked_select", "_unique2", "unique_dim",
    "repeat_interleave", "equal",
)  # fmt: skip
"""Ops whose result, or its shape, the host has to wait for."""


def devices(values: Any) -> set[torch.device]:
    """Return the devices of all tensors among arguments."""
    found: set[torch.device] = set()
    for value in values:
        if isinstance(value, torch.Tensor):
            found.add(value.device)
        elif isinstance(value, list | tuple):
            found |= devices(value)
    return found


class Watch(TorchDispatchMode):
    """Notes what moves numbers between devices, and what makes the host wait for them."""

    def __init__(self) -> None:
        super().__init__()
        self.moves: list[str] = []
        self.waits: list[str] = []
        self.ops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func.name().partition("::")[2].partition(".")[0]
        self.ops += 1
        target = kwargs.get("device")
        if name == "_to_copy" and target is not None and devices(args) != {torch.device(target)}:
            self.moves.append(name)
        if name == "copy_" and len(devices(args)) > 1:
            self.moves.append(name)
        if name in WAITS:
            self.waits.append(name)
        return func(*args, **kwargs)
