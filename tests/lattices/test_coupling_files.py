"""Couplings from files: the energies that the lines say, and bonds that do not fit are named."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from leaps_triton.lattices import read_edges


def written(folder: Path, text: str) -> Path:
    file = folder / "couplings.txt"
    file.write_text(text)
    return file


def spins_of(shape: tuple[int, ...], count: int = 5) -> Tensor:
    model = lt.Ising(shape, beta=0.4, periodic=False)
    return lt.AnnealingPath(model).start.sample(torch.arange(count), seed=3)


def energy_of_lines(lines: list[tuple[int, int, float]], x: Tensor) -> Tensor:
    """``-Σ J s_i s_j`` over the lines, sites from 0."""
    s = 2.0 * x.flatten(1).double() - 1.0
    total = torch.zeros(len(x), dtype=torch.float64)
    for i, j, coupling in lines:
        total -= coupling * s[:, i] * s[:, j]
    return total


def all_bonds(lattice: lt.Lattice) -> list[tuple[int, int, float]]:
    """Every bond of a lattice once, every second one told backwards, in no order."""
    forward = lattice.neighbours()[::2]
    lines: list[tuple[int, int, float]] = []
    for row in forward.tolist():
        for i, j in enumerate(row):
            if j >= 0:
                pair = (i, j) if len(lines) % 2 else (j, i)
                lines.append((*pair, 0.25 * (len(lines) % 7) - 0.6))
    return lines[::2] + lines[1::2]


SHAPES: list[tuple[tuple[int, ...], Any]] = [
    ((7,), True),
    ((4, 5), True),
    ((4, 5), (True, False)),
    ((3, 2, 4), False),
    # A periodic length of 2 has two bonds between the same sites.
    ((2, 3), True),
    ((2, 2, 3), (True, False, True)),
]


@pytest.mark.parametrize(("shape", "periodic"), SHAPES)
def test_the_energy_is_that_of_the_lines(
    shape: tuple[int, ...], periodic: Any, tmp_path: Path
) -> None:
    lines = all_bonds(lt.Lattice(shape, periodic))
    x = spins_of(shape)
    expected = energy_of_lines(lines, x)
    text = "# a comment\n\n" + "".join(f"{i}  {j}\t{c}  # bond\n" for i, j, c in lines)
    coupling = lt.read_couplings(written(tmp_path, text), shape, periodic)
    model = lt.EdwardsAnderson(shape, 0.4, coupling=coupling, periodic=periodic)
    assert torch.allclose(model.energy(x), expected, atol=1e-12)
    # The same as a max-cut file: from 1, with minus the weights, in units of 10⁻⁵.
    sites = x[0].numel()
    text = f"{sites} {len(lines)}\n"
    text += "".join(f"{i + 1} {j + 1} {round(-1e5 * c)}\n" for i, j, c in lines)
    cut = lt.read_couplings(written(tmp_path, text), shape, periodic, scale=1e-5)
    assert torch.allclose(cut, coupling, atol=1e-12)
    numbered = "".join(f"{i + 1} {j + 1} {c}\n" for i, j, c in lines)
    again = lt.read_couplings(written(tmp_path, numbered), shape, periodic, first_site=1)
    assert torch.equal(again, coupling)
    np.save(tmp_path / "couplings.npy", coupling.numpy()[..., ::-1])
    flipped = lt.read_couplings(tmp_path / "couplings.npy", shape, periodic)
    assert torch.equal(flipped, coupling.flip(-1))


def test_two_bonds_of_one_pair_take_a_line_each(tmp_path: Path) -> None:
    """On a periodic length of 2 one line is one bond, two are both, three are too many."""
    x = spins_of((2, 3))
    for text in ("0 3 0.5\n", "0 3 0.5\n3 0 0.25\n", "3 0 0.5\n3 0 0.25\n"):
        lines = [(0, 3, float(line.split()[2])) for line in text.splitlines()]
        coupling = lt.read_couplings(written(tmp_path, text), (2, 3))
        model = lt.Ising((2, 3), 0.4, coupling=coupling)
        assert torch.allclose(model.energy(x), energy_of_lines(lines, x))
    with pytest.raises(ValueError, match=r"line 3: sites 3 and 0: .* in line 1 and 2 already"):
        lt.read_couplings(written(tmp_path, "0 3 1\n0 3 1\n3 0 1\n"), (2, 3))


def test_missing_bonds_are_zero_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="leaps_triton"):
        coupling = lt.read_couplings(written(tmp_path, "0 1 0.5\n4 7 -2\n"), (3, 3), periodic=False)
    assert coupling.count_nonzero() == 2
    assert coupling[1, 0, 0] == 0.5 and coupling[0, 1, 1] == -2.0
    assert "names 2 of the 12 bonds of the lattice; the others have J = 0" in caplog.text
    caplog.clear()
    lt.read_couplings(written(tmp_path, "0 1 0.5\n1 2 1\n"), 3, periodic=False)
    assert not caplog.text


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (
            "0 1 1\n1 2 1\n0 4 1\n",
            {},
            r"line 3: sites 0 and 4: they stand at \(0, 0\) and \(1, 1\)",
        ),
        ("0 2 1\n", {"periodic": False}, "line 1: .* neighbours across an open boundary only"),
        ("0 0 1\n", {}, "line 1: sites 0 and 0: a site has no bond with itself"),
        ("0 1 1\n# twice\n1 0 2\n", {}, "line 3: sites 1 and 0: .* was named in line 1 already"),
        ("0 1 1\n-1 2 1\n", {}, "line 2: sites -1 and 2: sites are numbered from 0 to 8"),
        ("0 1 1\n3 12 1\n", {}, "line 2: sites 3 and 12: sites are numbered from 0 to 8"),
        ("0 4 1\n0 5 1\n0 7 1\n0 8 1\n1 3 1", {}, "line 3: .*; and 2 more"),
        ("1 2 1\n9 8 1\n", {}, "names site 9.*sites 0 to 8; .* give first_site=1"),
        ("1 2 1\n2 3 1\n", {}, "names site 0, so that it may count from 0 or from 1"),
        ("0 1 1\n", {"first_site": 1}, "sites are numbered from 1 to 9"),
        ("8 1\n1 2 5\n", {}, r"is of 8 sites, and a lattice of shape \(3, 3\) has 9"),
        ("9 3\n1 2 5\n", {}, "promises 3 edges in its first line.* and has 1"),
        ("0 1 1\n0 3\n", {}, "line 2 of couplings.txt must be `i j J`.* got '0 3'"),
        ("0 1.0 1\n", {}, "line 1 of couplings.txt must be `i j J`"),
        ("0,1,2\n", {}, "line 1 of couplings.txt must be `i j J`"),
        ("0 1 nan\n", {}, "line 1 of couplings.txt: the coupling must be finite, got nan"),
        ("# nothing\n", {}, "has no line `i j J`"),
        ("0 1 1\n", {"first_site": 2}, "first_site must be an integer from 0 to 1"),
        ("0 1 1\n", {"scale": "1"}, "scale must be a finite number"),
    ],
)
def test_what_does_not_fit_is_named(
    text: str, options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        lt.read_couplings(written(tmp_path, text), (3, 3), **options)


def test_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "couplings.npy"
    for array, message in (
        (np.ones((2, 3, 4)), r"shape \(2, 3, 3\) .* got \(2, 3, 4\)"),
        (np.full((2, 3, 3), np.nan), "finite"),
        (np.ones((2, 3, 3)) * 1j, "real numbers"),
        (np.array([{}]), "no NumPy array of numbers"),
    ):
        np.save(file, array, allow_pickle=True)
        with pytest.raises(ValueError, match=message):
            lt.read_couplings(file, (3, 3))
    file.write_bytes(file.read_bytes()[:20])
    with pytest.raises(ValueError, match="is damaged"):
        lt.read_couplings(file, (3, 3))
    file.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(ValueError, match="is no text of lines"):
        lt.read_couplings(file, (3, 3))
    for wrong in (3, None, "", "a\0b", object()):
        with pytest.raises(ValueError, match="file must be the name of a file"):
            lt.read_couplings(wrong, (3, 3))  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        lt.read_couplings(tmp_path / "none.txt", (3, 3))


def test_edges_are_as_the_file_has_them(tmp_path: Path) -> None:
    edges = read_edges(written(tmp_path, "3 2\n1 3 5\n\n3 2 -4\n"))
    assert edges.header == (3, 2)
    assert edges.lines == [2, 4]
    assert edges.pairs == [(1, 3), (3, 2)]
    assert edges.couplings == [-5.0, 4.0]
