"""Laws of run_chain: it is its move's steps one after another, measured by the Γ-method."""

import math
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from helpers import EnergyOnly
from leaps_triton import exact, observables
from leaps_triton.estimators import chain_estimate, reweight
from leaps_triton.observables import OBSERVABLES
from leaps_triton.report import summary as table

MODEL = lt.Potts((2, 3), 3, 0.6, field=[0.3, 0.0, -0.2])


def run(model: Any = MODEL, kernel: Any = None, **settings: Any) -> lt.Chain:
    defaults: dict[str, Any] = {"walkers": 7, "sweeps": 30, "seed": 4, "device": "cpu"}
    return lt.run_chain(model, kernel or lt.HeatBath(), **{**defaults, **settings})


@pytest.mark.parametrize(
    "kernel", [lt.HeatBath(), lt.Metropolis(sweeps=2)], ids=["heat bath", "metropolis"]
)
@pytest.mark.parametrize(("thin", "burn_in"), [(1, None), (1, 0), (4, 5), (7, 13)])
def test_it_is_the_kernel_step_after_step(kernel: Any, thin: int, burn_in: int | None) -> None:
    chain = run(kernel=kernel, thin=thin, burn_in=burn_in, keep_configurations=True)
    path, walkers = lt.AnnealingPath(MODEL), torch.arange(7)
    state = kernel.init(path.start.sample(walkers, 4), walkers)
    draws = []
    burnt = 3 if burn_in is None else burn_in
    for step in range(burnt + 30 // thin * thin):
        state, _ = kernel.step(state, path, 1.0, 4)
        if step >= burnt and (step - burnt) % thin == thin - 1:
            draws.append(state.configurations)
    assert chain.kept is not None and torch.equal(chain.kept, torch.stack(draws, dim=1))
    assert torch.equal(chain.configurations, draws[-1])
    assert (chain.walkers, chain.draws, chain.thin, chain.burn_in) == (7, 30 // thin, thin, burnt)
    assert chain.sweeps == thin * chain.draws
    for name in OBSERVABLES:
        values = torch.stack([getattr(observables, name)(x, MODEL) for x in draws], dim=1)
        assert torch.equal(chain.values[name], values)


def test_walkers_do_not_depend_on_how_many_there_are() -> None:
    many, few = run(walkers=20), run(walkers=5)
    assert torch.equal(many.values["energy"][:5], few.values["energy"])
    assert not torch.equal(run(walkers=5, seed=5).values["energy"], few.values["energy"])


def test_observables_by_name_function_and_mapping() -> None:
    def first_site(configurations: Tensor, model: Any) -> Tensor:
        assert isinstance(model, lt.Potts)
        return configurations[:, 0, 0]

    chain = run(observables=["energy", first_site, observables.binder])
    assert list(chain.values) == ["energy", "first_site", "binder"] and list(chain.functions) == [
        "binder"
    ]
    assert chain.values["first_site"].dtype == torch.float64 and chain.values["binder"].shape == (
        7,
        30,
        2,
    )
    named = run(observables={"u": observables.energy, "x": first_site})
    assert torch.equal(named.values["u"], chain.values["energy"])
    assert torch.equal(named.values["x"], chain.values["first_site"])
    assert run(observables=[]).values == {}


@pytest.mark.filterwarnings("ignore::leaps_triton.ShortChainWarning")
def test_estimates_are_those_of_the_gamma_method() -> None:
    chain = run(sweeps=200)
    for observable in (observables.energy, observables.specific_heat):
        name = observable.__name__
        function = getattr(observable, "function", None)
        expected = chain_estimate(chain.values[name], function)
        for given in (observable, name):
            found = chain.estimate(given)
            assert (found.value, found.error, found.tau) == (
                expected.value,
                expected.error,
                expected.tau,
            )
    second = chain.estimate("specific_heat", lambda means: means[..., 1])
    assert second.value == pytest.approx(float(chain.values["specific_heat"][..., 1].mean()))


@pytest.mark.filterwarnings("ignore::leaps_triton.ShortChainWarning")
def test_kept_configurations_serve_any_observable() -> None:
    kept = run(observables=["binder"], keep_configurations=True)
    for observable in (observables.energy, observables.susceptibility):
        expected = run().estimate(observable)
        assert kept.estimate(observable).value == pytest.approx(expected.value, rel=1e-12)
        assert kept.estimate(observable).error == pytest.approx(expected.error, rel=1e-9)
    with pytest.raises(
        ValueError, match="energy was not measured, only binder; give it to run_chain"
    ):
        kept.estimate("energy")
    with pytest.raises(ValueError, match="energy was not measured, only nothing"):
        run(observables=[]).estimate(observables.energy)


@pytest.mark.filterwarnings("ignore::leaps_triton.ShortChainWarning")
def test_functions_of_one_name_are_told_apart() -> None:
    def energy(configurations: Tensor, model: Any) -> Tensor:
        return configurations[:, 0, 0].double()

    class Site:
        def value(self, configurations: Tensor, model: Any) -> Tensor:
            return configurations[:, 0, 1].double()

    site = Site()
    chain = run(sweeps=50, observables=["energy"], keep_configurations=True)
    assert chain.kept is not None
    assert chain.estimate(energy).value == pytest.approx(
        float(chain.kept[:, :, 0, 0].double().mean())
    )
    assert chain.estimate(energy).value != chain.estimate("energy").value
    theirs = run(sweeps=50, observables=[energy, site.value])
    assert (
        theirs.estimate("energy").value
        == theirs.estimate(energy).value
        == chain.estimate(energy).value
    )
    assert theirs.estimate(site.value).value == theirs.estimate("value").value
    with pytest.raises(
        ValueError,
        match="energy was not measured, but another function of that name; ask for that by",
    ):
        theirs.estimate(observables.energy)
    named = run(sweeps=50, observables={"u": observables.energy, "x": lambda x, model: x[:, 0, 0]})
    assert (
        named.estimate(observables.energy).value
        == named.estimate("u").value
        == chain.estimate("energy").value
    )
    assert named.estimate("x").value == chain.estimate(energy).value
    with pytest.raises(ValueError, match=r"a lambda has none; give \{'name': lambda"):
        run(observables=[lambda x, model: x[:, 0, 0]])
    with pytest.raises(ValueError, match="<lambda> was not measured, only u, x"):
        named.estimate(lambda x, model: x[:, 0, 0])


def test_a_run_goes_on_from_where_another_ended() -> None:
    first = run()
    second = run(start=first.configurations, burn_in=0, seed=9)
    path, walkers = lt.AnnealingPath(MODEL), torch.arange(7)
    state, _ = lt.HeatBath().step(lt.HeatBath().init(first.configurations, walkers), path, 1.0, 9)
    assert torch.equal(
        second.values["energy"][:, 0], observables.energy(state.configurations, MODEL)
    )


@pytest.mark.parametrize(
    ("model", "kernel"),
    [
        (lt.Ising((3, 4), 0.35, field=0.2), lt.HeatBath()),
        (MODEL, lt.Metropolis()),
        (lt.EdwardsAnderson((3, 3), 0.5, seed=1, periodic=False), lt.HeatBath(sweeps=2)),
    ],
    ids=["ising", "potts", "glass"],
)
def test_means_are_exact(model: lt.PairModel, kernel: Any) -> None:
    """Every observable within 4.5 sigma: a false alarm with probability 1e-4."""
    names = [*OBSERVABLES, "potts_order", "susceptibility_full"]
    chain = run(model, kernel, walkers=40, sweeps=1000, seed=6, observables=names)
    for name in names:
        estimate = chain.estimate(name)
        assert estimate.draws == 40000 and 0 < estimate.error < 0.2
        assert abs(estimate.pull(float(exact.expectation(model, getattr(observables, name))))) < 4.5


def test_an_energy_is_enough() -> None:
    model = EnergyOnly((2, 2), 3, 0.5)
    chain = run(model, walkers=10, sweeps=400, observables=["energy"])
    assert abs(chain.estimate("energy").pull(exact.energy(model))) < 4


def test_values_are_not_read_back_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that checked its configurations at every draw would make a GPU wait."""
    start = run(sweeps=1).configurations
    monkeypatch.setattr(
        lt.PairModel, "check", lambda self, x: pytest.fail("configurations were checked")
    )
    assert run(sweeps=5).values["energy"].shape == (7, 5)
    monkeypatch.undo()
    with pytest.raises(ValueError, match="values 0 to 2"):
        run(start=start + 3)


def test_short_chains_warn_when_asked_not_when_run() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        chain = run(lt.Ising((8, 8), 0.44), sweeps=20)
    with pytest.warns(lt.ShortChainWarning, match="20 draws a walker"):
        chain.estimate("energy")


def test_warnings_are_at_the_line_of_the_caller(tmp_path: Path) -> None:
    glass = lt.EdwardsAnderson((4, 4), 0.9, seed=1)
    chain = run(glass, sweeps=20)
    written = lt.io.run_chain(glass, lt.HeatBath(), 7, 20, tmp_path / "r.h5", device="cpu")
    energies = 16 * chain.values["energy"]
    for call in (
        lambda: chain.estimate("energy"),
        lambda: written.estimate(observables.energy),
        lambda: chain_estimate(energies),
        lambda: reweight(energies, energies, 0.9, 0.9),
        lambda: table.measure(written),
    ):
        with pytest.warns(lt.ShortChainWarning) as said:
            call()
        assert {(w.filename, w.lineno) for w in said} == {(__file__, call.__code__.co_firstlineno)}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"walkers": 0}, "walkers must be an integer of at least 1"),
        ({"sweeps": 0}, "sweeps must be an integer"),
        ({"sweeps": 2.0}, "sweeps must be an integer"),
        ({"thin": 0}, "thin must be an integer"),
        ({"thin": 31}, "at least thin"),
        ({"burn_in": -1}, "burn_in must be an integer"),
        ({"seed": -1}, "seed must be an integer"),
        ({"observables": ["heat"]}, "observable must be one of .*, got 'heat'"),
        ({"observables": ["energy", observables.energy]}, "two observables are called energy"),
        (
            {"observables": {"bad": lambda x, model: x[:1, 0, 0]}},
            r"bad must return \(7,\) or \(7, k\)",
        ),
        (
            {"start": torch.zeros(6, 2, 3, dtype=torch.int8)},
            r"start must be torch.int8 of shape \(7, 2, 3\)",
        ),
        ({"start": torch.zeros(7, 2, 3)}, r"got \(torch.float32"),
        ({"start": "cold"}, "got str"),
    ],
)
def test_arguments_that_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(**settings)


def test_frozen_walkers_have_no_autocorrelation_time() -> None:
    chain = run(lt.Ising((3, 3), 30.0), sweeps=60, burn_in=200)
    assert chain.estimate("energy").error == 0.0 and math.isnan(chain.estimate("energy").tau)


GLASS = lt.EdwardsAnderson((4, 4), 0.9, seed=1)
MOVES = lt.Compose(lt.HeatBath(), lt.Houdayer())
PAIRING: dict[str, Any] = {
    "Houdayer": lt.Houdayer(),
    "composition": MOVES,
    "tempering": lt.ParallelTempering([0.3, 0.6, 1.0], MOVES),
}


@pytest.mark.filterwarnings("ignore::leaps_triton.NotErgodicWarning")
@pytest.mark.filterwarnings("ignore::leaps_triton.ShortChainWarning")
@pytest.mark.parametrize("name", PAIRING)
def test_walkers_that_exchange_clusters_are_one_chain(name: str) -> None:
    """The error is that of the means of pairs; from each walker alone it would be another."""
    chain = run(GLASS, PAIRING[name], walkers=8, sweeps=200, keep_configurations=True)
    assert chain.together == 2 and run(GLASS, lt.HeatBath()).together == 1
    for observable in (observables.abs_magnetization, observables.binder, observables.potts_order):
        function = getattr(observable, "function", None)
        values = observable(chain.kept.flatten(0, 1), GLASS).view(8, 200, -1).squeeze(2)  # type: ignore[union-attr]
        expected = chain_estimate(values.unflatten(0, (4, 2)).mean(1), function)
        found = chain.estimate(observable)
        assert found.value == pytest.approx(expected.value, rel=1e-12) and found.draws == 800
        assert (
            found.error == pytest.approx(expected.error, rel=1e-9)
            and found.window == expected.window
        )
        assert abs(found.error / chain_estimate(values, function).error - 1.0) > 0.05


def test_what_moves_walkers_together_takes_multiples() -> None:
    triples = type("Triples", (lt.HeatBath,), {"together": 3})()
    kernel = lt.Compose(triples, lt.Houdayer())
    assert kernel.together == lt.ParallelTempering([0.5, 1.0], kernel).together == 6
    for walkers, moved in ((7, lt.Houdayer()), (8, kernel)):
        with pytest.raises(ValueError, match=f"number must be a multiple of it, got {walkers}"):
            run(GLASS, moved, walkers=walkers)
    with pytest.raises(ValueError, match="together must divide the number of walkers, got 2 for 3"):
        chain_estimate(torch.zeros(3, 9), together=2)


@pytest.mark.filterwarnings("ignore::leaps_triton.NotErgodicWarning")
@pytest.mark.filterwarnings("ignore::leaps_triton.ShortChainWarning")
@pytest.mark.parametrize("kernel", [lt.HeatBath(), *PAIRING.values()], ids=["heat bath", *PAIRING])
def test_observables_of_pairs_compare_walkers_two_by_two(kernel: Any) -> None:
    @observables.of_pairs
    def squared(first: Tensor, second: Tensor, model: Any) -> Tensor:
        return observables.overlap(first, second, model) ** 2

    chain = run(
        GLASS,
        kernel,
        walkers=6,
        sweeps=60,
        observables=["overlap", "link_overlap", squared],
        keep_configurations=True,
    )
    assert chain.kept is not None
    first, second = (chain.kept[side::2].flatten(0, 1) for side in (0, 1))
    for observable in (observables.overlap, observables.link_overlap, squared):
        values = observable(first, second, GLASS).view(3, 60)
        assert torch.equal(chain.values[observable.__name__], values)
        expected, found = chain_estimate(values), chain.estimate(observable)
        assert (found.value, found.error) == (expected.value, expected.error)
        kept = run(
            GLASS, kernel, walkers=6, sweeps=60, observables=[], keep_configurations=True
        ).estimate(observable)
        assert (kept.value, kept.error) == (expected.value, expected.error)
    assert chain.together_of("overlap") == 1
    assert run(GLASS, observables=[], keep_configurations=True, sweeps=4).walkers == 7
    with pytest.raises(
        ValueError, match="overlap compares walkers two by two, so their number must be even, got 7"
    ):
        run(GLASS, observables=["overlap"])
    with pytest.raises(
        ValueError, match="overlap compares walkers two by two, so their number must be even, got 7"
    ):
        run(GLASS, observables=[], keep_configurations=True).estimate(observables.overlap)
    with pytest.raises(
        ValueError, match="replica_energies is one of ParallelTempering, got HeatBath"
    ):
        run(GLASS, observables=["replica_energies"])
