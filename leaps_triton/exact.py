"""Exact references: Kaufman's solution of the Ising torus, and enumeration of any small model."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .kernels.checks import as_integer, as_number, expect, shown
from .lattice import Lattice
from .models import EnergyModel, Observable, PairModel, complete

__all__ = [
    "Enumeration",
    "enumerate_configurations",
    "enumerate_model",
    "expectation",
    "ising_energy",
    "ising_log_z",
    "ising_specific_heat",
    "log_z",
]

_LIMIT = 2**20
_CHUNK = 2**16
_CRITICAL = 0.5 * math.log1p(math.sqrt(2.0))


def ising_log_z(shape: Sequence[int], beta: float, coupling: float = 1.0) -> float:
    """``ln Z`` of the Ising model on an L × M torus (Kaufman), in float64 to rounding.

    With ``K = βJ > 0`` and ``s = sinh 2K``,
    ``Z = ½(2s)^{LM/2} [∏_odd 2cosh(Mγ_r/2) + ∏_odd 2sinh(Mγ_r/2) + ∏_even 2cosh(Mγ_r/2) + ∏_even 2sinh(Mγ_r/2)]``,
    ``r = 0 … 2L-1``, ``cosh γ_r = cosh 2K coth 2K - cos(πr/L)``, ``γ_r > 0`` but for ``γ_0 = 2K + ln tanh K``.

    Arguments
        shape: (L, M), both at least 2; a length of 2 has two bonds between the same pair. Time and memory grow with L.
        beta: inverse temperature, in units of 1/energy.
        coupling: J of every bond, in units of energy. ``βJ < 0`` needs both lengths even, then ``Z(-K) = Z(K)``.

    Raises
        ValueError: no such torus, βJ not finite, or βJ < 0 with an odd length.

    References
        B. Kaufman, Crystal Statistics. II, Phys. Rev. 76, 1232 (1949).

    Example
        >>> round(ising_log_z((8, 8), beta=0.4407) / 64, 12)
        0.939735024001
    """
    value, _, _ = _kaufman(shape, beta, coupling, order=0)
    return value


def ising_energy(shape: Sequence[int], beta: float, coupling: float = 1.0) -> float:
    """Energy a site of the Ising torus, ``⟨H⟩/N = -(J/N) ∂ ln Z/∂K``, ``K = βJ``, in the units of J.

    Arguments, errors and references as :func:`ising_log_z`. The derivative is exact: autograd of the closed form.

    Example
        >>> round(ising_energy((8, 8), beta=0.4407), 12)
        -1.491667004187
    """
    value, _, sites = _kaufman(shape, beta, coupling, order=1)
    return -float(coupling) * value / sites


def ising_specific_heat(shape: Sequence[int], beta: float, coupling: float = 1.0) -> float:
    """Specific heat a site of the Ising torus, ``β² var(H)/N = (K²/N) ∂² ln Z/∂K²``, ``K = βJ``, dimensionless.

    Arguments, errors and references as :func:`ising_log_z`. Rounding leaves an absolute error near 1e-13.

    Example
        >>> round(ising_specific_heat((8, 8), beta=0.4407), 10)
        1.145492979
    """
    value, strength, sites = _kaufman(shape, beta, coupling, order=2)
    return strength**2 * value / sites


def _kaufman(shape: Sequence[int], beta: float, coupling: float, order: int) -> tuple[float, float, int]:
    """The derivative of ``ln Z`` of that order with respect to ``K``, ``K``, and the number of sites."""
    lattice = Lattice(shape)
    if lattice.ndim != 2:
        raise ValueError(f"Kaufman's formula needs a shape of two lengths (L, M), got {lattice.shape}")
    beta = as_number("beta", beta, "a finite number", math.isfinite)
    wanted = "a finite number (for one a bond use enumerate_model)"
    strength = beta * as_number("coupling", coupling, wanted, math.isfinite)
    if not math.isfinite(strength):
        raise ValueError(f"beta and coupling must have a finite product, got {beta} and {coupling}")
    if strength < 0 and any(length % 2 for length in lattice.shape):
        raise ValueError(
            f"beta * coupling < 0 needs both lengths even, got {strength} on {lattice.shape}: "
            "an odd length frustrates; use even lengths, or enumerate_model on a small lattice"
        )
    modes, length = lattice.shape

    def log_z_of(k: Tensor) -> Tensor:
        return _ising_log_z(k, modes, length, ordered=abs(strength) > _CRITICAL)

    derivative: Callable[[Tensor], Tensor] = log_z_of
    for _ in range(order):
        derivative = torch.func.grad(derivative)
    value = float(derivative(torch.tensor(abs(strength), dtype=torch.float64)))
    return (-value if order == 1 and strength < 0 else value), strength, lattice.sites


def _ising_log_z(k: Tensor, modes: int, length: int, ordered: bool) -> Tensor:
    """Kaufman's formula for ``K ≥ 0``, smooth in ``K`` on either side of the critical point, those ends included.

    The ``γ_r`` agree at ``K`` and at its dual, so take ``k ≤ K_c`` of the two and ``p = sinh 2k ≤ 1``. With
    ``A_r = p e^{γ_r} = D + √(D² - p²)``, ``D = 1 + p² - p cos(πr/L)``, and ``A_0 = ½(1 + e^{-2k})²``, a factor is
    ``(2s)^{M/2} (e^{Mγ/2} ± e^{-Mγ/2}) = (s/p)^{M/2} (2A)^{M/2} (1 ± (p/A)^M)``: no large terms cancel as ``K → 0``.
    """
    dual = torch.atanh(torch.exp(-2 * k)) if ordered else k
    p = torch.sinh(2 * dual)
    angle = torch.arange(1, 2 * modes, dtype=torch.float64) * (math.pi / (2 * modes))
    gap = (1 - p) ** 2 + 2 * p * torch.sin(angle) ** 2
    a = gap + p + torch.sqrt(gap * (gap + 2 * p))
    bulk, decay = 0.5 * length * torch.log(2 * a), (p / a) ** length
    cosh, sinh = bulk + torch.log1p(decay), bulk + torch.log1p(-decay)
    # Entry 0 is r = 1. The factors of r = 0 stay outside the logarithms: its sinh changes sign at K_c.
    zero_bulk = 0.5 * length * torch.log((1 + torch.exp(-2 * dual)) ** 2)
    zero_decay = (torch.tanh(dual) * torch.exp(2 * dual)) ** length
    sign = 1.0 if ordered else -1.0
    logs = torch.stack([cosh[::2].sum(), sinh[::2].sum(), zero_bulk + cosh[1::2].sum(), zero_bulk + sinh[1::2].sum()])
    one = torch.ones_like(p)
    factors = torch.stack([one, one, 1 + zero_decay, sign * (1 - zero_decay)])
    top = logs.max().detach()
    total = top + torch.log(0.5 * (factors * torch.exp(logs - top)).sum())
    if not ordered:
        return total
    return total + modes * length * (2 * k + torch.log1p(-torch.exp(-4 * k)) - math.log(2.0))


class Enumeration(NamedTuple):
    """Every configuration of a model with its probability."""

    configurations: Tensor
    """int8 ``(q**N, *shape)``, ordered as :func:`enumerate_configurations`"""
    log_probabilities: Tensor
    """``-βH - log Z``, float64 ``(q**N,)``"""
    log_z: float
    """``log Σ_x exp(-βH(x))``"""

    def mean(self, observable: Observable, model: EnergyModel) -> Tensor:
        """``Σ_x ρ(x) f(x)``, float64 ``()`` or ``(k,)``.

        Arguments
            observable: ``f(configurations, model)`` → ``(walkers,)`` or ``(walkers, k)``.
            model: passed on to it.

        Raises
            ValueError: the observable does not return one row a walker.
        """
        expect(callable(observable), "observable", "a function of configurations and model", observable)
        terms = []
        for x, log_p in zip(self.configurations.split(_CHUNK), self.log_probabilities.split(_CHUNK), strict=True):
            values = observable(x, model)
            if not isinstance(values, Tensor) or values.shape[:1] != log_p.shape:
                raise ValueError(
                    f"an observable must return ({len(x)},) or ({len(x)}, k) for {len(x)} walkers, got {shown(values)}"
                )
            terms.append(torch.tensordot(log_p.exp(), values.to(torch.float64), dims=1))
        return torch.stack(terms).sum(0)


def enumerate_configurations(shape: Sequence[int], q: int, limit: int = _LIMIT) -> Tensor:
    """All ``q**N`` configurations, int8 ``(q**N, *shape)``.

    Row ``n`` holds the base-q digits of ``n`` in row-major order: the first site varies slowest, the last fastest.

    Arguments
        shape: lattice lengths.
        q: states a site, 2 to 127.
        limit: the most configurations to allow.

    Raises
        ValueError: more than ``limit`` configurations, or no such shape or q.

    Example
        >>> enumerate_configurations((1, 2), q=2).tolist()
        [[[0, 0]], [[0, 1]], [[1, 0]], [[1, 1]]]
    """
    lattice = Lattice(shape, periodic=False)
    q, limit = as_integer("the number of states q", q, 2, 127), as_integer("limit", limit, 1)
    if q**lattice.sites > limit:
        raise ValueError(
            f"enumeration needs at most {limit} configurations, got {q}**{lattice.sites}; "
            "take a smaller lattice, or raise limit if memory allows"
        )
    states = torch.arange(q, dtype=torch.int8)
    return torch.cartesian_prod(*[states] * lattice.sites).reshape(-1, *lattice.shape)


def enumerate_model(model: EnergyModel, beta: float | None = None, limit: int = _LIMIT) -> Enumeration:
    """``ρ(x) = exp(-βH(x))/Z`` of every configuration, by direct summation.

    Arguments
        model: anything with ``lattice``, ``q``, ``beta`` and ``energy(configurations)``.
        beta: inverse temperature in place of the model's; observables that read ``model.beta`` do not see it.
        limit: the most configurations to allow; each takes N + 8 bytes.

    Raises
        ValueError: more than ``limit`` configurations, or a ``Z`` that is not finite and positive.

    Example
        >>> from leaps_triton import Ising
        >>> model = Ising((3, 3), beta=0.3, field=0.1)
        >>> enumeration = enumerate_model(model)
        >>> round(enumeration.mean(lambda x, model: model.energy(x), model).item(), 6)
        -9.097099
    """
    complete(model)
    configurations = enumerate_configurations(model.lattice.shape, model.q, limit)
    beta = as_number("beta", model.beta if beta is None else beta, "a finite number", math.isfinite)
    log_weights = torch.cat([-beta * model.energy(x).to(torch.float64) for x in configurations.split(_CHUNK)])
    value = float(torch.logsumexp(log_weights, dim=0))
    if not math.isfinite(value):
        raise ValueError(
            f"log Z must be finite, got {value} at beta = {beta}; check beta and energy for NaN or infinity"
        )
    return Enumeration(configurations, log_weights - value, value)


def expectation(model: EnergyModel, observable: Observable) -> Tensor:
    """The exact value of an observable by enumeration, float64: ``g(⟨f⟩)`` where it has a ``function`` g, else ``⟨f⟩``.

    Arguments
        model: of at most 2**20 configurations.
        observable: ``f(configurations, model)`` → ``(walkers,)`` or ``(walkers, k)``; its attribute ``function``,
            if any, maps means ``(..., k)`` to values.

    Raises
        ValueError: as :func:`enumerate_model`.

    Example
        >>> from leaps_triton import Ising
        >>> expectation(Ising((3, 3), beta=0.3), lambda x, model: x.double().mean((1, 2)))
        tensor(0.5000, dtype=torch.float64)
    """
    model = complete(model)
    means = enumerate_model(model).mean(observable, model)
    function = getattr(observable, "function", None)
    return means if function is None else function(means)


def log_z(model: EnergyModel) -> float:
    """``log Σ_x exp(-βH(x))`` by the cheapest valid route.

    Kaufman's formula for a two-state :class:`PairModel` on a two-dimensional torus, without field, with one coupling
    and ``φ = [[a, b], [b, a]] = (a + b)/2 + (a - b)/2 · s s'`` (Ising; Potts and clock at q = 2); else enumeration up
    to 2**20 configurations.

    Arguments
        model: anything with ``lattice``, ``q``, ``beta`` and ``energy(configurations)``.

    Raises
        ValueError: no route is valid, and why.

    Example
        >>> from leaps_triton import Ising
        >>> round(log_z(Ising((16, 16), beta=0.4407)) / 256, 12)
        0.932215505541
    """
    complete(model)
    # A subclass with an energy of its own is another model, whatever its tables say.
    if not isinstance(model, PairModel) or type(model).energy is not PairModel.energy:
        obstacle = "the model is not a PairModel"
    else:
        (a, b), coupling = model.bond_table[0, :2].tolist(), float(model.coupling.flatten()[0])
        obstacle = _obstacle(model, coupling * (a - b))
        if not obstacle:
            constant = model.beta * coupling * model.lattice.sites * (a + b)
            return constant + ising_log_z(model.lattice.shape, model.beta, coupling * (a - b) / 2)
    if model.q**model.lattice.sites <= _LIMIT:
        return enumerate_model(model).log_z
    raise ValueError(
        f"no exact route to log Z: Kaufman's formula is out, since {obstacle}; enumeration is out, since "
        f"{model.q}**{model.lattice.sites} configurations are more than 2**20; take a smaller lattice"
    )


def _obstacle(model: PairModel, coupling: float) -> str:
    """Why Kaufman's formula with a coupling of this sign does not apply to ``model``; empty if it does."""
    lattice = model.lattice
    if lattice.ndim != 2 or not all(lattice.periodic):
        return f"the lattice is not a two-dimensional torus (shape {lattice.shape}, periodic {lattice.periodic})"
    if model.q != 2 or not torch.equal(model.bond_table, model.bond_table.flip(0, 1)):
        return f"the interaction is not Ising's (q = {model.q}; it needs a bond table [[a, b], [b, a]])"
    if model.site_table.any():
        return "there is a field"
    if (model.coupling != model.coupling.flatten()[0]).any():
        return "the coupling is not uniform"
    if model.beta * coupling < 0 and any(length % 2 for length in lattice.shape):
        return f"an odd length frustrates the antiferromagnet (shape {lattice.shape})"
    return ""
