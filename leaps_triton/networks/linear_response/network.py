"""The layer of linear response: one sum over all other sites per state, exact to the last bit."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ...kernels.checks import as_bool, as_integer, expect
from ...models.base import Conditions, EnergyModel
from ...models.pair import is_pair_model
from ...registry import register
from ..base import Equivariant
from .rings import Rings, alike, placed

__all__ = ["CONSTANTS", "LinearResponse"]


CONSTANTS = ("", "states", "sites")
"""What the values hold beside the sums: nothing, a number per state, one per state and site."""

_BITS = 31
"""Bits of a kernel's row sum: rounding of a float64 transform stays far below half a unit."""

_BITS_OF_FULL = 23
"""The same for full kernels, whose sums of float32 are then exact in any order."""


class _Place(NamedTuple):
    """Where inverse temperatures lie among the nodes."""

    before: Tensor
    """Index of the node below, int64 ``(1 | walkers,)``"""
    after: Tensor
    """Index of the node above"""
    share: Tensor
    """Weight of the node above, float64, 0 … 1"""


@register("network")
class LinearResponse(Equivariant):
    """Values that are linear in the other sites: ``f_a(i) = Σ_{j≠i} K_ij(β) φ(a, x_j)``.

    ``φ`` is the model's bond table without what is the same for all states of a site. ``K`` depends
    on the ring of the displacement alone (see :class:`~leaps_triton.networks.Rings`), or is a full
    symmetric matrix; it is given at some inverse temperatures, linear between two of them and
    constant beyond the ends. With fields, a constant per state, or per state and site, is added.

    :func:`~leaps_triton.linear_response` finds all these numbers; what a constructor makes is
    empty, ``f = 0``. They are buffers, which no optimiser moves. The network is a transport by
    itself, nearly exact at high temperature, and a base for others to stand on
    (:meth:`~leaps_triton.networks.Equivariant.stand_on`). Rates are in the heat-bath gauge and per
    unit of β.

    Sums over rings are convolutions with kernels rounded to whole multiples of a power of two
    (2⁻³¹ of ``Σ_j |K_ij|``): the result of the float64 transform, rounded to whole multiples, is
    the exact sum. So local equivariance holds bit for bit, and results do not depend on how
    walkers are batched. Full kernels are dense products, rounded likewise.

    Args:
        model: gives ``q``, the lattice, its bond table and couplings.
        nodes: number of inverse temperatures.
        full: whether ``K`` is a matrix.
        axes: a number per direction; directions of one number may be exchanged. None for those of
            equal length, boundary and coupling.
        rings: the greatest number of rings; None for no limit.
        constants: one of ``""``, ``"states"`` and ``"sites"``.

    Attributes:
        betas: the inverse temperatures, increasing, ``(nodes,)``.
        kernels: ``(nodes, rings)``, or ``(nodes, sites, sites)`` if full.
        constants: ``(nodes, q, *shape or 1s)``, or ``(0,)`` for none.

    Call:
        ``network(configurations, conditions)`` → ``D`` ``(walkers, q-1, *shape)``.

    Raises:
        ValueError: If an argument is not as above, or configurations have another shape.

    Example:
        >>> import leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Ising((4, 4), beta=0.3))
        >>> response = lt.networks.LinearResponse(path.model, nodes=3)
        >>> response.kernels.shape
        torch.Size([3, 5])
        >>> x = path.start.sample(torch.arange(2), seed=0)
        >>> response(x, path.conditions(0.5)).abs().max()
        tensor(0.)
    """

    gauge = "heat_bath"
    clock = "beta"
    bears = True

    def __init__(
        self,
        model: EnergyModel,
        nodes: int = 1,
        full: bool = False,
        axes: Sequence[int] | None = None,
        rings: int | None = None,
        constants: str = "",
    ) -> None:
        nodes = as_integer("nodes", nodes, 1)
        full = as_bool("full", full)
        expect(constants in CONSTANTS, "constants", f"one of {CONSTANTS}", constants)
        if rings is not None:
            rings = as_integer("rings", rings, 2)
        lattice = model.lattice
        if axes is None:
            axes = alike(lattice.shape, lattice.periodic, model.coupling)  # type: ignore[attr-defined]
        axes = [as_integer("axes", axis, 0) for axis in axes]
        expect(len(axes) == lattice.ndim, "axes", "one number per direction", axes)
        super().__init__(model, nodes=nodes, full=full, axes=axes, rings=rings, constants=constants)
        self.shape = lattice.shape
        self.full = full
        self.rings = Rings.of(lattice.shape, lattice.periodic, axes, rings)
        self._make_buffers(model, nodes, constants)

    def _make_buffers(self, model: EnergyModel, nodes: int, constants: str) -> None:
        """Make all tensors, empty, in the order in which files hold them."""
        sites = math.prod(self.shape)
        kernel: tuple[int, ...] = (self.rings.count,)
        if self.full:
            kernel = (sites, sites)
        constant: tuple[int, ...] = (0,)
        if constants == "states":
            constant = (nodes, self.q, *[1] * self.ndim)
        if constants == "sites":
            constant = (nodes, self.q, *self.shape)
        self.betas: Tensor
        self.kernels: Tensor
        self.constants: Tensor
        self.variances: Tensor
        self.table: Tensor
        self.index: Tensor
        self.sizes: Tensor
        self.register_buffer("betas", torch.zeros(nodes))
        self.register_buffer("kernels", torch.zeros(nodes, *kernel))
        self.register_buffer("constants", torch.zeros(constant))
        self.register_buffer("variances", torch.full((nodes, 2), -1.0))
        # The model has these, and files need not. In float32 they are the same again when a
        # network has been moved to another precision.
        table = bond_table_of(model).float()
        self.register_buffer("table", table, persistent=False)
        self.register_buffer("index", self.rings.index, persistent=False)
        self.register_buffer("sizes", self.rings.sizes.float(), persistent=False)

    @property
    def reach(self) -> None:
        """The largest distance of a site that ``D`` reads: None, for all."""
        return None

    @property
    def last_beta(self) -> Tensor:
        """The inverse temperature farthest from 0, without dimension."""
        first = self.betas[0]
        last = self.betas[-1]
        return torch.where(first.abs() > last.abs(), first, last)

    @property
    def known_beta(self) -> float | None:
        """The inverse temperature farthest from 0 that was fitted; None before any fit."""
        known = float(self.last_beta)
        if known == 0.0:
            return None
        return known

    @property
    def fit(self) -> Tensor:
        """How well it fits, float64 ``(fitted nodes, 3)``, as the fit found it.

        Columns are β, the variance of ``∂_t log ρ̃_t`` without it, and with it, on walkers that the
        fit did not see (each was left out in turn).
        """
        rows = torch.cat([self.betas.unsqueeze(1), self.variances], 1).double()
        # A variance may be 0, where β stands still.
        return rows[self.variances[:, 0] >= 0]

    def check_shape(self, shape: Sequence[int]) -> None:
        """Refuse another shape than the model's.

        Raises:
            ValueError: If the shape is another one.
        """
        super().check_shape(shape)
        if tuple(shape) != self.shape:
            raise ValueError(
                f"a LinearResponse is for one lattice, {self.shape}, got {tuple(shape)}; fit one "
                f"to samples of it"
            )

    @torch.no_grad()
    def values(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        """Return ``f_a(i)``, ``(walkers, q, *shape)``, per unit of β."""
        place = self._place(conditions.beta)
        channels = channels_of(configurations, self.q)
        if self.full:
            sums = self._dense_sums(channels.flatten(2), place)
        else:
            sums = self._ring_sums(channels, place)
        # Each φ(a, ·) is a combination of the channels, site by site.
        values = self.table[:, :-1].double() @ sums.flatten(2)
        values = values.view(len(sums), self.q, *self.shape)
        if self.constants.numel():
            values = values + self._between(self.constants, place)
        return values.to(self.kernels.dtype)

    def _place(self, beta: Tensor) -> _Place:
        """Return where inverse temperatures lie among the nodes, without a look at a GPU."""
        nodes = self.betas.double()
        wanted = beta.detach().double()
        last = len(nodes) - 1
        after = torch.searchsorted(nodes, wanted).clamp(min=1, max=max(1, last))
        before = after - 1
        # A single node stands on both sides.
        after = after.clamp(max=last)
        width = nodes[after] - nodes[before]
        share = (wanted - nodes[before]) / torch.where(width > 0, width, torch.ones_like(width))
        return _Place(before, after, share.clamp(0.0, 1.0))

    def _between(self, table: Tensor, place: _Place) -> Tensor:
        """Return the numbers of nodes, linear between them, float64 ``(1 | walkers, …)``."""
        share = place.share.view(-1, *[1] * (table.ndim - 1))
        before = table[place.before].double()
        after = table[place.after].double()
        return before * (1.0 - share) + after * share

    def _ring_sums(self, channels: Tensor, place: _Place) -> Tensor:
        """Return ``Σ_j K_ij c_b(x_j)``, exact, float64 ``(walkers, q-1, *shape)``."""
        kernel = self._between(self.kernels, place)
        total = (kernel.abs() * self.sizes.double()).sum(1, keepdim=True)
        total = torch.where(total > 0, total, torch.ones_like(total))
        mantissa, _ = torch.frexp(total)
        # 2^-exponent of the row sum, exactly: scaling by it rounds nothing.
        scale = 2.0**_BITS * (mantissa / total)
        whole = placed((kernel * scale).round(), self.index)
        axes = tuple(range(-self.ndim, 0))
        padded = self.rings.padded
        # The kernel is the same in both directions, so its transform is real.
        response = torch.fft.rfftn(whole, dim=axes).real.unsqueeze(1)
        spectrum = torch.fft.rfftn(channels, s=padded, dim=axes)
        sums = torch.fft.irfftn(spectrum * response, s=padded, dim=axes)
        for axis, length in enumerate(self.shape):
            # The padding of an open direction.
            sums = sums.narrow(axis + 2, 0, length)
        scale = scale.view(-1, 1, *[1] * self.ndim)
        return sums.round() / scale

    def _dense_sums(self, channels: Tensor, place: _Place) -> Tensor:
        """Return ``Σ_j K_ij c_b(x_j)``, exact, float64 ``(walkers, q-1, sites)``."""
        channels = channels.to(self.kernels.dtype)
        share = place.share.view(-1, 1, 1)
        weights = (1.0 - share, share)
        total = torch.zeros_like(channels, dtype=torch.float64)
        for node, weight in zip((place.before, place.after), weights, strict=True):
            if len(node) == 1:
                sums = channels @ self.kernels[node]
            elif channels.device.type == "cpu":
                sums = self._by_node(channels, node)
            else:
                sums = self._of_all_nodes(channels, node)
            total = total + weight * sums.double()
        return total

    def _by_node(self, channels: Tensor, node: Tensor) -> Tensor:
        """Return the sums of every walker with the kernel of its own node."""
        sums = torch.empty_like(channels)
        for number in node.unique().tolist():
            rows = node == number
            sums[rows] = channels[rows] @ self.kernels[number]
        return sums

    def _of_all_nodes(self, channels: Tensor, node: Tensor) -> Tensor:
        """Return the same as :meth:`_by_node` without a look at the nodes, which waits for a GPU.

        All walkers are multiplied by all kernels.
        """
        found = torch.einsum("wbj,nji->nwbi", channels, self.kernels)
        return found[node, torch.arange(len(node), device=node.device)]

    @torch.no_grad()
    def fill(
        self, betas: Tensor, kernels: Tensor, constants: Tensor, variances: Tensor
    ) -> "LinearResponse":
        """Take the numbers of a fit, full kernels rounded so that their sums are exact.

        Args:
            betas: ``(nodes,)``, increasing.
            kernels: see :class:`LinearResponse`.
            constants: likewise.
            variances: before and after, ``(nodes, 2)``; negative where nothing was fitted.

        Returns:
            The network itself.
        """
        if self.full:
            total = kernels.double().abs().sum(2).amax(1)
            _, exponent = torch.frexp(total)
            unit = 2.0 ** (exponent.double() - _BITS_OF_FULL).view(-1, 1, 1)
            kernels = (kernels.double() / unit).round() * unit
        self.betas.copy_(betas)
        self.kernels.copy_(kernels)
        self.constants.copy_(constants)
        self.variances.copy_(variances)
        return self


def channels_of(configurations: Tensor, q: int) -> Tensor:
    """Return ``c_b(x_j) = [x_j = b] - [x_j = q-1]`` of ``b < q-1``, float64.

    Returns:
        ``(walkers, q-1, *shape)``.
    """
    states = torch.arange(q - 1, device=configurations.device)
    states = states.view(-1, *[1] * (configurations.ndim - 1))
    x = configurations.unsqueeze(1)
    return (x == states).double() - (x == q - 1).double()


def bond_table_of(model: EnergyModel) -> Tensor:
    """Return ``φ`` less its means over rows and columns, symmetric, ``(q, q)``.

    A mean over the states of one site is a field on the other. A model without a bond table has
    that of Potts, ``δ``.
    """
    table = torch.eye(model.q, dtype=torch.float64)
    if is_pair_model(model):
        table = (model.bond_table + model.bond_table.T) / 2
    rows = table.mean(1, keepdim=True)
    return table - rows - rows.T + table.mean()
