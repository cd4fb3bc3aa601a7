"""Domain jumps.

The cut of the lattice, exactness by operators, clocks by hand, whole runs, refusals.

Statistical tests have fixed seeds and raise a false alarm with probability 1e-4 each.
"""

import math
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import leaps_triton as lt
from helpers import (
    all_rates,
    compose,
    heat_bath_matrix,
    index_of,
    local_network,
    move_targets,
    sigma_threshold,
    states,
)
from leaps_triton import exact, kernels, rates
from leaps_triton.integrators import domains
from leaps_triton.integrators.domains import Domains
from leaps_triton.integrators.jump import JumpInfo, JumpState
from leaps_triton.kernels import Stream
from leaps_triton.lattices.hypercubic import Lattice

FLOAT64 = torch.float64
CPU = torch.device("cpu")
FIELD = torch.linspace(-0.5, 0.7, 8)

CASES: dict[str, tuple[Any, int | tuple[int, ...]]] = {
    "ising 8, sites": (lt.Ising((8,), beta=0.5, field=FIELD), 1),
    "ising 8, pairs": (lt.Ising((8,), beta=0.5, field=FIELD), 2),
    "ising 2x4": (lt.Ising((2, 4), beta=0.4, field=FIELD.view(2, 4)), (2, 1)),
    "ising 6 open": (lt.Ising((6,), beta=0.7, field=FIELD[:6], periodic=False), 1),
    "potts 4 q=3": (lt.Potts((4,), q=3, beta=0.9, field=[0.3, 0.0, -0.2]), 1),
    "potts 6 q=3": (lt.Potts((6,), q=3, beta=0.8, field=[0.3, 0.0, -0.2]), 1),
}
"""Model and domain: in each, a class has two or more domains."""


class Claims(nn.Module):
    """A network that says of itself that it reads its neighbours."""

    reach = 1

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, configurations: Tensor, conditions: lt.Conditions) -> Tensor:
        made: Tensor = self.network(configurations, conditions)
        return made


def cut(path: lt.AnnealingPath, jump: lt.Jump, transport: Any) -> Domains:
    made = jump.domains(path, transport, CPU)
    assert made is not None
    return made


@given(st.data())
def test_domains_of_a_class_are_out_of_reach(data: st.DataObject) -> None:
    """Every site is in one domain, every domain in one class.

    Sites of two domains of a class are more than reach apart.
    """
    edges = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    shape = [e * data.draw(st.integers(2, 5)) for e in edges]
    periodic = [data.draw(st.booleans()) for _ in shape]
    reach = data.draw(st.integers(1, 4))
    found = domains.divide(Lattice(shape, periodic), tuple(edges), reach, CPU)
    sites = math.prod(shape)
    assert found.sites.shape == (sites // math.prod(edges), math.prod(edges))
    assert found.sites.flatten().sort().values.equal(torch.arange(sites))
    assert found.classes.flatten().sort().values.equal(torch.arange(len(found.sites)))
    position = torch.stack(
        torch.meshgrid(*[torch.arange(n) for n in shape], indexing="ij")
    ).flatten(1)
    distance = (position.unsqueeze(2) - position.unsqueeze(1)).abs()
    lengths = torch.tensor(shape).view(-1, 1, 1)
    around = torch.tensor(periodic).view(-1, 1, 1)
    distance = (
        torch.where(around, torch.minimum(distance, lengths - distance), distance).max(0).values
    )
    for block in found.sites.unbind():
        corner = position[:, block]
        assert (corner.max(1).values - corner.min(1).values).tolist() == [e - 1 for e in edges]
    for members in found.classes:
        for a in members:
            for b in members[members != a]:
                assert int(distance[found.sites[a]][:, found.sites[b]].min()) > reach


def test_classes_are_few() -> None:
    def classes(
        shape: tuple[int, ...], edge: int, reach: int, periodic: bool = True
    ) -> tuple[int, ...]:
        return tuple(domains.divide(Lattice(shape, periodic), edge, reach, CPU).classes.shape)

    assert classes((16, 16), 1, 1) == (4, 64)
    assert classes((16, 16), 4, 4) == (4, 4)
    assert classes((32, 32), 4, 5) == (16, 4)
    assert classes((15, 15), 3, 1) == (25, 1)
    assert classes((15, 15), 3, 1, periodic=False) == (25, 1)
    assert classes((8, 8, 8), 4, 3) == (8, 1)
    assert classes((16,), 16, 99) == (1, 1)


Log = list[tuple[str, Any]]


class RecordedJump(lt.Jump):
    """Lets a class of domains be through at once, without a move.

    It writes down which class it was and for how long.
    """

    log: Log

    def enter(
        self, state: JumpState, path: Any, backward: bool = False
    ) -> tuple[JumpState, Tensor]:
        if not state.remaining[0]:
            self.log.append(("enter", int(state.interval[0])))
        return super().enter(state, path, backward)

    def step(
        self, state: JumpState, path: Any, transport: Any, seed: int, backward: bool = False
    ) -> tuple[JumpState, JumpInfo]:
        after, info = super().step(state, path, transport, seed, backward)
        held = (
            state.clocks[0]
            if state.clocks.any()
            else torch.full_like(state.clocks[0], float(state.remaining[0]))
        )
        moved = set((after.clocks[0] != held).nonzero().flatten().tolist())
        (up,) = (
            row
            for row, own in enumerate(cut(path, self, transport).classes.tolist())
            if set(own) == moved
        )
        (time,) = held[list(moved)].unique().tolist()
        self.log.append(("jump", (int(state.interval[0]), up, time)))
        held = held.index_fill(0, torch.tensor(list(moved)), 0.0).expand_as(state.clocks)
        return state._replace(
            clocks=held,
            remaining=torch.where((held == 0).all(1), 0.0, state.remaining),
            events=after.events,
        ), info


def recorded(path: lt.AnnealingPath, network: Any, jump: RecordedJump, sweeps: bool = False) -> Log:
    jump.log = []
    mcmc = lt.HeatBath() if sweeps else None
    lt.Sampler(path, network, jump, mcmc, block=2, device="cpu").sample(2, seed=0)
    return jump.log


@torch.no_grad()
def class_generator(
    path: Any,
    transport: Any,
    jump: lt.Jump,
    tau: float,
    up: int,
    power: float = 1.0,
    backward: bool = False,
) -> Tensor:
    """``L + c diag κ`` of one class, from the rates of the very step that moves it."""
    x, tiles = states(path.model), cut(path, jump, transport)
    clocks = torch.zeros(len(x), len(tiles.sites), dtype=FLOAT64)
    clocks[:, tiles.classes[up]] = 1.0
    evaluation = rates.examine(path, transport, x, torch.full((1,), tau, dtype=FLOAT64))
    state = jump.init(x, torch.arange(len(x)))
    step = domains.advance(tiles, evaluation, state, clocks, 0, jump.added, backward)
    sites = tiles.sites[tiles.classes[up]].flatten()
    targets = move_targets(path.model).unflatten(1, (-1, path.model.lattice.sites))[:, :, sites]
    matrix = torch.zeros(len(x), len(x), dtype=FLOAT64)
    matrix.scatter_add_(1, targets.flatten(1), step.rates.rates.double().flatten(1))
    return matrix + torch.diag(-step.rates.exit_rate + power * step.rates.corrector)


def defect(
    path: lt.AnnealingPath, network: Any, jump: RecordedJump, log: Log, sweeps: bool = False
) -> float:
    """Largest error of ``Z_1/Z_0`` (relative) and of the weighted law.

    The recorded acts are composed in their order.
    """
    target, x = exact.enumerate_model(path.model), states(path.model)
    made: list[Tensor] = []
    for act, value in log:
        if act == "enter":
            state = jump.init(x, torch.arange(len(x)))
            state = state._replace(interval=torch.full_like(state.interval, value))
            made.append(lt.Jump.enter(jump, state, path)[0].log_weights.exp())
            if sweeps and value + 1 < jump.intervals:
                made.append(heat_bath_matrix(path, float(jump.frozen[value + 1])))
        else:
            interval, up, time = value
            matrix = class_generator(path, network, jump, float(jump.frozen[interval]), up)
            made.append(torch.linalg.matrix_exp(time * matrix))
    measure = compose(made, torch.full((len(x),), 1.0 / len(x), dtype=FLOAT64))
    ratio = float(measure.sum()) / math.exp(target.log_z - path.start.log_z)
    law = measure / measure.sum() - target.log_probabilities.exp()
    return max(abs(ratio - 1.0), float(law.abs().max()))


@pytest.mark.parametrize("sweeps", [False, True], ids=["jumps", "jumps and heat bath"])
@pytest.mark.parametrize("intervals", [1, 4])
@pytest.mark.parametrize("name", list(CASES))
def test_weights_are_exact_for_an_untrained_network(
    name: str, intervals: int, sweeps: bool
) -> None:
    model, domain = CASES[name]
    path, jump = lt.AnnealingPath(model), RecordedJump(intervals, domain=domain)
    network = local_network(model)
    log = recorded(path, network, jump, sweeps)
    classes = len(cut(path, jump, network).classes)
    assert classes > 1 and cut(path, jump, network).classes.shape[1] > 1
    # Class after class, each for the whole interval.
    jumps = [value for act, value in log if act == "jump"]
    assert jumps == [
        (n, up, float(jump.times.diff()[n])) for n in range(intervals) for up in range(classes)
    ]
    assert defect(path, network, jump, log, sweeps) < 1e-10


@pytest.mark.parametrize("learned", [True, False], ids=["network", "no network"])
@pytest.mark.parametrize("name", ["ising 2x4", "potts 4 q=3"])
def test_reversible_rates_leave_the_weights_exact(name: str, learned: bool) -> None:
    model, domain = CASES[name]
    path = lt.AnnealingPath(model, schedule=lambda t: t**1.5)
    network = local_network(model) if learned else None
    for reversible in kernels.REVERSIBLE:
        jump = RecordedJump([0.0, 0.3, 1.0], reversible=reversible, scale=1.7, domain=domain)
        assert defect(path, network, jump, recorded(path, network, jump)) < 1e-10


def every_site(made: rates.Rates, whole: rates.Rates) -> Tensor:
    return whole.corrector


FAULTS: dict[str, Callable[[rates.Rates, rates.Rates], Tensor]] = {
    "κ of every site": every_site,
    "no in-rates": lambda made, whole: made.exit_rate,
    "no out-rates": lambda made, whole: made.corrector - made.exit_rate,
    "nothing": lambda made, whole: torch.zeros_like(made.corrector),
}


@pytest.mark.parametrize("fault", list(FAULTS))
def test_a_wrong_corrector_is_seen(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, domain = CASES["ising 2x4"]
    path, network, jump = (
        lt.AnnealingPath(model),
        local_network(model),
        RecordedJump(2, domain=domain),
    )
    log = recorded(path, network, jump)
    right = domains.advance

    def wrong(tiles: Domains, evaluation: rates.Evaluation, *rest: Any) -> domains.DomainStep:
        step = right(tiles, evaluation, *rest)
        corrector = FAULTS[fault](step.rates, rates.rates_of(evaluation))
        return step._replace(rates=step.rates._replace(corrector=corrector))

    assert defect(path, network, jump, log) < 1e-10
    monkeypatch.setattr(domains, "advance", wrong)
    assert defect(path, network, jump, log) > 1e-3


@pytest.mark.parametrize("reversible", [None, "barker"])
@pytest.mark.parametrize("name", ["ising 2x4", "potts 4 q=3"])
def test_backward_every_class_is_reversed(name: str, reversible: str | None) -> None:
    """``ρ(x) (L + κ)(x, y) = ρ(y) L'(y, x)``, ``L'`` backward."""
    model, domain = CASES[name]
    path, network = lt.AnnealingPath(model), local_network(model)
    jump = lt.Jump(2, domain=domain, reversible=reversible, scale=1.3)
    rho = exact.enumerate_model(model, beta=0.6 * model.beta).log_probabilities.exp().unsqueeze(1)
    for up in range(len(cut(path, jump, network).classes)):
        forward = class_generator(path, network, jump, 0.6, up)
        back = class_generator(path, network, jump, 0.6, up, power=0.0, backward=True)
        assert (rho * forward - (rho * back).T).abs().max() < 1e-12
        assert (rho * forward - (rho * forward).T).abs().max() > 1e-4


def test_backward_the_classes_come_in_the_opposite_order() -> None:
    model, domain = CASES["ising 2x4"]
    path, jump, network = (
        lt.AnnealingPath(model),
        RecordedJump(3, domain=domain),
        local_network(model),
    )
    jump.log = []
    lt.reverse_ess(lt.Sampler(path, network, jump, device="cpu"), states(model)[:2])
    assert [value[:2] for act, value in jump.log if act == "jump"] == [
        (2, 1),
        (2, 0),
        (1, 1),
        (1, 0),
        (0, 1),
        (0, 0),
    ]


@torch.no_grad()
def interference(path: Any, network: Any, jump: lt.Jump) -> float:
    """How much the rates or ``κ`` of a domain change, at most, when others of its class move."""
    tiles, model = cut(path, jump, network), path.model
    index = torch.arange(400)
    x, other = (path.start.sample(index, seed) for seed in (1, 2))
    largest = 0.0
    for members in tiles.classes:
        clocks = torch.zeros(len(x), len(tiles.sites), dtype=FLOAT64)
        clocks[:, members] = 1.0
        own = tiles.sites[members[0]]
        moving = torch.zeros(model.lattice.sites, dtype=torch.bool)
        moving[tiles.sites[members[1:]].flatten()] = True
        moved = torch.where(moving.view(model.lattice.shape), other, x)
        found = []
        for y in (x, moved):
            evaluation = rates.examine(path, network, y, torch.full((1,), 0.7, dtype=FLOAT64))
            state = jump.init(y, index)._replace(events=index)
            step = domains.advance(tiles, evaluation, state, clocks, 0, jump.added)
            found.append(step.rates.rates[:, :, : len(own)])
        largest = max(largest, float((found[0] - found[1]).abs().max()))
    return largest


@pytest.mark.parametrize("reversible", [None, "metropolis"])
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_the_rates_of_a_domain_do_not_read_others_of_its_class(
    kernel_size: int, reversible: str | None
) -> None:
    """Not for one that reads the magnetisation, nor for one that reads farther than it says."""
    model = lt.Potts((12, 6), q=3, beta=0.9, field=[0.3, 0.0, -0.2], periodic=(True, False))
    path, jump = lt.AnnealingPath(model), lt.Jump(2, domain=(2, 1), reversible=reversible)
    assert interference(path, local_network(model, kernel_size=kernel_size), jump) == 0.0
    everywhere = lt.HollowConv(
        model, kernel_size=kernel_size, channels=4, width=8, modes=0, seed=1
    ).double()
    assert interference(path, Claims(everywhere), jump) > 1e-4
    if kernel_size == 5:
        assert interference(path, Claims(local_network(model, kernel_size=5)), jump) > 1e-2


def start(jump: lt.Jump, path: lt.AnnealingPath, walkers: int, first: int = 0) -> JumpState:
    index = torch.arange(first, first + walkers)
    return jump.enter(jump.init(path.start.sample(index, 1), index), path)[0]


@torch.no_grad()
@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize(
    ("name", "gauge"),
    [("ising 2x4", "plain"), ("ising 2x4", "heat_bath"), ("potts 6 q=3", "heat_bath")],
)
def test_one_walker_by_hand(name: str, gauge: str, backward: bool) -> None:
    """Clocks, events, moves and weight of a whole interval.

    They follow from the formulas and the table of random numbers.
    """
    model, domain = CASES[name]
    path, network, jump = (
        lt.AnnealingPath(model),
        local_network(model, scale=600.0, gauge=gauge),
        lt.Jump(1, domain=domain),
    )
    tiles, n, seed, made = cut(path, jump, network), model.lattice.sites, 4, 0
    state = start(jump, path, 1, first=77)
    expected, events = float(state.log_weights), 0
    for members in reversed(tiles.classes) if backward else tiles.classes:
        left = [1.0] * len(members)
        while any(left):
            tau = jump.frozen[:1]
            whole = rates.examine(path, network, state.configurations, tau)
            out, inward = all_rates(whole)
            corrector = (out - inward).flatten(2).sum(1)[0]
            rate = (inward if backward else out).flatten(2)[0]
            x, moves = state.configurations.flatten().clone(), []
            for i, member in enumerate(members.tolist()):
                words = kernels.philox(seed, Stream.JUMP, 0, events * len(members) + i, 0, 77)
                u, v = (float(kernels.uniform64(words[w], words[w + 1])) for w in (0, 2))
                own = rate[:, tiles.sites[member]].flatten()
                holding = -math.log(u) / float(own.sum()) if own.sum() > 0 else math.inf
                elapsed = min(holding, left[i])
                expected += elapsed * float(corrector[tiles.sites[member]].sum())
                moves.append(-1)
                if holding < left[i]:
                    chosen = int((own.cumsum(0) <= v * own.sum()).sum())
                    shift, place = divmod(chosen, tiles.sites.shape[1])
                    site = int(tiles.sites[member, place])
                    x[site] = (x[site] + shift + 1) % model.q
                    moves[i], made = shift * n + site, made + 1
                left[i] = left[i] - elapsed if holding < left[i] else 0.0
            state, info = jump.step(state, path, network, seed, backward)
            events += 1
            assert state.configurations.flatten().equal(x) and info.move[0].tolist() == moves
            assert state.clocks[0, members].tolist() == pytest.approx(left, abs=1e-14)
            assert (state.clocks[0, members] == 0).tolist() == [time == 0 for time in left]
            assert float(info.rates.exit_rate) == pytest.approx(
                float(rate[:, tiles.sites[members].flatten()].sum())
            )
            assert state.events.item() == events and state.log_weights.item() == pytest.approx(
                expected, abs=1e-11
            )
    assert state.remaining.item() == 0 and not state.clocks.any()
    assert made > 0


@torch.no_grad()
def test_one_domain_is_the_plain_jump_process() -> None:
    """Bit for bit, moves and weights."""
    model = lt.Potts((4, 3), q=3, beta=0.9, field=[0.3, 0.0, -0.2])
    path, network = lt.AnnealingPath(model), local_network(model)
    for reversible in (None, "barker"):
        plain, one = (
            lt.Sampler(
                path,
                network,
                lt.Jump(3, reversible, domain=domain, weights="frozen"),
                block=32,
                device="cpu",
            ).sample(64, seed=3)
            for domain in (None, (4, 3))
        )
        assert plain.configurations.equal(one.configurations) and plain.log_weights.equal(
            one.log_weights
        )
        assert plain.evaluations == one.evaluations


@torch.no_grad()
def test_walkers_in_other_classes_and_intervals_do_as_alone() -> None:
    """And those without time are left alone, clocks too."""
    model, domain = CASES["ising 2x4"]
    path, network, jump = lt.AnnealingPath(model), local_network(model), lt.Jump(3, domain=domain)
    tiles = cut(path, jump, network)
    clocks = torch.zeros(5, len(tiles.sites), dtype=FLOAT64)
    clocks[1, tiles.classes[1]] = torch.tensor([0.2, 0.0], dtype=FLOAT64)
    clocks[2, tiles.classes.flatten()] = torch.tensor([0.0, 0.1, 0.3, 0.3], dtype=FLOAT64)
    state = start(jump, path, 5)._replace(
        interval=torch.tensor([0, 1, 2, 1, 3]),
        remaining=torch.tensor([0.3, 0.3, 0.3, 0.0, 0.0], dtype=FLOAT64),
        clocks=clocks,
    )
    together, info = jump.step(state, path, network, seed=9)
    for row in range(5):
        alone, _ = jump.step(
            JumpState(*(value[row : row + 1] for value in state)), path, network, seed=9
        )
        for value, whole in zip(alone, together, strict=True):
            torch.testing.assert_close(value[0], whole[row], rtol=0, atol=1e-12)
    assert together.events.tolist() == [1, 1, 1, 0, 0]
    for value, before in zip(together, state, strict=True):
        assert torch.equal(value[3:], before[3:])
    changed = (together.clocks != state.clocks).nonzero().tolist()
    assert [column for row, column in changed if row == 1] == [int(tiles.classes[1, 0])]
    assert [column for row, column in changed if row == 2] == [int(tiles.classes[0, 1])]
    assert (info.move[3:] == -1).all()


WALKERS = 20000
RUNS: dict[str, tuple[Any, int | tuple[int, ...]]] = {
    "ising 2x4": (lt.Ising((2, 4), beta=0.2, field=FIELD.view(2, 4)), (2, 1)),
    "potts 4": (lt.Potts(4, q=3, beta=0.7, field=[0.5, 0.0, -0.4]), 1),
}


def run_pulls(model: Any, domain: Any, network: Any, sweeps: bool = False) -> Tensor:
    """``E[e^A f] Z_0/Z_1`` less ``E_ρ[f]``, in sigma.

    ``f`` is 1 and the indicators of eight classes of states.
    """
    path = lt.AnnealingPath(model)
    mcmc = lt.HeatBath() if sweeps else None
    sampler = lt.Sampler(
        path, network, lt.Jump([0.0, 0.4, 1.0], domain=domain), mcmc, block=WALKERS, device="cpu"
    )
    ensemble = sampler.sample(WALKERS, seed=5)
    assert ensemble.ess > 0.3
    target = exact.enumerate_model(model)
    weights = (ensemble.log_weights + path.start.log_z - target.log_z).exp().unsqueeze(1)
    rank = target.log_probabilities.argsort().argsort()
    functions = torch.nn.functional.one_hot(8 * rank // len(rank), 8).double()
    functions = torch.cat([torch.ones(len(rank), 1), functions], dim=1)
    terms = weights * functions[index_of(ensemble.configurations, model.q)]
    means = target.log_probabilities.exp() @ functions
    return (terms.mean(0) - means) / (terms.std(0) / math.sqrt(WALKERS))


@pytest.mark.parametrize("sweeps", [False, True], ids=["jumps", "jumps and heat bath"])
@pytest.mark.parametrize(("model", "domain"), RUNS.values(), ids=RUNS)
def test_a_whole_run_of_an_untrained_network_is_exact(
    model: Any, domain: Any, sweeps: bool
) -> None:
    assert run_pulls(
        model, domain, local_network(model, seed=2, scale=0.7).float(), sweeps
    ).abs().max() < sigma_threshold(9)


class Average(nn.Module):
    """``G = ± c Σ_{j≠i} s_j``.

    Locally equivariant, and reads the whole lattice whatever it says.
    """

    reach = 1

    def forward(self, configurations: Tensor, conditions: lt.Conditions) -> Tensor:
        spins = 2.0 * configurations.float() - 1.0
        others = spins.sum((1, 2), keepdim=True) - spins
        return (-0.2 * spins * others).unsqueeze(1)


def test_a_network_that_reads_moving_domains_is_seen() -> None:
    """What the refusal prevents: by its own account local, it biases.

    Without domains it does not.
    """
    model, domain = RUNS["ising 2x4"]
    assert run_pulls(model, domain, Average()).abs().max() > 2 * sigma_threshold(9)
    assert run_pulls(model, None, Average()).abs().max() < sigma_threshold(9)


def test_reverse_ess_takes_domains() -> None:
    """Its log Z is exact, and its ESS that of the forward sampler: two pulls and a ratio."""
    model, domain = RUNS["potts 4"]
    path, n = lt.AnnealingPath(model), 8000
    target = exact.enumerate_model(model)
    words = kernels.philox(4, Stream.START, 0, 0, 0, torch.arange(n))
    cumulative = target.log_probabilities.exp().cumsum(0)[:-1].contiguous()
    samples = states(model)[torch.searchsorted(cumulative, kernels.uniform64(words[0], words[1]))]
    network = local_network(model, scale=1.0).float()
    sampler = lt.Sampler(
        path, network, lt.Jump(3, domain=domain, reversible="barker"), device="cpu"
    )
    back, forth = lt.reverse_ess(sampler, samples, seed=1), sampler.sample(n, seed=1)
    assert abs(back.log_z - target.log_z) < sigma_threshold(2) * back.log_z_error
    assert abs(forth.log_z - target.log_z) < sigma_threshold(2) * forth.log_z_error
    assert back.ess == pytest.approx(forth.ess, rel=0.1) and 0.3 < back.ess < 0.98


def test_one_evaluation_serves_all_domains() -> None:
    """Far fewer of them than moves; the number a walker is that of the network's calls."""
    model = lt.Ising((32, 32), beta=0.1)
    path, counted = lt.AnnealingPath(model), [0]

    class Flips(nn.Module):
        reach = 1

        def forward(self, configurations: Tensor, conditions: lt.Conditions) -> Tensor:
            counted[0] += len(configurations)
            return (1.0 - 2.0 * configurations.float()).unsqueeze(1)

    plain, cut_up = (
        lt.Sampler(path, Flips(), lt.Jump(1, domain=domain), block=8, device="cpu")
        for domain in (None, 4)
    )
    found = []
    for sampler in (plain, cut_up):
        counted[0] = 0
        found.append(sampler.sample(8, seed=0).evaluations)
        assert counted[0] == 8 * found[-1]
    assert found[0] > 300 and found[1] < 60


class Broken(nn.Module):
    """Rates of 1, and ``value`` at one site."""

    reach = 1

    def __init__(self, value: float, site: int) -> None:
        super().__init__()
        self.value, self.site = value, site

    def forward(self, configurations: Tensor, conditions: lt.Conditions) -> Tensor:
        output = torch.ones(len(configurations), 1, 8)
        output[:, 0, self.site] = self.value
        return output


@pytest.mark.parametrize(
    ("value", "words"),
    [(math.nan, "exit rate nan and corrector nan"), (-math.inf, "exit rate 3 and corrector -inf")],
)
def test_a_rate_that_is_not_finite_is_reported_when_its_class_is_up(
    value: float, words: str
) -> None:
    model, _ = CASES["ising 8, sites"]
    path, jump = lt.AnnealingPath(model), lt.Jump(4, domain=1)
    for site, fine in ((0, False), (1, True)):
        state = start(jump, path, 3, first=70)
        after, info = jump.step(state, path, Broken(value, site), seed=0)
        if fine:
            jump.check(after, info)
            continue
        with pytest.raises(
            RuntimeError, match=re.escape(f"walker 70 at t = 0.125: {words} must be finite")
        ):
            jump.check(after, info)
    with pytest.raises(RuntimeError, match=r"walker \d at t = 0.125: .* must be finite"):
        lt.Sampler(path, Broken(value, 1), jump, block=8, device="cpu").sample(8)


def test_too_many_events_are_reported() -> None:
    model, _ = CASES["ising 8, sites"]
    path, jump = lt.AnnealingPath(model), lt.Jump(4, domain=1)
    state = start(jump, path, 2, first=70)
    after, info = jump.step(state, path, Broken(1.0, 0), seed=0)
    for chosen, limit in ((jump, 1000 + 100 * 8 + 4 * 8), (lt.Jump(4, max_events=9, domain=1), 9)):
        chosen.check(after._replace(events=torch.tensor([limit, limit])), info)
        with pytest.raises(
            RuntimeError, match=f"walker 71 at t = 0.125 has needed more than max_events = {limit} "
        ):
            chosen.check(after._replace(events=torch.tensor([limit, limit + 1])), info)
    huge = lt.Jump(4, max_events=2**40, domain=1)
    with pytest.raises(RuntimeError, match=f"max_events = {2**29 - 1} .* take larger domains"):
        huge.check(after._replace(events=torch.tensor([0, 2**29])), info)


@pytest.mark.parametrize("domain", [0, -2, 2.5, (), (2, 0), (2, 1.5), "22"])
def test_domains_that_are_refused(domain: Any) -> None:
    with pytest.raises(
        ValueError, match=r"domain must be None, a positive integer, or one for each direction, got"
    ):
        lt.Jump(3, domain=domain)


@pytest.mark.parametrize("domain", [3, (4, 3), (2, 2, 2)])
def test_domains_that_do_not_fit_are_refused(domain: Any) -> None:
    model = lt.Ising((8, 4), beta=0.4)
    message = r"domain must be one length that divides each of the lattice's \(8, 4\), .* got "
    with pytest.raises(ValueError, match=message + re.escape(str(domain))):
        lt.Sampler(
            lt.AnnealingPath(model), local_network(model), lt.Jump(3, domain=domain), device="cpu"
        )


class EnergyOnly:
    """Three spins in a row: what a move changes is read two sites away."""

    lattice, q, beta = Lattice((8,)), 2, 0.3

    def energy(self, configurations: Tensor) -> Tensor:
        s = 2.0 * configurations.double() - 1.0
        return -(s * s.roll(1, 1) * s.roll(2, 1)).sum(1)


def test_networks_and_models_of_unknown_reach_are_refused() -> None:
    model = lt.Ising((8, 8), beta=0.4)
    path, jump = lt.AnnealingPath(model), lt.Jump(3, domain=2)
    with pytest.raises(
        ValueError, match=r"HollowConv.reach is None; .* build HollowConv\(global_features=False\)"
    ):
        lt.Sampler(path, lt.HollowConv(model, kernel_size=3, modes=0), jump, device="cpu")
    with pytest.raises(
        ValueError, match=r"function.reach is None; it must be the largest distance"
    ):
        lt.Sampler(path, lambda x, conditions: x.unsqueeze(1).float(), jump, device="cpu")
    reversible = lt.Jump(3, domain=2, reversible="barker")
    lt.Sampler(path, None, reversible, device="cpu")
    with pytest.raises(ValueError, match=r"EnergyOnly.reach is None"):
        lt.Sampler(lt.AnnealingPath(EnergyOnly()), None, reversible, device="cpu")
    monkey = type("Told", (EnergyOnly,), {"reach": 2})
    path = lt.AnnealingPath(monkey())
    assert cut(path, lt.Jump(3, domain=1), None).classes.shape == (4, 2)
    assert cut(path, lt.Jump(3, domain=2), None).classes.shape == (2, 2)


def test_schedules_training_and_resampling_take_domains() -> None:
    """What starts intervals in its own way, or waits at boundaries: one pull."""
    model = lt.Ising((4, 4), beta=0.3)
    path = lt.AnnealingPath(model)
    network = lt.HollowConv(model, kernel_size=3, channels=4, width=8, global_features=False)
    sampler = lt.Sampler(path, network, lt.Jump(5, domain=2), device="cpu")
    times = lt.schedules.constant_ess(sampler, 0.9, walkers=64)
    assert times[0] == 0.0 and times[-1] == 1.0 and (times.diff() > 0).all()
    lt.Trainer(sampler, lt.TrainingConfig(steps=3, walkers=8, buffer=16, rollout=16)).run()
    smc = lt.Sampler(
        path, network, lt.Jump(times, domain=2), lt.HeatBath(), 0.95, block=128, device="cpu"
    )
    ensemble = smc.sample(2048, seed=1)
    assert ensemble.resamplings.any()
    assert abs(ensemble.log_z - lt.exact.log_z(model)) < sigma_threshold(1) * ensemble.log_z_error
