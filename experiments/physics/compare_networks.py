"""Compare six locally equivariant networks on critical Ising and three-state Potts models.

    python experiments/physics/compare_networks.py            # about ten minutes on one core
    python experiments/physics/compare_networks.py --smoke    # some seconds

Each network has the width at which its number of parameters comes nearest to the one asked for; a
LEM joins all pairs of sites, so that on larger lattices it has more, be it ever so narrow. Two
comparisons follow: after equally many training steps on equally many configurations, and after
about equally many seconds of training. Steps that fit into the seconds are reckoned from the first
training. Then come as many blocks of walkers as a time for sampling holds, at least one, with a
heat-bath sweep at every interval boundary; without a network that is annealed importance sampling,
which is shown too. The error of Var[A] is that of normal log-weights. The ESS is at least one
walker: where it is near that, or there is but one block of walkers, read Var[A].

Evaluations count walkers: G of one walker at all sites is one. Memory is the peak of what torch
allocates during an evaluation and during a training step, of equally many configurations. Times on
a CPU are those that one thread spent computing, whatever else the machine did. The result is saved
after every network.
"""

import json
import math
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import tyro
from reports.networks import NONE, draw, table
from torch import Tensor

import leaps_triton as lt
from leaps_triton.bench.timing import Clock, timed
from leaps_triton.estimators.weights import effective_sample_size, log_mean_exp, log_mean_exp_error
from leaps_triton.files import write_text
from leaps_triton.provenance import device_name, provenance

CRITICAL = {"Ising": 0.4407, "Potts": math.log1p(math.sqrt(3.0))}

NETWORKS: dict[str, Callable[[Any, int, int], Any]] = {
    "LEM": lambda model, n, seed: lt.LEM(model, channels=n, width=16, seed=seed),
    "LEA": lambda model, n, seed: lt.LEA(model, channels=2 * n, heads=2, width=4 * n, seed=seed),
    "LEC": lambda model, n, seed: lt.LEC(model, channels=n, width=16, seed=seed),
    "LETransformer": lambda model, n, seed: lt.LETransformer(
        model, channels=2 * n, heads=2, layers=1, width=4 * n, seed=seed
    ),
    "HollowConv": lambda model, n, seed: lt.HollowConv(
        model, kernel_size=7, channels=n, width=2 * n, seed=seed
    ),
    "LocalRates": lambda model, n, seed: lt.LocalRates(model, width=n, seed=seed),
}
"""By model, a number that the width grows with, and seed."""

RATES = {
    "LEM": 1e-2, "LEA": 3e-2, "LEC": 1e-2, "LETransformer": 3e-2, "HollowConv": 3e-2,
    "LocalRates": 3e-2,
}  # fmt: skip
"""At their peak: of 0.003, 0.01 and 0.03 the one with the least Var[A] of both 8 × 8 models after
five seconds."""


@dataclass(frozen=True)
class CompareNetworks:
    """Train and measure each network on each model."""

    models: tuple[str, ...] = ("Ising", "Potts")
    """Ising at β = 0.4407, Potts with three states at β = log(1 + √3)."""
    lengths: tuple[int, ...] = (8, 16)
    """Lattices, square and periodic."""
    networks: tuple[str, ...] = tuple(NETWORKS)
    """Which to compare."""
    parameters: int = 5000
    """Of every network, about."""
    learning_rate: float | None = None
    """Of all networks at its peak; None for each one's own."""
    steps: tuple[int, ...] = (250, 60)
    """Training steps of the first comparison, for each length."""
    seconds: tuple[float, ...] = (6.0, 12.0)
    """Of training in the second comparison, for each length."""
    intervals: int = 20
    """Of the sampler."""
    sampling: float = 2.0
    """Seconds of sampling."""
    sites: int = 2**14
    """Sites that are computed together when sampling: walkers of a block times those of the
    lattice."""
    seed: int = 0
    """Of networks and training; samples have the next one."""
    device: str = "cpu"
    """Where it runs."""
    smoke: bool = False
    """A small lattice and few steps."""
    results: Path = Path("experiments/results")
    """Folder for compare_networks.json and compare_networks.png."""


SMOKE = {
    "lengths": (6,), "parameters": 2000, "steps": (5,), "seconds": (0.1,), "intervals": 3,
    "sampling": 0.05, "sites": 600,
}  # fmt: skip


def parameters(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def made(name: str, model: Any, settings: CompareNetworks) -> Any:
    """A network of about so many parameters."""
    best, n = NETWORKS[name](model, 1, settings.seed), 1
    while parameters(best) < settings.parameters:
        n += 1
        last, best = best, NETWORKS[name](model, n, settings.seed)
        if parameters(best) * parameters(last) > settings.parameters**2:
            return last
    return best


def trainer(
    path: lt.AnnealingPath, network: Any, rate: float, steps: int, settings: CompareNetworks
) -> lt.Trainer:
    sampler = lt.Sampler(
        path, network, lt.Jump(settings.intervals), block=64, device=settings.device
    )
    config = lt.TrainingConfig(
        steps=steps, times=8, walkers=8, learning_rate=rate, warmup=max(1, min(100, steps // 5)),
        buffer=128, rollout=8, rollout_every=25, seed=settings.seed,
    )  # fmt: skip
    return lt.Trainer(sampler, config)


def train(trainer: lt.Trainer) -> bool:
    """Train to the end; whether that diverged, and left the last good parameters."""
    try:
        trainer.run()
    except lt.TrainingDiverged:
        return True
    return False


def sampled(path: lt.AnnealingPath, network: Any, settings: CompareNetworks) -> dict[str, Any]:
    """How even the weights are, and what they cost."""
    jump, sites = lt.Jump(settings.intervals), path.model.lattice.sites
    block = max(16, settings.sites // sites)
    sampler = lt.Sampler(path, network, jump, lt.HeatBath(), block=block, device=settings.device)
    clock = Clock(settings.device)
    weights: list[Tensor] = []
    evaluations: list[float] = []
    while not weights or clock() < settings.sampling:
        found = sampler.sample(block, settings.seed + 1, first_block=len(weights))
        weights.append(found.log_weights)
        evaluations.append(found.evaluations)
    seconds, a = clock(), torch.cat(weights)
    ess, variance = float(effective_sample_size(a)), float(a.var())
    row = {
        "walkers": len(a),
        "ess": round(ess, 4),
        "log_weight_variance": float(f"{variance:.4g}"),
        "log_weight_variance_per_site": float(f"{variance / sites:.4g}"),
        "log_weight_variance_per_site_error": float(
            f"{variance / sites * math.sqrt(2.0 / (len(a) - 1)):.2g}"
        ),
        "evaluations": round(sum(evaluations) / len(evaluations), 1),
        "sampling_seconds": round(seconds, 2),
        "effective_walkers_a_second": float(f"{ess * len(a) / seconds:.4g}"),
    }
    if isinstance(path.model, lt.Ising):
        distance = path.start.log_z + float(log_mean_exp(a)) - lt.exact.log_z(path.model)
        row["log_z_pull"] = round(distance / float(log_mean_exp_error(a)), 2)
    return row


def peak_memory(call: Callable[[], object], device: torch.device) -> int:
    """Bytes that torch allocates during a call, at their peak."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        return torch.cuda.max_memory_allocated(device) - before
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        call()
    with tempfile.TemporaryDirectory() as folder:
        profile.export_chrome_trace(f"{folder}/trace.json")
        events = json.loads(Path(folder, "trace.json").read_text(encoding="utf-8"))["traceEvents"]
    changes = sorted((e["ts"], e["args"]["Bytes"]) for e in events if e.get("name") == "[memory]")
    held = peak = 0
    for _, change in changes:
        held += change
        peak = max(peak, held)
    return peak


def compared(
    name: str, path: lt.AnnealingPath, steps: int, seconds: float, settings: CompareNetworks
) -> dict[str, Any]:
    """One network on one model: its cost, and both comparisons."""
    rate = RATES[name] if settings.learning_rate is None else settings.learning_rate
    network = made(name, path.model, settings)
    trained = trainer(path, network, rate, steps, settings)
    device = trained.sampler.device
    x = path.start.sample(torch.arange(64, device=device), settings.seed)
    conditions = path.conditions(torch.full((1,), 0.5, device=device))
    with torch.no_grad():
        clock = Clock(settings.device)
        times = timed(lambda: network(x, conditions), device, min(0.5, seconds), clock=clock.now)
        evaluation = peak_memory(lambda: network(x, conditions), device)
    clock = Clock(settings.device)
    diverged = train(trained)
    spent = clock()
    first = {
        "steps": trained.step,
        "training_seconds": round(spent, 2),
        "diverged": diverged,
        **sampled(path, network, settings),
    }

    network = made(name, path.model, settings)
    trained = trainer(path, network, rate, max(2, round(steps * seconds / spent)), settings)
    clock = Clock(settings.device)
    trained.run(1)
    begun = clock()
    step = peak_memory(lambda: trained.run(2), device)
    clock = Clock(settings.device)
    diverged = train(trained)
    spent = begun + clock()
    second = {
        "steps": trained.step,
        "training_seconds": round(spent, 2),
        "diverged": diverged,
        **sampled(path, network, settings),
    }
    return {
        "network": name,
        "settings": {k: v for k, v in network.settings.items() if k != "seed"},
        "parameters": parameters(network),
        "learning_rate": rate,
        "evaluations_a_second": float(f"{len(x) / times.p50:.4g}"),
        "evaluation_MiB": float(f"{evaluation / 2**20:.3g}"),
        "training_step_MiB": float(f"{step / 2**20:.3g}"),
        "equal_steps": first,
        "equal_seconds": second,
    }


def main(settings: CompareNetworks) -> None:
    # The profiler of torch otherwise says when it starts and stops.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    torch.set_num_threads(1)
    chosen = replace(settings, **SMOKE) if settings.smoke else settings  # type: ignore[arg-type]
    for name, known in (("networks", NETWORKS), ("models", CRITICAL)):
        unknown = set(getattr(chosen, name)) - set(known)
        if unknown:
            raise ValueError(
                f"{name} must be of {', '.join(known)}, got {', '.join(sorted(unknown))}"
            )
    clock = Clock(chosen.device)
    cases: list[dict[str, Any]] = []
    chosen.results.mkdir(parents=True, exist_ok=True)
    file = chosen.results / "compare_networks.json"
    result: dict[str, Any] = {
        "cases": cases,
        "seconds": 0.0,
        "device": device_name(torch.device(chosen.device)),
        "config": {**asdict(chosen), "results": chosen.results.name},
        "versions": provenance(torch.device(chosen.device)),
    }
    try:
        for kind in chosen.models:
            for length, steps, seconds in zip(
                chosen.lengths, chosen.steps, chosen.seconds, strict=True
            ):
                shape, beta = (length, length), CRITICAL[kind]
                path = lt.AnnealingPath(
                    lt.Ising(shape, beta) if kind == "Ising" else lt.Potts(shape, 3, beta)
                )
                case: dict[str, Any] = {"model": f"{kind}, {length} × {length}, β = {beta:.4f}"}
                case["rows"] = [{"network": NONE, "parameters": 0, **sampled(path, None, chosen)}]
                cases.append(case)
                for name in chosen.networks:
                    case["rows"].append(compared(name, path, steps, seconds, chosen))
                    print(json.dumps(case["rows"][-1]), flush=True)
                    result["seconds"] = round(clock(), 1)
                    text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
                    write_text(file, text)
                print("\n".join(table(case)), flush=True)
                draw(result, file.with_suffix(".png"))
    except KeyboardInterrupt:
        print(f"interrupted; {file.name} holds what was measured")


if __name__ == "__main__":
    main(tyro.cli(CompareNetworks, description=__doc__))
