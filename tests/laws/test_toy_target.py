"""A continuous target of a user's own goes everywhere that needs no states per site.

A Gaussian with energy and force, and a move, a start and a schedule to go with it, are written here
as a user would write them. Their mean, variance and ``log Z`` are known.
"""

import math
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from leaps_triton import paths, registry
from leaps_triton.kernels import Stream, philox, uniform64

FLOAT64 = torch.float64

# 4.5 sigma of a normal number: once in 10⁵.
SIGMAS = 4.5


def normals(seed: int, walker_index: Tensor, event: int, count: int) -> Tensor:
    """Independent standard normal numbers, float64 ``(walkers, count)``, by Box and Muller."""
    places = torch.arange(count, device=walker_index.device)
    words = philox(seed, Stream.SWEEP, places, event, 1, walker_index.unsqueeze(1), None)
    first = uniform64(words[0], words[1])
    second = uniform64(words[2], words[3])
    return (-2.0 * torch.log1p(-first)).sqrt() * torch.cos(2.0 * math.pi * second)


class Gaussian:
    """``H(x) = ½ Σ_i k_i (x_i - m)²``, on a line of sites."""

    dtype = FLOAT64

    def __init__(self, stiffness: list[float], mean: float, beta: float) -> None:
        self.shape = (len(stiffness),)
        self.stiffness = torch.tensor(stiffness, dtype=FLOAT64)
        self.mean = mean
        self.beta = beta

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments that make this target again."""
        return {"stiffness": self.stiffness.tolist(), "mean": self.mean, "beta": self.beta}

    def energy(self, configurations: Tensor) -> Tensor:
        """``H(x)``, float64 ``(walkers,)``."""
        distance = configurations - self.mean
        return 0.5 * (self.stiffness * distance**2).sum(1)

    def force(self, configurations: Tensor) -> Tensor:
        """``-∂H/∂x``, ``(walkers, *shape)``."""
        return -self.stiffness * (configurations - self.mean)

    def log_z(self, beta: float) -> float:
        """``log ∫ e^{-βH} dx``."""
        return 0.5 * float((2.0 * math.pi / (beta * self.stiffness)).log().sum())


class HotGaussian:
    """A start: the same Gaussian at another inverse temperature, drawn exactly."""

    def __init__(self, stiffness: list[float], mean: float, beta: float) -> None:
        self.model = Gaussian(stiffness, mean, beta)
        self.log_z = self.model.log_z(beta)

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments that make this start again."""
        return self.model.settings

    def sample(self, walkers: Tensor, seed: int) -> Tensor:
        """Independent configurations, ``(walkers, *shape)``."""
        width = (self.model.beta * self.model.stiffness).rsqrt()
        noise = normals(seed, walkers, 0, len(width))
        return self.model.mean + width * noise


class LangevinState(NamedTuple):
    """Walkers of a chain."""

    configurations: Tensor
    walkers: Tensor
    sweep: int


class LangevinInfo(NamedTuple):
    """What one step did."""

    accepted: Tensor


class OwnLangevin:
    """Langevin steps along the force, accepted or not as Metropolis would have it."""

    def __init__(self, step: float) -> None:
        self.size = step

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments that make this move again."""
        return {"step": self.size}

    def init(self, configurations: Tensor, walkers: Tensor) -> LangevinState:
        """Chains that start from the configurations."""
        return LangevinState(configurations, walkers, 0)

    def step(
        self, state: LangevinState, path: Any, t: Tensor | float, seed: int
    ) -> tuple[LangevinState, LangevinInfo]:
        """One step of every walker, which leaves ``ρ_t`` as it is."""
        x = state.configurations
        event = state.sweep + 1
        noise = normals(seed, state.walkers, event, x.shape[1])
        y = self._drifted(x, path, t) + math.sqrt(2.0 * self.size) * noise
        odds = path.log_density(y, t) + self._log_odds(y, x, path, t)
        odds = odds - path.log_density(x, t) - self._log_odds(x, y, path, t)
        words = philox(seed, Stream.SWEEP, 0, event, 2, state.walkers, None)
        accepted = uniform64(words[0], words[1]).log() < odds
        after = torch.where(accepted.unsqueeze(1), y, x)
        return LangevinState(after, state.walkers, event), LangevinInfo(accepted)

    def reversed(self) -> "OwnLangevin":
        """The move reversed in time, which is the move itself."""
        return self

    def _drifted(self, x: Tensor, path: Any, t: Tensor | float) -> Tensor:
        return x + self.size * path.beta(t).unsqueeze(1) * path.model.force(x)

    def _log_odds(self, start: Tensor, end: Tensor, path: Any, t: Tensor | float) -> Tensor:
        """Log-probability density of a proposal, up to a constant."""
        distance = end - self._drifted(start, path, t)
        return -(distance**2).sum(1) / (4.0 * self.size)


def from_a_tenth(t: Tensor) -> Tensor:
    """A schedule that begins where the start is."""
    return 0.1 + 0.9 * t


STIFFNESS = [1.0, 2.0, 0.5]
BETA = 1.5
MEAN = 0.7
MODEL: Any = Gaussian(STIFFNESS, MEAN, BETA)
START = HotGaussian(STIFFNESS, MEAN, 0.1 * BETA)
MOVE = OwnLangevin(0.3)

NAMED: dict[str, Any] = {
    "model": Gaussian,
    "start": HotGaussian,
    "move": OwnLangevin,
    "schedule": from_a_tenth,
}


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enter all of them under names that files can hold, for the time of a test."""
    table = {kind: registry.things(kind) for kind in registry.KINDS}
    monkeypatch.setattr(registry, "_TABLE", table)
    for kind, thing in NAMED.items():
        lt.register(kind)(thing)


def path() -> lt.AnnealingPath:
    return lt.AnnealingPath(MODEL, start=START, schedule=from_a_tenth)


def sampler(**options: Any) -> lt.Sampler:
    chosen = {"block": 256, "device": "cpu", **options}
    return lt.Sampler(path(), None, lt.Jump(20), MOVE, **chosen)


def first_site(configurations: Tensor, model: Any) -> Tensor:
    """An observable of the user's own."""
    return configurations[:, 0]


def test_the_force_is_the_gradient_of_the_energy() -> None:
    x = START.sample(torch.arange(5), seed=1).requires_grad_()
    (gradient,) = torch.autograd.grad(MODEL.energy(x).sum(), x)
    torch.testing.assert_close(MODEL.force(x), -gradient)


def test_the_path_leads_from_the_start_to_the_target() -> None:
    x = START.sample(torch.arange(5), seed=1)
    assert x.dtype == path().model.dtype and tuple(x.shape[1:]) == path().model.shape
    torch.testing.assert_close(path().log_density(x, 0.0), -0.1 * BETA * MODEL.energy(x))
    torch.testing.assert_close(path().log_density(x, 1.0), -BETA * MODEL.energy(x))
    torch.testing.assert_close(
        path().log_increment(x, 0.25, 0.75),
        path().log_density(x, 0.75) - path().log_density(x, 0.25),
    )


def test_a_chain_samples_the_target() -> None:
    chain = lt.run_chain(
        MODEL,
        MOVE,
        walkers=64,
        sweeps=2000,
        observables={"energy": lt.observables.energy, "first": first_site},
        start=START.sample(torch.arange(64), seed=2),
        seed=3,
        device="cpu",
    )
    energy = chain.estimate("energy")
    # Equipartition: the energy of a site is 1/2β.
    assert abs(energy.pull(0.5 / BETA)) < SIGMAS
    assert energy.error < 0.01
    assert abs(chain.estimate("first").pull(MEAN)) < SIGMAS
    assert chain.configurations.dtype == FLOAT64


@pytest.mark.parametrize("resample_below", [0.0, 0.95], ids=["AIS", "SMC"])
def test_weights_give_log_z_and_observables(resample_below: float) -> None:
    ensemble = sampler(resample_below=resample_below).sample(8 * 256, seed=5)
    assert bool(ensemble.resamplings.any()) == (resample_below > 0.0)
    assert ensemble.configurations.dtype == FLOAT64
    assert ensemble.log_z_error < 0.1
    assert abs(ensemble.log_z - MODEL.log_z(BETA)) < SIGMAS * ensemble.log_z_error
    energy = ensemble.estimate("energy")
    assert ensemble.enough and energy.error < 0.02
    assert abs(energy.pull(0.5 / BETA)) < SIGMAS
    assert abs(ensemble.estimate(first_site).pull(MEAN)) < SIGMAS


def test_a_wrong_log_z_of_the_start_is_seen() -> None:
    """The comparison above has teeth: half a bit is far outside its errors."""
    ensemble = sampler().sample(8 * 256, seed=5)
    assert abs(ensemble.log_z + 0.35 - MODEL.log_z(BETA)) > SIGMAS * ensemble.log_z_error


def test_results_do_not_depend_on_how_blocks_are_divided() -> None:
    whole = sampler().sample(512, seed=6)
    second = sampler().sample(256, seed=6, first_block=1)
    assert torch.equal(whole.configurations[256:], second.configurations)
    assert torch.equal(whole.log_weights[256:], second.log_weights)


def test_reversed_paths_begin_in_exact_samples() -> None:
    exact = HotGaussian(STIFFNESS, MEAN, BETA).sample(torch.arange(1024), seed=7)
    back = lt.reverse_ess(sampler(), exact, seed=8)
    assert abs(back.log_z - MODEL.log_z(BETA)) < SIGMAS * back.log_z_error
    assert 0.1 < back.ess <= 1.0
    with pytest.raises(ValueError, match="samples"):
        lt.reverse_ess(sampler(), exact[:, :2], seed=8)
    with pytest.raises(ValueError, match="finite"):
        lt.reverse_ess(sampler(), torch.full_like(exact, math.nan), seed=8)


def test_times_come_from_pilot_walkers() -> None:
    times = lt.schedules.thermodynamic_length(sampler(), 5, walkers=128)
    levelled = lt.schedules.constant_ess(sampler(), 0.8, walkers=128)
    for found in (times, levelled):
        assert float(found[0]) == 0.0 and float(found[-1]) == 1.0
        run = sampler().with_integrator(lt.Jump(found)).sample(512, seed=9)
        assert abs(run.log_z - MODEL.log_z(BETA)) < SIGMAS * run.log_z_error


def test_what_nothing_moves_is_refused() -> None:
    with pytest.raises(ValueError, match="would never move"):
        lt.Sampler(path(), None, lt.Jump(3), device="cpu")


def test_moves_of_states_are_refused_with_the_mend() -> None:
    with pytest.raises(ValueError, match="give a move of your own"):
        lt.Sampler(path(), None, lt.Jump(3), lt.HeatBath(), device="cpu").sample(8)


def test_a_sampler_is_saved_and_loaded(named: None, tmp_path: Path) -> None:
    file = tmp_path / "toy.safetensors"
    lt.save(sampler(), file)
    again = lt.load(file, device="cpu")
    own = sampler().sample(256, seed=4)
    loaded = again.sample(256, seed=4)
    assert torch.equal(own.configurations, loaded.configurations)
    assert torch.equal(own.log_weights, loaded.log_weights)


def test_a_run_is_filed_and_read(named: None, tmp_path: Path) -> None:
    file = tmp_path / "toy.h5"
    run = lt.io.sample(sampler(), 512, file, seed=4, observables=("energy",), configurations=True)
    own = sampler().sample(512, seed=4)
    assert run.configurations is not None
    assert torch.equal(run.configurations, own.configurations)
    read: Any = lt.io.read(file)
    in_memory = own.estimate(lt.observables.energy)
    assert read.estimate("energy").value == pytest.approx(in_memory.value, abs=1e-12)
    assert abs(read.log_z - MODEL.log_z(BETA)) < SIGMAS * read.log_z_error


def test_a_chain_is_filed_and_goes_on(named: None, tmp_path: Path) -> None:
    file = tmp_path / "chain.h5"
    given: dict[str, Any] = {
        "walkers": 8,
        "file": file,
        "observables": ("energy",),
        "start": START.sample(torch.arange(8), seed=2),
        "seed": 3,
        "burn_in": 10,
        "device": "cpu",
    }
    lt.io.run_chain(MODEL, MOVE, sweeps=60, **given)
    read = lt.io.read(file)
    in_memory = lt.run_chain(
        MODEL,
        MOVE,
        walkers=8,
        sweeps=60,
        observables=["energy"],
        start=given["start"],
        seed=3,
        burn_in=10,
        device="cpu",
    )
    assert torch.equal(read.values["energy"], in_memory.values["energy"])


class Carried(paths.Path):
    """A path of a user's own: the mean is carried from 0 to that of the target.

    ``log ρ̃_t(x) = -β H(x + (1 - t) m)``; it is no annealing path.
    """

    def __init__(self) -> None:
        self.model = lt.models.complete(MODEL)
        self.start = HotGaussian(STIFFNESS, 0.0, BETA)

    def _moved(self, configurations: Tensor, t: Tensor | float) -> Tensor:
        times = torch.as_tensor(t, dtype=FLOAT64).reshape(-1, 1)
        return configurations + (1.0 - times) * MEAN

    def log_density(self, configurations: Tensor, t: Tensor | float) -> Tensor:
        """``log ρ̃_t(x)``."""
        return -BETA * MODEL.energy(self._moved(configurations, t))

    def log_increment(
        self, configurations: Tensor, t_from: Tensor | float, t_to: Tensor | float
    ) -> Tensor:
        """``log ρ̃_{t_to}(x) - log ρ̃_{t_from}(x)``."""
        return self.log_density(configurations, t_to) - self.log_density(configurations, t_from)


class RandomWalk(OwnLangevin):
    """Steps that the path's density alone accepts or not."""

    def _drifted(self, x: Tensor, path: Any, t: Tensor | float) -> Tensor:
        return x


@pytest.mark.parametrize("resample_below", [0.0, 0.95], ids=["AIS", "SMC"])
def test_a_path_that_is_no_annealing_path(resample_below: float) -> None:
    """Normalised alike at both ends, so that ``log Z`` is that of the start."""
    # Networks and moves of states would ask it for more than this target has.
    path = Carried()  # type: ignore[abstract]
    sampler = lt.Sampler(
        path, None, lt.Jump(20), RandomWalk(0.2), resample_below, block=256, device="cpu"
    )
    ensemble = sampler.sample(8 * 256, seed=5)
    assert 0.0 < ensemble.log_z_error < 0.1
    assert float(ensemble.log_weights.std()) > 0.1 or resample_below > 0.0
    assert abs(ensemble.log_z - MODEL.log_z(BETA)) < SIGMAS * ensemble.log_z_error
    assert abs(ensemble.estimate(first_site).pull(MEAN)) < SIGMAS
    assert abs(ensemble.estimate("energy").pull(0.5 / BETA)) < SIGMAS
