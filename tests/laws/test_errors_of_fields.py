"""What is told to those who take for spins what is of fields, or bring fields of their own."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import leaps_triton as lt
from leaps_triton.training.history import Leg, TrainingHistory
from leaps_triton.training.optimizers.guard import Guard

MODEL = lt.PhiFour((4, 4), mass_squared=-1.0, quartic=1.5)
ISING = lt.Ising((4, 4), beta=0.3)
FIELDS = "take lt.HMC or lt.Langevin"
CPU: dict[str, Any] = {"device": "cpu"}


class Well:
    """A target of a user's own with a force, as the guide asks for it."""

    shape = (3,)
    dtype = torch.float64
    beta = 1.0

    def energy(self, configurations: Tensor) -> Tensor:
        return configurations.square().flatten(1).sum(1)

    def force(self, configurations: Tensor) -> Tensor:
        return -2.0 * configurations


class Own(nn.Module):
    """A drift that does not say that it is one."""

    def forward(self, configurations: Tensor, conditions: Any) -> Tensor:
        return -0.5 * configurations


def sampler(model: Any, transport: Any, integrator: Any, mcmc: Any = None) -> lt.Sampler:
    return lt.Sampler(lt.AnnealingPath(model), transport, integrator, mcmc, device="cpu")


def free_path() -> lt.AnnealingPath:
    return lt.AnnealingPath(Well(), start=lt.FreeField(1.0))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: lt.run_chain(Well(), lt.HMC(3), **CPU), r"start= a tensor \(walkers, 3\)"),
        (free_path, r"Well tells its shape alone; add self.lattice = lt.Lattice\(\(3,\)\)"),
        (lambda: sampler(MODEL, Own(), lt.PathRatio(3)), r"networks.ForeignDrift\(model, drift"),
        (lambda: sampler(MODEL, None, lt.MapStep(3)), r"give a drift, mcmc=lt.HMC\(\), or .*Path"),
        (lambda: sampler(ISING, None, lt.Jump(3)), r"a transport, a move \(mcmc=\), Jump"),
        (lambda: sampler(MODEL, None, lt.MapStep(3), lt.HeatBath()), FIELDS),
        (lambda: sampler(MODEL, None, lt.MapStep(3), lt.Metropolis()), FIELDS),
        (lambda: sampler(MODEL, None, lt.MapStep(3), lt.SwendsenWang()), FIELDS),
        (lambda: sampler(MODEL, None, lt.MapStep(3), lt.KineticMonteCarlo(1.0)), FIELDS),
        (lambda: lt.run_chain(MODEL, lt.Overrelaxation(), 4, 10, **CPU), FIELDS),
        (lambda: sampler(MODEL, None, None, lt.Compose(lt.HMC(), lt.Wolff())), FIELDS),
        (lambda: sampler(ISING, None, lt.Jump(3), lt.HMC(3)), "HMC moves real fields"),
        (
            lambda: sampler(ISING, None, lt.Jump(3), lt.HMC(3, step=0.1, fourier=False)),
            "HMC moves real fields",
        ),
        (lambda: sampler(ISING, None, lt.Jump(3), lt.SignCluster()), "take SwendsenWang"),
        (lambda: lt.training.fit_response(lt.AnnealingPath(MODEL)), "response is one of spins"),
        (
            lambda: lt.training.equilibrate(lt.AnnealingPath(MODEL), [1.0], 4, "swendsen_wang"),
            "take refresh='hmc'",
        ),
        (
            lambda: lt.training.transfer(Own(), lt.AnnealingPath(MODEL)),  # type: ignore[type-var]
            "such as a SymmetricConv or a HollowDrift, got Own$",
        ),
    ],
)
def test_errors_say_what_fields_take(call: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        call()
    assert "object at 0x" not in str(caught.value)


def test_a_target_with_a_force_runs_by_itself() -> None:
    start = torch.randn(64, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    chain = lt.run_chain(Well(), walkers=64, sweeps=200, seed=2, start=start, device="cpu")
    assert list(chain.values) == ["energy"]
    # Half a unit per number; four sigma: once in 16000 seeds.
    assert abs(chain.estimate("energy").pull(0.5)) < 4.0


def test_drifts_are_transferred_with_their_parameters() -> None:
    drift = lt.HollowDrift(MODEL, kernel_size=3, channels=3, width=6)
    larger = lt.PhiFour((6, 6), mass_squared=-1.0, quartic=1.5)
    moved = lt.training.transfer(drift, lt.AnnealingPath(larger))
    assert moved.shape == (6, 6)
    for own, other in zip(drift.parameters(), moved.parameters(), strict=True):
        assert torch.equal(own, other)


def test_fields_are_brought_to_equilibrium_by_trajectories_unless_told() -> None:
    path = lt.AnnealingPath(MODEL)
    found = lt.training.equilibrate(path, [0.05], 4, device="cpu")
    told = lt.training.equilibrate(path, [0.05], 4, "hmc", device="cpu")
    assert torch.equal(found.configurations, told.configurations)


def test_a_signed_loss_is_told_with_its_limit() -> None:
    config = lt.TrainingConfig(loss="action_matching", divergence=2.0, refresh="hmc")
    history = TrainingHistory(legs=[Leg(0, 10, 1e-3)])
    guard = Guard(nn.Linear(1, 1), config)
    guard.lowest = -3.0
    with pytest.raises(lt.TrainingDiverged, match=r"loss 5, its lowest -3, with a limit of 3\)"):
        guard.check(nn.Linear(1, 1), 5.0, 1.0, history)


def test_a_step_too_far_names_the_coupling() -> None:
    chain = lt.run_chain(MODEL, lt.HMC(3, step=0.2, fourier=False), 8, 60, **CPU)
    with pytest.warns(lt.LowEssWarning, match="simulate nearer to that value of quartic"):
        found = chain.reweight("field_squared", quartic=60.0)
    assert math.isfinite(found.value)
