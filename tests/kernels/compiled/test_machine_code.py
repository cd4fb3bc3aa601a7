"""Machine code: instructions counted without a disassembler, loops and fences."""

import os
from collections import Counter

import pytest

pytest.importorskip("triton")

import torch
import triton.language as tl

from leaps_triton.kernels.compiled import machine_code, resources
from leaps_triton.kernels.compiled.compiling import compile_variant
from leaps_triton.kernels.device import kernel
from leaps_triton.kernels.variants import Variant

pytestmark = pytest.mark.skipif(
    os.environ.get("TRITON_INTERPRET") == "1",
    reason="the interpreter cannot compile; unset TRITON_INTERPRET",
)


@kernel
def counting_kernel(p_total, rounds: tl.int32, SCOPE: tl.constexpr):
    """Add a number to one that other programs change too."""
    for i in range(rounds):
        for j in range(i):
            tl.atomic_add(p_total + j, j, scope=SCOPE)


@kernel
def copy_kernel(p_from, p_to, BLOCK: tl.constexpr):
    """Copy a block."""
    o_place = tl.arange(0, BLOCK)
    tl.store(p_to + o_place, tl.load(p_from + o_place))


def counting(scope: str) -> Variant:
    return Variant(counting_kernel, (torch.int32,), {"SCOPE": scope}, warps=1)


@pytest.mark.parametrize("target", ["sm_80", "sm_90", "sm_100"])
def test_fences_of_the_whole_device_are_counted(target: str) -> None:
    """Triton's atomic has a fence before it unless it says otherwise."""
    whole = resources.measure(counting("gpu"), target)
    assert whole.fences > 0
    assert resources.measure(counting("cta"), target).fences == 0


def test_instructions_are_those_that_a_disassembler_prints() -> None:
    variant = counting("gpu")
    printed = machine_code.instructions(variant, "sm_90")
    cubin = compile_variant(variant, "sm_90").asm["cubin"]
    counted = machine_code.opcodes(cubin)
    assert counted.total() == printed.total() - printed["NOP"]
    assert counted[machine_code.FENCE] == printed["ERRBAR"]
    assert resources.measure(variant, "sm_90").instructions == counted.total()


@pytest.mark.parametrize(("aligned", "load"), [(True, "LDG.E.128"), (False, "LDG.E")])
def test_a_thread_loads_16_bytes_at_once_where_a_tensor_begins_at_16(
    aligned: bool, load: str
) -> None:
    variant = Variant(copy_kernel, (torch.float32,) * 2, {"BLOCK": 128}, warps=1)
    found = machine_code.INSTRUCTION.findall(machine_code.listing(variant, "sm_90", aligned))
    assert {name for name in found if name.startswith("LDG")} == {load}


def test_a_loop_is_what_lies_before_a_branch_back() -> None:
    text = "\n".join([
        "kernel:",
        "        /*0000*/                   MOV R1, c[0x0][0x28] ;",
        ".L_x_0:",
        "        /*0010*/                   IADD3 R0, R0, 0x1, RZ ;",
        ".L_x_1:",
        "        /*0020*/              @!P0 LDG.E R2, desc[UR4][R2.64] ;",
        "        /*0030*/               @P1 BRA `(.L_x_1) ;",
        "        /*0040*/                   BRA `(.L_x_2) ;",
        ".L_x_2:",
        "        /*0050*/               @P2 BRA `(.L_x_0) ;",
        ".L_x_3:",
        "        /*0060*/                   BRA `(.L_x_3);",
        "        /*0070*/                   NOP ;",
    ])  # fmt: skip
    outer, inner = machine_code.loops(text)
    assert (outer.label, outer.size, outer.innermost) == (".L_x_0", 5, False)
    assert inner == machine_code.Loop(".L_x_1", Counter({"LDG.E": 1, "BRA": 1}), True)


def test_loops_of_a_kernel_lie_in_one_another() -> None:
    outer, *inner = machine_code.loop_instructions(counting("cta"))
    assert not outer.innermost and inner
    assert any(name.startswith("RED") or name.startswith("ATOM") for name in outer.instructions)
    assert outer.size > max(loop.size for loop in inner)


def test_only_machine_code_of_nvidia_is_disassembled() -> None:
    with pytest.raises(ValueError, match="target must be one of NVIDIA's"):
        machine_code.instructions(counting("cta"), "gfx942")
