"""The zoo: entries that tell the truth, files that load, samplers whose weights are exact."""

import math

import pytest
import torch

import leaps_triton as lt

NAMES = lt.zoo.names()


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_tells_how_it_was_made_and_how_good_it_is(name: str) -> None:
    about = lt.zoo.about(name)
    for key in ("about", "model", "recipe", "seed", "train_seconds", "device", "versions"):
        assert about[key] not in ("", None, {}), key
    fresh = about["fresh_walkers"]
    assert 0.0 < fresh["ess"] <= 1.0
    # One of six would fail by chance once in 360 such zoos.
    if "log_z_pull" in fresh:
        assert abs(fresh["log_z_pull"]) < 3.5


@pytest.mark.parametrize("name", NAMES)
def test_a_file_loads_and_is_locally_equivariant(name: str) -> None:
    sampler = lt.zoo.load(name, device="cpu")
    model = sampler.path.model
    assert repr(model) == lt.zoo.about(name)["model"]
    stirred = {"sweeps", "clusters"} & set(lt.zoo.about(name))
    assert (sampler.mcmc is None) == (not stirred)
    x = sampler.path.start.sample(torch.arange(4), seed=1)
    conditions = sampler.path.conditions(0.8)
    network = sampler.transport
    assert network is not None
    with torch.no_grad():
        before = network(x, conditions)
        moved = x.clone()
        flat = moved.flatten(1)
        flat[:, 0] = (flat[:, 0] + 1) % model.q
        after = network(flat.view_as(x), conditions)
    # The inverse of a shift by one is a shift by q - 1.
    assert torch.equal(before[:, 0].flatten(1)[:, 0], -after[:, -1].flatten(1)[:, 0])


def test_the_small_one_samples_at_once() -> None:
    ensemble = lt.zoo.load("ising-8", device="cpu").with_block(64).sample(64, seed=3)
    exact = lt.exact.ising_log_z((8, 8), beta=0.4407)
    assert ensemble.ess > 0.9
    # A false alarm of one in 16 000 at four standard errors, for one seed.
    assert abs(ensemble.log_z - exact) < 4.0 * ensemble.log_z_error + 1e-3


def test_another_temperature_by_the_same_network() -> None:
    sampler = lt.zoo.load("ising-16", device="cpu", beta=0.3)
    assert sampler.path.model.beta == 0.3
    ensemble = sampler.with_integrator(lt.Jump(4)).with_block(32).sample(32, seed=0)
    exact = lt.exact.ising_log_z((16, 16), beta=0.3)
    # A false alarm of one in 16 000 at four standard errors, for one seed.
    assert abs(ensemble.log_z - exact) < 4.0 * ensemble.log_z_error + 1e-3


def test_another_lattice_by_the_same_network() -> None:
    sampler = lt.zoo.load("ising-8", device="cpu", shape=(6, 6), beta=0.3)
    assert sampler.path.model.shape == (6, 6)
    ensemble = sampler.with_block(64).sample(64, seed=0)
    assert ensemble.ess > 0.9


def test_unknown_names_and_models_are_refused() -> None:
    with pytest.raises(ValueError, match=r"the zoo has .*; got 'ising8'; did you mean 'ising-8'"):
        lt.zoo.load("ising8")
    with pytest.raises(ValueError, match="beta must be a finite number"):
        lt.zoo.load("ising-8", beta=math.nan)
