"""HollowConv on a CPU: values of the loops are the twin's bit for bit, in bfloat16 too."""

from typing import Any

import pytest
import torch

pytest.importorskip("numba")

import leaps_triton as lt
from leaps_triton import kernels
from leaps_triton.kernels.hollow_network import cpu, narrow, reference
from leaps_triton.kernels.hollow_network.cases import double, network
from leaps_triton.kernels.hollow_network.reference import Values

CASES = {
    "critical": network((16, 16), (True, True), 2, 20, 7, channels=32, width=64, modes=4),
    "eight": network((8, 8), (True, True), 2, 33, 5, channels=8, width=16, tables="uniform"),
    "three states": network((8, 8), (True, True), 3, 40, 5, channels=8, width=32),
    "open": network((4, 12), (False, False), 2, 9, 7, width=16, tables="own", times="shared"),
    "odd": network((5, 3), (True, False), 4, 7, 3, channels=5, width=33),
    "no sums": network((4, 4), (True, True), 2, 6, modes=0, magnetization=False),
    "one tap": network((2, 2), (True, True), 2, 3, kernel_size=1, channels=1, width=1),
    "line": network((16,), (True,), 2, 11, 5, channels=8, width=16),
    "cube": network((4, 3, 4), (True, False, True), 3, 8, 3, channels=8, width=16),
    "four": network((2, 3, 2, 2), (True, True, False, True), 2, 5, 3),
}


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the walkers of small cases be several pieces too."""
    monkeypatch.setattr(cpu, "PIECE", 2**12)


@pytest.mark.parametrize("name", CASES)
def test_values_are_the_twins(name: str) -> None:
    given = Values(**CASES[name])
    with torch.no_grad():
        expected = reference.hollow_values(given)
    assert torch.equal(cpu.hollow_values(given), expected)


@pytest.mark.parametrize("name", CASES)
def test_values_in_bfloat16_are_the_twins(name: str) -> None:
    given = Values(**CASES[name])
    assert torch.equal(cpu.narrow_values(given), narrow.narrow_values(given))


@pytest.mark.parametrize("name", ["critical", "three states", "open", "cube"])
def test_bfloat16_costs_no_more_than_its_digits(name: str) -> None:
    given = Values(**CASES[name])
    exact = reference.hollow_values(Values(**double(CASES[name])))
    scale = float(exact.abs().max())
    # Eight bits are 0.4 % of a factor; the errors of the terms of a sum partly cancel.
    assert float((cpu.narrow_values(given) - exact).abs().max()) <= 0.02 * scale


def test_walkers_out_of_order_and_conditions_of_any_strides() -> None:
    given = CASES["open"]
    turned: dict[str, Any] = dict(given)
    for name in ("configurations", "coupling", "field"):
        turned[name] = given[name].transpose(-1, -2).contiguous().transpose(-1, -2)
    expected = cpu.hollow_values(Values(**given))
    assert torch.equal(cpu.hollow_values(Values(**turned)), expected)
    assert torch.equal(cpu.narrow_values(Values(**turned)), narrow.narrow_values(Values(**given)))


def test_the_public_op_chooses() -> None:
    given = CASES["eight"]
    with torch.no_grad():
        full = kernels.hollow_values(**given)
        small = kernels.hollow_values(**given, precision="bfloat16")
        # No type but float32 has products of fewer digits.
        wide = kernels.hollow_values(**double(given), precision="bfloat16")
    assert torch.equal(full, cpu.hollow_values(Values(**given)))
    assert torch.equal(small, cpu.narrow_values(Values(**given)))
    assert torch.equal(wide, reference.hollow_values(Values(**double(given))))
    # Gradients are those of float32, whatever the precision.
    followed = dict(given, skip=given["skip"].clone().requires_grad_())
    trained = kernels.hollow_values(**followed, precision="bfloat16")
    assert trained.requires_grad
    assert torch.equal(trained.detach(), reference.hollow_values(Values(**given)))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    "model", [lt.Ising((8, 8), beta=0.44), lt.Potts((4, 8), 3, beta=0.9)], ids=["ising", "potts"]
)
def test_local_antisymmetry_is_exact(precision: str, model: lt.PairModel) -> None:
    hollow = lt.HollowConv(model, kernel_size=5, channels=8, width=16, precision=precision)
    path = lt.AnnealingPath(model)
    x = path.start.sample(torch.arange(1), seed=3)
    sites = x.numel()
    q = model.q
    conditions = path.conditions(0.6)
    # All configurations that one move makes of x, in the order of G.
    moved = x.flatten().repeat(q - 1, sites, 1)
    for shift in range(1, q):
        moved[shift - 1].fill_diagonal_(0)
        moved[shift - 1] += torch.diag((x.flatten() + shift) % q)
    with torch.no_grad():
        here = hollow(x, conditions).flatten(2)[0]
        there = hollow(moved.view(-1, *x.shape[1:]), conditions).flatten(2)
    there = there.view(q - 1, sites, q - 1, sites)
    for shift in range(1, q):
        back = there[shift - 1, :, q - shift - 1].diagonal()
        assert torch.equal(here[shift - 1], -back)


def test_sampling_in_bfloat16_is_exact() -> None:
    model = lt.Ising((3, 3), beta=0.4)
    hollow = lt.HollowConv(model, kernel_size=3, channels=8, width=16, precision="bfloat16")
    with torch.no_grad():
        hollow.readout.weight.mul_(10.0)
    sampler = lt.Sampler(lt.AnnealingPath(model), hollow, lt.Jump(4), block=512)
    found = sampler.sample(2048, seed=1)
    # Weights are exact whatever the network; of normal errors 4 σ are missed once in 16000.
    assert abs(found.log_z - lt.exact.log_z(model)) < 4.0 * found.log_z_error


def test_no_walkers_have_no_values() -> None:
    given = CASES["eight"]
    few = given | {"configurations": given["configurations"][:0], "time": given["time"][:1]}
    for precision in ("float32", "bfloat16"):
        with torch.no_grad():
            assert kernels.hollow_values(**few, precision=precision).shape == (0, 2, 8, 8)
