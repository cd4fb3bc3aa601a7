"""Files of samplers whose path is learned: its tensors are kept, and runs go on with them."""

from pathlib import Path
from typing import Any

import pytest
import torch

import leaps_triton as lt
from curve_cases import Bent, bent, plane
from leaps_triton.io.checkpoint import describe
from leaps_triton.io.results import Run
from leaps_triton.paths.base import learned_of


def correct(energy: Any) -> lt.AnnealingPath:
    return lt.AnnealingPath(plane(), lt.Gaussian(1.5), correction=energy)


def flow(energy: Any) -> lt.GradientFlowPath:
    return lt.GradientFlowPath(plane(), energy, start=lt.Gaussian(1.5))


def sampler_of(path: lt.AnnealingPath) -> lt.Sampler:
    if isinstance(path, lt.GradientFlowPath):
        ratio = lt.PathRatio(3)
        return lt.Sampler(path, integrator=ratio, block=16, device="cpu")
    return lt.Sampler(path, None, lt.MapStep(3), lt.HMC(step=0.5), block=16, device="cpu")


def energies() -> dict[str, Any]:
    """Learned energies that differ from what their settings make."""
    own = Bent(plane(), 0.5).double()
    learned = lt.LearnedEnergy(plane(), width=4, seed=1)
    with torch.no_grad():
        own.strength.add_(0.25)
        learned.readout.weight.mul_(5.0)
    return {"own": own, "learned": learned}


@pytest.mark.parametrize("make", [correct, flow])
@pytest.mark.parametrize("name", ["own", "learned"])
def test_a_learned_path_comes_back_from_its_file(make: Any, name: str, tmp_path: Path) -> None:
    sampler = sampler_of(make(energies()[name]))
    lt.save(sampler, tmp_path / "curved.safetensors")
    again = lt.load(tmp_path / "curved.safetensors", device="cpu")
    assert type(again.path) is type(sampler.path)
    assert type(again.transport) is type(sampler.transport)
    before = sampler.sample(16, seed=4)
    after = again.sample(16, seed=4)
    assert torch.equal(before.log_weights, after.log_weights)
    assert torch.equal(before.configurations, after.configurations)


def test_files_of_straight_paths_say_no_more_than_before() -> None:
    path = lt.AnnealingPath(plane(), lt.Gaussian(1.5))
    contents = describe(sampler_of(path))
    assert contents.manifest["path"].keys() == {"start", "schedule"}
    assert contents.tensors.keys() == {"integrator.times"}


def test_the_velocity_is_stored_once() -> None:
    contents = describe(sampler_of(flow(energies()["learned"])))
    assert contents.manifest["network"] is None
    kept = [name for name in contents.tensors if name.startswith("correction.")]
    assert len(kept) == 5
    assert contents.tensors.keys() - set(kept) == {"integrator.times"}


@pytest.mark.parametrize("make", [correct, flow])
def test_a_run_goes_on_with_the_energy_of_its_file_alone(make: Any, tmp_path: Path) -> None:
    whole = lt.io.sample(sampler_of(make(energies()["own"])), 48, tmp_path / "whole.h5", seed=3)
    file = tmp_path / "parts.h5"
    lt.io.sample(sampler_of(make(energies()["own"])), 16, file, seed=3)
    parts = lt.io.sample(sampler_of(make(energies()["own"])), 48, file, seed=3, resume=True)
    assert torch.equal(parts.log_weights, whole.log_weights)
    read = lt.io.read(file)
    assert isinstance(read, Run)
    assert read.sampler is not None
    assert isinstance(learned_of(read.sampler.path), Bent)
    other = Bent(plane(), 0.5).double()
    with pytest.raises(ValueError, match=r"correction\.strength has other values"):
        lt.io.sample(sampler_of(make(other)), 64, file, seed=3, resume=True)


def test_what_cannot_be_stored_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the correction must be one of"):
        lt.save(sampler_of(correct(bent)), tmp_path / "curved.safetensors")

    class Mine(lt.AnnealingPath):
        pass

    path = Mine(plane(), lt.Gaussian(1.5))
    with pytest.raises(ValueError, match="path must be an AnnealingPath"):
        lt.save(sampler_of(path), tmp_path / "curved.safetensors")
