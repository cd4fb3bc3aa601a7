"""Dense drifts along paths of densities: maps are exact, and what is biased is seen to be."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from dense_cases import Grid, Steep, awake, conditions, excess_of, path_to, quartic
from leaps_triton.integrators.flows.maps import factors_of, pull, push, substeps_of
from leaps_triton.integrators.flows.midpoint import Midpoint, through_middle
from leaps_triton.integrators.transport import as_transport

# 4.5 sigma of a normal number: once in 10⁵.
SIGMAS = 4.5

MODELS: dict[int, Any] = {1: lt.GaussianMixture.two(1.0), 2: quartic(2)}
PATHS = {dim: path_to(model) for dim, model in MODELS.items()}
GRIDS = {1: Grid.of(1, 7.0, 301), 2: Grid.of(2, 4.5, 91)}

DRIFTS: dict[str, tuple[int, Any]] = {
    "dense 1D": (1, awake(lt.DenseDrift(MODELS[1], width=6))),
    "gradient 1D": (1, awake(lt.DenseDrift(MODELS[1], width=6, potential=True))),
    "dense 2D": (2, awake(lt.DenseDrift(MODELS[2], width=6))),
    "gradient 2D": (2, awake(lt.DenseDrift(MODELS[2], width=6, potential=True))),
    "halves 2D": (2, awake(lt.HollowDenseDrift(MODELS[2], width=6, units=3))),
}


# Many intervals take their time in the plane, and show what they show on a line.
CASES = [(name, count) for name in DRIFTS for count in (2, 4, 16) if count < 16 or "1D" in name]


@pytest.mark.parametrize(("name", "intervals"), CASES)
def test_maps_are_exact_by_quadrature(name: str, intervals: int) -> None:
    """No noise at all: the tolerance is that of the sum over the starts."""
    dim, drift = DRIFTS[name]
    excess = excess_of(PATHS[dim], lt.MapStep(intervals), drift, GRIDS[dim])
    assert abs(excess) < 1e-9


@pytest.mark.parametrize("name", DRIFTS)
def test_the_flow_of_runge_kutta_is_biased(name: str) -> None:
    """By more than a thousand times what exact maps may miss."""
    dim, drift = DRIFTS[name]
    assert abs(excess_of(PATHS[dim], lt.RungeKutta(2), drift, GRIDS[dim])) > 1e-6


def test_runge_kutta_is_of_fourth_order() -> None:
    _, drift = DRIFTS["dense 2D"]
    x = PATHS[2].start.sample(torch.arange(16), seed=5)
    found: list[Any] = []
    with torch.no_grad():
        for intervals in (20, 40, 120):
            integrator = lt.RungeKutta(intervals)
            state = integrator.init(x, torch.arange(16))
            found.append(integrator.run(state, PATHS[2], drift, 0))
    for name in ("configurations", "log_weights"):
        exact = getattr(found[2], name)
        apart = [float((getattr(each, name) - exact).abs().mean()) for each in found]
        # 16, where the third order has 8 and the fifth 32.
        assert 12.0 < apart[0] / apart[1] < 23.0


class Wrong(lt.MapStep):
    """Steps that weigh walkers wrongly, in one of these ways."""

    def __init__(self, intervals: Any, way: str) -> None:
        super().__init__(intervals)
        self.way = way

    def step(self, state: Any, path: Any, transport: Any, seed: int, backward: bool = False) -> Any:
        """``x + h b``, or the midpoint, without what belongs to it."""
        x = state.configurations
        interval = int(state.interval[0])
        begin, end = self.times[interval : interval + 2].tolist()
        length = end - begin
        b, divergence = transport(x, path.conditions(torch.tensor([begin], dtype=x.dtype)))
        if self.way == "midpoint":
            each = Midpoint(0.5 * (begin + end), length, transport.steepest(0.5))
            y = through_middle(transport, x, each).configurations
        else:
            y = x + length * b
        jacobian = transport.jacobian(x, begin) if dense(transport) else None
        gain = path.log_density(y, begin) - path.log_density(x, begin)
        if self.way == "diagonal":
            # A simultaneous update of all coordinates, as if they did not see one another.
            assert jacobian is not None
            slopes = jacobian.diagonal(dim1=1, dim2=2)
            gain = gain + torch.log1p(length * slopes).sum(1)
        if self.way == "midpoint":
            # The determinant to first order.
            gain = gain + length * divergence
        after = state._replace(
            configurations=y,
            log_weights=state.log_weights + gain,
            remaining=torch.zeros_like(state.remaining),
            events=state.events + 1,
        )
        return after, None

    def check(self, state: Any, info: Any, path: Any = None) -> None:
        """Nothing."""


def dense(drift: Any) -> bool:
    return isinstance(drift, lt.DenseDrift)


@pytest.mark.parametrize(
    ("way", "least"), [("plain", 1e-2), ("diagonal", 1e-4), ("midpoint", 1e-4)]
)
def test_wrong_weights_are_found_by_quadrature(way: str, least: float) -> None:
    """By 10⁵ times the tolerance or more, so that none of these would pass for an exact map."""
    _, drift = DRIFTS["dense 2D"]
    for intervals in (2, 16):
        excess = excess_of(PATHS[2], Wrong(intervals, way), drift, GRIDS[2])
        assert abs(excess) > least


def test_continuous_weights_are_found_by_quadrature() -> None:
    for name in ("dense 1D", "halves 2D"):
        dim, drift = DRIFTS[name]
        rough = lt.MapStep(4, weights="continuous")
        assert abs(excess_of(PATHS[dim], rough, drift, GRIDS[dim])) > 1e-3


MIXTURE = lt.GaussianMixture([[1.0, 1.0], [-1.0, 0.5]], 0.7, [0.3, 0.7])
CALM: dict[str, Any] = {
    "dense": awake(lt.DenseDrift(MIXTURE, width=6), 0.08),
    "halves": awake(lt.HollowDenseDrift(MIXTURE, width=6, units=3), 0.15),
}


def pull_of(integrator: Any, drift: Any, mcmc: Any = None) -> float:
    """By how many sigma ``log Z`` is off."""
    made = lt.Sampler(path_to(MIXTURE), drift, integrator, mcmc, block=4096, device="cpu")
    ensemble = made.sample(2 * 4096, seed=1)
    assert ensemble.log_z_error < 0.1
    return (ensemble.log_z - MIXTURE.log_z) / ensemble.log_z_error


@pytest.mark.parametrize("name", CALM)
def test_noise_and_moves_leave_weights_exact(name: str) -> None:
    drift = CALM[name]
    assert abs(pull_of(lt.PathRatio(4, 0.1), drift)) < SIGMAS
    assert abs(pull_of(lt.PathRatio(4, 0.2, momentum=2.0), drift)) < SIGMAS
    assert abs(pull_of(lt.MapStep(3), drift, lt.HMC(2, step=0.3))) < SIGMAS
    # Biased by far more than the error.
    assert abs(pull_of(lt.PathRatio(2, 0.1, weights="continuous"), drift)) > 6.0


def test_path_ratios_of_densities_have_no_waves() -> None:
    made = lt.Sampler(PATHS[2], DRIFTS["dense 2D"][1], lt.PathRatio(4, 0.1), device="cpu")
    assert made.integrator.settings["preconditioner"] is None
    assert made.integrator.settings["mass_squared"] is None


@pytest.mark.parametrize("slope", [0.2, 0.6, 0.94])
def test_a_middle_is_found_and_left_again(slope: float) -> None:
    """By Newton's method alone, with a guard, and next to the largest slope."""
    generator = torch.Generator().manual_seed(3)
    x = 2.0 * torch.randn(500, 2, generator=generator, dtype=torch.float64)
    drift = Steep(2.0 * slope)
    each = Midpoint(0.5, 1.0, drift.steepest(0.5))
    after, gained = through_middle(drift, x, each)
    back, lost = through_middle(drift, after, each.reversed())
    torch.testing.assert_close(back, x, rtol=0.0, atol=1e-12)
    torch.testing.assert_close(lost, -gained, rtol=0.0, atol=1e-12)

    def whole(place: Tensor) -> Tensor:
        return through_middle(drift, place.view(1, 2), each).configurations[0]

    # The determinant by differences: the map has no graph.
    step = 1e-5
    for row in range(3):
        columns = []
        for axis in range(2):
            there = x[row].clone()
            there[axis] += step
            other = x[row].clone()
            other[axis] -= step
            columns.append((whole(there) - whole(other)) / (2.0 * step))
        determinant = torch.linalg.slogdet(torch.stack(columns, 1)).logabsdet
        assert float(gained[row]) == pytest.approx(float(determinant), abs=1e-7)


@pytest.mark.parametrize("name", DRIFTS)
@pytest.mark.parametrize("intervals", [1, 5])
def test_the_way_back_leads_to_the_start(name: str, intervals: int) -> None:
    dim, drift = DRIFTS[name]
    x = PATHS[dim].start.sample(torch.arange(16), seed=5)
    integrator = lt.MapStep(intervals)
    state = integrator.init(x, torch.arange(16))
    forth = integrator.run(state, PATHS[dim], drift, 0)
    state = integrator.init(forth.configurations, torch.arange(16), backward=True)
    back = integrator.run(state, PATHS[dim], drift, 0, backward=True)
    torch.testing.assert_close(back.configurations, x, rtol=0.0, atol=1e-12)
    torch.testing.assert_close(back.log_weights, forth.log_weights, rtol=0.0, atol=1e-11)


def test_the_midpoint_is_of_second_order() -> None:
    """Walkers end where a flow by many Runge–Kutta steps takes them, but for O(h²)."""
    _, drift = DRIFTS["dense 2D"]
    x = PATHS[2].start.sample(torch.arange(16), seed=5)

    def end(integrator: Any) -> Tensor:
        state = integrator.init(x, torch.arange(16))
        found: Tensor = integrator.run(state, PATHS[2], drift, 0).configurations
        return found

    with torch.no_grad():
        exact = end(lt.RungeKutta(64))
        apart = [float((end(lt.MapStep(n)) - exact).abs().mean()) for n in (8, 16)]
    assert 3.5 < apart[0] / apart[1] < 4.5


def test_steep_drifts_have_more_midpoints_or_are_refused() -> None:
    """Of 1/2 of the time, which is what multiplies the slope."""
    steep: Any = Steep(9.0)
    x = PATHS[2].start.sample(torch.arange(4), seed=0)
    integrator = lt.MapStep(2)
    state = integrator.enter(integrator.init(x, torch.arange(4)), PATHS[2])[0]
    _, info = integrator.step(state, PATHS[2], steep, 0)
    # 0.25 · 9 = 2.25 is three times less than 0.95.
    assert info.substeps.tolist() == [3] * 4
    made = lt.Sampler(PATHS[2], steep, lt.MapStep(2, substeps=2), block=8, device="cpu")
    with pytest.raises(RuntimeError, match=r"too steep .* MapStep\(substeps=3\)"):
        made.sample(8)
    wide = Grid.of(2, 5.5, 121)
    # Two midpoints of an interval, 0.5 · 2 > 0.95.
    assert abs(excess_of(PATHS[2], lt.MapStep(1), Steep(-2.0, told=2.0), wide)) < 1e-8


def test_a_drift_that_breaks_its_bound_is_named() -> None:
    broken: Any = Steep(-9.0, told=0.5, angle=0.0)
    with pytest.raises(RuntimeError, match=r"break its own bound|was not found in 2000 rounds"):
        lt.Sampler(PATHS[2], broken, lt.MapStep(1), block=32, device="cpu").sample(32)


def test_float32_is_followed_to_its_own_digits() -> None:
    model = lt.GaussianMixture.nine(dtype=torch.float32)
    drift = lt.DenseDrift(model, width=8)
    assert next(drift.parameters()).dtype == torch.float32
    path = path_to(model, 3.0)
    made = lt.Sampler(path, drift, lt.MapStep(3), block=32, device="cpu")
    ensemble = made.sample(32, seed=2)
    assert ensemble.configurations.dtype == torch.float32
    back = lt.reverse_ess(made, ensemble.configurations)
    torch.testing.assert_close(back.log_weights, ensemble.log_weights, rtol=0.0, atol=1e-3)


INTEGRATORS = {
    "midpoint": lt.MapStep(3),
    "ratio": lt.PathRatio(3, diffusion=0.2),
    "flow": lt.RungeKutta(3),
}


@pytest.mark.parametrize("name", INTEGRATORS)
def test_blocks_resampling_and_files_of_dense_drifts(name: str, tmp_path: Path) -> None:
    """Blocks are the same however they are divided, and a sampler of a file goes on alike."""
    drift = awake(lt.DenseDrift(MODELS[1], width=4, potential=True))
    made = lt.Sampler(
        PATHS[1], drift, INTEGRATORS[name], resample_below=0.95, block=16, device="cpu"
    )
    whole = made.sample(32, seed=6)
    second = made.sample(16, seed=6, first_block=1)
    assert torch.equal(whole.configurations[16:], second.configurations)
    assert torch.equal(whole.log_weights[16:], second.log_weights)
    lt.save(made, tmp_path / "dense.safetensors")
    again = lt.load(tmp_path / "dense.safetensors", device="cpu")
    assert again.integrator.settings == made.integrator.settings
    assert isinstance(again.transport, lt.DenseDrift)
    assert again.transport.settings == drift.settings
    loaded = again.sample(32, seed=6)
    assert torch.equal(whole.configurations, loaded.configurations)
    assert torch.equal(whole.log_weights, loaded.log_weights)


@pytest.mark.parametrize("name", ["midpoint", "flow"])
def test_a_run_of_a_dense_drift_is_filed_and_goes_on(name: str, tmp_path: Path) -> None:
    model = lt.GaussianMixture.nine()
    drift: Any = lt.DenseDrift(model, width=4)
    if name == "midpoint":
        drift = lt.HollowDenseDrift(model, width=4, units=2)
    made = lt.Sampler(path_to(model, 3.0), drift, INTEGRATORS[name], block=16, device="cpu")
    whole = made.sample(48, seed=6)
    file = tmp_path / "dense.h5"
    options: dict[str, Any] = {"observables": ("energy",), "configurations": True}
    lt.io.sample(made, 16, file, seed=6, **options)
    run = lt.io.sample(made, 48, file, seed=6, resume=True, **options)
    assert run.configurations is not None
    assert torch.equal(run.configurations, whole.configurations)
    assert torch.equal(run.log_weights, whole.log_weights)


def test_flows_are_biased_both_ways_and_refuse_the_way_back() -> None:
    _, drift = DRIFTS["dense 1D"]
    made = lt.Sampler(PATHS[1], drift, lt.RungeKutta(4), block=32, device="cpu")
    assert not made.integrator.exact
    with pytest.raises(ValueError, match=r"RungeKutta are biased.* take MapStep or PathRatio"):
        lt.reverse_ess(made, MODELS[1].sample(32))
    spins = lt.Ising((4, 4), beta=0.3)
    with pytest.raises(ValueError, match="RungeKutta needs floating-point"):
        lt.Sampler(lt.AnnealingPath(spins), None, lt.RungeKutta(3), lt.HeatBath(), device="cpu")


class Wild(Steep):
    """A drift that leads out of all numbers."""

    def linearised(self, configurations: Tensor, t: float) -> tuple[Tensor, Tensor]:
        b, jacobian = super().linearised(configurations, t)
        return b * math.inf, jacobian


def test_a_flow_out_of_all_numbers_is_named() -> None:
    wild: Any = Wild(1.0)
    with pytest.raises(RuntimeError, match="in the step from t = 0: log-weight nan"):
        lt.Sampler(PATHS[2], wild, lt.RungeKutta(2), block=32, device="cpu").sample(32)


def test_dense_maps_are_for_few_coordinates() -> None:
    for dim in (16, 17):
        model = quartic(dim)
        path = path_to(model)
        drift: Any = lt.DenseDrift(model, width=4)
        if dim == 17:
            with pytest.raises(ValueError, match=r"those of HollowDenseDrift.* take PathRatio"):
                lt.Sampler(path, drift, lt.MapStep(3), device="cpu")
            drift = lt.HollowDenseDrift(model, width=4, units=2)
        made = lt.Sampler(path, drift, lt.MapStep(3), block=8, device="cpu")
        assert made.sample(8).log_weights.isfinite().all()


def test_a_drift_of_ones_own_is_followed_on_a_density() -> None:
    own = lt.networks.ForeignDrift(MODELS[2], lambda x, told: 0.3 * torch.sin(x))
    made = lt.Sampler(PATHS[2], own, lt.RungeKutta(4), block=64, device="cpu")
    _, divergence = own(torch.zeros(1, 2, dtype=torch.float64), conditions(0.5))
    assert float(divergence.detach()) == pytest.approx(0.6)
    assert made.sample(64).log_weights.isfinite().all()
    with pytest.raises(ValueError, match="take PathRatio"):
        lt.Sampler(PATHS[2], own, lt.MapStep(4), device="cpu")


@pytest.mark.parametrize("kind", ["dense", "halves"])
def test_searches_end_where_a_drift_rounds_coarsely(kind: str) -> None:
    """Of weights of order one, whose sums round at many last digits of what they move."""
    model = lt.GaussianMixture.forty()
    drift: Any
    if kind == "dense":
        drift = lt.DenseDrift(model, width=16, scale=1000.0, potential=True)
    else:
        drift = lt.HollowDenseDrift(model, width=16)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in drift.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    answers = as_transport(drift.requires_grad_(False))
    factors = factors_of(answers, 0.4, 0.5, substeps_of(answers, 0.4, 0.5, None))
    x = model.sample(200, seed=0)
    there = push(answers, x, factors)
    back = pull(answers, there.configurations, factors)
    torch.testing.assert_close(back.configurations, x, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(back.log_determinant, there.log_determinant)
