"""Derivatives of each residual by all parameters, in a drift, in a path or in both."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from ..residuals import Physics
from ..terms import Terms
from .sample_gradients import PerSample

__all__ = ["ResidualJacobian"]


class _Residuals(nn.Module):
    """The residuals as a function of all parameters, for torch's function transforms."""

    def __init__(self, module: nn.Module, terms: Terms) -> None:
        super().__init__()
        self.module = module
        # It calls the module, whose parameters a functional call replaces meanwhile.
        self._terms = terms

    def forward(self, configurations: Tensor, t: Tensor, physics: Physics | None) -> Tensor:
        """Return ``(kinds, walkers)``."""
        return self._terms(configurations, t, physics)


class ResidualJacobian:
    """Computes residuals of drifts, and the gradient of each, by one vectorised backward pass.

    Divergences and scores are derivatives themselves, which see parameters a second time, so that
    :class:`~leaps_triton.training.optimizers.SampleGradients` would take a pass for each sample.
    All that is called must be made of operations that :func:`torch.func.vmap` knows, and must not
    look at numbers of single walkers.

    Args:
        module: has the parameters.
        terms: the residuals, which call the module.
    """

    def __init__(self, module: nn.Module, terms: Terms) -> None:
        self._residuals = _Residuals(module, terms)

    @torch.no_grad()
    def __call__(
        self, configurations: Tensor, t: Tensor, physics: Physics | None, kind: int = 0
    ) -> PerSample:
        """Return residuals of one kind, float64, and their gradients in the parameters' type.

        Args:
            configurations: ``(walkers, *shape)``.
            t: float64 ``(walkers,)``.
            physics: of these; None to compute it.
            kind: which row of the terms.
        """
        known = None
        if physics is not None:
            known = 0
        one = grad_and_value(partial(self._single, kind))
        # Each walker's own residual, with parameters that all share.
        each = vmap(one, in_dims=(None, 0, 0, known))
        parameters = dict(self._residuals.named_parameters())
        gradients, values = each(parameters, configurations, t, physics)
        columns = [gradient.flatten(1) for gradient in gradients.values()]
        return PerSample(values, torch.cat(columns, dim=1))

    def _single(
        self, kind: int, parameters: dict[str, Tensor], x: Tensor, t: Tensor, physics: Any
    ) -> Tensor:
        """Return one residual of one walker."""
        if physics is not None:
            physics = Physics(*[each.unsqueeze(0) for each in physics])
        given = (x.unsqueeze(0), t.unsqueeze(0), physics)
        found: Tensor = functional_call(self._residuals, parameters, given)
        return found[kind, 0]
