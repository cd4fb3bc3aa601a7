"""Graphs on the command line: names with lengths, files, and what contradicts."""

from pathlib import Path
from typing import Any

import pytest

import leaps_triton as lt

pytest.importorskip("tyro")

import tyro

from leaps_triton.cli.commands.info import Info
from leaps_triton.cli.options import ModelOptions, config

NAMED = {
    "triangular:6x3": lt.Graph.triangular((6, 3)),
    "honeycomb:4x4": lt.Graph.honeycomb((4, 4)),
    "kagome:2,3": lt.Graph.kagome((2, 3)),
    "king:4x4": lt.Graph.king((4, 4)),
    "complete:5": lt.Graph.complete(5),
    "bipartite:3x2": lt.Graph.bipartite(3, 2),
}


@pytest.mark.parametrize("word", list(NAMED))
def test_a_graph_by_name(word: str) -> None:
    options = ModelOptions(graph=word, beta=0.2)
    assert options.make().lattice == NAMED[word]
    assert tyro.cli(ModelOptions, args=["--graph", word, "--beta", "0.2"]) == options
    assert config(options)["graph"] == word


def test_open_boundaries_and_couplings_by_class() -> None:
    options = ModelOptions(
        graph="kagome:3x3", open_boundaries=True, coupling=(1.0, 0.5, 0.25), model="potts", q=3
    )
    model = options.make()
    assert model.lattice == lt.Graph.kagome((3, 3), periodic=False)
    assert sorted(set(model.coupling.flatten().tolist())) == [0.25, 0.5, 1.0]


def test_a_graph_from_a_file_has_its_couplings(tmp_path: Path) -> None:
    file = tmp_path / "ring.mc"
    file.write_text("3 3\n1 2 1\n2 3 2\n3 1 -3\n")
    options = ModelOptions(
        graph=str(file), model="edwards-anderson", coupling_scale=0.5, first_site=1
    )
    assert options.make().coupling.tolist() == [[-0.5, -1.0, 1.5]]
    # A result tells nothing of folders.
    assert config(options)["graph"] == "ring.mc"
    with pytest.raises(ValueError, match=r"--coupling and --graph .* both say what J is"):
        ModelOptions(graph=str(file), coupling=(1.0,)).make()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"graph": "triangle:3x3"}, "there is no graph 'triangle'.*triangular"),
        ({"graph": "nothing.txt"}, "no graph and no file 'nothing.txt'"),
        ({"graph": "king:4"}, "another number of lengths"),
        ({"graph": "complete:4", "open_boundaries": True}, "--open-boundaries says nothing of"),
        ({"graph": "complete:4", "shape": (4,)}, "--shape and --graph both say where sites stand"),
        ({"graph": "king:4x4", "couplings": Path("J.txt")}, "--couplings are those of a lattice"),
        ({"graph": "king:4x4", "first_site": 1}, "--first-site is of a file"),
        ({"graph": "king:4x4", "model": "phi4", "mass_squared": 1.0, "quartic": 1.0}, "--graph is"),
    ],
)
def test_what_contradicts_the_graph_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModelOptions(**given).make()


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (lt.Ising(lt.Graph.complete(40), 0.1), "energies and log-ratios by matrix product, sweeps"),
        (lt.RBM([[1.0, 0.5], [0.0, 1.0]]), "energies, log-ratios and heat bath layer by layer,"),
    ],
    ids=repr,
)
def test_info_says_how_neighbours_are_summed(
    model: lt.PairModel, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "sampler.safetensors"
    lt.save(lt.Sampler(lt.AnnealingPath(model), None, mcmc=lt.HeatBath()), file)
    Info(file).run()
    assert f"  neighbours {words}" in capsys.readouterr().out
