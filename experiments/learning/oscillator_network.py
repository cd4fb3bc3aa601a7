"""A network of oscillators whose energy changes in time, learned by local rules from forces.

The energy at a time is that of a φ⁴ field with parameters of its own for every site and bond,
``E(x) = Σ_i (½ a_i x_i² + ¼ b_i x_i⁴ − h_i x_i) − Σ_<ij> J_ij x_i x_j``, and the oscillators follow
``ẋ = −∇E + √2 ξ``. Data are noised, ``x_τ = c x_0 + s ε`` with ``c = e^{−τ}`` and ``s² = 1 − c²``;
the way back asks for the force ``x + 2 ∇log p_τ``, whose mean given ``x_τ`` is that of
``x_τ − 2 ε / s``. The energy is linear in its parameters: those of a slice of time are found by
least squares, and the residual ``r`` of the force at a site changes only what it meets there:
``δa_i ∝ −⟨r_i x_i⟩``, ``δb_i ∝ −⟨r_i x_i³⟩``, ``δh_i ∝ ⟨r_i⟩``, ``δJ_ij ∝ ⟨r_i x_j + r_j x_i⟩``.

References: Whitelam and others, arXiv:2506.19136, of which the abstract alone was at hand: the
equations are derived from it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

LEAST_QUARTIC = 1e-3
"""``b`` below 0 would have no bottom."""

RIDGE = 1e-6
"""Of least squares: sites that never move alone would leave a parameter open."""

OWN = 3
"""Features of a site before those of its neighbours: ``-x``, ``-x³`` and 1."""

Draw = Callable[[int, torch.Generator], Tensor]
"""Returns so many configurations of the data, float64 ``(walkers, sites)``."""


@dataclass(frozen=True)
class Wiring:
    """Which parameter stands where.

    Attributes:
        slots: int64 ``(sites, 3 + sites)``: the parameters ``a``, ``b``, ``h`` of a site and those
            of its bonds to all sites; what is not there has the number ``parameters``.
        quartics: bool ``(parameters,)``, True at those of quartic terms.
    """

    slots: Tensor
    quartics: Tensor

    @property
    def parameters(self) -> int:
        """Return how many parameters a slice of time has."""
        return len(self.quartics)

    @property
    def sites(self) -> int:
        """Return the number of oscillators."""
        return len(self.slots)

    @classmethod
    def of_bonds(cls, sites: int, bonds: list[tuple[int, int]], fields: bool = True) -> "Wiring":
        """Return a network with parameters of its own for every site and every bond.

        Args:
            sites: number of oscillators.
            bonds: pairs of sites, each once.
            fields: whether sites have terms that are linear in ``x``.
        """
        linear = 3 if fields else 2
        total = linear * sites + len(bonds)
        slots = torch.full((sites, OWN + sites), total)
        for kind in range(linear):
            slots[:, kind] = torch.arange(kind * sites, (kind + 1) * sites)
        for bond, (first, second) in enumerate(bonds):
            slots[first, OWN + second] = linear * sites + bond
            slots[second, OWN + first] = linear * sites + bond
        quartics = torch.zeros(total, dtype=torch.bool)
        quartics[sites : 2 * sites] = True
        return cls(slots, quartics)

    @classmethod
    def invariant(cls, length: int, farthest: float) -> "Wiring":
        """Return a square torus on which sites are alike, and bonds of a distance too.

        Args:
            length: of the torus.
            farthest: distance up to which sites are joined.
        """
        sites = length * length
        place = torch.arange(sites)
        rows = place // length
        columns = place % length
        apart = torch.stack([rows[:, None] - rows, columns[:, None] - columns]).abs()
        # The way around the torus may be the shorter one.
        apart = torch.minimum(apart, length - apart)
        squares = apart.square().sum(0)
        kinds = [int(square) for square in squares.unique() if 0 < square <= farthest**2]
        total = 2 + len(kinds)
        slots = torch.full((sites, OWN + sites), total)
        slots[:, 0] = 0
        slots[:, 1] = 1
        for number, square in enumerate(kinds):
            slots[:, OWN:][squares == square] = 2 + number
        quartics = torch.zeros(total, dtype=torch.bool)
        quartics[1] = True
        return cls(slots, quartics)


@dataclass(frozen=True)
class Protocol:
    """Parameters that change in time.

    Attributes:
        wiring: where they stand.
        edges: of slices of the noise's time ``τ``, rising from 0, ``(slices + 1,)``.
        parameters: float64 ``(slices, parameters)``.
        left: the largest mean of a local update at the end, over the scale of its terms.
    """

    wiring: Wiring
    edges: Tensor
    parameters: Tensor
    left: float

    def force(self, slice_index: int) -> Callable[[Tensor], Tensor]:
        """Return the function that gives forces of a slice, like the configurations."""
        values = torch.cat([self.parameters[slice_index], torch.zeros(1, dtype=torch.float64)])
        table = values[self.wiring.slots]
        a = table[:, 0]
        b = table[:, 1]
        h = table[:, 2]
        couplings = table[:, OWN:]

        def at(x: Tensor) -> Tensor:
            return h - (a + b * x.square()) * x + x @ couplings

        return at


def noise_of(tau: float) -> tuple[float, float]:
    """Return ``c`` and ``s`` of data noised for a time."""
    kept = math.exp(-tau)
    return kept, math.sqrt(1.0 - kept * kept)


def normal_equations(x: Tensor, target: Tensor, wiring: Wiring) -> tuple[Tensor, Tensor]:
    """Return matrix and right side of the least squares ``E |F_θ(x) − target|²``.

    Args:
        x: ``(samples, sites)``.
        target: forces, likewise.
        wiring: where parameters stand.
    """
    size = wiring.parameters + 1
    matrix = torch.zeros(size, size, dtype=torch.float64)
    right = torch.zeros(size, dtype=torch.float64)
    for site, slots in enumerate(wiring.slots):
        own = x[:, site]
        features = torch.stack([-own, -(own**3), torch.ones_like(own)], 1)
        features = torch.cat([features, x], 1)
        # A site needs its own force and what it meets: the rule is local.
        products = features.T @ features / len(x)
        matrix.index_put_((slots[:, None], slots[None, :]), products, accumulate=True)
        right.index_put_((slots,), features.T @ target[:, site] / len(x), accumulate=True)
    # The last row is of what is not there.
    return matrix[:-1, :-1], right[:-1]


def solved(matrix: Tensor, right: Tensor, quartics: Tensor) -> tuple[Tensor, float]:
    """Return parameters with ``b`` bounded below, and the largest update that is left.

    Quartic terms that least squares would put below their bound are set to it, and all others are
    found again beside them.
    """
    scale = matrix.diagonal().clamp(min=RIDGE)
    matrix = matrix + torch.diag(RIDGE * scale)
    held = torch.zeros_like(quartics)
    while True:
        values = torch.where(held, LEAST_QUARTIC, 0.0).double()
        free = ~held
        values[free] = torch.linalg.solve(
            matrix[free][:, free], right[free] - matrix[free] @ values
        )
        low = quartics & free & (values < LEAST_QUARTIC)
        if not bool(low.any()):
            break
        held |= low
    update = (right - matrix @ values)[free] / scale[free].sqrt()
    return values, float(update.abs().max())


def learn(
    draw: Draw, wiring: Wiring, edges: Tensor, samples: int, generator: torch.Generator
) -> Protocol:
    """Return the protocol that forces of noised data teach, slice after slice.

    Args:
        draw: gives data.
        wiring: where parameters stand.
        edges: of slices, rising from 0.
        samples: of a slice.
        generator: of the noise and of what is drawn.
    """
    found = []
    left = 0.0
    for below, above in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        kept, spread = noise_of(0.5 * (below + above))
        data = draw(samples, generator)
        noise = torch.randn(data.shape, generator=generator, dtype=torch.float64)
        x = kept * data + spread * noise
        matrix, right = normal_equations(x, x - 2.0 * noise / spread, wiring)
        values, update = solved(matrix, right, wiring.quartics)
        found.append(values)
        left = max(left, update)
    return Protocol(wiring, edges, torch.stack(found), left)


def steps_of(edges: Tensor, share: float) -> list[int]:
    """Return steps of each slice, none longer than a share of the time of noise.

    Forces grow as ``1 / τ`` near the data: steps have to shorten with it.
    """
    counts = []
    for below, above in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        longest = max(1e-3, share * above)
        counts.append(max(1, math.ceil((above - below) / longest)))
    return counts


def follow(
    protocol: Protocol, counts: list[int], walkers: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return configurations at the end, and log-weights but for the density there.

    A step is ``y = x + h F(x) + √(2h) ξ``; the noising of data for a time ``h``, ``N(c y, s²)``, is
    the way back that it is weighed by. ``E[e^A ρ̃(y)] = Z`` for whatever forces.

    Args:
        protocol: forces.
        counts: steps of each slice, in the order of its edges.
        walkers: their number.
        generator: of random numbers.
    """
    sites = protocol.wiring.sites
    x = torch.randn(walkers, sites, generator=generator, dtype=torch.float64)
    log_weights = 0.5 * x.square().sum(1) + 0.5 * sites * math.log(2.0 * math.pi)
    # From noise to data: the last slice of noise comes first.
    for number in reversed(range(len(counts))):
        width = float(protocol.edges[number + 1] - protocol.edges[number])
        step = width / counts[number]
        kept, spread = noise_of(step)
        force = protocol.force(number)
        # Of both normal densities the widths that do not cancel.
        units = sites * math.log(math.sqrt(2.0 * step) / spread)
        for _ in range(counts[number]):
            noise = torch.randn(x.shape, generator=generator, dtype=torch.float64)
            y = x + step * force(x) + math.sqrt(2.0 * step) * noise
            back = (x - kept * y).square().sum(1) / (2.0 * spread**2)
            log_weights += units - back + 0.5 * noise.square().sum(1)
            x = y
    return x, log_weights
