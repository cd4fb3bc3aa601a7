"""A user's own density, and what bad input is told."""

from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from leaps_triton.exact.known import known

DOUBLE = torch.float64


def quartic(x: Tensor) -> Tensor:
    return -x.square().square().sum(1)


OWN = lt.Density(quartic, dim=2)
ANY: Any = lt.Density
"""As a user calls it who reads no types."""
MIXTURE: Any = lt.GaussianMixture.two(1.0)
ZEROS = torch.zeros(3, 2, dtype=DOUBLE)


def sampler_of(model: Any, start: Any) -> lt.Sampler:
    path = lt.AnnealingPath(model, start=start)
    return lt.Sampler(path, None, lt.MapStep(4), lt.HMC(step=0.3), device="cpu", block=64)


def test_a_force_by_automatic_differentiation_goes_everywhere() -> None:
    x = torch.tensor([[1.0, -2.0], [0.5, 0.0]], dtype=DOUBLE)
    expected = -4.0 * x**3
    torch.testing.assert_close(OWN.force(x), expected)
    with torch.no_grad():
        torch.testing.assert_close(OWN.force(x), expected)
    with torch.inference_mode():
        torch.testing.assert_close(OWN.force(x), expected)
    # It can be differentiated again, by a training or inside another transform.
    again = torch.func.jacrev(lambda y: OWN.force(y.unsqueeze(0)).squeeze(0))(x[0])
    torch.testing.assert_close(again, torch.diag(-12.0 * x[0] ** 2))
    y = x.clone().requires_grad_()
    (second,) = torch.autograd.grad(OWN.force(y).sum(), y)
    torch.testing.assert_close(second, -12.0 * x**2)


def test_what_is_not_known_is_said() -> None:
    assert OWN.log_z is None and lt.Density(quartic, 2, log_z=1.5).log_z == 1.5
    assert known(OWN) == {"schwinger_dyson": 1.0}
    assert known(MIXTURE) == {"schwinger_dyson": 1.0, "log_z": 0.0}


def test_a_registered_class_of_a_user_is_stored(tmp_path: Any) -> None:
    @lt.register("model", name="test-quartic")
    class Quartic(lt.Density):
        def __init__(self, power: float) -> None:
            self.settings = {"power": power}
            super().__init__(lambda x: -(x.abs() ** power).sum(1), dim=2)

    sampler = sampler_of(Quartic(4.0), lt.Gaussian(1.0))
    lt.save(sampler, tmp_path / "sampler.safetensors")
    again = lt.load(tmp_path / "sampler.safetensors", device="cpu")
    one = sampler.sample(8, seed=1)
    two = again.sample(8, seed=1)
    assert torch.equal(one.log_weights, two.log_weights)


BAD: list[tuple[Any, str]] = [
    (lambda: ANY(3, 2), "log_density must be a function of .*got 3"),
    (lambda: lt.Density(quartic, 0), "dim must be an integer of at least 1, got 0"),
    (lambda: lt.Density(quartic, 2, log_z=float("nan")), "log_z must be None or a finite number"),
    (lambda: lt.Density(quartic, 2, extent=0.0), "extent must be a positive number"),
    (lambda: lt.Density(quartic, 2, dtype="int8"), "dtype must be torch.float32 or torch.float64"),
    (lambda: lt.Density(lambda x: -(x**2), 2).energy(ZEROS), r"shape \(walkers,\), here \(3,\)"),
    (lambda: ANY(lambda x: 0.0, 2).energy(ZEROS), "must return real numbers .*got float"),
    (lambda: OWN.sample(3), "no exact samples of Density.*lt.run_chain"),
    (lambda: OWN.modes(ZEROS), "does not tell modes apart; estimate a function"),
    (lambda: OWN.mode_masses(None), "does not tell modes apart; estimate a function"),
    (lambda: lt.exact.log_z(OWN), r"log Z of Density\(dim=2\) is not known; give it as log_z="),
    (lambda: lt.exact.energy(MIXTURE), "log_z and samples may be known, and no mean energy"),
    (lambda: lt.AnnealingPath(OWN), r"no uniform start; give start=lt.Gaussian\(scale\)"),
    (
        lambda: lt.save(sampler_of(OWN, lt.Gaussian()), "none"),
        r"@lt.register\('model', 'ring'\) above",
    ),
    (lambda: MIXTURE.at(0.5), "beta of GaussianMixture must be 1, since the density holds it"),
    (lambda: MIXTURE.energy(ZEROS), r"shape \(walkers, 1\), got \(3, 2\)"),
    (lambda: MIXTURE.energy(ZEROS[:, :1].float()), "must be a tensor of torch.float64"),
    (lambda: MIXTURE.energy(ZEROS[:, :1] / 0.0), "must be finite, got NaN"),
    (lambda: MIXTURE.sample(0), "walkers must be an integer of at least 1, got 0"),
    (lambda: MIXTURE.sample(2, seed=-1), "seed must be an integer in"),
    (lambda: lt.GaussianMixture([1.0, 2.0], 1.0), r"means must be numbers \(modes, dim\)"),
    (lambda: lt.GaussianMixture("one", 1.0), r"means must be numbers \(modes, dim\)"),
    (lambda: lt.GaussianMixture([[1.0], [2.0]], [1.0, 0.0]), "scales must be above 0"),
    (lambda: lt.GaussianMixture([[1.0], [2.0]], 1.0, [1.0]), r"weights must have shape \(2,\)"),
    (lambda: lt.ManyWell(5), "dim must be even, half of it wells; or give wells="),
    (lambda: lt.ManyWell(6, 4), "wells must be an integer from 1 to 3, got 4"),
    (lambda: lt.ManyWell(64).modes(ZEROS), r"2\*\*32 modes are too many"),
    (lambda: lt.ManyWell(32).mode_masses(None), "65536 modes of .* are more than 1024"),
    (lambda: lt.Funnel(1), "dim must be an integer of at least 2, got 1"),
    (lambda: lt.Funnel(scale=0.0), "scale must be a positive number"),
    (lambda: lt.LaplacePair(-1.0), "separation must be a positive number, got -1"),
    (lambda: MIXTURE.heat_bath(ZEROS, ZEROS, None), "heat bath sweeps need a model with q states"),
    (lambda: MIXTURE.metropolis(ZEROS, ZEROS, None), "Metropolis sweeps need a model with q"),
    (lambda: lt.models.densities.DensityModel(2).energy(ZEROS), "needs log_density"),
]


@pytest.mark.parametrize(("make", "message"), BAD)
def test_bad_input_is_told_apart(make: Any, message: str) -> None:
    with pytest.raises((ValueError, NotImplementedError), match=message):
        make()
