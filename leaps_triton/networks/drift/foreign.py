"""ForeignDrift: a user's own drift, whose divergence is computed or estimated."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ...kernels import Stream, philox
from ...kernels.checks import as_integer, as_seed, expect
from ...models.base import Conditions
from .base import Drift

__all__ = ["ForeignDrift"]

DIVERGENCES = ("exact", "hutchinson")
"""Ways to the divergence of a drift that does not tell it."""

_PROBES = 101
"""The draw word of probes; the numbers of a trainer have smaller ones."""

_FRACTIONS = 2.0**32


class ForeignDrift(Drift):
    """A drift that returns ``b`` alone, with its divergence added.

    - ``"exact"``: the trace of the Jacobian, by one backward pass for each site. For small
      lattices.
    - ``"hutchinson"``: the mean of ``vᵀ J v`` over probes of random signs ``v``, by a backward pass
      for each probe. It is unbiased, with variance ``2 Σ_{i≠j} S_ij² / probes``, where ``S`` is the
      symmetric part of ``J``. A loss of squared residuals grows by that variance, which does not
      vanish where the weights do not vary: for a trained φ⁴ drift on 8 × 8 it is 1 to 2 with one
      probe, beside residuals of variance 0.05 to 0.3. So train with many probes, or take a drift
      with a divergence of its own, such as :class:`~leaps_triton.HollowDrift`.

    :class:`~leaps_triton.PathRatio` needs no divergence at all, so its weights stay exact.

    Args:
        model: gives the shape, and the type of the configurations.
        drift: a module or function of configurations and conditions that returns ``b``,
            ``(walkers, *shape)``; a walker's must not depend on the others.
        divergence: one of these ways.
        probes: signs at each site, of ``"hutchinson"``.
        seed: of the probes, which follow from it, the time and the walker's place in the batch.

    Raises:
        ValueError: If an argument is not as above.

    Example:
        >>> import leaps_triton as lt
        >>> model = lt.PhiFour((4, 4), mass_squared=0.5, quartic=0.0)
        >>> path = lt.AnnealingPath(model)
        >>> drift = lt.networks.ForeignDrift(model, lambda x, conditions: -0.5 * x)
        >>> x = path.start.sample(torch.arange(2), seed=0)
        >>> drift(x, path.conditions(0.5))[1]
        tensor([-8., -8.], dtype=torch.float64)
    """

    steady = False
    periodic = False

    def __init__(
        self,
        model: Any,
        drift: Callable[[Tensor, Conditions], Tensor] | nn.Module,
        divergence: str = "exact",
        probes: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__(model)
        expect(callable(drift), "drift", "a module or function that returns b", drift)
        known = divergence in DIVERGENCES
        expect(known, "divergence", f"one of {', '.join(DIVERGENCES)}", divergence)
        # A module's parameters become this one's.
        self.drift = drift
        self.divergence = divergence
        self.probes = as_integer("probes", probes, 1)
        self.seed = as_seed(seed)

    def forward(self, configurations: Tensor, conditions: Conditions) -> tuple[Tensor, Tensor]:
        """Return ``b``, and ``∇·b`` or its estimate, see :meth:`Drift.forward`."""
        self.check_shape(configurations.shape[1:])
        trained = torch.is_grad_enabled()
        with torch.enable_grad():
            x = configurations.detach().requires_grad_()
            drift = self._drift_of(x, conditions)
            if self.divergence == "exact":
                divergence = self._trace(x, drift, trained)
            else:
                divergence = self._estimate(x, drift, conditions.t, trained)
        if trained:
            return drift, divergence
        return drift.detach(), divergence.detach()

    def alone(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        """Return ``b`` without its divergence.

        Args:
            configurations: the same as in :meth:`forward`.
            conditions: the same as in :meth:`forward`.
        """
        self.check_shape(configurations.shape[1:])
        # As in forward: the user's drift may be a gradient that autograd finds.
        with torch.enable_grad():
            x = configurations.detach().requires_grad_()
            drift = self._drift_of(x, conditions)
        return drift.detach()

    def _drift_of(self, x: Tensor, conditions: Conditions) -> Tensor:
        """Return what the user's drift says, checked."""
        drift: Tensor = self.drift(x, conditions)
        if drift.shape != x.shape:
            raise ValueError(
                f"the drift must return a tensor like its configurations, "
                f"{tuple(x.shape)}, got {tuple(drift.shape)}"
            )
        return drift

    def _trace(self, x: Tensor, drift: Tensor, trained: bool) -> Tensor:
        """Return the trace of the Jacobian, float64 ``(walkers,)``."""
        flat = drift.flatten(1)
        total = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        for site in range(flat.shape[1]):
            gradient = _gradient(flat[:, site].sum(), x, trained).flatten(1)
            total = total + gradient[:, site].double()
        return total

    def _estimate(self, x: Tensor, drift: Tensor, t: Tensor, trained: bool) -> Tensor:
        """Return the mean of ``vᵀ J v`` over the probes, float64 ``(walkers,)``."""
        total = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        for probe in range(self.probes):
            signs = self._signs(x, t, probe)
            gradient = _gradient((drift * signs).sum(), x, trained)
            total = total + (gradient * signs).flatten(1).double().sum(1)
        return total / self.probes

    def _signs(self, x: Tensor, t: Tensor, probe: int) -> Tensor:
        """Return ±1 at every site, like ``x``."""
        sites = torch.arange(x[0].numel(), device=x.device)
        walkers = torch.arange(len(x), device=x.device).unsqueeze(1)
        # Times of training never come twice, and so neither do probes.
        event = (t.double().to(x.device) * _FRACTIONS).long().unsqueeze(1)
        draw = _PROBES + probe
        words = philox(self.seed, Stream.TRAIN, sites, event, draw, walkers, x.device)[0]
        signs = 2 * (words & 1) - 1
        return signs.view_as(x).to(x.dtype)


def _gradient(value: Tensor, x: Tensor, trained: bool) -> Tensor:
    """Return ``∂ value / ∂x``, zeros where it does not depend on it."""
    if not value.requires_grad:
        return torch.zeros_like(x)
    gradient: Tensor = torch.autograd.grad(
        value, x, create_graph=trained, retain_graph=True, materialize_grads=True
    )[0]
    return gradient
