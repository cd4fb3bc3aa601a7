"""Processes that ``torchrun`` has started, on :mod:`torch.distributed`."""

import functools
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from .ranks import ALONE, LostRankError, Ranks
from .watch import Watch, fail, first_said

__all__ = ["Group", "together", "world_size"]

Made = TypeVar("Made")

_PATIENCE = 30.0
"""Seconds without a sign of life after which a process is lost."""

_LONGEST = timedelta(seconds=60)
"""What one exchange may take between processes that have met."""

_COMING = timedelta(seconds=300)
"""How long those that have come wait for the others."""

_HERE = ("localhost", "127.0.0.1", "::1")
"""Addresses of processes that are all on one machine."""


_NEEDED = ("RANK", "MASTER_ADDR", "MASTER_PORT")
"""What ``torchrun`` says besides the number of processes."""


def world_size() -> int:
    """Return how many processes ``torchrun`` has started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@dataclass(frozen=True, eq=False)
class Group(Ranks):
    """A process among those of :mod:`torch.distributed`.

    Before any exchange all meet in a key-value store, where who is missing has a name; only then
    do the exchanges of ``torch.distributed`` begin, which need not wait long.

    Attributes:
        store: key-value store of all processes.
        watch: looks for the others.
    """

    store: Any = None
    watch: Watch | None = None
    _met: list[int] = field(default_factory=lambda: [0], repr=False)

    def meet(self) -> None:
        """Wait for all; see :meth:`Ranks.meet`."""
        self._met[0] += 1
        number = self._met[0]
        try:
            # Who comes last opens the door.
            if self.store.add(f"here/{number}", 1) == self.world:
                self.store.set(f"open/{number}", "1")
            self._wait(f"open/{number}")
            # All have passed the door before the last one.
            if self.first and number > 1:
                self.store.delete_key(f"here/{number - 1}")
                self.store.delete_key(f"open/{number - 1}")
        except LostRankError:
            raise
        except RuntimeError as error:
            raise self._lost(error) from None

    def _wait(self, key: str) -> None:
        """Wait until a key is there, while nobody is lost."""
        begin = time.monotonic()
        while not self.store.check([key]):
            assert self.watch is not None
            self.watch.check()
            # A hundredth of the time so far: short waits end at once, long ones cost nothing.
            waited = time.monotonic() - begin
            time.sleep(min(0.05, 1e-4 + waited / 100.0))

    def _lost(self, error: RuntimeError) -> LostRankError:
        """Return what to raise where the store or an exchange has failed."""
        watch = self.watch
        assert watch is not None
        # Who is at fault is known once its signs of life are missed.
        last = time.monotonic() + 2.0 * _patience()
        while not watch.lost and time.monotonic() < last:
            time.sleep(0.05)
        if watch.lost:
            return LostRankError(watch.lost)
        return LostRankError(f"the processes have lost one another: {error}")

    def from_first(self, make: Callable[[], Made]) -> Made:
        """Return what the first process makes; see :meth:`Ranks.from_first`."""
        found: list[Any] = [None]
        if self.first:
            found = [make()]
        self.meet()
        with self._exchange():
            dist.broadcast_object_list(found, src=0)
        made: Made = found[0]
        return made

    def to_first(self, mine: Any) -> list[Any]:
        """Return what all processes give, on the first; see :meth:`Ranks.to_first`."""
        self.meet()
        if not self.first:
            with self._exchange():
                dist.gather_object(mine, None, dst=0)
            return []
        found: list[Any] = [None] * self.world
        with self._exchange():
            dist.gather_object(mine, found, dst=0)
        return found

    def everywhere(self, mine: Tensor) -> Tensor:
        """Return the tensors of all processes; see :meth:`Ranks.everywhere`."""
        self.meet()
        found = [torch.empty_like(mine) for _ in range(self.world)]
        with self._exchange():
            dist.all_gather(found, mine.contiguous())
        return torch.stack(found)

    @contextmanager
    def _exchange(self) -> Iterator[None]:
        """Name the process that was lost within an exchange."""
        try:
            yield
        except LostRankError:
            raise
        except RuntimeError as error:
            raise self._lost(error) from None

    def fail(self, why: str) -> bool:
        """Tell the others why this process ends; see :meth:`Ranks.fail`.

        The first process always speaks. Another does unless the first says the same, or has said
        already what ended both.
        """
        fail(self.store, self.rank, why)
        if self.first:
            return True
        said = first_said(self.store, wait=1.0)
        assert self.watch is not None
        if self.watch.lost:
            return said == ""
        return said != why


@contextmanager
def together() -> Iterator[Ranks]:
    """Give this process its place among those that ``torchrun`` has started.

    It computes on the CUDA device of its ``LOCAL_RANK``, where there are any. Without ``torchrun``
    it is :data:`ALONE`.

    Raises:
        ValueError: If a machine has fewer CUDA devices than processes, or not all is known that
            ``torchrun`` says.
        LostRankError: If another process has ended, or shows no sign of life for half a minute, or
            as many seconds as ``LEAPS_TRITON_PATIENCE`` says.
    """
    if world_size() == 1:
        yield ALONE
        return
    group = _joined()
    assert group.watch is not None
    group.watch.begin()
    try:
        yield group
        group.meet()
        group.watch.end()
        _leave(group)
        dist.destroy_process_group()
    except BaseException as error:
        # So that they do not wait for a sign of life; whoever has told them is heard first.
        fail(group.store, group.rank, f"{type(error).__name__}: {error}")
        group.watch.end()
        _leave(group)
        # What is left of the group may hold connections to processes that are no more.
        raise


def _joined() -> Group:
    """Return the group, once all processes are there."""
    missing = [name for name in _NEEDED if name not in os.environ]
    if missing:
        raise ValueError(
            f"WORLD_SIZE is {world_size()}, but {', '.join(missing)} not set; start processes by "
            f"torchrun, or unset WORLD_SIZE"
        )
    rank = int(os.environ["RANK"])
    world = world_size()
    address = os.environ["MASTER_ADDR"]
    if address in _HERE and "lo" in [name for _, name in socket.if_nameindex()]:
        # Else gloo asks for the name of the machine, which need not be known to itself.
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    device = None
    backend = "gloo"
    if torch.cuda.is_available():
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if local >= torch.cuda.device_count():
            raise ValueError(
                f"rank {rank} is process {local + 1} of its machine, which has "
                f"{torch.cuda.device_count()} CUDA devices; start no more processes than devices, "
                f"or hide these by CUDA_VISIBLE_DEVICES="
            )
        device = torch.device("cuda", local)
        # Kernels are launched on the current device.
        torch.cuda.set_device(device)
        backend = "cpu:gloo,cuda:nccl"
    store = _store(rank, world)
    _await(store, world)
    dist.init_process_group(backend, store=store, rank=rank, world_size=world, timeout=_LONGEST)
    # Connections of their own: one that waits would hold up signs of life.
    watch = Watch(store.clone(), rank, world, _patience())
    return Group(rank, world, device, store.clone(), watch)


def _store(rank: int, world: int) -> Any:
    """Return a connection to the key-value store of all processes, with new keys."""
    # torchrun has one already; without it the first process is where it is.
    hosts = rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    plain = _connected(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), world, hosts)
    # Who starts lost processes anew keeps the store, and one process may do several works.
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    name = f"leaps_triton/{attempt}"
    use = plain.add(f"{name}/uses/{rank}", 1)
    return dist.PrefixStore(f"{name}/{use}", plain)


@functools.cache
def _connected(address: str, port: int, world: int, hosts: bool) -> Any:
    """Return a connection to the store of all processes, or the store itself, made once.

    One that ended with a work could meet those who have begun the next one.
    """
    return dist.TCPStore(
        address, port, world, hosts, _COMING, wait_for_workers=False, multi_tenant=True
    )


def _await(store: Any, world: int) -> None:
    """Wait until all processes have come: they may start one after another.

    Raises:
        RuntimeError: If some have not.
    """
    came = store.add("came", 1)
    last = time.monotonic() + _COMING.total_seconds()
    while came < world:
        if time.monotonic() > last:
            raise RuntimeError(
                f"{came} of {world} processes have come within {_COMING.total_seconds():g} s; "
                f"start all of them"
            )
        time.sleep(0.02)
        came = store.add("came", 0)


def _leave(group: Group) -> None:
    """Leave the group; the first process goes last, since it may hold the store."""
    try:
        gone = group.store.add("gone", 1)
        last = time.monotonic() + 2.0
        while group.first and gone < group.world and time.monotonic() < last:
            time.sleep(0.01)
            gone = group.store.add("gone", 0)
    except RuntimeError:
        # With the store the first process has gone, and nobody waits.
        return


def _patience() -> float:
    """Return after how many seconds without a sign of life a process is lost."""
    return float(os.environ.get("LEAPS_TRITON_PATIENCE", _PATIENCE))
