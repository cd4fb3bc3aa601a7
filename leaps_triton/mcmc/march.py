"""Markov chain Monte Carlo alone: walkers at the model's β, measured as they move."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ..estimators.trust.beginning import Beginning
from ..kernels.checks import as_bool, as_device, as_tensor
from ..models.base import EnergyModel, Target
from ..models.densities.base import DensityModel
from ..models.varied import couplings_of
from ..observables.base import OBSERVABLES, is_of_pairs, is_of_replicas
from ..observables.fields import chosen_for
from ..observables.measuring import Measurable, check_pairs, check_value, measure, named, rows_of
from ..observables.replicas import Ladder, is_lifted
from ..observables.shared import share
from ..progress import Progress, track
from ..renamed import renamed
from .base import Lowest, Move, as_move, warn_confined
from .chain import Chain
from .compose import settled
from .runs.beginnings import begun
from .runs.settings import ChainSettings
from .runs.starts import check_together, path_of, picked, start_of

__all__ = ["OBSERVABLES", "ChainSettings", "March", "run_chain"]


_ALIKE = 2**10
"""Sites of which whole multiples are computed alike, whatever stands behind them in an array."""

_ROWS = 8
"""Numbers, one a walker, of which whole multiples are."""

_MOST = 64
"""Walkers whose sites are whole enough on any lattice."""

_PAIR = 2
"""Walkers that observables of pairs compare."""


@renamed(kernel="move")
def run_chain(
    model: Target | EnergyModel,
    move: Move | None = None,
    walkers: int = 64,
    sweeps: int = 1000,
    thin: int = 1,
    seed: int = 0,
    burn_in: int | Literal["auto"] | None = None,
    observables: Sequence[Measurable | str] | Mapping[str, Measurable] = OBSERVABLES,
    start: "Tensor | np.ndarray[Any, Any] | None" = None,
    device: torch.device | str | None = None,
    progress: bool = False,
    keep_configurations: bool = False,
) -> Chain:
    """Run Markov chains at the model's β, measured on the device every ``thin`` steps.

    They are independent, but for the pairs of :class:`~leaps_triton.Houdayer`'s move, which
    estimates count as one chain each. :func:`leaps_triton.io.run_chain` writes them into a file.

    Args:
        model: any :class:`~leaps_triton.models.EnergyModel`, or target of real fields.
        move: an invariant move such as :class:`~leaps_triton.HeatBath`; None for
            :func:`~leaps_triton.default_move` of the model.
        walkers: number of chains; even with :class:`~leaps_triton.Houdayer`.
        sweeps: steps of the move after the burn-in; each may be several sweeps.
        thin: steps from one measurement to the next; the first comes after ``thin`` of them.
        seed: in [0, 2³²). Runs that are to be independent need different seeds: equal ones share
            their random numbers, at another β or size too.
        burn_in: steps before, not measured; None for a tenth of ``sweeps``. With ``"auto"`` all
            steps are measured, and the chain begins where most effective draws are left, at the
            latest such place of all observables
            (:func:`~leaps_triton.estimators.find_beginning`): ``beginning`` tells where, and
            ``burn_in`` of the result is the number of steps before it. A chain that began too early
            gives a :class:`~leaps_triton.DriftWarning` when it is asked for an estimate.
        observables: functions, names in :mod:`leaps_triton.observables`, or a mapping from names of
            your own. Observables of pairs, such as ``"overlap"``, compare walkers 0 and 1, 2 and
            3, and so on; of :class:`~leaps_triton.ParallelTempering` there is
            ``"replica_energies"``, and any at all temperatures, such as ``"energy_at_betas"``, or
            ``"energy_at_couplings"`` where they differ in a coupling.
        start: configurations ``(walkers, *shape)``, a tensor or an array; None for independent
            ones, uniform, or free fields of :class:`~leaps_triton.FreeField`.
        device: None for CUDA where there is a CUDA device, else the CPU.
        progress: show a progress bar on a terminal, elsewhere a line every half minute.
        keep_configurations: keep the configurations of every draw too, on the host: N bytes per
            draw and walker, copied each time.

    Raises:
        ValueError: a bad argument.

    Warns:
        NotErgodicWarning: a move that does not claim to reach every configuration.

    Example:
        >>> import leaps_triton as lt
        >>> model = lt.Ising((8, 8), beta=0.3)
        >>> chain = lt.run_chain(model, lt.HeatBath(), walkers=16, sweeps=500, seed=1, device="cpu")
        >>> energy = chain.estimate("energy")
        >>> abs(energy.pull(lt.exact.ising_energy((8, 8), beta=0.3))) < 3, energy.draws
        (True, 8000)
    """
    progress = as_bool("progress", progress)
    keep = as_bool("keep_configurations", keep_configurations)
    settings = ChainSettings(walkers, sweeps, thin, seed, burn_in)
    march = March(model, move, settings, observables, start, device)
    warn_confined(march.move)
    with march.track(progress) as shown:
        values, kept = march.draw(march.draws, keep, shown.update)
    return march.chain(values, kept)


class March:
    """Markov chains on their way: ``draw`` after ``draw``.

    Args:
        model: the target.
        move: moves the walkers; None for the default of the model.
        settings: how many chains run for how long.
        observables: the same as in :func:`run_chain`.
        start: configurations ``(walkers, *shape)``; None for independent ones of the start of a
            path to the model.
        device: None for CUDA where there is a CUDA device, else the CPU.

    Attributes:
        move: moves the walkers, settled.
        state: of the move; whoever sets it and ``drawn`` to the values of an earlier march goes on
            with that one.
        drawn: draws so far.
        varied: inverse temperatures of the replicas, or values of a coupling, the last the model's;
            its β alone without.
        start: what was given, as a tensor.
        lowest: lowest energy of each walker so far, and where; None to look for none.
        walkers: their number, of all or of those that :meth:`keep` has kept.

    Raises:
        ValueError: a bad argument.
    """

    def __init__(
        self,
        model: Target | EnergyModel,
        move: Move | None,
        settings: ChainSettings,
        observables: Sequence[Measurable | str] | Mapping[str, Measurable] = OBSERVABLES,
        start: "Tensor | np.ndarray[Any, Any] | None" = None,
        device: torch.device | str | None = None,
    ) -> None:
        self.settings = settings
        if isinstance(start, np.ndarray):
            start = as_tensor(start)
        self.start = start
        self.path = path_of(model, start)
        self.model = self.path.model
        move = settled(move, self.model, None, settings.walkers)
        self.move = move
        as_move("move", move).check_model(self.model)
        check_together(move, settings.walkers)
        # Before any work: the temperatures of a ladder may not be those of the model.
        self.varied = as_move("move", move).varied(self.model)
        self.measured = self._named(chosen_for(self.model, observables))
        self.device = as_device(device)
        walker_index = torch.arange(settings.walkers, device=self.device)
        self.walkers = settings.walkers
        configurations = start_of(self.path, start, walker_index, settings.seed)
        self.state: Any = move.init(configurations, walker_index)
        self.drawn = 0
        unseen = torch.full((self.walkers,), math.inf, dtype=torch.float64, device=self.device)
        self.lowest: Lowest | None = Lowest(unseen, configurations)
        self._shared: Any = None
        for name, observable in self.measured.items():
            self._check(name, observable)

    @property
    def draws(self) -> int:
        """Return the number of draws that were asked for."""
        return self.settings.draws

    @property
    def steps(self) -> int:
        """Return the number of steps of the move so far."""
        if not self.drawn:
            return 0
        return self.burn_in + self.drawn * self.settings.thin

    @property
    def burn_in(self) -> int:
        """Return the number of steps before the first draw's own."""
        burn_in = self.settings.burn_in
        # To find the beginning takes all draws from the first step on.
        if burn_in is None or isinstance(burn_in, str):
            return 0
        return burn_in

    @property
    def alike(self) -> int:
        """Return of how many walkers whole multiples go the same way to the last bit, anywhere.

        Vector instructions leave a rest at the end of an array, which may round otherwise; walkers
        that are moved or measured together stay so.
        """
        sites = math.prod(self.model.shape)
        step = max(_ROWS, _ALIKE // math.gcd(_ALIKE, sites))
        together = as_move("move", self.move).together
        return math.lcm(min(step, _MOST), _PAIR, together)

    def shares(self, count: int) -> list[range]:
        """Return the walkers of each of so many processes, dealt out evenly.

        Raises:
            ValueError: fewer walkers than the processes can be given.
        """
        if count == 1:
            return [range(self.walkers)]
        # The last of all has the rest too.
        groups = self.walkers // self.alike
        if groups < count:
            raise ValueError(
                f"walkers must be at least {count * self.alike} for {count} processes, which take "
                f"multiples of {self.alike}, got {self.walkers}; give more, or start fewer "
                f"processes"
            )
        ends = [number * groups // count * self.alike for number in range(count)]
        ends.append(self.walkers)
        return [range(first, end) for first, end in itertools.pairwise(ends)]

    def keep(self, rows: range) -> None:
        """Go on with some of the walkers alone.

        Args:
            rows: which, as :meth:`shares` deals them out.
        """
        chosen = slice(rows.start, rows.stop)
        self.state = picked(self.state, chosen)
        if self.lowest is not None:
            self.lowest = picked(self.lowest, chosen)
        self.walkers = len(rows)
        self._shared = None

    def track(self, shown: bool) -> Progress:
        """Return what tells of the progress of all steps, if it is to be shown."""
        total = self.burn_in + self.draws * self.settings.thin
        return track(total, "chains", "step", shown, self.steps, words=self._drawn_by)

    def _drawn_by(self, steps: int) -> str:
        """Return how many draws have been made after a number of steps."""
        made = max(0, steps - self.burn_in) // self.settings.thin
        return f"{made} of {self.draws} draws"

    @torch.no_grad()
    def draw(
        self, count: int, keep: bool = False, update: Callable[[], object] | None = None
    ) -> tuple[dict[str, Tensor], Tensor | None]:
        """Return the next draws, after the burn-in if they are the first.

        Args:
            count: draws, at least 1.
            keep: keep the configurations.
            update: called after every step.

        Returns:
            Values by name and configurations, on the CPU.
        """
        values: dict[str, Tensor] = {}
        kept = None
        if keep:
            shape = (self.walkers, count, *self.model.shape)
            kept = torch.empty(shape, dtype=self.model.dtype)
        for draw in range(count):
            self._advance(update)
            for name, value in self._look().items():
                # The first draw tells the shape of an observable.
                if name not in values:
                    shape = (len(value), count, *value.shape[1:])
                    # float64, since errors come from small differences from a mean; on the device,
                    # since a copy to the host at every draw would make a GPU wait.
                    values[name] = torch.empty(shape, dtype=torch.float64, device=self.device)
                values[name][:, draw] = value
            if kept is not None:
                kept[:, draw] = self.state.configurations.cpu()
            self.drawn += 1
        return {name: value.cpu() for name, value in values.items()}, kept

    def _advance(self, update: Callable[[], object] | None) -> None:
        """Take the steps to the next draw."""
        steps = self.settings.thin
        # A march that goes on after earlier draws was burned in before them.
        if not self.drawn:
            steps += self.burn_in
        for _ in range(steps):
            # The path ends at t = 1, where the law is that of the model at its own β.
            move = as_move("move", self.move)
            self.state, found = move.advance(self.state, self.path, 1.0, self.settings.seed)
            if found is not None and self.lowest is not None:
                self.lowest = self.lowest.and_of(*found)
            if update is not None:
                update()

    def _look(self) -> dict[str, Tensor]:
        """Return all observables of the walkers as they are."""
        configurations = self.state.configurations
        self._shared = share(configurations, self.model, self._shared)
        # Torch counts the writes into a tensor: an observable must make none.
        version = configurations._version
        found: dict[str, Tensor] = {}
        for name, observable in self.measured.items():
            value = measure(observable, self.state, self._shared)
            if configurations._version != version:
                raise ValueError(
                    f"the observable {name} changed the configurations, which are the chain's own; "
                    f"copy them"
                )
            axes = 3 if is_of_replicas(observable) else 2
            check_value(name, value, rows_of(observable, self.walkers), axes)
            found[name] = value
        if self.lowest is not None:
            # Where energies are measured anyway, they are not found twice.
            energies = self._shared.energy(configurations)
            self.lowest = self.lowest.and_of(energies, configurations)
        return found

    def measure(self, name: str) -> Tensor:
        """Return one of the observables of the walkers as they are."""
        return measure(self.measured[name], self.state, self.model)

    def chain(self, values: Mapping[str, Tensor], kept: Tensor | None) -> Chain:
        """Return what was drawn, as a :class:`Chain`."""
        return Chain(**self.results(values, kept))

    def results(
        self,
        values: Mapping[str, Tensor],
        kept: Tensor | None,
        beginning: Beginning | None = None,
    ) -> dict[str, Any]:
        """Return the fields of a :class:`Chain` by name.

        Args:
            values: of all draws.
            kept: configurations of all draws.
            beginning: where the chain is known to begin; None to find it if it is to be found.
        """
        lowest = self.lowest
        if lowest is not None:
            lowest = Lowest(lowest.energies.cpu(), lowest.configurations.cpu())
        found = {
            "model": self.model,
            "move": self.move,
            "values": values,
            "measured": self.measured,
            "state": self.state,
            "kept": kept,
            "sweeps": self.drawn * self.settings.thin,
            "burn_in": self.burn_in,
            "thin": self.settings.thin,
            "seed": self.settings.seed,
            "lowest": lowest,
        }
        if self.settings.automatic:
            found.update(begun(found, self.measured, beginning))
        return found

    def _named(
        self, observables: Sequence[Measurable | str] | Mapping[str, Measurable]
    ) -> dict[str, Measurable]:
        """Return the observables by name, those at all temperatures too if there are several."""
        lifted = []
        if isinstance(observables, Sequence):
            lifted = [each for each in observables if is_lifted(str(each))]
        if not lifted:
            return named(observables)
        if len(self.varied.values) == 1:
            apart = "at several temperatures; run ParallelTempering(betas=…)"
            if couplings_of(self.model):
                apart = "at several values of a coupling; run ParallelTempering(quartic=…)"
            raise ValueError(
                f"observable {lifted[0]} takes replicas {apart}, got {type(self.move).__name__}"
            )
        return named(observables, Ladder(self.model, self.varied))

    def _check(self, name: str, observable: Measurable) -> None:
        """Raise a ValueError if these walkers have not what an observable looks at."""
        if is_of_pairs(observable):
            check_pairs(name, self.walkers)
        if is_of_replicas(observable) and not hasattr(self.state, "replicas"):
            raise ValueError(
                f"observable {name} is one of ParallelTempering, got {type(self.move).__name__}; "
                f"leave it out"
            )
        if is_of_replicas(observable) and isinstance(self.model, DensityModel):
            raise ValueError(
                f"observable {name} is of replicas at several temperatures, and those of "
                f"{type(self.model).__name__} are at times of a path; leave it out"
            )
