"""Steps that look at our kernels through NVIDIA's tools: memcheck, racecheck, ncu."""

import argparse
import csv
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from gpu_run import clean

from .common import ROOT, Results
from .speed import sweep_names

SCRIPT = ROOT / "experiments" / "gpu" / "gpu_steps.py"
EVERY = 3
"""Of the calls on small inputs, one in so many is watched: a tool makes each many times slower."""
SECTIONS = ("SpeedOfLight", "WarpStateStats")
PROFILED = ("sweep", "packed", "hollow_values", "cluster", "runs_", "join_", "roots_")
"""Parts of the names of the kernels that ncu looks at."""
METRICS = {
    "Compute (SM) Throughput": "compute_percent",
    "Memory Throughput": "memory_percent",
    "DRAM Throughput": "dram_percent",
    "Duration": "duration_ns",
    "Warp Cycles Per Issued Instruction": "warp_cycles_per_instruction",
    "Avg. Active Threads Per Warp": "active_threads",
}
"""What is kept of ncu's table, by its own names; all of it is in the archive."""
NANOSECONDS = {"nsecond": 1.0, "ns": 1.0, "usecond": 1e3, "us": 1e3, "msecond": 1e6, "ms": 1e6}


def command(settings: argparse.Namespace, step: str, *options: str) -> list[str]:
    """Return the command of a step in a process of its own."""
    shared = ["--device", settings.device, "--output", str(settings.output)]
    if settings.smoke:
        shared.append("--smoke")
    return [sys.executable, str(SCRIPT), step, *shared, *options]


def followed(words: list[str], file: Path, **variables: str) -> int:
    """Run a command, write what it prints into a file line by line, and return its status.

    Folders of this machine are left out of it.
    """
    process = subprocess.Popen(
        words,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert process.stdout is not None
    with file.open("w", encoding="utf-8") as kept:
        for printed in process.stdout:
            line = clean(printed, file.parent)
            kept.write(line)
            kept.flush()
            if line.startswith(("=====", "==PROF==", "==ERROR==")) or "rror" in line:
                print(line, end="", flush=True)
    return process.wait()


def watched(settings: argparse.Namespace) -> None:
    """Run the ops on small inputs under a tool of compute-sanitizer, named as the step is."""
    from leaps_triton.bench.timing import Row

    tool = settings.step
    results = Results(settings, tool)
    found = shutil.which("compute-sanitizer")
    file = settings.output / f"{tool}.txt"
    touch = command(settings, "touch", "--every", str(EVERY))
    words = touch
    if not settings.smoke:
        if found is None:
            sys.exit("compute-sanitizer was not found")
        # Torch takes its time to start, and a tool that cannot attach in time may wait for ever.
        options = ["--launch-timeout", "0", "--error-exitcode", "9", "--print-limit", "20"]
        if tool == "memcheck":
            # Libraries ask a driver for what it may lack; addresses alone are asked for here.
            options += ["--report-api-errors", "no"]
        words = [found, "--tool", tool, *options, *touch]
    # One allocation per tensor: what is beyond the tensor is beyond an allocation too.
    status = followed(words, file, PYTORCH_NO_CUDA_MEMORY_CACHING="1")
    text = file.read_text(encoding="utf-8")
    summaries = re.findall(r"(?:ERROR|RACECHECK) SUMMARY: (\d+)", text)
    errors = sum(map(int, summaries))
    calls = re.search(r"\d+ calls of \d+ ops", text)
    results.detail(status=status, calls=calls[0] if calls else "none")
    if summaries or settings.smoke:
        results.add(Row(tool, "kernel", "", "", 0, "errors", errors))
    if status or errors:
        last = text.strip().rpartition("\n")[2]
        results.fail(f"{errors} errors, exit status {status}: {last}"[:300])
    if not summaries and not settings.smoke:
        results.fail(f"{tool} printed no summary")
    results.end(f"{errors} errors in {calls[0] if calls else 'no calls'}")


def _profiled_calls(device: Any, smoke: bool) -> Iterable[tuple[str, Any]]:
    """Yield calls that launch the kernels of interest at the sizes of the targets."""
    import torch

    import leaps_triton as lt
    from leaps_triton import kernels
    from leaps_triton.bench.cases import make_case

    small = ((8, 8), 32)
    for op in sweep_names():
        size = small if smoke else ((64, 64), 4096)
        yield op, partial(make_case(op, "ising", *size, 0, device).run, getattr(kernels, op))
    size = small if smoke else ((256, 256), 64)
    case = make_case("cluster_labels", "ising", *size, 0, device)
    yield "cluster_labels", partial(case.run, kernels.cluster_labels)
    (length, _), walkers = small if smoke else ((16, 16), 4096)
    model = lt.Ising((length, length), beta=0.4407)
    path = lt.AnnealingPath(model)
    x = path.start.sample(torch.arange(walkers, device=device), 0)
    conditions = path.conditions(torch.full((walkers,), 0.5, device=device))
    for precision in ("float32", "tf32x3"):
        network = lt.HollowConv(model, precision=precision).to(device)
        yield f"hollow_values {precision}", partial(network, x, conditions)


def profiled(settings: argparse.Namespace) -> None:
    """Call the kernels that ncu looks at, between marks that it waits for."""
    import torch

    device = torch.device(settings.device)
    cuda = device.type == "cuda"
    with torch.no_grad():
        for name, call in _profiled_calls(device, settings.smoke):
            # The first call compiles, and is no part of the profile.
            call()
            if cuda:
                torch.cuda.synchronize(device)
                torch.cuda.cudart().cudaProfilerStart()
            call()
            if cuda:
                torch.cuda.synchronize(device)
                torch.cuda.cudart().cudaProfilerStop()
            print(f"profiled {name}", flush=True)


def read_table(text: str) -> list[tuple[str, str, float]]:
    """Return kernel, metric and value of every number of ncu's table that is kept."""
    lines = text.splitlines()
    first = next((i for i, line in enumerate(lines) if line.startswith('"ID"')), None)
    if first is None:
        return []
    found = []
    for row in csv.DictReader(line for line in lines[first:] if line.startswith('"')):
        metric = METRICS.get(row.get("Metric Name") or "")
        if metric is None:
            continue
        try:
            value = float((row.get("Metric Value") or "").replace(",", ""))
        except ValueError:
            continue
        if metric == "duration_ns":
            value *= NANOSECONDS.get(row.get("Metric Unit") or "", 1.0)
        found.append((row["Kernel Name"].partition("(")[0], metric, value))
    return found


def ncu(settings: argparse.Namespace) -> None:
    """Read with ncu what bounds the kernels of sweeps, network and clusters."""
    from leaps_triton.bench.timing import Row

    results = Results(settings, settings.step)
    file = settings.output / "ncu.txt"
    words = command(settings, "profiled")
    if not settings.smoke:
        found = shutil.which("ncu")
        if found is None:
            sys.exit("ncu was not found")
        sections = [word for section in SECTIONS for word in ("--section", section)]
        names = "regex:" + "|".join(PROFILED)
        # Clocks stay as they are: the device may be shared.
        options = ["--clock-control", "none", "--profile-from-start", "off", "--csv"]
        words = [found, *options, "--page", "details", "--kernel-name", names, *sections, *words]
    status = followed(words, file)
    text = file.read_text(encoding="utf-8")
    seen: dict[tuple[str, str], int] = {}
    for kernel, metric, value in read_table(text):
        # A kernel is launched in several variants, numbered as they come.
        number = seen[kernel, metric] = seen.get((kernel, metric), 0) + 1
        results.add(Row(kernel, f"ncu {number}", "", "", 0, metric, value))
    if status:
        last = text.strip().rpartition("\n")[2]
        results.fail(f"exit status {status}: {last}"[:300])
    if not seen and not settings.smoke:
        results.fail("ncu printed no numbers")
    shown = [
        f"{row.kernel} {row.value:.0f} %" for row in results.rows if row.metric == "compute_percent"
    ]
    results.end("of peak: " + ", ".join(shown[:6]) if shown else "no numbers")
