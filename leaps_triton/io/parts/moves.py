"""Moves as plain data, and back, and what files of earlier versions lack."""

import inspect
import warnings
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from ... import registry
from ...integrators.jump import Jump
from ...mcmc.base import Move, NotErgodicWarning, as_move, warn_confined
from ...mcmc.compose import Compose
from ..packing import Contents
from .naming import is_of_the_library, name_of, settings_of

__all__ = ["completed", "describe_move", "move_before", "rebuild_move"]


_IN_FILES = {"move": "kernel", "moves": "kernels", "reversible": "rates"}
"""Field of a move → what it is called in files, which keep its former name."""


def describe_move(move: Move) -> dict[str, Any]:
    """Return a move as data: its class, its first field, and what differs from a default.

    A field that files did not have at first (:func:`~leaps_triton.mcmc.since`) is always told.

    Args:
        move: one of the library, or of a registered class with settings.

    Raises:
        ValueError: If the move cannot be stored.
    """
    # A move of a user is wrapped by the library, and stored as it was given.
    own = as_move("move", move).own
    name = name_of("move", type(own))
    if not is_dataclass(own) or not is_of_the_library(own):
        return {"class": name, "settings": settings_of("move", own)}
    found: dict[str, Any] = {"class": name}
    for number, field in enumerate(fields(own)):
        value = getattr(own, field.name)
        # Defaults are left out, so that a field added later changes no file of before. One whose
        # absence means another value than the default is always there.
        always = number == 0 or field.default is MISSING or field.metadata.get("always", False)
        usual = field.metadata.get("before", field.default)
        if always or value != usual:
            found[_IN_FILES.get(field.name, field.name)] = _describe_value(value)
    return found


def _describe_value(value: Any) -> Any:
    """Return a move's field as data; moves within a move are described in turn."""
    if isinstance(value, tuple | list):
        return [_describe_value(part) for part in value]
    if callable(getattr(value, "step", None)):
        return describe_move(value)
    return value


def completed(contents: Contents) -> Contents:
    """Return contents with the settings that files of earlier versions lack, as they were then.

    They are fields of moves, the gauge of networks and the weights of the jump process.
    """
    manifest = dict(contents.manifest)
    # Chains keep their move under its former name, samplers under their argument's.
    for key in manifest.keys() & {"kernel", "mcmc"}:
        manifest[key] = _completed_move(manifest[key])
    integrator = manifest.get("integrator")
    if integrator and registry.things("integrator").get(str(integrator.get("class"))) is Jump:
        manifest["integrator"] = {"weights": "frozen", **integrator}
    network = manifest.get("network")
    if network and _takes_gauge(network):
        settings = {"gauge": "plain", **network.get("settings", {})}
        manifest["network"] = {**network, "settings": settings}
    return contents._replace(manifest=manifest)


def _takes_gauge(network: dict[str, Any]) -> bool:
    """Return whether a network's class has a gauge among its arguments."""
    maker = registry.things("network").get(str(network.get("class")))
    if maker is None:
        return False
    return "gauge" in inspect.signature(maker).parameters


def _completed_move(value: Any) -> Any:
    """Return a move's data, or a field's, with what each move within lacks."""
    if isinstance(value, list):
        return [_completed_move(part) for part in value]
    if not isinstance(value, dict) or "settings" in value:
        return value
    maker = registry.things("move").get(str(value.get("class")))
    own = {key: _completed_move(part) for key, part in value.items()}
    return {**own, **_before(maker, value, True)}


def _before(maker: Any, data: dict[str, Any], always: bool) -> dict[str, Any]:
    """Return the fields that are missing in data of a move, and what their absence means.

    Args:
        maker: class of the move.
        data: the move.
        always: which fields, those that files always hold or those they need not hold.
    """
    if not is_dataclass(maker):
        return {}
    later = [field for field in fields(maker) if field.metadata.get("always") is always]
    return {field.name: field.metadata["before"] for field in later if field.name not in data}


def rebuild_move(data: dict[str, Any]) -> Any:
    """Return the move of :func:`describe_move`'s data.

    Warns:
        NotErgodicWarning: a move of an earlier version without a field that makes it ergodic.
    """
    maker = registry.find("move", data["class"])
    if "settings" in data:
        return maker(**data["settings"])
    now = {key: name for name, key in _IN_FILES.items()}
    settings = {}
    for key, value in data.items():
        if key != "class":
            settings[now.get(key, key)] = _rebuild_value(value)
    # Compose takes its moves one by one, not as a field.
    if maker is Compose:
        return Compose(*settings["moves"])
    missing = _before(maker, data, True)
    move = maker(**settings, **missing, **_before(maker, data, False))
    if missing:
        names = ", ".join(missing)
        about = f"a file of an earlier version has no {names} of {data['class']}, goes on as before"
        warn_confined(move, f"{about}, and")
    return move


def move_before(data: dict[str, Any]) -> Any:
    """Return the move of a run that goes on, without a word: what it leaves open is taken from it.

    Args:
        data: of :func:`describe_move`.
    """
    with warnings.catch_warnings():
        # What is said of the file's move need not hold for one that is named anew.
        warnings.simplefilter("ignore", NotErgodicWarning)
        return rebuild_move(data)


def _rebuild_value(value: Any) -> Any:
    """Return a move's field from data."""
    if isinstance(value, list):
        return [_rebuild_value(part) for part in value]
    if isinstance(value, dict):
        return rebuild_move(value)
    return value
