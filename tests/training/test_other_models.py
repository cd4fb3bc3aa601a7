"""Trained samplers for other models: exact weights at another β, lattice, coupling and field."""

import logging

import pytest
import torch

import leaps_triton as lt

MODEL = lt.Ising((4, 4), beta=0.4)
PATH = lt.AnnealingPath(MODEL, schedule=lambda t: t**2)


def on_a_response() -> lt.Sampler:
    """Return a sampler whose network stands on a response, on a schedule of its own."""
    response = lt.training.fit_response(PATH, walkers=128, times=4)
    network = lt.SymmetricConv(MODEL, kernel_size=3, widths=(4, 4)).stand_on(response)
    return lt.Sampler(PATH, network, lt.Jump(8), block=256, device="cpu")


SAMPLER = on_a_response()

OTHERS = {
    "warmer": MODEL.at(0.2),
    "open": lt.Ising((4, 4), beta=0.3, periodic=False),
    "in a field": lt.Ising((4, 4), beta=0.3, field=0.1),
    "weaker": lt.Ising((4, 4), beta=0.4, coupling=0.7),
    "odd lengths": lt.Ising((3, 5), beta=0.3),
}


@pytest.mark.parametrize("name", OTHERS)
def test_weights_are_exact_for_other_models(name: str) -> None:
    model = OTHERS[name]
    other = lt.training.sampler_for(SAMPLER, model, walkers=128, times=4)
    assert other.path.beta(0.5).item() == pytest.approx(model.beta / 4)
    ensemble = other.with_block(256).sample(256, seed=1)
    assert ensemble.ess > 0.3
    # A false alarm of one in 3 000 for one of the five, at four standard errors.
    assert abs(ensemble.log_z - lt.exact.log_z(model)) < 4.0 * ensemble.log_z_error + 1e-3


def test_on_its_own_lattice_a_network_is_shared_and_blocks_are_kept() -> None:
    other = lt.training.sampler_for(SAMPLER, MODEL.at(0.2))
    assert other.transport is SAMPLER.transport
    assert other.block == 256
    # On a larger lattice they follow from it.
    wide = lt.Ising((8, 8), beta=0.4)
    network = lt.LocalRates(MODEL)
    own = lt.Sampler(lt.AnnealingPath(MODEL), network, block=256, device="cpu")
    with pytest.raises(ValueError, match="with for_model"):
        lt.training.sampler_for(own, wide)


def test_moves_choose_anew_how_they_sweep() -> None:
    wide = lt.Ising((8, 8), beta=0.4)
    network = lt.SymmetricConv(wide, kernel_size=3, widths=(4, 4))
    move = lt.Compose(lt.HeatBath(sweeps=2), lt.SwendsenWang())
    own = lt.Sampler(lt.AnnealingPath(wide), network, lt.Jump(4), move, block=64, device="cpu")
    assert "packed='walkers'" in repr(own.mcmc)
    other = lt.training.sampler_for(own, lt.Ising((7, 7), beta=0.4))
    assert other.mcmc == lt.Compose(lt.HeatBath(sweeps=2, packed=False), lt.SwendsenWang())


def test_a_colder_model_than_a_network_knows_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "leaps_triton"):
        lt.training.sampler_for(SAMPLER, MODEL.at(0.4))
        lt.training.sampler_for(SAMPLER, MODEL.at(-0.4))
        assert not caplog.records
        lt.training.sampler_for(SAMPLER, MODEL.at(0.55))
        lt.training.sampler_for(SAMPLER, MODEL.at(0.55))
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 1
    assert "knows inverse temperatures up to beta = 0.4, and the model has beta = 0.55" in told[0]


def test_models_alike() -> None:
    field = lt.Ising((4, 4), beta=0.4, coupling=0.7, field=0.2, periodic=(True, False))
    assert repr(lt.training.model_like(field, beta=0.1)) == repr(field.at(0.1))
    found = lt.training.model_like(field, 0.1, (3, 5))
    same = lt.Ising((3, 5), 0.1, coupling=0.7, field=0.2, periodic=(True, False))
    x = lt.AnnealingPath(same).start.sample(torch.arange(4), seed=0)
    assert repr(found) == repr(same)
    assert torch.equal(found.energy(x), same.energy(x))
    line = lt.training.model_like(lt.Ising(8, beta=0.4), shape=6)
    assert line.shape == (6,)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="shape must be 2 lengths, as many as those of shape"):
        lt.training.model_like(MODEL, shape=(4, 4, 4))
    with pytest.raises(ValueError, match="shape must be 2 lengths"):
        lt.training.model_like(MODEL, shape=6)
    with pytest.raises(ValueError, match="shape must be lengths such as"):
        lt.training.model_like(MODEL, shape="12x12")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="beta must be a finite number"):
        lt.training.model_like(MODEL, beta="warm")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"couplings or fields .* are those of shape \(4, 4\)"):
        lt.training.model_like(lt.EdwardsAnderson((4, 4), beta=1.0), shape=(6, 6))
    with pytest.raises(ValueError, match="models of pairs on a lattice alone"):
        lt.training.model_like(lt.Ising(lt.Graph.complete(6), 0.1), shape=(3, 2))
    annealed = lt.Sampler(lt.AnnealingPath(MODEL), None, lt.Jump(4), lt.HeatBath())
    with pytest.raises(ValueError, match="must have a network and an AnnealingPath"):
        lt.training.sampler_for(annealed, MODEL.at(0.1))


def test_samplers_and_histories_print_in_a_line() -> None:
    text = repr(SAMPLER)
    assert text.startswith("Sampler(Ising(shape=(4, 4), q=2, beta=0.4")
    assert text.endswith("SymmetricConv, Jump(intervals=8), block=256, device=cpu)")
    history = lt.TrainingHistory(loss=[2.0, 0.5], evaluation_ess=[0.25])
    assert repr(history) == "TrainingHistory(steps=2, last loss=0.5, last evaluation_ess=0.25)"
