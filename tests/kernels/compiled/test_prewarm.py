"""What is compiled ahead of time is what a launch looks up: a fake driver instead of a GPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")

from leaps_triton.kernels.compiled import resources
from leaps_triton.kernels.compiled.prewarm import prewarm

pytestmark = pytest.mark.skipif(
    os.environ.get("TRITON_INTERPRET") == "1",
    reason="the interpreter cannot compile; unset TRITON_INTERPRET",
)

NAMES = (
    "jump 256 float32",
    "rates forward True None float32",
    "sweeps overrelaxation 1 general 256",
    "local_jump",
    "hollow_values prepare binary",
    "clusters 1 256",
)

# A driver that answers what a launcher asks, in a process of its own, since it stays active.
LAUNCH = """
import sys
from pathlib import Path
import torch
from triton.backends.compiler import GPUTarget
from triton.runtime import driver
from leaps_triton.kernels.compiled.resources import variants

class Utils:
    def get_device_properties(self, device):
        return {"max_shared_mem": 232448, "multiprocessor_count": 132, "warpSize": 32}

class Driver:
    utils = Utils()
    binary_ext = "cubin"
    def get_current_device(self): return 0
    def get_current_stream(self, device): return 0
    def get_current_target(self): return GPUTarget("cuda", 90, 32)

class Tensor:
    def __init__(self, dtype, address): self.dtype, self.address = dtype, address
    def data_ptr(self): return self.address

driver.set_active(Driver())
cache = Path(sys.argv[1])
for name in sys.argv[2].split(","):
    variant = variants()[name]
    for aligned, address in ((True, 512), (False, 514)):
        tensors = [Tensor(dtype, address) for dtype in variant.pointers]
        others = [p for p in variant.kernel.params if not p.is_constexpr][len(tensors):]
        # Values that a compiler might specialise on: 1, multiples of 16, long ones.
        numbers = [(1, 16, 2**40)[i % 3] if "fp" not in p.annotation else 0.5
                   for i, p in enumerate(others)]
        numbers = [min(n, 2**31 - 1) if p.annotation == "i32" else n
                   for n, p in zip(numbers, others)]
        before = len(list(cache.iterdir()))
        kernel = variant.kernel_for(aligned)
        kernel.run(*tensors, *numbers, grid=(1,), warmup=True, **variant.constants,
                   **variant.options)
        print(name, aligned, len(list(cache.iterdir())) - before, sep=",")
"""


def test_a_launch_finds_what_was_compiled_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    variants = resources.variants()
    lines: list[str] = []
    found = prewarm({name: variants[name] for name in NAMES}, "sm_90", 2, lines.append)
    assert list(found) == list(NAMES) and len(lines) == len(NAMES)
    assert all(isinstance(seconds, float) for seconds in found.values()), found
    command = [sys.executable, "-c", LAUNCH, str(tmp_path), ",".join(NAMES)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    rows = [line.split(",") for line in made.stdout.splitlines()]
    new = {(name, aligned): int(count) for name, aligned, count in rows}
    assert {name: new[name, "True"] for name in NAMES} == dict.fromkeys(NAMES, 0)
    # The form for tensors that begin elsewhere is another kernel, compiled when it is needed.
    assert {name: new[name, "False"] for name in NAMES} == dict.fromkeys(NAMES, 1)
