"""What ``leaps-triton info`` prints: lines for a person, and JSON for machines."""

import json
from pathlib import Path

import pytest

import leaps_triton as lt

pytest.importorskip("tyro")

from leaps_triton import cli


def test_info_is_lines_of_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, table = tmp_path / "s.safetensors", tmp_path / "s.json"
    model = lt.Ising((4, 4), beta=0.3)
    network = lt.LocalRates(model, shells=2, width=8)
    sampler = lt.Sampler(lt.AnnealingPath(model), network, lt.Jump(7), lt.HeatBath(2), device="cpu")
    lt.save(sampler, file)
    cli.main(["info", str(file), "--json", str(table)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "s.safetensors: sampler"
    assert lines[1] == f"  model      {model!r}"
    assert "  network    LocalRates, shells 2, width 8, seed 0, gauge heat_bath" in lines
    assert "  moves      HeatBath, sweeps 2, packed walkers" in lines
    assert "  resampling none" in lines
    assert "  next       leaps-triton sample s.safetensors --output walkers.h5" in lines
    text = "\n".join(lines[:-1])
    # Neither Python's nor JSON's brackets, nor what is not set.
    assert not set("{}[]'") & set(text) and "None" not in text
    assert max(len(line) for line in lines[:-1]) <= 100
    assert json.loads(table.read_text())["network"]["settings"]["width"] == 8


def test_info_of_a_chain_names_move_and_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "c.h5"
    lt.io.run_chain(lt.Ising((3, 3), 0.3), lt.HeatBath(), 2, 20, file, device="cpu")
    cli.main(["info", str(file)])
    printed = capsys.readouterr().out
    assert "c.h5: chain, 20 of 20 draws of 2 walkers, complete" in printed
    assert "\n  move       HeatBath, sweeps 1" in printed and "\n  run        walkers 2" in printed
    assert "\n  next       leaps-triton measure c.h5; leaps-triton plot c.h5" in printed


def test_info_of_replicas_tells_graph_and_moves_one_after_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "c.h5"
    moves = lt.Compose(lt.HeatBath(), lt.Houdayer())
    tempering = lt.ParallelTempering(betas=[0.1, 0.3], move=moves)
    lt.io.run_chain(lt.Ising(lt.Graph.complete(4), 0.3), tempering, 2, 4, file, device="cpu")
    cli.main(["info", str(file)])
    printed = capsys.readouterr().out
    assert "\n  graph      Graph.complete(4): 4 sites, 6 bonds" in printed
    told = (
        "ParallelTempering, Compose, moves HeatBath, sweeps 1 + Houdayer, clusters 1, betas 0.1 0.3"
    )
    assert told in " ".join(printed.split())
