"""The step that compares energies of long chains with Kaufman's, to many digits."""

import argparse
import math
import time
from typing import Any, NamedTuple

from .common import Results

LENGTHS = (16, 32)
TEMPERATURES = (2.269, 2.0, 3.0)
WEIGHTS = {2.269: 3.0, 2.0: 1.0, 3.0: 1.0}
"""Shares of the time: near the critical temperature the variance is large."""
EQUILIBRATION = {2.0: 64000, 3.0: 2000}
"""Sweeps before measurements. Below the critical temperature walls across the torus come and go
slowly, and at L = 16 they make up 10⁻⁴ of the energy."""
SPINS = 2**24
"""Of all walkers together."""
SWEEPS = 64
"""Between two measurements."""
AIM = 1e-5
"""Standard error at which a chain may end."""
MOST_PULL = 4.0
"""Standard errors; a correct sampler is further off once in 16000 cases."""
SPARE = 4.0
"""Seconds of the limit for the start of the process."""


class Case(NamedTuple):
    """One energy to measure."""

    kind: str
    """``packed`` or ``byte``"""
    length: int
    temperature: float
    weight: float
    """Share of the time"""


class Chain(NamedTuple):
    """Walkers on their way, and the move that takes them on."""

    path: Any
    move: Any
    walkers: int
    equilibration: int
    """Sweeps before measurements"""
    device: Any


def moves(sweeps: int) -> dict[str, Any]:
    """Return the heat baths, by the kind of kernel, packed first.

    Args:
        sweeps: Of one step.
    """
    import leaps_triton as lt

    return {
        "packed": lt.HeatBath(sweeps=sweeps, packed="walkers"),
        "byte": lt.HeatBath(sweeps=sweeps, packed=False),
    }


def equilibration(length: int, temperature: float) -> int:
    """Return the sweeps before measurements."""
    # At criticality 20 times the longest relaxation; its dynamic exponent is 2.17.
    critical = math.ceil(20 * length**2.17)
    return EQUILIBRATION.get(temperature, critical)


def energies(chain: Chain, seconds: float) -> tuple[float, float, int]:
    """Return the mean energy per site, its standard error, and the sweeps it took.

    Walkers are independent, so that the spread of their means is the error, whatever the
    correlation of each. All begin in order, from which no walls between domains are left over.
    """
    import torch

    begin = time.monotonic()
    model = chain.path.model
    sites = model.lattice.sites
    x = torch.zeros((chain.walkers, *model.lattice.shape), dtype=torch.int8, device=chain.device)
    state = chain.move.init(x, torch.arange(chain.walkers, device=chain.device))
    done = 0
    while done < chain.equilibration:
        state, _ = chain.move.advance(state, chain.path, 1.0, 0)
        done += chain.move.sweeps
        if time.monotonic() - begin > 0.5 * seconds:
            raise TimeoutError(f"only {done} sweeps to equilibrium in half of {seconds:.0f} s")
    total = torch.zeros(chain.walkers, dtype=torch.float64, device=chain.device)
    count = 0
    while True:
        for _ in range(8):
            state, _ = chain.move.advance(state, chain.path, 1.0, 0)
            total += model.energy(state.configurations) / sites
            count += 1
        means = total / count
        error = float(means.std()) / math.sqrt(chain.walkers)
        if error <= AIM or time.monotonic() - begin > seconds:
            return float(means.mean()), error, done + count * chain.move.sweeps


def cases(kinds: list[str], smoke: bool) -> list[Case]:
    """Return what is measured, most valuable first: all by the first kind, one by the others."""
    lengths = (4,) if smoke else LENGTHS
    first, *others = kinds
    found = []
    for length in lengths:
        for temperature in TEMPERATURES:
            found.append(Case(first, length, temperature, WEIGHTS[temperature]))
    for kind in others:
        found.append(Case(kind, lengths[0], TEMPERATURES[0], 1.0))
    return found


def exact(settings: argparse.Namespace) -> None:
    """Measure energies of 16² and 32² at T = 2, 2.269 and 3; they must be Kaufman's within 4σ."""
    # Imports take their time too.
    begin = time.monotonic()
    import torch

    results = Results(settings, settings.step)
    device = torch.device(settings.device)
    # A rehearsal has walkers for whole groups of 32, and few sweeps.
    spins = 2**10 if settings.smoke else SPINS
    chosen = moves(2 if settings.smoke else SWEEPS)
    todo = cases(list(chosen), settings.smoke)
    end = begin + settings.seconds - SPARE
    for kind, move in chosen.items():
        with results.case(f"compilation of {kind} sweeps"):
            # Its time is no case's.
            path = path_of(todo[0])
            x = torch.zeros((32, *path.model.lattice.shape), dtype=torch.int8, device=device)
            move.advance(move.init(x, torch.arange(32, device=device)), path, 1.0, 0)
    known = {case: kaufman(case) for case in todo}
    if settings.smoke:
        end = time.monotonic() + 4.0
    left = sum(case.weight for case in todo)
    pulls: list[float] = []
    for case in todo:
        share = (end - time.monotonic()) * case.weight / left
        left -= case.weight
        name = f"{case.kind}, {case.length} x {case.length} at T = {case.temperature:g}"
        with results.case(name):
            path = path_of(case)
            sweeps = equilibration(case.length, case.temperature)
            if settings.smoke:
                sweeps = 2
            walkers = spins // case.length**2
            chain = Chain(path, chosen[case.kind], walkers, sweeps, device)
            pulls.append(_compared(results, case, chain, (known[case], share)))
    worst = max(map(abs, pulls), default=math.nan)
    results.end(f"{len(pulls)} energies, at most {worst:.1f} standard errors from the exact ones")


def path_of(case: Case) -> Any:
    """Return the path to the model of a case."""
    import leaps_triton as lt

    return lt.AnnealingPath(lt.Ising((case.length, case.length), beta=1.0 / case.temperature))


def kaufman(case: Case) -> float:
    """Return the exact energy per site."""
    import leaps_triton as lt

    return lt.exact.ising_energy((case.length, case.length), 1.0 / case.temperature)


def _compared(results: Results, case: Case, chain: Chain, given: tuple[float, float]) -> float:
    """Measure one energy, add its rows, and return how many standard errors it is off.

    Args:
        results: Where the rows go.
        case: What is measured.
        chain: Its walkers.
        given: The exact energy, and seconds to spend.
    """
    from leaps_triton.bench.timing import Row

    exactly, seconds = given
    begin = time.monotonic()
    mean, error, sweeps = energies(chain, seconds)
    took = time.monotonic() - begin
    pull = (mean - exactly) / error
    lattice = f"{case.length}x{case.length}"
    about = (f"energy T={case.temperature:g}", case.kind, "ising", lattice, chain.walkers)
    flips = sweeps * chain.walkers * case.length**2
    results.add(
        Row(*about, "energy", mean, "exact", mean / exactly),
        Row(*about, "error", error),
        Row(*about, "pull", pull),
        Row(*about, "flips_per_ns", flips / took * 1e-9),
    )
    print(f"{mean:.7f} ± {error:.1e}, exact {exactly:.7f}, pull {pull:+.2f}", flush=True)
    if not abs(pull) <= MOST_PULL:
        results.fail(f"{about[0]} on {lattice}: {mean:.7f} ± {error:.1e}, exact {exactly:.7f}")
    return pull
