"""Starts of independent sites: their law, the models on the way, exact weights, files, refusals."""

import math
from typing import Any

import pytest
import torch

import leaps_triton as lt

DOUBLE = torch.float64


def paths() -> list[lt.AnnealingPath]:
    """Paths of two and three states, in fields, from probabilities of one state and of all."""
    generator = torch.Generator().manual_seed(0)
    ising = lt.Ising((4, 3), 0.5, coupling=-0.8, field=torch.rand(4, 3, generator=generator))
    potts = lt.Potts((3, 3), 3, 0.8, field=[0.1, 0.0, -0.3])
    ups = 0.2 + 0.6 * torch.rand(4, 3, generator=generator)
    law = 0.2 + torch.rand(3, 3, 3, generator=generator)
    return [
        lt.AnnealingPath(ising, lt.Independent(ups)),
        lt.AnnealingPath(potts, lt.Independent(law / law.sum(0)), lambda t: t**2),
    ]


@pytest.mark.parametrize("path", paths(), ids=["ising", "potts"])
def test_densities_are_those_of_models_between(path: lt.AnnealingPath) -> None:
    model = path.model
    x = lt.exact.enumerate_configurations(model.shape, model.q)
    assert abs(float(torch.logsumexp(path.log_density(x, 0.0), 0))) < 1e-12
    last = float(torch.logsumexp(path.log_density(x, 1.0), 0))
    assert last == pytest.approx(lt.exact.log_z(model), abs=1e-12)
    between = path.model_at(0.6)
    torch.testing.assert_close(path.log_density(x, 0.6), -between.energy(x))
    gained = path.log_density(x, 0.9) - path.log_density(x, 0.6)
    torch.testing.assert_close(path.log_increment(x, 0.6, 0.9), gained)
    # Log-ratios of moves are differences of the same density.
    some = x[::7]
    moved = some.clone()
    moved[:, 1, 2] = (moved[:, 1, 2] + 1) % model.q
    ratio = path.local_energy(some, 0.6, DOUBLE).log_ratios[:, 0, 1, 2]
    torch.testing.assert_close(
        ratio, path.log_density(moved, 0.6) - path.log_density(some, 0.6), atol=1e-12, rtol=0.0
    )


@pytest.mark.parametrize("path", paths(), ids=["ising", "potts"])
def test_samples_have_the_probabilities(path: lt.AnnealingPath) -> None:
    """Four sigma at each of at most 27 frequencies: once in 600 seeds."""
    x = path.start.sample(torch.arange(20000), seed=1)
    law = path.start.log_probabilities.exp()
    for state in range(path.model.q):
        share = (x == state).double().mean(0)
        error = torch.sqrt(law[state] * (1.0 - law[state]) / len(x))
        assert bool(((share - law[state]).abs() < 4.0 * error).all())
    assert torch.equal(path.start.sample(torch.tensor([5, 9]), seed=1), x[[5, 9]])


@pytest.mark.parametrize("move", [lt.HeatBath(), lt.Metropolis(sweeps=2)])
def test_annealing_is_exact(move: Any) -> None:
    """Log Z both ways within 3.5 sigma: four estimates, once in 500 seeds."""
    for path in paths():
        exact = lt.exact.log_z(path.model)
        sampler = lt.Sampler(path, None, lt.Jump(intervals=10), move, device="cpu")
        for found in (
            sampler.sample(2048, seed=2),
            lt.reverse_ess(sampler, lt.exact.sample(path.model, 1024, seed=3), seed=4),
        ):
            assert found.log_z_error < 0.15
            assert abs(found.log_z - exact) < 3.5 * found.log_z_error


def test_a_start_near_the_model_takes_fewer_steps() -> None:
    model = lt.Ising((6, 6), 0.2, field=1.5)
    near = lt.Independent(torch.full((6, 6), 0.77))
    found = []
    for start in (near, None):
        path = lt.AnnealingPath(model, start)
        sampler = lt.Sampler(path, None, lt.Jump(intervals=5), lt.HeatBath(), device="cpu")
        found.append(sampler.sample(1024, seed=0).ess)
    assert found[0] > 2.0 * found[1]


def test_the_start_comes_back_from_a_file(tmp_path: Any) -> None:
    path = paths()[0]
    sampler = lt.Sampler(path, None, lt.Jump(intervals=3), lt.HeatBath(), device="cpu", block=64)
    lt.save(sampler, tmp_path / "start.safetensors")
    loaded = lt.load(tmp_path / "start.safetensors", device="cpu")
    assert isinstance(loaded.path.start, lt.Independent)
    again = loaded.sample(64, seed=5)
    first = sampler.sample(64, seed=5)
    assert torch.equal(again.configurations, first.configurations)
    assert torch.equal(again.log_weights, first.log_weights)


def test_only_sweeps_follow() -> None:
    path = paths()[0]
    wanted = "only sweeps follow; take transport=None and mcmc=HeatBath"
    for move in (lt.Wolff(), lt.Compose(lt.HeatBath(), lt.SwendsenWang())):
        with pytest.raises(ValueError, match=wanted):
            lt.Sampler(path, None, lt.Jump(intervals=3), move)
    with pytest.raises(ValueError, match=wanted):
        lt.Sampler(path, lt.LocalRates(path.model))
    with pytest.raises(ValueError, match=wanted):
        lt.Sampler(path, None, lt.Jump(intervals=3, reversible="barker"), lt.HeatBath())
    with pytest.raises(ValueError, match="no network is told how fields change"):
        path.conditions(0.5)
    walkers = torch.arange(4)
    x = path.start.sample(walkers, 0)
    with pytest.raises(ValueError, match="of all moves only sweeps"):
        lt.SwendsenWang().step(lt.SwendsenWang().init(x, walkers), path, 0.5, 0)
    with pytest.raises(ValueError, match="all walkers must be at one time, got 2"):
        path.model_at(torch.tensor([0.1, 0.2]))
    with pytest.raises(ValueError, match="no fields change"):
        lt.AnnealingPath(path.model).model_at(0.5)
    sampler = lt.Sampler(path, None, lt.Jump(intervals=3), lt.HeatBath(), device="cpu", block=64)
    with pytest.raises(ValueError, match="walkers pass no models at other temperatures"):
        sampler.sample(64, along=True)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lt.Independent(0.5), "one per site, above 0 and below 1, got 0.5"),
        (lambda: lt.Independent([0.5, 0.0]), "count half a row more of every state"),
        (lambda: lt.Independent([0.5, math.nan]), "must be finite"),
        (lambda: lt.Independent([0.5]).sample(torch.arange(2), 0), "has no model yet"),
        (lambda: lt.Independent([0.5]).on(lt.PhiFour((3, 3), -1.0, 2.0)), "needs a PairModel"),
        (lambda: lt.Independent([0.5]).on(lt.Ising((3,), 0.4)), r"shape \(3,\) for two states"),
        (lambda: lt.Independent([[0.5] * 3] * 3).on(lt.Potts(3, 3, 0.4)), "add up to 1 at every"),
    ],
)  # fmt: skip
def test_bad_starts_of_sites(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
