"""What all results of simulations share."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from torch import Tensor

from ..kernels.checks import expect
from .trust.cautions import Doubt

__all__ = ["Function", "Measurable", "Result"]


Measurable: TypeAlias = Callable[..., Tensor]
"""An observable of configurations, of pairs of walkers or of replicas."""

Function: TypeAlias = Callable[[Tensor], Tensor]
"""A function of means ``(..., k)`` → ``(...)``."""


class Result(ABC):
    """The base of what simulations return: configurations of a model, and estimates from them.

    :class:`~leaps_triton.WeightedEnsemble`, :class:`~leaps_triton.Chain` and what
    :func:`leaps_triton.io.read` returns extend it. Tables, figures, exports and commands read
    nothing but what is written here.

    Attributes:
        weighted: whether walkers have weights; else their draws are those of Markov chains.
    """

    weighted: ClassVar[bool]

    # Subclasses hold these as fields, for which a property here would leave no room.
    if TYPE_CHECKING:

        @property
        def model(self) -> Any:
            """The target."""

        @property
        def configurations(self) -> Tensor | None:
            """The walkers at the end, ``(walkers, *shape)``; None if a file does not hold them."""

        @property
        def values(self) -> Mapping[str, Tensor]:
            """Name → what was measured, float64, one row per walker or pair of walkers."""

        @property
        def measured(self) -> Mapping[str, Measurable]:
            """Name → the observable that was measured."""

    @property
    @abstractmethod
    def names(self) -> list[str]:
        """Return the names of observables that were measured and that are one number each."""

    @property
    @abstractmethod
    def drawn(self) -> Tensor | None:
        """Return the configurations that any observable can be estimated from, if they were kept.

        Weighted walkers are ``(walkers, *shape)``, chains ``(walkers, draws, *shape)``.
        """

    @property
    @abstractmethod
    def has_errors(self) -> bool:
        """Return whether there are enough walkers or draws for an error bar at all."""

    @property
    @abstractmethod
    def shortage(self) -> str:
        """Return why error bars cannot be trusted; empty if they can."""

    @property
    def enough(self) -> bool:
        """Return whether error bars can be trusted, as far as the result itself can tell."""
        return not self.shortage

    @property
    def by_beta(self) -> tuple["Result", ...]:
        """Return a result for each β, or value of a coupling, that was measured, in rising order.

        It is empty where there is none but the model's own.
        """
        return ()

    @property
    def parameter(self) -> str:
        """Return by what the results of ``by_beta`` differ: ``"beta"``, or a coupling."""
        return "beta"

    @property
    def diagnostics(self) -> dict[str, float]:
        """Return what else a table of results shows; of weighted walkers log Z, ESS and more."""
        return {}

    @property
    def bias(self) -> str:
        """Return how the weights are biased, in words; empty for exact ones, and for chains."""
        return ""

    @property
    def notes(self) -> dict[str, str]:
        """Return what is to be said of numbers in a table, such as why one is NaN; by name."""
        return {}

    @property
    def doubts(self) -> list[Doubt]:
        """Return why all estimates alike may be wrong; of weighted walkers that few carry them."""
        return []

    def examined(
        self, observable: Measurable | str, function: Function | None = None
    ) -> tuple[Any, list[Doubt]]:
        """Return what :meth:`estimate` does, and its own doubts in place of warnings.

        Args:
            observable: the same as in :meth:`estimate`.
            function: the same as in :meth:`estimate`.
        """
        return self.estimate(observable, function), []

    @abstractmethod
    def estimate(self, observable: Measurable | str, function: Function | None = None) -> Any:
        """Return the mean of an observable, or a function of its means, with its error.

        Args:
            observable: one that was measured, the same function or its name; any other function
                where the configurations were kept.
            function: of the means ``(..., k)``; None for the one the observable carries, or the
                plain mean.
        """

    @abstractmethod
    def summary(self) -> dict[str, str]:
        """Return what a person wants to see first, each in a word or a number."""

    def __repr__(self) -> str:
        """Show the model and the summary."""
        parts = [repr(self.model)]
        for name, text in self.summary().items():
            parts.append(f"{name}={text}")
        return f"{type(self).__name__}({', '.join(parts)})"

    def name_of(self, observable: Measurable | str) -> str | None:
        """Return the name under which an observable was measured; None if it was not.

        Args:
            observable: the function itself, or its name. Another function may have the name of one
                that was measured.

        Raises:
            ValueError: neither a function nor a name.
        """
        known = isinstance(observable, str) or callable(observable)
        wanted = "a function of configurations and model, or its name"
        expect(known, "observable", wanted, observable)
        for name, measured in self.measured.items():
            if observable in (name, measured):
                return name
        return None
