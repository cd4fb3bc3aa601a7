"""Sweeps of single-site updates: heat bath, Metropolis, over-relaxation."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Self

import torch
from torch import Tensor

from ..kernels.checks import as_bool, as_integer, as_rest, expect
from ..models.base import Model, SweepPlan
from ..models.energy_only import as_given
from ..models.interactions.packed import COLUMNS, LAYOUTS, layout_of, obstacle
from ..paths.annealing import AnnealingPath
from ..paths.base import changes_fields, swept_of
from ..registry import register
from .base import BaseMove, Lowest, SweepInfo, SweepState, changed, pair_model, since

__all__ = ["HeatBath", "Metropolis", "Overrelaxation", "beta_at", "numbers_on", "times_on"]

REST = 2.0**-3
"""Metropolis' probability to leave a site as it is; experiments/benchmarks/metropolis_rest.py."""


def beta_at(path: AnnealingPath, t: Tensor | float, device: torch.device) -> Tensor:
    """Return ``β_t`` on a device, float64 ``(1 | walkers,)``.

    Args:
        path: the annealing path.
        t: time on the path, a number or float64 ``(1 | walkers,)``.
        device: where the walkers are.
    """
    if changes_fields(path):
        raise ValueError(
            f"from {path.start!r} fields change on the way to {path.model!r}, which of all moves "
            f"only sweeps such as HeatBath and Metropolis follow"
        )
    return path.beta(_sent(t, device)).to(device)


def _sent(t: Tensor | float, device: torch.device) -> Tensor | float:
    """Return a time, on a GPU as a tensor that it has written itself."""
    if isinstance(t, float | int) and device.type != "cpu":
        return times_on(t, device)
    return t


def times_on(t: Tensor | float, device: torch.device) -> Tensor:
    """Return times on a device, float64 ``(1 | walkers,)``."""
    # A number that is sent to a GPU makes both wait: the device writes it itself.
    if isinstance(t, float | int):
        return torch.full((1,), t, dtype=torch.float64, device=device)
    return torch.as_tensor(t, dtype=torch.float64, device=device).reshape(-1)


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def numbers_on(numbers: tuple[float, ...], device: torch.device) -> Tensor:
    """Return numbers on a device, sent there once, float64."""
    return torch.tensor(numbers, dtype=torch.float64, device=device)


@dataclass(frozen=True)
class Sweeps(BaseMove):
    """The base of sweeps of single-site updates, reversible each, one colour class after another.

    Args:
        sweeps: sweeps per step, at least 1.
        backward: take the colour classes in the opposite order.
    """

    sweeps: int = 1
    backward: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "sweeps", as_integer("sweeps", self.sweeps, 1))
        object.__setattr__(self, "backward", as_bool("backward", self.backward))

    @property
    def rowwise(self) -> bool:
        """Return True: walkers share no number."""
        return True

    @property
    def follows_fields(self) -> bool:
        """Return True: sweeps take the model of the time."""
        return True

    @property
    def packed_as(self) -> bool | str | None:
        """Return what was asked for of words of 32 spins; False where a move has none."""
        return False

    def check_model(self, model: Any) -> None:
        """Raise a ValueError if the sites of a model have no states to choose from.

        Args:
            model: the target, completed.
        """
        # A target of a user's own may bring sweeps, and does not say so.
        if not getattr(model, "swept", True):
            raise ValueError(
                f"{type(self).__name__} needs a model with q states per site, and configurations "
                f"of {type(as_given(model)).__name__} are {model.dtype}; take lt.HMC or "
                f"lt.Langevin, or give a move of your own"
            )

    def settled(self, model: Any, before: Any = None, walkers: int | None = None) -> Any:
        """Return the move with its choice of words or bytes, as the user gave all else.

        Args:
            model: the target; None leaves the choice open where there is none before.
            before: the move of a run that goes on, which keeps what it had; None for a new run.
            walkers: of a block, or of all chains; None where neither is known.

        Raises:
            ValueError: words were asked for where there can be none.
        """
        asked = self.packed_as
        # A user's own class may hold more than a new one would be given, and step in another way.
        if asked is None and type(self) not in (HeatBath, Metropolis):
            return self
        if type(before) is type(self) and asked is None:
            return replace(self, packed=before.packed_as)  # type: ignore[call-arg]
        unknown = asked is None and walkers is None
        if asked is False or model is None or unknown:
            return self
        if asked is None:
            found: Any = layout_of(model, walkers) or False
        else:
            found = _layout(asked, model, walkers)
        return replace(self, packed=found)  # type: ignore[call-arg]

    def left_open(self) -> Any:
        """Return the move with the choice of words or bytes left to the next model."""
        # A user's own class may step in another way.
        if type(self) not in (HeatBath, Metropolis):
            return self
        return replace(self, packed=None)  # type: ignore[call-arg]

    def reversed(self) -> Self:
        """Return the move reversed in time: classes are reversible, so their order is reversed."""
        return replace(self, backward=not self.backward)

    def step(
        self, state: SweepState, path: AnnealingPath, t: Tensor | float, seed: int
    ) -> tuple[SweepState, SweepInfo]:
        """Return the walkers after ``sweeps`` sweeps, and the fraction of sites that changed.

        Args:
            state: walkers of the chain.
            path: the annealing path.
            t: time on the path, a number or float64 ``(1 | walkers,)``.
            seed: in [0, 2³²).
        """
        after = self._swept(state, path, t, seed)
        return after, SweepInfo(changed(state.configurations, after.configurations))

    def advance(
        self, state: SweepState, path: AnnealingPath, t: Tensor | float, seed: int
    ) -> tuple[SweepState, Lowest | None]:
        """Return the walkers after ``sweeps`` sweeps, as :meth:`step` does, and None."""
        # A user's own class may step in another way.
        if type(self).step is not Sweeps.step:
            return super().advance(state, path, t, seed)
        return self._swept(state, path, t, seed), None

    def _swept(
        self, state: SweepState, path: AnnealingPath, t: Tensor | float, seed: int
    ) -> SweepState:
        """Return the walkers after ``sweeps`` sweeps."""
        before = state.configurations
        model, beta = swept_of(path, _sent(t, before.device))
        # Counted on from the state: the sweep is the event word, and no step may repeat one.
        plan = SweepPlan(state.walkers, state.sweep, self.sweeps, seed, self.backward)
        x = self._sweep(model, before, beta.to(before.device), plan)
        return SweepState(x, state.walkers, state.sweep + self.sweeps)

    def _packing(self, model: Model) -> str:
        """Return the layout of words in a step; empty for bytes.

        A move that was not settled knows no block: it takes bytes unless told otherwise.
        """
        asked = self.packed_as
        if not asked:
            return ""
        if asked in LAYOUTS:
            return str(asked)
        return _layout(asked, model, None)

    def _sweep(self, model: Model, x: Tensor, beta: Tensor, plan: SweepPlan) -> Tensor:
        """Return configurations after the sweeps of ``plan``."""
        raise NotImplementedError


def _as_packed(packed: object) -> bool | str | None:
    """Return a choice of words or bytes, if it is one."""
    wanted = f"None, True, False or one of {', '.join(LAYOUTS)}"
    known = packed is None or isinstance(packed, bool) or packed in LAYOUTS
    expect(known, "packed", wanted, packed)
    return packed  # type: ignore[return-value]


def _layout(asked: bool | str, model: Any, walkers: int | None) -> str:
    """Return what words hold where they were asked for; a ValueError where there can be none."""
    reason = obstacle(model)
    if not reason and asked == "rows" and model.shape[1] % COLUMNS:
        reason = f"rows of {model.shape[1]} sites are no whole words, which take multiples of 64"
    if reason:
        raise ValueError(
            f"packed={asked!r} sweeps 32 spins at once, and cannot: {reason}; take packed=None or "
            f"packed=False"
        )
    if isinstance(asked, str):
        return asked
    return layout_of(model, walkers, asked=True)


@register("move")
@dataclass(frozen=True)
class HeatBath(Sweeps):
    """Redraws every site from its law given its neighbours, one colour class after another.

    Args:
        sweeps: sweeps per step, at least 1.
        backward: take the colour classes in the opposite order.
        packed: whether 32 spins are swept at once, as bits of a word, with random numbers of their
            own: for two states on periodic square lattices of even lengths, with bonds that differ
            in sign alone and one field. None for the library's choice, by the model and the walkers
            of a block or of all chains, which results and files then tell: ``"walkers"``,
            ``"rows"`` (what a word holds) or False. True has words wherever they can be. A move
            that is stepped by hand takes False. A file of an earlier version means False.

    Raises:
        ValueError: fewer than one sweep; ``packed`` where it cannot be.

    References:
        Creutz, *Monte Carlo study of quantized SU(2) gauge theory*, Phys. Rev. D 21, 2308 (1980).

    Example:
        >>> import torch, leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Ising((8, 8), beta=0.3))
        >>> move, walkers = lt.HeatBath(sweeps=2), torch.arange(3)
        >>> state = move.init(path.start.sample(walkers, seed=0), walkers)
        >>> state, info = move.step(state, path, t=1.0, seed=0)
        >>> state.sweep
        2
    """

    packed: bool | str | None = since(None, before=False, always=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "packed", _as_packed(self.packed))

    @property
    def packed_as(self) -> bool | str | None:
        """Return ``packed``."""
        return self.packed

    def _sweep(self, model: Model, x: Tensor, beta: Tensor, plan: SweepPlan) -> Tensor:
        return model.heat_bath(x, beta, plan._replace(packed=self._packing(model)))


@register("move")
@dataclass(frozen=True)
class Metropolis(Sweeps):
    """Proposes another value to every site, accepted with probability ``(1 - ε) min(1, e^Δ)``.

    ``ε`` is ``rest``, the probability that a site is left as it is, whatever is proposed. Without
    it, sweeps in a fixed order are not ergodic at q = 2: every proposal of equal energy is
    accepted, so that sites without bonds (or all, at β = 0) flip in every sweep, and on small
    lattices walkers run around closed orbits. The law is invariant for any ``ε``.

    Args:
        sweeps: sweeps per step, at least 1.
        backward: take the colour classes in the opposite order.
        rest: ``ε``, 0 or a power of two from 2⁻²³ to 1/2. Files always hold it; one of an earlier
            version, which has none, means 0.
        packed: whether 32 spins are swept at once, the same as in :class:`HeatBath`.

    Raises:
        ValueError: fewer than one sweep, or a rest that is no such power; ``packed`` where it
            cannot be.

    References:
        Metropolis, Rosenbluth, Rosenbluth, Teller, Teller, *Equation of state calculations by fast
        computing machines*, J. Chem. Phys. 21, 1087 (1953).

    Example:
        >>> import torch, leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Ising((8, 8), beta=0.3))
        >>> move, walkers = lt.Metropolis(sweeps=2), torch.arange(3)
        >>> state = move.init(path.start.sample(walkers, seed=0), walkers)
        >>> state, info = move.step(state, path, t=1.0, seed=0)
        >>> state.sweep
        2
    """

    rest: float = since(REST, before=0.0)
    packed: bool | str | None = since(None, before=False, always=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "rest", as_rest("rest", self.rest))
        object.__setattr__(self, "packed", _as_packed(self.packed))

    @property
    def packed_as(self) -> bool | str | None:
        """Return ``packed``."""
        return self.packed

    @property
    def confined(self) -> str:
        """Return why it is not ergodic without a rest; empty with one."""
        if self.rest:
            return ""
        return (
            "Metropolis with rest=0 accepts every proposal of equal energy, which at q = 2 runs "
            f"around closed orbits; take rest={REST}"
        )

    def _sweep(self, model: Model, x: Tensor, beta: Tensor, plan: SweepPlan) -> Tensor:
        plan = plan._replace(rest=self.rest, packed=self._packing(model))
        return model.metropolis(x, beta, plan)


@register("move")
@dataclass(frozen=True)
class Overrelaxation(Sweeps):
    """Reflects every site about its local field, for models whose states lie on a circle.

    The reflected angle is in general no state. So the axis is the one of ``π r/q`` nearest to the
    local field, which takes states to states, and the reflection is accepted with probability
    ``min(1, e^Δ)``: far moves at nearly the same energy. Alone it is not ergodic; take
    ``Compose(HeatBath(), Overrelaxation(4))``.

    For models whose bond energy depends on ``x_i - x_j mod q`` alone, evenly, with q > 2 (clock,
    Potts). At q = 2 the local field lies along the two states, and the reflection about it moves
    neither.

    Args:
        sweeps: sweeps per step, at least 1.
        backward: take the colour classes in the opposite order.

    Raises:
        ValueError: fewer than one sweep; at the first step, a model without such reflections.

    References:
        Creutz, *Overrelaxation and Monte Carlo simulation*, Phys. Rev. D 36, 515 (1987).
        Brown, Woch, *Overrelaxed heat-bath and Metropolis algorithms for accelerating pure gauge
        Monte Carlo calculations*, Phys. Rev. Lett. 58, 2394 (1987).

    Example:
        >>> import torch, leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Clock((8, 8), q=6, beta=1.0))
        >>> move, walkers = lt.Compose(lt.HeatBath(), lt.Overrelaxation(3)), torch.arange(3)
        >>> state = move.init(path.start.sample(walkers, seed=0), walkers)
        >>> state, info = move.step(state, path, t=1.0, seed=0)
        >>> state.sweep
        4
    """

    @property
    def confined(self) -> str:
        """Return why it is not ergodic."""
        return (
            "Overrelaxation reflects states at nearly equal energy; take Compose(HeatBath(), "
            "Overrelaxation())"
        )

    def _sweep(self, model: Model, x: Tensor, beta: Tensor, plan: SweepPlan) -> Tensor:
        pairs = pair_model(model, self)
        # At q = 2 the axis lies along the two states, which stay where they are.
        if not pairs.symmetry or pairs.q == 2:
            raise ValueError(
                f"Overrelaxation reflects states on a circle, so the bond energy must depend on "
                f"x_i - x_j mod q alone, evenly, with q > 2 (Clock, Potts), got {pairs!r}; take "
                f"HeatBath or Metropolis"
            )
        return pairs.overrelaxation(x, beta, plan)
