"""Paths as plain data, and back, with the energy that curves them."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from ... import registry
from ...kernels.checks import shown
from ...models.energy_only import complete
from ...paths.annealing import AnnealingPath
from ...paths.flow import GradientFlowPath
from ...paths.starts import Uniform
from ..packing import Contents
from .naming import function_or_class, name_of, settings_of
from .networks import describe_module, rebuild_module

__all__ = ["describe_path", "rebuild_path"]


_UNIFORM = "uniform"
"""The start that a path has unless told."""

_FLOW = "GradientFlowPath"
"""Class of a path that is no AnnealingPath, which files do not name."""


def describe_path(path: object) -> Contents:
    """Return start and schedule of a path as data, with the energy that curves it, if one does.

    Raises:
        ValueError: If the path, its start, its schedule or its energy cannot be stored.
    """
    # A subclass may differ in more than all that is stored.
    if type(path) not in (AnnealingPath, GradientFlowPath):
        raise ValueError(
            f"the path must be an AnnealingPath to be stored in a file, got {shown(path)}"
        )
    assert isinstance(path, AnnealingPath)
    if isinstance(path, GradientFlowPath):
        # Its schedule is its own.
        manifest = {"class": _FLOW, "start": _describe_start(path)}
    else:
        manifest = {"start": _describe_start(path), "schedule": _describe_schedule(path)}
    if path.correction is None:
        return Contents(manifest, {})
    energy = describe_module(path.correction, "correction", "the correction must be")
    return Contents({**manifest, "correction": energy.manifest}, energy.tensors)


def _describe_start(path: AnnealingPath) -> Any:
    """Return the start of a path as data."""
    if type(path.start) is Uniform:
        return _UNIFORM
    name = name_of("start", type(path.start))
    return {"class": name, "settings": settings_of("start", path.start)}


def _describe_schedule(path: AnnealingPath) -> Any:
    """Return the schedule of a path as data."""
    name = registry.name_of("schedule", path.schedule)
    if name is not None:
        return name
    name = name_of("schedule", function_or_class(path.schedule))
    return {"class": name, "settings": settings_of("schedule", path.schedule)}


def rebuild_path(contents: Contents, model: Any) -> AnnealingPath:
    """Return the path of :func:`describe_path`'s data to a model."""
    data, tensors = contents
    start = None
    if data["start"] != _UNIFORM:
        maker = registry.find("start", data["start"]["class"])
        start = maker(**data["start"]["settings"])
    energy: Any = None
    # Files of straight paths have no such entry.
    if "correction" in data:
        energy = rebuild_module(data["correction"], tensors, "correction", complete(model))
    if data.get("class") == _FLOW:
        return GradientFlowPath(model, energy, start)
    entry = data["schedule"]
    schedule: Callable[[Tensor], Tensor]
    # A function is stored by its name alone, an object with its settings.
    if isinstance(entry, dict):
        schedule = registry.find("schedule", entry["class"])(**entry["settings"])
    else:
        schedule = registry.find("schedule", entry)
    return AnnealingPath(model, start, schedule, energy)
