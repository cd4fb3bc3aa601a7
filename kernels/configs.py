"""Launch configurations of all kernels in one table, at hand for a tuner.

A configuration changes how fast a kernel is, never what it gives but for the order of its sums.
Where an op has several, they stand in increasing order of the lattice they suit. The families make
one variant of each, see :mod:`.variants`; none depends on the device yet.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

__all__ = ["CONFIGS", "Config", "config", "configs"]


class Config(NamedTuple):
    """How one kernel is compiled and launched."""

    warps: int
    """Groups of 32 threads (NVIDIA) or 64 (AMD) of a program."""
    constants: Mapping[str, int]
    """Sizes that the kernel is compiled with, by the name of its argument."""
    launch: Mapping[str, int] = MappingProxyType({})
    """Sizes that it is given at each launch, or that its launcher goes by."""
    stages: int | None = None
    """Blocks that a loop loads ahead; None for the compiler's own number."""


CONFIGS: dict[tuple[str | int, ...], tuple[Config, ...]] = {
    # Two sites a thread, so that four directions with tables fit the registers.
    ("energies",): (Config(4, {"BLOCK": 256}, {"CHUNK": 16384}),),
    ("proposals",): (Config(4, {"BLOCK": 1024}, {"CHUNK": 16384}),),
    ("jumps",): (Config(1, {"BLOCK": 256}), Config(8, {"BLOCK": 2048})),
    ("class_jumps",): (Config(4, {"BLOCK": 512, "EVENTS": 128}),),
    ("leaps",): (Config(4, {"BLOCK": 256}, {"CHUNK": 4096}),),
    ("labels",): (Config(4, {"BLOCK": 256}), Config(8, {"BLOCK": 1024})),
    # One warp a program where loops end with the last site of a block: it waits for no other.
    ("labels", "runs"): (Config(4, {"BLOCK": 1024}),),
    ("labels", "join"): (Config(1, {"BLOCK": 128}),),
    ("labels", "roots"): (Config(1, {"BLOCK": 128}),),
    # One or two sites a thread. A proposal of several states needs more registers: one site then.
    ("site_sweeps", "heat_bath", "binary uniform"): (
        Config(4, {"BLOCK": 256}),
        Config(16, {"BLOCK": 1024}),
    ),
    ("site_sweeps", "heat_bath", "binary"): (
        Config(4, {"BLOCK": 256}),
        Config(16, {"BLOCK": 1024}),
    ),
    ("site_sweeps", "heat_bath", "general"): (
        Config(4, {"BLOCK": 256}),
        Config(8, {"BLOCK": 512}),
    ),
    ("site_sweeps", "metropolis", "binary uniform"): (
        Config(4, {"BLOCK": 256}),
        Config(16, {"BLOCK": 1024}),
    ),
    ("site_sweeps", "metropolis", "binary"): (
        Config(4, {"BLOCK": 256}),
        Config(16, {"BLOCK": 1024}),
    ),
    ("site_sweeps", "metropolis", "general"): (
        Config(8, {"BLOCK": 256}),
        Config(16, {"BLOCK": 512}),
    ),
    # Groups of eight sites; tiles of large lattices make some sweeps before others need theirs.
    ("site_sweeps", "bytes"): (
        Config(1, {"BLOCK": 32}),
        Config(4, {"BLOCK": 128}),
        Config(16, {"BLOCK": 512}),
        Config(16, {"BLOCK": 1024}, {"SWEEPS": 4}),
    ),
    ("site_sweeps", "colours"): (Config(4, {"BLOCK": 128}),),
    ("site_sweeps", "words"): (Config(4, {"BLOCK": 512}),),
    ("site_sweeps", "thresholds"): (Config(1, {"BLOCK": 32}),),
    ("site_sweeps", "overrelaxation", "general"): (Config(8, {"BLOCK": 256}),),
    ("convolutions", "forward"): (
        Config(8, {"SITES": 64, "TAPS": 32, "INPUTS": 32}, {"GROUP": 4}),
    ),
    ("convolutions", "activations"): (Config(8, {"SITES": 64, "TAPS": 32, "INPUTS": 32}),),
    ("convolutions", "parameters"): (
        Config(8, {"SITES": 64, "TAPS": 32, "INPUTS": 32}, {"CHUNKS": 16}),
    ),
    ("convolutions", "source"): (Config(8, {"SITES": 16, "TAPS": 32, "INPUTS": 32}),),
    ("hollow_network", "prepare"): (Config(4, {"BLOCK": 256}),),
    # By hidden width, as many sites as leave no register spilled. One stage: what a second one
    # loads ahead takes the registers that the products need.
    ("hollow_network", "forward", 16): (Config(8, {"ROWS": 64}, stages=1),),
    ("hollow_network", "forward", 32): (Config(8, {"ROWS": 64}, stages=1),),
    ("hollow_network", "forward", 64): (Config(8, {"ROWS": 64}, stages=1),),
    ("hollow_network", "forward", 128): (Config(8, {"ROWS": 32}, stages=1),),
    # Going back, a program keeps more activations.
    ("hollow_network", "backward", 16): (Config(8, {"ROWS": 64}, stages=1),),
    ("hollow_network", "backward", 32): (Config(8, {"ROWS": 64}, stages=1),),
    ("hollow_network", "backward", 64): (Config(8, {"ROWS": 32}, stages=1),),
    ("hollow_network", "backward", 128): (Config(8, {"ROWS": 16}, stages=1),),
    ("hollow_network", "weights"): (Config(4, {"ROWS": 32}, {"SPLIT": 4096}, stages=1),),
}
"""Configurations by family, kernel, and what else its compilation depends on."""


def configs(*key: str | int) -> tuple[Config, ...]:
    """Return all configurations of a kernel, for small lattices first."""
    return CONFIGS[key]


def config(*key: str | int) -> Config:
    """Return the configuration of a kernel that has one."""
    (only,) = CONFIGS[key]
    return only
