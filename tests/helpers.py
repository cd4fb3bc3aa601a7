"""What several test files share: enumerable models, untrained networks, and exact operators.

The operators are made from parts of the library.
"""

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from leaps_triton import exact, kernels, rates
from leaps_triton.kernels import reference
from leaps_triton.mcmc import SweepInfo, SweepState
from leaps_triton.networks import NETWORKS


def small_models() -> dict[str, Any]:
    """Enumerable models of the exactness tests: asymmetric, so that sign errors cannot hide."""
    return {
        "ising 2x2 field": lt.Ising((2, 2), beta=0.4, field=0.3),
        "ising 2x3 field": lt.Ising(
            (2, 3), beta=0.5, field=torch.linspace(-0.5, 0.7, 6).view(2, 3)
        ),
        "ising 3x3 field": lt.Ising((3, 3), beta=0.45, field=0.2),
        "potts 2x3 q=3": lt.Potts((2, 3), q=3, beta=0.8, field=[0.3, 0.0, -0.2]),
        "pm1 3x3": lt.EdwardsAnderson((3, 3), beta=0.7, disorder="pm1", seed=3),
    }


def random_network(
    model: Any, seed: int = 1, scale: float = 3.0, gauge: str = "heat_bath"
) -> lt.HollowConv:
    """An untrained network in float64, with rates of order one."""
    network = lt.HollowConv(
        model, kernel_size=3, channels=4, width=8, modes=1, seed=seed, gauge=gauge
    ).double()
    with torch.no_grad():
        network.readout.weight.mul_(10.0 * scale)
    return network


def random_local_rates(
    model: Any, seed: int = 1, scale: float = 1.0, gauge: str = "heat_bath"
) -> lt.LocalRates:
    """Return an untrained LocalRates in float64 with rates of order one.

    Its parameters are all far from zero.
    """
    network = lt.LocalRates(model, width=16, seed=seed, gauge=gauge).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(
                0.1 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            )
        network.head.weight.mul_(3.0 * scale)
    return network


def local_network(
    model: Any,
    seed: int = 1,
    scale: float = 3.0,
    kernel_size: int = 3,
    gauge: str = "heat_bath",
) -> lt.HollowConv:
    """An untrained network in float64 that reads its neighbours only, with rates of order one."""
    network = lt.HollowConv(
        model,
        kernel_size=kernel_size,
        channels=4,
        width=8,
        seed=seed,
        global_features=False,
        gauge=gauge,
    ).double()
    with torch.no_grad():
        network.readout.weight.mul_(10.0 * scale)
    return network


SMALL: dict[str, dict[str, Any]] = {
    "HollowConv": {"kernel_size": 3, "channels": 4, "width": 8, "modes": 1},
    "LEM": {"channels": 4, "width": 8},
    "LEA": {"channels": 4, "heads": 2, "width": 8},
    "LEC": {"kernel_sizes": (3, 3), "channels": 4, "width": 8},
    "LETransformer": {"channels": 4, "heads": 2, "layers": 2, "width": 8},
    "LocalRates": {"width": 8},
    "SymmetricConv": {"kernel_size": 3, "widths": (8, 4)},
}
"""Arguments of a small network of each class."""


# Its rates are per unit of β, of which there is little on the way to a test's model.
SPREAD = {"SymmetricConv": 0.6}
"""How far the parameters of a network are moved, where it is not 0.3."""


def awake(kind: str, model: Any, **options: Any) -> Any:
    """A network of a class of the library whose parameters are all far from zero."""
    network = NETWORKS[kind](model, **SMALL[kind] | {"seed": 3} | options)
    generator = torch.Generator().manual_seed(5)
    spread = SPREAD.get(kind, 0.3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(spread * torch.randn(parameter.shape, generator=generator))
    return network


def all_rates(found: Any) -> tuple[Tensor, Tensor]:
    """Return the rates of all moves out, and those of the reversed process, by their formulas."""
    if found.gauge == "plain":
        return torch.relu(found.output), torch.relu(-found.output) * found.log_ratios.exp()
    stays = torch.zeros_like(found.log_ratios[:, :1])
    chance = torch.softmax(torch.cat([stays, found.log_ratios], 1), 1)[:, 1:]
    return torch.relu(found.output) * chance, torch.relu(-found.output) * chance


def states(model: Any) -> Tensor:
    """All configurations of a model, ``(q**N, *shape)``."""
    return exact.enumerate_configurations(model.lattice.shape, model.q)


def index_of(configurations: Tensor, q: int) -> Tensor:
    """Row of each configuration in :func:`states`."""
    flat = configurations.flatten(1).long()
    return (flat * q ** torch.arange(flat.shape[1] - 1, -1, -1)).sum(1)


def class_pulls(ensemble: lt.WeightedEnsemble, path: Any, group: int = 1) -> Tensor:
    """``E[e^A f] Z_0/Z_1`` less ``E_ρ[f]``, in sigma over groups of walkers.

    ``f`` is 1 and the indicators of eight classes of states.
    """
    target = exact.enumerate_model(path.model)
    weights = (ensemble.log_weights + path.start.log_z - target.log_z).exp().unsqueeze(1)
    # Classes of equally many states, from the least to the most likely.
    rank = target.log_probabilities.argsort().argsort()
    functions = torch.nn.functional.one_hot(8 * rank // len(rank), 8).double()
    functions = torch.cat([torch.ones(len(rank), 1), functions], dim=1)
    found = functions[index_of(ensemble.configurations, path.model.q)]
    terms = (weights * found).view(-1, group, 9).mean(1)
    means = target.log_probabilities.exp() @ functions
    return (terms.mean(0) - means) / (terms.std(0) / math.sqrt(len(terms)))


def move_targets(model: Any) -> Tensor:
    """Return the row of ``x^{(i,k)}`` for every state and move, ``(q**N, (q-1) N)``.

    Moves are in the order of the ops.
    """
    x = states(model).flatten(1)
    columns = []
    for shift in range(1, model.q):
        for site in range(x.shape[1]):
            y = x.clone()
            y[:, site] = (y[:, site] + shift) % model.q
            columns.append(index_of(y, model.q))
    return torch.stack(columns, dim=1)


@torch.no_grad()
def generator(
    path: Any,
    transport: Any,
    tau: float,
    corrector: float = 1.0,
    reversible: str | None = None,
    scale: float = 1.0,
    backward: bool = False,
) -> Tensor:
    """Return ``L + c diag κ`` of the frozen process, ``(q**N, q**N)``, row = from.

    The rates are the library's own.
    """
    x = states(path.model)
    t = torch.full((1,), tau, dtype=torch.float64)
    out = rates.evaluate(path, transport, x, t, reversible, scale, backward=backward)
    matrix = torch.zeros(len(x), len(x), dtype=torch.float64)
    matrix.scatter_add_(1, move_targets(path.model), out.rates.double().flatten(1))
    return matrix + torch.diag(-out.exit_rate + corrector * out.corrector)


def heat_bath_matrix(path: Any, tau: float, backward: bool = False) -> Tensor:
    """Transition matrix of one sweep from the op's own site probabilities, colour after colour."""
    model: Any = path.model
    x, n = states(model), model.q**model.lattice.sites
    tables = (model.coupling.unsqueeze(0), model.bond_table, model.site_table.unsqueeze(0))
    fields = reference.local_fields(
        x, reference.Tables(*tables, model.lattice.periodic), torch.float64
    )
    probabilities = reference.heat_bath_probabilities(fields, path.beta(tau)).flatten(2)
    colours = model.lattice.colours().flatten()
    sweep = torch.eye(n, dtype=torch.float64)
    flat = x.flatten(1)
    classes = range(model.lattice.num_colours)
    for colour in reversed(classes) if backward else classes:
        for site in (colours == colour).nonzero().squeeze(1).tolist():
            update = torch.zeros(n, n, dtype=torch.float64)
            for state in range(model.q):
                y = flat.clone()
                y[:, site] = state
                update[torch.arange(n), index_of(y, model.q)] += probabilities[:, state, site]
            sweep = sweep @ update
    return sweep


def metropolis_matrix(
    path: Any, tau: float, backward: bool = False, rest: float = lt.Metropolis.rest
) -> Tensor:
    """Transition matrix of one sweep from the op's own acceptance, colour after colour."""
    model: Any = path.model
    n, sites = model.q**model.lattice.sites, model.lattice.sites
    log_ratios = model.local_energy(
        states(model), path.beta(tau), torch.float64
    ).log_ratios.flatten(1)
    accepted, targets = (
        (1.0 - rest) * reference.metropolis_acceptance(log_ratios) / (model.q - 1),
        move_targets(model),
    )
    colours = model.lattice.colours().flatten()
    sweep, classes = torch.eye(n, dtype=torch.float64), range(model.lattice.num_colours)
    for colour in reversed(classes) if backward else classes:
        for site in (colours == colour).nonzero().squeeze(1).tolist():
            update = torch.zeros(n, n, dtype=torch.float64)
            update.scatter_(1, targets[:, site::sites], accepted[:, site::sites])
            sweep = sweep @ (update + torch.diag(1.0 - update.sum(1)))
    return sweep


def sigma_threshold(tests: int, false_alarm: float = 1e-4) -> float:
    """Return the two-sided normal threshold of ``tests`` independent tests.

    At it they raise a false alarm with this probability.
    """
    tail = torch.tensor(false_alarm / tests / 2, dtype=torch.float64)
    return float(-math.sqrt(2.0) * torch.erfinv(2.0 * tail - 1.0))


def draw(law: Tensor, n: int, seed: int) -> Tensor:
    """``n`` independent rows of a distribution over states."""
    words = kernels.philox(seed, kernels.Stream.TRAIN, 0, 0, 9, torch.arange(n))
    return torch.searchsorted(
        law.cumsum(0)[:-1].contiguous(), kernels.uniform64(words[0], words[1])
    )


def pulls(rows: Tensor, law: Tensor) -> Tensor:
    """Return deviations in sigma of how often each state was drawn.

    States that few draws should reach are taken together.
    """
    n = len(rows)
    assert float(law.sum()) == pytest.approx(1.0, abs=1e-9) and bool((law[rows] > 0).all())
    often = n * law >= 20
    groups = torch.cat([torch.diag(often.double())[often], (~often).double().unsqueeze(0)])
    law, counts = groups @ law, groups @ torch.bincount(rows, minlength=len(law)).double()
    assert len(law) > 4
    return (counts - n * law) / (n * law * (1 - law)).sqrt().clamp(min=1e-6)


def false_alarm(x: Tensor, model: Any) -> float:
    """Return the probability of a χ² at least as large, if the samples were exact.

    Rare states are taken together.
    """
    law = exact.enumerate_model(model).log_probabilities.exp()
    counts = torch.bincount(index_of(x, model.q), minlength=len(law)).double()
    often = len(x) * law >= 10
    assert often.sum() > 10
    expected = torch.cat([len(x) * law[often], len(x) * law[~often].sum(0, keepdim=True)])
    found = torch.cat([counts[often], counts[~often].sum(0, keepdim=True)])
    filled = expected > 0
    chi_squared = ((found - expected)[filled] ** 2 / expected[filled]).sum()
    freedom = torch.tensor(float(filled.sum()) - 1, dtype=torch.float64)
    return float(torch.special.gammaincc(freedom / 2, chi_squared / 2))


def rho(model: Any, t: float = 1.0) -> Tensor:
    """``ρ_t`` of every state on the default path."""
    return exact.enumerate_model(model, beta=t * model.beta).log_probabilities.exp()


def compose(operators: Sequence[Tensor], start: Tensor) -> Tensor:
    """A measure carried through operators; vectors multiply state by state."""
    measure = start
    for operator in operators:
        measure = measure * operator if operator.ndim == 1 else measure @ operator
    return measure


def same_training(one: lt.Trainer, two: lt.Trainer) -> bool:
    """Return whether two trainings are at the same point, to the last bit."""
    pairs = zip(one.network.state_dict().values(), two.network.state_dict().values(), strict=True)
    equal = one.history == two.history and one.step == two.step
    equal = equal and torch.equal(one.buffer.configurations, two.buffer.configurations)
    return equal and all(torch.equal(left, right) for left, right in pairs)


class JumpAsOnGPU(lt.Jump):
    """Runs on a CPU as on a GPU: all walkers make each step, and few looks are made."""

    def picks(self, device: torch.device) -> bool:
        return False

    def looks(self, device: torch.device) -> int:
        return self.patience


class RecordedHeatBath(lt.HeatBath):
    """Writes down the time of every sweep."""

    log: list[tuple[str, Any]]

    def step(self, state: SweepState, path: Any, t: Any, seed: int) -> tuple[SweepState, SweepInfo]:
        self.log.append(("sweep", float(t)))
        return super().step(state, path, t, seed)


class Broken(torch.nn.Module):
    """An output of ``value`` at one site of the walkers whose first spin is up."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, configurations: Tensor, conditions: lt.Conditions) -> Tensor:
        output = torch.ones(len(configurations), 1, 2, 3)
        output[configurations[:, 0, 0] == 1, 0, 1, 2] = self.value
        return output


class EnergyOnly:
    """A model with three-site interactions that knows its energy and no more.

    No pair model has such an energy.
    """

    def __init__(self, shape: tuple[int, ...], q: int, beta: float) -> None:
        self.lattice, self.q, self.beta = lt.Lattice(shape), q, beta

    def energy(self, configurations: Tensor) -> Tensor:
        x = configurations.double()
        triple = x * x.roll(1, -1) * x.roll(1, -2)
        return (0.4 * triple - 0.5 * (x - x.roll(1, -1)) ** 2 - 0.3 * x).flatten(1).sum(1)


class OwnEnergy(lt.Ising):
    """The same energy in a subclass, whose tables are those of another model."""

    energy: Any = EnergyOnly.energy


ENERGY_ONLY: dict[str, Any] = {
    "2x3": EnergyOnly((2, 3), 2, 0.8),
    "2x2 q=3": EnergyOnly((2, 2), 3, 0.5),
    "2x3 of a pair model": OwnEnergy((2, 3), 0.8),
}
