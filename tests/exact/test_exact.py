"""Laws of exact values: Kaufman against transfer matrix and enumeration, and that against loops."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from leaps_triton import exact
from leaps_triton.lattices.hypercubic import Lattice
from leaps_triton.models import Clock, EdwardsAnderson, EnergyModel, Ising, PairModel, Potts

CRITICAL = 0.5 * math.log(1.0 + math.sqrt(2.0))
TABLE = {
    8: (0.939735024001, -1.491667004187, 1.1454929790),
    16: (0.932215505541, -1.453166761113, 1.4985605800),
    32: (0.930339324610, -1.433784037665, 1.8464662210),
    64: (0.929870437907, -1.424087441108, 2.1915945470),
}
SMALL_SHAPES = [(2, 2), (2, 3), (3, 2), (3, 3), (2, 5), (6, 2), (4, 3), (3, 4)]
STRENGTHS = [0.0, 1e-9, 0.02, 0.3, 0.4407, CRITICAL, 0.7, 2.5]


def transfer_log_z(shape: tuple[int, int], strength: float) -> float:
    """``ln tr T^M`` with the symmetric row-to-row transfer matrix of ``2**L`` states."""
    spins = 2.0 * torch.cartesian_prod(*[torch.arange(2, dtype=torch.float64)] * shape[0]) - 1.0
    row = strength * (spins * spins.roll(1, dims=1)).sum(1)
    exponent = row[:, None] / 2 + row / 2 + strength * spins @ spins.T
    top = exponent.max()
    eigenvalues = torch.linalg.eigvalsh((exponent - top).exp())
    return float(shape[1] * top + (eigenvalues ** shape[1]).sum().log())


def loop_energy(model: PairModel, x: dict[tuple[int, ...], int]) -> float:
    """``H(x)``, bond by bond."""
    shape, energy = model.lattice.shape, 0.0
    coupling = model.coupling.expand(len(shape), *shape)
    field = model.site_table.expand(model.q, *shape)
    for site, state in x.items():
        energy -= float(field[(state, *site)])
        for d, length in enumerate(shape):
            there = list(site)
            there[d] += 1
            if there[d] == length:
                if not model.lattice.periodic[d]:
                    continue
                there[d] = 0
            energy -= float(coupling[(d, *site)] * model.bond_table[state, x[tuple(there)]])
    return energy


def energy_of(x: Tensor, model: EnergyModel) -> Tensor:
    return model.energy(x)


def energy_moments(x: Tensor, model: EnergyModel) -> Tensor:
    energy = model.energy(x)
    return torch.stack([energy, energy**2], dim=1)


@pytest.mark.parametrize("length", TABLE)
def test_published_table(length: int) -> None:
    shape, (log_z, energy, heat) = (length, length), TABLE[length]
    assert abs(exact.ising_log_z(shape, 0.4407) / length**2 - log_z) < 6e-13
    assert abs(exact.ising_energy(shape, 0.4407) - energy) < 6e-13
    assert abs(exact.ising_specific_heat(shape, 0.4407) - heat) < 6e-11


@pytest.mark.parametrize(
    "shape", [*SMALL_SHAPES, (4, 4), (3, 5), (5, 5), (5, 6), (6, 5), (4, 10), (2, 40), (5, 40)]
)
def test_kaufman_equals_the_transfer_matrix(shape: tuple[int, int]) -> None:
    negative = [-k for k in STRENGTHS] if all(n % 2 == 0 for n in shape) else []
    for strength in STRENGTHS + negative:
        expected = transfer_log_z(shape, strength)
        assert exact.ising_log_z(shape, strength) == pytest.approx(expected, rel=1e-13, abs=1e-12)


FERROMAGNETS = itertools.product(
    SMALL_SHAPES, [(0.3, 1.0), (CRITICAL, 1.0), (0.5, 1.7), (0.0, 1.0), (-0.3, -1.0)]
)
ANTIFERROMAGNETS = itertools.product([(2, 2), (6, 2), (2, 4)], [(0.4, -0.8), (-0.6, 1.0)])


@pytest.mark.parametrize(("shape", "parameters"), [*FERROMAGNETS, *ANTIFERROMAGNETS])
def test_kaufman_equals_enumeration(
    shape: tuple[int, int], parameters: tuple[float, float]
) -> None:
    beta, coupling = parameters
    model = Ising(shape, beta, coupling)
    enumeration, sites = exact.enumerate_model(model), model.lattice.sites
    mean = enumeration.mean(energy_of, model).item()
    variance = enumeration.mean(lambda x, model: (model.energy(x) - mean) ** 2, model).item()
    assert exact.ising_log_z(shape, beta, coupling) == pytest.approx(enumeration.log_z, abs=1e-12)
    assert exact.ising_energy(shape, beta, coupling) == pytest.approx(mean / sites, abs=1e-13)
    assert exact.ising_specific_heat(shape, beta, coupling) == pytest.approx(
        beta**2 * variance / sites, abs=1e-13
    )


@pytest.mark.parametrize("shape", [(32, 20), (15, 15), (2, 60), (60, 3)])
@pytest.mark.parametrize("strength", [0.05, 0.25, 0.42, CRITICAL, 0.4407, 0.47, 0.8])
def test_derivatives_equal_finite_differences(shape: tuple[int, int], strength: float) -> None:
    sites, h = math.prod(shape), 1e-3
    first = {1: 4 / 5, 2: -1 / 5, 3: 4 / 105, 4: -1 / 280}
    second = {1: 8 / 5, 2: -1 / 5, 3: 8 / 315, 4: -1 / 560}
    value = {n: exact.ising_log_z(shape, strength + n * h) / sites for n in range(-4, 5)}
    slope = sum(c * (value[n] - value[-n]) for n, c in first.items()) / h
    curvature = (
        sum(c * (value[n] + value[-n]) for n, c in second.items()) - 205 / 72 * value[0]
    ) / h**2
    assert exact.ising_energy(shape, strength) == pytest.approx(-slope, abs=1e-10)
    assert exact.ising_specific_heat(shape, strength) == pytest.approx(
        strength**2 * curvature, abs=1e-8
    )


@pytest.mark.parametrize("strength", [0.0, 1e-12, 0.2, CRITICAL, 0.5, 3.0])
@pytest.mark.parametrize("shape", [(1000, 7), (64, 2), (31, 500)])
def test_directions_are_alike(shape: tuple[int, int], strength: float) -> None:
    swapped = shape[::-1]
    assert exact.ising_log_z(shape, strength) == pytest.approx(
        exact.ising_log_z(swapped, strength), rel=1e-14
    )
    assert exact.ising_energy(shape, strength) == pytest.approx(
        exact.ising_energy(swapped, strength), abs=1e-14
    )
    assert exact.ising_specific_heat(shape, strength) == pytest.approx(
        exact.ising_specific_heat(swapped, strength), abs=1e-11
    )


def test_sublattice_flip_turns_the_antiferromagnet_into_the_ferromagnet() -> None:
    for f in (exact.ising_log_z, exact.ising_energy, exact.ising_specific_heat):
        assert f((6, 10), 0.5, -1.0) == f((6, 10), 0.5, 1.0)
    assert exact.ising_energy((6, 10), -0.5) == -exact.ising_energy((6, 10), 0.5)


def test_strong_and_weak_coupling() -> None:
    shape, sites = (9, 8), 72
    for k in (1e-300, 1e-12, 1e-6, 1e-3):
        v = math.tanh(k)
        series = sites * (math.log(2.0) + 2 * math.log(math.cosh(k)) + v**4 + 2 * v**6)
        assert exact.ising_log_z(shape, k) == pytest.approx(series, rel=1e-14)
        assert exact.ising_energy(shape, k) == pytest.approx(
            -2 * k - 10 / 3 * k**3, rel=1e-10, abs=1e-15
        )
        assert exact.ising_specific_heat(shape, k) == pytest.approx(2 * k**2 + 10 * k**4, rel=1e-10)
    for k in (3.0, 10.0, 400.0, 1e5):
        series = sites * 2 * k + math.log(2.0) + sites * (math.exp(-8 * k) + 2 * math.exp(-12 * k))
        assert exact.ising_log_z(shape, k) == pytest.approx(series, rel=1e-14)
        energy = -2 + 8 * math.exp(-8 * k) + 24 * math.exp(-12 * k)
        assert exact.ising_energy(shape, k) == pytest.approx(energy, rel=1e-14)
        assert exact.ising_specific_heat(shape, k) == pytest.approx(
            64 * k**2 * math.exp(-8 * k), rel=1e-4, abs=1e-14
        )


def test_critical_torus_of_a_million_sites() -> None:
    """At K_c, for L = M → ∞, ``ln Z = N f + ln(2^{1/4} + 2^{-1/2})``.

    Ferdinand and Fisher, Phys. Rev. 185, 832 (1969).
    """
    catalan = 0.915965594177219
    bulk = 1e6 * (0.5 * math.log(2.0) + 2 * catalan / math.pi)
    assert exact.ising_log_z((1000, 1000), CRITICAL) - bulk == pytest.approx(
        math.log(2**0.25 + 2**-0.5), abs=1e-6
    )
    for k in (0.0, 1e-300, 0.3, 0.6, 1e3):
        for f in (exact.ising_log_z, exact.ising_energy, exact.ising_specific_heat):
            assert math.isfinite(f((1000, 1000), k))


@pytest.mark.parametrize("f", [exact.ising_log_z, exact.ising_energy, exact.ising_specific_heat])
def test_smooth_through_the_critical_point(f) -> None:
    below, above = math.nextafter(CRITICAL, 0.0), math.nextafter(CRITICAL, 1.0)
    assert f((24, 17), below) == pytest.approx(f((24, 17), above), rel=1e-12)


def test_derivatives_do_not_depend_on_grad_mode() -> None:
    expected = exact.ising_energy((8, 8), 0.3)
    with torch.no_grad():
        assert exact.ising_energy((8, 8), 0.3) == expected
    with torch.inference_mode():
        assert exact.ising_energy((8, 8), 0.3) == expected


@pytest.mark.parametrize("shape", [(5,), (2, 3), (2, 1, 2)])
@pytest.mark.parametrize("q", [2, 3])
def test_configurations_are_counted_first_site_slowest(shape: tuple[int, ...], q: int) -> None:
    configurations = exact.enumerate_configurations(shape, q)
    sites = math.prod(shape)
    assert configurations.dtype == torch.int8 and configurations.shape == (q**sites, *shape)
    place = q ** torch.arange(sites - 1, -1, -1)
    assert torch.equal((configurations.flatten(1) * place).sum(1), torch.arange(q**sites))


MODELS = [
    Ising((2, 3), 0.6, field=0.3),
    Ising(
        (3, 3), 0.4, coupling=-1.0, field=torch.arange(9.0).view(3, 3) / 5, periodic=(False, True)
    ),
    EdwardsAnderson((2, 2, 2), 0.7, disorder="gaussian", seed=3),
    EdwardsAnderson((3, 3), 0.7, seed=4, periodic=False),
    Potts((2, 3), q=3, beta=0.8, field=[0.1, -0.4, 0.6]),
    Clock((3, 2), q=3, beta=0.8, periodic=(True, False)),
    PairModel((2, 3), 0.5, [[0.0, 1.0, -2.0], [0.5, 0.3, 0.1], [-1.0, 0.2, 0.7]]),
    Potts((4,), q=5, beta=1.3),
]


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_enumeration_equals_plain_loops(model: PairModel) -> None:
    sites = list(itertools.product(*map(range, model.lattice.shape)))
    states = itertools.product(range(model.q), repeat=len(sites))
    energies = [loop_energy(model, dict(zip(sites, x, strict=True))) for x in states]
    for beta in (model.beta, 0.0, 2.0):
        weights = [math.exp(-beta * energy) for energy in energies]
        z = math.fsum(weights)
        enumeration = exact.enumerate_model(model, beta)
        assert enumeration.log_z == pytest.approx(math.log(z), abs=1e-12)
        assert enumeration.log_probabilities.exp().tolist() == pytest.approx(
            [w / z for w in weights], rel=1e-11
        )
        mean = math.fsum(w * e for w, e in zip(weights, energies, strict=True)) / z
        assert enumeration.mean(energy_of, model).item() == pytest.approx(mean, abs=1e-11)
    assert exact.log_z(model) == pytest.approx(exact.enumerate_model(model).log_z, abs=1e-12)


def test_many_configurations_are_summed_in_chunks() -> None:
    model, k = Ising((18,), 0.6), 0.6
    a, b = (2 * math.cosh(k)) ** 18, (2 * math.sinh(k)) ** 18
    assert exact.enumerate_model(model).log_z == pytest.approx(math.log(a + b), abs=1e-11)
    expected = -18 * (a * math.tanh(k) + b / math.tanh(k)) / (a + b)
    assert exact.expectation(model, energy_of).item() == pytest.approx(expected, abs=1e-11)


def test_expectation_applies_the_function_of_an_observable() -> None:
    class SpecificHeat:
        def __call__(self, x: Tensor, model: EnergyModel) -> Tensor:
            return energy_moments(x, model)

        def function(self, means: Tensor) -> Tensor:
            return 0.4**2 * (means[..., 1] - means[..., 0] ** 2) / 12

    value = exact.expectation(Ising((3, 4), 0.4), SpecificHeat())
    assert value.item() == pytest.approx(exact.ising_specific_heat((3, 4), 0.4), abs=1e-12)


class _Shifted(Ising):
    def energy(self, configurations: Tensor, check: bool = True) -> Tensor:
        return super().energy(configurations, check) + 1.0


class _OwnModel:
    def __init__(self, shape: tuple[int, ...], beta: float) -> None:
        self.lattice, self.q, self.beta = Lattice(shape), 2, beta

    def energy(self, configurations: Tensor) -> Tensor:
        return -configurations.flatten(1).sum(1)


def test_log_z_takes_kaufman_where_it_holds() -> None:
    shape, sites = (12, 15), 180
    assert exact.log_z(Ising(shape, 0.4)) == exact.ising_log_z(shape, 0.4)
    full = torch.full((2, *shape), 0.7, dtype=torch.float64)
    assert exact.log_z(EdwardsAnderson(shape, 0.4, coupling=full)) == exact.ising_log_z(
        shape, 0.4, 0.7
    )
    assert exact.log_z(Potts(shape, 2, 0.8)) == pytest.approx(
        0.8 * sites + exact.ising_log_z(shape, 0.4), rel=1e-14
    )
    assert exact.log_z(Clock(shape, 2, 0.4)) == pytest.approx(
        exact.ising_log_z(shape, 0.4), rel=1e-14
    )
    assert exact.log_z(Ising((12, 14), 0.4, -1.0)) == exact.ising_log_z((12, 14), 0.4)


def test_log_z_of_a_two_state_table_equals_enumeration() -> None:
    model = PairModel((4, 3), 0.3, [[0.2, -0.9], [-0.9, 0.2]], coupling=1.3)
    assert exact.log_z(model) == pytest.approx(exact.enumerate_model(model).log_z, abs=1e-12)


def test_log_z_enumerates_what_has_an_energy_only() -> None:
    assert exact.log_z(_OwnModel((3, 3), 0.5)) == pytest.approx(
        9 * math.log1p(math.exp(0.5)), abs=1e-12
    )
    assert exact.log_z(_Shifted((3, 4), 0.4)) == pytest.approx(
        exact.ising_log_z((3, 4), 0.4) - 0.4, abs=1e-12
    )
    assert exact.energy(_OwnModel((3, 3), 0.5)) == pytest.approx(
        -1 / (1 + math.exp(-0.5)), abs=1e-12
    )
    occupied = 1 / (1 + math.exp(-0.5))
    heat = 0.25 * occupied * (1 - occupied)
    assert exact.specific_heat(_OwnModel((3, 3), 0.5)) == pytest.approx(heat, abs=1e-12)


ROUTES = {
    "kaufman": Ising((4, 5), 0.4, coupling=0.9),
    "kaufman antiferromagnet": Ising((4, 4), 0.4, -1.0),
    "kaufman of a table": PairModel((4, 4), 0.4, [[0.2, -0.9], [-0.9, 0.2]], coupling=1.3),
    "enumeration": Potts((2, 3), 3, 0.7, field=[0.2, 0.0, -0.5]),
    "transfer": Ising((4, 4), 0.4, field=0.3, periodic=(False, True)),
    "frustrated": Ising((5, 3), 0.4, -1.0),
}


@pytest.mark.parametrize("model", ROUTES.values(), ids=ROUTES)
def test_every_route_agrees_with_enumeration(model: PairModel) -> None:
    enumeration, sites = exact.enumerate_model(model), model.lattice.sites
    mean, square = enumeration.mean(energy_moments, model).tolist()
    assert exact.log_z(model) == pytest.approx(enumeration.log_z, abs=1e-11)
    assert exact.energy(model) == pytest.approx(mean / sites, abs=1e-12)
    assert exact.specific_heat(model) == pytest.approx(
        model.beta**2 * (square - mean**2) / sites, abs=1e-11
    )


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (Ising((16, 16), 0.4, field=0.1), r"there is a field.*256 \* 2\*\*32 updates"),
        (
            Ising((25, 25), 0.4, periodic=(True, False)),
            r"not a two-dimensional torus.*2\*\*25 states, more than 2\*\*24",
        ),
        (Ising((4, 4, 4), 0.4), r"not a two-dimensional torus.*64 \* 2\*\*32 updates"),
        (Ising((15, 16), 0.4, coupling=-1.0), "odd length frustrates.*updates of messages"),
        (
            Potts((9, 9), 3, 0.4),
            r"not Ising's.*81 \* 3\*\*18 updates of messages, more than 2\*\*34",
        ),
        (PairModel((14, 14), 0.4, [[1.0, 0.0], [0.0, 0.5]]), "not Ising's.*updates of messages"),
        (EdwardsAnderson((14, 14), 0.4), "not uniform.*updates of messages"),
        (_OwnModel((8, 8), 0.4), "not a PairModel.*not a PairModel"),
    ],
)
def test_log_z_says_why_no_route_is_valid(model: EnergyModel, reason: str) -> None:
    with pytest.raises(ValueError, match=f"{reason}.*more than 2\\*\\*20"):
        exact.log_z(model)


@pytest.mark.parametrize("f", [exact.ising_log_z, exact.ising_energy, exact.ising_specific_heat])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((8,), 0.4), "two lengths"),
        (((4, 4, 4), 0.4), "two lengths"),
        (((1, 8), 0.4), "its own neighbour"),
        (((8, 0), 0.4), "at least 1"),
        (((8.0, 8), 0.4), "integers"),
        (((8, 8), math.nan), "finite"),
        (((8, 8), math.inf), "finite"),
        (((8, 8), "hot"), "beta must be a finite number, got 'hot'"),
        (((8, 8), 0.4, torch.ones(2)), "coupling must be a finite number"),
        (((8, 9), 0.4, -1.0), "both lengths even"),
    ],
)
def test_kaufman_refuses(f, arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        f(*arguments)


def test_enumeration_refuses() -> None:
    with pytest.raises(ValueError, match=r"at most 1048576 configurations, got 2\*\*25"):
        exact.enumerate_model(Ising((5, 5), 0.4))
    with pytest.raises(ValueError, match=r"at most 500 configurations, got 2\*\*9"):
        exact.enumerate_configurations((3, 3), 2, limit=500)
    for q in (1, 128, 2.0):
        with pytest.raises(ValueError, match="2 to 127"):
            exact.enumerate_configurations((2, 2), q)  # type: ignore[arg-type]
    model = Ising((2, 2), 0.4)
    with pytest.raises(ValueError, match="beta must be a finite number, got nan"):
        exact.enumerate_model(model, beta=math.nan)
    with pytest.raises(ValueError, match=r"must return \(16,\) or \(16, k\)"):
        exact.expectation(model, lambda x, model: model.energy(x).mean())
