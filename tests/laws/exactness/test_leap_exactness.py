"""Tau-leaping without noise: exact weights of either direction, and the bias of Euler's.

Exact values are by enumeration.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from leap_cases import MODELS, path_of
from torch import Tensor

import leaps_triton as lt
from helpers import compose, heat_bath_matrix, random_network, states
from leaps_triton import exact, kernels
from leaps_triton.integrators.rates import evaluate
from leaps_triton.integrators.tau_leap import LeapInfo, LeapState
from leaps_triton.kernels import TauLeapStep
from leaps_triton.mcmc import SweepInfo, SweepState

FLOAT64 = torch.float64
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
