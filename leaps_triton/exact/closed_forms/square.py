"""Closed forms of the Ising model on the square lattice.

Kaufman's are those of a torus, Onsager's and Yang's those of the infinite lattice.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ...lattices.hypercubic import Lattice
from .derivatives import Derivative, as_strength, derivative_at

__all__ = [
    "ising_energy",
    "ising_log_z",
    "ising_specific_heat",
    "onsager_energy",
    "onsager_log_z",
    "onsager_specific_heat",
    "yang_magnetization",
]


# The critical βJ, where sinh 2K = 1.
_CRITICAL = 0.5 * math.log1p(math.sqrt(2.0))


def ising_log_z(shape: Sequence[int], beta: float, coupling: float = 1.0) -> float:
    """Return ``ln Z`` of the Ising model on an L × M torus (Kaufman), in float64 to rounding.

    With ``K = βJ > 0`` and ``s = sinh 2K``, ``Z`` is ``½(2s)^{LM/2}`` times

    ``∏_odd 2cosh(Mγ_r/2) + ∏_odd 2sinh(Mγ_r/2) + ∏_even 2cosh(Mγ_r/2) + ∏_even 2sinh(Mγ_r/2)``,

    where ``r = 0 … 2L-1``, ``cosh γ_r = cosh 2K coth 2K - cos(πr/L)``, and ``γ_r > 0`` but for
    ``γ_0 = 2K + ln tanh K``.

    Args:
        shape: (L, M), both at least 2; a length of 2 has two bonds between the same pair. Time and
            memory grow with L.
        beta: inverse temperature, in units of 1/energy.
        coupling: J of every bond, in units of energy. ``βJ < 0`` needs both lengths even, then
            ``Z(-K) = Z(K)``.

    Raises:
        ValueError: there is no such torus, βJ is not finite, or βJ < 0 with an odd length.

    References:
        B. Kaufman, Crystal Statistics. II, Phys. Rev. 76, 1232 (1949).

    Example:
        >>> round(ising_log_z((8, 8), beta=0.4407) / 64, 12)
        0.939735024001
    """
    return _kaufman(shape, beta, coupling, order=0).value


def ising_energy(shape: Sequence[int], beta: float, coupling: float = 1.0) -> float:
    """Return the energy per site of the Ising torus, ``⟨H⟩/N = -(J/N) ∂ ln Z/∂K``, ``K = βJ``.

    It is in the units of J. Arguments, errors and references are those of :func:`ising_log_z`. The
    derivative is exact: autograd of the closed form.

    Example:
        >>> round(ising_energy((8, 8), beta=0.4407), 12)
        -1.491667004187
    """
    slope = _kaufman(shape, beta, coupling, order=1)
    return -float(coupling) * slope.value / slope.sites


def ising_specific_heat(shape: Sequence[int], beta: float, coupling: float = 1.0) -> float:
    """Return the specific heat per site of the Ising torus, ``β² var(H)/N = (K²/N) ∂² ln Z/∂K²``.

    It is dimensionless, ``K = βJ``; rounding leaves an absolute error near 1e-13. Arguments, errors
    and references are those of :func:`ising_log_z`.

    Example:
        >>> round(ising_specific_heat((8, 8), beta=0.4407), 10)
        1.145492979
    """
    curvature = _kaufman(shape, beta, coupling, order=2)
    # Without the sign of a zero, which says nothing.
    return curvature.strength**2 * curvature.value / curvature.sites + 0.0


def _kaufman(
    shape: Sequence[int],
    beta: float,
    coupling: float,
    order: int,
) -> Derivative:
    """Return the derivative of this order of ``ln Z`` of a torus."""
    lattice = Lattice(shape)
    if lattice.ndim != 2:
        raise ValueError(
            f"Kaufman's formula needs a shape of two lengths (L, M), got {lattice.shape}"
        )
    strength = as_strength(beta, coupling)
    odd = any(length % 2 == 1 for length in lattice.shape)
    if strength < 0 and odd:
        raise ValueError(
            f"beta * coupling < 0 needs both lengths even, got {strength} on {lattice.shape}: "
            "an odd length frustrates; use even lengths, or exact.log_z on a small lattice"
        )
    modes, length = lattice.shape
    ordered = abs(strength) > _CRITICAL

    def log_z_of(k: Tensor) -> Tensor:
        return _ising_log_z(k, modes, length, ordered)

    value = _derivative(log_z_of, strength, order)
    return Derivative(value, strength, lattice.sites)


def _derivative(
    log_z_of: Callable[[Tensor], Tensor],
    strength: float,
    order: int,
) -> float:
    """Return the derivative of this order of a function of ``|K|``, with respect to ``K``."""
    value = derivative_at(log_z_of, abs(strength), order)
    # d|K|/dK = -1 for K < 0; in a second derivative it enters twice.
    if order == 1 and strength < 0:
        return -value
    return value


def _ising_log_z(k: Tensor, modes: int, length: int, ordered: bool) -> Tensor:
    """Return Kaufman's ``ln Z`` for ``K ≥ 0``.

    It is smooth in ``K`` on either side of the critical point, those ends included. The ``γ_r``
    agree at ``K`` and at its dual, so take ``k ≤ K_c`` of the two and ``p = sinh 2k ≤ 1``. With
    ``A_r = p e^{γ_r} = D + √(D² - p²)``, ``D = 1 + p² - p cos(πr/L)``, and
    ``A_0 = ½(1 + e^{-2k})²``, a factor is ``(2s)^{M/2} (e^{Mγ/2} ± e^{-Mγ/2}) = (s/p)^{M/2}
    (2A)^{M/2} (1 ± (p/A)^M)``: no large terms cancel as ``K → 0``.

    Args:
        k: ``K``, float64 ``()``.
        modes: L.
        length: M.
        ordered: whether ``K`` is above the critical point.
    """
    dual = _lower(k, ordered)
    p = torch.sinh(2 * dual)
    # r = 1 … 2L-1, with half the angles πr/L.
    r = torch.arange(1, 2 * modes, dtype=torch.float64)
    a = _growth(p, r * (math.pi / (2 * modes)))
    bulk = 0.5 * length * torch.log(2 * a)
    decay = (p / a) ** length
    cosh = bulk + torch.log1p(decay)
    sinh = bulk + torch.log1p(-decay)
    # The factors of r = 0 stay outside the logarithms: its sinh changes sign at K_c.
    zero_bulk = 0.5 * length * torch.log((1 + torch.exp(-2 * dual)) ** 2)
    zero_decay = (torch.tanh(dual) * torch.exp(2 * dual)) ** length
    sign = 1.0 if ordered else -1.0
    # Entry 0 is r = 1, so that entries 0, 2, … are the odd modes.
    logs = torch.stack(
        [
            cosh[::2].sum(),
            sinh[::2].sum(),
            zero_bulk + cosh[1::2].sum(),
            zero_bulk + sinh[1::2].sum(),
        ]
    )
    one = torch.ones_like(p)
    factors = torch.stack([one, one, 1 + zero_decay, sign * (1 - zero_decay)])
    # The largest product is taken out, so that no exponential overflows.
    top = logs.max().detach()
    total = top + torch.log(0.5 * (factors * torch.exp(logs - top)).sum())
    if ordered:
        # From p back to s: ln 2s = ln(2 sinh 2K), a site.
        return total + modes * length * _log_sinh(k)
    return total


def _lower(k: Tensor, ordered: bool) -> Tensor:
    """Return the one of ``K`` and its dual, ``tanh k = e^{-2K}``, that is not above ``K_c``."""
    if ordered:
        return torch.atanh(torch.exp(-2 * k))
    return k


def _growth(p: Tensor, half_angle: Tensor) -> Tensor:
    """Return ``A = D + √(D² - p²)`` with ``D = p + gap``, where no digits cancel."""
    gap = (1 - p) ** 2 + 2 * p * torch.sin(half_angle) ** 2
    return gap + p + torch.sqrt(gap * (gap + 2 * p))


def _log_sinh(k: Tensor) -> Tensor:
    """Return ``ln sinh 2K`` without overflow."""
    return 2 * k + torch.log1p(-torch.exp(-4 * k)) - math.log(2.0)


def onsager_log_z(beta: float, coupling: float = 1.0) -> float:
    """Return ``lim ln Z / N = -βf`` of Ising on the infinite square lattice (Onsager).

    ``½ ln(2 sinh 2K) + (1/2π) ∫_0^π γ(ω) dω``, ``K = |βJ|``, ``cosh γ = cosh 2K coth 2K - cos ω``:
    the limit of Kaufman's ``γ_r``, by a quadrature that the kink of ``γ`` at the critical point
    does not trouble.

    Args:
        beta: inverse temperature, in units of 1/energy.
        coupling: J of every bond, in units of energy; its sign does not matter.

    Raises:
        ValueError: βJ is not a finite number.

    References:
        L. Onsager, Crystal Statistics. I, Phys. Rev. 65, 117 (1944).

    Example:
        >>> round(onsager_log_z(beta=0.4407), 12)
        0.929714077648
    """
    return _onsager(beta, coupling, order=0).value


def onsager_energy(beta: float, coupling: float = 1.0) -> float:
    """Return the energy per site of the infinite lattice, ``-J ∂(ln Z / N)/∂K``, in units of J.

    Arguments, errors and references are those of :func:`onsager_log_z`.

    Example:
        >>> round(onsager_energy(beta=0.4407), 12)
        -1.414576622042
    """
    slope = _onsager(beta, coupling, order=1)
    return -float(coupling) * slope.value


def onsager_specific_heat(beta: float, coupling: float = 1.0) -> float:
    """Return the specific heat per site of the infinite lattice, ``K² ∂²(ln Z / N)/∂K²``.

    It diverges at the critical point. Arguments, errors and references are those of
    :func:`onsager_log_z`.

    Example:
        >>> round(onsager_specific_heat(beta=0.5), 10)
        0.7248714486
    """
    curvature = _onsager(beta, coupling, order=2)
    # Without the sign of a zero, which says nothing.
    return curvature.strength**2 * curvature.value + 0.0


def yang_magnetization(beta: float, coupling: float = 1.0) -> float:
    """Return the spontaneous magnetisation of the infinite lattice.

    It is ``(1 - sinh⁻⁴ 2K)^{1/8}`` above ``K_c``, else 0; where βJ < 0, that of the staggered
    spins. Arguments and errors are those of :func:`onsager_log_z`.

    References:
        C. N. Yang, The spontaneous magnetization of a two-dimensional Ising model, Phys. Rev. 85,
        808 (1952).

    Example:
        >>> round(yang_magnetization(beta=0.5), 12), yang_magnetization(beta=0.44)
        (0.911319377877, 0.0)
    """
    k = abs(as_strength(beta, coupling))
    if k <= _CRITICAL:
        return 0.0
    # ln sinh 2K, where sinh 2K itself would overflow.
    log_sinh = 2 * k + math.log1p(-math.exp(-4 * k)) - math.log(2.0)
    return (-math.expm1(-4 * log_sinh)) ** 0.125


def _onsager(beta: float, coupling: float, order: int) -> Derivative:
    """Return the derivative of this order of ``ln Z / N`` of the infinite lattice."""
    strength = as_strength(beta, coupling)
    ordered = abs(strength) > _CRITICAL

    def log_z_of(k: Tensor) -> Tensor:
        return _onsager_log_z(k, ordered)

    return Derivative(_derivative(log_z_of, strength, order), strength)


def _onsager_log_z(k: Tensor, ordered: bool) -> Tensor:
    """Return ``½ ∫_0^1 ln 2A(πx) dx``, ``p`` and ``A`` as in :func:`_ising_log_z`.

    The quadrature is tanh-sinh: nodes crowd doubly exponentially towards the ends, so that a kink
    or a near pole at one end costs nothing.
    """
    p = torch.sinh(2 * _lower(k, ordered))
    t = torch.arange(-400, 401, dtype=torch.float64) / 100
    stretch = 0.5 * math.pi * torch.sinh(t)
    # dx = weight dt for x = ½(1 + tanh(stretch)), steps of 0.01.
    weight = 0.0025 * math.pi * torch.cosh(t) / torch.cosh(stretch) ** 2
    a = _growth(p, 0.5 * math.pi * torch.sigmoid(2 * stretch))
    value = 0.5 * (weight * torch.log(2 * a)).sum()
    if ordered:
        return value + 2 * k + torch.log1p(-torch.exp(-4 * k)) - math.log(2.0)
    return value
