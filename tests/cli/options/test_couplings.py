"""Couplings on the command line: one per direction, and one per bond from a file."""

from pathlib import Path
from typing import Any

import pytest
import torch

import leaps_triton as lt

pytest.importorskip("tyro")

import tyro

from leaps_triton.cli.options import ModelOptions

LINES = "6 7\n1 2 3\n2 3 -4\n3 1 5\n4 5 -6\n1 4 7\n2 5 8\n6 3 9\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "couplings.txt"
    found.write_text(LINES)
    return found


@pytest.mark.parametrize(
    "given",
    [
        {"model": "ising"},
        {"model": "edwards-anderson"},
        {"model": "potts", "q": 3},
        {"model": "clock", "q": 4},
    ],
)
def test_models_take_couplings_of_a_file(given: dict[str, Any], file: Path) -> None:
    options = ModelOptions(shape=(2, 3), couplings=file, coupling_scale=0.5, **given)
    expected = lt.read_couplings(file, (2, 3), scale=0.5)
    assert torch.equal(options.make().coupling, expected)
    assert expected[1, 0, 2] == -2.5


def test_lines_may_count_from_1(tmp_path: Path) -> None:
    file = tmp_path / "chain.txt"
    file.write_text("1 2 0.5\n2 3 0.25\n")
    options = ModelOptions(shape=(3,), couplings=file, first_site=1, open_boundaries=True)
    assert options.make().coupling.tolist() == [[0.5, 0.25, 0.0]]


def test_one_coupling_per_direction() -> None:
    options = ModelOptions(shape=(3, 4), coupling=(1.0, 0.5))
    assert options.make().coupling.flatten().tolist() == [1.0, 0.5]
    assert ModelOptions(coupling=(0.5,)).make().coupling.item() == 0.5
    words = ["--shape", "3", "4", "--coupling", "1.0", "0.5"]
    assert tyro.cli(ModelOptions, args=words) == options


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"coupling": (1.0,)}, "--coupling and --couplings both say what J is"),
        ({"model": "edwards-anderson", "disorder": "pm1"}, "--disorder and --couplings both"),
        ({"model": "edwards-anderson", "disorder_seed": 3}, "--disorder-seed and --couplings both"),
        ({"couplings": None, "first_site": 1}, "--first-site is of the file of --couplings"),
        ({"couplings": None, "coupling_scale": 2.0}, "--coupling-scale is of the file of --coup"),
        ({"shape": (3, 3)}, "is of 6 sites, and a lattice of shape"),
        ({"coupling": (1.0, 2.0, 3.0), "couplings": None}, "coupling must have shape"),
    ],
)
def test_what_contradicts_is_refused(given: dict[str, Any], message: str, file: Path) -> None:
    with pytest.raises(ValueError, match=message):
        ModelOptions(**{"shape": (2, 3), "couplings": file, **given}).make()
