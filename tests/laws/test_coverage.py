"""Every error bar means what it says.

Of 400 independent runs, one-sigma intervals hold the exact value in 68.3 %.

Seven per cent is three sigma of that count, a false alarm with probability 0.0027 each, and four of
the 800 where there are more, one of 2e-5; seeds are fixed. Exact values are those of enumeration.
"""

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from leaps_triton import estimators, exact, observables, weights
from leaps_triton.estimators import Estimate
from leaps_triton.mcmc.chain import Chain

# One estimate in a thousand warns of its chains by chance, and here are thousands.
pytestmark = pytest.mark.filterwarnings("ignore::leaps_triton.estimators.CautionWarning")

Runs = Sequence[lt.WeightedEnsemble | Chain]

RUNS, MORE = 400, 800
FLOAT64 = torch.float64
POTTS = lt.Potts((2, 3), q=3, beta=0.6, field=[0.3, 0.0, -0.2])
GLASS = lt.EdwardsAnderson((3, 3), beta=0.9, seed=3)
WIDE = lt.EdwardsAnderson((3, 4), beta=0.9, seed=1)
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
PICKED: dict[str, tuple[str, Callable[[Tensor], Tensor] | None]] = {
    "energy": ("energy", None),
    "specific heat": ("specific_heat", None),
    "susceptibility": ("susceptibility", None),
    "Potts order": ("potts_order", None),
    "C(1)": ("correlation", lambda means: means[..., 1]),
    "C(1) along 1": ("along_1", lambda means: means[..., 1]),
    "S(k_min)": ("structure_factor", lambda means: means[..., 1]),
    "ratio of S": ("structure_factor", lambda means: means[..., 1] / means[..., 0]),
}
"""Of the Potts model: observable and function of its means."""
MEASURED: dict[str, Any] = {
    name: getattr(observables, name, observables.along(observables.correlation, 1))
    for name, _ in PICKED.values()
}


def share_covered(pulls: Iterator[float], runs: int = RUNS) -> float:
    inside = [abs(pull) < 1 for pull in pulls]
    assert len(inside) == runs
    return sum(inside) / runs


def truth(name: str) -> float:
    return float(exact.expectation(MODEL, getattr(observables, name)))


def parts(whole: Chain, walkers: int) -> list[Chain]:
    """Chains of so many walkers each."""
    runs: list[dict[str, Tensor]] = [{} for _ in range(whole.walkers // walkers)]
    for name, values in whole.values.items():
        for run, part in zip(
            runs, values.split(len(values) * walkers // whole.walkers), strict=True
        ):
            run[name] = part
    return [replace(whole, values=run) for run in runs]


@pytest.fixture(scope="module")
def ensembles() -> list[lt.WeightedEnsemble]:
    """One call of the sampler, cut into independent parts."""
    each = 120
    sampler = lt.Sampler(
        lt.AnnealingPath(MODEL), None, lt.Jump(6), lt.HeatBath(), block=4096, device="cpu"
    )
    whole = sampler.sample(RUNS * each, seed=1)
    parts = zip(whole.configurations.split(each), whole.log_weights.split(each), strict=True)
    return [replace(whole, configurations=x, log_weights=a) for x, a in parts]


@pytest.fixture(scope="module")
def chains() -> list[Chain]:
    """One call of run_chain, four walkers a run."""
    whole = lt.run_chain(
        MODEL,
        lt.HeatBath(),
        walkers=4 * RUNS,
        sweeps=250,
        burn_in=30,
        seed=2,
        device="cpu",
        observables=NAMES,
    )
    return parts(whole, 4)


@pytest.mark.parametrize("name", NAMES)
def test_weighted_walkers(ensembles: list[lt.WeightedEnsemble], name: str) -> None:
    expected = truth(name)
    covered = share_covered(
        e.estimate(getattr(observables, name)).pull(expected) for e in ensembles
    )
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

    Shared ``g`` and own ``o`` are standard normal, ``x = g + o``, ``A = g/2``: under the weights x
    has mean 1/2.
    """
    blocks, size = 40, 8
    noise = torch.randn(
        RUNS, blocks, size + 1, generator=torch.Generator().manual_seed(5), dtype=torch.float64
    )
    common, own = noise[..., :1], noise[..., 1:]
    x, a = (common + own).flatten(1), (0.5 * common + 0.0 * own).flatten(1)
    covered = share_covered(
        estimators.weighted_estimate(*run, block=size).pull(0.5) for run in zip(x, a, strict=True)
    )
    assert abs(covered - 0.683) < 0.07, covered
    alone = share_covered(
        estimators.weighted_estimate(*run).pull(0.5) for run in zip(x, a, strict=True)
    )
    assert alone < 0.5


def test_estimates_of_free_energies_are_their_definitions(
    ensembles: list[lt.WeightedEnsemble],
) -> None:
    e = ensembles[0]
    free, entropy, energy = (
        estimators.free_energy(e),
        estimators.entropy(e),
        e.estimate(observables.energy),
    )
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
    alone = estimators.entropy(one)
    assert math.isnan(alone.error) and alone.value == pytest.approx(entropy.value, rel=1e-14)
    with pytest.raises(ValueError, match="infinite at beta = 0"):
        estimators.free_energy(replace(e, model=lt.Ising((3, 4), 0.0)))


@pytest.fixture(scope="module")
def potts() -> dict[str, Runs]:
    """Weighted walkers, and cluster chains of four walkers, of three states in a field."""
    each = 150
    sampler = lt.Sampler(
        lt.AnnealingPath(POTTS), None, lt.Jump(6), lt.HeatBath(), block=4096, device="cpu"
    )
    whole = sampler.sample(RUNS * each, seed=7)
    cut = zip(whole.configurations.split(each), whole.log_weights.split(each), strict=True)
    moves = lt.Compose(lt.HeatBath(), lt.SwendsenWang())
    chain = lt.run_chain(
        POTTS, moves, 4 * RUNS, 200, burn_in=30, seed=8, device="cpu", observables=MEASURED
    )
    return {
        "weighted": [replace(whole, configurations=x, log_weights=a) for x, a in cut],
        "chains": parts(chain, 4),
    }


@pytest.mark.parametrize("kind", ["weighted", "chains"])
@pytest.mark.parametrize("name", PICKED)
def test_three_states(potts: dict[str, Runs], kind: str, name: str) -> None:
    observable, function = MEASURED[PICKED[name][0]], PICKED[name][1]
    means = exact.enumerate_model(POTTS).mean(observable, POTTS)
    own: Any = function or getattr(observable, "function", lambda value: value)
    expected = float(own(means))
    covered = share_covered(
        run.estimate(observable, function).pull(expected) for run in potts[kind]
    )
    assert abs(covered - 0.683) < 0.07, covered


@pytest.fixture(scope="module")
def resampled() -> list[lt.WeightedEnsemble]:
    """Sequential Monte Carlo, 20 blocks per run.

    Each block of 16 walkers is resampled at three times.
    """
    path, size, walkers, seed = lt.AnnealingPath(GLASS), 16, torch.arange(RUNS * 320), 9
    state = lt.HeatBath().init(path.start.sample(walkers, seed), walkers)
    a, uniform = torch.zeros(len(walkers), dtype=FLOAT64), torch.Generator().manual_seed(seed)
    times = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0], dtype=FLOAT64)
    for before, t in itertools.pairwise(times.tolist()):
        a += path.log_increment(state.configurations, before, t)
        if t < 1.0:
            u = torch.rand(a.shape, generator=uniform, dtype=FLOAT64).clamp(min=1e-12)
            rows = [
                weights.ancestors(*block)
                for block in zip(a.split(size), u.split(size), strict=True)
            ]
            chosen = (torch.stack(rows) + torch.arange(0, len(a), size).unsqueeze(1)).flatten()
            state = state._replace(configurations=state.configurations[chosen])
            a = weights.log_mean_exp(a.view(-1, size)).repeat_interleave(size)
        state, _ = lt.HeatBath().step(state, path, t, seed)
    count = torch.tensor([0, 1, 1, 1, 0])
    cut = zip(state.configurations.split(320), a.split(320), strict=True)
    return [
        lt.WeightedEnsemble(
            GLASS, x, part, path.start.log_z, times, torch.ones(5), count, 4.0, seed, size
        )
        for x, part in cut
    ]


@pytest.mark.parametrize(
    "name", ["energy", "abs_magnetization", "specific_heat", "binder", "log Z", "entropy"]
)
def test_after_resampling(resampled: list[lt.WeightedEnsemble], name: str) -> None:
    log_z, energy = exact.log_z(GLASS), exact.energy(GLASS)
    if name == "log Z":
        pulls = (Estimate(e.log_z, e.log_z_error).pull(log_z) for e in resampled)
    elif name == "entropy":
        pulls = (estimators.entropy(e).pull(log_z / 9 + 0.9 * energy) for e in resampled)
    else:
        observable = getattr(observables, name)
        expected = float(exact.expectation(GLASS, observable))
        pulls = (e.estimate(observable).pull(expected) for e in resampled)
    covered = share_covered(pulls)
    assert abs(covered - 0.683) < 0.07, covered


@observables.of_pairs
def overlap_squared(first: Tensor, second: Tensor, model: Any) -> Tensor:
    return observables.overlap(first, second, model) ** 2


FRACTIONS = [0.0, 0.3, 0.6, 1.0]
BETAS = [f * GLASS.beta for f in FRACTIONS]
STATES = exact.enumerate_configurations((3, 3), 2)
COMMON = {9: 7 / 9, 12: 1 / 3}
"""Number of sites → a value of the overlap that is common enough for runs of some hundred draws."""
OF_PAIRS = ["energy", "abs_magnetization", "specific_heat", "binder", "overlap", "link_overlap"]


def law(beta: float) -> Tensor:
    return exact.enumerate_model(GLASS, beta).log_probabilities.exp()


@pytest.fixture(scope="module")
def tempered() -> list[Chain]:
    """Parallel tempering with Houdayer's move, two pairs a run."""
    kernel = lt.ParallelTempering(FRACTIONS, lt.Compose(lt.HeatBath(), lt.Houdayer()))
    names = [*OF_PAIRS, "replica_energies"]
    return parts(
        lt.run_chain(GLASS, kernel, 4 * MORE, 200, 1, 10, 30, measured(names), device="cpu"), 4
    )


@pytest.fixture(scope="module")
def exchanged() -> list[Chain]:
    """Heat bath and Houdayer's move, two pairs per run, 50 autocorrelation times of the overlap."""
    kernel = lt.Compose(lt.HeatBath(), lt.Houdayer())
    return parts(
        lt.run_chain(WIDE, kernel, 4 * MORE, 500, 1, 11, 30, measured(OF_PAIRS), device="cpu"), 4
    )


def measured(names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(observables, name) for name in names} | {
        "overlap_squared": overlap_squared
    }


@functools.cache
def of_two_replicas(model: lt.PairModel) -> dict[str, float]:
    """``⟨q⟩``, ``⟨q²⟩``, ``⟨q_l⟩``, and ``P(q)`` of a bin."""
    x, p = (
        exact.enumerate_configurations(model.lattice.shape, 2),
        exact.enumerate_model(model).log_probabilities.exp(),
    )
    spins, sites = 2.0 * x.flatten(1).double() - 1.0, model.lattice.sites
    two_point, place = (spins.T * p) @ spins, torch.arange(sites).view(model.lattice.shape)
    bonds = torch.cat(
        [two_point[place.flatten(), place.roll(-1, axis).flatten()] for axis in (0, 1)]
    )
    inside = [
        p @ ((part @ spins.T / sites - COMMON[sites]).abs() < 0.08).double().T
        for part in spins.split(256)
    ]
    return {
        "overlap": float(((spins.T @ p) ** 2).sum()) / sites,
        "overlap_squared": float((two_point**2).sum()) / sites**2,
        "link_overlap": float((bonds**2).mean()),
        "P(q)": float(torch.cat(inside) @ p) / 0.16,
    }


def estimate(chain: Chain, name: str) -> Any:
    if name != "P(q)":
        return chain.estimate(name)
    centre = COMMON[chain.model.lattice.sites]
    edges = torch.tensor([-1.1, centre - 0.08, centre + 0.08, 1.1], dtype=FLOAT64)
    found = estimators.overlap_distribution(chain.values["overlap"], edges)
    return Estimate(float(found.density[1]), float(found.error[1]))


@pytest.mark.parametrize("kernel", ["exchanged", "tempered"])
@pytest.mark.parametrize(
    "name",
    [
        "energy",
        "abs_magnetization",
        "specific_heat",
        "binder",
        "overlap",
        "overlap_squared",
        "link_overlap",
        "P(q)",
    ],
)
def test_pairs_that_exchange_clusters(
    kernel: str, name: str, request: pytest.FixtureRequest
) -> None:
    runs: list[Chain] = request.getfixturevalue(kernel)
    model: Any = runs[0].model
    two = of_two_replicas(model)
    expected = (
        two[name] if name in two else float(exact.expectation(model, getattr(observables, name)))
    )
    covered = share_covered((estimate(chain, name).pull(expected) for chain in runs), MORE)
    assert abs(covered - 0.683) < 0.07, covered


def test_walkers_of_a_pair_each_for_itself_would_not_do(exchanged: list[Chain]) -> None:
    expected = float(exact.expectation(WIDE, observables.abs_magnetization))
    alone = (
        estimators.chain_estimate(chain.values["abs_magnetization"]).pull(expected)
        for chain in exchanged
    )
    assert share_covered(alone, MORE) < 0.6


def log_z_by_mbar(energies: Tensor) -> Estimate:
    runs = energies[:, ::5].unbind(2)
    return Estimate(
        float(estimators.mbar(runs, BETAS)[-1]),
        float(estimators.mbar_error(runs, BETAS, 16, 2)[-1]),
    )


def exchange_rate() -> float:
    energies = GLASS.energy(STATES)
    accepted = ((BETAS[3] - BETAS[2]) * (energies - energies.unsqueeze(1))).exp().clamp(max=1.0)
    return float(law(BETAS[2]) @ accepted @ law(BETAS[3]))


LADDER: dict[str, tuple[Callable[[Tensor], Any], float]] = {
    "stepping stones": (
        lambda e: estimators.stepping_stones(e, BETAS, 2),
        exact.log_z(GLASS) - 9 * math.log(2),
    ),
    "mbar": (log_z_by_mbar, exact.log_z(GLASS) - 9 * math.log(2)),
    "exchange rate": (lambda e: estimators.exchange_rates(e, BETAS, 2)[2], exchange_rate()),
}


@pytest.mark.parametrize("name", LADDER)
def test_replicas(tempered: list[Chain], name: str) -> None:
    estimate, expected = LADDER[name]
    runs = tempered[:RUNS] if name == "mbar" else tempered
    covered = share_covered(
        (estimate(c.values["replica_energies"]).pull(expected) for c in runs), len(runs)
    )
    assert abs(covered - 0.683) < 0.07, covered
