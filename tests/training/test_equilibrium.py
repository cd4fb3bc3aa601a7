"""Equilibrium samples along a path, against exact energies."""

from typing import Any

import pytest
import torch

import leaps_triton as lt
from leaps_triton.training import EQUILIBRIA, equilibrate

TIMES = [0.3, 0.6, 1.0]

OF_SPINS = [name for name in EQUILIBRIA if name != "hmc"]


@pytest.mark.parametrize("refresh", OF_SPINS)
@pytest.mark.parametrize(
    "model",
    [lt.Ising((3, 3), beta=0.5), lt.EdwardsAnderson((3, 3), beta=0.7, seed=1)],
    ids=["ising", "glass"],
)
def test_energies_are_those_of_every_time(model: Any, refresh: str) -> None:
    path = lt.AnnealingPath(model)
    walkers = 400
    effort = 1.0
    if refresh == "tempering":
        # So small a lattice forgets in a few steps.
        effort = 0.1
    samples = equilibrate(path, TIMES, walkers, refresh, 3, effort=effort, device="cpu")
    assert samples.configurations.shape == (3, walkers, 3, 3)
    assert samples.configurations.dtype == torch.int8 and samples.t.tolist() == TIMES
    for x, beta in zip(samples.configurations, path.beta(samples.t).tolist(), strict=True):
        energies = model.energy(x)
        error = energies.std() / walkers**0.5
        # 24 of these: one in 660 seeds would have one beyond 4 standard errors.
        assert abs(energies.mean() - 9 * lt.exact.energy(model.at(beta))) < 4 * error


def test_a_graph_has_the_samples_of_its_lattice() -> None:
    generator = torch.Generator().manual_seed(5)
    coupling = torch.randn(2, 3, 4, generator=generator, dtype=torch.float64)
    graph = lt.Graph.with_neighbours((3, 4), [(1, 0), (0, 1)])
    models = [lt.Ising((3, 4), 0.4, coupling), lt.Ising(graph, 0.4, coupling.flatten())]
    found = []
    for model in models:
        made = equilibrate(lt.AnnealingPath(model), TIMES, 20, "heat_bath", 3, device="cpu")
        found.append(made.configurations.flatten(2))
    assert torch.equal(*found)


def test_a_graph_with_fewer_neighbours_at_its_ends() -> None:
    graph = lt.Graph.triangular((3, 3), periodic=False)
    path = lt.AnnealingPath(lt.EdwardsAnderson(graph, beta=0.7, seed=1))
    energies = path.model.energy(equilibrate(path, [1.0], 400, device="cpu").configurations[0])
    # Beyond 4 standard errors in one of 16 000 seeds.
    assert abs(energies.mean() - 9 * lt.exact.energy(path.model)) < 4 * energies.std() / 20


@pytest.mark.parametrize("refresh", OF_SPINS)
def test_walkers_are_the_same_alone_and_among_others(refresh: str) -> None:
    path = lt.AnnealingPath(lt.Ising((2, 3), beta=0.5))
    together = equilibrate(path, TIMES, 6, refresh, seed=3, effort=0.1, device="cpu")
    index = torch.tensor([5, 2])
    part = equilibrate(path, TIMES, index, refresh, seed=3, effort=0.1, device="cpu")
    assert torch.equal(part.configurations, together.configurations[:, index])
    other = equilibrate(path, TIMES, 6, refresh, seed=4, effort=0.1, device="cpu")
    assert not torch.equal(other.configurations, together.configurations)


def test_any_schedule_and_a_single_time_will_do() -> None:
    model = lt.Clock((2, 3), q=4, beta=0.5)
    path = lt.AnnealingPath(model, schedule=lambda t: t**2)
    for refresh in ("heat_bath", "tempering", "exact"):
        samples = equilibrate(path, [0.5], 200, refresh, 1, effort=0.1, device="cpu")
        energies = model.energy(samples.configurations[0])
        wanted = 6 * lt.exact.energy(model.at(0.125))
        # Three of these: one seed in 5 000.
        assert abs(energies.mean() - wanted) < 4 * energies.std() / 200**0.5


def test_progress_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    path = lt.AnnealingPath(lt.Ising((2, 3), beta=0.5))
    equilibrate(path, TIMES, 2, "heat_bath", progress=True, effort=0.1, device="cpu")
    # Short work elsewhere than on a terminal is done in silence.
    assert capsys.readouterr().err == ""


def test_what_cannot_be_is_refused() -> None:
    path = lt.AnnealingPath(lt.Ising((2, 3), beta=0.5))
    with pytest.raises(ValueError, match="refresh must be one of swendsen_wang, heat_bath"):
        equilibrate(path, TIMES, 2, "heat bath")
    for times in ([0.5, 0.5], [-0.1, 1.0], [0.5, 1.1], [], 0.5):
        with pytest.raises(ValueError, match="t must be increasing times"):
            equilibrate(path, times, 2)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="walkers"):
        equilibrate(path, TIMES, 0)
    with pytest.raises(ValueError, match="effort must be a positive number"):
        equilibrate(path, TIMES, 2, effort=0.0)
    with pytest.raises(ValueError, match="t must be a time above 0 at the end"):
        equilibrate(path, [0.0], 2, "tempering")
    table = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    lopsided = lt.AnnealingPath(lt.PairModel((2, 3), 0.5, table))
    with pytest.raises(ValueError, match="take HeatBath"):
        equilibrate(lopsided, TIMES, 2)
