"""Check integrators of drifts against log Z by quadrature, on the smallest φ⁴ lattice, at depth.

    python experiments/fields/phi4_gates.py            # about ten minutes on one core
    python experiments/fields/phi4_gates.py --smoke    # under a minute

The lattice is 2 × 2, from m² = 1, λ = 0 to m² = -1, λ = 0.9, where quadrature gives log Z_1 / Z_0 =
1.5557160303. The drift is a fixed one, ``b = (1 + t)(0.4 φ + 0.5 tanh h - 0.6 tanh(φ + 0.7 h))``
with ``h`` the mean of the neighbours: a network that was just made is almost 0 and would test
nothing. Weights that are exact must agree within 3 standard errors at any number of intervals. A
map of all sites at once with the diagonal of its Jacobian, and weights of continuous time, must
not, or the check could not see an error of this size. The free field 16 × 16 from m² = 1 to 0.05 is
carried exactly, and a map is timed beside hybrid Monte Carlo.

References:
    Albergo, Vanden-Eijnden, *NETS: a non-equilibrium transport sampler*, arXiv:2410.02711 (2024).
"""

import json
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import tyro
from torch import Tensor

import leaps_triton as lt
from leaps_triton.files import write_text
from leaps_triton.integrators import as_transport
from leaps_triton.integrators.flows.maps import factors_of, push
from leaps_triton.provenance import provenance

LOG_RATIO = 1.5557160303
FREE_FIELD = 40.005819864


@dataclass(frozen=True)
class PhiFourGates:
    """Check integrators of drifts against log Z by quadrature."""

    walkers: int = 400_000
    """Walkers of each row."""
    block: int = 20_000
    """Walkers that are computed together."""
    length: int = 12
    """Lattice on which a map is timed."""
    timed: int = 500
    """Walkers that are timed."""
    repeats: int = 7
    """Times that each is timed, in turns."""
    seed: int = 0
    """Of everything random."""
    smoke: bool = False
    """Few walkers, which see no bias."""
    results: Path = Path("experiments/results")
    """Folder of the table."""


SMOKE = {"walkers": 4_000, "block": 4_000, "length": 4, "timed": 16, "repeats": 3}


class FixedDrift:
    """The fixed drift, with all that maps ask for."""

    kind = "drift"
    maps = True

    def __init__(self) -> None:
        colour = torch.tensor([0, 1, 1, 0])
        self.sites = [(colour == parity).nonzero().squeeze(1) for parity in (0, 1)]

    def rest(self, x: Tensor, t: Any) -> tuple[Tensor, Tensor]:
        """Return all but the linear term, and its slope."""
        h: Any = sum(x.roll(1, axis) + x.roll(-1, axis) for axis in (1, 2)) / 4
        inner = torch.tanh(x + 0.7 * h)
        value = (1.0 + t) * (0.5 * torch.tanh(h) - 0.6 * inner)
        return value, -0.6 * (1.0 + t) * (1.0 - inner * inner)

    def __call__(self, x: Tensor, conditions: Any) -> tuple[Tensor, Tensor]:
        """Return drift and divergence."""
        t = conditions.t.double().view(-1, 1, 1)
        value, slope = self.rest(x, t)
        linear = 0.4 * (1.0 + t)
        return value + linear * x, (slope + linear).flatten(1).sum(1)

    def modes(self, t: float) -> Tensor:
        """Return the linear term."""
        return torch.full((2, 2), 0.4 * (1.0 + t), dtype=torch.float64)

    def sublattice(self, parity: int) -> Tensor:
        """Return its sites."""
        return self.sites[parity]

    def active(self, x: Tensor, t: float, parity: int) -> tuple[Tensor, Tensor]:
        """Return the rest on one sublattice."""
        value, slope = self.rest(x, t)
        return value.flatten(1)[:, self.sites[parity]], slope.flatten(1)[:, self.sites[parity]]

    def steepest(self, t: float) -> float:
        """Return the steepest slope."""
        return 0.6 * (1.0 + t)


class AllAtOnce(FixedDrift):
    """A wrong one: all sites move at once, and weights take the diagonal of the Jacobian alone."""

    def push(self, x: Tensor, passes: Any) -> tuple[Tensor, Tensor]:
        """Return fields after one move of all sites."""
        value, slope = self.rest(x, passes[1].t)
        step = passes[1].step
        return x + step * value, torch.log1p(step * slope).flatten(1).sum(1)


def path() -> lt.AnnealingPath:
    """Return the path, in float64."""
    model = lt.PhiFour((2, 2), mass_squared=-1.0, quartic=0.9, dtype=torch.float64)
    return lt.AnnealingPath(model, start=lt.FreeField(1.0))


def row(settings: PhiFourGates, name: str, drift: Any, integrator: Any, exact: bool) -> Any:
    """Return what one sampler finds."""
    move = None
    if isinstance(integrator, lt.MapStep):
        move = lt.HMC(leapfrogs=3, step=0.15, fourier=False)
    sampler = lt.Sampler(path(), drift, integrator, move, block=settings.block, device="cpu")
    ensemble = sampler.sample(settings.walkers, seed=settings.seed)
    defect = ensemble.log_z - sampler.path.start.log_z - LOG_RATIO
    found = {
        "sampler": name,
        "intervals": integrator.intervals,
        "defect": defect,
        "error": ensemble.log_z_error,
        "pull": defect / ensemble.log_z_error,
        "ess": ensemble.ess,
        "exact": exact,
    }
    print(json.dumps(found), flush=True)
    return found


def rows(settings: PhiFourGates) -> list[Any]:
    """Return the table of all samplers."""
    drift = FixedDrift()
    found = []
    for intervals in (2, 4, 16):
        found.append(row(settings, "MapStep", drift, lt.MapStep(intervals), True))
    for intervals in (4, 16):
        white = lt.PathRatio(intervals, 0.1, preconditioner=None)
        found.append(row(settings, "PathRatio", drift, white, True))
    for intervals in (4, 16):
        fourier = lt.PathRatio(intervals, 0.1)
        found.append(row(settings, "PathRatio in Fourier space", drift, fourier, True))
    momenta = lt.PathRatio(16, 0.3, momentum=4.0)
    found.append(row(settings, "PathRatio with momenta", drift, momenta, True))
    found.append(row(settings, "AIS", None, lt.MapStep(16), True))
    # These two must be seen to be wrong.
    found.append(row(settings, "all sites at once", AllAtOnce(), lt.MapStep(2), False))
    rough = lt.PathRatio(4, 0.1, preconditioner=None, weights="continuous")
    found.append(row(settings, "continuous weights", drift, rough, False))
    return found


def free_field() -> dict[str, float]:
    """Return log Z of a free field, carried exactly."""
    model = lt.PhiFour((16, 16), mass_squared=0.05, quartic=0.0, dtype=torch.float64)
    line = lt.AnnealingPath(model, start=lt.FreeField(1.0))
    drift = lt.GaussianDrift(model, start=1.0)
    sampler = lt.Sampler(line, drift, lt.MapStep(4), block=64, device="cpu")
    ensemble = sampler.sample(64, seed=0)
    return {
        "log_ratio": ensemble.log_z - line.start.log_z,
        "expected": FREE_FIELD,
        "deviation_of_log_weights": float(ensemble.log_weights.std()),
    }


class Slowly:
    """A drift whose passes are made one after the other, by plain torch."""

    kind = "drift"
    maps = True

    def __init__(self, drift: lt.HollowDrift) -> None:
        self.modes = drift.modes
        self.sublattice = drift.sublattice
        self.active = drift.active
        self.steepest = drift.steepest


@torch.no_grad()
def times(settings: PhiFourGates) -> dict[str, float]:
    """Return the processor's milliseconds for a map and for hybrid Monte Carlo, in turns."""
    model = lt.PhiFour((settings.length,) * 2, mass_squared=-4.0, quartic=5.276)
    line = lt.AnnealingPath(model)
    drift = lt.HollowDrift(model, seed=settings.seed)
    x = line.start.sample(torch.arange(settings.timed), seed=settings.seed)
    fused = as_transport(drift)
    plain = as_transport(Slowly(drift))  # type: ignore[arg-type]
    factors = factors_of(fused, 0.5, 0.52, 1)
    double = drift.for_model(lt.PhiFour(model.shape, -4.0, 5.276, torch.float64)).double()
    wide = as_transport(Slowly(double))  # type: ignore[arg-type]
    calls: dict[str, Callable[[], Any]] = {
        "map": lambda: push(fused, x, factors),
        "map in plain torch": lambda: push(plain, x, factors),
        "map in plain torch, float64": lambda: push(wide, x.double(), factors),
    }
    for leapfrogs in (1, 3):
        move = lt.HMC(leapfrogs=leapfrogs, step=0.3, fourier=True, masses=None)
        move = move.settled(model, None, settings.timed)
        state = move.init(x, torch.arange(settings.timed))
        calls[f"HMC, leapfrogs {leapfrogs}"] = stepped(move, state, line)
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(settings.repeats + 1):
        for name, call in calls.items():
            begin = time.process_time()
            call()
            seconds[name].append(1e3 * (time.process_time() - begin))
    # The first of each warms up.
    return {name: round(statistics.median(each[1:]), 3) for name, each in seconds.items()}


def stepped(move: Any, state: Any, line: lt.AnnealingPath) -> Callable[[], Any]:
    """Return a step of a move."""
    return lambda: move.step(state, line, 0.5, 0)


def main(settings: PhiFourGates) -> None:
    if settings.smoke:
        settings = replace(settings, **SMOKE)  # type: ignore[arg-type]
    torch.set_num_threads(1)
    versions = provenance(torch.device("cpu"))
    begin = time.process_time()
    timed = times(settings)
    print(json.dumps(timed), flush=True)
    table = rows(settings)
    free = free_field()
    passed = all(abs(each["pull"]) < 3.0 for each in table if each["exact"])
    seen = all(abs(each["pull"]) > 3.0 for each in table if not each["exact"])
    exact = math.isclose(free["log_ratio"], FREE_FIELD, abs_tol=1e-5)
    gate = {"exact_within_3": passed, "wrong_beyond_3": seen, "free_field": exact}
    config = asdict(settings)
    # Where the table lies is no part of it.
    del config["results"]
    result = {
        "rows": table,
        "free_field": free,
        "milliseconds": timed,
        "gate": gate,
        "seconds": round(time.process_time() - begin, 1),
        "config": config,
        "versions": versions,
    }
    settings.results.mkdir(parents=True, exist_ok=True)
    write_text(settings.results / "phi4_gates.json", json.dumps(result, indent=2) + "\n")
    print(json.dumps(gate))


if __name__ == "__main__":
    main(tyro.cli(PhiFourGates, description=__doc__))
