"""Files of figures: their kind by ending, panels alone, and why a figure is left out."""

from pathlib import Path

import pytest

import leaps_triton as lt

pytest.importorskip("tyro")

from leaps_triton import cli
from leaps_triton.report import by_temperature

STARTS = {".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("runs")
    found = []
    for beta in (0.3, 0.5):
        file = folder / f"c{beta}.h5"
        lt.io.run_chain(lt.Ising((2, 3), beta), lt.HeatBath(), 4, 40, file, device="cpu")
        found.append(str(file))
    return found


@pytest.mark.parametrize("ending", STARTS)
def test_a_figure_is_of_the_kind_that_its_name_says(
    ending: str, files: list[str], tmp_path: Path
) -> None:
    file = tmp_path / f"snaps{ending}"
    cli.main(["plot", *files, "--only", "snapshots", "--output", str(file)])
    assert file.read_bytes().startswith(STARTS[ending])
    cli.main(["plot", *files, "--only", "snapshots", "--output", str(tmp_path), "--format", "svg"])
    assert (tmp_path / "snapshots.svg").read_bytes().startswith(STARTS[".svg"])


def test_panels_are_files_of_their_own(
    files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Exact curves of few points, which take less time.
    monkeypatch.setattr(by_temperature, "_POINTS", 3)
    where = ["--output", str(tmp_path / "all.pdf"), "--dpi", "40"]
    cli.main(["plot", *files, "--only", "observables", "snapshots", "--separate", *where])
    names = {f"all-observables-{name}.pdf" for name in lt.io.OBSERVABLES}
    assert {file.name for file in tmp_path.iterdir()} == {*names, "all-snapshots.pdf"}


def test_what_is_left_out_is_told_with_the_reason(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--output", str(tmp_path), "--dpi", "40"]
    cli.main(["plot", files[0], *where])
    printed = capsys.readouterr().out
    assert "observables: left out, all files are of one temperature, β = 0.3; leaps" in printed
    assert "weights: left out, it takes a file of weighted walkers" in printed
    # By name it is drawn all the same.
    cli.main(["plot", files[0], "--only", "observables", *where])
    assert (tmp_path / "observables.png").exists()


def test_a_kind_that_no_figure_has_is_refused_before_the_work(
    files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=r"a figure must end in \.png, \.pdf or \.svg, got d\.tx"):
        cli.main(["demo", "--figure", "d.txt"])
    both = ["--output", "x.pdf", "--format", "svg"]
    with pytest.raises(SystemExit, match=r"give --format for a folder alone, and not for the file"):
        cli.main(["plot", *files, *both])
    assert not list(tmp_path.iterdir())
