"""Closed forms of the Ising model on the square lattice: Kaufman's torus, Onsager's and Yang's
infinite lattice.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..kernels.checks import as_number
from ..lattices.hypercubic import Lattice

__all__ = [
    "ising_energy",
    "ising_log_z",
    "ising_specific_heat",
    "onsager_energy",
    "onsager_log_z",
    "onsager_specific_heat",
    "yang_magnetization",
]


_CRITICAL = 0.5 * math.log1p(math.sqrt(2.0))


def ising_log_z(shape: Sequence[int], beta: float, coupling: float = 1.0) -> float:
    """``ln Z`` of the Ising model on an L × M torus (Kaufman), in float64 to rounding.

    With ``K = βJ > 0`` and ``s = sinh 2K``,
    ``Z = ½(2s)^{LM/2} [∏_odd 2cosh(Mγ_r/2) + ∏_odd 2sinh(Mγ_r/2) + ∏_even 2cosh(Mγ_r/2) + ∏_even
    2sinh(Mγ_r/2)]``, ``r = 0 … 2L-1``, ``cosh γ_r = cosh 2K coth 2K - cos(πr/L)``, ``γ_r > 0`` but
    for ``γ_0 = 2K + ln tanh K``.

    Args:
        shape: (L, M), both at least 2; a length of 2 has two bonds between the same pair. Time and
            memory grow with L.
        beta: inverse temperature, in units of 1/energy.
        coupling: J of every bond, in units of energy. ``βJ < 0`` needs both lengths even, then
            ``Z(-K) = Z(K)``.

    Raises:
        ValueError: no such torus, βJ not finite, or βJ < 0 with an odd length.

    References:
        B. Kaufman, Crystal Statistics. II, Phys. Rev. 76, 1232 (1949).

    Example:
        >>> round(ising_log_z((8, 8), beta=0.4407) / 64, 12)
        0.939735024001
    """
    value, _, _ = _kaufman(shape, beta, coupling, order=0)
    return value


def ising_energy(shape: Sequence[int], beta: float, coupling: float = 1.0) -> float:
    """Energy a site of the Ising torus, ``⟨H⟩/N = -(J/N) ∂ ln Z/∂K``, ``K = βJ``, in the units of
    J.

    Arguments, errors and references as :func:`ising_log_z`. The derivative is exact: autograd of
    the closed form.

    Example:
        >>> round(ising_energy((8, 8), beta=0.4407), 12)
        -1.491667004187
    """
    value, _, sites = _kaufman(shape, beta, coupling, order=1)
    return -float(coupling) * value / sites


def ising_specific_heat(shape: Sequence[int], beta: float, coupling: float = 1.0) -> float:
    """Specific heat a site of the Ising torus, ``β² var(H)/N = (K²/N) ∂² ln Z/∂K²``, ``K = βJ``,
    dimensionless.

    Arguments, errors and references as :func:`ising_log_z`. Rounding leaves an absolute error near
    1e-13.

    Example:
        >>> round(ising_specific_heat((8, 8), beta=0.4407), 10)
        1.145492979
    """
    value, strength, sites = _kaufman(shape, beta, coupling, order=2)
    return strength**2 * value / sites


def _kaufman(
    shape: Sequence[int], beta: float, coupling: float, order: int
) -> tuple[float, float, int]:
    """The derivative of ``ln Z`` of that order with respect to ``K``, ``K``, and the number of
    sites.
    """
    lattice = Lattice(shape)
    if lattice.ndim != 2:
        raise ValueError(
            f"Kaufman's formula needs a shape of two lengths (L, M), got {lattice.shape}"
        )
    strength = _strength(beta, coupling)
    if strength < 0 and any(length % 2 for length in lattice.shape):
        raise ValueError(
            f"beta * coupling < 0 needs both lengths even, got {strength} on {lattice.shape}: "
            "an odd length frustrates; use even lengths, or exact.log_z on a small lattice"
        )
    modes, length = lattice.shape

    def log_z_of(k: Tensor) -> Tensor:
        return _ising_log_z(k, modes, length, ordered=abs(strength) > _CRITICAL)

    return _derivative(log_z_of, strength, order), strength, lattice.sites


def _strength(beta: float, coupling: float) -> float:
    """``K = βJ``, a finite number."""
    wanted = "a finite number (for one a bond use exact.log_z)"
    beta = as_number("beta", beta, "a finite number", math.isfinite)
    strength = beta * as_number("coupling", coupling, wanted, math.isfinite)
    if not math.isfinite(strength):
        raise ValueError(f"beta and coupling must have a finite product, got {beta} and {coupling}")
    return strength


def _derivative(log_z_of: Callable[[Tensor], Tensor], strength: float, order: int) -> float:
    """The derivative of that order of a function of ``|K|``, with respect to ``K``."""
    derivative = log_z_of
    for _ in range(order):
        derivative = torch.func.grad(derivative)
    value = float(derivative(torch.tensor(abs(strength), dtype=torch.float64)))
    return -value if order == 1 and strength < 0 else value


def _ising_log_z(k: Tensor, modes: int, length: int, ordered: bool) -> Tensor:
    """Kaufman's formula for ``K ≥ 0``, smooth in ``K`` on either side of the critical point, those
    ends included.

    The ``γ_r`` agree at ``K`` and at its dual, so take ``k ≤ K_c`` of the two and ``p = sinh 2k ≤
    1``. With ``A_r = p e^{γ_r} = D + √(D² - p²)``, ``D = 1 + p² - p cos(πr/L)``, and ``A_0 = ½(1 +
    e^{-2k})²``, a factor is ``(2s)^{M/2} (e^{Mγ/2} ± e^{-Mγ/2}) = (s/p)^{M/2} (2A)^{M/2} (1 ±
    (p/A)^M)``: no large terms cancel as ``K → 0``.
    """
    dual = torch.atanh(torch.exp(-2 * k)) if ordered else k
    p = torch.sinh(2 * dual)
    angle = torch.arange(1, 2 * modes, dtype=torch.float64) * (math.pi / (2 * modes))
    gap = (1 - p) ** 2 + 2 * p * torch.sin(angle) ** 2
    a = gap + p + torch.sqrt(gap * (gap + 2 * p))
    bulk, decay = 0.5 * length * torch.log(2 * a), (p / a) ** length
    cosh, sinh = bulk + torch.log1p(decay), bulk + torch.log1p(-decay)
    # Entry 0 is r = 1. The factors of r = 0 stay outside the logarithms: its sinh changes sign at
    # K_c.
    zero_bulk = 0.5 * length * torch.log((1 + torch.exp(-2 * dual)) ** 2)
    zero_decay = (torch.tanh(dual) * torch.exp(2 * dual)) ** length
    sign = 1.0 if ordered else -1.0
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
    top = logs.max().detach()
    total = top + torch.log(0.5 * (factors * torch.exp(logs - top)).sum())
    if not ordered:
        return total
    return total + modes * length * (2 * k + torch.log1p(-torch.exp(-4 * k)) - math.log(2.0))


def onsager_log_z(beta: float, coupling: float = 1.0) -> float:
    """``lim ln Z / N = -βf`` of the Ising model on the infinite square lattice (Onsager).

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
    return _onsager(beta, coupling, order=0)[0]


def onsager_energy(beta: float, coupling: float = 1.0) -> float:
    """Energy a site of the infinite lattice, ``-J ∂(ln Z / N)/∂K``, in the units of J.

    Arguments, errors and references as :func:`onsager_log_z`.

    Example:
        >>> round(onsager_energy(beta=0.4407), 12)
        -1.414576622042
    """
    value, _ = _onsager(beta, coupling, order=1)
    return -float(coupling) * value


def onsager_specific_heat(beta: float, coupling: float = 1.0) -> float:
    """Specific heat a site of the infinite lattice, ``K² ∂²(ln Z / N)/∂K²``; it diverges at the
    critical point.

    Arguments, errors and references as :func:`onsager_log_z`.

    Example:
        >>> round(onsager_specific_heat(beta=0.5), 10)
        0.7248714486
    """
    value, strength = _onsager(beta, coupling, order=2)
    return strength**2 * value


def yang_magnetization(beta: float, coupling: float = 1.0) -> float:
    """Spontaneous magnetisation of the infinite lattice, ``(1 - sinh⁻⁴ 2K)^{1/8}`` above ``K_c``,
    else 0.

    Arguments and errors as :func:`onsager_log_z`; of the staggered spins where βJ < 0.

    References:
        C. N. Yang, The spontaneous magnetization of a two-dimensional Ising model, Phys. Rev. 85,
        808 (1952).

    Example:
        >>> round(yang_magnetization(beta=0.5), 12), yang_magnetization(beta=0.44)
        (0.911319377877, 0.0)
    """
    k = abs(_strength(beta, coupling))
    if k <= _CRITICAL:
        return 0.0
    log_sinh = 2 * k + math.log1p(-math.exp(-4 * k)) - math.log(2.0)
    return (-math.expm1(-4 * log_sinh)) ** 0.125


def _onsager(beta: float, coupling: float, order: int) -> tuple[float, float]:
    """The derivative of ``ln Z / N`` of that order with respect to ``K``, and ``K``."""
    strength = _strength(beta, coupling)
    ordered = abs(strength) > _CRITICAL
    return _derivative(lambda k: _onsager_log_z(k, ordered), strength, order), strength


def _onsager_log_z(k: Tensor, ordered: bool) -> Tensor:
    """``½ ∫_0^1 ln 2A(πx) dx`` with ``p`` and ``A`` of :func:`_ising_log_z`, by tanh-sinh
    quadrature.
    """
    dual = torch.atanh(torch.exp(-2 * k)) if ordered else k
    p = torch.sinh(2 * dual)
    # Nodes crowd doubly exponentially towards the ends, so a kink or a near pole at one end costs
    # nothing.
    t = torch.arange(-400, 401, dtype=torch.float64) / 100
    stretch = 0.5 * math.pi * torch.sinh(t)
    weight = 0.0025 * math.pi * torch.cosh(t) / torch.cosh(stretch) ** 2
    gap = (1 - p) ** 2 + 2 * p * torch.sin(0.5 * math.pi * torch.sigmoid(2 * stretch)) ** 2
    value = 0.5 * (weight * torch.log(2 * (gap + p + torch.sqrt(gap * (gap + 2 * p))))).sum()
    return value + 2 * k + torch.log1p(-torch.exp(-4 * k)) - math.log(2.0) if ordered else value
