"""SymmetricConv: hollow bit for bit, what it reads, gradients, followers, files, settings."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from symmetric_cases import CASES, network_of, start, turned
from torch import Tensor

import leaps_triton as lt
from leaps_triton.kernels.graphs.packing import packed_once
from leaps_triton.networks.symmetric import inputs
from leaps_triton.networks.symmetric.layers import time_basis
from leaps_triton.networks.symmetric.sums import walks_of

SIGHTS: list[dict[str, Any]] = [
    {"rings": True, "window": None},
    {"rings": False, "window": 3},
    {"rings": True, "window": 5},
]


@pytest.mark.parametrize("sight", SIGHTS, ids=["lattice", "window 3", "window 5"])
@pytest.mark.parametrize("name", list(CASES))
def test_local_equivariance_holds_bit_for_bit(name: str, sight: dict[str, Any]) -> None:
    """D_k(i | x) = -D_{q-k}(i | x^{(i,k)}) for every shift at some sites, in either precision."""
    model, kernel_size = CASES[name]
    network = network_of(model, kernel_size, **sight)
    if sight["window"] == 5:
        network = network.double()
    conditions = lt.AnnealingPath(model).conditions(0.6)
    x = start(model, 2)
    output = network(x, conditions).detach().flatten(2)
    assert float(output.abs().mean()) > 0.05
    sites = model.lattice.sites
    for site in range(0, sites, max(1, sites // 5)):
        for shift in range(1, model.q):
            back = network(turned(x, site, shift, model.q), conditions).flatten(2)
            assert torch.equal(output[:, shift - 1, site], -back[:, model.q - shift - 1, site])


@pytest.mark.parametrize("name", ["ising 2d odd", "ising tiny", "potts 2d", "ising 2d open"])
def test_the_whole_lattice_is_read_beside_a_window(name: str) -> None:
    """Still hollow, bit for bit; and the same values where a network has just grown by it."""
    model, kernel_size = CASES[name]
    network = network_of(model, kernel_size, window=3, rings=False, whole=True).double()
    assert network.reach is None
    conditions = lt.AnnealingPath(model).conditions(torch.tensor([0.6], dtype=torch.float64))
    x = start(model, 2)
    output = network(x, conditions).detach().flatten(2)
    for site in range(0, model.lattice.sites, 3):
        back = network(turned(x, site, 1, model.q), conditions).flatten(2)
        assert torch.equal(output[:, 0, site], -back[:, model.q - 2, site])
    narrow = network_of(model, kernel_size, window=3).double()
    grown = narrow.grow(whole=True)
    expected = narrow(x, conditions)
    torch.testing.assert_close(grown(x, conditions), expected, rtol=1e-12, atol=1e-12)
    # What is new can learn.
    grown(x, conditions).square().sum().backward()
    for layer in grown.stack.layers:
        assert bool((layer.even.weight.grad[:, -2:] != 0.0).any())
    assert bool((grown.stack.layers[0].odd.weight.grad[:, -1] != 0.0).any())
    with pytest.raises(ValueError, match="whole must be True, as it is"):
        grown.grow(whole=False)


def test_functions_of_the_time_are_dense_about_a_focus() -> None:
    """They tell two times apart by a hundredth that others do not, there and not far off."""
    u = torch.tensor([0.70, 0.71, 0.20, 0.21], dtype=torch.float64)
    plain = time_basis(u)
    focused = time_basis(u, 0.7)
    assert torch.equal(focused[:, :6], plain)
    steps = focused[1::2] - focused[::2]
    assert float(steps[0, 6:].abs().max()) > 4.0 * float(steps[0, :6].abs().max())
    assert float(steps[1, 6:].abs().max()) < 1e-3
    model = lt.Ising((4, 4), beta=0.6)
    network = network_of(model, 3, focus=0.42)
    assert network.sight.focus == pytest.approx(0.7)
    x = start(model, 2)
    conditions = lt.AnnealingPath(model).conditions(0.7)
    larger = network.grow(kernel_size=5, widths=(12, 7))
    torch.testing.assert_close(larger(x, conditions), network(x, conditions), rtol=1e-5, atol=1e-5)
    # It is an inverse temperature, as beta is, and means the same for another model.
    moved = network.for_model(lt.Ising((6, 6), beta=0.3))
    assert (moved.focus, moved.beta) == (0.42, 0.6)


def test_it_reads_every_other_site_and_within_its_reach_only() -> None:
    model = lt.Ising((7, 9), beta=0.4)
    conditions = lt.AnnealingPath(model).conditions(0.5)
    x = start(model, 1)
    position = torch.cartesian_prod(torch.arange(7), torch.arange(9)) - torch.tensor([3, 4])
    sights: list[tuple[bool, int | None, int]] = [
        (True, None, 4),
        (False, None, 4),
        (True, 3, 4),
        (False, 3, 2),
        (False, 5, 3),
    ]
    for rings, window, farthest in sights:
        network = network_of(model, 5, rings=rings, window=window)
        value = network(x, conditions)[0, :, 3, 4]
        read: list[bool] = []
        for site in range(63):
            changed = network(turned(x, site, 1, 2), conditions)[0, :, 3, 4]
            if site == 3 * 9 + 4:
                changed = -changed
            read.append(not torch.equal(changed, value))
        distances = position[torch.tensor(read)].abs().max(1).values
        assert int(distances.min()) == 1
        assert int(distances.max()) == farthest
        if network.reach is None:
            assert sum(read) == 62
        else:
            assert network.reach == farthest


def test_walks_are_those_of_the_couplings() -> None:
    """Walks without immediate return, counted one by one, on an open lattice with couplings ±1."""
    model = lt.EdwardsAnderson((4, 5), beta=0.8, periodic=False, seed=2)
    lattice = model.lattice
    couplings = torch.zeros(20, 20)
    for axis, ahead in enumerate(lattice.neighbours()[::2]):
        for site, to in enumerate(ahead.tolist()):
            if to >= 0:
                couplings[site, to] = couplings[to, site] = model.coupling[axis].flatten()[site]
    walks, loops = walks_of(model.coupling.float().unsqueeze(0), (4, 5), lattice.periodic, 3)
    scale = math.sqrt(3.0)
    two = couplings @ couplings / scale**2
    expected = two - torch.diag(two.diagonal())
    torch.testing.assert_close(walks[0, :, 0], expected, rtol=1e-5, atol=1e-6)
    three = (two - 4.0 / 3.0 * torch.eye(20)) @ couplings / scale - couplings / scale
    torch.testing.assert_close(walks[0, :, 1], three - torch.diag(three.diagonal()))
    assert loops.shape == (1, 20)


def test_walks_are_made_once_while_couplings_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = CASES["pm1 2d"]
    network = network_of(model, 3)
    path = lt.AnnealingPath(model)
    x = start(model, 3)
    made: list[int] = []

    def counted(*given: Any) -> Any:
        made.append(1)
        return walks_of(*given)

    monkeypatch.setattr(inputs, "walks_of", counted)
    with torch.no_grad(), packed_once():
        found = [network(x, path.conditions(t)) for t in (0.3, 0.6, 0.3)]
    assert len(made) == 1 and torch.equal(found[0], found[2])
    network(x, path.conditions(0.3))
    assert len(made) == 2


@pytest.mark.parametrize("name", ["ising 2d", "potts 2d", "pm1 2d", "clock open"])
def test_pieces_and_times_agree_with_the_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without gradients a CPU works in pieces of walkers; each walker has its own time."""
    model, kernel_size = CASES[name]
    network = network_of(model, kernel_size)
    path = lt.AnnealingPath(model)
    x = start(model, 5)
    times = torch.linspace(0.1, 0.9, 5)
    whole = network(x, path.conditions(times)).detach()
    monkeypatch.setattr("leaps_triton.networks.base.CHUNK_SITES", 2 * model.lattice.sites)
    with torch.no_grad():
        pieces = network(x, path.conditions(times))
        alone = [network(x[row : row + 1], path.conditions(times[row])) for row in range(5)]
    torch.testing.assert_close(pieces, whole, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(torch.cat(alone), whole, rtol=1e-4, atol=1e-4)


def test_it_reads_beta_and_not_the_time() -> None:
    model = lt.Ising((4, 4), beta=0.4)
    network = network_of(model, 3)
    path = lt.AnnealingPath(model)
    x = start(model, 2)
    conditions = path.conditions(0.5)
    later = conditions._replace(t=torch.full_like(conditions.t, 0.9))
    assert torch.equal(network(x, later), network(x, conditions))
    assert not torch.allclose(network(x, path.conditions(0.9)), network(x, conditions))
    half = lt.AnnealingPath(lt.Ising((4, 4), beta=0.2))
    torch.testing.assert_close(network(x, half.conditions(1.0)), network(x, conditions))


def test_couplings_and_fields_of_each_walker() -> None:
    """A call may bring other couplings and fields for every walker."""
    model = lt.Ising((4, 4), beta=0.4, field=0.1)
    network = network_of(model, 3)
    conditions = lt.AnnealingPath(model).conditions(0.5)
    x = start(model, 3)
    couplings = torch.tensor([0.5, 1.0, -1.0]).view(3, 1, 1, 1)
    fields = torch.tensor([[0.1, -0.1], [0.0, 0.0], [-0.3, 0.3]]).view(3, 2, 1, 1)
    together = network(x, conditions._replace(coupling=couplings, field=fields))
    for row in range(3):
        here = slice(row, row + 1)
        own = conditions._replace(coupling=couplings[here], field=fields[here])
        torch.testing.assert_close(together[here], network(x[here], own), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["ising 2d odd", "potts 2d", "ising 1d"])
def test_gradients_are_those_of_the_values(name: str) -> None:
    """Autograd against differences of the values, in a random direction of all parameters."""
    model, kernel_size = CASES[name]
    network = network_of(model, kernel_size).double()
    conditions = lt.AnnealingPath(model).conditions(torch.tensor([0.3, 0.8]))
    x = start(model, 2)
    generator = torch.Generator().manual_seed(7)
    parameters = list(network.parameters())
    direction = [torch.randn(p.shape, generator=generator).double() for p in parameters]
    shape = network(x, conditions).shape
    weights = torch.randn(shape, generator=generator).double()

    def value(step: float) -> Tensor:
        with torch.no_grad():
            for parameter, own in zip(parameters, direction, strict=True):
                parameter.add_(step * own)
        return (network(x, conditions) * weights).sum()

    gradients = torch.autograd.grad(value(0.0), parameters)
    slope = sum(float((g * d).sum()) for g, d in zip(gradients, direction, strict=True))
    # Kernels over displacements are rounded to 2⁻³⁶ of their sum: steps are well above that.
    step = 1e-4
    up = float(value(step).detach())
    down = float(value(-2.0 * step).detach())
    assert slope == pytest.approx((up - down) / (2.0 * step), rel=1e-4)


@pytest.mark.parametrize(
    "sight",
    [{"window": None}, {"window": 3}, {"window": 3, "whole": True}],
    ids=["lattice", "window", "both"],
)
@pytest.mark.parametrize("name", ["ising 2d odd", "ising tiny", "potts 2d", "ising 2d open"])
def test_a_follower_gives_the_values_of_the_network(name: str, sight: dict[str, Any]) -> None:
    """Moves of one site, of none and of many, other times, and some walkers at a call."""
    model, _ = CASES[name]
    network = network_of(model, 3, **sight).eval()
    path = lt.AnnealingPath(model)
    follower = network.follow(4)
    assert follower is not None
    assert (follower.gauge, follower.clock) == (network.gauge, network.clock)
    generator = torch.Generator().manual_seed(3)
    x = start(model, 4)
    times = torch.tensor([0.2, 0.4, 0.6, 0.8])
    for step in range(12):
        rows = torch.arange(4)
        if step % 3 == 2:
            rows = torch.tensor([0, 2, 3])
        if step == 6:
            times = times + 0.1
        conditions = path.conditions(times[rows])
        with torch.no_grad():
            made = follower.at(rows)(x[rows], conditions)
            expected = network(x[rows], conditions)
        torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-5)
        moved = x.flatten(1).clone()
        site = torch.randint(0, model.lattice.sites, (4,), generator=generator)
        walkers = torch.arange(4)
        moved[walkers, site] = (moved[walkers, site] + 1) % model.q
        # One walker rests, and sometimes another moves twice.
        moved[1] = x.flatten(1)[1]
        if step % 4 == 3:
            moved[2, 0] = (moved[2, 0] + 1) % model.q
        x = moved.view_as(x)


def test_a_follower_in_a_jump_process_on_a_linear_response() -> None:
    """The same walkers as without one, but for rounding."""
    model = lt.Ising((6, 6), beta=0.4)
    path = lt.AnnealingPath(model)
    logs: list[Tensor] = []
    for incremental in (False, True):
        network = lt.SymmetricConv(model, 3, (8, 4), window=3, incremental=incremental)
        network.stand_on(lt.networks.LinearResponse(model))
        sampler = lt.Sampler(path, network, lt.Jump(4), block=16, device="cpu")
        logs.append(sampler.sample(16, seed=1).log_weights)
    torch.testing.assert_close(logs[1], logs[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["ising 2d", "potts 2d", "gaussian 3d"])
def test_saved_and_loaded_it_gives_the_same_bits(name: str, tmp_path: Path) -> None:
    model, kernel_size = CASES[name]
    network = network_of(model, kernel_size, window=5)
    sampler = lt.Sampler(lt.AnnealingPath(model), network, lt.Jump(3), device="cpu")
    file = tmp_path / "network.safetensors"
    lt.save(sampler, file)
    again: Any = lt.load(file).transport
    assert again.settings == network.settings
    conditions = lt.AnnealingPath(model).conditions(0.4)
    x = start(model, 2)
    assert torch.equal(again(x, conditions), network(x, conditions))


def test_initial_rates_are_small_and_seeded() -> None:
    model = lt.Potts((5, 4), q=3, beta=0.5)
    torch.manual_seed(1)
    one = lt.SymmetricConv(model, kernel_size=3, seed=7)
    torch.manual_seed(2)
    two = lt.SymmetricConv(model, kernel_size=3, seed=7)
    other = lt.SymmetricConv(model, kernel_size=3, seed=8)
    x = start(model, 16)
    rates = one(x, lt.AnnealingPath(model).conditions(0.5)).detach().abs().mean()
    assert 0.0 < float(rates) < 0.5
    assert all(torch.equal(two.state_dict()[name], own) for name, own in one.state_dict().items())
    assert not torch.equal(other.stack.readout.weight, one.stack.readout.weight)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel_size": 4}, "kernel_size must be odd and positive, got 4"),
        ({"widths": ()}, "widths must be one width or more"),
        ({"widths": (8, 0)}, "widths must be an integer of at least 1, got 0"),
        ({"window": 4}, "window must be None, or odd and at least 3, got 4"),
        ({"focus": 0.0}, "focus must be None, or positive and finite, got 0"),
        ({"whole": True}, "whole=True is read beside a window"),
        ({"window": 1}, "window must be an integer of at least 3, got 1"),
        ({"beta": -1.0}, "beta must be positive and finite"),
        ({"gauge": "coulomb"}, "gauge must be one of plain, heat_bath, got 'coulomb'"),
    ],
)
def test_bad_settings_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lt.SymmetricConv(lt.Ising((8, 8), beta=0.4), **options)
