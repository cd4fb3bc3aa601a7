"""Benchmark of HollowConv on its kernels and on its twin: evaluations, and their gradients.

Kernel and twin are compared before anything is timed. On a CPU there is the twin alone, in the
pieces that the network works in, and times are those of the processor; take one thread
(``OMP_NUM_THREADS=1``). The baseline is the twin on the same device.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

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
TOLERANCE = {"float32": 2e-5, "tf32x3": 1e-4, "tf32": 2e-2}
"""Largest difference in units of the largest value."""


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
    has_kernels = not kernels.backend(device).startswith("plain torch")
    precisions = kernels.PRECISIONS["hollow_values"] if has_kernels else ()
    for precision in precisions:
        network.precision = precision
        for found, value in zip(call(), expected, strict=True):
            distance = float((found - value).abs().max()) / (float(value.abs().max()) or 1.0)
            if not distance <= TOLERANCE[precision]:
                raise Disagreement(
                    f"{kernel} {name} {shape}: {precision} differs from the twin "
                    f"by {distance:.3g} of the largest number; no times are reported"
                )
    metric = "cpu_seconds" if device.type == "cpu" else "seconds"
    with on_twin():
        twin = timed(call, device, budget, clock=time.process_time).p50
    row("twin", metric, twin)
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
