"""Inputs of the ops, and how near a kernel must come to its twin. The twins run on the CPU, as
definition and oracle.

Nothing here asks a CUDA device for what deterministic torch refuses there, such as the cumulative
sums of the twins.
"""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

from leaps_triton.lattices.hypercubic import Lattice
from leaps_triton.networks.local_rates import Shells

DEVICE = "cpu" if os.environ.get("TRITON_INTERPRET") == "1" else "cuda"

silent = pytest.mark.filterwarnings("ignore::RuntimeWarning:triton.runtime.interpreter")
"""Devices overflow and divide by zero in silence; NumPy, which interprets, tells."""


def require_kernels() -> None:
    """Skip the module that is being imported where Triton kernels cannot run."""
    pytest.importorskip("triton")
    if DEVICE == "cuda" and not torch.cuda.is_available():
        reason = "kernels need a CUDA device, or TRITON_INTERPRET=1; `make test` runs them in a second process"
        pytest.skip(reason, allow_module_level=True)


SHAPES: dict[int, tuple[tuple[int, ...], tuple[bool, ...]]] = {
    1: ((15,), (True,)),
    2: ((5, 3), (False, True)),
    3: ((3, 2, 5), (True, True, False)),
    4: ((2, 3, 1, 3), (True, False, False, True)),
}
"""By number of directions: odd and even lengths, a length of 1, both boundaries."""


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def model(
    shape: tuple[int, ...],
    periodic: tuple[bool, ...],
    q: int,
    walkers: int,
    tables: str = "own",
    seed: int = 0,
) -> dict[str, Any]:
    """Random arguments of local_energy.

    ``tables``: "own" (a full table a walker), "shared" (one for all walkers), "uniform" (one value
    for all sites), "partial" (the same along the first direction).
    """
    leading = walkers if tables == "own" else 1
    axes = 1 if tables == "uniform" else len(shape)
    lengths = {"uniform": (1,) * len(shape), "partial": (1, *shape[1:])}.get(tables, shape)
    generator = torch.Generator().manual_seed(seed)
    return {
        "configurations": torch.randint(
            q, (walkers, *shape), generator=generator, dtype=torch.int8
        ),
        "coupling": normal(leading, axes, *lengths, seed=seed + 1),
        "bond_table": normal(q, q, seed=seed + 2),
        "site_table": normal(leading, q, *lengths, seed=seed + 3),
        "beta": normal(leading, seed=seed + 4),
        "periodic": periodic,
    }


def sweep(given: dict[str, Any], sweeps: int, seed: int = 2**32 - 9) -> dict[str, Any]:
    """Arguments of heat_bath_sweeps that go with those of local_energy."""
    count, *shape = given["configurations"].shape
    lattice = Lattice(tuple(shape), given["periodic"])
    return given | {
        "colours": lattice.colours(),
        "num_colours": lattice.num_colours,
        "walkers": torch.arange(count) * 7 + 2**31 - 8,
        "first_sweep": 2**31 - 2,
        "sweeps": sweeps,
        "seed": seed,
    }


def classes(
    shape: tuple[int, ...], walkers: int, steps: int = 5, length: float = 1.0
) -> dict[str, Any]:
    """Arguments of local_jump_steps on a torus: random tables, about 5 events a unit of time, no
    rate for many classes.

    Shells of 3, 3, 2, 1 in one to four dimensions, and the first row that of no site in state 1.
    """
    sites, shells = math.prod(shape), Shells.nearest(len(shape), min(3, 5 - len(shape)))
    generator = torch.Generator().manual_seed(sites)
    strides = [shells.surroundings]
    for size, stride in zip(shells.sizes, shells.strides(), strict=True):
        strides += [stride] * size
    table = (sites + 1, 2 * shells.surroundings)
    rates = torch.relu(normal(*table, seed=1)) * (10.0 / sites)
    return {
        "configurations": torch.randint(
            2, (walkers, *shape), generator=generator, dtype=torch.int8
        ),
        "log_weights": normal(walkers, seed=2),
        "remaining": length * (0.5 + torch.rand(walkers, generator=generator, dtype=torch.float64)),
        "walkers": torch.arange(walkers) * 7 + 2**31 - 8,
        "events": torch.randint(2**31, (walkers,), generator=generator),
        "rates": rates,
        "corrector": normal(*table, seed=3) * (5.0 / sites),
        "neighbours": shells.neighbours(shape),
        "strides": torch.tensor(strides),
        "first_row": 0,
        "seed": 2**32 - 5,
        "steps": steps,
    }


def convolution(
    shape: tuple[int, ...],
    kernel_size: int,
    walkers: int = 3,
    channels: int = 4,
    inputs: int = 3,
    broadcast: bool = True,
    one_time: bool = False,
    seed: int = 0,
) -> dict[str, Any]:
    """Random arguments of hollow_conv, periodic where the kernel fits and open elsewhere."""
    taps = kernel_size ** len(shape)
    return {
        "activations": normal(walkers, inputs, *shape, seed=seed),
        "weight": normal(channels, taps, inputs, seed=seed + 1) / inputs**0.5,
        "bias": normal(channels, taps, seed=seed + 2),
        "offset": normal(channels, taps, seed=seed + 3),
        "time_offset": normal(1 if one_time else walkers, taps, seed=seed + 4),
        "source": normal(walkers, 1 if broadcast else channels, *shape, seed=seed + 5),
        "kernel_size": kernel_size,
        "periodic": tuple(length > kernel_size // 2 for length in shape),
    }


def on_device(given: dict[str, Any]) -> dict[str, Any]:
    return {name: v.to(DEVICE) if isinstance(v, Tensor) else v for name, v in given.items()}


def assert_as_near(kernel: Tensor, same: Tensor, oracle: Tensor) -> None:
    """The kernel is at most twice as far from the float64 oracle as torch in the same precision, or
    one rounding.
    """
    assert kernel.shape == same.shape and kernel.dtype == same.dtype
    kernel = kernel.cpu()
    assert kernel.isfinite().all()
    scale = max(1.0, float(oracle.abs().max())) * torch.finfo(kernel.dtype).eps
    allowed = 2.0 * max(
        float((same - oracle).abs().max()), 4.0 * scale if kernel.dtype == torch.float64 else scale
    )
    assert float((kernel - oracle).abs().max()) <= allowed


@contextmanager
def recorded(module: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The variants that launchers of a module run."""
    run: list[Any] = []
    launch = module.launch

    def note(variant: Any, *arguments: Any) -> None:
        run.append(variant)
        launch(variant, *arguments)

    monkeypatch.setattr(module, "launch", note)
    yield run
