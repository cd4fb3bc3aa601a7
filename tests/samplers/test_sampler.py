"""Sampler and WeightedEnsemble: blocks, seeds, the record along the path, statistics, refusals."""

from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from helpers import random_network, sigma_threshold, small_models
from leaps_triton import exact
from leaps_triton.estimators.weights import effective_sample_size

MODEL = lt.Ising((4, 4), beta=0.35, field=0.1)
PATH = lt.AnnealingPath(MODEL)


def network(seed: int = 1) -> lt.HollowConv:
    return random_network(MODEL, seed).float()


def make(kind: str, block: int = 16, intervals: int = 5) -> lt.Sampler:
    transport = None if kind == "ais" else network()
    mcmc = None if kind == "jump" else lt.HeatBath(sweeps=1)
    return lt.Sampler(
        PATH, transport, integrator=lt.Jump(intervals), mcmc=mcmc, block=block, device="cpu"
    )


KINDS = ["jump", "jump and heat bath", "ais"]


def assert_same(one: Any, two: Any) -> None:
    assert torch.equal(one.configurations, two.configurations)
    assert torch.equal(one.log_weights, two.log_weights)


@pytest.mark.parametrize("kind", KINDS)
def test_same_seed_same_walkers_however_the_blocks_are_divided(kind: str) -> None:
    sampler = make(kind)
    whole = sampler.sample(walkers=48, seed=3)
    assert_same(sampler.sample(walkers=48, seed=3), whole)
    parts = [sampler.sample(walkers=16, seed=3, first_block=block) for block in range(3)]
    assert torch.equal(torch.cat([p.configurations for p in parts]), whole.configurations)
    assert torch.equal(torch.cat([p.log_weights for p in parts]), whole.log_weights)
    assert not torch.equal(sampler.sample(walkers=48, seed=4).log_weights, whole.log_weights)


@pytest.mark.parametrize("kind", KINDS)
def test_a_short_last_block_is_padded(kind: str) -> None:
    """A walker does not know how many others were asked for."""
    sampler = make(kind)
    some, more = sampler.sample(walkers=19, seed=3), sampler.sample(walkers=32, seed=3)
    assert some.configurations.shape == (19, 4, 4)
    assert torch.equal(some.configurations, more.configurations[:19])
    assert torch.equal(some.log_weights, more.log_weights[:19])


@pytest.mark.parametrize("kind", KINDS)
def test_block_size_changes_nothing_but_rounding(kind: str) -> None:
    """Random numbers depend on the walker alone; a network's rounding may depend on the batch."""
    one, two = make(kind, block=16).sample(32, seed=3), make(kind, block=7).sample(32, seed=3)
    torch.testing.assert_close(one.log_weights, two.log_weights, rtol=0, atol=1e-4)
    assert torch.equal(one.configurations, two.configurations)


@pytest.mark.parametrize("kind", KINDS)
def test_record_along_the_path(kind: str) -> None:
    sampler = make(kind, intervals=6)
    ensemble = sampler.sample(walkers=40, seed=0)
    weighed = sampler.integrator.boundary_times
    assert torch.equal(ensemble.times, torch.cat([weighed, torch.ones(1, dtype=torch.float64)]))
    assert ensemble.ess_trace.shape == (7,)
    assert float(ensemble.ess_trace[-1]) == pytest.approx(ensemble.ess, abs=1e-12)
    # The first increment is from β = 0 to β at the first boundary, of configurations of the start.
    x = PATH.start.sample(torch.arange(40), 0)
    first = effective_sample_size(PATH.log_increment(x, 0.0, float(weighed[0])))
    assert float(ensemble.ess_trace[0]) == pytest.approx(float(first), abs=1e-12)
    assert ((ensemble.ess_trace > 0) & (ensemble.ess_trace <= 1)).all()


def test_evaluations_are_counted() -> None:
    assert make("ais", intervals=6).sample(20, seed=0).evaluations == 6.0
    seen = 0
    inner = network()

    def counting(configurations: Tensor, conditions: Any) -> Tensor:
        nonlocal seen
        seen += len(configurations)
        return inner(configurations, conditions)

    sampler = lt.Sampler(PATH, counting, integrator=lt.Jump(5), block=16, device="cpu")
    assert sampler.sample(16, seed=0).evaluations * 16 == seen


def test_every_evaluation_of_a_walker_is_of_that_walker(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU only walkers with time remaining are evaluated.

    The result is that of evaluating all.
    """
    sampler = make("jump and heat bath")
    lean = sampler.sample(16, seed=5)

    def whole(self: Any, state: Any, way: Any, look: bool) -> Any:
        return self.step(state, way.path, way.answers.given, way.seed)[0]

    monkeypatch.setattr(lt.Jump, "_advance", whole)
    full = sampler.sample(16, seed=5)
    torch.testing.assert_close(lean.log_weights, full.log_weights, rtol=0, atol=1e-4)
    assert torch.equal(lean.configurations, full.configurations)


@pytest.mark.parametrize("name", list(small_models()))
@pytest.mark.parametrize("kind", KINDS)
def test_sampled_weights_and_observables_agree_with_enumeration(name: str, kind: str) -> None:
    """Every |pull| is below a threshold that 45 pulls pass but for once in 10⁴ runs."""
    model = small_models()[name]
    path = lt.AnnealingPath(model)
    transport = None if kind == "ais" else random_network(model, scale=0.5).float()
    mcmc = None if kind == "jump" else lt.HeatBath()
    sampler = lt.Sampler(path, transport, lt.Jump(8), mcmc, block=2048, device="cpu")
    ensemble = sampler.sample(2048, seed=11)
    limit = sigma_threshold(45)
    assert ensemble.ess > 0.02
    assert abs(ensemble.log_z - exact.log_z(model)) < limit * ensemble.log_z_error
    for observable in (lt.observables.energy, lt.observables.abs_magnetization):
        expected = float(exact.expectation(model, observable))
        assert abs(ensemble.estimate(observable).pull(expected)) < limit


def test_a_start_of_ones_own() -> None:
    """From exact samples at half the inverse temperature; β_0 = 0.5 β, log Z_0 by enumeration."""
    model = lt.Ising((3, 3), beta=0.6, field=0.2)
    half = exact.enumerate_model(model, beta=0.3)

    class Half:
        log_z = half.log_z

        def sample(self, walkers: Tensor, seed: int) -> Tensor:
            words = lt.kernels.philox(seed, 77, 0, 0, 0, walkers)
            u = lt.kernels.uniform64(words[0], words[1])
            return half.configurations[
                torch.searchsorted(half.log_probabilities.exp().cumsum(0), u)
            ]

    path = lt.AnnealingPath(model, start=Half(), schedule=lambda t: 0.5 + 0.5 * t)
    ensemble = lt.Sampler(path, None, lt.Jump(10), lt.HeatBath(), device="cpu").sample(1024, seed=0)
    assert abs(ensemble.log_z - exact.log_z(model)) < 4 * ensemble.log_z_error
    assert ensemble.ess > 0.3


@pytest.mark.filterwarnings("ignore::leaps_triton.LowEssWarning")
def test_a_model_that_knows_only_its_energy() -> None:
    """The jump process is that of the full model.

    Heat bath goes site by site, so only its law is the same.
    """
    full = lt.Ising((4, 4), beta=0.35)

    class Plain:
        lattice, q, beta = full.lattice, 2, full.beta

        def energy(self, configurations: Tensor) -> Tensor:
            return full.energy(configurations)

    plain = lt.AnnealingPath(Plain())
    # Left open, weights would be frozen where bonds are unknown.
    jump = lt.Jump(3, weights="running")
    fast = lt.Sampler(lt.AnnealingPath(full), network(), jump, block=64, device="cpu").sample(
        64, seed=0
    )
    slow = lt.Sampler(plain, network(), jump, block=64, device="cpu").sample(64, seed=0)
    assert torch.equal(fast.configurations, slow.configurations)
    torch.testing.assert_close(fast.log_weights, slow.log_weights, rtol=0, atol=1e-4)
    assert fast.estimate(lt.observables.abs_magnetization) == pytest.approx(
        slow.estimate(lt.observables.abs_magnetization)
    )
    ais = lt.Sampler(plain, None, lt.Jump(10), lt.HeatBath(), block=256, device="cpu").sample(
        256, seed=0
    )
    assert abs(ais.log_z - exact.log_z(full)) < 4 * ais.log_z_error
    assert ais.ess > 0.3


def test_rates_that_are_not_finite_are_reported() -> None:
    def broken(configurations: Tensor, conditions: Any) -> Tensor:
        output = torch.zeros(len(configurations), 1, 4, 4)
        output[5 % len(configurations), 0, 1, 2] = torch.nan
        return output

    sampler = lt.Sampler(PATH, broken, lt.Jump(5), block=16, device="cpu")
    with pytest.raises(RuntimeError, match=r"walker 5 at t = 0.1: exit rate nan"):
        sampler.sample(16, seed=0)


def test_too_many_events_are_reported_not_cut() -> None:
    def restless(configurations: Tensor, conditions: Any) -> Tensor:
        return 100.0 * (2.0 * configurations.unsqueeze(1).float() - 1.0)

    sampler = lt.Sampler(PATH, restless, lt.Jump(2, max_events=10), block=4, device="cpu")
    with pytest.raises(RuntimeError, match=r"more than max_events = 10 evaluations"):
        sampler.sample(4, seed=0)


@pytest.mark.filterwarnings("ignore::leaps_triton.LowEssWarning")
def test_estimate_uses_the_observables_function_or_the_given_one() -> None:
    ensemble = make("ais").sample(200, seed=0)
    chi = ensemble.estimate(lt.observables.susceptibility)
    again = ensemble.estimate(
        lt.observables.susceptibility, function=lambda m: m[..., 2] - m[..., 0] * m[..., 1]
    )
    assert chi == again
    assert chi.value > 0
    assert chi.error > 0
    with pytest.raises(ValueError, match="need function="):
        ensemble.estimate(lambda x, model: torch.zeros(200, 2))


def test_block_follows_from_the_lattice() -> None:
    blocks = {
        shape: lt.Sampler(lt.AnnealingPath(lt.Ising(shape, 0.4)), None, mcmc=lt.HeatBath()).block
        for shape in ((4, 4), (16, 16), (32, 32), (256, 256))
    }
    assert blocks == {(4, 4): 1024, (16, 16): 1024, (32, 32): 256, (256, 256): 64}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"walkers": 0}, "walkers must be an integer from 1 to 2147483648, got 0"),
        ({"walkers": 2.5}, "walkers must be an integer"),
        ({"walkers": 4, "seed": -1}, r"seed must be an integer in \[0, 2\*\*32\), got -1"),
        ({"walkers": 4, "seed": 2**32}, "seed must be"),
        ({"walkers": 4, "first_block": -1}, "first_block must be an integer from 0 to .*, got -1"),
        ({"walkers": 4, "first_block": 2**31}, "first_block must be"),
    ],
)
def test_bad_requests_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make("ais").sample(**arguments)


@pytest.mark.parametrize("reversible", lt.kernels.REVERSIBLE)
@pytest.mark.parametrize("learned", [True, False], ids=["network", "no network"])
def test_reversible_rates_sample_the_model(reversible: str, learned: bool) -> None:
    """Twelve pulls; a false alarm once in 10⁴ runs of all six."""
    model = small_models()["potts 2x3 q=3"]
    transport = random_network(model, scale=0.5).float() if learned else None
    jump = lt.Jump(5, reversible=reversible, scale=10.0)
    ensemble = lt.Sampler(
        lt.AnnealingPath(model), transport, jump, block=2048, device="cpu"
    ).sample(2048, seed=3)
    limit = sigma_threshold(12)
    assert abs(ensemble.log_z - exact.log_z(model)) < limit * ensemble.log_z_error
    energy = ensemble.estimate(lt.observables.energy)
    assert abs(energy.pull(float(exact.expectation(model, lt.observables.energy)))) < limit
    still = lt.Sampler(
        lt.AnnealingPath(model), None, lt.Jump(5), lt.HeatBath(), block=2048, device="cpu"
    )
    assert ensemble.ess > (0.1 if learned else 0.8 * still.sample(2048, seed=3).ess)


def test_fast_reversible_rates_may_have_many_events() -> None:
    """The limit on events grows with their scale."""
    jump = lt.Jump(1, reversible="metropolis", scale=500.0)
    ensemble = lt.Sampler(
        lt.AnnealingPath(lt.Ising(4, beta=0.1)), None, jump, device="cpu", block=2
    ).sample(2)
    assert ensemble.evaluations > 1000 + 400


def test_bad_assemblies_are_refused() -> None:
    with pytest.raises(ValueError, match="walkers would never move"):
        lt.Sampler(PATH, None)
    with pytest.raises(ValueError, match="block must be an integer of at least 1, got 0"):
        lt.Sampler(PATH, None, mcmc=lt.HeatBath(), block=0)


@pytest.mark.parametrize("kind", ["jump", "jump and heat bath"])
def test_looking_seldom_changes_nothing(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, where every look at the walkers makes it wait.

    Finished walkers stay as they are.
    """
    often = make(kind).sample(32, seed=2)
    monkeypatch.setattr(lt.Jump, "looks", lambda self, device: 7)
    monkeypatch.setattr(lt.Jump, "picks", lambda self, device: False)
    seldom = make(kind).sample(32, seed=2)
    assert torch.equal(seldom.configurations, often.configurations)
    torch.testing.assert_close(seldom.log_weights, often.log_weights, rtol=0, atol=1e-4)
    torch.testing.assert_close(seldom.ess_trace, often.ess_trace, rtol=0, atol=1e-4)
    assert seldom.evaluations == often.evaluations


def test_a_bad_rate_is_reported_by_a_late_look(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0

    def broken(configurations: Tensor, conditions: Any) -> Tensor:
        nonlocal calls
        calls += 1
        output = torch.zeros(len(configurations), 1, 4, 4)
        output[:, 0, 0, 0] = torch.inf if calls == 3 else 1.0
        return output

    monkeypatch.setattr(lt.Jump, "looks", lambda self, device: 7)
    monkeypatch.setattr(lt.Jump, "picks", lambda self, device: False)
    sampler = lt.Sampler(PATH, broken, lt.Jump(5), block=4, device="cpu")
    with pytest.raises(RuntimeError, match="walker 0 at t = 1 has log-weight nan"):
        sampler.sample(4, seed=0)


@pytest.mark.filterwarnings("ignore::leaps_triton.LowEssWarning")
def test_an_observable_reads_what_only_the_users_model_has() -> None:
    class Plain:
        lattice, q, beta, scale = MODEL.lattice, 2, MODEL.beta, 3.0

        def energy(self, configurations: Tensor) -> Tensor:
            return MODEL.energy(configurations)

    sampler = lt.Sampler(
        lt.AnnealingPath(Plain()), None, lt.Jump(2), lt.HeatBath(), block=8, device="cpu"
    )
    ensemble = sampler.sample(8, seed=0)
    assert ensemble.estimate(
        lambda x, model: torch.full((len(x),), model.scale)
    ).value == pytest.approx(3.0)
    with pytest.raises(AttributeError, match="colour"):
        ensemble.estimate(lambda x, model: model.colour)


def test_an_energy_of_the_wrong_shape_is_refused() -> None:
    class Wrong:
        lattice, q, beta = MODEL.lattice, 2, MODEL.beta

        def energy(self, configurations: Tensor) -> Tensor:
            return MODEL.energy(configurations).unsqueeze(1)

    sampler = lt.Sampler(
        lt.AnnealingPath(Wrong()), None, lt.Jump(2), lt.HeatBath(), block=8, device="cpu"
    )
    with pytest.raises(
        ValueError, match=r"energy\(configurations\) of Wrong must have shape \(8,\), got \(8, 1\)"
    ):
        sampler.sample(8, seed=0)
