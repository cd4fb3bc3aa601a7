"""Files that are written whole or not at all, and by one process at a time.

Whoever writes a file for long holds a claim on it: a file ``.NAME.lock`` beside it, which names the
process and is locked by the kernel (``flock``) for as long as that process lives. The claim is no
part of the file, so that nobody who reads the file meets it, and it is gone after a normal end. One
that a killed process left behind is known by its lock, which the kernel has released.
"""

import errno
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

__all__ = [
    "BusyError",
    "check_free",
    "claimed",
    "holder",
    "make_folder",
    "named",
    "replacing",
    "write_text",
]

_PAUSES = (0.0, 0.005, 0.01, 0.02, 0.04)
"""Seconds before each try at a lock, which whoever looks for its owner holds for a moment."""


class BusyError(OSError):
    """Raised for a file that another process is writing; it names the process."""


class _Owner(NamedTuple):
    """Who holds a claim; nobody is known by an empty host."""

    host: str = ""
    process: int = 0
    since: str = ""

    @property
    def words(self) -> str:
        """Return who that is."""
        if not self.host:
            return "another process"
        return f"process {self.process} on {self.host} (since {self.since})"

    @property
    def is_elsewhere(self) -> bool:
        """Return whether it is a process of another machine, of which nothing is known here."""
        return self.host not in ("", socket.gethostname())

    @property
    def is_alive(self) -> bool:
        """Return whether it is a process of this machine that has not ended."""
        if self.host != socket.gethostname():
            return False
        try:
            # Signal 0 is never sent; only whether it could be is found out.
            os.kill(self.process, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            # There is one, of another user.
            return True
        return True


@contextmanager
def named(file: Path) -> Iterator[None]:
    """Let an error of the disk name ``file``, whatever file beside it was at fault.

    Args:
        file: what was to be written.

    Raises:
        OSError: If the disk is full, the folder is missing, or the file cannot be written.

    Example:
        >>> with named(Path("nowhere/r.h5")):
        ...     Path("nowhere/.r.part.h5").write_text("")
        Traceback (most recent call last):
        FileNotFoundError: [Errno 2] there is no folder for it, make one: 'nowhere/r.h5'
    """
    try:
        yield
    except BusyError:
        raise
    except OSError as error:
        if error.errno is None:
            raise
        reason = os.strerror(error.errno)
        if error.errno == errno.ENOENT and not file.parent.is_dir():
            reason = "there is no folder for it, make one"
        # OSError itself chooses the class that belongs to the number.
        raise OSError(error.errno, reason, str(file)) from None


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Give a file beside ``file`` to fill, which then takes that one's name.

    Whenever the process or the machine stops, ``file`` is either the old one or the new one.

    Args:
        file: what is to be written; a device or a pipe is written in place.

    Raises:
        BusyError: If another process is at the same.
        OSError: If it cannot be written; the error names ``file``, which is as it was.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with replacing(Path(folder, "r.txt")) as part:
        ...         size = part.write_text("whole")
        ...     os.listdir(folder)
        ['r.txt']
    """
    if file.exists() and not file.is_file():
        with named(file):
            yield file
        return
    # A link stays one: what it leads to is replaced.
    target = file.resolve()
    # In the same folder, so on the same disk: only there a change of name is one step. The ending
    # stays, since figures are written in the format that it names.
    part = target.with_name(f".{target.stem}.part{target.suffix}")
    lock = _locked(file, part)
    try:
        with named(file):
            yield part
            # Before the change of name, or a crash could leave the new name with half the bytes.
            _sync(part)
            if target.exists():
                shutil.copymode(target, part)
            part.replace(target)
    # An interrupt, too, leaves no part behind.
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    finally:
        os.close(lock)
    # The name is an entry of the folder, which reaches the disk on its own.
    _sync(target.parent)


def write_text(file: Path, text: str) -> None:
    """Write a text file, whole or not at all.

    Args:
        file: replaced if it exists.
        text: what it is to hold.

    Raises:
        OSError: If it cannot be written; the error names it, and it is as it was.
    """
    with replacing(file) as part:
        part.write_text(text, encoding="utf-8")


@contextmanager
def claimed(*files: Path | None) -> Iterator[None]:
    """Hold files for writing, against every other process and thread.

    Args:
        files: what is to be written; None is left out, and so are devices and pipes.

    Raises:
        BusyError: If another one is writing a file; it names the process and its machine.
        OSError: If there is no such folder, or it may not be written to.
    """
    with ExitStack() as stack:
        for file in files:
            if file is not None and (file.is_file() or not file.exists()):
                stack.enter_context(_claimed(file))
        yield


@contextmanager
def _claimed(file: Path) -> Iterator[None]:
    """Hold one file for writing."""
    lock = _lock_of(file)
    descriptor = _locked(file, lock)
    try:
        owner = _owner(descriptor)
        # Not every network disk tells one machine of another's locks.
        if owner.is_elsewhere:
            raise BusyError(_refusal(file, owner))
        try:
            with named(file):
                _sign(descriptor)
            yield
        finally:
            # Before the lock is released: later nobody could tell whose it is.
            lock.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def holder(file: Path) -> str | None:
    """Return which process is writing a file, in words; None if none is.

    Example:
        >>> print(holder(Path("nowhere/r.h5")))
        None
    """
    owner = _writing(file)
    if owner is None:
        return None
    return owner.words


def check_free(file: Path) -> None:
    """Raise a BusyError if another process is writing a file, before there is any work to lose."""
    owner = _writing(file)
    here = (socket.gethostname(), os.getpid())
    if owner is not None and (owner.host, owner.process) != here:
        raise BusyError(_refusal(file, owner))


def make_folder(folder: Path, use: str) -> None:
    """Make a folder, and those above it, unless it exists.

    Args:
        folder: what is to be there.
        use: what is to be done in it, as an error says it.

    Raises:
        ValueError: If it cannot be made; it names the folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"the folder {folder} to {use} in cannot be made ({error.strerror}); choose another"
        ) from None


def _writing(file: Path) -> _Owner | None:
    """Return who is writing a file; None if nobody is."""
    try:
        descriptor = os.open(_lock_of(file), os.O_RDONLY)
    except OSError:
        return None
    try:
        owner = _owner(descriptor)
        if owner.is_elsewhere or not _lock(descriptor, shared=True):
            return owner
        return None
    finally:
        os.close(descriptor)


def _lock_of(file: Path) -> Path:
    """Return the claim on a file, the same by whatever way the file is reached."""
    target = file.resolve()
    return target.with_name(f".{target.name}.lock")


def _locked(file: Path, lock: Path) -> int:
    """Return the descriptor of a file beside ``file`` that this process alone has locked.

    Args:
        file: what errors name.
        lock: made if it does not exist.
    """
    owner = _Owner()
    for pause in _PAUSES:
        time.sleep(pause)
        with named(file):
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        # Between the two lines above and below, its former owner may have taken the name away.
        if _lock(descriptor) and _is_at(descriptor, lock):
            return descriptor
        owner = _owner(descriptor)
        os.close(descriptor)
    raise BusyError(_refusal(file, owner))


def _lock(descriptor: int, shared: bool = False) -> bool:
    """Take the lock of an open file, and return whether it was free."""
    # Not above: systems without it can import the library.
    import fcntl

    kind = fcntl.LOCK_EX
    if shared:
        kind = fcntl.LOCK_SH
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # A disk without locks: then only what is written there tells.
        return not _owner(descriptor).is_alive
    return True


def _is_at(descriptor: int, file: Path) -> bool:
    """Return whether an open file still has its name."""
    try:
        return os.path.samestat(os.fstat(descriptor), file.stat())
    except FileNotFoundError:
        return False


def _owner(descriptor: int) -> _Owner:
    """Return who signed an open file."""
    try:
        found = json.loads(os.pread(descriptor, 4096, 0))
        return _Owner(str(found["host"]), int(found["process"]), str(found["since"]))
    # Not signed yet, or no claim but a file that is being filled.
    except (ValueError, KeyError, TypeError):
        return _Owner()


def _sign(descriptor: int) -> None:
    """Write into an open file whose it is."""
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    owner = _Owner(socket.gethostname(), os.getpid(), now)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(owner._asdict()).encode(), 0)


def _refusal(file: Path, owner: _Owner) -> str:
    """Return why a file cannot be written now, and what to do."""
    busy = f"{file.name} is being written by {owner.words}; "
    if owner.is_elsewhere:
        lock = file.with_name(f".{file.name}.lock")
        return f"{busy}if that has ended, delete {lock}, or choose another file"
    return f"{busy}wait for its end, or choose another file"


def _sync(file: Path) -> None:
    """Wait until a file or folder is on disk."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
