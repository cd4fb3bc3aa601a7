"""Compare Euler weights of the published LEAPS network with exact ones.

The network is that of the critical 15 × 15 Ising model.

    python experiments/physics/published_leaps.py ising_final.ckpt
    python experiments/physics/published_leaps.py ising_final.ckpt --smoke

The same network moves walkers by tau-leaps with the Euler weights of the paper, at several numbers
of steps, and by the jump process with exact weights. Both are compared with Kaufman's log Z and
energy, and with |m| of a long heat-bath chain. The file is that of the paper's authors, or a
safetensors file of its weights behind `network.`; it is not part of this repository.
"""

import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
import tyro
from safetensors.torch import load_file

import leaps_triton as lt
from leaps_triton import exact
from leaps_triton.files import replacing, write_text
from leaps_triton.provenance import device_name, provenance
from leaps_triton.zoo.published import published_network


@dataclass(frozen=True)
class PublishedLeaps:
    """Weigh the walkers of the published network by Euler steps and exactly.

    Both are compared with exact values.
    """

    file: Annotated[Path, tyro.conf.Positional]
    """ising_final.ckpt, or a safetensors file of its weights."""
    walkers: int = 200
    """Walkers of each scheme."""
    steps: tuple[int, ...] = (25, 50, 100, 200)
    """Euler steps."""
    intervals: int = 25
    """Intervals of the jump process."""
    chains: int = 512
    """Heat-bath chains for |m|."""
    sweeps: int = 5000
    """Their sweeps, of which the first fifth is left out."""
    seed: int = 0
    """Seed of everything random."""
    smoke: bool = False
    """A few walkers and steps."""
    results: Path = Path("experiments/results")
    """Folder for published_leaps.json and published_leaps.png."""


def load(file: Path) -> lt.Sampler:
    """Return the sampler of a published file, or of its weights alone.

    The weights are those of 15 × 15 at β = 0.4407.
    """
    if file.suffix != ".safetensors":
        return lt.load_published_leaps(file)
    weights = {
        k.removeprefix("network."): v
        for k, v in load_file(file).items()
        if k.startswith("network.")
    }
    path = lt.AnnealingPath(lt.Ising((15, 15), beta=0.4407))
    return lt.Sampler(path, published_network(weights, path.model))


def magnetization(
    path: Any, chains: int, sweeps: int, seed: int, device: torch.device
) -> lt.Estimate:
    """Return ``⟨|m|⟩`` from independent heat-bath chains.

    It is measured at every tenth sweep after a fifth of them.
    """
    walkers = torch.arange(chains, device=device)
    kernel = lt.HeatBath(sweeps=10)
    chain = kernel.init(path.start.sample(walkers, seed), walkers)
    total, count = torch.zeros(chains, dtype=torch.float64, device=device), 0
    while chain.sweep < sweeps:
        chain, _ = kernel.step(chain, path, 1.0, seed)
        if chain.sweep > sweeps // 5:
            total += lt.observables.abs_magnetization(chain.configurations, path.model)
            count += 1
    means = total / count
    return lt.Estimate(float(means.mean()), float(means.std()) / math.sqrt(chains))


def measure(
    sampler: lt.Sampler, integrator: Any, settings: PublishedLeaps, log_z: float
) -> dict[str, Any]:
    """One scheme: weights, log Z and observables, and what they cost."""
    made = lt.Sampler(
        sampler.path, sampler.transport, integrator, block=settings.walkers, device=sampler.device
    )
    # On a CPU the time of the processor, which others' work does not lengthen.
    clock = time.process_time if made.device.type == "cpu" else time.perf_counter
    begin = clock()
    ensemble = made.sample(settings.walkers, seed=settings.seed, progress=True)
    seconds = clock() - begin
    energy, magnetic = (
        ensemble.estimate(o) for o in (lt.observables.energy, lt.observables.abs_magnetization)
    )
    return {
        "steps": integrator.intervals,
        "evaluations": ensemble.evaluations,
        "seconds": round(seconds, 1),
        "ess": ensemble.ess,
        "log_weight_variance": ensemble.log_weight_variance,
        "log_z": ensemble.log_z,
        "log_z_error": ensemble.log_z_error,
        "log_z_deviation": ensemble.log_z - log_z,
        "energy": energy.value,
        "energy_error": energy.error,
        "abs_magnetization": magnetic.value,
        "abs_magnetization_error": magnetic.error,
    }


def table(result: dict[str, Any]) -> str:
    """One line a scheme."""
    known = result["reference"]
    lines = [
        f"{'scheme':8}{'steps':>6}{'evaluations':>13}{'ESS':>7}"
        f"{'log Z - exact':>17}{'energy / site':>19}{'|m|':>20}{'s':>7}"
    ]
    for row in result["schemes"]:
        deviation = lt.Estimate(row["log_z_deviation"], row["log_z_error"])
        energy = lt.Estimate(row["energy"], row["energy_error"])
        magnetic = lt.Estimate(row["abs_magnetization"], row["abs_magnetization_error"])
        lines.append(
            f"{row['scheme']:8}{row['steps']:6}{row['evaluations']:13.1f}{row['ess']:7.3f}{deviation!s:>17}"
            f"{energy!s:>19}{magnetic!s:>20}{row['seconds']:7.0f}"
        )
    magnetic = lt.Estimate(known["abs_magnetization"], known["abs_magnetization_error"])
    return "\n".join([*lines, f"{'reference':51}{known['energy']:19.5f}{magnetic!s:>20}"])


def draw(result: dict[str, Any], file: Path) -> None:
    """Deviation of log Z, and ESS, over evaluations of the network."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    euler = [row for row in result["schemes"] if row["scheme"] == "euler"]
    jump = [row for row in result["schemes"] if row["scheme"] == "jump"]
    for rows, label, marker in (
        (euler, "tau-leap, Euler weights", "o"),
        (jump, "jumps, exact weights", "s"),
    ):
        x = [row["evaluations"] for row in rows]
        deviation, error = (
            [row[key] for row in rows] for key in ("log_z_deviation", "log_z_error")
        )
        left.errorbar(x, deviation, error, marker=marker, capsize=3, label=label)
        right.plot(x, [row["ess"] for row in rows], marker=marker, label=label)
    left.axhline(0.0, color="black", linewidth=0.8)
    left.set(xlabel="evaluations a walker", ylabel="log Z − exact")
    right.set(xlabel="evaluations a walker", ylabel="ESS", ylim=(0.0, 1.0))
    left.legend(frameon=False)
    right.text(
        0.97,
        0.05,
        "Euler's is the ESS of a biased estimate",
        transform=right.transAxes,
        ha="right",
        fontsize=8,
    )
    side, beta = result["model"]["length"], result["model"]["beta"]
    figure.suptitle(f"Published LEAPS network, {side} × {side} Ising, β = {beta}")
    with replacing(file) as part:
        figure.savefig(part, dpi=120)


def main(settings: PublishedLeaps) -> None:
    """Measure, print, and save."""
    settings.results.mkdir(parents=True, exist_ok=True)
    chosen = settings
    if settings.smoke:
        chosen = PublishedLeaps(
            settings.file, 16, (4, 8), 3, 32, 100, settings.seed, True, settings.results
        )
    sampler = load(settings.file)
    model: Any = sampler.path.model
    if type(model) is not lt.Ising:
        raise ValueError(f"exact values are known for the Ising model, the file is of {model}")
    shape = model.lattice.shape
    log_z = exact.ising_log_z(shape, model.beta)
    magnetic = magnetization(
        sampler.path, chosen.chains, chosen.sweeps, chosen.seed, sampler.device
    )
    schemes = [{"scheme": "jump", **measure(sampler, lt.Jump(chosen.intervals), chosen, log_z)}]
    for steps in chosen.steps:
        leap = lt.TauLeap(steps, weights="euler")
        schemes.append({"scheme": "euler", **measure(sampler, leap, chosen, log_z)})
    result = {
        "model": {"length": shape[0], "beta": model.beta},
        "reference": {
            "log_z": log_z,
            "energy": exact.ising_energy(shape, model.beta),
            "abs_magnetization": magnetic.value,
            "abs_magnetization_error": magnetic.error,
        },
        "schemes": schemes,
        "device": device_name(sampler.device),
        "config": {**asdict(chosen), "file": chosen.file.name, "results": chosen.results.name},
        "versions": provenance(),
    }
    print(table(result))
    text = json.dumps(result, indent=2) + "\n"
    write_text(settings.results / "published_leaps.json", text)
    draw(result, settings.results / "published_leaps.png")


if __name__ == "__main__":
    main(tyro.cli(PublishedLeaps, description=__doc__))
