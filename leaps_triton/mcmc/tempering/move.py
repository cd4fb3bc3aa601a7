"""The move that makes chains of replicas and exchanges neighbours."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ...kernels.checks import as_bool
from ...models.varied import (
    Varied,
    check_coupling,
    fields_name_couplings,
    one_coupling,
    value_of,
)
from ...paths.annealing import AnnealingPath, between
from ...registry import register
from ...renamed import renamed_fields, warn_renamed
from ..base import BaseMove, Lowest, Move, SweepState, as_move, begin
from ..compose import default_move, settled
from ..sweeps import numbers_on, times_on
from .exchanges import exchanged
from .ladders import as_betas, as_couplings, as_fractions, check_tempered
from .states import TemperingInfo, TemperingState

__all__ = ["ParallelTempering"]


_ROUNDING = 1e-9
"""By how much, relatively, the last of ``betas`` may miss the model's own β."""


@register("move")
@renamed_fields(kernel="move")
@fields_name_couplings
@dataclass(frozen=True)
class ParallelTempering(BaseMove):
    """Moves replicas at several temperatures, which neighbours exchange (replica exchange).

    The temperatures are told by ``betas``, or by ``fractions`` of the model's own β; replicas of a
    field, whose β is 1, differ in a coupling, ``mass_squared`` or ``quartic``. Replica ``k``
    of a walker is at the inverse temperature ``β_k``, the last at the target's. In a step ``move``
    moves all replicas, then neighbours ``(k, k + 1)`` are exchanged with probability ``min(1,
    exp[(β_{k+1} - β_k)(H(x_{k+1}) - H(x_k))])``, even and odd ``k`` in turn.
    ``state.configurations`` are those at the last. The product of the laws is invariant, so the
    replicas have no weights, and a :class:`~leaps_triton.samplers.sampler.Sampler` refuses it.

    Args:
        fractions: of the model's β, increasing, from at least 0 to 1, at least two: ``β_k = f_k
            β``. At the time ``t`` of a path they are fractions of ``t``; of a density, which has no
            temperature, they are times of the path from a broad Gaussian to it. Chains of a field
            refuse them, as they and densities refuse ``betas``.
        move: moves the replicas; any with a :class:`~leaps_triton.mcmc.SweepState`. None for
            :func:`~leaps_triton.default_move` of the model, which results and files then tell.
            :class:`~leaps_triton.Houdayer` pairs walkers at the same temperature.
        betas: instead of fractions, the inverse temperatures themselves, increasing, at least two;
            the last is that of the model, or a step raises an error.
        exchange: whether neighbours are exchanged; without, the replicas are independent chains.
        mass_squared: instead of temperatures, values of this coupling, rising or falling to the
            model's own, two or more.
        quartic: likewise of this one.

    Raises:
        ValueError: fractions that do not increase to 1, or inverse temperatures that do not
            increase; both, or neither of them; at ``init``, a move with a state of its own kind.
        TypeError: a keyword that is none of these, such as another name of a coupling.

    References:
        Hukushima, Nemoto, *Exchange Monte Carlo method and application to spin glass simulations*,
        J. Phys. Soc. Jpn. 65, 1604 (1996).

    Example:
        >>> import torch, leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.EdwardsAnderson((6, 6), beta=1.5, seed=1))
        >>> move = lt.ParallelTempering(betas=[0.3, 0.6, 0.9, 1.2, 1.5])
        >>> walkers = torch.arange(10)
        >>> state = move.init(path.start.sample(walkers, seed=0), walkers)
        >>> for _ in range(20):
        ...     state, info = move.step(state, path, t=1.0, seed=0)
        >>> state.replicas.shape, bool(state.arrivals.sum() > 0)
        (torch.Size([10, 5, 6, 6]), True)
    """

    fractions: Sequence[float] | None = None
    move: Move | None = None
    betas: Sequence[float] | None = None
    # The base has a property of this name, and other moves have nothing to be told.
    exchange: bool = True
    mass_squared: Sequence[float] | None = None
    quartic: Sequence[float] | None = None

    def __post_init__(self) -> None:
        name, values = self._given()
        object.__setattr__(self, name, values)
        if self.move is not None:
            as_move("move", self.move)
        object.__setattr__(self, "exchange", as_bool("exchange", self.exchange))

    def _given(self) -> tuple[str, tuple[float, ...]]:
        """Return by what the replicas are told, and its values; a ValueError if it is not one."""
        if self._coupling is not None:
            name, values = self._coupling
            if self.betas is not None or self.fractions is not None:
                raise ValueError(f"give either {name} or temperatures, got both; leave one out")
            return name, as_couplings(name, values)
        if self.betas is None:
            return "fractions", as_fractions(self.fractions)
        if self.fractions is not None:
            raise ValueError(
                f"give either betas or fractions of the model's beta, got both: {self.betas!r} "
                f"and {self.fractions!r}"
            )
        return "betas", as_betas(self.betas)

    @property
    def _coupling(self) -> tuple[str, Any] | None:
        """Return name and values of the coupling by which replicas differ; None for none."""
        return one_coupling(mass_squared=self.mass_squared, quartic=self.quartic)

    @property
    def each(self) -> Move | None:
        """Return the move of the replicas; None before it is settled."""
        return self.move

    def settled(
        self, model: Any, before: Any = None, walkers: int | None = None
    ) -> "ParallelTempering":
        """Return the same exchanges with a move of the replicas that has all it needs.

        Args:
            model: the target.
            before: the move of a run that goes on; None for a new run.
            walkers: of a block, or of all chains; None where neither is known.
        """
        earlier = None
        if before is not None:
            earlier = as_move("move", before).each
        # All replicas are moved at once.
        replicas = None
        if walkers is not None:
            replicas = walkers * self.temperatures
        return replace(self, move=settled(self.move, model, earlier, replicas))

    @property
    def temperatures(self) -> int:
        """Return the number of temperatures, so of replicas per walker."""
        if self._coupling is not None:
            return len(self._coupling[1])
        chosen = self.betas or self.fractions
        assert chosen is not None
        return len(chosen)

    def ladder(self, beta: float) -> tuple[float, ...]:
        """Return the inverse temperatures of the replicas of a model at ``beta``.

        Raises:
            ValueError: ``betas`` that do not end there.
        """
        if self._coupling is not None:
            return (beta,) * self.temperatures
        if self.betas is None:
            assert self.fractions is not None
            return tuple(fraction * beta for fraction in self.fractions)
        # Who divides by temperatures or spaces betas evenly may miss the last by rounding.
        if not math.isclose(self.betas[-1], beta, rel_tol=_ROUNDING):
            raise ValueError(
                f"betas of ParallelTempering must end at the model's own beta = {beta:.12g}, got "
                f"{list(self.betas)}; end them there, or give the model beta="
                f"{self.betas[-1]:.12g}"
            )
        return (*self.betas[:-1], beta)

    def varied(self, model: Any) -> Varied:
        """Return by what the replicas of a model differ, and the values of each.

        Args:
            model: the target.

        Raises:
            ValueError: values that do not end at the model's own, or of something that it has not.
        """
        if self._coupling is None:
            check_tempered(model, self.betas)
            return super().varied(model)
        name, values = self._coupling
        check_coupling(model, name)
        own = value_of(model, name)
        # Who spaces values evenly may miss the last by rounding.
        if not math.isclose(values[-1], own, rel_tol=_ROUNDING, abs_tol=_ROUNDING):
            raise ValueError(
                f"{name} of ParallelTempering must end at the model's own {own:.12g}, got "
                f"{list(values)}; end it there, or give the model {name}={values[-1]:.12g}"
            )
        return Varied(name, (*values[:-1], own))

    @property
    def kernel(self) -> Move | None:
        """Return the move of the replicas, by its former name."""
        warn_renamed("ParallelTempering.kernel", "ParallelTempering.move")
        return self.move

    @property
    def unweighted(self) -> str:
        """Return why weighted walkers cannot be moved by it."""
        return "the replicas of a walker are exchanged among temperatures and have no weights"

    @property
    def confined(self) -> str:
        """Return the reason of the move of the replicas; empty if it is ergodic."""
        # A default is ergodic, and moves each walker for itself.
        if self.move is None:
            return ""
        return as_move("move", self.move).confined

    @property
    def irreversible(self) -> str:
        """Return why there is no ``reversed()``."""
        return "ParallelTempering has no reversed(): its exchanges follow the moves"

    @property
    def together(self) -> int:
        """Return as many consecutive walkers as the move of the replicas correlates."""
        if self.move is None:
            return 1
        return as_move("move", self.move).together

    def obstacle(self, state: TemperingState) -> str:
        """Return that no replica has come from the first of the ladder to the target, if none has.

        Args:
            state: of the move after the last draw.
        """
        # Replicas that are never exchanged are chains of their own.
        if not self.exchange or bool(state.arrivals.any()):
            return ""
        if self._coupling is not None:
            name, values = self._coupling
            hottest = f"{name} {values[0]:g}"
            words = f"values of {name}"
        elif self.betas is not None:
            hottest = f"beta {self.betas[0]:g}"
            words = "betas"
        else:
            assert self.fractions is not None
            hottest = f"fraction {self.fractions[0]:g}"
            words = "fractions"
        return (
            f"in {state.exchanges} rounds of exchanges no replica came from {hottest} to the "
            f"target: the chains know nothing of it; take {words} that lie closer together, or "
            f"run longer"
        )

    def reversed(self) -> BaseMove:
        """Raise a ValueError: the exchanges would have to come first.

        Raises:
            ValueError: always.
        """
        raise ValueError(f"the move cannot be reversed in time: {self.irreversible}")

    def init(self, configurations: Tensor, walkers: Tensor) -> TemperingState:
        """Return the state of chains whose replicas all start from the walker's configuration."""
        if self.move is not None:
            begin(self.move, configurations, walkers, self)
        count = self.temperatures
        replicas = configurations.unsqueeze(1).repeat_interleave(count, dim=1)
        rising = torch.zeros(len(walkers), count, dtype=torch.bool, device=walkers.device)
        rising[:, 0] = True
        return TemperingState(
            configurations=configurations,
            walkers=walkers,
            sweep=0,
            replicas=replicas,
            exchanges=0,
            rising=rising,
            arrivals=torch.zeros_like(walkers),
        )

    def step(
        self, state: TemperingState, path: AnnealingPath, t: Tensor | float, seed: int
    ) -> tuple[TemperingState, TemperingInfo]:
        """Return the state after one step of the move and one round of exchanges.

        Args:
            state: walkers with their replicas.
            path: the annealing path.
            t: time of the target, a number or float64 ``(1 | walkers,)``.
            seed: in [0, 2³²).
        """
        count = self.temperatures
        if self._coupling is not None:
            # Along it, times are those of the replicas: their models lie between its two ends.
            path = between(self.varied(path.model), path.model)
        times = self._times(state, path, t)
        move = self.move
        if move is None:
            move = default_move(path.model)
        moved, info = move.step(self._in_line(state), path, times.flatten(), seed)
        # Energies decide on the exchanges, and are what the lowest one is looked for in.
        energies = path.model.energy(moved.configurations, check=False)
        if not self.exchange:
            return self._alone(state, moved, info, energies)
        excess = energies
        if path.leaves_start:
            # What decides between neighbours is not the target's energy alone.
            excess = path.excess(moved.configurations)
        order, tried, accepted = exchanged(path, excess, times, state, seed)
        rows = torch.arange(len(order), device=order.device).unsqueeze(1)
        replicas = moved.configurations.unflatten(0, (count, -1)).transpose(0, 1)
        replicas = replicas[rows, order]
        rising = state.rising.gather(1, order)
        arrivals = state.arrivals + rising[:, -1]
        # Who is at the target sets out anew, and who is at the first time rises.
        rising[:, -1] = False
        rising[:, 0] = True
        after = TemperingState(
            # A copy: who writes into the walkers must not write into a replica.
            configurations=replicas[:, -1].clone(),
            walkers=state.walkers,
            sweep=moved.sweep,
            replicas=replicas,
            exchanges=state.exchanges + 1,
            rising=rising,
            arrivals=arrivals,
        )
        energies = energies.unflatten(0, (count, -1)).T.gather(1, order)
        return after, TemperingInfo(tried, accepted, info, energies)

    def lowest(self, state: TemperingState, info: TemperingInfo) -> Lowest:
        """Return the lowest energy among all replicas of each walker, and where.

        Args:
            state: after the step.
            info: what it did.
        """
        energies, place = info.energies.min(dim=1)
        rows = torch.arange(len(place), device=place.device)
        return Lowest(energies, state.replicas[rows, place])

    def _alone(
        self, state: TemperingState, moved: SweepState, info: Any, energies: Tensor
    ) -> tuple[TemperingState, TemperingInfo]:
        """Return what a step is without exchanges: the replicas where the move has left them."""
        replicas = moved.configurations.unflatten(0, (self.temperatures, -1)).transpose(0, 1)
        after = state._replace(
            # A copy: who writes into the walkers must not write into a replica.
            configurations=replicas[:, -1].clone(),
            sweep=moved.sweep,
            replicas=replicas.contiguous(),
        )
        shape = (len(state.walkers), self.temperatures - 1)
        none = torch.zeros(shape, dtype=torch.bool, device=state.walkers.device)
        energies = energies.unflatten(0, (self.temperatures, -1)).T
        return after, TemperingInfo(none[0], none, info, energies)

    def _times(self, state: TemperingState, path: AnnealingPath, t: Tensor | float) -> Tensor:
        """Return the times of all replicas on the path, float64 ``(K, walkers)``."""
        device = state.walkers.device
        target = times_on(t, device)
        if self._coupling is not None:
            shares = self.varied(path.model).shares
            times = numbers_on(shares, device).unsqueeze(1).expand(-1, len(target))
        elif self.betas is None:
            assert self.fractions is not None
            times = numbers_on(tuple(self.fractions), device).unsqueeze(1) * target
        else:
            # Walkers of one ladder are at one target.
            for beta in path.beta(t).unique().tolist():
                self.ladder(beta)
            inner = numbers_on(tuple(path.time_of(self.betas[:-1]).tolist()), device).unsqueeze(1)
            # The last time is that of the target itself, which betas may miss by rounding.
            times = torch.cat([inner.expand(-1, len(target)), target.unsqueeze(0)])
        return times.expand(self.temperatures, len(state.walkers))

    def _in_line(self, state: TemperingState) -> SweepState:
        """Return the replicas as walkers of their own: time after time, walker after walker.

        So moves that pair consecutive walkers pair them at one time.
        """
        count = self.temperatures
        target = state.configurations.unsqueeze(1)
        replicas = torch.cat([state.replicas[:, :-1], target], dim=1).transpose(0, 1)
        place = torch.arange(count, device=state.walkers.device).unsqueeze(1)
        # An index for every replica of every walker, so that no two share random numbers.
        indices = state.walkers * count + place
        return SweepState(replicas.flatten(0, 1), indices.flatten(), state.sweep)
