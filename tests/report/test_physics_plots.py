"""Figures of physics show the estimates of the runs, and exact values where they are known."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

import leaps_triton as lt
from leaps_triton import physics_plots
from leaps_triton.estimators.autocorrelation import chain_estimate
from leaps_triton.report import summary as table

pytestmark = pytest.mark.filterwarnings("ignore::leaps_triton.estimators.CautionWarning")


def chain(shape: tuple[int, ...] = (4, 4), temperature: float = 2.5, **options: Any) -> lt.Chain:
    defaults: dict[str, Any] = {
        "walkers": 8,
        "sweeps": 60,
        "device": "cpu",
        "keep_configurations": True,
    }
    return lt.run_chain(
        lt.Ising(shape, 1.0 / temperature), lt.SwendsenWang(), **{**defaults, **options}
    )


def weighted(beta: float = 0.3, model: Any = lt.Ising) -> lt.WeightedEnsemble:
    path = lt.AnnealingPath(model((3, 4), beta))
    return lt.Sampler(path, None, lt.Jump(4), lt.HeatBath(), device="cpu").sample(64, seed=1)


def points(axes: Any, index: int = 0) -> torch.Tensor:
    """Drawn points with error bars: x, y and half lengths, ``(points, 3)``."""
    line, _, (bars,) = axes.containers[index].lines
    lengths = torch.tensor([(high - low) / 2 for (_, low), (_, high) in bars.get_segments()])
    return torch.cat([torch.as_tensor(line.get_xydata()), lengths.unsqueeze(1)], dim=1)


def test_observables_are_drawn_with_errors_exact_curves_and_pulls() -> None:
    runs = [chain(temperature=t) for t in (3.0, 2.0)] + [chain((8, 8), 2.5)]
    figure = physics_plots.against_temperature(runs)
    legend = figure.axes[0].get_legend()
    assert legend is not None and [text.get_text() for text in legend.get_texts()] == [
        "Ising, 4 × 4",
        "Ising, 8 × 8",
    ]
    energy, pulls = figure.axes[0], figure.axes[3]
    expected = [(t, run.estimate("energy")) for t, run in ((2.0, runs[1]), (3.0, runs[0]))]
    rows = [[t, e.value, e.error] for t, e in expected]
    assert torch.allclose(points(energy), torch.tensor(rows, dtype=torch.float64))
    drawn = torch.as_tensor(pulls.lines[0].get_xydata())
    exact = [e.pull(lt.exact.ising_energy((4, 4), 1.0 / t)) for t, e in expected]
    assert torch.allclose(drawn[:, 1], torch.tensor(exact, dtype=torch.float64))
    curve = torch.as_tensor(energy.lines[0].get_xydata())
    for t, value in curve[::20].tolist():
        assert value == pytest.approx(lt.exact.ising_energy((4, 4), 1.0 / t))
    for axes in figure.axes[:3]:
        assert axes.get_ylabel()
    assert "J/k_B" in pulls.get_xlabel()
    for axes, unit in zip(figure.axes[:3], ("[$J$]", "", "[$1/J$]"), strict=True):
        assert unit in axes.get_ylabel()
    shown = [axes.get_xlim() for axes in figure.axes if axes.has_data()]
    assert len(set(shown)) == 1 and shown[0][0] < 2.0 and shown[0][1] > 3.0


def test_weighted_runs_and_chains_share_a_figure() -> None:
    """Beyond enumeration only some observables have exact values; the others have no pulls."""
    model = lt.EdwardsAnderson((5, 5), 0.5, seed=1)
    ais = lt.Sampler(lt.AnnealingPath(model), None, lt.Jump(4), lt.HeatBath(), device="cpu").sample(
        64
    )
    walked = lt.run_chain(model, lt.HeatBath(), 4, 40, device="cpu")
    figure = physics_plots.against_temperature([ais, walked], ["energy", "binder"])
    assert len(figure.axes) == 3
    assert [len(axes.containers) for axes in figure.axes[:2]] == [1, 1] and len(
        points(figure.axes[0])
    ) == 2
    assert figure.axes[2].get_ylabel() == "pull [σ]"
    # Values without pulls reach down to where the pulls of others end.
    bottoms = [axes.get_position().y0 for axes in figure.axes]
    assert bottoms[1] == pytest.approx(bottoms[2])
    with pytest.raises(ValueError, match="none at beta = 0"):
        physics_plots.against_temperature([weighted(beta=0.0)])


def test_fields_have_a_line_at_their_check_and_names_of_their_own() -> None:
    fields = [lt.PhiFour((4, 4), -4.0, quartic) for quartic in (6.0, 7.0)]
    names = ["energy", "abs_magnetization", "binder", "schwinger_dyson"]
    runs = [lt.run_chain(field, None, 4, 40, device="cpu", observables=names) for field in fields]
    figure = physics_plots.against_temperature(runs, names)
    # Nothing but the check is known, which has pulls.
    assert [axes.get_ylabel() for axes in figure.axes].count("pull [σ]") == 1
    check = next(axes for axes in figure.axes if "∂S/∂φ" in axes.get_ylabel())
    assert [1.0, 1.0] in [list(line.get_ydata()) for line in check.lines]
    axes = Figure().subplots()
    physics_plots.autocorrelation(axes, runs[0])
    legend = axes.get_legend()
    assert legend is not None
    shown = " ".join(text.get_text() for text in legend.get_texts())
    assert "action / site" in shown and "|M|" in shown
    axes = Figure().subplots()
    physics_plots.binder_crossing(axes, runs)
    assert "⟨M⁴⟩" in axes.get_ylabel()


def test_binder_cumulants_cross_at_the_marked_temperature() -> None:
    runs = [chain(shape, t) for shape in ((4, 4), (6, 6)) for t in (2.0, 2.6)]
    axes = Figure().subplots()
    physics_plots.binder_crossing(axes, runs)
    assert len(axes.containers) == 2
    expected = runs[2].estimate("binder")
    assert points(axes, 1)[0].tolist() == pytest.approx([2.0, expected.value, expected.error])
    critical = [line for line in axes.lines if "T_c" in str(line.get_label())]
    assert float(torch.as_tensor(critical[0].get_xdata())[0]) == pytest.approx(
        2.0 / math.asinh(1.0)
    )


@pytest.mark.parametrize("run", [chain(), weighted()], ids=["chain", "weighted"])
def test_correlations_have_errors_and_exact_values(run: Any) -> None:
    axes = Figure().subplots()
    physics_plots.correlation(axes, {"run": run})
    expected = run.estimate(lt.observables.correlation, lambda means: means[..., 1])
    assert points(axes)[1].tolist() == pytest.approx([1.0, expected.value, expected.error])
    assert points(axes)[0].tolist() == pytest.approx([0.0, 1.0, 0.0], abs=1e-12)
    exact = [
        line
        for line in axes.lines
        if line.get_color() == "black" and len(torch.as_tensor(line.get_xydata()))
    ]
    small = run.model.lattice.sites <= 12
    assert len(exact) == small
    if small:
        value = lt.exact.expectation(run.model, lt.observables.correlation)
        assert torch.allclose(torch.as_tensor(exact[0].get_ydata()), value)


def test_autocorrelations_are_those_of_the_gamma_method() -> None:
    run = chain(sweeps=400, walkers=20)
    axes = Figure().subplots()
    physics_plots.autocorrelation(axes, run, ["energy", "binder"])
    for line, name in zip(axes.lines[:4:2], ("energy", "binder"), strict=True):
        estimate = chain_estimate(run.values[name], run.functions.get(name))
        drawn = torch.as_tensor(line.get_ydata())
        assert len(drawn) > estimate.window
        assert torch.equal(drawn[: estimate.window + 1], estimate.autocorrelation)
        assert f"W = {estimate.window}" in str(line.get_label())
    error = physics_plots._autocorrelation_error(
        torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64), 1, 100
    )
    assert error.tolist() == pytest.approx([0.0, 0.1, 0.1])


@pytest.mark.parametrize(
    "run",
    [chain((3, 5)), weighted(), weighted(model=lambda s, b: lt.Potts(s, 3, b))],
    ids=["chain", "ising", "potts"],
)
def test_overlaps_are_a_density(run: Any) -> None:
    axes = Figure().subplots()
    physics_plots.overlap_distribution(axes, {"run": run})
    drawn = points(axes)
    width = 2.0 / run.model.lattice.sites
    assert float(drawn[:, 1].sum() * width) == pytest.approx(1.0)
    x: Any = run.kept if isinstance(run, lt.Chain) else run.configurations
    q = lt.observables.overlap(x[::2].flatten(0, -3), x[1::2].flatten(0, -3), run.model)
    if isinstance(run, lt.Chain):
        assert float((drawn[:, 0] * drawn[:, 1]).sum() * width) == pytest.approx(float(q.mean()))
    assert bool((drawn[:, 2] >= 0).all()) and bool(drawn[:, 2].any())
    with pytest.raises(ValueError, match="at least two walkers"):
        physics_plots.overlap_distribution(axes, {"run": chain(keep_configurations=False)})


@pytest.mark.parametrize("shape", [(12,), (5, 6), (3, 4, 5)])
def test_an_animation_has_its_frames(shape: tuple[int, ...], tmp_path: Path) -> None:
    frames = torch.arange(4).view(4, *[1] * (len(shape) + 1)).expand(4, 5, *shape).to(torch.int8)
    physics_plots.animation(frames, ["a", "b", "c", "d"], tmp_path / "a.gif", states=4)
    with Image.open(tmp_path / "a.gif") as picture:
        assert picture.format == "GIF" and getattr(picture, "n_frames", 1) == 4
    with pytest.raises(ValueError, match="got 1 for 4"):
        physics_plots.animation(frames, ["a"], tmp_path / "a.gif", states=4)


def test_a_film_of_a_graph_has_its_frames(tmp_path: Path) -> None:
    graph = lt.Graph.kagome((2, 2))
    frames = torch.arange(2, dtype=torch.int8).view(2, 1, 1).expand(2, 4, 12)
    physics_plots.animation(frames, ["a", "b"], tmp_path / "a.gif", states=2, lattice=graph)
    with Image.open(tmp_path / "a.gif") as picture:
        assert getattr(picture, "n_frames", 1) == 2


def test_correlations_by_distance_are_those_that_were_measured() -> None:
    model = lt.Ising(lt.Graph.honeycomb((2, 2)), beta=0.3)
    names = ["energy", "correlation_by_distance"]
    run = lt.run_chain(
        model, lt.HeatBath(), walkers=8, sweeps=60, observables=names, keep_configurations=True
    )
    axes = Figure().subplots()
    physics_plots.correlation(axes, {"run": run})
    for number, drawn in enumerate(points(axes).tolist()):
        expected = run.estimate(lt.observables.correlation_at(number))
        assert drawn[1:] == pytest.approx([expected.value, expected.error])


def test_known_values_are_exact_and_given_only_where_they_take_seconds() -> None:
    for model in (
        lt.Ising((16, 16), 0.4),
        lt.Ising((8, 7), 0.4, field=0.1, periodic=(True, False)),
        lt.Potts((8, 8), 2, 0.4),
    ):
        known = table.known(model)
        assert known["log_z"] == lt.exact.log_z(model) and known["energy"] == lt.exact.energy(model)
        assert known["specific_heat"] == lt.exact.specific_heat(model)
    assert (
        table.known(lt.Ising((12, 12), 0.4, field=0.1))
        == table.known(lt.Potts((8, 8), 3, 0.4))
        == {}
    )
    assert set(table.known(lt.Ising((3, 6), 0.4, field=0.1))) == {
        "log_z",
        "energy",
        "specific_heat",
    }
    assert set(table.known(lt.Clock((3, 3), 3, 0.4))) == {"log_z", *table.LABELS}
