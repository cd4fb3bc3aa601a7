"""Training that can be killed: its state in a file, and how it goes on from there."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..io.checkpoint import Contents, as_file, describe, differences, read, write
from ..io.parts import completed
from ..kernels.checks import as_integer
from .config import TrainingConfig
from .history import TrainingHistory

if TYPE_CHECKING:
    from .trainer import Trainer

__all__ = ["resume", "save"]

_MOMENTS = {"step", "exp_avg", "exp_avg_sq"}
"""What Adam keeps per parameter."""

Moments = dict[int, dict[str, Tensor]]


def save(trainer: Trainer, file: str | Path) -> None:
    """Store the sampler and all that training goes on from; see :meth:`Trainer.save`."""
    manifest, tensors = describe(trainer.sampler)
    manifest["training"] = {"config": asdict(trainer.config), "step": trainer.step}
    state = _fixed_state(trainer)
    for index, moments in trainer.optimizer.state_dict()["state"].items():
        for name, value in moments.items():
            state[f"optimizer.{index}.{name}"] = value
    for name, values in trainer.history.as_dict().items():
        # float64 holds Python's numbers exactly.
        state[f"history.{name}"] = torch.tensor(values, dtype=torch.float64)
    on_host = {name: value.detach().cpu() for name, value in state.items()}
    write(file, Contents(manifest, tensors | on_host))


def _fixed_state(trainer: Trainer) -> dict[str, Tensor]:
    """Return what training goes on from and whose shapes do not change."""
    state = _prefixed("good", trainer.guard.good)
    if trainer.average is not None:
        state |= _prefixed("trained", trainer.network.state_dict())
    if trainer.free_energy is not None:
        state |= _prefixed("free_energy", trainer.free_energy.state_dict())
    state["buffer"] = trainer.buffer.configurations
    state["lowest"] = torch.tensor(trainer.guard.lowest, dtype=torch.float64)
    return state


def _prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": value for name, value in tensors.items()}


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with ``prefix``, without it."""
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


def resume(trainer: Trainer, file: str | Path) -> None:
    """Take up training where :func:`save` left it; see :meth:`Trainer.resume`."""
    name = as_file(file).name
    contents = read(file)
    training = contents.manifest.get("training")
    if training is None:
        raise ValueError(
            f"{name} holds a sampler without the state of its training; give a file of Trainer.save"
        )
    step = _check_settings(trainer, contents, training, name)
    tensors = contents.tensors
    moments = _moments(tensors)
    history = {key: value.tolist() for key, value in _part(tensors, "history.").items()}
    # All is checked before anything is loaded: a file that is refused changes nothing.
    damage = _damage(trainer, tensors, moments, history)
    if damage:
        raise ValueError(
            f"{name} does not describe the state of this training: {damage}; use another file"
        )
    _load_parameters(trainer, tensors)
    # Settings of Adam are this trainer's; only the moments come from the file.
    trainer.optimizer.load_state_dict({**trainer.optimizer.state_dict(), "state": moments})
    device = trainer.sampler.device
    good = _part(tensors, "good.")
    trainer.guard.good = {key: value.to(device) for key, value in good.items()}
    trainer.guard.lowest = float(tensors["lowest"])
    trainer.buffer.configurations = tensors["buffer"].to(device)
    # Steps are integers, but went through float64 with all other lists.
    history["evaluation_step"] = [int(number) for number in history["evaluation_step"]]
    trainer.history = TrainingHistory(**history)
    trainer.step = step


def _check_settings(trainer: Trainer, contents: Contents, training: Any, name: str) -> int:
    """Return the step that the file was written at.

    Raises:
        ValueError: another sampler or other settings, each of which it names.
    """
    mine = _settings(describe(trainer.sampler), asdict(trainer.config))
    try:
        # Settings that a file does not know had their defaults.
        config = {**asdict(TrainingConfig()), **training["config"]}
        step = as_integer("step", training["step"], 0)
        # What an earlier version did not know had a meaning all the same.
        found = differences(_settings(completed(contents), config), mine)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{name} does not describe a training ({type(error).__name__}: {error})"
        ) from None
    if found:
        raise ValueError(
            f"{name} was made with other settings: {'; '.join(found)}; use the same, or another "
            f"file"
        )
    return step


def _settings(contents: Contents, config: object) -> Contents:
    """Return what must agree: model, integrator and settings, not the network's parameters."""
    fixed = {
        name: value
        for name, value in contents.tensors.items()
        if name.startswith(("model.", "integrator."))
    }
    return Contents({**contents.manifest, "training": config}, fixed)


def _moments(tensors: dict[str, Tensor]) -> Moments:
    """Return Adam's state per parameter; what has no number comes under -1."""
    moments: Moments = {}
    for key, value in _part(tensors, "optimizer.").items():
        index, _, what = key.partition(".")
        number = -1
        if index.isdecimal():
            number = int(index)
        moments.setdefault(number, {})[what] = value
    return moments


def _damage(
    trainer: Trainer, tensors: dict[str, Tensor], moments: Moments, history: dict[str, Any]
) -> str:
    """Return what of a file's state cannot be this trainer's; empty if all can."""
    mine = describe(trainer.sampler).tensors | _fixed_state(trainer)
    for name, value in mine.items():
        other = tensors.get(name)
        if other is None or other.shape != value.shape or other.dtype != value.dtype:
            return f"{name} is missing or has another shape"
    damaged = _damaged_moments(trainer, moments)
    if damaged:
        return damaged
    lists = all(isinstance(values, list) for values in history.values())
    if history.keys() != TrainingHistory().as_dict().keys() or not lists:
        return "its history is not one"
    try:
        # A value that is no state would index tables out of their bounds.
        trainer.sampler.path.model.check(tensors["buffer"].flatten(0, 1))
    except ValueError:
        return f"buffer has values outside 0 to {trainer.sampler.path.model.q - 1}"
    return ""


def _damaged_moments(trainer: Trainer, moments: Moments) -> str:
    """Return which of Adam's moments do not fit the parameters; empty if all do."""
    if not moments:
        # Before the first step there are none.
        return ""
    groups = trainer.optimizer.param_groups
    parameters = [parameter for group in groups for parameter in group["params"]]
    for index in sorted(moments.keys() | set(range(len(parameters)))):
        each = moments.get(index, {})
        shape = None
        if 0 <= index < len(parameters):
            shape = parameters[index].shape
        fits = each.keys() == _MOMENTS
        fits = fits and all(each[name].shape == shape for name in _MOMENTS - {"step"})
        if not fits:
            return f"optimizer.{index} is missing or has another shape"
    return ""


def _load_parameters(trainer: Trainer, tensors: dict[str, Tensor]) -> None:
    """Load what is trained: the network, its average, and the free energy."""
    transport = _part(tensors, "network.")
    # The sampler in the file has the average as its network, where there is one.
    if trainer.average is None:
        trainer.network.load_state_dict(transport)
    else:
        trainer.network.load_state_dict(_part(tensors, "trained."))
        trainer.average.load_state_dict(transport)
    if trainer.free_energy is not None:
        trainer.free_energy.load_state_dict(_part(tensors, "free_energy."))
