"""What is compiled ahead of time is what a launch looks up: a fake driver instead of a GPU."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("triton")

from leaps_triton.kernels.compiled import resources
from leaps_triton.kernels.compiled.prewarm import prewarm
from leaps_triton.kernels.variants import Variant

pytestmark = pytest.mark.skipif(
    os.environ.get("TRITON_INTERPRET") == "1",
    reason="the interpreter cannot compile; unset TRITON_INTERPRET",
)

NAMES = (
    "jump 256 float32",
    "sweeps heat_bath 1 binary uniform 256",
    "local_jump",
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
    for aligned, address in ((True, 512), (False, 514))[: 1 + (name == "local_jump")]:
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


BAD = """
import os
import triton.language as tl
from multiprocessing import parent_process
from leaps_triton.kernels.device import kernel

if parent_process() is not None and {dies}:
    os._exit(3)

@kernel
def bad_kernel(p_out, BLOCK: tl.constexpr):
    tl.store(p_out, BLOCK.nothing)
"""


def bad(folder: Path, name: str, dies: bool) -> Variant:
    """A variant that cannot be compiled, or kills whoever tries."""
    (folder / f"{name}.py").write_text(BAD.format(dies=dies))
    made = importlib.import_module(name).bad_kernel
    return Variant(made, (torch.int32,), {"BLOCK": 1}, warps=1)


def test_a_launch_finds_what_was_compiled_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    cache = tmp_path / "cache"
    monkeypatch.setenv("TRITON_CACHE_DIR", str(cache))
    table = {name: resources.variants()[name] for name in NAMES}
    table["wrong"] = bad(tmp_path, "wrong_kernel", dies=False)
    table["deadly"] = bad(tmp_path, "deadly_kernel", dies=True)
    lines: list[str] = []
    found = prewarm(table, "sm_90", 2, lines.append)
    assert list(found) == list(table) and len(lines) == len(table)
    # One that goes wrong costs no other its compilation, and says why.
    assert "nothing" in str(found.pop("wrong"))
    assert found.pop("deadly") == "the process that compiled it died"
    assert all(isinstance(seconds, float) for seconds in found.values()), found
    command = [sys.executable, "-c", LAUNCH, str(cache), ",".join(NAMES)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    rows = [line.split(",") for line in made.stdout.splitlines()]
    new = {(name, aligned): int(count) for name, aligned, count in rows}
    assert {name: new[name, "True"] for name in NAMES} == dict.fromkeys(NAMES, 0)
    # The form for tensors that begin elsewhere is another kernel, compiled when it is needed.
    assert new["local_jump", "False"] == 1


def test_what_cannot_be_begun_is_refused() -> None:
    with pytest.raises(ValueError, match="processes must be at least 1, got 0"):
        prewarm({}, "sm_90", 0)
    assert prewarm({}, "sm_90", 4) == {}
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="no CUDA device whose machine code"):
            prewarm({})
