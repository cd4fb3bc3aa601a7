"""Pair models: interactions of neighbouring sites, given by tables.

``H(x) = -Σ_<ij> J_ij φ(x_i, x_j) - Σ_i h_i(x_i)``, each bond once; the target is ``ρ ∝ exp(-β H)``.
A configuration is int8 ``(walkers, *shape)`` with values ``0 … q-1``; a local move ``(i, k)`` takes
``x_i`` to ``(x_i + k) mod q``.
"""

import zlib
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any, ClassVar, NamedTuple, Self, TypeGuard

import torch
from torch import Tensor

from .. import kernels
from ..kernels import LocalEnergy, Sums
from ..kernels.checks import shown
from ..lattices.hypercubic import Lattice
from ..registry import register
from . import single_site
from .base import SweepPlan
from .inputs import as_beta, as_numbers, as_spins, as_table, check_states

__all__ = ["PairModel", "Tables", "is_pair_model"]


_FROM_ENERGY = ("local_energy", "heat_bath", "metropolis")

"""Methods that a subclass with an energy of its own must bring too, or leave to be derived."""


class Tables(NamedTuple):
    """A model's tables on one device, with the leading walkers axis that the ops expect."""

    coupling: Tensor
    bond_table: Tensor
    site_table: Tensor
    colours: Tensor
    spins: Tensor
    """Without that axis"""


def _in_short(values: Tensor) -> str:
    """Up to six numbers; of more the range, and a checksum that tells one disorder from another."""
    flat = values.flatten().tolist()
    if len(flat) <= 6:
        listed = ", ".join(f"{value:g}" for value in flat)
        return f"[{listed}]" if len(flat) > 1 else listed
    return f"<{min(flat):g} to {max(flat):g}, {zlib.crc32(values.numpy().tobytes()):08x}>"


@register("model")
class PairModel:
    """Any pair interaction of neighbouring sites, with couplings a bond and a field a site.

    ``H(x) = -Σ_<ij> J_ij φ(x_i, x_j) - Σ_i h_i(x_i)``, each bond once, ``i`` the site and ``j`` its
    neighbour in positive direction, so that ``φ`` need not be symmetric.

    Args:
        shape: lattice lengths, one to four directions.
        beta: inverse temperature, in units of 1/energy.
        bond_table: ``φ``, ``(q, q)``.
        site_table: ``h``, ``(q,)`` for all sites or ``(q, *shape)``; None for no field.
        coupling: ``J``, a number, or ``(ndim, *shape)`` with entry ``[d, i]`` the bond from site
            ``i`` in positive direction ``d`` (entries that leave an open boundary are ignored).
        periodic: one bool, or one a direction.
        spins: vector of every state, ``(q, n)``, whose lattice mean is the magnetisation; None for
            ±1 (q = 2) or the unit vectors of a simplex (q > 2).

    Attributes:
        lattice, q, beta, dtype (int8, of configurations), and in float64 ``coupling (1 | ndim,
        *shape)`` and ``site_table (q, *shape)``, whose lattice axes have size 1 where they are
        uniform, ``bond_table``, ``spins``.

    Raises:
        ValueError: what was expected, what came.

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

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        between = cls.__mro__[: cls.__mro__.index(PairModel)]
        cls.overrides = frozenset(name for kind in between for name in vars(kind))
        # The reach of the tables says nothing of another energy.
        if "energy" in cls.overrides and not cls.overrides & {"reach", *_FROM_ENERGY}:
            cls.reach = None

    def __init__(
        self,
        shape: Sequence[int] | int,
        beta: float,
        bond_table: Tensor | Sequence[Sequence[float]],
        site_table: Tensor | Sequence[float] | None = None,
        coupling: float | Tensor = 1.0,
        periodic: bool | Sequence[bool] = True,
        spins: Tensor | None = None,
    ) -> None:
        self.lattice = Lattice(shape, periodic)
        self.beta = as_beta(beta)
        try:
            q = len(bond_table)
        except TypeError:
            raise ValueError(
                f"bond_table must be a (q, q) table, got {shown(bond_table)}"
            ) from None
        if not 2 <= q <= 127:
            raise ValueError(
                f"the number of states q must be 2 to 127, got a bond_table of {q} rows"
            )
        self.q = q
        self.bond_table = as_table("bond_table", bond_table, (q, q), "states by states")
        lengths, uniform = self.lattice.shape, (1,) * self.lattice.ndim
        bonds = as_numbers(
            "coupling", coupling, (self.lattice.ndim, *lengths), "directions by lattice"
        )
        self.coupling = bonds.view(1, *uniform) if bonds.ndim == 0 else bonds
        if site_table is None:
            site_table = torch.zeros(q)
        table = as_table(
            "site_table", site_table, (q, *lengths), "states by lattice, or one a state", short=1
        )
        self.site_table = table.view(q, *uniform) if table.ndim == 1 else table
        self.spins = as_spins(spins, q)
        self._on_device: dict[torch.device, Tables] = {}

    @classmethod
    def from_tables(
        cls,
        shape: Sequence[int] | int,
        beta: float,
        bond_table: Tensor | Sequence[Sequence[float]],
        site_table: Tensor | Sequence[float] | None = None,
        coupling: float | Tensor = 1.0,
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
        model = cls.__new__(cls)
        PairModel.__init__(model, shape, beta, bond_table, site_table, coupling, periodic, spins)
        return model

    def __repr__(self) -> str:
        lattice = self.lattice
        parts = f"shape={lattice.shape}, q={self.q}, beta={self.beta}, periodic={lattice.periodic}"
        # A coupling of 1 and no field go without saying.
        if bool((self.coupling != 1.0).any()):
            parts += f", coupling={_in_short(self.coupling)}"
        if bool(self.site_table.any()):
            name, own = self._field()
            parts += f", {name}={_in_short(own)}"
        return f"{type(self).__name__}({parts})"

    def _field(self) -> tuple[str, Tensor]:
        """The argument that the site table comes from: its name and values."""
        return "site_table" if type(self) is PairModel else "field", self.site_table

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the lattice."""
        return self.lattice.shape

    def tables(self, device: torch.device) -> Tables:
        """Couplings, tables, colours and spins on ``device``, with the leading axis that the ops
        expect; made once.
        """
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

        ``"permutation"``: all (Ising, Potts; ``φ`` has one value on its diagonal and one off it);
        ``"reflection"``: ``x → r - x mod q`` for every ``r`` (clock; ``φ`` depends on ``x_i - x_j
        mod q`` alone, evenly); ``""``: none.
        """
        table, states = self.bond_table, torch.arange(self.q)
        by_difference = table[0][(states.unsqueeze(1) - states) % self.q]
        by_distance = torch.stack([table[0, 0], table[0, 1]])[
            (states.unsqueeze(1) != states).long()
        ]
        tolerance = 1e-12 * float(table.abs().max())
        for name, symmetric in (("permutation", by_distance), ("reflection", by_difference)):
            if torch.allclose(table, symmetric, rtol=0.0, atol=tolerance):
                return name
        return ""

    def check(self, configurations: Tensor) -> None:
        """Raise a ValueError unless these are int8 ``(walkers, *shape)`` with values ``0 … q-1``."""
        check_states(configurations, self.dtype, self.shape, self.q)

    def energy(self, configurations: Tensor, check: bool = True) -> Tensor:
        """``H(x)`` without β, float64 ``(walkers,)``."""
        return self.sums(configurations, check).energy

    def sums(self, configurations: Tensor, check: bool = True) -> Sums:
        """``H(x)`` without β, float64 ``(walkers,)``, and the sites in each state, int64
        ``(walkers, q)``: one pass.
        """
        if check:
            self.check(configurations)
        coupling, bond_table, site_table, *_ = self.tables(configurations.device)
        return kernels.energy(
            configurations, coupling, bond_table, site_table, self.lattice.periodic
        )

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
        return kernels.local_energy(
            configurations,
            tables.coupling,
            tables.bond_table,
            tables.site_table,
            beta,
            self.lattice.periodic,
            dtype,
        )

    def heat_bath(self, configurations: Tensor, beta: Tensor, plan: SweepPlan) -> Tensor:
        """Return configurations after heat-bath sweeps; values are not checked.

        Args:
            configurations: int8 ``(walkers, *shape)``.
            beta: inverse temperature, float64 ``(1 | walkers,)``.
            plan: the sweeps; backward, the colour classes come in reverse order.
        """
        return self._sweep(kernels.heat_bath_sweeps, configurations, beta, plan)

    def metropolis(self, configurations: Tensor, beta: Tensor, plan: SweepPlan) -> Tensor:
        """Return configurations after Metropolis sweeps; arguments as in :meth:`heat_bath`."""
        return self._sweep(kernels.metropolis_sweeps, configurations, beta, plan)

    def overrelaxation(self, configurations: Tensor, beta: Tensor, plan: SweepPlan) -> Tensor:
        """Return configurations after over-relaxation sweeps, for states on a circle.

        Arguments as in :meth:`heat_bath`; see :class:`Clock`.
        """
        return self._sweep(kernels.overrelaxation_sweeps, configurations, beta, plan)

    def _sweep(
        self,
        op: Callable[..., Tensor],
        configurations: Tensor,
        beta: Tensor,
        plan: SweepPlan,
    ) -> Tensor:
        tables = self.tables(configurations.device)
        classes = self.lattice.num_colours
        colours = tables.colours
        if plan.backward:
            colours = classes - 1 - colours
        return op(
            configurations,
            tables.coupling,
            tables.bond_table,
            tables.site_table,
            beta,
            self.lattice.periodic,
            colours,
            classes,
            plan.walker_index,
            plan.first,
            plan.count,
            plan.seed,
        )

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
