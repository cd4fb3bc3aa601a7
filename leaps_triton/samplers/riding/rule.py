"""How many blocks ride in one launch."""

import math
from typing import TYPE_CHECKING

from ...integrators.rollouts.boundaries import in_one_kernel
from ...integrators.transport import gauge_of

if TYPE_CHECKING:
    from ..sampler import Sampler

__all__ = ["blocks_at_once"]

_SITES = 2**21
"""Sites of all blocks that ride together: some hundred bytes of memory each."""
_MOST = 8
"""Blocks that ride together; recording more takes longer, since each is evaluated by itself."""
_WHOLE = 2**14
"""Sites of the largest lattice of which one program of a kernel has all; torch adds up the sums of
several programs, in an order that may depend on the number of walkers."""


def blocks_at_once(sampler: "Sampler") -> int:
    """Return how many blocks of a sampler are computed in one launch.

    Walkers are the same to the last bit whatever it is: the network sees one block at a time, and
    everything else treats each walker, or each block, by itself. So it may follow from the device
    and the memory, and no file needs to hold it.
    """
    if not _can_ride(sampler):
        return 1
    if sampler.riding is not None:
        return sampler.riding
    # A CPU is busy with one block, whose numbers stay in its cache.
    if sampler.device.type == "cpu":
        return 1
    sites = math.prod(sampler.path.model.shape)
    return max(1, min(_MOST, _SITES // (sampler.block * sites)))


def _can_ride(sampler: "Sampler") -> bool:
    """Return whether what is computed of a walker is the same, whoever is computed beside it."""
    # What users bring may look at the whole batch; a network is shown one block at a time.
    if not in_one_kernel(sampler.path):
        return False
    integrator = sampler.integrator
    # Leaps evaluate all walkers where one has been moved; torch adds up what domains gain.
    if not integrator.recordable or not integrator.single:
        return False
    # Functions of torch on a CPU, such as the logistic one, may round the last few numbers of an
    # array otherwise.
    rounded = integrator.reversible is not None or gauge_of(sampler.transport) == "heat_bath"
    if sampler.device.type == "cpu" and rounded:
        return False
    # Tables of rates have rows for the magnetisations of all walkers.
    if integrator.waits(sampler.path, sampler.transport):
        return False
    return math.prod(sampler.path.model.shape) <= _WHOLE
