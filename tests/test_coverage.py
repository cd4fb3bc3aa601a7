"""Every error bar means what it says: of 400 independent runs, one-sigma intervals hold the exact value in 68.3 %.

Seven per cent is three sigma of that count; seeds are fixed.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch

import leaps_triton as lt
from leaps_triton import estimators, exact, observables
from leaps_triton.chain import Chain
from leaps_triton.estimators import Estimate

# One estimate in a thousand warns of its chains by chance, and here are thousands.
pytestmark = pytest.mark.filterwarnings("ignore::leaps_triton.ShortChainWarning")

RUNS = 400
MODEL = lt.Ising((3, 4), beta=0.3, field=0.05)
NAMES = (
    "energy",
    "abs_magnetization",
    "magnetization_squared",
    "susceptibility",
    "susceptibility_full",
    "specific_heat",
    "binder",
    "correlation_length",
)


def share_covered(pulls: Iterator[float]) -> float:
    inside = [abs(pull) < 1 for pull in pulls]
    assert len(inside) == RUNS
    return sum(inside) / RUNS


def truth(name: str) -> float:
    return float(exact.expectation(MODEL, getattr(observables, name)))


@pytest.fixture(scope="module")
def ensembles() -> list[lt.WeightedEnsemble]:
    """One call of the sampler, cut into independent parts."""
    each = 120
    sampler = lt.Sampler(lt.AnnealingPath(MODEL), None, lt.Jump(6), lt.HeatBath(), block=4096, device="cpu")
    whole = sampler.sample(RUNS * each, seed=1)
    parts = zip(whole.configurations.split(each), whole.log_weights.split(each), strict=True)
    return [replace(whole, configurations=x, log_weights=a) for x, a in parts]


@pytest.fixture(scope="module")
def chains() -> list[Chain]:
    """One call of run_chain, four walkers a run."""
    whole = lt.run_chain(
        MODEL, lt.HeatBath(), walkers=4 * RUNS, sweeps=250, burn_in=30, seed=2, device="cpu", observables=NAMES
    )
    return [
        replace(whole, values={name: value[4 * run : 4 * run + 4] for name, value in whole.values.items()})
        for run in range(RUNS)
    ]


@pytest.mark.parametrize("name", NAMES)
def test_weighted_walkers(ensembles: list[lt.WeightedEnsemble], name: str) -> None:
    expected = truth(name)
    covered = share_covered(e.estimate(getattr(observables, name)).pull(expected) for e in ensembles)
    assert abs(covered - 0.683) < 0.07, covered


LOG_Z, ENERGY = exact.log_z(MODEL), exact.energy(MODEL)
THERMODYNAMICS: dict[str, tuple[Callable[[lt.WeightedEnsemble], Estimate], float]] = {
    "log Z": (lambda e: Estimate(e.log_z, e.log_z_error), LOG_Z),
    "free energy": (estimators.free_energy, -LOG_Z / (0.3 * 12)),
    "entropy": (estimators.entropy, LOG_Z / 12 + 0.3 * ENERGY),
}


@pytest.mark.parametrize("name", THERMODYNAMICS)
def test_free_energies(ensembles: list[lt.WeightedEnsemble], name: str) -> None:
    estimate, expected = THERMODYNAMICS[name]
    covered = share_covered(estimate(e).pull(expected) for e in ensembles)
    assert abs(covered - 0.683) < 0.07, covered


@pytest.mark.parametrize("name", NAMES)
def test_chains(chains: list[Chain], name: str) -> None:
    expected = truth(name)
    covered = share_covered(chain.estimate(name).pull(expected) for chain in chains)
    assert abs(covered - 0.683) < 0.07, covered


def test_blocks_of_relatives() -> None:
    """As after a resampling: walkers of a block share much of their value and all of their weight.

    Shared ``g`` and own ``o`` are standard normal, ``x = g + o``, ``A = g/2``: under the weights x has mean 1/2.
    """
    blocks, size = 40, 8
    noise = torch.randn(RUNS, blocks, size + 1, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    common, own = noise[..., :1], noise[..., 1:]
    x, a = (common + own).flatten(1), (0.5 * common + 0.0 * own).flatten(1)
    covered = share_covered(estimators.weighted_estimate(*run, block=size).pull(0.5) for run in zip(x, a, strict=True))
    assert abs(covered - 0.683) < 0.07, covered
    alone = share_covered(estimators.weighted_estimate(*run).pull(0.5) for run in zip(x, a, strict=True))
    assert alone < 0.5


def test_estimates_of_free_energies_are_their_definitions(ensembles: list[lt.WeightedEnsemble]) -> None:
    e = ensembles[0]
    free, entropy, energy = estimators.free_energy(e), estimators.entropy(e), e.estimate(observables.energy)
    assert free.value == pytest.approx(-e.log_z / (0.3 * 12)) and free.error == pytest.approx(
        e.log_z_error / (0.3 * 12)
    )
    assert entropy.value == pytest.approx(0.3 * energy.value - 0.3 * free.value)
    # Relatives in blocks of 50, 50 and 20.
    weights, energies = e.log_weights.exp(), MODEL.energy(e.configurations)
    left_out = []
    for block in range(3):
        kept = torch.arange(120) // 50 != block
        mean = float((weights * energies)[kept].sum() / weights[kept].sum())
        left_out.append((math.log(float(weights[kept].mean())) + 0.3 * mean) / 12)
    centre = sum(left_out) / 3
    expected = math.sqrt(2 / 3 * sum((value - centre) ** 2 for value in left_out))
    relatives = replace(e, resamplings=torch.ones_like(e.resamplings), block=50)
    assert estimators.entropy(relatives).error == pytest.approx(expected, rel=1e-9)
    one = replace(e, resamplings=torch.ones_like(e.resamplings))
    assert math.isnan(estimators.entropy(one).error) and estimators.entropy(one).value == entropy.value
    with pytest.raises(ValueError, match="infinite at beta = 0"):
        estimators.free_energy(replace(e, model=lt.Ising((3, 4), 0.0)))
