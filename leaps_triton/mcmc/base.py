"""Markov chain Monte Carlo kernels that leave ``ρ_t`` invariant at fixed ``t``: the protocol, and
sweeps of sites.

Cluster moves are in :mod:`.clusters`, kinetic Monte Carlo in :mod:`.kinetic`, parallel tempering in
:mod:`.tempering`.
"""

from typing import Any, NamedTuple, Protocol

from torch import Tensor

from ..kernels.checks import expect
from ..models.base import Model
from ..models.pair import PairModel, is_pair_model
from ..paths.annealing import AnnealingPath

__all__ = ["Kernel", "SweepInfo", "SweepState", "begin", "changed", "expect_kernel", "pair_model"]


class Kernel(Protocol):
    """What leaves ``ρ_t`` invariant: ``init`` once, then ``step`` by step.

    The state has at least ``configurations``, ``walkers`` and ``sweep``, as :class:`SweepState`.
    Three attributes are
    optional: ``reversed()``, the kernel reversed in time, ``ρ(y) P(y → x) / ρ(x)``; ``unweighted``,
    why the kernel cannot move the weighted walkers of a
    :class:`~leaps_triton.samplers.sampler.Sampler`, empty if it can; and ``together``, how many
    consecutive walkers it correlates with one another, 1 if it moves each for itself.
    """

    def init(self, configurations: Tensor, walkers: Tensor) -> Any:
        """Chains that start from ``configurations``, of the global indices ``walkers``."""
        ...

    def step(
        self, state: Any, path: AnnealingPath, t: Tensor | float, seed: int
    ) -> tuple[Any, Any]:
        """State after a step at time ``t`` of the path, a number or float64 ``(1 | walkers,)``, and
        what it did.
        """
        ...


class SweepState(NamedTuple):
    """Walkers of a Markov chain."""

    configurations: Tensor
    """``(walkers, *shape)``"""
    walkers: Tensor
    """Global indices, int64 ``(walkers,)``"""
    sweep: int
    """Sweeps, or cluster updates, so far: the Philox event counter"""


class SweepInfo(NamedTuple):
    """What one step did."""

    changed: Tensor
    """Fraction of sites whose value changed, float32 ``(walkers,)``"""


def changed(before: Tensor, after: Tensor) -> Tensor:
    """Fraction of sites whose value differs, float32 ``(walkers,)``."""
    return (before != after).flatten(1).float().mean(1)


def pair_model(model: Model, kernel: object) -> PairModel:
    """``model``, if its energy is that of its bond and site tables; else a ValueError that names
    the kernel.
    """
    if not is_pair_model(model):
        name = type(getattr(model, "model", model)).__name__
        raise ValueError(
            f"{type(kernel).__name__} needs a PairModel, whose bonds it can tell apart, got {name}; take HeatBath"
        )
    return model


def expect_kernel(name: str, kernel: object) -> None:
    """Raise a ValueError unless ``kernel`` has the two methods of a :class:`Kernel`."""
    methods = callable(getattr(kernel, "init", None)) and callable(getattr(kernel, "step", None))
    # An integrator has both too, and enters intervals.
    accepted = methods and not isinstance(kernel, type) and not hasattr(kernel, "enter")
    expect(accepted, name, "a kernel such as HeatBath(sweeps=1)", kernel)


def begin(kernel: Kernel, configurations: Tensor, walkers: Tensor, user: object) -> SweepState:
    """The state of a kernel within another, ``user``; a ValueError if it has a state of its own
    kind.
    """
    state = kernel.init(configurations, walkers)
    if not isinstance(state, SweepState):
        raise ValueError(
            f"{type(user).__name__} takes kernels with a SweepState, and {type(kernel).__name__} has a state of its "
            f"own; put {type(user).__name__} into it"
        )
    return state
