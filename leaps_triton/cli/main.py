"""The ``leaps-triton`` command."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import tyro

from ..kernels.checks import nearest
from .arguments import prepared
from .commands.bench import Bench
from .commands.chain import Chain
from .commands.demo import Demo
from .commands.info import Info, Measure
from .commands.plot import Plot
from .commands.sample import Sample
from .commands.train import Train

__all__ = ["main"]


COMMANDS: dict[str, Callable[..., Any]] = {
    "demo": Demo,
    "train": Train,
    "sample": Sample,
    "chain": Chain,
    "measure": Measure,
    "plot": Plot,
    "info": Info,
    "bench": Bench,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a bad option or value ends in one sentence and a non-zero status."""
    if arguments is None:
        arguments = sys.argv[1:]
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
        chosen.run()
    # Only what a user can mend; other errors are defects, and show their traceback.
    except (ValueError, RuntimeError, OSError) as error:
        reason = str(error)
        if isinstance(error, OSError) and error.filename and error.strerror:
            # Without the number of the error that Python puts before it.
            reason = f"{error.filename}: {error.strerror}"
        # A text as status goes to stderr, and the process ends with 1.
        sys.exit(f"leaps-triton: {' '.join(reason.split())}")
    except KeyboardInterrupt:
        sys.exit("leaps-triton: interrupted")


def _check_command(arguments: Sequence[str]) -> None:
    """Raise a ValueError for a first word that is no command; the parser would show all options."""
    command = next(iter(arguments), "-")
    if not command.startswith("-") and command not in COMMANDS:
        near = nearest(command, COMMANDS)
        raise ValueError(
            f"there is no command {command!r}; choose from {', '.join(COMMANDS)}{near}; --help "
            f"tells of each"
        )
