"""Observables of all replicas of parallel tempering, each at its own inverse temperature."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ..kernels.checks import expect
from .base import entered, is_of_pairs, is_of_replicas, title_of
from .shared import share

__all__ = ["SUFFIX", "AtBetas", "Ladder", "at_betas", "inner_of", "model_at", "of_single_walkers"]


SUFFIX = "_at_betas"
"""What follows the name of an observable that is measured at every temperature."""


def model_at(model: Any, beta: float) -> Any:
    """Return a model at another inverse temperature.

    Args:
        model: any with ``at(beta)``, as all models of the library are.
        beta: the inverse temperature.

    Raises:
        ValueError: a model of a user's own without ``at``.
    """
    if beta == model.beta:
        return model
    # A user's model is asked for what it may lack.
    wanted = "a model with at(beta), which returns it at another inverse temperature"
    expect(callable(getattr(model, "at", None)), "model", wanted, model)
    return model.at(beta)


class Ladder:
    """The replicas of a chain as observables see them, at every inverse temperature.

    What several observables need of the same replicas is found once.

    Args:
        model: the target.
        betas: the inverse temperatures, one per replica.
    """

    def __init__(self, model: Any, betas: Sequence[float]) -> None:
        self.models = [model_at(model, beta) for beta in betas]
        self._shared: list[Any] = [None] * len(betas)
        self._columns: list[Tensor] = []
        self._seen: Tensor | None = None

    def look(self, replicas: Tensor) -> Iterator[tuple[Tensor, Any]]:
        """Return configurations and model of every temperature.

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
    """An observable at every inverse temperature of a chain: ``(walkers, K)``, or ``k`` values.

    Args:
        observable: of configurations and model.
        ladder: the temperatures.
    """

    replicas = True

    def __init__(self, observable: Callable[..., Tensor], ladder: Ladder) -> None:
        self.observable = observable
        self.ladder = ladder
        self.__name__ = title_of(observable) + SUFFIX

    def __call__(self, replicas: Tensor, model: Any) -> Tensor:
        """Return the observable of all replicas, ``(walkers, K)`` or ``(walkers, K, k)``."""
        each = [self.observable(x, at_beta) for x, at_beta in self.ladder.look(replicas)]
        return torch.stack(each, dim=1)


def inner_of(observable: Callable[..., Tensor]) -> Callable[..., Tensor] | None:
    """Return the observable that is measured at all inverse temperatures; None for any other."""
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
        name: the name, with its suffix.
        ladder: the temperatures of the chain.
    """
    if not isinstance(name, str) or not name.endswith(SUFFIX):
        return None
    known = of_single_walkers().get(name.removesuffix(SUFFIX))
    if known is None:
        return None
    return AtBetas(known, ladder)
