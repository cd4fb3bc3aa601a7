"""One table of the names under which files, commands and tests know classes and functions.

Each named thing is entered once, beside its definition. Loading a file looks into this table alone:
it imports and calls nothing by name.
"""

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["KINDS", "UnknownNameError", "find", "name_of", "names", "register", "things"]

KINDS = ("model", "move", "network", "integrator", "start", "schedule", "result")
"""What can be named."""

_TABLE: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}

Thing = TypeVar("Thing")


class UnknownNameError(ValueError):
    """A name that is not entered, with the line that enters it."""


def register(kind: str, name: str | None = None) -> Callable[[Thing], Thing]:
    """Enter a class or function under a name, so that files can hold it; use as a decorator.

    A model, move, network or start of a user's own needs ``settings``: a dictionary of plain data
    (numbers, strings, booleans, None, lists, dictionaries) that, as keyword arguments of the class,
    makes it again; a dataclass has them in its fields. A network is a ``torch.nn.Module`` made by
    ``Network(model, **settings)``, and its parameters are stored too. A schedule is a function of
    times and needs no settings.

    Args:
        kind: one of :data:`KINDS`.
        name: the name in files; None for the thing's own ``__name__``.

    Returns:
        A decorator that returns what it is given.

    Raises:
        ValueError: If the kind is unknown, if there is no name, or if the name is taken.

    Example:
        >>> import leaps_triton as lt
        >>> @lt.register("schedule")
        ... def late_start(t):
        ...     return t**3
    """
    if kind not in _TABLE:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")

    def enter(thing: Thing) -> Thing:
        chosen = name
        if chosen is None:
            chosen = getattr(thing, "__name__", None)
        if not isinstance(chosen, str) or not chosen:
            raise ValueError(f"{thing!r} has no name of its own; give register({kind!r}, name=)")
        known = _TABLE[kind].setdefault(chosen, thing)
        # A module that is read again defines the same class anew.
        if known is not thing and _origin(known) != _origin(thing):
            raise ValueError(f"{chosen!r} is the name of another {kind}; choose another name=")
        _TABLE[kind][chosen] = thing
        return thing

    return enter


def find(kind: str, name: str) -> Any:
    """Return what is entered under ``name``.

    Raises:
        UnknownNameError: If the name is not entered; the error tells the line that enters it.
    """
    table = _TABLE[kind]
    # A file may hold anything in the place of a name.
    if not isinstance(name, str) or name not in table:
        known = ", ".join(table)
        raise UnknownNameError(
            f"{name!r} is no known {kind} ({known}); import the module that defines it, with "
            f"@lt.register({kind!r}) above the definition"
        )
    return table[name]


def names(kind: str) -> list[str]:
    """Return all names of a kind, in the order in which they were entered."""
    return list(_TABLE[kind])


def things(kind: str) -> dict[str, Any]:
    """Return a copy of the table of a kind: name → class or function."""
    return dict(_TABLE[kind])


def name_of(kind: str, thing: object) -> str | None:
    """Return the name under which a class or function is entered; None if it is not."""
    for name, known in _TABLE[kind].items():
        if known is thing:
            return name
    return None


def _origin(thing: object) -> tuple[str, str]:
    """Return module and qualified name, which stay the same when a module is read again."""
    return getattr(thing, "__module__", ""), getattr(thing, "__qualname__", repr(thing))
