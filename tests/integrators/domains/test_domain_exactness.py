"""Domain jumps without noise: exact weights by operators, and what a class reads."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from domain_cases import CASES, FLOAT64, cut
from torch import Tensor, nn

import leaps_triton as lt
from helpers import compose, heat_bath_matrix, local_network, move_targets, states
from leaps_triton import exact, kernels, rates
from leaps_triton.integrators import domains
from leaps_triton.integrators.domains import Domains
from leaps_triton.integrators.jump import JumpInfo, JumpState


class Claims(nn.Module):
    """A network that says of itself that it reads its neighbours."""

    reach = 1

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, configurations: Tensor, conditions: lt.Conditions) -> Tensor:
        made: Tensor = self.network(configurations, conditions)
        return made


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
