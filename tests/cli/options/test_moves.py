"""Moves in words, the word `auto`, and files that go on where no move is named."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import leaps_triton as lt
from going_on import FILES, manifest_of
from second_process import run

pytest.importorskip("tyro")

from leaps_triton import registry
from leaps_triton.cli.main import main
from leaps_triton.cli.moves import as_move
from leaps_triton.cli.options import spelled
from leaps_triton.mcmc import settled

CLOCK = ["--model", "clock", "--q", "5", "--shape", "5", "--open-boundaries", "--beta", "1"]
ISING = ["--shape", "3", "3", "--beta", "0.4", "--field", "0.3"]
LADDER = "parallel-tempering:fractions=0.4/1"
OLDER = {
    "chain-heat-bath.h5": (ISING, [], ["heat-bath:sweeps=2"]),
    "chain-tempering-alone.h5": (CLOCK, ["--move", LADDER], [LADDER, "heat-bath"]),
}
"""Files of an earlier version: their model, what is told of their move, and all of it."""


@pytest.mark.parametrize("name", OLDER)
def test_the_command_goes_on_with_a_file_of_an_earlier_version(name: str, tmp_path: Path) -> None:
    """Its default was the heat bath, also of replicas; the file tells."""
    model, told, whole = OLDER[name]
    known = manifest_of(FILES / name)["chain"]
    words = [*model, "--device", "cpu", "--configurations", "--sweeps", "120", "--resume"]
    for key in ("walkers", "thin", "seed", "every"):
        words += [f"--{key}", str(known[key])]
    words += ["--observables", *known["observables"]]
    found = []
    for move in (told, ["--move", *whole]):
        file = str(shutil.copy(FILES / name, tmp_path))
        main(["chain", "--output", file, *words, *move])
        run = lt.io.read(file)
        assert isinstance(run, lt.io.ChainRun)
        before = settled(as_move(whole), run.model, None, known["walkers"])
        assert run.move == before and run.draws == 60
        found.append(run.values["energy"])
    assert torch.equal(*found)
    # Whoever names another move is told so.
    with pytest.raises(SystemExit, match=r"other settings: kernel|one of ParallelTempering"):
        main(["chain", "--output", file, *words, "--move", "wolff"])


def test_the_command_takes_the_default(tmp_path: Path) -> None:
    file = tmp_path / "new.h5"
    size = ["--shape", "4", "4", "--walkers", "4", "--sweeps", "100", "--device", "cpu"]
    main(["chain", "--output", str(file), *size])
    found = lt.io.read(file)
    assert isinstance(found, lt.io.ChainRun)
    assert found.move == settled(None, lt.Ising((4, 4), 0.4407), None, 4)


def test_auto_is_given_alone() -> None:
    assert as_move(["auto"]) is None
    with pytest.raises(ValueError, match="auto is a move of its own; give it alone"):
        as_move(["auto", "houdayer"])


TEMPERING = lt.ParallelTempering([0.25, 0.5, 1.0], lt.Compose(lt.HeatBath(), lt.Houdayer()))


@pytest.mark.parametrize(
    ("words", "move"),
    [
        (["heat-bath"], lt.HeatBath()),
        (["HeatBath:sweeps=3,backward=true"], lt.HeatBath(3, backward=True)),
        (
            ["metropolis:sweeps=2,rest=0.25", "overrelaxation"],
            lt.Compose(lt.Metropolis(2, rest=0.25), lt.Overrelaxation()),
        ),
        (["wolff:clusters=5"], lt.Wolff(5)),
        (["heat-bath", "houdayer"], lt.Compose(lt.HeatBath(), lt.Houdayer())),
        (["swendsen-wang"], lt.SwendsenWang()),
        (["heat-bath:packed=rows"], lt.HeatBath(packed="rows")),
        (["metropolis:packed=false"], lt.Metropolis(packed=False)),
        (
            ["kinetic-monte-carlo:time=0.5,reversible=metropolis,max_events=none"],
            lt.KineticMonteCarlo(0.5, "metropolis"),
        ),
        (["parallel-tempering:fractions=0.5/1"], lt.ParallelTempering([0.5, 1.0])),
        (
            ["parallel-tempering:betas=0.1/0.2/0.44", "heat-bath", "houdayer"],
            lt.ParallelTempering(
                betas=[0.1, 0.2, 0.44], move=lt.Compose(lt.HeatBath(), lt.Houdayer())
            ),
        ),
        (["parallel-tempering:fractions=0.25/0.5/1", "heat-bath", "houdayer"], TEMPERING),
    ],
)
def test_every_move_is_described_by_words(words: list[str], move: Any) -> None:
    assert as_move(words) == move


def test_every_registered_move_is_offered() -> None:
    text = " ".join(run("chain", "--help").stdout.replace("│", " ").split())
    # Other tests register moves of their own.
    own = {n: m for n, m in registry.things("move").items() if m.__module__.startswith("leaps_")}
    assert len(own) >= 9
    for name in own:
        word = spelled(name)
        assert word == "compose" or word in text, word
    assert "--kernel" not in text and "What moves the walkers" in text
