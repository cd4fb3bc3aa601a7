"""The integrator Jump.

Its grid, its bookkeeping by hand, its errors, and whole runs against enumeration.

Statistical tests have fixed seeds and raise a false alarm with probability 1e-4 each.
"""

import math
import re
from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from helpers import (
    Broken,
    class_pulls,
    random_network,
    sigma_threshold,
    small_models,
    states,
)
from leaps_triton import kernels
from leaps_triton.integrators.jump import JumpInfo, JumpState
from leaps_triton.integrators.rates import evaluate
from leaps_triton.integrators.rollouts.boundaries import enter_all, enter_some

FLOAT64 = torch.float64
MODEL = small_models()["ising 2x3 field"]
PATH = lt.AnnealingPath(MODEL, schedule=lambda t: t**2)
UNEVEN = [0.0, 0.1, 0.5, 0.55, 1.0]


def start(jump: lt.Jump, walkers: int, path: lt.AnnealingPath = PATH, seed: int = 0) -> JumpState:
    index = torch.arange(walkers)
    return jump.init(path.start.sample(index, seed), index)


def same(first: JumpState, second: JumpState) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_number_of_intervals_means_a_uniform_grid() -> None:
    jump = lt.Jump(intervals=4)
    assert jump.intervals == 4
    assert jump.times.tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert jump.frozen.tolist() == [0.125, 0.375, 0.625, 0.875]
    assert jump.densities.tolist() == [0.0, 0.125, 0.375, 0.625, 0.875, 1.0]
    assert {v.dtype for v in (jump.times, jump.frozen, jump.densities)} == {FLOAT64}
    assert lt.Jump().intervals == 25
    assert lt.Jump(1).frozen.tolist() == [0.5]


@pytest.mark.parametrize("times", [UNEVEN, tuple(UNEVEN), torch.tensor(UNEVEN, dtype=FLOAT64)])
def test_a_sequence_of_times_is_the_grid(times: Any) -> None:
    jump = lt.Jump(times)
    assert jump.intervals == 4
    assert jump.times.tolist() == UNEVEN
    assert jump.frozen.tolist() == pytest.approx([0.05, 0.3, 0.525, 0.775], abs=1e-15)
    assert jump.densities.tolist() == [0.0, *jump.frozen.tolist(), 1.0]


@pytest.mark.parametrize(
    "intervals", [0, -3, 2.5, [], [0.0], [1.0], [0.1, 1.0], [0.0, 0.9], [0.0, 0.5, 0.5, 1.0]]
)
def test_intervals_that_are_refused(intervals: Any) -> None:
    with pytest.raises(ValueError, match=r"intervals must be .* got " + re.escape(str(intervals))):
        lt.Jump(intervals)


@pytest.mark.parametrize("intervals", [[0.0, math.nan, 1.0], [0.0, 0.7, 0.3, 1.0], [[0.0, 1.0]]])
def test_other_times_that_are_refused(intervals: Any) -> None:
    with pytest.raises(
        ValueError, match="intervals must be a number, or increasing times from 0 to 1"
    ):
        lt.Jump(intervals)


@pytest.mark.parametrize("limit", [0, -1])
def test_max_events_that_are_refused(limit: int) -> None:
    with pytest.raises(
        ValueError, match=f"max_events must be an integer of at least 1, got {limit}"
    ):
        lt.Jump(3, max_events=limit)


def test_reversible_rates_that_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"reversible must be None or one of barker, .* got 'glauber'"
    ):
        lt.Jump(3, reversible="glauber")
    for scale in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match=f"scale must be finite and > 0, got {scale}"):
            lt.Jump(3, reversible="barker", scale=scale)


def test_walkers_begin_before_the_first_interval() -> None:
    jump = lt.Jump(3)
    x, index = PATH.start.sample(torch.arange(4), seed=1), torch.tensor([3, 9, 4, 2**31 - 1])
    state = jump.init(x, index)
    assert state.configurations is x and state.walkers is index
    assert state.interval.tolist() == [-1] * 4 and state.events.tolist() == [0] * 4
    assert not state.log_weights.any() and not state.remaining.any()
    assert state.log_weights.dtype == state.remaining.dtype == FLOAT64


def test_entering_adds_the_density_increments_one_after_another() -> None:
    """One walker that never moves, through all intervals, by hand.

    ``-(β_{τ_n} - β_{τ_{n-1}}) H(x)``.
    """
    jump = lt.Jump(UNEVEN)
    state = start(jump, 1, seed=4)
    energy = float(MODEL.energy(state.configurations))
    expected, before = 0.0, 0.0
    for interval, tau in enumerate([0.05, 0.3, 0.525, 0.775, 1.0]):
        state, entered = jump.enter(state, PATH)
        expected -= (tau**2 - before**2) * MODEL.beta * energy
        before = tau
        assert entered.tolist() == [True] and state.interval.tolist() == [interval]
        assert state.log_weights.item() == pytest.approx(expected, abs=1e-13)
        length = 0.0 if interval == 4 else UNEVEN[interval + 1] - UNEVEN[interval]
        assert state.remaining.item() == pytest.approx(length, abs=1e-15)
        again, entered = jump.enter(state, PATH)
        assert entered.tolist() == [False] and same(again, state)
        state = state._replace(remaining=torch.zeros_like(state.remaining))
    assert state.log_weights.item() == pytest.approx(-MODEL.beta * energy, abs=1e-13)
    assert abs(energy) > 0.5


def test_only_walkers_at_the_end_of_their_interval_enter() -> None:
    jump = lt.Jump(UNEVEN)
    state = start(jump, 6)._replace(
        interval=torch.tensor([-1, 0, 2, 3, 3, 4]),
        remaining=torch.tensor([0.0, 0.03, 0.0, 0.0, 0.2, 0.0], dtype=FLOAT64),
        log_weights=torch.arange(6, dtype=FLOAT64),
    )
    after, entered = jump.enter(state, PATH)
    assert entered.tolist() == [True, False, True, True, False, False]
    assert after.interval.tolist() == [0, 0, 3, 4, 3, 4]
    assert after.remaining.tolist() == pytest.approx([0.1, 0.03, 0.45, 0.0, 0.2, 0.0], abs=1e-15)
    energy = MODEL.energy(state.configurations)
    change = torch.tensor(
        [0.05**2, 0.0, 0.775**2 - 0.525**2, 1.0 - 0.775**2, 0.0, 0.0], dtype=FLOAT64
    )
    torch.testing.assert_close(
        after.log_weights, state.log_weights - change * MODEL.beta * energy, rtol=0, atol=1e-13
    )
    assert torch.equal(after.configurations, state.configurations) and torch.equal(
        after.events, state.events
    )


@torch.no_grad()
def test_one_walker_by_hand_from_start_to_end() -> None:
    """Time, events, configuration and weight, step by step."""
    jump, network = lt.Jump(UNEVEN), random_network(MODEL, scale=30.0)
    state = start(jump, 1, seed=3)
    expected, events, lengths, moves, before = 0.0, 0, [0.0] * 4, 0, 0.0
    for interval in range(5):
        state, _ = jump.enter(state, PATH)
        tau = 1.0 if interval == 4 else (UNEVEN[interval] + UNEVEN[interval + 1]) / 2
        expected -= (tau**2 - before**2) * MODEL.beta * float(MODEL.energy(state.configurations))
        before = tau
        while state.remaining.item() > 0:
            x = state.configurations
            out = evaluate(PATH, network, x, torch.tensor([tau], dtype=FLOAT64))
            after, info = jump.step(state, PATH, network, seed=2)
            elapsed = float(state.remaining - after.remaining)
            expected += elapsed * float(out.corrector)
            lengths[interval] += elapsed
            events += 1
            y = x.flatten(1).clone()
            if info.move.item() >= 0:
                moves += 1
                assert out.rates.flatten()[info.move].item() > 0
                y[0, info.move % 6] = 1 - y[0, info.move % 6]
            else:
                assert after.remaining.item() == 0
            assert torch.equal(after.configurations.flatten(1), y)
            assert after.events.item() == events and after.interval.item() == interval
            assert info.rates.exit_rate.item() == pytest.approx(out.exit_rate.item(), rel=1e-12)
            state = after
    assert state.interval.item() == 4 and state.remaining.item() == 0
    assert lengths == pytest.approx([0.1, 0.4, 0.05, 0.45], abs=1e-14)
    assert state.log_weights.item() == pytest.approx(expected, abs=1e-12)
    assert events == moves + 4 and moves >= 2


@torch.no_grad()
def test_walkers_without_time_are_left_alone() -> None:
    jump, network = lt.Jump(3), random_network(MODEL)
    fresh = start(jump, 5)
    after, info = jump.step(fresh, PATH, network, seed=0)
    assert same(after, fresh) and (info.move == -1).all()
    entered, _ = jump.enter(fresh, PATH)
    mixed = entered._replace(
        interval=torch.tensor([0, 3, 0, 1, 2]),
        remaining=entered.remaining * torch.tensor([1.0, 0.0, 1.0, 0.0, 1.0], dtype=FLOAT64),
    )
    after, _ = jump.step(mixed, PATH, network, seed=0)
    assert after.events.tolist() == [1, 0, 1, 0, 1]
    for value, before in zip(after, mixed, strict=True):
        assert torch.equal(value[1::2], before[1::2])
    assert (after.remaining[::2] < mixed.remaining[::2]).all()


@torch.no_grad()
def test_each_walker_is_moved_at_the_frozen_time_of_its_own_interval() -> None:
    """Together, in different intervals, as alone."""
    jump, network = lt.Jump(UNEVEN), random_network(MODEL)
    state = start(jump, 4)._replace(
        interval=torch.arange(4), remaining=torch.tensor([0.02, 0.3, 0.05, 0.4], dtype=FLOAT64)
    )
    together, info = jump.step(state, PATH, network, seed=1)
    for row in range(4):
        own = JumpState(*(value[row : row + 1] for value in state))
        alone, _ = jump.step(own, PATH, network, seed=1)
        for value, whole in zip(alone, together, strict=True):
            torch.testing.assert_close(value[0], whole[row], rtol=0, atol=1e-12)
        tau = torch.tensor([(UNEVEN[row] + UNEVEN[row + 1]) / 2], dtype=FLOAT64)
        corrector = evaluate(PATH, network, own.configurations, tau).corrector
        assert info.rates.corrector[row].item() == pytest.approx(corrector.item(), abs=1e-12)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (math.nan, "exit rate nan and corrector nan"),
        (math.inf, "exit rate inf and corrector inf"),
        (-math.inf, "exit rate 5 and corrector -inf"),
    ],
)
def test_a_rate_that_is_not_finite_is_reported(value: float, words: str) -> None:
    jump = lt.Jump(4)
    x, index = states(MODEL)[[0, 1, 40, 41]], torch.tensor([70, 71, 72, 73])
    state, _ = jump.enter(jump.init(x, index)._replace(interval=torch.tensor([0, 0, 1, 1])), PATH)
    after, info = jump.step(state, PATH, Broken(value), seed=0)
    jump.check(state, info)
    with pytest.raises(
        RuntimeError, match=re.escape(f"walker 72 at t = 0.625: {words} must be finite")
    ):
        jump.check(after, info)
    assert after.log_weights.isfinite().tolist() == [True, True, False, False]
    with pytest.raises(RuntimeError, match=r"walker [0-7] at t = 0.125: .* must be finite"):
        lt.Sampler(PATH, Broken(value), jump, block=8, device="cpu").sample(8, seed=12)


def test_too_many_events_are_reported() -> None:
    jump = lt.Jump(4, max_events=9)
    state, _ = jump.enter(start(jump, 3)._replace(walkers=torch.tensor([5, 8, 13])), PATH)
    _, info = jump.step(state, PATH, Broken(1.0), seed=0)
    jump.check(state._replace(events=torch.tensor([9, 9, 9])), info)
    message = r"walker 8 at t = 0.125 has needed more than max_events = 9 evaluations, exit rate 6;"
    with pytest.raises(RuntimeError, match=message):
        jump.check(state._replace(events=torch.tensor([9, 10, 10])), info)
    with pytest.raises(RuntimeError, match=r"walker [0-3] at t = .* max_events = 3 evaluations"):
        lt.Sampler(PATH, Broken(1.0), lt.Jump(2, max_events=3), block=4, device="cpu").sample(
            4, seed=6
        )


def test_the_limit_of_events_follows_from_the_lattice_and_the_intervals() -> None:
    jump = lt.Jump(4)
    state, _ = jump.enter(start(jump, 1), PATH)
    _, info = jump.step(state, PATH, Broken(1.0), seed=0)
    limit = 1000 + 100 * 6 + 4
    jump.check(state._replace(events=torch.tensor([limit])), info)
    with pytest.raises(RuntimeError, match=f"max_events = {limit} "):
        jump.check(state._replace(events=torch.tensor([limit + 1])), info)


RUNS = {
    "ising": lt.Ising((2, 3), beta=0.25, field=torch.linspace(-0.5, 0.7, 6).view(2, 3)),
    "potts": lt.Potts(4, q=3, beta=0.7, field=[0.5, 0.0, -0.4]),
    "pm1 open": lt.EdwardsAnderson((2, 3), beta=0.4, seed=3, field=0.3, periodic=False),
}
WALKERS = 20000


def run_pulls(model: Any, sweeps: bool) -> Tensor:
    """``E[e^A f] Z_0/Z_1`` less ``E_ρ[f]``, in sigma.

    ``f`` is 1 and the indicators of eight classes of states.
    """
    path = lt.AnnealingPath(model)
    network = random_network(model, scale=1.0).float()
    mcmc = lt.HeatBath() if sweeps else None
    sampler = lt.Sampler(
        path, network, lt.Jump([0.0, 0.2, 0.6, 1.0]), mcmc, block=WALKERS, device="cpu"
    )
    ensemble = sampler.sample(WALKERS, seed=5)
    assert ensemble.ess > 0.25
    return class_pulls(ensemble, path)


@pytest.mark.parametrize("sweeps", [False, True], ids=["jumps", "jumps and heat bath"])
@pytest.mark.parametrize("model", RUNS.values(), ids=RUNS)
def test_a_whole_run_of_an_untrained_network_is_exact(model: Any, sweeps: bool) -> None:
    assert run_pulls(model, sweeps).abs().max() < sigma_threshold(9)


@pytest.mark.parametrize("model", RUNS.values(), ids=RUNS)
def test_a_whole_run_without_corrector_is_seen(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    right = kernels.proposal_rates

    def wrong(network_output: Tensor, log_ratios: Tensor, *rest: Any) -> kernels.ProposalRates:
        made = right(network_output, log_ratios, *rest)
        return made._replace(corrector=torch.zeros_like(made.corrector))

    monkeypatch.setattr(kernels, "proposal_rates", wrong)
    assert run_pulls(model, sweeps=False).abs().max() > 2 * sigma_threshold(9)


def test_info_names_the_move_made() -> None:
    jump = lt.Jump(1)
    state, _ = jump.enter(start(jump, 200), PATH)
    after, info = jump.step(state, PATH, Broken(1.0), seed=3)
    assert isinstance(info, JumpInfo)
    changed = (after.configurations != state.configurations).flatten(1)
    assert torch.equal(changed.any(1), info.move >= 0)
    rows = changed.any(1).nonzero().squeeze(1)
    assert torch.equal(changed.long().argmax(1)[rows], info.move[rows])
    assert len(rows) > 100


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("integrator", [lt.Jump(4), lt.TauLeap(4)], ids=["jump", "leap"])
def test_walkers_enter_as_all_of_them_would(integrator: Any, backward: bool) -> None:
    model = lt.EdwardsAnderson((4, 4), beta=0.7, disorder="gaussian", seed=2)
    path = lt.AnnealingPath(model)
    walkers = torch.arange(12)
    x = path.start.sample(walkers, seed=4)
    state = integrator.init(x, walkers, backward)
    state, _ = integrator.enter(state, path, backward)
    # In all places of the way, some with time left.
    state = state._replace(
        interval=(walkers % 6 - 1).clamp(-1, 4),
        remaining=torch.where(walkers % 3 == 0, 0.1, 0.0).double(),
    )
    found, entering = integrator.enter(state, path, backward)
    assert 0 < int(entering.sum()) < len(walkers)
    grid = integrator.grid(x.device)
    expected = enter_some(grid, state, entering, path, backward)
    for_gpu, also = enter_all(grid, state, path, backward)
    assert torch.equal(also, entering)
    assert torch.equal(for_gpu.log_weights, expected.log_weights)
    assert torch.equal(for_gpu.interval, expected.interval)
    assert torch.equal(for_gpu.remaining, expected.remaining)
    assert torch.equal(found.log_weights, expected.log_weights)
    assert torch.equal(found.interval, expected.interval)
    assert torch.equal(found.remaining, expected.remaining)
    assert torch.equal(found.configurations, x)
