"""Parallel tempering: the product of laws, exchanges by their law, and its book-keeping.

Statistical tests have fixed seeds and raise a false alarm with probability 1e-4 each.
"""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from helpers import (
    draw,
    heat_bath_matrix,
    index_of,
    pulls,
    rho,
    sigma_threshold,
    small_models,
    states,
)
from leaps_triton import exact

FLOAT64 = torch.float64
RING = lt.EdwardsAnderson(
    3, beta=1.2, disorder="gaussian", seed=2, field=torch.tensor([0.4, -0.2, 0.1])
)
POTTS = lt.Potts(2, q=3, beta=0.9, field=[0.3, 0.0, -0.2], periodic=False)


def exchange_matrix(model: Any, times: tuple[float, float]) -> Tensor:
    """Two replicas exchanged with probability ``min(1, ratio of the products of laws)``."""
    first, second = (rho(model, t) for t in times)
    n = len(first)
    ratio = torch.outer(second, first) / torch.outer(first, second)
    accepted = ratio.clamp(max=1.0)
    matrix = torch.diag((1.0 - accepted).flatten())
    for i in range(n):
        for j in range(n):
            matrix[i * n + j, j * n + i] += accepted[i, j]
    return matrix


@pytest.mark.parametrize("model", [RING, POTTS], ids=["ring", "potts"])
@pytest.mark.parametrize("t", [1.0, 0.6])
def test_a_step_is_the_kernel_and_an_exchange(model: Any, t: float) -> None:
    path, x, n = lt.AnnealingPath(model), states(model), 30000
    times = (0.4 * t, t)
    product = torch.outer(*(rho(model, time) for time in times)).flatten()
    exchange = exchange_matrix(model, times)
    flow = product.unsqueeze(1) * exchange
    assert (flow - flow.T).abs().max() < 1e-15
    moves = torch.kron(*(heat_bath_matrix(path, time) for time in times))
    assert (product @ moves @ exchange - product).abs().max() < 1e-14
    kernel = lt.ParallelTempering([0.4, 1.0], lt.HeatBath())
    start = torch.stack([x[1], x[len(x) - 2]])
    state = kernel.init(start[1].expand(n, *x.shape[1:]), torch.arange(n))
    state = state._replace(replicas=start.expand(n, *start.shape))
    state, info = kernel.step(state, path, t, seed=1)
    rows = index_of(state.replicas.flatten(0, 1), model.q).view(n, 2)
    law = (moves @ exchange)[len(x) + len(x) - 2]
    found = pulls(rows[:, 0] * len(x) + rows[:, 1], law)
    assert found.abs().max() < sigma_threshold(len(found))
    assert 0.1 < info.accepted.double().mean() < 0.99


KERNELS: dict[str, Any] = {
    "heat bath": lt.HeatBath(),
    "clusters": lt.SwendsenWang(),
    "kinetic": lt.KineticMonteCarlo(0.5),
    "Houdayer": lt.Compose(lt.HeatBath(), lt.Houdayer()),
}


@pytest.mark.parametrize("inner", list(KERNELS))
def test_every_temperature_keeps_its_law(inner: str) -> None:
    """From exact samples at three times; walkers of different target times too."""
    model, n, fractions = small_models()["pm1 3x3"], 12000, (0.2, 0.7, 1.0)
    kernel, path, x = (
        lt.ParallelTempering(fractions, KERNELS[inner]),
        lt.AnnealingPath(model),
        states(model),
    )
    replicas = torch.stack(
        [x[draw(rho(model, f), n, seed=k)] for k, f in enumerate(fractions)], dim=1
    )
    state = kernel.init(replicas[:, -1], torch.arange(n))._replace(replicas=replicas)
    made = 0.0
    for _ in range(4):
        state, info = kernel.step(state, path, 1.0, seed=3)
        made += float(info.accepted.double().mean())
    assert made > 0.5
    for k, f in enumerate(fractions):
        found = pulls(index_of(state.replicas[:, k], 2), rho(model, f))
        assert found.abs().max() < sigma_threshold(3 * len(found))
    assert torch.equal(state.replicas[:, -1], state.configurations)


def test_replicas_find_the_target_from_the_hot_end() -> None:
    """Two deep wells that heat bath alone does not cross.

    With replicas both are visited, in the right proportion.
    """
    model, n = lt.Ising((3, 3), beta=2.0, field=0.01), 2000
    path, walkers = lt.AnnealingPath(model), torch.arange(n)
    up = torch.ones(n, 3, 3, dtype=torch.int8)
    alone, kernel = lt.HeatBath(), lt.ParallelTempering([0.0, 0.1, 0.2, 0.35, 0.6, 1.0])
    state, chain = kernel.init(up, walkers), alone.init(up, walkers)
    for _ in range(60):
        state, _ = kernel.step(state, path, 1.0, seed=4)
        chain, _ = alone.step(chain, path, 1.0, seed=4)
    share = float(rho(model) @ (states(model).flatten(1).sum(1) > 4).double())
    ups = (state.configurations.flatten(1).sum(1) > 4).double()
    assert abs(float(ups.mean()) - share) < sigma_threshold(1) * math.sqrt(share * (1 - share) / n)
    assert (chain.configurations.flatten(1).sum(1) > 4).double().mean() > 0.99 > share + 0.2
    assert (state.arrivals > 0).double().mean() > 0.5


def test_exchanges_alternate_and_are_counted() -> None:
    """At β = 0 all are made: replicas march through the times, one step a round."""
    path, walkers = lt.AnnealingPath(lt.Ising(4, beta=0.0)), torch.arange(3)
    kernel = lt.ParallelTempering([0.1, 0.2, 0.5, 1.0], lt.HeatBath())
    state = kernel.init(path.start.sample(walkers, seed=1), walkers)
    assert (
        state.replicas.shape == (3, 4, 4)
        and state.rising.tolist() == [[True, False, False, False]] * 3
    )
    arrivals = []
    for step in range(8):
        state, info = kernel.step(state, path, 1.0, seed=2)
        assert info.tried.tolist() == [step % 2 == 0, step % 2 == 1, step % 2 == 0]
        assert torch.equal(info.accepted, info.tried.expand(3, 3))
        arrivals.append(state.arrivals.tolist())
    # The replica of the first time is at the target after three rounds, and the next two, each two
    # rounds later.
    assert arrivals == [[0] * 3] * 2 + [[1] * 3] * 2 + [[2] * 3] * 2 + [[3] * 3] * 2
    assert state.exchanges == state.sweep == 8


def test_the_target_follows_the_configurations_given() -> None:
    """As other kernels it moves on from where ``configurations`` are."""
    path, walkers = lt.AnnealingPath(RING), torch.arange(20)
    kernel = lt.ParallelTempering([0.5, 1.0])
    state = kernel.init(path.start.sample(walkers, seed=1), walkers)
    other = path.start.sample(walkers, seed=2)
    one, _ = kernel.step(state._replace(configurations=other), path, 1.0, seed=3)
    two, _ = kernel.step(
        state._replace(
            configurations=other, replicas=torch.stack([state.replicas[:, 0], other], 1)
        ),
        path,
        1.0,
        seed=3,
    )
    assert torch.equal(one.replicas, two.replicas)


def test_times_are_numbers_or_one_a_walker() -> None:
    path, walkers = lt.AnnealingPath(RING, schedule=lambda t: t**2), torch.arange(20)
    kernel = lt.ParallelTempering([0.5, 1.0], lt.HeatBath(2))
    state = kernel.init(path.start.sample(walkers, seed=1), walkers)
    same = [
        kernel.step(state, path, t, seed=5)[0] for t in (0.6, torch.full((20,), 0.6, dtype=FLOAT64))
    ]
    assert torch.equal(same[0].replicas, same[1].replicas) and same[0].sweep == 2
    each, _ = kernel.step(state, path, torch.tensor([0.6, 1.0], dtype=FLOAT64).repeat(10), seed=5)
    assert torch.equal(each.replicas[::2], same[0].replicas[::2])
    assert not torch.equal(each.replicas, same[0].replicas)


def test_a_chain_of_it_has_the_energy_of_the_model() -> None:
    """4 × 4 with ±J at low temperature, against enumeration; walkers are independent."""
    model, n = lt.EdwardsAnderson((4, 4), beta=1.5, seed=1), 400
    path, walkers = lt.AnnealingPath(model), torch.arange(n)
    kernel = lt.ParallelTempering(
        [0.2, 0.4, 0.6, 0.8, 1.0], lt.Compose(lt.HeatBath(), lt.Houdayer())
    )
    state = kernel.init(path.start.sample(walkers, seed=1), walkers)
    values = []
    for step in range(60):
        state, _ = kernel.step(state, path, 1.0, seed=6)
        if step >= 30:
            values.append(model.energy(state.configurations))
    # Houdayer couples the two walkers of a pair.
    means = torch.stack(values).mean(0).view(-1, 2).mean(1)
    error = float(means.std()) / math.sqrt(len(means))
    assert (
        abs(float(means.mean()) - 16 * float(exact.expectation(model, lt.observables.energy)))
        < 4 * error
        < 0.5
    )


@pytest.mark.parametrize(
    "fractions", [[1.0], [0.5, 0.5, 1.0], [1.0, 0.5], [-0.1, 1.0], [0.2, 0.9], ["a", 1.0], None]
)
def test_fractions_that_are_refused(fractions: Any) -> None:
    with pytest.raises(
        ValueError, match="fractions must increase from at least 0 to 1, two or more, got"
    ):
        lt.ParallelTempering(fractions)


LADDER = [0.0, 0.3, 0.7, 1.2]


def test_betas_and_fractions_are_one_ladder() -> None:
    """The same chain, bit for bit, whichever of both tells its temperatures."""
    names = ["energy", "replica_energies"]
    chains = []
    for move in (
        lt.ParallelTempering(betas=LADDER),
        lt.ParallelTempering([beta / 1.2 for beta in LADDER]),
    ):
        chain = lt.run_chain(RING, move, 8, 20, observables=names, device="cpu")
        assert chain.betas == pytest.approx(LADDER, abs=1e-15)
        chains.append(chain)
    for name in names:
        assert torch.equal(chains[0].values[name], chains[1].values[name])
    assert lt.run_chain(RING, lt.HeatBath(), 2, 5, device="cpu").betas == (1.2,)


def test_betas_hold_on_a_path_of_any_schedule() -> None:
    """β_t = t² β: betas are inverse temperatures there too, and fractions are times."""
    path, walkers = lt.AnnealingPath(RING, schedule=lambda t: t**2), torch.arange(20)
    start = path.start.sample(walkers, seed=1)
    after = []
    for move in (
        lt.ParallelTempering(betas=LADDER[1:]),
        lt.ParallelTempering([(beta / 1.2) ** 0.5 for beta in LADDER[1:]]),
    ):
        after.append(move.step(move.init(start, walkers), path, 1.0, seed=2)[0])
    assert torch.equal(after[0].replicas, after[1].replicas)


def test_without_exchanges_replicas_are_chains_of_their_own() -> None:
    """Each is moved by the same random numbers as alone, and none is exchanged."""
    alone = lt.ParallelTempering(betas=LADDER, move=lt.HeatBath(), exchange=False)
    path, walkers = lt.AnnealingPath(RING), torch.arange(6)
    state = alone.init(path.start.sample(walkers, seed=1), walkers)
    after, info = alone.step(state, path, 1.0, seed=2)
    assert not info.tried.any() and not info.accepted.any() and after.exchanges == 0
    for place, beta in enumerate(LADDER):
        heat_bath = lt.HeatBath()
        one = heat_bath.init(state.replicas[:, place], walkers * len(LADDER) + place)
        expected, _ = heat_bath.step(one, path, beta / 1.2, seed=2)
        assert torch.equal(after.replicas[:, place], expected.configurations)


def test_a_chain_says_what_its_ladder_says() -> None:
    """Observables, exchange rates and log Z at every β, none of them divided by hand."""
    names = ["replica_energies", "energy_at_betas", "specific_heat_at_betas", "magnetization"]
    model = lt.EdwardsAnderson((3, 3), beta=1.2, seed=1)
    chain = lt.run_chain(
        model, lt.ParallelTempering(betas=LADDER), 32, 200, observables=names, seed=3, device="cpu"
    )
    # Totals and energies per site are the same draws.
    energies = chain.values["replica_energies"]
    assert torch.allclose(chain.values["energy_at_betas"] * 9, energies, atol=1e-12)
    assert chain.values["specific_heat_at_betas"].shape == (32, 200, 4, 2)
    # Twelve pulls of 10 degrees of freedom; beyond 4.2σ one in 3000 such tests would lie.
    pulls = []
    first = exact.log_z(model.at(0.0))
    ratios = chain.log_z_ratios()
    for one, ratio, beta in zip(chain.by_beta, ratios, LADDER, strict=True):
        assert one.model.beta == beta and one.names == ["energy", "specific_heat"]
        pulls.append(ratio.pull(exact.log_z(one.model) - first))
        if beta:
            pulls.append(one.estimate("energy").pull(exact.energy(one.model)))
            pulls.append(one.estimate("specific_heat").pull(exact.specific_heat(one.model)))
    found = [abs(pull) for pull in pulls if not math.isnan(pull)]
    assert len(found) == 9 and max(found) < 4.2
    rates = chain.exchange_rates()
    assert len(rates) == 3 and all(0.0 < rate.value < 1.0 for rate in rates)


def test_betas_that_are_refused() -> None:
    with pytest.raises(ValueError, match="betas must increase from at least 0"):
        lt.ParallelTempering(betas=[0.3, 0.1])
    with pytest.raises(ValueError, match="give either betas or fractions"):
        lt.ParallelTempering([0.5, 1.0], betas=[0.1, 0.2])
    with pytest.raises(ValueError, match=r"must end at the model's own beta = 1.2, got \[0.1, 0.2"):
        lt.run_chain(RING, lt.ParallelTempering(betas=[0.1, 0.2]), 2, 5, device="cpu")
    with pytest.raises(ValueError, match="observable energy_at_betas takes replicas at several"):
        lt.run_chain(RING, lt.HeatBath(), 2, 5, observables=["energy_at_betas"], device="cpu")
    half = lt.ParallelTempering([0.5, 1.0])
    chain = lt.run_chain(RING, half, 2, 5, observables=["energy"], device="cpu")
    with pytest.raises(ValueError, match="energies of replicas were not measured, only energy"):
        chain.exchange_rates()


def test_where_it_is_refused() -> None:
    path = lt.AnnealingPath(RING)
    kernel = lt.ParallelTempering([0.5, 1.0])
    with pytest.raises(
        ValueError,
        match="ParallelTempering cannot be the move of a sampler: the replicas of a",
    ):
        lt.Sampler(path, None, mcmc=kernel)
    with pytest.raises(
        ValueError, match="ParallelTempering has a state of its own; put ParallelTempering into it"
    ):
        lt.ParallelTempering([0.5, 1.0], kernel).init(
            torch.zeros(2, 3, dtype=torch.int8), torch.arange(2)
        )
    houdayer = lt.ParallelTempering([0.5, 1.0], lt.Houdayer())
    with pytest.raises(ValueError, match="t must be the same for both"):
        houdayer.step(
            houdayer.init(torch.zeros(3, 3, dtype=torch.int8), torch.arange(3)), path, 1.0, seed=0
        )
