"""`leaps-triton sample` of a trained network: another β, another lattice, other intervals."""

from pathlib import Path

import pytest

import leaps_triton as lt

pytest.importorskip("tyro")

from leaps_triton.cli.commands.sample import Sample


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = lt.Ising((4, 4), beta=0.4)
    path = lt.AnnealingPath(model)
    response = lt.training.fit_response(path, walkers=128, times=4)
    network = lt.SymmetricConv(model, kernel_size=3, widths=(4, 4)).stand_on(response)
    file = tmp_path_factory.mktemp("trained") / "ising.safetensors"
    lt.save(lt.Sampler(path, network, lt.Jump(8), block=64, device="cpu"), file)
    return file


@pytest.mark.parametrize("beta", [0.2, 0.3])
def test_a_file_serves_other_temperatures_and_intervals(
    checkpoint: Path, tmp_path: Path, beta: float
) -> None:
    file = tmp_path / "walkers.h5"
    Sample(file, checkpoint, beta=beta, intervals=5, walkers=64, device="cpu").run()
    run = lt.io.read(file)
    assert isinstance(run, lt.io.Run)
    assert run.model.beta == beta
    assert run.sampler.integrator.intervals == 5
    exact = lt.exact.log_z(run.model)
    # A false alarm of one in 8 000 at four standard errors, for one of the two.
    assert abs(run.log_z - exact) < 4.0 * run.log_z_error + 1e-3


def test_a_file_serves_another_lattice(checkpoint: Path, tmp_path: Path) -> None:
    file = tmp_path / "walkers.h5"
    Sample(file, checkpoint, shape=(3, 5), walkers=64, device="cpu").run()
    run = lt.io.read(file)
    assert isinstance(run, lt.io.Run)
    assert run.model.shape == (3, 5)
    assert abs(run.log_z - lt.exact.log_z(run.model)) < 4.0 * run.log_z_error + 1e-3


@pytest.mark.parametrize(
    ("words", "move"),
    [
        (("swendsen-wang:sweeps=2",), lt.SwendsenWang(2)),
        (("auto",), lt.default_move(lt.Ising((4, 4), beta=0.4))),
        (("none",), None),
    ],
)
def test_a_file_serves_with_other_moves(
    checkpoint: Path, tmp_path: Path, words: tuple[str, ...], move: lt.SwendsenWang | None
) -> None:
    file = tmp_path / "walkers.h5"
    Sample(file, checkpoint, move=words, walkers=64, device="cpu").run()
    run = lt.io.read(file)
    assert isinstance(run, lt.io.Run)
    plain = lt.load(checkpoint, "cpu")
    assert repr(run.sampler.mcmc) == repr(plain.with_move(move).mcmc)
    # A false alarm of one in 8 000 at four standard errors, for one of the three.
    assert abs(run.log_z - lt.exact.log_z(run.model)) < 4.0 * run.log_z_error + 1e-3


def test_what_is_of_densities_alone_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--leapfrogs goes with --model alone"):
        Sample(tmp_path / "walkers.h5", checkpoint, leapfrogs=2).run()
