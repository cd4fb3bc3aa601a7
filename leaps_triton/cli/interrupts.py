"""Ctrl-C, SIGTERM and a full disk: what is done stays on disk, and one sentence says what to type.

:func:`raising` stands around every command, and :func:`going_on` around the work of those whose
file can be gone on with.
"""

import shlex
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from ..files import BusyError
from ..parallel import LostRankError

__all__ = ["Interrupted", "Unfinished", "going_on", "raising", "reason", "sentence", "stopped"]

_NUMBERS = (signal.SIGTERM, signal.SIGINT)

_NAMES: dict[int, str] = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}

Handler = Callable[[int, FrameType | None], None]


class Interrupted(KeyboardInterrupt):
    """Raised where a signal found the process.

    Attributes:
        number: that of the signal.
    """

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__(number)
        self.number = number

    @property
    def status(self) -> int:
        """Return the status that shells report for a process ended by this signal."""
        return 128 + self.number

    def __str__(self) -> str:
        """Return what ended the command."""
        return f"stopped by {_NAMES.get(self.number, f'signal {self.number}')}"


class Unfinished(Exception):
    """Raised for work that ended before its time, of which a file holds what is done.

    Attributes:
        file: holds what is done.
        status: what the process is to end with.
        resumes: whether ``--resume`` goes on with the file.
    """

    def __init__(self, why: str, file: Path, status: int, resumes: bool = True) -> None:
        super().__init__(why)
        self.file = file
        self.status = status
        self.resumes = resumes


def stopped(number: int, file: Path, resumes: bool = True) -> Unfinished:
    """Return what says that a signal ended the work.

    Args:
        number: that of the signal.
        file: holds what is done.
        resumes: whether ``--resume`` goes on with the file.
    """
    error = Interrupted(number)
    return Unfinished(str(error), file, error.status, resumes)


def reason(error: Exception) -> str:
    """Return what an error says, in one line and without the number of one of the system."""
    found = str(error)
    if isinstance(error, OSError) and error.filename and error.strerror:
        found = f"{error.filename}: {error.strerror}"
    return " ".join(found.split())


def sentence(error: Unfinished, arguments: Sequence[str]) -> str:
    """Return what ended the work, where the rest is, and the command that goes on with it.

    Args:
        error: says the first two.
        arguments: those of the command that ended.

    Example:
        >>> error = Unfinished("stopped by Ctrl-C", Path("c.h5"), 130, resumes=False)
        >>> sentence(error, ["bench", "--output", "c.h5"])
        'stopped by Ctrl-C; nothing is done yet that could be kept in c.h5'
    """
    if not error.file.exists():
        return f"{error}; nothing is done yet that could be kept in {error.file}"
    kept = f"{error}; {error.file} holds what is done"
    if not error.resumes:
        return kept
    words = ["leaps-triton", *arguments]
    if "--resume" not in arguments:
        words.append("--resume")
    return f"{kept}, and this goes on with it: {shlex.join(words)}"


@contextmanager
def _handling(handler: Handler) -> Iterator[None]:
    """Let SIGTERM and SIGINT call ``handler``, and a second one of them end the process at once."""

    def once(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        handler(number, frame)

    before = {}
    # Python lets the main thread alone handle signals.
    if threading.current_thread() is threading.main_thread():
        for number in _NUMBERS:
            # Who has them ignored, as nohup and shells in the background do, means it; None is a
            # handler that Python did not set and could not put back.
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, once)
    try:
        yield
    finally:
        # Whoever runs this within Python has handlers of their own.
        for number, former in before.items():
            signal.signal(number, former)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted(number)


@contextmanager
def raising() -> Iterator[None]:
    """Let SIGTERM and SIGINT raise :class:`Interrupted`, so that all is left in order."""
    with _handling(_interrupt):
        yield


@contextmanager
def going_on(
    file: Path | None, stop: Callable[[], object] | None = None, resumes: bool = True
) -> Iterator[list[int]]:
    """Say of work that ends before its time where its results are; what a command wraps around it.

    Args:
        file: holds at any moment what is done; None if nothing does.
        stop: lets the work return by itself, where it has something to save first; None to end it
            where it is.
        resumes: whether ``--resume`` goes on with the file.

    Yields:
        The signals received, for a command with ``stop``, which is to raise :func:`stopped` of the
        first one at its end.

    Raises:
        Unfinished: If a signal ended the work, or the disk, or the loss of another process.
    """
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if stop is None:
            raise Interrupted(number)
        stop()

    try:
        with _handling(note):
            yield received
    except KeyboardInterrupt as error:
        if file is None:
            raise
        number: int = signal.SIGINT
        if isinstance(error, Interrupted):
            number = error.number
        raise stopped(number, file, resumes) from None
    except LostRankError as error:
        if file is None:
            raise
        raise Unfinished(reason(error), file, 1, resumes) from None
    except BusyError:
        # Another process has the file, and goes on with it already.
        raise
    except OSError as error:
        # A file that was to be read, such as a checkpoint, is no reason to go on.
        if file is None or error.filename != str(file):
            raise
        raise Unfinished(reason(error), file, 1, resumes) from None
