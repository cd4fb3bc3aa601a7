"""The jump process where rates are a table: an interval in a few calls of one op.

It serves transports such as :class:`~leaps_triton.LocalRates`, whose ``G`` depends on a site's
class and on the number of sites in state 1 alone. Rates and corrector, and so the law of walkers
and weights, are those of the transport's evaluation; only the random numbers are used in another
way.
"""

from functools import lru_cache
from typing import Any, NamedTuple, Protocol, cast

import torch
from torch import Tensor

from .. import kernels
from ..kernels import LocalJumpSteps, RunningClasses
from ..kernels.proposals.reference import in_rates
from ..models.energy_only import as_given
from ..models.pair import is_pair_model
from ..paths.base import Path
from .grids import Grid
from .rates import Rates, Reversible, per_time
from .rollouts.boundaries import Way
from .running.pieces import Pieces, pieces
from .states import JumpInfo, State, returned, some
from .transport import Tabulated, Transport, as_transport

__all__ = ["ClassRates", "Tabulated", "class_rates", "obstacle", "steps", "to_the_end"]


STEPS = 128
"""Events of one call. The magnetisations that they may reach are the rows of its table."""
FEW = 16
"""Events of the first call on a CPU, where rows cost more than calls."""


class ClassRates(NamedTuple):
    """Tables at one time; row 0 is that of ``first`` sites in state 1."""

    rates: Tensor
    """Out-rate of a site of each class, float64 ``(rows, classes)``"""
    corrector: Tensor
    """What such a site adds to ``κ``, float64 ``(rows, classes)``; with a running density, to
    ``κ - β' H``"""
    first: int
    running: RunningClasses | None = None
    """What a running density takes off the holds; None where the density is frozen"""


class Setting(NamedTuple):
    """Where on the path an interval is."""

    tau: float
    """The frozen time, which the network is told"""
    beta: Tensor
    """``β`` of all ``Δ``, float64 ``(1,)``, on the device of the tables"""
    piece: Pieces | None = None
    """Of the interval, one row; None where the density is frozen"""

    @classmethod
    def at(cls, path: Path, tau: float, device: torch.device) -> "Setting":
        """Return that of a frozen density at one time."""
        # Written by the device: a number that is sent to a GPU makes both wait.
        time = torch.full((1,), tau, dtype=torch.float64, device=device)
        return cls(tau, path.beta(time))

    @classmethod
    def on(cls, piece: Pieces, tau: float, device: torch.device) -> "Setting":
        """Return that of a running density in one interval, whose piece is on the CPU."""
        # The device writes these numbers too.
        columns: list[Tensor] = []
        for column in piece:
            columns.append(torch.full((1,), float(column), dtype=torch.float64, device=device))
        return cls(tau, columns[0], Pieces(*columns))


def obstacle(path: Path, transport: Transport) -> str:
    """Return why a transport cannot run on tables on the way to this model; empty if it can."""
    model: Any = path.model
    answers = as_transport(transport)
    tabulated = answers.tables
    if tabulated is None:
        return f"{answers.name} has no table of its rates"
    if answers.standing:
        return f"{answers.name} stands on a response, which no table holds"
    if not is_pair_model(model) or model.q != 2:
        name = type(as_given(model)).__name__
        return f"the model must be a PairModel of two states, got {name} with q = {model.q}"
    if not tabulated.by_class(model.lattice.shape, model.coupling, model.site_table):
        coupling = tuple(model.coupling.shape)
        field = tuple(model.site_table.shape)
        return (
            f"coupling and field must be uniform, and the lattice periodic and longer than twice "
            f"the radius of the shells, got coupling {coupling}, field {field}, {model!r}"
        )
    classes = 2 * tabulated.shells.surroundings
    # One lane for the site itself and one for each site of its shells.
    lanes = 1 + sum(tabulated.shells.sizes)
    if classes > kernels.MOST_CLASSES or lanes > kernels.MOST_LANES:
        most = kernels.MOST_CLASSES
        return f"its {classes} classes may be {most} at most; take fewer shells"
    # A class counts neighbours whatever their direction, so φ must not tell its two sites apart.
    if not torch.equal(model.bond_table, model.bond_table.T):
        return f"bond_table must be symmetric, got {model.bond_table.tolist()}"
    return ""


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def _nearest_ones(shells: Any, device: torch.device) -> Tensor:
    """Return how many nearest neighbours are in state 1, for each class of one state."""
    ones: Tensor = shells.counts()[:, 0].double()
    return ones.to(device)


class _Physics(NamedTuple):
    """What the model says of a site of each class, float64 ``(classes,)``."""

    levels: Tensor
    """The few values that ``Δ`` per unit of ``β`` takes, ``(levels,)``"""
    level: Tensor
    """Which of them a class has, int64"""
    energy: Tensor
    """``H`` of the site, with half of each of its bonds"""


def _physics(path: Path, transport: Tabulated, device: torch.device) -> _Physics:
    """Return energies of the classes, and what a flip changes them by."""
    model: Any = path.model
    tables = model.tables(device)
    bond = tables.bond_table
    field = tables.site_table.flatten()
    coupling = tables.coupling.flatten()
    neighbours = 2 * model.lattice.ndim
    # Of the 2·ndim nearest neighbours so many are in state 1.
    ones = torch.arange(neighbours + 1, dtype=torch.float64, device=device)
    zeros = neighbours - ones
    to_one = bond[1, 1] - bond[0, 1]
    to_zero = bond[1, 0] - bond[0, 0]
    bonds = coupling * (ones * to_one + zeros * to_zero)
    # Tables hold -H: the sign of bonds and field is that of Δ.
    rise = bonds + field[1] - field[0]
    # A bond is that of two sites.
    low = -coupling * (ones * bond[0, 1] + zeros * bond[0, 0]) / 2 - field[0]
    high = -coupling * (ones * bond[1, 1] + zeros * bond[1, 0]) / 2 - field[1]
    own = _nearest_ones(transport.shells, device).long()
    # First the classes of a site in state 0, then those of one in state 1, which flips back.
    level = torch.cat([own, own + neighbours + 1])
    energy = torch.cat([low, high])[level]
    return _Physics(torch.cat([rise, -rise]), level, energy)


def class_rates(
    path: Path,
    transport: Tabulated,
    tau: float,
    magnetisations: tuple[int, int],
    device: torch.device,
    reversible: Reversible | None = None,
    backward: bool = False,
    piece: Pieces | None = None,
) -> ClassRates:
    """Return rates and corrector of every class at one time.

    They are those that :func:`~leaps_triton.integrators.rates.evaluate` gives of every move.

    Args:
        path: the annealing path.
        transport: one without :func:`obstacle`.
        tau: the time.
        magnetisations: first and last number of sites in state 1, a row each.
        device: where the tables are wanted.
        reversible: rates that are added; None for none.
        backward: whether the process is the reversed one.
        piece: of the interval, one row on the CPU, where the density is running; then forward.
    """
    setting = Setting.at(path, tau, device)
    if piece is not None:
        setting = Setting.on(piece, tau, device)
    first, last = magnetisations
    answers = as_transport(cast(Transport, transport))
    # The precision of the network, so that the table holds the rates of an evaluation.
    dtype = answers.precision
    physics = _physics(path, transport, device)
    log_ratios = (setting.beta * physics.levels[physics.level]).to(dtype)
    output = _output(path, transport, setting, (first, last), dtype)
    if answers.gauge == "heat_bath":
        # Of two states the heat bath takes the other one by a logistic function of Δ.
        output = output * torch.sigmoid(log_ratios)
        inward = torch.relu(-output).double()
    else:
        # Some classes have no site: what overflows there is of no account to the walkers.
        inward = in_rates(output, log_ratios)
    out = torch.relu(output).double()
    corrector = out - inward
    # The process reversed in ρ_τ leaves by the in-rates; κ is the same both ways.
    rates = inward if backward else out
    # By detailed balance reversible rates add nothing to κ.
    if reversible is not None:
        added = reversible.wide(log_ratios.view(1, 1, -1)).view(-1)
        rates = rates + added
        inward = inward + added
    if piece is None:
        return ClassRates(rates, corrector, first)
    speed = float(piece.speed)
    running = RunningClasses(inward, physics.levels, physics.level, speed, float(piece.offset))
    # What the density gains while a walker holds is linear in time, like κ.
    return ClassRates(rates, corrector - speed * physics.energy, first, running)


def _output(
    path: Path,
    transport: Tabulated,
    setting: Setting,
    magnetisations: tuple[int, int],
    dtype: torch.dtype,
) -> Tensor:
    """Return what the network returns for every class, per unit of ``t``, ``(rows, classes)``."""
    device = setting.beta.device
    conditions = path.conditions(torch.full((1,), setting.tau, dtype=dtype, device=device))
    output = transport.table(conditions, path.model.lattice.sites, *magnetisations)
    time = torch.full((1,), setting.tau, dtype=torch.float64, device=device)
    return per_time(output, path, cast(Transport, transport), time, setting.piece)


def first_steps(state: State, passed: int) -> int:
    """Return events of an interval that few walkers exceed, going by those before it.

    Args:
        state: the walkers at its beginning.
        passed: number of intervals that they have passed.
    """
    mean = int(state.events.max()) // max(1, passed)
    return min(STEPS, FEW + 2 * mean)


def steps(
    path: Path,
    transport: Tabulated,
    tau: float,
    state: State,
    seed: int,
    reversible: Reversible | None = None,
    backward: bool = False,
    most: int | None = None,
    piece: Pieces | None = None,
) -> LocalJumpSteps:
    """Take every walker up to ``most`` events on, at time ``tau``; by default :data:`STEPS`.

    Arguments are as in :func:`class_rates`; ``state`` holds the walkers.
    """
    lattice = path.model.lattice
    x = state.configurations
    if most is None:
        most = STEPS
    rows = _reached(x, most)
    table = class_rates(path, transport, tau, rows, x.device, reversible, backward, piece)
    # A flip moves the site and its shells to other classes: this says whose, and by how much.
    neighbours, strides = transport.neighbours(lattice.shape, x.device)
    return kernels.local_jump_steps(
        x,
        state.log_weights,
        state.remaining,
        state.walkers,
        state.events,
        table.rates,
        table.corrector,
        neighbours,
        strides,
        table.first,
        seed,
        most,
        table.running,
    )


class OnTables(Protocol):
    """What of :class:`~leaps_triton.Jump` the intervals on tables ask."""

    running: bool

    @property
    def frozen(self) -> Tensor:
        """Frozen times."""

    @property
    def intervals(self) -> int:
        """Number of intervals."""

    @property
    def added(self) -> Reversible | None:
        """Reversible rates."""

    def grid(self, device: torch.device) -> Grid:
        """Return the times on a device."""

    def picks(self, device: torch.device) -> bool:
        """Return whether a step is handed only the walkers with time remaining."""

    def checked(self, state: Any, info: Any, way: Any) -> Any:
        """Return the walkers, checked."""


def to_the_end(jump: OnTables, state: Any, way: Way) -> Any:
    """Take all walkers of a block to the end of their interval, a few calls of the op.

    Args:
        jump: the integrator.
        state: the walkers; they wait for one another, so that one interval is that of all.
        way: the run.
    """
    waiting = state.remaining != 0
    # Both in one look, since each makes a GPU wait.
    interval, goes_on = torch.stack([state.interval[0], waiting.any()]).tolist()
    tau = float(jump.frozen[interval])
    most = STEPS
    if jump.picks(state.walkers.device):
        passed = jump.intervals - 1 - interval if way.backward else interval
        most = first_steps(state, passed)
    piece: Pieces | None = None
    if jump.running:
        # From the CPU, where their numbers can be read without a wait.
        every = pieces(way.path, jump.grid(torch.device("cpu")), way.answers.clock)
        piece = every.of(torch.tensor([interval]))
    while goes_on:
        state = _some_steps(jump, state, waiting, way, tau, most, piece)
        waiting = state.remaining != 0
        goes_on = bool(waiting.any())
        most = STEPS
    return state


def _some_steps(
    jump: OnTables,
    state: Any,
    waiting: Tensor,
    way: Way,
    tau: float,
    most: int,
    piece: Pieces | None,
) -> Any:
    """Take walkers with time left at most so many events on, checked; on a CPU these alone."""
    part = state
    rows: Tensor | None = None
    if jump.picks(state.walkers.device) and not bool(waiting.all()):
        rows = waiting.nonzero().squeeze(1)
        part = some(state, rows)
    tabulated = way.answers.tables
    assert tabulated is not None
    after = steps(way.path, tabulated, tau, part, way.seed, jump.added, way.backward, most, piece)
    part = part._replace(
        configurations=after.configurations,
        log_weights=after.log_weights,
        remaining=after.remaining,
        events=after.events,
    )
    part = jump.checked(part, _info_of(part, after), way)
    if rows is None:
        return part
    return returned(state, rows, part)


def _info_of(state: State, after: LocalJumpSteps) -> JumpInfo:
    """Return what steps on tables tell, as a step tells it: no rates of single moves."""
    nothing = after.exit_rate.new_zeros(len(after.exit_rate), 1, 0)
    rates = Rates(nothing, after.exit_rate, after.corrector, after.exit_rate)
    return JumpInfo(torch.full_like(state.walkers, -1), rates)


def _reached(configurations: Tensor, most: int) -> tuple[int, int]:
    """Return the first and last magnetisation that so many events may reach."""
    flat = configurations.flatten(1)
    sites = flat.shape[1]
    # A small lattice has all of its rows, which are the same whatever walkers there are.
    if sites <= STEPS:
        return 0, sites
    ones = flat.sum(1, dtype=torch.int64)
    # Both in one look, since each makes a GPU wait.
    least, greatest = torch.stack(ones.aminmax()).tolist()
    # An event changes the magnetisation by one.
    first = max(0, least - most)
    last = min(sites, greatest + most)
    # An odd number of rows: products of matrices may round those of an even number otherwise.
    if (last - first) % 2 == 1:
        if last < sites:
            last += 1
        elif first > 0:
            first -= 1
    return first, last
