"""Resampling.

Offspring by exact integration over the uniform numbers, and the sampler that resamples (SMC).

Statistical tests have fixed seeds and raise a false alarm with probability 1e-4 each.
"""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from helpers import random_network, sigma_threshold, small_models
from leaps_triton import exact
from leaps_triton.estimators.weights import (
    RESAMPLING,
    ancestors,
    block_sums,
    effective_sample_size,
    log_mean_exp,
)
from leaps_triton.integrators.jump import JumpState, State
from leaps_triton.mcmc import SweepInfo, SweepState

FLOAT64 = torch.float64
MODEL = lt.Ising((4, 4), beta=0.6, field=0.05)
PATH = lt.AnnealingPath(MODEL)
WEIGHTS = {
    "one": [1.0],
    "uneven": [0.7, 0.1, 1.9, 0.03, 2.2, 0.4],
    "some zero": [0.0, 2.0, 0.0, 1.3, 0.0],
    "one is all": [0.0, 0.0, 3.0],
    "whole numbers": [1.0, 3.0, 2.0, 2.0],
    "equal": [0.1] * 7,
    "many": [abs(math.sin(3.0 * i)) ** 3 for i in range(40)],
}


def make(kind: str = "smc", block: int = 16, threshold: float = 0.9, **options: Any) -> lt.Sampler:
    transport = None if kind == "smc" else random_network(MODEL, scale=0.3).float()
    mcmc = None if kind == "jump" else lt.HeatBath()
    return lt.Sampler(
        PATH, transport, lt.Jump(5), mcmc, threshold, block=block, device="cpu", **options
    )


KINDS = ["smc", "jump", "jump and heat bath"]


def breakpoints(weights: Tensor) -> Tensor:
    """Between these, no scheme's ancestors depend on a uniform number.

    They are step functions of it.
    """
    n, share = len(weights), weights / weights.sum()
    left = n * share - (n * share + 1e-9).floor()
    residual = left.cumsum(0) / left.sum() if left.sum() > 1e-6 else left
    every = torch.cat(
        [n * share.cumsum(0) % 1.0, residual, torch.tensor([0.0, 1.0], dtype=FLOAT64)]
    )
    return every.clamp(0.0, 1.0).unique()


@pytest.mark.parametrize("scheme", RESAMPLING)
@pytest.mark.parametrize("name", list(WEIGHTS))
def test_offspring_are_unbiased(scheme: str, name: str) -> None:
    """``E[copies of i] = n w_i``.

    A slot reads one number, so all slots may be given the same one.
    """
    weights = torch.tensor(WEIGHTS[name], dtype=FLOAT64)
    n, points = len(weights), breakpoints(weights)
    mean = torch.zeros(n, dtype=FLOAT64)
    for low, high in zip(points[:-1].tolist(), points[1:].tolist(), strict=True):
        drawn = ancestors(weights.log(), torch.full((n,), (low + high) / 2, dtype=FLOAT64), scheme)
        assert drawn.shape == (n,) and drawn.dtype == torch.int64
        mean += (high - low) * torch.bincount(drawn, minlength=n).double()
    torch.testing.assert_close(mean, n * weights / weights.sum(), rtol=0, atol=1e-9)


@pytest.mark.parametrize("scheme", RESAMPLING)
def test_a_slot_reads_one_number(scheme: str) -> None:
    log_weights = torch.tensor(WEIGHTS["uneven"], dtype=FLOAT64).log()
    n, grid = len(log_weights), torch.linspace(0.01, 0.99, 25, dtype=FLOAT64)
    base = torch.tensor([0.3, 0.6, 0.1, 0.8, 0.45, 0.9], dtype=FLOAT64)
    first = ancestors(log_weights, base, scheme)
    whole = int((n * log_weights.softmax(0)).floor().sum()) if scheme == "residual" else 0
    read = set()
    for index in range(n):
        for value in grid:
            changed = base.clone()
            changed[index] = value
            read |= {
                (index, int(s))
                for s in (ancestors(log_weights, changed, scheme) != first).nonzero()
            }
    if scheme == "systematic":
        assert {index for index, _ in read} == {0}
    else:
        assert read and all(slot == index + whole for index, slot in read)


@pytest.mark.parametrize("u", [2.0**-53, 0.5, 1.0 - 2.0**-53])
@pytest.mark.parametrize("name", list(WEIGHTS))
@pytest.mark.parametrize("scheme", RESAMPLING)
def test_copies_are_near_their_expectation(scheme: str, name: str, u: float) -> None:
    """Also at the ends of the unit interval; who has no weight has no offspring.

    Equal weights keep all.
    """
    weights = torch.tensor(WEIGHTS[name], dtype=FLOAT64)
    n = len(weights)
    copies = torch.bincount(
        ancestors(weights.log() + 700.0, torch.full((n,), u, dtype=FLOAT64), scheme), minlength=n
    )
    expected = n * weights / weights.sum()
    assert not copies[weights == 0].any()
    if scheme == "systematic":
        assert ((copies >= (expected - 1e-9).floor()) & (copies <= (expected + 1e-9).ceil())).all()
    if scheme == "residual":
        assert (copies >= (expected - 1e-9).floor()).all()
    if name == "equal" and u == 0.5:
        assert (copies == 1).all()


def test_what_ancestors_refuses() -> None:
    with pytest.raises(
        ValueError, match="resampling must be one of systematic, stratified, residual, got 'multi'"
    ):
        ancestors(torch.zeros(2), torch.full((2,), 0.5), "multi")
    with pytest.raises(
        ValueError, match=r"must both have shape \(walkers,\), got \(2,\) and a tensor.*\(1,\)"
    ):
        ancestors(torch.zeros(2), torch.full((1,), 0.5))


def test_block_sums() -> None:
    values = torch.arange(14, dtype=FLOAT64).view(7, 2)
    assert block_sums(values, 3).tolist() == [[6.0, 9.0], [24.0, 27.0], [12.0, 13.0]]
    assert torch.equal(block_sums(values, 1), values)
    assert block_sums(values, 9).tolist() == [values.sum(0).tolist()]


@pytest.mark.parametrize("scheme", RESAMPLING)
def test_every_slot_is_drawn_by_weight(scheme: str) -> None:
    """Not only all of them together: the first slots of a block may be kept alone."""
    n, draws = 5, 4000
    log_weights = torch.tensor([0.7, 0.1, 1.9, 0.03, 0.4], dtype=FLOAT64).log()
    sampler = make(block=n, resampling=scheme)
    x = torch.arange(n, dtype=torch.int8).view(n, 1, 1).expand(n, 4, 4).contiguous()
    counts = torch.zeros(n, n, dtype=FLOAT64)
    for boundary in range(draws):
        state = lt.Jump(5).init(x, torch.arange(n))._replace(log_weights=log_weights)
        drawn = sampler.resample(state, boundary, seed=4).configurations[:, 0, 0].long()
        counts[torch.arange(n), drawn] += 1
    law = log_weights.softmax(0)
    pulls = (counts - draws * law) / (draws * law * (1 - law)).sqrt()
    assert pulls.abs().max() < sigma_threshold(n * n)


def test_resampling_keeps_the_total_weight_and_what_belongs_to_slots() -> None:
    state = JumpState(
        PATH.start.sample(torch.arange(32), 0),
        torch.linspace(-3.0, 2.0, 32, dtype=FLOAT64),
        torch.full((32,), 2),
        torch.full((32,), 0.2, dtype=FLOAT64),
        torch.arange(64, 96),
        torch.arange(32) + 7,
        torch.zeros(32, 0, dtype=FLOAT64),
    )
    sampler = make(block=32)
    after = sampler.resample(state, 2, seed=1)
    assert (after.log_weights == log_mean_exp(state.log_weights)).all()
    for name in ("interval", "remaining", "walkers", "events"):
        assert torch.equal(getattr(after, name), getattr(state, name))
    rows = {tuple(x) for x in state.configurations.flatten(1).tolist()}
    kept = {tuple(x) for x in after.configurations.flatten(1).tolist()}
    assert kept < rows
    different = [
        sampler.resample(state, 3, seed=1),
        sampler.resample(state, 2, seed=2),
        sampler.resample(state._replace(walkers=state.walkers + 32), 2, seed=1),
    ]
    assert all(not torch.equal(other.configurations, after.configurations) for other in different)


def test_the_order_at_a_boundary(monkeypatch: pytest.MonkeyPatch) -> None:
    """The density increment, then resampling, then the sweeps; none after the last increment."""
    log: list[str] = []
    enter, resample, step = lt.Jump.enter, lt.Sampler.resample, lt.HeatBath.step

    def entered(self: Any, state: JumpState, path: Any, backward: bool = False) -> Any:
        log.append("enter")
        return enter(self, state, path, backward)

    def resampled(self: Any, state: JumpState, boundary: int, seed: int) -> State:
        log.append(f"resample {boundary}")
        assert (state.interval == boundary).all()
        return resample(self, state, boundary, seed)

    def swept(
        self: Any, state: SweepState, path: Any, t: Any, seed: int
    ) -> tuple[SweepState, SweepInfo]:
        log.append("sweep")
        return step(self, state, path, t, seed)

    monkeypatch.setattr(lt.Jump, "enter", entered)
    monkeypatch.setattr(lt.Sampler, "resample", resampled)
    monkeypatch.setattr(lt.HeatBath, "step", swept)
    make(threshold=1.0).sample(16)
    assert log == [act for n in range(5) for act in ("enter", f"resample {n}", "sweep")] + ["enter"]


@pytest.mark.parametrize("kind", KINDS)
def test_record_along_the_path(kind: str) -> None:
    """The ESS before resampling; where it is not below the threshold, nothing happens."""
    ensemble = make(kind, block=64, threshold=0.8).sample(64, seed=2)
    assert ensemble.resamplings.shape == ensemble.times.shape == ensemble.ess_trace.shape == (6,)
    assert 0 < int(ensemble.resamplings.sum()) < 5
    assert torch.equal(ensemble.resamplings[:-1] == 1, ensemble.ess_trace[:-1] < 0.8)
    assert ensemble.resamplings[-1] == 0
    assert float(ensemble.ess_trace[-1]) == pytest.approx(ensemble.ess, abs=1e-12)
    assert ensemble.correlated == 64


@pytest.mark.filterwarnings("ignore::leaps_triton.LowEssWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_a_threshold_that_is_never_reached_changes_nothing(kind: str) -> None:
    never, rare = (
        make(kind, threshold=0.0).sample(40, seed=1),
        make(kind, threshold=1e-6).sample(40, seed=1),
    )
    assert torch.equal(never.configurations, rare.configurations)
    torch.testing.assert_close(never.log_weights, rare.log_weights, rtol=0, atol=1e-5)
    assert rare.correlated == never.correlated == 1
    assert rare.log_z_error == pytest.approx(never.log_z_error, rel=1e-4)


@pytest.mark.parametrize("scheme", RESAMPLING)
@pytest.mark.parametrize("kind", KINDS)
def test_blocks_apart_or_together_and_a_short_last_one(kind: str, scheme: str) -> None:
    sampler = make(kind, resampling=scheme)
    whole = sampler.sample(48, seed=3)
    parts = [sampler.sample(16, seed=3, first_block=block) for block in range(3)]
    assert torch.equal(torch.cat([p.configurations for p in parts]), whole.configurations)
    assert torch.equal(torch.cat([p.log_weights for p in parts]), whole.log_weights)
    assert torch.equal(torch.stack([p.resamplings for p in parts]).sum(0), whole.resamplings)
    short = sampler.sample(37, seed=3)
    assert torch.equal(short.configurations, whole.configurations[:37])
    assert torch.equal(short.log_weights, whole.log_weights[:37])
    assert not torch.equal(sampler.sample(48, seed=4).log_weights, whole.log_weights)


def test_errors_are_those_of_a_jackknife_over_blocks() -> None:
    """From the definition, with a short last block too."""
    for walkers in (64, 53):
        ensemble = make().sample(walkers, seed=5)
        assert ensemble.correlated == 16
        values, blocks = MODEL.energy(ensemble.configurations), torch.arange(walkers) // 16
        log_z, means = [], []
        for block in range(4):
            others = ensemble.log_weights[blocks != block]
            log_z.append(log_mean_exp(others))
            means.append(others.softmax(0) @ values[blocks != block])
        energy = ensemble.estimate(lambda x, model: model.energy(x))
        for theta, error in ((log_z, ensemble.log_z_error), (means, energy.error)):
            assert error == pytest.approx(
                math.sqrt(3 * float(torch.stack(theta).var(correction=0))), rel=1e-9
            )


def test_one_block_has_no_error() -> None:
    ensemble = make().sample(16, seed=5)
    assert math.isnan(ensemble.log_z_error)
    assert math.isnan(ensemble.estimate(lt.observables.energy).error)
    assert math.isfinite(ensemble.log_z) and 0 < ensemble.ess <= 1
    assert ensemble.ess == float(effective_sample_size(ensemble.log_weights))


CASES = [("smc", scheme) for scheme in RESAMPLING] + [(kind, "systematic") for kind in KINDS[1:]]


@pytest.mark.parametrize(("kind", "scheme"), CASES)
def test_log_z_and_observables_agree_with_enumeration(kind: str, scheme: str) -> None:
    """39 pulls of 99 degrees of freedom.

    At their threshold Student's tail is thrice the normal one: 3e-4 in all.
    """
    limit = sigma_threshold(39)
    for name in ("ising 2x3 field", "potts 2x3 q=3", "pm1 3x3")[: 3 if kind == "smc" else 2]:
        model = small_models()[name]
        transport = None if kind == "smc" else random_network(model, scale=0.5).float()
        mcmc = None if kind == "jump" else lt.HeatBath()
        path = lt.AnnealingPath(model)
        sampler = lt.Sampler(
            path, transport, lt.Jump(4), mcmc, 0.9, resampling=scheme, block=20, device="cpu"
        )
        ensemble = sampler.sample(20 * 100, seed=12)
        assert int(ensemble.resamplings.sum()) >= 100
        # The logarithm of a mean lies below that of its expectation by half its variance.
        assert (
            abs(ensemble.log_z - exact.log_z(model))
            < limit * ensemble.log_z_error + ensemble.log_z_error**2
        )
        for observable in (lt.observables.energy, lt.observables.abs_magnetization):
            assert (
                abs(ensemble.estimate(observable).pull(float(exact.expectation(model, observable))))
                < limit
            )


def test_error_bars_have_the_right_size() -> None:
    """Squared pulls of 60 runs of 20 blocks: χ² of 60, within 23 to 117 but for once in 10⁴."""
    model = small_models()["ising 2x3 field"]
    sampler = lt.Sampler(
        lt.AnnealingPath(model), None, lt.Jump(3), lt.HeatBath(), 0.95, block=16, device="cpu"
    )
    total, wrong = 0.0, 0.0
    for seed in range(60):
        ensemble = sampler.sample(320, seed=seed)
        error = ensemble.log_z - exact.log_z(model)
        total += (error / ensemble.log_z_error) ** 2
        wrong += (error / float(lt.weights.log_mean_exp_error(ensemble.log_weights))) ** 2
    assert 20 < total < 130
    # As if all walkers were independent of one another: what the last segment alone would say.
    assert wrong > 300


def test_a_bad_weight_is_reported_before_it_is_resampled_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = 0

    def broken(configurations: Tensor, conditions: Any) -> Tensor:
        nonlocal calls
        calls += 1
        output = torch.zeros(len(configurations), 1, 4, 4)
        output[2:3, 0, 0, 0] = torch.inf if calls == 3 else 1.0
        return output

    monkeypatch.setattr(lt.Jump, "looks", lambda self, device: 2)
    monkeypatch.setattr(lt.Jump, "picks", lambda self, device: False)
    sampler = lt.Sampler(PATH, broken, lt.Jump(5), resample_below=0.5, block=4, device="cpu")
    with pytest.raises(RuntimeError, match=r"log-weight nan|exit rate inf"):
        sampler.sample(4, seed=0)


@pytest.mark.parametrize("threshold", [-0.1, 1.5, math.nan])
def test_thresholds_that_are_refused(threshold: float) -> None:
    with pytest.raises(
        ValueError, match=r"resample_below must be a fraction of the walkers in \[0, 1\], got"
    ):
        make(threshold=threshold)


def test_a_scheme_that_is_refused() -> None:
    with pytest.raises(
        ValueError, match="resampling must be one of systematic, stratified, residual, got 'none'"
    ):
        make(resampling="none")
