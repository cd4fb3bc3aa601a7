"""Tables and figures of scans: exact columns, relative log Z, and scans without log Z."""

import math

import pytest

import leaps_triton as lt
from leaps_triton.report import figures, scans

MODEL = lt.Ising((2, 3), beta=0.5, periodic=False)


def test_relative_log_z_is_compared_with_relative_exact_values() -> None:
    found = lt.scan(
        MODEL, [0.2, 0.3, 0.5], walkers=16, sweeps=100, seed=1, observables=["energy"], device="cpu"
    )
    table = scans.measure(found)
    assert not table["absolute"] and table["beta"] == [0.2, 0.3, 0.5]
    first = lt.exact.log_z(MODEL.at(0.2))
    exact = [lt.exact.log_z(MODEL.at(beta)) - first for beta in table["beta"]]
    column = table["columns"]["log_z"]
    assert column["exact"] == pytest.approx(exact, abs=1e-12)
    # Without an error there is no pull; beyond 4.5σ one of two would lie in 70 000 runs.
    assert column["pull"][0] is None and max(abs(pull) for pull in column["pull"][1:]) < 4.5
    printed = scans.render(table)
    assert "Δ log Z" in printed and "counts from β = 0.2" in printed
    figure = figures.scan(found)
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert "[log Z(β) − log Z(0.2)] / site" in labels
    assert labels.count("pull [σ]") == 2


def test_a_scan_without_log_z_is_drawn_without_it() -> None:
    model = lt.Ising((8, 8), beta=1.0)
    names = ["energy"]
    found = lt.scan(model, [0.1, 3.0], walkers=4, sweeps=30, observables=names, device="cpu")
    assert all(math.isnan(each.value) for each in found.log_z)
    labels = [axes.get_ylabel() for axes in figures.scan(found).axes]
    assert labels == ["energy / site  ⟨H⟩/N  [$J$]", "pull [σ]"]


def test_a_scan_too_short_for_errors_is_refused() -> None:
    found = lt.scan(MODEL, [0.2, 0.5], walkers=2, sweeps=2, observables=[], device="cpu")
    with pytest.raises(ValueError, match="too few walkers or draws for error bars"):
        figures.scan(found)
