"""The assembly: walkers follow the path, moved by the transport and by invariant kernels, and are weighed exactly."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor, nn
from tqdm import tqdm

from .ctmc import Jump, JumpState
from .estimators import Estimate, weighted_estimate
from .mcmc import HeatBath
from .models import Model, Observable, as_seed
from .path import AnnealingPath
from .rates import Transport
from .weights import effective_sample_size, log_mean_exp, log_mean_exp_error

__all__ = ["Sampler", "WeightedEnsemble"]

_CHECK_EVERY = 16

Observe: TypeAlias = Callable[[JumpState, Tensor], None]
Advance: TypeAlias = Callable[[int], None]


@dataclass(frozen=True)
class WeightedEnsemble:
    """Configurations and log-weights, such that weighted means are means under the model.

    Attributes
        model: the target.
        configurations: ``(walkers, *shape)``.
        log_weights: ``A``, float64 ``(walkers,)``; ``log Z = log_z_start + log mean e^A``.
        log_z_start: ``log Z_0``.
        times: densities the walkers were weighed for on the way, ``τ_0, …, τ_{N-1}, 1``.
        ess_trace: ESS at each of them, float64.
        evaluations: all-move ``Δ`` evaluations a walker, on average; a sweep counts as one.
        seed, block: what it was made with.
    """

    model: Model = field(repr=False)
    configurations: Tensor = field(repr=False)
    log_weights: Tensor = field(repr=False)
    log_z_start: float
    times: Tensor = field(repr=False)
    ess_trace: Tensor = field(repr=False)
    evaluations: float
    seed: int
    block: int

    @property
    def log_z(self) -> float:
        """Estimate of ``log Z`` of the model, absolute."""
        return self.log_z_start + float(log_mean_exp(self.log_weights))

    @property
    def log_z_error(self) -> float:
        """Its jackknife error over walkers."""
        return float(log_mean_exp_error(self.log_weights))

    @property
    def ess(self) -> float:
        """Effective sample size as a fraction of the walkers, in (0, 1]."""
        return float(effective_sample_size(self.log_weights))

    @property
    def log_weight_variance(self) -> float:
        """``Var[A]``."""
        return float(self.log_weights.var())

    def estimate(self, observable: Observable, function: Callable[[Tensor], Tensor] | None = None) -> Estimate:
        """Mean of an observable under the model, or a function of its means, with its jackknife error.

        Arguments
            observable: ``f(configurations, model)`` → ``(walkers,)`` or ``(walkers, k)``.
            function: of the means ``(..., k)``; None for the one the observable carries, or the plain mean.
        """
        values = observable(self.configurations, self.model)
        return weighted_estimate(values, self.log_weights, function or getattr(observable, "function", None))


class Sampler:
    """Walkers from the path's start to the model, with exact weights.

    Arguments
        path: the annealing path.
        transport: a locally equivariant network, or None for classical annealed importance sampling by the mcmc kernel
            or the integrator's reversible rates.
        integrator: :class:`~leaps_triton.ctmc.Jump`; None for ``Jump(intervals=25)``.
        mcmc: kernel applied at the start of every interval, where it leaves the weights exact; None for none.
        block: walkers computed together, the unit of memory; None for ``2¹⁸ / N``, at least 64 and at most 1024. It
            follows from the lattice alone, so that results do not depend on how the work is divided. A larger one is
            faster on a GPU.
        device: None for CUDA where there is a CUDA device, else the CPU. The transport is moved there.

    Raises
        ValueError: nothing that moves walkers (transport, mcmc, reversible rates), a block below 1.

    Example
        >>> import leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Ising((4, 4), beta=0.3))
        >>> ais = lt.Sampler(path, None, integrator=lt.Jump(intervals=10), mcmc=lt.HeatBath(sweeps=1), device="cpu")
        >>> ensemble = ais.sample(walkers=1000, seed=0)
        >>> abs(ensemble.log_z - lt.exact.ising_log_z((4, 4), beta=0.3)) < 4 * ensemble.log_z_error
        True
    """

    def __init__(
        self,
        path: AnnealingPath,
        transport: Transport | None,
        integrator: Jump | None = None,
        mcmc: HeatBath | None = None,
        block: int | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        self.integrator = integrator or Jump()
        if transport is None and mcmc is None and self.integrator.reversible is None:
            raise ValueError(
                "give a transport, an mcmc kernel, or Jump(reversible=); with none of them the walkers would never move"
            )
        if block is not None and (not isinstance(block, int) or block < 1):
            raise ValueError(f"block must be an integer of at least 1, got {block!r}")
        self.path, self.transport, self.mcmc = path, transport, mcmc
        self.block = block or min(1024, max(64, 2**18 // path.model.lattice.sites))
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        if isinstance(transport, nn.Module):
            transport.to(self.device)

    @torch.no_grad()
    def sample(self, walkers: int, seed: int = 0, first_block: int = 0, progress: bool = False) -> WeightedEnsemble:
        """Independent weighted walkers.

        Arguments
            walkers: their number; computed in blocks, the last one padded.
            seed: in [0, 2³²); the same seed gives the same walkers, however the blocks are divided over calls.
            first_block: index of the first block, for work that is divided over calls or processes.
            progress: show a progress bar on a terminal.

        Raises
            ValueError: a bad argument.
            RuntimeError: a rate that is not finite, or a walker with too many events; it names walker, t and rate.
        """
        if not isinstance(walkers, int) or walkers < 1:
            raise ValueError(f"walkers must be an integer of at least 1, got {walkers!r}")
        if not isinstance(first_block, int) or first_block < 0 or (first_block * self.block + walkers) > 2**31:
            raise ValueError(f"first_block must be an integer >= 0 with all walkers below 2**31, got {first_block!r}")
        as_seed(seed)
        blocks = range(first_block, first_block - (-walkers // self.block))
        intervals = self.integrator.intervals
        done: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        total = len(blocks) * (intervals + 1)
        with tqdm(total=total, desc="sampling", unit="interval", disable=None if progress else True) as bar:
            for index, block in enumerate(blocks):
                kept = min(self.block, walkers - index * self.block)
                trace = torch.zeros(self.block, intervals + 1, dtype=torch.float64, device=self.device)

                def record(state: JumpState, entered: Tensor, trace: Tensor = trace) -> None:
                    column = state.interval.clamp(min=0).unsqueeze(1)
                    value = torch.where(entered, state.log_weights, trace.gather(1, column).squeeze(1))
                    trace.scatter_(1, column, value.unsqueeze(1))

                def advance(interval: int, base: int = index * (intervals + 1)) -> None:
                    bar.update(base + interval + 1 - bar.n)

                first = block * self.block
                state, sweeps = self.run_block(torch.arange(first, first + self.block), seed, record, advance)
                moments = torch.stack([torch.logsumexp(k * trace[:kept], dim=0) for k in (1.0, 2.0)])
                evaluations = state.events[:kept].double() + sweeps
                done.append((state.configurations[:kept], state.log_weights[:kept], evaluations, moments))
        configurations, log_weights, evaluations, _ = (torch.cat(parts) for parts in zip(*done, strict=True))
        first_moment, second_moment = torch.logsumexp(torch.stack([moments for *_, moments in done]), dim=0)
        return WeightedEnsemble(
            model=self.path.model,
            configurations=configurations,
            log_weights=log_weights,
            log_z_start=self.path.start.log_z,
            times=self.integrator.densities[1:],
            ess_trace=(torch.exp(2.0 * first_moment - second_moment) / walkers).clamp(1.0 / walkers, 1.0),
            evaluations=float(evaluations.mean()),
            seed=seed,
            block=self.block,
        )

    def run_block(
        self,
        walkers: Tensor,
        seed: int,
        observe: Observe,
        advance: Advance = lambda interval: None,
    ) -> tuple[JumpState, int]:
        """The walkers of the given global indices from start to end; also the sweeps each has had.

        Arguments
            walkers: int64 ``(walkers,)``.
            seed: in [0, 2³²).
            observe: called with the state and a bool ``(walkers,)`` whenever walkers have entered an interval (or have
                finished), and after the sweeps there.
            advance: called now and then with the interval that the last walker is in.
        """
        walkers = walkers.to(self.device)
        state = self.integrator.init(self.path.start.sample(walkers, seed), walkers)
        if self.mcmc is None:
            state, sweeps = self._run_apart(state, seed, observe, advance), 0
        else:
            state, sweeps = self._run_together(state, self.mcmc, seed, observe, advance)
        if not bool(state.log_weights.isfinite().all()):
            row = int((~state.log_weights.isfinite()).nonzero()[0])
            raise RuntimeError(
                f"walker {int(walkers[row])} at t = 1 has log-weight {float(state.log_weights[row])}, though its last "
                f"rates were finite; check the model's energy, and that the transport is a function of its arguments"
            )
        return state, sweeps

    def _run_apart(self, state: JumpState, seed: int, observe: Observe, advance: Advance) -> JumpState:
        """Without kernels at the boundaries: every walker enters its next interval at once."""
        for count in itertools.count():
            state, entered = self.integrator.enter(state, self.path)
            observe(state, entered)
            look = count % self._patience == 0
            if look:
                slowest = int(state.interval.min())
                advance(slowest)
                if slowest == self.integrator.intervals:
                    break
            state = self._step(state, seed, look)
        return state

    def _run_together(
        self, state: JumpState, mcmc: HeatBath, seed: int, observe: Observe, advance: Advance
    ) -> tuple[JumpState, int]:
        """With kernels at the boundaries: walkers wait for one another there."""
        chain = mcmc.init(state.configurations, state.walkers)
        for interval, tau in enumerate(self.integrator.frozen.tolist()):
            state, entered = self.integrator.enter(state, self.path)
            # After the density increment of this interval and before anything else: elsewhere a sweep would bias.
            chain, _ = mcmc.step(chain._replace(configurations=state.configurations), self.path, tau, seed)
            state = state._replace(configurations=chain.configurations)
            observe(state, entered)
            advance(interval)
            if not self._flows:
                state = state._replace(remaining=torch.zeros_like(state.remaining))
            while bool((state.remaining != 0).any()):
                for count in range(self._patience):
                    state = self._step(state, seed, look=count == 0)
        state, entered = self.integrator.enter(state, self.path)
        observe(state, entered)
        advance(self.integrator.intervals)
        return state, chain.sweep

    @property
    def _flows(self) -> bool:
        """Whether walkers move within the intervals."""
        return self.transport is not None or self.integrator.reversible is not None

    @property
    def _patience(self) -> int:
        """Steps between two looks at the walkers: each look makes a GPU wait."""
        return 1 if self.device.type == "cpu" else _CHECK_EVERY

    def _step(self, state: JumpState, seed: int, look: bool) -> JumpState:
        """One step, checked if ``look``; of the walkers with time remaining alone where each step is looked at."""
        rows = (state.remaining != 0).nonzero().squeeze(1) if self._patience == 1 else slice(None)
        part, info = self.integrator.step(JumpState(*(v[rows] for v in state)), self.path, self.transport, seed)
        if look:
            self.integrator.check(part, info)
        if isinstance(rows, slice):
            return part
        return JumpState(*(old.index_copy(0, rows, new) for old, new in zip(state, part, strict=True)))
