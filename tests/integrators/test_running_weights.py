"""Which weights Jump has, who decides, and what files keep of it."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from going_on import FILES
from helpers import local_network, random_local_rates, random_network
from leaps_triton.io.packing import Contents
from leaps_triton.io.parts import completed

FLOAT64 = torch.float64
MODEL = lt.Ising((4, 4), beta=0.4, field=0.1)
PATH = lt.AnnealingPath(MODEL)
TIMES = [0.0, 0.2, 0.7, 1.0]


class Twisted(lt.AnnealingPath):
    """A path of a user's own."""


class Alone(lt.Jump):
    """An integrator of a user's own, whose constructor takes less."""

    def __init__(self, intervals: Any) -> None:
        super().__init__(intervals)


class OwnStep(lt.Jump):
    """An integrator whose step is the user's own."""

    def step(self, *given: Any, **named: Any) -> Any:
        return super().step(*given, **named)


class OwnEntry(lt.Jump):
    """An integrator whose entry is the user's own."""

    def enter(self, *given: Any, **named: Any) -> Any:
        return super().enter(*given, **named)


class TwoSpins:
    """A model that tells its energy alone."""

    lattice = lt.Lattice((2,))
    q = 2
    beta = 0.1

    def energy(self, configurations: Tensor) -> Tensor:
        spins = 2.0 * configurations.double() - 1.0
        return -spins[:, 0] * spins[:, 1]


def weights_of(path: Any, network: Any, jump: lt.Jump, mcmc: Any = None) -> Any:
    return lt.Sampler(path, network, jump, mcmc, device="cpu").integrator.settings["weights"]


def test_weights_run_where_something_moves_within_intervals() -> None:
    network = random_network(MODEL)
    assert weights_of(PATH, network, lt.Jump(3)) == "running"
    assert weights_of(PATH, random_local_rates(MODEL), lt.Jump(3)) == "running"
    assert weights_of(PATH, None, lt.Jump(3, reversible="barker")) == "running"
    assert weights_of(PATH, network, lt.Jump(3, weights="frozen")) == "frozen"
    # Nothing moves, so that there is nothing to gain.
    assert weights_of(PATH, None, lt.Jump(3), lt.HeatBath()) == "frozen"
    assert weights_of(PATH, None, lt.Jump(3, weights="running"), lt.HeatBath()) == "running"


def test_weights_are_frozen_with_domains_and_along_other_paths() -> None:
    near = local_network(MODEL)
    assert weights_of(PATH, near, lt.Jump(3, domain=2)) == "frozen"
    assert weights_of(Twisted(MODEL), near, lt.Jump(3)) == "frozen"
    assert weights_of(PATH, near, Alone(3)) is None
    # Where a rate might change by e^10 within half an interval, weights run if they are told to.
    cold = lt.AnnealingPath(MODEL.at(2.0))
    assert weights_of(cold, near, lt.Jump(1)) == "running"
    colder = lt.AnnealingPath(MODEL.at(4.0))
    assert weights_of(colder, near, lt.Jump(1)) == "frozen"
    assert weights_of(colder, near, lt.Jump(1, weights="running")) == "running"
    assert weights_of(colder, near, lt.Jump(2)) == "running"
    with pytest.raises(ValueError, match=r"with domains weights are frozen.*domain=2"):
        lt.Jump(3, domain=2, weights="running")
    message = r"cannot run here: the path must be an AnnealingPath.*got Twisted"
    with pytest.raises(ValueError, match=message):
        lt.Sampler(Twisted(MODEL), near, lt.Jump(3, weights="running"), device="cpu")
    with pytest.raises(ValueError, match="weights must be None or one of running, frozen, got 4"):
        lt.Jump(3, weights=4)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [OwnStep, OwnEntry])
def test_steps_of_the_users_own_keep_frozen_weights(kind: type[lt.Jump]) -> None:
    network = random_network(MODEL)
    assert weights_of(PATH, network, kind(3)) == "frozen"
    assert weights_of(PATH, network, kind(3, weights="running")) == "running"
    # A run that goes on decides nothing else.
    before = lt.Jump(3, weights="running")
    assert kind(3).settled(PATH, network, before).weights == "frozen"


def test_weights_are_frozen_where_bonds_are_unknown() -> None:
    path = lt.AnnealingPath(TwoSpins())
    assert weights_of(path, None, lt.Jump(3, "barker")) == "frozen"
    assert weights_of(path, None, lt.Jump(3, "barker", weights="running")) == "running"


def test_rates_that_underflow_are_refused() -> None:
    model = lt.Ising((2,), beta=60.0)
    path = lt.AnnealingPath(model)
    network = lt.LEC(model, channels=2, kernel_sizes=[3])
    with pytest.raises(ValueError, match=r"change by e\^120, .*float32.*take more intervals"):
        weights_of(path, network, lt.Jump(1, weights="running"))
    assert weights_of(path, network, lt.Jump(2, weights="running")) == "running"
    assert weights_of(path, network.double(), lt.Jump(1, weights="running")) == "running"


def test_a_beta_that_nearly_stands_still_is_left_to_frozen_weights() -> None:
    def standing(t: Tensor) -> Tensor:
        return 4.0 * (t - 0.5) ** 3 + 0.5

    def nearly(t: Tensor) -> Tensor:
        return standing(t) + 1e-10 * torch.sin(2.0 * torch.pi * t)

    network = random_network(MODEL)
    path = lt.AnnealingPath(MODEL, schedule=nearly)
    assert weights_of(path, network, lt.Jump(5)) == "frozen"
    with pytest.raises(ValueError, match=r"over a small dβ/dt, which makes -?\d"):
        weights_of(path, network, lt.Jump(5, weights="running"))
    # Without an output there is nothing to be multiplied.
    still = lt.AnnealingPath(MODEL, schedule=standing)
    assert weights_of(still, network, lt.Jump(5)) == "frozen"
    assert weights_of(still, None, lt.Jump(5, "barker")) == "running"


def test_what_was_decided_goes_with_the_integrator() -> None:
    sampler = lt.Sampler(PATH, random_network(MODEL), lt.Jump(3), device="cpu")
    jump: Any = sampler.integrator
    assert jump.running and jump.with_times(TIMES).settings["weights"] == "running"
    assert jump.densities.tolist() == [0.0, *jump.times[:-1].tolist(), 1.0]
    assert jump.boundary_times.tolist() == jump.times[:-1].tolist()
    frozen = lt.Jump(TIMES)
    assert not frozen.running and frozen.boundary_times.tolist() == frozen.frozen.tolist()


def test_entering_adds_nothing_and_holds_add_all() -> None:
    jump = lt.Jump(TIMES, "barker", weights="running")
    state = jump.init(PATH.start.sample(torch.arange(6), 1), torch.arange(6))
    state, entered = jump.enter(state, PATH)
    assert entered.all() and not state.log_weights.any()
    assert state.remaining.tolist() == pytest.approx([0.2] * 6)
    # Those with time left stay where they are, those without go on, those at the end are done.
    there = state._replace(
        interval=torch.tensor([0, 0, 1, 2, 3, 3]),
        remaining=torch.tensor([0.1, 0.0, 0.0, 0.0, 0.0, 0.0], dtype=FLOAT64),
    )
    after, entered = jump.enter(there, PATH)
    assert after.interval.tolist() == [0, 1, 2, 3, 3, 3]
    assert entered.tolist() == [False, True, True, True, False, False]
    assert after.remaining.tolist() == pytest.approx([0.1, 0.5, 0.3, 0.0, 0.0, 0.0])
    back, entered = jump.enter(
        there._replace(interval=torch.tensor([0, 0, 1, 2, 3, -1])), PATH, True
    )
    assert back.interval.tolist() == [0, -1, 0, 1, 2, -1]
    assert back.remaining.tolist() == pytest.approx([0.1, 0.0, 0.2, 0.5, 0.3, 0.0])


def test_rates_that_are_not_finite_name_walker_time_and_rate() -> None:
    def broken(configurations: Tensor, conditions: Any) -> Tensor:
        output = torch.ones_like(configurations, dtype=torch.float32).unsqueeze(1)
        output[conditions.t > 0.4] = torch.inf
        return output

    sampler = lt.Sampler(PATH, broken, lt.Jump(4, weights="running"), block=4, device="cpu")
    with pytest.raises(RuntimeError, match=r"walker [0-3] at t = 0\.625: exit rate inf and"):
        sampler.sample(4)


@pytest.mark.parametrize("along", [[0.1, 0.25, 0.4], True])
def test_walkers_are_measured_at_the_grid_times(along: Any) -> None:
    betas = [0.1, 0.25, 0.4]
    times = lt.schedules.through(PATH, betas, intervals=4, edges=True)
    assert times.tolist() == pytest.approx([0.0, 0.25, 0.4375, 0.625, 0.8125, 1.0])
    sampler = lt.Sampler(PATH, random_network(MODEL), lt.Jump(times), block=20, device="cpu")
    found = sampler.sample(20, along=along, observables=["energy"]).by_beta
    expected = betas if isinstance(along, list) else PATH.beta(times).tolist()
    assert [stage.model.beta for stage in found] == pytest.approx(expected)
    middles = lt.Jump(lt.schedules.through(PATH, betas, intervals=4))
    with pytest.raises(ValueError, match="with edges=True for running weights"):
        sampler.with_integrator(middles).sample(20, along=betas)
    # A scan takes the times that suit the sampler.
    made = lt.scan(MODEL, betas, method="annealing", sampler=sampler, walkers=20)
    assert list(made.betas) == pytest.approx(betas)


def test_times_are_chosen_for_running_weights_too() -> None:
    sampler = lt.Sampler(PATH, random_network(MODEL, scale=1.0), lt.Jump(6), device="cpu")
    assert sampler.integrator.running
    even = lt.schedules.thermodynamic_length(sampler, intervals=4, walkers=32)
    ladder = lt.schedules.constant_ess(sampler, 0.6, walkers=32, rounds=1)
    for times in (even, ladder):
        assert times[0] == 0.0 and times[-1] == 1.0 and bool((times.diff() > 0).all())


def test_files_keep_weights_and_gauge(tmp_path: Path) -> None:
    for jump in (lt.Jump(3), lt.Jump(3, weights="frozen")):
        sampler = lt.Sampler(PATH, random_network(MODEL), jump, block=8, device="cpu")
        lt.save(sampler, tmp_path / "one.safetensors")
        again = lt.load(tmp_path / "one.safetensors", device="cpu")
        assert again.integrator.settings == sampler.integrator.settings
        network: Any = again.transport
        assert network.gauge == "heat_bath"
        assert torch.equal(again.sample(8).log_weights, sampler.sample(8).log_weights)


def test_files_of_earlier_versions_are_plain_and_frozen() -> None:
    for name in ("network-lem-ising", "jump-tables-never", "leap-default"):
        sampler: Any = lt.load(FILES / f"{name}.safetensors", device="cpu")
        assert sampler.transport.gauge == "plain"
        assert sampler.integrator.settings.get("weights") != "running"
    jump = {"class": "Jump", "intervals": 2}
    later = completed(Contents({"integrator": jump}, {})).manifest["integrator"]
    assert later == {"weights": "frozen", **jump}
    leap = {"class": "TauLeap", "intervals": 2, "weights": "euler"}
    assert completed(Contents({"integrator": leap}, {})).manifest["integrator"] == leap


def test_a_run_goes_on_with_the_weights_it_began_with(tmp_path: Path) -> None:
    """Where its user names none: a file of frozen weights stays one."""
    network = random_network(MODEL)

    def sampler(weights: str | None) -> lt.Sampler:
        jump = lt.Jump(3, weights=weights)
        return lt.Sampler(PATH, network, jump, block=8, device="cpu")

    file = tmp_path / "run.h5"
    lt.io.sample(sampler("frozen"), 8, file)
    longer = lt.io.sample(sampler(None), 16, file, resume=True)
    whole = sampler("frozen").sample(16)
    assert torch.equal(longer.log_weights, whole.log_weights)
    message = r"weights frozen \(now running; give Jump\(weights='frozen'\)\)"
    with pytest.raises(ValueError, match=message):
        lt.io.sample(sampler("running"), 24, file, resume=True)
    assert json.dumps(longer.manifest["integrator"]["weights"]) == '"frozen"'


def test_other_blocks_and_times_leave_the_weights_open(tmp_path: Path) -> None:
    network = random_network(MODEL)

    def sampler(times: Any, weights: str | None = None) -> lt.Sampler:
        return lt.Sampler(PATH, network, lt.Jump(times, weights=weights), device="cpu")

    file = tmp_path / "run.h5"
    lt.io.sample(sampler(TIMES, "frozen").with_block(8), 8, file)
    other = sampler(3).with_block(8)
    other = other.with_integrator(other.integrator.with_times(TIMES))
    assert other.integrator.settings["weights"] == "running"
    longer = lt.io.sample(other, 16, file, resume=True)
    assert longer.manifest["integrator"]["weights"] == "frozen"
    alone = lt.Sampler(PATH, network, Alone(3), device="cpu")
    assert alone.with_integrator(Alone(4)).integrator.intervals == 4
