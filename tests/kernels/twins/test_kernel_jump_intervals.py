"""The op jump_step over an interval of the path, against the exact operator.

Statistical tests have fixed seeds and raise a false alarm with probability 1e-4 each.
"""

from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from helpers import generator, index_of, random_network, sigma_threshold, states
from leaps_triton import rates

FLOAT64 = torch.float64


def uniform(*shape: int, seed: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=FLOAT64)


class Potential(torch.nn.Module):
    """``G_m(x) = φ(x^m) - φ(x)`` of a random ``φ = Σ_i φ_i(x_i)``.

    It is equivariant, and no move leads away from its maximum.
    """

    def __init__(self, model: Any, seed: int) -> None:
        super().__init__()
        self.values = torch.nn.Parameter(1.5 * uniform(model.q, *model.lattice.shape, seed=seed))

    def forward(self, configurations: Tensor, conditions: lt.Conditions) -> Tensor:
        state = configurations.long()
        q = len(self.values)
        phi = self.values.unsqueeze(0).expand(len(state), *self.values.shape)
        here = phi.gather(1, state.unsqueeze(1))
        return torch.cat(
            [phi.gather(1, ((state + k) % q).unsqueeze(1)) - here for k in range(1, q)], dim=1
        )


class Case(NamedTuple):
    """One interval of a grid, and the state its walkers start from."""

    model: Any
    transport: str
    intervals: int
    interval: int
    start: int


CASES = {
    "ising 2x3": Case(lt.Ising((2, 3), beta=0.5, field=0.3), "network", 2, 1, 54),
    "ising 2x3 at once": Case(
        lt.Ising((2, 3), beta=0.4, field=torch.linspace(-0.5, 0.7, 6).view(2, 3)),
        "network",
        1,
        0,
        44,
    ),
    "potts 2x2": Case(lt.Potts((2, 2), q=3, beta=0.8, field=[0.3, 0.0, -0.2]), "network", 4, 2, 12),
    "potts 2x2 potential": Case(
        lt.Potts((2, 2), q=3, beta=0.5, field=[0.3, 0.0, -0.2]), "potential", 1, 0, 61
    ),
    "pm1 open potential": Case(
        lt.EdwardsAnderson((2, 3), beta=0.9, seed=3, field=0.2, periodic=False),
        "potential",
        2,
        0,
        34,
    ),
}
WALKERS = 40000


class Record(NamedTuple):
    """What the walkers of one interval did, step by step."""

    case: Case
    path: lt.AnnealingPath
    transport: Any
    length: float
    tau: float
    end: Tensor
    log_weights: Tensor
    elapsed: Tensor
    corrector: Tensor
    exit_rate: Tensor
    event: Tensor


@pytest.fixture(scope="module", params=list(CASES))
def record(request: pytest.FixtureRequest) -> Record:
    case = CASES[request.param]
    path = lt.AnnealingPath(case.model)
    jump = lt.Jump(case.intervals)
    network: Any
    if case.transport == "network":
        # The plain gauge, in which κ is large where no rate leads out of a state.
        network = random_network(case.model, gauge="plain")
    else:
        network = Potential(case.model, seed=2)
    x = states(case.model)[case.start].expand(WALKERS, *case.model.lattice.shape)
    state = jump.init(x, torch.arange(WALKERS))
    state, _ = jump.enter(state._replace(interval=state.interval + case.interval), path)
    # The density increment is not the op's, so A starts anew.
    state = state._replace(log_weights=torch.zeros(WALKERS, dtype=FLOAT64))
    kept = []
    with torch.no_grad():
        while bool((state.remaining != 0).any()):
            before = state.remaining
            state, info = jump.step(state, path, network, seed=9)
            jump.check(state, info)
            elapsed = before - state.remaining
            made = info.rates
            kept.append((elapsed, made.corrector, made.exit_rate, info.move >= 0))
    pieces = [torch.stack(part) for part in zip(*kept, strict=True)]
    tau = float(jump.frozen[case.interval])
    length = 1.0 / case.intervals
    end = index_of(state.configurations, case.model.q)
    return Record(case, path, network, length, tau, end, state.log_weights, *pieces)


def pulls(record: Record, log_weights: Tensor, power: float = 1.0) -> Tensor:
    """Deviations in sigma of ``E[e^{power A} 1(X = y)]`` from ``e^{h (L + power κ)}``.

    They are given for all ``y`` and in total. Sigmas come from the operator, too. States that fewer
    than 30 walkers should reach are taken together.
    """
    plain = generator(record.path, record.transport, record.tau, corrector=0.0)
    corrector = generator(record.path, record.transport, record.tau).diag() - plain.diag()

    def row(k: float) -> Tensor:
        operator: Tensor = torch.linalg.matrix_exp(
            record.length * (plain + k * torch.diag(corrector))
        )
        return operator[record.case.start]

    # Fewer are no normal number, and the threshold in sigma would not hold.
    often = WALKERS * row(0.0) >= 30
    groups = torch.cat(
        [
            torch.diag(often.double())[often],
            (~often).double().unsqueeze(0),
            torch.ones(1, len(often)),
        ]
    )
    assert len(groups) >= 10
    found = (
        torch.zeros(len(often), dtype=FLOAT64).index_add_(
            0, record.end, (power * log_weights).exp()
        )
        / WALKERS
    )
    mean = groups.double() @ row(power)
    square = groups.double() @ row(2.0 * power)
    # Unweighted, the total is 1 for certain: its sigma is rounding.
    sigma = ((square - mean**2) / WALKERS).clamp(min=1e-16).sqrt()
    return (groups.double() @ found - mean) / sigma


def test_transitions_weighted_by_the_corrector_are_those_of_the_operator(record: Record) -> None:
    values = pulls(record, record.log_weights)
    assert values.abs().max() < sigma_threshold(len(values))
    assert record.log_weights.std() > 0.05


def test_transitions_are_those_of_the_generator(record: Record) -> None:
    values = pulls(record, record.log_weights, power=0.0)
    assert values.abs().max() < sigma_threshold(len(values))


def test_weights_are_the_sum_of_all_holding_pieces(record: Record) -> None:
    total = (record.elapsed * record.corrector).sum(0)
    torch.testing.assert_close(record.log_weights, total, rtol=0, atol=1e-12)
    torch.testing.assert_close(
        record.elapsed.sum(0), torch.full((WALKERS,), record.length, dtype=FLOAT64)
    )


def test_a_lost_last_piece_is_seen(record: Record) -> None:
    # The last piece of a walker ends at the boundary, without an event.
    wrong = (record.elapsed * record.corrector * record.event).sum(0)
    assert pulls(record, wrong).abs().max() > 2 * sigma_threshold(100)


@pytest.mark.parametrize("record", ["ising 2x3 at once", "potts 2x2 potential"], indirect=True)
def test_a_corrector_lost_where_the_exit_rate_is_zero_is_seen(record: Record) -> None:
    stuck = (record.exit_rate == 0) & (record.elapsed > 0)
    wrong = (record.elapsed * record.corrector * ~stuck).sum(0)
    assert stuck.any(0).double().mean() > 0.02
    assert pulls(record, wrong).abs().max() > 2 * sigma_threshold(100)


def test_a_corrector_of_the_state_after_the_event_is_seen(record: Record) -> None:
    # The corrector of the next evaluation, which is that of the state after the event.
    later = torch.cat([record.corrector[1:], record.corrector[-1:]])
    wrong = (record.elapsed * torch.where(record.event, later, record.corrector)).sum(0)
    assert pulls(record, wrong).abs().max() > 2 * sigma_threshold(100)


def test_rates_are_evaluated_where_the_walkers_stand(record: Record) -> None:
    """The last evaluation of every walker is that of its end state."""
    x = states(record.case.model)
    with torch.no_grad():
        out = rates.evaluate(
            record.path, record.transport, x, torch.tensor([record.tau], dtype=FLOAT64)
        )
    last = ((record.elapsed > 0) & ~record.event).double().argmax(0, keepdim=True)
    torch.testing.assert_close(
        record.corrector.gather(0, last)[0], out.corrector[record.end], rtol=0, atol=1e-10
    )
