"""Progress of long work, told on a terminal and off one, by a clock that tests set."""

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import leaps_triton as lt
from leaps_triton import progress
from leaps_triton.bench.run import run as run_bench


class Clock:
    """Gives the seconds that a test has set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def lines(
    total: int, done: int = 0, words: Callable[[int], str] | None = None
) -> tuple[progress.Lines, Clock, io.StringIO]:
    clock = Clock()
    stream = io.StringIO()
    shown = progress.Lines(total, done, "training", "step", stream, clock, words)
    return shown, clock, stream


def test_a_line_comes_every_half_minute_with_what_is_left() -> None:
    shown, clock, stream = lines(1000)
    with shown:
        for step in range(1000):
            # A power of two, so that the clock does not round.
            clock.now += 0.125
            shown.note(loss=f"{step / 1000:.2f}")
            shown.update()
    assert stream.getvalue().splitlines() == [
        "training: 240 of 1000 steps, loss 0.24, 1 min 35 s left",
        "training: 480 of 1000 steps, loss 0.48, 1 min 5 s left",
        "training: 720 of 1000 steps, loss 0.72, 35 s left",
        "training: 960 of 1000 steps, loss 0.96, 5 s left",
        "training: 1000 of 1000 steps, loss 1.00, 2 min 5 s in all",
    ]


def test_short_work_prints_nothing() -> None:
    shown, clock, stream = lines(100)
    with shown:
        for _ in range(100):
            clock.now += 0.29
            shown.update()
    assert stream.getvalue() == ""


def test_units_longer_than_half_a_minute_give_one_line_each() -> None:
    shown, clock, stream = lines(3)
    with shown:
        for _ in range(3):
            clock.now += 100.0
            shown.update()
    assert len(stream.getvalue().splitlines()) == 4


def test_time_left_counts_what_this_run_did_alone() -> None:
    shown, clock, stream = lines(1000, done=900)
    clock.now += 31.0
    shown.update(50)
    assert stream.getvalue() == "training: 950 of 1000 steps, 31 s left\n"


def test_a_pace_of_nothing_is_not_divided_by() -> None:
    shown, clock, stream = lines(10, done=4)
    clock.now += 31.0
    shown.reach(4)
    assert stream.getvalue() == "training: 4 of 10 steps, time left not known yet\n"


def test_work_that_ends_by_an_error_says_how_far_it_came() -> None:
    shown, clock, stream = lines(10)

    def work() -> None:
        with shown:
            clock.now += 40.0
            shown.update(4)
            clock.now += 5.0
            shown.update()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    last = stream.getvalue().splitlines()[-1]
    assert last == "training: 5 of 10 steps, 45 s in all"


def test_lines_have_words_of_their_own_and_a_title_that_changes() -> None:
    shown, clock, stream = lines(10, words=lambda steps: f"{steps // 2} of 5 draws")
    shown.describe("chains")
    clock.now += 30.0
    shown.update(5)
    assert stream.getvalue() == "chains: 5 of 10 steps, 2 of 5 draws, 30 s left\n"


def test_a_log_that_nobody_reads_ends_no_work() -> None:
    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    clock = Clock()
    with progress.Lines(10, 0, "training", "step", Broken(), clock) as shown:
        clock.now += 31.0
        shown.update(10)
    assert shown.done == 10


class Terminal(io.StringIO):
    """A stderr that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_has_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.track(4, "training", "step", shown=True, done=1) as shown:
        shown.note(loss="0.5")
        shown.update(3)
    assert isinstance(shown, progress.Bar)
    last = terminal.getvalue().split("\r")[-1]
    assert "training: 100%" in last
    assert "4/4" in last


@pytest.mark.parametrize("stream", [None, io.StringIO()])
def test_without_being_asked_nothing_is_told(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO | None
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    # Without a console nothing can be told, even if it is asked for.
    shown = progress.track(2, "training", "step", shown=stream is None)
    assert type(shown) is progress.Progress


def chain() -> None:
    lt.run_chain(lt.Ising((2, 2), 0.3), lt.HeatBath(), 4, 8, 2, burn_in=2, progress=True)


def ais() -> lt.Sampler:
    path = lt.AnnealingPath(lt.Ising((2, 2), 0.3))
    return lt.Sampler(path, None, lt.Jump(3), lt.HeatBath(), block=8, device="cpu")


def training() -> None:
    path = lt.AnnealingPath(lt.Ising((4, 4), 0.3))
    network = lt.HollowConv(path.model, kernel_size=3, channels=2, width=2, modes=0)
    sampler = lt.Sampler(path, network, lt.Jump(3), device="cpu")
    config = lt.TrainingConfig(
        steps=2, times=2, walkers=2, buffer=4, rollout=4, evaluate_every=1, evaluation_walkers=4
    )
    lt.Trainer(sampler, config).run(progress=True)


@pytest.mark.parametrize(
    ("work", "last"),
    [
        (chain, "chains: 10 of 10 steps, 4 of 4 draws, "),
        (lambda: ais().sample(12, progress=True), "sampling: 8 of 8 intervals, "),
        (training, "training: 2 of 2 steps, loss "),
        (
            lambda: run_bench(["philox"], smoke=True, budget=0.001, progress=True),
            " of 1 cases, ",
        ),
    ],
    ids=["chain", "sampler", "training", "bench"],
)
def test_all_long_work_prints_lines_off_a_terminal(
    work: Callable[[], object],
    last: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # As if half a minute passed between any two looks at the clock.
    monkeypatch.setattr(progress, "EVERY", 0.0)
    work()
    end = capsys.readouterr().err.splitlines()[-1]
    assert last in end
    assert end.endswith(" in all")


def test_files_of_walkers_tell_of_a_part_of_a_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.0)
    lt.io.sample(ais(), 12, tmp_path / "run.h5", progress=True)
    told = [line.split(" of ")[0] for line in capsys.readouterr().err.splitlines()]
    # Three intervals and the end are a block's four parts; the second block has four walkers.
    assert told[:4] == [f"sampling: {walkers}" for walkers in (2, 4, 6, 8)]
    assert told[-1] == "sampling: 12"
