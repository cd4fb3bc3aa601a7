"""Heat-bath sweeps of Ising models with integer couplings, from a table of thresholds.

The field of a site is then one of few integers, ``n = Σ_j J_ij s_j``, that int8 holds, and so there
are few thresholds: the sweeps of :mod:`.reference`, bit for bit, without a softmax at every site.
It is what a CPU runs, and any device without a kernel; every other model goes to the twin.
"""

import torch
from torch import Tensor

from ..energies.reference import bonds_along
from ..philox import uniform32
from .reference import Sweeps, heat_bath_probabilities
from .reference import heat_bath_sweeps as twin

__all__ = ["heat_bath_sweeps", "reach"]

SPINS = [[1.0, -1.0], [-1.0, 1.0]]
"""The bond table ``s_a s_b``."""
LARGEST = 127
"""The largest field that int8 holds."""
ROW = 64
"""Widths of table rows are multiples of this."""


def reach(given: Sweeps) -> int:
    """Return the largest ``|n|``; -1 where the thresholds have no table."""
    table = given.site_table
    if given.bond_table.tolist() != SPINS or table[0].numel() > 2 or len(table) > 1:
        return -1
    coupling = given.coupling
    if not bool((coupling == coupling.round()).all()):
        return -1
    # The largest over all walkers and sites, in each direction.
    largest = coupling.abs().transpose(0, 1).flatten(1).amax(1)
    # A site has two bonds in each direction.
    bonds = 2 * largest.sum()
    if len(largest) == 1:
        bonds = bonds * len(given.periodic)
    if float(bonds) > LARGEST:
        return -1
    return int(bonds)


def _thresholds(given: Sweeps, largest: int, width: int) -> Tensor:
    """Return the probability of spin down by β and field ``-largest …``, flat rows of ``width``."""
    n = torch.arange(-largest, width - largest, dtype=torch.float32, device=given.beta.device)
    fields = torch.stack([-n, n]).unsqueeze(0) + given.site_table.float().view(1, 2, 1)
    return heat_bath_probabilities(fields, given.beta)[:, 0].flatten()


def heat_bath_sweeps(given: Sweeps) -> Tensor:
    """Make heat-bath sweeps by the table, or by the twin where there is none."""
    largest = reach(given)
    if largest < 0:
        return twin(given)
    ndim = len(given.periodic)
    # The end of a short row would be rounded otherwise than the middle of a long one.
    width = -(-(2 * largest + 1) // ROW) * ROW
    thresholds = _thresholds(given, largest, width)
    rows = torch.arange(len(given.beta), dtype=torch.int32, device=given.beta.device)
    # Place of the field 0 of each walker.
    rows = (rows * width + largest).view(-1, *[1] * ndim)
    bonds = [
        bonds_along(given.coupling, axis, given.configurations, given.periodic).to(torch.int8)
        for axis in range(ndim)
    ]
    classes = [given.colours == colour for colour in range(given.num_colours)]
    spins = 2 * given.configurations - 1
    for sweep in given.numbers():
        uniform = uniform32(given.words(sweep))
        for own in classes:
            total = torch.zeros_like(spins)
            for axis, bond in enumerate(bonds):
                total += bond * spins.roll(-1, axis + 1)
                total += (bond * spins).roll(1, axis + 1)
            threshold = thresholds.index_select(0, (total + rows).flatten()).view(spins.shape)
            # The number of thresholds at or below u, 0 or 1, as a spin of -1 or 1.
            drawn = 2 * (threshold <= uniform).to(torch.int8) - 1
            spins = torch.where(own, drawn, spins)
    # Spins of ±1 become states 0 and 1 again.
    return ((spins + 1) >> 1).to(given.configurations.dtype)
