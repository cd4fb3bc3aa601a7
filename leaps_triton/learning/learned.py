"""What a learning leaves behind."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..io.checkpoint import SCHEMA, Contents, Storable, as_file, read
from ..io.parts import rebuild_model
from ..mcmc.base import Move
from ..provenance import provenance
from ..registry import UnknownNameError, register
from ..samplers.ensemble import WeightedEnsemble
from .families import Family, NetworkEnergy, family_of
from .replay import replayed

__all__ = ["Learned", "LearningHistory", "Leg"]


class Leg(NamedTuple):
    """A part of a learning with one plan of the learning rate."""

    first: int
    """Steps before it"""
    steps: int
    """Steps that it is planned to have"""
    learning_rate: float
    """At its beginning"""

    @property
    def last(self) -> int:
        """Return the number of steps in all at its planned end."""
        return self.first + self.steps

    def rate(self, step: int, decay: bool) -> float:
        """Return the learning rate of a step.

        Args:
            step: steps before this one, of the whole learning.
            decay: whether it falls to 0 in proportion.
        """
        if not decay:
            return self.learning_rate
        return self.learning_rate * (1.0 - (step - self.first) / self.steps)


@dataclass
class LearningHistory:
    """Records what happened in a learning.

    Attributes:
        values: what each step recorded, by name, such as ``"loss"`` and ``"gradient_norm"``; one
            number per step.
        held_out_step: steps before each look at held-out data.
        held_out: what is minimised, on held-out data and without penalty; nothing where the
            objective has no such value.
        legs: one per plan of the learning rate.
        converged: whether further steps would change nothing.
    """

    values: dict[str, list[float]] = field(default_factory=dict)
    held_out_step: list[int] = field(default_factory=list)
    held_out: list[float] = field(default_factory=list)
    legs: list[Leg] = field(default_factory=list)
    converged: bool = False

    def note(self, values: dict[str, float]) -> None:
        """Keep what one step recorded.

        Args:
            values: by name.
        """
        for name, value in values.items():
            self.values.setdefault(name, []).append(value)

    def contents(self) -> Contents:
        """Return the history as data."""
        # float64 holds Python's numbers exactly.
        tensors = {
            f"history.{name}": torch.tensor(values, dtype=torch.float64)
            for name, values in self.values.items()
        }
        tensors["held_out"] = torch.tensor(self.held_out, dtype=torch.float64)
        told = {
            "legs": [list(leg) for leg in self.legs],
            "held_out_step": self.held_out_step,
            "converged": self.converged,
        }
        return Contents(told, tensors)

    @classmethod
    def of(cls, contents: Contents) -> "LearningHistory":
        """Return the history of a file's contents."""
        told = contents.manifest["history"]
        values = {
            name.removeprefix("history."): value.tolist()
            for name, value in contents.tensors.items()
            if name.startswith("history.")
        }
        held_out = contents.tensors["held_out"].tolist()
        legs = [Leg(*leg) for leg in told["legs"]]
        return cls(values, told["held_out_step"], held_out, legs, told["converged"])

    def as_dict(self) -> dict[str, Any]:
        """Return plain lists, ready for JSON."""
        return asdict(self)


@register("result")
@dataclass
class Learned(Storable):
    """A model that was learned, how, and what is known of it.

    Attributes:
        model: the new model, at the β of the one that was given.
        history: what each step recorded.
        witnesses: weighted walkers of the new model that entered no gradient, whose ``log_z`` is
            exact in the mean; None unless :class:`Jarzynski` was given some.
        family: the models of which it is one.
        theta: its parameters, float64 ``(parameters,)``.
        thetas: those of every step, of the first model first, float64 ``(steps + 1, parameters)``;
            the first and the last alone where they are not recorded.
    """

    model: Any
    history: LearningHistory
    witnesses: WeightedEnsemble | None
    family: Family
    theta: Tensor
    thetas: Tensor

    def __repr__(self) -> str:
        steps = max([len(values) for values in self.history.values.values()], default=0)
        return f"Learned({self.model!r}, steps={steps})"

    def contents(self) -> Contents:
        """Return all of it as data, as :func:`leaps_triton.save` stores it."""
        given = self.family.described()
        history = self.history.contents()
        tensors = {
            **given.tensors,
            **history.tensors,
            "theta": self.theta.clone(),
            "thetas": self.thetas,
        }
        told = None
        if self.witnesses is not None:
            told = _told_of(self.witnesses)
            tensors |= {f"witnesses.{name}": getattr(self.witnesses, name) for name in _COLUMNS}
        manifest = {
            "schema": SCHEMA,
            "result": "Learned",
            "model": given.manifest,
            "family": self.family.settings,
            "history": history.manifest,
            "witnesses": told,
            "provenance": provenance(),
        }
        return Contents(manifest, tensors)

    @classmethod
    def from_contents(cls, contents: Contents, module: nn.Module | None = None) -> "Learned":
        """Return what :meth:`contents` describes.

        Args:
            contents: the data.
            module: of the energy, if that is of a module; else None.

        Raises:
            ValueError: the energy is of a module, and there is none; or the module has other
                parameters.
        """
        manifest, tensors = contents
        family = family_of(_given(contents, module), **manifest["family"])
        theta = tensors["theta"]
        model = family.at(theta)
        witnesses = None
        told = manifest["witnesses"]
        if told is not None:
            columns: dict[str, Any] = {name: tensors[f"witnesses.{name}"] for name in _COLUMNS}
            witnesses = WeightedEnsemble(model, **columns, **told)
        history = LearningHistory.of(contents)
        return cls(model, history, witnesses, family, theta, tensors["thetas"])

    @classmethod
    def load(cls, file: str | Path, module: nn.Module) -> "Learned":
        """Return what was learned of a :class:`NetworkEnergy`, whose module no file holds.

        Other models :func:`leaps_triton.load` makes by itself.

        Args:
            file: of :func:`leaps_triton.save` or :meth:`Learner.save`.
            module: one with parameters of the same names and shapes. Its own stay as they are:
                ``model.load()`` writes those of the file into it. Its buffers are no part of it.

        Raises:
            ValueError: a file that is not of such a model, or a module with other parameters.
            OSError: a file that cannot be read.
        """
        contents = read(file)
        stored = contents.manifest.get("model", {}).get("class")
        if stored != NetworkEnergy.__name__ or "result" not in contents.manifest:
            raise ValueError(
                f"{as_file(file).name} is not of a module's energy; lt.load reads it without one"
            )
        return cls.from_contents(contents, module)

    def replay(
        self,
        walkers: int = 1000,
        mcmc: Move | None = None,
        resample_below: float = 0.5,
        block: int | None = None,
        seed: int = 0,
        progress: bool = False,
    ) -> WeightedEnsemble:
        """Return fresh walkers along the parameters of the learning, with an unbiased Z.

        They have no part in the parameters that they follow, whoever learned these and however: the
        log Z that comes with a learning without witnesses.

        Args:
            walkers: their number.
            mcmc: move made after every update; None for a sweep of :class:`~leaps_triton.HeatBath`,
                or for real fields what :func:`~leaps_triton.default_move` has.
            resample_below: ESS of a block, as a fraction of it, below which it is drawn anew.
            block: walkers that are resampled among themselves; None for a twentieth of them.
            seed: in [0, 2³²); whatever it is, no random number is one of the learning.
            progress: show a progress bar on a terminal, elsewhere a line every half minute.

        Raises:
            ValueError: an argument is out of range, or not a move of weighted walkers.
            RuntimeError: a log-weight is not finite.
        """
        return replayed(
            self.family, self.thetas, walkers, mcmc, resample_below, block, seed, progress
        )

    def support(self) -> Tensor:
        """Return which couplings are not 0, bool ``(parameters,)``; False for fields."""
        return (self.theta != 0.0) & self.family.penalised


def _given(contents: Contents, module: nn.Module | None) -> Any:
    """Return the model that the family was made from."""
    stored = contents.manifest["model"]
    if stored["class"] != NetworkEnergy.__name__:
        return rebuild_model(stored, contents.tensors)
    if module is None:
        raise UnknownNameError(
            f"its energy is a module of your own ({stored['network']}), which no file holds; make "
            f"the module and call lt.learning.Learned.load(file, module)"
        )
    return NetworkEnergy.of(stored, module, contents.tensors["thetas"][0])


_COLUMNS = ("configurations", "log_weights", "times", "ess_trace", "resamplings")
"""Tensors of weighted walkers."""


def _told_of(walkers: WeightedEnsemble) -> dict[str, Any]:
    """Return what else is known of weighted walkers."""
    return {
        "log_z_start": walkers.log_z_start,
        "evaluations": walkers.evaluations,
        "seed": walkers.seed,
        "block": walkers.block,
    }
