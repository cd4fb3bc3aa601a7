"""The linear response of a model, by regression on equilibrium samples.

In the heat-bath gauge ``κ`` is linear in the network's values ``f``, so for values that are linear
in their own numbers, ``-H + κ`` is constant as nearly as least squares makes it.
"""

import itertools
import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ...kernels.checks import as_number, expect, is_positive, is_real
from ...lattices.hypercubic import require_hypercubic
from ...models.pair import is_pair_model
from ...networks.linear_response.network import LinearResponse, bond_table_of
from ...networks.linear_response.rings import Rings, placed
from ...paths.annealing import AnnealingPath
from ..data.buffer import Batch
from .regression import Basis, features_of, regress

__all__ = ["check_path", "linear_response"]


_log = logging.getLogger("leaps_triton")

_WALKERS_PER_RING = 4
"""Walkers per ring, at least: beyond, far rings are united."""

_PAIRS_PER_WALKER = 0.4
"""Pairs of a full kernel per walker, at most: beyond, far pairs are left out."""

_NEAR = 2
"""Distance up to which the field of other sites is a regressor."""


def linear_response(
    path: AnnealingPath,
    samples: Batch | tuple[Tensor, Tensor],
    ridge: float = 1e-6,
    full: bool | None = None,
) -> LinearResponse:
    """Return the values linear in the other sites that make ``∂_t log ρ̃_t + κ_t`` most constant.

    At each time of the samples, numbers ``K_ij`` are found by least squares for which
    ``-H(x) + Σ_{i,k} p_k(i) D_k(i)`` varies least over the samples, with ``D_k(i) = f_{x_i+k}(i) -
    f_{x_i}(i)`` and ``f_a(i) = Σ_j K_ij φ(a, x_j)``; ``p`` is the heat bath at that time. On a
    lattice with uniform couplings, ``K_ij`` is a number per ring of displacements. With couplings
    that vary it is a symmetric matrix, a number per pair, up to the graph distance within which
    there are 0.4 pairs per walker. Fields add constants of state and site. At ``β = 0``, where such
    a path begins, the kernel is known: half the coupling of the bond.

    Args:
        path: the annealing path.
        samples: equilibrium samples at increasing times, the same as in
            :func:`~leaps_triton.training.equilibrate`: a
            :class:`~leaps_triton.training.Batch`, or its configurations ``(times, walkers,
            *shape)`` and times ``(times,)``. Some hundred walkers or more; with fewer than four per
            ring, the far rings are united. Numbers of nodes are joined by straight lines in β, so
            let times be close where the model changes fast.
        ridge: the least ridge, relative to the variance of a feature; it draws to the numbers of
            the time before. At each time it is raised, by up to 10⁵, where walkers that are left
            out of the fit are then fitted better.
        full: whether the kernel is a matrix; None for couplings that vary over the lattice.

    Returns:
        A network, on the samples' device; :attr:`~leaps_triton.networks.LinearResponse.fit` tells
        how well it fits.

    Raises:
        ValueError: If the samples are not as above, the path is no annealing path, or it does not
            lead through different β; for a model on a graph.

    Example:
        >>> import leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Ising((4, 4), beta=0.3))
        >>> t = torch.linspace(0.2, 1.0, 3).double()
        >>> samples = lt.training.equilibrate(path, t, walkers=400, refresh="exact", seed=0)
        >>> response = lt.linear_response(path, samples)
        >>> _, before, after = response.fit[-1].tolist()
        >>> after < 0.1 * before
        True
    """
    ridge = as_number("ridge", ridge, "a positive number", is_positive)
    check_path(path)
    require_hypercubic(path.model.lattice, "linear_response")
    configurations, t = _taken(path, samples)
    betas = path.beta(t)
    _check_betas(betas)
    model: Any = path.model
    if full is None:
        full = model.coupling[0].numel() > 1
    start = _start(path, betas)
    nodes = len(betas) + len(start)
    basis = _basis_of(model, configurations.shape[1], nodes, bool(full))
    kernels: list[Tensor] = []
    constants: list[Tensor] = []
    variances: list[tuple[float, float]] = []
    for _ in start:
        kernels.append(_kernel_at_zero(model, basis))
        constants.append(_constants_at_zero(model, basis))
        # No variance: nothing is fitted here.
        variances.append((-1.0, -1.0))
    prior: Tensor | None = None
    for own, time, beta in zip(configurations, t, betas, strict=True):
        features, energies = features_of(model, basis, own, beta.view(1))
        found = regress(features, energies, ridge, prior)
        # The kernel changes slowly: what the samples do not tell is as it was before.
        prior = found.weights
        weights = prior.cpu()
        kernels.append(_kernel_of(weights, basis))
        constants.append(_constants_of(weights, basis))
        # ∂_t log ρ̃ = -β'H: per unit of time, as the loss of training.
        speed = float(path.beta_rate(time)) ** 2
        variances.append((speed * found.before, speed * found.after))
        # Energies that do not vary have nothing to be explained.
        if float(beta) > 0.0 and 0.0 < found.before <= found.after:
            _log.warning(
                "the response explains nothing at β = %.4g; the samples may not be in equilibrium, "
                "choose another refresh",
                float(beta),
            )
    # Nodes increase in β, also where the path leads to negative ones.
    every = torch.cat([start, betas])
    order = every.argsort()
    constant = basis.response.constants
    if constant.numel():
        constant = torch.stack(constants)[order]
    response = basis.response.to(configurations.device)
    return response.fill(
        every[order], torch.stack(kernels)[order], constant, torch.tensor(variances)[order]
    )


def check_path(path: Any) -> None:
    """Refuse what is no annealing path of spins, and one that stays where there is no response.

    Raises:
        ValueError: If the path is one of these.
    """
    expect(isinstance(path, AnnealingPath), "path", "an AnnealingPath", path)
    if path.model.dtype.is_floating_point:
        raise ValueError(
            f"a linear response is one of spins, and {path.model!r} is a model of real fields; "
            f"take a drift, such as lt.HollowDrift, or lt.GaussianDrift, which needs no fit"
        )
    if float(path.model.beta) == 0.0:
        raise ValueError(
            "the path stays at beta = 0, where there is no response to fit; take a model with "
            "beta other than 0, or no response (--response no)"
        )


def _taken(path: AnnealingPath, samples: Any) -> tuple[Tensor, Tensor]:
    """Return configurations and times of samples, checked."""
    if isinstance(samples, Batch):
        samples = (samples.configurations, samples.t)
    pair = isinstance(samples, Sequence) and len(samples) == 2
    pair = pair and all(isinstance(part, Tensor) for part in samples)
    expect(pair, "samples", "a Batch, or configurations and times", samples)
    configurations, t = samples
    shape = tuple(path.model.shape)
    fits = configurations.shape[2:] == shape and configurations.shape[:1] == t.shape
    wanted = f"of shape (times, walkers, {', '.join(map(str, shape))}), and as many times"
    expect(fits and is_real(t), "samples", wanted, tuple(configurations.shape))
    if len(configurations) < 1 or configurations.shape[1] < 3:
        raise ValueError(
            f"samples must be of a time or more and three walkers at least, got "
            f"{tuple(configurations.shape)}; a fit wants some hundred walkers"
        )
    for own in configurations:
        path.model.check(own)
    return configurations, t.double().cpu()


def _check_betas(betas: Tensor) -> None:
    """Refuse inverse temperatures that are no way from one to another."""
    steps = betas.diff()
    moves = bool((steps > 0).all()) or bool((steps < 0).all())
    if not moves or not bool((betas != 0).any()):
        raise ValueError(
            f"the samples must be at times of increasing beta, or of decreasing ones, got beta = "
            f"{betas.tolist()}"
        )


def _start(path: AnnealingPath, betas: Tensor) -> Tensor:
    """Return β = 0 if the path begins there and the samples do not, float64 ``(0 | 1,)``."""
    begins = float(path.beta(0.0)) == 0.0 and not bool((betas == 0).any())
    table = bond_table_of(path.model)
    exact = is_pair_model(path.model)
    if exact:
        # Otherwise the mean over the states of a site is a field on the other one.
        means = path.model.bond_table.mean(1)
        exact = torch.allclose(means, means.mean(), atol=1e-12 * float(table.abs().max()))
    return torch.zeros(int(begins and exact), dtype=torch.float64)


def _basis_of(model: Any, walkers: int, nodes: int, full: bool) -> Basis:
    """Return the numbers to find, as many as the walkers can tell."""
    most = max(8, walkers // _WALKERS_PER_RING)
    site_table = model.site_table
    kind = ""
    symmetric = is_pair_model(model) and model.symmetry != ""
    if bool(site_table.any()) or not symmetric:
        kind = "states"
    if site_table[0].numel() > 1:
        kind = "sites"
    pairs = torch.zeros(0, 2, dtype=torch.int64)
    rings: int | None = most
    if full:
        pairs = _pairs_within(model, int(_PAIRS_PER_WALKER * walkers))
        rings = None
    response = LinearResponse(model, nodes, full, None, rings, kind)
    if not full and response.rings.count < most:
        # No limit was reached, and none is written down.
        response = LinearResponse(model, nodes, full, None, None, kind)
    return Basis(response, pairs, _constant_functions(model, response, kind))


def _pairs_within(model: Any, most: int) -> Tensor:
    """Return pairs of sites within a graph distance, at most so many, at least neighbours.

    Returns:
        int64 ``(pairs, 2)``, the lower index first.
    """
    neighbours = model.lattice.neighbours()
    sites = model.lattice.sites
    joined = torch.eye(sites, dtype=torch.bool)
    near = torch.eye(sites, dtype=torch.bool)
    for row in neighbours:
        inside = row >= 0
        joined[torch.arange(sites)[inside], row[inside]] = True
    found = torch.zeros(0, 2, dtype=torch.int64)
    for distance in itertools.count(1):
        wider = (near.double() @ joined.double()) > 0
        pairs = wider.triu(1).nonzero()
        same = torch.equal(wider, near)
        if same or (distance > 1 and len(pairs) > most):
            return found
        found = pairs
        near = wider
    raise AssertionError("distances end where all sites are reached")


def _constant_functions(model: Any, response: LinearResponse, kind: str) -> Tensor:
    """Return functions of state and site for the constants, ``(functions, q, *shape)``."""
    q = model.q
    shape = model.shape
    if kind == "":
        return torch.zeros(0, q, *shape, dtype=torch.float64)
    # Only differences between states matter: the last has none of its own.
    states = torch.eye(q, dtype=torch.float64)[:-1]
    states = states.view(q - 1, q, *[1] * len(shape)).expand(-1, -1, *shape)
    if kind == "states":
        return states
    if response.full:
        sites = torch.eye(model.lattice.sites, dtype=torch.float64).view(1, -1, 1, *shape)
        return (states.unsqueeze(1) * sites).flatten(0, 1)
    table = model.site_table.expand(-1, *shape)
    fields = [table, *_ring_sums_of(table, response.rings)]
    return torch.cat([states, torch.stack(fields)])


def _ring_sums_of(table: Tensor, rings: Rings) -> list[Tensor]:
    """Return sums of a site table over the nearest rings, ``(q, *shape)`` each."""
    axes = tuple(range(-len(rings.shape), 0))
    inner = (slice(None), *[slice(0, length) for length in rings.shape])
    spectrum = torch.fft.rfftn(table, s=rings.padded, dim=axes)
    found: list[Tensor] = []
    for ring in range(min(_NEAR * len(rings.shape), rings.count)):
        one = torch.zeros(1, rings.count, dtype=torch.float64)
        one[0, ring] = 1.0
        response = torch.fft.rfftn(placed(one, rings.index), dim=axes)
        sums = torch.fft.irfftn(spectrum * response, s=rings.padded, dim=axes)
        found.append(sums[inner])
    return found


def _kernel_of(weights: Tensor, basis: Basis) -> Tensor:
    """Return the kernel at a node from the regression's weights."""
    # κ is to cancel -H, so that the target is H itself.
    own = weights[: basis.kernels]
    if not basis.response.full:
        return own
    sites = basis.response.kernels.shape[1]
    kernel = own.new_zeros(sites, sites)
    first, second = basis.pairs.T
    kernel[first, second] = own
    kernel[second, first] = own
    return kernel


def _constants_of(weights: Tensor, basis: Basis) -> Tensor:
    """Return the constants at a node from the regression's weights, ``(q, *shape or 1s)``."""
    own = weights[basis.kernels :]
    found = torch.einsum("m,m...->...", own, basis.constants)
    return _short(found, basis)


def _short(constants: Tensor, basis: Basis) -> Tensor:
    """Return constants of all sites in the shape of the response: once where they are the same."""
    if basis.response.settings["constants"] == "sites":
        return constants
    first = (slice(None), *[slice(0, 1)] * len(basis.response.shape))
    return constants[first]


def _kernel_at_zero(model: Any, basis: Basis) -> Tensor:
    """Return the kernel at β = 0: half the coupling of every bond, between its two sites."""
    shape = model.shape
    coupling = model.coupling.expand(len(shape), *shape)
    if basis.response.full:
        return _matrix(coupling, model.lattice.neighbours()) / 2
    rings = basis.response.rings
    by_displacement = torch.zeros(1, *rings.padded, dtype=torch.float64)
    for axis in range(len(shape)):
        for step in (1, -1):
            place = [0] * (len(shape) + 1)
            place[axis + 1] = step
            # Two bonds join the same sites round a direction of length 2.
            by_displacement[tuple(place)] += coupling[axis].flatten()[0] / 2
    return (rings.sums(by_displacement) / rings.sizes)[0]


def _matrix(coupling: Tensor, neighbours: Tensor) -> Tensor:
    """Return the sum of the couplings between any two sites, ``(sites, sites)``."""
    sites = neighbours.shape[1]
    matrix = torch.zeros(sites, sites, dtype=torch.float64)
    for axis, bonds in enumerate(coupling.flatten(1)):
        ahead = neighbours[2 * axis]
        inside = ahead >= 0
        here = torch.arange(sites)[inside]
        there = ahead[inside]
        matrix.index_put_((here, there), bonds[inside], accumulate=True)
        matrix.index_put_((there, here), bonds[inside], accumulate=True)
    return matrix


def _constants_at_zero(model: Any, basis: Basis) -> Tensor:
    """Return the constants at β = 0: the field."""
    return _short(model.site_table.expand(-1, *model.shape), basis)
