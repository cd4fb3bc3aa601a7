"""Drifts of fields: exact divergences, hollow Jacobians, symmetries, bounds, sizes, refusals."""

from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from leaps_triton.lattices.hypercubic import Lattice
from leaps_triton.lattices.waves import filtered
from leaps_triton.models.base import Conditions
from leaps_triton.networks import Drift, ForeignDrift
from leaps_triton.networks.drift.bounds import largest_slope
from leaps_triton.networks.drift.geometry import Modes
from leaps_triton.training.optimizers import per_sample_gradients


class Fields:
    """The least of a model that a drift asks for."""

    dtype = torch.float64

    def __init__(self, shape: tuple[int, ...], periodic: bool = True) -> None:
        self.lattice = Lattice(shape, periodic)
        self.shape = shape
        self.mass_squared = -4.0
        self.quartic = 6.0


def conditions(t: Any) -> Conditions:
    times = torch.as_tensor(t, dtype=torch.float64).reshape(-1)
    return Conditions(times, torch.ones(1), torch.zeros(1, 2), torch.zeros(1, 1))


def awake(drift: Drift) -> Drift:
    """A drift in float64 whose parameters are all far from zero."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in drift.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return drift.double().requires_grad_(False)


def fields(walkers: int, shape: tuple[int, ...], seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(walkers, *shape, generator=generator, dtype=torch.float64)


def jacobian(drift: Drift, x: Tensor, t: float) -> Tensor:
    """``∂b_i/∂φ_j`` of one field, ``(sites, sites)``."""

    def of(flat: Tensor) -> Tensor:
        return drift(flat.view(1, *drift.shape), conditions(t))[0].flatten()

    return torch.autograd.functional.jacobian(of, x.flatten())


SHAPES = [(8,), (2, 2), (4, 6), (4, 2, 4)]

DRIFTS: dict[str, Any] = {
    "hollow": lambda shape: lt.HollowDrift(Fields(shape), kernel_size=3, channels=4, width=6),
    "no parity": lambda shape: lt.HollowDrift(
        Fields(shape), kernel_size=3, channels=4, width=6, parity=False
    ),
    "gaussian": lambda shape: lt.GaussianDrift(Fields(shape)),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", DRIFTS)
def test_the_divergence_is_the_trace_of_the_jacobian(name: str, shape: tuple[int, ...]) -> None:
    drift = awake(DRIFTS[name](shape))
    x = fields(2, shape)
    t = torch.tensor([0.3, 0.85], dtype=torch.float64)
    _, divergence = drift(x, conditions(t))
    for walker in range(2):
        trace = jacobian(drift, x[walker], float(t[walker])).trace()
        assert abs(float(trace - divergence[walker])) < 1e-12 * max(1.0, abs(float(trace)))


def test_the_divergence_of_a_gradient_is_the_trace_of_the_jacobian() -> None:
    drift: Any = awake(lt.GradientDrift(Fields((4, 6)), kernel_size=3, width=5))
    x = fields(2, (4, 6))
    b, divergence = drift(x, conditions(0.4))
    found = jacobian(drift, x[0], 0.4)
    assert abs(float(found.trace() - divergence[0])) < 1e-12 * abs(float(divergence[0]))
    torch.testing.assert_close(found, found.T, rtol=0.0, atol=1e-12)
    x.requires_grad_()
    gradient = torch.autograd.grad(drift.potential(x, conditions(0.4)).sum(), x)[0]
    torch.testing.assert_close(b, gradient, rtol=0.0, atol=1e-12)


def test_what_a_sublattice_does_has_a_diagonal_jacobian_bit_for_bit() -> None:
    drift = awake(lt.HollowDrift(Fields((4, 6)), kernel_size=3, channels=4, width=6))
    assert isinstance(drift, lt.HollowDrift)
    x = fields(1, (4, 6))
    for parity in (0, 1):
        sites = drift.sublattice(parity)
        before, slope = drift.active(x, 0.6, parity)
        for number, site in enumerate(sites.tolist()):
            moved = x.flatten(1).clone()
            moved[0, site] += 1e-6
            after, _ = drift.active(moved.view_as(x), 0.6, parity)
            change = (after - before)[0]
            assert abs(float(change[number] / 1e-6 - slope[0, number])) < 1e-4
            change[number] = 0.0
            assert torch.equal(change, torch.zeros_like(change))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_sublattice_alone_has_what_all_sites_have(shape: tuple[int, ...]) -> None:
    drift = awake(DRIFTS["hollow"](shape))
    assert isinstance(drift, lt.HollowDrift)
    x = fields(3, shape)
    b, divergence = drift(x, conditions(0.7))
    kernel = drift.modes(0.7)
    rest = (b - filtered(x, kernel.unsqueeze(0))).flatten(1)
    total = kernel.sum().expand(3).clone()
    for parity in (0, 1):
        f, slope = drift.active(x, 0.7, parity)
        torch.testing.assert_close(f, rest[:, drift.sublattice(parity)], rtol=0.0, atol=1e-12)
        total += slope.sum(1)
    torch.testing.assert_close(total, divergence, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", [*DRIFTS, "gradient"])
def test_drifts_are_odd_and_move_with_translations(name: str) -> None:
    shape = (4, 6)
    if name == "gradient":
        drift = awake(lt.GradientDrift(Fields(shape), kernel_size=3, width=5))
    else:
        drift = awake(DRIFTS[name](shape))
    x = fields(2, shape)
    b, divergence = drift(x, conditions(0.4))
    turned, same = drift(-x, conditions(0.4))
    torch.testing.assert_close(turned, -b, rtol=0.0, atol=1e-13)
    torch.testing.assert_close(same, divergence, rtol=1e-14, atol=1e-13)
    # A step along one direction exchanges the sublattices.
    for steps in ((1, 0), (2, 3)):
        moved, divergence_there = drift(x.roll(steps, (1, 2)), conditions(0.4))
        torch.testing.assert_close(moved, b.roll(steps, (1, 2)), rtol=0.0, atol=1e-12)
        torch.testing.assert_close(divergence_there, divergence, rtol=1e-12, atol=1e-12)


def test_the_bound_on_slopes_is_never_below_a_slope() -> None:
    """Random weights, and fields of all sizes; then fields that climb to the steepest place."""
    for seed in range(4):
        drift = lt.HollowDrift(Fields((4, 4)), kernel_size=3, channels=3, width=5, seed=seed)
        with torch.no_grad():
            drift.readout.weight.mul_(10.0 * (seed + 1))
        drift.double().requires_grad_(False)
        for t in (0.0, 0.35, 1.0):
            bound = drift.steepest(t)
            for size in (0.01, 0.3, 1.0, 5.0, 50.0):
                _, slope = drift.active(size * fields(50, (4, 4), seed), t, 0)
                assert float(slope.abs().max()) <= bound
            x = 0.3 * fields(8, (4, 4), seed)
            climber = torch.optim.Adam([x.requires_grad_()], lr=0.05)
            for _ in range(25):
                slope = drift._everywhere(x.flatten(1), torch.tensor([t]))[1]
                climber.zero_grad()
                (-slope.abs().amax(1).sum()).backward()
                climber.step()
            assert float(slope.detach().abs().max()) <= bound


def test_the_bound_on_slopes_is_reached_where_one_field_has_all_slopes() -> None:
    """With weights of one sign the slope at a field of zeros is the bound, but for rounding."""
    first = torch.tensor([0.5, 1.0, 2.0])
    hidden = torch.ones(2, 3)
    readout = torch.tensor([1.0, 3.0])
    exact = 3.5 * 4.0
    bound = largest_slope(first, hidden, readout)
    assert exact <= bound < exact * 1.0001
    assert largest_slope(-first, hidden, readout) == bound


def test_modes_are_sorted_by_their_square() -> None:
    waves = Modes.of((4, 6))
    assert int(waves.counts.sum()) == 24
    k = [4.0 * torch.sin(torch.pi * torch.arange(n).double() / n) ** 2 for n in (4, 6)]
    expected = k[0].unsqueeze(1) + k[1]
    torch.testing.assert_close(waves.spread(waves.squares.unsqueeze(0))[0], expected)
    trace = waves.trace(waves.squares.unsqueeze(0))
    torch.testing.assert_close(trace, expected.sum().unsqueeze(0))


@pytest.mark.parametrize("shape", [(5,), (4, 6), (3, 4, 5)])
def test_a_filter_is_a_product_of_waves(shape: tuple[int, ...]) -> None:
    x = fields(2, shape)
    waves = Modes.of(shape)
    kernel = waves.spread(torch.exp(-waves.squares).unsqueeze(0))
    axes = tuple(range(1, len(shape) + 1))
    expected = torch.fft.ifftn(torch.fft.fftn(x, dim=axes) * kernel, dim=axes).real
    torch.testing.assert_close(filtered(x, kernel), expected, rtol=0.0, atol=1e-13)


def test_a_drift_moves_to_another_lattice_with_its_parameters() -> None:
    small = awake(lt.HollowDrift(Fields((4, 4)), kernel_size=3, channels=4, width=6))
    large = small.for_model(Fields((8, 8)))
    assert large.shape == (8, 8) and large.settings == small.settings
    for name, value in small.state_dict().items():
        assert torch.equal(large.state_dict()[name], value)
    # A field that repeats itself looks the same from everywhere.
    x = fields(2, (4, 4))
    b, _ = small(x, conditions(0.5))
    repeated = x.repeat(1, 2, 2)
    there, _ = large(repeated, conditions(0.5))
    torch.testing.assert_close(there, b.repeat(1, 2, 2), rtol=0.0, atol=1e-12)
    with pytest.raises(ValueError, match="for_model"):
        small(repeated, conditions(0.5))
    with pytest.raises(ValueError, match="2-dimensional"):
        small.for_model(Fields((8,)))


def test_per_sample_gradients_of_a_drift_come_from_its_layers() -> None:
    drift = awake(lt.HollowDrift(Fields((4, 4)), kernel_size=3, channels=3, width=4))
    drift.requires_grad_(True)
    x = fields(3, (4, 4))
    t = torch.tensor([0.2, 0.5, 0.9])
    pull = fields(3, (4, 4), seed=1)

    def values() -> Tensor:
        b, divergence = drift(x, conditions(t))
        return (b * pull).sum((1, 2)) + divergence

    found = per_sample_gradients(drift, values)
    for sample in range(3):
        drift.zero_grad()
        values()[sample].backward()
        gradients: list[Any] = [parameter.grad for parameter in drift.parameters()]
        expected = torch.cat([gradient.flatten() for gradient in gradients])
        torch.testing.assert_close(found.jacobian[sample], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((4, 5), {}, "even lengths"),
        ((4, 4), {"kernel_size": 4}, "odd and positive"),
        ((4, 4), {"kernel_size": 9}, "radius 4"),
        ((5, 5), {"kernel_size": 11, "parity": False}, "radius 5"),
        ((4, 4), {"channels": 0}, "channels"),
    ],
)
def test_hollow_drifts_refuse(shape: tuple[int, ...], options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lt.HollowDrift(Fields(shape), **options)


def test_drifts_refuse_what_they_are_not_for() -> None:
    with pytest.raises(ValueError, match="floating-point"):
        lt.HollowDrift(lt.Ising((4, 4), beta=0.3))
    with pytest.raises(ValueError, match="periodic"):
        lt.HollowDrift(Fields((4, 4), periodic=False))
    with pytest.raises(ValueError, match="squared mass"):
        lt.GaussianDrift(Fields((4, 4)), start=-1.0)
    with pytest.raises(ValueError, match="reads a site twice"):
        lt.GradientDrift(Fields((4, 4)), kernel_size=5)
    drift = lt.HollowDrift(Fields((4, 4)), parity=False)
    with pytest.raises(TypeError, match="PathRatio"):
        drift.active(fields(1, (4, 4)), 0.5, 0)
    with pytest.raises(ValueError, match="for_model"):
        drift.check_model(Fields((6, 6)))


def test_a_gaussian_drift_is_that_of_free_fields() -> None:
    """½ d/dt log 1/(2(k̂² + m²_t)), and by its Hartree mass with a quartic term."""
    model = Fields((4, 6))
    model.mass_squared = 0.05
    model.quartic = 0.0
    drift = lt.GaussianDrift(model, start=2.0)
    squares = Modes.of((4, 6)).spread(Modes.of((4, 6)).squares.unsqueeze(0))[0]
    mass = 2.0 - 1.95 * 0.3
    torch.testing.assert_close(drift.modes(0.3), 0.5 * 1.95 / (squares + mass))
    model.mass_squared = -4.0
    model.quartic = 6.0
    drift = lt.GaussianDrift(model)
    t = torch.tensor([0.3, 0.5 - 1e-5, 0.5, 0.5 + 1e-5, 1.0], dtype=torch.float64)
    found = drift.masses(t)
    square = (0.5 / (squares + found.value.view(-1, 1, 1))).mean((1, 2))
    torch.testing.assert_close(found.value, 1.0 - 5.0 * t + 36.0 * t * square)
    slope = (found.value[3] - found.value[1]) / 2e-5
    assert abs(float(slope - found.rate[2])) < 1e-7


def test_a_foreign_drift_gets_its_divergence() -> None:
    """Hutchinson's estimate is unbiased with the variance that is told; within 4 sigma.

    Four sigma are exceeded with a probability of 6e-5.
    """
    inner = awake(lt.HollowDrift(Fields((4, 4)), kernel_size=3, channels=4, width=6))
    x = fields(1, (4, 4))
    exact = float(inner(x, conditions(0.4))[1])

    def foreign(configurations: Tensor, told: Conditions) -> Tensor:
        return inner(configurations, told)[0]

    traced = ForeignDrift(Fields((4, 4)), foreign)
    with torch.no_grad():
        trace = traced(x, conditions(0.4))[1]
    assert abs(float(trace) - exact) < 1e-12 * abs(exact)
    walkers = 4000
    estimated = ForeignDrift(Fields((4, 4)), foreign, divergence="hutchinson")
    with torch.no_grad():
        values = estimated(x.expand(walkers, -1, -1), conditions(0.4))[1]
    symmetric = jacobian(inner, x[0], 0.4)
    symmetric = 0.5 * (symmetric + symmetric.T)
    off = symmetric - symmetric.diagonal().diag()
    variance = float(2.0 * off.square().sum())
    assert abs(float(values.mean()) - exact) < 4.0 * (variance / walkers) ** 0.5
    assert abs(float(values.var()) / variance - 1.0) < 0.2
    # The same time and place give the same probes, another time others.
    with torch.no_grad():
        again = estimated(x, conditions(0.4))[1]
        other = estimated(x, conditions(0.41))[1]
    assert float(again) == float(values[0])
    assert float(other) != float(again)


def test_no_walkers_are_no_error() -> None:
    start = lt.FreeField(1.0).on(Fields((4, 6)))
    x = start.sample(torch.arange(0), seed=0)
    assert x.shape == (0, 4, 6) and x.dtype == torch.float64
    for drift in (lt.GaussianDrift(Fields((4, 6))), lt.HollowDrift(Fields((4, 6)), kernel_size=3)):
        b, divergence = drift(x, conditions(0.4))
        assert b.shape == x.shape and divergence.shape == (0,)
    factors = torch.ones(4, 6, dtype=torch.float64)
    assert filtered(x, factors).shape == x.shape


def test_path_ratios_ask_a_foreign_drift_for_no_divergence(monkeypatch: Any) -> None:
    model = lt.PhiFour((4, 4), -4.0, 6.0, dtype=torch.float64)

    def gradient(x: Any, conditions: Any) -> Any:
        # Drifts may be gradients that autograd finds.
        return torch.autograd.grad(torch.cos(x).sum(), x, create_graph=True)[0]

    drift = ForeignDrift(model, gradient)
    asked = []
    monkeypatch.setattr(drift, "_trace", lambda *given: asked.append(given))
    path = lt.AnnealingPath(model)
    exact = lt.Sampler(path, drift, lt.PathRatio(3, diffusion=0.05), device="cpu", block=8)
    found = exact.sample(8, seed=0).log_weights
    assert not asked
    # The same as of a drift that knows its divergence.
    monkeypatch.setattr(ForeignDrift, "alone", lambda own, x, about: -torch.sin(x))
    assert torch.allclose(exact.sample(8, seed=0).log_weights, found, rtol=1e-12)
