"""Laws of the infinite lattice: elliptic integrals, duality, and the limit of Kaufman's torus."""

import math

import mpmath
import pytest

from leaps_triton import exact

CRITICAL = 0.5 * math.log1p(math.sqrt(2.0))
STRENGTHS = [1e-8, 0.01, 0.2, 0.43, 0.4406, 0.440687, 0.4407, 0.45, 0.5, 1.0, 3.0]


def by_elliptic_integrals(strength: float) -> tuple[float, float, float]:
    """``ln Z / N``, energy and specific heat by Onsager's formulas, with 40 digits."""
    with mpmath.workdps(40):
        k = mpmath.mpf(strength)
        tanh, coth = mpmath.tanh(2 * k), mpmath.coth(2 * k)
        signed = 2 * tanh**2 - 1
        modulus = 1 - signed**2
        first, second = mpmath.ellipk(modulus), mpmath.ellipe(modulus)
        energy = -coth * (1 + 2 / mpmath.pi * signed * first)
        bracket = 2 * first - 2 * second - 2 * (1 - tanh**2) * (mpmath.pi / 2 + signed * first)

        def integrand(angle: mpmath.mpf) -> mpmath.mpf:
            return mpmath.log((1 + mpmath.sqrt(abs(1 - modulus * mpmath.sin(angle) ** 2))) / 2)

        integral = mpmath.quad(integrand, mpmath.linspace(0, mpmath.pi / 2, 9))
        log_z = mpmath.log(2 * mpmath.cosh(2 * k)) + integral / mpmath.pi
        return float(log_z), float(energy), float(2 / mpmath.pi * (k * coth) ** 2 * bracket)


@pytest.mark.parametrize("strength", STRENGTHS)
def test_onsager_by_elliptic_integrals(strength: float) -> None:
    log_z, energy, heat = by_elliptic_integrals(strength)
    assert exact.onsager_log_z(strength) == pytest.approx(log_z, rel=1e-15)
    assert exact.onsager_energy(strength) == pytest.approx(energy, abs=1e-14)
    assert exact.onsager_specific_heat(strength) == pytest.approx(heat, rel=1e-11)


def test_the_critical_point() -> None:
    """Onsager: ``ln Z / N = ½ ln 2 + 2G/π`` with Catalan's constant, and ``u = -√2``.

    The specific heat diverges logarithmically.
    """
    assert exact.onsager_log_z(CRITICAL) == pytest.approx(
        0.5 * math.log(2) + 2 * 0.915965594177219 / math.pi, rel=1e-15
    )
    assert exact.onsager_energy(CRITICAL) == pytest.approx(-math.sqrt(2), rel=1e-14)
    near = [exact.onsager_specific_heat(CRITICAL + gap) for gap in (1e-4, 1e-5)]
    amplitude = 8 / math.pi * CRITICAL**2
    assert near[1] - near[0] == pytest.approx(amplitude * math.log(10), rel=2e-3)


@pytest.mark.parametrize("strength", [0.1, 0.3, 0.6])
def test_a_torus_tends_to_the_infinite_lattice(strength: float) -> None:
    """Off the critical point exponentially in L; below ``K_c`` the two phases add ln 2."""
    shape, sites = (300, 300), 90000
    phases = math.log(2.0) if strength > CRITICAL else 0.0
    log_z = (exact.ising_log_z(shape, strength) - phases) / sites
    assert exact.onsager_log_z(strength) == pytest.approx(log_z, rel=1e-13)
    assert exact.onsager_energy(strength) == pytest.approx(
        exact.ising_energy(shape, strength), rel=1e-12
    )
    assert exact.onsager_specific_heat(strength) == pytest.approx(
        exact.ising_specific_heat(shape, strength), rel=1e-9
    )


@pytest.mark.parametrize("strength", [0.05, 0.3, 0.44])
def test_duality(strength: float) -> None:
    """Kramers and Wannier: ``ln Z(K) - ½ ln sinh 2K`` per site is the same at the dual coupling.

    That is ``K* = ½ arsinh(1/sinh 2K)``.
    """
    dual = 0.5 * math.asinh(1 / math.sinh(2 * strength))
    sides = [exact.onsager_log_z(k) - 0.5 * math.log(math.sinh(2 * k)) for k in (strength, dual)]
    assert sides[0] == pytest.approx(sides[1], rel=1e-14)


def test_signs_and_units() -> None:
    assert exact.onsager_log_z(0.3, 2.0) == exact.onsager_log_z(0.6)
    assert exact.onsager_energy(0.3, 2.0) == 2 * exact.onsager_energy(0.6)
    for f in (
        exact.onsager_log_z,
        exact.onsager_energy,
        exact.onsager_specific_heat,
        exact.yang_magnetization,
    ):
        assert f(0.3, -1.0) == f(0.3)
    assert exact.onsager_energy(-0.3) == -exact.onsager_energy(0.3)
    assert (
        exact.onsager_log_z(0.0) == pytest.approx(math.log(2.0), rel=1e-15)
        and exact.onsager_energy(0.0) == 0.0
    )
    assert exact.onsager_log_z(1e4) == 2e4 and exact.yang_magnetization(1e4) == 1.0


def test_yang() -> None:
    for strength in (0.4407, 0.45, 0.6, 1.5):
        expected = (1 - math.sinh(2 * strength) ** -4) ** 0.125
        assert exact.yang_magnetization(strength) == pytest.approx(expected, rel=1e-11)
    assert exact.yang_magnetization(0.44068) == exact.yang_magnetization(0.0) == 0.0
    # m⁸ vanishes linearly: 8 √2 (K - K_c).
    assert exact.yang_magnetization(CRITICAL + 1e-8) ** 8 == pytest.approx(
        8 * math.sqrt(2) * 1e-8, rel=1e-6
    )


@pytest.mark.parametrize(
    "f",
    [
        exact.onsager_log_z,
        exact.onsager_energy,
        exact.onsager_specific_heat,
        exact.yang_magnetization,
    ],
)
def test_what_is_refused(f) -> None:
    for arguments in ((math.nan,), (math.inf,), (0.3, "strong")):
        with pytest.raises(ValueError, match=r"finite (number|product)"):
            f(*arguments)
