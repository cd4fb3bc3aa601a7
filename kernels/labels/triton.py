"""Kernels of the op ``cluster_labels``: one program per walker, or many on large lattices.

A lattice that fits the largest block of :data:`CONFIGS` has one program per walker, a larger one
the three launches of :mod:`.triton_union`. Both give the least site of every cluster.
"""

import itertools

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..configs import config, configs
from ..device import kernel, neighbours
from ..variants import Variant, block_size, launch, padded
from .triton_union import join_kernel, roots_kernel, runs_kernel

__all__ = ["VARIANTS", "cluster_labels"]

CONFIGS = {made.constants["BLOCK"]: made for made in configs("labels")}
"""Configurations by the sites that a program holds, one program per walker."""
BLOCKS = tuple(CONFIGS)


@kernel
def cluster_labels_kernel(
    p_bonds, p_labels, p_found, sites: tl.int32,
    n0: tl.int32, n1: tl.int32, n2: tl.int32, n3: tl.int32,
    NDIM: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Find the least site of every site's cluster, by hooking and pointer jumping.

    Rounds go on until nothing is lowered any more. One program per walker, whose block holds all
    sites. A label is a site of the same cluster, at most the site itself. Each round lowers the
    label of a site, and of the site that it names, to the least label across its bonds (hooking);
    then every label becomes the label of the site that it names (pointer jumping). Labels are
    lowered by atomic minima only, so that the end does not depend on the order of the threads.
    Shiloach, Vishkin, *An O(log n) parallel connectivity algorithm*, J. Algorithms 3, 57 (1982).

    ``bonds`` int8 ``(walkers, NDIM, sites)``, all directions wrap; ``labels`` int32 ``(walkers,
    sites)``, room to work in; ``found`` int64 of the same shape.
    """
    i_walker = tl.program_id(0).to(tl.int64)
    p_bonds += i_walker * NDIM * sites
    p_labels += i_walker * sites
    o_site = tl.arange(0, BLOCK)
    m_site = o_site < sites
    # All four directions wrap: a bond off an open edge is never there.
    wraps = tl.full((), 15, tl.int32)
    # Every site begins as a cluster of its own.
    tl.store(p_labels + o_site, o_site, mask=m_site)
    b_label = o_site
    tl.debug_barrier()
    lowered = tl.full((), 1, tl.int32)
    while lowered > 0:
        b_least = b_label
        for axis in tl.static_range(4 - NDIM, 4):
            o_forward, o_backward, _, _ = neighbours(o_site, axis, NDIM, n0, n1, n2, n3, wraps)
            p_axis = p_bonds + (axis - (4 - NDIM)) * sites
            m_forward = tl.load(p_axis + o_site, mask=m_site, other=0) != 0
            m_backward = tl.load(p_axis + o_backward, mask=m_site, other=0) != 0
            # A neighbour that no bond joins counts as the largest integer.
            b_forward = tl.load(p_labels + o_forward, mask=m_forward, other=2147483647)
            b_backward = tl.load(p_labels + o_backward, mask=m_backward, other=2147483647)
            b_least = tl.minimum(b_least, tl.minimum(b_forward, b_backward))
        m_lower = m_site & (b_least < b_label)
        # The count decides alone whether another round is needed.
        lowered = tl.sum(m_lower.to(tl.int32))
        # One program owns the labels: minima need no order but that of the barriers. The site that
        # the label names falls too, or large clusters would need as many rounds as they are long.
        tl.atomic_min(p_labels + b_label, b_least, mask=m_lower, sem="relaxed", scope="cta")
        tl.atomic_min(p_labels + o_site, b_least, mask=m_lower, sem="relaxed", scope="cta")
        # Labels are read, in other threads, that were lowered before.
        tl.debug_barrier()
        b_label = tl.load(p_labels + o_site, mask=m_site, other=0)
        # Labels point to labels: one step along them halves the length of every chain.
        b_root = tl.load(p_labels + b_label, mask=m_site, other=0)
        # Each label is written by its own thread alone here, and no other thread lowers it.
        tl.store(p_labels + o_site, b_root, mask=m_site & (b_root < b_label))
        b_label = tl.minimum(b_label, b_root)
        tl.debug_barrier()
    tl.store(p_found + i_walker * sites + o_site, b_label.to(tl.int64), mask=m_site)


def _variant(ndim: int, block: int) -> Variant:
    constants = {"NDIM": ndim, **CONFIGS[block].constants}
    pointers = (torch.int8, torch.int32, torch.int64)
    return Variant(cluster_labels_kernel, pointers, constants, warps=CONFIGS[block].warps)


def _union_variants() -> dict[tuple[str | int, ...], Variant]:
    """Return the variants of the three launches on large lattices."""
    runs = config("labels", "runs")
    join = config("labels", "join")
    roots = config("labels", "roots")
    bonds = (torch.int8, torch.int32)
    found: dict[tuple[str | int, ...], Variant] = {
        ("runs",): Variant(runs_kernel, bonds, runs.constants, warps=runs.warps),
        ("roots",): Variant(
            roots_kernel, (torch.int32, torch.int64), roots.constants, warps=roots.warps
        ),
    }
    for ndim in (1, 2, 3, 4):
        constants = {"NDIM": ndim, **join.constants}
        found["join", ndim] = Variant(
            join_kernel, bonds, constants, warps=join.warps, registers=join.registers
        )
    return found


UNION = _union_variants()
SINGLE: dict[tuple[str | int, ...], Variant] = {
    key: _variant(*key) for key in itertools.product((1, 2, 3, 4), BLOCKS)
}
VARIANTS = {**SINGLE, **UNION}


def cluster_labels(bonds: Tensor) -> Tensor:
    """Launch the kernels of :func:`leaps_triton.kernels.cluster_labels`."""
    count, ndim, *shape = bonds.shape
    sites = bonds.shape[2:].numel()
    links = torch.empty(count, *shape, dtype=torch.int32, device=bonds.device)
    labels = torch.empty_like(links, dtype=torch.int64)
    given = bonds.contiguous().view(torch.int8)
    lengths = padded(shape)
    if sites <= BLOCKS[-1]:
        variant = SINGLE[ndim, block_size(sites, BLOCKS)]
        launch(variant, count, given, links, labels, sites, *lengths)
        return labels
    run = UNION["runs",].constants["BLOCK"]
    _tiled(UNION["runs",], sites, count, given, links, ndim, shape[-1])
    _tiled(UNION["join", ndim], sites, count, given, links, *lengths, run)
    _tiled(UNION["roots",], sites, count, links, labels)
    return labels


def _tiled(
    variant: Variant, sites: int, walkers: int, first: Tensor, second: Tensor, *numbers: int
) -> None:
    """Launch a program for each walker and block of its sites."""
    tiles = triton.cdiv(sites, variant.constants["BLOCK"])
    launch(variant, walkers * tiles, first, second, sites, tiles, *numbers)
