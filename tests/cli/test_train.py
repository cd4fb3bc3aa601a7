"""``leaps-triton train``: what it says at its end, longer training, and the training's figure."""

import json
import re
import runpy
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("tyro")

import leaps_triton as lt
from leaps_triton import cli
from leaps_triton.cli.recipes import default_refresh
from leaps_triton.io import checkpoint
from leaps_triton.provenance import provenance

TINY = ["--shape", "3", "3", "--intervals", "3", "--channels", "2", "--width", "4", "--modes", "0"]
TINY += ["--network", "hollow-conv"]


def train(file: Path, *arguments: str) -> None:
    cli.main(["train", "--checkpoint", str(file), "--device", "cpu", *TINY, *arguments])


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkpoint of four steps, with an evaluation at its end."""
    file = tmp_path_factory.mktemp("trained") / "c.safetensors"
    train(file, "--steps", "4", "--learning-rate", "0.01")
    return file


def copy(file: Path, folder: Path) -> Path:
    target = folder / file.name
    target.write_bytes(file.read_bytes())
    return target


def test_the_end_tells_ess_log_z_and_what_to_type_next(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = copy(trained, tmp_path)
    table = tmp_path / "t.json"
    train(file, "--steps", "4", "--resume", "--json", str(table))
    told = lines(capsys)
    report = re.search(
        r"^ESS (.*), log Z (.*) ± (.*) \(exact (.*), (.*)σ\): exact weights of 512 fresh walkers, "
        r"seed (\d+)$",
        "\n".join(told),
        re.MULTILINE,
    )
    assert report is not None
    # What it says is what anyone gets by that seed.
    walkers = lt.load(file, "cpu").sample(512, seed=int(report[6]))
    stored = json.loads(table.read_text())["fresh_walkers"]
    assert (stored["walkers"], stored["seed"]) == (512, walkers.seed)
    assert float(report[1]) == pytest.approx(walkers.ess, abs=1e-3)
    assert stored["log_z"] == pytest.approx(walkers.log_z, abs=1e-5)
    assert float(report[4]) == pytest.approx(lt.exact.log_z(walkers.model), abs=1e-5)
    # A false alarm once in 10⁶ seeds.
    assert abs(float(report[5])) < 5
    following = told[-2].removeprefix("next: ")
    assert following == f"leaps-triton sample {file} --output {tmp_path / 'c.h5'}"
    cli.main([*shlex.split(following)[1:], "--walkers", "64"])
    assert (tmp_path / "c.h5").exists()
    capsys.readouterr()
    # The file of walkers is of the sampler as it was: another name is proposed.
    train(file, "--steps", "4", "--resume")
    assert lines(capsys)[-1].endswith(f"--output {tmp_path / 'c-4.h5'}")


def test_steps_extend_a_finished_training_at_its_learning_rate(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = copy(trained, tmp_path)
    train(file, "--steps", "6", "--resume")
    assert "going on at step 4, in a new leg to step 6 with learning rate 0.01" in lines(capsys)
    train(file, "--steps", "7", "--resume", "--learning-rate", "0.005")
    history = lt.training.read_history(file)
    assert history.legs == [(0, 4, 0.01), (4, 2, 0.01), (6, 1, 0.005)]
    # By default there are evaluations: one at the end of every leg at least.
    assert history.evaluation_step == [4, 6, 7]
    with pytest.raises(SystemExit, match=r"c.safetensors is at step 7 already, got steps=5"):
        train(file, "--steps", "5", "--resume", "--learning-rate", "0.005")


def test_evaluations_may_change_when_training_goes_on(trained: Path, tmp_path: Path) -> None:
    file = copy(trained, tmp_path)
    train(file, "--steps", "5", "--resume", "--evaluate-every", "0")
    assert lt.training.read_history(file).evaluation_step == [4]


def test_a_low_ess_says_how_to_train_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("leaps_triton.cli.commands.train._LOW", 1.1)
    train(tmp_path / "c.safetensors", "--steps", "1", "--evaluate-every", "0")
    assert "the ESS is low; train longer by --resume --steps 2" in lines(capsys)


def test_spring_on_a_linear_response_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "c.safetensors"
    words = ["train", "--checkpoint", str(file), "--device", "cpu", "--shape", "4", "4"]
    words += ["--kernel-size", "3", "--widths", "5", "4"]
    words += ["--intervals", "3", "--held-out", "32"]
    cli.main([*words, "--steps", "3"])
    assert "step 3 of 3" in capsys.readouterr().out
    history = lt.training.read_history(file)
    assert history.legs[0].learning_rate == 0.15
    assert history.held_out_step == [0, 3]
    network: Any = lt.load(file, "cpu").transport
    assert network.gate == (0.3, 0.45)
    # The response is that of the file.
    cli.main([*words, "--steps", "4", "--resume"])
    assert "going on at step 3" in capsys.readouterr().out
    again: Any = lt.load(file, "cpu").transport
    assert torch.equal(again.response.kernels, network.response.kernels)
    stored = checkpoint.read(file).manifest["training"]["config"]
    assert (stored["optimizer"], stored["refresh"]) == ("spring", "swendsen_wang")
    assert (stored["first_time"], stored["time_power"], stored["ema"]) == (0.3, 0.4, 0.98)
    cli.main(["plot", str(file), "--output", str(tmp_path), "--dpi", "30"])
    assert (tmp_path / "training.png").stat().st_size > 1000


def test_network_and_optimizer_follow_from_the_model_or_the_file(tmp_path: Path) -> None:
    glass = ["--model", "edwards-anderson", "--shape", "3", "3", "--device", "cpu"]
    file = tmp_path / "c.safetensors"
    cli.main(["train", "--checkpoint", str(file), *glass, "--steps", "1", "--intervals", "2"])
    assert isinstance(lt.load(file, "cpu").transport, lt.HollowConv)
    assert checkpoint.read(file).manifest["training"]["config"]["optimizer"] == "adam"
    graph = ["--graph", "triangular:3x2", "--beta", "0.2", "--device", "cpu"]
    placed = tmp_path / "graph.safetensors"
    cli.main(["train", "--checkpoint", str(placed), *graph, "--steps", "1", "--intervals", "2"])
    assert isinstance(lt.load(placed, "cpu").transport, lt.LEM)
    other = tmp_path / "other.safetensors"
    train(other, "--steps", "1")
    words = [word for word in TINY if word not in ("--network", "hollow-conv")]
    words += ["--steps", "2", "--resume", "--device", "cpu"]
    # Without its name the network of the file counts.
    cli.main(["train", "--checkpoint", str(other), *words])
    assert len(lt.training.read_history(other).loss) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--gate 0.5 0.4", "gate must be None or two increasing numbers"),
        ("--gate 0.1 0.4 --response no", "--gate is of a network on a response alone"),
        ("--gate 0.1 0.4 --network lem", "--gate is of a network on a response alone"),
        ("--momentum 0.5 --optimizer adam", "--momentum is of --optimizer spring alone"),
        ("--norm-cap 1 --optimizer adam", "--norm-cap is of --optimizer spring alone"),
        ("--curriculum 0.3 --first-time 0.6", "first_time must be below curriculum_start, 0.5"),
        ("--intervals 0", "intervals must be"),
    ],
)
def test_wrong_options_are_told_before_the_response_is_fitted(
    words: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fits: list[Any] = []
    monkeypatch.setattr(lt.training, "fit_response", fits.append)
    file = tmp_path / "c.safetensors"
    with pytest.raises(SystemExit) as end:
        cli.main(["train", "--checkpoint", str(file), "--device", "cpu", *words.split()])
    assert message in str(end.value)
    assert not fits and not file.exists()


def test_several_models_are_trained_together(tmp_path: Path) -> None:
    small = ["--kernel-size", "3", "--widths", "4", "--steps", "2", "--intervals", "2"]
    small += ["--shape", "3", "3", "--device", "cpu", "--held-out", "4"]
    glasses = ["--model", "edwards-anderson", "--instances", "2", "--disorder-seed", "5"]
    file = tmp_path / "instances.safetensors"
    words = ["train", "--checkpoint", str(file), *small, *glasses]
    cli.main(words)
    cli.main([*words, "--resume"])
    stored = checkpoint.read(file)
    assert list(stored.manifest["family"]) == ["0"]
    other = lt.EdwardsAnderson((3, 3), beta=0.4407, seed=6)
    assert torch.equal(stored.tensors["family.0.model.coupling"], other.coupling)
    config = stored.manifest["training"]["config"]
    assert (config["optimizer"], config["refresh"]) == ("spring", "exact")
    assert len(lt.training.read_history(file).held_out_members[0]) == 2
    sampler: Any = lt.load(file, "cpu")
    assert sampler.transport.response is None
    # A network that begins without a field reads others all the same.
    file = tmp_path / "fields.safetensors"
    cli.main(
        ["train", "--checkpoint", str(file), *small, "--fields", "0:0.4:2", "--refresh", "exact"]
    )
    sampler = lt.load(file, "cpu")
    assert sampler.transport.settings["fields"]
    assert float(checkpoint.read(file).tensors["family.0.model.site_table"].max()) == 0.4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--instances 2", "--disorder-seed is no option of --model ising"),
        ("--instances 0 --model edwards-anderson", "instances must be at least 1, got 0"),
        ("--fields 0.1 0.2 --field 0.3", "--field and --fields both say what the field is"),
        ("--fields a:b:c", "--fields must be numbers, or FIRST:LAST:COUNT"),
        ("--fields 0 1 --refresh rollout", "a family is trained on samples of equilibrium"),
    ],
)
def test_families_that_cannot_be_are_refused(words: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "c.safetensors"
    with pytest.raises(SystemExit) as end:
        cli.main(["train", "--checkpoint", str(file), "--device", "cpu", *words.split()])
    assert message in str(end.value)
    assert not file.exists()


def test_data_follow_from_the_model() -> None:
    ferromagnet = lt.Ising((4, 4), beta=0.4)
    glass = lt.EdwardsAnderson((4, 4), beta=0.4)
    large = lt.EdwardsAnderson((12, 12), beta=0.4)
    found = [default_refresh(model, "spring") for model in (ferromagnet, glass, large)]
    assert found == ["swendsen_wang", "exact", "tempering"]
    assert default_refresh(ferromagnet, "adam") == "rollout"


def test_plot_draws_the_training_of_checkpoints(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = copy(trained, tmp_path).rename(tmp_path / "other.safetensors")
    cli.main(["plot", str(trained), str(other), "--output", str(tmp_path), "--dpi", "30"])
    assert lines(capsys) == [f"training: {tmp_path / 'training.png'}"]
    assert (tmp_path / "training.png").stat().st_size > 1000


def test_plot_draws_a_checkpoint_beside_its_walkers(trained: Path, tmp_path: Path) -> None:
    walkers = tmp_path / "c.h5"
    cli.main(["sample", str(trained), "--output", str(walkers), "--walkers", "64"])
    figures = ["--only", "training", "weights", "--dpi", "30"]
    cli.main(["plot", str(trained), str(walkers), *figures, "--output", str(tmp_path)])
    assert {file.name for file in tmp_path.glob("*.png")} == {"training.png", "weights.png"}
    with pytest.raises(SystemExit, match="it takes a checkpoint of leaps-triton train"):
        cli.main(["plot", str(walkers), "--only", "training", "--output", str(tmp_path)])


def test_plot_says_that_a_checkpoint_has_no_training(trained: Path, tmp_path: Path) -> None:
    file = tmp_path / "bare.safetensors"
    lt.save(lt.load(trained, "cpu"), file)
    with pytest.raises(SystemExit, match=r"bare.safetensors holds a sampler without the state of"):
        cli.main(["plot", str(file), "--output", str(tmp_path)])
    sampler = lt.load(trained, "cpu")
    lt.Trainer(sampler, lt.TrainingConfig(buffer=4, rollout=4)).save(file)
    with pytest.raises(SystemExit, match=r"bare.safetensors has made no step of training yet"):
        cli.main(["plot", str(file), "--output", str(tmp_path)])


@pytest.mark.parametrize("commit", ["unknown", "0123abcd"])
def test_version(
    commit: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    about: dict[str, Any] = {**provenance(), "commit": commit}
    # By its name in the table of modules: the package has a function of that name.
    module = sys.modules["leaps_triton.cli.main"]
    monkeypatch.setattr(module, "provenance", lambda: about)
    ending = {"unknown": ""}.get(commit, f" (commit {commit})")
    cli.main(["--version"])
    monkeypatch.setattr(sys, "argv", ["leaps-triton", "--version"])
    # As by `python -m leaps_triton`.
    runpy.run_module("leaps_triton", run_name="__main__")
    assert lines(capsys) == [f"leaps-triton {lt.__version__}{ending}"] * 2
