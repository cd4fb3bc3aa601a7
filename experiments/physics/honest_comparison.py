"""Compare learned samplers with six classical ones at equal time.

Measured are independent samples a second, and where the learned samplers lose.

    python experiments/physics/honest_comparison.py            # about ten minutes on one core
    python experiments/physics/honest_comparison.py --smoke    # under a minute

Every method has the same time on each model, burn-in included, and weighted walkers as much more
as eight blocks take. Chains of the default move are among them. LEAPS is the jump process with a
SymmetricConv on a linear response, trained by SPRING on samples of equilibrium; with LocalRates too
where there is one coupling. A pilot chooses the intervals of AIS
and of each network by ``exp(-Var[A])`` walkers a second; SMC takes those of AIS; pilots are charged
to nobody. Independent samples are ``var / error²``, with the variance of the model: for chains the
error is that of the Γ-method, so they are
``draws / (2 τ)``; for weighted walkers it is that of the jackknife. Where a value lies more than
three errors from the known one, its distance counts as its error: chains that are stuck and weights
that few walkers carry claim errors that are too small. For log Z stands ``1 / error²``: annealing
and the networks have it from their weights, parallel tempering from the steps between its
temperatures, plain chains not at all.

Training is timed apart, and then charged: the hatched bars are what is left of the solid ones if
the walkers of this run were all that the network is ever used for. A longer run pays less for it,
and ``break_even_seconds`` says from when on the network is ahead, None for never. Times on a CPU
are those that one thread spent computing, whatever else the machine did.
"""

import json
import math
import warnings
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import tyro
from reports.comparison import KEY, LEARNED, draw, table, verdicts
from torch import Tensor

import leaps_triton as lt
from leaps_triton import exact
from leaps_triton.bench.timing import Clock
from leaps_triton.estimators import (
    ShortChainWarning,
    chain_estimate,
    stepping_stones,
    weighted_estimate,
)
from leaps_triton.estimators.weights import effective_sample_size, log_mean_exp, log_mean_exp_error
from leaps_triton.files import write_text
from leaps_triton.provenance import device_name, provenance, vectors
from leaps_triton.training import fit_response

QUANTITIES = {"energy": lt.observables.energy, "m²": lt.observables.magnetization_squared}


@dataclass(frozen=True)
class HonestComparison:
    """Compare a learned sampler with classical ones at equal time."""

    lengths: tuple[int, ...] = (8, 16)
    """Critical Ising lattices, square and periodic."""
    beta: float = 0.4407
    """Their inverse temperature; critical."""
    glass: int = 8
    """Length of an Edwards-Anderson lattice of couplings ±1; 0 for none."""
    glass_beta: float = 1.0
    """Its inverse temperature."""
    seconds: float = 3.0
    """Of every method on every model."""
    training: tuple[float, ...] = (20.0, 120.0, 30.0)
    """Seconds of training of each network, about, for each of the models in turn."""
    sites: int = 2**14
    """Sites that are computed together: walkers of a block, or chains, times those of the
    lattice."""
    ladder: int = 8
    """Temperatures of parallel tempering, evenly from β = 0."""
    seed: int = 0
    """Of everything random."""
    device: str = "cpu"
    """Where it runs."""
    smoke: bool = False
    """Small lattices, and a moment for each method."""
    results: Path = Path("experiments/results")
    """Folder for honest_comparison.json and honest_comparison.png."""


def reference(path: lt.AnnealingPath, seed: int) -> dict[str, Any]:
    """Return exact log Z and energy, and of the rest mean, error and variance.

    The latter come from exact samples or long cluster chains.
    """
    model: Any = path.model
    try:
        x, source = exact.sample(model, 20000, seed + 7), "exact samples"
    except ValueError:
        walkers = torch.arange(512)
        state = lt.SwendsenWang().init(path.start.sample(walkers, seed + 7), walkers)
        kept = []
        for step in range(400):
            state, _ = lt.SwendsenWang().step(state, path, 1.0, seed + 7)
            kept += [state.configurations] if step >= 50 and step % 10 == 0 else []
        x, source = torch.cat(kept), "Swendsen-Wang chains"
    found: dict[str, Any] = {
        "log Z": exact.log_z(model),
        "moments": source,
        "mean": {},
        "error": {},
        "variance": {},
    }
    for name, observable in QUANTITIES.items():
        values = observable(x, model).double()
        found["mean"][name], found["variance"][name] = float(values.mean()), float(values.var())
        found["error"][name] = math.sqrt(found["variance"][name] / len(values))
    sites = model.lattice.sites
    found["mean"]["energy"], found["error"]["energy"] = exact.energy(model), 0.0
    found["variance"]["energy"] = exact.specific_heat(model) / (model.beta**2 * sites)
    return found


def of_chains(
    path: lt.AnnealingPath, kernel: Any, walkers: int, settings: HonestComparison
) -> tuple[dict[str, Any], float]:
    """Chains for the time given, a tenth of it burn-in; estimates and seconds."""
    model: Any = path.model
    clock, indices = Clock(settings.device), torch.arange(walkers, device=settings.device)
    state = kernel.init(path.start.sample(indices, settings.seed), indices)
    values: dict[str, list[Tensor]] = {name: [] for name in QUANTITIES}
    ladder: list[Tensor] = []
    steps = 0
    while clock() < settings.seconds or len(values["energy"]) < 8:
        state, _ = kernel.step(state, path, 1.0, settings.seed)
        steps += 1
        if clock() < settings.seconds / 10:
            continue
        for name, observable in QUANTITIES.items():
            values[name].append(observable(state.configurations, model))
        if isinstance(kernel, lt.ParallelTempering):
            ladder.append(lt.observables.replica_energies(state.replicas, model))
    seconds = clock()
    found: dict[str, Any] = {
        name: chain_estimate(torch.stack(v, 1).cpu()) for name, v in values.items()
    }
    if isinstance(kernel, lt.ParallelTempering):
        gained = stepping_stones(torch.stack(ladder, 1), kernel.ladder(model.beta))
        found["log Z"] = replace(gained, value=gained.value + path.start.log_z)
    draws = len(values["energy"])
    found["about"] = {
        "walkers": walkers,
        "steps": steps,
        "draws": draws,
        "autocorrelation_times": {},
    }
    for name in QUANTITIES:
        found["about"]["autocorrelation_times"][name] = round(found[name].tau, 2)
    return found, seconds


def pilot(samplers: dict[str, lt.Sampler], seed: int) -> tuple[str, dict[str, float]]:
    """The sampler with the most effective walkers a second, and these of each.

    Effective are ``exp(-Var[A])`` of them, as of normal log-weights: the ESS is at least one
    walker, be it ever so bad.
    """
    rates = {}
    for name, sampler in samplers.items():
        clock, walkers = Clock(sampler.device.type), 2 * sampler.block
        found = sampler.sample(walkers, seed=seed)
        rates[name] = float(f"{math.exp(-found.log_weight_variance) * walkers / clock():.3g}")
    return max(rates, key=lambda name: rates[name]), rates


def of_weights(sampler: lt.Sampler, settings: HonestComparison) -> tuple[dict[str, Any], float]:
    """Blocks of weighted walkers for the time given; estimates and seconds."""
    clock, model = Clock(settings.device), sampler.path.model
    weights: list[Tensor] = []
    values: dict[str, list[Tensor]] = {name: [] for name in QUANTITIES}
    correlated = 1
    while clock() < settings.seconds or len(weights) < 8:
        found = sampler.sample(sampler.block, settings.seed, first_block=len(weights))
        weights.append(found.log_weights)
        correlated = max(correlated, found.correlated)
        for name, observable in QUANTITIES.items():
            values[name].append(observable(found.configurations, model))
    seconds, a = clock(), torch.cat(weights)
    result: dict[str, Any] = {
        n: weighted_estimate(torch.cat(v), a, None, correlated) for n, v in values.items()
    }
    log_z = sampler.path.start.log_z + float(log_mean_exp(a))
    result["log Z"] = lt.Estimate(log_z, float(log_mean_exp_error(a, correlated)))
    result["about"] = {"walkers": len(a), "ess": round(float(effective_sample_size(a)), 4)}
    return result, seconds


def trained(
    name: str, path: lt.AnnealingPath, seconds: float, block: int, settings: HonestComparison
) -> tuple[Any, dict[str, Any]]:
    """Return a network trained for about so many seconds.

    A short run says how many steps fit, so that the learning rate decays.
    """
    model: Any = path.model
    refresh = "swendsen_wang" if path.model.coupling.numel() == 1 else "exact"
    begin = Clock(settings.device)
    response: Any = None
    if name == LEARNED[0]:
        fitted = 256 if settings.smoke else 1024
        response = fit_response(path, refresh, walkers=fitted, device=settings.device)
    fitting = begin()

    def trainer(steps: int) -> tuple[lt.Trainer, Any]:
        network: Any
        common: dict[str, Any] = {"steps": steps, "buffer": 256, "rollout": 64, "refresh": refresh}
        common["seed"] = settings.seed
        if name == LEARNED[0]:
            widths = (8, 4) if settings.smoke else (64, 32)
            size = 3 if settings.smoke else 7
            network = lt.SymmetricConv(model, size, widths=widths, seed=settings.seed)
            network.stand_on(response)
            config = lt.TrainingConfig.spring(first_time=0.3, **common)
        else:
            network = lt.LocalRates(model, seed=settings.seed)
            config = lt.TrainingConfig(ema=0.99, learning_rate=2e-2, **common)
        sampler = lt.Sampler(path, network, lt.Jump(10), block=block, device=settings.device)
        return lt.Trainer(sampler, config), network

    trial = trainer(20)[0]
    trial.run(5)
    clock = Clock(settings.device)
    trial.run(20)
    steps = max(20, int(seconds / (clock() / 15)))
    clock = Clock(settings.device)
    made, network = trainer(steps)
    made.run()
    return network, {"training_seconds": round(fitting + clock(), 1), "training_steps": steps}


def methods(
    path: lt.AnnealingPath, training: float, settings: HonestComparison
) -> Iterable[tuple[str, Callable[[], tuple[dict[str, Any], float]], dict[str, Any]]]:
    """Name, what runs it, and what a pilot found."""
    block = max(16, settings.sites // path.model.lattice.sites)

    def candidates(
        transport: Any, intervals: tuple[int, ...], kernels: tuple[Any, ...]
    ) -> dict[str, lt.Sampler]:
        return {
            f"{n} intervals" + ("" if kernel is None else ", heat bath"): lt.Sampler(
                path, transport, lt.Jump(n), kernel, block=block, device=settings.device
            )
            for n in intervals
            for kernel in kernels
        }

    ladder = torch.linspace(0.0, 1.0, settings.ladder, dtype=torch.float64).tolist()
    one_coupling = path.model.coupling.numel() == 1
    for name in LEARNED if one_coupling else LEARNED[:1]:
        network, cost = trained(name, path, training, block, settings)
        learned = candidates(network, (4,) if settings.smoke else (10, 40), (None, lt.HeatBath()))
        best, rates = pilot(learned, settings.seed + 1)
        yield (
            name,
            partial(of_weights, learned[best], settings),
            {"chosen": best, "pilot": rates, **cost},
        )
    annealed = candidates(None, (4, 8) if settings.smoke else (64, 256, 1024), (lt.HeatBath(),))
    chosen, rates = pilot(annealed, settings.seed + 1)
    yield "AIS", lambda: of_weights(annealed[chosen], settings), {"chosen": chosen, "pilot": rates}
    resampled = lt.Sampler(
        path, None, annealed[chosen].integrator, lt.HeatBath(), 0.5, block, settings.device
    )
    yield "SMC", lambda: of_weights(resampled, settings), {"chosen": chosen}
    yield "Swendsen-Wang", lambda: of_chains(path, lt.SwendsenWang(), block, settings), {}
    yield "heat bath", lambda: of_chains(path, lt.HeatBath(), block, settings), {}
    default = lt.default_move(path.model)
    yield "default", lambda: of_chains(path, default, block, settings), {"move": repr(default)}
    replicas = max(2, block // settings.ladder)
    tempering = lt.ParallelTempering(ladder)
    yield (
        "tempering",
        lambda: of_chains(path, tempering, replicas, settings),
        {"temperatures": settings.ladder},
    )


def row(
    name: str, found: dict[str, Any], seconds: float, known: dict[str, Any], pilot: dict[str, Any]
) -> dict[str, Any]:
    """One method on one model: rates, and how far its values are from the known ones."""
    rates, pulls = {}, {}
    exact_values, variances = (
        {**known["mean"], "log Z": known["log Z"]},
        {**known["variance"], "log Z": 1.0},
    )
    for quantity in exact_values:
        if quantity in found:
            estimate, distance = found[quantity], found[quantity].value - exact_values[quantity]
            pulls[quantity] = distance / math.hypot(
                estimate.error, known["error"].get(quantity, 0.0)
            )
            error = abs(distance) if abs(pulls[quantity]) > 3.0 else estimate.error
            rates[quantity] = variances[quantity] / (error**2 * seconds)
    return {
        "method": name,
        "seconds": round(seconds, 2),
        "independent_samples_per_second": {k: float(f"{v:.4g}") for k, v in rates.items()},
        "pulls": {k: round(v, 2) for k, v in pulls.items()},
        "distance_taken_as_error": [k for k, v in pulls.items() if abs(v) > 3.0],
        **found["about"],
        **pilot,
    }


def break_even(learned: float, other: float, training: float) -> float | None:
    """Seconds after which training has paid for itself; None for never."""
    return round(training * learned / (learned - other), 1) if learned > other else None


def charge(learned: dict[str, Any], others: list[dict[str, Any]]) -> None:
    """Add rates with the training of this row in them.

    Add also when it has paid for itself against each of the others.
    """
    rates = learned[KEY]
    spent = learned["seconds"]
    training = learned["training_seconds"]
    learned["training_included"] = {
        k: float(f"{v * spent / (spent + training):.4g}") for k, v in rates.items()
    }
    learned["break_even_seconds"] = {
        other["method"]: {k: break_even(rates[k], v, training) for k, v in other[KEY].items()}
        for other in others
    }


def compared(name: str, model: Any, training: float, settings: HonestComparison) -> dict[str, Any]:
    """All methods on one model."""
    path = lt.AnnealingPath(model)
    known = reference(path, settings.seed)
    case: dict[str, Any] = {"model": name, "reference": known, "rows": [], "verdicts": []}
    for method, run, tuned in methods(path, training, settings):
        found, spent = run()
        case["rows"].append(row(method, found, spent, known, tuned))
    others = [entry for entry in case["rows"] if entry["method"] not in LEARNED]
    for learned in case["rows"][: -len(others)]:
        charge(learned, others)
        case["verdicts"] += verdicts(name, learned, others)
    print(table(case), flush=True)
    return case


def main(settings: HonestComparison) -> None:
    """Measure, print, and save."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", ShortChainWarning)
    versions = provenance()
    chosen = settings
    if settings.smoke:
        chosen = HonestComparison(
            (4,), settings.beta, 4, settings.glass_beta, 0.3, (0.5, 0.5), 2**10, 4, settings.seed,
            settings.device, True, settings.results,
        )  # fmt: skip
    models: dict[str, Any] = {
        f"Ising {n} × {n}, β = {chosen.beta}": lt.Ising((n, n), chosen.beta) for n in chosen.lengths
    }
    if chosen.glass:
        n = chosen.glass
        name = f"Edwards-Anderson ±1, {n} × {n}, β = {chosen.glass_beta:g}"
        models[name] = lt.EdwardsAnderson(
            (n, n), beta=chosen.glass_beta, disorder="pm1", seed=chosen.seed
        )
    if len(chosen.training) != len(models):
        raise ValueError(
            f"training needs one time for each of the {len(models)} models, "
            f"got {len(chosen.training)}"
        )
    clock = Clock(chosen.device)
    cases = [
        compared(name, model, training, chosen)
        for (name, model), training in zip(models.items(), chosen.training, strict=True)
    ]
    device = device_name(torch.device(chosen.device))
    if chosen.device == "cpu":
        device += f", {vectors()}"
    result = {
        "cases": cases,
        "where_the_learned_samplers_lose": [
            v for case in cases for v in case["verdicts"] if "loses" in v
        ],
        "seconds": round(clock(), 1),
        "device": device,
        "config": {**asdict(chosen), "results": chosen.results.name},
        "versions": versions,
    }
    chosen.results.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    write_text(chosen.results / "honest_comparison.json", text)
    draw(result, chosen.results / "honest_comparison.png")
    rates = [rate for case in cases for row in case["rows"] for rate in row[KEY].values()]
    if not math.isfinite(sum(rates)):
        raise RuntimeError("a rate is not finite: give each method more seconds")


if __name__ == "__main__":
    main(tyro.cli(HonestComparison, description=__doc__))
