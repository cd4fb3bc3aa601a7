"""The command ``scan``: its file, table and figure, and what other commands make of the file."""

import json
from pathlib import Path
from typing import Any

import pytest

import leaps_triton as lt

pytest.importorskip("tyro")

from leaps_triton import cli
from leaps_triton.cli.commands.scan import as_betas
from leaps_triton.report import scans

SMALL = ["--shape", "2", "3", "--device", "cpu"]
METHODS = {
    "chains": ["--beta", "0.2:0.4:3", "--walkers", "8", "--sweeps", "60", "--thin", "1"],
    "tempering": [
        "--beta", "0", "0.2", "0.4", "--method", "tempering", "--walkers", "8", "--sweeps", "60",
        "--thin", "1", "--move", "heat-bath", "houdayer",
    ],
    "annealing": [
        "--beta", "0.2:0.4:3", "--method", "annealing", "--walkers", "64", "--intervals", "5",
    ],
}  # fmt: skip


@pytest.mark.parametrize("method", list(METHODS))
def test_a_scan_is_one_file_one_table_and_one_figure(
    method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "s.h5"
    results = tmp_path / "s.json"
    words = ["scan", "--output", str(file), *SMALL, *METHODS[method]]
    # The other methods are drawn with fewer cells.
    if method != "chains":
        words += ["--observables", "energy", "abs_magnetization"]
    cli.main([*words, "--json", str(results)])
    printed = capsys.readouterr().out
    heads = ["β", "log Z", "energy/N", "|m|", "pulls, (value − exact)"]
    if method == "chains":
        heads += ["χ/N", "c/N", "Binder U"]
    for word in heads:
        assert word in printed
    assert ("Δ log Z" in printed) == (method == "chains")
    assert (tmp_path / "s.png").read_bytes().startswith(b"\x89PNG")
    result = json.loads(results.read_text())
    assert result["method"] == method and len(result["beta"]) == 3
    assert len(result["columns"]["energy"]["pull"]) == 3
    found = lt.io.read_scan(file)
    assert found.method == method and result["beta"] == list(found.betas)
    if method == "tempering":
        chain: Any = found.result
        assert chain.move.move == lt.Compose(lt.HeatBath(packed=False), lt.Houdayer())
    # The same table from the file.
    cli.main(["measure", str(file)])
    again = capsys.readouterr().out
    table = printed.partition("\n\n")[2].partition("caution")[0].partition("scan:")[0]
    assert table.strip() in again
    cli.main(["info", str(file)])
    assert "walkers at 3 temperatures, complete" in capsys.readouterr().out
    if method == "annealing":
        cli.main(["plot", str(file), "--output", str(tmp_path), "--only", "observables"])
        assert (tmp_path / "observables.png").exists()


def test_a_trained_sampler_is_scanned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = lt.AnnealingPath(lt.Potts((2, 3), q=3, beta=0.8, periodic=False))
    network = lt.HollowConv(path.model, kernel_size=3, channels=4, width=8)
    lt.save(lt.Sampler(path, network, lt.Jump(4), device="cpu"), tmp_path / "t.safetensors")
    words = [
        "--beta",
        "0.4",
        "0.8",
        "--method",
        "annealing",
        "--walkers",
        "50",
        "--observables",
        "energy",
    ]
    output = ["--output", str(tmp_path / "s.h5"), "--sampler", str(tmp_path / "t.safetensors")]
    cli.main(["scan", *output, *words, "--intervals", "4", "--device", "cpu"])
    assert "Potts" in capsys.readouterr().out
    assert lt.io.read_scan(tmp_path / "s.h5").betas == (0.4, 0.8)


def test_a_chain_with_both_has_both_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["chain", "--output", str(tmp_path / "c.h5"), *SMALL, "--beta", "0.4", "--walkers", "4"]
    words += ["--sweeps", "40", "--thin", "1", "--observables", "abs_magnetization"]
    cli.main([*words, "energy_at_betas", "--move", "parallel-tempering:betas=0.1/0.4"])
    printed = capsys.readouterr().out
    assert "Δ log Z" in printed and "value ± error" in printed


@pytest.mark.parametrize(
    ("words", "betas"),
    [
        (("0.1:0.3:3",), [0.1, 0.2, 0.3]),
        (("0.38:0.50:13",), [round(0.38 + 0.01 * step, 12) for step in range(13)]),
        (("0.5", "0.1", "1e-2"), [0.5, 0.1, 0.01]),
        (("0:1:2", "2"), [0.0, 1.0, 2.0]),
    ],
)
def test_temperatures_as_words(words: tuple[str, ...], betas: list[float]) -> None:
    assert as_betas(words) == betas


@pytest.mark.parametrize("word", ["a", "0.1:0.2", "0.1:0.2:1", "0.1:0.2:x", "0.1:0.2:3:4", ":", ""])
def test_words_that_are_no_temperatures(word: str) -> None:
    with pytest.raises(ValueError, match=r"--beta must be numbers, or FIRST:LAST:COUNT"):
        as_betas((word,))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--beta", "0.4"], "betas must be two inverse temperatures or more"),
        (["--method", "annealing", "--sweeps", "5"], "sweeps is no option of method='annealing'"),
        (["--intervals", "5"], "intervals is no option of method='chains'"),
        (["--figure", f"{__file__}/at/all.png"], "cannot be made"),
    ],
)
def test_errors_are_one_sentence(words: list[str], message: str) -> None:
    with pytest.raises(SystemExit) as raised:
        cli.main(["scan", "--output", "never.h5", *SMALL, *words])
    text = str(raised.value)
    assert text.startswith("leaps-triton: ") and message in text and "\n" not in text


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (-1.49167, 0.0021, "-1.4917(21)"),
        (12.0, 1.3, "12.0(13)"),
        (250.0, 17.0, "250(17)"),
        (0.5, 0.0999, "0.50(10)"),
        (3.0, 0.0, "3"),
        (3.0, float("nan"), "3"),
    ],
)
def test_values_with_errors_in_brackets(value: float, error: float, text: str) -> None:
    assert scans.brief(value, error) == text
