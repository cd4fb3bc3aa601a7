"""Tau-leaping without noise: exact weights, the limit of its backward law, the bias of Euler's.

Exact values are by enumeration.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from helpers import compose, heat_bath_matrix, random_network, states
from leaps_triton import exact, kernels
from leaps_triton.integrators import tau_leap
from leaps_triton.integrators.rates import evaluate, rates_of
from leaps_triton.integrators.tau_leap import LeapInfo, LeapState, leap_increment
from leaps_triton.kernels import TauLeapStep
from leaps_triton.mcmc import SweepInfo, SweepState

FLOAT64 = torch.float64
MODELS: dict[str, Any] = {
    "ising 2x3 field": lt.Ising((2, 3), beta=0.5, field=torch.linspace(-0.5, 0.7, 6).view(2, 3)),
    "potts 4 q=3": lt.Potts(4, q=3, beta=0.8, field=[0.3, 0.0, -0.2]),
    "pm1 2x3 open": lt.EdwardsAnderson(
        (2, 3), beta=0.7, disorder="pm1", seed=3, periodic=False, field=0.2
    ),
}
Log = list[tuple[str, Any]]


class RecordedLeap(lt.TauLeap):
    """Writes down what it was asked to do, and moves nothing."""

    def __init__(self, steps: Any, log: Log, **options: Any) -> None:
        super().__init__(steps, **options)
        self.log = log

    def enter(
        self, state: LeapState, path: Any, backward: bool = False
    ) -> tuple[LeapState, Tensor]:
        self.log.append(("enter back" if backward else "enter", int(state.interval[0])))
        return super().enter(state, path, backward)

    def step(
        self, state: LeapState, path: Any, transport: Any, seed: int, backward: bool = False
    ) -> tuple[LeapState, LeapInfo]:
        self.log.append(("leap back" if backward else "leap", int(state.interval[0])))
        nought = torch.zeros_like(state.log_weights)
        return state._replace(remaining=nought), LeapInfo(
            torch.zeros_like(state.walkers), nought, nought
        )


class RecordedHeatBath(lt.HeatBath):
    """Writes down the time of every sweep."""

    log: Log

    def step(self, state: SweepState, path: Any, t: Any, seed: int) -> tuple[SweepState, SweepInfo]:
        self.log.append(("sweep back" if self.backward else "sweep", float(t)))
        return super().step(state, path, t, seed)

    def reversed(self) -> "RecordedHeatBath":
        return heat_bath(self.log, not self.backward)


def heat_bath(log: Log, backward: bool = False) -> RecordedHeatBath:
    made = RecordedHeatBath(backward=backward)
    object.__setattr__(made, "log", log)
    return made


def recorded(
    path: lt.AnnealingPath,
    network: Any,
    steps: Any,
    sweeps: bool = False,
    backward: bool = False,
    **options: Any,
) -> tuple[Log, lt.TauLeap]:
    log: Log = []
    leap = RecordedLeap(steps, log, **options)
    sampler = lt.Sampler(
        path, network, leap, heat_bath(log) if sweeps else None, block=2, device="cpu"
    )
    if backward:
        lt.reverse_ess(sampler, states(path.model)[:2])
    else:
        sampler.sample(walkers=2, seed=0)
    return log, leap


def product_law(rates: Tensor, h: float, x: Tensor, q: int) -> Tensor:
    """Return ``∏_i P(x_i → y_i)`` for all pairs of states.

    ``P`` is ``exp(-hΛ_i)`` to stay and ``(1 - exp(-hΛ_i)) λ_k/Λ_i`` to move.
    """
    out = rates.double().flatten(2)
    total = out.sum(1, keepdim=True)
    moving = (1.0 - torch.exp(-h * total)) * out / total.clamp(min=1e-300)
    by_shift = torch.cat([torch.exp(-h * total), moving], dim=1)
    flat = x.flatten(1).long()
    law = torch.ones(len(x), len(x), dtype=FLOAT64)
    for site in range(flat.shape[1]):
        shift = (flat[:, site] - flat[:, site].unsqueeze(1)) % q
        law *= by_shift[:, :, site].gather(1, shift)
    return law


@contextmanager
def forced(after: Tensor) -> Iterator[None]:
    """Steps that lead to given ends, with their own log-probabilities."""
    right = kernels.tau_leap_step

    def step(configurations: Tensor, rates: Tensor, duration: Tensor, *rest: Any) -> TauLeapStep:
        return TauLeapStep(
            after, kernels.tau_leap_log_probability(configurations, after, rates, duration)
        )

    kernels.tau_leap_step = step  # type: ignore[assignment]
    try:
        yield
    finally:
        kernels.tau_leap_step = right


@torch.no_grad()
def leap_operator(
    path: lt.AnnealingPath,
    network: Any,
    leap: lt.TauLeap,
    interval: int,
    power: float,
    backward: bool,
) -> Tensor:
    """``F(y|x) e^{power ΔA}``, ``ΔA`` from TauLeap.step on all pairs, ``F`` from the formula."""
    x, n = states(path.model), path.model.q**path.model.lattice.sites
    start, end = x.repeat_interleave(n, 0), x.repeat(n, *[1] * (x.ndim - 1))
    h = float(leap.times[interval + 1] - leap.times[interval])
    state = leap.init(start, torch.arange(n * n), backward)
    state = state._replace(
        interval=torch.full_like(state.interval, interval),
        remaining=torch.full_like(state.remaining, h),
    )
    with forced(end):
        after, _ = lt.TauLeap.step(leap, state, path, network, 0, backward)
    assert torch.equal(after.configurations, end)
    t = leap.times[interval + backward].view(1)
    rates = evaluate(path, network, x, t, leap.reversible, leap.floor, backward).rates
    law = product_law(rates, h, x, path.model.q)
    return torch.where(law > 0, law * (power * after.log_weights).exp().view(n, n), 0.0)


def operators(
    path: lt.AnnealingPath, network: Any, leap: lt.TauLeap, log: Log, power: float = 1.0
) -> list[Tensor]:
    """What each recorded act does to a measure that carries ``e^{power A}``."""
    x = states(path.model)
    made: list[Tensor] = []
    for act, value in log:
        backward = act.endswith("back")
        if act.startswith("enter"):
            state = leap.init(x, torch.arange(len(x)))._replace(
                interval=torch.full((len(x),), value)
            )
            made.append(
                (power * lt.TauLeap.enter(leap, state, path, backward)[0].log_weights).exp()
            )
        elif act.startswith("sweep"):
            made.append(heat_bath_matrix(path, value, backward))
        else:
            made.append(leap_operator(path, network, leap, value, power, backward))
    return made


def measure(
    path: lt.AnnealingPath, network: Any, leap: lt.TauLeap, log: Log, power: float = 1.0
) -> Tensor:
    """Of all end states, relative to ``Z_1/Z_0``."""
    target = exact.enumerate_model(path.model)
    n = len(target.configurations)
    end = compose(
        operators(path, network, leap, log, power), torch.full((n,), 1.0 / n, dtype=FLOAT64)
    )
    return end / math.exp(target.log_z - path.start.log_z)


def defect(path: lt.AnnealingPath, network: Any, leap: lt.TauLeap, log: Log) -> tuple[float, float]:
    """Relative error of Z_1/Z_0, and largest error of the weighted law."""
    end = measure(path, network, leap, log)
    law = end / end.sum() - exact.enumerate_model(path.model).log_probabilities.exp()
    return abs(float(end.sum()) - 1.0), float(law.abs().max())


def path_of(name: str) -> lt.AnnealingPath:
    return lt.AnnealingPath(MODELS[name], schedule=lambda t: t**1.5)


@pytest.mark.parametrize("sweeps", [False, True], ids=["leaps", "leaps and heat bath"])
@pytest.mark.parametrize("steps", [1, 4, 12])
@pytest.mark.parametrize("name", list(MODELS))
def test_weights_are_exact_for_an_untrained_network(name: str, steps: int, sweeps: bool) -> None:
    path = path_of(name)
    network = random_network(path.model)
    log, leap = recorded(path, network, steps, sweeps)
    assert [act for act, _ in log].count("leap") == steps
    assert [v for act, v in log if act == "sweep"] == (leap.frozen.tolist() if sweeps else [])
    assert max(defect(path, network, leap, log)) < 1e-10


@pytest.mark.parametrize("reversible", kernels.REVERSIBLE)
@pytest.mark.parametrize("name", ["ising 2x3 field", "potts 4 q=3"])
def test_the_floor_alone_is_exact(name: str, reversible: str) -> None:
    path = path_of(name)
    for floor in (0.05, 4.0):
        log, leap = recorded(path, None, [0.0, 0.1, 0.15, 1.0], floor=floor, reversible=reversible)
        assert max(defect(path, None, leap, log)) < 1e-10


@pytest.mark.parametrize("reversible", kernels.REVERSIBLE)
def test_any_floor_is_exact(reversible: str) -> None:
    path = path_of("ising 2x3 field")
    network = random_network(path.model)
    for floor in (1e-3, 1.0):
        log, leap = recorded(
            path, network, [0.0, 0.2, 0.25, 1.0], floor=floor, reversible=reversible
        )
        assert max(defect(path, network, leap, log)) < 1e-10


def _shifted(change: Callable[..., Tensor]) -> Any:
    right = kernels.tau_leap_log_probability

    def wrong(x: Tensor, y: Tensor, rates: Tensor, duration: Tensor) -> Tensor:
        return right(x, y, rates, duration) + change(x, y, rates, duration)

    return wrong


FAULTS: dict[str, Callable[..., Tensor]] = {
    "a factor too many": lambda x, y, rates, h: 0.3 * (x != y).flatten(1).sum(1),
    "no duration": lambda x, y, rates, h: -(x != y).flatten(1).sum(1) * h.log(),
    "probability of staying": lambda x, y, rates, h: (
        h * (rates.sum(1) * (x == y)).flatten(1).sum(1)
    ),
}


@pytest.mark.parametrize("which", ["back", "forth"])
@pytest.mark.parametrize("fault", list(FAULTS))
def test_a_wrong_probability_is_seen(
    fault: str, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one direction only: in both, some cancel."""
    path = path_of("ising 2x3 field")
    network = random_network(path.model)
    log, leap = recorded(path, network, 4)
    wrong, right, calls = _shifted(FAULTS[fault]), kernels.tau_leap_log_probability, [0]

    def choose(*arguments: Any) -> Tensor:
        calls[0] += 1
        return (wrong if (calls[0] % 2 == 0) == (which == "back") else right)(*arguments)

    monkeypatch.setattr(kernels, "tau_leap_log_probability", choose)
    assert defect(path, network, leap, log)[0] > 1e-3
    assert calls[0] == 8


def test_a_lost_floor_is_seen() -> None:
    """Ways back that begin where no way forth leads are missing mass."""
    path = path_of("ising 2x3 field")
    network = random_network(path.model, gauge="plain")
    log, leap = recorded(path, network, 4)
    leap.reversible = None
    assert defect(path, network, leap, log)[0] > 1e-2


def test_a_flipped_increment_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    path = path_of("ising 2x3 field")
    network = random_network(path.model)
    log, leap = recorded(path, network, 4)
    right = lt.AnnealingPath.log_increment
    monkeypatch.setattr(
        lt.AnnealingPath, "log_increment", lambda self, x, a, b: -right(self, x, a, b)
    )
    assert defect(path, network, leap, log)[0] > 1e-3


@pytest.mark.parametrize("network", [True, False], ids=["network", "no network"])
def test_sweeps_in_the_wrong_place_are_seen(network: bool) -> None:
    """Before the density increment of their step: at the right time for the wrong law."""
    path = path_of("ising 2x3 field")
    transport = random_network(path.model) if network else None
    log, leap = recorded(path, transport, 4, sweeps=True)
    assert [act for act, _ in log[:4]] == ["enter", "sweep", "leap", "enter"]
    for place in range(1, len(log) - 1):
        if log[place][0] == "enter" and log[place + 1][0] == "sweep":
            log[place], log[place + 1] = log[place + 1], log[place]
    assert defect(path, transport, leap, log)[0] > 1e-3


@pytest.mark.parametrize("sweeps", [False, True], ids=["leaps", "leaps and heat bath"])
@pytest.mark.parametrize("name", ["ising 2x3 field", "potts 4 q=3"])
def test_reversed_paths_are_exact(name: str, sweeps: bool) -> None:
    """``E[e^{-A}] = Z_0/Z_1``, and the weighted end is ρ_0.

    The ESS is that of the forward process.
    """
    path = path_of(name)
    network = random_network(path.model)
    target = exact.enumerate_model(path.model)
    ratio, rho = math.exp(target.log_z - path.start.log_z), target.log_probabilities.exp()
    times = [0.0, 0.2, 0.3, 0.75, 1.0]
    back, leap = recorded(path, network, times, sweeps, backward=True)
    forth, _ = recorded(path, network, times, sweeps)
    assert len(back) == len(forth)
    start = compose(operators(path, network, leap, back, -1.0), rho) * ratio
    torch.testing.assert_close(start, torch.full_like(start, 1.0 / len(start)), rtol=0, atol=1e-10)
    reverse = float(compose(operators(path, network, leap, back, 1.0), rho).sum())
    forward = float(measure(path, network, leap, forth, 2.0).sum())
    assert reverse == pytest.approx(forward, rel=1e-10)


ORDER = [8, 16, 32, 64]


@pytest.mark.parametrize("name", ["ising 2x3 field", "potts 4 q=3"])
def test_the_bias_of_euler_weights_falls_like_the_step_and_exact_weights_have_none(
    name: str,
) -> None:
    path = path_of(name)
    network = random_network(path.model, scale=1.5)
    bias = []
    for steps in ORDER:
        log, leap = recorded(path, network, steps, weights="euler")
        assert leap.reversible is None
        bias.append(float(measure(path, network, leap, log).sum()) - 1.0)
    orders = [math.log2(abs(a / b)) for a, b in itertools.pairwise(bias)]
    assert abs(bias[0]) > 0.05
    assert abs(orders[-1] - 1.0) < 0.1 and abs(orders[-1] - 1.0) < abs(orders[0] - 1.0)
    for steps in ORDER[::2]:
        log, leap = recorded(path, network, steps)
        assert defect(path, network, leap, log)[0] < 1e-10


MOVES = [(0.1875, 1, 0), (0.25, 0, 1), (0.5, 3, 0), (0.6875, 1, 1), (0.75, 2, 0)]
"""Time right before the move, site, shift less one."""
PATHS = 12


def way(model: Any, t: Tensor) -> Tensor:
    """Return configurations of ``PATHS`` piecewise constant paths at times ``t``.

    Their shape is ``(times, PATHS, *shape)``.
    """
    x = lt.AnnealingPath(model).start.sample(torch.arange(PATHS), seed=7).flatten(1).long()
    rows = []
    for now in t.tolist():
        y = x.clone()
        for moment, site, shift in MOVES:
            if moment < now:
                y[:, site] = (y[:, site] + 1 + shift % (model.q - 1)) % model.q
        rows.append(y.to(torch.int8))
    return torch.stack(rows).view(len(t), PATHS, *model.lattice.shape)


@torch.no_grad()
def continuous_weight(path: lt.AnnealingPath, network: Any, intervals: int = 4096) -> Tensor:
    """Return ``A`` of Jump on those paths.

    The intervals are so many that the frozen times are no error to speak of.
    """
    jump = lt.Jump(intervals)
    x = way(path.model, jump.frozen)
    t = jump.frozen.repeat_interleave(PATHS)
    corrector = evaluate(path, network, x.flatten(0, 1), t).corrector.view(intervals, PATHS)
    ends = way(path.model, torch.tensor([1.0]))
    total = corrector.sum(0) / intervals
    for n, (before, after) in enumerate(itertools.pairwise(jump.densities)):
        total = total + path.log_increment(x[n] if n < intervals else ends[0], before, after)
    return total


@torch.no_grad()
def leap_weight(path: lt.AnnealingPath, network: Any, steps: int, **floor: Any) -> Tensor:
    times = torch.linspace(0.0, 1.0, steps + 1, dtype=FLOAT64)
    x = way(path.model, times)
    before, after = x[:-1].flatten(0, 1), x[1:].flatten(0, 1)
    t, later = (part.repeat_interleave(PATHS) for part in (times[:-1], times[1:]))
    return leap_increment(path, network, before, after, t, later, **floor).view(steps, PATHS).sum(0)


@pytest.mark.parametrize("reversible", kernels.REVERSIBLE)
@pytest.mark.parametrize("name", list(MODELS))
def test_weights_tend_to_those_of_jump_path_by_path(name: str, reversible: str) -> None:
    """The error falls like ``h``, whatever the floor, which leaves the limit alone.

    No exactness could tell a wrong way back.
    """
    path = path_of(name)
    # One of three in the other gauge, in which rates are smaller.
    gauge = "heat_bath" if reversible == "barker" else "plain"
    network = random_network(path.model, scale=10.0 if gauge == "heat_bath" else 3.0, gauge=gauge)
    limit = continuous_weight(path, network)
    assert limit.std() > 0.5
    for floor in (0.1, 2.0):
        errors = [
            float(
                (leap_weight(path, network, n, floor=floor, reversible=reversible) - limit)
                .abs()
                .mean()
            )
            for n in (256, 512, 1024)
        ]
        assert errors[-1] < 0.05
        assert math.log2(errors[1] / errors[2]) == pytest.approx(1.0, abs=0.1)


def _other_rates(change: Callable[..., Any]) -> Any:
    right = rates_of

    def wrong(found: Any, reversible: Any, backward: bool = False) -> Any:
        if backward:
            return change(right, found, reversible)
        return right(found, reversible)

    return wrong


def _back(right: Callable[..., Any], found: Any, reversible: Any, **change: Any) -> Any:
    """Return the rates of the way back from what was found, with a change."""
    return right(found._replace(**change), reversible, backward=True)


def _twice(right: Callable[..., Any], found: Any, reversible: Any) -> Any:
    made = _back(right, found, reversible)
    return made._replace(rates=2 * made.rates)


def _other_shift(right: Callable[..., Any], found: Any, reversible: Any) -> Any:
    made = _back(right, found, reversible)
    return made._replace(rates=made.rates.flip(1))


BACKWARD_FAULTS: dict[str, Callable[..., Any]] = {
    "rates of the way forth": lambda right, found, r: right(found, r),
    "no density": lambda right, found, r: _back(right, found, r, log_ratios=0 * found.log_ratios),
    "inverse density": lambda right, found, r: _back(right, found, r, log_ratios=-found.log_ratios),
    "the opposite network": lambda right, found, r: _back(right, found, r, output=-found.output),
    "no floor": lambda right, found, r: _back(right, found, None),
    "twice": _twice,
    "another shift": _other_shift,
}


@pytest.mark.parametrize("fault", list(BACKWARD_FAULTS))
def test_a_wrong_way_back_is_seen_by_its_limit(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = path_of("potts 4 q=3")
    network = random_network(path.model, gauge="plain")
    limit = continuous_weight(path, network)
    monkeypatch.setattr(tau_leap, "rates_of", _other_rates(BACKWARD_FAULTS[fault]))
    assert float((leap_weight(path, network, 1024) - limit).abs().mean()) > 0.3


@torch.no_grad()
def test_an_increment_by_hand() -> None:
    """Every factor is written out, for Potts and two sites of which one moves.

    The way back is taken at ``(y, t + h)``.
    """
    path = path_of("potts 4 q=3")
    network = random_network(path.model, gauge="plain")
    x, y = (
        torch.tensor([[2, 0, 1, 1]], dtype=torch.int8),
        torch.tensor([[2, 1, 1, 0]], dtype=torch.int8),
    )
    t, later, floor = 0.3, 0.45, 0.7

    def rate(at: Tensor, time: float, backward: bool) -> list[list[float]]:
        """``λ_k(i)``, or ``μ_k(i)``, as ``[i][k]``; k = 0 for their sum."""
        G = network(at, path.conditions(torch.tensor([time], dtype=FLOAT64)))[0]
        table = []
        for site in range(4):
            row = []
            for k in (1, 2):
                other = at.clone()
                other[0, site] = (other[0, site] + k) % 3
                delta = float(path.log_density(other, time) - path.log_density(at, time))
                g = float(G[k - 1, site])
                own = max(-g, 0.0) * math.exp(delta) if backward else max(g, 0.0)
                row.append(own + floor / (1.0 + math.exp(-delta)))
            table.append([sum(row), *row])
        return table

    h = later - t
    forth, back = rate(x, t, backward=False), rate(y, later, backward=True)
    expected = float(path.log_density(y, later) - path.log_density(x, t))
    for site, k, inverse in ((0, 0, 0), (1, 1, 2), (2, 0, 0), (3, 2, 1)):
        for sign, row, shift in ((-1, forth[site], k), (1, back[site], inverse)):
            logarithm = (
                math.log((1 - math.exp(-h * row[0])) * row[shift] / row[0])
                if shift
                else -h * row[0]
            )
            expected += sign * logarithm
    assert leap_increment(path, network, x, y, t, later, floor, "barker").item() == pytest.approx(
        expected, abs=1e-12
    )
