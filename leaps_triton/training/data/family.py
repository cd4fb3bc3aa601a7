"""Models that one network is trained on together, each with an annealing path of its own."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...integrators.transport import as_transport
from ...kernels import LocalEnergy
from ...kernels.checks import expect
from ...models.base import Conditions
from ...paths.annealing import AnnealingPath
from ...paths.base import Path
from ...paths.starts import Uniform
from ...samplers.sampler import Sampler
from ..config import TrainingConfig
from .buffer import Batch
from .draws import Draws, Use

__all__ = ["Family", "SideBySide"]


class _Group(NamedTuple):
    """Walkers that are on one path."""

    path: Path
    rows: Tensor
    """Their places in the batch, int64"""


class SideBySide:
    """Paths of several models at once: every walker of a batch is on its own.

    It offers what a residual needs of a path, and nothing else.

    Args:
        paths: those of all members.
        member: which of them each walker is on, int64 ``(walkers,)``.
    """

    def __init__(self, paths: Sequence[Path], member: Tensor) -> None:
        self._groups: list[_Group] = []
        for number in member.unique().tolist():
            rows = (member == number).nonzero().squeeze(1)
            self._groups.append(_Group(paths[number], rows))
        # Groups come one after the other; this puts their walkers back.
        self._back = torch.cat([group.rows for group in self._groups]).argsort()

    def conditions(self, t: Tensor) -> Conditions:
        """Return what a network is told, couplings and fields by walker; ``t`` ``(walkers,)``."""
        told = [group.path.conditions(t[group.rows]) for group in self._groups]
        return Conditions(
            self._joined([each.t for each in told]),
            self._joined([each.beta for each in told]),
            self._joined(self._spread([each.coupling for each in told])),
            self._joined(self._spread([each.field for each in told])),
        )

    def local_energy(self, configurations: Tensor, t: Tensor, dtype: torch.dtype) -> LocalEnergy:
        """Return ``H(x)`` and ``Δ``, each walker's by its own model."""
        found: list[LocalEnergy] = []
        for group in self._groups:
            own = configurations[group.rows]
            found.append(group.path.local_energy(own, t[group.rows], dtype))
        energy = self._joined([each.energy for each in found])
        return LocalEnergy(energy, self._joined([each.log_ratios for each in found]))

    def time_derivative(self, energy: Tensor, t: Tensor) -> Tensor:
        """Return ``∂_t log ρ̃_t(x)`` of each walker's own path, float64 ``(walkers,)``."""
        found: list[Tensor] = []
        for group in self._groups:
            rows = group.rows
            found.append(group.path.time_derivative(energy[rows], t[rows]))
        return self._joined(found)

    def _spread(self, tables: list[Tensor]) -> list[Tensor]:
        """Return a table per group with a row for each of its walkers, all of one shape."""
        shape = torch.broadcast_shapes(*[table.shape[1:] for table in tables])
        found: list[Tensor] = []
        for group, table in zip(self._groups, tables, strict=True):
            found.append(table.expand(len(group.rows), *shape))
        return found

    def _joined(self, values: list[Tensor]) -> Tensor:
        """Return the values of all walkers in their order."""
        return torch.cat(values)[self._back]


class Family:
    """The models of a training: the sampler's own, and those that are trained along.

    Args:
        paths: theirs, the sampler's first.

    Attributes:
        paths: the same.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)

    @classmethod
    def of(
        cls,
        sampler: Sampler,
        models: Sequence[Any],
        config: TrainingConfig,
        path: Path | None = None,
    ) -> "Family":
        """Return the sampler's model with others that its network is trained on too.

        Args:
            sampler: whose path comes first; all others have its schedule.
            models: the others; none for a training of one model.
            config: the settings of training.
            path: what the sampler's own model is trained along; None for the sampler's path.

        Raises:
            ValueError: a model of another shape or kind than the sampler's, settings of a training
                of one model, a path that is no AnnealingPath from the uniform start.
        """
        expect(isinstance(models, Sequence), "family", "a list of models", models)
        own = sampler.path
        if path is not None:
            own = path
        if not models:
            return cls([own])
        _check_config(config)
        if not isinstance(own, AnnealingPath) or not isinstance(own.start, Uniform):
            raise ValueError(
                "a family is trained along AnnealingPaths that begin at the uniform start; make "
                "the sampler's path by AnnealingPath(model), or leave out family="
            )
        paths: list[Path] = [own]
        for number, model in enumerate(models):
            path = AnnealingPath(model, schedule=own.schedule)
            _check_member(f"family[{number}]", path.model, own.model, sampler.transport)
            paths.append(path)
        return cls(paths)

    @property
    def others(self) -> tuple[Path, ...]:
        """The paths of all but the sampler's own model."""
        return self.paths[1:]

    def dealt(self, draws: Draws, times: int) -> Tensor:
        """Return which model each time of a batch is of, int64 ``(times,)``.

        Models take turns, so that all have the same share in the long run; which of a step's times
        are those of which is random.

        Args:
            draws: of the step.
            times: of the batch.
        """
        order = draws.words(Use.MEMBERS, times)[0].argsort()
        turn = draws.step * times + torch.arange(times)
        found = torch.empty_like(order)
        found[order] = turn % len(self.paths)
        return found

    def along(self, batch: Batch) -> Any:
        """Return the path of a batch: that of the sampler, or those of all walkers.

        Args:
            batch: its ``members`` tell the models.

        Returns:
            A path, or what a residual needs of one.
        """
        if batch.members is None:
            return self.paths[0]
        walkers = batch.configurations.shape[1]
        return SideBySide(self.paths, batch.members.repeat_interleave(walkers))


def _check_config(config: TrainingConfig) -> None:
    """Refuse settings under which several models cannot be trained on together."""
    needed = {"loss": "physics_informed", "baseline": "batch_mean"}
    for name, value in needed.items():
        given = getattr(config, name)
        if given != value:
            raise ValueError(
                f"a family has residuals at single times, less the mean of each model, so {name} "
                f"must be {value!r}, got {given!r}"
            )
    if config.refresh == "rollout":
        raise ValueError(
            "a family is trained on samples of equilibrium; choose refresh 'swendsen_wang', "
            "'heat_bath', 'tempering' or 'exact', got 'rollout'"
        )


def _check_member(name: str, model: Any, own: Any, transport: Any) -> None:
    """Refuse a model that cannot be trained on beside another one."""
    lattice = model.lattice
    if lattice.shape != own.lattice.shape or lattice.periodic != own.lattice.periodic:
        raise ValueError(
            f"{name} must have the lattice of the sampler's model, shape {own.lattice.shape} with "
            f"periodic {own.lattice.periodic}, got {model!r}"
        )
    if model.q != own.q:
        raise ValueError(f"{name} must have q = {own.q} as the sampler's model, got {model!r}")
    as_transport(transport).accept(model)
