"""Commands on runs: ``chain`` makes one, ``measure`` prints its table, ``plot`` draws figures of
one or several.
"""

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro
from torch import Tensor

import leaps_triton as lt

from ..integrators.jump import State
from ..provenance import provenance
from ..report import summary as table
from .options import check_folders, write

__all__ = ["Plot"]

_FIGURES = (
    "observables", "correlation", "autocorrelation", "weights", "overlaps", "binder", "snapshots", "annealing",
)  # fmt: skip

_GIF_WALKERS = 6

_GIF_FRAMES = 60


@dataclass(frozen=True)
class Plot:
    """Draw figures of files of walkers and chains, all that their data allow.

    Observables against temperature and Binder crossings take several files.

    Autocorrelation, snapshots and annealing are of the first file that has them.
    """

    files: Annotated[
        tuple[Path, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="FILE...", help_behavior_hint="(required)"),
    ]
    """HDF5 files of `leaps-triton sample` or `leaps-triton chain`."""
    output: Path = Path()
    """Folder for the figures."""
    only: tuple[
        Literal[
            "observables",
            "correlation",
            "autocorrelation",
            "weights",
            "overlaps",
            "binder",
            "snapshots",
            "annealing",
        ],
        ...,
    ] = ()
    """Figures to draw; by default all that the files allow."""
    dpi: int = 120
    """Dots an inch."""
    json: Path | None = None
    """Where to save the names of the figures' files as JSON."""

    def run(self) -> None:
        """Read, draw, and save."""
        if not self.files:
            raise ValueError("give at least one HDF5 file to plot")
        check_folders(self.json)
        if not self.output.is_dir():
            raise ValueError(
                f"there is no folder {self.output} for the figures; make it, or choose another"
            )
        if self.dpi < 20:
            raise ValueError(f"dpi must be at least 20, got {self.dpi}")
        runs: dict[str, Any] = {file.stem: lt.io.read(file) for file in self.files}
        if len(runs) < len(self.files):
            raise ValueError(
                "two files have the same name, and labels would be the same; rename one"
            )
        empty = [
            name
            for name, run in runs.items()
            if (run.draws < 4 if isinstance(run, lt.Chain) else _few(run))
        ]
        if empty:
            raise ValueError(
                f"{empty[0]} has too few walkers or draws for error bars; go on with it by --resume first"
            )
        figures = {}
        for name in self.only or _FIGURES:
            saved = _draw(name, runs, self.output, self.dpi)
            if saved is not None:
                figures[name] = saved.name
                print(f"{name}: {saved}")
            elif self.only:
                raise ValueError(f"these files have no data for the figure {name}: {_NEEDS[name]}")
        names = [file.name for file in self.files]
        write(self.json, {"figures": figures, "files": names, "versions": provenance()})


_NEEDS = {
    "observables": "it takes observables that all files hold, and β above 0",
    "correlation": "it takes --observables correlation, or --configurations",
    "autocorrelation": "it takes a chain",
    "weights": "it takes a file of weighted walkers",
    "overlaps": "it takes --configurations and at least four walkers, or a chain with --observables overlap",
    "binder": "it takes binder or --configurations, from at least two lattices",
    "snapshots": "it takes --configurations, or a chain",
    "annealing": "it takes weighted walkers, or a chain with --configurations",
}


def _draw(name: str, runs: dict[str, Any], folder: Path, dpi: int) -> Path | None:
    """One figure into the folder, from the runs that have the data for it; None if there are
    none.
    """
    from matplotlib.figure import Figure

    from ..report import physics_plots, plotting

    chains = {label: run for label, run in runs.items() if isinstance(run, lt.Chain)}
    weighted = {label: run for label, run in runs.items() if label not in chains}
    stored = {label: _configurations(run) is not None for label, run in runs.items()}
    file = folder / f"{name}.png"
    if name == "observables":
        shared = [
            n
            for n in table.LABELS
            if all(stored[key] or n in table.names_of(run) for key, run in runs.items())
        ]
        if not shared or any(run.model.beta == 0 for run in runs.values()):
            return None
        physics_plots.against_temperature(list(runs.values()), shared).savefig(file, dpi=dpi)
        return file
    if name == "annealing":
        return _annealing(runs, folder)
    figure = Figure(figsize=(7.0, 4.8), layout="constrained")
    axes = figure.subplots()
    if name == "correlation":
        able = {
            key: run for key, run in runs.items() if stored[key] or "correlation" in _values(run)
        }
        if able:
            drawn, models = _of_largest(able)
            physics_plots.correlation(axes, drawn)
            axes.set_title(f"{models}; bars: one σ", fontsize=9)
    elif name == "autocorrelation":
        able = {key: run for key, run in chains.items() if table.names_of(run)}
        if able:
            run = next(iter(able.values()))
            some = [
                n for n in ("energy", "abs_magnetization") if n in run.values
            ] or table.names_of(run)[:1]
            physics_plots.autocorrelation(axes, run, some)
            axes.set_title(
                f"{table.title(run.model)}, β = {run.model.beta:.4g}; dashed: window W of τ",
                fontsize=9,
            )
    elif name == "weights":
        able = weighted
        if able:
            plotting.weight_histogram(axes, able)
    elif name == "overlaps":
        able = {
            key: run
            for key, run in runs.items()
            if (stored[key] and len(_configurations(run)) > 3) or "overlap" in _values(run)
        }
        if able:
            drawn, models = _of_largest(able)
            physics_plots.overlap_distribution(axes, drawn)
            axes.set_title(f"{models}; pairs of walkers; bars: one σ", fontsize=9)
    elif name == "binder":
        able = {key: run for key, run in runs.items() if stored[key] or "binder" in _values(run)}
        able = able if len({run.model.lattice.shape for run in able.values()}) > 1 else {}
        if able:
            physics_plots.binder_crossing(axes, list(able.values()))
    else:
        able = {key: run for key, run in runs.items() if run.configurations is not None}
        if able:
            plotting.snapshots(axes, next(iter(able.values())))
    if not able:
        return None
    figure.savefig(file, dpi=dpi)
    return file


def _of_largest(runs: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The runs on the largest lattice, cold ones first, with their temperatures; and what models
    they are of.
    """
    largest = max(run.model.lattice.sites for run in runs.values())
    able = sorted(runs.items(), key=lambda item: -item[1].model.beta)
    found = {
        f"{key}, T = {1.0 / run.model.beta if run.model.beta else math.inf:.4g}": run
        for key, run in able
        if run.model.lattice.sites == largest
    }
    return found, "; ".join(dict.fromkeys(table.title(run.model) for run in found.values()))


def _annealing(runs: dict[str, Any], folder: Path) -> Path | None:
    """The first weighted run along the path, walked again by a few walkers; else the first chain
    that kept draws.
    """
    from ..report import physics_plots

    file = folder / "annealing.gif"
    for run in runs.values():
        if isinstance(run, lt.Chain):
            if run.kept is None:
                continue
            step = -(-run.draws // _GIF_FRAMES)
            frames = run.kept[:_GIF_WALKERS, ::step].transpose(0, 1)
            titles = [
                f"{table.title(run.model)}, β = {run.model.beta:.4g}, step {run.burn_in + (draw + 1) * run.thin}"
                for draw in range(0, run.draws, step)
            ]
        else:
            times, frames = _walk(run.sampler, run.manifest["run"]["seed"])
            titles = [
                f"{table.title(run.model)}, t = {t:.2f}, β = {float(run.sampler.path.beta(t)):.3f}"
                for t in times
            ]
        physics_plots.animation(frames, titles, file, run.model.q)
        return file
    return None


def _walk(sampler: lt.Sampler, seed: int) -> tuple[list[float], Tensor]:
    """Configurations of the first walkers on entering every interval and at the end, ``(frames,
    walkers, *shape)``.
    """
    indices, count = torch.arange(_GIF_WALKERS), sampler.integrator.intervals + 1
    start = sampler.path.start.sample(indices, seed)
    frames = torch.zeros(count, *start.shape, dtype=start.dtype)

    def observe(state: State, entered: Tensor) -> None:
        rows = entered.nonzero().squeeze(1)
        frames[state.interval[rows].cpu(), rows.cpu()] = state.configurations[rows].cpu()

    with torch.no_grad():
        sampler.run_block(indices, seed, observe)
    frames[0] = start.cpu()
    chosen = range(0, count, -(-count // _GIF_FRAMES)) if count > _GIF_FRAMES else range(count)
    times = sampler.integrator.times.tolist()
    return [times[index] for index in chosen], frames[list(chosen)]


def _configurations(run: Any) -> Any:
    """Those of every draw or walker, or None."""
    return run.kept if isinstance(run, lt.Chain) else run.configurations


def _values(run: Any) -> Any:
    return run.values if isinstance(run, lt.Chain) else run.observables


def _few(run: Any) -> bool:
    return len(run.log_weights) < 2


def _walkers(run: Any) -> str:
    return f"{len(run.log_weights)} of {run.manifest['run']['walkers']} walkers"


def _measured(run: Any, file: Path) -> dict[str, Any]:
    """The table of a run, printed; what is to be said of its error bars in a line of its own."""
    if run.draws < 4 if isinstance(run, lt.Chain) else _few(run):
        raise ValueError(
            f"{file.name} has too few walkers or draws for error bars; go on with it by --resume first"
        )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = table.measure(run, table.names_of(run))
    print(table.render(result))
    for message in dict.fromkeys(str(warning.message) for warning in caught):
        print(f"caution: {message}")
    return result
