"""Blocks of a run in files of their own, and all of them merged: the file of the whole run."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import leaps_triton as lt
from helpers import random_network
from leaps_triton import io
from leaps_triton.io import hdf5
from leaps_triton.io.runs import merging

pytest.importorskip("tyro")

from leaps_triton import cli

MODEL = lt.Ising((3, 4), beta=0.5, field=0.1)

pytestmark = pytest.mark.filterwarnings("ignore::leaps_triton.LowEssWarning")


def ais(**settings: Any) -> lt.Sampler:
    path = lt.AnnealingPath(MODEL)
    return lt.Sampler(path, None, lt.Jump(4), lt.HeatBath(), block=32, device="cpu", **settings)


def smc() -> lt.Sampler:
    return ais(resample_below=0.95)


def learned() -> lt.Sampler:
    path = lt.AnnealingPath(MODEL)
    return lt.Sampler(path, random_network(MODEL), lt.Jump(3), block=32, device="cpu")


def in_parts(
    sampler: lt.Sampler, folder: Path, *blocks: tuple[int, int], **more: Any
) -> list[Path]:
    """Draw 150 walkers, five blocks of which the last is a short one, into several files."""
    files = []
    for first, end in blocks:
        files.append(folder / f"{first}-{end}.h5")
        io.sample(sampler, 150, files[-1], seed=3, blocks=(first, end), **more)
    return files


@pytest.mark.parametrize("make", [ais, smc, learned])
def test_a_merged_file_is_that_of_the_whole_run(
    make: Callable[[], lt.Sampler], tmp_path: Path
) -> None:
    more: dict[str, Any] = {"along": True, "configurations": True}
    whole = io.sample(make(), 150, tmp_path / "whole.h5", seed=3, **more)
    parts = in_parts(make(), tmp_path, (3, 9), (0, 1), (1, 3), **more)
    run = io.merge(parts, tmp_path / "merged.h5")
    assert (tmp_path / "merged.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()
    # And it says what the same walkers say in memory: errors of blocks where these were resampled.
    ensemble = make().sample(150, seed=3, along=True)
    assert run.correlated == whole.correlated == ensemble.correlated
    assert (run.log_z, run.log_z_error) == (ensemble.log_z, ensemble.log_z_error)
    for mine, theirs in zip(run.by_beta, ensemble.by_beta, strict=True):
        assert (mine.log_z, mine.log_z_error) == (theirs.log_z, theirs.log_z_error)
        assert mine.correlated == theirs.correlated
        assert mine.estimate("energy") == theirs.estimate("energy")


def test_resampled_walkers_in_a_file_have_the_errors_of_blocks(tmp_path: Path) -> None:
    file = tmp_path / "smc.h5"
    io.sample(smc(), 64, file, seed=3)
    # It grows too, and the walkers of a block stay relatives.
    run = io.sample(smc(), 150, file, seed=3, resume=True)
    ensemble = smc().sample(150, seed=3)
    assert run.resamplings is not None
    assert torch.equal(run.resamplings, ensemble.resamplings)
    assert run.correlated == 32
    assert run.estimate("energy") == ensemble.estimate("energy")


def test_a_file_of_blocks_is_a_run_of_its_own(tmp_path: Path) -> None:
    (file,) = in_parts(ais(), tmp_path, (1, 3), configurations=True)
    run = io.read(file)
    assert isinstance(run, io.Run)
    assert run.complete
    assert run.progress == "64 of 64 walkers (blocks 1:3 of 5)"
    same = ais().sample(64, seed=3, first_block=1)
    assert run.log_z == same.log_z
    assert run.configurations is not None
    assert torch.equal(run.configurations, same.configurations)
    moving = run.on_the_way(4, 9)
    assert moving is not None
    assert torch.equal(moving.frames[-1], same.configurations[:4])
    # Stopped and gone on with, it is the same; with other blocks it is another.
    with pytest.raises(ValueError, match=r"run.blocks \[1, 3\] \(now \[1, 4\]\)"):
        io.sample(ais(), 150, file, seed=3, blocks=(1, 4), configurations=True, resume=True)
    with pytest.raises(ValueError, match=r"run.walkers 150 \(now 160\)"):
        io.sample(ais(), 160, file, seed=3, blocks=(1, 3), configurations=True, resume=True)


def test_ends_may_be_missing_and_come_later(tmp_path: Path) -> None:
    parts = in_parts(ais(), tmp_path, (0, 1), (1, 2), (2, 4), (4, 5))
    middle = io.merge(parts[1:3], tmp_path / "middle.h5")
    assert middle.progress == "96 of 96 walkers (blocks 1:4 of 5)"
    run = io.merge([parts[3], tmp_path / "middle.h5", parts[0]], tmp_path / "all.h5")
    assert run.progress == "150 of 150 walkers"
    assert run.log_z == ais().sample(150, seed=3).log_z


def test_what_cannot_be_merged_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = in_parts(ais(), tmp_path, (0, 2), (2, 3), (3, 5), (1, 4))
    out = tmp_path / "out.h5"

    def refuse(match: str, *files: Path, error: type[Exception] = ValueError) -> None:
        with pytest.raises(error, match=match):
            io.merge(files, out)
        assert not out.exists()

    refuse(
        r"0-2.h5 and 1-4.h5 both are of blocks 1:2; draw the missing blocks alone",
        parts[0],
        parts[3],
    )
    refuse(r"blocks 2:3 are in none of the files; draw them by --blocks 2:3", parts[0], parts[2])
    refuse("parts must be the names of one or more files")
    refuse("No such file", tmp_path / "none.h5", error=OSError)
    # Foreign runs, each by what is other about it.
    foreign: dict[str, tuple[lt.Sampler, int, dict[str, Any]]] = {
        "seed": (ais(), 150, {"seed": 4}),
        "model.beta": (
            lt.Sampler(lt.AnnealingPath(lt.Ising((3, 4), beta=0.4, field=0.1)), None, lt.Jump(4),
                       lt.HeatBath(), block=32, device="cpu"), 150, {}),
        "integrator.intervals": (ais().with_integrator(lt.Jump(5)), 150, {}),
        "block": (ais().with_block(64), 150, {}),
        "resampling.below": (smc(), 150, {}),
        "mcmc.sweeps": (
            lt.Sampler(lt.AnnealingPath(MODEL), None, lt.Jump(4), lt.HeatBath(2), block=32,
                       device="cpu"), 150, {}),
        "run.walkers": (ais(), 170, {}),
        "run.observables": (ais(), 150, {"observables": ["energy"]}),
    }  # fmt: skip
    for number, (name, (sampler, walkers, more)) in enumerate(foreign.items()):
        file = tmp_path / f"foreign{number}.h5"
        asked: dict[str, Any] = {"seed": 3, "blocks": (2, 3), **more}
        io.sample(sampler, walkers, file, **asked)
        refuse(rf"foreign{number}.h5 is of another run than 0-2.h5: .*{name}", parts[0], file)
    chain = tmp_path / "chain.h5"
    io.run_chain(MODEL, lt.HeatBath(), 4, 20, chain, device="cpu")
    refuse("chain.h5 holds a chain", parts[0], chain)
    # Versions that numbers may depend on; the commit is told, and may differ.
    before = hdf5.contents

    def of_another(version: str) -> Callable[..., Any]:
        def contents(source: Any, name: str) -> Any:
            found = before(source, name)
            if name != "2-3.h5":
                return found
            made = {**found.manifest["provenance"], version: "0.0.1"}
            return found._replace(manifest={**found.manifest, "provenance": made})

        return contents

    monkeypatch.setattr(merging, "contents", of_another("torch"))
    refuse(r"version of torch .* \(now 0.0.1\)", parts[0], parts[1])
    monkeypatch.setattr(merging, "contents", of_another("commit"))
    assert io.merge(parts[:2], out).portion.name == "0:3"


def test_a_part_that_is_not_complete_leaves_a_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = in_parts(ais(), tmp_path, (0, 2), (2, 5))
    finished = hdf5.finished
    monkeypatch.setattr(merging, "finished", lambda source: finished(source) - 1)
    with pytest.raises(ValueError, match=r"0-2.h5 is not complete: blocks 1:2 are missing; go on"):
        io.merge(parts, tmp_path / "out.h5")
    # So is a run that was to hold what the next file holds.
    whole = in_parts(ais(), tmp_path, (0, 3))[0]
    message = r"0-3.h5 is not complete: blocks 2:3.*2-5.h5 begins.*--resume.*--blocks 0:2"
    with pytest.raises(ValueError, match=message):
        io.merge([whole, parts[1]], tmp_path / "out.h5")
    # At the end it may be, and the file goes on to the whole run.
    monkeypatch.setattr(
        merging, "finished", lambda source: finished(source) - (len(source["digests"]) > 2)
    )
    file = tmp_path / "out.h5"
    assert io.merge(parts, file).progress == "128 of 150 walkers"
    run = io.sample(ais(), 150, file, seed=3, resume=True)
    assert run.log_z == ais().sample(150, seed=3).log_z


@pytest.mark.parametrize(
    ("blocks", "match"),
    [
        ((5, 6), "150 walkers are 5 blocks of 32, got 5:6"),
        ((2, 2), "got 2:2"),
        ((-1, 2), "blocks must be"),
        ((1,), r"a pair \(first, end\)"),
        ("12", r"a pair \(first, end\)"),
        (3, r"a pair \(first, end\)"),
        ((0.5, 2), "blocks must be"),
    ],
)
def test_bad_blocks_are_refused(blocks: Any, match: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=match):
        io.sample(ais(), 150, tmp_path / "w.h5", blocks=blocks)
    assert not (tmp_path / "w.h5").exists()


def test_the_command_line_draws_blocks_and_merges_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lt.save(ais(), tmp_path / "s.safetensors")
    draw = ["sample", str(tmp_path / "s.safetensors"), "--walkers", "150", "--seed", "3"]
    parts = []
    for first in (0, 3):
        parts.append(str(tmp_path / f"{first}.h5"))
        cli.main([*draw, "--blocks", f"{first}:{first + 3}", "--output", parts[-1]])
    capsys.readouterr()
    table = tmp_path / "table.json"
    cli.main(["merge", str(tmp_path / "all.h5"), *parts, "--json", str(table)])
    printed = capsys.readouterr().out
    assert "log Z" in printed
    assert "150 of 150 walkers" in printed
    assert json.loads(table.read_text())["log_z"] == ais().sample(150, seed=3).log_z
    with pytest.raises(SystemExit, match=r"--blocks must be A:B, two whole numbers such as 0:4"):
        cli.main([*draw, "--blocks", "3", "--output", str(tmp_path / "x.h5")])
    with pytest.raises(SystemExit, match=r"all\.h5 exists; choose another file"):
        cli.main(["merge", str(tmp_path / "all.h5"), *parts])
    with pytest.raises(SystemExit, match="give OUT and one or more files"):
        cli.main(["merge", str(tmp_path / "more.h5")])
