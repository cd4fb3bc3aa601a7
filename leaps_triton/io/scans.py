"""Scans of several inverse temperatures in HDF5.

A scan by chains or tempering is a file of chains, with ``observables/<name>_at_betas`` of
``(walkers, draws, betas)`` or ``(walkers, draws, betas, k)``; one by annealing is a file of
weighted walkers, with ``along/log_weights (walkers, betas)`` and ``along/observables/<name>`` of
``(walkers, betas)`` or ``(walkers, betas, k)``. The attribute ``betas`` of each of these datasets
holds the inverse temperatures. A scan of a coupling has ``observables/<name>_at_couplings``, with
an attribute of the coupling's name. All temperatures fill together, so that a scan that was stopped
has something of each.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from ..kernels.checks import as_integer, expect
from ..mcmc.base import Move
from ..models.base import EnergyModel, Target
from ..models.energy_only import as_given
from ..models.varied import names_couplings
from ..observables.base import OBSERVABLES
from ..samplers.sampler import Sampler
from ..samplers.scans import Plan, Scan
from .chains import run_chain
from .hdf5 import contents, opened
from .packing import as_file
from .parts import rebuild_move
from .weighted import read, sample

__all__ = ["read_scan", "scan"]


@names_couplings
def scan(
    model: Target | EnergyModel,
    betas: Sequence[float] | None = None,
    file: str | Path | None = None,
    method: str = "chains",
    move: Move | None = None,
    walkers: int | None = None,
    sweeps: int | None = None,
    thin: int | None = None,
    burn_in: int | Literal["auto"] | None = None,
    intervals: int | None = None,
    sampler: Sampler | None = None,
    observables: Sequence[str] = OBSERVABLES,
    seed: int = 0,
    device: torch.device | str | None = None,
    every: int = 100,
    resume: bool = False,
    progress: bool = False,
    mass_squared: Sequence[float] | None = None,
    quartic: Sequence[float] | None = None,
) -> Scan:
    """Scan inverse temperatures or a coupling into a file, the same as :func:`leaps_triton.scan`.

    Args:
        model: any that a file can hold; its own β is not looked at.
        betas: inverse temperatures, at least two, in any order.
        file: HDF5; it must be given.
        method: ``"chains"``, ``"tempering"`` or ``"annealing"``.
        move: the same as in :func:`leaps_triton.scan`, as all that follow but those named here;
            None for that of the file to go on with, if there is one.
        walkers: chains at every β, or annealed walkers.
        sweeps: steps of the move after the burn-in.
        thin: steps from one draw to the next.
        burn_in: steps before, not measured.
        intervals: of annealing.
        sampler: anneals the walkers.
        observables: names in :mod:`leaps_triton.observables`.
        seed: in [0, 2³²).
        device: None for CUDA where there is a CUDA device, else the CPU.
        every: draws of chains from one write to the next; a crash loses no more. Annealed walkers
            are written block by block.
        resume: go on with ``file`` if it exists; with more ``sweeps``, or annealed ``walkers``, it
            grows. The result is that of an undisturbed scan, bit for bit.
        progress: show a progress bar on a terminal, elsewhere a line every half minute.
        mass_squared: of a field, instead of inverse temperatures, values of this coupling.
        quartic: likewise of this one.

    Raises:
        ValueError: If an argument is bad, if the file exists without ``resume``, or if it is one of
            another run.

    Example:
        >>> import tempfile, leaps_triton as lt
        >>> model = lt.Ising((4, 4), beta=0.4)
        >>> options = {"method": "annealing", "walkers": 200, "intervals": 20, "device": "cpu"}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found = lt.io.scan(model, [0.2, 0.4], f"{folder}/scan.h5", **options)
        ...     again = lt.io.read_scan(f"{folder}/scan.h5")
        >>> found.table() == again.table()
        True
    """
    every = as_integer("every", every, 1)
    expect(file is not None, "file", "the name of an HDF5 file", file)
    assert file is not None
    if method == "annealing" and move is None and sampler is None and resume:
        move = _move_of(as_file(file))
    plan = Plan.of(
        model,
        betas,
        method,
        move,
        sampler,
        observables,
        seed,
        device,
        walkers=walkers,
        sweeps=sweeps,
        thin=thin,
        burn_in=burn_in,
        intervals=intervals,
        couplings={"mass_squared": mass_squared, "quartic": quartic},
    )
    _check_beta(plan)
    there: dict[str, Any] = {"file": file, "resume": resume, "progress": progress}
    if plan.sampler is not None:
        return Scan(sample(plan.sampler, **plan.options, **there))
    return Scan(run_chain(**plan.options, **there, every=every))


def _move_of(file: Path) -> Move | None:
    """Return the move of annealed walkers that a file goes on with; None if there is none."""
    if not file.exists():
        return None
    with opened(file) as source:
        manifest = contents(source, file.name).manifest
    # A file of chains is refused later, with what it is.
    if manifest.get("mcmc") is None:
        return None
    found: Move = rebuild_move(manifest["mcmc"])
    return found


def _check_beta(plan: Plan) -> None:
    """Raise a ValueError if the file would hold the model at another β than that of the scan."""
    if plan.sampler is not None:
        model = plan.sampler.path.model
    else:
        model = plan.options["model"]
    own = as_given(model)
    # A file holds the user's model, which the library may have at another temperature.
    if float(own.beta) != float(model.beta):
        raise ValueError(
            f"{type(own).__name__} has beta = {own.beta:g} in a file, and the scan goes to "
            f"{model.beta:g}; give it that beta, or a method at(beta)"
        )


def read_scan(file: str | Path) -> Scan:
    """Return what is finished of the file of a scan.

    Args:
        file: one of :func:`scan`, or any of :func:`leaps_triton.io.run_chain` or
            :func:`leaps_triton.io.sample` with several temperatures.

    Raises:
        ValueError: If the file is none of these, holds a single temperature, or is damaged.
        OSError: If there is no such file, or it cannot be read.
    """
    run = read(file)
    if not run.by_beta:
        raise ValueError(
            f"{as_file(file).name} holds a single temperature, beta = {run.model.beta:g}; read it "
            f"by leaps_triton.io.read"
        )
    return Scan(run)
