"""Densities that have a name on the command line, and where paths to them begin."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import leaps_triton as lt

__all__ = ["DENSITIES", "NamedDensity", "density_path", "is_density", "make_density", "refuse"]


@dataclass(frozen=True)
class NamedDensity:
    """A density with a name.

    Attributes:
        make: returns it, called with its options.
        start: of paths to it, which covers all of its modes.
        takes: the options that it has.
    """

    make: Callable[..., Any]
    start: Any
    takes: tuple[str, ...] = ()


DENSITIES = {
    "gmm9": NamedDensity(lt.GaussianMixture.nine, lt.Gaussian(4.0)),
    "gmm40": NamedDensity(lt.GaussianMixture.forty, lt.Gaussian(25.0)),
    "two-modes": NamedDensity(lt.GaussianMixture.two, lt.Gaussian(1.0), ("separation",)),
    "many-well": NamedDensity(lt.ManyWell.pairs, lt.Gaussian(1.5), ("dim",)),
    "funnel": NamedDensity(lt.Funnel, lt.Gaussian(1.0), ("dim",)),
    "laplace": NamedDensity(lt.LaplacePair, lt.Laplace(), ("separation",)),
}
"""Word of the command line → the density."""

_SEPARATION = 8.0
"""Of the two peaks of laplace, unless told."""


def _word(text: str) -> str:
    """Return a word as the command line spells it: names in Python are taken too."""
    return text.replace("_", "-")


def is_density(word: str) -> bool:
    """Return whether a word of the command line names a density."""
    return _word(word) in DENSITIES


def make_density(word: str, options: Mapping[str, Any]) -> Any:
    """Return the density of a name.

    Args:
        word: one of ``DENSITIES``.
        options: name → value; None for the default.

    Raises:
        ValueError: an option that it has not.
    """
    named = DENSITIES[_word(word)]
    given = {}
    for name, value in options.items():
        if value is None:
            continue
        if name not in named.takes:
            raise ValueError(
                f"--{name} is no option of --model {word}; leave it out, or choose another model"
            )
        given[name] = value
    if named.make is lt.LaplacePair:
        given.setdefault("separation", _SEPARATION)
    return named.make(**given)


def density_path(word: str, options: Mapping[str, Any]) -> lt.AnnealingPath:
    """Return the path to the density of a name, from its start.

    Args:
        word: one of ``DENSITIES``.
        options: name → value; None for the default.

    Raises:
        ValueError: there is no such density, or an option that it has not.
    """
    if not is_density(word):
        raise ValueError(
            f"--model of sample must be a density, {', '.join(DENSITIES)}, got {word!r}; give "
            f"CHECKPOINT of a model of a lattice"
        )
    return lt.AnnealingPath(make_density(word, options), start=DENSITIES[_word(word)].start)


def refuse(word: str, command: str, mend: str) -> None:
    """Raise a ValueError for a density where a command takes none.

    Args:
        word: the model of the command.
        command: its name.
        mend: what is to be taken, in words.
    """
    if is_density(word):
        raise ValueError(f"--model {word} is a density, which {command} does not take; {mend}")
