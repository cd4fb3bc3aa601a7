"""Energies that forbid configurations, and energies that are no numbers."""

import math
from typing import Any

import pytest
from torch import Tensor

import leaps_triton as lt


class Exclusion:
    """Sites 0 and 1 may not both be occupied; each occupied site has energy -1."""

    lattice = lt.Lattice((2, 2), periodic=False)
    q = 2
    beta = 1.0

    def __init__(self, forbidden: float = math.inf) -> None:
        self.forbidden = forbidden

    def energy(self, configurations: Tensor) -> Tensor:
        occupied = configurations.flatten(1).double()
        both = occupied[:, 0] * occupied[:, 1] == 1.0
        return (-occupied.sum(1)).masked_fill(both, self.forbidden)


def mean_energy() -> float:
    """By hand: sites 2 and 3 are free, sites 0 and 1 have three states."""
    e = math.e
    return -(2 * e / (1 + e) + 2 * e / (1 + 2 * e)) / 4


def test_exact_values_leave_forbidden_configurations_out() -> None:
    log_z = 2 * math.log(1 + math.e) + math.log(1 + 2 * math.e)
    assert lt.exact.log_z(Exclusion()) == pytest.approx(log_z, rel=1e-14)
    assert lt.exact.energy(Exclusion()) == pytest.approx(mean_energy(), rel=1e-14)
    assert math.isfinite(lt.exact.specific_heat(Exclusion()))


@pytest.mark.parametrize("move", [lt.HeatBath(), lt.Metropolis()])
def test_chains_keep_out_of_forbidden_configurations(move: Any) -> None:
    chain = lt.run_chain(Exclusion(), move, walkers=64, sweeps=300, seed=3, device="cpu")
    estimate = chain.estimate("energy")
    assert math.isfinite(estimate.error)
    # 4 sigma: by chance once in 16 000 runs.
    assert abs(estimate.pull(mean_energy())) < 4.0


@pytest.mark.parametrize("value", [math.nan, -math.inf])
@pytest.mark.parametrize("move", [lt.HeatBath(), lt.Metropolis(), lt.KineticMonteCarlo(0.5)])
def test_an_energy_that_is_no_number_is_refused(value: float, move: Any) -> None:
    message = f"energy.configurations. of Exclusion is {value} for .* infinity for a forbidden"
    with pytest.raises(ValueError, match=message):
        lt.run_chain(Exclusion(value), move, walkers=64, sweeps=10, seed=3, device="cpu")


def test_weighted_walkers_say_that_a_start_is_forbidden() -> None:
    path = lt.AnnealingPath(Exclusion())
    sampler = lt.Sampler(path, None, lt.Jump(4), lt.HeatBath(), device="cpu")
    message = "log-weight -inf.*an infinite energy forbids"
    with pytest.raises(RuntimeError, match=message):
        sampler.sample(64, seed=0)
