"""Couplings of a φ⁴ field from its configurations: by score matching, and by steps of walkers."""

from typing import Any

import torch
from torch import Tensor

import leaps_triton as lt

WRONG = (0.3, 6.0, 1.7)
"""Couplings at which gradients are compared: of ``φ²``, ``φ⁴`` and bonds."""

DRAWS = 6
"""Steps from every configuration, each with its opposite noise."""


def neighbours_sum(x: Tensor, model: lt.PhiFour) -> Tensor:
    """Return the sum of the neighbours of every site, ``(samples, sites)``."""
    field = x.reshape(-1, *model.shape)
    total = torch.zeros_like(field)
    for axis in (1, 2):
        total += field.roll(1, axis) + field.roll(-1, axis)
    return total.reshape(x.shape)


def gradients(x: Tensor, model: lt.PhiFour) -> Tensor:
    """Return ``∇f_k`` of ``Σ φ²``, ``Σ φ⁴`` and ``−Σ_<xy> φ_x φ_y``, ``(samples, sites, 3)``."""
    return torch.stack([2.0 * x, 4.0 * x**3, -neighbours_sum(x, model)], -1)


def sums(x: Tensor, model: lt.PhiFour) -> Tensor:
    """Return the three terms themselves, ``(samples, 3)``."""
    bonds = -0.5 * (x * neighbours_sum(x, model)).sum(1)
    return torch.stack([x.square().sum(1), (x**4).sum(1), bonds], 1)


def equations(x: Tensor, model: lt.PhiFour) -> tuple[Tensor, Tensor]:
    """Return ``⟨∇f_k · ∇f_l⟩`` and ``⟨Δf_k⟩``: couplings of the data solve them."""
    slopes = gradients(x, model)
    matrix = torch.einsum("nik,nil->kl", slopes, slopes) / len(x)
    sites = model.lattice.sites
    curvature = torch.tensor([2.0 * sites, 12.0 * float(x.square().sum(1).mean()), 0.0])
    return matrix, curvature.double()


def score_matched(model: lt.PhiFour, data: Tensor, blocks: int = 10) -> dict[str, Any]:
    """Return couplings that score matching finds, with errors of blocks, beside the true ones.

    Args:
        model: of which the data are.
        data: ``(samples, sites)``.
        blocks: into which data are parted for errors.
    """
    found = torch.linalg.solve(*equations(data, model))
    parts = []
    for part in data.chunk(blocks):
        parts.append(torch.linalg.solve(*equations(part, model)))
    errors = torch.stack(parts).std(0) / blocks**0.5
    # Beside φ² stands 4 + m² in two dimensions, and a bond counts twice in the action.
    exact = [4.0 + model.mass_squared, model.quartic, 2.0]
    return {"found": found.tolist(), "errors": errors.tolist(), "exact": exact}


def contrasted(model: lt.PhiFour, data: Tensor, generator: torch.Generator) -> dict[str, Any]:
    """Return gradients from one step of Langevin, beside those of score matching.

    ``(⟨∂_θ E⟩_data − ⟨∂_θ E⟩ after a step h) / h`` tends to the gradient of score matching as
    ``h → 0``: what walkers do next teaches as much as forces.

    Args:
        model: of which the data are.
        data: ``(samples, sites)``.
        generator: of noise.
    """
    theta = torch.tensor(WRONG, dtype=torch.float64)
    matrix, curvature = equations(data, model)
    slope = gradients(data, model) @ theta
    before = sums(data, model)
    rows = []
    for step in (1e-2, 1e-3, 1e-4):
        after = torch.zeros_like(before)
        for _ in range(DRAWS):
            noise = torch.randn(data.shape, generator=generator, dtype=torch.float64)
            width = (2.0 * step) ** 0.5
            # Opposite noise leaves none of its first order.
            for sign in (1.0, -1.0):
                after += sums(data - step * slope + sign * width * noise, model) / (2.0 * DRAWS)
        rows.append({"step": step, "gradient": ((before - after).mean(0) / step).tolist()})
    exact = (matrix @ theta - curvature).tolist()
    return {"at": list(WRONG), "score_matching": exact, "rows": rows}
