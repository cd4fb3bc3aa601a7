"""What Markov chains have measured, and what it says."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from torch import Tensor

from ..estimators.autocorrelation import ChainEstimate, examine
from ..estimators.base import Function, Result
from ..estimators.histograms import mbar, mbar_error
from ..estimators.jackknife import Estimate
from ..estimators.reweighting import Reweighted
from ..estimators.tempering import exchange_rates
from ..estimators.trust.beginning import Beginning
from ..estimators.trust.cautions import (
    Doubt,
    LowAcceptanceWarning,
    ShortChainWarning,
    caution,
)
from ..models.base import Model
from ..models.varied import Varied
from ..observables.base import (
    function_of,
    title_of,
)
from ..observables.measuring import Measurable, together_of
from ..observables.replicas import inner_of
from ..observables.reweighted import reweighted
from ..renamed import warn_renamed
from .base import Lowest, Move, SweepState, as_move
from .fields.acceptance import LEAST_ACCEPTANCE, acceptance_of
from .runs.kept import as_measurable, measured_of
from .runs.replicas import conjugates_of

__all__ = ["Chain"]


@dataclass(frozen=True, repr=False)
class Chain(Result):
    """What was measured on the way, and where the walkers are.

    Attributes:
        model: the target.
        move: what the walkers were moved by.
        values: name → float64 ``(walkers, draws)`` or ``(walkers, draws, k)``, on the CPU; of
            observables that compare pairs of walkers, such as the overlap, ``(walkers / 2, …)``.
        measured: name → the observable itself.
        state: of the move after the last draw; of parallel tempering with ``replicas``, and
            ``arrivals`` of them at the target in ``exchanges`` rounds, burn-in included.
        kept: configurations of every draw ``(walkers, draws, *shape)`` on the CPU, or None if they
            were not kept.
        sweeps: steps of the move after the burn-in.
        burn_in: steps before; with ``burn_in="auto"`` those before the chain was found to begin.
        thin: steps from one measurement to the next.
        seed: of the random numbers.
        beginning: where ``burn_in="auto"`` had the chain begin: the draws before, and the name of
            the observable that needed so many; None where the burn-in was given.
        early: name → what was measured before, like ``values``; empty where the burn-in was given.
        lowest: lowest energy of each walker, and where; None if a file does not tell.
    """

    weighted = False

    model: Model
    move: Move
    values: Mapping[str, Tensor]
    measured: Mapping[str, Measurable]
    state: Any
    kept: Tensor | None
    sweeps: int
    burn_in: int
    thin: int
    seed: int
    beginning: Beginning | None = field(default=None, kw_only=True)
    early: Mapping[str, Tensor] = field(default_factory=dict, kw_only=True)
    lowest: Lowest | None = field(default=None, kw_only=True)

    @property
    def lowest_energy(self) -> float | None:
        """Return the lowest ``H`` that any walker has had; None if none was looked for.

        Parallel tempering looks at all its replicas after every step, burn-in included; other moves
        at every draw.
        """
        if self.lowest is None or not bool(self.lowest.energies.isfinite().any()):
            return None
        return float(self.lowest.energies.min())

    @property
    def lowest_configuration(self) -> Tensor | None:
        """Return the configuration ``(*shape)`` of :attr:`lowest_energy`, on the CPU."""
        if self.lowest is None or self.lowest_energy is None:
            return None
        return self.lowest.configurations[self.lowest.energies.argmin()]

    @cached_property
    def acceptance(self) -> float | None:
        """Return how probably trajectories of :class:`~leaps_triton.HMC` and the like are accepted.

        It is measured when it is first asked for, in about a thousand trajectories that go on from
        the last draw, and changes nothing of the chain; of parallel tempering at the target. The
        ``acceptance`` of the move is the target that its step was chosen for. None for moves that
        do not tell, such as sweeps.
        """
        each = as_move("move", as_move("move", self.move).each)
        if not each.tells_acceptance:
            return None
        here = SweepState(self.configurations, self.state.walkers, self.state.sweep)
        return acceptance_of(each, self.model, here, self.seed)

    @property
    def configurations(self) -> Tensor:
        """Return the last ones, ``(walkers, *shape)``; ``start=`` of another run goes on there."""
        found: Tensor = self.state.configurations
        return found

    @property
    def kernel(self) -> Move:
        """Return the move, by its former name."""
        warn_renamed("Chain.kernel", "Chain.move")
        return self.move

    @property
    def walkers(self) -> int:
        """Return the number of walkers."""
        return len(self.configurations)

    @property
    def draws(self) -> int:
        """Return the number of measurements per walker."""
        return self.sweeps // self.thin

    @property
    def recorded(self) -> int:
        """Return the number of measurements per walker, with those before the beginning."""
        if self.beginning is None:
            return self.draws
        return self.beginning.draw + self.draws

    @property
    def drawn(self) -> Tensor | None:
        """Return the configurations of every draw, ``(walkers, draws, *shape)``, if kept."""
        return self.kept

    @property
    def functions(self) -> dict[str, Function]:
        """Return name → function of means, for observables that have one."""
        found = {name: function_of(observable) for name, observable in self.measured.items()}
        return {name: function for name, function in found.items() if function is not None}

    @property
    def names(self) -> list[str]:
        """Return the names of observables that were measured and that are one number each."""
        functions = self.functions
        return [n for n, value in self.values.items() if value.ndim == 2 or n in functions]

    @property
    def together(self) -> int:
        """Return how many consecutive walkers the move correlates: 2 with Houdayer's, else 1."""
        return as_move("move", self.move).together

    def together_of(self, name: str) -> int:
        """Return how many consecutive rows of ``values[name]`` are correlated."""
        return together_of(self.measured[name], self.together)

    @property
    def betas(self) -> tuple[float, ...]:
        """Return the inverse temperatures of the replicas, rising to the model's own.

        That alone where the move has no replicas.
        """
        return as_move("move", self.move).ladder(self.model.beta)

    @property
    def varied(self) -> Varied:
        """Return by what the replicas differ, ``"beta"`` or a coupling, and its values for each."""
        return as_move("move", self.move).varied(self.model)

    @property
    def parameter(self) -> str:
        """Return by what the results of ``by_beta`` differ: ``"beta"``, or a coupling."""
        return self.varied.name

    @property
    def by_beta(self) -> tuple["Chain", ...]:
        """Return a chain for each replica's β or coupling, of what was measured at all of them.

        They come by rising values. It is empty where no observable such as ``energy_at_betas`` or
        ``energy_at_couplings`` was measured.
        """
        values = {}
        known = {}
        for name, value in self.values.items():
            inner = inner_of(self.measured[name])
            if inner is not None:
                values[title_of(inner)] = value
                known[title_of(inner)] = inner
        if not values:
            return ()
        found = []
        models = self.varied.models(self.model)
        for place, model in enumerate(models):
            # The index of a replica is its own, the same as in the move.
            index = self.state.walkers * len(models) + place
            replicas = self.state.replicas[:, place]
            one = Chain(
                model=model,
                move=as_move("move", self.move).each,
                values={name: value[:, :, place] for name, value in values.items()},
                measured=known,
                state=SweepState(replicas, index, self.state.sweep),
                kept=None,
                sweeps=self.sweeps,
                burn_in=self.burn_in,
                thin=self.thin,
                seed=self.seed,
            )
            found.append(one)
        # A ladder of couplings may fall to the target's.
        if self._sign < 0.0:
            found.reverse()
        return tuple(found)

    @property
    def _sign(self) -> float:
        """Return 1 where the values of the replicas rise, -1 where they fall."""
        values = self.varied.values
        return math.copysign(1.0, values[-1] - values[0])

    def exchange_rates(self) -> list[ChainEstimate]:
        """Return how often neighbouring replicas are exchanged where they are tried.

        Returns:
            One estimate for each of the K - 1 neighbours.

        Raises:
            ValueError: energies of the replicas were not measured.
        """
        # Rates depend on products of differences alone, which two signs leave as they are.
        values = [self._sign * value for value in self.varied.values]
        return exchange_rates(self._sign * self._energies(), values, self.together)

    def log_z_ratios(self) -> list[Estimate]:
        """Return ``log Z(β_k) - log Z(β_1)`` of all replicas, or so in a coupling, from all draws.

        By :func:`~leaps_triton.estimators.mbar`, with its jackknife over blocks of draws.

        Raises:
            ValueError: energies of the replicas were not measured.
            RuntimeError: energies of neighbours do not overlap.
        """
        energies = self._energies().unbind(2)
        grid = self.varied.values
        values = mbar(energies, grid)
        errors = mbar_error(energies, grid, together=self.together)
        pairs = zip(values.tolist(), errors.tolist(), strict=True)
        return [Estimate(value, error) for value, error in pairs]

    def _energies(self) -> Tensor:
        """Return ``H`` of all replicas, or what a coupling multiplies, ``(walkers, draws, K)``."""
        return conjugates_of(self.model, self.parameter, self.values)

    def reweight(
        self, observable: Measurable | str, function: Function | None = None, **to: float
    ) -> Reweighted:
        """Return an observable at another β, or value of a coupling, from these draws.

        Args:
            observable: one that was measured, or its name; any other where the configurations were
                kept.
            function: of the means; None for the one the observable carries, or the plain mean.
            to: the one parameter that is another there, such as ``beta=0.42`` or ``quartic=5.2``.

        Raises:
            ValueError: not one parameter, one that the model has not, or not at this value; what is
                needed was not measured.

        Warns:
            LowEssWarning: few draws are as likely there as they would have to be.
        """
        return reweighted(self, observable, function, self.together, **to)

    @property
    def has_errors(self) -> bool:
        """Return whether there are enough draws for an error bar at all."""
        # As few as the Γ-method takes: with fewer it raises an error.
        return self.draws >= 4

    @property
    def shortage(self) -> str:
        """Return why error bars cannot be trusted; empty if they can."""
        if not self.has_errors:
            return f"{self.draws} draws per walker are too few for error bars; run longer chains"
        for doubt in self.doubts:
            return doubt.reason
        for name in self.names:
            _, doubts = self.examined(name)
            if doubts:
                return f"{name}: {doubts[0]}"
        return ""

    @property
    def notes(self) -> dict[str, str]:
        """Return where the chain was found to begin, if it was, and what the move accepts."""
        found = {}
        if self.acceptance is not None:
            found["acceptance"] = f"{self.acceptance:.2f}"
        if self.beginning is not None:
            found["beginning"] = self.beginning.words(self.recorded)
        return found

    @property
    def doubts(self) -> list[Doubt]:
        """Return why the move cannot have mixed the chains, such as replicas never exchanged."""
        found = []
        obstacle = as_move("move", self.move).obstacle(self.state)
        if obstacle:
            found.append(Doubt(ShortChainWarning, obstacle))
        # Not <, so that NaN is one too.
        if self.acceptance is not None and not self.acceptance >= LEAST_ACCEPTANCE:
            reason = (
                f"trajectories are accepted with a mean probability of {self.acceptance:.2g}, so "
                f"that walkers stay where they are: take a smaller step; or is force = -∂H/∂φ?"
            )
            found.append(Doubt(LowAcceptanceWarning, reason))
        return found

    def summary(self) -> dict[str, str]:
        """Return the move, how many walkers and draws, and the longest autocorrelation time."""
        found = {
            "move": repr(self.move),
            "walkers": str(self.walkers),
            "draws": str(self.draws),
        }
        found.update(self.notes)
        if not self.has_errors:
            return found
        times = {name: self.examined(name)[0].tau for name in self.names}
        # τ is NaN where nothing varies, and NaN has no place in an order.
        known = {name: tau for name, tau in times.items() if not math.isnan(tau)}
        if known:
            slowest = max(known, key=lambda name: known[name])
            found["tau"] = f"{known[slowest]:.3g} ({slowest})"
        return found

    def estimate(
        self, observable: Measurable | str, function: Function | None = None
    ) -> ChainEstimate:
        """Return the mean of an observable, or a function of its means, by the Γ-method.

        Its autocorrelation time is in draws: multiply by ``thin`` for steps of the move. Walkers
        that the move correlates with one another (``together``) count as one chain.

        Args:
            observable: one that was measured, the same function or its name; any other function
                where the configurations were kept.
            function: of the means ``(k,)``; None for the one the observable carries, or the plain
                mean.

        Raises:
            ValueError: an observable that was not measured; the same as
                :func:`~leaps_triton.estimators.chain_estimate`.

        Warns:
            ShortChainWarning: fewer than 50 autocorrelation times per walker.
            DriftWarning: the early and the late draws differ by more than their errors allow.
        """
        found, doubts = self.examined(observable, function)
        caution(doubts)
        return found

    def examined(
        self, observable: Measurable | str, function: Function | None = None
    ) -> tuple[ChainEstimate, list[Doubt]]:
        """Return what :meth:`estimate` does, and its doubts in place of warnings.

        Args:
            observable: the same as in :meth:`estimate`.
            function: the same as in :meth:`estimate`.

        Raises:
            ValueError: the same as in :meth:`estimate`.
        """
        name = self.name_of(observable)
        if name is not None:
            measured = self.measured[name]
            values = self.values[name]
        else:
            measured = as_measurable(observable, self.measured, self.kept)
            assert self.kept is not None
            values = measured_of(self.kept, self.model, measured)
        if function is None:
            function = function_of(measured)
        return examine(values, function, together=together_of(measured, self.together))
