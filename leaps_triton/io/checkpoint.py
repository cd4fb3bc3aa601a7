"""Samplers in files: safetensors with a manifest, written whole or not at all, and read without
running anything.

A file holds named tensors and, in its metadata, one JSON manifest: schema, model, path, network,
integrator, kernel, versions and commit, and a SHA-256 of the whole file. A training checkpoint
(:meth:`leaps_triton.Trainer.save`) holds a sampler and more, so that :func:`load` reads both.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load as _load_tensors
from safetensors.torch import save as _save_tensors
from torch import Tensor

from ..integrators.base import Integrator
from ..integrators.jump import Jump
from ..integrators.tau_leap import TauLeap
from ..kernels.checks import as_device, expect
from ..mcmc.base import Kernel
from ..mcmc.clusters import SwendsenWang, Wolff
from ..mcmc.compose import Compose
from ..mcmc.houdayer import Houdayer
from ..mcmc.kinetic import KineticMonteCarlo
from ..mcmc.sweeps import HeatBath, Metropolis, Overrelaxation
from ..mcmc.tempering import ParallelTempering
from ..models.base import Model
from ..models.pair import PairModel
from ..models.spins import Clock, EdwardsAnderson, Ising, Potts
from ..networks.base import Equivariant
from ..networks.hollow_conv import NETWORKS
from ..paths.annealing import AnnealingPath
from ..paths.starts import Uniform
from ..provenance import provenance
from ..samplers.sampler import Sampler

__all__ = [
    "Contents", "as_file", "describe", "describe_kernel", "describe_model", "differences", "load", "pack", "read",
    "rebuild", "rebuild_kernel", "rebuild_model", "replacing", "save", "unpack", "write",
]  # fmt: skip


SCHEMA = 1

_KEY = "leaps_triton"

_NO_DIGEST = "0" * 64


_MODELS: dict[str, type[PairModel]] = {
    m.__name__: m for m in (PairModel, Ising, EdwardsAnderson, Potts, Clock)
}

_KERNELS: dict[str, Any] = {
    k.__name__: k
    for k in (
        HeatBath,
        Metropolis,
        Overrelaxation,
        SwendsenWang,
        Wolff,
        Houdayer,
        KineticMonteCarlo,
        Compose,
        ParallelTempering,
    )
}

_INTEGRATORS: dict[str, type[Jump] | type[TauLeap]] = {"Jump": Jump, "TauLeap": TauLeap}

_TABLES = ("bond_table", "site_table", "coupling", "spins")


class Contents(NamedTuple):
    """What a file says."""

    manifest: dict[str, Any]
    """Plain JSON"""
    tensors: dict[str, Tensor]
    """By name, ``model.coupling`` or ``network.first.weight``"""


def describe_model(model: Model) -> Contents:
    """A model as data: what the manifest says of it, and its tables.

    Raises:
        ValueError: one that cannot be stored, and what can.
    """
    if not isinstance(model, PairModel) or _MODELS.get(type(model).__name__) is not type(model):
        name = type(getattr(model, "model", model)).__name__
        raise ValueError(
            f"the model must be one of {', '.join(_MODELS)} to be stored in a file, got {name}"
        )
    manifest = {
        "class": type(model).__name__,
        "shape": list(model.lattice.shape),
        "periodic": list(model.lattice.periodic),
        "q": model.q,
        "beta": model.beta,
    }
    return Contents(
        manifest, {f"model.{name}": getattr(model, name).detach().cpu() for name in _TABLES}
    )


def rebuild_model(data: dict[str, Any], tensors: dict[str, Tensor]) -> PairModel:
    """The model of :func:`describe_model`'s data."""
    coupling, site_table, q = tensors["model.coupling"], tensors["model.site_table"], data["q"]
    return _MODELS[data["class"]].from_tables(
        data["shape"],
        data["beta"],
        tensors["model.bond_table"],
        site_table.view(q) if site_table.numel() == q else site_table,
        coupling.item() if coupling.numel() == 1 else coupling,
        data["periodic"],
        tensors["model.spins"],
    )


def describe_kernel(kernel: Kernel) -> dict[str, Any]:
    """A kernel as data: its class and fields, the first and those that are not as by default.

    Raises:
        ValueError: one that cannot be stored, and what can.
    """
    name, mcmc = type(kernel).__name__, cast(Any, kernel)
    if _KERNELS.get(name) is not type(kernel):
        raise ValueError(
            f"a kernel must be one of {', '.join(_KERNELS)} to be stored in a file, got {kernel!r}"
        )
    if isinstance(kernel, Compose):
        return {"class": name, "kernels": [describe_kernel(part) for part in kernel.moves]}
    if isinstance(kernel, ParallelTempering):
        return {
            "class": name,
            "fractions": list(kernel.fractions),
            "kernel": describe_kernel(kernel.move),
        }
    first, *others = fields(mcmc)
    changed = [f for f in others if getattr(mcmc, f.name) != f.default]
    found = {f.name: getattr(mcmc, f.name) for f in (first, *changed)}
    # Files keep the former name.
    if "reversible" in found:
        found["rates"] = found.pop("reversible")
    return {"class": name, **found}


def rebuild_kernel(data: dict[str, Any]) -> Kernel:
    """The kernel of :func:`describe_kernel`'s data."""
    settings = dict(data)
    maker = _KERNELS[settings.pop("class")]
    if maker is Compose:
        return Compose(*(rebuild_kernel(part) for part in settings["kernels"]))
    if maker is ParallelTempering:
        settings["move"] = rebuild_kernel(settings.pop("kernel"))
    if "rates" in settings:
        settings["reversible"] = settings.pop("rates")
    kernel: Kernel = maker(**settings)
    return kernel


def describe(sampler: Sampler) -> Contents:
    """A sampler as data.

    Raises:
        ValueError: a part that cannot be stored, and what can.
    """
    expect(isinstance(sampler, Sampler), "sampler", "a Sampler", sampler)
    path, integrator, mcmc, transport = (
        sampler.path,
        sampler.integrator,
        sampler.mcmc,
        sampler.transport,
    )
    model = describe_model(path.model)
    if type(path.start) is not Uniform or path.schedule_name is None:
        raise ValueError(
            "only paths from the uniform start with schedule=None can be stored in a file"
        )
    if _INTEGRATORS.get(type(integrator).__name__) is not type(integrator):
        raise ValueError(
            f"the integrator must be {' or '.join(_INTEGRATORS)} to be stored in a file, got {integrator!r}"
        )
    tensors = model.tensors | {"integrator.times": integrator.times}
    network = None
    if transport is not None:
        name = type(transport).__name__
        if not isinstance(transport, Equivariant) or NETWORKS.get(name) is not type(transport):
            raise ValueError(
                f"the transport must be None or one of {', '.join(NETWORKS)} to be stored, got {name}"
            )
        network = {"class": name, "settings": transport.settings}
        tensors |= {f"network.{key}": value for key, value in transport.state_dict().items()}
    manifest = {
        "schema": SCHEMA,
        "model": model.manifest,
        "path": {"start": "uniform", "schedule": path.schedule_name},
        "network": network,
        "integrator": {
            "class": type(integrator).__name__,
            "intervals": integrator.intervals,
            **integrator.settings,
        },
        "mcmc": None if mcmc is None else describe_kernel(mcmc),
        "resampling": {"below": sampler.resample_below, "scheme": sampler.resampling},
        "block": sampler.block,
        "provenance": provenance(),
    }
    return Contents(
        manifest, {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    )


def rebuild(contents: Contents, name: str, device: torch.device | str | None = None) -> Sampler:
    """The sampler of :func:`describe`'s data; ``name`` is what errors call its file.

    Raises:
        ValueError: data that describe no sampler.
    """
    device = as_device(device)
    try:
        resampling = contents.manifest["resampling"]
        return Sampler(
            *_parts(*contents),
            resample_below=resampling["below"],
            resampling=resampling["scheme"],
            block=contents.manifest["block"],
            device=device,
        )
    except (
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        RuntimeError,
        StopIteration,
        OverflowError,
    ) as error:
        raise ValueError(
            f"{name} does not describe a sampler ({type(error).__name__}: {error}); save it again"
        ) from None


def _parts(
    manifest: dict[str, Any], tensors: dict[str, Tensor]
) -> tuple[AnnealingPath, Equivariant | None, Integrator, Kernel | None]:
    model = rebuild_model(manifest["model"], tensors)
    network = None
    if manifest["network"] is not None:
        network = NETWORKS[manifest["network"]["class"]](model, **manifest["network"]["settings"])
        state = {
            name.removeprefix("network."): v
            for name, v in tensors.items()
            if name.startswith("network.")
        }
        network.to(next(iter(state.values())).dtype).load_state_dict(state)
    settings = dict(manifest["integrator"])
    # How many intervals there are, the times tell.
    del settings["intervals"]
    integrator = _INTEGRATORS[settings.pop("class")](
        tensors["integrator.times"].tolist(), **settings
    )
    mcmc = rebuild_kernel(manifest["mcmc"]) if manifest["mcmc"] else None
    return AnnealingPath(model), network, integrator, mcmc


def pack(contents: Contents) -> bytes:
    """Contents as the bytes of a safetensors file."""
    manifest = json.dumps({"sha256": _NO_DIGEST, **contents.manifest})
    data = _save_tensors(contents.tensors, {_KEY: manifest})
    digest = hashlib.sha256(data).hexdigest()
    return data.replace(_NO_DIGEST.encode(), digest.encode(), 1)


def _rename(manifest: dict[str, Any]) -> None:
    """Give settings of older files the names they have now."""
    network = manifest.get("network")
    settings = network.get("settings") if isinstance(network, dict) else None
    if isinstance(settings, dict) and "input_precision" in settings:
        before = settings.pop("input_precision")
        settings["precision"] = "float32" if before == "ieee" else before


def unpack(data: bytes, name: str) -> Contents:
    """The inverse of :func:`pack`; ``name`` is what errors call the file.

    Raises:
        ValueError: not such bytes, damaged ones, or ones of a newer version.
    """
    length = int.from_bytes(data[:8], "little")
    try:
        manifest = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][_KEY])
        schema, digest = manifest["schema"], manifest.pop("sha256")
        blank = data.replace(digest.encode(), _NO_DIGEST.encode(), 1)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError(
            f"{name} is no leaps_triton checkpoint, or its beginning is damaged"
        ) from None
    if isinstance(schema, int) and schema > SCHEMA:
        raise ValueError(
            f"{name} has schema {schema}, newer than {SCHEMA}, the newest that this version reads; upgrade leaps_triton"
        )
    if len(digest) != 64 or hashlib.sha256(blank).hexdigest() != digest:
        raise ValueError(
            f"{name} is truncated or damaged: its SHA-256 does not match; restore it from a copy"
        )
    _rename(manifest)
    try:
        return Contents(manifest, _load_tensors(data))
    except SafetensorError as error:
        raise ValueError(f"{name} is no safetensors file: {error}") from None


def differences(old: Contents, new: Contents) -> list[str]:
    """Every entry in which two descriptions differ, as ``name old (now new)``; versions and commits
    may.
    """

    def flatten(prefix: str, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            return {prefix: value}
        return {
            k: v
            for key in value
            for k, v in flatten(f"{prefix}.{key}".lstrip("."), value[key]).items()
        }

    manifests = [flatten("", {**c.manifest, "provenance": None}) for c in (old, new)]
    found = []
    for name in dict.fromkeys([*manifests[0], *manifests[1]]):
        before, after = (manifest.get(name) for manifest in manifests)
        if before != after:
            found.append(f"{name} {before} (now {after})")
    for name in dict.fromkeys([*old.tensors, *new.tensors]):
        first, second = old.tensors.get(name), new.tensors.get(name)
        if (
            first is None
            or second is None
            or first.dtype != second.dtype
            or not torch.equal(first, second)
        ):
            found.append(f"{name} has other values")
    return found


def as_file(file: object) -> Path:
    """``file`` as a path; a ValueError unless it is a path or its name."""
    named = isinstance(file, str | os.PathLike) and str(file) != "" and "\0" not in str(file)
    expect(named, "file", "the name of a file", file)
    return Path(file)  # type: ignore[arg-type]


def _sync(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """A file beside ``file`` to fill; then it takes that one's name, whenever the process or the
    machine may stop.
    """
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
    with replacing(as_file(file)) as part:
        part.write_bytes(pack(contents))


def save(sampler: Sampler, file: str | Path) -> None:
    """Store a sampler: model, path, network with its parameters, integrator, kernel, block.

    Args:
        sampler: its model a :class:`~leaps_triton.models.PairModel` or one of the four made from
            it, its path from the uniform start with ``schedule=None``, its transport a network of
            the library or None.
        file: replaced if it exists, in one step.

    Raises:
        ValueError: a part that cannot be stored.
        OSError: a folder that is missing or may not be written to.

    Example:
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
    file = as_file(file)
    return unpack(file.read_bytes(), file.name)


def load(file: str | Path, device: torch.device | str | None = None) -> Sampler:
    """The sampler of a checkpoint, of :func:`save` or of training; nothing in the file is executed.

    Args:
        file: where it is.
        device: as of :class:`~leaps_triton.Sampler`.

    Raises:
        ValueError: a file that is no checkpoint, or is damaged, or of a newer version of the
            library.
        OSError: no such file, or one that cannot be read.
    """
    return rebuild(read(file), as_file(file).name, device)
