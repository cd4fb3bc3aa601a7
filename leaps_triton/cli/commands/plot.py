"""``leaps-triton plot``: figures of one or several runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

import leaps_triton as lt

from ...provenance import provenance
from ...report import summary
from ..options import check_folders, write

__all__ = ["Plot"]

_ANNEALING = "annealing"

# Two rows of three.
_GIF_WALKERS = 6

# At most six seconds, at the film's ten frames a second.
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
    """HDF5 files of `leaps-triton sample`, `chain` or `scan`."""
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
        # Here, not above: other commands start without matplotlib.
        from ...report.figures import NEEDS

        needs = {**NEEDS, _ANNEALING: "it takes weighted walkers, or a chain with --configurations"}
        self._check()
        runs = self._read()
        figures = {}
        for name in self.only or needs:
            saved = _draw(name, runs, self.output, self.dpi)
            if saved is not None:
                figures[name] = saved.name
                print(f"{name}: {saved}")
            # A figure asked for by name must be there; of all, those without data are left out.
            elif self.only:
                raise ValueError(f"these files have no data for the figure {name}: {needs[name]}")
        # Without folders, which tell of the machine.
        names = [file.name for file in self.files]
        write(self.json, {"figures": figures, "files": names, "versions": provenance()})

    def _check(self) -> None:
        """Raise a ValueError for a bad option."""
        if not self.files:
            raise ValueError("give at least one HDF5 file to plot")
        check_folders(self.json)
        if not self.output.is_dir():
            raise ValueError(
                f"there is no folder {self.output} for the figures; make it, or choose another"
            )
        if self.dpi < 20:
            raise ValueError(f"dpi must be at least 20, got {self.dpi}")

    def _read(self) -> dict[str, Any]:
        """Return the runs of the files, by names that tell them apart."""
        runs: dict[str, Any] = {file.stem: lt.io.read(file) for file in self.files}
        if len(runs) < len(self.files):
            raise ValueError(
                "two files have the same name, and labels would be the same; rename one"
            )
        for name, run in runs.items():
            if not run.has_errors:
                raise ValueError(
                    f"{name} has too few walkers or draws for error bars; go on with it by "
                    f"--resume first"
                )
        return runs


def _draw(name: str, runs: dict[str, Any], folder: Path, dpi: int) -> Path | None:
    """Save one figure, from the runs that have the data for it; None if there are none."""
    if name == _ANNEALING:
        return _annealing(runs, folder)
    figure = _figure(name, runs)
    if figure is None:
        return None
    file = folder / f"{name}.png"
    figure.savefig(file, dpi=dpi)
    return file


def _figure(name: str, runs: dict[str, Any]) -> Any:
    """Return a figure of the runs; None if none has the data for it."""
    from ...report import figures

    first = next(iter(runs.values()))
    if name == "observables" and len(runs) == 1 and first.by_beta:
        # One scan alone: log Z belongs to it.
        return figures.scan(lt.Scan(first))
    return figures.draw(name, _apart(name, runs))


def _apart(name: str, runs: dict[str, Any]) -> dict[str, Any]:
    """Return runs with a scan's temperatures one by one, in figures that compare temperatures."""
    if name not in ("observables", "binder", "autocorrelation", "correlation"):
        return runs
    found = {}
    for key, run in runs.items():
        if not run.by_beta:
            found[key] = run
        for each in run.by_beta:
            # No figure has a place for an infinite temperature.
            if each.model.beta > 0.0:
                found[f"{key}, β = {each.model.beta:.4g}"] = each
    return found


def _annealing(runs: dict[str, Any], folder: Path) -> Path | None:
    """Save a film of the first run that knows the way of its walkers; None if there is none."""
    for run in runs.values():
        moving = run.on_the_way(_GIF_WALKERS, _GIF_FRAMES)
        if moving is not None:
            file = folder / f"{_ANNEALING}.gif"
            about = summary.title(run.model)
            titles = [f"{about}, {caption}" for caption in moving.captions]
            lt.physics_plots.animation(moving.frames, titles, file, run.model.q)
            return file
    return None
