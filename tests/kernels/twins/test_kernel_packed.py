"""The ops of packed sweeps: their stream by a plain loop, their law by enumeration, their layouts.

The twins are what runs here; CPU kernels are compared with them elsewhere.
"""

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from helpers import index_of, states
from leaps_triton import exact, kernels
from leaps_triton.kernels import Stream, reference
from leaps_triton.kernels.functions.reference import exponential64
from leaps_triton.kernels.packed_sweeps.cases import packed
from leaps_triton.kernels.packed_sweeps.layouts import Rows, of_walkers
from leaps_triton.kernels.packed_sweeps.reference import (
    PackedSweeps,
    heat_bath_thresholds,
    metropolis_thresholds,
)

FLOAT64 = torch.float64
OPS = (reference.packed_heat_bath_sweeps, reference.packed_metropolis_sweeps)


def decisions(given: PackedSweeps, row: int, colour: int, sweep: int) -> Tensor:
    """The 32-bit numbers of all sites of a colour of one walker, ``(L, W / 2)``."""
    walker = int(given.walkers[row])
    length, width = given.configurations.shape[1:]
    columns = width // 2
    r, column = torch.meshgrid(torch.arange(length), torch.arange(columns), indexing="ij")
    site = r * columns + column
    lane: Any = walker % 32
    number = walker // 32
    stream = Stream.PACKED
    if given.rows:
        site = r * (columns // 32) + column // 32
        lane = column % 32
        number = walker
        stream = Stream.PACKED_ROWS
    found = torch.zeros(length, columns, dtype=torch.int64)
    for i in range(32):
        where = (site % 128, 2 * sweep, 4 + i // 4)
        if i >= 16:
            where = (site, 2 * sweep + colour, (i - 16) // 4)
        word = kernels.philox(given.seed, stream, *where, number)[i % 4]
        found |= (word >> lane & 1) << i
    return found


def threshold(probability: float) -> int:
    return min(round(probability * 2**32), 2**32 - 1)


def moved(given: PackedSweeps, row: int, metropolis: bool, state: int, n: int, u: int) -> int:
    """The new state of a site with ``n`` neighbours that favour state 1."""
    beta = float(given.beta[min(row, len(given.beta) - 1)])
    field = given.strength * (2 * n - 4) + given.tilt
    if metropolis:
        change = -beta * field if state else beta * field
        return state ^ int(u < threshold((1 - given.rest) * min(1.0, math.exp(change))))
    if n < 2:
        return int(u < threshold(1 / (1 + math.exp(-beta * field))))
    return int(u >= threshold(1 / (1 + math.exp(beta * field))))


def loop(given: PackedSweeps, metropolis: bool) -> Tensor:
    """Sweeps site by site."""
    x = given.configurations.clone()
    length, width = x.shape[1:]
    negative = given.negative.expand(2, length, width).int()
    order = (1, 0) if given.backward else (0, 1)
    sites = list(itertools.product(range(length), range(width // 2)))
    for row, sweep, colour in itertools.product(range(len(x)), given.numbers(), order):
        numbers = decisions(given, row, colour, sweep).tolist()
        for r, column in sites:
            place = 2 * column + (r + colour) % 2
            up = (r - 1) % length
            left = (place - 1) % width
            n = int(x[row, up, place] ^ negative[0, up, place])
            n += int(x[row, (r + 1) % length, place] ^ negative[0, r, place])
            n += int(x[row, r, left] ^ negative[1, r, left])
            n += int(x[row, r, (place + 1) % width] ^ negative[1, r, place])
            u = numbers[r][column]
            x[row, r, place] = moved(given, row, metropolis, int(x[row, r, place]), n, u)
    return x


@pytest.mark.parametrize("metropolis", [False, True])
@pytest.mark.parametrize("shape", [(2, 2), (4, 6), (2, 64)])
def test_equals_a_plain_loop(shape: tuple[int, int], metropolis: bool) -> None:
    """With each walker's own β, of either sign, in several groups."""
    rows = shape[1] == 64
    for tilt in (0.0, 0.3):
        given = packed(shape, 2 if rows else 6, 2, tilt, signs=tilt > 0.0, rows=rows)
        made = PackedSweeps(**given, backward=tilt > 0.0, rest=0.125 * metropolis)
        found = OPS[metropolis](*made)
        assert torch.equal(found, loop(made, metropolis))
        assert found.dtype == torch.int8 and found.shape == made.configurations.shape


@pytest.mark.parametrize("op", OPS)
def test_two_sweeps_are_one_sweep_twice(op: Any) -> None:
    given = packed((4, 6), 40, 2, 0.3, signs=True)
    both = op(**given)
    first = op(**given | {"sweeps": 1})
    again = given | {"sweeps": 1, "configurations": first}
    assert torch.equal(op(**again | {"first_sweep": given["first_sweep"] + 1}), both)
    assert not torch.equal(op(**again), both)


@pytest.mark.parametrize("rows", [False, True])
def test_packing_loses_nothing(rows: bool) -> None:
    x = packed((4, 128), 70)["configurations"]
    # Any walkers, in any order.
    walkers = torch.randperm(200, generator=torch.Generator().manual_seed(0))[:70] + 2**40
    layout: Any = Rows(walkers) if rows else of_walkers(walkers)
    words = layout.pack(x)
    assert torch.equal(layout.unpack(words), x)
    assert words.min() >= 0 and words.max() < 2**32
    columns = 2 if rows else 64
    assert words.shape == (len(layout.walker), 2, 4, columns)
    assert len(layout.walker) == (70 if rows else 7)


@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("op", [kernels.packed_heat_bath_sweeps, kernels.packed_metropolis_sweeps])
def test_results_do_not_depend_on_the_other_walkers(op: Any, rows: bool) -> None:
    """Bit for bit, in any order and company; through the op that a CPU runs."""
    given = packed((4, 64), 70, 3, 0.3, signs=True, rows=rows)
    together = op(**given)
    order = torch.randperm(70, generator=torch.Generator().manual_seed(1))
    for chosen in (order, order[:17], order[:1], torch.arange(33, 70)):
        own = {name: given[name][chosen] for name in ("configurations", "beta", "walkers")}
        assert torch.equal(op(**given | own), together[chosen])


MODELS: dict[str, Any] = {
    "ising": lt.Ising((2, 4), 0.5),
    "field": lt.Ising((2, 4), 0.5, field=0.2),
    "antiferromagnet": lt.Ising((2, 4), 0.5, coupling=-1.0, field=0.2),
    "signs": lt.EdwardsAnderson((2, 4), 0.7, disorder="pm1", seed=1),
    "signs and field": lt.EdwardsAnderson((2, 4), 0.7, disorder="pm1", seed=1, field=-0.3),
    "negative β": lt.Ising((2, 4), -0.4, field=0.1),
    "two states of Potts": lt.Potts((2, 4), 2, 0.9),
}


def site_updates(model: Any, metropolis: bool) -> list[Tensor]:
    """The transition matrix of each site, float64, from the op's own thresholds."""
    own = model.packed
    x = states(model)
    given = PackedSweeps(
        x, own.negative, own.strength, own.tilt, torch.tensor([model.beta], dtype=FLOAT64),
        torch.arange(len(x)), 0, 1, 0, rest=0.125 * metropolis,
    )  # fmt: skip
    table = heat_bath_thresholds(given)
    if metropolis:
        table = metropolis_thresholds(given)
    table = table[0].double() / 2.0**32
    down, ahead = own.negative.expand(2, 2, 4).int()
    n = (x.roll(-1, 1) ^ down) + (x.roll(1, 1) ^ down.roll(1, 0))
    n = (n + (x.roll(-1, 2) ^ ahead) + (x.roll(1, 2) ^ ahead.roll(1, 1))).flatten(1).long()
    found = []
    for site in range(8):
        here = x.flatten(1)[:, site].long()
        if metropolis:
            aligned = torch.where(here == 1, n[:, site], 4 - n[:, site])
            flip = table[5 * here + aligned]
        else:
            up = torch.where(n[:, site] < 2, table[n[:, site]], 1.0 - table[n[:, site]])
            flip = torch.where(here == 1, 1.0 - up, up)
        y = x.flatten(1).clone()
        y[:, site] = 1 - y[:, site]
        matrix = torch.diag(1.0 - flip)
        matrix[torch.arange(len(x)), index_of(y, 2)] += flip
        found.append(matrix)
    return found


@pytest.mark.parametrize("metropolis", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_law_by_enumeration(name: str, metropolis: bool) -> None:
    """Detailed balance of each site, invariance under a sweep, every state from every other.

    Probabilities are those of thresholds of 32 bits, so that all holds to 2⁻³².
    """
    model = MODELS[name]
    p = exact.enumerate_model(model).log_probabilities.exp()
    updates = site_updates(model, metropolis)
    for update in updates:
        flow = p.unsqueeze(1) * update
        assert (flow - flow.T).abs().max() < 2.0**-32
    order = model.lattice.colours().flatten().argsort(stable=True)
    sweep = torch.eye(len(p), dtype=FLOAT64)
    for site in order.tolist():
        sweep = sweep @ updates[site]
    assert (p @ sweep - p).abs().max() < 2.0**-30
    assert (sweep @ sweep > 0.0).all()
    assert sweep.diag().min() > 0.0


def test_without_tilt_few_thresholds_tell_all() -> None:
    for beta in (0.44, -0.3, 0.0, 3.0):
        given = PackedSweeps(**packed((2, 2), 1))._replace(
            beta=torch.tensor([beta], dtype=FLOAT64), rest=0.125
        )
        bath = heat_bath_thresholds(given)[0].tolist()
        assert bath[4] == bath[0] and bath[3] == bath[1] and bath[2] == 2**31
        moves = metropolis_thresholds(given)[0].tolist()
        assert moves[:5] == moves[5:]
        assert len(set(moves)) <= 3
        assert max(moves) == 7 * 2**29


def test_extreme_probabilities() -> None:
    """No overflow: far from either state all sites go where the field leads."""
    for beta, expected in ((1e300, 1), (-1e300, 0)):
        given = packed((4, 4), 2, 1, tilt=9.0) | {"strength": 1.0}
        given["beta"] = torch.tensor([beta], dtype=FLOAT64)
        assert (kernels.packed_heat_bath_sweeps(**given) == expected).all()
        assert (kernels.packed_metropolis_sweeps(**given) == expected).all()


def test_exponential_of_float64() -> None:
    """To two units in the last place, down to where numbers are no longer normal."""
    x = torch.linspace(-708.0, 709.0, 20001, dtype=FLOAT64)
    assert (exponential64(x) / x.exp() - 1.0).abs().max() < 2.0**-51
    ends = torch.tensor([-1e9, 1e9, 0.0, math.nan], dtype=FLOAT64)
    assert torch.equal(exponential64(ends)[:3], torch.tensor([0.0, math.inf, 1.0], dtype=FLOAT64))
    assert exponential64(ends)[3].isnan()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"configurations": torch.zeros(3, 3, 4, dtype=torch.int8)}, r"even L and W, got \(3, 3"),
        ({"configurations": torch.zeros(3, 4, dtype=torch.int8)}, r"even L and W, got \(3, 4\)"),
        ({"rows": True}, "a multiple of 64 sites, got 6; take rows=False"),
        ({"negative": torch.zeros(1, 1, 1)}, "negative must be a tensor of bools"),
        ({"negative": torch.zeros(2, 6, 4).bool()}, r"negative must have shape \(2, 4, 6\)"),
        ({"strength": math.inf}, "strength must be a finite number, got inf"),
        ({"tilt": math.nan}, "tilt must be a finite number, got nan"),
        ({"beta": torch.ones(1)}, "beta must be float64"),
        ({"beta": torch.ones(2, dtype=FLOAT64)}, r"beta must have shape \(1 \| 3\), got \(2,\)"),
        ({"walkers": torch.zeros(3, dtype=torch.int64)}, "walkers must be different numbers"),
        ({"walkers": torch.arange(2)}, r"walkers must have shape \(3,\)"),
        ({"sweeps": -1}, "sweeps must be an integer of at least 0, got -1"),
        ({"seed": -1}, "seed must be an integer in"),
    ],
)
def test_inputs_that_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kernels.packed_heat_bath_sweeps(**packed((4, 6), 3) | changes)
    with pytest.raises(ValueError, match="rest must be 0 or a power of two"):
        kernels.packed_metropolis_sweeps(**packed((4, 6), 3), rest=0.3)
