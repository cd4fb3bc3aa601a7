"""Lattice models with finitely many states a site.

``H(x) = -Σ_<ij> J_ij φ(x_i, x_j) - Σ_i h_i(x_i)``, each bond once; the target is ``ρ ∝ exp(-β H)``.
A configuration is int8 ``(walkers, *shape)`` with values ``0 … q-1``; a local move ``(i, k)`` takes
``x_i`` to ``(x_i + k) mod q``.

Two protocols are open to models of a user's own. An :class:`EnergyModel` has ``lattice``, ``q``,
``beta`` and ``energy``; every sampler runs it, slowly, through :func:`complete`. A :class:`Model`
adds what samplers need to be fast.
"""

import zlib
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import NamedTuple, TypeGuard

import torch
from torch import Tensor

from .. import kernels
from ..kernels import LocalEnergy, Sums
from ..kernels.checks import shown
from ..lattices.hypercubic import Lattice
from ..registry import register
from .inputs import as_beta, as_numbers, as_spins, as_table

__all__ = ["PairModel", "Tables", "is_pair_model"]


class Tables(NamedTuple):
    """The model's tables on one device, with the leading walkers axis that the ops expect."""

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
    reach = 1
    """Distance of the sites that an energy difference reads."""

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
        """Raise a ValueError unless ``configurations`` is int8 ``(walkers, *shape)`` with values
        ``0 … q-1``.
        """
        if not isinstance(configurations, Tensor) or configurations.dtype != self.dtype:
            kind = (
                configurations.dtype
                if isinstance(configurations, Tensor)
                else type(configurations).__name__
            )
            raise ValueError(
                f"configurations must be a tensor of {self.dtype}, got {kind}; convert with .to({self.dtype})"
            )
        if (
            configurations.shape[1:] != self.lattice.shape
            or configurations.ndim != self.lattice.ndim + 1
        ):
            expected = ", ".join(("walkers", *map(str, self.lattice.shape)))
            raise ValueError(
                f"configurations must have shape ({expected}), got {tuple(configurations.shape)}"
            )
        if (
            configurations.numel()
            and not 0 <= int(configurations.min()) <= int(configurations.max()) < self.q
        ):
            low, high = int(configurations.min()), int(configurations.max())
            raise ValueError(
                f"configurations must have values 0 to {self.q - 1}, got {low} to {high}"
            )

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
        """``H(x^{(i,k)}) - H(x)`` of every local move, float64 ``(walkers, q-1, *shape)``; entry
        ``[:, k-1, i]``.
        """
        self.check(configurations)
        minus_one = torch.full((1,), -1.0, dtype=torch.float64, device=configurations.device)
        # Imported here: energies of a user's own are wrapped by a module that knows this one.
        from .energy_only import complete

        return complete(self).local_energy(configurations, minus_one, torch.float64).log_ratios

    def local_energy(
        self, configurations: Tensor, beta: Tensor, dtype: torch.dtype = torch.float32
    ) -> LocalEnergy:
        """``H(x)`` and the log-ratios of all moves at ``beta`` float64 ``(1 | walkers,)``; values
        are not checked.
        """
        coupling, bond_table, site_table, *_ = self.tables(configurations.device)
        periodic = self.lattice.periodic
        return kernels.local_energy(
            configurations, coupling, bond_table, site_table, beta, periodic, dtype
        )

    def heat_bath(
        self,
        configurations: Tensor,
        beta: Tensor,
        walkers: Tensor,
        first_sweep: int,
        sweeps: int,
        seed: int,
        backward: bool = False,
    ) -> Tensor:
        """Configurations after heat-bath sweeps at ``beta`` float64 ``(1 | walkers,)``; values are
        not checked.

        Backward, the colour classes come in reverse order.
        """
        sweep = (configurations, beta, walkers, first_sweep, sweeps, seed, backward)
        return self._sweep(kernels.heat_bath_sweeps, *sweep)

    def metropolis(
        self,
        configurations: Tensor,
        beta: Tensor,
        walkers: Tensor,
        first_sweep: int,
        sweeps: int,
        seed: int,
        backward: bool = False,
    ) -> Tensor:
        """The same with Metropolis sweeps."""
        sweep = (configurations, beta, walkers, first_sweep, sweeps, seed, backward)
        return self._sweep(kernels.metropolis_sweeps, *sweep)

    def overrelaxation(
        self,
        configurations: Tensor,
        beta: Tensor,
        walkers: Tensor,
        first_sweep: int,
        sweeps: int,
        seed: int,
        backward: bool = False,
    ) -> Tensor:
        """The same with over-relaxation sweeps, for states on a circle (:class:`Clock`)."""
        sweep = (configurations, beta, walkers, first_sweep, sweeps, seed, backward)
        return self._sweep(kernels.overrelaxation_sweeps, *sweep)

    def _sweep(
        self,
        op: Callable[..., Tensor],
        configurations: Tensor,
        beta: Tensor,
        walkers: Tensor,
        first_sweep: int,
        sweeps: int,
        seed: int,
        backward: bool,
    ) -> Tensor:
        coupling, bond_table, site_table, colours, _ = self.tables(configurations.device)
        return op(
            configurations,
            coupling,
            bond_table,
            site_table,
            beta,
            self.lattice.periodic,
            self.lattice.num_colours - 1 - colours if backward else colours,
            self.lattice.num_colours,
            walkers,
            first_sweep,
            sweeps,
            seed,
        )


def is_pair_model(model: object) -> TypeGuard[PairModel]:
    """Whether the energy of ``model`` is that of its bond and site tables."""
    # Observables see a model through a view that has the class of the model, and a type of its own.
    return isinstance(model, PairModel) and model.__class__.energy is PairModel.energy
