"""Learning in files: a result that :func:`leaps_triton.load` reads, and all that goes on from it.

A file holds the model that was given, the parameters and their record, the history, the witnesses,
and the state of the objective: named tensors, and numbers in the manifest.
"""

from __future__ import annotations

import hashlib
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor

from ..io.checkpoint import Contents, differences, read, write
from ..io.parts import describe_move
from ..mcmc.base import BaseMove
from ..training.state import OwnFile, mark

if TYPE_CHECKING:
    from .learner import Learner

__all__ = ["Own", "described", "packed", "resume", "save", "unpacked"]

_STATE = "state"


class Own(OwnFile):
    """Remembers which file a learner wrote or resumed last: that is its own to replace."""

    def claim(self, file: Path) -> None:
        """Remember a file as it is now."""
        self.note(file, mark(file))


class Packed(NamedTuple):
    """A state as data."""

    tensors: dict[str, Tensor]
    """By name"""
    numbers: dict[str, Any]
    """By name, ready for JSON"""


def packed(name: str, state: Any) -> Packed:
    """Return a state, a NamedTuple of tensors, numbers and such tuples, as data.

    Args:
        name: how names in the file begin.
        state: the state.
    """
    if isinstance(state, Tensor):
        # A copy: a file holds no tensor twice, and results share those of the state.
        return Packed({name: state.detach().cpu().clone()}, {})
    if not isinstance(state, tuple):
        return Packed({}, {name: state})
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, Any] = {}
    for key, value in zip(_keys(state), state, strict=True):
        part = packed(f"{name}.{key}", value)
        tensors |= part.tensors
        numbers |= part.numbers
    return Packed(tensors, numbers)


def unpacked(name: str, like: Any, data: Packed) -> Any:
    """Return a state of data.

    Args:
        name: how names in the file begin.
        like: a state of the same kind.
        data: what :func:`packed` made.
    """
    if isinstance(like, Tensor):
        return data.tensors[name]
    if not isinstance(like, tuple):
        return data.numbers[name]
    parts = []
    for key, value in zip(_keys(like), like, strict=True):
        parts.append(unpacked(f"{name}.{key}", value, data))
    return type(like)(*parts)


def _keys(state: tuple[Any, ...]) -> tuple[str, ...]:
    """Return the names of the fields of a NamedTuple."""
    names: tuple[str, ...] = state._fields  # type: ignore[attr-defined]
    return names


def described(part: Any) -> Any:
    """Return an objective or negative phase as plain data: its class and its settings."""
    if isinstance(part, BaseMove):
        return describe_move(part)
    if is_dataclass(part) and not isinstance(part, type):
        own = {each.name: described(getattr(part, each.name)) for each in fields(part)}
        return {"class": type(part).__name__, **own}
    if callable(part):
        # A function is known by its name alone.
        return getattr(part, "__qualname__", type(part).__name__)
    return part


def _digest(data: Tensor) -> str:
    """Return what tells whether data are the same."""
    return hashlib.sha256(data.contiguous().numpy().tobytes()).hexdigest()


def _contents(learner: Learner) -> Contents:
    """Return all that a learner goes on from."""
    manifest, tensors = learner.learned().contents()
    state = packed(_STATE, learner.state)
    manifest["learner"] = {
        "settings": learner.settings,
        "objective": described(learner.objective),
        "data": _digest(learner.data),
        "step": learner.step,
        "numbers": state.numbers,
    }
    return Contents(manifest, tensors | state.tensors)


def save(learner: Learner, file: Path) -> None:
    """Store a learner that has begun; see :meth:`Learner.save`."""
    write(file, _contents(learner))


def resume(learner: Learner, file: Path) -> None:
    """Take up a learning; see :meth:`Learner.resume`."""
    contents = read(file)
    stored = contents.manifest.get("learner")
    if stored is None:
        raise ValueError(
            f"{file.name} holds no learning to go on with; give a file of Learner.save"
        )
    learner.begin()
    own = _contents(learner)
    found = differences(_settings(contents), _settings(own))
    if found:
        raise ValueError(
            f"{file.name} is of another learning: {'; '.join(found)}; use the same, or another file"
        )
    tensors = contents.tensors
    try:
        state = unpacked(_STATE, learner.state, Packed(tensors, stored["numbers"]))
        thetas = list(tensors["thetas"])
        history = type(learner.history).of(contents)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{file.name} does not describe the state of this learning ({type(error).__name__}: "
            f"{error}); use another file"
        ) from None
    learner.take(stored["step"], state, thetas, history)


def _settings(contents: Contents) -> Contents:
    """Return what must be the same to go on."""
    manifest = contents.manifest
    learner = {key: manifest["learner"][key] for key in ("settings", "objective", "data")}
    kept = {name: value for name, value in contents.tensors.items() if name.startswith("model.")}
    # Through JSON tuples become lists.
    return Contents({"model": manifest["model"], **learner}, kept)
