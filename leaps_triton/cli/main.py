"""The ``leaps-triton`` command."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import tyro

from ..files import claimed
from ..kernels.checks import nearest
from ..provenance import __version__, provenance
from .arguments import prepared
from .commands.bench import Bench
from .commands.chain import Chain
from .commands.demo import Demo
from .commands.info import Info, Measure
from .commands.plot import Plot
from .commands.sample import Sample
from .commands.scan import Scan
from .commands.train import Train
from .commands.tune import Tune
from .interrupts import Interrupted, Unfinished, raising, reason, sentence
from .options import check_folders

__all__ = ["main"]


COMMANDS: dict[str, Callable[..., Any]] = {
    "demo": Demo,
    "train": Train,
    "sample": Sample,
    "chain": Chain,
    "scan": Scan,
    "measure": Measure,
    "plot": Plot,
    "info": Info,
    "bench": Bench,
    "tune": Tune,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a bad option or value ends in one sentence and a non-zero status.

    What a signal or a full disk ended says in one sentence where its results are, and how to go on;
    the status is 128 and the number of the signal, 130 for Ctrl-C.
    """
    if arguments is None:
        arguments = sys.argv[1:]
    if list(arguments) == ["--version"]:
        print(f"leaps-triton {_version()}")
        return
    try:
        _check_command(arguments)
        words = prepared(arguments)
    except ValueError as error:
        sys.exit(f"leaps-triton: {error}")
    chosen = tyro.extras.subcommand_cli_from_dict(
        COMMANDS,
        prog="leaps-triton",
        description="Samples and free energies of lattice models, with exact weights.",
        args=words,
        # Flags are off unless given, so a --no- twin of each would only lengthen the help.
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    try:
        with raising():
            _run(chosen)
    except Unfinished as error:
        print(f"leaps-triton: {sentence(error, arguments)}", file=sys.stderr)
        sys.exit(error.status)
    # Only what a user can mend; other errors are defects, and show their traceback.
    except (ValueError, RuntimeError, OSError) as error:
        # A text as status goes to stderr, and the process ends with 1.
        sys.exit(f"leaps-triton: {reason(error)}")
    except Interrupted as error:
        print(f"leaps-triton: {error}", file=sys.stderr)
        sys.exit(error.status)
    except KeyboardInterrupt:
        print(f"leaps-triton: {Interrupted()}", file=sys.stderr)
        sys.exit(Interrupted().status)


def _run(chosen: Any) -> None:
    """Run a command; no other process writes its results meanwhile."""
    check_folders(chosen.json)
    with claimed(chosen.json):
        chosen.run()


def _version() -> str:
    """Return the version, with the commit where the library runs from a checkout."""
    commit = provenance()["commit"]
    if commit == "unknown":
        return __version__
    return f"{__version__} (commit {commit})"


def _check_command(arguments: Sequence[str]) -> None:
    """Raise a ValueError for a first word that is no command; the parser would show all options."""
    command = next(iter(arguments), "-")
    if not command.startswith("-") and command not in COMMANDS:
        near = nearest(command, COMMANDS)
        raise ValueError(
            f"there is no command {command!r}; choose from {', '.join(COMMANDS)}{near}; --help "
            f"tells of each"
        )
