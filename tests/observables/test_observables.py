"""Laws of leaps_triton.observables.

Definitions on configurations made by hand, and derivatives of log Z.
"""

import itertools
import math

import pytest
import torch
from observable_cases import MODELS
from torch import Tensor

from leaps_triton import observables
from leaps_triton.exact import enumerate_model, expectation
from leaps_triton.models import Clock, Ising, PairModel, Potts
from leaps_triton.observables.base import OBSERVABLES, entered

ALL = {
    "energy": 1,
    "abs_magnetization": 1,
    "magnetization_squared": 1,
    "susceptibility": 3,
    "specific_heat": 2,
    "binder": 2,
}


def single(values: list[list[int]]) -> Tensor:
    return torch.tensor([values], dtype=torch.int8)


def moments(model: PairModel) -> dict[str, float]:
    """Exact means of H, H², |m|, m² and m⁴, configuration by configuration."""
    enumeration = enumerate_model(model)
    sums = dict.fromkeys(("H", "H2", "m1", "m2", "m4"), 0.0)
    for x, log_p in zip(
        enumeration.configurations, enumeration.log_probabilities.tolist(), strict=True
    ):
        vector = [0.0] * model.spins.shape[1]
        for state in x.flatten().tolist():
            for c, component in enumerate(model.spins[state].tolist()):
                vector[c] += component / model.lattice.sites
        square, energy, p = (
            sum(v * v for v in vector),
            float(model.energy(x.unsqueeze(0))),
            math.exp(log_p),
        )
        for name, value in (
            ("H", energy),
            ("H2", energy**2),
            ("m1", square**0.5),
            ("m2", square),
            ("m4", square**2),
        ):
            sums[name] += p * value
    return sums


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_expectations_equal_their_definitions(model: PairModel) -> None:
    m, beta, sites = moments(model), model.beta, model.lattice.sites
    expected = {
        observables.energy: m["H"] / sites,
        observables.abs_magnetization: m["m1"],
        observables.magnetization_squared: m["m2"],
        observables.susceptibility: beta * sites * (m["m2"] - m["m1"] ** 2),
        observables.specific_heat: beta**2 * (m["H2"] - m["H"] ** 2) / sites,
        observables.binder: 1 - m["m4"] / (3 * m["m2"] ** 2),
    }
    for observable, value in expected.items():
        assert expectation(model, observable).item() == pytest.approx(value, rel=1e-11, abs=1e-13)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_energy_and_specific_heat_are_derivatives_of_log_z(model: PairModel) -> None:
    """``⟨H⟩ = -∂_β log Z`` and ``β² N⁻¹ ∂²_β log Z``.

    By autograd through the sum over all configurations.
    """
    energies = model.energy(enumerate_model(model).configurations)
    beta = torch.tensor(model.beta, dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(
        torch.logsumexp(-beta * energies, dim=0), beta, create_graph=True
    )
    (second,) = torch.autograd.grad(first, beta)
    sites = model.lattice.sites
    assert expectation(model, observables.energy).item() == pytest.approx(
        -first.item() / sites, rel=1e-12
    )
    heat = expectation(model, observables.specific_heat).item()
    assert heat == pytest.approx(model.beta**2 * second.item() / sites, rel=1e-11)


@pytest.mark.parametrize("periodic", [True, (False, True)])
def test_magnetization_is_a_derivative_by_the_field(periodic: bool | tuple[bool, bool]) -> None:
    """``βN ⟨m⟩ = ∂_h log Z`` and ``β²N² (⟨m²⟩ - ⟨m⟩²) = ∂²_h log Z``.

    By differences of fourth order.
    """
    beta, field, h = 0.5, 0.2, 0.01

    def log_z(n: int) -> float:
        return enumerate_model(Ising((3, 3), beta, field=field + n * h, periodic=periodic)).log_z

    model = Ising((3, 3), beta, field=field, periodic=periodic)
    first = (8 * (log_z(1) - log_z(-1)) - (log_z(2) - log_z(-2))) / (12 * h)
    second = (16 * (log_z(1) + log_z(-1)) - (log_z(2) + log_z(-2)) - 30 * log_z(0)) / (12 * h**2)
    mean = expectation(model, observables.magnetization).item()
    square = expectation(model, observables.magnetization_squared).item()
    assert mean > 0
    assert beta * 9 * mean == pytest.approx(first, abs=1e-5)
    assert beta**2 * 81 * (square - mean**2) == pytest.approx(second, abs=1e-4)


def test_ising_by_hand() -> None:
    model = Ising((2, 4), 0.5, periodic=(False, True))
    x = torch.tensor(
        [[[1, 1, 1, 1], [1, 1, 1, 1]], [[0] * 4] * 2, [[1, 1, 1, 1], [1, 1, 0, 1]]],
        dtype=torch.int8,
    )
    # 12 bonds; a spin on the edge turns 3 of them.
    assert observables.energy(x, model).tolist() == [-1.5, -1.5, -0.75]
    assert observables.magnetization(x, model).tolist() == [1.0, -1.0, 0.75]
    assert observables.abs_magnetization(x, model).tolist() == [1.0, 1.0, 0.75]
    assert observables.magnetization_squared(x, model).tolist() == [1.0, 1.0, 0.5625]


def test_potts_by_hand() -> None:
    model = Potts((2, 3), 3, 0.5)
    for state in range(3):
        ordered = torch.full((1, 2, 3), state, dtype=torch.int8)
        assert observables.abs_magnetization(ordered, model).item() == pytest.approx(1.0, abs=1e-14)
    balanced = single([[0, 1, 2], [2, 0, 1]])
    assert observables.abs_magnetization(balanced, model).item() == pytest.approx(0.0, abs=1e-14)
    # Densities (1/2, 1/2, 0): m² = q/(q-1) Σ_a (ρ_a - 1/q)² = 1/4.
    halves = single([[0, 1, 0], [1, 0, 1]])
    assert observables.magnetization_squared(halves, model).item() == pytest.approx(0.25, abs=1e-14)
    assert observables.magnetization(halves, model).shape == (1, 3)


def test_clock_by_hand() -> None:
    model = Clock((2, 2), 4, 0.5)
    x = torch.tensor([[[1, 1], [1, 1]], [[0, 1], [2, 3]], [[0, 0], [1, 1]]], dtype=torch.int8)
    expected = torch.tensor([[0.0, 1.0], [0.0, 0.0], [0.5, 0.5]], dtype=torch.float64)
    torch.testing.assert_close(observables.magnetization(x, model), expected, rtol=0, atol=1e-15)
    assert observables.abs_magnetization(x, model).tolist() == pytest.approx(
        [1.0, 0.0, math.sqrt(0.5)], abs=1e-15
    )


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_shapes_and_types(model: PairModel, name: str) -> None:
    x = enumerate_model(model).configurations[:7]
    values = getattr(observables, name)(x, model)
    assert values.dtype == torch.float64
    assert values.shape == ((7,) if ALL[name] == 1 else (7, ALL[name]))
    assert hasattr(getattr(observables, name), "function") == (ALL[name] > 1)


def test_functions_act_on_the_last_axis() -> None:
    pairs = torch.tensor([[[0.5, 2.0], [1.0, 3.0]]], dtype=torch.float64)
    triples = torch.tensor([[[0.5, 1.5, 2.0], [1.0, 2.0, 3.0]]], dtype=torch.float64)
    for observable, means, expected in (
        (observables.susceptibility, triples, [[1.25, 1.0]]),
        (observables.specific_heat, pairs, [[1.75, 2.0]]),
        (observables.binder, pairs, [[1 - 2.0 / 0.75, 0.0]]),
    ):
        assert observable.function(means).tolist() == expected  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "name", ["energy", "abs_magnetization", "susceptibility", "specific_heat", "binder"]
)
@pytest.mark.parametrize(
    "model", [Potts((2, 3), 3, 0.7), Clock((2, 3), 3, 0.7), Ising((2, 3), 0.7)], ids=repr
)
def test_symmetries_of_the_model(model: PairModel, name: str) -> None:
    """Translations and a shift of all states leave every observable alone."""
    observable, x = getattr(observables, name), enumerate_model(model).configurations
    values = observable(x, model)
    for y in ((x + 1) % model.q, x.roll((1, 1), (1, 2))):
        torch.testing.assert_close(observable(y, model), values, rtol=0, atol=1e-13)


@pytest.mark.parametrize("shape", [(5,), (2, 4), (3, 3)])
def test_free_spins(shape: tuple[int, ...]) -> None:
    """β = 0: ``⟨m²⟩ = 1/N``.

    For Ising ``⟨m⁴⟩ = (3N - 2)/N³``, so the Binder cumulant is ``2/(3N)``.
    """
    n = math.prod(shape)
    for model in (Ising(shape, 0.0), Potts(shape, 3, 0.0), Clock(shape, 4, 0.0)):
        square = expectation(model, observables.magnetization_squared).item()
        assert square == pytest.approx(1 / n, rel=1e-12)
        assert expectation(model, observables.susceptibility).item() == 0.0
        assert expectation(model, observables.specific_heat).item() == 0.0
    assert expectation(Ising(shape, 0.0), observables.binder).item() == pytest.approx(
        2 / (3 * n), rel=1e-11
    )


def test_frozen_spins() -> None:
    model = Ising((3, 3), 20.0)
    assert expectation(model, observables.energy).item() == pytest.approx(-2.0, abs=1e-12)
    assert expectation(model, observables.abs_magnetization).item() == pytest.approx(1.0, abs=1e-12)
    assert expectation(model, observables.binder).item() == pytest.approx(2 / 3, abs=1e-12)
    assert expectation(model, observables.susceptibility).item() == pytest.approx(0.0, abs=1e-9)


def test_specific_heat_does_not_see_the_zero_of_energy() -> None:
    plain = PairModel((2, 3), 0.5, [[1.0, 0.0], [0.0, 1.0]])
    shifted = PairModel((2, 3), 0.5, [[4.0, 3.0], [3.0, 4.0]])
    heat = expectation(plain, observables.specific_heat).item()
    assert heat > 0.01 and expectation(shifted, observables.specific_heat).item() == pytest.approx(
        heat, rel=1e-10
    )


def test_of_means_marks_an_observable_of_ones_own() -> None:
    def product(means: Tensor) -> Tensor:
        return means[..., 0] * means[..., 1]

    def pair(configurations: Tensor, model: object) -> Tensor:
        return torch.stack(
            [configurations[:, 0].double(), configurations[:, 1].double() + 1], dim=1
        )

    marked = observables.of_means(product)(pair)
    assert marked is pair
    model = Ising((2,), 0.8, field=0.4, periodic=False)
    states = list(itertools.product((0, 1), repeat=2))
    weights = {
        x: math.exp(0.8 * ((2 * x[0] - 1) * (2 * x[1] - 1) + 0.4 * (2 * sum(x) - 2)))
        for x in states
    }
    mean = sum(w for x, w in weights.items() if x[0]) / sum(weights.values())
    assert expectation(model, marked).item() == pytest.approx(mean * (mean + 1), rel=1e-12)


def test_both_susceptibilities() -> None:
    """Without a field ``βN⟨m²⟩ = ∂²_h log Z / (βN)``.

    The connected one is smaller by ``βN⟨|m|⟩²``.
    """
    model = Ising((3, 4), 0.5)
    full, connected = (
        expectation(model, f).item()
        for f in (observables.susceptibility_full, observables.susceptibility)
    )
    absolute = expectation(model, observables.abs_magnetization).item()
    assert full - connected == pytest.approx(0.5 * 12 * absolute**2, rel=1e-12)
    h = 0.01
    log_z = [enumerate_model(Ising((3, 4), 0.5, field=n * h)).log_z for n in range(3)]
    second = (16 * 2 * log_z[1] - 2 * log_z[2] - 30 * log_z[0]) / (12 * h**2)
    assert full == pytest.approx(second / (0.5 * 12), rel=1e-5)


def test_potts_order_parameter() -> None:
    model = Potts((2, 3), 3, 0.5)
    x = torch.tensor(
        [[[0, 0, 0], [0, 0, 0]], [[0, 1, 2], [2, 0, 1]], [[2, 2, 0], [2, 1, 2]]], dtype=torch.int8
    )
    assert observables.potts_order(x, model).tolist() == pytest.approx([1.0, 0.0, 0.5], abs=1e-15)
    ising = Ising((2, 3), 0.5)
    y = (x > 0).to(torch.int8)
    torch.testing.assert_close(
        observables.potts_order(y, ising), observables.abs_magnetization(y, ising)
    )


def test_a_new_observable_enters_itself() -> None:
    """One file knows it: the package finds it by its mark and by ``__all__`` of its module."""
    modules = (observables.spins, observables.fields, observables.graphs, observables.pairs)
    marked = set(entered())
    assert marked == {*observables.MEASURABLE, *observables.OF_CHAINS}
    assert marked < {name for module in modules for name in module.__all__}
    assert all(getattr(observables, name) is entered()[name] for name in marked)
    assert observables.OF_CHAINS == ["link_overlap", "overlap", "replica_energies"]
    assert set(OBSERVABLES) < set(observables.MEASURABLE)
