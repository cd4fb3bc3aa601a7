"""A buffer of samples of ``ρ_t`` at every time, which chains keep in equilibrium."""

import torch
from torch import Tensor

from ...integrators.transport import Transport
from ...kernels import uniform64
from ...mcmc.base import SweepState
from ...mcmc.clusters import SwendsenWang
from ...mcmc.fields import HMC
from ...models.base import SweepPlan
from ...paths.annealing import AnnealingPath
from ...paths.base import Path
from ...samplers.sampler import Sampler
from ..config import TrainingConfig
from ..equilibrium import equilibrate
from ..equilibrium.trajectories import field_move
from .buffer import Batch, Buffer, ReplayBuffer, drawn_rows
from .draws import Draws, Use
from .family import Family
from .nodes import NodeBuffer
from .times import TimeDensity, bin_of, middles, training_times

__all__ = ["EquilibriumBuffer", "FamilyBuffer", "annealing_path", "make_buffer"]


def annealing_path(path: Path) -> AnnealingPath:
    """Return a path, if chains can be in equilibrium along it.

    Args:
        path: that of a sampler.

    Raises:
        ValueError: another path than an AnnealingPath.
    """
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
        number: of the model in a family: samples of each have random numbers of their own.

    Attributes:
        configurations: ``(bins, rows, *shape)``; zeros before the first step.
    """

    def __init__(
        self,
        path: AnnealingPath,
        config: TrainingConfig,
        device: torch.device,
        number: int = 0,
    ) -> None:
        model = path.model
        self._path = path
        self._number = number
        self._config = config
        self._move: HMC | None = None
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
        seed = draws.own_seed(Use.EQUILIBRIUM_SEED, self._number)
        times = middles(config.bins)
        device = self._device
        made = equilibrate(self._path, times, walkers, config.refresh, seed, device=device)
        return made.configurations

    @torch.no_grad()
    def batch(self, draws: Draws, latest: float = 1.0, density: TimeDensity | None = None) -> Batch:
        """Return configurations at stratified times, after updates that the buffer keeps."""
        config = self._config
        t = training_times(config, draws, latest, density)
        moved = self.used(t, drawn_rows(config, draws), torch.arange(config.times), draws)
        return Batch(moved, t.to(self._device))

    @torch.no_grad()
    def used(self, t: Tensor, rows: Tensor, places: Tensor, draws: Draws) -> Tensor:
        """Return configurations at some times of a batch, after updates that the buffer keeps.

        Args:
            t: these times, float64 ``(n,)``.
            rows: of the buffer, for each, int64 ``(n, walkers)``.
            places: of these times in the batch, int64 ``(n,)``.
            draws: of the step.

        Returns:
            ``(n, walkers, *shape)``.
        """
        config = self._config
        # No two walkers of a batch have the same random numbers.
        entries = places.unsqueeze(1) * config.walkers + torch.arange(config.walkers)
        bins = bin_of(t, config.bins).unsqueeze(1).to(self._device)
        rows = rows.to(self._device)
        if config.refresh == "tempering":
            self._exchange(bins, rows, t, draws, entries)
        taken = self.configurations[bins, rows].flatten(0, 1)
        index = entries.flatten().to(self._device)
        moved = self._moved(taken, t.repeat_interleave(config.walkers), index, draws)
        moved = moved.unflatten(0, rows.shape)
        # Where a row was drawn twice, either of its successors may stay.
        self.configurations[bins, rows] = moved
        return moved

    def _moved(self, taken: Tensor, t: Tensor, walker_index: Tensor, draws: Draws) -> Tensor:
        """Return configurations after updates that leave ``ρ_t`` invariant, each at its own t."""
        config = self._config
        # Updates are counted over all of training, so that no random number comes twice.
        first = draws.step * config.sweeps
        state = SweepState(taken, walker_index, first)
        if config.refresh == "hmc":
            if self._move is None:
                self._move = field_move(self._path.model, config.sweeps)
            return self._move.advance(state, self._path, t, config.seed)[0].configurations
        if config.refresh != "swendsen_wang":
            plan = SweepPlan(walker_index, first, config.sweeps, config.seed)
            return self._path.refresh(taken, t, plan)
        after, _ = SwendsenWang(config.sweeps).step(state, self._path, t, config.seed)
        return after.configurations

    def _exchange(
        self, bins: Tensor, rows: Tensor, t: Tensor, draws: Draws, entries: Tensor | None = None
    ) -> None:
        """Exchange rows with the same rows of the next bin, by the rule of Metropolis.

        So every row is a ladder of replicas, of which a step tries some neighbours: those above an
        even bin at even steps, those above an odd one at odd steps, each once. So no replica is in
        two exchanges of a step, which would lose one and double another.

        Args:
            bins: of each time, ``(times, 1)``.
            rows: ``(times, walkers)``.
            t: drawn times, float64 ``(times,)``.
            draws: of the step.
            entries: places of the rows in the batch, of their shape; None for all in order.
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
        words = draws.words(Use.EXCHANGES, config.times * config.walkers)
        uniform = uniform64(words[0], words[1])
        if entries is not None:
            uniform = uniform[entries]
        uniform = uniform.to(self._device).view(rows.shape)
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


class FamilyBuffer:
    """Keeps samples of every model of a family; each time of a batch is of one of them.

    Args:
        family: the models.
        config: the settings, of which ``refresh`` is not ``"rollout"``.
        device: where the configurations are.
    """

    def __init__(self, family: Family, config: TrainingConfig, device: torch.device) -> None:
        self._family = family
        self._config = config
        self._device = device
        self._buffers: list[EquilibriumBuffer] = []
        for number, path in enumerate(family.paths):
            # A family has no other paths.
            assert isinstance(path, AnnealingPath)
            self._buffers.append(EquilibriumBuffer(path, config, device, number))

    @property
    def configurations(self) -> Tensor:
        """All that training goes on from, ``(models · bins, rows, *shape)``, model by model."""
        return torch.cat([each.configurations for each in self._buffers])

    @configurations.setter
    def configurations(self, stored: Tensor) -> None:
        parts = stored.chunk(len(self._buffers))
        for each, part in zip(self._buffers, parts, strict=True):
            # Each writes into its own.
            each.configurations = part.clone()

    def prepare(self, transport: Transport, draws: Draws) -> None:
        """Do for every model what is due before a step."""
        for each in self._buffers:
            each.prepare(transport, draws)

    @torch.no_grad()
    def batch(self, draws: Draws, latest: float = 1.0, density: TimeDensity | None = None) -> Batch:
        """Return configurations at stratified times, each of the model that has its turn."""
        config = self._config
        t = training_times(config, draws, latest, density)
        rows = drawn_rows(config, draws)
        members = self._family.dealt(draws, config.times)
        parts: list[Tensor] = []
        order: list[Tensor] = []
        for number in members.unique().tolist():
            places = (members == number).nonzero().squeeze(1)
            used = self._buffers[number].used(t[places], rows[places], places, draws)
            parts.append(used)
            order.append(places)
        back = torch.cat(order).argsort().to(self._device)
        moved = torch.cat(parts)[back]
        return Batch(moved, t.to(self._device), members.to(self._device))


def make_buffer(sampler: Sampler, config: TrainingConfig, family: Family) -> Buffer:
    """Return what training takes its configurations from."""
    if config.refresh == "rollout":
        return ReplayBuffer(sampler, config)
    if family.others:
        return FamilyBuffer(family, config, sampler.device)
    if config.refresh == "nodes":
        return NodeBuffer(family.paths[0], config, sampler.device)
    return EquilibriumBuffer(annealing_path(family.paths[0]), config, sampler.device)
