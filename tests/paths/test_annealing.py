"""Laws of annealing paths: schedules, derivatives, increments, conditions and the exact start."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from leaps_triton.lattices.hypercubic import Lattice
from leaps_triton.models import Clock, EdwardsAnderson, Ising, PairModel, Potts
from leaps_triton.paths.annealing import AnnealingPath
from leaps_triton.paths.starts import Uniform

Schedule = Callable[[Tensor], Tensor] | None

SCHEDULES: dict[str, Schedule] = {
    "linear": None,
    "square": lambda t: t**2,
    "sine": lambda t: torch.sin(0.5 * math.pi * t),
    "exponential": lambda t: torch.expm1(3 * t) / math.expm1(3),
}
MODELS: dict[str, PairModel] = {
    "ising": Ising((3, 2), 0.7, field=0.3),
    "glass": EdwardsAnderson((2, 3), -1.2, disorder="gaussian", seed=1, periodic=(True, False)),
    "potts": Potts((5,), 3, 0.9, field=[0.2, -0.5, 0.1]),
    "clock": Clock((2, 1, 2), 5, 0.9, periodic=(True, False, False)),
}
TIMES = torch.tensor([0.0, 0.1, 0.35, 0.5, 0.8, 1.0], dtype=torch.float64)


def random_configurations(model: PairModel, walkers: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(
        model.q, (walkers, *model.lattice.shape), generator=generator, dtype=torch.int8
    )


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_beta_is_the_schedule_times_the_models(schedule: Schedule) -> None:
    path = AnnealingPath(MODELS["glass"], schedule=schedule)
    expected = (schedule(TIMES) if schedule else TIMES) * -1.2
    assert torch.equal(path.beta(TIMES), expected)
    for t, beta in zip(TIMES.tolist(), expected, strict=True):
        for way in (
            t,
            torch.tensor(t, dtype=torch.float64),
            torch.tensor([t], dtype=torch.float64),
        ):
            result = path.beta(way)
            assert result.shape == (1,) and result.dtype == torch.float64
            assert result.item() == pytest.approx(beta.item(), rel=1e-15)
    assert path.beta(0).item() == 0.0 and path.beta(1).item() == pytest.approx(-1.2, rel=1e-15)


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_beta_rate_is_the_derivative(schedule: Schedule) -> None:
    path, h = AnnealingPath(MODELS["glass"], schedule=schedule), 1e-5
    slope = (path.beta(TIMES + h) - path.beta(TIMES - h)) / (2 * h)
    rate = path.beta_rate(TIMES)
    assert rate.shape == TIMES.shape and rate.dtype == torch.float64
    torch.testing.assert_close(rate, slope, rtol=0, atol=2e-8)
    assert path.beta_rate(0.35).shape == (1,)
    assert path.beta_rate(0.35).item() == pytest.approx(rate[2].item(), rel=1e-15)


def test_beta_rate_needs_no_gradients_around_it_and_leaves_none() -> None:
    path, times = AnnealingPath(MODELS["ising"], schedule=SCHEDULES["square"]), TIMES.clone()
    with torch.no_grad():
        rate = path.beta_rate(times)
    assert torch.equal(rate, path.beta_rate(times)) and not rate.requires_grad
    assert not times.requires_grad and torch.equal(times, TIMES)


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_time_derivative_is_that_of_the_log_density(model: PairModel, schedule: Schedule) -> None:
    path, h = AnnealingPath(model, schedule=schedule), 1e-5
    x = random_configurations(model, len(TIMES))
    slope = (path.log_density(x, TIMES + h) - path.log_density(x, TIMES - h)) / (2 * h)
    derivative = path.time_derivative(model.energy(x), TIMES)
    assert derivative.dtype == torch.float64
    torch.testing.assert_close(derivative, slope, rtol=0, atol=5e-7)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_log_density_ends_at_the_model(model: PairModel) -> None:
    path, x = AnnealingPath(model, schedule=SCHEDULES["sine"]), random_configurations(model, 4)
    assert torch.equal(path.log_density(x, 0.0), torch.zeros(4, dtype=torch.float64))
    torch.testing.assert_close(
        path.log_density(x, 1.0), -model.beta * model.energy(x), rtol=1e-15, atol=0
    )


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_log_increments_add_up(model: PairModel, schedule: Schedule) -> None:
    path, x = AnnealingPath(model, schedule=schedule), random_configurations(model, 5)
    total = sum(path.log_increment(x, a, b) for a, b in itertools.pairwise(TIMES.tolist()))
    torch.testing.assert_close(total, path.log_increment(x, 0.0, 1.0), rtol=0, atol=1e-13)
    torch.testing.assert_close(total, -model.beta * model.energy(x), rtol=0, atol=1e-13)
    start, end = torch.linspace(0, 0.5, 5).double(), torch.linspace(0.3, 1, 5).double()
    increment = path.log_increment(x, start, end)
    assert increment.shape == (5,) and increment.dtype == torch.float64
    expected = path.log_density(x, end) - path.log_density(x, start)
    torch.testing.assert_close(increment, expected, rtol=0, atol=1e-13)
    torch.testing.assert_close(increment, -path.log_increment(x, end, start), rtol=0, atol=0)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("times", [0.4, torch.tensor([0.2, 0.7, 1.0], dtype=torch.float64)])
def test_log_ratios_are_differences_of_the_log_density(model: PairModel, times: Any) -> None:
    path, x = AnnealingPath(model, schedule=SCHEDULES["square"]), random_configurations(model, 3)
    energy, log_ratios = path.local_energy(x, times, torch.float64)
    assert torch.equal(energy, model.energy(x))
    before = path.log_density(x, times)
    for k in range(1, model.q):
        for site in range(model.lattice.sites):
            y = x.flatten(1).clone()
            y[:, site] = (y[:, site] + k) % model.q
            expected = path.log_density(y.view_as(x), times) - before
            ratio = log_ratios[:, k - 1].flatten(1)[:, site]
            torch.testing.assert_close(ratio, expected, rtol=0, atol=1e-12)
    assert path.local_energy(x, times).log_ratios.dtype == torch.float32


FULL = EdwardsAnderson(
    (3, 4), 0.7, disorder="gaussian", seed=2, field=torch.arange(12.0).view(3, 4) / 7
)


@pytest.mark.parametrize(
    ("t", "dtype", "count"),
    [
        (0.3, torch.float32, 1),
        (1, torch.float32, 1),
        (torch.tensor(1), torch.float32, 1),
        (torch.tensor(0.3), torch.float32, 1),
        (torch.tensor(0.3, dtype=torch.float64), torch.float64, 1),
        (torch.tensor([0.3]), torch.float32, 1),
        (torch.rand(5, generator=torch.Generator().manual_seed(0)), torch.float32, 5),
        (torch.linspace(0, 1, 5, dtype=torch.float64), torch.float64, 5),
    ],
)
@pytest.mark.parametrize(
    ("model", "coupling", "field"),
    [
        (Potts((3, 4), 3, 0.7, field=[0.1, 0.2, -0.4]), (1, 1, 1, 1), (1, 3, 1, 1)),
        (FULL, (1, 2, 3, 4), (1, 2, 3, 4)),
    ],
    ids=["uniform", "full"],
)
def test_conditions_follow_the_precision_and_the_walkers_of_t(
    model: PairModel,
    coupling: tuple[int, ...],
    field: tuple[int, ...],
    t: Any,
    dtype: torch.dtype,
    count: int,
) -> None:
    path = AnnealingPath(model, schedule=SCHEDULES["square"])
    conditions = path.conditions(t)
    assert all(value.dtype == dtype for value in conditions)
    assert conditions.t.shape == conditions.beta.shape == (count,)
    assert torch.equal(conditions.t, torch.as_tensor(t, dtype=dtype).view(-1))
    assert torch.equal(conditions.beta, path.beta(conditions.t).to(dtype))
    assert conditions.coupling.shape == coupling and conditions.field.shape == field
    assert torch.equal(conditions.coupling[0], model.coupling.to(dtype))
    assert torch.equal(conditions.field[0], model.site_table.to(dtype))


# The uniform start.


def p_value(counts: Tensor) -> float:
    """χ² test of equal expected counts along the last axis, all other axes together."""
    expected = counts.sum(-1, keepdim=True) / counts.shape[-1]
    statistic = ((counts - expected) ** 2 / expected).sum()
    freedom = counts.numel() - counts.numel() // counts.shape[-1]
    return float(
        torch.special.gammaincc(torch.tensor(freedom / 2).double(), statistic.double() / 2)
    )


@pytest.mark.parametrize(("shape", "q"), [((5, 7), 2), ((3, 3), 3), ((6,), 5), ((2, 2, 3), 127)])
def test_uniform_start_is_uniform_at_every_site(shape: tuple[int, ...], q: int) -> None:
    """False alarms 1e-6 each way, of a fixed seed."""
    start = Uniform(Lattice(shape), q)
    assert start.log_z == pytest.approx(math.prod(shape) * math.log(q), rel=1e-15)
    x = start.sample(torch.arange(2500), seed=3)
    assert x.dtype == torch.int8 and x.shape == (2500, *shape)
    assert int(x.min()) >= 0 and int(x.max()) < q
    counts = torch.stack([(x.flatten(1) == state).sum(0) for state in range(q)], dim=1)
    assert 1e-6 < p_value(counts) < 1 - 1e-6


@pytest.mark.parametrize(("shape", "q"), [((2, 3), 2), ((5,), 3)])
def test_uniform_start_draws_sites_independently(shape: tuple[int, ...], q: int) -> None:
    """All q**N configurations are equally frequent; false alarms 1e-6 each way, of a fixed seed."""
    sites = math.prod(shape)
    x = Uniform(Lattice(shape), q).sample(torch.arange(5000), seed=4).flatten(1)
    index = (x * q ** torch.arange(sites)).sum(1)
    assert 1e-6 < p_value(torch.bincount(index, minlength=q**sites)) < 1 - 1e-6


def test_uniform_start_of_a_walker_depends_on_its_index_and_the_seed_alone() -> None:
    start = AnnealingPath(Potts((3, 5), 3, 0.4)).start
    together = start.sample(torch.arange(10), seed=5)
    apart = torch.cat(
        [start.sample(torch.arange(4), seed=5), start.sample(torch.arange(4, 10), seed=5)]
    )
    assert torch.equal(together, apart)
    order = torch.tensor([7, 2, 2, 9])
    assert torch.equal(start.sample(order, seed=5), together[order])
    assert len(together.unique(dim=0)) == 10
    assert not torch.equal(start.sample(torch.arange(10), seed=6), together)


# A start of the user's own.


class Product:
    """Independent sites in a field: exactly ``exp(-β_0 H)`` where there is no coupling."""

    def __init__(self, sites: int, reduced_field: float) -> None:
        self.log_z = sites * math.log(2 * math.cosh(reduced_field))

    def sample(self, walkers: Tensor, seed: int) -> Tensor:
        return torch.ones(len(walkers), 2, 3, dtype=torch.int8)


def test_a_start_of_ones_own_may_begin_anywhere() -> None:
    model, start = Ising((2, 3), 0.8, coupling=0.0, field=0.5), Product(6, 0.2)
    path = AnnealingPath(model, start=start, schedule=lambda t: 0.5 + 0.5 * t)
    assert path.start is start
    assert path.beta(0.0).item() == 0.4 and path.beta(1.0).item() == 0.8
    x = path.start.sample(torch.arange(3), seed=0)
    assert path.log_increment(x, 0.0, 1.0).tolist() == pytest.approx([0.4 * 3.0] * 3, rel=1e-15)


def test_an_energy_is_enough_for_a_path() -> None:
    class Own:
        lattice, q, beta = Lattice((2, 3)), 2, 0.5

        def energy(self, configurations: Tensor) -> Tensor:
            return -configurations.flatten(1).sum(1)

    path = AnnealingPath(Own())
    x = path.start.sample(torch.arange(3), seed=0)
    expected = 0.5 * x.flatten(1).sum(1).double()
    assert torch.equal(path.log_increment(x, 0.0, 1.0), expected)
    flips = path.local_energy(x, 1.0, torch.float64).log_ratios
    assert torch.equal(flips, 0.5 * (1.0 - 2.0 * x.unsqueeze(1)))
    assert path.conditions(0.5).field.shape == (1, 2, 1, 1)


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (lambda t: 2 * t, r"schedule\(1\) = 1, got 0.0 at 0 and 2.0 at 1"),
        (lambda t: 1 - t, r"schedule\(1\) = 1, got 1.0 at 0 and 0.0 at 1"),
        (lambda t: t * math.nan, "schedule must be finite .* got nan at 0 and nan at 1"),
        (lambda t: 1 + torch.log(t), "schedule must be finite .* got -inf at 0"),
        (
            lambda t: 0.5 + 0.5 * t,
            r"uniform start needs schedule\(0\) = 0, got 0.5; change it, or give start=",
        ),
        (lambda t: t.mean(), r"tensor of its shape, got tensor\(0.5000"),
        (lambda t: 1.0, "tensor of its shape, got 1.0"),
        (lambda t: t.view(-1, 1), "tensor of its shape"),
    ],
)
def test_schedules_that_are_refused(schedule: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AnnealingPath(MODELS["ising"], schedule=schedule)


def test_a_schedule_that_changes_shape_later_is_refused_then() -> None:
    path = AnnealingPath(MODELS["ising"], schedule=lambda t: t[:2] if len(t) == 3 else t)
    with pytest.raises(ValueError, match="schedule must map a tensor to a tensor of its shape"):
        path.beta(torch.tensor([0.1, 0.2, 0.3]))


def test_schedules_of_lower_precision_give_float64() -> None:
    path = AnnealingPath(MODELS["ising"], schedule=lambda t: t.float())
    assert path.beta(0.5).dtype == path.beta_rate(0.5).dtype == torch.float64


def test_a_schedule_that_autograd_cannot_follow_is_refused() -> None:
    with pytest.raises(ValueError, match="function that autograd can differentiate"):
        AnnealingPath(MODELS["ising"], schedule=lambda t: t.detach())


def test_the_rate_of_a_schedule_under_inference_mode() -> None:
    path = AnnealingPath(MODELS["ising"], schedule=lambda t: t**2)
    with torch.inference_mode():
        assert path.beta_rate(0.5).item() == pytest.approx(path.model.beta)


def test_a_start_without_a_sampler_is_refused() -> None:
    with pytest.raises(ValueError, match="start must be None or have sample"):
        AnnealingPath(MODELS["ising"], start=3)  # type: ignore[arg-type]


def test_a_model_without_energy_is_refused() -> None:
    with pytest.raises(ValueError, match="missing: lattice, q, beta, energy"):
        AnnealingPath(object())  # type: ignore[arg-type]
