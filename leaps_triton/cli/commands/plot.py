"""``leaps-triton plot``: figures of one or several runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

import leaps_triton as lt

from ...files import make_folder, replacing
from ...io.packing import is_checkpoint
from ...provenance import provenance
from ...report import summary
from ..results import FIGURES, check_figure, check_folders, write
from .info import more

__all__ = ["Plot"]

_ANNEALING = "annealing"

_TRAINING = "training"

# Two rows of three.
_GIF_WALKERS = 6

# At most six seconds, at the film's ten frames a second.
_GIF_FRAMES = 60


@dataclass(frozen=True)
class Plot:
    """Draw figures of walkers, chains and trainings, all that their files allow.

    Observables against temperature and Binder crossings take several files.

    Autocorrelation, snapshots and annealing are of the first file that has them.
    """

    files: Annotated[
        tuple[Path, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="FILE...", help_behavior_hint="(required)"),
    ]
    """Files of `leaps-triton sample`, `chain` or `scan` (HDF5), or `train` (.safetensors)."""
    output: Path = Path()
    """Folder for the figures; or a file, .png, .pdf or .svg, whose name begins those of several."""
    format: Literal["png", "pdf", "svg"] | None = None
    """How figures in a folder are written; png by default."""
    separate: bool = False
    """One panel a file."""
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
            "training",
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
        from ...report.figures import NEEDS, idle
        from ...report.figures import panels as panels_of

        needs = {**NEEDS, _ANNEALING: "it takes weighted walkers, or a chain with --configurations"}
        needs[_TRAINING] = "it takes a checkpoint of leaps-triton train"
        self._check()
        trained = [file for file in self.files if _is_checkpoint(file)]
        histories = {file.stem: _history(file) for file in trained}
        runs = self._read([file for file in self.files if file not in trained])
        # A run may have the name of the checkpoint that it was sampled from.
        if len(histories) + len(runs) < len(self.files):
            raise ValueError(
                "two files have the same name, and labels would be the same; rename one"
            )
        figures = {}
        # Files of one kind alone have nothing to do with the figures of the other.
        usual = list(needs)
        if not runs:
            usual = [_TRAINING]
        elif not histories:
            usual.remove(_TRAINING)
        for name in self.only or usual:
            # A figure asked for by name is drawn even if it shows little.
            why = idle(name, _apart(name, runs))
            if not self.only and why:
                print(f"{name}: left out, {why}")
                continue
            panels = [name]
            if self.separate:
                panels = panels_of(name, _apart(name, runs))
            for panel in panels:
                saved = _draw(panel, runs, histories, self._file(panel), self.dpi)
                if saved is not None:
                    figures[panel] = saved.name
                    print(f"{panel}: {saved}")
                # Asked for by name it must be there; of all, those without data are left out.
                elif self.only:
                    raise ValueError(
                        f"these files have no data for the figure {name}: {needs[name]}"
                    )
                else:
                    print(f"{name}: left out, {needs[name]}")
        # Without folders, which tell of the machine.
        names = [file.name for file in self.files]
        write(self.json, {"figures": figures, "files": names, "versions": provenance()})

    def _check(self) -> None:
        """Raise a ValueError for a bad option."""
        if not self.files:
            raise ValueError("give at least one HDF5 file to plot")
        check_folders(self.json)
        if self._is_file():
            check_folders(self.output)
            if self.format is not None:
                raise ValueError(
                    f"give --format for a folder alone, and not for the file {self.output.name}"
                )
        else:
            # A name with an ending is more likely that of a file than of a folder to be made.
            if self.output.suffix and not self.output.is_dir():
                check_figure(self.output)
            make_folder(self.output, "save the figures")
        if self.dpi < 20:
            raise ValueError(f"dpi must be at least 20, got {self.dpi}")

    def _is_file(self) -> bool:
        """Return whether the output is the name of a file, and no folder."""
        return self.output.suffix.lower() in FIGURES and not self.output.is_dir()

    def _file(self, name: str) -> Path:
        """Return the file of a figure."""
        if not self._is_file():
            return self.output / f"{name}.{self.format or 'png'}"
        # The one figure that was asked for has the name that was given.
        if len(self.only) == 1 and not self.separate:
            return self.output
        return self.output.with_name(f"{self.output.stem}-{name}{self.output.suffix}")

    def _read(self, files: list[Path]) -> dict[str, Any]:
        """Return the runs of files, by names that tell them apart."""
        runs: dict[str, Any] = {file.stem: lt.io.read(file) for file in files}
        for name, run in runs.items():
            if not run.has_errors:
                raise ValueError(f"{name} has too few walkers or draws for error bars; {more(run)}")
        return runs


def _is_checkpoint(file: Path) -> bool:
    """Return whether a file begins as checkpoints do."""
    with file.open("rb") as stream:
        return is_checkpoint(stream.read(16))


def _history(file: Path) -> lt.TrainingHistory:
    """Return the history of a checkpoint's training."""
    history = lt.training.read_history(file)
    if not history.loss:
        raise ValueError(f"{file.name} has made no step of training yet, so there is no curve")
    return history


def _draw(
    name: str,
    runs: dict[str, Any],
    histories: dict[str, lt.TrainingHistory],
    file: Path,
    dpi: int,
) -> Path | None:
    """Save one figure, from the files that have the data for it; None if there are none."""
    from ...report import figures

    if name == _TRAINING:
        figure = figures.training(histories)
    elif not runs:
        return None
    elif name == _ANNEALING:
        return _annealing(runs, file.with_suffix(".gif"))
    elif name == "observables" and _is_one_scan(runs):
        # One scan alone: log Z belongs to it.
        figure = figures.scan(lt.Scan(next(iter(runs.values()))))
    else:
        figure = figures.draw(name, _apart(name, runs))
    if figure is None:
        return None
    with replacing(file) as part:
        # The ending of the part is not that of the figure.
        figure.savefig(part, dpi=dpi, format=file.suffix[1:].lower())
    return file


def _is_one_scan(runs: dict[str, Any]) -> bool:
    """Return whether there is one file, of several temperatures."""
    first = next(iter(runs.values()))
    return len(runs) == 1 and bool(first.by_beta)


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
                found[f"{key}, {summary.state_of(each.model)}"] = each
    return found


def _annealing(runs: dict[str, Any], file: Path) -> Path | None:
    """Save a film of the first run that knows the way of its walkers; None if there is none."""
    for run in runs.values():
        # Coordinates of a density make no picture.
        if isinstance(run.model, lt.models.densities.DensityModel):
            continue
        moving = run.on_the_way(_GIF_WALKERS, _GIF_FRAMES)
        if moving is not None:
            about = summary.title(run.model)
            titles = [f"{about}, {caption}" for caption in moving.captions]
            states = None
            if not run.model.dtype.is_floating_point:
                states = run.model.q
            lattice = run.model.lattice
            lt.physics_plots.animation(moving.frames, titles, file, states, lattice=lattice)
            return file
    return None
