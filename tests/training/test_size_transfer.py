"""Networks that are moved to another lattice, or grown, on a linear response."""

import pytest
import torch

import leaps_triton as lt

SMALL = lt.Ising((4, 4), beta=0.4)
LARGE = lt.Ising((6, 6), beta=0.4)


def standing() -> lt.SymmetricConv:
    """Return a network of the small model that stands on its response."""
    path = lt.AnnealingPath(SMALL)
    response = lt.training.fit_response(path, walkers=128, times=4)
    network = lt.SymmetricConv(SMALL, kernel_size=3, widths=(6, 4), window=3)
    return network.stand_on(response, gate=(0.2, 0.4))


def output(network: lt.SymmetricConv, model: lt.Ising, t: float) -> torch.Tensor:
    path = lt.AnnealingPath(model)
    x = path.start.sample(torch.arange(3), seed=0)
    with torch.no_grad():
        made: torch.Tensor = network(x, path.conditions(t))
    return made


def test_a_moved_network_stands_on_a_response_of_its_own() -> None:
    network = standing()
    path = lt.AnnealingPath(LARGE)
    moved = lt.training.transfer(network, path, walkers=128, times=4)
    assert moved.shape == (6, 6)
    assert moved.response.betas.tolist() == network.response.betas.tolist()
    assert moved.response.shape == (6, 6)
    assert moved.gate == network.gate
    # Below the gate there is the response alone.
    own = moved.response.values(path.start.sample(torch.arange(3), seed=0), path.conditions(0.15))
    rise = own[:, 1:] - own[:, :1]
    x = path.start.sample(torch.arange(3), seed=0).unsqueeze(1)
    torch.testing.assert_close(output(moved, LARGE, 0.15), (rise * (1 - 2 * x)).float())
    for name in ("stack.layers.0.odd.weight", "stack.readout.weight"):
        assert torch.equal(moved.get_parameter(name), network.get_parameter(name))


def test_a_grown_network_goes_on_where_the_small_one_stood() -> None:
    network = standing()
    grown = network.grow(widths=(8, 6))
    assert grown.gate == network.gate
    torch.testing.assert_close(output(grown, SMALL, 0.9), output(network, SMALL, 0.9))
    sampler = lt.Sampler(lt.AnnealingPath(SMALL), grown, lt.Jump(3), block=32, device="cpu")
    config = lt.TrainingConfig.spring(
        steps=3, times=3, walkers=4, buffer=8, rollout=8, bins=4, held_out=8
    )
    history = lt.Trainer(sampler, config).run()
    assert len(history.loss) == 3


def test_a_network_that_cannot_be_moved_is_refused() -> None:
    network = lt.HollowConv(SMALL, kernel_size=3, channels=2, width=4, modes=0)
    with pytest.raises(ValueError, match="with for_model, such as a SymmetricConv"):
        lt.training.transfer(network, lt.AnnealingPath(LARGE))  # type: ignore[type-var]
    symmetric = lt.SymmetricConv(SMALL, kernel_size=3, widths=(4, 2))
    with pytest.raises(ValueError, match="path must be an AnnealingPath"):
        lt.training.transfer(symmetric, LARGE)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="path must be an AnnealingPath"):
        lt.training.fit_response(LARGE)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="the path stays at beta = 0"):
        lt.training.fit_response(lt.AnnealingPath(LARGE.at(0.0)))
