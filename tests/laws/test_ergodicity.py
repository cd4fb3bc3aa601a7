"""Moves that claim to be ergodic reach every state from every other, in even numbers of steps too.

Whatever couplings, fields and β are: without bonds, at β = 0, with isolated sites.

A step is taken from every state with many random numbers. What is seen is possible, so that a graph
of seen steps which is connected proves the law; no test can fail by chance where it has passed
once. Single-site sweeps are given the extreme values of their random words, one site after another,
so that the rarest of outcomes are seen; the other moves draw at a small β, at which none is rare.
"""

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from helpers import index_of, states
from leaps_triton import registry
from leaps_triton.kernels import registration
from leaps_triton.kernels.site_sweeps.reference import Sweeps
from leaps_triton.mcmc import TemperingState, as_move

LAST = 2**32 - 1
"""The largest random word."""
Rows = Callable[[Tensor, int], Tensor]
"""Indices of states and a seed → those after a step."""


def diluted(shape: tuple[int, ...]) -> Tensor:
    """Return couplings of ±1 of which all at the first two sites and some others are missing."""
    coupling = torch.ones(len(shape), *shape, dtype=torch.float64)
    coupling[0].view(-1)[1] = -1.0
    flat = coupling.view(len(shape), -1)
    neighbours = lt.Lattice(shape).neighbours()
    for site in (0, shape[-1] - 1):
        flat[:, site] = 0.0
        for axis in range(len(shape)):
            # The bond behind a site belongs to the neighbour.
            flat[axis, int(neighbours[2 * axis + 1, site])] = 0.0
    return coupling


TWO = (2, 3)
MODELS: dict[str, Any] = {
    "ising, J = 0": lt.Ising(TWO, 0.1, coupling=0.0),
    "ising, J = 0, field": lt.Ising(TWO, 0.1, coupling=0.0, field=0.4),
    "ising, β = 0": lt.Ising(TWO, 0.0, field=0.4),
    "ising": lt.Ising(TWO, 0.1),
    "ising, diluted": lt.Ising(TWO, 0.1, coupling=diluted(TWO)),
    "ring of four": lt.Ising(4, 0.1),
    "potts, J = 0": lt.Potts(TWO, 3, 0.1, coupling=0.0),
    "potts, β = 0": lt.Potts(TWO, 3, 0.0, field=[0.2, 0.0, -0.3]),
    "potts": lt.Potts((2, 2), 3, 0.1),
    "potts, antiferromagnet": lt.Potts((2, 2), 3, 0.1, coupling=-1.0),
    "clock, diluted": lt.Clock(TWO, 3, 0.1, coupling=diluted(TWO)),
}
NINE = {
    "3×3": lt.Ising((3, 3), 0.4),
    "3×3, β = 0": lt.Ising((3, 3), 0.0),
    "3×3, J = 0": lt.Ising((3, 3), 0.5, coupling=0.0),
    "3×3, diluted": lt.Ising((3, 3), 0.5, coupling=diluted((3, 3))),
}


def reached(steps: Tensor) -> Tensor:
    """Return which states are reached from the first in any number of steps, bool ``(n,)``."""
    found = torch.zeros(len(steps), dtype=torch.bool)
    found[0] = True
    while True:
        more = found | steps[found].any(0)
        if torch.equal(more, found):
            return found
        found = more


def connected(steps: Tensor) -> bool:
    """Return whether every state is reached from every other."""
    return bool(reached(steps).all() and reached(steps.T).all())


def twice(steps: Tensor) -> Tensor:
    """Return which states two steps lead to."""
    return (steps.float() @ steps.float()) > 0


def period(steps: Tensor) -> int:
    """Return the greatest common divisor of the lengths of all cycles of a connected graph."""
    distance = torch.full((len(steps),), -1)
    distance[0] = 0
    front = distance == 0
    for length in itertools.count(1):
        front = steps[front].any(0) & (distance < 0)
        if not front.any():
            break
        distance[front] = length
    first, second = steps.nonzero(as_tuple=True)
    # Along every step the distance grows by one, up to a multiple of the period.
    return math.gcd(*(distance[first] + 1 - distance[second]).unique().tolist())


def holds(steps: Tensor) -> bool:
    """Return whether the law holds."""
    return connected(steps) and connected(twice(steps)) and period(steps) == 1


def seen(after: Rows, count: int, draws: int, rounds: int = 12) -> Tensor:
    """Return which steps were seen, bool ``(count, count)``: more, until the law holds.

    Args:
        after: makes a step.
        count: number of states.
        draws: steps from every state in a round.
        rounds: at most.
    """
    found = torch.zeros(count, count, dtype=torch.bool)
    rows = torch.arange(count).repeat_interleave(draws)
    for seed in range(rounds):
        found[rows, after(rows, seed)] = True
        if holds(found):
            break
    return found


def stepping(move: Any, model: Any) -> Rows:
    """Return what makes a step from states of single walkers."""
    path = lt.AnnealingPath(model)
    x = states(model)

    def after(rows: Tensor, seed: int) -> Tensor:
        state = move.init(x[rows], torch.arange(len(rows)))
        return index_of(move.step(state, path, 1.0, seed)[0].configurations, model.q)

    return after


def words(rows: Tensor, model: Any) -> Tensor:
    """Return the words of both draws of a sweep from each state, ``(rows, patterns, 2, sites)``.

    First all are the largest, at which Metropolis rests; then one site's draw is accepted, with the
    least and the largest word for its proposal. Last come words at which a heat bath draws the
    state itself and the next three: q levels between its thresholds, which at a small β are near
    those of a uniform law.
    """
    sites = model.lattice.sites
    still = torch.full((2, sites), LAST)
    patterns = [still]
    for site, proposal in itertools.product(range(sites), (0, LAST)):
        one = still.clone()
        one[:, site] = torch.tensor([proposal, 0])
        patterns.append(one)
    shared = torch.stack(patterns).expand(len(rows), -1, -1, -1)
    count = model.q**sites
    levels = torch.linspace(0, LAST, model.q, dtype=torch.float64).long()
    powers = model.q ** torch.arange(sites - 1, -1, -1)
    drawn = []
    for step, accepted in itertools.product(range(4), (0, LAST)):
        digits = (rows.unsqueeze(1) + step) % count // powers % model.q
        value = levels[digits]
        drawn.append(torch.stack([value, torch.full_like(value, accepted)], dim=1))
    return torch.cat([shared, torch.stack(drawn, dim=1)], dim=1)


def swept(move: Any, model: Any, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """Return the steps of sweeps with the words of :func:`words`."""
    count = model.q**model.lattice.sites
    table = words(torch.arange(count), model)
    draws = table.shape[1]
    table = table.flatten(0, 1)

    def chosen(self: Sweeps, sweep: int, draw: int = 0) -> Tensor:
        return table[self.walkers, draw].view(self.configurations.shape)

    with monkeypatch.context() as patched:
        # The twins alone take the words that they are given.
        patched.setattr(registration, "_cpu_kernels", lambda: (False, "twins"))
        patched.setattr(Sweeps, "words", chosen)
        return seen(stepping(move, model), count, draws, rounds=1)


SWEEPS: dict[str, Any] = {
    "HeatBath": lt.HeatBath(),
    "HeatBath backward": lt.HeatBath(backward=True),
    "Metropolis": lt.Metropolis(),
    "Metropolis backward": lt.Metropolis(backward=True),
    "Metropolis, rare": lt.Metropolis(rest=2.0**-23),
    "Metropolis, half": lt.Metropolis(rest=0.5),
    "with HeatBath": lt.Compose(lt.Metropolis(rest=0.0), lt.HeatBath()),
    "with Overrelaxation": lt.Compose(lt.Overrelaxation(2), lt.Metropolis()),
}
OTHERS: dict[str, Any] = {
    "SwendsenWang": lt.SwendsenWang(),
    "Wolff": lt.Wolff(rest=0.25),
    "KineticMonteCarlo": lt.KineticMonteCarlo(2.0),
    "KineticMonteCarlo, metropolis": lt.KineticMonteCarlo(1.0, "metropolis"),
    "HeatBath and Metropolis": lt.Compose(lt.HeatBath(), lt.Metropolis(rest=0.0)),
    "Wolff and Metropolis": lt.Compose(lt.Wolff(rest=0.0), lt.Metropolis()),
    "Wolff and Overrelaxation": lt.Compose(lt.Wolff(rest=0.25), lt.Overrelaxation()),
}


@pytest.mark.parametrize("name", SWEEPS)
def test_sweeps(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    move = SWEEPS[name]
    assert as_move("move", move).ergodic
    models = dict(MODELS)
    # All sites at once: the default of both kinds, either way.
    if name in ("HeatBath", "Metropolis", "Metropolis backward"):
        models |= NINE
    for which, model in models.items():
        # Two states have no reflections.
        if "Overrelaxation" in name and model.q == 2:
            continue
        assert holds(swept(move, model, monkeypatch)), which


@pytest.mark.parametrize("name", OTHERS)
def test_moves_of_clusters_and_in_continuous_time(name: str) -> None:
    move = OTHERS[name]
    assert as_move("move", move).ergodic
    for which, model in MODELS.items():
        if "Overrelaxation" in name and model.q == 2:
            continue
        count = model.q**model.lattice.sites
        # All rates of all states at every event: the largest lattices would take seconds.
        if "Kinetic" in name and count > 100:
            continue
        assert holds(seen(stepping(move, model), count, 16)), which


class Flat:
    """A model of which nothing is known but its energy, which is the same everywhere."""

    lattice = lt.Lattice((2, 2), periodic=False)
    beta = 1.0

    def __init__(self, q: int) -> None:
        self.q = q

    def energy(self, configurations: Tensor) -> Tensor:
        return torch.zeros(len(configurations), dtype=torch.float64)


@pytest.mark.parametrize("q", [2, 3])
@pytest.mark.parametrize("move", [lt.Metropolis(), lt.HeatBath()], ids=["Metropolis", "HeatBath"])
def test_models_of_an_energy_alone(move: Any, q: int) -> None:
    model: Any = Flat(q)
    path = lt.AnnealingPath(model)
    every = torch.cartesian_prod(*[torch.arange(q)] * 4).view(-1, 2, 2).to(torch.int8)

    def after(rows: Tensor, seed: int) -> Tensor:
        state = move.init(every[rows], torch.arange(len(rows)))
        return index_of(move.step(state, path, 1.0, seed)[0].configurations, q)

    assert holds(seen(after, len(every), 32))


def test_moves_of_the_library_are_known_here() -> None:
    """And nothing but these three makes no claim, whatever its default settings."""
    known = {"Compose", "ParallelTempering"}
    for move in (*SWEEPS.values(), *OTHERS.values()):
        known.add(type(move).__name__)
    unsure = set()
    for name, made in registry.things("move").items():
        # Other tests enter moves of their own.
        if not made.__module__.startswith("leaps_triton.") or name in {
            "Compose",
            "ParallelTempering",
        }:
            continue
        # Real fields have no states to count: their moves are in tests/mcmc/fields.
        if name in {"HMC", "Langevin"}:
            assert made().ergodic
            continue
        if not made().ergodic:
            unsure.add(name)
        else:
            assert name in known
    assert unsure == {"Overrelaxation", "Houdayer", "SignCluster"}


PAIRS: dict[str, Any] = {
    "2×2": lt.Ising((2, 2), 0.1),
    "2×2, β = 0": lt.Ising((2, 2), 0.0),
    "ring of four, J = 0": lt.Ising(4, 0.1, coupling=0.0),
    "line of three": lt.Potts(3, 3, 0.1, periodic=False),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize(
    "other", [lt.HeatBath(), lt.Metropolis(), lt.Wolff(rest=0.25)], ids=lambda move: str(move)[:5]
)
def test_pairs_that_exchange_clusters(name: str, other: Any) -> None:
    model = PAIRS[name]
    move = lt.Compose(other, lt.Houdayer())
    assert move.ergodic
    path = lt.AnnealingPath(model)
    x = states(model)

    def after(rows: Tensor, seed: int) -> Tensor:
        both = torch.stack([rows // len(x), rows % len(x)], dim=1).flatten()
        state = move.init(x[both], torch.arange(len(both)))
        found = index_of(move.step(state, path, 1.0, seed)[0].configurations, model.q)
        return found[::2] * len(x) + found[1::2]

    assert holds(seen(after, len(x) ** 2, 16))


def tempered(move: lt.ParallelTempering, model: Any, exchanges: int) -> tuple[Rows, int]:
    """Return what makes a step of all replicas at once, and the number of their states."""
    path = lt.AnnealingPath(model)
    x = states(model)
    replicas = move.temperatures * move.together
    powers = len(x) ** torch.arange(replicas)

    def after(rows: Tensor, seed: int) -> Tensor:
        digits = rows.unsqueeze(1) // powers % len(x)
        walkers = torch.arange(len(rows) * move.together)
        given = x[digits].view(len(walkers), move.temperatures, *model.shape)
        begun: TemperingState = move.init(given[:, -1], walkers)
        state = begun._replace(replicas=given, exchanges=exchanges)
        moved = move.step(state, path, 1.0, seed)[0].replicas
        found = index_of(moved.flatten(0, 1), model.q).view(len(rows), replicas)
        return (found * powers).sum(1)

    return after, len(x) ** replicas


TEMPERED: dict[str, tuple[Any, Any]] = {
    "Metropolis": (lt.ParallelTempering([0.0, 1.0], lt.Metropolis()), lt.Ising(4, 0.1)),
    "three": (lt.ParallelTempering([0.0, 0.5, 1.0], lt.Metropolis()), lt.Ising(3, 0.1)),
    "Wolff": (lt.ParallelTempering([0.0, 1.0], lt.Wolff(rest=0.25)), lt.Ising(4, 0.1)),
    "pairs": (
        lt.ParallelTempering([0.0, 1.0], lt.Compose(lt.HeatBath(), lt.Houdayer())),
        lt.Ising(2, 0.1, periodic=False),
    ),
}


@pytest.mark.parametrize("name", TEMPERED)
def test_replicas_at_several_temperatures(name: str) -> None:
    """Even and odd neighbours are exchanged in turn: two steps make one of a homogeneous chain."""
    move, model = TEMPERED[name]
    assert move.ergodic
    even, count = tempered(move, model, 0)
    odd, _ = tempered(move, model, 1)

    def after(rows: Tensor, seed: int) -> Tensor:
        return odd(even(rows, seed), seed + 100)

    assert holds(seen(after, count, 16))


def test_what_is_not_claimed_is_not_so() -> None:
    """Metropolis that never rests, and Wolff where no bonds join."""
    resting = lt.Metropolis(rest=0.0)
    assert not resting.ergodic
    for model in (lt.Ising(TWO, 0.0), lt.Ising(4, 0.4), lt.Ising((2, 2), 0.4)):
        count = 2**model.lattice.sites
        # All that is possible has a probability of at least e^-13.
        assert not holds(seen(stepping(resting, model), count, 500, rounds=2))
    single = lt.Wolff(rest=0.0)
    assert not single.ergodic
    steps = seen(stepping(single, lt.Ising(4, 0.0)), 16, 200, rounds=2)
    assert connected(steps) and not connected(twice(steps)) and period(steps) == 2
    # Compositions and replicas are as their parts: one that is ergodic is enough.
    assert not lt.Compose(lt.Overrelaxation(), resting).ergodic
    assert not lt.ParallelTempering([0.0, 1.0], resting).ergodic
    assert lt.Compose(lt.Overrelaxation(), lt.Compose(lt.Houdayer(), lt.HeatBath())).ergodic
