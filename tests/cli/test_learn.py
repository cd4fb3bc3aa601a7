"""``leaps-triton learn``: what it learns, goes on with and tells, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("tyro")

import leaps_triton as lt
from leaps_triton import cli

TRUTH = lt.Ising((3, 3), 0.3)
WEIGHED = [
    "--objective", "maximum-likelihood", "--negative", "jarzynski", "--walkers", "40",
    "--witnesses", "40", "--sweeps", "2", "--learning-rate", "0.1", "--coupling", "class",
]  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of exact samples."""
    file = tmp_path_factory.mktemp("data") / "rows.npy"
    np.save(file, lt.exact.sample(TRUTH, 300, seed=1).numpy())
    return file


def learn(data: Path, output: Path, *arguments: str) -> None:
    cli.main(["learn", str(data), "--output", str(output), *arguments])


def refused(*arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        cli.main(["learn", *arguments])
    return str(ended.value)


def test_the_table_is_that_of_the_file(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "l.safetensors"
    table = tmp_path / "l.json"
    learn(data, file, "--held-out", "0.2", "--json", str(table))
    told = capsys.readouterr().out
    learned = lt.load(file)
    rows = torch.from_numpy(np.load(data))
    same = lt.Learner(lt.Ising((3, 3), 1.0), rows, lt.PseudoLikelihood(), held_out=0.2).run()
    assert torch.equal(learned.theta, same.theta)
    found = json.loads(table.read_text())
    log_z = lt.exact.log_z(learned.model)
    for name, part in (("log_likelihood", rows[:240]), ("log_likelihood_held_out", rows[240:])):
        value = -float(learned.model.beta * learned.model.energy(part).mean()) - log_z
        assert found[name] == pytest.approx(value, abs=1e-12)
        assert f"{found[name]:.6f} per row" in told
    assert found["config"]["data"] == "rows.npy"
    assert found["history"]["held_out"][-1] == found["held_out"]
    assert "18 coupling" in told and "converged" in told and "exact" in told


def test_resume_and_info(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole, parts = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    learn(data, whole, *WEIGHED, "--steps", "9")
    learn(data, parts, *WEIGHED, "--steps", "4")
    assert "exists; go on with it by --resume" in refused(str(data), "--output", str(parts))
    learn(data, parts, *WEIGHED, "--steps", "9", "--resume")
    told = capsys.readouterr().out
    assert "going on at step 4 of 9" in told
    learned = lt.load(parts)
    assert torch.equal(learned.theta, lt.load(whole).theta)
    witnesses = learned.witnesses
    line = f"{lt.Estimate(witnesses.log_z, witnesses.log_z_error)} (exact "
    assert line in told and "of 40 witnesses" in told
    cli.main(["info", str(parts)])
    told = capsys.readouterr().out
    assert told.startswith("b.safetensors: learned model, step 9\n")
    assert line in told and "MaximumLikelihood, Jarzynski, walkers 40" in told
    with pytest.raises(SystemExit, match="holds a learned model and no sampler"):
        cli.main(["sample", str(parts), "--output", str(tmp_path / "w.h5")])
    with pytest.raises(SystemExit, match="holds a learned model and no training of a sampler"):
        cli.main(["plot", str(parts), "--output", str(tmp_path)])


def test_penalty_by_held_out_rows(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "l.safetensors"
    options = ["--graph", "complete:9", "--l1", "held-out", "--refit"]
    learn(data, file, *options)
    rows = torch.from_numpy(np.load(data)).flatten(1)
    chosen = lt.learning.choose_l1(lt.Ising(lt.Graph.complete(9), 1.0), rows, refit=True)
    assert f"l1 {chosen.l1:g} is taken" in capsys.readouterr().out
    assert torch.equal(lt.load(file).theta, chosen.learned.theta)
    # The penalty of the file goes on.
    learn(data, file, *options, "--resume")
    assert "is taken" not in capsys.readouterr().out


def test_data_of_runs_and_machines(tmp_path: Path) -> None:
    file = tmp_path / "c.h5"
    chain = lt.io.run_chain(TRUTH, lt.HeatBath(), 20, 10, file, configurations=True, device="cpu")
    kept = chain.drawn
    assert kept is not None
    machine = ["--model", "rbm", "--hidden", "2", "--objective", "maximum-likelihood"]
    learn(file, tmp_path / "m.safetensors", *machine, "--negative", "mean-field", "--steps", "2")
    assert lt.load(tmp_path / "m.safetensors").model.hidden == 2
    learn(file, tmp_path / "l.safetensors", "--field", "uniform", "--coupling", "uniform")
    # Draw after draw, all walkers each time.
    rows = kept.transpose(0, 1).flatten(0, 1)
    objective = lt.PseudoLikelihood()
    same = lt.Learner(lt.Ising((3, 3), 1.0), rows, objective, "uniform", "uniform").run()
    assert torch.equal(lt.load(tmp_path / "l.safetensors").theta, same.theta)


def test_data_of_runs_tell_lattice_and_graph(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = lt.Graph.triangular((3, 2), periodic=False)
    for stands in (graph, lt.Lattice((3, 2), periodic=(False, True))):
        file, output = tmp_path / "c.h5", tmp_path / "l.safetensors"
        for made in (file, output):
            made.unlink(missing_ok=True)
        model = lt.Ising(stands, 0.3)
        lt.io.run_chain(model, lt.HeatBath(), 9, 9, file, configurations=True, device="cpu")
        learn(file, output, "--coupling", "uniform")
        assert lt.load(output).model.lattice == stands
    # Options that say where the sites stand come first.
    learn(file, tmp_path / "all.safetensors", "--graph", "complete:6", "--coupling", "uniform")
    assert lt.load(tmp_path / "all.safetensors").model.lattice == lt.Graph.complete(6)
    cli.main(["info", str(tmp_path / "all.safetensors")])
    assert "\n  graph      Graph.complete(6): 6 sites" in capsys.readouterr().out


def test_sites_of_a_file_are_counted_as_told(data: Path, tmp_path: Path) -> None:
    edges = tmp_path / "edges.txt"
    edges.write_text("".join(f"{site} {site + 1} 1\n" for site in range(1, 9)))
    options = ["--graph", str(edges), "--first-site", "1", "--coupling", "uniform"]
    learn(data, tmp_path / "l.safetensors", *options)
    assert lt.load(tmp_path / "l.safetensors").model.lattice.sites == 9


def test_weighted_walkers_are_drawn_by_their_weights(tmp_path: Path) -> None:
    from leaps_triton.cli.targets.data import read_rows

    file = tmp_path / "w.h5"
    path = lt.AnnealingPath(lt.Ising((3, 3), 0.4))
    sampler = lt.Sampler(path, None, lt.Jump(4), lt.HeatBath(), device="cpu")
    run = lt.io.sample(sampler, walkers=400, file=file, configurations=True)
    rows = read_rows(file).rows
    energy = run.model.energy(rows).mean() / 9
    # Each walker comes within one of its share: far below the error of the estimate.
    assert abs(float(energy) - run.estimate("energy").value) < run.estimate("energy").error


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--walkers", "3"], "--walkers is of --objective maximum-likelihood alone"),
        (["--noise", "cyclic"], "--noise is no option of --objective pseudo-likelihood"),
        ([*WEIGHED[:2], "--witnesses", "3"], "--witnesses is no option of --negative persistent"),
        ([*WEIGHED[:2], "--negative", "exact", "--sweeps", "1"], "--sweeps is no option of"),
        ([*WEIGHED[:2], "--l1", "held-out"], "--l1 held-out is of --objective pseudo-likelihood"),
        (["--hidden", "3"], "--hidden is of --model rbm alone"),
        (["--model", "rbm"], "--model rbm needs --hidden"),
        (["--coupling", "none"], "nothing is left to learn"),
        (["--shape", "4", "4"], "shape"),
    ],
)
def test_what_contradicts_is_refused(
    data: Path, tmp_path: Path, given: list[str], message: str
) -> None:
    assert message in refused(str(data), "--output", str(tmp_path / "l.safetensors"), *given)


def test_files_that_are_no_data_are_refused(tmp_path: Path) -> None:
    output = ["--output", str(tmp_path / "l.safetensors")]
    text = tmp_path / "t.npy"
    text.write_text("no array")
    assert "t.npy is no array of numbers" in refused(str(text), *output)
    line = tmp_path / "line.npy"
    np.save(line, np.zeros(4))
    assert "must hold rows of data" in refused(str(line), *output)
    spins = tmp_path / "spins.npy"
    np.save(spins, np.array([[-1.0, 1.0, 1.0]]))
    assert "spins s = ±1 become states by (s + 1) / 2" in refused(str(spins), *output)
    run = tmp_path / "r.h5"
    lt.io.run_chain(TRUTH, lt.HeatBath(), 2, 10, run, device="cpu")
    assert "r.h5 holds no configurations" in refused(str(run), *output)
