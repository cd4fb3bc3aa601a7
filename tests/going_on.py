"""The numbers that loading a file of the library and going on with it gives.

``files/make_fixtures.py`` wrote them down once, beside the files; ``test_fixtures.py`` finds them
again. Only the public face of the library is used, and arguments whose names may change are given
by position, so that both outlive changes of the code's layout. Every number is a hexadecimal
float, exact to the last bit; the states of a configuration are digits, one string per walker.
"""

import json
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import h5py
import torch
from safetensors import safe_open
from torch import Tensor

import leaps_triton as lt

FILES = Path(__file__).parent / "files" / "v1"
"""The files, and ``expected.json``."""

SEED = 3
"""Seed of what is sampled after loading."""

EVERYTHING = (
    "abs_magnetization",
    "binder",
    "correlation",
    "correlation_length",
    "energy",
    "magnetization",
    "magnetization_squared",
    "potts_order",
    "specific_heat",
    "structure_factor",
    "susceptibility",
    "susceptibility_full",
)
"""Observables of single walkers that a file can name."""

_PAIRED = lt.Compose(lt.HeatBath(), lt.Houdayer())

MOVES: dict[str, Any] = {
    "chain-heat-bath.h5": lt.HeatBath(2),
    "chain-houdayer.h5": lt.Compose(lt.HeatBath(), lt.Houdayer(2)),
    "chain-tempering.h5": lt.ParallelTempering([0.3, 0.6, 1.0], _PAIRED),
    "chain-tempering-alone.h5": lt.ParallelTempering([0.4, 1.0]),
    "chain-start.h5": lt.KineticMonteCarlo(0.5, "metropolis"),
    # The file is older than the rest, so it goes on without.
    "chain-grows.h5": lt.Compose(lt.Metropolis(2, rest=0.0), lt.SwendsenWang()),
}
"""What the walkers of each chain are moved by."""


def going_on(file: Path, kind: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Load a file, go on with it to its end, and return the numbers that this gives.

    Args:
        file: where it is; runs, chains and trainings go on in place.
        kind: ``"sampler"``, ``"training"``, ``"run"`` or ``"chain"``.
        settings: the arguments that going on takes, apart from those that the file knows.
    """
    kinds: dict[str, Callable[[Path, dict[str, Any]], dict[str, Any]]] = {
        "sampler": _sample,
        "training": _train,
        "run": _finish_run,
        "chain": _finish_chain,
    }
    continue_with = kinds[kind]
    return continue_with(file, settings)


def manifest_of(file: Path) -> dict[str, Any]:
    """Return the manifest of a file, read without the library."""
    if file.suffix == ".h5":
        with h5py.File(file) as source:
            text = source.attrs["manifest"]
    else:
        with safe_open(file, "pt") as source:
            text = source.metadata()["leaps_triton"]
    manifest: dict[str, Any] = json.loads(text)
    return manifest


def _sample(file: Path, settings: dict[str, Any]) -> dict[str, Any]:
    sampler = lt.load(file, device="cpu")
    ensemble = sampler.sample(settings["walkers"], SEED)
    return {
        "log_weights": _numbers(ensemble.log_weights),
        "log_z": [ensemble.log_z.hex()],
        "evaluations": [ensemble.evaluations.hex()],
        "configurations": _states(ensemble.configurations),
    }


def _train(file: Path, settings: dict[str, Any]) -> dict[str, Any]:
    sampler = lt.load(file, device="cpu")
    trainer = lt.Trainer(sampler, lt.TrainingConfig(**settings["config"]))
    trainer.resume(file)
    begun = trainer.step
    history = trainer.run(checkpoint=file)
    found: dict[str, Any] = {"steps": [str(begun), str(trainer.step)]}
    for name, values in history.as_dict().items():
        # Legs came later than the files, which have none.
        if name == "legs":
            continue
        found[f"history.{name}"] = _numbers(torch.tensor(values, dtype=torch.float64))
    with safe_open(file, "pt") as source:
        for name in sorted(source.keys()):
            if name.startswith(("network.", "trained.", "free_energy.")):
                values = source.get_tensor(name).double()
                found[name] = _numbers(torch.stack([values.sum(), values.norm()]))
        buffer = source.get_tensor("buffer")
    found["buffer"] = _states(buffer.flatten(0, 1))
    return found


def _finish_run(file: Path, settings: dict[str, Any]) -> dict[str, Any]:
    before = lt.io.read(file)
    assert isinstance(before, lt.io.Run)
    assert not before.complete
    walkers = settings["walkers"]
    run = lt.io.sample(
        before.sampler,
        walkers,
        file,
        SEED,
        settings["observables"],
        configurations=settings["configurations"],
        resume=True,
    )
    assert run.complete
    found: dict[str, Any] = {
        "walkers": [str(len(before.log_weights)), str(len(run.log_weights))],
        "log_weights": _numbers(run.log_weights),
        "log_z": [run.log_z.hex(), run.diagnostics["log_z_error"].hex()],
        "evaluations": [run.evaluations.hex()],
    }
    if run.configurations is not None:
        found["configurations"] = _states(run.configurations)
    for name in settings["observables"]:
        values = run.observables[name]
        estimate, _ = run.examined(name, _one_number(name, values))
        total = float(values.sum())
        found[name] = [total.hex(), estimate.value.hex(), estimate.error.hex()]
    return found


def _finish_chain(file: Path, settings: dict[str, Any]) -> dict[str, Any]:
    before = lt.io.read(file)
    assert isinstance(before, lt.io.ChainRun)
    draws = before.draws
    start = settings.get("start")
    chain = lt.io.run_chain(
        before.model,
        MOVES[file.name],
        settings["walkers"],
        settings["sweeps"],
        file,
        settings["thin"],
        SEED,
        observables=settings["observables"],
        start=None if start is None else torch.tensor(start, dtype=torch.int8),
        device="cpu",
        configurations=settings["configurations"],
        every=settings["every"],
        resume=True,
    )
    assert chain.complete
    found: dict[str, Any] = {
        "draws": [str(draws), str(chain.draws)],
        "configurations": _states(chain.configurations),
    }
    if chain.kept is not None:
        found["kept"] = _states(chain.kept.flatten(0, 1))
    for name in settings["observables"]:
        values = chain.values[name]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", lt.estimators.CautionWarning)
            estimate = chain.estimate(name, _one_number(name, values[:, 0]))
        total = float(values.sum())
        found[name] = [total.hex(), estimate.value.hex(), estimate.error.hex()]
    return found


def _one_number(name: str, values: Tensor) -> Callable[[Tensor], Tensor] | None:
    """Return what makes one number of several means; None where the observable does so itself."""
    has_own = hasattr(getattr(lt.observables, name), "function")
    if has_own or values.ndim == 1:
        return None
    return _first


def _first(means: Tensor) -> Tensor:
    return means[..., 0]


def _numbers(values: Tensor) -> list[str]:
    return [float(value).hex() for value in values.flatten().tolist()]


def _states(configurations: Tensor) -> list[str]:
    rows: Iterable[list[int]] = configurations.flatten(1).tolist()
    return ["".join(str(state) for state in row) for row in rows]
