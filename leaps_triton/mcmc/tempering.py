"""Parallel tempering: replicas of every walker along the path, exchanged with their neighbours."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from .. import kernels
from ..kernels import Stream
from ..kernels.checks import as_number
from ..paths.annealing import AnnealingPath
from ..registry import register
from .base import Kernel, SweepState, begin, expect_kernel
from .sweeps import HeatBath

__all__ = ["ParallelTempering", "TemperingInfo", "TemperingState"]


class TemperingState(NamedTuple):
    """Walkers with replicas at K times of the path."""

    configurations: Tensor
    """At the target, ``(walkers, *shape)``"""
    walkers: Tensor
    """Global indices, int64 ``(walkers,)``"""
    sweep: int
    """Sweeps of the kernel so far"""
    replicas: Tensor
    """At all times, ``(walkers, K, *shape)``; the last is replaced by ``configurations`` before a
    step"""
    exchanges: int
    """Rounds of exchanges so far"""
    rising: Tensor
    """Whether each replica has been at the first time since it was last at the target, bool
    ``(walkers, K)``"""
    arrivals: Tensor
    """Replicas that have come from the first time to the target so far, int64 ``(walkers,)``"""


class TemperingInfo(NamedTuple):
    """What one step did."""

    tried: Tensor
    """Whether the exchange of times ``k`` and ``k + 1`` was tried, bool ``(K - 1,)``: every second
    one in turn"""
    accepted: Tensor
    """Whether it was made, bool ``(walkers, K - 1)``"""
    kernel: Any
    """Info of the kernel, of ``K walkers`` replicas: time after time, walker after walker"""


@register("move")
@dataclass(frozen=True)
class ParallelTempering:
    """Parallel tempering (replica exchange): replicas at several temperatures, which neighbours
    exchange.

    Replica ``k`` of a walker is at the time ``f_k t`` of the path, on the default path at the
    inverse temperature ``f_k β``. In a step the kernel moves all replicas, then neighbours ``(k, k
    + 1)`` are exchanged with probability ``min(1, exp[(β_{k+1} - β_k)(H(x_{k+1}) - H(x_k))])``,
    even and odd ``k`` in turn. ``state.configurations`` are those at ``f = 1``. The product of the
    laws is invariant, so the replicas have no weights, and a
    :class:`~leaps_triton.samplers.sampler.Sampler` refuses it.

    Args:
        fractions: increasing, from at least 0 to 1, at least two; ``[b / model.beta for b in
            betas]`` for given ``β``.
        kernel: moves the replicas; any with a :class:`~leaps_triton.mcmc.SweepState`.
            :class:`~leaps_triton.Houdayer` pairs walkers at the same temperature.

    Raises:
        ValueError: fractions that do not increase to 1; at ``init``, a kernel with a state of its
            own kind.

    References:
        Hukushima, Nemoto, *Exchange Monte Carlo method and application to spin glass simulations*,
        J. Phys. Soc. Jpn. 65, 1604 (1996).

    Example:
        >>> import torch, leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.EdwardsAnderson((6, 6), beta=1.5, seed=1))
        >>> kernel, walkers = lt.ParallelTempering([0.2, 0.4, 0.6, 0.8, 1.0]), torch.arange(10)
        >>> state = kernel.init(path.start.sample(walkers, seed=0), walkers)
        >>> for _ in range(20):
        ...     state, info = kernel.step(state, path, t=1.0, seed=0)
        >>> state.replicas.shape, bool(state.arrivals.sum() > 0)
        (torch.Size([10, 5, 6, 6]), True)
    """

    fractions: Sequence[float]
    kernel: Kernel = field(default_factory=HeatBath)

    unweighted: ClassVar[str] = (
        "the replicas of a walker are exchanged among temperatures and have no weights"
    )

    def __post_init__(self) -> None:
        try:
            fractions = tuple(
                as_number("fractions", f, "numbers", math.isfinite) for f in self.fractions
            )
        except (TypeError, ValueError):
            fractions = ()
        rising = all(a < b for a, b in itertools.pairwise(fractions))
        if len(fractions) < 2 or not rising or fractions[0] < 0.0 or fractions[-1] != 1.0:
            raise ValueError(
                f"fractions must increase from at least 0 to 1, two or more, got {self.fractions!r}"
            )
        object.__setattr__(self, "fractions", fractions)
        expect_kernel("kernel", self.kernel)

    @property
    def together(self) -> int:
        """How many consecutive walkers are correlated with one another: as many as by the
        kernel.
        """
        return int(getattr(self.kernel, "together", 1))

    def init(self, configurations: Tensor, walkers: Tensor) -> TemperingState:
        """All replicas of a walker start from its configuration."""
        begin(self.kernel, configurations, walkers, self)
        count = len(self.fractions)
        replicas = configurations.unsqueeze(1).repeat_interleave(count, dim=1)
        rising = torch.zeros(len(walkers), count, dtype=torch.bool, device=walkers.device)
        rising[:, 0] = True
        return TemperingState(
            configurations, walkers, 0, replicas, 0, rising, torch.zeros_like(walkers)
        )

    def step(
        self, state: TemperingState, path: AnnealingPath, t: Tensor | float, seed: int
    ) -> tuple[TemperingState, TemperingInfo]:
        """One step of the kernel and one round of exchanges, the target at ``t``, a number or ``(1
        | walkers,)``.
        """
        count, device = len(self.fractions), state.walkers.device
        fractions = torch.tensor(self.fractions, dtype=torch.float64, device=device)
        times = torch.as_tensor(t, dtype=torch.float64, device=device).reshape(-1)
        times = (fractions.unsqueeze(1) * times).expand(count, len(state.walkers))
        # Time after time, walker after walker: so kernels that pair consecutive walkers pair them
        # at one time.
        replicas = torch.cat(
            [state.replicas[:, :-1], state.configurations.unsqueeze(1)], dim=1
        ).transpose(0, 1)
        indices = state.walkers * count + torch.arange(count, device=device).unsqueeze(1)
        moved, info = self.kernel.step(
            SweepState(replicas.flatten(0, 1), indices.flatten(), state.sweep),
            path,
            times.flatten(),
            seed,
        )
        order, tried, accepted = self._exchange(path, moved.configurations, times, state, seed)
        replicas = moved.configurations.unflatten(0, (count, -1)).transpose(0, 1)
        replicas = replicas[torch.arange(len(order), device=device).unsqueeze(1), order]
        rising = state.rising.gather(1, order)
        arrivals = state.arrivals + rising[:, -1]
        rising[:, -1], rising[:, 0] = False, True
        after = TemperingState(
            replicas[:, -1].clone(),
            state.walkers,
            moved.sweep,
            replicas,
            state.exchanges + 1,
            rising,
            arrivals,
        )
        return after, TemperingInfo(tried, accepted, info)

    def _exchange(
        self, path: AnnealingPath, x: Tensor, times: Tensor, state: TemperingState, seed: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Which replica comes to each time, ``(walkers, K)``; which exchanges were tried; which
        were made.
        """
        count, device = len(self.fractions), x.device
        place = torch.arange(count, device=device)
        lower = place[:-1]
        tried = lower % 2 == state.exchanges % 2
        partner = place.clone()
        partner[lower[tried]], partner[lower[tried] + 1] = lower[tried] + 1, lower[tried]
        increment = (
            path.log_increment(x, times.flatten(), times[partner].flatten())
            .unflatten(0, (count, -1))
            .T
        )
        words = kernels.philox(
            seed, Stream.EXCHANGE, lower, state.exchanges, 0, state.walkers.unsqueeze(1), device
        )
        log_ratio = increment[:, :-1] + increment[:, 1:]
        accepted = tried & (kernels.uniform64(words[0], words[1]) < log_ratio.clamp(max=0.0).exp())
        up = torch.nn.functional.pad(accepted, (0, 1)).long()
        return place + up - up.roll(1, 1), tried, accepted
