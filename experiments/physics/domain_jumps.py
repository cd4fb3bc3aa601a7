"""Compare plain jumps and domain jumps of one network of local reach on two lattices.

Measured are evaluations, time, ESS and log Z.

    python experiments/physics/domain_jumps.py            # about three minutes on one core
    python experiments/physics/domain_jumps.py --smoke    # under a minute

The network is trained on each lattice with plain jumps; then every integrator samples with it.
Times on a CPU are those that one thread spent computing, whatever else the machine did.
"""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import tyro

import leaps_triton as lt
from leaps_triton.files import write_text
from leaps_triton.provenance import device_name, provenance


@dataclass(frozen=True)
class DomainJumps:
    """Compare plain jumps with domain jumps."""

    beta: float = 0.3
    """Inverse temperature of the Ising model; 0.4407 is critical."""
    lengths: tuple[int, ...] = (16, 32)
    """Lattices, square and periodic."""
    intervals: tuple[int, ...] = (5, 20)
    """Numbers of intervals."""
    domains: tuple[int, ...] = (2, 4)
    """Edge lengths of the domains."""
    kernel_size: int = 5
    """Of the network, whose reach is its half."""
    steps: int = 600
    """Of training, on each lattice."""
    walkers: int = 512
    """Of every measurement."""
    seed: int = 0
    """Of training and sampling."""
    device: str = "cpu"
    """Where it runs."""
    smoke: bool = False
    """One small lattice, few steps and walkers."""
    json: Path = Path("experiments/results/domain_jumps.json")
    """Where to save the result."""


def trained(settings: DomainJumps, path: lt.AnnealingPath) -> lt.HollowConv:
    """A network that reads its kernel alone."""
    network = lt.HollowConv(
        path.model,
        settings.kernel_size,
        channels=16,
        width=32,
        seed=settings.seed,
        global_features=False,
    )
    sampler = lt.Sampler(path, network, lt.Jump(10), block=64, device=settings.device)
    config = lt.TrainingConfig(
        steps=settings.steps,
        times=8,
        walkers=8,
        buffer=128,
        rollout=32,
        rollout_every=100,
        seed=settings.seed,
    )
    lt.Trainer(sampler, config).run()
    return network


def measured(
    settings: DomainJumps, path: lt.AnnealingPath, network: lt.HollowConv, jump: lt.Jump
) -> dict[str, Any]:
    """One row: a warm-up, then a timed run."""
    sampler = lt.Sampler(path, network, jump, block=64, device=settings.device)
    exact = lt.exact.log_z(path.model)
    sampler.sample(2, seed=settings.seed + 1)
    clock = time.process_time if sampler.device.type == "cpu" else time.perf_counter
    begin = clock()
    found = sampler.sample(settings.walkers, seed=settings.seed)
    seconds = clock() - begin
    tiles = jump.domains(path, network, sampler.device)
    return {
        "shape": list(path.model.lattice.shape),
        "intervals": jump.intervals,
        "domain": jump.domain,
        "classes": None if tiles is None else tiles.classes.shape[0],
        "domains_of_a_class": None if tiles is None else tiles.classes.shape[1],
        "evaluations": round(found.evaluations, 2),
        "seconds": round(seconds, 2),
        "ess": round(found.ess, 4),
        "log_weight_variance": round(found.log_weight_variance, 4),
        "log_z_error": round(found.log_z_error, 4),
        "log_z_less_exact": round(found.log_z - exact, 4),
        "effective_walkers_a_second": round(found.ess * settings.walkers / seconds, 3),
    }


def main(settings: DomainJumps) -> None:
    torch.set_num_threads(1)
    versions = provenance()
    lengths, small = settings.lengths, settings
    if settings.smoke:
        lengths = (8,)
        small = DomainJumps(
            steps=20, walkers=64, intervals=(4,), domains=(2,), device=settings.device
        )
    rows, training = [], {}
    for length in lengths:
        path = lt.AnnealingPath(lt.Ising((length, length), small.beta))
        begin = time.process_time()
        network = trained(small, path)
        training[str(length)] = round(time.process_time() - begin, 1)
        for intervals in small.intervals:
            for domain in (None, *small.domains):
                rows.append(measured(small, path, network, lt.Jump(intervals, domain=domain)))
                print(json.dumps(rows[-1]))
    result = {
        "rows": rows,
        "training_cpu_seconds": training,
        "device": device_name(torch.device(settings.device)),
        "config": {**asdict(small), "json": settings.json.name},
        "versions": versions,
    }
    settings.json.parent.mkdir(parents=True, exist_ok=True)
    write_text(settings.json, json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main(tyro.cli(DomainJumps, description=__doc__))
