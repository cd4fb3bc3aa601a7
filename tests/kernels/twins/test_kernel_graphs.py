"""Recordings: a call does once what the function does, with graphs that stand in for CUDA's."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from leaps_triton.kernels.graphs import recording
from leaps_triton.kernels.graphs.packing import packed, packed_once
from leaps_triton.kernels.graphs.recording import GRAPHS, Recording, graphs_wanted

CUDA = torch.device("cuda", 0)


class Machine:
    """Stands in for CUDA: a graph that is recorded does nothing, and does it at each replay.

    Args:
        refuses: why nothing can be recorded; empty if it can.
    """

    def __init__(self, refuses: str = "") -> None:
        self.refuses = refuses
        self.function: Callable[[], None] | None = None
        self.recording = False
        self.done: list[str] = []
        self.given_up: list[str] = []
        self.stream = "main"

    def step(self) -> None:
        """Count a call of what a recording runs."""
        if self.recording:
            if self.refuses:
                raise RuntimeError(f"{self.refuses}\nand more of it")
            return
        self.done.append(self.stream)

    def replay(self) -> None:
        self.done.append("graph")

    @contextlib.contextmanager
    def graph(self, graph: Any, pool: Any, stream: Any, capture_error_mode: str) -> Iterator[None]:
        assert (pool, stream.device, capture_error_mode) == ("pool", CUDA, "thread_local")
        self.recording = True
        self.stream = "capture"
        try:
            yield
        except RuntimeError:
            # As in torch, the end raises once more where the recording was broken off.
            raise RuntimeError("failed due to a previous error")  # noqa: B904
        finally:
            self.recording = False
        # As in torch, what was the stream before is not restored after an error.
        self.stream = "main"

    @contextlib.contextmanager
    def aside(self, stream: Any) -> Iterator[None]:
        self.stream = "aside"
        yield
        self.stream = "main"

    def set_stream(self, stream: Any) -> None:
        self.stream = "main"


class Stream:
    """A stream that waits for others."""

    def __init__(self, device: torch.device | None = None) -> None:
        self.device = device

    def wait_stream(self, other: Any) -> None:
        pass


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Machine]:
    """Return what puts a machine in the place of CUDA."""

    def made(refuses: str = "") -> Machine:
        machine = Machine(refuses)
        recording._aside.cache_clear()
        monkeypatch.setattr(recording, "_give_up", machine.given_up.append)
        monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: "pool")
        monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
        monkeypatch.setattr(torch.cuda, "current_stream", Stream)
        monkeypatch.setattr(torch.cuda, "Stream", Stream)
        monkeypatch.setattr(torch.cuda, "stream", machine.aside)
        monkeypatch.setattr(torch.cuda, "set_stream", machine.set_stream)
        monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: machine)
        monkeypatch.setattr(torch.cuda, "graph", machine.graph)
        return machine

    return made


def test_the_first_call_runs_the_second_records_and_all_later_ones_replay(make: Any) -> None:
    machine = make()
    recording = Recording(CUDA)
    for _ in range(4):
        recording(machine.step)
    assert machine.done == ["aside", "graph", "graph", "graph"] and recording.reason == ""


def test_what_cannot_be_recorded_runs_at_each_call_and_says_why(
    make: Any, caplog: pytest.LogCaptureFixture
) -> None:
    machine = make("operation not permitted when stream is capturing")
    recording = Recording(CUDA)
    with caplog.at_level(logging.WARNING, "leaps_triton"):
        for _ in range(4):
            recording(machine.step)
    assert machine.done == ["aside", "main", "main", "main"]
    assert recording.reason == "operation not permitted when stream is capturing"
    assert len(caplog.records) == 1 and recording.reason in caplog.text
    assert "and more" not in caplog.text
    assert machine.given_up == ["pool"]


def test_graphs_can_be_switched_off(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = make()
    monkeypatch.setenv(GRAPHS, "0")
    recording = Recording(CUDA)
    for _ in range(3):
        recording(machine.step)
    assert machine.done == ["main"] * 3 and recording.reason == "LEAPS_TRITON_GRAPHS=0"
    monkeypatch.setenv(GRAPHS, "yes")
    with pytest.raises(ValueError, match="LEAPS_TRITON_GRAPHS must be 0 or 1, got 'yes'"):
        graphs_wanted()


def test_other_devices_run_at_each_call() -> None:
    count = torch.zeros(())
    recording = Recording(count.device)

    def add() -> None:
        count.add_(1.0)

    for _ in range(3):
        recording(add)
    assert count == 3.0 and recording.reason == "there are no CUDA graphs on cpu"


def test_something_is_packed_once_while_its_weights_do_not_change() -> None:
    weight = torch.ones(3)
    made: list[float] = []

    def pack() -> float:
        made.append(float(weight.sum()))
        return made[-1]

    assert [packed(pack, [weight]) for _ in range(2)] == [3.0, 3.0] and len(made) == 2
    with packed_once():
        assert [packed(pack, [weight]) for _ in range(2)] == [3.0, 3.0] and len(made) == 3
        assert packed(pack, [weight], "another setting") == 3.0 and len(made) == 4
        weight.mul_(2.0)
        assert [packed(pack, [weight]) for _ in range(2)] == [6.0, 6.0] and len(made) == 5
        # Part of the same memory is another weight.
        packed(pack, [weight[:2]])
        assert len(made) == 6
    with torch.inference_mode(), packed_once():
        uncounted = torch.ones(3)
        packed(pack, [uncounted])
        packed(pack, [uncounted])
    assert len(made) == 8
