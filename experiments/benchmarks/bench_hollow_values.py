"""Benchmark of HollowConv on its kernels and on its twin: evaluations, gradients, whole runs.

Kernel and twin are compared before anything is timed. On a CPU the kernel evaluates, in float32 and
in bfloat16, gradients are those of the twin, and ``sampling`` is a whole run of the jump process:
seconds of each of its evaluations. Times on a CPU are those of the processor, variants take turns,
and the median counts; take one thread (``OMP_NUM_THREADS=1``). The baseline is the twin on the same
device.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

import leaps_triton as lt
from leaps_triton import kernels
from leaps_triton.bench.agreement import Disagreement
from leaps_triton.bench.cases import MODELS
from leaps_triton.bench.run import main_of
from leaps_triton.bench.timing import Row, replayed, timed
from leaps_triton.kernels import reference

KERNELS = ("hollow_values", "hollow_values_gradient")
"""Evaluation; evaluation and gradients of all parameters."""
TOLERANCE = {"float32": 2e-5, "tf32x3": 1e-4, "tf32": 2e-2, "bfloat16": 2e-2}
"""Largest difference in units of the largest value."""
OF_A_CPU = ("float32", "bfloat16")
"""Precisions that a CPU has kernels for."""


@contextmanager
def on_twin() -> Iterator[None]:
    """HollowConv in torch alone, on every device."""
    public = kernels.hollow_values
    kernels.hollow_values = reference.hollow_values
    try:
        yield
    finally:
        kernels.hollow_values = public


def operations(network: lt.HollowConv, sites: int) -> int:
    """Return multiplications and additions of one evaluation.

    The convolution and the layer after it count as one.
    """
    width, inputs = network.first.weight.shape
    taps = network.conv[0].numel() - network.embedded
    return 2 * sites * width * (inputs - len(network.conv) + taps + width + network.q)


def measured(device: torch.device, smoke: bool, seed: int) -> Iterator[tuple[list[Row], list[str]]]:
    """Rows of each model, lattice and number of walkers."""
    if smoke:
        sizes = [(8, 32)]
    elif device.type == "cuda":
        sizes = [(8, 1024), (16, 1024), (16, 4096), (64, 256)]
    else:
        sizes = [(8, 512), (16, 256), (64, 16)]
    budget = 0.05 if smoke else 1.0
    for kernel in KERNELS:
        for length, walkers in sizes:
            for name, make in MODELS.items():
                yield case(kernel, name, make((length, length)), walkers, device, budget, seed)
    if device.type == "cpu":
        for length, walkers in [(8, 32)] if smoke else [(8, 256), (16, 32), (16, 128)]:
            for size in NETWORKS:
                yield sampling(size, length, walkers, 1 if smoke else 3, seed), []


def precisions_of(kernel: str, device: torch.device) -> tuple[str, ...]:
    """Return the precisions of the kernels that a device has."""
    if kernels.backend(device).startswith("plain torch"):
        return ()
    if device.type == "cuda":
        return tuple(p for p in kernels.PRECISIONS["hollow_values"] if p != "bfloat16")
    # Gradients on a CPU are those of the twin.
    return OF_A_CPU if kernel == "hollow_values" else ()


def taking_turns(calls: Sequence[Callable[[], object]], rounds: int) -> list[float]:
    """Return the median seconds of the processor of each call."""
    seconds: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, own in zip(calls, seconds, strict=True):
            begin = time.process_time()
            call()
            own.append(time.process_time() - begin)
    return [statistics.median(own) for own in seconds]


NETWORKS: dict[str, dict[str, Any]] = {
    "ising": {},
    "ising-small": {"kernel_size": 5, "channels": 8, "width": 16, "modes": 2},
}
"""The default network, and a small one, that of ``experiments/physics/honest_comparison.py``."""
RATES = {"ising": 40.0, "ising-small": 20.0}
"""Readout weights times this give about half as many events as sites, as a trained network does."""


def sampling(name: str, length: int, walkers: int, rounds: int, seed: int) -> list[Row]:
    """Return seconds of an evaluation in a whole run, all that happens around it included."""
    model = lt.Ising((length, length), beta=0.4407)
    path = lt.AnnealingPath(model)
    calls: list[Callable[[], float]] = []
    for precision in ("twin", *precisions_of("hollow_values", torch.device("cpu"))):
        own = "float32" if precision == "twin" else precision
        network = lt.HollowConv(model, **NETWORKS[name], precision=own)
        with torch.no_grad():
            network.readout.weight.mul_(RATES[name])
        sampler = lt.Sampler(path, network, lt.Jump(25), block=walkers, device="cpu")
        calls.append(_run_of(sampler, precision == "twin", seed))
    # In the first run kernels are compiled; all runs of a variant have as many evaluations.
    evaluations = [walkers * call() for call in calls]
    seconds = taking_turns(calls, rounds)
    each = [total / count for total, count in zip(seconds, evaluations, strict=True)]
    shape = f"{length}x{length}"
    metric = "cpu_seconds"
    rows = [Row("sampling", "twin", name, shape, walkers, metric, each[0])]
    for variant, value in zip(("kernel", "bfloat16"), each[1:], strict=False):
        speedup = each[0] / value
        rows.append(Row("sampling", variant, name, shape, walkers, metric, value, "twin", speedup))
    return rows


def _on_twin(call: Callable[[], object]) -> Callable[[], object]:
    """Return the same call on the twin."""

    def run() -> object:
        with on_twin():
            return call()

    return run


def _in_precision(
    call: Callable[[], object], network: lt.HollowConv, precision: str
) -> Callable[[], object]:
    """Return the same call in another precision."""

    def run() -> object:
        network.precision = precision
        return call()

    return run


def _run_of(sampler: lt.Sampler, twin: bool, seed: int) -> Callable[[], float]:
    """Return a run of one block, which tells its evaluations per walker."""

    def run() -> float:
        if not twin:
            return sampler.sample(sampler.block, seed=seed).evaluations
        with on_twin():
            return sampler.sample(sampler.block, seed=seed).evaluations

    return run


def case(
    kernel: str,
    name: str,
    model: lt.PairModel,
    walkers: int,
    device: torch.device,
    budget: float,
    seed: int,
) -> tuple[list[Row], list[str]]:
    """Rows of one case."""
    path = lt.AnnealingPath(model)
    network = lt.HollowConv(model).to(device)
    x = path.start.sample(torch.arange(walkers, device=device), seed)
    conditions = path.conditions(torch.full((walkers,), 0.5, device=device))
    shape = "x".join(map(str, model.lattice.shape))
    work = operations(network, x.numel())
    rows: list[Row] = []
    notes: list[str] = []

    def evaluate() -> list[Tensor]:
        with torch.no_grad():
            return [network(x, conditions)]

    def train() -> list[Tensor]:
        with lt.networks.exact_convolutions():
            loss = network(x, conditions).square().mean()
            return list(torch.autograd.grad(loss, list(network.parameters())))

    def row(variant: str, metric: str, value: float, baseline: float | None = None) -> None:
        compared = ("twin", baseline / value) if baseline else ()
        rows.append(Row(kernel, variant, name, shape, walkers, metric, value, *compared))

    call, passes = (evaluate, 1) if kernel == "hollow_values" else (train, 3)
    with on_twin():
        expected = call()
    precisions = precisions_of(kernel, device)
    for precision in precisions:
        network.precision = precision
        for found, value in zip(call(), expected, strict=True):
            distance = float((found - value).abs().max()) / (float(value.abs().max()) or 1.0)
            if not distance <= TOLERANCE[precision]:
                raise Disagreement(
                    f"{kernel} {name} {shape}: {precision} differs from the twin "
                    f"by {distance:.3g} of the largest number; no times are reported"
                )
    if device.type == "cpu":
        rounds = 7 if precisions and budget >= 1.0 else 3
        calls = [_on_twin(call), *[_in_precision(call, network, p) for p in precisions]]
        medians = taking_turns(calls, rounds)
        row("twin", "cpu_seconds", medians[0])
        for variant, median in zip(("kernel", "bfloat16"), medians[1:], strict=False):
            row(variant, "cpu_seconds", median, medians[0])
        return rows, notes
    with on_twin():
        twin = timed(call, device, budget).p50
    row("twin", "seconds", twin)
    row("twin", "Gop_per_s", passes * work / twin * 1e-9)
    for precision in precisions:
        network.precision = precision
        variant = "kernel" if precision == "float32" else precision
        seconds = timed(call, device, budget).p50
        row(variant, "seconds", seconds, twin)
        row(variant, "Gop_per_s", passes * work / seconds * 1e-9)
        if call is evaluate:
            try:
                # Without launches, which the jump process would pay once an event.
                row(variant, "seconds_replayed", replayed(call, device, budget).p50)
            except RuntimeError as error:
                notes.append(
                    f"{kernel} {name} {shape}: no CUDA graph: {str(error).splitlines()[0]}"
                )
    return rows, notes


if __name__ == "__main__":
    main_of("Measures HollowConv: kernels in each precision, and twin.", measured)
