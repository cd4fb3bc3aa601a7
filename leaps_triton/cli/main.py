"""The ``leaps-triton`` command."""

import sys
from collections.abc import Sequence

import tyro

from .bench import Bench
from .chain import Chain
from .demo import Demo
from .info import Info, Measure
from .plot import Plot
from .sample import Sample
from .train import Train

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a bad option or value ends in one sentence and a non-zero status."""
    chosen = tyro.extras.subcommand_cli_from_dict(
        {
            "demo": Demo,
            "train": Train,
            "sample": Sample,
            "chain": Chain,
            "measure": Measure,
            "plot": Plot,
            "info": Info,
            "bench": Bench,
        },
        prog="leaps-triton",
        description="Samples and free energies of lattice models, with exact weights.",
        args=arguments,
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
