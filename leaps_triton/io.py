"""Runs in HDF5: log-weights and observables of weighted walkers, and configurations on request.

A file is laid out in full at the start and then filled block by block in place, so that whatever moment a process stops
at, the file can be read and goes on with the next whole block. It holds ``log_weights (walkers,)``,
``observables/<name>`` of ``(walkers,)`` or ``(walkers, k)``, ``configurations (walkers, *shape)`` if asked for,
``evaluations (blocks,)``, the sampler as the bytes of a checkpoint with all settings, and a SHA-256 of each finished
block. The attribute ``manifest`` repeats the settings for readers without this library.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from . import observables as _observables
from .checkpoint import Contents, as_file, describe, differences, pack, rebuild, replacing, unpack
from .estimators import Estimate, weighted_estimate
from .kernels.checks import as_integer, as_seed, expect
from .models import Model
from .sampler import Sampler
from .weights import effective_sample_size, log_mean_exp, log_mean_exp_error

if TYPE_CHECKING:
    import h5py

__all__ = ["OBSERVABLES", "Run", "read", "sample"]

OBSERVABLES = ("energy", "abs_magnetization", "susceptibility", "specific_heat", "binder")


@dataclass(frozen=True)
class Run:
    """The finished blocks of a file.

    Attributes
        manifest: sampler, settings of the run (``manifest["run"]``), versions and commit; plain JSON.
        sampler: what the walkers were made with.
        log_weights: ``A``, float64 ``(walkers,)``.
        observables: name → values ``(walkers,)`` or ``(walkers, k)``.
        configurations: ``(walkers, *shape)``, or None if they were not stored.
        evaluations: as of :class:`~leaps_triton.WeightedEnsemble`.
    """

    manifest: dict[str, Any] = field(repr=False)
    sampler: Sampler = field(repr=False)
    log_weights: Tensor = field(repr=False)
    observables: dict[str, Tensor] = field(repr=False)
    configurations: Tensor | None = field(repr=False)
    evaluations: float

    @property
    def model(self) -> Model:
        """The target."""
        return self.sampler.path.model

    @property
    def complete(self) -> bool:
        """Whether all walkers that were asked for are there."""
        return len(self.log_weights) == self.manifest["run"]["walkers"]

    @property
    def log_z(self) -> float:
        """Estimate of ``log Z`` of the model, absolute."""
        return self.sampler.path.start.log_z + float(log_mean_exp(self.log_weights))

    @property
    def log_z_error(self) -> float:
        """Its jackknife error over walkers."""
        return float(log_mean_exp_error(self.log_weights))

    @property
    def ess(self) -> float:
        """Effective sample size as a fraction of the walkers, in (0, 1]."""
        return float(effective_sample_size(self.log_weights))

    @property
    def log_weight_variance(self) -> float:
        """``Var[A]``."""
        return float(self.log_weights.var())

    def estimate(self, name: str) -> Estimate:
        """Mean of a stored observable under the model, with its jackknife error."""
        if not isinstance(name, str) or name not in self.observables:
            raise ValueError(f"observable must be one of {', '.join(self.observables)}, got {name!r}")
        function = getattr(getattr(_observables, name), "function", None)
        return weighted_estimate(self.observables[name], self.log_weights, function)


def sample(
    sampler: Sampler,
    walkers: int,
    file: str | Path,
    seed: int = 0,
    observables: Sequence[str] = OBSERVABLES,
    configurations: bool = False,
    resume: bool = False,
    progress: bool = False,
) -> Run:
    """Independent weighted walkers into a file, the same as of :meth:`Sampler.sample <leaps_triton.Sampler.sample>`.

    Arguments
        sampler: one that :func:`leaps_triton.save` can store.
        walkers: their number.
        file: HDF5.
        seed: in [0, 2³²).
        observables: names in :mod:`leaps_triton.observables`.
        configurations: store them too, N bytes a walker.
        resume: go on with ``file`` if it exists, at its next whole block; the result is that of an undisturbed run.
        progress: show a progress bar on a terminal.

    Raises
        ValueError: a bad argument; a file that exists, without ``resume``; one of another run, with it.
        RuntimeError: as of :meth:`Sampler.sample <leaps_triton.Sampler.sample>`.

    Example
        >>> import tempfile, leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Ising((4, 4), beta=0.3))
        >>> ais = lt.Sampler(path, None, lt.Jump(10), lt.HeatBath(), device="cpu")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     run = lt.io.sample(ais, 500, f"{folder}/run.h5")
        >>> abs(run.estimate("energy").pull(lt.exact.ising_energy((4, 4), beta=0.3))) < 4
        True
    """
    import h5py

    expect(isinstance(sampler, Sampler), "sampler", "a Sampler", sampler)
    file, walkers = as_file(file), as_integer("walkers", walkers, 1, 2**31)
    expect(isinstance(configurations, bool), "configurations", "a bool", configurations)
    expect(isinstance(resume, bool), "resume", "a bool", resume)
    if sampler.resample_below > 0.0:
        raise ValueError(
            "a file keeps independent walkers, and resampled ones are not; use Sampler.sample, or resample_below=0"
        )
    is_list = isinstance(observables, Sequence) and not isinstance(observables, str)
    for name in observables if is_list else [observables]:
        known = is_list and name in _observables.__all__ and name != "of_means"
        expect(known, "observables", "names in leaps_triton.observables such as ['energy']", name)
    settings = {
        "walkers": walkers,
        "seed": as_seed(seed),
        "observables": list(observables),
        "configurations": configurations,
        # Devices of one type agree bit for bit; others agree only in law.
        "device": sampler.device.type,
    }
    manifest, tensors = describe(sampler)
    contents = Contents({**manifest, "run": settings}, tensors)
    if not file.exists():
        with replacing(file) as part, h5py.File(part, "w") as new:
            _lay_out(new, sampler, contents)
    elif not resume:
        raise ValueError(f"{file.name} exists; go on with it by resume (--resume), or choose another file")
    with _opened(file) as old:
        found = differences(_contents(old, file.name), contents)
        if found:
            raise ValueError(f"{file.name} was made with other settings: {'; '.join(found)}; use the same, or another")
        done = _finished(old)
    with tqdm(
        total=walkers,
        initial=min(walkers, done * sampler.block),
        desc="sampling",
        unit="walker",
        disable=None if progress else True,
    ) as bar:
        for block in range(done, -(-walkers // sampler.block)):
            first = block * sampler.block
            count = min(sampler.block, walkers - first)
            ensemble = sampler.sample(count, seed, first_block=block)
            columns = {"log_weights": ensemble.log_weights, "configurations": ensemble.configurations}
            for name in observables:
                values = getattr(_observables, name)(ensemble.configurations, ensemble.model)
                columns[f"observables/{name}"] = values
            with h5py.File(file, "r+") as out:
                for name in _columns(settings):
                    out[name][first : first + count] = columns[name].cpu().numpy()
                out["evaluations"][block] = ensemble.evaluations
                out.flush()
                os.fsync(out.id.get_vfd_handle())
                # Last, so that a block counts only once all of it is on disk.
                out["digests"][block] = _digest(out, settings, block, slice(first, first + count))
            bar.update(count)
    return read(file)


def read(file: str | Path) -> Run:
    """The finished blocks of a file of :func:`sample`, which may be incomplete.

    Raises
        ValueError: a file that is none, or is damaged.
        OSError: no such file, or one that cannot be read.
    """
    file = as_file(file)
    with _opened(file) as source:
        contents = _contents(source, file.name)
        sampler = rebuild(contents, file.name, "cpu")
        settings, done = contents.manifest["run"], _finished(source)
        rows = min(settings["walkers"], done * sampler.block)
        for block in range(done):
            first = block * sampler.block
            digest = _digest(source, settings, block, slice(first, min(rows, first + sampler.block)))
            if not np.array_equal(source["digests"][block], digest):
                raise ValueError(f"{file.name} is damaged: block {block} does not match its SHA-256; sample it again")
        data = {name: torch.from_numpy(source[name][:rows]) for name in _columns(settings)}
        per_block = torch.from_numpy(source["evaluations"][:done])
    counts = torch.full_like(per_block, sampler.block)
    if done:
        counts[-1] = rows - (done - 1) * sampler.block
    return Run(
        contents.manifest,
        sampler,
        data["log_weights"],
        {name: data[f"observables/{name}"] for name in settings["observables"]},
        data.get("configurations"),
        float((per_block * counts).sum() / max(rows, 1)),
    )


@contextmanager
def _opened(file: Path) -> Iterator[h5py.File]:
    """The file to be read; whatever h5py stumbles over in it is a ValueError."""
    import h5py

    # Only h5py's own errors mean a bad file; that it is missing or forbidden is found here.
    file.open("rb").close()
    try:
        with h5py.File(file, "r") as source:
            yield source
    except (
        OSError,
        KeyError,
        RuntimeError,
        TypeError,
        AttributeError,
        IndexError,
        OverflowError,
        MemoryError,
    ) as error:
        raise ValueError(f"{file.name} is no HDF5 file of leaps_triton, or is damaged: {error}") from None


def _columns(settings: dict[str, Any]) -> list[str]:
    """Names of the datasets with one row a walker."""
    names = ["log_weights", *(f"observables/{name}" for name in settings["observables"])]
    return [*names, "configurations"] if settings["configurations"] else names


def _lay_out(file: h5py.File, sampler: Sampler, contents: Contents) -> None:
    """All datasets with their final sizes and places, still empty."""
    settings, model = contents.manifest["run"], sampler.path.model
    walkers, blocks = settings["walkers"], -(-settings["walkers"] // sampler.block)
    file.attrs["manifest"] = json.dumps(contents.manifest)
    file["checkpoint"] = np.frombuffer(pack(contents), dtype=np.uint8)
    one = sampler.path.start.sample(torch.arange(1), seed=0)
    shapes: dict[str, tuple[int, ...]] = {"log_weights": (), "configurations": model.lattice.shape}
    for name in settings["observables"]:
        shapes[f"observables/{name}"] = tuple(getattr(_observables, name)(one, model).shape[1:])
    for name in _columns(settings):
        kind = "i1" if name == "configurations" else "f8"
        _allocate(file, name, (walkers, *shapes[name]), kind)
    _allocate(file, "evaluations", (blocks,), "f8")
    _allocate(file, "digests", (blocks, 32), "u1")


def _allocate(file: h5py.File, name: str, shape: tuple[int, ...], kind: str) -> None:
    import h5py

    # Allocated now, so that filling it later changes nothing but its numbers.
    early = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    early.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    file.create_dataset(name, shape, kind, dcpl=early)


def _contents(file: h5py.File, name: str) -> Contents:
    contents = unpack(file["checkpoint"][:].tobytes(), name)
    if "run" not in contents.manifest:
        raise ValueError(f"{name} is no run of leaps_triton")
    return contents


def _finished(file: h5py.File) -> int:
    """Blocks from the first on that are there as a whole."""
    written = file["digests"][:].any(axis=1)
    return int(written.argmin()) if not written.all() else len(written)


def _digest(file: h5py.File, settings: dict[str, Any], block: int, rows: slice) -> np.ndarray[Any, Any]:
    digest = hashlib.sha256(file["evaluations"][block].tobytes())
    for name in _columns(settings):
        values = file[name][rows]
        digest.update(f"{values.dtype.str} {values.shape}".encode() + values.tobytes())
    return np.frombuffer(digest.digest(), dtype=np.uint8)
