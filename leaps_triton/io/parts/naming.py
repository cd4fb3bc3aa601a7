"""Names and settings of parts, as files keep them."""

from dataclasses import fields, is_dataclass
from typing import Any

from ... import registry
from ...kernels.checks import shown

__all__ = ["function_or_class", "is_of_the_library", "name_of", "settings_of"]


def function_or_class(thing: Any) -> Any:
    """Return a function itself, and the class of any other object."""
    if isinstance(getattr(thing, "__name__", None), str):
        return thing
    return type(thing)


def name_of(kind: str, thing: Any, must: str = "") -> str:
    """Return the name that a class or function is entered under; a ValueError if it is not."""
    name = registry.name_of(kind, thing)
    if name is None:
        known = ", ".join(registry.names(kind))
        raise ValueError(
            f"{must or f'the {kind} must be'} one of {known} to be stored in a file, got "
            f"{thing.__name__}; put @lt.register({kind!r}) above its definition"
        )
    return name


def is_of_the_library(thing: object) -> bool:
    """Return whether a class is one of the library, whose files have keys of their own."""
    package = __name__.partition(".")[0]
    return type(thing).__module__.partition(".")[0] == package


def settings_of(kind: str, thing: Any) -> dict[str, Any]:
    """Return what makes a thing again, as plain data; a ValueError if it does not say so."""
    found = getattr(thing, "settings", None)
    if found is None and is_dataclass(thing):
        # Fields that are no arguments are computed by the constructor anew.
        found = {field.name: getattr(thing, field.name) for field in fields(thing) if field.init}
    if not isinstance(found, dict) or not _is_plain(found):
        raise ValueError(
            f"{type(thing).__name__} needs settings to be stored in a file, a dictionary of plain "
            f"data that as keyword arguments makes the {kind} again, got {shown(found)}"
        )
    return {name: _as_lists(value) for name, value in found.items()}


def _is_plain(value: Any) -> bool:
    """Return whether a value is the same once it has been JSON, but for tuples that are lists."""
    if isinstance(value, dict):
        named = all(isinstance(name, str) for name in value)
        return named and all(_is_plain(part) for part in value.values())
    if isinstance(value, list | tuple):
        return all(_is_plain(part) for part in value)
    # Exact types: a subclass, such as an enum, would come back as a plain number.
    return value is None or type(value) in (bool, int, float, str)


def _as_lists(value: Any) -> Any:
    """Return plain data with lists in the place of tuples, as a file gives them back."""
    if isinstance(value, dict):
        return {name: _as_lists(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_as_lists(part) for part in value]
    return value
