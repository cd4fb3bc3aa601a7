"""The regression of a linear response against dense least squares, and what it finds."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from leaps_triton.networks import LinearResponse
from leaps_triton.training.equilibrium.regression import regress

FIELD = torch.tensor([[0.3, -0.2, 0.0], [0.1, 0.4, -0.5]])
MODELS: dict[str, Any] = {
    "ising": lt.Ising((3, 3), beta=0.5),
    "ising axes": lt.Ising((2, 4), beta=0.5, coupling=[1.0, 0.5]),
    "ising open": lt.Ising((3, 3), beta=0.5, periodic=(True, False)),
    "ising field": lt.Ising((3, 3), beta=0.5, field=0.3),
    "glass": lt.EdwardsAnderson((3, 3), beta=0.8, seed=2),
    "potts": lt.Potts((2, 3), q=3, beta=0.9, field=[0.2, 0.0, -0.1]),
    "clock": lt.Clock((2, 3), q=4, beta=0.7),
}


def everything(model: Any) -> Tensor:
    """All configurations as samples of one time: least squares asks for no law."""
    return lt.exact.enumerate_configurations(model.shape, model.q)


def kappa(model: Any, network: LinearResponse, x: Tensor, beta: Tensor) -> Tensor:
    """``Σ_{i,k} p_k(i) D_k(i)`` of a network, written down again, float64 ``(walkers,)``."""
    path = lt.AnnealingPath(model)
    conditions = path.conditions(beta / model.beta)
    rates = network(x, conditions).double()
    log_ratios = model.local_energy(x, beta, torch.float64).log_ratios
    odds = log_ratios.exp()
    chances = odds / (1.0 + odds.sum(1, keepdim=True))
    return (chances * rates).flatten(1).sum(1)


def units(model: Any, response: LinearResponse) -> list[LinearResponse]:
    """The responses of which a given one is a combination, each with one number of 1."""
    found: list[LinearResponse] = []
    betas = torch.ones(1)
    rings = response.kernels.shape[1:].numel()
    sites = model.lattice.sites
    for number in range(rings):
        kernel = torch.zeros(1, rings)
        kernel[0, number] = 1.0
        kernel = kernel.view(1, *response.kernels.shape[1:])
        if response.full:
            if number // sites >= number % sites:
                continue
            kernel = kernel + kernel.transpose(1, 2)
        one = LinearResponse(model, 1, response.full)
        found.append(one.fill(betas, kernel, one.constants, torch.zeros(1, 2)))
    for state in range(model.q - 1):
        if not response.constants.numel():
            break
        one = LinearResponse(model, 1, response.full, constants="states")
        one.constants[0, state] = 1.0
        found.append(one)
    return found


@pytest.mark.parametrize("name", list(MODELS))
def test_it_leaves_what_dense_least_squares_leaves(name: str) -> None:
    model = MODELS[name]
    x = everything(model)
    t = torch.tensor([0.7]).double()
    response = lt.linear_response(lt.AnnealingPath(model), (x.unsqueeze(0), t), ridge=1e-12)
    beta = t * model.beta
    energies = model.energy(x)
    columns = torch.stack([kappa(model, one, x, beta) for one in units(model, response)], 1)
    columns = columns - columns.mean(0)
    target = energies - energies.mean()
    best = torch.linalg.lstsq(columns, target.unsqueeze(1), driver="gelsd").solution
    wanted = (target - (columns @ best).squeeze(1)).var()
    left = energies - kappa(model, response, x, beta)
    # Kernels are kept in float32.
    assert abs(float(left.var() - wanted)) < 1e-5 * float(target.var()), (left.var(), wanted)
    assert float(left.var()) < 0.5 * float(target.var())


@pytest.mark.parametrize("name", list(MODELS))
def test_at_infinite_temperature_nothing_is_left(name: str) -> None:
    """There the kernel is half the coupling; the node is added to those of the samples."""
    model = MODELS[name]
    x = everything(model)
    t = torch.tensor([0.5, 1.0]).double()
    samples = lt.training.Batch(torch.stack([x, x]), t)
    response = lt.linear_response(lt.AnnealingPath(model), samples)
    assert response.betas.tolist() == pytest.approx([0.0, 0.5 * model.beta, model.beta])
    assert len(response.fit) == 2
    left = model.energy(x) - kappa(model, response, x, torch.zeros(1).double())
    assert float(left.var()) < 1e-9


def test_each_walker_is_left_out_in_turn() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(30, 4, generator=generator).double()
    target = features @ torch.tensor([1.0, -2.0, 0.5, 0.0]).double()
    target = target + torch.randn(30, generator=generator).double()
    found = regress(features, target, 1e-9)
    squares: list[float] = []
    for walker in range(30):
        rest = torch.arange(30) != walker
        ones = torch.ones(30, 1).double()
        design = torch.cat([features, ones], 1)
        fitted = torch.linalg.lstsq(design[rest], target[rest].unsqueeze(1)).solution
        squares.append(float(target[walker] - design[walker] @ fitted.squeeze(1)) ** 2)
    assert found.after == pytest.approx(sum(squares) / 30, rel=1e-3)
    # A strong ridge draws to the weights that are expected.
    prior = torch.tensor([1.0, -2.0, 0.5, 0.0]).double()
    drawn = regress(features, target, 1e6, prior)
    assert torch.allclose(drawn.weights, prior, atol=1e-4) and drawn.before == found.before
    # A column that never varies is no obstacle, nor two that are the same.
    more = torch.cat([features, features[:, :1], torch.ones(30, 1).double()], 1)
    assert regress(more, target, 1e-9).after == pytest.approx(found.after, rel=1e-3)


def test_many_noisy_numbers_get_a_larger_ridge() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(60, 50, generator=generator).double()
    target = torch.randn(60, generator=generator).double()
    found = regress(features, target, 1e-4)
    assert found.after < 3.0 and float(features.mv(found.weights).var()) < 0.9


def test_far_pairs_are_left_out_and_far_rings_united() -> None:
    glass = lt.EdwardsAnderson((4, 4), beta=0.8, seed=2)
    x = lt.AnnealingPath(glass).start.sample(torch.arange(64), 0).unsqueeze(0)
    t = torch.ones(1).double()
    kernel = lt.linear_response(lt.AnnealingPath(glass), (x, t)).kernels[-1]
    assert torch.equal(kernel, kernel.T) and int((kernel != 0).sum()) == 64
    ising = lt.Ising((16, 16), beta=0.8)
    x = lt.AnnealingPath(ising).start.sample(torch.arange(64), 0).unsqueeze(0)
    response = lt.linear_response(lt.AnnealingPath(ising), (x, t))
    assert response.kernels.shape == (2, 16) and response.settings["rings"] == 16
    rings = lt.linear_response(lt.AnnealingPath(glass), (x[..., :4, :4], t), full=False)
    assert rings.kernels.ndim == 2


def test_it_is_a_transport_by_itself(tmp_path: Path) -> None:
    model = lt.Potts((3, 3), q=3, beta=0.6)
    path = lt.AnnealingPath(model)
    t = torch.linspace(0.1, 1.0, 10).double()
    samples = lt.training.equilibrate(path, t, walkers=400, refresh="exact", seed=1)
    response = lt.linear_response(path, samples)
    sampler = lt.Sampler(path, response, lt.Jump(8), block=500, device="cpu")
    ensemble = sampler.sample(walkers=500, seed=2)
    assert ensemble.ess > 0.95
    # Wrong at this seed once in 16 000 times if the error bar is right.
    assert abs(ensemble.log_z - lt.exact.log_z(model)) < 4 * ensemble.log_z_error
    lt.save(sampler, tmp_path / "s.safetensors")
    again = lt.load(tmp_path / "s.safetensors", device="cpu").sample(walkers=500, seed=2)
    assert torch.equal(again.log_weights, ensemble.log_weights)


def test_a_path_to_negative_beta() -> None:
    model = lt.Ising((3, 4), beta=-0.4, periodic=(False, True))
    x = lt.AnnealingPath(model).start.sample(torch.arange(300), 0)
    samples = (torch.stack([x, x]), torch.tensor([0.5, 1.0]).double())
    response = lt.linear_response(lt.AnnealingPath(model), samples)
    assert response.betas.tolist() == pytest.approx([-0.4, -0.2, 0.0])
    assert float(response.last_beta) == pytest.approx(-0.4)


def test_samples_that_are_none_are_refused() -> None:
    model = MODELS["ising"]
    path = lt.AnnealingPath(model)
    x = everything(model).unsqueeze(0)
    with pytest.raises(ValueError, match="samples must be a Batch, or configurations and times"):
        lt.linear_response(path, x)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"samples must be of shape \(times, walkers, 3, 3\)"):
        lt.linear_response(path, (x, torch.ones(2).double()))
    with pytest.raises(ValueError, match="three walkers at least"):
        lt.linear_response(path, (x[:, :2], torch.ones(1).double()))
    two = torch.cat([x, x])
    with pytest.raises(ValueError, match="at times of increasing beta"):
        lt.linear_response(path, (two, torch.tensor([0.5, 0.5]).double()))
    with pytest.raises(ValueError, match="ridge must be a positive number"):
        lt.linear_response(path, (x, torch.ones(1).double()), ridge=0.0)
    with pytest.raises(ValueError, match="path must be an AnnealingPath"):
        lt.linear_response(model, (x, torch.ones(1).double()))  # type: ignore[arg-type]
    still = lt.AnnealingPath(model.at(0.0))
    with pytest.raises(ValueError, match="the path stays at beta = 0"):
        lt.linear_response(still, (x, torch.ones(1).double()))


def test_a_response_that_explains_nothing_is_told(caplog: pytest.LogCaptureFixture) -> None:
    path = lt.AnnealingPath(lt.Ising((4, 4), beta=0.6))
    generator = torch.Generator().manual_seed(0)
    # Far from equilibrium, and too few to tell anything.
    x = torch.randint(0, 2, (1, 3, 4, 4), generator=generator, dtype=torch.int8)
    lt.linear_response(path, (x, torch.ones(1).double()))
    assert "the response explains nothing at β = 0.6" in caplog.text
