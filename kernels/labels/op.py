"""The op ``cluster_labels``."""

import torch
from torch import Tensor
from torch.library import custom_op

from ..checks import check_tensor
from ..registration import Launchers, call, on_cpu, put_on_cuda
from . import reference
from .reference import Bonds

__all__ = ["cluster_labels", "cluster_labels_op"]


def cluster_labels(bonds: Tensor) -> Tensor:
    """Return the least flat index in every site's cluster: connected components of each walker.

    Args:
        bonds: Bool ``(walkers, axes, *shape)``, one to four axes; entry ``[., d, i]`` joins site
            ``i`` to its neighbour in positive direction ``d``. All directions wrap: entries that
            leave an open boundary must be False.

    Returns:
        Int64 ``(walkers, *shape)``, equal where two sites are joined by a path of bonds and nowhere
        else.

    Raises:
        ValueError: If bonds are not bool, or their second axis does not count the lattice axes.

    References:
        Shiloach, Vishkin, *An O(log n) parallel connectivity algorithm*, J. Algorithms 3, 57
        (1982).

    Example:
        >>> cluster_labels(torch.tensor([[[False, True, True, False, True]]]))
        tensor([[0, 1, 1, 1, 0]])
    """
    check_tensor("bonds", bonds)
    if bonds.dtype != torch.bool:
        raise ValueError(
            f"bonds must be bool, got {bonds.dtype}; compare them with what they are to exceed"
        )
    if not 3 <= bonds.ndim <= 6 or bonds.shape[1] != bonds.ndim - 2:
        raise ValueError(
            "bonds must be (walkers, axes, *shape) with 1 to 4 lattice axes, "
            f"got {tuple(bonds.shape)}"
        )
    return call(cluster_labels_op, bonds)


_run = on_cpu(reference.cluster_labels, __package__)


@custom_op("leaps_triton::cluster_labels", mutates_args=())
def cluster_labels_op(bonds: Tensor) -> Tensor:
    """See :func:`leaps_triton.kernels.cluster_labels`."""
    labels: Tensor = _run(Bonds(bonds))
    return labels


@cluster_labels_op.register_fake
def _(bonds: Tensor) -> Tensor:
    walkers, _, *shape = bonds.shape
    return bonds.new_empty(walkers, *shape, dtype=torch.int64)


def _launchers() -> Launchers:
    from . import triton

    return [(cluster_labels_op, triton.cluster_labels)]


put_on_cuda(_launchers)
