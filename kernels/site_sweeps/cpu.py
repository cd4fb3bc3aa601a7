"""Heat-bath sweeps of Ising models with integer couplings from a table of thresholds, in plain torch.

The field of a site is then one of few integers, ``n = Σ_j J_ij s_j``, that int8 holds, and so there are few thresholds:
the sweeps of :mod:`.reference`, bit for bit, without a softmax at every site. It is what a CPU runs, and any device
without a kernel; every other model goes to the twin.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..energies.reference import bonds_along
from ..philox import Stream, site_words, uniform32
from .reference import heat_bath_probabilities
from .reference import heat_bath_sweeps as twin

__all__ = ["heat_bath_sweeps"]

_SPINS = ((1.0, -1.0), (-1.0, 1.0))
_LARGEST = 127


def _reach(coupling: Tensor, bond_table: Tensor, site_table: Tensor, ndim: int) -> int:
    """The largest ``|n|``; -1 where the thresholds have no table."""
    if (
        bond_table.tolist() != [list(row) for row in _SPINS]
        or site_table[0].numel() > 2
        or len(site_table) > 1
    ):
        return -1
    # Of all walkers and sites the largest, in each direction.
    largest = coupling.abs().transpose(0, 1).flatten(1).amax(1)
    reach = float(2 * largest.sum() * (ndim if len(largest) == 1 else 1))
    return int(reach) if reach <= _LARGEST and bool((coupling == coupling.round()).all()) else -1


def heat_bath_sweeps(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    beta: Tensor,
    periodic: Sequence[bool],
    colours: Tensor,
    num_colours: int,
    walkers: Tensor,
    first_sweep: int,
    sweeps: int,
    seed: int,
) -> Tensor:
    """See :func:`leaps_triton.kernels.heat_bath_sweeps`."""
    ndim = len(periodic)
    reach = _reach(coupling, bond_table, site_table, ndim)
    if reach < 0:
        return twin(
            configurations, coupling, bond_table, site_table, beta, periodic, colours, num_colours, walkers,
            first_sweep, sweeps, seed,
        )  # fmt: skip
    # Of a round width: the end of a short row would be rounded otherwise than the middle of a long one.
    width = -(-(2 * reach + 1) // 64) * 64
    n = torch.arange(-reach, width - reach, dtype=torch.float32, device=beta.device)
    fields = torch.stack([-n, n]).unsqueeze(0) + site_table.float().view(1, 2, 1)
    thresholds = heat_bath_probabilities(fields, beta)[:, 0].flatten()
    rows = torch.arange(len(beta), dtype=torch.int32, device=beta.device) * width + reach
    rows = rows.view(-1, *[1] * ndim)
    bonds = [
        bonds_along(coupling, axis, configurations, periodic).to(torch.int8) for axis in range(ndim)
    ]
    classes = [colours == colour for colour in range(num_colours)]
    spins = 2 * configurations - 1
    for sweep in range(first_sweep, first_sweep + sweeps):
        words = site_words(seed, Stream.SWEEP, sweep, walkers, configurations[0].numel())
        uniform = uniform32(words).view(configurations.shape)
        for own in classes:
            total = torch.zeros_like(spins)
            for axis, bond in enumerate(bonds):
                total += bond * spins.roll(-1, axis + 1)
                total += (bond * spins).roll(1, axis + 1)
            threshold = thresholds.index_select(0, (total + rows).flatten()).view(spins.shape)
            drawn = 2 * (threshold <= uniform).to(torch.int8) - 1
            spins = torch.where(own, drawn, spins)
    return ((spins + 1) >> 1).to(configurations.dtype)
