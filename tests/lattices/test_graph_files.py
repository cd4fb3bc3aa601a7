"""Graphs from files of edges."""

from pathlib import Path

import pytest
import torch

import leaps_triton as lt


def written(folder: Path, text: str) -> Path:
    file = folder / "graph.txt"
    file.write_text(text)
    return file


def test_lines_are_edges_in_their_order(tmp_path: Path) -> None:
    found = lt.read_graph(written(tmp_path, "3 0 2 # a bond\n0 1 -1\n\n4 3 0.5\n"), scale=2.0)
    assert found.graph.edges.tolist() == [[3, 0], [0, 1], [4, 3]]
    assert found.graph.sites == 5
    assert found.coupling.tolist() == [4.0, -2.0, 1.0]


def test_a_max_cut_file_counts_from_1_and_turns_the_sign(tmp_path: Path) -> None:
    found = lt.read_graph(written(tmp_path, "5 2\n1 2 3\n3 1 -4\n"))
    assert found.graph == lt.Graph([(0, 1), (2, 0)], sites=5)
    assert found.coupling.tolist() == [-3.0, 4.0]


def test_a_file_of_a_lattice_has_its_energies(tmp_path: Path) -> None:
    lines = [f"{i} {j} {k + 1}" for k, (i, j) in enumerate([(0, 1), (1, 2), (0, 3), (4, 5)])]
    file = written(tmp_path, "\n".join(lines))
    graph, coupling = lt.read_graph(file)
    lattice = lt.Ising((2, 3), 1.0, lt.read_couplings(file, (2, 3), periodic=False))
    x = torch.tensor([[0, 1, 1, 0, 1, 0], [1, 1, 0, 0, 0, 0]], dtype=torch.int8)
    energies = lt.Ising(graph, 1.0, coupling).energy(x)
    assert torch.equal(energies, lattice.energy(x.view(2, 2, 3)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 1\n", "names site 0, so that it may count from 0 or from 1"),
        ("0 1 1\n1 0 2\n", "line 2: sites 1 and 0: the bond was named in line 1 already"),
        ("0 1 1\n2 2 1\n", "line 2: sites 2 and 2: a site has no bond with itself"),
        ("3 1\n1 4 1\n", "line 2: sites 1 and 4: sites are numbered from 1 to 3"),
        ("0 1\n", "promises 1 edges|has no line"),
    ],
)
def test_lines_that_do_not_fit_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lt.read_graph(written(tmp_path, text))


def test_the_first_site_may_be_told(tmp_path: Path) -> None:
    file = written(tmp_path, "1 2 1\n")
    assert lt.read_graph(file, first_site=1).graph.sites == 2
    assert lt.read_graph(file, first_site=0).graph.sites == 3
