"""Figures: what is drawn is what the ensemble and the history hold."""

from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure

import leaps_triton as lt


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
