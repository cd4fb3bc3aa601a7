"""Rates of a spin from its surroundings and the magnetisation: a function of few arguments, so in
effect a table.

On a periodic lattice with one coupling, ``q = 2`` and ``S`` shells of neighbours, a site has one of
``2 (z_1 + 1) … (z_S + 1)`` *classes*: its state, and how many of the ``z_s`` sites of each shell
are in state 1. ``G`` of a move depends on the site's class and the magnetisation alone, and a flip
changes the classes of the site and of its shells, whatever the lattice: on that
:mod:`leaps_triton.tables` runs the jump process.
"""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..kernels import reference
from ..kernels.checks import as_integer, as_seed
from ..kernels.hollow_network.reference import embed
from ..models.base import Conditions, EnergyModel
from ..registry import register
from .base import (
    Equivariant,
    as_channels,
    field_input,
    initialise,
    local_field,
)

__all__ = ["LocalRates", "Shells"]


class Shells(NamedTuple):
    """The neighbours of a site by distance, nearest first: 1, √2 and 2 in two dimensions."""

    offsets: tuple[tuple[tuple[int, ...], ...], ...]
    """Of every shell, the vectors to its sites."""

    @classmethod
    def nearest(cls, ndim: int, count: int) -> "Shells":
        """The first ``count`` shells of the infinite lattice."""
        by_distance: dict[int, list[tuple[int, ...]]] = {}
        for offset in itertools.product(range(-count, count + 1), repeat=ndim):
            by_distance.setdefault(sum(n * n for n in offset), []).append(offset)
        return cls(tuple(tuple(by_distance[d]) for d in sorted(by_distance)[1 : count + 1]))

    @property
    def sizes(self) -> list[int]:
        """``z_1, …, z_S``, the number of sites of each shell."""
        return [len(shell) for shell in self.offsets]

    @property
    def surroundings(self) -> int:
        """Number of classes of one state, ``(z_1 + 1) … (z_S + 1)``."""
        return math.prod(size + 1 for size in self.sizes)

    def counts(self) -> Tensor:
        """Sites in state 1 in each shell, for every class of one state, int64 ``(surroundings,
        S)``.
        """
        return torch.cartesian_prod(*[torch.arange(n + 1) for n in self.sizes]).view(
            self.surroundings, -1
        )

    def strides(self) -> list[int]:
        """What one site of each shell adds to the class; the site itself adds ``surroundings``."""
        return [math.prod(size + 1 for size in self.sizes[s + 1 :]) for s in range(len(self.sizes))]

    def distinct(self, shape: Sequence[int]) -> bool:
        """Whether on a torus of this shape all these sites differ from one another and from their
        centre.
        """
        places = {
            tuple(n % length for n, length in zip(o, shape, strict=True))
            for shell in self.offsets
            for o in shell
        }
        return len(places) == sum(self.sizes) and (0,) * len(shape) not in places

    def neighbours(self, shape: Sequence[int]) -> Tensor:
        """Of every site of a torus the flat index of itself and of its shells, int64 ``(sites, 1 +
        z_1 + … + z_S)``.
        """
        index = torch.arange(math.prod(shape)).view(*shape)
        axes = tuple(range(len(shape)))
        columns = [index] + [
            index.roll(tuple(-n for n in o), axes) for shell in self.offsets for o in shell
        ]
        return torch.stack([column.flatten() for column in columns], dim=1)


@register("network")
class LocalRates(Equivariant):
    """Learned rates that read a site's shells of neighbours, the local field, and the magnetisation
    of all other sites.

    ``G_k(i) = f_{x_i+k}(i) - f_{x_i}(i)``, ``f_a(i) = v_a(m_i, t) · h(local_i, shells_i, h_i, t) +
    skip · local_a(i)``, with pointwise networks ``v`` and ``h``. ``h`` reads the local field ``Σ_j
    J_ij [x_j = a]``, the mean states of the first shells of neighbours by distance, and the field;
    ``v`` the leave-one-out magnetisation ``m_i = Σ_{j≠i} [x_j = a] / N``; both read ``t`` and
    ``β_t``. None reads ``x_i``, so local equivariance holds bit for bit. Sites that a small
    periodic lattice wraps onto the centre, or beyond an open edge, are left out of shells.

    Every model of the library is supported. Where ``q = 2``, coupling and field are uniform, and
    the lattice is periodic and so large that the sites of the shells are all distinct, ``f`` takes
    few values: each is computed once, and :class:`~leaps_triton.Jump` runs on their table.

    Args:
        model: gives ``q``, the number of dimensions and the boundaries; couplings, field and β come
            with each call.
        shells: how many shells of neighbours, 1 the nearest alone; None for 3, 3, 2, 1 in one to
            four dimensions, with at most 250 classes.
        width: hidden width of both networks.
        seed: of the initial parameters.

    Call:
        ``network(configurations, conditions)`` → ``G`` ``(walkers, q-1, *shape)`` in the precision
        of the parameters, for any shape of the model's dimension.

    Raises:
        ValueError: no shell, no width, or configurations of another dimension.

    References:
        Bortz, Kalos, Lebowitz, *A new algorithm for Monte Carlo simulation of Ising spin systems*,
        J. Comput. Phys. 17, 10 (1975), for the classes; Holderrieth, Albergo, Jaakkola, *LEAPS*,
        arXiv:2502.10843 (2025), for the rates.

    Example:
        >>> import leaps_triton as lt
        >>> model = lt.Ising((6, 6), beta=0.4)
        >>> path = lt.AnnealingPath(model)
        >>> network = lt.LocalRates(model, width=8)
        >>> x = path.start.sample(torch.arange(2), seed=0)
        >>> network(x, path.conditions(0.5)).shape
        torch.Size([2, 1, 6, 6])
        >>> 2 * network.shells.surroundings
        250
    """

    def __init__(
        self, model: EnergyModel, shells: int | None = None, width: int = 64, seed: int = 0
    ) -> None:
        shells = None if shells is None else as_integer("shells", shells, 1)
        width, seed = as_integer("width", width, 1), as_seed(seed)
        super().__init__(model, shells=shells, width=width, seed=seed)
        shells = min(3, 5 - self.ndim) if shells is None else shells
        self.settings["shells"] = shells
        self.shells, self.width = Shells.nearest(self.ndim, shells), width
        self.embedded = as_channels(self.q)
        self.local = nn.Sequential(
            nn.Linear(self.embedded * (2 + shells) + 2, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
        )
        self.readout = nn.Sequential(
            nn.Linear(self.embedded + 2, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )
        self.head = nn.Linear(width, self.q * width)
        self.skip = nn.Parameter(torch.tensor(0.2))
        self._tables: dict[tuple[tuple[int, ...], torch.device], tuple[Tensor, Tensor]] = {}
        initialise(self, seed)
        # Small but not zero: G = 0 is a stationary point of the loss.
        with torch.no_grad():
            self.head.weight.mul_(0.1 / math.sqrt(self.width))

    def by_class(self, shape: Sequence[int], coupling: Tensor, field: Tensor) -> bool:
        """Whether ``G`` depends on a site's class and the magnetisation alone, for a call with such
        arguments.
        """
        uniform = coupling.numel() == 1 and field.numel() == self.q
        return self.q == 2 and all(self.periodic) and uniform and self.shells.distinct(shape)

    def _network(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        if self.by_class(configurations.shape[1:], conditions.coupling, conditions.field):
            return self._from_classes(configurations, conditions)
        return super()._network(configurations, conditions)

    def table(self, conditions: Conditions, sites: int, first: int, last: int) -> Tensor:
        """``G`` of all classes at one time, at the given magnetisations of a lattice of so many
        sites.

        Args:
            conditions: with one time, for which :meth:`by_class` holds.
            first, last: least and greatest number ``K`` of sites in state 1, within 0 and
                ``sites``.

        Returns:
            ``(last - first + 1, 2 · surroundings)``: a row for every ``K``, first the classes of a
            site in state 0. What it holds where no configuration has such a class means nothing.
        """
        time = self.time_input(conditions, self.skip.dtype)
        hidden, local = self._surroundings(conditions, time)
        # A site in state 0 has K others in state 1, a site in state 1 one less.
        others = torch.arange(first - 1, last + 1, device=hidden.device).unsqueeze(1)
        readout = self._readout(2 * others - (sites - 1), sites, time.expand(len(others), -1))
        values = (readout[:, 1] - readout[:, 0]) @ hidden[0].T + self.skip * local
        return torch.cat([values[1:], -values[:-1]], dim=1)

    def neighbours(self, shape: Sequence[int], device: torch.device) -> tuple[Tensor, Tensor]:
        """Of every site itself and its shells, int64 ``(sites, 1 + Σ z_s)``; what each adds to its
        class in state 1.
        """
        key = (tuple(shape), device)
        if key not in self._tables:
            strides = [self.shells.surroundings]
            for size, stride in zip(self.shells.sizes, self.shells.strides(), strict=True):
                strides += [stride] * size
            self._tables[key] = (
                self.shells.neighbours(shape).to(device),
                torch.tensor(strides, device=device),
            )
        return self._tables[key]

    def _readout(self, sums: Tensor, sites: int, time: Tensor) -> Tensor:
        """``v``, ``(rows, q, width)``, of sums over other sites, ``(rows, embedded)``, and ``time``
        ``(rows, 2)``.
        """
        made: Tensor = self.head(
            self.readout(torch.cat([sums.to(time.dtype) / sites, time], dim=1))
        )
        return made.view(-1, self.q, self.width)

    def _surroundings(self, conditions: Conditions, time: Tensor) -> tuple[Tensor, Tensor]:
        """``h`` ``(times, surroundings, width)`` of all classes of one state at times ``(times,
        2)``; local fields.
        """
        ones, sizes = self.shells.counts().to(time), torch.tensor(self.shells.sizes).to(time)
        spins = 2.0 * ones - sizes
        local = conditions.coupling.to(time).view(1) * spins[:, 0]
        field = field_input(conditions, self.skip.dtype).view(1, 1).expand(len(spins), 1)
        features = torch.cat([local.unsqueeze(1), spins / sizes, field], dim=1).expand(
            len(time), -1, -1
        )
        features = torch.cat([features, time.unsqueeze(1).expand(-1, len(spins), -1)], dim=2)
        return self.local(features), local

    def _from_classes(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        walkers, *shape = configurations.shape
        sites, surroundings = math.prod(shape), self.shells.surroundings
        time, row = self.time_input(conditions, self.skip.dtype), None
        if len(time) > 1:
            unique, row = torch.unique(time, dim=0, return_inverse=True)
            hidden, local = self._surroundings(conditions, unique)
        else:
            hidden, local = self._surroundings(conditions, time)
        x = configurations.flatten(1)
        ones = x.sum(1, dtype=torch.int64).unsqueeze(1)
        # The number of other sites in state 1 keeps its place in the batch when x_i changes:
        # rounding then keeps too.
        others = ones - (ones - torch.arange(2, device=x.device)) % 2
        sums = (2 * others - (sites - 1)).view(-1, 1)
        readout = self._readout(sums, sites, time.expand(walkers, -1).repeat_interleave(2, dim=0))
        difference = (readout[:, 1] - readout[:, 0]).view(walkers, 2, -1)
        values = (
            difference @ (hidden if row is None else hidden[row]).transpose(1, 2)
            + self.skip * local
        )
        classes = reference.site_classes(x, *self.neighbours(shape, x.device))
        place = (ones - x) % 2 * surroundings + classes % surroundings
        output = values.flatten(1).gather(1, place) * (1 - 2 * x)
        return output.view(walkers, 1, *shape)

    def _shell(self, embedded: Tensor, offsets: Sequence[Sequence[int]]) -> Tensor:
        """Mean of ``embedded`` ``(walkers, embedded, *shape)`` over a shell, 0 beyond an edge and
        at the centre.
        """
        total = torch.zeros_like(embedded)
        for offset in offsets:
            moved, centre = embedded, True
            for axis, (n, wraps) in enumerate(zip(offset, self.periodic, strict=True), 2):
                length = embedded.shape[axis]
                centre = centre and (n % length if wraps else n) == 0
                if abs(n) >= length and not wraps:
                    moved = torch.zeros_like(moved)
                elif n:
                    moved = moved.roll(-n, axis)
                    if not wraps:
                        place = torch.arange(length, device=moved.device) + n
                        inside = (place >= 0) & (place < length)
                        moved = moved * inside.view(-1, *[1] * (embedded.ndim - axis - 1))
            if not centre:
                total = total + moved
        return total / len(offsets)

    def values(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        """``f_a(i)``, ``(walkers, q, *shape)``."""
        walkers, *shape = configurations.shape
        q, sites, dtype = self.q, math.prod(shape), self.skip.dtype
        state = configurations.flatten(1).long()
        embedded = embed(configurations, q, dtype)
        local = local_field(configurations, conditions, q, self.periodic, dtype).flatten(2)
        features = [local[:, 1:] - local[:, :1] if q == 2 else local]
        features += [self._shell(embedded, offsets).flatten(2) for offsets in self.shells.offsets]
        features += [field_input(conditions, dtype).expand(walkers, -1, *shape).flatten(2)]
        time = self.time_input(conditions, dtype).expand(walkers, -1)
        features += [time.unsqueeze(2).expand(-1, -1, sites)]
        hidden = self.local(torch.cat(features, dim=1).transpose(1, 2))

        # The counts of the other sites keep their place in the batch when x_i changes: rounding
        # then keeps too.
        counts = nn.functional.one_hot(state, q).sum(1)
        total = (counts * torch.arange(q, device=state.device)).sum(1, keepdim=True)
        left_out = (total - torch.arange(q, device=state.device)) % q
        others = counts.unsqueeze(1) - nn.functional.one_hot(left_out, q)
        sums = 2 * others[..., 1:] - (sites - 1) if q == 2 else others
        readout = self._readout(sums.flatten(0, 1), sites, time.repeat_interleave(q, dim=0))
        products = (readout.reshape(walkers, q * q, -1) @ hidden.transpose(1, 2)).view(
            walkers, q, q, sites
        )
        place = ((total - state) % q).view(walkers, 1, 1, sites).expand(-1, 1, q, -1)
        values = products.gather(1, place).squeeze(1) + self.skip * local
        return values.view(walkers, q, *shape)
