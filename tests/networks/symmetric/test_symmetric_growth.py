"""SymmetricConv: networks that grow, and that move to lattices of other sizes."""

from typing import Any

import pytest
import torch
from symmetric_cases import CASES, network_of, start

import leaps_triton as lt


def test_a_grown_glass_network_walks_farther_with_the_same_values() -> None:
    model, _ = CASES["pm1 2d"]
    network = network_of(model, 3)
    larger = network.grow(kernel_size=7)
    assert len(larger.skip.weight) == len(network.skip.weight) + 2
    x = start(model, 3)
    conditions = lt.AnnealingPath(model).conditions(0.6)
    torch.testing.assert_close(larger(x, conditions), network(x, conditions), rtol=1e-4, atol=1e-4)
    elsewhere = network.for_model(lt.EdwardsAnderson((4, 8), beta=0.8, seed=3))
    there = lt.AnnealingPath(elsewhere.model)
    assert elsewhere(start(elsewhere.model, 2), there.conditions(0.5)).shape == (2, 1, 4, 8)


@pytest.mark.parametrize("name", ["ising 2d", "potts 2d", "ising 1d"])
def test_a_grown_network_has_the_same_values(name: str) -> None:
    model, _ = CASES[name]
    network = network_of(model, 3)
    larger = network.grow(kernel_size=5, widths=(12, 7))
    assert (larger.kernel_size, larger.widths) == (5, (12, 7))
    assert larger.settings["widths"] == [12, 7]
    path = lt.AnnealingPath(model)
    x = start(model, 4)
    for t in (0.2, 0.9):
        conditions = path.conditions(t)
        torch.testing.assert_close(
            larger(x, conditions), network(x, conditions), rtol=1e-5, atol=1e-5
        )
    # What is new can learn: it reads all there is, and a step of the readout is felt.
    larger(x, path.conditions(0.9)).square().sum().backward()
    gradient = larger.stack.readout.weight.grad
    assert gradient is not None
    assert bool((gradient[4:] != 0.0).any())
    again = network.grow(kernel_size=5, widths=(12, 7))
    other = network.grow(kernel_size=5, widths=(12, 7), seed=99)
    first = "stack.layers.0.odd.weight"
    assert torch.equal(again.state_dict()[first], larger.state_dict()[first])
    assert not torch.equal(other.state_dict()[first], larger.state_dict()[first])


def test_a_window_makes_values_of_other_sizes_the_same() -> None:
    """With a periodic pattern, a larger lattice looks like the smaller one from every site."""
    small = lt.Ising((8, 8), beta=0.4)
    large = lt.Ising((16, 16), beta=0.4)
    network = network_of(small, 5, window=7, rings=False)
    moved = network.for_model(large)
    x = start(small, 3)
    here = network(x, lt.AnnealingPath(small).conditions(0.7))
    there = moved(x.repeat(1, 2, 2), lt.AnnealingPath(large).conditions(0.7))
    torch.testing.assert_close(there, here.repeat(1, 1, 2, 2), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("length", [4, 5])
def test_a_kernel_over_displacements_moves_to_another_size(length: int) -> None:
    """Its sums are the same on a larger lattice that is filled periodically, and back again."""
    small = lt.Ising((length, length), beta=0.4)
    large = lt.Ising((2 * length, 2 * length), beta=0.4)
    network = network_of(small, 3, window=3)
    with torch.no_grad():
        for layer in network.stack.layers:
            layer.odd.weight.zero_()
    moved = network.for_model(large)
    assert moved.shape == (2 * length, 2 * length)
    x = start(small, 3)
    conditions = lt.AnnealingPath(small).conditions(0.7)
    here = network(x, conditions)
    there = moved(x.repeat(1, 2, 2), conditions)
    assert float(here.detach().abs().mean()) > 0.1
    torch.testing.assert_close(there, here.repeat(1, 1, 2, 2), rtol=1e-4, atol=1e-4)
    back = moved.for_model(small)
    torch.testing.assert_close(back.skip.weight, network.skip.weight, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match=r"move it by network.for_model\(model\)"):
        network(start(large, 1), conditions)


def test_other_models_are_refused() -> None:
    network = network_of(lt.Ising((4, 4), beta=0.4), 3)
    with pytest.raises(ValueError, match="made for another bond_table"):
        network.check_model(lt.PairModel((4, 4), 0.4, [[1.0, 0.0], [0.0, 0.0]]))
    with pytest.raises(ValueError, match="kernel_size must be an integer of at least 3"):
        network.grow(kernel_size=1)
    with pytest.raises(ValueError, match="widths must be 2 widths of at least"):
        network.grow(widths=(4, 4))
    with pytest.raises(ValueError, match="settings of for_model must be among"):
        network.for_model(lt.Ising((8, 8), beta=0.4), seed=3)
    with pytest.raises(ValueError, match="2-dimensional"):
        network.for_model(lt.Ising((8,), beta=0.4))
    glass = lt.EdwardsAnderson((4, 4), beta=0.4, seed=1)
    kinds: list[tuple[Any, Any]] = [
        (network, glass),
        (network_of(glass, 3), lt.Ising((4, 4), beta=0.4)),
    ]
    kinds.append((network, lt.PairModel((4, 4), 0.4, [[1.0, 0.0], [0.0, 0.5]])))
    for made, model in kinds:
        with pytest.raises(ValueError, match="reads other inputs than one of"):
            made.for_model(model)
