"""Values of a hollow convolution brought up to date after one move, instead of computed anew."""

import math
from typing import Any, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..kernels.hollow_network import reference
from ..models.base import Conditions
from .base import CHUNK_SITES, keep_freed_memory
from .first_layer import Followed, first_layer, readers

__all__ = ["Follower", "Following"]


class Shared:
    """What all followers of one block of walkers share.

    Attributes:
        memory: what is remembered of the walkers; None before the first call.
    """

    memory: Any = None


class Following(nn.Module):
    """The base of transports that remember each walker of a block between two events.

    A subclass defines :meth:`remember` and ``forward``.

    Args:
        network: what is followed; its parameters must not change meanwhile.
        walkers: their number in the block.
        rows: the walkers of the block that a call evaluates, by their place in it; all by default.
        block: what is remembered of the block, as another follower of it has it; None for nothing
            yet.
    """

    def __init__(
        self,
        network: Any,
        walkers: int,
        rows: Tensor | slice = slice(None),
        block: Shared | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        # Integrators ask what they call, and not the network behind it.
        self.gauge = network.gauge
        self.clock = network.clock
        self.walkers = walkers
        self.rows = rows
        if block is None:
            block = Shared()
        self.block = block

    def remember(self, configurations: Tensor) -> Any:
        """Return an empty memory for the lattice, type and device of some configurations."""
        raise NotImplementedError

    def at(self, rows: Tensor | slice) -> Self:
        """Return the follower of some walkers of the block, by their place in it."""
        return type(self)(self.network, self.walkers, rows, self.block)

    def memory(self, configurations: Tensor) -> Any:
        """Return the memory; it is made for the lattice and the device of the first call."""
        if self.block.memory is None:
            self.block.memory = self.remember(configurations)
        return self.block.memory

    def places(self, configurations: Tensor) -> Tensor:
        """Return which walkers of the block a call evaluates, int64, by their place in it."""
        if isinstance(self.rows, slice):
            return torch.arange(self.walkers, device=configurations.device)[self.rows]
        return self.rows


class Follower(Following):
    """A transport that remembers the features of each walker of a block between two events.

    A call compares configurations and times with those it has seen. A walker whose time has
    changed, or more than one of whose sites, is computed in full; one that has made a single move
    has its first layer brought up to date at the sites that read the moved one, and its sums over
    the lattice. Then the other layers run on all sites, or, where the network reads no sums over
    the lattice, on those around the moved one alone. Sums over the lattice are integers and do not
    drift; the rest agrees with the full evaluation to rounding, as does local equivariance.

    Measured on one thread of a CPU (``experiments/benchmarks/bench_incremental.py``, K = 7, width
    64), an evaluation after one move is 0.92 times as fast as a full one at 8 × 8 and 1.2 at 16 ×
    16, 32 × 32 and 64 × 64; without sums over the lattice 1.2, 3.7, 9.1 and 14 times. A whole run
    of 25 intervals gains less, since each interval begins with a full evaluation: 0.75 times at 8 ×
    8 and 0.80 at 16 × 16, where it does not pay, and 1.0 at 32 × 32; without sums 0.77, 1.04 and
    2.2.

    Memory: ``4 N (width + 2 q)`` bytes per walker of ``N`` sites.

    Args:
        network: a :class:`~leaps_triton.networks.HollowConv`; its parameters must not change
            meanwhile.
        walkers: their number in the block.
        rows: the walkers of the block that a call evaluates, by their place in it; all by default.
        block: what is remembered of the block, as another follower of it has it; None for nothing
            yet.
    """

    def remember(self, configurations: Tensor) -> "Memory":
        """Return an empty memory for the lattice, type and device of some configurations."""
        return Memory(cast(Followed, self.network), self.walkers, configurations)

    @torch.no_grad()
    def forward(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        """Return ``G``, ``(walkers, q-1, *shape)``."""
        if len(conditions.coupling) > 1 or len(conditions.field) > 1:
            full: Tensor = self.network(configurations, conditions)
            return full
        if configurations.device.type == "cpu":
            keep_freed_memory()
        rows = self.places(configurations)
        values = self.memory(configurations).values(rows, configurations, conditions)
        state = configurations.flatten(1).long().unsqueeze(2)
        q = values.shape[2]
        shifts = torch.arange(1, q, device=state.device)
        moved = values.gather(2, (state + shifts) % q)
        stayed = values.gather(2, state)
        rates = (moved - stayed).transpose(1, 2)
        return rates.reshape(len(rows), -1, *configurations.shape[1:])


class Memory:
    """First layer before its nonlinearity, local fields and sums over the lattice, by walker.

    Args:
        network: the network that is followed.
        walkers: their number in the block.
        like: configurations of the lattice, the type and the device in question.
    """

    def __init__(self, network: Followed, walkers: int, like: Tensor) -> None:
        self.network = network
        self.shape = tuple(like.shape[1:])
        self.sites = math.prod(self.shape)
        self.q = network.q
        self.embedded = network.conv.shape[1]
        device = like.device
        kernel_size = network.conv.shape[2]
        self.readers = readers(self.shape, tuple(network.periodic), kernel_size, device)
        self.layer = first_layer(network, self.readers.fold)
        self.waves = reference.waves(self.shape, network.modes, device)
        self._tabulate_sums(network.conv.dtype, device)
        self._allocate(walkers, like)

    def _tabulate_sums(self, dtype: torch.dtype, device: torch.device) -> None:
        """Make what each site adds to the sums over the lattice, and what each site reads of them.

        Their groups are the mean of the channels, then those with each cosine and with each sine.
        """
        waves = [self.waves.cos, self.waves.sin]
        means: list[Tensor] = []
        if self.network.global_features:
            means = [torch.ones(1, self.sites, dtype=torch.float64, device=device)]
        self.means = len(means)
        self.tables = torch.cat([*means, *waves])
        read = [wave / self.waves.scale for wave in waves]
        self.features = torch.cat([*means, *read]).T.to(dtype)
        # What the site itself adds to its own even sums; nothing to the odd ones.
        square = (self.waves.cos**2 + self.waves.sin**2) / self.waves.norm
        own_means = [table / self.sites for table in means]
        self.own = torch.cat([*own_means, square, 0.0 * square]).to(dtype)

    def _allocate(self, walkers: int, like: Tensor) -> None:
        """Make room for what changes with the walkers."""
        device = like.device
        dtype = self.network.conv.dtype
        width = self.network.first.weight.shape[0]
        groups = len(self.tables)
        # One site more takes what would leave the lattice at an open edge.
        places = self.sites + 1
        self.configurations = torch.zeros(walkers, self.sites, dtype=like.dtype, device=device)
        # NaN, the time of a walker not seen yet, differs from every time.
        self.t = torch.full((walkers,), torch.nan, dtype=dtype, device=device)
        self.first = torch.zeros(walkers, places, width, dtype=dtype, device=device)
        self.counts = torch.zeros(walkers, places, self.q, dtype=dtype, device=device)
        # All integers, which float64 holds exactly.
        sums = (walkers, self.embedded, groups)
        self.sums = torch.zeros(sums, dtype=torch.float64, device=device)
        # Without sums over the lattice, values far from a move stay, and are kept.
        self.made: Tensor | None = None
        if not groups:
            self.made = torch.zeros(walkers, places, self.q, dtype=dtype, device=device)

    def values(self, rows: Tensor, configurations: Tensor, conditions: Conditions) -> Tensor:
        """Return ``f_a(i)`` of the walkers in ``rows``, ``(walkers, sites, q)``."""
        x = configurations.flatten(1)
        t = conditions.t.to(self.t.dtype).expand(len(rows))
        changed = x != self.configurations[rows]
        moves = changed.sum(1)
        # More than one move, or another time.
        fresh = (moves > 1) | (t != self.t[rows])
        whole = fresh.nonzero().squeeze(1)
        one = ((moves == 1) & ~fresh).nonzero().squeeze(1)
        site = changed[one].to(torch.int8).argmax(1)
        if len(one):
            self._move(rows[one], site, x[one, site], self._bonds(conditions))
        if len(whole):
            self._refresh(rows[whole], x[whole], conditions, whole, t[whole])
        if self.made is None:
            return self._evaluate(rows)
        if len(one):
            self._evaluate_around(self.made, rows[one], site)
        if len(whole):
            self.made[rows[whole], : self.sites] = self._evaluate(rows[whole])
        return self.made[rows, : self.sites]

    def _bonds(self, conditions: Conditions) -> Tensor:
        """Return the coupling of each site's bond in each direction, ``(ndim, sites)``."""
        coupling = conditions.coupling.to(self.t.dtype)
        return coupling.expand(1, len(self.shape), *self.shape).reshape(-1, self.sites)

    def _around(self, rows: Tensor, site: Tensor) -> Tensor:
        """Return the sites around one of each walker, as rows of the flattened tables.

        Returns:
            int64 ``(walkers · reach,)``.
        """
        begin = rows.unsqueeze(1) * (self.sites + 1)
        return (begin + self.readers.targets[site]).flatten()

    def _embed(self, states: Tensor) -> Tensor:
        """Return the channels of each site, last."""
        if self.q == 2:
            return (2 * states - 1).unsqueeze(-1).to(self.t.dtype)
        return self._one_hot(states)

    def _one_hot(self, states: Tensor) -> Tensor:
        """Return 1 for the state of each site and 0 for the others, last."""
        every = torch.arange(self.q, device=states.device)
        return (states.unsqueeze(-1) == every).to(self.t.dtype)

    def _refresh(
        self, rows: Tensor, x: Tensor, conditions: Conditions, which: Tensor, t: Tensor
    ) -> None:
        """Compute all that is remembered of some walkers anew.

        Args:
            rows: their places in the block.
            x: their configurations, ``(walkers, sites)``.
            conditions: those of the call.
            which: their places in the call.
            t: their times.
        """
        time = self.network.embed_time(conditions) @ self.layer.time
        field = reference.site_field(conditions.field.to(self.t.dtype))
        field = field.expand(1, -1, *self.shape).flatten(2)
        constant = field[0].T @ self.layer.field
        # Pieces whose activations stay in a CPU's cache.
        step = max(1, CHUNK_SITES // self.sites)
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            own_time = time
            if len(time) > 1:
                own_time = time[which[part]]
            unmoved = constant + own_time.unsqueeze(1)
            self._refresh_part(rows[part], x[part], unmoved, conditions.coupling)
        self.configurations[rows] = x
        self.t[rows] = t

    def _refresh_part(self, rows: Tensor, x: Tensor, constant: Tensor, coupling: Tensor) -> None:
        """Compute one piece; ``constant`` is what the layer has of field and time."""
        network = self.network
        lattice = x.view(-1, *self.shape)
        counts = reference.state_counts(lattice, coupling, self.q, network.periodic, self.t.dtype)
        counts = counts.flatten(2).transpose(1, 2)
        channels = self._embed(x)
        embedded = channels.transpose(1, 2).reshape(len(x), -1, *self.shape)
        convolved = reference.convolved(embedded, network.conv, network.periodic)
        first = convolved @ self.layer.convolution + constant
        first += self._local(counts) @ self.layer.local
        # The site's own part of the sums, which the sums of all sites are to leave out.
        first -= self._own(channels, self.own.T.expand(len(x), -1, -1))
        self.first[rows, : self.sites] = first
        self.first[rows, self.sites] = 0.0
        self.counts[rows, : self.sites] = counts
        self.counts[rows, self.sites] = 0.0
        self.sums[rows] = channels.double().transpose(1, 2) @ self.tables.T

    def _local(self, counts: Tensor) -> Tensor:
        """Return the local field as channels, last."""
        if self.q == 2:
            return counts[..., 1:] - counts[..., :1]
        return counts

    def _own(self, channels: Tensor, own: Tensor) -> Tensor:
        """Return the first layer of ``channels`` times ``own``.

        Args:
            channels: ``(…, embedded)``.
            own: what each site adds to its own sums, ``(…, groups)``.
        """
        products = channels.unsqueeze(-1) * own.unsqueeze(-2)
        return products.flatten(-2) @ self.layer.sums.flatten(0, 1)

    def _move(self, rows: Tensor, site: Tensor, state: Tensor, bonds: Tensor) -> None:
        """Bring all up to date after the move ``x_site → state`` of each walker in ``rows``."""
        before = self.configurations[rows, site]
        change = self._embed(state) - self._embed(before)
        self.configurations[rows, site] = state
        # Integers times integers: the sums stay exact over any number of moves.
        shares = self.tables.T[site].unsqueeze(1)
        self.sums[rows] += change.double().unsqueeze(2) * shares
        # No two of the sites around are the same, but for the one that stands for all beyond an
        # open edge.
        around = (change @ self.layer.conv.flatten(1)).view(-1, self.first.shape[2])
        self.first.flatten(0, 1).index_add_(0, self._around(rows, site), around)
        # The site's own part of the sums stays left out.
        own = self._own(change, self.own.T[site])
        self.first[rows, site] = self.first[rows, site] - own
        moved = self._one_hot(state) - self._one_hot(before)
        # One neighbour after the other: on a length of 2 two of them are the same site.
        for index, neighbours in enumerate(self.readers.neighbours):
            axis = index // 2
            # A bond is that of the site at its lower end.
            owner = site
            if index % 2:
                owner = self.readers.backward[axis, site]
            difference = bonds[axis, owner].unsqueeze(1) * moved
            to = (rows, neighbours[site])
            self.counts[to] = self.counts[to] + difference
            self.first[to] = self.first[to] + self._local(difference) @ self.layer.local

    def _evaluate(self, rows: Tensor) -> Tensor:
        """Return the values at all sites from the first layer and the sums."""
        weights = self._wave_weights(self.sums[rows])
        step = max(1, CHUNK_SITES // self.sites)
        made: list[Tensor] = []
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            features = self.features.expand(len(part), -1, -1)
            first = torch.baddbmm(
                self.first[part, : self.sites], features, weights[start : start + step]
            )
            made.append(self._pointwise(first, self.counts[part, : self.sites]))
        return torch.cat(made)

    def _evaluate_around(self, made: Tensor, rows: Tensor, site: Tensor) -> None:
        """Bring the values up to date at the sites around one of each walker."""
        at = self._around(rows, site)
        first = self.first.flatten(0, 1).index_select(0, at)
        counts = self.counts.flatten(0, 1).index_select(0, at)
        made.flatten(0, 1).index_copy_(0, at, self._pointwise(first, counts))

    def _wave_weights(self, sums: Tensor) -> Tensor:
        """Return what each wave adds to the first layer at every site: sums times weights.

        Returns:
            ``(walkers, groups, width)``.
        """
        odd_begin = self.means + self.network.modes
        mean = sums[..., : self.means]
        cos = sums[..., self.means : odd_begin]
        sin = sums[..., odd_begin:]
        weight = self.layer.sums.double()
        of_mean = weight[:, : self.means]
        even = weight[:, self.means : odd_begin]
        odd = weight[:, odd_begin:]
        # cos k(r_j - r_i) and sin k(r_j - r_i), taken apart into waves of r_j and of r_i.
        of_one = torch.einsum("weg,egh->wgh", mean / self.sites, of_mean)
        of_cos = torch.einsum("wem,emh->wmh", cos, even) + torch.einsum("wem,emh->wmh", sin, odd)
        of_sin = torch.einsum("wem,emh->wmh", sin, even) - torch.einsum("wem,emh->wmh", cos, odd)
        ratio = self.waves.scale / self.waves.norm
        return torch.cat([of_one, of_cos * ratio, of_sin * ratio], 1).to(self.t.dtype)

    def _pointwise(self, first: Tensor, counts: Tensor) -> Tensor:
        """Return the values of the first layer, which is overwritten, and of the local field."""
        network = self.network
        hidden = network.hidden(F.silu(first, inplace=True))
        read = network.readout(F.silu(hidden, inplace=True))
        values: Tensor = read + network.skip * counts
        return values
