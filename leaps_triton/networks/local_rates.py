"""Rates of a spin from its surroundings and the magnetisation: in effect, a table.

On a periodic lattice with one coupling, ``q = 2`` and ``S`` shells of neighbours, a site has one of
``2 (z_1 + 1) … (z_S + 1)`` *classes*: its state, and how many of the ``z_s`` sites of each shell
are in state 1. ``G`` of a move depends on the site's class and the magnetisation alone, and a flip
changes the classes of the site and of its shells, whatever the lattice: on that
:mod:`leaps_triton.integrators.class_tables` runs the jump process.
"""

import math
from collections.abc import Sequence

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
from .shells import Shells, counted

__all__ = ["LocalRates", "Shells"]


def _sites_across(axis: int, step: int, wraps: bool, values: Tensor) -> Tensor:
    """Return the values ``step`` sites on along an axis, ``(walkers, embedded, *shape)``.

    They are 0 beyond an open edge.
    """
    length = values.shape[axis]
    if step == 0:
        return values
    if wraps:
        return values.roll(-step, axis)
    if abs(step) >= length:
        return torch.zeros_like(values)
    place = torch.arange(length, device=values.device) + step
    inside = (place >= 0) & (place < length)
    later = values.ndim - axis - 1
    return values.roll(-step, axis) * inside.view(-1, *[1] * later)


def _two_layers(inputs: int, width: int) -> nn.Sequential:
    """Return a pointwise network whose outputs are hidden values too."""
    return nn.Sequential(nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())


@register("network")
class LocalRates(Equivariant):
    """Learned rates that read a site's shells of neighbours, its field, and the magnetisation.

    The magnetisation is that of all other sites.
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
        shells: number of shells of neighbours, 1 for the nearest alone; None for 3, 3, 2, 1 in one
            to four dimensions, with at most 250 classes.
        width: hidden width of both networks.
        seed: seed of the initial parameters.
        gauge: ``"heat_bath"`` for ``D`` in the place of ``G``, with rates ``[D_k]_+ p_k`` by the
            probabilities ``p`` of a heat bath, or ``"plain"``; see
            :func:`~leaps_triton.kernels.proposal_rates`.

    Call:
        ``network(configurations, conditions)`` → ``D`` (``G`` if plain) ``(walkers, q-1, *shape)``
        in the precision of the parameters, for any shape of the model's dimension.

    Raises:
        ValueError: If there is no shell or no width, or configurations have another dimension.

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
        self,
        model: EnergyModel,
        shells: int | None = None,
        width: int = 64,
        seed: int = 0,
        gauge: str = "heat_bath",
    ) -> None:
        if shells is not None:
            shells = as_integer("shells", shells, 1)
        width = as_integer("width", width, 1)
        seed = as_seed(seed)
        super().__init__(model, shells=shells, width=width, seed=seed, gauge=gauge)
        if shells is None:
            shells = min(3, 5 - self.ndim)
        self.settings["shells"] = shells
        self.shells = Shells.nearest(self.ndim, shells)
        self.width = width
        self.embedded = as_channels(self.q)
        # The local field, a mean per shell and the field; t and β_t.
        inputs = self.embedded * (2 + shells) + 2
        self.local = _two_layers(inputs, width)
        # The magnetisation; t and β_t.
        self.readout = _two_layers(self.embedded + 2, width)
        self.head = nn.Linear(width, self.q * width)
        self.skip = nn.Parameter(torch.tensor(0.2))
        self._tables: dict[tuple[tuple[int, ...], torch.device], tuple[Tensor, Tensor]] = {}
        initialise(self, seed)
        # Small but not zero: G = 0 is a stationary point of the loss.
        with torch.no_grad():
            self.head.weight.mul_(0.1 / math.sqrt(self.width))

    def by_class(self, shape: Sequence[int], coupling: Tensor, field: Tensor) -> bool:
        """Return whether ``G`` depends on a site's class and the magnetisation alone.

        Args:
            shape: lengths of the lattice of a call.
            coupling: that of its conditions.
            field: that of its conditions.
        """
        if self.response is not None:
            return False
        uniform = coupling.numel() == 1 and field.numel() == self.q
        return self.q == 2 and all(self.periodic) and uniform and self.shells.distinct(shape)

    def _network(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        if self.by_class(configurations.shape[1:], conditions.coupling, conditions.field):
            return self._from_classes(configurations, conditions)
        return super()._network(configurations, conditions)

    def table(self, conditions: Conditions, sites: int, first: int, last: int) -> Tensor:
        """Return ``G`` of all classes at one time, at the given magnetisations.

        Args:
            conditions: those of one time, for which :meth:`by_class` holds.
            sites: number of sites of the lattice.
            first: least number ``K`` of sites in state 1, at least 0.
            last: greatest number ``K`` of sites in state 1, at most ``sites``.

        Returns:
            ``(last - first + 1, 2 · surroundings)``: a row for every ``K``, first the classes of a
            site in state 0. What it holds where no configuration has such a class means nothing.
        """
        time = self.time_input(conditions, self.skip.dtype)
        hidden, local = self._surroundings(conditions, time)
        # A site in state 0 has K others in state 1, a site in state 1 one less.
        others = torch.arange(first - 1, last + 1, device=hidden.device).unsqueeze(1)
        sums = 2 * others - (sites - 1)
        readout = self._readout(sums, sites, time.expand(len(others), -1))
        difference = readout[:, 1] - readout[:, 0]
        values = difference @ hidden[0].T + self.skip * local
        return torch.cat([values[1:], -values[:-1]], dim=1)

    def neighbours(self, shape: Sequence[int], device: torch.device) -> tuple[Tensor, Tensor]:
        """Return each site and its shells, and what each of these adds to the class in state 1.

        Returns:
            Flat indices, int64 ``(sites, 1 + Σ z_s)``; and int64 ``(1 + Σ z_s,)``.
        """
        key = (tuple(shape), device)
        if key not in self._tables:
            strides = [self.shells.surroundings]
            for size, stride in zip(self.shells.sizes, self.shells.strides(), strict=True):
                strides += [stride] * size
            sites = self.shells.neighbours(shape).to(device)
            self._tables[key] = (sites, torch.tensor(strides, device=device))
        return self._tables[key]

    def _readout(self, sums: Tensor, sites: int, time: Tensor) -> Tensor:
        """Return ``v``, ``(rows, q, width)``.

        Args:
            sums: sums over the other sites, ``(rows, embedded)``.
            sites: number of sites of the lattice.
            time: ``t`` and ``β_t``, ``(rows, 2)``.
        """
        means = sums.to(time.dtype) / sites
        made: Tensor = self.head(self.readout(torch.cat([means, time], dim=1)))
        return made.view(-1, self.q, self.width)

    def _surroundings(self, conditions: Conditions, time: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``h`` of all classes of one state, and their local fields.

        Args:
            conditions: uniform couplings and field.
            time: ``t`` and ``β_t``, ``(times, 2)``.

        Returns:
            ``(times, surroundings, width)``; and ``(surroundings,)``.
        """
        ones, sizes = counted(self.shells, time.dtype, time.device)
        spins = 2.0 * ones - sizes
        local = conditions.coupling.to(time).view(1) * spins[:, 0]
        field = field_input(conditions, self.skip.dtype).view(1, 1).expand(len(spins), 1)
        features = torch.cat([local.unsqueeze(1), spins / sizes, field], dim=1)
        features = features.expand(len(time), -1, -1)
        times = time.unsqueeze(1).expand(-1, len(spins), -1)
        features = torch.cat([features, times], dim=2)
        return self.local(features), local

    def _from_classes(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        """Return ``G`` from its value for each class that a walker may have."""
        shape = configurations.shape[1:]
        x = configurations.flatten(1)
        surroundings = self.shells.surroundings
        ones = x.sum(1, dtype=torch.int64).unsqueeze(1)
        values = self._values_of_classes(ones, x.shape[1], conditions)
        classes = reference.site_classes(x, *self.neighbours(shape, x.device))
        place = (ones - x) % 2 * surroundings + classes % surroundings
        # G is the value for state 1 less that for state 0, or its negative.
        signs = 1 - 2 * x
        output = values.flatten(1).gather(1, place) * signs
        return output.view(len(x), 1, *shape)

    def _values_of_classes(self, ones: Tensor, sites: int, conditions: Conditions) -> Tensor:
        """Return the value for state 1 less that for state 0, for either number of others in it.

        Args:
            ones: number of sites in state 1, ``(walkers, 1)``.
            sites: number of sites of the lattice.
            conditions: uniform couplings and field.

        Returns:
            ``(walkers, 2, surroundings)``, by the last bit of the number of other sites in state 1.
        """
        time = self.time_input(conditions, self.skip.dtype)
        # Many walkers have the same time; a GPU would have to be waited for to say how many.
        if len(time) > 1 and time.device.type == "cpu":
            unique, row = torch.unique(time, dim=0, return_inverse=True)
            hidden, local = self._surroundings(conditions, unique)
            hidden = hidden[row]
        else:
            hidden, local = self._surroundings(conditions, time)
        # The number of other sites in state 1 keeps its place in the batch when x_i changes:
        # rounding then keeps too.
        others = ones - (ones - torch.arange(2, device=ones.device)) % 2
        sums = (2 * others - (sites - 1)).view(-1, 1)
        times = time.expand(len(ones), -1).repeat_interleave(2, dim=0)
        readout = self._readout(sums, sites, times)
        difference = (readout[:, 1] - readout[:, 0]).view(len(ones), 2, -1)
        return difference @ hidden.transpose(1, 2) + self.skip * local

    def _shell(self, embedded: Tensor, offsets: Sequence[Sequence[int]]) -> Tensor:
        """Return the mean over a shell, 0 beyond an edge and at the centre.

        Args:
            embedded: ``(walkers, embedded, *shape)``.
            offsets: vectors to the sites of the shell.
        """
        total = torch.zeros_like(embedded)
        for offset in offsets:
            moved = embedded
            centre = True
            for axis, step in enumerate(offset):
                wraps = self.periodic[axis]
                length = embedded.shape[axis + 2]
                around = wraps and step % length == 0
                centre = centre and (around or step == 0)
                moved = _sites_across(axis + 2, step, wraps, moved)
            # A small lattice wraps some sites onto the centre, which is not to be read.
            if not centre:
                total = total + moved
        return total / len(offsets)

    def _features(self, configurations: Tensor, conditions: Conditions, local: Tensor) -> Tensor:
        """Return what ``h`` reads at every site, ``(walkers, features, sites)``."""
        walkers, *shape = configurations.shape
        dtype = self.skip.dtype
        embedded = embed(configurations, self.q, dtype)
        features = [local]
        if self.q == 2:
            features = [local[:, 1:] - local[:, :1]]
        for offsets in self.shells.offsets:
            features.append(self._shell(embedded, offsets).flatten(2))
        field = field_input(conditions, dtype)
        features.append(field.expand(walkers, -1, *shape).flatten(2))
        time = self.time_input(conditions, dtype).expand(walkers, -1)
        features.append(time.unsqueeze(2).expand(-1, -1, local.shape[2]))
        return torch.cat(features, dim=1)

    def values(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        """Return ``f_a(i)``, ``(walkers, q, *shape)``."""
        walkers, *shape = configurations.shape
        q = self.q
        dtype = self.skip.dtype
        sites = math.prod(shape)
        local = local_field(configurations, conditions, q, self.periodic, dtype).flatten(2)
        features = self._features(configurations, conditions, local)
        hidden = self.local(features.transpose(1, 2))
        time = self.time_input(conditions, dtype).expand(walkers, -1)
        # The counts of the other sites keep their place in the batch when x_i changes: rounding
        # then keeps too.
        state = configurations.flatten(1).long()
        states = torch.arange(q, device=state.device)
        counts = nn.functional.one_hot(state, q).sum(1)
        total = (counts * states).sum(1, keepdim=True)
        left_out = (total - states) % q
        others = counts.unsqueeze(1) - nn.functional.one_hot(left_out, q)
        sums = others
        if q == 2:
            # Two states are one channel of ±1.
            sums = 2 * others[..., 1:] - (sites - 1)
        readout = self._readout(sums.flatten(0, 1), sites, time.repeat_interleave(q, dim=0))
        products = readout.reshape(walkers, q * q, -1) @ hidden.transpose(1, 2)
        products = products.view(walkers, q, q, sites)
        # The row of the batch in which the counts without the site itself stand.
        place = ((total - state) % q).view(walkers, 1, 1, sites).expand(-1, 1, q, -1)
        values = products.gather(1, place).squeeze(1) + self.skip * local
        return values.view(walkers, q, *shape)
