"""Scans by all three methods against enumeration, and what they refuse.

Statistical tests have fixed seeds and a bound of 4.4σ: of 30 pulls one lies beyond it in 3000 runs.
"""

import math
from typing import Any

import pytest
import torch

import leaps_triton as lt
from leaps_triton.samplers.scans import METHODS

MODEL = lt.Ising((3, 3), beta=0.1, field=0.1)
BETAS = [0.2, 0.0, 0.35, 0.5]
SIZE: dict[str, dict[str, Any]] = {
    "chains": {"walkers": 16, "sweeps": 120},
    "tempering": {"walkers": 16, "sweeps": 120},
    "annealing": {"walkers": 2000, "intervals": 20},
}
MOST_SIGMA = 4.4


@pytest.mark.parametrize("method", METHODS)
def test_every_method_agrees_with_enumeration(method: str) -> None:
    found = lt.scan(MODEL, BETAS, method, seed=2, device="cpu", **SIZE[method])
    assert found.method == method and found.betas == tuple(sorted(BETAS))
    # β = 0 is among them, where log Z is known.
    assert found.absolute
    assert found.names == list(lt.observables.OBSERVABLES)
    pulls = []
    for place, beta in enumerate(found.betas):
        model = MODEL.at(beta)
        law = lt.exact.enumerate_model(model)
        pulls.append(found.log_z[place].pull(law.log_z))
        for name in found.names:
            observable = getattr(lt.observables, name)
            means = law.mean(observable, model)
            function = getattr(observable, "function", None)
            exact = float(means if function is None else function(means))
            pulls.append(found.estimate(name)[place].pull(exact))
    known = [abs(pull) for pull in pulls if not math.isnan(pull)]
    # At β = 0 log Z, and what is a multiple of β, have no error.
    assert len(known) == 4 * 6 - 3 and max(known) < MOST_SIGMA
    assert found.log_z[0].value == pytest.approx(9 * math.log(2), abs=1e-12)
    table = found.table()
    assert table["beta"] == sorted(BETAS) and all(len(column) == 4 for column in table.values())
    assert ("ess" in table) == (method == "annealing")
    assert repr(found).endswith(f"{method}, 4 betas from 0 to 0.5)")


def test_chains_without_beta_0_count_from_the_first() -> None:
    options: dict[str, Any] = {"walkers": 16, "sweeps": 150, "observables": ["energy"], "seed": 1}
    found = lt.scan(MODEL, [0.2, 0.35, 0.5], device="cpu", **options)
    assert not found.absolute and found.log_z[0] == lt.Estimate(0.0, 0.0)
    for beta, log_z in list(zip(found.betas, found.log_z, strict=True))[1:]:
        exact = lt.exact.log_z(MODEL.at(beta)) - lt.exact.log_z(MODEL.at(0.2))
        assert abs(log_z.pull(exact)) < MOST_SIGMA


def test_short_chains_are_warned_of_once_and_by_temperature() -> None:
    model = lt.Ising((6, 6), beta=1.0)
    options: dict[str, Any] = {"walkers": 4, "sweeps": 60, "seed": 1, "device": "cpu"}
    found = lt.scan(model, [0.3, 0.44], move=lt.HeatBath(), observables=["energy"], **options)
    with pytest.warns(lt.ShortChainWarning, match=r"at beta = 0.3, 0.44: 60 draws") as caught:
        found.table()
    assert len(caught) == 1
    assert len(found.cautions) == 2 and found.cautions[0].startswith("beta = 0.3: ")


def test_temperatures_too_far_apart_have_no_log_z_and_say_why() -> None:
    """Between β = 0 and 3 energies of 64 spins have nothing in common."""
    model = lt.Ising((8, 8), beta=1.0)
    found = lt.scan(model, [0.0, 3.0], walkers=4, sweeps=30, observables=[], device="cpu")
    assert all(math.isnan(each.value) for each in found.log_z)
    assert any("no log Z" in text and "do not overlap" in text for text in found.cautions)


def test_a_trained_sampler_is_scanned_to_its_own_temperature() -> None:
    path = lt.AnnealingPath(MODEL.at(0.5))
    network = lt.HollowConv(path.model, kernel_size=3, channels=4, width=8)
    sampler = lt.Sampler(path, network, lt.Jump(5), device="cpu")
    found = lt.scan(
        MODEL, [0.25, 0.5], "annealing", sampler=sampler, walkers=300, intervals=10, seed=1
    )
    for beta, log_z in zip(found.betas, found.log_z, strict=True):
        assert abs(log_z.pull(lt.exact.log_z(MODEL.at(beta)))) < MOST_SIGMA
    with pytest.raises(ValueError, match=r"must end at the sampler's own beta = 0.5"):
        lt.scan(MODEL, [0.2, 0.3], "annealing", sampler=sampler)
    with pytest.raises(ValueError, match="move must be None beside a sampler"):
        lt.scan(MODEL, [0.2, 0.5], "annealing", sampler=sampler, move=lt.HeatBath())


class Triples:
    """A user's energy of three neighbours on a ring, with no method at(beta)."""

    def __init__(self, beta: float) -> None:
        self.lattice = lt.Lattice((5,))
        self.q = 2
        self.beta = beta

    def energy(self, x: torch.Tensor) -> torch.Tensor:
        spins = 2.0 * x.double() - 1.0
        return -(spins * spins.roll(1, 1) * spins.roll(2, 1)).sum(1)


@pytest.mark.parametrize("method", ["chains", "annealing"])
def test_an_energy_of_a_users_own(method: str) -> None:
    size = dict(SIZE[method])
    size["walkers"] = 100
    found = lt.scan(Triples(0.1), [0.0, 0.4], method, observables=[], device="cpu", **size)
    assert found.betas == (0.0, 0.4)
    exact = lt.exact.enumerate_model(Triples(0.4)).log_z
    assert abs(found.log_z[-1].pull(exact)) < MOST_SIGMA


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"betas": [0.3]}, "betas must be two inverse temperatures or more"),
        ({"betas": [0.3, 0.3]}, "no two alike"),
        ({"betas": [-0.1, 0.3]}, "none below 0"),
        ({"betas": 0.3}, "betas must be two inverse temperatures or more"),
        ({"betas": ["a", 0.3]}, "betas must be finite numbers"),
        ({"method": "ais"}, "method must be one of chains, tempering, annealing, got 'ais'"),
        ({"method": "annealing", "sweeps": 10}, "sweeps is no option of method='annealing'"),
        ({"intervals": 10}, "intervals is no option of method='chains'"),
        ({"sampler": 3}, "sampler must be None but with method='annealing'"),
        ({"method": "annealing", "sampler": 3}, "sampler must be a Sampler"),
        ({"observables": "energy"}, "observables must be names"),
        ({"observables": ["heat"]}, "observable must be one of"),
        ({"method": "annealing", "observables": ["overlap"]}, "observables must be names among"),
        ({"walkers": 0}, "walkers must be an integer of at least 1"),
        ({"method": "tempering", "move": 3}, "move must be a move such as"),
    ],
)
def test_what_is_refused(options: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"betas": [0.1, 0.3], "device": "cpu", **options}
    with pytest.raises(ValueError, match=message):
        lt.scan(MODEL, **given)


def test_a_single_temperature_is_no_scan() -> None:
    chain = lt.run_chain(MODEL, lt.HeatBath(), 2, 5, device="cpu")
    with pytest.raises(ValueError, match="a scan takes a result of several temperatures"):
        lt.Scan(chain)
