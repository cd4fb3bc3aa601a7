"""The ``leaps-triton`` command."""

import dataclasses
import sys
from collections.abc import Callable, Sequence
from typing import Any

import tyro

from ..files import claimed
from ..kernels.checks import nearest
from ..parallel import Ranks, together
from ..provenance import __version__, provenance
from .arguments import prepared
from .commands.bench import Bench, Tune
from .commands.chain import Chain
from .commands.demo import Demo
from .commands.info import Info, Measure
from .commands.learn import Learn
from .commands.plot import Plot
from .commands.sample import Merge, Sample
from .commands.scan import Scan
from .commands.train import Train
from .interrupts import Interrupted, Unfinished, raising, reason, sentence
from .processes import SHARED, end, end_saying, quiet
from .results import check_folders

__all__ = ["main"]


COMMANDS: dict[str, Callable[..., Any]] = {
    "demo": Demo,
    "train": Train,
    "learn": Learn,
    "sample": Sample,
    "chain": Chain,
    "scan": Scan,
    "merge": Merge,
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
        with together() as ranks:
            _main(arguments, ranks)
    # What ends a command ends the process; here processes have not come together, or apart.
    except (ValueError, RuntimeError) as error:
        sys.exit(f"leaps-triton: {reason(error)}")


def _main(arguments: Sequence[str], ranks: Ranks) -> None:
    """Run the command line in one process, which may be one of several."""
    try:
        _check_command(arguments, ranks)
        words = prepared(arguments)
    except ValueError as error:
        end_saying(ranks, str(error))
    with quiet(ranks):
        chosen = tyro.extras.subcommand_cli_from_dict(
            COMMANDS,
            prog="leaps-triton",
            description="Samples and free energies of lattice models, with exact weights.",
            args=words,
            # Flags are off unless given, so a --no- twin of each would only lengthen the help.
            config=(tyro.conf.FlagCreatePairsOff,),
        )
    try:
        with raising(), quiet(ranks):
            _run(chosen, ranks)
    except Unfinished as error:
        end(ranks, sentence(error, arguments), error.status)
    # Only what a user can mend; other errors are defects, and show their traceback.
    except (ValueError, RuntimeError, OSError) as error:
        # A text as status goes to stderr, and the process ends with 1.
        end_saying(ranks, reason(error))
    except Interrupted as error:
        end(ranks, str(error), error.status)
    except KeyboardInterrupt:
        end(ranks, str(Interrupted()), Interrupted().status)


def _run(chosen: Any, ranks: Ranks) -> None:
    """Run a command; no other process writes its results meanwhile."""
    if not ranks.first:
        # The first process alone has results.
        chosen = dataclasses.replace(chosen, json=None)
    check_folders(chosen.json)
    with claimed(chosen.json):
        if ranks.world == 1:
            chosen.run()
        else:
            chosen.run(ranks)


def _version() -> str:
    """Return the version, with the commit where the library runs from a checkout."""
    commit = provenance()["commit"]
    if commit == "unknown":
        return __version__
    return f"{__version__} (commit {commit})"


def _check_command(arguments: Sequence[str], ranks: Ranks) -> None:
    """Raise a ValueError for a first word that is no command; the parser would show all options."""
    command = next(iter(arguments), "-")
    if ranks.world > 1 and command in COMMANDS and command not in SHARED:
        raise ValueError(
            f"{command} runs in one process, got {ranks.world}; torchrun is for {', '.join(SHARED)}"
        )
    if not command.startswith("-") and command not in COMMANDS:
        near = nearest(command, COMMANDS)
        raise ValueError(
            f"there is no command {command!r}; choose from {', '.join(COMMANDS)}{near}; --help "
            f"tells of each"
        )
