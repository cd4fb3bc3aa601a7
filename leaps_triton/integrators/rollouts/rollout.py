"""Walkers in tensors that stay where they are, so that their events can be recorded once."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

from ...kernels.graphs.packing import packed_once
from ...kernels.graphs.recording import Recording
from ...paths.base import Path
from ..states import write_trace
from ..transport import AnyTransport, Transport

__all__ = ["Rollout", "Rollouts", "Stepping", "kept_rollouts", "rollouts"]


class Travel(Protocol):
    """What of a run a recording depends on, and what its looks need."""

    @property
    def path(self) -> Path:
        """The annealing path."""

    @property
    def answers(self) -> AnyTransport:
        """The transport."""

    @property
    def seed(self) -> int:
        """In [0, 2³²)."""

    @property
    def backward(self) -> bool:
        """Whether from ``t = 1`` to ``t = 0``."""


class Stepping(Protocol):
    """What of an integrator a rollout calls."""

    def step(
        self, state: Any, path: Path, transport: Transport | None, seed: int, backward: bool = False
    ) -> tuple[Any, Any]:
        """Advance walkers with time remaining."""

    def enter(self, state: Any, path: Path, backward: bool = False) -> tuple[Any, Tensor]:
        """Let walkers at the end of their interval enter the next."""

    def broken(self, state: Any, info: Any) -> Tensor:
        """Return which walkers a check refuses."""

    def checked(self, state: Any, info: Any, way: Any) -> Any:
        """Return the walkers, checked."""


class Rollout:
    """Some events of a fixed number of walkers, launched as one where there are CUDA graphs.

    Random numbers are those of walkers and their event counters, which are on the device, so that
    a recording serves at any time. Walkers that have finished, or that wait, are left alone by the
    events, so that it does no harm to look late.

    Args:
        stepping: the integrator.
        state: walkers like those to come.
        way: the run.
        events: their number between two looks.
        columns: those of the trace of ``A``; None where walkers wait at the end of their interval.

    Attributes:
        state: the walkers, in tensors that stay where they are.
        trace: ``A`` of each walker on reaching an interval, float64 ``(walkers, columns)``.
    """

    def __init__(
        self, stepping: Stepping, state: Any, way: Travel, events: int, columns: int | None
    ) -> None:
        self._stepping = stepping
        self._way = way
        self._events = events
        self._apart = columns is not None
        shape = (len(state.walkers), columns or 0)
        device = state.walkers.device
        self.state = type(state)(*(torch.empty_like(column) for column in state))
        self.trace = torch.zeros(shape, dtype=torch.float64, device=device)
        # Whether something went wrong, and where the last walker stands.
        self._flags = torch.zeros(2, dtype=torch.int64, device=device)
        self._info: Any = None
        self._recording = Recording(device)

    def load(self, state: Any) -> None:
        """Take walkers over."""
        for own, given in zip(self.state, state, strict=True):
            # A column that the walkers never left is its own.
            if own is not given:
                own.copy_(given)

    def taken(self) -> Any:
        """Return the walkers, in tensors that no later event writes into."""
        return type(self.state)(*(column.clone() for column in self.state))

    def run(self) -> None:
        """Make the events."""
        self._recording(self._run)

    def begin_trace(self, entered: Tensor) -> None:
        """Begin the trace with walkers that have been loaded, some of which have just entered."""
        self.trace.zero_()
        write_trace(self.trace, self.state, entered)

    def look(self, way: Any) -> int:
        """Return how far the last walker has come; the one place that waits for the device.

        Returns:
            The interval that it is in; where walkers wait, whether any has time left.

        Raises:
            RuntimeError: a rate that is not finite, or a walker with too many events.
        """
        wrong, stands = self._flags.tolist()
        if wrong:
            self.load(self._stepping.checked(self.state, self._info, way))
        return int(stands)

    # Weights are packed anew each time, since a recording outlives them.
    @packed_once()
    def _run(self) -> None:
        """Make the events; nothing here may look at a number of the device."""
        stepping = self._stepping
        way = self._way
        transport = way.answers.at(slice(None))
        state = self.state
        info = None
        for _ in range(self._events):
            state, info = stepping.step(state, way.path, transport, way.seed, way.backward)
            if self._apart:
                state, entered = stepping.enter(state, way.path, way.backward)
                write_trace(self.trace, state, entered)
        stands = (state.remaining != 0).any()
        if self._apart:
            stands = state.interval.min()
        wrong = stepping.broken(state, info).any()
        self._flags.copy_(torch.stack([wrong.long(), stands.long()]))
        self.load(state)
        # What the last step did: tensors that each replay writes anew.
        self._info = info


Rollouts: TypeAlias = dict[Any, Rollout]
"""Recordings by all that they depend on."""

_KEPT: ContextVar[Rollouts | None] = ContextVar("leaps_triton rollouts", default=None)
"""Those of the innermost :func:`kept_rollouts`."""


@contextmanager
def kept_rollouts() -> Iterator[None]:
    """Let runs within the context share their recordings: those of blocks of one sampler.

    A context within another shares those of the outer one.
    """
    token = _KEPT.set(rollouts())
    try:
        yield
    finally:
        _KEPT.reset(token)


def rollouts() -> Rollouts:
    """Return the recordings that a run may use, and adds its own to."""
    kept = _KEPT.get()
    if kept is None:
        return {}
    return kept
