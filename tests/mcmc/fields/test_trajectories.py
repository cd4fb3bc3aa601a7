"""Trajectories of real fields: reversible, of second order, and invariant."""

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from leaps_triton.kernels.lattice_fields.reference import action_and_force
from leaps_triton.kernels.trajectories.reference import Trajectories, leap
from leaps_triton.mcmc.fields.masses import orbits, scales_of, squares

DOUBLE = torch.float64
MASSES = tuple(0.9 + 0.4 * number for number in range(orbits((4, 6))[1]))


def numbers(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def density(mass_squared: float, quartic: float) -> Any:
    couplings = [torch.full((1,), value, dtype=DOUBLE) for value in (mass_squared, quartic)]
    return lambda field: action_and_force(field, *couplings)


RULE = density(-3.0, 4.0)


def followed(
    rule: Any, x: Tensor, momenta: Tensor, scales: Tensor, leapfrogs: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return field and momenta at the end, and ``ΔH``."""
    given = Trajectories(x, x, x, scales, leapfrogs, torch.arange(len(x)), 0, 1, 0)
    start, force = rule(x)
    field, after, end, _ = leap(x, momenta, force, given, rule)
    kinetic = 0.5 * (after.square() - momenta.square()).flatten(1).sum(1)
    return field, after, end - start + kinetic


@pytest.mark.parametrize("masses", [None, MASSES])
def test_trajectories_return(masses: Any) -> None:
    """With momenta turned round a trajectory leads back to where it began."""
    x = 0.7 * numbers(20, 4, 6, seed=1)
    momenta = numbers(20, 4, 6, seed=2)
    scales = scales_of((4, 6), masses, 0.05, x.device)
    field, after, error = followed(RULE, x, momenta, scales, 7)
    assert float((field - x).abs().max()) > 0.2
    back, turned, opposite = followed(RULE, field, -after, scales, 7)
    torch.testing.assert_close(back, x, rtol=0.0, atol=1e-12)
    torch.testing.assert_close(-turned, momenta, rtol=0.0, atol=1e-12)
    torch.testing.assert_close(opposite, -error, rtol=0.0, atol=1e-11)


@pytest.mark.parametrize("fourier", [False, True])
def test_energy_errors_fall_as_the_square_of_the_step(fourier: bool) -> None:
    """At one length of trajectories; the slope in the logarithm is 2 up to the next order."""
    masses = None
    if fourier:
        masses = MASSES
    x = 0.7 * numbers(200, 4, 6, seed=3)
    momenta = numbers(200, 4, 6, seed=4)
    logs = []
    for leapfrogs in (8, 16, 32):
        scales = scales_of((4, 6), masses, 0.4 / leapfrogs, x.device)
        _, _, error = followed(RULE, x, momenta, scales, leapfrogs)
        logs.append(float(error.square().mean().log()) / 2.0)
    for coarse, fine in itertools.pairwise(logs):
        assert abs((coarse - fine) / math.log(2.0) - 2.0) < 0.1


def lattice_of_points(dimensions: int, points: int, width: float) -> Tensor:
    """Return all points of a regular grid, ``(points ** dimensions, dimensions)``."""
    line = torch.linspace(-width, width, points, dtype=DOUBLE)
    return torch.cartesian_prod(*[line] * dimensions).view(-1, dimensions)


@pytest.mark.parametrize(("sites", "points", "tolerance"), [(1, 400, 1e-4), (2, 25, 2e-3)])
def test_the_law_is_invariant_by_quadrature(sites: int, points: int, tolerance: float) -> None:
    """``∫ ρ(x) N(q) [a g(x') + (1 - a) g(x)] = ∫ ρ g`` over fields and momenta.

    The acceptance ``a`` has a kink, where the trapezoidal rule is of second order; without the
    acceptance the means of x² and x⁴ miss by 4 % and more, as the last line sees to.
    """
    rule = density(-1.0, 0.8)
    both = lattice_of_points(2 * sites, points, 4.5)
    x = both[:, :sites].contiguous() * 0.6
    momenta = both[:, sites:].contiguous()
    scales = scales_of((sites,), (0.7, 1.3)[:sites], 0.75, x.device)
    after, _, error = followed(rule, x, momenta, scales, 2)
    weights = (-rule(x)[0] - 0.5 * momenta.square().sum(1)).exp()
    weights = weights / weights.sum()
    accepted = (-error.clamp(min=0.0)).exp()
    for power in (2, 4):
        before = x[:, 0] ** power
        moved = after[:, 0] ** power
        expected = (weights * before).sum()
        found = (weights * (accepted * moved + (1.0 - accepted) * before)).sum()
        assert abs(float(found / expected) - 1.0) < tolerance
        assert abs(float((weights * moved).sum() / expected) - 1.0) > 10.0 * tolerance


def exact_two_sites(model: Any) -> dict[str, float]:
    """Return ``⟨φ²⟩`` and ``⟨φ_0 φ_1⟩`` of two sites by quadrature."""
    x = lattice_of_points(2, 401, 3.0)
    weights = (-model.energy(x.to(model.dtype))).exp()
    weights = weights / weights.sum()
    square = float((weights * x.square().mean(1)).sum())
    product = float((weights * x[:, 0] * x[:, 1]).sum())
    return {"square": square, "product": product}


OBSERVABLES = {
    "square": lambda x, model: x.double().square().mean(1),
    "product": lambda x, model: x[:, 0].double() * x[:, 1].double(),
}

MOVES: dict[str, Any] = {
    "HMC": lt.HMC(),
    "HMC without Fourier": lt.HMC(2, fourier=False, sweeps=2),
    "Langevin": lt.Langevin(sweeps=4, acceptance=0.8),
    "signs": lt.Compose(lt.HMC(1), lt.SignCluster()),
}


@pytest.mark.parametrize("name", MOVES)
def test_chains_of_two_sites(name: str) -> None:
    """Four sigma: two observables of four moves fail by chance once in 2000 seeds."""
    model = lt.PhiFour((2,), mass_squared=-1.0, quartic=0.8)
    chain = lt.run_chain(
        model, MOVES[name], walkers=600, sweeps=150, seed=5, device="cpu", observables=OBSERVABLES
    )
    for observable, value in exact_two_sites(model).items():
        estimate = chain.estimate(observable)
        assert estimate.error < 0.02 * value
        assert abs(estimate.pull(value)) < 4.0


def test_every_walker_has_a_time_of_its_own() -> None:
    """A step at several times is that at each, and leaves weighted walkers their weights."""
    model = lt.PhiFour((4, 4), -3.0, 4.0)
    path = lt.AnnealingPath(model)
    move = lt.HMC(2, step=0.2, masses=[1.0] * orbits((4, 4))[1])
    walkers = torch.arange(30)
    state = move.init(path.start.sample(walkers, seed=0), walkers)
    times = torch.linspace(0.0, 1.0, 30, dtype=DOUBLE)
    together, _ = move.step(state, path, times, seed=1)
    for row in (0, 11, 29):
        alone, _ = move.step(state, path, float(times[row]), seed=1)
        assert torch.equal(alone.configurations[row], together.configurations[row])


def test_annealed_weights_are_unbiased() -> None:
    """``E[e^A] = Z_1 / Z_0`` of 2 × 2 sites, by quadrature 1.5557160303; four sigma."""
    path = lt.AnnealingPath(lt.PhiFour((2, 2), mass_squared=-1.0, quartic=0.9))
    move = lt.HMC(3, step=0.15, fourier=False)
    walkers = torch.arange(4000)
    state = move.init(path.start.sample(walkers, seed=6), walkers)
    weights = torch.zeros(4000, dtype=DOUBLE)
    for number in range(16):
        before = number / 16
        after = (number + 1) / 16
        weights += path.log_increment(state.configurations, before, after)
        state, _ = move.step(state, path, after, seed=6)
    ratio = weights.exp().mean()
    error = weights.exp().std() / math.sqrt(4000)
    assert abs(float(ratio) - math.exp(1.5557160303)) < 4.0 * float(error)
    assert float(error / ratio) < 0.03


class Bowl:
    """A target of a user's own: independent normal numbers of two widths."""

    shape = (2,)
    dtype = DOUBLE
    beta = 1.0
    widths = torch.tensor([0.5, 2.0], dtype=DOUBLE)

    def energy(self, x: Tensor) -> Tensor:
        return 0.5 * (x / self.widths).square().sum(1)

    def force(self, x: Tensor) -> Tensor:
        return -x / self.widths.square()


def test_any_target_with_a_force() -> None:
    observables = {
        "first": lambda x, model: x[:, 0] ** 2,
        "second": lambda x, model: x[:, 1] ** 2,
    }
    chain = lt.run_chain(
        Bowl(), lt.HMC(4, fourier=False), walkers=100, sweeps=120, seed=2, device="cpu",
        start=numbers(100, 2, seed=7), observables=observables,
    )  # fmt: skip
    # Four sigma of two numbers: once in 8000 seeds.
    assert abs(chain.estimate("first").pull(0.25)) < 4.0
    assert abs(chain.estimate("second").pull(4.0)) < 4.0
    with pytest.raises(ValueError, match=r"modes of a periodic lattice, got .*fourier=False"):
        lt.HMC(fourier=True).settled(Bowl())
    # What is not told is what the lattice allows, and a run that goes on keeps it.
    found = lt.HMC(4).settled(Bowl())
    assert found == lt.HMC(4, fourier=False).settled(Bowl()) and found.masses is None
    assert lt.HMC(4).settled(None, found) == found


def test_a_path_without_couplings_goes_the_same_way() -> None:
    """A start of a user's own leaves the op, and follows the path's score instead."""

    class Given:
        log_z = 0.0

        def sample(self, walker_index: Tensor, seed: int) -> Tensor:
            return x

    model = lt.PhiFour((4, 6), mass_squared=-3.0, quartic=4.0)
    x = 0.7 * numbers(20, 4, 6, seed=1).float()
    move = lt.HMC(2, step=0.15, masses=MASSES)
    state = move.init(x, torch.arange(20))
    in_couplings, info = move.step(state, lt.AnnealingPath(model), 1.0, seed=3)
    path = lt.AnnealingPath(model, Given())
    assert not path.has_couplings
    by_score, other = move.step(state, path, 1.0, seed=3)
    torch.testing.assert_close(
        by_score.configurations, in_couplings.configurations, rtol=0.0, atol=1e-5
    )
    torch.testing.assert_close(other.acceptance, info.acceptance, rtol=0.0, atol=1e-4)


def test_orbits_are_those_of_the_symmetries() -> None:
    number, count = orbits((4, 4))
    assert count == 6 and torch.equal(number, number.T)
    assert torch.equal(number, number.roll(-1, 0).flip(0))
    assert orbits((4, 6))[1] == 12 and orbits((4, 4, 4))[1] == 10 and orbits((1,))[1] == 1
    # Modes of a free field have the variances that its start draws.
    start = lt.FreeField(0.5).on(lt.PhiFour((4, 4), 0.5, 0.0, dtype=DOUBLE))
    found = squares(start.sample(torch.arange(4000), seed=0))
    ratio = found[number.flatten()] / start.variances.flatten()
    # 4000 squares of one mode have a relative deviation of 0.022; four of these.
    assert bool(((ratio - 1.0).abs() < 0.09).all())
