"""Real modes of periodic lattices: the transform of Hartley, axis by axis.

Along an axis of ``L`` sites the modes are ``(cos + sin)(2π k x / L) / √L``, a symmetric orthogonal
matrix, its own inverse. What is diagonal in Fourier space, and the same for ``k`` and ``-k`` of
each axis, is diagonal here with the same entries, and independent normal numbers stay so.

References:
    Hartley, *A more symmetrical Fourier analysis applied to transmission problems*, Proc. IRE 30,
    144 (1942).
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

__all__ = ["LONGEST", "matrix_along", "matrix_of", "squared_momenta", "transform"]

LONGEST = 256
"""Sites of an axis up to which a product of matrices is quicker than a fast transform."""


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def matrix_along(length: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the modes of one axis, ``(length, length)``; made once."""
    place = torch.arange(length)
    # Whole turns are taken off as integers, so that long axes lose no digits.
    turns = (place.unsqueeze(1) * place % length).double() / length
    angle = 2.0 * math.pi * turns
    table = (angle.cos() + angle.sin()) / math.sqrt(length)
    return table.to(device, dtype)


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def matrix_of(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the modes of a lattice as one matrix, ``(sites, sites)``; made once."""
    table = torch.ones(1, 1, dtype=torch.float64)
    for length in shape:
        axis = matrix_along(length, torch.float64, torch.device("cpu"))
        table = torch.kron(table, axis)
    return table.to(device, dtype).contiguous()


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def squared_momenta(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Return ``k̂² = Σ_μ 4 sin²(k_μ / 2)`` of every mode, float64 ``(*shape)``; made once."""
    total = torch.zeros(shape, dtype=torch.float64)
    for axis, length in enumerate(shape):
        mode = torch.arange(length, dtype=torch.float64)
        # The nearer way round: a mode and its opposite have the same to the last bit.
        mode = torch.minimum(mode, length - mode)
        square = 4.0 * torch.sin(math.pi * mode / length) ** 2
        total += square.view(-1, *[1] * (len(shape) - axis - 1))
    return total.to(device)


def transform(field: Tensor) -> Tensor:
    """Return the modes of fields, or the fields of modes, ``(walkers, *shape)``."""
    for axis in range(1, field.ndim):
        field = _along(field, axis)
    return field


def _along(field: Tensor, axis: int) -> Tensor:
    """Return the transform along one axis."""
    length = field.shape[axis]
    if length == 1:
        return field
    moved = field.movedim(axis, -1)
    if length <= LONGEST:
        table = matrix_along(length, field.dtype, field.device)
        made = moved @ table
    else:
        made = _fast(moved, length)
    return made.movedim(-1, axis)


def _fast(field: Tensor, length: int) -> Tensor:
    """Return the transform along the last axis by a fast one of Fourier."""
    half = torch.fft.rfft(field, dim=-1, norm="ortho")
    # Σ x (cos + sin) is the real part minus the imaginary one of Σ x e^{-ikx}.
    forth = half.real - half.imag
    # Modes beyond the half are the conjugates of those below it, in the opposite order.
    mirrored: Sequence[int] = range(length - length // 2 - 1, 0, -1)
    places = torch.tensor(list(mirrored), dtype=torch.int64, device=field.device)
    back = (half.real + half.imag).index_select(-1, places)
    return torch.cat([forth, back], dim=-1)
