"""Figures: what is drawn is what the ensemble and the history hold."""

from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure

import leaps_triton as lt
from leaps_triton.report import figures


def ensemble(model: lt.PairModel) -> lt.WeightedEnsemble:
    return lt.Sampler(
        lt.AnnealingPath(model), None, lt.Jump(4), lt.HeatBath(), block=32, device="cpu"
    ).sample(32, seed=0)


HISTORY = lt.TrainingHistory(
    loss=[8.0, 4.0, 2.0, 1.0], evaluation_step=[2, 4], evaluation_ess=[0.5, 0.9]
)


def test_overview_has_labelled_axes_and_saves(tmp_path: Path) -> None:
    one = ensemble(lt.Ising((4, 4), beta=0.3))
    figure = lt.plotting.overview({"one": one, "two": one}, HISTORY, title="title")
    labelled = [axes for axes in figure.axes if axes.get_xlabel() or axes.get_ylabel()]
    assert len(labelled) == 4
    figure.savefig(tmp_path / "overview.png")
    assert (tmp_path / "overview.png").stat().st_size > 10_000


def test_ess_along_path_draws_the_trace() -> None:
    one = ensemble(lt.Ising((4, 4), beta=0.3))
    axes = Figure().subplots()
    lt.plotting.ess_along_path(axes, {"one": one})
    drawn = torch.as_tensor(axes.lines[0].get_xydata())
    assert torch.equal(drawn, torch.stack([one.times, one.ess_trace], dim=1))


def test_training_curve_draws_loss_and_evaluations() -> None:
    axes = Figure().subplots()
    lt.plotting.training_curve(axes, HISTORY)
    assert torch.as_tensor(axes.lines[0].get_xydata())[:, 1].tolist() == HISTORY.loss
    right = axes.figure.axes[1]
    assert torch.as_tensor(right.lines[0].get_xydata())[:, 1].tolist() == HISTORY.evaluation_ess


def evaluated() -> lt.TrainingHistory:
    """Return a history of seven evaluations, of the last two of which there is a trace."""
    steps = list(range(0, 70, 10))
    return lt.TrainingHistory(
        loss=[1.0] * 60,
        evaluation_step=steps[1:],
        evaluation_ess=[0.5] * 6,
        evaluation_log_z=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        evaluation_log_z_error=[1.0] * 6,
        log_z_exact=[4.0],
        trace_t=[0.5, 1.0],
        evaluation_variance_trace=[[0.2, 0.4], [0.1, 0.2]],
        held_out_step=steps,
        held_out_t=[0.0, 0.5, 1.0],
        held_out_variance=[[0.0, 1.0, float(7 - index)] for index in range(7)],
        held_out_integral=[float(7 - index) for index in range(7)],
    )


def test_the_figure_of_a_training_has_what_evaluations_found(tmp_path: Path) -> None:
    history = evaluated()
    figure = figures.training({"new": history, "old": HISTORY})
    assert figure is not None
    figure.savefig(tmp_path / "training.png")
    # Four rows of two, of which an old training has the first alone, and an axis on the right each.
    assert len(figure.axes) == 10
    assert sum(axes.axison for axes in figure.axes) == 7
    spread, along, pulls = [figure.axes[index] for index in (2, 4, 6)]
    # The first and the last of seven are among five.
    labels = [line.get_label() for line in spread.lines]
    assert labels[0] == "step 0: ∫ v dt = 7"
    assert labels[-1] == "step 60: ∫ v dt = 1"
    assert len(labels) == 5
    assert [line.get_label() for line in along.lines] == ["step 50", "step 60"]
    drawn = torch.as_tensor(pulls.lines[1].get_xydata())
    assert drawn[:, 1].tolist() == [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0]


@pytest.mark.parametrize("shape", [(12,), (4, 5), (3, 4, 5), (3, 3, 3, 4)])
def test_snapshots_of_every_dimension(shape: tuple[int, ...]) -> None:
    one = ensemble(lt.Potts(shape, q=3, beta=0.3))
    axes = Figure().subplots()
    lt.plotting.snapshots(axes, one, rows=2, columns=2)
    canvas = axes.images[0].get_array()
    assert canvas is not None
    height, width = shape[-2:] if len(shape) > 1 else (1, shape[0])
    assert canvas.shape == (2 * height + 1, 2 * width + 1)


def test_snapshots_follow_the_weights() -> None:
    one = ensemble(lt.Ising((4, 4), beta=0.3))
    heavy = torch.full_like(one.log_weights, -1e3)
    heavy[7] = 0.0
    axes = Figure().subplots()
    lt.plotting.snapshots(
        axes, lt.WeightedEnsemble(**{**vars(one), "log_weights": heavy}), rows=1, columns=1
    )
    canvas = axes.images[0].get_array()
    assert canvas is not None
    assert torch.equal(torch.as_tensor(canvas.data), one.configurations[7].float())


def test_weight_histogram_is_of_the_weights() -> None:
    one = ensemble(lt.Ising((4, 4), beta=0.3))
    axes = Figure().subplots()
    lt.plotting.weight_histogram(axes, {"one": one})
    assert axes.get_legend() is not None
    low, high = axes.get_xlim()
    centred = one.log_weights - (torch.logsumexp(one.log_weights, 0) - torch.tensor(32.0).log())
    assert low < float(centred.max()) < high


GRAPHS = {
    "triangular": lt.Graph.triangular((3, 3)),
    "line": lt.Graph.with_neighbours((5,), [(1,), (2,)]),
    "cube": lt.Graph.with_neighbours((2, 3, 2), [(1, 0, 0), (0, 1, 0), (0, 0, 1)], False),
    "circle": lt.Graph([(0, 1), (1, 2), (2, 0), (2, 3)]),
    "complete": lt.Graph.complete(16),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_snapshots_of_a_graph_have_a_dot_per_site(name: str) -> None:
    graph = GRAPHS[name]
    one = ensemble(lt.Potts(graph, 3, beta=0.2))
    axes = Figure().subplots()
    lt.plotting.snapshots(axes, one, rows=1, columns=2)
    dots = axes.collections[-1]
    places = torch.as_tensor(dots.get_offsets())
    assert places.shape == (2 * graph.sites, 2)
    # No two dots at one place, of one walker or of two.
    apart = torch.cdist(places, places)
    assert float(apart.fill_diagonal_(1.0).min()) > 0.2
    assert dots.get_clim() == (0, 2)
    shown = torch.as_tensor(dots.get_array()).view(2, -1).to(torch.int8)
    for walker in shown:
        assert bool((one.configurations == walker).all(1).any())
    # Edges of a complete graph would hide the sites.
    assert len(axes.collections) == 1 + (name != "complete")


def test_edges_around_a_torus_are_not_drawn() -> None:
    axes = Figure().subplots()
    graph = lt.Graph.triangular((4, 4))
    lt.plotting.snapshots(axes, ensemble(lt.Ising(graph, beta=0.2)), rows=1, columns=1)
    ends = torch.stack([torch.as_tensor(p.vertices) for p in axes.collections[0].get_paths()])
    lengths = (ends[:, 0] - ends[:, 1]).square().sum(1).sqrt()
    assert len(lengths) < graph.bonds
    assert torch.allclose(lengths, torch.ones_like(lengths))


def test_figures_of_graphs_are_drawn_where_sites_have_places() -> None:
    placed = ensemble(lt.Ising(lt.Graph.triangular((3, 3)), beta=0.3))
    loose = ensemble(lt.Ising(lt.Graph.complete(5), beta=0.3))
    figure = figures.draw("correlation", {"placed": placed, "loose": loose})
    assert figure is not None
    axes = figure.axes[0]
    assert "triangular 3 × 3" in axes.get_title()
    exact = lt.exact.expectation(placed.model, lt.observables.correlation_by_distance)
    marks = [line for line in axes.lines if line.get_color() == "black"]
    assert torch.allclose(torch.as_tensor(marks[0].get_ydata()), exact)
    assert figures.draw("correlation", {"loose": loose}) is None
    assert figures.draw("snapshots", {"loose": loose}) is not None
    assert figures.draw("overlaps", {"loose": loose}) is not None
