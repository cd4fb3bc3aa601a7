"""Ising, Edwards–Anderson, Potts and clock models: pair models by name."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..kernels import Stream, philox, uniform64
from ..kernels.checks import as_seed
from ..lattices.graph import Graph
from ..lattices.hypercubic import Lattice, as_lattice
from ..registry import register
from .inputs import as_numbers, as_states, named
from .pair import PairModel

__all__ = ["Clock", "EdwardsAnderson", "Ising", "Potts"]


@register("model")
class Ising(PairModel):
    """Ising model ``H = -Σ_<ij> J_ij s_i s_j - Σ_i h_i s_i`` with ``s = 2x - 1``.

    Args:
        shape: lattice lengths, one to four directions; or a graph or lattice.
        beta: inverse temperature, in units of 1/energy.
        coupling: ``J``: a number, one per direction, or ``(ndim, *shape)``; on a graph one per
            class of edges or per edge.
        field: ``h``, a number or ``(*shape)``.
        periodic: one bool, or one per direction.

    Example:
        >>> Ising((4, 4), beta=0.4407).energy(torch.ones(1, 4, 4, dtype=torch.int8)).item()
        -32.0
    """

    _field_name = "field"

    @named
    def __init__(
        self,
        shape: Sequence[int] | int | Lattice | Graph,
        beta: float,
        coupling: float | Sequence[float] | Tensor = 1.0,
        field: float | Tensor = 0.0,
        periodic: bool | Sequence[bool] = True,
    ) -> None:
        lengths = as_lattice(shape, periodic).shape
        up = as_numbers("field", field, lengths, "one value a site")
        # s = 2x - 1 is -1 in state 0, where the field counts with the opposite sign.
        site_table = torch.stack([-up, up])
        # φ(x_i, x_j) = s_i s_j.
        bond_table = [[1.0, -1.0], [-1.0, 1.0]]
        super().__init__(shape, beta, bond_table, site_table, coupling, periodic)

    def _field(self) -> Tensor:
        # In state 1 the spin is +1, so its entry is h itself.
        return self.site_table[1]


@register("model")
class EdwardsAnderson(Ising):
    """Edwards–Anderson spin glass: Ising with independent random couplings.

    Args:
        shape: lattice lengths, one to four directions; or a graph or lattice.
        beta: inverse temperature, in units of 1/energy.
        disorder: ``"pm1"`` (±1 with equal probability) or ``"gaussian"`` (mean 0, variance 1).
        seed: of the disorder, in [0, 2³²).
        coupling: ``J``, the same as in :class:`Ising`; given, it is used and nothing is drawn.
        field: ``h``, a number or ``(*shape)``.
        periodic: one bool, or one per direction.

    Example:
        >>> EdwardsAnderson((3, 3), beta=1.0, seed=1).coupling.abs().unique()
        tensor([1.], dtype=torch.float64)
    """

    @named
    def __init__(
        self,
        shape: Sequence[int] | int | Lattice | Graph,
        beta: float,
        disorder: str = "pm1",
        seed: int = 0,
        coupling: float | Sequence[float] | Tensor | None = None,
        field: float | Tensor = 0.0,
        periodic: bool | Sequence[bool] = True,
    ) -> None:
        if coupling is None:
            lattice = as_lattice(shape, periodic)
            coupling = _disorder(lattice, disorder, as_seed(seed))
        super().__init__(shape, beta, coupling, field, periodic)


@register("model")
class Potts(PairModel):
    """Potts model ``H = -Σ_<ij> J_ij δ(x_i, x_j) - Σ_i h_i(x_i)``.

    Args:
        shape: lattice lengths, one to four directions; or a graph or lattice.
        q: number of states, 2 to 127.
        beta: inverse temperature, in units of 1/energy.
        coupling: ``J``: a number, one per direction, or ``(ndim, *shape)``; on a graph one per
            class of edges or per edge.
        field: ``h``, None, ``(q,)`` or ``(q, *shape)``.
        periodic: one bool, or one per direction.

    Example:
        >>> Potts((4, 4), q=3, beta=1.005).energy(torch.ones(1, 4, 4, dtype=torch.int8)).item()
        -32.0
    """

    _field_name = "field"

    @named
    def __init__(
        self,
        shape: Sequence[int] | int | Lattice | Graph,
        q: int,
        beta: float,
        coupling: float | Sequence[float] | Tensor = 1.0,
        field: Tensor | Sequence[float] | None = None,
        periodic: bool | Sequence[bool] = True,
    ) -> None:
        # The identity is δ(x_i, x_j).
        bond_table = torch.eye(as_states(q))
        super().__init__(shape, beta, bond_table, field, coupling, periodic)


@register("model")
class Clock(PairModel):
    """Clock model ``H = -Σ_<ij> J_ij cos(2π (x_i - x_j) / q) - Σ_i h_i(x_i)``.

    Its spins are unit vectors in the plane.

    Args:
        shape: lattice lengths, one to four directions; or a graph or lattice.
        q: number of states, 2 to 127.
        beta: inverse temperature, in units of 1/energy.
        coupling: ``J``: a number, one per direction, or ``(ndim, *shape)``; on a graph one per
            class of edges or per edge.
        field: ``h``, None, ``(q,)`` or ``(q, *shape)``.
        periodic: one bool, or one per direction.

    Example:
        >>> Clock((4, 4), q=6, beta=1.0).spins.shape
        torch.Size([6, 2])
    """

    _field_name = "field"

    @named
    def __init__(
        self,
        shape: Sequence[int] | int | Lattice | Graph,
        q: int,
        beta: float,
        coupling: float | Sequence[float] | Tensor = 1.0,
        field: Tensor | Sequence[float] | None = None,
        periodic: bool | Sequence[bool] = True,
    ) -> None:
        q = as_states(q)
        states = torch.arange(q, dtype=torch.float64)
        angle = 2.0 * math.pi * states / q
        # The scalar product of the vectors of two states, cos(2π (x_i - x_j) / q).
        bond_table = torch.cos(angle.unsqueeze(1) - angle)
        spins = torch.stack([torch.cos(angle), torch.sin(angle)], dim=1)
        super().__init__(shape, beta, bond_table, field, coupling, periodic, spins)


def _disorder(lattice: Lattice | Graph, disorder: str, seed: int) -> Tensor:
    """Return random couplings, a function of seed, direction and site, or of seed and edge.

    They are ``(ndim, *shape)``, or ``(bonds,)`` on a graph.
    """
    site = torch.arange(lattice.sites)
    direction = torch.arange(lattice.ndim).unsqueeze(1)
    shape: tuple[int, ...] = (lattice.ndim, *lattice.shape)
    if isinstance(lattice, Graph):
        site = torch.arange(lattice.bonds)
        shape = (lattice.bonds,)
    # The direction stands for the draw, so that every bond has a counter of its own.
    words = philox(seed, Stream.DISORDER, site, 0, direction, 0)
    if disorder == "pm1":
        # The highest bit of a word is a fair coin.
        values = 1.0 - 2.0 * (words[0] >> 31).double()
    elif disorder == "gaussian":
        # Box and Muller: a normal number from two uniform ones.
        first = uniform64(words[0], words[1])
        second = uniform64(words[2], words[3])
        # Finite, since uniform64 is never 0.
        radius = torch.sqrt(-2.0 * torch.log(first))
        values = radius * torch.cos(2.0 * math.pi * second)
    else:
        raise ValueError(
            f"disorder must be 'pm1' or 'gaussian', got {disorder!r}; or give coupling= a tensor"
        )
    return values.view(shape)
