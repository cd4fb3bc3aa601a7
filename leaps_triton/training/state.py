"""Training that can be killed: its state in a file, and how it goes on from there."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from ..io.checkpoint import Contents, as_before, as_file, describe, differences, read, write
from ..io.parts import completed, describe_model
from ..kernels.checks import as_integer
from ..samplers.sampler import Sampler
from .config import TrainingConfig
from .data.equilibrated import make_buffer
from .history import Leg, TrainingHistory
from .optimizers.guard import snapshot
from .optimizers.steps import make_step

if TYPE_CHECKING:
    from .trainer import Trainer

__all__ = ["LATER", "OwnFile", "mark", "read_history", "resume", "save"]

_FREE = ("steps", "evaluate_every", "evaluation_walkers", "evaluation_block")
"""Settings that may differ from the file's: no step that was made depends on them."""

_SCALED = ("evaluate_every",)
"""Settings among these that steps depend on where held-out evaluations scale the residuals."""

_INTEGERS = ("evaluation_step", "held_out_step", "test_step")
"""Lists of a history that hold steps."""

_ROWS = (
    "evaluation_variance_trace",
    "held_out_variance",
    "held_out_corrector",
    "held_out_corrector_error",
    "held_out_members",
)
"""Lists of a history that hold lists."""

_NODES = ("test_step", "test_residual", "node_residual")
"""Lists of a history of nodes."""

LATER = (
    "log_z_exact", "trace_t", "held_out_step", "held_out_t", "held_out_integral", *_ROWS, *_NODES,
)  # fmt: skip
"""Lists of a history that files of earlier versions do not have."""


class OwnFile:
    """Remembers which file a trainer wrote or resumed last: that is its own to replace."""

    def __init__(self) -> None:
        self._file: Path | None = None
        self._written: tuple[int, ...] = ()

    def note(self, file: Path, written: tuple[int, ...]) -> None:
        """Remember a file, and the :func:`mark` that it had."""
        self._file = file.resolve()
        self._written = written

    def check(self, file: Path) -> None:
        """Refuse to write over a file that is not this trainer's.

        Raises:
            ValueError: a file that exists and was neither written nor resumed, or one that another
                trainer has written since.
        """
        if not file.exists():
            return
        if self._file != file.resolve():
            raise ValueError(f"{file} exists; resume it first, or choose another file")
        if mark(file) != self._written:
            raise ValueError(
                f"{file} was written by another trainer since this one had it; resume it again, or "
                f"choose another file"
            )


def mark(file: Path) -> tuple[int, ...]:
    """Return what tells whether a file has been written anew; empty if there is none."""
    if not file.exists():
        return ()
    status = file.stat()
    return (status.st_mtime_ns, status.st_size, status.st_ino)


def save(trainer: Trainer, file: str | Path) -> None:
    """Store the sampler and all that training goes on from; see :meth:`Trainer.save`."""
    manifest, tensors = describe(trainer.sampler)
    manifest["training"] = {"config": asdict(trainer.config), "step": trainer.step}
    others = _described(trainer)
    if others.manifest:
        # As files always were, where one model is trained.
        manifest["family"] = others.manifest
    tensors = tensors | others.tensors
    state = _fixed_state(trainer)
    state |= _prefixed("optimizer", trainer.optimizer.state())
    for name, values in trainer.history.as_dict().items():
        # As files always were, where nothing of these was found.
        if name in LATER and not values:
            continue
        # float64 holds Python's numbers exactly.
        state[f"history.{name}"] = torch.tensor(values, dtype=torch.float64)
    on_host = {name: value.detach().cpu() for name, value in state.items()}
    write(file, Contents(manifest, tensors | on_host))


def _described(trainer: Trainer) -> Contents:
    """Return all but the first model of a family as data, by their numbers."""
    manifest: dict[str, Any] = {}
    tensors: dict[str, Tensor] = {}
    for number, path in enumerate(trainer.family.others):
        own = describe_model(path.model)
        manifest[str(number)] = own.manifest
        tensors |= _prefixed(f"family.{number}", own.tensors)
    return Contents(manifest, tensors)


def _fixed_state(trainer: Trainer) -> dict[str, Tensor]:
    """Return what training goes on from and whose shapes do not change."""
    state = _prefixed("good", trainer.guard.good)
    used = trainer.network
    if trainer.average is not None:
        state |= _prefixed("trained", trainer.network.state_dict())
        used = trainer.average
    if trainer.trained.curved:
        # Cloned: the sampler's part of the file holds the same tensors, which may not be shared.
        state |= _prefixed("learned", snapshot(used))
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
    sampler = _check_settings(trainer, contents, stored, name)
    tensors = contents.tensors
    # All is checked before anything is loaded: a file that is refused changes nothing.
    damage = _damage(trainer, sampler, tensors, stored.history)
    if damage:
        raise ValueError(
            f"{name} does not describe the state of this training: {damage}; use another file"
        )
    _take(trainer, sampler)
    _load_parameters(trainer, tensors)
    device = trainer.sampler.device
    optimizer = _part(tensors, "optimizer.")
    trainer.optimizer.load({key: value.to(device) for key, value in optimizer.items()})
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
    if "result" in contents.manifest:
        raise ValueError(
            f"{name} holds a learned model and no sampler; `leaps-triton learn --resume` goes on "
            f"with it, `leaps-triton info` tells of it, lt.load({name!r}).history has its curves"
        )
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
        known = {key: _listed(key, value) for key, value in lists.items()}
        history = _completed(known)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ValueError(
            f"{name} does not describe a training ({type(error).__name__}: {error})"
        ) from None
    return _Stored(config, step, {**history, "legs": legs})


def _listed(name: str, stored: Tensor) -> list[Any]:
    """Return a list of a history; a ValueError if it is none."""
    axes = 1
    # Without any entry there are no lists in it.
    if name in _ROWS and len(stored):
        axes = 2
    if stored.ndim != axes:
        raise ValueError(f"history.{name} of shape {tuple(stored.shape)}")
    values: list[Any] = stored.tolist()
    if name in _INTEGERS:
        # Steps are integers, but went through float64 with all other lists.
        return [int(number) for number in values]
    return values


def _completed(lists: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Return the lists of a history with those that an earlier version did not have."""
    found = dict(lists)
    for name in LATER:
        found.setdefault(name, [])
    return found


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


def _check_settings(trainer: Trainer, contents: Contents, stored: _Stored, name: str) -> Sampler:
    """Check that a file is of this trainer's training, and return the sampler to go on with.

    Raises:
        ValueError: another sampler or other settings, each of which it names, or fewer steps than
            are done.
    """
    asked = asdict(trainer.config)
    free = list(_FREE)
    if trainer.config.row_power or trainer.config.time_density:
        free = [name for name in free if name not in _SCALED]
    if asked["steps"] not in (stored.step, stored.leg.last):
        # A new leg may have a learning rate of its own.
        free.append("learning_rate")
    config = {**stored.config, **{key: asked[key] for key in free}}
    try:
        # What its user did not name of the sampler's move is that of the file.
        sampler = as_before(trainer.sampler, contents)
        own = describe(sampler)
        others = _described(trainer)
        if others.manifest:
            own.manifest["family"] = others.manifest
        mine = _settings(own._replace(tensors=own.tensors | others.tensors), asked)
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
    return sampler


def _take(trainer: Trainer, sampler: Sampler) -> None:
    """Let a trainer go on with the sampler of a file; rollouts and steps are those of it too."""
    config = trainer.config
    trainer.sampler = sampler
    family = trainer.family
    trainer.buffer = make_buffer(sampler, config, family)
    given = (sampler, trainer.trained, trainer.free_energy, config, trainer.ranks, family)
    trainer.optimizer = make_step(*given)


def _settings(contents: Contents, config: object) -> Contents:
    """Return what must agree: model, integrator and settings, not the network's parameters."""
    fixed = {
        name: value
        for name, value in contents.tensors.items()
        if name.startswith(("model.", "integrator.", "family."))
    }
    return Contents({**contents.manifest, "training": config}, fixed)


def _damage(
    trainer: Trainer, sampler: Sampler, tensors: dict[str, Tensor], history: dict[str, Any]
) -> str:
    """Return what of a file's state cannot be this trainer's; empty if all can."""
    mine = describe(sampler).tensors | _fixed_state(trainer)
    for name, value in mine.items():
        other = tensors.get(name)
        if other is None or other.shape != value.shape or other.dtype != value.dtype:
            return f"{name} is missing or has another shape"
    damaged = trainer.optimizer.damage(_part(tensors, "optimizer."))
    if damaged:
        return damaged
    if not _is_history(history):
        return "its history is not one"
    try:
        # A value that is no state would index tables out of their bounds.
        trainer.sampler.path.model.check(tensors["buffer"].flatten(0, 1))
    except ValueError:
        return f"buffer has values that are no states of {trainer.sampler.path.model!r}"
    return ""


def _load_parameters(trainer: Trainer, tensors: dict[str, Tensor]) -> None:
    """Load what is trained: the network, its average, and the free energy."""
    transport = _part(tensors, "network.")
    if trainer.trained.curved:
        # With what the path learns.
        transport = _part(tensors, "learned.")
    # The sampler in the file has the average as its network, where there is one.
    if trainer.average is None:
        trainer.network.load_state_dict(transport)
    else:
        trainer.network.load_state_dict(_part(tensors, "trained."))
        trainer.average.load_state_dict(transport)
    if trainer.free_energy is not None:
        trainer.free_energy.load_state_dict(_part(tensors, "free_energy."))
