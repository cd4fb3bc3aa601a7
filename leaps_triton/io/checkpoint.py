"""Samplers in files: safetensors with a manifest, read without running anything.

A file holds named tensors and, in its metadata, one JSON manifest: schema, model, path, network,
integrator, move, versions and commit, and a SHA-256 of the whole file. A training checkpoint
(:meth:`leaps_triton.Trainer.save`) holds a sampler and more, so that :func:`load` reads both.
"""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import torch

from .. import registry
from ..files import claimed, replacing
from ..kernels.checks import as_device, expect
from ..paths.base import velocity_of
from ..provenance import provenance
from ..registry import UnknownNameError
from ..samplers.sampler import Sampler
from .packing import SCHEMA, Contents, as_file, differences, is_hdf5, pack, unpack
from .parts import (
    completed,
    describe_integrator,
    describe_model,
    describe_move,
    describe_path,
    describe_transport,
    move_before,
    rebuild_integrator,
    rebuild_model,
    rebuild_move,
    rebuild_path,
    rebuild_transport,
)

__all__ = [
    "SCHEMA",
    "Contents",
    "Storable",
    "as_file",
    "describe",
    "differences",
    "load",
    "pack",
    "read",
    "rebuild",
    "replacing",
    "save",
    "unpack",
    "write",
]

# What data that describe no sampler can make its parts raise.
_WRONG = (
    KeyError,
    TypeError,
    ValueError,
    AttributeError,
    RuntimeError,
    StopIteration,
    OverflowError,
)


class Storable(ABC):
    """What :func:`save` stores beside samplers: a result that tells all of itself as data.

    Its class is entered as ``@register("result")``, by which :func:`load` finds it.
    """

    @abstractmethod
    def contents(self) -> Contents:
        """Return manifest and tensors; the manifest has the name of the class as ``result``."""

    @classmethod
    @abstractmethod
    def from_contents(cls, contents: Contents) -> Any:
        """Return what :meth:`contents` describes."""


def describe(sampler: Sampler) -> Contents:
    """Return a sampler as data.

    Raises:
        ValueError: If a part cannot be stored; the error tells what can.
    """
    expect(isinstance(sampler, Sampler), "sampler", "a Sampler", sampler)
    model = describe_model(sampler.path.model)
    path = describe_path(sampler.path)
    integrator = describe_integrator(sampler.integrator)
    tensors = {**model.tensors, **path.tensors, "integrator.times": sampler.integrator.times}
    network = None
    # The velocity of a path comes back with the path.
    if sampler.transport is not None and sampler.transport is not velocity_of(sampler.path):
        transport = describe_transport(sampler.transport, sampler.path)
        network = transport.manifest
        tensors.update(transport.tensors)
    mcmc = None
    if sampler.mcmc is not None:
        mcmc = describe_move(sampler.mcmc)
    manifest = {
        "schema": SCHEMA,
        "model": model.manifest,
        "path": path.manifest,
        "network": network,
        "integrator": integrator,
        "mcmc": mcmc,
        "resampling": {"below": sampler.resample_below, "scheme": sampler.resampling},
        "block": sampler.block,
        "provenance": provenance(),
    }
    stored = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    return Contents(manifest, stored)


def rebuild(contents: Contents, name: str, device: torch.device | str | None = None) -> Sampler:
    """Return the sampler of :func:`describe`'s data.

    Args:
        contents: the data.
        name: what errors call their file.
        device: None for CUDA where there is a CUDA device, else the CPU.

    Raises:
        ValueError: If the data describe no sampler, or name a class that is not registered.
    """
    place = as_device(device)
    try:
        return _assemble(contents, place)
    except UnknownNameError as error:
        raise ValueError(f"{name} does not describe a sampler known here: {error}") from None
    except _WRONG as error:
        raise ValueError(
            f"{name} does not describe a sampler ({type(error).__name__}: {error}); save it again"
        ) from None


def _assemble(contents: Contents, device: torch.device) -> Sampler:
    """Return the sampler of data that are trusted to describe one."""
    manifest, tensors = contents
    model = rebuild_model(manifest["model"], tensors)
    path = rebuild_path(Contents(manifest["path"], tensors), model)
    network = None
    later = completed(contents).manifest
    if manifest["network"] is not None:
        network = rebuild_transport(later["network"], tensors, path)
    integrator = rebuild_integrator(later["integrator"], tensors["integrator.times"])
    mcmc = None
    if manifest["mcmc"]:
        mcmc = rebuild_move(manifest["mcmc"])
    resampling = manifest["resampling"]
    return Sampler(
        path,
        network,
        integrator,
        mcmc,
        resample_below=resampling["below"],
        resampling=resampling["scheme"],
        block=manifest["block"],
        device=device,
    )


def as_before(sampler: Sampler, contents: Contents) -> Sampler:
    """Return a sampler with what its user did not name of move and integrator as a file keeps it.

    Args:
        sampler: one that goes on with the file.
        contents: of the file.
    """
    manifest = completed(contents).manifest
    if "integrator" not in manifest:
        return sampler
    move = None
    if manifest.get("mcmc"):
        move = move_before(contents.manifest["mcmc"])
    before = rebuild_integrator(manifest["integrator"], contents.tensors["integrator.times"])
    return sampler.going_on(move, before)


def write(file: str | Path, contents: Contents) -> None:
    """Store contents in ``file``, whole or not at all."""
    with replacing(as_file(file)) as part:
        part.write_bytes(pack(contents))


def save(sampler: Sampler | Storable, file: str | Path) -> None:
    """Store a sampler: model, path, network with its parameters, integrator, move, block.

    Args:
        sampler: or a result such as what :class:`leaps_triton.Learner` returns; its parts of the
            library, or of classes of your own that are entered by :func:`leaps_triton.register`.
        file: replaced if it exists, in one step.

    Raises:
        ValueError: If a part cannot be stored; the error tells the line that is missing.
        BusyError: If another process is writing the file; it names the process.
        OSError: If the folder is missing or may not be written to, or the disk is full; the file is
            as it was.

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
    if isinstance(sampler, Storable):
        contents = sampler.contents()
    else:
        contents = describe(sampler)
    with claimed(as_file(file)):
        write(file, contents)


def read(file: str | Path) -> Contents:
    """Return manifest and tensors of a file; errors are those of :func:`load`."""
    file = as_file(file)
    data = file.read_bytes()
    if is_hdf5(data):
        raise ValueError(
            f"{file.name} is an HDF5 file, so a run, and no checkpoint of a sampler; lt.io.read, "
            f"`leaps-triton measure` and `leaps-triton plot` read it"
        )
    # torch.save writes zip archives.
    if data.startswith(b"PK"):
        raise ValueError(
            f"{file.name} is no leaps_triton checkpoint, but an archive such as torch.save "
            f"writes; a network of the LEAPS paper is read by lt.load_published_leaps and "
            f"`leaps-triton sample --published`"
        )
    return unpack(data, file.name)


def load(file: str | Path, device: torch.device | str | None = None) -> Any:
    """Return the sampler of a checkpoint, of :func:`save` or of training, or what was learned.

    Nothing in the file is executed: classes are looked up by name in the registry alone.

    Args:
        file: where it is.
        device: None for CUDA where there is a CUDA device, else the CPU.

    Raises:
        ValueError: If the file is no checkpoint, is damaged, is of a newer version of the library,
            or names a class that is not registered.
        OSError: If there is no such file, or it cannot be read.
    """
    contents = read(file)
    name = as_file(file).name
    if "result" in contents.manifest:
        return _result(contents, name)
    return rebuild(contents, name, device)


def _result(contents: Contents, name: str) -> Any:
    """Return the result of data of a :class:`Storable`."""
    try:
        return registry.find("result", contents.manifest["result"]).from_contents(contents)
    except UnknownNameError as error:
        raise ValueError(f"{name} does not describe a result known here: {error}") from None
    except _WRONG as error:
        raise ValueError(
            f"{name} does not describe a result known here ({type(error).__name__}: {error}); "
            f"save it again"
        ) from None
