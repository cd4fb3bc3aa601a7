"""Laws of the triangular, honeycomb and kagome tori: enumeration, transfer matrix, known values."""

import math
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from leaps_triton import exact


class Torus(NamedTuple):
    """A lattice, its closed forms, and its bonds counted from cell to cell."""

    log_z: Callable[..., float]
    energy: Callable[..., float]
    specific_heat: Callable[..., float]
    sites_per_cell: int
    bonds: tuple[tuple[int, int, int, int], ...]
    """Site, and site of the cell so many steps ahead, ``(from, to, steps, steps)``"""


TRIANGULAR = Torus(
    exact.triangular_log_z,
    exact.triangular_energy,
    exact.triangular_specific_heat,
    1,
    ((0, 0, 1, 0), (0, 0, 0, 1), (0, 0, 1, 1)),
)
HONEYCOMB = Torus(
    exact.honeycomb_log_z,
    exact.honeycomb_energy,
    exact.honeycomb_specific_heat,
    2,
    ((0, 1, 0, 0), (0, 1, -1, 0), (0, 1, 0, -1)),
)
KAGOME = Torus(
    exact.kagome_log_z,
    exact.kagome_energy,
    exact.kagome_specific_heat,
    3,
    ((0, 1, 0, 0), (0, 2, 0, 0), (1, 2, 0, 0), (0, 1, -1, 0), (0, 2, 0, -1), (1, 2, 1, -1)),
)
CASES = [
    *((TRIANGULAR, shape) for shape in ((2, 2), (2, 3), (3, 3), (4, 3), (5, 3), (4, 4))),
    *((HONEYCOMB, shape) for shape in ((2, 2), (2, 3), (4, 2), (3, 3))),
    *((KAGOME, shape) for shape in ((2, 2), (3, 2), (2, 3))),
]
STRENGTHS = (-6.0, -2.0, -0.5, -0.1, 0.0, 1e-3, 0.2, math.log(3) / 4, 0.4, 1.0, 3.0)


def bonds_of(torus: Torus, shape: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the two sites of every bond; sites of a cell are numbered one after the other."""
    length, width = shape
    found = []
    for i in range(length):
        for j in range(width):
            for first, second, up, right in torus.bonds:
                here = i * width + j
                there = (i + up) % length * width + (j + right) % width
                a = torus.sites_per_cell * here + first
                b = torus.sites_per_cell * there + second
                found.append((a, b))
    return found


def levels(torus: Torus, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return every value of ``Σ s s'`` and the number of its configurations."""
    sites = torus.sites_per_cell * shape[0] * shape[1]
    numbers = torch.arange(2**sites)
    spins = [1 - 2 * ((numbers >> site) & 1).to(torch.int8) for site in range(sites)]
    total = torch.zeros(2**sites, dtype=torch.int8)
    for a, b in bonds_of(torus, shape):
        total += spins[a] * spins[b]
    values, counts = total.unique(return_counts=True)
    return values.double(), counts.double()


@pytest.mark.parametrize(("torus", "shape"), CASES)
def test_enumeration(torus: Torus, shape: tuple[int, int]) -> None:
    """Both signs, from weak to strong, odd and even lengths, bonds counted twice included."""
    sites = torus.sites_per_cell * shape[0] * shape[1]
    values, counts = levels(torus, shape)
    for strength in STRENGTHS:
        log_weights = strength * values + counts.log()
        log_z = torch.logsumexp(log_weights, 0)
        law = (log_weights - log_z).exp()
        mean = float((law * values).sum())
        variance = float((law * (values - mean) ** 2).sum())
        assert torus.log_z(shape, strength) == pytest.approx(float(log_z), abs=1e-12)
        assert torus.energy(shape, strength) == pytest.approx(-mean / sites, abs=1e-13)
        heat = strength**2 * variance / sites
        assert torus.specific_heat(shape, strength) == pytest.approx(heat, abs=1e-13)


def transfer_log_z(shape: tuple[int, int], strength: float) -> float:
    """``ln tr T^M`` of the triangular torus; all entries are positive, so that nothing cancels."""
    length, width = shape
    spins = 1 - 2 * ((torch.arange(2**length).unsqueeze(1) >> torch.arange(length)) & 1).double()
    row = (spins * spins.roll(-1, 1)).sum(1)
    exponent = row.unsqueeze(1) / 2 + row / 2 + spins @ (spins + spins.roll(-1, 1)).T
    exponent *= strength
    top = exponent.max()
    once = (exponent - top).exp()
    power = once
    log_scale = float(width * top)
    for _ in range(width - 1):
        power = power @ once
        largest = power.max()
        power = power / largest
        log_scale += float(largest.log())
    return float(power.trace().log()) + log_scale


@pytest.mark.parametrize("shape", [(5, 5), (5, 7), (7, 5), (8, 8), (5, 11)])
def test_four_products_do_not_cancel(shape: tuple[int, int]) -> None:
    """Neither where a frustrated torus has few ground states."""
    for strength in (-10.0, -3.0, -1.0, 0.2):
        expected = transfer_log_z(shape, strength)
        assert exact.triangular_log_z(shape, strength) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(
    ("torus", "shape", "beta", "coupling", "log_z", "energy"),
    [
        (TRIANGULAR, (12, 12), 0.5, -1.0, 0.919815319565, -0.7305029355),
        (TRIANGULAR, (12, 12), 1.0, -1.0, 1.34600101458, -0.9365244067),
        (HONEYCOMB, (8, 8), math.log(2 + math.sqrt(3)) / 2, 1.0, 1.03003202496, -1.191409929),
        (KAGOME, (6, 6), math.log(3 + 2 * math.sqrt(3)) / 4, 1.0, 0.980680496, -1.544540839),
    ],
)
def test_known_values(torus, shape, beta, coupling, log_z, energy) -> None:
    sites = torus.sites_per_cell * shape[0] * shape[1]
    # As many digits as are given.
    assert torus.log_z(shape, beta, coupling) / sites == pytest.approx(log_z, abs=6e-10)
    assert torus.energy(shape, beta, coupling) == pytest.approx(energy, abs=6e-10)


def test_the_zero_mode_at_the_critical_point() -> None:
    """The term whose sign changes there is zero, and all three orders pass smoothly."""
    critical = math.log(3) / 4
    for f in (exact.triangular_log_z, exact.triangular_energy, exact.triangular_specific_heat):
        below, here, above = (f((12, 12), critical + gap) for gap in (-1e-7, 0.0, 1e-7))
        assert here == pytest.approx((below + above) / 2, rel=1e-10)


def test_residual_entropies() -> None:
    """Triangular antiferromagnets of finite length (Wannier's limit is 0.32307) and kagome's."""
    for length, entropy in ((6, 0.34673166), (9, 0.33367557), (12, 0.32905654)):
        sites = length * length
        log_z = exact.triangular_log_z((length, length), 50.0, -1.0)
        assert (log_z - 50.0 * sites) / sites == pytest.approx(entropy, abs=6e-9)
    # Kanô and Naya: 0.50183 per site of the infinite kagome lattice.
    log_z = exact.kagome_log_z((40, 40), 50.0, -1.0)
    assert (log_z - 50.0 * 3200) / 4800 == pytest.approx(0.50183, abs=1e-5)


@pytest.mark.parametrize("strength", [-1e4, -200.0, 200.0, 1e4])
def test_strong_coupling(strength: float) -> None:
    """Nothing overflows, nothing is NaN, and no energy but that of the ground states is left."""
    for torus, order, frustrated in ((TRIANGULAR, 3, 1), (KAGOME, 2, 2 / 3), (HONEYCOMB, 1.5, 1.5)):
        energy = -order if strength > 0 else frustrated
        assert torus.energy((6, 9), strength) == pytest.approx(energy, rel=1e-14)
        assert torus.specific_heat((6, 9), strength) == pytest.approx(0.0, abs=1e-50)
        assert math.isfinite(torus.log_z((6, 9), strength))


def test_units() -> None:
    for torus in (TRIANGULAR, HONEYCOMB, KAGOME):
        assert torus.log_z((4, 5), 0.3, 2.0) == torus.log_z((4, 5), 0.6)
        assert torus.energy((4, 5), 0.3, 2.0) == 2 * torus.energy((4, 5), 0.6)
        assert torus.specific_heat((4, 5), 0.3, 2.0) == torus.specific_heat((4, 5), 0.6)
    assert exact.honeycomb_log_z((4, 5), 0.3, -1.0) == exact.honeycomb_log_z((4, 5), 0.3)


@pytest.mark.parametrize("torus", [TRIANGULAR, HONEYCOMB, KAGOME])
def test_what_is_refused(torus: Torus) -> None:
    with pytest.raises(ValueError, match="two lengths"):
        torus.log_z((4, 4, 4), 0.3)
    with pytest.raises(ValueError, match="length 1"):
        torus.energy((4, 1), 0.3)
    with pytest.raises(ValueError, match="finite number"):
        torus.specific_heat((4, 4), math.nan)
