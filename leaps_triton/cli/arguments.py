"""Words of the command line as users write them, made those that the commands take."""

import re
import sys
from collections.abc import Sequence

__all__ = ["prepared"]


FORMER = {("chain", "--kernel"): "--move"}
"""Command and option that have another name now."""

_BETA = "the inverse temperature 1/T"

_SHAPE = "one length a direction"

_MEANT = {
    "--temperature": ("--beta", _BETA),
    "--temp": ("--beta", _BETA),
    "-T": ("--beta", _BETA),
    "--T": ("--beta", _BETA),
    "--length": ("--shape", _SHAPE),
    "--size": ("--shape", _SHAPE),
    "--lattice": ("--shape", _SHAPE),
    "-L": ("--shape", _SHAPE),
    "--L": ("--shape", _SHAPE),
    "-J": ("--coupling", ""),
    "--J": ("--coupling", ""),
    "--h": ("--field", ""),
}
"""What other programs call options → the option here, and what it takes."""

_OWN = {("demo", "--length")}
"""Options among these that a command has."""

_LENGTHS = re.compile(r"\d+([xX×,]\d+)+")
"""Lengths in one word, such as 8x8."""

_BETWEEN = ("x", "X", "×", ",")
"""Words between lengths."""


def prepared(arguments: Sequence[str]) -> list[str]:
    """Return arguments with options by their present names, and lengths as words of their own.

    Args:
        arguments: those of the command line, the command first.

    Raises:
        ValueError: If an option is none here, but known from other programs; it names the one that
            is meant.

    Example:
        >>> prepared(["chain", "--shape", "8x8", "--beta=0.4"])
        ['chain', '--shape', '8', '8', '--beta=0.4']
    """
    command = next(iter(arguments), "")
    found: list[str] = []
    option = ""
    for position, argument in enumerate(arguments):
        # An option and its value may be one word, as in --name=value.
        name, equals, value = argument.partition("=")
        # A negative number is a value.
        if name.startswith("-") and not name[1:2].isdigit():
            option = name
        following = value
        if not equals and position + 1 < len(arguments):
            following = arguments[position + 1]
        _refuse(command, name, following)
        present = FORMER.get((command, name))
        if present is not None:
            print(f"leaps-triton: {name} is now {present}", file=sys.stderr)
            argument = f"{present}{equals}{value}"
        if option == "--shape":
            found.extend(_lengths(argument))
        elif option == "--observables" and argument != option:
            found.extend(argument.split(","))
        else:
            found.append(argument)
    return found


def _lengths(argument: str) -> list[str]:
    """Return ``8x8``, ``8,8`` or ``--shape=8x8`` as the words that the option takes."""
    name, equals, value = argument.partition("=")
    text = argument
    if equals:
        text = value
    if text in _BETWEEN:
        return []
    if not _LENGTHS.fullmatch(text):
        return [argument]
    lengths = re.split("[xX×,]", text)
    if equals:
        return [name, *lengths]
    return lengths


def _refuse(command: str, name: str, value: str) -> None:
    """Raise a ValueError for an option that has another name here."""
    meant = _MEANT.get(name)
    if meant is None or (command, name) in _OWN:
        return
    option, what = meant
    if command == "demo" and option == "--shape":
        raise ValueError(f"demo has no {name}; give --length, of the square lattice")
    words = f"give {option} {_value(option, value)}".rstrip()
    if what:
        words += f", {what}"
    raise ValueError(f"there is no {name}; {words}")


def _value(option: str, value: str) -> str:
    """Return what the option that is meant would be given, for a value of the other."""
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if option == "--beta":
        # No other temperature has an inverse that is meant.
        if number <= 0.0:
            return ""
        return f"{1.0 / number:.6g}"
    if option == "--shape" and value.isdigit():
        return f"{value} {value}"
    if value.startswith("-"):
        # Another option follows, and no value.
        return ""
    return value
