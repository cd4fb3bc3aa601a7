"""The compiled forms of the kernels.

Each launcher looks its variant up in a table, and tests compile the whole table.

A kernel is compiled for the number of lattice directions (loops over neighbours are
unrolled), whether ``q`` is 2 (no table look-ups) and whether the model is the same at every site
(scalars instead of loads), the block size, the floating-point type, and the terms of the rates. All
else is an argument at run time, ``q``, lengths, boundaries and colours too, and nothing is
specialised on its value, so that no input causes a compilation that the tables do not list.

Tensors begin at a multiple of 16 bytes, as torch allocates them, so that several numbers are loaded
at once. A view may begin elsewhere: it runs the same kernel, compiled without that knowledge.
"""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
import triton.language as tl
from torch import Tensor

from .device import unaligned
from .tuning.cache import tuned

__all__ = [
    "ALIGNMENT", "KINDS", "TYPES", "Variant", "block_size", "check_places", "kind_of", "launch",
    "padded", "periodic_bits", "recorded", "site_stride",
]  # fmt: skip

TYPES = {
    torch.int8: "*i8",
    torch.int16: "*i16",
    torch.int32: "*i32",
    torch.int64: "*i64",
    torch.float32: "*fp32",
    torch.float64: "*fp64",
}
"""Triton's name of a pointer to each dtype."""

NUMBERS = {tl.int32: "i32", tl.int64: "i64", tl.float32: "fp32", tl.float64: "fp64"}
"""Triton's name of a number of each type."""

KINDS = {
    "binary uniform": {"BINARY": True, "UNIFORM": True},
    "binary": {"BINARY": True, "UNIFORM": False},
    "general": {"BINARY": False, "UNIFORM": False},
}
"""Kinds of model: two states with one coupling and field for all sites, two states, any."""


ALIGNMENT = 16
"""Bytes: most that a thread loads at once, and what Triton knows of a tensor's address."""

MOST = 2**31 - 2**16
"""Most that a kernel counts to in 32 bits; a last block reaches beyond what there is."""
MOST_PROGRAMS = 2**31 - 1
"""Most programs of one launch, on any device."""


@dataclass(frozen=True)
class Variant:
    """A kernel with all that its compilation depends on.

    Attributes:
        kernel: A function under :func:`.device.kernel`.
        pointers: Dtypes of the tensor arguments, which come first.
        constants: Values of its constants, by name.
        warps: Groups of threads of a program.
        stages: Blocks that a loop loads ahead; None for the compiler's own number.
        registers: Most per thread; None for the compiler's own choice.
        signature: Triton's type of every argument, by name.
    """

    kernel: Any
    pointers: tuple[torch.dtype, ...]
    constants: Mapping[str, Any]
    warps: int
    stages: int | None = None
    registers: int | None = None
    signature: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        """Find the type of every argument of the kernel."""
        pointers = iter(self.pointers)
        types = {}
        for name, parameter in inspect.signature(self.kernel.fn).parameters.items():
            # Pointers alone have no annotation; they come in the order of their dtypes.
            if parameter.annotation is tl.constexpr:
                types[name] = "constexpr"
            elif parameter.annotation is inspect.Parameter.empty:
                types[name] = TYPES[next(pointers)]
            else:
                types[name] = NUMBERS[parameter.annotation]
        # The class is frozen, and this field follows from the others.
        object.__setattr__(self, "signature", types)

    @property
    def options(self) -> dict[str, Any]:
        """Options of the compiler for NVIDIA's devices."""
        # Products and sums are not fused, so that every device rounds alike.
        chosen: dict[str, Any] = {"num_warps": self.warps, "enable_fp_fusion": False}
        if self.stages is not None:
            chosen["num_stages"] = self.stages
        if self.registers is not None:
            chosen["maxnreg"] = self.registers
        return chosen

    def options_on(self, amd: bool) -> dict[str, Any]:
        """Return options of the compiler for devices of AMD, or of NVIDIA."""
        chosen = self.options
        if amd:
            # That compiler has no such option.
            chosen.pop("maxnreg", None)
        return chosen

    def kernel_for(self, aligned: bool) -> Any:
        """Return the kernel for tensors that all begin at a multiple of 16 bytes, or for any."""
        if aligned:
            return self.kernel
        return unaligned(self.kernel)


class Launched(list[Variant]):
    """Variants in the order of their launches, those of the tables.

    Attributes:
        programs: How many programs each was launched with.
    """

    def __init__(self) -> None:
        """Begin without any."""
        super().__init__()
        self.programs: list[int] = []


_WATCHED: list[Launched] = []
_DRY: list[bool] = []


@contextmanager
def recorded(dry: bool = False) -> Iterator[Launched]:
    """Note every variant that is launched while the context lasts.

    Args:
        dry: Whether to note it only, and launch nothing: results are memory as it was found.
    """
    seen = Launched()
    _WATCHED.append(seen)
    if dry:
        _DRY.append(True)
    try:
        yield seen
    finally:
        _WATCHED.pop()
        if dry:
            _DRY.pop()


def check_places(**counts: int) -> None:
    """Refuse more than kernels count to in 32 bits.

    Args:
        counts: How many of something there are, by the words to say it with.

    Raises:
        ValueError: If one of them is above the limit.
    """
    for name, count in counts.items():
        if count > MOST:
            words = name.replace("_", " ")
            raise ValueError(
                f"kernels count in 32 bits: {words} must be at most {MOST}, got {count}; "
                "use a smaller lattice, fewer states or fewer channels"
            )


def _check_sizes(variant: Variant, tensors: Sequence[Tensor], numbers: Sequence[Any]) -> None:
    """Refuse a launch whose places in memory do not fit 32 bits."""
    names = list(variant.signature)
    # Seeds and other numbers of 64 bits may be larger.
    if any(number > MOST for number in numbers):
        for name, number in zip(names[len(tensors) :], numbers, strict=False):
            if variant.signature[name] == "i32":
                check_places(**{name: number})
    for name, tensor in zip(names, tensors, strict=False):
        # The first index, mostly of walkers, is multiplied in 64 bits.
        if tensor.numel() > MOST:
            check_places(**{f"numbers_of_one_row_of_{name}": tensor[0].numel()})


def launch(variant: Variant, programs: int, *arguments: Tensor | int | float) -> None:
    """Run so many programs of a variant on the device of its first argument.

    Args:
        variant: What is compiled, or was.
        programs: How many programs; none for 0.
        arguments: Those of the kernel but for its constants, tensors first and contiguous.

    Raises:
        ValueError: If there are more programs, or more places in memory, than 32 bits number.
    """
    tensors = [a for a in arguments if isinstance(a, Tensor)]
    assert tuple(t.dtype for t in tensors) == variant.pointers, [t.dtype for t in tensors]
    assert all(t.is_contiguous() for t in tensors)
    device = tensors[0].device
    if programs == 0:
        return
    if programs > MOST_PROGRAMS:
        raise ValueError(
            f"a launch has at most {MOST_PROGRAMS} programs, got {programs}; use fewer walkers"
        )
    _check_sizes(variant, tensors, arguments[len(tensors) :])
    for seen in _WATCHED:
        seen.append(variant)
        seen.programs.append(programs)
    if _DRY:
        return
    variant = tuned(variant, programs, device)
    # Triton launches on the current device, which need not be that of the tensors.
    if device.type == "cuda":
        current: AbstractContextManager[Any] = torch.cuda.device(device)
    else:
        current = nullcontext()
    kernel = variant.kernel_for(all(t.data_ptr() % ALIGNMENT == 0 for t in tensors))
    options = variant.options_on(amd=torch.version.hip is not None)
    with current:
        kernel[programs,](*arguments, **variant.constants, **options)


def block_size(count: int, sizes: Sequence[int]) -> int:
    """Return the smallest of the increasing ``sizes`` that holds ``count``, or the largest."""
    return next((size for size in sizes if size >= count), sizes[-1])


def padded(shape: Sequence[int]) -> tuple[int, int, int, int]:
    """Return lattice lengths as four numbers, the first of them 1."""
    # Directions of length 1 in front change no flat index.
    n0, n1, n2, n3 = (1,) * (4 - len(shape)) + tuple(shape)
    return n0, n1, n2, n3


def periodic_bits(periodic: Sequence[bool]) -> int:
    """Return the boundaries of the padded directions as bits."""
    # Bits are numbered as the padded directions are.
    return sum(1 << axis for axis, wraps in enumerate(periodic, 4 - len(periodic)) if wraps)


def kind_of(q: int, coupling: Tensor, site_table: Tensor) -> str:
    """Return which of KINDS a model is, from its states and the shapes of its tables."""
    uniform = coupling.shape[2:].numel() == site_table.shape[2:].numel() == 1
    if q != 2:
        return "general"
    if uniform:
        return "binary uniform"
    return "binary"


def site_stride(table: Tensor, shape: Sequence[int]) -> tuple[Tensor, tuple[int, int, int]]:
    """Return a table ``(1 | walkers, n, *shape or 1s)``, contiguous, and its three strides.

    They are those by walker, row and site, 0 where all share one. A table that is uniform in some
    directions only is expanded; the models of the library have none.
    """
    if table.shape[2:].numel() > 1:
        table = table.expand(-1, -1, *shape)
    table = table.contiguous()
    walkers = len(table)
    rows = table.shape[1]
    sites = table.shape[2:].numel()
    # A stride of 0 reads the one entry that all share.
    s_walker = 0
    if walkers > 1:
        s_walker = rows * sites
    s_row = 0
    if rows > 1:
        s_row = sites
    return table, (s_walker, s_row, int(sites > 1))
