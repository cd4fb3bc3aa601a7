"""Machine code of packed sweeps: what 32 spins cost, and that nothing leaves the registers.

The loop over blocks of a colour is all that a large lattice pays for. On a device of 132
multiprocessors at 1.98 GHz, each with four warps a clock of any instruction and two of logic, 225
instructions of which 140 are logic make at most 3800 flips a nanosecond.
"""

import os
from collections import Counter

import pytest

pytest.importorskip("triton")

from leaps_triton.kernels.compiled.machine_code import INSTRUCTION, listing, loops
from leaps_triton.kernels.packed_sweeps.triton import VARIANTS

pytestmark = pytest.mark.skipif(
    os.environ.get("TRITON_INTERPRET") == "1",
    reason="the interpreter cannot compile; unset TRITON_INTERPRET",
)

LARGEST = 225
"""Instructions per 32 spins of the heat bath without field at one coupling."""
MEASURED = {
    ("heat_bath", "plain", 128): 244.0,
    ("heat_bath", "plain", 512): 203.0,
    ("heat_bath", "plain", 2048): 203.2,
    ("heat_bath", "signs", 512): 213.5,
    ("heat_bath", "field", 256): 311.5,
    ("metropolis", "plain", 512): 212.0,
    ("metropolis", "signs", 512): 219.8,
    ("metropolis", "field", 256): 449.5,
}
"""Instructions per 32 spins, Triton 3.7.1. With blocks of 128 a thread has one word."""
WIDTHS = {1: "E", 2: "E.64", 4: "E.128"}
"""How an access to so many words is named."""


def inner_loop(text: str) -> Counter[str]:
    """Return the instructions of the loop over blocks: the innermost one that stores."""
    found = [loop.instructions for loop in loops(text) if loop.innermost]
    (stores,) = (each for each in found if any(name.startswith("STG") for name in each))
    return stores


@pytest.mark.parametrize(("op", "kind", "block"), list(MEASURED))
def test_a_block_keeps_within_its_budget(op: str, kind: str, block: int) -> None:
    variant = VARIANTS[op, kind, block]
    quad = variant.constants["QUAD"]
    text = listing(variant, "sm_90")
    # What does not fit the registers would be stored and loaded locally; fences wait for a device.
    every = Counter(INSTRUCTION.findall(text))
    assert not [name for name in every if name.startswith(("LDL", "STL", "MEMBAR"))]
    inner = inner_loop(text)
    # A warp has 32 threads, and a word 32 spins.
    words = block / (32 * variant.warps)
    spent = inner.total() / words
    assert spent <= 1.1 * MEASURED[op, kind, block]
    if quad == 4 and (op, kind) == ("heat_bath", "plain"):
        assert spent <= LARGEST
    # Three lines of the other colour, the own one for Metropolis, and four directions of signs.
    accesses = 3
    if op == "metropolis":
        accesses += 1
    if kind != "plain":
        accesses += 4
    assert inner[f"LDG.{WIDTHS[quad]}"] >= accesses
    assert {name: count for name, count in inner.items() if name.startswith("STG")} == {
        f"STG.{WIDTHS[quad]}": 1
    }
    if quad > 1:
        # The word beside a quad. Thresholds are in registers, or come two bits at once.
        assert inner["LDG.E"] == 1
    if variant.constants["HELD"]:
        assert sum(inner[name] for name in inner if name.startswith("LDG")) == accesses + 1
