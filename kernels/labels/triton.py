"""Kernel of the op ``cluster_labels``."""

import itertools

import torch
import triton.language as tl
from torch import Tensor

from ..configs import configs
from ..device import kernel, neighbours
from ..variants import Variant, block_size, launch, padded

__all__ = ["VARIANTS", "cluster_labels"]

CONFIGS = {made.constants["BLOCK"]: made for made in configs("labels")}
"""Configurations by the sites that a program treats at once."""
BLOCKS = tuple(CONFIGS)


@kernel
def cluster_labels_kernel(
    p_bonds, p_labels, sites: tl.int32, n0: tl.int32, n1: tl.int32, n2: tl.int32, n3: tl.int32,
    NDIM: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Find the least site of every site's cluster, by hooking and pointer jumping.

    Rounds go on until nothing is lowered any more. It is one function beyond 50 lines since both
    halves of a round work on the same labels between barriers. One program per walker. A label is a
    site of the same cluster, at most the site itself. Each round lowers the label of a site, and of
    the site that it names, to the least label across its bonds (hooking); then every label becomes
    the label of the site that it names (pointer jumping). Labels are lowered by atomic minima only,
    so that the end does not depend on the order of the threads. Shiloach, Vishkin, *An O(log n)
    parallel connectivity algorithm*, J. Algorithms 3, 57 (1982).

    ``bonds`` int8 ``(walkers, NDIM, sites)``, all directions wrap; ``labels`` int32 ``(walkers,
    sites)``.
    """
    i_walker = tl.program_id(0).to(tl.int64)
    p_bonds += i_walker * NDIM * sites
    p_labels += i_walker * sites
    # All four directions wrap: a bond off an open edge is never there.
    wraps = tl.full((), 15, tl.int32)
    for o_start in range(0, sites, BLOCK):
        o_site = o_start + tl.arange(0, BLOCK)
        # Every site begins as a cluster of its own.
        tl.store(p_labels + o_site, o_site, mask=o_site < sites)
    tl.debug_barrier()
    lowered = tl.full((), 1, tl.int32)
    while lowered > 0:
        lowered = tl.full((), 0, tl.int32)
        for o_start in range(0, sites, BLOCK):
            o_site = o_start + tl.arange(0, BLOCK)
            m_site = o_site < sites
            b_label = tl.load(p_labels + o_site, mask=m_site, other=0)
            b_least = b_label
            for axis in tl.static_range(4 - NDIM, 4):
                o_forward, o_backward, _, _ = neighbours(o_site, axis, NDIM, n0, n1, n2, n3, wraps)
                p_axis = p_bonds + (axis - (4 - NDIM)) * sites
                m_forward = tl.load(p_axis + o_site, mask=m_site, other=0) != 0
                m_backward = tl.load(p_axis + o_backward, mask=m_site, other=0) != 0
                # A neighbour that no bond joins counts as the largest integer.
                b_least = tl.minimum(
                    b_least, tl.load(p_labels + o_forward, mask=m_forward, other=2147483647)
                )
                b_least = tl.minimum(
                    b_least, tl.load(p_labels + o_backward, mask=m_backward, other=2147483647)
                )
            m_lower = m_site & (b_least < b_label)
            # The site that the label names falls too, or large clusters would need as many rounds
            # as they are long.
            tl.atomic_min(p_labels + b_label, b_least, mask=m_lower)
            tl.atomic_min(p_labels + o_site, b_least, mask=m_lower)
            # The count decides alone whether another round is needed.
            lowered += tl.sum(m_lower.to(tl.int32))
        # Labels are read, in other threads, that were lowered before.
        tl.debug_barrier()
        for o_start in range(0, sites, BLOCK):
            o_site = o_start + tl.arange(0, BLOCK)
            m_site = o_site < sites
            b_label = tl.load(p_labels + o_site, mask=m_site, other=0)
            # Labels point to labels: one step along them halves the length of every chain.
            b_root = tl.load(p_labels + b_label, mask=m_site, other=0)
            tl.atomic_min(p_labels + o_site, b_root, mask=m_site & (b_root < b_label))
        tl.debug_barrier()


def _variant(ndim: int, block: int) -> Variant:
    constants = {"NDIM": ndim, **CONFIGS[block].constants}
    return Variant(
        cluster_labels_kernel, (torch.int8, torch.int32), constants, warps=CONFIGS[block].warps
    )


VARIANTS = {key: _variant(*key) for key in itertools.product((1, 2, 3, 4), BLOCKS)}


def cluster_labels(bonds: Tensor) -> Tensor:
    """Launch the kernel of :func:`leaps_triton.kernels.cluster_labels`."""
    count, ndim, *shape = bonds.shape
    sites = bonds.shape[2:].numel()
    labels = torch.empty(count, *shape, dtype=torch.int32, device=bonds.device)
    variant = VARIANTS[ndim, block_size(sites, BLOCKS)]
    launch(variant, count, bonds.contiguous().view(torch.int8), labels, sites, *padded(shape))
    return labels.long()
