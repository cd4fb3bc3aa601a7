"""Weighted walkers in HDF5: written block by block, readable and resumable at any moment."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from .. import observables as _observables
from ..estimators.jackknife import Estimate, weighted_estimate
from ..estimators.weights import effective_sample_size, log_mean_exp, log_mean_exp_error
from ..kernels.checks import as_integer, as_seed, expect
from ..models.base import Model, Observable
from ..observables.base import OBSERVABLES
from ..observables.shared import share
from ..samplers.sampler import Sampler
from .chains import ChainRun, read_chain
from .checkpoint import describe, rebuild
from .hdf5 import allocate, check_observables, contents, digest, finished, opened, write
from .packing import Contents, as_file, differences, pack, replacing

if TYPE_CHECKING:
    import h5py

__all__ = [
    "Run",
    "read",
    "sample",
]


@dataclass(frozen=True)
class Run:
    """The finished blocks of a file.

    Attributes:
        manifest: sampler, settings of the run (``manifest["run"]``), versions and commit; plain
            JSON.
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
    def log_z_start(self) -> float:
        """``log Z_0`` of the start of the path."""
        return float(self.sampler.path.start.log_z)

    @property
    def correlated(self) -> int:
        """How many consecutive walkers are correlated with one another: 1, a file has independent
        ones.
        """
        return 1

    @property
    def log_z(self) -> float:
        """Estimate of ``log Z`` of the model, absolute."""
        return self.log_z_start + float(log_mean_exp(self.log_weights))

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

    def estimate(
        self, observable: Observable | str, function: Callable[[Tensor], Tensor] | None = None
    ) -> Estimate:
        """Mean of an observable under the model, or a function of its means, with its jackknife
        error.

        Args:
            observable: one that was stored, or its name; any other function where the
                configurations were stored.
            function: of the means ``(..., k)``; None for the one the observable carries, or the
                plain mean.

        Raises:
            ValueError: an observable that was not stored; as
                :func:`~leaps_triton.estimators.weighted_estimate`.
        """
        known = isinstance(observable, str) or callable(observable)
        expect(
            known, "observable", "a function of configurations and model, or its name", observable
        )
        # A user's function may have the name of one of the library.
        names = [
            n for n in self.observables if n == observable or getattr(_observables, n) == observable
        ]
        if names:
            observable, values = getattr(_observables, names[0]), self.observables[names[0]]
        elif isinstance(observable, str) or self.configurations is None:
            needed = "" if isinstance(observable, str) else ", since no configurations are stored"
            raise ValueError(
                f"observable must be one of {', '.join(self.observables)}{needed}, got {observable!r}"
            )
        else:
            alone = not getattr(observable, "pairs", False)
            expect(
                alone,
                "observable",
                "of single walkers, since those of a pair have weights of their own",
                observable,
            )
            values = observable(self.configurations, self.model)
        return weighted_estimate(
            values, self.log_weights, function or getattr(observable, "function", None)
        )


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
    """Independent weighted walkers into a file, the same as of :meth:`Sampler.sample
    <leaps_triton.Sampler.sample>`.

    Args:
        sampler: one that :func:`leaps_triton.save` can store.
        walkers: their number.
        file: HDF5.
        seed: in [0, 2³²).
        observables: names in :mod:`leaps_triton.observables`.
        configurations: store them too, N bytes a walker.
        resume: go on with ``file`` if it exists, at its next whole block; the result is that of an
            undisturbed run.
        progress: show a progress bar on a terminal.

    Raises:
        ValueError: a bad argument; a file that exists, without ``resume``; one of another run, with
            it.
        RuntimeError: as of :meth:`Sampler.sample <leaps_triton.Sampler.sample>`.

    Example:
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
    check_observables(observables)
    settings = {
        "walkers": walkers,
        "seed": as_seed(seed),
        "observables": list(observables),
        "configurations": configurations,
        # Devices of one type agree bit for bit; others agree only in law.
        "device": sampler.device.type,
    }
    manifest, tensors = describe(sampler)
    described = Contents({**manifest, "run": settings}, tensors)
    if not file.exists():
        with replacing(file) as part, h5py.File(part, "w") as new:
            _lay_out(new, sampler, described)
    elif not resume:
        raise ValueError(
            f"{file.name} exists; go on with it by resume (--resume), or choose another file"
        )
    with opened(file) as old:
        before = contents(old, file.name)
        if "run" not in before.manifest:
            raise ValueError(f"{file.name} holds a chain, no weighted walkers; choose another file")
        found = differences(before, described)
        if found:
            raise ValueError(
                f"{file.name} was made with other settings: {'; '.join(found)}; use the same, or another"
            )
        done = finished(old)
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
            columns = {
                "log_weights": ensemble.log_weights,
                "configurations": ensemble.configurations,
            }
            model = share(ensemble.configurations, ensemble.model)
            for name in observables:
                values = getattr(_observables, name)(ensemble.configurations, model)
                columns[f"observables/{name}"] = values
            rows = slice(first, first + count)
            data = {name: columns[name].cpu().numpy() for name in _columns(settings)}
            places: dict[str, tuple[Any, Any]] = {
                name: (rows, values) for name, values in data.items()
            }
            places["evaluations"] = (block, ensemble.evaluations)
            evaluations = np.float64(ensemble.evaluations).tobytes()
            write(file, places, block, digest(data.values(), evaluations))
            bar.update(count)
    with opened(file) as source:
        return _read_run(source, contents(source, file.name), file.name)


def read(file: str | Path) -> Run | ChainRun:
    """What is finished of a file of :func:`sample` or of :func:`run_chain`, which may be
    incomplete.

    Raises:
        ValueError: a file that is none, or is damaged.
        OSError: no such file, or one that cannot be read.
    """
    file = as_file(file)
    with opened(file) as source:
        found = contents(source, file.name)
        return (read_chain if "chain" in found.manifest else _read_run)(source, found, file.name)


def _read_run(source: h5py.File, found: Contents, name: str) -> Run:
    sampler = rebuild(found, name, "cpu")
    settings, done = found.manifest["run"], finished(source)
    rows = min(settings["walkers"], done * sampler.block)
    for block in range(done):
        first = block * sampler.block
        expected = _digest(source, settings, block, slice(first, min(rows, first + sampler.block)))
        if not np.array_equal(source["digests"][block], expected):
            raise ValueError(
                f"{name} is damaged: block {block} does not match its SHA-256; sample it again"
            )
    data = {column: torch.from_numpy(source[column][:rows]) for column in _columns(settings)}
    per_block = torch.from_numpy(source["evaluations"][:done])
    counts = torch.full_like(per_block, sampler.block)
    if done:
        counts[-1] = rows - (done - 1) * sampler.block
    return Run(
        found.manifest,
        sampler,
        data["log_weights"],
        {column: data[f"observables/{column}"] for column in settings["observables"]},
        data.get("configurations"),
        float((per_block * counts).sum() / max(rows, 1)),
    )


def _columns(settings: dict[str, Any]) -> list[str]:
    """Names of the datasets with one row a walker."""
    names = ["log_weights", *(f"observables/{name}" for name in settings["observables"])]
    return [*names, "configurations"] if settings["configurations"] else names


def _lay_out(file: h5py.File, sampler: Sampler, described: Contents) -> None:
    """All datasets with their final sizes and places, still empty."""
    settings, model = described.manifest["run"], sampler.path.model
    walkers, blocks = settings["walkers"], -(-settings["walkers"] // sampler.block)
    file.attrs["manifest"] = json.dumps(described.manifest)
    file["checkpoint"] = np.frombuffer(pack(described), dtype=np.uint8)
    one = sampler.path.start.sample(torch.arange(1), seed=0)
    shapes: dict[str, tuple[int, ...]] = {"log_weights": (), "configurations": model.lattice.shape}
    for name in settings["observables"]:
        shapes[f"observables/{name}"] = tuple(getattr(_observables, name)(one, model).shape[1:])
    for name in _columns(settings):
        kind = "i1" if name == "configurations" else "f8"
        allocate(file, name, (walkers, *shapes[name]), kind)
    allocate(file, "evaluations", (blocks,), "f8")
    allocate(file, "digests", (blocks, 32), "u1")


def _digest(
    file: h5py.File, settings: dict[str, Any], block: int, rows: slice
) -> np.ndarray[Any, Any]:
    return digest(
        (file[name][rows] for name in _columns(settings)), file["evaluations"][block].tobytes()
    )
