"""The tuner: tries configurations of the variants that some calls launch, and keeps the best.

A configuration counts only if every result of every call keeps every bit; a speedup is never
reported of another. Times of the committed configuration are taken before and after those of the
others, and what does not beat both by a margin is noise.
"""

import math
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor

from ..inputs.poison import poisoned
from ..variants import Variant, recorded
from .cache import Entry, class_of, forced, key_of
from .candidates import around, words_of

__all__ = ["Run", "Timer", "Trial", "Tuned", "Workload", "candidates", "launches", "tune"]

Run: TypeAlias = Callable[[], Sequence[Tensor]]
"""Calls an op on fixed inputs, and returns its results."""
Timer: TypeAlias = Callable[[Run], float]
"""Returns the seconds of one call."""

MARGIN = 0.97
"""A configuration must take less than this share of the committed one's time."""


@dataclass(frozen=True)
class Workload:
    """What is tuned for, and what must stay the same.

    Attributes:
        name: In words, for messages.
        run: What is timed.
        checks: More calls of the same op, on other inputs, whose results must stay the same.
    """

    name: str
    run: Run
    checks: Sequence[Run] = ()


@dataclass(frozen=True)
class Trial:
    """One configuration that was tried.

    Attributes:
        words: The configuration.
        seconds: Of a call; None where it was not timed.
        reason: Why it was not.
    """

    words: str
    seconds: float | None = None
    reason: str = ""


@dataclass
class Tuned:
    """What came of one variant.

    Attributes:
        variant: Its committed configuration.
        best: The best one, perhaps the same.
        programs: Class of the launch.
        committed_seconds: Of a call with the committed configuration.
        seconds: Of a call with the best one.
        others: All that were tried.
    """

    variant: Variant
    best: Variant
    programs: str
    committed_seconds: float
    seconds: float = math.nan
    others: list[tuple[Variant, Trial]] = field(default_factory=list)

    def end(self, again: float) -> None:
        """Choose the best of all.

        Args:
            again: Seconds of the committed configuration after the others were tried.
        """
        # What lies between its two times is noise.
        self.committed_seconds = min(again, self.committed_seconds)
        self.seconds = self.committed_seconds
        for other, trial in self.others:
            limit = min(self.seconds, MARGIN * self.committed_seconds)
            if trial.seconds is not None and trial.seconds < limit:
                self.best = other
                self.seconds = trial.seconds

    @property
    def is_better(self) -> bool:
        """Return whether another configuration than the committed one is best."""
        return self.best is not self.variant

    def entry(self, device: str) -> Entry:
        """Return what a file keeps of it."""
        own = self.variant.constants
        changed = {n: value for n, value in self.best.constants.items() if own[n] != value}
        return Entry(
            device=device,
            variant=key_of(self.variant),
            programs=self.programs,
            warps=self.best.warps,
            stages=self.best.stages,
            constants=changed,
            seconds=self.seconds,
            committed_seconds=self.committed_seconds,
        )


def launches(run: Run, dry: bool = False) -> dict[int, tuple[Variant, int]]:
    """Return the variants that a call launches, each with its largest number of programs."""
    with recorded(dry) as seen:
        run()
    found: dict[int, tuple[Variant, int]] = {}
    for variant, programs in zip(seen, seen.programs, strict=True):
        _, before = found.get(id(variant), (variant, 0))
        found[id(variant)] = (variant, max(before, programs))
    return found


def candidates(runs: Sequence[Run], dry: bool = False) -> dict[str, Variant]:
    """Return all configurations that tuning some calls will try, by a name of each."""
    found = {}
    for run in runs:
        for variant, _ in launches(run, dry).values():
            for other in around(variant):
                found[key_of(other)] = other
    return found


def _results(run: Run) -> list[Tensor]:
    """Return copies of a call's results, from memory that holds no old ones."""
    with poisoned():
        return [result.clone() for result in run()]


_BITS = {8: torch.int64, 4: torch.int32, 2: torch.int16, 1: torch.int8}
"""Integers by their size in bytes."""


def _same(one: Sequence[Tensor], other: Sequence[Tensor]) -> bool:
    """Return whether results are equal to the last bit, NaN and signs of zero included."""
    for left, right in zip(one, other, strict=True):
        if left.shape != right.shape or left.dtype != right.dtype:
            return False
        integers = _BITS[left.element_size()]
        if not torch.equal(left.contiguous().view(integers), right.contiguous().view(integers)):
            return False
    return True


def _tried(
    pair: tuple[Variant, Variant],
    workload: Workload,
    expected: Mapping[int, list[Tensor]],
    timer: Timer,
) -> Trial:
    """Compare one configuration with the committed one, and time it if it is the same."""
    variant, other = pair
    words = words_of(other)
    runs = [workload.run, *workload.checks]
    # Whatever a compiler or a launch raises says that this configuration cannot be had.
    try:
        with forced((variant, other)):
            for number, known in expected.items():
                if not _same(known, _results(runs[number])):
                    return Trial(words, reason="other bits")
            return Trial(words, seconds=timer(workload.run))
    except Exception as error:
        return Trial(words, reason=f"{type(error).__name__}: {error}".partition("\n")[0][:200])


def tune(workload: Workload, timer: Timer, done: Container[tuple[str, str]] = ()) -> list[Tuned]:
    """Return the best configuration of every variant that a workload launches.

    Args:
        workload: What is timed, and what must stay the same.
        timer: Times a call.
        done: Variants and classes of launches that are left out, as :class:`.cache.Entry` names
            them.
    """
    runs = [workload.run, *workload.checks]
    # Nothing that is kept from earlier takes part.
    with forced():
        known = [launches(run, dry=True) for run in runs]
        found = []
        for number, (variant, programs) in known[0].items():
            if (key_of(variant), class_of(programs)) in done:
                continue
            # Only these can see a change.
            chosen = [index for index, own in enumerate(known) if number in own]
            expected = {index: _results(runs[index]) for index in chosen}
            begun = Tuned(variant, variant, class_of(programs), timer(workload.run))
            for other in around(variant):
                begun.others.append((other, _tried((variant, other), workload, expected, timer)))
            begun.end(timer(workload.run))
            found.append(begun)
    return found
