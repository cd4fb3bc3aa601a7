"""A symmetric network brought up to date after one move, instead of computed anew."""

from typing import Any, Protocol, cast

import torch
from torch import Tensor

from ...models.base import Conditions
from ..incremental import Following
from ..linear_response.standing import Made
from .geometry import nearby, readers
from .inputs import Inputs
from .layers import Stack, pieces, time_of

__all__ = ["Follower"]


class Followed(Protocol):
    """What is read of a :class:`~leaps_triton.SymmetricConv`."""

    gauge: str
    clock: str
    channels: int
    kernel_size: int
    periodic: tuple[bool, ...]
    stack: Stack
    local_reach: int | None

    def look(self, configurations: Tensor, conditions: Conditions) -> Inputs:
        """Return what the network reads at every place."""
        ...

    def embed_time(self, conditions: Conditions) -> Tensor:
        """Return the functions of ``β_t``."""
        ...

    def finished(self, read: Tensor, inputs: Inputs, time: Tensor) -> Tensor:
        """Return the values from the readout of the layers."""
        ...

    def all_values(
        self, configurations: Tensor, conditions: Conditions, made: Made | None = None
    ) -> Tensor:
        """Return the values, with those that the network stands on."""
        ...

    def differences(self, values: Tensor, configurations: Tensor) -> Tensor:
        """Return the values of all moves, less those of staying."""
        ...


class Follower(Following):
    """A transport that remembers what the taps have made for each walker of a block.

    A call compares configurations with those it has seen. A walker that has made a single move has
    what the taps make brought up to date at the sites that read the moved one; one that has made
    more is computed in full. All other inputs are computed anew. Then the other layers run on all
    sites; of a network with a window whose layers read a part of the lattice, at the time of the
    call before, on the sites around the moved one alone.

    Where charges are ±1, what the taps make is exact, as it is without following: it does not
    drift. Else it is off by the rounding of each move since it was last computed in full. The rest
    agrees with the full evaluation to rounding, as does local equivariance.

    Measured on one thread of a CPU (``experiments/benchmarks/bench_incremental.py``, K = 11, widths
    96 and 64), an evaluation after one move is 1.35 times as fast as a full one at 16 × 16 and 1.55
    at 32 × 32; with a window of 15 sites 3.3 and, at 64 × 64, 4.6 times. A whole run of 12
    intervals gains 1.45 times at 16 × 16, and 2.3 at 32 × 32 with a window.

    Memory: ``4 N width`` bytes per walker of ``N`` sites and channel.

    Args:
        network: a :class:`~leaps_triton.SymmetricConv`; its parameters must not change meanwhile.
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
        """Return ``D``, ``(walkers, q-1, *shape)``."""
        network: Any = self.network
        rows = self.places(configurations)
        memory = self.memory(configurations)

        def made(x: Tensor, told: Conditions, some: Tensor | None) -> Tensor:
            """Return the network's own values of some of the walkers."""
            own = rows
            if some is not None:
                own = rows[some]
            return memory.values(own, x, told)

        values = network.all_values(configurations, conditions, made)
        differences: Tensor = network.differences(values, configurations)
        return differences


class Memory:
    """What the taps have made by walker, and where layers are local, what they have made of it.

    Args:
        network: the network that is followed.
        walkers: their number in the block.
        like: configurations of the lattice, the type and the device in question.
    """

    def __init__(self, network: Followed, walkers: int, like: Tensor) -> None:
        self.network = network
        shape = tuple(like.shape[1:])
        device = like.device
        self.sites = like[0].numel()
        self.channels = network.channels
        taps = network.stack.taps
        self.width = len(taps)
        self.weights = taps.T.contiguous()
        self.readers = readers(shape, tuple(network.periodic), network.kernel_size, device)
        # One site more takes what would leave the lattice at an open edge.
        places = (walkers, self.channels, self.sites + 1)
        self.raised = taps.new_zeros(*places, len(taps))
        self.read = taps.new_zeros(places)
        # No state is -1: a walker not seen yet differs everywhere.
        self.states = torch.full((walkers, self.sites), -1, dtype=like.dtype, device=device)
        self.charges = taps.new_zeros(walkers, self.channels, self.sites)
        # NaN, the time of a walker not seen yet, differs from every time.
        self.beta = torch.full((walkers,), torch.nan, dtype=torch.float64, device=device)
        self.around: Tensor | None = None
        reach = network.local_reach
        if reach is not None:
            around = nearby(shape, tuple(network.periodic), reach, device)
            # Else all sites are as fast.
            if 2 * around.shape[1] <= self.sites:
                self.around = around

    def values(self, rows: Tensor, configurations: Tensor, conditions: Conditions) -> Tensor:
        """Return the values of the walkers in ``rows``, ``(walkers, q, *shape)``."""
        network = self.network
        inputs = network.look(configurations, conditions)
        time = network.embed_time(conditions)
        x = configurations.flatten(1)
        # Who has moved since the last call, and where, is told from the configurations alone.
        changed = x != self.states[rows]
        moves = changed.sum(1)
        whole = (moves > 1).nonzero().squeeze(1)
        one = (moves == 1).nonzero().squeeze(1)
        site = changed[one].to(torch.int8).argmax(1)
        charges = inputs.charges.flatten(2)
        if len(one):
            self._move(rows[one], site, charges[one])
        if len(whole):
            self._refresh(rows[whole], inputs.charges[whole])
        self.states[rows] = x
        self.charges[rows] = charges
        if self.around is None:
            return network.finished(self._evaluate(rows, inputs, time), inputs, time)
        # At another time all places change; after a move those around it do.
        beta = conditions.beta.double().expand(len(rows))
        later = beta != self.beta[rows]
        self.beta[rows] = beta
        anew = (later | (moves > 1)).nonzero().squeeze(1)
        if len(anew):
            read = self._evaluate(rows[anew], _of_rows(inputs, anew), time_of(anew, time))
            self.read[rows[anew], :, : self.sites] = read.unflatten(1, (self.channels, -1))
        near = (moves == 1) & ~later
        some = near.nonzero().squeeze(1)
        if len(some):
            self._evaluate_around(rows, some, site[near[one]], inputs, time)
        return network.finished(self.read[rows, :, : self.sites].flatten(1), inputs, time)

    def _refresh(self, rows: Tensor, charges: Tensor) -> None:
        """Compute what the taps make of some walkers anew."""
        for part in pieces(charges.flatten(1), self.width):
            made = self.network.stack.raised(charges[part])
            self.raised[rows[part], :, : self.sites] = made.unflatten(1, (self.channels, -1))

    def _move(self, rows: Tensor, site: Tensor, charges: Tensor) -> None:
        """Bring what the taps make up to date after a move of each walker in ``rows``."""
        before = self.charges[rows]
        place = site.view(-1, 1, 1).expand(-1, self.channels, 1)
        # Every reader of the site has its tap's weight times the change added.
        change = (charges - before).gather(2, place).unsqueeze(3)
        added = change * self.weights
        channels = torch.arange(self.channels, device=rows.device)
        first = (rows.unsqueeze(1) * self.channels + channels) * (self.sites + 1)
        to = first.unsqueeze(2) + self.readers[site].unsqueeze(1)
        flat = self.raised.flatten(0, 2)
        flat.index_add_(0, to.flatten(), added.flatten(0, 2))

    def _evaluate(self, rows: Tensor, inputs: Inputs, time: Tensor) -> Tensor:
        """Return the readout at all places, ``(walkers, places)``."""
        made: list[Tensor] = []
        for part in pieces(inputs.others, self.width):
            raised = self.raised[rows[part], :, : self.sites].flatten(1, 2)
            read = self.network.stack.from_taps(
                raised, inputs.others[part], inputs.even[part], time_of(part, time)
            )
            made.append(read)
        return torch.cat(made)

    def _evaluate_around(
        self, rows: Tensor, some: Tensor, site: Tensor, inputs: Inputs, time: Tensor
    ) -> None:
        """Bring the readout up to date around a move of each of some walkers.

        Args:
            rows: the walkers of the call, by their place in the block.
            some: those that have moved, by their place in the call.
            site: where they have.
            inputs: those of the call.
            time: functions of the time, ``(1 | walkers, 6)``.
        """
        assert self.around is not None
        # Channel by channel, a row of the flattened tables for each place.
        near = self.around[site].unsqueeze(1)
        channels = torch.arange(self.channels, device=rows.device).view(1, -1, 1)
        here = (some.view(-1, 1, 1) * self.channels + channels) * self.sites + near
        there = (rows[some].view(-1, 1, 1) * self.channels + channels) * (self.sites + 1) + near
        shape = (len(some), -1)
        others = inputs.others.flatten(0, 1).index_select(0, here.flatten())
        even = inputs.even.flatten(0, 1).index_select(0, here.flatten())
        raised = self.raised.flatten(0, 2).index_select(0, there.flatten())
        made: list[Tensor] = []
        others = others.unflatten(0, shape)
        even = even.unflatten(0, shape)
        raised = raised.unflatten(0, shape)
        own = time_of(some, time)
        for part in pieces(others, self.width):
            read = self.network.stack.from_taps(
                raised[part], others[part], even[part], time_of(part, own)
            )
            made.append(read)
        self.read.flatten().index_copy_(0, there.flatten(), torch.cat(made).flatten())


def _of_rows(inputs: Inputs, rows: Tensor) -> Inputs:
    """Return the inputs of the layers for some walkers."""
    return inputs._replace(others=inputs.others[rows], even=inputs.even[rows])
