"""Weights through updates of parameters are exact, by enumeration and without noise.

The acts of the library (increments, moves) are recorded in their order, and each is applied as an
operator to the measure ``E[1_x e^A]`` on all 2⁶ configurations.
"""

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from helpers import heat_bath_matrix, metropolis_matrix, states
from leaps_triton.learning.negatives.weighed import (
    Handling,
    WeighedWalkers,
    carried,
    jarzynski_increment,
)
from leaps_triton.mcmc.base import BaseMove

SHAPE = (2, 3)
SITES = 6
COUNT = 2**SITES
UPDATES = 12
OPEN = (False, False)
STATES = states(lt.Ising(SHAPE, 1.0))
FLOAT64 = torch.float64


class Pairs:
    """The open 2 × 3 Ising models with a coupling per bond and a field per site.

    Bonds are listed as entries of ``coupling``, of which five leave the lattice and do nothing.
    """

    parameters = 2 * SITES + SITES

    def __init__(self) -> None:
        self.log: list[tuple[str, Any]] = []

    def at(self, theta: Tensor) -> lt.Ising:
        coupling = theta[: 2 * SITES].view(2, *SHAPE)
        field = theta[2 * SITES :].view(SHAPE)
        return lt.Ising(SHAPE, 1.0, coupling=coupling, field=field, periodic=OPEN)

    def u(self, configurations: Tensor, theta: Tensor) -> Tensor:
        self.log.append(("u", theta))
        return self.at(theta).energy(configurations)

    def refreshed(self, configurations: Tensor, *of_hidden_units: Any) -> Tensor:
        return configurations


class Recorded(BaseMove):
    """Makes the moves of another, and writes down at which model."""

    def __init__(self, move: Any, log: list[tuple[str, Any]]) -> None:
        self.move = move
        self.log = log

    def step(self, state: Any, path: Any, t: Any, seed: int) -> tuple[Any, Any]:
        assert t == 1.0
        self.log.append(("move", path.model))
        return self.move.step(state, path, t, seed)


def clusters_of(bonds: list[tuple[int, int]]) -> list[list[int]]:
    """Return the connected components of the sites."""
    label = list(range(SITES))
    for first, second in bonds:
        old, new = label[second], label[first]
        label = [new if value == old else value for value in label]
    return [[i for i in range(SITES) if label[i] == name] for name in sorted(set(label))]


def swendsen_wang_matrix(path: Any, tau: float) -> Tensor:
    """Return the transition matrix of an update of all clusters of an open Ising model."""
    model = path.model
    beta = float(path.beta(tau))
    spins = 1.0 - 2.0 * STATES.flatten(1).double()
    # A state of the library's Ising model with field h gains h s of its own sign.
    sign = float(model.spins[0, 0])
    coupling = model.coupling.expand(2, *SHAPE)
    field = beta * sign * model._field().expand(SHAPE).flatten()
    index = torch.arange(SITES).view(SHAPE)
    down = zip(index[:-1].flatten(), index[1:].flatten(), coupling[0, :-1].flatten(), strict=True)
    along = zip(
        index[:, :-1].flatten(), index[:, 1:].flatten(), coupling[1, :, :-1].flatten(), strict=True
    )
    bonds = [(int(i), int(j), float(strength)) for i, j, strength in [*down, *along]]
    joins = []
    for i, j, strength in bonds:
        # Satisfied bonds join with probability 1 - e^{-2β|J|}.
        gain = 2.0 * beta * strength * spins[:, i] * spins[:, j]
        joins.append(1.0 - torch.exp(-gain.clamp(min=0.0)))
    matrix = torch.zeros(COUNT, COUNT, dtype=FLOAT64)
    rows = torch.arange(COUNT)
    for chosen in itertools.product((False, True), repeat=len(bonds)):
        chance = torch.ones(COUNT, dtype=FLOAT64)
        joined = []
        for bond, join, on in zip(bonds, joins, chosen, strict=True):
            if on:
                chance = chance * join
                joined.append(bond[:2])
            else:
                chance = chance * (1.0 - join)
        ends = [(rows, chance)]
        for cluster in clusters_of(joined):
            pull = (spins[:, cluster] * field[cluster]).sum(1)
            mask = sum(1 << (SITES - 1 - i) for i in cluster)
            flips = torch.sigmoid(-2.0 * pull)
            stay = [(row, share * (1.0 - flips)) for row, share in ends]
            go = [(row ^ mask, share * flips) for row, share in ends]
            ends = stay + go
        for row, share in ends:
            matrix.index_put_((rows, row), share, accumulate=True)
    return matrix


class Case(NamedTuple):
    """A move and the matrix of one step of it."""

    move: Any
    matrix: Callable[[Any, float], Tensor]


def composed_matrix(path: Any, tau: float) -> Tensor:
    return heat_bath_matrix(path, tau) @ metropolis_matrix(path, tau)


CASES = {
    "heat bath": Case(lt.HeatBath(), heat_bath_matrix),
    "Metropolis": Case(lt.Metropolis(), metropolis_matrix),
    "both": Case(lt.Compose(lt.HeatBath(), lt.Metropolis()), composed_matrix),
    "clusters": Case(lt.SwendsenWang(), swendsen_wang_matrix),
}


def updates() -> list[Tensor]:
    """Return ``θ_0 = 0`` and twelve random updates of it."""
    generator = torch.Generator().manual_seed(0)
    steps = torch.randn(UPDATES, Pairs.parameters, generator=generator, dtype=FLOAT64)
    thetas = 0.25 * steps.cumsum(0)
    return [torch.zeros(Pairs.parameters, dtype=FLOAT64), *thetas]


def acts_of(move: Any) -> list[tuple[str, Any]]:
    """Return what the library does at each update, in its order."""
    family = Pairs()
    handling = Handling(Recorded(move, family.log), seed=0, resample_below=0.0, block=2)
    few = WeighedWalkers.begin(STATES[:2], torch.zeros(2, dtype=FLOAT64))
    thetas = updates()
    for before, after in itertools.pairwise(thetas):
        few = carried(family, few, before, after, handling)
    assert few.updates == UPDATES
    acts: list[tuple[str, Any]] = []
    for name, value in family.log:
        # The two energies of an increment are one act.
        if name == "u" and acts and acts[-1][0] == "u":
            acts[-1] = ("increment", (acts[-1][1], value))
        else:
            acts.append((name, value))
    return acts


def defects(acts: list[tuple[str, Any]], matrix: Callable[[Any, float], Tensor]) -> list[float]:
    """Return after each update by how much Z and the weighted law are off."""
    measure = torch.full((COUNT,), 1.0 / COUNT, dtype=FLOAT64)
    thetas = updates()
    family = Pairs()
    found = []
    for place, (name, value) in enumerate(acts):
        if name == "increment":
            measure = measure * jarzynski_increment(family, STATES, *value).exp()
        else:
            measure = measure @ matrix(lt.AnnealingPath(value), 1.0)
        if place % 2 == 0:
            continue
        model = family.at(thetas[place // 2 + 1])
        target = lt.exact.enumerate_model(model)
        ratio = float(measure.sum()) * COUNT / math.exp(target.log_z)
        law = measure / measure.sum() - target.log_probabilities.exp()
        found.append(max(abs(ratio - 1.0), float(law.abs().max())))
    return found


@pytest.mark.parametrize("name", CASES)
def test_weights_through_updates_are_exact(name: str) -> None:
    acts = acts_of(CASES[name].move)
    assert [act for act, _ in acts] == ["increment", "move"] * UPDATES
    found = defects(acts, CASES[name].matrix)
    assert len(found) == UPDATES
    assert max(found) < 1e-12


@pytest.mark.parametrize("name", ["heat bath", "clusters"])
def test_a_move_before_the_increment_is_seen(name: str) -> None:
    acts = acts_of(CASES[name].move)
    swapped = []
    for increment, move in zip(acts[::2], acts[1::2], strict=True):
        swapped += [move, increment]
    # The prototype of this test found a Z that is off by a factor of thousands.
    assert max(defects(swapped, CASES[name].matrix)) > 1.0
