"""Restricted Boltzmann machines, hidden units summed out: ``u_θ(v) = -log Σ_h e^{-βH(v, h)}``."""

import torch
from torch import Tensor

from ...exact import enumerate_configurations
from ...kernels import Stream, philox, uniform64
from ...models.inputs import check_states
from ...models.machines import RBM
from .base import Family, check_beta, weighed_mean

__all__ = ["MachineFamily"]


_FEW = 16
"""Units of the smaller layer, all states of which are summed over at once."""


class MachineFamily(Family):
    """The restricted Boltzmann machines of as many units.

    ``θ`` holds β times the weights, row by row, then the visible and the hidden biases.

    Args:
        model: one of them, with β above 0.
    """

    model: RBM
    fixed_moments = False

    def __init__(self, model: RBM) -> None:
        check_beta(model)
        self.model = model
        self.settings = {"coupling": "bond", "field": "site"}
        weights = model.weights.numel()
        self.names = {
            "weights": weights, "visible_bias": model.visible, "hidden_bias": model.hidden,
        }  # fmt: skip
        parts = [model.weights.flatten(), model.visible_bias, model.hidden_bias]
        self.theta = model.beta * torch.cat(parts)
        self.penalised = torch.arange(len(self.theta)) < weights
        self.counts = torch.ones_like(self.theta)

    def at(self, theta: Tensor) -> RBM:
        """Return the machine with the law ``ρ_θ``."""
        model = self.model
        weights, visible, hidden = (theta / model.beta).split(list(self.names.values()))
        return RBM(weights.view(model.visible, model.hidden), visible, hidden, model.beta)

    def u(self, configurations: Tensor, theta: Tensor) -> Tensor:
        """Return ``u_θ(v)``, float64 ``(walkers,)``; hidden units are not looked at."""
        visible = configurations[:, : self.model.visible]
        return -self.at(theta).log_marginal(visible)

    def moments(
        self, configurations: Tensor, theta: Tensor, weights: Tensor | None = None
    ) -> Tensor:
        """Return sums of ``v_i P(h_j | v)``, ``v_i`` and ``P(h_j | v)``."""
        visible = configurations[:, : self.model.visible].double()
        hidden = self.at(theta).hidden_means(visible)
        if weights is None:
            weights = visible.new_full((len(visible),), 1.0 / len(visible))
        pairs = (visible.T * weights) @ hidden
        parts = [pairs.flatten(), weighed_mean(visible, weights), weighed_mean(hidden, weights)]
        return torch.cat(parts)

    def configurations(self, rows: Tensor) -> Tensor:
        """Return rows of visible units with hidden units that are 0; whole configurations too."""
        model = self.model
        if rows.ndim == 2 and rows.shape[1] == model.visible:
            check_states(rows, model.dtype, (model.visible,), 2)
            return model.join(rows, torch.zeros(len(rows), model.hidden, dtype=model.dtype))
        model.check(rows)
        return rows

    def refreshed(
        self, configurations: Tensor, theta: Tensor, walker_index: Tensor, event: int, seed: int
    ) -> Tensor:
        """Return configurations whose hidden units were drawn given the visible ones."""
        model = self.at(theta)
        visible = configurations[:, : model.visible]
        means = model.hidden_means(visible)
        units = torch.arange(model.hidden, device=configurations.device)
        slots = walker_index.unsqueeze(1)
        words = philox(seed, Stream.TRAIN, slots, event, units, 0, configurations.device)
        hidden = uniform64(words[0], words[1]) < means
        return model.join(visible, hidden)

    def exact_moments(self, theta: Tensor) -> Tensor | None:
        """Return the means under the model by a sum over its smaller layer; None for a large one.

        Args:
            theta: float64 ``(parameters,)``.
        """
        model = self.at(theta)
        few = min(model.visible, model.hidden)
        if few > _FEW:
            return None
        states = enumerate_configurations((few,), 2)
        if few == model.hidden:
            # With layers exchanged the law of h is that of visible units.
            mirrored = RBM(model.weights.T, model.hidden_bias, model.visible_bias, model.beta)
            law = torch.softmax(mirrored.log_marginal(states), dim=0)
            visible = model.visible_means(states)
            hidden = states.double()
        else:
            law = torch.softmax(model.log_marginal(states), dim=0)
            visible = states.double()
            hidden = model.hidden_means(visible)
        pairs = (visible.T * law) @ hidden
        return torch.cat([pairs.flatten(), law @ visible, law @ hidden])
