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
from ..mcmc.base import Move, as_move, warn_confined
from ..mcmc.compose import settled
from ..mcmc.march import ChainSettings, March
from ..models.base import EnergyModel, Target
from ..observables.base import OBSERVABLES
from ..observables.fields import chosen_for
from ..parallel import ALONE, Ranks
from ..provenance import provenance
from ..renamed import renamed
from .hdf5 import check_observables, contents, digest, expect_same, opened, write
from .packing import SCHEMA, Contents, as_file
from .parts import describe_model, describe_move, move_before, rebuild_model, rebuild_move
from .results import ChainRun, record_beginning, recorded_beginning
from .runs.drawn import check_parts, columns_drawn, copy_parts, lay_out_chain, restore
from .runs.marching import Stand, draw, joined, places_of, share_out

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
        lay_out_chain(part, march, described)


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
            lay_out_chain(part, march, new._replace(manifest=manifest))
            copy_parts(file, part, settings, whole)
    with opened(file) as source:
        restore(source, march, file.name, settings)


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
            data = (places[name][1] for name in columns_drawn(settings))
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
    restore(source, march, name, settings)
    data = {column: source[column][:, : march.drawn] for column in columns_drawn(settings)}
    check_parts(source, data, march.drawn, settings["every"], name)
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
