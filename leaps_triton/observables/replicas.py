"""Observables of all replicas of parallel tempering, each at its own temperature or coupling."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from ..models.varied import BETA, Varied, model_at
from .base import entered, is_of_pairs, is_of_replicas, title_of
from .shared import share

__all__ = [
    "COUPLINGS_SUFFIX",
    "SUFFIX",
    "AtBetas",
    "Ladder",
    "at_betas",
    "inner_of",
    "is_lifted",
    "model_at",
    "of_single_walkers",
    "suffix_of",
]


SUFFIX = "_at_betas"
"""What follows the name of an observable that is measured at every temperature."""

COUPLINGS_SUFFIX = "_at_couplings"
"""What follows it where the replicas differ in a coupling."""


def suffix_of(parameter: str) -> str:
    """Return what follows the name of an observable that is measured at every replica.

    Args:
        parameter: by which the replicas differ, ``"beta"`` or the name of a coupling.
    """
    if parameter == BETA:
        return SUFFIX
    return COUPLINGS_SUFFIX


def is_lifted(name: str) -> bool:
    """Return whether a name is that of an observable at every replica."""
    return name.endswith((SUFFIX, COUPLINGS_SUFFIX))


class Ladder:
    """The replicas of a chain as observables see them, each with its own model.

    What several observables need of the same replicas is found once.

    Args:
        model: the target.
        varied: the inverse temperatures, or values of a coupling, one per replica.
    """

    def __init__(self, model: Any, varied: Varied) -> None:
        self.varied = varied
        self.models = varied.models(model)
        self._shared: list[Any] = [None] * len(varied.values)
        self._columns: list[Tensor] = []
        self._seen: Tensor | None = None

    def look(self, replicas: Tensor) -> Iterator[tuple[Tensor, Any]]:
        """Return configurations and model of every replica.

        Args:
            replicas: ``(walkers, K, *shape)``; a step of a move makes new ones.
        """
        if self._seen is not replicas:
            self._seen = replicas
            # Kernels take configurations without gaps.
            self._columns = [column.contiguous() for column in replicas.unbind(1)]
            earlier = zip(self._columns, self.models, self._shared, strict=True)
            self._shared = [share(x, model, shared) for x, model, shared in earlier]
        return zip(self._columns, self._shared, strict=True)


class AtBetas:
    """An observable at every replica of a chain: ``(walkers, K)``, or ``k`` values.

    Args:
        observable: of configurations and model.
        ladder: the temperatures, or couplings.
    """

    replicas = True

    def __init__(self, observable: Callable[..., Tensor], ladder: Ladder) -> None:
        self.observable = observable
        self.ladder = ladder
        self.__name__ = title_of(observable) + suffix_of(ladder.varied.name)

    def __call__(self, replicas: Tensor, model: Any) -> Tensor:
        """Return the observable of all replicas, ``(walkers, K)`` or ``(walkers, K, k)``."""
        each = [self.observable(x, at_beta) for x, at_beta in self.ladder.look(replicas)]
        return torch.stack(each, dim=1)


def inner_of(observable: Callable[..., Tensor]) -> Callable[..., Tensor] | None:
    """Return the observable that is measured of all replicas; None for any other."""
    if isinstance(observable, AtBetas):
        return observable.observable
    return None


def of_single_walkers() -> dict[str, Callable[..., Tensor]]:
    """Return the observables of the library that take configurations and model, by name."""
    found = {}
    for name, known in entered().items():
        if not is_of_pairs(known) and not is_of_replicas(known):
            found[name] = known
    return found


def at_betas(name: object, ladder: Ladder) -> AtBetas | None:
    """Return the observable of a name such as ``energy_at_betas``; None for other names.

    Args:
        name: the name, with the suffix of what the replicas differ in.
        ladder: the temperatures, or couplings, of the chain.
    """
    suffix = suffix_of(ladder.varied.name)
    if not isinstance(name, str) or not name.endswith(suffix):
        return None
    known = of_single_walkers().get(name.removesuffix(suffix))
    if known is None:
        return None
    return AtBetas(known, ladder)
