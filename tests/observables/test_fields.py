"""Observables of fields on exact samples of the free field, and by hand.

Statistical tests have fixed seeds and a bound of 4.4σ: of 30 pulls one lies beyond it in 3000 runs.
"""

import math
from typing import Any

import pytest
import torch

import leaps_triton as lt
from leaps_triton import observables
from leaps_triton.exact.fields import known_of_field
from leaps_triton.report import summary

FREE: Any = lt.PhiFour((8, 4), mass_squared=0.5, quartic=0.0)
MOST_SIGMA = 4.4


@pytest.fixture(scope="module")
def samples() -> torch.Tensor:
    return lt.FreeField(0.5).on(FREE).sample(torch.arange(20000), seed=3)


def pull(values: torch.Tensor, exact: float) -> float:
    error = float(values.std()) / math.sqrt(len(values))
    return abs(float(values.mean()) - exact) / error


@pytest.mark.parametrize(
    "name",
    [
        "energy", "abs_magnetization", "magnetization_squared", "susceptibility_full",
        "field_squared", "field_fourth", "schwinger_dyson",
    ],
)  # fmt: skip
def test_means_of_the_free_field_are_exact(name: str, samples: torch.Tensor) -> None:
    values = getattr(observables, name)(samples, FREE)
    assert values.dtype == torch.float64 and values.shape == (len(samples),)
    assert pull(values, known_of_field(FREE)[name]) < MOST_SIGMA


def test_two_point_function_and_correlation_length_of_the_free_field(
    samples: torch.Tensor,
) -> None:
    for direction, length in enumerate(FREE.shape):
        exact = lt.exact.free_field_two_point(FREE.shape, 0.5, direction)
        found = observables.correlation(samples, FREE, direction)
        assert found.shape == (len(samples), length // 2 + 1)
        for column, value in zip(found.unbind(1), exact.tolist(), strict=True):
            assert pull(column, value) < MOST_SIGMA
        directed = observables.along(observables.correlation_length, direction)
        moments = directed(samples, FREE)
        means = moments.mean(0)
        length_found = observables.correlation_length.function(means)  # type: ignore[attr-defined]
        # Of the free field ξ₂ = 1/m at any size; the error is that of a ratio of two means, so 5 %
        # is more than five of it.
        assert float(length_found) == pytest.approx(1.0 / math.sqrt(0.5), rel=0.05)


def test_functions_of_means_of_the_free_field(samples: torch.Tensor) -> None:
    log_weights = torch.zeros(len(samples), dtype=torch.float64)
    for name in ("susceptibility", "binder", "specific_heat"):
        observable = getattr(observables, name)
        values = observable(samples, FREE)
        found = lt.estimators.weighted_estimate(values, log_weights, observable.function)
        assert abs(found.pull(known_of_field(FREE)[name])) < MOST_SIGMA


def test_values_by_hand() -> None:
    model = lt.PhiFour((2, 2), mass_squared=-1.0, quartic=2.0, dtype=torch.float64)
    x = torch.tensor([[[1.0, -2.0], [0.5, 0.0]]], dtype=torch.float64)
    assert float(observables.magnetization(x, model)) == pytest.approx(-0.125)
    assert float(observables.field_squared(x, model)) == pytest.approx(5.25 / 4.0)
    assert float(observables.field_fourth(x, model)) == pytest.approx(17.0625 / 4.0)
    # Every term of the action counts as often as it has factors of the field.
    quartic = 2.0 * 17.0625
    action = float(model.energy(x))
    expected = (2.0 * (action - quartic) + 4.0 * quartic) / 4.0
    assert float(observables.schwinger_dyson(x, model)) == pytest.approx(expected, rel=1e-13)
    assert torch.equal(observables.energy(x, model) * 4.0, model.energy(x))


def test_sums_of_single_precision_fields_are_double() -> None:
    """A float32 sum of a field of 1e4 on 64 sites would be off by its last digits."""
    model = lt.PhiFour((8, 8), mass_squared=1.0, quartic=0.0)
    x = 1e4 + torch.rand(3, 8, 8)
    exact = x.double().mean((1, 2))
    assert torch.equal(observables.magnetization(x, model), exact)


def test_bad_input_is_told_apart() -> None:
    states = torch.zeros(2, 3, 3, dtype=torch.int8)
    ising = lt.Ising((3, 3), beta=0.4)
    for observable in (observables.field_squared, observables.field_fourth):
        with pytest.raises(ValueError, match=r"one of fields.*got configurations of torch.int8"):
            observable(states, ising)
    with pytest.raises(ValueError, match="counts states"):
        observables.potts_order(torch.zeros(2, 8, 4), FREE)
    with pytest.raises(ValueError, match=r"configurations must be a tensor of torch.float32"):
        observables.schwinger_dyson(torch.zeros(2, 8, 4, dtype=torch.float64), FREE)
    with pytest.raises(ValueError, match=r"shape \(walkers, 8, 4\)"):
        observables.field_squared(torch.zeros(2, 4, 8), FREE)


def test_closed_forms_agree_with_the_start() -> None:
    start = lt.FreeField(0.5).on(FREE)
    assert lt.exact.free_field_log_z(FREE.shape, 0.5) == pytest.approx(start.log_z, abs=1e-12)
    two_point = lt.exact.free_field_two_point(FREE.shape, 0.5)
    mean = lt.exact.free_field_variances(FREE.shape, 0.5).mean()
    assert float(two_point[0]) == pytest.approx(float(mean), abs=1e-14)
    with pytest.raises(ValueError, match="mass_squared must be a number above 0"):
        lt.exact.free_field_log_z((4, 4), 0.0)


def test_exact_values_take_the_free_model() -> None:
    log_z = lt.exact.free_field_log_z(FREE.shape, 0.5)
    assert lt.exact.log_z(FREE) == log_z == lt.exact.free_field_log_z(FREE)
    assert lt.exact.energy(FREE) == lt.exact.specific_heat(FREE) == 0.5
    expected = lt.exact.free_field_two_point(FREE.shape, 0.5)
    assert torch.equal(lt.exact.free_field_two_point(FREE), expected)
    with pytest.raises(ValueError, match="mass_squared must be None beside a model"):
        lt.exact.free_field_log_z(FREE, 0.5)
    quartic = FREE.with_couplings(quartic=1.5)
    for function in (lt.exact.log_z, lt.exact.energy, lt.exact.free_field_log_z):
        with pytest.raises(
            ValueError, match=r"quartic=0 alone, got quartic=1.5; .*schwinger_dyson"
        ):
            function(quartic)


def test_a_table_of_weighted_walkers_ends_with_the_check() -> None:
    """The path stays at the free field, so that all walkers have one weight."""
    ensemble = weighted()
    names = ["energy", "binder"]
    table = summary.measure(ensemble, names)
    assert list(table["observables"]) == [*names, "schwinger_dyson"]
    row = table["observables"]["schwinger_dyson"]
    assert row["exact"] == 1.0 and abs(row["pull"]) < MOST_SIGMA
    text = summary.render(table)
    assert "action / site" in text and "check ⟨φ ∂S/∂φ⟩" in text
    # What is measured unless told.
    assert list(summary.measure(ensemble)["observables"]) == list(observables.FIELD_OBSERVABLES)


def weighted() -> lt.WeightedEnsemble:
    x = lt.FreeField(0.5).on(FREE).sample(torch.arange(4000), seed=1)
    times = torch.tensor([0.0, 1.0], dtype=torch.float64)
    zeros = torch.zeros(2, dtype=torch.float64)
    return lt.WeightedEnsemble(
        FREE, x, torch.zeros(4000, dtype=torch.float64), 0.0, times, zeros, zeros.long(), 1.0, 0, 64
    )


def test_walkers_are_reweighted_in_the_mass() -> None:
    ensemble: Any = weighted()
    # In one coupling all of the free field is known; the fourth power too, for which λ stays 0.
    other = FREE.with_couplings(mass_squared=0.55)
    for name in ("field_squared", "susceptibility_full", "energy", "schwinger_dyson", "binder"):
        found = ensemble.reweight(name, mass_squared=0.55)
        assert abs(found.pull(known_of_field(other)[name])) < MOST_SIGMA
        assert 0.5 < found.ess < 1.0
    for bad, words in (
        ({}, "give one parameter"),
        ({"quartic": 0.1, "mass_squared": 0.6}, "give one parameter"),
        ({"beta": 0.9}, "beta of PhiFour must be 1"),
        ({"kappa": 0.2}, "PhiFour has no coupling kappa; it has mass_squared, quartic"),
        ({"quartic": math.nan}, "quartic must be a finite number"),
    ):
        with pytest.raises(ValueError, match=words):
            ensemble.reweight("energy", **bad)


def test_free_energy_and_exports_know_fields() -> None:
    ensemble = weighted()
    exact = lt.exact.free_field_log_z(FREE.shape, 0.5)
    # All weights are 1, so that log Z is that of the start, here 0.
    found = lt.estimators.free_energy(ensemble)
    assert found.value == pytest.approx(-ensemble.log_z / 32.0, abs=1e-12)
    assert known_of_field(FREE)["log_z"] == exact
    pytest.importorskip("pandas")
    frame = lt.io.export.to_frame(ensemble, ["energy", "schwinger_dyson"])
    assert frame.loc["schwinger_dyson", "exact"] == 1.0
