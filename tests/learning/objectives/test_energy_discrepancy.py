"""Energy discrepancy by enumeration: kernels, limits, and the truth as its minimum."""

import math

import pytest
import torch

import leaps_triton as lt
from leaps_triton.learning.families import family_of
from leaps_triton.learning.objectives.discrepancy import ranking
from leaps_triton.learning.objectives.noise import KERNELS, heat_kernel, perturbed

FLOAT64 = torch.float64


def rates(kind: str, q: int) -> torch.Tensor:
    """Return the rates between states of which the kernel is the exponential."""
    if kind == "uniform":
        return torch.full((q, q), 1.0 / q, dtype=FLOAT64) - torch.eye(q, dtype=FLOAT64)
    found = torch.zeros(q, q, dtype=FLOAT64)
    for state in range(q - 1):
        found[state, state + 1] += 1.0
        found[state + 1, state] += 1.0
    if kind == "cyclic":
        found[0, q - 1] += 1.0
        found[q - 1, 0] += 1.0
    return found - torch.diag(found.sum(1))


@pytest.mark.parametrize("kind", KERNELS)
@pytest.mark.parametrize("q", [2, 3, 4, 5, 8])
def test_kernels_are_matrix_exponentials(kind, q):
    wanted = torch.matrix_exp(0.37 * rates(kind, q))
    assert float((heat_kernel(kind, q, 0.37) - wanted).abs().max()) < 1e-14


@pytest.mark.parametrize("kind", KERNELS)
def test_noise_has_the_law_of_its_kernel(kind):
    kernel = heat_kernel(kind, 4, 0.3)
    x = torch.full((4000, 2, 2), 1, dtype=torch.int8)
    moved = perturbed(x, kernel, 3, 7).flatten().long()
    share = torch.bincount(moved, minlength=4) / 16000
    # Four shares with a fixed seed: one of 4 sigma in 4000 seeds.
    error = (kernel[1] * (1.0 - kernel[1]) / 16000).sqrt()
    assert bool(((share - kernel[1]).abs() < 4.0 * error).all())


def whole(kernel: torch.Tensor, sites: int) -> torch.Tensor:
    """Return the kernel of all sites, between all configurations in their order."""
    found = torch.ones(1, 1, dtype=FLOAT64)
    for _ in range(sites):
        found = torch.kron(found, kernel)
    return found


@pytest.mark.parametrize("kind", KERNELS)
@pytest.mark.parametrize("negatives", [1, 2, 3])
def test_truth_is_stationary(kind, negatives):
    generator = torch.Generator().manual_seed(3)
    table = torch.randn(4, 4, generator=generator)
    model = lt.PairModel((2,), 0.6, (table + table.T).tolist(), periodic=False)
    family = family_of(model, "uniform", "site")
    states = lt.exact.enumerate_configurations((2,), 4)
    law = lt.exact.enumerate_model(model).log_probabilities.exp()
    kernel = whole(heat_kernel(kind, 4, 0.3), 2)
    slope = torch.zeros(family.parameters, dtype=FLOAT64)
    u = family.u(states, family.theta)
    # All draws of y and z: shares[x, z_1 … z_M] of the law, with y summed over.
    axes = "abc"[:negatives]
    joint = torch.einsum(
        f"x,xy,{','.join('y' + axis for axis in axes)}->x{axes}",
        law, kernel, *[kernel] * negatives,
    )  # fmt: skip
    count = len(states)
    ratios = torch.exp(u.unsqueeze(1) - u)
    total = torch.ones(count, *[1] * negatives, dtype=FLOAT64)
    for place in range(negatives):
        view = [1] * negatives
        view[place] = count
        total = total + ratios.view(count, *view)
    for place in range(negatives):
        view = [1] * negatives
        view[place] = count
        shares = joint * ratios.view(count, *view) / total
        others = [axis + 1 for axis in range(negatives) if axis != place]
        pairs = shares
        if others:
            pairs = shares.sum(others)
        slope += family.moments(states, family.theta, pairs.sum(0))
        slope -= family.moments(states, family.theta, pairs.sum(1))
    assert float(slope.abs().max()) < 1e-12


def test_gradient_of_the_loss():
    model = lt.Potts((3,), 3, 0.5)
    family = family_of(model, "bond", "site")
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 3, (20, 3), generator=generator).to(torch.int8)
    z = torch.randint(0, 3, (60, 3), generator=generator).to(torch.int8)
    theta = torch.randn(family.parameters, generator=generator, dtype=FLOAT64)
    direction = torch.randn(family.parameters, generator=generator, dtype=FLOAT64)
    found = ranking(family, theta, x, z)
    ahead = ranking(family, theta + 1e-5 * direction, x, z).value
    behind = ranking(family, theta - 1e-5 * direction, x, z).value
    assert abs((ahead - behind) / 2e-5 - float(found.slope @ direction)) < 1e-8


def test_grid_is_pseudo_likelihood_per_site():
    x = lt.exact.sample(lt.Ising((3, 3), 0.3), 60, seed=1)
    model = lt.Ising((3, 3), 1.0)
    objective = lt.EnergyDiscrepancy("grid")
    learner = lt.Learner(model, x, objective, steps=1, start="model")
    learned = learner.run()
    wanted = learned.family.conditionals(x).value(learner.first) / 9
    assert abs(learned.history.values["loss"][0] - wanted) < 1e-12
    # By its definition: mean over sites of log Σ_a e^{u(x) - u(x with a there)}.
    u = learned.family.u(x, learner.first)
    total = 0.0
    for site in range(9):
        flipped = x.flatten(1).clone()
        flipped[:, site] = 1 - flipped[:, site]
        other = learned.family.u(flipped.view_as(x), learner.first)
        total += float(torch.log1p(torch.exp(u - other)).mean())
    assert abs(total / 9 - wanted) < 1e-12


def test_long_times_are_maximum_likelihood():
    model = lt.Potts((2, 2), 3, 0.7)
    states = lt.exact.enumerate_configurations((2, 2), 3)
    kernel = whole(heat_kernel("uniform", 3, 60.0), 4)
    u = model.beta * model.energy(states)
    data = torch.softmax(torch.linspace(0.0, 2.0, len(states), dtype=FLOAT64), dim=0)
    smoothed = -torch.log(kernel @ torch.exp(-u))
    loss = data @ u - data @ kernel @ smoothed
    likelihood = data @ u + lt.exact.log_z(model) - 4 * math.log(3.0)
    assert abs(float(loss - likelihood)) < 1e-12


def test_a_uniform_coupling_is_found():
    x = lt.exact.sample(lt.Ising((6, 6), 0.2), 1000, seed=4)
    objective = lt.EnergyDiscrepancy("uniform", time=0.1, negatives=8, batch=300)
    learner = lt.Learner(
        lt.Ising((6, 6), 0.5), x, objective, coupling="uniform",
        steps=60, learning_rate=0.2, optimizer="adam", decay=True,
    )  # fmt: skip
    # Its scatter is about 0.007.
    assert abs(float(learner.run().theta) - 0.2) < 0.05


def test_fields_are_refused():
    field = lt.PhiFour((4, 4), 1.0, 1.0)
    with pytest.raises(ValueError, match="needs sites of q states"):
        lt.Learner(field, torch.zeros(3, 4, 4), lt.EnergyDiscrepancy())
