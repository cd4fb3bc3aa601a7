"""Figures, each from results or a training history; none touches matplotlib's global state.

Figures of physics, from runs at one or several temperatures, are in :mod:`.physics_plots`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ..estimators.weights import log_mean_exp
from .pictures import mosaic, pictures_of
from .shared import headline, shortened, wrapped
from .summary import state_of, title

if TYPE_CHECKING:
    from ..io.results import Run
    from ..samplers.ensemble import WeightedEnsemble
    from ..training import TrainingHistory

__all__ = [
    "ess_along_path",
    "log_z_pulls",
    "mosaic",
    "node_residuals",
    "overview",
    "residual_spread",
    "snapshots",
    "training_curve",
    "variance_along_path",
    "weight_histogram",
]


_LEFT = 0.002
"""Share of the walkers of least weight that a histogram leaves out."""

_LOSS = (
    "physics-informed loss: Var[ξ], mean over t, ξ the residual of the\n"
    "continuity equation; at 0 all weights are equal"
)
"""What the loss of a training is, unless another was chosen."""

_CURVES = 5
"""Evaluations that are drawn in one panel at most."""

_LINEAR = 1e-3
"""Variances below which an axis is linear, since they may vanish."""

_SMOOTH = 60
"""Points of the smooth curve of losses."""


def snapshots(axes: Axes, ensemble: Any, rows: int = 3, columns: int = 5) -> None:
    """Draw configurations in proportion to their weights; slices of two dimensions of more.

    Sites of a graph are dots where they stand, or on a circle if they have no positions, with its
    edges where these are few.

    Those of chains are the last ones of equally spaced walkers, with fewer panels where there are
    fewer walkers.

    Args:
        axes: where.
        ensemble: any result.
        rows: walkers one above another.
        columns: walkers side by side.

    Raises:
        ValueError: If the result has no configurations.
    """
    x = ensemble.configurations
    if x is None:
        raise ValueError(
            "snapshots need configurations, and this run has stored none; use configurations=True"
        )
    count = rows * columns
    if ensemble.weighted:
        kind = "weighted samples"
        log_weights = ensemble.log_weights.double().cpu()
    else:
        kind = "walkers of a chain"
        count = min(count, len(x))
        log_weights = torch.zeros(len(x), dtype=torch.float64)
    shown = x[_chosen(log_weights, count).to(x.device)].cpu()
    model = ensemble.model
    pictures = pictures_of(model.lattice, shown, columns)
    low, high = _range(model, torch.as_tensor(pictures.values(shown)))
    pictures.draw(axes, shown, cmap="viridis", vmin=low, vmax=high)
    axes.set_axis_off()
    about = f"{title(model)}, {state_of(model)}"
    key = f"dark: x = {low:.3g}, bright: x = {high:.3g}"
    headline(axes, f"{count} {kind}: {about}; {key}")


def _range(model: Any, drawn: Tensor) -> tuple[float, float]:
    """Return the values that are darkest and brightest."""
    if not model.dtype.is_floating_point:
        return 0, model.q - 1
    # Continuous spins have no range of their own; gaps between walkers are NaN.
    values = drawn[~drawn.isnan()]
    return float(values.min()), float(values.max())


def _chosen(log_weights: Tensor, count: int) -> Tensor:
    """Return indices of ``count`` walkers in proportion to their weights, the same every time."""
    shares = log_weights.softmax(0).cumsum(0)
    # Systematic: equally spaced thresholds.
    thresholds = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    # By rounding the last share may lie below 1.
    return torch.searchsorted(shares, thresholds).clamp(max=len(log_weights) - 1)


def weight_histogram(axes: Axes, ensembles: Mapping[str, WeightedEnsemble | Run]) -> None:
    """Draw histograms of ``A - log mean e^A``, one curve per ensemble.

    Their weighted mean is 1 on the exponential scale.

    Args:
        axes: where.
        ensembles: label → weighted walkers.
    """
    centred = {}
    for label, ensemble in ensembles.items():
        a = ensemble.log_weights.cpu()
        centred[label] = a - log_mean_exp(a)
    # A long tail of walkers without weight would squeeze all others.
    low = min(float(torch.quantile(a, _LEFT)) for a in centred.values())
    high = max(float(a.max()) for a in centred.values())
    fewest = min(len(a) for a in centred.values())
    # By the rule of Rice, so that the bars of few walkers are no comb.
    bins = min(60, max(10, round(2.0 * fewest ** (1.0 / 3.0))))
    for label, a in centred.items():
        axes.hist(
            a[a >= low].numpy(),
            bins=bins,
            range=(low, high),
            density=True,
            histtype="step",
            linewidth=1.5,
            label=f"{shortened(label)}: ESS {ensembles[label].ess:.2g}",
        )
    axes.axvline(0.0, color="grey", linewidth=0.8, label="mean weight")
    axes.set_xlabel("log-weight  A − log⟨exp A⟩")
    axes.set_ylabel("density of walkers")
    models = dict.fromkeys(title(ensemble.model) for ensemble in ensembles.values())
    text = "ESS: effective sample size / walkers; left tail cut at 0.2 %"
    headline(axes, f"weights: {'; '.join(models)}; {text}")
    axes.legend(fontsize=8)


def ess_along_path(axes: Axes, ensembles: Mapping[str, WeightedEnsemble]) -> None:
    """Draw the ESS of the walkers for ``ρ_t`` along the path.

    Args:
        axes: where.
        ensembles: label → weighted walkers.
    """
    for label, ensemble in ensembles.items():
        trace = ensemble.ess_trace.cpu()
        axes.plot(ensemble.times.numpy(), trace.numpy(), marker=".", label=shortened(label))
    axes.set_xlabel("time t along the path")
    axes.set_ylabel("effective sample size / walkers")
    axes.set_ylim(0.0, 1.05)
    headline(axes, "effective sample size along the path")
    axes.legend(fontsize=8, loc="lower left")


def training_curve(axes: Axes, history: TrainingHistory) -> None:
    """Draw the loss of every step on a logarithmic axis, and the ESS of evaluations on a second.

    Args:
        axes: where.
        history: of a training.
    """
    loss = torch.tensor(history.loss, dtype=torch.float64)
    # Means over as many steps each, but for a short rest.
    window = max(1, len(loss) // _SMOOTH)
    whole = len(loss) // window * window
    smooth = loss[:whole].view(-1, window).mean(1)
    middle = (torch.arange(len(smooth)) + 0.5) * window
    pale: dict[str, Any] = {"color": "C0", "alpha": 0.25, "linewidth": 0.7}
    axes.semilogy(loss.numpy(), label="loss of a step", **pale)
    steps = "step" if window == 1 else "steps"
    axes.semilogy(middle.numpy(), smooth.numpy(), color="C0", label=f"mean of {window} {steps}")
    axes.set_xlabel(f"training step\n{_LOSS}", fontsize=9)
    axes.set_ylabel("loss", color="C0")
    headline(axes, "training")
    handles, labels = axes.get_legend_handles_labels()
    if history.evaluation_step:
        right = axes.twinx()
        (curve,) = right.plot(history.evaluation_step, history.evaluation_ess, "o-", color="C1")
        right.set_ylabel("effective sample size / walkers", color="C1")
        right.set_ylim(0.0, 1.05)
        handles.append(curve)
        labels.append("ESS of fresh walkers, by exact weights")
    axes.legend(handles, labels, fontsize=8, loc="lower left")


def _some(steps: Sequence[int]) -> list[int]:
    """Return which of many evaluations a panel has room for: the first, the last, some between."""
    last = len(steps) - 1
    if last < _CURVES:
        return list(range(len(steps)))
    return [round(last * part / (_CURVES - 1)) for part in range(_CURVES)]


def residual_spread(axes: Axes, history: TrainingHistory) -> None:
    """Draw ``v(t) = Var[ξ_t]`` on held-out samples of ``ρ_t``, a curve per evaluation of some.

    Args:
        axes: where.
        history: of a training with held-out samples.
    """
    for index in _some(history.held_out_step):
        step = history.held_out_step[index]
        name = f"step {step}: ∫ v dt = {history.held_out_integral[index]:.3g}"
        axes.plot(history.held_out_t, history.held_out_variance[index], marker=".", label=name)
    axes.set_yscale("symlog", linthresh=_LINEAR)
    axes.set_xlabel("time t along the path")
    axes.set_ylabel("v = Var[ξ] over ρ_t")
    headline(axes, "spread of the residual on held-out samples; at 0 all weights are equal")
    axes.legend(fontsize=8, loc="upper left")


def node_residuals(axes: Axes, history: TrainingHistory) -> None:
    """Draw the residual on fresh nodes, and on those that were trained on.

    Args:
        axes: where.
        history: of a training on nodes.
    """
    steps = history.test_step
    axes.semilogy(steps, history.test_residual, "o-", color="C3", label="on fresh nodes")
    axes.semilogy(steps, history.node_residual, "s--", color="C0", label="on nodes trained on")
    axes.set_xlabel("training step")
    axes.set_ylabel("root mean square of ξ − c")
    headline(axes, "residual over ∫ dt ρ_t; far apart where nodes are too few")
    axes.legend(fontsize=8, loc="lower left")


def variance_along_path(axes: Axes, history: TrainingHistory) -> None:
    """Draw ``Var[A]`` of fresh walkers along the path, a curve for each of some evaluations.

    Args:
        axes: where.
        history: of a training with evaluations.
    """
    traces = history.evaluation_variance_trace
    # Evaluations of earlier versions have no trace.
    steps = history.evaluation_step[len(history.evaluation_step) - len(traces) :]
    for index in _some(steps):
        axes.plot(history.trace_t, traces[index], marker=".", label=f"step {steps[index]}")
    axes.set_yscale("symlog", linthresh=_LINEAR)
    axes.set_xlabel("time t along the path")
    axes.set_ylabel("Var[A]")
    headline(axes, "where the variance of the log-weights arises")
    axes.legend(fontsize=8, loc="upper left")


def log_z_pulls(axes: Axes, history: TrainingHistory) -> None:
    """Draw the error of log Z in standard errors, at every evaluation.

    Args:
        axes: where.
        history: of a training whose exact log Z is known.
    """
    axes.axhspan(-1.0, 1.0, color="grey", alpha=0.2, label="one standard error")
    axes.axhline(0.0, color="grey", linewidth=0.8)
    axes.plot(history.evaluation_step, history.evaluation_log_z_pull, "o-", color="C2")
    axes.set_xlabel("training step")
    axes.set_ylabel("(log Z − exact) / error")
    headline(axes, "log Z of fresh walkers, by exact weights")
    axes.legend(fontsize=8, loc="upper left")


def overview(
    ensembles: Mapping[str, WeightedEnsemble], history: TrainingHistory, title: str | None = None
) -> Figure:
    """Draw snapshots of the first ensemble, weights, ESS along the path, and the training curve.

    Args:
        ensembles: label → weighted walkers of the same model.
        history: of the training of the first.
        title: above all four.

    Returns:
        The figure; save it with ``savefig``.
    """
    figure = Figure(figsize=(11, 7.5), layout="constrained")
    (upper_left, upper_right), (lower_left, lower_right) = figure.subplots(2, 2)
    snapshots(upper_left, next(iter(ensembles.values())))
    weight_histogram(upper_right, ensembles)
    ess_along_path(lower_left, ensembles)
    training_curve(lower_right, history)
    if title:
        figure.suptitle(wrapped(title, 0.95 * figure.get_figwidth(), 12.0))
    return figure
