"""Markov chains in HDF5, draw after draw; :func:`leaps_triton.io.run_chain` and
:func:`leaps_triton.io.read` are here.

A file holds ``observables/<name>`` of ``(walkers, draws)`` or ``(walkers, draws, k)``, of half as
many rows for overlaps, ``configurations (walkers, draws, *shape)`` if asked for, the model and
kernel as the bytes of a checkpoint with all settings, and a SHA-256 of every finished part of
``every`` draws. ``state/<field>`` holds the state of the kernel after the last two parts in turn,
so that whatever moment a process stops at, one of them belongs to the last finished part.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..kernels.checks import as_integer, expect
from ..mcmc.base import Kernel
from ..mcmc.chain import Chain, March
from ..models.base import EnergyModel
from ..observables.base import OBSERVABLES
from ..provenance import provenance
from .hdf5 import allocate, check_observables, contents, digest, finished, opened, write
from .packing import SCHEMA, Contents, as_file, differences, pack, replacing
from .parts import describe_model, describe_move, rebuild_model, rebuild_move

if TYPE_CHECKING:
    import h5py

__all__ = ["ChainRun", "read_chain", "run_chain"]


@dataclass(frozen=True)
class ChainRun(Chain):
    """The finished draws of a file, as a :class:`~leaps_triton.Chain`.

    Attributes:
        manifest: model, kernel, settings of the run (``manifest["chain"]``), versions and commit;
            plain JSON.
    """

    manifest: dict[str, Any] = field(repr=False)

    @property
    def complete(self) -> bool:
        """Whether all draws that were asked for are there."""
        return self.sweeps == int(self.manifest["chain"]["sweeps"])


def run_chain(
    model: EnergyModel,
    kernel: Kernel,
    walkers: int,
    sweeps: int,
    file: str | Path,
    thin: int = 1,
    seed: int = 0,
    burn_in: int | None = None,
    observables: Sequence[str] = OBSERVABLES,
    start: Tensor | None = None,
    device: torch.device | str | None = None,
    configurations: bool = False,
    every: int = 100,
    resume: bool = False,
    progress: bool = False,
) -> ChainRun:
    """Markov chains into a file, the same as of :func:`leaps_triton.run_chain`.

    Args:
        model: a :class:`~leaps_triton.models.PairModel` or one of the four made from it.
        kernel: one of the library.
        walkers, sweeps, thin, seed, start, device: as of :func:`leaps_triton.run_chain`.
        file: HDF5.
        burn_in: steps before, not measured; None for a tenth of ``sweeps``, or for what the file to
            go on with had.
        observables: names in :mod:`leaps_triton.observables`.
        configurations: store those of every draw too, N bytes a draw and walker.
        every: draws from one write to the next; a crash loses no more.
        resume: go on with ``file`` if it exists, after its last write; with more ``sweeps`` than it
            was begun with, it grows. The result is that of an undisturbed run, bit for bit.
        progress: show a progress bar on a terminal.

    Raises:
        ValueError: a bad argument; a file that exists, without ``resume``; one of another run, with
            it.

    Example:
        >>> import tempfile, leaps_triton as lt
        >>> model = lt.Ising((8, 8), beta=0.3)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = f"{folder}/chain.h5"
        ...     half = lt.io.run_chain(
        ...         model, lt.HeatBath(), 16, 250, file, burn_in=50, device="cpu"
        ...     )
        ...     chain = lt.io.run_chain(
        ...         model, lt.HeatBath(), 16, 500, file, burn_in=50, device="cpu", resume=True
        ...     )
        >>> (
        ...     abs(chain.estimate("energy").pull(lt.exact.ising_energy((8, 8), beta=0.3))) < 3,
        ...     half.draws,
        ...     chain.draws,
        ... )
        (True, 250, 500)
    """
    file = as_file(file)
    check_observables(observables, chains=True)
    every = as_integer("every", every, 1)
    for name, value in (
        ("configurations", configurations),
        ("resume", resume),
        ("progress", progress),
    ):
        expect(isinstance(value, bool), name, "a bool", value)
    if file.exists() and not resume:
        raise ValueError(
            f"{file.name} exists; go on with it by resume (--resume), or choose another file"
        )
    old = _contents(file) if file.exists() else None
    if old is not None and burn_in is None:
        burn_in = old.manifest["chain"]["burn_in"]
    march = March(
        model, kernel, walkers, sweeps, thin, seed, burn_in, list(observables), start, device
    )
    settings = {
        "walkers": march.walkers,
        "sweeps": march.draws * march.thin,
        "burn_in": march.burn_in,
        "thin": march.thin,
        "seed": march.seed,
        "observables": list(observables),
        "configurations": configurations,
        "every": every,
        # Devices of one type agree bit for bit; others agree only in law.
        "device": march.device.type,
    }
    table = describe_model(march.model)
    manifest = {
        "schema": SCHEMA,
        "model": table.manifest,
        "kernel": describe_move(kernel),
        "chain": settings,
        "provenance": provenance(),
    }
    new = Contents(
        manifest, table.tensors if start is None else {**table.tensors, "chain.start": start.cpu()}
    )
    if old is None:
        # A kernel may refuse the model at its first step: better before there is a file.
        with torch.no_grad():
            kernel.step(march.state, march.path, 1.0, march.seed)
        with replacing(file) as part:
            _lay_out(part, march, new)
    else:
        grows = old.manifest["chain"]["sweeps"] < settings["sweeps"]
        same = {**settings, "sweeps": old.manifest["chain"]["sweeps"]} if grows else settings
        found = differences(old, new._replace(manifest={**manifest, "chain": same}))
        if found:
            raise ValueError(
                f"{file.name} was made with other settings: {'; '.join(found)}; use the same, or another"
            )
        if grows:
            with replacing(file) as part:
                _lay_out(
                    part,
                    march,
                    new._replace(manifest={**manifest, "provenance": old.manifest["provenance"]}),
                )
                _copy(file, part, settings, old.manifest["chain"]["sweeps"] // march.thin // every)
        with opened(file) as source:
            _restore(source, march, file.name, settings)
    with march.bar(progress) as bar:
        while march.drawn < march.draws:
            first = march.drawn
            count = min(every, march.draws - first)
            values, kept = march.draw(count, configurations, bar.update)
            data = {f"observables/{name}": value.numpy() for name, value in values.items()}
            if kept is not None:
                data["configurations"] = kept.numpy()
            state, slot = _fields(march.state), first // every % 2
            places: dict[str, tuple[Any, Any]] = {
                name: (np.s_[:, first : first + count], v) for name, v in data.items()
            }
            places |= {f"state/{name}": (slot, value) for name, value in state.items()}
            places["state_digests"] = (slot, digest(state.values()))
            write(file, places, first // every, digest(data[name] for name in _columns(settings)))
    with opened(file) as source:
        return read_chain(source, contents(source, file.name), file.name)


def read_chain(source: h5py.File, found: Contents, name: str) -> ChainRun:
    """The finished draws of an open file; ``name`` is what errors call it.

    Raises:
        ValueError: a damaged file.
    """
    settings = found.manifest["chain"]
    model, kernel = (
        rebuild_model(found.manifest["model"], found.tensors),
        rebuild_move(found.manifest["kernel"]),
    )
    named = {
        key: settings[key]
        for key in ("walkers", "sweeps", "thin", "seed", "burn_in", "observables")
    }
    march = March(model, kernel, **named, start=found.tensors.get("chain.start"), device="cpu")
    every, data = settings["every"], {}
    _restore(source, march, name, settings)
    for column in _columns(settings):
        data[column] = source[column][:, : march.drawn]
    for part in range(-(-march.drawn // every)):
        values = (
            np.ascontiguousarray(data[key][:, part * every : (part + 1) * every])
            for key in _columns(settings)
        )
        if not np.array_equal(source["digests"][part], digest(values)):
            raise ValueError(
                f"{name} is damaged: draw {part * every} and on do not match their SHA-256; run it again"
            )
    kept = torch.from_numpy(data.pop("configurations")) if settings["configurations"] else None
    chain = march.chain(
        {key.partition("/")[2]: torch.from_numpy(value) for key, value in data.items()}, kept
    )
    return ChainRun(**vars(chain), manifest=found.manifest)


def _contents(file: Path) -> Contents:
    with opened(file) as source:
        found = contents(source, file.name)
        if "chain" not in found.manifest:
            raise ValueError(f"{file.name} holds weighted walkers, no chain; choose another file")
        return found


def _columns(settings: dict[str, Any]) -> list[str]:
    """Names of the datasets with one row a walker and one column a draw."""
    return [f"observables/{name}" for name in settings["observables"]] + [
        "configurations"
    ] * settings["configurations"]


def _fields(state: Any) -> dict[str, np.ndarray[Any, Any]]:
    """The state of any kernel, a NamedTuple of tensors and integers, as arrays."""
    return {
        name: torch.as_tensor(value).cpu().contiguous().numpy()
        for name, value in state._asdict().items()
    }


def _lay_out(file: Path, march: March, found: Contents) -> None:
    """All datasets with their final sizes and places, still empty."""
    import h5py

    settings, model = found.manifest["chain"], march.model
    walkers, draws, every = march.walkers, march.draws, settings["every"]
    with h5py.File(file, "w") as out:
        out.attrs["manifest"] = json.dumps(found.manifest)
        out["checkpoint"] = np.frombuffer(pack(found), dtype=np.uint8)
        for name in settings["observables"]:
            rows, *shape = march.measure(name).shape
            allocate(
                out,
                f"observables/{name}",
                (rows, draws, *shape),
                "f8",
                (rows, min(every, draws), *shape),
            )
        if settings["configurations"]:
            sites, kind = model.lattice.shape, march.state.configurations.cpu().numpy().dtype
            allocate(out, "configurations", (walkers, draws, *sites), kind, (walkers, 1, *sites))
        for name, value in _fields(march.state).items():
            allocate(out, f"state/{name}", (2, *value.shape), value.dtype)
        allocate(out, "state_digests", (2, 32), "u1")
        allocate(out, "digests", (-(-draws // every), 32), "u1")


def _copy(old: Path, new: Path, settings: dict[str, Any], most: int) -> None:
    """The first parts of a shorter file into a longer one, ``most`` at most: one of fewer draws is
    drawn again.
    """
    import h5py

    with opened(old) as source, h5py.File(new, "r+") as out:
        every = settings["every"]
        whole = min(finished(source), most)
        for name in _columns(settings):
            for part in range(whole):
                place = np.s_[:, part * every : (part + 1) * every]
                out[name][place] = source[name][place]
        for name in (*(f"state/{key}" for key in source["state"]), "state_digests"):
            out[name][:] = source[name][:]
        out["digests"][:whole] = source["digests"][:whole]


def _restore(source: h5py.File, march: March, name: str, settings: dict[str, Any]) -> None:
    """The state after the last finished part, if there is one."""
    parts = finished(source)
    if not parts:
        return
    slot = (parts - 1) % 2
    state = {key: np.asarray(source[f"state/{key}"][slot]) for key in march.state._fields}
    if not np.array_equal(source["state_digests"][slot], digest(state.values())):
        raise ValueError(
            f"{name} is damaged: the state of its walkers does not match its SHA-256; run it again"
        )
    device = march.device
    march.drawn = min(march.draws, parts * settings["every"])
    march.state = march.state._replace(
        **{
            key: torch.from_numpy(value).to(device)
            if isinstance(getattr(march.state, key), Tensor)
            else int(value)
            for key, value in state.items()
        }
    )
