"""Densities in chains, samplers, files and tables."""

from pathlib import Path
from typing import Any

import pytest
import torch

import leaps_triton as lt

MIXTURE = lt.GaussianMixture.two(1.0)
PATH = lt.AnnealingPath(MIXTURE, start=lt.Gaussian(1.0))
HMC = lt.HMC(step=0.7, fourier=False)


def sampler_of(path: lt.AnnealingPath = PATH, move: Any = HMC, **options: Any) -> lt.Sampler:
    return lt.Sampler(path, None, lt.MapStep(12), move, device="cpu", **options)


@pytest.mark.parametrize("move", [lt.HMC(), lt.Langevin()])
def test_moves_take_masses_of_one_by_themselves(move: Any) -> None:
    found = move.settled(MIXTURE)
    assert found.complete and found.fourier is False and found.masses is None
    assert found == move.settled(None, found)
    assert move.fourier is None and found.settled(MIXTURE) == found


def test_an_annealed_ensemble_has_log_z_and_masses() -> None:
    """Four sigma of five numbers: once in 3000 seeds."""
    ensemble = sampler_of().sample(walkers=4096, seed=0)
    assert abs(ensemble.log_z) < 4.0 * ensemble.log_z_error < 0.05
    masses = MIXTURE.mode_masses(ensemble)
    assert abs(masses[0].pull(0.2)) < 4.0 and abs(masses[1].pull(0.8)) < 4.0
    assert masses[0].value + masses[1].value == pytest.approx(1.0)
    assert abs(ensemble.estimate("schwinger_dyson").pull(1.0)) < 4.0
    resampled = sampler_of(resample_below=0.99, block=256).sample(walkers=4096, seed=1)
    assert abs(MIXTURE.mode_masses(resampled)[0].pull(0.2)) < 4.0


def test_chains_start_by_themselves() -> None:
    """Four sigma: once in 16000 seeds."""
    chain = lt.run_chain(
        MIXTURE, HMC, walkers=128, sweeps=300, burn_in=30, seed=1, device="cpu",
        keep_configurations=True,
    )  # fmt: skip
    assert chain.names == ["energy", "schwinger_dyson"]
    assert abs(chain.estimate("schwinger_dyson").pull(1.0)) < 4.0
    assert abs(MIXTURE.mode_masses(chain)[0].pull(0.2)) < 4.0
    single = lt.GaussianMixture.two(1.0, dtype="float32")
    short = lt.run_chain(single, HMC, walkers=4, sweeps=5, device="cpu")
    assert short.configurations.dtype == torch.float32


def tempered(model: Any, sweeps: int = 300, exchange: bool = True, **told: Any) -> lt.Chain:
    """Chains that all begin in the left mode."""
    return lt.run_chain(
        model, lt.ParallelTempering(move=lt.HMC(step=0.5), exchange=exchange, **told),
        walkers=64, sweeps=sweeps, burn_in=40, seed=2, device="cpu", keep_configurations=True,
        start=torch.full((64, 1), -2.5, dtype=torch.float64),
    )  # fmt: skip


def test_replicas_along_the_path_of_a_density_cross_between_its_modes() -> None:
    """Four sigma: once in 16000 seeds."""
    model = lt.GaussianMixture.two(2.5)
    found = tempered(model, fractions=[0.0, 0.3, 1.0])
    mass = model.mode_masses(found)[0]
    assert mass.error < 0.04 and abs(mass.pull(0.2)) < 4.0
    assert bool((found.state.arrivals > 0).all())
    # Five sigma of a mode are between: without exchanges all stay where they were.
    alone = tempered(model, 20, exchange=False, fractions=[0.0, 0.3, 1.0])
    assert float((alone.configurations < 0.0).double().mean()) == 1.0


def test_densities_are_tempered_in_no_temperature() -> None:
    with pytest.raises(ValueError, match=r"GaussianMixture has no temperature.*fractions=\[0"):
        tempered(MIXTURE, betas=[0.5, 1.0])
    move = lt.ParallelTempering(fractions=[0.5, 1.0], move=HMC)
    with pytest.raises(ValueError, match=r"replica_energies is of replicas at several temp"):
        lt.run_chain(MIXTURE, move, 4, 4, observables=["replica_energies"], device="cpu")
    with pytest.raises(ValueError, match="beta of GaussianMixture must be 1"):
        lt.run_chain(MIXTURE, move, 4, 4, observables=["energy_at_betas"], device="cpu")


@pytest.mark.parametrize(
    "model",
    [MIXTURE, lt.ManyWell(4), lt.Funnel(3, 1.0), lt.LaplacePair(3.0), lt.GaussianMixture.nine()],
)
def test_files_keep_samplers(model: Any, tmp_path: Path) -> None:
    start: Any = lt.Laplace(2.0)
    if model is MIXTURE:
        start = lt.Gaussian(2.0)
    sampler = sampler_of(lt.AnnealingPath(model, start=start), block=16)
    lt.save(sampler, tmp_path / "sampler.safetensors")
    again = lt.load(tmp_path / "sampler.safetensors", device="cpu")
    one = sampler.sample(16, seed=3)
    two = again.sample(16, seed=3)
    assert torch.equal(one.configurations, two.configurations)
    assert torch.equal(one.log_weights, two.log_weights)
    assert repr(again.path.start) == repr(sampler.path.start)
    assert repr(again.path.model) == repr(model)


def test_runs_in_parts_are_the_run(tmp_path: Path) -> None:
    def weighted(name: str, walkers: int, resume: bool = False) -> Any:
        return lt.io.sample(
            sampler_of(block=16), walkers=walkers, file=tmp_path / name, seed=2, resume=resume,
            configurations=True,
        )  # fmt: skip

    def chain(name: str, sweeps: int, resume: bool = False) -> Any:
        return lt.io.run_chain(
            MIXTURE, lt.HMC(step=0.7), walkers=4, sweeps=sweeps, file=tmp_path / name, seed=3,
            burn_in=2, every=10, device="cpu", resume=resume,
        )  # fmt: skip

    whole = weighted("whole.h5", 48)
    weighted("parts.h5", 32)
    parts = weighted("parts.h5", 48, resume=True)
    assert torch.equal(parts.configurations, whole.configurations)
    assert torch.equal(parts.log_weights, whole.log_weights)
    marched = chain("marched.h5", 40)
    chain("halves.h5", 20)
    halves = chain("halves.h5", 40, resume=True)
    assert torch.equal(halves.configurations, marched.configurations)
    assert torch.equal(halves.values["energy"], marched.values["energy"])


def test_what_needs_a_lattice_or_temperatures_is_left_out(tmp_path: Path) -> None:
    pytest.importorskip("tyro")
    from leaps_triton.cli import main

    walkers = str(tmp_path / "walkers.h5")
    lt.io.sample(sampler_of(block=64), walkers=64, file=walkers, configurations=True)
    main(["plot", walkers, "--output", str(tmp_path)])
    assert {file.name for file in tmp_path.iterdir()} == {"walkers.h5", "weights.png"}
    with pytest.raises(ValueError, match="pass no models at other temperatures; leave out along="):
        sampler_of(block=64).sample(64, along=True)


def test_commands_take_files_of_densities(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tyro")
    from leaps_triton.cli import main

    file = str(tmp_path / "sampler.safetensors")
    walkers = str(tmp_path / "walkers.h5")
    lt.save(sampler_of(block=128), file)
    main(["sample", file, "--walkers", "128", "--output", walkers, "--device", "cpu"])
    main(["info", walkers])
    main(["measure", walkers])
    said = capsys.readouterr().out
    assert "GaussianMixture(<2 modes>, dim=1)" in said and "Gaussian, scale 1" in said
    # What is exact stands beside it.
    assert "log Z" in said and "0.00000" in said and "check ⟨x ∂H/∂x⟩" in said
    assert "/ site" not in said
    with pytest.raises(SystemExit):
        main(["chain", "--model", "funnel", "--shape", "4", "--output", walkers])
