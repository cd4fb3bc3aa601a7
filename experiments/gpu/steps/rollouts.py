"""The step that times rollouts of the jump process with a network: events per second."""

import argparse
import os
import time
from typing import Any, NamedTuple

from .common import CRITICAL, Results

LENGTH = 16
WALKERS = 4096
BLOCKS = (1024, 4096)
INTERVALS = 25
GRAPHS = "LEAPS_TRITON_GRAPHS"
"""Environment variable that says whether CUDA graphs are used."""
READOUT = 40.0
"""Readout weights times this give about half as many events as sites, as a trained network does."""
PROFILED = 2
"""Intervals of the rollout whose trace is kept."""
LONGEST_TRACE = 6_000_000
"""Bytes of a compressed trace that is kept; its table is kept in any case."""


def sampler_of(settings: argparse.Namespace, block: int, intervals: int) -> Any:
    """Return a sampler whose network makes as many events as a trained one."""
    import torch

    import leaps_triton as lt

    length = 4 if settings.smoke else LENGTH
    model = lt.Ising((length, length), beta=CRITICAL)
    torch.manual_seed(0)
    network = lt.HollowConv(model, kernel_size=3) if settings.smoke else lt.HollowConv(model)
    with torch.no_grad():
        network.readout.weight.mul_(READOUT)
    path = lt.AnnealingPath(model)
    return lt.Sampler(path, network, lt.Jump(intervals), block=block, device=settings.device)


def run(sampler: Any, walkers: int, device: Any) -> tuple[float, float]:
    """Return the events of all walkers in a run, and its seconds."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)
    begin = time.perf_counter()
    ensemble = sampler.sample(walkers, seed=0)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return walkers * ensemble.evaluations, time.perf_counter() - begin


def traced(settings: argparse.Namespace, results: Results, block: int) -> None:
    """Keep a trace of a short rollout, and the table of what took its time."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    device = torch.device(settings.device)
    walkers = block
    sampler = sampler_of(settings, block, PROFILED)
    run(sampler, walkers, device)
    activities = [ProfilerActivity.CPU]
    order = "self_cpu_time_total"
    if device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
        order = "self_device_time_total"
    # A profiler that lets go of the device between two uses loses, or breaks, CUDA graphs.
    os.environ["DISABLE_CUPTI_LAZY_REINIT"] = "1"
    os.environ["TEARDOWN_CUPTI"] = "0"
    with profile(activities=activities) as found:
        run(sampler, walkers, device)
    averages = found.key_averages()
    table = averages.table(sort_by=order, row_limit=30, max_name_column_width=60)
    (results.folder / "rollouts-trace.txt").write_text(table + "\n", encoding="utf-8")
    file = results.folder / "rollouts-trace.json.gz"
    found.export_chrome_trace(str(file))
    if file.stat().st_size > LONGEST_TRACE:
        file.unlink()
    # Copies from the host wait for the device: there should be none in the loop.
    copies = {
        item.key: item.count
        for item in averages
        if item.key.startswith("Memcpy HtoD") or item.key in ("aten::_to_copy", "aten::item")
    }
    results.detail(calls_that_copy_or_wait=copies)


class Case(NamedTuple):
    """One way to run the same walkers."""

    name: str
    block: int
    graphs: str = "1"
    """Whether events are recorded in CUDA graphs, as the environment variable has it"""
    riding: int | None = None
    """Blocks of one launch; None for what suits the device"""
    precision: str = "float32"


def cases(blocks: tuple[int, int]) -> list[Case]:
    """Return the ways that are timed, most valuable first."""
    small, large = blocks
    return [
        Case(f"block {large}", large),
        Case(f"block {small}", small),
        Case(f"block {large} without graphs", large, graphs="0"),
        Case(f"block {small} one by one", small, riding=1),
        Case(f"block {large} in tf32x3", large, precision="tf32x3"),
    ]


def rollouts(settings: argparse.Namespace) -> None:
    """Time `Jump` with HollowConv on 16 x 16 sites, 4096 walkers, in blocks of 1024 and 4096."""
    results = Results(settings, settings.step)
    blocks = (8, 16) if settings.smoke else BLOCKS
    todo = cases(blocks)
    if settings.smoke:
        # The others differ on a device alone.
        todo = todo[:2]
    told = []
    for case in todo:
        with results.case(f"rollouts, {case.name}"):
            best = _timed(settings, results, case)
            told.append(f"{best * 1e-6:.3g} M events/s, {case.name}")
            print(told[-1], flush=True)
    os.environ[GRAPHS] = "1"
    with results.case("trace"):
        traced(settings, results, blocks[-1])
    results.end("; ".join(told))


def _timed(settings: argparse.Namespace, results: Results, case: Case) -> float:
    """Time one way, add its rows, and return its events per second."""
    import torch

    from leaps_triton.bench.timing import Row
    from leaps_triton.integrators.rollouts.rollout import kept_rollouts

    device = torch.device(settings.device)
    walkers = 16 if settings.smoke else WALKERS
    os.environ[GRAPHS] = case.graphs
    sampler = sampler_of(settings, case.block, 3 if settings.smoke else INTERVALS)
    sampler.riding = case.riding
    sampler.transport.precision = case.precision
    rates = []
    # Graphs of one run serve the next, as those of one block serve the others of a long run.
    with kept_rollouts():
        # The first run compiles, and makes graphs.
        run(sampler, walkers, device)
        for _ in range(1 if settings.smoke else 3):
            events, seconds = run(sampler, walkers, device)
            rates.append(events / seconds)
    lattice = "x".join(map(str, sampler.path.model.lattice.shape))
    about = ("rollout", case.name, "ising", lattice, walkers)
    results.add(Row(*about, "events_per_s", max(rates)), Row(*about, "events", events))
    return max(rates)
