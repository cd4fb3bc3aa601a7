"""Steps that train samplers, on the device, and compare a trained one with the CPU."""

import argparse
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

from .common import CRITICAL, provenance, write_json


@dataclass(frozen=True)
class Job:
    """A sampler to train: Ising for q = 2, Potts for more, on a periodic square lattice."""

    length: int
    q: int
    beta: float
    kernel_size: int
    intervals: int
    steps: int
    walkers: int = 16384


JOBS = {
    "ising-8": Job(length=8, q=2, beta=CRITICAL, kernel_size=7, intervals=40, steps=2000),
    "ising-16": Job(length=16, q=2, beta=CRITICAL, kernel_size=11, intervals=80, steps=4000),
    "potts3-16": Job(length=16, q=3, beta=1.005, kernel_size=11, intervals=80, steps=4000),
}
SMOKE_JOBS = {
    "ising-4": Job(length=4, q=2, beta=0.3, kernel_size=3, intervals=5, steps=20, walkers=256)
}


def demo_sampler(settings: argparse.Namespace) -> Any:
    """Return the demo's sampler, trained on the device."""
    import leaps_triton as lt

    length = 4 if settings.smoke else 8
    model = lt.Ising((length, length), beta=0.4407)
    network = lt.HollowConv(model, kernel_size=3 if settings.smoke else 7)
    path = lt.AnnealingPath(model)
    sampler = lt.Sampler(path, network, lt.Jump(40), device=settings.device)
    steps = 20 if settings.smoke else 1500
    lt.Trainer(sampler, lt.TrainingConfig(steps=steps, learning_rate=2e-2)).run()
    return sampler


def demo(settings: argparse.Namespace) -> None:
    """Train the demo's network on the device, and sample the same walkers there and on the CPU.

    Random numbers are the same and rates differ by rounding, which a few walkers' events follow
    to other ends.
    """
    import leaps_triton as lt

    begin = time.monotonic()
    sampler = demo_sampler(settings)
    exact = lt.exact.log_z(sampler.path.model)
    result: dict[str, Any] = {
        "train_seconds": time.monotonic() - begin,
        "log_z_exact": exact,
        "provenance": provenance(settings.device, settings.commit),
    }
    lt.save(sampler, settings.output / "demo.safetensors")
    made = {}
    for name, device in (("device", settings.device), ("cpu", "cpu")):
        begin = time.monotonic()
        loaded = lt.load(settings.output / "demo.safetensors", device)
        made[name] = loaded.sample(256 if settings.smoke else 4096, seed=0)
        result[name] = {
            "seconds": time.monotonic() - begin,
            "ess": made[name].ess,
            "log_z": made[name].log_z,
            "log_z_error": made[name].log_z_error,
        }
    one = made["device"]
    two = made["cpu"]
    same = (one.configurations.cpu() == two.configurations).flatten(1).all(1)
    share = float(same.double().mean())
    distance = float((one.log_weights.cpu() - two.log_weights)[same].abs().median())
    result |= {"same_configurations": share, "log_weights_differ_by": distance}
    write_json(settings.output / "demo.json", result)
    pull = (one.log_z - exact) / one.log_z_error
    print(
        f"log Z {one.log_z:.4f} on {settings.device}, {two.log_z:.4f} on the CPU, "
        f"pull {pull:+.1f}; {share:.2%} of the walkers the same, log-weights to {distance:.1e}"
    )
    agree = share > 0.95 and distance < 1e-3
    if not agree or abs(pull) > 4 or abs(one.log_z - two.log_z) > 2 * one.log_z_error:
        sys.exit("device and CPU do not agree")


def new_sampler(job: Job, device: str) -> Any:
    """Return the untrained sampler of a job."""
    import leaps_triton as lt

    shape = (job.length, job.length)
    model: Any = lt.Ising(shape, job.beta) if job.q == 2 else lt.Potts(shape, job.q, job.beta)
    network = lt.HollowConv(model, kernel_size=job.kernel_size)
    path = lt.AnnealingPath(model)
    return lt.Sampler(path, network, lt.Jump(job.intervals), block=1024, device=device)


def seconds_per_step(job: Job, device: str) -> float:
    """Return the seconds that a step of training takes, after one for warming up."""
    import leaps_triton as lt

    probe = lt.Trainer(new_sampler(job, device), lt.TrainingConfig(steps=21, buffer=256))
    probe.run(1)
    start = time.monotonic()
    probe.run()
    return (time.monotonic() - start) / 20


def progress(trainer: Any, every: int) -> dict[str, Any]:
    """Return evaluations, and losses averaged over ``every`` steps."""
    history = trainer.history.as_dict()
    found = {key: values for key, values in history.items() if key.startswith("evaluation")}
    losses = trainer.history.loss
    groups = [losses[first : first + every] for first in range(0, len(losses), every)]
    found["mean_losses"] = [sum(group) / len(group) for group in groups]
    return found | {"steps": trainer.step}


def exact_log_z(model: Any) -> float | None:
    """Return log Z, or None where no formula gives it."""
    import leaps_triton as lt

    try:
        return float(lt.exact.log_z(model))
    except ValueError:
        return None


def train(name: str, settings: argparse.Namespace) -> None:
    """Train for about ``seconds`` and sample; ``train-<name>.json`` is kept up to date."""
    # Imports take their time too.
    begin = time.monotonic()
    import leaps_triton as lt

    job = (JOBS | SMOKE_JOBS)[name]
    file = settings.output / f"train-{name}.json"
    step_seconds = seconds_per_step(job, settings.device)
    # As many steps as fit, so that the learning rate comes down to its end.
    left = settings.seconds - (time.monotonic() - begin)
    steps = max(20, min(job.steps, int(0.5 * left / step_seconds)))
    every = max(1, steps // 10)
    sampler = new_sampler(job, settings.device)
    exact = exact_log_z(sampler.path.model)
    config = lt.TrainingConfig(
        steps=steps,
        learning_rate=2e-2,
        evaluate_every=every,
        evaluation_walkers=min(1024, job.walkers),
    )
    trainer = lt.Trainer(sampler, config)
    result: dict[str, Any] = {
        "job": asdict(job),
        "provenance": provenance(settings.device, settings.commit),
        "backend": lt.kernels.backend(sampler.device),
        "steps_wanted": steps,
        "step_seconds": step_seconds,
        "log_z_exact": exact,
    }
    while trainer.step < steps and time.monotonic() - begin < 0.7 * settings.seconds:
        trainer.run(min(trainer.step + every, steps))
        result |= progress(trainer, every) | {"seconds": time.monotonic() - begin}
        write_json(file, result)
    start = time.monotonic()
    ensemble = sampler.sample(job.walkers, seed=1)
    for key in ("ess", "log_weight_variance", "log_z", "log_z_error"):
        result[key] = getattr(ensemble, key)
    result["evaluations"] = ensemble.evaluations
    result |= {"walkers": job.walkers, "sample_seconds": time.monotonic() - start}
    write_json(file, result)
    known = "" if exact is None else f", exact {exact:.4f}"
    print(f"ESS {ensemble.ess:.3f}, log Z {ensemble.log_z:.4f} ± {ensemble.log_z_error:.4f}{known}")
