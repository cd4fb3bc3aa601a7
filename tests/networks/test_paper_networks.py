"""LEM, LEA, LEC, LETransformer: local equivariance, hollow features, symmetries, training."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import leaps_triton as lt
from helpers import SMALL, awake
from leaps_triton.networks import NETWORKS
from leaps_triton.networks.base import StateReadout

KINDS = [kind for kind, network in NETWORKS.items() if issubclass(network, StateReadout)]
CASES: dict[str, Any] = {
    "ising 1d": lt.Ising((9,), beta=0.7, field=0.2),
    "ising 2d odd": lt.Ising((5, 7), beta=0.4, field=torch.linspace(-1, 1, 35).view(5, 7)),
    "ising 2d open": lt.Ising((4, 5), beta=0.4, periodic=(True, False)),
    "gaussian 3d": lt.EdwardsAnderson((4, 3, 2), beta=0.8, disorder="gaussian", seed=2),
    "potts 2d": lt.Potts((5, 4), q=3, beta=0.9, field=[0.1, 0.0, -0.4]),
    "clock 2d": lt.Clock((4, 4), q=5, beta=0.9),
    "ising 4d": lt.Ising((3, 2, 3, 2), beta=0.2),
    "one site": lt.Potts((1, 1), q=3, beta=0.2, periodic=False, field=[0.1, 0.0, -0.4]),
}


def start(model: Any, walkers: int, seed: int = 0) -> Tensor:
    return lt.AnnealingPath(model).start.sample(torch.arange(walkers), seed)


@pytest.mark.parametrize("double", [False, True], ids=["float32", "float64"])
@pytest.mark.parametrize("name", list(CASES))
@pytest.mark.parametrize("kind", KINDS)
def test_local_equivariance_holds_bit_for_bit(kind: str, name: str, double: bool) -> None:
    """G_k(i | x) = -G_{q-k}(i | x^{(i,k)}), and h_i does not change with x_i.

    With and without gradients.
    """
    model = CASES[name]
    network = awake(kind, model).to(torch.float64 if double else torch.float32)
    conditions = lt.AnnealingPath(model).conditions(torch.tensor(0.6, dtype=network.readout.dtype))
    x = start(model, 3)
    sites = model.lattice.sites
    output = network(x, conditions).flatten(2)
    features = network.features(x, conditions)
    if name != "one site":
        assert float(output.detach().abs().mean()) > 0.05
    for shift in range(1, model.q):
        for site in range(0, sites, max(1, sites // 8)):
            moved = x.flatten(1).clone()
            moved[:, site] = (moved[:, site] + shift) % model.q
            back = network(moved.view_as(x), conditions).flatten(2)
            assert torch.equal(output[:, shift - 1, site], -back[:, model.q - shift - 1, site])
            assert torch.equal(
                features[:, site], network.features(moved.view_as(x), conditions)[:, site]
            )
            with torch.no_grad():
                one = network(x, conditions)
                two = network(moved.view_as(x), conditions)
            assert torch.equal(
                one.flatten(2)[:, shift - 1, site], -two.flatten(2)[:, model.q - shift - 1, site]
            )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["ising 2d open", "potts 2d"])
def test_the_features_read_every_other_site(kind: str, name: str) -> None:
    """LEC with a kernel that spans the lattice; the others always."""
    model = CASES[name]
    options = {"kernel_sizes": (3, 5)} if kind == "LEC" else {}
    network = awake(kind, model, **options).double()
    conditions = lt.AnnealingPath(model).conditions(0.5)
    x = start(model, 1)
    site = 7
    before = network.features(x, conditions)[0, site]
    for other in range(20):
        moved = x.flatten(1).clone()
        moved[:, other] = (moved[:, other] + 1) % model.q
        after = network.features(moved.view_as(x), conditions)[0, site]
        assert torch.equal(after, before) == (other == site)


@pytest.mark.parametrize("name", ["ising 1d", "potts 2d", "clock 2d", "ising 4d"])
@pytest.mark.parametrize("kind", ["LEA", "LEC"])
def test_translation_equivariance(kind: str, name: str) -> None:
    model = CASES[name]
    network = awake(kind, model).double()
    conditions = lt.AnnealingPath(model).conditions(0.3)
    x = start(model, 3)
    shifts = tuple(range(1, model.lattice.ndim + 1))
    axes = tuple(range(1, model.lattice.ndim + 1))
    moved = network(x.roll(shifts, axes), conditions)
    torch.testing.assert_close(
        moved, network(x, conditions).roll(shifts, tuple(a + 1 for a in axes))
    )


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_agree_with_the_whole(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without gradients a CPU works in pieces of walkers; each walker has its own time."""
    model = CASES["potts 2d"]
    network = awake(kind, model)
    x = start(model, 5)
    conditions = lt.AnnealingPath(model).conditions(torch.linspace(0.1, 0.9, 5))
    whole = network(x, conditions)
    monkeypatch.setattr("leaps_triton.networks.base.CHUNK_SITES", 2 * model.lattice.sites)
    with torch.no_grad():
        torch.testing.assert_close(network(x, conditions), whole.detach(), rtol=1e-4, atol=1e-4)
    for row, t in enumerate(torch.linspace(0.1, 0.9, 5)):
        alone = network(x[row : row + 1], lt.AnnealingPath(model).conditions(float(t)))
        torch.testing.assert_close(alone, whole[row : row + 1], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(
        whole[0], network(x[:1], lt.AnnealingPath(model).conditions(0.9))[0], atol=1e-3
    )


@pytest.mark.parametrize("kind", KINDS)
def test_couplings_enter_through_the_call(kind: str) -> None:
    """By the local field; LEA and LETransformer read couplings and field of their own, too."""
    network = awake(kind, lt.Ising((4, 4), beta=0.4))
    x = start(lt.Ising((4, 4), beta=0.4), 2)
    plain = network(x, lt.AnnealingPath(lt.Ising((4, 4), beta=0.4)).conditions(0.5))
    other = lt.AnnealingPath(lt.EdwardsAnderson((4, 4), 0.4)).conditions(0.5)
    assert not torch.allclose(network(x, other), plain, atol=1e-3)
    bare = awake(kind, lt.Ising((4, 4), beta=0.4), local_field=False)
    same = lt.AnnealingPath(lt.Ising((4, 4), beta=0.4)).conditions(0.5)
    reads = kind in ("LEA", "LETransformer")
    assert torch.equal(bare(x, other), bare(x, same)) != reads


@pytest.mark.parametrize("kind", ["LEA", "LEC", "LETransformer"])
def test_they_run_on_other_lattices(kind: str) -> None:
    network = awake(kind, lt.Ising((4, 4), beta=0.4))
    larger = lt.Ising((7, 5), beta=0.4)
    assert network(start(larger, 2), lt.AnnealingPath(larger).conditions(0.5)).shape == (2, 1, 7, 5)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_against_differences(kind: str) -> None:
    """Along a random direction of all parameters, in float64."""
    model = lt.Potts((2, 3), q=3, beta=0.8, field=[0.3, 0.0, -0.2])
    path = lt.AnnealingPath(model)
    network = awake(kind, model).double()
    x = start(model, 12).view(2, 6, 2, 3)
    t = torch.tensor([0.3, 0.8], dtype=torch.float64)
    parameters = list(network.parameters())
    generator = torch.Generator().manual_seed(1)
    direction = [torch.randn(p.shape, generator=generator, dtype=torch.float64) for p in parameters]

    def loss(step: float) -> Tensor:
        with torch.no_grad():
            for parameter, d in zip(parameters, direction, strict=True):
                parameter.add_(step * d)
        return lt.objectives.physics_informed(path, network, x, t)

    gradients = torch.autograd.grad(loss(0.0), parameters)
    slope = sum(float((g * d).sum()) for g, d in zip(gradients, direction, strict=True))
    step = 1e-6
    up = float(loss(step).detach())
    down = float(loss(-2.0 * step).detach())
    assert slope == pytest.approx((up - down) / (2.0 * step), rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_it_starts_with_small_rates_that_can_learn(kind: str) -> None:
    """G = 0 would be a stationary point of the loss."""
    model = lt.Potts((5, 4), q=3, beta=0.5, field=[0.1, 0.0, -0.4])
    path = lt.AnnealingPath(model)
    network = NETWORKS[kind](model, **{"kernel_sizes": (3, 5, 7)} if kind == "LEC" else {})
    x = start(model, 16)
    loss = lt.objectives.physics_informed(
        path, network, x.unsqueeze(0), torch.tensor([0.5], dtype=torch.float64)
    )
    loss.backward()
    assert 0.0 < float(network(x, path.conditions(0.5)).detach().abs().mean()) < 2.0
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().sum()) > 0.0, name


@pytest.mark.parametrize("kind", KINDS)
def test_a_little_training_improves_the_loss(kind: str) -> None:
    model = lt.Ising((4, 4), beta=0.4)
    path = lt.AnnealingPath(model)
    network = NETWORKS[kind](model, **SMALL[kind])
    sampler = lt.Sampler(path, network, lt.Jump(8), device="cpu")
    sweeps = lt.HeatBath(sweeps=50)
    walkers = torch.arange(64)
    chain, _ = sweeps.step(sweeps.init(path.start.sample(walkers, 1), walkers), path, 1.0, 1)
    x = chain.configurations.unsqueeze(0)
    t = torch.ones(1, dtype=torch.float64)

    def loss() -> float:
        with torch.no_grad():
            return float(lt.objectives.physics_informed(path, network, x, t))

    before = loss()
    config = lt.TrainingConfig(
        steps=60, times=8, walkers=16, buffer=64, rollout=64, learning_rate=1e-2, warmup=5
    )
    lt.Trainer(sampler, config).run()
    assert loss() < 0.7 * before


@pytest.mark.parametrize("kind", KINDS)
def test_same_seed_same_parameters(kind: str) -> None:
    model = lt.Ising((4, 4), beta=0.4)
    torch.manual_seed(1)
    one = NETWORKS[kind](model, **SMALL[kind], seed=7).state_dict()
    torch.manual_seed(2)
    two, other = (NETWORKS[kind](model, **SMALL[kind], seed=seed).state_dict() for seed in (7, 8))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["readout"], other["readout"])


class Largest(TorchDispatchMode):
    """Elements of the largest tensor that any operation returns."""

    elements = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        for value in result if isinstance(result, tuple | list) else [result]:
            if isinstance(value, Tensor):
                self.elements = max(self.elements, value.numel())
        return result


@pytest.mark.parametrize("kind", ["LEA", "LETransformer"])
def test_no_tensor_of_all_triples_of_sites(kind: str) -> None:
    """Two heads and a mask over both streams: 4 N² at most, forward and backward; N³ = 64 N²."""
    model = lt.Ising((8, 8), beta=0.4)
    network = awake(kind, model)
    conditions = lt.AnnealingPath(model).conditions(0.5)
    with Largest() as largest:
        network(start(model, 1), conditions).sum().backward()
    assert 64**2 <= largest.elements <= 8 * 64**2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda m: lt.LEC(m, kernel_sizes=(3, 9)),
            "radius 4, which reaches around a periodic direction of length 3",
        ),
        (lambda m: lt.LEC(m, kernel_sizes=(7,)), "use kernel_size <= 5"),
        (lambda m: lt.LEC(m, kernel_sizes=(3, 4)), "kernel_sizes must be odd and positive"),
        (lambda m: lt.LEC(m, kernel_sizes=()), "at least one"),
        (
            lambda m: lt.LEC(m, kernel_sizes=(3,), precision="fp8"),
            "precision must be one of float32, tf32, bfloat16",
        ),
        (lambda m: lt.LEC(m, channels=0), "channels must be an integer of at least 1, got 0"),
        (lambda m: lt.LEM(m, width=0), "width must be an integer of at least 1, got 0"),
        (lambda m: lt.LEA(m, channels=6, heads=4), "channels must be a multiple of heads"),
        (lambda m: lt.LETransformer(m, heads=0), "heads must be an integer of at least 1, got 0"),
        (lambda m: lt.LETransformer(m, layers=0), "layers must be an integer of at least 1, got 0"),
    ],
)
def test_bad_settings_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(lt.Ising((8, 3), beta=0.4))


@pytest.mark.parametrize("kind", KINDS)
def test_another_dimension_is_refused(kind: str) -> None:
    network = awake(kind, lt.Ising((4, 4), beta=0.4))
    line = lt.Ising((16,), beta=0.4)
    with pytest.raises(ValueError, match="2-dimensional lattices, got shape"):
        network(start(line, 1), lt.AnnealingPath(line).conditions(0.5))


def test_a_dense_network_is_for_one_shape() -> None:
    network = awake("LEM", lt.Ising((4, 4), beta=0.4))
    other = lt.Ising((2, 8), beta=0.4)
    with pytest.raises(ValueError, match=r"weights for one lattice, \(4, 4\), got \(2, 8\)"):
        network(start(other, 1), lt.AnnealingPath(other).conditions(0.5))


def test_precision_is_that_of_the_products() -> None:
    """And local equivariance holds in each."""
    model = CASES["ising 2d odd"]
    x = start(model, 2)
    conditions = lt.AnnealingPath(model).conditions(0.5)
    moved = x.clone()
    moved[:, 2, 3] = 1 - moved[:, 2, 3]
    found = {}
    for precision in ("float32", "tf32", "bfloat16"):
        network = awake("LEC", model, precision=precision)
        found[precision] = network(x, conditions).detach()
        assert torch.equal(found[precision][:, 0, 2, 3], -network(moved, conditions)[:, 0, 2, 3])
    assert torch.equal(found["float32"], found["tf32"])
    difference = float(
        (found["bfloat16"] - found["float32"]).abs().max() / found["float32"].abs().max()
    )
    assert 1e-5 < difference < 3e-2


def test_a_lattice_that_a_kernel_reaches_around_is_refused_at_the_call() -> None:
    network = awake("LEC", lt.Ising((8, 8), beta=0.4), kernel_sizes=(3, 7))
    smaller = lt.Ising((8, 3), beta=0.4)
    with pytest.raises(ValueError, match="kernel_size 7 has radius 3"):
        network(start(smaller, 1), lt.AnnealingPath(smaller).conditions(0.5))
    lt.LEC(lt.Ising((8, 3), beta=0.4, periodic=(True, False)), kernel_sizes=(3, 7))
