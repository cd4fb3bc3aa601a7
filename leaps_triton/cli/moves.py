"""Moves of Markov chains as words of the command line."""

import inspect
import json
from collections.abc import Sequence
from typing import Any

import leaps_triton as lt

from .. import registry
from .options import choices, choose, spelled

__all__ = ["AUTO", "MOVES", "as_move"]


AUTO = "auto"
"""The word for the move that follows from the model."""


def alone() -> list[str]:
    """Return the names of all moves but compositions, which several words make."""
    return [name for name in registry.names("move") if name != "Compose"]


_LADDERS = {"betas", "fractions", "mass_squared", "quartic"}
"""Settings of which parallel tempering needs one."""


MOVES = (
    f"What moves the walkers: {AUTO}, which follows from the model, or is that of a file to go "
    f"on with; or {choices(alone())}. Several are made one after another; "
    "parallel-tempering has those after it move its replicas. Settings follow a colon, as in "
    "heat-bath:sweeps=2,backward=true or parallel-tempering:betas=0.1/0.2/0.44, inverse "
    "temperatures that end at the model's own. A field is moved by hmc or langevin, as in "
    "hmc:leapfrogs=3, and tempered in a coupling, as in parallel-tempering:quartic=8/7/6."
)
"""Help of an option that takes moves."""


def as_move(words: Sequence[str]) -> Any:
    """Return the move that words of the command line describe.

    Args:
        words: ``name`` or ``name:setting=value,setting=value``, names of moves as the command line
            spells them. Values are numbers, ``true``, ``false``, ``none`` or words; a list is
            joined by slashes.

    Returns:
        The move; None for the default of the model, which is ``auto``.

    Raises:
        ValueError: If there is no such move or setting, or a value is refused.

    Example:
        >>> as_move(["heat-bath:sweeps=2"])
        HeatBath(sweeps=2, backward=False, packed=None)
    """
    if not words:
        raise ValueError("give at least one --move")
    if AUTO in words:
        if len(words) > 1:
            raise ValueError(f"{AUTO} is a move of its own; give it alone, or leave it out")
        return None
    made = []
    for position, word in enumerate(words):
        name, _, text = word.partition(":")
        known = choose("move", name, alone())
        maker = registry.find("move", known)
        given = _settings(known, maker, text)
        if known == "ParallelTempering" and not given.keys() & _LADDERS:
            raise ValueError(
                f"{spelled(known)} needs its betas, as in {spelled(known)}:betas=0.1/0.2/0.44, or "
                f"of a field a coupling, as in {spelled(known)}:quartic=8/7/6"
            )
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
        raise ValueError(f"{spelled(name)} needs its {setting}, as in {spelled(name)}:{setting}=…")
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
