"""SPRING: what its step is, and per-sample gradients against a loop over the samples."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import leaps_triton as lt
from leaps_triton.training.losses import residual
from leaps_triton.training.optimizers import (
    SampleGradients,
    Spring,
    centred,
    per_sample_gradients,
    spring_direction,
)

GENERATOR = torch.Generator().manual_seed(0)


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=GENERATOR)


@pytest.mark.parametrize(("samples", "parameters"), [(12, 30), (30, 7), (5, 5000)])
def test_without_momentum_it_is_damped_gauss_newton(samples: int, parameters: int) -> None:
    """Compares with -(JᵀJ + λI)⁻¹ Jᵀr, in the space of the parameters."""
    jacobian = random(samples, parameters)
    r = random(samples)
    found = spring_direction(jacobian, r, torch.zeros(parameters).double(), 0.0, 1e-2)
    scale = 1e-2 * float((jacobian @ jacobian.T).diagonal().mean())
    if parameters > 1000:
        # The inverse by the identity of Woodbury: a matrix of 5000 parameters takes seconds.
        inner = torch.linalg.inv(jacobian @ jacobian.T + scale * torch.eye(samples).double())
        wanted = -(jacobian.T @ r - jacobian.T @ (inner @ (jacobian @ (jacobian.T @ r)))) / scale
    else:
        normal = jacobian.T @ jacobian + scale * torch.eye(parameters).double()
        wanted = -torch.linalg.solve(normal, jacobian.T @ r)
    error = torch.linalg.vector_norm(found - wanted) / torch.linalg.vector_norm(wanted)
    assert error < 1e-10


def test_its_step_is_the_nearest_to_the_one_before() -> None:
    """Compares with argmin ‖Jδ + r‖² + λ‖δ - μδ'‖², by least squares."""
    jacobian = random(9, 20)
    r = random(9)
    before = random(20)
    found = spring_direction(jacobian, r, before, 0.9, 0.03)
    scale = 0.03 * float((jacobian @ jacobian.T).diagonal().mean())
    root = scale**0.5 * torch.eye(20).double()
    stacked = torch.cat([jacobian, root])
    wanted = torch.linalg.lstsq(stacked, torch.cat([-r, 0.9 * scale**0.5 * before])).solution
    torch.testing.assert_close(found, wanted, atol=1e-10, rtol=1e-10)


def test_the_cap_bounds_the_step_and_the_direction_stays_unscaled() -> None:
    x = nn.Parameter(torch.zeros(4, 5, dtype=torch.float64))
    y = nn.Parameter(torch.zeros(3, dtype=torch.float64))
    spring = Spring([x, y], learning_rate=0.5, norm_cap=1e-4)
    jacobian = random(6, 23)
    info = spring.step(jacobian, 100.0 * random(6))
    moved = torch.cat([x.detach().flatten(), y.detach()])
    assert float(moved.norm()) == pytest.approx(1e-2)
    torch.testing.assert_close(moved, info.factor * spring.direction)
    again = Spring([x, y], learning_rate=0.5, norm_cap=1e-4)
    again.load_state_dict(spring.state_dict())
    assert torch.equal(again.direction, spring.direction)
    with pytest.raises(ValueError, match="direction of 23 numbers"):
        again.load_state_dict({"direction": torch.zeros(2)})


def test_a_weight_scales_a_row_of_both() -> None:
    x = nn.Parameter(torch.zeros(8, dtype=torch.float64))
    jacobian = random(6, 8)
    r = random(6)
    weights = torch.rand(6, dtype=torch.float64, generator=GENERATOR) + 0.5
    one = Spring([x])
    two = Spring([x])
    one.direct(jacobian, r, weights)
    two.direct(jacobian * weights.unsqueeze(1), r * weights)
    assert torch.equal(one.direction, two.direction)


def test_rows_are_centred_time_by_time() -> None:
    values = random(6, 4)
    found = centred(values, 2)
    torch.testing.assert_close(found[:3], values[:3] - values[:3].mean(0))
    torch.testing.assert_close(found[3:], values[3:] - values[3:].mean(0))


def test_bad_arguments_are_refused() -> None:
    x = [torch.zeros(2)]
    with pytest.raises(ValueError, match=r"momentum must be a number in \[0, 1\), got 1"):
        Spring(x, momentum=1.0)
    with pytest.raises(ValueError, match="damping must be a positive number"):
        Spring(x, damping=0.0)
    with pytest.raises(ValueError, match=r"\(samples, parameters\) = \(3, 2\), got \(3, 4\)"):
        Spring(x).direct(torch.zeros(3, 4), torch.zeros(3))


def loop(module: nn.Module, values: Callable[[], Tensor]) -> Tensor:
    """Return the Jacobian by a pass for each sample, with nothing shared."""
    rows = []
    for sample in range(len(values())):
        gradients = torch.autograd.grad(
            values()[sample], list(module.parameters()), allow_unused=True, materialize_grads=True
        )
        rows.append(torch.cat([gradient.flatten() for gradient in gradients]))
    return torch.stack(rows)


def networks() -> dict[str, nn.Module]:
    small = lt.Ising((4, 4), beta=0.4)
    # So large that rates are a table of classes.
    large = lt.Ising((6, 6), beta=0.4)
    potts = lt.Potts((3, 4), q=3, beta=0.7)
    return {
        "hollow": lt.HollowConv(small, kernel_size=3, channels=4, width=6, modes=1),
        "hollow potts": lt.HollowConv(potts, kernel_size=3, channels=4, width=6, modes=0),
        "local": lt.LocalRates(small, shells=1, width=5),
        "local by class": lt.LocalRates(large, shells=1, width=5),
        "mlp": lt.LEM(small, channels=3),
        "symmetric": lt.SymmetricConv(small, kernel_size=3, widths=(5, 4)),
        "symmetric potts": lt.SymmetricConv(potts, kernel_size=3, widths=(5, 4)),
    }


@pytest.mark.parametrize("name", list(networks()))
def test_per_sample_gradients_are_those_of_a_loop(name: str) -> None:
    network = networks()[name].double()
    model: lt.PairModel = lt.Ising((4, 4), beta=0.4)
    if name == "local by class":
        model = lt.Ising((6, 6), beta=0.4)
    if name.endswith("potts"):
        model = lt.Potts((3, 4), q=3, beta=0.7)
    path = lt.AnnealingPath(model)
    x = path.start.sample(torch.arange(5), seed=1)
    t = torch.tensor([0.2, 0.4, 0.5, 0.9, 1.0], dtype=torch.float64)

    def values() -> Tensor:
        return residual(path, network, x, t)

    found = per_sample_gradients(network, values)
    wanted = loop(network, values)
    assert wanted.abs().max() > 0.01
    torch.testing.assert_close(found.jacobian, wanted, atol=1e-12, rtol=1e-12)
    assert torch.equal(found.values, values().detach())


@pytest.mark.parametrize("name", ["symmetric", "symmetric potts"])
def test_layers_of_the_symmetric_network_are_all_read_by_hooks(name: str) -> None:
    """None of its parameters takes a backward pass per sample."""
    network = networks()[name].double()
    model: lt.PairModel = lt.Ising((4, 4), beta=0.4)
    if name.endswith("potts"):
        model = lt.Potts((3, 4), q=3, beta=0.7)
    path = lt.AnnealingPath(model)
    x = path.start.sample(torch.arange(5), seed=1)
    t = torch.tensor([0.2, 0.4, 0.5, 0.9, 1.0], dtype=torch.float64)
    gradients = SampleGradients(network)
    gradients(lambda: residual(path, network, x, t))
    assert len(gradients._exact) == len(list(network.parameters()))


class _Awkward(nn.Module):
    """Layers in all ways that hooks could get wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.sites = nn.Linear(3, 4)
        self.twice = nn.Linear(4, 4)
        self.shared = nn.Linear(2, 4)
        self.elsewhere = nn.Linear(4, 1)
        self.alone = nn.Parameter(torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        # As many rows as samples, but rows are not samples: sites come first.
        by_site = self.sites(x.transpose(0, 1)).transpose(0, 1)
        twice = self.twice(torch.tanh(self.twice(by_site)))
        # One row for all samples.
        scale = self.shared(torch.ones(1, 2, dtype=x.dtype))
        hidden = torch.tanh(twice * scale.unsqueeze(1)) * self.alone
        # The weight is read by more than the layer.
        out = self.elsewhere(hidden).squeeze(2) + hidden @ self.elsewhere.weight[0].square()
        return out.sum(1)


def test_layers_that_hooks_cannot_read_take_the_slow_way() -> None:
    module = _Awkward().double()
    x = random(5, 5, 3)

    def values() -> Tensor:
        out: Tensor = module(x)
        return out

    gradients = SampleGradients(module)
    # At first most gradients vanish, so that nothing can be learned of their layers.
    with torch.no_grad():
        module.alone.zero_()
    gradients(values)
    with torch.no_grad():
        module.alone.fill_(1.5)
    for _ in range(2):
        found = gradients(values)
        torch.testing.assert_close(found.jacobian, loop(module, values), atol=1e-12, rtol=1e-12)
    names = [name for name, _ in module.named_parameters()]
    fast = {names[number] for number in gradients._exact}
    assert fast == {"twice.weight", "twice.bias", "elsewhere.bias"}


def test_values_must_be_one_per_sample() -> None:
    layer = nn.Linear(2, 1)
    with pytest.raises(ValueError, match="must return a tensor"):
        per_sample_gradients(layer, lambda: layer(torch.ones(3, 2)))
    with pytest.raises(ValueError, match="must return a tensor"):
        per_sample_gradients(layer, lambda: torch.ones(3))
