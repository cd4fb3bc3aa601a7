"""Laws of coupling from the past: the law, order, and independence of where the chains begin.

Statistical tests have fixed seeds and raise a false alarm with probability 1e-4 each.
"""

import math
from typing import Any

import pytest
import torch

from helpers import false_alarm
from leaps_triton import exact
from leaps_triton.exact import coupling_from_the_past
from leaps_triton.exact import perfect_sampling as perfect
from leaps_triton.models import Clock, EdwardsAnderson, Ising, PairModel, Potts, SweepPlan

FIELD = torch.linspace(-0.6, 0.8, 9, dtype=torch.float64).view(3, 3)
COUPLINGS = torch.linspace(0.0, 1.5, 18, dtype=torch.float64).view(2, 3, 3)
MODELS = {
    "ising": Ising((3, 3), 0.4, field=0.1),
    "random field and bonds": Ising(
        (3, 3), 0.5, coupling=COUPLINGS, field=FIELD, periodic=(False, True)
    ),
    "chain": Ising((2, 4), 0.7, field=0.2, periodic=False),
    "potts": Potts((2, 3), 2, 0.9, field=[0.3, 0.0]),
    "clock": Clock((2, 2, 2), 2, 0.3),
    "lattice gas": PairModel((2, 4), 0.8, [[0.0, 0.2], [-0.1, 1.0]], [0.4, -0.6]),
    "both signs negative": Ising((3, 3), -0.4, coupling=-1.0, field=0.1),
}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_samples_follow_the_law(model: PairModel) -> None:
    x = coupling_from_the_past(model, 10000, seed=1, device="cpu")
    assert false_alarm(x, model) > 1e-4
    lattice = model.lattice
    coupling = model.coupling.expand(lattice.ndim, *lattice.shape)
    site_table = model.site_table.expand(2, *lattice.shape)
    other = PairModel(
        lattice.shape, 1.2 * model.beta, model.bond_table, site_table, coupling, lattice.periodic
    )
    assert false_alarm(x, other) < 1e-8


@pytest.mark.parametrize("name", ["ising", "random field and bonds", "lattice gas"])
def test_sweeps_keep_the_order(name: str) -> None:
    model, n = MODELS[name], 5000
    beta, walkers = torch.full((1,), model.beta, dtype=torch.float64), torch.arange(n)
    x = (
        (torch.arange(n * model.lattice.sites) * 7919 % 11 % 2)
        .to(torch.int8)
        .view(n, *model.lattice.shape)
    )
    y = x | (torch.arange(x.numel()) * 104729 % 13 % 2).to(torch.int8).view_as(x)
    for sweep in range(5):
        plan = SweepPlan(walkers, sweep, 1, 3)
        x, y = (model.heat_bath(z, beta, plan) for z in (x, y))
        assert (x <= y).all()
    assert (x < y).any()


def test_it_does_not_matter_how_early_the_chains_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Ising((5, 6), 0.35, field=0.02)
    expected = coupling_from_the_past(model, 200, seed=2, device="cpu")
    for start in (1, 64, 300):
        monkeypatch.setattr(perfect, "_FIRST_START", start)
        assert torch.equal(coupling_from_the_past(model, 200, seed=2, device="cpu"), expected)
    assert torch.equal(coupling_from_the_past(model, 30, seed=2, device="cpu"), expected[:30])
    assert expected.dtype == torch.int8 and expected.shape == (200, 5, 6)


def test_a_lattice_beyond_every_other_route() -> None:
    """Energy of a 24 × 20 torus at K = 0.3, against Kaufman; 4 sigma."""
    shape, n = (24, 20), 400
    energy = (
        Ising(shape, 0.3).energy(coupling_from_the_past(Ising(shape, 0.3), n, seed=3, device="cpu"))
        / 480
    )
    variance = exact.ising_specific_heat(shape, 0.3) / 0.3**2 / 480
    assert abs(float(energy.mean()) - exact.ising_energy(shape, 0.3)) < 4 * math.sqrt(variance / n)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Ising((3, 3), 0.4, coupling=-1.0), r"needs a ferromagnet.*got -1.6"),
        (EdwardsAnderson((3, 3), 0.4, seed=1), "needs a ferromagnet"),
        (PairModel((3, 3), 0.4, [[0.0, 1.0], [1.0, 0.0]]), "needs a ferromagnet"),
        (Potts((3, 3), 3, 0.4), "two states"),
        (object(), "two states"),
    ],
)
def test_models_that_are_refused(model: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        coupling_from_the_past(model, 10)


def test_bonds_that_leave_an_open_edge_do_not_count() -> None:
    coupling = torch.ones(2, 3, 3)
    coupling[0, 2] = -1.0
    assert coupling_from_the_past(
        Ising((3, 3), 0.4, coupling, periodic=(False, True)), 3, device="cpu"
    ).shape == (
        3,
        3,
        3,
    )
    with pytest.raises(ValueError, match="direction 0"):
        coupling_from_the_past(Ising((3, 3), 0.4, coupling), 3)


def test_chains_that_do_not_meet_are_an_error() -> None:
    with pytest.raises(RuntimeError, match=r"\d+ of 50 samples had not met after 20 sweeps"):
        coupling_from_the_past(Ising((12, 12), 0.44), 50, max_sweeps=20, device="cpu")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "n must be an integer"),
        ({"n": 2.0}, "n must be an integer"),
        ({"n": 1, "max_sweeps": 0}, "max_sweeps must be"),
        ({"n": 1, "max_sweeps": 2**31}, "max_sweeps must be"),
        ({"n": 1, "seed": -1}, "seed must be an integer"),
    ],
)
def test_arguments_that_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        coupling_from_the_past(MODELS["ising"], **arguments)
