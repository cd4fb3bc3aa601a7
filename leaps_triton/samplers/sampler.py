"""Walkers follow the path, moved by transport and moves, and are weighed exactly."""

import math
from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from .. import kernels
from ..estimators.weights import RESAMPLING, ancestors, log_mean_exp
from ..integrators.base import Integrator
from ..integrators.overflow import refuse_weight
from ..integrators.rollouts.rollout import kept_rollouts
from ..integrators.states import State, some
from ..integrators.transport import Transport, as_transport
from ..kernels import Stream
from ..kernels.checks import as_device, as_integer, as_number, as_seed, expect
from ..mcmc.base import Move, as_move
from ..models.pair import is_pair_model
from ..observables.base import OBSERVABLES
from ..paths.annealing import AnnealingPath
from ..paths.base import Path, learned_of, velocity_of
from ..paths.starts import Uniform, check_drawn
from ..progress import track
from .along import Along, Stops
from .assembly import (
    check_fields,
    check_kind,
    check_moved,
    check_weighted,
    default_integrator,
    described,
    swept_model,
)
from .blocks import BlockRun, Kept, default_block, heard_by, joined, tell_cost, walkers_of
from .ensemble import WeightedEnsemble
from .passage import Advance, Observe, Passage
from .riding.riders import run_riding
from .riding.rule import blocks_at_once

__all__ = ["Advance", "BlockRun", "Observe", "Sampler"]


class Sampler:
    """Takes walkers from the path's start to the model, with exact weights.

    With ``resample_below``, sequential Monte Carlo: where the ESS of a block falls below it at an
    interval boundary, after the density increment and before the sweeps, its walkers are drawn anew
    in proportion to their weights, in random order, each with the block's ``log mean e^A``. Blocks
    stay independent; take several, by a small enough ``block``, to have error bars.

    Args:
        path: the annealing path, or any other :class:`~leaps_triton.paths.Path`.
        transport: a locally equivariant network, a drift of fields, or None for classical annealed
            importance sampling by the moves of ``mcmc`` or the integrator's reversible rates. On a
            :class:`~leaps_triton.GradientFlowPath` None is the velocity of the path, which
            :class:`~leaps_triton.MapStep` alone does not follow.
        integrator: :class:`~leaps_triton.Jump` or :class:`~leaps_triton.TauLeap` for rates,
            :class:`~leaps_triton.MapStep` or :class:`~leaps_triton.PathRatio` for drifts; None for
            ``MapStep(intervals=50)`` with a drift or floating-point configurations,
            ``PathRatio(intervals=50)`` for the velocity of a path, else ``Jump(intervals=25)``.
            What it leaves to the library, as running or frozen weights, follows from path and
            transport, and is kept.
        mcmc: move made at the start of every interval, where it leaves the weights exact; None for
            none. What it leaves open follows from model and block, and is kept. Moves of several
            configurations together (parallel tempering, Houdayer) have no weights, and are refused.
        resample_below: ESS, as a fraction of the block, below which it is resampled; 0 for never.
        resampling: ``"systematic"``, ``"stratified"`` or ``"residual"``; see
            :func:`~leaps_triton.estimators.weights.ancestors`.
        block: walkers computed together, the unit of memory; None for ``2¹⁸ / N``, at least 64 and
            at most 1024. It follows from the lattice alone, so that results do not depend on how
            the work is divided. A larger one is faster on a GPU. With a transport, reversible
            rates or resampling blocks are computed whole, and where that is more than twice the
            walkers asked for, the logger ``leaps_triton`` says so once; see :attr:`rowwise`.
        device: None for CUDA where there is a CUDA device, else the CPU. The transport is moved
            there, and what is learned in the path.

    Attributes:
        riding: blocks in the same launches, with the same results; None for what suits the device.

    Raises:
        ValueError: nothing that moves walkers (transport, mcmc, reversible rates), a drift with an
            integrator of rates or rates with one of drifts, a move of other models, or one that
            cannot act on weighted walkers, a network of another model, a block below 1, a threshold
            outside [0, 1], an unknown resampling scheme, domains that do not fit lattice and
            transport, ``Jump(tables=True)`` where there can be no tables, or
            ``Jump(weights="running")`` along a path or on times that do not allow them.

    References:
        Del Moral, Doucet, Jasra, *Sequential Monte Carlo samplers*, J. R. Statist. Soc. B 68, 411
        (2006).

    Example:
        >>> import leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Ising((4, 4), beta=0.3))
        >>> ais = lt.Sampler(
        ...     path,
        ...     None,
        ...     integrator=lt.Jump(intervals=10),
        ...     mcmc=lt.HeatBath(sweeps=1),
        ...     device="cpu",
        ... )
        >>> ensemble = ais.sample(walkers=1000, seed=0)
        >>> abs(ensemble.log_z - lt.exact.ising_log_z((4, 4), beta=0.3)) < 4 * ensemble.log_z_error
        True
    """

    def __init__(
        self,
        path: Path,
        transport: Transport | None = None,
        integrator: Integrator | None = None,
        mcmc: Move | None = None,
        resample_below: float = 0.0,
        block: int | None = None,
        device: torch.device | str | None = None,
        resampling: str = "systematic",
    ) -> None:
        expect(isinstance(path, Path), "path", "an AnnealingPath", path)
        known = transport is None or callable(transport)
        expect(known, "transport", "None or a network", transport)
        known = integrator is None or isinstance(integrator, Integrator)
        expect(known, "integrator", "an integrator such as Jump(intervals=25)", integrator)
        named = None if mcmc is None else as_move("mcmc", mcmc)
        check_weighted(named)
        if integrator is None:
            integrator = default_integrator(path, transport)
        if transport is None and integrator.takes_any_drift:
            transport = velocity_of(path)
        check_moved(path, transport, integrator, named)
        wanted = "a fraction of the walkers in [0, 1]"
        self.resample_below = as_number(
            "resample_below", resample_below, wanted, lambda x: 0.0 <= x <= 1.0
        )
        wanted = f"one of {', '.join(RESAMPLING)}"
        expect(resampling in RESAMPLING, "resampling", wanted, resampling)
        self.resampling = resampling
        answers = as_transport(transport)
        answers.accept(path.model)
        check_kind(answers, integrator, path)
        self.path = path
        self.transport = transport
        # What the user has named, beside what was decided: a run that goes on decides anew.
        self._asked = integrator
        self._named = named
        # Two blocks of one run, or two processes, never differ in how they are weighed.
        self.integrator = integrator.settled(path, transport)
        self.block = default_block(path) if block is None else as_integer("block", block, 1)
        # Nor in how they are swept.
        move = named
        if named is not None:
            named.check_model(path.model)
            mcmc = named.settled(swept_model(path), None, self.block)
            move = as_move("mcmc", mcmc)
        self.mcmc = mcmc
        self.move = move
        check_fields(path, transport, self.integrator, move)
        self.device = as_device(device)
        self.riding: int | None = None
        self.integrator.accept(path, transport, self.device)
        # A plain function has nothing to be moved.
        for module in (transport, learned_of(path)):
            if isinstance(module, nn.Module):
                module.to(self.device)

    __repr__ = described

    def with_integrator(self, integrator: Integrator) -> Self:
        """Return the same sampler with another integrator, or other times; the transport is shared.

        Args:
            integrator: whose times and steps it is to take.
        """
        known = isinstance(integrator, Integrator)
        expect(known, "integrator", "an integrator such as Jump(intervals=25)", integrator)
        other = self._like(integrator, self.block, self.mcmc)
        same = type(integrator) is type(self.integrator)
        same = same and integrator.settings == self.integrator.settings
        left_open = self._asked.settings != self.integrator.settings
        if same and left_open:
            # On other times it leaves open what this one did: a file may have it otherwise.
            other._asked = self._asked.with_times(integrator.times)
        return other

    def with_block(self, block: int) -> Self:
        """Return the same sampler with other blocks; the transport is shared.

        Without resampling its walkers are the same but for the rounding of batches.

        Args:
            block: walkers per block.
        """
        return self._like(self.integrator, block, self.mcmc)

    def with_move(self, move: Move | None) -> Self:
        """Return the same sampler with another move at the start of intervals, or with none."""
        return self._like(self.integrator, self.block, move)

    def going_on(self, before: Move | None, integrator: Integrator | None = None) -> Self:
        """Return the same sampler with what its user did not name as it was before.

        Args:
            before: the move of a run that goes on; None if it had none.
            integrator: that of the run; None for what this sampler has.
        """
        settled = self.integrator
        if integrator is not None:
            settled = self._asked.settled(self.path, self.transport, integrator)
        move: Move | None = self.mcmc
        if self._named is not None and before is not None:
            move = self._named.settled(swept_model(self.path), before, self.block)
        other = self._like(settled, self.block, move)
        other._asked = self._asked
        return other

    def _like(self, integrator: Integrator, block: int, mcmc: Move | None) -> Self:
        """Return a sampler that has all else of this one."""
        other = type(self)(
            self.path,
            self.transport,
            integrator=integrator,
            mcmc=mcmc,
            resample_below=self.resample_below,
            block=block,
            device=self.device,
            resampling=self.resampling,
        )
        other.riding = self.riding
        if integrator is self.integrator:
            # What was left to the library still is.
            other._asked = self._asked
        return other

    @property
    def rowwise(self) -> bool:
        """Return whether a walker is the same to the last bit, whoever is computed beside it.

        Then a short last block is not filled. It is so for classical annealing: no transport, no
        reversible rates, no resampling, a model of pairs from a uniform start, and a move that says
        so. A network may round otherwise in another batch, so that its blocks are computed whole.
        """
        alone = self.transport is None and not self.integrator.moves_alone
        if not alone or self.resample_below > 0.0 or self.move is None:
            return False
        path = self.path
        # What users bring may look at the whole batch.
        if not isinstance(path, AnnealingPath) or not isinstance(path.start, Uniform):
            return False
        if not is_pair_model(path.model):
            return False
        return self.move.rowwise and path.model.interactions.rowwise

    @torch.no_grad()
    def sample(
        self,
        walkers: int,
        seed: int = 0,
        first_block: int = 0,
        progress: bool = False,
        advance: Advance | None = None,
        along: Along = False,
        observables: Sequence[str] = OBSERVABLES,
    ) -> WeightedEnsemble:
        """Return weighted walkers, independent but for resampling within blocks.

        On their way the walkers pass every β of the path, and are weighed exactly at each frozen
        time (at each grid time with running weights), at the start and at the end: with ``along``,
        ``ensemble.by_beta`` has log Z and observables there too. The walkers then wait for one
        another at the boundaries of intervals. On a path in couplings each stage is the model with
        the couplings of that time, and values of the schedule stand in the place of β.

        Args:
            walkers: their number; computed block by block, of the last of which the first walkers
                are kept: these do not depend on how many were asked for, with resampling too.
            seed: in [0, 2³²); the same seed gives the same walkers, however the blocks are divided
                over calls, and at another β or size correlated ones.
            first_block: index of the first block, for work that is divided over calls or processes.
            progress: show a progress bar on a terminal, elsewhere a line every half minute.
            advance: called now and then with the number of intervals that are done, of all blocks;
                a block has as many as the integrator and one more.
            along: True to measure at every β at which walkers are weighed, or the inverse
                temperatures that are wanted, such as :func:`~leaps_triton.schedules.through` makes
                times for.
            observables: names in :mod:`leaps_triton.observables`, measured along the path.

        Raises:
            ValueError: a bad argument; a β at which walkers are not weighed.
            RuntimeError: a rate that is not finite, or a walker with too many events; it names
                walker, t and rate.
        """
        walkers = as_integer("walkers", walkers, 1, 2**31)
        seed = as_seed(seed)
        # Indices of walkers are those of the random numbers.
        last = (2**31 - walkers) // self.block
        first_block = as_integer("first_block", first_block, 0, last)
        stops = None
        if along is not False:
            stops = Stops.on(self.path, self.integrator, along, observables)
        blocks = math.ceil(walkers / self.block)
        at_once = blocks_at_once(self)
        # Where nothing is filled, few walkers cost little.
        if first_block == 0 and not self.rowwise:
            tell_cost(walkers, self.block)
        steps = self.integrator.intervals + 1
        done: list[Kept] = []
        with track(blocks * steps, "sampling", "interval", progress) as shown, kept_rollouts():
            for index in range(0, blocks, at_once):
                count = min(at_once, blocks - index)
                heard = heard_by(shown, index * steps, advance, count)
                # Of these blocks; only the last of all may be asked for in part.
                wanted = min(count * self.block, walkers - index * self.block)
                indices = walkers_of(self, first_block + index, wanted)
                done += self._kept(indices, seed, heard, wanted, stops)
        return joined(self, done, seed)

    def _kept(
        self, blocks: list[Tensor], seed: int, heard: Advance, wanted: int, stops: Stops | None
    ) -> list[Kept]:
        """Return what is kept of some blocks; several ride in the same launches."""
        if len(blocks) == 1:
            run = self.run_block(blocks[0], seed, advance=heard, wanted=wanted, stops=stops)
            return [Kept.of(run, wanted)]
        sent = [walkers.to(self.device) for walkers in blocks]
        runs = run_riding(self, sent, wanted, seed, heard, stops)
        kept: list[Kept] = []
        for number, run in enumerate(runs):
            kept.append(Kept.of(run, min(self.block, wanted - number * self.block)))
        return kept

    def run_block(
        self,
        walkers: Tensor,
        seed: int,
        observe: Observe | None = None,
        advance: Advance | None = None,
        wanted: int | None = None,
        stops: Stops | None = None,
    ) -> BlockRun:
        """Take the walkers of the given global indices, one block, from start to end.

        Args:
            walkers: int64 ``(walkers,)``; the first of them names the block in the random numbers
                of resampling.
            seed: in [0, 2³²).
            observe: called with the state and a bool ``(walkers,)`` whenever walkers have entered
                an interval (or have finished), and after the resampling and the sweeps there.
            advance: called now and then with the interval that the last walker is in.
            wanted: how many of the walkers, from the first, are asked for; None for all. Without
                resampling the others only fill the block: what goes wrong with them stops them,
                with weight 0. With it every walker of a block counts.
            stops: where the walkers are measured on their way; None for nowhere.
        """
        known = isinstance(walkers, Tensor) and walkers.dtype == torch.int64
        known = known and walkers.ndim == 1 and len(walkers) > 0
        expect(known, "walkers", "at least one index, int64 (walkers,)", walkers)
        walkers = walkers.to(self.device)
        seed = as_seed(seed)
        end = None
        if wanted is not None:
            wanted = as_integer("wanted", wanted, 1, len(walkers))
            if wanted < len(walkers) and self.resample_below == 0.0:
                end = int(walkers[wanted])
        drawn = self.path.start.sample(walkers, seed)
        check_drawn(drawn, self.path.start, len(walkers), self.path.model)
        state = self.integrator.init(drawn, walkers)
        passage = Passage(self, state, seed, observe, advance, stops)
        state = self.integrator.run(state, self.path, self.transport, seed, passage, end=end)
        self.check_weights(some(state, slice(0, wanted)), 1.0)
        recorded = None
        if passage.recorder is not None:
            recorded = passage.recorder.recorded
        return BlockRun(state, passage.moves.sweeps, passage.trace, passage.resampled, recorded)

    def resample(self, state: Any, boundary: int, seed: int) -> Any:
        """Return the block drawn anew in proportion to its weights.

        Indices and event counters stay with the slots, so no random number is used twice.
        """
        slots = torch.arange(len(state.walkers), device=self.device)
        # The first walker of the block names it, and its boundary is the event.
        words = kernels.philox(
            seed, Stream.RESAMPLE, slots, boundary, 0, state.walkers[0], self.device
        )
        uniform = kernels.uniform64(words[0], words[1])
        drawn = ancestors(state.log_weights, uniform, self.resampling)
        # In random order any slot is drawn by weight, so that the first walkers of a block may be
        # kept alone.
        order = kernels.uniform64(words[2], words[3]).argsort(stable=True)
        # Each takes an equal share of the block's weight, so that the mean of e^A stays the same.
        evened = log_mean_exp(state.log_weights).expand(len(drawn)).contiguous()
        return state.descend(drawn[order])._replace(log_weights=evened)

    def check_weights(self, state: State, t: float) -> None:
        """Raise a RuntimeError naming the walker whose log-weight at ``t`` is not finite."""
        bad = ~state.log_weights.isfinite()
        if bool(bad.any()):
            row = int(bad.nonzero()[0])
            refuse_weight(state, row, t, self.path, self.transport)
