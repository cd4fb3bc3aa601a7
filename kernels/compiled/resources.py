"""Every variant of every kernel, and what its binary uses."""

import re
from typing import Any, NamedTuple

from triton import knobs

from ..class_jumps.triton import VARIANTS as LOCAL_JUMP
from ..convolutions.triton import VARIANTS as HOLLOW_CONV
from ..convolutions.triton_gradient import VARIANTS as HOLLOW_CONV_GRADIENT
from ..energies.triton import VARIANTS as LOCAL_ENERGY
from ..energies.triton_entering import VARIANTS as ENTERING
from ..gathered.triton import VARIANTS as GRAPH_ENERGY
from ..gathered_sweeps.triton import VARIANTS as GRAPH_SWEEPS
from ..hollow_network.triton import VARIANTS as HOLLOW_VALUES
from ..hollow_network.triton_gradient import VARIANTS as HOLLOW_VALUES_GRADIENT
from ..jumps.triton import VARIANTS as JUMP
from ..labels.triton import VARIANTS as CLUSTERS
from ..lattice_fields.triton import VARIANTS as LATTICE_FIELDS
from ..leaps.triton import VARIANTS as TAU_LEAP
from ..normal_numbers.triton import VARIANTS as NORMALS
from ..packed_sweeps.triton import VARIANTS as PACKED_SWEEPS
from ..parity_maps.triton import VARIANTS as PARITY_MAPS
from ..proposals.triton import VARIANTS as RATES
from ..site_sweeps.triton import VARIANTS as SWEEPS
from ..trajectories.triton import VARIANTS as TRAJECTORIES
from ..variants import Variant
from .compiling import compile_variant, tool_output
from .machine_code import FENCE, opcodes

__all__ = ["OTHER_TARGETS", "TARGET", "Resources", "cases", "measure", "others", "variants"]

TARGET = "sm_90"
"""Every variant is compiled for this one."""
OTHER_TARGETS = ("sm_80", "sm_100", "gfx942")
"""One variant of each kernel is compiled for these."""


class Resources(NamedTuple):
    """What one program of a compiled kernel uses."""

    registers: int
    """Vector registers per thread."""
    spills: int
    """Bytes per thread that did not fit the registers and went to memory."""
    shared: int
    """Bytes of shared memory per program."""
    instructions: int
    """Of the machine code, but for those that fill up its end."""
    fences: int
    """Instructions that wait until other programs can see what was stored."""


def variants() -> dict[str, Variant]:
    """Return every variant that a launcher can choose, by name."""
    tables: dict[str, dict[Any, Variant]] = {
        "local_energy": LOCAL_ENERGY | ENTERING,
        "rates": RATES,
        "jump": JUMP,
        "local_jump": LOCAL_JUMP,
        "sweeps": SWEEPS,
        "packed_sweeps": PACKED_SWEEPS,
        "hollow_conv": HOLLOW_CONV | HOLLOW_CONV_GRADIENT,
        "hollow_values": HOLLOW_VALUES | HOLLOW_VALUES_GRADIENT,
        "parity_maps": PARITY_MAPS,
        "tau_leap": TAU_LEAP,
        "clusters": CLUSTERS,
        "lattice_fields": LATTICE_FIELDS,
        "normals": NORMALS,
        "trajectories": TRAJECTORIES,
        "graph_energy": GRAPH_ENERGY,
        "graph_sweeps": GRAPH_SWEEPS,
    }
    return {
        " ".join([family, *(str(part).removeprefix("torch.") for part in key)]): variant
        for family, table in tables.items()
        for key, variant in table.items()
    }


def others() -> dict[str, Variant]:
    """Return the last variant of each kernel, and of each op that a kernel serves."""
    ops = ("OP", "MOVE", "LOG_RATIOS")
    # A later variant of the same kernel and op takes the place of an earlier one.
    last = {
        (variant.kernel.fn.__name__, *map(variant.constants.get, ops)): name
        for name, variant in variants().items()
    }
    return {name: variants()[name] for name in last.values()}


def cases() -> list[tuple[str, str]]:
    """Return every variant and target that are measured, by name, in the order of the table."""
    chosen = others()
    found = []
    for name in variants():
        found.append((name, TARGET))
        if name in chosen:
            found += [(name, target) for target in OTHER_TARGETS]
    return found


def measure(variant: Variant, target: str = TARGET) -> Resources:
    """Compile a variant for ``sm_…`` or ``gfx…`` and read its resources from the binary.

    Raises:
        RuntimeError: If Triton runs as interpreter, or the binary cannot be read.
    """
    compiled = compile_variant(variant, target)
    if "amdgcn" in compiled.asm:
        return _of_amd(compiled.asm["amdgcn"])
    usage = tool_output(compiled.asm["cubin"], knobs.nvidia.cuobjdump.path, "-res-usage")
    found = dict(re.findall(r"(REG|STACK|LOCAL):(\d+)", usage))
    if len(found) < 3:
        raise RuntimeError(
            f"cuobjdump -res-usage printed no registers, stack and local memory but {usage!r}"
        )
    # What does not fit the registers lies on the stack or in local memory.
    spills = int(found["STACK"]) + int(found["LOCAL"])
    codes = opcodes(compiled.asm["cubin"])
    # Shared memory is asked for at the launch, so that the binary does not tell.
    shared = compiled.metadata.shared
    return Resources(int(found["REG"]), spills, shared, codes.total(), codes[FENCE])


def _of_amd(text: str) -> Resources:
    """Read the resources from the text of AMD's machine code."""
    found = dict(re.findall(r"\.(\w+):\s+(\d+)", text))
    # Scalar registers that do not fit lie in vector registers, which are counted.
    spills = int(found["private_segment_fixed_size"])
    shared = int(found["group_segment_fixed_size"])
    # Instructions have an underscore in their name; directives of the assembler begin with a dot.
    codes = re.findall(r"^\s+([a-z][a-z0-9]*_\w+)", text, re.MULTILINE)
    # Caches written back, or no longer believed in.
    fences = sum(code in ("buffer_wbl2", "buffer_inv") for code in codes)
    return Resources(int(found["vgpr_count"]), spills, shared, len(codes), fences)
