"""Former names of keywords and attributes, which keep working with a warning."""

import functools
import warnings
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

__all__ = ["renamed", "renamed_fields", "warn_renamed"]

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
Class = TypeVar("Class", bound=type)


def renamed(
    **names: str,
) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """Accept former names of keywords, with a warning; use as a decorator of a function.

    Args:
        names: former name → the name of today.

    Returns:
        A decorator.

    Example:
        >>> @renamed(kernel="move")
        ... def run(move):
        ...     return move
        >>> run(move=3)
        3
    """

    def mark(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        @functools.wraps(function)
        def called(*args: Parameters.args, **given: Parameters.kwargs) -> Result:
            keywords: dict[str, Any] = dict(given)
            for old, new in names.items():
                if old not in keywords:
                    continue
                if new in keywords:
                    raise TypeError(f"give {new}= alone: {old}= is its former name")
                warn_renamed(f"{old}=", f"{new}=", stacklevel=3)
                keywords[new] = keywords.pop(old)
            return function(*args, **keywords)

        return called

    return mark


def renamed_fields(**names: str) -> Callable[[Class], Class]:
    """Accept former names of a class's keywords, with a warning; use as a decorator of the class.

    Args:
        names: former name → the name of today.

    Returns:
        A decorator.
    """

    def mark(made: Class) -> Class:
        changed: Any = made
        changed.__init__ = renamed(**names)(changed.__init__)
        return made

    return mark


def warn_renamed(old: str, new: str, stacklevel: int = 3) -> None:
    """Warn that something has a new name.

    Args:
        old: the former name, as written in code.
        new: the name of today.
        stacklevel: how far up the line stands that is to be changed; 3 is the caller of the caller.
    """
    warnings.warn(f"{old} is now {new}", DeprecationWarning, stacklevel=stacklevel)
