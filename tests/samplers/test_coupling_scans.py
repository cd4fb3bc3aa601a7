"""Scans, ladders and reweighting of fields in a coupling, against quadrature over two sites.

Statistical tests have fixed seeds and a bound of 4.4σ: of 60 pulls one lies beyond it in 1500 runs.
"""

import dataclasses
import math
from typing import Any

import pytest
import torch

import leaps_triton as lt
from field_moves import TWO_SITES, PlainHMC, exact_on_two_sites
from leaps_triton.observables import FIELD_OBSERVABLES
from leaps_triton.report import figures, scans

MOST_SIGMA = 4.4
VALUES = [1.5, 0.8, 1.0]
SIZE: dict[str, Any] = {"walkers": 64, "sweeps": 150, "move": PlainHMC(), "device": "cpu"}


def pulls_of(found: lt.Scan, coupling: str) -> list[float]:
    first = exact_at(coupling, found.places[0])
    pulls = []
    for place, value in enumerate(found.places):
        exact = exact_at(coupling, value)
        if place:
            pulls.append(found.log_z[place].pull(exact["log_z"] - first["log_z"]))
        for name in found.names:
            if name in exact:
                pulls.append(found.estimate(name)[place].pull(exact[name]))
    return pulls


def exact_at(coupling: str, value: float) -> dict[str, float]:
    return exact_on_two_sites(**{**TWO_SITES.couplings, coupling: value})


@pytest.fixture(scope="module")
def scanned() -> dict[str, lt.Scan]:
    """Return a scan by each method."""
    found = {}
    for method in ("chains", "tempering"):
        found[method] = lt.scan(TWO_SITES, quartic=VALUES, method=method, seed=2, **SIZE)
    return found


@pytest.mark.parametrize("method", ["chains", "tempering"])
def test_scans_in_the_quartic_coupling_agree_with_quadrature(
    method: str, scanned: dict[str, lt.Scan]
) -> None:
    found = scanned[method]
    assert found.method == method and found.parameter == "quartic"
    assert found.places == (0.8, 1.0, 1.5) and found.betas == (1.0, 1.0, 1.0)
    assert not found.absolute and found.log_z[0] == lt.Estimate(0.0, 0.0)
    assert found.names == list(FIELD_OBSERVABLES)
    pulls = pulls_of(found, "quartic")
    assert len(pulls) == 2 + 3 * 7 and max(map(abs, pulls)) < MOST_SIGMA
    table = found.table()
    assert table["quartic"] == [0.8, 1.0, 1.5] and "beta" not in table
    assert repr(found).endswith(f"{method}, 3 values of quartic from 0.8 to 1.5)")


def test_scans_in_the_mass_agree_with_quadrature_and_are_drawn() -> None:
    found = lt.scan(TWO_SITES, mass_squared=[-1.2, -1.0, -0.7], observables=["binder"], **SIZE)
    # The energy, and what log Z is found from, are always among them.
    assert found.names == ["energy", "binder", "field_squared"]
    assert max(map(abs, pulls_of(found, "mass_squared"))) < MOST_SIGMA
    figure = figures.scan(found)
    assert "mass squared  m²" in [axes.get_xlabel() for axes in figure.axes]
    table = scans.measure(found)
    assert table["parameter"] == "mass_squared" and table["mass_squared"] == [-1.2, -1.0, -0.7]


def test_points_of_a_scan_are_what_runs_of_their_own_find(scanned: dict[str, lt.Scan]) -> None:
    found = scanned["chains"]
    for place, value in enumerate(found.places[:1]):
        own = lt.run_chain(TWO_SITES.with_couplings(quartic=value), seed=4, **SIZE)
        for name in ("field_squared", "binder", "susceptibility"):
            mine = found.estimate(name)[place]
            other = own.estimate(name)
            spread = math.hypot(mine.error, other.error)
            assert abs(mine.value - other.value) < MOST_SIGMA * spread


def test_the_table_of_a_scan_has_the_check(scanned: dict[str, lt.Scan]) -> None:
    table = scans.measure(scanned["chains"])
    check = table["columns"]["schwinger_dyson"]
    assert check["exact"] == [1.0] * 3 and max(map(abs, check["pull"])) < MOST_SIGMA
    text = scans.render(table)
    head, first = text.splitlines()[1:3]
    assert head.split()[0] == "λ" and "check = 1" in head and first.split()[0] == "0.8"
    assert "Δ log Z counts from λ = 0.8" in text


def test_a_ladder_may_fall_to_the_target() -> None:
    """From the symmetric phase, where a field is quick, into the other."""
    ladder = [1.5, 1.2, 1.0]
    move = lt.ParallelTempering(quartic=ladder, move=PlainHMC())
    names = ["binder", "field_squared_at_couplings", "field_fourth_at_couplings"]
    options: dict[str, Any] = {**SIZE, "move": move, "seed": 1}
    chain: Any = lt.run_chain(TWO_SITES, observables=names, **options)
    assert chain.varied.name == "quartic" and chain.varied.values == tuple(ladder)
    assert abs(chain.estimate("binder").pull(exact_at("quartic", 1.0)["binder"])) < MOST_SIGMA
    # In rising order, whichever way the ladder leads.
    assert [run.model.quartic for run in chain.by_beta] == ladder[::-1]
    for run in chain.by_beta:
        exact = exact_at("quartic", run.model.quartic)["field_squared"]
        assert abs(run.estimate("field_squared").pull(exact)) < MOST_SIGMA
    top = exact_at("quartic", 1.5)["log_z"]
    for value, found in zip(ladder[1:], chain.log_z_ratios()[1:], strict=True):
        assert abs(found.pull(exact_at("quartic", value)["log_z"] - top)) < MOST_SIGMA
    rates = chain.exchange_rates()
    assert len(rates) == 2 and all(0.7 < rate.value < 1.0 for rate in rates)


def test_chains_are_reweighted_in_both_couplings() -> None:
    chain = lt.run_chain(TWO_SITES, seed=5, keep_configurations=True, **SIZE)
    changes: list[dict[str, Any]] = [{"quartic": 1.1}, {"mass_squared": -1.1}]
    for to in changes:
        exact = exact_on_two_sites(**{**TWO_SITES.couplings, **to})
        for name in ("susceptibility_full", "binder", "field_squared", "abs_magnetization"):
            found = chain.reweight(name, **to)
            assert abs(found.pull(exact[name])) < MOST_SIGMA and found.ess > 0.5
    exact = exact_at("quartic", 1.1)
    for name in ("energy", "schwinger_dyson"):
        assert abs(chain.reweight(name, quartic=1.1).pull(exact[name])) < MOST_SIGMA
    forgotten = dataclasses.replace(chain, kept=None)
    with pytest.raises(ValueError, match="energy has quartic in its definition"):
        forgotten.reweight("energy", quartic=1.1)
    with pytest.raises(ValueError, match="correlation was not measured"):
        forgotten.reweight("correlation", quartic=1.1)


def test_chains_of_spins_are_reweighted_in_temperature() -> None:
    model = lt.Ising((3, 3), beta=0.3)
    chain = lt.run_chain(model, lt.HeatBath(), walkers=64, sweeps=200, seed=1, device="cpu")
    exact = lt.exact.energy(model.at(0.32))
    assert abs(chain.reweight("energy", beta=0.32).pull(exact)) < MOST_SIGMA
    with pytest.raises(ValueError, match="susceptibility has beta in its definition"):
        chain.reweight("susceptibility", beta=0.32)


ISING = lt.Ising((3, 3), beta=0.3)


def annealing() -> lt.Sampler:
    path = lt.AnnealingPath(TWO_SITES)
    return lt.Sampler(path, None, lt.MapStep(4), PlainHMC(), block=4, device="cpu")


def test_a_ladder_that_nothing_has_climbed_says_so() -> None:
    ladder = lt.ParallelTempering(quartic=[2.0, 1.0], move=PlainHMC())
    walkers = torch.arange(2)
    start = lt.AnnealingPath(TWO_SITES).start.sample(walkers, seed=0)
    state = ladder.init(start, walkers)
    assert "no replica came from quartic 2 to the target" in ladder.obstacle(state)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: lt.scan(TWO_SITES, [0.1, 0.2]), "no temperature to be scanned"),
        (lambda: lt.scan(TWO_SITES, [0.1, 0.2], quartic=[1.0, 2.0]), "of betas or of quartic"),
        (lambda: lt.scan(ISING, quartic=[1.0, 2.0]), "Ising has no coupling quartic"),
        (lambda: lt.scan(TWO_SITES, quartic=[1.0, 2.0], mass_squared=[1.0, 2.0]), "one coupling"),
        (lambda: lt.scan(TWO_SITES, quartic=[1.0]), "quartic must be two numbers or more"),
        (lambda: lt.scan(TWO_SITES, quartic=[1.0, 1.0]), "quartic must be two numbers or more"),
        (lambda: lt.scan(TWO_SITES, quartic=[-1.0, 1.0], **SIZE), "quartic must be finite"),
        (
            lambda: lt.scan(TWO_SITES, quartic=[1.0, 2.0], method="annealing"),
            "annealed walkers pass no values of quartic alone",
        ),
        (
            lambda: lt.run_chain(
                TWO_SITES, lt.ParallelTempering(betas=[0.5, 1.0], move=PlainHMC())
            ),
            "no temperature to be tempered in",
        ),
        (
            lambda: lt.run_chain(
                TWO_SITES, lt.ParallelTempering(quartic=[2.0, 1.5], move=PlainHMC())
            ),
            "must end at the model's own 1,",
        ),
        (
            lambda: lt.run_chain(ISING, lt.ParallelTempering(quartic=[2.0, 1.5])),
            "Ising has no coupling quartic",
        ),
        (
            lambda: lt.run_chain(TWO_SITES, lt.ParallelTempering([0.5, 1.0], move=PlainHMC())),
            r"values of one of mass_squared, quartic, such as quartic=\[…\]",
        ),
        (lambda: lt.ParallelTempering(quartic=[1.0, 2.0, 1.5]), "rise or fall"),
        (lambda: lt.ParallelTempering(quartic=[1.0, 2.0], betas=[0.5, 1.0]), "got both"),
        (
            lambda: lt.run_chain(TWO_SITES, PlainHMC(), 2, 4, observables=["energy_at_couplings"]),
            r"takes replicas .* run ParallelTempering\(quartic=…\)",
        ),
        (
            lambda: lt.run_chain(ISING, None, 2, 4, observables=["energy_at_betas"]),
            r"takes replicas at several temperatures; run ParallelTempering\(betas=…\)",
        ),
    ],
)
def test_what_is_refused_is_told(call: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


LAM: dict[str, Any] = {"lam": [1.0, 2.0]}
"""Couplings under a name that nothing has."""


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: lt.scan(TWO_SITES, **LAM),
            "^scan has no argument lam; PhiFour has the couplings mass_squared and quartic",
        ),
        (lambda: lt.io.scan(model=TWO_SITES, **LAM), "PhiFour has the couplings"),
        (lambda: lt.scan(ISING, **LAM), "inverse temperatures are betas="),
        (
            lambda: lt.ParallelTempering(**LAM),
            "^ParallelTempering has no argument lam; .* of a field mass_squared= and quartic=",
        ),
    ],
)
def test_couplings_are_named_where_another_name_is_given(call: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        call()
