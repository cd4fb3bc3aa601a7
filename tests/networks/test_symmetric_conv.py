"""SymmetricConv: hollow bit for bit, symmetries, growth, other sizes, files, refusals."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from helpers import awake
from leaps_triton.kernels.graphs.packing import packed_once
from leaps_triton.networks.symmetric import inputs
from leaps_triton.networks.symmetric.layers import time_basis
from leaps_triton.networks.symmetric.sums import walks_of

TABLE = [[0.3, 0.7, -0.2], [-0.4, 0.1, 0.9], [0.25, 0.0, 0.33]]

CASES: dict[str, tuple[Any, int]] = {
    "ising 1d": (lt.Ising((9,), beta=0.7, field=0.2), 5),
    "ising 2d": (lt.Ising((6, 6), beta=0.4), 7),
    "ising 2d odd": (lt.Ising((5, 7), beta=0.4, field=torch.linspace(-1, 1, 35).view(5, 7)), 7),
    "ising 2d open": (lt.Ising((6, 5), beta=0.4, periodic=(True, False)), 5),
    "ising tiny": (lt.Ising((2, 3), beta=0.4), 7),
    "ising two couplings": (lt.Ising((4, 4), beta=0.4, coupling=[1.0, 0.37]), 3),
    "pm1 2d": (lt.EdwardsAnderson((6, 6), beta=0.8, seed=2), 3),
    "gaussian 3d": (lt.EdwardsAnderson((4, 3, 4), beta=0.8, disorder="gaussian", seed=2), 3),
    "potts 2d": (lt.Potts((5, 6), q=3, beta=0.9, field=[0.1, 0.0, -0.4]), 5),
    "potts tiny": (lt.Potts((2, 2), q=3, beta=0.9), 5),
    "clock 2d": (lt.Clock((4, 4), q=4, beta=0.9), 3),
    "clock open": (lt.Clock((4, 4), q=5, beta=0.9, periodic=False), 3),
    "no symmetry": (lt.PairModel((4, 3), 0.5, TABLE), 3),
    "ising 4d": (lt.Ising((3, 4, 3, 2), beta=0.2), 3),
}

SIGHTS: list[dict[str, Any]] = [
    {"rings": True, "window": None},
    {"rings": False, "window": 3},
    {"rings": True, "window": 5},
]


def network_of(model: Any, kernel_size: int, **options: Any) -> lt.SymmetricConv:
    made: lt.SymmetricConv = awake("SymmetricConv", model, kernel_size=kernel_size, **options)
    return made


def start(model: Any, walkers: int, seed: int = 0) -> Tensor:
    return lt.AnnealingPath(model).start.sample(torch.arange(walkers), seed)


def turned(x: Tensor, site: int, shift: int, q: int) -> Tensor:
    moved = x.flatten(1).clone()
    moved[:, site] = (moved[:, site] + shift) % q
    return moved.view_as(x)


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


@pytest.mark.parametrize("name", ["ising 1d", "ising 2d odd", "ising tiny", "pm1 2d", "ising 4d"])
def test_a_sign_of_all_spins_and_fields_changes_nothing(name: str) -> None:
    """Flipping a spin up is then flipping it down."""
    model, kernel_size = CASES[name]
    network = network_of(model, kernel_size)
    conditions = lt.AnnealingPath(model).conditions(0.6)
    turned_over = conditions._replace(field=conditions.field.flip(1))
    x = start(model, 3)
    torch.testing.assert_close(network(1 - x, turned_over), network(x, conditions))


@pytest.mark.parametrize("name", ["pm1 2d", "gaussian 3d"])
def test_a_sign_of_each_spin_and_its_couplings_changes_signs_only(name: str) -> None:
    """s_i → ε_i s_i, J_ij → ε_i ε_j J_ij: the same glass under other names."""
    model, _ = CASES[name]
    network = network_of(model, 7)
    conditions = lt.AnnealingPath(model).conditions(0.6)
    shape = model.lattice.shape
    generator = torch.Generator().manual_seed(4)
    signs = 1 - 2 * torch.randint(0, 2, shape, generator=generator)
    coupling = conditions.coupling.clone()
    for axis in range(len(shape)):
        coupling[:, axis] *= signs * signs.roll(-1, axis)
    x = start(model, 3)
    renamed = torch.where(signs > 0, x, 1 - x)
    made = network.values(renamed, conditions._replace(coupling=coupling))
    values = network.values(x, conditions)
    expected = torch.where(signs > 0, values, values.flip(1))
    torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-4)


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


@pytest.mark.parametrize("permutation", [(1, 2, 0), (0, 2, 1)])
def test_a_permutation_of_states_and_fields_goes_along(permutation: tuple[int, ...]) -> None:
    model = lt.Potts((5, 6), q=3, beta=0.9, field=[0.1, 0.0, -0.4])
    network = network_of(model, 5)
    conditions = lt.AnnealingPath(model).conditions(0.6)
    place = torch.tensor(permutation)
    field = torch.empty_like(conditions.field)
    field[:, place] = conditions.field
    x = start(model, 3)
    renamed = place[x.long()].to(torch.int8)
    values = network.values(x, conditions)
    expected = torch.empty_like(values)
    expected[:, place] = values
    made = network.values(renamed, conditions._replace(field=field))
    torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("turn", [(1, 1), (0, -1), (3, -1)], ids=["rotation", "mirror", "both"])
def test_a_clock_model_may_be_rotated_and_mirrored(turn: tuple[int, int]) -> None:
    model = lt.Clock((4, 4), q=5, beta=0.9)
    network = network_of(model, 3)
    conditions = lt.AnnealingPath(model).conditions(0.6)
    begin, sign = turn
    place = (begin + sign * torch.arange(5)) % 5
    x = start(model, 3)
    values = network.values(x, conditions)
    expected = torch.empty_like(values)
    expected[:, place] = values
    made = network.values(place[x.long()].to(torch.int8), conditions)
    torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["ising 1d", "ising tiny", "potts 2d", "clock 2d", "ising 4d"])
def test_translation_equivariance(name: str) -> None:
    model, kernel_size = CASES[name]
    network = network_of(model, kernel_size)
    conditions = lt.AnnealingPath(model).conditions(0.3)
    x = start(model, 3)
    shifts = tuple(range(1, model.lattice.ndim + 1))
    axes = tuple(range(1, model.lattice.ndim + 1))
    moved = network(x.roll(shifts, axes), conditions)
    expected = network(x, conditions).roll(shifts, tuple(a + 1 for a in axes))
    torch.testing.assert_close(moved, expected, rtol=1e-4, atol=1e-4)


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


def test_orbits_of_directions_that_differ_are_told_apart() -> None:
    square = network_of(lt.Ising((4, 4), beta=0.4), 3)
    oblong = network_of(lt.Ising((4, 6), beta=0.4), 3)
    stretched = network_of(lt.Ising((4, 4), beta=0.4, coupling=[1.0, 0.5]), 3)
    # Displacements of 0 to 2 sites either way: pairs in order, and pairs, without the centre.
    assert len(square.skip.weight) == 1 + 5
    assert len(stretched.skip.weight) == 1 + 8
    assert len(oblong.skip.weight) == 1 + 3 * 4 - 1


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
