"""Mean-field theories of spins on lattices and graphs, beside enumeration and machines."""

import pytest
import torch

import leaps_triton as lt
from leaps_triton.learning.plefka import SpinEquations, spins

DOUBLE = torch.float64


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=DOUBLE)


def glass(size: float, kind: str = "complete") -> lt.Ising:
    """Return a model with random couplings and fields, with triangles or without."""
    graph = lt.Graph.complete(9)
    if kind == "triangular":
        graph = lt.Graph.triangular((3, 4))
    if kind == "square":
        return lt.Ising((3, 4), 0.5, 2.0 * size * drawn(2, 3, 4), drawn(3, 4, seed=1))
    coupling = size * drawn(graph.bonds)
    return lt.Ising(graph, beta=1.0, coupling=coupling, field=0.5 * drawn(graph.sites, seed=4))


KINDS = ("complete", "triangular", "square")


def off(model: lt.PairModel, order: int) -> float:
    """Return by how much log Z is off."""
    found = lt.tap(model, order=order, tolerance=1e-13)
    assert found.converged
    return found.log_z - lt.exact.log_z(model)


@pytest.mark.parametrize("kind", KINDS)
def test_errors_fall_with_the_power_of_the_order(kind: str) -> None:
    """Halving all couplings divides the error by 2², 2³ and 2⁴, but for the powers above."""
    for order, size in ((1, 0.01), (2, 0.005), (3, 0.005)):
        ratio = off(glass(size, kind), order) / off(glass(size / 2.0, kind), order)
        assert ratio == pytest.approx(2.0 ** (order + 1), rel=0.05)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_solutions_are_stationary(order: int, kind: str) -> None:
    model = glass(0.2, kind)
    found = lt.tap(model, order=order, tolerance=1e-13)
    assert found.converged and found.means.shape == model.shape
    means = found.means.flatten().unsqueeze(0).requires_grad_()
    log_z = SpinEquations(model, order).log_z(means)
    assert float(log_z.detach()) == pytest.approx(found.log_z, abs=1e-12)
    (slope,) = torch.autograd.grad(log_z.sum(), means)
    assert float(slope.abs().max()) < 1e-11


@pytest.mark.parametrize("order", [1, 2, 3])
def test_machines_are_spins(order: int) -> None:
    """Whatever the interaction is written as: of 0 and 1 here, with weights of layers there."""
    biases = drawn(10, seed=1)
    machine = lt.RBM(0.3 * drawn(6, 4), biases[:6], biases[6:], beta=0.8)
    coupling = machine.coupling.flatten()
    same = lt.PairModel(machine.lattice, 0.8, machine.bond_table, machine.site_table, coupling)
    wanted = lt.tap(machine, order=order, tolerance=1e-13)
    found = lt.tap(same, order=order, tolerance=1e-13)
    assert found.log_z == pytest.approx(wanted.log_z, abs=1e-12)
    assert float((found.means - (2.0 * wanted.means - 1.0)).abs().max()) < 1e-11


def first_up(configurations: torch.Tensor, model: object) -> torch.Tensor:
    return configurations.double()[:, 0, 0]


@pytest.mark.parametrize(
    "model",
    [
        # Two bonds join the same sites, and both ends of a direction.
        lt.Ising((2, 3), 0.02, field=0.3),
        lt.Ising((3, 3), 0.02, field=0.3, periodic=False),
        lt.PairModel((3, 4), 0.02, [[0.3, -1.0], [0.4, 0.9]], [0.2, 5.0], coupling=[1.0, -2.0]),
        lt.Potts((3, 3), 2, 0.05, field=[3.0, 0.0]),
        lt.Ising((3, 3), 0.5, coupling=0.0, field=0.7),
    ],
    ids=["double bonds", "open", "asymmetric", "Potts", "independent"],
)  # fmt: skip
def test_any_pair_model_of_two_states(model: lt.PairModel) -> None:
    assert abs(off(model, 3)) < 1e-5
    means = lt.tap(model, order=3).means
    up = lt.exact.enumerate_model(model).mean(first_up, model)
    assert float(means[0, 0]) == pytest.approx(2.0 * float(up) - 1.0, abs=1e-3)


def test_magnetised_solutions_below_the_transition() -> None:
    """Without a field the middle is a solution too, and random starts find the better ones."""
    model = lt.Ising((4, 4), beta=0.7)
    middle = lt.tap(model, order=1)
    assert middle.converged and not bool(middle.means.any())
    found = lt.tap(model, order=1, starts=8)
    assert found.converged and found.log_z > middle.log_z + 1.0
    # m = tanh(4 K m)
    m = float(found.means[0, 0])
    assert m == pytest.approx(float(torch.tanh(torch.tensor(2.8 * m, dtype=DOUBLE))), abs=1e-9)
    again = lt.tap(model, order=1, starts=found.means_of_starts)
    assert again.iterations == 0 and again.log_z == found.log_z


def test_strong_couplings_do_not_converge() -> None:
    found = lt.tap(glass(3.0), order=2, starts=4, iterations=300)
    assert not found.converged and found.iterations == 300
    assert bool((found.residual_of_starts > 1e-3).all())


def test_what_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = lt.Ising((3, 3), 0.5)
    with pytest.raises(ValueError, match=r"from -1 to 1 of shape \(starts, 3, 3\)"):
        lt.tap(model, starts=torch.zeros(2, 9))
    with pytest.raises(ValueError, match="means from -1 to 1"):
        lt.tap(model, starts=torch.full((2, 3, 3), -1.1))
    monkeypatch.setattr(spins, "_CANDIDATES", 80)
    assert lt.tap(glass(0.1), order=2).converged
    with pytest.raises(ValueError, match=r"too many .*take order=2"):
        lt.tap(glass(0.1), order=3)
