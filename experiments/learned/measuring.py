"""What the tables of learned samplers hold: quality, cost, and their classical rivals.

Times on a CPU are those that one thread spent computing, whatever else the machine did.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

import leaps_triton as lt
from leaps_triton import exact
from leaps_triton.bench.timing import Clock
from leaps_triton.estimators import chain_estimate, stepping_stones
from leaps_triton.estimators.weights import effective_sample_size, log_mean_exp, log_mean_exp_error

BINS = 41
"""Of the histograms of the magnetisation."""
INTERVALS = (50, 100, 200, 400)
"""Of annealing, among which a pilot chooses."""
SWEEPS = (1, 4, 16)
"""Of annealing at each interval, likewise."""
LEAST_BLOCKS = 8
"""Of which the error of resampled walkers is found."""


class Known(NamedTuple):
    """What is known of a model beforehand."""

    log_z: float | None
    """Exact; None where it is not known"""
    samples: Tensor
    """Independent or nearly independent samples, ``(walkers, *shape)``"""
    source: str
    """Where they come from"""


class Weighed(NamedTuple):
    """Weighted walkers, and the seconds that they took."""

    log_weights: Tensor
    configurations: Tensor
    evaluations: float
    correlated: int
    seconds: float


def known_of(path: lt.AnnealingPath, walkers: int, seed: int) -> Known:
    """Return exact log Z where there is one, and samples that owe nothing to a network."""
    model: Any = path.model
    log_z = exact_log_z(model)
    try:
        return Known(log_z, exact.sample(model, walkers, seed), "exact samples")
    except ValueError:
        samples = clustered(path, walkers, seed)
        return Known(log_z, samples, "Swendsen-Wang, 200 updates from an annealed start")


def exact_log_z(model: Any) -> float | None:
    """Return the exact log Z; None where it is not known."""
    try:
        return exact.log_z(model)
    except ValueError:
        # Neither a closed form nor a transfer matrix that fits into memory.
        return None


def clustered(path: lt.AnnealingPath, walkers: int, seed: int, updates: int = 200) -> Tensor:
    """Return configurations of independent Swendsen-Wang chains, annealed and then left alone."""
    index = torch.arange(walkers)
    move = lt.SwendsenWang()
    state = move.init(path.start.sample(index, seed), index)
    for step in range(updates):
        # A quarter of the updates heats up, the others are at the end of the path.
        t = min(1.0, 4.0 * (step + 1) / updates)
        state, _ = move.step(state, path, t, seed)
    configurations: Tensor = state.configurations
    return configurations


def drawn(
    sampler: lt.Sampler, seed: int, walkers: int | None = None, seconds: float = 0.0
) -> Weighed:
    """Return whole blocks of walkers, so many or for so long, whichever takes longer."""
    clock = Clock(sampler.device)
    weights: list[Tensor] = []
    found: list[Tensor] = []
    evaluations = 0.0
    correlated = 1
    wanted = walkers or LEAST_BLOCKS * sampler.block
    while clock() < seconds or len(weights) * sampler.block < wanted:
        made = sampler.sample(sampler.block, seed, first_block=len(weights))
        weights.append(made.log_weights.cpu())
        found.append(made.configurations.cpu())
        evaluations += made.evaluations
        correlated = max(correlated, made.correlated)
    spent = clock()
    return Weighed(
        torch.cat(weights), torch.cat(found), evaluations / len(weights), correlated, spent
    )


def numbers(sampler: lt.Sampler, run: Weighed, known: Known) -> dict[str, Any]:
    """Return the row of a table: quality and cost of weighted walkers."""
    a = run.log_weights
    sites = run.configurations[0].numel()
    log_z = sampler.path.start.log_z + float(log_mean_exp(a))
    error = float(log_mean_exp_error(a, run.correlated))
    ess = float(effective_sample_size(a))
    row: dict[str, Any] = {
        "walkers": len(a),
        "intervals": sampler.integrator.intervals,
        "ess": round(ess, 4),
        "log_weight_variance": float(f"{float(a.var()):.4g}"),
        "log_weight_variance_per_site": float(f"{float(a.var()) / sites:.4g}"),
        "log_z": round(log_z, 5),
        "log_z_error": float(f"{error:.3g}"),
        "evaluations": round(run.evaluations, 1),
        "seconds": round(run.seconds, 2),
        "effective_walkers_per_second": float(f"{ess * len(a) / run.seconds:.4g}"),
        "inverse_variance_of_log_z_per_second": float(f"{1.0 / (error**2 * run.seconds):.4g}"),
    }
    if known.log_z is not None:
        row["log_z_exact"] = round(known.log_z, 5)
        row["log_z_pull"] = round((log_z - known.log_z) / error, 2)
    return row


def reversed_numbers(sampler: lt.Sampler, known: Known, walkers: int, seed: int) -> dict[str, Any]:
    """Return what paths run backwards from samples of others say of the same sampler."""
    found = lt.reverse_ess(sampler, known.samples[:walkers], seed)
    row = {
        "reverse_ess": round(found.ess, 4),
        "reverse_log_z": round(found.log_z, 5),
        "reverse_log_z_error": float(f"{found.log_z_error:.3g}"),
        "reverse_samples": known.source,
    }
    if known.log_z is not None:
        row["reverse_log_z_pull"] = round((found.log_z - known.log_z) / found.log_z_error, 2)
    return row


def variance_trace(sampler: lt.Sampler, seed: int) -> list[float]:
    """Return Var[A] of a block at every time at which its walkers are weighed."""
    trace = sampler.sample(sampler.block, seed).variance_trace
    assert trace is not None
    return [float(f"{value:.4g}") for value in trace.tolist()]


def magnetisations(known: Known, run: Weighed, model: Any) -> dict[str, Any]:
    """Return the law of the magnetisation by weighted walkers and by samples of others."""
    edges = torch.linspace(-1.0, 1.0, BINS + 1, dtype=torch.float64)
    weights = torch.softmax(run.log_weights, 0)
    own = _histogram(_magnetisation(run.configurations, model), weights, edges)
    even = torch.full((len(known.samples),), 1.0 / len(known.samples), dtype=torch.float64)
    other = _histogram(_magnetisation(known.samples, model), even, edges)
    middles = (edges[1:] + edges[:-1]) / 2
    return {"magnetisation": middles.tolist(), "weighted": own, "samples": other}


def _magnetisation(configurations: Tensor, model: Any) -> Tensor:
    """Return the signed magnetisation per site; of more than two states the order parameter."""
    if model.q == 2:
        means = configurations.flatten(1).double().mean(1)
        return 2.0 * means - 1.0
    return lt.observables.abs_magnetization(configurations, model).double()


def _histogram(values: Tensor, weights: Tensor, edges: Tensor) -> list[float]:
    """Return a normalised density."""
    place = torch.bucketize(values, edges[1:-1])
    counts = torch.zeros(len(edges) - 1, dtype=torch.float64)
    counts.index_add_(0, place, weights)
    width = float(edges[1] - edges[0])
    return [float(f"{value:.4g}") for value in (counts / width).tolist()]


def rivals(
    path: lt.AnnealingPath,
    known: Known,
    seconds: float,
    block: int,
    seed: int,
    intervals: Sequence[int] = INTERVALS,
    clusters: bool = False,
) -> list[dict[str, Any]]:
    """Return rows of AIS and SMC at their best: a pilot chooses intervals and move of each.

    Args:
        path: the annealing path.
        known: of its model.
        seconds: of each.
        block: walkers of a block.
        seed: of everything random.
        intervals: among which the pilots choose.
        clusters: let them choose updates of clusters, too.
    """
    rows: list[dict[str, Any]] = []
    for name, below in (("AIS", 0.0), ("SMC", 0.5)):
        made = list(_annealers(path, below, block, intervals, clusters))
        if name == "AIS":
            # Compiles the moves, which no pilot is to pay for.
            for _, sampler in made[: len(made) // len(intervals)]:
                sampler.sample(block, seed)
        rates = {key: _pilot(sampler, seconds / 10, seed + 1) for key, sampler in made}
        best = max(rates, key=lambda key: rates[key])
        sampler = dict(made)[best]
        run = drawn(sampler, seed, seconds=seconds)
        row = {"method": name, "chosen": best, "pilot": rates, **numbers(sampler, run, known)}
        rows.append(row)
        print(one_line(row), flush=True)
    return rows


def tempered(
    path: lt.AnnealingPath, known: Known, seconds: float, seed: int, temperatures: int = 16
) -> dict[str, Any]:
    """Return the row of parallel tempering, whose steps between temperatures give log Z.

    A tenth of the time is burn-in. Its energies are those of chains, so there is no ESS of weights;
    ``effective_walkers_per_second`` are independent energies at the last β.
    """
    model: Any = path.model
    ladder = torch.linspace(0.0, 1.0, temperatures, dtype=torch.float64).tolist()
    move = lt.ParallelTempering(ladder)
    index = torch.arange(64)
    clock = Clock("cpu")
    state = move.init(path.start.sample(index, seed), index)
    energies: list[Tensor] = []
    last: list[Tensor] = []
    while clock() < seconds or len(last) < LEAST_BLOCKS:
        state, _ = move.step(state, path, 1.0, seed)
        if clock() > seconds / 10:
            energies.append(lt.observables.replica_energies(state.replicas, model))
            last.append(lt.observables.energy(state.configurations, model))
    spent = clock()
    gained = stepping_stones(torch.stack(energies, 1), move.ladder(model.beta))
    energy = chain_estimate(torch.stack(last, 1))
    log_z = gained.value + path.start.log_z
    draws = 64 * len(last)
    row: dict[str, Any] = {
        "method": "tempering",
        "chosen": f"{temperatures} temperatures, 64 walkers",
        "intervals": temperatures,
        "log_z": round(log_z, 5),
        "log_z_error": float(f"{gained.error:.3g}"),
        "seconds": round(spent, 2),
        "effective_walkers_per_second": float(f"{draws / (2.0 * energy.tau * spent):.4g}"),
        "inverse_variance_of_log_z_per_second": float(f"{1.0 / (gained.error**2 * spent):.4g}"),
    }
    if known.log_z is not None:
        row["log_z_pull"] = round((log_z - known.log_z) / gained.error, 2)
    print(one_line(row), flush=True)
    return row


def _annealers(
    path: lt.AnnealingPath, below: float, block: int, intervals: Sequence[int], clusters: bool
) -> Iterable[tuple[str, lt.Sampler]]:
    """Yield samplers without a network, by what tells them apart."""
    moves: dict[str, Callable[[int], Any]] = {
        "heat bath": lt.HeatBath,
        "Metropolis": lt.Metropolis,
    }
    if clusters:
        moves["Swendsen-Wang"] = lt.SwendsenWang
    for count in intervals:
        for sweeps in SWEEPS:
            for name, move in moves.items():
                sampler = lt.Sampler(
                    path, None, lt.Jump(count), move(sweeps), below, block=block, device="cpu"
                )
                yield f"{count} intervals, {sweeps} {name}", sampler


def _pilot(sampler: lt.Sampler, seconds: float, seed: int) -> float:
    """Return the information on log Z a second, ``1/σ²``, as a short run tells it.

    The jackknife error of few walkers flatters where few carry the weight: ``e^{Var[A]} - 1`` is
    the relative variance of a log-normal weight, whatever the number of walkers. After a resampling
    blocks are what is independent, and ``A`` is what was gathered since.
    """
    run = drawn(sampler, seed, seconds=seconds)
    if run.correlated > 1:
        error = float(log_mean_exp_error(run.log_weights, run.correlated))
        return float(f"{1.0 / (error**2 * run.seconds):.3g}")
    spread = math.expm1(min(float(run.log_weights.var()), 600.0))
    return float(f"{len(run.log_weights) / (spread * run.seconds):.3g}")


def one_line(row: dict[str, Any]) -> str:
    """Return a row as it is printed on the way."""
    pull = row.get("log_z_pull")
    text = f"{row['method']:<28} N {row['intervals']:>4}"
    if "ess" in row:
        text += f"  ESS {row['ess']:.4f}  Var[A] {row['log_weight_variance']:<8.4g}"
    text += f" log Z {row['log_z']:.4f} ± {row['log_z_error']:.2g}"
    if pull is not None:
        text += f" ({pull:+.1f}σ)"
    text += f"  1/σ²/s {row['inverse_variance_of_log_z_per_second']:.4g}"
    text += f"  effective/s {row['effective_walkers_per_second']:.4g}"
    return text
