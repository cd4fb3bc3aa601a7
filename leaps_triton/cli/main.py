"""The ``leaps-triton`` command."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import tyro

from .commands.bench import Bench
from .commands.chain import Chain
from .commands.demo import Demo
from .commands.info import Info, Measure
from .commands.plot import Plot
from .commands.sample import Sample
from .commands.scan import Scan
from .commands.train import Train

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
}

FORMER = {("chain", "--kernel"): "--move"}
"""Command and option that have another name now."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a bad option or value ends in one sentence and a non-zero status."""
    if arguments is None:
        arguments = sys.argv[1:]
    chosen = tyro.extras.subcommand_cli_from_dict(
        COMMANDS,
        prog="leaps-triton",
        description="Samples and free energies of lattice models, with exact weights.",
        args=_renamed(arguments),
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


def _renamed(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with options by their present names; a former one is warned of."""
    command = next(iter(arguments), "")
    found = []
    for argument in arguments:
        # An option and its value may be one word, as in --name=value.
        name, equals, value = argument.partition("=")
        present = FORMER.get((command, name))
        if present is not None:
            print(f"leaps-triton: {name} is now {present}", file=sys.stderr)
            argument = f"{present}{equals}{value}"
        found.append(argument)
    return found
