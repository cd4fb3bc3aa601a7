"""The op ``normals``."""

import torch
from torch import Tensor
from torch.library import custom_op

from ..checks import as_integer, as_seed, check_floating, check_tensor
from ..registration import Launchers, call, on_cpu, put_on_cuda
from . import reference
from .reference import Normals

__all__ = ["normals", "normals_op"]


def normals(
    seed: int,
    stream: int,
    event: int,
    draw: int,
    walker_index: Tensor,
    sites: int,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Return independent normal numbers of mean 0 and variance 1, one per site.

    Numbers ``4 g … 4 g + 3`` are made of the four words of counter ``(g, event, draw, walker)``.
    None is beyond 6.8, where one of 9e10 would be. Float32 numbers are the float64 ones rounded.

    Args:
        seed: In [0, 2³²).
        stream: What they are for, see :class:`~leaps_triton.kernels.Stream`.
        event: Second word of the counter; its lower 32 bits count.
        draw: Third word of the counter; its lower 32 bits count.
        walker_index: Global indices of the walkers, int64 ``(walkers,)``.
        sites: Numbers per walker.
        dtype: Float32 or float64.

    Returns:
        ``(walkers, sites)``, on the device of the indices.

    Raises:
        ValueError: If an argument is not as above.

    Example:
        >>> normals(0, 0, 0, 0, torch.arange(2), 3).shape
        torch.Size([2, 3])
    """
    check_tensor("walker_index", walker_index)
    if walker_index.dtype != torch.int64 or walker_index.ndim != 1:
        raise ValueError(
            f"walker_index must be torch.int64 of shape (walkers,), got {walker_index.dtype} of "
            f"shape {tuple(walker_index.shape)}"
        )
    check_floating("dtype", dtype)
    return call(
        normals_op,
        walker_index,
        as_seed(seed),
        int(stream),
        int(event),
        int(draw),
        as_integer("sites", sites, 1),
        dtype,
    )


_run = on_cpu(reference.normals, __package__)


@custom_op("leaps_triton::normals", mutates_args=())
def normals_op(
    walker_index: Tensor,
    seed: int,
    stream: int,
    event: int,
    draw: int,
    sites: int,
    dtype: torch.dtype,
) -> Tensor:
    """See :func:`leaps_triton.kernels.normals`."""
    found: Tensor = _run(Normals(walker_index, seed, stream, event, draw, sites, dtype))
    return found


@normals_op.register_fake
def _(
    walker_index: Tensor,
    seed: int,
    stream: int,
    event: int,
    draw: int,
    sites: int,
    dtype: torch.dtype,
) -> Tensor:
    return walker_index.new_empty(len(walker_index), sites, dtype=dtype)


def _launchers() -> Launchers:
    from . import triton

    return [(normals_op, triton.normals)]


put_on_cuda(_launchers)
