"""Machine code of sweeps of eight sites a word and of cluster labels: short, and without fences."""

import os
from collections import Counter

import pytest

triton = pytest.importorskip("triton")

from leaps_triton.kernels.byte_sweeps.triton import SWEEPS  # noqa: E402
from leaps_triton.kernels.compiled.machine_code import instructions  # noqa: E402
from leaps_triton.kernels.labels.triton import SINGLE, UNION  # noqa: E402
from leaps_triton.kernels.variants import Variant  # noqa: E402

pytestmark = pytest.mark.skipif(
    os.environ.get("TRITON_INTERPRET") == "1",
    reason="the interpreter cannot compile; unset TRITON_INTERPRET",
)


def named(found: Counter[str], *beginnings: str) -> int:
    return sum(count for name, count in found.items() if name.startswith(beginnings))


@pytest.mark.parametrize("op", ["heat_bath", "metropolis"])
def test_sweeps_of_eight_sites_take_few_instructions(op: str) -> None:
    """One thread has eight sites: 453 to 462 instructions in all, 200 of them in a sweep."""
    found = instructions(SWEEPS[op, 2, "bytes", 32])
    assert found.total() - named(found, "NOP") <= 510
    # A sweep has eight thresholds and eight neighbouring words, and no number of float64.
    assert named(found, "LDG") <= 19
    assert named(found, "D", "F2F", "MUFU.EX2") == 0
    assert named(found, "MEMBAR", "LDL", "STL") == 0


@pytest.mark.parametrize(
    "variant", [SINGLE[2, 256], UNION["join", 2], UNION["roots",]], ids=["one", "join", "roots"]
)
def test_labels_fall_by_atomics_without_fences(variant: Variant) -> None:
    found = instructions(variant)
    assert named(found, "MEMBAR", "ERRBAR", "CCTL", "LDL", "STL") == 0
    assert named(found, "RED", "ATOM") > 0
