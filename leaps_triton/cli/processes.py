"""Commands that several processes run together: the first speaks, and errors name their process."""

import io
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout

from ..parallel import ALONE, Group, Ranks, together, world_size

__all__ = ["NAME", "SHARED", "as_one", "prefix"]

NAME = "leaps-triton"

SHARED = ("train", "sample", "chain")
"""Commands that several processes can run together."""

Main = Callable[[Sequence[str], Ranks], None]


def prefix(ranks: Ranks) -> str:
    """Return what errors of a process begin with."""
    if ranks.world == 1:
        return NAME
    return f"{NAME} ({ranks.name})"


def as_one(main: Main, arguments: Sequence[str]) -> None:
    """Run a command in this process, by itself or together with those that torchrun has started.

    Args:
        main: takes the arguments, and its place among the processes.
        arguments: those of the command line.

    Raises:
        ValueError: If several processes are to run a command that is for one.
    """
    if world_size() == 1:
        main(arguments, ALONE)
        return
    with together() as ranks:
        assert isinstance(ranks, Group)
        _run(main, arguments, ranks)


def _run(main: Main, arguments: Sequence[str], ranks: Group) -> None:
    """Run a command in one of several processes."""
    said = io.StringIO()
    try:
        with _quiet(ranks, said):
            main(arguments, ranks)
    except SystemExit as ended:
        if ended.code in (None, 0):
            return
        why = str(ended.code)
        if isinstance(ended.code, int):
            # What a command says before it ends with a number.
            why = said.getvalue().strip().rpartition("\n")[2]
        speaks = ranks.fail(why.removeprefix(f"{prefix(ranks)}: "))
        if ranks.first:
            raise
        if speaks and why:
            print(why, file=sys.stderr)
        status = 1
        if isinstance(ended.code, int):
            status = ended.code
        sys.exit(status)


@contextmanager
def _quiet(ranks: Ranks, said: io.StringIO) -> Iterator[None]:
    """Let the first process alone print; what another says to stderr is kept in ``said``."""
    if ranks.first:
        yield
        return
    with redirect_stdout(io.StringIO()), redirect_stderr(said):
        yield
