"""Where kernels run in tests, and how near one must come to its twin, the definition and oracle.

The twins run on the CPU: nothing here asks a CUDA device for what deterministic torch refuses
there, such as the cumulative sums of the twins.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

DEVICE = "cpu" if os.environ.get("TRITON_INTERPRET") == "1" else "cuda"

silent = pytest.mark.filterwarnings("ignore::RuntimeWarning:triton.runtime.interpreter")
"""Devices overflow and divide by zero in silence; NumPy, which interprets, tells."""


def require_kernels() -> None:
    """Skip the module that is being imported where Triton kernels cannot run."""
    pytest.importorskip("triton")
    if DEVICE == "cuda" and not torch.cuda.is_available():
        reason = (
            "kernels need a CUDA device, or TRITON_INTERPRET=1; "
            "`make test` runs them in a second process"
        )
        pytest.skip(reason, allow_module_level=True)


SHAPES: dict[int, tuple[tuple[int, ...], tuple[bool, ...]]] = {
    1: ((15,), (True,)),
    2: ((5, 3), (False, True)),
    3: ((3, 2, 5), (True, True, False)),
    4: ((2, 3, 1, 3), (True, False, False, True)),
}
"""By number of directions: odd and even lengths, a length of 1, both boundaries."""


def on_device(given: dict[str, Any]) -> dict[str, Any]:
    return {name: v.to(DEVICE) if isinstance(v, Tensor) else v for name, v in given.items()}


def restrided(given: dict[str, Any]) -> dict[str, Any]:
    """The same arguments, no tensor of which is contiguous."""
    found = dict(given)
    for name, value in given.items():
        if isinstance(value, Tensor) and value.numel() > 1:
            found[name] = torch.stack([value, value], dim=value.ndim)[..., 0]
            assert not found[name].is_contiguous()
    return found


def assert_as_near(kernel: Tensor, same: Tensor, oracle: Tensor) -> None:
    """Check that the kernel is at most twice as far from the float64 oracle as torch.

    Torch works in the same precision; one rounding is allowed too.
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
