"""Least squares for values that are linear in their own numbers, as a linear response is."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...networks.linear_response.network import LinearResponse, channels_of
from ...networks.linear_response.rings import Rings

__all__ = ["Basis", "Regressed", "features_of", "regress"]


_CHUNK_SITES = 2**16
"""Sites whose features are found at once."""

_RIDGES = (1.0, 1e2, 1e4, 1e5)
"""Multiples of the least ridge, of which the best for walkers left out is taken."""


class Regressed(NamedTuple):
    """The regression at one time."""

    weights: Tensor
    """float64 ``(features,)``"""
    before: float
    """Variance of the target"""
    after: float
    """Variance of what is left, each walker left out in turn"""


class Basis(NamedTuple):
    """What the values are combined of."""

    response: LinearResponse
    """An empty one"""
    pairs: Tensor
    """Sites of the pairs of a full kernel, int64 ``(pairs, 2)``; empty for rings"""
    constants: Tensor
    """Functions of state and site alone, float64 ``(constants, q, *shape)``"""

    @property
    def kernels(self) -> int:
        """Number of the kernel's own numbers."""
        if self.response.full:
            return len(self.pairs)
        return self.response.rings.count


def features_of(
    model: Any, basis: Basis, configurations: Tensor, beta: Tensor
) -> tuple[Tensor, Tensor]:
    """Return what each number of the basis adds to ``κ``, and the energies, of all walkers.

    Returns:
        float64 ``(walkers, features)`` and ``(walkers,)``.
    """
    device = configurations.device
    table = basis.response.table.double().to(device)
    constants = basis.constants.flatten(1).to(device)
    rows = max(1, _CHUNK_SITES // configurations[0].numel())
    features: list[Tensor] = []
    energies: list[Tensor] = []
    for x in configurations.split(rows):
        local = model.local_energy(x, beta.to(device), torch.float64)
        excess = _excess(x, local.log_ratios)
        # Σ_a φ(a, ·) of the excess, in the terms of the channels.
        drive = torch.einsum("ab,wa...->wb...", table[:, :-1], excess)
        channels = channels_of(x, model.q)
        if basis.response.full:
            own = _pair_features(drive.flatten(2), channels.flatten(2), basis.pairs)
        else:
            own = _ring_features(drive, channels, basis.response.rings)
        features.append(torch.cat([own, excess.flatten(1) @ constants.T], 1))
        energies.append(local.energy)
    return torch.cat(features), torch.cat(energies)


def _excess(x: Tensor, log_ratios: Tensor) -> Tensor:
    """Return ``p_i(a) - [x_i = a]``, float64 ``(walkers, q, *shape)``; ``κ`` is its sum with f."""
    by_shift = torch.cat([torch.zeros_like(log_ratios[:, :1]), log_ratios], 1).softmax(1)
    q = by_shift.shape[1]
    # The first entry is that of the state now.
    by_shift[:, 0] -= 1.0
    states = torch.arange(q, device=x.device).view(1, -1, *[1] * (x.ndim - 1))
    shift = (states - x.unsqueeze(1).long()) % q
    return by_shift.gather(1, shift)


def _ring_features(drive: Tensor, channels: Tensor, rings: Rings) -> Tensor:
    """Return ``Σ_i Σ_b e_b(i) Σ_{j in ring r of i} c_b(j)``, float64 ``(walkers, rings)``."""
    axes = tuple(range(-len(rings.shape), 0))
    there = torch.fft.rfftn(channels, s=rings.padded, dim=axes)
    here = torch.fft.rfftn(drive, s=rings.padded, dim=axes)
    spectrum = (here.conj() * there).sum(1)
    # The correlation by displacement, whose sums over rings are the features.
    return rings.sums(torch.fft.irfftn(spectrum, s=rings.padded, dim=axes))


def _pair_features(drive: Tensor, channels: Tensor, pairs: Tensor) -> Tensor:
    """Return ``Σ_b e_b(i) c_b(j) + e_b(j) c_b(i)`` of pairs, float64 ``(walkers, pairs)``."""
    first, second = pairs.to(drive.device).T
    ahead = drive[..., first] * channels[..., second]
    back = drive[..., second] * channels[..., first]
    return (ahead + back).sum(1)


def regress(
    features: Tensor, target: Tensor, ridge: float, prior: Tensor | None = None
) -> Regressed:
    """Return the combination of features that is most nearly the target, but for a constant.

    Args:
        features: float64 ``(walkers, features)``.
        target: float64 ``(walkers,)``.
        ridge: the least ridge, relative to the variance of a feature.
        prior: weights that the ridge draws to, ``(features,)``; None for zeros.
    """
    walkers = len(target)
    if prior is None:
        prior = torch.zeros_like(features[0])
    centred = features - features.mean(0)
    wanted = target - target.mean() - centred @ prior
    scale = centred.std(0)
    # A feature that never varies gets no weight.
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    centred = centred / scale
    gram = centred.T @ centred
    moments = centred.T @ wanted
    best: Regressed | None = None
    for factor in _RIDGES:
        shifted = gram.clone()
        shifted.diagonal().add_(factor * ridge * walkers)
        root = torch.linalg.cholesky(shifted)
        weights = torch.cholesky_solve(moments.unsqueeze(1), root).squeeze(1)
        # The influence of a walker on its own fit; the mean is fitted too.
        whitened = torch.linalg.solve_triangular(root, centred.T, upper=False)
        influence = whitened.square().sum(0) + 1.0 / walkers
        left = (wanted - centred @ weights) / (1.0 - influence).clamp(min=1e-12)
        after = float(left.square().mean())
        if best is None or after < best.after:
            best = Regressed(prior + weights / scale, float(target.var()), after)
    assert best is not None
    return best
