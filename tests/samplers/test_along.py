"""Walkers measured along the path: weights that belong to the density, at every recorded β.

Statistical tests have fixed seeds and raise a false alarm with probability 1e-4 each.
"""

import math
from typing import Any

import pytest
import torch

import leaps_triton as lt
from helpers import random_network, sigma_threshold, small_models

BETAS = [0.0, 0.15, 0.4, 0.6]
MODEL = lt.Ising((3, 2), beta=0.6, field=0.2, periodic=False)


def ais(betas: list[float] = BETAS, **options: Any) -> lt.Sampler:
    """Annealed importance sampling whose walkers are weighed at these β."""
    path = lt.AnnealingPath(MODEL)
    jump = lt.Jump(lt.schedules.through(path, betas, intervals=8))
    return lt.Sampler(path, None, jump, lt.HeatBath(), **{"device": "cpu", "block": 64, **options})


def test_measuring_changes_no_walker() -> None:
    plain = ais().sample(100, seed=3)
    measured = ais().sample(100, seed=3, along=BETAS)
    assert torch.equal(plain.log_weights, measured.log_weights)
    assert torch.equal(plain.configurations, measured.configurations)
    assert plain.by_beta == ()
    # The end of the way is the ensemble itself.
    last = measured.by_beta[-1]
    assert torch.equal(last.log_weights, measured.log_weights)
    for name in ("energy", "specific_heat", "binder"):
        assert last.estimate(name) == measured.estimate(name)
    # At the start all walkers weigh alike, and log Z is known.
    first = measured.by_beta[0]
    assert first.model.beta == 0.0 and not first.log_weights.any()
    assert first.log_z == pytest.approx(6 * math.log(2), abs=1e-12)


def test_every_stage_is_at_its_own_temperature() -> None:
    """Moments that carry β carry that of the stage."""
    ensemble = ais().sample(64, seed=1, along=BETAS)
    for stage, beta in zip(ensemble.by_beta, BETAS, strict=True):
        assert stage.model.beta == beta
        energies = stage.values["energy"] * 6
        heat = stage.values["specific_heat"]
        assert torch.allclose(heat[:, 0], beta * energies / 6**0.5, atol=1e-12)
        assert stage.names == list(lt.observables.OBSERVABLES)
        with pytest.raises(ValueError, match="since no configurations are stored"):
            stage.estimate(lt.observables.potts_order)


SAMPLERS = ["heat bath", "network", "network and heat bath", "leap", "resampled"]


def sampler_of(kind: str, model: Any) -> lt.Sampler:
    """Return a sampler of four intervals; the network is not trained."""
    path = lt.AnnealingPath(model)
    network = None
    move: Any = lt.HeatBath()
    integrator: Any = lt.Jump(4)
    options: dict[str, Any] = {"device": "cpu", "block": 1000}
    if kind in ("network", "network and heat bath", "leap"):
        network = random_network(model, scale=1.0)
    if kind in ("network", "leap"):
        move = None
    if kind == "leap":
        integrator = lt.TauLeap(4, floor=1.0)
    if kind == "resampled":
        options = {"device": "cpu", "block": 50, "resample_below": 0.9}
    return lt.Sampler(path, network, integrator, move, **options)


@pytest.mark.parametrize("kind", SAMPLERS)
def test_every_stage_is_unbiased(kind: str) -> None:
    """Mean weights and weighted sums of H at each β against enumeration, no ratio of means."""
    model = small_models()["pm1 3x3"]
    ensemble = sampler_of(kind, model).sample(2000, seed=5, along=True, observables=["energy"])
    stages = ensemble.by_beta
    # Some stages are within 1e-3 of another, and all share walkers: the bound is of all together.
    most = sigma_threshold(2 * len(stages))
    # Leaps and running weights stand at t = 0 on entering the first interval.
    frozen = kind in ("heat bath", "resampled")
    assert len(stages) == (6 if frozen else 5)
    for stage in stages[1:]:
        law = lt.exact.enumerate_model(stage.model)
        ratio = math.exp(law.log_z - stage.log_z_start)
        mean_energy = float(law.mean(lt.observables.energy, stage.model))
        weights = stage.log_weights.exp() / ratio
        for found, expected in ((weights, 1.0), (weights * stage.values["energy"], mean_energy)):
            # Relatives after a resampling count as one; without any, walkers are blocks of one.
            means = found.view(-1, stage.correlated).mean(1)
            error = float(means.std()) / math.sqrt(len(means))
            assert abs(float(means.mean()) - expected) < most * error
    if kind == "resampled":
        assert [stage.correlated for stage in stages[:2]] == [1, 1]
        assert stages[-1].correlated == 50


@pytest.mark.parametrize(
    "betas", [[0.3], [0.0, 0.3], [1e-3, 0.299], [0.1, 0.1001, 0.3], [0.0, 0.01, 0.02, 0.15, 0.3]]
)
@pytest.mark.parametrize("power", [1, 2])
def test_times_go_through_every_beta(betas: list[float], power: int) -> None:
    path = lt.AnnealingPath(lt.Ising((4, 4), beta=0.3), schedule=lambda t: t**power)
    times = lt.schedules.through(path, betas, intervals=10)
    jump = lt.Jump(times)
    weighed = path.beta(jump.densities)
    for beta in betas:
        assert float((weighed - beta).abs().min()) < 1e-12
    # None is longer than asked for, and there are few more than asked for.
    assert float(times.diff().max()) < 0.1 + 1e-9
    assert 10 <= jump.intervals <= 10 + 2 * len(betas)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"along": [0.2]}, "walkers are not weighed at beta = 0.2, the nearest is 0.216667"),
        ({"along": [0.4, 0.15]}, "inverse temperatures that increase"),
        ({"along": "0.4"}, "finite numbers"),
        ({"along": []}, "inverse temperatures that increase"),
        ({"along": True, "observables": ["heat"]}, "observables must be names among"),
        ({"along": True, "observables": "energy"}, "observables must be names among"),
    ],
)
def test_what_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ais().sample(4, **options)


def test_a_path_has_times_for_its_betas_alone() -> None:
    path = lt.AnnealingPath(MODEL)
    with pytest.raises(ValueError, match=r"leads from beta = 0 to 0.6, and passes no other"):
        path.time_of([0.3, 0.7])
    with pytest.raises(ValueError, match="intervals must be an integer of at least 1"):
        lt.schedules.through(path, [0.3], intervals=0)
