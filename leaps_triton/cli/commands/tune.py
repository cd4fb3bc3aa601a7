"""``leaps-triton tune``: the best configuration of every kernel on this machine's device."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ...kernels.registration import MISSING
from ..options import check_folders

__all__ = ["Tune"]


@dataclass(frozen=True)
class Tune:
    """Find the best configuration of every kernel on a CUDA device, and keep it.

    Only configurations that keep every bit count. Later runs take them.
    """

    ops: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="[OP...]", help_behavior_hint=""),
    ] = ()
    """Names of ops; all by default."""
    shape: tuple[int, ...] = (64, 64)
    """Lattice to tune for."""
    walkers: int = 1024
    """Number of walkers."""
    device: str | None = None
    """"cuda", or one of several, such as "cuda:1"."""
    seconds: float = 600.0
    """Time it may take; what was found until then is kept."""
    dry_run: bool = False
    """List what would be tried, which needs no device."""
    json: Path | None = None
    """File of the configurations; by default that which later runs read."""

    def run(self) -> None:
        """Tune, and say what came of each kernel."""
        check_folders(self.json)
        if MISSING is not None:
            raise ValueError(f"there is nothing to tune: Triton cannot be imported: {MISSING}")
        # All other commands do without Triton.
        from ...bench.tuning import run

        run(
            self.ops,
            self.shape,
            self.walkers,
            self.device,
            self.seconds,
            self.json,
            self.dry_run,
        )
