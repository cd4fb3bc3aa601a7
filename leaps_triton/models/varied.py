"""The one parameter by which the models of a scan or a ladder differ: β, or a coupling."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, ParamSpec, TypeVar

from ..kernels.checks import expect

__all__ = [
    "BETA",
    "Varied",
    "check_coupling",
    "couplings_of",
    "fields_name_couplings",
    "model_at",
    "model_with",
    "names_couplings",
    "one_coupling",
    "value_of",
]

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
Class = TypeVar("Class", bound=type)

BETA = "beta"
"""Name of the inverse temperature, beside those of couplings."""


def couplings_of(model: Any) -> Mapping[str, float]:
    """Return the couplings of a model by name; none of a model whose parameter is β."""
    # A model of a user's own need not have any.
    found: Mapping[str, float] = getattr(model, "couplings", {})
    return found


def value_of(model: Any, name: str) -> float:
    """Return the value of a parameter of a model.

    Args:
        model: any; of a coupling, one that has it.
        name: ``"beta"`` or the name of a coupling.
    """
    if name == BETA:
        return float(model.beta)
    return float(couplings_of(model)[name])


def check_coupling(model: Any, name: str) -> None:
    """Raise a ValueError unless a model has a coupling.

    Args:
        model: any.
        name: of the coupling.

    Raises:
        ValueError: the model has no coupling of this name.
    """
    known = couplings_of(model)
    if name in known:
        return
    kind = type(model).__name__
    if known:
        raise ValueError(f"{kind} has no coupling {name}; it has {', '.join(known)}")
    raise ValueError(
        f"{kind} has no coupling {name} to be varied; give inverse temperatures, betas"
    )


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


def model_with(model: Any, name: str, value: float) -> Any:
    """Return a model with another value of one parameter.

    Args:
        model: any.
        name: ``"beta"`` or the name of a coupling.
        value: of the parameter.

    Raises:
        ValueError: the model has no such coupling, or not at this value.
    """
    if name == BETA:
        return model_at(model, value)
    check_coupling(model, name)
    if value == value_of(model, name):
        return model
    return model.with_couplings(**{name: value})


class Varied(NamedTuple):
    """A parameter, and the values that the models of a ladder have of it."""

    name: str
    """``"beta"`` or the name of a coupling"""
    values: tuple[float, ...]
    """One for each of the models"""

    def models(self, model: Any) -> list[Any]:
        """Return the models.

        Args:
            model: any of them.
        """
        return [model_with(model, self.name, value) for value in self.values]

    @property
    def shares(self) -> tuple[float, ...]:
        """Return how far each value is on the way from the first to the last, 0 to 1."""
        first = self.values[0]
        way = self.values[-1] - first
        return tuple((value - first) / way for value in self.values)


def one_coupling(**couplings: Sequence[float] | float | None) -> tuple[str, Any] | None:
    """Return name and values of the one coupling that was given; None for none.

    Args:
        couplings: by name, None for those that were not given.

    Raises:
        ValueError: more than one was given.
    """
    given = [(name, values) for name, values in couplings.items() if values is not None]
    if len(given) > 1:
        names = " and ".join(name for name, _ in given)
        raise ValueError(
            f"one coupling can be varied at a time, got {names}; leave out all but one"
        )
    if not given:
        return None
    return given[0]


def names_couplings(
    function: Callable[Parameters, Result],
) -> Callable[Parameters, Result]:
    """Tell the couplings there are where one is asked for by another name; use as a decorator.

    Args:
        function: takes values of couplings as keywords, and may have a model as its first argument.

    Returns:
        The function, whose TypeError for a keyword that it does not take says what there is.

    Example:
        >>> @names_couplings
        ... def run(model, quartic=None):
        ...     return quartic
        >>> run("model", quartic=[1.0])
        [1.0]
    """
    known = inspect.signature(function).parameters
    own = function.__qualname__.removesuffix(".__init__")

    @functools.wraps(function)
    def called(*args: Parameters.args, **given: Parameters.kwargs) -> Result:
        for name in given:
            if name not in known:
                words = _varied_by([*args, *given.values()])
                raise TypeError(f"{own} has no argument {name}; {words}")
        return function(*args, **given)

    return called


def fields_name_couplings(made: Class) -> Class:
    """Do for the keywords of a class what :func:`names_couplings` does for a function's.

    Args:
        made: a dataclass with couplings among its fields.

    Returns:
        The class.
    """
    changed: Any = made
    changed.__init__ = names_couplings(changed.__init__)
    return made


def _varied_by(arguments: Sequence[Any]) -> str:
    """Return in words what there is to be varied, of the model among some arguments if it is."""
    for argument in arguments:
        known = couplings_of(argument)
        if known:
            names = " and ".join(known)
            return f"{type(argument).__name__} has the couplings {names}, such as quartic=[…]"
    return "inverse temperatures are betas=, couplings of a field mass_squared= and quartic="
