"""Functions recorded in CUDA graphs: launched again and again as one, without the host.

A rollout of small kernels spends most of its time in Python and in the driver: about 30 launches an
event at some microseconds each. A graph holds the launches of several events, and starts them all
by one call.
"""

import contextlib
import functools
import logging
import os
from collections.abc import Callable
from typing import Any

import torch

__all__ = ["GRAPHS", "Recording", "capture", "graphs_wanted"]

logger = logging.getLogger("leaps_triton")

GRAPHS = "LEAPS_TRITON_GRAPHS"
"""Environment variable that says whether CUDA graphs are used: 1 (also if not set) or 0."""


def graphs_wanted() -> bool:
    """Return whether functions are to be recorded in CUDA graphs.

    Raises:
        ValueError: If the environment variable ``LEAPS_TRITON_GRAPHS`` is neither 0 nor 1.
    """
    chosen = os.environ.get(GRAPHS, "") or "1"
    if chosen not in ("0", "1"):
        raise ValueError(f"{GRAPHS} must be 0 or 1, got {chosen!r}")
    return chosen == "1"


class Recording:
    """A function that reads and writes the same tensors whenever it is called.

    On a CUDA device the first call runs it, on a stream of its own, which compiles its kernels and
    makes its tables; the second records it in a CUDA graph and launches that, and so do all later
    ones. Elsewhere, without CUDA graphs, and where it cannot be recorded, each call runs it. Either
    way a call has done once what the function does.

    Args:
        device: Where it runs.

    Attributes:
        reason: Why each call runs it; empty where it is, or will be, recorded.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._graph: torch.cuda.CUDAGraph | None = None
        self._warm = False
        self.reason = ""
        if device.type != "cuda":
            self.reason = f"there are no CUDA graphs on {device.type}"
        elif not graphs_wanted():
            self.reason = f"{GRAPHS}=0"

    def __call__(self, function: Callable[[], None]) -> None:
        """Do once what the function does.

        Args:
            function: The same at each call. It takes nothing, returns nothing, and looks at no
                number of the device. All that it leaves is in tensors that it found, written in
                place. It is recorded with the tensors that it finds: they must stay where they are.
        """
        if self.reason:
            function()
            return
        with torch.cuda.device(self._device):
            if not self._warm:
                _run_aside(function, self._device)
                self._warm = True
                return
            if self._graph is None:
                self._record(function)
            if self._graph is None:
                function()
            else:
                self._graph.replay()

    def _record(self, function: Callable[[], None]) -> None:
        """Record the function, which does nothing yet; note why where that fails."""
        try:
            self._graph = capture(function, self._device)
        except RuntimeError as error:
            self.reason = str(error)
            logger.warning(
                "events are launched one by one, since they cannot be recorded in a CUDA graph: "
                "%s; set %s=0 to say nothing of it",
                self.reason,
                GRAPHS,
            )


def capture(function: Callable[[], object], device: torch.device) -> torch.cuda.CUDAGraph:
    """Return a CUDA graph of all that a function launches, and launch none of it.

    Args:
        function: It has run before, so that nothing is left to be compiled.
        device: The current CUDA device.

    Raises:
        RuntimeError: If it cannot be recorded, with what went wrong first; torch records no more
            then, and goes on where it was.
    """
    before = torch.cuda.current_stream()
    graph = torch.cuda.CUDAGraph()
    # Its own number: a graph whose recording was broken off tells none.
    pool = torch.cuda.graph_pool_handle()
    aside = _aside(device)
    try:
        # Other threads may go on with what they do on the device.
        with torch.cuda.graph(graph, pool=pool, stream=aside, capture_error_mode="thread_local"):
            function()
    except RuntimeError as error:
        # A recording that was broken off leaves its own stream the current one.
        torch.cuda.set_stream(before)
        _give_up(pool)
        raise RuntimeError(str(_first(error)).partition("\n")[0]) from error
    return graph


def _first(error: BaseException) -> BaseException:
    """Return what went wrong first: the end of a broken recording raises once more."""
    while isinstance(error.__context__, RuntimeError):
        error = error.__context__
    return error


@functools.cache
def _aside(device: torch.device) -> torch.cuda.Stream:
    """Return a device's stream for first runs and recordings; libraries keep memory for each."""
    return torch.cuda.Stream(device)


def _give_up(pool: Any) -> None:
    """Take the allocator out of a recording that was broken off, in which torch leaves it."""
    device = torch.cuda.current_device()
    # Both raise where the recording had not begun, or had ended in order: the graph then releases.
    with contextlib.suppress(RuntimeError):
        torch._C._cuda_endAllocateToPool(device, pool)
        torch._C._cuda_releasePool(device, pool)


def _run_aside(function: Callable[[], None], device: torch.device) -> None:
    """Run a function on another stream, as recording does."""
    current = torch.cuda.current_stream()
    aside = _aside(device)
    aside.wait_stream(current)
    with torch.cuda.stream(aside):
        function()
    current.wait_stream(aside)
