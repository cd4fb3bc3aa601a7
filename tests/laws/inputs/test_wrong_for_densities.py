"""What is told to those who give a density what is for lattices, or the other way round."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt


def quadratic(x: Tensor) -> Tensor:
    return -x.square().sum(1)


MODEL: Any = lt.Density(quadratic, 2)
WIDE = lt.Density(quadratic, 17)
PATH = lt.AnnealingPath(MODEL, start=lt.Gaussian(1.0))
SPINS = lt.Ising((4, 4), beta=0.4)
RATES = lt.HollowConv(SPINS, kernel_size=3, channels=2)
MIXTURE = lt.GaussianMixture.two()
ENERGY = lt.LearnedEnergy(MIXTURE, width=4)
FLOW = lt.GradientFlowPath(MIXTURE, ENERGY, start=lt.Gaussian(1.0))


class Own:
    """A start of a user's own.

    Args:
        like: what it draws.
    """

    log_z = 0.0

    def __init__(self, like: Tensor) -> None:
        self.like = like

    def sample(self, walkers: Tensor, seed: int) -> Tensor:
        return self.like.expand(len(walkers), *self.like.shape)


@pytest.mark.parametrize(
    ("start", "got"),
    [
        (MIXTURE, r"torch.float64 of shape \(2, 1\)"),
        (lt.GaussianMixture([[0.0, 0.0]], 1.0, dtype="float32"), r"torch.float32 of shape \(2, 2"),
        (Own(torch.zeros(3, dtype=torch.float64)), r"torch.float64 of shape \(2, 3\)"),
    ],
)
def test_a_start_of_other_configurations_is_refused(start: Any, got: str) -> None:
    # One coordinate too few would be broadcast to two, for a log Z that nothing shows to be wrong.
    with pytest.raises(ValueError, match=rf"must draw configurations of Density.*got {got}"):
        sampled(lt.AnnealingPath(MODEL, start=start), lt.HMC(step=0.3))


def sampled(path: lt.AnnealingPath, move: Any) -> None:
    lt.Sampler(path, None, lt.MapStep(2), move, block=2, device="cpu").sample(2, seed=0)


def test_a_start_of_other_spins_is_refused() -> None:
    other = lt.AnnealingPath(SPINS, start=Own(torch.zeros(4, 4, dtype=torch.int64)))
    with pytest.raises(ValueError, match=r"torch.int8 of shape \(2, 4, 4\).*got torch.int64"):
        sampled(other, lt.HeatBath())
    same = Own(torch.zeros(4, 4, dtype=torch.int8))
    sampled(lt.AnnealingPath(SPINS, start=same), lt.HeatBath())


@pytest.mark.parametrize(
    "make",
    [
        lambda: lt.HollowConv(MODEL),
        lambda: lt.LEC(MODEL),
        lambda: lt.SymmetricConv(MODEL),
        lambda: lt.LocalRates(MODEL),
        lambda: lt.HollowDrift(MODEL),
        lambda: lt.GaussianDrift(MODEL),
        lambda: lt.GradientDrift(MODEL),
        lambda: lt.Sampler(PATH, RATES, lt.MapStep(5)),
        lambda: lt.Sampler(PATH, RATES),
    ],
)
def test_networks_of_lattices_lead_to_drifts_of_vectors(make: Any) -> None:
    with pytest.raises(ValueError, match=r"lt\.DenseDrift\(model\), or lt\.HollowDenseDrift"):
        make()


def test_rates_for_fields_lead_to_drifts_of_fields() -> None:
    path = lt.AnnealingPath(lt.PhiFour((4, 4), -1.0, 1.0))
    with pytest.raises(ValueError, match=r"drift of fields such as lt\.HollowDrift"):
        lt.Sampler(path, RATES)


def test_an_energy_is_no_transport() -> None:
    pytest.importorskip("tyro")
    from leaps_triton.cli.commands.train import _names

    transport: Any = ENERGY
    for path in (PATH, lt.AnnealingPath(SPINS)):
        with pytest.raises(ValueError, match="moves nothing, and so no transport"):
            lt.Sampler(path, transport)
    assert "LearnedEnergy" not in _names()


def test_too_many_coordinates_for_a_map_are_told() -> None:
    path = lt.AnnealingPath(WIDE, start=lt.Gaussian(1.0))
    with pytest.raises(ValueError, match="17 > 16, while those of HollowDenseDrift"):
        lt.Sampler(path, lt.DenseDrift(WIDE, width=4), lt.MapStep(5))


def test_maps_of_a_gradient_flow_are_refused_by_their_reason() -> None:
    with pytest.raises(ValueError, match=r"PathRatio.*RungeKutta.*no proven slope"):
        lt.Sampler(FLOW, None, lt.MapStep(5))


def test_masses_of_a_tensor_are_refused() -> None:
    with pytest.raises(ValueError, match="an ensemble or a chain, which has estimate"):
        MIXTURE.mode_masses(MIXTURE.sample(10))


def test_gauss_newton_is_not_for_rates_of_any_size() -> None:
    sampler = lt.Sampler(lt.AnnealingPath(SPINS), lt.LocalRates(SPINS), lt.Jump(5), device="cpu")
    with pytest.raises(ValueError, match="are for drifts of densities"):
        lt.Trainer(sampler, lt.TrainingConfig.gauss_newton(steps=5))


def test_velocities_off_the_line_are_refused() -> None:
    with pytest.raises(ValueError, match=r"densities on a line.*must have shape"):
        lt.exact.velocity_norm(PATH.log_density, 0.5)


def test_a_function_is_stored_as_a_class_of_ones_own(tmp_path: Path) -> None:
    sampler = lt.Sampler(PATH, None, lt.MapStep(5), lt.HMC(step=0.5), device="cpu")
    with pytest.raises(ValueError, match=r"@lt\.register\('model', 'ring'\) above class Ring"):
        lt.save(sampler, tmp_path / "own.safetensors")


def test_a_burn_in_is_told_and_a_step_needs_none(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "leaps_triton"):
        move = lt.HMC(leapfrogs=3, step=0.5).settled(MODEL)
        assert move.complete
        assert not caplog.records
        lt.HMC(leapfrogs=1).settled(MODEL)
    assert "finding the step of HMC in a burn-in" in caplog.text
