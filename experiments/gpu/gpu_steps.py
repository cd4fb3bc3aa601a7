"""Steps of gpu.py that are no tests: benchmarks, calls to watch, comparisons, gates, training.

python experiments/gpu/gpu_steps.py STEP --device cuda --output FOLDER
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

ROOT = Path(__file__).resolve().parents[2]
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
SMOKE_JOBS = {
    "ising-4": Job(length=4, q=2, beta=0.3, kernel_size=3, intervals=5, steps=20, walkers=256)
}


def write_json(file: Path, value: Any) -> None:
    """Write a value as JSON; the file is replaced as a whole."""
    temporary = file.with_suffix(".tmp")
    temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, file)


def provenance(device: str, commit: str) -> dict[str, Any]:
    """Return device, versions and commit, or the error if the library cannot be imported."""
    try:
        import torch

        from leaps_triton.provenance import provenance as describe

        about: dict[str, Any] = describe(torch.device(device))
    # Recorded, so that one broken import does not cost all the results.
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
    if commit and about["commit"] == "unknown":
        about["commit"] = commit
    return about


def bench(settings: argparse.Namespace) -> None:
    """Measure the ops named by ``--ops``, kernel and twin; a failure of one costs no other."""
    from leaps_triton.bench.run import main

    shared = ["--device", settings.device, "--no-compiled"]
    shared += ["--output", str(settings.output / "kernels.csv")]
    if settings.smoke:
        shared.append("--smoke")
    if settings.commit:
        shared += ["--commit", settings.commit]
    failures = []
    for name in settings.ops:
        try:
            main(["--op", name, *shared, "--json", str(settings.output / f"bench-{name}.json")])
        except SystemExit as error:
            if error.code:
                failures.append(f"{name}: {error.code}")
    if failures:
        sys.exit("; ".join(failures))


def ops(settings: argparse.Namespace) -> None:
    """Call every op once on small inputs of every kind, for a tool that watches the kernels."""
    import torch

    from leaps_triton import kernels
    from leaps_triton.kernels.inputs.families import watched

    place = torch.device(settings.device)
    names = []
    for op, given in watched():
        arguments = dict(given)
        for name, value in given.items():
            if isinstance(value, torch.Tensor):
                arguments[name] = value.to(place)
        op(**arguments)
        if place.type == "cuda":
            torch.cuda.synchronize()
        names.append(op._qualname)
    print(f"{len(names)} calls of {len(set(names))} ops: {kernels.backend(place)}")


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


def experiment(name: str) -> ModuleType:
    """Return a script of the experiments as a module, with tyro or without.

    Raises:
        ValueError: If there is not one script of this name.
    """
    found = list((ROOT / "experiments").rglob(f"{name}.py"))
    if len(found) != 1:
        raise ValueError(f"one script {name}.py was expected in experiments, got {len(found)}")
    if "tyro" not in sys.modules and importlib.util.find_spec("tyro") is None:
        # Its command line is not used here.
        stand_in = ModuleType("tyro")
        stand_in.conf = SimpleNamespace(Positional=None)  # type: ignore[attr-defined]
        sys.modules["tyro"] = stand_in
    sys.path.insert(0, str(found[0].parent))
    return importlib.import_module(name)


def gates(settings: argparse.Namespace) -> None:
    """Run kernel_gates: every move of Markov chains at L = 16, 32, 64 against exact values."""
    module = experiment("kernel_gates")
    file = settings.output / "kernel_gates.json"
    module.main(module.KernelGates(device=settings.device, smoke=settings.smoke, json=file))


def thermodynamics(settings: argparse.Namespace) -> None:
    """Run ising_thermodynamics, into the folder of results."""
    module = experiment("ising_thermodynamics")
    chosen = module.IsingThermodynamics(
        device=settings.device, smoke=settings.smoke, results=settings.output / "results"
    )
    module.main(chosen)


def published(settings: argparse.Namespace) -> None:
    """Run published_leaps on the given file, into the folder of results."""
    module = experiment("published_leaps")
    results = settings.output / "results"
    module.main(module.PublishedLeaps(settings.file, smoke=settings.smoke, results=results))


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
    import leaps_triton as lt

    begin = time.monotonic()
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


STEPS = {
    "bench": bench,
    "ops": ops,
    "demo": demo,
    "gates": gates,
    "thermodynamics": thermodynamics,
    "published": published,
}


def options() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description="Runs one step of experiments/gpu/gpu.py.")
    jobs = [f"train-{name}" for name in JOBS | SMOKE_JOBS]
    parser.add_argument("step", choices=[*STEPS, *jobs])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--seconds", type=float, default=60.0, help="of training")
    parser.add_argument("--output", type=Path, default=Path("gpu-results"), help="results' folder")
    parser.add_argument("--commit", default="", help="to record where there is no git checkout")
    parser.add_argument("--smoke", action="store_true", help="small sizes")
    parser.add_argument("--ops", nargs="+", default=[], help="to be measured")
    parser.add_argument("--file", type=Path, help="a published network")
    return parser


def main() -> None:
    """Read the command line and run the step."""
    settings = options().parse_args()
    settings.output.mkdir(parents=True, exist_ok=True)
    if settings.step in STEPS:
        STEPS[settings.step](settings)
    else:
        train(settings.step.removeprefix("train-"), settings)


if __name__ == "__main__":
    main()
