"""The family that a model belongs to."""

from typing import Any

from ...models.fields import is_phi_four
from ...models.machines import RBM
from ...models.pair import is_pair_model
from .base import Family
from .fields import FieldFamily
from .machines import MachineFamily
from .networks import NetworkEnergy, NetworkFamily
from .pairs import PairFamily

__all__ = ["family_of"]


def family_of(model: Any, coupling: str | None = "bond", field: str | None = None) -> Family:
    """Return the models of which one is to be learned.

    Of a machine weights and biases are learned, of a φ⁴ field both couplings, of a network all its
    parameters.

    Args:
        model: one of them.
        coupling: which couplings of a pair model are learned, ``"bond"``, ``"class"``,
            ``"uniform"`` or None.
        field: which fields of a pair model are learned, ``"site"``, ``"uniform"`` or None.

    Raises:
        ValueError: no such models, or nothing is left to learn.

    Example:
        >>> import leaps_triton as lt
        >>> family_of(lt.Ising((4, 4), beta=0.5), coupling="uniform").theta
        tensor([0.5000], dtype=torch.float64)
    """
    if isinstance(model, RBM):
        return MachineFamily(model)
    if is_phi_four(model):
        return FieldFamily(model)
    if isinstance(model, NetworkEnergy):
        return NetworkFamily(model)
    if is_pair_model(model):
        return PairFamily(model, coupling, field)
    raise ValueError(
        f"a model that is learned must be a pair model on a lattice or graph, an RBM, a PhiFour or "
        f"a NetworkEnergy of a module of your own, got {model!r}"
    )
