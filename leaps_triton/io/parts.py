"""Parts of a sampler as plain data, and back: model, path, network, integrator, move.

A part is stored under the name it is entered under by :func:`leaps_triton.register`, with its
settings. To read one, its name is looked up in that registry alone: nothing is imported, and
nothing called, by a name in a file.
"""

import inspect
import warnings
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from torch import Tensor, nn

from .. import registry
from ..integrators.base import Integrator
from ..integrators.jump import Jump
from ..kernels.checks import shown
from ..mcmc.base import Move, NotErgodicWarning, as_move, warn_confined
from ..mcmc.compose import Compose
from ..models.energy_only import as_given, complete
from ..models.pair import PairModel
from ..paths.annealing import AnnealingPath
from ..paths.flow import GradientFlowPath
from ..paths.starts import Uniform
from .packing import Contents

__all__ = [
    "completed",
    "describe_integrator",
    "describe_model",
    "describe_move",
    "describe_network",
    "describe_path",
    "move_before",
    "rebuild_integrator",
    "rebuild_model",
    "rebuild_move",
    "rebuild_network",
    "rebuild_path",
]


_TABLES = ("bond_table", "site_table", "coupling", "spins")
"""What, with shape, q and beta, tells all of a pair model of the library."""

_UNIFORM = "uniform"
"""The start that a path has unless told."""

_FLOW = "GradientFlowPath"
"""Class of a path that is no AnnealingPath, which files do not name."""


def describe_model(model: Any) -> Contents:
    """Return a model as data: what the manifest says of it, and its tables.

    Args:
        model: one of the library, or of a registered class: a pair model is known by its tables,
            any other by its settings.

    Raises:
        ValueError: If the model cannot be stored.
    """
    # A path wraps a model that has nothing but an energy.
    own = as_given(model)
    name = _name_of("model", type(own))
    # A model with settings of its own may keep more than its tables tell.
    if not isinstance(own, PairModel) or hasattr(own, "settings"):
        return Contents({"class": name, "settings": _settings("model", own)}, {})
    manifest = {
        "class": name,
        "shape": list(own.lattice.shape),
        "periodic": list(own.lattice.periodic),
        "q": own.q,
        "beta": own.beta,
    }
    # On the host: a file may be read where the device of the model is not.
    tables = {f"model.{table}": getattr(own, table).detach().cpu() for table in _TABLES}
    return Contents(manifest, tables)


def rebuild_model(data: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
    """Return the model of :func:`describe_model`'s data."""
    maker = registry.find("model", data["class"])
    if "settings" in data:
        return maker(**data["settings"])
    stored = tensors["model.coupling"]
    coupling: float | Tensor = stored
    if stored.numel() == 1:
        # One coupling for all bonds is a number to the constructor.
        coupling = stored.item()
    elif stored[0].numel() == 1:
        # One per direction, which it takes as (ndim,).
        coupling = stored.flatten()
    site_table = tensors["model.site_table"]
    # One row for all sites, which the constructor takes as (q,).
    if site_table.numel() == data["q"]:
        site_table = site_table.flatten()
    return maker.from_tables(
        data["shape"],
        data["beta"],
        tensors["model.bond_table"],
        site_table,
        coupling,
        data["periodic"],
        tensors["model.spins"],
    )


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
    name = _name_of("move", type(own))
    if not is_dataclass(own) or not _is_of_the_library(own):
        return {"class": name, "settings": _settings("move", own)}
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


def describe_network(network: object) -> Contents:
    """Return a network as data: class and settings, and its parameters and buffers.

    Args:
        network: one of the library, or a module of a registered class with settings.

    Raises:
        ValueError: If the network cannot be stored.
    """
    return _describe_module(network, "network", "the transport must be None or")


def _describe_module(network: object, key: str, must: str) -> Contents:
    """Return a module of a registered class as data, its tensors under a key."""
    name = _name_of("network", type(network), must)
    if not isinstance(network, nn.Module):
        what = must.partition(" must")[0]
        raise ValueError(
            f"{what} must be a torch.nn.Module to be stored in a file, got {shown(network)}"
        )
    manifest = {"class": name, "settings": _settings("network", network)}
    state = {f"{key}.{name}": value for name, value in network.state_dict().items()}
    return Contents(manifest, state)


def rebuild_network(data: dict[str, Any], tensors: dict[str, Tensor], model: object) -> nn.Module:
    """Return the network of :func:`describe_network`'s data."""
    return _rebuild_module(data, tensors, "network", model)


def _rebuild_module(
    data: dict[str, Any], tensors: dict[str, Tensor], key: str, model: object
) -> nn.Module:
    """Return the module of :func:`_describe_module`'s data, its tensors under a key."""
    network = _empty_network(data, model)
    prefix = f"{key}."
    state = {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
    # All parameters have one precision; counters and indices among the buffers keep their own.
    for value in state.values():
        if value.is_floating_point():
            network.to(value.dtype)
            break
    network.load_state_dict(state)
    return network


def _empty_network(data: dict[str, Any], model: object) -> nn.Module:
    """Return a network with its initial parameters, standing on what it stood on."""
    maker = registry.find("network", data["class"])
    settings = dict(data["settings"])
    # A user's own network may have settings of these names.
    if not callable(getattr(maker, "stand_on", None)) or "response" not in settings:
        network: nn.Module = maker(model, **settings)
        return network
    response = _empty_network(settings.pop("response"), model)
    gate = settings.pop("gate")
    standing: nn.Module = maker(model, **settings).stand_on(response, gate)
    return standing


def describe_integrator(integrator: Integrator) -> dict[str, Any]:
    """Return an integrator as data; its times are stored as a tensor.

    Raises:
        ValueError: If the integrator cannot be stored.
    """
    name = _name_of("integrator", type(integrator))
    return {"class": name, "intervals": integrator.intervals, **integrator.settings}


def rebuild_integrator(data: dict[str, Any], times: Tensor) -> Integrator:
    """Return the integrator of :func:`describe_integrator`'s data."""
    settings = dict(data)
    maker = registry.find("integrator", settings.pop("class"))
    # How many intervals there are, the times tell.
    del settings["intervals"]
    # Exact: a float64 is a Python number, bit for bit.
    integrator: Integrator = maker(times.tolist(), **settings)
    return integrator


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
    energy = _describe_module(path.correction, "correction", "the correction must be one of")
    return Contents({**manifest, "correction": energy.manifest}, energy.tensors)


def _describe_start(path: AnnealingPath) -> Any:
    """Return the start of a path as data."""
    if type(path.start) is Uniform:
        return _UNIFORM
    name = _name_of("start", type(path.start))
    return {"class": name, "settings": _settings("start", path.start)}


def _describe_schedule(path: AnnealingPath) -> Any:
    """Return the schedule of a path as data."""
    name = registry.name_of("schedule", path.schedule)
    if name is not None:
        return name
    name = _name_of("schedule", _function_or_class(path.schedule))
    return {"class": name, "settings": _settings("schedule", path.schedule)}


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
        energy = _rebuild_module(data["correction"], tensors, "correction", complete(model))
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


def _function_or_class(thing: Any) -> Any:
    """Return a function itself, and the class of any other object."""
    if isinstance(getattr(thing, "__name__", None), str):
        return thing
    return type(thing)


def _name_of(kind: str, thing: Any, must: str = "") -> str:
    """Return the name that a class or function is entered under; a ValueError if it is not."""
    name = registry.name_of(kind, thing)
    if name is None:
        known = ", ".join(registry.names(kind))
        raise ValueError(
            f"{must or f'the {kind} must be'} one of {known} to be stored in a file, got "
            f"{thing.__name__}; put @lt.register({kind!r}) above its definition"
        )
    return name


def _is_of_the_library(thing: object) -> bool:
    """Return whether a class is one of the library, whose files have keys of their own."""
    package = __name__.partition(".")[0]
    return type(thing).__module__.partition(".")[0] == package


def _settings(kind: str, thing: Any) -> dict[str, Any]:
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
