"""Learning of models from data."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..files import claimed
from ..io.checkpoint import as_file
from ..kernels.checks import as_bool, as_integer, as_number, as_seed, as_tensor, expect
from ..progress import track
from . import files
from .families import family_of
from .learned import Learned, LearningHistory, Leg
from .objectives.base import Objective, Problem
from .updates import Update

__all__ = ["Learner"]


STARTS = ("independent", "model")
"""Where parameters start."""

_SCORES = 20
"""Looks at held-out data, about, in a learning of many steps."""


class Learner:
    """Learns parameters of a model from data.

    Data are exchangeable rows, each a configuration; where they come from a chain, leave many
    sweeps between them. The last rows may be held out.

    Args:
        model: one of the models among which to find the best; its β is kept, and its parameters are
            where to start, if asked for.
        data: ``(samples, *shape)``, states ``0 … q-1`` or real fields as the model has them.
        objective: :class:`PseudoLikelihood`, :class:`MaximumLikelihood` or
            :class:`EnergyDiscrepancy`.
        coupling: which couplings of a pair model are learned: ``"bond"`` each, ``"class"`` one per
            direction or class of a graph's edges, ``"uniform"`` one, None to leave them.
        field: which fields of a pair model are learned: ``"site"`` each, ``"uniform"`` one for all,
            None to leave them.
        start: ``"independent"``: no couplings, and the fields that the means of the data ask for,
            of which walkers can be drawn exactly; ``"model"``: the parameters of ``model``.
        steps: of the objective, at most; None for its own number.
        learning_rate: length of a step along a noisy gradient, per term of the energy.
        optimizer: ``"gradient"`` or ``"adam"``.
        decay: whether the learning rate falls to 0 in proportion over the steps.
        held_out: part of the data, its last rows, on which the objective is looked at and which no
            step sees.
        record: whether to keep the parameters of every step, as :meth:`Learned.replay` needs them.
        seed: in [0, 2³²).

    Attributes:
        family: the models.
        theta: parameters so far, float64 ``(parameters,)``.
        step: steps so far.
        history: what each recorded.

    Raises:
        ValueError: an argument is not as above, or the objective does not serve the model.

    Example:
        >>> import leaps_triton as lt
        >>> model = lt.Ising((6, 6), beta=0.3)
        >>> data = lt.exact.sample(model, 500, seed=1)
        >>> learner = lt.Learner(model, data, lt.PseudoLikelihood(), coupling="uniform")
        >>> abs(learner.run().model.coupling.item() - 1.0) < 0.1
        True
    """

    def __init__(
        self,
        model: Any,
        data: Tensor | Any,
        objective: Objective,
        coupling: str | None = "bond",
        field: str | None = None,
        start: str = "independent",
        steps: int | None = None,
        learning_rate: float = 0.02,
        optimizer: str = "gradient",
        decay: bool = False,
        held_out: float = 0.0,
        record: bool = True,
        seed: int = 0,
    ) -> None:
        expect(isinstance(objective, Objective), "objective", _OBJECTIVES, objective)
        expect(start in STARTS, "start", "'independent' or 'model'", start)
        self.family = family_of(model, coupling, field)
        rows = self.family.configurations(_as_data(data, self.family.model))
        held = as_number("held_out", held_out, "in [0, 1)", _is_part)
        kept = len(rows) - round(held * len(rows))
        expect(kept >= 1, "held_out", "a part that leaves a row of data", held_out)
        some = held == 0.0 or kept < len(rows)
        expect(some, "held_out", f"0, or a part that is at least a row of {len(rows)}", held_out)
        self._held_out = rows[kept:]
        self._decay = as_bool("decay", decay)
        self._record = as_bool("record", record)
        self.settings = {
            "coupling": coupling, "field": field, "start": start, "optimizer": optimizer,
            "decay": decay, "held_out": held, "record": record, "seed": as_seed(seed),
        }  # fmt: skip
        if steps is None:
            steps = objective.steps
        planned = as_integer("steps", steps, 1)
        self._problem = Problem(
            self.family, rows[:kept], Update.of(optimizer, learning_rate), as_seed(seed)
        )
        self.first = self.family.theta.clone()
        if start == "independent":
            self.first = self.family.first(rows[:kept])
        self.objective = objective.settled(self._problem, self.first)
        self._problem = self._problem._replace(prepared=self.objective.prepare(self._problem))
        self.state: Any = None
        self.step = 0
        self.history = LearningHistory(legs=[Leg(0, planned, float(learning_rate))])
        self.thetas: list[Tensor] = [self.first]
        self._own = files.Own()

    @property
    def theta(self) -> Tensor:
        """Parameters so far, float64 ``(parameters,)``."""
        return self.thetas[-1]

    @property
    def steps(self) -> int:
        """Steps planned in all."""
        return self.history.legs[-1].last

    @property
    def data(self) -> Tensor:
        """Configurations that are learned from, ``(samples, *shape)``."""
        return self._problem.data

    @property
    def held_out(self) -> Tensor:
        """Configurations that no step sees, ``(samples, *shape)``."""
        return self._held_out

    @property
    def seed(self) -> int:
        """Seed of all random numbers."""
        return self._problem.seed

    @torch.no_grad()
    def run(
        self,
        until: int | None = None,
        progress: bool = False,
        checkpoint: str | Path | None = None,
        every: int = 1000,
    ) -> Learned:
        """Learn up to the planned number of steps, or until nothing changes any more.

        Args:
            until: stop after so many steps in all, to go on later; None for those planned.
            progress: show a progress bar on a terminal, elsewhere a line every half minute.
            checkpoint: file for :meth:`save`, written every so many steps and at the end.
            every: steps between two checkpoints.

        Returns:
            What was learned so far.

        Raises:
            ValueError: a checkpoint that exists and is not of this learning.
            RuntimeError: parameters or weights are not finite.
        """
        last = self.steps
        if until is not None:
            last = min(last, as_integer("until", until, 0))
        every = as_integer("every", every, 1)
        file = None
        if checkpoint is not None:
            file = as_file(checkpoint)
            self._own.check(file)
        self.begin()
        with claimed(file), track(last, "learning", "step", progress, self.step) as shown:
            while self.step < last and not self.history.converged:
                self._advance()
                shown.update()
                if file is not None and self.step % every == 0:
                    self._save(file)
            if file is not None:
                self._save(file)
        return self.learned()

    def begin(self) -> None:
        """Find the state at the first parameters, unless there is a state."""
        if self.state is None:
            self.state = self.objective.begin(self._problem, self.first)
            self._look()

    def _advance(self) -> None:
        """Make one step."""
        leg = self.history.legs[-1]
        rate = leg.rate(self.step, self._decay)
        update = self._problem.update._replace(learning_rate=rate)
        made = self.objective.step(self._problem._replace(update=update), self.state)
        theta = made.state.theta
        if not bool(theta.isfinite().all()):
            raise RuntimeError(
                f"parameters are not finite after step {self.step + 1}; take a smaller "
                f"learning_rate than {leg.learning_rate:g}"
            )
        self.state = made.state
        self.step += 1
        self.history.note(made.values)
        self.history.converged = made.converged
        if self._record or len(self.thetas) == 1:
            self.thetas.append(theta)
        else:
            self.thetas[-1] = theta
        ended = made.converged or self.step == leg.last
        if ended or self.step % max(1, leg.steps // _SCORES) == 0:
            self._look()

    def _look(self) -> None:
        """Note what is minimised on held-out data."""
        if len(self._held_out) == 0:
            return
        score = self.objective.score(self._problem, self.state.theta, self._held_out)
        if score is not None:
            self.history.held_out_step.append(self.step)
            self.history.held_out.append(score)

    def learned(self) -> Learned:
        """Return what was learned so far."""
        witnesses = None
        if self.state is not None:
            witnesses = self.objective.witnessed(self._problem, self.state)
        return Learned(
            self.family.at(self.theta),
            self.history,
            witnesses,
            self.family,
            self.theta,
            torch.stack(self.thetas),
        )

    def extend(self, steps: int, learning_rate: float | None = None) -> None:
        """Plan more steps, which :meth:`run` then makes.

        Args:
            steps: in all.
            learning_rate: of the steps to come; None for the one before.

        Raises:
            ValueError: fewer steps than are made.
        """
        leg = self.history.legs[-1]
        steps = as_integer("steps", steps, self.step + 1)
        rate = leg.learning_rate
        if learning_rate is not None:
            rate = Update.of(self._problem.update.optimizer, learning_rate).learning_rate
        new = Leg(self.step, steps - self.step, rate)
        if leg.first == self.step:
            # The plan before it has made no step.
            self.history.legs[-1] = new
        else:
            self.history.legs.append(new)
        self.history.converged = False

    def save(self, file: str | Path) -> None:
        """Store all from which :meth:`resume` goes on; :func:`leaps_triton.load` reads the result.

        Args:
            file: replaced if it exists, in one step.

        Raises:
            ValueError: the model cannot be stored.
            OSError: a file that cannot be written; it is as it was.
        """
        with claimed(as_file(file)):
            self._save(as_file(file))

    def _save(self, file: Path) -> None:
        self.begin()
        files.save(self, file)
        self._own.claim(file)

    def resume(self, file: str | Path) -> None:
        """Take up a learning where :meth:`save` left it, to the last bit.

        Args:
            file: of a learner of the same model, data, objective and settings; more steps extend
                it.

        Raises:
            ValueError: a file of another learning, or none of a learning.
            OSError: a file that cannot be read.
        """
        planned = self.history.legs[-1]
        files.resume(self, as_file(file))
        self._own.claim(as_file(file))
        if planned.last > self.steps:
            self.extend(planned.last, planned.learning_rate)

    def take(self, step: int, state: Any, thetas: list[Tensor], history: LearningHistory) -> None:
        """Go on from a state that was stored.

        Args:
            step: steps so far.
            state: of the objective.
            thetas: parameters of every step so far.
            history: what each recorded.
        """
        self.step = step
        self.state = state
        self.thetas = thetas
        self.history = history


_OBJECTIVES = "PseudoLikelihood(…), MaximumLikelihood(…) or EnergyDiscrepancy(…)"


def _as_data(data: Any, model: Any) -> Tensor:
    """Return rows of data as a tensor of the model's type."""
    wanted = f"rows of data as a tensor (samples, …) of {model.dtype}"
    try:
        rows = as_tensor(data)
    except (TypeError, ValueError, RuntimeError):
        expect(False, "data", wanted, data)
    expect(rows.ndim >= 2 and len(rows) > 0, "data", wanted, data)
    if not model.dtype.is_floating_point:
        states = "whole numbers, the states 0 … q-1"
        if rows.is_floating_point():
            expect(bool((rows == rows.round()).all()), "data", states, data)
        # Values beyond int8 would wrap round to states.
        expect(float(rows.double().abs().max()) <= 127, "data", states, data)
    return rows.detach().cpu().to(model.dtype)


def _is_part(number: float) -> bool:
    return 0.0 <= number < 1.0
