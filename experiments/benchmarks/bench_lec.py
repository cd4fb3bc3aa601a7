"""Benchmark of one layer of LEC at the published size: fused against the eager unfold.

Forward, and forward with the gradients of all parameters; the eager form holds every weight of
every site at once, as the networks of the paper do. On a CUDA device the peak of memory is measured
too, beyond the inputs. Some walkers are compared before anything is timed.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from leaps_triton import kernels
from leaps_triton.bench.agreement import Disagreement
from leaps_triton.bench.cases import make_case
from leaps_triton.bench.run import main_of
from leaps_triton.bench.timing import Row, timed
from leaps_triton.kernels import reference
from leaps_triton.kernels.inputs.case import Case

COMPARED = 8
"""Walkers of both forms that are compared."""
TOLERANCE = {"lec_layer": 1e-4, "lec_layer_gradient": 1e-3}
"""Largest difference in units of the largest number; a gradient is a sum over all walkers and
sites."""


def measured(device: torch.device, smoke: bool, seed: int) -> Iterator[tuple[list[Row], list[str]]]:
    """Rows of each size."""
    if smoke:
        sizes = [(5, 4)]
    elif device.type == "cuda":
        sizes = [(15, 400), (64, 256)]
    else:
        sizes = [(15, 16), (64, 1)]
    for length, walkers in sizes:
        case = make_case("hollow_conv", "", (length, length), walkers, seed, device)
        for name, run in (("lec_layer", forward), ("lec_layer_gradient", backward)):
            yield rows_of(name, case, run, device, 0.05 if smoke else 1.0)


def forward(layer: Callable[..., Tensor], arguments: dict[str, Any]) -> tuple[Tensor, ...]:
    with torch.no_grad():
        return (layer(**arguments),)


def backward(layer: Callable[..., Tensor], arguments: dict[str, Any]) -> tuple[Tensor, ...]:
    leaves = {
        name: value.detach().requires_grad_()
        for name, value in arguments.items()
        if isinstance(value, Tensor) and name != "source"
    }
    output = layer(**arguments | leaves)
    return torch.autograd.grad(output, list(leaves.values()), torch.ones_like(output))


def rows_of(
    name: str,
    case: Case,
    run: Callable[..., tuple[Tensor, ...]],
    device: torch.device,
    budget: float,
) -> tuple[list[Row], list[str]]:
    """Seconds, and the peak of memory, of both forms."""
    some = case.of(slice(0, COMPARED))
    for one, value in zip(
        run(kernels.hollow_conv, some), run(reference.hollow_conv, some), strict=True
    ):
        distance = float((one - value).abs().max() / value.abs().max())
        if not distance <= TOLERANCE[name]:
            raise Disagreement(
                f"{name} {case.label}: the forms differ by {distance:.3g} of the largest number"
            )
    cuda = device.type == "cuda"
    fused = "kernel" if cuda and kernels.backend(device).startswith("Triton") else "blocked"
    found: dict[str, dict[str, float]] = {}
    notes = []
    for variant, layer in (("eager", reference.hollow_conv), (fused, kernels.hollow_conv)):
        try:
            call = lambda layer=layer: run(layer, case.arguments)  # noqa: E731
            if cuda:
                torch.cuda.reset_peak_memory_stats(device)
                before = torch.cuda.memory_allocated(device)
                call()
                peak = torch.cuda.max_memory_allocated(device) - before
                found[variant] = {
                    "peak_GB": peak * 1e-9,
                    "seconds": timed(call, device, budget).p50,
                }
            else:
                found[variant] = {
                    "cpu_seconds": timed(call, device, budget, clock=time.process_time).p50
                }
        except torch.OutOfMemoryError:
            notes.append(f"{name} {case.label}: not enough memory for the {variant} form")
            torch.cuda.empty_cache()
    eager, shape = found.get("eager", {}), "x".join(map(str, case.shape))
    rows = []
    for variant, numbers in found.items():
        for metric, number in numbers.items():
            compared = (
                ("eager", eager[metric] / number) if variant != "eager" and metric in eager else ()
            )
            rows.append(Row(name, variant, "", shape, case.walkers, metric, number, *compared))
    return rows, notes


if __name__ == "__main__":
    main_of("Measures one layer of LEC: fused, and eager.", measured)
