"""Figures, each from an ensemble or a training history; none of them touches matplotlib's global
state.

Figures of physics, from runs at one or several temperatures, are in :mod:`.physics_plots`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from .summary import title

if TYPE_CHECKING:
    from ..io.weighted import Run
    from ..mcmc.chain import Chain
    from ..samplers.ensemble import WeightedEnsemble
    from ..training.trainer import TrainingHistory

__all__ = [
    "ess_along_path",
    "mosaic",
    "overview",
    "snapshots",
    "training_curve",
    "weight_histogram",
]


def snapshots(
    axes: Axes, ensemble: WeightedEnsemble | Run | Chain, rows: int = 3, columns: int = 5
) -> None:
    """Configurations drawn in proportion to their weights; slices of two dimensions where there are
    more.

    Of chains the last configurations of equally spaced walkers. Fewer panels where there are fewer
    walkers of a chain.
    """
    x = ensemble.configurations
    if x is None:
        raise ValueError(
            "snapshots need configurations, and this run has stored none; use configurations=True"
        )
    weights = getattr(ensemble, "log_weights", None)
    rows = rows if weights is not None else min(rows, -(-len(x) // columns))
    count = rows * columns if weights is not None else min(rows * columns, len(x))
    shares = (
        (torch.zeros(len(x)) if weights is None else weights).double().softmax(0).cumsum(0).cpu()
    )
    # Systematic: equally spaced thresholds, so that the picture is the same every time.
    chosen = torch.searchsorted(
        shares, (torch.arange(count, dtype=torch.float64) + 0.5) / count
    ).clamp(max=len(x) - 1)
    canvas = mosaic(x[chosen.to(x.device)], columns)
    axes.imshow(
        canvas.numpy(), cmap="viridis", interpolation="nearest", vmin=0, vmax=ensemble.model.q - 1
    )
    axes.set_axis_off()
    kind = "walkers of a chain" if weights is None else "weighted samples"
    key = f"dark: x = 0, bright: x = {ensemble.model.q - 1}"
    axes.set_title(
        f"{count} {kind}: {title(ensemble.model)}, β = {ensemble.model.beta:.4g}; {key}", fontsize=9
    )


def mosaic(configurations: Tensor, columns: int) -> Tensor:
    """Configurations side by side with gaps of NaN, float32 on the CPU; slices of two dimensions
    where there are more.

    Example:
        >>> mosaic(torch.ones(3, 4, 5), columns=2).shape
        torch.Size([9, 11])
    """
    x = configurations.cpu()
    while x.ndim > 3:
        x = x[:, 0]
    x = x.unsqueeze(1) if x.ndim == 2 else x
    rows, (height, width) = -(-len(x) // columns), x.shape[1:]
    canvas = torch.full((rows * (height + 1) - 1, columns * (width + 1) - 1), torch.nan)
    for index, configuration in enumerate(x):
        top, left = divmod(index, columns)
        top, left = top * (height + 1), left * (width + 1)
        canvas[top : top + height, left : left + width] = configuration.float()
    return canvas


def weight_histogram(axes: Axes, ensembles: Mapping[str, WeightedEnsemble | Run]) -> None:
    """Histograms of ``A - log mean e^A``, whose weighted mean is 1 on the exponential scale; one
    curve an ensemble.
    """
    centred = {
        label: (
            e.log_weights
            - (torch.logsumexp(e.log_weights, 0) - torch.tensor(float(len(e.log_weights))).log())
        ).cpu()
        for label, e in ensembles.items()
    }
    low = min(float(torch.quantile(a, 0.002)) for a in centred.values())
    high = max(float(a.max()) for a in centred.values())
    for label, a in centred.items():
        inside = a[a >= low]
        axes.hist(
            inside.numpy(),
            bins=60,
            range=(low, high),
            density=True,
            histtype="step",
            linewidth=1.5,
            label=label,
        )
    axes.axvline(0.0, color="grey", linewidth=0.8)
    axes.set_xlabel("log-weight  A − log⟨exp A⟩")
    axes.set_ylabel("density of walkers")
    axes.set_title("weights (left tail cut at 0.2 %)", fontsize=9)
    axes.legend(fontsize=8, loc="upper left")


def ess_along_path(axes: Axes, ensembles: dict[str, WeightedEnsemble]) -> None:
    """ESS of the walkers for ``ρ_t``, along the path."""
    for label, ensemble in ensembles.items():
        axes.plot(ensemble.times.numpy(), ensemble.ess_trace.cpu().numpy(), marker=".", label=label)
    axes.set_xlabel("time t along the path")
    axes.set_ylabel("effective sample size / walkers")
    axes.set_ylim(0.0, 1.05)
    axes.set_title("effective sample size along the path", fontsize=9)
    axes.legend(fontsize=8, loc="lower left")


def training_curve(axes: Axes, history: TrainingHistory) -> None:
    """Loss a step (logarithmic), and the ESS of each evaluation on a second axis."""
    loss = torch.tensor(history.loss, dtype=torch.float64)
    window = max(1, len(loss) // 60)
    smooth = loss[: len(loss) // window * window].view(-1, window).mean(1)
    axes.semilogy(loss.numpy(), color="C0", alpha=0.25, linewidth=0.7)
    axes.semilogy(
        ((torch.arange(len(smooth)) + 0.5) * window).numpy(),
        smooth.numpy(),
        color="C0",
        label="loss",
    )
    axes.set_xlabel("training step")
    axes.set_ylabel("Var[ξ], mean over t", color="C0")
    axes.set_title("training", fontsize=9)
    if history.evaluation_step:
        right = axes.twinx()
        right.plot(history.evaluation_step, history.evaluation_ess, "o-", color="C1")
        right.set_ylabel("effective sample size / walkers", color="C1")
        right.set_ylim(0.0, 1.05)


def overview(
    ensembles: dict[str, WeightedEnsemble], history: TrainingHistory, title: str | None = None
) -> Figure:
    """Snapshots of the first ensemble, weights, ESS along the path, and the training curve; save it
    with ``savefig``.

    Args:
        ensembles: label → ensemble of the same model.
        history: of the training of the first.
        title: above all four.
    """
    figure = Figure(figsize=(11, 7.5), layout="constrained")
    (upper_left, upper_right), (lower_left, lower_right) = figure.subplots(2, 2)
    snapshots(upper_left, next(iter(ensembles.values())))
    weight_histogram(upper_right, ensembles)
    ess_along_path(lower_left, ensembles)
    training_curve(lower_right, history)
    if title:
        figure.suptitle(title)
    return figure
