"""Pair models: interactions of neighbouring sites, given by tables.

``H(x) = -Σ_<ij> J_ij φ(x_i, x_j) - Σ_i h_i(x_i)``, each bond once; the target is ``ρ ∝ exp(-β H)``.
A configuration is int8 ``(walkers, *shape)`` with values ``0 … q-1``; a local move ``(i, k)`` takes
``x_i`` to ``(x_i + k) mod q``.
"""

from collections.abc import Sequence
from functools import cached_property, partial
from typing import Any, ClassVar, Self, TypeGuard

import torch
from torch import Tensor

from ..kernels import LocalEnergy, Sums
from ..lattices.graph import Graph
from ..lattices.hypercubic import Lattice, as_lattice
from ..registry import register
from . import single_site
from .base import SweepPlan
from .inputs import (
    as_beta,
    as_bond_table,
    as_coupling,
    as_edge_coupling,
    as_spins,
    as_table,
    check_states,
    in_short,
    named,
)
from .interactions import Interactions, Tables, interactions_of
from .interactions.packed import Packed, packed_heat_bath, packed_metropolis

__all__ = ["PairModel", "Tables", "is_pair_model"]


_FROM_ENERGY = ("local_energy", "heat_bath", "metropolis")
"""Methods that a subclass with an energy of its own must bring too, or leave to be derived."""


@register("model")
class PairModel:
    """Any pair interaction of neighbouring sites, with a coupling per bond and a field per site.

    ``H(x) = -Σ_<ij> J_ij φ(x_i, x_j) - Σ_i h_i(x_i)``, each bond once, ``i`` the site and ``j`` its
    neighbour in positive direction, so that ``φ`` need not be symmetric.

    Args:
        shape: lattice lengths, one to four directions; or a :class:`~leaps_triton.Graph` or
            :class:`~leaps_triton.Lattice`.
        beta: inverse temperature, in units of 1/energy.
        bond_table: ``φ``, ``(q, q)``.
        site_table: ``h``, ``(q,)`` for all sites or ``(q, *shape)``; None for no field.
        coupling: ``J``, a number, one per direction ``(ndim,)``, or ``(ndim, *shape)`` with entry
            ``[d, i]`` the bond from site ``i`` in positive direction ``d`` (entries that leave an
            open boundary are ignored); on a graph a number, one per class of edges, or one per
            edge ``(bonds,)``.
        periodic: one bool, or one per direction; a graph has its own boundaries.
        spins: vector of every state, ``(q, n)``, whose lattice mean is the magnetisation; None for
            ±1 (q = 2) or the unit vectors of a simplex (q > 2).

    Attributes:
        lattice: the lattice.
        q: states per site.
        beta: inverse temperature.
        dtype: int8, the type of configurations.
        coupling: ``J``, float64 ``(1 | ndim, *shape)``, lattice axes of size 1 where uniform; on a
            graph ``(1, 1 | bonds)``.
        site_table: ``h``, float64 ``(q, *shape)``, likewise.
        bond_table: ``φ``, float64 ``(q, q)``.
        spins: float64 ``(q, n)``.

    Raises:
        ValueError: an argument is not as above; what was expected and what came.

    Example:
        >>> model = PairModel((3, 3), beta=0.5, bond_table=[[1.0, -1.0], [-1.0, 1.0]])
        >>> model.energy(torch.zeros(1, 3, 3, dtype=torch.int8))
        tensor([-18.], dtype=torch.float64)
    """

    dtype = torch.int8
    reach: int | None = 1
    """Distance of the sites that an energy difference reads; None for the whole lattice."""
    overrides: ClassVar[frozenset[str]] = frozenset()
    """Names that a subclass, or a class between, defines anew."""
    _field_name = "site_table"

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        between = cls.__mro__[: cls.__mro__.index(PairModel)]
        cls.overrides = frozenset(name for kind in between for name in vars(kind))
        # The reach of the tables says nothing of another energy.
        if "energy" in cls.overrides and not cls.overrides & {"reach", *_FROM_ENERGY}:
            cls.reach = None

    @named
    def __init__(
        self,
        shape: Sequence[int] | int | Lattice | Graph,
        beta: float,
        bond_table: Tensor | Sequence[Sequence[float]],
        site_table: Tensor | Sequence[float] | None = None,
        coupling: float | Sequence[float] | Tensor = 1.0,
        periodic: bool | Sequence[bool] = True,
        spins: Tensor | None = None,
    ) -> None:
        # A Lattice or a Graph: what needs directions refuses a graph by name.
        self.lattice: Any = as_lattice(shape, periodic)
        self.beta = as_beta(beta)
        self.bond_table = as_bond_table(bond_table)
        self.q = len(self.bond_table)
        lengths = self.lattice.shape
        # Lattice axes of size 1 stand for what is the same at all sites.
        uniform = (1,) * self.lattice.ndim
        if isinstance(self.lattice, Graph):
            self.coupling = as_edge_coupling(coupling, self.lattice)
        else:
            self.coupling = as_coupling(coupling, lengths)
        if site_table is None:
            site_table = torch.zeros(self.q)
        meaning = "states by lattice, or one a state"
        table = as_table("site_table", site_table, (self.q, *lengths), meaning, short=1)
        if table.ndim == 1:
            table = table.view(self.q, *uniform)
        self.site_table = table
        self.spins = as_spins(spins, self.q)
        self.interactions = self._interactions()
        self._on_device: dict[torch.device, Tables] = {}

    def _interactions(self) -> Interactions:
        """Return what energies and sweeps are made of."""
        return interactions_of(self.lattice, self.coupling)

    @classmethod
    def from_tables(
        cls,
        shape: Sequence[int] | int | Lattice | Graph,
        beta: float,
        bond_table: Tensor | Sequence[Sequence[float]],
        site_table: Tensor | Sequence[float] | None = None,
        coupling: float | Sequence[float] | Tensor = 1.0,
        periodic: bool | Sequence[bool] = True,
        spins: Tensor | None = None,
    ) -> Self:
        """Return a model of this class with the tables given, as a file holds them.

        A class and its tables say all: what they were once computed from is not needed again. A
        subclass whose constructor keeps more than the tables overrides this.

        Arguments and errors are those of :class:`PairModel`.

        Example:
            >>> table = [[1.0, -1.0], [-1.0, 1.0]]
            >>> PairModel.from_tables((3, 3), 0.5, table)
            PairModel(shape=(3, 3), q=2, beta=0.5, periodic=(True, True))
        """
        # The constructor of a subclass takes other arguments, from which it makes the tables.
        model = cls.__new__(cls)
        PairModel.__init__(model, shape, beta, bond_table, site_table, coupling, periodic, spins)
        return model

    def at(self, beta: float) -> Self:
        """Return the same model at another inverse temperature."""
        return self.with_tables(beta, self.site_table, self.coupling)

    def with_tables(self, beta: float, site_table: Tensor, coupling: Tensor) -> Self:
        """Return the same model with another β, other fields and other couplings.

        Args:
            beta: inverse temperature.
            site_table: ``h``, as the attribute has it.
            coupling: ``J``, as the attribute has it.
        """
        # A uniform table goes back in the short form that the constructor takes.
        if site_table.numel() == self.q:
            site_table = site_table.flatten()
        given: float | Tensor = coupling
        if coupling.numel() == 1:
            given = coupling.item()
        elif coupling[0].numel() == 1 or not self.lattice.hypercubic:
            # One per direction, or per edge.
            given = coupling.flatten()
        where: Any = self.shape
        periodic: Any = True
        if self.lattice.hypercubic:
            periodic = self.lattice.periodic
        else:
            where = self.lattice
        tables = (self.bond_table, site_table, given)
        return self.from_tables(where, beta, *tables, periodic, self.spins)

    def __repr__(self) -> str:
        lattice = self.lattice
        size = f"q={self.q}"
        beta = f"beta={self.beta}"
        if isinstance(lattice, Graph):
            parts = [repr(lattice), size, beta]
        else:
            parts = [f"shape={lattice.shape}", size, beta, f"periodic={lattice.periodic}"]
        # A coupling of 1 and no field go without saying.
        if bool((self.coupling != 1.0).any()):
            parts.append(f"coupling={in_short(self.coupling)}")
        if bool(self.site_table.any()):
            parts.append(f"{self._field_name}={in_short(self._field())}")
        return f"{type(self).__name__}({', '.join(parts)})"

    def _field(self) -> Tensor:
        """Return the values of the argument that the site table comes from."""
        return self.site_table

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the lattice."""
        return self.lattice.shape

    def tables(self, device: torch.device) -> Tables:
        """Return the tables as the ops on ``device`` expect them, made once."""
        if device not in self._on_device:
            self._on_device[device] = Tables(
                self.coupling.unsqueeze(0).to(device),
                self.bond_table.to(device),
                self.site_table.unsqueeze(0).to(device),
                self.lattice.colours().to(device),
                self.spins.to(device),
            )
        return self._on_device[device]

    @cached_property
    def symmetry(self) -> str:
        """Exchanges of two states that leave ``φ(x_i, x_j)`` as it is when made at both sites.

        - ``"permutation"``: all (Ising, Potts): ``φ`` has one value on its diagonal, one off it.
        - ``"reflection"``: ``x → r - x mod q`` for every ``r`` (clock): ``φ`` depends on
          ``x_i - x_j mod q`` alone, evenly.
        - ``""``: none.
        """
        table = self.bond_table
        states = torch.arange(self.q)
        difference = (states.unsqueeze(1) - states) % self.q
        by_difference = table[0][difference]
        by_equality = table[0][(difference != 0).long()]
        # Tables of cosines are even to rounding only.
        tolerance = 1e-12 * float(table.abs().max())
        if torch.allclose(table, by_equality, rtol=0.0, atol=tolerance):
            return "permutation"
        if torch.allclose(table, by_difference, rtol=0.0, atol=tolerance):
            return "reflection"
        return ""

    @cached_property
    def packed(self) -> Packed:
        """What sweeps of 32 spins a word need of the model, or why there are none."""
        return Packed.of(self)

    def check(self, configurations: Tensor) -> None:
        """Raise a ValueError unless these are int8 ``(walkers, *shape)``, ``0 … q-1``."""
        check_states(configurations, self.dtype, self.shape, self.q)

    def energy(self, configurations: Tensor, check: bool = True) -> Tensor:
        """Return ``H(x)`` without β, float64 ``(walkers,)``."""
        return self.sums(configurations, check).energy

    def sums(self, configurations: Tensor, check: bool = True) -> Sums:
        """Return the energy and the sites in each state, found in one pass.

        Args:
            configurations: int8 ``(walkers, *shape)``.
            check: whether to check their values.

        Returns:
            ``H(x)`` without β, float64 ``(walkers,)``, and counts, int64 ``(walkers, q)``.
        """
        if check:
            self.check(configurations)
        tables = self.tables(configurations.device)
        return self.interactions.energy(configurations, tables)

    def energy_change(self, configurations: Tensor) -> Tensor:
        """Return ``H(x^{(i,k)}) - H(x)`` of every local move.

        Args:
            configurations: int8 ``(walkers, *shape)``.

        Returns:
            float64 ``(walkers, q-1, *shape)``; entry ``[:, k-1, i]``.

        Raises:
            ValueError: these are no configurations of the model.
        """
        self.check(configurations)
        device = configurations.device
        # Log-ratios are -β ΔH: at β = -1 they are the differences themselves.
        minus_one = torch.full((1,), -1.0, dtype=torch.float64, device=device)
        if self.needs_completion():
            energy = partial(single_site.energies, self)
            changes = single_site.log_ratios(
                energy, configurations, self.q, minus_one, torch.float64
            )
        else:
            changes = self.local_energy(configurations, minus_one, torch.float64)
        return changes.log_ratios

    def local_energy(
        self,
        configurations: Tensor,
        beta: Tensor,
        dtype: torch.dtype = torch.float32,
    ) -> LocalEnergy:
        """Return ``H(x)`` and the log-ratios of all moves; values are not checked.

        Args:
            configurations: int8 ``(walkers, *shape)``.
            beta: inverse temperature, float64 ``(1 | walkers,)``.
            dtype: type of the log-ratios.
        """
        tables = self.tables(configurations.device)
        return self.interactions.local_energy(configurations, tables, beta, dtype)

    def heat_bath(self, configurations: Tensor, beta: Tensor, plan: SweepPlan) -> Tensor:
        """Return configurations after heat-bath sweeps; values are not checked.

        Args:
            configurations: int8 ``(walkers, *shape)``.
            beta: inverse temperature, float64 ``(1 | walkers,)``.
            plan: the sweeps; backward, the colour classes come in reverse order.
        """
        if plan.packed:
            return packed_heat_bath(self, configurations, beta, plan)
        return self._sweep("heat_bath", configurations, beta, plan)

    def metropolis(self, configurations: Tensor, beta: Tensor, plan: SweepPlan) -> Tensor:
        """Return configurations after Metropolis sweeps; arguments as in :meth:`heat_bath`."""
        if plan.packed:
            return packed_metropolis(self, configurations, beta, plan)
        return self._sweep("metropolis", configurations, beta, plan)

    def overrelaxation(self, configurations: Tensor, beta: Tensor, plan: SweepPlan) -> Tensor:
        """Return configurations after over-relaxation sweeps, for states on a circle.

        Arguments as in :meth:`heat_bath`; see :class:`Clock`.
        """
        return self._sweep("overrelaxation", configurations, beta, plan)

    def _sweep(self, kind: str, configurations: Tensor, beta: Tensor, plan: SweepPlan) -> Tensor:
        tables = self.tables(configurations.device)
        return self.interactions.sweep(kind, configurations, tables, beta, plan)

    def needs_completion(self) -> bool:
        """Return whether this has an energy of its own, from which the rest must be derived.

        Raises:
            ValueError: a subclass has an energy of its own and brings a part of the rest.
        """
        if "energy" not in self.overrides:
            return False
        inherited = [name for name in _FROM_ENERGY if name not in self.overrides]
        if 0 < len(inherited) < len(_FROM_ENERGY):
            raise ValueError(
                f"{type(self).__name__} has its own energy, and {', '.join(inherited)} of "
                f"PairModel, which are those of another energy; define all of "
                f"{', '.join(_FROM_ENERGY)}, or none"
            )
        return bool(inherited)


def is_pair_model(model: object) -> TypeGuard[PairModel]:
    """Return whether the energy of ``model`` is that of its bond and site tables."""
    return isinstance(model, PairModel) and "energy" not in model.overrides
