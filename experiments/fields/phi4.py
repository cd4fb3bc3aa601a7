"""Scan φ⁴ through its transition, and compare NETS, AIS, SMC and HMC at equal time.

    python experiments/fields/phi4.py                     # about an hour on one core
    python experiments/fields/phi4.py --sampler drift.safetensors   # trained before
    python experiments/fields/phi4.py --smoke             # under a minute

At m² = -4 chains of hybrid Monte Carlo, with updates of sign clusters and parallel tempering in λ,
go through the transition on several lattices: the Binder cumulants of two sizes cross near it. Two
points, by hybrid Monte Carlo alone, stand beside values of other programs (``gate``).

Then four methods have the same seconds at one point, on one device. NETS moves walkers by a map
along a learned drift, with HMC between the maps; AIS and SMC are the same without the drift. A
pilot chooses intervals and leapfrogs of each by effective walkers a second, where ``exp(-Var[A])``
stands for the share that is effective, which few walkers cannot flatter; pilots and the burn-in
that finds step and masses of HMC are charged to nobody. Of chains ``effective_walkers_per_second``
are independent values of M², ``draws / (2 τ)``, of weighted walkers ESS times their number, after a
resampling, which makes relatives, ``variance / error²`` of M² with the error of whole blocks; for
log Z stands ``1 / error²`` a second, which chains have not. ``V⟨M²⟩`` and the Schwinger-Dyson
identity, in errors from 1, say whether a method is right.

Training is timed apart, and then charged: ``training_included`` is the rate if these walkers were
all that the drift is ever used for, and ``break_even_seconds`` says from when on it is ahead, None
for never. Times on a CPU are those that one thread spent computing, whatever else the machine did.

References: Albergo, Vanden-Eijnden, arXiv:2410.02711, for NETS; arXiv:2511.15196, for SMC as the
rival of neural samplers on this model.
"""

import itertools
import json
import math
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import tyro
from drawing_fields import draw, one_line

import leaps_triton as lt
from leaps_triton.bench.timing import Clock
from leaps_triton.estimators import weighted_estimate
from leaps_triton.estimators.trust.cautions import CautionWarning
from leaps_triton.estimators.weights import effective_sample_size, log_mean_exp, log_mean_exp_error
from leaps_triton.files import write_text
from leaps_triton.provenance import device_name, provenance, vectors

GATES = {6: (6.975, 1.050, 0.012), 12: (5.276, 4.12, 0.03)}
"""Length → λ, V⟨M²⟩ and its error by another program, at m² = -4."""

LEAST_BLOCKS = 4
"""Of weighted walkers, from which errors are found after a resampling."""

MEASURED = ("susceptibility_full", "schwinger_dyson")
"""What all methods estimate."""


@dataclass(frozen=True)
class PhiFour:
    """Scan, train, compare, draw."""

    mass_squared: float = -4.0
    """m² of everything."""
    lengths: tuple[int, ...] = (6, 8, 12)
    """Square lattices of the scan."""
    quartics: tuple[float, float, int] = (3.6, 6.8, 17)
    """First and last λ of the scan, and how many."""
    chains: int = 64
    """Walkers of the scan."""
    sweeps: int = 2000
    """Trajectories of each of them at each λ, after the burn-in."""
    length: int = 8
    """Of the lattice of the comparison."""
    quartic: float = 6.008
    """λ of the comparison."""
    seconds: float = 60.0
    """Of every method."""
    steps: int = 600
    """Of training."""
    sampler: Path | None = None
    """A trained sampler of this lattice and point, whose drift is measured; none is trained."""
    intervals: tuple[int, ...] = (10, 20, 40)
    """Of NETS, among which a pilot chooses."""
    annealings: tuple[int, ...] = (50, 100, 200, 400)
    """Of AIS and SMC, likewise."""
    leapfrogs: tuple[int, ...] = (1, 3)
    """Between the intervals of all three, likewise."""
    block: int = 512
    """Walkers of a block, and chains of HMC."""
    seed: int = 7
    """Of everything random."""
    device: str = "cpu"
    """Where it runs."""
    save: Path | None = None
    """File for the trained sampler."""
    smoke: bool = False
    """Small lattices, and a moment for everything."""
    results: Path = Path("experiments/results")
    """Folder for phi4.json and phi4.png."""


def scanned(settings: PhiFour) -> list[dict[str, Any]]:
    """Return observables along λ on every lattice, with log Z from the first λ."""
    rows = []
    first, last, count = settings.quartics
    values = torch.linspace(first, last, count, dtype=torch.float64).tolist()
    for length in settings.lengths:
        model = lt.PhiFour((length, length), settings.mass_squared, last)
        clock = Clock(settings.device)
        found = lt.scan(
            model,
            quartic=values,
            method="tempering",
            move=lt.default_move(model),
            walkers=settings.chains,
            sweeps=settings.sweeps,
            seed=settings.seed + length,
            device=settings.device,
        )
        table = found.table()
        # JSON has no NaN.
        columns = {name: [finite(each) for each in column] for name, column in table.items()}
        rows.append({"length": length, "seconds": round(clock(), 2), "columns": columns})
        print(f"scan, L = {length}: {clock():.1f} s", flush=True)
    return rows


def finite(value: float) -> float | None:
    """Return a number in six digits; None for one that is not finite."""
    if not math.isfinite(value):
        return None
    return float(f"{value:.6g}")


def crossings(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return where the Binder cumulants of neighbouring sizes cross, by straight lines."""
    found = []
    for small, large in itertools.pairwise(rows):
        places = small["columns"]["quartic"]
        one = small["columns"]["binder"]
        two = large["columns"]["binder"]
        gaps = [b - a for a, b in zip(one, two, strict=True)]
        crossing = None
        for number, (before, after) in enumerate(itertools.pairwise(gaps)):
            # The larger lattice has the larger cumulant in the ordered phase, at small λ.
            if before > 0.0 >= after:
                share = before / (before - after)
                step = places[number + 1] - places[number]
                crossing = round(places[number] + share * step, 4)
        lengths = [small["length"], large["length"]]
        found.append({"lengths": lengths, "quartic": crossing})
    return found


def gates(settings: PhiFour) -> list[dict[str, Any]]:
    """Return V⟨M²⟩ by chains at points where another program has found it."""
    rows = []
    for length, (quartic, value, error) in GATES.items():
        if length not in settings.lengths:
            continue
        model = lt.PhiFour((length, length), -4.0, quartic)
        chain = lt.run_chain(
            model,
            lt.HMC(),
            settings.chains,
            settings.sweeps,
            seed=settings.seed + 100 + length,
            observables=MEASURED,
            device=settings.device,
        )
        own = chain.estimate("susceptibility_full")
        spread = math.hypot(own.error, error)
        check = chain.estimate("schwinger_dyson").pull(1.0)
        rows.append(
            {
                "length": length,
                "quartic": quartic,
                "susceptibility_full": [finite(own.value), finite(own.error)],
                "other_program": [value, error],
                "distance_in_errors": round((own.value - value) / spread, 2),
                "schwinger_dyson_pull": round(check, 2),
            }
        )
        print(rows[-1], flush=True)
    return rows


def trained(path: lt.AnnealingPath, settings: PhiFour) -> dict[str, Any]:
    """Return a drift with what its training took, or one that was trained before."""
    if settings.sampler is not None:
        sampler = lt.load(settings.sampler, settings.device)
        history = lt.training.read_history(settings.sampler)
        known = sampler.path.model.couplings == path.model.couplings
        if not known or sampler.path.model.shape != path.model.shape:
            raise ValueError(
                f"the sampler must be one of {path.model!r}, got {sampler.path.model!r}"
            )
        return {"drift": sampler.transport, "seconds": None, "steps": len(history.loss)}
    size: dict[str, Any] = {"kernel_size": 7, "channels": 12, "width": 24}
    if settings.smoke:
        size = {"kernel_size": 3, "channels": 2, "width": 4}
    drift = lt.HollowDrift(path.model, seed=settings.seed, **size)
    sampler = lt.Sampler(path, drift, lt.MapStep(20), lt.HMC(leapfrogs=1), device=settings.device)
    given: dict[str, Any] = {"steps": settings.steps, "seed": settings.seed}
    if settings.smoke:
        given |= {"held_out": 0, "rollout": 32, "bins": 8}
    clock = Clock(settings.device)
    history = lt.Trainer(sampler, lt.TrainingConfig.drift(**given)).run(progress=not settings.smoke)
    spent = round(clock(), 2)
    print(f"training: {spent} s, {settings.steps} steps", flush=True)
    if settings.save is not None:
        lt.save(sampler, settings.save)
    return {"drift": sampler.transport, "seconds": spent, "steps": len(history.loss)}


def variants(
    path: lt.AnnealingPath, method: str, drift: Any, moves: dict[int, Any], settings: PhiFour
) -> dict[str, lt.Sampler]:
    """Return the samplers among which the pilot of a method chooses, by what tells them apart."""
    counts: Sequence[int] = settings.annealings
    below = 0.0
    if method == "NETS":
        counts = settings.intervals
    if method == "SMC":
        below = 0.5
    found = {}
    for count in counts:
        for leapfrogs, move in moves.items():
            found[f"{count} intervals, {leapfrogs} leapfrogs"] = lt.Sampler(
                path,
                drift,
                lt.MapStep(count),
                move,
                below,
                block=settings.block,
                device=settings.device,
            )
    return found


def drawn(sampler: lt.Sampler, seed: int, seconds: float, least: int) -> dict[str, Any]:
    """Return weighted walkers, whole blocks for so many seconds, with what they measure."""
    clock = Clock(sampler.device)
    weights: list[torch.Tensor] = []
    values: dict[str, list[torch.Tensor]] = {name: [] for name in MEASURED}
    correlated = 1
    while clock() < seconds or len(weights) < least:
        made = sampler.sample(sampler.block, seed, first_block=len(weights))
        weights.append(made.log_weights.cpu())
        for name, columns in values.items():
            observable = getattr(lt.observables, name)
            columns.append(observable(made.configurations, made.model).cpu())
        correlated = max(correlated, made.correlated)
    spent = clock()
    joined = {name: torch.cat(columns) for name, columns in values.items()}
    return {
        "log_weights": torch.cat(weights),
        "values": joined,
        "correlated": correlated,
        "seconds": spent,
    }


def pilot(sampler: lt.Sampler, seed: int, seconds: float) -> float:
    """Return effective walkers a second as the variance of their weights tells it."""
    run = drawn(sampler, seed, seconds, 1)
    a = run["log_weights"]
    share = math.exp(-min(float(a.var()), 600.0))
    if run["correlated"] > 1:
        # After a resampling the variance is of the weights since; the error of log Z is of blocks.
        share = float(effective_sample_size(a))
    return float(f"{share * len(a) / run['seconds']:.4g}")


def weighed(
    method: str, path: lt.AnnealingPath, drift: Any, moves: dict[int, Any], settings: PhiFour
) -> dict[str, Any]:
    """Return the row of a method with weights, at the best that its pilot has found."""
    tried = variants(path, method, drift, moves, settings)
    # Compiles maps and moves, which no pilot is to pay for.
    next(iter(tried.values())).sample(settings.block, settings.seed)
    rates = {}
    for name, sampler in tried.items():
        rates[name] = pilot(sampler, settings.seed + 1, settings.seconds / 20.0)
    best = max(rates, key=lambda name: rates[name])
    run = drawn(tried[best], settings.seed + 2, settings.seconds, LEAST_BLOCKS)
    a = run["log_weights"]
    error = float(log_mean_exp_error(a, run["correlated"]))
    gained = float(log_mean_exp(a))
    ess = float(effective_sample_size(a))
    spent = run["seconds"]
    row = {
        "method": method,
        "chosen": best,
        "pilot": rates,
        "walkers": len(a),
        "seconds": round(spent, 2),
        "ess": round(ess, 4),
        "log_weight_variance": finite(float(a.var())),
        "log_z_from_the_start": round(gained, 5),
        "log_z": round(gained + path.start.log_z, 5),
        "log_z_error": finite(error),
        "effective_walkers_per_second": finite(effective(run) / spent),
        "inverse_variance_of_log_z_per_second": finite(1.0 / (error**2 * spent)),
    }
    for name in MEASURED:
        found = weighted_estimate(run["values"][name], a, None, run["correlated"])
        row |= told(name, found)
    print(one_line(row), flush=True)
    return row


def effective(run: dict[str, Any]) -> float:
    """Return how many independent walkers weighted ones are worth."""
    a = run["log_weights"]
    if run["correlated"] == 1:
        return float(effective_sample_size(a)) * len(a)
    values = run["values"]["susceptibility_full"]
    shares = torch.softmax(a, 0)
    mean = (shares * values).sum()
    variance = float((shares * (values - mean).square()).sum())
    error = weighted_estimate(values, a, None, run["correlated"]).error
    return variance / error**2


def told(name: str, found: Any) -> dict[str, Any]:
    """Return an estimate as entries of a row; of the identity its distance from 1 in errors."""
    if name == "schwinger_dyson":
        return {"schwinger_dyson_pull": finite(found.pull(1.0))}
    return {name: [finite(found.value), finite(found.error)]}


def chains(model: lt.PhiFour, move: Any, settings: PhiFour) -> dict[str, Any]:
    """Return the row of hybrid Monte Carlo alone, its burn-in included in the time."""
    given: dict[str, Any] = {"observables": MEASURED, "device": settings.device}
    few = 10
    lt.run_chain(model, move, settings.block, few, burn_in=0, **given)
    clock = Clock(settings.device)
    lt.run_chain(model, move, settings.block, few, burn_in=0, **given)
    per_sweep = clock() / few
    # A tenth more is the burn-in.
    sweeps = max(60, int(settings.seconds / (1.1 * per_sweep)))
    clock = Clock(settings.device)
    chain = lt.run_chain(model, move, settings.block, sweeps, seed=settings.seed, **given)
    spent = clock()
    found = chain.estimate("susceptibility_full")
    draws = settings.block * chain.draws
    row = {
        "method": "HMC",
        "chosen": f"{move.leapfrogs} leapfrogs, {settings.block} chains",
        "walkers": settings.block,
        "draws": draws,
        "seconds": round(spent, 2),
        "tau": finite(found.tau),
        "effective_walkers_per_second": finite(draws / (2.0 * found.tau * spent)),
    }
    for name in MEASURED:
        row |= told(name, chain.estimate(name))
    print(one_line(row), flush=True)
    return row


def compared(settings: PhiFour) -> dict[str, Any]:
    """Return the four methods at one point, and what the training of the drift costs."""
    shape = (settings.length, settings.length)
    model = lt.PhiFour(shape, settings.mass_squared, settings.quartic)
    path = lt.AnnealingPath(model, lt.FreeField(1.0))
    made = trained(path, settings)
    # Found once, and the same in all methods.
    moves = {count: lt.HMC(leapfrogs=count).settled(model) for count in settings.leapfrogs}
    rows = [weighed("NETS", path, made["drift"], moves, settings)]
    rows += [weighed(name, path, None, moves, settings) for name in ("AIS", "SMC")]
    rows.append(chains(model, moves[max(moves)], settings))
    charge(rows[0], rows[1:], made["seconds"])
    return {
        "model": repr(model),
        "start": repr(path.start),
        "log_z_of_the_start": round(path.start.log_z, 6),
        "training": {"seconds": made["seconds"], "steps": made["steps"]},
        "rows": rows,
    }


def charge(nets: dict[str, Any], others: list[dict[str, Any]], training: float | None) -> None:
    """Write what is left of the rates of NETS with its training charged, and when it pays.

    Args:
        nets: the row of NETS.
        others: those of its rivals.
        training: its seconds; None where the drift came from a file.
    """
    if training is None:
        return
    included = {}
    for key in ("effective_walkers_per_second", "inverse_variance_of_log_z_per_second"):
        included[key] = finite(nets[key] * nets["seconds"] / (nets["seconds"] + training))
        after: dict[str, float | None] = {}
        for other in others:
            theirs = other.get(key)
            if theirs is None:
                continue
            # Training pays for itself once own · (T - training) = theirs · T.
            after[other["method"]] = None
            if nets[key] > theirs:
                after[other["method"]] = finite(training * nets[key] / (nets[key] - theirs))
        nets.setdefault("break_even_seconds", {})[key] = after
    nets["training_included"] = included


def smaller(settings: PhiFour) -> PhiFour:
    """Return the settings of a run of a moment."""
    return replace(
        settings,
        lengths=(4, 6),
        quartics=(5.0, 7.0, 3),
        chains=16,
        sweeps=60,
        length=4,
        quartic=7.0,
        seconds=0.2,
        steps=4,
        intervals=(4,),
        annealings=(8,),
        leapfrogs=(1,),
        block=64,
    )


def main(settings: PhiFour) -> None:
    """Measure, print, and save."""
    torch.set_num_threads(1)
    # Short pilots say so: the table does too.
    warnings.simplefilter("ignore", CautionWarning)
    chosen = settings
    if settings.smoke:
        chosen = smaller(settings)
    rows = scanned(chosen)
    device = device_name(torch.device(chosen.device))
    if chosen.device == "cpu":
        device += f", {vectors()}"
    config = {**asdict(chosen), "results": chosen.results.name}
    for place in ("sampler", "save"):
        if config[place] is not None:
            config[place] = Path(config[place]).name
    result = {
        "scan": rows,
        "binder_crossings": crossings(rows),
        "gate": gates(chosen),
        "comparison": compared(chosen),
        "device": device,
        "config": config,
        "versions": provenance(torch.device(chosen.device)),
    }
    chosen.results.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    write_text(chosen.results / "phi4.json", text)
    draw(result, chosen.results / "phi4.png")
    print(f"Binder cumulants cross: {result['binder_crossings']}")


if __name__ == "__main__":
    main(tyro.cli(PhiFour, description=__doc__))
