"""A buffer of samples of ``ρ_t`` at every time, which chains keep in equilibrium."""

import torch
from torch import Tensor

from ...integrators.transport import Transport
from ...kernels import uniform64
from ...mcmc.base import SweepState
from ...mcmc.clusters import SwendsenWang
from ...models.base import SweepPlan
from ...paths.annealing import AnnealingPath
from ...samplers.sampler import Sampler
from ..config import TrainingConfig
from ..equilibrium import equilibrate
from .buffer import Batch, Buffer, ReplayBuffer, drawn_rows
from .draws import Draws, Use
from .times import TimeDensity, bin_of, middles, training_times

__all__ = ["EquilibriumBuffer", "annealing_path", "make_buffer"]


def annealing_path(sampler: Sampler) -> AnnealingPath:
    """Return the path of a sampler, if chains can be in equilibrium along it.

    Raises:
        ValueError: another path than an AnnealingPath.
    """
    path = sampler.path
    if not isinstance(path, AnnealingPath):
        raise ValueError(
            f"samples of equilibrium are made along an AnnealingPath, got a "
            f"{type(path).__name__}; take refresh='rollout' and held_out=0"
        )
    return path


class EquilibriumBuffer:
    """Keeps samples of ``ρ_t`` for each of many bins of time, made before the first step.

    Each use takes rows at drawn times, moves them there by what ``refresh`` names, and puts them
    back. A row was last moved at another time of its bin, so that bins must be narrow: the mean of
    κ over held-out samples and that of the residuals tell if they are not.

    Args:
        path: the annealing path.
        config: the settings, of which ``refresh`` is not ``"rollout"``.
        device: where the configurations are.

    Attributes:
        configurations: ``(bins, rows, *shape)``; zeros before the first step.
    """

    def __init__(self, path: AnnealingPath, config: TrainingConfig, device: torch.device) -> None:
        model = path.model
        self._path = path
        self._config = config
        shape = (config.bins, config.buffer, *model.shape)
        self.configurations = torch.zeros(shape, dtype=model.dtype, device=device)

    @torch.no_grad()
    def prepare(self, transport: Transport, draws: Draws) -> None:
        """Fill all bins before the first step, and draw some exact samples anew where due."""
        config = self._config
        if draws.step == 0:
            made = self._equilibrium(config.buffer, draws)
            self.configurations = made
            return
        due = draws.step % config.rollout_every == 0
        if config.refresh != "exact" or not due:
            return
        first = draws.step // config.rollout_every * config.rollout
        # Rows take turns, so that the oldest are replaced first.
        rows = (torch.arange(config.rollout, device=self._device) + first) % config.buffer
        self.configurations[:, rows] = self._equilibrium(config.rollout, draws)

    @property
    def _device(self) -> torch.device:
        return self.configurations.device

    def _equilibrium(self, walkers: int, draws: Draws) -> Tensor:
        """Return samples in the middle of every bin, ``(bins, walkers, *shape)``."""
        config = self._config
        seed = draws.own_seed(Use.EQUILIBRIUM_SEED)
        times = middles(config.bins)
        device = self._device
        made = equilibrate(self._path, times, walkers, config.refresh, seed, device=device)
        return made.configurations

    @torch.no_grad()
    def batch(self, draws: Draws, latest: float = 1.0, density: TimeDensity | None = None) -> Batch:
        """Return configurations at stratified times, after updates that the buffer keeps."""
        config = self._config
        t = training_times(config, draws, latest, density)
        bins = bin_of(t, config.bins).unsqueeze(1).to(self._device)
        rows = drawn_rows(config, draws).to(self._device)
        if config.refresh == "tempering":
            self._exchange(bins, rows, t, draws)
        taken = self.configurations[bins, rows].flatten(0, 1)
        moved = self._moved(taken, t.repeat_interleave(config.walkers), draws)
        moved = moved.unflatten(0, (config.times, config.walkers))
        # Where a row was drawn twice, either of its successors may stay.
        self.configurations[bins, rows] = moved
        return Batch(moved, t.to(self._device))

    def _moved(self, taken: Tensor, t: Tensor, draws: Draws) -> Tensor:
        """Return configurations after updates that leave ``ρ_t`` invariant, each at its own t."""
        config = self._config
        walker_index = torch.arange(len(taken), device=self._device)
        # Updates are counted over all of training, so that no random number comes twice.
        first = draws.step * config.sweeps
        if config.refresh != "swendsen_wang":
            plan = SweepPlan(walker_index, first, config.sweeps, config.seed)
            return self._path.refresh(taken, t, plan)
        state = SweepState(taken, walker_index, first)
        after, _ = SwendsenWang(config.sweeps).step(state, self._path, t, config.seed)
        return after.configurations

    def _exchange(self, bins: Tensor, rows: Tensor, t: Tensor, draws: Draws) -> None:
        """Exchange rows with the same rows of the next bin, by the rule of Metropolis.

        So every row is a ladder of replicas, of which a step tries some neighbours: those above an
        even bin at even steps, those above an odd one at odd steps, each once. So no replica is in
        two exchanges of a step, which would lose one and double another.

        Args:
            bins: of each time, ``(times, 1)``.
            rows: ``(times, walkers)``.
            t: drawn times, float64 ``(times,)``.
            draws: of the step.
        """
        config = self._config
        last = config.bins - 1
        next_bins = (bins + 1).clamp(max=last)
        allowed = (bins < last) & (bins % 2 == draws.step % 2)
        allowed = allowed & _first_of_each(bins * config.buffer + rows)
        here = self.configurations[bins, rows]
        there = self.configurations[next_bins, rows]
        model = self._path.model
        energy = model.energy(here.flatten(0, 1)).view(rows.shape)
        next_energy = model.energy(there.flatten(0, 1)).view(rows.shape)
        later = (t + 1.0 / config.bins).clamp(max=1.0)
        beta = self._path.beta(t).to(self._device).unsqueeze(1)
        next_beta = self._path.beta(later).to(self._device).unsqueeze(1)
        # ρ_t(y) ρ_t'(x) / (ρ_t(x) ρ_t'(y)), in logarithms.
        gain = (beta - next_beta) * (energy - next_energy)
        words = draws.words(Use.EXCHANGES, rows.numel())
        uniform = uniform64(words[0], words[1]).to(self._device).view(rows.shape)
        # What is not exchanged is not written: it may be another one's by now.
        index, walker = (allowed & (uniform.log() < gain)).nonzero(as_tuple=True)
        row = rows[index, walker]
        own_bin = bins.expand_as(rows)[index, walker]
        self.configurations[own_bin, row] = there[index, walker]
        self.configurations[own_bin + 1, row] = here[index, walker]


def _first_of_each(numbers: Tensor) -> Tensor:
    """Return where a number stands for the first time, bool of the same shape."""
    in_order, order = numbers.flatten().sort(stable=True)
    new = torch.ones_like(in_order, dtype=torch.bool)
    new[1:] = in_order[1:] != in_order[:-1]
    found = torch.empty_like(new)
    found[order] = new
    return found.view_as(numbers)


def make_buffer(sampler: Sampler, config: TrainingConfig) -> Buffer:
    """Return what training takes its configurations from."""
    if config.refresh == "rollout":
        return ReplayBuffer(sampler, config)
    return EquilibriumBuffer(annealing_path(sampler), config, sampler.device)
