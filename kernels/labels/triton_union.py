"""Kernels of the op ``cluster_labels`` for large lattices: many programs for each walker.

Three launches make a forest, whose links lead to lesser sites: runs along the last direction, then
all other bonds, then every site's root. Programs of the second work on one forest at once, without
locks, and the roots do not depend on their order:

- A link ``links[i] <= i`` leads to a site of the same cluster, and only falls: all writes are
  atomic minima. So a site whose link is itself is a root, no way along links has a loop, and a
  link that was read a while ago, or found in another cache, still leads to the same cluster.
- To join two trees, the greater ``h`` of two of their sites takes the lesser ``l`` for its link.
  The atomic minimum returns the link before. If that was ``h``, the trees are joined. If not, it
  was another site ``o < h``, which ``h`` may have lost: then ``o`` and ``l`` are still to be
  joined. Both are less than ``h``, so that a loop ends after at most ``h`` rounds, whatever other
  programs do.
- When all are done, sites are in one tree if bonds join them. A root has no lesser site in its
  tree, since links lead to lesser ones; so it is the least site of its cluster.

References:
    Komura, *GPU-based cluster-labeling algorithm without the use of conventional iteration*,
    Comput. Phys. Commun. 194, 54 (2015). Playne, Hawick, *A new algorithm for parallel
    connected-component labelling on GPUs*, IEEE Trans. Parallel Distrib. Syst. 29, 1217 (2018).
    Jaiganesh, Burtscher, *A high-performance connected components implementation for GPUs*, HPDC
    (2018).
"""

import triton
import triton.language as tl

from ..device import kernel, neighbours

__all__ = ["join_kernel", "roots_kernel", "runs_kernel"]


@triton.jit
def _later(one, other):
    """Return the greater of two numbers."""
    return tl.maximum(one, other)


@triton.jit
def follow(p_links, o_site, m_site):
    """Return the root of each site, int32 ``[sites]``, and shorten the way to it.

    It may be a root no more where other programs join trees meanwhile.
    """
    # Volatile: other programs write links, and no cache may answer for them.
    b_up = tl.load(p_links + o_site, mask=m_site, other=0, volatile=True)
    m_climbs = m_site & (b_up != o_site)
    while tl.max(m_climbs.to(tl.int32), axis=0) > 0:
        b_above = tl.load(p_links + b_up, mask=m_climbs, other=0, volatile=True)
        # A site takes the link of the site that it is linked to.
        tl.atomic_min(
            p_links + o_site, b_above, mask=m_climbs & (b_above < b_up), sem="relaxed", scope="gpu"
        )
        o_site = tl.where(m_climbs, b_up, o_site)
        b_up = tl.where(m_climbs, b_above, b_up)
        m_climbs = m_site & (b_up != o_site)
    return o_site


@kernel
def runs_kernel(
    p_bonds, p_links, sites: tl.int32, tiles: tl.int32, axes: tl.int32, length: tl.int32,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Link every site to the first of its run of joined sites in its tile.

    ``bonds`` int8 ``(walkers, axes, sites)``; ``links`` int32 ``(walkers, sites)``, written;
    ``length`` of the last direction, along which runs go. One program per walker and tile.
    """
    i_walker = (tl.program_id(0) // tiles).to(tl.int64)
    i_tile = tl.program_id(0) % tiles
    o_local = tl.arange(0, BLOCK)
    o_site = i_tile * BLOCK + o_local
    m_site = o_site < sites
    # The bonds of the last direction come after those of all others.
    p_along = p_bonds + (i_walker * axes + axes - 1) * sites
    # Runs end at tiles and at the edge of the lattice; the next kernel joins what remains.
    m_before = m_site & (o_local > 0) & (o_site.to(tl.uint32) % length.to(tl.uint32) != 0)
    b_joined = tl.load(p_along + o_site - 1, mask=m_before, other=0)
    # The last site before that begins a run is the largest beginning so far.
    b_begins = tl.where(b_joined != 0, 0, o_local)
    b_first = tl.associative_scan(b_begins, 0, _later)
    tl.store(p_links + i_walker * sites + o_site, i_tile * BLOCK + b_first, mask=m_site)


@kernel
def join_kernel(
    p_bonds, p_links, sites: tl.int32, tiles: tl.int32,
    n0: tl.int32, n1: tl.int32, n2: tl.int32, n3: tl.int32, run: tl.int32,
    NDIM: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Join the trees of all neighbours with a bond, but those that :func:`runs_kernel` linked.

    ``bonds`` int8 ``(walkers, NDIM, sites)``, all directions wrap; ``links`` int32 ``(walkers,
    sites)``, in place; ``run`` is the number of sites of a tile of :func:`runs_kernel`. One program
    per walker and tile. The module says why programs may work at once.
    """
    i_walker = (tl.program_id(0) // tiles).to(tl.int64)
    o_site = (tl.program_id(0) % tiles) * BLOCK + tl.arange(0, BLOCK)
    m_site = o_site < sites
    p_links += i_walker * sites
    p_bonds += i_walker * NDIM * sites
    p_along = p_bonds + (NDIM - 1) * sites.to(tl.int64)
    # All four directions wrap: a bond off an open edge is never there.
    wraps = tl.full((), 15, tl.int32)
    m_inner = m_site & (o_site.to(tl.uint32) % n3.to(tl.uint32) != 0)
    b_here = tl.load(p_along + o_site - 1, mask=m_inner, other=0)
    for axis in tl.static_range(4 - NDIM, 4):
        o_next, _, _, _ = neighbours(o_site, axis, NDIM, n0, n1, n2, n3, wraps)
        p_axis = p_bonds + (axis - (4 - NDIM)) * sites.to(tl.int64)
        m_joins = m_site & (tl.load(p_axis + o_site, mask=m_site, other=0) != 0)
        if axis == 3:
            # What wraps, and what goes on in the next tile.
            m_joins &= (o_next <= o_site) | (o_next % run == 0)
        else:
            # The sites before both do the same where bonds join these to those.
            m_same = m_joins & m_inner & (b_here != 0)
            b_before = tl.load(p_axis + o_site - 1, mask=m_same, other=0)
            b_there = tl.load(p_along + o_next - 1, mask=m_same, other=0)
            m_joins &= (b_before == 0) | (b_there == 0)
        b_one = follow(p_links, o_site, m_joins)
        b_other = follow(p_links, o_next, m_joins)
        m_apart = m_joins & (b_one != b_other)
        while tl.max(m_apart.to(tl.int32), axis=0) > 0:
            b_high = tl.maximum(b_one, b_other)
            b_low = tl.minimum(b_one, b_other)
            b_old = tl.atomic_min(p_links + b_high, b_low, mask=m_apart, sem="relaxed", scope="gpu")
            # A root is joined now. Of another site the link before remains to be joined.
            m_apart &= (b_old != b_high) & (b_old != b_low)
            b_one = tl.where(m_apart, b_old, b_low)
            b_other = b_low


@kernel
def roots_kernel(
    p_links, p_labels, sites: tl.int32, tiles: tl.int32, BLOCK: tl.constexpr
):  # fmt: skip
    """Write the root of every site.

    ``links`` int32 ``(walkers, sites)``, whose ways are shortened, to the same roots; ``labels``
    int64 of the same shape. One program per walker and tile.
    """
    i_walker = (tl.program_id(0) // tiles).to(tl.int64)
    o_site = (tl.program_id(0) % tiles) * BLOCK + tl.arange(0, BLOCK)
    m_site = o_site < sites
    b_root = follow(p_links + i_walker * sites, o_site, m_site)
    tl.store(p_labels + i_walker * sites + o_site, b_root.to(tl.int64), mask=m_site)
