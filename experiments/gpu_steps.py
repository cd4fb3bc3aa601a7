"""Steps of gpu.py that are neither tests nor benchmarks: calls to watch, comparisons, gates, training.

python experiments/gpu_steps.py STEP --device cuda --output FOLDER
"""

import argparse
import importlib
import importlib.util
import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CRITICAL = 0.44068679


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
SMOKE_JOBS = {"ising-4": Job(length=4, q=2, beta=0.3, kernel_size=3, intervals=5, steps=20, walkers=256)}


def write_json(file: Path, value: Any) -> None:
    temporary = file.with_suffix(".tmp")
    temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, file)


def provenance(device: str, commit: str) -> dict[str, Any]:
    sys.path.insert(0, str(ROOT))
    try:
        import torch

        from leaps_triton.provenance import provenance as describe

        about = describe(torch.device(device))
    except Exception as error:  # recorded, so that one broken import does not cost all the results
        return {"error": f"{type(error).__name__}: {error}"}
    if commit and about["commit"] == "unknown":
        about["commit"] = commit
    return about


def ops(settings: argparse.Namespace) -> None:
    """Call every op once on small inputs of every kind, for a tool that watches the kernels."""
    import torch

    from leaps_triton import kernels
    from leaps_triton.kernels.inputs.families import watched

    place, names = torch.device(settings.device), []
    for op, arguments in watched():
        op(**{name: v.to(place) if isinstance(v, torch.Tensor) else v for name, v in arguments.items()})
        if place.type == "cuda":
            torch.cuda.synchronize()
        names.append(op._qualname)
    print(f"{len(names)} calls of {len(set(names))} ops: {kernels.backend(place)}")


def demo(settings: argparse.Namespace) -> None:
    """The demo's network, trained on the device; then the same walkers on device and CPU, which must agree.

    Random numbers are the same and rates differ by rounding, which a few walkers' events follow to other ends.
    """
    import leaps_triton as lt

    length, steps, walkers = (4, 20, 256) if settings.smoke else (8, 1500, 4096)
    model = lt.Ising((length, length), beta=0.4407)
    network = lt.HollowConv(model, kernel_size=3 if settings.smoke else 7)
    sampler = lt.Sampler(lt.AnnealingPath(model), network, lt.Jump(40), device=settings.device)
    begin = time.monotonic()
    lt.Trainer(sampler, lt.TrainingConfig(steps=steps, learning_rate=2e-2)).run()
    result: dict[str, Any] = {
        "train_seconds": time.monotonic() - begin, "log_z_exact": lt.exact.log_z(model),
        "provenance": provenance(settings.device, settings.commit),
    }  # fmt: skip
    lt.save(sampler, settings.output / "demo.safetensors")
    made = {}
    for name, device in (("device", settings.device), ("cpu", "cpu")):
        begin = time.monotonic()
        made[name] = lt.load(settings.output / "demo.safetensors", device).sample(walkers, seed=0)
        result[name] = {
            "seconds": time.monotonic() - begin, "ess": made[name].ess, "log_z": made[name].log_z,
            "log_z_error": made[name].log_z_error,
        }  # fmt: skip
    one, two = made["device"], made["cpu"]
    same = (one.configurations.cpu() == two.configurations).flatten(1).all(1)
    distance = (one.log_weights.cpu() - two.log_weights)[same].abs()
    result |= {"same_configurations": float(same.double().mean()), "log_weights_differ_by": float(distance.median())}
    pull = (one.log_z - result["log_z_exact"]) / one.log_z_error
    write_json(settings.output / "demo.json", result)
    agree = result["same_configurations"] > 0.95 and result["log_weights_differ_by"] < 1e-3
    print(
        f"log Z {one.log_z:.4f} on {settings.device}, {two.log_z:.4f} on the CPU, pull {pull:+.1f}; "
        f"{result['same_configurations']:.2%} of the walkers the same, log-weights to {distance.median():.1e}"
    )
    if not agree or abs(pull) > 4 or abs(one.log_z - two.log_z) > 2 * one.log_z_error:
        sys.exit("device and CPU do not agree")


def experiment(name: str) -> ModuleType:
    """A script of this folder as a module, with tyro or without."""
    if importlib.util.find_spec("tyro") is None:
        sys.modules["tyro"] = ModuleType("tyro")
        sys.modules["tyro"].conf = SimpleNamespace(Positional=None)  # type: ignore[attr-defined]
    return importlib.import_module(name)


def gates(settings: argparse.Namespace) -> None:
    """experiments/kernel_gates.py: every kernel of Markov chains at L = 16, 32, 64 against exact values."""
    module = experiment("kernel_gates")
    file = settings.output / "kernel_gates.json"
    module.main(module.KernelGates(device=settings.device, smoke=settings.smoke, json=file))


def thermodynamics(settings: argparse.Namespace) -> None:
    """experiments/ising_thermodynamics.py, into the folder of results."""
    module = experiment("ising_thermodynamics")
    module.main(
        module.IsingThermodynamics(device=settings.device, smoke=settings.smoke, results=settings.output / "results")
    )


def published(settings: argparse.Namespace) -> None:
    """experiments/published_leaps.py on the given file, into the folder of results."""
    module = experiment("published_leaps")
    module.main(module.PublishedLeaps(settings.file, smoke=settings.smoke, results=settings.output / "results"))


def train(name: str, settings: argparse.Namespace) -> None:
    """Train for about ``seconds``, then sample with exact weights; ``train-<name>.json`` is kept up to date."""
    import leaps_triton as lt

    job, device, seconds, begin = (JOBS | SMOKE_JOBS)[name], settings.device, settings.seconds, time.monotonic()
    shape = (job.length, job.length)
    model = lt.Ising(shape, job.beta) if job.q == 2 else lt.Potts(shape, job.q, job.beta)

    def new_sampler() -> lt.Sampler:
        network = lt.HollowConv(model, kernel_size=job.kernel_size)
        return lt.Sampler(lt.AnnealingPath(model), network, lt.Jump(job.intervals), block=1024, device=device)

    try:
        exact = lt.exact.log_z(model)
    except ValueError:
        exact = None
    # How many steps fit, so that the learning rate comes down to its end; the first step is one for warming up.
    probe = lt.Trainer(new_sampler(), lt.TrainingConfig(steps=21, buffer=256))
    probe.run(1)
    start = time.monotonic()
    probe.run()
    step_seconds = (time.monotonic() - start) / 20
    steps = max(20, min(job.steps, int(0.5 * (seconds - (time.monotonic() - begin)) / step_seconds)))
    every = max(1, steps // 10)
    sampler = new_sampler()
    config = lt.TrainingConfig(
        steps=steps, learning_rate=2e-2, evaluate_every=every, evaluation_walkers=min(1024, job.walkers)
    )
    trainer = lt.Trainer(sampler, config)
    result: dict[str, Any] = {
        "job": asdict(job), "provenance": provenance(device, settings.commit),
        "backend": lt.kernels.backend(sampler.device),
        "steps_wanted": steps, "step_seconds": step_seconds, "log_z_exact": exact,
    }  # fmt: skip

    def save() -> None:
        history = trainer.history.as_dict()
        evaluations = {key: values for key, values in history.items() if key.startswith("evaluation")}
        losses = [
            sum(part) / len(part)
            for part in (trainer.history.loss[i : i + every] for i in range(0, steps, every))
            if part
        ]
        result.update(steps=trainer.step, seconds=time.monotonic() - begin, mean_losses=losses, **evaluations)
        write_json(settings.output / f"train-{name}.json", result)

    while trainer.step < steps and time.monotonic() - begin < 0.7 * seconds:
        trainer.run(min(trainer.step + every, steps))
        save()
    start = time.monotonic()
    ensemble = sampler.sample(job.walkers, seed=1)
    result.update(
        ess=ensemble.ess,
        log_weight_variance=ensemble.log_weight_variance,
        log_z=ensemble.log_z,
        log_z_error=ensemble.log_z_error,
        walkers=job.walkers,
        evaluations=ensemble.evaluations,
        sample_seconds=time.monotonic() - start,
    )
    save()
    known = "" if exact is None else f", exact {exact:.4f}"
    print(f"ESS {ensemble.ess:.3f}, log Z {ensemble.log_z:.4f} ± {ensemble.log_z_error:.4f}{known}")


STEPS = {"ops": ops, "demo": demo, "gates": gates, "thermodynamics": thermodynamics, "published": published}


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Runs one step of experiments/gpu.py.")
    parser.add_argument("step", choices=[*STEPS, *(f"train-{name}" for name in JOBS | SMOKE_JOBS)])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--seconds", type=float, default=60.0, help="of training")
    parser.add_argument("--output", type=Path, default=Path("gpu-results"), help="folder for the results")
    parser.add_argument("--commit", default="", help="to record where the code is no git checkout")
    parser.add_argument("--smoke", action="store_true", help="small sizes")
    parser.add_argument("--file", type=Path, help="a published network")
    return parser


def main() -> None:
    settings = options().parse_args()
    settings.output.mkdir(parents=True, exist_ok=True)
    if settings.step in STEPS:
        return STEPS[settings.step](settings)
    train(settings.step.removeprefix("train-"), settings)


if __name__ == "__main__":
    main()
