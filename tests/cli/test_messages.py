"""What commands say of words that other programs would take, and of files of another kind."""

from pathlib import Path

import pytest
import torch

import leaps_triton as lt

pytest.importorskip("tyro")

from leaps_triton import cli
from leaps_triton.cli.arguments import prepared
from leaps_triton.cli.results import announce

CHAIN = ["chain", "--output", "never.h5"]


@pytest.mark.parametrize(
    ("words", "lengths"),
    [
        (["--shape", "8x8"], ["--shape", "8", "8"]),
        (["--shape", "8,4,3"], ["--shape", "8", "4", "3"]),
        (["--shape=8×8"], ["--shape", "8", "8"]),
        (["--shape", "8", "x", "4"], ["--shape", "8", "4"]),
        (["--shape", "8", "4", "--field", "-0.2"], ["--shape", "8", "4", "--field", "-0.2"]),
        (["--output", "8x8"], ["--output", "8x8"]),
        (["--observables", "energy,binder"], ["--observables", "energy", "binder"]),
    ],
)
def test_lengths_are_taken_in_one_word(words: list[str], lengths: list[str]) -> None:
    assert prepared(["chain", *words]) == ["chain", *lengths]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*CHAIN, "--temperature", "2.5"], "there is no --temperature; give --beta 0.4, the inv"),
        ([*CHAIN, "--T=2.5"], "there is no --T; give --beta 0.4, the inverse temperature 1/T"),
        ([*CHAIN, "-T", "0"], "there is no -T; give --beta, the inverse temperature 1/T"),
        ([*CHAIN, "-T", "hot"], "there is no -T; give --beta, the inverse temperature 1/T"),
        ([*CHAIN, "-L", "8"], "there is no -L; give --shape 8 8, one length a direction"),
        ([*CHAIN, "--size", "--seed"], "there is no --size; give --shape, one length"),
        ([*CHAIN, "--J", "2"], "there is no --J; give --coupling 2"),
        ([*CHAIN, "--h=0.1"], "there is no --h; give --field 0.1"),
        (["demo", "-L", "8"], "demo has no -L; give --length, of the square lattice"),
        ([*CHAIN, "--device", "gpu"], "got 'gpu': say 'cuda' for a GPU"),
        ([*CHAIN, "--observables", "enrgy"], "got 'enrgy'; did you mean 'energy'?"),
        ([*CHAIN, "--model", "isng"], "there is no model 'isng'; choose from clock, "),
        ([*CHAIN, "--move", "heatbath"], "did you mean 'heat-bath'?"),
        ([*CHAIN, "--observables", "xyz"], "got 'xyz'; there are abs_magnetization, binder, "),
        (["chian", "--output", "x.h5"], "there is no command 'chian'; choose from demo, train, "),
        (["chian", "--output", "x.h5"], "did you mean 'chain'?"),
        (["bench", "--device", "gpu"], "got 'gpu': say 'cuda' for a GPU"),
        (["bench", "enrgy"], "did you mean 'energy'?"),
        (["help"], "; --help tells of each"),
        (["info", "missing.h5"], "missing.h5: No such file or directory"),
        (["info", __file__, "--json", f"{__file__}/at/i.json"], "cannot be made"),
    ],
)
def test_what_other_programs_call_it_is_understood(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert message in str(caught.value.code)
    assert str(caught.value.code).startswith("leaps-triton: ")


def test_a_file_of_another_kind_is_told_by_what_reads_it(tmp_path: Path) -> None:
    run, checkpoint, archive = (tmp_path / name for name in ("r.h5", "s.safetensors", "p.ckpt"))
    path = lt.AnnealingPath(lt.Ising((3, 3), beta=0.3))
    sampler = lt.Sampler(path, None, lt.Jump(3), lt.HeatBath(), block=20, device="cpu")
    lt.save(sampler, checkpoint)
    lt.io.sample(sampler, 20, run)
    archive.write_bytes(b"PK\x03\x04")
    for command in (["sample", str(run), "--output", str(tmp_path / "x.h5")],):
        with pytest.raises(SystemExit, match=r"r\.h5 is an HDF5 file, so a run, .* measure`"):
            cli.main(command)
    with pytest.raises(ValueError, match=r"r\.h5 is an HDF5 file, so a run, .* lt\.io\.read"):
        lt.load(run)
    with pytest.raises(SystemExit, match=r"s\.safetensors is a checkpoint .*`leaps-triton sa"):
        cli.main(["measure", str(checkpoint)])
    with pytest.raises(SystemExit, match=r"s\.safetensors holds a sampler without the state"):
        cli.main(["plot", str(checkpoint)])
    with pytest.raises(ValueError, match=r"s\.safetensors is a checkpoint .* lt\.load"):
        lt.io.read(checkpoint)
    with pytest.raises(ValueError, match=r"p\.ckpt is no leaps_triton .* lt\.load_published_leaps"):
        lt.load(archive)


def test_the_device_is_told_in_plain_words(capsys: pytest.CaptureFixture[str]) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert announce("model", torch.device("cpu")) == "numba kernels on cpu"
    finally:
        torch.set_num_threads(before)
    assert "device cpu (1 thread); numba kernels on cpu" in capsys.readouterr().out
