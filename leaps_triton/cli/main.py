"""The ``leaps-triton`` command."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import tyro

from .bench import Bench
from .chain import Chain
from .demo import Demo
from .info import Info, Measure
from .plot import Plot
from .sample import Sample
from .train import Train

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
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    try:
        chosen.run()
    except (ValueError, RuntimeError, OSError) as error:
        reason = str(error)
        if isinstance(error, OSError) and error.filename and error.strerror:
            reason = f"{error.filename}: {error.strerror}"
        sys.exit(f"leaps-triton: {' '.join(reason.split())}")
    except KeyboardInterrupt:
        sys.exit("leaps-triton: interrupted")


def _renamed(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with options by their present names; a former one is warned of."""
    command = next(iter(arguments), "")
    found = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        present = FORMER.get((command, name))
        if present is not None:
            print(f"leaps-triton: {name} is now {present}", file=sys.stderr)
            argument = f"{present}{equals}{value}"
        found.append(argument)
    return found
