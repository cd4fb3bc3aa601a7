"""Laws of paths of real fields: the free field, densities between, scores and conditions."""

import itertools
import logging
import math
from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from leaps_triton.lattices.waves import squared_momenta
from leaps_triton.paths import starts

TIMES = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64)


def squared(t: Tensor) -> Tensor:
    return t**2


def to_model(shape: tuple[int, ...] = (4, 4), **options: Any) -> lt.AnnealingPath:
    model = lt.PhiFour(shape, mass_squared=-1.5, quartic=0.9, dtype=torch.float64)
    return lt.AnnealingPath(model, **options)


def field_of(path: lt.AnnealingPath, walkers: int = 3) -> Tensor:
    return path.start.sample(torch.arange(walkers), seed=5)


class Plain:
    """A free field that says no more than its energy and force."""

    def __init__(self, start: lt.FreeField) -> None:
        self._start = start
        self.log_z = start.log_z

    def sample(self, walker_index: Tensor, seed: int) -> Tensor:
        return self._start.sample(walker_index, seed)

    def energy(self, configurations: Tensor) -> Tensor:
        return self._start.energy(configurations)

    def force(self, configurations: Tensor) -> Tensor:
        return self._start.force(configurations)


def test_log_z_of_free_fields() -> None:
    small = lt.PhiFour((2, 2), -1.0, 0.9)
    # By quadrature: log Z_0 of two by two sites, each pair of which has two bonds.
    assert lt.FreeField(1.0).on(small).log_z == pytest.approx(-0.4185904294, abs=1e-10)
    large = lt.PhiFour((16, 16), 0.05, 0.0)
    ratio = lt.FreeField(0.05).on(large).log_z - lt.FreeField(1.0).on(large).log_z
    assert ratio == pytest.approx(40.005819864, abs=1e-9)


@pytest.mark.parametrize("shape", [(2, 2), (4, 3), (5,)])
def test_energy_of_the_free_field_is_half_the_sum_of_its_modes(shape: tuple[int, ...]) -> None:
    path = to_model(shape)
    x = field_of(path)
    axes = tuple(range(1, x.ndim))
    modes = torch.fft.fftn(x, dim=axes, norm="ortho")
    expected = (0.5 * modes.abs() ** 2 / path.start.variances).flatten(1).sum(1)
    torch.testing.assert_close(path.start.energy(x), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_free_field_has_its_covariance(dtype: torch.dtype) -> None:
    model = lt.PhiFour((4, 3), 1.0, 1.0, dtype=dtype)
    start = lt.FreeField(0.7).on(model)
    walkers = 20000
    x = start.sample(torch.arange(walkers), seed=1).double().flatten(1)
    modes = torch.fft.ifftn(start.variances).real
    # The covariance of two sites depends on their difference alone.
    expected = torch.empty(12, 12, dtype=torch.float64)
    for i, j in itertools.product(range(12), repeat=2):
        row = (i // 3 - j // 3) % 4
        column = (i % 3 - j % 3) % 3
        expected[i, j] = modes[row, column]
    found = x.T @ x / walkers
    # Var of the product of two normal numbers, averaged over the walkers.
    variance = expected.diagonal().unsqueeze(1) * expected.diagonal() + expected**2
    pull = (found - expected) / (variance / walkers).sqrt()
    # 78 different entries: beyond 4.5 sigma by chance once in 1900 seeds.
    assert float(pull.abs().max()) < 4.5
    mean = x.mean(0) / (expected.diagonal() / walkers).sqrt()
    # Twelve means: once in 12000.
    assert float(mean.abs().max()) < 4.5


def test_free_field_does_not_depend_on_blocks_or_type() -> None:
    single = lt.FreeField().on(lt.PhiFour((6, 5), -1.0, 1.0))
    double = lt.FreeField().on(lt.PhiFour((6, 5), -1.0, 1.0, torch.float64))
    index = torch.arange(40)
    whole = single.sample(index, seed=3)
    parts = [single.sample(each, seed=3) for each in index.split(7)]
    assert torch.equal(whole, torch.cat(parts))
    assert torch.equal(whole, double.sample(index, seed=3).float())
    assert not torch.equal(whole, single.sample(index, seed=4))


def test_momenta_are_those_of_differences() -> None:
    shape = (4, 5)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    steps = sum((x.roll(-1, axis) - x).square().sum() for axis in range(2))
    modes = torch.fft.fftn(x, norm="ortho").abs() ** 2
    momenta = squared_momenta(shape, torch.device("cpu"))
    assert float(steps) == pytest.approx(float((momenta * modes).sum()), rel=1e-13)


@pytest.mark.parametrize("schedule", [None, squared])
@pytest.mark.parametrize("plain", [False, True])
def test_densities_between(schedule: Any, plain: bool) -> None:
    path = to_model(schedule=schedule)
    if plain:
        # The general way, by two energies, is the same as that of couplings.
        path = lt.AnnealingPath(path.model, Plain(path.start), schedule)
    x = field_of(path)
    start = path.start.energy(x)
    action = path.model.energy(x)
    for t in TIMES.tolist():
        share = t
        if schedule is not None:
            share = t**2
        expected = -(1.0 - share) * start - share * action
        torch.testing.assert_close(path.log_density(x, t), expected, rtol=1e-12, atol=1e-12)
        density, score = path.log_density_and_score(x, t)
        torch.testing.assert_close(density, expected, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(path.score(x, t), score, rtol=1e-12, atol=1e-12)
        wanted = (1.0 - share) * path.start.force(x) + share * path.model.force(x)
        torch.testing.assert_close(score, wanted, rtol=1e-12, atol=1e-12)
        gained = path.log_increment(x, t, 0.6)
        torch.testing.assert_close(
            gained, path.log_density(x, 0.6) - expected, rtol=1e-12, atol=1e-12
        )
    torch.testing.assert_close(path.excess(x), action - start, rtol=1e-12, atol=1e-12)


def test_each_walker_may_have_a_time_of_its_own() -> None:
    path = to_model()
    x = field_of(path)
    density, score = path.log_density_and_score(x, TIMES)
    for number, t in enumerate(TIMES.tolist()):
        one = x[number : number + 1]
        expected, alone = path.log_density_and_score(one, t)
        torch.testing.assert_close(density[number : number + 1], expected)
        torch.testing.assert_close(score[number : number + 1], alone)


def test_time_derivative_is_that_of_the_density() -> None:
    path = to_model(schedule=squared)
    x = field_of(path)
    step = 1e-4
    change = path.log_density(x, 0.4 + step) - path.log_density(x, 0.4 - step)
    found = path.time_derivative(path.excess(x), 0.4)
    torch.testing.assert_close(found, change / (2.0 * step), rtol=1e-7, atol=1e-7)


def test_conditions_tell_the_couplings() -> None:
    path = to_model(schedule=squared)
    told = path.conditions(TIMES)
    share = TIMES**2
    expected = torch.stack([(1.0 - share) - 1.5 * share, 0.9 * share], dim=1)
    torch.testing.assert_close(told.coupling, expected)
    assert torch.equal(told.beta, torch.ones(3, dtype=torch.float64))
    assert torch.equal(told.field, torch.zeros(1, 1, dtype=torch.float64))
    assert torch.equal(path.couplings(1.0)[0], path.model.coupling)
    assert path.conditions(0.5).coupling.dtype == torch.float32
    assert path.conditions(0.5).coupling.shape == (1, 2)


def test_free_field_is_the_default_and_is_said(caplog: pytest.LogCaptureFixture) -> None:
    starts._say_default.cache_clear()
    with caplog.at_level(logging.INFO, logger="leaps_triton"):
        path = to_model()
        to_model()
    said = [record.getMessage() for record in caplog.records]
    assert said == ["paths to PhiFour start from FreeField(mass_squared=1.0); start= is another"]
    assert isinstance(path.start, lt.FreeField)
    assert path.start.mass_squared == 1.0
    assert path.start.shape == (4, 4)


def test_own_energy_of_a_subclass_is_not_taken_for_its_couplings() -> None:
    class Shifted(lt.PhiFour):
        def energy(self, configurations: Tensor, check: bool = True) -> Tensor:
            return super().energy(configurations, check) + configurations.double().flatten(1).sum(1)

    path = lt.AnnealingPath(Shifted((4, 4), -1.5, 0.9, torch.float64))
    x = field_of(path)
    expected = path.model.energy(x) - path.start.energy(x)
    torch.testing.assert_close(path.excess(x), expected)
    with pytest.raises(ValueError, match="couplings along the path"):
        path.couplings(0.5)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="mass_squared of FreeField must be a positive number"):
        lt.FreeField(0.0)
    with pytest.raises(ValueError, match="has no lattice yet"):
        lt.FreeField().sample(torch.arange(2), 0)
    with pytest.raises(ValueError, match="real fields on a periodic lattice"):
        lt.AnnealingPath(lt.Ising((4, 4), 0.4), lt.FreeField())
    with pytest.raises(ValueError, match=r"needs schedule\(0\) = 0"):
        to_model(schedule=lambda t: 0.1 + 0.9 * t)
    ising = lt.AnnealingPath(lt.Ising((4, 4), 0.4))
    with pytest.raises(ValueError, match="needs force"):
        ising.score(ising.start.sample(torch.arange(2), 0), 0.5)
    with pytest.raises(ValueError, match="couplings along the path"):
        ising.couplings(0.5)
    path = to_model()
    with pytest.raises(ValueError, match="HeatBath needs a model with q states"):
        lt.run_chain(path.model, lt.HeatBath(), walkers=2, sweeps=2, device="cpu")


def test_moments_of_the_start_are_those_of_its_action() -> None:
    # <U_0> = N / 2, Var U_0 = N / 2: equipartition.
    path = to_model((6, 6))
    energy = path.start.energy(path.start.sample(torch.arange(4000), seed=2))
    pull = (float(energy.mean()) - 18.0) / math.sqrt(18.0 / 4000)
    # Beyond 4 sigma by chance once in 16000 seeds.
    assert abs(pull) < 4.0


def test_a_path_in_temperature_has_a_score_too() -> None:
    class Given:
        log_z = math.nan

        def sample(self, walker_index: Tensor, seed: int) -> Tensor:
            raise AssertionError

    path = to_model(start=Given())
    x = field_of(to_model())
    density, score = path.log_density_and_score(x, TIMES)
    torch.testing.assert_close(density, -TIMES * path.model.energy(x))
    torch.testing.assert_close(score, TIMES.view(-1, 1, 1) * path.model.force(x))
    assert torch.equal(path.score(x, TIMES), score)
    assert torch.equal(path.log_density(x, TIMES), density)
    # Networks are told β_t, and the couplings as they are.
    assert torch.equal(path.conditions(TIMES).beta, TIMES)
    assert torch.equal(path.conditions(TIMES).coupling[0], path.model.coupling)
