"""Training on nodes, by Gauss-Newton and others: drifts, learned paths, all residuals, files."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import leaps_triton as lt
from curve_cases import pull
from leaps_triton.report import figures
from leaps_triton.training import read_history, residual
from leaps_triton.training.data.draws import Draws
from leaps_triton.training.data.nodes import NodeBuffer
from leaps_triton.training.losses import physics_informed
from leaps_triton.training.optimizers.gauss_newton import NormalEquations
from leaps_triton.training.optimizers.proposals import Request
from leaps_triton.training.residuals import hamilton_jacobi, with_noise

MODEL = lt.GaussianMixture.two(1.5)

SMALL: dict[str, Any] = {
    "steps": 14,
    "adam_steps": 10,
    "bins": 8,
    "buffer": 64,
    "times": 4,
    "walkers": 16,
    "evaluation_walkers": 64,
    "evaluation_block": 64,
    "seed": 2,
}


def path_of(kind: str) -> Any:
    start = lt.Gaussian(1.0)
    if kind == "annealed":
        return lt.AnnealingPath(MODEL, start=start)
    energy = lt.LearnedEnergy(MODEL, width=6)
    if kind == "free":
        return lt.AnnealingPath(MODEL, start=start, correction=energy)
    return lt.GradientFlowPath(MODEL, energy, start=start)


def trainer_of(kind: str, potential: bool = False, **changes: Any) -> lt.Trainer:
    drift: Any = None
    path = path_of(kind)
    if kind != "flow":
        drift = lt.DenseDrift(MODEL, width=6, potential=potential)
    if "diffusion" in changes:
        drift = lt.integrators.WithoutNoise(path, drift, changes["diffusion"])
    integrator = lt.PathRatio(4)
    sampler = lt.Sampler(path, drift, integrator=integrator, device="cpu")
    return lt.Trainer(sampler, lt.TrainingConfig.gauss_newton(**{**SMALL, **changes}))


def parameters(trainer: lt.Trainer) -> Tensor:
    return torch.cat([each.detach().flatten() for each in trainer.network.parameters()])


def test_the_normal_equations_are_those_of_damped_least_squares() -> None:
    generator = torch.Generator().manual_seed(0)
    jacobian = torch.randn(40, 7, generator=generator, dtype=torch.float64)
    r = torch.randn(40, generator=generator, dtype=torch.float64)
    matrix = jacobian.T @ jacobian
    equations = NormalEquations(matrix, jacobian.T @ r, float(r @ r))
    found = equations.solved(0.3)
    assert found is not None
    # Least squares with a row √(μ D) for each parameter.
    diagonal = matrix.diagonal()
    extra = torch.diag((0.3 * (diagonal + 1e-6 * diagonal.mean())).sqrt())
    rows = torch.cat([jacobian, extra])
    right = torch.cat([r, torch.zeros(7, dtype=torch.float64)])
    torch.testing.assert_close(found, torch.linalg.lstsq(rows, right).solution)
    # Without damping, of a singular matrix that is negative by rounding there is no solution.
    assert NormalEquations(-matrix, r[:7], 1.0).solved(0.3) is None


def test_nodes_weigh_the_densities_of_the_path() -> None:
    """Moments of the target by nodes: the sum over a net is near the integral."""
    config = lt.TrainingConfig.gauss_newton(**{**SMALL, "buffer": 512})
    buffer = NodeBuffer(path_of("annealed"), config, torch.device("cpu"))
    buffer.prepare(lt.DenseDrift(MODEL, width=6), Draws(2, 0))
    batch = buffer.whole()
    assert batch.weights is not None
    assert float((batch.weights.sum(1) - 1.0).abs().max()) < 1e-12
    # Every time is in its own part of [0, 1].
    assert torch.equal((batch.t * 8).long(), torch.arange(8))
    exact = NodeBuffer(path_of("annealed"), config, torch.device("cpu"))
    exact.configurations = buffer.configurations
    exact.t = torch.ones(8, dtype=torch.float64)
    means = (exact.weights().unsqueeze(2) * exact.configurations).sum(1)
    # 0.8 · 1.5 - 0.2 · 1.5; a net of 512 points errs by far less than 0.05 = 1 / √512.
    assert float((means - 0.9).abs().max()) < 0.01


def test_nodes_may_be_at_the_ends_of_time() -> None:
    config = lt.TrainingConfig.gauss_newton(**{**SMALL, "bins": 10}, end_times=True)
    t = NodeBuffer(path_of("annealed"), config, torch.device("cpu")).t
    assert (float(t[0]), float(t[-1])) == (0.0, 1.0)
    # Every other time is in its own part of [0, 1].
    assert torch.equal((t[1:-1] * 8).long(), torch.arange(8))
    # Weights there are those of the start and of the target, and residuals are finite.
    history = trainer_of("free", end_times=True, steps=14).run()
    assert history.loss[-1] < history.loss[10]
    with pytest.raises(ValueError, match="end_times must be a bool"):
        lt.TrainingConfig.gauss_newton(end_times=2)


def test_batches_of_nodes_follow_their_weights() -> None:
    """The mean over drawn nodes is that by weights, within 4 sigma: by chance in 6e-5 of seeds."""
    trainer = trainer_of("annealed", buffer=256, walkers=512)
    buffer = trainer.buffer
    buffer.prepare(lt.DenseDrift(MODEL, width=6), Draws(2, 0))
    batch = buffer.batch(Draws(2, 0), 1.0, None)
    assert batch.configurations.shape == (4, 512, 1)
    assert isinstance(buffer, NodeBuffer)
    last = batch.configurations[-1, :, 0]
    row = int((buffer.t == batch.t[-1]).nonzero())
    expected = float(buffer.weights()[row] @ buffer.configurations[row, :, 0])
    assert abs(float(last.mean()) - expected) < 4.0 * float(last.std()) / 512**0.5


@pytest.mark.parametrize("diffusion", [0.0, 0.7])
def test_batches_bring_what_their_path_says(diffusion: float) -> None:
    """What was computed for all nodes at once is what the path says of those that are drawn."""
    changes: dict[str, Any] = {"optimizer": "adam"}
    if diffusion:
        changes["diffusion"] = diffusion
    trainer = trainer_of("annealed", **changes)
    trainer.buffer.prepare(trainer.network, Draws(2, 0))
    batch = trainer.buffer.batch(Draws(2, 0), 1.0, None)
    assert batch.physics is not None
    transport = trainer.trained.transport
    given = (trainer.sampler.path, transport, batch.configurations, batch.t)
    computed = physics_informed(*given, diffusion=diffusion)
    looked_up = physics_informed(*given, diffusion=diffusion, physics=batch.physics)
    torch.testing.assert_close(looked_up, computed, rtol=1e-12, atol=0.0)
    # A part of a batch has its own.
    request = Request(batch, Draws(2, 0), None, None).part(1, 2)
    assert request.batch.physics is not None
    assert torch.equal(request.batch.physics.score, batch.physics.score[2:])
    # A learned path moves with every step.
    curved = trainer_of("free", optimizer="adam")
    curved.buffer.prepare(curved.network, Draws(2, 0))
    assert curved.buffer.batch(Draws(2, 0), 1.0, None).physics is None


def test_gauss_newton_goes_down_on_nodes_and_on_fresh_ones() -> None:
    trainer = trainer_of("annealed", steps=30)
    history = trainer.run()
    assert history.test_step == [0, 30]
    assert history.learning_rate[10:] == [1.0] * 20
    # Steps that fail are left out, so that the loss never rises.
    newton = history.loss[10:]
    assert all(after <= before for before, after in itertools.pairwise(newton))
    assert history.test_residual[-1] < 0.5 * history.test_residual[0]
    assert history.test_residual[-1] < 2.0 * history.node_residual[-1]
    found = figures.training({"a": history})
    assert found is not None
    assert len(found.axes) == 2


@pytest.mark.parametrize("kind", ["annealed", "free", "flow"])
def test_a_training_on_nodes_goes_on_from_its_file(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "training.safetensors"
    whole = trainer_of(kind)
    whole.run()
    for stop in (4, 12):
        half = trainer_of(kind)
        half.run(stop)
        half.save(file)
        rest = trainer_of(kind)
        rest.resume(file)
        rest.run()
        assert torch.equal(parameters(rest), parameters(whole))
        assert rest.history.test_residual == whole.history.test_residual
    rest.save(file)
    assert read_history(file) == whole.history


@pytest.mark.parametrize("kind", ["free", "flow"])
def test_paths_are_learned(kind: str) -> None:
    trainer = trainer_of(kind)
    path: Any = trainer.sampler.path
    learned = [each.detach().clone() for each in path.learned.parameters()]
    history = trainer.run()
    assert history.loss[-1] < history.loss[10]
    moved = zip(learned, path.learned.parameters(), strict=True)
    assert all(not torch.equal(before, after) for before, after in moved)
    # Both ends are where they were.
    x = torch.linspace(-3.0, 3.0, 7, dtype=torch.float64).unsqueeze(1)
    torch.testing.assert_close(path.log_density(x, 1.0), MODEL.log_density(x))


def test_an_average_of_a_learned_path_has_parameters_of_its_own(tmp_path: Path) -> None:
    changes: dict[str, Any] = {"optimizer": "adam", "ema": 0.9, "steps": 6}
    whole = trainer_of("free", **changes)
    whole.run()
    average = whole.average
    assert average is not None
    both = zip(whole.network.parameters(), average.parameters(), strict=True)
    assert all(not torch.equal(one, other) for one, other in both)
    half = trainer_of("free", **changes)
    half.run(3, checkpoint=tmp_path / "a.safetensors")
    rest = trainer_of("free", **changes)
    rest.resume(tmp_path / "a.safetensors")
    rest.run()
    assert torch.equal(parameters(rest), parameters(whole))
    again = rest.average
    assert again is not None
    both = zip(again.parameters(), average.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in both)


@pytest.mark.parametrize("optimizer", ["adam", "spring"])
def test_learned_paths_are_trained_on_chains(optimizer: str) -> None:
    changes: dict[str, Any] = {
        "refresh": "hmc",
        "bins": 2,
        "buffer": 16,
        "damping": 1e-3,
        "steps": 3,
    }
    history = trainer_of("free", optimizer=optimizer, **changes).run()
    assert len(history.loss) == 3
    assert not history.test_residual


class Written(nn.Module):
    """A drift that is written down: that of a Gaussian whose width goes from 1 to ``s``."""

    kind = "drift"

    def __init__(self, s: float) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(s - 1.0, dtype=torch.float64))

    def rate(self, t: Tensor) -> Tensor:
        """Return ``b / x``."""
        return self.slope / (1.0 + self.slope * t)

    def forward(self, x: Tensor, conditions: lt.Conditions) -> tuple[Tensor, Tensor]:
        """Return ``b`` and its divergence."""
        rate = self.rate(conditions.t).expand(len(x))
        return rate.unsqueeze(1) * x, rate * x.shape[1]

    def potential(self, x: Tensor, conditions: lt.Conditions) -> Tensor:
        """Return ``Φ``."""
        return 0.5 * self.rate(conditions.t) * x.square().sum(1)


def test_optimal_transport_of_gaussians_solves_hamilton_jacobi() -> None:
    """And with noise ``½σ²ΔΦ`` is constant over x, so that what is left is too."""
    path = lt.AnnealingPath(lt.GaussianMixture([[0.0, 0.0]], 2.0), start=lt.Gaussian(1.0))
    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    t = torch.linspace(0.1, 0.9, 5, dtype=torch.float64)
    drift = Written(2.0)
    assert float(hamilton_jacobi(path, drift, x, t).detach().abs().max()) < 1e-12
    noisy = hamilton_jacobi(path, drift, x, torch.tensor([0.3]).double(), 0.7).detach()
    assert float((noisy - noisy[0]).abs().max()) < 1e-12


@pytest.mark.parametrize("kind", ["annealed", "free"])
def test_noise_turns_one_residual_into_the_other(kind: str) -> None:
    """With ``μ = b + ½σ²∇V`` the terms of noise cancel."""
    path = path_of(kind)
    drift = lt.DenseDrift(MODEL, width=6)
    x = torch.linspace(-2.0, 2.0, 9, dtype=torch.float64).unsqueeze(1)
    t = torch.linspace(0.1, 0.9, 9, dtype=torch.float64)
    sigma = 0.8
    # Second derivatives of V by differences.
    h = 1e-4
    curvature = (path.score(x + h, t) - path.score(x - h, t)).squeeze(1) / (2.0 * h)

    def shifted(configurations: Tensor, conditions: lt.Conditions) -> tuple[Tensor, Tensor]:
        b, divergence = drift(configurations, conditions)
        mu = b + 0.5 * sigma**2 * path.score(configurations, t)
        return mu, divergence + 0.5 * sigma**2 * curvature

    shifted.kind = "drift"  # type: ignore[attr-defined]
    found = with_noise(path, shifted, x, t, sigma)
    torch.testing.assert_close(found, residual(path, drift, x, t), rtol=1e-6, atol=1e-6)


def test_all_terms_go_down_together() -> None:
    changes: dict[str, Any] = {"hamilton_jacobi": 0.1, "diffusion": 0.5, "steps": 14}
    newton = trainer_of("free", potential=True, **changes).run()
    assert newton.test_residual[-1] < newton.test_residual[0]
    assert newton.test_residual[-1] < 2.0 * newton.node_residual[-1]
    adam = trainer_of("free", potential=True, optimizer="adam", **changes).run()
    assert len(adam.loss) == 14


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"refresh": "hmc"}, "refresh must be 'nodes', got 'hmc'"),
        ({"ema": 0.9}, "ema must be 0.0, got 0.9"),
        ({"held_out": 4}, "nodes have fresh ones of their own"),
        ({"optimizer": "spring", "hamilton_jacobi": 1.0}, "'spring' does not take"),
        ({"loss": "action_matching", "optimizer": "adam", "diffusion": 1.0}, "diffusion is of the"),
        ({"box": -1.0}, "box must be 0 or a positive number"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lt.TrainingConfig.gauss_newton(**settings)


def test_what_nodes_cannot_be_of_is_refused() -> None:
    drift = lt.DenseDrift(MODEL, width=60)
    sampler = lt.Sampler(path_of("annealed"), drift, integrator=lt.PathRatio(4), device="cpu")
    with pytest.raises(ValueError, match="at most 3000 of them"):
        lt.Trainer(sampler, lt.TrainingConfig.gauss_newton(**SMALL))
    ising = lt.Ising((4, 4), beta=0.3)
    rates = lt.HollowConv(ising, kernel_size=3, channels=4, width=8, modes=0)
    sampler = lt.Sampler(lt.AnnealingPath(ising), rates, integrator=lt.Jump(5), device="cpu")
    with pytest.raises(ValueError, match="refresh 'nodes' needs real configurations"):
        lt.Trainer(sampler, lt.TrainingConfig(refresh="nodes"))


def test_a_box_that_is_too_small_is_told(caplog: pytest.LogCaptureFixture) -> None:
    trainer = trainer_of("annealed", box=1.2, steps=1, buffer=16)
    trainer.run()
    assert "near the border of the box" in caplog.text
    assert "nodes count" in caplog.text


@pytest.mark.parametrize("kind", ["annealed", "free", "flow"])
def test_weights_of_what_was_trained_are_exact(kind: str) -> None:
    """Within 3.5 sigma of quadrature: beyond by chance once in 2100 seeds, each of them."""
    trainer = trainer_of(kind, steps=50, adam_steps=40)
    trainer.run()
    trained = trainer.sampler
    # With less noise, weights along the flow have no variance, and no error to be measured by.
    rules: list[Any] = [lt.PathRatio(16, 1.0), lt.PathRatio(16, 1.0, momentum=8.0)]
    if kind != "flow":
        rules.append(lt.MapStep(3))
    for integrator in rules:
        sampler = lt.Sampler(trained.path, trained.transport, integrator, block=4096, device="cpu")
        found = sampler.sample(4096, seed=3)
        expected = MODEL.log_z - trained.path.start.log_z
        assert abs(pull(found.log_weights, expected)) < 3.5
        # The error is 7 % at most, so that a factor of 1.4 would be seen.
        assert found.ess > 0.05


def test_a_potential_trained_by_adam_goes_on_from_a_file(tmp_path: Path) -> None:
    """Its constant is in no gradient, and has moments in the file all the same."""
    changes: dict[str, Any] = {"optimizer": "adam", "steps": 4}
    whole = trainer_of("annealed", potential=True, **changes)
    whole.run()
    first = trainer_of("annealed", potential=True, **changes)
    first.run(2)
    first.save(tmp_path / "a.safetensors")
    rest = trainer_of("annealed", potential=True, **changes)
    rest.resume(tmp_path / "a.safetensors")
    rest.run()
    assert torch.equal(parameters(rest), parameters(whole))
