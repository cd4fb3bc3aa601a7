"""Values of a hollow convolution brought up to date after one move, instead of computed anew."""

import copy
import math
from functools import lru_cache
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..kernels.hollow_network import reference
from ..lattices.hypercubic import Lattice
from .base import CHUNK_SITES, Conditions

__all__ = ["Follower"]


class _Network(Protocol):
    q: int
    periodic: tuple[bool, ...]
    modes: int
    global_features: bool
    conv: nn.Parameter
    first: nn.Linear
    hidden: nn.Linear
    readout: nn.Linear
    skip: nn.Parameter

    def __call__(self, configurations: Tensor, conditions: Conditions) -> Tensor: ...
    def embed_time(self, conditions: Conditions) -> Tensor: ...


class _Reach(NamedTuple):
    """Who sees a site."""

    targets: Tensor
    """Sites around each site whose convolution reads it, and itself, int64 ``(sites, reach)``;
    ``sites`` off an edge"""
    fold: Tensor
    """Which taps they read it through, ``(reach, taps)``: several where the kernel is larger than
    the lattice"""
    neighbours: Tensor
    """Neighbours in positive, then negative direction of each axis, int64 ``(2 ndim, sites)``;
    ``sites`` off an edge"""
    backward: Tensor
    """Neighbour in negative direction of each axis, or any site, int64 ``(ndim, sites)``"""


@lru_cache(maxsize=16)
def _reach(
    shape: tuple[int, ...], periodic: tuple[bool, ...], kernel_size: int, device: torch.device
) -> _Reach:
    radius = kernel_size // 2
    # Neighbours see a site whatever the kernel.
    far = max(1, radius)
    lines, folds = [], []
    for length, wraps in zip(shape, periodic, strict=True):
        offsets = torch.arange(-radius, radius + 1)
        steps = torch.arange(-far, far + 1)
        if wraps and length < len(steps):
            steps = torch.arange(length)
            folds.append((offsets.remainder(length) == steps.unsqueeze(1)).double())
        else:
            folds.append((offsets == steps.unsqueeze(1)).double())
        # The site at `place` is read through the tap `step` by the site at `place - step`.
        places = torch.arange(length).unsqueeze(1) - steps
        lines.append(
            places % length if wraps else torch.where((places < 0) | (places >= length), -1, places)
        )
    targets, fold = torch.zeros(1, 1, dtype=torch.int64), torch.ones(1, 1, dtype=torch.float64)
    outside = torch.zeros(1, 1, dtype=torch.bool)
    for length, line, own in zip(shape, lines, folds, strict=True):
        targets = (
            (targets.unsqueeze(1).unsqueeze(3) * length + line.unsqueeze(1).unsqueeze(0))
            .flatten(2)
            .flatten(0, 1)
        )
        outside = (
            (outside.unsqueeze(1).unsqueeze(3) | (line < 0).unsqueeze(1).unsqueeze(0))
            .flatten(2)
            .flatten(0, 1)
        )
        fold = torch.kron(fold, own)
    sites = math.prod(shape)
    neighbours = Lattice(shape, periodic).neighbours()
    neighbours = torch.where(neighbours < 0, sites, neighbours)
    tables = (torch.where(outside, sites, targets), fold, neighbours, neighbours[1::2] % sites)
    return _Reach(*(table.to(device) for table in tables))


class _Layer(NamedTuple):
    """The first layer, split by what its inputs depend on."""

    conv: Tensor
    """``(embedded, reach, width)``: change of the layer around a site for a channel of it"""
    local: Tensor
    """``(embedded, width)``"""
    field: Tensor
    """``(embedded, width)``"""
    sums: Tensor
    """``(embedded, groups, width)``: magnetisation, even and odd sums"""
    time: Tensor
    """``(times, width)``"""
    convolution: Tensor
    """``(channels, width)``"""


def _split(network: _Network, reach: _Reach) -> _Layer:
    conv, weight = network.conv.detach(), network.first.weight.detach().T
    embedded, modes, with_mean = conv.shape[1], network.modes, int(network.global_features)
    times = len(weight) - conv.shape[0] - embedded * (2 + with_mean + 2 * modes)
    sizes = (
        conv.shape[0],
        embedded,
        embedded * with_mean,
        embedded * modes,
        embedded * modes,
        embedded,
        times,
    )
    convolution, local, mean, even, odd, field, time = weight.split(sizes)
    masked = (conv * reference.centre_mask(conv)).flatten(2)
    around = torch.einsum("cet,ut,cw->euw", masked, reach.fold.to(conv.dtype), convolution)
    groups = [part.unflatten(0, (embedded, -1)) for part in (mean, even, odd) if len(part)]
    sums = torch.cat(groups, 1) if groups else weight.new_zeros(embedded, 0, weight.shape[1])
    return _Layer(around.contiguous(), local, field, sums.contiguous(), time, convolution)


class Follower(nn.Module):
    """A transport that remembers the features of each walker of a block between two events.

    A call compares configurations and times with those it has seen. A walker whose time has
    changed, or more than one of whose sites, is computed in full; one that has made a single move
    has its first layer brought up to date at the sites that read the moved one, and its sums over
    the lattice. Then the other layers run on all sites, or, where the network reads no sums over
    the lattice, on those around the moved one alone. Sums over the lattice are integers and do not
    drift; the rest agrees with the full evaluation to rounding, as does local equivariance.

    Measured on one thread of a CPU (``experiments/benchmarks/bench_incremental.py``, K = 7, width
    64), an evaluation after one move is 1.2 times as fast as a full one at 8 × 8, 1.6 at 16 × 16,
    1.8 at 32 × 32 and 1.9 at 64 × 64; without sums over the lattice 1.4, 4.4, 11 and 16 times. A
    whole run of 25 intervals gains less, since each interval begins with a full evaluation: 0.84
    times at 8 × 8, where it does not pay, 1.0 at 16 × 16 and 1.4 at 32 × 32; without sums 0.89, 1.2
    and 2.1.

    Memory: ``4 N (width + 2 q)`` bytes a walker of ``N`` sites.

    Args:
        network: a :class:`~leaps_triton.networks.HollowConv`; its parameters must not change
            meanwhile.
        walkers: of the block.
    """

    def __init__(self, network: nn.Module, walkers: int) -> None:
        super().__init__()
        self.network = network
        self.walkers = walkers
        self.rows: Tensor | slice = slice(None)
        self._memory: list[_Memory] = []

    def at(self, rows: Tensor | slice) -> "Follower":
        """The same for some walkers of the block, by their place in it."""
        other = copy.copy(self)
        other.rows = rows
        return other

    @torch.no_grad()
    def forward(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        """``G``, ``(walkers, q-1, *shape)``."""
        if len(conditions.coupling) > 1 or len(conditions.field) > 1:
            full: Tensor = self.network(configurations, conditions)
            return full
        if not self._memory:
            # Shared by what `at` returns.
            self._memory.append(_Memory(self.network, self.walkers, configurations))  # type: ignore[arg-type]
        rows = self.rows
        if isinstance(rows, slice):
            rows = torch.arange(self.walkers, device=configurations.device)[rows]
        values = self._memory[0].values(rows, configurations, conditions)
        state = configurations.flatten(1).long().unsqueeze(2)
        shifts = torch.arange(1, values.shape[2], device=state.device)
        differences = values.gather(2, (state + shifts) % values.shape[2]) - values.gather(2, state)
        return differences.transpose(1, 2).reshape(len(rows), -1, *configurations.shape[1:])


class _Memory:
    """First layer before its nonlinearity, local fields and sums over the lattice, by walker."""

    def __init__(self, network: _Network, walkers: int, like: Tensor) -> None:
        self.network, self.shape = network, tuple(like.shape[1:])
        self.sites, self.q, device = math.prod(self.shape), network.q, like.device
        self.reach = _reach(self.shape, tuple(network.periodic), network.conv.shape[2], device)
        self.layer = _split(network, self.reach)
        dtype, width = network.conv.dtype, network.first.weight.shape[0]
        self.waves = reference.waves(self.shape, network.modes, device)
        self.embedded = network.conv.shape[1]
        self.configurations = torch.zeros(walkers, self.sites, dtype=like.dtype, device=device)
        self.t = torch.full((walkers,), torch.nan, dtype=dtype, device=device)
        # One site more takes what would leave the lattice at an open edge.
        self.first = torch.zeros(walkers, self.sites + 1, width, dtype=dtype, device=device)
        self.counts = torch.zeros(walkers, self.sites + 1, self.q, dtype=dtype, device=device)
        groups = int(network.global_features) + 2 * network.modes
        # Of every channel: its sum, then those with each cosine and with each sine, all integers.
        self.sums = torch.zeros(walkers, self.embedded, groups, dtype=torch.float64, device=device)
        self.made = (
            None
            if groups
            else torch.zeros(walkers, self.sites + 1, self.q, dtype=dtype, device=device)
        )
        waves = [self.waves.cos, self.waves.sin]
        one = (
            [torch.ones(1, self.sites, dtype=torch.float64, device=device)]
            if network.global_features
            else []
        )
        self.tables = torch.cat([*one, *waves])
        self.features = torch.cat([*one, *(wave / self.waves.scale for wave in waves)]).T.to(dtype)
        # What the site itself adds to its own even sums; nothing to the odd ones.
        square = (self.waves.cos**2 + self.waves.sin**2) / self.waves.norm
        self.own = torch.cat([*(table / self.sites for table in one), square, 0.0 * square]).to(
            dtype
        )

    def values(self, rows: Tensor, configurations: Tensor, conditions: Conditions) -> Tensor:
        """``f_a(i)`` of the walkers in ``rows``, ``(walkers, sites, q)``."""
        x, t = configurations.flatten(1), conditions.t.to(self.t.dtype).expand(len(rows))
        changed = x != self.configurations[rows]
        moves = changed.sum(1)
        # NaN, the time of a walker not seen yet, differs from every time.
        fresh = (moves > 1) | (t != self.t[rows])
        whole, one = fresh.nonzero().squeeze(1), ((moves == 1) & ~fresh).nonzero().squeeze(1)
        coupling = (
            conditions.coupling.to(self.t.dtype)
            .expand(1, len(self.shape), *self.shape)
            .reshape(-1, self.sites)
        )
        if len(one):
            site = changed[one].to(torch.int8).argmax(1)
            self._move(rows[one], site, x[one, site], coupling)
        if len(whole):
            self._refresh(rows[whole], x[whole], conditions, whole, t[whole])
        if self.made is None:
            return self._evaluate(rows)
        if len(one):
            at = self._around(rows[one], site)
            first, counts, made = (
                table.flatten(0, 1) for table in (self.first, self.counts, self.made)
            )
            made.index_copy_(
                0, at, self._pointwise(first.index_select(0, at), counts.index_select(0, at))
            )
        if len(whole):
            self.made[rows[whole], : self.sites] = self._evaluate(rows[whole])
        return self.made[rows, : self.sites]

    def _around(self, rows: Tensor, site: Tensor) -> Tensor:
        """The sites around one of each walker, as rows of the flattened tables, ``(walkers ·
        reach,)``.
        """
        return (rows.unsqueeze(1) * (self.sites + 1) + self.reach.targets[site]).flatten()

    def _embed(self, states: Tensor) -> Tensor:
        """Channels of each site, last."""
        if self.q == 2:
            return (2 * states - 1).unsqueeze(-1).to(self.t.dtype)
        return (states.unsqueeze(-1) == torch.arange(self.q, device=states.device)).to(self.t.dtype)

    def _refresh(
        self, rows: Tensor, x: Tensor, conditions: Conditions, which: Tensor, t: Tensor
    ) -> None:
        """Everything anew."""
        step = max(1, CHUNK_SITES // self.sites)
        time = self.network.embed_time(conditions) @ self.layer.time
        field = (
            reference.site_field(conditions.field.to(self.t.dtype))
            .expand(1, -1, *self.shape)
            .flatten(2)
        )
        constant = field[0].T @ self.layer.field
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            own_time = time if len(time) == 1 else time[which[part]]
            self._refresh_part(
                rows[part], x[part], constant + own_time.unsqueeze(1), conditions.coupling
            )
        self.configurations[rows], self.t[rows] = x, t

    def _refresh_part(self, rows: Tensor, x: Tensor, constant: Tensor, coupling: Tensor) -> None:
        network, dtype = self.network, self.t.dtype
        lattice = x.view(-1, *self.shape)
        counts = (
            reference.state_counts(lattice, coupling, self.q, network.periodic, dtype)
            .flatten(2)
            .transpose(1, 2)
        )
        channels = self._embed(x)
        embedded = channels.transpose(1, 2).reshape(len(x), -1, *self.shape)
        around = (
            reference.convolved(embedded, network.conv, network.periodic) @ self.layer.convolution
        )
        first = around + constant
        first += self._local(counts) @ self.layer.local
        # The site's own part of the sums, which the sums of all sites are to leave out.
        first -= self._own(channels, self.own.T.expand(len(x), -1, -1))
        self.first[rows, : self.sites], self.counts[rows, : self.sites] = first, counts
        self.first[rows, self.sites], self.counts[rows, self.sites] = 0.0, 0.0
        self.sums[rows] = channels.double().transpose(1, 2) @ self.tables.T

    def _local(self, counts: Tensor) -> Tensor:
        return counts[..., 1:] - counts[..., :1] if self.q == 2 else counts

    def _own(self, channels: Tensor, own: Tensor) -> Tensor:
        """The first layer of ``channels`` ``(…, embedded)`` times ``own`` ``(…, groups)``."""
        return (channels.unsqueeze(-1) * own.unsqueeze(-2)).flatten(-2) @ self.layer.sums.flatten(
            0, 1
        )

    def _move(self, rows: Tensor, site: Tensor, state: Tensor, coupling: Tensor) -> None:
        """After the move ``x_site → state``."""
        before = self.configurations[rows, site]
        change = self._embed(state) - self._embed(before)
        self.configurations[rows, site] = state
        self.sums[rows] += change.double().unsqueeze(2) * self.tables.T[site].unsqueeze(1)
        # No two of the sites around are the same, but for the one that stands for all beyond an
        # open edge.
        around = (change @ self.layer.conv.flatten(1)).view(-1, self.first.shape[2])
        self.first.flatten(0, 1).index_add_(0, self._around(rows, site), around)
        self.first[rows, site] = self.first[rows, site] - self._own(change, self.own.T[site])
        states = torch.arange(self.q, device=state.device)
        moved = (states == state.unsqueeze(1)).to(change.dtype) - (
            states == before.unsqueeze(1)
        ).to(change.dtype)
        # One neighbour after the other: on a length of 2 two of them are the same site.
        for index, line in enumerate(self.reach.neighbours):
            axis, backward = divmod(index, 2)
            bond = coupling[axis, self.reach.backward[axis, site] if backward else site]
            difference = bond.unsqueeze(1) * moved
            to = (rows, line[site])
            self.counts[to] = self.counts[to] + difference
            self.first[to] = self.first[to] + self._local(difference) @ self.layer.local

    def _evaluate(self, rows: Tensor) -> Tensor:
        """Values at all sites from the first layer and the sums."""
        weights = self._wave_weights(self.sums[rows])
        step = max(1, CHUNK_SITES // self.sites)
        made = []
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            first = torch.baddbmm(
                self.first[part, : self.sites],
                self.features.expand(len(part), -1, -1),
                weights[start : start + step],
            )
            made.append(self._pointwise(first, self.counts[part, : self.sites]))
        return torch.cat(made)

    def _wave_weights(self, sums: Tensor) -> Tensor:
        """What each wave adds to the first layer at every site, ``(walkers, groups, width)``: sums
        times weights.
        """
        modes, mean = self.network.modes, int(self.network.global_features)
        cos, sin = sums[..., mean : mean + modes], sums[..., mean + modes :]
        weight = self.layer.sums.double()
        even, odd = weight[:, mean : mean + modes], weight[:, mean + modes :]
        of_one = torch.einsum("weg,egh->wgh", sums[..., :mean] / self.sites, weight[:, :mean])
        of_cos = torch.einsum("wem,emh->wmh", cos, even) + torch.einsum("wem,emh->wmh", sin, odd)
        of_sin = torch.einsum("wem,emh->wmh", sin, even) - torch.einsum("wem,emh->wmh", cos, odd)
        ratio = self.waves.scale / self.waves.norm
        return torch.cat([of_one, of_cos * ratio, of_sin * ratio], 1).to(self.t.dtype)

    def _pointwise(self, first: Tensor, counts: Tensor) -> Tensor:
        network = self.network
        hidden = network.hidden(F.silu(first, inplace=True))
        values: Tensor = network.readout(F.silu(hidden, inplace=True)) + network.skip * counts
        return values
