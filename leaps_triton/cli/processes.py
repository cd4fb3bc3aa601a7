"""Commands that several processes run together: the first speaks, and errors name their process."""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import NoReturn

from ..parallel import Ranks

__all__ = ["SHARED", "end", "end_saying", "quiet"]

SHARED = ("train", "sample", "chain")
"""Commands that several processes can run together."""


@contextmanager
def quiet(ranks: Ranks) -> Iterator[None]:
    """Let the first process alone print.

    Args:
        ranks: the processes.
    """
    if ranks.first:
        yield
        return
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        yield


def end(ranks: Ranks, text: str, status: int) -> NoReturn:
    """End the process with a number, after a sentence on stderr.

    Args:
        ranks: the processes; one of several is silent where another has said the same.
        text: the sentence.
        status: what the process ends with.
    """
    if ranks.fail(text):
        print(f"{_name(ranks)}: {text}", file=sys.stderr)
    sys.exit(status)


def end_saying(ranks: Ranks, text: str) -> NoReturn:
    """End the process with a sentence, which goes to stderr, and status 1.

    Args:
        ranks: the same as in :func:`end`.
        text: the sentence.
    """
    if ranks.fail(text):
        sys.exit(f"{_name(ranks)}: {text}")
    sys.exit(1)


def _name(ranks: Ranks) -> str:
    """Return what sentences begin with."""
    if ranks.world == 1:
        return "leaps-triton"
    return f"leaps-triton ({ranks.name})"
