"""MapStep and PathRatio: weights that are exact for every drift and number of steps."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from flow_cases import LOG_RATIO, FixedDrift, path
from leaps_triton.integrators.flows.gaussians import Metric
from leaps_triton.integrators.flows.steps import Leg, overdamped
from leaps_triton.models.fields import mean_field_mass

FLOAT64 = torch.float64

# 4.5 sigma of a normal number: once in 10⁵.
SIGMAS = 4.5


def sampler(integrator: Any, drift: Any = None, **options: Any) -> lt.Sampler:
    chosen = {"block": 4096, "device": "cpu", **options}
    return lt.Sampler(path(), drift, integrator, **chosen)


def ends(sampler: lt.Sampler, walkers: int) -> tuple[Tensor, Tensor, Tensor]:
    """Where walkers begin and end, and their ``A``."""
    ensemble = sampler.sample(walkers, seed=3)
    start = sampler.path.start.sample(torch.arange(walkers), seed=3)
    return start, ensemble.configurations, ensemble.log_weights


@pytest.mark.parametrize("substeps", [1, 3])
def test_weights_of_a_map_are_those_of_its_jacobian(substeps: int) -> None:
    """The whole way is one map of the start, whose determinant autograd knows too."""
    made = sampler(lt.MapStep(2, substeps=substeps), FixedDrift(), block=8)
    start, after, log_weights = ends(made, 8)
    state = made.integrator.init(start, torch.arange(8))

    def whole(x: Tensor) -> Tensor:
        moved = state._replace(configurations=x.view(1, 2, 2))
        moved = type(state)(moved.configurations, *(column[:1] for column in moved[1:]))
        run = made.integrator.run(moved, made.path, made.transport, 0)
        return run.configurations.flatten()

    change = made.path.log_density(after, 1.0) - made.path.log_density(start, 0.0)
    for row in range(3):
        jacobian = torch.autograd.functional.jacobian(whole, start[row].flatten())
        determinant = torch.linalg.slogdet(jacobian).logabsdet
        assert float(log_weights[row] - change[row]) == pytest.approx(float(determinant), abs=1e-12)


@pytest.mark.parametrize(
    "integrator",
    [
        lt.MapStep(4),
        lt.PathRatio(4, diffusion=0.1),
        lt.PathRatio(4, diffusion=0.1, preconditioner=None),
        lt.PathRatio(4, diffusion=0.2, momentum=2.0),
    ],
    ids=["map", "ratio", "white", "momenta"],
)
def test_log_z_is_right_for_a_drift_that_was_never_trained(integrator: Any) -> None:
    made = sampler(integrator, FixedDrift())
    ensemble = made.sample(4 * 4096, seed=1)
    pull = (ensemble.log_z - made.path.start.log_z - LOG_RATIO) / ensemble.log_z_error
    assert ensemble.log_z_error < 0.1
    assert abs(pull) < SIGMAS


def test_continuous_weights_are_seen_to_be_biased() -> None:
    """By +0.168 with two steps, ten times the error."""
    made = sampler(lt.PathRatio(2, 0.1, preconditioner=None, weights="continuous"), FixedDrift())
    ensemble = made.sample(4 * 4096, seed=1)
    pull = (ensemble.log_z - made.path.start.log_z - LOG_RATIO) / ensemble.log_z_error
    assert pull > 6.0


def test_continuous_weights_of_maps_approach_exact_ones() -> None:
    apart: list[float] = []
    for intervals in (8, 32):
        exact = sampler(lt.MapStep(intervals), FixedDrift(), block=64).sample(64, seed=1)
        rough = lt.MapStep(intervals, weights="continuous")
        other = sampler(rough, FixedDrift(), block=64).sample(64, seed=1)
        assert torch.equal(exact.configurations, other.configurations)
        apart.append(float((exact.log_weights - other.log_weights).abs().mean()))
    # O(h), so a quarter but for higher orders.
    assert apart[1] < 0.4 * apart[0]


class OneQuartic:
    """``S = m² φ² + λ φ⁴`` of one site, a target of a user's own; with ``λ = 0`` a start too."""

    shape = (1,)
    dtype = FLOAT64
    beta = 1.0

    def __init__(self, mass_squared: float, quartic: float) -> None:
        self.mass_squared = mass_squared
        self.quartic = quartic
        self.log_z = 0.5 * math.log(math.pi / mass_squared)

    def energy(self, configurations: Tensor) -> Tensor:
        square = configurations[:, 0] ** 2
        return self.mass_squared * square + self.quartic * square**2

    def force(self, configurations: Tensor) -> Tensor:
        linear = 2.0 * self.mass_squared * configurations
        return -linear - 4.0 * self.quartic * configurations**3

    def sample(self, walkers: Tensor, seed: int) -> Tensor:
        """Asked for by paths, which look at what a start draws; weighed by quadrature alone."""
        return torch.zeros(len(walkers), 1, dtype=FLOAT64)


class OneSite:
    """A drift of one site that is no linear one."""

    kind = "drift"

    def __call__(self, configurations: Tensor, conditions: Any) -> tuple[Tensor, Tensor]:
        inner = torch.tanh(configurations + 0.3)
        factor = 1.0 + conditions.t.double()
        slope = factor * (0.4 - 0.6 * (1.0 - inner * inner)).flatten()
        return factor * (0.4 * configurations - 0.6 * inner), slope


class Chosen:
    """Noise that leads every walker where it is wanted."""

    def __init__(self, noise: Tensor) -> None:
        self.noise = noise
        self.event = 0

    def like(self, x: Tensor, draw: int = 0) -> Tensor:
        return self.noise


@pytest.mark.parametrize("covariance", [None, torch.full((1,), 0.6, dtype=FLOAT64)])
def test_path_ratios_of_one_site_are_exact_by_quadrature(covariance: Tensor | None) -> None:
    """Three steps: the sum over all ways from grid point to grid point."""
    line = lt.AnnealingPath(OneQuartic(0.5, 0.7), start=OneQuartic(1.0, 0.0))
    drift = OneSite()
    points = torch.linspace(-5.0, 5.0, 401, dtype=FLOAT64)
    width = float(points[1] - points[0])
    integrator = lt.PathRatio(3, diffusion=0.15)
    x = points.repeat_interleave(len(points)).view(-1, 1)
    y = points.repeat(len(points)).view(-1, 1)
    metric = Metric(covariance)
    state = integrator.init(x, torch.arange(len(x)))
    law = torch.exp(line.log_density(points.view(-1, 1), 0.0))
    for interval in range(3):
        begin, end = integrator.times[interval : interval + 2].split(1)
        leg = Leg(line, drift, metric, begin, end, 1.0 / 3.0, 0.15, 0.0, False)
        # A function is told the time in float32.
        b, _ = drift(x, line.conditions(begin.float()))
        mean = x + leg.length * (b + 0.15 * metric.spread(line.score(x, begin)))
        noise = metric.whitened(y - mean) / math.sqrt(leg.variance)
        after, info = overdamped(leg, state, Chosen(noise))  # type: ignore[arg-type]
        torch.testing.assert_close(after.configurations, y, rtol=0.0, atol=1e-12)
        spread = leg.variance * float(1.0 if covariance is None else covariance)
        forth = torch.exp(info.there) / math.sqrt(2.0 * math.pi * spread)
        gain = after.log_weights - state.log_weights + line.log_increment(y, begin, end)
        # Far from where steps lead, e^gain overflows where the step itself underflows.
        ways = torch.where(forth > 0.0, forth * torch.exp(gain), 0.0)
        law = (law.unsqueeze(1) * ways.view(len(points), -1)).sum(0) * width
    expected = torch.exp(line.log_density(points.view(-1, 1), 1.0))
    torch.testing.assert_close(law, expected, rtol=0.0, atol=1e-12 * float(expected.max()))


@pytest.mark.parametrize("intervals", [1, 5])
def test_free_fields_are_carried_exactly(intervals: int) -> None:
    model = lt.PhiFour((16, 16), mass_squared=0.05, quartic=0.0, dtype=FLOAT64)
    line = lt.AnnealingPath(model)
    made = lt.Sampler(line, lt.GaussianDrift(model), lt.MapStep(intervals), device="cpu", block=16)
    ensemble = made.sample(16, seed=0)
    assert ensemble.log_z - line.start.log_z == pytest.approx(40.005819864, abs=1e-8)
    assert float(ensemble.log_weights.std()) < 1e-10


INTEGRATORS = {
    "map": lt.MapStep(3),
    "substeps": lt.MapStep(2, substeps=2),
    "ratio": lt.PathRatio(3, diffusion=0.2),
    "momenta": lt.PathRatio(3, diffusion=0.2, momentum=3.0),
}


@pytest.mark.parametrize("name", INTEGRATORS)
def test_reversed_paths_of_exact_samples(name: str) -> None:
    """From a free field to another, of which both ends are drawn exactly."""
    model = lt.PhiFour((2, 4), mass_squared=0.4, quartic=0.0, dtype=FLOAT64)
    line = lt.AnnealingPath(model)
    exact = lt.FreeField(0.4).on(model)
    drift: Any = FixedDrift((2, 4), scale=0.3)
    made = lt.Sampler(line, drift, INTEGRATORS[name], device="cpu", block=2048)
    back = lt.reverse_ess(made, exact.sample(torch.arange(2048), seed=5), seed=6)
    assert back.log_z_error < 0.1
    assert abs(back.log_z - exact.log_z) < SIGMAS * back.log_z_error
    forth = made.sample(2048, seed=7)
    assert abs(forth.log_z - exact.log_z) < SIGMAS * forth.log_z_error


def test_a_map_is_found_back() -> None:
    """Backwards from where it leads, with the same weight; by Newton's method or contraction."""
    for scale in (0.3, 1.1):
        made = sampler(lt.MapStep(2), FixedDrift(scale=scale), block=64)
        _, after, log_weights = ends(made, 64)
        back = lt.reverse_ess(made, after)
        torch.testing.assert_close(back.log_weights, log_weights, rtol=0.0, atol=1e-11)


def test_a_network_is_followed_by_its_kernel() -> None:
    """All passes in one launch, or one after the other, and back."""
    model = lt.PhiFour((4, 6), mass_squared=-2.0, quartic=3.0)
    drift = lt.HollowDrift(model, kernel_size=3, channels=4, width=8, seed=2)
    with torch.no_grad():
        drift.readout.weight.mul_(10.0)
    line = lt.AnnealingPath(model)
    made = lt.Sampler(line, drift, lt.MapStep(3), device="cpu", block=32)
    ensemble = made.sample(32, seed=3)
    start = line.start.sample(torch.arange(32), seed=3)
    change = line.log_density(ensemble.configurations, 1.0) - line.log_density(start, 0.0)
    assert float((ensemble.log_weights - change).abs().min()) > 1e-3
    back = lt.reverse_ess(made, ensemble.configurations)
    torch.testing.assert_close(back.log_weights, ensemble.log_weights, rtol=0.0, atol=2e-4)


def test_steep_drifts_are_made_of_more_maps_or_refused() -> None:
    steep: Any = FixedDrift(scale=4.0)
    made = sampler(lt.MapStep(2), steep, block=32)
    assert made.sample(32, seed=0).log_weights.isfinite().all()
    state = made.integrator.init(path().start.sample(torch.arange(4), seed=0), torch.arange(4))
    state, _ = made.integrator.enter(state, made.path)
    _, info = made.integrator.step(state, made.path, steep, 0)
    # 0.5 · 0.6 · 4 · (1 + t) is 1.5 in the middle, and 1.65 in the middle of the last of two.
    assert info.substeps.tolist() == [2] * 4
    with pytest.raises(RuntimeError, match=r"too steep .* MapStep\(substeps=2\)"):
        sampler(lt.MapStep(2, substeps=1), steep, block=32).sample(32)


class Falling(FixedDrift):
    """A drift that breaks the bound on its own slope."""

    def steepest(self, t: float) -> float:
        return 0.1


def test_a_map_that_falls_is_no_map() -> None:
    with pytest.raises(RuntimeError, match="break its own bound"):
        sampler(lt.MapStep(1), Falling(scale=6.0), block=32).sample(32)


class Diverged(FixedDrift):
    """A drift whose parameters are not finite."""

    def steepest(self, t: float) -> float:
        return math.nan


def test_a_bound_that_is_no_number_is_named() -> None:
    with pytest.raises(RuntimeError, match="steepest slope of Diverged"):
        sampler(lt.MapStep(1), Diverged(), block=32).sample(32)


@pytest.mark.parametrize(("diffusion", "intervals"), [(0.5, 4), (5.0, 2)])
def test_steps_that_blow_up_are_refused(diffusion: float, intervals: int) -> None:
    blown = lt.PathRatio(intervals, diffusion, preconditioner=None)
    match = f"diffusion = {diffusion:g} and h = {1 / intervals:g}"
    with pytest.raises(RuntimeError, match=match):
        sampler(blown, FixedDrift(), block=512).sample(512)


def test_diffusion_changes_after_training() -> None:
    made = sampler(lt.PathRatio(8, 0.1), FixedDrift())
    other = made.with_integrator(lt.PathRatio(8, 0.05))
    assert other.transport is made.transport
    assert other.integrator.settings["diffusion"] == 0.05
    ensemble = other.sample(4096, seed=2)
    pull = (ensemble.log_z - made.path.start.log_z - LOG_RATIO) / ensemble.log_z_error
    assert abs(pull) < SIGMAS


def test_noise_moves_walkers_without_a_drift() -> None:
    ensemble = sampler(lt.PathRatio(8, 0.1)).sample(4096, seed=2)
    pull = (ensemble.log_z - path().start.log_z - LOG_RATIO) / ensemble.log_z_error
    assert abs(pull) < SIGMAS


@pytest.mark.parametrize("drift", [None, FixedDrift()], ids=["annealing", "drift"])
def test_moves_of_fields_act_between_the_maps(drift: Any) -> None:
    hmc = lt.HMC(leapfrogs=3, step=0.15, fourier=False)
    made = sampler(lt.MapStep(6), drift, mcmc=hmc)
    ensemble = made.sample(4096, seed=2)
    pull = (ensemble.log_z - made.path.start.log_z - LOG_RATIO) / ensemble.log_z_error
    assert ensemble.log_z_error < 0.1
    assert abs(pull) < SIGMAS
    alone = sampler(lt.MapStep(6), drift).sample(4096, seed=2) if drift else None
    # Moves mend what a drift misses.
    assert alone is None or ensemble.ess > alone.ess


def test_annealing_of_spins_by_maps_without_a_drift() -> None:
    model = lt.Ising((4, 4), beta=0.3)
    made = lt.Sampler(
        lt.AnnealingPath(model), None, lt.MapStep(20), lt.HeatBath(), device="cpu", block=1024
    )
    ensemble = made.sample(2048, seed=4)
    exact = lt.exact.ising_log_z((4, 4), beta=0.3)
    assert abs(ensemble.log_z - exact) < SIGMAS * ensemble.log_z_error


@pytest.mark.parametrize("name", INTEGRATORS)
def test_blocks_resampling_and_files(name: str, tmp_path: Path) -> None:
    """Blocks are the same however they are divided, and a sampler of a file goes on alike."""
    model = lt.PhiFour((2, 4), mass_squared=-1.0, quartic=1.5)
    drift = lt.HollowDrift(model, kernel_size=3, channels=3, width=6)
    made = lt.Sampler(
        lt.AnnealingPath(model), drift, INTEGRATORS[name], resample_below=0.95, block=16,
        device="cpu",
    )  # fmt: skip
    whole = made.sample(32, seed=6)
    assert whole.configurations.dtype == torch.float32
    second = made.sample(16, seed=6, first_block=1)
    assert torch.equal(whole.configurations[16:], second.configurations)
    assert torch.equal(whole.log_weights[16:], second.log_weights)
    lt.save(made, tmp_path / "flow.safetensors")
    again = lt.load(tmp_path / "flow.safetensors", device="cpu")
    assert type(again.integrator) is type(made.integrator)
    assert again.integrator.settings == made.integrator.settings
    loaded = again.sample(32, seed=6)
    assert torch.equal(whole.configurations, loaded.configurations)
    assert torch.equal(whole.log_weights, loaded.log_weights)


def test_a_run_is_filed_and_goes_on(tmp_path: Path) -> None:
    model = lt.PhiFour((2, 4), mass_squared=-1.0, quartic=1.5)
    drift = lt.HollowDrift(model, kernel_size=3, channels=3, width=6)
    made = lt.Sampler(lt.AnnealingPath(model), drift, lt.MapStep(3), block=16, device="cpu")
    whole = made.sample(48, seed=6)
    file = tmp_path / "flow.h5"
    options: dict[str, Any] = {"observables": ("energy",), "configurations": True}
    lt.io.sample(made, 16, file, seed=6, **options)
    run = lt.io.sample(made, 48, file, seed=6, resume=True, **options)
    assert run.configurations is not None and run.configurations.dtype == torch.float32
    assert torch.equal(run.configurations, whole.configurations)
    assert torch.equal(run.log_weights, whole.log_weights)


def test_walkers_are_measured_along_the_couplings(tmp_path: Path) -> None:
    """Each stage is a field of its own, with exact weights; in memory and from a file."""
    drift = lt.GaussianDrift(path().model)
    made = sampler(lt.MapStep(4), drift, block=2048)
    ensemble = made.sample(2048, seed=5, along=True, observables=("energy",))
    stages = ensemble.by_beta
    models: list[Any] = [stage.model for stage in stages]
    couplings = [model.couplings for model in models]
    assert [each["mass_squared"] for each in couplings] == [1.0, 0.5, 0.0, -0.5, -1.0]
    assert [each["quartic"] for each in couplings] == pytest.approx([0.0, 0.225, 0.45, 0.675, 0.9])
    assert stages[0].log_z == pytest.approx(made.path.start.log_z)
    assert stages[-1].log_z == ensemble.log_z
    # Between, as a path of its own to there finds.
    half = lt.AnnealingPath(stages[2].model, start=lt.FreeField(1.0))
    alone = lt.Sampler(half, None, lt.PathRatio(8, 0.1), block=2048, device="cpu")
    other = alone.sample(4096, seed=6)
    error = math.hypot(other.log_z_error, stages[2].log_z_error)
    assert abs(stages[2].log_z - other.log_z) < SIGMAS * error
    file = tmp_path / "along.h5"
    run = lt.io.sample(made, 2048, file, seed=5, observables=("energy",), along=[0.5, 1.0])
    read: Any = lt.io.read(file)
    for found in (run.by_beta, read.by_beta):
        models = [stage.model for stage in found]
        assert [model.couplings for model in models] == [couplings[2], couplings[4]]
        assert found[0].log_z == stages[2].log_z


def test_drifts_and_rates_have_integrators_of_their_own() -> None:
    for integrator in (lt.Jump(3), lt.TauLeap(3)):
        with pytest.raises(ValueError, match="take MapStep or PathRatio"):
            sampler(integrator, FixedDrift())
    spins = lt.Ising((4, 4), beta=0.3)
    rates = lt.HollowConv(spins, kernel_size=3, channels=2, width=4)
    with pytest.raises(ValueError, match="take Jump or TauLeap"):
        lt.Sampler(lt.AnnealingPath(spins), rates, lt.MapStep(3), device="cpu")
    with pytest.raises(ValueError, match="PathRatio needs floating-point"):
        lt.Sampler(lt.AnnealingPath(spins), None, lt.PathRatio(3), device="cpu")
    assert isinstance(sampler(None, FixedDrift()).integrator, lt.MapStep)
    rates_alone = lt.Sampler(lt.AnnealingPath(spins), rates, device="cpu")
    assert isinstance(rates_alone.integrator, lt.Jump)


def test_drifts_without_maps_are_for_path_ratios() -> None:
    model = lt.PhiFour((3, 4), mass_squared=-1.0, quartic=1.5)
    drift = lt.HollowDrift(model, kernel_size=3, channels=3, width=6, parity=False)
    line = lt.AnnealingPath(model)
    with pytest.raises(ValueError, match="take PathRatio"):
        lt.Sampler(line, drift, lt.MapStep(3), device="cpu")
    made = lt.Sampler(line, drift, lt.PathRatio(3, 0.1), device="cpu", block=16)
    assert made.sample(16).log_weights.isfinite().all()


def test_an_unknown_kind_is_refused() -> None:
    drift = FixedDrift()
    drift.kind = "drifts"
    with pytest.raises(ValueError, match="kind of FixedDrift must be"):
        sampler(lt.MapStep(3), drift)


def test_the_mass_of_the_preconditioner_is_kept() -> None:
    made = sampler(lt.PathRatio(3))
    kept = made.integrator.settings["mass_squared"]
    assert kept == mean_field_mass((2, 2), -1.0, 0.9)
    assert sampler(lt.PathRatio(3, mass_squared=0.7)).integrator.settings["mass_squared"] == 0.7
    before = lt.PathRatio(3, mass_squared=0.3)
    assert made.going_on(None, before).integrator.settings["mass_squared"] == 0.3


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: lt.MapStep(0), "intervals"),
        (lambda: lt.MapStep(3, weights="euler"), "exact, continuous"),
        (lambda: lt.MapStep(3, substeps=0), "substeps"),
        (lambda: lt.PathRatio(3, diffusion=0.0), "diffusion"),
        (lambda: lt.PathRatio(3, momentum=-1.0), "momentum"),
        (lambda: lt.PathRatio(3, preconditioner="jacobi"), "preconditioner"),
        (lambda: lt.PathRatio(3, mass_squared=0.0), "mass_squared"),
        (lambda: lt.PathRatio(3, momentum=1.0, weights="continuous"), "momentum"),
    ],
)
def test_bad_arguments_are_named(make: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        make()


@pytest.mark.parametrize(
    "made", [lt.MapStep(3, "continuous"), lt.PathRatio(3, weights="continuous")]
)
def test_continuous_weights_hold_for_no_reversed_path(made: Any) -> None:
    back = sampler(made, FixedDrift(), block=8)
    x = path().start.sample(torch.arange(8), seed=0)
    with pytest.raises(ValueError, match="backwards: "):
        lt.reverse_ess(back, x)
    with pytest.raises(ValueError, match="no reversed path"):
        made.init(x, torch.arange(8), backward=True)
