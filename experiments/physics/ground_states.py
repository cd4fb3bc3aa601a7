"""Look for the ground state of a spin glass: couplings of a file, or planted ones.

    python experiments/physics/ground_states.py --smoke
    python experiments/physics/ground_states.py --file glass.txt --shape 10 10 --published 12345

Parallel tempering, in two dimensions with Houdayer's move, keeps the lowest energy of all its
replicas. Of a max-cut file of weights w = -J the largest cut is C = (W - E) / 2 with W the sum of
the weights. A cut below the published one makes the exit status 1; one above it is reported.

Without a file couplings are planted by tiles: every bond of an even torus belongs to one plaquette
of a checkerboard, each plaquette has one weak antiferromagnetic bond, and so the state of all spins
alike, gauge transformed at random, is lowest in each of them (Hamze et al., *From near to eternity:
spin-glass planting, tiling puzzles, and constraint-satisfaction problems*, Phys. Rev. E 97, 043303,
2018).
"""

import json
import sys
import time
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import tyro
from torch import Tensor

import leaps_triton as lt
from leaps_triton.files import write_text
from leaps_triton.kernels import Stream, philox
from leaps_triton.provenance import provenance


@dataclass(frozen=True)
class GroundStates:
    """Look for the ground state of a spin glass."""

    file: Path | None = None
    """Couplings: lines `i j J`, a max-cut file, or a NumPy array; planted ones by default."""
    shape: tuple[int, ...] = (16, 16)
    """Lengths of the lattice, a torus."""
    published: float | None = None
    """The largest cut that was published for the file."""
    coldest: float = 0.1
    """The lowest temperature, in units of the root mean square of the couplings."""
    hottest: float = 2.0
    """The highest one."""
    temperatures: int = 16
    """Their number, in geometric sequence."""
    walkers: int = 8
    """Independent temperings; with Houdayer's move two make a pair."""
    steps: int = 2000
    """Sweeps of every replica, each with a round of exchanges."""
    houdayer: bool = True
    """Exchange clusters of pairs too; of use in two dimensions only."""
    seed: int = 0
    """Of the walkers, and of planted couplings."""
    device: str = "cpu"
    """Where they run."""
    smoke: bool = False
    """A small planted lattice, few steps."""
    results: Path = Path("experiments/results")
    """Folder for ground_states.json."""


def planted(shape: tuple[int, ...], seed: int) -> tuple[Tensor, float]:
    """Return couplings ``(2, *shape)`` of a torus of even lengths, and their lowest energy."""
    rows, columns = shape
    if rows % 2 or columns % 2:
        raise ValueError(f"tiles need two even lengths, got {shape}; or give a file")
    site = torch.arange(rows * columns)
    words = philox(seed, Stream.DISORDER, site, 0, 0, 0)
    gauge = (1.0 - 2.0 * (words[0] >> 31).double()).view(shape)
    weak = (words[1] * 4 >> 32).view(shape)
    # Three bonds of strength 2, and one of strength -1 that the ferromagnet leaves unsatisfied.
    coupling = torch.full((2, *shape), 2.0, dtype=torch.float64)
    energy = 0.0
    for i in range(rows):
        # Plaquettes of one colour of the checkerboard share no bond, and have all of them.
        for j in range(i % 2, columns, 2):
            below = (i + 1) % rows
            right = (j + 1) % columns
            bonds = [(0, i, j), (0, i, right), (1, i, j), (1, below, j)]
            coupling[bonds[int(weak[i, j])]] = -1.0
            energy += -2.0 - 2.0 - 2.0 + 1.0
    # The gauge transformation keeps all energies and hides the state.
    for axis in (0, 1):
        coupling[axis] *= gauge * gauge.roll(-1, axis)
    return coupling, energy


def search(settings: GroundStates, coupling: Tensor) -> tuple[lt.Chain, float]:
    """Return the chain, and the seconds that it took."""
    # An inverse temperature is in units of that of the couplings.
    unit = float(coupling.square().mean().sqrt())
    model = lt.EdwardsAnderson(settings.shape, 1.0 / (settings.coldest * unit), coupling=coupling)
    ratio = settings.coldest / settings.hottest
    last = settings.temperatures - 1
    fractions = [ratio ** (1.0 - k / last) for k in range(last)]
    move: Any = lt.HeatBath()
    if settings.houdayer:
        move = lt.Compose(lt.HeatBath(), lt.Houdayer())
    tempering = lt.ParallelTempering([*fractions, 1.0], move)
    begin = time.process_time()
    chain = lt.run_chain(
        model, tempering, settings.walkers, settings.steps, thin=settings.steps,
        seed=settings.seed, burn_in=0, observables=["energy"], device=settings.device,
    )  # fmt: skip
    return chain, time.process_time() - begin


def judged(settings: GroundStates, coupling: Tensor, chain: lt.Chain, known: float | None) -> Any:
    """Return what was found, and how it compares with what is known."""
    assert chain.lowest is not None and chain.lowest_energy is not None
    energy = chain.lowest_energy
    # Weights are -J, and W - 2 C is the energy.
    cut = (-float(coupling.sum()) - energy) / 2.0
    # Sums of J in another order differ by rounding.
    tolerance = 1e-9 * float(coupling.abs().sum())
    result: dict[str, Any] = {
        "energy": energy,
        "energy_per_site": energy / chain.model.lattice.sites,
        "cut": cut,
        "walkers_there": int((chain.lowest.energies <= energy + tolerance).sum()),
        "verdict": "nothing to compare with",
        "passed": True,
    }
    best = known
    if settings.published is not None:
        best = -float(coupling.sum()) - 2.0 * settings.published
    if best is not None:
        result["energy_known"] = best
        result["verdict"] = "the known ground state energy"
        if energy < best - tolerance:
            result["verdict"] = "LOWER than the known energy"
        if energy > best + tolerance:
            result["verdict"] = "above the known energy: more steps, or another seed"
            result["passed"] = False
    return result


def main(settings: GroundStates) -> None:
    """Search, compare, and save."""
    chosen = settings
    if settings.smoke:
        chosen = replace(settings, file=None, shape=(8, 8), walkers=4, temperatures=8, steps=60)
    # One draw has no error bar, and none is asked for.
    warnings.simplefilter("ignore", lt.ShortChainWarning)
    known = None
    if chosen.file is None:
        coupling, known = planted(chosen.shape, chosen.seed)
    else:
        coupling = lt.read_couplings(chosen.file, chosen.shape)
    chain, seconds = search(chosen, coupling)
    found = judged(chosen, coupling, chain, known)
    name = "planted"
    if chosen.file is not None:
        name = chosen.file.name
    print(f"{name}: energy {found['energy']:.10g}, cut {found['cut']:.10g}")
    print(
        f"{found['verdict']}; {found['walkers_there']} of {chosen.walkers} walkers were there; "
        f"{seconds:.1f} s"
    )
    chosen.results.mkdir(parents=True, exist_ok=True)
    config = {**asdict(chosen), "results": chosen.results.name, "file": name}
    result = {
        **found,
        "seconds": round(seconds, 1),
        "config": config,
        "versions": provenance(torch.device(chosen.device)),
    }
    text = json.dumps(result, indent=1) + "\n"
    write_text(chosen.results / "ground_states.json", text)
    if not found["passed"]:
        sys.exit(1)


if __name__ == "__main__":
    main(tyro.cli(GroundStates, description=__doc__))
