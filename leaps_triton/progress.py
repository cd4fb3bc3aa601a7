"""Progress of long work: a bar on a terminal, a line every half minute elsewhere."""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, TextIO

__all__ = ["EVERY", "Bar", "Lines", "Progress", "duration", "track"]

EVERY = 30.0
"""Seconds from one line to the next where there is no terminal."""


class Progress:
    """Hears how far some work has come, and tells nobody.

    It is a context manager, within which the work is done.

    Args:
        total: units of work in all.
        done: units that were done before.

    Attributes:
        total: units of work in all.
        done: units so far.
    """

    def __init__(self, total: int, done: int = 0) -> None:
        self.total = total
        self.done = done

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def update(self, count: int = 1) -> None:
        """Hear that ``count`` more units are done."""
        self.reach(self.done + count)

    def reach(self, done: int) -> None:
        """Hear that ``done`` units are done in all."""
        self.done = done

    def note(self, **values: str) -> None:
        """Hear what else is worth telling, such as the loss, by name."""

    def describe(self, title: str) -> None:
        """Hear what the work is now."""

    def close(self) -> None:
        """Hear that the work has ended."""


class Bar(Progress):
    """Draws a bar of tqdm.

    Args:
        total: units of work in all.
        done: units that were done before.
        title: what the work is.
        unit: what it is counted in, in the singular.
        leave: whether the bar stays when the work has ended.
    """

    def __init__(self, total: int, done: int, title: str, unit: str, leave: bool) -> None:
        super().__init__(total, done)
        # Here, not above: most of the library's users look at no bar.
        from tqdm import tqdm

        self._bar: Any = tqdm(total=total, initial=done, desc=title, unit=unit, leave=leave)

    def reach(self, done: int) -> None:
        """Draw the bar anew, at a pace of its own."""
        self._bar.update(done - self.done)
        super().reach(done)

    def note(self, **values: str) -> None:
        """Keep what stands after the bar when it is drawn next."""
        self._bar.set_postfix(values, refresh=False)

    def describe(self, title: str) -> None:
        """Draw the bar with another title."""
        self._bar.set_description(title)

    def close(self) -> None:
        """End the bar."""
        self._bar.close()


class Lines(Progress):
    """Prints a line every half minute: what is done, of how much, and the time that is left.

    The first comes after the first half minute. When the work ends there is a last one, if there
    was any.

    Args:
        total: units of work in all.
        done: units that were done before.
        title: what the work is.
        unit: what it is counted in, in the singular.
        stream: where the lines go.
        clock: gives seconds, from any beginning.
        words: what else is told of a number of units; None for nothing.
    """

    def __init__(
        self,
        total: int,
        done: int,
        title: str,
        unit: str,
        stream: TextIO,
        clock: Callable[[], float] = time.monotonic,
        words: Callable[[int], str] | None = None,
    ) -> None:
        super().__init__(total, done)
        self._title = title
        self._unit = unit
        self._stream = stream
        self._clock = clock
        self._words = words
        self._notes: dict[str, str] = {}
        # The pace is that of this run alone: what was done before took no time of it.
        self._first = done
        self._begin = clock()
        self._next = self._begin + EVERY
        self._printed = False

    def reach(self, done: int) -> None:
        """Print a line if half a minute has passed."""
        super().reach(done)
        now = self._clock()
        if now < self._next:
            return
        # From now on, not from when it was due: units may take minutes.
        self._next = now + EVERY
        self._print(self._left(now - self._begin))

    def note(self, **values: str) -> None:
        """Keep what the next lines tell too."""
        self._notes.update(values)

    def describe(self, title: str) -> None:
        """Keep the title of the next lines."""
        self._title = title

    def close(self) -> None:
        """Print a last line, with the time that was taken, if there was a line before."""
        if self._printed:
            self._print(f"{duration(self._clock() - self._begin)} in all")

    def _left(self, seconds: float) -> str:
        """Return the time that is left at the mean pace so far."""
        made = self.done - self._first
        missing = self.total - self.done
        if made <= 0:
            return "time left not known yet"
        return f"{duration(seconds / made * missing)} left"

    def _print(self, end: str) -> None:
        parts = [f"{self.done} of {self.total} {self._unit}s"]
        if self._words is not None:
            parts.append(self._words(self.done))
        parts += [f"{name} {value}" for name, value in self._notes.items()]
        parts.append(end)
        self._printed = True
        try:
            print(f"{self._title}: {', '.join(parts)}", file=self._stream, flush=True)
        except OSError:
            # A log that nobody reads any more must not end the work.
            self._printed = False


def track(
    total: int,
    title: str,
    unit: str,
    shown: bool,
    done: int = 0,
    leave: bool = True,
    words: Callable[[int], str] | None = None,
) -> Progress:
    """Return what tells on stderr how far work has come.

    On a terminal it is a bar; elsewhere, such as in a file of a batch job, it is a line every half
    minute, and none at all for work that is done sooner.

    Args:
        total: units of work in all.
        title: what the work is.
        unit: what it is counted in, in the singular.
        shown: whether to tell anything.
        done: units that were done before.
        leave: whether a bar stays when the work has ended.
        words: what a line tells of a number of units, beside it; None for nothing.

    Example:
        >>> with track(3, "sampling", "walker", shown=False) as progress:
        ...     for _ in range(3):
        ...         progress.update()
        >>> progress.done
        3
    """
    stream = sys.stderr
    # A process without a console has no stderr.
    if not shown or stream is None:
        return Progress(total, done)
    if stream.isatty():
        return Bar(total, done, title, unit, leave)
    return Lines(total, done, title, unit, stream, words=words)


def duration(seconds: float) -> str:
    """Return a time in its two largest units.

    Example:
        >>> duration(8), duration(200), duration(7500), duration(200000)
        ('8 s', '3 min 20 s', '2 h 5 min', '2 d 7 h')
    """
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    if hours == 0:
        return f"{minutes} min {rest} s"
    days, hours = divmod(hours, 24)
    if days == 0:
        return f"{hours} h {minutes} min"
    return f"{days} d {hours} h"
