"""Divergences of vector fields on ``ℝᵈ``, by automatic differentiation."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

__all__ = ["with_divergence"]


def with_divergence(
    field: Callable[[Tensor], Tensor], configurations: Tensor
) -> tuple[Tensor, Tensor]:
    """Return ``v`` and ``∇·v``, the trace of the Jacobian, by a backward pass for each coordinate.

    Both can be differentiated again, in parameters too.

    Args:
        field: ``v``, ``(walkers, *shape)`` to the same; a walker's must not depend on the others.
        configurations: ``(walkers, *shape)``.

    Returns:
        ``(walkers, *shape)``, and float64 ``(walkers,)``.

    Example:
        >>> with_divergence(lambda x: x**2, torch.tensor([[1.0, 2.0]]))[1]
        tensor([6.], dtype=torch.float64)
    """
    # With auxiliary values, which there are none of here, it would be a triple.
    made: Any = torch.func.vjp(field, configurations)
    values, pull = made
    flat = values.flatten(1)
    coordinates = flat.shape[1]
    # One unit vector per pass, the same for all walkers.
    units = torch.eye(coordinates, dtype=flat.dtype, device=flat.device)
    each = units.view(coordinates, 1, *values.shape[1:]).expand(coordinates, *values.shape)
    rows = torch.func.vmap(pull)(each)[0]
    own = rows.flatten(2).diagonal(dim1=0, dim2=2)
    return values, own.to(torch.float64).sum(1)
