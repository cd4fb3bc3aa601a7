"""Lattice models with finitely many states a site.

``H(x) = -Σ_<ij> J_ij φ(x_i, x_j) - Σ_i h_i(x_i)``, each bond once; the target is ``ρ ∝ exp(-β H)``. A configuration is
int8 ``(walkers, *shape)`` with values ``0 … q-1``; a local move ``(i, k)`` takes ``x_i`` to ``(x_i + k) mod q``.

Two protocols are open to models of a user's own. An :class:`EnergyModel` has ``lattice``, ``q``, ``beta`` and
``energy``; every sampler runs it, slowly, through :func:`complete`. A :class:`Model` adds what samplers need to be
fast.
"""

import math
import zlib
from collections.abc import Callable, Sequence
from functools import cached_property
from numbers import Real
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeGuard, runtime_checkable

import torch
from torch import Tensor

from . import kernels
from .kernels import LocalEnergy, Stream, Sums
from .kernels.checks import as_integer, as_number, as_seed, expect, shown
from .lattice import Lattice

__all__ = [
    "Clock",
    "EdwardsAnderson",
    "EnergyModel",
    "Ising",
    "Model",
    "Observable",
    "PairModel",
    "Potts",
    "Tables",
    "as_seed",
    "complete",
    "is_pair_model",
]

Observable: TypeAlias = Callable[[Tensor, Any], Tensor]
"""``f(configurations, model)`` → ``(walkers,)`` or ``(walkers, k)``."""


class EnergyModel(Protocol):
    """The least a model must offer."""

    lattice: Lattice
    q: int
    beta: float

    def energy(self, configurations: Tensor) -> Tensor:
        """``H(x)`` without β, ``(walkers, *shape)`` → ``(walkers,)``."""
        ...


@runtime_checkable
class Model(Protocol):
    """What paths and samplers call. ``check=False`` skips reading the values of the configurations."""

    lattice: Lattice
    q: int
    beta: float
    dtype: torch.dtype
    spins: Tensor
    coupling: Tensor
    site_table: Tensor

    def energy(self, configurations: Tensor, check: bool = True) -> Tensor:
        """``H(x)`` without β, float64 ``(walkers,)``."""
        ...

    def local_energy(self, configurations: Tensor, beta: Tensor, dtype: torch.dtype = torch.float32) -> LocalEnergy:
        """``H(x)`` and the log-ratios of all moves at inverse temperature ``beta`` ``(1 | walkers,)``; not checked."""
        ...

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
        """Configurations after heat-bath sweeps at ``beta`` ``(1 | walkers,)``, in reverse order if ``backward``."""
        ...

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
        ...


def _as_beta(beta: object) -> float:
    return as_number("beta", beta, "a finite number", math.isfinite)


def _as_table(name: str, value: object, shape: tuple[int, ...], meaning: str, short: int | None = None) -> Tensor:
    """``value`` as a finite float64 tensor of ``shape``, or of its first ``short`` axes alone."""
    try:
        if torch.as_tensor(value).is_complex():
            raise TypeError
        table = torch.as_tensor(value, dtype=torch.float64).detach().cpu().clone()
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise ValueError(f"{name} must be numbers of shape {shape} ({meaning}), got {shown(value)}") from None
    if table.ndim == short:
        shape = shape[:short]
    if table.shape != shape:
        raise ValueError(f"{name} must have shape {shape} ({meaning}), got {tuple(table.shape)}")
    if not table.isfinite().all():
        raise ValueError(
            f"{name} must be finite, got NaN or infinity at index {(~table.isfinite()).nonzero()[0].tolist()}"
        )
    return table


def _is_number(value: object) -> bool:
    return isinstance(value, Real) or (isinstance(value, Tensor) and value.ndim == 0)


def _as_numbers(name: str, value: object, shape: tuple[int, ...], meaning: str) -> Tensor:
    """One finite number as ``()``, or a table of ``shape``, in float64."""
    if _is_number(value):
        return torch.tensor(
            as_number(name, value, f"finite: a number, or {meaning}", math.isfinite), dtype=torch.float64
        )
    return _as_table(name, value, shape, f"{meaning}, or one number")


def _potts_spins(q: int) -> Tensor:
    if q == 2:
        return torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    return (torch.eye(q, dtype=torch.float64) - 1 / q) * math.sqrt(q / (q - 1))


def _as_spins(spins: object, q: int) -> Tensor:
    if spins is None:
        return _potts_spins(q)
    try:
        rows, *columns = torch.as_tensor(spins).shape
    except (TypeError, ValueError, RuntimeError):
        rows, columns = 0, []
    if rows != q or len(columns) != 1:
        raise ValueError(f"spins must have shape ({q}, n), one vector a state, got {shown(spins)}")
    return _as_table("spins", spins, (q, *columns), "one vector a state")


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


class PairModel:
    """Any pair interaction of neighbouring sites, with couplings a bond and a field a site.

    ``H(x) = -Σ_<ij> J_ij φ(x_i, x_j) - Σ_i h_i(x_i)``, each bond once, ``i`` the site and ``j`` its neighbour in
    positive direction, so that ``φ`` need not be symmetric.

    Arguments
        shape: lattice lengths, one to four directions.
        beta: inverse temperature, in units of 1/energy.
        bond_table: ``φ``, ``(q, q)``.
        site_table: ``h``, ``(q,)`` for all sites or ``(q, *shape)``; None for no field.
        coupling: ``J``, a number, or ``(ndim, *shape)`` with entry ``[d, i]`` the bond from site ``i`` in positive
            direction ``d`` (entries that leave an open boundary are ignored).
        periodic: one bool, or one a direction.
        spins: vector of every state, ``(q, n)``, whose lattice mean is the magnetisation; None for ±1 (q = 2) or the
            unit vectors of a simplex (q > 2).

    Attributes
        lattice, q, beta, dtype (int8, of configurations), and in float64 ``coupling (1 | ndim, *shape)`` and
        ``site_table (q, *shape)``, whose lattice axes have size 1 where they are uniform, ``bond_table``, ``spins``.

    Raises
        ValueError: what was expected, what came.

    Example
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
        self.beta = _as_beta(beta)
        try:
            q = len(bond_table)
        except TypeError:
            raise ValueError(f"bond_table must be a (q, q) table, got {shown(bond_table)}") from None
        if not 2 <= q <= 127:
            raise ValueError(f"the number of states q must be 2 to 127, got a bond_table of {q} rows")
        self.q = q
        self.bond_table = _as_table("bond_table", bond_table, (q, q), "states by states")
        lengths, uniform = self.lattice.shape, (1,) * self.lattice.ndim
        bonds = _as_numbers("coupling", coupling, (self.lattice.ndim, *lengths), "directions by lattice")
        self.coupling = bonds.view(1, *uniform) if bonds.ndim == 0 else bonds
        if site_table is None:
            site_table = torch.zeros(q)
        table = _as_table("site_table", site_table, (q, *lengths), "states by lattice, or one a state", short=1)
        self.site_table = table.view(q, *uniform) if table.ndim == 1 else table
        self.spins = _as_spins(spins, q)
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
        """Couplings, tables, colours and spins on ``device``, with the leading axis that the ops expect; made once."""
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

        ``"permutation"``: all (Ising, Potts; ``φ`` has one value on its diagonal and one off it); ``"reflection"``:
        ``x → r - x mod q`` for every ``r`` (clock; ``φ`` depends on ``x_i - x_j mod q`` alone, evenly); ``""``: none.
        """
        table, states = self.bond_table, torch.arange(self.q)
        by_difference = table[0][(states.unsqueeze(1) - states) % self.q]
        by_distance = torch.stack([table[0, 0], table[0, 1]])[(states.unsqueeze(1) != states).long()]
        tolerance = 1e-12 * float(table.abs().max())
        for name, symmetric in (("permutation", by_distance), ("reflection", by_difference)):
            if torch.allclose(table, symmetric, rtol=0.0, atol=tolerance):
                return name
        return ""

    def check(self, configurations: Tensor) -> None:
        """Raise a ValueError unless ``configurations`` is int8 ``(walkers, *shape)`` with values ``0 … q-1``."""
        if not isinstance(configurations, Tensor) or configurations.dtype != self.dtype:
            kind = configurations.dtype if isinstance(configurations, Tensor) else type(configurations).__name__
            raise ValueError(
                f"configurations must be a tensor of {self.dtype}, got {kind}; convert with .to({self.dtype})"
            )
        if configurations.shape[1:] != self.lattice.shape or configurations.ndim != self.lattice.ndim + 1:
            expected = ", ".join(("walkers", *map(str, self.lattice.shape)))
            raise ValueError(f"configurations must have shape ({expected}), got {tuple(configurations.shape)}")
        if configurations.numel() and not 0 <= int(configurations.min()) <= int(configurations.max()) < self.q:
            low, high = int(configurations.min()), int(configurations.max())
            raise ValueError(f"configurations must have values 0 to {self.q - 1}, got {low} to {high}")

    def energy(self, configurations: Tensor, check: bool = True) -> Tensor:
        """``H(x)`` without β, float64 ``(walkers,)``."""
        return self.sums(configurations, check).energy

    def sums(self, configurations: Tensor, check: bool = True) -> Sums:
        """``H(x)`` without β, float64 ``(walkers,)``, and the sites in each state, int64 ``(walkers, q)``: one pass."""
        if check:
            self.check(configurations)
        coupling, bond_table, site_table, *_ = self.tables(configurations.device)
        return kernels.energy(configurations, coupling, bond_table, site_table, self.lattice.periodic)

    def energy_change(self, configurations: Tensor) -> Tensor:
        """``H(x^{(i,k)}) - H(x)`` of every local move, float64 ``(walkers, q-1, *shape)``; entry ``[:, k-1, i]``."""
        self.check(configurations)
        minus_one = torch.full((1,), -1.0, dtype=torch.float64, device=configurations.device)
        return complete(self).local_energy(configurations, minus_one, torch.float64).log_ratios

    def local_energy(self, configurations: Tensor, beta: Tensor, dtype: torch.dtype = torch.float32) -> LocalEnergy:
        """``H(x)`` and the log-ratios of all moves at ``beta`` float64 ``(1 | walkers,)``; values are not checked."""
        coupling, bond_table, site_table, *_ = self.tables(configurations.device)
        periodic = self.lattice.periodic
        return kernels.local_energy(configurations, coupling, bond_table, site_table, beta, periodic, dtype)

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
        """Configurations after heat-bath sweeps at ``beta`` float64 ``(1 | walkers,)``; values are not checked.

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


class Ising(PairModel):
    """Ising model ``H = -Σ_<ij> J_ij s_i s_j - Σ_i h_i s_i`` with ``s = 2x - 1``.

    Arguments
        shape, beta, periodic: as :class:`PairModel`.
        coupling: ``J``, a number or ``(ndim, *shape)``.
        field: ``h``, a number or ``(*shape)``.

    Example
        >>> Ising((4, 4), beta=0.4407).energy(torch.ones(1, 4, 4, dtype=torch.int8)).item()
        -32.0
    """

    def __init__(
        self,
        shape: Sequence[int] | int,
        beta: float,
        coupling: float | Tensor = 1.0,
        field: float | Tensor = 0.0,
        periodic: bool | Sequence[bool] = True,
    ) -> None:
        lengths = Lattice(shape, periodic).shape
        h = _as_numbers("field", field, lengths, "one value a site")
        super().__init__(shape, beta, [[1.0, -1.0], [-1.0, 1.0]], torch.stack([-h, h]), coupling, periodic)

    def _field(self) -> tuple[str, Tensor]:
        return "field", self.site_table[1]


class EdwardsAnderson(Ising):
    """Edwards–Anderson spin glass: Ising with independent random couplings.

    Arguments
        shape, beta, field, periodic: as :class:`Ising`.
        disorder: ``"pm1"`` (±1 with equal probability) or ``"gaussian"`` (mean 0, variance 1).
        seed: of the disorder, in [0, 2³²).
        coupling: ``(ndim, *shape)``; given, it is used and nothing is drawn.

    Example
        >>> EdwardsAnderson((3, 3), beta=1.0, seed=1).coupling.abs().unique()
        tensor([1.], dtype=torch.float64)
    """

    def __init__(
        self,
        shape: Sequence[int] | int,
        beta: float,
        disorder: str = "pm1",
        seed: int = 0,
        coupling: Tensor | None = None,
        field: float | Tensor = 0.0,
        periodic: bool | Sequence[bool] = True,
    ) -> None:
        if coupling is None:
            coupling = _disorder(Lattice(shape, periodic), disorder, as_seed(seed))
        super().__init__(shape, beta, coupling, field, periodic)


def _disorder(lattice: Lattice, disorder: str, seed: int) -> Tensor:
    site, bond = torch.arange(lattice.sites), torch.arange(lattice.ndim).unsqueeze(1)
    words = kernels.philox(seed, Stream.DISORDER, site, 0, bond, 0)
    if disorder == "pm1":
        values = 1.0 - 2.0 * (words[0] >> 31).double()
    elif disorder == "gaussian":
        radius = torch.sqrt(-2.0 * torch.log(kernels.uniform64(words[0], words[1])))
        values = radius * torch.cos(2.0 * math.pi * kernels.uniform64(words[2], words[3]))
    else:
        raise ValueError(f"disorder must be 'pm1' or 'gaussian', got {disorder!r}; or give coupling= a tensor")
    return values.view(lattice.ndim, *lattice.shape)


def _as_states(q: object) -> int:
    return as_integer("the number of states q", q, 2, 127)


class Potts(PairModel):
    """Potts model ``H = -Σ_<ij> J_ij δ(x_i, x_j) - Σ_i h_i(x_i)``.

    Arguments
        shape, beta, coupling, periodic: as :class:`PairModel`.
        q: number of states, 2 to 127.
        field: ``h``, None, ``(q,)`` or ``(q, *shape)``.

    Example
        >>> Potts((4, 4), q=3, beta=1.005).energy(torch.ones(1, 4, 4, dtype=torch.int8)).item()
        -32.0
    """

    def __init__(
        self,
        shape: Sequence[int] | int,
        q: int,
        beta: float,
        coupling: float | Tensor = 1.0,
        field: Tensor | Sequence[float] | None = None,
        periodic: bool | Sequence[bool] = True,
    ) -> None:
        super().__init__(shape, beta, torch.eye(_as_states(q)), field, coupling, periodic)


class Clock(PairModel):
    """Clock model ``H = -Σ_<ij> J_ij cos(2π (x_i - x_j) / q) - Σ_i h_i(x_i)``; its spins are unit vectors in the plane.

    Arguments
        as :class:`Potts`.

    Example
        >>> Clock((4, 4), q=6, beta=1.0).spins.shape
        torch.Size([6, 2])
    """

    def __init__(
        self,
        shape: Sequence[int] | int,
        q: int,
        beta: float,
        coupling: float | Tensor = 1.0,
        field: Tensor | Sequence[float] | None = None,
        periodic: bool | Sequence[bool] = True,
    ) -> None:
        angle = 2.0 * math.pi * torch.arange(_as_states(q), dtype=torch.float64) / q
        table = torch.cos(angle.unsqueeze(1) - angle)
        spins = torch.stack([torch.cos(angle), torch.sin(angle)], dim=1)
        super().__init__(shape, beta, table, field, coupling, periodic, spins)


class _Completed:
    """A :class:`Model` out of an :class:`EnergyModel`: every energy difference is two energies."""

    dtype = torch.int8

    def __init__(self, model: EnergyModel) -> None:
        missing = [name for name in ("lattice", "q", "beta", "energy") if not hasattr(model, name)]
        if missing:
            raise ValueError(
                f"a model needs lattice, q, beta and energy(configurations); missing: {', '.join(missing)}"
            )
        expect(isinstance(model.lattice, Lattice), "lattice of a model", "a Lattice", model.lattice)
        expect(callable(model.energy), "energy of a model", "a function of configurations", model.energy)
        self.model, self.lattice, self.q, self.beta = model, model.lattice, _as_states(model.q), _as_beta(model.beta)
        uniform = (1,) * self.lattice.ndim
        self.coupling = torch.ones(1, *uniform, dtype=torch.float64)
        self.site_table = torch.zeros(self.q, *uniform, dtype=torch.float64)
        self.spins = _as_spins(getattr(model, "spins", None), self.q)
        # That of the tables says nothing of another energy.
        own = not isinstance(model, PairModel) or "reach" in vars(type(model))
        self.reach = getattr(model, "reach", None) if own else None

    def __getattr__(self, name: str) -> Any:
        # An observable of the user's own may read what only the user's model has. Copies are asked for before they
        # have a model, and are not the user's business.
        if name.startswith("__") or "model" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__} has no attribute {name}")
        return getattr(self.__dict__["model"], name)

    def __repr__(self) -> str:
        return repr(self.model)

    def energy(self, configurations: Tensor, check: bool = True) -> Tensor:
        energy = self.model.energy(configurations)
        if not isinstance(energy, Tensor) or energy.shape != (len(configurations),):
            raise ValueError(
                f"energy(configurations) of {type(self.model).__name__} must have shape ({len(configurations)},), "
                f"got {tuple(energy.shape) if isinstance(energy, Tensor) else shown(energy)}"
            )
        return energy.to(torch.float64)

    def local_energy(self, configurations: Tensor, beta: Tensor, dtype: torch.dtype = torch.float32) -> LocalEnergy:
        energy = self.energy(configurations)
        flat = configurations.flatten(1)
        differences = torch.empty(len(flat), self.q - 1, self.lattice.sites, dtype=torch.float64, device=flat.device)
        for site in range(self.lattice.sites):
            for shift in range(1, self.q):
                moved = flat.clone()
                moved[:, site] = ((moved[:, site].long() + shift) % self.q).to(moved.dtype)
                differences[:, shift - 1, site] = energy - self.energy(moved.view_as(configurations))
        log_ratios = (beta.view(-1, 1, 1) * differences).to(dtype)
        return LocalEnergy(energy, log_ratios.view(len(flat), self.q - 1, *self.lattice.shape))

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
        flat = configurations.flatten(1).clone()
        for sweep in range(first_sweep, first_sweep + sweeps):
            words = kernels.reference.site_words(seed, Stream.SWEEP, sweep, walkers, self.lattice.sites)
            uniform = kernels.uniform32(words)
            sites = range(self.lattice.sites)
            for site in reversed(sites) if backward else sites:
                energies = []
                for state in range(self.q):
                    flat[:, site] = state
                    energies.append(self.energy(flat.view_as(configurations)))
                fields = -torch.stack(energies, dim=1)
                thresholds = kernels.reference.heat_bath_probabilities(fields, beta).cumsum(1)[:, :-1]
                flat[:, site] = (thresholds <= uniform[:, site : site + 1]).sum(1, dtype=flat.dtype)
        return flat.view_as(configurations)

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
        flat, sites = configurations.flatten(1).clone(), range(self.lattice.sites)
        for sweep in range(first_sweep, first_sweep + sweeps):
            words = (
                kernels.reference.site_words(seed, Stream.SWEEP, sweep, walkers, len(sites), draw) for draw in (0, 1)
            )
            shift, uniform = next(words) * (self.q - 1) >> 32, kernels.uniform32(next(words))
            for site in reversed(sites) if backward else sites:
                moved = flat.clone()
                moved[:, site] = ((flat[:, site].long() + 1 + shift[:, site]) % self.q).to(flat.dtype)
                change = self.energy(flat.view_as(configurations)) - self.energy(moved.view_as(configurations))
                accepted = uniform[:, site] < kernels.reference.metropolis_acceptance(beta * change)
                flat = torch.where(accepted.unsqueeze(1), moved, flat)
        return flat.view_as(configurations)


def complete(model: EnergyModel) -> Model:
    """``model`` itself if it is a :class:`Model`, else a wrapper that derives the rest from ``energy``, slowly.

    A subclass of :class:`PairModel` with an energy of its own is another model, whatever its tables say: it is wrapped,
    unless it brings the rest too.

    Raises
        ValueError: no model; a subclass that brings a part of the rest.
    """
    if not isinstance(model, PairModel) or is_pair_model(model):
        return model if isinstance(model, Model) else _Completed(model)
    rest = ("local_energy", "heat_bath", "metropolis")
    inherited = [name for name in rest if getattr(type(model), name) is getattr(PairModel, name)]
    if 0 < len(inherited) < len(rest):
        raise ValueError(
            f"{type(model).__name__} has its own energy, and {', '.join(inherited)} of PairModel, which are those "
            f"of another energy; define all of {', '.join(rest)}, or none"
        )
    return _Completed(model) if inherited else model


def is_pair_model(model: object) -> TypeGuard[PairModel]:
    """Whether the energy of ``model`` is that of its bond and site tables."""
    return isinstance(model, PairModel) and type(model).energy is PairModel.energy
