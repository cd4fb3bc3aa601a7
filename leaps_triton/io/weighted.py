"""Weighted walkers in HDF5: written block by block, readable and resumable at any moment."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..files import claimed, replacing
from ..integrators.rollouts.rollout import kept_rollouts
from ..kernels.checks import as_bool, as_integer, as_seed, expect
from ..observables.base import OBSERVABLES, entered
from ..observables.fields import chosen_for
from ..observables.shared import share
from ..parallel import ALONE, Ranks
from ..progress import Progress, track
from ..samplers.along import Along, Recorded, Stops
from ..samplers.sampler import Advance, Sampler
from .chains import read_chain
from .checkpoint import as_before, describe, rebuild
from .hdf5 import (
    Places,
    check_observables,
    contents,
    digest,
    edited,
    expect_same,
    finished,
    opened,
    reading,
    write,
)
from .packing import Contents, as_file
from .results import ChainRun, Run
from .runs.layout import check_block, columns_of, lay_out, per_block, rows_of
from .runs.merging import joined
from .runs.portions import as_blocks, portion_of

if TYPE_CHECKING:
    import h5py

__all__ = ["OBSERVABLES", "merge", "read", "sample"]


def sample(
    sampler: Sampler,
    walkers: int,
    file: str | Path,
    seed: int = 0,
    observables: Sequence[str] = OBSERVABLES,
    configurations: bool = False,
    resume: bool = False,
    progress: bool = False,
    along: Along = False,
    blocks: Sequence[int] | None = None,
    ranks: Ranks = ALONE,
) -> Run:
    """Draw weighted walkers into a file, those of :meth:`leaps_triton.Sampler.sample`.

    After a resampling the walkers of a block are relatives, and errors are those of blocks.

    Args:
        sampler: one that :func:`leaps_triton.save` can store.
        walkers: their number.
        file: HDF5.
        seed: in [0, 2³²).
        observables: names in :mod:`leaps_triton.observables`.
        configurations: store them too, N bytes per walker where a site is one byte.
        resume: go on with ``file`` if it exists, at its next whole block; with more ``walkers`` it
            grows. The result is that of an undisturbed run.
        progress: show a progress bar on a terminal, elsewhere a line every half minute.
        along: measure the walkers on their way too, the same as in
            :meth:`leaps_triton.Sampler.sample`: ``run.by_beta`` has log Z and observables there.
        blocks: ``(first, end)`` to draw these blocks of the run alone, as in a slice, for processes
            that know nothing of one another: :func:`merge` makes one file of theirs. None for all.
        ranks: the processes that share the work, each of which makes this call. The first writes
            the file, the same to the last bit for any number of them; what it gives the others
            holds no walkers.

    Raises:
        ValueError: If an argument is bad, if the file exists without ``resume``, or if it is one of
            another run.
        BusyError: If another process is writing the file; it names the process.
        OSError: If the disk is full or the folder missing; blocks that were written stay good.
        RuntimeError: If a rate is not finite or a walker has too many events.
        LostRankError: If one of the other processes has ended.

    Example:
        >>> import tempfile, leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Ising((4, 4), beta=0.3))
        >>> ais = lt.Sampler(path, None, lt.Jump(10), lt.HeatBath(), device="cpu")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     run = lt.io.sample(ais, 500, f"{folder}/run.h5")
        >>> abs(run.estimate("energy").pull(lt.exact.ising_energy((4, 4), beta=0.3))) < 4
        True
    """
    expect(isinstance(sampler, Sampler), "sampler", "a Sampler", sampler)
    file = as_file(file)
    walkers = as_integer("walkers", walkers, 1, 2**31)
    configurations = as_bool("configurations", configurations)
    resume = as_bool("resume", resume)
    observables = chosen_for(sampler.path.model, observables)
    check_observables(observables)
    settings = {
        "walkers": walkers,
        "seed": as_seed(seed),
        "observables": list(observables),
        "configurations": configurations,
        # Devices of one type agree bit for bit; others agree only in law.
        "device": sampler.device.type,
    }
    if along is not False:
        stops = Stops.on(sampler.path, sampler.integrator, along, observables)
        # Files without it are as they always were.
        kept = {"betas": list(stops.betas), "densities": list(stops.densities)}
        if stops.couplings is not None:
            kept["couplings"] = stops.couplings.tolist()
        settings["along"] = kept
    chosen = as_blocks(blocks, walkers, sampler.block)
    if chosen is not None:
        settings["blocks"] = chosen
    mine = None
    if ranks.first:
        mine = file
    with claimed(mine):
        before = ranks.from_first(partial(_before, file, resume))
        if before is not None:
            sampler = as_before(sampler, before)
        done = ranks.from_first(partial(_begin, sampler, settings, file, resume))
        _fill(sampler, settings, file, done, progress and ranks.first, ranks)
        if not ranks.first:
            return _nothing(sampler, settings)
        with opened(file) as source:
            return _read_run(source, contents(source, file.name), file.name)


def _before(file: Path, resume: bool) -> Contents | None:
    """Return what the file to go on with says; None if there is none."""
    if not resume or not file.exists():
        return None
    with opened(file) as source:
        return contents(source, file.name)


def _nothing(sampler: Sampler, settings: dict[str, Any]) -> Run:
    """Return what a process has of a run that the first one writes."""
    empty = torch.empty(0, dtype=torch.float64)
    observables = dict.fromkeys(settings["observables"], empty)
    manifest = {**describe(sampler).manifest, "run": settings}
    return Run(manifest, sampler, empty, observables, None, 0.0)


def _begin(sampler: Sampler, settings: dict[str, Any], file: Path, resume: bool) -> int:
    """Lay out a new file, or check one to go on with; return the number of finished blocks."""
    manifest, tensors = describe(sampler)
    described = Contents({**manifest, "run": settings}, tensors)
    if not file.exists():
        with replacing(file) as part, edited(part, new=True) as (out, _):
            lay_out(out, sampler, described)
    elif not resume:
        raise ValueError(
            f"{file.name} exists; go on with it by resume (--resume), or choose another file"
        )
    with opened(file) as source:
        old = contents(source, file.name)
    if "run" not in old.manifest:
        raise ValueError(f"{file.name} holds a chain, no weighted walkers; choose another file")
    fewer = old.manifest["run"]["walkers"]
    # Of blocks of a run another file holds the rest.
    grows = fewer < settings["walkers"] and "blocks" not in settings
    same = dict(settings)
    if grows:
        # More walkers are the one difference that is allowed.
        same["walkers"] = fewer
    expect_same(old, Contents({**manifest, "run": same}, tensors), file.name)
    if grows:
        # The file keeps what it was first made with.
        longer = {**old.manifest, "run": settings}
        with replacing(file) as part:
            with edited(part, new=True) as (out, _):
                lay_out(out, sampler, Contents(longer, tensors))
            # A shorter last block is drawn again as a whole.
            _copy(file, part, sampler, settings, fewer // sampler.block)
    with opened(file) as source:
        return finished(source)


def _copy(old: Path, new: Path, sampler: Sampler, settings: dict[str, Any], most: int) -> None:
    """Copy the first blocks, at most ``most``, of a shorter file into a longer one."""
    with opened(old) as source, edited(new) as (out, _):
        whole = min(finished(source), most)
        walkers = whole * sampler.block
        for name in columns_of(settings):
            out[name][:walkers] = source[name][:walkers]
        for name in (*per_block(sampler), "digests"):
            out[name][:whole] = source[name][:whole]


def _fill(
    sampler: Sampler,
    settings: dict[str, Any],
    file: Path,
    done: int,
    progress: bool,
    ranks: Ranks,
) -> None:
    """Draw the blocks that are missing into a file; each process draws one in turn."""
    portion = portion_of(settings, sampler.block)
    walkers = portion.walkers
    before = min(walkers, done * sampler.block)
    # All blocks share what is recorded of events on a GPU.
    with track(walkers, "sampling", "walker", progress, before) as shown, kept_rollouts():
        for first in range(done, portion.blocks, ranks.world):
            block = first + ranks.rank
            mine = None
            # In the last round there may be fewer blocks than processes.
            if block < portion.blocks:
                rows = rows_of(sampler, settings, block)
                mine = _draw(sampler, settings, block, rows, _heard(shown, rows, sampler))
            # By rank, so in the order of blocks.
            for number, places in enumerate(ranks.to_first(mine)):
                if places is not None:
                    _store(file, sampler, settings, first + number, places)
                    shown.reach(rows_of(sampler, settings, first + number).stop)


def _store(
    file: Path, sampler: Sampler, settings: dict[str, Any], block: int, places: Places
) -> None:
    """Write a block into a file that has been laid out."""
    data = [places[name][1] for name in columns_of(settings)]
    # The bytes that the file holds, so that reading gives the same digest.
    start = b"".join(places[name][1].tobytes() for name in per_block(sampler))
    write(file, places, block, digest(data, start))


def _heard(shown: Progress, rows: slice, sampler: Sampler) -> Advance:
    """Return what tells how far a block has come, in walkers of the whole run."""
    intervals = sampler.integrator.intervals + 1
    count = rows.stop - rows.start

    def advance(done: int) -> None:
        # A block may take minutes: its share of walkers counts before they are all there.
        shown.reach(rows.start + count * done // intervals)

    return advance


def _draw(
    sampler: Sampler, settings: dict[str, Any], block: int, rows: slice, heard: Advance
) -> Places:
    """Return what is to be stored of a block: dataset → its place there, and the values."""
    count = rows.stop - rows.start
    # The number of a block fixes its random numbers, so a resumed run draws the same.
    along = settings.get("along", {"betas": False})["betas"]
    ensemble = sampler.sample(
        count,
        settings["seed"],
        first_block=portion_of(settings, sampler.block).first + block,
        advance=heard,
        along=along,
        observables=settings["observables"],
    )
    x = ensemble.configurations
    columns = {"log_weights": ensemble.log_weights, "configurations": x}
    # What several observables need of the configurations is found once.
    model = share(x, ensemble.model)
    for name in settings["observables"]:
        columns[f"observables/{name}"] = entered()[name](x, model)
    recorded = ensemble.recorded
    if recorded is not None:
        columns["along/log_weights"] = recorded.log_weights
        for name, value in recorded.values.items():
            columns[f"along/observables/{name}"] = value
    places: dict[str, tuple[Any, Any]] = {}
    for name in columns_of(settings):
        places[name] = (rows, columns[name].cpu().numpy())
    of_block = {
        "evaluations": np.float64(ensemble.evaluations),
        "resampled": ensemble.resamplings.numpy(force=True).astype(np.uint8),
    }
    for name in per_block(sampler):
        places[name] = (block, of_block[name])
    return places


def merge(parts: Sequence[str | Path], file: str | Path) -> Run:
    """Make one file of files that hold blocks of one run, and return what it holds.

    With all blocks it is the file of the whole run, to the last bit: ``log Z``, errors, blocks of
    resampling, observables along the path. Blocks missing at either end are no fault, and the file
    then holds blocks of the run itself.

    Args:
        parts: files of :func:`sample` with ``blocks``, in any order, or of this function.
        file: HDF5, a new one.

    Raises:
        ValueError: If files are of other settings or versions, each of which it names, if blocks
            are there twice or are missing between others, or if a file is damaged.
        OSError: If a file cannot be read or written.

    Example:
        >>> import tempfile, leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Ising((4, 4), beta=0.3))
        >>> ais = lt.Sampler(path, None, lt.Jump(10), lt.HeatBath(), block=64, device="cpu")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     files = [f"{folder}/{part}.h5" for part in range(2)]
        ...     for part, each in enumerate(files):
        ...         run = lt.io.sample(ais, 256, each, blocks=(2 * part, 2 * part + 2))
        ...     run = lt.io.merge(files, f"{folder}/run.h5")
        >>> run.log_z == ais.sample(256).log_z
        True
    """
    file = as_file(file)
    joined(parts, file)
    found = read(file)
    assert isinstance(found, Run)
    return found


def read(file: str | Path) -> Run | ChainRun:
    """Return what is finished of a file, which may be incomplete.

    Args:
        file: one of :func:`sample` or of :func:`leaps_triton.io.run_chain`.

    Raises:
        ValueError: If the file is none of these, or is damaged.
        BusyError: If it is being written, and changed at every try to read it.
        OSError: If there is no such file, or it cannot be read.
    """
    file = as_file(file)

    def of(source: h5py.File) -> Run | ChainRun:
        found = contents(source, file.name)
        if "chain" in found.manifest:
            return read_chain(source, found, file.name)
        return _read_run(source, found, file.name)

    return reading(file, of)


def _read_run(source: h5py.File, found: Contents, name: str) -> Run:
    """Return the finished blocks of an open file."""
    # A file from a GPU is readable where there is none.
    sampler = rebuild(found, name, "cpu")
    settings = found.manifest["run"]
    done = finished(source)
    walkers = min(portion_of(settings, sampler.block).walkers, done * sampler.block)
    for block in range(done):
        check_block(source, sampler, settings, block, name)
    data = {column: torch.from_numpy(source[column][:walkers]) for column in columns_of(settings)}
    per_block = torch.from_numpy(source["evaluations"][:done])
    counts = torch.full_like(per_block, sampler.block)
    if done:
        # The last block may be a short one.
        counts[-1] = walkers - (done - 1) * sampler.block
    recorded = None
    if "along" in settings:
        recorded = _recorded(settings, data)
    resamplings = None
    if "resampled" in source:
        resamplings = torch.from_numpy(source["resampled"][:done]).long().sum(0)
    return Run(
        manifest=found.manifest,
        sampler=sampler,
        log_weights=data["log_weights"],
        observables={each: data[f"observables/{each}"] for each in settings["observables"]},
        configurations=data.get("configurations"),
        # Evaluations are per walker, so blocks count by walkers; without any, no division by 0.
        evaluations=float((per_block * counts).sum() / max(walkers, 1)),
        recorded=recorded,
        resamplings=resamplings,
    )


def _recorded(settings: dict[str, Any], data: dict[str, torch.Tensor]) -> Recorded:
    """Return what a file holds of the walkers on their way."""
    along = settings["along"]
    values = {name: data[f"along/observables/{name}"] for name in settings["observables"]}
    betas = torch.tensor(along["betas"], dtype=torch.float64)
    densities = torch.tensor(along["densities"])
    couplings = None
    # Of paths in couplings alone.
    if "couplings" in along:
        couplings = torch.tensor(along["couplings"], dtype=torch.float64)
    return Recorded(betas, densities, data["along/log_weights"], values, couplings)
