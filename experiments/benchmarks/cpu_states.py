"""Time what a CPU runs, in several states side by side: CPU kernels, fewer vectors, plain torch.

    python experiments/benchmarks/cpu_states.py            # about two minutes on one core
    python experiments/benchmarks/cpu_states.py --smoke    # under a minute
    python experiments/benchmarks/cpu_states.py --before FOLDER    # and an earlier checkout

Each state is a process of its own, and all take turns at each case: ``numba``, CPU kernels with the
widest vectors of the machine; ``AVX2``, the same without wider ones, where the machine has them;
``two threads``; ``twin``, plain torch (``LEAPS_TRITON_CPU=twin``); ``before``, an earlier
checkout. Where mcising is installed its Metropolis, and clusters, take turns too. Times are of the
processor, of two threads those of the clock on the wall. Cases are updates of sites (Wolff:
clusters), weighted walkers of annealing, and events of the jump process, a second; medians of
several stretches.
"""

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import tyro

import leaps_triton as lt

BETA = 0.44068679350977147
SPEEDUPS = ("numba", "AVX2", "two threads")
"""States whose speeds are told in units of the twin's, and of the earlier checkout's."""


@dataclass(frozen=True)
class CpuStates:
    """Compare what a CPU runs in several states."""

    sites: int = 2**16
    """Of all chains together."""
    repeats: int = 5
    """Timed stretches, whose median counts."""
    seconds: float = 0.1
    """Of each stretch; at least one call."""
    before: Path | None = None
    """Checkout of an earlier version, which runs the same cases."""
    seed: int = 0
    """Of everything random."""
    smoke: bool = False
    """Few cases, small and short."""
    json: Path = Path("experiments/results/cpu_states.json")
    """Where to save the result."""


Work = Callable[[int], float]
"""``work(count)`` does a number of calls and returns how much was done."""


def chain(model: Any, move: Callable[[int], Any], settings: CpuStates, unit: int = 0) -> Work:
    """Return sweeps of chains: updates, or units a sweep and walker where these are given."""
    path = lt.AnnealingPath(model)
    walkers = max(1, settings.sites // model.lattice.sites)
    indices = torch.arange(walkers)
    state = [lt.HeatBath().init(path.start.sample(indices, settings.seed), indices)]
    if model.beta == BETA and model.lattice.ndim == 2:
        # Clusters of a random start are small.
        state[0], _ = lt.SwendsenWang(50).step(state[0], path, 1.0, settings.seed)

    def work(count: int) -> float:
        state[0], _ = move(count).step(state[0], path, 1.0, settings.seed)
        return float(count * walkers * (unit or model.lattice.sites))

    return work


def sampled(sampler: lt.Sampler, walkers: int, events: bool, seed: int) -> Work:
    """Return runs of a sampler: walkers, or their events."""

    def work(count: int) -> float:
        done = 0.0
        for block in range(count):
            found = sampler.sample(walkers, seed, first_block=block)
            done += walkers * (found.evaluations if events else 1.0)
        return done

    return work


def annealing(length: int, settings: CpuStates) -> Work:
    """Return annealed importance sampling by heat bath, a block at a time."""
    path = lt.AnnealingPath(lt.Ising((length, length), BETA))
    sampler = lt.Sampler(path, None, lt.Jump(16), lt.HeatBath(), device="cpu")
    return sampled(sampler, sampler.block, False, settings.seed)


def local_rates(length: int, settings: CpuStates) -> Work:
    """Return the jump process of an untrained LocalRates that moves, on tables."""
    model = lt.Ising((length, length), BETA)
    network = lt.LocalRates(model)
    with torch.no_grad():
        # The weight of the local field, which makes events of a quarter of the sites.
        network.skip.fill_(2.0)
    jump = lt.Jump(5, tables=True)
    sampler = lt.Sampler(lt.AnnealingPath(model), network, jump, device="cpu")
    return sampled(sampler, sampler.block, True, settings.seed)


def hollow_conv(length: int, settings: CpuStates) -> Work:
    """Return the jump process of an untrained HollowConv with rates of order one."""
    model = lt.Ising((length, length), BETA)
    network = lt.HollowConv(model, kernel_size=7, seed=1)
    with torch.no_grad():
        network.readout.weight.mul_(30.0)
    path = lt.AnnealingPath(model)
    # A block of its own size would take many seconds a run.
    block = max(4, settings.sites // (8 * length**2))
    sampler = lt.Sampler(path, network, lt.Jump(4), block=block, device="cpu")
    return sampled(sampler, block, True, settings.seed)


def mcising(algorithm: str, length: int, unit: int, settings: CpuStates) -> Work:
    """Return sweeps, or clusters, of one chain of mcising."""
    core = importlib.import_module("mcising._core")
    made = core.IsingSimulation(length, 1.0, 0.0, 0.0, 0.0, settings.seed, algorithm, "square")
    start = core.IsingSimulation(
        length, 1.0, 0.0, 0.0, 0.0, settings.seed, "swendsen_wang", "square"
    )
    start.sweep(200, temperature=1.0 / BETA)
    made.set_spins(start.get_spins())

    def work(count: int) -> float:
        made.sweep(count, temperature=1.0 / BETA)
        return float(count * unit)

    return work


MOVES: dict[str, tuple[Any, str]] = {
    "heat bath": (lt.HeatBath, "metropolis"),
    "Metropolis": (lt.Metropolis, "metropolis"),
    "Swendsen-Wang": (lt.SwendsenWang, "swendsen_wang"),
    "Wolff": (lt.Wolff, "wolff"),
}
"""Name → move, and what mcising has beside it."""


def cases(settings: CpuStates) -> dict[str, tuple[Callable[[], Work], Callable[[], Work] | None]]:
    """Return the cases by name: what the library does, and mcising if it can."""
    found: dict[str, tuple[Callable[[], Work], Callable[[], Work] | None]] = {}

    def ising(name: str, length: int) -> None:
        move, theirs = MOVES[name]
        unit = 1 if name == "Wolff" else length**2
        model = lt.Ising((length, length), BETA)
        found[f"{name} {length}²"] = (
            lambda: chain(model, move, settings, unit),
            lambda: mcising(theirs, length, unit, settings),
        )

    small = settings.smoke
    for length in (16,) if small else (64, 128, 256):
        ising("heat bath", length)
        ising("Metropolis", length)
    for name in ("Swendsen-Wang", "Wolff"):
        ising(name, 16 if small else 64)
    side = 8 if small else 64
    cube = 4 if small else 16
    glass = lt.EdwardsAnderson((side, side), beta=1.0, seed=1)
    glass_3d = lt.EdwardsAnderson((cube, cube, cube), beta=0.8, seed=1)
    ising_3d = lt.Ising((2 * cube,) * 3, 0.2217)
    potts = lt.Potts((side, side), 3, 1.005)
    found[f"±J heat bath {side}²"] = (lambda: chain(glass, lt.HeatBath, settings), None)
    found[f"±J heat bath {cube}³"] = (lambda: chain(glass_3d, lt.HeatBath, settings), None)
    found[f"heat bath {2 * cube}³"] = (lambda: chain(ising_3d, lt.HeatBath, settings), None)
    found[f"Potts q = 3 heat bath {side}²"] = (lambda: chain(potts, lt.HeatBath, settings), None)
    for length in (8,) if small else (8, 16, 32):
        found[f"AIS {length}²"] = (lambda n=length: annealing(n, settings), None)  # type: ignore[misc]
        found[f"LocalRates {length}²"] = (lambda n=length: local_rates(n, settings), None)  # type: ignore[misc]
    size = 8 if small else 16
    found[f"HollowConv {size}²"] = (lambda: hollow_conv(size, settings), None)
    return found


def rate(work: Work, seconds: float, clock: Callable[[], float]) -> float:
    """Return how much is done a second."""
    count = 1
    begin = clock()
    done = work(count)
    spent = clock() - begin
    # The first calls say how many fill the time; long ones fill it alone.
    while spent < seconds / 4:
        count *= 2
        begin = clock()
        done = work(count)
        spent = clock() - begin
    return done / spent


def serve(settings: CpuStates) -> None:
    """Run cases that come as lines of input, and answer with a rate in a line."""
    threads = int(os.environ.get("STATE_THREADS", "1"))
    torch.set_num_threads(threads)
    warnings.simplefilter("ignore")
    clock = time.process_time if threads == 1 else time.perf_counter
    known = cases(settings)
    made: dict[str, Work] = {}
    for line in sys.stdin:
        name = line.rstrip("\n")
        if name not in made:
            made.clear()
            own, others = known[name.removeprefix("mcising ")]
            maker = own
            if name.startswith("mcising "):
                assert others is not None
                maker = others
            made[name] = maker()
            # What is compiled at the first call is no part of the time.
            made[name](1)
        print(json.dumps(rate(made[name], settings.seconds, clock)), flush=True)


def without_wide_vectors() -> str:
    """Return the features of this machine for numba, but for vectors wider than AVX2's."""
    import llvmlite.binding

    features = llvmlite.binding.get_host_cpu_features()
    kept = []
    for name, there in features.items():
        wide = name.startswith(("avx512", "avx10", "evex512"))
        kept.append(f"{'+' if there and not wide else '-'}{name}")
    return ",".join(kept)


def environments(settings: CpuStates) -> dict[str, dict[str, str]]:
    """Return the states: name → what is different in their environment."""
    found: dict[str, dict[str, str]] = {"twin": {"LEAPS_TRITON_CPU": "twin"}}
    if importlib.util.find_spec("numba") is not None:
        found["numba"] = {}
        # Small arrays on two threads take long, and tell nothing.
        if not settings.smoke:
            # Threads that wait by spinning take the cores of other programs.
            found["two threads"] = {"STATE_THREADS": "2", "OMP_WAIT_POLICY": "passive"}
        if torch.backends.cpu.get_cpu_capability() == "AVX512":
            found["AVX2"] = {"NUMBA_CPU_FEATURES": without_wide_vectors()}
    if settings.before is not None:
        found["before"] = {"PYTHONPATH": str(settings.before.resolve())}
    if importlib.util.find_spec("mcising") is not None:
        found["mcising"] = {"RAYON_NUM_THREADS": "1"}
    return found


def begun(changes: dict[str, str], settings: Any, script: str = __file__) -> subprocess.Popen[str]:
    """Start the process of a state, which a script serves with settings of its own."""
    words = [sys.executable, script, "--serve", json.dumps(asdict(settings), default=str)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **changes}
    return subprocess.Popen(
        words, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def asked(process: subprocess.Popen[str], name: str) -> float:
    """Return the rate of a case in one state."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(name + "\n")
    process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"a process ended at {name!r}; its message is above")
    return float(json.loads(line))


def compared(name: str, rates: dict[str, float]) -> dict[str, Any]:
    """Return a row: rates of all states, and those of the kernels in units of the others."""
    row: dict[str, Any] = {"case": name}
    row["rates"] = {state: float(f"{value:.4g}") for state, value in rates.items()}
    row["times"] = {}
    for state in SPEEDUPS:
        for base in ("twin", "before", "mcising"):
            if state in rates and base in rates:
                ratio = float(f"{rates[state] / rates[base]:.3g}")
                row["times"][f"{state} / {base}"] = ratio
    return row


def measured(settings: CpuStates) -> list[dict[str, Any]]:
    """Return a row for each case."""
    states = {name: begun(changes, settings) for name, changes in environments(settings).items()}
    rows = []
    try:
        for name, (_, theirs) in cases(settings).items():
            rates: dict[str, list[float]] = {}
            for _ in range(settings.repeats):
                for state, process in states.items():
                    if state != "mcising":
                        rates.setdefault(state, []).append(asked(process, name))
                    elif theirs is not None:
                        rates.setdefault(state, []).append(asked(process, f"mcising {name}"))
            medians = {state: statistics.median(each) for state, each in rates.items()}
            rows.append(compared(name, medians))
            print(json.dumps(rows[-1], ensure_ascii=False), flush=True)
    finally:
        for process in states.values():
            assert process.stdin is not None
            process.stdin.close()
            process.wait()
    return rows


def main(settings: CpuStates) -> None:
    """Measure, print, and save."""
    # Not at the top: an earlier checkout, which serves, need not have all of these.
    from leaps_triton.files import write_text
    from leaps_triton.provenance import device_name, provenance, vectors

    torch.set_num_threads(1)
    chosen = settings
    if settings.smoke:
        chosen = replace(settings, sites=2**11, repeats=2, seconds=0.01)
    begin = time.perf_counter()
    result = {
        "rows": measured(chosen),
        "seconds": round(time.perf_counter() - begin, 1),
        "device": f"{device_name(torch.device('cpu'))}, {vectors()}",
        "config": {**asdict(chosen), "json": settings.json.name, "before": None},
        "versions": provenance(),
    }
    settings.json.parent.mkdir(parents=True, exist_ok=True)
    write_text(settings.json, json.dumps(result, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        given = json.loads(sys.argv[2])
        serve(CpuStates(**{**given, "json": Path(given["json"]), "before": None}))
    else:
        main(tyro.cli(CpuStates, description=__doc__))
