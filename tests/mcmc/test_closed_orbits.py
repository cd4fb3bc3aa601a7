"""Metropolis on lattices where sweeps that never rest run around closed orbits.

Statistical tests have fixed seeds and raise a false alarm with probability 1e-4 each: a normal
number is beyond 3.9 as rarely.
"""

from typing import Any

import pytest
import torch

import leaps_triton as lt

LIMIT = 3.9


def test_one_walker_on_a_ring_of_four_has_an_error() -> None:
    """Without a rest it says the same of every draw: 0 ± 0."""
    model = lt.Ising(4, 0.4)
    chain = lt.run_chain(model, lt.Metropolis(), 1, 300, seed=1, device="cpu")
    energy = chain.estimate("energy")
    assert energy.error > 0.0
    assert abs(energy.pull(lt.exact.energy(model))) < LIMIT


@pytest.mark.parametrize(("length", "exact"), [(2, None), (3, -1.4621)])
def test_small_lattices_have_their_energy(length: int, exact: float | None) -> None:
    """Per site on 3 × 3 -1.4621; sweeps that never rest give -1.4428."""
    model = lt.Ising((length, length), 0.4)
    expected = lt.exact.energy(model)
    if exact is not None:
        assert expected == pytest.approx(exact, abs=5e-5)
    chain = lt.run_chain(model, lt.Metropolis(), 400, 300, seed=2, device="cpu")
    energy = chain.estimate("energy")
    assert energy.error < 0.0045
    assert abs(energy.pull(expected)) < LIMIT


def diluted(isolated: int) -> lt.Ising:
    """Return an 8 × 8 ferromagnet of which so many sites have no bond."""
    for seed in range(1000):
        generator = torch.Generator().manual_seed(seed)
        coupling = (torch.rand(2, 8, 8, generator=generator) < 0.36).double()
        # A site owns the bonds in front of it; those behind it belong to neighbours.
        behind = coupling[0].roll(1, 0) + coupling[1].roll(1, 1)
        if int((coupling.sum(0) + behind == 0).sum()) == isolated:
            return lt.Ising((8, 8), 0.5, coupling=coupling)
    raise AssertionError("no such model among a thousand")


def test_isolated_spins_forget_where_they_started() -> None:
    """Without a rest eleven of 64 spins flip in every sweep, and are up at every even one."""
    model = diluted(11)
    up = torch.ones(60, 8, 8, dtype=torch.int8)
    chain = lt.run_chain(
        model,
        lt.Metropolis(),
        60,
        sweeps=300,
        thin=10,
        seed=3,
        burn_in=100,
        observables=["magnetization"],
        start=up,
        device="cpu",
    )
    magnetization = chain.estimate("magnetization")
    assert magnetization.error < 0.02
    assert abs(magnetization.pull(0.0)) < LIMIT


@pytest.mark.parametrize("move", [lt.Metropolis(), lt.HeatBath()], ids=["Metropolis", "heat bath"])
def test_the_hot_end_of_tempering_is_refreshed(move: Any) -> None:
    """At β = 0 a replica forgets: a site keeps a share 1 - 2ε of its past in a sweep, by sign."""
    walkers = 400
    tempering = lt.ParallelTempering([0.0, 1.0], move)
    path = lt.AnnealingPath(lt.Ising((4, 4), 0.4))
    index = torch.arange(walkers)
    state = tempering.init(torch.ones(walkers, 4, 4, dtype=torch.int8), index)
    hot = []
    for _ in range(50):
        state, _ = tempering.step(state, path, 1.0, seed=4)
        hot.append(2.0 * state.replicas[:, 0].double() - 1.0)
    # 0.75³⁰ is 2e-4; what comes from β = 0.4 is as often up as down. Spins of one replica may be
    # correlated where it has just come from there, so that errors are those of walkers.
    for first in (0, 19):
        overlap = (hot[first] * hot[first + 30]).flatten(1).mean(1)
        error = float(overlap.std()) / walkers**0.5
        assert abs(float(overlap.mean())) < LIMIT * error
    mean = hot[-1].flatten(1).mean(1)
    assert abs(float(mean.mean())) < LIMIT * float(mean.std()) / walkers**0.5


def test_a_hot_end_that_never_rests_is_never_refreshed() -> None:
    """The fault itself: all replicas at β = 0 flip all spins in every sweep."""
    move = lt.Metropolis(rest=0.0)
    path = lt.AnnealingPath(lt.Ising((4, 4), 0.0))
    state = move.init(torch.ones(3, 4, 4, dtype=torch.int8), torch.arange(3))
    for number in range(1, 5):
        state, _ = move.step(state, path, 1.0, seed=4)
        assert bool((state.configurations == (number + 1) % 2).all())
