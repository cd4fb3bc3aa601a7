"""Results of commands that would hide one another, and options that would be left unread."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tyro")

import leaps_triton as lt
from leaps_triton import cli

SMALL = ["--shape", "3", "3", "--device", "cpu"]


@pytest.mark.parametrize(
    "words",
    [
        ["scan", "--output", "r.png"],
        ["scan", "--output", "r.h5", "--json", "r.png"],
        ["scan", "--output", "r.h5", "--figure", "./r.h5"],
        ["chain", "--output", "r.h5", "--json", "r.h5"],
        ["train", "--checkpoint", "r.h5", "--json", "r.h5"],
    ],
)
def test_two_results_do_not_go_into_one_file(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=r"two results would go into r\.(png|h5); give each"):
        cli.main([*words, *SMALL])
    assert list(tmp_path.iterdir()) == []


def test_a_figure_is_refused_before_the_scan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=r"a figure must end in .* got r\.xyz"):
        cli.main(["scan", "--output", "r.h5", "--figure", "r.xyz", *SMALL])
    with pytest.raises(SystemExit, match=r"a figure must end in .* got p\.jpg"):
        cli.main(["plot", "r.h5", "--output", "p.jpg"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words", [["--model", "potts"], ["--shape", "4", "4"], ["--move", "wolff"]]
)
def test_a_sampler_brings_its_own_model(words: list[str], tmp_path: Path) -> None:
    output = tmp_path / "s.h5"
    given = ["--sampler", "c.safetensors", "--method", "annealing", "--output", str(output)]
    with pytest.raises(SystemExit, match=f"{words[0]} is no option beside --sampler"):
        cli.main(["scan", *given, *words])
    assert not output.exists()


def test_a_complete_run_of_too_few_draws_says_what_to_type(tmp_path: Path) -> None:
    file = tmp_path / "k.h5"
    lt.io.run_chain(lt.Ising((3, 3), 0.3), lt.HeatBath(), 4, 2, file, device="cpu")
    with pytest.raises(SystemExit, match=r"is complete: go on with it by --resume and more --sw"):
        cli.main(["measure", str(file)])


def test_steps_of_another_trainer_are_not_thrown_away(tmp_path: Path) -> None:
    file = tmp_path / "c.safetensors"
    model = lt.Ising((3, 3), 0.3)
    options: dict[str, Any] = {"steps": 4, "times": 2, "walkers": 8, "buffer": 16, "rollout": 16}

    def trainer() -> lt.Trainer:
        network = lt.HollowConv(model, kernel_size=3, channels=2, width=4, modes=0)
        sampler = lt.Sampler(lt.AnnealingPath(model), network, lt.Jump(3), device="cpu")
        return lt.Trainer(sampler, lt.TrainingConfig(**options))

    first = trainer()
    first.run(1, checkpoint=file)
    second = trainer()
    second.resume(file)
    first.run(checkpoint=file)
    with pytest.raises(ValueError, match="was written by another trainer since this one had it"):
        second.run(2, checkpoint=file)
    assert len(lt.training.read_history(file).loss) == 4
