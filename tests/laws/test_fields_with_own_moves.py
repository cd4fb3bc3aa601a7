"""Real fields go through chains, samplers and files with a move of a user's own."""

import math
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from leaps_triton import registry
from leaps_triton.io import parts

FIRST = 200
"""A stream that no move of the library uses."""

# 4.5 sigma of a normal number: once in 10⁵.
SIGMAS = 4.5

LOG_Z_RATIO = 1.5557159682
"""Of two by two sites from m² = 1 to m² = -1, λ = 0.9, by quadrature."""


class DriftState(NamedTuple):
    """Walkers of a chain."""

    configurations: Tensor
    walkers: Tensor
    sweep: int


class DriftInfo(NamedTuple):
    """What one step did."""

    accepted: Tensor


class Drift:
    """Steps along the score, accepted or not as Metropolis would have it."""

    def __init__(self, step: float) -> None:
        self.size = step

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments that make this move again."""
        return {"step": self.size}

    def init(self, configurations: Tensor, walkers: Tensor) -> DriftState:
        """Chains that start from the configurations."""
        return DriftState(configurations, walkers, 0)

    def step(
        self, state: DriftState, path: Any, t: Tensor | float, seed: int
    ) -> tuple[DriftState, DriftInfo]:
        """One step of every walker, which leaves ``ρ_t`` as it is."""
        x = state.configurations
        event = state.sweep + 1
        sites = x[0].numel()
        noise = lt.kernels.normals(seed, FIRST, event, 0, state.walkers, sites, x.dtype).view_as(x)
        before, score = path.log_density_and_score(x, t)
        y = x + self.size * score + math.sqrt(2.0 * self.size) * noise
        after, back = path.log_density_and_score(y, t)
        odds = after - before + self._log_odds(y, x, back) - self._log_odds(x, y, score)
        words = lt.kernels.philox(seed, FIRST + 1, 0, event, 0, state.walkers, x.device)
        accepted = lt.kernels.uniform64(words[0], words[1]).log() < odds
        chosen = torch.where(accepted.view(-1, *[1] * (x.ndim - 1)), y, x)
        return DriftState(chosen, state.walkers, event), DriftInfo(accepted)

    def reversed(self) -> "Drift":
        """The move reversed in time, which is the move itself."""
        return self

    def _log_odds(self, start: Tensor, end: Tensor, score: Tensor) -> Tensor:
        """Log-probability density of a proposal, up to a constant."""
        distance = (end - start - self.size * score).double()
        return -distance.square().flatten(1).sum(1) / (4.0 * self.size)


MODEL = lt.PhiFour((2, 2), mass_squared=-1.0, quartic=0.9)
MOVE = Drift(0.06)


@pytest.fixture(autouse=True)
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enter the move under a name that files can hold, for the time of a test."""
    table = {kind: registry.things(kind) for kind in registry.KINDS}
    monkeypatch.setattr(registry, "_TABLE", table)
    lt.register("move")(Drift)


def sampler(**options: Any) -> lt.Sampler:
    return lt.Sampler(lt.AnnealingPath(MODEL), None, lt.Jump(12), MOVE, device="cpu", **options)


def schwinger_dyson(configurations: Tensor, model: Any) -> Tensor:
    """``<φ ∂S/∂φ>`` per site, which is 1."""
    force = model.force(configurations)
    return -(configurations * force).double().flatten(1).mean(1)


def test_a_chain_begins_with_the_free_field_and_samples_the_model() -> None:
    measured = {"identity": schwinger_dyson}
    chain = lt.run_chain(
        MODEL, MOVE, walkers=64, sweeps=200, seed=1, observables=measured, device="cpu"
    )
    assert abs(chain.estimate("identity").pull(1.0)) < SIGMAS
    assert chain.state.configurations.dtype == torch.float32


def test_annealing_finds_log_z_of_the_model() -> None:
    annealed = sampler()
    ensemble = annealed.sample(2048, seed=1)
    ratio = ensemble.log_z - annealed.path.start.log_z
    assert abs(ratio - LOG_Z_RATIO) < SIGMAS * ensemble.log_z_error
    assert abs(ensemble.estimate(schwinger_dyson).pull(1.0)) < SIGMAS
    # Blocks and resampling as for spins.
    smc = sampler(resample_below=0.9, block=64).sample(1024, seed=2)
    assert int(smc.resamplings.sum()) > 0
    assert abs(smc.log_z - annealed.path.start.log_z - LOG_Z_RATIO) < SIGMAS * smc.log_z_error


def test_times_of_equal_length_are_those_of_the_path_in_couplings() -> None:
    path = lt.AnnealingPath(MODEL)
    jump = lt.Jump(lt.schedules.thermodynamic_length(sampler(), intervals=4, walkers=1024))
    # The length by quadrature: at each time the deviation of what the change is proportional to.
    points = torch.linspace(-2.2, 2.2, 18)
    x = torch.cartesian_prod(points, points, points, points).view(-1, 2, 2)
    excess = path.excess(x)
    times = torch.linspace(0.0, 1.0, 41, dtype=torch.float64)
    speed = []
    for t in times.tolist():
        weight = torch.softmax(path.log_density(x, t), 0)
        speed.append(((weight * excess**2).sum() - (weight * excess).sum() ** 2).sqrt())
    length = torch.cumulative_trapezoid(torch.stack(speed), times)
    share = torch.cat([length.new_zeros(1), length]) / length[-1]
    found = torch.as_tensor(jump.times)[1:-1]
    reached = share[(found * 40.0).round().long()]
    # Steps of 1/40 in time, and the noise of 1024 walkers.
    torch.testing.assert_close(reached, torch.tensor([0.25, 0.5, 0.75]).double(), rtol=0, atol=0.04)


def test_models_and_starts_are_told_and_read_back() -> None:
    model = lt.PhiFour((4, 3), -1.0, 0.3, torch.float64)
    told = parts.describe_model(model)
    again = parts.rebuild_model(told.manifest, told.tensors)
    assert again.settings == model.settings
    assert again.dtype == torch.float64
    path = lt.AnnealingPath(model, lt.FreeField(0.1 + 0.2))
    read = parts.rebuild_path(parts.describe_path(path), again)
    assert read.start.mass_squared == 0.1 + 0.2
    index = torch.arange(3)
    assert torch.equal(read.start.sample(index, 4), path.start.sample(index, 4))


def test_samplers_and_runs_come_back_from_files(tmp_path: Path) -> None:
    lt.save(sampler(), tmp_path / "s.safetensors")
    again = lt.load(tmp_path / "s.safetensors")
    assert again.path.model.settings == MODEL.settings
    expected = sampler().sample(100, seed=3)
    found = again.sample(100, seed=3)
    assert torch.equal(found.log_weights, expected.log_weights)
    assert torch.equal(found.configurations, expected.configurations)
    file = tmp_path / "w.h5"
    lt.io.sample(again, 100, file, seed=3, observables=["energy"], configurations=True)
    run: Any = lt.io.read(file)
    assert run.log_z == expected.log_z
    assert torch.equal(run.configurations, expected.configurations)


def test_chains_go_on_from_files(tmp_path: Path) -> None:
    file = tmp_path / "c.h5"
    settings: dict[str, Any] = {"walkers": 4, "seed": 5, "device": "cpu", "burn_in": 2}
    observables = ["energy"]
    whole = lt.run_chain(MODEL, MOVE, sweeps=12, observables=observables, **settings)
    asked = {"file": file, "observables": observables, "resume": True, **settings}
    lt.io.run_chain(MODEL, MOVE, sweeps=6, **asked)
    lt.io.run_chain(MODEL, MOVE, sweeps=12, **asked)
    run: Any = lt.io.read(file)
    assert run.model.settings == MODEL.settings
    assert torch.equal(torch.as_tensor(run.values["energy"]), whole.values["energy"])
