"""Look for the largest cut of a weighted graph: one of a file, or a planted one.

    python experiments/learning/max_cut.py --smoke
    python experiments/learning/max_cut.py --file graph.txt --published 12345

A file has a line ``sites edges`` and a line ``i j w`` for each edge. A cut parts the sites in two;
its value ``C`` is the sum of the weights of edges between both parts. With couplings ``J = -w`` the
energy is ``E = W - 2 C``, ``W`` the sum of all weights. Parallel tempering keeps the lowest energy
of all its replicas. A cut below the published one makes the exit status 1; one above it is told.

Without a file a cut is planted: cycles of sites at random, each with one bond that cannot be
satisfied, are laid over one another. The hidden state is lowest on every cycle, and so on their sum
(Hen et al., *Probing for quantum speedup in spin-glass problems with planted solutions*, Phys. Rev.
A 92, 042325, 2015).
"""

import json
import sys
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import tyro
from torch import Tensor

import leaps_triton as lt
from leaps_triton.bench.timing import Clock
from leaps_triton.files import write_text
from leaps_triton.provenance import device_name, provenance


@dataclass(frozen=True)
class MaxCut:
    """Look for the largest cut of a weighted graph."""

    file: Path | None = None
    """Weights of edges; a planted instance by default."""
    published: float | None = None
    """The largest cut that was published for the file."""
    sites: int = 100
    """Of a planted instance."""
    cycles: int = 160
    """Of a planted instance."""
    cycle_length: int = 6
    """Sites of each."""
    coldest: float = 0.1
    """The lowest temperature, in units of the typical local field."""
    hottest: float = 2.0
    """The highest one."""
    temperatures: int = 16
    """Their number, in geometric sequence."""
    walkers: int = 8
    """Independent temperings."""
    steps: int = 2000
    """Sweeps of every replica, each with a round of exchanges."""
    seed: int = 0
    """Of the walkers, and of a planted instance."""
    name: str = "max_cut"
    """Of the file of results."""
    smoke: bool = False
    """A small planted instance, few steps."""
    results: Path = Path("experiments/results")
    """Folder of the file of results."""


def planted(settings: MaxCut) -> tuple[lt.Graph, Tensor, float]:
    """Return a graph, couplings of its edges, and their lowest energy."""
    generator = torch.Generator().manual_seed(settings.seed)
    hidden = 1.0 - 2.0 * torch.randint(2, (settings.sites,), generator=generator).double()
    total: dict[tuple[int, int], float] = {}
    energy = 0.0
    for _ in range(settings.cycles):
        cycle = torch.randperm(settings.sites, generator=generator)[: settings.cycle_length]
        weak = int(torch.randint(settings.cycle_length, (1,), generator=generator))
        for place in range(settings.cycle_length):
            first = int(cycle[place])
            second = int(cycle[(place + 1) % settings.cycle_length])
            # All bonds of a cycle but one agree with the hidden state.
            sign = 1.0
            if place == weak:
                sign = -1.0
            pair = (min(first, second), max(first, second))
            total[pair] = total.get(pair, 0.0) + sign * float(hidden[first] * hidden[second])
        energy += 2.0 - settings.cycle_length
    # Bonds of two cycles may cancel: they are no edges.
    kept = {pair: value for pair, value in total.items() if value != 0.0}
    graph = lt.Graph(list(kept), sites=settings.sites)
    return graph, torch.tensor(list(kept.values()), dtype=torch.float64), energy


def search(settings: MaxCut, graph: lt.Graph, coupling: Tensor) -> tuple[lt.Chain, float]:
    """Return the chain, and the seconds that it took."""
    # A temperature is in units of what all the couplings of a site add up to.
    unit = float((2.0 * coupling.square().sum() / graph.sites).sqrt())
    model = lt.EdwardsAnderson(graph, 1.0 / (settings.coldest * unit), coupling=coupling)
    ratio = settings.coldest / settings.hottest
    last = settings.temperatures - 1
    fractions = [ratio ** (1.0 - k / last) for k in range(last)]
    tempering = lt.ParallelTempering([*fractions, 1.0], lt.HeatBath())
    clock = Clock(torch.device("cpu"))
    chain = lt.run_chain(
        model,
        tempering,
        settings.walkers,
        settings.steps,
        thin=settings.steps,
        seed=settings.seed,
        burn_in=0,
        observables=["energy"],
        device="cpu",
    )
    return chain, clock()


def judged(
    settings: MaxCut, coupling: Tensor, chain: lt.Chain, known: float | None
) -> dict[str, Any]:
    """Return the largest cut that was found, and how it compares with the known one."""
    assert chain.lowest is not None and chain.lowest_energy is not None
    weights = -float(coupling.sum())
    energy = chain.lowest_energy
    cut = (weights - energy) / 2.0
    # Sums in another order differ by rounding.
    tolerance = 1e-9 * float(coupling.abs().sum())
    result: dict[str, Any] = {
        "energy": energy,
        "cut": cut,
        "walkers_there": int((chain.lowest.energies <= energy + 2.0 * tolerance).sum()),
        "best_known": settings.published,
        "verdict": "nothing to compare with",
        "passed": True,
    }
    if known is not None:
        result["best_known"] = (weights - known) / 2.0
    best = result["best_known"]
    if best is not None:
        result["verdict"] = "the best known cut"
        if cut > best + tolerance:
            result["verdict"] = "LARGER than the best known cut"
        if cut < best - tolerance:
            result["verdict"] = "below the best known cut: more steps, or another seed"
            result["passed"] = False
    return result


def main(settings: MaxCut) -> None:
    """Search, compare, and save."""
    torch.set_num_threads(1)
    # One draw has no error bar, and none is asked for.
    warnings.simplefilter("ignore", lt.ShortChainWarning)
    if settings.smoke:
        settings = replace(
            settings, file=None, sites=20, cycles=24, walkers=4, temperatures=6, steps=60
        )
    known = None
    if settings.file is None:
        graph, coupling, known = planted(settings)
        source = "planted"
    else:
        # The reader makes couplings of the weights of a max-cut file.
        found = lt.read_graph(settings.file)
        graph = found.graph
        coupling = found.coupling
        source = settings.file.name
    chain, seconds = search(settings, graph, coupling)
    config = {**asdict(settings), "results": settings.results.name}
    if settings.file is not None:
        config["file"] = settings.file.name
    result = {
        "instance": source,
        "sites": graph.sites,
        "edges": graph.bonds,
        **judged(settings, coupling, chain, known),
        "seconds": round(seconds, 2),
        "device": device_name(torch.device("cpu")),
        "config": config,
        "versions": provenance(torch.device("cpu")),
    }
    settings.results.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    write_text(settings.results / f"{settings.name}.json", text)
    print(f"{source}: cut {result['cut']:.10g}, {result['verdict']}, {seconds:.1f} s")
    if not result["passed"]:
        sys.exit(1)


if __name__ == "__main__":
    main(tyro.cli(MaxCut, description=__doc__))
