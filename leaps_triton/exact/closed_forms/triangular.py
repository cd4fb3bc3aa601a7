"""Closed forms of the Ising model on triangular, honeycomb and kagome tori.

The triangular torus is a sum of four products over waves. The honeycomb is its double: every second
spin is summed out (star and triangle). The kagome is a honeycomb with a spin on each bond, whose
own spins are summed out.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ...kernels.checks import expect
from ...lattices.hypercubic import Lattice
from .derivatives import Derivative, as_strength, derivative_at

__all__ = [
    "honeycomb_energy",
    "honeycomb_log_z",
    "honeycomb_specific_heat",
    "kagome_energy",
    "kagome_log_z",
    "kagome_specific_heat",
    "triangular_energy",
    "triangular_log_z",
    "triangular_specific_heat",
]


def triangular_log_z(shape: Sequence[int], beta: float, coupling: float = 1.0) -> float:
    """Return ``ln Z`` of the Ising model on a triangular torus of L × M sites.

    With ``c = cosh 2K``, ``s = sinh 2K`` and ``K = βJ`` of either sign,

    ``Z = 2^{N-1} Σ_{a,b ∈ {0,½}} ± ∏_{p,q} [c³ + s³ - s(cos p + cos q + cos(p + q))]^{1/2}``

    over ``p = 2π(i + a)/L`` and ``q = 2π(j + b)/M``; the term ``(0, 0)`` has the sign of
    ``K - ¼ ln 3``, the others are positive.

    Args:
        shape: (L, M), the sites along two of the three directions, both at least 2; a length of 2
            has two bonds between the same pair.
        beta: inverse temperature, in units of 1/energy.
        coupling: J of every bond, in units of energy; an antiferromagnet has ``J < 0``.

    Raises:
        ValueError: there is no such torus, or βJ is not finite.

    References:
        R. M. F. Houtappel, *Order-disorder in hexagonal lattices*, Physica 16, 425 (1950);
        G. H. Wannier, *Antiferromagnetism. The triangular Ising net*, Phys. Rev. 79, 357 (1950).

    Example:
        >>> import math
        >>> round(triangular_log_z((12, 12), beta=math.log(3) / 4) / 144, 9)
        0.884005652
    """
    return _at(_TRIANGULAR, shape, beta, coupling, order=0).value


def triangular_energy(shape: Sequence[int], beta: float, coupling: float = 1.0) -> float:
    """Return the energy per site of the triangular torus, ``-(J/N) ∂ ln Z/∂K``, in units of J.

    Arguments, errors and references are those of :func:`triangular_log_z`.

    Example:
        >>> round(triangular_energy((12, 12), beta=0.5, coupling=-1.0), 9)
        -0.730502936
    """
    return _energy(_TRIANGULAR, shape, beta, coupling)


def triangular_specific_heat(shape: Sequence[int], beta: float, coupling: float = 1.0) -> float:
    """Return the specific heat per site of the triangular torus, ``(K²/N) ∂² ln Z/∂K²``.

    Arguments, errors and references are those of :func:`triangular_log_z`.

    Example:
        >>> round(triangular_specific_heat((3, 3), beta=0.2), 9)
        0.513481336
    """
    return _specific_heat(_TRIANGULAR, shape, beta, coupling)


def honeycomb_log_z(shape: Sequence[int], beta: float, coupling: float = 1.0) -> float:
    """Return ``ln Z`` of the Ising model on a honeycomb torus of L × M cells, two sites each.

    ``Z = R^N Z_t`` with ``e^{4K_t} = cosh 3K / cosh K`` and ``R = 2 cosh K e^{K_t}``, ``N = LM``
    cells and ``Z_t`` of the triangular torus; the sign of ``K = βJ`` does not matter.

    Args:
        shape: (L, M), the cells along two directions, both at least 2.
        beta: inverse temperature, in units of 1/energy.
        coupling: J of every bond, in units of energy.

    Raises:
        ValueError: there is no such torus, or βJ is not finite.

    References:
        R. M. F. Houtappel, *Order-disorder in hexagonal lattices*, Physica 16, 425 (1950).

    Example:
        >>> import math
        >>> round(honeycomb_log_z((8, 8), beta=math.log(2 + math.sqrt(3)) / 2) / 128, 9)
        1.030032025
    """
    return _at(_HONEYCOMB, shape, beta, coupling, order=0).value


def honeycomb_energy(shape: Sequence[int], beta: float, coupling: float = 1.0) -> float:
    """Return the energy per site of the honeycomb torus, ``-(J/2N) ∂ ln Z/∂K``, in units of J.

    Arguments, errors and references are those of :func:`honeycomb_log_z`.

    Example:
        >>> import math
        >>> round(honeycomb_energy((8, 8), beta=math.log(2 + math.sqrt(3)) / 2), 9)
        -1.191409929
    """
    return _energy(_HONEYCOMB, shape, beta, coupling)


def honeycomb_specific_heat(shape: Sequence[int], beta: float, coupling: float = 1.0) -> float:
    """Return the specific heat per site of the honeycomb torus, ``(K²/2N) ∂² ln Z/∂K²``.

    Arguments, errors and references are those of :func:`honeycomb_log_z`.

    Example:
        >>> round(honeycomb_specific_heat((3, 3), beta=0.3), 9)
        0.147808386
    """
    return _specific_heat(_HONEYCOMB, shape, beta, coupling)


def kagome_log_z(shape: Sequence[int], beta: float, coupling: float = 1.0) -> float:
    """Return ``ln Z`` of the Ising model on a kagome torus of L × M cells, three sites each.

    ``Z = (2 cosh K' e^K)^{-2N} (2 e^{K_h})^{3N} Z_h`` with ``e^{4K} = cosh 3K' / cosh K'``,
    ``e^{2K_h} = cosh 2K'``, ``N = LM`` cells and ``Z_h`` of the honeycomb torus. For ``K = βJ < 0``
    ``K'`` is imaginary; what it enters by, ``cosh 2K' = (1 + e^{4K})/2``, is real and positive.

    Args:
        shape: (L, M), the cells along two directions, both at least 2.
        beta: inverse temperature, in units of 1/energy.
        coupling: J of every bond, in units of energy; an antiferromagnet has ``J < 0``.

    Raises:
        ValueError: there is no such torus, or βJ is not finite.

    References:
        K. Kanô, S. Naya, *Antiferromagnetism. The kagomé Ising net*, Prog. Theor. Phys. 10, 158
        (1953).

    Example:
        >>> import math
        >>> round(kagome_log_z((6, 6), beta=math.log(3 + 2 * math.sqrt(3)) / 4) / 108, 9)
        0.980680496
    """
    return _at(_KAGOME, shape, beta, coupling, order=0).value


def kagome_energy(shape: Sequence[int], beta: float, coupling: float = 1.0) -> float:
    """Return the energy per site of the kagome torus, ``-(J/3N) ∂ ln Z/∂K``, in units of J.

    Arguments, errors and references are those of :func:`kagome_log_z`.

    Example:
        >>> import math
        >>> round(kagome_energy((6, 6), beta=math.log(3 + 2 * math.sqrt(3)) / 4), 9)
        -1.544540839
    """
    return _energy(_KAGOME, shape, beta, coupling)


def kagome_specific_heat(shape: Sequence[int], beta: float, coupling: float = 1.0) -> float:
    """Return the specific heat per site of the kagome torus, ``(K²/3N) ∂² ln Z/∂K²``.

    Arguments, errors and references are those of :func:`kagome_log_z`.

    Example:
        >>> round(kagome_specific_heat((3, 3), beta=0.3), 9)
        0.345677674
    """
    return _specific_heat(_KAGOME, shape, beta, coupling)


class _Form(NamedTuple):
    """A lattice of which ``ln Z`` is known."""

    log_z: Callable[[Tensor, bool, tuple[int, ...]], Tensor]
    """``ln Z`` of ``K`` and of whether it is negative, on a torus of such lengths"""
    sites_per_cell: int


def _at(
    form: _Form,
    shape: Sequence[int],
    beta: float,
    coupling: float,
    order: int,
) -> Derivative:
    """Return the derivative of this order of ``ln Z`` of a torus."""
    lattice = Lattice(shape)
    expect(lattice.ndim == 2, "shape", "two lengths (L, M)", lattice.shape)
    strength = as_strength(beta, coupling)
    negative = strength < 0

    def log_z_of(k: Tensor) -> Tensor:
        return form.log_z(k, negative, lattice.shape)

    value = derivative_at(log_z_of, strength, order)
    return Derivative(value, strength, form.sites_per_cell * lattice.sites)


def _energy(form: _Form, shape: Sequence[int], beta: float, coupling: float) -> float:
    """Return the energy per site."""
    slope = _at(form, shape, beta, coupling, order=1)
    return -float(coupling) * slope.value / slope.sites


def _specific_heat(form: _Form, shape: Sequence[int], beta: float, coupling: float) -> float:
    """Return the specific heat per site."""
    curvature = _at(form, shape, beta, coupling, order=2)
    # Without the sign of a zero, which says nothing.
    return curvature.strength**2 * curvature.value / curvature.sites + 0.0


def _triangular(k: Tensor, negative: bool, shape: tuple[int, ...]) -> Tensor:
    """Return ``ln Z`` of the triangular torus.

    The factors of the product are ``F / 4e^{2K}``, ``F = y² + 3 - 2(y - 1)C``, ``y = e^{4K}``,
    ``C = cos p + cos q + cos(p + q)``. They are written without terms that cancel: for ``K ≥ 0``
    as ``y²[(1 - 3u)² + 2u(1 - u)(3 - C)]``, ``u = 1/y``, for ``K < 0`` as
    ``y² + 3y + (1 - y)(3 + 2C)``. The square root of the one at ``p = q = 0`` is analytic in ``K``:
    ``1 - 3u`` or ``y - 3``, which has the sign of the term.
    """
    sites = shape[0] * shape[1]
    # e^{-4|K|} never overflows: y below zero, u above.
    y = _decay(k, negative)
    if negative:
        zero = y - 3
        ground = -k
    else:
        zero = 1 - 3 * y
        ground = 3 * k
    logs = []
    for a in (0.0, 0.5):
        for b in (0.0, 0.5):
            below, above = _waves(shape, a, b)
            if negative:
                factors = y * y + 3 * y + (1 - y) * above
            else:
                factors = (1 - 3 * y) ** 2 + 2 * y * (1 - y) * below
            if a == 0.0 and b == 0.0:
                # The first wave, p = q = 0, stays outside the logarithms.
                factors = factors[1:]
            logs.append(0.5 * torch.log(factors).sum())
    products = torch.stack(logs)
    one = torch.ones_like(zero)
    signs = torch.stack([zero, one, one, one])
    # The largest product is taken out, so that no exponential overflows.
    top = products.max().detach()
    total = (signs * torch.exp(products - top)).sum()
    return top + torch.log(0.5 * total) + sites * ground


def _decay(k: Tensor, negative: bool) -> Tensor:
    """Return ``e^{-4|K|}``."""
    if negative:
        return torch.exp(4 * k)
    return torch.exp(-4 * k)


def _waves(shape: tuple[int, ...], a: float, b: float) -> tuple[Tensor, Tensor]:
    """Return ``3 - C`` and ``3 + 2C`` of all waves, float64 ``(sites,)``, to their last digits."""
    length, width = shape
    p = (torch.arange(length, dtype=torch.float64) + a) * (2 * math.pi / length)
    q = (torch.arange(width, dtype=torch.float64) + b) * (2 * math.pi / width)
    p = p.unsqueeze(1).expand(length, width).flatten()
    q = q.repeat(length)
    halves = torch.sin(p / 2) ** 2 + torch.sin(q / 2) ** 2 + torch.sin((p + q) / 2) ** 2
    # 3 + 2C = |1 + e^{ip} + e^{-iq}|².
    real = 1 + torch.cos(p) + torch.cos(q)
    imaginary = torch.sin(p) - torch.sin(q)
    return 2 * halves, real**2 + imaginary**2


def _honeycomb(k: Tensor, negative: bool, shape: tuple[int, ...]) -> Tensor:
    """Return ``ln Z`` of the honeycomb torus."""
    cells = shape[0] * shape[1]
    strength = -k if negative else k
    # cosh 3K / cosh K = 2 cosh 2K - 1 = e^{2K} (1 + e^{-4K} - e^{-2K}).
    decay = torch.exp(-2 * strength)
    triangular = 0.25 * (2 * strength + torch.log(1 + decay * decay - decay))
    # ln 2cosh K.
    log_cosh = strength + torch.log1p(decay)
    return cells * (log_cosh + triangular) + _triangular(triangular, False, shape)


def _kagome(k: Tensor, negative: bool, shape: tuple[int, ...]) -> Tensor:
    """Return ``ln Z`` of the kagome torus."""
    cells = shape[0] * shape[1]
    y = _decay(k, negative)
    # ln (1 + e^{4K}) and ln (3 + e^{4K}), without overflow.
    if negative:
        one_more = torch.log1p(y)
        three_more = torch.log(3 + y)
    else:
        one_more = 4 * k + torch.log1p(y)
        three_more = 4 * k + torch.log1p(3 * y)
    # cosh 2K' = (1 + e^{4K})/2 and (2 cosh K')² = 3 + e^{4K}.
    honeycomb = 0.5 * (one_more - math.log(2.0))
    triangles = three_more + 2 * k
    bonds = math.log(2.0) + honeycomb
    return cells * (3 * bonds - triangles) + _honeycomb(honeycomb, negative, shape)


_TRIANGULAR = _Form(_triangular, 1)
_HONEYCOMB = _Form(_honeycomb, 2)
_KAGOME = _Form(_kagome, 3)
