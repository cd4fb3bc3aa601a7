"""``leaps-triton chain``: Markov chains into a file."""

import inspect
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

import leaps_triton as lt

from .. import registry
from ..kernels.checks import as_device
from ..provenance import provenance
from .info import measured
from .options import (
    ModelOptions,
    announce,
    check_folders,
    choices,
    choose,
    config,
    spelled,
    write,
)

__all__ = ["Chain", "as_move"]


def _alone() -> list[str]:
    """Return the names of all moves but compositions, which several words make."""
    return [name for name in registry.names("move") if name != "Compose"]


_MOVES = (
    f"What moves the walkers: {choices(_alone())}. Several are made one after another; "
    "parallel-tempering has those after it move its replicas. Settings follow a colon, as in "
    "heat-bath:sweeps=2,backward=true or parallel-tempering:fractions=0.25/0.5/1."
)


@dataclass(frozen=True, kw_only=True)
class Chain(ModelOptions):
    """Run Markov chains into an HDF5 file, and print physics with errors.

    With --resume and the same other options a stopped run goes on.

    A finished run goes on too: with more --sweeps it grows.
    """

    output: Path
    """HDF5 file for the observables of every draw."""
    move: Annotated[tuple[str, ...], tyro.conf.arg(help=_MOVES)] = ("heat-bath",)
    """What moves the walkers."""
    walkers: int = 64
    """Independent chains."""
    sweeps: int = 10000
    """Steps of the move after the burn-in."""
    thin: int = 10
    """Steps from one draw to the next."""
    burn_in: int | None = None
    """Steps before, not measured; by default a tenth of the sweeps."""
    observables: tuple[str, ...] = lt.io.OBSERVABLES
    """Names in lt.observables, such as correlation."""
    configurations: bool = False
    """Store the configurations too, one byte a site, draw and walker."""
    every: int = 100
    """Draws from one write to the next; a crash loses no more."""
    resume: bool = False
    """Go on with the output file, if there is one."""
    seed: int = 0
    """Seed of everything random, 0 to 4294967295."""
    device: str | None = None
    """"cpu" or "cuda"; CUDA by default where there is a CUDA device."""
    json: Path | None = None
    """Where to save the table as JSON."""

    def run(self) -> None:
        """Run, print, and save."""
        check_folders(self.output, self.json)
        place = as_device(self.device)
        move = as_move(self.move)
        model = self.make()
        announce(model, place)
        begin = time.perf_counter()
        run = lt.io.run_chain(
            model,
            move,
            self.walkers,
            self.sweeps,
            self.output,
            thin=self.thin,
            seed=self.seed,
            burn_in=self.burn_in,
            observables=self.observables,
            device=place,
            configurations=self.configurations,
            every=self.every,
            resume=self.resume,
            progress=True,
        )
        table = measured(run, self.output)
        print(f"chain: {self.output}")
        seconds = time.perf_counter() - begin
        about = {"seconds": seconds, "config": config(self), "versions": provenance()}
        write(self.json, {**table, **about})


def as_move(words: Sequence[str]) -> Any:
    """Return the move that words of the command line describe.

    Args:
        words: ``name`` or ``name:setting=value,setting=value``, names of moves as the command line
            spells them. Values are numbers, ``true``, ``false``, ``none`` or words; a list is
            joined by slashes.

    Raises:
        ValueError: If there is no such move or setting, or a value is refused.

    Example:
        >>> as_move(["heat-bath:sweeps=2"])
        HeatBath(sweeps=2, backward=False)
    """
    if not words:
        raise ValueError("give at least one --move")
    made = []
    for position, word in enumerate(words):
        name, _, text = word.partition(":")
        known = choose("move", name, _alone())
        maker = registry.find("move", known)
        given = _settings(known, maker, text)
        if known == "ParallelTempering" and position + 1 < len(words):
            # The moves after it are those of its replicas.
            made.append(maker(move=as_move(words[position + 1 :]), **given))
            break
        made.append(maker(**given))
    if len(made) == 1:
        return made[0]
    return lt.Compose(*made)


def _settings(name: str, maker: Any, text: str) -> dict[str, Any]:
    """Return the settings of a move from ``setting=value,setting=value``."""
    parameters = inspect.signature(maker).parameters
    # An inner move comes as words of its own; `kernel` is the former name of `move`.
    takes = [each for each in parameters if each not in ("move", "kernel")]
    required = {each for each in takes if parameters[each].default is inspect.Parameter.empty}
    found = {}
    for part in text.split(","):
        # A name without settings leaves one empty text.
        if not part:
            continue
        setting, equals, value = part.partition("=")
        if setting not in takes or not equals:
            raise ValueError(
                f"{spelled(name)} has no setting {part!r}; give {' or '.join(takes)} as in "
                f"{spelled(name)}:{takes[0]}=…"
            )
        found[setting] = _value(value)
    for setting in required - found.keys():
        raise ValueError(
            f"{spelled(name)} needs its {setting}, as in {spelled(name)}:{setting}=0.25/0.5/1"
        )
    return found


def _value(text: str) -> Any:
    """Return a number, a bool, None, a word, or a list of these that is joined by slashes."""
    # Commas part settings, so slashes part the entries of a list.
    if "/" in text:
        return [_value(part) for part in text.split("/")]
    if text in ("none", "None"):
        return None
    try:
        # JSON knows numbers and small true and false; Python's True is taken too.
        return json.loads(text.lower())
    except ValueError:
        return text
