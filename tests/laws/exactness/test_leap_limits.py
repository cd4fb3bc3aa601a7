"""The limit of small steps of tau-leaping: weights are those of Jump, path by path."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from leap_cases import MODELS, path_of
from torch import Tensor

import leaps_triton as lt
from helpers import random_network
from leaps_triton import kernels
from leaps_triton.integrators import tau_leap
from leaps_triton.integrators.rates import evaluate, rates_of
from leaps_triton.integrators.tau_leap import leap_increment

FLOAT64 = torch.float64
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
