"""The tuner on interpreted kernels, its file, and what launches make of it."""

import json
import logging
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from kernel_tools import DEVICE, require_kernels, silent

require_kernels()
from leaps_triton.bench import tuning  # noqa: E402
from leaps_triton.kernels.energies import triton as energies  # noqa: E402
from leaps_triton.kernels.tuning import cache, candidates, tuner  # noqa: E402
from leaps_triton.kernels.tuning.ceilings import VARIANTS, integer_words  # noqa: E402
from leaps_triton.kernels.tuning.workloads import workloads  # noqa: E402

pytestmark = silent
PLACE = torch.device(DEVICE)


@pytest.fixture(autouse=True)
def anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is known of a device before a test, or after it, and few configurations are tried."""
    monkeypatch.setattr(tuner, "around", three)
    cache._TABLES.clear()
    yield
    cache._TABLES.clear()


def workload(op: str, number: int = 0) -> tuner.Workload:
    """One call of an op, and its small calls of up to two kinds."""
    found = [one for one in workloads([op], (3, 4), 2, PLACE) if one.name == op][number]
    return replace(found, checks=found.checks[:1])


def three(variant: Any) -> list[Any]:
    """The first of the configurations around a variant, since each is interpreted."""
    return candidates.around(variant)[:3]


class Clock:
    """Tells made-up seconds, and which configuration was launched."""

    def __init__(self, seconds: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = seconds
        self.launched: list[Any] = []
        before = cache.tuned

        def note(variant: Any, programs: int, device: torch.device) -> Any:
            self.launched.append(before(variant, programs, device))
            return self.launched[-1]

        monkeypatch.setattr("leaps_triton.kernels.variants.tuned", note)

    def __call__(self, run: tuner.Run) -> float:
        run()
        return self.seconds.get(candidates.words_of(self.launched[-1]), 1.0)


def test_the_fastest_that_keeps_every_bit_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock({"2 warps, BLOCK 128": 0.5, "2 warps, BLOCK 256": 0.7}, monkeypatch)
    (found,) = tuner.tune(workload("jump_step"), clock)
    assert found.is_better and candidates.words_of(found.best) == "2 warps, BLOCK 128"
    assert (found.committed_seconds, found.seconds, found.programs) == (1.0, 0.5, "few")
    assert {trial.reason for _, trial in found.others} == {""}
    entry = found.entry("a device")
    assert (entry.warps, entry.constants) == (2, {"BLOCK": 128})
    assert "2.00 times as fast as 1 warps, BLOCK 256" in tuning.line("jump_step", found)


def test_what_is_within_the_noise_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock({"2 warps, BLOCK 128": 0.98}, monkeypatch)
    (found,) = tuner.tune(workload("jump_step"), clock)
    assert not found.is_better and found.seconds == 1.0
    known = {(cache.key_of(found.variant), "few")}
    assert tuner.tune(workload("jump_step"), clock, known) == []


def test_a_configuration_that_changes_a_bit_is_never_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock({}, monkeypatch)
    one = workload("local_energy", 2)
    monkeypatch.setattr(tuner, "around", lambda variant: [broken(variant)])
    (found,) = tuner.tune(one, clock)
    assert [trial.reason for _, trial in found.others] == ["other bits"]
    assert not found.is_better


def broken(variant: Any) -> Any:
    """A configuration that leaves out a direction of the lattice."""
    return replace(variant, constants={**variant.constants, "NDIM": 1})


def test_what_cannot_be_compiled_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock({}, monkeypatch)
    monkeypatch.setattr(tuner, "around", of_three_sites)
    (found,) = tuner.tune(workload("jump_step"), clock)
    ((_, trial),) = found.others
    assert trial.seconds is None and "power of" in trial.reason


def of_three_sites(variant: Any) -> list[Any]:
    """A block of no power of two."""
    return [replace(variant, constants={**variant.constants, "BLOCK": 3})]


def entry_of(variant: Any, **changed: Any) -> cache.Entry:
    made = cache.Entry("D", cache.key_of(variant), "few", 2, None, {"BLOCK": 128}, 0.5, 1.0)
    return made._replace(**changed)


VARIANT = energies.VARIANTS[2, "general", None]
CUDA = torch.device("cuda", 0)


def tuned(monkeypatch: pytest.MonkeyPatch, name: str = "D") -> Any:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: name)
    return cache.tuned(VARIANT, 10, CUDA)


def test_a_launch_takes_what_is_kept_for_its_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(cache.FOLDER, str(tmp_path))
    assert tuned(monkeypatch) is VARIANT
    cache.write(cache.file(), [entry_of(VARIANT)])
    # Once per process: what came later is not seen.
    assert tuned(monkeypatch) is VARIANT
    cache._TABLES.clear()
    found = tuned(monkeypatch)
    assert (found.warps, found.constants["BLOCK"]) == (2, 128)
    assert tuned(monkeypatch) is found
    assert cache.tuned(VARIANT, 10**6, CUDA) is VARIANT
    assert cache.tuned(VARIANT, 10, torch.device("cpu")) is VARIANT
    with cache.forced():
        assert tuned(monkeypatch) is VARIANT
    cache._TABLES.clear()
    assert tuned(monkeypatch, "another") is VARIANT
    cache._TABLES.clear()
    monkeypatch.setenv(cache.SWITCH, "off")
    assert tuned(monkeypatch) is VARIANT


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read and is left aside"),
        ("[]", "cannot be read and is left aside"),
        ('{"format": 1}', "cannot be read and is left aside"),
        ('{"format": 2, "sources": "", "entries": []}', "was tuned for other kernels"),
    ],
)
def test_a_broken_or_foreign_file_costs_a_warning(
    text: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv(cache.FOLDER, str(tmp_path))
    cache.file().write_text(text)
    with caplog.at_level(logging.WARNING, "leaps_triton"):
        assert tuned(monkeypatch) is VARIANT
        assert tuned(monkeypatch) is VARIANT
    (record,) = caplog.records
    assert said in record.getMessage()


def test_what_is_found_is_on_disk_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock({"2 warps, BLOCK 128": 0.5}, monkeypatch)
    said: list[str] = []
    place = tmp_path / "tuning.json"
    place.write_text("{")
    made = tuning.Tuner("D", clock, place, said.append)
    made.take(workload("jump_step"))
    (kept,) = json.loads(place.read_text())["entries"]
    assert (kept["device"], kept["warps"], kept["constants"]) == ("D", 2, {"BLOCK": 128})
    assert "made anew" in said[0] and "keep every bit" in said[1]
    # What is no longer best is taken away.
    clock.seconds = {}
    tuning.Tuner("D", clock, place, said.append).take(workload("jump_step"))
    assert json.loads(place.read_text())["entries"] == []


def test_the_rows_of_a_network_may_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock({"8 warps, 1 stages, ROWS 32": 0.1}, monkeypatch)
    one = replace(workload("hollow_values"), checks=())
    monkeypatch.setattr(tuner, "around", lambda variant: rows_of(variant, 32))
    found = tuner.tune(one, clock)
    best = {candidates.words_of(item.best) for item in found if item.is_better}
    assert best == {"8 warps, 1 stages, ROWS 32"}


def rows_of(variant: Any, rows: int) -> list[Any]:
    """The variant with other rows, where it has rows."""
    if "ROWS" not in variant.constants:
        return []
    return [replace(variant, constants={**variant.constants, "ROWS": rows})]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_device_there_is_nothing_to_tune(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="there is nothing to tune on cpu"):
        tuning.main([])
    with pytest.raises(SystemExit, match=r"there is no op 'energies'; .*'energy'"):
        tuning.main(["energies"])
    tuning.main(["--dry-run", "jump_step"])
    assert "8 warps, BLOCK 2048; to try: 4 warps, BLOCK 2048; 16 warps" in capsys.readouterr().out


@pytest.mark.parametrize("name", list(VARIANTS))
def test_the_instructions_of_the_ceilings_do_what_they_say(name: str) -> None:
    found = integer_words(name, 1, 1, PLACE)[:4].cpu().tolist()
    key = 0x5BD1E995
    for place, value in enumerate(found):
        assert value & 0xFFFFFFFF == expected(name, place, key)


def expected(name: str, place: int, key: int) -> int:
    """The number of one chain, in whole numbers of Python."""
    mask = 0xFFFFFFFF
    x = place ^ key
    if name == "imad_wide":
        for _ in range(16):
            x = ((x & mask) * key + x) & 0xFFFFFFFFFFFFFFFF
        return (x >> 32) ^ (x & mask)
    y = place * 5 + key & mask
    z = place * 7 - key & mask
    for _ in range(16):
        x = (x & y) ^ z
        y = (y & z) ^ x
        z = (z & x) ^ y
    return x ^ y ^ z


def test_the_noise_of_no_time_at_all() -> None:
    """A variant that was never timed is not better."""
    one = tuner.Tuned(VARIANT, VARIANT, "few", 1.0)
    assert math.isnan(one.seconds) and not one.is_better
