"""LinearResponse: exact sums that no site's own state enters, files, and networks that stand on it.

What a regression finds is in tests/training/test_regression.py.
"""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from leaps_triton.integrators.transport import as_transport
from leaps_triton.networks import LinearResponse, Rings
from leaps_triton.networks.linear_response.network import bond_table_of
from leaps_triton.registry import find, names

FIELD = torch.linspace(-1.0, 1.0, 12).view(3, 4)
MODELS: dict[str, Any] = {
    "ising 1d": lt.Ising((7,), beta=0.7, field=0.2),
    "ising 2d": lt.Ising((4, 4), beta=0.4),
    "ising open": lt.Ising((3, 4), beta=0.4, coupling=[1.0, 0.5], periodic=(True, False)),
    "ising sites": lt.Ising((3, 4), beta=0.4, field=FIELD),
    "glass": lt.EdwardsAnderson((3, 4), beta=0.8, seed=2),
    "glass field": lt.EdwardsAnderson((3, 4), beta=0.8, seed=2, field=FIELD),
    "potts": lt.Potts((3, 4), q=3, beta=0.9, field=[0.1, 0.0, -0.4]),
    "potts glass": lt.Potts(
        (2, 3), q=3, beta=0.9, coupling=torch.linspace(-1, 1, 12).view(2, 2, 3)
    ),
    "clock": lt.Clock((4, 3), q=4, beta=0.9),
    "ising 3d": lt.Ising((2, 3, 4), beta=0.2),
}
WALKERS = 6
NODES = 4


def filled(model: Any, seed: int = 0) -> LinearResponse:
    """A response with random numbers at four temperatures, as a fit would fill it."""
    generator = torch.Generator().manual_seed(seed)
    full = model.coupling[0].numel() > 1
    constants = ""
    if bool(model.site_table.any()):
        constants = "states"
    if model.site_table[0].numel() > 1:
        constants = "sites"
    response = LinearResponse(model, NODES, full, constants=constants)
    kernels = torch.randn(response.kernels.shape, generator=generator)
    if full:
        kernels = (kernels + kernels.transpose(1, 2)).masked_fill(
            torch.eye(model.lattice.sites).bool(), 0.0
        )
    constant = torch.randn(response.constants.shape, generator=generator)
    betas = torch.linspace(0.0, model.beta, NODES)
    return response.fill(betas, kernels, constant, torch.ones(NODES, 2))


def told(model: Any, walkers: int = WALKERS) -> lt.Conditions:
    """Conditions of walkers at different times, some at nodes."""
    return lt.AnnealingPath(model).conditions(torch.linspace(0.0, 1.0, walkers).double())


def start(model: Any, seed: int = 0, walkers: int = WALKERS) -> Tensor:
    return lt.AnnealingPath(model).start.sample(torch.arange(walkers), seed)


def matrix(response: LinearResponse, beta: float) -> Tensor:
    """``K_ij`` at one temperature, written down a second time, float64 ``(sites, sites)``."""
    nodes = response.betas.double()
    kernels = response.kernels.double()
    after = int((nodes < beta).sum().clamp(1, len(nodes) - 1))
    share = (beta - nodes[after - 1]) / (nodes[after] - nodes[after - 1])
    kernel = kernels[after - 1] * (1 - share) + kernels[after] * share
    if response.full:
        return kernel
    places = torch.cartesian_prod(*[torch.arange(length) for length in response.shape])
    places = places.view(-1, len(response.shape))
    between = places.unsqueeze(0) - places.unsqueeze(1)
    index = between % torch.tensor(response.rings.padded)
    ring = response.rings.index[tuple(index.movedim(-1, 0))]
    return torch.cat([torch.zeros(1).double(), kernel])[ring]


@pytest.mark.parametrize("name", list(MODELS))
def test_values_are_sums_over_the_other_sites(name: str) -> None:
    model = MODELS[name]
    response = filled(model)
    x = start(model)
    conditions = told(model)
    found = response.values(x, conditions)
    table = bond_table_of(model)
    for walker, beta in enumerate(conditions.beta.double().tolist()):
        seen = table[:, x[walker].flatten().long()]
        wanted = (seen @ matrix(response, beta).T).view(model.q, *model.shape)
        if response.constants.numel():
            share = torch.tensor([beta / model.beta * (NODES - 1)]).double()
            before = share.floor().clamp(max=NODES - 2).long()
            constant = response.constants.double()
            share = (share - before).view(-1, *[1] * (constant.ndim - 1))
            constant = constant[before] * (1 - share) + constant[before + 1] * share
            wanted = wanted + constant[0]
        # Kernels are rounded to 2⁻³¹ or 2⁻²³ of their sum, values to float32.
        torch.testing.assert_close(found[walker].double(), wanted, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("name", list(MODELS))
def test_no_value_reads_the_state_of_its_site(name: str) -> None:
    """Bit for bit, so that local equivariance is exact too."""
    model = MODELS[name]
    response = filled(model)
    x = start(model)
    conditions = told(model)
    values = response.values(x, conditions).flatten(2)
    rates = response(x, conditions).flatten(2)
    for site in range(model.lattice.sites):
        for shift in range(1, model.q):
            moved = x.flatten(1).clone()
            moved[:, site] = (moved[:, site] + shift) % model.q
            moved = moved.view_as(x)
            there = response.values(moved, conditions).flatten(2)
            assert torch.equal(there[:, :, site], values[:, :, site])
            back = response(moved, conditions).flatten(2)[:, model.q - shift - 1, site]
            assert torch.equal(rates[:, shift - 1, site], -back)


@pytest.mark.parametrize("shape", [(40, 36), (11, 10, 10)])
def test_large_lattices_are_hollow_too(shape: tuple[int, ...]) -> None:
    model = lt.Ising(shape, beta=0.4)
    response = filled(model)
    x = start(model, walkers=2)
    conditions = told(model, 2)
    values = response.values(x, conditions).flatten(2)
    for site in (0, 17, model.lattice.sites - 1):
        moved = x.flatten(1).clone()
        moved[:, site] = 1 - moved[:, site]
        there = response.values(moved.view_as(x), conditions).flatten(2)
        assert torch.equal(there[:, :, site], values[:, :, site])
        assert not torch.equal(there, values)


@pytest.mark.parametrize("name", ["ising 2d", "ising open", "glass", "potts", "potts glass"])
def test_a_walker_is_the_same_alone_and_among_others(name: str) -> None:
    model = MODELS[name]
    response = filled(model)
    x = start(model)
    conditions = told(model)
    together = response(x, conditions)
    for walker in range(WALKERS):
        row = slice(walker, walker + 1)
        own = conditions._replace(t=conditions.t[row], beta=conditions.beta[row])
        assert torch.equal(response(x[row], own), together[row])


@pytest.mark.parametrize("name", ["glass", "potts glass"])
def test_all_nodes_at_once_give_the_same_bits(name: str) -> None:
    """What a GPU does, where no one looks at the walkers' nodes."""
    model = MODELS[name]
    response = filled(model)
    channels = torch.randint(-1, 2, (WALKERS, model.q - 1, model.lattice.sites)).float()
    node = torch.tensor([0, 3, 1, 0, 2, 2])
    found = response._of_all_nodes(channels, node)
    assert torch.equal(found, response._by_node(channels, node))


def test_kernels_are_constant_beyond_the_nodes() -> None:
    model = MODELS["ising 2d"]
    response = filled(model)
    response.betas.copy_(torch.tensor([0.1, 0.15, 0.2, 0.3]))
    x = start(model, walkers=1)

    def at(beta: float) -> Tensor:
        conditions = told(model, 1)._replace(beta=torch.tensor([beta]))
        return response(x, conditions)

    assert torch.equal(at(0.0), at(0.1)) and torch.equal(at(0.3), at(0.5))
    assert not torch.equal(at(0.1), at(0.12))
    torch.testing.assert_close((at(0.2) + at(0.3)) / 2, at(0.25))
    one = LinearResponse(model, nodes=1)
    one.kernels.copy_(response.kernels[:1])
    conditions = told(model, 1)
    assert one(x, conditions).abs().max() > 0
    assert torch.equal(one(x, conditions), one(x, conditions._replace(beta=torch.tensor([9.0]))))


def test_rings_are_the_orbits_of_displacements() -> None:
    square = Rings.of((16, 16), (True, True), (0, 0))
    assert square.count == 44 and square.sizes[:5].tolist() == [4, 4, 4, 8, 4]
    assert int(square.sizes.sum()) == 255 and square.index[0, 0] == 0
    apart = Rings.of((16, 16), (True, True), (0, 1))
    assert apart.count == 80 and apart.sizes[:2].tolist() == [2, 2]
    half = Rings.of((3, 4), (True, False), (0, 1))
    # Across the padding, the fifth place of eight, no two sites lie.
    assert half.padded == (3, 8) and half.index[0, 4] == 0 and half.index[2, 7] > 0
    cube = Rings.of((2, 3, 4), (True, True, True), (0, 1, 2))
    assert int(cube.sizes.sum()) == 23
    few = Rings.of((16, 16), (True, True), (0, 0), most=10)
    assert few.count == 10 and torch.equal(few.sizes[:5], square.sizes[:5])
    assert int(few.sizes.sum()) == 255


def standing(model: Any, gate: Any = (0.3, 0.45)) -> Any:
    network = lt.LEM(model, channels=2, width=4, seed=1)
    return network.stand_on(filled(model), gate)


@pytest.mark.parametrize("name", ["ising open", "glass field", "potts"])
def test_a_network_that_stands_on_a_response_adds_to_it(name: str) -> None:
    model = MODELS[name]
    network = standing(model)
    alone = lt.LEM(model, channels=2, width=4, seed=1)
    assert network.clock == "beta" and alone.clock == "t"
    x = start(model)
    for time, share in ((0.2, 0.0), (0.375, 0.5), (0.7, 1.0)):
        conditions = lt.AnnealingPath(model).conditions(time)
        with torch.no_grad():
            base = network.response.values(x, conditions)
            own = alone.values(x, conditions)
            found = network.all_values(x, conditions)
        torch.testing.assert_close(found, base + share * own, rtol=1e-4, atol=1e-5)
    # Where some walkers are beyond the gate, the others are below it to the last bit.
    conditions = told(model)
    with torch.no_grad():
        found = network.all_values(x, conditions)
        base = network.response.values(x, conditions)
    assert torch.equal(found[:2], base[:2]) and not torch.equal(found[3:], base[3:])
    rates = network(x, conditions).flatten(2)
    moved = x.flatten(1).clone()
    moved[:, 5] = (moved[:, 5] + 1) % model.q
    back = network(moved.view_as(x), conditions).flatten(2)
    assert torch.equal(rates[:, 0, 5], -back[:, model.q - 2, 5])


def test_a_network_is_trained_and_its_response_is_not() -> None:
    model = MODELS["ising 2d"]
    network = standing(model, None)
    assert network.gate is None
    network(start(model), told(model)).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    trained = {name for name, _ in network.named_parameters()}
    assert not any(name.startswith("response") for name in trained)
    assert "response.kernels" in network.state_dict()


@pytest.mark.parametrize("name", ["ising open", "glass field", "potts"])
@pytest.mark.parametrize("alone", [False, True], ids=["standing", "alone"])
def test_files_and_copies_keep_every_bit(name: str, alone: bool, tmp_path: Path) -> None:
    model = MODELS[name]
    network: Any = filled(model)
    if not alone:
        network = standing(model)
    sampler = lt.Sampler(lt.AnnealingPath(model), network, lt.Jump(3), device="cpu")
    lt.save(sampler, tmp_path / "s.safetensors")
    again: Any = lt.load(tmp_path / "s.safetensors", device="cpu").transport
    x = start(model)
    conditions = told(model)
    with torch.no_grad():
        for other in (again, copy.deepcopy(network)):
            assert torch.equal(other(x, conditions), network(x, conditions))
            assert (other.settings, other.clock) == (network.settings, "beta")
    if alone:
        assert torch.equal(again.fit, network.fit) and len(again.fit) == NODES


def test_no_table_and_no_follower_where_a_network_stands_on_something() -> None:
    model = lt.Ising((6, 6), beta=0.4)
    rates = lt.LocalRates(model, width=4)
    coupling = model.coupling.unsqueeze(0)
    field = model.site_table.unsqueeze(0)
    assert rates.by_class(model.shape, coupling, field)
    rates.stand_on(filled(model))
    assert not rates.by_class(model.shape, coupling, field)
    conv = lt.HollowConv(model, 3, 2, 4, global_features=False, incremental=True)
    assert conv.follow(4) is not None and conv.reach == 1
    conv.stand_on(filled(model))
    assert conv.follow(4) is None and conv.reach is None


# Tests enter networks of their own, and drifts and energies stand on no response.
OWN = [
    name
    for name in names("network")
    if find("network", name).__module__.startswith("leaps_triton.")
    and name not in (*lt.networks.DRIFTS, "LearnedEnergy")
]


@pytest.mark.parametrize("name", sorted(OWN))
def test_no_network_that_stands_on_a_response_has_a_finite_reach(name: str) -> None:
    model = lt.Ising((6, 6), beta=0.4)
    sizes: dict[str, dict[str, Any]] = {
        "HollowConv": {"kernel_size": 3, "global_features": False},
        "SymmetricConv": {"kernel_size": 3, "widths": (4,), "rings": False, "window": 3},
    }
    network = find("network", name)(model, **sizes.get(name, {}))
    network.stand_on(filled(model))
    assert getattr(network, "reach", None) is None and as_transport(network).reach is None
    domains = lt.Jump(2, domain=2)
    with pytest.raises(ValueError, match=r"reach is None.*stands on a response"):
        lt.Sampler(lt.AnnealingPath(model), network, domains, device="cpu")


def test_a_users_network_that_stands_on_a_response_reads_all() -> None:
    class Near(lt.LEM):
        """A network that says how far it reads by itself."""

        reach = 1

    near = Near(MODELS["ising 2d"], channels=2, width=4)
    assert as_transport(near).reach == 1
    near.stand_on(filled(MODELS["ising 2d"]))
    assert as_transport(near).reach is None


def test_a_closed_gate_keeps_the_precision_of_the_network() -> None:
    model = MODELS["ising 2d"]
    network = lt.LEM(model, channels=2, width=4).double().stand_on(filled(model))
    with torch.no_grad():
        for t in (0.01, 0.99):
            assert (
                network(start(model), lt.AnnealingPath(model).conditions(t)).dtype == torch.float64
            )


def test_a_node_without_variance_is_a_fitted_one() -> None:
    response = filled(MODELS["ising 2d"])
    response.variances[:2] = torch.tensor([[-1.0, -1.0], [0.0, 0.0]])
    assert response.fit.tolist()[0] == [float(response.betas[1]), 0.0, 0.0]
    assert len(response.fit) == NODES - 1


def test_sums_over_rings_are_those_of_adding() -> None:
    rings = Rings.of((4, 5), (True, False), (0, 1))
    values = torch.randn(3, *rings.padded, dtype=torch.float64)
    expected = torch.zeros(3, rings.count + 1, dtype=torch.float64)
    expected.index_add_(1, rings.index.flatten(), values.flatten(1))
    torch.testing.assert_close(rings.sums(values), expected[:, 1:])


def test_what_does_not_fit_is_refused() -> None:
    model = MODELS["ising 2d"]
    network = lt.LEM(model, channels=2, width=4)
    with pytest.raises(ValueError, match="response must be a LinearResponse"):
        network.stand_on(lt.LEM(model))
    with pytest.raises(ValueError, match="the response is for q = 3 states"):
        network.stand_on(filled(MODELS["potts"]))
    plain = lt.LEM(model, channels=2, width=4, gauge="plain")
    with pytest.raises(ValueError, match="in the gauge 'heat_bath', and this network in 'plain'"):
        plain.stand_on(filled(model))
    for gate in ((0.5, 0.5), (0.1,), 0.3):
        with pytest.raises(ValueError, match="gate must be None or two increasing"):
            network.stand_on(filled(model), gate)  # type: ignore[arg-type]
    other = lt.Ising((4, 5), beta=0.4)
    conv = lt.HollowConv(model, 3, 2, 4).stand_on(filled(model))
    with pytest.raises(ValueError, match=r"is for one lattice, \(4, 4\), got \(4, 5\)"):
        conv(start(other), told(other))
    with pytest.raises(ValueError, match="constants must be one of"):
        LinearResponse(model, constants="site")
    with pytest.raises(ValueError, match="axes must be one number per direction"):
        LinearResponse(model, axes=[0])
