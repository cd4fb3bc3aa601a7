"""Compilation of the kernels ahead of time, without a GPU, and what their binaries use."""

import re
import subprocess
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import triton
from triton import knobs
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from .class_jumps.triton import VARIANTS as LOCAL_JUMP
from .convolutions.triton import VARIANTS as HOLLOW_CONV
from .convolutions.triton_gradient import VARIANTS as HOLLOW_CONV_GRADIENT
from .energies.triton import VARIANTS as LOCAL_ENERGY
from .energies.triton_entering import VARIANTS as ENTERING
from .hollow_network.triton import VARIANTS as HOLLOW_VALUES
from .hollow_network.triton_gradient import VARIANTS as HOLLOW_VALUES_GRADIENT
from .jumps.triton import VARIANTS as JUMP
from .labels.triton import VARIANTS as CLUSTERS
from .leaps.triton import VARIANTS as TAU_LEAP
from .proposals.triton import VARIANTS as RATES
from .site_sweeps.triton import VARIANTS as SWEEPS
from .variants import Variant

__all__ = ["OTHER_TARGETS", "TARGET", "Resources", "instructions", "measure", "others", "variants"]

TARGET = "sm_90"
"""Every variant is compiled for this one."""
OTHER_TARGETS = ("sm_80", "sm_100", "gfx942")
"""One variant of each kernel is compiled for these."""


class Resources(NamedTuple):
    """What one program of a compiled kernel uses."""

    registers: int
    """Vector registers per thread."""
    spills: int
    """Bytes (NVIDIA) or registers (AMD) per thread that did not fit and went to memory"""
    shared: int
    """Bytes of shared memory per program."""


def variants() -> dict[str, Variant]:
    """Return every variant that a launcher can choose, by name."""
    tables: dict[str, dict[Any, Variant]] = {
        "local_energy": LOCAL_ENERGY | ENTERING,
        "rates": RATES,
        "jump": JUMP,
        "local_jump": LOCAL_JUMP,
        "sweeps": SWEEPS,
        "hollow_conv": HOLLOW_CONV | HOLLOW_CONV_GRADIENT,
        "hollow_values": HOLLOW_VALUES | HOLLOW_VALUES_GRADIENT,
        "tau_leap": TAU_LEAP,
        "clusters": CLUSTERS,
    }
    return {
        " ".join([family, *(str(part).removeprefix("torch.") for part in key)]): variant
        for family, table in tables.items()
        for key, variant in table.items()
    }


def others() -> dict[str, Variant]:
    """Return the last variant of each kernel, and of each op that a kernel serves."""
    ops = ("OP", "LOG_RATIOS")
    # A later variant of the same kernel and op takes the place of an earlier one.
    last = {
        (variant.kernel.fn.__name__, *map(variant.constants.get, ops)): name
        for name, variant in variants().items()
    }
    return {name: variants()[name] for name in last.values()}


def _target(name: str) -> GPUTarget:
    # The last number is that of the threads of a warp.
    if name.startswith("sm_"):
        return GPUTarget("cuda", int(name[3:]), 32)
    return GPUTarget("hip", name, 64)


def _compile(variant: Variant, target: str) -> Any:
    if knobs.runtime.interpret:
        raise RuntimeError("TRITON_INTERPRET is set, and the interpreter cannot compile; unset it")
    # As a launch would, but from types alone and for a device that need not be there.
    source = ASTSource(variant.kernel, variant.signature, constexprs=variant.constants)
    return triton.compile(source, target=_target(target), options=variant.options)


def _read(cubin: bytes, tool: str, *options: str) -> str:
    """Return what one of the tools that Triton brings says of a binary."""
    with tempfile.TemporaryDirectory() as folder:
        binary = Path(folder, "kernel.cubin")
        binary.write_bytes(cubin)
        command = [tool, *options, str(binary)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def measure(variant: Variant, target: str = TARGET) -> Resources:
    """Compile a variant for ``sm_…`` or ``gfx…`` and read its resources from the binary.

    Raises:
        RuntimeError: If Triton runs as interpreter, or the binary cannot be read.
    """
    compiled = _compile(variant, target)
    if "amdgcn" in compiled.asm:
        found = dict(re.findall(r"\.(\w+):\s+(\d+)", compiled.asm["amdgcn"]))
        # Scalar registers are spilled too.
        spills = int(found["vgpr_spill_count"]) + int(found["sgpr_spill_count"])
        shared = int(found["group_segment_fixed_size"])
        return Resources(int(found["vgpr_count"]), spills, shared)
    usage = _read(compiled.asm["cubin"], knobs.nvidia.cuobjdump.path, "-res-usage")
    found = dict(re.findall(r"(REG|STACK|LOCAL):(\d+)", usage))
    if len(found) < 3:
        raise RuntimeError(
            f"cuobjdump -res-usage printed no registers, stack and local memory but {usage!r}"
        )
    # What does not fit the registers lies on the stack or in local memory.
    spills = int(found["STACK"]) + int(found["LOCAL"])
    # Shared memory is asked for at the launch, so that the binary does not tell.
    return Resources(int(found["REG"]), spills, compiled.metadata.shared)


def instructions(variant: Variant, target: str = TARGET) -> Counter[str]:
    """Compile a variant for ``sm_…`` and count the instructions of its machine code.

    Returns:
        How often each stands in the code, by name with modifiers, such as ``LDG.E.U8``.

    Raises:
        ValueError: If the target is not NVIDIA's.
        RuntimeError: If Triton runs as interpreter, or the binary cannot be read.
    """
    if not target.startswith("sm_"):
        raise ValueError(f"target must be one of NVIDIA's, such as sm_90, got {target!r}")
    compiled = _compile(variant, target)
    listing = _read(compiled.asm["cubin"], knobs.nvidia.nvdisasm.path, "-c")
    # An address, perhaps a predicate, then the name.
    found = Counter(re.findall(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z0-9_.]+)", listing))
    if not found:
        raise RuntimeError(f"nvdisasm printed no instruction but {listing[:200]!r}")
    return found
