"""Markov chains in HDF5, written draw after draw.

A file holds ``observables/<name>`` of ``(walkers, draws)`` or ``(walkers, draws, k)``, of half as
many rows for overlaps, ``configurations (walkers, draws, *shape)`` if asked for, model and move as
the bytes of a checkpoint with all settings, and a SHA-256 of every finished part of ``every``
draws. Where a chain of ``burn_in="auto"`` begins, draw and index of the observable, stands in the
attribute ``beginning`` once all draws are there. ``state/<field>`` holds the state of the move
after the last two parts in turn, so that whatever moment a process stops at, one of them belongs to
the last finished part; and ``lowest/<field>`` the lowest energy of each walker so far, and where,
likewise.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from ..estimators.trust.beginning import Beginning
from ..files import claimed, replacing
from ..kernels.checks import as_bool, as_integer
from ..mcmc.base import Lowest, Move, as_move, warn_confined
from ..mcmc.compose import settled
from ..mcmc.march import ChainSettings, March
from ..models.base import EnergyModel, Target
from ..models.varied import BETA
from ..observables.base import OBSERVABLES, is_of_replicas
from ..observables.fields import chosen_for
from ..parallel import ALONE, Ranks
from ..provenance import provenance
from ..renamed import renamed
from .hdf5 import (
    Array,
    allocate,
    allocate_slots,
    begin,
    check_observables,
    contents,
    digest,
    edited,
    expect_same,
    finished,
    numpy_kind,
    opened,
    read_slot,
    write,
)
from .packing import SCHEMA, Contents, as_file
from .parts import describe_model, describe_move, move_before, rebuild_model, rebuild_move
from .results import ChainRun, lay_out_beginning, record_beginning, recorded_beginning
from .runs.marching import Stand, draw, fields_of, joined, places_of, share_out

if TYPE_CHECKING:
    import h5py

__all__ = ["read_chain", "run_chain"]

_NONE = Beginning(0, "")
"""Where a process without draws has its chains begin."""


@renamed(kernel="move")
def run_chain(
    model: Target | EnergyModel,
    move: Move | None = None,
    walkers: int = 64,
    sweeps: int = 1000,
    file: str | Path | None = None,
    thin: int = 1,
    seed: int = 0,
    burn_in: int | Literal["auto"] | None = None,
    observables: Sequence[str] = OBSERVABLES,
    start: Tensor | np.ndarray[Any, Any] | None = None,
    device: torch.device | str | None = None,
    configurations: bool = False,
    every: int = 100,
    resume: bool = False,
    progress: bool = False,
    ranks: Ranks = ALONE,
) -> ChainRun:
    """Run Markov chains into a file, those of :func:`leaps_triton.run_chain`.

    Args:
        model: one of the library, or of a registered class.
        move: one of the library, or of a registered class. None for that of the file to go on
            with, or :func:`~leaps_triton.default_move` of the model; so with the move of replicas.
        walkers: number of chains.
        sweeps: steps of the move after the burn-in.
        file: HDF5; it must be given.
        thin: steps from one draw to the next.
        seed: in [0, 2³²).
        burn_in: steps before, not measured; None for a tenth of ``sweeps``, or for what the file to
            go on with had. With ``"auto"`` the file holds all steps, and where the chain begins is
            found from them whenever they are complete or read, anew for a file that grows.
        observables: names in :mod:`leaps_triton.observables`.
        start: configurations ``(walkers, *shape)``, a tensor or an array; None for independent
            uniform ones.
        device: None for CUDA where there is a CUDA device, else the CPU.
        configurations: store those of every draw too, N bytes per draw and walker where a site is
            one byte.
        every: draws from one write to the next; a crash loses no more.
        resume: go on with ``file`` if it exists, after its last write; with more ``sweeps`` than it
            was begun with, it grows. The result is that of an undisturbed run, bit for bit.
        progress: show a progress bar on a terminal, elsewhere a line every half minute.
        ranks: the processes that share the walkers, each of which makes this call. The first writes
            the file, on a CPU the same to the last bit for any number of them; what it gives the
            others holds no draws.

    Raises:
        ValueError: If an argument is bad, if the file exists without ``resume``, if it is one of
            another run, or if there are too few walkers for the processes.
        BusyError: If another process is writing the file; it names the process.
        OSError: If the disk is full or the folder missing; draws that were written stay good.
        LostRankError: If one of the other processes has ended.

    Warns:
        NotErgodicWarning: a move that does not claim to reach every configuration.

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
    configurations = as_bool("configurations", configurations)
    resume = as_bool("resume", resume)
    progress = as_bool("progress", progress)
    # From here on no other process writes the file, or changes it between two looks.
    mine = None
    if ranks.first:
        mine = file
    with claimed(mine):
        old = ranks.from_first(partial(_contents, file, resume))
        # The default, a tenth of the sweeps, would change where the chain grows.
        if old is not None and burn_in is None:
            burn_in = old.manifest["chain"]["burn_in"]
        if old is not None:
            move = _as_before(move, old)
        names = list(chosen_for(model, observables))
        asked = ChainSettings(walkers, sweeps, thin, seed, burn_in)
        march = March(model, move, asked, names, start, device)
        described = _describe(march, march.start, configurations, every)
        shares = march.shares(ranks.world)
        stand = ranks.from_first(partial(_stood, file, march, old, described))
        if ranks.world > 1:
            share_out(march, stand, shares[ranks.rank])
        warn_confined(march.move)
        _fill(file, march, described.manifest["chain"], progress and ranks.first, ranks)
        if not ranks.first:
            return ChainRun(**march.results({}, None, _NONE), manifest=described.manifest)
        with opened(file) as source:
            run = read_chain(source, contents(source, file.name), file.name)
        record_beginning(file, run)
        return run


def _as_before(move: Move | None, old: Contents) -> Move:
    """Return a move with what its user did not name as a file keeps it, be the default another."""
    found = old.manifest["kernel"]
    if move is None or as_move("move", move).each is None:
        return settled(move, None, rebuild_move(found))
    return settled(move, None, move_before(found))


def _contents(file: Path, resume: bool) -> Contents | None:
    """Return what a file of a chain says; None if there is no file."""
    if not file.exists():
        return None
    if not resume:
        raise ValueError(
            f"{file.name} exists; go on with it by resume (--resume), or choose another file"
        )
    with opened(file) as source:
        found = contents(source, file.name)
        if "chain" not in found.manifest:
            raise ValueError(f"{file.name} holds weighted walkers, no chain; choose another file")
        return found


def _describe(march: March, start: Tensor | None, keep: bool, every: int) -> Contents:
    """Return a chain and the settings of its run as data."""
    asked = march.settings
    settings = {
        "walkers": asked.walkers,
        # Sweeps after the last draw are not made.
        "sweeps": asked.draws * asked.thin,
        "burn_in": asked.burn_in,
        "thin": asked.thin,
        "seed": asked.seed,
        "observables": list(march.measured),
        "configurations": keep,
        "every": every,
        # Devices of one type agree bit for bit; others agree only in law.
        "device": march.device.type,
    }
    model = describe_model(march.model)
    manifest = {
        "schema": SCHEMA,
        "model": model.manifest,
        # Files keep the former name of the move.
        "kernel": describe_move(march.move),
        "chain": settings,
        "provenance": provenance(),
    }
    tensors = dict(model.tensors)
    # No seed tells a start that was given, so the file holds it.
    if start is not None:
        tensors["chain.start"] = start.cpu()
    return Contents(manifest, tensors)


def _stood(file: Path, march: March, old: Contents | None, new: Contents) -> Stand | None:
    """Lay out a file, or bring a march to where it stands; return where, None for a new one."""
    if old is None:
        _begin(file, march, new)
        return None
    _go_on(file, march, old, new)
    return Stand.of(march)


def _begin(file: Path, march: March, described: Contents) -> None:
    """Lay out a new file."""
    # A move may refuse the model at its first step: better before there is a file.
    with torch.no_grad():
        march.move.step(march.state, march.path, 1.0, march.settings.seed)
    with replacing(file) as part:
        _lay_out(part, march, described)


def _go_on(file: Path, march: March, old: Contents, new: Contents) -> None:
    """Bring a march to where a file stands, which grows where more sweeps are asked for."""
    settings = new.manifest["chain"]
    before = old.manifest["chain"]["sweeps"]
    grows = before < settings["sweeps"]
    same = dict(settings)
    if grows:
        # More sweeps are the one difference that is allowed.
        same["sweeps"] = before
    expect_same(old, new._replace(manifest={**new.manifest, "chain": same}), file.name)
    if grows:
        # The file keeps what it was first made with.
        manifest = {**new.manifest, "provenance": old.manifest["provenance"]}
        # A shorter last part grows, and is drawn again as a whole.
        whole = before // march.settings.thin // settings["every"]
        with replacing(file) as part:
            _lay_out(part, march, new._replace(manifest=manifest))
            _copy(file, part, settings, whole)
    with opened(file) as source:
        _restore(source, march, file.name, settings)


def _fill(file: Path, march: March, settings: dict[str, Any], progress: bool, ranks: Ranks) -> None:
    """Draw the parts that are missing into a file; each process draws of its own walkers."""
    with march.track(progress) as shown:
        while march.drawn < march.draws:
            first = march.drawn
            drawn = ranks.to_first(draw(march, settings, shown.update))
            if not ranks.first:
                continue
            part, places = places_of(joined(drawn), settings, first, march.drawn)
            # Draws alone: the state is overwritten later, and has digests of its own.
            data = (places[name][1] for name in _columns(settings))
            write(file, places, part, digest(data))


def read_chain(source: h5py.File, found: Contents, name: str) -> ChainRun:
    """Return the finished draws of an open file.

    Args:
        source: the file.
        found: its manifest and tensors.
        name: what errors call it.

    Raises:
        ValueError: If the file is damaged, or names a class that is not registered.
    """
    settings = found.manifest["chain"]
    model = rebuild_model(found.manifest["model"], found.tensors)
    move = rebuild_move(found.manifest["kernel"])
    keys = ("walkers", "sweeps", "thin", "seed", "burn_in")
    asked = ChainSettings(**{key: settings[key] for key in keys})
    start = found.tensors.get("chain.start")
    march = March(model, move, asked, settings["observables"], start, "cpu")
    _restore(source, march, name, settings)
    data = {column: source[column][:, : march.drawn] for column in _columns(settings)}
    _check_parts(source, data, march.drawn, settings["every"], name)
    kept = None
    if settings["configurations"]:
        kept = torch.from_numpy(data["configurations"])
    values: dict[str, Tensor] = {}
    for observable in settings["observables"]:
        values[observable] = torch.from_numpy(data[f"observables/{observable}"])
    known = None
    if march.drawn == march.draws:
        known = recorded_beginning(source, settings["observables"])
    return ChainRun(**march.results(values, kept, known), manifest=found.manifest)


def _check_parts(
    source: h5py.File, data: dict[str, Array], draws: int, every: int, name: str
) -> None:
    """Raise a ValueError unless all parts match their digests."""
    for part, first in enumerate(range(0, draws, every)):
        of_part = (
            np.ascontiguousarray(column[:, first : first + every]) for column in data.values()
        )
        if not np.array_equal(source["digests"][part], digest(of_part)):
            raise ValueError(
                f"{name} is damaged: draw {first} and on do not match their SHA-256; run it again"
            )


def _columns(settings: dict[str, Any]) -> list[str]:
    """Return the names of the datasets with one row per walker and one column per draw."""
    names = [f"observables/{name}" for name in settings["observables"]]
    if settings["configurations"]:
        names.append("configurations")
    return names


def _lay_out(file: Path, march: March, found: Contents) -> None:
    """Write all datasets with their final sizes and places, still empty."""
    settings = found.manifest["chain"]
    draws = march.draws
    every = settings["every"]
    with edited(file, new=True) as (out, _):
        begin(out, found)
        lay_out_beginning(out, settings["burn_in"])
        for name in settings["observables"]:
            rows, *shape = march.measure(name).shape
            # A chunk is a part, so that a write touches no draws but its own.
            chunks = (rows, min(every, draws), *shape)
            allocate(out, f"observables/{name}", (rows, draws, *shape), "f8", chunks)
            # What the third axis is of, for readers without this library.
            if is_of_replicas(march.measured[name]):
                kind = "betas"
                if march.varied.name != BETA:
                    kind = march.varied.name
                out[f"observables/{name}"].attrs[kind] = march.varied.values
        if settings["configurations"]:
            sites = march.model.shape
            whole = (settings["walkers"], draws, *sites)
            kind = numpy_kind(march.model.dtype)
            # One draw in a chunk: a whole part could exceed the 4 GiB that HDF5 allows one.
            allocate(out, "configurations", whole, kind, (settings["walkers"], 1, *sites))
        allocate_slots(out, "state", fields_of(march.state))
        if march.lowest is not None:
            allocate_slots(out, "lowest", fields_of(march.lowest))
        # Rounded up: the last part may be a short one.
        allocate(out, "digests", (-(-draws // every), 32), "u1")


def _copy(old: Path, new: Path, settings: dict[str, Any], most: int) -> None:
    """Copy the first parts of a shorter file into a longer one.

    Args:
        old: the shorter file.
        new: the longer one.
        settings: those of the run.
        most: parts at most; one of fewer draws is drawn again.
    """
    every = settings["every"]
    with opened(old) as source, edited(new) as (out, _):
        whole = min(finished(source), most)
        for name in _columns(settings):
            for part in range(whole):
                place = np.s_[:, part * every : (part + 1) * every]
                out[name][place] = source[name][place]
        # Both slots: where the last part is left out, the state before it is needed.
        for group in ("state", "lowest"):
            # A file of an earlier version has no lowest energies.
            if group in source:
                for name in (*(f"{group}/{key}" for key in source[group]), f"{group}_digests"):
                    out[name][:] = source[name][:]
        out["digests"][:whole] = source["digests"][:whole]


def _restore(source: h5py.File, march: March, name: str, settings: dict[str, Any]) -> None:
    """Bring a march to the state after the last finished part, if there is one."""
    parts = finished(source)
    # A file of an earlier version has no place for lowest energies, and they are left out.
    if "lowest" not in source:
        march.lowest = None
    if not parts:
        return
    slot = (parts - 1) % 2
    # The digest is nought where an earlier version wrote the parts so far.
    if march.lowest is not None and source["lowest_digests"][slot].any():
        lowest = read_slot(source, "lowest", slot, march.lowest._fields, name)
        march.lowest = Lowest(*(torch.from_numpy(v).to(march.device) for v in lowest.values()))
    fields = march.state._asdict()
    state = read_slot(source, "state", slot, fields, name)
    restored: dict[str, Any] = {}
    for key in fields:
        value = state[key]
        if isinstance(fields[key], Tensor):
            restored[key] = torch.from_numpy(value).to(march.device)
        else:
            # A number returns as what it was, an integer as an integer.
            restored[key] = type(fields[key])(value)
    # The last part may be a short one.
    march.drawn = min(march.draws, parts * settings["every"])
    march.state = march.state._replace(**restored)
