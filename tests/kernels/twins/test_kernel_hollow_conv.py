"""The op hollow_conv: its definition, hollowness, gradients, blocks, memory, refusals."""

import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from leaps_triton import kernels
from leaps_triton.kernels import reference
from leaps_triton.kernels.convolutions import cpu
from leaps_triton.kernels.convolutions.cases import convolution
from leaps_triton.kernels.inputs.random import normal

ROOT = Path(__file__).parents[3]
TENSORS = ("activations", "weight", "bias", "offset", "time_offset", "source")
CASES: dict[str, dict[str, Any]] = {
    "line": convolution((7,), 5, broadcast=False, one_time=True),
    "odd and even": convolution((5, 4), 3),
    "open": convolution((5, 2), 5),
    "all open": convolution((2, 1), 5, broadcast=False),
    "as long as the lattice": convolution((5, 5), 5, channels=2),
    "longer than the lattice": convolution((3, 4), 5, inputs=1),
    "one tap": convolution((3, 2), 1),
    "one site": convolution((1, 1), 3),
    "one walker": convolution((3, 3), 3, walkers=1, channels=1, inputs=5),
    "three directions": convolution((3, 2, 4), 3, broadcast=False),
    "four directions": convolution((2, 3, 2, 2), 3, one_time=True),
}


def plain(given: dict[str, Any]) -> Tensor:
    """The formula, in loops."""
    a = given["activations"]
    source = given["source"]
    size = given["kernel_size"]
    periodic = given["periodic"]
    shape = source.shape[2:]
    out = torch.zeros(len(source), len(given["weight"]), *shape, dtype=source.dtype)
    reach = range(-(size // 2), size // 2 + 1)
    place: Any
    site: Any
    for tap, step in enumerate(itertools.product(reach, repeat=len(shape))):
        if not any(step):
            continue
        for site in itertools.product(*map(range, shape)):
            there = [s + d for s, d in zip(site, step, strict=True)]
            if any(
                not wraps and not 0 <= p < n
                for p, n, wraps in zip(there, shape, periodic, strict=True)
            ):
                continue
            place = tuple(p % n for p, n in zip(there, shape, strict=True))
            seen = source[:, :, *place]
            pre = a[:, :, *site] @ given["weight"][:, tap].T + given["bias"][:, tap]
            kernel = (
                pre * torch.sigmoid(pre)
                + given["offset"][:, tap]
                + given["time_offset"][:, tap : tap + 1]
            )
            out[:, :, *site] += kernel * seen
    return out


@pytest.mark.parametrize("name", list(CASES))
def test_equals_plain_loops(name: str) -> None:
    expected = plain(CASES[name])
    torch.testing.assert_close(kernels.hollow_conv(**CASES[name]), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        reference.hollow_conv(**CASES[name]), expected, rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("name", ["open", "longer than the lattice", "three directions"])
def test_no_site_sees_itself(name: str) -> None:
    """Whatever the source at ``p``, the result there is the same bit for bit, elsewhere not."""
    given = CASES[name]
    before = kernels.hollow_conv(**given).flatten(2)
    sites = before.shape[2]
    for site in range(sites):
        source = given["source"].clone()
        source.flatten(2)[:, :, site] += 1.0
        after = kernels.hollow_conv(**given | {"source": source}).flatten(2)
        assert torch.equal(after[:, :, site], before[:, :, site])
        assert not torch.equal(after, before)


@pytest.mark.parametrize("size", [1, 40, 2**18])
@pytest.mark.parametrize("name", list(CASES))
def test_gradients_are_those_of_the_definition(
    name: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In blocks of any size, with respect to each of the six tensors."""
    monkeypatch.setattr(cpu, "BLOCK", size)
    upstream = None
    found = []
    for function in (kernels.hollow_conv, reference.hollow_conv):
        leaves = {key: CASES[name][key].clone().requires_grad_() for key in TENSORS}
        out = function(**CASES[name] | leaves)
        if upstream is None:
            upstream = normal(*out.shape, seed=8)
        found.append(
            [out, *torch.autograd.grad(out, list(leaves.values()), upstream, allow_unused=True)]
        )
    for one, other in zip(*found, strict=True):
        # Autograd gives None where a tensor does not enter at all.
        expected = other
        if expected is None:
            expected = torch.zeros_like(one)
        torch.testing.assert_close(one, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", ["open", "line", "all open"])
def test_gradients_against_differences(name: str) -> None:
    leaves = [CASES[name][key].clone().requires_grad_() for key in TENSORS]

    def op(*tensors: Tensor) -> Tensor:
        return kernels.hollow_conv(**CASES[name] | dict(zip(TENSORS, tensors, strict=True)))

    assert torch.autograd.gradcheck(op, leaves)


@pytest.mark.parametrize("size", [1, 40, 300])
def test_blocks_do_not_change_the_result(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    given = convolution((5, 4), 3, walkers=7)
    whole = kernels.hollow_conv(**given)
    monkeypatch.setattr(cpu, "BLOCK", size)
    torch.testing.assert_close(kernels.hollow_conv(**given), whole, rtol=1e-13, atol=1e-13)


def test_float32_is_as_near_as_the_definition() -> None:
    given = convolution((15, 15), 15, walkers=2, channels=20, inputs=20)
    single: dict[str, Any] = {
        key: value.float() if isinstance(value, Tensor) else value for key, value in given.items()
    }
    exact = reference.hollow_conv(**given)
    allowed = 2.0 * float((reference.hollow_conv(**single) - exact).abs().max())
    assert float((kernels.hollow_conv(**single) - exact).abs().max()) <= allowed


def test_a_gradient_that_nobody_wants_is_not_made() -> None:
    given = CASES["odd and even"]
    upstream = normal(3, 4, 5, 4, seed=1)
    shapes = [
        g.shape for g in kernels.hollow_conv_gradient(to_output=upstream, **given, to_source=False)
    ]
    assert shapes == [*(given[key].shape for key in TENSORS[:-1]), (0, 1, 5, 4)]


@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_precision_rounds_the_factors_alone(precision: str) -> None:
    """TF32 is a GPU's; bfloat16 has 8 bits, of which the gradients see the same."""
    given = CASES["odd and even"]
    one = kernels.hollow_conv(**given, precision=precision)
    other = reference.hollow_conv(**given, precision=precision)
    torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
    exact = kernels.hollow_conv(**given)
    assert torch.equal(one, exact) == (precision == "tf32")
    torch.testing.assert_close(one, exact, rtol=0.05, atol=0.1)
    upstream = normal(*one.shape, seed=3)
    for found, expected in zip(
        kernels.hollow_conv_gradient(
            to_output=upstream, **given, to_source=True, precision=precision
        ),
        reference.hollow_conv_gradient(
            to_output=upstream, **given, to_source=True, precision=precision
        ),
        strict=True,
    ):
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)


MEMORY = """
import resource, torch
from leaps_triton.kernels.convolutions.cases import convolution
from leaps_triton import kernels
torch.set_num_threads(1)
given = convolution((15, 15), 15, 50, 20, 20)
given = {k: v.float() if isinstance(v, torch.Tensor) else v for k, v in given.items()}
for name in ("activations", "weight", "bias", "offset", "time_offset", "source"):
    given[name].requires_grad_()
one = {name: given[name][:1] for name in ("activations", "source", "time_offset")}
kernels.hollow_conv(**given | one).sum().backward()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
kernels.hollow_conv(**given).sum().backward()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(
    sys.platform != "linux", reason="ru_maxrss is in KiB on Linux, in bytes elsewhere"
)
def test_memory_is_tens_of_megabytes() -> None:
    """All weights at once would be 203 MB, and the definition holds several such arrays."""
    run = subprocess.run(
        [sys.executable, "-c", MEMORY],
        cwd=ROOT / "tests",
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(run.stdout) < 60_000


def test_no_walkers() -> None:
    given = convolution((3, 3), 3, walkers=0, one_time=True)
    assert kernels.hollow_conv(**given).shape == (0, 4, 3, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"precision": "fp8"}, "precision must be one of float32, tf32, bfloat16, got 'fp8'"),
        ({"kernel_size": 4}, "kernel_size must be odd and positive, got 4"),
        ({"periodic": (True,)}, r"with 1 lattice axes \(1 to 4\), got \(3, 1, 5, 4\)"),
        (
            {"weight": torch.zeros(4, 8, 3).double()},
            r"weight must have shape \(4, 9, 3\), got \(4, 8, 3\)",
        ),
        (
            {"source": torch.zeros(3, 2, 5, 4).double()},
            r"source must have shape \(3, 1 \| 4, 5, 4\)",
        ),
        ({"time_offset": torch.zeros(2, 9).double()}, r"time_offset must have shape \(1 \| 3, 9\)"),
        (
            {"bias": torch.zeros(4, 9)},
            "bias is torch.float32 on cpu, source torch.float64 on cpu; convert one",
        ),
        (
            {"source": torch.zeros(3, 1, 5, 4, dtype=torch.int8)},
            "activations is torch.float64|must be float32 or",
        ),
    ],
)
def test_inputs_that_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kernels.hollow_conv(**CASES["odd and even"] | changes)


def test_a_kernel_that_reaches_around_is_refused() -> None:
    given = convolution((5, 2), 5)
    with pytest.raises(
        ValueError, match=r"reaches around a periodic direction of length 2 .* use kernel_size <= 3"
    ):
        kernels.hollow_conv(**given | {"periodic": (True, True)})
