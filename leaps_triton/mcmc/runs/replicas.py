"""What the parameter multiplies by which replicas differ, as a run has measured it of them."""

import math
from collections.abc import Mapping

from torch import Tensor

from ...models.base import Model
from ...models.varied import BETA
from ...observables.fields import conjugate_of
from ...observables.replicas import suffix_of

__all__ = ["conjugates_of"]


def conjugates_of(model: Model, name: str, values: Mapping[str, Tensor]) -> Tensor:
    """Return ``H`` of all replicas, or what a coupling multiplies, ``(walkers, draws, K)``.

    Args:
        model: the target.
        name: ``"beta"`` or the coupling by which the replicas differ.
        values: what was measured, by name.

    Raises:
        ValueError: neither was measured.
    """
    if name == BETA and "replica_energies" in values:
        return values["replica_energies"]
    per_site = f"energy{suffix_of(name)}"
    wanted = "replica_energies"
    if name != BETA:
        per_site = f"{conjugate_of(model, name)}{suffix_of(name)}"
        wanted = per_site
    if per_site in values:
        return values[per_site] * math.prod(model.shape)
    raise ValueError(
        f"energies of replicas were not measured, only {', '.join(values)}; run "
        f"ParallelTempering with observables=['{wanted}']"
    )
