"""The kernels of hollow_conv and of its gradient against the twin."""

import importlib
from typing import Any

import pytest
import torch
from torch import Tensor

from kernel_tools import DEVICE, on_device, recorded, require_kernels, silent
from leaps_triton.kernels import reference
from leaps_triton.kernels.convolutions.cases import convolution
from leaps_triton.kernels.convolutions.reference import Convolution, gradient_of
from leaps_triton.kernels.inputs.random import normal

require_kernels()
kernel = importlib.import_module("leaps_triton.kernels.convolutions.triton")
backward = importlib.import_module("leaps_triton.kernels.convolutions.triton_gradient")

pytestmark = silent


def hollow_conv(**given: Any) -> Tensor:
    made: Tensor = kernel.hollow_conv(Convolution(**given))
    return made


def hollow_conv_gradient(*arguments: Any, **given: Any) -> Any:
    return backward.hollow_conv_gradient(*gradient_of(*arguments, **given))


CASES: dict[str, dict[str, Any]] = {
    "odd": convolution((5, 3), 3),
    "open": convolution((5, 2), 5, broadcast=False, one_time=True),
    "several blocks": convolution((9, 9), 3, walkers=2, channels=5, inputs=40),
    "more channels than a block": convolution((3, 3), 3, walkers=1, channels=33, inputs=2),
    "three directions": convolution((3, 2, 4), 3, broadcast=False),
    "line": convolution((7,), 5, walkers=1, channels=1, inputs=1),
    "one tap": convolution((3, 2), 1),
    "long kernel": convolution((8, 3), 15, walkers=1, channels=1, inputs=20),
    "longer": convolution((20,), 37, walkers=2, channels=2, inputs=2),
}
# The interpreter cuts bfloat16 off where torch rounds: at most twice the error, of factors and
# of what they give.
ROUNDING = {"float32": 2.0, "tf32": 2.0 if DEVICE == "cpu" else 2.0**14, "bfloat16": 6.0}


def single(given: dict[str, Any]) -> dict[str, Any]:
    return {name: v.float() if isinstance(v, Tensor) else v for name, v in given.items()}


def near(found: Tensor, same: Tensor, oracle: Tensor, precision: str) -> None:
    """Within a multiple of the error of torch in the same precision, at least some roundings."""
    assert found.shape == same.shape and found.dtype == torch.float32
    found = found.cpu()
    assert found.isfinite().all()
    if not found.numel():
        return
    scale = 8.0 * torch.finfo(torch.float32).eps * max(1.0, float(oracle.abs().max()))
    allowed = ROUNDING[precision] * max(float((same - oracle).abs().max()), scale)
    assert float((found - oracle).abs().max()) <= allowed


@pytest.mark.parametrize("precision", list(kernel.PRECISIONS))
@pytest.mark.parametrize("name", list(CASES))
def test_every_variant(name: str, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = single(CASES[name])
    with recorded(kernel, monkeypatch) as run:
        found = hollow_conv(**on_device(given), precision=precision)
    same = reference.hollow_conv(**given, precision=precision)
    near(found, same, reference.hollow_conv(**CASES[name]), precision)
    assert run == [kernel.VARIANTS["forward", precision]]


@pytest.mark.parametrize("precision", list(kernel.PRECISIONS))
@pytest.mark.parametrize("name", list(CASES))
def test_every_gradient(name: str, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = single(CASES[name])
    upstream = normal(
        len(given["source"]), len(given["weight"]), *given["source"].shape[2:], seed=7
    )
    with recorded(backward, monkeypatch) as run:
        found = hollow_conv_gradient(
            upstream.float().to(DEVICE), **on_device(given), to_source=True, precision=precision
        )
    same = reference.hollow_conv_gradient(
        upstream.float(), **given, to_source=True, precision=precision
    )
    oracle = reference.hollow_conv_gradient(upstream, **CASES[name], to_source=True)
    for one, other, exact in zip(found, same, oracle, strict=True):
        near(one, other, exact, precision)
    source = "each"
    if given["source"].shape[1] == 1:
        source = "one"
    keys = (("activations", precision), ("parameters", precision), ("source", source, precision))
    assert run == [backward.VARIANTS[key] for key in keys]


def test_a_gradient_of_the_source_that_nobody_wants_is_not_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = single(CASES["odd"])
    with recorded(backward, monkeypatch) as run:
        found = hollow_conv_gradient(
            torch.ones(3, 4, 5, 3, device=DEVICE),
            **on_device(given),
            to_source=False,
            precision="float32",
        )
    assert found[5].shape == (0, 1, 5, 3) and len(run) == 2


def test_walkers_in_chunks_and_gradients_that_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of unequal size, and the same bits at every call."""
    monkeypatch.setattr(backward, "CHUNKS", 3)
    exact = convolution((3, 2), 3, walkers=7)
    given = single(exact)
    upstream = normal(7, 4, 3, 2, seed=7)
    runs = [
        hollow_conv_gradient(
            upstream.float().to(DEVICE), **on_device(given), to_source=True, precision="float32"
        )
        for _ in range(2)
    ]
    assert all(torch.equal(one, other) for one, other in zip(*runs, strict=True))
    same = reference.hollow_conv_gradient(upstream.float(), **given, to_source=True)
    for one, other, oracle in zip(
        runs[0],
        same,
        reference.hollow_conv_gradient(upstream, **exact, to_source=True),
        strict=True,
    ):
        near(one, other, oracle, "float32")


def test_the_source_at_a_site_does_not_reach_it() -> None:
    given = single(CASES["open"])
    before = hollow_conv(**on_device(given), precision="float32").flatten(2)
    source = given["source"].clone()
    source[:, :, 3, 1] += 1.0
    after = hollow_conv(**on_device(given | {"source": source}), precision="float32").flatten(2)
    assert torch.equal(after[:, :, 7], before[:, :, 7])
    assert not torch.equal(after, before)


def test_double_precision_goes_by_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    given = CASES["odd"]
    with recorded(kernel, monkeypatch) as run, recorded(backward, monkeypatch) as other:
        found = hollow_conv(**on_device(given), precision="float32")
        gradients = hollow_conv_gradient(
            torch.ones_like(found), **on_device(given), to_source=True, precision="float32"
        )
    assert run == other == [] and found.dtype == gradients[0].dtype == torch.float64
    torch.testing.assert_close(found.cpu(), reference.hollow_conv(**given), rtol=1e-12, atol=1e-12)


def test_no_walkers() -> None:
    given = on_device(single(convolution((3, 3), 3, walkers=0, one_time=True)))
    found = hollow_conv(**given, precision="float32")
    assert found.shape == (0, 4, 3, 3)
    gradients = hollow_conv_gradient(found, **given, to_source=True, precision="float32")
    assert not any(gradient.any() for gradient in gradients)
