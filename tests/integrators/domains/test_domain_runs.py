"""Domain jumps in whole runs: weights of samples, reversed paths, schedules and training.

Statistical tests have fixed seeds and raise a false alarm with probability 1e-4 each.
"""

from typing import Any

import pytest
import torch
from domain_cases import FIELD
from torch import Tensor, nn

import leaps_triton as lt
from helpers import class_pulls, local_network, sigma_threshold, states
from leaps_triton import exact, kernels
from leaps_triton.kernels import Stream

WALKERS = 20000
RUNS: dict[str, tuple[Any, int | tuple[int, ...]]] = {
    "ising 2x4": (lt.Ising((2, 4), beta=0.2, field=FIELD.view(2, 4)), (2, 1)),
    "potts 4": (lt.Potts(4, q=3, beta=0.7, field=[0.5, 0.0, -0.4]), 1),
}


def run_pulls(model: Any, domain: Any, network: Any, sweeps: bool = False) -> Tensor:
    """``E[e^A f] Z_0/Z_1`` less ``E_ρ[f]``, in sigma.

    ``f`` is 1 and the indicators of eight classes of states.
    """
    path = lt.AnnealingPath(model)
    mcmc = lt.HeatBath() if sweeps else None
    sampler = lt.Sampler(
        path, network, lt.Jump([0.0, 0.4, 1.0], domain=domain), mcmc, block=WALKERS, device="cpu"
    )
    ensemble = sampler.sample(WALKERS, seed=5)
    assert ensemble.ess > 0.3
    return class_pulls(ensemble, path)


@pytest.mark.parametrize("sweeps", [False, True], ids=["jumps", "jumps and heat bath"])
@pytest.mark.parametrize(("model", "domain"), RUNS.values(), ids=RUNS)
def test_a_whole_run_of_an_untrained_network_is_exact(
    model: Any, domain: Any, sweeps: bool
) -> None:
    assert run_pulls(
        model, domain, local_network(model, seed=2, scale=0.7).float(), sweeps
    ).abs().max() < sigma_threshold(9)


class Average(nn.Module):
    """``G = ± c Σ_{j≠i} s_j``.

    Locally equivariant, and reads the whole lattice whatever it says.
    """

    reach = 1

    def forward(self, configurations: Tensor, conditions: lt.Conditions) -> Tensor:
        spins = 2.0 * configurations.float() - 1.0
        others = spins.sum((1, 2), keepdim=True) - spins
        return (-0.2 * spins * others).unsqueeze(1)


def test_a_network_that_reads_moving_domains_is_seen() -> None:
    """What the refusal prevents: by its own account local, it biases.

    Without domains it does not.
    """
    model, domain = RUNS["ising 2x4"]
    assert run_pulls(model, domain, Average()).abs().max() > 2 * sigma_threshold(9)
    assert run_pulls(model, None, Average()).abs().max() < sigma_threshold(9)


def test_reverse_ess_takes_domains() -> None:
    """Its log Z is exact, and its ESS that of the forward sampler: two pulls and a ratio."""
    model, domain = RUNS["potts 4"]
    path, n = lt.AnnealingPath(model), 8000
    target = exact.enumerate_model(model)
    words = kernels.philox(4, Stream.START, 0, 0, 0, torch.arange(n))
    cumulative = target.log_probabilities.exp().cumsum(0)[:-1].contiguous()
    samples = states(model)[torch.searchsorted(cumulative, kernels.uniform64(words[0], words[1]))]
    network = local_network(model, scale=1.0).float()
    sampler = lt.Sampler(
        path, network, lt.Jump(3, domain=domain, reversible="barker"), device="cpu"
    )
    back, forth = lt.reverse_ess(sampler, samples, seed=1), sampler.sample(n, seed=1)
    assert abs(back.log_z - target.log_z) < sigma_threshold(2) * back.log_z_error
    assert abs(forth.log_z - target.log_z) < sigma_threshold(2) * forth.log_z_error
    assert back.ess == pytest.approx(forth.ess, rel=0.1) and 0.3 < back.ess < 0.98


def test_one_evaluation_serves_all_domains() -> None:
    """Far fewer of them than moves; the number a walker is that of the network's calls."""
    model = lt.Ising((32, 32), beta=0.1)
    path, counted = lt.AnnealingPath(model), [0]

    class Flips(nn.Module):
        reach = 1

        def forward(self, configurations: Tensor, conditions: lt.Conditions) -> Tensor:
            counted[0] += len(configurations)
            return (1.0 - 2.0 * configurations.float()).unsqueeze(1)

    plain, cut_up = (
        lt.Sampler(path, Flips(), lt.Jump(1, domain=domain), block=8, device="cpu")
        for domain in (None, 4)
    )
    found = []
    for sampler in (plain, cut_up):
        counted[0] = 0
        found.append(sampler.sample(8, seed=0).evaluations)
        assert counted[0] == 8 * found[-1]
    assert found[0] > 300 and found[1] < 60


def test_schedules_training_and_resampling_take_domains() -> None:
    """What starts intervals in its own way, or waits at boundaries: one pull."""
    model = lt.Ising((4, 4), beta=0.3)
    path = lt.AnnealingPath(model)
    network = lt.HollowConv(model, kernel_size=3, channels=4, width=8, global_features=False)
    sampler = lt.Sampler(path, network, lt.Jump(5, domain=2), device="cpu")
    times = lt.schedules.constant_ess(sampler, 0.9, walkers=64)
    assert times[0] == 0.0 and times[-1] == 1.0 and (times.diff() > 0).all()
    lt.Trainer(sampler, lt.TrainingConfig(steps=3, walkers=8, buffer=16, rollout=16)).run()
    smc = lt.Sampler(
        path, network, lt.Jump(times, domain=2), lt.HeatBath(), 0.95, block=128, device="cpu"
    )
    ensemble = smc.sample(2048, seed=1)
    assert ensemble.resamplings.any()
    assert abs(ensemble.log_z - lt.exact.log_z(model)) < sigma_threshold(1) * ensemble.log_z_error
