"""HollowConv: local equivariance bit for bit, symmetries, sizes, precision, refusals."""

from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt

CASES: dict[str, tuple[Any, int]] = {
    "ising 1d": (lt.Ising((9,), beta=0.7, field=0.2), 5),
    "ising 2d odd": (lt.Ising((5, 7), beta=0.4, field=torch.linspace(-1, 1, 35).view(5, 7)), 7),
    "ising 2d open": (lt.Ising((6, 5), beta=0.4, periodic=(True, False)), 5),
    "pm1 2d": (lt.EdwardsAnderson((6, 6), beta=0.8, seed=2), 3),
    "gaussian 3d": (lt.EdwardsAnderson((4, 3, 4), beta=0.8, disorder="gaussian", seed=2), 3),
    "potts 2d": (lt.Potts((5, 6), q=3, beta=0.9, field=[0.1, 0.0, -0.4]), 5),
    "clock 2d": (lt.Clock((4, 4), q=5, beta=0.9), 3),
    "ising 4d": (lt.Ising((3, 4, 3, 3), beta=0.2), 3),
}


def awake(model: Any, kernel_size: int, **options: Any) -> lt.HollowConv:
    """A network whose parameters are all far from zero."""
    network = lt.HollowConv(model, kernel_size=kernel_size, channels=6, width=16, seed=3, **options)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
        network.readout.weight.mul_(5.0)
    return network


def start(model: Any, walkers: int, seed: int = 0) -> Tensor:
    return lt.AnnealingPath(model).start.sample(torch.arange(walkers), seed)


@pytest.mark.parametrize("double", [False, True], ids=["float32", "float64"])
@pytest.mark.parametrize("name", list(CASES))
def test_local_equivariance_holds_bit_for_bit(name: str, double: bool) -> None:
    """G_k(i | x) = -G_{q-k}(i | x^{(i,k)}) for every site and shift.

    Gradients are on, so that nothing runs in pieces.
    """
    model, kernel_size = CASES[name]
    network = awake(model, kernel_size)
    network = network.double() if double else network
    t = torch.tensor(0.6, dtype=torch.float64 if double else torch.float32)
    conditions = lt.AnnealingPath(model).conditions(t)
    x = start(model, 2)
    sites = model.lattice.sites
    chosen = range(0, sites, max(1, sites // 12))
    output = network(x, conditions).flatten(2)
    assert float(output.detach().abs().mean()) > 0.05
    for shift in range(1, model.q):
        for site in chosen:
            moved = x.flatten(1).clone()
            moved[:, site] = (moved[:, site] + shift) % model.q
            back = network(moved.view_as(x), conditions).flatten(2)
            assert torch.equal(output[:, shift - 1, site], -back[:, model.q - shift - 1, site])


def test_the_output_depends_on_every_other_site() -> None:
    """With a kernel that spans the lattice, hollowness is at the site itself and nowhere else."""
    model = lt.Ising((5, 5), beta=0.4)
    network = awake(model, 5, modes=0)
    conditions = lt.AnnealingPath(model).conditions(0.5)
    x = start(model, 1)
    spin = 2.0 * x.flatten(1)[:, 12] - 1.0
    value = network(x, conditions).flatten(2)[:, 0, 12] * spin
    for site in range(25):
        moved = x.flatten(1).clone()
        moved[:, site] = 1 - moved[:, site]
        spin = 2.0 * moved[:, 12] - 1.0
        changed = network(moved.view_as(x), conditions).flatten(2)[:, 0, 12] * spin
        assert torch.equal(changed, value) == (site == 12)


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_without_global_features_it_reads_as_far_as_it_says(kernel_size: int) -> None:
    """Sites within reach, in the box of the kernel or neighbours, and no other; with them, all."""
    model = lt.Potts((7, 9), q=3, beta=0.9, field=[0.1, 0.0, -0.4])
    conditions = lt.AnnealingPath(model).conditions(0.5)
    x = start(model, 1)
    position = torch.cartesian_prod(torch.arange(7), torch.arange(9)) - torch.tensor([3, 4])
    for everywhere in (False, True):
        network = awake(model, kernel_size, global_features=everywhere)
        value = network(x, conditions)[0, :, 3, 4]
        read = []
        for site in range(63):
            moved = x.flatten(1).clone()
            moved[:, site] = (moved[:, site] + 1) % 3
            changed = network(moved.view_as(x), conditions)[0, :, 3, 4]
            read.append(not torch.equal(changed, value))
        if everywhere:
            assert network.reach is None and sum(read) > 55
        else:
            assert network.reach == max(1, kernel_size // 2)
            assert set(position[torch.tensor(read)].abs().max(1).values.tolist()) == set(
                range(network.reach + 1)
            )


@pytest.mark.parametrize("name", ["ising 1d", "potts 2d", "clock 2d", "ising 4d"])
def test_translation_equivariance(name: str) -> None:
    model, kernel_size = CASES[name]
    network = awake(model, kernel_size)
    conditions = lt.AnnealingPath(model).conditions(0.3)
    x = start(model, 3)
    shifts = tuple(range(1, model.lattice.ndim + 1))
    axes = tuple(range(1, model.lattice.ndim + 1))
    moved = network(x.roll(shifts, axes), conditions)
    expected = network(x, conditions).roll(shifts, tuple(a + 1 for a in axes))
    torch.testing.assert_close(moved, expected, rtol=1e-4, atol=1e-4)


def test_an_open_boundary_breaks_translation_equivariance() -> None:
    model, kernel_size = CASES["ising 2d open"]
    network = awake(model, kernel_size)
    conditions = lt.AnnealingPath(model).conditions(0.3)
    x = start(model, 1)
    assert not torch.allclose(
        network(x.roll(1, 2), conditions), network(x, conditions).roll(1, 3), atol=1e-2
    )


@pytest.mark.parametrize("name", list(CASES))
def test_pieces_agree_with_the_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without gradients a CPU works in pieces of walkers; each walker has its own time."""
    model, kernel_size = CASES[name]
    network = awake(model, kernel_size)
    x = start(model, 5)
    conditions = lt.AnnealingPath(model).conditions(torch.linspace(0.1, 0.9, 5))
    whole = network(x, conditions)
    monkeypatch.setattr("leaps_triton.networks.base.CHUNK_SITES", 2 * model.lattice.sites)
    with torch.no_grad():
        pieces = network(x, conditions)
    torch.testing.assert_close(pieces, whole.detach(), rtol=1e-5, atol=1e-5)


def test_walkers_with_their_own_time_agree_with_one_time() -> None:
    model, kernel_size = CASES["potts 2d"]
    network = awake(model, kernel_size)
    path = lt.AnnealingPath(model)
    x = start(model, 3)
    together = network(x, path.conditions(torch.tensor([0.2, 0.5, 0.8])))
    for row, t in enumerate((0.2, 0.5, 0.8)):
        torch.testing.assert_close(
            together[row : row + 1], network(x[row : row + 1], path.conditions(t))
        )
    assert not torch.allclose(together[0], network(x[:1], path.conditions(0.8))[0])


def test_physical_parameters_enter_through_the_call() -> None:
    """One network serves other couplings and fields of the same kind."""
    network = awake(lt.Ising((6, 6), beta=0.4), 3)
    x = start(lt.Ising((6, 6), beta=0.4), 2)
    plain = network(x, lt.AnnealingPath(lt.Ising((6, 6), beta=0.4)).conditions(0.5))
    for other in (
        lt.Ising((6, 6), 0.4, field=0.3),
        lt.EdwardsAnderson((6, 6), 0.4),
        lt.Ising((6, 6), 0.9),
    ):
        assert not torch.allclose(
            network(x, lt.AnnealingPath(other).conditions(0.5)), plain, atol=1e-3
        )


def test_it_runs_on_lattices_larger_than_its_radius() -> None:
    network = awake(lt.Ising((8, 8), beta=0.4), 7)
    larger = lt.Ising((16, 12), beta=0.4)
    conditions = lt.AnnealingPath(larger).conditions(0.5)
    assert network(start(larger, 2), conditions).shape == (2, 1, 16, 12)


def test_a_kernel_that_reaches_around_is_refused() -> None:
    with pytest.raises(
        ValueError, match="radius 3, which reaches around a periodic direction of length 3"
    ):
        lt.HollowConv(lt.Ising((8, 3), beta=0.4), kernel_size=7)
    network = lt.HollowConv(lt.Ising((8, 8), beta=0.4), kernel_size=7)
    smaller = lt.Ising((8, 3), beta=0.4)
    with pytest.raises(ValueError, match="use kernel_size <= 5"):
        network(start(smaller, 1), lt.AnnealingPath(smaller).conditions(0.5))
    lt.HollowConv(lt.Ising((8, 3), beta=0.4, periodic=(True, False)), kernel_size=7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel_size": 4}, "kernel_size must be odd and positive, got 4"),
        ({"kernel_size": 0}, "kernel_size must be odd"),
        ({"channels": 0}, "channels must be an integer of at least 1, got 0"),
        ({"modes": -1}, "modes must be an integer of at least 0, got -1"),
        (
            {"precision": "float16"},
            "precision must be one of float32, tf32x3, tf32, bfloat16, got 'float16'",
        ),
    ],
)
def test_bad_settings_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lt.HollowConv(lt.Ising((8, 8), beta=0.4), **options)


def test_another_dimension_is_refused() -> None:
    network = lt.HollowConv(lt.Ising((8, 8), beta=0.4))
    line = lt.Ising((64,), beta=0.4)
    with pytest.raises(ValueError, match="2-dimensional lattices, got shape"):
        network(start(line, 1), lt.AnnealingPath(line).conditions(0.5))


def test_same_seed_same_parameters() -> None:
    model = lt.Ising((8, 8), beta=0.4)
    torch.manual_seed(1)
    one = lt.HollowConv(model, seed=7).state_dict()
    torch.manual_seed(2)
    two = lt.HollowConv(model, seed=7).state_dict()
    other = lt.HollowConv(model, seed=8).state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["conv"], other["conv"])


def test_it_starts_with_small_rates_that_can_learn() -> None:
    """G = 0 would be a stationary point of the loss."""
    model = lt.Ising((8, 8), beta=0.4)
    path = lt.AnnealingPath(model)
    network = lt.HollowConv(model)
    x = start(model, 64)
    loss = lt.objectives.physics_informed(
        path, network, x.unsqueeze(0), torch.tensor([0.5], dtype=torch.float64)
    )
    loss.backward()
    assert 0.0 < float(network(x, path.conditions(0.5)).detach().abs().mean()) < 2.0
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        # The uniform field of this model is zero, so its column of `first` is the one thing that
        # rests.
        assert float(parameter.grad.abs().sum()) > 0.0, name
