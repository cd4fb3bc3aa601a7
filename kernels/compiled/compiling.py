"""Compilation of a variant without the device, to the very binary that a launch looks up."""

import hashlib
import importlib
import subprocess
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import torch
import triton
from triton import knobs
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, make_backend
from triton.runtime.jit import create_function_from_signature

from ..variants import ALIGNMENT, Variant

__all__ = [
    "Order", "build_launcher", "compile_variant", "fingerprint", "gpu_target", "order_of",
    "target_of", "tool_output",
]  # fmt: skip


class _Pointer:
    """What Triton asks a tensor argument for."""

    def __init__(self, dtype: torch.dtype, address: int) -> None:
        self.dtype = dtype
        self.address = address

    def data_ptr(self) -> int:
        """Return the address."""
        return self.address


def gpu_target(name: str) -> GPUTarget:
    """Return Triton's description of ``sm_…`` or ``gfx…``."""
    # The last number is that of the threads of a warp.
    if name.startswith("sm_"):
        return GPUTarget("cuda", int(name[3:]), 32)
    return GPUTarget("hip", name, 64)


def target_of(device: torch.device) -> str:
    """Return the name of a device's machine code, ``sm_…`` or ``gfx…``.

    Raises:
        ValueError: If the device is not one of CUDA or ROCm.
    """
    if device.type != "cuda":
        raise ValueError(f"kernels are compiled for devices of CUDA or ROCm, got {device}")
    found = torch.cuda.get_device_properties(device)
    if torch.version.hip is not None:
        # Beyond the colon stand features, which are no part of Triton's name.
        return str(found.gcnArchName).partition(":")[0]
    return f"sm_{found.major}{found.minor}"


class Order(NamedTuple):
    """What Triton compiles."""

    source: ASTSource
    target: GPUTarget
    options: dict[str, Any]
    """All of the compiler's, by name."""
    chosen: dict[str, Any]
    """Those that the variant sets."""


def order_of(variant: Variant, target: str, aligned: bool = True) -> Order:
    """Return what is compiled of a variant for ``sm_…`` or ``gfx…``.

    Args:
        variant: What is compiled.
        target: The machine code's name.
        aligned: Whether all tensors begin at a multiple of 16 bytes.

    Raises:
        RuntimeError: If Triton runs as interpreter.
    """
    if knobs.runtime.interpret:
        raise RuntimeError("TRITON_INTERPRET is set, and the interpreter cannot compile; unset it")
    kernel = variant.kernel_for(aligned)
    wanted = gpu_target(target)
    backend = make_backend(wanted)
    # Triton's own launcher makes the key of its cache from these calls, so that it finds here what
    # is compiled; a signature made by hand differs from version to version.
    binder = create_function_from_signature(kernel.signature, kernel.params, backend)
    chosen = variant.options_on(amd=wanted.backend == "hip")
    given = {**variant.constants, **chosen}
    bound, specialization, _ = binder(*_arguments(variant, aligned), **given)
    options, signature, constants, attributes = kernel._pack_args(
        backend, given, bound, specialization, chosen
    )
    source = ASTSource(kernel, signature, constants, attributes)
    return Order(source, wanted, dict(options.__dict__), chosen)


def compile_variant(variant: Variant, target: str, aligned: bool = True) -> Any:
    """Compile a variant for ``sm_…`` or ``gfx…``, or take it from Triton's cache.

    Args:
        variant: What is compiled.
        target: The machine code's name.
        aligned: Whether all tensors begin at a multiple of 16 bytes.

    Returns:
        Triton's compiled kernel: its texts and binary by name are its ``asm``.

    Raises:
        RuntimeError: If Triton runs as interpreter.
    """
    order = order_of(variant, target, aligned)
    return triton.compile(order.source, target=order.target, options=order.options)


def fingerprint(variant: Variant, target: str) -> str:
    """Return 16 digits of a hash of all that the machine code follows from.

    That is the kernel's lines, those of the functions it calls, types, constants, options, target
    and version of Triton.

    Raises:
        RuntimeError: If Triton runs as interpreter.
    """
    order = order_of(variant, target)
    chosen = sorted(order.chosen.items())
    text = f"{triton.__version__} {target} {chosen} {order.source.hash()}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def build_launcher(compiled: Any) -> None:
    """Compile what hands a kernel's arguments to NVIDIA's driver, or take it from Triton's cache.

    Triton below 3.7 makes a module in C of each signature when it is first launched; later versions
    have one for all. It is linked to the driver's library, which must be there.
    """
    if compiled.metadata.target.backend != "cuda":
        return
    driver = importlib.import_module("triton.backends.nvidia.driver")
    if hasattr(driver, "make_launcher"):
        driver.CudaLauncher(compiled.src, compiled.metadata)


def _arguments(variant: Variant, aligned: bool) -> list[Any]:
    """Return stand-ins for the arguments of a launch."""
    address = ALIGNMENT
    if not aligned:
        address = 1
    tensors = [_Pointer(dtype, address) for dtype in variant.pointers]
    # Nothing is specialised on the value of a number.
    numbers = len(variant.signature) - len(tensors) - len(variant.constants)
    return [*tensors, *[1] * numbers]


def tool_output(cubin: bytes, tool: str, *options: str) -> str:
    """Return what one of the tools that Triton brings says of a binary."""
    with tempfile.TemporaryDirectory() as folder:
        binary = Path(folder, "kernel.cubin")
        binary.write_bytes(cubin)
        command = [tool, *options, str(binary)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
