"""The kernels of hollow_values and of its gradient: their twins, and laws bit for bit."""

import importlib
import math
from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from kernel_tools import DEVICE, SHAPES, on_device, recorded, require_kernels, silent
from leaps_triton.kernels import reference as face
from leaps_triton.kernels.graphs.packing import packed_once
from leaps_triton.kernels.hollow_network.cases import double, moved, network
from leaps_triton.kernels.hollow_network.reference import Values
from leaps_triton.kernels.inputs.random import normal

require_kernels()
kernel = importlib.import_module("leaps_triton.kernels.hollow_network.triton")
backward = importlib.import_module("leaps_triton.kernels.hollow_network.triton_gradient")

pytestmark = silent


def values_of(**given: Any) -> Tensor:
    made: Tensor = kernel.hollow_values(Values(**given))
    return made


def gradient_of(to_values: Tensor, **given: Any) -> Any:
    return backward.hollow_values_gradient(to_values, Values(**given))


# How much further from the oracle than torch in float32: products of tf32 have 13 bits fewer.
SLACK = {"float32": 2.0, "tf32x3": 8.0, "tf32": 2.0**14}
LATTICES = [
    ((3,), (True,), 5),
    ((63,), (False,), 3),
    ((15, 4), (True, True), 7),
    ((4, 5), (True, True), 7),
    ((1, 5), (False, True), 3),
    ((5, 6), (True, False), 1),
    ((3, 2, 5), (True, False, True), 3),
    ((2, 3, 1, 3), (True, False, False, True), 3),
]
"""Shape, boundaries, kernel size: kernels larger than the lattice, and without a tap, too."""
SUMS: list[dict[str, Any]] = [
    {"modes": 2},
    {"modes": 0},
    {"modes": 9, "magnetization": False},
    {"modes": 0, "magnetization": False},
]


def relative(found: Tensor, oracle: Tensor) -> float:
    """Largest error in units of the largest number, at least two roundings of it."""
    error = float((found.cpu().double() - oracle).abs().max()) / (float(oracle.abs().max()) or 1.0)
    assert math.isfinite(error)
    return max(error, 2.0 * torch.finfo(torch.float32).eps)


def compare(given: dict[str, Any], precision: str = "float32") -> None:
    found = values_of(**on_device(given), precision=precision)
    same = face.hollow_values(**given)
    oracle = face.hollow_values(**double(given))
    assert found.shape == same.shape and found.dtype == same.dtype
    assert relative(found, oracle) <= SLACK[precision] * relative(same, oracle)


def compare_gradients(
    given: dict[str, Any], precision: str = "float32", shape: tuple[int, ...] = ()
) -> None:
    """Each error in units of its gradient's largest number; the largest against torch's largest."""
    x = given["configurations"]
    to_values = normal(len(x), len(given["readout_bias"]), *x.shape[1:], seed=77).float()
    arguments = {"to_values": to_values, **given}
    found = gradient_of(**on_device(arguments), precision=precision)
    same, oracle = (face.hollow_values_gradient(**g) for g in (arguments, double(arguments)))
    assert [(f.shape, f.dtype) for f in found] == [(s.shape, s.dtype) for s in same]
    worst, allowed = (max(map(relative, made, oracle)) for made in (found, same))
    assert worst <= SLACK[precision] * allowed


@pytest.mark.parametrize("key", list(kernel.FORWARD))
def test_every_variant(key: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    binary, width, precision = key
    given = network((5, 3), (False, True), 2 if binary else 3, 5, width=width - 3)
    with recorded(kernel, monkeypatch) as run:
        compare(given, precision)
    assert run == [kernel.PREPARE[binary], kernel.FORWARD[key]]


@pytest.mark.parametrize("key", list(backward.BACKWARD))
def test_every_gradient(key: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    binary, width, precision = key
    given = network((5, 3), (False, True), 2 if binary else 3, 5, width=width - 3)
    with recorded(backward, monkeypatch) as run:
        compare_gradients(given, precision)
    assert run == [backward.BACKWARD[key], backward.WEIGHTS[key]]


@pytest.mark.parametrize("q", [2, 3, 4])
@pytest.mark.parametrize(("shape", "periodic", "kernel_size"), LATTICES)
def test_lattices(
    shape: tuple[int, ...], periodic: tuple[bool, ...], kernel_size: int, q: int
) -> None:
    for walkers, tables, times in ((1, "own", "shared"), (3, "uniform", "own"))[: 5 - q]:
        given = network(
            shape, periodic, q, walkers, kernel_size, tables=tables, times=times, seed=walkers
        )
        compare(given)
        if walkers > 1:
            compare_gradients(given)


@pytest.mark.parametrize("options", SUMS)
@pytest.mark.parametrize("q", [2, 3])
def test_sums_over_the_lattice(q: int, options: dict[str, Any]) -> None:
    given = network((7, 4), (True, False), q, 3, **options)
    compare(given)
    compare_gradients(given)


@pytest.mark.parametrize("dimensions", list(SHAPES))
@pytest.mark.parametrize("q", [2, 3])
def test_values_do_not_read_their_site_bit_for_bit(q: int, dimensions: int) -> None:
    """Hollowness holds for each configuration alone.

    Libraries, of which the interpreter is one, may round rows of a product differently.
    """
    given = network(*SHAPES[dimensions], q, 1, modes=3, times="shared")
    x = given["configurations"]

    def values(configurations: Tensor) -> Tensor:
        arguments = on_device(given | {"configurations": configurations})
        return values_of(**arguments, precision="float32").cpu().flatten(2)[0]

    before = values(x)
    for site in range(0, x.numel(), 4):
        after = values(moved(x, site, 1, q))
        assert torch.equal(after[:, site], before[:, site])
        assert not torch.equal(after, before)


@pytest.mark.parametrize(
    "model",
    [
        lt.Ising((5, 6), beta=0.4, field=torch.linspace(-1, 1, 30).view(5, 6)),
        lt.Potts((4, 3), q=3, beta=0.9, field=[0.1, 0.0, -0.4], periodic=(True, False)),
    ],
    ids=["ising", "potts"],
)
def test_the_network_is_locally_equivariant_bit_for_bit(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``G_k(i | x) = -G_{q-k}(i | x^{(i,k)})`` of HollowConv on the kernel."""
    transport = lt.HollowConv(model, kernel_size=3, channels=6, width=16, modes=3).to(DEVICE)
    with torch.no_grad():
        transport.readout.weight.mul_(20.0)
    path = lt.AnnealingPath(model)
    x = path.start.sample(torch.arange(1), 3)
    conditions = path.conditions(torch.tensor(0.6, device=DEVICE))
    expected = transport(x.to(DEVICE), conditions)
    monkeypatch.setattr(
        lt.kernels, "hollow_values", lambda *given: kernel.hollow_values(Values(*given))
    )
    output = transport(x.to(DEVICE), conditions)
    torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-4)
    assert float(output.abs().mean()) > 0.05
    for shift in range(1, model.q):
        for site in range(0, x.numel(), 3):
            back = transport(moved(x, site, shift, model.q).to(DEVICE), conditions)
            one = output[0, shift - 1].flatten()[site]
            other = back[0, model.q - shift - 1].flatten()[site]
            assert torch.equal(one, -other)


def test_several_launches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "PIECE", 70)
    monkeypatch.setattr(backward, "PIECE", 70)
    monkeypatch.setattr(backward, "SPLIT", 32)
    for tables, times in (("own", "own"), ("shared", "shared")):
        given = network((5, 6), (True, False), 3, 5, tables=tables, times=times)
        with recorded(kernel, monkeypatch) as run:
            compare(given)
        assert len(run) == 6
        compare_gradients(given)


@pytest.mark.parametrize("options", [{"dtype": torch.float64}, {"width": 129}])
def test_what_no_kernel_is_compiled_for_goes_to_the_twin(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = on_device(network((5, 3), (False, True), 2, 3, **options))
    to_values = torch.ones_like(face.hollow_values(**given))
    with recorded(kernel, monkeypatch) as run, recorded(backward, monkeypatch) as other:
        found = values_of(**given, precision="float32")
        gradients = gradient_of(to_values, **given, precision="float32")
    assert run == other == []
    assert torch.equal(found, face.hollow_values(**given))
    assert all(map(torch.equal, gradients, face.hollow_values_gradient(to_values, **given)))


def test_the_same_numbers_twice() -> None:
    given = network((3, 5), (True, True), 3, 9)
    to_values = face.hollow_values(**given)
    arguments = on_device({"to_values": to_values, **given})
    one, two = (gradient_of(**arguments, precision="float32") for _ in range(2))
    assert all(map(torch.equal, one, two))


def test_strided_inputs() -> None:
    given = network((3, 5), (True, True), 2, 2)
    for name in ("configurations", "coupling", "first", "hidden_weight"):
        given[name] = given[name].mT.contiguous().mT
    compare(given)
    compare_gradients(given)


def test_no_walkers() -> None:
    given = on_device(network((3, 5), (True, True), 3, 0, times="shared"))
    values = values_of(**given, precision="float32")
    assert values.shape == (0, 3, 3, 5)
    gradients = gradient_of(values, **given, precision="float32")
    assert all(not bool(gradient.any()) for gradient in gradients)
    assert gradients[1].shape == given["conv"].shape


def test_weights_are_packed_once_while_they_do_not_change(monkeypatch: pytest.MonkeyPatch) -> None:
    given = on_device(network((4, 5), (True, True), 2, 3, 3))
    packs = 0
    pack = kernel.pack

    def counted(*arguments: Any) -> Any:
        nonlocal packs
        packs += 1
        return pack(*arguments)

    monkeypatch.setattr(kernel, "pack", counted)
    first = values_of(**given)
    assert packs == 1
    with packed_once():
        for _ in range(3):
            assert torch.equal(values_of(**given), first)
        assert packs == 2
        # A write into a weight is seen, as is a weight in another place.
        given["first"].mul_(2.0)
        changed = values_of(**given)
        assert packs == 3 and not torch.equal(changed, first)
        moved_weights = given | {"conv": given["conv"].clone()}
        assert torch.equal(values_of(**moved_weights), changed) and packs == 4
        with packed_once():
            assert torch.equal(values_of(**given), changed) and packs == 5
        assert torch.equal(values_of(**given), changed) and packs == 5
    assert torch.equal(values_of(**given), changed) and packs == 6
