"""Samplers in files: safetensors with a manifest, written whole or not at all, and read without running anything.

A file holds named tensors and, in its metadata, one JSON manifest: schema, model, path, network, integrator, kernel,
versions and commit, and a SHA-256 of the whole file. A training checkpoint (:meth:`leaps_triton.Trainer.save`) holds a
sampler and more, so that :func:`load` reads both.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load as _load_tensors
from safetensors.torch import save as _save_tensors
from torch import Tensor, nn

from .ctmc import Jump
from .local_rates import LocalRates
from .mcmc import HeatBath, Metropolis
from .models import Clock, EdwardsAnderson, Ising, PairModel, Potts
from .networks import HollowConv
from .path import AnnealingPath, Uniform
from .provenance import provenance
from .sampler import Sampler

__all__ = [
    "Contents", "describe", "differences", "load", "pack", "read", "rebuild", "replacing", "save", "unpack", "write",
]  # fmt: skip

SCHEMA = 1
_KEY = "leaps_triton"
_NO_DIGEST = "0" * 64

_MODELS: dict[str, type[PairModel]] = {m.__name__: m for m in (PairModel, Ising, EdwardsAnderson, Potts, Clock)}
_KERNELS: dict[str, type[HeatBath] | type[Metropolis]] = {"HeatBath": HeatBath, "Metropolis": Metropolis}
_NETWORKS: dict[str, type[HollowConv] | type[LocalRates]] = {"HollowConv": HollowConv, "LocalRates": LocalRates}
_TABLES = ("bond_table", "site_table", "coupling", "spins")


class Contents(NamedTuple):
    """What a file says."""

    manifest: dict[str, Any]
    """Plain JSON"""
    tensors: dict[str, Tensor]
    """By name, ``model.coupling`` or ``network.first.weight``"""


def describe(sampler: Sampler) -> Contents:
    """A sampler as data.

    Raises
        ValueError: a part that cannot be stored, and what can.
    """
    path, integrator, mcmc, transport = sampler.path, sampler.integrator, sampler.mcmc, sampler.transport
    model: Any = path.model
    if _MODELS.get(type(model).__name__) is not type(model):
        name = type(getattr(model, "model", model)).__name__
        raise ValueError(f"the model must be one of {', '.join(_MODELS)} to be stored in a file, got {name}")
    if type(path.start) is not Uniform or path.schedule_name is None:
        raise ValueError("only paths from the uniform start with schedule=None can be stored in a file")
    if type(integrator) is not Jump or not (mcmc is None or _KERNELS.get(type(mcmc).__name__) is type(mcmc)):
        kernels = " or ".join(_KERNELS)
        raise ValueError(f"the integrator must be Jump and mcmc {kernels} or None, got {integrator!r} and {mcmc!r}")
    tensors = {f"model.{name}": getattr(model, name) for name in _TABLES} | {"integrator.times": integrator.times}
    network = None
    if transport is not None:
        name = type(transport).__name__
        if not isinstance(transport, nn.Module) or _NETWORKS.get(name) is not type(transport):
            raise ValueError(f"the transport must be None or one of {', '.join(_NETWORKS)} to be stored, got {name}")
        network = {"class": name, "settings": transport.settings}
        tensors |= {f"network.{key}": value for key, value in transport.state_dict().items()}
    lattice = model.lattice
    manifest = {
        "schema": SCHEMA,
        "model": {
            "class": type(model).__name__,
            "shape": list(lattice.shape),
            "periodic": list(lattice.periodic),
            "q": model.q,
            "beta": model.beta,
        },
        "path": {"start": "uniform", "schedule": path.schedule_name},
        "network": network,
        "integrator": {
            "class": "Jump",
            "intervals": integrator.intervals,
            "reversible": integrator.reversible,
            "scale": integrator.scale,
            "max_events": integrator.max_events,
            "tables": integrator.tables,
        },
        "mcmc": None if mcmc is None else {"class": type(mcmc).__name__, "sweeps": mcmc.sweeps},
        "resampling": {"below": sampler.resample_below, "scheme": sampler.resampling},
        "block": sampler.block,
        "provenance": provenance(),
    }
    return Contents(manifest, {name: value.detach().cpu().contiguous() for name, value in tensors.items()})


def rebuild(contents: Contents, name: str, device: torch.device | str | None = None) -> Sampler:
    """The sampler of :func:`describe`'s data; ``name`` is what errors call its file.

    Raises
        ValueError: data that describe no sampler.
    """
    try:
        parts = _parts(*contents)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, StopIteration) as error:
        raise ValueError(
            f"{name} does not describe a sampler ({type(error).__name__}: {error}); save it again"
        ) from None
    resampling = contents.manifest["resampling"]
    return Sampler(
        *parts,
        resample_below=resampling["below"],
        resampling=resampling["scheme"],
        block=contents.manifest["block"],
        device=device,
    )


def _parts(
    manifest: dict[str, Any], tensors: dict[str, Tensor]
) -> tuple[AnnealingPath, HollowConv | LocalRates | None, Jump, HeatBath | Metropolis | None]:
    data, q = manifest["model"], manifest["model"]["q"]
    coupling, site_table = tensors["model.coupling"], tensors["model.site_table"]
    # A class and its tables say all: what they were once computed from is not needed again.
    model = _MODELS[data["class"]].__new__(_MODELS[data["class"]])
    PairModel.__init__(
        model,
        data["shape"],
        data["beta"],
        tensors["model.bond_table"],
        site_table.view(q) if site_table.numel() == q else site_table,
        coupling.item() if coupling.numel() == 1 else coupling,
        data["periodic"],
        tensors["model.spins"],
    )
    network: HollowConv | LocalRates | None = None
    if manifest["network"] is not None:
        network = _NETWORKS[manifest["network"]["class"]](model, **manifest["network"]["settings"])
        state = {name.removeprefix("network."): v for name, v in tensors.items() if name.startswith("network.")}
        network.to(next(iter(state.values())).dtype).load_state_dict(state)
    settings = {name: manifest["integrator"][name] for name in ("reversible", "scale", "max_events")}
    # Files of before there were tables do not name them.
    settings["tables"] = manifest["integrator"].get("tables")
    integrator = Jump(tensors["integrator.times"].tolist(), **settings)
    kernel = manifest["mcmc"]
    mcmc = None if kernel is None else _KERNELS[kernel["class"]](kernel["sweeps"])
    return AnnealingPath(model), network, integrator, mcmc


def pack(contents: Contents) -> bytes:
    """Contents as the bytes of a safetensors file."""
    manifest = json.dumps({"sha256": _NO_DIGEST, **contents.manifest})
    data = _save_tensors(contents.tensors, {_KEY: manifest})
    digest = hashlib.sha256(data).hexdigest()
    return data.replace(_NO_DIGEST.encode(), digest.encode(), 1)


def unpack(data: bytes, name: str) -> Contents:
    """The inverse of :func:`pack`; ``name`` is what errors call the file.

    Raises
        ValueError: not such bytes, damaged ones, or ones of a newer version.
    """
    length = int.from_bytes(data[:8], "little")
    try:
        manifest = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][_KEY])
        schema, digest = manifest["schema"], manifest.pop("sha256")
        blank = data.replace(digest.encode(), _NO_DIGEST.encode(), 1)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError(f"{name} is no leaps_triton checkpoint, or its beginning is damaged") from None
    if isinstance(schema, int) and schema > SCHEMA:
        raise ValueError(
            f"{name} has schema {schema}, newer than {SCHEMA}, the newest that this version reads; upgrade leaps_triton"
        )
    if len(digest) != 64 or hashlib.sha256(blank).hexdigest() != digest:
        raise ValueError(f"{name} is truncated or damaged: its SHA-256 does not match; restore it from a copy")
    try:
        return Contents(manifest, _load_tensors(data))
    except SafetensorError as error:
        raise ValueError(f"{name} is no safetensors file: {error}") from None


def differences(old: Contents, new: Contents) -> list[str]:
    """Every entry in which two descriptions differ, as ``name old (now new)``; versions and commits may."""

    def flatten(prefix: str, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            return {prefix: value}
        return {k: v for key in value for k, v in flatten(f"{prefix}.{key}".lstrip("."), value[key]).items()}

    manifests = [flatten("", {**c.manifest, "provenance": None}) for c in (old, new)]
    found = []
    for name in dict.fromkeys([*manifests[0], *manifests[1]]):
        before, after = (manifest.get(name) for manifest in manifests)
        if before != after:
            found.append(f"{name} {before} (now {after})")
    for name in dict.fromkeys([*old.tensors, *new.tensors]):
        first, second = old.tensors.get(name), new.tensors.get(name)
        if first is None or second is None or first.dtype != second.dtype or not torch.equal(first, second):
            found.append(f"{name} has other values")
    return found


def _sync(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """A file beside ``file`` to fill; then it takes that one's name, whenever the process or the machine may stop."""
    part = file.with_name(f".{file.name}.part")
    try:
        yield part
        _sync(part)
        part.replace(file)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _sync(file.parent)


def write(file: str | Path, contents: Contents) -> None:
    """Store contents in ``file``, whole or not at all."""
    with replacing(Path(file)) as part:
        part.write_bytes(pack(contents))


def save(sampler: Sampler, file: str | Path) -> None:
    """Store a sampler: model, path, network with its parameters, integrator, kernel, block.

    Arguments
        sampler: its model a :class:`~leaps_triton.models.PairModel` or one of the four made from it, its path from the
            uniform start with ``schedule=None``, its transport a network of the library or None.
        file: replaced if it exists, in one step.

    Raises
        ValueError: a part that cannot be stored.

    Example
        >>> import tempfile, leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Ising((4, 4), beta=0.4))
        >>> sampler = lt.Sampler(path, None, lt.Jump(10), lt.HeatBath(), device="cpu")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     lt.save(sampler, f"{folder}/ising.safetensors")
        ...     again = lt.load(f"{folder}/ising.safetensors", device="cpu")
        >>> again.path.model
        Ising(shape=(4, 4), q=2, beta=0.4, periodic=(True, True))
    """
    write(file, describe(sampler))


def read(file: str | Path) -> Contents:
    """Manifest and tensors of a file; errors as :func:`load`."""
    return unpack(Path(file).read_bytes(), Path(file).name)


def load(file: str | Path, device: torch.device | str | None = None) -> Sampler:
    """The sampler of a checkpoint, of :func:`save` or of training; nothing in the file is executed.

    Arguments
        file: where it is.
        device: as of :class:`~leaps_triton.Sampler`.

    Raises
        ValueError: a file that is no checkpoint, or is damaged, or of a newer version of the library.
        OSError: no such file, or one that cannot be read.
    """
    return rebuild(read(file), Path(file).name, device)
