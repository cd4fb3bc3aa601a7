"""Makes the files of ``v1``, which every later version of the library must load and go on with.

They were made once, with version 0.1.0 of the library and schema 1 of its files, and are not made
again: this script is the record of how. It refuses to write where there are files already. To see
it work, give another folder::

    PYTHONPATH=.:tests python tests/files/make_fixtures.py FOLDER
"""

import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from fixture_samplers import (
    BLOCK,
    FLOAT32,
    FLOAT64,
    clock,
    glass,
    integrators,
    ising,
    models,
    network,
    networks,
    potts,
    sampler,
)
from safetensors import safe_open
from safetensors.torch import load_file
from safetensors.torch import save as save_tensors

import leaps_triton as lt
from going_on import EVERYTHING, FILES, MOVES, SEED, going_on

WALKERS = 12
"""Walkers that are sampled after loading: a block and a part of another."""

TRAINED = 1e-4
"""Tolerance of the numbers that training a float32 network gives; see ``test_fixtures.py``."""


class Stopped(Exception):
    """What stops a run in its middle."""


def rewrite(source: Path, file: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Write a safetensors file again with another manifest, without the library."""
    with safe_open(source, "pt") as opened:
        manifest = json.loads(opened.metadata()["leaps_triton"])
    change(manifest)
    file.write_bytes(packed(manifest, load_file(source)))


def packed(manifest: dict[str, Any], tensors: dict[str, torch.Tensor]) -> bytes:
    """Return the bytes of a safetensors file whose manifest holds the SHA-256 of them all."""
    blank = "0" * 64
    data = save_tensors(tensors, {"leaps_triton": json.dumps({**manifest, "sha256": blank})})
    digest = hashlib.sha256(data).hexdigest()
    return data.replace(blank.encode(), digest.encode(), 1)


def name_precision(manifest: dict[str, Any]) -> None:
    """Say ``input_precision`` for ``precision``, and ``ieee`` for ``float32``."""
    settings = manifest["network"]["settings"]
    precision = settings.pop("precision")
    settings["input_precision"] = {"float32": "ieee"}.get(precision, precision)


def leave_out_options(manifest: dict[str, Any]) -> None:
    """Leave out what integrators and networks did not have at first."""
    for name in ("domain", "tables"):
        del manifest["integrator"][name]
    if manifest["network"] is not None:
        for name in ("global_features", "precision", "incremental"):
            del manifest["network"]["settings"][name]


def leave_out_training(manifest: dict[str, Any]) -> None:
    """Leave out what trainings did not have at first."""
    for name in ("loss", "leaps", "segment", "baseline", "huber_steps", "huber_delta", "ema"):
        del manifest["training"]["config"][name]


def spell_out_move(manifest: dict[str, Any]) -> None:
    """Say of a move what is its default too."""
    manifest["mcmc"]["backward"] = False


OLD: dict[str, tuple[str, Callable[[dict[str, Any]], None]]] = {
    "old-input-precision": ("network-hollowconv-default-precision", name_precision),
    "old-input-precision-tf32x3": ("network-hollowconv-precision", name_precision),
    "old-options": ("network-hollowconv-ising", leave_out_options),
    "old-move-in-full": ("model-ising-field", spell_out_move),
    "old-training": ("training", leave_out_training),
}
"""Files in older words: what each is made from, and what is changed."""


def begin_training(folder: Path) -> Iterator[tuple[str, dict[str, Any], float]]:
    """Train four of eight steps: as usual, and with every extra in float64."""
    config: dict[str, Any] = {
        "steps": 8,
        "times": 3,
        "walkers": 4,
        "learning_rate": 0.01,
        "warmup": 2,
        "buffer": 8,
        "rollout": 4,
        "rollout_every": 3,
        "evaluate_every": 4,
        "evaluation_walkers": BLOCK,
        "seed": 1,
    }
    extras = {
        **config,
        "loss": "log_variance",
        "leaps": 6,
        "segment": 2,
        "baseline": "learned",
        "huber_steps": 6,
        "huber_delta": 1.0,
        "ema": 0.9,
        "sweeps": 2,
    }
    leap = lt.TauLeap(3, floor=0.5, reversible="barker")
    usual = sampler(ising(), network("HollowConv", ising()), lt.Jump(3))
    extended = sampler(potts(), network("HollowConv", potts(), double=True), leap)
    for name, given, chosen, tolerance in (
        ("training", usual, config, TRAINED),
        ("training-extras", extended, extras, FLOAT64),
    ):
        trainer = lt.Trainer(given, lt.TrainingConfig(**chosen))
        trainer.run(4, checkpoint=folder / f"{name}.safetensors")
        yield f"{name}.safetensors", {"config": chosen}, tolerance


def begin_runs(folder: Path) -> Iterator[tuple[str, dict[str, Any], float]]:
    """Sample two of four blocks, the last of them a short one."""
    ais = sampler(potts(), None, lt.Jump(3), lt.HeatBath())
    learned = sampler(ising(), network("HollowConv", ising()), lt.Jump(2))
    short = ["energy", "susceptibility"]
    for name, given, names, tolerance in (
        ("run", ais, list(EVERYTHING), FLOAT64),
        ("run-network", learned, short, FLOAT32),
        ("old-run", ais, short, FLOAT64),
    ):
        settings: dict[str, Any] = {
            "walkers": 30,
            "observables": names,
            "configurations": name != "run-network",
        }
        file = folder / f"{name}.h5"
        with stops_after(given, "sample", 2):
            lt.io.sample(given, file=file, seed=SEED, **settings)
        yield file.name, settings, tolerance
    with h5py.File(folder / "old-run.h5", "r+") as out:
        manifest = json.loads(out.attrs["manifest"])
        leave_out_options(manifest)
        tensors = {"integrator.times": ais.integrator.times}
        for name in ("bond_table", "site_table", "coupling", "spins"):
            tensors[f"model.{name}"] = getattr(ais.path.model, name)
        out.attrs["manifest"] = json.dumps(manifest)
        del out["checkpoint"]
        out["checkpoint"] = np.frombuffer(packed(manifest, tensors), dtype=np.uint8)


def begin_chains(folder: Path) -> Iterator[tuple[str, dict[str, Any], float]]:
    """Draw three parts of five and a half; one chain is whole, and is to grow."""
    glasses = glass()
    single = ising(shape=(3, 3))
    replicas = ["energy", "overlap", "replica_energies"]
    start = torch.ones(4, 3, 3, dtype=torch.int8)
    given: dict[str, tuple[Any, dict[str, Any]]] = {
        "chain-heat-bath.h5": (single, {"observables": [*EVERYTHING, "overlap", "link_overlap"]}),
        "chain-houdayer.h5": (glasses, {"observables": ["energy", "overlap", "link_overlap"]}),
        "chain-tempering.h5": (glasses, {"observables": replicas}),
        "chain-tempering-alone.h5": (clock(), {"observables": replicas}),
        "chain-start.h5": (single, {"observables": ["energy", "binder"], "start": start}),
        "chain-grows.h5": (single, {"observables": ["energy"]}),
    }
    for name, (model, options) in given.items():
        settings = {
            "walkers": 4,
            "sweeps": 22,
            "thin": 2,
            "every": 2,
            "configurations": True,
            **options,
        }
        move = MOVES[name]
        arguments = {
            "model": model,
            "kernel": move,
            "file": folder / name,
            "burn_in": 3,
            "seed": SEED,
        }
        if name == "chain-grows.h5":
            lt.io.run_chain(**arguments, **{**settings, "sweeps": 10}, device="cpu")
        else:
            # The step that tries the move out, the burn-in, three parts, and one draw that is lost.
            with stops_after(type(move), "step", 1 + 3 + 3 * 4 + 2):
                lt.io.run_chain(**arguments, **settings, device="cpu")
        if "start" in settings:
            settings["start"] = settings["start"].tolist()
        yield name, settings, FLOAT64


@contextmanager
def stops_after(owner: Any, name: str, calls: int) -> Iterator[None]:
    """Let a method work so many times and then stop the run; what was written until then stays."""
    own = name in vars(owner)
    method = getattr(owner, name)
    left = iter(range(calls))

    def stopping(*arguments: Any, **options: Any) -> Any:
        if next(left, None) is None:
            raise Stopped
        return method(*arguments, **options)

    setattr(owner, name, stopping)
    try:
        yield
    except Stopped:
        pass
    else:
        raise RuntimeError("the run came to its end before it was stopped")
    finally:
        if own:
            setattr(owner, name, method)
        else:
            delattr(owner, name)


def write_files(folder: Path) -> dict[str, dict[str, Any]]:
    """Write every file and return what kind each is and how to go on with it."""
    entries: dict[str, dict[str, Any]] = {}
    for samplers in (models(), networks(), integrators()):
        for name, made, tolerance in samplers:
            lt.save(made, folder / f"{name}.safetensors")
            entries[f"{name}.safetensors"] = entry("sampler", {"walkers": WALKERS}, tolerance)
    stopped = {"training": begin_training, "run": begin_runs, "chain": begin_chains}
    for kind, begin in stopped.items():
        for name, settings, tolerance in begin(folder):
            entries[name] = entry(kind, settings, tolerance)
    for name, (source, change) in OLD.items():
        rewrite(folder / f"{source}.safetensors", folder / f"{name}.safetensors", change)
        entries[f"{name}.safetensors"] = dict(entries[f"{source}.safetensors"])
    return entries


def entry(kind: str, settings: dict[str, Any], tolerance: float) -> dict[str, Any]:
    """Return what ``expected.json`` says of a file, but for the numbers."""
    return {"kind": kind, "tolerance": tolerance, "settings": settings}


def main(folder: Path = FILES) -> None:
    """Write files and numbers into a folder that has none.

    Raises:
        FileExistsError: the folder exists and is not empty.
    """
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(
            f"{folder.name} has files already, and they are never made again; give another folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    entries = write_files(folder)
    scratch = folder / "scratch"
    scratch.mkdir()
    for name, found in entries.items():
        copy = scratch / name
        copy.write_bytes((folder / name).read_bytes())
        found["numbers"] = going_on(copy, found["kind"], found["settings"])
        copy.unlink()
    scratch.rmdir()
    for name, (source, _) in OLD.items():
        assert (
            entries[f"{name}.safetensors"]["numbers"] == entries[f"{source}.safetensors"]["numbers"]
        )
    about = {"leaps_triton": lt.__version__, "schema": 1, "files": entries}
    (folder / "expected.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
