"""The machine code of compiled kernels: instructions, loops and fences."""

import re
import struct
from collections import Counter
from typing import NamedTuple

from triton import knobs

from ..variants import Variant
from .compiling import compile_variant, tool_output

__all__ = ["FENCE", "Loop", "instructions", "listing", "loop_instructions", "loops", "opcodes"]

WORD = 16
"""Bytes of an instruction, sm_70 and later."""
NOP = 0x918
"""The opcode that fills up the last cache line."""
FENCE = 0x9AB
"""The opcode of ``ERRBAR``, which follows each ``MEMBAR`` of the whole device and no other."""
LABEL = re.compile(r"^(\.L_\w+):", re.MULTILINE)
INSTRUCTION = re.compile(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z0-9_.]+)")
"""An address, perhaps a predicate, then the name."""
BRANCH = re.compile(r"\bBRA\b.*`\((\.L_\w+)\)")


class Loop(NamedTuple):
    """The instructions between a label and the last branch back to it, both counted."""

    label: str
    instructions: Counter[str]
    """How often each stands there, by name with modifiers."""
    innermost: bool
    """Whether there is no other loop in it."""

    @property
    def size(self) -> int:
        """Number of instructions."""
        return self.instructions.total()


def listing(variant: Variant, target: str, aligned: bool = True) -> str:
    """Compile a variant for ``sm_…`` and disassemble its machine code.

    Args:
        variant: What is compiled.
        target: The machine code's name.
        aligned: Whether all tensors begin at a multiple of 16 bytes.

    Raises:
        ValueError: If the target is not NVIDIA's.
        RuntimeError: If Triton runs as interpreter, or the binary cannot be read.
    """
    if not target.startswith("sm_"):
        raise ValueError(f"target must be one of NVIDIA's, such as sm_90, got {target!r}")
    compiled = compile_variant(variant, target, aligned)
    text = tool_output(compiled.asm["cubin"], knobs.nvidia.nvdisasm.path, "-c")
    if INSTRUCTION.search(text) is None:
        raise RuntimeError(f"nvdisasm printed no instruction but {text[:200]!r}")
    return text


def instructions(variant: Variant, target: str = "sm_90") -> Counter[str]:
    """Compile a variant for ``sm_…`` and count the instructions of its machine code.

    Returns:
        How often each stands in the code, by name with modifiers, such as ``LDG.E.U8``.

    Raises:
        ValueError: If the target is not NVIDIA's.
        RuntimeError: If Triton runs as interpreter, or the binary cannot be read.
    """
    return Counter(INSTRUCTION.findall(listing(variant, target)))


def loop_instructions(variant: Variant, target: str = "sm_90") -> list[Loop]:
    """Compile a variant for ``sm_…`` and count the instructions of each of its loops.

    Returns:
        The loops, largest first.

    Raises:
        ValueError: If the target is not NVIDIA's.
        RuntimeError: If Triton runs as interpreter, or the binary cannot be read.
    """
    return loops(listing(variant, target))


def loops(text: str) -> list[Loop]:
    """Return the loops of a disassembly, largest first.

    A loop is what lies between a label and the last branch back to it. Code that a compiler moved
    out of line, behind that branch, is not counted.
    """
    lines = text.splitlines()
    starts = _labels(lines)
    ends: dict[str, int] = {}
    for number, line in enumerate(lines):
        found = BRANCH.search(line)
        if found is not None and starts.get(found[1], number) < number:
            ends[found[1]] = number
    made = []
    for label, end in ends.items():
        start = starts[label]
        body = lines[start : end + 1]
        # A loop of one instruction stops what runs past the end.
        counts = Counter(INSTRUCTION.findall("\n".join(body)))
        if counts.total() < 2:
            continue
        inner = [other for other in ends if start < starts[other] and ends[other] <= end]
        made.append(Loop(label, counts, not inner))
    return sorted(made, key=lambda loop: -loop.size)


def _labels(lines: list[str]) -> dict[str, int]:
    """Return the line of each label."""
    found = ((number, LABEL.match(line)) for number, line in enumerate(lines))
    return {match[1]: number for number, match in found if match is not None}


def opcodes(cubin: bytes) -> Counter[int]:
    """Count the instructions of a binary by the 12 bits of their opcode, without a disassembler.

    That takes a thousandth of the time of :func:`instructions`. What fills up the end is left out.

    Raises:
        RuntimeError: If the binary has no code.
    """
    found: Counter[int] = Counter()
    for name, body in _sections(cubin):
        if not name.startswith(".text."):
            continue
        for (word,) in struct.iter_unpack("<Q8x", body):
            found[word & 0xFFF] += 1
    found.pop(NOP, None)
    if not found:
        raise RuntimeError("the binary has no section of machine code")
    return found


def _sections(elf: bytes) -> list[tuple[str, bytes]]:
    """Return the sections of an ELF file of 64 bits, by name."""
    # Where the headers of sections begin, their size and number, and which holds the names.
    (table,) = struct.unpack_from("<Q", elf, 0x28)
    size, count, names = struct.unpack_from("<3H", elf, 0x3A)
    headers = []
    for i in range(count):
        # Of a header: place of the name, kind, then place and length of the contents.
        headers.append(struct.unpack_from("<II16xQQ", elf, table + i * size))
    _, _, start, length = headers[names]
    texts = elf[start : start + length]
    found = []
    for place, kind, begin, extent in headers:
        name = texts[place : texts.index(b"\0", place)].decode()
        # Kind 8 has no contents in the file.
        if kind != 8:
            found.append((name, elf[begin : begin + extent]))
    return found
