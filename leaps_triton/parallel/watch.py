"""Who is still there: each process shows a sign of life, and looks for those of the others."""

import _thread
import json
import signal
import threading
import time
from types import FrameType
from typing import Any

from .ranks import LostRankError

__all__ = ["Watch", "fail", "first_said"]

# Linux has signals that nobody else sends; batch systems use SIGUSR1 and SIGUSR2.
_SIGNAL = getattr(signal, "SIGRTMIN", signal.SIGUSR2)

_FAILED = "failed"
"""Key of what the first process to fail has said."""


class Watch:
    """A thread that looks for signs of life of all processes, and interrupts the work without one.

    Args:
        store: key-value store of all processes, over a connection that nothing else uses.
        rank: of this process.
        world: how many there are.
        patience: seconds without a sign of life after which a process is lost.

    Attributes:
        lost: what became of the process that was lost, in words; empty for none.
    """

    def __init__(self, store: Any, rank: int, world: int, patience: float) -> None:
        self.lost = ""
        self._store = store
        self._rank = rank
        self._world = world
        self._patience = patience
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watch", daemon=True)
        self._former: Any = None
        # Python lets the main thread alone handle signals.
        self._signals = threading.current_thread() is threading.main_thread()

    def begin(self) -> None:
        """Start to watch."""
        if self._signals:
            self._former = signal.signal(_SIGNAL, self._raise)
        self._store.set(_beat(self._rank), "0")
        self._thread.start()

    def end(self) -> None:
        """Watch no longer."""
        self._ended.set()
        # A store that has gone may keep it for a while, and nobody needs it any more.
        self._thread.join(2.0)
        if self._signals:
            signal.signal(_SIGNAL, self._former)

    def check(self) -> None:
        """Raise a LostRankError if a process is lost."""
        if self.lost:
            raise LostRankError(self.lost)

    def _raise(self, number: int, frame: FrameType | None) -> None:
        """End the work where it is."""
        self.check()

    def _look(self) -> None:
        """Show signs of life, and look for those of the others."""
        pause = min(1.0, self._patience / 10.0)
        seen = [""] * self._world
        since = [time.monotonic()] * self._world
        count = 0
        while not self._ended.wait(pause):
            count += 1
            try:
                self._store.set(_beat(self._rank), str(count))
                found = self._found()
            # The store is at the first process, or at the one that started it.
            except RuntimeError as error:
                self._tell(f"rank 0 of {self._world} is lost, with the store of all: {error}")
                return
            now = time.monotonic()
            for rank, beat in enumerate(found):
                if beat != seen[rank]:
                    seen[rank] = beat
                    since[rank] = now
            self._judge(now, since)
            if self.lost:
                return

    def _found(self) -> list[str]:
        """Return the last signs of life of all processes; empty before any."""
        keys = [_beat(rank) for rank in range(self._world)]
        if not self._store.check(keys):
            return [""] * self._world
        return [value.decode() for value in self._store.multi_get(keys)]

    def _judge(self, now: float, since: list[float]) -> None:
        """Tell of a process that has failed, or shows no sign of life."""
        failed = self._failed()
        if failed is not None and failed["rank"] != self._rank:
            self._tell(f"rank {failed['rank']} of {self._world} ended: {failed['why']}")
            return
        for rank, last in enumerate(since):
            if rank != self._rank and now - last > self._patience:
                self._tell(
                    f"rank {rank} of {self._world} is lost: no sign of life for "
                    f"{self._patience:g} s"
                )
                return

    def _failed(self) -> dict[str, Any] | None:
        """Return who failed first, and why; None if nobody did."""
        if not self._store.check([_FAILED]):
            return None
        found: dict[str, Any] = json.loads(self._store.get(_FAILED))
        return found

    def _tell(self, lost: str) -> None:
        """Interrupt the work, which then says what was lost."""
        # At the end of the work the store is gone, and nobody is missed.
        if self._ended.is_set():
            return
        self.lost = lost
        if self._signals:
            _thread.interrupt_main(_SIGNAL)


def fail(store: Any, rank: int, why: str) -> None:
    """Tell all other processes why this one ends; the first to do so is heard.

    Args:
        store: key-value store of all processes.
        rank: of this process.
        why: in words.
    """
    try:
        store.compare_set(_FAILED, "", json.dumps({"rank": rank, "why": why}))
        store.compare_set(_said(rank), "", why)
    except RuntimeError:
        # The store may have been lost, which is then what the others hear of.
        return


def first_said(store: Any, wait: float) -> str:
    """Return why the first process ended; empty if it says nothing of it for a while.

    Args:
        store: key-value store of all processes.
        wait: seconds.
    """
    last = time.monotonic() + wait
    try:
        while not store.check([_said(0)]):
            if time.monotonic() > last:
                return ""
            time.sleep(0.02)
        found: str = store.get(_said(0)).decode()
    except RuntimeError:
        return ""
    return found


def _beat(rank: int) -> str:
    return f"beat/{rank}"


def _said(rank: int) -> str:
    return f"said/{rank}"
