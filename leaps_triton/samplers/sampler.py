"""The assembly: walkers follow the path, moved by the transport and by invariant kernels, and are
weighed exactly.
"""

import copy
import itertools
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from tqdm import tqdm

from .. import kernels
from ..estimators.weights import RESAMPLING, ancestors, effective_sample_size, log_mean_exp
from ..integrators.base import Integrator
from ..integrators.jump import Jump, JumpState, State
from ..integrators.rates import Transport
from ..kernels import Stream
from ..kernels.checks import as_device, as_integer, as_number, as_seed, expect
from ..mcmc.base import Kernel
from ..networks.incremental import Follower
from ..paths.annealing import AnnealingPath
from .ensemble import WeightedEnsemble

__all__ = ["Advance", "BlockRun", "Observe", "Sampler"]


Observe: TypeAlias = Callable[[State, Tensor], None]

Advance: TypeAlias = Callable[[int], None]


class BlockRun(NamedTuple):
    """What :meth:`Sampler.run_block` returns."""

    state: State
    """The walkers at ``t = 1``"""
    sweeps: int
    """Sweeps each has had"""
    trace: Tensor
    """``A`` of each walker on reaching ``τ_0, …, τ_{N-1}, 1``, before resampling; float64
    ``(walkers, N + 1)``"""
    resampled: Tensor
    """Whether the block was resampled there, bool ``(N + 1,)``"""


class Sampler:
    """Walkers from the path's start to the model, with exact weights.

    With ``resample_below``, sequential Monte Carlo: where the ESS of a block falls below it at an
    interval boundary, after the density increment and before the sweeps, the block's walkers are
    drawn anew in proportion to their weights, in random order, and each gets the block's ``log mean
    e^A``. Blocks stay independent of one another; take several, by a small enough ``block``, to
    have error bars.

    Args:
        path: the annealing path.
        transport: a locally equivariant network, or None for classical annealed importance sampling
            by the mcmc kernel or the integrator's reversible rates.
        integrator: :class:`~leaps_triton.integrators.jump.Jump` or
            :class:`~leaps_triton.ctmc.TauLeap`; None for ``Jump(intervals=25)``.
        mcmc: kernel applied at the start of every interval, where it leaves the weights exact; None
            for none. One that moves several configurations jointly (parallel tempering, Houdayer)
            has no weight for each, and is refused.
        resample_below: ESS, as a fraction of the block, below which it is resampled; 0 for never.
        resampling: ``"systematic"``, ``"stratified"`` or ``"residual"``; see
            :func:`~leaps_triton.estimators.weights.ancestors`.
        block: walkers computed together, the unit of memory; None for ``2¹⁸ / N``, at least 64 and
            at most 1024. It follows from the lattice alone, so that results do not depend on how
            the work is divided. A larger one is faster on a GPU.
        device: None for CUDA where there is a CUDA device, else the CPU. The transport is moved
            there.

    Raises:
        ValueError: nothing that moves walkers (transport, mcmc, reversible rates), a kernel that
            cannot move weighted walkers, a block below 1, a threshold outside [0, 1], an unknown
            resampling scheme, domains that do not fit lattice and transport, ``Jump(tables=True)``
            where there can be no tables.

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
        path: AnnealingPath,
        transport: Transport | None,
        integrator: Integrator | None = None,
        mcmc: Kernel | None = None,
        resample_below: float = 0.0,
        block: int | None = None,
        device: torch.device | str | None = None,
        resampling: str = "systematic",
    ) -> None:
        expect(isinstance(path, AnnealingPath), "path", "an AnnealingPath", path)
        expect(
            transport is None or callable(transport), "transport", "None or a network", transport
        )
        wanted = "an integrator such as Jump(intervals=25)"
        expect(
            integrator is None or isinstance(integrator, Integrator),
            "integrator",
            wanted,
            integrator,
        )
        # Kernels of a user's own are welcome; an integrator has intervals.
        steps = hasattr(mcmc, "step") and hasattr(mcmc, "init") and not hasattr(mcmc, "intervals")
        is_kernel = mcmc is None or (steps and not isinstance(mcmc, type))
        expect(is_kernel, "mcmc", "None or a kernel such as HeatBath(sweeps=1)", mcmc)
        self.integrator: Integrator = Jump() if integrator is None else integrator
        if transport is None and mcmc is None and self.integrator.reversible is None:
            raise ValueError(
                "give a transport, an mcmc kernel, Jump(reversible=) or TauLeap(floor=); with none of them the walkers "
                "would never move"
            )
        reason = getattr(mcmc, "unweighted", "")
        if reason:
            raise ValueError(
                f"{type(mcmc).__name__} cannot be the mcmc kernel of a sampler: {reason}; run it alone"
            )
        wanted = "a fraction of the walkers in [0, 1]"
        resample_below = as_number(
            "resample_below", resample_below, wanted, lambda x: 0.0 <= x <= 1.0
        )
        if resampling not in RESAMPLING:
            raise ValueError(
                f"resampling must be one of {', '.join(RESAMPLING)}, got {resampling!r}"
            )
        block = None if block is None else as_integer("block", block, 1)
        self.path, self.transport, self.mcmc = path, transport, mcmc
        self.resample_below, self.resampling = resample_below, resampling
        self.block = block or min(1024, max(64, 2**18 // path.model.lattice.sites))
        self.device = as_device(device)
        if isinstance(self.integrator, Jump):
            self.integrator.domains(path, transport, self.device)
            self.integrator.tabulated(path, transport)
        if isinstance(transport, nn.Module):
            transport.to(self.device)

    @torch.no_grad()
    def sample(
        self, walkers: int, seed: int = 0, first_block: int = 0, progress: bool = False
    ) -> WeightedEnsemble:
        """Weighted walkers, independent but for resampling within blocks.

        Args:
            walkers: their number; computed in whole blocks, of the last of which the first walkers
                are kept: these do not depend on how many were asked for, with resampling too.
            seed: in [0, 2³²); the same seed gives the same walkers, however the blocks are divided
                over calls, and at another β or size correlated ones.
            first_block: index of the first block, for work that is divided over calls or processes.
            progress: show a progress bar on a terminal.

        Raises:
            ValueError: a bad argument.
            RuntimeError: a rate that is not finite, or a walker with too many events; it names
                walker, t and rate.
        """
        walkers, seed = as_integer("walkers", walkers, 1, 2**31), as_seed(seed)
        # Indices of walkers are those of the random numbers.
        first_block = as_integer("first_block", first_block, 0, (2**31 - walkers) // self.block)
        blocks = range(first_block, first_block - (-walkers // self.block))
        intervals = self.integrator.intervals
        done: list[tuple[Tensor, ...]] = []
        total = len(blocks) * (intervals + 1)
        with tqdm(
            total=total, desc="sampling", unit="interval", disable=None if progress else True
        ) as bar:
            for index, block in enumerate(blocks):
                kept = min(self.block, walkers - index * self.block)

                def advance(interval: int, base: int = index * (intervals + 1)) -> None:
                    bar.update(base + interval + 1 - bar.n)

                first = block * self.block
                indices = torch.arange(first, first + self.block)
                state, sweeps, trace, resampled = self.run_block(indices, seed, advance=advance)
                moments = torch.stack(
                    [torch.logsumexp(k * trace[:kept], dim=0) for k in (1.0, 2.0)]
                )
                evaluations = state.events[:kept].double() + sweeps
                done.append(
                    (
                        state.configurations[:kept],
                        state.log_weights[:kept],
                        evaluations,
                        moments,
                        resampled,
                    )
                )
        columns = list(zip(*done, strict=True))
        configurations, log_weights, evaluations = (torch.cat(parts) for parts in columns[:3])
        first_moment, second_moment = torch.logsumexp(torch.stack(columns[3]), dim=0)
        return WeightedEnsemble(
            model=self.path.model,
            configurations=configurations,
            log_weights=log_weights,
            log_z_start=self.path.start.log_z,
            times=self.integrator.densities[1:],
            ess_trace=(torch.exp(2.0 * first_moment - second_moment) / walkers).clamp(
                1.0 / walkers, 1.0
            ),
            resamplings=torch.stack(columns[4]).sum(0),
            evaluations=float(evaluations.mean()),
            seed=seed,
            block=self.block,
        )

    def run_block(
        self,
        walkers: Tensor,
        seed: int,
        observe: Observe = lambda state, entered: None,
        advance: Advance = lambda interval: None,
    ) -> BlockRun:
        """The walkers of the given global indices, one block, from start to end.

        Args:
            walkers: int64 ``(walkers,)``; the first of them names the block in the random numbers
                of resampling.
            seed: in [0, 2³²).
            observe: called with the state and a bool ``(walkers,)`` whenever walkers have entered
                an interval (or have finished), and after the resampling and the sweeps there.
            advance: called now and then with the interval that the last walker is in.
        """
        indices = (
            isinstance(walkers, Tensor)
            and walkers.dtype == torch.int64
            and walkers.ndim == 1
            and len(walkers) > 0
        )
        expect(indices, "walkers", "at least one index, int64 (walkers,)", walkers)
        walkers, seed = walkers.to(self.device), as_seed(seed)
        intervals = self.integrator.intervals
        state = self.integrator.init(self.path.start.sample(walkers, seed), walkers)
        trace = torch.zeros(len(walkers), intervals + 1, dtype=torch.float64, device=self.device)
        run = BlockRun(state, 0, trace, torch.zeros(intervals + 1, dtype=torch.bool))
        together = self.mcmc is not None or self.resample_below > 0.0 or self._tabulated
        follower = self._following(len(walkers))
        run = (follower._run_together if together else follower._run_apart)(
            run, seed, observe, advance
        )
        self.check_weights(run.state, 1.0)
        return run

    def _run_apart(self, run: BlockRun, seed: int, observe: Observe, advance: Advance) -> BlockRun:
        """Without kernels or resampling at the boundaries: every walker enters its next interval at
        once.
        """
        state = run.state
        for count in itertools.count():
            state, entered = self._enter(state, run.trace)
            observe(state, entered)
            look = count % self._patience == 0
            if look:
                slowest = int(state.interval.min())
                advance(slowest)
                if slowest == self.integrator.intervals:
                    break
            state = self._step(state, seed, look)
        return run._replace(state=state)

    def _run_together(
        self, run: BlockRun, seed: int, observe: Observe, advance: Advance
    ) -> BlockRun:
        """With kernels or resampling at the boundaries, or on tables: walkers wait for one another
        there.
        """
        state = run.state
        chain = None if self.mcmc is None else self.mcmc.init(state.configurations, state.walkers)
        for interval, tau in enumerate(self.integrator.frozen.tolist()):
            state, entered = self._enter(state, run.trace)
            # After the density increment of this interval and before anything else: elsewhere these
            # would bias.
            if self.resample_below > 0.0:
                self.check_weights(state, tau)
                if float(effective_sample_size(state.log_weights)) < self.resample_below:
                    state, run.resampled[interval] = self.resample(state, interval, seed), True
            if self.mcmc is not None and chain is not None:
                chain, _ = self.mcmc.step(
                    chain._replace(configurations=state.configurations), self.path, tau, seed
                )
                state = state._replace(configurations=chain.configurations)
            observe(state, entered)
            advance(interval)
            state = self.run_interval(state, seed)
        state, entered = self._enter(state, run.trace)
        observe(state, entered)
        advance(self.integrator.intervals)
        return run._replace(state=state, sweeps=0 if chain is None else chain.sweep)

    def _enter(self, state: State, trace: Tensor) -> tuple[State, Tensor]:
        """As :meth:`Integrator.enter`, with ``A`` of the walkers that do written into ``trace``."""
        state, entered = self.integrator.enter(state, self.path)
        column = state.interval.clamp(min=0).unsqueeze(1)
        value = torch.where(entered, state.log_weights, trace.gather(1, column).squeeze(1))
        trace.scatter_(1, column, value.unsqueeze(1))
        return state, entered

    def resample(self, state: State, boundary: int, seed: int) -> State:
        """The block drawn anew; indices and event counters stay with the slots, so no random number
        is used twice.
        """
        slots = torch.arange(len(state.walkers), device=self.device)
        words = kernels.philox(
            seed, Stream.RESAMPLE, slots, boundary, 0, state.walkers[0], self.device
        )
        drawn = ancestors(state.log_weights, kernels.uniform64(words[0], words[1]), self.resampling)
        # In random order any slot is drawn by weight, so that the first walkers of a block may be
        # kept alone.
        drawn = drawn[kernels.uniform64(words[2], words[3]).argsort(stable=True)]
        evened = log_mean_exp(state.log_weights).expand(len(drawn)).contiguous()
        return state.descend(drawn)._replace(log_weights=evened)

    def check_weights(self, state: State, t: float) -> None:
        """Raise a RuntimeError that names the walker whose log-weight is not finite at time
        ``t``.
        """
        if not bool(state.log_weights.isfinite().all()):
            row = int((~state.log_weights.isfinite()).nonzero()[0])
            raise RuntimeError(
                f"walker {int(state.walkers[row])} at t = {t:g} has log-weight {float(state.log_weights[row])}, though "
                f"its last rates were finite; check the model's energy, and that the transport is a function of its "
                f"arguments"
            )

    def with_integrator(self, integrator: Integrator) -> "Sampler":
        """The same sampler on other times; the transport is shared."""
        expect(isinstance(integrator, Integrator), "integrator", "a Jump or a TauLeap", integrator)
        other = copy.copy(self)
        other.integrator = integrator
        return other

    def run_interval(self, state: State, seed: int, backward: bool = False) -> State:
        """Every walker to the end of the interval it is in."""
        if not self._flows:
            return state._replace(remaining=torch.zeros_like(state.remaining))
        if self._tabulated:
            assert (
                isinstance(self.integrator, Jump)
                and isinstance(state, JumpState)
                and self.transport is not None
            )
            return self.integrator.run_interval(state, self.path, self.transport, seed, backward)
        follower = self._following(len(state.walkers))
        while bool((state.remaining != 0).any()):
            for count in range(self._patience):
                state = follower._step(state, seed, count == 0, backward)
        return state

    def _following(self, walkers: int) -> "Sampler":
        """The sampler with a transport that remembers a block of walkers between events, if its
        transport has one.
        """
        # One move between two evaluations is all that there is to follow.
        one_move = isinstance(self.integrator, Jump) and self.integrator.domain is None
        follow = getattr(self.transport, "follow", None) if one_move else None
        transport = None if follow is None else follow(walkers)
        return self if transport is None else self._with_transport(transport)

    def _at(self, rows: Tensor) -> "Sampler":
        """The sampler for some walkers of a block, by their place in it."""
        return (
            self._with_transport(self.transport.at(rows))
            if isinstance(self.transport, Follower)
            else self
        )

    def _with_transport(self, transport: Transport) -> "Sampler":
        other = copy.copy(self)
        other.transport = transport
        return other

    @property
    def _flows(self) -> bool:
        """Whether walkers move within the intervals."""
        return self.transport is not None or self.integrator.reversible is not None

    @property
    def _tabulated(self) -> bool:
        """Whether the intervals are run on tables of the rates."""
        return isinstance(self.integrator, Jump) and self.integrator.tabulated(
            self.path, self.transport
        )

    @property
    def _patience(self) -> int:
        """Steps between two looks at the walkers: each look makes a GPU wait."""
        return 1 if self.device.type == "cpu" else self.integrator.patience

    def _step(self, state: State, seed: int, look: bool, backward: bool = False) -> State:
        """One step, checked if ``look``; of the walkers with time remaining alone where each step
        is looked at.
        """
        active = state.remaining != 0
        if self._patience == 1 and not bool(active.all()):
            rows = active.nonzero().squeeze(1)
            part = self._at(rows)._step(
                type(state)(*(v[rows] for v in state)), seed, look, backward
            )
            return type(state)(
                *(old.index_copy(0, rows, new) for old, new in zip(state, part, strict=True))
            )
        state, info = self.integrator.step(state, self.path, self.transport, seed, backward)
        if look:
            self.integrator.check(state, info)
        return state
