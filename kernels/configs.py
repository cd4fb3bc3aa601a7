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
    registers: int | None = None
    """Most per thread, where the compiler's own choice spills some; None for that choice."""


WHOLE = {"WHOLE": 8192, "ROWS": 132, "PROGRAMS": 1056}
"""Lattices of more words of a colour, in fewer rows, are cut in tiles for so many programs."""
MANY = {"ROWS": 512}
"""So many rows keep a device busy with small programs."""
QUADS = (
    Config(4, {"QUAD": 1, "BLOCK": 128, "HELD": 1}, WHOLE),
    Config(4, {"QUAD": 4, "BLOCK": 512, "HELD": 1}, registers=128),
    Config(16, {"QUAD": 4, "BLOCK": 2048, "HELD": 1}, MANY),
)
"""Configurations of packed sweeps, whose threads have four words as one load.

Where lines of words are odd, or lattices small, a thread has one word; where there are few rows of
words a program has as many threads as fit.
"""
PAIRS = (
    Config(4, {"QUAD": 1, "BLOCK": 128, "HELD": 0}, WHOLE),
    Config(4, {"QUAD": 2, "BLOCK": 256, "HELD": 0}),
    Config(8, {"QUAD": 2, "BLOCK": 512, "HELD": 0}, MANY),
)
"""Those where thresholds are too many for registers, with two words a thread."""
CONFIGS: dict[tuple[str | int, ...], tuple[Config, ...]] = {
    # Two sites a thread, so that four directions with tables fit the registers.
    ("energies",): (Config(4, {"BLOCK": 256}, {"CHUNK": 16384}),),
    ("gathered",): (Config(4, {"BLOCK": 256}, {"CHUNK": 16384}),),
    ("gathered_sweeps",): (Config(4, {"BLOCK": 256}), Config(8, {"BLOCK": 1024})),
    # Two sites a thread: fields of several states, and of float64, need more registers.
    ("gathered_sweeps", "heat_bath", "general"): (
        Config(4, {"BLOCK": 256}),
        Config(8, {"BLOCK": 512}, registers=96),
    ),
    ("gathered_sweeps", "metropolis", "general"): (
        Config(4, {"BLOCK": 256}),
        Config(8, {"BLOCK": 512}),
    ),
    ("gathered_sweeps", "overrelaxation"): (
        Config(4, {"BLOCK": 256}, registers=128),
        Config(8, {"BLOCK": 512}, registers=128),
    ),
    ("proposals",): (Config(4, {"BLOCK": 1024}, {"CHUNK": 16384}),),
    ("proposals", "inward", "float32"): (Config(4, {"BLOCK": 1024}, registers=112),),
    ("proposals", "inward", "float64"): (Config(4, {"BLOCK": 1024}, registers=168),),
    # Half as many sites a thread: probabilities in float64 keep more at hand.
    ("proposals", "heat_bath", "float32"): (Config(4, {"BLOCK": 512}, registers=96),),
    ("proposals", "heat_bath", "float64"): (Config(4, {"BLOCK": 512}, registers=128),),
    ("jumps",): (Config(1, {"BLOCK": 256}), Config(8, {"BLOCK": 2048})),
    ("jumps", "running"): (
        Config(1, {"BLOCK": 256}),
        Config(8, {"BLOCK": 2048}, registers=168),
    ),
    ("class_jumps",): (Config(4, {"BLOCK": 512, "EVENTS": 128}),),
    ("class_jumps", "running"): (Config(4, {"BLOCK": 512, "EVENTS": 128}, registers=168),),
    ("leaps",): (Config(4, {"BLOCK": 256}, {"CHUNK": 4096}),),
    ("leaps", "step", "float64"): (Config(4, {"BLOCK": 256}, registers=96),),
    # Two sites a thread in float64, whose sums take two registers each.
    ("lattice_fields",): (Config(4, {"BLOCK": 256}, {"CHUNK": 16384}),),
    ("normal_numbers",): (Config(4, {"BLOCK": 128}),),
    ("labels",): (Config(4, {"BLOCK": 256}), Config(8, {"BLOCK": 1024})),
    # One warp a program where loops end with the last site of a block: it waits for no other.
    ("labels", "runs"): (Config(4, {"BLOCK": 1024}),),
    ("labels", "join"): (Config(1, {"BLOCK": 128}, registers=96),),
    ("labels", "roots"): (Config(1, {"BLOCK": 128}),),
    # One or two sites a thread. A proposal of several states needs more registers: one site then.
    ("site_sweeps", "heat_bath", "binary uniform"): (
        Config(4, {"BLOCK": 256}),
        Config(16, {"BLOCK": 1024}, registers=128),
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
        Config(4, {"BLOCK": 256}, registers=96),
        Config(16, {"BLOCK": 1024}),
    ),
    ("site_sweeps", "metropolis", "binary"): (
        Config(4, {"BLOCK": 256}),
        Config(16, {"BLOCK": 1024}),
    ),
    ("site_sweeps", "metropolis", "general"): (
        Config(8, {"BLOCK": 256}, registers=96),
        Config(16, {"BLOCK": 512}),
    ),
    ("site_sweeps", "overrelaxation", "general"): (Config(8, {"BLOCK": 256}, registers=168),),
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
    ("packed_sweeps", "rows"): (Config(8, {"BLOCK": 4096}),),
    ("packed_sweeps", "thresholds"): (Config(4, {}, registers=128),),
    ("packed_sweeps", "signs", "walkers"): (Config(4, {"BLOCK": 256}),),
    ("packed_sweeps", "signs", "columns"): (Config(4, {"BLOCK": 32}),),
    # One int32 of four sites a thread, and as many walkers in flight as a word has lanes.
    ("packed_sweeps", "pack", "walkers"): (Config(4, {"BLOCK": 128}),),
    ("packed_sweeps", "pack", "columns"): (Config(4, {"BLOCK": 64}),),
    ("packed_sweeps", "heat_bath", "plain"): QUADS,
    ("packed_sweeps", "heat_bath", "signs"): QUADS,
    ("packed_sweeps", "heat_bath", "field"): PAIRS,
    ("packed_sweeps", "metropolis", "plain"): QUADS,
    ("packed_sweeps", "metropolis", "signs"): QUADS,
    ("packed_sweeps", "metropolis", "field"): PAIRS,
    ("convolutions", "forward"): (
        Config(8, {"SITES": 64, "TAPS": 32, "INPUTS": 32}, {"GROUP": 4}),
    ),
    ("convolutions", "activations"): (Config(8, {"SITES": 64, "TAPS": 32, "INPUTS": 32}),),
    ("convolutions", "parameters"): (
        Config(8, {"SITES": 64, "TAPS": 32, "INPUTS": 32}, {"CHUNKS": 16}, stages=1),
    ),
    # Products of this precision are made of single multiplications, and keep more at hand.
    ("convolutions", "parameters", "float32"): (
        Config(16, {"SITES": 64, "TAPS": 32, "INPUTS": 32}, {"CHUNKS": 16}, stages=1),
    ),
    ("convolutions", "source"): (Config(8, {"SITES": 16, "TAPS": 32, "INPUTS": 32}),),
    ("hollow_network", "prepare"): (Config(4, {"BLOCK": 256}),),
    # By hidden width, as many sites as leave no register spilled. One stage: what a second one
    # loads ahead takes the registers that the products need.
    ("hollow_network", "forward", 16): (Config(8, {"ROWS": 64}, stages=1),),
    ("hollow_network", "forward", 32): (Config(8, {"ROWS": 64}, stages=1),),
    ("hollow_network", "forward", 64): (Config(8, {"ROWS": 64}, stages=1),),
    ("hollow_network", "forward", 128): (Config(8, {"ROWS": 32}, stages=1),),
    ("hollow_network", "forward", 16, "float32"): (
        Config(8, {"ROWS": 64}, stages=1, registers=96),
    ),
    ("hollow_network", "forward", 64, "float32"): (
        Config(8, {"ROWS": 64}, stages=1, registers=168),
    ),
    # Going back, a program keeps more activations.
    ("hollow_network", "backward", 16): (Config(8, {"ROWS": 64}, stages=1),),
    ("hollow_network", "backward", 32): (Config(8, {"ROWS": 64}, stages=1),),
    ("hollow_network", "backward", 64): (Config(8, {"ROWS": 32}, stages=1),),
    ("hollow_network", "backward", 128): (Config(8, {"ROWS": 16}, stages=1),),
    ("hollow_network", "backward", 64, "tf32"): (Config(8, {"ROWS": 32}, stages=1, registers=144),),
    ("hollow_network", "weights"): (Config(4, {"ROWS": 32}, {"SPLIT": 4096}, stages=1),),
    ("hollow_network", "weights", "tf32x3"): (
        Config(4, {"ROWS": 32}, {"SPLIT": 4096}, stages=1, registers=128),
    ),
    # Whole fields of several walkers, eight numbers of each a thread.
    ("trajectories",): (
        Config(1, {"SITES": 16, "WALKERS": 16}),
        Config(4, {"SITES": 64, "WALKERS": 16}, registers=224),
        Config(8, {"SITES": 128, "WALKERS": 16}, registers=224),
        Config(8, {"SITES": 256, "WALKERS": 8}, registers=224),
    ),
    ("parity_maps", 16): (Config(4, {"ROWS": 32}, stages=1),),
    ("parity_maps", 32): (Config(4, {"ROWS": 32}, stages=1),),
    ("parity_maps", 64): (Config(8, {"ROWS": 32}, stages=1, registers=128),),
}
"""Configurations by family, kernel, and what else its compilation depends on.

A longer key goes before a shorter one that it begins with. Where a number of registers is given,
the compiler's own choice, which is for many programs at a time, spills some in one of the versions
of Triton that are looked at.
"""


def configs(*key: str | int) -> tuple[Config, ...]:
    """Return all configurations of a kernel, for small lattices first.

    Raises:
        KeyError: If there are none.
    """
    # What the whole key has none for is like all others that share its beginning.
    for length in range(len(key), 0, -1):
        if key[:length] in CONFIGS:
            return CONFIGS[key[:length]]
    raise KeyError(key)


def config(*key: str | int) -> Config:
    """Return the configuration of a kernel that has one.

    Raises:
        KeyError: If there is none.
    """
    (only,) = configs(*key)
    return only


FREE: dict[str, tuple[str, ...]] = {
    "energies": ("BLOCK",),
    "proposals": ("BLOCK",),
    "jumps": ("BLOCK",),
    "class_jumps": ("BLOCK",),
    "leaps": ("BLOCK",),
    "lattice_fields": ("BLOCK",),
    "hollow_network": ("BLOCK", "ROWS"),
}
"""By family, sizes that a tuner may choose: its launchers go by no other number of programs, or ask
:func:`.tuning.cache.tuned` first. Warps and stages may be chosen of every kernel."""
