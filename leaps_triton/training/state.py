"""Training that can be killed: its state in a file, and how it goes on from there."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from ..io.checkpoint import Contents, as_before, as_file, describe, differences, read, write
from ..io.parts import completed
from ..kernels.checks import as_integer
from .config import TrainingConfig
from .history import Leg, TrainingHistory

if TYPE_CHECKING:
    from .trainer import Trainer

__all__ = ["read_history", "resume", "save"]

_MOMENTS = {"step", "exp_avg", "exp_avg_sq"}
"""What Adam keeps per parameter."""

_FREE = ("steps", "evaluate_every", "evaluation_walkers", "evaluation_block")
"""Settings that may differ from the file's: no step that was made depends on them."""

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


class _Stored(NamedTuple):
    """What a file says of its training."""

    config: dict[str, Any]
    """Settings, of which steps and learning rate are those of the last leg"""
    step: int
    """Steps that are done"""
    history: dict[str, Any]
    """Lists by name"""

    @property
    def leg(self) -> Leg:
        """Return the last leg."""
        leg: Leg = self.history["legs"][-1]
        return leg


def resume(trainer: Trainer, file: str | Path) -> None:
    """Take up training where :func:`save` left it; see :meth:`Trainer.resume`."""
    name = as_file(file).name
    contents = read(file)
    stored = _stored(contents, name)
    _check_settings(trainer, contents, stored, name)
    tensors = contents.tensors
    moments = _moments(tensors)
    # All is checked before anything is loaded: a file that is refused changes nothing.
    damage = _damage(trainer, tensors, moments, stored.history)
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
    trainer.history = TrainingHistory(**stored.history)
    trainer.step = stored.step
    trainer.extend(trainer.config.steps, trainer.config.learning_rate)


def read_history(file: str | Path) -> TrainingHistory:
    """Return what has happened in the training that a checkpoint is of.

    Args:
        file: of :meth:`leaps_triton.Trainer.save`.

    Raises:
        ValueError: a file that :func:`leaps_triton.load` refuses, or one without training.
        OSError: a file that cannot be read.

    Example:
        >>> import tempfile, leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Ising((4, 4), beta=0.3))
        >>> network = lt.HollowConv(path.model, kernel_size=3, channels=4, width=8, modes=0)
        >>> sampler = lt.Sampler(path, network, integrator=lt.Jump(5), device="cpu")
        >>> config = lt.TrainingConfig(steps=2, walkers=8, buffer=16, rollout=16)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     history = lt.Trainer(sampler, config).run(checkpoint=f"{folder}/ising.safetensors")
        ...     lt.training.read_history(f"{folder}/ising.safetensors") == history
        True
    """
    name = as_file(file).name
    stored = _stored(read(file), name)
    if not _is_history(stored.history):
        raise ValueError(f"{name} does not describe a training: its history is not one")
    return TrainingHistory(**stored.history)


def _stored(contents: Contents, name: str) -> _Stored:
    """Return what a file says of its training; a ValueError if it says nothing of one."""
    training = contents.manifest.get("training")
    if training is None:
        raise ValueError(
            f"{name} holds a sampler without the state of its training; give a file of Trainer.save"
        )
    lists = _part(contents.tensors, "history.")
    try:
        # Settings that a file does not know had their defaults.
        config = {**asdict(TrainingConfig()), **training["config"]}
        step = as_integer("step", training["step"], 0)
        legs = _legs(lists.pop("legs", None), config, step)
        history = {key: _listed(key, value) for key, value in lists.items()}
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ValueError(
            f"{name} does not describe a training ({type(error).__name__}: {error})"
        ) from None
    return _Stored(config, step, {**history, "legs": legs})


def _listed(name: str, stored: Tensor) -> list[Any]:
    """Return a list of a history; a ValueError if it is none."""
    if stored.ndim != 1:
        raise ValueError(f"history.{name} of shape {tuple(stored.shape)}")
    values: list[Any] = stored.tolist()
    if name == "evaluation_step":
        # Steps are integers, but went through float64 with all other lists.
        return [int(number) for number in values]
    return values


def _legs(stored: Tensor | None, config: dict[str, Any], step: int) -> list[Leg]:
    """Return the legs of a training; of a file without any, the one that it had."""
    if stored is None:
        plan = TrainingConfig(steps=config["steps"], learning_rate=config["learning_rate"])
        return [Leg(0, plan.steps, plan.learning_rate)]
    # Steps are integers, but went through float64 with all other lists.
    legs = [Leg(int(first), int(steps), rate) for first, steps, rate in stored.tolist()]
    firsts = [leg.first for leg in legs]
    # Each leg but the last has made a step, and the first began with the training.
    known = firsts[:1] == [0] and firsts == sorted(set(firsts)) and firsts[-1] <= step
    if not known or any(leg.steps < 1 for leg in legs):
        raise ValueError(f"legs {legs} of {step} steps")
    return legs


def _is_history(lists: dict[str, Any]) -> bool:
    """Return whether these are the lists of a history."""
    return lists.keys() == TrainingHistory().as_dict().keys()


def _check_settings(trainer: Trainer, contents: Contents, stored: _Stored, name: str) -> None:
    """Check that a file is of this trainer's training.

    Raises:
        ValueError: another sampler or other settings, each of which it names, or fewer steps than
            are done.
    """
    asked = asdict(trainer.config)
    free = list(_FREE)
    if asked["steps"] not in (stored.step, stored.leg.last):
        # A new leg may have a learning rate of its own.
        free.append("learning_rate")
    config = {**stored.config, **{key: asked[key] for key in free}}
    try:
        # What its user did not name of the sampler's move is that of the file.
        sampler = as_before(trainer.sampler, contents)
        mine = _settings(describe(sampler), asked)
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
    if asked["steps"] < stored.step:
        raise ValueError(
            f"{name} is at step {stored.step} already, got steps={asked['steps']}; give at least "
            f"{stored.step}, or another file"
        )
    trainer.sampler = sampler


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
    if not _is_history(history):
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
