"""Compilation of many variants at once, by several processes, into Triton's cache.

A kernel that a launch finds in the cache starts in milliseconds instead of seconds.
"""

import importlib
import logging
import multiprocessing
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

import torch

from ..variants import Variant
from .compiling import build_launcher, compile_variant, target_of

__all__ = ["prewarm"]

logger = logging.getLogger("leaps_triton")

Found = float | str
"""Seconds that a compilation took, or what went wrong."""


def prewarm(
    variants: Mapping[str, Variant],
    target: str | None = None,
    processes: int | None = None,
    progress: Callable[[str], None] = logger.info,
) -> dict[str, float | str]:
    """Compile variants into Triton's cache, so that launches find them there.

    Where there is a CUDA device, so are the modules that launch them, if this Triton has any.
    Processes are started anew, so that a script that calls this at its top level needs the guard
    ``if __name__ == "__main__":``. They inherit the environment, ``TRITON_CACHE_DIR`` too, and
    touch no device. A compiler that crashes costs its own variant alone.

    Args:
        variants: What is compiled, by name, in the order in which it is begun.
        target: The machine code's name, ``sm_…`` or ``gfx…``; None for the current device's.
        processes: How many at a time; None for as many as there are processors.
        progress: Called with one line for each variant that is done.

    Returns:
        By name, in the order of ``variants``, the seconds that each took, or the text of its error.

    Raises:
        ValueError: If ``processes`` is below 1, or ``target`` is None and there is no CUDA device.

    Example:
        >>> from leaps_triton.kernels.compiled.resources import variants
        >>> chosen = {name: variants()[name] for name in ("jump 256 float32",)}
        >>> found = prewarm(chosen, "sm_90", processes=1)  # doctest: +SKIP
    """
    if target is None:
        target = _current_target()
    if processes is None:
        processes = len(os.sched_getaffinity(0))
    if processes < 1:
        raise ValueError(f"processes must be at least 1, got {processes}")
    waiting: SimpleQueue[str] = SimpleQueue()
    for name in variants:
        waiting.put(name)
    found: dict[str, Found] = {}
    work = _Work(variants, target, torch.cuda.is_available(), waiting, found, progress)
    # One thread a process: a process that dies is known by the one variant it was given.
    count = min(processes, len(variants))
    with ThreadPoolExecutor(max(1, count)) as threads:
        try:
            for done in [threads.submit(work.run) for _ in range(count)]:
                done.result()
        finally:
            # Whoever interrupts waits for what has begun, not for all that was asked for.
            while not waiting.empty():
                waiting.get_nowait()
    return {name: found[name] for name in variants}


def _current_target() -> str:
    """Return the name of the current device's machine code."""
    if not torch.cuda.is_available():
        raise ValueError("there is no CUDA device whose machine code to make; name a target: sm_90")
    return target_of(torch.device("cuda", torch.cuda.current_device()))


@dataclass(frozen=True)
class _Work:
    """What the threads share.

    Attributes:
        variants: By name.
        target: The machine code's name.
        launches: Whether what launches them is compiled too.
        waiting: Names that no thread has taken yet.
        found: What came of each.
        progress: Called with a line for each variant.
    """

    variants: Mapping[str, Variant]
    target: str
    launches: bool
    waiting: "SimpleQueue[str]"
    found: dict[str, Found]
    progress: Callable[[str], None]

    def run(self) -> None:
        """Take names until there are none, in one process as long as it lives."""
        pool = _process()
        try:
            while True:
                try:
                    name = self.waiting.get_nowait()
                except Empty:
                    return
                order = _Order.of(self.variants[name])
                try:
                    given = (order, self.target, self.launches)
                    result = pool.submit(_compile, *given).result()
                except BrokenProcessPool:
                    result = "the process that compiled it died"
                    pool.shutdown()
                    pool = _process()
                self.note(name, result)
        finally:
            pool.shutdown()

    def note(self, name: str, result: Found) -> None:
        """Keep what came of a variant, and say it."""
        self.found[name] = result
        said = f"failed: {result}"
        if isinstance(result, float):
            said = f"{result:.1f} s"
        self.progress(f"compiled {len(self.found)} of {len(self.variants)}: {name}: {said}")


def _process() -> ProcessPoolExecutor:
    """Return one process, which starts when it is first given something."""
    # A fork of a process that has threads, or a device, may hang.
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


@dataclass(frozen=True)
class _Order:
    """A variant in plain data, as a kernel itself cannot be sent to another process.

    Attributes:
        module: Where its kernel is defined.
        name: What the kernel is called there.
        pointers: As in :class:`.Variant`, like those that follow.
        constants: By name.
        warps: Of a program.
        stages: Of a loop.
        registers: Of a thread.
    """

    module: str
    name: str
    pointers: tuple[torch.dtype, ...]
    constants: dict[str, Any]
    warps: int
    stages: int | None
    registers: int | None

    @classmethod
    def of(cls, variant: Variant) -> "_Order":
        """Return a variant's order."""
        function = variant.kernel.fn
        return cls(
            module=function.__module__,
            name=function.__name__,
            pointers=variant.pointers,
            constants=dict(variant.constants),
            warps=variant.warps,
            stages=variant.stages,
            registers=variant.registers,
        )

    def variant(self) -> Variant:
        """Return the variant."""
        kernel = getattr(importlib.import_module(self.module), self.name)
        return Variant(
            kernel, self.pointers, self.constants, self.warps, self.stages, self.registers
        )


def _compile(order: _Order, target: str, launches: bool) -> Found:
    """Compile a variant; runs in a process of its own."""
    start = time.perf_counter()
    # What goes wrong in a compiler is of no one kind, and is told instead of the time.
    try:
        compiled = compile_variant(order.variant(), target)
        if launches:
            build_launcher(compiled)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return time.perf_counter() - start
